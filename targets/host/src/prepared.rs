//! What a handler of an arrival makes of its time alone, for many arrivals at once.
//!
//! The time of an arrival is exponentiated once for it, and not for each lane. Over the arrivals of all replicas of a
//! group that is work for the vector machine: a handler is split in two, one that leaves in arrays what it makes of times, and one that finds it
//! in scalars and does the rest. Each rounds what the other does not.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, CoefficientValue, Domain, Handler, Op, Process, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::facts::operands;
use crate::frame::Frame;
use crate::hoist::found;
use crate::space::{Shape, Space};

/// Times at once.
const TIMES: usize = 512;

/// A handler of arrivals in two.
pub(crate) struct Prepared {
    times: usize,
    /// Where something lies by arrival, and where the rest of the handler looks for it.
    found: Vec<(usize, usize)>,
    before: Routine,
    /// The rest.
    pub(crate) each: Routine,
}

impl Prepared {
    /// Splits a handler, if that saves anything. `rest` compiles what is left of it.
    pub(crate) fn new(
        context: &mut Context<'_>,
        common: &mut Space,
        handler: &Handler,
        rest: impl FnOnce(&mut Context<'_>, &Handler) -> Routine,
    ) -> Option<Self> {
        let timed = timed(context.process, &handler.body);
        let values = made(context.process, &handler.body);
        if values.is_empty() {
            return None;
        }
        let mut process = context.process.clone();
        let mut homes: PrimaryMap<Array, Home> = context.homes.clone();
        let mut declare = |kind, home| {
            homes.push(home);
            let name = String::new();
            process.arrays.push(ArrayDecl { name, kind })
        };
        let state = ArrayKind::State { init: 0.0 };
        let times = common.passed(TIMES, 0);
        let times_array = declare(state, Home::Arena(times));
        let mut places = Vec::new();
        let mut arrays = Vec::new();
        for k in 1..=values.len() {
            let by_arrival = common.passed(TIMES, k);
            let slot = context.space.scalar(0.0);
            places.push((by_arrival as usize, slot as usize));
            arrays.push((
                declare(state, Home::Arena(by_arrival)),
                declare(ArrayKind::Scalar { init: 0.0 }, Home::Scalar(slot)),
            ));
        }
        // Values keep their numbers in both; what is defined and not used costs nothing.
        let define = |op: &dyn Fn(Value, Op) -> Op| {
            let stmts = handler.body.stmts.iter().map(|stmt| match stmt {
                Stmt::Let(v, old) => Stmt::Let(*v, op(*v, *old)),
                other => other.clone(),
            });
            stmts.collect::<Vec<_>>()
        };
        let mut before = define(&|v, op| match (timed[v.index()], op) {
            (true, Op::Time) => Op::Load(times_array),
            (true, op) => op,
            (false, _) => Op::Const(0.0),
        });
        before.retain(|stmt| matches!(stmt, Stmt::Let(..)));
        let stores = values.iter().zip(&arrays);
        before.extend(stores.map(|(v, (array, _))| Stmt::Store(*array, *v)));
        let place = |v: Value| values.iter().position(|w| *w == v);
        let each = define(&|v, op| place(v).map_or(op, |k| Op::Load(arrays[k].1)));
        let part = |domain, stmts| Handler {
            kind: handler.kind,
            domain,
            body: Body {
                stmts,
                values: handler.body.values,
            },
        };
        let mut inner = Context {
            process: &process,
            homes: &homes,
            shape: Shape::population(TIMES),
            space: common,
        };
        let before = compile::compile(&mut inner, &part(Domain::Lanes, before));
        let mut inner = Context {
            process: &process,
            homes: &homes,
            shape: context.shape,
            space: &mut *context.space,
        };
        let each = rest(&mut inner, &part(handler.domain, each));
        Some(Self {
            times: times as usize,
            found: places,
            before,
            each,
        })
    }

    /// How many numbers it makes of a time.
    pub(crate) fn count(&self) -> usize {
        self.found.len()
    }

    /// Makes what it makes of these times, on the memory that `frame` has; the numbers of each go to where its place
    /// says.
    pub(crate) fn prepare(
        &self,
        times: &[f32],
        places: &[usize],
        numbers: &mut [f32],
        frame: &mut Frame<'_>,
    ) {
        for (times, places) in times.chunks(TIMES).zip(places.chunks(TIMES)) {
            frame.mem[self.times..][..times.len()].copy_from_slice(times);
            let whole = Shape::population(TIMES);
            self.before.run_over(times.len(), whole, frame);
            for (k, (from, _)) in self.found.iter().enumerate() {
                for (place, number) in places.iter().zip(&frame.mem[*from..]) {
                    numbers[place + k] = *number;
                }
            }
        }
    }

    /// Puts what was made of a time where the rest looks for it.
    #[inline(always)]
    pub(crate) fn choose(&self, numbers: &[f32], frame: &mut Frame<'_>) {
        for ((_, to), number) in self.found.iter().zip(numbers) {
            frame.mem[*to] = *number;
        }
    }
}

/// What is made of the time alone, and needed by the rest.
pub(crate) fn made(process: &Process, body: &Body) -> Vec<Value> {
    found(body, &timed(process, body))
}

/// Which values depend on the time of the arrival alone.
fn timed(process: &Process, body: &Body) -> Vec<bool> {
    let mut timed: Vec<bool> = Vec::with_capacity(body.values);
    for stmt in &body.stmts {
        let Stmt::Let(_, op) = stmt else { continue };
        timed.push(match op {
            Op::Const(_) | Op::Time => true,
            Op::Coef(c) => matches!(process.coefs[*c].value, CoefficientValue::Uniform(_)),
            op => {
                let of = operands(op);
                !of.is_empty() && of.iter().all(|a| timed[a.index()])
            }
        });
    }
    timed
}

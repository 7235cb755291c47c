//! What a handler of an arrival makes of its time alone, for many arrivals at once.
//!
//! The time of an arrival is exponentiated once for it, and not for each lane. Over many arrivals that is work for
//! the vector machine: a handler is split in two, one that leaves in arrays what it makes of times, and one that finds it
//! in scalars and does the rest. Each rounds what the other does not.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, CoefficientValue, Domain, Handler, Op, Process, Stmt, Value,
};

use crate::arrivals::ARRIVALS;
use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::facts::operands;
use crate::frame::Frame;
use crate::hoist::found;
use crate::space::Shape;

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
        handler: &Handler,
        rest: impl FnOnce(&mut Context<'_>, &Handler) -> Routine,
    ) -> Option<Self> {
        let timed = timed(context.process, &handler.body);
        let values = found(&handler.body, &timed);
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
        let times = context.space.array(ARRIVALS, 0.0);
        let times_array = declare(state, Home::Arena(times));
        let mut places = Vec::new();
        let mut arrays = Vec::new();
        for _ in &values {
            let (by_arrival, slot) = (
                context.space.array(ARRIVALS, 0.0),
                context.space.scalar(0.0),
            );
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
            shape: Shape::population(ARRIVALS),
            space: &mut *context.space,
        };
        let before = compile::compile(&mut inner, &part(Domain::Lanes, before));
        inner.shape = context.shape;
        let each = rest(&mut inner, &part(handler.domain, each));
        Some(Self {
            times: times as usize,
            found: places,
            before,
            each,
        })
    }

    /// Makes what it makes of these times, at most [`ARRIVALS`].
    pub(crate) fn prepare(&self, times: impl ExactSizeIterator<Item = f32>, frame: &mut Frame<'_>) {
        let lanes = times.len();
        for (to, time) in frame.mem[self.times..].iter_mut().zip(times) {
            *to = time;
        }
        let whole = Shape::population(ARRIVALS);
        self.before.run_over(lanes, whole, frame);
    }

    /// Puts what was made of one of these times where the rest looks for it.
    #[inline(always)]
    pub(crate) fn choose(&self, arrival: usize, frame: &mut Frame<'_>) {
        for (from, to) in &self.found {
            frame.mem[*to] = frame.mem[from + arrival];
        }
    }
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

//! Handlers of a process with few lanes, over several arrivals at once.
//!
//! On the way back, arrivals between two own spikes see the same states. What is sent for them, and what they add to
//! gradients, is computed by the vector machine over the arrivals, lane after lane, instead of over the few lanes,
//! arrival after arrival. Sources differ, so no arrival sees a row that another has written.

use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Channel, Cmp, CoefficientValue, Domain, Fold,
    Handler, HandlerKind, Op, Outgoing, Process, Row, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::facts::identity;
use crate::frame::Frame;
use crate::lists::renamed;
use crate::space::{Shape, Width};

/// Arrivals at once.
pub(crate) const ARRIVALS: usize = 64;

/// What the way back does for arrivals over a channel.
pub(crate) struct BackCode {
    pub(crate) message: Option<ArrivalCode>,
    pub(crate) gradient: Option<ArrivalCode>,
}

/// A handler over arrivals.
pub(crate) struct ArrivalCode {
    /// Rows by source: where they come from and where they lie by arrival.
    rows: Vec<(Origin, usize)>,
    times: usize,
    /// Of these rows, the ones that go back.
    stored: Vec<(usize, usize)>,
    sent: Option<usize>,
    routine: Routine,
    /// Elements from one row to the next.
    stride: usize,
}

/// Where an element by source lies for source 0.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    Arena(usize),
    Weights(usize),
}

/// Arrivals, each of another source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    pub(crate) sources: Vec<u32>,
    pub(crate) times: Vec<f32>,
}

impl BackCode {
    /// Of handlers that say the same of arrivals in any order, and of a process with few lanes.
    pub(crate) fn new(
        context: &mut Context<'_>,
        channel: &Channel,
        kinds: [HandlerKind; 2],
    ) -> Option<Self> {
        let few = context.shape.width == Width::Narrow;
        if !few || channel.connection != Connection::All {
            return None;
        }
        let handlers = kinds.map(|kind| context.process.handler(kind));
        let bodies = || handlers.iter().flatten().map(|handler| &handler.body);
        let apart = handlers.iter().flatten().all(|handler| fits(handler));
        if !apart || clash(bodies()) || bodies().next().is_none() {
            return None;
        }
        let [message, gradient] =
            handlers.map(|handler| handler.map(|handler| ArrivalCode::new(context, handler)));
        Some(Self { message, gradient })
    }
}

/// Whether a handler writes nothing but rows of its source.
fn fits(handler: &Handler) -> bool {
    let simple = |stmt: &Stmt| match stmt {
        Stmt::Let(_, op) => !matches!(op, Op::LoadRow(_, Row::Tick | Row::Synapse)),
        Stmt::StoreRow(_, Row::Source, _) | Stmt::Send(Outgoing::Fold(_)) => true,
        _ => false,
    };
    handler.domain == Domain::Lanes && handler.body.stmts.iter().all(simple)
}

/// Whether what one arrival writes is read by others.
fn clash<'a>(bodies: impl Iterator<Item = &'a Body> + Clone) -> bool {
    let stmts = bodies.flat_map(|body| &body.stmts);
    let written = stmts.clone().filter_map(|stmt| match stmt {
        Stmt::StoreRow(array, ..) => Some(*array),
        _ => None,
    });
    let written: Vec<Array> = written.collect();
    let mut loaded = stmts.filter_map(|stmt| match stmt {
        Stmt::Let(_, Op::Load(array)) => Some(*array),
        _ => None,
    });
    loaded.any(|array| written.contains(&array))
}

impl ArrivalCode {
    fn new(context: &mut Context<'_>, handler: &Handler) -> Self {
        let mut writer = Writer {
            process: context.process.clone(),
            homes: context.homes.clone(),
            body: Body::default(),
            rows: Vec::new(),
            places: 0,
            sent: None,
            lane: 0,
            values: Vec::new(),
            context,
        };
        let times = writer.lanes();
        for lane in 0..writer.context.shape.lanes {
            writer.lane = lane;
            writer.values.clear();
            for stmt in &handler.body.stmts {
                writer.statement(stmt, times);
            }
        }
        let sent = writer.sent.map(|sum| {
            let array = writer.lanes();
            writer.body.stmts.push(Stmt::Store(array, sum));
            array
        });
        let Writer {
            process,
            homes,
            body,
            rows,
            context,
            ..
        } = writer;
        let stores = |array: &Array| {
            let mut stmts = body.stmts.iter();
            stmts.any(|stmt| matches!(stmt, Stmt::Store(a, _) if a == array))
        };
        let place = |array: Array| homes[array].in_arena().unwrap_or_default();
        let stored = rows.iter().filter_map(|(origin, array)| match origin {
            Origin::Arena(base) if stores(array) => Some((place(*array), *base)),
            _ => None,
        });
        let stored = stored.collect();
        let handler = Handler {
            kind: handler.kind,
            domain: Domain::Lanes,
            body,
        };
        let mut inner = Context {
            process: &process,
            homes: &homes,
            shape: Shape::population(ARRIVALS),
            space: &mut *context.space,
        };
        Self {
            routine: compile::compile(&mut inner, &handler),
            rows: rows.iter().map(|(o, a)| (*o, place(*a))).collect(),
            times: place(times),
            stored,
            sent: sent.map(place),
            stride: context.shape.stride,
        }
    }

    /// Runs it for some arrivals.
    pub(crate) fn run(&self, batch: &Batch, frame: &mut Frame<'_>) {
        let lanes = batch.sources.len();
        frame.mem[self.times..self.times + lanes].copy_from_slice(&batch.times);
        for (origin, to) in &self.rows {
            for (k, source) in batch.sources.iter().enumerate() {
                let row = *source as usize * self.stride;
                frame.mem[to + k] = match origin {
                    Origin::Arena(base) => frame.mem[base + row],
                    Origin::Weights(base) => frame.weights[base + row],
                };
            }
        }
        let whole = Shape::population(ARRIVALS);
        self.routine.run_over(lanes, whole, frame);
        for (from, to) in &self.stored {
            for (k, source) in batch.sources.iter().enumerate() {
                frame.mem[to + *source as usize * self.stride] = frame.mem[from + k];
            }
        }
    }

    /// What the last run sent for an arrival.
    pub(crate) fn sent(&self, arrival: usize, frame: &Frame<'_>) -> f32 {
        self.sent.map_or(0.0, |sent| frame.mem[sent + arrival])
    }
}

/// Writes a body over, once for each lane.
struct Writer<'c, 'p> {
    context: &'c mut Context<'p>,
    process: Process,
    homes: PrimaryMap<Array, Home>,
    body: Body,
    rows: Vec<(Origin, Array)>,
    places: usize,
    /// What is sent, as far as the lanes are folded.
    sent: Option<Value>,
    lane: usize,
    /// The new value of each old one, on this lane.
    values: Vec<Value>,
}

impl Writer<'_, '_> {
    /// An array with an element for each arrival.
    fn lanes(&mut self) -> Array {
        let place = self.context.space.passed(ARRIVALS, self.places);
        self.places += 1;
        self.array(ArrayKind::State { init: 0.0 }, Home::Arena(place))
    }

    fn array(&mut self, kind: ArrayKind, home: Home) -> Array {
        self.homes.push(home);
        let name = String::new();
        self.process.arrays.push(ArrayDecl { name, kind })
    }

    /// The elements by source of an array on this lane.
    fn row(&mut self, array: Array) -> Array {
        let origin = match self.homes[array] {
            Home::Arena(base) | Home::Scalar(base) => Origin::Arena(base as usize + self.lane),
            Home::Weights(base) => Origin::Weights(base as usize + self.lane),
        };
        if let Some((_, array)) = self.rows.iter().find(|(o, _)| *o == origin) {
            return *array;
        }
        let of_arrivals = self.lanes();
        self.rows.push((origin, of_arrivals));
        of_arrivals
    }

    fn operation(&mut self, op: &Op, times: Array) -> Op {
        match op {
            Op::Time => Op::Load(times),
            Op::LoadRow(array, _) => Op::Load(self.row(*array)),
            Op::Load(array) => Op::Load(self.element(*array)),
            Op::Coef(coef) => match &self.process.coefs[*coef].value {
                CoefficientValue::Uniform(_) => *op,
                value @ CoefficientValue::PerLane(_) => Op::Const(value.at(self.lane)),
            },
            #[expect(clippy::cast_precision_loss, reason = "lanes are below 2^24")]
            Op::Lane => Op::Const(self.lane as f32),
            _ => renamed(op, &self.values),
        }
    }

    /// The value that another lane has computed already; what is the same for all of them.
    fn known(&self, op: Op) -> Option<Value> {
        let row = |array: Array| self.rows.iter().any(|(_, a)| *a == array);
        // Two zeros are equal, and not the same.
        if matches!(op, Op::Const(_)) || matches!(op, Op::Load(array) if row(array)) {
            return None;
        }
        self.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(v, other) if *other == op => Some(*v),
            _ => None,
        })
    }

    /// The element of this lane, the same for all arrivals.
    fn element(&mut self, array: Array) -> Array {
        let lane = u32::try_from(self.lane).unwrap_or_default();
        let home = match self.homes[array] {
            Home::Scalar(_) => return array,
            Home::Arena(base) => Home::Scalar(base + lane),
            Home::Weights(base) => Home::Weights(base + lane),
        };
        self.array(ArrayKind::Scalar { init: 0.0 }, home)
    }

    fn statement(&mut self, stmt: &Stmt, times: Array) {
        match stmt {
            Stmt::Let(_, op) => {
                let op = self.operation(op, times);
                let value = self.known(op).unwrap_or_else(|| self.body.push(op));
                self.values.push(value);
            }
            Stmt::StoreRow(array, _, v) => {
                let array = self.row(*array);
                let value = self.values[v.index()];
                self.body.stmts.push(Stmt::Store(array, value));
            }
            Stmt::Send(Outgoing::Fold(fold)) => {
                let sum = match self.sent {
                    Some(sum) => sum,
                    None => self.body.push(Op::Const(identity(*fold))),
                };
                let v = |value: Value| self.values[value.index()];
                let next = match *fold {
                    Fold::Add(x) => Op::Binary(Binary::Add, sum, v(x)),
                    Fold::Fma(x, y) => Op::Fma(v(x), v(y), sum),
                    Fold::Max(x) => {
                        let x = v(x);
                        let more = self.body.push(Op::Cmp(Cmp::Gt, x, sum));
                        Op::Select(more, x, sum)
                    }
                };
                self.sent = Some(self.body.push(next));
            }
            // Other handlers are run lane by lane.
            _ => {}
        }
    }
}

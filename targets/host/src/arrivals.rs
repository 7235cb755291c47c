//! Handlers of a process with few lanes, over several arrivals at once.
//!
//! On the way back, arrivals between two own spikes see the same states. What is sent for them, and what they add to
//! gradients, is computed by the vector machine over the arrivals of all replicas of a group, lane after lane, instead of
//! over the few lanes, arrival after arrival. Of a replica, sources differ, so no arrival sees a row that another has
//! written.

use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Channel, Cmp, CoefficientValue, Domain, Fold,
    Handler, HandlerKind, Op, Outgoing, Process, Row, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::course::Arrival;
use crate::facts::identity;
use crate::frame::Frame;
use crate::lists::renamed;
use crate::space::{Shape, Width};

/// Arrivals at once.
pub(crate) const ARRIVALS: usize = 512;

/// What the way back does for arrivals over a channel: the handlers of its messages and gradients, one after the other.
pub(crate) struct BackCode {
    /// Where elements come from and where they lie by arrival.
    elements: Vec<(Origin, usize)>,
    times: usize,
    /// Of those by source, the ones that go back.
    stored: Vec<(usize, usize)>,
    sent: Option<usize>,
    routine: Routine,
}

/// What an element is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// One of a replica, for all arrivals.
    Arena(usize),
    /// One for all replicas.
    Weights(usize),
    /// That of the source of a replica; where it is for source 0.
    ArenaRow(usize),
    /// That of the source; where it is for source 0.
    WeightsRow(usize),
}

/// Arrivals, of each replica from different sources.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batch {
    /// Replicas, where the memory of each begins, and how many arrivals there are of it.
    runs: Vec<(usize, u32, usize)>,
    /// Where the row of each source is, in an array by source, and that in the memory of all replicas.
    rows: Vec<u32>,
    places: Vec<u32>,
    times: Vec<f32>,
    /// Sources, and places on the tape of the producer.
    spikes: Vec<(u32, u32)>,
}

impl Batch {
    pub(crate) fn clear(&mut self) {
        self.runs.clear();
        self.rows.clear();
        self.places.clear();
        self.times.clear();
        self.spikes.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.times.len()
    }

    /// Adds an arrival of a replica, whose memory begins at `base`; the row of its source lies at `row`.
    #[inline(always)]
    pub(crate) fn push(&mut self, base: u32, row: u32, arrival: &Arrival) {
        self.rows.push(row);
        self.places.push(base + row);
        self.times.push(arrival.time);
        self.spikes.push((arrival.source, arrival.entry));
    }

    /// Says that the last arrivals are of this replica.
    pub(crate) fn end_run(&mut self, member: usize, base: u32, count: usize) {
        self.runs.push((member, base, count));
    }

    /// Replicas, with how many arrivals there are of each.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, usize)> {
        self.runs.iter().map(|(member, _, count)| (*member, *count))
    }

    /// Of each, the source and the place on the tape of the producer.
    pub(crate) fn spikes(&self) -> impl Iterator<Item = (u32, u32)> {
        self.spikes.iter().copied()
    }
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
        Some(Self::compile(context, handlers.into_iter().flatten()))
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

impl BackCode {
    fn compile<'h>(context: &mut Context<'_>, handlers: impl Iterator<Item = &'h Handler>) -> Self {
        let mut writer = Writer {
            process: context.process.clone(),
            homes: context.homes.clone(),
            body: Body::default(),
            elements: Vec::new(),
            places: 0,
            sent: None,
            lane: 0,
            values: Vec::new(),
            context,
        };
        let times = writer.lanes();
        for handler in handlers {
            for lane in 0..writer.context.shape.lanes {
                writer.lane = lane;
                writer.values.clear();
                for stmt in &handler.body.stmts {
                    writer.statement(stmt, times);
                }
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
            elements,
            context,
            ..
        } = writer;
        let stores = |array: &Array| {
            let mut stmts = body.stmts.iter();
            stmts.any(|stmt| matches!(stmt, Stmt::Store(a, _) if a == array))
        };
        let place = |array: Array| homes[array].in_arena().unwrap_or_default();
        let stored = elements.iter().filter_map(|(origin, array)| match origin {
            Origin::ArenaRow(base) if stores(array) => Some((place(*array), *base)),
            _ => None,
        });
        let stored = stored.collect();
        let handler = Handler {
            // Any that is run over lanes: of what came with the arrival, nothing is left but arrays.
            kind: HandlerKind::AdjointWindow,
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
            elements: elements.iter().map(|(o, a)| (*o, place(*a))).collect(),
            times: place(times),
            stored,
            sent: sent.map(place),
        }
    }

    /// Runs it for [`ARRIVALS`] at most, on the memory that `frame` has, for replicas with this memory.
    pub(crate) fn run(&self, batch: &Batch, memory: &mut [f32], frame: &mut Frame<'_>) {
        let count = batch.len();
        frame.mem[self.times..][..count].copy_from_slice(&batch.times);
        for (origin, to) in &self.elements {
            let into = &mut frame.mem[*to..][..count];
            match *origin {
                Origin::Arena(element) => {
                    let mut rest = into;
                    for (_, base, count) in &batch.runs {
                        let (of_replica, later) = rest.split_at_mut(*count);
                        of_replica.fill(memory[*base as usize + element]);
                        rest = later;
                    }
                }
                Origin::Weights(element) => into.fill(frame.weights[element]),
                Origin::ArenaRow(first) => {
                    let from = &memory[first..];
                    for (to, place) in into.iter_mut().zip(&batch.places) {
                        *to = from[*place as usize];
                    }
                }
                Origin::WeightsRow(first) => {
                    let from = &frame.weights[first..];
                    for (to, row) in into.iter_mut().zip(&batch.rows) {
                        *to = from[*row as usize];
                    }
                }
            }
        }
        let whole = Shape::population(ARRIVALS);
        self.routine.run_over(count, whole, frame);
        for (from, to) in &self.stored {
            let results = &frame.mem[*from..][..count];
            let memory = &mut memory[*to..];
            for (value, place) in results.iter().zip(&batch.places) {
                memory[*place as usize] = *value;
            }
        }
    }

    /// What the last run sent for each arrival; nothing, if it sends nothing.
    pub(crate) fn sent<'m>(
        &self,
        count: usize,
        common: &'m [f32],
    ) -> impl Iterator<Item = f32> + use<'m> {
        let sent = self.sent.map_or(&[][..], |sent| &common[sent..][..count]);
        sent.iter().copied()
    }
}

/// Writes a body over, once for each lane.
struct Writer<'c, 'p> {
    context: &'c mut Context<'p>,
    process: Process,
    homes: PrimaryMap<Array, Home>,
    body: Body,
    elements: Vec<(Origin, Array)>,
    places: usize,
    /// What is sent, as far as the lanes are folded.
    sent: Option<Value>,
    lane: usize,
    /// The new value of each old one, on this lane.
    values: Vec<Value>,
}

impl Writer<'_, '_> {
    /// A new array with an element for each arrival.
    fn lanes(&mut self) -> Array {
        let place = self.context.space.passed(ARRIVALS, self.places);
        self.places += 1;
        self.homes.push(Home::Arena(place));
        self.process.arrays.push(ArrayDecl {
            name: String::new(),
            kind: ArrayKind::State { init: 0.0 },
        })
    }

    fn element(&mut self, origin: Origin) -> Array {
        if let Some((_, array)) = self.elements.iter().find(|(o, _)| *o == origin) {
            return *array;
        }
        let of_arrivals = self.lanes();
        self.elements.push((origin, of_arrivals));
        of_arrivals
    }

    /// The elements by source of an array on this lane.
    fn by_source(&mut self, array: Array) -> Array {
        let origin = match self.context.homes[array] {
            Home::Arena(base) | Home::Scalar(base) => Origin::ArenaRow(base as usize + self.lane),
            Home::Weights(base) => Origin::WeightsRow(base as usize + self.lane),
        };
        self.element(origin)
    }

    /// The element of an array on this lane.
    fn by_lane(&mut self, array: Array) -> Array {
        let origin = match self.context.homes[array] {
            Home::Scalar(base) => Origin::Arena(base as usize),
            Home::Arena(base) => Origin::Arena(base as usize + self.lane),
            Home::Weights(base) => Origin::Weights(base as usize + self.lane),
        };
        self.element(origin)
    }

    fn operation(&mut self, op: &Op, times: Array) -> Op {
        match op {
            Op::Time => Op::Load(times),
            Op::LoadRow(array, _) => Op::Load(self.by_source(*array)),
            Op::Load(array) => Op::Load(self.by_lane(*array)),
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
        let row = |array: Array| {
            let mut rows = self.elements.iter();
            rows.any(|(o, a)| *a == array && matches!(o, Origin::ArenaRow(_)))
        };
        // Two zeros are equal, and not the same.
        if matches!(op, Op::Const(_)) || matches!(op, Op::Load(array) if row(array)) {
            return None;
        }
        self.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(v, other) if *other == op => Some(*v),
            _ => None,
        })
    }

    fn statement(&mut self, stmt: &Stmt, times: Array) {
        match stmt {
            Stmt::Let(_, op) => {
                let op = self.operation(op, times);
                let value = self.known(op).unwrap_or_else(|| self.body.push(op));
                self.values.push(value);
            }
            Stmt::StoreRow(array, _, v) => {
                let array = self.by_source(*array);
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

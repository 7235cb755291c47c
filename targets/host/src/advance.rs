//! Arrivals of a process with few lanes, for the replicas of a group.
//!
//! What an arrival adds to a few lanes is too little work for the vector machine. The handler is written over for rows of
//! elements: the lanes of all replicas, each of which takes an arrival of its own. It goes over several arrivals one
//! after the other, and keeps what states were before each, for the search that follows (`rows`).

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, CoefficientValue, Domain, Handler, HandlerKind, Op, Process,
    Row, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::course::Arrival;
use crate::facts::{loads, operands, reads, writes};
use crate::frame::{Events, Frame};
use crate::lists::renamed;
use crate::prepared;
use crate::space::{Shape, Width};

/// The handler of arrivals over rows, for one arrival of each replica after the other.
pub(crate) struct Advance {
    routine: Routine,
    states: Vec<StatePlaces>,
    /// Where weights come from for source 0, and where they lie for the first arrival.
    weights: Vec<(usize, usize)>,
    /// Where that lies which was made of the time alone.
    numbers: Vec<usize>,
    /// Where their times lie, if the handler looks at them.
    times: Option<usize>,
    /// One a number of an arrival: 0, 1, 2...
    steps: Vec<u32>,
    stride: usize,
}

/// Where a state that the handler names is.
struct StatePlaces {
    /// Of the replica.
    home: usize,
    /// In rows, while it changes.
    now: usize,
    /// What it was before the first arrival, if arrivals change it.
    kept: Option<usize>,
}

impl Advance {
    /// Of a process to which one channel brings what changes nothing but states, over so many elements for so many
    /// arrivals of each replica.
    pub(crate) fn new(context: &mut Context<'_>, elements: usize, depth: usize) -> Option<Self> {
        let events = context.process.handlers.iter();
        let mut events = events.filter(|h| matches!(h.kind, HandlerKind::Event(_)));
        let (Some(handler), None) = (events.next(), events.next()) else {
            return None;
        };
        if handler.domain != Domain::Lanes {
            return None;
        }
        let stride = context.shape.stride;
        let mut writer = Writer::new(context, handler, elements)?;
        for stmt in &handler.body.stmts {
            writer.statement(stmt)?;
        }
        let place = |array: Array| writer.homes[array].in_arena().unwrap_or_default();
        let states = writer.states.iter().map(|state| StatePlaces {
            home: state.home,
            now: place(state.now),
            kept: state.kept.map(place),
        });
        let weights = writer.weights.iter();
        let numbers = writer.numbers.iter();
        Some(Self {
            states: states.collect(),
            weights: weights.map(|(from, to)| (*from, place(*to))).collect(),
            numbers: numbers.map(|(_, array)| place(*array)).collect(),
            times: writer.times.map(place),
            steps: (0..).take(depth).collect(),
            stride,
            routine: writer.compile(handler.kind),
        })
    }

    /// States that arrivals change: where they are of the replica, and where they are kept.
    pub(crate) fn kept(&self) -> impl Iterator<Item = (usize, usize)> {
        let states = self.states.iter();
        states.filter_map(|state| Some((state.home, state.kept?)))
    }

    /// How many arrivals of each replica there are.
    pub(crate) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// Puts the states of a replica in their place.
    #[inline(always)]
    pub(crate) fn begin(&self, start: usize, memory: &[f32], common: &mut [f32]) {
        for state in &self.states {
            let mut row = Places::new(common, state.now + start, 0, self.stride);
            row.copy(&memory[state.home..]);
        }
    }

    /// Puts arrivals in their places, with the numbers that were made of their times.
    #[inline(always)]
    pub(crate) fn fill(
        &self,
        start: usize,
        elements: usize,
        arrivals: &[Arrival],
        numbers: &[f32],
        frame: &mut Frame<'_>,
    ) {
        for (from, to) in &self.weights {
            let weights = &frame.weights[*from..];
            let mut rows = Places::new(&mut *frame.mem, to + start, elements, self.stride);
            for arrival in arrivals {
                rows.copy(&weights[arrival.source as usize * self.stride..]);
            }
        }
        let numbers = numbers.chunks_exact(self.numbers.len().max(1));
        for (k, to) in self.numbers.iter().enumerate() {
            let mut rows = Places::new(&mut *frame.mem, to + start, elements, self.stride);
            for (_, numbers) in arrivals.iter().zip(numbers.clone()) {
                rows.fill(numbers[k]);
            }
        }
        if let Some(to) = self.times {
            let mut rows = Places::new(&mut *frame.mem, to + start, elements, self.stride);
            arrivals.iter().for_each(|arrival| rows.fill(arrival.time));
        }
    }

    /// Takes replicas, whose rows have so many elements an arrival, over all arrivals.
    pub(crate) fn run(&self, elements: usize, frame: &mut Frame<'_>) {
        let mut events = Events {
            sources: &self.steps,
            ..Events::in_bin(0)
        };
        let shape = std::mem::replace(&mut frame.shape, Shape::population(elements));
        self.routine.run_all(&mut events, frame);
        frame.shape = shape;
    }

    /// Takes a replica to what it is after all arrivals.
    pub(crate) fn end(&self, start: usize, memory: &mut [f32], common: &[f32]) {
        for state in &self.states {
            let mut row = Places::new(memory, state.home, 0, self.stride);
            row.copy(&common[state.now + start..]);
        }
    }

    /// Takes a replica to what it was before the arrival in this place.
    pub(crate) fn restore(&self, at: usize, memory: &mut [f32], common: &[f32]) {
        for (to, from) in self.kept() {
            Places::new(memory, to, 0, self.stride).copy(&common[from + at..]);
        }
    }
}

/// A state that the handler names.
struct State {
    old: Array,
    home: usize,
    now: Array,
    kept: Option<Array>,
}

/// Writes a handler over.
struct Writer<'c, 'p> {
    context: &'c mut Context<'p>,
    elements: usize,
    old: &'p Body,
    process: Process,
    homes: PrimaryMap<Array, Home>,
    body: Body,
    /// The new value of each old one.
    values: Vec<Value>,
    states: Vec<State>,
    /// Where weights lie for source 0, and the rows that have those of arrivals.
    weights: Vec<(usize, Array)>,
    /// What is made of the time alone, and the rows that have it.
    numbers: Vec<(Value, Array)>,
    times: Option<Array>,
}

impl<'c, 'p> Writer<'c, 'p> {
    fn new(context: &'c mut Context<'p>, handler: &'p Handler, elements: usize) -> Option<Self> {
        let mut writer = Self {
            elements,
            old: &handler.body,
            process: context.process.clone(),
            homes: context.homes.clone(),
            body: Body::default(),
            values: Vec::new(),
            states: Vec::new(),
            weights: Vec::new(),
            numbers: Vec::new(),
            times: None,
            context,
        };
        let stmts = writer.old.stmts.iter();
        for array in stmts.flat_map(|s| loads(s).into_iter().chain(writes(s))) {
            writer.state(array)?;
        }
        for value in prepared::made(writer.context.process, writer.old) {
            let rows = writer.rows();
            writer.numbers.push((value, rows));
        }
        Some(writer)
    }

    /// Compiles what was written.
    fn compile(self, kind: HandlerKind) -> Routine {
        let handler = Handler {
            kind,
            domain: Domain::Lanes,
            body: self.body,
        };
        let mut context = Context {
            process: &self.process,
            homes: &self.homes,
            shape: Shape::population(self.elements),
            space: &mut *self.context.space,
        };
        compile::compile(&mut context, &handler)
    }

    /// A new array with a row for each replica and arrival.
    fn rows(&mut self) -> Array {
        let place = self.context.space.array(self.elements, 0.0);
        self.homes.push(Home::Arena(place));
        self.process.arrays.push(ArrayDecl {
            name: String::new(),
            kind: ArrayKind::State { init: 0.0 },
        })
    }

    /// Makes rows for a state, and has what it was kept if it changes. Nothing if there can be none.
    fn state(&mut self, array: Array) -> Option<()> {
        let kind = self.context.process.arrays[array].kind;
        let known = self.states.iter().any(|state| state.old == array);
        if known || !matches!(kind, ArrayKind::State { .. }) {
            return Some(());
        }
        let home = self.context.homes[array].in_arena()?;
        let now = self.rows();
        let changes = self.old.stmts.iter().any(|s| writes(s) == Some(array));
        let kept = changes.then(|| {
            let kept = self.rows();
            let value = self.body.push(Op::Load(now));
            let stmt = Stmt::StoreRow(kept, Row::Source, value);
            self.body.stmts.push(stmt);
            kept
        });
        self.states.push(State {
            old: array,
            home,
            now,
            kept,
        });
        Some(())
    }

    /// The rows of a state as it is.
    fn now(&self, array: Array) -> Option<Array> {
        let state = self.states.iter().find(|state| state.old == array)?;
        Some(state.now)
    }

    fn statement(&mut self, stmt: &Stmt) -> Option<()> {
        match stmt {
            Stmt::Let(v, op) => {
                let op = self.operation(*v, op)?;
                let value = self.body.push(op);
                self.values.push(value);
            }
            Stmt::Store(array, v) => {
                let store = Stmt::Store(self.now(*array)?, self.values[v.index()]);
                self.body.stmts.push(store);
            }
            _ => return None,
        }
        Some(())
    }

    fn operation(&mut self, v: Value, op: &Op) -> Option<Op> {
        if let Some((_, rows)) = self.numbers.iter().find(|(made, _)| *made == v) {
            return Some(Op::LoadRow(*rows, Row::Source));
        }
        Some(match op {
            Op::Time if self.looks_at(v) => {
                let rows = self.times.unwrap_or_else(|| self.rows());
                self.times = Some(rows);
                Op::LoadRow(rows, Row::Source)
            }
            Op::Time => Op::Const(0.0),
            Op::Load(array) => Op::Load(self.now(*array)?),
            Op::LoadRow(array, Row::Source) => Op::LoadRow(self.weights(*array)?, Row::Source),
            Op::Coef(coef) => match self.context.process.coefs[*coef].value {
                CoefficientValue::Uniform(_) => *op,
                CoefficientValue::PerLane(_) => return None,
            },
            Op::Lane | Op::LoadRow(..) => return None,
            op => renamed(op, &self.values),
        })
    }

    /// The rows that have the weights of the sources.
    fn weights(&mut self, array: Array) -> Option<Array> {
        let Home::Weights(from) = self.context.homes[array] else {
            return None;
        };
        let from = from as usize;
        if let Some((_, rows)) = self.weights.iter().find(|(known, _)| *known == from) {
            return Some(*rows);
        }
        let rows = self.rows();
        self.weights.push((from, rows));
        Some(rows)
    }

    /// Whether anything but the numbers, and what they are made of, depends on the time.
    fn looks_at(&self, time: Value) -> bool {
        let mut dependent = vec![false; self.old.values];
        dependent[time.index()] = true;
        for stmt in &self.old.stmts {
            match stmt {
                Stmt::Let(v, op) => {
                    let made = self.numbers.iter().any(|(number, _)| number == v);
                    let depends = operands(op).iter().any(|of| dependent[of.index()]);
                    dependent[v.index()] |= depends && !made;
                }
                other if reads(other).iter().any(|v| dependent[v.index()]) => return true,
                _ => {}
            }
        }
        false
    }
}

/// Elements that are copied at once; rows are whole chunks.
const CHUNK: usize = Width::Narrow as usize;

/// A row, and those of later intervals.
pub(crate) struct Places<'a> {
    chunks: &'a mut [[f32; CHUNK]],
    at: usize,
    step: usize,
    width: usize,
}

impl<'a> Places<'a> {
    #[inline(always)]
    pub(crate) fn new(mem: &'a mut [f32], start: usize, elements: usize, stride: usize) -> Self {
        Self {
            chunks: mem.as_chunks_mut().0,
            at: start / CHUNK,
            step: elements / CHUNK,
            width: stride / CHUNK,
        }
    }

    /// The next row.
    #[inline(always)]
    fn next(&mut self) -> &mut [[f32; CHUNK]] {
        let row = &mut self.chunks[self.at..self.at + self.width];
        self.at += self.step;
        row
    }

    #[inline(always)]
    pub(crate) fn copy(&mut self, from: &[f32]) {
        for (to, from) in self.next().iter_mut().zip(from.as_chunks().0) {
            *to = *from;
        }
    }

    #[inline(always)]
    pub(crate) fn fill(&mut self, number: f32) {
        for chunk in self.next() {
            *chunk = [number; CHUNK];
        }
    }
}

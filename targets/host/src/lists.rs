//! Handlers that run for some lanes of a process and not for others, over a list of these lanes.
//!
//! Of all lanes few can spike in an interval, and in a window few have spiked. Their states are gathered, the
//! vector machine runs over the list as over a small population, and what it stored is scattered. A lane that skips
//! is computed on and keeps what it had.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, Cmp, CoefficientValue, Curve, Domain, Handler, HandlerKind,
    Op, Process, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::frame::Frame;
use crate::space::{Shape, Space, Width};

/// A handler over a list of lanes.
pub(crate) struct ListCode {
    /// Where an array of the list comes from, and where it lies.
    gathers: Vec<(Origin, usize)>,
    /// Where an array of the list lies, and where its process has it.
    scatters: Vec<(usize, usize)>,
    routine: Routine,
}

/// What the elements of a list are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Those of the lanes, of an array in the arena.
    Arena(usize),
    /// Those of the lanes, of a parameter.
    Weights(usize),
    /// A number of the entry itself.
    Entry(Given),
}

/// A number that comes with each entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Given {
    /// The time of an own spike, or the beginning of an interval.
    Time,
    /// The end of an interval.
    Until,
    /// The error of an own spike.
    Payload,
    /// A field of an own spike.
    Field(usize),
}

/// The lanes that code runs for, none of them twice, with what comes with each.
#[derive(Clone, Debug, Default)]
pub(crate) struct List {
    pub(crate) lanes: Vec<u32>,
    pub(crate) times: Vec<f32>,
    pub(crate) payloads: Vec<f32>,
    /// Fields of each, one after the other.
    pub(crate) fields: Vec<f32>,
}

impl List {
    pub(crate) fn clear(&mut self) {
        self.lanes.clear();
        self.times.clear();
        self.payloads.clear();
        self.fields.clear();
    }
}

impl ListCode {
    /// Compiles a handler of one process for lists of its lanes.
    pub(crate) fn new(context: &mut Context<'_>, handler: &Handler) -> Self {
        let mut writer = Writer::new(context, Over::List);
        for stmt in &handler.body.stmts {
            writer.statement(stmt);
        }
        let place = |array: Array| writer.homes[array].in_arena().unwrap_or_default();
        let gathers = writer.gathers.iter().map(|(o, a)| (*o, place(*a)));
        let pairs = writer.scatters.iter();
        let scatters = pairs.map(|(list, array)| (place(*list), place(*array)));
        Self {
            gathers: gathers.collect(),
            scatters: scatters.collect(),
            routine: writer.compile(handler.kind),
        }
    }

    /// Runs it. Spikes name places of the list.
    pub(crate) fn run(&self, list: &List, frame: &mut Frame<'_>) {
        for (origin, to) in &self.gathers {
            self.gather(*origin, *to, list, frame);
        }
        self.routine.run_over(list.lanes.len(), frame.shape, frame);
        for (from, to) in &self.scatters {
            for (k, lane) in list.lanes.iter().enumerate() {
                frame.mem[to + *lane as usize] = frame.mem[from + k];
            }
        }
    }

    fn gather(&self, origin: Origin, to: usize, list: &List, frame: &mut Frame<'_>) {
        let count = list.lanes.len();
        match origin {
            Origin::Arena(base) => {
                for (k, lane) in list.lanes.iter().enumerate() {
                    frame.mem[to + k] = frame.mem[base + *lane as usize];
                }
            }
            Origin::Weights(base) => {
                for (k, lane) in list.lanes.iter().enumerate() {
                    frame.mem[to + k] = frame.weights[base + *lane as usize];
                }
            }
            Origin::Entry(Given::Time) => {
                frame.mem[to..to + count].copy_from_slice(&list.times);
            }
            // All lanes of a list have the same.
            Origin::Entry(Given::Until) => {}
            Origin::Entry(Given::Payload) => {
                frame.mem[to..to + count].copy_from_slice(&list.payloads);
            }
            Origin::Entry(Given::Field(field)) => {
                let fields = list.fields.chunks_exact(frame.fields);
                for (k, fields) in fields.enumerate() {
                    frame.mem[to + k] = fields[field];
                }
            }
        }
    }
}

/// The first conditions of a search for spikes, over all lanes: which lanes are left.
pub(crate) struct Filter {
    pub(crate) routine: Routine,
    /// The array that says so, 0 where a lane has skipped.
    pub(crate) alive: usize,
}

impl Filter {
    /// Of a search that begins with conditions.
    pub(crate) fn new(context: &mut Context<'_>, handler: &Handler) -> Option<Self> {
        let leading = leading(handler, MOST_CONDITIONS)?;
        let mut writer = Writer::new(context, Over::Process);
        for stmt in leading {
            writer.statement(stmt);
        }
        let alive = writer.conditions()?;
        Some(Self {
            alive: writer.homes[alive].in_arena()?,
            routine: writer.compile(handler.kind),
        })
    }
}

/// The statements up to the last of so many conditions that a search begins with.
fn leading(handler: &Handler, most: usize) -> Option<&[Stmt]> {
    let stmts = &handler.body.stmts;
    let leads = |stmt: &Stmt| match stmt {
        Stmt::Let(_, op) => !matches!(op, Op::Root { .. }),
        Stmt::Skip(_) => true,
        _ => false,
    };
    let leading = stmts.iter().take_while(|stmt| leads(stmt)).enumerate();
    let skips = leading.filter(|(_, stmt)| matches!(stmt, Stmt::Skip(_)));
    let last = skips.map(|(at, _)| at).take(most).last()?;
    Some(&stmts[..=last])
}

/// The conditions of a search in several intervals at once, of a process with few lanes: rows of its lanes, an
/// interval each.
pub(crate) struct Intervals {
    routine: Routine,
    /// Where the lanes of the process lie, and their rows.
    pub(crate) kept: Vec<(usize, usize)>,
    /// Rows of the ends of the intervals.
    since: Option<usize>,
    until: Option<usize>,
    alive: usize,
}

/// Lanes of a row.
const STRIDE: usize = Width::Narrow as usize;

#[inline(always)]
fn copy(frame: &mut Frame<'_>, from: usize, to: usize) {
    let row: [f32; STRIDE] = std::array::from_fn(|lane| frame.mem[from + lane]);
    frame.mem[to..to + STRIDE].copy_from_slice(&row);
}

/// Intervals at once.
pub(crate) const INTERVALS: usize = 16;

impl Intervals {
    /// Of a process whose arrivals change nothing but states.
    pub(crate) fn new(context: &mut Context<'_>, handler: &Handler) -> Option<Self> {
        let process = context.process;
        if context.shape.width != Width::Narrow {
            return None;
        }
        let mut written = Vec::new();
        for event in &process.handlers {
            if !matches!(event.kind, HandlerKind::Event(_)) {
                continue;
            }
            for stmt in &event.body.stmts {
                match stmt {
                    Stmt::Let(..) => {}
                    Stmt::Store(array, _)
                        if matches!(process.arrays[*array].kind, ArrayKind::State { .. }) =>
                    {
                        written.push(*array);
                    }
                    _ => return None,
                }
            }
        }
        let leading = leading(handler, usize::MAX)?;
        let rows = Shape::population(INTERVALS * STRIDE);
        let mut writer = Writer::new(context, Over::Rows(rows));
        for stmt in leading {
            writer.statement(stmt);
        }
        for array in written {
            writer.of_lanes(array);
        }
        let place = |writer: &Writer<'_, '_>, origin: Origin| {
            let (_, array) = writer.gathers.iter().find(|(o, _)| *o == origin)?;
            writer.homes[*array].in_arena()
        };
        let since = place(&writer, Origin::Entry(Given::Time));
        let until = place(&writer, Origin::Entry(Given::Until));
        let rows_of = |(origin, array): &(Origin, Array)| match origin {
            Origin::Arena(base) => Some((*base, writer.homes[*array].in_arena()?)),
            _ => None,
        };
        let kept = writer.gathers.iter().filter_map(rows_of).collect();
        let weights = |(o, _): &(Origin, Array)| matches!(o, Origin::Weights(_));
        if writer.gathers.iter().any(weights) {
            return None;
        }
        let alive = writer.conditions()?;
        Some(Self {
            kept,
            since,
            until,
            alive: writer.homes[alive].in_arena()?,
            routine: writer.compile(handler.kind),
        })
    }

    /// Keeps the lanes as they are, for this row.
    pub(crate) fn keep(&self, row: usize, (since, until): (f32, f32), frame: &mut Frame<'_>) {
        let at = row * STRIDE;
        for (from, to) in &self.kept {
            copy(frame, *from, to + at);
        }
        for (place, time) in [(self.since, since), (self.until, until)] {
            if let Some(place) = place {
                frame.mem[place + at..][..STRIDE].fill(time);
            }
        }
    }

    /// Takes the lanes back to what they were.
    pub(crate) fn restore(&self, row: usize, frame: &mut Frame<'_>) {
        let at = row * STRIDE;
        for (to, from) in &self.kept {
            copy(frame, from + at, *to);
        }
    }

    /// Looks at the first rows.
    pub(crate) fn run(&self, rows: usize, frame: &mut Frame<'_>) {
        let whole = Shape::population(INTERVALS * STRIDE);
        self.routine.run_over(rows * STRIDE, whole, frame);
    }

    /// For each lane of a row, 0 where it has skipped.
    pub(crate) fn alive<'m>(&self, row: usize, frame: &'m Frame<'_>) -> &'m [f32] {
        &frame.mem[self.alive + row * STRIDE..][..frame.shape.lanes]
    }
}

/// More of them cost all lanes more than they save those that are left.
const MOST_CONDITIONS: usize = 2;

/// Writes a body over.
struct Writer<'c, 'p> {
    space: &'c mut Space,
    shape: Shape,
    old: &'p Process,
    old_homes: &'p PrimaryMap<Array, Home>,
    process: Process,
    homes: PrimaryMap<Array, Home>,
    body: Body,
    /// The new value of each old one.
    values: Vec<Value>,
    gathers: Vec<(Origin, Array)>,
    scatters: Vec<(Array, Array)>,
    /// A number that is 0 where a lane has skipped; none before any may have.
    alive: Option<Value>,
    over: Over,
}

/// What a body that is written over runs over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// A list of lanes.
    List,
    /// All lanes, of which each begins at the same time.
    Process,
    /// Rows of all lanes.
    Rows(Shape),
}

impl<'c, 'p> Writer<'c, 'p> {
    fn new(context: &'c mut Context<'p>, over: Over) -> Self {
        Self {
            space: &mut *context.space,
            shape: context.shape,
            old: context.process,
            old_homes: context.homes,
            process: context.process.clone(),
            homes: context.homes.clone(),
            body: Body::default(),
            values: Vec::new(),
            gathers: Vec::new(),
            scatters: Vec::new(),
            alive: None,
            over,
        }
    }

    /// Compiles what was written.
    fn compile(self, kind: HandlerKind) -> Routine {
        let handler = Handler {
            kind,
            domain: Domain::Lanes,
            body: self.body,
        };
        let shape = match self.over {
            Over::Rows(rows) => rows,
            Over::List | Over::Process => self.shape,
        };
        let mut context = Context {
            process: &self.process,
            homes: &self.homes,
            shape,
            space: self.space,
        };
        compile::compile(&mut context, &handler)
    }

    /// The array of the list that has these elements.
    fn array(&mut self, origin: Origin) -> Array {
        if let Some((_, array)) = self.gathers.iter().find(|(o, _)| *o == origin) {
            return *array;
        }
        let len = match self.over {
            Over::Rows(shape) => shape.padded,
            _ => self.shape.padded,
        };
        let place = self.space.passed(len, self.gathers.len());
        let array = self.process.arrays.push(ArrayDecl {
            name: String::new(),
            kind: ArrayKind::State { init: 0.0 },
        });
        self.homes.push(Home::Arena(place));
        self.gathers.push((origin, array));
        array
    }

    /// The array of the list with the lanes of an array of the process; the array itself where it is a scalar.
    fn of_lanes(&mut self, array: Array) -> Array {
        match self.old_homes[array] {
            _ if self.over == Over::Process => array,
            Home::Scalar(_) => array,
            Home::Arena(base) => self.array(Origin::Arena(base as usize)),
            Home::Weights(base) => self.array(Origin::Weights(base as usize)),
        }
    }

    /// Ends a body that says which lanes are left; the array that it says it in.
    fn conditions(&mut self) -> Option<Array> {
        let left = self.alive?;
        let alive = self.array(Origin::Arena(usize::MAX));
        self.body.stmts.retain(|s| !matches!(s, Stmt::Skip(_)));
        self.body.stmts.push(Stmt::Store(alive, left));
        Some(alive)
    }

    fn operation(&mut self, op: &Op) -> Op {
        let given = match op {
            Op::Load(array) => return Op::Load(self.of_lanes(*array)),
            _ if self.over == Over::Process => return renamed(op, &self.values),
            Op::Coef(coef) => match &self.old.coefs[*coef].value {
                CoefficientValue::Uniform(_) => return *op,
                value @ CoefficientValue::PerLane(_) => {
                    let table = self.space.coefficient(&self.shape, value);
                    Origin::Arena(table.base as usize)
                }
            },
            Op::Lane => Origin::Arena(self.space.lane_numbers(&self.shape).base as usize),
            Op::Until if self.over != Over::List => Origin::Entry(Given::Until),
            Op::Time | Op::Since => Origin::Entry(Given::Time),
            Op::Payload => Origin::Entry(Given::Payload),
            Op::Field(k) => Origin::Entry(Given::Field(*k)),
            _ => return renamed(op, &self.values),
        };
        Op::Load(self.array(given))
    }

    fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(_, op) => {
                let op = self.operation(op);
                let value = self.body.push(op);
                self.values.push(value);
            }
            Stmt::Store(array, v) => self.store(*array, self.values[v.index()]),
            Stmt::Skip(cond) => self.skip(self.values[cond.index()]),
            Stmt::Spike { cond, time, fields } => {
                let fields = fields.iter().map(|op| self.operation(op)).collect();
                let cond = self.values[cond.index()];
                let cond = match self.alive {
                    None => cond,
                    Some(alive) => {
                        let zero = self.body.push(Op::Const(0.0));
                        let spikes = self.body.push(Op::Select(cond, alive, zero));
                        self.body.push(Op::Cmp(Cmp::Gt, spikes, zero))
                    }
                };
                let time = time.map(|time| self.values[time.index()]);
                self.body.stmts.push(Stmt::Spike { cond, time, fields });
            }
            // Lanes have no rows here, and no folds.
            Stmt::StoreRow(..) | Stmt::Reduce(..) | Stmt::Send(_) | Stmt::Probe(..) => {}
        }
    }

    fn store(&mut self, array: Array, value: Value) {
        let of_list = self.of_lanes(array);
        let value = match self.alive {
            None => value,
            Some(alive) => {
                let zero = self.body.push(Op::Const(0.0));
                let old = self.body.push(Op::Load(of_list));
                let stays = self.body.push(Op::Cmp(Cmp::Gt, alive, zero));
                self.body.push(Op::Select(stays, value, old))
            }
        };
        self.body.stmts.push(Stmt::Store(of_list, value));
        if !self.scatters.contains(&(of_list, array)) {
            self.scatters.push((of_list, array));
        }
    }

    fn skip(&mut self, cond: Value) {
        let zero = self.body.push(Op::Const(0.0));
        let before = self.alive.unwrap_or_else(|| self.body.push(Op::Const(1.0)));
        let alive = self.body.push(Op::Select(cond, zero, before));
        self.alive = Some(alive);
        let nobody = self.body.push(Op::Cmp(Cmp::Eq, alive, zero));
        self.body.stmts.push(Stmt::Skip(nobody));
    }
}

/// An operation with other operands.
pub(crate) fn renamed(op: &Op, values: &[Value]) -> Op {
    let v = |value: Value| values[value.index()];
    match *op {
        Op::Unary(op, a) => Op::Unary(op, v(a)),
        Op::Binary(op, a, b) => Op::Binary(op, v(a), v(b)),
        Op::Fma(a, b, c) => Op::Fma(v(a), v(b), v(c)),
        Op::Cmp(op, a, b) => Op::Cmp(op, v(a), v(b)),
        Op::Select(cond, a, b) => Op::Select(v(cond), v(a), v(b)),
        Op::Root {
            curve,
            p,
            q,
            threshold,
            from,
        } => Op::Root {
            curve: match curve {
                Curve::Power(x) => Curve::Power(v(x)),
                Curve::Equal(x) => Curve::Equal(v(x)),
                other => other,
            },
            p: v(p),
            q: v(q),
            threshold: v(threshold),
            from: v(from),
        },
        other => other,
    }
}

//! Handlers that run for some lanes of some replicas, over a list of these lanes.
//!
//! Of all lanes few can spike in an interval, and in a window few have spiked. Their states are gathered, of all
//! replicas of a group, the vector machine runs over the list as over a population, and what it stored is scattered. A
//! lane that skips is computed on and keeps what it had. The first conditions of a search run over whole rows instead:
//! all lanes of a replica in an interval each.

use std::ops::Range;

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, Cmp, CoefficientValue, Curve, Domain, Handler, HandlerKind,
    Op, Process, Stmt, Value,
};

use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::frame::Frame;
use crate::space::{Shape, Space};

/// A handler over a list of lanes.
pub(crate) struct ListCode {
    /// Where an array of the list comes from, and where it lies.
    gathers: Vec<(Origin, usize)>,
    /// Where an array of the list lies, and where its process has it.
    scatters: Vec<(usize, usize)>,
    /// Where it leaves what is known of spikes.
    pub(crate) spikes: Option<SpikePlaces>,
    routine: Routine,
}

/// Arrays by lane of a list.
pub(crate) struct SpikePlaces {
    pub(crate) times: usize,
    pub(crate) fields: Vec<usize>,
}

/// What elements are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Those of the lanes, of an array of the replica.
    Arena(usize),
    /// A scalar of the replica.
    Scalar(usize),
    /// Those of the lanes, of a parameter.
    Weights(usize),
    /// Those of the lanes, the same for all replicas.
    Table(usize),
    /// A number of the entry itself.
    Entry(Given),
    /// Nothing: what the body leaves.
    Left(usize),
}

/// A number that comes with each entry of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Given {
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
    /// Which replica each is of.
    pub(crate) members: Vec<u32>,
    /// Where each is in the memory of all replicas, less the place of an array there.
    pub(crate) places: Vec<u32>,
    pub(crate) times: Vec<f32>,
    pub(crate) untils: Vec<f32>,
    pub(crate) payloads: Vec<f32>,
    /// Fields of each, one after the other.
    pub(crate) fields: Vec<f32>,
}

impl List {
    pub(crate) fn clear(&mut self) {
        self.members.clear();
        self.places.clear();
        self.times.clear();
        self.untils.clear();
        self.payloads.clear();
        self.fields.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds lanes of a replica, whose memory begins at `base`.
    pub(crate) fn add(&mut self, member: usize, base: usize, lanes: impl Iterator<Item = u32>) {
        let base = narrow(base);
        self.places.extend(lanes.map(|lane| base + lane));
        self.members.resize(self.places.len(), narrow(member));
    }

    /// Adds lanes of a replica, for a search of this interval.
    pub(crate) fn extend(
        &mut self,
        member: usize,
        base: usize,
        lanes: impl Iterator<Item = u32>,
        (since, until): (f32, f32),
    ) {
        self.add(member, base, lanes);
        self.times.resize(self.places.len(), since);
        self.untils.resize(self.places.len(), until);
    }

    /// Takes over a part of another list, for a search from its times on, but for the entries that are not wanted.
    pub(crate) fn refill(&mut self, of: &Self, part: Range<usize>, wanted: impl Fn(usize) -> bool) {
        self.clear();
        if part.clone().all(&wanted) {
            self.members.extend_from_slice(&of.members[part.clone()]);
            self.places.extend_from_slice(&of.places[part.clone()]);
            self.times.extend_from_slice(&of.times[part.clone()]);
            self.untils.extend_from_slice(&of.untils[part]);
            return;
        }
        for entry in part.filter(|entry| wanted(*entry)) {
            self.members.push(of.members[entry]);
            self.places.push(of.places[entry]);
            self.times.push(of.times[entry]);
            self.untils.push(of.untils[entry]);
        }
    }

    /// The parts that run together.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let len = self.places.len();
        let starts = (0..len).step_by(LANES);
        starts.map(move |start| start..len.min(start + LANES))
    }
}

/// Lanes of a list that run together: as many as leave room in the cache for all their values.
const LANES: usize = 512;

impl ListCode {
    /// Compiles a handler of one process for lists of its lanes.
    pub(crate) fn new(context: &mut Context<'_>, handler: &Handler) -> Self {
        let mut writer = Writer::new(context, Shape::population(LANES), None);
        for stmt in &handler.body.stmts {
            writer.statement(stmt);
        }
        let gathers = writer.gathers.iter();
        let gathers = gathers.filter(|(o, _)| !matches!(o, Origin::Left(_)));
        let pairs = writer.scatters.iter();
        let spikes = writer.spikes.as_ref().map(|spikes| SpikePlaces {
            times: writer.place(spikes.times),
            fields: spikes.fields.iter().map(|a| writer.place(*a)).collect(),
        });
        Self {
            gathers: gathers.map(|(o, a)| (*o, writer.place(*a))).collect(),
            scatters: pairs.map(|(a, to)| (writer.place(*a), *to)).collect(),
            spikes,
            routine: writer.compile(handler.kind),
        }
    }

    /// Runs it for a part of a list, on the memory that `frame` has, for replicas that have a block each of `memory`.
    /// Spikes name places of the part.
    pub(crate) fn run(
        &self,
        list: &List,
        part: Range<usize>,
        memory: &mut [f32],
        block: usize,
        frame: &mut Frame<'_>,
    ) {
        for (origin, to) in &self.gathers {
            let gather = Gather {
                list,
                part: part.clone(),
                memory,
                block,
            };
            gather.run(*origin, *to, frame);
        }
        let lanes = Shape::population(LANES);
        self.routine.run_over(part.len(), lanes, frame);
        let places = &list.places[part];
        for (from, to) in &self.scatters {
            for (place, value) in places.iter().zip(&frame.mem[*from..]) {
                memory[to + *place as usize] = *value;
            }
        }
    }
}

/// Where the elements of a part of a list are.
struct Gather<'a> {
    list: &'a List,
    part: Range<usize>,
    memory: &'a [f32],
    block: usize,
}

impl Gather<'_> {
    fn run(&self, origin: Origin, to: usize, frame: &mut Frame<'_>) {
        let places = &self.list.places[self.part.clone()];
        let members = &self.list.members[self.part.clone()];
        let bases = members.iter().map(|member| *member as usize * self.block);
        let lanes = places
            .iter()
            .zip(bases.clone())
            .map(|(place, base)| *place as usize - base);
        if let Origin::Table(table) = origin {
            for (k, lane) in lanes.enumerate() {
                frame.mem[to + k] = frame.mem[table + lane];
            }
            return;
        }
        let into = &mut frame.mem[to..][..self.part.len()];
        match origin {
            Origin::Arena(base) => {
                let from = &self.memory[base..];
                for (to, place) in into.iter_mut().zip(places) {
                    *to = from[*place as usize];
                }
            }
            Origin::Scalar(scalar) => {
                for (to, base) in into.iter_mut().zip(bases) {
                    *to = self.memory[base + scalar];
                }
            }
            Origin::Weights(base) => {
                for (to, lane) in into.iter_mut().zip(lanes) {
                    *to = frame.weights[base + lane];
                }
            }
            Origin::Entry(Given::Time) => into.copy_from_slice(&self.list.times[self.part.clone()]),
            Origin::Entry(Given::Until) => {
                into.copy_from_slice(&self.list.untils[self.part.clone()]);
            }
            Origin::Entry(Given::Payload) => {
                into.copy_from_slice(&self.list.payloads[self.part.clone()]);
            }
            Origin::Entry(Given::Field(field)) => {
                let fields = &self.list.fields;
                let fields = fields.chunks_exact(fields.len() / self.list.places.len());
                for (to, fields) in into.iter_mut().zip(fields.skip(self.part.start)) {
                    *to = fields[field];
                }
            }
            Origin::Table(_) | Origin::Left(_) => {}
        }
    }
}

/// Writes a body over.
pub(crate) struct Writer<'c, 'p> {
    space: &'c mut Space,
    /// Of what it runs over.
    shape: Shape,
    /// The shape of a row and how many there are, if it runs over rows.
    rows: Option<Shape>,
    old: &'p Process,
    old_homes: &'p PrimaryMap<Array, Home>,
    old_shape: Shape,
    process: Process,
    homes: PrimaryMap<Array, Home>,
    pub(crate) body: Body,
    /// The new value of each old one.
    values: Vec<Value>,
    pub(crate) gathers: Vec<(Origin, Array)>,
    /// An array, and where the process has it.
    scatters: Vec<(Array, usize)>,
    spikes: Option<Spikes>,
    /// A number that is 0 where a lane has skipped; none before any may have.
    pub(crate) alive: Option<Value>,
}

/// Arrays in which a body leaves what is known of spikes.
struct Spikes {
    times: Array,
    fields: Vec<Array>,
}

impl<'c, 'p> Writer<'c, 'p> {
    pub(crate) fn new(context: &'c mut Context<'p>, shape: Shape, rows: Option<Shape>) -> Self {
        Self {
            space: &mut *context.space,
            shape,
            rows,
            old: context.process,
            old_homes: context.homes,
            old_shape: context.shape,
            process: context.process.clone(),
            homes: context.homes.clone(),
            body: Body::default(),
            values: Vec::new(),
            gathers: Vec::new(),
            scatters: Vec::new(),
            spikes: None,
            alive: None,
        }
    }

    /// Compiles what was written.
    pub(crate) fn compile(self, kind: HandlerKind) -> Routine {
        let handler = Handler {
            kind,
            domain: Domain::Lanes,
            body: self.body,
        };
        let mut context = Context {
            process: &self.process,
            homes: &self.homes,
            shape: self.shape,
            space: self.space,
        };
        compile::compile(&mut context, &handler)
    }

    pub(crate) fn place(&self, array: Array) -> usize {
        self.homes[array].in_arena().unwrap_or_default()
    }

    pub(crate) fn declare(&mut self, place: u32) -> Array {
        self.homes.push(Home::Arena(place));
        self.process.arrays.push(ArrayDecl {
            name: String::new(),
            kind: ArrayKind::State { init: 0.0 },
        })
    }

    /// The array that has these elements.
    fn array(&mut self, origin: Origin) -> Array {
        if let Some((_, array)) = self.gathers.iter().find(|(o, _)| *o == origin) {
            return *array;
        }
        let place = match (self.rows, origin) {
            // The same for all rows, so it is there already.
            (Some(_), Origin::Table(base)) => u32::try_from(base).unwrap_or(u32::MAX),
            _ => self.space.passed(self.shape.padded, self.gathers.len()),
        };
        let array = self.declare(place);
        self.gathers.push((origin, array));
        array
    }

    /// The array with the lanes of an array of the process.
    fn of_lanes(&mut self, array: Array) -> Array {
        let origin = match self.old_homes[array] {
            Home::Scalar(base) => Origin::Scalar(base as usize),
            Home::Arena(base) => Origin::Arena(base as usize),
            Home::Weights(base) => Origin::Weights(base as usize),
        };
        self.array(origin)
    }

    fn operation(&mut self, op: &Op) -> Op {
        let shape = self.rows.unwrap_or(self.old_shape);
        let lanes = self.old_shape.lanes;
        let origin = match op {
            Op::Load(array) => return Op::Load(self.of_lanes(*array)),
            Op::Coef(coef) => match &self.old.coefs[*coef].value {
                CoefficientValue::Uniform(_) => return *op,
                value @ CoefficientValue::PerLane(_) => {
                    let table = self.space.table(&shape, |k| value.at(k % lanes));
                    Origin::Table(table.base as usize)
                }
            },
            #[expect(clippy::cast_precision_loss, reason = "lanes are below 2^24")]
            Op::Lane => {
                let table = self.space.table(&shape, |k| (k % lanes) as f32);
                Origin::Table(table.base as usize)
            }
            Op::Until => Origin::Entry(Given::Until),
            Op::Time | Op::Since => Origin::Entry(Given::Time),
            Op::Payload => Origin::Entry(Given::Payload),
            Op::Field(k) => Origin::Entry(Given::Field(*k)),
            _ => return renamed(op, &self.values),
        };
        Op::Load(self.array(origin))
    }

    pub(crate) fn statement(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(_, op) => {
                let op = match self.operation(op) {
                    root @ Op::Root { .. } => self.left_only(root),
                    op => op,
                };
                let value = self.body.push(op);
                self.values.push(value);
            }
            Stmt::Store(array, v) => self.store(*array, self.values[v.index()]),
            Stmt::Skip(cond) => self.skip(self.values[cond.index()]),
            Stmt::Spike { cond, time, fields } => self.spike(*cond, *time, fields),
            // Lanes have no rows here, and no folds.
            Stmt::StoreRow(..) | Stmt::Reduce(..) | Stmt::Send(_) | Stmt::Probe(..) => {}
        }
    }

    fn spike(&mut self, cond: Value, time: Option<Value>, fields: &[Op]) {
        let mut left = 0;
        let mut leave = |writer: &mut Self, value: Value| {
            let array = writer.array(Origin::Left(left));
            left += 1;
            writer.body.stmts.push(Stmt::Store(array, value));
            array
        };
        let cond = self.values[cond.index()];
        let fired = match self.alive {
            Some(alive) => {
                let zero = self.body.push(Op::Const(0.0));
                self.body.push(Op::Select(cond, alive, zero))
            }
            None => self.number(cond),
        };
        let time = match time {
            Some(time) => self.values[time.index()],
            None => {
                let since = self.operation(&Op::Since);
                self.body.push(since)
            }
        };
        let times = leave(self, time);
        let recorded = self.old.tape.as_ref().map_or(0, |tape| tape.fields.len());
        let fields = fields.iter().take(recorded).map(|op| {
            let op = self.operation(op);
            let value = self.body.push(op);
            leave(self, value)
        });
        let fields = fields.collect();
        self.fire(fired);
        self.spikes = Some(Spikes { times, fields });
    }

    /// Has all lanes spike where this is not 0.
    pub(crate) fn fire(&mut self, number: Value) {
        let zero = self.body.push(Op::Const(0.0));
        let cond = self.body.push(Op::Cmp(Cmp::Gt, number, zero));
        self.body.stmts.push(Stmt::Spike {
            cond,
            time: None,
            fields: Vec::new(),
        });
    }

    /// A condition as a number.
    fn number(&mut self, cond: Value) -> Value {
        let [zero, one] = [0.0, 1.0].map(|x| self.body.push(Op::Const(x)));
        self.body.push(Op::Select(cond, one, zero))
    }

    /// A root of the lanes that are left: of others there is none, so nobody waits for theirs.
    fn left_only(&mut self, root: Op) -> Op {
        let (
            Some(alive),
            Op::Root {
                curve,
                p,
                q,
                threshold,
                from,
            },
        ) = (self.alive, root)
        else {
            return root;
        };
        let zero = self.body.push(Op::Const(0.0));
        let left = self.body.push(Op::Cmp(Cmp::Gt, alive, zero));
        let [p, q, threshold] =
            [p, q, threshold].map(|operand| self.body.push(Op::Select(left, operand, zero)));
        Op::Root {
            curve,
            p,
            q,
            threshold,
            from,
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
        if let Some(place) = self.old_homes[array].in_arena()
            && !self.scatters.contains(&(of_list, place))
        {
            self.scatters.push((of_list, place));
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

#[expect(
    clippy::cast_possible_truncation,
    reason = "memories have fewer than 2^32 elements"
)]
pub(crate) fn narrow(place: usize) -> u32 {
    place as u32
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

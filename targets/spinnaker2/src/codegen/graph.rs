//! A handler's body as a graph of values.
//!
//! Memory disappears from the middle: a load behind a store is the stored value, only the last store to a
//! place stands, and equal operations are one node. What is left may be ordered freely, lane by lane, as
//! long as a place is loaded before it is stored. No rounding changes: every arithmetic node is an
//! operation of the body.
//!
//! That names exist, that places are told apart by their names and that a fold's scalar stands alone is what
//! the verifier has seen to.

use super::clock::{self, Clock};
use super::lags::Lags;
use super::{math, roots};
use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, Binary, Chan, Cmp, Coef, CoefficientValue, Curve, Domain, Fold, Handler, HandlerKind,
    Op, Outgoing, Proc, Process, Program, Row, Stmt, Unary, Value,
};

/// A node of the graph.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id(usize);

/// A place in memory that the body touches.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Slot(usize);

/// What a node computes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Node {
    /// A number, by its bits.
    Const(u32),
    /// The bin as a number.
    Tick,
    /// The lane as a number.
    Lane,
    /// The element of a place.
    Load(Slot),
    Unary(Unary, Id),
    Binary(Binary, Id, Id),
    Fma(Id, Id, Id),
    /// Never has a register: it is evaluated into the flags where it is used.
    Cmp(Cmp, Id, Id),
    Select(Id, Id, Id),
    /// Of the coefficients, the threshold and where to begin, and the curve's own parameter.
    Root(Curve, [Id; 4], Option<Id>),
}

/// Where a place is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// The lane's element of an array, or a scalar.
    Element(Array),
    /// The lane's element of a row.
    Row(Array, Row),
    /// The lane's element of a coefficient's table.
    Coef(Coef),
    /// A field of the own spike at hand.
    Field(usize),
    /// The error that came over a channel for the own spike or value at hand.
    Error(Chan),
    /// The lane's element of the array that the caller points to.
    Remote,
    /// The value that the event brought, or the sum of measures, where the caller points to.
    Payload,
    /// The exact time of what is dealt with, or the beginning of the interval.
    Time,
    /// The end of the interval.
    Until,
    /// An exponential of the time ([`super::clock`]).
    Clock(usize),
    /// One of the end of the interval.
    ClockUntil(usize),
}

/// Something that has to happen.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Root {
    Spike {
        cond: Id,
        /// Exact event times only.
        time: Option<Id>,
        fields: Vec<Id>,
    },
    /// Where it holds, nothing further happens on the lane.
    Skip(Id),
    Reduce(Slot, Folded),
    Send(Id),
    SendFold(Folded),
    Store(Slot, Id),
}

impl Root {
    /// What it needs.
    pub(super) fn operands(&self) -> Vec<Id> {
        match self {
            Self::Spike { cond, time, fields } => {
                let mut all = vec![*cond];
                all.extend(time);
                all.extend(fields);
                all
            }
            Self::Skip(id) | Self::Store(_, id) | Self::Send(id) => vec![*id],
            Self::Reduce(_, fold) | Self::SendFold(fold) => fold.operands(),
        }
    }
}

/// A fold over nodes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Folded {
    Add(Id),
    Max(Id),
    Fma(Id, Id),
}

/// A body.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) domain: Domain,
    nodes: Vec<Node>,
    /// Whether the node is the same on every lane; only where [`Graph::has_lanes`].
    uniform: Vec<bool>,
    slots: Vec<Place>,
    pub(super) roots: Vec<Root>,
}

impl Folded {
    /// What is folded in.
    pub(super) fn operands(self) -> Vec<Id> {
        match self {
            Self::Add(x) | Self::Max(x) => vec![x],
            Self::Fma(x, y) => vec![x, y],
        }
    }

    /// What the fold starts from.
    pub(super) fn identity(self) -> f32 {
        match self {
            Self::Add(_) | Self::Fma(..) => 0.0,
            Self::Max(_) => f32::NEG_INFINITY,
        }
    }
}

impl Id {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Slot {
    pub(super) fn index(self) -> usize {
        self.0
    }
}

impl Graph {
    /// The graph of a handler of `proc`.
    pub(super) fn new(program: &Program, proc: Proc, handler: &Handler) -> Self {
        let mut builder = Builder {
            program,
            proc,
            process: &program.processes[proc],
            handler,
            graph: Graph {
                domain: handler.domain,
                nodes: Vec::new(),
                uniform: Vec::new(),
                slots: Vec::new(),
                roots: Vec::new(),
            },
            clock: match clock::reads(program, proc, handler.kind) {
                true => Clock::new(program, proc),
                false => Clock::default(),
            },
            values: Vec::with_capacity(handler.body.values),
            memory: Vec::new(),
        };
        for stmt in &handler.body.stmts {
            builder.stmt(stmt);
        }
        builder.graph
    }

    /// Whether the body runs over lanes that differ, several at once.
    pub(super) fn has_lanes(&self) -> bool {
        matches!(self.domain, Domain::Lanes | Domain::Synapses)
    }

    pub(super) fn node(&self, id: Id) -> Node {
        self.nodes[id.0]
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        (0..self.nodes.len()).map(Id)
    }

    /// The load of a place, if the body has one.
    pub(super) fn load_of(&self, slot: Slot) -> Option<Id> {
        self.ids().find(|&id| self.node(id) == Node::Load(slot))
    }

    /// Whether a node, or one that it is computed from, is such.
    pub(super) fn reaches(&self, id: Id, what: &dyn Fn(Id) -> bool) -> bool {
        let mut operands = self.operands(id).into_iter();
        what(id) || operands.any(|operand| self.reaches(operand, what))
    }

    /// Whether anything that happens depends on what is in a place.
    pub(super) fn uses(&self, place: Place) -> bool {
        let here = |id| matches!(self.node(id), Node::Load(slot) if self.place(slot) == place);
        let mut needed = self.roots.iter().flat_map(Root::operands);
        needed.any(|id| self.reaches(id, &here))
    }

    pub(super) fn slot_count(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn place(&self, slot: Slot) -> Place {
        self.slots[slot.0]
    }

    pub(super) fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        (0..self.slots.len()).map(Slot)
    }

    /// Whether the node is evaluated once, before the lanes.
    pub(super) fn is_uniform(&self, id: Id) -> bool {
        self.uniform[id.0]
    }

    /// The values that have to be in registers for a node, comparisons seen through.
    pub(super) fn operands(&self, id: Id) -> Vec<Id> {
        match self.nodes[id.0] {
            Node::Const(_) | Node::Tick | Node::Lane | Node::Load(_) => Vec::new(),
            Node::Unary(_, a) => vec![a],
            Node::Binary(_, a, b) | Node::Cmp(_, a, b) => vec![a, b],
            Node::Fma(a, b, c) => vec![a, b, c],
            Node::Select(c, a, b) => {
                let mut all = self.operands(c);
                all.extend([a, b]);
                all
            }
            Node::Root(_, operands, parameter) => operands.into_iter().chain(parameter).collect(),
        }
    }

    /// Float registers that the subroutine changes which evaluates it, one bit each; 0 where there is none.
    pub(super) fn clobbers(&self, id: Id) -> u32 {
        match self.nodes[id.0] {
            Node::Unary(Unary::Exp | Unary::Ln, _) => math::CLOBBERED,
            Node::Root(..) => roots::CLOBBERED,
            _ => 0,
        }
    }
}

/// What is known of a place while the body is read.
struct Memory {
    place: Place,
    slot: Slot,
    value: Option<Id>,
    /// Position in the roots of its store.
    root: Option<usize>,
}

struct Builder<'a> {
    program: &'a Program,
    proc: Proc,
    process: &'a Process,
    handler: &'a Handler,
    graph: Graph,
    /// Exponentials that are in memory.
    clock: Clock,
    values: Vec<Id>,
    memory: Vec<Memory>,
}

impl Builder<'_> {
    fn value(&self, value: Value) -> Id {
        self.values[value.index()]
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::Let(_, op) => {
                let id = self.op(op);
                self.values.push(id);
            }
            Stmt::Store(array, value) => self.store(Place::Element(*array), *value),
            Stmt::StoreRow(array, row, value) => self.store(Place::Row(*array, *row), *value),
            Stmt::Probe(array, value) => self.store(Place::Row(*array, Row::Tick), *value),
            Stmt::Reduce(array, fold) => self.reduce(*array, *fold),
            Stmt::Send(outgoing) => self.send(*outgoing),
            Stmt::Spike { cond, time, fields } => self.spike(*cond, *time, fields),
            Stmt::Skip(cond) => self.skip(*cond),
        }
    }

    fn op(&mut self, op: &Op) -> Id {
        let node = match *op {
            Op::Const(x) => Node::Const(x.to_bits()),
            Op::Coef(coef) => match &self.process.coefs[coef].value {
                CoefficientValue::Uniform(_) => {
                    Node::Const(self.process.coefs[coef].value.at(0).to_bits())
                }
                CoefficientValue::PerLane(_) => return self.load(Place::Coef(coef)),
            },
            Op::Load(array) => return self.load(Place::Element(array)),
            Op::LoadRow(array, row) => return self.load(Place::Row(array, row)),
            Op::Field(field) => return self.load(Place::Field(field)),
            Op::Payload => return self.payload(),
            Op::Tick => Node::Tick,
            Op::Lane => Node::Lane,
            Op::Unary(op, a) => {
                let node = Node::Unary(op, self.value(a));
                match self.clocked(node) {
                    Some(place) => return self.load(place),
                    None => node,
                }
            }
            Op::Binary(op, a, b) => Node::Binary(op, self.value(a), self.value(b)),
            Op::Fma(a, b, c) => Node::Fma(self.value(a), self.value(b), self.value(c)),
            Op::Cmp(op, a, b) => Node::Cmp(op, self.value(a), self.value(b)),
            Op::Select(c, a, b) => Node::Select(self.value(c), self.value(a), self.value(b)),
            Op::Time | Op::Since => return self.load(Place::Time),
            Op::Until => return self.load(Place::Until),
            Op::Root {
                curve,
                p,
                q,
                threshold,
                from,
            } => {
                let parameter = match curve {
                    Curve::Cubic | Curve::Quartic => None,
                    Curve::Power(parameter) | Curve::Equal(parameter) => Some(parameter),
                };
                let operands = [p, q, threshold, from].map(|v| self.value(v));
                Node::Root(curve, operands, parameter.map(|v| self.value(v)))
            }
        };
        self.node(node)
    }

    /// Where the node is, if it is an exponential of time that is in memory.
    fn clocked(&self, node: Node) -> Option<Place> {
        let Node::Unary(Unary::Exp, argument) = node else {
            return None;
        };
        let Node::Binary(Binary::Mul, a, b) = self.graph.nodes[argument.0] else {
            return None;
        };
        let (time, rate) = match (self.graph.nodes[a.0], self.graph.nodes[b.0]) {
            (Node::Load(slot), Node::Const(rate)) | (Node::Const(rate), Node::Load(slot)) => {
                (self.graph.slots[slot.0], rate)
            }
            _ => return None,
        };
        let word = self.clock.word(rate)?;
        match time {
            Place::Time => Some(Place::Clock(word)),
            Place::Until => Some(Place::ClockUntil(word)),
            _ => None,
        }
    }

    /// A product with 1 is the other factor, and a product of constants is one, rounded as it would be. Coefficients are 1
    /// often enough where thresholds are tested for a spike.
    fn known(&self, node: Node) -> Option<Node> {
        let Node::Binary(Binary::Mul, a, b) = node else {
            return None;
        };
        let number = |id: Id| match self.graph.nodes[id.0] {
            Node::Const(bits) => Some(f32::from_bits(bits)),
            _ => None,
        };
        match (number(a), number(b)) {
            (Some(a), Some(b)) => Some(Node::Const((a * b).to_bits())),
            (Some(1.0), None) => Some(self.graph.nodes[b.0]),
            (None, Some(1.0)) => Some(self.graph.nodes[a.0]),
            _ => None,
        }
    }

    /// The node, an equal one if there is one.
    fn node(&mut self, node: Node) -> Id {
        let searches = self.handler.kind == HandlerKind::Cross;
        let node = searches.then(|| self.known(node)).flatten().unwrap_or(node);
        if let Some(known) = self.graph.nodes.iter().position(|n| *n == node) {
            return Id(known);
        }
        let same_everywhere = match node {
            Node::Const(_) | Node::Tick => true,
            Node::Lane => false,
            Node::Load(slot) => self.is_scalar(self.graph.slots[slot.0]),
            Node::Unary(_, a) => self.graph.uniform[a.0],
            Node::Binary(_, a, b) | Node::Cmp(_, a, b) => {
                self.graph.uniform[a.0] && self.graph.uniform[b.0]
            }
            Node::Fma(a, b, c) | Node::Select(a, b, c) => {
                [a, b, c].iter().all(|x| self.graph.uniform[x.0])
            }
            Node::Root(_, operands, parameter) => {
                let mut all = operands.into_iter().chain(parameter);
                all.all(|x| self.graph.uniform[x.0])
            }
        };
        self.graph
            .uniform
            .push(same_everywhere && self.graph.has_lanes());
        self.graph.nodes.push(node);
        Id(self.graph.nodes.len() - 1)
    }

    fn is_scalar(&self, place: Place) -> bool {
        match place {
            Place::Element(array) => self.process.arrays[array].kind.is_scalar(),
            Place::Payload
            | Place::Time
            | Place::Until
            | Place::Clock(_)
            | Place::ClockUntil(_) => true,
            _ => false,
        }
    }

    /// What a payload is depends on who runs the handler.
    fn payload(&mut self) -> Id {
        match self.handler.kind {
            HandlerKind::Gather => return self.load(Place::Remote),
            HandlerKind::Event(_) | HandlerKind::Gradient(_) | HandlerKind::Schedule => {
                return self.load(Place::Payload);
            }
            _ => {}
        }
        let mut sum = None;
        for chan in Lags::new(self.program).errors(self.proc) {
            let error = self.load(Place::Error(chan));
            sum = Some(match sum {
                None => error,
                Some(sum) => self.node(Node::Binary(Binary::Add, sum, error)),
            });
        }
        sum.unwrap_or_else(|| self.node(Node::Const(0)))
    }

    fn load(&mut self, place: Place) -> Id {
        let at = self.memory(place);
        if let Some(value) = self.memory[at].value {
            return value;
        }
        let id = self.node(Node::Load(self.memory[at].slot));
        self.memory[at].value = Some(id);
        id
    }

    fn store(&mut self, place: Place, value: Value) {
        let value = self.value(value);
        let at = self.memory(place);
        let memory = &mut self.memory[at];
        memory.value = Some(value);
        let root = Root::Store(memory.slot, value);
        match memory.root {
            Some(index) => self.graph.roots[index] = root,
            None => {
                memory.root = Some(self.graph.roots.len());
                self.graph.roots.push(root);
            }
        }
    }

    /// The record of a place, made at its first use.
    fn memory(&mut self, place: Place) -> usize {
        if let Some(at) = self.memory.iter().position(|m| m.place == place) {
            return at;
        }
        self.graph.slots.push(place);
        self.memory.push(Memory {
            place,
            slot: Slot(self.graph.slots.len() - 1),
            value: None,
            root: None,
        });
        self.memory.len() - 1
    }

    fn reduce(&mut self, array: Array, fold: Fold) {
        let at = self.memory(Place::Element(array));
        let root = Root::Reduce(self.memory[at].slot, self.fold(fold));
        self.graph.roots.push(root);
    }

    fn fold(&self, fold: Fold) -> Folded {
        match fold {
            Fold::Add(x) => Folded::Add(self.value(x)),
            Fold::Max(x) => Folded::Max(self.value(x)),
            Fold::Fma(x, y) => Folded::Fma(self.value(x), self.value(y)),
        }
    }

    fn send(&mut self, outgoing: Outgoing) {
        let root = match outgoing {
            Outgoing::Value(value) => Root::Send(self.value(value)),
            Outgoing::Fold(fold) => Root::SendFold(self.fold(fold)),
        };
        self.graph.roots.push(root);
    }

    fn spike(&mut self, cond: Value, time: Option<Value>, fields: &[Op]) {
        let cond = self.value(cond);
        let time = time.map(|time| self.value(time));
        let fields = fields.iter().map(|field| self.op(field)).collect();
        self.graph.roots.push(Root::Spike { cond, time, fields });
    }

    /// What was stored before it stands, whatever would be stored behind it.
    fn skip(&mut self, cond: Value) {
        let cond = self.value(cond);
        self.graph.roots.push(Root::Skip(cond));
        for memory in &mut self.memory {
            memory.root = None;
        }
    }
}

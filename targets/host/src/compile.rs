//! From a handler's body to the code of the two machines.
//!
//! Values are not copied into registers: a loaded value *is* the array while nothing overwrites it,
//! and a value that is stored is computed where it is stored. Products and comparisons that have one
//! purpose become part of the step that uses them. All of this moves values, never a rounding.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, Binary, Cmp, Curve, Fold, Handler, HandlerKind, Op, Outgoing, Process, Row, Stmt, Unary,
    Value,
};

use crate::code::{
    Addr, At, Compare, Cond, Dyadic, Folding, Root, Routine, Scalar, ScalarOp, Src, Term, Vector,
    VectorCode,
};
use crate::facts::{self, Facts};
use crate::frame::{FIELDS, PAYLOAD, SENT, SINCE, TICK, TIME, UNTIL};
use crate::space::{Shape, Space};

/// Where an array lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Home {
    /// One scalar.
    Scalar(u32),
    /// Lanes, or rows of lanes, in the arena.
    Arena(u32),
    /// In the weights, read only.
    Weights(u32),
}

impl Home {
    /// Where lanes start in the arena.
    pub(crate) fn in_arena(self) -> Option<usize> {
        match self {
            Self::Arena(base) => Some(base as usize),
            Self::Scalar(_) | Self::Weights(_) => None,
        }
    }

    /// The elements of the arena that hold the scalar, or the lanes of the first row.
    pub(crate) fn elements(self, shape: &Shape) -> std::ops::Range<usize> {
        match self {
            Self::Scalar(base) => base as usize..base as usize + 1,
            Self::Arena(base) => base as usize..base as usize + shape.lanes,
            Self::Weights(_) => 0..0,
        }
    }
}

/// The process that a handler belongs to, and the memory that it may add to.
pub(crate) struct Context<'a> {
    pub(crate) process: &'a Process,
    pub(crate) shape: Shape,
    pub(crate) homes: &'a PrimaryMap<Array, Home>,
    pub(crate) space: &'a mut Space,
}

/// Compiles a handler whose names have been checked.
pub(crate) fn compile(context: &mut Context<'_>, handler: &Handler) -> Routine {
    let facts = Facts::new(context.process, handler.kind, handler.domain, &handler.body);
    let mut compiler = Compiler {
        places: vec![None; handler.body.values],
        kind: handler.kind,
        elided: vec![false; facts.stmts.len()],
        aliases: Vec::new(),
        scalars: Temps::default(),
        vectors: Temps::default(),
        code: Vec::new(),
        context,
        facts,
    };
    compiler.run();
    compiler.routine()
}

/// Where a value is found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Place {
    /// In the arena.
    Arena(Src),
    /// In the weights; only for values with one consumer that can take it from there.
    Weights(Addr),
}

/// Scratch elements of one kind: which are free, and which are free again after a statement.
#[derive(Default)]
struct Temps {
    used: usize,
    free: Vec<usize>,
    /// Last use and number.
    busy: Vec<(usize, usize)>,
}

impl Temps {
    fn take(&mut self, until: usize) -> usize {
        let k = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        self.busy.push((until, k));
        k
    }

    fn release(&mut self, now: usize) {
        let free = &mut self.free;
        self.busy.retain(|(until, k)| {
            let over = *until <= now;
            if over {
                free.push(*k);
            }
            !over
        });
    }
}

struct Compiler<'c, 'p, 'b> {
    context: &'c mut Context<'p>,
    facts: Facts<'b>,
    kind: HandlerKind,
    places: Vec<Option<Place>>,
    /// Statements whose effect an earlier step already has.
    elided: Vec<bool>,
    /// Values that live in an array.
    aliases: Vec<(Array, Value)>,
    scalars: Temps,
    vectors: Temps,
    code: Vec<Vector>,
}

impl Compiler<'_, '_, '_> {
    fn run(&mut self) {
        for at in 0..self.facts.stmts.len() {
            if !self.elided[at] {
                self.statement(at, &self.facts.stmts[at].clone());
            }
            self.scalars.release(at);
            self.vectors.release(at);
        }
    }

    fn routine(self) -> Routine {
        if self.facts.vector {
            return Routine::Vector(VectorCode::new(self.code));
        }
        let steps = self.code.into_iter().filter_map(|step| match step {
            Vector::Scalar(step) => Some(step),
            _ => None,
        });
        Routine::Lane(steps.collect())
    }

    fn statement(&mut self, at: usize, stmt: &Stmt) {
        match stmt {
            Stmt::Let(v, op) => {
                if self.facts.is_computed(*v) {
                    self.define(at, *v, *op);
                }
            }
            Stmt::Store(array, v) => self.copy(self.element(*array), *v),
            Stmt::StoreRow(array, row, v) => self.copy(self.row(*array, *row), *v),
            Stmt::Probe(array, v) => self.copy(self.row(*array, Row::Tick), *v),
            Stmt::Reduce(array, fold) => self.fold(at, self.element(*array), *fold),
            Stmt::Send(Outgoing::Fold(fold)) => self.fold(at, Addr::fixed(SENT), *fold),
            Stmt::Send(Outgoing::Value(v)) => self.copy(Addr::fixed(SENT), *v),
            Stmt::Spike { cond, fields, .. } => self.spike(at, *cond, fields),
            Stmt::Skip(cond) => {
                let cond = self.cond(at, *cond);
                self.code.push(Vector::Leave { cond });
            }
        }
    }

    // Places.

    fn element(&self, array: Array) -> Addr {
        match self.context.homes[array] {
            Home::Scalar(base) => Addr::fixed(base),
            Home::Arena(base) | Home::Weights(base) => Addr::lanes(base),
        }
    }

    fn row(&self, array: Array, row: Row) -> Addr {
        let at = match row {
            Row::Source | Row::Synapse => At::Source,
            Row::Tick => At::Tick,
        };
        Addr {
            at,
            ..self.element(array)
        }
    }

    fn varying(&self, v: Value) -> bool {
        self.facts.varying[v.index()]
    }

    fn last_use(&self, v: Value) -> usize {
        self.facts.last_use[v.index()]
    }

    /// The operand; fused values have none and are asked for by other means.
    fn src(&self, v: Value) -> Src {
        match self.places[v.index()] {
            Some(Place::Arena(src)) => src,
            Some(Place::Weights(addr)) => Src::Lanes(addr),
            None => Src::Uniform(Addr::fixed(TICK)),
        }
    }

    fn addr(&self, v: Value) -> Addr {
        match self.src(v) {
            Src::Lanes(addr) | Src::Uniform(addr) => addr,
        }
    }

    fn put(&mut self, v: Value, addr: Addr) {
        let src = if self.varying(v) {
            Src::Lanes(addr)
        } else {
            Src::Uniform(addr)
        };
        self.places[v.index()] = Some(Place::Arena(src));
    }

    fn temp(&mut self, varying: bool, until: usize) -> Addr {
        if varying {
            let k = self.vectors.take(until);
            let len = self.context.shape.padded;
            Addr::lanes(self.context.space.vector_temp(len, k))
        } else {
            let k = self.scalars.take(until);
            Addr::fixed(self.context.space.scalar_temp(k))
        }
    }

    /// Where `v` is computed: in the array that it is stored to, if nobody can tell the difference.
    fn destination(&mut self, at: usize, v: Value) -> Addr {
        if let Some((store, array, addr)) = self.store_of(at, v)
            && self.may_compute_in(at, v, store, array)
        {
            self.elided[store] = true;
            self.aliases.push((array, v));
            return addr;
        }
        self.temp(self.varying(v), self.last_use(v))
    }

    /// The first store of `v` that has its shape.
    fn store_of(&self, at: usize, v: Value) -> Option<(usize, Array, Addr)> {
        let later = self.facts.stmts.iter().enumerate().skip(at + 1);
        later
            .filter_map(|(store, stmt)| match *stmt {
                Stmt::Store(array, w) if w == v => Some((store, array, self.element(array))),
                Stmt::StoreRow(array, row, w) if w == v => {
                    Some((store, array, self.row(array, row)))
                }
                Stmt::Probe(array, w) if w == v => Some((store, array, self.row(array, Row::Tick))),
                _ => None,
            })
            .find(|(_, array, _)| {
                let scalar = matches!(self.context.homes[*array], Home::Scalar(_));
                !self.facts.vector || scalar != self.varying(v)
            })
    }

    fn may_compute_in(&self, at: usize, v: Value, store: usize, array: Array) -> bool {
        let stmts = self.facts.stmts;
        let writes = |stmt: &Stmt| facts::writes(stmt) == Some(array);
        let touched_before = stmts[at + 1..store]
            .iter()
            .filter(|s| self.facts.is_live(s))
            .any(|s| writes(s) || facts::loads(s).contains(&array));
        let needed_by_others = self
            .aliases
            .iter()
            .any(|(a, w)| *a == array && self.last_use(*w) > at);
        let end = self.last_use(v).max(store + 1);
        let overwritten = stmts[store + 1..end].iter().any(writes);
        !touched_before && !needed_by_others && !overwritten
    }

    // Definitions.

    fn define(&mut self, at: usize, v: Value, op: Op) {
        match op {
            Op::Const(x) => {
                let addr = self.context.space.constant(x);
                self.put(v, addr);
            }
            Op::Coef(c) => {
                let value = &self.context.process.coefs[c].value;
                let addr = self.context.space.coefficient(&self.context.shape, value);
                self.put(v, addr);
            }
            Op::Lane => {
                let addr = self.context.space.lane_numbers(&self.context.shape);
                self.put(v, addr);
            }
            Op::Tick => self.put(v, Addr::fixed(TICK)),
            Op::Time => self.put(v, Addr::fixed(TIME)),
            Op::Since => self.put(v, Addr::fixed(SINCE)),
            Op::Until => self.put(v, Addr::fixed(UNTIL)),
            Op::Field(k) => self.put(v, field(k)),
            Op::Payload if self.kind == HandlerKind::Gather => {
                self.weight(at, v, Addr::lanes(0));
            }
            Op::Payload if self.kind == HandlerKind::Value => {
                let errors = self.context.space.passed(self.context.shape.padded, 0);
                self.put(v, Addr::lanes(errors));
            }
            Op::Payload => self.put(v, Addr::fixed(PAYLOAD)),
            Op::Load(array) => self.load(at, v, array, self.element(array)),
            Op::LoadRow(array, row) => self.load(at, v, array, self.row(array, row)),
            _ if self.varying(v) => self.define_varying(at, v, op),
            _ => {
                let to = self.destination(at, v);
                let steps = self.scalar_steps(op, to);
                self.code.extend(steps.into_iter().map(Vector::Scalar));
                self.put(v, to);
            }
        }
    }

    fn load(&mut self, at: usize, v: Value, array: Array, from: Addr) {
        if let Home::Weights(_) = self.context.homes[array] {
            return self.weight(at, v, from);
        }
        let end = self.last_use(v).max(at + 1);
        let overwritten = self.facts.stmts[at + 1..end]
            .iter()
            .any(|s| facts::writes(s) == Some(array));
        if overwritten {
            let to = self.temp(self.varying(v), self.last_use(v));
            self.put(v, from);
            self.copy(to, v);
            self.put(v, to);
        } else {
            self.put(v, from);
            self.aliases.push((array, v));
        }
    }

    fn weight(&mut self, at: usize, v: Value, from: Addr) {
        if self.stays_in_weights(v) {
            self.places[v.index()] = Some(Place::Weights(from));
            return;
        }
        let to = self.destination(at, v);
        self.code.push(if self.varying(v) {
            Vector::Weight { to, weight: from }
        } else {
            Vector::Scalar(step(ScalarOp::Weight, to, [from; 3]))
        });
        self.put(v, to);
    }

    /// Whether the one consumer of a weight has a kernel that takes it from where it is.
    fn stays_in_weights(&self, v: Value) -> bool {
        let [user] = self.facts.users[v.index()][..] else {
            return false;
        };
        let partner = match self.facts.stmts[user] {
            Stmt::Let(_, Op::Binary(Binary::Add, a, b))
            | Stmt::Reduce(_, Fold::Fma(a, b))
            | Stmt::Send(Outgoing::Fold(Fold::Fma(a, b))) => {
                if a == v {
                    b
                } else {
                    a
                }
            }
            _ => return false,
        };
        self.varying(v)
            && self.varying(partner)
            && !self.facts.fused[partner.index()]
            && !self.is_weight(partner)
    }

    fn is_weight(&self, v: Value) -> bool {
        match self.facts.ops[v.index()] {
            Op::Load(array) | Op::LoadRow(array, _) => {
                matches!(self.context.homes[array], Home::Weights(_))
            }
            Op::Payload => self.kind == HandlerKind::Gather,
            _ => false,
        }
    }

    fn define_varying(&mut self, at: usize, v: Value, op: Op) {
        let to = self.destination(at, v);
        let step = match op {
            Op::Unary(op, a) => Vector::Unary {
                op,
                to,
                a: self.addr(a),
            },
            Op::Binary(Binary::Add, a, b) => self.sum(to, a, b, false),
            Op::Binary(Binary::Sub, a, b) => self.sum(to, a, b, true),
            Op::Binary(op, a, b) => self.dyadic(to, op, a, b),
            Op::Fma(a, b, c) => Vector::Fma {
                to,
                a: self.src(a),
                b: self.src(b),
                c: self.src(c),
            },
            Op::Select(cond, a, b) => Vector::Select {
                to,
                cond: self.cond(at, cond),
                a: self.src(a),
                b: self.src(b),
            },
            Op::Cmp(op, a, b) => Vector::Condition {
                to,
                cond: self.compare(op, a, b),
            },
            Op::Root {
                curve,
                p,
                q,
                threshold,
                from,
            } => Vector::Root(Box::new(Root {
                kind: curve.into(),
                to,
                operands: root_operands(curve, [p, q, threshold, from]).map(|v| self.src(v)),
            })),
            // The others are places, not steps.
            _ => return,
        };
        self.code.push(step);
        self.put(v, to);
    }

    fn dyadic(&self, to: Addr, op: Binary, a: Value, b: Value) -> Vector {
        Vector::Dyadic {
            op: match op {
                Binary::Add => Dyadic::Add,
                Binary::Sub => Dyadic::Sub,
                Binary::Mul => Dyadic::Mul,
                Binary::Div => Dyadic::Div,
            },
            to,
            a: self.src(a),
            b: self.src(b),
        }
    }

    /// `a + b` or `a - b`.
    fn sum(&mut self, to: Addr, a: Value, b: Value, minus: bool) -> Vector {
        let weight = |v: Value| match self.places[v.index()] {
            Some(Place::Weights(addr)) => Some(addr),
            _ => None,
        };
        for (weight, other) in [(weight(a), b), (weight(b), a)] {
            if let Some(weight) = weight {
                let a = self.addr(other);
                return Vector::AddWeight { to, a, weight };
            }
        }
        let fused = |v: Value| self.facts.fused[v.index()];
        if !fused(a) && !fused(b) {
            let op = if minus { Binary::Sub } else { Binary::Add };
            return self.dyadic(to, op, a, b);
        }
        match (self.varying(a), self.varying(b)) {
            (true, true) => {
                let (a, mut b) = (self.term(a), self.term(b));
                b.minus ^= minus;
                Vector::Affine { to, a, b }
            }
            (true, false) => {
                let (a, b) = (self.term(a), self.addr(b));
                Vector::Shift { to, a, b, minus }
            }
            (false, _) => {
                let (mut b, a) = (self.term(b), self.addr(a));
                b.minus ^= minus;
                Vector::Shift {
                    to,
                    a: b,
                    b: a,
                    minus: false,
                }
            }
        }
    }

    fn term(&mut self, v: Value) -> Term {
        let one = self.context.space.constant(1.0);
        let (lanes, factor, minus) = match self.facts.ops[v.index()] {
            Op::Binary(Binary::Mul, a, b) if self.facts.fused[v.index()] => {
                let (lanes, factor) = if self.varying(a) { (a, b) } else { (b, a) };
                (lanes, self.addr(factor), false)
            }
            Op::Unary(Unary::Neg, a) if self.facts.fused[v.index()] => (a, one, true),
            _ => (v, one, false),
        };
        Term {
            lanes: self.addr(lanes),
            factor,
            minus,
        }
    }

    fn compare(&self, op: Cmp, a: Value, b: Value) -> Cond {
        let op = match op {
            Cmp::Gt => Compare::Gt,
            Cmp::Ge => Compare::Ge,
            Cmp::Lt => Compare::Lt,
            Cmp::Eq => Compare::Eq,
        };
        match (self.src(a), self.src(b)) {
            (Src::Lanes(a), b) => Cond::Compare(op, a, b),
            (a @ Src::Uniform(_), Src::Lanes(b) | Src::Uniform(b)) => {
                let mirrored = match op {
                    Compare::Gt => Compare::Lt,
                    Compare::Ge => Compare::Le,
                    Compare::Lt => Compare::Gt,
                    Compare::Le => Compare::Ge,
                    Compare::Eq => Compare::Eq,
                };
                Cond::Compare(mirrored, b, a)
            }
        }
    }

    /// A condition of the vector machine.
    fn cond(&mut self, at: usize, v: Value) -> Cond {
        match self.facts.ops[v.index()] {
            Op::Cmp(op, a, b) if self.facts.fused[v.index()] => self.compare(op, a, b),
            _ => Cond::Stored(self.spread(at, v)),
        }
    }

    /// `v` as an array, for kernels that have no form with a uniform operand.
    fn spread(&mut self, at: usize, v: Value) -> Addr {
        match self.src(v) {
            Src::Lanes(addr) => addr,
            a @ Src::Uniform(_) => {
                let to = self.temp(true, at);
                self.code.push(Vector::Copy { to, a });
                to
            }
        }
    }

    fn copy(&mut self, to: Addr, v: Value) {
        let a = self.src(v);
        let from = self.addr(v);
        if from == to {
            return;
        }
        let scalar = !self.facts.vector || to.at == At::Fixed;
        self.code.push(if scalar {
            Vector::Scalar(step(ScalarOp::Copy, to, [from; 3]))
        } else {
            Vector::Copy { to, a }
        });
    }

    // Folds and spikes.

    fn fold(&mut self, at: usize, to: Addr, fold: Fold) {
        if !self.facts.vector {
            return self.fold_step(at, to, fold);
        }
        let fold = match fold {
            Fold::Add(x) => Folding::Add(self.spread(at, x)),
            Fold::Max(x) => Folding::Max(self.spread(at, x)),
            Fold::Fma(x, y) => self.dot(at, x, y),
        };
        self.code.push(Vector::Fold { to, fold });
    }

    /// One step of a fold over synapses, which starts elsewhere.
    fn fold_step(&mut self, at: usize, to: Addr, fold: Fold) {
        let (op, operands) = match fold {
            Fold::Add(x) => (ScalarOp::Add, [to, self.addr(x), to]),
            Fold::Fma(x, y) => (ScalarOp::Fma, [self.addr(x), self.addr(y), to]),
            Fold::Max(x) => {
                let (x, more) = (self.addr(x), self.temp(false, at));
                let compare = step(ScalarOp::Gt, more, [x, to, to]);
                self.code.push(Vector::Scalar(compare));
                (ScalarOp::Select, [more, x, to])
            }
        };
        self.code.push(Vector::Scalar(step(op, to, operands)));
    }

    fn dot(&mut self, at: usize, x: Value, y: Value) -> Folding {
        match (self.places[x.index()], self.places[y.index()]) {
            (_, Some(Place::Weights(weight))) => Folding::FmaWeight(self.addr(x), weight),
            (Some(Place::Weights(weight)), _) => Folding::FmaWeight(self.addr(y), weight),
            _ => Folding::Fma(self.spread(at, x), self.spread(at, y)),
        }
    }

    fn spike(&mut self, at: usize, cond: Value, fields: &[Op]) {
        let fired = match self.cond(at, cond) {
            Cond::Stored(fired) => fired,
            cond @ Cond::Compare(..) => {
                let to = self.temp(true, at);
                self.code.push(Vector::Condition { to, cond });
                to
            }
        };
        let fields = self.fields(fields).into();
        self.code.push(Vector::Spike { fired, fields });
    }

    fn recorded(&self) -> usize {
        let tape = self.context.process.tape.as_ref();
        tape.map_or(0, |t| t.fields.len())
    }

    fn fields(&mut self, fields: &[Op]) -> Vec<Scalar> {
        let ops = fields.iter().take(self.recorded()).enumerate();
        ops.flat_map(|(k, op)| self.scalar_steps(*op, field(k)))
            .collect()
    }

    /// Any operation, as steps of the scalar machine.
    fn scalar_steps(&mut self, op: Op, to: Addr) -> Vec<Scalar> {
        let Op::Root {
            curve,
            p,
            q,
            threshold,
            from,
        } = op
        else {
            return vec![self.scalar_step(op, to)];
        };
        let base = self.context.space.root_operands();
        let operands = root_operands(curve, [p, q, threshold, from]);
        let mut steps: Vec<Scalar> = (base..)
            .zip(operands)
            .map(|(slot, v)| step(ScalarOp::Copy, Addr::fixed(slot), [self.addr(v); 3]))
            .collect();
        let first = Addr::fixed(base);
        steps.push(step(ScalarOp::Root(curve.into()), to, [first; 3]));
        steps
    }

    /// Any operation but a root, as a step of the scalar machine.
    fn scalar_step(&mut self, op: Op, to: Addr) -> Scalar {
        let unary = |op, a| step(op, to, [self.addr(a); 3]);
        let binary = |op, a, b| step(op, to, [self.addr(a), self.addr(b), self.addr(b)]);
        let copy = |addr| step(ScalarOp::Copy, to, [addr; 3]);
        match op {
            Op::Unary(Unary::Neg, a) => unary(ScalarOp::Neg, a),
            Op::Unary(Unary::Sqrt, a) => unary(ScalarOp::Sqrt, a),
            Op::Unary(Unary::Exp, a) => unary(ScalarOp::Exp, a),
            Op::Unary(Unary::Ln, a) => unary(ScalarOp::Ln, a),
            Op::Binary(Binary::Add, a, b) => binary(ScalarOp::Add, a, b),
            Op::Binary(Binary::Sub, a, b) => binary(ScalarOp::Sub, a, b),
            Op::Binary(Binary::Mul, a, b) => binary(ScalarOp::Mul, a, b),
            Op::Binary(Binary::Div, a, b) => binary(ScalarOp::Div, a, b),
            Op::Cmp(Cmp::Gt, a, b) => binary(ScalarOp::Gt, a, b),
            Op::Cmp(Cmp::Ge, a, b) => binary(ScalarOp::Ge, a, b),
            Op::Cmp(Cmp::Lt, a, b) => binary(ScalarOp::Lt, a, b),
            Op::Cmp(Cmp::Eq, a, b) => binary(ScalarOp::Eq, a, b),
            Op::Fma(a, b, c) => {
                let operands = [self.addr(a), self.addr(b), self.addr(c)];
                step(ScalarOp::Fma, to, operands)
            }
            Op::Select(a, b, c) => {
                let operands = [self.addr(a), self.addr(b), self.addr(c)];
                step(ScalarOp::Select, to, operands)
            }
            Op::Load(array) => self.scalar_load(array, self.element(array), to),
            Op::LoadRow(array, row) => self.scalar_load(array, self.row(array, row), to),
            Op::Const(x) => copy(self.context.space.constant(x)),
            Op::Coef(c) => {
                let value = &self.context.process.coefs[c].value;
                copy(self.context.space.coefficient(&self.context.shape, value))
            }
            Op::Lane => copy(self.context.space.lane_numbers(&self.context.shape)),
            Op::Tick => copy(Addr::fixed(TICK)),
            Op::Payload => copy(Addr::fixed(PAYLOAD)),
            Op::Field(k) => copy(field(k)),
            Op::Time => copy(Addr::fixed(TIME)),
            Op::Since => copy(Addr::fixed(SINCE)),
            Op::Until => copy(Addr::fixed(UNTIL)),
            Op::Root { .. } => unreachable!("a root takes several steps"),
        }
    }

    fn scalar_load(&self, array: Array, from: Addr, to: Addr) -> Scalar {
        let op = match self.context.homes[array] {
            Home::Weights(_) => ScalarOp::Weight,
            Home::Scalar(_) | Home::Arena(_) => ScalarOp::Copy,
        };
        step(op, to, [from; 3])
    }
}

fn field(k: usize) -> Addr {
    Addr::fixed(FIELDS + u32::try_from(k).unwrap_or(u32::MAX))
}

/// The operands of a root, with its exponent or rate.
fn root_operands(curve: Curve, [p, q, threshold, from]: [Value; 4]) -> [Value; 5] {
    let more = match curve {
        Curve::Power(x) | Curve::Equal(x) => x,
        Curve::Cubic | Curve::Quartic => from,
    };
    [p, q, threshold, from, more]
}

fn step(op: ScalarOp, to: Addr, [a, b, c]: [Addr; 3]) -> Scalar {
    Scalar { op, to, a, b, c }
}

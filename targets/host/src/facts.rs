//! What is known of a handler's body before code is chosen for it.

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, Binary, Body, CoefficientValue, Curve, Domain, Fold, HandlerKind, Op, Outgoing, Process,
    Stmt, Unary, Value,
};

/// Facts about the values and statements of a body.
pub(crate) struct Facts<'a> {
    pub(crate) stmts: &'a [Stmt],
    /// Whether the vector machine runs it, each statement over all lanes before the next: no statement
    /// sees what another lane left. Otherwise all values are scalars.
    pub(crate) vector: bool,
    /// Definition of each value.
    pub(crate) ops: Vec<Op>,
    /// Whether anything depends on it.
    pub(crate) live: Vec<bool>,
    /// Whether it differs from lane to lane; never in scalar code.
    pub(crate) varying: Vec<bool>,
    /// Whether its consumers compute it as part of themselves.
    pub(crate) fused: Vec<bool>,
    /// The last statement that reads it, directly or through a fused value.
    pub(crate) last_use: Vec<usize>,
    /// The statements that name it.
    pub(crate) users: Vec<Vec<usize>>,
}

impl<'a> Facts<'a> {
    /// Reads a body whose names have been checked.
    pub(crate) fn new(
        process: &Process,
        kind: HandlerKind,
        domain: Domain,
        body: &'a Body,
    ) -> Self {
        let mut facts = Self {
            stmts: &body.stmts,
            vector: domain == Domain::Lanes,
            ops: body.stmts.iter().filter_map(defined).collect(),
            live: vec![false; body.values],
            varying: vec![false; body.values],
            fused: vec![false; body.values],
            last_use: vec![0; body.values],
            users: vec![Vec::new(); body.values],
        };
        facts.find_live();
        facts.find_users();
        if facts.vector {
            facts.find_varying(process, kind);
            facts.find_fused();
        }
        facts.find_last_uses();
        facts
    }

    /// Whether `value` is computed where it is defined.
    pub(crate) fn is_computed(&self, value: Value) -> bool {
        self.live[value.index()] && !self.fused[value.index()]
    }

    /// Whether a statement matters.
    pub(crate) fn is_live(&self, stmt: &Stmt) -> bool {
        match stmt {
            Stmt::Let(v, _) => self.live[v.index()],
            _ => true,
        }
    }

    fn find_live(&mut self) {
        for stmt in self.stmts.iter().rev() {
            if self.is_live(stmt) {
                for v in reads(stmt) {
                    self.live[v.index()] = true;
                }
            }
        }
    }

    fn find_users(&mut self) {
        for (at, stmt) in self.stmts.iter().enumerate() {
            if self.is_live(stmt) {
                for v in reads(stmt) {
                    self.users[v.index()].push(at);
                }
            }
        }
    }

    fn find_varying(&mut self, process: &Process, kind: HandlerKind) {
        for v in 0..self.ops.len() {
            self.varying[v] = match self.ops[v] {
                Op::Load(array) => !process.arrays[array].kind.is_scalar(),
                Op::Coef(c) => matches!(process.coefs[c].value, CoefficientValue::PerLane(_)),
                Op::LoadRow(..) | Op::Lane => true,
                Op::Payload => matches!(kind, HandlerKind::Gather | HandlerKind::Value),
                Op::Const(_) | Op::Field(_) | Op::Tick | Op::Time | Op::Since | Op::Until => false,
                op => operands(&op).iter().any(|a| self.varying[a.index()]),
            };
        }
    }

    fn find_fused(&mut self) {
        for v in 0..self.ops.len() {
            let value = Value::new(v);
            self.fused[v] = self.live[v]
                && self.varying[v]
                && match self.ops[v] {
                    Op::Unary(Unary::Neg, _) => self.is_summand(value),
                    Op::Binary(Binary::Mul, a, b) => {
                        self.varying[a.index()] != self.varying[b.index()] && self.is_summand(value)
                    }
                    Op::Cmp(..) => self.users[v].iter().all(|at| match &self.stmts[*at] {
                        Stmt::Let(_, Op::Select(_, a, b)) => *a != value && *b != value,
                        Stmt::Skip(_) => true,
                        Stmt::Spike { cond, fields, .. } => {
                            *cond == value && fields.iter().all(|f| !operands(f).contains(&value))
                        }
                        _ => false,
                    }),
                    _ => false,
                };
        }
    }

    /// Whether the only thing that happens to it is to be added or subtracted.
    fn is_summand(&self, value: Value) -> bool {
        let [at] = self.users[value.index()][..] else {
            return false;
        };
        matches!(
            self.stmts[at],
            Stmt::Let(_, Op::Binary(Binary::Add | Binary::Sub, ..))
        )
    }

    fn find_last_uses(&mut self) {
        for (at, stmt) in self.stmts.iter().enumerate() {
            let fused = matches!(stmt, Stmt::Let(v, _) if self.fused[v.index()]);
            if self.is_live(stmt) && !fused {
                for v in reads(stmt) {
                    self.use_at(v, at);
                }
            }
        }
    }

    fn use_at(&mut self, v: Value, at: usize) {
        self.last_use[v.index()] = at;
        if self.fused[v.index()] {
            for a in operands(&self.ops[v.index()]) {
                self.use_at(a, at);
            }
        }
    }
}

fn defined(stmt: &Stmt) -> Option<Op> {
    match stmt {
        Stmt::Let(_, op) => Some(*op),
        _ => None,
    }
}

/// The values that an operation reads.
pub(crate) fn operands(op: &Op) -> Vec<Value> {
    match *op {
        Op::Unary(_, a) => vec![a],
        Op::Binary(_, a, b) | Op::Cmp(_, a, b) => vec![a, b],
        Op::Fma(a, b, c) | Op::Select(a, b, c) => vec![a, b, c],
        Op::Root {
            curve,
            p,
            q,
            threshold,
            from,
        } => {
            let more = match curve {
                Curve::Power(x) | Curve::Equal(x) => Some(x),
                Curve::Cubic | Curve::Quartic => None,
            };
            [p, q, threshold, from].into_iter().chain(more).collect()
        }
        _ => Vec::new(),
    }
}

/// The values that a fold reads.
pub(crate) fn folded(fold: Fold) -> Vec<Value> {
    match fold {
        Fold::Add(x) | Fold::Max(x) => vec![x],
        Fold::Fma(x, y) => vec![x, y],
    }
}

/// The values that a statement reads.
pub(crate) fn reads(stmt: &Stmt) -> Vec<Value> {
    match stmt {
        Stmt::Let(_, op) => operands(op),
        Stmt::Store(_, v) | Stmt::StoreRow(_, _, v) | Stmt::Probe(_, v) => vec![*v],
        Stmt::Reduce(_, fold) | Stmt::Send(Outgoing::Fold(fold)) => folded(*fold),
        Stmt::Send(Outgoing::Value(v)) | Stmt::Skip(v) => vec![*v],
        Stmt::Spike { cond, time, fields } => {
            let fields = fields.iter().flat_map(operands);
            std::iter::once(*cond).chain(*time).chain(fields).collect()
        }
    }
}

/// What a fold starts from.
pub(crate) fn identity(fold: Fold) -> f32 {
    match fold {
        Fold::Add(_) | Fold::Fma(..) => 0.0,
        Fold::Max(_) => f32::NEG_INFINITY,
    }
}

/// The array that a statement writes.
pub(crate) fn writes(stmt: &Stmt) -> Option<Array> {
    match stmt {
        Stmt::Store(a, _) | Stmt::StoreRow(a, _, _) | Stmt::Reduce(a, _) | Stmt::Probe(a, _) => {
            Some(*a)
        }
        Stmt::Let(..) | Stmt::Send(_) | Stmt::Spike { .. } | Stmt::Skip(_) => None,
    }
}

/// The arrays that a statement loads from.
pub(crate) fn loads(stmt: &Stmt) -> Vec<Array> {
    let loaded = |op: &Op| match *op {
        Op::Load(array) | Op::LoadRow(array, _) => Some(array),
        _ => None,
    };
    match stmt {
        Stmt::Let(_, op) => loaded(op).into_iter().collect(),
        Stmt::Spike { fields, .. } => fields.iter().filter_map(loaded).collect(),
        _ => Vec::new(),
    }
}

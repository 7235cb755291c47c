//! A small builder, so that bodies read like the formulas they come from.

use nirc_ir::event::{Array, Binary, Body, Cmp, Coef, Fold, Op, Outgoing, Row, Stmt, Unary, Value};

/// Builds a handler's body statement by statement.
#[derive(Clone, Debug, Default)]
pub struct BodyBuilder {
    body: Body,
}

impl BodyBuilder {
    /// An empty body.
    pub fn new() -> Self {
        Self::default()
    }

    /// Continues an existing body.
    pub fn extend(body: Body) -> Self {
        Self { body }
    }

    /// The finished body.
    pub fn finish(self) -> Body {
        self.body
    }

    /// Any operation.
    pub fn op(&mut self, op: Op) -> Value {
        self.body.push(op)
    }

    /// The operation that a value of this body is the result of.
    pub fn definition(&self, value: Value) -> Option<Op> {
        self.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(of, op) if *of == value => Some(*op),
            _ => None,
        })
    }

    /// A literal.
    pub fn constant(&mut self, x: f32) -> Value {
        self.op(Op::Const(x))
    }

    /// A coefficient.
    pub fn coef(&mut self, c: Coef) -> Value {
        self.op(Op::Coef(c))
    }

    /// A lane's element or a scalar.
    pub fn load(&mut self, array: Array) -> Value {
        self.op(Op::Load(array))
    }

    /// A lane's element of a row.
    pub fn load_row(&mut self, array: Array, row: Row) -> Value {
        self.op(Op::LoadRow(array, row))
    }

    /// What arrived.
    pub fn payload(&mut self) -> Value {
        self.op(Op::Payload)
    }

    /// The current bin.
    pub fn tick(&mut self) -> Value {
        self.op(Op::Tick)
    }

    /// `a + b`.
    pub fn add(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(Binary::Add, a, b))
    }

    /// `a - b`.
    pub fn sub(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(Binary::Sub, a, b))
    }

    /// `a * b`.
    pub fn mul(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(Binary::Mul, a, b))
    }

    /// `a / b`.
    pub fn div(&mut self, a: Value, b: Value) -> Value {
        self.op(Op::Binary(Binary::Div, a, b))
    }

    /// `a * b + c`, rounded once.
    pub fn fma(&mut self, a: Value, b: Value, c: Value) -> Value {
        self.op(Op::Fma(a, b, c))
    }

    /// `-a`.
    pub fn neg(&mut self, a: Value) -> Value {
        self.op(Op::Unary(Unary::Neg, a))
    }

    /// Square root.
    pub fn sqrt(&mut self, a: Value) -> Value {
        self.op(Op::Unary(Unary::Sqrt, a))
    }

    /// Exponential.
    pub fn exp(&mut self, a: Value) -> Value {
        self.op(Op::Unary(Unary::Exp, a))
    }

    /// Natural logarithm.
    pub fn ln(&mut self, a: Value) -> Value {
        self.op(Op::Unary(Unary::Ln, a))
    }

    /// A comparison.
    pub fn cmp(&mut self, cmp: Cmp, a: Value, b: Value) -> Value {
        self.op(Op::Cmp(cmp, a, b))
    }

    /// `cond ? a : b`.
    pub fn select(&mut self, cond: Value, a: Value, b: Value) -> Value {
        self.op(Op::Select(cond, a, b))
    }

    /// Stores a lane's element or a scalar.
    pub fn store(&mut self, array: Array, value: Value) {
        self.body.stmts.push(Stmt::Store(array, value));
    }

    /// Stores a lane's element of a row.
    pub fn store_row(&mut self, array: Array, row: Row, value: Value) {
        self.body.stmts.push(Stmt::StoreRow(array, row, value));
    }

    /// Folds over the lanes into a scalar.
    pub fn reduce(&mut self, array: Array, fold: Fold) {
        self.body.stmts.push(Stmt::Reduce(array, fold));
    }

    /// Sends an error to the producer.
    pub fn send(&mut self, outgoing: Outgoing) {
        self.body.stmts.push(Stmt::Send(outgoing));
    }

    /// Records and emits a spike where `cond` holds.
    pub fn spike(&mut self, cond: Value, fields: Vec<Op>) {
        self.body.stmts.push(Stmt::Spike {
            cond,
            time: None,
            fields,
        });
    }

    /// The same at an exact time.
    pub fn spike_at(&mut self, cond: Value, time: Value, fields: Vec<Op>) {
        self.body.stmts.push(Stmt::Spike {
            cond,
            time: Some(time),
            fields,
        });
    }

    /// Leaves the lane where `cond` holds.
    pub fn skip(&mut self, cond: Value) {
        self.body.stmts.push(Stmt::Skip(cond));
    }

    /// Writes a trace.
    pub fn probe(&mut self, array: Array, value: Value) {
        self.body.stmts.push(Stmt::Probe(array, value));
    }
}

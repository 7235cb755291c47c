//! Random bodies of handlers, within the verifier's rules.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Cmp, Coef, Coefficient, CoefficientValue, Curve,
    Domain, Fold, HandlerKind, Op, Outgoing, Output, Process, Program, Role, Row, Stmt, Tensor,
    Unary, Value,
};

use crate::rng::Rng;

/// A coefficient that is the same on all lanes, and one that is not.
pub(crate) fn coefs(rng: &mut Rng, lanes: usize) -> PrimaryMap<Coef, Coefficient> {
    let uniform = CoefficientValue::Uniform(0.3 + f64::from(rng.uniform()) * 0.6);
    let lanes = (0..lanes).map(|_| f64::from(rng.normal())).collect();
    [uniform, CoefficientValue::PerLane(lanes)]
        .into_iter()
        .enumerate()
        .map(|(k, value)| Coefficient {
            name: format!("c{k}"),
            formula: String::new(),
            value,
        })
        .collect()
}

/// Arrays of these kinds, in order.
pub(crate) fn name(kinds: Vec<ArrayKind>) -> PrimaryMap<Array, ArrayDecl> {
    let named = kinds.into_iter().enumerate().map(|(k, kind)| ArrayDecl {
        name: format!("array{k}"),
        kind,
    });
    named.collect()
}

/// Writes a body that the verifier takes, for a handler of `process`.
pub(crate) struct BodyWriter<'a> {
    rng: &'a mut Rng,
    process: &'a Process,
    kind: HandlerKind,
    domain: Domain,
    sources: usize,
    program: &'a Program,
    body: Body,
    numbers: Vec<Value>,
    truths: Vec<Value>,
    /// Arrays that the body names by their lanes or as scalars, by rows, and as scalars of folds.
    in_lanes: Vec<Array>,
    in_rows: Vec<Array>,
    folded: Vec<Array>,
    /// Values that depend on when a search for a spike began: spikes at such times might go on without end.
    running: Vec<Value>,
}

impl<'a> BodyWriter<'a> {
    /// A writer of one body. The processes at the ends of the program's channels, as far as it has them,
    /// say whether values arrive.
    pub(crate) fn new(
        rng: &'a mut Rng,
        process: &'a Process,
        kind: HandlerKind,
        domain: Domain,
        sources: usize,
        program: &'a Program,
    ) -> Self {
        Self {
            rng,
            process,
            kind,
            domain,
            sources,
            program,
            body: Body::default(),
            numbers: Vec::new(),
            truths: Vec::new(),
            in_lanes: Vec::new(),
            in_rows: Vec::new(),
            folded: Vec::new(),
            running: Vec::new(),
        }
    }

    /// The body.
    pub(crate) fn write(mut self) -> Body {
        let second = match self.has_bin() {
            true => Op::Tick,
            false => self.time().unwrap_or(Op::Const(3.0)),
        };
        for op in [Op::Const(0.75), second, Op::Coef(Coef::new(0))] {
            self.define(op);
        }
        for _ in 0..3 + self.rng.below(20) {
            match self.rng.below(4) {
                0 => self.store(),
                1 => self.load(),
                2 if self.exact() && self.rng.below(4) == 0 => self.timed(),
                _ => self.compute(),
            }
        }
        match self.kind {
            HandlerKind::Message(_) | HandlerKind::Measure => self.send(),
            HandlerKind::Tick if self.process.tape.is_some() => self.spike(),
            HandlerKind::Cross
                if self.process.tape.is_some()
                    || (self.process.output == Output::Spikes && self.rng.below(2) == 0) =>
            {
                self.spike();
            }
            _ => {}
        }
        for _ in 0..3 {
            self.store();
        }
        self.body
    }

    /// Whether spikes have exact times.
    fn exact(&self) -> bool {
        self.program.window.is_some()
    }

    /// A time that the handler knows, of exact event times.
    fn time(&mut self) -> Option<Op> {
        match self.kind {
            HandlerKind::Cross => Some(*self.rng.pick(&[Op::Since, Op::Until])),
            HandlerKind::Event(_)
            | HandlerKind::Message(_)
            | HandlerKind::Gradient(_)
            | HandlerKind::Spike => self.exact().then_some(Op::Time),
            _ => None,
        }
    }

    /// Something that stands in programs of exact event times alone.
    fn timed(&mut self) {
        let time = self.time();
        let skips = self.kind == HandlerKind::Cross && !self.truths.is_empty();
        match (self.rng.below(4), time) {
            (0, Some(time)) => self.define(time),
            (1, _) if skips => {
                let cond = *self.rng.pick(&self.truths);
                self.body.stmts.push(Stmt::Skip(cond));
            }
            _ => {
                let [p, q, threshold, from, x] = [(); 5].map(|()| self.number());
                let curves = [
                    Curve::Cubic,
                    Curve::Quartic,
                    Curve::Power(x),
                    Curve::Equal(x),
                ];
                let curve = *self.rng.pick(&curves);
                self.define(Op::Root {
                    curve,
                    p,
                    q,
                    threshold,
                    from,
                });
            }
        }
    }

    /// Whether there is a current bin.
    fn has_bin(&self) -> bool {
        if self.exact() {
            return matches!(self.kind, HandlerKind::Window | HandlerKind::AdjointWindow);
        }
        !matches!(
            self.kind,
            HandlerKind::Turn
                | HandlerKind::Gather
                | HandlerKind::Measure
                | HandlerKind::Schedule
                | HandlerKind::Update
        )
    }

    /// Whether something arrives with the event.
    fn has_payload(&self) -> bool {
        match self.kind {
            HandlerKind::Spike | HandlerKind::Value | HandlerKind::Gather => true,
            // The process is not part of the program yet.
            HandlerKind::Schedule => {
                self.process.handler(HandlerKind::Measure).is_some() || self.program.has_measures()
            }
            HandlerKind::Event(chan) | HandlerKind::Gradient(chan) => {
                let from = self.program.channels[chan].from;
                let producer = self.program.processes.get(from);
                producer.is_some_and(|p| p.output != Output::Spikes)
            }
            _ => false,
        }
    }

    /// Whether a tensor has every weight that the synapses of the handler's channel name.
    fn has_weights(&self, tensor: Tensor) -> bool {
        let (HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan)) =
            self.kind
        else {
            return false;
        };
        let largest = self.program.channels[chan].connection.largest();
        let tensor = &self.program.tensors[tensor];
        let weights = tensor.values.len() as u64;
        tensor.rows == 1 && largest.is_none_or(|(_, weight)| weight < weights)
    }

    fn number(&mut self) -> Value {
        // Recent values more often, so that bodies are deep.
        let recent = self.numbers.len().saturating_sub(4);
        let from = if self.rng.below(3) == 0 { 0 } else { recent };
        self.numbers[from + self.rng.below(self.numbers.len() - from)]
    }

    fn define(&mut self, op: Op) {
        let v = self.body.push(op);
        let runs = |v: &Value| self.running.contains(v);
        if op == Op::Since || operands(&op).iter().any(runs) {
            self.running.push(v);
        }
        match op {
            Op::Cmp(..) => self.truths.push(v),
            _ => self.numbers.push(v),
        }
    }

    fn arrays(&self, which: impl Fn(ArrayKind) -> bool) -> Vec<Array> {
        let arrays = self.process.arrays.iter();
        arrays
            .filter(|(id, a)| which(a.kind) && !self.delays_sources(*id))
            .map(|(id, _)| id)
            .collect()
    }

    /// Whether it is of a channel's delays, which no body names.
    fn delays_sources(&self, array: Array) -> bool {
        let (channels, processes) = (self.program.channels.values(), &self.program.processes);
        let mut delays = channels.filter_map(|c| Some((processes.get(c.to)?, c.delays?)));
        delays.any(|(to, delays)| {
            to.name == self.process.name
                && (delays.values == array || delays.gradient == Some(array))
        })
    }

    fn flat(&self, kind: ArrayKind) -> bool {
        match kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                matches!(self.process.role, Role::Optimiser(_)) || {
                    let tensor = &self.program.tensors[t];
                    tensor.rows == 1 && tensor.lanes == self.process.lanes
                }
            }
            ArrayKind::Trace | ArrayKind::GivenError => false,
            _ => true,
        }
    }

    fn rows(&self, kind: ArrayKind) -> Option<Row> {
        let channel = matches!(
            self.kind,
            HandlerKind::Event(_) | HandlerKind::Message(_) | HandlerKind::Gradient(_)
        );
        match kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) if self.domain == Domain::Synapses => {
                self.has_weights(t).then_some(Row::Synapse)
            }
            _ if self.domain == Domain::Synapses => None,
            ArrayKind::Param(t) | ArrayKind::Gradient(t)
                if channel
                    && self.program.tensors.get(t).is_some_and(|t| {
                        t.rows == self.sources && t.lanes == self.process.lanes
                    }) =>
            {
                Some(Row::Source)
            }
            ArrayKind::Trace | ArrayKind::GivenError if self.has_bin() => Some(Row::Tick),
            _ => None,
        }
    }

    /// Arrays that this body can still name by their lanes, or fold into.
    fn elements(&self, folds: bool, which: impl Fn(ArrayKind) -> bool) -> Vec<Array> {
        let mut arrays = self.arrays(which);
        arrays.retain(|a| !self.folded.contains(a) && !self.in_rows.contains(a));
        arrays.retain(|a| !folds || !self.in_lanes.contains(a));
        arrays
    }

    /// Arrays that this body can still name by a row.
    fn tables(&self, which: impl Fn(ArrayKind) -> bool) -> Vec<Array> {
        let mut arrays = self.arrays(|k| self.rows(k).is_some() && which(k));
        arrays.retain(|a| !self.in_lanes.contains(a));
        arrays
    }

    fn load(&mut self) {
        let lanes = self.domain != Domain::Scalar;
        match self.rng.below(8) {
            0 if lanes && self.domain != Domain::Synapses => self.define(Op::Lane),
            1 if lanes => self.define(Op::Coef(Coef::new(1))),
            2 if self.has_payload() => {
                self.define(Op::Payload);
            }
            3 if self.kind == HandlerKind::Spike => {
                let fields = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
                if fields > 0 {
                    let field = self.rng.below(fields);
                    self.define(Op::Field(field));
                }
            }
            4 | 5 => {
                let arrays = self.tables(|_| true);
                if !arrays.is_empty() {
                    let array = *self.rng.pick(&arrays);
                    self.in_rows.push(array);
                    let row = self.rows(self.process.arrays[array].kind);
                    self.define(Op::LoadRow(array, row.unwrap_or(Row::Tick)));
                }
            }
            _ => {
                let arrays =
                    self.elements(false, |kind| self.flat(kind) && (lanes || kind.is_scalar()));
                if !arrays.is_empty() {
                    let array = *self.rng.pick(&arrays);
                    self.in_lanes.push(array);
                    self.define(Op::Load(array));
                }
            }
        }
    }

    fn compute(&mut self) {
        let (a, b, c) = (self.number(), self.number(), self.number());
        let binary = *self.rng.pick(&[
            Binary::Add,
            Binary::Sub,
            Binary::Mul,
            Binary::Mul,
            Binary::Div,
        ]);
        match self.rng.below(12) {
            0 => self.define(Op::Unary(Unary::Neg, a)),
            1 => {
                let op = *self
                    .rng
                    .pick(&[Unary::Sqrt, Unary::Exp, Unary::Ln, Unary::Neg]);
                self.define(Op::Unary(op, a));
            }
            2 => self.define(Op::Fma(a, b, c)),
            3 | 4 => {
                let op = *self.rng.pick(&[Cmp::Gt, Cmp::Ge, Cmp::Lt, Cmp::Eq]);
                self.define(Op::Cmp(op, a, b));
            }
            5 | 6 if !self.truths.is_empty() => {
                let cond = *self.rng.pick(&self.truths);
                self.define(Op::Select(cond, a, b));
            }
            7 | 8 => {
                // Scaled sums, which have kernels of their own.
                let factor = self.numbers[self.rng.below(3)];
                self.define(Op::Binary(Binary::Mul, a, factor));
                let product = *self.numbers.last().expect("just pushed");
                let sum = *self.rng.pick(&[Binary::Add, Binary::Sub]);
                let (x, y) = if self.rng.below(2) == 0 {
                    (product, b)
                } else {
                    (b, product)
                };
                self.define(Op::Binary(sum, x, y));
            }
            _ => self.define(Op::Binary(binary, a, b)),
        }
    }

    fn store(&mut self) {
        let v = self.number();
        let scalar = self.domain == Domain::Scalar;
        let optimiser = matches!(self.process.role, Role::Optimiser(_));
        let writable = |kind| optimiser || !matches!(kind, ArrayKind::Param(_));
        let stmt = match self.rng.below(6) {
            0 if !scalar => {
                let arrays = self.tables(writable);
                if arrays.is_empty() {
                    return;
                }
                let array = *self.rng.pick(&arrays);
                self.in_rows.push(array);
                let row = self.rows(self.process.arrays[array].kind);
                Stmt::StoreRow(array, row.unwrap_or(Row::Tick), v)
            }
            1 if self.domain == Domain::Lanes && self.kind != HandlerKind::Cross => {
                let arrays = self.elements(true, ArrayKind::is_scalar);
                if arrays.is_empty() {
                    return;
                }
                let array = *self.rng.pick(&arrays);
                self.folded.push(array);
                Stmt::Reduce(array, self.fold())
            }
            2 if !scalar && self.domain != Domain::Synapses && self.has_bin() => {
                match self.arrays(|k| k == ArrayKind::Trace).first() {
                    Some(array) => Stmt::Probe(*array, v),
                    None => return,
                }
            }
            _ => {
                let which = |k| self.flat(k) && writable(k) && k.is_scalar() == scalar;
                let flat = self.elements(false, which);
                if flat.is_empty() {
                    return;
                }
                let array = *self.rng.pick(&flat);
                self.in_lanes.push(array);
                Stmt::Store(array, v)
            }
        };
        self.body.stmts.push(stmt);
    }

    fn fold(&mut self) -> Fold {
        let (x, y) = (self.number(), self.number());
        match self.rng.below(3) {
            0 => Fold::Add(x),
            1 => Fold::Max(x),
            _ => Fold::Fma(x, y),
        }
    }

    fn send(&mut self) {
        let outgoing = if self.domain == Domain::Lane {
            Outgoing::Value(self.number())
        } else {
            Outgoing::Fold(self.fold())
        };
        self.body.stmts.push(Stmt::Send(outgoing));
    }

    fn spike(&mut self) {
        let (a, b) = (self.number(), self.number());
        self.define(Op::Cmp(Cmp::Gt, a, b));
        let cond = *self.rng.pick(&self.truths);
        let fields = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
        let field = |writer: &mut Self| {
            let (a, b) = (writer.number(), writer.number());
            match writer.rng.below(4) {
                0 => Op::Load(Array::new(writer.rng.below(3))),
                1 => Op::Fma(a, b, a),
                2 => Op::Lane,
                _ => Op::Binary(Binary::Sub, a, b),
            }
        };
        let fields = (0..fields).map(|_| field(self)).collect();
        let time = (self.kind == HandlerKind::Cross).then(|| self.spike_time());
        self.body.stmts.push(Stmt::Spike { cond, time, fields });
    }

    /// When a lane spikes: somewhere, or some time after it did before.
    fn spike_time(&mut self) -> Value {
        let steady = |v: &&Value| !self.running.contains(v);
        let steady: Vec<Value> = self.numbers.iter().filter(steady).copied().collect();
        if self.rng.below(3) > 0 {
            // Recent values are the deep ones.
            let recent = steady.len().saturating_sub(5);
            return *self.rng.pick(&steady[recent..]);
        }
        let since = self.body.push(Op::Since);
        let later = self.body.push(Op::Coef(Coef::new(0)));
        self.body.push(Op::Binary(Binary::Add, since, later))
    }
}

/// The values that an operation reads.
fn operands(op: &Op) -> Vec<Value> {
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

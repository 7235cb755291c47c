//! The verifier of event programs. It runs after every pass, in release builds too.
//!
//! # Invariants
//! * **Entities**: every tensor, process, channel, array, coefficient and value that is named exists.
//! * **Tensors** have `rows * lanes` values, all finite. A process that holds a tensor has its lanes
//!   (an optimiser: `rows * lanes` of them).
//! * **Channels** go from a source or neuron process to a later neuron or loss process; errors go back
//!   to neurons only.
//! * **Coefficients** are finite and have one value or one a lane.
//! * **Names** of processes, and of arrays and coefficients within a process, are unique.
//! * **Handlers**: at most one of a kind, but for `turn`; only of kinds that the role has, only of
//!   channels that lead into the process; the domain is one the kind can have.
//! * **Bodies** define each value once, before its use; conditions are comparisons and comparisons are
//!   used only as conditions; scalars are stored only in the scalar domain and reduced only over lanes;
//!   rows are those of tensors (by source, of which there are as many as rows) and of tables (by bin); payload, fields, spikes, sends and
//!   probes stand only in handlers that have them.
//! * **Messages** send exactly once. **Spikes** record as many fields as the tape has.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::entity::Entity;
use crate::event::{
    Array, ArrayKind, Chan, CoefficientValue, Domain, Fold, Handler, HandlerKind, Op, Outgoing,
    Proc, Process, Program, Role, Row, Stmt, Tensor, Value,
};

/// Checks every invariant of a program.
///
/// # Errors
/// Everything that is broken, each with its place.
pub fn verify(program: &Program) -> Result<(), Diagnostics> {
    let mut verifier = Verifier {
        program,
        problems: Diagnostics::new(),
    };
    verifier.header();
    verifier.tensors();
    verifier.channels();
    for (id, process) in program.processes.iter() {
        verifier.process(id, process);
    }
    verifier.problems.into_result(())
}

struct Verifier<'a> {
    program: &'a Program,
    problems: Diagnostics,
}

impl Verifier<'_> {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems
            .push(Diagnostic::error(codes::VERIFY, place, message));
    }

    fn header(&mut self) {
        let program = self.program;
        if program.ticks < 2 || program.replicas == 0 {
            let message = format!(
                "{} bins and {} replicas; at least 2 and 1",
                program.ticks, program.replicas
            );
            self.problem("program", message);
        }
        let mut names = BTreeSet::new();
        for process in program.processes.values() {
            if !names.insert(&process.name) {
                self.problem(&process.name, "two processes have this name");
            }
        }
    }

    fn tensors(&mut self) {
        for (id, tensor) in self.program.tensors.iter() {
            let place = format!("{id} {}", tensor.name);
            if tensor.rows.checked_mul(tensor.lanes) != Some(tensor.values.len()) {
                let message = format!(
                    "{} values for {} rows of {}",
                    tensor.values.len(),
                    tensor.rows,
                    tensor.lanes
                );
                self.problem(&place, message);
            }
            if let Some(i) = tensor.values.iter().position(|v| !v.is_finite()) {
                self.problem(&place, format!("value {i} is {}", tensor.values[i]));
            }
        }
    }

    fn channels(&mut self) {
        for (id, channel) in self.program.channels.iter() {
            let place = id.to_string();
            let roles = [channel.from, channel.to].map(|p| {
                let process = self.program.processes.get(p);
                process.map(|process| process.role)
            });
            match roles {
                [Some(from), Some(to)] => {
                    let sends = matches!(from, Role::Source | Role::Neurons);
                    let receives = matches!(to, Role::Neurons | Role::Loss);
                    if !sends || !receives || channel.from >= channel.to {
                        let message = format!(
                            "{} -> {}: spikes go from a source or neurons to later neurons or the loss",
                            channel.from, channel.to
                        );
                        self.problem(place, message);
                    }
                }
                _ => self.problem(place, "an end of it does not exist"),
            }
        }
    }

    fn process(&mut self, id: Proc, process: &Process) {
        let place = format!("{id} {}", process.name);
        self.declarations(&place, process);
        let mut kinds = BTreeSet::new();
        for handler in &process.handlers {
            let kind = format!("{:?}", handler.kind);
            if handler.kind != HandlerKind::Turn && !kinds.insert(kind.clone()) {
                self.problem(&place, format!("two handlers for {kind}"));
            }
            let place = format!("{place}: {kind}");
            if !role_has(process.role, handler.kind) {
                let message = format!("a process of role {:?} has no such handler", process.role);
                self.problem(&place, message);
            }
            if let Some(chan) = channel_of(handler.kind)
                && self.program.channels.get(chan).map(|c| c.to) != Some(id)
            {
                self.problem(&place, format!("{chan} does not lead into this process"));
            }
            if let HandlerKind::Message(chan) = handler.kind
                && let Some(producer) = self.producer(chan)
                && producer.role != Role::Neurons
            {
                let message = format!("errors go back to neurons, not to `{}`", producer.name);
                self.problem(&place, message);
            }
            let body = BodyCheck {
                program: self.program,
                process,
                handler,
                types: Vec::new(),
                sends: 0,
            };
            for message in body.run() {
                self.problem(&place, message);
            }
        }
    }

    fn producer(&self, chan: Chan) -> Option<&Process> {
        let channel = self.program.channels.get(chan)?;
        self.program.processes.get(channel.from)
    }

    fn declarations(&mut self, place: &str, process: &Process) {
        let mut names = BTreeSet::new();
        for coef in process.coefs.values() {
            if !names.insert(&coef.name) {
                self.problem(
                    place,
                    format!("two coefficients are called `{}`", coef.name),
                );
            }
            let (count, finite) = match &coef.value {
                CoefficientValue::Uniform(v) => (process.lanes, v.is_finite()),
                CoefficientValue::PerLane(v) => (v.len(), v.iter().all(|v| v.is_finite())),
            };
            if count != process.lanes || !finite {
                let message = format!(
                    "coefficient `{}` has {count} values for {} lanes, all of which must be finite",
                    coef.name, process.lanes
                );
                self.problem(place, message);
            }
        }
        let mut names = BTreeSet::new();
        for array in process.arrays.values() {
            if !names.insert(&array.name) {
                self.problem(place, format!("two arrays are called `{}`", array.name));
            }
            if let ArrayKind::Param(t) | ArrayKind::Gradient(t) = array.kind {
                self.tensor_fits(place, process, t);
            }
        }
    }

    fn tensor_fits(&mut self, place: &str, process: &Process, id: Tensor) {
        let Some(tensor) = self.program.tensors.get(id) else {
            self.problem(place, format!("{id} does not exist"));
            return;
        };
        let lanes = match process.role {
            Role::Optimiser(_) => tensor.rows * tensor.lanes,
            _ => tensor.lanes,
        };
        if lanes != process.lanes {
            let message = format!(
                "{id} needs {lanes} lanes, the process has {}",
                process.lanes
            );
            self.problem(place, message);
        }
    }
}

fn role_has(role: Role, kind: HandlerKind) -> bool {
    use HandlerKind as K;
    match role {
        Role::Source => false,
        Role::Neurons => matches!(
            kind,
            K::Event(_)
                | K::Tick
                | K::Message(_)
                | K::AdjointTick
                | K::Spike
                | K::Gradient(_)
                | K::GradientTick
        ),
        Role::Loss => matches!(kind, K::Event(_) | K::Turn | K::Message(_)),
        Role::Optimiser(_) => matches!(kind, K::Gather | K::Schedule | K::Update),
    }
}

fn channel_of(kind: HandlerKind) -> Option<Chan> {
    match kind {
        HandlerKind::Event(c) | HandlerKind::Message(c) | HandlerKind::Gradient(c) => Some(c),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Number,
    Truth,
}

/// Checks one body.
struct BodyCheck<'a> {
    program: &'a Program,
    process: &'a Process,
    handler: &'a Handler,
    types: Vec<Type>,
    sends: usize,
}

type Checked = Result<(), String>;

impl BodyCheck<'_> {
    fn run(mut self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.domain_fits() {
            problems.push(format!("it cannot run over {:?}", self.handler.domain));
        }
        for (i, stmt) in self.handler.body.stmts.iter().enumerate() {
            if let Err(message) = self.stmt(stmt) {
                problems.push(format!("statement {i}: {message}"));
            }
        }
        if self.types.len() != self.handler.body.values {
            problems.push(format!(
                "{} values are defined, {} declared",
                self.types.len(),
                self.handler.body.values
            ));
        }
        let due = usize::from(matches!(self.handler.kind, HandlerKind::Message(_)));
        if self.sends != due {
            problems.push(format!("it sends {} times, not {due}", self.sends));
        }
        problems
    }

    fn domain_fits(&self) -> bool {
        use HandlerKind as K;
        match self.handler.kind {
            K::Event(_) | K::Message(_) => self.handler.domain != Domain::Scalar,
            K::Spike => self.handler.domain == Domain::Lane,
            K::Turn => self.handler.domain != Domain::Lane,
            K::Schedule => self.handler.domain == Domain::Scalar,
            _ => self.handler.domain == Domain::Lanes,
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Checked {
        match stmt {
            Stmt::Let(value, op) => {
                if value.index() != self.types.len() {
                    return Err(format!("{value} is defined out of order"));
                }
                let result = self.op(op);
                self.types.push(match op {
                    Op::Cmp(..) => Type::Truth,
                    _ => Type::Number,
                });
                result
            }
            Stmt::Store(array, value) => {
                self.number(*value)?;
                let kind = self.array(*array)?;
                let scalar_domain = self.handler.domain == Domain::Scalar;
                require(kind.is_scalar() == scalar_domain, || {
                    "scalars are stored in the scalar domain, lanes in the others".into()
                })?;
                require(self.is_single_row(kind), || "it has rows".into())
            }
            Stmt::StoreRow(array, row, value) => {
                self.number(*value)?;
                self.row(*array, *row)
            }
            Stmt::Reduce(array, fold) => {
                self.fold(*fold)?;
                let scalar = self.array(*array)?.is_scalar();
                require(scalar && self.handler.domain == Domain::Lanes, || {
                    "a fold goes over lanes into a scalar".into()
                })
            }
            Stmt::Send(outgoing) => {
                self.sends += 1;
                match outgoing {
                    Outgoing::Value(value) => {
                        self.number(*value)?;
                        require(self.handler.domain == Domain::Lane, || {
                            "one value is sent from one lane".into()
                        })
                    }
                    Outgoing::Fold(fold) => {
                        self.fold(*fold)?;
                        require(self.handler.domain == Domain::Lanes, || {
                            "a fold goes over lanes".into()
                        })
                    }
                }
            }
            Stmt::Spike { cond, fields } => {
                require(self.handler.kind == HandlerKind::Tick, || {
                    "spikes happen in tick handlers".into()
                })?;
                require(self.type_of(*cond)? == Type::Truth, || {
                    format!("{cond} is no comparison")
                })?;
                let recorded = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
                require(fields.len() == recorded, || {
                    format!("{} fields for a tape of {recorded}", fields.len())
                })?;
                fields.iter().try_for_each(|op| self.op(op))
            }
            Stmt::Probe(array, value) => {
                self.number(*value)?;
                require(self.array(*array)? == ArrayKind::Trace, || {
                    "only traces are probed".into()
                })
            }
        }
    }

    fn op(&self, op: &Op) -> Checked {
        match *op {
            Op::Const(_) | Op::Tick => Ok(()),
            Op::Lane => require(self.handler.domain != Domain::Scalar, || {
                "there are no lanes".into()
            }),
            Op::Coef(c) => require(self.process.coefs.get(c).is_some(), || {
                format!("{c} does not exist")
            }),
            Op::Load(array) => {
                let kind = self.array(array)?;
                require(self.is_single_row(kind), || "it has rows".into())?;
                require(
                    kind.is_scalar() || self.handler.domain != Domain::Scalar,
                    || "there are no lanes".into(),
                )
            }
            Op::LoadRow(array, row) => self.row(array, row),
            Op::Field(i) => {
                let fields = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
                require(
                    self.handler.kind == HandlerKind::Spike && i < fields,
                    || format!("there is no field {i}"),
                )
            }
            Op::Payload => require(
                matches!(self.handler.kind, HandlerKind::Spike | HandlerKind::Gather),
                || "nothing arrives here".into(),
            ),
            Op::Unary(_, a) => self.number(a),
            Op::Binary(_, a, b) | Op::Cmp(_, a, b) => self.number(a).and(self.number(b)),
            Op::Fma(a, b, c) => self.number(a).and(self.number(b)).and(self.number(c)),
            Op::Select(cond, a, b) => {
                require(self.type_of(cond)? == Type::Truth, || {
                    format!("{cond} is no comparison")
                })?;
                self.number(a).and(self.number(b))
            }
        }
    }

    fn fold(&self, fold: Fold) -> Checked {
        match fold {
            Fold::Add(x) | Fold::Max(x) => self.number(x),
            Fold::Fma(x, y) => self.number(x).and(self.number(y)),
        }
    }

    fn row(&self, array: Array, row: Row) -> Checked {
        let kind = self.array(array)?;
        let fits = match row {
            Row::Source => match kind {
                ArrayKind::Param(tensor) | ArrayKind::Gradient(tensor) => {
                    self.has_a_row_a_source(tensor)
                }
                _ => false,
            },
            Row::Tick => matches!(kind, ArrayKind::GivenError | ArrayKind::Trace),
        };
        require(fits, || {
            format!("`{}` has no such row here", self.process.arrays[array].name)
        })
    }

    /// Whether a tensor has a row for each source of the channel that the handler is for.
    fn has_a_row_a_source(&self, tensor: Tensor) -> bool {
        let producer = channel_of(self.handler.kind)
            .and_then(|chan| self.program.channels.get(chan))
            .and_then(|channel| self.program.processes.get(channel.from));
        let tensor = self.program.tensors.get(tensor);
        producer.is_some_and(|p| tensor.is_some_and(|t| t.rows == p.lanes))
    }

    /// Whether an element is found by its lane alone.
    fn is_single_row(&self, kind: ArrayKind) -> bool {
        match kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                matches!(self.process.role, Role::Optimiser(_))
                    || self.program.tensors.get(t).is_some_and(|t| t.rows == 1)
            }
            ArrayKind::GivenError | ArrayKind::Trace => false,
            _ => true,
        }
    }

    fn array(&self, array: Array) -> Result<ArrayKind, String> {
        self.process
            .arrays
            .get(array)
            .map(|a| a.kind)
            .ok_or_else(|| format!("{array} does not exist"))
    }

    fn number(&self, value: Value) -> Checked {
        require(self.type_of(value)? == Type::Number, || {
            format!("{value} is a comparison, not a number")
        })
    }

    fn type_of(&self, value: Value) -> Result<Type, String> {
        self.types
            .get(value.index())
            .copied()
            .ok_or_else(|| format!("{value} is used before it is defined"))
    }
}

fn require(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}

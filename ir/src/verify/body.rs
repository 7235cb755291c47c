//! One body: names, types, and what its handler and domain can do.

use super::{access, channel_of};
use crate::connection::Connection;
use crate::entity::Entity;
use crate::event::{
    Array, ArrayKind, Channel, Coef, CoefficientValue, Curve, Domain, Fold, Handler, HandlerKind,
    Op, Outgoing, Output, Process, Program, Role, Row, Stmt, Tensor, Value,
};

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
    spikes: usize,
}

/// Everything that is wrong with the body of a handler of `process`.
pub(super) fn problems(program: &Program, process: &Process, handler: &Handler) -> Vec<String> {
    let body = BodyCheck {
        program,
        process,
        handler,
        types: Vec::new(),
        sends: 0,
        spikes: 0,
    };
    body.run()
}

type Checked = Result<(), String>;

impl BodyCheck<'_> {
    fn run(mut self) -> Vec<String> {
        let mut problems = Vec::new();
        if !self.domain_fits() {
            problems.push(format!("it cannot run over {:?}", self.handler.domain));
        }
        problems.extend(self.event_lanes());
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
        let sender = matches!(
            self.handler.kind,
            HandlerKind::Message(_) | HandlerKind::Measure
        );
        let due = usize::from(sender);
        if self.sends != due {
            problems.push(format!("it sends {} times, not {due}", self.sends));
        }
        if self.spikes > 1 {
            problems.push(format!("a lane spikes {} times, not once", self.spikes));
        }
        problems.extend(access::conflicts(self.process, &self.handler.body));
        problems
    }

    /// The lane that an event names has to be one of the process.
    fn event_lanes(&self) -> Option<String> {
        let sources = self.producer()?.lanes;
        let lanes = self.process.lanes;
        (self.handler.domain == Domain::Lane && sources > lanes)
            .then(|| format!("an event names one of {sources} lanes, the process has {lanes}"))
    }

    /// The channel that the handler is for.
    fn channel(&self) -> Option<&Channel> {
        self.program.channels.get(channel_of(self.handler.kind)?)
    }

    /// The producer of that channel.
    fn producer(&self) -> Option<&Process> {
        self.program.processes.get(self.channel()?.from)
    }

    /// The channel's connection, if it names its synapses.
    fn synapses(&self) -> Option<&Connection> {
        let connection = &self.channel()?.connection;
        (*connection != Connection::All).then_some(connection)
    }

    /// Whether there is a current bin: not between the passes, and not between batches. Of exact event times,
    /// windows are numbered.
    fn has_bin(&self) -> bool {
        use HandlerKind as K;
        if self.program.window.is_some() {
            return matches!(self.handler.kind, K::Window | K::AdjointWindow);
        }
        !matches!(
            self.handler.kind,
            K::Turn | K::Gather | K::Measure | K::Schedule | K::Update
        )
    }

    fn domain_fits(&self) -> bool {
        use HandlerKind as K;
        match self.handler.kind {
            K::Event(_) | K::Message(_) | K::Gradient(_) if self.synapses().is_some() => {
                self.handler.domain == Domain::Synapses
            }
            K::Event(_) | K::Message(_) => {
                matches!(self.handler.domain, Domain::Lanes | Domain::Lane)
            }
            K::Spike => self.handler.domain == Domain::Lane,
            K::Turn if self.process.role == Role::Neurons => self.handler.domain == Domain::Lanes,
            K::Turn => matches!(self.handler.domain, Domain::Lanes | Domain::Scalar),
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
                require(self.is_single_row(kind), || "it has rows".into())?;
                self.writable(*array)
            }
            Stmt::StoreRow(array, row, value) => {
                self.number(*value)?;
                self.row(*array, *row)?;
                self.writable(*array)
            }
            Stmt::Reduce(array, fold) => {
                self.fold(*fold)?;
                let scalar = self.array(*array)?.is_scalar();
                let lanes = self.handler.domain == Domain::Lanes;
                // Lanes are searched for spikes one by one.
                let all = self.handler.kind != HandlerKind::Cross;
                require(scalar && lanes && all, || {
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
                        let many = matches!(self.handler.domain, Domain::Lanes | Domain::Synapses);
                        require(many, || "a fold goes over lanes or synapses".into())
                    }
                }
            }
            Stmt::Spike { cond, time, fields } => self.spike(*cond, *time, fields),
            Stmt::Skip(cond) => {
                require(self.handler.kind == HandlerKind::Cross, || {
                    "only a search for spikes ends early".into()
                })?;
                self.truth(*cond)
            }
            Stmt::Probe(array, value) => {
                self.number(*value)?;
                let probed = self.array(*array)? == ArrayKind::Trace;
                require(probed && self.handler.domain != Domain::Synapses, || {
                    "only traces are probed, and not synapse by synapse".into()
                })?;
                self.bin()
            }
        }
    }

    fn spike(&mut self, cond: Value, time: Option<Value>, fields: &[Op]) -> Checked {
        self.spikes += 1;
        let crosses = self.handler.kind == HandlerKind::Cross;
        require(crosses || self.handler.kind == HandlerKind::Tick, || {
            "spikes happen in tick and cross handlers".into()
        })?;
        require(self.process.output == Output::Spikes, || {
            "what emits values does not spike".into()
        })?;
        require(time.is_some() == crosses, || {
            "a spike has a time in a cross handler, and only there".into()
        })?;
        time.map_or(Ok(()), |time| self.number(time))?;
        self.truth(cond)?;
        let tape = self.process.tape.as_ref();
        let recorded = tape.map_or(0, |tape| tape.fields.len());
        require(fields.len() == recorded, || {
            format!("{} fields for a tape of {recorded}", fields.len())
        })?;
        fields.iter().try_for_each(|op| {
            require(!matches!(op, Op::Cmp(..)), || {
                "a field is a comparison, not a number".into()
            })?;
            self.op(op)
        })
    }

    /// A parameter changes between batches only, and for all replicas at once.
    fn writable(&self, array: Array) -> Checked {
        let parameter = matches!(self.array(array)?, ArrayKind::Param(_));
        let optimiser = matches!(self.process.role, Role::Optimiser(_));
        require(!parameter || optimiser, || {
            let name = &self.process.arrays[array].name;
            format!("`{name}` is written by its optimiser alone")
        })
    }

    fn bin(&self) -> Checked {
        require(self.has_bin(), || "there is no current bin here".into())
    }

    fn op(&self, op: &Op) -> Checked {
        match *op {
            Op::Const(_) => Ok(()),
            Op::Tick => self.bin(),
            Op::Time => require(self.has_time(), || {
                "there is no time of an event here".into()
            }),
            Op::Since | Op::Until => require(self.handler.kind == HandlerKind::Cross, || {
                "there is no interval here".into()
            }),
            Op::Lane => require(
                matches!(self.handler.domain, Domain::Lanes | Domain::Lane),
                || "there is no lane to number".into(),
            ),
            Op::Coef(c) => self.coef(c),
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
            Op::Payload => require(self.has_payload(), || "nothing arrives here".into()),
            Op::Unary(_, a) => self.number(a),
            Op::Binary(_, a, b) | Op::Cmp(_, a, b) => self.number(a).and(self.number(b)),
            Op::Fma(a, b, c) => self.number(a).and(self.number(b)).and(self.number(c)),
            Op::Select(cond, a, b) => {
                self.truth(cond)?;
                self.number(a).and(self.number(b))
            }
            Op::Root {
                curve,
                p,
                q,
                threshold,
                from,
            } => {
                if let Curve::Power(x) | Curve::Equal(x) = curve {
                    self.number(x)?;
                }
                [p, q, threshold, from]
                    .into_iter()
                    .try_for_each(|v| self.number(v))
            }
        }
    }

    /// Whether the handler is for something that has an exact time.
    fn has_time(&self) -> bool {
        use HandlerKind as K;
        let timed = matches!(
            self.handler.kind,
            K::Event(_) | K::Message(_) | K::Gradient(_) | K::Spike
        );
        timed && self.program.window.is_some()
    }

    fn has_payload(&self) -> bool {
        match self.handler.kind {
            HandlerKind::Spike | HandlerKind::Value | HandlerKind::Gather => true,
            HandlerKind::Schedule => self.program.has_measures(),
            HandlerKind::Event(_) | HandlerKind::Gradient(_) => {
                self.producer().is_some_and(|p| p.output != Output::Spikes)
            }
            _ => false,
        }
    }

    fn coef(&self, coef: Coef) -> Checked {
        let Some(found) = self.process.coefs.get(coef) else {
            return Err(format!("{coef} does not exist"));
        };
        let per_lane = matches!(found.value, CoefficientValue::PerLane(_));
        require(!per_lane || self.handler.domain != Domain::Scalar, || {
            format!(
                "`{}` has a value a lane, and there are no lanes",
                found.name
            )
        })
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
                    self.handler.domain != Domain::Synapses && self.has_a_row_a_source(tensor)
                }
                _ => false,
            },
            Row::Synapse => match kind {
                ArrayKind::Param(tensor) | ArrayKind::Gradient(tensor) => {
                    self.has_a_weight_a_synapse(tensor)
                }
                _ => false,
            },
            Row::Tick => {
                self.bin()?;
                let once = self.handler.domain != Domain::Synapses;
                once && matches!(kind, ArrayKind::GivenError | ArrayKind::Trace)
            }
        };
        require(fits, || {
            format!("`{}` has no such row here", self.process.arrays[array].name)
        })
    }

    /// Whether a tensor has a row of lanes for each source of the channel that the handler is for.
    fn has_a_row_a_source(&self, tensor: Tensor) -> bool {
        let tensor = self.program.tensors.get(tensor);
        let lanes = self.process.lanes;
        self.producer()
            .is_some_and(|p| tensor.is_some_and(|t| t.rows == p.lanes && t.lanes == lanes))
    }

    /// Whether a tensor, of one row, has every weight that a synapse of the handler's channel names.
    fn has_a_weight_a_synapse(&self, tensor: Tensor) -> bool {
        let tensor = self.program.tensors.get(tensor);
        let one_row = tensor.is_some_and(|t| t.rows == 1);
        let weights = tensor.map_or(0, |t| t.values.len() as u64);
        let named = self
            .synapses()
            .filter(|_| one_row && self.handler.domain == Domain::Synapses);
        named.is_some_and(|c| c.largest().is_none_or(|(_, weight)| weight < weights))
    }

    /// Whether an element is found by its lane alone.
    fn is_single_row(&self, kind: ArrayKind) -> bool {
        match kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                let lanes = self.process.lanes;
                let tensor = self.program.tensors.get(t);
                matches!(self.process.role, Role::Optimiser(_))
                    || tensor.is_some_and(|t| t.rows == 1 && t.lanes == lanes)
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

    fn truth(&self, value: Value) -> Checked {
        require(self.type_of(value)? == Type::Truth, || {
            format!("{value} is no comparison")
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

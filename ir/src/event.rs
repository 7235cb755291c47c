//! The event program IR: what every process does when something happens.
//!
//! A [`Program`] has one [`Process`] per population (or slice of one), one for the loss and one per
//! trained tensor for the optimiser. A process owns arrays (state, parameters, gradients), a tape of its own spikes and
//! a tape of received spikes per incoming channel, and [`Handler`]s. A handler's body is straight-line
//! code over *lanes* (one lane a neuron), all of it in IEEE `f32` with round-to-nearest-even; the
//! order of its statements is the order of its roundings. `fma` rounds once, `mul` then `add` twice.
//! Nothing reassociates, contracts or flushes.
//!
//! # When handlers run
//! `T` = [`Program::ticks`] bins. All state arrays and scalars take their initial value and the tapes
//! are emptied at the start of a sample; gradients are zeroed at the start of a batch.
//!
//! **Forward.** In each bin `t` (0 ..= T-1) the processes run in their order. A source emits its spikes or
//! values of bin `t`. A neuron process emits nothing in bins before [`Program::first_tick`]; in each bin
//! from there on it takes, for each incoming channel in ascending order, what the channel's producer
//! emitted in bin `t - delay` (nothing if there is no such bin):
//! - of *spikes*, [`HandlerKind::Event`] runs for each, in ascending source order (and the channel's tape, if
//!   it has one, records it);
//! - of *values* ([`Output`]), it runs for every source in ascending order, with [`Op::Payload`] = its value;
//!
//! then [`HandlerKind::Tick`]. A producer of values emits the state that its output names as it stands at the
//! end of the bin, in bins before the first tick too. The loss process runs its `Event` handlers alike, in
//! every bin. Spikes that nothing is left to take are sent all the same, and count where a channel has a
//! bound. In `Event` handlers, [`Op::Tick`], [`Row::Tick`] and [`Stmt::Probe`] mean the bin of the spike, not
//! the one in which it is taken.
//!
//! An `Event` handler over [`Domain::Synapses`] runs its body once for each synapse of the source, in the
//! order of the channel's [`Connection`], on the synapse's lane; [`Row::Synapse`] is the synapse's element
//! of a tensor.
//!
//! **Turn.** The loss process runs its [`HandlerKind::Turn`] handlers in the order of declaration. There
//! is no current bin, here and in an update.
//!
//! **Adjoint.** For bin `t` = T-1 down to the first tick, consumers before producers:
//! 1. [`HandlerKind::Message`] for each spike taken in bin `t`, per channel ascending and in tape order: the
//!    value sent is the error of that spike, and reaches the producer's own-spike tape.
//! 2. [`HandlerKind::Value`] where consumers send errors of the values that this process emitted in bin `t`.
//! 3. [`HandlerKind::AdjointTick`].
//! 4. [`HandlerKind::Spike`] for each own spike of bin `t` in ascending lane order.
//! 5. Per channel ascending: [`HandlerKind::Gradient`] for each spike or value taken in bin `t`; then, of
//!    values, [`HandlerKind::Message`] for each: it sends the error of that value. What was emitted before the
//!    first tick gets none.
//! 6. [`HandlerKind::GradientTick`].
//!
//! [`Op::Payload`] of 2 and 4 is the sum of the errors that consumers sent for the value or spike, in ascending
//! channel order starting with the first channel's (0 where no consumer sends); in a `Gradient` it is the
//! value that was taken. Neuron processes run all six. A loss process sends messages only, of spikes for all
//! bins but the last, of values for all. In `Message` and `Gradient`, [`Op::Tick`] means the bin in which the
//! spike or value was emitted; elsewhere it is the number of the step, `t` less the first tick.
//!
//! A handler over [`Domain::Synapses`] goes over the synapses of the source as an `Event` handler does; a fold
//! that is sent goes over them in their order.
//!
//! In programs that go backwards each channel of spikes has a tape.
//!
//! **Update.** Sample `k` of a batch runs on replica `k mod R`, in round `k div R`
//! (R = [`Program::replicas`]); gradients add up over the rounds of a replica. Then each optimiser
//! process
//! 1. zeroes its [`ArrayKind::Gathered`] array and runs [`HandlerKind::Gather`] once per replica that had
//!    a sample, ascending ([`Op::Payload`] = that replica's gradient of the lane);
//! 2. runs [`HandlerKind::Measure`]: the value sent is the measure of the process;
//! 3. runs [`HandlerKind::Schedule`]; [`Op::Payload`] = the sum of the measures of all optimiser processes
//!    that have one, in their order, starting with the first one's value;
//! 4. runs [`HandlerKind::Update`]; its parameter array is the new weight in every replica.
//!
//! Where there are measures, no process schedules before all have measured. Otherwise optimiser processes
//! know nothing of one another, and may run one after the other.
//!
//! # Exact event times
//! A program with a [`Program::window`] has no ticks: spikes have times, numbers of bins that need not be whole,
//! and neurons advance from arrival to arrival. `T` is the horizon. Time goes in windows of `W` bins, the
//! last of which ends at `T`, and counts from the beginning of its window: what travels and what is
//! exponentiated stays small, however long a sample is, and exponentials that states are multiplied with are
//! taken back in time ([`HandlerKind::Window`]). A channel that leads to an earlier process, or to its own,
//! has a delay of a window at least; so nothing that is emitted in a window is still to be taken by a process
//! that is through with it.
//!
//! A spike with the time `t` in window `k` arrives at `t + delay`, one addition, or, over a channel with
//! [`Delays`], at `(t + delay) + d`, where `d` is the delay of its source, or 0 if that is not above 0. Then `W` is
//! taken off, and the next window meant, while no less than `W` is left. What arrives at `T` or later does not arrive. Sources
//! emit the sample's spikes at their [`crate::executor::Sample::times`], less the beginning of the window.
//!
//! **Forward.** Windows ascending, in each the processes in their order. First [`HandlerKind::Window`]
//! runs, with [`Op::Tick`] = number of the window. Then the window's arrivals are taken, ascending by (time,
//! channel, source): [`HandlerKind::Event`] runs for each, [`Op::Time`] = when it arrived. In front of an
//! arrival that is later than what was before it (the beginning of the window, another arrival), and at
//! the end of the window, [`HandlerKind::Cross`] runs lane by lane for the interval that lies between, from
//! [`Op::Since`] to [`Op::Until`]; where a lane spikes it runs again, since that spike, until the lane spikes no
//! more, or does so for the second time at the same instant. ([`Stmt::Skip`] ends a run early.) The time that the body gives
//! is moved into the interval; a NaN is its beginning. The spikes of an interval are recorded and emitted
//! ascending by (time, lane), those of one lane in the order in which they came about.
//!
//! A process with a state as its [`Output`] does not spike. It emits the state once, as it stands when the
//! last window has ended, to the loss alone. (`Cross` may store without a spike: a body that never spikes can
//! follow a voltage from interval to interval.)
//!
//! The loss process knows no windows. It takes all arrivals of a sample at their times from its beginning: `k W`
//! and the time, one addition. Then it takes values, per channel ascending: `Event` runs for every source,
//! ascending, with [`Op::Payload`] = its value and [`Op::Time`] = `T`.
//!
//! **Adjoint.** The loss sends its messages first: of values per channel ascending, for every source ascending,
//! [`Op::Time`] = `T`; then of spikes, from the last of its arrivals to the first. In front of its last window,
//! a neuron process runs [`HandlerKind::Turn`], then [`HandlerKind::Value`] where errors came for its values. Windows
//! descending, in each consumers before producers, a process runs through its own spikes and arrivals in
//! exactly the reversed order of the forward pass: [`HandlerKind::Spike`] for an own spike, with the sum
//! of its errors as payload; [`HandlerKind::Message`], then [`HandlerKind::Gradient`] for an arrival;
//! [`Op::Time`] is as it was forward. [`HandlerKind::AdjointWindow`] ends the window. Errors go to sources as well,
//! if they are asked for: such an error is the derivative by the time of that input spike, and the sum
//! of all that a channel carries is the derivative by its delay. Over a channel whose [`Delays`] have a gradient, each
//! error is added to that of its source as soon as it is sent, one addition.

use crate::connection::Connection;
use crate::entity;
use crate::entity::PrimaryMap;
use crate::network::Parameter;

entity! {
    /// A process.
    Proc, "proc"
}
entity! {
    /// A channel: spikes from one process to another, errors the other way.
    Chan, "chan"
}
entity! {
    /// A trainable or constant tensor, shared by all replicas.
    Tensor, "tensor"
}
entity! {
    /// An array of a process.
    Array, "arr"
}
entity! {
    /// A coefficient of a process.
    Coef, "coef"
}
entity! {
    /// An SSA value of a handler body.
    Value, "v"
}

/// A whole program.
#[derive(Clone, Debug, PartialEq)]
pub struct Program {
    /// Name of the network.
    pub name: String,
    /// Number of bins of a sample, `T`.
    pub ticks: u32,
    /// Length of a bin in seconds.
    pub dt: f64,
    /// The first bin in which neurons tick: 0, or 1 where nothing can have reached them in bin 0.
    pub first_tick: u32,
    /// Bins of a window, `W`, in programs of exact event times; `None` where time goes in ticks.
    pub window: Option<u32>,
    /// Replicas of the network that take the samples of a batch in turn, `R`.
    pub replicas: usize,
    /// Weights and biases.
    pub tensors: PrimaryMap<Tensor, TensorDecl>,
    /// Processes: those of the network, producers before consumers where nothing lies between them (a
    /// delay of 0), then the loss, then the optimisers.
    pub processes: PrimaryMap<Proc, Process>,
    /// Channels, ordered by `to` and, of one consumer, as it takes them: by `from`, but for the slices of a
    /// producer that sends over several channels.
    pub channels: PrimaryMap<Chan, Channel>,
}

/// A tensor of weights: `values[row * lanes + lane]`.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorDecl {
    /// NIR node and field, such as `fc1.weight`.
    pub name: String,
    /// One row per source; 1 for a bias, and for weights that synapses name one by one.
    pub rows: usize,
    /// Neurons of the target population, or the number of weights that synapses share.
    pub lanes: usize,
    /// Initial values, `rows * lanes`.
    pub values: Vec<f32>,
    /// Whether an optimiser process updates it.
    pub trainable: bool,
}

/// Spikes or values from `from` to `to`, and errors back when `to` has a [`HandlerKind::Message`] for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Channel {
    /// Producer.
    pub from: Proc,
    /// Consumer.
    pub to: Proc,
    /// Bins between the one in which something is emitted and the one in which it is taken. 0 only from
    /// earlier to later processes.
    pub delay: u32,
    /// What each source's spikes are late beside that; of exact event times.
    pub delays: Option<Delays>,
    /// Which lanes of the consumer a source reaches.
    pub connection: Connection,
    /// Most spikes that its tape can hold in one sample; one more is an error, never a silent loss. `None`
    /// where nothing is kept once it has been taken, as in programs that do not go backwards, and for values,
    /// of which there is one a source and bin.
    pub bound: Option<usize>,
}

/// Delays of a channel's sources, in bins that need not be whole: arrays of its consumer, of tensors with one row
/// and an element a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// [`ArrayKind::Param`].
    pub values: Array,
    /// [`ArrayKind::Gradient`], where they are trained.
    pub gradient: Option<Array>,
}

/// What a process of the network emits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Spikes: of a source those of the sample, of neurons those that [`Stmt::Spike`] says.
    Spikes,
    /// The values of a state, one a lane and bin, of exact event times one a lane and sample (neurons).
    State(Array),
    /// The values of the sample, one a lane and bin (sources).
    Given,
}

/// What a process is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Emits the sample's input spikes.
    Source,
    /// A population of neurons.
    Neurons,
    /// Turns output spikes into errors.
    Loss,
    /// Updates one tensor.
    Optimiser(Tensor),
}

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// The population's name, `loss`, or the tensor's name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Number of lanes.
    pub lanes: usize,
    /// Named constants.
    pub coefs: PrimaryMap<Coef, Coefficient>,
    /// Arrays.
    pub arrays: PrimaryMap<Array, ArrayDecl>,
    /// What leaves it.
    pub output: Output,
    /// Tape of own spikes; `None` where nothing spikes or nobody reads it (sources have their samples).
    pub tape: Option<SpikeTape>,
    /// Handlers; at most one of a kind, but for [`HandlerKind::Turn`].
    pub handlers: Vec<Handler>,
}

/// The tape of own spikes: (bin, lane) and these fields, in ascending order of (bin, lane).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikeTape {
    /// Names of the recorded values.
    pub fields: Vec<String>,
    /// Most spikes in one sample; one more is an error. `None` where the host takes them away as they come,
    /// as in programs that do not go backwards.
    pub bound: Option<usize>,
}

/// A named constant: kept in `f64` until it is rounded once to `f32` where it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficient {
    /// Short name, such as `a`.
    pub name: String,
    /// The formula it comes from, such as `exp(-dt/tau_syn)`.
    pub formula: String,
    /// Its value.
    pub value: CoefficientValue,
}

/// Value of a coefficient.
#[derive(Clone, Debug, PartialEq)]
pub enum CoefficientValue {
    /// The same on every lane.
    Uniform(f64),
    /// One a lane.
    PerLane(Vec<f64>),
}

/// An array of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayDecl {
    /// Name, unique in the process.
    pub name: String,
    /// What it holds and how long it lives; gives the shape. Roles have the kinds that
    /// [`crate::verify`] lists.
    pub kind: ArrayKind,
}

/// What an array holds, with its shape and life time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArrayKind {
    /// `f32[lanes]`, initialised at the start of a sample.
    State {
        /// Initial value.
        init: f32,
    },
    /// One `f32`, initialised at the start of a sample.
    Scalar {
        /// Initial value.
        init: f32,
    },
    /// `f32[lanes]`, initialised once (optimiser moments).
    Moment,
    /// One `f32`, initialised once (optimiser schedule).
    Counter {
        /// Initial value.
        init: f32,
    },
    /// The tensor, `f32[rows, lanes]`; an optimiser sees it flat, `f32[rows * lanes]`.
    Param(Tensor),
    /// The tensor's gradient, same shape, zero at the start of a batch.
    Gradient(Tensor),
    /// `f32[lanes]`, the optimiser's sum over replicas.
    Gathered,
    /// One `f32` given with each sample: the label as a class index.
    Label,
    /// `f32[T, lanes]` given with each sample: the error of an own spike by bin and lane.
    GivenError,
    /// `f32[T, lanes]`, written by [`Stmt::Probe`]; zero at the start of a sample.
    Trace,
}

impl ArrayKind {
    /// Whether it is a single number.
    pub fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::Scalar { .. } | Self::Counter { .. } | Self::Label
        )
    }
}

/// Code that runs when something happens.
#[derive(Clone, Debug, PartialEq)]
pub struct Handler {
    /// When it runs.
    pub kind: HandlerKind,
    /// Over what it runs.
    pub domain: Domain,
    /// The code.
    pub body: Body,
}

/// When a handler runs; see the module's text for the exact order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandlerKind {
    /// Forward, a spike or value arrived; [`Row::Source`] = its source.
    Event(Chan),
    /// Forward, once a bin.
    Tick,
    /// Between forward and adjoint; of neurons, with exact times, at the beginning of the way back.
    Turn,
    /// Adjoint, for a received spike or value: computes the error sent to its producer.
    Message(Chan),
    /// Adjoint, once a bin.
    AdjointTick,
    /// Adjoint, for the values that the process emitted in a bin or sample: takes their errors.
    Value,
    /// Adjoint, for an own spike.
    Spike,
    /// Adjoint, for a received spike or value: accumulates the gradient of its weights.
    Gradient(Chan),
    /// Adjoint, once a bin, after the gradients of rows: gradients of biases.
    GradientTick,
    /// Forward, exact times: finds a spike in the interval between two arrivals.
    Cross,
    /// Forward, exact times, at the beginning of a window: states as of now.
    Window,
    /// Adjoint, exact times, when a window has been gone through.
    AdjointWindow,
    /// Optimiser, once a replica.
    Gather,
    /// Optimiser, once a batch, after the last replica: sends a fold over its lanes to all optimisers.
    Measure,
    /// Optimiser, once a batch, scalars only.
    Schedule,
    /// Optimiser, once a batch.
    Update,
}

/// Over what a body runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Every lane, ascending.
    Lanes,
    /// The one lane that the event names (the source of a received spike or value, or the own spike's lane).
    Lane,
    /// The lane of each synapse of the event's source, in the order of the channel's connection.
    Synapses,
    /// Once; only scalars.
    Scalar,
}

/// Straight-line code. Values are defined once, before use, and are local to the body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The statements in order.
    pub stmts: Vec<Stmt>,
    /// Number of values; statement `Let(v, …)` defines them in ascending order.
    pub values: usize,
}

/// A statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// Defines a value.
    Let(Value, Op),
    /// Stores into the lane's element of a lanes array, or into a scalar.
    Store(Array, Value),
    /// Stores into the lane's element of a row.
    StoreRow(Array, Row, Value),
    /// Folds over the lanes, ascending, into a scalar: `acc = init; acc = op(acc, …)`.
    /// The scalar holds the result after the last lane, and the body names it nowhere else. Only in
    /// [`Domain::Lanes`].
    Reduce(Array, Fold),
    /// The error sent to the producer of the spike in a `Message` handler, the measure of the process in a
    /// `Measure` handler. Only in these.
    Send(Outgoing),
    /// Where `cond` holds: record an own spike with these tape fields and emit it. Only in `Tick` and `Cross`.
    Spike {
        /// Boolean value.
        cond: Value,
        /// When, in `Cross`.
        time: Option<Value>,
        /// One per tape field; evaluated only where the spike happens.
        fields: Vec<Op>,
    },
    /// Writes the lane's element of a trace in the current bin.
    Probe(Array, Value),
    /// Where it holds, nothing further happens on this lane. Only in `Cross`.
    Skip(Value),
}

/// A fold over lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fold {
    /// `acc = acc + x`, from 0.
    Add(Value),
    /// `acc = max(acc, x)` as `select(x > acc, x, acc)`, from minus infinity.
    Max(Value),
    /// `acc = fma(x, y, acc)`, from 0.
    Fma(Value, Value),
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outgoing {
    /// One value ([`Domain::Lane`]).
    Value(Value),
    /// A fold over the lanes ([`Domain::Lanes`]) or the synapses ([`Domain::Synapses`]).
    Fold(Fold),
}

/// Which row of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// The source of the received spike.
    Source,
    /// The element that the synapse names ([`Domain::Synapses`]): no row, but one weight.
    Synapse,
    /// The current bin.
    Tick,
}

/// An operation; everything is `f32` but the result of [`Op::Cmp`], which is boolean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// A literal.
    Const(f32),
    /// A coefficient (of this lane).
    Coef(Coef),
    /// The lane's element of a lanes array, or a scalar.
    Load(Array),
    /// The lane's element of a row.
    LoadRow(Array, Row),
    /// A field of the own spike (`Spike` handlers).
    Field(usize),
    /// What arrived: a value, the error of the own spike or value, the replica's gradient element, or the sum of
    /// measures.
    Payload,
    /// The current bin as a number; in `Event` handlers the spike's bin. Not between the passes (`Turn`)
    /// nor between batches (optimisers).
    Tick,
    /// When the spike arrived that the handler is for, or when the own spike was. Exact times only.
    Time,
    /// The beginning of the interval that `Cross` looks at, or the lane's last spike in it.
    Since,
    /// The end of that interval.
    Until,
    /// The lane's index as a number.
    Lane,
    /// One operand.
    Unary(Unary, Value),
    /// Two operands.
    Binary(Binary, Value, Value),
    /// `a * b + c`, rounded once.
    Fma(Value, Value, Value),
    /// A comparison; false when either side is NaN.
    Cmp(Cmp, Value, Value),
    /// `cond ? a : b`.
    Select(Value, Value, Value),
    /// Where a sum of two exponentials crosses a threshold; see [`crate::math::root`].
    Root {
        /// Which exponentials.
        curve: Curve,
        /// Coefficient of the slow one.
        p: Value,
        /// Coefficient of the fast one, with the opposite sign.
        q: Value,
        /// The threshold.
        threshold: Value,
        /// The end of the interval at which to begin.
        from: Value,
    },
}

/// Two exponentials, by the ratio of their time constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curve {
    /// 3: [`crate::math::root::cubic`].
    Cubic,
    /// 4: [`crate::math::root::quartic`].
    Quartic,
    /// This number, more than 1: [`crate::math::root::general`].
    Power(Value),
    /// 1, with this rate: [`crate::math::root::equal`]. The root is a time.
    Equal(Value),
}

/// Operations with one operand. `Exp` and `Ln` are [`crate::math::exp`] and [`crate::math::ln`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unary {
    /// Sign flip.
    Neg,
    /// Square root, correctly rounded.
    Sqrt,
    /// Exponential.
    Exp,
    /// Natural logarithm.
    Ln,
}

/// Operations with two operands, each rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Binary {
    /// Sum.
    Add,
    /// Difference.
    Sub,
    /// Product.
    Mul,
    /// Quotient.
    Div,
}

/// Comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cmp {
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Equal.
    Eq,
}

impl Program {
    /// The loss process, if there is one.
    pub fn loss(&self) -> Option<Proc> {
        self.processes
            .iter()
            .find(|(_, p)| p.role == Role::Loss)
            .map(|(id, _)| id)
    }

    /// The process called `name`.
    pub fn process(&self, name: &str) -> Option<Proc> {
        self.processes
            .iter()
            .find(|(_, p)| p.name == name)
            .map(|(id, _)| id)
    }

    /// Channels into `proc`, ascending.
    pub fn incoming(&self, proc: Proc) -> impl Iterator<Item = (Chan, &Channel)> {
        self.channels.iter().filter(move |(_, c)| c.to == proc)
    }

    /// Channels out of `proc`, ascending.
    pub fn outgoing(&self, proc: Proc) -> impl Iterator<Item = (Chan, &Channel)> {
        self.channels.iter().filter(move |(_, c)| c.from == proc)
    }

    /// Whether values travel over this channel, and not spikes.
    pub fn carries_values(&self, chan: Chan) -> bool {
        self.processes[self.channels[chan].from].output != Output::Spikes
    }

    /// Whether an optimiser measures anything, which all of them then wait for.
    pub fn has_measures(&self) -> bool {
        let mut processes = self.processes.values();
        processes.any(|p| p.handler(HandlerKind::Measure).is_some())
    }

    /// Number of windows, and where the last one ends; of exact event times.
    pub fn windows(&self) -> Option<(u32, u32)> {
        let window = self.window?.max(1);
        let count = self.ticks.div_ceil(window).max(1);
        Some((count, self.ticks - (count - 1) * window))
    }

    /// Whether any process works backwards.
    pub fn has_adjoint(&self) -> bool {
        let mut handlers = self.processes.values().flat_map(|p| &p.handlers);
        handlers.any(|h| h.kind.is_adjoint())
    }

    /// The sources whose samples are spikes (or values), with the first of their channels in a sample.
    pub fn sources(&self, output: Output) -> impl Iterator<Item = (Proc, usize)> + '_ {
        let sources = self.processes.iter();
        let sources = sources.filter(move |(_, p)| p.role == Role::Source && p.output == output);
        sources.scan(0, |next, (id, p)| {
            let first = *next;
            *next += p.lanes;
            Some((id, first))
        })
    }

    /// Channels of all sources whose samples are spikes (or values).
    pub fn source_channels(&self, output: Output) -> usize {
        self.sources(output)
            .map(|(id, _)| self.processes[id].lanes)
            .sum()
    }

    /// Whether errors travel back over this channel.
    pub fn carries_errors(&self, chan: Chan) -> bool {
        self.processes[self.channels[chan].to]
            .handler(HandlerKind::Message(chan))
            .is_some()
    }

    /// Number of elements of an array.
    pub fn array_len(&self, proc: Proc, array: Array) -> usize {
        let p = &self.processes[proc];
        match p.arrays[array].kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                self.tensors[t].rows * self.tensors[t].lanes
            }
            ArrayKind::GivenError | ArrayKind::Trace => self.ticks as usize * p.lanes,
            kind if kind.is_scalar() => 1,
            _ => p.lanes,
        }
    }
}

impl HandlerKind {
    /// Whether it belongs to the pass that goes backwards.
    pub fn is_adjoint(self) -> bool {
        matches!(
            self,
            Self::Message(_)
                | Self::AdjointTick
                | Self::Value
                | Self::Spike
                | Self::Gradient(_)
                | Self::GradientTick
                | Self::AdjointWindow
        )
    }
}

impl Process {
    /// The handler of this kind (the first, for `Turn`).
    pub fn handler(&self, kind: HandlerKind) -> Option<&Handler> {
        self.handlers.iter().find(|h| h.kind == kind)
    }

    /// The array called `name`.
    pub fn array(&self, name: &str) -> Option<Array> {
        self.arrays
            .iter()
            .find(|(_, a)| a.name == name)
            .map(|(id, _)| id)
    }

    /// The array of this kind.
    pub fn array_of(&self, kind: ArrayKind) -> Option<Array> {
        self.arrays
            .iter()
            .find(|(_, a)| a.kind == kind)
            .map(|(id, _)| id)
    }
}

impl From<&Parameter> for CoefficientValue {
    fn from(parameter: &Parameter) -> Self {
        match parameter {
            Parameter::Uniform(v) => Self::Uniform(*v),
            Parameter::PerNeuron(v) => Self::PerLane(v.clone()),
        }
    }
}

impl CoefficientValue {
    /// The value on `lane`, rounded to `f32`.
    ///
    /// # Panics
    /// If `lane` is not a lane of the process.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding of a coefficient"
    )]
    pub fn at(&self, lane: usize) -> f32 {
        match self {
            Self::Uniform(v) => *v as f32,
            Self::PerLane(v) => v[lane] as f32,
        }
    }
}

impl Body {
    /// Appends `let v = op` and returns `v`.
    pub fn push(&mut self, op: Op) -> Value {
        use crate::entity::Entity;
        let value = Value::new(self.values);
        self.values += 1;
        self.stmts.push(Stmt::Let(value, op));
        value
    }
}

//! The interpreter: the meaning of an event program, lane by lane and operation by operation.
//!
//! It is written for reading, not for speed; the native simulator and the firmware have to agree with
//! it to the bit. The order in which handlers run is the one of [`crate::event`]'s text; `exact` is its part on
//! exact event times.
//!
//! Programs mean what they do in `f32`. `Interpreter<f64>` runs the same statements in `f64`, with
//! coefficients, tensors and times that are never rounded to `f32`: that is for checking derivatives by
//! differences, and no executor has to agree with it.

mod exact;

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::entity::{Entity, PrimaryMap};
use crate::event::{
    Array, ArrayKind, Binary, Chan, Channel, Cmp, Domain, Fold, Handler, HandlerKind, Op, Outgoing,
    Output, Proc, Process, Program, Role, Row, Stmt, Tensor, Unary,
};
use crate::event::{CoefficientValue, Curve};
use crate::executor::{Executor, LaneSpike, Outcome, Pass, Sample, check_batch, keeps_spikes};
use crate::math::real::Real;
use crate::math::root;
use exact::Exact;

/// Executes event programs by their definition.
pub struct Interpreter<R: Real = f32> {
    program: Program,
    tensors: PrimaryMap<Tensor, Vec<R>>,
    replicas: Vec<Replica<R>>,
    /// Arrays of optimiser processes, which exist once; empty for other processes.
    shared: PrimaryMap<Proc, Arrays<R>>,
}

type Arrays<R> = PrimaryMap<Array, Vec<R>>;

/// Errors of values by bin: one a lane for each channel they came over.
type ValueErrors<R> = BTreeMap<u32, Vec<(Chan, Vec<R>)>>;

/// One replica of the network.
#[derive(Clone)]
struct Replica<R> {
    arrays: PrimaryMap<Proc, Arrays<R>>,
    own: PrimaryMap<Proc, OwnTape<R>>,
    /// Values that a process emitted, `lanes` a bin; empty for one that spikes.
    emitted: PrimaryMap<Proc, Vec<R>>,
    /// Errors of the values that a process emitted in a bin, one a lane, with the channels they came over.
    value_errors: PrimaryMap<Proc, ValueErrors<R>>,
    /// Number of spikes received per channel.
    received: PrimaryMap<Chan, usize>,
    /// What a program of exact event times keeps beside.
    exact: Exact<R>,
}

/// Own spikes of a process, in order of (bin, lane).
#[derive(Clone, Default)]
struct OwnTape<R> {
    spikes: Vec<LaneSpike>,
    fields: Vec<Vec<R>>,
    /// Errors received for each spike, with the channels they came over.
    errors: Vec<Vec<(Chan, R)>>,
}

impl Interpreter {
    /// An interpreter with the program's initial tensors.
    pub fn new(program: &Program) -> Self {
        Self::computing(program)
    }
}

impl<R: Real> Interpreter<R> {
    /// An interpreter that computes with numbers of type `R`, with the program's initial tensors.
    pub fn computing(program: &Program) -> Self {
        let fresh = |optimiser: bool| {
            program
                .processes
                .iter()
                .map(|(id, p)| {
                    if matches!(p.role, Role::Optimiser(_)) == optimiser {
                        initial_arrays(program, id)
                    } else {
                        Arrays::new()
                    }
                })
                .collect::<PrimaryMap<Proc, Arrays<R>>>()
        };
        let replica = Replica {
            arrays: fresh(false),
            own: program
                .processes
                .values()
                .map(|_| OwnTape::default())
                .collect(),
            emitted: program.processes.values().map(|_| Vec::new()).collect(),
            value_errors: program
                .processes
                .values()
                .map(|_| BTreeMap::new())
                .collect(),
            received: program.channels.values().map(|_| 0).collect(),
            exact: Exact::new(program),
        };
        Self {
            program: program.clone(),
            tensors: program
                .tensors
                .values()
                .map(|t| t.values.iter().copied().map(R::from_f32).collect())
                .collect(),
            replicas: vec![replica; program.replicas],
            shared: fresh(true),
        }
    }

    /// Runs one handler once on the current state of a replica, as an oracle for generated code.
    /// The event's source is the lane of [`Domain::Lane`]; returns what a `Message` or `Measure` handler
    /// sends.
    pub fn run_handler(
        &mut self,
        replica: usize,
        proc: Proc,
        handler: &Handler,
        event: Event<R>,
    ) -> Option<R> {
        let process = &self.program.processes[proc];
        let arrays = match process.role {
            Role::Optimiser(_) => &mut self.shared[proc],
            _ => &mut self.replicas[replica].arrays[proc],
        };
        let mut machine = Machine {
            program: &self.program,
            process,
            arrays,
            tensors: &mut self.tensors,
            event,
            synapse: 0,
            spikes: Vec::new(),
        };
        machine.run(handler)
    }

    /// Overwrites an array of a replica, for tests that start from a given state.
    pub fn poke(&mut self, replica: usize, proc: Proc, array: Array, values: &[R]) {
        let process = &self.program.processes[proc];
        match (process.role, process.arrays[array].kind) {
            (_, ArrayKind::Param(t)) => self.tensors[t].copy_from_slice(values),
            (Role::Optimiser(_), _) => self.shared[proc][array].copy_from_slice(values),
            _ => self.replicas[replica].arrays[proc][array].copy_from_slice(values),
        }
    }

    fn sample(
        &mut self,
        replica: usize,
        pass: Pass,
        sample: &Sample<'_>,
        times: &[R],
    ) -> Result<(), Diagnostic> {
        let mut run = SampleRun {
            program: &self.program,
            tensors: &mut self.tensors,
            replica: &mut self.replicas[replica],
            sample,
            times,
        };
        run.start();
        let exact = self.program.window.is_some();
        match exact {
            true => run.forward_exact()?,
            false => run.forward()?,
        }
        run.turn();
        match (pass, exact) {
            (Pass::Forward, _) => {}
            (_, true) => run.adjoint_exact(),
            (_, false) => run.adjoint(),
        }
        Ok(())
    }

    /// Zeroes the gradients, as at the start of a batch.
    fn clear_gradients(&mut self) {
        for replica in &mut self.replicas {
            for (id, process) in self.program.processes.iter() {
                for (array, decl) in process.arrays.iter() {
                    if matches!(decl.kind, ArrayKind::Gradient(_)) {
                        replica.arrays[id][array].fill(zero());
                    }
                }
            }
        }
    }

    /// Own spikes of a process in the last run of a replica, in the order of its tape.
    pub fn own_spikes(&self, replica: usize, proc: Proc) -> &[LaneSpike] {
        &self.replicas[replica].own[proc].spikes
    }

    /// What is recorded of each of them.
    pub fn own_fields(&self, replica: usize, proc: Proc) -> &[Vec<R>] {
        &self.replicas[replica].own[proc].fields
    }

    /// Reads an array, as [`Executor::read`] does.
    pub fn values(&self, replica: usize, proc: Proc, array: Array) -> Vec<R> {
        let process = &self.program.processes[proc];
        match (process.role, process.arrays[array].kind) {
            (_, ArrayKind::Param(t)) => self.tensors[t].clone(),
            (Role::Optimiser(_), _) => self.shared[proc][array].clone(),
            _ => self.replicas[replica].arrays[proc][array].clone(),
        }
    }

    fn update(&mut self, active: usize) {
        let optimisers: Vec<(Proc, Tensor)> = self
            .program
            .processes
            .iter()
            .filter_map(|(id, process)| match process.role {
                Role::Optimiser(tensor) => Some((id, tensor)),
                _ => None,
            })
            .collect();
        let mut measured = None;
        for &(id, tensor) in &optimisers {
            self.gather(id, tensor, active);
            let measure = self.optimise(id, HandlerKind::Measure, Payload::default());
            measured = match (measured, measure) {
                (Some(sum), Some(measure)) => Some(sum + measure),
                (sum, measure) => sum.or(measure),
            };
        }
        for (id, _) in optimisers {
            let payload = Payload::One(measured.unwrap_or_else(zero));
            self.optimise(id, HandlerKind::Schedule, payload);
            self.optimise(id, HandlerKind::Update, Payload::default());
        }
    }

    /// Sums the gradients of the replicas that had a sample.
    fn gather(&mut self, id: Proc, tensor: Tensor, active: usize) {
        let processes = &self.program.processes;
        if let Some(array) = processes[id].array_of(ArrayKind::Gathered) {
            self.shared[id][array].fill(zero());
        }
        let owned = |(p, q): (Proc, &Process)| {
            let array = q.array_of(ArrayKind::Gradient(tensor))?;
            Some((p, array))
        };
        let Some((owner, array)) = processes.iter().find_map(owned) else {
            return;
        };
        for replica in 0..active {
            let gradient = self.replicas[replica].arrays[owner][array].clone();
            self.optimise(id, HandlerKind::Gather, Payload::PerLane(gradient));
        }
    }

    /// Runs a handler of an optimiser process, if it has it; returns what it sends.
    fn optimise(&mut self, id: Proc, kind: HandlerKind, payload: Payload<R>) -> Option<R> {
        let process = &self.program.processes[id];
        let mut machine = Machine {
            program: &self.program,
            process,
            arrays: &mut self.shared[id],
            tensors: &mut self.tensors,
            event: Event {
                payload,
                ..Event::default()
            },
            synapse: 0,
            spikes: Vec::new(),
        };
        machine.run(process.handler(kind)?)
    }

    fn outcome(&self, replica: usize) -> Outcome {
        let Some(loss) = self.program.loss() else {
            return Outcome::default();
        };
        let process = &self.program.processes[loss];
        let arrays = &self.replicas[replica].arrays[loss];
        let numbers = |a| arrays[a].iter().copied().map(in_f32).collect();
        let get = |name| process.array(name).map(numbers);
        Outcome {
            first_spike: get("first_spike").unwrap_or_default(),
            score: get("score").unwrap_or_default(),
            loss: get("loss").map_or(0.0, |v| v[0]),
            cross_entropy: get("cross_entropy").map_or(0.0, |v| v[0]),
        }
    }
}

impl Executor for Interpreter {
    fn program(&self) -> &Program {
        &self.program
    }

    fn name(&self) -> &'static str {
        "interpreter"
    }

    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        check_batch(&self.program, batch)?;
        self.clear_gradients();
        let mut found = Vec::with_capacity(batch.len());
        for (k, sample) in batch.iter().enumerate() {
            let replica = k % self.program.replicas;
            self.sample(replica, pass, sample, sample.times)?;
            found.push(self.outcome(replica));
        }
        outcomes.append(&mut found);
        if pass == Pass::Train {
            self.update(batch.len().min(self.program.replicas));
        }
        Ok(())
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        Ok(self.values(replica, proc, array))
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        self.poke(0, proc, array, values);
        Ok(())
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        Ok(self.replicas[replica].own[proc].spikes.clone())
    }

    fn spike_times(&self, replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        Ok(self.times(replica, proc))
    }
}

fn initial_arrays<R: Real>(program: &Program, proc: Proc) -> Arrays<R> {
    let process = &program.processes[proc];
    process
        .arrays
        .iter()
        .map(|(id, decl)| match decl.kind {
            ArrayKind::Param(_) => Vec::new(),
            kind => vec![initial_value(kind); program.array_len(proc, id)],
        })
        .collect()
}

fn initial_value<R: Real>(kind: ArrayKind) -> R {
    match kind {
        ArrayKind::State { init } | ArrayKind::Scalar { init } | ArrayKind::Counter { init } => {
            R::from_f32(init)
        }
        _ => zero(),
    }
}

fn zero<R: Real>() -> R {
    R::from_f32(0.0)
}

/// A count or an index as a number.
#[expect(
    clippy::cast_precision_loss,
    reason = "bins, lanes and classes are below 2^24"
)]
fn whole<R: Real>(x: u32) -> R {
    R::from_f32(x as f32)
}

/// A number for those who read `f32`.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
fn in_f32<R: Real>(x: R) -> f32 {
    x.to_f64() as f32
}

/// One sample on one replica.
struct SampleRun<'a, R: Real> {
    program: &'a Program,
    tensors: &'a mut PrimaryMap<Tensor, Vec<R>>,
    replica: &'a mut Replica<R>,
    sample: &'a Sample<'a>,
    /// Exact times of the sample's spikes, where the program has such.
    times: &'a [R],
}

impl<R: Real> SampleRun<'_, R> {
    fn start(&mut self) {
        for (id, process) in self.program.processes.iter() {
            if matches!(process.role, Role::Optimiser(_)) {
                continue;
            }
            let own = &mut self.replica.own[id];
            own.spikes.clear();
            own.errors.clear();
            own.fields.clear();
            self.replica.emitted[id].clear();
            self.replica.value_errors[id].clear();
            for (array, decl) in process.arrays.iter() {
                let values = &mut self.replica.arrays[id][array];
                match decl.kind {
                    ArrayKind::State { init } | ArrayKind::Scalar { init } => {
                        values.fill(R::from_f32(init));
                    }
                    ArrayKind::Trace => values.fill(zero()),
                    ArrayKind::Label => values[0] = whole(self.sample.label),
                    ArrayKind::GivenError => {
                        for (value, given) in values.iter_mut().zip(self.sample.error) {
                            *value = R::from_f32(*given);
                        }
                    }
                    _ => {}
                }
            }
        }
        for count in self.replica.received.values_mut() {
            *count = 0;
        }
        self.replica.exact.clear();
    }

    fn forward(&mut self) -> Result<(), Diagnostic> {
        let program = self.program;
        for t in 0..program.ticks {
            for (id, process) in program.processes.iter() {
                match process.role {
                    Role::Source => self.source(id, t),
                    Role::Neurons if t >= program.first_tick => {
                        self.receive(id, t)?;
                        self.tick(id, t)?;
                    }
                    Role::Loss => self.receive(id, t)?,
                    Role::Neurons | Role::Optimiser(_) => {}
                }
                if let Output::State(state) = process.output {
                    let values = &self.replica.arrays[id][state];
                    self.replica.emitted[id].extend(values);
                }
            }
        }
        self.late_arrivals()
    }

    /// Emits what the sample has for this source in a bin.
    fn source(&mut self, proc: Proc, bin: u32) {
        let process = &self.program.processes[proc];
        let mut sources = self.program.sources(process.output);
        let first = sources.find(|(id, _)| *id == proc).map_or(0, |(_, f)| f);
        if process.output == Output::Spikes {
            let channels = index_u32(first)..index_u32(first + process.lanes);
            let spikes = self.sample.spikes;
            let from = spikes.partition_point(|s| s.tick < bin);
            let spikes = spikes[from..].iter().take_while(|s| s.tick == bin);
            let spikes = spikes.filter(|s| channels.contains(&s.channel));
            self.replica.own[proc]
                .spikes
                .extend(spikes.map(|s| LaneSpike {
                    tick: bin,
                    lane: s.channel - channels.start,
                }));
        } else {
            let row = bin as usize * self.program.source_channels(Output::Given) + first;
            let values = &self.sample.values[row..row + process.lanes];
            self.replica.emitted[proc].extend(values.iter().copied().map(R::from_f32));
        }
    }

    /// Spikes of the last bins are on the tapes of neurons, though nothing runs for them.
    fn late_arrivals(&mut self) -> Result<(), Diagnostic> {
        let program = self.program;
        for (id, process) in program.processes.iter() {
            if process.role != Role::Neurons {
                continue;
            }
            for (chan, channel) in program.incoming(id) {
                for bin in program.ticks.saturating_sub(channel.delay)..program.ticks {
                    let late = self.spikes_of(channel.from, bin).len();
                    self.arrived(chan, late)?;
                }
            }
        }
        Ok(())
    }

    /// Counts spikes that a channel brought.
    fn arrived(&mut self, chan: Chan, spikes: usize) -> Result<(), Diagnostic> {
        let channel = &self.program.channels[chan];
        let received = &mut self.replica.received[chan];
        *received += spikes;
        match channel.bound {
            Some(bound) if *received > bound => {
                let process = &self.program.processes[channel.to];
                Err(overflow(process, "received spikes", bound))
            }
            _ => Ok(()),
        }
    }

    /// Runs the `Event` handlers of `proc` for what it takes in `bin`.
    fn receive(&mut self, proc: Proc, bin: u32) -> Result<(), Diagnostic> {
        let program = self.program;
        for (chan, channel) in program.incoming(proc) {
            let Some(emitted) = bin.checked_sub(channel.delay) else {
                continue;
            };
            let kind = HandlerKind::Event(chan);
            if program.carries_values(chan) {
                for (source, value) in self.values_of(channel.from, emitted) {
                    let event = Event {
                        payload: Payload::One(value),
                        ..Event::at(source, emitted)
                    };
                    self.run(proc, kind, event);
                }
                continue;
            }
            for source in self.spikes_of(channel.from, emitted) {
                self.arrived(chan, 1)?;
                self.run(proc, kind, Event::at(source, emitted));
            }
        }
        Ok(())
    }

    fn tick(&mut self, proc: Proc, bin: u32) -> Result<(), Diagnostic> {
        let process = &self.program.processes[proc];
        let (_, spikes) = self.run(proc, HandlerKind::Tick, Event::at(0, bin));
        let own = &mut self.replica.own[proc];
        let place = |fired: &Fired<R>| LaneSpike {
            tick: bin,
            lane: fired.lane,
        };
        let mut spikes = spikes.into_iter();
        spikes.try_for_each(|fired| own.record(process, place(&fired), fired.fields))
    }

    fn turn(&mut self) {
        let Some(loss) = self.program.loss() else {
            return;
        };
        let process = &self.program.processes[loss];
        for handler in process
            .handlers
            .iter()
            .filter(|h| h.kind == HandlerKind::Turn)
        {
            self.run_one(loss, handler, Event::default());
        }
    }

    fn adjoint(&mut self) {
        let program = self.program;
        for bin in (program.first_tick..program.ticks).rev() {
            let step = Event::at(0, bin - program.first_tick);
            for proc in program.processes.keys().rev() {
                match program.processes[proc].role {
                    Role::Loss => self.loss_errors(proc, bin),
                    Role::Neurons => {
                        self.errors_of_spikes(proc, bin);
                        self.own_values(proc, bin);
                        self.run(proc, HandlerKind::AdjointTick, step.clone());
                        self.own_spikes(proc, bin);
                        self.gradients(proc, bin);
                        self.run(proc, HandlerKind::GradientTick, step.clone());
                    }
                    Role::Source | Role::Optimiser(_) => {}
                }
            }
        }
    }

    /// What the loss sends for a bin.
    fn loss_errors(&mut self, loss: Proc, bin: u32) {
        if bin + 1 < self.program.ticks {
            self.errors_of_spikes(loss, bin);
        }
        for (chan, channel) in self.program.incoming(loss) {
            if self.program.carries_values(chan) {
                self.errors_of_values(loss, chan, channel, bin);
            }
        }
    }

    /// Sends an error for each spike that is taken in `bin`.
    fn errors_of_spikes(&mut self, proc: Proc, bin: u32) {
        let program = self.program;
        for (chan, channel) in program.incoming(proc) {
            let Some(bin) = bin.checked_sub(channel.delay) else {
                continue;
            };
            if !program.carries_errors(chan) || program.carries_values(chan) {
                continue;
            }
            for source in self.spikes_of(channel.from, bin) {
                let (sent, _) = self.run(proc, HandlerKind::Message(chan), Event::at(source, bin));
                let own = &mut self.replica.own[channel.from];
                let place = LaneSpike {
                    tick: bin,
                    lane: source,
                };
                if let (Some(error), Ok(entry)) = (sent, own.spikes.binary_search(&place)) {
                    own.errors[entry].push((chan, error));
                }
            }
        }
    }

    /// Sends an error for each value that is taken in `bin`.
    fn errors_of_values(&mut self, proc: Proc, chan: Chan, channel: &Channel, bin: u32) {
        let emitted = bin.checked_sub(channel.delay);
        let Some(bin) = emitted.filter(|bin| *bin >= self.program.first_tick) else {
            return;
        };
        if !self.program.carries_errors(chan) {
            return;
        }
        let errors = self
            .values_of(channel.from, bin)
            .into_iter()
            .map(|(source, _)| {
                let (sent, _) = self.run(proc, HandlerKind::Message(chan), Event::at(source, bin));
                sent.unwrap_or(zero())
            });
        let errors = errors.collect();
        let of_bin = self.replica.value_errors[channel.from]
            .entry(bin)
            .or_default();
        of_bin.push((chan, errors));
    }

    /// Takes the errors of the values of `bin`.
    fn own_values(&mut self, proc: Proc, bin: u32) {
        let Some(errors) = self.replica.value_errors[proc].remove(&bin) else {
            return;
        };
        let lanes = 0..self.program.processes[proc].lanes;
        let sums = lanes.map(|lane| {
            let of_lane: Vec<_> = errors.iter().map(|(chan, e)| (*chan, e[lane])).collect();
            sum_of_errors(&of_lane)
        });
        let event = Event {
            payload: Payload::PerLane(sums.collect()),
            ..Event::at(0, bin - self.program.first_tick)
        };
        self.run(proc, HandlerKind::Value, event);
    }

    fn own_spikes(&mut self, proc: Proc, bin: u32) {
        for entry in 0..self.replica.own[proc].spikes.len() {
            let own = &self.replica.own[proc];
            let spike = own.spikes[entry];
            if spike.tick != bin {
                continue;
            }
            let event = Event {
                fields: own.fields[entry].clone(),
                payload: Payload::One(sum_of_errors(&own.errors[entry])),
                ..Event::at(spike.lane, bin - self.program.first_tick)
            };
            self.run(proc, HandlerKind::Spike, event);
        }
    }

    fn gradients(&mut self, proc: Proc, bin: u32) {
        let program = self.program;
        for (chan, channel) in program.incoming(proc) {
            let Some(emitted) = bin.checked_sub(channel.delay) else {
                continue;
            };
            let kind = HandlerKind::Gradient(chan);
            if program.carries_values(chan) {
                for (source, value) in self.values_of(channel.from, emitted) {
                    let event = Event {
                        payload: Payload::One(value),
                        ..Event::at(source, emitted)
                    };
                    self.run(proc, kind, event);
                }
                self.errors_of_values(proc, chan, channel, bin);
                continue;
            }
            for source in self.spikes_of(channel.from, emitted) {
                self.run(proc, kind, Event::at(source, emitted));
            }
        }
    }

    fn spikes_of(&self, proc: Proc, bin: u32) -> Vec<u32> {
        let spikes = &self.replica.own[proc].spikes;
        let from = spikes.partition_point(|s| s.tick < bin);
        let spikes = spikes[from..].iter().take_while(|s| s.tick == bin);
        spikes.map(|s| s.lane).collect()
    }

    /// What every lane of a process emitted in a bin.
    fn values_of(&self, proc: Proc, bin: u32) -> Vec<(u32, R)> {
        let lanes = self.program.processes[proc].lanes;
        let from = bin as usize * lanes;
        let values = &self.replica.emitted[proc][from..from + lanes];
        (0..).zip(values.iter().copied()).collect()
    }

    fn run(
        &mut self,
        proc: Proc,
        kind: HandlerKind,
        event: Event<R>,
    ) -> (Option<R>, Vec<Fired<R>>) {
        match self.program.processes[proc].handler(kind) {
            Some(handler) => self.run_one(proc, handler, event),
            None => (None, Vec::new()),
        }
    }

    fn run_one(
        &mut self,
        proc: Proc,
        handler: &Handler,
        event: Event<R>,
    ) -> (Option<R>, Vec<Fired<R>>) {
        let mut machine = Machine {
            program: self.program,
            process: &self.program.processes[proc],
            arrays: &mut self.replica.arrays[proc],
            tensors: self.tensors,
            event,
            synapse: 0,
            spikes: Vec::new(),
        };
        let sent = machine.run(handler);
        (sent, machine.spikes)
    }
}

/// The errors of a spike, summed in ascending order of channels from the first one's value.
fn sum_of_errors<R: Real>(errors: &[(Chan, R)]) -> R {
    let mut errors = errors.to_vec();
    errors.sort_by_key(|(chan, _)| *chan);
    let values = errors.into_iter().map(|(_, error)| error);
    values.reduce(|sum, error| sum + error).unwrap_or(zero())
}

fn overflow(process: &Process, what: &str, bound: usize) -> Diagnostic {
    Diagnostic::error(
        codes::DEVICE_LOSS,
        &process.name,
        format!("the tape of {what} is full: more than {bound} in one sample"),
    )
    .help("raise `mapping.spike_bound`; left out, there is room for a spike a neuron and bin")
}

impl<R: Real> OwnTape<R> {
    /// Records a spike, if the tape has room for it.
    fn record(
        &mut self,
        process: &Process,
        spike: LaneSpike,
        fields: Vec<R>,
    ) -> Result<(), Diagnostic> {
        if let Some(bound) = process.tape.as_ref().and_then(|tape| tape.bound)
            && self.spikes.len() >= bound
        {
            return Err(overflow(process, "own spikes", bound));
        }
        self.spikes.push(spike);
        self.fields.push(fields);
        self.errors.push(Vec::new());
        Ok(())
    }
}

/// A lane that fired.
struct Fired<R> {
    lane: u32,
    /// When, of exact event times.
    time: Option<R>,
    /// The tape's fields.
    fields: Vec<R>,
}

/// What a handler is told about why it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Event<R = f32> {
    /// Source of the received spike, or lane of the own spike.
    pub source: u32,
    /// Current bin; of exact event times, the window.
    pub bin: u32,
    /// Exact time of the arrival or of the own spike; in `Cross`, the beginning of the interval.
    pub time: R,
    /// The end of the interval.
    pub until: R,
    /// Fields of the own spike.
    pub fields: Vec<R>,
    /// What arrived with it.
    pub payload: Payload<R>,
}

/// What [`Op::Payload`] reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload<R = f32> {
    /// A value, or the error of a spike.
    One(R),
    /// A replica's gradient.
    PerLane(Vec<R>),
}

impl<R: Real> Default for Payload<R> {
    fn default() -> Self {
        Self::One(zero())
    }
}

impl<R: Real> Event<R> {
    /// An event of `source` in `bin`.
    pub fn at(source: u32, bin: u32) -> Self {
        Self {
            source,
            bin,
            ..Self::default()
        }
    }

    /// An event of `source` at an exact time.
    fn timed(source: u32, time: R) -> Self {
        Self {
            source,
            time,
            ..Self::default()
        }
    }
}

impl<R: Real> Default for Event<R> {
    fn default() -> Self {
        Self {
            source: 0,
            bin: 0,
            time: zero(),
            until: zero(),
            fields: Vec::new(),
            payload: Payload::default(),
        }
    }
}

/// Executes one handler of one process.
struct Machine<'a, R: Real> {
    program: &'a Program,
    process: &'a Process,
    arrays: &'a mut Arrays<R>,
    tensors: &'a mut PrimaryMap<Tensor, Vec<R>>,
    event: Event<R>,
    /// The current synapse's element of a tensor.
    synapse: usize,
    spikes: Vec<Fired<R>>,
}

impl<R: Real> Machine<'_, R> {
    fn run(&mut self, handler: &Handler) -> Option<R> {
        let mut sent = None;
        for stmt in &handler.body.stmts {
            match stmt {
                Stmt::Reduce(array, fold) => self.arrays[*array][0] = identity(*fold),
                Stmt::Send(Outgoing::Fold(fold)) => sent = Some(identity(*fold)),
                _ => {}
            }
        }
        let source = self.event.source as usize;
        let lanes = match handler.domain {
            Domain::Lanes => 0..self.process.lanes,
            Domain::Lane => source..source + 1,
            Domain::Scalar => 0..1,
            Domain::Synapses => {
                self.run_synapses(handler, &mut sent);
                return sent;
            }
        };
        let mut values = vec![zero(); handler.body.values];
        for lane in lanes {
            self.lane(handler, lane, &mut values, &mut sent);
        }
        sent
    }

    /// The body on one lane, up to a skip.
    fn lane(&mut self, handler: &Handler, lane: usize, values: &mut [R], sent: &mut Option<R>) {
        for stmt in &handler.body.stmts {
            if let Stmt::Skip(cond) = stmt
                && is_true(values[cond.index()])
            {
                break;
            }
            self.step(stmt, lane, values, sent);
        }
    }

    fn run_synapses(&mut self, handler: &Handler, sent: &mut Option<R>) {
        let (HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan)) =
            handler.kind
        else {
            return;
        };
        let connection = &self.program.channels[chan].connection;
        let mut values = vec![zero(); handler.body.values];
        for synapse in connection.synapses(self.event.source as usize) {
            self.synapse = synapse.weight as usize;
            for stmt in &handler.body.stmts {
                self.step(stmt, synapse.lane as usize, &mut values, sent);
            }
        }
    }

    fn step(&mut self, stmt: &Stmt, lane: usize, values: &mut [R], sent: &mut Option<R>) {
        match stmt {
            Stmt::Let(value, op) => values[value.index()] = self.eval(op, lane, values),
            Stmt::Store(array, value) => {
                let index = if self.process.arrays[*array].kind.is_scalar() {
                    0
                } else {
                    lane
                };
                self.slot(*array)[index] = values[value.index()];
            }
            Stmt::StoreRow(array, row, value) => {
                let index = self.element(*row, lane);
                self.slot(*array)[index] = values[value.index()];
            }
            Stmt::Reduce(array, fold) => {
                let acc = &mut self.arrays[*array][0];
                *acc = apply(*fold, *acc, values);
            }
            Stmt::Send(Outgoing::Value(value)) => *sent = Some(values[value.index()]),
            Stmt::Send(Outgoing::Fold(fold)) => {
                *sent = sent.map(|acc| apply(*fold, acc, values));
            }
            Stmt::Spike { cond, time, fields } => {
                if is_true(values[cond.index()]) {
                    let fields = fields.iter().map(|op| self.eval(op, lane, values));
                    let fired = Fired {
                        lane: index_u32(lane),
                        time: time.map(|time| values[time.index()]),
                        fields: fields.collect(),
                    };
                    self.spikes.push(fired);
                }
            }
            // Who runs the body looks at it.
            Stmt::Skip(_) => {}
            Stmt::Probe(array, value) => {
                let index = self.event.bin as usize * self.process.lanes + lane;
                self.arrays[*array][index] = values[value.index()];
            }
        }
    }

    fn eval(&self, op: &Op, lane: usize, values: &[R]) -> R {
        let v = |value: crate::event::Value| values[value.index()];
        match *op {
            Op::Const(x) => R::from_f32(x),
            Op::Coef(c) => coefficient(&self.process.coefs[c].value, lane),
            Op::Load(array) => {
                let index = if self.process.arrays[array].kind.is_scalar() {
                    0
                } else {
                    lane
                };
                self.peek(array)[index]
            }
            Op::LoadRow(array, row) => self.peek(array)[self.element(row, lane)],
            Op::Field(i) => self.event.fields[i],
            Op::Payload => match &self.event.payload {
                Payload::One(value) => *value,
                Payload::PerLane(values) => values[lane],
            },
            Op::Tick => whole(self.event.bin),
            Op::Time | Op::Since => self.event.time,
            Op::Until => self.event.until,
            Op::Lane => whole(index_u32(lane)),
            Op::Unary(op, a) => unary(op, v(a)),
            Op::Binary(op, a, b) => binary(op, v(a), v(b)),
            Op::Fma(a, b, c) => v(a).mul_add(v(b), v(c)),
            Op::Cmp(op, a, b) => whole(u32::from(compare(op, v(a), v(b)))),
            Op::Select(c, a, b) => {
                if is_true(v(c)) {
                    v(a)
                } else {
                    v(b)
                }
            }
            Op::Root {
                curve,
                p,
                q,
                threshold,
                from,
            } => {
                let (p, q, threshold, from) = (v(p), v(q), v(threshold), v(from));
                match curve {
                    Curve::Cubic => root::cubic(p, q, threshold, from),
                    Curve::Quartic => root::quartic(p, q, threshold, from),
                    Curve::Power(n) => root::general(v(n), p, q, threshold, from),
                    Curve::Equal(rate) => root::equal(v(rate), p, q, threshold, from),
                }
            }
        }
    }

    /// Index of a lane's element of a row.
    fn element(&self, row: Row, lane: usize) -> usize {
        let lanes = self.process.lanes;
        match row {
            Row::Source => self.event.source as usize * lanes + lane,
            Row::Tick => self.event.bin as usize * lanes + lane,
            Row::Synapse => self.synapse,
        }
    }

    fn peek(&self, array: Array) -> &[R] {
        match self.process.arrays[array].kind {
            ArrayKind::Param(tensor) => &self.tensors[tensor],
            _ => &self.arrays[array],
        }
    }

    fn slot(&mut self, array: Array) -> &mut [R] {
        match self.process.arrays[array].kind {
            ArrayKind::Param(tensor) => &mut self.tensors[tensor],
            _ => &mut self.arrays[array],
        }
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("lanes are below 2^24")
}

/// A coefficient on a lane: kept in `f64`, rounded once.
fn coefficient<R: Real>(value: &CoefficientValue, lane: usize) -> R {
    R::from_f64(match value {
        CoefficientValue::Uniform(v) => *v,
        CoefficientValue::PerLane(v) => v[lane],
    })
}

fn is_true<R: Real>(value: R) -> bool {
    value != zero()
}

fn identity<R: Real>(fold: Fold) -> R {
    match fold {
        Fold::Add(_) | Fold::Fma(..) => zero(),
        Fold::Max(_) => R::NEG_INFINITY,
    }
}

fn apply<R: Real>(fold: Fold, acc: R, values: &[R]) -> R {
    match fold {
        Fold::Add(x) => acc + values[x.index()],
        Fold::Max(x) => {
            let x = values[x.index()];
            if x > acc { x } else { acc }
        }
        Fold::Fma(x, y) => values[x.index()].mul_add(values[y.index()], acc),
    }
}

/// The meaning of an operation with one operand.
pub fn unary<R: Real>(op: Unary, a: R) -> R {
    match op {
        Unary::Neg => -a,
        Unary::Sqrt => a.sqrt(),
        Unary::Exp => a.exp(),
        Unary::Ln => a.ln(),
    }
}

/// The meaning of an operation with two operands.
pub fn binary<R: Real>(op: Binary, a: R, b: R) -> R {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    }
}

/// The meaning of a comparison.
pub fn compare<R: Real>(op: Cmp, a: R, b: R) -> bool {
    match op {
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::Lt => a < b,
        Cmp::Eq => a == b,
    }
}

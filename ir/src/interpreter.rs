//! The interpreter: the meaning of an event program, lane by lane and operation by operation.
//!
//! It is written for reading, not for speed; the native simulator and the firmware have to agree with
//! it to the bit. The order in which handlers run is the one of [`crate::event`]'s text.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::entity::{Entity, PrimaryMap};
use crate::event::{
    Array, ArrayKind, Binary, Chan, Channel, Cmp, Domain, Fold, Handler, HandlerKind, Op, Outgoing,
    Output, Proc, Process, Program, Role, Row, Stmt, Tensor, Unary,
};
use crate::executor::{Executor, LaneSpike, Outcome, Pass, Sample, check_batch, keeps_spikes};
use crate::math;

/// Executes event programs by their definition.
pub struct Interpreter {
    program: Program,
    tensors: PrimaryMap<Tensor, Vec<f32>>,
    replicas: Vec<Replica>,
    /// Arrays of optimiser processes, which exist once; empty for other processes.
    shared: PrimaryMap<Proc, Arrays>,
}

type Arrays = PrimaryMap<Array, Vec<f32>>;

/// By bin, the errors of the values that a process emitted then, one a lane, with the channels they came over.
type ValueErrors = BTreeMap<u32, Vec<(Chan, Vec<f32>)>>;

/// One replica of the network.
#[derive(Clone)]
struct Replica {
    arrays: PrimaryMap<Proc, Arrays>,
    own: PrimaryMap<Proc, OwnTape>,
    /// Values that a process emitted, `lanes` a bin; empty for one that spikes.
    emitted: PrimaryMap<Proc, Vec<f32>>,
    value_errors: PrimaryMap<Proc, ValueErrors>,
    /// Number of spikes received per channel.
    received: PrimaryMap<Chan, usize>,
}

/// Own spikes of a process, in order of (bin, lane).
#[derive(Clone, Default)]
struct OwnTape {
    spikes: Vec<LaneSpike>,
    fields: Vec<Vec<f32>>,
    /// Errors received for each spike, with the channels they came over.
    errors: Vec<Vec<(Chan, f32)>>,
}

impl Interpreter {
    /// An interpreter with the program's initial tensors.
    pub fn new(program: &Program) -> Self {
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
                .collect::<PrimaryMap<Proc, Arrays>>()
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
        };
        Self {
            program: program.clone(),
            tensors: program.tensors.values().map(|t| t.values.clone()).collect(),
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
        event: Event,
    ) -> Option<f32> {
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
    pub fn poke(&mut self, replica: usize, proc: Proc, array: Array, values: &[f32]) {
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
    ) -> Result<(), Diagnostic> {
        let mut run = SampleRun {
            program: &self.program,
            tensors: &mut self.tensors,
            replica: &mut self.replicas[replica],
            sample,
        };
        run.start();
        run.forward()?;
        run.turn();
        if pass != Pass::Forward {
            run.adjoint();
        }
        Ok(())
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
            let payload = Payload::One(measured.unwrap_or(0.0));
            self.optimise(id, HandlerKind::Schedule, payload);
            self.optimise(id, HandlerKind::Update, Payload::default());
        }
    }

    /// Sums the gradients of the replicas that had a sample.
    fn gather(&mut self, id: Proc, tensor: Tensor, active: usize) {
        let processes = &self.program.processes;
        if let Some(array) = processes[id].array_of(ArrayKind::Gathered) {
            self.shared[id][array].fill(0.0);
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
    fn optimise(&mut self, id: Proc, kind: HandlerKind, payload: Payload) -> Option<f32> {
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
        let get = |name| process.array(name).map(|a| arrays[a].clone());
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
        for replica in &mut self.replicas {
            for (id, process) in self.program.processes.iter() {
                for (array, decl) in process.arrays.iter() {
                    if matches!(decl.kind, ArrayKind::Gradient(_)) {
                        replica.arrays[id][array].fill(0.0);
                    }
                }
            }
        }
        let mut found = Vec::with_capacity(batch.len());
        for (k, sample) in batch.iter().enumerate() {
            let replica = k % self.program.replicas;
            self.sample(replica, pass, sample)?;
            found.push(self.outcome(replica));
        }
        outcomes.append(&mut found);
        if pass == Pass::Train {
            self.update(batch.len().min(self.program.replicas));
        }
        Ok(())
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        let process = &self.program.processes[proc];
        Ok(match (process.role, process.arrays[array].kind) {
            (_, ArrayKind::Param(t)) => self.tensors[t].clone(),
            (Role::Optimiser(_), _) => self.shared[proc][array].clone(),
            _ => self.replicas[replica].arrays[proc][array].clone(),
        })
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        self.poke(0, proc, array, values);
        Ok(())
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        Ok(self.replicas[replica].own[proc].spikes.clone())
    }
}

fn initial_arrays(program: &Program, proc: Proc) -> Arrays {
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

fn initial_value(kind: ArrayKind) -> f32 {
    match kind {
        ArrayKind::State { init } | ArrayKind::Scalar { init } | ArrayKind::Counter { init } => {
            init
        }
        _ => 0.0,
    }
}

/// One sample on one replica.
struct SampleRun<'a> {
    program: &'a Program,
    tensors: &'a mut PrimaryMap<Tensor, Vec<f32>>,
    replica: &'a mut Replica,
    sample: &'a Sample<'a>,
}

impl<'a> SampleRun<'a> {
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
                    ArrayKind::State { init } | ArrayKind::Scalar { init } => values.fill(init),
                    ArrayKind::Trace => values.fill(0.0),
                    #[expect(clippy::cast_precision_loss, reason = "class indices are small")]
                    ArrayKind::Label => values[0] = self.sample.label as f32,
                    ArrayKind::GivenError => values.copy_from_slice(self.sample.error),
                    _ => {}
                }
            }
        }
        for count in self.replica.received.values_mut() {
            *count = 0;
        }
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
            self.replica.emitted[proc].extend(values);
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
        for (lane, fields) in spikes {
            if let Some(bound) = process.tape.as_ref().and_then(|tape| tape.bound)
                && own.spikes.len() >= bound
            {
                return Err(overflow(process, "own spikes", bound));
            }
            own.spikes.push(LaneSpike { tick: bin, lane });
            own.fields.push(fields);
            own.errors.push(Vec::new());
        }
        Ok(())
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
                sent.unwrap_or(0.0)
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
    fn values_of(&self, proc: Proc, bin: u32) -> Vec<(u32, f32)> {
        let lanes = self.program.processes[proc].lanes;
        let from = bin as usize * lanes;
        let values = &self.replica.emitted[proc][from..from + lanes];
        (0..).zip(values.iter().copied()).collect()
    }

    fn run(&mut self, proc: Proc, kind: HandlerKind, event: Event) -> (Option<f32>, Vec<Fired>) {
        match self.program.processes[proc].handler(kind) {
            Some(handler) => self.run_one(proc, handler, event),
            None => (None, Vec::new()),
        }
    }

    fn run_one(
        &mut self,
        proc: Proc,
        handler: &Handler,
        event: Event,
    ) -> (Option<f32>, Vec<Fired>) {
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
fn sum_of_errors(errors: &[(Chan, f32)]) -> f32 {
    let mut errors = errors.to_vec();
    errors.sort_by_key(|(chan, _)| *chan);
    let values = errors.into_iter().map(|(_, error)| error);
    values.reduce(|sum, error| sum + error).unwrap_or(0.0)
}

fn overflow(process: &Process, what: &str, bound: usize) -> Diagnostic {
    Diagnostic::error(
        codes::DEVICE_LOSS,
        &process.name,
        format!("the tape of {what} is full: more than {bound} in one sample"),
    )
    .help("raise `mapping.spike_bound`, or leave it out to reserve room for every possible spike")
}

/// A lane that fired, with the tape's fields.
type Fired = (u32, Vec<f32>);

/// What a handler is told about why it runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// Source of the received spike, or lane of the own spike.
    pub source: u32,
    /// Current bin.
    pub bin: u32,
    /// Fields of the own spike.
    pub fields: Vec<f32>,
    /// What arrived with it.
    pub payload: Payload,
}

/// What [`Op::Payload`] reads.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// A value, or the error of a spike.
    One(f32),
    /// A replica's gradient.
    PerLane(Vec<f32>),
}

impl Default for Payload {
    fn default() -> Self {
        Self::One(0.0)
    }
}

impl Event {
    /// An event of `source` in `bin`.
    pub fn at(source: u32, bin: u32) -> Self {
        Self {
            source,
            bin,
            ..Self::default()
        }
    }
}

/// Executes one handler of one process.
struct Machine<'a> {
    program: &'a Program,
    process: &'a Process,
    arrays: &'a mut Arrays,
    tensors: &'a mut PrimaryMap<Tensor, Vec<f32>>,
    event: Event,
    /// The current synapse's element of a tensor.
    synapse: usize,
    spikes: Vec<Fired>,
}

impl Machine<'_> {
    fn run(&mut self, handler: &Handler) -> Option<f32> {
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
        let mut values = vec![0.0_f32; handler.body.values];
        for lane in lanes {
            for stmt in &handler.body.stmts {
                self.step(stmt, lane, &mut values, &mut sent);
            }
        }
        sent
    }

    fn run_synapses(&mut self, handler: &Handler, sent: &mut Option<f32>) {
        let (HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan)) =
            handler.kind
        else {
            return;
        };
        let connection = &self.program.channels[chan].connection;
        let mut values = vec![0.0_f32; handler.body.values];
        for synapse in connection.synapses(self.event.source as usize) {
            self.synapse = synapse.weight as usize;
            for stmt in &handler.body.stmts {
                self.step(stmt, synapse.lane as usize, &mut values, sent);
            }
        }
    }

    fn step(&mut self, stmt: &Stmt, lane: usize, values: &mut [f32], sent: &mut Option<f32>) {
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
            Stmt::Spike { cond, fields } => {
                if is_true(values[cond.index()]) {
                    let fields = fields
                        .iter()
                        .map(|op| self.eval(op, lane, values))
                        .collect();
                    self.spikes.push((index_u32(lane), fields));
                }
            }
            Stmt::Probe(array, value) => {
                let index = self.event.bin as usize * self.process.lanes + lane;
                self.arrays[*array][index] = values[value.index()];
            }
        }
    }

    fn eval(&self, op: &Op, lane: usize, values: &[f32]) -> f32 {
        let v = |value: crate::event::Value| values[value.index()];
        match *op {
            Op::Const(x) => x,
            Op::Coef(c) => self.process.coefs[c].value.at(lane),
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
            #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
            Op::Tick => self.event.bin as f32,
            #[expect(clippy::cast_precision_loss, reason = "lanes are below 2^24")]
            Op::Lane => lane as f32,
            Op::Unary(op, a) => unary(op, v(a)),
            Op::Binary(op, a, b) => binary(op, v(a), v(b)),
            Op::Fma(a, b, c) => v(a).mul_add(v(b), v(c)),
            Op::Cmp(op, a, b) => f32::from(u8::from(compare(op, v(a), v(b)))),
            Op::Select(c, a, b) => {
                if is_true(v(c)) {
                    v(a)
                } else {
                    v(b)
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

    fn peek(&self, array: Array) -> &[f32] {
        match self.process.arrays[array].kind {
            ArrayKind::Param(tensor) => &self.tensors[tensor],
            _ => &self.arrays[array],
        }
    }

    fn slot(&mut self, array: Array) -> &mut [f32] {
        match self.process.arrays[array].kind {
            ArrayKind::Param(tensor) => &mut self.tensors[tensor],
            _ => &mut self.arrays[array],
        }
    }
}

fn index_u32(index: usize) -> u32 {
    u32::try_from(index).expect("lanes are below 2^24")
}

fn is_true(value: f32) -> bool {
    value != 0.0
}

fn identity(fold: Fold) -> f32 {
    match fold {
        Fold::Add(_) | Fold::Fma(..) => 0.0,
        Fold::Max(_) => f32::NEG_INFINITY,
    }
}

fn apply(fold: Fold, acc: f32, values: &[f32]) -> f32 {
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
pub fn unary(op: Unary, a: f32) -> f32 {
    match op {
        Unary::Neg => -a,
        Unary::Sqrt => a.sqrt(),
        Unary::Exp => math::exp(a),
        Unary::Ln => math::ln(a),
    }
}

/// The meaning of an operation with two operands.
pub fn binary(op: Binary, a: f32, b: f32) -> f32 {
    match op {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
    }
}

/// The meaning of a comparison.
pub fn compare(op: Cmp, a: f32, b: f32) -> bool {
    match op {
        Cmp::Gt => a > b,
        Cmp::Ge => a >= b,
        Cmp::Lt => a < b,
        Cmp::Eq => a == b,
    }
}

//! One replica of the network: its memory, its tapes, and a sample from start to end.

use std::ops::Range;

use nirc_ir::event::Role;
use nirc_ir::executor::{InputSpike, Outcome, Pass, Sample};

use crate::arena::Arena;
use crate::code::Routine;

use crate::frame::{Event, Events, Frame, PAYLOAD, Scratch, Spikes, TICK};
use crate::plan::{Emission, Input, Plan, ProcessPlan};

/// A replica. Everything it needs for its part of a batch is in it, so that any thread can run it.
pub(crate) struct Replica {
    arena: Arena,
    tapes: Vec<Tape>,
    /// Which processes have anything to do in a bin.
    awake: Vec<bool>,
    scratch: Scratch,
    inbox: Inbox,
    pass: Pass,
    /// Whether gradients are zero.
    clean: bool,
    failure: Option<Failure>,
    /// What each sample of the batch left in the arrays that were asked for, one after the other.
    results: Vec<f32>,
}

/// A tape that was too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Which of the replica's samples.
    pub(crate) round: usize,
    /// Index of the process.
    pub(crate) process: usize,
    /// What the tape holds.
    pub(crate) what: &'static str,
    /// Its bound.
    pub(crate) bound: usize,
}

/// Samples of a batch that wait for a replica.
#[derive(Default)]
struct Inbox {
    samples: Vec<Waiting>,
    spikes: Vec<InputSpike>,
    values: Vec<f32>,
    errors: Vec<f32>,
}

/// A sample, with the ends of its parts of the inbox.
#[derive(Clone, Copy, Default)]
struct Waiting {
    label: u32,
    spikes: usize,
    values: usize,
    errors: usize,
}

/// What a process emitted: spikes in order of (bin, lane), or values.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    spikes: Spikes,
    /// Where each bin starts; one more than there are bins so far.
    starts: Vec<usize>,
    /// Errors of each spike, by channel that brings some.
    errors: Vec<f32>,
    /// One a lane, bin after bin, if it emits any.
    values: Vec<f32>,
}

impl Tape {
    fn clear(&mut self) {
        self.spikes.lanes.clear();
        self.spikes.fields.clear();
        self.starts.clear();
        self.starts.push(0);
        self.values.clear();
    }

    fn close_bin(&mut self) {
        self.starts.push(self.spikes.lanes.len());
    }

    /// The spikes of a bin; none in a bin that was not reached.
    fn range(&self, bin: u32) -> Range<usize> {
        let bin = bin as usize;
        match self.starts.get(bin..bin + 2) {
            Some([start, end]) => *start..*end,
            _ => 0..0,
        }
    }

    /// Bin and lane of each spike.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(self.starts.windows(2)).flat_map(|(bin, ends)| {
            self.spikes.lanes[ends[0]..ends[1]]
                .iter()
                .map(move |l| (bin, *l))
        })
    }
}

impl Replica {
    /// A replica that has run nothing yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            arena: Arena::new(&plan.image),
            tapes: vec![Tape::default(); plan.processes.len()],
            awake: vec![false; plan.processes.len()],
            scratch: Scratch::default(),
            inbox: Inbox::default(),
            pass: Pass::Forward,
            clean: true,
            failure: None,
            results: Vec::new(),
        }
    }

    /// Its memory.
    pub(crate) fn memory(&self) -> &[f32] {
        &self.arena
    }

    /// The own spikes of a process.
    pub(crate) fn tape(&self, process: usize) -> &Tape {
        &self.tapes[process]
    }

    /// How the last batch failed.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// The outcome of the sample of this round.
    pub(crate) fn outcome(&self, plan: &Plan, round: usize) -> Outcome {
        let [spikes, scores, loss, entropy] = plan.results.ranges().map(|range| range.len());
        let start = round * (spikes + scores + loss + entropy);
        let (first_spike, rest) = self.results[start..].split_at(spikes);
        let (score, rest) = rest.split_at(scores);
        let (loss, rest) = rest.split_at(loss);
        Outcome {
            first_spike: first_spike.to_vec(),
            score: score.to_vec(),
            loss: loss.first().copied().unwrap_or(0.0),
            cross_entropy: rest[..entropy].first().copied().unwrap_or(0.0),
        }
    }

    /// Takes its part of a batch, for [`Self::run`]; gradients are zero then.
    pub(crate) fn load<'a>(
        &mut self,
        plan: &Plan,
        pass: Pass,
        samples: impl Iterator<Item = &'a Sample<'a>>,
    ) {
        self.pass = pass;
        self.failure = None;
        self.results.clear();
        if !self.clean {
            self.arena[plan.gradients.clone()].fill(0.0);
            self.clean = true;
        }
        let inbox = &mut self.inbox;
        inbox.samples.clear();
        inbox.spikes.clear();
        inbox.values.clear();
        inbox.errors.clear();
        for sample in samples {
            inbox.spikes.extend_from_slice(sample.spikes);
            inbox.values.extend_from_slice(sample.values);
            if !plan.given.is_empty() {
                inbox.errors.extend_from_slice(sample.error);
            }
            inbox.samples.push(Waiting {
                label: sample.label,
                spikes: inbox.spikes.len(),
                values: inbox.values.len(),
                errors: inbox.errors.len(),
            });
        }
    }

    /// Runs the samples that it was given, up to the first failure.
    pub(crate) fn run(&mut self, plan: &Plan, weights: &[f32]) {
        let mut before = Waiting::default();
        for round in 0..self.inbox.samples.len() {
            let sample = self.inbox.samples[round];
            self.clean = false;
            self.start(plan, before, sample);
            before = sample;
            if let Some(failure) = self.forward(plan, weights) {
                self.failure = Some(Failure { round, ..failure });
                return;
            }
            self.turn(plan, weights);
            if self.pass != Pass::Forward {
                self.adjoint(plan, weights);
            }
            for range in plan.results.ranges() {
                self.results.extend_from_slice(&self.arena[range]);
            }
        }
    }

    /// Starts a sample, which lies in the inbox from the end of the one before on.
    fn start(&mut self, plan: &Plan, before: Waiting, sample: Waiting) {
        let states = plan.states.clone();
        self.arena[states.clone()].copy_from_slice(&plan.image[states]);
        self.arena[plan.traces.clone()].fill(0.0);
        #[expect(clippy::cast_precision_loss, reason = "class indices are small")]
        for slot in &plan.labels {
            self.arena[*slot] = sample.label as f32;
        }
        for (base, shape) in &plan.given {
            let given = &self.inbox.errors[before.errors..sample.errors];
            shape.scatter(given, &mut self.arena[*base..]);
        }
        let spikes = &self.inbox.spikes[before.spikes..sample.spikes];
        let values = &self.inbox.values[before.values..sample.values];
        self.scratch.spikes.lanes.clear();
        self.scratch.spikes.fields.clear();
        for (k, (process, tape)) in plan.processes.iter().zip(&mut self.tapes).enumerate() {
            self.awake[k] = !process.tick_rests;
            tape.clear();
            let lanes = process.shape.lanes;
            match process.emission {
                Emission::Spikes(first) => tape.record(plan.program.ticks, spikes, first, lanes),
                Emission::Values(first) => {
                    let bins = values.chunks_exact(plan.values);
                    let rows = bins.map(|bin| &bin[first..first + lanes]);
                    rows.for_each(|row| tape.values.extend_from_slice(row));
                }
                Emission::Fired | Emission::State(_) => {}
            }
        }
    }

    /// Runs all bins of a group of processes before those of the next.
    fn forward(&mut self, plan: &Plan, weights: &[f32]) -> Option<Failure> {
        let mut bins = plan.program.ticks;
        let mut failure = None;
        for group in &plan.groups {
            // A later process can only come first with an earlier bin.
            if let Some((bin, failed)) = self.forward_group(plan, weights, group.clone(), bins) {
                bins = bin;
                failure = Some(failed);
            }
        }
        failure.or_else(|| self.late_arrivals(plan))
    }

    fn forward_group(
        &mut self,
        plan: &Plan,
        weights: &[f32],
        group: Range<usize>,
        bins: u32,
    ) -> Option<(u32, Failure)> {
        if group.len() == 1 {
            let mut process = self.forward_process(plan, weights, group.start);
            return (0..bins).find_map(|bin| Some((bin, process.bin(bin)?)));
        }
        (0..bins).find_map(|bin| {
            let mut processes = group.clone();
            let failed =
                processes.find_map(|index| self.forward_process(plan, weights, index).bin(bin))?;
            Some((bin, failed))
        })
    }

    fn forward_process<'a>(
        &'a mut self,
        plan: &'a Plan,
        weights: &'a [f32],
        index: usize,
    ) -> Forward<'a> {
        let process = &plan.processes[index];
        Forward {
            plan,
            process,
            index,
            tapes: &mut self.tapes,
            awake: &mut self.awake[index],
            frame: frame(plan, process, &mut self.arena, weights, &mut self.scratch),
        }
    }

    /// Spikes of the last bin are on the tapes of neurons, though nothing runs for them.
    fn late_arrivals(&self, plan: &Plan) -> Option<Failure> {
        let last = plan.program.ticks - 1;
        let mut neurons = plan.processes.iter().enumerate();
        neurons.find_map(|(index, process)| {
            let full = |input: &&Input| self.tapes[input.from].range(last).end > input.bound;
            let input = process.inputs.iter().find(full)?;
            Some(Failure {
                round: 0,
                process: index,
                what: "received spikes",
                bound: input.bound,
            })
        })
    }

    fn turn(&mut self, plan: &Plan, weights: &[f32]) {
        for process in &plan.processes {
            let mut frame = frame(plan, process, &mut self.arena, weights, &mut self.scratch);
            set_tick(&mut frame, 0);
            frame.mem[PAYLOAD as usize] = 0.0;
            for turn in &process.turn {
                turn.run(Event::default(), &mut frame);
            }
        }
    }

    /// Runs all bins of one process before those of its producers.
    fn adjoint(&mut self, plan: &Plan, weights: &[f32]) {
        for (process, tape) in plan.processes.iter().zip(&mut self.tapes) {
            tape.errors
                .resize(tape.spikes.lanes.len() * process.errors, 0.0);
        }
        for (index, process) in plan.processes.iter().enumerate().rev() {
            let (producers, rest) = self.tapes.split_at_mut(index);
            let mut adjoint = Adjoint {
                plan,
                process,
                awake: process.adjoint_rests.is_none(),
                producers,
                own: &rest[0],
                frame: frame(plan, process, &mut self.arena, weights, &mut self.scratch),
            };
            adjoint.run();
        }
    }
}

impl Tape {
    /// Fills the tape of a source that has so many channels of the sample.
    fn record(&mut self, ticks: u32, input: &[InputSpike], first: u32, lanes: usize) {
        let mut rest = input;
        for bin in 0..ticks {
            let now = rest.iter().take_while(|s| s.tick == bin).count();
            let (now, later) = rest.split_at(now);
            let own = now.iter().map(|s| s.channel.wrapping_sub(first));
            let own = own.filter(|lane| (*lane as usize) < lanes);
            self.spikes.lanes.extend(own);
            self.close_bin();
            rest = later;
        }
    }

    /// Takes the spikes of a bin, which leaves none behind.
    fn take(&mut self, fired: &mut Spikes) {
        self.spikes.lanes.append(&mut fired.lanes);
        self.spikes.fields.append(&mut fired.fields);
    }
}

/// The forward pass of one process.
struct Forward<'a> {
    plan: &'a Plan,
    process: &'a ProcessPlan,
    index: usize,
    tapes: &'a mut [Tape],
    /// Whether ticks can have an effect.
    awake: &'a mut bool,
    frame: Frame<'a>,
}

impl Forward<'_> {
    /// Runs a bin; the earlier ones have to be over, and those of its producers as far as they reach it.
    #[inline(always)]
    fn bin(&mut self, bin: u32) -> Option<Failure> {
        match self.process.role {
            Role::Source | Role::Optimiser(_) => None,
            Role::Loss => self.receive(bin),
            Role::Neurons => {
                let idle = bin < self.plan.program.first_tick;
                let failure = if idle {
                    None
                } else {
                    self.receive(bin).or_else(|| self.tick(bin))
                };
                let own = &mut self.tapes[self.index];
                own.close_bin();
                if let Emission::State(base) = self.process.emission {
                    let state = &self.frame.mem[base..base + self.process.shape.lanes];
                    own.values.extend_from_slice(state);
                }
                failure
            }
        }
    }

    #[inline(always)]
    fn receive(&mut self, bin: u32) -> Option<Failure> {
        for input in &self.process.inputs {
            let Some(bin) = bin.checked_sub(input.delay) else {
                continue;
            };
            let producer = &self.tapes[input.from];
            if let Some(lanes) = input.values {
                *self.awake = true;
                if let Some(event) = &input.event {
                    let values = &producer.values[bin as usize * lanes..][..lanes];
                    set_tick(&mut self.frame, bin);
                    event.run_values(&self.plan.lanes[..lanes], values, bin, &mut self.frame);
                }
                continue;
            }
            let spikes = producer.range(bin);
            if spikes.end > input.bound {
                return Some(self.full("received spikes", input.bound));
            }
            *self.awake |= !spikes.is_empty();
            if let Some(event) = &input.event {
                let sources = &producer.spikes.lanes[spikes];
                receive(event, bin, sources, &mut self.frame);
            }
        }
        None
    }

    #[inline(always)]
    fn tick(&mut self, bin: u32) -> Option<Failure> {
        if let Some(tick) = &self.process.tick
            && *self.awake
        {
            set_tick(&mut self.frame, bin);
            tick.run(Event::at(0, bin), &mut self.frame);
        }
        let fired = &mut self.frame.scratch.spikes;
        if fired.lanes.is_empty() {
            return None;
        }
        let own = &mut self.tapes[self.index];
        own.take(fired);
        let full = own.spikes.lanes.len() > self.process.bound;
        full.then(|| self.full("own spikes", self.process.bound))
    }

    fn full(&self, what: &'static str, bound: usize) -> Failure {
        Failure {
            round: 0,
            process: self.index,
            what,
            bound,
        }
    }
}

fn frame<'a>(
    plan: &Plan,
    process: &ProcessPlan,
    mem: &'a mut [f32],
    weights: &'a [f32],
    scratch: &'a mut Scratch,
) -> Frame<'a> {
    Frame {
        mem,
        weights,
        scratch,
        fields: process.fields,
        shape: process.shape,
        isa: plan.isa,
    }
}

#[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
fn set_tick(frame: &mut Frame<'_>, bin: u32) {
    frame.mem[TICK as usize] = bin as f32;
}

fn receive(event: &Routine, bin: u32, sources: &[u32], frame: &mut Frame<'_>) {
    if sources.is_empty() {
        return;
    }
    set_tick(frame, bin);
    let mut events = Events {
        sources,
        tick: bin,
        sent: &mut [],
        step: 1,
    };
    event.run_all(&mut events, frame);
}

/// The adjoint pass of one process.
struct Adjoint<'a> {
    plan: &'a Plan,
    process: &'a ProcessPlan,
    /// Whether ticks can have an effect.
    awake: bool,
    producers: &'a mut [Tape],
    own: &'a Tape,
    frame: Frame<'a>,
}

impl Adjoint<'_> {
    fn run(&mut self) {
        let bins = (0..self.plan.program.ticks.saturating_sub(1)).rev();
        match self.process.role {
            Role::Neurons => {
                for bin in bins {
                    set_tick(&mut self.frame, bin);
                    self.messages(bin);
                    self.tick(bin);
                    self.spikes(bin);
                    self.gradients(bin);
                    self.gradient_tick(bin);
                }
            }
            Role::Loss => {
                for bin in bins {
                    set_tick(&mut self.frame, bin);
                    self.messages(bin);
                }
            }
            Role::Source | Role::Optimiser(_) => {}
        }
    }

    fn messages(&mut self, bin: u32) {
        for input in &self.process.inputs {
            let Some((slot, message)) = &input.message else {
                continue;
            };
            let channels = self.plan.processes[input.from].errors;
            let tape = &mut self.producers[input.from];
            let entries = tape.range(bin);
            if entries.is_empty() {
                continue;
            }
            let mut events = Events {
                sources: &tape.spikes.lanes[entries.clone()],
                tick: bin,
                sent: &mut tape.errors[entries.start * channels + slot..],
                step: channels,
            };
            message.run_all(&mut events, &mut self.frame);
        }
    }

    fn tick(&mut self, bin: u32) {
        if let Some(tick) = &self.process.adjoint_tick
            && self.awake
        {
            let event = Event::at(0, bin);
            tick.run(event, &mut self.frame);
        }
    }

    fn spikes(&mut self, bin: u32) {
        let Some(spike) = &self.process.spike else {
            return;
        };
        for entry in self.own.range(bin + 1) {
            self.frame.mem[PAYLOAD as usize] = self.payload(entry, bin + 1);
            let fields = &self.own.spikes.fields[entry * self.process.fields..];
            self.frame.set_fields(&fields[..self.process.fields]);
            let source = self.own.spikes.lanes[entry];
            spike.run(Event::at(source, bin), &mut self.frame);
            self.awake = self.awake || self.has_changed(source as usize);
        }
        self.frame.mem[PAYLOAD as usize] = 0.0;
    }

    /// Whether an array that ticks depend on differs on `lane` from what the sample started with.
    fn has_changed(&self, lane: usize) -> bool {
        let mut arrays = self.process.adjoint_rests.iter().flatten();
        arrays.any(|base| {
            let bits = |memory: &[f32]| memory[base + lane].to_bits();
            bits(self.frame.mem) != bits(&self.plan.image)
        })
    }

    /// The sum of the errors of a spike; nobody sends any for the last bin.
    fn payload(&self, entry: usize, bin: u32) -> f32 {
        let channels = self.process.errors;
        if channels == 0 || bin + 1 >= self.plan.program.ticks {
            return 0.0;
        }
        let errors = &self.own.errors[entry * channels..][..channels];
        errors[1..].iter().fold(errors[0], |sum, error| sum + error)
    }

    fn gradients(&mut self, bin: u32) {
        for input in &self.process.inputs {
            let Some(gradient) = &input.gradient else {
                continue;
            };
            let tape = &self.producers[input.from];
            let entries = tape.range(bin);
            if entries.is_empty() {
                continue;
            }
            let mut events = Events {
                sources: &tape.spikes.lanes[entries],
                tick: bin,
                sent: &mut [],
                step: 1,
            };
            gradient.run_all(&mut events, &mut self.frame);
        }
    }

    fn gradient_tick(&mut self, bin: u32) {
        if let Some(tick) = &self.process.gradient_tick {
            let event = Event::at(0, bin);
            tick.run(event, &mut self.frame);
        }
    }
}

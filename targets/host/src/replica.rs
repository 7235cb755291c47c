//! One replica of the network: its memory, its tapes, and a sample from start to end.

use nirc_ir::event::Role;
use nirc_ir::executor::{InputSpike, Outcome, Pass, Sample};

use crate::arena::Arena;
use crate::frame::{Event, Events, Frame, PAYLOAD, Spikes, TICK};
use crate::plan::{Input, Plan, ProcessPlan};

/// A replica. Everything it needs for its part of a batch is in it, so that any thread can run it.
pub(crate) struct Replica {
    arena: Arena,
    tapes: Vec<Tape>,
    /// For routines that cannot spike.
    no_spikes: Spikes,
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
    errors: Vec<f32>,
}

/// A sample, with the ends of its parts of the inbox.
#[derive(Clone, Copy)]
struct Waiting {
    label: u32,
    spikes: usize,
    errors: usize,
}

/// Spikes of a process, in order of (bin, lane).
#[derive(Clone, Default)]
pub(crate) struct Tape {
    spikes: Spikes,
    /// Where each bin starts; one more than there are bins so far.
    starts: Vec<usize>,
    /// Errors of each spike, by channel that brings some.
    errors: Vec<f32>,
}

impl Tape {
    fn clear(&mut self) {
        self.spikes.lanes.clear();
        self.spikes.fields.clear();
        self.starts.clear();
        self.starts.push(0);
    }

    fn close_bin(&mut self) {
        self.starts.push(self.spikes.lanes.len());
    }

    /// The spikes of a bin; none in a bin that was not reached.
    fn range(&self, bin: u32) -> std::ops::Range<usize> {
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
            no_spikes: Spikes::default(),
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
        let [spikes, loss, entropy] = plan.results.ranges().map(|range| range.len());
        let start = round * (spikes + loss + entropy);
        let (first_spike, rest) = self.results[start..].split_at(spikes);
        let (loss, rest) = rest.split_at(loss);
        Outcome {
            first_spike: first_spike.to_vec(),
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
        inbox.errors.clear();
        for sample in samples {
            inbox.spikes.extend_from_slice(sample.spikes);
            if !plan.given.is_empty() {
                inbox.errors.extend_from_slice(sample.error);
            }
            inbox.samples.push(Waiting {
                label: sample.label,
                spikes: inbox.spikes.len(),
                errors: inbox.errors.len(),
            });
        }
    }

    /// Runs the samples that it was given, up to the first failure.
    pub(crate) fn run(&mut self, plan: &Plan, weights: &[f32]) {
        let (mut spikes, mut errors) = (0, 0);
        for round in 0..self.inbox.samples.len() {
            let sample = self.inbox.samples[round];
            self.clean = false;
            self.start(plan, sample, spikes, errors);
            (spikes, errors) = (sample.spikes, sample.errors);
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

    fn start(&mut self, plan: &Plan, sample: Waiting, spikes: usize, errors: usize) {
        let states = plan.states.clone();
        self.arena[states.clone()].copy_from_slice(&plan.image[states]);
        self.arena[plan.traces.clone()].fill(0.0);
        #[expect(clippy::cast_precision_loss, reason = "class indices are small")]
        for slot in &plan.labels {
            self.arena[*slot] = sample.label as f32;
        }
        for (base, shape) in &plan.given {
            let given = &self.inbox.errors[errors..sample.errors];
            shape.scatter(given, &mut self.arena[*base..]);
        }
        let input = &self.inbox.spikes[spikes..sample.spikes];
        for (process, tape) in plan.processes.iter().zip(&mut self.tapes) {
            tape.clear();
            if process.role == Role::Source {
                tape.record(plan.program.ticks, input);
            }
        }
    }

    /// Runs all bins of one process before those of its consumers, which is the same as bin by bin:
    /// a process depends on earlier bins of earlier processes only.
    fn forward(&mut self, plan: &Plan, weights: &[f32]) -> Option<Failure> {
        let mut bins = plan.program.ticks;
        let mut failure = None;
        for index in 0..plan.processes.len() {
            let failed = match plan.processes[index].role {
                Role::Neurons | Role::Loss => self.forward_process(plan, weights, index, bins),
                Role::Source | Role::Optimiser(_) => None,
            };
            // A later process can only come first with an earlier bin.
            if let Some((bin, failed)) = failed {
                bins = bin;
                failure = Some(failed);
            }
        }
        failure.or_else(|| self.late_arrivals(plan))
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

    fn forward_process(
        &mut self,
        plan: &Plan,
        weights: &[f32],
        index: usize,
        bins: u32,
    ) -> Option<(u32, Failure)> {
        let process = &plan.processes[index];
        let (producers, rest) = self.tapes.split_at_mut(index);
        let own = &mut rest[0];
        let mut frame = Frame {
            mem: &mut self.arena,
            weights,
            spikes: &mut own.spikes,
            fields: process.fields,
            shape: process.shape,
            isa: plan.isa,
        };
        let neurons = process.role == Role::Neurons;
        let fail = |what, bound| Failure {
            round: 0,
            process: index,
            what,
            bound,
        };
        if neurons {
            own.starts.push(0);
        }
        let mut awake = !process.tick_rests;
        for bin in u32::from(neurons)..bins {
            let arrived = if neurons { bin - 1 } else { bin };
            for input in &process.inputs {
                let spikes = producers[input.from].range(arrived);
                if spikes.end > input.bound {
                    return Some((bin, fail("received spikes", input.bound)));
                }
                awake |= !spikes.is_empty();
                receive(
                    input,
                    arrived,
                    &producers[input.from].spikes.lanes[spikes],
                    &mut frame,
                );
            }
            if !neurons {
                continue;
            }
            if let Some(tick) = &process.tick
                && awake
            {
                set_tick(&mut frame, bin);
                tick.run(Event::at(0, bin), &mut frame);
            }
            let spikes = frame.spikes.lanes.len();
            if spikes > process.bound {
                return Some((bin, fail("own spikes", process.bound)));
            }
            own.starts.push(spikes);
        }
        None
    }

    fn turn(&mut self, plan: &Plan, weights: &[f32]) {
        for process in &plan.processes {
            let mut frame = frame(plan, process, &mut self.arena, weights, &mut self.no_spikes);
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
                frame: frame(plan, process, &mut self.arena, weights, &mut self.no_spikes),
            };
            adjoint.run();
        }
    }
}

impl Tape {
    /// Fills the tape of a source.
    fn record(&mut self, ticks: u32, input: &[InputSpike]) {
        let mut rest = input;
        for bin in 0..ticks {
            let now = rest.iter().take_while(|s| s.tick == bin).count();
            let (now, later) = rest.split_at(now);
            self.spikes.lanes.extend(now.iter().map(|s| s.channel));
            self.close_bin();
            rest = later;
        }
    }
}

fn frame<'a>(
    plan: &Plan,
    process: &ProcessPlan,
    mem: &'a mut [f32],
    weights: &'a [f32],
    spikes: &'a mut Spikes,
) -> Frame<'a> {
    Frame {
        mem,
        weights,
        spikes,
        fields: process.fields,
        shape: process.shape,
        isa: plan.isa,
    }
}

#[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
fn set_tick(frame: &mut Frame<'_>, bin: u32) {
    frame.mem[TICK as usize] = bin as f32;
}

fn receive(input: &Input, bin: u32, sources: &[u32], frame: &mut Frame<'_>) {
    let Some(event) = &input.event else { return };
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

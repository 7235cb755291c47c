//! One replica of the network: its tapes, and a sample from start to end.

use std::ops::Range;

use nirc_ir::event::Role;
use nirc_ir::executor::{InputSpike, Outcome, Pass, Sample};

use crate::adjoint::Adjoint;
use crate::course::Course;
use crate::frame::{Event, Frame, PAYLOAD, Scratch};
use crate::plan::{Emission, Input, Plan, ProcessPlan};
use crate::tape::Tape;

/// A replica, but for its memory, which lies next to those of others (`group`).
pub(crate) struct Replica {
    pub(crate) tapes: Vec<Tape>,
    /// Of exact event times.
    pub(crate) courses: Vec<Course>,
    /// Which processes have anything to do in a bin.
    awake: Vec<bool>,
    inbox: Inbox,
    pass: Pass,
    /// Whether gradients are zero.
    clean: bool,
    pub(crate) failure: Option<Failure>,
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
    /// One a spike, of exact event times.
    times: Vec<f32>,
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

impl Replica {
    /// A replica that has run nothing yet.
    pub(crate) fn new(plan: &Plan) -> Self {
        Self {
            tapes: vec![Tape::default(); plan.processes.len()],
            courses: vec![Course::default(); plan.processes.len()],
            awake: vec![false; plan.processes.len()],
            inbox: Inbox::default(),
            pass: Pass::Forward,
            clean: true,
            failure: None,
            results: Vec::new(),
        }
    }

    /// The own spikes of a process.
    pub(crate) fn tape(&self, process: usize) -> &Tape {
        &self.tapes[process]
    }

    /// Times of the own spikes of a process.
    pub(crate) fn times(&self, process: usize) -> &[(u32, f32)] {
        &self.courses[process].times
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
        mem: &mut [f32],
    ) {
        self.pass = pass;
        self.failure = None;
        self.results.clear();
        if !self.clean {
            mem[plan.gradients.clone()].fill(0.0);
            self.clean = true;
        }
        let inbox = &mut self.inbox;
        inbox.samples.clear();
        inbox.spikes.clear();
        inbox.times.clear();
        inbox.values.clear();
        inbox.errors.clear();
        for sample in samples {
            inbox.spikes.extend_from_slice(sample.spikes);
            inbox.times.extend_from_slice(sample.times);
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

    /// How many samples it was given.
    pub(crate) fn rounds(&self) -> usize {
        self.inbox.samples.len()
    }

    /// Whether samples go backwards.
    pub(crate) fn goes_back(&self) -> bool {
        self.pass != Pass::Forward
    }

    /// Runs the samples that it was given, up to the first failure; not of exact event times.
    pub(crate) fn run(&mut self, plan: &Plan, ground: &mut Ground<'_>) {
        for round in 0..self.rounds() {
            self.start(plan, round, ground.mem);
            if let Some(failure) = self.forward(plan, ground) {
                self.fail(round, failure);
                return;
            }
            turn(plan, ground);
            if self.goes_back() {
                self.adjoint(plan, ground);
            }
            self.finish(plan, ground.mem);
        }
    }

    /// Keeps how it failed.
    pub(crate) fn fail(&mut self, round: usize, failure: Failure) {
        self.failure = Some(Failure { round, ..failure });
    }

    /// Keeps what a sample left.
    pub(crate) fn finish(&mut self, plan: &Plan, mem: &[f32]) {
        for range in plan.results.ranges() {
            self.results.extend_from_slice(&mem[range]);
        }
    }

    /// Starts the sample of this round.
    pub(crate) fn start(&mut self, plan: &Plan, round: usize, mem: &mut [f32]) {
        self.clean = false;
        let before = match round {
            0 => Waiting::default(),
            _ => self.inbox.samples[round - 1],
        };
        let sample = self.inbox.samples[round];
        let states = plan.states.clone();
        mem[states.clone()].copy_from_slice(&plan.image[states]);
        mem[plan.traces.clone()].fill(0.0);
        #[expect(clippy::cast_precision_loss, reason = "class indices are small")]
        for slot in &plan.labels {
            mem[*slot] = sample.label as f32;
        }
        for (base, shape) in &plan.given {
            let given = &self.inbox.errors[before.errors..sample.errors];
            shape.scatter(given, &mut mem[*base..]);
        }
        let now = before.spikes..sample.spikes;
        let spikes = &self.inbox.spikes[now.clone()];
        let values = &self.inbox.values[before.values..sample.values];
        for (k, (process, tape)) in plan.processes.iter().zip(&mut self.tapes).enumerate() {
            self.awake[k] = !process.tick_rests;
            tape.clear();
            let lanes = process.shape.lanes;
            if let Some(windows) = plan.windows {
                let course = &mut self.courses[k];
                course.clear(process.inputs.len());
                if let Emission::Spikes(first) = process.emission {
                    let times = &self.inbox.times[now.clone()];
                    course.record(tape, windows, spikes.iter().zip(times), first, lanes);
                }
                continue;
            }
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
    fn forward(&mut self, plan: &Plan, ground: &mut Ground<'_>) -> Option<Failure> {
        ground.scratch.spikes.lanes.clear();
        ground.scratch.spikes.fields.clear();
        let mut bins = plan.program.ticks;
        let mut failure = None;
        for group in &plan.groups {
            // A later process can only come first with an earlier bin.
            if let Some((bin, failed)) = self.forward_group(plan, ground, group.clone(), bins) {
                bins = bin;
                failure = Some(failed);
            }
        }
        failure.or_else(|| self.late_arrivals(plan))
    }

    fn forward_group(
        &mut self,
        plan: &Plan,
        ground: &mut Ground<'_>,
        group: Range<usize>,
        bins: u32,
    ) -> Option<(u32, Failure)> {
        if group.len() == 1 {
            let mut process = self.forward_process(plan, ground, group.start);
            return (0..bins).find_map(|bin| Some((bin, process.bin(bin)?)));
        }
        (0..bins).find_map(|bin| {
            let mut processes = group.clone();
            let failed =
                processes.find_map(|index| self.forward_process(plan, ground, index).bin(bin))?;
            Some((bin, failed))
        })
    }

    fn forward_process<'a>(
        &'a mut self,
        plan: &'a Plan,
        ground: &'a mut Ground<'_>,
        index: usize,
    ) -> Forward<'a> {
        let process = &plan.processes[index];
        Forward {
            plan,
            process,
            index,
            tapes: &mut self.tapes,
            awake: &mut self.awake[index],
            frame: ground.frame(plan, process),
        }
    }

    /// Spikes of the last bins are on the tapes of neurons, though nothing runs for them: all that the producer
    /// sent have been received, whatever the delay.
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

    /// Runs all bins of a group of processes before those of the group before.
    fn adjoint(&mut self, plan: &Plan, ground: &mut Ground<'_>) {
        let processes = plan.processes.iter().zip(&mut self.tapes);
        for ((process, tape), awake) in processes.zip(&mut self.awake) {
            tape.reserve_errors(process.errors.len());
            *awake = process.adjoint_rests.is_none();
        }
        let bins = plan.program.first_tick..plan.program.ticks;
        for group in plan.groups.iter().rev() {
            if group.len() == 1 {
                if plan.processes[group.start].goes_back() {
                    let mut process = self.adjoint_process(plan, ground, group.start);
                    bins.clone().rev().for_each(|bin| process.bin(bin));
                }
                continue;
            }
            for bin in bins.clone().rev() {
                for index in group.clone().rev() {
                    let mut process = self.adjoint_process(plan, ground, index);
                    process.bin(bin);
                    self.awake[index] = process.awake;
                }
            }
        }
    }

    fn adjoint_process<'a>(
        &'a mut self,
        plan: &'a Plan,
        ground: &'a mut Ground<'_>,
        index: usize,
    ) -> Adjoint<'a> {
        let process = &plan.processes[index];
        Adjoint {
            plan,
            process,
            index,
            tapes: &mut self.tapes,
            awake: self.awake[index],
            frame: ground.frame(plan, process),
        }
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
                event.run_spikes(sources, bin, &mut self.frame);
            }
        }
        None
    }

    #[inline(always)]
    fn tick(&mut self, bin: u32) -> Option<Failure> {
        if let Some(tick) = &self.process.tick
            && *self.awake
        {
            self.frame.set_tick(bin);
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

/// Runs the turn of the loss. Neurons have theirs on the way back.
pub(crate) fn turn(plan: &Plan, ground: &mut Ground<'_>) {
    let losses = plan.processes.iter().filter(|p| p.role == Role::Loss);
    for process in losses {
        let mut frame = ground.frame(plan, process);
        frame.set_tick(0);
        frame.mem[PAYLOAD as usize] = 0.0;
        for turn in &process.turn {
            turn.run(Event::default(), &mut frame);
        }
    }
}

/// What the routines of a replica run on.
pub(crate) struct Ground<'a> {
    /// Its memory.
    pub(crate) mem: &'a mut [f32],
    pub(crate) weights: &'a [f32],
    pub(crate) scratch: &'a mut Scratch,
}

impl Ground<'_> {
    /// For routines of this process.
    pub(crate) fn frame<'a>(&'a mut self, plan: &Plan, process: &ProcessPlan) -> Frame<'a> {
        Frame {
            mem: self.mem,
            weights: self.weights,
            scratch: self.scratch,
            fields: process.fields,
            shape: process.shape,
            isa: plan.isa,
        }
    }
}

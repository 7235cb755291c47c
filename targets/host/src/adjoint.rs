//! The way back of one process, bin by bin.
//!
//! Bins are taken from the last to the first tick, in the order of handlers that [`nirc_ir::event`] gives.
//! Errors lie beside what they are for, on the tape of the producer, each channel's in a place of its own: they
//! may come in any order, and are added up in that of the channels when the producer takes them.

use nirc_ir::event::Role;

use crate::frame::{Event, Events, Frame, PAYLOAD};
use crate::plan::{Input, Message, Plan, ProcessPlan};
use crate::tape::Tape;

/// The adjoint pass of one process.
pub(crate) struct Adjoint<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) process: &'a ProcessPlan,
    pub(crate) index: usize,
    pub(crate) tapes: &'a mut [Tape],
    /// Whether ticks can have an effect.
    pub(crate) awake: bool,
    pub(crate) frame: Frame<'a>,
}

impl Adjoint<'_> {
    /// Runs a bin; the later ones have to be over, and those of its consumers as far as they reach it.
    #[inline(always)]
    pub(crate) fn bin(&mut self, bin: u32) {
        self.errors_of_spikes(bin);
        match self.process.role {
            Role::Neurons => {
                let step = bin - self.plan.program.first_tick;
                self.frame.set_tick(step);
                self.own_values(bin, step);
                self.tick(step);
                self.own_spikes(bin, step);
                self.gradients(bin);
                self.gradient_tick(step);
            }
            Role::Loss => self.errors_of_values(bin),
            Role::Source | Role::Optimiser(_) => {}
        }
    }

    /// Sends an error for each spike that is taken in `bin`.
    #[inline(always)]
    fn errors_of_spikes(&mut self, bin: u32) {
        for input in &self.process.inputs {
            let Some((message, emitted)) = sent(input, bin).filter(|_| input.values.is_none())
            else {
                continue;
            };
            let channels = self.plan.processes[input.from].errors.len();
            let tape = &mut self.tapes[input.from];
            let entries = tape.range(emitted);
            if entries.is_empty() {
                continue;
            }
            self.frame.set_tick(emitted);
            let mut events = Events {
                sources: &tape.spikes.lanes[entries.clone()],
                sent: &mut tape.errors[entries.start * channels + message.slot..],
                step: channels,
                ..Events::in_bin(emitted)
            };
            message.routine.run_all(&mut events, &mut self.frame);
        }
    }

    fn errors_of_values(&mut self, bin: u32) {
        for input in &self.process.inputs {
            if let Some(lanes) = input.values {
                self.errors_of_input(input, lanes, bin);
            }
        }
    }

    /// Sends an error for each of the values that a channel brought in `bin`.
    fn errors_of_input(&mut self, input: &Input, lanes: usize, bin: u32) {
        let first = self.plan.program.first_tick;
        let sends = sent(input, bin).filter(|(_, emitted)| *emitted >= first);
        let Some((message, emitted)) = sends else {
            return;
        };
        let channels = self.plan.processes[input.from].errors.len();
        let place = (emitted as usize * channels + message.slot) * lanes;
        self.frame.set_tick(emitted);
        let mut events = Events {
            sources: &self.plan.lanes[..lanes],
            sent: &mut self.tapes[input.from].errors[place..][..lanes],
            ..Events::in_bin(emitted)
        };
        message.routine.run_all(&mut events, &mut self.frame);
    }

    /// Takes the errors of the values of `bin`, if anybody sends some.
    #[inline(always)]
    fn own_values(&mut self, bin: u32, step: u32) {
        let Some((sums, value)) = &self.process.value else {
            return;
        };
        let lanes = self.process.shape.lanes;
        let sums = &mut self.frame.mem[*sums..][..lanes];
        let place = bin as usize * self.process.errors.len() * lanes;
        let mut errors = self.tapes[self.index].errors[place..].chunks_exact(lanes);
        let mut any = false;
        for bins in &self.process.errors {
            let Some(errors) = errors.next().filter(|_| bin < *bins) else {
                continue;
            };
            if any {
                let sums = sums.iter_mut().zip(errors);
                sums.for_each(|(sum, error)| *sum += error);
            } else {
                sums.copy_from_slice(errors);
                any = true;
            }
        }
        if any {
            value.run(Event::at(0, step), &mut self.frame);
            self.awake = true;
        }
    }

    #[inline(always)]
    fn tick(&mut self, step: u32) {
        if let Some(tick) = &self.process.adjoint_tick
            && self.awake
        {
            tick.run(Event::at(0, step), &mut self.frame);
        }
    }

    #[inline(always)]
    fn own_spikes(&mut self, bin: u32, step: u32) {
        let Some(spike) = &self.process.spike else {
            return;
        };
        let own = &self.tapes[self.index];
        let entries = own.range(bin);
        if entries.is_empty() {
            return;
        }
        let all = self.process.errors.iter().all(|bins| bin < *bins);
        for entry in entries {
            self.frame.mem[PAYLOAD as usize] = if all {
                self.process.error(own, entry, |_| true)
            } else {
                self.process.error(own, entry, |bins| bin < bins)
            };
            let fields = &own.spikes.fields[entry * self.process.fields..];
            self.frame.set_fields(&fields[..self.process.fields]);
            let source = own.spikes.lanes[entry];
            spike.run(Event::at(source, step), &mut self.frame);
            self.awake = self.awake || self.has_changed(source as usize);
        }
    }

    /// Whether an array that ticks depend on differs on `lane` from what the sample started with.
    fn has_changed(&self, lane: usize) -> bool {
        let mut arrays = self.process.adjoint_rests.iter().flatten();
        arrays.any(|base| {
            let bits = |memory: &[f32]| memory[base + lane].to_bits();
            bits(self.frame.mem) != bits(&self.plan.image)
        })
    }

    #[inline(always)]
    fn gradients(&mut self, bin: u32) {
        for input in &self.process.inputs {
            if let Some(lanes) = input.values {
                self.gradients_of_values(input, lanes, bin);
                self.errors_of_input(input, lanes, bin);
                continue;
            }
            let brought = input.gradient.as_ref().zip(bin.checked_sub(input.delay));
            let Some((gradient, emitted)) = brought else {
                continue;
            };
            let tape = &self.tapes[input.from];
            let sources = &tape.spikes.lanes[tape.range(emitted)];
            gradient.run_spikes(sources, emitted, &mut self.frame);
        }
    }

    fn gradients_of_values(&mut self, input: &Input, lanes: usize, bin: u32) {
        let brought = input.gradient.as_ref().zip(bin.checked_sub(input.delay));
        let Some((gradient, emitted)) = brought else {
            return;
        };
        let values = &self.tapes[input.from].values[emitted as usize * lanes..][..lanes];
        let sources = &self.plan.lanes[..lanes];
        gradient.run_values(sources, values, emitted, &mut self.frame);
    }

    #[inline(always)]
    fn gradient_tick(&mut self, step: u32) {
        if let Some(tick) = &self.process.gradient_tick {
            self.frame.set_tick(step);
            tick.run(Event::at(0, step), &mut self.frame);
        }
    }
}

/// What sends errors for what a channel brings in `bin`, if anything does, and the bin that they go back to.
#[inline(always)]
fn sent(input: &Input, bin: u32) -> Option<(&Message, u32)> {
    let message = input.message.as_ref()?;
    let emitted = bin.checked_sub(input.delay)?;
    (emitted < message.bins).then_some((message, emitted))
}

impl ProcessPlan {
    /// The sum of the errors of an own spike from the channels that send any.
    #[inline(always)]
    fn error(&self, own: &Tape, entry: usize, sends: impl Fn(u32) -> bool) -> f32 {
        let channels = self.errors.len();
        let errors = &own.errors[entry * channels..][..channels];
        let sent = errors.iter().zip(&self.errors);
        let sent = sent.filter(|(_, bins)| sends(**bins));
        let sum = sent.map(|(error, _)| *error);
        sum.reduce(|sum, error| sum + error).unwrap_or(0.0)
    }
}

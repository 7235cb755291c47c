//! How far apart processes are on the way back, and what is kept of the errors of values.
//!
//! All processes but sources have [`Lags::steps`] adjoint steps; the first is number `T`, and step `T + s` works on
//! bin `T - 1 - s`. What was emitted in bin `b` and taken `d` bins later gets its error in the consumer's step of
//! bin `b + d`, and is dealt with in the producer's step of bin `b`, which is `d` steps later: the channel's *lag*.
//! A loss that takes spikes only has no error for the last bin, and sends those of the bin below in its first step,
//! so that its lag is 1 and the neurons need not wait for it; one that takes values has a lag of 0.
//!
//! # Errors that never come
//! What is emitted in the last bins of a sample is never taken, so that no error comes back for it; over which
//! channels one does depends on their delays. The sum of errors has to be that of those that came, and 0 where none
//! did. So the place of an error is filled beforehand with -0, which changes no sum, but over the channel that
//! brings the most errors with +0: where it brings none, no other does.
//!
//! # Slots of errors of values
//! Errors of values come in the order of bins, downwards, and of lanes. They are put into slots that go round, one a
//! bin. While a producer is at step `c`, it has dealt with packets of a consumer's steps up to `c + W` at most (`W`:
//! the window), and still needs those of its step `c - lag`: `lag + W + 1` slots. The channels' slots go round
//! together; a channel whose errors begin `n` steps later than another's has its first ones `n` slots on, and before
//! them such as are filled beforehand.

use std::collections::BTreeSet;

use nirc_ir::event::{Chan, Output, Proc, Program, Role};

use super::memory::Plan;
use super::names;
use super::steps;
use crate::abi::WINDOW;

/// What a program's delays say about its adjoint steps.
#[derive(Clone, Copy)]
pub(super) struct Lags<'a> {
    program: &'a Program,
}

impl<'a> Lags<'a> {
    pub(super) fn new(program: &'a Program) -> Self {
        Self { program }
    }

    /// Adjoint steps of a process.
    pub(super) fn steps(self) -> u32 {
        steps::count(self.program) - self.program.first_tick
    }

    /// Steps between the one in which a consumer sends the errors of a bin and the one with the same bin at the
    /// producer.
    pub(super) fn lag(self, chan: Chan) -> u32 {
        let channel = &self.program.channels[chan];
        if self.program.window.is_some() || self.program.processes[channel.to].role != Role::Loss {
            return steps::delay(self.program, channel);
        }
        let incoming = self.program.incoming(channel.to);
        let mut erring = incoming.filter(|(chan, _)| steps::carries_errors(self.program, *chan));
        let values = erring.any(|(chan, _)| self.program.carries_values(chan));
        u32::from(!values)
    }

    /// Bins at the end of a sample for which no error comes back over a channel.
    pub(super) fn silent(self, chan: Chan) -> u32 {
        let channel = &self.program.channels[chan];
        match self.program.processes[channel.to].role {
            Role::Loss if self.program.window.is_none() && !self.program.carries_values(chan) => 1,
            _ => channel.delay,
        }
    }

    /// Channels over which errors come back to a process, ascending.
    pub(super) fn errors(self, proc: Proc) -> Vec<Chan> {
        let program = self.program;
        let spikes = program.processes[proc].output == Output::Spikes;
        let channels = names::error_channels(program, proc).into_iter();
        // The values of all bins are taken too late.
        channels
            .filter(|&chan| spikes || self.silent(chan) < self.steps())
            .collect()
    }

    /// The fewest bins at the end for which no error comes back, over whichever channel; `None` if none comes.
    pub(super) fn least_silent(self, proc: Proc) -> Option<u32> {
        let channels = self.errors(proc).into_iter();
        channels.map(|chan| self.silent(chan)).min()
    }

    /// What stands in for errors that have not come over a channel.
    pub(super) fn filler(self, chan: Chan) -> f32 {
        let from = self.program.channels[chan].from;
        if self.least_silent(from) == Some(self.silent(chan)) {
            0.0
        } else {
            -0.0
        }
    }

    /// Processes that send errors to this one.
    pub(super) fn senders(self, proc: Proc) -> BTreeSet<Proc> {
        let program = self.program;
        let channels = program.outgoing(proc);
        let channels = channels.filter(|(chan, _)| steps::carries_errors(program, *chan));
        channels.map(|(_, channel)| channel.to).collect()
    }

    /// Processes that this one sends errors to.
    pub(super) fn takers(self, proc: Proc) -> BTreeSet<Proc> {
        let program = self.program;
        let channels = program.incoming(proc);
        let channels = channels.filter(|(chan, _)| steps::carries_errors(program, *chan));
        channels.map(|(_, channel)| channel.from).collect()
    }

    /// Steps that one that sends errors may lack when a step with the same number begins here.
    pub(super) fn slack(self, proc: Proc, sender: Proc) -> i64 {
        let channels = self.program.outgoing(proc);
        let errors = channels.filter(|(chan, channel)| {
            channel.to == sender && steps::carries_errors(self.program, *chan)
        });
        let slack = errors.map(|(chan, _)| i64::from(self.lag(chan)) - 1);
        let window = i64::from(WINDOW);
        slack.min().map_or(window, |slack| slack.min(window))
    }

    /// Steps whose errors over a channel can wait at once.
    pub(super) fn in_flight(self, chan: Chan) -> usize {
        let window = WINDOW as usize;
        window + 1 + (self.lag(chan) as usize).min(window + 1)
    }

    /// Bins whose errors are kept at once, of values that go over a channel.
    pub(super) fn slots(self, chan: Chan) -> u32 {
        let from = self.program.channels[chan].from;
        let used = self.steps() - self.least_silent(from).unwrap_or(0);
        (self.lag(chan).saturating_add(WINDOW + 1)).min(used)
    }

    /// Bins that other channels bring errors for before this one does.
    pub(super) fn late(self, chan: Chan) -> u32 {
        let from = self.program.channels[chan].from;
        self.silent(chan) - self.least_silent(from).unwrap_or(0)
    }

    /// Channels that bring errors of values, ascending.
    pub(super) fn value_errors(self, proc: Proc) -> Vec<Chan> {
        match self.program.processes[proc].output {
            Output::Spikes => Vec::new(),
            Output::State(_) | Output::Given => self.errors(proc),
        }
    }

    /// Where the errors of the values that a process emits go and are.
    pub(super) fn plan_cursors(self, plan: &mut Plan, proc: Proc) {
        let process = &self.program.processes[proc];
        for chan in self.value_errors(proc) {
            for name in names::value_errors_cursors(process, chan) {
                plan.values(name, vec![0], "in the slots of errors");
            }
        }
    }

    /// Slots for the errors of the values that a process emits.
    pub(super) fn plan_slots(self, plan: &mut Plan, proc: Proc) {
        let process = &self.program.processes[proc];
        for chan in self.value_errors(proc) {
            let bytes = u64::from(self.slots(chan)).saturating_mul(4 * process.lanes as u64);
            let name = names::value_errors(process, chan);
            plan.bytes(name, bytes, "errors of values, by bin");
        }
    }
}

//! Channels: who may send what to whom, over which synapses, and when it is taken.

use super::{Verifier, access};
use crate::connection::Connection;
use crate::event::{ArrayKind, Chan, Channel, Delays, Output, Process, Role, Tensor};

impl Verifier<'_> {
    pub(super) fn channels(&mut self) {
        let backwards = self.program.has_adjoint();
        for (id, channel) in self.program.channels.iter() {
            let place = id.to_string();
            let processes = &self.program.processes;
            let ends = processes.get(channel.from).zip(processes.get(channel.to));
            let Some((from, to)) = ends else {
                self.problem(place, "an end of it does not exist");
                continue;
            };
            self.ends(&place, channel, from, to);
            self.synapses(&place, channel, from, to);
            self.delay(&place, channel, (from, to));
            self.delays((id, &place), channel, from, to);
            let keeps = backwards && from.output == Output::Spikes;
            if channel.bound.is_some() != keeps {
                self.bound(&place, keeps);
            }
        }
    }

    fn ends(&mut self, place: &str, channel: &Channel, from: &Process, to: &Process) {
        let sends = matches!(from.role, Role::Source | Role::Neurons);
        let receives = matches!(to.role, Role::Neurons | Role::Loss);
        if !sends || !receives {
            let message = format!(
                "{} -> {}: a source or neurons send to neurons or the loss",
                channel.from, channel.to
            );
            self.problem(place, message);
        }
    }

    fn delay(&mut self, place: &str, channel: &Channel, (from, to): (&Process, &Process)) {
        if let Some(window) = self.program.window
            && channel.delay < window
            && channel.from >= channel.to
        {
            let message = format!(
                "{} -> {}: a delay of {}, and within a window of {window} it leads to a later process",
                channel.from, channel.to, channel.delay
            );
            self.problem(place, message);
        } else if channel.delay == 0 && channel.from >= channel.to {
            let message = format!(
                "{} -> {}: without a delay, it leads to a later process",
                channel.from, channel.to
            );
            self.problem(place, message);
        }
        if to.role == Role::Neurons
            && matches!(from.output, Output::State(_))
            && self.program.window.is_some()
        {
            self.problem(place, "of exact event times, only the loss takes values");
        }
        if to.role == Role::Neurons && channel.delay < self.program.first_tick {
            let message = format!(
                "a delay of {}, but neurons tick from bin {} on",
                channel.delay, self.program.first_tick
            );
            self.problem(place, message);
        }
        if to.role == Role::Loss && channel.delay != 0 {
            let message = format!("a delay of {} into the loss", channel.delay);
            self.problem(place, message);
        }
    }

    /// Delays of sources: arrays of the consumer with an element each, of a tensor that nothing else reads.
    fn delays(
        &mut self,
        (id, place): (Chan, &str),
        channel: &Channel,
        from: &Process,
        to: &Process,
    ) {
        let Some(delays) = channel.delays else { return };
        if let Err(message) = self.delays_fit(delays, from, to) {
            self.problem(place, message);
        }
        if delays.gradient.is_some() && !self.program.carries_errors(id) {
            self.problem(
                place,
                "its delays have a gradient, and no message brings errors",
            );
        }
    }

    fn delays_fit(&self, delays: Delays, from: &Process, to: &Process) -> Result<(), String> {
        if self.program.window.is_none() {
            return Err("its sources have delays, without exact event times".to_owned());
        }
        if to.role != Role::Neurons || from.output != Output::Spikes {
            return Err("only spikes that neurons take have delays by source".to_owned());
        }
        let kind = |array| to.arrays.get(array).map(|decl| decl.kind);
        let a_delay_a_source = |tensor: &Tensor| {
            let tensor = self.program.tensors.get(*tensor);
            tensor.is_some_and(|t| t.rows == 1 && t.lanes == from.lanes)
        };
        let tensor = match kind(delays.values) {
            Some(ArrayKind::Param(tensor)) => Some(tensor).filter(a_delay_a_source),
            _ => None,
        };
        let Some(tensor) = tensor else {
            let (array, sources) = (delays.values, from.lanes);
            return Err(format!(
                "{array} is no tensor of one row and {sources} delays"
            ));
        };
        if let Some(array) = delays.gradient
            && kind(array) != Some(ArrayKind::Gradient(tensor))
        {
            return Err(format!("{array} is not the gradient of the delays"));
        }
        let arrays = [Some(delays.values), delays.gradient];
        let mut bodies = to.handlers.iter().map(|handler| &handler.body);
        if bodies.any(|body| arrays.iter().flatten().any(|a| access::names(body, *a))) {
            return Err("handlers name the delays of its sources".to_owned());
        }
        Ok(())
    }

    fn synapses(&mut self, place: &str, channel: &Channel, from: &Process, to: &Process) {
        let Connection::Taps(axes) = &channel.connection else {
            return;
        };
        if axes.is_empty() || channel.connection.sources() != Some(from.lanes) {
            let sizes: Vec<usize> = axes.iter().map(|axis| axis.len()).collect();
            let message = format!("axes of {sizes:?} places for {} sources", from.lanes);
            self.problem(place, message);
        }
        if let Some((lane, _)) = channel.connection.largest()
            && lane >= to.lanes as u64
        {
            let message = format!("a synapse leads to lane {lane} of {}", to.lanes);
            self.problem(place, message);
        }
    }

    /// A tape of spikes has a bound where something goes backwards, and only there.
    pub(super) fn bound(&mut self, place: &str, due: bool) {
        let message = if due {
            "its tape needs a bound, for the way back"
        } else {
            "its tape has a bound, but no spikes go backwards"
        };
        self.problem(place, message);
    }

    /// What leaves a process.
    pub(super) fn output(&mut self, place: &str, process: &Process) {
        let fits = match (process.role, process.output) {
            (_, Output::Spikes) | (Role::Source, Output::Given) => true,
            (Role::Neurons, Output::State(array)) => process
                .arrays
                .get(array)
                .is_some_and(|a| matches!(a.kind, ArrayKind::State { .. })),
            _ => false,
        };
        if !fits {
            let message = format!(
                "{:?} cannot leave a process of role {:?}",
                process.output, process.role
            );
            self.problem(place, message);
        }
        if process.output == Output::Given && self.program.window.is_some() {
            self.problem(
                place,
                "it emits values, one a bin, in a program of exact event times",
            );
        }
        if process.output != Output::Spikes && process.tape.is_some() {
            self.problem(place, "it emits values, and has a tape of spikes");
        }
    }
}

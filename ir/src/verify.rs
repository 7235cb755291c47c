//! The verifier of event programs. It runs after every pass, in release builds too.
//!
//! # Invariants
//! After verification no executor panics, and none differs from another.
//! * **Program**: 2 to 2^24 bins (1 where nothing goes backwards), at least one replica, at most one loss
//!   process; neurons tick from bin 0 or 1 on.
//! * **Entities**: every tensor, process, channel, array, coefficient and value that is named exists.
//! * **Sizes**: every process and tensor has lanes, and no array has more than 2^24 elements.
//! * **Tensors** have `rows * lanes` values, all finite. A process that holds a tensor has its lanes
//!   (an optimiser: `rows * lanes` of them).
//! * **Channels** go from a source or neuron process to a neuron or loss process, which is a later one where
//!   the delay is 0; the first tick is no later than what arrives. Errors go back to neurons only, which take them: of spikes
//!   on their tape, of values in a `value` handler.
//! * **Connections** have a place for each source, and no synapse names a lane or weight that does not exist.
//! * **Outputs**: sources emit spikes or given values, neurons spikes or one of their states; what emits values
//!   has no spikes.
//! * **Backwards**: in a program with adjoint handlers every tape has a bound, of own spikes and of those that
//!   a channel brings. In others none has one.
//! * **Coefficients** are finite and have one value or one a lane.
//! * **Names** of processes, and of arrays and coefficients within a process, are unique.
//! * **Arrays** are of a kind that the role has: `state`, `scalar`, `trace` of neurons and the loss,
//!   `param` and `gradient` of neurons, `label` of both,  `given_error` of the loss, `moment`, `counter`,
//!   `gathered` and its own `param` of an optimiser, none of a source. A process has one array at most
//!   for each `param` and `gradient`, and one `gathered`. In the loss, `first_spike` and `score` are states,
//!   `loss` and `cross_entropy` scalars. Tapes belong to neurons.
//! * **Optimisers** are of trainable tensors, one of each at most; one process of the network holds the
//!   parameter, and one the gradient.
//! * **Handlers**: at most one of a kind, but for `turn`; only of kinds that the role has, only of
//!   channels that lead into the process; the domain is one the kind can have, and a lane that an event
//!   names is one of the process. `spike` needs a tape.
//! * **Bodies** define each value once, before its use; conditions are comparisons and comparisons are
//!   used only as conditions; scalars are stored only in the scalar domain and reduced only over lanes;
//!   rows are those of tensors (by source, of which there are as many as rows; by synapse, in a tensor of one
//!   row) and of tables (by bin);
//!   parameters are stored by their optimiser alone; payload, fields, spikes, sends, bins and probes stand
//!   only in handlers that have them (`turn` and optimisers have no bin), values a lane only where there
//!   are lanes.
//! * **Places**: the scalar of a fold stands nowhere else in its body; a body names an array either with
//!   rows or without.
//! * **Messages** and **measures** send exactly once, and nothing else does. **Spikes** stand once in a `tick` or
//!   `cross`, and record as many numbers as the
//!   tape has fields.
//! * **Exact event times**: in a program with a window, of 1 to T bins, only spikes travel, and values of
//!   neurons to the loss; a channel that leads
//!   to no later process has a delay of a window at least; `cross`, `window` and `adjoint_window` stand for all
//!   that runs once a bin, in these programs alone; there are no tables by bin, and no first tick but 0. Spikes
//!   have times, events `time`, a `cross` `since` and `until`, and only it `skip`. Errors go to sources, too.
//!   Neurons may have one `turn`, over lanes; elsewhere it is the loss's.
//! * **Delays of sources** are a tensor of one row with an element a source, of spikes that neurons take at
//!   exact times; no body names it. Where it has a gradient, messages bring errors.

mod access;
mod arrays;
mod body;
mod channels;
mod optimisers;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::event::{Chan, Handler, HandlerKind, Output, Proc, Process, Program, Role};

/// Most bins, and most elements of an array: indices stay exact as `f32`, and offsets fit 32 bits.
const LIMIT: usize = 1 << 24;

/// Checks every invariant of a program.
///
/// # Errors
/// Everything that is broken, each with its place.
pub fn verify(program: &Program) -> Result<(), Diagnostics> {
    let mut verifier = Verifier {
        program,
        problems: Diagnostics::new(),
    };
    verifier.header();
    verifier.tensors();
    verifier.channels();
    verifier.optimisers();
    for (id, process) in program.processes.iter() {
        verifier.process(id, process);
    }
    verifier.problems.into_result(())
}

struct Verifier<'a> {
    program: &'a Program,
    problems: Diagnostics,
}

impl Verifier<'_> {
    fn problem(&mut self, place: impl Into<String>, message: impl Into<String>) {
        self.problems
            .push(Diagnostic::error(codes::VERIFY, place, message));
    }

    fn header(&mut self) {
        let program = self.program;
        let least = if program.has_adjoint() { 2 } else { 1 };
        if program.ticks < least || program.replicas == 0 {
            let message = format!(
                "{} bins and {} replicas; at least {least} and 1",
                program.ticks, program.replicas
            );
            self.problem("program", message);
        }
        if program.first_tick > 1 {
            let message = format!("the first tick is {}, not 0 or 1", program.first_tick);
            self.problem("program", message);
        }
        if let Some(window) = program.window
            && (!(1..=program.ticks).contains(&window) || program.first_tick != 0)
        {
            let message = format!(
                "windows of {window} bins and a first tick of {}; 1 to {} bins and 0",
                program.first_tick, program.ticks
            );
            self.problem("program", message);
        }
        if program.ticks as usize > LIMIT {
            let message = format!("{} bins; at most {LIMIT}", program.ticks);
            self.problem("program", message);
        }
        // A sample has one outcome.
        let losses = program.processes.values();
        let losses = losses.filter(|p| p.role == Role::Loss).count();
        if losses > 1 {
            let message = format!("{losses} processes of role Loss; at most one");
            self.problem("program", message);
        }
        let mut names = BTreeSet::new();
        for process in program.processes.values() {
            if !names.insert(&process.name) {
                self.problem(&process.name, "two processes have this name");
            }
        }
    }

    fn tensors(&mut self) {
        for (id, tensor) in self.program.tensors.iter() {
            let place = format!("{id} {}", tensor.name);
            if tensor.rows.checked_mul(tensor.lanes) != Some(tensor.values.len()) {
                let message = format!(
                    "{} values for {} rows of {}",
                    tensor.values.len(),
                    tensor.rows,
                    tensor.lanes
                );
                self.problem(&place, message);
            }
            self.size(&place, tensor.rows, tensor.lanes);
            if let Some(i) = tensor.values.iter().position(|v| !v.is_finite()) {
                self.problem(&place, format!("value {i} is {}", tensor.values[i]));
            }
        }
    }

    fn process(&mut self, id: Proc, process: &Process) {
        let place = format!("{id} {}", process.name);
        self.size(&place, 1, process.lanes);
        self.output(&place, process);
        self.declarations(&place, process);
        let mut kinds = BTreeSet::new();
        for handler in &process.handlers {
            let kind = format!("{:?}", handler.kind);
            let many = handler.kind == HandlerKind::Turn && process.role == Role::Loss;
            if !many && !kinds.insert(kind.clone()) {
                self.problem(&place, format!("two handlers for {kind}"));
            }
            let place = format!("{place}: {kind}");
            let exact = self.program.window.is_some();
            if !time_has(exact, handler.kind) {
                let time = if exact { "exact event times" } else { "ticks" };
                self.problem(&place, format!("a program of {time} has no such handler"));
            }
            if !role_has(process.role, handler.kind, exact) {
                let message = format!("a process of role {:?} has no such handler", process.role);
                self.problem(&place, message);
            }
            if let Some(chan) = channel_of(handler.kind)
                && self.program.channels.get(chan).map(|c| c.to) != Some(id)
            {
                self.problem(&place, format!("{chan} does not lead into this process"));
            }
            self.errors(&place, process, handler);
            for message in body::problems(self.program, process, handler) {
                self.problem(&place, message);
            }
        }
    }

    /// Errors are kept beside the spikes that they are for, or taken for all values of a bin.
    fn errors(&mut self, place: &str, process: &Process, handler: &Handler) {
        if handler.kind == HandlerKind::Spike && process.tape.is_none() {
            self.problem(place, "there is no tape of own spikes");
        }
        if handler.kind == HandlerKind::Value && process.output == Output::Spikes {
            self.problem(place, "the process emits no values");
        }
        let HandlerKind::Message(chan) = handler.kind else {
            return;
        };
        let Some(producer) = self.producer(chan) else {
            return;
        };
        let exact = self.program.window.is_some();
        let message = if producer.role == Role::Source && exact {
            return;
        } else if producer.role != Role::Neurons {
            format!("errors go back to neurons, not to `{}`", producer.name)
        } else if self.program.carries_values(chan) {
            if producer.handler(HandlerKind::Value).is_some() {
                return;
            }
            format!("`{}` takes no errors of its values", producer.name)
        } else if producer.tape.is_none() {
            format!("errors go back to a tape, `{}` has none", producer.name)
        } else {
            return;
        };
        self.problem(place, message);
    }

    fn producer(&self, chan: Chan) -> Option<&Process> {
        let channel = self.program.channels.get(chan)?;
        self.program.processes.get(channel.from)
    }
}

fn role_has(role: Role, kind: HandlerKind, exact: bool) -> bool {
    use HandlerKind as K;
    match role {
        Role::Source => false,
        Role::Neurons if kind == K::Turn => exact,
        Role::Neurons => matches!(
            kind,
            K::Event(_)
                | K::Tick
                | K::Message(_)
                | K::AdjointTick
                | K::Value
                | K::Spike
                | K::Gradient(_)
                | K::GradientTick
                | K::Cross
                | K::Window
                | K::AdjointWindow
        ),
        Role::Loss => matches!(kind, K::Event(_) | K::Turn | K::Message(_)),
        Role::Optimiser(_) => matches!(kind, K::Gather | K::Measure | K::Schedule | K::Update),
    }
}

/// Whether programs of exact event times, or those of ticks, have handlers of this kind.
fn time_has(exact: bool, kind: HandlerKind) -> bool {
    use HandlerKind as K;
    match kind {
        K::Tick | K::AdjointTick | K::GradientTick => !exact,
        K::Cross | K::Window | K::AdjointWindow => exact,
        _ => true,
    }
}

fn channel_of(kind: HandlerKind) -> Option<Chan> {
    match kind {
        HandlerKind::Event(c) | HandlerKind::Message(c) | HandlerKind::Gradient(c) => Some(c),
        _ => None,
    }
}

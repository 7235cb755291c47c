//! What a step is: a bin, or, in programs of exact event times, a window.

use nirc_ir::event::{Chan, Channel, Program, Role};

/// Forward steps of a sample.
pub(super) fn count(program: &Program) -> u32 {
    program.windows().map_or(program.ticks, |(count, _)| count)
}

/// Steps that a channel delays at least.
pub(super) fn delay(program: &Program, channel: &Channel) -> u32 {
    match program.window {
        Some(window) => channel.delay / window.max(1),
        None => channel.delay,
    }
}

/// Whether errors travel back over this channel. Of exact event times, consumers compute such for sources, too, which
/// nobody asks the chip for.
pub(crate) fn carries_errors(program: &Program, chan: Chan) -> bool {
    let from = program.channels[chan].from;
    program.carries_errors(chan) && program.processes[from].role != Role::Source
}

//! What a step is: a bin, or, in programs of exact event times, a window.

use nirc_ir::event::{Array, Chan, Channel, HandlerKind, Program, Role, Stmt};

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

/// Whether its consumer needs the errors of this channel: to send them, or for the gradient of delays; or the handler
/// does something else, too.
pub(super) fn asks_errors(program: &Program, chan: Chan) -> bool {
    let consumer = &program.processes[program.channels[chan].to];
    let handler = consumer.handler(HandlerKind::Message(chan));
    let stores = handler.is_some_and(|handler| {
        let mut stmts = handler.body.stmts.iter();
        stmts.any(|stmt| !matches!(stmt, Stmt::Let(..) | Stmt::Send(_)))
    });
    stores || carries_errors(program, chan) || delay_gradient(program, chan).is_some()
}

/// The gradient of the delays of a channel's sources.
pub(super) fn delay_gradient(program: &Program, chan: Chan) -> Option<Array> {
    program.channels[chan]
        .delays
        .and_then(|delays| delays.gradient)
}

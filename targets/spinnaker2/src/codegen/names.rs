//! How handlers and their parts are called, in symbols, listings and errors.

use nirc_ir::entity::Entity;
use nirc_ir::event::{Array, Chan, Coef, HandlerKind, Proc, Process, Program};

use super::steps;
use crate::abi::tape;

/// The instance, `instance << 24`; written by the host.
pub(super) const CONFIG: &str = "config";
/// What went wrong, or 0.
pub(super) const STATUS: &str = "status";
/// The current bin.
pub(super) const BIN: &str = "bin";
/// Exact time of what is dealt with, or the beginning of the interval.
pub(super) const TIME: &str = "time";
/// The end of the interval.
pub(super) const UNTIL: &str = "until";
/// Exponentials of the time.
pub(super) const CLOCK: &str = "clock";
/// Exponentials of the end of the interval.
pub(super) const CLOCK_UNTIL: &str = "clock.until";
/// Not 0 where a lane may spike again in the interval.
pub(super) const AGAIN: &str = "interval.again";
/// The first spike of the interval, as an entry of the tape.
pub(super) const INTERVAL: &str = "interval.first";
/// All arrivals of a sample.
pub(super) const INBOX: &str = "inbox";
/// Where the next arrival goes that is received.
pub(super) const INBOX_NEXT: &str = "inbox.next";
/// Where the next arrival is that is taken.
pub(super) const INBOX_TAKEN: &str = "inbox.taken";
/// The row of the current bin, where rows and bins are counted apart.
pub(super) const ROW: &str = "row";
/// The command to obey, with its top bit set; 0 if there is none.
pub(super) const COMMAND: &str = "command";
/// The flags of the command being obeyed.
pub(super) const FLAGS: &str = "flags";
/// READY packets received.
pub(super) const READY: &str = "ready";
/// Sum of the measures of this batch.
pub(super) const MEASURED: &str = "measured";
/// Batches that the optimisers have finished.
pub(super) const UPDATES: &str = "updates";
/// The ring of packets without payload.
pub(super) const FIFO_PLAIN: &str = "fifo.plain";
/// The ring of packets with payload.
pub(super) const FIFO_PAYLOAD: &str = "fifo.payload";

/// Steps that a neighbour has finished.
pub(super) fn progress(neighbour: &Process) -> String {
    format!("progress.{}", neighbour.name)
}

/// Where the next spike of a channel goes.
pub(super) fn input_next(process: &Process, chan: Chan) -> String {
    format!("{}.input.{chan}.next", process.name)
}

/// Sources of the spikes received over a channel.
pub(super) fn input_source(process: &Process, chan: Chan) -> String {
    format!("{}.input.{chan}.source", process.name)
}

/// Where each bin's spikes of a channel start.
pub(super) fn input_start(process: &Process, chan: Chan) -> String {
    format!("{}.input.{chan}.start", process.name)
}

/// Slots of bins received from a process.
pub(super) fn slots(process: &Process, from: &Process) -> String {
    format!("{}.input.{}.slots", process.name, from.name)
}

/// Where the next packet of a process goes.
pub(super) fn slot_next(process: &Process, from: &Process) -> String {
    format!("{}.input.{}.next", process.name, from.name)
}

/// The slot of the bin that is coming in.
pub(super) fn slot_open(process: &Process, from: &Process) -> String {
    format!("{}.input.{}.open", process.name, from.name)
}

/// The slot of the bin that is taken next over a channel.
pub(super) fn slot_read(process: &Process, chan: Chan) -> String {
    format!("{}.input.{chan}.read", process.name)
}

/// Address of the current bin's row of own spikes.
pub(super) fn raster_row(process: &Process) -> String {
    format!("{}.tape.row", process.name)
}

/// Where each bin's own spikes start on the tape.
pub(super) fn own_start(process: &Process) -> String {
    format!("{}.tape.start", process.name)
}

/// Spikes received of a process.
pub(super) fn received(from: &Process) -> String {
    format!("received.{}", from.name)
}

/// Arrivals over a channel.
pub(super) fn arrived(chan: Chan) -> String {
    format!("arrived.{chan}")
}

/// Where in the inbox own spikes were.
pub(super) fn own_after(process: &Process) -> String {
    format!("{}.tape.after", process.name)
}

/// Own spikes that are still to be gone back through.
pub(super) fn own_back(process: &Process) -> String {
    format!("{}.tape.back", process.name)
}

/// Entry of the tape that the next error of a channel is for, then the end of its bin, then the bin.
pub(super) fn error_cursor(process: &Process, chan: Chan) -> [String; 3] {
    ["next", "end", "bin"].map(|part| format!("{}.{part}", error(&process.name, chan)))
}

/// Errors of the values that went over a channel.
pub(super) fn value_errors(process: &Process, chan: Chan) -> String {
    format!("{}.errors.{chan}", process.name)
}

/// The slot of the errors that are dealt with next.
pub(super) fn value_errors_read(process: &Process, chan: Chan) -> String {
    format!("{}.read", value_errors(process, chan))
}

/// Where the next error goes, and the slot of those that are dealt with next.
pub(super) fn value_errors_cursors(process: &Process, chan: Chan) -> [String; 2] {
    let next = format!("{}.next", value_errors(process, chan));
    [next, value_errors_read(process, chan)]
}

/// The part of a symbol behind the process: `tick`, `adjoint.gradient.chan1`.
pub(super) fn handler(kind: HandlerKind) -> String {
    match kind {
        HandlerKind::Event(chan) => format!("event.{chan}"),
        HandlerKind::Tick => "tick".to_owned(),
        HandlerKind::Turn => "turn".to_owned(),
        HandlerKind::Message(chan) => format!("adjoint.message.{chan}"),
        HandlerKind::Value => "adjoint.value".to_owned(),
        HandlerKind::AdjointTick => "adjoint.tick".to_owned(),
        HandlerKind::Spike => "adjoint.spike".to_owned(),
        HandlerKind::Gradient(chan) => format!("adjoint.gradient.{chan}"),
        HandlerKind::GradientTick => "adjoint.gradient_tick".to_owned(),
        HandlerKind::Cross => "cross".to_owned(),
        HandlerKind::Window => "window".to_owned(),
        HandlerKind::AdjointWindow => "adjoint.window".to_owned(),
        HandlerKind::Gather => "gather".to_owned(),
        HandlerKind::Measure => "measure".to_owned(),
        HandlerKind::Schedule => "schedule".to_owned(),
        HandlerKind::Update => "update".to_owned(),
    }
}

/// The symbol of an array.
pub(super) fn array(process: &Process, array: Array) -> String {
    format!("{}.{}", process.name, process.arrays[array].name)
}

/// The symbol of a coefficient's table.
pub(super) fn coef(process: &Process, coef: Coef) -> String {
    format!("{}.{coef}.{}", process.name, process.coefs[coef].name)
}

/// The symbol of a table of an axis, as a handler needs it.
pub(super) fn axis(process: &Process, kind: HandlerKind, axis: usize, part: &str) -> String {
    let of = match kind {
        HandlerKind::Event(chan) => chan.to_string(),
        kind => handler(kind),
    };
    format!("{}.{of}.axis{axis}.{part}", process.name)
}

/// The symbol of what the loops over a channel's synapses keep in memory.
pub(super) fn loops(process: &Process, chan: Chan) -> String {
    format!("{}.{chan}.loops", process.name)
}

/// The symbol of a recorded field of own spikes.
pub(super) fn field(process: &Process, field: usize) -> String {
    let name = process.tape.as_ref().map_or("", |tape| &tape.fields[field]);
    tape::field(&process.name, name)
}

/// The symbol of the errors that came over a channel.
pub(super) fn error(process: &str, chan: Chan) -> String {
    tape::error(process, chan.index())
}

/// Channels that bring errors to `proc`, ascending.
pub(super) fn error_channels(program: &Program, proc: Proc) -> Vec<Chan> {
    let channels = program.outgoing(proc).map(|(chan, _)| chan);
    channels
        .filter(|&chan| steps::carries_errors(program, chan))
        .collect()
}

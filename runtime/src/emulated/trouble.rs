//! What can go wrong in a run, as a person should read it.

use nirc_ir::Diagnostic;
use nirc_ir::codes::{DEVICE_FAULT, DEVICE_LOSS};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Chan, Proc, Program};
use nirc_ir::executor::Sample;
use nirc_spinnaker2::abi::Status;
use nirc_spinnaker2::mapping::PeId;

use super::device::Lost;
use super::layout::Layout;

/// The diagnostic of a status word that is not 0.
pub(super) fn status(program: &Program, pe: PeId, word: u32) -> Diagnostic {
    let (code, detail) = (word >> 16, (word & 0xFFFF) as usize);
    let name = |proc: Proc| program.processes.get(proc).map(|p| p.name.clone());
    let full = |place: Option<String>, what: &str, bound: Option<usize>| {
        let bound = bound.map_or_else(|| "its bound".to_owned(), |b| b.to_string());
        Diagnostic::error(
            DEVICE_LOSS,
            place.unwrap_or_default(),
            format!("the tape of {what} is full on PE {pe}: more than {bound} in one sample"),
        )
        .help("raise `mapping.spike_bound`; left out, there is room for a spike a neuron and bin")
    };
    if code == Status::SpikeTapeFull as u32 {
        let proc = Proc::new(detail);
        let tape = program.processes.get(proc).and_then(|p| p.tape.as_ref());
        full(name(proc), "own spikes", tape.and_then(|t| t.bound))
    } else if code == Status::InputTapeFull as u32 {
        let channel = program.channels.get(Chan::new(detail));
        let place = channel.and_then(|c| name(c.to));
        full(place, "received spikes", channel.and_then(|c| c.bound))
    } else if code == Status::UnknownKey as u32 {
        let message = format!("PE {pe} got a packet with the unknown key {detail:04x}xxxx");
        Diagnostic::error(DEVICE_FAULT, &program.name, message)
    } else if code == Status::Fault as u32 {
        let message = format!("PE {pe} took exception {detail}, which nothing handles");
        Diagnostic::error(DEVICE_FAULT, &program.name, message)
    } else {
        let message = format!("PE {pe} has the unknown status {word:08x}");
        Diagnostic::error(DEVICE_FAULT, &program.name, message)
    }
}

/// Whether packets were lost.
pub(super) fn lost(lost: Lost) -> Result<(), Diagnostic> {
    if lost == Lost::default() {
        return Ok(());
    }
    let Lost {
        unrouted,
        dropped,
        pe,
    } = lost;
    let place = pe.map_or_else(|| "router".to_owned(), |pe| format!("PE {pe}"));
    let message = format!("{dropped} packets dropped at full FIFOs, {unrouted} without a route");
    Err(Diagnostic::error(DEVICE_LOSS, place, message))
}

/// Whether the sources have room for a sample.
pub(super) fn sample(layout: &Layout, sample: &Sample<'_>) -> Result<(), Diagnostic> {
    for (tape, channels) in &layout.inputs {
        let own = sample.spikes.iter();
        let found = own.filter(|s| channels.contains(&s.channel)).count();
        let room = tape.spikes.words;
        if found > room {
            return Err(Diagnostic::error(
                DEVICE_LOSS,
                "sample",
                format!("{found} input spikes, the source has room for {room}"),
            ));
        }
    }
    Ok(())
}

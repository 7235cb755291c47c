//! What arrives at exact times, and the memory of programs that have such.
//!
//! # Inbox
//! A process has one list of all that arrives in a sample, in the order in which it is taken: by (window, time,
//! channel, source), and as emitted where all are equal. An arrival is three words:
//!
//! ```text
//! window << 16 | entry of the producer's tape
//! time
//! channel << 16 | source
//! ```
//!
//! and, where there is a way back, the exponentials of its time ([`super::clock`]) once it has been taken. In front of
//! all stands one that nothing comes before.
//!
//! A spike is put in its place when it is received, from the end: most come in order. Times are not negative, so that
//! their bits ascend as they do. What has been taken stays for the way back. The loss knows no windows: its arrivals
//! are all of window 0, with times from the sample's beginning.
//!
//! Which window a spike was emitted in follows from the markers of its producer, which go the same way as its
//! spikes: with payload, through the same ring.
//!
//! # Rings
//! No number of spikes in a window is too many for a neuron, only one in a sample: the rings have room for all that
//! can arrive in one.

use std::collections::BTreeSet;

use nirc_ir::event::{Chan, Output, Proc, Program, Role};

use super::clock::Clock;
use super::error::CodegenError;
use super::memory::Plan;
use super::names;
use super::plan::{self, Packets};
use super::{axes, steps};
use crate::abi::{INDICES, tape};

/// Bytes of an arrival without exponentials.
const ARRIVAL: u32 = 12;
/// What half a word can count.
const HALF: u64 = 1 << 16;

/// Bytes of an arrival, and of its exponentials in it.
pub(super) fn arrival(program: &Program, proc: Proc) -> (u32, u32) {
    let kept = match program.has_adjoint() {
        true => Clock::new(program, proc).rates.len(),
        false => 0,
    };
    let kept = u32::try_from(4 * kept).unwrap_or(0);
    (ARRIVAL + kept, kept)
}

/// Processes whose spikes `proc` takes.
pub(super) fn producers(program: &Program, proc: Proc) -> BTreeSet<Proc> {
    let channels = plan::spiking(program, proc);
    channels.map(|chan| program.channels[chan].from).collect()
}

/// Processes whose values `proc` takes.
pub(super) fn valued(program: &Program, proc: Proc) -> BTreeSet<Proc> {
    let incoming = program.incoming(proc).map(|(_, c)| c.from);
    incoming
        .filter(|from| program.processes[*from].output != Output::Spikes)
        .collect()
}

/// The memory of a process of the network.
pub(super) fn network(packets: &Packets<'_>) -> Result<Plan, CodegenError> {
    let (program, proc) = (packets.program, packets.proc);
    check_ranges(program, proc)?;
    let process = &program.processes[proc];
    let neurons = process.role == Role::Neurons;
    let mut plan = Plan::default();
    plan::control(&mut plan);
    plan.values(
        names::TIME,
        vec![0],
        "exact time, or where the interval begins",
    );
    if neurons {
        plan.values(names::UNTIL, vec![0], "where the interval ends");
        let rates = Clock::new(program, proc).rates.len();
        if rates > 0 {
            plan.values(names::CLOCK, vec![0; rates], "exponentials of the time");
            let purpose = "exponentials of the interval's end";
            plan.values(names::CLOCK_UNTIL, vec![0; rates], purpose);
        }
        plan.values(names::INTERVAL, vec![0], "own spikes before the interval");
        plan.values(
            names::AGAIN,
            vec![0],
            "whether a lane may spike again in it",
        );
        plan.values(tape::count(&process.name), vec![0], "own spikes so far");
        if program.has_adjoint() {
            plan.values(
                names::own_back(process),
                vec![0],
                "own spikes not gone back through",
            );
        }
    }
    plan::progress(&mut plan, program, proc);
    let producers = producers(program, proc);
    let (arrival, _) = arrival(program, proc);
    if !producers.is_empty() {
        for (name, purpose) in [
            (names::INBOX_NEXT, "where the next arrival goes"),
            (names::INBOX_TAKEN, "the next arrival that is taken"),
        ] {
            plan.pointer(name, (names::INBOX, arrival), purpose);
        }
    }
    for from in producers {
        let name = names::received(&program.processes[from]);
        plan.values(name, vec![0], "spikes received of this process");
    }
    for chan in plan::spiking(program, proc) {
        plan.values(names::arrived(chan), vec![0], "arrivals over this channel");
    }
    for chan in packets.lags.value_errors(proc) {
        let read = names::value_errors_read(process, chan);
        let errors = names::value_errors(process, chan);
        plan.pointer(read, (errors, 0), "errors of own values");
    }
    plan::arrays(&mut plan, program, proc, 0);
    axes::plan(&mut plan, program, proc)?;
    match process.role {
        Role::Source => source(&mut plan, program, proc),
        Role::Neurons => own_tape(&mut plan, program, proc),
        Role::Loss | Role::Optimiser(_) => {}
    }
    for chan in packets.lags.value_errors(proc) {
        let errors = names::value_errors(process, chan);
        plan.words(errors, process.lanes, "errors of own values");
    }
    let bounds = plan::spiking(program, proc).map(|chan| plan::channel_bound(program, chan));
    let arrivals = bounds.map(|bound| bound as u64).reduce(u64::saturating_add);
    if let Some(arrivals) = arrivals {
        let bytes = arrivals.saturating_add(1).saturating_mul(arrival.into());
        plan.bytes(names::INBOX, bytes, "arrivals, in the order of taking");
    }
    for from in valued(program, proc) {
        let producer = &program.processes[from];
        let slots = names::slots(process, producer);
        plan.words(slots, producer.lanes, "values received");
    }
    plan::rings(&mut plan, 0, payload(packets));
    plan.check()?;
    Ok(plan)
}

fn source(plan: &mut Plan, program: &Program, proc: Proc) {
    let name = &program.processes[proc].name;
    let bound = plan::source_bound(program, proc);
    plan.words(tape::input_count(name), 1, "input spikes of the sample");
    plan.words(tape::input(name), bound, "window and lane of input spikes");
    plan.words(tape::input_time(name), bound, "times of input spikes");
}

fn own_tape(plan: &mut Plan, program: &Program, proc: Proc) {
    let process = &program.processes[proc];
    let name = &process.name;
    let bound = plan::tape_bound(program, proc);
    plan.words(tape::place(name), bound, "window and lane of own spikes");
    plan.words(tape::time(name), bound, "times of own spikes");
    let bytes = 2 * bound as u64;
    plan.bytes(tape::order(name), bytes, "own spikes in their order");
    let fields = process.tape.as_ref().map_or(0, |tape| tape.fields.len());
    for field in 0..fields {
        let symbol = names::field(process, field);
        plan.words(symbol, bound, "recorded at own spikes");
    }
    if !program.has_adjoint() {
        return;
    }
    let purpose = "where in the inbox own spikes were";
    plan.words(names::own_after(process), bound, purpose);
    for chan in plan::spike_errors(program, proc) {
        plan.words(names::error(name, chan), bound, "errors of own spikes");
    }
}

/// Packets that can wait at once.
fn payload(packets: &Packets<'_>) -> usize {
    let (program, proc) = (packets.program, packets.proc);
    let spikes = producers(program, proc).into_iter();
    let spikes = spikes.map(|from| match program.processes[from].role {
        Role::Source => plan::source_bound(program, from),
        _ => plan::tape_bound(program, from),
    });
    let errors = names::error_channels(program, proc).into_iter();
    let errors = errors.map(|chan| match program.carries_values(chan) {
        true => program.processes[proc].lanes,
        false => plan::channel_bound(program, chan),
    });
    let values = valued(program, proc).into_iter();
    let values = values.map(|from| program.processes[from].lanes);
    let neighbours = plan::neighbours(program, proc).into_iter();
    let passes = if program.has_adjoint() { 2 } else { 1 };
    let most = passes * steps::count(program) as usize;
    let markers = neighbours.map(|other| packets.markers(other).min(most));
    let commands = 1;
    spikes
        .chain(values)
        .chain(errors)
        .chain(markers)
        .fold(commands, usize::saturating_add)
}

/// Whether keys, tapes and arrivals can count what the program has.
fn check_ranges(program: &Program, proc: Proc) -> Result<(), CodegenError> {
    plan::check_ranges(program, proc)?;
    let process = &program.processes[proc];
    let check = |what: &str, found: u64, limit: u64| {
        if found <= limit {
            return Ok(());
        }
        let what = format!("{what} of {}", process.name);
        Err(CodegenError::Range { what, limit, found })
    };
    check("windows", steps::count(program).into(), HALF - 1)?;
    let channels = program.incoming(proc).map(|(chan, _)| chan);
    let last = channels.last().map_or(0, |chan: Chan| {
        use nirc_ir::entity::Entity;
        chan.index() as u64
    });
    check("number of a channel", last, HALF - 1)?;
    if process.role == Role::Neurons {
        let bound = plan::tape_bound(program, proc) as u64;
        check("own spikes of a sample", bound, HALF)?;
    }
    if program.has_adjoint() && process.role == Role::Neurons {
        // An error names the entry that it is for.
        let bound = plan::tape_bound(program, proc) as u64;
        check("own spikes of a sample", bound, INDICES as u64)?;
    }
    Ok(())
}

//! What a PE has to hold for its processes, and how much of it. What forward programs keep beside their
//! arrays stands in [`super::buffers`], what those of exact event times do in [`super::inbox`].
//!
//! # Rings of programs that go backwards
//! A process empties its rings at the start of every step (and whenever it wakes). Let `W` be the window. Of two
//! neighbours, the one that gives waits until the other lacks `W` steps at most, the one that takes until the other
//! lacks a *slack* at most: forward `min(d - 1, W)`, with `d` the channel's delay, backwards `min(l - 1, W)`, with `l`
//! its lag ([`super::lags`]). Spikes and values are given by the producer, errors by the consumer.
//!
//! When a process begins its step `c`, it has dealt with all packets of a giver's steps below `c - slack`. From then
//! until it next looks, just after the marker of its step `c`, the giver can be busy with the steps up to
//! `c + 1 + W`: `W + slack + 2` in all, each with one spike or value a lane at most, or one error a lane and channel,
//! and never with more spikes than tapes have room for. A process that is still in a forward step waits for nobody's
//! errors, but then they are of the giver's adjoint steps, from `T` to `c + 1 + W`: fewer yet. One that has gone on to
//! its adjoint steps waits for no more spikes, but then the giver has `T` forward steps at most.
//!
//! Markers are as many, with two exceptions. A producer in its last forward steps has only seen that a consumer lacks
//! no more than `W` steps, and that one may be held back by no more than this in its adjoint steps: the markers from
//! `c - W` up to `c + 1 + W` can wait, `2 W + 2`. And where no errors go between two processes, nothing holds back the
//! markers of adjoint steps: all of them may pile up.

use std::collections::BTreeSet;

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayKind, Chan, CoefficientValue, Fold, Op, Output, Proc, Process, Program, Role, Stmt,
    Tensor,
};

use super::axes;
use super::buffers::Buffers;
use super::context::Context;
use super::error::CodegenError;
use super::lags::Lags;
use super::memory::Plan;
use super::names;
use super::{inbox, steps};
use crate::abi::{self, INDICES, NUMBERS, WINDOW, tape};
use crate::mapping::Pacing;

/// Stack of a PE: the deepest calls take less than a hundred bytes, an exception frame with floats 108.
const STACK: u32 = 256;
/// Bins that half a word can count.
const HALF: u64 = 1 << 16;

/// Fields of an own spike: each is in a register when it is recorded.
const FIELDS: u64 = 32;

/// A range of words with the same initial value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Fill {
    pub(super) addr: u32,
    pub(super) words: u32,
    pub(super) value: f32,
}

/// Most spikes that a channel's tape holds: its bound, or as many as there can be.
pub(super) fn channel_bound(program: &Program, chan: Chan) -> usize {
    let channel = &program.channels[chan];
    let possible = program.processes[channel.from].lanes * program.ticks as usize;
    channel.bound.unwrap_or(possible)
}

/// Most own spikes that a process' tape holds, likewise.
pub(super) fn tape_bound(program: &Program, proc: Proc) -> usize {
    let process = &program.processes[proc];
    if process.output != Output::Spikes {
        return 0;
    }
    let bound = process.tape.as_ref().and_then(|tape| tape.bound);
    let possible = process.lanes * program.ticks as usize;
    bound.unwrap_or(match program.window {
        // Nothing else is possible to count.
        Some(_) => possible.min(HALF as usize - 1),
        None => possible,
    })
}

/// Processes that share a channel with `proc`.
pub(super) fn neighbours(program: &Program, proc: Proc) -> BTreeSet<Proc> {
    let producers = program.incoming(proc).map(|(_, c)| c.from);
    let consumers = program.outgoing(proc).map(|(_, c)| c.to);
    producers.chain(consumers).collect()
}

/// Whether the optimisers wait for `proc`: it has gradients that one of them gathers.
pub(super) fn reports(program: &Program, proc: Proc) -> bool {
    let optimised = program
        .processes
        .values()
        .any(|p| matches!(p.role, Role::Optimiser(_)));
    optimised && gradients(&program.processes[proc]).next().is_some()
}

fn gradients(process: &Process) -> impl Iterator<Item = Tensor> + '_ {
    process
        .arrays
        .values()
        .filter_map(|array| match array.kind {
            ArrayKind::Gradient(tensor) => Some(tensor),
            _ => None,
        })
}

/// The arrays of these kinds with their initial values, adjacent ones together.
pub(super) fn fills(context: &Context<'_>, which: impl Fn(ArrayKind) -> bool) -> Vec<Fill> {
    let arrays = context.process().arrays.iter();
    let mut fills: Vec<Fill> = arrays
        .filter(|(_, array)| which(array.kind))
        .map(|(id, array)| Fill {
            addr: context.array(id),
            words: word(context.program.array_len(context.proc, id)),
            value: initial(array.kind),
        })
        .filter(|fill| fill.words > 0)
        .collect();
    fills.sort_by_key(|fill| fill.addr);
    fills.dedup_by(|next, fill| {
        let joined = fill.addr.saturating_add(fill.words.saturating_mul(4)) == next.addr
            && fill.value.to_bits() == next.value.to_bits();
        if joined {
            fill.words += next.words;
        }
        joined
    });
    fills
}

fn initial(kind: ArrayKind) -> f32 {
    match kind {
        ArrayKind::State { init } | ArrayKind::Scalar { init } | ArrayKind::Counter { init } => {
            init
        }
        _ => 0.0,
    }
}

/// The memory of a source, neuron or loss process.
pub(super) fn network(program: &Program, proc: Proc, pacing: Pacing) -> Result<Plan, CodegenError> {
    let (buffers, lags) = (Buffers::new(program, proc, pacing), Lags::new(program));
    let packets = Packets {
        program,
        proc,
        buffers,
        lags,
    };
    if program.window.is_some() {
        return inbox::network(&packets);
    }
    if !program.has_adjoint() {
        return Buffers::new(program, proc, pacing).plan();
    }
    check_ranges(program, proc)?;
    let process = &program.processes[proc];
    let mut plan = Plan::default();
    control(&mut plan);
    progress(&mut plan, program, proc);
    for chan in spiking(program, proc) {
        let source = names::input_source(process, chan);
        let next = names::input_next(process, chan);
        plan.pointer(
            next,
            (source, 0),
            "where the next spike of this channel goes",
        );
    }
    if process.role != Role::Source && process.tape.is_some() {
        plan.values(tape::count(&process.name), vec![0], "own spikes so far");
    }
    buffers.plan_cursors(&mut plan);
    lags.plan_cursors(&mut plan, proc);
    for chan in spike_errors(program, proc) {
        for name in names::error_cursor(process, chan) {
            plan.values(
                name,
                vec![0],
                "where the next error of this channel belongs",
            );
        }
    }
    arrays(&mut plan, program, proc, program.ticks as usize);
    axes::plan(&mut plan, program, proc)?;
    lags.plan_slots(&mut plan, proc);
    if process.output == Output::Given {
        buffers.plan_given(&mut plan);
    } else if process.role == Role::Source {
        plan.words(
            tape::input_count(&process.name),
            1,
            "input spikes of the sample",
        );
        plan.words(
            tape::input(&process.name),
            source_bound(program, proc),
            "input spikes",
        );
    } else {
        own_tape(&mut plan, program, proc);
    }
    for chan in spiking(program, proc) {
        let source = names::input_source(process, chan);
        plan.bytes(
            source,
            (channel_bound(program, chan) as u64).saturating_mul(2),
            "sources of spikes received",
        );
        let start = names::input_start(process, chan);
        plan.words(
            start,
            program.ticks as usize + 1,
            "where each bin's spikes start",
        );
    }
    buffers.plan_slots(&mut plan);
    rings(&mut plan, packets.plain(), packets.payload());
    plan.check()?;
    Ok(plan)
}

/// Channels that bring spikes, ascending.
pub(super) fn spiking(program: &Program, proc: Proc) -> impl Iterator<Item = Chan> + '_ {
    let incoming = program.incoming(proc).map(|(chan, _)| chan);
    incoming.filter(|&chan| !program.carries_values(chan))
}

/// Channels that bring errors of spikes, ascending.
pub(super) fn spike_errors(program: &Program, proc: Proc) -> Vec<Chan> {
    match program.processes[proc].output {
        Output::Spikes => names::error_channels(program, proc),
        Output::State(_) | Output::Given => Vec::new(),
    }
}

/// What has been heard of each neighbour.
pub(super) fn progress(plan: &mut Plan, program: &Program, proc: Proc) {
    for neighbour in neighbours(program, proc) {
        let name = names::progress(&program.processes[neighbour]);
        plan.values(name, vec![0], abi::PROGRESS);
    }
}

/// Rings for so many packets without and with payload, and the stack.
pub(super) fn rings(plan: &mut Plan, plain: usize, payload: usize) {
    plan.words(
        names::FIFO_PLAIN,
        ring(plain),
        "ring: packets without payload",
    );
    let payload = ring(payload).saturating_mul(2);
    plan.words(names::FIFO_PAYLOAD, payload, "ring: packets with payload");
    plan.stack(STACK);
}

/// The memory of the optimiser PE.
pub(super) fn optimisers(program: &Program, group: &[Proc]) -> Result<Plan, CodegenError> {
    let mut plan = Plan::default();
    control(&mut plan);
    plan.values(names::READY, vec![0], "READY packets not yet used");
    plan.values(names::UPDATES, vec![0], "batches finished");
    if program.has_measures() {
        plan.values(names::MEASURED, vec![0], "sum of the measures of a batch");
    }
    for &proc in group {
        check_ranges(program, proc)?;
        arrays(&mut plan, program, proc, 0);
        let name = &program.processes[proc].name;
        let replicas = program.replicas;
        plan.words(
            tape::remote_gradient(name),
            replicas,
            "address of the gradient in each replica",
        );
        plan.words(
            tape::remote_values(name),
            replicas,
            "address of the values in each replica",
        );
    }
    let workers = program
        .processes
        .keys()
        .filter(|&p| reports(program, p))
        .count();
    rings(&mut plan, workers * program.replicas, 2);
    plan.check()?;
    Ok(plan)
}

/// The control block; r8 points to its first word.
pub(super) fn control(plan: &mut Plan) {
    plan.values(
        names::CONFIG,
        vec![0],
        "instance << 24, written by the host",
    );
    plan.values(names::STATUS, vec![0], "what went wrong, or 0");
    plan.values(names::COMMAND, vec![0], "the command to obey next");
    plan.values(names::FLAGS, vec![0], "flags of the command being obeyed");
    plan.values(names::BIN, vec![0], "the current bin");
}

/// Arrays in an order that puts together what is initialised together; those by bin have so many `rows`.
pub(super) fn arrays(plan: &mut Plan, program: &Program, proc: Proc, rows: usize) {
    let process = &program.processes[proc];
    let mut order: Vec<(Array, ArrayKind)> =
        process.arrays.iter().map(|(id, a)| (id, a.kind)).collect();
    order.sort_by_key(|(id, kind)| (rank(*kind), initial(*kind).to_bits(), *id));
    for (id, kind) in order {
        let symbol = names::array(process, id);
        let len = match kind {
            ArrayKind::GivenError | ArrayKind::Trace => rows.saturating_mul(process.lanes),
            _ => program.array_len(proc, id),
        };
        match kind {
            ArrayKind::Param(tensor) => {
                let values = program.tensors[tensor].values.iter().map(|v| v.to_bits());
                plan.values(symbol, values.collect(), "parameters");
            }
            ArrayKind::Counter { init } => {
                plan.values(symbol, vec![init.to_bits()], "counter of the optimiser");
            }
            _ => plan.words(symbol, len, purpose(kind)),
        }
    }
    for (id, coef) in process.coefs.iter() {
        if let CoefficientValue::PerLane(_) = &coef.value
            && uses(process, &Op::Coef(id))
        {
            let values = (0..process.lanes).map(|lane| coef.value.at(lane).to_bits());
            plan.values(
                names::coef(process, id),
                values.collect(),
                coef.formula.as_str(),
            );
        }
    }
}

fn rank(kind: ArrayKind) -> u8 {
    match kind {
        ArrayKind::Scalar { .. } => 0,
        ArrayKind::State { .. } => 1,
        ArrayKind::Label => 2,
        ArrayKind::Counter { .. } => 3,
        ArrayKind::Gathered | ArrayKind::Moment => 4,
        ArrayKind::Gradient(_) => 5,
        ArrayKind::Param(_) => 6,
        ArrayKind::Trace => 7,
        ArrayKind::GivenError => 8,
    }
}

fn purpose(kind: ArrayKind) -> &'static str {
    match kind {
        ArrayKind::State { .. } => "state",
        ArrayKind::Scalar { .. } => "scalar",
        ArrayKind::Moment => "moment of the optimiser",
        ArrayKind::Counter { .. } => "counter of the optimiser",
        ArrayKind::Param(_) => "parameters",
        ArrayKind::Gradient(_) => "gradient",
        ArrayKind::Gathered => "gradient summed over replicas",
        ArrayKind::Label => "label of the sample",
        ArrayKind::GivenError => "errors given with the sample",
        ArrayKind::Trace => "trace",
    }
}

/// Whether any handler has this operation.
fn uses(process: &Process, op: &Op) -> bool {
    let mut stmts = process.handlers.iter().flat_map(|h| &h.body.stmts);
    stmts.any(|stmt| match stmt {
        Stmt::Let(_, other) => other == op,
        Stmt::Spike { fields, .. } => fields.contains(op),
        Stmt::Reduce(_, Fold::Add(_) | Fold::Max(_) | Fold::Fma(..))
        | Stmt::Store(..)
        | Stmt::StoreRow(..)
        | Stmt::Send(_)
        | Stmt::Probe(..)
        | Stmt::Skip(_) => false,
    })
}

/// The tape of own spikes with the errors that come back for them.
fn own_tape(plan: &mut Plan, program: &Program, proc: Proc) {
    let process = &program.processes[proc];
    let Some(own) = &process.tape else { return };
    let bound = tape_bound(program, proc);
    plan.words(
        tape::place(&process.name),
        bound,
        "bin and lane of own spikes",
    );
    for field in 0..own.fields.len() {
        plan.words(
            names::field(process, field),
            bound,
            "recorded at own spikes",
        );
    }
    for chan in spike_errors(program, proc) {
        plan.words(
            names::error(&process.name, chan),
            bound,
            "errors of own spikes",
        );
    }
    let starts = program.ticks as usize + 1;
    plan.words(
        names::own_start(process),
        starts,
        "where each bin's own spikes start",
    );
}

/// Most spikes that a source can be given.
pub(super) fn source_bound(program: &Program, proc: Proc) -> usize {
    let channels = program.outgoing(proc);
    let channels = channels.map(|(chan, _)| channel_bound(program, chan)).max();
    // Nobody counts what goes nowhere.
    let possible = program.processes[proc].lanes * program.ticks as usize;
    channels.unwrap_or(possible)
}

/// Packets that can wait at once, in programs that go backwards.
pub(super) struct Packets<'a> {
    pub(super) program: &'a Program,
    pub(super) proc: Proc,
    buffers: Buffers<'a>,
    pub(super) lags: Lags<'a>,
}

impl Packets<'_> {
    /// So many steps with a packet a lane, as far as what a process emits has a bound.
    fn of(&self, emitter: Proc, steps: usize) -> usize {
        let process = &self.program.processes[emitter];
        let bound = match (process.role, &process.tape) {
            (Role::Source, _) if process.output == Output::Spikes => {
                source_bound(self.program, emitter)
            }
            (_, Some(_)) => tape_bound(self.program, emitter),
            (_, None) => usize::MAX,
        };
        steps.saturating_mul(process.lanes).min(bound)
    }

    /// What producers of spikes (or of values) emit.
    fn emitted(&self, spikes: bool) -> usize {
        let producers = self.buffers.producers().into_iter();
        let producers = producers.filter(|&p| self.buffers.spikes(p) == spikes);
        let each = producers.map(|p| self.of(p, self.buffers.steps(p)));
        each.fold(0, usize::saturating_add)
    }

    pub(super) fn markers(&self, neighbour: Proc) -> usize {
        let window = WINDOW as usize;
        if self.lags.senders(self.proc).contains(&neighbour) {
            return 2 * window + 2;
        }
        let paced = window + 1 + self.apart(neighbour).min(window + 1);
        if self.lags.takers(self.proc).contains(&neighbour) {
            paced
        } else {
            paced + self.lags.steps() as usize
        }
    }

    /// The largest delay or lag of a channel between two processes.
    fn apart(&self, neighbour: Proc) -> usize {
        let between = self.program.channels.iter().filter(|(_, channel)| {
            let ends = (channel.from, channel.to);
            ends == (self.proc, neighbour) || ends == (neighbour, self.proc)
        });
        let apart = between
            .map(|(chan, channel)| steps::delay(self.program, channel).max(self.lags.lag(chan)));
        apart.max().unwrap_or(0) as usize
    }

    /// Without payload.
    fn plain(&self) -> usize {
        let neighbours = neighbours(self.program, self.proc).into_iter();
        let markers = neighbours.map(|other| self.markers(other)).sum();
        self.emitted(true).saturating_add(markers)
    }

    /// With payload.
    fn payload(&self) -> usize {
        let channels = names::error_channels(self.program, self.proc).into_iter();
        let errors = channels.map(|chan| self.of(self.proc, self.lags.in_flight(chan)));
        let commands = 1;
        errors
            .fold(self.emitted(false), usize::saturating_add)
            .saturating_add(commands)
    }
}

/// Places of a ring for so many packets: a full ring would look like an empty one.
fn ring(packets: usize) -> usize {
    packets.saturating_add(1)
}

/// Whether keys, tapes and operands can count what the program has.
pub(super) fn check_ranges(program: &Program, proc: Proc) -> Result<(), CodegenError> {
    let process = &program.processes[proc];
    let check = |what: &str, found: usize, limit: u64| {
        let found = found as u64;
        if found <= limit {
            return Ok(());
        }
        Err(CodegenError::Range {
            what: format!("{} of {}", what, process.name),
            limit,
            found,
        })
    };
    let fields = process.tape.as_ref().map_or(0, |t| t.fields.len());
    check("recorded fields", fields, FIELDS)?;
    if matches!(process.role, Role::Optimiser(_)) {
        return Ok(());
    }
    check("number of the process", proc.index(), NUMBERS as u64 - 1)?;
    check("lanes", process.lanes, INDICES as u64)?;
    if !program.has_adjoint() {
        return Ok(());
    }
    check("bins", program.ticks as usize, HALF - 1)?;
    for (chan, channel) in program.channels.iter() {
        if channel.from == proc || channel.to == proc {
            check("number of a channel", chan.index(), NUMBERS as u64 - 1)?;
        }
    }
    Ok(())
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

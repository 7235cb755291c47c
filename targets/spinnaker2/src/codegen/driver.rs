//! The main program of a source, neuron or loss process: commands, steps, flow control.
//!
//! Between handlers r8 points to the control block, r9 and r10 walk a list, and r11 is the number of the
//! step. A step waits until its condition holds, does its work and sends the marker.
//!
//! # Between samples
//! A process goes back to waiting for a command only when all its neighbours have finished all their steps,
//! so every packet of the sample has been dealt with. It then sets progress and input tapes back. What
//! arrives from then on belongs to the next sample, even if a neighbour got its command first. Own tapes
//! stay for the host to read, until the next command.
//!
//! What is special to programs that do not go backwards stands in [`super::stream`].

use std::collections::BTreeSet;

use nirc_ir::entity::Entity;
use nirc_ir::event::{ArrayKind, Chan, HandlerKind, Output, Proc, Role};

use super::buffers::names_bin;
use super::comms::{Comms, Exits, Packet, orr_const, word_at, words};
use super::context::Context;
use super::names;
use super::plan::Fill;
use crate::abi::{self, INDEX_BITS, Kind, Status, WINDOW, tape};
use crate::thumb::Reg::{R0, R1, R2, R3, R9, R10, R11, R12};
use crate::thumb::SReg::S0;
use crate::thumb::{
    Addr, Assembler, CompareOp, Cond, Inst, Label, LoadOp, Reg, SReg, Shift, Src, StoreOp,
};

/// Functions that handlers are called by.
pub(super) struct Handlers {
    labels: Vec<(HandlerKind, Label)>,
}

impl Handlers {
    pub(super) fn new(labels: Vec<(HandlerKind, Label)>) -> Self {
        Self { labels }
    }

    /// All handlers of a kind, in the order of declaration.
    fn all(&self, kind: HandlerKind) -> impl Iterator<Item = Label> + '_ {
        let of_kind = self.labels.iter().filter(move |(k, _)| *k == kind);
        of_kind.map(|(_, label)| *label)
    }

    pub(super) fn get(&self, kind: HandlerKind) -> Option<Label> {
        self.all(kind).next()
    }
}

/// How far a neighbour has to be before a step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It lacks so many steps at most; -1 if it has to be one ahead.
    Within(Proc, i64),
    /// It has finished exactly its forward steps.
    Forward(Proc),
}

/// It has finished as many steps.
const LEVEL: i64 = 0;
/// It has finished one step more.
const AHEAD: i64 = -1;
/// It is no more than the window behind.
const NEAR: i64 = WINDOW as i64;

/// Subroutines of the driver.
pub(super) struct Routines {
    drain: Label,
    pub(super) wait_forward: Label,
    wait_adjoint: Label,
    wait_end: Label,
    marker: Label,
    error: Label,
    pub(super) send: Label,
    send_payload: Label,
    pub(super) send_values: Label,
    fill: Label,
}

/// Emits the program of a network process.
pub(super) struct Driver<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) comms: Comms<'a>,
    pub(super) handlers: Handlers,
    pub(super) routines: Routines,
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        asm: &mut Assembler,
        context: &'a Context<'a>,
        comms: Comms<'a>,
        handlers: Handlers,
    ) -> Self {
        let routines = Routines {
            drain: asm.label(),
            wait_forward: asm.label(),
            wait_adjoint: asm.label(),
            wait_end: asm.label(),
            marker: asm.label(),
            error: asm.label(),
            send: asm.label(),
            send_payload: asm.label(),
            send_values: asm.label(),
            fill: asm.label(),
        };
        Self {
            context,
            comms,
            handlers,
            routines,
        }
    }

    pub(super) fn role(&self) -> Role {
        self.context.process().role
    }

    pub(super) fn ticks(&self) -> u32 {
        self.context.program.ticks
    }

    /// Whether any process of the program has adjoint steps; this one has, too, unless it is a source.
    fn has_adjoint(&self) -> bool {
        self.context.program.has_adjoint()
    }

    fn runs_adjoint(&self) -> bool {
        self.has_adjoint() && self.role() != Role::Source
    }

    pub(super) fn neighbours(&self) -> BTreeSet<Proc> {
        super::plan::neighbours(self.context.program, self.context.proc)
    }

    pub(super) fn annotate(&self, asm: &mut Assembler, what: &str) {
        asm.annotate(format!("{}: {what}", self.context.process().name));
    }

    /// Everything behind the handlers, from the reset handler on.
    pub(super) fn emit(&self, asm: &mut Assembler, reset: Label) {
        asm.place_pool();
        self.annotate(asm, "start");
        asm.function("reset", reset);
        self.comms.set_up(asm);
        self.main(asm);
        self.waits(asm);
        self.subroutines(asm);
    }

    fn main(&self, asm: &mut Assembler) {
        self.annotate(asm, "wait for a command");
        let (idle, asleep) = (asm.here(), asm.label());
        asm.bl(self.routines.drain);
        asm.emit(Inst::ldr(R0, self.comms.control(names::COMMAND)));
        asm.cbz(R0, asleep);
        asm.emit(Inst::mov(R1, 0));
        asm.emit(Inst::str(R1, self.comms.control(names::COMMAND)));
        asm.emit(Inst::str(R0, self.comms.control(names::FLAGS)));
        self.zero_gradients(asm);
        let report = asm.label();
        self.unless(asm, abi::FORWARD, report);
        self.start(asm);
        if self.has_adjoint() {
            self.forward(asm);
            self.adjoint(asm);
        } else {
            self.stream(asm);
        }
        self.end(asm);
        asm.bind(report);
        self.report(asm);
        asm.b(idle);
        asm.bind(asleep);
        self.annotate(asm, "wait for a command");
        self.comms.sleep(asm);
        asm.b(idle);
    }

    /// Goes to `to` unless the command has this flag.
    fn unless(&self, asm: &mut Assembler, flag: u32, to: Label) {
        asm.emit(Inst::ldr(R0, self.comms.control(names::FLAGS)));
        asm.emit(Inst::tst(R0, flag));
        asm.b_if(Cond::Eq, to);
    }

    fn zero_gradients(&self, asm: &mut Assembler) {
        let is_gradient = |kind| matches!(kind, ArrayKind::Gradient(_));
        let fills = super::plan::fills(self.context, is_gradient);
        if fills.is_empty() {
            return;
        }
        self.annotate(asm, "zero gradients");
        let keep = asm.label();
        self.unless(asm, abi::ZERO, keep);
        self.fill(asm, &fills);
        asm.bind(keep);
    }

    fn fill(&self, asm: &mut Assembler, fills: &[Fill]) {
        for fill in fills {
            asm.mov_const(R0, fill.addr);
            asm.mov_const(R1, fill.words);
            asm.vldr_const(S0, fill.value);
            asm.bl(self.routines.fill);
        }
    }

    /// Start of a sample.
    fn start(&self, asm: &mut Assembler) {
        let process = self.context.process();
        self.annotate(asm, "start of a sample");
        let fills = super::plan::fills(self.context, |kind| self.per_sample(kind));
        self.fill(asm, &fills);
        if !self.has_adjoint() {
            return;
        }
        asm.emit(Inst::mov(R0, 0));
        if process.tape.is_some() && self.role() != Role::Source {
            asm.emit(Inst::str(
                R0,
                self.comms.control(&tape::count(&process.name)),
            ));
        }
        for chan in names::error_channels(self.context.program, self.context.proc) {
            let [next, end, bin] = names::error_cursor(process, chan);
            asm.emit(Inst::str(R0, self.comms.control(&next)));
            asm.emit(Inst::str(R0, self.comms.control(&end)));
            asm.mov_const(R1, self.ticks() - 1);
            asm.emit(Inst::str(R1, self.comms.control(&bin)));
        }
        for (chan, _) in self.context.program.incoming(self.context.proc) {
            asm.mov_const(R1, self.input(names::input_source, chan));
            asm.mov_const(R2, self.input(names::input_start, chan));
            asm.emit(Inst::str(R1, Addr::at(R2)));
        }
    }

    /// Whether the process fills an array at the start of a sample; the host empties the rows of a segment.
    fn per_sample(&self, kind: ArrayKind) -> bool {
        match kind {
            ArrayKind::State { .. } | ArrayKind::Scalar { .. } => true,
            ArrayKind::Trace => self.has_adjoint(),
            _ => false,
        }
    }

    fn input(&self, name: fn(&nirc_ir::event::Process, Chan) -> String, chan: Chan) -> u32 {
        self.context
            .memory
            .addr(&name(self.context.process(), chan))
    }

    fn forward(&self, asm: &mut Assembler) {
        self.annotate(asm, "forward");
        asm.emit(Inst::mov(R11, 0));
        if self.role() == Role::Source {
            self.input_list(asm);
        }
        let again = asm.here();
        asm.bl(self.routines.wait_forward);
        asm.emit(Inst::str(R11, self.comms.control(names::BIN)));
        match self.role() {
            Role::Source => self.source_step(asm),
            Role::Loss => self.loss_step(asm),
            Role::Neurons | Role::Optimiser(_) => self.neuron_step(asm),
        }
        self.annotate(asm, "forward");
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, self.ticks(), R0);
        asm.b_if(Cond::Ne, again);
    }

    /// r9 and r10 become start and end of the sample's input.
    fn input_list(&self, asm: &mut Assembler) {
        let process = &self.context.process().name;
        asm.mov_const(R9, self.context.memory.addr(&tape::input(process)));
        asm.mov_const(R10, self.context.memory.addr(&tape::input_count(process)));
        asm.emit(Inst::ldr(R10, Addr::at(R10)));
        asm.emit(Inst::add(R10, R9, words(R10)));
    }

    fn source_step(&self, asm: &mut Assembler) {
        let over = asm.label();
        let again = asm.here();
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Eq, over);
        asm.emit(Inst::ldr(R0, Addr::at(R9)));
        asm.emit(Inst::cmp(R11, Src::Reg(R0, Shift::Lsr(16))));
        asm.b_if(Cond::Ne, over);
        asm.emit(Inst::add(R9, R9, 4));
        if self
            .context
            .program
            .outgoing(self.context.proc)
            .next()
            .is_some()
        {
            asm.emit(extract_half(R0, R0));
            self.comms.own_key(asm, self.spike_key(), Some(R0));
            asm.bl(self.routines.send);
        }
        asm.b(again);
        asm.bind(over);
    }

    fn neuron_step(&self, asm: &mut Assembler) {
        let silent = asm.label();
        asm.emit(Inst::cmp(R11, 0));
        asm.b_if(Cond::Eq, silent);
        self.neuron_events(asm);
        if let Some(tick) = self.handlers.get(HandlerKind::Tick) {
            asm.bl(tick);
        }
        asm.bind(silent);
        let process = self.context.process();
        if process.tape.is_some() {
            asm.comment("end of this bin's own spikes");
            asm.emit(Inst::ldr(
                R0,
                self.comms.control(&tape::count(&process.name)),
            ));
            asm.mov_const(R1, self.context.memory.addr(&names::own_start(process)));
            asm.emit(Inst::add(R1, R1, words(R11)));
            asm.emit(Inst::str(R0, Addr::Offset(R1, 4)));
        }
    }

    /// Spikes that arrive are of the bin before this one, and so is what their handlers call the bin.
    fn neuron_events(&self, asm: &mut Assembler) {
        let bin = self.comms.control(names::BIN);
        let handlers = &self.context.process().handlers;
        let mut events = handlers
            .iter()
            .filter(|h| matches!(h.kind, HandlerKind::Event(_)));
        let told = events.any(|h| names_bin(&h.body));
        if told {
            asm.emit(Inst::sub(R0, R11, 1));
            asm.emit(Inst::str(R0, bin));
        }
        for (chan, _) in self.context.program.incoming(self.context.proc) {
            if let Some(event) = self.handlers.get(HandlerKind::Event(chan)) {
                asm.emit(Inst::sub(R0, R11, 1));
                self.for_inputs(asm, chan, event, |_, _| {});
            }
        }
        if told {
            asm.emit(Inst::str(R11, bin));
        }
    }

    fn loss_step(&self, asm: &mut Assembler) {
        for (chan, _) in self.context.program.incoming(self.context.proc) {
            if let Some(event) = self.handlers.get(HandlerKind::Event(chan)) {
                asm.emit(Inst::mov(R0, R11));
                self.for_inputs(asm, chan, event, |_, _| {});
            }
        }
        self.turn(asm);
    }

    /// After the last bin, the turn.
    pub(super) fn turn(&self, asm: &mut Assembler) {
        let turns: Vec<Label> = self.handlers.all(HandlerKind::Turn).collect();
        if turns.is_empty() {
            return;
        }
        let more = asm.label();
        compare(asm, R11, self.ticks() - 1, R0);
        asm.b_if(Cond::Ne, more);
        for turn in turns {
            asm.bl(turn);
        }
        asm.bind(more);
    }

    /// Calls a handler for each spike of a channel in the bin that r0 holds.
    fn for_inputs(
        &self,
        asm: &mut Assembler,
        chan: Chan,
        handler: Label,
        after: impl Fn(&mut Assembler, Chan),
    ) {
        asm.comment(format!("spikes of {chan}"));
        asm.mov_const(R1, self.input(names::input_start, chan));
        asm.emit(Inst::add(R0, R1, words(R0)));
        asm.emit(Inst::LoadPair {
            rt: R9,
            rt2: R10,
            addr: Addr::at(R0),
        });
        let (again, over) = (asm.label(), asm.label());
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Eq, over);
        asm.bind(again);
        asm.emit(Inst::Load {
            op: LoadOp::Ldrh,
            rt: R0,
            addr: Addr::Post(R9, 2),
        });
        asm.bl(handler);
        after(asm, chan);
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    fn adjoint(&self, asm: &mut Assembler) {
        let (over, steps) = (asm.label(), 2 * self.ticks() - 1);
        self.annotate(asm, "adjoint");
        self.unless(asm, abi::ADJOINT, over);
        if !self.runs_adjoint() {
            asm.comment("its neighbours' last step");
            asm.mov_const(R11, steps);
            asm.bind(over);
            return;
        }
        let again = asm.here();
        asm.bl(self.routines.wait_adjoint);
        asm.mov_const(R0, steps - 1);
        asm.emit(Inst::sub(R0, R0, R11));
        asm.emit(Inst::str(R0, self.comms.control(names::BIN)));
        self.adjoint_step(asm);
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, steps, R0);
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    fn adjoint_step(&self, asm: &mut Assembler) {
        let bin = self.comms.control(names::BIN);
        let incoming: Vec<Chan> = self
            .context
            .program
            .incoming(self.context.proc)
            .map(|(chan, _)| chan)
            .collect();
        for &chan in &incoming {
            if let Some(message) = self.handlers.get(HandlerKind::Message(chan)) {
                asm.emit(Inst::ldr(R0, bin));
                self.for_inputs(asm, chan, message, |asm, chan| self.send_error(asm, chan));
            }
        }
        if let Some(tick) = self.handlers.get(HandlerKind::AdjointTick) {
            asm.bl(tick);
        }
        if let Some(spike) = self.handlers.get(HandlerKind::Spike) {
            self.own_spikes(asm, spike);
        }
        for &chan in &incoming {
            if let Some(gradient) = self.handlers.get(HandlerKind::Gradient(chan)) {
                asm.emit(Inst::ldr(R0, bin));
                self.for_inputs(asm, chan, gradient, |_, _| {});
            }
        }
        if let Some(tick) = self.handlers.get(HandlerKind::GradientTick) {
            asm.bl(tick);
        }
    }

    /// Sends s0 to the source that was taken last.
    fn send_error(&self, asm: &mut Assembler, chan: Chan) {
        let from = self.context.program.channels[chan].from;
        if self.context.program.processes[from].role == Role::Source {
            // Nobody listens.
            return;
        }
        asm.emit(Inst::Load {
            op: LoadOp::Ldrh,
            rt: R0,
            addr: Addr::Offset(R9, -2),
        });
        let key = abi::key(0, chan_number(chan), Kind::Error, 0);
        orr_const(asm, R0, R0, key, R1);
        asm.bl(self.routines.error);
    }

    /// Calls the handler for each own spike of the bin after this one.
    fn own_spikes(&self, asm: &mut Assembler, handler: Label) {
        asm.comment("own spikes of the bin above");
        asm.emit(Inst::ldr(R0, self.comms.control(names::BIN)));
        let starts = names::own_start(self.context.process());
        asm.mov_const(R1, self.context.memory.addr(&starts));
        asm.emit(Inst::add(R1, R1, words(R0)));
        asm.emit(Inst::LoadPair {
            rt: R9,
            rt2: R10,
            addr: Addr::Offset(R1, 4),
        });
        let (again, over) = (asm.label(), asm.label());
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Eq, over);
        asm.bind(again);
        asm.emit(Inst::mov(R0, R9));
        asm.bl(handler);
        asm.emit(Inst::add(R9, R9, 1));
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    /// Tells the neighbours that a step is finished.
    pub(super) fn mark(&self, asm: &mut Assembler) {
        if !self.neighbours().is_empty() {
            asm.bl(self.routines.marker);
        }
    }

    /// End of a sample: nothing of it is left to come.
    fn end(&self, asm: &mut Assembler) {
        self.annotate(asm, "end of a sample");
        asm.bl(self.routines.wait_end);
        let neighbours = self.neighbours();
        if !neighbours.is_empty() {
            asm.emit(Inst::mov(R0, 0));
        }
        for neighbour in neighbours {
            asm.emit(Inst::str(R0, self.progress(neighbour)));
        }
        if !self.has_adjoint() {
            self.rewind(asm);
            return;
        }
        for (chan, _) in self.context.program.incoming(self.context.proc) {
            let next = names::input_next(self.context.process(), chan);
            asm.mov_const(R0, self.input(names::input_source, chan));
            asm.emit(Inst::str(R0, self.comms.control(&next)));
        }
    }

    pub(super) fn progress(&self, neighbour: Proc) -> Addr {
        let process = &self.context.program.processes[neighbour];
        self.comms.control(&names::progress(process))
    }

    fn report(&self, asm: &mut Assembler) {
        if !super::plan::reports(self.context.program, self.context.proc) {
            return;
        }
        self.annotate(asm, "report to the optimiser");
        let silent = asm.label();
        self.unless(asm, abi::REPORT, silent);
        let key = abi::key(0, number(self.context.proc), Kind::Command, 0);
        self.comms.own_key(asm, key, None);
        asm.emit(Inst::orr(R0, R0, abi::READY));
        asm.bl(self.routines.send);
        asm.bind(silent);
    }
}

/// Waiting.
impl Driver<'_> {
    fn waits(&self, asm: &mut Assembler) {
        let forward = if self.has_adjoint() {
            self.forward_needs()
        } else {
            self.stream_needs()
        };
        let label = self.routines.wait_forward;
        self.wait(asm, "wait.forward", label, &forward, self.is_limited());
        if self.runs_adjoint() {
            let adjoint = self.adjoint_needs();
            let label = self.routines.wait_adjoint;
            self.wait(asm, "wait.adjoint", label, &adjoint, false);
        }
        let backwards = self.has_adjoint();
        let last = |p: Proc| match self.context.program.processes[p].role {
            Role::Source if backwards => Need::Forward(p),
            _ => Need::Within(p, LEVEL),
        };
        let end: Vec<Need> = self.neighbours().into_iter().map(last).collect();
        self.wait(asm, "wait.end", self.routines.wait_end, &end, false);
    }

    fn forward_needs(&self) -> Vec<Need> {
        let program = self.context.program;
        let proc = self.context.proc;
        let producers: BTreeSet<Proc> = program.incoming(proc).map(|(_, c)| c.from).collect();
        let consumers: BTreeSet<Proc> = program.outgoing(proc).map(|(_, c)| c.to).collect();
        let slack = match self.role() {
            Role::Loss => AHEAD,
            _ => LEVEL,
        };
        let producers = producers.into_iter().map(|p| Need::Within(p, slack));
        let consumers = consumers.into_iter().map(|c| Need::Within(c, NEAR));
        producers.chain(consumers).collect()
    }

    fn adjoint_needs(&self) -> Vec<Need> {
        let program = self.context.program;
        let proc = self.context.proc;
        let takes = |p: &Proc| program.processes[*p].role != Role::Source;
        let senders: BTreeSet<Proc> = program
            .outgoing(proc)
            .filter(|(chan, _)| program.carries_errors(*chan))
            .map(|(_, c)| c.to)
            .collect();
        let takers: BTreeSet<Proc> = program
            .incoming(proc)
            .filter(|(chan, _)| program.carries_errors(*chan))
            .map(|(_, c)| c.from)
            .filter(takes)
            .collect();
        let senders = senders.into_iter().map(|s| Need::Within(s, LEVEL));
        let takers = takers.into_iter().map(|t| Need::Within(t, NEAR));
        senders.chain(takers).collect()
    }

    /// A function that returns when the needs are met for the step in r11, and the step is below the limit.
    fn wait(&self, asm: &mut Assembler, name: &str, label: Label, needs: &[Need], limited: bool) {
        asm.place_pool();
        self.annotate(asm, name);
        asm.function(name, label);
        asm.emit(Inst::push(&[Reg::Lr]));
        let (again, asleep) = (asm.here(), asm.label());
        asm.bl(self.routines.drain);
        if limited {
            asm.emit(Inst::ldr(R0, self.comms.control(abi::LIMIT)));
            asm.emit(Inst::cmp(R0, R11));
            asm.b_if(Cond::Le, asleep);
        }
        for need in needs {
            match *need {
                Need::Within(p, slack) => {
                    asm.emit(Inst::ldr(R0, self.progress(p)));
                    match u32::try_from(slack) {
                        Ok(0) => {}
                        Ok(slack) => asm.emit(Inst::add(R0, R0, slack)),
                        Err(_) => asm.emit(Inst::sub(R0, R0, 1)),
                    }
                    asm.emit(Inst::cmp(R0, R11));
                }
                Need::Forward(p) => {
                    asm.emit(Inst::ldr(R0, self.progress(p)));
                    compare(asm, R0, self.ticks(), R1);
                }
            }
            asm.b_if(Cond::Lt, asleep);
        }
        asm.emit(Inst::pop(&[Reg::Pc]));
        if limited || !needs.is_empty() {
            asm.bind(asleep);
            self.comms.sleep(asm);
            asm.b(again);
        }
    }
}

/// Subroutines.
impl Driver<'_> {
    fn subroutines(&self, asm: &mut Assembler) {
        let program = self.context.program;
        let proc = self.context.proc;
        let producers: BTreeSet<Proc> = program.incoming(proc).map(|(_, c)| c.from).collect();
        let spikes = |p: &Proc| program.processes[*p].output == Output::Spikes;
        let (spiking, valued): (Vec<Proc>, Vec<Proc>) = producers.into_iter().partition(spikes);
        let plain: Vec<Packet> = spiking
            .into_iter()
            .map(Packet::Spike)
            .chain(self.neighbours().into_iter().map(Packet::Marker))
            .collect();
        let payload: Vec<Packet> = names::error_channels(program, proc)
            .into_iter()
            .map(Packet::Error)
            .chain(valued.into_iter().map(Packet::Value))
            .chain([Packet::Command])
            .collect();
        self.comms.drain(
            asm,
            self.routines.drain,
            [&plain, &payload],
            &|asm, packet, exits| {
                self.deal(asm, packet, exits);
            },
        );
        let neighbours = !self.neighbours().is_empty();
        let fires = self.role() == Role::Neurons && self.handlers.get(HandlerKind::Tick).is_some();
        let sends_errors = program.incoming(proc).any(|(chan, c)| {
            program.carries_errors(chan) && program.processes[c.from].role != Role::Source
        });
        if fires && self.has_adjoint() {
            self.fire(asm);
        } else if fires {
            self.stream_fire(asm);
        }
        if neighbours {
            self.marker(asm);
        }
        if neighbours || super::plan::reports(program, proc) {
            self.comms.send(asm, self.routines.send);
        }
        if self.emits_values() {
            self.comms.send_values(asm, self.routines.send_values);
        }
        if sends_errors {
            self.error(asm);
            self.comms.send_payload(asm, self.routines.send_payload);
        }
        if self.fills_anything() {
            fill(asm, self.routines.fill);
        }
    }

    fn fills_anything(&self) -> bool {
        let filled = |kind| matches!(kind, ArrayKind::Gradient(_)) || self.per_sample(kind);
        !super::plan::fills(self.context, filled).is_empty()
    }

    fn deal(&self, asm: &mut Assembler, packet: Packet, exits: Exits) {
        match packet {
            Packet::Spike(from) if self.has_adjoint() => self.received(asm, from, exits),
            Packet::Marker(from) if self.has_adjoint() => self.progressed(asm, from, exits),
            Packet::Spike(from) => self.stream_received(asm, from),
            Packet::Value(from) => self.stream_value(asm, from),
            Packet::Marker(from) => self.stream_progressed(asm, from),
            Packet::Error(chan) => self.error_received(asm, chan, exits),
            Packet::Command => {
                if self.is_limited() {
                    asm.comment("without flags, it only wakes");
                    asm.cbz(R2, exits.done);
                }
                asm.emit(Inst::orr(R2, R2, 0x8000_0000));
                asm.emit(Inst::str(R2, self.comms.control(names::COMMAND)));
            }
            Packet::Ready(_) => {}
        }
    }

    fn channels_from(&self, from: Proc) -> impl Iterator<Item = Chan> + '_ {
        let incoming = self.context.program.incoming(self.context.proc);
        incoming
            .filter(move |(_, c)| c.from == from)
            .map(|(chan, _)| chan)
    }

    /// Appends the lane in r0 to the tapes of the channels from `from`.
    fn received(&self, asm: &mut Assembler, from: Proc, exits: Exits) {
        for chan in self.channels_from(from) {
            let process = self.context.process();
            let next = self.comms.control(&names::input_next(process, chan));
            let bound = super::plan::channel_bound(self.context.program, chan).saturating_mul(2);
            let end = self
                .input(names::input_source, chan)
                .saturating_add(word(bound));
            let room = asm.label();
            asm.emit(Inst::ldr(R2, next));
            asm.mov_const(R3, end);
            asm.emit(Inst::cmp(R2, R3));
            asm.b_if(Cond::Ne, room);
            asm.mov_const(R0, (Status::InputTapeFull as u32) << 16 | chan_number(chan));
            asm.b(exits.complain);
            asm.bind(room);
            asm.emit(Inst::Store {
                op: StoreOp::Strh,
                rt: R0,
                addr: Addr::Post(R2, 2),
            });
            asm.emit(Inst::str(R2, next));
        }
    }

    /// Counts a marker; a producer's closes a bin.
    fn progressed(&self, asm: &mut Assembler, from: Proc, exits: Exits) {
        asm.emit(Inst::ldr(R2, self.progress(from)));
        asm.emit(Inst::add(R2, R2, 1));
        asm.emit(Inst::str(R2, self.progress(from)));
        let channels: Vec<Chan> = self.channels_from(from).collect();
        if channels.is_empty() {
            return;
        }
        if self.context.program.processes[from].role != Role::Source {
            compare(asm, R2, self.ticks(), R3);
            asm.b_if(Cond::Hi, exits.done);
        }
        for chan in channels {
            let next = names::input_next(self.context.process(), chan);
            asm.emit(Inst::ldr(R3, self.comms.control(&next)));
            asm.mov_const(R1, self.input(names::input_start, chan));
            asm.emit(Inst::str(R3, word_at(R1, R2)));
        }
    }

    /// Puts the error in r2 beside the own spike it is for.
    ///
    /// A consumer sends errors bin by bin downwards from T-2, and in each bin in the order of our tape.
    fn error_received(&self, asm: &mut Assembler, chan: Chan, exits: Exits) {
        let process = self.context.process();
        let [next, end, bin] = names::error_cursor(process, chan).map(|n| self.comms.control(&n));
        let (again, found, astray) = (asm.label(), asm.label(), asm.label());
        asm.bind(again);
        asm.emit(Inst::ldr(R1, next));
        asm.emit(Inst::ldr(R3, end));
        asm.emit(Inst::cmp(R1, R3));
        asm.b_if(Cond::Ne, found);
        asm.comment("on to the bin below");
        asm.emit(Inst::ldr(R1, bin));
        asm.emit(Inst::subs(R1, R1, 1));
        asm.b_if(Cond::Mi, astray);
        asm.emit(Inst::str(R1, bin));
        asm.mov_const(R3, self.context.memory.addr(&names::own_start(process)));
        asm.emit(Inst::add(R3, R3, words(R1)));
        asm.emit(Inst::ldr(R1, Addr::at(R3)));
        asm.emit(Inst::str(R1, next));
        asm.emit(Inst::ldr(R3, Addr::Offset(R3, 4)));
        asm.emit(Inst::str(R3, end));
        asm.b(again);
        asm.bind(astray);
        asm.emit(Inst::lsr(R0, R0, 16));
        asm.emit(Inst::orr(R0, R0, (Status::UnknownKey as u32) << 16));
        asm.b(exits.complain);
        asm.bind(found);
        asm.mov_const(R3, self.context.spike_places());
        asm.emit(Inst::Load {
            op: LoadOp::Ldr,
            rt: R3,
            addr: word_at(R3, R1),
        });
        asm.comment("the same lane?");
        asm.emit(Inst::Alu {
            op: crate::thumb::AluOp::Eor,
            s: false,
            rd: R3,
            rn: R3,
            src: R0.into(),
        });
        asm.emit(Inst::lsls(R3, R3, 32 - INDEX_BITS));
        asm.b_if(Cond::Ne, astray);
        asm.mov_const(R3, self.context.error(chan));
        asm.emit(Inst::str(R2, word_at(R3, R1)));
        asm.emit(Inst::add(R1, R1, 1));
        asm.emit(Inst::str(R1, next));
    }

    /// `fire`: records and emits a spike; r0 = lane, s0 on = the fields. Changes r0 to r3 and r12.
    fn fire(&self, asm: &mut Assembler) {
        let process = self.context.process();
        asm.place_pool();
        self.annotate(asm, "record and emit a spike");
        asm.function("fire", self.context.labels.fire);
        asm.mov_const(R12, self.context.memory.addr(super::comms::CONTROL));
        let at = |name: &str| Addr::Offset(R12, self.comms.offset(name));
        let full = process.tape.as_ref().map(|tape| {
            let full = asm.label();
            let count = at(&tape::count(&process.name));
            asm.emit(Inst::ldr(R1, count));
            let bound = super::plan::tape_bound(self.context.program, self.context.proc);
            compare(asm, R1, word(bound), R2);
            asm.b_if(Cond::Cs, full);
            asm.emit(Inst::ldr(R3, at(names::BIN)));
            asm.emit(Inst::orr(R3, R0, Src::Reg(R3, Shift::Lsl(16))));
            asm.mov_const(R2, self.context.spike_places());
            asm.emit(Inst::str(R3, word_at(R2, R1)));
            for (index, field) in tape.fields.iter().enumerate() {
                asm.comment(field.as_str());
                asm.mov_const(R2, self.context.field(index));
                asm.emit(Inst::add(R2, R2, words(R1)));
                asm.emit(Inst::vstr(SReg::ALL[index], R2, 0));
            }
            let errors = names::error_channels(self.context.program, self.context.proc);
            if !errors.is_empty() {
                asm.comment("no error yet");
                asm.emit(Inst::mov(R3, 0));
            }
            for chan in errors {
                asm.mov_const(R2, self.context.error(chan));
                asm.emit(Inst::str(R3, word_at(R2, R1)));
            }
            asm.emit(Inst::add(R1, R1, 1));
            asm.emit(Inst::str(R1, count));
            full
        });
        if self
            .context
            .program
            .outgoing(self.context.proc)
            .next()
            .is_some()
        {
            asm.emit(Inst::ldr(R1, at(names::CONFIG)));
            asm.emit(Inst::orr(R0, R0, R1));
            orr_const(asm, R0, R0, self.spike_key(), R1);
            asm.b(self.routines.send);
        } else {
            asm.emit(Inst::ret());
        }
        if let Some(full) = full {
            let told = asm.label();
            asm.bind(full);
            asm.emit(Inst::ldr(R1, at(names::STATUS)));
            asm.cbnz(R1, told);
            let code = (Status::SpikeTapeFull as u32) << 16 | number(self.context.proc);
            asm.mov_const(R1, code);
            asm.emit(Inst::str(R1, at(names::STATUS)));
            asm.bind(told);
            asm.emit(Inst::ret());
        }
    }

    /// The key of what this process emits, but for instance and lane.
    pub(super) fn spike_key(&self) -> u32 {
        abi::key(0, number(self.context.proc), Kind::Spike, 0)
    }

    /// `marker`: sends this process' marker.
    fn marker(&self, asm: &mut Assembler) {
        asm.place_pool();
        self.annotate(asm, "marker");
        asm.function("marker", self.routines.marker);
        let key = abi::key(0, number(self.context.proc), Kind::Marker, 0);
        self.comms.own_key(asm, key, None);
        asm.b(self.routines.send);
    }

    /// `error`: sends s0; r0 = the key but for the instance.
    fn error(&self, asm: &mut Assembler) {
        asm.place_pool();
        self.annotate(asm, "error");
        asm.function("error", self.routines.error);
        asm.emit(Inst::ldr(R1, self.comms.control(names::CONFIG)));
        asm.emit(Inst::orr(R0, R0, R1));
        asm.b(self.routines.send_payload);
    }
}

/// `fill`: r1 words from r0 on become s0. Changes r0 to r2 and s1 to s15.
pub(super) fn fill(asm: &mut Assembler, label: Label) {
    asm.place_pool();
    asm.annotate("fill");
    asm.function("fill", label);
    for &to in &SReg::ALL[1..16] {
        asm.emit(Inst::vmov(to, S0));
    }
    let (rest, over) = (asm.label(), asm.label());
    asm.emit(Inst::lsrs(R2, R1, 4));
    asm.b_if(Cond::Eq, rest);
    let again = asm.here();
    store_run(asm, 16);
    asm.emit(Inst::subs(R2, R2, 1));
    asm.b_if(Cond::Ne, again);
    asm.bind(rest);
    asm.emit(Inst::ands(R1, R1, 15));
    asm.b_if(Cond::Eq, over);
    let again = asm.here();
    store_run(asm, 1);
    asm.emit(Inst::subs(R1, R1, 1));
    asm.b_if(Cond::Ne, again);
    asm.bind(over);
    asm.emit(Inst::ret());
}

fn store_run(asm: &mut Assembler, count: u8) {
    if let Some(run) = crate::thumb::SList::new(S0, count) {
        asm.emit(Inst::vstmia(R0, true, run));
    }
}

/// Compares with a constant, by way of `scratch` where the instruction cannot hold it.
pub(super) fn compare(asm: &mut Assembler, reg: Reg, value: u32, scratch: Reg) {
    let compare = Inst::Compare {
        op: CompareOp::Cmp,
        rn: reg,
        src: Src::Imm(value),
    };
    if compare.encode().is_ok() {
        asm.emit(compare);
    } else {
        asm.mov_const(scratch, value);
        asm.emit(Inst::cmp(reg, scratch));
    }
}

/// The low half of a register.
fn extract_half(to: Reg, from: Reg) -> Inst {
    Inst::Extend {
        op: crate::thumb::ExtendOp::Uxth,
        rd: to,
        rm: from,
    }
}

/// Number of a process in keys; [`super::plan`] checks that it fits.
fn number(proc: Proc) -> u32 {
    word(proc.index())
}

fn chan_number(chan: Chan) -> u32 {
    word(chan.index())
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

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
//! What is special to programs that go backwards stands in [`super::adjoint`], what is special to others in
//! [`super::stream`], and what to exact event times in [`super::exact`].

use std::collections::BTreeSet;

use nirc_ir::entity::Entity;
use nirc_ir::event::{ArrayKind, Chan, HandlerKind, Output, Proc, Role};

use super::comms::{Comms, Exits, Packet};
use super::context::Context;
use super::exact::Exact;
use super::names;
use super::plan::Fill;
use crate::abi::{self, Kind};
use crate::thumb::Reg::{R0, R1, R2, R11};
use crate::thumb::SReg::S0;
use crate::thumb::{Addr, Assembler, CompareOp, Cond, Inst, Label, Reg, SReg, Src};

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
pub(super) const LEVEL: i64 = 0;

/// Subroutines of the driver.
pub(super) struct Routines {
    drain: Label,
    pub(super) wait_forward: Label,
    pub(super) wait_adjoint: Label,
    wait_end: Label,
    marker: Label,
    pub(super) error: Label,
    pub(super) send: Label,
    pub(super) send_payload: Label,
    pub(super) send_values: Label,
    fill: Label,
    pub(super) exact: Exact,
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
            exact: Exact::new(asm),
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

    /// Forward steps of a sample.
    pub(super) fn steps_forward(&self) -> u32 {
        super::steps::count(self.context.program)
    }

    /// Whether any process of the program has adjoint steps; this one has, too, unless it is a source.
    pub(super) fn has_adjoint(&self) -> bool {
        self.context.program.has_adjoint()
    }

    pub(super) fn runs_adjoint(&self) -> bool {
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
        if self.is_exact() {
            self.forward_exact(asm);
            if self.has_adjoint() {
                self.adjoint(asm);
            }
        } else if self.has_adjoint() {
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
    pub(super) fn unless(&self, asm: &mut Assembler, flag: u32, to: Label) {
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

    pub(super) fn fill(&self, asm: &mut Assembler, fills: &[Fill]) {
        for fill in fills {
            asm.mov_const(R0, fill.addr);
            asm.mov_const(R1, fill.words);
            asm.vldr_const(S0, fill.value);
            asm.bl(self.routines.fill);
        }
    }

    /// Start of a sample.
    fn start(&self, asm: &mut Assembler) {
        self.annotate(asm, "start of a sample");
        let fills = super::plan::fills(self.context, |kind| self.per_sample(kind));
        self.fill(asm, &fills);
        if self.is_exact() {
            self.start_exact(asm);
        } else if self.has_adjoint() {
            self.start_tapes(asm);
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

    /// After the last bin, the turn.
    pub(super) fn turn(&self, asm: &mut Assembler) {
        let turns: Vec<Label> = self.handlers.all(HandlerKind::Turn).collect();
        if turns.is_empty() {
            return;
        }
        let more = asm.label();
        compare(asm, R11, self.steps_forward() - 1, R0);
        asm.b_if(Cond::Ne, more);
        for turn in turns {
            asm.bl(turn);
        }
        asm.bind(more);
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
        if self.is_exact() {
            self.rewind_exact(asm);
        } else {
            self.rewind(asm);
            self.rewind_tapes(asm);
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
        let forward = self.forward_needs();
        let label = self.routines.wait_forward;
        self.wait(asm, "wait.forward", label, &forward, self.is_limited());
        if self.runs_adjoint() {
            let adjoint = self.adjoint_needs();
            let label = self.routines.wait_adjoint;
            self.wait(asm, "wait.adjoint", label, &adjoint, false);
        }
        let neighbours = self.neighbours().into_iter();
        let end: Vec<Need> = neighbours.map(|p| self.last_need(p)).collect();
        self.wait(asm, "wait.end", self.routines.wait_end, &end, false);
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
                    compare(asm, R0, self.steps_forward(), R1);
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
        let mut plain: Vec<Packet> = spiking
            .into_iter()
            .map(Packet::Spike)
            .chain(self.neighbours().into_iter().map(Packet::Marker))
            .collect();
        let mut payload: Vec<Packet> = names::error_channels(program, proc)
            .into_iter()
            .map(Packet::Error)
            .chain(valued.into_iter().map(Packet::Value))
            .chain([Packet::Command])
            .collect();
        if self.is_exact() {
            // All of them have a payload, so that they keep their order; most are spikes.
            plain.append(&mut payload);
            std::mem::swap(&mut plain, &mut payload);
        }
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
        let sends_errors = program
            .incoming(proc)
            .any(|(chan, _)| super::steps::carries_errors(program, chan));
        if self.is_exact() {
            self.exact_routines(asm);
        } else if fires && self.has_adjoint() {
            self.fire(asm);
        } else if fires {
            self.stream_fire(asm);
        }
        if neighbours {
            self.marker(asm);
        }
        if neighbours && !self.is_exact() || super::plan::reports(program, proc) {
            self.comms.send(asm, self.routines.send);
        }
        if self.emits_values() {
            self.comms.send_values(asm, self.routines.send_values);
        }
        if sends_errors {
            self.error(asm);
        }
        if sends_errors || neighbours && self.is_exact() {
            self.comms.send_payload(asm, self.routines.send_payload);
        }
        if self.fills_anything() {
            fill(asm, self.routines.fill);
        }
    }

    fn fills_anything(&self) -> bool {
        let filled = |kind| matches!(kind, ArrayKind::Gradient(_)) || self.per_sample(kind);
        let late = self.has_adjoint() && !self.fillers().is_empty();
        late || !super::plan::fills(self.context, filled).is_empty()
    }

    fn deal(&self, asm: &mut Assembler, packet: Packet, exits: Exits) {
        match packet {
            Packet::Spike(from) if self.is_exact() => self.exact_received(asm, from, exits),
            Packet::Value(from) if self.is_exact() => self.exact_value(asm, from),
            Packet::Marker(from) if self.is_exact() => self.exact_progressed(asm, from),
            Packet::Error(chan) if self.is_exact() => self.exact_error(asm, chan),
            Packet::Spike(from) if self.has_adjoint() => self.received(asm, from, exits),
            Packet::Marker(from) if self.has_adjoint() => self.progressed(asm, from, exits),
            Packet::Spike(from) => self.stream_received(asm, from),
            Packet::Value(from) => self.stream_value(asm, from),
            Packet::Marker(from) => self.stream_progressed(asm, from),
            Packet::Error(chan) if self.context.program.carries_values(chan) => {
                self.value_error_received(asm, chan);
            }
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
        asm.b(match self.is_exact() {
            true => self.routines.send_payload,
            false => self.routines.send,
        });
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
pub(super) fn extract_half(to: Reg, from: Reg) -> Inst {
    Inst::Extend {
        op: crate::thumb::ExtendOp::Uxth,
        rd: to,
        rm: from,
    }
}

/// Number of a process in keys; [`super::plan`] checks that it fits.
pub(super) fn number(proc: Proc) -> u32 {
    word(proc.index())
}

pub(super) fn chan_number(chan: Chan) -> u32 {
    word(chan.index())
}

pub(super) fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

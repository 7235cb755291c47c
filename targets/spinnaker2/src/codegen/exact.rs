//! The driver of programs with exact event times. A step is a window.
//!
//! A window begins when all that arrives in it has been received ([`super::inbox`]). Arrivals are taken one after
//! another; in front of one that is later than the one before, `interval` looks for spikes in between. It records
//! them by (time, lane) and looks at each lane again from its spike on, until there are no more; then it sends
//! them.
//!
//! The way back goes through the inbox and the tape of own spikes at once: with an own spike stands where in the inbox
//! it was. An error names the entry of the producer's tape that it is for, which a consumer knows because it has
//! counted.

use nirc_ir::event::{Array, Chan, Channel, HandlerKind, Output, Proc, Role};

use super::clock::Clock;
use super::comms::{Exits, words};
use super::driver::{Driver, chan_number, compare, extract_half, number, word};
use super::graph::{Graph, Place};
use super::inbox;
use super::{names, plan, rest, steps};
use crate::abi::{INDEX_BITS, Status, tape};
use crate::thumb::Reg::{self, Lr, R0, R1, R2, R3, R4, R5, R6, R7, R9, R10, R11, R12};
use crate::thumb::SReg::{S0, S1, S2, S8};
use crate::thumb::{
    Addr, AluOp, Assembler, Cond, ConvertOp, Inst, Label, LoadOp, SReg, Shift, Src, StoreOp,
};

/// Subroutines.
#[derive(Clone, Copy)]
pub(super) struct Exact {
    interval: Label,
    insert: Label,
    clock: Label,
}

impl Exact {
    pub(super) fn new(asm: &mut Assembler) -> Self {
        Self {
            interval: asm.label(),
            insert: asm.label(),
            clock: asm.label(),
        }
    }
}

/// Bits of positive infinity: what is above, unsigned, is a NaN or negative.
const INFINITY: u32 = 0x7F80_0000;

fn store_half(rt: Reg, addr: Addr) -> Inst {
    Inst::Store {
        op: StoreOp::Strh,
        rt,
        addr,
    }
}

fn load_half(rt: Reg, addr: Addr) -> Inst {
    Inst::Load {
        op: LoadOp::Ldrh,
        rt,
        addr,
    }
}

/// Forward.
impl Driver<'_> {
    pub(super) fn is_exact(&self) -> bool {
        self.context.program.window.is_some()
    }

    fn takes(&self) -> bool {
        let mut spiking = plan::spiking(self.context.program, self.context.proc);
        spiking.next().is_some()
    }

    /// Where the first arrival goes.
    fn inbox(&self) -> u32 {
        self.context.memory.addr(names::INBOX) + self.arrival()
    }

    /// Bytes of an arrival.
    fn arrival(&self) -> u32 {
        inbox::arrival(self.context.program, self.context.proc).0
    }

    /// A word so many bytes behind one of the control block.
    fn control_behind(&self, name: &str, bytes: i32) -> Addr {
        match self.comms.control(name) {
            Addr::Offset(base, at) => Addr::Offset(base, at + bytes),
            other => other,
        }
    }

    /// Moves the exponentials of the time into the arrival in r9, or those of the arrival to where handlers read them.
    fn exponentials(&self, asm: &mut Assembler, back: bool) {
        let (bytes, kept) = inbox::arrival(self.context.program, self.context.proc);
        for at in (0..kept).step_by(4) {
            let here = Addr::Offset(R9, (bytes - kept + at).cast_signed());
            let there = self.control_behind(names::CLOCK, at.cast_signed());
            let (from, to) = if back { (here, there) } else { (there, here) };
            asm.emit(Inst::ldr(R0, from));
            asm.emit(Inst::str(R0, to));
        }
    }

    fn own(&self, name: fn(&str) -> String) -> u32 {
        let process = self.context.process();
        self.context.memory.addr(&name(&process.name))
    }

    fn own_count(&self) -> Addr {
        let process = self.context.process();
        self.comms.control(&tape::count(&process.name))
    }

    fn own_back(&self) -> Addr {
        self.comms.control(&names::own_back(self.context.process()))
    }

    fn own_after(&self) -> u32 {
        let name = names::own_after(self.context.process());
        self.context.memory.addr(&name)
    }

    /// Start of a sample.
    pub(super) fn start_exact(&self, asm: &mut Assembler) {
        if self.role() == Role::Neurons {
            asm.emit(Inst::mov(R0, 0));
            asm.emit(Inst::str(R0, self.own_count()));
        }
        if self.takes() {
            asm.mov_const(R0, self.inbox());
            asm.emit(Inst::str(R0, self.comms.control(names::INBOX_TAKEN)));
        }
    }

    /// End of a sample: what comes from now on is of the next one.
    pub(super) fn rewind_exact(&self, asm: &mut Assembler) {
        if !self.takes() {
            return;
        }
        let (program, proc) = (self.context.program, self.context.proc);
        asm.mov_const(R0, self.inbox());
        asm.emit(Inst::str(R0, self.comms.control(names::INBOX_NEXT)));
        asm.emit(Inst::mov(R0, 0));
        for from in inbox::producers(program, proc) {
            let name = names::received(&program.processes[from]);
            asm.emit(Inst::str(R0, self.comms.control(&name)));
        }
        for chan in plan::spiking(program, proc) {
            let name = names::arrived(chan);
            asm.emit(Inst::str(R0, self.comms.control(&name)));
        }
    }

    pub(super) fn forward_exact(&self, asm: &mut Assembler) {
        self.annotate(asm, "forward");
        asm.emit(Inst::mov(R11, 0));
        if self.role() == Role::Source {
            self.input_list(asm);
        }
        let again = asm.here();
        asm.bl(self.routines.wait_forward);
        asm.emit(Inst::str(R11, self.comms.control(names::BIN)));
        match self.role() {
            Role::Source => self.source_window(asm),
            Role::Loss => self.loss_window(asm),
            Role::Neurons | Role::Optimiser(_) => self.neuron_window(asm),
        }
        self.annotate(asm, "forward");
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, self.steps_forward(), R0);
        asm.b_if(Cond::Ne, again);
        if self.has_adjoint() && self.role() == Role::Neurons {
            asm.emit(Inst::ldr(R0, self.own_count()));
            asm.emit(Inst::str(R0, self.own_back()));
        }
    }

    fn source_window(&self, asm: &mut Assembler) {
        let over = asm.label();
        let again = asm.here();
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Eq, over);
        asm.emit(Inst::ldr(R0, Addr::at(R9)));
        asm.emit(Inst::cmp(R11, Src::Reg(R0, Shift::Lsr(16))));
        asm.b_if(Cond::Ne, over);
        if self.has_consumers() {
            let distance = self
                .own(tape::input_time)
                .wrapping_sub(self.own(tape::input));
            asm.mov_const(R1, distance);
            asm.emit(Inst::add(R1, R1, R9));
            asm.emit(Inst::vldr(S0, R1, 0));
            asm.emit(extract_half(R0, R0));
            self.comms.own_key(asm, self.spike_key(), Some(R0));
            asm.bl(self.routines.send_payload);
        }
        asm.emit(Inst::add(R9, R9, 4));
        asm.b(again);
        asm.bind(over);
    }

    /// The loss takes everything in the last window, behind which nothing arrives.
    fn loss_window(&self, asm: &mut Assembler) {
        let early = asm.label();
        compare(asm, R11, self.steps_forward() - 1, R0);
        asm.b_if(Cond::Ne, early);
        if self.takes() {
            self.inbox_list(asm);
            let (again, over) = (asm.here(), asm.label());
            asm.emit(Inst::cmp(R9, R10));
            asm.b_if(Cond::Eq, over);
            asm.emit(Inst::ldr(R0, Addr::Offset(R9, 4)));
            asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
            self.taken(asm);
            asm.b(again);
            asm.bind(over);
            asm.emit(Inst::str(R9, self.comms.control(names::INBOX_TAKEN)));
        }
        self.horizon(asm);
        for chan in self.valued() {
            let Some(handler) = self.handlers.get(HandlerKind::Event(chan)) else {
                continue;
            };
            asm.mov_const(R9, self.values_of(chan));
            self.for_values(asm, chan, (handler, true), |_| {});
        }
        self.turn(asm);
        asm.bind(early);
    }

    /// Channels that bring values.
    fn valued(&self) -> Vec<Chan> {
        let program = self.context.program;
        let incoming = program.incoming(self.context.proc).map(|(chan, _)| chan);
        incoming
            .filter(|&chan| program.carries_values(chan))
            .collect()
    }

    /// Where the values of a channel are.
    fn values_of(&self, chan: Chan) -> u32 {
        self.values_from(self.producer(chan))
    }

    fn values_from(&self, from: Proc) -> u32 {
        let program = self.context.program;
        let slots = names::slots(self.context.process(), &program.processes[from]);
        self.context.memory.addr(&slots)
    }

    /// The time becomes that of values: the end of the sample.
    fn horizon(&self, asm: &mut Assembler) {
        if self.valued().is_empty() {
            return;
        }
        let end = self.context.program.ticks as f32;
        asm.mov_const(R0, end.to_bits());
        asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
    }

    /// r9 and r10 become the next arrival that is taken and the end of what has been received.
    fn inbox_list(&self, asm: &mut Assembler) {
        asm.emit(Inst::ldr(R9, self.comms.control(names::INBOX_TAKEN)));
        asm.emit(Inst::ldr(R10, self.comms.control(names::INBOX_NEXT)));
    }

    /// Calls the handler for the arrival in r9, and goes on to the next.
    fn taken(&self, asm: &mut Assembler) {
        self.by_channel(asm, &|asm, chan| {
            if let Some(handler) = self.handlers.get(HandlerKind::Event(chan)) {
                asm.emit(load_half(R0, Addr::Offset(R9, 8)));
                asm.bl(handler);
            }
        });
        self.exponentials(asm, false);
        asm.emit(Inst::add(R9, R9, self.arrival()));
    }

    /// Does what is to be done for arrivals over the channel of the one in r9.
    fn by_channel(&self, asm: &mut Assembler, what: &dyn Fn(&mut Assembler, Chan)) {
        let channels = plan::spiking(self.context.program, self.context.proc);
        let channels: Vec<Chan> = channels.collect();
        let done = asm.label();
        for (at, &chan) in channels.iter().enumerate() {
            let other = asm.label();
            asm.comment(format!("an arrival over {chan}"));
            let last = at + 1 == channels.len();
            if !last {
                asm.emit(load_half(R1, Addr::Offset(R9, 10)));
                compare(asm, R1, chan_number(chan), R2);
                asm.b_if(Cond::Ne, other);
            }
            what(asm, chan);
            if !last {
                asm.b(done);
            }
            asm.bind(other);
        }
        asm.bind(done);
    }

    fn neuron_window(&self, asm: &mut Assembler) {
        if let Some(window) = self.handlers.get(HandlerKind::Window) {
            asm.bl(window);
        }
        asm.emit(Inst::mov(R0, 0));
        asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
        self.wind(asm, names::CLOCK);
        let crosses = self.handlers.get(HandlerKind::Cross).is_some();
        if self.takes() {
            self.inbox_list(asm);
            let (again, over, simultaneous) = (asm.here(), asm.label(), asm.label());
            asm.emit(Inst::cmp(R9, R10));
            asm.b_if(Cond::Eq, over);
            asm.emit(Inst::ldr(R0, Addr::at(R9)));
            asm.emit(Inst::cmp(R11, Src::Reg(R0, Shift::Lsr(16))));
            asm.b_if(Cond::Ne, over);
            asm.emit(Inst::ldr(R1, Addr::Offset(R9, 4)));
            if crosses {
                asm.emit(Inst::ldr(R2, self.comms.control(names::TIME)));
                asm.emit(Inst::cmp(R1, R2));
                asm.b_if(Cond::Eq, simultaneous);
                asm.emit(Inst::mov(R0, R1));
                asm.bl(self.routines.exact.interval);
                asm.bind(simultaneous);
            } else {
                asm.emit(Inst::mov(R0, R1));
                asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
                self.wind(asm, names::CLOCK);
            }
            self.taken(asm);
            asm.b(again);
            asm.bind(over);
            asm.emit(Inst::str(R9, self.comms.control(names::INBOX_TAKEN)));
        } else {
            asm.comment("nothing arrives");
            asm.emit(Inst::mov(R9, 0));
        }
        if crosses {
            asm.comment("up to the end of the window");
            self.window_end(asm);
            asm.bl(self.routines.exact.interval);
        }
        if let Output::State(state) = self.context.process().output {
            let early = asm.label();
            compare(asm, R11, self.steps_forward() - 1, R0);
            asm.b_if(Cond::Ne, early);
            self.send_state(asm, state);
            asm.bind(early);
        }
    }

    fn window(&self) -> u32 {
        self.context.program.window.unwrap_or(1)
    }

    /// Bins of the last window.
    fn rest(&self) -> u32 {
        let windows = self.context.program.windows();
        windows.map_or(0, |(_, rest)| rest)
    }

    /// r0 becomes where the window in r11 ends, as the bits of a float.
    fn window_end(&self, asm: &mut Assembler) {
        let (window, rest) = (self.window() as f32, self.rest() as f32);
        let known = asm.label();
        asm.mov_const(R0, rest.to_bits());
        if self.steps_forward() > 1 && window.to_bits() != rest.to_bits() {
            compare(asm, R11, self.steps_forward() - 1, R1);
            asm.b_if(Cond::Eq, known);
            asm.mov_const(R0, window.to_bits());
        }
        asm.bind(known);
    }
}

/// Backwards.
impl Driver<'_> {
    /// The adjoint step of a loss: all errors, in the first one.
    pub(super) fn loss_back(&self, asm: &mut Assembler) {
        let later = asm.label();
        compare(asm, R11, self.steps_forward(), R0);
        asm.b_if(Cond::Ne, later);
        self.horizon(asm);
        for chan in self.valued() {
            let Some(message) = self.handlers.get(HandlerKind::Message(chan)) else {
                continue;
            };
            self.for_values(asm, chan, (message, false), |asm| {
                asm.emit(Inst::mov(R0, R10));
                self.send_error_to(asm, chan);
            });
        }
        if self.takes() {
            asm.emit(Inst::ldr(R9, self.comms.control(names::INBOX_TAKEN)));
            let (again, over) = (asm.here(), asm.label());
            asm.mov_const(R0, self.inbox());
            asm.emit(Inst::cmp(R9, R0));
            asm.b_if(Cond::Eq, over);
            self.arrival_back(asm);
            asm.b(again);
            asm.bind(over);
        }
        asm.bind(later);
    }

    /// The adjoint step of neurons: the window whose number is the current bin.
    pub(super) fn neurons_back(&self, asm: &mut Assembler) {
        let (again, over) = (asm.label(), asm.label());
        self.turn_back(asm);
        if self.takes() {
            asm.emit(Inst::ldr(R9, self.comms.control(names::INBOX_TAKEN)));
        } else {
            asm.emit(Inst::mov(R9, 0));
        }
        asm.emit(Inst::ldr(R10, self.own_back()));
        asm.bind(again);
        if let Some(spike) = self.handlers.get(HandlerKind::Spike) {
            self.own_back_through(asm, spike, again);
        }
        if self.takes() {
            asm.mov_const(R0, self.inbox());
            asm.emit(Inst::cmp(R9, R0));
            asm.b_if(Cond::Eq, over);
            asm.comment("of this window?");
            let window = 2 - self.arrival().cast_signed();
            asm.emit(load_half(R0, Addr::Offset(R9, window)));
            asm.emit(Inst::ldr(R1, self.comms.control(names::BIN)));
            asm.emit(Inst::cmp(R0, R1));
            asm.b_if(Cond::Ne, over);
            self.arrival_back(asm);
            asm.b(again);
            asm.bind(over);
            asm.emit(Inst::str(R9, self.comms.control(names::INBOX_TAKEN)));
        }
        asm.emit(Inst::str(R10, self.own_back()));
        if let Some(window) = self.handlers.get(HandlerKind::AdjointWindow) {
            asm.bl(window);
        }
    }

    /// In front of the last window, the turn, and the errors of what was emitted at its end.
    fn turn_back(&self, asm: &mut Assembler) {
        let turn = self.handlers.get(HandlerKind::Turn);
        let value = self.handlers.get(HandlerKind::Value);
        let value = value.filter(|_| !self.lags().value_errors(self.context.proc).is_empty());
        if turn.is_none() && value.is_none() {
            return;
        }
        let later = asm.label();
        compare(asm, R11, self.steps_forward(), R0);
        asm.b_if(Cond::Ne, later);
        for handler in turn.into_iter().chain(value) {
            asm.bl(handler);
        }
        asm.bind(later);
    }

    /// Deals with the own spike below r10, if it is of this window and behind the arrival below r9; then goes on.
    fn own_back_through(&self, asm: &mut Assembler, handler: Label, again: Label) {
        let none = asm.label();
        asm.emit(Inst::cmp(R10, 0));
        asm.b_if(Cond::Eq, none);
        asm.mov_const(R0, self.own(tape::order));
        asm.emit(Inst::add(R0, R0, Src::Reg(R10, Shift::Lsl(1))));
        asm.emit(load_half(R3, Addr::Offset(R0, -2)));
        asm.mov_const(R0, self.own_after());
        asm.emit(Inst::ldr(R1, Addr::Index(R0, R3, 2)));
        asm.comment("but for the note that an error came");
        asm.emit(Inst::Alu {
            op: AluOp::Eor,
            s: false,
            rd: R1,
            rn: R1,
            src: R9.into(),
        });
        asm.emit(Inst::lsrs(R1, R1, 1));
        asm.b_if(Cond::Ne, none);
        if self.steps_forward() > 1 {
            asm.mov_const(R0, self.own(tape::place));
            asm.emit(Inst::add(R0, R0, words(R3)));
            asm.emit(load_half(R1, Addr::Offset(R0, 2)));
            asm.emit(Inst::ldr(R2, self.comms.control(names::BIN)));
            asm.emit(Inst::cmp(R1, R2));
            asm.b_if(Cond::Ne, none);
        }
        asm.emit(Inst::sub(R10, R10, 1));
        if self.asks_time(HandlerKind::Spike) {
            asm.mov_const(R0, self.own(tape::time));
            asm.emit(Inst::ldr(R0, Addr::Index(R0, R3, 2)));
            asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
        }
        self.if_no_errors(asm);
        asm.emit(Inst::mov(R0, R3));
        asm.bl(handler);
        asm.b(again);
        asm.bind(none);
    }

    /// Whether a handler's result depends on the time.
    fn asks_time(&self, kind: HandlerKind) -> bool {
        let handler = self.context.process().handler(kind);
        handler.is_some_and(|handler| {
            let graph = Graph::new(self.context.program, self.context.proc, handler);
            graph.uses(Place::Time)
        })
    }

    /// Goes back to the arrival before r9, sends its error and takes its part of the gradient.
    fn arrival_back(&self, asm: &mut Assembler) {
        asm.emit(Inst::sub(R9, R9, self.arrival()));
        asm.emit(Inst::ldr(R0, Addr::Offset(R9, 4)));
        asm.emit(Inst::str(R0, self.comms.control(names::TIME)));
        self.exponentials(asm, true);
        self.by_channel(asm, &|asm, chan| {
            if let Some(message) = self.handlers.get(HandlerKind::Message(chan)) {
                asm.emit(load_half(R0, Addr::Offset(R9, 8)));
                asm.bl(message);
                self.delay_back(asm, chan);
                if steps::carries_errors(self.context.program, chan) {
                    asm.emit(load_half(R0, Addr::at(R9)));
                    self.send_error_to(asm, chan);
                }
            }
            if let Some(gradient) = self.handlers.get(HandlerKind::Gradient(chan)) {
                asm.emit(load_half(R0, Addr::Offset(R9, 8)));
                asm.bl(gradient);
            }
        });
    }
}

impl Driver<'_> {
    /// Adds the error in s0 to the gradient of the delay of the arrival in r9, if there is one.
    fn delay_back(&self, asm: &mut Assembler, chan: Chan) {
        let Some(gradient) = steps::delay_gradient(self.context.program, chan) else {
            return;
        };
        asm.comment("of its delay");
        asm.emit(load_half(R0, Addr::Offset(R9, 8)));
        asm.mov_const(R1, self.context.array(gradient));
        asm.emit(Inst::add(R1, R1, words(R0)));
        asm.emit(Inst::vldr(S1, R1, 0));
        asm.emit(Inst::vadd(S1, S1, S0));
        asm.emit(Inst::vstr(S1, R1, 0));
    }

    /// Errors of own spikes.
    fn error_channels(&self) -> Vec<Chan> {
        plan::spike_errors(self.context.program, self.context.proc)
    }

    /// Whether several channels bring errors, so that it has to be noted whether any came: the sum of errors is that
    /// of those that came, and 0 where none did. What stands in for the others is -0, which changes no sum.
    fn notes_errors(&self) -> bool {
        self.error_channels().len() > 1
    }

    /// Fills the places of the errors of the own spike in r1. Changes r2 and r3.
    fn no_errors_yet(&self, asm: &mut Assembler) {
        let filler: f32 = if self.notes_errors() { -0.0 } else { 0.0 };
        let channels = self.error_channels();
        if !channels.is_empty() {
            asm.comment("no error yet");
            asm.mov_const(R3, filler.to_bits());
        }
        for chan in channels {
            asm.mov_const(R2, self.context.error(chan));
            asm.emit(Inst::str(R3, Addr::Index(R2, R1, 2)));
        }
    }

    /// The sum of errors of the own spike in r3 becomes 0 if none came.
    fn if_no_errors(&self, asm: &mut Assembler) {
        let Some(first) = self.error_channels().first().copied() else {
            return;
        };
        if !self.notes_errors() {
            return;
        }
        let came = asm.label();
        asm.mov_const(R0, self.own_after());
        asm.emit(Inst::ldr(R0, Addr::Index(R0, R3, 2)));
        asm.emit(Inst::tst(R0, 1));
        asm.b_if(Cond::Ne, came);
        asm.emit(Inst::mov(R1, 0));
        asm.mov_const(R0, self.context.error(first));
        asm.emit(Inst::str(R1, Addr::Index(R0, R3, 2)));
        asm.bind(came);
    }
}

/// Packets.
impl Driver<'_> {
    /// Puts the spike of the lane in r0, at the time in r2, into the inbox, once a channel.
    pub(super) fn exact_received(&self, asm: &mut Assembler, from: Proc, exits: Exits) {
        let (program, proc) = (self.context.program, self.context.proc);
        let channels = program.incoming(proc).filter(|(_, c)| c.from == from);
        let channels: Vec<(Chan, &Channel)> = channels.collect();
        let several = channels.len() > 1;
        let received = names::received(&program.processes[from]);
        let received = self.comms.control(&received);
        let saved = [R4, R5, R6];
        if several {
            asm.emit(Inst::push(&saved));
            asm.emit(Inst::mov(R4, R0));
            asm.emit(Inst::mov(R6, R2));
        }
        asm.emit(Inst::ldr(R12, received));
        asm.emit(Inst::add(R1, R12, 1));
        asm.emit(Inst::str(R1, received));
        if several {
            asm.emit(Inst::mov(R5, R12));
        }
        for (at, (chan, channel)) in channels.into_iter().enumerate() {
            let (nowhere, full) = (asm.label(), asm.label());
            asm.comment(format!("over {chan}"));
            if at > 0 {
                for (to, from) in [(R0, R4), (R2, R6), (R12, R5)] {
                    asm.emit(Inst::mov(to, from));
                }
            }
            asm.emit(Inst::Movt {
                rd: R0,
                imm: u16::try_from(chan_number(chan)).unwrap_or(u16::MAX),
            });
            self.arrival_time(asm, from, channel, nowhere);
            let arrived = self.comms.control(&names::arrived(chan));
            asm.emit(Inst::ldr(R1, arrived));
            let bound = word(plan::channel_bound(program, chan));
            if Inst::cmp(R1, bound).encode().is_ok() {
                asm.emit(Inst::cmp(R1, bound));
            } else {
                asm.emit(Inst::push(&[R4]));
                asm.mov_const(R4, bound);
                asm.emit(Inst::cmp(R1, R4));
                asm.emit(Inst::pop(&[R4]));
            }
            asm.b_if(Cond::Cs, full);
            asm.emit(Inst::add(R1, R1, 1));
            asm.emit(Inst::str(R1, arrived));
            self.append(asm);
            let over = asm.label();
            asm.b(over);
            asm.bind(full);
            asm.mov_const(R0, (Status::InputTapeFull as u32) << 16 | chan_number(chan));
            if several {
                asm.emit(Inst::pop(&saved));
            }
            asm.b(exits.complain);
            asm.bind(over);
            asm.bind(nowhere);
        }
        if several {
            asm.emit(Inst::pop(&saved));
        }
    }

    /// The time in r2 of a spike becomes that of its arrival, and the entry in r12 gets its window; goes to `nowhere`
    /// where that is behind the sample's end. Changes r1 and r3.
    fn arrival_time(&self, asm: &mut Assembler, from: Proc, channel: &Channel, nowhere: Label) {
        let single = self.steps_forward() == 1;
        if channel.delay == 0 && channel.delays.is_none() && single {
            // Times are not negative, so that their bits ascend as they do.
            asm.mov_const(R1, (self.rest() as f32).to_bits());
            asm.emit(Inst::cmp(R2, R1));
            asm.b_if(Cond::Cs, nowhere);
            return;
        }
        asm.emit(Inst::FMoveFromCore { sn: S0, rt: R2 });
        if channel.delay > 0 {
            asm.vldr_const(S1, channel.delay as f32);
            asm.emit(Inst::vadd(S0, S0, S1));
        }
        if let Some(delays) = channel.delays {
            self.late(asm, delays.values);
        }
        asm.emit(Inst::ldr(R3, self.progress(from)));
        self.find_window(asm, nowhere);
        if self.role() == Role::Loss {
            self.since_start(asm);
        }
        asm.emit(Inst::orr(R12, R12, Src::Reg(R3, Shift::Lsl(16))));
        asm.emit(Inst::FMoveToCore { rt: R2, sn: S0 });
    }

    /// Puts the arrival in r12, r2 and r0 behind all others, if it comes behind the last one, which most do; else
    /// where it belongs. Changes r1 and r3.
    fn append(&self, asm: &mut Assembler) {
        let next = self.comms.control(names::INBOX_NEXT);
        let bytes = self.arrival().cast_signed();
        let (earlier, over) = (asm.label(), asm.label());
        asm.emit(Inst::ldr(R3, next));
        if self.steps_forward() > 1 && self.role() != Role::Loss {
            let last = asm.label();
            asm.emit(load_half(R1, Addr::Offset(R3, 2 - bytes)));
            asm.emit(Inst::cmp(R1, Src::Reg(R12, Shift::Lsr(16))));
            asm.b_if(Cond::Hi, earlier);
            asm.b_if(Cond::Ne, last);
            asm.emit(Inst::ldr(R1, Addr::Offset(R3, 4 - bytes)));
            asm.emit(Inst::cmp(R1, R2));
            asm.b_if(Cond::Cs, earlier);
            asm.bind(last);
        } else {
            asm.emit(Inst::ldr(R1, Addr::Offset(R3, 4 - bytes)));
            asm.emit(Inst::cmp(R1, R2));
            asm.b_if(Cond::Cs, earlier);
        }
        asm.emit(Inst::str(R12, Addr::at(R3)));
        asm.emit(Inst::str(R2, Addr::Offset(R3, 4)));
        asm.emit(Inst::str(R0, Addr::Offset(R3, 8)));
        asm.emit(Inst::add(R3, R3, self.arrival()));
        asm.emit(Inst::str(R3, next));
        asm.b(over);
        asm.bind(earlier);
        asm.emit(Inst::push(&[Lr]));
        asm.bl(self.routines.exact.insert);
        asm.emit(Inst::pop(&[Lr]));
        asm.bind(over);
    }

    /// Adds the delay of the source in r0 to the time in s0. Changes r1 and r3.
    fn late(&self, asm: &mut Assembler, delays: Array) {
        asm.comment("and what its source is late");
        asm.emit(extract_half(R1, R0));
        asm.mov_const(R3, self.context.array(delays));
        asm.emit(Inst::add(R3, R3, words(R1)));
        asm.emit(Inst::vldr(S1, R3, 0));
        asm.vldr_const(S2, 0.0);
        asm.emit_all([Inst::vcmp_zero(S1), Inst::FFlags]);
        // Not greater: less, equal or unordered.
        asm.emit_if(Cond::Le, Inst::vmov(S1, S2));
        asm.emit(Inst::vadd(S0, S0, S1));
    }

    /// Takes off windows from the time in s0, emitted in window r3, until it lies in window r3; goes to `nowhere` if
    /// that is none of the sample.
    fn find_window(&self, asm: &mut Assembler, nowhere: Label) {
        let last = self.steps_forward() - 1;
        if last > 0 {
            let (again, found) = (asm.label(), asm.label());
            asm.vldr_const(S1, self.window() as f32);
            asm.bind(again);
            asm.emit_all([Inst::vcmp(S0, S1), Inst::FFlags]);
            asm.b_if(Cond::Mi, found);
            asm.emit(Inst::vsub(S0, S0, S1));
            asm.emit(Inst::add(R3, R3, 1));
            asm.b(again);
            asm.bind(found);
        }
        let before = asm.label();
        compare(asm, R3, last, R1);
        asm.b_if(Cond::Hi, nowhere);
        asm.b_if(Cond::Ne, before);
        asm.vldr_const(S1, self.rest() as f32);
        asm.emit_all([Inst::vcmp(S0, S1), Inst::FFlags]);
        asm.b_if(Cond::Pl, nowhere);
        asm.bind(before);
    }

    /// The time in s0 of window r3 becomes one from the sample's beginning, of window 0.
    fn since_start(&self, asm: &mut Assembler) {
        if self.steps_forward() > 1 {
            asm.mov_const(R1, self.window());
            asm.emit(Inst::mul(R3, R3, R1));
            asm.emit(Inst::FMoveFromCore { sn: S1, rt: R3 });
            asm.emit(Inst::FConvert {
                op: ConvertOp::F32FromU32,
                sd: S1,
                sm: S1,
            });
            asm.emit(Inst::vadd(S0, S1, S0));
        }
        asm.emit(Inst::mov(R3, 0));
    }

    /// Counts a marker.
    pub(super) fn exact_progressed(&self, asm: &mut Assembler, from: Proc) {
        asm.emit(Inst::ldr(R2, self.progress(from)));
        asm.emit(Inst::add(R2, R2, 1));
        asm.emit(Inst::str(R2, self.progress(from)));
    }

    /// Puts the value in r2 into the place of its lane, which the key in r0 names.
    pub(super) fn exact_value(&self, asm: &mut Assembler, from: Proc) {
        asm.emit(extract_half(R0, R0));
        asm.mov_const(R3, self.values_from(from));
        asm.emit(Inst::str(R2, Addr::Index(R3, R0, 2)));
    }

    /// Puts the error in r2 beside the own spike whose entry the key in r0 names, or the value whose lane it names.
    pub(super) fn exact_error(&self, asm: &mut Assembler, chan: Chan) {
        asm.emit(Inst::Extract {
            signed: false,
            rd: R0,
            rn: R0,
            lsb: 0,
            width: INDEX_BITS,
        });
        if self.context.program.carries_values(chan) {
            let errors = names::value_errors(self.context.process(), chan);
            asm.mov_const(R3, self.context.memory.addr(&errors));
            asm.emit(Inst::str(R2, Addr::Index(R3, R0, 2)));
            return;
        }
        asm.mov_const(R3, self.own(tape::order));
        asm.emit(load_half(R0, Addr::Index(R3, R0, 1)));
        asm.mov_const(R3, self.context.error(chan));
        asm.emit(Inst::str(R2, Addr::Index(R3, R0, 2)));
        if self.notes_errors() {
            asm.mov_const(R3, self.own_after());
            asm.emit(Inst::ldr(R2, Addr::Index(R3, R0, 2)));
            asm.emit(Inst::orr(R2, R2, 1));
            asm.emit(Inst::str(R2, Addr::Index(R3, R0, 2)));
        }
    }
}

/// Subroutines.
impl Driver<'_> {
    pub(super) fn exact_routines(&self, asm: &mut Assembler) {
        if self.takes() {
            self.insert(asm);
        }
        if let Some(cross) = self.handlers.get(HandlerKind::Cross) {
            self.interval(asm, cross);
            self.exact_fire(asm);
        }
        self.clock(asm);
    }

    /// Lets these exponentials be those of the time in r0.
    fn wind(&self, asm: &mut Assembler, words: &str) {
        if !self.clock_rates().is_empty() {
            asm.mov_const(R1, self.context.memory.addr(words));
            asm.bl(self.routines.exact.clock);
        }
    }

    fn clock_rates(&self) -> Vec<u32> {
        Clock::new(self.context.program, self.context.proc).rates
    }

    /// `wind`: the exponentials of the time in r0 go to where r1 points.
    fn clock(&self, asm: &mut Assembler) {
        let rates = self.clock_rates();
        if rates.is_empty() {
            return;
        }
        asm.place_pool();
        self.annotate(asm, "exponentials of time");
        asm.function("wind", self.routines.exact.clock);
        asm.emit(Inst::push(&[R4, Lr]));
        asm.emit(Inst::mov(R4, R1));
        asm.emit(Inst::FMoveFromCore { sn: S8, rt: R0 });
        for (word, rate) in rates.into_iter().enumerate() {
            asm.vldr_const(S0, f32::from_bits(rate));
            asm.emit(Inst::vmul(S0, S8, S0));
            asm.bl(self.context.labels.exp);
            asm.emit(Inst::vstr(S0, R4, offset(word)));
        }
        asm.emit(Inst::pop(&[R4, Reg::Pc]));
    }

    /// `insert`: puts the arrival in r12, r2 and r0 behind all that come before it. Changes r1 and r3.
    fn insert(&self, asm: &mut Assembler) {
        asm.place_pool();
        self.annotate(asm, "put an arrival in its place");
        asm.function("insert", self.routines.exact.insert);
        let saved = [R4, R5, R6, R7, R9];
        let bytes = self.arrival();
        let word = |k: u32| Addr::Offset(R3, (4 * k).cast_signed() - bytes.cast_signed());
        asm.emit(Inst::push(&saved));
        let next = self.comms.control(names::INBOX_NEXT);
        asm.emit(Inst::ldr(R3, next));
        asm.mov_const(R9, self.inbox());
        asm.emit(Inst::lsr(R7, R12, 16));
        let (again, shift, place) = (asm.here(), asm.label(), asm.label());
        asm.emit(Inst::cmp(R3, R9));
        asm.b_if(Cond::Eq, place);
        asm.emit(Inst::ldr(R4, word(0)));
        asm.emit(Inst::LoadPair {
            rt: R5,
            rt2: R6,
            addr: word(1),
        });
        asm.emit(Inst::cmp(R7, Src::Reg(R4, Shift::Lsr(16))));
        asm.b_if(Cond::Hi, place);
        asm.b_if(Cond::Cc, shift);
        asm.emit(Inst::cmp(R2, R5));
        asm.b_if(Cond::Hi, place);
        asm.b_if(Cond::Cc, shift);
        asm.emit(Inst::cmp(R0, R6));
        asm.b_if(Cond::Cs, place);
        asm.bind(shift);
        asm.emit(Inst::str(R4, Addr::at(R3)));
        asm.emit(Inst::str(R5, Addr::Offset(R3, 4)));
        asm.emit(Inst::str(R6, Addr::Offset(R3, 8)));
        asm.emit(Inst::sub(R3, R3, bytes));
        asm.b(again);
        asm.bind(place);
        asm.emit(Inst::str(R12, Addr::at(R3)));
        asm.emit(Inst::str(R2, Addr::Offset(R3, 4)));
        asm.emit(Inst::str(R0, Addr::Offset(R3, 8)));
        asm.emit(Inst::ldr(R3, next));
        asm.emit(Inst::add(R3, R3, bytes));
        asm.emit(Inst::str(R3, next));
        asm.emit(Inst::pop(&saved));
        asm.emit(Inst::ret());
    }

    /// `interval`: finds, records and sends the spikes of the interval that ends at the time in r0. Keeps r8 to r11.
    fn interval(&self, asm: &mut Assembler, cross: Label) {
        asm.place_pool();
        self.annotate(asm, "spikes of an interval");
        asm.function("interval", self.routines.exact.interval);
        asm.emit(Inst::push(&[R10, Lr]));
        let control = |name: &str| self.comms.control(name);
        asm.emit(Inst::str(R0, control(names::UNTIL)));
        self.wind(asm, names::CLOCK_UNTIL);
        let nothing = asm.label();
        let handler = self.context.process().handler(HandlerKind::Cross);
        if self.takes() && handler.is_some_and(|handler| rest::is_left(self.context, handler)) {
            asm.comment("before the first arrival nothing spikes");
            asm.mov_const(R1, self.inbox());
            asm.emit(Inst::cmp(R9, R1));
            asm.b_if(Cond::Eq, nothing);
        }
        asm.emit(Inst::ldr(R10, self.own_count()));
        asm.emit(Inst::mov(R0, 0));
        asm.emit(Inst::str(R0, control(names::AGAIN)));
        asm.mov_const(R1, word(self.context.process().lanes));
        asm.bl(cross);
        asm.emit(Inst::ldr(R0, self.own_count()));
        asm.emit(Inst::cmp(R10, R0));
        asm.b_if(Cond::Eq, nothing);
        let once = asm.label();
        asm.emit(Inst::str(R10, control(names::INTERVAL)));
        asm.emit(Inst::ldr(R1, control(names::AGAIN)));
        asm.cbz(R1, once);
        self.look_again(asm, cross);
        asm.bind(once);
        self.sort_interval(asm);
        self.emit_interval(asm);
        if self.context.process().tape.is_none() {
            asm.comment("nobody asks for them any more");
            asm.emit(Inst::ldr(R0, control(names::INTERVAL)));
            asm.emit(Inst::str(R0, self.own_count()));
        }
        asm.bind(nothing);
        asm.comment("what was its end is now");
        asm.emit(Inst::ldr(R0, control(names::UNTIL)));
        asm.emit(Inst::str(R0, control(names::TIME)));
        for k in 0..self.clock_rates().len() {
            asm.emit(Inst::ldr(
                R0,
                self.control_behind(names::CLOCK_UNTIL, offset(k)),
            ));
            asm.emit(Inst::str(R0, self.control_behind(names::CLOCK, offset(k))));
        }
        asm.emit(Inst::pop(&[R10, Reg::Pc]));
    }

    /// Looks at lanes that spiked again, from each spike on (r10: the first one; r0: the number of all).
    fn look_again(&self, asm: &mut Assembler, cross: Label) {
        let time = self.comms.control(names::TIME);
        let (again, look) = (asm.label(), asm.label());
        asm.emit(Inst::push(&[R9, R11]));
        asm.emit(Inst::mov(R9, R0));
        asm.bind(again);
        asm.mov_const(R1, self.own(tape::time));
        asm.emit(Inst::ldr(R2, Addr::Index(R1, R10, 2)));
        asm.bind(look);
        asm.emit(Inst::str(R2, time));
        asm.emit(Inst::mov(R0, R2));
        self.wind(asm, names::CLOCK);
        self.lane_of(asm, R10);
        asm.emit(Inst::mov(R1, 1));
        asm.emit(Inst::ldr(R11, self.own_count()));
        asm.bl(cross);
        let (none, after) = (asm.label(), self.own_count());
        asm.emit(Inst::ldr(R0, after));
        asm.emit(Inst::cmp(R0, R11));
        asm.b_if(Cond::Eq, none);
        asm.emit(Inst::mov(R3, R11));
        asm.mov_const(R1, self.own(tape::time));
        asm.emit(Inst::ldr(R2, Addr::Index(R1, R3, 2)));
        asm.emit(Inst::ldr(R0, time));
        asm.emit(Inst::cmp(R0, R2));
        asm.comment("unless it is the second time at the same instant");
        asm.b_if(Cond::Ne, look);
        asm.bind(none);
        asm.emit(Inst::add(R10, R10, 1));
        asm.emit(Inst::cmp(R10, R9));
        asm.b_if(Cond::Ne, again);
        asm.emit(Inst::pop(&[R9, R11]));
    }

    /// Puts the spikes of the interval into their order: by (time, lane), those of a lane as they came.
    fn sort_interval(&self, asm: &mut Assembler) {
        asm.comment("in their order");
        let (again, look, stop, place) = (asm.label(), asm.label(), asm.label(), asm.label());
        let over = asm.label();
        asm.mov_const(R4, self.own(tape::time));
        asm.mov_const(R5, self.own(tape::place));
        asm.emit(Inst::ldr(R0, self.comms.control(names::INTERVAL)));
        asm.emit(Inst::ldr(Lr, self.own_count()));
        asm.mov_const(R6, self.own(tape::order));
        asm.emit(Inst::add(R6, R6, Src::Reg(R0, Shift::Lsl(1))));
        asm.emit(Inst::mov(R10, R6));
        asm.bind(again);
        asm.emit(Inst::ldr(R1, Addr::Index(R4, R0, 2)));
        asm.emit(Inst::mov(R7, R10));
        asm.emit(Inst::cmp(R7, R6));
        asm.b_if(Cond::Eq, stop);
        asm.bind(look);
        asm.emit(load_half(R2, Addr::Pre(R7, -2)));
        asm.emit(Inst::ldr(R3, Addr::Index(R4, R2, 2)));
        asm.emit(Inst::cmp(R3, R1));
        asm.b_if(Cond::Ls, place);
        let shift = asm.here();
        asm.emit(store_half(R2, Addr::Offset(R7, 2)));
        asm.emit(Inst::cmp(R7, R6));
        asm.b_if(Cond::Ne, look);
        asm.b(stop);
        asm.bind(place);
        let found = asm.label();
        asm.b_if(Cond::Ne, found);
        asm.emit(Inst::ldr(R3, Addr::Index(R5, R2, 2)));
        asm.emit(Inst::ldr(R12, Addr::Index(R5, R0, 2)));
        asm.emit(Inst::cmp(R3, R12));
        asm.b_if(Cond::Hi, shift);
        asm.bind(found);
        asm.emit(Inst::add(R7, R7, 2));
        asm.bind(stop);
        asm.emit(store_half(R0, Addr::at(R7)));
        asm.emit(Inst::add(R0, R0, 1));
        asm.emit(Inst::add(R10, R10, 2));
        asm.emit(Inst::cmp(R0, Lr));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    /// r0 becomes the lane of an own spike.
    fn lane_of(&self, asm: &mut Assembler, entry: Reg) {
        asm.mov_const(R0, self.own(tape::place));
        asm.emit(Inst::add(R0, R0, words(entry)));
        asm.emit(load_half(R0, Addr::at(R0)));
    }

    /// Sends the spikes of the interval, and notes where in the inbox they were.
    fn emit_interval(&self, asm: &mut Assembler) {
        let (sends, keeps) = (self.has_consumers(), self.has_adjoint());
        if !sends && !keeps {
            return;
        }
        asm.comment("send them");
        asm.emit(Inst::ldr(R10, self.comms.control(names::INTERVAL)));
        asm.mov_const(R4, self.own(tape::order));
        asm.emit(Inst::add(R4, R4, Src::Reg(R10, Shift::Lsl(1))));
        if sends {
            asm.mov_const(R5, self.own(tape::time));
            asm.mov_const(R6, self.own(tape::place));
            self.comms.own_key(asm, self.spike_key(), None);
            asm.emit(Inst::mov(R7, R0));
        }
        let again = asm.here();
        asm.emit(load_half(R1, Addr::Post(R4, 2)));
        if keeps {
            asm.mov_const(R0, self.own_after());
            asm.emit(Inst::str(R9, Addr::Index(R0, R1, 2)));
            self.no_errors_yet(asm);
        }
        if sends {
            asm.emit(Inst::add(R0, R5, words(R1)));
            asm.emit(Inst::vldr(S0, R0, 0));
            asm.emit(Inst::add(R0, R6, words(R1)));
            asm.emit(load_half(R0, Addr::at(R0)));
            asm.emit(Inst::orr(R0, R0, R7));
            asm.bl(self.routines.send_payload);
        }
        asm.emit(Inst::add(R10, R10, 1));
        asm.emit(Inst::ldr(R0, self.own_count()));
        asm.emit(Inst::cmp(R10, R0));
        asm.b_if(Cond::Ne, again);
    }

    /// `fire`: records a spike of the interval; r0 = lane, s0 = time, s1 on = the fields. Changes r0 to r3 and r12.
    fn exact_fire(&self, asm: &mut Assembler) {
        let process = self.context.process();
        asm.place_pool();
        self.annotate(asm, "record a spike");
        asm.function("fire", self.context.labels.fire);
        asm.mov_const(R12, self.context.memory.addr(super::comms::CONTROL));
        let at = |name: &str| Addr::Offset(R12, self.comms.offset(name));
        let count = at(&tape::count(&process.name));
        let (full, outside, inside) = (asm.label(), asm.label(), asm.label());
        if self.steps_forward() > 1 {
            asm.emit(Inst::ldr(R1, at(names::BIN)));
            asm.emit(Inst::orr(R0, R0, Src::Reg(R1, Shift::Lsl(16))));
        }
        asm.comment("within the interval?");
        asm.emit(Inst::FMoveToCore { rt: R1, sn: S0 });
        asm.emit(Inst::ldr(R2, at(names::TIME)));
        asm.emit(Inst::ldr(R3, at(names::UNTIL)));
        asm.emit(Inst::sub(R3, R3, R2));
        asm.emit(Inst::sub(R2, R1, R2));
        asm.emit(Inst::cmp(R2, R3));
        asm.b_if(Cond::Hi, outside);
        asm.bind(inside);
        asm.emit(Inst::ldr(R3, count));
        let bound = plan::tape_bound(self.context.program, self.context.proc);
        compare(asm, R3, word(bound), R2);
        asm.b_if(Cond::Cs, full);
        let fields = process.tape.as_ref().map_or(0, |tape| tape.fields.len());
        for (symbol, reg) in [(tape::time as fn(&str) -> String, R1), (tape::place, R0)] {
            asm.mov_const(R2, self.own(symbol));
            asm.emit(Inst::str(reg, Addr::Index(R2, R3, 2)));
        }
        for field in 0..fields {
            asm.mov_const(R2, self.context.field(field));
            asm.emit(Inst::add(R2, R2, words(R3)));
            asm.emit(Inst::vstr(SReg::ALL[1 + field], R2, 0));
        }
        asm.emit(Inst::add(R3, R3, 1));
        asm.emit(Inst::str(R3, count));
        asm.emit(Inst::ret());
        asm.bind(outside);
        asm.comment("into it: what is below, negative or no number to its beginning");
        asm.emit(Inst::ldr(R2, at(names::TIME)));
        asm.emit(Inst::ldr(R3, at(names::UNTIL)));
        asm.emit(Inst::cmp(R1, R3));
        asm.emit_if(Cond::Cc, Inst::mov(R3, R2));
        asm.mov_const(R2, INFINITY);
        asm.emit(Inst::cmp(R1, R2));
        asm.emit(Inst::mov(R1, R3));
        asm.b_if(Cond::Ls, inside);
        asm.emit(Inst::ldr(R1, at(names::TIME)));
        asm.b(inside);
        asm.bind(full);
        let over = asm.label();
        asm.emit(Inst::ldr(R1, at(names::STATUS)));
        asm.cbnz(R1, over);
        let code = (Status::SpikeTapeFull as u32) << 16 | number(self.context.proc);
        asm.mov_const(R1, code);
        asm.emit(Inst::str(R1, at(names::STATUS)));
        asm.bind(over);
        asm.emit(Inst::ret());
    }
}

/// Bytes to a word.
fn offset(word: usize) -> i32 {
    i32::try_from(4 * word).unwrap_or(i32::MAX)
}

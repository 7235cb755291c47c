//! The driver of programs that go backwards: everything is kept that the way back asks for.
//!
//! Spikes that arrive are kept on a tape for each channel, with the places where the bins start, so that a delay
//! is an offset into these. Values are kept in slots ([`super::buffers`]), their errors as well ([`super::lags`]).
//! Errors of spikes lie beside the spikes.

use std::collections::BTreeSet;

use nirc_ir::event::{Chan, HandlerKind, Output, Proc, Process, Role};

use super::buffers::{names_bin, names_payload};
use super::comms::{Exits, orr_const, word_at, words};
use super::driver::{Driver, LEVEL, Need, chan_number, compare, extract_half, number, word};
use super::lags::Lags;
use super::names;
use super::plan::Fill;
use super::stream::{Turns, lanes_word, minus, plus, wrap};
use crate::abi::{self, INDEX_BITS, Kind, Status, tape};
use crate::thumb::Reg::{R0, R1, R2, R3, R9, R10, R11, R12};
use crate::thumb::{
    Addr, AluOp, Assembler, Cond, Inst, Label, LoadOp, MulAccOp, SReg, Shift, Src, StoreOp,
};

/// Steps.
impl Driver<'_> {
    pub(super) fn lags(&self) -> Lags<'_> {
        Lags::new(self.context.program)
    }

    /// Start of a sample: empty tapes, and no errors yet.
    pub(super) fn start_tapes(&self, asm: &mut Assembler) {
        let process = self.context.process();
        let (program, proc) = (self.context.program, self.context.proc);
        asm.emit(Inst::mov(R0, 0));
        if process.tape.is_some() && self.role() != Role::Source {
            asm.emit(Inst::str(
                R0,
                self.comms.control(&tape::count(&process.name)),
            ));
        }
        for chan in super::plan::spike_errors(program, proc) {
            let [next, end, bin] = names::error_cursor(process, chan);
            asm.emit(Inst::str(R0, self.comms.control(&next)));
            asm.emit(Inst::str(R0, self.comms.control(&end)));
            let silent = self.lags().silent(chan).min(self.steps_forward());
            asm.mov_const(R1, self.steps_forward() - silent);
            asm.emit(Inst::str(R1, self.comms.control(&bin)));
        }
        for chan in super::plan::spiking(program, proc) {
            asm.mov_const(R1, self.input(names::input_source, chan));
            asm.mov_const(R2, self.input(names::input_start, chan));
            asm.emit(Inst::str(R1, Addr::at(R2)));
        }
        for chan in self.value_errors() {
            let [next, read] = names::value_errors_cursors(process, chan);
            let slots = self.error_slots(chan);
            asm.mov_const(R0, slots.first);
            asm.emit(Inst::str(R0, self.comms.control(&read)));
            let late = slots.each.saturating_mul(self.lags().late(chan));
            plus(asm, R0, R0, late, R1);
            asm.emit(Inst::str(R0, self.comms.control(&next)));
        }
        self.fill(asm, &self.fillers());
    }

    /// The errors of values that come later than others.
    pub(super) fn fillers(&self) -> Vec<Fill> {
        let fill = |chan| Fill {
            addr: self.error_slots(chan).first,
            words: lanes_word(self.context.process().lanes, 1)
                .saturating_mul(self.lags().late(chan)),
            value: self.lags().filler(chan),
        };
        let fills = self.value_errors().into_iter().map(fill);
        fills.filter(|fill| fill.words > 0).collect()
    }

    fn value_errors(&self) -> Vec<Chan> {
        self.lags().value_errors(self.context.proc)
    }

    fn error_slots(&self, chan: Chan) -> Turns {
        let process = self.context.process();
        let symbol = names::value_errors(process, chan);
        Turns {
            first: self.context.memory.addr(&symbol),
            end: self.context.memory.end(&symbol),
            each: lanes_word(process.lanes, 4),
        }
    }

    /// End of a sample: what comes from now on is of the next one.
    pub(super) fn rewind_tapes(&self, asm: &mut Assembler) {
        if !self.has_adjoint() {
            return;
        }
        for chan in super::plan::spiking(self.context.program, self.context.proc) {
            let next = names::input_next(self.context.process(), chan);
            asm.mov_const(R0, self.input(names::input_source, chan));
            asm.emit(Inst::str(R0, self.comms.control(&next)));
        }
    }

    fn input(&self, name: fn(&Process, Chan) -> String, chan: Chan) -> u32 {
        self.context
            .memory
            .addr(&name(self.context.process(), chan))
    }

    pub(super) fn forward(&self, asm: &mut Assembler) {
        self.annotate(asm, "forward");
        asm.emit(Inst::mov(R11, 0));
        let given = self.context.process().output == Output::Given;
        if self.role() == Role::Source && !given {
            self.input_list(asm);
        }
        let again = asm.here();
        asm.bl(self.routines.wait_forward);
        asm.emit(Inst::str(R11, self.comms.control(names::BIN)));
        match self.role() {
            Role::Source if given => self.give(asm),
            Role::Source => self.source_step(asm),
            Role::Loss => {
                self.take(asm);
                self.turn(asm);
            }
            Role::Neurons | Role::Optimiser(_) => self.neuron_step(asm),
        }
        self.annotate(asm, "forward");
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, self.steps_forward(), R0);
        asm.b_if(Cond::Ne, again);
    }

    /// r9 and r10 become start and end of the sample's input.
    pub(super) fn input_list(&self, asm: &mut Assembler) {
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
        if self.has_consumers() {
            asm.emit(extract_half(R0, R0));
            self.comms.own_key(asm, self.spike_key(), Some(R0));
            asm.bl(self.routines.send);
        }
        asm.b(again);
        asm.bind(over);
    }

    fn neuron_step(&self, asm: &mut Assembler) {
        let silent = asm.label();
        if self.context.program.first_tick > 0 {
            asm.emit(Inst::cmp(R11, 0));
            asm.b_if(Cond::Eq, silent);
        }
        self.take(asm);
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
        if let Output::State(state) = process.output {
            self.send_state(asm, state);
        }
    }

    /// Calls a handler for each spike that is taken in this bin, ascending.
    pub(super) fn take_tape(&self, asm: &mut Assembler, chan: Chan, delay: u32, handler: Label) {
        match delay {
            0 => asm.emit(Inst::mov(R0, R11)),
            _ => minus(asm, R0, R11, delay, R1),
        }
        self.for_inputs(asm, chan, handler, |_| {});
    }

    /// Calls a handler for each spike of a channel in the bin that r0 holds.
    fn for_inputs(
        &self,
        asm: &mut Assembler,
        chan: Chan,
        handler: Label,
        after: impl Fn(&mut Assembler),
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
        after(asm);
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    /// Number of all steps.
    fn steps(&self) -> u32 {
        self.steps_forward() + self.lags().steps()
    }

    pub(super) fn adjoint(&self, asm: &mut Assembler) {
        let (over, steps) = (asm.label(), self.steps());
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
        self.number_step(asm);
        match self.role() {
            _ if !self.is_exact() => self.adjoint_step(asm),
            Role::Loss => self.loss_back(asm),
            _ => self.neurons_back(asm),
        }
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, steps, R0);
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    /// Lets the current bin be the number of the step, which counts down to 0.
    fn number_step(&self, asm: &mut Assembler) {
        asm.mov_const(R0, self.steps() - 1);
        asm.emit(Inst::sub(R0, R0, R11));
        asm.emit(Inst::str(R0, self.comms.control(names::BIN)));
    }

    fn adjoint_step(&self, asm: &mut Assembler) {
        let program = self.context.program;
        let incoming = program.incoming(self.context.proc).map(|(chan, _)| chan);
        let incoming: Vec<Chan> = incoming.collect();
        for chan in super::plan::spiking(program, self.context.proc) {
            self.messages(asm, chan);
        }
        self.own_values(asm);
        if let Some(tick) = self.handlers.get(HandlerKind::AdjointTick) {
            asm.bl(tick);
        }
        if let Some(spike) = self.handlers.get(HandlerKind::Spike) {
            self.own_spikes(asm, spike);
        }
        for &chan in &incoming {
            if program.carries_values(chan) {
                self.value_gradients(asm, chan);
                self.value_messages(asm, chan);
            } else {
                self.gradients(asm, chan);
            }
        }
        if let Some(tick) = self.handlers.get(HandlerKind::GradientTick) {
            asm.bl(tick);
        }
    }

    /// Sends an error for each spike that was taken in this step's bin.
    fn messages(&self, asm: &mut Assembler, chan: Chan) {
        self.taken_back(asm, HandlerKind::Message(chan), chan, |asm, handler| {
            self.for_inputs(asm, chan, handler, |asm| self.send_error(asm, chan));
        });
    }

    fn gradients(&self, asm: &mut Assembler, chan: Chan) {
        self.taken_back(asm, HandlerKind::Gradient(chan), chan, |asm, handler| {
            self.for_inputs(asm, chan, handler, |_| {});
        });
    }

    /// Calls a handler for each value that was taken in this step's bin, with its address if it asks for it.
    fn value_gradients(&self, asm: &mut Assembler, chan: Chan) {
        let kind = HandlerKind::Gradient(chan);
        let handler = self.context.process().handler(kind);
        let asks = handler.is_some_and(|handler| names_payload(&handler.body));
        let from = self.producer(chan);
        self.taken_back(asm, kind, chan, |asm, handler| {
            if asks {
                let turns = self.turns(from);
                asm.mov_const(R9, turns.first);
                asm.mov_const(R1, turns.each);
                asm.emit(Inst::MulAcc {
                    op: MulAccOp::Mla,
                    rd: R9,
                    rn: R0,
                    rm: R1,
                    ra: R9,
                });
            }
            self.for_values(asm, chan, (handler, asks), |_| {});
        });
    }

    /// Sends an error for each value that was taken in this step's bin.
    fn value_messages(&self, asm: &mut Assembler, chan: Chan) {
        self.taken_back(asm, HandlerKind::Message(chan), chan, |asm, handler| {
            self.for_values(asm, chan, (handler, false), |asm| {
                asm.emit(Inst::mov(R0, R10));
                self.send_error_to(asm, chan);
            });
        });
    }

    /// Calls a handler for every source; if it asks for their values, r9 is the address of the first one.
    pub(super) fn for_values(
        &self,
        asm: &mut Assembler,
        chan: Chan,
        (handler, asks): (Label, bool),
        after: impl Fn(&mut Assembler),
    ) {
        asm.comment(format!("values of {chan}"));
        let lanes = self.context.program.processes[self.producer(chan)].lanes;
        asm.emit(Inst::mov(R10, 0));
        let again = asm.here();
        asm.emit(Inst::mov(R0, R10));
        if asks {
            asm.emit(Inst::mov(R1, R9));
            asm.emit(Inst::add(R9, R9, 4));
        }
        asm.bl(handler);
        after(asm);
        asm.emit(Inst::add(R10, R10, 1));
        compare(asm, R10, lanes_word(lanes, 1), R0);
        asm.b_if(Cond::Ne, again);
    }

    /// Does something with a handler of the way back, if there is one, and with the bin in r0 in which was emitted
    /// what is taken over its channel in this step; nothing, if there is no such bin, or no error for it.
    fn taken_back(
        &self,
        asm: &mut Assembler,
        kind: HandlerKind,
        chan: Chan,
        call: impl Fn(&mut Assembler, Label),
    ) {
        let program = self.context.program;
        let (Some(handler), Some(label)) = (
            self.context.process().handler(kind),
            self.handlers.get(kind),
        ) else {
            return;
        };
        let (lag, first) = (self.lags().lag(chan), program.first_tick);
        let of_values = program.carries_values(chan);
        let message = matches!(kind, HandlerKind::Message(_));
        // What was emitted before the first tick gets no error.
        let least = match message && of_values {
            true => lag,
            false => lag.saturating_sub(first),
        };
        if least >= self.lags().steps() {
            return;
        }
        let nothing = asm.label();
        asm.emit(Inst::ldr(R0, self.comms.control(names::BIN)));
        if least > 0 {
            compare(asm, R0, least, R1);
            asm.b_if(Cond::Lt, nothing);
        }
        if message && !of_values && self.role() == Role::Loss && lag == 0 {
            asm.comment("not for the last bin");
            compare(asm, R0, self.lags().steps() - 1, R1);
            asm.b_if(Cond::Eq, nothing);
        }
        if lag > first {
            minus(asm, R0, R0, lag - first, R1);
        } else if first > lag {
            asm.emit(Inst::add(R0, R0, first - lag));
        }
        let told = lag != first && names_bin(&handler.body);
        if told {
            asm.emit(Inst::str(R0, self.comms.control(names::BIN)));
        }
        call(asm, label);
        if told {
            self.number_step(asm);
        }
        asm.bind(nothing);
    }

    /// Sends s0 to the source that was taken last.
    fn send_error(&self, asm: &mut Assembler, chan: Chan) {
        asm.emit(Inst::Load {
            op: LoadOp::Ldrh,
            rt: R0,
            addr: Addr::Offset(R9, -2),
        });
        self.send_error_to(asm, chan);
    }

    /// Sends s0 to the source in r0.
    pub(super) fn send_error_to(&self, asm: &mut Assembler, chan: Chan) {
        let key = abi::key(0, chan_number(chan), Kind::Error, 0);
        orr_const(asm, R0, R0, key, R1);
        asm.bl(self.routines.error);
    }

    /// Calls the handler for the values of this step's bin, if there are errors of them.
    fn own_values(&self, asm: &mut Assembler) {
        let channels = self.value_errors();
        let least = self.lags().least_silent(self.context.proc);
        let (Some(handler), Some(least), false) = (
            self.handlers.get(HandlerKind::Value),
            least,
            channels.is_empty(),
        ) else {
            return;
        };
        let nothing = asm.label();
        asm.comment("errors of own values");
        if least > 0 {
            asm.emit(Inst::ldr(R0, self.comms.control(names::BIN)));
            compare(asm, R0, self.lags().steps() - least, R1);
            asm.b_if(Cond::Ge, nothing);
        }
        asm.bl(handler);
        for chan in channels {
            let read = names::value_errors_read(self.context.process(), chan);
            let slots = self.error_slots(chan);
            asm.emit(Inst::ldr(R0, self.comms.control(&read)));
            plus(asm, R0, R0, slots.each, R1);
            wrap(asm, R0, slots, R1);
            asm.emit(Inst::str(R0, self.comms.control(&read)));
        }
        asm.bind(nothing);
    }

    /// Calls the handler for each own spike of this step's bin.
    fn own_spikes(&self, asm: &mut Assembler, handler: Label) {
        let first = self.context.program.first_tick;
        asm.comment(match first {
            0 => "own spikes of the bin",
            _ => "own spikes of the bin above",
        });
        asm.emit(Inst::ldr(R0, self.comms.control(names::BIN)));
        let starts = names::own_start(self.context.process());
        asm.mov_const(R1, self.context.memory.addr(&starts));
        asm.emit(Inst::add(R1, R1, words(R0)));
        asm.emit(Inst::LoadPair {
            rt: R9,
            rt2: R10,
            addr: Addr::Offset(R1, 4 * first.cast_signed()),
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
}

/// Packets and waiting.
impl Driver<'_> {
    /// How far those have to be that send errors here, and those that take them.
    pub(super) fn adjoint_needs(&self) -> Vec<Need> {
        let (lags, proc) = (self.lags(), self.context.proc);
        let senders = lags.senders(proc);
        let takers: BTreeSet<Proc> = lags.takers(proc).difference(&senders).copied().collect();
        // Of one that only takes them, this is the window.
        let within = |p: Proc| Need::Within(p, lags.slack(proc, p));
        senders.into_iter().chain(takers).map(within).collect()
    }

    /// What a neighbour has finished when nothing of the sample is left to come from it.
    pub(super) fn last_need(&self, neighbour: Proc) -> Need {
        match self.context.program.processes[neighbour].role {
            Role::Source if self.has_adjoint() => Need::Forward(neighbour),
            _ => Need::Within(neighbour, LEVEL),
        }
    }

    fn tapes_of(&self, from: Proc) -> impl Iterator<Item = Chan> + '_ {
        let (program, proc) = (self.context.program, self.context.proc);
        let channels = super::plan::spiking(program, proc);
        channels.filter(move |&chan| program.channels[chan].from == from)
    }

    /// Appends the lane in r0 to the tapes of the channels from `from`.
    pub(super) fn received(&self, asm: &mut Assembler, from: Proc, exits: Exits) {
        for chan in self.tapes_of(from) {
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
    pub(super) fn progressed(&self, asm: &mut Assembler, from: Proc, exits: Exits) {
        asm.emit(Inst::ldr(R2, self.progress(from)));
        asm.emit(Inst::add(R2, R2, 1));
        asm.emit(Inst::str(R2, self.progress(from)));
        let channels: Vec<Chan> = self.tapes_of(from).collect();
        if channels.is_empty() {
            return;
        }
        if self.context.program.processes[from].role != Role::Source {
            compare(asm, R2, self.steps_forward(), R3);
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
    /// A consumer sends errors bin by bin downwards, from the last bin that it took anything of, and in each bin in
    /// the order of our tape.
    pub(super) fn error_received(&self, asm: &mut Assembler, chan: Chan, exits: Exits) {
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
            op: AluOp::Eor,
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

    /// Puts the error in r2 behind the last one of the channel.
    pub(super) fn value_error_received(&self, asm: &mut Assembler, chan: Chan) {
        if !self.value_errors().contains(&chan) {
            // There are none.
            return;
        }
        let [next, _] = names::value_errors_cursors(self.context.process(), chan);
        asm.emit(Inst::ldr(R3, self.comms.control(&next)));
        asm.emit(Inst::str(R2, Addr::Post(R3, 4)));
        wrap(asm, R3, self.error_slots(chan), R1);
        asm.emit(Inst::str(R3, self.comms.control(&next)));
    }

    /// `fire`: records and emits a spike; r0 = lane, s0 on = the fields. Changes r0 to r3 and r12.
    pub(super) fn fire(&self, asm: &mut Assembler) {
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
            self.no_errors(asm);
            asm.emit(Inst::add(R1, R1, 1));
            asm.emit(Inst::str(R1, count));
            full
        });
        if process.output == Output::Spikes && self.has_consumers() {
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

    /// Fills the places of the errors of the own spike in r1. Changes r2 and r3.
    fn no_errors(&self, asm: &mut Assembler) {
        let lags = self.lags();
        let channels = super::plan::spike_errors(self.context.program, self.context.proc);
        let mut known = None;
        let fillers = channels
            .into_iter()
            .map(|chan| (lags.filler(chan).to_bits(), chan));
        // Those filled alike, one after another.
        let fillers: BTreeSet<(u32, Chan)> = fillers.collect();
        for (bits, chan) in fillers {
            if known != Some(bits) {
                asm.comment("no error yet");
                asm.mov_const(R3, bits);
                known = Some(bits);
            }
            asm.mov_const(R2, self.context.error(chan));
            asm.emit(Inst::str(R3, word_at(R2, R1)));
        }
    }
}

//! The driver of programs that do not go backwards: nothing is kept once it has been taken.
//!
//! What arrives goes into slots, one a bin, that are used in turn ([`super::buffers`]). Spikes are written
//! behind one another until the producer's marker closes the slot; values need no marker, as there are as many
//! in each bin. What is given and recorded lies in rows, one a bin of the segment.

use nirc_ir::event::{Array, Chan, HandlerKind, Output, Proc, Role};

use super::buffers::{SPIKES, names_bin};
use super::comms::orr_const;
use super::driver::{Driver, Need, compare};
use super::names;
use crate::abi::{self, tape};
use crate::thumb::Reg::{R0, R1, R2, R3, R4, R5, R7, R9, R10, R11, R12};
use crate::thumb::{
    Addr, AluOp, Assembler, BitsOp, Cond, Inst, Label, LoadOp, Reg, Shift, ShiftOp, Src, StoreOp,
};

/// A range of slots that are used in turn.
#[derive(Clone, Copy)]
pub(super) struct Turns {
    pub(super) first: u32,
    pub(super) end: u32,
    /// Bytes of a slot.
    pub(super) each: u32,
}

/// Steps.
impl Driver<'_> {
    /// The steps of a sample.
    pub(super) fn stream(&self, asm: &mut Assembler) {
        self.annotate(asm, "forward");
        asm.emit(Inst::mov(R11, 0));
        let again = asm.here();
        asm.bl(self.routines.wait_forward);
        self.current(asm, R11);
        match self.role() {
            Role::Source => self.give(asm),
            Role::Loss => {
                self.take(asm);
                self.turn(asm);
            }
            Role::Neurons | Role::Optimiser(_) => self.stream_neurons(asm),
        }
        self.annotate(asm, "forward");
        self.mark(asm);
        asm.emit(Inst::add(R11, R11, 1));
        compare(asm, R11, self.steps_forward(), R0);
        asm.b_if(Cond::Ne, again);
    }

    /// Lets `bin` be the current one for handlers. Changes r1.
    fn current(&self, asm: &mut Assembler, bin: Reg) {
        asm.emit(Inst::str(bin, self.comms.control(names::BIN)));
        if self.context.buffers().counts_rows() {
            asm.emit(Inst::ldr(R1, self.comms.control(abi::ORIGIN)));
            asm.emit(Inst::sub(R1, bin, R1));
            asm.emit(Inst::str(R1, self.comms.control(names::ROW)));
        }
    }

    /// `to` becomes the address of the current bin's row. Changes r0 and r1.
    fn row(&self, asm: &mut Assembler, to: Reg, symbol: &str, bytes: u32) {
        let row = if self.context.buffers().counts_rows() {
            asm.emit(Inst::ldr(R0, self.comms.control(names::ROW)));
            R0
        } else {
            R11
        };
        asm.mov_const(R1, bytes);
        asm.emit(Inst::mul(R0, row, R1));
        asm.mov_const(to, self.context.memory.addr(symbol));
        asm.emit(Inst::add(to, to, R0));
    }

    pub(super) fn has_consumers(&self) -> bool {
        let mut outgoing = self.context.program.outgoing(self.context.proc);
        outgoing.next().is_some()
    }

    pub(super) fn emits_values(&self) -> bool {
        self.context.process().output != Output::Spikes && self.has_consumers()
    }

    /// Sends what the sample has for this bin.
    pub(super) fn give(&self, asm: &mut Assembler) {
        if !self.has_consumers() {
            return;
        }
        let process = self.context.process();
        if process.output == Output::Given {
            let bytes = lanes_word(process.lanes, 4);
            self.row(asm, R9, &tape::given(&process.name), bytes);
            self.send_all(asm);
        } else {
            self.give_spikes(asm);
        }
    }

    /// Sends a spike for each bit of a row.
    fn give_spikes(&self, asm: &mut Assembler) {
        let process = self.context.process();
        let bytes = self.context.buffers().raster_row();
        self.row(asm, R9, &tape::raster(&process.name), bytes);
        plus(asm, R10, R9, bytes, R0);
        self.comms.own_key(asm, self.spike_key(), None);
        asm.emit(Inst::mov(R7, R0));
        let (word, bit, next) = (asm.here(), asm.label(), asm.label());
        asm.emit(Inst::ldr(R4, Addr::Post(R9, 4)));
        asm.cbz(R4, next);
        asm.bind(bit);
        asm.comment("the lowest bit");
        asm.emit_all([
            Inst::Bits {
                op: BitsOp::Rbit,
                rd: R0,
                rm: R4,
            },
            Inst::Bits {
                op: BitsOp::Clz,
                rd: R0,
                rm: R0,
            },
        ]);
        asm.emit(Inst::sub(R5, R4, 1));
        asm.emit(Inst::add(R0, R0, R7));
        asm.bl(self.routines.send);
        asm.emit(Inst::ands(R4, R4, R5));
        asm.b_if(Cond::Ne, bit);
        asm.bind(next);
        asm.emit(Inst::add(R7, R7, 32));
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, word);
    }

    /// Sends the values from r9 on, one a lane.
    fn send_all(&self, asm: &mut Assembler) {
        let lanes = self.context.process().lanes;
        plus(asm, R10, R9, lanes_word(lanes, 4), R0);
        self.comms.own_key(asm, self.spike_key(), None);
        asm.bl(self.routines.send_values);
    }

    fn stream_neurons(&self, asm: &mut Assembler) {
        let silent = asm.label();
        let first = self.context.program.first_tick;
        if first > 0 {
            compare(asm, R11, first, R0);
            asm.b_if(Cond::Lt, silent);
        }
        self.take(asm);
        if let Some(tick) = self.handlers.get(HandlerKind::Tick) {
            let process = self.context.process();
            if process.tape.is_some() {
                let bytes = self.context.buffers().raster_row();
                self.row(asm, R2, &tape::raster(&process.name), bytes);
                let row = self.comms.control(&names::raster_row(process));
                asm.emit(Inst::str(R2, row));
            }
            asm.bl(tick);
        }
        asm.bind(silent);
        if let Output::State(state) = self.context.process().output {
            self.send_state(asm, state);
        }
    }

    pub(super) fn send_state(&self, asm: &mut Assembler, state: Array) {
        if self.has_consumers() {
            asm.mov_const(R9, self.context.array(state));
            self.send_all(asm);
        }
    }

    /// Calls the handlers for everything that is taken in this bin.
    pub(super) fn take(&self, asm: &mut Assembler) {
        let process = self.context.process();
        // Steps before the first tick take nothing.
        let first = match process.role {
            Role::Neurons => self.context.program.first_tick,
            _ => 0,
        };
        let mut told = false;
        for (chan, delay) in self.context.buffers().taken() {
            let kind = HandlerKind::Event(chan);
            let (Some(handler), Some(label)) = (process.handler(kind), self.handlers.get(kind))
            else {
                continue;
            };
            if !self.has_adjoint() {
                asm.comment(format!("what comes over {chan}"));
            }
            let nothing = asm.label();
            if delay > first {
                compare(asm, R11, delay, R0);
                asm.b_if(Cond::Lt, nothing);
            }
            if names_bin(&handler.body) && (delay > 0 || told) {
                told = true;
                minus(asm, R0, R11, delay, R1);
                self.current(asm, R0);
            }
            if self.context.program.carries_values(chan) {
                self.take_values(asm, chan, label);
            } else if self.has_adjoint() {
                self.take_tape(asm, chan, delay, label);
            } else {
                self.take_spikes(asm, chan, label);
            }
            asm.bind(nothing);
        }
        if told {
            self.current(asm, R11);
        }
    }

    pub(super) fn turns(&self, from: Proc) -> Turns {
        let program = self.context.program;
        let symbol = names::slots(self.context.process(), &program.processes[from]);
        Turns {
            first: self.context.memory.addr(&symbol),
            end: self.context.memory.end(&symbol),
            each: self.context.buffers().slot(from),
        }
    }

    pub(super) fn producer(&self, chan: Chan) -> Proc {
        self.context.program.channels[chan].from
    }

    fn read(&self, chan: Chan) -> Addr {
        let read = names::slot_read(self.context.process(), chan);
        self.comms.control(&read)
    }

    /// Calls a handler for each spike of the bin that is taken next, ascending.
    fn take_spikes(&self, asm: &mut Assembler, chan: Chan, handler: Label) {
        asm.emit(Inst::ldr(R0, self.read(chan)));
        asm.emit(Inst::ldr(R10, Addr::at(R0)));
        asm.emit(Inst::add(R9, R0, SPIKES));
        let turns = self.turns(self.producer(chan));
        plus(asm, R0, R0, turns.each, R1);
        wrap(asm, R0, turns, R1);
        asm.emit(Inst::str(R0, self.read(chan)));
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
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }

    /// Calls a handler for every source, with the address of its value.
    fn take_values(&self, asm: &mut Assembler, chan: Chan, handler: Label) {
        let from = self.producer(chan);
        let lanes = self.context.program.processes[from].lanes;
        asm.emit(Inst::ldr(R9, self.read(chan)));
        asm.emit(Inst::mov(R10, 0));
        let again = asm.here();
        asm.emit(Inst::mov(R0, R10));
        asm.emit(Inst::mov(R1, R9));
        asm.bl(handler);
        asm.emit(Inst::add(R9, R9, 4));
        asm.emit(Inst::add(R10, R10, 1));
        compare(asm, R10, lanes_word(lanes, 1), R0);
        asm.b_if(Cond::Ne, again);
        wrap(asm, R9, self.turns(from), R0);
        asm.emit(Inst::str(R9, self.read(chan)));
    }

    /// Sets the slots back: what comes from now on is of the next sample.
    pub(super) fn rewind(&self, asm: &mut Assembler) {
        let buffers = self.context.buffers();
        for from in buffers.producers() {
            if buffers.slots(from) == 0 {
                continue;
            }
            let [next, open] = self.cursors(from);
            asm.mov_const(R0, self.turns(from).first);
            if buffers.spikes(from) {
                asm.emit(Inst::str(R0, self.comms.control(&open)));
                asm.emit(Inst::add(R1, R0, SPIKES));
                asm.emit(Inst::str(R1, self.comms.control(&next)));
            } else {
                asm.emit(Inst::str(R0, self.comms.control(&next)));
            }
            for (chan, _) in buffers.taken() {
                if self.producer(chan) == from {
                    asm.emit(Inst::str(R0, self.read(chan)));
                }
            }
        }
    }

    /// Where the next packet of a process goes, and the slot of the bin that is coming in.
    fn cursors(&self, from: Proc) -> [String; 2] {
        let (process, from) = (
            self.context.process(),
            &self.context.program.processes[from],
        );
        [
            names::slot_next(process, from),
            names::slot_open(process, from),
        ]
    }
}

/// Packets and waiting.
impl Driver<'_> {
    /// Whether the host lets so many steps run at a time.
    pub(super) fn is_limited(&self) -> bool {
        !self.has_adjoint() && !self.is_exact() && self.context.buffers().is_cut()
    }

    /// How far each neighbour has to be in forward steps.
    pub(super) fn forward_needs(&self) -> Vec<Need> {
        let buffers = self.context.buffers();
        let neighbours = self.neighbours().into_iter();
        neighbours
            .map(|n| Need::Within(n, buffers.slack(n)))
            .collect()
    }

    /// Puts the lane in r0 into the slot that is coming in.
    pub(super) fn stream_received(&self, asm: &mut Assembler, from: Proc) {
        if self.context.buffers().slots(from) == 0 {
            return;
        }
        let [next, _] = self.cursors(from);
        asm.emit(Inst::ldr(R2, self.comms.control(&next)));
        asm.emit(Inst::Store {
            op: StoreOp::Strh,
            rt: R0,
            addr: Addr::Post(R2, 2),
        });
        asm.emit(Inst::str(R2, self.comms.control(&next)));
    }

    /// Puts the value in r2 behind the last one.
    pub(super) fn stream_value(&self, asm: &mut Assembler, from: Proc) {
        if self.context.buffers().slots(from) == 0 {
            return;
        }
        let [next, _] = self.cursors(from);
        asm.emit(Inst::ldr(R3, self.comms.control(&next)));
        asm.emit(Inst::str(R2, Addr::Post(R3, 4)));
        wrap(asm, R3, self.turns(from), R1);
        asm.emit(Inst::str(R3, self.comms.control(&next)));
    }

    /// Counts a marker; a producer's closes the slot.
    pub(super) fn stream_progressed(&self, asm: &mut Assembler, from: Proc) {
        asm.emit(Inst::ldr(R2, self.progress(from)));
        asm.emit(Inst::add(R2, R2, 1));
        asm.emit(Inst::str(R2, self.progress(from)));
        let buffers = self.context.buffers();
        if buffers.slots(from) == 0 || !buffers.spikes(from) {
            return;
        }
        let [next, open] = self.cursors(from).map(|name| self.comms.control(&name));
        let turns = self.turns(from);
        asm.emit(Inst::ldr(R2, open));
        asm.emit(Inst::ldr(R3, next));
        asm.emit(Inst::str(R3, Addr::at(R2)));
        plus(asm, R2, R2, turns.each, R3);
        wrap(asm, R2, turns, R3);
        asm.emit(Inst::str(R2, open));
        asm.emit(Inst::add(R2, R2, SPIKES));
        asm.emit(Inst::str(R2, next));
    }

    /// `fire`: records and emits a spike; r0 = lane. Changes r0 to r3 and r12.
    pub(super) fn stream_fire(&self, asm: &mut Assembler) {
        let process = self.context.process();
        asm.place_pool();
        self.annotate(asm, "record and emit a spike");
        asm.function("fire", self.context.labels.fire);
        asm.mov_const(R12, self.context.memory.addr(super::comms::CONTROL));
        let at = |name: &str| Addr::Offset(R12, self.comms.offset(name));
        let sends = process.output == Output::Spikes && self.has_consumers();
        if process.tape.is_some() {
            asm.comment("its bit");
            asm.emit(Inst::ldr(R1, at(&names::raster_row(process))));
            asm.emit(Inst::add(R1, R1, Src::Reg(R0, Shift::Lsr(3))));
            asm.emit(Inst::and(R2, R0, 7));
            asm.emit(Inst::mov(R3, 1));
            asm.emit(Inst::Shift {
                op: ShiftOp::Lsl,
                s: false,
                rd: R3,
                rn: R3,
                rm: R2,
            });
            asm.emit(Inst::Load {
                op: LoadOp::Ldrb,
                rt: R2,
                addr: Addr::at(R1),
            });
            asm.emit(Inst::orr(R2, R2, R3));
            asm.emit(Inst::Store {
                op: StoreOp::Strb,
                rt: R2,
                addr: Addr::at(R1),
            });
        }
        if !sends {
            asm.emit(Inst::ret());
            return;
        }
        asm.emit(Inst::ldr(R1, at(names::CONFIG)));
        asm.emit(Inst::orr(R0, R0, R1));
        orr_const(asm, R0, R0, self.spike_key(), R1);
        asm.b(self.routines.send);
    }
}

/// From the end of the slots back to their first.
pub(super) fn wrap(asm: &mut Assembler, reg: Reg, turns: Turns, scratch: Reg) {
    let within = asm.label();
    asm.mov_const(scratch, turns.end);
    asm.emit(Inst::cmp(reg, scratch));
    asm.b_if(Cond::Ne, within);
    asm.mov_const(reg, turns.first);
    asm.bind(within);
}

/// `to = from + number`.
pub(super) fn plus(asm: &mut Assembler, to: Reg, from: Reg, number: u32, scratch: Reg) {
    by_constant(asm, AluOp::Add, [to, from, scratch], number);
}

/// `to = from - number`.
pub(super) fn minus(asm: &mut Assembler, to: Reg, from: Reg, number: u32, scratch: Reg) {
    by_constant(asm, AluOp::Sub, [to, from, scratch], number);
}

/// Adds or subtracts a constant, by way of the last register where the instruction cannot hold it.
fn by_constant(asm: &mut Assembler, op: AluOp, [rd, rn, scratch]: [Reg; 3], number: u32) {
    let alu = |src| Inst::Alu {
        op,
        s: false,
        rd,
        rn,
        src,
    };
    let short = alu(Src::Imm(number));
    if short.encode().is_ok() {
        asm.emit(short);
    } else {
        asm.mov_const(scratch, number);
        asm.emit(alu(scratch.into()));
    }
}

pub(super) fn lanes_word(lanes: usize, bytes: usize) -> u32 {
    u32::try_from(lanes.saturating_mul(bytes)).unwrap_or(u32::MAX)
}

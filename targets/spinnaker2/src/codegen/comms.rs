//! Packets: the communication controller's set-up, sending, and the rings that received packets wait in.
//!
//! # Sleep
//! Interrupts stay masked. The two "not empty" interrupts are enabled all the same, because a pending one
//! ends `WFI`. [`Comms::drain`] clears the pending bits *before* it looks into the rings, so a packet that
//! arrives in between ends the next `WFI` at once and none is overlooked.

use nirc_ir::entity::Entity;
use nirc_ir::event::{Chan, Proc};

use super::driver::compare;
use super::hardware::{Fifo, Hardware};
use super::memory::Placed;
use super::names;
use crate::abi::{self, INDEX_BITS, Kind, SENDER_BITS, Status};
use crate::thumb::Reg::{R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10};
use crate::thumb::{Addr, Assembler, BarrierOp, Cond, HintOp, Inst, Label, Reg, Shift, Src};

/// The first word of the control block: r8 points to it in all code but handlers.
pub(super) const CONTROL: &str = names::CONFIG;

/// Most packets that are told apart one by one.
const IN_A_ROW: usize = 4;

/// What a process can receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet {
    Spike(Proc),
    /// A value that a process emitted; told from a spike by its payload.
    Value(Proc),
    Marker(Proc),
    Error(Chan),
    Command,
    Ready(Proc),
}

impl Packet {
    /// Number and kind in its key.
    fn sender(self) -> u32 {
        let (kind, number) = match self {
            Self::Spike(proc) | Self::Value(proc) => (Kind::Spike, proc.index()),
            Self::Marker(proc) => (Kind::Marker, proc.index()),
            Self::Error(chan) => (Kind::Error, chan.index()),
            Self::Command => (Kind::Command, 0),
            Self::Ready(proc) => (Kind::Command, proc.index()),
        };
        abi::sender(u32::try_from(number).unwrap_or(u32::MAX), kind)
    }
}

/// Emits what deals with a packet: r0 = its key, r2 = its payload; it may change r0 to r3.
pub(super) type Deal<'a> = &'a dyn Fn(&mut Assembler, Packet, Exits);

/// Where an action may go.
#[derive(Clone, Copy)]
pub(super) struct Exits {
    /// The packet has been dealt with.
    pub(super) done: Label,
    /// It cannot be; r0 = the status to report.
    pub(super) complain: Label,
}

/// A ring and what arrives in it.
struct Ring<'a> {
    fifo: &'a Fifo,
    symbol: &'static str,
    has_payload: bool,
    packets: &'a [Packet],
}

/// Code that talks to the communication controller.
pub(super) struct Comms<'a> {
    pub(super) hardware: &'a Hardware,
    pub(super) memory: &'a Placed,
    /// Whether all packets of the PE have a payload, but for reports, so that the transmitter is set for such.
    pub(super) payload: bool,
}

impl Comms<'_> {
    /// Offset of a word of the control block.
    pub(super) fn offset(&self, name: &str) -> i32 {
        let distance = self
            .memory
            .addr(name)
            .wrapping_sub(self.memory.addr(CONTROL));
        distance.cast_signed()
    }

    /// The address of a word of the control block.
    pub(super) fn control(&self, name: &str) -> Addr {
        Addr::Offset(R8, self.offset(name))
    }

    /// FPU, interrupts, rings, and r8.
    pub(super) fn set_up(&self, asm: &mut Assembler) {
        let hw = self.hardware;
        asm.emit(Inst::Cps { enable: false });
        asm.comment("FPU on");
        store(asm, hw.cpacr, 0x00F0_0000);
        asm.emit(Inst::Barrier { op: BarrierOp::Dsb });
        asm.emit(Inst::Barrier { op: BarrierOp::Isb });
        asm.mov_const(R4, hw.comms);
        let fifos = [
            (&hw.fifos[0], names::FIFO_PLAIN),
            (&hw.fifos[1], names::FIFO_PAYLOAD),
        ];
        for (fifo, ring) in fifos {
            self.set_up_ring(asm, fifo, ring);
        }
        asm.comment("receive");
        register(asm, hw.rctl.0, hw.rctl.1);
        asm.comment("transmit");
        register(asm, hw.tctl, hw.tctl_start);
        let payload = if self.payload {
            hw.tcr_payload
        } else {
            hw.tcr_plain
        };
        register(asm, hw.tcr, payload);
        asm.comment("wake on packets");
        store(asm, hw.nvic_enable, hw.interrupts());
        asm.mov_const(R8, self.memory.addr(CONTROL));
    }

    fn set_up_ring(&self, asm: &mut Assembler, fifo: &Fifo, ring: &'static str) {
        let hw = self.hardware;
        asm.comment(ring);
        asm.mov_const(R1, self.memory.addr(ring));
        asm.emit(Inst::ldr(R0, Addr::Offset(R4, hw.gctl.0)));
        asm.emit(Inst::orr(R2, R0, hw.gctl.1));
        asm.emit(Inst::str(R2, Addr::Offset(R4, hw.gctl.0)));
        asm.emit(Inst::str(R1, Addr::Offset(R4, fifo.write)));
        asm.emit(Inst::str(R0, Addr::Offset(R4, hw.gctl.0)));
        asm.emit(Inst::str(R1, Addr::Offset(R4, fifo.read)));
        asm.emit(Inst::str(R1, Addr::Offset(R4, fifo.start)));
        asm.mov_const(R1, self.memory.end(ring));
        asm.emit(Inst::str(R1, Addr::Offset(R4, fifo.end)));
        register(asm, fifo.control.0, fifo.control.1);
        register(asm, fifo.filter.0, fifo.filter.1);
    }

    /// `send`: a packet without payload; r0 = key. Changes r1 and r2.
    pub(super) fn send(&self, asm: &mut Assembler, label: Label) {
        let hw = self.hardware;
        asm.place_pool();
        asm.annotate("send");
        asm.function("send", label);
        asm.mov_const(R1, hw.comms);
        self.wait_for_transmitter(asm);
        if self.payload {
            asm.mov_const(R2, hw.tcr_plain);
            asm.emit(Inst::str(R2, Addr::Offset(R1, hw.tcr)));
        }
        asm.emit(Inst::str(R0, Addr::Offset(R1, hw.tkr)));
        if self.payload {
            self.wait_for_transmitter(asm);
            asm.mov_const(R2, hw.tcr_payload);
            asm.emit(Inst::str(R2, Addr::Offset(R1, hw.tcr)));
        }
        asm.emit(Inst::ret());
    }

    /// `send.payload`: a packet with payload; r0 = key, s0 = payload. Changes r1 and r2.
    pub(super) fn send_payload(&self, asm: &mut Assembler, label: Label) {
        let hw = self.hardware;
        asm.place_pool();
        asm.annotate("send.payload");
        asm.function("send.payload", label);
        asm.mov_const(R1, hw.comms);
        self.wait_for_transmitter(asm);
        self.begin_payload(asm);
        asm.emit(Inst::vstr(crate::thumb::SReg::S0, R1, hw.tdr));
        asm.emit(Inst::str(R0, Addr::Offset(R1, hw.tkr)));
        self.end_payload(asm);
        asm.emit(Inst::ret());
    }

    /// `send.values`: packets with the words from r9 up to r10; r0 = the first's key, which counts up. Changes
    /// r1 to r3 and r9.
    pub(super) fn send_values(&self, asm: &mut Assembler, label: Label) {
        let hw = self.hardware;
        asm.place_pool();
        asm.annotate("send.values");
        asm.function("send.values", label);
        asm.mov_const(R1, hw.comms);
        self.wait_for_transmitter(asm);
        self.begin_payload(asm);
        let again = asm.here();
        asm.emit(Inst::ldr(R3, Addr::Post(R9, 4)));
        self.wait_for_transmitter(asm);
        asm.emit(Inst::str(R3, Addr::Offset(R1, hw.tdr)));
        asm.emit(Inst::str(R0, Addr::Offset(R1, hw.tkr)));
        asm.emit(Inst::add(R0, R0, 1));
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        self.end_payload(asm);
        asm.emit(Inst::ret());
    }

    /// Lets packets have a payload from now on, if they have not anyway; r1 = the controller. Changes r2.
    fn begin_payload(&self, asm: &mut Assembler) {
        if !self.payload {
            asm.mov_const(R2, self.hardware.tcr_payload);
            asm.emit(Inst::str(R2, Addr::Offset(R1, self.hardware.tcr)));
        }
    }

    /// The opposite, once the last one has gone.
    fn end_payload(&self, asm: &mut Assembler) {
        if !self.payload {
            self.wait_for_transmitter(asm);
            asm.mov_const(R2, self.hardware.tcr_plain);
            asm.emit(Inst::str(R2, Addr::Offset(R1, self.hardware.tcr)));
        }
    }

    /// r1 = the controller; changes r2.
    fn wait_for_transmitter(&self, asm: &mut Assembler) {
        let poll = asm.here();
        asm.emit(Inst::ldr(R2, Addr::Offset(R1, self.hardware.tctl)));
        asm.emit(Inst::tst(R2, self.hardware.tctl_ready));
        asm.comment("until ready");
        asm.b_if(Cond::Eq, poll);
    }

    /// Puts `constant | config` into r0, as the key of what this PE says. `index` is in r0 already, if any.
    pub(super) fn own_key(&self, asm: &mut Assembler, key: u32, index: Option<Reg>) {
        asm.emit(Inst::ldr(R1, self.control(names::CONFIG)));
        match index {
            Some(index) => {
                asm.emit(Inst::orr(R0, index, R1));
                orr_const(asm, R0, R0, key, R1);
            }
            None => orr_const(asm, R0, R1, key, R0),
        }
    }

    /// `drain`: deals with all packets that have arrived. Changes r0 to r7.
    pub(super) fn drain(
        &self,
        asm: &mut Assembler,
        label: Label,
        [plain, payload]: [&[Packet]; 2],
        deal: Deal<'_>,
    ) {
        let hw = self.hardware;
        asm.place_pool();
        asm.annotate("drain");
        asm.function("drain", label);
        asm.comment("a packet from here on ends WFI");
        store(asm, hw.nvic_clear, hw.interrupts());
        asm.mov_const(R4, hw.comms);
        let mut complaints = Vec::new();
        let ring = Ring {
            fifo: &hw.fifos[0],
            symbol: names::FIFO_PLAIN,
            has_payload: false,
            packets: plain,
        };
        if !plain.is_empty() {
            complaints.push(self.ring(asm, &ring, deal));
        }
        let ring = Ring {
            fifo: &hw.fifos[1],
            symbol: names::FIFO_PAYLOAD,
            has_payload: true,
            packets: payload,
        };
        complaints.push(self.ring(asm, &ring, deal));
        asm.emit(Inst::ret());
        for exits in complaints {
            asm.bind(exits.complain);
            asm.comment("the first complaint stands");
            asm.emit(Inst::ldr(R1, self.control(names::STATUS)));
            asm.cbnz(R1, exits.done);
            asm.emit(Inst::str(R0, self.control(names::STATUS)));
            asm.b(exits.done);
        }
    }

    /// Empties a ring.
    fn ring(&self, asm: &mut Assembler, ring: &Ring<'_>, deal: Deal<'_>) -> Exits {
        asm.annotate(format!("drain: {}", ring.symbol));
        let fifo = ring.fifo;
        let empty = asm.label();
        let exits = Exits {
            done: asm.label(),
            complain: asm.label(),
        };
        // In this order, equal pointers mean a full ring, which only a broken bound can bring about.
        asm.emit(Inst::ldr(R0, Addr::Offset(R4, fifo.occupancy)));
        asm.cbz(R0, empty);
        asm.emit(Inst::ldr(R5, Addr::Offset(R4, fifo.write)));
        asm.emit(Inst::ldr(R6, Addr::Offset(R4, fifo.read)));
        asm.mov_const(R7, self.memory.end(ring.symbol));
        let next = asm.here();
        if ring.has_payload {
            asm.emit(Inst::LoadPair {
                rt: R0,
                rt2: R2,
                addr: Addr::Post(R6, 8),
            });
        } else {
            asm.emit(Inst::ldr(R0, Addr::Post(R6, 4)));
        }
        let (wrap, wrapped) = (asm.label(), asm.label());
        asm.emit(Inst::cmp(R6, R7));
        asm.b_if(Cond::Eq, wrap);
        asm.bind(wrapped);
        self.dispatch(asm, ring.packets, deal, exits);
        asm.bind(exits.done);
        asm.emit(Inst::cmp(R6, R5));
        asm.b_if(Cond::Ne, next);
        asm.emit(Inst::str(R6, Addr::Offset(R4, fifo.read)));
        let over = asm.label();
        asm.b(over);
        asm.bind(wrap);
        asm.mov_const(R6, self.memory.addr(ring.symbol));
        asm.b(wrapped);
        asm.bind(over);
        asm.bind(empty);
        exits
    }

    fn dispatch(&self, asm: &mut Assembler, packets: &[Packet], deal: Deal<'_>, exits: Exits) {
        asm.emit(Inst::Extract {
            signed: false,
            rd: R1,
            rn: R0,
            lsb: INDEX_BITS,
            width: SENDER_BITS,
        });
        let unknown = asm.label();
        let mut packets = packets.to_vec();
        if packets.len() > IN_A_ROW {
            packets.sort_by_key(|packet| packet.sender());
        }
        Self::tell_apart(asm, &packets, deal, exits, unknown);
        asm.bind(unknown);
        asm.emit(Inst::lsr(R0, R0, 16));
        asm.emit(Inst::orr(R0, R0, (Status::UnknownKey as u32) << 16));
        asm.b(exits.complain);
    }

    /// Deals with the packet whose sender is in r1: halves what it may be until few are left, one of which it is.
    fn tell_apart(
        asm: &mut Assembler,
        packets: &[Packet],
        deal: Deal<'_>,
        exits: Exits,
        unknown: Label,
    ) {
        if packets.len() > IN_A_ROW {
            let (lower, upper) = packets.split_at(packets.len() / 2);
            let below = asm.label();
            compare(asm, R1, upper[0].sender(), R3);
            asm.b_if(Cond::Cc, below);
            Self::tell_apart(asm, upper, deal, exits, unknown);
            asm.b(unknown);
            asm.bind(below);
            Self::tell_apart(asm, lower, deal, exits, unknown);
            return;
        }
        for &packet in packets {
            let other = asm.label();
            asm.comment(format!("{packet:?}"));
            compare(asm, R1, packet.sender(), R3);
            asm.b_if(Cond::Ne, other);
            deal(asm, packet, exits);
            asm.b(exits.done);
            asm.bind(other);
        }
    }

    /// Sleeps until something arrives.
    pub(super) fn sleep(&self, asm: &mut Assembler) {
        asm.emit(Inst::Hint { op: HintOp::Wfi });
    }
}

/// Stores a constant at an address; changes r0 and r1.
fn store(asm: &mut Assembler, addr: u32, value: u32) {
    asm.mov_const(R0, addr);
    asm.mov_const(R1, value);
    asm.emit(Inst::str(R1, Addr::at(R0)));
}

/// Sets a register of the controller in r4; changes r0.
fn register(asm: &mut Assembler, offset: i32, value: u32) {
    asm.mov_const(R0, value);
    asm.emit(Inst::str(R0, Addr::Offset(R4, offset)));
}

/// Sets the bits of a constant, by way of `scratch` where the instruction cannot hold it.
pub(super) fn orr_const(asm: &mut Assembler, to: Reg, from: Reg, value: u32, scratch: Reg) {
    let orr = Inst::orr(to, from, value);
    if orr.encode().is_ok() {
        asm.emit(orr);
    } else {
        asm.mov_const(scratch, value);
        asm.emit(Inst::orr(to, from, scratch));
    }
}

/// `base[index]` with words.
pub(super) fn word_at(base: Reg, index: Reg) -> Addr {
    Addr::Index(base, index, 2)
}

/// An operand four times a register.
pub(super) fn words(index: Reg) -> Src {
    Src::Reg(index, Shift::Lsl(2))
}

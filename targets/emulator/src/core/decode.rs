//! Thumb-2 instructions to micro-operations.
//!
//! [`decode`] is a pure function of the bytes, the address and whether an IT block is open. Encodings that are undefined or whose effect the
//! architecture leaves open become [`Op::Undefined`], which faults when it is executed, not when it is decoded: data may follow code.

mod narrow;
mod vfp;
mod wide;

use super::op::{Alu, Op, Reg, SCRATCH, SetFlags, Shift};

/// What one instruction is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    One(Op),
    /// An operation that writes [`SCRATCH`], and the jump that follows.
    Two(Op, Op),
    /// IT: the state it opens.
    It(u8),
}

impl From<Op> for Decoded {
    fn from(op: Op) -> Self {
        Decoded::One(op)
    }
}

/// One fetched instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetched {
    pub(crate) pc: u32,
    pub(crate) first: u16,
    /// 0 for a 16-bit instruction.
    pub(crate) second: u16,
    pub(crate) in_it: bool,
    pub(crate) last_in_it: bool,
}

impl Fetched {
    /// The PC as an instruction reads it.
    fn pc_value(&self) -> u32 {
        self.pc.wrapping_add(4)
    }

    fn pc_aligned(&self) -> u32 {
        self.pc_value() & !3
    }

    fn next(&self) -> u32 {
        self.pc
            .wrapping_add(if is_wide(self.first) { 4 } else { 2 })
    }

    fn undefined(&self) -> Decoded {
        Op::Undefined {
            first: self.first,
            second: self.second,
        }
        .into()
    }

    fn unsupported(&self) -> Decoded {
        Op::Unsupported {
            first: self.first,
            second: self.second,
        }
        .into()
    }
}

/// Whether a halfword is the first of a 32-bit instruction.
pub(crate) fn is_wide(first: u16) -> bool {
    first >= 0xe800
}

/// Decodes one instruction.
pub(crate) fn decode(f: &Fetched) -> Decoded {
    let decoded = if is_wide(f.first) {
        wide::decode(f)
    } else {
        narrow::decode(f)
    };
    // Inside an IT block only the last instruction may change the flow, and IT itself, CBZ and CPS may not stand there at all.
    if f.in_it && !allowed_in_it(&decoded, f.last_in_it) {
        return f.undefined();
    }
    decoded
}

fn allowed_in_it(decoded: &Decoded, last: bool) -> bool {
    match decoded {
        Decoded::It(_) => false,
        Decoded::Two(..) => last,
        Decoded::One(op) => match op {
            Op::Cbz { .. } | Op::Cps { .. } | Op::Bcond { .. } => false,
            op if op.ends_flow() => last,
            _ => true,
        },
    }
}

impl Op {
    /// Whether control does not simply go on with the next operation.
    pub(crate) fn ends_flow(&self) -> bool {
        matches!(
            self,
            Op::B { .. }
                | Op::Again
                | Op::Bl { .. }
                | Op::Bx { .. }
                | Op::Blx { .. }
                | Op::JumpLoaded
                | Op::JumpPlain
                | Op::TableBranch { .. }
                | Op::TableBranchPc { .. }
                | Op::Svc { .. }
                | Op::Wfi { .. }
                | Op::Wfe { .. }
        )
    }

    /// Whether nothing after it can be reached without a jump (unless it is skipped), because it faults or halts.
    pub(crate) fn never_continues(&self) -> bool {
        matches!(
            self,
            Op::Bkpt { .. }
                | Op::Halt
                | Op::ExecuteOutsideCode
                | Op::Undefined { .. }
                | Op::Unsupported { .. }
        )
    }
}

/// An ALU operation with a constant, as the most specific micro-operation.
fn alu_imm(op: Alu, s: SetFlags, rd: Reg, rn: Reg, imm: u32) -> Op {
    match (op, s) {
        (Alu::Mov, SetFlags::No) => Op::MovImm { rd, imm },
        (Alu::Mvn, SetFlags::No) => Op::MovImm { rd, imm: !imm },
        (Alu::Add, SetFlags::No) => Op::AddImm { rd, rn, imm },
        (Alu::Sub, SetFlags::No) => Op::AddImm {
            rd,
            rn,
            imm: imm.wrapping_neg(),
        },
        (Alu::Add, _) => Op::AddsImm { rd, rn, imm },
        (Alu::Sub, _) => Op::SubsImm { rd, rn, imm },
        _ => Op::AluImm { op, s, rd, rn, imm },
    }
}

/// An ALU operation with a register shifted by a constant, as the most specific micro-operation.
fn alu_shift(op: Alu, s: bool, rd: Reg, rn: Reg, rm: Reg, (shift, n): (Shift, u8)) -> Op {
    let plain = shift == Shift::Lsl && n == 0;
    match (op, s) {
        (Alu::Mov, false) if plain => Op::MovReg { rd, rm },
        (Alu::Mov, false) if shift == Shift::Lsl => Op::ShlImm { rd, rm, n },
        (Alu::Add, false) if plain => Op::AddReg { rd, rn, rm },
        (Alu::Add, false) if shift == Shift::Lsl => Op::AddShl { rd, rn, rm, n },
        (Alu::Sub, false) if plain => Op::SubReg { rd, rn, rm },
        (Alu::Sub, true) if plain && rd == SCRATCH => Op::CmpReg { rn, rm },
        _ if plain => Op::AluReg { op, s, rd, rn, rm },
        _ => Op::AluShift {
            op,
            s,
            rd,
            rn,
            rm,
            shift,
            n,
        },
    }
}

/// The shift an instruction's type and amount fields mean.
fn imm_shift(kind: u16, amount: u16) -> (Shift, u8) {
    match (kind & 3, amount as u8) {
        (0, n) => (Shift::Lsl, n),
        (1, 0) => (Shift::Lsr, 32),
        (1, n) => (Shift::Lsr, n),
        (2, 0) => (Shift::Asr, 32),
        (2, n) => (Shift::Asr, n),
        (_, 0) => (Shift::Rrx, 1),
        (_, n) => (Shift::Ror, n),
    }
}

fn sign_extend(value: u32, bits: u32) -> u32 {
    let shift = 32 - bits;
    (((value << shift) as i32) >> shift) as u32
}

//! From instructions to halfwords.
//!
//! The 16-bit encoding is taken wherever it means the same; which one that is depends on the instruction alone and on
//! whether an `IT` block covers it (there the 16-bit arithmetic does not set the flags, elsewhere it must).

mod control;
mod data;
mod fields;
mod float;
mod memory;

pub use fields::modified_immediate;

use super::inst::{Inst, Mode};
use super::operand::{Cond, Reg, RegList};

/// The bits of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Code {
    /// A 16-bit instruction.
    Narrow(u16),
    /// A 32-bit instruction, the halfword at the lower address first.
    Wide(u16, u16),
}

impl Code {
    /// Its length in bytes, 2 or 4.
    #[must_use]
    pub const fn size(self) -> u32 {
        match self {
            Code::Narrow(_) => 2,
            Code::Wide(..) => 4,
        }
    }

    /// Its halfwords in the order of their addresses.
    pub fn halfwords(self) -> impl Iterator<Item = u16> {
        let (first, second) = match self {
            Code::Narrow(half) => (half, None),
            Code::Wide(first, second) => (first, Some(second)),
        };
        std::iter::once(first).chain(second)
    }

    /// Its bytes as they lie in memory.
    pub fn bytes(self) -> impl Iterator<Item = u8> {
        self.halfwords().flat_map(u16::to_le_bytes)
    }
}

/// Why an instruction has no encoding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// A register in a place that cannot hold it.
    #[error("{operand} must be {expected}, but is {found}")]
    Register {
        /// The operand's name.
        operand: &'static str,
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: Reg,
    },
    /// A number out of range or not representable.
    #[error("{operand} must be {expected}, but is {found}")]
    Number {
        /// The operand's name.
        operand: &'static str,
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: i64,
    },
    /// A register list the instruction cannot transfer.
    #[error("the register list must hold {expected}, but is {found}")]
    List {
        /// What could stand there.
        expected: &'static str,
        /// What stands there.
        found: RegList,
    },
    /// A combination of operands that no encoding has.
    #[error("no encoding: {0}")]
    Form(&'static str),
}

type Result<T, E = EncodeError> = std::result::Result<T, E>;

impl Inst {
    /// Its bits, outside an `IT` block.
    pub fn encode(&self) -> Result<Code> {
        self.encode_in(None)
    }

    /// Its bits where the condition of an `IT` block covers it.
    pub fn encode_in(&self, it: Option<Cond>) -> Result<Code> {
        Encoder { it: it.is_some() }.inst(self)
    }

    /// Its length in bytes outside an `IT` block, 2 or 4.
    pub fn size(&self) -> Result<u32> {
        Ok(self.encode()?.size())
    }
}

/// What an encoding depends on beside the instruction.
struct Encoder {
    /// Whether an `IT` block covers it.
    it: bool,
}

impl Encoder {
    /// Whether the 16-bit arithmetic encodings do with the flags what the instruction wants.
    fn narrow_flags(&self, s: bool) -> bool {
        s != self.it
    }

    fn inst(&self, inst: &Inst) -> Result<Code> {
        match *inst {
            Inst::Move { op, s, rd, src } => self.mov(op, s, rd, src),
            Inst::Movw { rd, imm } => data::move_wide(0xf240, rd, imm),
            Inst::Movt { rd, imm } => data::move_wide(0xf2c0, rd, imm),
            Inst::Alu { op, s, rd, rn, src } => self.alu(op, s, rd, rn, src),
            Inst::Compare { op, rn, src } => data::compare(op, rn, src),
            Inst::Shift { op, s, rd, rn, rm } => self.shift(op, s, rd, rn, rm),
            Inst::Mul { s, rd, rn, rm } => self.mul(s, rd, rn, rm),
            Inst::MulAcc { op, rd, rn, rm, ra } => data::mul_acc(op, rd, rn, rm, ra),
            Inst::MulLong { op, lo, hi, rn, rm } => data::mul_long(op, lo, hi, rn, rm),
            Inst::Div { signed, rd, rn, rm } => data::div(signed, rd, rn, rm),
            Inst::Extend { op, rd, rm } => data::extend(op, rd, rm),
            Inst::Extract {
                signed,
                rd,
                rn,
                lsb,
                width,
            } => data::extract(signed, rd, rn, lsb, width),
            Inst::Bfi { rd, rn, lsb, width } => data::insert(rd, rn, lsb, width),
            Inst::Bfc { rd, lsb, width } => data::clear(rd, lsb, width),
            Inst::Bits { op, rd, rm } => data::bits(op, rd, rm),
            Inst::Saturate {
                signed,
                rd,
                bits,
                rn,
            } => data::saturate(signed, rd, bits, rn),

            Inst::Load { op, rt, addr } => memory::load(op, rt, addr),
            Inst::Store { op, rt, addr } => memory::store(op, rt, addr),
            Inst::LoadPair { rt, rt2, addr } => memory::load_pair(rt, rt2, addr),
            Inst::StorePair { rt, rt2, addr } => memory::store_pair(rt, rt2, addr),
            Inst::LoadMany {
                mode,
                base,
                writeback,
                regs,
            } => memory::load_many(mode, base, writeback, regs),
            Inst::StoreMany {
                mode,
                base,
                writeback,
                regs,
            } => memory::store_many(mode, base, writeback, regs),
            Inst::Push { regs } => memory::store_many(Mode::Db, Reg::Sp, true, regs),
            Inst::Pop { regs } => memory::load_many(Mode::Ia, Reg::Sp, true, regs),
            Inst::LoadLiteral { rt, offset, width } => memory::load_literal(rt, offset, width),
            Inst::Adr { rd, offset, width } => memory::adr(rd, offset, width),

            Inst::B {
                cond,
                offset,
                width,
            } => self.branch(cond, offset, width),
            Inst::Bl { offset } => control::call(offset),
            Inst::Bx { rm } => control::exchange(false, rm),
            Inst::Blx { rm } => control::exchange(true, rm),
            Inst::Cbz {
                nonzero,
                rn,
                offset,
            } => self.cbz(nonzero, rn, offset),
            Inst::It(block) => self.it(block),
            Inst::Cps { enable } => self.cps(enable),
            Inst::Barrier { op } => Ok(control::barrier(op)),
            Inst::Hint { op } => Ok(control::hint(op)),
            Inst::Bkpt { imm } => Ok(Code::Narrow(0xbe00 | u16::from(imm))),
            Inst::Svc { imm } => Ok(Code::Narrow(0xdf00 | u16::from(imm))),
            Inst::Udf { imm } => Ok(Code::Narrow(0xde00 | u16::from(imm))),
            Inst::Mrs { rd, sys } => control::read_special(rd, sys),
            Inst::Msr { sys, rn } => control::write_special(sys, rn),

            Inst::FArith { op, sd, sn, sm } => Ok(float::arith(op, sd, sn, sm)),
            Inst::FUnary { op, sd, sm } => Ok(float::unary(op, sd, sm)),
            Inst::FCompare { signal, sd, sm } => Ok(float::compare(signal, sd, sm)),
            Inst::FConvert { op, sd, sm } => Ok(float::convert(op, sd, sm)),
            Inst::FMoveImm { sd, imm } => Ok(float::constant(sd, imm)),
            Inst::FMoveFromCore { sn, rt } => float::transfer(false, sn, rt),
            Inst::FMoveToCore { rt, sn } => float::transfer(true, sn, rt),
            Inst::FMovePairFromCore { sm, rt, rt2 } => float::transfer_pair(false, sm, rt, rt2),
            Inst::FMovePairToCore { rt, rt2, sm } => float::transfer_pair(true, sm, rt, rt2),
            Inst::FLoad { sd, base, offset } => float::access(true, sd, base, offset),
            Inst::FStore { sd, base, offset } => float::access(false, sd, base, offset),
            Inst::FLoadLiteral { sd, offset } => float::literal(sd, offset),
            Inst::FLoadMany {
                mode,
                base,
                writeback,
                regs,
            } => float::many(true, mode, base, writeback, regs),
            Inst::FStoreMany {
                mode,
                base,
                writeback,
                regs,
            } => float::many(false, mode, base, writeback, regs),
            Inst::FPush { regs } => float::many(false, Mode::Db, Reg::Sp, true, regs),
            Inst::FPop { regs } => float::many(true, Mode::Ia, Reg::Sp, true, regs),
            Inst::FFlags => Ok(float::FLAGS),
            Inst::ReadFpscr { rt } => float::status(true, rt),
            Inst::WriteFpscr { rt } => float::status(false, rt),
        }
    }
}

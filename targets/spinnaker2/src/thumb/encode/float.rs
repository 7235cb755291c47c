//! Floats: arithmetic, conversions, moves, loads and stores.

use super::fields::{field_d, field_m, field_n, general, not_pc, word_offset};
use super::{Code, EncodeError, Result};
use crate::thumb::inst::{ConvertOp, FArithOp, FUnaryOp, Mode};
use crate::thumb::operand::{FpImm, Reg, SList, SReg};

pub(super) fn arith(op: FArithOp, sd: SReg, sn: SReg, sm: SReg) -> Code {
    let (first, second) = farith_base(op);
    let (d1, d2) = field_d(sd);
    let (n1, n2) = field_n(sn);
    Code::Wide(first | d1 | n1, second | d2 | n2 | field_m(sm))
}

fn farith_base(op: FArithOp) -> (u16, u16) {
    match op {
        FArithOp::Vmla => (0xee00, 0x0a00),
        FArithOp::Vmls => (0xee00, 0x0a40),
        FArithOp::Vnmls => (0xee10, 0x0a00),
        FArithOp::Vnmla => (0xee10, 0x0a40),
        FArithOp::Vmul => (0xee20, 0x0a00),
        FArithOp::Vnmul => (0xee20, 0x0a40),
        FArithOp::Vadd => (0xee30, 0x0a00),
        FArithOp::Vsub => (0xee30, 0x0a40),
        FArithOp::Vdiv => (0xee80, 0x0a00),
        FArithOp::Vfnms => (0xee90, 0x0a00),
        FArithOp::Vfnma => (0xee90, 0x0a40),
        FArithOp::Vfma => (0xeea0, 0x0a00),
        FArithOp::Vfms => (0xeea0, 0x0a40),
    }
}

pub(super) fn unary(op: FUnaryOp, sd: SReg, sm: SReg) -> Code {
    let (first, second) = match op {
        FUnaryOp::Vmov => (0xeeb0, 0x0a40),
        FUnaryOp::Vabs => (0xeeb0, 0x0ac0),
        FUnaryOp::Vneg => (0xeeb1, 0x0a40),
        FUnaryOp::Vsqrt => (0xeeb1, 0x0ac0),
    };
    two_floats(first, second, sd, sm)
}

pub(super) fn compare(signal: bool, sd: SReg, sm: Option<SReg>) -> Code {
    let second = if signal { 0x0ac0 } else { 0x0a40 };
    match sm {
        Some(sm) => two_floats(0xeeb4, second, sd, sm),
        None => two_floats(0xeeb5, second, sd, SReg::S0),
    }
}

pub(super) fn convert(op: ConvertOp, sd: SReg, sm: SReg) -> Code {
    let (first, second) = match op {
        ConvertOp::F32FromU32 => (0xeeb8, 0x0a40),
        ConvertOp::F32FromS32 => (0xeeb8, 0x0ac0),
        ConvertOp::U32FromF32R => (0xeebc, 0x0a40),
        ConvertOp::U32FromF32 => (0xeebc, 0x0ac0),
        ConvertOp::S32FromF32R => (0xeebd, 0x0a40),
        ConvertOp::S32FromF32 => (0xeebd, 0x0ac0),
    };
    two_floats(first, second, sd, sm)
}

fn two_floats(first: u16, second: u16, sd: SReg, sm: SReg) -> Code {
    let (d1, d2) = field_d(sd);
    Code::Wide(first | d1, second | d2 | field_m(sm))
}

pub(super) fn constant(sd: SReg, imm: FpImm) -> Code {
    let code = u16::from(imm.code());
    let (d1, d2) = field_d(sd);
    Code::Wide(0xeeb0 | d1 | code >> 4, 0x0a00 | d2 | code & 0xf)
}

/// `VMOV` between a core and a float register.
pub(super) fn transfer(to_core: bool, sn: SReg, rt: Reg) -> Result<Code> {
    let first = if to_core { 0xee10 } else { 0xee00 };
    let (n1, n2) = field_n(sn);
    let t = general("rt", rt)?;
    Ok(Code::Wide(first | n1, 0x0a10 | t << 12 | n2))
}

/// `VMOV` between two core and two float registers.
pub(super) fn transfer_pair(to_core: bool, sm: SReg, rt: Reg, rt2: Reg) -> Result<Code> {
    if sm == SReg::S31 {
        return Err(EncodeError::Form("no register follows s31"));
    }
    if to_core && rt == rt2 {
        return Err(EncodeError::Form("both destinations are the same"));
    }
    let first = if to_core { 0xec50 } else { 0xec40 };
    let (t, t2) = (general("rt", rt)?, general("rt2", rt2)?);
    Ok(Code::Wide(first | t2, 0x0a10 | t << 12 | field_m(sm)))
}

/// `VLDR` and `VSTR`.
pub(super) fn access(load: bool, sd: SReg, base: Reg, offset: i32) -> Result<Code> {
    word_access(load, sd, not_pc("base", base)?, offset)
}

/// `VLDR` relative to the program counter.
pub(super) fn literal(sd: SReg, offset: i32) -> Result<Code> {
    word_access(true, sd, Reg::Pc.index().into(), offset)
}

fn word_access(load: bool, sd: SReg, n: u16, offset: i32) -> Result<Code> {
    let first = if load { 0xed10 } else { 0xed00 };
    let (words, up) = word_offset(offset)?;
    let (d1, d2) = field_d(sd);
    Ok(Code::Wide(
        first | u16::from(up) << 7 | d1 | n,
        0x0a00 | d2 | words,
    ))
}

/// `VLDM` and `VSTM`.
pub(super) fn many(
    load: bool,
    mode: Mode,
    base: Reg,
    writeback: bool,
    regs: SList,
) -> Result<Code> {
    let first = if load { 0xec10 } else { 0xec00 };
    let n = not_pc("base", base)?;
    let walk = match (mode, writeback) {
        (Mode::Ia, false) => 0x0080,
        (Mode::Ia, true) => 0x00a0,
        (Mode::Db, true) => 0x0120,
        (Mode::Db, false) => {
            return Err(EncodeError::Form("VLDMDB and VSTMDB must move the base"));
        }
    };
    let (d1, d2) = field_d(regs.first());
    Ok(Code::Wide(
        first | walk | d1 | n,
        0x0a00 | d2 | regs.len() as u16,
    ))
}

/// The flags of a float compare to the core.
pub(super) const FLAGS: Code = Code::Wide(0xeef1, 0xfa10);

/// `VMRS` and `VMSR` of the whole status register.
pub(super) fn status(to_core: bool, rt: Reg) -> Result<Code> {
    let first = if to_core { 0xeef1 } else { 0xeee1 };
    Ok(Code::Wide(first, 0x0a10 | general("rt", rt)? << 12))
}

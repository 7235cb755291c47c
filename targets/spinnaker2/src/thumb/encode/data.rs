//! Arithmetic, logic, moves, comparisons.

use super::fields::{general, modified_immediate, not_pc, number, shift_fields, split12};
use super::{Code, EncodeError, Encoder, Result};
use crate::thumb::inst::{
    AluOp, BitsOp, CompareOp, ExtendOp, MoveOp, MulAccOp, MulLongOp, ShiftOp,
};
use crate::thumb::operand::{Reg, Shift, Src};

impl Encoder {
    pub(super) fn mov(&self, op: MoveOp, s: bool, rd: Reg, src: Src) -> Result<Code> {
        match src {
            Src::Imm(imm) => self.mov_imm(op, s, rd, imm),
            Src::Reg(rm, shift) => self.mov_reg(op, s, rd, rm, shift),
        }
    }

    fn mov_imm(&self, op: MoveOp, s: bool, rd: Reg, imm: u32) -> Result<Code> {
        let d = general("rd", rd)?;
        if op == MoveOp::Mov && self.narrow_flags(s) && rd.is_low() && imm <= 0xff {
            return Ok(Code::Narrow(0x2000 | d << 8 | imm as u16));
        }
        if let Some(bits) = modified_immediate(imm) {
            return Ok(modified(mov_opcode(op), s, 15, d, bits));
        }
        if op == MoveOp::Mov && !s && imm <= 0xffff {
            return move_wide(0xf240, rd, imm as u16);
        }
        Err(number(
            "immediate",
            "a byte, a repeated or rotated byte, or 16 bits for mov",
            imm,
        ))
    }

    fn mov_reg(&self, op: MoveOp, s: bool, rd: Reg, rm: Reg, shift: Shift) -> Result<Code> {
        let fields = shift_fields(shift)?;
        let plain = shift == Shift::NONE;
        if op == MoveOp::Mov && plain && !s {
            let (d, m) = (not_pc("rd", rd)?, not_pc("rm", rm)?);
            return Ok(Code::Narrow(0x4600 | (d & 8) << 4 | m << 3 | d & 7));
        }
        let (d, m) = (general("rd", rd)?, general("rm", rm)?);
        if rd.is_low() && rm.is_low() && self.narrow_flags(s) {
            let narrow = match (op, shift) {
                (MoveOp::Mvn, _) if plain => Some(0x43c0),
                // LSLS by zero is MOVS, which an IT block cannot hold.
                (MoveOp::Mov, Shift::Lsl(0)) if self.it => None,
                (MoveOp::Mov, Shift::Lsl(n)) => Some(u16::from(n) << 6),
                (MoveOp::Mov, Shift::Lsr(n)) => Some(0x0800 | u16::from(n & 31) << 6),
                (MoveOp::Mov, Shift::Asr(n)) => Some(0x1000 | u16::from(n & 31) << 6),
                _ => None,
            };
            if let Some(base) = narrow {
                return Ok(Code::Narrow(base | m << 3 | d));
            }
        }
        Ok(shifted(mov_opcode(op), s, 15, d, m, fields))
    }

    pub(super) fn alu(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, src: Src) -> Result<Code> {
        match src {
            Src::Imm(imm) => self.alu_imm(op, s, rd, rn, imm),
            Src::Reg(rm, shift) => self.alu_reg(op, s, rd, rn, rm, shift),
        }
    }

    fn alu_imm(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, imm: u32) -> Result<Code> {
        let (d, n) = alu_registers(op, rd, rn)?;
        if let Some(narrow) = self.alu_imm_narrow(op, s, rd, rn, imm) {
            return Ok(Code::Narrow(narrow));
        }
        if let Some(bits) = modified_immediate(imm) {
            return Ok(modified(alu_opcode(op), s, n, d, bits));
        }
        let plain = match op {
            AluOp::Add => 0xf200,
            AluOp::Sub => 0xf2a0,
            _ => {
                return Err(number(
                    "immediate",
                    "a byte, or a repeated or rotated byte",
                    imm,
                ));
            }
        };
        if s || imm > 0xfff {
            return Err(number(
                "immediate",
                "a byte, a repeated or rotated byte, or 12 bits where flags stay",
                imm,
            ));
        }
        let (i, rest) = split12(imm as u16);
        Ok(Code::Wide(plain | i | n, rest | d << 8))
    }

    fn alu_imm_narrow(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, imm: u32) -> Option<u16> {
        let (d, n) = (u16::from(rd.index()), u16::from(rn.index()));
        if rn == Reg::Sp && !s && imm.is_multiple_of(4) {
            return match op {
                AluOp::Add if rd == Reg::Sp && imm <= 508 => Some(0xb000 | (imm / 4) as u16),
                AluOp::Sub if rd == Reg::Sp && imm <= 508 => Some(0xb080 | (imm / 4) as u16),
                AluOp::Add if rd.is_low() && imm <= 1020 => {
                    Some(0xa800 | d << 8 | (imm / 4) as u16)
                }
                _ => None,
            };
        }
        if !rd.is_low() || !rn.is_low() || !self.narrow_flags(s) {
            return None;
        }
        let (three, eight) = match op {
            AluOp::Add => (0x1c00, 0x3000),
            AluOp::Sub => (0x1e00, 0x3800),
            AluOp::Rsb if imm == 0 => return Some(0x4240 | n << 3 | d),
            _ => return None,
        };
        if rd == rn && imm <= 0xff {
            Some(eight | d << 8 | imm as u16)
        } else if imm <= 7 {
            Some(three | (imm as u16) << 6 | n << 3 | d)
        } else {
            None
        }
    }

    fn alu_reg(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, rm: Reg, shift: Shift) -> Result<Code> {
        let fields = shift_fields(shift)?;
        if shift == Shift::NONE
            && let Some(narrow) = self.alu_reg_narrow(op, s, rd, rn, rm)
        {
            return Ok(Code::Narrow(narrow));
        }
        let (d, n) = alu_registers(op, rd, rn)?;
        let m = general("rm", rm)?;
        if rd == Reg::Sp && !matches!(shift, Shift::Lsl(0..=3)) {
            return Err(EncodeError::Form(
                "a result in sp allows only LSL by 0 to 3",
            ));
        }
        Ok(shifted(alu_opcode(op), s, n, d, m, fields))
    }

    fn alu_reg_narrow(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, rm: Reg) -> Option<u16> {
        let (d, n, m) = (
            u16::from(rd.index()),
            u16::from(rn.index()),
            u16::from(rm.index()),
        );
        let all_low = rd.is_low() && rn.is_low() && rm.is_low();
        let three = match op {
            AluOp::Add => Some(0x1800),
            AluOp::Sub => Some(0x1a00),
            _ => None,
        };
        if let Some(base) = three
            && all_low
            && self.narrow_flags(s)
        {
            return Some(base | m << 6 | n << 3 | d);
        }
        if op == AluOp::Add && !s && [rd, rn, rm].iter().all(|&r| r != Reg::Pc) {
            let other = match (rd == rn, rd == rm) {
                (true, _) => m,
                (_, true) => n,
                _ => return None,
            };
            return Some(0x4400 | (d & 8) << 4 | other << 3 | d & 7);
        }
        let (base, commutes) = match op {
            AluOp::And => (0x4000, true),
            AluOp::Eor => (0x4040, true),
            AluOp::Adc => (0x4140, true),
            AluOp::Sbc => (0x4180, false),
            AluOp::Orr => (0x4300, true),
            AluOp::Bic => (0x4380, false),
            _ => return None,
        };
        if !all_low || !self.narrow_flags(s) {
            return None;
        }
        if rd == rn {
            Some(base | m << 3 | d)
        } else if commutes && rd == rm {
            Some(base | n << 3 | d)
        } else {
            None
        }
    }

    pub(super) fn shift(&self, op: ShiftOp, s: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
        let (d, n, m) = (general("rd", rd)?, general("rn", rn)?, general("rm", rm)?);
        let (narrow, wide) = match op {
            ShiftOp::Lsl => (0x4080, 0xfa00),
            ShiftOp::Lsr => (0x40c0, 0xfa20),
            ShiftOp::Asr => (0x4100, 0xfa40),
            ShiftOp::Ror => (0x41c0, 0xfa60),
        };
        if rd == rn && rd.is_low() && rm.is_low() && self.narrow_flags(s) {
            return Ok(Code::Narrow(narrow | m << 3 | d));
        }
        Ok(Code::Wide(
            wide | u16::from(s) << 4 | n,
            0xf000 | d << 8 | m,
        ))
    }

    pub(super) fn mul(&self, s: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
        if rd.is_low() && rn.is_low() && rm.is_low() && self.narrow_flags(s) {
            let d = u16::from(rd.index());
            if rd == rm {
                return Ok(Code::Narrow(0x4340 | u16::from(rn.index()) << 3 | d));
            }
            if rd == rn {
                return Ok(Code::Narrow(0x4340 | u16::from(rm.index()) << 3 | d));
            }
        }
        if s {
            return Err(EncodeError::Form(
                "MULS needs low registers, the destination among the factors, and no IT block",
            ));
        }
        three(0xfb00, 0xf000, rd, rn, rm)
    }
}

fn mov_opcode(op: MoveOp) -> u16 {
    match op {
        MoveOp::Mov => 0b0010,
        MoveOp::Mvn => 0b0011,
    }
}

fn alu_opcode(op: AluOp) -> u16 {
    match op {
        AluOp::And => 0b0000,
        AluOp::Bic => 0b0001,
        AluOp::Orr => 0b0010,
        AluOp::Orn => 0b0011,
        AluOp::Eor => 0b0100,
        AluOp::Add => 0b1000,
        AluOp::Adc => 0b1010,
        AluOp::Sbc => 0b1011,
        AluOp::Sub => 0b1101,
        AluOp::Rsb => 0b1110,
    }
}

/// Checks the destination and first operand: the stack pointer may stand there only when adding to or subtracting from it.
fn alu_registers(op: AluOp, rd: Reg, rn: Reg) -> Result<(u16, u16)> {
    let adds = matches!(op, AluOp::Add | AluOp::Sub);
    if adds && rn == Reg::Sp {
        return Ok((not_pc("rd", rd)?, 13));
    }
    Ok((general("rd", rd)?, general("rn", rn)?))
}

/// A 32-bit data-processing encoding with a constant.
fn modified(opcode: u16, s: bool, n: u16, d: u16, imm: u16) -> Code {
    let (i, rest) = split12(imm);
    Code::Wide(
        0xf000 | i | opcode << 5 | u16::from(s) << 4 | n,
        rest | d << 8,
    )
}

/// A 32-bit data-processing encoding with a shifted register.
fn shifted(opcode: u16, s: bool, n: u16, d: u16, m: u16, shift: u16) -> Code {
    Code::Wide(
        0xea00 | opcode << 5 | u16::from(s) << 4 | n,
        shift | d << 8 | m,
    )
}

pub(super) fn move_wide(base: u16, rd: Reg, imm: u16) -> Result<Code> {
    let d = general("rd", rd)?;
    let (i, rest) = split12(imm & 0xfff);
    Ok(Code::Wide(base | i | imm >> 12, rest | d << 8))
}

fn three(first: u16, second: u16, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
    let (d, n, m) = (general("rd", rd)?, general("rn", rn)?, general("rm", rm)?);
    Ok(Code::Wide(first | n, second | d << 8 | m))
}

pub(super) fn compare(op: CompareOp, rn: Reg, src: Src) -> Result<Code> {
    let opcode = match op {
        CompareOp::Tst => 0b0000,
        CompareOp::Teq => 0b0100,
        CompareOp::Cmn => 0b1000,
        CompareOp::Cmp => 0b1101,
    };
    match src {
        Src::Imm(imm) => {
            let n = general("rn", rn)?;
            if op == CompareOp::Cmp && rn.is_low() && imm <= 0xff {
                return Ok(Code::Narrow(0x2800 | n << 8 | imm as u16));
            }
            let bits = modified_immediate(imm)
                .ok_or_else(|| number("immediate", "a byte, or a repeated or rotated byte", imm))?;
            Ok(modified(opcode, true, n, 15, bits))
        }
        Src::Reg(rm, shift) => {
            let fields = shift_fields(shift)?;
            let plain = shift == Shift::NONE;
            if plain && rn.is_low() && rm.is_low() {
                let base = match op {
                    CompareOp::Tst => Some(0x4200),
                    CompareOp::Cmp => Some(0x4280),
                    CompareOp::Cmn => Some(0x42c0),
                    CompareOp::Teq => None,
                };
                if let Some(base) = base {
                    let (n, m) = (u16::from(rn.index()), u16::from(rm.index()));
                    return Ok(Code::Narrow(base | m << 3 | n));
                }
            }
            if plain && op == CompareOp::Cmp {
                let (n, m) = (not_pc("rn", rn)?, not_pc("rm", rm)?);
                return Ok(Code::Narrow(0x4500 | (n & 8) << 4 | m << 3 | n & 7));
            }
            let (n, m) = (general("rn", rn)?, general("rm", rm)?);
            Ok(shifted(opcode, true, n, 15, m, fields))
        }
    }
}

pub(super) fn mul_acc(op: MulAccOp, rd: Reg, rn: Reg, rm: Reg, ra: Reg) -> Result<Code> {
    let subtract = match op {
        MulAccOp::Mla => 0,
        MulAccOp::Mls => 0x10,
    };
    let ra = general("ra", ra)?;
    three(0xfb00, ra << 12 | subtract, rd, rn, rm)
}

pub(super) fn div(signed: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
    let first = if signed { 0xfb90 } else { 0xfbb0 };
    three(first, 0xf0f0, rd, rn, rm)
}

pub(super) fn mul_long(op: MulLongOp, lo: Reg, hi: Reg, rn: Reg, rm: Reg) -> Result<Code> {
    if lo == hi {
        return Err(EncodeError::Form("both halves of a product are the same"));
    }
    let first = match op {
        MulLongOp::Smull => 0xfb80,
        MulLongOp::Umull => 0xfba0,
        MulLongOp::Smlal => 0xfbc0,
        MulLongOp::Umlal => 0xfbe0,
    };
    let lo = general("lo", lo)?;
    three(first, lo << 12, hi, rn, rm)
}

pub(super) fn extend(op: ExtendOp, rd: Reg, rm: Reg) -> Result<Code> {
    let (d, m) = (general("rd", rd)?, general("rm", rm)?);
    let (narrow, wide) = match op {
        ExtendOp::Sxth => (0xb200, 0xfa0f),
        ExtendOp::Sxtb => (0xb240, 0xfa4f),
        ExtendOp::Uxth => (0xb280, 0xfa1f),
        ExtendOp::Uxtb => (0xb2c0, 0xfa5f),
    };
    if rd.is_low() && rm.is_low() {
        return Ok(Code::Narrow(narrow | m << 3 | d));
    }
    Ok(Code::Wide(wide, 0xf080 | d << 8 | m))
}

pub(super) fn extract(signed: bool, rd: Reg, rn: Reg, lsb: u8, width: u8) -> Result<Code> {
    let first = if signed { 0xf340 } else { 0xf3c0 };
    let last = u16::from(width).wrapping_sub(1);
    bit_field(first | general("rn", rn)?, rd, lsb, width, last)
}

pub(super) fn insert(rd: Reg, rn: Reg, lsb: u8, width: u8) -> Result<Code> {
    bit_field(0xf360 | general("rn", rn)?, rd, lsb, width, msb(lsb, width))
}

pub(super) fn clear(rd: Reg, lsb: u8, width: u8) -> Result<Code> {
    bit_field(0xf36f, rd, lsb, width, msb(lsb, width))
}

fn msb(lsb: u8, width: u8) -> u16 {
    (u16::from(lsb) + u16::from(width)).wrapping_sub(1)
}

fn bit_field(first: u16, rd: Reg, lsb: u8, width: u8, last: u16) -> Result<Code> {
    if lsb > 31 {
        return Err(number("lsb", "0 to 31", lsb));
    }
    if width == 0 || width > 32 - lsb {
        return Err(number(
            "width",
            "at least 1 and lsb + width at most 32",
            width,
        ));
    }
    let (d, lsb) = (general("rd", rd)?, u16::from(lsb));
    Ok(Code::Wide(
        first,
        (lsb >> 2) << 12 | d << 8 | (lsb & 3) << 6 | last,
    ))
}

pub(super) fn bits(op: BitsOp, rd: Reg, rm: Reg) -> Result<Code> {
    let (d, m) = (general("rd", rd)?, general("rm", rm)?);
    if op == BitsOp::Rev && rd.is_low() && rm.is_low() {
        return Ok(Code::Narrow(0xba00 | m << 3 | d));
    }
    let (first, second) = match op {
        BitsOp::Clz => (0xfab0, 0xf080),
        BitsOp::Rbit => (0xfa90, 0xf0a0),
        BitsOp::Rev => (0xfa90, 0xf080),
    };
    Ok(Code::Wide(first | m, second | d << 8 | m))
}

pub(super) fn saturate(signed: bool, rd: Reg, bits: u8, rn: Reg) -> Result<Code> {
    let (d, n) = (general("rd", rd)?, general("rn", rn)?);
    let (first, field) = match (signed, bits) {
        (true, 1..=32) => (0xf300, bits - 1),
        (false, 0..=31) => (0xf380, bits),
        (true, _) => return Err(number("bits", "1 to 32", bits)),
        (false, _) => return Err(number("bits", "0 to 31", bits)),
    };
    Ok(Code::Wide(first | n, d << 8 | u16::from(field)))
}

//! The fields that encodings share: registers and their limits, constants, shifts, offsets.

use super::{EncodeError, Result};
use crate::thumb::operand::{Reg, SReg, Shift};

/// The twelve bits of a constant that is a byte, a repeated byte or a rotated one, if this is one.
#[must_use]
pub fn modified_immediate(value: u32) -> Option<u16> {
    let byte = value & 0xff;
    let high = value >> 8 & 0xff;
    if value == byte {
        Some(byte as u16)
    } else if value == byte * 0x0001_0001 {
        Some(0x100 | byte as u16)
    } else if value == high * 0x0100_0100 {
        Some(0x200 | high as u16)
    } else if value == byte * 0x0101_0101 {
        Some(0x300 | byte as u16)
    } else {
        let rotation = value.leading_zeros() + 8;
        let rotated = value.rotate_left(rotation);
        (rotated <= 0xff).then_some((rotation << 7) as u16 | rotated as u16 & 0x7f)
    }
}

pub(super) fn general(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg.is_general() {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "neither sp nor pc",
        found: reg,
    })
}

pub(super) fn not_pc(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg != Reg::Pc {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "any register but pc",
        found: reg,
    })
}

pub(super) fn low(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg.is_low() {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "one of r0 to r7",
        found: reg,
    })
}

pub(super) fn number(
    operand: &'static str,
    expected: &'static str,
    found: impl Into<i64>,
) -> EncodeError {
    EncodeError::Number {
        operand,
        expected,
        found: found.into(),
    }
}

/// The magnitude of a word offset in words, and whether it is added.
pub(super) fn word_offset(offset: i32) -> Result<(u16, bool)> {
    let words = offset.unsigned_abs() / 4;
    if offset % 4 == 0 && words <= 0xff {
        return Ok((words as u16, offset >= 0));
    }
    Err(number(
        "offset",
        "a multiple of 4 from -1020 to 1020",
        offset,
    ))
}

/// `Vd` with `D`: where a destination or transfer register goes, as bits of the first and second halfword.
pub(super) fn field_d(reg: SReg) -> (u16, u16) {
    let n = u16::from(reg.index());
    ((n & 1) << 6, (n >> 1) << 12)
}

/// `Vn` with `N`.
pub(super) fn field_n(reg: SReg) -> (u16, u16) {
    let n = u16::from(reg.index());
    (n >> 1, (n & 1) << 7)
}

/// `Vm` with `M`, all in the second halfword.
pub(super) fn field_m(reg: SReg) -> u16 {
    let n = u16::from(reg.index());
    (n & 1) << 5 | n >> 1
}

/// The `imm3:imm2` and type fields of a shifted register.
pub(super) fn shift_fields(shift: Shift) -> Result<u16> {
    let (kind, amount) = match shift {
        Shift::Lsl(n) if n <= 31 => (0, n),
        Shift::Lsr(n) if (1..=32).contains(&n) => (1, n & 31),
        Shift::Asr(n) if (1..=32).contains(&n) => (2, n & 31),
        Shift::Ror(n) if (1..=31).contains(&n) => (3, n),
        Shift::Rrx => (3, 0),
        Shift::Lsl(n) => return Err(number("shift", "0 to 31", n)),
        Shift::Ror(n) => return Err(number("shift", "1 to 31", n)),
        Shift::Lsr(n) | Shift::Asr(n) => return Err(number("shift", "1 to 32", n)),
    };
    let amount = u16::from(amount);
    Ok((amount >> 2) << 12 | (amount & 3) << 6 | kind << 4)
}

/// Puts twelve bits into the `i`, `imm3` and `imm8` fields of the two halfwords.
pub(super) fn split12(imm: u16) -> (u16, u16) {
    ((imm >> 11 & 1) << 10, (imm >> 8 & 7) << 12 | imm & 0xff)
}

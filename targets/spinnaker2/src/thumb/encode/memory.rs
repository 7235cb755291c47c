//! Loads and stores of the core registers.

use super::fields::{general, low, not_pc, number, split12, word_offset};
use super::{Code, EncodeError, Result};
use crate::thumb::inst::{LoadOp, Mode, StoreOp, Width};
use crate::thumb::operand::{Addr, Reg, RegList};

/// The encodings of one size of access.
struct Access {
    /// 16 bits, register and constant offset; the unit the constant counts in.
    narrow: Option<(u16, u16)>,
    /// 16 bits, register and register.
    narrow_index: Option<u16>,
    /// 16 bits, stack pointer and constant.
    narrow_sp: Option<u16>,
    /// 32 bits with a twelve-bit constant; the others lie 0x80 lower.
    wide: u16,
}

pub(super) fn load(op: LoadOp, rt: Reg, addr: Addr) -> Result<Code> {
    let access = match op {
        LoadOp::Ldr => Access {
            narrow: Some((0x6800, 4)),
            narrow_index: Some(0x5800),
            narrow_sp: Some(0x9800),
            wide: 0xf8d0,
        },
        LoadOp::Ldrb => Access {
            narrow: Some((0x7800, 1)),
            narrow_index: Some(0x5c00),
            narrow_sp: None,
            wide: 0xf890,
        },
        LoadOp::Ldrh => Access {
            narrow: Some((0x8800, 2)),
            narrow_index: Some(0x5a00),
            narrow_sp: None,
            wide: 0xf8b0,
        },
        LoadOp::Ldrsb => Access {
            narrow: None,
            narrow_index: Some(0x5600),
            narrow_sp: None,
            wide: 0xf990,
        },
        LoadOp::Ldrsh => Access {
            narrow: None,
            narrow_index: Some(0x5e00),
            narrow_sp: None,
            wide: 0xf9b0,
        },
    };
    // A word can be loaded into any register (into pc it jumps), less than a word only into a general one.
    let t = match op {
        LoadOp::Ldr => u16::from(rt.index()),
        _ => general("rt", rt)?,
    };
    single(&access, t, rt, addr)
}

pub(super) fn store(op: StoreOp, rt: Reg, addr: Addr) -> Result<Code> {
    let (access, t) = match op {
        StoreOp::Str => (
            Access {
                narrow: Some((0x6000, 4)),
                narrow_index: Some(0x5000),
                narrow_sp: Some(0x9000),
                wide: 0xf8c0,
            },
            not_pc("rt", rt)?,
        ),
        StoreOp::Strb => (
            Access {
                narrow: Some((0x7000, 1)),
                narrow_index: Some(0x5400),
                narrow_sp: None,
                wide: 0xf880,
            },
            general("rt", rt)?,
        ),
        StoreOp::Strh => (
            Access {
                narrow: Some((0x8000, 2)),
                narrow_index: Some(0x5200),
                narrow_sp: None,
                wide: 0xf8a0,
            },
            general("rt", rt)?,
        ),
    };
    single(&access, t, rt, addr)
}

fn single(access: &Access, t: u16, rt: Reg, addr: Addr) -> Result<Code> {
    let base = addr.base();
    let n = not_pc("base", base)?;
    let short = access.wide - 0x80;
    if addr.writes_back() && base == rt {
        return Err(EncodeError::Form("the base that moves is transferred too"));
    }
    match addr {
        Addr::Offset(_, imm) => {
            if let Some(narrow) = narrow_offset(access, rt, base, imm) {
                return Ok(Code::Narrow(narrow));
            }
            match imm {
                0..=4095 => Ok(Code::Wide(access.wide | n, t << 12 | imm as u16)),
                -255..=-1 => Ok(Code::Wide(
                    short | n,
                    t << 12 | 0x0c00 | imm.unsigned_abs() as u16,
                )),
                _ => Err(number("offset", "-255 to 4095", imm)),
            }
        }
        Addr::Pre(_, imm) | Addr::Post(_, imm) => {
            if imm.unsigned_abs() > 255 {
                return Err(number("offset", "-255 to 255", imm));
            }
            let before = if matches!(addr, Addr::Pre(..)) {
                0x0400
            } else {
                0
            };
            let up = if imm >= 0 { 0x0200 } else { 0 };
            let magnitude = imm.unsigned_abs() as u16;
            Ok(Code::Wide(
                short | n,
                t << 12 | 0x0900 | before | up | magnitude,
            ))
        }
        Addr::Index(_, index, lsl) => {
            let m = general("index", index)?;
            if lsl > 3 {
                return Err(number("shift", "0 to 3", lsl));
            }
            if let Some(narrow) = access.narrow_index
                && lsl == 0
                && rt.is_low()
                && base.is_low()
                && index.is_low()
            {
                return Ok(Code::Narrow(narrow | m << 6 | n << 3 | t));
            }
            Ok(Code::Wide(short | n, t << 12 | u16::from(lsl) << 4 | m))
        }
    }
}

fn narrow_offset(access: &Access, rt: Reg, base: Reg, imm: i32) -> Option<u16> {
    if !rt.is_low() || imm < 0 {
        return None;
    }
    let (t, n) = (u16::from(rt.index()), u16::from(base.index()));
    if base == Reg::Sp {
        let code = access.narrow_sp?;
        return (imm % 4 == 0 && imm <= 1020).then_some(code | t << 8 | (imm / 4) as u16);
    }
    let (code, unit) = access.narrow?;
    let unit = i32::from(unit);
    (base.is_low() && imm % unit == 0 && imm / unit <= 31)
        .then(|| code | ((imm / unit) as u16) << 6 | n << 3 | t)
}

pub(super) fn load_pair(rt: Reg, rt2: Reg, addr: Addr) -> Result<Code> {
    if rt == rt2 {
        return Err(EncodeError::Form("both registers of a load are the same"));
    }
    pair(0x10, rt, rt2, addr)
}

pub(super) fn store_pair(rt: Reg, rt2: Reg, addr: Addr) -> Result<Code> {
    pair(0, rt, rt2, addr)
}

fn pair(load: u16, rt: Reg, rt2: Reg, addr: Addr) -> Result<Code> {
    let (t, t2) = (general("rt", rt)?, general("rt2", rt2)?);
    let (imm, mode) = match addr {
        Addr::Offset(_, imm) => (imm, 0x0100),
        Addr::Pre(_, imm) => (imm, 0x0120),
        Addr::Post(_, imm) => (imm, 0x0020),
        Addr::Index(..) => return Err(EncodeError::Form("a pair takes no index register")),
    };
    let base = addr.base();
    if addr.writes_back() && (base == rt || base == rt2) {
        return Err(EncodeError::Form("the base that moves is transferred too"));
    }
    let (words, up) = word_offset(imm)?;
    Ok(Code::Wide(
        0xe840 | mode | u16::from(up) << 7 | load | not_pc("base", base)?,
        t << 12 | t2 << 8 | words,
    ))
}

pub(super) fn load_many(mode: Mode, base: Reg, writeback: bool, regs: RegList) -> Result<Code> {
    let n = not_pc("base", base)?;
    let list = |expected| EncodeError::List {
        expected,
        found: regs,
    };
    if regs.is_empty() {
        return Err(list("at least one register"));
    }
    if regs.contains(Reg::Sp) || (regs.contains(Reg::Pc) && regs.contains(Reg::Lr)) {
        return Err(list("no sp, and not both lr and pc"));
    }
    if writeback && regs.contains(base) {
        return Err(list("no base register when the base moves"));
    }
    let bits = regs.bits();
    if mode == Mode::Ia {
        if base == Reg::Sp && writeback && bits & 0x7f00 == 0 {
            return Ok(Code::Narrow(0xbc00 | (bits >> 15) << 8 | bits & 0xff));
        }
        if base.is_low() && bits <= 0xff && writeback != regs.contains(base) {
            return Ok(Code::Narrow(0xc800 | n << 8 | bits));
        }
    }
    if regs.len() == 1 {
        if base == Reg::Sp && writeback && mode == Mode::Ia {
            let t = bits.trailing_zeros() as u16;
            return Ok(Code::Wide(0xf85d, t << 12 | 0x0b04));
        }
        return Err(list("at least two registers here"));
    }
    let first = match mode {
        Mode::Ia => 0xe890,
        Mode::Db => 0xe910,
    };
    Ok(Code::Wide(first | u16::from(writeback) << 5 | n, bits))
}

pub(super) fn store_many(mode: Mode, base: Reg, writeback: bool, regs: RegList) -> Result<Code> {
    let n = not_pc("base", base)?;
    let list = |expected| EncodeError::List {
        expected,
        found: regs,
    };
    if regs.is_empty() {
        return Err(list("at least one register"));
    }
    if regs.contains(Reg::Sp) || regs.contains(Reg::Pc) {
        return Err(list("neither sp nor pc"));
    }
    if writeback && regs.contains(base) {
        return Err(list("no base register when the base moves"));
    }
    let bits = regs.bits();
    if mode == Mode::Db && base == Reg::Sp && writeback && bits & 0xbf00 == 0 {
        return Ok(Code::Narrow(0xb400 | (bits >> 14) << 8 | bits & 0xff));
    }
    if mode == Mode::Ia && base.is_low() && bits <= 0xff && writeback {
        return Ok(Code::Narrow(0xc000 | n << 8 | bits));
    }
    if regs.len() == 1 {
        if base == Reg::Sp && writeback && mode == Mode::Db {
            let t = bits.trailing_zeros() as u16;
            return Ok(Code::Wide(0xf84d, t << 12 | 0x0d04));
        }
        return Err(list("at least two registers here"));
    }
    let first = match mode {
        Mode::Ia => 0xe880,
        Mode::Db => 0xe900,
    };
    Ok(Code::Wide(first | u16::from(writeback) << 5 | n, bits))
}

pub(super) fn load_literal(rt: Reg, offset: i32, width: Width) -> Result<Code> {
    match width {
        Width::Narrow => {
            let t = low("rt", rt)?;
            Ok(Code::Narrow(0x4800 | t << 8 | narrow_literal(offset)?))
        }
        Width::Wide => {
            let t = u16::from(rt.index());
            let first = if offset >= 0 { 0xf8df } else { 0xf85f };
            Ok(Code::Wide(first, t << 12 | wide_literal(offset)?))
        }
    }
}

pub(super) fn adr(rd: Reg, offset: i32, width: Width) -> Result<Code> {
    match width {
        Width::Narrow => {
            let d = low("rd", rd)?;
            Ok(Code::Narrow(0xa000 | d << 8 | narrow_literal(offset)?))
        }
        Width::Wide => {
            let d = general("rd", rd)?;
            let first = if offset >= 0 { 0xf20f } else { 0xf2af };
            let (i, rest) = split12(wide_literal(offset)?);
            Ok(Code::Wide(first | i, rest | d << 8))
        }
    }
}

fn narrow_literal(offset: i32) -> Result<u16> {
    if offset % 4 == 0 && (0..=1020).contains(&offset) {
        return Ok((offset / 4) as u16);
    }
    Err(number("offset", "a multiple of 4 from 0 to 1020", offset))
}

fn wide_literal(offset: i32) -> Result<u16> {
    if (-4095..=4095).contains(&offset) {
        return Ok(offset.unsigned_abs() as u16);
    }
    Err(number("offset", "-4095 to 4095", offset))
}

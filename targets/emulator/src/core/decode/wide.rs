//! The 32-bit encodings, without floating point.

use super::{Decoded, Fetched, alu_imm, alu_shift, imm_shift, sign_extend, vfp};
use crate::core::op::{
    Alu, Dsp, Extend, Index, MulLong, Op, Reg, SCRATCH, SetFlags, Shift, Unary, Width,
};

const SP: Reg = 13;
const PC: Reg = 15;

/// Registers most wide instructions may not name.
fn bad(r: Reg) -> bool {
    r == SP || r == PC
}

fn reg(hw: u16, at: u32) -> Reg {
    ((hw >> at) & 15) as Reg
}

pub(super) fn decode(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    match (first >> 11) & 3 {
        1 => match (first >> 9) & 3 {
            0 if first & 0x40 == 0 => multiple(f),
            0 => dual_exclusive_table(f),
            1 => shifted_register(f),
            _ => vfp::decode(f),
        },
        2 if second & 0x8000 != 0 => branch_misc(f),
        2 if first & 0x200 == 0 => modified_immediate(f),
        2 => plain_immediate(f),
        _ => match (first >> 8) & 7 {
            0 if first & 0x10 == 0 => store_single(f),
            0 | 1 if first & 0x10 != 0 => load_single(f),
            2 => register_processing(f),
            3 if first & 0x80 == 0 => multiply(f),
            3 => multiply_long(f),
            4..=7 => vfp::decode(f),
            _ => f.undefined(),
        },
    }
}

/// LDM, STM, PUSH, POP.
fn multiple(f: &Fetched) -> Decoded {
    let (list, rn) = (f.second, reg(f.first, 0));
    let (load, writeback) = (f.first & 0x10 != 0, f.first & 0x20 != 0);
    let before = match (f.first >> 7) & 3 {
        1 => false,
        2 => true,
        _ => return f.undefined(),
    };
    let forbidden = if load { 0x2000 } else { 0xa000 };
    if rn == PC
        || list.count_ones() < 2
        || list & forbidden != 0
        || (writeback && list & (1 << rn) != 0)
    {
        return f.undefined();
    }
    if !load {
        return Op::Stm {
            rn,
            list,
            before,
            writeback,
        }
        .into();
    }
    let ldm = Op::Ldm {
        rn,
        list,
        before,
        writeback,
    };
    match list & 0xc000 {
        0xc000 => f.undefined(),
        0x8000 => Decoded::Two(ldm, Op::JumpLoaded),
        _ => ldm.into(),
    }
}

/// LDRD, STRD, LDREX, STREX and their sizes, TBB, TBH.
fn dual_exclusive_table(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    let (rn, rt, rt2) = (reg(first, 0), reg(second, 12), reg(second, 8));
    let load = first & 0x10 != 0;
    let (p, u, w) = (first & 0x100 != 0, first & 0x80 != 0, first & 0x20 != 0);
    let imm = u32::from(second & 0xff) * 4;
    if !p && !u && !w {
        if rn == PC || bad(rt) {
            return f.undefined();
        }
        if load {
            if rt2 != 15 {
                return f.undefined();
            }
            return Op::Ldrex {
                width: Width::Word,
                rt,
                rn,
                off: imm,
            }
            .into();
        }
        if bad(rt2) || rt2 == rn || rt2 == rt {
            return f.undefined();
        }
        return Op::Strex {
            width: Width::Word,
            rd: rt2,
            rt,
            rn,
            off: imm as u16,
        }
        .into();
    }
    if !p && u && !w {
        return exclusive_or_table(f, load);
    }
    let off = if u { imm } else { imm.wrapping_neg() };
    let index = match (p, w) {
        (true, false) => Index::Offset,
        (true, true) => Index::Pre,
        (false, _) => Index::Post,
    };
    let writeback = index != Index::Offset;
    if bad(rt)
        || bad(rt2)
        || (load && rt == rt2)
        || (writeback && (rn == PC || rn == rt || rn == rt2))
    {
        return f.undefined();
    }
    match (load, rn) {
        (true, PC) => Op::LdrdAbs {
            rt,
            rt2,
            addr: f.pc_aligned().wrapping_add(off),
        }
        .into(),
        (true, _) => Op::Ldrd {
            index,
            rt,
            rt2,
            rn,
            off,
        }
        .into(),
        (false, PC) => f.undefined(),
        (false, _) => Op::Strd {
            index,
            rt,
            rt2,
            rn,
            off,
        }
        .into(),
    }
}

fn exclusive_or_table(f: &Fetched, load: bool) -> Decoded {
    let (rn, rt, rm) = (reg(f.first, 0), reg(f.second, 12), reg(f.second, 0));
    match (load, (f.second >> 4) & 15) {
        (true, half @ (0 | 1)) => {
            if f.second & 0xff00 != 0xf000 || rn == SP || bad(rm) {
                return f.undefined();
            }
            let (half, base) = (half == 1, f.pc_value());
            if rn == PC {
                Op::TableBranchPc { half, rm, base }.into()
            } else {
                Op::TableBranch { half, rn, rm, base }.into()
            }
        }
        (_, size @ (4 | 5)) => {
            let width = if size == 4 { Width::U8 } else { Width::U16 };
            if rn == PC || bad(rt) || f.second & 0xf00 != 0xf00 {
                return f.undefined();
            }
            if load {
                if rm != 15 {
                    return f.undefined();
                }
                Op::Ldrex {
                    width,
                    rt,
                    rn,
                    off: 0,
                }
                .into()
            } else if bad(rm) || rm == rn || rm == rt {
                f.undefined()
            } else {
                Op::Strex {
                    width,
                    rd: rm,
                    rt,
                    rn,
                    off: 0,
                }
                .into()
            }
        }
        _ => f.undefined(),
    }
}

/// The operation of the opcode field that immediate and register forms share; `None` where the table has a gap.
fn alu_of(code: u16) -> Option<Alu> {
    Some(match code {
        0 => Alu::And,
        1 => Alu::Bic,
        2 => Alu::Orr,
        3 => Alu::Orn,
        4 => Alu::Eor,
        8 => Alu::Add,
        10 => Alu::Adc,
        11 => Alu::Sbc,
        13 => Alu::Sub,
        14 => Alu::Rsb,
        _ => return None,
    })
}

/// Resolves the forms that share an opcode: MOV and MVN are ORR and ORN without a first operand; TST, TEQ, CMN and CMP have no result.
fn resolve(op: Alu, s: bool, rd: Reg, rn: Reg) -> Option<(Alu, Reg, Reg)> {
    let test = s && rd == PC;
    Some(match op {
        Alu::Orr | Alu::Orn if rn == PC => {
            if bad(rd) {
                return None;
            }
            (if op == Alu::Orr { Alu::Mov } else { Alu::Mvn }, rd, 0)
        }
        Alu::And | Alu::Eor if test && !bad(rn) => (op, SCRATCH, rn),
        Alu::Add | Alu::Sub if test && rn != PC => (op, SCRATCH, rn),
        // SP may be the first operand, and the result of arithmetic on SP.
        Alu::Add | Alu::Sub if rn == SP && rd != PC => (op, rd, rn),
        _ if bad(rd) || bad(rn) => return None,
        _ => (op, rd, rn),
    })
}

fn shifted_register(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    let (rn, rd, rm) = (reg(first, 0), reg(second, 8), reg(second, 0));
    let s = first & 0x10 != 0;
    let shift = imm_shift(
        (second >> 4) & 3,
        ((second >> 10) & 0x1c) | ((second >> 6) & 3),
    );
    let code = (first >> 5) & 15;
    if second & 0x8000 != 0 {
        return f.undefined();
    }
    if code == 6 {
        let op = match shift {
            _ if s || second & 0x10 != 0 || bad(rd) || bad(rn) || bad(rm) => return f.undefined(),
            (Shift::Lsl, _) => Dsp::Pkhbt,
            _ => Dsp::Pkhtb,
        };
        return Op::Dsp {
            op,
            rd,
            rn,
            rm,
            ra: shift.1,
        }
        .into();
    }
    // MOV between any two registers but PC, without a shift or flags, may name SP.
    if code == 2 && rn == PC && !s && shift == (Shift::Lsl, 0) && rd != PC && rm != PC {
        return Op::MovReg { rd, rm }.into();
    }
    match alu_of(code).and_then(|op| resolve(op, s, rd, rn)) {
        Some((op, rd, rn)) if !bad(rm) => alu_shift(op, s, rd, rn, rm, shift).into(),
        _ => f.undefined(),
    }
}

/// ThumbExpandImm: the constant, and whether it was rotated (and so has a carry).
fn expand_immediate(imm12: u16) -> Option<(u32, bool)> {
    let imm8 = u32::from(imm12 & 0xff);
    if imm12 & 0xc00 != 0 {
        let rotation = u32::from(imm12 >> 7);
        return Some(((0x80 | (imm8 & 0x7f)).rotate_right(rotation), true));
    }
    let pattern = (imm12 >> 8) & 3;
    if pattern != 0 && imm8 == 0 {
        return None;
    }
    Some((
        match pattern {
            0 => imm8,
            1 => imm8 * 0x0001_0001,
            2 => imm8 * 0x0100_0100,
            _ => imm8 * 0x0101_0101,
        },
        false,
    ))
}

fn imm12(f: &Fetched) -> u16 {
    ((f.first << 1) & 0x800) | ((f.second >> 4) & 0x700) | (f.second & 0xff)
}

fn modified_immediate(f: &Fetched) -> Decoded {
    let (rn, rd) = (reg(f.first, 0), reg(f.second, 8));
    let s = f.first & 0x10 != 0;
    let Some((imm, rotated)) = expand_immediate(imm12(f)) else {
        return f.undefined();
    };
    let flags = match (s, rotated) {
        (false, _) => SetFlags::No,
        (true, false) => SetFlags::Yes,
        (true, true) => SetFlags::YesTopBit,
    };
    match alu_of((f.first >> 5) & 15).and_then(|op| resolve(op, s, rd, rn)) {
        Some((op, rd, rn)) => alu_imm(op, flags, rd, rn, imm).into(),
        None => f.undefined(),
    }
}

fn plain_immediate(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    let (rn, rd) = (reg(first, 0), reg(second, 8));
    let imm12 = imm12(f);
    let imm16 = (first << 12) | imm12;
    let lsb = ((second >> 10) & 0x1c) as u8 | ((second >> 6) & 3) as u8;
    let low5 = (second & 31) as u8;
    if rd == PC || (rd == SP && !(rn == SP && matches!((first >> 4) & 31, 0 | 10))) {
        return f.undefined();
    }
    match (first >> 4) & 31 {
        0 if rn == PC => Op::MovImm {
            rd,
            imm: f.pc_aligned().wrapping_add(imm12.into()),
        }
        .into(),
        0 => alu_imm(Alu::Add, SetFlags::No, rd, rn, imm12.into()).into(),
        10 if rn == PC => Op::MovImm {
            rd,
            imm: f.pc_aligned().wrapping_sub(imm12.into()),
        }
        .into(),
        10 => alu_imm(Alu::Sub, SetFlags::No, rd, rn, imm12.into()).into(),
        4 => Op::MovImm {
            rd,
            imm: imm16.into(),
        }
        .into(),
        12 => Op::Movt { rd, imm: imm16 }.into(),
        _ if first & 0x400 != 0 || second & 0x20 != 0 => f.undefined(),
        code @ (16 | 18 | 24 | 26) => {
            let signed = code < 24;
            let shift = match (code & 2 != 0, lsb) {
                (false, n) => (Shift::Lsl, n),
                (true, 0) => return f.unsupported(), // SSAT16, USAT16
                (true, n) => (Shift::Asr, n),
            };
            if bad(rn) {
                return f.undefined();
            }
            Op::Sat {
                signed,
                rd,
                rn,
                bits: low5 + u8::from(signed),
                shift: shift.0,
                n: shift.1,
            }
            .into()
        }
        code @ (20 | 28) => {
            let width = low5 + 1;
            if bad(rn) || lsb + width > 32 {
                return f.undefined();
            }
            Op::Bitfield {
                signed: code == 20,
                rd,
                rn,
                lsb,
                width,
            }
            .into()
        }
        22 => {
            let Some(width) = (low5 + 1).checked_sub(lsb).filter(|&w| w > 0) else {
                return f.undefined();
            };
            match rn {
                PC => Op::Bfc { rd, lsb, width }.into(),
                SP => f.undefined(),
                _ => Op::Bfi { rd, rn, lsb, width }.into(),
            }
        }
        _ => f.undefined(),
    }
}

fn branch_misc(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    let s = u32::from((first >> 10) & 1);
    let (j1, j2) = (u32::from((second >> 13) & 1), u32::from((second >> 11) & 1));
    let imm11 = u32::from(second & 0x7ff);
    let far = || {
        let (i1, i2) = (1 ^ j1 ^ s, 1 ^ j2 ^ s);
        let offset =
            (s << 24) | (i1 << 23) | (i2 << 22) | (u32::from(first & 0x3ff) << 12) | (imm11 << 1);
        f.pc_value().wrapping_add(sign_extend(offset, 25))
    };
    match (second >> 12) & 5 {
        1 => Op::B { target: far() }.into(),
        5 => Op::Bl {
            target: far(),
            link: f.next() | 1,
        }
        .into(),
        4 => f.undefined(),
        _ => {
            let cond = ((first >> 6) & 15) as u8;
            if cond < 14 {
                let offset = (s << 20)
                    | (j2 << 19)
                    | (j1 << 18)
                    | (u32::from(first & 0x3f) << 12)
                    | (imm11 << 1);
                return Op::Bcond {
                    cond,
                    target: f.pc_value().wrapping_add(sign_extend(offset, 21)),
                }
                .into();
            }
            system(f)
        }
    }
}

fn system(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    match first {
        0xf380..=0xf38f if second & 0xf300 == 0x8000 => {
            let (rn, sysm, mask) = (
                reg(first, 0),
                (second & 0xff) as u8,
                ((second >> 10) & 3) as u8,
            );
            if bad(rn) || mask == 0 {
                return f.undefined();
            }
            Op::Msr { rn, sysm, mask }.into()
        }
        0xf3ef if second & 0xf000 == 0x8000 => {
            let rd = reg(second, 8);
            if bad(rd) {
                return f.undefined();
            }
            Op::Mrs {
                rd,
                sysm: (second & 0xff) as u8,
            }
            .into()
        }
        0xf3af if second & 0xff00 == 0x8000 => match second & 0xff {
            2 => Op::Wfe { next: f.next() }.into(),
            3 => Op::Wfi { next: f.next() }.into(),
            4 => Op::Sev.into(),
            _ => Op::Nop.into(),
        },
        0xf3bf if second & 0xff00 == 0x8f00 => match (second >> 4) & 15 {
            2 if second & 15 == 15 => Op::Clrex.into(),
            4..=6 => Op::Nop.into(),
            _ => f.undefined(),
        },
        _ => f.undefined(),
    }
}

/// The offset forms of single loads and stores.
enum Address {
    Immediate(Index, u32),
    Register(Reg, u8),
}

/// `None` where the encoding is undefined. Unprivileged forms are ordinary ones: the model has no protection.
fn address(f: &Fetched) -> Option<Address> {
    let second = f.second;
    let imm8 = u32::from(second & 0xff);
    if f.first & 0x80 != 0 {
        return Some(Address::Immediate(Index::Offset, u32::from(second & 0xfff)));
    }
    if second & 0x800 != 0 {
        let (p, u, w) = (
            second & 0x400 != 0,
            second & 0x200 != 0,
            second & 0x100 != 0,
        );
        let off = if u { imm8 } else { imm8.wrapping_neg() };
        let index = match (p, w) {
            (true, false) => Index::Offset,
            (true, true) => Index::Pre,
            (false, true) => Index::Post,
            (false, false) => return None,
        };
        return Some(Address::Immediate(index, off));
    }
    let rm = reg(second, 0);
    (second & 0x7c0 == 0 && !bad(rm)).then_some(Address::Register(rm, ((second >> 4) & 3) as u8))
}

fn store_single(f: &Fetched) -> Decoded {
    let (rn, rt) = (reg(f.first, 0), reg(f.second, 12));
    let width = match (f.first >> 5) & 3 {
        0 => Width::U8,
        1 => Width::U16,
        2 => Width::Word,
        _ => return f.undefined(),
    };
    if rn == PC || rt == PC || (rt == SP && width != Width::Word) {
        return f.undefined();
    }
    match address(f) {
        Some(Address::Immediate(index, _)) if index != Index::Offset && rn == rt => f.undefined(),
        Some(Address::Immediate(Index::Offset, off)) if width == Width::Word => {
            Op::StrWord { rt, rn, off }.into()
        }
        Some(Address::Immediate(Index::Post, step)) if width == Width::Word => {
            Op::StrWordPost { rt, rn, step }.into()
        }
        Some(Address::Immediate(index, off)) => Op::Str {
            width,
            index,
            rt,
            rn,
            off,
        }
        .into(),
        Some(Address::Register(rm, n)) => Op::StrReg {
            width,
            rt,
            rn,
            rm,
            n,
        }
        .into(),
        None => f.undefined(),
    }
}

fn load_single(f: &Fetched) -> Decoded {
    let (first, second) = (f.first, f.second);
    let (rn, rt) = (reg(first, 0), reg(second, 12));
    let width = match ((first >> 5) & 3, first & 0x100 != 0) {
        (0, false) => Width::U8,
        (0, true) => Width::I8,
        (1, false) => Width::U16,
        (1, true) => Width::I16,
        (2, false) => Width::Word,
        _ => return f.undefined(),
    };
    let word = width == Width::Word;
    let target = if rn == PC {
        // Literal: bit 7 is the sign of a 12-bit offset.
        let imm12 = u32::from(second & 0xfff);
        let base = f.pc_aligned();
        let addr = if first & 0x80 != 0 {
            base.wrapping_add(imm12)
        } else {
            base.wrapping_sub(imm12)
        };
        Op::LdrAbs { width, rt, addr }
    } else {
        match address(f) {
            Some(Address::Immediate(index, _)) if index != Index::Offset && rn == rt => {
                return f.undefined();
            }
            Some(Address::Immediate(Index::Offset, off)) if word => Op::LdrWord { rt, rn, off },
            Some(Address::Immediate(Index::Post, step)) if word => Op::LdrWordPost { rt, rn, step },
            Some(Address::Immediate(index, off)) => Op::Ldr {
                width,
                index,
                rt,
                rn,
                off,
            },
            Some(Address::Register(rm, n)) => Op::LdrReg {
                width,
                rt,
                rn,
                rm,
                n,
            },
            None => return f.undefined(),
        }
    };
    match (rt, word) {
        (PC, true) => Decoded::Two(target, Op::JumpLoaded),
        // Loads of a byte or halfword to PC are preload hints, which do nothing.
        (PC, false) => match target {
            Op::Ldr {
                index: Index::Pre | Index::Post,
                ..
            } => f.undefined(),
            _ => Op::Nop.into(),
        },
        (SP, false) => f.undefined(),
        _ => target.into(),
    }
}

fn register_processing(f: &Fetched) -> Decoded {
    let (rn, rd, rm) = (reg(f.first, 0), reg(f.second, 8), reg(f.second, 0));
    let (op1, op2) = ((f.first >> 4) & 15, (f.second >> 4) & 15);
    if f.second & 0xf000 != 0xf000 || bad(rd) || bad(rm) || rn == SP {
        return f.undefined();
    }
    match (op1, op2) {
        (0..=7, 0) if rn != PC => {
            let shift = [Shift::Lsl, Shift::Lsr, Shift::Asr, Shift::Ror][usize::from(op1 >> 1)];
            Op::ShiftReg {
                shift,
                s: op1 & 1 != 0,
                rd,
                rn,
                rm,
            }
            .into()
        }
        (0..=5, 8..=11) => {
            let op = match op1 {
                0 => Extend::Sxth,
                1 => Extend::Uxth,
                2 => Extend::Sxtb16,
                3 => Extend::Uxtb16,
                4 => Extend::Sxtb,
                _ => Extend::Uxtb,
            };
            Op::Extend {
                op,
                add: rn != PC,
                rd,
                rn,
                rm,
                rot: ((op2 & 3) * 8) as u8,
            }
            .into()
        }
        (8..=15, 0..=7) if rn != PC => f.unsupported(), // parallel addition and subtraction
        (8, 8..=11) if rn != PC => {
            let op = [Dsp::Qadd, Dsp::Qdadd, Dsp::Qsub, Dsp::Qdsub][usize::from(op2 & 3)];
            Op::Dsp {
                op,
                rd,
                rn,
                rm,
                ra: 0,
            }
            .into()
        }
        // The operand is encoded twice.
        (9, 8..=11) if rn == rm => {
            let op = [Unary::Rev, Unary::Rev16, Unary::Rbit, Unary::Revsh][usize::from(op2 & 3)];
            Op::Unary { op, rd, rm }.into()
        }
        (10, 8) if rn != PC => f.unsupported(), // SEL
        (11, 8) if rn == rm => Op::Unary {
            op: Unary::Clz,
            rd,
            rm,
        }
        .into(),
        _ => f.undefined(),
    }
}

fn multiply(f: &Fetched) -> Decoded {
    let (rn, ra, rd, rm) = (
        reg(f.first, 0),
        reg(f.second, 12),
        reg(f.second, 8),
        reg(f.second, 0),
    );
    let (op1, op2) = ((f.first >> 4) & 7, (f.second >> 4) & 15);
    if bad(rd) || bad(rn) || bad(rm) || ra == SP {
        return f.undefined();
    }
    let halves = (op2 & 3) as u8;
    let plain = ra == PC;
    let dsp = |op| Op::Dsp { op, rd, rn, rm, ra }.into();
    match (op1, op2) {
        (0, 0) if plain => Op::Mul {
            s: false,
            rd,
            rn,
            rm,
        }
        .into(),
        (0, 0) => Op::Mla { rd, rn, rm, ra }.into(),
        (0, 1) if !plain => Op::Mls { rd, rn, rm, ra }.into(),
        (1, 0..=3) => dsp(if plain {
            Dsp::Smul(halves)
        } else {
            Dsp::Smla(halves)
        }),
        (3, 0..=1) => dsp(if plain {
            Dsp::Smulw(halves)
        } else {
            Dsp::Smlaw(halves)
        }),
        (5, 0..=1) if plain => dsp(Dsp::Smmul { round: op2 == 1 }),
        (5, 0..=1) => dsp(Dsp::Smmla { round: op2 == 1 }),
        (6, 0..=1) if !plain => dsp(Dsp::Smmls { round: op2 == 1 }),
        (2 | 4, 0..=1) | (7, 0) => f.unsupported(), // SMLAD, SMLSD, USAD8 and relatives
        _ => f.undefined(),
    }
}

fn multiply_long(f: &Fetched) -> Decoded {
    let (rn, lo, hi, rm) = (
        reg(f.first, 0),
        reg(f.second, 12),
        reg(f.second, 8),
        reg(f.second, 0),
    );
    let (op1, op2) = ((f.first >> 4) & 7, (f.second >> 4) & 15);
    if bad(rn) || bad(rm) || bad(hi) {
        return f.undefined();
    }
    let kind = match (op1, op2) {
        (1 | 3, 15) if lo == 15 => {
            return Op::Div {
                signed: op1 == 1,
                rd: hi,
                rn,
                rm,
            }
            .into();
        }
        (0, 0) => MulLong::Smull,
        (2, 0) => MulLong::Umull,
        (4, 0) => MulLong::Smlal,
        (6, 0) => MulLong::Umlal,
        (6, 6) => MulLong::Umaal,
        (4, 8..=13) | (5, 12..=13) => return f.unsupported(), // SMLALxy, SMLALD, SMLSLD
        _ => return f.undefined(),
    };
    if bad(lo) || lo == hi {
        return f.undefined();
    }
    Op::MulLong {
        kind,
        lo,
        hi,
        rn,
        rm,
    }
    .into()
}

//! The 16-bit encodings.

use super::{Decoded, Fetched, alu_imm, alu_shift, imm_shift, sign_extend};
use crate::core::op::{Alu, Extend, Index, Op, Reg, SCRATCH, SetFlags, Shift, Unary, Width};

const SP: Reg = 13;
const PC: Reg = 15;

fn field(hw: u16, at: u32) -> Reg {
    ((hw >> at) & 7) as Reg
}

pub(super) fn decode(f: &Fetched) -> Decoded {
    let hw = f.first;
    // Outside an IT block the 16-bit data processing instructions set the flags.
    let sets = !f.in_it;
    let s = if sets { SetFlags::Yes } else { SetFlags::No };
    let imm8 = u32::from(hw & 0xff);
    let imm5 = (hw >> 6) & 31;
    let (rd, rn, rm, r8) = (field(hw, 0), field(hw, 3), field(hw, 6), field(hw, 8));
    match hw >> 11 {
        0b00000..=0b00010 => {
            if imm5 == 0 && hw >> 11 == 0 && f.in_it {
                return f.undefined();
            }
            alu_shift(Alu::Mov, sets, rd, 0, rn, imm_shift(hw >> 11, imm5)).into()
        }
        0b00011 => match (hw >> 9) & 3 {
            0 => alu_shift(Alu::Add, sets, rd, rn, rm, (Shift::Lsl, 0)).into(),
            1 => alu_shift(Alu::Sub, sets, rd, rn, rm, (Shift::Lsl, 0)).into(),
            2 => alu_imm(Alu::Add, s, rd, rn, u32::from(rm)).into(),
            _ => alu_imm(Alu::Sub, s, rd, rn, u32::from(rm)).into(),
        },
        0b00100 => alu_imm(Alu::Mov, s, r8, 0, imm8).into(),
        0b00101 => alu_imm(Alu::Sub, SetFlags::Yes, SCRATCH, r8, imm8).into(),
        0b00110 => alu_imm(Alu::Add, s, r8, r8, imm8).into(),
        0b00111 => alu_imm(Alu::Sub, s, r8, r8, imm8).into(),
        0b01000 if hw & 0x400 == 0 => data_processing(hw, sets),
        0b01000 => special(f),
        0b01001 => Op::LdrAbs {
            width: Width::Word,
            rt: r8,
            addr: f.pc_aligned().wrapping_add(imm8 * 4),
        }
        .into(),
        0b01010 | 0b01011 => {
            let (rt, rn, rm, n) = (rd, rn, rm, 0);
            match (hw >> 9) & 7 {
                0 => Op::StrReg {
                    width: Width::Word,
                    rt,
                    rn,
                    rm,
                    n,
                },
                1 => Op::StrReg {
                    width: Width::U16,
                    rt,
                    rn,
                    rm,
                    n,
                },
                2 => Op::StrReg {
                    width: Width::U8,
                    rt,
                    rn,
                    rm,
                    n,
                },
                3 => Op::LdrReg {
                    width: Width::I8,
                    rt,
                    rn,
                    rm,
                    n,
                },
                4 => Op::LdrReg {
                    width: Width::Word,
                    rt,
                    rn,
                    rm,
                    n,
                },
                5 => Op::LdrReg {
                    width: Width::U16,
                    rt,
                    rn,
                    rm,
                    n,
                },
                6 => Op::LdrReg {
                    width: Width::U8,
                    rt,
                    rn,
                    rm,
                    n,
                },
                _ => Op::LdrReg {
                    width: Width::I16,
                    rt,
                    rn,
                    rm,
                    n,
                },
            }
            .into()
        }
        0b01100 => Op::StrWord {
            rt: rd,
            rn,
            off: u32::from(imm5) * 4,
        }
        .into(),
        0b01101 => Op::LdrWord {
            rt: rd,
            rn,
            off: u32::from(imm5) * 4,
        }
        .into(),
        0b01110 => store(Width::U8, rd, rn, imm5),
        0b01111 => load(Width::U8, rd, rn, imm5),
        0b10000 => store(Width::U16, rd, rn, imm5 * 2),
        0b10001 => load(Width::U16, rd, rn, imm5 * 2),
        0b10010 => Op::StrWord {
            rt: r8,
            rn: SP,
            off: imm8 * 4,
        }
        .into(),
        0b10011 => Op::LdrWord {
            rt: r8,
            rn: SP,
            off: imm8 * 4,
        }
        .into(),
        0b10100 => Op::MovImm {
            rd: r8,
            imm: f.pc_aligned().wrapping_add(imm8 * 4),
        }
        .into(),
        0b10101 => alu_imm(Alu::Add, SetFlags::No, r8, SP, imm8 * 4).into(),
        0b10110 | 0b10111 => miscellaneous(f),
        0b11000 => match hw & 0xff {
            0 => f.undefined(),
            // The stored value of the base is unknown when it is in the list and not its lowest register.
            list if list & (1 << r8) != 0 && list.trailing_zeros() != u32::from(r8) => {
                f.undefined()
            }
            list => Op::Stm {
                rn: r8,
                list,
                before: false,
                writeback: true,
            }
            .into(),
        },
        0b11001 => match hw & 0xff {
            0 => f.undefined(),
            list => Op::Ldm {
                rn: r8,
                list,
                before: false,
                writeback: list & (1 << r8) == 0,
            }
            .into(),
        },
        0b11010 | 0b11011 => match (hw >> 8) & 15 {
            14 => f.undefined(),
            15 => Op::Svc { next: f.next() }.into(),
            cond => {
                let target = f.pc_value().wrapping_add(sign_extend(imm8 << 1, 9));
                Op::Bcond {
                    cond: cond as u8,
                    target,
                }
                .into()
            }
        },
        _ => {
            let target = f
                .pc_value()
                .wrapping_add(sign_extend(u32::from(hw & 0x7ff) << 1, 12));
            Op::B { target }.into()
        }
    }
}

fn load(width: Width, rt: Reg, rn: Reg, off: u16) -> Decoded {
    Op::Ldr {
        width,
        index: Index::Offset,
        rt,
        rn,
        off: off.into(),
    }
    .into()
}

fn store(width: Width, rt: Reg, rn: Reg, off: u16) -> Decoded {
    Op::Str {
        width,
        index: Index::Offset,
        rt,
        rn,
        off: off.into(),
    }
    .into()
}

/// `op rdn, rm` of the low registers.
fn data_processing(hw: u16, s: bool) -> Decoded {
    let (rdn, rm) = (field(hw, 0), field(hw, 3));
    let alu = |op| Op::AluReg {
        op,
        s,
        rd: rdn,
        rn: rdn,
        rm,
    };
    let test = |op| Op::AluReg {
        op,
        s: true,
        rd: SCRATCH,
        rn: rdn,
        rm,
    };
    let shift = |shift| Op::ShiftReg {
        shift,
        s,
        rd: rdn,
        rn: rdn,
        rm,
    };
    match (hw >> 6) & 15 {
        0 => alu(Alu::And),
        1 => alu(Alu::Eor),
        2 => shift(Shift::Lsl),
        3 => shift(Shift::Lsr),
        4 => shift(Shift::Asr),
        5 => alu(Alu::Adc),
        6 => alu(Alu::Sbc),
        7 => shift(Shift::Ror),
        8 => test(Alu::And),
        9 => {
            let s = if s { SetFlags::Yes } else { SetFlags::No };
            Op::AluImm {
                op: Alu::Rsb,
                s,
                rd: rdn,
                rn: rm,
                imm: 0,
            }
        }
        10 => Op::CmpReg { rn: rdn, rm },
        11 => test(Alu::Add),
        12 => alu(Alu::Orr),
        13 => Op::Mul {
            s,
            rd: rdn,
            rn: rdn,
            rm,
        },
        14 => alu(Alu::Bic),
        _ => alu(Alu::Mvn),
    }
    .into()
}

/// ADD, CMP, MOV of any register, and BX, BLX.
fn special(f: &Fetched) -> Decoded {
    let hw = f.first;
    let rm = ((hw >> 3) & 15) as Reg;
    let rdn = field(hw, 0) | ((hw >> 4) & 8) as Reg;
    match (hw >> 8) & 3 {
        0 => match (rdn, rm) {
            (PC, PC) => f.undefined(),
            (PC, _) => Decoded::Two(
                Op::AddImm {
                    rd: SCRATCH,
                    rn: rm,
                    imm: f.pc_value(),
                },
                Op::JumpPlain,
            ),
            (_, PC) => Op::AddImm {
                rd: rdn,
                rn: rdn,
                imm: f.pc_value(),
            }
            .into(),
            _ => Op::AddReg {
                rd: rdn,
                rn: rdn,
                rm,
            }
            .into(),
        },
        1 if rdn == PC || rm == PC || (rdn < 8 && rm < 8) => f.undefined(),
        1 => Op::CmpReg { rn: rdn, rm }.into(),
        2 => match (rdn, rm) {
            (PC, PC) => Op::B {
                target: f.pc_value(),
            }
            .into(),
            (PC, _) => Decoded::Two(Op::MovReg { rd: SCRATCH, rm }, Op::JumpPlain),
            (_, PC) => Op::MovImm {
                rd: rdn,
                imm: f.pc_value(),
            }
            .into(),
            _ => Op::MovReg { rd: rdn, rm }.into(),
        },
        _ if hw & 7 != 0 || rm == PC => f.undefined(),
        _ if hw & 0x80 == 0 => Op::Bx { rm }.into(),
        _ => Op::Blx {
            rm,
            link: f.next() | 1,
        }
        .into(),
    }
}

fn miscellaneous(f: &Fetched) -> Decoded {
    let hw = f.first;
    let (rd, rm) = (field(hw, 0), field(hw, 3));
    match (hw >> 8) & 15 {
        0b0000 => {
            let imm = u32::from(hw & 0x7f) * 4;
            let op = if hw & 0x80 == 0 { Alu::Add } else { Alu::Sub };
            alu_imm(op, SetFlags::No, SP, SP, imm).into()
        }
        0b0001 | 0b0011 | 0b1001 | 0b1011 => {
            let offset = u32::from((hw >> 2) & 0x3e) | u32::from((hw >> 3) & 0x40);
            Op::Cbz {
                rn: rd,
                nonzero: hw & 0x800 != 0,
                target: f.pc_value().wrapping_add(offset),
            }
            .into()
        }
        0b0010 => {
            let op = match (hw >> 6) & 3 {
                0 => Extend::Sxth,
                1 => Extend::Sxtb,
                2 => Extend::Uxth,
                _ => Extend::Uxtb,
            };
            Op::Extend {
                op,
                add: false,
                rd,
                rn: 0,
                rm,
                rot: 0,
            }
            .into()
        }
        0b0100 | 0b0101 => match (hw & 0xff) | ((hw & 0x100) << 6) {
            0 => f.undefined(),
            list => Op::Stm {
                rn: SP,
                list,
                before: true,
                writeback: true,
            }
            .into(),
        },
        0b0110 if hw & 0xffec == 0xb660 => {
            let (primask, faultmask) = (hw & 2 != 0, hw & 1 != 0);
            if !primask && !faultmask {
                return f.undefined();
            }
            Op::Cps {
                disable: hw & 0x10 != 0,
                primask,
                faultmask,
            }
            .into()
        }
        0b1010 => match (hw >> 6) & 3 {
            0 => Op::Unary {
                op: Unary::Rev,
                rd,
                rm,
            }
            .into(),
            1 => Op::Unary {
                op: Unary::Rev16,
                rd,
                rm,
            }
            .into(),
            3 => Op::Unary {
                op: Unary::Revsh,
                rd,
                rm,
            }
            .into(),
            _ => f.undefined(),
        },
        0b1100 | 0b1101 => match (hw & 0xff) | ((hw & 0x100) << 7) {
            0 => f.undefined(),
            list => {
                let pop = Op::Ldm {
                    rn: SP,
                    list,
                    before: false,
                    writeback: true,
                };
                if list & 0x8000 != 0 {
                    Decoded::Two(pop, Op::JumpLoaded)
                } else {
                    pop.into()
                }
            }
        },
        0b1110 => Op::Bkpt {
            imm: (hw & 0xff) as u8,
        }
        .into(),
        0b1111 if hw & 15 != 0 => {
            let (cond, mask) = ((hw >> 4) & 15, hw & 15);
            // Condition 15 is none, and "always" has no "else".
            if cond == 15 || (cond == 14 && mask.count_ones() != 1) {
                return f.undefined();
            }
            Decoded::It((hw & 0xff) as u8)
        }
        0b1111 => match (hw >> 4) & 15 {
            2 => Op::Wfe { next: f.next() }.into(),
            3 => Op::Wfi { next: f.next() }.into(),
            4 => Op::Sev.into(),
            _ => Op::Nop.into(),
        },
        _ => f.undefined(),
    }
}

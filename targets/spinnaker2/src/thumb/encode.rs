//! From instructions to halfwords.
//!
//! The 16-bit encoding is taken wherever it means the same; which one that is depends on the instruction alone and on
//! whether an `IT` block covers it (there the 16-bit arithmetic does not set the flags, elsewhere it must).

use super::inst::{
    AluOp, BarrierOp, BitsOp, CompareOp, ConvertOp, ExtendOp, FArithOp, FUnaryOp, HintOp, Inst,
    LoadOp, Mode, MoveOp, MulAccOp, MulLongOp, ShiftOp, StoreOp, SysReg, Width,
};
use super::operand::{Addr, Cond, Reg, RegList, SList, SReg, Shift, Src};

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

fn general(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg.is_general() {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "neither sp nor pc",
        found: reg,
    })
}

fn not_pc(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg != Reg::Pc {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "any register but pc",
        found: reg,
    })
}

fn low(operand: &'static str, reg: Reg) -> Result<u16> {
    if reg.is_low() {
        return Ok(reg.index().into());
    }
    Err(EncodeError::Register {
        operand,
        expected: "one of r0 to r7",
        found: reg,
    })
}

fn number(operand: &'static str, expected: &'static str, found: impl Into<i64>) -> EncodeError {
    EncodeError::Number {
        operand,
        expected,
        found: found.into(),
    }
}

/// The magnitude of a word offset in words, and whether it is added.
fn word_offset(offset: i32) -> Result<(u16, bool)> {
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
fn field_d(reg: SReg) -> (u16, u16) {
    let n = u16::from(reg.index());
    ((n & 1) << 6, (n >> 1) << 12)
}

/// `Vn` with `N`.
fn field_n(reg: SReg) -> (u16, u16) {
    let n = u16::from(reg.index());
    (n >> 1, (n & 1) << 7)
}

/// `Vm` with `M`, all in the second halfword.
fn field_m(reg: SReg) -> u16 {
    let n = u16::from(reg.index());
    (n & 1) << 5 | n >> 1
}

/// The `imm3:imm2` and type fields of a shifted register.
fn shift_fields(shift: Shift) -> Result<u16> {
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
fn split12(imm: u16) -> (u16, u16) {
    ((imm >> 11 & 1) << 10, (imm >> 8 & 7) << 12 | imm & 0xff)
}

/// The halfwords of a branch with 25 bits of reach.
fn far_branch(offset: i32, second: u16) -> Result<Code> {
    if offset % 2 != 0 || !(-(1 << 24)..1 << 24).contains(&offset) {
        return Err(number("branch offset", "even and within 16 MiB", offset));
    }
    let bits = offset as u32;
    let sign = bits >> 31;
    let j1 = (bits >> 23 ^ sign ^ 1) & 1;
    let j2 = (bits >> 22 ^ sign ^ 1) & 1;
    Ok(Code::Wide(
        0xf000 | (sign << 10 | bits >> 12 & 0x3ff) as u16,
        second | (j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff) as u16,
    ))
}

struct Encoder {
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
            Inst::Movw { rd, imm } => move_wide(0xf240, rd, imm),
            Inst::Movt { rd, imm } => move_wide(0xf2c0, rd, imm),
            Inst::Alu { op, s, rd, rn, src } => self.alu(op, s, rd, rn, src),
            Inst::Compare { op, rn, src } => compare(op, rn, src),
            Inst::Shift { op, s, rd, rn, rm } => self.shift(op, s, rd, rn, rm),
            Inst::Mul { s, rd, rn, rm } => self.mul(s, rd, rn, rm),
            Inst::MulAcc { op, rd, rn, rm, ra } => {
                let sub = match op {
                    MulAccOp::Mla => 0,
                    MulAccOp::Mls => 0x10,
                };
                let ra = general("ra", ra)?;
                three(0xfb00, ra << 12 | sub, rd, rn, rm)
            }
            Inst::MulLong { op, lo, hi, rn, rm } => mul_long(op, lo, hi, rn, rm),
            Inst::Div { signed, rd, rn, rm } => {
                three(if signed { 0xfb90 } else { 0xfbb0 }, 0xf0f0, rd, rn, rm)
            }
            Inst::Extend { op, rd, rm } => extend(op, rd, rm),
            Inst::Extract {
                signed,
                rd,
                rn,
                lsb,
                width,
            } => {
                let base = if signed { 0xf340 } else { 0xf3c0 } | general("rn", rn)?;
                bit_field(base, rd, lsb, width, u16::from(width).wrapping_sub(1))
            }
            Inst::Bfi { rd, rn, lsb, width } => {
                let msb = u16::from(lsb).wrapping_add(width.into()).wrapping_sub(1);
                bit_field(0xf360 | general("rn", rn)?, rd, lsb, width, msb)
            }
            Inst::Bfc { rd, lsb, width } => {
                let msb = u16::from(lsb).wrapping_add(width.into()).wrapping_sub(1);
                bit_field(0xf36f, rd, lsb, width, msb)
            }
            Inst::Bits { op, rd, rm } => bits(op, rd, rm),
            Inst::Saturate {
                signed,
                rd,
                bits,
                rn,
            } => saturate(signed, rd, bits, rn),

            Inst::Load { op, rt, addr } => load(op, rt, addr),
            Inst::Store { op, rt, addr } => store(op, rt, addr),
            Inst::LoadPair { rt, rt2, addr } => {
                if rt == rt2 {
                    return Err(EncodeError::Form("both registers of a load are the same"));
                }
                pair(0x10, rt, rt2, addr)
            }
            Inst::StorePair { rt, rt2, addr } => pair(0, rt, rt2, addr),
            Inst::LoadMany {
                mode,
                base,
                writeback,
                regs,
            } => load_many(mode, base, writeback, regs),
            Inst::StoreMany {
                mode,
                base,
                writeback,
                regs,
            } => store_many(mode, base, writeback, regs),
            Inst::Push { regs } => store_many(Mode::Db, Reg::Sp, true, regs),
            Inst::Pop { regs } => load_many(Mode::Ia, Reg::Sp, true, regs),
            Inst::LoadLiteral { rt, offset, width } => load_literal(rt, offset, width),
            Inst::Adr { rd, offset, width } => adr(rd, offset, width),

            Inst::B {
                cond,
                offset,
                width,
            } => self.branch(cond, offset, width),
            Inst::Bl { offset } => far_branch(offset, 0xd000),
            Inst::Bx { rm } => Ok(Code::Narrow(0x4700 | not_pc("rm", rm)? << 3)),
            Inst::Blx { rm } => Ok(Code::Narrow(0x4780 | not_pc("rm", rm)? << 3)),
            Inst::Cbz {
                nonzero,
                rn,
                offset,
            } => self.cbz(nonzero, rn, offset),
            Inst::It(block) => {
                self.outside_it("IT cannot stand in an IT block")?;
                let cond = u16::from(block.cond().code());
                Ok(Code::Narrow(0xbf00 | cond << 4 | u16::from(block.mask())))
            }

            Inst::Cps { enable } => {
                self.outside_it("CPS cannot be conditional")?;
                Ok(Code::Narrow(if enable { 0xb662 } else { 0xb672 }))
            }
            Inst::Barrier { op } => Ok(Code::Wide(
                0xf3bf,
                match op {
                    BarrierOp::Dsb => 0x8f4f,
                    BarrierOp::Dmb => 0x8f5f,
                    BarrierOp::Isb => 0x8f6f,
                },
            )),
            Inst::Hint { op } => Ok(Code::Narrow(match op {
                HintOp::Nop => 0xbf00,
                HintOp::Yield => 0xbf10,
                HintOp::Wfe => 0xbf20,
                HintOp::Wfi => 0xbf30,
                HintOp::Sev => 0xbf40,
            })),
            Inst::Bkpt { imm } => Ok(Code::Narrow(0xbe00 | u16::from(imm))),
            Inst::Svc { imm } => Ok(Code::Narrow(0xdf00 | u16::from(imm))),
            Inst::Udf { imm } => Ok(Code::Narrow(0xde00 | u16::from(imm))),
            Inst::Mrs { rd, sys } => Ok(Code::Wide(
                0xf3ef,
                0x8000 | general("rd", rd)? << 8 | sysm(sys),
            )),
            Inst::Msr { sys, rn } => {
                Ok(Code::Wide(0xf380 | general("rn", rn)?, 0x8800 | sysm(sys)))
            }

            Inst::FArith { op, sd, sn, sm } => {
                let (first, second) = farith_base(op);
                let (d1, d2) = field_d(sd);
                let (n1, n2) = field_n(sn);
                Ok(Code::Wide(first | d1 | n1, second | d2 | n2 | field_m(sm)))
            }
            Inst::FUnary { op, sd, sm } => {
                let (first, second) = match op {
                    FUnaryOp::Vmov => (0xeeb0, 0x0a40),
                    FUnaryOp::Vabs => (0xeeb0, 0x0ac0),
                    FUnaryOp::Vneg => (0xeeb1, 0x0a40),
                    FUnaryOp::Vsqrt => (0xeeb1, 0x0ac0),
                };
                Ok(two_floats(first, second, sd, sm))
            }
            Inst::FCompare { signal, sd, sm } => {
                let second = if signal { 0x0ac0 } else { 0x0a40 };
                Ok(match sm {
                    Some(sm) => two_floats(0xeeb4, second, sd, sm),
                    None => two_floats(0xeeb5, second, sd, SReg::S0),
                })
            }
            Inst::FConvert { op, sd, sm } => {
                let (first, second) = match op {
                    ConvertOp::F32FromU32 => (0xeeb8, 0x0a40),
                    ConvertOp::F32FromS32 => (0xeeb8, 0x0ac0),
                    ConvertOp::U32FromF32R => (0xeebc, 0x0a40),
                    ConvertOp::U32FromF32 => (0xeebc, 0x0ac0),
                    ConvertOp::S32FromF32R => (0xeebd, 0x0a40),
                    ConvertOp::S32FromF32 => (0xeebd, 0x0ac0),
                };
                Ok(two_floats(first, second, sd, sm))
            }
            Inst::FMoveImm { sd, imm } => {
                let code = u16::from(imm.code());
                let (d1, d2) = field_d(sd);
                Ok(Code::Wide(
                    0xeeb0 | d1 | code >> 4,
                    0x0a00 | d2 | code & 0xf,
                ))
            }
            Inst::FMoveFromCore { sn, rt } => core_float(0xee00, sn, rt),
            Inst::FMoveToCore { rt, sn } => core_float(0xee10, sn, rt),
            Inst::FMovePairFromCore { sm, rt, rt2 } => core_float_pair(0xec40, sm, rt, rt2),
            Inst::FMovePairToCore { rt, rt2, sm } => {
                if rt == rt2 {
                    return Err(EncodeError::Form("both destinations are the same"));
                }
                core_float_pair(0xec50, sm, rt, rt2)
            }
            Inst::FLoad { sd, base, offset } => {
                float_access(0xed10, sd, not_pc("base", base)?, offset)
            }
            Inst::FStore { sd, base, offset } => {
                float_access(0xed00, sd, not_pc("base", base)?, offset)
            }
            Inst::FLoadLiteral { sd, offset } => float_access(0xed10, sd, 15, offset),
            Inst::FLoadMany {
                mode,
                base,
                writeback,
                regs,
            } => float_many(0xec10, mode, base, writeback, regs),
            Inst::FStoreMany {
                mode,
                base,
                writeback,
                regs,
            } => float_many(0xec00, mode, base, writeback, regs),
            Inst::FPush { regs } => float_many(0xec00, Mode::Db, Reg::Sp, true, regs),
            Inst::FPop { regs } => float_many(0xec10, Mode::Ia, Reg::Sp, true, regs),
            Inst::FFlags => Ok(Code::Wide(0xeef1, 0xfa10)),
            Inst::ReadFpscr { rt } => Ok(Code::Wide(0xeef1, 0x0a10 | general("rt", rt)? << 12)),
            Inst::WriteFpscr { rt } => Ok(Code::Wide(0xeee1, 0x0a10 | general("rt", rt)? << 12)),
        }
    }

    fn outside_it(&self, why: &'static str) -> Result<()> {
        if self.it {
            Err(EncodeError::Form(why))
        } else {
            Ok(())
        }
    }

    fn mov(&self, op: MoveOp, s: bool, rd: Reg, src: Src) -> Result<Code> {
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

    fn alu(&self, op: AluOp, s: bool, rd: Reg, rn: Reg, src: Src) -> Result<Code> {
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

    fn shift(&self, op: ShiftOp, s: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
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

    fn mul(&self, s: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
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

    fn branch(&self, cond: Option<Cond>, offset: i32, width: Width) -> Result<Code> {
        if cond.is_some() {
            self.outside_it("in an IT block the block gives the condition")?;
        }
        let bits = offset as u32;
        match (cond, width) {
            (None, Width::Narrow) => {
                if offset % 2 != 0 || !(-2048..2048).contains(&offset) {
                    return Err(number("branch offset", "even, -2048 to 2046", offset));
                }
                Ok(Code::Narrow(0xe000 | (bits >> 1 & 0x7ff) as u16))
            }
            (Some(cond), Width::Narrow) => {
                if offset % 2 != 0 || !(-256..256).contains(&offset) {
                    return Err(number("branch offset", "even, -256 to 254", offset));
                }
                let code = u16::from(cond.code());
                Ok(Code::Narrow(0xd000 | code << 8 | (bits >> 1 & 0xff) as u16))
            }
            (None, Width::Wide) => far_branch(offset, 0x9000),
            (Some(cond), Width::Wide) => {
                if offset % 2 != 0 || !(-(1 << 20)..1 << 20).contains(&offset) {
                    return Err(number("branch offset", "even and within 1 MiB", offset));
                }
                let code = u32::from(cond.code());
                let (sign, j1, j2) = (bits >> 31, bits >> 18 & 1, bits >> 19 & 1);
                Ok(Code::Wide(
                    0xf000 | (sign << 10 | code << 6 | bits >> 12 & 0x3f) as u16,
                    0x8000 | (j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff) as u16,
                ))
            }
        }
    }

    fn cbz(&self, nonzero: bool, rn: Reg, offset: i32) -> Result<Code> {
        self.outside_it("CBZ cannot be conditional")?;
        let n = low("rn", rn)?;
        if offset % 2 != 0 || !(0..=126).contains(&offset) {
            return Err(number("branch offset", "even, 0 to 126", offset));
        }
        let half = (offset / 2) as u16;
        Ok(Code::Narrow(
            0xb100 | u16::from(nonzero) << 11 | (half >> 5) << 9 | (half & 0x1f) << 3 | n,
        ))
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

fn move_wide(base: u16, rd: Reg, imm: u16) -> Result<Code> {
    let d = general("rd", rd)?;
    let (i, rest) = split12(imm & 0xfff);
    Ok(Code::Wide(base | i | imm >> 12, rest | d << 8))
}

fn three(first: u16, second: u16, rd: Reg, rn: Reg, rm: Reg) -> Result<Code> {
    let (d, n, m) = (general("rd", rd)?, general("rn", rn)?, general("rm", rm)?);
    Ok(Code::Wide(first | n, second | d << 8 | m))
}

fn compare(op: CompareOp, rn: Reg, src: Src) -> Result<Code> {
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

fn mul_long(op: MulLongOp, lo: Reg, hi: Reg, rn: Reg, rm: Reg) -> Result<Code> {
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

fn extend(op: ExtendOp, rd: Reg, rm: Reg) -> Result<Code> {
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

fn bits(op: BitsOp, rd: Reg, rm: Reg) -> Result<Code> {
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

fn saturate(signed: bool, rd: Reg, bits: u8, rn: Reg) -> Result<Code> {
    let (d, n) = (general("rd", rd)?, general("rn", rn)?);
    let (first, field) = match (signed, bits) {
        (true, 1..=32) => (0xf300, bits - 1),
        (false, 0..=31) => (0xf380, bits),
        (true, _) => return Err(number("bits", "1 to 32", bits)),
        (false, _) => return Err(number("bits", "0 to 31", bits)),
    };
    Ok(Code::Wide(first | n, d << 8 | u16::from(field)))
}

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

fn load(op: LoadOp, rt: Reg, addr: Addr) -> Result<Code> {
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

fn store(op: StoreOp, rt: Reg, addr: Addr) -> Result<Code> {
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

fn load_many(mode: Mode, base: Reg, writeback: bool, regs: RegList) -> Result<Code> {
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

fn store_many(mode: Mode, base: Reg, writeback: bool, regs: RegList) -> Result<Code> {
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

fn load_literal(rt: Reg, offset: i32, width: Width) -> Result<Code> {
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

fn adr(rd: Reg, offset: i32, width: Width) -> Result<Code> {
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

fn sysm(sys: SysReg) -> u16 {
    match sys {
        SysReg::Apsr => 0,
        SysReg::Ipsr => 5,
        SysReg::Msp => 8,
        SysReg::Psp => 9,
        SysReg::Primask => 16,
        SysReg::Basepri => 17,
        SysReg::Faultmask => 19,
        SysReg::Control => 20,
    }
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

fn two_floats(first: u16, second: u16, sd: SReg, sm: SReg) -> Code {
    let (d1, d2) = field_d(sd);
    Code::Wide(first | d1, second | d2 | field_m(sm))
}

fn core_float(first: u16, sn: SReg, rt: Reg) -> Result<Code> {
    let (n1, n2) = field_n(sn);
    let t = general("rt", rt)?;
    Ok(Code::Wide(first | n1, 0x0a10 | t << 12 | n2))
}

fn core_float_pair(first: u16, sm: SReg, rt: Reg, rt2: Reg) -> Result<Code> {
    if sm == SReg::S31 {
        return Err(EncodeError::Form("no register follows s31"));
    }
    let (t, t2) = (general("rt", rt)?, general("rt2", rt2)?);
    Ok(Code::Wide(first | t2, 0x0a10 | t << 12 | field_m(sm)))
}

fn float_access(first: u16, sd: SReg, n: u16, offset: i32) -> Result<Code> {
    let (words, up) = word_offset(offset)?;
    let (d1, d2) = field_d(sd);
    Ok(Code::Wide(
        first | u16::from(up) << 7 | d1 | n,
        0x0a00 | d2 | words,
    ))
}

fn float_many(first: u16, mode: Mode, base: Reg, writeback: bool, regs: SList) -> Result<Code> {
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

//! Integer data processing: everything that neither touches memory nor changes the flow.

use super::op::{Alu, Dsp, Extend, MulLong, Op, Reg, SetFlags, Shift, Unary};
use super::{Core, Stop, timing};
use crate::fault::FaultKind;

impl Alu {
    /// Logical operations take C from the shifter and leave V alone.
    fn is_logical(self) -> bool {
        !matches!(self, Alu::Add | Alu::Adc | Alu::Sub | Alu::Sbc | Alu::Rsb)
    }
}

/// A shift and its carry out; `amount` is at most 255.
fn shift_carry(shift: Shift, value: u32, amount: u32, carry: u32) -> (u32, u32) {
    if amount == 0 {
        return (value, carry);
    }
    match shift {
        Shift::Lsl if amount < 32 => (value << amount, value >> (32 - amount) & 1),
        Shift::Lsl => (0, if amount == 32 { value & 1 } else { 0 }),
        Shift::Lsr if amount < 32 => (value >> amount, value >> (amount - 1) & 1),
        Shift::Lsr => (0, if amount == 32 { value >> 31 } else { 0 }),
        Shift::Asr if amount < 32 => (((value as i32) >> amount) as u32, value >> (amount - 1) & 1),
        Shift::Asr => (((value as i32) >> 31) as u32, value >> 31),
        Shift::Ror => {
            let rotated = value.rotate_right(amount & 31);
            (rotated, rotated >> 31)
        }
        Shift::Rrx => (carry << 31 | value >> 1, value & 1),
    }
}

/// Bits `0..width`.
fn mask(width: u8) -> u32 {
    if width >= 32 {
        u32::MAX
    } else {
        (1 << width) - 1
    }
}

fn half(value: u32, top: u8) -> i32 {
    if top & 1 != 0 {
        (value as i32) >> 16
    } else {
        i32::from(value as i16)
    }
}

impl Core {
    /// Executes an operation that only computes, and cannot fault.
    #[inline(never)]
    pub(super) fn integer(&mut self, op: Op) {
        match op {
            Op::AluImm { op, s, rd, rn, imm } => {
                let carry = match s {
                    SetFlags::YesTopBit => imm >> 31,
                    _ => self.flags.carry(),
                };
                self.alu(op, s != SetFlags::No, rd, rn, imm, carry);
            }
            Op::AluReg { op, s, rd, rn, rm } => {
                self.alu(op, s, rd, rn, self.reg(rm), self.flags.carry());
            }
            Op::AluShift {
                op,
                s,
                rd,
                rn,
                rm,
                shift,
                n,
            } => {
                let (value, carry) = shift_carry(shift, self.reg(rm), n.into(), self.flags.carry());
                self.alu(op, s, rd, rn, value, carry);
            }
            Op::ShiftReg {
                shift,
                s,
                rd,
                rn,
                rm,
            } => {
                let (value, carry) =
                    shift_carry(shift, self.reg(rn), self.reg(rm) & 0xff, self.flags.carry());
                self.alu(Alu::Mov, s, rd, rn, value, carry);
            }
            Op::Movt { rd, imm } => self.set(rd, (self.reg(rd) & 0xffff) | u32::from(imm) << 16),
            Op::Mul { s, rd, rn, rm } => {
                let result = self.reg(rn).wrapping_mul(self.reg(rm));
                self.set(rd, result);
                if s {
                    self.flags.set_nz(result);
                }
            }
            Op::Mla { rd, rn, rm, ra } => {
                self.set(
                    rd,
                    self.reg(rn)
                        .wrapping_mul(self.reg(rm))
                        .wrapping_add(self.reg(ra)),
                );
            }
            Op::Mls { rd, rn, rm, ra } => {
                self.set(
                    rd,
                    self.reg(ra)
                        .wrapping_sub(self.reg(rn).wrapping_mul(self.reg(rm))),
                );
            }
            Op::MulLong {
                kind,
                lo,
                hi,
                rn,
                rm,
            } => self.multiply_long(kind, lo, hi, rn, rm),
            Op::Bitfield {
                signed,
                rd,
                rn,
                lsb,
                width,
            } => {
                let field = self.reg(rn) >> (lsb & 31) & mask(width);
                let unused = 32 - u32::from(width.clamp(1, 32));
                self.set(
                    rd,
                    if signed {
                        (((field << unused) as i32) >> unused) as u32
                    } else {
                        field
                    },
                );
            }
            Op::Bfi { rd, rn, lsb, width } => {
                let field = mask(width) << (lsb & 31);
                self.set(
                    rd,
                    (self.reg(rd) & !field) | (self.reg(rn) << (lsb & 31) & field),
                );
            }
            Op::Bfc { rd, lsb, width } => self.set(rd, self.reg(rd) & !(mask(width) << (lsb & 31))),
            Op::Unary { op, rd, rm } => {
                let value = self.reg(rm);
                self.set(
                    rd,
                    match op {
                        Unary::Clz => value.leading_zeros(),
                        Unary::Rbit => value.reverse_bits(),
                        Unary::Rev => value.swap_bytes(),
                        Unary::Rev16 => value.swap_bytes().rotate_left(16),
                        Unary::Revsh => i32::from((value as i16).swap_bytes()) as u32,
                    },
                );
            }
            Op::Extend {
                op,
                add,
                rd,
                rn,
                rm,
                rot,
            } => self.extend(op, add, rd, rn, rm, rot),
            Op::Sat {
                signed,
                rd,
                rn,
                bits,
                shift,
                n,
            } => {
                let (value, _) = shift_carry(shift, self.reg(rn), n.into(), 0);
                let value = i64::from(value as i32);
                let (low, high) = if signed {
                    (-(1i64 << (bits - 1)), (1i64 << (bits - 1)) - 1)
                } else {
                    (0, (1i64 << bits) - 1)
                };
                self.q |= value < low || value > high;
                self.set(rd, value.clamp(low, high) as u32);
            }
            Op::Dsp { op, rd, rn, rm, ra } => self.dsp(op, rd, rn, rm, ra),
            _ => {}
        }
    }

    /// `rd = rn op b`; `carry` is the shifter's, which only logical operations put into the flags.
    #[inline(always)]
    fn alu(&mut self, op: Alu, s: bool, rd: Reg, rn: Reg, b: u32, carry: u32) {
        let a = self.reg(rn);
        let mut flags = self.flags;
        let c = flags.carry();
        let result = match op {
            Alu::And => a & b,
            Alu::Bic => a & !b,
            Alu::Orr => a | b,
            Alu::Orn => a | !b,
            Alu::Eor => a ^ b,
            Alu::Mov => b,
            Alu::Mvn => !b,
            Alu::Add => flags.add(a, b, 0),
            Alu::Adc => flags.add(a, b, c),
            Alu::Sub => flags.sub(a, b),
            Alu::Sbc => flags.add(a, !b, c),
            Alu::Rsb => flags.sub(b, a),
        };
        if s {
            if op.is_logical() {
                flags.set_nzc(result, carry);
            }
            self.flags = flags;
        }
        self.set(rd, result);
    }

    fn multiply_long(&mut self, kind: MulLong, lo: Reg, hi: Reg, rn: Reg, rm: Reg) {
        let (n, m) = (self.reg(rn), self.reg(rm));
        let unsigned = u64::from(n) * u64::from(m);
        let signed = (i64::from(n as i32) * i64::from(m as i32)) as u64;
        let (low, high) = (u64::from(self.reg(lo)), u64::from(self.reg(hi)));
        let accumulator = high << 32 | low;
        let result = match kind {
            MulLong::Umull => unsigned,
            MulLong::Smull => signed,
            MulLong::Umlal => unsigned.wrapping_add(accumulator),
            MulLong::Smlal => signed.wrapping_add(accumulator),
            MulLong::Umaal => unsigned + low + high,
        };
        self.set(lo, result as u32);
        self.set(hi, (result >> 32) as u32);
    }

    pub(super) fn divide(&mut self, signed: bool, rd: Reg, rn: Reg, rm: Reg) -> Result<(), Stop> {
        let (n, m) = (self.reg(rn), self.reg(rm));
        if m == 0 && self.scs.divide_by_zero_traps() {
            return Err(Stop::Fault(FaultKind::DivideByZero, None));
        }
        let (result, cycles) = if signed {
            let (a, b) = (n as i32, m as i32);
            let quotient = if b == 0 { 0 } else { a.wrapping_div(b) };
            (
                quotient as u32,
                timing::division(a.unsigned_abs(), b.unsigned_abs()),
            )
        } else {
            (n.checked_div(m).unwrap_or(0), timing::division(n, m))
        };
        self.now = self.now.wrapping_add(cycles);
        self.set(rd, result);
        Ok(())
    }

    fn extend(&mut self, op: Extend, add: bool, rd: Reg, rn: Reg, rm: Reg, rot: u8) {
        let value = self.reg(rm).rotate_right(rot.into());
        let base = if add { self.reg(rn) } else { 0 };
        let pair = |low: u32, high: u32| (low & 0xffff) | high << 16;
        let result = match op {
            Extend::Sxtb => base.wrapping_add(i32::from(value as i8) as u32),
            Extend::Sxth => base.wrapping_add(i32::from(value as i16) as u32),
            Extend::Uxtb => base.wrapping_add(value & 0xff),
            Extend::Uxth => base.wrapping_add(value & 0xffff),
            Extend::Sxtb16 => pair(
                base.wrapping_add(i32::from(value as i8) as u32),
                (base >> 16).wrapping_add(i32::from((value >> 16) as i8) as u32),
            ),
            Extend::Uxtb16 => pair(
                base.wrapping_add(value & 0xff),
                (base >> 16).wrapping_add(value >> 16 & 0xff),
            ),
        };
        self.set(rd, result);
    }

    /// Saturates a sum to 32 bits, setting Q.
    fn saturate(&mut self, value: i64) -> i32 {
        let clamped = value.clamp(i32::MIN.into(), i32::MAX.into());
        self.q |= clamped != value;
        clamped as i32
    }

    /// Wraps a sum to 32 bits, setting Q where it does not fit.
    fn wrap(&mut self, value: i64) -> u32 {
        self.q |= i64::from(value as i32) != value;
        value as u32
    }

    fn dsp(&mut self, op: Dsp, rd: Reg, rn: Reg, rm: Reg, ra: Reg) {
        let (n, m, a) = (self.reg(rn), self.reg(rm), self.reg(ra));
        let (sn, sm, sa) = (
            i64::from(n as i32),
            i64::from(m as i32),
            i64::from(a as i32),
        );
        let halves = |which: u8| i64::from(half(n, which >> 1)) * i64::from(half(m, which));
        let word_half = |which: u8| (sn * i64::from(half(m, which))) >> 16;
        let top = |value: i64, round: bool| {
            (value.wrapping_add(if round { 0x8000_0000 } else { 0 }) >> 32) as u32
        };
        let result = match op {
            Dsp::Qadd => self.saturate(sm + sn) as u32,
            Dsp::Qsub => self.saturate(sm - sn) as u32,
            Dsp::Qdadd => {
                let doubled = self.saturate(2 * sn);
                self.saturate(sm + i64::from(doubled)) as u32
            }
            Dsp::Qdsub => {
                let doubled = self.saturate(2 * sn);
                self.saturate(sm - i64::from(doubled)) as u32
            }
            Dsp::Smla(which) => self.wrap(halves(which) + sa),
            Dsp::Smul(which) => halves(which) as u32,
            Dsp::Smlaw(which) => self.wrap(word_half(which) + sa),
            Dsp::Smulw(which) => word_half(which) as u32,
            Dsp::Smmla { round } => top((sa << 32).wrapping_add(sn * sm), round),
            Dsp::Smmls { round } => top((sa << 32).wrapping_sub(sn * sm), round),
            Dsp::Smmul { round } => top(sn * sm, round),
            // The accumulator field is the shift amount.
            Dsp::Pkhbt => (n & 0xffff) | (shift_carry(Shift::Lsl, m, ra.into(), 0).0 & 0xffff_0000),
            Dsp::Pkhtb => (n & 0xffff_0000) | (shift_carry(Shift::Asr, m, ra.into(), 0).0 & 0xffff),
        };
        self.set(rd, result);
    }
}

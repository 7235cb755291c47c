//! `exp` and `ln` as subroutines: step by step what [`nirc_ir::math`] defines.
//!
//! Argument and result are in s0. The steps' numbers are those of the definition.

use nirc_ir::math::{
    EXP_MAX, EXP_MIN, EXP_POLY, LN_NORMAL, LN_POLY, LN_SCALE, LN_SHIFT_SCALED, LN_SQRT_HALF,
    LN2_HI, LN2_LO, LOG2_E, NAN, SHIFT,
};

use super::operations::immediate;
use crate::thumb::Reg::{R0, R1, R2, R3};
use crate::thumb::SReg::{self, S0, S1, S2, S3, S4, S5, S6, S7};
use crate::thumb::{Assembler, Cond, ConvertOp, Inst, Label, Shift, Src};

/// Float registers that the subroutines change, one bit each. Of the core's they change r0 to r3.
pub(super) const CLOBBERED: u32 = 0xFF;

/// Emits `exp`.
pub(super) fn exp(asm: &mut Assembler, label: Label) {
    asm.place_pool();
    asm.annotate("exp");
    asm.function("exp", label);
    asm.comment("1");
    asm.vldr_const(S1, LOG2_E);
    asm.vldr_const(S3, SHIFT);
    asm.emit(Inst::vmov(S2, S3));
    asm.emit(Inst::vfma(S2, S0, S1));
    asm.comment("2");
    asm.emit(Inst::vsub(S3, S2, S3));
    asm.comment("3");
    asm.vldr_const(S1, LN2_HI);
    asm.emit(Inst::vmov(S5, S0));
    asm.emit(Inst::vfms(S5, S3, S1));
    asm.comment("4");
    asm.vldr_const(S1, LN2_LO);
    asm.emit(Inst::vfms(S5, S3, S1));
    asm.comment("5");
    let p = horner(asm, &EXP_POLY, S5, [S6, S7], &[]);
    asm.comment("7");
    asm.emit(Inst::vmul(S4, S5, S5));
    asm.comment("8");
    asm.emit(Inst::vfma(S5, S4, p));
    asm.comment("9");
    one(asm, S1);
    asm.emit(Inst::vadd(S1, S1, S5));
    asm.comment("10");
    asm.emit(Inst::FMoveToCore { rt: R0, sn: S1 });
    asm.emit(Inst::FMoveToCore { rt: R1, sn: S2 });
    asm.emit(Inst::add(R0, R0, Src::Reg(R1, Shift::Lsl(23))));
    asm.comment("11 to 13, if at all");
    let special = asm.label();
    asm.emit(Inst::FMoveToCore { rt: R2, sn: S0 });
    asm.emit(Inst::lsls(R2, R2, 1));
    asm.mov_const(R1, (-EXP_MIN).to_bits() << 1);
    asm.emit(Inst::cmp(R2, R1));
    asm.b_if(Cond::Hi, special);
    asm.emit(Inst::FMoveFromCore { sn: S0, rt: R0 });
    asm.emit(Inst::ret());
    asm.bind(special);
    asm.emit(Inst::FMoveFromCore { sn: S1, rt: R0 });
    asm.comment("11");
    asm.vldr_const(S2, EXP_MAX);
    asm.vldr_const(S3, f32::INFINITY);
    asm.emit_all([Inst::vcmp(S0, S2), Inst::FFlags]);
    asm.emit_if(Cond::Gt, Inst::vmov(S1, S3));
    asm.comment("12");
    asm.vldr_const(S2, EXP_MIN);
    asm.vldr_const(S3, 0.0);
    asm.emit_all([Inst::vcmp(S0, S2), Inst::FFlags]);
    asm.emit_if(Cond::Mi, Inst::vmov(S1, S3));
    asm.comment("13");
    asm.vldr_const(S3, NAN);
    asm.emit_all([Inst::vcmp(S0, S0), Inst::FFlags]);
    asm.emit_if(Cond::Vs, Inst::vmov(S1, S3));
    asm.emit(Inst::vmov(S0, S1));
    asm.emit(Inst::ret());
}

/// Emits `ln`. Where a polynomial waits for itself, other steps are done.
pub(super) fn ln(asm: &mut Assembler, label: Label) {
    asm.place_pool();
    asm.annotate("ln");
    asm.function("ln", label);
    let (special, regular) = (asm.label(), asm.label());
    asm.comment("1, 2: positive, finite and normal");
    asm.emit(Inst::FMoveToCore { rt: R0, sn: S0 });
    asm.emit(Inst::mov(R3, 0));
    asm.emit(Inst::sub(R2, R0, LN_NORMAL.to_bits()));
    asm.emit(Inst::cmp(R2, f32::INFINITY.to_bits() - LN_NORMAL.to_bits()));
    asm.b_if(Cond::Cs, special);
    asm.bind(regular);
    asm.comment("3");
    asm.mov_const(R1, LN_SQRT_HALF);
    asm.emit(Inst::sub(R0, R0, R1));
    asm.comment("6");
    asm.emit(Inst::Extract {
        signed: false,
        rd: R2,
        rn: R0,
        lsb: 0,
        width: 23,
    });
    asm.emit(Inst::add(R2, R2, R1));
    asm.emit(Inst::FMoveFromCore { sn: S3, rt: R2 });
    asm.comment("7");
    one(asm, S4);
    asm.emit(Inst::vsub(S3, S3, S4));
    asm.comment("4, 5: a small integer, which is exact either way");
    asm.emit(Inst::rsb(R2, R3, Src::Reg(R0, Shift::Asr(23))));
    asm.emit(Inst::FMoveFromCore { sn: S2, rt: R2 });
    asm.emit(Inst::FConvert {
        op: ConvertOp::F32FromS32,
        sd: S2,
        sm: S2,
    });
    asm.comment("8 to 10, 14, 15");
    let between: [&dyn Fn(&mut Assembler); 5] = [
        &|asm| asm.emit(Inst::vmul(S4, S3, S3)),
        &|asm| asm.emit(Inst::vneg(S0, S4)),
        &|asm| {
            half(asm, S1);
            asm.emit(Inst::vfma(S0, S3, S3));
        },
        &|asm| asm.emit(Inst::vmov(S7, S3)),
        &|asm| asm.emit(Inst::vfms(S7, S1, S4)),
    ];
    let p = horner(asm, &LN_POLY, S3, [S5, S6], &between);
    let e = if p == S5 { S6 } else { S5 };
    asm.comment("11 to 13, 16 to 21");
    asm.emit(Inst::vsub(e, S3, S7));
    asm.emit(Inst::vmul(S3, S3, S4));
    asm.emit(Inst::vfms(e, S1, S4));
    asm.vldr_const(S4, LN2_HI);
    asm.emit(Inst::vmul(S4, S2, S4));
    asm.emit(Inst::vfms(e, S1, S0));
    asm.emit(Inst::vadd(S1, S4, S7));
    asm.emit(Inst::vfma(e, S3, p));
    asm.emit(Inst::vsub(S4, S4, S1));
    asm.vldr_const(S0, LN2_LO);
    asm.emit(Inst::vadd(S4, S4, S7));
    asm.comment("22 to 24");
    asm.emit(Inst::vfma(S4, S2, S0));
    asm.emit(Inst::vadd(S4, S4, e));
    asm.emit(Inst::vadd(S0, S1, S4));
    asm.emit(Inst::ret());
    asm.bind(special);
    let (negative, zero) = (asm.label(), asm.label());
    asm.comment("25 to 27, or 2");
    asm.emit_all([Inst::vcmp_zero(S0), Inst::FFlags]);
    asm.b_if(Cond::Eq, zero);
    // Less or unordered: the exact opposite of greater or equal.
    asm.b_if(Cond::Lt, negative);
    asm.vldr_const(S1, f32::INFINITY);
    asm.emit_all([Inst::vcmp(S0, S1), Inst::FFlags]);
    let subnormal = asm.label();
    asm.b_if(Cond::Ne, subnormal);
    asm.emit(Inst::ret());
    asm.bind(subnormal);
    asm.vldr_const(S1, LN_SCALE);
    asm.emit(Inst::vmul(S0, S0, S1));
    asm.emit(Inst::FMoveToCore { rt: R0, sn: S0 });
    asm.emit(Inst::mov(R3, LN_SHIFT_SCALED.to_bits() - SHIFT.to_bits()));
    asm.b(regular);
    asm.bind(zero);
    asm.vldr_const(S0, f32::NEG_INFINITY);
    asm.emit(Inst::ret());
    asm.bind(negative);
    asm.vldr_const(S0, NAN);
    asm.emit(Inst::ret());
}

/// Horner's rule, the highest coefficient last, with something to do in between the first steps; returns the register
/// of the result.
fn horner(
    asm: &mut Assembler,
    coefficients: &[f32],
    x: SReg,
    [mut p, mut next]: [SReg; 2],
    between: &[&dyn Fn(&mut Assembler)],
) -> SReg {
    let mut descending = coefficients.iter().rev();
    let mut between = between.iter();
    if let Some(&highest) = descending.next() {
        asm.vldr_const(p, highest);
    }
    for &coefficient in descending {
        asm.vldr_const(next, coefficient);
        if let Some(step) = between.next() {
            step(asm);
        }
        asm.emit(Inst::vfma(next, p, x));
        (p, next) = (next, p);
    }
    p
}

fn one(asm: &mut Assembler, to: SReg) {
    immediate(asm, to, 1.0);
}

fn half(asm: &mut Assembler, to: SReg) {
    immediate(asm, to, 0.5);
}

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
use crate::thumb::{Assembler, Cond, Inst, ItBlock, Label, Shift, Slot, Src};

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
    let p = horner(asm, &EXP_POLY, S5, [S6, S7]);
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

/// Emits `ln`.
pub(super) fn ln(asm: &mut Assembler, label: Label) {
    asm.place_pool();
    asm.annotate("ln");
    asm.function("ln", label);
    asm.comment("1");
    asm.emit(Inst::vmov(S1, S0));
    asm.vldr_const(S2, SHIFT);
    asm.comment("2");
    asm.vldr_const(S3, LN_NORMAL);
    asm.vldr_const(S4, LN_SCALE);
    asm.emit(Inst::vmul(S4, S0, S4));
    asm.vldr_const(S5, LN_SHIFT_SCALED);
    asm.emit_all([Inst::vcmp(S0, S3), Inst::FFlags]);
    both_if(asm, Cond::Mi, [Inst::vmov(S1, S4), Inst::vmov(S2, S5)]);
    asm.comment("3");
    asm.emit(Inst::FMoveToCore { rt: R0, sn: S1 });
    asm.mov_const(R1, LN_SQRT_HALF);
    asm.emit(Inst::sub(R0, R0, R1));
    asm.comment("4");
    asm.mov_const(R3, SHIFT.to_bits());
    asm.emit(Inst::add(R2, R3, Src::Reg(R0, Shift::Asr(23))));
    asm.emit(Inst::FMoveFromCore { sn: S3, rt: R2 });
    asm.comment("5");
    asm.emit(Inst::vsub(S2, S3, S2));
    asm.comment("6");
    asm.emit(Inst::Extract {
        signed: false,
        rd: R0,
        rn: R0,
        lsb: 0,
        width: 23,
    });
    asm.emit(Inst::add(R0, R0, R1));
    asm.emit(Inst::FMoveFromCore { sn: S3, rt: R0 });
    asm.comment("7");
    one(asm, S4);
    asm.emit(Inst::vsub(S3, S3, S4));
    asm.comment("8");
    asm.emit(Inst::vmul(S4, S3, S3));
    asm.comment("9");
    asm.emit(Inst::vneg(S5, S4));
    asm.emit(Inst::vfma(S5, S3, S3));
    asm.comment("10");
    asm.emit(Inst::vmov(S7, S3));
    half(asm, S6);
    asm.emit(Inst::vfms(S7, S6, S4));
    asm.comment("11");
    asm.emit(Inst::vsub(S1, S3, S7));
    asm.comment("12");
    asm.emit(Inst::vfms(S1, S6, S4));
    asm.comment("13");
    asm.emit(Inst::vfms(S1, S6, S5));
    asm.comment("14");
    let p = horner(asm, &LN_POLY, S3, [S5, S6]);
    asm.comment("16");
    asm.emit(Inst::vmul(S3, S3, S4));
    asm.comment("17");
    asm.emit(Inst::vfma(S1, S3, p));
    asm.comment("18");
    asm.vldr_const(S3, LN2_HI);
    asm.emit(Inst::vmul(S3, S2, S3));
    asm.comment("19");
    asm.emit(Inst::vadd(S4, S3, S7));
    asm.comment("20");
    asm.emit(Inst::vsub(S3, S3, S4));
    asm.comment("21");
    asm.emit(Inst::vadd(S3, S3, S7));
    asm.comment("22");
    asm.vldr_const(S5, LN2_LO);
    asm.emit(Inst::vfma(S3, S2, S5));
    asm.comment("23");
    asm.emit(Inst::vadd(S3, S3, S1));
    asm.comment("24");
    asm.emit(Inst::vadd(S1, S4, S3));
    asm.comment("25");
    asm.vldr_const(S2, f32::NEG_INFINITY);
    asm.emit_all([Inst::vcmp_zero(S0), Inst::FFlags]);
    asm.emit_if(Cond::Eq, Inst::vmov(S1, S2));
    asm.comment("26");
    asm.vldr_const(S2, f32::INFINITY);
    asm.emit_all([Inst::vcmp(S0, S2), Inst::FFlags]);
    asm.emit_if(Cond::Eq, Inst::vmov(S1, S2));
    asm.comment("27");
    asm.vldr_const(S2, NAN);
    asm.emit_all([Inst::vcmp_zero(S0), Inst::FFlags]);
    // Less or unordered: the exact opposite of greater or equal.
    asm.emit_if(Cond::Lt, Inst::vmov(S1, S2));
    asm.emit(Inst::vmov(S0, S1));
    asm.emit(Inst::ret());
}

/// Horner's rule, the highest coefficient last; returns the register of the result.
fn horner(
    asm: &mut Assembler,
    coefficients: &[f32],
    x: SReg,
    [mut p, mut next]: [SReg; 2],
) -> SReg {
    let mut descending = coefficients.iter().rev();
    if let Some(&highest) = descending.next() {
        asm.vldr_const(p, highest);
    }
    for &coefficient in descending {
        asm.vldr_const(next, coefficient);
        asm.emit(Inst::vfma(next, p, x));
        (p, next) = (next, p);
    }
    p
}

fn both_if(asm: &mut Assembler, cond: Cond, insts: [Inst; 2]) {
    if let Some(block) = ItBlock::new(cond, &[Slot::Then]) {
        asm.emit(Inst::It(block));
        asm.emit_all(insts);
    }
}

fn one(asm: &mut Assembler, to: SReg) {
    immediate(asm, to, 1.0);
}

fn half(asm: &mut Assembler, to: SReg) {
    immediate(asm, to, 0.5);
}

//! Roots of two exponentials as subroutines: step by step what [`nirc_ir::math::root`] defines.
//!
//! `p`, `q`, the threshold and where to begin are in s0 to s3, the curve's own parameter (ratio or rate) in s4; the
//! result is in s0.
//!
//! | | |
//! |---|---|
//! | s0 to s7 | what `exp` and `ln` change |
//! | s8, s9, s10 | `p`, `q`, threshold |
//! | s11 | `x`, or `t` |
//! | s12 | the ratio `n` or the rate `a` |
//! | s13 | `n q` |
//! | s14 | where the parabola leads |

use super::context::Labels;
use super::operations::immediate;
use crate::thumb::Reg::{self, Lr, R4};
use crate::thumb::SReg::{self, S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14};
use crate::thumb::{Assembler, Cond, Inst, Label};

/// Float registers that the subroutines change, one bit each. Of the core's they change r0 to r3.
pub(super) const CLOBBERED: u32 = 0xFFFF;

/// Most steps.
const STEPS: u32 = 40;

const P: SReg = S8;
const Q: SReg = S9;
const THRESHOLD: SReg = S10;
const X: SReg = S11;
const N: SReg = S12;
const NQ: SReg = S13;

/// How `y` comes from `x`, and what the ratio is.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Power {
    Cubic,
    Quartic,
    /// Any ratio, in s4.
    General,
}

impl Power {
    fn ratio(self) -> Option<f32> {
        match self {
            Self::Cubic => Some(3.0),
            Self::Quartic => Some(4.0),
            Self::General => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cubic => "root.cubic",
            Self::Quartic => "root.quartic",
            Self::General => "root.power",
        }
    }

    /// s0 becomes the power of s0. May change s1 to s7.
    fn y(self, asm: &mut Assembler, labels: &Labels) {
        match self {
            Self::Cubic => {
                asm.emit(Inst::vmul(S1, S0, S0));
                asm.emit(Inst::vmul(S0, S1, S0));
            }
            Self::Quartic => {
                asm.emit(Inst::vmul(S0, S0, S0));
                asm.emit(Inst::vmul(S0, S0, S0));
            }
            Self::General => {
                asm.bl(labels.ln);
                asm.emit(Inst::vmul(S0, N, S0));
                asm.bl(labels.exp);
            }
        }
    }

    /// `n (n - 1)` times a number into `to`: exact for whole ratios.
    fn c(self, asm: &mut Assembler, to: SReg, times: f32) {
        if let Some(n) = self.ratio() {
            immediate(asm, to, times * (n * (n - 1.0)));
            return;
        }
        immediate(asm, to, 1.0);
        asm.emit(Inst::vsub(to, N, to));
        asm.emit(Inst::vmul(to, N, to));
        immediate(asm, S7, times);
        asm.emit(Inst::vmul(to, S7, to));
    }

    /// s0 = `y`, s2 = `f`, s3 = `g`; for whole ratios in an order in which results are seldom waited for. Changes s1.
    fn curve(self, asm: &mut Assembler, labels: &Labels) {
        if self == Self::General {
            asm.emit(Inst::vmov(S0, X));
            self.y(asm, labels);
        } else {
            asm.emit(Inst::vmul(S0, X, X));
        }
        asm.emit(Inst::vmul(S3, P, X));
        match self {
            Self::Cubic => asm.emit(Inst::vmul(S0, S0, X)),
            Self::Quartic => asm.emit(Inst::vmul(S0, S0, S0)),
            Self::General => {}
        }
        asm.emit(Inst::vsub(S2, S3, THRESHOLD));
        asm.emit(Inst::vfms(S3, NQ, S0));
        asm.emit(Inst::vfms(S2, Q, S0));
    }
}

/// Emits the root of `p x - q x^n - threshold`.
pub(super) fn power(asm: &mut Assembler, label: Label, labels: &Labels, power: Power) {
    enter(asm, label, power.name());
    match power.ratio() {
        Some(n) => immediate(asm, N, n),
        None => asm.emit(Inst::vmov(N, S4)),
    }
    asm.emit(Inst::vmul(NQ, N, Q));
    asm.comment("1: a parabola");
    power.curve(asm, labels);
    power.c(asm, S4, 2.0);
    asm.emit(Inst::vmul(S4, S4, Q));
    asm.emit(Inst::vmul(S4, S4, S0));
    asm.emit(Inst::vmul(S5, S3, S3));
    asm.emit(Inst::vfma(S5, S4, S2));
    asm.emit(Inst::vsqrt(S5, S5));
    asm.emit(Inst::vsub(S5, S3, S5));
    immediate(asm, S6, 2.0);
    asm.emit(Inst::vmul(S6, S6, S2));
    asm.emit(Inst::vdiv(S6, S6, S5));
    asm.emit(Inst::vmov(S14, X));
    asm.emit(Inst::vfms(S14, X, S6));
    asm.comment("taken?");
    let newton = asm.label();
    asm.emit_all([Inst::vcmp_zero(S14), Inst::FFlags]);
    asm.b_if(Cond::Le, newton);
    asm.emit(Inst::vmov(S0, S14));
    power.y(asm, labels);
    asm.emit(Inst::vmul(S0, NQ, S0));
    asm.emit(Inst::vmul(S1, P, S14));
    asm.emit_all([Inst::vcmp(S1, S0), Inst::FFlags]);
    asm.emit_if(Cond::Mi, Inst::vmov(X, S14));
    asm.bind(newton);
    let (again, over) = begin_steps(asm);
    asm.comment("2: a tangent");
    power.curve(asm, labels);
    asm.emit(Inst::vmul(S6, Q, S0));
    asm.emit_all([Inst::vcmp_zero(S3), Inst::FFlags]);
    asm.b_if(Cond::Pl, over);
    power.c(asm, S5, 0.5);
    asm.emit(Inst::vabs(S6, S6));
    asm.emit(Inst::vdiv(S4, S2, S3));
    asm.emit(Inst::vmul(S5, S5, S6));
    asm.emit(Inst::vmul(S6, S4, S4));
    asm.emit(Inst::vfms(X, X, S4));
    asm.comment("close?");
    asm.emit(Inst::vmul(S5, S5, S6));
    asm.emit(Inst::vabs(S4, S4));
    asm.emit(Inst::vmul(S4, N, S4));
    end_steps(asm, [S5, S3, S4], again);
    asm.bind(over);
    leave(asm);
}

/// Emits the root of `p - q t - threshold e^(a t)`.
pub(super) fn equal(asm: &mut Assembler, label: Label, labels: &Labels) {
    enter(asm, label, "root.equal");
    asm.emit(Inst::vmov(N, S4));
    let (again, over) = begin_steps(asm);
    asm.emit(Inst::vmul(S0, N, X));
    asm.bl(labels.exp);
    asm.emit(Inst::vmul(S0, THRESHOLD, S0));
    asm.emit(Inst::vmov(S2, P));
    asm.emit(Inst::vfms(S2, Q, X));
    asm.emit(Inst::vsub(S2, S2, S0));
    asm.emit(Inst::vneg(S3, Q));
    asm.emit(Inst::vfms(S3, N, S0));
    asm.emit_all([Inst::vcmp_zero(S3), Inst::FFlags]);
    asm.b_if(Cond::Le, over);
    asm.emit(Inst::vdiv(S4, S2, S3));
    asm.emit(Inst::vsub(X, X, S4));
    asm.comment("close?");
    asm.emit(Inst::vmul(S5, N, N));
    asm.emit(Inst::vmul(S5, S5, S0));
    asm.emit(Inst::vabs(S5, S5));
    immediate(asm, S6, 0.5);
    asm.emit(Inst::vmul(S5, S6, S5));
    asm.emit(Inst::vmul(S6, S4, S4));
    asm.emit(Inst::vmul(S5, S5, S6));
    asm.emit(Inst::vmul(S5, S5, N));
    asm.emit(Inst::vabs(S4, S4));
    asm.emit(Inst::vmul(S4, N, S4));
    end_steps(asm, [S5, S3, S4], again);
    asm.bind(over);
    leave(asm);
}

/// Saves what is changed and lays the arguments aside.
fn enter(asm: &mut Assembler, label: Label, name: &str) {
    asm.place_pool();
    asm.annotate(name);
    asm.function(name, label);
    asm.emit(Inst::push(&[R4, Lr]));
    for (to, from) in [P, Q, THRESHOLD, X].into_iter().zip([S0, S1, S2, S3]) {
        asm.emit(Inst::vmov(to, from));
    }
}

fn leave(asm: &mut Assembler) {
    asm.emit(Inst::vmov(S0, X));
    asm.emit(Inst::pop(&[R4, Reg::Pc]));
}

/// Begins a loop over steps; returns its beginning and its end.
fn begin_steps(asm: &mut Assembler) -> (Label, Label) {
    asm.emit(Inst::mov(R4, STEPS));
    // Constants would fall out of reach in the middle of it.
    asm.place_pool();
    (asm.here(), asm.label())
}

/// Ends it: what is left of the error against the slope, and by what exponent the curve has changed.
fn end_steps(asm: &mut Assembler, [error, slope, exponent]: [SReg; 3], again: Label) {
    let (next, done) = (asm.label(), asm.label());
    asm.emit(Inst::vabs(S6, slope));
    asm.vldr_const(S7, f32::EPSILON);
    asm.emit(Inst::vmul(S6, S7, S6));
    asm.emit_all([Inst::vcmp(error, S6), Inst::FFlags]);
    // Greater or unordered: the exact opposite of less or equal.
    asm.b_if(Cond::Hi, next);
    immediate(asm, S6, 1.0);
    asm.emit_all([Inst::vcmp(exponent, S6), Inst::FFlags]);
    asm.b_if(Cond::Ls, done);
    asm.bind(next);
    asm.emit(Inst::subs(R4, R4, 1));
    asm.b_if(Cond::Ne, again);
    asm.bind(done);
}

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
//! | s14 | where the last parabola began, if there was one |
//! | s15 | `n (n - 1) / 2 q` of a fit, `2 n (n - 1) q` of steps |

use nirc_ir::math::root::{Fit, TWELFTH};

use super::context::Labels;
use super::operations::immediate;
use crate::thumb::Reg::{self, Lr, R0, R1, R4, R5};
use crate::thumb::SReg::{
    self, S0, S1, S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, S12, S13, S14, S15,
};
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
const CQ: SReg = S15;

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

    /// s15 becomes `2 n (n - 1) q`. Changes s7.
    fn cq(self, asm: &mut Assembler) {
        if let Some(n) = self.ratio() {
            immediate(asm, CQ, 2.0 * (n * (n - 1.0)));
        } else {
            immediate(asm, CQ, 1.0);
            asm.emit(Inst::vsub(CQ, N, CQ));
            asm.emit(Inst::vmul(CQ, N, CQ));
            immediate(asm, S7, 2.0);
            asm.emit(Inst::vmul(CQ, S7, CQ));
        }
        asm.emit(Inst::vmul(CQ, CQ, Q));
    }

    /// `|n - 2| / 12` into `to`. May change s7.
    fn third(self, asm: &mut Assembler, to: SReg) {
        if let Some(n) = self.ratio() {
            immediate(asm, to, (n - 2.0).abs() * TWELFTH);
            return;
        }
        immediate(asm, to, 2.0);
        asm.emit(Inst::vsub(to, N, to));
        asm.emit(Inst::vabs(to, to));
        immediate(asm, S7, TWELFTH);
        asm.emit(Inst::vmul(to, to, S7));
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
    let fit = match power {
        Power::Cubic => Some(&Fit::CUBIC),
        Power::Quartic => Some(&Fit::QUARTIC),
        Power::General => None,
    };
    enter(asm, label, power.name(), fit.is_none());
    match power.ratio() {
        Some(n) => immediate(asm, N, n),
        None => asm.emit(Inst::vmov(N, S4)),
    }
    asm.emit(Inst::vmul(NQ, N, Q));
    if let Some(fit) = fit {
        let otherwise = asm.label();
        fitted(asm, labels, power, fit, otherwise);
        asm.bind(otherwise);
    }
    stepped(asm, labels, power, fit.is_none());
}

/// The root near a fit; goes to `otherwise` where that is for other numbers.
fn fitted(asm: &mut Assembler, labels: &Labels, power: Power, fit: &Fit, otherwise: Label) {
    asm.comment("near a fit");
    immediate(asm, S1, 1.0);
    asm.emit(Inst::vdiv(S0, S1, P));
    immediate(asm, CQ, 0.5 * (fit.n * (fit.n - 1.0)));
    asm.emit(Inst::vmul(CQ, CQ, Q));
    asm.emit(Inst::vmul(S2, THRESHOLD, S0));
    asm.emit(Inst::vmul(S3, Q, S0));
    asm.emit(Inst::vcmp_zero(S2));
    asm.emit(Inst::vmul(S4, S2, S2));
    asm.emit(Inst::FFlags);
    asm.b_if(Cond::Le, otherwise);
    if power == Power::Quartic {
        asm.emit(Inst::vmul(S4, S4, S2));
    }
    asm.emit(Inst::vcmp_zero(S0));
    asm.vldr_const(S5, fit.share);
    asm.emit(Inst::FFlags);
    asm.b_if(Cond::Le, otherwise);
    asm.emit(Inst::vmul(S3, S3, S4));
    asm.emit(Inst::vfms(S1, S5, S3));
    asm.emit(Inst::vsqrt(S1, S1));
    asm.vldr_const(S6, Fit::MOST);
    let mut inverse = fit.inverse.iter().rev();
    let (mut sum, mut next) = (S3, S4);
    if let Some(highest) = inverse.next() {
        asm.vldr_const(sum, *highest);
    }
    asm.emit(Inst::vcmp(S1, S6));
    asm.emit(Inst::FFlags);
    asm.b_if(Cond::Pl, otherwise);
    for coefficient in inverse {
        asm.vldr_const(next, *coefficient);
        asm.emit(Inst::vfma(next, sum, S1));
        (sum, next) = (next, sum);
    }
    asm.emit(Inst::vdiv(X, S2, sum));
    asm.comment("one step");
    power.curve(asm, labels);
    asm.emit(Inst::vmul(S4, CQ, S0));
    asm.emit(Inst::vmul(S5, S3, S3));
    asm.emit(Inst::vmul(S6, S2, S3));
    asm.emit(Inst::vfma(S5, S4, S2));
    immediate(asm, S1, Fit::LARGEST_STEP);
    asm.emit(Inst::vdiv(S6, S6, S5));
    asm.emit(Inst::vmov(S0, X));
    asm.emit(Inst::vabs(S7, S6));
    asm.emit(Inst::vcmp(S7, S1));
    asm.emit(Inst::FFlags);
    asm.emit_if(Cond::Ls, Inst::vfms(S0, X, S6));
    asm.emit(Inst::ret());
}

/// The root by steps.
fn stepped(asm: &mut Assembler, labels: &Labels, power: Power, calls: bool) {
    let (count, began) = counters(calls);
    power.cq(asm);
    asm.emit(Inst::mov(began, 0));
    let (beyond, tangent, taken) = (asm.label(), asm.label(), asm.label());
    let (again, next, over) = begin_steps(asm, count);
    power.curve(asm, labels);
    asm.emit(Inst::vmul(S4, CQ, S0));
    asm.emit(Inst::vcmp_zero(S3));
    asm.emit(Inst::vmul(S5, S3, S3));
    asm.emit(Inst::FFlags);
    asm.b_if(Cond::Pl, beyond);
    asm.comment("2: a parabola");
    asm.emit(Inst::vfma(S5, S4, S2));
    asm.emit(Inst::vadd(S6, S2, S2));
    asm.emit(Inst::vsqrt(S5, S5));
    asm.emit(Inst::vsub(S5, S3, S5));
    asm.emit(Inst::vdiv(S6, S6, S5));
    immediate(asm, S0, 1.0);
    asm.emit(Inst::vcmp(S6, S0));
    asm.emit(Inst::vmul(S1, S6, S6));
    asm.emit(Inst::FFlags);
    asm.b_if(Cond::Pl, tangent);
    asm.emit(Inst::vmov(S14, X));
    asm.emit(Inst::mov(began, 1));
    asm.bind(taken);
    asm.emit(Inst::vfms(X, X, S6));
    asm.comment("close?");
    asm.emit(Inst::vabs(S6, S6));
    power.third(asm, S5);
    asm.emit(Inst::vabs(S4, S4));
    asm.emit(Inst::vmul(S1, S6, S1));
    asm.emit(Inst::vmul(S5, S4, S5));
    asm.emit(Inst::vmul(S6, N, S6));
    asm.emit(Inst::vmul(S5, S5, S1));
    end_steps(asm, [S5, S3, S6], next);
    asm.b(over);
    next_step(asm, next, count, again);
    asm.b(over);
    asm.bind(tangent);
    asm.comment("or a tangent");
    asm.emit(Inst::vdiv(S6, S2, S3));
    asm.emit(Inst::vmul(S1, S6, S6));
    asm.emit(Inst::mov(began, 0));
    asm.b(taken);
    asm.bind(beyond);
    asm.comment("1: back to the middle");
    asm.cbz(began, over);
    asm.emit(Inst::vadd(X, X, S14));
    immediate(asm, S0, 0.5);
    asm.emit(Inst::vmul(X, S0, X));
    asm.b(next);
    asm.bind(over);
    leave(asm, calls);
}

/// Emits the root of `p - q t - threshold e^(a t)`.
pub(super) fn equal(asm: &mut Assembler, label: Label, labels: &Labels) {
    enter(asm, label, "root.equal", true);
    let (count, _) = counters(true);
    asm.emit(Inst::vmov(N, S4));
    let (again, next, over) = begin_steps(asm, count);
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
    end_steps(asm, [S5, S3, S4], next);
    asm.b(over);
    next_step(asm, next, count, again);
    asm.bind(over);
    leave(asm, true);
}

/// Registers that count steps and say whether a parabola has begun; those of functions that call are saved.
fn counters(calls: bool) -> (Reg, Reg) {
    if calls { (R4, R5) } else { (R0, R1) }
}

/// Saves what is changed and lays the arguments aside.
fn enter(asm: &mut Assembler, label: Label, name: &str, calls: bool) {
    asm.place_pool();
    asm.annotate(name);
    asm.function(name, label);
    if calls {
        asm.emit(Inst::push(&[R4, R5, Lr]));
    }
    for (to, from) in [P, Q, THRESHOLD, X].into_iter().zip([S0, S1, S2, S3]) {
        asm.emit(Inst::vmov(to, from));
    }
}

fn leave(asm: &mut Assembler, calls: bool) {
    asm.emit(Inst::vmov(S0, X));
    asm.emit(match calls {
        true => Inst::pop(&[R4, R5, Reg::Pc]),
        false => Inst::ret(),
    });
}

/// Begins a loop over steps; returns its beginning, and labels for what ends a step and the loop.
fn begin_steps(asm: &mut Assembler, count: Reg) -> (Label, Label, Label) {
    asm.emit(Inst::mov(count, STEPS));
    // Constants would fall out of reach in the middle of it.
    asm.place_pool();
    (asm.here(), asm.label(), asm.label())
}

/// Goes back for another step, if there are any left.
fn next_step(asm: &mut Assembler, next: Label, count: Reg, again: Label) {
    asm.bind(next);
    asm.emit(Inst::subs(count, count, 1));
    asm.b_if(Cond::Ne, again);
}

/// Goes to `next` if it is not close yet: by what is left of the error against the slope, and by what exponent the
/// curve has changed.
fn end_steps(asm: &mut Assembler, [error, slope, exponent]: [SReg; 3], next: Label) {
    asm.emit(Inst::vabs(S2, slope));
    asm.vldr_const(S7, f32::EPSILON);
    asm.emit(Inst::vmul(S2, S7, S2));
    immediate(asm, S0, 1.0);
    asm.emit_all([Inst::vcmp(error, S2), Inst::FFlags]);
    // Greater or unordered: the exact opposite of less or equal.
    asm.b_if(Cond::Hi, next);
    asm.emit_all([Inst::vcmp(exponent, S0), Inst::FFlags]);
    asm.b_if(Cond::Hi, next);
}

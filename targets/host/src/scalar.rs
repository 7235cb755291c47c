//! The scalar machine: one lane at a time.

use nirc_ir::math::{self, root};

use crate::code::{Addr, Kind, Offsets, Scalar, ScalarOp};
use crate::frame::Frame;

/// Runs `steps` with these offsets.
#[inline(always)]
pub(crate) fn run(steps: &[Scalar], offsets: &Offsets, frame: &mut Frame<'_>) {
    for step in steps {
        let at = |addr: Addr| frame.mem[addr.index(offsets)];
        let result = match step.op {
            ScalarOp::Copy => at(step.a),
            ScalarOp::Weight => frame.weights[step.a.index(offsets)],
            ScalarOp::Neg => -at(step.a),
            ScalarOp::Sqrt => at(step.a).sqrt(),
            ScalarOp::Exp => math::exp(at(step.a)),
            ScalarOp::Ln => math::ln(at(step.a)),
            ScalarOp::Add => at(step.a) + at(step.b),
            ScalarOp::Sub => at(step.a) - at(step.b),
            ScalarOp::Mul => at(step.a) * at(step.b),
            ScalarOp::Div => at(step.a) / at(step.b),
            ScalarOp::Fma => at(step.a).mul_add(at(step.b), at(step.c)),
            ScalarOp::Gt => truth(at(step.a) > at(step.b)),
            ScalarOp::Ge => truth(at(step.a) >= at(step.b)),
            ScalarOp::Lt => truth(at(step.a) < at(step.b)),
            ScalarOp::Eq => truth(at(step.a) == at(step.b)),
            ScalarOp::Root(kind) => {
                let first = step.a.base as usize;
                let operands = std::array::from_fn(|k| frame.mem[first + k]);
                solved(kind, operands)
            }
            ScalarOp::Select => at(if at(step.a) != 0.0 { step.b } else { step.c }),
        };
        frame.mem[step.to.index(offsets)] = result;
    }
}

/// The root of these operands.
#[inline(never)]
pub(crate) fn solved(kind: Kind, [p, q, threshold, from, x]: [f32; 5]) -> f32 {
    match kind {
        Kind::Cubic => root::cubic(p, q, threshold, from),
        Kind::Quartic => root::quartic(p, q, threshold, from),
        Kind::Power => root::general(x, p, q, threshold, from),
        Kind::Equal => root::equal(x, p, q, threshold, from),
    }
}

fn truth(holds: bool) -> f32 {
    f32::from(u8::from(holds))
}

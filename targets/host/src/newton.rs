//! Roots of many lanes at once, in the steps of [`nirc_ir::math::root`].
//!
//! Each lane goes through exactly the steps that it would go through alone: one that is done keeps its value
//! while others go on.

use nirc_ir::math;
use nirc_ir::math::root::{Fit, TWELFTH};

use crate::code::Kind;

/// Most steps, as there.
const STEPS: usize = 40;

/// One number a lane. Which lanes go on is such a number as well, 0 or 1, so that it stays in a vector.
type Lanes<const W: usize> = [f32; W];

/// The roots for operands as [`crate::code::Root`] has them; of lanes that are not `wanted`, anything.
#[inline(always)]
pub(crate) fn roots<const W: usize>(
    kind: Kind,
    operands: &[Lanes<W>; 5],
    wanted: usize,
) -> Lanes<W> {
    let [p, q, threshold, from, x] = operands;
    let mut active = [0; W];
    for (i, active) in active.iter_mut().enumerate() {
        *active = u32::from(i < wanted);
    }
    match kind {
        Kind::Cubic => {
            let start = Start {
                p,
                q,
                threshold,
                from,
                n: &[3.0; W],
            };
            start.fitted(&mut active, &Fit::CUBIC, |x| x * x, |x| x * x * x)
        }
        Kind::Quartic => {
            let start = Start {
                p,
                q,
                threshold,
                from,
                n: &[4.0; W],
            };
            let fourth = |x: f32| {
                let square = x * x;
                square * square
            };
            start.fitted(&mut active, &Fit::QUARTIC, |x| x * x * x, fourth)
        }
        Kind::Power => {
            let start = Start {
                p,
                q,
                threshold,
                from,
                n: x,
            };
            start.power(active, |x, n| math::exp(n * math::ln(x)))
        }
        Kind::Equal => {
            let start = Start {
                p,
                q,
                threshold,
                from,
                n: x,
            };
            start.equal(active)
        }
    }
}

/// Whether any lane goes on.
#[inline(always)]
fn any<const W: usize>(active: &[u32; W]) -> bool {
    active.iter().fold(0, |any, active| any | active) != 0
}

/// What the steps begin with.
struct Start<'a, const W: usize> {
    p: &'a Lanes<W>,
    q: &'a Lanes<W>,
    threshold: &'a Lanes<W>,
    from: &'a Lanes<W>,
    /// The exponent, or the rate.
    n: &'a Lanes<W>,
}

impl<const W: usize> Start<'_, W> {
    /// Roots of a whole ratio: most by their fit, what is left by steps.
    #[inline(always)]
    fn fitted(
        &self,
        active: &mut [u32; W],
        fit: &Fit,
        below: impl Fn(f32) -> f32 + Copy,
        y_of: impl Fn(f32) -> f32 + Copy,
    ) -> Lanes<W> {
        let mut x = [0.0; W];
        for i in 0..W {
            let (p, q, threshold) = (self.p[i], self.q[i], self.threshold[i]);
            let b = 1.0 / p;
            let a = threshold * b;
            let k = (q * b) * below(a);
            let w = (-fit.share).mul_add(k, 1.0).sqrt();
            let fits = (w < Fit::MOST) & (a > 0.0) & (b > 0.0);
            let inverse = fit.inverse.iter().rev().copied();
            let inverse = inverse.reduce(|sum, c| sum.mul_add(w, c)).unwrap_or(1.0);
            let near = a / inverse;
            let (y, px) = (y_of(near), p * near);
            let f = (-q).mul_add(y, px - threshold);
            let g = (-(fit.n * q)).mul_add(y, px);
            let curved = 0.5 * (fit.n * (fit.n - 1.0)) * q * y;
            let s = (f * g) / curved.mul_add(f, g * g);
            let next = (-near).mul_add(s, near);
            x[i] = if s.abs() <= Fit::LARGEST_STEP {
                next
            } else {
                near
            };
            active[i] = if fits { 0 } else { active[i] };
        }
        if !any(active) {
            return x;
        }
        let stepped = self.power(*active, |x, _| y_of(x));
        for i in 0..W {
            x[i] = if active[i] != 0 { stepped[i] } else { x[i] };
        }
        x
    }

    #[inline(always)]
    fn power(&self, mut active: [u32; W], y_of: impl Fn(f32, f32) -> f32 + Copy) -> Lanes<W> {
        let mut x = *self.from;
        let mut began = [0.0; W];
        let mut parabola = [0_u32; W];
        for _ in 0..STEPS {
            for i in 0..W {
                let (p, q, n) = (self.p[i], self.q[i], self.n[i]);
                let (y, px) = (y_of(x[i], n), p * x[i]);
                let f = (-q).mul_add(y, px - self.threshold[i]);
                let g = (-(n * q)).mul_add(y, px);
                let h = 2.0 * (n * (n - 1.0)) * q * y;
                let ahead = (f + f) / (g - h.mul_add(f, g * g).sqrt());
                let taken = ahead < 1.0;
                let s = if taken { ahead } else { f / g };
                let next = (-x[i]).mul_add(s, x[i]);
                let left = (h.abs() * ((n - 2.0).abs() * TWELFTH)) * (s.abs() * (s * s));
                let done = (left <= f32::EPSILON * g.abs()) & (n * s.abs() <= 1.0);
                let goes = g < 0.0;
                let back = 0.5 * (x[i] + began[i]);
                let now = x[i];
                let moved = if goes {
                    active[i]
                } else {
                    active[i] & parabola[i]
                };
                let to = if goes { next } else { back };
                x[i] = if moved != 0 { to } else { now };
                began[i] = if goes { now } else { began[i] };
                parabola[i] = if goes { u32::from(taken) } else { parabola[i] };
                active[i] = if goes & done { 0 } else { moved };
            }
            if !any(&active) {
                break;
            }
        }
        x
    }

    #[inline(always)]
    fn equal(&self, mut active: [u32; W]) -> Lanes<W> {
        let mut t = *self.from;
        for _ in 0..STEPS {
            for i in 0..W {
                let (p, q, a) = (self.p[i], self.q[i], self.n[i]);
                let e = self.threshold[i] * math::exp(a * t[i]);
                let f = (-q).mul_add(t[i], p) - e;
                let g = (-a).mul_add(e, -q);
                let step = f / g;
                let goes = if g > 0.0 { active[i] } else { 0 };
                t[i] = if goes != 0 { t[i] - step } else { t[i] };
                let close = 0.5 * (a * a * e).abs() * (step * step) * a <= f32::EPSILON * g;
                let done = close & (a * step.abs() <= 1.0);
                active[i] = if done { 0 } else { goes };
            }
            if !any(&active) {
                break;
            }
        }
        t
    }
}

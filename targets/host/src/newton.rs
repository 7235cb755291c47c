//! Roots of many lanes at once, in the steps of [`nirc_ir::math::root`].
//!
//! Each lane goes through exactly the steps that it would go through alone: one that is done keeps its value
//! while others go on.

use nirc_ir::math;

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
            start.power(active, |x, _| x * x * x)
        }
        Kind::Quartic => {
            let start = Start {
                p,
                q,
                threshold,
                from,
                n: &[4.0; W],
            };
            start.power(active, |x, _| {
                let square = x * x;
                square * square
            })
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
    #[inline(always)]
    fn power(&self, mut active: [u32; W], y_of: impl Fn(f32, f32) -> f32 + Copy) -> Lanes<W> {
        let curve = |i: usize, x: f32| {
            let (p, q, n) = (self.p[i], self.q[i], self.n[i]);
            let (y, px) = (y_of(x, n), p * x);
            let f = (-q).mul_add(y, px - self.threshold[i]);
            let g = (-(n * q)).mul_add(y, px);
            (y, f, g)
        };
        let mut x = *self.from;
        for (i, x) in x.iter_mut().enumerate() {
            let (p, q, n) = (self.p[i], self.q[i], self.n[i]);
            let c = n * (n - 1.0);
            let (y, f, g) = curve(i, *x);
            let s = 2.0 * f / (g - (2.0 * c * q * y).mul_add(f, g * g).sqrt());
            let ahead = (-*x).mul_add(s, *x);
            let rises = p * ahead < n * q * y_of(ahead, n);
            *x = if (ahead > 0.0) & rises { ahead } else { *x };
        }
        for _ in 0..STEPS {
            for i in 0..W {
                let (q, n) = (self.q[i], self.n[i]);
                let c = n * (n - 1.0);
                let (y, f, g) = curve(i, x[i]);
                let s = f / g;
                let next = (-x[i]).mul_add(s, x[i]);
                let goes = if g < 0.0 { active[i] } else { 0 };
                x[i] = if goes != 0 { next } else { x[i] };
                let close = 0.5 * c * (q * y).abs() * (s * s) <= f32::EPSILON * g.abs();
                let done = close & (n * s.abs() <= 1.0);
                active[i] = if done { 0 } else { goes };
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

//! Roots of many lanes at once, in the steps of [`nirc_ir::math::root`].
//!
//! Each lane goes through exactly the steps that it would go through alone: one that is done keeps its value
//! while others go on.

use nirc_ir::math;

use crate::code::Kind;

/// Most steps, as there.
const STEPS: usize = 40;

/// One number a lane.
type Lanes<const W: usize> = [f32; W];

/// The roots for operands as [`crate::code::Root`] has them; of lanes that are not `wanted`, anything.
#[inline(always)]
pub(crate) fn roots<const W: usize>(
    kind: Kind,
    operands: &[Lanes<W>; 5],
    wanted: usize,
) -> Lanes<W> {
    let [p, q, threshold, from, x] = operands;
    let mut active = [false; W];
    for (i, active) in active.iter_mut().enumerate() {
        *active = i < wanted;
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
    fn power(&self, mut active: [bool; W], y_of: impl Fn(f32, f32) -> f32 + Copy) -> Lanes<W> {
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
            let mut any = false;
            for i in 0..W {
                let (q, n) = (self.q[i], self.n[i]);
                let c = n * (n - 1.0);
                let (y, f, g) = curve(i, x[i]);
                let s = f / g;
                let next = (-x[i]).mul_add(s, x[i]);
                let goes = active[i] & (g < 0.0);
                x[i] = if goes { next } else { x[i] };
                let close = 0.5 * c * (q * y).abs() * (s * s) <= f32::EPSILON * g.abs();
                let done = close & (n * s.abs() <= 1.0);
                active[i] = goes & !done;
                any |= active[i];
            }
            if !any {
                break;
            }
        }
        x
    }

    #[inline(always)]
    fn equal(&self, mut active: [bool; W]) -> Lanes<W> {
        let mut t = *self.from;
        for _ in 0..STEPS {
            let mut any = false;
            for i in 0..W {
                let (p, q, a) = (self.p[i], self.q[i], self.n[i]);
                let e = self.threshold[i] * math::exp(a * t[i]);
                let f = (-q).mul_add(t[i], p) - e;
                let g = (-a).mul_add(e, -q);
                let step = f / g;
                let goes = active[i] & (g > 0.0);
                t[i] = if goes { t[i] - step } else { t[i] };
                let close = 0.5 * (a * a * e).abs() * (step * step) * a <= f32::EPSILON * g;
                let done = close & (a * step.abs() <= 1.0);
                active[i] = goes & !done;
                any |= active[i];
            }
            if !any {
                break;
            }
        }
        t
    }
}

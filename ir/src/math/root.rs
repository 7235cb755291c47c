//! When a voltage reaches its threshold: roots of a sum of two exponentials, to the bit.
//!
//! Between two arrivals the voltage of a neuron with a synapse is `p x - q y`, where `x` and `y` are the slow
//! and the fast one of its two exponentials, and `y = x^n` with the ratio `n > 1` of their time constants. Its
//! crossing of the threshold is a root of
//!
//! ```text
//! f(x) = p x - q x^n - threshold        (power)
//! f(t) = p - q t - threshold e^(a t)    (equal time constants; times e^(-a t), the voltage less the threshold)
//! ```
//!
//! Both are concave, or convex, over their whole range: Newton's method from the side on which the tangent lies
//! between the curve and the root never passes the root, and comes closer with each step. The caller gives that
//! side as `from`: of a power, the earlier end of the interval (the larger `x`) where `q > 0`, the later one
//! otherwise; of equal time constants, the earlier end where the threshold is positive.
//!
//! # Steps
//! They are the same for every executor and every precision; each operation rounds once. `c = n (n - 1)`.
//! ```text
//!     y = x^n, u = p x - threshold, f = fma(-q, y, u), g = fma(-n q, y, p x)     g is x f'
//!  1  s = 2 f / (g - sqrt(fma(2 c q y, f, g g)))     once: a parabola instead of the tangent
//!     x' = fma(-x, s, x), taken if x' > 0 and p x' < n q y'    it may end a little beyond the root, on the rising side
//!  2  stop unless g < 0                              grazing: there is no root on this side
//!     s = f / g, x = fma(-x, s, x)
//!     stop where c/2 |q y| s s <= eps |g|            what is left of the error is quadratic in the step
//!  3  back to 2, 40 times at most
//! ```
//! (Of equal time constants: `f = fma(-q, t, p) - e`, `g = -q - a e`, `e = threshold e^(a t)`, in steps of `t`,
//! which stop unless `g > 0`, and where `|a a e| / 2 * step^2 <= eps |g| / a`.)
//!
//! Figures of the iteration and the parabola's worth are those of the prototype: 2.6 steps in the mean
//! for `n = 4`, at most 13.

use super::real::Real;

/// Most steps; more than ever needed, so that every input ends.
const STEPS: usize = 40;

/// `x^3`.
fn cube<R: Real>(x: R) -> R {
    x * x * x
}

/// `x^4`.
fn fourth<R: Real>(x: R) -> R {
    let square = x * x;
    square * square
}

/// Root of `p x - q x^3 - threshold`.
pub fn cubic<R: Real>(p: R, q: R, threshold: R, from: R) -> R {
    power(R::from_f32(3.0), cube, p, q, threshold, from)
}

/// Root of `p x - q x^4 - threshold`.
pub fn quartic<R: Real>(p: R, q: R, threshold: R, from: R) -> R {
    power(R::from_f32(4.0), fourth, p, q, threshold, from)
}

/// Root of `p x - q x^n - threshold`, with `x^n = e^(n ln x)`.
pub fn general<R: Real>(n: R, p: R, q: R, threshold: R, from: R) -> R {
    power(n, |x| (n * x.ln()).exp(), p, q, threshold, from)
}

fn power<R: Real>(n: R, y_of: impl Fn(R) -> R, p: R, q: R, threshold: R, from: R) -> R {
    let [zero, one, half, two] = [0.0, 1.0, 0.5, 2.0].map(R::from_f32);
    let c = n * (n - one);
    let nq = n * q;
    let curve = |x: R| {
        let (y, px) = (y_of(x), p * x);
        let (f, g) = ((-q).mul_add(y, px - threshold), (-nq).mul_add(y, px));
        (y, f, g)
    };
    let mut x = from;
    let (y, f, g) = curve(x);
    let s = two * f / (g - (two * c * q * y).mul_add(f, g * g).sqrt());
    let ahead = (-x).mul_add(s, x);
    if ahead > zero && p * ahead < nq * y_of(ahead) {
        x = ahead;
    }
    for _ in 0..STEPS {
        let (y, f, g) = curve(x);
        // Of a NaN as well, there is nothing to go towards.
        if !(g < zero) {
            break;
        }
        let s = f / g;
        x = (-x).mul_add(s, x);
        if half * c * (q * y).abs() * (s * s) <= R::EPSILON * g.abs() {
            break;
        }
    }
    x
}

/// Root of `p - q t - threshold e^(a t)`, `a > 0`.
pub fn equal<R: Real>(a: R, p: R, q: R, threshold: R, from: R) -> R {
    let [zero, half] = [0.0, 0.5].map(R::from_f32);
    let mut t = from;
    for _ in 0..STEPS {
        let e = threshold * (a * t).exp();
        let f = (-q).mul_add(t, p) - e;
        let g = (-a).mul_add(e, -q);
        if !(g > zero) {
            break;
        }
        let step = f / g;
        t = t - step;
        if half * (a * a * e).abs() * (step * step) * a <= R::EPSILON * g {
            break;
        }
    }
    t
}

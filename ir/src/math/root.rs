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
//! # Fitted
//! For `n` of 3 and 4, with `u = p x / threshold`, it is `u - k u^n = 1`, of one number `k = q threshold^(n-1) / p^n`.
//! The voltage rises as far as its threshold up to `k = (n-1)^(n-1) / n^n`, where `1/u = (n-1) / n`. From there `1/u` is
//! smooth in `w = sqrt(1 - k n^n / (n-1)^(n-1))`: a polynomial ([`Fit`]) has it within 0.3 % up to `w` of 0.94, beyond
//! which hardly a neuron spikes, and one step of Halley's method is left of that within 6e-8. No step has to be
//! tested. Each operation rounds once:
//! ```text
//!     b = 1 / p, a = threshold b, k = (q b) a^(n-1), w = sqrt(fma(-share, k, 1))
//!     unless w < 0.94, a > 0 and b > 0: by steps
//!     x = a / polynomial(w)
//!     s = f g / fma((c/2) q y, f, g g), x = fma(-x, s, x) if |s| <= 1/64        (f, g, y, c as below; in f64, twice)
//! ```
//!
//! # Steps
//! They are the same for every executor and every precision; each operation rounds once. `c = n (n - 1)`.
//! ```text
//!     y = x^n, f = fma(-q, y, p x - threshold), g = fma(-n q, y, p x), h = (2 c) q y      g is x f', -h/2 is x x f''
//!  1  unless g < 0: beyond the peak. Stop, or back to the middle between x and where the parabola began
//!  2  s = 2 f / (g - sqrt(fma(h, f, g g)))           where the parabola through f, f', f'' is 0
//!     s = f / g instead unless s < 1                 where it is not: the tangent
//!  3  x = fma(-x, s, x)
//!     stop where |h| (|n - 2| / 12) (|s| (s s)) <= eps |g|      what is left of the error is cubic in the step,
//!            and n |s| <= 1                          as long as y has not changed by more than a factor e
//!  4  back to 1, 40 times at most
//! ```
//! (Of equal time constants: `f = fma(-q, t, p) - e`, `g = -q - a e`, `e = threshold e^(a t)`, in steps of `t`
//! by the tangent, which stop unless `g > 0`, and where `|a a e| / 2 * step^2 * a <= eps g` and `a |step| <= 1`.)
//!
//! A parabola ends a little beyond the root, on the rising side, or, if the root is near the peak, beyond that. The
//! tangent never passes the root: behind one, there is none on this side.

use std::cmp::Ordering;

use super::real::Real;

/// Most steps; more than ever needed, so that every input ends.
const STEPS: usize = 40;

/// 1 / 12, of the third derivative's part in a step.
pub const TWELFTH: f32 = 1.0 / 12.0;

/// What a root is near, by `w`.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// The ratio.
    pub n: f32,
    /// `n^n / (n-1)^(n-1)`.
    pub share: f32,
    /// Coefficients of `1/u`, of `w^0` first; the largest relative error weighted with `1 / (w + 0.05)` is least.
    pub inverse: [f32; 7],
}

impl Fit {
    /// The polynomial is for `w` below this.
    pub const MOST: f32 = 0.94;
    /// The largest step, relative to `x`, that can follow.
    pub const LARGEST_STEP: f32 = 1.0 / 64.0;

    /// For 3.
    pub const CUBIC: Self = Self {
        n: 3.0,
        share: 6.75,
        inverse: [
            f32::from_bits(0x3F2A_AAAB),
            f32::from_bits(0xBEC0_A81A),
            f32::from_bits(0xBE8D_0FA7),
            f32::from_bits(0x3FA5_8383),
            f32::from_bits(0xC066_EE7A),
            f32::from_bits(0x4088_0BAC),
            f32::from_bits(0xBFF2_06AA),
        ],
    };
    /// For 4.
    pub const QUARTIC: Self = Self {
        n: 4.0,
        share: f32::from_bits(0x4117_B426),
        inverse: [
            f32::from_bits(0x3F40_0000),
            f32::from_bits(0xBE96_D6AC),
            f32::from_bits(0xBEB9_8441),
            f32::from_bits(0x3FEC_3067),
            f32::from_bits(0xC0A7_A7D3),
            f32::from_bits(0x40C9_44C4),
            f32::from_bits(0xC035_744C),
        ],
    };
}

/// `x^2`.
fn square<R: Real>(x: R) -> R {
    x * x
}

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
    fitted(&Fit::CUBIC, [square, cube], p, q, threshold)
        .unwrap_or_else(|| power(R::from_f32(3.0), cube, p, q, threshold, from))
}

/// Root of `p x - q x^4 - threshold`.
pub fn quartic<R: Real>(p: R, q: R, threshold: R, from: R) -> R {
    fitted(&Fit::QUARTIC, [cube, fourth], p, q, threshold)
        .unwrap_or_else(|| power(R::from_f32(4.0), fourth, p, q, threshold, from))
}

/// Root of `p x - q x^n - threshold`, with `x^n = e^(n ln x)`.
pub fn general<R: Real>(n: R, p: R, q: R, threshold: R, from: R) -> R {
    power(n, |x| (n * x.ln()).exp(), p, q, threshold, from)
}

/// `None` where the fit is not for these numbers. `powers` are those of `n - 1` and `n`.
fn fitted<R: Real>(fit: &Fit, powers: [fn(R) -> R; 2], p: R, q: R, threshold: R) -> Option<R> {
    let number = R::from_f32;
    let [zero, one, half] = [0.0, 1.0, 0.5].map(number);
    let n = number(fit.n);
    let b = one / p;
    let a = threshold * b;
    let k = (q * b) * powers[0](a);
    let w = (-number(fit.share)).mul_add(k, one).sqrt();
    if !(w < number(Fit::MOST) && a > zero && b > zero) {
        return None;
    }
    let inverse = fit.inverse.iter().rev().copied().map(number);
    let inverse = inverse.reduce(|sum, c| sum.mul_add(w, c))?;
    let (nq, cq) = (n * q, half * (n * (n - one)) * q);
    let mut x = a / inverse;
    for _ in 0..R::FITTED_STEPS {
        let (y, px) = (powers[1](x), p * x);
        let (f, g) = ((-q).mul_add(y, px - threshold), (-nq).mul_add(y, px));
        let s = (f * g) / (cq * y).mul_add(f, g * g);
        if s.abs() <= number(Fit::LARGEST_STEP) {
            x = (-x).mul_add(s, x);
        }
    }
    Some(x)
}

fn power<R: Real>(n: R, y_of: impl Fn(R) -> R, p: R, q: R, threshold: R, from: R) -> R {
    let [zero, half, one, two] = [0.0, 0.5, 1.0, 2.0].map(R::from_f32);
    let (nq, cq) = (n * q, two * (n * (n - one)) * q);
    let third = (n - two).abs() * R::from_f32(TWELFTH);
    let mut x = from;
    let mut began = None;
    for _ in 0..STEPS {
        let (y, px) = (y_of(x), p * x);
        let (f, g) = ((-q).mul_add(y, px - threshold), (-nq).mul_add(y, px));
        // Of a NaN as well, there is nothing to go towards.
        if g.partial_cmp(&zero) != Some(Ordering::Less) {
            let Some(began) = began else { break };
            x = half * (x + began);
            continue;
        }
        let h = cq * y;
        let s = (f + f) / (g - h.mul_add(f, g * g).sqrt());
        let (s, from) = match s.partial_cmp(&one) {
            Some(Ordering::Less) => (s, Some(x)),
            _ => (f / g, None),
        };
        began = from;
        x = (-x).mul_add(s, x);
        let left = (h.abs() * third) * (s.abs() * (s * s));
        if left <= R::EPSILON * g.abs() && n * s.abs() <= one {
            break;
        }
    }
    x
}

/// Root of `p - q t - threshold e^(a t)`, `a > 0`.
pub fn equal<R: Real>(a: R, p: R, q: R, threshold: R, from: R) -> R {
    let [zero, half, one] = [0.0, 0.5, 1.0].map(R::from_f32);
    let mut t = from;
    for _ in 0..STEPS {
        let e = threshold * (a * t).exp();
        let f = (-q).mul_add(t, p) - e;
        let g = (-a).mul_add(e, -q);
        if g.partial_cmp(&zero) != Some(Ordering::Greater) {
            break;
        }
        let step = f / g;
        t = t - step;
        let close = half * (a * a * e).abs() * (step * step) * a <= R::EPSILON * g;
        if close && a * step.abs() <= one {
            break;
        }
    }
    t
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random, the same everywhere.
    struct Random(u64);

    impl Random {
        fn between(&mut self, low: f64, high: f64) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            low + (high - low) * ((self.0 >> 11) as f64 / 2f64.powi(53))
        }
    }

    /// Where `f` changes its sign.
    fn bisected(f: impl Fn(f64) -> f64, mut below: f64, mut above: f64) -> f64 {
        for _ in 0..200 {
            let middle = 0.5 * (below + above);
            if f(middle) < 0.0 {
                below = middle;
            } else {
                above = middle;
            }
        }
        0.5 * (below + above)
    }

    /// A voltage that rises through a threshold: `p`, `q`, threshold, where to begin, and the root.
    struct Case {
        p: f64,
        q: f64,
        threshold: f64,
        from: f64,
        root: f64,
        /// Slope at the root over what it would be without the fast exponential: how far it is from grazing.
        steep: f64,
    }

    /// Thresholds above the equilibrium, approached from the earlier end, and below it, from either.
    fn power_cases(n: f64, count: usize) -> Vec<Case> {
        let mut random = Random(1);
        let mut cases = Vec::new();
        while cases.len() < count {
            let threshold = random.between(-1.5, 2.0);
            let (p, q) = (random.between(-8.0, 30.0), random.between(-8.0, 40.0));
            let (late, early) = (random.between(1e-3, 0.5), random.between(0.5, 1.0));
            let f = |x: f64| p * x - q * x.powf(n) - threshold;
            // The peak, or the later end where there is none.
            let peak = (p / (n * q)).powf(1.0 / (n - 1.0));
            let end = if q > 0.0 && p > 0.0 && peak > late {
                peak
            } else {
                late
            };
            if end >= early || f(early) >= 0.0 || f(end) < 0.0 {
                continue;
            }
            let root = bisected(f, early, end);
            let slope = p * root - n * q * root.powf(n);
            cases.push(Case {
                p,
                q,
                threshold,
                from: if q > 0.0 { early } else { end },
                root,
                steep: slope.abs() / (p * root).abs().max((n * q * root.powf(n)).abs()),
            });
        }
        cases
    }

    fn equal_cases(a: f64, count: usize) -> Vec<Case> {
        let mut random = Random(2);
        let mut cases = Vec::new();
        while cases.len() < count {
            let threshold = random.between(-1.5, 2.0);
            let (p, q) = (random.between(-20.0, 20.0), random.between(-4.0, 4.0));
            let (early, late) = (random.between(0.0, 10.0), random.between(10.0, 40.0));
            let f = |t: f64| p - q * t - threshold * (a * t).exp();
            let peak = ((-q / (threshold * a)).ln()) / a;
            let end = if threshold > 0.0 && peak < late {
                peak
            } else {
                late
            };
            if end.partial_cmp(&early) != Some(Ordering::Greater) || f(early) >= 0.0 || f(end) < 0.0
            {
                continue;
            }
            let root = bisected(f, early, end);
            let slope = -q - a * threshold * (a * root).exp();
            cases.push(Case {
                p,
                q,
                threshold,
                from: if threshold > 0.0 { early } else { end },
                root,
                steep: slope.abs() / q.abs().max((a * threshold * (a * root).exp()).abs()),
            });
        }
        cases
    }

    type Solver<R> = Box<dyn Fn(&Case) -> R>;

    fn solvers<R: Real + 'static>() -> Vec<(&'static str, Vec<Case>, Solver<R>)> {
        fn with<R: Real>(c: &Case) -> [R; 4] {
            [c.p, c.q, c.threshold, c.from].map(R::from_f64)
        }
        let cubic = |c: &Case| {
            let [p, q, threshold, from] = with(c);
            super::cubic::<R>(p, q, threshold, from)
        };
        let quartic = |c: &Case| {
            let [p, q, threshold, from] = with(c);
            super::quartic::<R>(p, q, threshold, from)
        };
        let general = |n: f64| {
            move |c: &Case| {
                let [p, q, threshold, from] = with(c);
                super::general::<R>(R::from_f64(n), p, q, threshold, from)
            }
        };
        let equal = |c: &Case| {
            let [p, q, threshold, from] = with(c);
            super::equal::<R>(R::from_f64(0.125), p, q, threshold, from)
        };
        const COUNT: usize = 20_000;
        vec![
            ("cubic", power_cases(3.0, COUNT), Box::new(cubic)),
            ("quartic", power_cases(4.0, COUNT), Box::new(quartic)),
            (
                "power 1.25",
                power_cases(1.25, COUNT),
                Box::new(general(1.25)),
            ),
            (
                "power 20/7",
                power_cases(20.0 / 7.0, COUNT),
                Box::new(general(20.0 / 7.0)),
            ),
            (
                "power 12",
                power_cases(12.0, COUNT),
                Box::new(general(12.0)),
            ),
            ("equal", equal_cases(0.125, COUNT), Box::new(equal)),
        ]
    }

    /// A root moves by the roundings of the voltage over its slope; at a peak that grazes, by their square root.
    fn check<R: Real + 'static>() {
        for (name, cases, solve) in solvers::<R>() {
            let eps = R::EPSILON.to_f64();
            let mut worst = 0.0_f64;
            for case in &cases {
                let found = solve(case).to_f64();
                // In f32 the threshold itself and the ends are rounded, which counts as so many roundings.
                let scale = (case.p * case.root)
                    .abs()
                    .max(case.threshold.abs())
                    .max(1.0)
                    + case.p.abs();
                let allowed = 64.0 * eps * scale / case.steep.max(eps.sqrt());
                let off = (found - case.root).abs() / case.root.abs().max(1.0);
                worst = worst.max(off / allowed);
            }
            println!(
                "{name}: worst {worst:.2} of what is allowed, over {} cases",
                cases.len()
            );
            assert!(worst < 1.0, "{name}: {worst}");
        }
    }

    #[test]
    fn roots_are_where_bisection_finds_them() {
        check::<f64>();
        check::<f32>();
    }

    /// One step is enough for f32, two for f64, over the whole range of the polynomials.
    #[test]
    fn a_fitted_root_needs_no_test() {
        fn worst<R: Real>(fit: &Fit, powers: [fn(R) -> R; 2]) -> f64 {
            let n = f64::from(fit.n);
            let least = ((n - 1.0) / n).powf(n - 1.0) / n;
            let errors = (1..4000).map(|i| {
                let w = 0.939_999 * f64::from(i) / 4000.0;
                let k = least * (1.0 - w * w);
                let top = (1.0 / (n * k)).powf(1.0 / (n - 1.0));
                let root = bisected(|x| k * x.powf(n) + 1.0 - x, top, 10.0 * top);
                let k = R::from_f64(k);
                let one = R::from_f32(1.0);
                let found = fitted(fit, powers, one, k, one)
                    .expect("within the range")
                    .to_f64();
                (found / root - 1.0).abs() * w
            });
            errors.fold(0.0, f64::max)
        }
        assert!(worst::<f64>(&Fit::CUBIC, [square, cube]) < 1e-14);
        assert!(worst::<f64>(&Fit::QUARTIC, [cube, fourth]) < 1e-14);
        assert!(worst::<f32>(&Fit::CUBIC, [square, cube]) < 3e-7);
        assert!(worst::<f32>(&Fit::QUARTIC, [cube, fourth]) < 3e-7);
    }

    /// From the root itself the method goes nowhere, and from beyond it comes back.
    #[test]
    fn a_root_stays_a_root() {
        for (name, cases, solve) in solvers::<f64>() {
            for case in cases.iter().filter(|case| case.steep > 1e-3).take(2000) {
                let again = Case {
                    from: solve(case),
                    ..*case
                };
                let (once, twice) = (again.from, solve(&again));
                let off = (once - twice).abs();
                assert!(
                    off <= 1e-11 * once.abs().max(1.0) / case.steep,
                    "{name}: {once} {twice}"
                );
            }
        }
    }

    /// Where the voltage does not reach the threshold the steps end, whatever is made of them.
    #[test]
    fn every_input_ends() {
        let odd = [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1e-38,
            1e38,
            f32::INFINITY,
            f32::NEG_INFINITY,
            f32::NAN,
        ];
        for p in odd {
            for q in odd {
                for threshold in odd {
                    for from in odd {
                        let roots = [
                            cubic(p, q, threshold, from),
                            quartic(p, q, threshold, from),
                            general(1.5, p, q, threshold, from),
                            equal(0.1, p, q, threshold, from),
                        ];
                        std::hint::black_box(roots);
                    }
                }
            }
        }
    }

    /// FNV-1a over results in `f32`. It changes with any step: on purpose or not at all.
    #[test]
    fn fixed_bits() {
        let digests: Vec<String> = solvers::<f32>()
            .iter()
            .map(|(name, cases, solve)| {
                let hash = cases.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, case| {
                    (hash ^ u64::from(solve(case).to_bits())).wrapping_mul(0x0100_0000_01B3)
                });
                format!("{name} {hash:016X}")
            })
            .collect();
        let expected = [
            "cubic E68F55B0A83E94CB",
            "quartic 6765027A85E88076",
            "power 1.25 12FC1E60FBF0C050",
            "power 20/7 32E2CD691142B069",
            "power 12 30794B69E05989BA",
            "equal 2CD3030B7CDC0171",
        ];
        assert_eq!(digests, expected);
    }
}

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
//!     stop where c/2 |q y| s s <= eps |g|            what is left of the error is quadratic in the step,
//!            and n |s| <= 1                          as long as y has not changed by more than a factor e
//!  3  back to 2, 40 times at most
//! ```
//! (Of equal time constants: `f = fma(-q, t, p) - e`, `g = -q - a e`, `e = threshold e^(a t)`, in steps of `t`,
//! which stop unless `g > 0`, and where `|a a e| / 2 * step^2 * a <= eps g` and
//! `a |step| <= 1`.)
//!
//! Figures of the iteration and the parabola's worth are those of the prototype: 2.6 steps in the mean
//! for `n = 4`, at most 13.

use std::cmp::Ordering;

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
        if g.partial_cmp(&zero) != Some(Ordering::Less) {
            break;
        }
        let s = f / g;
        x = (-x).mul_add(s, x);
        let close = half * c * (q * y).abs() * (s * s) <= R::EPSILON * g.abs();
        if close && n * s.abs() <= one {
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
            "cubic 518EE2E483E7840B",
            "quartic 216A2577B78EB99F",
            "power 1.25 C5EA3908135A2846",
            "power 20/7 1A988932FF838925",
            "power 12 C9B708959098E454",
            "equal 2CD3030B7CDC0171",
        ];
        assert_eq!(digests, expected);
    }
}

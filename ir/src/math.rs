//! `exp` and `ln` in single precision, and the times of crossings ([`root`]): the project's definition, to the bit.
//!
//! Library functions differ from platform to platform, so a program that called them would not mean
//! the same everywhere. Here each function *is* a fixed sequence of IEEE single precision additions,
//! subtractions, multiplications, fused multiply-adds, comparisons and integer operations. The
//! interpreter and the native simulator run this Rust; the code generator emits the same steps, in the
//! same order and with the same constants, for the Cortex-M4F. Changing a constant or the order of two
//! steps here changes the meaning of programs: `fixed_bits` in the tests pins it.
//!
//! Rules that make the steps portable:
//! * every step rounds once, to nearest even; `fma(a, b, c)` is `a * b + c` rounded once
//!   (`VFMA.F32`; `fma(-a, b, c)` is `VFMS.F32`);
//! * subnormal operands are not flushed (FPSCR.FZ = 0), which only [`ln`] of a subnormal needs;
//! * `bits(v)` is the register moved between the float and the integer side, and integer steps wrap;
//! * there is no table, no branch and no division; special arguments are settled by selections at the
//!   end, which overwrite whatever the steps before made of them. Their order matters.
//!
//! # Accuracy
//! Measured against double precision over every one of the 2^32 arguments (test `every_argument`):
//!
//! | function | largest error | at | results not correctly rounded |
//! |---|---|---|---|
//! | [`exp`] | 0.9876 ulp | `0x426D199B` = 59.275005 | 8 % of those with \|x\| > 0.015 |
//! | [`ln`] | 0.6240 ulp | `0x3F334DD5` = 0.7004064 | 0.023 % |

pub mod real;
pub mod root;

/// The result for every argument that has none: the quiet NaN that the Cortex-M4F makes by default.
pub const NAN: f32 = f32::from_bits(0x7FC0_0000);

/// 1.5 * 2^23. Adding it rounds a small number to an integer, which is then in the low bits of the
/// sum: `bits(SHIFT + k) = bits(SHIFT) + k`. The low nine bits of `bits(SHIFT)` itself are zero.
pub const SHIFT: f32 = f32::from_bits(0x4B40_0000);

/// 1 / ln 2.
pub const LOG2_E: f32 = f32::from_bits(0x3FB8_AA3B);
/// ln 2 with its low eight bits cleared, so that its product with an exponent is exact.
pub const LN2_HI: f32 = f32::from_bits(0x3F31_7200);
/// ln 2 - [`LN2_HI`].
pub const LN2_LO: f32 = f32::from_bits(0x35BF_BE8E);
/// Coefficients of r^2, r^3, .. r^7 in e^r for |r| <= ln 2 / 2: those of SLEEF's `expf` of 1 ulp, which
/// PyTorch's kernels for processors with vectors use.
pub const EXP_POLY: [f32; 6] = [
    f32::from_bits(0x3F00_0000),
    f32::from_bits(0x3E2A_AAAB),
    f32::from_bits(0x3D2A_AA7A),
    f32::from_bits(0x3C08_88A6),
    f32::from_bits(0x3AB6_96C9),
    f32::from_bits(0x3950_2BDA),
];
/// The largest argument whose exponential is finite, 88.72283.
pub const EXP_MAX: f32 = f32::from_bits(0x42B1_7217);
/// The smallest argument whose exponential is at least 2^-126, -87.33654.
pub const EXP_MIN: f32 = f32::from_bits(0xC2AE_AC4F);

/// The smallest normal number, 2^-126.
pub const LN_NORMAL: f32 = f32::from_bits(0x0080_0000);
/// 2^23, which makes every subnormal number normal.
pub const LN_SCALE: f32 = f32::from_bits(0x4B00_0000);
/// [`SHIFT`] + 23: takes the exponent back that [`LN_SCALE`] put in.
pub const LN_SHIFT_SCALED: f32 = f32::from_bits(0x4B40_0017);
/// Bits of sqrt(1/2), where the significand's interval starts.
pub const LN_SQRT_HALF: u32 = 0x3F35_04F3;
/// The low 23 bits: a significand.
pub const LN_FRACTION: u32 = 0x007F_FFFF;
/// Coefficients of f^3, f^4, .. f^11 in ln(1 + f) for sqrt(1/2) <= 1 + f < sqrt(2): minimax for the
/// relative error, the first two held at 1/3 and -1/4.
pub const LN_POLY: [f32; 9] = [
    f32::from_bits(0x3EAA_AAAB),
    f32::from_bits(0xBE80_0000),
    f32::from_bits(0x3E4C_CF0D),
    f32::from_bits(0xBE2A_ACC1),
    f32::from_bits(0x3E11_D5D1),
    f32::from_bits(0xBDFE_8A61),
    f32::from_bits(0x3DF0_E5BF),
    f32::from_bits(0xBDEB_5A8D),
    f32::from_bits(0x3D8A_F090),
];

/// e^x.
///
/// Overflow gives infinity; a result below 2^-126 gives 0, never a subnormal; a NaN gives [`NAN`].
///
/// # Steps
/// ```text
///  1  t = fma(x, LOG2_E, SHIFT)        k, the integer next to x / ln 2, in the low bits of t
///  2  k = t - SHIFT
///  3  r = fma(-k, LN2_HI, x)           exact
///  4  r = fma(-k, LN2_LO, r)           x = k ln 2 + r
///  5  p = EXP_POLY[5]
///  6  p = fma(p, r, EXP_POLY[i])       for i = 4, 3, 2, 1, 0
///  7  q = r * r
///  8  p = fma(q, p, r)
///  9  y = 1 + p
/// 10  y = bits(y) + (bits(t) << 23)    times 2^k; one ADD with a shifted operand
/// 11  x > EXP_MAX : y = infinity
/// 12  x < EXP_MIN : y = 0
/// 13  x != x      : y = NAN
/// ```
/// For `x = -inf` and `x = inf` steps 3 to 10 work on NaNs, which 11 and 12 replace.
///
/// The steps give the bits that PyTorch's softmax has, so that recorded errors of the loss come out
/// exactly; six steps more would take the error down to 0.6 ulp and lose that.
#[must_use]
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let t = x.mul_add(LOG2_E, SHIFT);
    let k = t - SHIFT;
    let r = (-k).mul_add(LN2_HI, x);
    let r = (-k).mul_add(LN2_LO, r);
    let p = horner(&EXP_POLY, r);
    let q = r * r;
    let p = q.mul_add(p, r);
    let y = 1.0 + p;
    let y = f32::from_bits(y.to_bits().wrapping_add(t.to_bits() << 23));
    let y = if x > EXP_MAX { f32::INFINITY } else { y };
    let y = if x < EXP_MIN { 0.0 } else { y };
    if x.is_nan() { NAN } else { y }
}

/// The natural logarithm of x.
///
/// `ln(0) = ln(-0) = -inf`, `ln(inf) = inf`; a negative argument or a NaN gives [`NAN`]. Subnormal
/// arguments are as accurate as the others.
///
/// # Steps
/// ```text
///  1  w = x, h = SHIFT
///  2  x < LN_NORMAL : w = x * LN_SCALE, h = LN_SHIFT_SCALED
///  3  i = bits(w) - LN_SQRT_HALF
///  4  k = (i >> 23, arithmetic) + bits(SHIFT)       as a float: SHIFT + exponent
///  5  k = k - h                                     w = 2^k (1 + f)
///  6  m = (i & LN_FRACTION) + LN_SQRT_HALF          as a float: sqrt(1/2) <= m < sqrt(2)
///  7  f = m - 1                                     exact
///  8  q = f * f
///  9  d = fma(f, f, -q)                             exact: what step 8 rounded off
/// 10  s = fma(-1/2, q, f)
/// 11  e = f - s
/// 12  e = fma(-1/2, q, e)                           exact: what step 10 rounded off
/// 13  e = fma(-1/2, d, e)
/// 14  p = LN_POLY[8]
/// 15  p = fma(p, f, LN_POLY[i])                     for i = 7, 6, .. 0
/// 16  g = f * q
/// 17  e = fma(g, p, e)                              ln(1 + f) = s + e
/// 18  a = k * LN2_HI                             exact
/// 19  b = a + s
/// 20  z = a - b
/// 21  z = z + s                                     exact: what step 19 rounded off
/// 22  z = fma(k, LN2_LO, z)
/// 23  z = z + e
/// 24  y = b + z
/// 25  x == 0         : y = -infinity
/// 26  x == infinity  : y = infinity
/// 27  not (x >= 0)   : y = NAN
/// ```
#[must_use]
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let (w, h) = if x < LN_NORMAL {
        (x * LN_SCALE, LN_SHIFT_SCALED)
    } else {
        (x, SHIFT)
    };
    let i = w.to_bits().wrapping_sub(LN_SQRT_HALF);
    let k = f32::from_bits(
        (i.cast_signed() >> 23)
            .cast_unsigned()
            .wrapping_add(SHIFT.to_bits()),
    );
    let k = k - h;
    let m = f32::from_bits((i & LN_FRACTION) + LN_SQRT_HALF);
    let f = m - 1.0;
    let q = f * f;
    let d = f.mul_add(f, -q);
    let s = (-0.5f32).mul_add(q, f);
    let e = f - s;
    let e = (-0.5f32).mul_add(q, e);
    let e = (-0.5f32).mul_add(d, e);
    let p = horner(&LN_POLY, f);
    let g = f * q;
    let e = g.mul_add(p, e);
    let a = k * LN2_HI;
    let b = a + s;
    let z = a - b;
    let z = z + s;
    let z = k.mul_add(LN2_LO, z);
    let z = z + e;
    let y = b + z;
    let y = if x == 0.0 { f32::NEG_INFINITY } else { y };
    let y = if x == f32::INFINITY { x } else { y };
    if x >= 0.0 { y } else { NAN }
}

/// A polynomial by Horner's rule, the highest coefficient last.
#[inline(always)]
fn horner<const N: usize>(coefficients: &[f32; N], x: f32) -> f32 {
    coefficients
        .iter()
        .rev()
        .copied()
        .reduce(|p, c| p.mul_add(x, c))
        .unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An argument every `STRIDE` bit patterns in the everyday tests: a prime, so that all low bits occur.
    const STRIDE: usize = 4093;

    /// The error of `got` in units of the last place of the binade that holds `exact`.
    fn error_in_ulps(got: f32, exact: f64) -> f64 {
        let binade = exact.abs().max(f64::from(f32::MIN_POSITIVE)).log2().floor();
        (f64::from(got) - exact).abs() / (binade - 23.0).exp2()
    }

    /// The largest error and the bits of its argument, over the finite, normal results.
    fn worst(
        arguments: impl Iterator<Item = u32>,
        function: fn(f32) -> f32,
        reference: fn(f64) -> f64,
    ) -> (f64, u32) {
        arguments
            .map(|bits| (bits, f32::from_bits(bits)))
            .filter_map(|(bits, x)| {
                let exact = reference(f64::from(x));
                let regular = exact.is_finite()
                    && exact.abs() < f64::from(f32::MAX)
                    && (exact == 0.0 || exact.abs() >= f64::from(f32::MIN_POSITIVE))
                    && !(exact == 0.0 && x < 0.0);
                regular.then(|| (error_in_ulps(function(x), exact), bits))
            })
            .fold(
                (0.0, 0),
                |worst, next| if next.0 > worst.0 { next } else { worst },
            )
    }

    fn sample() -> impl Iterator<Item = u32> {
        (0..=u32::MAX).step_by(STRIDE)
    }

    #[test]
    fn errors_stay_below_an_ulp() {
        for (name, (error, bits), bound) in [
            ("exp", worst(sample(), exp, f64::exp), 1.0),
            ("ln", worst(sample(), ln, f64::ln), 2.0 / 3.0),
        ] {
            assert!(
                error < bound,
                "{name} is off by {error} ulp at {bits:#010X}"
            );
        }
    }

    /// About ten minutes in release mode: `cargo test --release -p nirc-ir every_argument -- --ignored --nocapture`.
    #[test]
    #[ignore = "runs over all 2^32 arguments"]
    fn every_argument() {
        let (exp_error, exp_at) = worst(0..=u32::MAX, exp, f64::exp);
        let (ln_error, ln_at) = worst(0..=u32::MAX, ln, f64::ln);
        println!(
            "exp: {exp_error:.4} ulp at {exp_at:#010X}; ln: {ln_error:.4} ulp at {ln_at:#010X}"
        );
        assert!(exp_error < 0.988 && exp_at == 0x426D_199B);
        assert!(ln_error < 0.625 && ln_at == 0x3F33_4DD5);
    }

    /// FNV-1a over the results of the sample. It changes with any step or constant: on purpose or not at all.
    #[test]
    fn fixed_bits() {
        let digest = |function: fn(f32) -> f32| {
            sample().fold(0xCBF2_9CE4_8422_2325_u64, |hash, bits| {
                let result = function(f32::from_bits(bits)).to_bits();
                (hash ^ u64::from(result)).wrapping_mul(0x0100_0000_01B3)
            })
        };
        assert_eq!(format!("{:016X}", digest(exp)), "B6A462A2E384D0B4");
        assert_eq!(format!("{:016X}", digest(ln)), "30E14FAE18C04DC0");
    }

    #[test]
    fn special_arguments() {
        let exp_cases = [
            (0x0000_0000, 0x3F80_0000),
            (0x8000_0000, 0x3F80_0000),
            (0x0000_0001, 0x3F80_0000),
            (0x7F80_0000, 0x7F80_0000),
            (0xFF80_0000, 0x0000_0000),
            (EXP_MAX.to_bits(), 0x7F7F_FF84),
            (EXP_MAX.to_bits() + 1, 0x7F80_0000),
            (0x7F7F_FFFF, 0x7F80_0000),
            (EXP_MIN.to_bits(), 0x0080_0026),
            (EXP_MIN.to_bits() + 1, 0x0000_0000),
            (0xFF7F_FFFF, 0x0000_0000),
            (0x7F80_0001, 0x7FC0_0000),
            (0xFFC1_2345, 0x7FC0_0000),
        ];
        for (argument, result) in exp_cases {
            let found = exp(f32::from_bits(argument)).to_bits();
            assert_eq!(found, result, "exp of {argument:#010X} is {found:#010X}");
        }
        let ln_cases = [
            (0x0000_0000, 0xFF80_0000),
            (0x8000_0000, 0xFF80_0000),
            (0x3F80_0000, 0x0000_0000),
            (0x7F80_0000, 0x7F80_0000),
            (0xFF80_0000, 0x7FC0_0000),
            (0x8000_0001, 0x7FC0_0000),
            (0xBF80_0000, 0x7FC0_0000),
            (0x7F80_0001, 0x7FC0_0000),
            (0xFFC1_2345, 0x7FC0_0000),
            (0x0000_0001, 0xC2CE_8ED0),
        ];
        for (argument, result) in ln_cases {
            let found = ln(f32::from_bits(argument)).to_bits();
            assert_eq!(found, result, "ln of {argument:#010X} is {found:#010X}");
        }
    }

    #[test]
    fn neither_function_ever_decreases() {
        let ordered = |function: fn(f32) -> f32, from: f32, to: f32| {
            let bits = from.to_bits().min(to.to_bits())..=from.to_bits().max(to.to_bits());
            let rising = from.to_bits() < to.to_bits();
            bits.step_by(61).all(|b| {
                let (here, next) = (function(f32::from_bits(b)), function(f32::from_bits(b + 1)));
                if rising { here <= next } else { here >= next }
            })
        };
        assert!(ordered(exp, 1e-3, EXP_MAX));
        assert!(ordered(exp, EXP_MIN, -1e-3));
        assert!(ordered(ln, 0.5, 2.0));
        assert!(ordered(ln, f32::MIN_POSITIVE, 1e-30));
    }

    /// The facts about constants that the steps rely on.
    #[test]
    fn constants() {
        assert_eq!(SHIFT.to_bits() << 23, 0, "shifting t leaves k alone");
        assert_eq!(LN_SHIFT_SCALED, SHIFT + 23.0);
        assert_eq!(LN_SCALE, 23f32.exp2());
        assert_eq!(
            LN2_HI.to_bits() & 0xFF,
            0,
            "k * LN2_HI is exact for |k| <= 149"
        );
        assert_eq!(LN2_LO, (std::f64::consts::LN_2 - f64::from(LN2_HI)) as f32);
        assert_eq!(LOG2_E, std::f64::consts::LOG2_E as f32);
        assert_eq!(LN_SQRT_HALF, std::f32::consts::FRAC_1_SQRT_2.to_bits());
    }
}

//! Floating-point arithmetic as the FPv4-SP unit does it with FPSCR's default modes.
//!
//! Values are bit patterns. Rounding is to nearest, ties to even, and denormals are exact, which is what `f32` does on every host; only NaNs
//! differ between hosts, so every result that is a NaN is replaced by what the ARM rules say:
//! the first signalling NaN operand made quiet, else the first quiet NaN operand, else the default NaN.

use super::op::{Fixed, Fp2, Fp3};

/// The NaN the processor makes itself. (An x86 host would make 0xFFC00000.)
pub(crate) const DEFAULT_NAN: u32 = 0x7fc0_0000;

const QUIET: u32 = 0x0040_0000;
const SIGN: u32 = 0x8000_0000;

fn f(bits: u32) -> f32 {
    f32::from_bits(bits)
}

fn is_nan(bits: u32) -> bool {
    bits & !SIGN > 0x7f80_0000
}

fn is_signalling(bits: u32) -> bool {
    is_nan(bits) && bits & QUIET == 0
}

/// The NaN an operation with these operands results in.
#[cold]
#[inline(never)]
fn nan_of(operands: &[u32]) -> u32 {
    let signalling = operands
        .iter()
        .find(|&&x| is_signalling(x))
        .map(|x| x | QUIET);
    signalling
        .or_else(|| operands.iter().copied().find(|&x| is_nan(x)))
        .unwrap_or(DEFAULT_NAN)
}

#[inline(always)]
pub(crate) fn add(a: u32, b: u32) -> u32 {
    let r = f(a) + f(b);
    if r.is_nan() {
        nan_of(&[a, b])
    } else {
        r.to_bits()
    }
}

#[inline(always)]
pub(crate) fn sub(a: u32, b: u32) -> u32 {
    let r = f(a) - f(b);
    if r.is_nan() {
        nan_of(&[a, b])
    } else {
        r.to_bits()
    }
}

#[inline(always)]
pub(crate) fn mul(a: u32, b: u32) -> u32 {
    let r = f(a) * f(b);
    if r.is_nan() {
        nan_of(&[a, b])
    } else {
        r.to_bits()
    }
}

fn div(a: u32, b: u32) -> u32 {
    let r = f(a) / f(b);
    if r.is_nan() {
        nan_of(&[a, b])
    } else {
        r.to_bits()
    }
}

fn sqrt(a: u32) -> u32 {
    let r = f(a).sqrt();
    if r.is_nan() {
        nan_of(&[a])
    } else {
        r.to_bits()
    }
}

/// `addend + a * b`, rounded once.
#[inline(always)]
pub(crate) fn fma(addend: u32, a: u32, b: u32) -> u32 {
    let r = f(a).mul_add(f(b), f(addend));
    if r.is_nan() {
        fma_nan(addend, a, b)
    } else {
        r.to_bits()
    }
}

#[cold]
#[inline(never)]
fn fma_nan(addend: u32, a: u32, b: u32) -> u32 {
    let zero_times_infinity = |x: u32, y: u32| f(x) == 0.0 && f(y).is_infinite();
    // Infinity times zero beats a quiet NaN addend.
    if !is_signalling(addend) && (zero_times_infinity(a, b) || zero_times_infinity(b, a)) {
        return DEFAULT_NAN;
    }
    nan_of(&[addend, a, b])
}

/// The operations of three registers; `d` is the destination's old value.
#[inline(always)]
pub(crate) fn fp3(op: Fp3, d: u32, n: u32, m: u32) -> u32 {
    match op {
        Fp3::Add => add(n, m),
        Fp3::Sub => sub(n, m),
        Fp3::Mul => mul(n, m),
        Fp3::Nmul => mul(n, m) ^ SIGN,
        Fp3::Div => div(n, m),
        Fp3::Mla => add(d, mul(n, m)),
        Fp3::Mls => add(d, mul(n, m) ^ SIGN),
        Fp3::Nmla => add(d ^ SIGN, mul(n, m) ^ SIGN),
        Fp3::Nmls => add(d ^ SIGN, mul(n, m)),
        Fp3::Fma => fma(d, n, m),
        Fp3::Fms => fma(d, n ^ SIGN, m),
        Fp3::Fnma => fma(d ^ SIGN, n ^ SIGN, m),
        Fp3::Fnms => fma(d ^ SIGN, n, m),
    }
}

/// How many operations of a run are computed together.
pub(crate) const RUN_WIDTH: usize = 4;

/// `count` times an operation, with registers that step by 0 or 1; no operation of [`RUN_WIDTH`] reads a result of the others.
///
/// The frequent operations are computed side by side, which the host does in one instruction; a NaN sends them the careful way.
#[inline]
pub(crate) fn run(
    op: Fp3,
    s: &mut [u32; 32],
    [d, n, m]: [u8; 3],
    count: u8,
    [n_step, m_step]: [u8; 2],
) {
    let (mut d, mut n, mut m) = (usize::from(d), usize::from(n), usize::from(m));
    let (n_step, m_step) = (usize::from(n_step), usize::from(m_step));
    let mut left = usize::from(count);
    while left >= RUN_WIDTH {
        let done = match op {
            Fp3::Add => side_by_side(s, [d, n, m], [n_step, m_step], |a, b| a + b),
            Fp3::Sub => side_by_side(s, [d, n, m], [n_step, m_step], |a, b| a - b),
            Fp3::Mul => side_by_side(s, [d, n, m], [n_step, m_step], |a, b| a * b),
            _ => false,
        };
        if !done {
            one_by_one(op, s, [d, n, m], RUN_WIDTH, [n_step, m_step]);
        }
        d += RUN_WIDTH;
        n += RUN_WIDTH * n_step;
        m += RUN_WIDTH * m_step;
        left -= RUN_WIDTH;
    }
    one_by_one(op, s, [d, n, m], left, [n_step, m_step]);
}

fn one_by_one(
    op: Fp3,
    s: &mut [u32; 32],
    [d, n, m]: [usize; 3],
    count: usize,
    [n_step, m_step]: [usize; 2],
) {
    for i in 0..count {
        let d = (d + i) & 31;
        s[d] = fp3(op, s[d], s[(n + i * n_step) & 31], s[(m + i * m_step) & 31]);
    }
}

/// The operands of [`RUN_WIDTH`] operations.
#[inline(always)]
fn operands(s: &[u32; 32], from: usize, step: usize) -> Option<[f32; RUN_WIDTH]> {
    if step == 0 {
        Some([f(s[from & 31]); RUN_WIDTH])
    } else {
        s.get(from..)?.first_chunk().map(|bits| bits.map(f))
    }
}

/// False, without effect, if a result is a NaN.
#[inline(always)]
fn side_by_side(
    s: &mut [u32; 32],
    [d, n, m]: [usize; 3],
    [n_step, m_step]: [usize; 2],
    op: impl Fn(f32, f32) -> f32,
) -> bool {
    let (Some(a), Some(b)) = (operands(s, n, n_step), operands(s, m, m_step)) else {
        return false;
    };
    let results: [f32; RUN_WIDTH] = std::array::from_fn(|i| op(a[i], b[i]));
    if results.iter().fold(false, |any, r| any | r.is_nan()) {
        return false;
    }
    match s.get_mut(d..).and_then(|to| to.first_chunk_mut()) {
        Some(to) => *to = results.map(f32::to_bits),
        None => return false,
    }
    true
}

/// The operations of two registers. (Rust's float to integer casts saturate and turn NaN into 0, as VCVT does.)
pub(crate) fn fp2(op: Fp2, d: u32, m: u32) -> u32 {
    match op {
        Fp2::Mov => m,
        Fp2::Abs => m & !SIGN,
        Fp2::Neg => m ^ SIGN,
        Fp2::Sqrt => sqrt(m),
        Fp2::ToI32 => f(m) as i32 as u32,
        Fp2::ToU32 => f(m) as u32,
        Fp2::ToI32Nearest => f(m).round_ties_even() as i32 as u32,
        Fp2::ToU32Nearest => f(m).round_ties_even() as u32,
        Fp2::FromI32 => (m as i32 as f32).to_bits(),
        Fp2::FromU32 => (m as f32).to_bits(),
        Fp2::FromHalfBottom => from_half(m & 0xffff),
        Fp2::FromHalfTop => from_half(m >> 16),
        Fp2::ToHalfBottom => (d & 0xffff_0000) | to_half(m),
        Fp2::ToHalfTop => (d & 0xffff) | to_half(m) << 16,
    }
}

/// Half precision to single: exact.
fn from_half(half: u32) -> u32 {
    let sign = (half & 0x8000) << 16;
    let (exponent, fraction) = ((half >> 10) & 31, half & 0x3ff);
    let magnitude = match (exponent, fraction) {
        (31, 0) => 0x7f80_0000,
        (31, _) => 0x7f80_0000 | QUIET | fraction << 13,
        // Zero or denormal: fraction * 2^-24, exact in single precision.
        (0, _) => (fraction as f32 * (1.0 / 16_777_216.0)).to_bits(),
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    sign | magnitude
}

/// Single precision to IEEE half, to nearest, ties to even.
fn to_half(bits: u32) -> u32 {
    let sign = (bits >> 16) & 0x8000;
    let magnitude = bits & !SIGN;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00 | (magnitude >> 13) & 0x1ff;
    }
    // From 2^-14 on the result is normal: drop 13 bits of fraction. Below it is a multiple of 2^-24.
    let rounded = if magnitude >= 0x3880_0000 {
        let rebased = magnitude - (112 << 23);
        (rebased + 0xfff + ((rebased >> 13) & 1)) >> 13
    } else {
        (f(magnitude) * 16_777_216.0).round_ties_even() as u32
    };
    sign | rounded.min(0x7c00)
}

/// VCVT between single and fixed point, toward zero into fixed and to nearest out of it. In `f64` the scaling is exact.
pub(crate) fn fixed(format: Fixed, d: u32) -> u32 {
    let scale = f64::from(2.0f32.powi(format.fraction_bits.into()));
    if format.to_fixed {
        let scaled = f64::from(f(d)) * scale;
        match (format.half, format.unsigned) {
            (false, false) => scaled as i32 as u32,
            (false, true) => scaled as u32,
            (true, false) => i32::from(scaled as i16) as u32,
            (true, true) => u32::from(scaled as u16),
        }
    } else {
        let value = match (format.half, format.unsigned) {
            (false, false) => f64::from(d as i32),
            (false, true) => f64::from(d),
            (true, false) => f64::from(d as i16),
            (true, true) => f64::from(d as u16),
        };
        ((value / scale) as f32).to_bits()
    }
}

/// N, Z, C, V of a comparison, in bits 31 to 28.
#[inline(always)]
pub(crate) fn compare(a: u32, b: u32) -> u32 {
    let (a, b) = (f(a), f(b));
    if a < b {
        0x8000_0000
    } else if a == b {
        0x6000_0000
    } else if a > b {
        0x2000_0000
    } else {
        0x3000_0000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nans_follow_the_arm_rules() {
        let (snan, qnan, inf, one) = (0x7f80_0001, 0xffc0_1234, 0x7f80_0000, 0x3f80_0000);
        assert_eq!(add(inf, inf | SIGN), DEFAULT_NAN);
        assert_eq!(mul(0, inf), DEFAULT_NAN);
        assert_eq!(div(0, 0), DEFAULT_NAN);
        assert_eq!(sqrt(one | SIGN), DEFAULT_NAN);
        assert_eq!(
            add(qnan, snan),
            snan | QUIET,
            "a signalling NaN goes before a quiet one"
        );
        assert_eq!(add(one, qnan), qnan);
        assert_eq!(sub(qnan, 0x7fc0_0001), qnan, "the first of two quiet NaNs");
        assert_eq!(
            fma(qnan, 0, inf),
            DEFAULT_NAN,
            "infinity times zero goes before a quiet addend"
        );
        assert_eq!(fma(snan, 0, inf), snan | QUIET);
        assert_eq!(fma(one, qnan, snan), snan | QUIET);
        assert_eq!(
            fp3(Fp3::Fms, one, qnan, one),
            qnan ^ SIGN,
            "VFMS negates its first factor, a NaN too"
        );
        assert_eq!(fp3(Fp3::Nmul, 0, 0, inf), DEFAULT_NAN ^ SIGN);
        assert_eq!(sqrt(SIGN), SIGN);
    }

    #[test]
    fn multiply_accumulate_rounds_once_or_twice() {
        // (1 + 2^-12)^2 - 1: the bottom bit of the product is lost when it is rounded first.
        let (x, minus_one) = ((1.0f32 + 1.0 / 4096.0).to_bits(), (-1.0f32).to_bits());
        assert_eq!(f(fma(minus_one, x, x)), 2.0 / 4096.0 + 1.0 / 16_777_216.0);
        assert_eq!(f(fp3(Fp3::Mla, minus_one, x, x)), 2.0 / 4096.0);
    }

    #[test]
    fn half_precision_round_trips() {
        for half in 0..=0xffffu32 {
            let single = from_half(half);
            let quiet = if half & 0x7c00 == 0x7c00 && half & 0x3ff != 0 {
                half | 0x200
            } else {
                half
            };
            assert_eq!(to_half(single), quiet, "{half:#06x}");
        }
        assert_eq!(to_half(65520.0f32.to_bits()), 0x7c00);
        assert_eq!(to_half(65519.9f32.to_bits()), 0x7bff);
        assert_eq!(to_half(2.0f32.powi(-25).to_bits()), 0, "a tie goes to even");
        assert_eq!(to_half((2.0f32.powi(-25) * 1.5).to_bits()), 1);
        assert_eq!(to_half(1.000_976_6f32.to_bits()), 0x3c01);
    }

    #[test]
    fn conversions_saturate() {
        let to = |op, x: f32| fp2(op, 0, x.to_bits());
        assert_eq!(to(Fp2::ToI32, 3e9), 0x7fff_ffff);
        assert_eq!(to(Fp2::ToI32, -3e9), 0x8000_0000);
        assert_eq!(to(Fp2::ToI32, -1.9), -1i32 as u32);
        assert_eq!(to(Fp2::ToU32, -1.0), 0);
        assert_eq!(to(Fp2::ToU32, f32::NAN), 0);
        assert_eq!(to(Fp2::ToI32Nearest, 2.5), 2);
        assert_eq!(to(Fp2::ToI32Nearest, 3.5), 4);
        let q = |unsigned, half, x: f32| {
            fixed(
                Fixed {
                    to_fixed: true,
                    unsigned,
                    half,
                    fraction_bits: 15,
                },
                x.to_bits(),
            )
        };
        assert_eq!(q(false, false, -1.5), -49152i32 as u32);
        assert_eq!(q(false, true, 1.0), 0x7fff);
        assert_eq!(q(false, true, -2.0), 0xffff_8000);
        assert_eq!(q(true, true, 9.0), 0xffff);
        assert_eq!(
            fixed(
                Fixed {
                    to_fixed: false,
                    unsigned: true,
                    half: false,
                    fraction_bits: 32
                },
                0x8000_0000
            ),
            0.5f32.to_bits()
        );
        assert_eq!(
            fixed(
                Fixed {
                    to_fixed: false,
                    unsigned: false,
                    half: true,
                    fraction_bits: 0
                },
                0x1234_ffff
            ),
            (-1.0f32).to_bits()
        );
    }
}

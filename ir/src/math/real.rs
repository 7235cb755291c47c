//! The numbers that the interpreter can compute with.
//!
//! Programs mean what they mean in `f32`. In `f64` the same statements run with smaller roundings, which is
//! what derivatives are checked in. `exp` and `ln` of `f64` are those of the crate `libm`, so that they do not
//! differ from platform to platform either.

use std::fmt::Debug;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A binary floating point number of IEEE 754, in which every operation rounds once to nearest even.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
{
    /// The distance from 1 to the next larger number.
    const EPSILON: Self;
    /// Steps that a fitted root needs ([`super::root`]).
    const FITTED_STEPS: usize;
    /// Minus infinity.
    const NEG_INFINITY: Self;

    /// The nearest number.
    fn from_f64(x: f64) -> Self;
    /// The number, which every type has.
    fn from_f32(x: f32) -> Self;
    /// The number as `f64`, which has it.
    fn to_f64(self) -> f64;
    /// `self * a + b`, rounded once.
    #[must_use]
    fn mul_add(self, a: Self, b: Self) -> Self;
    /// Square root, correctly rounded.
    #[must_use]
    fn sqrt(self) -> Self;
    /// Exponential.
    #[must_use]
    fn exp(self) -> Self;
    /// Natural logarithm.
    #[must_use]
    fn ln(self) -> Self;
    /// Without its sign.
    #[must_use]
    fn abs(self) -> Self;
}

macro_rules! real {
    ($type:ident, $exp:path, $ln:path, $rounded:expr, $steps:literal) => {
        impl Real for $type {
            const EPSILON: Self = $type::EPSILON;
            const FITTED_STEPS: usize = $steps;
            const NEG_INFINITY: Self = $type::NEG_INFINITY;

            fn from_f64(x: f64) -> Self {
                $rounded(x)
            }
            fn from_f32(x: f32) -> Self {
                Self::from(x)
            }
            fn to_f64(self) -> f64 {
                f64::from(self)
            }
            fn mul_add(self, a: Self, b: Self) -> Self {
                $type::mul_add(self, a, b)
            }
            fn sqrt(self) -> Self {
                $type::sqrt(self)
            }
            fn exp(self) -> Self {
                $exp(self)
            }
            fn ln(self) -> Self {
                $ln(self)
            }
            fn abs(self) -> Self {
                $type::abs(self)
            }
        }
    };
}

#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
const fn rounded(x: f64) -> f32 {
    x as f32
}

real!(f32, super::exp, super::ln, rounded, 1);
real!(f64, libm::exp, libm::log, std::convert::identity, 2);

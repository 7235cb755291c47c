//! Scalars as pairs of `f32`: a number is the unevaluated sum of a *high* and a *low* part.
//!
//! A pair carries some 48 bits. That is short of the `f64` in which PyTorch keeps its scalars, and enough
//! to give them rounded to `f32` over a long run.

use nirc_ir::event::{Array, ArrayKind, Value};

use super::Builder;
use crate::lower::body::BodyBuilder;

/// A number as an unevaluated sum of two `f32`.
#[derive(Clone, Copy)]
pub(super) struct Pair {
    pub(super) high: Value,
    pub(super) low: Value,
}

/// A pair that is kept from step to step.
pub(super) struct PairArray {
    pub(super) high: Array,
    pub(super) low: Array,
}

impl Builder {
    /// A pair that begins with `init`.
    pub(super) fn pair_counter(&mut self, name: &str, init: f64) -> PairArray {
        let (high, low) = split(init);
        PairArray {
            high: self.array(name, ArrayKind::Counter { init: high }),
            low: self.array(&format!("{name}.low"), ArrayKind::Counter { init: low }),
        }
    }

    /// A constant pair.
    pub(super) fn pair_coef(
        &mut self,
        b: &mut BodyBuilder,
        name: &str,
        formula: &str,
        value: f64,
    ) -> Pair {
        let (high, low) = split(value);
        let high = self.coef(&format!("{name}.high"), formula, f64::from(high));
        let low = self.coef(
            &format!("{name}.low"),
            "what f32 leaves of it",
            f64::from(low),
        );
        Pair {
            high: b.coef(high),
            low: b.coef(low),
        }
    }
}

/// `value` as the nearest `f32` and the nearest `f32` of what is left.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
fn split(value: f64) -> (f32, f32) {
    let high = value as f32;
    (high, (value - f64::from(high)) as f32)
}

/// The value of a kept pair.
pub(super) fn load(b: &mut BodyBuilder, pair: &PairArray) -> Pair {
    Pair {
        high: b.load(pair.high),
        low: b.load(pair.low),
    }
}

/// Keeps a value.
pub(super) fn store(b: &mut BodyBuilder, pair: &PairArray, value: Pair) {
    b.store(pair.high, value.high);
    b.store(pair.low, value.low);
}

/// A number of one part.
pub(super) fn single(b: &mut BodyBuilder, high: Value) -> Pair {
    let low = b.constant(0.0);
    Pair { high, low }
}

/// `cond ? x : y`.
pub(super) fn select(b: &mut BodyBuilder, cond: Value, x: Pair, y: Pair) -> Pair {
    Pair {
        high: b.select(cond, x.high, y.high),
        low: b.select(cond, x.low, y.low),
    }
}

/// The sum `high + low` of an unnormalised pair with `|high| >= |low|`.
fn renormalise(b: &mut BodyBuilder, high: Value, low: Value) -> Pair {
    let sum = b.add(high, low);
    let kept = b.sub(sum, high);
    let rest = b.sub(low, kept);
    Pair {
        high: sum,
        low: rest,
    }
}

/// `-x`.
pub(super) fn neg(b: &mut BodyBuilder, x: Pair) -> Pair {
    Pair {
        high: b.neg(x.high),
        low: b.neg(x.low),
    }
}

/// Dekker's product, with the error of the high product from one fma.
pub(super) fn mul(b: &mut BodyBuilder, x: Pair, y: Pair) -> Pair {
    let product = b.mul(x.high, y.high);
    let minus = b.neg(product);
    let error = b.fma(x.high, y.high, minus);
    let error = b.fma(x.high, y.low, error);
    let error = b.fma(x.low, y.high, error);
    renormalise(b, product, error)
}

/// Knuth's exact sum of the high parts, plus the low parts.
pub(super) fn add(b: &mut BodyBuilder, x: Pair, y: Pair) -> Pair {
    let sum = b.add(x.high, y.high);
    let z = b.sub(sum, x.high);
    let x_part = b.sub(sum, z);
    let x_rest = b.sub(x.high, x_part);
    let y_rest = b.sub(y.high, z);
    let error = b.add(x_rest, y_rest);
    let low = b.add(x.low, y.low);
    let error = b.add(error, low);
    renormalise(b, sum, error)
}

/// The quotient, corrected once by its remainder.
pub(super) fn div(b: &mut BodyBuilder, x: Pair, y: Pair) -> Value {
    let quotient = b.div(x.high, y.high);
    let minus = b.neg(quotient);
    let rest = b.fma(minus, y.high, x.high);
    let rest = b.add(rest, x.low);
    let rest = b.fma(minus, y.low, rest);
    let correction = b.div(rest, y.high);
    b.add(quotient, correction)
}

/// The square root, corrected once by its remainder.
pub(super) fn sqrt(b: &mut BodyBuilder, x: Pair) -> Value {
    let root = b.sqrt(x.high);
    let minus = b.neg(root);
    let rest = b.fma(minus, root, x.high);
    let rest = b.add(rest, x.low);
    let twice = b.add(root, root);
    let correction = b.div(rest, twice);
    b.add(root, correction)
}

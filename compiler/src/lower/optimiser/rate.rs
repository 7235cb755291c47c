//! The learning rate of each batch.
//!
//! The rate is a pair ([`super::pairs`]), made anew for every batch from what the last one left:
//! * a decay multiplies it by a constant, after every batch or after every so many;
//! * a cosine is the square of another, `(1 + cos x) / 2 = cos^2 (x/2)`, which has no cancellation where
//!   the rate comes close to its end. The point `(cos, sin)` of the half angle turns by the same angle
//!   each batch (Singleton's recurrence: what is added is small, so its error is too);
//! * a warm-up counts batches, and holds all of this back until it is over.

use std::f64::consts::FRAC_PI_2;

use nirc_ir::event::{Array, ArrayKind, Cmp, Value};

use super::Builder;
use super::pairs::{self, Pair, PairArray};
use crate::lower::body::BodyBuilder;
use crate::options::{Optimiser, Schedule};

/// A warm-up at work.
struct WarmUp {
    /// Whether it is not over yet.
    holds: Value,
    /// The rate while it lasts.
    rate: Pair,
}

impl Builder {
    /// The rate of this batch; what it takes for the next one is stored.
    pub(super) fn rate(&mut self, b: &mut BodyBuilder, optimiser: &Optimiser) -> Pair {
        let initial = optimiser.learning_rate;
        let warm_up = optimiser
            .warm_up
            .map(|batches| self.warm_up(b, initial, batches.get()));
        let holds = warm_up.as_ref().map(|w| w.holds);
        let now = match optimiser.schedule {
            Schedule::Constant => {
                let rate = self.pair_counter("rate", initial);
                pairs::load(b, &rate)
            }
            Schedule::Exponential { factor } => self.exponential(b, holds, initial, factor),
            Schedule::Step { batches, factor } => {
                self.steps(b, holds, initial, batches.get(), factor)
            }
            Schedule::Cosine { batches, last } => {
                self.cosine(b, holds, initial, f64::from(batches.get()), last)
            }
        };
        match warm_up {
            Some(WarmUp { holds, rate }) => pairs::select(b, holds, rate, now),
            None => now,
        }
    }

    /// `rate n / N` in batch `n` of `N`, counted from 1.
    fn warm_up(&mut self, b: &mut BodyBuilder, rate: f64, batches: u32) -> WarmUp {
        let counter = self.array("warm_up", ArrayKind::Counter { init: 0.0 });
        let step = rate / f64::from(batches);
        let step = self.pair_coef(b, "warm_up", "learning rate / batches of the warm-up", step);
        let all = self.coef("batches", "batches of the warm-up", f64::from(batches));
        let past = b.load(counter);
        let all = b.coef(all);
        let holds = b.cmp(Cmp::Lt, past, all);
        let one = b.constant(1.0);
        let number = b.add(past, one);
        let kept = b.select(holds, number, past);
        b.store(counter, kept);
        let number = pairs::single(b, number);
        WarmUp {
            holds,
            rate: pairs::mul(b, step, number),
        }
    }

    /// A factor after every batch.
    fn exponential(
        &mut self,
        b: &mut BodyBuilder,
        holds: Option<Value>,
        initial: f64,
        factor: f64,
    ) -> Pair {
        let rate = self.pair_counter("rate", initial);
        let now = pairs::load(b, &rate);
        let gamma = self.pair_coef(b, "gamma", "learning-rate decay per batch", factor);
        let next = pairs::mul(b, now, gamma);
        keep_pair(b, holds, &rate, now, next);
        now
    }

    /// A factor after every so many batches.
    fn steps(
        &mut self,
        b: &mut BodyBuilder,
        holds: Option<Value>,
        initial: f64,
        batches: u32,
        factor: f64,
    ) -> Pair {
        let rate = self.pair_counter("rate", initial);
        let counter = self.array("since", ArrayKind::Counter { init: 0.0 });
        let now = pairs::load(b, &rate);
        let since = b.load(counter);
        let one = b.constant(1.0);
        let more = b.add(since, one);
        let size = self.coef("step_size", "batches between decays", f64::from(batches));
        let size = b.coef(size);
        let due = b.cmp(Cmp::Ge, more, size);
        let zero = b.constant(0.0);
        let next = b.select(due, zero, more);
        keep(b, holds, counter, since, next);
        let gamma = self.pair_coef(b, "gamma", "learning-rate decay", factor);
        let lower = pairs::mul(b, now, gamma);
        let next = pairs::select(b, due, lower, now);
        keep_pair(b, holds, &rate, now, next);
        now
    }

    /// From the initial rate to `last` along half a period of a cosine.
    fn cosine(
        &mut self,
        b: &mut BodyBuilder,
        holds: Option<Value>,
        initial: f64,
        batches: f64,
        last: f64,
    ) -> Pair {
        let cosine = self.pair_counter("cos", 1.0);
        let sine = self.pair_counter("sin", 0.0);
        let turn = FRAC_PI_2 / batches;
        let alpha = 2.0 * (turn / 2.0).sin().powi(2);
        let alpha = self.pair_coef(b, "alpha", "1 - cos(pi / 2 batches)", alpha);
        let beta = self.pair_coef(b, "beta", "sin(pi / 2 batches)", turn.sin());
        let (c, s) = (pairs::load(b, &cosine), pairs::load(b, &sine));
        let (ac, bs) = (pairs::mul(b, alpha, c), pairs::mul(b, beta, s));
        let down = pairs::add(b, ac, bs);
        let next = difference(b, c, down);
        keep_pair(b, holds, &cosine, c, next);
        let (a_s, bc) = (pairs::mul(b, alpha, s), pairs::mul(b, beta, c));
        let up = difference(b, bc, a_s);
        let next = pairs::add(b, s, up);
        keep_pair(b, holds, &sine, s, next);
        let square = pairs::mul(b, c, c);
        let range = self.pair_coef(b, "range", "first - last learning rate", initial - last);
        let above = pairs::mul(b, range, square);
        if last == 0.0 {
            return above;
        }
        let last = self.pair_coef(b, "last", "last learning rate", last);
        pairs::add(b, last, above)
    }
}

fn difference(b: &mut BodyBuilder, x: Pair, y: Pair) -> Pair {
    let minus = pairs::neg(b, y);
    pairs::add(b, x, minus)
}

/// Keeps `next`, unless something holds it back.
fn keep(b: &mut BodyBuilder, holds: Option<Value>, array: Array, now: Value, next: Value) {
    let next = match holds {
        Some(holds) => b.select(holds, now, next),
        None => next,
    };
    b.store(array, next);
}

fn keep_pair(b: &mut BodyBuilder, holds: Option<Value>, pair: &PairArray, now: Pair, next: Pair) {
    keep(b, holds, pair.high, now.high, next.high);
    keep(b, holds, pair.low, now.low, next.low);
}

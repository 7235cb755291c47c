//! A score of each output's voltage, under cross entropy.
//!
//! | score | `s_n` | error of `v_n(t)` |
//! |---|---|---|
//! | max | `max_t v_n(t)` | `e_n` in the first tick of the maximum |
//! | sum | `sum_t v_n(t)` | `e_n` |
//! | average | `1/T sum_t exp(-t/tau) v_n(t)` | `e_n exp(-t/tau) / T` |
//! | final | `v_n(T-1)` | `e_n` in the last tick |
//!
//! with `e_n = (p_n - delta_ny) / B`, `p = softmax(s)`; the weight of the average is 1 without a `tau`. (The
//! losses that Nowotny, Turner and Knight shape, arXiv 2212.01232.)
//!
//! With exact event times the neurons make the score, of which the sums over ticks are integrals in bins, and emit
//! it; the error of what arrives is `e_n`.

use nirc_ir::event::{Array, ArrayKind, Cmp, Domain, Fold, HandlerKind, Outgoing, Value};

use super::{Builder, FAR_BELOW, is_label, mean_over};
use crate::lower::body::BodyBuilder;
use crate::options::{Options, Score};

impl Builder {
    pub(super) fn score_loss(&mut self, score: Score, options: &Options) {
        if self.exact {
            return self.taken(options);
        }
        let init = if score == Score::Max { FAR_BELOW } else { 0.0 };
        let scores = self.state("score", init);
        match score {
            Score::Max => self.maximum(scores, options),
            _ => self.weighted(scores, score, options),
        }
    }

    /// The score as it arrives.
    fn taken(&mut self, options: &Options) {
        let scores = self.state("score", 0.0);
        let mut b = BodyBuilder::new();
        let score = b.payload();
        b.store(scores, score);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);
        let Some(error) = self.cross_entropy(scores, options) else {
            return;
        };
        let mut b = BodyBuilder::new();
        let error = b.load(error);
        b.send(Outgoing::Value(error));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    /// The maximum, and the tick that it was in.
    fn maximum(&mut self, scores: Array, options: &Options) {
        let when = self.state("when", 0.0);
        let mut b = BodyBuilder::new();
        let v = b.payload();
        let best = b.load(scores);
        let higher = b.cmp(Cmp::Gt, v, best);
        let new = b.select(higher, v, best);
        b.store(scores, new);
        let (tick, old) = (b.tick(), b.load(when));
        let tick = b.select(higher, tick, old);
        b.store(when, tick);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);
        let error = self.cross_entropy(scores, options);
        let Some(error) = error else { return };
        let mut b = BodyBuilder::new();
        let (tick, when) = (b.tick(), b.load(when));
        let then = b.cmp(Cmp::Eq, tick, when);
        let (error, zero) = (b.load(error), b.constant(0.0));
        let sent = b.select(then, error, zero);
        b.send(Outgoing::Value(sent));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    /// `score = score + c(t) v`.
    fn weighted(&mut self, scores: Array, score: Score, options: &Options) {
        let mut b = BodyBuilder::new();
        let v = b.payload();
        let weight = self.weight(&mut b, score, options);
        let old = b.load(scores);
        let new = match weight {
            Some(weight) => b.fma(weight, v, old),
            None => b.add(old, v),
        };
        b.store(scores, new);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);
        let error = self.cross_entropy(scores, options);
        let Some(error) = error else { return };
        let mut b = BodyBuilder::new();
        let error = b.load(error);
        let sent = match self.weight(&mut b, score, options) {
            Some(weight) => b.mul(error, weight),
            None => error,
        };
        b.send(Outgoing::Value(sent));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    /// `c(t)`, where it is not 1.
    fn weight(&mut self, b: &mut BodyBuilder, score: Score, options: &Options) -> Option<Value> {
        match score {
            Score::Max | Score::Sum => None,
            Score::Average { tau } => {
                let share =
                    self.coef_once("1/T", "mean over the ticks", 1.0 / f64::from(options.ticks));
                let share = b.coef(share);
                let Some(tau) = tau else { return Some(share) };
                let rate = self.coef_once("-1/tau", "how fast weights fall, 1/bins", -1.0 / tau);
                let (tick, rate) = (b.tick(), b.coef(rate));
                let exponent = b.mul(tick, rate);
                let weight = b.exp(exponent);
                Some(b.mul(weight, share))
            }
            Score::Final => {
                let last = b.constant((options.ticks - 1) as f32);
                let tick = b.tick();
                let is_last = b.cmp(Cmp::Eq, tick, last);
                let (one, zero) = (b.constant(1.0), b.constant(0.0));
                Some(b.select(is_last, one, zero))
            }
        }
    }

    /// Cross entropy of `softmax(scores)`; the error of each score, where there is a way back.
    pub(super) fn cross_entropy(&mut self, scores: Array, options: &Options) -> Option<Array> {
        let label = self.array("label", ArrayKind::Label);
        let shifted = self.state("shifted", 0.0);
        let [largest, sum, log_sum, of_label] =
            ["largest", "sum", "log_sum", "shifted_label"].map(|name| self.scalar(name));
        let mut b = BodyBuilder::new();
        let score = b.load(scores);
        b.reduce(largest, Fold::Max(score));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);

        let mut b = BodyBuilder::new();
        let (score, most) = (b.load(scores), b.load(largest));
        let d = b.sub(score, most);
        b.store(shifted, d);
        let e = b.exp(d);
        b.reduce(sum, Fold::Add(e));
        let is_label_lane = is_label(&mut b, label);
        let zero = b.constant(0.0);
        let d = b.select(is_label_lane, d, zero);
        b.reduce(of_label, Fold::Add(d));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);

        let [entropy, loss] = ["cross_entropy", "loss"].map(|name| self.scalar(name));
        let mut b = BodyBuilder::new();
        let total = b.load(sum);
        let log = b.ln(total);
        b.store(log_sum, log);
        let d = b.load(of_label);
        let value = b.sub(log, d);
        b.store(entropy, value);
        b.store(loss, value);
        self.handler(HandlerKind::Turn, Domain::Scalar, b);

        options.adjoint.then(|| {
            let error = self.state("error", 0.0);
            let share = self.coef("1/B", "mean over the batch", mean_over(options));
            let mut b = BodyBuilder::new();
            let (d, log) = (b.load(shifted), b.load(log_sum));
            let log_p = b.sub(d, log);
            let p = b.exp(log_p);
            let is_label_lane = is_label(&mut b, label);
            let share = b.coef(share);
            let (minus, zero) = (b.neg(share), b.constant(0.0));
            let target = b.select(is_label_lane, minus, zero);
            let e = b.fma(p, share, target);
            b.store(error, e);
            self.handler(HandlerKind::Turn, Domain::Lanes, b);
            error
        })
    }
}

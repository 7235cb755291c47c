//! First spike times: under cross entropy, or under a mean square of their distance from target times.
//!
//! With `t_n` the first spike of output `n` in bins (`T` where silent), `y` the label and `B` the batch
//! size, the cross entropy of a sample is `-ln p_y + alpha (exp(t_y / beta) - 1)`, `p = softmax(-t / xi)`, and
//! the error of output `n` is `((delta_ny - p_n) / xi + delta_ny alpha / beta exp(t_y / beta)) / B`.
//! With targets `s_n`, the mean square is `sum_n (t_n - s_n)^2 / N`, and the error `2 (t_n - s_n) / (N B)`.
//! Errors are sent for the first spike of each output only, and not from the last bin.
//!
//! The order of operations of the cross entropy is the one that PyTorch's autograd takes, found by comparing
//! with recorded gradients: the softmax is the exponential of its logarithm, `p = exp(d - ln S)` with
//! `d = x - max x` and `S = sum exp d`; then `q = p / B - delta / B` and `-(q / xi)`; dividing by `xi` and by
//! `beta`, not multiplying with reciprocals.

use nirc_ir::event::{Array, ArrayKind, Cmp, Coef, Domain, Fold, HandlerKind, Outgoing, Value};

use super::{Builder, FAR_BELOW, is_label, mean_over};
use crate::lower::body::BodyBuilder;
use crate::options::Options;

/// Time scales in bins.
pub(super) struct Scales {
    pub(super) xi: f64,
    pub(super) alpha: f64,
    pub(super) beta: f64,
    /// Whether silent outputs enter the softmax with `t = T`.
    pub(super) silent_counts: bool,
}

impl Builder {
    /// `first = min(first, bin)` of the output that spiked.
    pub(super) fn first_spike(&mut self, ticks: u32) -> Array {
        #[expect(clippy::cast_precision_loss, reason = "bins are below 2^16")]
        let first = self.state("first_spike", ticks as f32);
        let mut b = BodyBuilder::new();
        let bin = b.op(self.time());
        let old = b.load(first);
        let earlier = b.cmp(Cmp::Lt, bin, old);
        let new = b.select(earlier, bin, old);
        b.store(first, new);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);
        first
    }

    /// Cross entropy.
    pub(super) fn first_spike_loss(&mut self, first: Array, options: &Options, scales: &Scales) {
        let terms = Terms {
            first,
            label: self.array("label", ArrayKind::Label),
            shifted: self.state("shifted", 0.0),
            error: self.state("error", 0.0),
            largest: self.scalar("largest"),
            sum: self.scalar("sum"),
            log_sum: self.scalar("log_sum"),
            t_label: self.scalar("t_label"),
            x_label: self.scalar("x_label"),
            pull: self.scalar("pull"),
        };
        let xi = self.coef("xi", "softmax scale, bins", scales.xi);
        let beta = self.coef("beta", "scale of the early-spike term, bins", scales.beta);
        let alpha = self.coef("alpha", "weight of the early-spike term", scales.alpha);
        self.scores(&terms, xi, scales.silent_counts, options.ticks);
        self.exponentials(&terms, scales.silent_counts, options.ticks);
        self.value(&terms, alpha, beta);
        if options.adjoint {
            self.first_spike_errors(&terms, xi, beta, scales.alpha, options);
            self.first_spike_message(terms.first, terms.error);
        }
    }

    /// `x = -t / xi` and its maximum.
    fn scores(&mut self, terms: &Terms, xi: Coef, silent_counts: bool, ticks: u32) {
        let mut b = BodyBuilder::new();
        let t = b.load(terms.first);
        let minus = b.neg(t);
        let xi = b.coef(xi);
        let mut x = b.div(minus, xi);
        if !silent_counts {
            let spiked = spiked(&mut b, t, ticks);
            let far = b.constant(FAR_BELOW);
            x = b.select(spiked, x, far);
        }
        b.store(terms.shifted, x);
        b.reduce(terms.largest, Fold::Max(x));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
    }

    /// `d = x - max`, the sum of `exp d`, and the label's `t` and `d`.
    fn exponentials(&mut self, terms: &Terms, silent_counts: bool, ticks: u32) {
        let mut b = BodyBuilder::new();
        let x = b.load(terms.shifted);
        let largest = b.load(terms.largest);
        let shifted = b.sub(x, largest);
        let mut e = b.exp(shifted);
        let t = b.load(terms.first);
        if !silent_counts {
            let spiked = spiked(&mut b, t, ticks);
            let zero = b.constant(0.0);
            e = b.select(spiked, e, zero);
        }
        b.store(terms.shifted, shifted);
        b.reduce(terms.sum, Fold::Add(e));
        let is_label = is_label(&mut b, terms.label);
        let zero = b.constant(0.0);
        let t = b.select(is_label, t, zero);
        b.reduce(terms.t_label, Fold::Add(t));
        let d = b.select(is_label, shifted, zero);
        b.reduce(terms.x_label, Fold::Add(d));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
    }

    /// Cross entropy `ln S - d_y`, early-spike term, loss.
    fn value(&mut self, terms: &Terms, alpha: Coef, beta: Coef) {
        let cross_entropy = self.scalar("cross_entropy");
        let loss = self.scalar("loss");
        let mut b = BodyBuilder::new();
        let sum = b.load(terms.sum);
        let log = b.ln(sum);
        b.store(terms.log_sum, log);
        let d = b.load(terms.x_label);
        let ce = b.sub(log, d);
        b.store(cross_entropy, ce);
        let t = b.load(terms.t_label);
        let beta = b.coef(beta);
        let late = b.div(t, beta);
        let pull = b.exp(late);
        b.store(terms.pull, pull);
        let one = b.constant(1.0);
        let excess = b.sub(pull, one);
        let alpha = b.coef(alpha);
        let early = b.mul(alpha, excess);
        let total = b.add(ce, early);
        b.store(loss, total);
        self.handler(HandlerKind::Turn, Domain::Scalar, b);
    }

    /// Errors by output, with the mean over the batch.
    fn first_spike_errors(
        &mut self,
        terms: &Terms,
        xi: Coef,
        beta: Coef,
        alpha: f64,
        options: &Options,
    ) {
        let mean = mean_over(options);
        let share = self.coef("1/B", "mean over the batch", mean);
        // The product of the two rounded factors, as the autograd of `alpha * mean(...)` has it.
        #[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
        let weight = f64::from(alpha as f32 * mean as f32);
        let weight = self.coef("alpha/B", "weight of the early-spike term", weight);
        let mut b = BodyBuilder::new();
        let d = b.load(terms.shifted);
        let log = b.load(terms.log_sum);
        let log_p = b.sub(d, log);
        let p = b.exp(log_p);
        let is_label = is_label(&mut b, terms.label);
        let share = b.coef(share);
        let minus = b.neg(share);
        let zero = b.constant(0.0);
        let target = b.select(is_label, minus, zero);
        let q = b.fma(p, share, target);
        let xi = b.coef(xi);
        let q = b.div(q, xi);
        let error = b.neg(q);
        let pull = b.load(terms.pull);
        let weight = b.coef(weight);
        let pull = b.mul(weight, pull);
        let beta = b.coef(beta);
        let pull = b.div(pull, beta);
        let pulled = b.add(error, pull);
        let error = b.select(is_label, pulled, error);
        b.store(terms.error, error);
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
    }

    /// The error goes to the first spike of an output; later ones get 0.
    fn first_spike_message(&mut self, first: Array, error: Array) {
        let mut b = BodyBuilder::new();
        let bin = b.op(self.time());
        let first = b.load(first);
        let is_first = b.cmp(Cmp::Eq, bin, first);
        let error = b.load(error);
        let zero = b.constant(0.0);
        let sent = b.select(is_first, error, zero);
        b.send(Outgoing::Value(sent));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    /// Mean square of the distance from target times: `hit` for the label, `miss` for the others, in bins.
    pub(super) fn target_times(&mut self, first: Array, options: &Options, hit: f64, miss: f64) {
        let label = self.array("label", ArrayKind::Label);
        let error = self.state("error", 0.0);
        let loss = self.scalar("loss");
        let share = 1.0 / self.process.lanes as f64;
        let mean = self.coef("1/N", "mean over the outputs", share);
        let hit = self.coef("hit", "target of the label, bins", hit);
        let miss = self.coef("miss", "target of the others, bins", miss);
        let rate = mean_over(options) * 2.0 * share;
        let rate = self.coef("2/(N B)", "slope of the mean square", rate);
        let mut b = BodyBuilder::new();
        let t = b.load(first);
        let is_label = is_label(&mut b, label);
        let (hit, miss) = (b.coef(hit), b.coef(miss));
        let target = b.select(is_label, hit, miss);
        let late = b.sub(t, target);
        let mean = b.coef(mean);
        let part = b.mul(late, mean);
        b.reduce(loss, Fold::Fma(late, part));
        let rate = b.coef(rate);
        let step = b.mul(late, rate);
        b.store(error, step);
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
        if options.adjoint {
            self.first_spike_message(first, error);
        }
    }
}

/// The arrays of the first-spike loss.
struct Terms {
    first: Array,
    label: Array,
    shifted: Array,
    error: Array,
    largest: Array,
    sum: Array,
    log_sum: Array,
    t_label: Array,
    x_label: Array,
    pull: Array,
}

fn spiked(b: &mut BodyBuilder, t: Value, ticks: u32) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^16")]
    let silent = b.constant(ticks as f32);
    b.cmp(Cmp::Lt, t, silent)
}

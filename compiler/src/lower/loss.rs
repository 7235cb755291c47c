//! The loss process: first spike times, the loss, and the errors that go back.
//!
//! With `t_n` the first spike of output `n` in bins (`T` where silent), `y` the label and `B` the batch
//! size, the loss of a sample is `-ln p_y + alpha (exp(t_y / beta) - 1)`, `p = softmax(-t / xi)`, and
//! the error of output `n` is `((delta_ny - p_n) / xi + delta_ny alpha / beta exp(t_y / beta)) / B`.
//! It is sent for the first spike of each output only, and not from the last bin.
//!
//! The order of operations is the one that PyTorch's autograd takes, found by comparing with recorded
//! gradients: the softmax is the exponential of its logarithm, `p = exp(d - ln S)` with `d = x - max x`
//! and `S = sum exp d`; then `q = p / B - delta / B` and `-(q / xi)`; dividing by `xi` and by `beta`,
//! not multiplying with reciprocals.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coef, Coefficient, CoefficientValue, Domain, Fold,
    Handler, HandlerKind, Op, Outgoing, Output, Process, Role, Row, Value,
};

use super::body::BodyBuilder;
use crate::options::{Loss, Options};

/// The loss process behind the channel `chan`.
pub(super) fn process(
    loss: &Loss,
    options: &Options,
    dt: f64,
    lanes: usize,
    chan: Chan,
) -> Process {
    let mut builder = Builder {
        process: Process {
            name: "loss".to_owned(),
            role: Role::Loss,
            lanes,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: None,
            handlers: Vec::new(),
        },
        chan,
    };
    let first = builder.first_spike(options.ticks);
    match *loss {
        Loss::FirstSpike { xi, alpha, beta } => {
            let scales = Scales {
                xi,
                alpha,
                beta,
                silent_counts: true,
            };
            builder.first_spike_loss(first, options, &scales);
        }
        Loss::FirstSpikeSeconds {
            tau_0,
            alpha,
            tau_1,
        } => {
            let scales = Scales {
                xi: tau_0 / dt,
                alpha,
                beta: tau_1 / dt,
                silent_counts: false,
            };
            builder.first_spike_loss(first, options, &scales);
        }
        Loss::Given => {
            if options.adjoint {
                builder.given();
            }
        }
    }
    builder.process
}

/// Time scales in bins.
struct Scales {
    xi: f64,
    alpha: f64,
    beta: f64,
    /// Whether silent outputs enter the softmax with `t = T`.
    silent_counts: bool,
}

struct Builder {
    process: Process,
    chan: Chan,
}

/// A stand-in for minus infinity whose differences stay finite.
const FAR_BELOW: f32 = -1e30;

impl Builder {
    fn array(&mut self, name: &str, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl {
            name: name.to_owned(),
            kind,
        })
    }

    fn state(&mut self, name: &str, init: f32) -> Array {
        self.array(name, ArrayKind::State { init })
    }

    fn scalar(&mut self, name: &str) -> Array {
        self.array(name, ArrayKind::Scalar { init: 0.0 })
    }

    fn coef(&mut self, name: &str, formula: &str, value: f64) -> Coef {
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: formula.to_owned(),
            value: CoefficientValue::Uniform(value),
        })
    }

    fn handler(&mut self, kind: HandlerKind, domain: Domain, body: BodyBuilder) {
        self.process.handlers.push(Handler {
            kind,
            domain,
            body: body.finish(),
        });
    }

    /// `first = min(first, bin)` of the output that spiked.
    fn first_spike(&mut self, ticks: u32) -> Array {
        #[expect(clippy::cast_precision_loss, reason = "bins are below 2^16")]
        let first = self.state("first_spike", ticks as f32);
        let mut b = BodyBuilder::new();
        let bin = b.op(Op::Tick);
        let old = b.load(first);
        let earlier = b.cmp(Cmp::Lt, bin, old);
        let new = b.select(earlier, bin, old);
        b.store(first, new);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);
        first
    }

    fn first_spike_loss(&mut self, first: Array, options: &Options, scales: &Scales) {
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
            self.errors(&terms, xi, beta, scales.alpha, options.batch);
            self.message(&terms);
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
    fn errors(&mut self, terms: &Terms, xi: Coef, beta: Coef, alpha: f64, batch: usize) {
        #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
        let mean = 1.0 / batch as f64;
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
    fn message(&mut self, terms: &Terms) {
        let mut b = BodyBuilder::new();
        let bin = b.op(Op::Tick);
        let first = b.load(terms.first);
        let is_first = b.cmp(Cmp::Eq, bin, first);
        let error = b.load(terms.error);
        let zero = b.constant(0.0);
        let sent = b.select(is_first, error, zero);
        b.send(Outgoing::Value(sent));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    /// The error of each spike stands in the sample.
    fn given(&mut self) {
        let given = self.array("given_error", ArrayKind::GivenError);
        let mut b = BodyBuilder::new();
        let error = b.load_row(given, Row::Tick);
        b.send(Outgoing::Value(error));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
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

fn is_label(b: &mut BodyBuilder, label: Array) -> Value {
    let lane = b.op(Op::Lane);
    let label = b.load(label);
    b.cmp(Cmp::Eq, lane, label)
}

fn spiked(b: &mut BodyBuilder, t: Value, ticks: u32) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^16")]
    let silent = b.constant(ticks as f32);
    b.cmp(Cmp::Lt, t, silent)
}

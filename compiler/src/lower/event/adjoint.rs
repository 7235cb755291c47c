//! Adjoint handlers: EventProp with exact times (Wunderlich & Pehle, Sci. Rep. 11:12829, 2021).
//!
//! The adjoint of a state that does not change between events does not change either. With
//! `lp = dL/dp` and `lq = dL/dq`, in the same frame, the chain rule through each event is
//!
//! | event, forward | backward |
//! |---|---|
//! | arrival at `t`: `p += w a(t)`, `q += w b(t)` | `dL/dw += a lp + b lq`; `dL/dt = w (a' lp + b' lq)` |
//! | spike at `p x(t) - q y(t) = threshold`, `U -= J` | `s = (J mu - tau e) / (tau dU/dt)`; `lp += s x`, `lq -= s y` |
//! | window of `W`: `p x(W)`, `q y(W)` | `lp x(W)`, `lq y(W)` |
//! | beginning: `p = p0 + p1 bias` | `dL/dbias += p1 lp + q1 lq` |
//!
//! with `e` the errors of the spike, `mu = dL/dU` after it (`lp / x` where the membrane is the slow one, else
//! `-lq / y`), and `J` the height of the reset in units of `tau dU/dt`: of the membrane's own time constant `J`
//! itself. That is `dj = (lV + g) / (tau dV/dt)`, `l += dj x`, `b -= kb dj y` of the frozen frame, with
//! `l = tau lp`. A bias moves the threshold against the voltage, so each spike adds `s` times what a bias of 1 moves.
//!
//! A spike that only just reached the threshold has an adjoint without bound, true for tiny changes alone;
//! `tau dU/dt` is taken as no less than a guard.

use nirc_ir::event::{Array, ArrayKind, Cmp, Domain, Fold, HandlerKind, Op, Outgoing, Value};

use super::builder::{At, Builder};
use super::flow::Shape;
use crate::lower::BodyBuilder;

/// What is differentiated by.
pub(super) struct Wanted<'a> {
    /// By input: the tensor's gradient, if it is trained, and whether errors go back.
    pub(super) inputs: &'a [(bool, bool)],
    /// By bias.
    pub(super) biases: &'a [bool],
    /// Least `tau dU/dt`, in thresholds above the reset.
    pub(super) guard: f64,
    /// Number of windows, where the last one ends, and the whole sample.
    pub(super) horizon: (u32, u32, u32),
}

/// What a spike adds to the adjoint: `s` where somebody asks for it, `s x` to `lp`, and `-s y` to `lq`.
struct Step {
    s: Option<Value>,
    of_p: Value,
    of_q: Value,
}

impl Step {
    fn at(b: &mut BodyBuilder, sum: Value, slope: Value, at: At) -> Self {
        let s = b.div(sum, slope);
        Self {
            s: Some(s),
            of_p: b.mul(s, at.x),
            of_q: b.mul(s, at.y),
        }
    }
}

impl Builder<'_> {
    pub(super) fn adjoint(&mut self, wanted: &Wanted<'_>) {
        let state = ArrayKind::State { init: 0.0 };
        let lambda = ["lambda_p", "lambda_q"].map(|name| self.array(name.to_owned(), state));
        for at in 0..self.inputs.len() {
            if let Some(delays) = self.inputs[at].delays {
                self.gradient_of(delays);
            }
        }
        let mut biases = Vec::new();
        for (at, trained) in wanted.biases.iter().enumerate() {
            if *trained {
                biases.push(self.gradient_of(self.biases[at]));
            }
        }
        let kicked = self.flow.is_kicked();
        let due = (kicked && self.read.is_none()).then(|| self.array("due".to_owned(), state));
        match due {
            _ if self.read.is_some() => {}
            Some(due) => self.spike_kicked(lambda, due, &biases, wanted.guard),
            None => self.spike(lambda, &biases, wanted.guard),
        }
        if let Some(body) = self.take_error(lambda, &biases, wanted.horizon) {
            self.push(HandlerKind::Value, Domain::Lanes, body);
        }
        if let Some(body) = self.wake(lambda, &biases) {
            self.push(HandlerKind::Turn, Domain::Lanes, body);
        }
        for (at, (trained, back)) in wanted.inputs.iter().enumerate() {
            match *back {
                true if kicked => self.message_kicked(lambda, due, at),
                true => self.message(lambda, at),
                false => {}
            }
            let settles = due.filter(|_| !*back);
            if *trained || settles.is_some() {
                self.gradient(lambda, at, *trained, settles);
            }
        }
        self.end(lambda, &biases);
    }

    fn gradient_of(&mut self, array: Array) -> Array {
        let decl = &self.process.arrays[array];
        let name = format!("{}.gradient", decl.name);
        let kind = match decl.kind {
            ArrayKind::Param(tensor) => ArrayKind::Gradient(tensor),
            other => other,
        };
        self.array(name, kind)
    }

    fn spike(&mut self, lambda: [Array; 2], biases: &[Array], guard: f64) {
        let mut b = BodyBuilder::new();
        let flow = self.flow;
        let time = b.op(Op::Time);
        let at = self.at_spike(&mut b, time);
        let [lp, lq] = lambda.map(|array| b.load(array));
        let tau = self.slope_time();
        let tau = self.coef(
            &mut b,
            "slope_time",
            "time that slopes are taken by, bins",
            &tau,
        );
        let error = b.payload();
        let pull = b.mul(tau, error);
        let slope = b.op(Op::Field(0));
        let slope = self.guarded(&mut b, slope, guard);
        let jump = self.flow.jump.clone();
        let Step { s, of_p, of_q } = match flow.curve {
            Shape::Pair {
                membrane_slow: true,
                ..
            }
            | Shape::Equal => {
                // mu = lp / x, and s is asked for as s x.
                let height = self.times(&mut b, lp, ("jump", "height of the reset"), &jump);
                let pull = b.mul(pull, at.x);
                let sum = b.sub(height, pull);
                let of_p = b.div(sum, slope);
                let share = self.y_over_x(&mut b, at);
                let of_q = b.mul(of_p, share);
                let s = (!biases.is_empty()).then(|| b.div(of_p, at.x));
                Step { s, of_p, of_q }
            }
            Shape::Pair { .. } => {
                let unit = self.ratio().map(|ratio| -ratio);
                let jump = jump.zip(&unit, |jump, unit| jump * unit);
                let mu = b.div(lq, at.y);
                let mu = self.times(&mut b, mu, ("jump", "height of the reset"), &jump);
                let sum = b.sub(mu, pull);
                Step::at(&mut b, sum, slope, at)
            }
            Shape::Integrating | Shape::Kicked { .. } => {
                let sum = b.neg(pull);
                Step::at(&mut b, sum, slope, at)
            }
        };
        let (lp, lq) = (b.add(lp, of_p), b.sub(lq, of_q));
        let [lp, lq] = match self.push_at_spike(&mut b) {
            Some(g) => self.pushed(&mut b, [lp, lq], at, g, biases),
            None => [lp, lq],
        };
        b.store(lambda[0], lp);
        b.store(lambda[1], lq);
        if let Some(s) = s.filter(|_| !biases.is_empty()) {
            let step = self.times(
                &mut b,
                s,
                ("threshold.bias", "what a bias of 1 moves it by"),
                &flow.bias,
            );
            add_to(&mut b, biases, step);
        }
        self.push(HandlerKind::Spike, Domain::Lane, b);
    }

    /// A slope, no less than the guard.
    pub(super) fn guarded(&mut self, b: &mut BodyBuilder, slope: Value, guard: f64) -> Value {
        let least = self.flow.jump.map(|jump| jump * guard);
        let least = self.coef(b, "guard", "least slope at a spike", &least);
        let steep = b.cmp(Cmp::Gt, slope, least);
        b.select(steep, slope, least)
    }

    /// Derivative by the time of an arrival: `sum_n w_n (a' lp + b' lq)_n`.
    fn message(&mut self, lambda: [Array; 2], at: usize) {
        let mut b = BodyBuilder::new();
        let time = b.op(Op::Time);
        let (kick_p, Some(kick_q)) = self.kicks(&mut b, time) else {
            return;
        };
        let [lp, lq] = self.before_peak(&mut b, time, lambda);
        let flow = self.flow;
        let slow = flow.slow.map(|tau| 1.0 / tau);
        let fast = flow.fast.map(|tau| 1.0 / tau);
        let fast_name = ("fast", "1 / time constant of y, bins");
        let slow_name = ("slow", "1 / time constant of x, bins");
        let of_q = b.mul(kick_q, lq);
        let of_q = self.times(&mut b, of_q, fast_name, &fast);
        let change = match flow.curve {
            Shape::Integrating | Shape::Kicked { .. } => of_q,
            Shape::Pair { .. } => {
                let of_p = b.mul(kick_p, lp);
                let of_p = self.times(&mut b, of_p, slow_name, &slow);
                b.add(of_p, of_q)
            }
            // a = t b, so that a' = b + a / tau.
            Shape::Equal => {
                let of_p = self.times(&mut b, kick_p, slow_name, &slow);
                let of_p = b.add(of_p, kick_q);
                let of_p = b.mul(of_p, lp);
                b.add(of_p, of_q)
            }
        };
        let change = match self.drive(&mut b, time, true) {
            Some(drive) => b.add(change, drive),
            None => change,
        };
        let input = &self.inputs[at];
        let w = b.load_row(input.weight, input.row);
        let owed = self.paid(&mut b, (time, w), None);
        let fold = match owed {
            None => Fold::Fma(change, w),
            Some(owed) => Fold::Add(b.fma(w, change, owed)),
        };
        b.send(Outgoing::Fold(fold));
        let (chan, domain) = (input.chan, input.domain);
        self.push(HandlerKind::Message(chan), domain, b);
    }

    /// Derivative by the weight, if it is wanted; and what is due to the arrival is settled, if it sends nothing.
    fn gradient(&mut self, lambda: [Array; 2], at: usize, trained: bool, due: Option<Array>) {
        let mut b = BodyBuilder::new();
        if trained {
            let gradient = self.gradient_of(self.inputs[at].weight);
            let time = b.op(Op::Time);
            let (kick_p, kick_q) = self.kicks(&mut b, time);
            let step = match kick_q {
                None => {
                    let [lp] = self.before_peak(&mut b, time, [lambda[0]]);
                    b.mul(kick_p, lp)
                }
                Some(kick_q) => {
                    let [lp, lq] = self.before_peak(&mut b, time, lambda);
                    let (of_p, of_q) = (b.mul(kick_p, lp), b.mul(kick_q, lq));
                    b.add(of_p, of_q)
                }
            };
            let step = match self.drive(&mut b, time, false) {
                Some(drive) => b.add(step, drive),
                None => step,
            };
            let row = self.inputs[at].row;
            let old = b.load_row(gradient, row);
            let new = b.add(old, step);
            b.store_row(gradient, row, new);
        }
        if let Some(due) = due {
            self.settle(&mut b, due);
        }
        let input = &self.inputs[at];
        let (chan, domain) = (input.chan, input.domain);
        self.push(HandlerKind::Gradient(chan), domain, b);
    }

    /// The frame of the window before, and what the beginning owes to biases.
    fn end(&mut self, lambda: [Array; 2], biases: &[Array]) {
        if !self.windows && biases.is_empty() {
            return;
        }
        let mut b = BodyBuilder::new();
        let values = lambda.map(|array| b.load(array));
        let [lp, lq] = self.at_beginning(&mut b, values);
        if !biases.is_empty() {
            let (number, zero) = (b.tick(), b.constant(0.0));
            let first = b.cmp(Cmp::Eq, number, zero);
            let [p, q] = &self.flow.bias_start;
            let name = "what a bias of 1 moves it by";
            let of_p = self.coef(&mut b, "start_p.bias", name, p);
            let of_q = self.coef(&mut b, "start_q.bias", name, q);
            let of_q = b.mul(of_q, lq);
            let step = b.fma(of_p, lp, of_q);
            let step = b.select(first, step, zero);
            add_to(&mut b, biases, step);
        }
        if self.windows {
            let decays = self.window_decays(&mut b);
            let lq = if self.flow.has_time() {
                let w = b.constant(self.window as f32);
                let behind = b.mul(lp, w);
                b.sub(lq, behind)
            } else {
                lq
            };
            let kept = |b: &mut BodyBuilder, value, decay: Option<Value>| match decay {
                Some(decay) => b.mul(value, decay),
                None => value,
            };
            let [x, y] = decays;
            let next = [kept(&mut b, lp, x), kept(&mut b, lq, y)];
            let next = self.at_end(&mut b, next);
            let next = self.peak_back(&mut b, next);
            let moved = self.peak.is_some() || self.read.is_some() || self.flow.has_time();
            for ((array, value), decay) in lambda.into_iter().zip(next).zip(decays) {
                if moved || decay.is_some() {
                    b.store(array, value);
                }
            }
        }
        self.push(HandlerKind::AdjointWindow, Domain::Lanes, b);
    }
}

/// Every bias of a neuron has the same derivative.
pub(super) fn add_to(b: &mut BodyBuilder, gradients: &[Array], step: Value) {
    for gradient in gradients {
        let old = b.load(*gradient);
        let new = b.add(old, step);
        b.store(*gradient, new);
    }
}

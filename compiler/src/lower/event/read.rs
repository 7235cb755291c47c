//! Read-outs: neurons that do not spike, of whose voltage the loss takes a number when the sample has ended.
//!
//! | score | number |
//! |---|---|
//! | max | the largest voltage (`peak`) |
//! | sum | `∫ V dt` |
//! | average | `1/T ∫ exp(-t/tau) V dt` |
//! | final | `V(T)` |
//!
//! with times in bins, so that an integral is what a sum over ticks comes to as these get shorter. Between two
//! events all are closed forms. With the weight `w(t) = exp(-t/tau)` of a window, or 1, and `X(t)`, `Y(t)` the integrals
//! of `x w` and `y w` from `t` on (where these do not end: less a constant),
//!
//! ```text
//! ∫ U w dt from s to t = p (X(s) - X(t)) - q (Y(s) - Y(t))
//! ```
//!
//! An error `e` of it makes the adjoint change in the course of time: `dL/dp = lp + e X(t)`, `dL/dq = lq - e Y(t)`, where
//! `lp`, `lq` do not change. What an arrival adds at `t` adds `w a(t)` and `w b(t)` as elsewhere, so its derivative
//! is more by `e G(t)`, `G = a X - b Y`: of two time constants `c (slow - fast)`, whatever the time, and with
//! weights less than that by `w`. Its derivative by `t` is more by `e G'(t)`.

use nirc_ir::event::{Array, ArrayKind, Domain, HandlerKind, Output, Value};
use nirc_ir::network::Parameter;

use super::builder::{At, Builder};
use super::flow::Shape;
use crate::lower::BodyBuilder;
use crate::options::Score;

/// What is read.
#[derive(Clone, Copy)]
pub(super) struct Read {
    pub(super) score: Array,
    pub(super) of: Of,
}

#[derive(Clone, Copy)]
pub(super) enum Of {
    /// The largest voltage.
    Max,
    /// The last one.
    Final,
    /// An integral with weights.
    Integral(Integral),
}

/// `share` times the integral of `exp(-rate t)`.
#[derive(Clone, Copy)]
pub(super) struct Integral {
    share: f64,
    rate: f64,
    /// What the weight is at the window's beginning.
    weight: Option<Array>,
    /// The errors of the number, and of the integral of the current window.
    errors: Option<[Array; 2]>,
}

impl Builder<'_> {
    /// Makes the process a read-out; `back` as for peaks.
    pub(super) fn read_out(&mut self, score: Score, ticks: u32, back: Option<bool>) {
        let init = ArrayKind::State { init: 0.0 };
        let array = self.array("score".to_owned(), init);
        let share = 1.0 / f64::from(ticks);
        let mut integral = |share: f64, rate: f64| {
            let weighs = rate != 0.0 && self.windows;
            Of::Integral(Integral {
                share,
                rate,
                weight: weighs.then(|| self.array("weight".to_owned(), init)),
                errors: back
                    .map(|_| ["error", "error_now"].map(|name| self.array(name.to_owned(), init))),
            })
        };
        let of = match score {
            Score::Max => {
                self.follow_peak(back);
                Of::Max
            }
            Score::Final => Of::Final,
            Score::Sum => integral(1.0, 0.0),
            Score::Average { tau } => integral(share, tau.map_or(0.0, |tau| 1.0 / tau)),
        };
        self.process.output = Output::State(array);
        self.read = Some(Read { score: array, of });
    }

    fn integral_of(&self) -> Option<Integral> {
        match self.read?.of {
            Of::Integral(integral) => Some(integral),
            Of::Max | Of::Final => None,
        }
    }

    /// Whether something is computed at the beginning of windows.
    pub(super) fn read_begins(&self) -> bool {
        self.integral_of().is_some_and(|i| i.weight.is_some())
    }

    /// The weight at the beginning of the window.
    pub(super) fn read_window(&mut self, b: &mut BodyBuilder) {
        let Some(integral) = self.integral_of() else {
            return;
        };
        if let Some(array) = integral.weight {
            let number = b.tick();
            let weight = self.weight_of_window(b, number, integral);
            b.store(array, weight);
        }
    }

    /// `share exp(-rate k W)`.
    fn weight_of_window(&mut self, b: &mut BodyBuilder, k: Value, integral: Integral) -> Value {
        let rate = Parameter::Uniform(-integral.rate * f64::from(self.window));
        let rate = self.coef(b, "-W/tau_score", "how weights fall in a window", &rate);
        let exponent = b.mul(k, rate);
        let weight = b.exp(exponent);
        let share = Parameter::Uniform(integral.share);
        self.times(b, weight, ("1/T", "mean over the sample"), &share)
    }

    /// The interval between two arrivals, or what is left of a window.
    pub(super) fn read_interval(&mut self, read: Read) {
        let mut b = BodyBuilder::new();
        let state = self.state.map(|array| b.load(array));
        let [start, end] = self.interval(&mut b);
        match read.of {
            Of::Max => {
                self.follow(&mut b, state, start, end);
                if let Some(peak) = self.peak {
                    let u = b.load(peak.highest);
                    let v = self.above_equilibrium(&mut b, u);
                    b.store(read.score, v);
                }
            }
            Of::Final => {
                let u = self.voltage(&mut b, state, end).u;
                let v = self.above_equilibrium(&mut b, u);
                b.store(read.score, v);
            }
            Of::Integral(integral) => self.integrate(&mut b, state, (start, end), integral),
        }
        self.push(HandlerKind::Cross, Domain::Lanes, b);
    }

    /// The equilibrium, where it is not 0.
    fn equilibrium(&mut self, b: &mut BodyBuilder) -> Option<Value> {
        let flow = self.flow;
        let moves = !flow.bias.is(0.0) && !self.biases.is_empty();
        let named = ("rest", "equilibrium");
        (moves || !flow.rest.is(0.0))
            .then(|| self.shifted(b, named, (&flow.rest, &flow.bias), true))
    }

    fn above_equilibrium(&mut self, b: &mut BodyBuilder, u: Value) -> Value {
        match self.equilibrium(b) {
            Some(rest) => b.add(u, rest),
            None => u,
        }
    }

    fn integrate(
        &mut self,
        b: &mut BodyBuilder,
        [p, q]: [Value; 2],
        (start, end): (At, At),
        integral: Integral,
    ) {
        let Some(read) = self.read else { return };
        let from = self.rest_of(b, start, integral);
        let to = self.rest_of(b, end, integral);
        let (x, y) = (b.sub(from[0], to[0]), b.sub(from[1], to[1]));
        let (of_p, of_q) = (b.mul(p, x), b.mul(q, y));
        let mut part = b.sub(of_p, of_q);
        if let Some(rest) = self.equilibrium(b) {
            let (from, to) = (
                self.weights(b, start.time, integral),
                self.weights(b, end.time, integral),
            );
            let weights = b.sub(from, to);
            part = b.fma(rest, weights, part);
        }
        let old = b.load(read.score);
        let new = match integral.weight {
            Some(weight) => {
                let weight = b.load(weight);
                b.fma(part, weight, old)
            }
            None => {
                let share = Parameter::Uniform(integral.share);
                let part = self.times(b, part, ("1/T", "mean over the sample"), &share);
                b.add(old, part)
            }
        };
        b.store(read.score, new);
    }

    /// `exp(-rate t)`, if it falls.
    fn falling(&mut self, b: &mut BodyBuilder, time: Value, integral: Integral) -> Option<Value> {
        (integral.rate != 0.0).then(|| {
            let rate = Parameter::Uniform(-integral.rate);
            let rate = self.coef(b, "-1/tau_score", "how weights fall, 1/bins", &rate);
            let exponent = b.mul(time, rate);
            b.exp(exponent)
        })
    }

    /// The integral of the weights from a time on.
    fn weights(&mut self, b: &mut BodyBuilder, time: Value, integral: Integral) -> Value {
        match self.falling(b, time, integral) {
            None => b.neg(time),
            Some(w) => self.by_tau(b, w, integral),
        }
    }

    fn by_tau(&mut self, b: &mut BodyBuilder, v: Value, integral: Integral) -> Value {
        let tau = Parameter::Uniform(1.0 / integral.rate);
        self.times(b, v, ("tau_score", "time constant of weights, bins"), &tau)
    }

    /// What is left of a time constant under the weights.
    fn lasting(tau: &Parameter, integral: Integral) -> Parameter {
        tau.map(|tau| 1.0 / (1.0 / tau + integral.rate))
    }

    /// `X` and `Y`.
    fn rest_of(&mut self, b: &mut BodyBuilder, at: At, integral: Integral) -> [Value; 2] {
        let flow = self.flow;
        let w = self.falling(b, at.time, integral);
        let weighted = |b: &mut BodyBuilder, v: Value| match w {
            Some(w) => b.mul(v, w),
            None => v,
        };
        let of_x = ("rest_x", "integral of x, bins");
        let of_y = ("rest_y", "integral of y, bins");
        let (slow, fast) = (
            Self::lasting(&flow.slow, integral),
            Self::lasting(&flow.fast, integral),
        );
        // Of what does not decay.
        let constant = |by: &mut Self, b: &mut BodyBuilder| by.weights(b, at.time, integral);
        match flow.curve {
            Shape::Pair { .. } => {
                let (x, y) = (weighted(b, at.x), weighted(b, at.y));
                [self.times(b, x, of_x, &slow), self.times(b, y, of_y, &fast)]
            }
            Shape::Equal => {
                let (x, y) = (weighted(b, at.x), weighted(b, at.y));
                let (x, y) = (self.times(b, x, of_x, &slow), self.times(b, y, of_x, &slow));
                let behind = self.times(b, x, of_x, &slow);
                [x, b.add(y, behind)]
            }
            Shape::Integrating => {
                let y = weighted(b, at.y);
                [constant(self, b), self.times(b, y, of_y, &fast)]
            }
            Shape::Kicked { leaks: true } => {
                let x = weighted(b, at.x);
                [self.times(b, x, of_x, &slow), constant(self, b)]
            }
            Shape::Kicked { leaks: false } => {
                let x = constant(self, b);
                let y = match w {
                    None => {
                        let half = b.constant(-0.5);
                        let square = b.mul(at.time, at.time);
                        b.mul(square, half)
                    }
                    // (t + tau) tau w.
                    Some(_) => {
                        let tau = Parameter::Uniform(1.0 / integral.rate);
                        let name = "time constant of weights, bins";
                        let tau = self.coef(b, "tau_score", name, &tau);
                        let later = b.add(at.time, tau);
                        b.mul(later, x)
                    }
                };
                [x, y]
            }
        }
    }

    /// `e G(t)` and `e G'(t)`, where an arrival is differentiated by.
    pub(super) fn drive(
        &mut self,
        b: &mut BodyBuilder,
        time: Value,
        by_time: bool,
    ) -> Option<Value> {
        let integral = self.integral_of()?;
        let error = b.load(integral.errors?[1]);
        let flow = self.flow;
        let (slow, fast) = (
            Self::lasting(&flow.slow, integral),
            Self::lasting(&flow.fast, integral),
        );
        let endless = integral.rate == 0.0;
        let tau = Parameter::Uniform(if endless { 0.0 } else { 1.0 / integral.rate });
        let minus_fast = fast.map(|fast| -fast);
        // What is behind the weight, and whether the time itself counts.
        let (height, grows) = match flow.curve {
            Shape::Pair { .. } => (slow.zip(&fast, |slow, fast| slow - fast), false),
            Shape::Equal => (slow.map(|slow| slow * slow), false),
            Shape::Integrating => (minus_fast.zip(&tau, |fast, tau| fast + tau), endless),
            Shape::Kicked { leaks: true } => (slow, false),
            Shape::Kicked { leaks: false } => (tau, endless),
        };
        let height = flow.kick.zip(&height, |kick, height| kick * height);
        if by_time {
            if endless {
                return grows.then(|| {
                    let minus = flow.kick.map(|kick| -kick);
                    let kick =
                        self.coef(b, "-kick", "what an input of 1 takes a bin later", &minus);
                    b.mul(error, kick)
                });
            }
            let height = height.map(|height| -height * integral.rate);
            let formula = "how an input's integral falls, 1/bins";
            let height = self.coef(b, "drive_fall", formula, &height);
            let w = self.falling(b, time, integral)?;
            let fall = b.mul(height, w);
            return Some(b.mul(error, fall));
        }
        let formula = "integral of an input of 1, bins";
        let height = self.coef(b, "drive", formula, &height);
        let whole = match self.falling(b, time, integral) {
            Some(w) => b.mul(height, w),
            None if grows => {
                let kick = flow.kick.clone();
                let name = "what an input of 1 adds, at the window's beginning";
                let kick = self.coef(b, "kick", name, &kick);
                let late = b.mul(kick, time);
                b.sub(height, late)
            }
            None => height,
        };
        Some(b.mul(error, whole))
    }

    /// Takes the error of the number that was read.
    pub(super) fn take_error(
        &mut self,
        lambda: [Array; 2],
        biases: &[Array],
        (windows, rest, ticks): (u32, u32, u32),
    ) -> Option<BodyBuilder> {
        let read = self.read?;
        let mut b = BodyBuilder::new();
        let error = b.payload();
        let end = b.constant(rest as f32);
        let zero = b.constant(0.0);
        let next = match read.of {
            Of::Max => {
                self.push_at_peak(&mut b, (lambda, biases), error, None);
                return Some(b);
            }
            Of::Final => {
                let at = self.at(&mut b, end);
                self.pushed(&mut b, [zero, zero], at, error, biases)
            }
            Of::Integral(integral) => {
                let [whole, now] = integral.errors?;
                b.store(whole, error);
                let last = f64::from(windows - 1) * f64::from(self.window);
                let share = integral.share * (-integral.rate * last).exp();
                let named = ("share", "weight at the last window's beginning");
                let error_now = self.times(&mut b, error, named, &Parameter::Uniform(share));
                b.store(now, error_now);
                if !biases.is_empty() && !self.flow.bias.is(0.0) {
                    let t = f64::from(ticks);
                    let weights = match integral.rate {
                        0.0 => t,
                        rate => -(-rate * t).exp_m1() / rate,
                    };
                    let sum = Parameter::Uniform(integral.share * weights);
                    let of_rest =
                        self.times(&mut b, error, ("weights", "sum of all weights"), &sum);
                    self.push_equilibrium(&mut b, of_rest, biases);
                }
                let at = self.at(&mut b, end);
                self.behind(&mut b, [zero, zero], at, error_now, integral)
            }
        };
        for (array, next) in lambda.into_iter().zip(next) {
            b.store(array, next);
        }
        Some(b)
    }

    /// `lp - e X`, `lq + e Y`.
    fn behind(
        &mut self,
        b: &mut BodyBuilder,
        [lp, lq]: [Value; 2],
        at: At,
        error: Value,
        integral: Integral,
    ) -> [Value; 2] {
        let [x, y] = self.rest_of(b, at, integral);
        let (of_p, of_q) = (b.mul(error, x), b.mul(error, y));
        [b.sub(lp, of_p), b.add(lq, of_q)]
    }

    /// The adjoint at a window's beginning, with all that is integrated in it.
    pub(super) fn at_beginning(&mut self, b: &mut BodyBuilder, lambda: [Value; 2]) -> [Value; 2] {
        let integral = self.integral_of();
        let Some((integral, [_, now])) = integral.and_then(|i| Some((i, i.errors?))) else {
            return lambda;
        };
        let (time, error) = (b.constant(0.0), b.load(now));
        let at = self.at(b, time);
        let minus = b.neg(error);
        self.behind(b, lambda, at, minus, integral)
    }

    /// The adjoint at the end of the window before the one that was gone through.
    pub(super) fn at_end(&mut self, b: &mut BodyBuilder, lambda: [Value; 2]) -> [Value; 2] {
        let integral = self.integral_of();
        let Some((integral, [whole, now])) = integral.and_then(|i| Some((i, i.errors?))) else {
            return lambda;
        };
        let mut error = b.load(now);
        if integral.rate != 0.0 {
            let (number, one) = (b.tick(), b.constant(1.0));
            let before = b.sub(number, one);
            let weight = self.weight_of_window(b, before, integral);
            let e = b.load(whole);
            error = b.mul(e, weight);
            b.store(now, error);
        }
        let end = b.constant(self.window as f32);
        let at = self.at(b, end);
        self.behind(b, lambda, at, error, integral)
    }
}

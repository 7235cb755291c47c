//! Neurons without a synapse: an arrival moves the voltage at once, and may itself cross the threshold.
//!
//! Such a spike happens when the arrival does. Its time moves with the arrival's alone, not with weights or with
//! what the voltage was before: so the error of the spike goes on to the arrival, and what came before it has
//! none, since the voltage is forgotten in the reset. The tape has a slope of 0 for it, which a voltage that crosses
//! by a constant input never has. (Of several simultaneous arrivals it is the last that reaches the neuron, in the
//! order in which they are taken.) With `U' = dU/dt` after the spike and `mu = lp / x`,
//!
//! ```text
//! due = e - mu U',     lp = 0,     lq = lq + mu y          U = v_reset = p x - q y, whatever p was
//! ```
//!
//! and the arrival sends `due` on top of its own derivative.

use nirc_ir::event::{Array, Cmp, Domain, Fold, HandlerKind, Op, Outgoing, Value};

use super::builder::{At, Builder, within};
use super::flow::Shape;
use crate::lower::BodyBuilder;

impl Builder<'_> {
    /// Where the voltage is above the threshold already, at the beginning of the interval; else where a constant
    /// input takes it there.
    pub(super) fn cross_kicked(&mut self) {
        let mut b = BodyBuilder::new();
        let state = self.state.map(|array| b.load(array));
        let flow = self.flow;
        let threshold = self.coef(&mut b, "threshold", "v_threshold", &flow.threshold);
        let [start, end] = self.interval(&mut b);
        self.follow(&mut b, state, start, end);
        let first = self.voltage(&mut b, state, start);
        let last = self.voltage(&mut b, state, end);
        let over = b.cmp(Cmp::Ge, first.u, threshold);
        let highest = b.select(over, first.u, last.u);
        let low = b.cmp(Cmp::Lt, highest, threshold);
        b.skip(low);
        let crosses = b.cmp(Cmp::Ge, highest, threshold);
        let later = self.crossing(&mut b, state, threshold, (start, end));
        let pairs = [
            (start.time, later.time),
            (start.x, later.x),
            (start.y, later.y),
        ];
        let [time, x, y] = pairs.map(|(now, later)| match now == later {
            true => now,
            false => b.select(over, now, later),
        });
        self.fire(&mut b, state, crosses, At { time, x, y }, Some(over));
        self.push(HandlerKind::Cross, Domain::Lanes, b);
    }

    /// Where `p x = threshold + q`, or `p - q t = threshold`.
    fn crossing(
        &mut self,
        b: &mut BodyBuilder,
        [p, q]: [Value; 2],
        threshold: Value,
        (start, end): (At, At),
    ) -> At {
        if self.flow.curve == (Shape::Kicked { leaks: true }) {
            let height = b.add(threshold, q);
            let x = b.div(height, p);
            let x = within(b, x, end.x, start.x);
            let minus = self.flow.slow.map(|tau| -tau);
            let minus = self.coef(b, "-tau_x", "-time constant, bins", &minus);
            let log = b.ln(x);
            let time = b.mul(log, minus);
            return At {
                time,
                x,
                y: start.y,
            };
        }
        let below = b.sub(p, threshold);
        let time = b.div(below, q);
        let time = within(b, time, start.time, end.time);
        At {
            time,
            x: start.x,
            y: time,
        }
    }

    /// The adjoint of an own spike, whose cause the slope tells.
    pub(super) fn spike_kicked(
        &mut self,
        lambda: [Array; 2],
        due: Array,
        biases: &[Array],
        guard: f64,
    ) {
        let mut b = BodyBuilder::new();
        let flow = self.flow;
        let time = b.op(Op::Time);
        let at = self.at(&mut b, time);
        let [lp, lq] = lambda.map(|array| b.load(array));
        let q = b.load(self.state[1]);
        let leaks = flow.curve == (Shape::Kicked { leaks: true });
        let mu = if leaks { b.div(lp, at.x) } else { lp };
        let error = b.payload();
        let (slope, zero) = (b.op(Op::Field(0)), b.constant(0.0));
        let jumped = b.cmp(Cmp::Eq, slope, zero);

        // By an arrival. With a leak, U' is -(v_reset + q) / tau, else -q.
        let v_reset = self.coef(&mut b, "v_reset", "v_reset", &flow.v_reset);
        let falls = if leaks {
            let above = b.add(v_reset, q);
            let slow = ("slow", "1 / time constant of x, bins");
            self.times(&mut b, above, slow, &flow.slow.map(|tau| 1.0 / tau))
        } else {
            q
        };
        let owed = b.fma(mu, falls, error);
        let of_q = b.mul(mu, at.y);
        let lq_jumped = b.add(lq, of_q);

        // By a constant input, as other neurons.
        let tau = self.slope_time();
        let pull = self.times(
            &mut b,
            error,
            ("slope_time", "time that slopes are taken by, bins"),
            &tau,
        );
        let sum = if leaks {
            let mu = self.times(&mut b, mu, ("jump", "height of the reset"), &flow.jump);
            b.sub(mu, pull)
        } else {
            b.neg(pull)
        };
        let slope = self.guarded(&mut b, slope, guard);
        let s = b.div(sum, slope);
        let (of_p, of_q) = (b.mul(s, at.x), b.mul(s, at.y));
        let (lp, lq) = (b.add(lp, of_p), b.sub(lq, of_q));

        let lp = b.select(jumped, zero, lp);
        let lq = b.select(jumped, lq_jumped, lq);
        let [lp, lq] = match self.push_at_spike(&mut b) {
            Some(g) => self.pushed(&mut b, [lp, lq], at, g, biases),
            None => [lp, lq],
        };
        let owed = b.select(jumped, owed, zero);
        b.store(lambda[0], lp);
        b.store(lambda[1], lq);
        b.store(due, owed);
        self.push(HandlerKind::Spike, Domain::Lane, b);
    }

    /// Derivative by the time of an arrival, with what is due to it.
    pub(super) fn message_kicked(&mut self, lambda: [Array; 2], due: Option<Array>, at: usize) {
        let mut b = BodyBuilder::new();
        let mut change = None;
        let leaks = self.flow.curve == (Shape::Kicked { leaks: true });
        let timed = leaks || self.peak.is_some() || self.read.is_some();
        let time = timed.then(|| b.op(Op::Time));
        if let Some(time) = time.filter(|_| leaks) {
            let (kick, _) = self.kicks(&mut b, time);
            let [lp] = self.before_peak(&mut b, time, [lambda[0]]);
            let of_p = b.mul(kick, lp);
            let slow = ("slow", "1 / time constant of x, bins");
            let rate = self.flow.slow.map(|tau| 1.0 / tau);
            change = Some(self.times(&mut b, of_p, slow, &rate));
        }
        if let Some(drive) = time.and_then(|time| self.drive(&mut b, time, true)) {
            change = Some(match change {
                Some(change) => b.add(change, drive),
                None => drive,
            });
        }
        let mut owed = due.map(|due| {
            let owed = b.load(due);
            self.settle(&mut b, due);
            owed
        });
        let input = &self.inputs[at];
        let mut w = None;
        if let Some(time) = time.filter(|_| self.peak.is_some()) {
            let weight = b.load_row(input.weight, input.row);
            owed = self.paid(&mut b, (time, weight), owed);
            w = Some(weight);
        }
        let sum = match (change, owed) {
            (None, Some(owed)) => owed,
            (None, None) => b.constant(0.0),
            (Some(change), owed) => {
                let w = w.unwrap_or_else(|| b.load_row(input.weight, input.row));
                match owed {
                    Some(owed) => b.fma(w, change, owed),
                    None => b.mul(w, change),
                }
            }
        };
        b.send(Outgoing::Fold(Fold::Add(sum)));
        let (chan, domain) = (input.chan, input.domain);
        self.push(HandlerKind::Message(chan), domain, b);
    }

    /// What is due to an arrival that sends nothing is nobody's.
    pub(super) fn settle(&self, b: &mut BodyBuilder, due: Array) {
        let zero = b.constant(0.0);
        b.store(due, zero);
    }
}

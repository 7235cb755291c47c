//! Where a voltage is highest, and what pushes it there.
//!
//! Between two events the voltage has its maximum at the end, at the beginning (of neurons without a synapse, which
//! arrivals move at once), or where its slope passes through 0: at `x^(n-1) = p / (n q)` with the ratio `n` of
//! the time constants, and at `t = tau + p / q` where they are equal. `Cross` keeps the largest of a sample,
//! with its time, how many windows ago that was, and the slope of the voltage there.
//!
//! A push `g = dL/dV` at that time `t` is `lp += g x(t)`, `lq -= g y(t)`. Nothing else moves a neuron that does
//! not spike, so that its adjoint is this alone, for everything that arrived before; what comes later, and is gone
//! through earlier, takes 0 in its place. The time of a maximum in between does not count, since the slope is 0
//! there. A maximum that an arrival cuts off moves with that arrival: `g dV/dt` is owed to it. Of several at once it is
//! the one that has a weight here; two that have would make a kink. One at the border of two windows is the later one's, in
//! which that arrival is.
//!
//! What numbers of spikes cost ([`Push`]) pushes a silent neuron at its peak, and others at each of their own spikes,
//! by the slope of the cost over the batch size. That is the push of programs of ticks, `lambda += -s / (tau B)`,
//! since an error `e` of a voltage is `lambda -= e / tau` there: the same strength means the same.

use nirc_ir::event::{Array, ArrayKind, Cmp, Value};
use nirc_ir::network::Parameter;

use super::adjoint::add_to;
use super::builder::{At, Builder, within};
use super::flow::Shape;
use crate::adjoint::{Costs, Push, label};
use crate::lower::BodyBuilder;

/// Stands for the end of all times.
const FAR: f32 = f32::MAX;
/// Before all times.
const NEVER: f32 = -1.0;

/// What is kept of a voltage's maximum.
#[derive(Clone, Copy)]
pub(super) struct Peak {
    /// How high it was, above the equilibrium.
    pub(super) highest: Array,
    /// When, in its window.
    time: Array,
    /// The way back, of programs that go there.
    back: Option<Back>,
}

#[derive(Clone, Copy)]
struct Back {
    /// What arrived before this moved it.
    bound: Array,
    /// Windows since, and the push, which waits for them.
    windows: Option<(Array, Array)>,
    /// The slope, and what is owed to the arrival; where an error is sent to any.
    owed: Option<(Array, Array)>,
}

/// What the number of spikes costs.
pub(super) struct Pushes<'a> {
    pub(super) pushes: &'a [Push],
    pub(super) batch: usize,
    pub(super) count: Array,
    label: Option<Array>,
}

impl<'a> Builder<'a> {
    /// Follows the voltage; `back` says whether the program goes backwards, and sends errors to arrivals.
    pub(super) fn follow_peak(&mut self, back: Option<bool>) {
        let begins = if self.flow.starts() || !self.biases.is_empty() || self.flow.is_kicked() {
            f32::MIN
        } else {
            0.0
        };
        let highest = self.state("highest", begins);
        let time = self.state("peak", 0.0);
        let back = back.map(|sends| Back {
            bound: match self.flow.is_kicked() {
                true => self.state("peak_until", 0.0),
                false => time,
            },
            windows: self
                .windows
                .then(|| (self.state("peak_ago", 0.0), self.state("push", 0.0))),
            owed: sends.then(|| (self.state("peak_slope", 0.0), self.state("owed", 0.0))),
        });
        self.peak = Some(Peak {
            highest,
            time,
            back,
        });
    }

    /// Counts spikes, for what their number costs; follows the voltage where that pushes silent neurons.
    pub(super) fn push_spikes(&mut self, pushes: &'a [Push], batch: usize, sends: bool) {
        let count = self.state("count", 0.0);
        if pushes.iter().any(Push::wakes) {
            self.follow_peak(Some(sends));
        }
        self.pushes = Some(Pushes {
            pushes,
            batch,
            count,
            label: label(&mut self.process, pushes),
        });
    }

    fn state(&mut self, name: &str, init: f32) -> Array {
        self.array(name.to_owned(), ArrayKind::State { init })
    }

    /// Whether the beginning of a sample says more of a peak than what states are initialised with.
    pub(super) fn peak_begins(&self) -> bool {
        let begins = self.flow.starts() || !self.biases.is_empty();
        self.peak.is_some() && (self.windows || begins)
    }

    /// In a window's beginning: the voltage at the sample's, and a window more since the peak. `first` says whether it is
    /// the first window, where the sample does not begin with zeros.
    pub(super) fn peak_window(&mut self, b: &mut BodyBuilder, begins: Option<(Value, [Value; 2])>) {
        let Some(peak) = self.peak else { return };
        if let Some((first, [p, q])) = begins {
            // x = 1; y = 1, or 0 where it is a time.
            let u = if self.flow.has_time() { p } else { b.sub(p, q) };
            let old = b.load(peak.highest);
            let highest = b.select(first, u, old);
            b.store(peak.highest, highest);
        }
        let Some(back) = peak.back else { return };
        if let Some((ago, _)) = back.windows {
            let (old, one) = (b.load(ago), b.constant(1.0));
            let mut more = b.add(old, one);
            if let Some((first, _)) = begins {
                // The sample's beginning is in the first window.
                let zero = b.constant(0.0);
                more = b.select(first, zero, more);
            }
            b.store(ago, more);
            if back.owed.is_some() {
                self.peak_at_border(b, (peak.time, back.bound, ago));
            }
        }
    }

    /// A peak at the end of the window before lies at the beginning of this one: what arrives there cuts it off.
    fn peak_at_border(&self, b: &mut BodyBuilder, (time, bound, ago): (Array, Array, Array)) {
        let (end, one, zero) = (
            b.constant(self.window as f32),
            b.constant(1.0),
            b.constant(0.0),
        );
        let (at, windows) = (b.load(time), b.load(ago));
        // In other windows than the last one it is at no end.
        let last = b.cmp(Cmp::Eq, windows, one);
        let at_end = b.cmp(Cmp::Eq, at, end);
        let mut begin = |array: Array| {
            let old = b.load(array);
            let new = b.select(at_end, zero, old);
            let new = b.select(last, new, old);
            b.store(array, new);
        };
        begin(ago);
        if bound != time {
            begin(bound);
        }
        begin(time);
    }

    /// Takes the maximum of an interval, if it is higher than those before.
    pub(super) fn follow(&mut self, b: &mut BodyBuilder, state: [Value; 2], start: At, end: At) {
        let Some(peak) = self.peak else { return };
        let last = self.voltage(b, state, end);
        let slope = b.op(last.slope);
        let zero = b.constant(0.0);
        let first = self.voltage(b, state, start);
        let (u, time, slope) = if self.flow.is_kicked() {
            let rises = b.cmp(Cmp::Gt, last.u, first.u);
            let slope_first = b.op(first.slope);
            (
                b.select(rises, last.u, first.u),
                b.select(rises, end.time, start.time),
                b.select(rises, slope, slope_first),
            )
        } else if self.flow.curve == Shape::Integrating {
            (last.u, end.time, slope)
        } else {
            let rose = b.op(first.slope);
            let within = self.summit(b, state, start, end);
            let inside = self.voltage(b, state, within);
            let falls = b.cmp(Cmp::Lt, slope, zero);
            let rises = b.cmp(Cmp::Gt, rose, zero);
            let mut inner = |inside: Value, outside: Value| {
                let at_end = b.select(falls, inside, outside);
                b.select(rises, at_end, outside)
            };
            (
                inner(inside.u, last.u),
                inner(within.time, end.time),
                inner(zero, slope),
            )
        };
        let old = b.load(peak.highest);
        let higher = b.cmp(Cmp::Gt, u, old);
        let mut keep = |array: Array, new: Value| {
            let old = b.load(array);
            let new = b.select(higher, new, old);
            b.store(array, new);
        };
        keep(peak.time, time);
        if let Some(back) = peak.back {
            if back.bound != peak.time {
                keep(back.bound, end.time);
            }
            if let Some((ago, _)) = back.windows {
                keep(ago, zero);
            }
            if let Some((steep, _)) = back.owed {
                keep(steep, slope);
            }
        }
        let highest = b.select(higher, u, old);
        b.store(peak.highest, highest);
    }

    /// Where the slope is 0, within the interval.
    fn summit(&mut self, b: &mut BodyBuilder, [p, q]: [Value; 2], start: At, end: At) -> At {
        let time = if self.flow.curve == Shape::Equal {
            let tau = self.flow.slow.clone();
            let tau = self.coef(b, "tau", "time constant, bins", &tau);
            let since = b.div(p, q);
            b.add(since, tau)
        } else {
            let ratio = self.ratio();
            let inverse = ratio.map(|n| 1.0 / n);
            let power = b.div(p, q);
            let power = self.times(b, power, ("1/ratio", "1 / ratio"), &inverse);
            let log = b.ln(power);
            let rate = self.flow.slow.zip(&ratio, |slow, n| slow / (1.0 - n));
            let formula = "time constant of x / (1 - ratio), bins";
            let rate = self.coef(b, "summit", formula, &rate);
            b.mul(log, rate)
        };
        let time = within(b, time, start.time, end.time);
        self.at(b, time)
    }

    /// Counts a spike.
    pub(super) fn count(&self, b: &mut BodyBuilder, fires: Value) {
        let Some(pushes) = &self.pushes else { return };
        let (old, one) = (b.load(pushes.count), b.constant(1.0));
        let more = b.add(old, one);
        let new = b.select(fires, more, old);
        b.store(pushes.count, new);
    }

    /// The push `g` of what an own spike costs.
    pub(super) fn push_at_spike(&mut self, b: &mut BodyBuilder) -> Option<Value> {
        let count = b.load(self.pushes.as_ref()?.count);
        let slope = self.costs()?.slope(b, count)?;
        Some(self.over_batch(b, slope))
    }

    /// `lp += g x`, `lq -= g y`, and what the equilibrium moves by with biases.
    pub(super) fn pushed(
        &mut self,
        b: &mut BodyBuilder,
        [lp, lq]: [Value; 2],
        at: At,
        g: Value,
        biases: &[Array],
    ) -> [Value; 2] {
        self.push_equilibrium(b, g, biases);
        let (of_p, of_q) = (b.mul(g, at.x), b.mul(g, at.y));
        [b.add(lp, of_p), b.sub(lq, of_q)]
    }

    /// A bias moves the voltage with its equilibrium.
    pub(super) fn push_equilibrium(&mut self, b: &mut BodyBuilder, g: Value, biases: &[Array]) {
        let flow = self.flow;
        if biases.is_empty() || flow.bias.is(0.0) {
            return;
        }
        let named = ("threshold.bias", "what a bias of 1 moves it by");
        let step = self.times(b, g, named, &flow.bias);
        add_to(b, biases, step);
    }

    fn costs(&mut self) -> Option<Costs<'_>> {
        let pushes = self.pushes.as_ref()?;
        Some(Costs {
            pushes: pushes.pushes,
            label: pushes.label,
            process: &mut self.process,
        })
    }

    fn over_batch(&mut self, b: &mut BodyBuilder, slope: Value) -> Value {
        let batch = self.pushes.as_ref().map_or(1, |pushes| pushes.batch);
        let mean = Parameter::Uniform(1.0 / batch as f64);
        self.times(b, slope, ("1/B", "mean over the batch"), &mean)
    }

    /// Before the way back: pushes neurons that were silent.
    pub(super) fn wake(&mut self, lambda: [Array; 2], biases: &[Array]) -> Option<BodyBuilder> {
        let count = self.pushes.as_ref()?.count;
        self.peak?;
        let mut b = BodyBuilder::new();
        let (count, zero) = (b.load(count), b.constant(0.0));
        let silent = b.cmp(Cmp::Eq, count, zero);
        let slope = self.costs()?.of_silence(&mut b, zero)?;
        let g = self.over_batch(&mut b, slope);
        let g = b.select(silent, g, zero);
        self.push_at_peak(&mut b, (lambda, biases), g, Some(silent));
        Some(b)
    }

    /// The push `g` at the peak. Of others than `silent` neurons everything arrived before.
    pub(super) fn push_at_peak(
        &mut self,
        b: &mut BodyBuilder,
        (lambda, biases): ([Array; 2], &[Array]),
        g: Value,
        silent: Option<Value>,
    ) {
        let Some((peak, back)) = self.peak.and_then(|peak| Some((peak, peak.back?))) else {
            return;
        };
        self.push_equilibrium(b, g, biases);
        let mut now = g;
        if let Some((ago, push)) = back.windows {
            b.store(push, g);
            let (ago, zero) = (b.load(ago), b.constant(0.0));
            let here = b.cmp(Cmp::Eq, ago, zero);
            now = b.select(here, g, zero);
        }
        let time = b.load(peak.time);
        let at = self.at(b, time);
        let zero = b.constant(0.0);
        let next = self.pushed(b, [zero, zero], at, now, &[]);
        for (array, next) in lambda.into_iter().zip(next) {
            b.store(array, next);
        }
        if let Some((slope, owed)) = back.owed {
            self.owe(b, slope, owed, now);
        }
        if let Some(silent) = silent {
            let bound = b.load(back.bound);
            let far = b.constant(FAR);
            let bound = b.select(silent, bound, far);
            b.store(back.bound, bound);
        }
    }

    /// `owed = g dV/dt`.
    fn owe(&mut self, b: &mut BodyBuilder, slope: Array, owed: Array, g: Value) {
        let slope = b.load(slope);
        let rate = self.slope_time().map(|tau| 1.0 / tau);
        let formula = "1 / time that slopes are taken by, bins";
        let rise = self.times(b, slope, ("slope_rate", formula), &rate);
        let due = b.mul(g, rise);
        b.store(owed, due);
    }

    /// At the end of a window that was gone through: the push, where the peak is in the one before.
    pub(super) fn peak_back(&mut self, b: &mut BodyBuilder, [lp, lq]: [Value; 2]) -> [Value; 2] {
        let back = self.peak.and_then(|peak| Some((peak, peak.back?)));
        let Some((peak, back)) = back else {
            return [lp, lq];
        };
        let Some((ago, push)) = back.windows else {
            return [lp, lq];
        };
        let (windows, one, zero) = (b.load(ago), b.constant(1.0), b.constant(0.0));
        let windows = b.sub(windows, one);
        b.store(ago, windows);
        let here = b.cmp(Cmp::Eq, windows, zero);
        let g = b.load(push);
        let g = b.select(here, g, zero);
        let time = b.load(peak.time);
        let at = self.at(b, time);
        let next = self.pushed(b, [lp, lq], at, g, &[]);
        if let Some((slope, owed)) = back.owed {
            self.owe(b, slope, owed, g);
        }
        let past = b.cmp(Cmp::Lt, windows, zero);
        let (far, bound) = (b.constant(FAR), b.load(back.bound));
        let bound = b.select(past, far, bound);
        b.store(back.bound, bound);
        next
    }

    /// The adjoint at the time of an arrival: none of what lies behind a peak.
    pub(super) fn before_peak<const N: usize>(
        &self,
        b: &mut BodyBuilder,
        time: Value,
        lambda: [Array; N],
    ) -> [Value; N] {
        let values = lambda.map(|array| b.load(array));
        let Some(back) = self.peak.and_then(|peak| peak.back) else {
            return values;
        };
        let (bound, zero) = (b.load(back.bound), b.constant(0.0));
        let before = b.cmp(Cmp::Lt, time, bound);
        values.map(|value| b.select(before, value, zero))
    }

    /// What a peak owes to the arrival of weight `w` that cut it off, on top of `due`; it is paid once. Of several arrivals
    /// at that time, those without a weight cut nothing off.
    pub(super) fn paid(
        &self,
        b: &mut BodyBuilder,
        (time, w): (Value, Value),
        due: Option<Value>,
    ) -> Option<Value> {
        let owed = self
            .peak
            .and_then(|peak| Some((peak.time, peak.back?.owed?)));
        let Some((at, (_, owed))) = owed else {
            return due;
        };
        let (peak, debt, zero) = (b.load(at), b.load(owed), b.constant(0.0));
        let (nothing, never) = (b.cmp(Cmp::Eq, w, zero), b.constant(NEVER));
        let time = b.select(nothing, never, time);
        let cut = b.cmp(Cmp::Eq, time, peak);
        let paid = b.select(cut, debt, zero);
        let left = b.select(cut, zero, debt);
        b.store(owed, left);
        Some(match due {
            None => paid,
            Some(due) => b.add(due, paid),
        })
    }
}

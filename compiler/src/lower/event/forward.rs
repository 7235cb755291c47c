//! Forward handlers: arrivals, windows, and the search for a crossing.
//!
//! # The search
//! With `U < threshold` at the beginning, `U` crosses within the interval if it is above the threshold at the
//! end, or where its peak is above and lies inside. A positive threshold is reached only by the rise to that
//! peak, so what cannot get that high, or falls already, is left at once (`skip`; most neurons at most arrivals).
//! One that lies below the equilibrium is crossed by decaying towards 0, and once only, so the end decides.
//! Where the end is above the threshold there is a spike, whatever else was rounded; where the
//! voltage is above it at the beginning and rises, it comes at once, and where it falls, a peak that grazed
//! the threshold is let go.

use nirc_ir::event::{Cmp, Curve, Domain, HandlerKind, Op, Value};
use nirc_ir::network::Parameter;

use super::builder::{At, Builder, choose, within};
use super::flow::{Ratio, Shape};
use crate::lower::BodyBuilder;

impl Builder<'_> {
    pub(super) fn forward(&mut self) {
        for at in 0..self.inputs.len() {
            self.event(at);
        }
        self.begin();
        match self.read {
            Some(read) => self.read_interval(read),
            None if self.flow.is_kicked() => self.cross_kicked(),
            None => self.cross(),
        }
    }

    /// `p += w kick_p`, `q += w kick_q`.
    fn event(&mut self, at: usize) {
        let mut b = BodyBuilder::new();
        let time = b.op(Op::Time);
        let (of_p, of_q) = self.kicks(&mut b, time);
        let input = &self.inputs[at];
        let w = b.load_row(input.weight, input.row);
        let kicks = self.state.into_iter().zip([Some(of_p), of_q]);
        for (array, kick) in kicks.filter_map(|(array, kick)| Some((array, kick?))) {
            // Two roundings: on the chip, a product and a sum take a cycle less than one operation for both.
            let (old, moved) = (b.load(array), b.mul(w, kick));
            let new = b.add(old, moved);
            b.store(array, new);
        }
        let (chan, domain) = (input.chan, input.domain);
        self.push(HandlerKind::Event(chan), domain, b);
    }

    /// The state as of the window's beginning, or the sample's.
    fn begin(&mut self) {
        let starts = self.flow.starts() || !self.biases.is_empty();
        if !starts && !self.windows && !self.peak_begins() && !self.read_begins() {
            return;
        }
        let mut b = BodyBuilder::new();
        let mut next = self.state.map(|array| b.load(array));
        if self.windows {
            next = self.re_based(&mut b, next);
        }
        if starts {
            let (number, zero) = (b.tick(), b.constant(0.0));
            let first = b.cmp(Cmp::Eq, number, zero);
            let flow = self.flow;
            let of = |k: usize| (&flow.start[k], &flow.bias_start[k]);
            let p = self.shifted(&mut b, ("start_p", "p at the beginning"), of(0), true);
            let q = self.shifted(&mut b, ("start_q", "q at the beginning"), of(1), true);
            next = [b.select(first, p, next[0]), b.select(first, q, next[1])];
            self.peak_window(&mut b, Some((first, next)));
        } else {
            self.peak_window(&mut b, None);
        }
        self.read_window(&mut b);
        for (array, next) in self.state.into_iter().zip(next) {
            b.store(array, next);
        }
        self.push(HandlerKind::Window, Domain::Lanes, b);
    }

    /// `p` and `q` a window later, in a body that may run in the first window, too.
    fn re_based(&mut self, b: &mut BodyBuilder, [p, q]: [Value; 2]) -> [Value; 2] {
        // x and y as of the new window, where y holds t: U = p x - q (t + W) x.
        let p = if self.flow.has_time() {
            let w = b.constant(self.window as f32);
            let behind = b.mul(q, w);
            b.sub(p, behind)
        } else {
            p
        };
        let [x, y] = self.window_decays(b);
        let kept = |b: &mut BodyBuilder, v, decay: Option<Value>| match decay {
            Some(decay) => b.mul(v, decay),
            None => v,
        };
        [kept(b, p, x), kept(b, q, y)]
    }

    /// What a window leaves of `x` and `y`, where it leaves less than all.
    pub(super) fn window_decays(&mut self, b: &mut BodyBuilder) -> [Option<Value>; 2] {
        let (w, flow) = (f64::from(self.window), self.flow);
        let decay = |tau: &Parameter| tau.map(|tau| (-w / tau).exp());
        let mut x = |b: &mut BodyBuilder| {
            Some(self.coef(b, "window_x", "x after a window", &decay(&flow.slow)))
        };
        match flow.curve {
            Shape::Kicked { leaks: true } => [x(b), None],
            Shape::Kicked { leaks: false } => [None, None],
            Shape::Equal => {
                let x = x(b);
                [x, x]
            }
            Shape::Pair { .. } => {
                let x = x(b);
                [
                    x,
                    Some(self.coef(b, "window_y", "y after a window", &decay(&flow.fast))),
                ]
            }
            Shape::Integrating => {
                let y = self.coef(b, "window_y", "y after a window", &decay(&flow.fast));
                [None, Some(y)]
            }
        }
    }

    fn cross(&mut self) {
        let mut b = BodyBuilder::new();
        let state = self.state.map(|array| b.load(array));
        let flow = self.flow;
        let named = ("threshold", "threshold less equilibrium");
        let threshold = self.shifted(&mut b, named, (&flow.threshold, &flow.bias), false);
        let zero = b.constant(0.0);
        let above = flow
            .spikes_by_itself(!self.biases.is_empty())
            .then(|| b.cmp(Cmp::Gt, threshold, zero));
        let search = Search {
            state,
            threshold,
            zero,
            above,
        };
        let follows = self.peak.is_some();
        if !follows {
            self.unreachable(&mut b, &search);
        }
        let [start, end] = self.interval(&mut b);
        if follows {
            // Those that cannot spike have a peak, too.
            self.follow(&mut b, state, start, end);
            self.unreachable(&mut b, &search);
        }
        let crosses = self.crosses(&mut b, &search, start, end);
        let at = self.root(&mut b, &search, start, end);
        self.fire(&mut b, state, crosses, at, None);
        self.push(HandlerKind::Cross, Domain::Lanes, b);
    }

    /// The exponentials at the ends of the interval.
    pub(super) fn interval(&mut self, b: &mut BodyBuilder) -> [At; 2] {
        [Op::Since, Op::Until].map(|op| {
            let time = b.op(op);
            self.at(b, time)
        })
    }

    /// Leaves what could not reach a positive threshold with all the time there is.
    fn unreachable(&mut self, b: &mut BodyBuilder, search: &Search) {
        let [p, q] = search.state;
        let Shape::Pair { ratio, .. } = self.flow.curve else {
            // The slope says as much.
            return;
        };
        let n = match ratio {
            Ratio::Two => 2,
            Ratio::Three => 3,
            Ratio::Four => 4,
            Ratio::Other => return,
        };
        // The peak of p x - q x^n, p^n (n-1)^(n-1) / n^n against q threshold^(n-1).
        // What has nothing to rise by, as at the beginning, reaches nothing.
        let least = b.constant(f32::MIN_POSITIVE);
        let drives = choose(b, search.above, p, |_| least);
        let falls = b.cmp(Cmp::Lt, drives, least);
        b.skip(falls);
        let share = f64::from(n - 1).powi(n - 1) / f64::from(n).powi(n);
        let formula = "(n-1)^(n-1) / n^n";
        let share = self.coef(b, "reach", formula, &Parameter::Uniform(share));
        let (square, need) = (b.mul(p, p), b.mul(q, search.threshold));
        let (power, need) = match ratio {
            Ratio::Three => (b.mul(square, p), b.mul(need, search.threshold)),
            Ratio::Four => {
                let squared = b.mul(search.threshold, search.threshold);
                (b.mul(square, square), b.mul(need, squared))
            }
            _ => (square, need),
        };
        let reach = b.mul(share, power);
        let reach = choose(b, search.above, reach, |_| need);
        let low = b.cmp(Cmp::Lt, reach, need);
        b.skip(low);
    }

    /// Whether the threshold is crossed; leaves where it is not.
    fn crosses(&mut self, b: &mut BodyBuilder, search: &Search, start: At, end: At) -> Value {
        let (zero, threshold) = (search.zero, search.threshold);
        let first = self.voltage(b, search.state, start);
        let slope = b.op(first.slope);
        // Below a threshold under the equilibrium it may still fall, and rise later.
        let slope = match search.above {
            None => slope,
            Some(above) => {
                let over = b.cmp(Cmp::Ge, first.u, threshold);
                let one = b.constant(1.0);
                let other = b.select(over, slope, one);
                b.select(above, slope, other)
            }
        };
        let falls = b.cmp(Cmp::Ge, zero, slope);
        b.skip(falls);
        let last = self.voltage(b, search.state, end);
        let slope = b.op(last.slope);
        let rises = b.cmp(Cmp::Gt, slope, zero);
        let peak = self.peak(b, search);
        let known = peak == threshold;
        let peak = choose(b, search.above, peak, |_| last.u);
        let mut highest = b.select(rises, last.u, peak);
        if !known {
            let over = b.cmp(Cmp::Ge, last.u, threshold);
            highest = b.select(over, threshold, highest);
        }
        let low = b.cmp(Cmp::Lt, highest, threshold);
        b.skip(low);
        b.cmp(Cmp::Ge, highest, threshold)
    }

    /// The voltage's peak; where it was compared already, something that is no less than the threshold.
    fn peak(&mut self, b: &mut BodyBuilder, search: &Search) -> Value {
        let [p, q] = search.state;
        match self.flow.curve {
            Shape::Pair {
                ratio: Ratio::Other,
                ..
            } => {
                // x^(n-1) = p / (n q), and the voltage there p x (1 - 1/n).
                let ratio = self.ratio();
                let inverse = ratio.map(|n| 1.0 / n);
                let u = b.div(p, q);
                let u = self.times(b, u, ("1/ratio", "1 / ratio"), &inverse);
                let u = b.ln(u);
                let root = ratio.map(|n| 1.0 / (n - 1.0));
                let u = self.times(b, u, ("1/(ratio-1)", "1 / (ratio - 1)"), &root);
                let x = b.exp(u);
                let left = ratio.map(|n| 1.0 - 1.0 / n);
                let p = self.times(b, p, ("peak", "1 - 1 / ratio"), &left);
                b.mul(p, x)
            }
            Shape::Equal => {
                // At t = tau + p/q, where the voltage is -q tau e^(-t/tau).
                let tau = self.flow.slow.clone();
                let tau_value = self.coef(b, "tau", "time constant, bins", &tau);
                let since = b.div(p, q);
                let t = b.add(since, tau_value);
                let at = self.at(b, t);
                let minus = self.coef(b, "-tau", "-time constant, bins", &tau.map(|tau| -tau));
                let height = b.mul(q, minus);
                b.mul(height, at.x)
            }
            // The integrator rises for as long as there is a current.
            _ => search.threshold,
        }
    }

    /// The exponentials at the crossing.
    fn root(&mut self, b: &mut BodyBuilder, search: &Search, start: At, end: At) -> At {
        let [p, q] = search.state;
        let (zero, threshold, flow) = (search.zero, search.threshold, self.flow);
        let later =
            |b: &mut BodyBuilder, by: &mut Self, v: Value, (name, tau): (&str, &Parameter)| {
                let log = b.ln(v);
                let minus = tau.map(|tau| -tau);
                let tau = by.coef(b, name, "-time constant, bins", &minus);
                b.mul(log, tau)
            };
        let ratio = match flow.curve {
            Shape::Integrating => {
                let rest = b.sub(p, threshold);
                let y = b.div(rest, q);
                let y = within(b, y, end.y, start.y);
                let time = later(b, self, y, ("-tau_y", &flow.fast));
                let x = start.x;
                return At { time, x, y };
            }
            Shape::Equal => {
                let from = choose(b, search.above, start.time, |_| end.time);
                let rate = flow.slow.map(|tau| 1.0 / tau);
                let rate = self.coef(b, "slow", "1 / time constant of x, bins", &rate);
                let root = newton(b, Curve::Equal(rate), search, from);
                let time = within(b, root, start.time, end.time);
                return self.at(b, time);
            }
            Shape::Pair { ratio, .. } => ratio,
            Shape::Kicked { .. } => unreachable!("it has a search of its own"),
        };
        let root = match ratio {
            Ratio::Two => square_root(b, search),
            _ => {
                let convex = search.above.map(|_| b.cmp(Cmp::Gt, q, zero));
                let from = choose(b, convex, start.x, |_| end.x);
                let curve = match ratio {
                    Ratio::Three => Curve::Cubic,
                    Ratio::Four => Curve::Quartic,
                    _ => {
                        let n = self.ratio();
                        Curve::Power(self.coef(b, "ratio", "ratio of the time constants", &n))
                    }
                };
                newton(b, curve, search, from)
            }
        };
        let x = within(b, root, end.x, start.x);
        let time = later(b, self, x, ("-tau_x", &flow.slow));
        let y = self.y_of(b, x, time);
        At { time, x, y }
    }

    /// Records the spike, with its slope, and throws the voltage back: `u = v_reset`, the current as it was.
    /// A slope of 0 marks what an arrival has made (`jumped`).
    pub(super) fn fire(
        &mut self,
        b: &mut BodyBuilder,
        state: [Value; 2],
        crosses: Value,
        at: At,
        jumped: Option<Value>,
    ) {
        let flow = self.flow;
        let voltage = self.voltage(b, state, at);
        let slope = self
            .process
            .tape
            .as_ref()
            .is_some_and(|tape| !tape.fields.is_empty());
        let fields = match (slope, jumped) {
            (false, _) => Vec::new(),
            (true, None) => {
                let decay = match flow.curve {
                    Shape::Integrating => at.y,
                    _ => at.x,
                };
                [Some(voltage.slope), b.definition(decay)]
                    .into_iter()
                    .flatten()
                    .collect()
            }
            (true, Some(jumped)) => {
                let (slope, zero) = (b.op(voltage.slope), b.constant(0.0));
                vec![Op::Select(jumped, zero, slope)]
            }
        };
        b.spike_at(crosses, at.time, fields);
        self.count(b, crosses);
        let named = ("v_reset", "reset value less equilibrium");
        let reset = self.shifted(b, named, (&flow.v_reset, &flow.bias), false);
        match flow.curve {
            Shape::Pair {
                membrane_slow: false,
                ..
            } => {
                let y_part = b.sub(voltage.px, reset);
                let q = b.div(y_part, at.y);
                let q = b.select(crosses, q, state[1]);
                b.store(self.state[1], q);
            }
            Shape::Integrating | Shape::Kicked { leaks: false } => {
                let p = b.add(reset, voltage.qy);
                let p = b.select(crosses, p, state[0]);
                b.store(self.state[0], p);
            }
            // Thrown back to the equilibrium, the voltage is q y on either side.
            Shape::Pair { .. } | Shape::Equal
                if flow.v_reset.is(0.0) && (flow.bias.is(0.0) || self.biases.is_empty()) =>
            {
                let share = self.y_over_x(b, at);
                let p = b.mul(state[1], share);
                let p = b.select(crosses, p, state[0]);
                b.store(self.state[0], p);
            }
            _ => {
                let x_part = b.add(reset, voltage.qy);
                let p = b.div(x_part, at.x);
                // A NaN is neither above nor below.
                let p = b.select(crosses, p, state[0]);
                b.store(self.state[0], p);
            }
        }
    }
}

/// What a search works with.
struct Search {
    state: [Value; 2],
    threshold: Value,
    zero: Value,
    /// Whether the threshold lies above the equilibrium, where that is not certain.
    above: Option<Value>,
}

fn newton(b: &mut BodyBuilder, curve: Curve, search: &Search, from: Value) -> Value {
    let [p, q] = search.state;
    b.op(Op::Root {
        curve,
        p,
        q,
        threshold: search.threshold,
        from,
    })
}

/// The earlier root of `p x - q x^2 = threshold`, without cancellation.
fn square_root(b: &mut BodyBuilder, search: &Search) -> Value {
    let [p, q] = search.state;
    let four = b.constant(-4.0);
    let product = b.mul(q, search.threshold);
    let product = b.mul(product, four);
    let d = b.fma(p, p, product);
    // A peak that just reaches the threshold.
    let positive = b.cmp(Cmp::Gt, d, search.zero);
    let d = b.select(positive, d, search.zero);
    let s = b.sqrt(d);
    let two = b.constant(2.0);
    let (sum, twice) = (b.add(p, s), b.mul(q, two));
    let root = b.div(sum, twice);
    let drives = search.above.map(|_| b.cmp(Cmp::Gt, p, search.zero));
    choose(b, drives, root, |b| {
        let (above, below) = (b.mul(search.threshold, two), b.sub(p, s));
        b.div(above, below)
    })
}

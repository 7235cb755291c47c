//! Update rules, with the roundings that PyTorch's single-tensor kernels have on a CPU: `add` and `lerp`
//! round once, `addcdiv` rounds its product, its quotient and its sum.
//!
//! In batch `k`, with the gradient `G` (summed and clipped) and the rate `lr`, rules other than AdamW begin
//! with `g = G + wd w`:
//! * SGD: `b = momentum b + g`, `w -= lr b`, or `w -= lr (g + momentum b)` by Nesterov;
//! * Adam: `m += (1 - beta1)(g - m)`, `v = beta2 v + (1 - beta2) g g`,
//!   `w -= lr / (1 - beta1^k) m / (sqrt(v) / sqrt(1 - beta2^k) + epsilon)`;
//! * AdamW: `w = (1 - lr wd) w`, then Adam of `g = G`;
//! * AdaMax: `m` as Adam, `u = max(beta2 u, |g| + epsilon)`, `w -= lr / (1 - beta1^k) m / u`.

use nirc_ir::event::{Array, ArrayKind, Cmp, Coef, Domain, HandlerKind, Value};

use super::pairs::{self, Pair, PairArray};
use super::{Arrays, Builder, Least};
use crate::lower::body::BodyBuilder;
use crate::options::{Optimiser, Rule};

/// Where the decay of weights acts.
#[derive(Clone, Copy)]
enum Decay {
    /// On the gradient.
    Gradient,
    /// On the weight, by the factor in this scalar.
    Weight(Array),
}

/// The end of an update: what is no number becomes the least one, too.
fn store(b: &mut BodyBuilder, arrays: &Arrays, next: Value) {
    let next = match arrays.least {
        Least::None => next,
        Least::Zero => {
            let zero = b.constant(0.0);
            let above = b.cmp(Cmp::Gt, next, zero);
            b.select(above, next, zero)
        }
    };
    b.store(arrays.weight, next);
}

/// The start of an update: the weight and the gradient that the rule sees.
struct Seen {
    weight: Value,
    g: Value,
}

impl Builder {
    /// The handlers `schedule` and `update`.
    pub(super) fn rule(&mut self, arrays: &Arrays, optimiser: &Optimiser) {
        match optimiser.rule {
            Rule::Sgd { momentum, nesterov } => self.sgd(arrays, optimiser, momentum, nesterov),
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Rule::AdamW {
                beta1,
                beta2,
                epsilon,
            } => self.adam(arrays, optimiser, [beta1, beta2], epsilon),
            Rule::AdaMax {
                beta1,
                beta2,
                epsilon,
            } => self.adamax(arrays, optimiser, [beta1, beta2], epsilon),
        }
    }

    fn sgd(&mut self, arrays: &Arrays, optimiser: &Optimiser, momentum: f64, nesterov: bool) {
        let step = self.array("step", ArrayKind::Counter { init: 0.0 });
        let mut b = self.begin_schedule(arrays, optimiser);
        let now = self.rate(&mut b, optimiser);
        let minus = b.neg(now.high);
        b.store(step, minus);
        self.handler(HandlerKind::Schedule, Domain::Scalar, b);

        let mut b = BodyBuilder::new();
        let Seen { weight, g } = self.seen(&mut b, arrays, optimiser, Decay::Gradient);
        let direction = if momentum == 0.0 {
            g
        } else {
            self.momentum(&mut b, g, momentum, nesterov)
        };
        let step = b.load(step);
        let next = b.fma(step, direction, weight);
        store(&mut b, arrays, next);
        self.handler(HandlerKind::Update, Domain::Lanes, b);
    }

    fn momentum(&mut self, b: &mut BodyBuilder, g: Value, momentum: f64, nesterov: bool) -> Value {
        let buffer = self.array("momentum", ArrayKind::Moment);
        let momentum = self.coef("momentum", "momentum", momentum);
        let old = b.load(buffer);
        let momentum = b.coef(momentum);
        let kept = b.mul(old, momentum);
        let new = b.add(kept, g);
        b.store(buffer, new);
        if nesterov {
            b.fma(momentum, new, g)
        } else {
            new
        }
    }

    fn adam(
        &mut self,
        arrays: &Arrays,
        optimiser: &Optimiser,
        [beta1, beta2]: [f64; 2],
        epsilon: f64,
    ) {
        let step = self.array("step", ArrayKind::Counter { init: 0.0 });
        let root = self.array("root", ArrayKind::Counter { init: 0.0 });
        let mut b = self.begin_schedule(arrays, optimiser);
        let now = self.rate(&mut b, optimiser);
        let decay = self.decay(&mut b, optimiser, now);
        let (q1, q2) = (self.pair_counter("q1", 0.0), self.pair_counter("q2", 0.0));
        let c1 = self.complement(&mut b, &q1, "beta1", beta1);
        let c2 = self.complement(&mut b, &q2, "beta2", beta2);
        store_step(&mut b, step, now, c1);
        let deviation = pairs::sqrt(&mut b, c2);
        b.store(root, deviation);
        self.handler(HandlerKind::Schedule, Domain::Scalar, b);

        let first = self.array("m", ArrayKind::Moment);
        let second = self.array("v", ArrayKind::Moment);
        let beta2_coef = self.coef("beta2", "decay of the second moment", beta2);
        let rest1 = self.coef("1-beta1", "1 - decay of the first moment", 1.0 - beta1);
        let rest2 = self.coef("1-beta2", "1 - decay of the second moment", 1.0 - beta2);
        let epsilon = self.coef("epsilon", "guard of the denominator", epsilon);
        let mut b = BodyBuilder::new();
        let Seen { weight, g } = self.seen(&mut b, arrays, optimiser, decay);
        let m = first_moment(&mut b, first, g, rest1, beta1);
        let v0 = b.load(second);
        let beta2_value = b.coef(beta2_coef);
        let v1 = b.mul(beta2_value, v0);
        let rest2 = b.coef(rest2);
        let scaled = b.mul(rest2, g);
        let v = b.fma(scaled, g, v1);
        b.store(second, v);
        let deviation = b.sqrt(v);
        let root = b.load(root);
        let deviation = b.div(deviation, root);
        let epsilon = b.coef(epsilon);
        let denominator = b.add(deviation, epsilon);
        self.finish_update(b, arrays, step, weight, [m, denominator]);
    }

    fn adamax(
        &mut self,
        arrays: &Arrays,
        optimiser: &Optimiser,
        [beta1, beta2]: [f64; 2],
        epsilon: f64,
    ) {
        let step = self.array("step", ArrayKind::Counter { init: 0.0 });
        let mut b = self.begin_schedule(arrays, optimiser);
        let now = self.rate(&mut b, optimiser);
        let q1 = self.pair_counter("q1", 0.0);
        let c1 = self.complement(&mut b, &q1, "beta1", beta1);
        store_step(&mut b, step, now, c1);
        self.handler(HandlerKind::Schedule, Domain::Scalar, b);

        let first = self.array("m", ArrayKind::Moment);
        let largest = self.array("u", ArrayKind::Moment);
        let beta2 = self.coef("beta2", "decay of the largest gradient", beta2);
        let rest1 = self.coef("1-beta1", "1 - decay of the first moment", 1.0 - beta1);
        let epsilon = self.coef("epsilon", "guard of the denominator", epsilon);
        let mut b = BodyBuilder::new();
        let Seen { weight, g } = self.seen(&mut b, arrays, optimiser, Decay::Gradient);
        let m = first_moment(&mut b, first, g, rest1, beta1);
        let old = b.load(largest);
        let beta2 = b.coef(beta2);
        let kept = b.mul(old, beta2);
        let zero = b.constant(0.0);
        let positive = b.cmp(Cmp::Ge, g, zero);
        let minus = b.neg(g);
        let size = b.select(positive, g, minus);
        let epsilon = b.coef(epsilon);
        let size = b.add(size, epsilon);
        let stays = b.cmp(Cmp::Gt, kept, size);
        let u = b.select(stays, kept, size);
        b.store(largest, u);
        self.finish_update(b, arrays, step, weight, [m, u]);
    }

    fn begin_schedule(&mut self, arrays: &Arrays, optimiser: &Optimiser) -> BodyBuilder {
        let mut b = BodyBuilder::new();
        self.scale(&mut b, optimiser.clip, arrays.clipping);
        b
    }

    /// The factor `1 - lr wd` of AdamW, kept for the update.
    fn decay(&mut self, b: &mut BodyBuilder, optimiser: &Optimiser, rate: Pair) -> Decay {
        if !matches!(optimiser.rule, Rule::AdamW { .. }) || optimiser.weight_decay == 0.0 {
            return Decay::Gradient;
        }
        let kept = self.array("kept", ArrayKind::Counter { init: 1.0 });
        let minus = self.pair_coef(b, "-wd", "minus weight decay", -optimiser.weight_decay);
        let lost = pairs::mul(b, rate, minus);
        let one = b.constant(1.0);
        let one = pairs::single(b, one);
        let rest = pairs::add(b, one, lost);
        b.store(kept, rest.high);
        Decay::Weight(kept)
    }

    /// `q = 1 - beta^k` by `q = q beta + (1 - beta)`.
    fn complement(&mut self, b: &mut BodyBuilder, q: &PairArray, name: &str, beta: f64) -> Pair {
        let old = pairs::load(b, q);
        let factor = self.pair_coef(b, name, name, beta);
        let rest = self.pair_coef(b, &format!("1-{name}"), &format!("1 - {name}"), 1.0 - beta);
        let kept = pairs::mul(b, old, factor);
        let new = pairs::add(b, kept, rest);
        pairs::store(b, q, new);
        new
    }

    /// The weight, and the gradient after clipping and decay; `G + wd w` is rounded once.
    fn seen(
        &mut self,
        b: &mut BodyBuilder,
        arrays: &Arrays,
        optimiser: &Optimiser,
        decay: Decay,
    ) -> Seen {
        let weight = b.load(arrays.weight);
        let gradient = b.load(arrays.gradient);
        let g = self.clipped(b, arrays.clipping, gradient);
        match decay {
            Decay::Weight(kept) => {
                let kept = b.load(kept);
                let weight = b.mul(weight, kept);
                Seen { weight, g }
            }
            Decay::Gradient if optimiser.weight_decay == 0.0 => Seen { weight, g },
            Decay::Gradient => {
                let wd = self.coef("wd", "weight decay", optimiser.weight_decay);
                let wd = b.coef(wd);
                let g = b.fma(wd, weight, g);
                Seen { weight, g }
            }
        }
    }

    /// `w += step m / denominator`.
    fn finish_update(
        &mut self,
        mut b: BodyBuilder,
        arrays: &Arrays,
        step: Array,
        weight: Value,
        [m, denominator]: [Value; 2],
    ) {
        let step = b.load(step);
        let numerator = b.mul(step, m);
        let change = b.div(numerator, denominator);
        let next = b.add(weight, change);
        store(&mut b, arrays, next);
        self.handler(HandlerKind::Update, Domain::Lanes, b);
    }
}

/// `step = -lr / (1 - beta1^k)`.
fn store_step(b: &mut BodyBuilder, step: Array, rate: Pair, complement: Pair) {
    let size = pairs::div(b, rate, complement);
    let minus = b.neg(size);
    b.store(step, minus);
}

/// `m += (1 - beta1)(g - m)`, from the end that is nearer, as `lerp` does.
fn first_moment(b: &mut BodyBuilder, array: Array, g: Value, rest: Coef, beta1: f64) -> Value {
    let old = b.load(array);
    let difference = b.sub(g, old);
    let rest = b.coef(rest);
    let m = if 1.0 - beta1 < 0.5 {
        b.fma(difference, rest, old)
    } else {
        let one = b.constant(1.0);
        let back = b.sub(rest, one);
        b.fma(difference, back, g)
    };
    b.store(array, m);
    m
}

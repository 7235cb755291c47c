//! Optimiser processes: one per trained tensor.
//!
//! Adam is `g = G + wd w`, `m += (1 - beta1)(g - m)`, `v = beta2 v + (1 - beta2) g g`,
//! `w -= lr_k / (1 - beta1^k) m / (sqrt(v) / sqrt(1 - beta2^k) + epsilon)`, with the roundings that
//! PyTorch's kernels have. The scalars of step `k` are kept as running values on the chip. Plain `f32`
//! would be wrong in the last place at once and by thousands of them after an epoch, so they are pairs
//! of `f32` (*high* and *low* part), which reproduces their `f64` values rounded to `f32`.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Coef, Coefficient, CoefficientValue, Domain, Handler, HandlerKind,
    Op, Output, Process, Program, Role, Tensor, Value,
};

use super::body::BodyBuilder;
use super::free_name;
use crate::options::{Optimiser, Rule};

/// Adds an optimiser process for every trainable tensor.
pub(super) fn add(program: &mut Program, optimiser: &Optimiser) {
    let trained: Vec<(Tensor, String, usize)> = program
        .tensors
        .iter()
        .filter(|(_, t)| t.trainable)
        .map(|(id, t)| (id, t.name.clone(), t.rows * t.lanes))
        .collect();
    for (tensor, name, lanes) in trained {
        let name = free_name(program, name);
        program
            .processes
            .push(process(tensor, name, lanes, optimiser));
    }
}

fn process(tensor: Tensor, name: String, lanes: usize, optimiser: &Optimiser) -> Process {
    let mut builder = Builder {
        process: Process {
            name,
            role: Role::Optimiser(tensor),
            lanes,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: None,
            handlers: Vec::new(),
        },
    };
    let arrays = Arrays {
        weight: builder.array("weight", ArrayKind::Param(tensor)),
        gradient: builder.array("gradient", ArrayKind::Gathered),
    };
    builder.gather(arrays.gradient);
    match optimiser.rule {
        Rule::Sgd => builder.sgd(&arrays, optimiser),
        Rule::Adam {
            beta1,
            beta2,
            epsilon,
        } => builder.adam(&arrays, optimiser, beta1, beta2, epsilon),
    }
    builder.process
}

struct Arrays {
    weight: Array,
    gradient: Array,
}

/// A number as an unevaluated sum of two `f32`.
#[derive(Clone, Copy)]
struct Pair {
    high: Value,
    low: Value,
}

/// A pair that is kept from step to step.
struct PairArray {
    high: Array,
    low: Array,
}

struct Builder {
    process: Process,
}

impl Builder {
    fn array(&mut self, name: &str, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl {
            name: name.to_owned(),
            kind,
        })
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

    fn pair_counter(&mut self, name: &str, init: f64) -> PairArray {
        let (high, low) = split(init);
        PairArray {
            high: self.array(name, ArrayKind::Counter { init: high }),
            low: self.array(&format!("{name}.low"), ArrayKind::Counter { init: low }),
        }
    }

    fn pair_coef(&mut self, b: &mut BodyBuilder, name: &str, formula: &str, value: f64) -> Pair {
        let (high, low) = split(value);
        let high = self.coef(&format!("{name}.high"), formula, f64::from(high));
        let low = self.coef(
            &format!("{name}.low"),
            "what f32 leaves of it",
            f64::from(low),
        );
        Pair {
            high: b.coef(high),
            low: b.coef(low),
        }
    }

    /// Sum over replicas.
    fn gather(&mut self, gradient: Array) {
        let mut b = BodyBuilder::new();
        let sum = b.load(gradient);
        let one = b.op(Op::Payload);
        let next = b.add(sum, one);
        b.store(gradient, next);
        self.handler(HandlerKind::Gather, Domain::Lanes, b);
    }

    /// `rate` of this step, and its decay for the next.
    fn advance_rate(
        &mut self,
        b: &mut BodyBuilder,
        rate: &PairArray,
        optimiser: &Optimiser,
    ) -> Pair {
        let now = load_pair(b, rate);
        if optimiser.decay_per_batch != 1.0 {
            let gamma = self.pair_coef(
                b,
                "gamma",
                "learning-rate decay per batch",
                optimiser.decay_per_batch,
            );
            let next = mul_pair(b, now, gamma);
            store_pair(b, rate, next);
        }
        now
    }

    /// `G + wd w`, rounded once.
    fn decayed_gradient(
        &mut self,
        b: &mut BodyBuilder,
        arrays: &Arrays,
        weight: Value,
        optimiser: &Optimiser,
    ) -> Value {
        let gradient = b.load(arrays.gradient);
        if optimiser.weight_decay == 0.0 {
            return gradient;
        }
        let wd = self.coef("wd", "weight decay", optimiser.weight_decay);
        let wd = b.coef(wd);
        b.fma(wd, weight, gradient)
    }

    fn sgd(&mut self, arrays: &Arrays, optimiser: &Optimiser) {
        let rate = self.pair_counter("rate", optimiser.learning_rate);
        let step = self.array("step", ArrayKind::Counter { init: 0.0 });
        let mut b = BodyBuilder::new();
        let now = self.advance_rate(&mut b, &rate, optimiser);
        let minus = b.neg(now.high);
        b.store(step, minus);
        self.handler(HandlerKind::Schedule, Domain::Scalar, b);

        let mut b = BodyBuilder::new();
        let weight = b.load(arrays.weight);
        let gradient = self.decayed_gradient(&mut b, arrays, weight, optimiser);
        let step = b.load(step);
        let change = b.mul(step, gradient);
        let next = b.add(weight, change);
        b.store(arrays.weight, next);
        self.handler(HandlerKind::Update, Domain::Lanes, b);
    }

    fn adam(
        &mut self,
        arrays: &Arrays,
        optimiser: &Optimiser,
        beta1: f64,
        beta2: f64,
        epsilon: f64,
    ) {
        let step = self.array("step", ArrayKind::Counter { init: 0.0 });
        let root = self.array("root", ArrayKind::Counter { init: 0.0 });
        self.adam_schedule(optimiser, beta1, beta2, step, root);

        let first = self.array("m", ArrayKind::Moment);
        let second = self.array("v", ArrayKind::Moment);
        let beta2_coef = self.coef("beta2", "decay of the second moment", beta2);
        let rest1 = self.coef("1-beta1", "1 - decay of the first moment", 1.0 - beta1);
        let rest2 = self.coef("1-beta2", "1 - decay of the second moment", 1.0 - beta2);
        let epsilon = self.coef("epsilon", "guard of the denominator", epsilon);
        let mut b = BodyBuilder::new();
        let weight = b.load(arrays.weight);
        let g = self.decayed_gradient(&mut b, arrays, weight, optimiser);
        let m0 = b.load(first);
        let difference = b.sub(g, m0);
        let rest1 = b.coef(rest1);
        let m = b.fma(difference, rest1, m0);
        b.store(first, m);
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
        let step = b.load(step);
        let numerator = b.mul(step, m);
        let change = b.div(numerator, denominator);
        let next = b.add(weight, change);
        b.store(arrays.weight, next);
        self.handler(HandlerKind::Update, Domain::Lanes, b);
    }

    /// `q = 1 - beta^k` by `q = q beta + (1 - beta)`; `step = -lr / q1`, `root = sqrt q2`.
    fn adam_schedule(
        &mut self,
        optimiser: &Optimiser,
        beta1: f64,
        beta2: f64,
        step: Array,
        root: Array,
    ) {
        let rate = self.pair_counter("rate", optimiser.learning_rate);
        let q1 = self.pair_counter("q1", 0.0);
        let q2 = self.pair_counter("q2", 0.0);
        let mut b = BodyBuilder::new();
        let now = self.advance_rate(&mut b, &rate, optimiser);
        let c1 = self.complement(&mut b, &q1, "beta1", beta1);
        let c2 = self.complement(&mut b, &q2, "beta2", beta2);
        let size = div_pair(&mut b, now, c1);
        let minus = b.neg(size);
        b.store(step, minus);
        let deviation = sqrt_pair(&mut b, c2);
        b.store(root, deviation);
        self.handler(HandlerKind::Schedule, Domain::Scalar, b);
    }

    fn complement(&mut self, b: &mut BodyBuilder, q: &PairArray, name: &str, beta: f64) -> Pair {
        let old = load_pair(b, q);
        let factor = self.pair_coef(b, name, name, beta);
        let rest = self.pair_coef(b, &format!("1-{name}"), &format!("1 - {name}"), 1.0 - beta);
        let kept = mul_pair(b, old, factor);
        let new = add_pair(b, kept, rest);
        store_pair(b, q, new);
        new
    }
}

/// `value` as the nearest `f32` and the nearest `f32` of what is left.
#[expect(clippy::cast_possible_truncation, reason = "the rounding is meant")]
fn split(value: f64) -> (f32, f32) {
    let high = value as f32;
    (high, (value - f64::from(high)) as f32)
}

fn load_pair(b: &mut BodyBuilder, pair: &PairArray) -> Pair {
    Pair {
        high: b.load(pair.high),
        low: b.load(pair.low),
    }
}

fn store_pair(b: &mut BodyBuilder, pair: &PairArray, value: Pair) {
    b.store(pair.high, value.high);
    b.store(pair.low, value.low);
}

/// The sum `high + low` of an unnormalised pair with `|high| >= |low|`.
fn renormalise(b: &mut BodyBuilder, high: Value, low: Value) -> Pair {
    let sum = b.add(high, low);
    let kept = b.sub(sum, high);
    let rest = b.sub(low, kept);
    Pair {
        high: sum,
        low: rest,
    }
}

/// Dekker's product, with the error of the high product from one fma.
fn mul_pair(b: &mut BodyBuilder, x: Pair, y: Pair) -> Pair {
    let product = b.mul(x.high, y.high);
    let minus = b.neg(product);
    let error = b.fma(x.high, y.high, minus);
    let error = b.fma(x.high, y.low, error);
    let error = b.fma(x.low, y.high, error);
    renormalise(b, product, error)
}

/// Knuth's exact sum of the high parts, plus the low parts.
fn add_pair(b: &mut BodyBuilder, x: Pair, y: Pair) -> Pair {
    let sum = b.add(x.high, y.high);
    let z = b.sub(sum, x.high);
    let x_part = b.sub(sum, z);
    let x_rest = b.sub(x.high, x_part);
    let y_rest = b.sub(y.high, z);
    let error = b.add(x_rest, y_rest);
    let low = b.add(x.low, y.low);
    let error = b.add(error, low);
    renormalise(b, sum, error)
}

/// The quotient, corrected once by its remainder.
fn div_pair(b: &mut BodyBuilder, x: Pair, y: Pair) -> Value {
    let quotient = b.div(x.high, y.high);
    let minus = b.neg(quotient);
    let rest = b.fma(minus, y.high, x.high);
    let rest = b.add(rest, x.low);
    let rest = b.fma(minus, y.low, rest);
    let correction = b.div(rest, y.high);
    b.add(quotient, correction)
}

/// The square root, corrected once by its remainder.
fn sqrt_pair(b: &mut BodyBuilder, x: Pair) -> Value {
    let root = b.sqrt(x.high);
    let minus = b.neg(root);
    let rest = b.fma(minus, root, x.high);
    let rest = b.add(rest, x.low);
    let twice = b.add(root, root);
    let correction = b.div(rest, twice);
    b.add(root, correction)
}

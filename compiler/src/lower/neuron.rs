//! Forward processes of neurons.
//!
//! Every NIR neuron is linear between spikes, and one tick of it is a linear map. With `S` the weighted sum of
//! what arrived plus the bias,
//!
//! | membrane | without synapse | with synapse, `I' = a I + g S` |
//! |---|---|---|
//! | direct | `V = S` | `V = I` |
//! | integrator | `V' = V + g S` | `V' = V + c I` |
//! | leaky | `V' = b V + g S + k` | `V' = b V + c I + k` |
//!
//! where `k = (1-b) v_leak`. Where the integrator is exact, `c I` is `c I + d S`: what the current before the
//! tick and the input do to the voltage in the course of it. The convention gives the coefficients
//! ([`super::coefficients`]), the order and the form of the steps, threshold and reset.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coef, Coefficient, CoefficientValue, Domain, Handler,
    HandlerKind, Output, Process, Role, Row, SpikeTape, Tensor, Value,
};
use nirc_ir::network::{
    BiasPlace, Convention, CurrentShape, Floor, Initial, Neuron, Order, Parameter, Population,
    Reset, ResetTime, SpikeCount, SpikeShape, SynapseInput, Threshold, Update,
};

use super::body::BodyBuilder;
use super::coefficients::{Coefficients, SynapseTerms, Term, Terms};

/// Name of the coefficient that says what 1 of a computed voltage is in the file's unit.
pub(super) const UNIT: &str = "unit";

/// What arrives over one channel.
pub(super) struct Input {
    pub(super) chan: Chan,
    pub(super) projection: String,
    pub(super) weight: Tensor,
    /// Its name among the arrays of the process.
    pub(super) array: String,
    /// What the weights are multiplied with, if that is not 1.
    pub(super) factor: Option<f64>,
    /// A bias that is trained.
    pub(super) bias: Option<Tensor>,
    /// Delays of its sources, and whether they are trained.
    pub(super) delays: Option<(Tensor, bool)>,
    /// Whether values arrive, and not spikes.
    pub(super) values: bool,
    /// Whether the channel names its synapses.
    pub(super) synapses: bool,
}

/// Input that does not change from tick to tick and is not trained.
#[derive(Default)]
pub(super) struct Constants {
    /// Beside the spikes.
    pub(super) input: Option<Parameter>,
    /// Beside the spikes, but in no tick before these.
    pub(super) delayed: Vec<(u32, Parameter)>,
    /// Past the synapse.
    pub(super) membrane: Option<Parameter>,
}

impl Constants {
    /// Adds a bias of a projection with this delay.
    pub(super) fn add(&mut self, place: BiasPlace, delay: u32, bias: &Parameter) {
        let sum = |old: Option<Parameter>| match old {
            None => bias.clone(),
            Some(old) => old.zip(bias, |a, b| a + b),
        };
        match place {
            BiasPlace::Input => self.input = Some(sum(self.input.take())),
            BiasPlace::Membrane => self.membrane = Some(sum(self.membrane.take())),
            BiasPlace::Delayed => {
                let at = self.delayed.iter().position(|(onset, _)| *onset == delay);
                let old = at.map(|at| self.delayed.remove(at).1);
                self.delayed.push((delay, sum(old)));
                self.delayed.sort_by_key(|(onset, _)| *onset);
            }
            BiasPlace::Dropped => {}
        }
    }
}

/// The forward process of a population; `tape` is what is kept of its spikes, if it has any.
pub(super) fn process(
    population: &Population,
    neuron: &Neuron,
    coefficients: Coefficients<'_>,
    inputs: &[Input],
    constants: &Constants,
    tape: Option<SpikeTape>,
) -> Process {
    let mut builder = Builder {
        process: Process {
            name: population.name.clone(),
            role: Role::Neurons,
            lanes: population.size,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: tape.filter(|_| neuron.firing.is_some()),
            handlers: Vec::new(),
        },
        convention: coefficients.convention,
        constants,
    };
    let x = builder.state("x");
    for input in inputs {
        builder.event(input, x);
    }
    let biases: Vec<Array> = inputs
        .iter()
        .filter_map(|input| {
            let bias = input.bias?;
            Some(builder.array(format!("{}.bias", input.projection), ArrayKind::Param(bias)))
        })
        .collect();
    builder.tick(&coefficients.terms(neuron), x, &biases);
    builder.process
}

struct Builder<'a> {
    process: Process,
    convention: &'a Convention,
    constants: &'a Constants,
}

/// When a neuron fires, and what it falls back to.
struct Firing<'a> {
    threshold: &'a Term,
    v_reset: &'a Term,
    /// What the voltage relaxes by in a tick, if it has a memory.
    relaxes: Option<&'a Term>,
    /// What it relaxes towards.
    rest: &'a Term,
}

/// The states and their new values, as the tick's body is written.
struct Step {
    v: Array,
    /// The voltage before a reset of this tick.
    v_pre: Value,
    /// What the tick has left of the voltage before it, without what arrived.
    kept: Option<Value>,
    stores: Vec<(Array, Value)>,
}

impl Builder<'_> {
    fn array(&mut self, name: String, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl { name, kind })
    }

    fn state(&mut self, name: &str) -> Array {
        self.array(name.to_owned(), ArrayKind::State { init: 0.0 })
    }

    fn coef(&mut self, name: &str, term: &Term) -> Coef {
        let coefficient = Coefficient {
            name: name.to_owned(),
            formula: term.formula.clone(),
            value: CoefficientValue::from(&term.value),
        };
        // A step may need one twice, as the rest that a voltage begins at.
        let coefs = &mut self.process.coefs;
        let known = coefs.iter().find(|(_, known)| **known == coefficient);
        let known = known.map(|(coef, _)| coef);
        known.unwrap_or_else(|| coefs.push(coefficient))
    }

    /// `x = x + w`, or `x = x + w value`; with a factor on `w`, if there is one.
    fn event(&mut self, input: &Input, x: Array) {
        let weight = self.array(input.array.clone(), ArrayKind::Param(input.weight));
        let factor = input.factor.map(|factor| {
            let name = format!("{}.factor", input.projection);
            let formula = "of all weights, from nodes on the way".to_owned();
            self.coef(&name, &Term::new(formula, Parameter::Uniform(factor)))
        });
        let (domain, row) = if input.synapses {
            (Domain::Synapses, Row::Synapse)
        } else {
            (Domain::Lanes, Row::Source)
        };
        let mut b = BodyBuilder::new();
        let sum = b.load(x);
        let mut w = b.load_row(weight, row);
        if let Some(factor) = factor {
            let factor = b.coef(factor);
            w = b.mul(w, factor);
        }
        let arrived = if input.values {
            let value = b.payload();
            b.mul(w, value)
        } else {
            w
        };
        let next = b.add(sum, arrived);
        b.store(x, next);
        self.process.handlers.push(Handler {
            kind: HandlerKind::Event(input.chan),
            domain,
            body: b.finish(),
        });
    }

    fn tick(&mut self, terms: &Terms, x: Array, biases: &[Array]) {
        let mut b = BodyBuilder::new();
        let step = match &terms.synapse {
            Some(synapse) => self.with_synapse(&mut b, terms, synapse, x, biases),
            None => self.without_synapse(&mut b, terms, x, biases),
        };
        match (&terms.threshold, &terms.v_reset) {
            (Some(theta), Some(v_reset)) => {
                let remembers = terms.membrane.is_some();
                let firing = Firing {
                    threshold: theta,
                    v_reset,
                    relaxes: terms.membrane.as_ref().map(|decay| &decay.relaxes),
                    rest: &terms.rest,
                };
                self.fire(&mut b, &firing, remembers, x, &step);
            }
            _ => {
                self.emit(&mut b, &terms.unit, &step);
                self.store(&mut b, x, &step, step.v_pre);
            }
        }
        if !terms.unit.is_one() {
            // Nothing computes with it: traces of voltages are multiplied with it.
            self.coef(UNIT, &terms.unit);
        }
        self.process.handlers.push(Handler {
            kind: HandlerKind::Tick,
            domain: Domain::Lanes,
            body: b.finish(),
        });
    }

    /// The voltage leaves, in the file's unit.
    fn emit(&mut self, b: &mut BodyBuilder, unit: &Term, step: &Step) {
        self.process.output = Output::State(step.v);
        if !unit.is_one() {
            let out = self.state("out");
            let value = self.scaled(b, step.v_pre, "out", unit);
            b.store(out, value);
            self.process.output = Output::State(out);
        }
    }

    fn store(&self, b: &mut BodyBuilder, x: Array, step: &Step, v: Value) {
        let zero = b.constant(0.0);
        b.store(x, zero);
        for (array, value) in &step.stores {
            b.store(*array, *value);
        }
        b.store(step.v, v);
    }

    fn fire(
        &mut self,
        b: &mut BodyBuilder,
        firing: &Firing<'_>,
        remembers: bool,
        x: Array,
        step: &Step,
    ) {
        let (threshold, v_reset) = (firing.threshold, firing.v_reset);
        let theta = self.coef("theta", threshold);
        let theta = b.coef(theta);
        let v_pre = step.v_pre;
        if !remembers {
            if self
                .process
                .tape
                .as_ref()
                .is_some_and(|tape| tape.bound.is_some())
            {
                // The way back asks how steeply the voltage rose.
                b.load(step.v);
            }
            // There is nothing that a reset could change.
            let fires = self.crosses(b, v_pre, theta);
            self.store(b, x, step, v_pre);
            b.spike(fires, Vec::new());
            return;
        }
        let (fires, next) = match self.convention.reset_time {
            ResetTime::Same => {
                let fires = self.crosses(b, v_pre, theta);
                let after = self.reset(b, v_reset, v_pre, theta);
                (fires, select(b, fires, after, v_pre))
            }
            // On top of what this tick has made of the voltage.
            ResetTime::Next => {
                let before = self.before(b, step.v, "v0", firing.rest);
                let fired = self.crosses(b, before, theta);
                let after = self.reset(b, v_reset, v_pre, theta);
                let v = select(b, fired, after, v_pre);
                (self.crosses(b, v, theta), v)
            }
            ResetTime::Exact => {
                let fires = self.crosses(b, v_pre, theta);
                let after = self.ran_on(b, firing, theta, step);
                (fires, select(b, fires, after, v_pre))
            }
            ResetTime::Guarded => self.guarded(b, firing, theta, step),
        };
        let next = self.floor(b, next, theta);
        if self.convention.spikes == SpikeCount::Multiple {
            self.count(b, fires, theta, x, step);
            return;
        }
        self.store(b, x, step, next);
        b.spike(fires, Vec::new());
    }

    fn crosses(&self, b: &mut BodyBuilder, v: Value, theta: Value) -> Value {
        let cmp = match self.convention.threshold {
            Threshold::Strict => Cmp::Gt,
            Threshold::Inclusive => Cmp::Ge,
        };
        b.cmp(cmp, v, theta)
    }

    /// The voltage at the end of a tick in the course of which it has crossed the threshold, been reset, and run
    /// on. With `e` what it approaches, `v - e` shrinks by the same factor before and after the reset as it does
    /// in the whole tick, so that `v' = e + (v_reset - e) (v - e) / (theta - e)`; and `v_reset + v - theta`
    /// where it approaches nothing.
    fn ran_on(
        &mut self,
        b: &mut BodyBuilder,
        firing: &Firing<'_>,
        theta: Value,
        step: &Step,
    ) -> Option<Value> {
        let v = step.v_pre;
        let start = self.reset(b, firing.v_reset, theta, theta)?;
        let relaxes = firing.relaxes.filter(|relaxes| !relaxes.is_zero());
        let (Some(relaxes), Some(kept)) = (relaxes, step.kept) else {
            let over = b.sub(v, theta);
            return Some(b.add(start, over));
        };
        let arrived = b.sub(v, kept);
        let relaxes = self.coef("relaxes", relaxes);
        let relaxes = b.coef(relaxes);
        let e = b.div(arrived, relaxes);
        let (whole, crossed, restarted) = (b.sub(v, e), b.sub(theta, e), b.sub(start, e));
        let left = b.div(whole, crossed);
        let run = b.mul(restarted, left);
        Some(b.add(e, run))
    }

    /// Where the voltage was still above the threshold after the reset, the threshold is taken off before the
    /// comparison; and put back where that was once too often.
    fn guarded(
        &mut self,
        b: &mut BodyBuilder,
        firing: &Firing<'_>,
        theta: Value,
        step: &Step,
    ) -> (Value, Value) {
        if self.convention.reset != Reset::Subtract {
            let fires = self.crosses(b, step.v_pre, theta);
            let after = self.reset(b, firing.v_reset, step.v_pre, theta);
            return (fires, select(b, fires, after, step.v_pre));
        }
        let before = self.before(b, step.v, "v0", firing.rest);
        let residue = b.cmp(Cmp::Gt, before, theta);
        let lower = b.sub(step.v_pre, theta);
        let v = b.select(residue, lower, step.v_pre);
        let fires = self.crosses(b, v, theta);
        let lowered = b.sub(v, theta);
        let raised = b.add(v, theta);
        let fired = b.select(residue, v, lowered);
        let silent = b.select(residue, raised, v);
        (fires, b.select(fires, fired, silent))
    }

    /// The voltage after a spike; `None` where a spike leaves it alone.
    fn reset(
        &mut self,
        b: &mut BodyBuilder,
        v_reset: &Term,
        v: Value,
        theta: Value,
    ) -> Option<Value> {
        match self.convention.reset {
            Reset::ToValue => {
                let value = self.coef("v_reset", v_reset);
                Some(b.coef(value))
            }
            Reset::ToZero => Some(b.constant(0.0)),
            Reset::Subtract => Some(b.sub(v, theta)),
            Reset::None => None,
        }
    }

    fn floor(&self, b: &mut BodyBuilder, v: Value, theta: Value) -> Value {
        let floor = match self.convention.floor {
            Floor::None => return v,
            Floor::Zero => b.constant(0.0),
            Floor::MinusThreshold => b.neg(theta),
        };
        let below = b.cmp(Cmp::Lt, v, floor);
        b.select(below, floor, v)
    }

    /// A neuron that fires `n = floor(v / theta)` times a tick emits `n`, and is reset by as many thresholds.
    fn count(&mut self, b: &mut BodyBuilder, fires: Value, theta: Value, x: Array, step: &Step) {
        let n = self.state("n");
        let v = step.v_pre;
        let ratio = b.div(v, theta);
        // Adding 1.5 * 2^23 leaves no place for a fraction: the sum is rounded to an integer.
        let integers = b.constant(12_582_912.0);
        let shifted = b.add(ratio, integers);
        let nearest = b.sub(shifted, integers);
        let over = b.cmp(Cmp::Gt, nearest, ratio);
        let one = b.constant(1.0);
        let below = b.sub(nearest, one);
        let whole = b.select(over, below, nearest);
        let zero = b.constant(0.0);
        let count = b.select(fires, whole, zero);
        let taken = b.mul(count, theta);
        let after = b.sub(v, taken);
        let after = self.floor(b, after, theta);
        self.store(b, x, step, after);
        b.store(n, count);
        self.process.output = Output::State(n);
        self.process.tape = None;
    }

    /// `a I + g S`, then the voltage that follows it.
    fn with_synapse(
        &mut self,
        b: &mut BodyBuilder,
        terms: &Terms,
        synapse: &SynapseTerms,
        x: Array,
        biases: &[Array],
    ) -> Step {
        let i = self.state("i");
        let v = self.state("v");
        let increments = self.convention.update == Update::Increment && terms.direct.is_none();
        let i0 = self.before(b, i, "i0", &synapse.rest);
        let held = self.convention.spike == SpikeShape::Held;
        let (i2, sum) = if increments && held && terms.weights.is_one() {
            let sum = self.input(b, x, biases);
            let target = self.scaled(b, sum, "w_in", &synapse.w_in);
            let target = self.plus(b, target, "rest_i", &synapse.rest);
            (
                self.towards(b, i0, target, "d", &synapse.decay.relaxes),
                sum,
            )
        } else {
            self.driven(b, synapse, i0, x, biases)
        };
        let seen = match self.convention.order {
            Order::CurrentFirst => i2,
            Order::Simultaneous => i0,
        };
        let mut v_pre = if terms.direct.is_some() {
            let old = self.kept(b, v, terms);
            let c = self.scaled(b, i0, "c", &terms.gain);
            old.map_or(c, |old| b.add(old, c))
        } else {
            self.voltage(
                b,
                terms,
                v,
                seen,
                self.convention.current == CurrentShape::Held,
            )
        };
        if let Some(direct) = terms.direct.as_ref().filter(|direct| !direct.is_zero()) {
            let direct = self.scaled(b, sum, "d", direct);
            v_pre = b.add(v_pre, direct);
        }
        let constant = self.constant(terms, increments);
        let v_pre = self.plus(b, v_pre, "k", &constant);
        Step {
            v,
            v_pre,
            kept: None,
            stores: vec![(i, i2)],
        }
    }

    /// The current after the tick, and what arrived.
    fn driven(
        &mut self,
        b: &mut BodyBuilder,
        synapse: &SynapseTerms,
        i0: Value,
        x: Array,
        biases: &[Array],
    ) -> (Value, Value) {
        let keeps = &synapse.decay.keeps;
        let before = self.convention.synapse_input == SynapseInput::BeforeDecay;
        let i2 = if before {
            let sum = self.input(b, x, biases);
            let drive = self.scaled(b, sum, "g", &synapse.gain);
            let all = b.add(i0, drive);
            let i2 = self.scaled(b, all, "a", keeps);
            return (self.plus(b, i2, "rest_i", &synapse.leak), sum);
        } else {
            self.scaled(b, i0, "a", keeps)
        };
        let sum = self.input(b, x, biases);
        let drive = self.scaled(b, sum, "g", &synapse.gain);
        let i2 = b.add(i2, drive);
        (self.plus(b, i2, "rest_i", &synapse.leak), sum)
    }

    /// `b V + g S`.
    fn without_synapse(
        &mut self,
        b: &mut BodyBuilder,
        terms: &Terms,
        x: Array,
        biases: &[Array],
    ) -> Step {
        let v = self.state("v");
        let held = self.convention.spike == SpikeShape::Held;
        let increments = self.convention.update == Update::Increment;
        let mut kept = None;
        let v_pre = if increments && held && terms.weights.is_one() {
            let sum = self.input(b, x, biases);
            self.voltage(b, terms, v, sum, true)
        } else {
            kept = self.kept(b, v, terms);
            let sum = self.input(b, x, biases);
            let drive = self.scaled(b, sum, "g", &terms.gain);
            kept.map_or(drive, |old| b.add(old, drive))
        };
        let constant = self.constant(terms, increments && held);
        let v_pre = self.plus(b, v_pre, "k", &constant);
        Step {
            v,
            v_pre,
            kept,
            stores: Vec::new(),
        }
    }

    /// The voltage that follows a current; `held` says that the current acts through the membrane's relaxation.
    fn voltage(
        &mut self,
        b: &mut BodyBuilder,
        terms: &Terms,
        v: Array,
        current: Value,
        held: bool,
    ) -> Value {
        let relaxes = terms.membrane.as_ref().map(|decay| &decay.relaxes);
        match relaxes.filter(|relaxes| !relaxes.is_zero()) {
            Some(relaxes) if self.convention.update == Update::Increment && held => {
                let v0 = self.before(b, v, "v0", &terms.rest);
                let target = self.scaled(b, current, "r", &terms.r);
                let target = self.plus(b, target, "rest", &terms.rest);
                self.towards(b, v0, target, "c", relaxes)
            }
            _ => {
                let old = self.kept(b, v, terms);
                let drive = self.scaled(b, current, "c", &terms.gain);
                old.map_or(drive, |old| b.add(old, drive))
            }
        }
    }

    /// `old + k (target - old)`.
    fn towards(
        &mut self,
        b: &mut BodyBuilder,
        old: Value,
        target: Value,
        name: &str,
        k: &Term,
    ) -> Value {
        let gap = b.sub(target, old);
        let k = self.coef(name, k);
        let k = b.coef(k);
        let step = b.mul(k, gap);
        b.add(old, step)
    }

    /// A state before the tick: states begin at 0, and where they are to begin at rest, they do so in the first
    /// tick.
    fn before(&mut self, b: &mut BodyBuilder, state: Array, name: &str, rest: &Term) -> Value {
        let kept = b.load(state);
        if self.convention.initial == Initial::Zero || rest.is_zero() {
            return kept;
        }
        let rest = self.coef(name, rest);
        let rest = b.coef(rest);
        let (tick, first) = (b.tick(), b.constant(self.convention.first_tick as f32));
        let later = b.cmp(Cmp::Gt, tick, first);
        b.select(later, kept, rest)
    }

    /// What a tick leaves of the voltage, if the membrane has a memory.
    fn kept(&mut self, b: &mut BodyBuilder, v: Array, terms: &Terms) -> Option<Value> {
        let decay = terms.membrane.as_ref()?;
        let v0 = self.before(b, v, "v0", &terms.rest);
        Some(self.scaled(b, v0, "b", &decay.keeps))
    }

    /// What is added to the voltage in every tick. A step by increments has the leak within it.
    fn constant(&self, terms: &Terms, increments: bool) -> Term {
        let leak = if increments {
            Term::new("0", Parameter::Uniform(0.0))
        } else {
            terms.leak.clone()
        };
        match &self.constants.membrane {
            None => leak,
            Some(bias) => {
                let own = bias.zip(&terms.constant.value, |bias, gain| bias * gain);
                Term::new(
                    format!("{} + bias {}", leak.formula, terms.constant.formula),
                    leak.value.zip(&own, |leak, own| leak + own),
                )
            }
        }
    }

    /// What arrived, with the biases.
    fn input(&mut self, b: &mut BodyBuilder, x: Array, biases: &[Array]) -> Value {
        let mut sum = b.load(x);
        for bias in biases {
            let bias = b.load(*bias);
            sum = b.add(sum, bias);
        }
        let constants = self.constants;
        if let Some(bias) = &constants.input {
            sum = self.plus(b, sum, "bias", &Term::new("bias", bias.clone()));
        }
        for (onset, bias) in &constants.delayed {
            let name = format!("bias.{onset}");
            let coef = self.coef(&name, &Term::new(name.clone(), bias.clone()));
            let coef = b.coef(coef);
            let (bin, first) = (b.tick(), b.constant(*onset as f32));
            let late = b.cmp(Cmp::Ge, bin, first);
            let zero = b.constant(0.0);
            let bias = b.select(late, coef, zero);
            sum = b.add(sum, bias);
        }
        sum
    }

    /// The product with a coefficient; none is needed where it is 1.
    fn scaled(&mut self, b: &mut BodyBuilder, v: Value, name: &str, term: &Term) -> Value {
        if term.is_one() {
            return v;
        }
        let coef = self.coef(name, term);
        let coef = b.coef(coef);
        b.mul(v, coef)
    }

    /// The sum with a coefficient; none is needed where it is 0.
    fn plus(&mut self, b: &mut BodyBuilder, v: Value, name: &str, term: &Term) -> Value {
        if term.is_zero() {
            return v;
        }
        let coef = self.coef(name, term);
        let coef = b.coef(coef);
        b.add(v, coef)
    }
}

/// `cond ? a : b`, where there is an `a`.
fn select(b: &mut BodyBuilder, cond: Value, a: Option<Value>, otherwise: Value) -> Value {
    match a {
        Some(a) => b.select(cond, a, otherwise),
        None => otherwise,
    }
}

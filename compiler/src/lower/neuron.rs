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
//! where `k = (1-b) v_leak`, and `c I` is `c I + d S` where the integrator is exact: then `c` and `d` are what
//! the current before the tick and the input do to the voltage in the course of it. The convention gives
//! decays and gains ([`super::coefficients`]), which `I` the voltage sees, threshold and reset.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coef, Coefficient, CoefficientValue, Domain, Handler,
    HandlerKind, Output, Process, Role, Row, SpikeTape, Tensor, Value,
};
use nirc_ir::network::{
    BiasPlace, Convention, Firing, Integrator, Membrane, Neuron, Order, Parameter, Population,
    Reset, ResetTime, Threshold,
};

use super::body::BodyBuilder;
use super::coefficients::{Coefficients, Term};

/// What arrives over one channel.
pub(super) struct Input {
    pub(super) chan: Chan,
    pub(super) projection: String,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
    /// Whether values arrive, and not spikes.
    pub(super) values: bool,
    /// Whether the channel names its synapses.
    pub(super) synapses: bool,
}

/// The forward process of a population; `tape` is what is kept of its spikes, if it has any.
pub(super) fn process(
    population: &Population,
    neuron: &Neuron,
    (convention, dt): (&Convention, f64),
    inputs: &[Input],
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
        convention,
        coefficients: Coefficients { convention, dt },
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
    builder.tick(neuron, x, &biases);
    builder.process
}

struct Builder<'a> {
    process: Process,
    convention: &'a Convention,
    coefficients: Coefficients<'a>,
}

/// The states and their new values, as the tick's body is written.
struct Step {
    v: Array,
    /// The voltage before a reset of this tick.
    v_pre: Value,
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
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: term.formula.clone(),
            value: match &term.value {
                Parameter::Uniform(v) => CoefficientValue::Uniform(*v),
                Parameter::PerNeuron(v) => CoefficientValue::PerLane(v.clone()),
            },
        })
    }

    /// `x = x + w`, or `x = x + w value`.
    fn event(&mut self, input: &Input, x: Array) {
        let weight = self.array(
            format!("{}.weight", input.projection),
            ArrayKind::Param(input.weight),
        );
        let (domain, row) = if input.synapses {
            (Domain::Synapses, Row::Synapse)
        } else {
            (Domain::Lanes, Row::Source)
        };
        let mut b = BodyBuilder::new();
        let sum = b.load(x);
        let w = b.load_row(weight, row);
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

    fn tick(&mut self, neuron: &Neuron, x: Array, biases: &[Array]) {
        let mut b = BodyBuilder::new();
        let step = if neuron.synapse.is_some() {
            self.with_synapse(&mut b, neuron, x, biases)
        } else {
            self.without_synapse(&mut b, neuron, x, biases)
        };
        let v_pre = self.leak(&mut b, neuron, step.v_pre);
        let step = Step { v_pre, ..step };
        match &neuron.firing {
            Some(firing) => self.fire(&mut b, firing, neuron, x, &step),
            None => {
                self.process.output = Output::State(step.v);
                self.store(&mut b, x, &step, step.v_pre);
            }
        }
        self.process.handlers.push(Handler {
            kind: HandlerKind::Tick,
            domain: Domain::Lanes,
            body: b.finish(),
        });
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
        firing: &Firing,
        neuron: &Neuron,
        x: Array,
        step: &Step,
    ) {
        let theta = self.coef("theta", &Term::named("v_threshold", &firing.threshold));
        let theta = b.coef(theta);
        let cmp = match self.convention.threshold {
            Threshold::Strict => Cmp::Gt,
            Threshold::Inclusive => Cmp::Ge,
        };
        let forgets = neuron.membrane == Membrane::Direct || self.convention.reset == Reset::None;
        if forgets {
            let fires = b.cmp(cmp, step.v_pre, theta);
            self.store(b, x, step, step.v_pre);
            b.spike(fires, Vec::new());
            return;
        }
        // A reset that comes a tick late acts on what this tick has made of the voltage.
        let (fires, v_next) = match self.convention.reset_time {
            ResetTime::Same => {
                let fires = b.cmp(cmp, step.v_pre, theta);
                let after = self.reset(b, firing, step.v_pre, theta);
                (fires, b.select(fires, after, step.v_pre))
            }
            ResetTime::Next => {
                let before = b.load(step.v);
                let fired = b.cmp(cmp, before, theta);
                let after = self.reset(b, firing, step.v_pre, theta);
                let v = b.select(fired, after, step.v_pre);
                (b.cmp(cmp, v, theta), v)
            }
        };
        self.store(b, x, step, v_next);
        b.spike(fires, Vec::new());
    }

    fn reset(&mut self, b: &mut BodyBuilder, firing: &Firing, v: Value, theta: Value) -> Value {
        match self.convention.reset {
            Reset::ToValue => {
                let value = self.coef("v_reset", &Term::named("v_reset", &firing.v_reset));
                b.coef(value)
            }
            Reset::ToZero => b.constant(0.0),
            Reset::Subtract => b.sub(v, theta),
            Reset::None => v,
        }
    }

    /// `a I + g S`, then the voltage that follows it.
    fn with_synapse(
        &mut self,
        b: &mut BodyBuilder,
        neuron: &Neuron,
        x: Array,
        biases: &[Array],
    ) -> Step {
        let i = self.state("i");
        let v = self.state("v");
        let terms = self.coefficients.synapse(neuron);
        let [a, d] = [&terms.decay_i, &terms.decay_v].map(|t| t.clone());
        let i0 = b.load(i);
        let i1 = self.scaled(b, i0, "a", a.as_ref());
        let (mut sum, past) = self.input(b, x, biases);
        let drive = self.scaled(b, sum, "g", terms.gain.as_ref());
        let i2 = b.add(i1, drive);
        let seen = match self.convention.order {
            Order::CurrentFirst => i2,
            Order::Simultaneous => i0,
        };
        let exact = self.convention.integrator == Integrator::Exact;
        let mut v_pre = match &neuron.membrane {
            Membrane::Direct => seen,
            _ => {
                let v0 = b.load(v);
                let v1 = self.scaled(b, v0, "b", d.as_ref());
                let from = if exact { i0 } else { seen };
                let v2 = self.scaled(b, from, "c", terms.coupling.as_ref());
                b.add(v1, v2)
            }
        };
        if let Some(direct) = &terms.direct {
            sum = self.scaled(b, sum, "d", Some(direct));
            v_pre = b.add(v_pre, sum);
        }
        if let Some(past) = past {
            let bias = self.scaled(b, past, "h", terms.membrane_bias.as_ref());
            v_pre = b.add(v_pre, bias);
        }
        Step {
            v,
            v_pre,
            stores: vec![(i, i2)],
        }
    }

    /// `b V + g S`.
    fn without_synapse(
        &mut self,
        b: &mut BodyBuilder,
        neuron: &Neuron,
        x: Array,
        biases: &[Array],
    ) -> Step {
        let v = self.state("v");
        let terms = self.coefficients.plain(neuron);
        let old = match &neuron.membrane {
            Membrane::Direct => None,
            _ => {
                let v0 = b.load(v);
                Some(self.scaled(b, v0, "b", terms.decay_v.as_ref()))
            }
        };
        let mut sum = b.load(x);
        for bias in biases {
            let bias = b.load(*bias);
            sum = b.add(sum, bias);
        }
        let drive = self.scaled(b, sum, "g", terms.gain.as_ref());
        Step {
            v,
            v_pre: old.map_or(drive, |old| b.add(old, drive)),
            stores: Vec::new(),
        }
    }

    /// What arrived, with the biases or with their sum apart, as the convention has it.
    fn input(&self, b: &mut BodyBuilder, x: Array, biases: &[Array]) -> (Value, Option<Value>) {
        let mut sum = b.load(x);
        let mut past = None;
        for bias in biases {
            let bias = b.load(*bias);
            match (self.convention.bias, past) {
                (BiasPlace::Input, _) => sum = b.add(sum, bias),
                (BiasPlace::Membrane, None) => past = Some(bias),
                (BiasPlace::Membrane, Some(other)) => past = Some(b.add(other, bias)),
            }
        }
        (sum, past)
    }

    /// The product with a coefficient; none is needed where it is 1.
    fn scaled(&mut self, b: &mut BodyBuilder, v: Value, name: &str, term: Option<&Term>) -> Value {
        let Some(term) = term else { return v };
        let coef = self.coef(name, term);
        let coef = b.coef(coef);
        b.mul(v, coef)
    }

    /// Adds `(1-b) v_leak` where it is not zero.
    fn leak(&mut self, b: &mut BodyBuilder, neuron: &Neuron, v: Value) -> Value {
        let Some(term) = self.coefficients.leak(neuron) else {
            return v;
        };
        let leak = self.coef("k", &term);
        let leak = b.coef(leak);
        b.add(v, leak)
    }
}

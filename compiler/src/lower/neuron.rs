//! Forward processes of spiking neurons.
//!
//! Every NIR neuron is linear between spikes. One tick of a CubaLIF population is
//! `I' = a I + g x`, `V' = b V + (1-b) (r I + v_leak)`, and of a LIF population
//! `V' = b V + g x + (1-b) v_leak`, where `x` is the weighted sum of the spikes that arrived plus the
//! bias. The convention gives the decays `a`, `b`, the gain `g`, which `I` the voltage sees, and the
//! reset.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coef, Coefficient, CoefficientValue, Domain, Handler,
    HandlerKind, Process, Role, Row, SpikeTape, Tensor, Value,
};
use nirc_ir::network::{
    Convention, Integrator, Network, Neuron, Order, Parameter, Population, Reset, SpikeShape,
    Synapse, Threshold,
};

use super::body::BodyBuilder;

/// What arrives over one channel.
pub(super) struct Input {
    pub(super) chan: Chan,
    pub(super) projection: String,
    pub(super) weight: Tensor,
    pub(super) bias: Option<Tensor>,
}

/// The forward process of a population.
pub(super) fn process(
    network: &Network,
    population: &Population,
    neuron: &Neuron,
    inputs: &[Input],
    bound: usize,
) -> Process {
    let mut builder = Builder {
        process: Process {
            name: population.name.clone(),
            role: Role::Neurons,
            lanes: population.size,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            tape: Some(SpikeTape {
                fields: Vec::new(),
                bound,
            }),
            handlers: Vec::new(),
        },
        convention: &network.convention,
        dt: network.dt,
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
    dt: f64,
}

impl Builder<'_> {
    fn array(&mut self, name: String, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl { name, kind })
    }

    fn state(&mut self, name: &str) -> Array {
        self.array(name.to_owned(), ArrayKind::State { init: 0.0 })
    }

    fn coef(&mut self, name: &str, formula: &str, value: &Parameter) -> Coef {
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: formula.to_owned(),
            value: match value {
                Parameter::Uniform(v) => CoefficientValue::Uniform(*v),
                Parameter::PerNeuron(v) => CoefficientValue::PerLane(v.clone()),
            },
        })
    }

    /// `x = x + w[source]`.
    fn event(&mut self, input: &Input, x: Array) {
        let weight = self.array(
            format!("{}.weight", input.projection),
            ArrayKind::Param(input.weight),
        );
        let mut b = BodyBuilder::new();
        let sum = b.load(x);
        let w = b.load_row(weight, Row::Source);
        let next = b.add(sum, w);
        b.store(x, next);
        self.process.handlers.push(Handler {
            kind: HandlerKind::Event(input.chan),
            domain: Domain::Lanes,
            body: b.finish(),
        });
    }

    fn tick(&mut self, neuron: &Neuron, x: Array, biases: &[Array]) {
        let mut b = BodyBuilder::new();
        let decay = self.decay(&neuron.tau_mem);
        let relax = decay.map(|d| 1.0 - d);
        let (v_pre, stores, v) = match &neuron.synapse {
            Some(synapse) => self.cuba_lif(&mut b, neuron, synapse, &decay, &relax, x, biases),
            None => self.lif(&mut b, neuron, &decay, &relax, x, biases),
        };
        let v_pre = self.leak(&mut b, neuron, &relax, v_pre);
        let theta = self.coef("theta", "v_threshold", &neuron.threshold);
        let theta = b.coef(theta);
        let cmp = match self.convention.threshold {
            Threshold::Strict => Cmp::Gt,
            Threshold::Inclusive => Cmp::Ge,
        };
        let fires = b.cmp(cmp, v_pre, theta);
        let after = match self.convention.reset {
            Reset::ToValue => {
                let value = self.coef("v_reset", "v_reset", &neuron.v_reset);
                b.coef(value)
            }
            Reset::Subtract => b.sub(v_pre, theta),
        };
        let v_next = b.select(fires, after, v_pre);
        let zero = b.constant(0.0);
        b.store(x, zero);
        for (array, value) in stores {
            b.store(array, value);
        }
        b.store(v, v_next);
        b.spike(fires, Vec::new());
        self.process.handlers.push(Handler {
            kind: HandlerKind::Tick,
            domain: Domain::Lanes,
            body: b.finish(),
        });
    }

    /// `I' = a I + g x`, then `b V + c I`; returns the voltage, the other stores, and the array of `V`.
    #[expect(clippy::too_many_arguments, reason = "the terms of one formula")]
    fn cuba_lif(
        &mut self,
        b: &mut BodyBuilder,
        neuron: &Neuron,
        synapse: &Synapse,
        decay: &Parameter,
        relax: &Parameter,
        x: Array,
        biases: &[Array],
    ) -> (Value, Vec<(Array, Value)>, Array) {
        let i = self.state("i");
        let v = self.state("v");
        let synaptic = self.decay(&synapse.tau_syn);
        let a = self.coef("a", self.decay_formula("tau_syn"), &synaptic);
        let d = self.coef("b", self.decay_formula("tau_mem"), decay);
        let coupling = relax.zip(&neuron.r, |relax, r| relax * r);
        let formula = if neuron.r.is(1.0) {
            "1 - b"
        } else {
            "(1 - b) r"
        };
        let c = self.coef("c", formula, &coupling);
        let gain = self.gain(&synapse.tau_syn, &synaptic, &synapse.w_in);

        let i0 = b.load(i);
        let a = b.coef(a);
        let i1 = b.mul(i0, a);
        let drive = self.drive(b, x, biases, &gain, self.gain_formula("tau_syn", "w_in"));
        let i2 = b.add(i1, drive);
        let v0 = b.load(v);
        let d = b.coef(d);
        let v1 = b.mul(v0, d);
        let c = b.coef(c);
        let seen = match self.convention.order {
            Order::CurrentFirst => i2,
            Order::Simultaneous => i0,
        };
        let v2 = b.mul(seen, c);
        let v3 = b.add(v1, v2);
        (v3, vec![(i, i2)], v)
    }

    /// `b V + g x`.
    fn lif(
        &mut self,
        b: &mut BodyBuilder,
        neuron: &Neuron,
        decay: &Parameter,
        relax: &Parameter,
        x: Array,
        biases: &[Array],
    ) -> (Value, Vec<(Array, Value)>, Array) {
        let _ = relax;
        let v = self.state("v");
        let d = self.coef("b", self.decay_formula("tau_mem"), decay);
        let gain = self.gain(&neuron.tau_mem, decay, &neuron.r);
        let v0 = b.load(v);
        let d = b.coef(d);
        let v1 = b.mul(v0, d);
        let drive = self.drive(b, x, biases, &gain, self.gain_formula("tau_mem", "r"));
        let v2 = b.add(v1, drive);
        (v2, Vec::new(), v)
    }

    /// `g (x + biases)`; a gain of exactly 1 needs no operation.
    fn drive(
        &mut self,
        b: &mut BodyBuilder,
        x: Array,
        biases: &[Array],
        gain: &Parameter,
        formula: &'static str,
    ) -> Value {
        let mut sum = b.load(x);
        for bias in biases {
            let bias = b.load(*bias);
            sum = b.add(sum, bias);
        }
        if is_one(gain) {
            return sum;
        }
        let gain = self.coef("g", formula, gain);
        let gain = b.coef(gain);
        b.mul(sum, gain)
    }

    /// Adds `(1-b) v_leak` where it is not zero.
    fn leak(&mut self, b: &mut BodyBuilder, neuron: &Neuron, relax: &Parameter, v: Value) -> Value {
        if neuron.v_leak.is(0.0) {
            return v;
        }
        let value = relax.zip(&neuron.v_leak, |relax, leak| relax * leak);
        let leak = self.coef("k", "(1 - b) v_leak", &value);
        let leak = b.coef(leak);
        b.add(v, leak)
    }

    fn decay(&self, tau: &Parameter) -> Parameter {
        let dt = self.dt;
        match self.convention.integrator {
            Integrator::Exponential => tau.map(|tau| (-dt / tau).exp()),
            Integrator::Euler => tau.map(|tau| 1.0 - dt / tau),
        }
    }

    fn decay_formula(&self, tau: &str) -> &'static str {
        match (self.convention.integrator, tau) {
            (Integrator::Exponential, "tau_syn") => "exp(-dt/tau_syn)",
            (Integrator::Exponential, _) => "exp(-dt/tau_mem)",
            (Integrator::Euler, "tau_syn") => "1 - dt/tau_syn",
            (Integrator::Euler, _) => "1 - dt/tau_mem",
        }
    }

    /// How far a spike of weight 1 moves the state that it drives.
    fn gain(&self, tau: &Parameter, decay: &Parameter, scale: &Parameter) -> Parameter {
        let dt = self.dt;
        let unit = match self.convention.spike {
            SpikeShape::Impulse => tau.map(|tau| dt / tau),
            SpikeShape::Held => decay.map(|d| 1.0 - d),
        };
        scale.zip(&unit, |scale, unit| scale * unit)
    }

    fn gain_formula(&self, tau: &str, _scale: &str) -> &'static str {
        match (self.convention.spike, tau) {
            (SpikeShape::Impulse, "tau_syn") => "w_in dt/tau_syn",
            (SpikeShape::Impulse, _) => "r dt/tau_mem",
            (SpikeShape::Held, "tau_syn") => "w_in (1 - a)",
            (SpikeShape::Held, _) => "r (1 - b)",
        }
    }
}

/// Whether a gain is 1 up to the rounding of the formula it came from.
fn is_one(gain: &Parameter) -> bool {
    let near = |g: f64| (g - 1.0).abs() < 1e-12;
    match gain {
        Parameter::Uniform(g) => near(*g),
        Parameter::PerNeuron(g) => g.iter().all(|g| near(*g)),
    }
}

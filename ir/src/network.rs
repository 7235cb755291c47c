//! The Network IR: populations, projections, their parameters with units, and the time model.
//!
//! A network is what a NIR graph means under a named [`Convention`]: nothing about order, reset or
//! integration is left open. Times are seconds, voltages in the file's own unit, weights `f32`.

use serde::{Deserialize, Serialize};

use crate::entity;
use crate::entity::PrimaryMap;

entity! {
    /// A population of neurons or input channels.
    Pop, "pop"
}
entity! {
    /// A projection: all connections from one population to another through one weight node.
    Proj, "proj"
}

/// A spiking network with explicit semantics, in topological order of its populations.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name, from the file or the user.
    pub name: String,
    /// Length of a tick in seconds.
    pub dt: f64,
    /// Every semantic choice.
    pub convention: Convention,
    /// Populations; a projection's `pre` always precedes its `post`.
    pub populations: PrimaryMap<Pop, Population>,
    /// Projections, ordered by (`post`, `pre`, node name).
    pub projections: PrimaryMap<Proj, Projection>,
    /// The population whose spikes leave the network.
    pub output: Pop,
}

/// A population.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// The NIR node's path.
    pub name: String,
    /// Number of neurons or channels.
    pub size: usize,
    /// What it is made of.
    pub kind: PopulationKind,
}

/// What a population is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum PopulationKind {
    /// Spikes come from outside.
    Source,
    /// Spiking neurons.
    Neurons(Neuron),
}

/// Parameters of a spiking neuron, in the notation of NIR.
///
/// `tau_mem v' = (v_leak - v) + r I`; with `synapse`: `tau_syn I' = -I + w_in S`, otherwise `I = S`,
/// where `S` is the weighted sum of arriving spikes.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// Membrane time constant, seconds.
    pub tau_mem: Parameter,
    /// Membrane resistance.
    pub r: Parameter,
    /// Leak (resting) voltage.
    pub v_leak: Parameter,
    /// Firing threshold.
    pub threshold: Parameter,
    /// Voltage after a spike, for [`Reset::ToValue`].
    pub v_reset: Parameter,
    /// Exponential synapse (CubaLIF); `None` for LIF.
    pub synapse: Option<Synapse>,
}

/// An exponential current synapse.
#[derive(Clone, Debug, PartialEq)]
pub struct Synapse {
    /// Synaptic time constant, seconds.
    pub tau_syn: Parameter,
    /// Input scaling.
    pub w_in: Parameter,
}

/// A parameter of a population.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// The same for every neuron.
    Uniform(f64),
    /// One value a neuron.
    PerNeuron(Vec<f64>),
}

impl Parameter {
    /// The value of neuron `n`.
    ///
    /// # Panics
    /// If `n` is not a neuron of the population.
    pub fn at(&self, n: usize) -> f64 {
        match self {
            Self::Uniform(v) => *v,
            Self::PerNeuron(v) => v[n],
        }
    }

    /// Per-neuron values, folded to [`Parameter::Uniform`] when all are equal.
    pub fn from_values(values: Vec<f64>) -> Self {
        match values.split_first() {
            Some((first, rest)) if rest.iter().all(|v| v.to_bits() == first.to_bits()) => {
                Self::Uniform(*first)
            }
            _ => Self::PerNeuron(values),
        }
    }

    /// A function of each value.
    #[must_use]
    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Uniform(v) => Self::Uniform(f(*v)),
            Self::PerNeuron(v) => Self::PerNeuron(v.iter().map(|v| f(*v)).collect()),
        }
    }

    /// A function of this and another parameter, neuron by neuron.
    #[must_use]
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        match (self, other) {
            (Self::Uniform(a), Self::Uniform(b)) => Self::Uniform(f(*a, *b)),
            (Self::PerNeuron(v), o) => {
                Self::from_values(v.iter().enumerate().map(|(n, a)| f(*a, o.at(n))).collect())
            }
            (Self::Uniform(a), Self::PerNeuron(v)) => {
                Self::from_values(v.iter().map(|b| f(*a, *b)).collect())
            }
        }
    }

    /// Whether every value equals `x`.
    pub fn is(&self, x: f64) -> bool {
        match self {
            Self::Uniform(v) => *v == x,
            Self::PerNeuron(v) => v.iter().all(|v| *v == x),
        }
    }
}

/// All connections from `pre` to `post` through one Linear or Affine node.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// The NIR weight node's path.
    pub name: String,
    /// Source population.
    pub pre: Pop,
    /// Target population.
    pub post: Pop,
    /// Weights, row per *source*: `weights[j * post.size + n]` connects source `j` to neuron `n`
    /// (the transpose of NIR's `weight[n][j]`).
    pub weights: Vec<f32>,
    /// Constant input of each target neuron in every tick (Affine), if the node has one.
    pub bias: Option<Vec<f32>>,
    /// Delay in ticks; at least 1.
    pub delay: u32,
    /// Whether training changes it.
    pub trainable: bool,
}

/// How the differential equations advance by one tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrator {
    /// Decay by `exp(-dt/tau)`.
    Exponential,
    /// Forward Euler: decay by `1 - dt/tau`.
    Euler,
}

/// Which synaptic current the voltage sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The current is updated first; the voltage uses the new one.
    CurrentFirst,
    /// Both use the state before the tick.
    Simultaneous,
}

/// What a spike does to the voltage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// `v := v_reset`.
    ToValue,
    /// `v := v - threshold`.
    Subtract,
}

/// When a neuron fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// `v > threshold`.
    Strict,
    /// `v >= threshold`.
    Inclusive,
}

/// What an arriving spike is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpikeShape {
    /// A pulse of area `dt`: the driven state jumps by `gain * dt / tau * weight`.
    Impulse,
    /// The value 1 held for the tick: the driven state moves by `gain * (1 - decay) * weight`.
    Held,
}

/// Every semantic choice that a NIR file leaves open, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convention {
    /// Name of the preset it started from.
    pub name: String,
    /// Integration method.
    pub integrator: Integrator,
    /// Order of current and voltage.
    pub order: Order,
    /// Reset kind.
    pub reset: Reset,
    /// Threshold comparison.
    pub threshold: Threshold,
    /// Meaning of a spike.
    pub spike: SpikeShape,
    /// Delay of a projection, ticks.
    pub delay: u32,
    /// Seconds that the file's unit of time stands for (1 when it is written in seconds).
    pub time_unit: f64,
}

impl Convention {
    /// Names of the presets.
    pub const PRESETS: [&'static str; 2] = ["eventprop", "nir"];

    /// The preset called `name`.
    pub fn preset(name: &str) -> Option<Self> {
        match name {
            "eventprop" => Some(Self {
                name: name.to_owned(),
                integrator: Integrator::Exponential,
                order: Order::CurrentFirst,
                reset: Reset::ToValue,
                threshold: Threshold::Strict,
                spike: SpikeShape::Impulse,
                delay: 1,
                time_unit: 1.0,
            }),
            "nir" => Some(Self {
                name: name.to_owned(),
                integrator: Integrator::Euler,
                order: Order::Simultaneous,
                reset: Reset::ToValue,
                threshold: Threshold::Strict,
                spike: SpikeShape::Held,
                delay: 1,
                time_unit: 1.0,
            }),
            _ => None,
        }
    }
}

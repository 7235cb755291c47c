//! The Network IR: populations, projections, their parameters with units, and the time model.
//!
//! A network is what a NIR graph means under a named [`Convention`]: nothing about order, reset or
//! integration is left open. Times are seconds, voltages in the file's own unit, weights `f32`.

use crate::connection::Axis;
use crate::entity;
use crate::entity::{Entity, PrimaryMap};
use crate::linear::Node;

pub use crate::convention::*;

entity! {
    /// A population of neurons or input channels.
    Pop, "pop"
}
entity! {
    /// A projection: all connections from one population to another through one weight node.
    Proj, "proj"
}

/// A spiking network with explicit semantics.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name, from the file or the user.
    pub name: String,
    /// Length of a tick in seconds.
    pub dt: f64,
    /// Every semantic choice.
    pub convention: Convention,
    /// Populations; a projection without a delay leads to a later one.
    pub populations: PrimaryMap<Pop, Population>,
    /// Projections, ordered by (`post`, `pre`, name).
    pub projections: PrimaryMap<Proj, Projection>,
    /// What leaves the network: at least one port, by names.
    pub outputs: Vec<Port>,
}

/// A population whose spikes or values leave the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The NIR Output node's path.
    pub name: String,
    /// What leaves through it.
    pub population: Pop,
}

impl Network {
    /// The semantic choices of a population.
    pub fn convention_of(&self, pop: Pop) -> &Convention {
        let own = self.populations[pop].convention.as_ref();
        own.unwrap_or(&self.convention)
    }

    /// Whether values leave a population in each tick, and not spikes.
    pub fn emits_values(&self, pop: Pop) -> bool {
        match &self.populations[pop].kind {
            PopulationKind::Source => false,
            PopulationKind::Graded => true,
            PopulationKind::Neurons(neuron) => {
                let counts = self.convention_of(pop).spikes == SpikeCount::Multiple;
                neuron.firing.is_none() || counts && neuron.membrane != Membrane::Direct
            }
        }
    }

    /// Whether a projection is part of a cycle.
    pub fn is_recurrent(&self, proj: Proj) -> bool {
        let Projection { pre, post, .. } = self.projections[proj];
        let mut reached: Vec<bool> = self.populations.keys().map(|pop| pop == post).collect();
        let mut open = vec![post];
        while let Some(pop) = open.pop() {
            for (_, next) in self.outgoing(pop) {
                if !std::mem::replace(&mut reached[next.post.index()], true) {
                    open.push(next.post);
                }
            }
        }
        reached[pre.index()]
    }

    /// The population behind the only Output, which is the one that training reads.
    pub fn readout(&self) -> Option<Pop> {
        match &self.outputs[..] {
            [port] => Some(port.population),
            _ => None,
        }
    }

    /// Projections into `pop`, ascending.
    pub fn incoming(&self, pop: Pop) -> impl Iterator<Item = (Proj, &Projection)> {
        self.projections.iter().filter(move |(_, p)| p.post == pop)
    }

    /// Projections out of `pop`, ascending.
    pub fn outgoing(&self, pop: Pop) -> impl Iterator<Item = (Proj, &Projection)> {
        self.projections.iter().filter(move |(_, p)| p.pre == pop)
    }
}

/// A population.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// The NIR node's path.
    pub name: String,
    /// Number of neurons or channels: the product of the shape.
    pub size: usize,
    /// Axes, channels first; `[size]` for a plain vector.
    pub shape: Vec<usize>,
    /// What it is made of.
    pub kind: PopulationKind,
    /// The semantic choices where they differ from the network's.
    pub convention: Option<Convention>,
    /// Factor by which the weights and biases into it are larger than the file's, as after quantisation.
    pub weight_scale: f64,
}

impl Population {
    /// A population that is a vector.
    pub fn vector(name: impl Into<String>, size: usize, kind: PopulationKind) -> Self {
        Self {
            name: name.into(),
            size,
            shape: vec![size],
            kind,
            convention: None,
            weight_scale: 1.0,
        }
    }
}

/// What a population is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum PopulationKind {
    /// Spikes come from outside.
    Source,
    /// Values come from outside, one a channel and tick.
    Graded,
    /// Neurons.
    Neurons(Neuron),
}

/// Parameters of a neuron, in the notation of NIR. `S` is the weighted sum of what arrives.
///
/// | NIR | membrane | synapse | firing |
/// |---|---|---|---|
/// | Threshold | direct | | yes |
/// | I, IF | integrator | | no, yes |
/// | LI, LIF | leaky | | no, yes |
/// | CubaLI, CubaLIF | leaky | yes | no, yes |
///
/// What does not fire emits its voltage. A direct membrane that does not fire passes on what it gets: that is
/// what stands where weights, and not neurons, lead into an Output.
#[derive(Clone, Debug, PartialEq)]
pub struct Neuron {
    /// How the voltage follows the current.
    pub membrane: Membrane,
    /// Exponential synapse, `tau_syn I' = -I + w_in S`; without it, `I = S`.
    pub synapse: Option<Synapse>,
    /// When it spikes; `None` where its voltage leaves it instead.
    pub firing: Option<Firing>,
}

/// How the voltage follows the current.
#[derive(Clone, Debug, PartialEq)]
pub enum Membrane {
    /// `V = I`: no memory.
    Direct,
    /// `V' = r I`.
    Integrator {
        /// Membrane resistance.
        r: Parameter,
    },
    /// `tau V' = (v_leak - V) + r I`.
    Leaky {
        /// Membrane time constant, seconds.
        tau: Parameter,
        /// Membrane resistance.
        r: Parameter,
        /// Leak (resting) voltage.
        v_leak: Parameter,
    },
}

/// When a neuron spikes, and where that leaves it.
#[derive(Clone, Debug, PartialEq)]
pub struct Firing {
    /// Firing threshold.
    pub threshold: Parameter,
    /// Voltage after a spike, for [`Reset::ToValue`].
    pub v_reset: Parameter,
}

/// An exponential current synapse.
#[derive(Clone, Debug, PartialEq)]
pub struct Synapse {
    /// Synaptic time constant, seconds.
    pub tau_syn: Parameter,
    /// Input scaling.
    pub w_in: Parameter,
}

impl Neuron {
    /// A leaky integrate-and-fire neuron (LIF).
    pub fn lif(tau: f64, threshold: f64) -> Self {
        let uniform = Parameter::Uniform;
        Self {
            membrane: Membrane::Leaky {
                tau: uniform(tau),
                r: uniform(1.0),
                v_leak: uniform(0.0),
            },
            synapse: None,
            firing: Some(Firing {
                threshold: uniform(threshold),
                v_reset: uniform(0.0),
            }),
        }
    }

    /// The same with an exponential synapse (CubaLIF).
    pub fn cuba_lif(tau_mem: f64, tau_syn: f64, threshold: f64) -> Self {
        let uniform = Parameter::Uniform;
        Self {
            synapse: Some(Synapse {
                tau_syn: uniform(tau_syn),
                w_in: uniform(1.0),
            }),
            ..Self::lif(tau_mem, threshold)
        }
    }

    /// The type of NIR node that it is; `Relay` for what passes on what it gets, which NIR does without.
    pub fn nir_type(&self) -> &'static str {
        let fires = self.firing.is_some();
        match (&self.membrane, &self.synapse) {
            (Membrane::Direct, None) if fires => "Threshold",
            (Membrane::Direct, _) => "Relay",
            (Membrane::Integrator { .. }, _) if fires => "IF",
            (Membrane::Integrator { .. }, _) => "I",
            (Membrane::Leaky { .. }, None) if fires => "LIF",
            (Membrane::Leaky { .. }, None) => "LI",
            (Membrane::Leaky { .. }, Some(_)) if fires => "CubaLIF",
            (Membrane::Leaky { .. }, Some(_)) => "CubaLI",
        }
    }

    /// All parameters by their names.
    pub fn parameters(&self) -> Vec<(&'static str, &Parameter)> {
        let mut all = match &self.membrane {
            Membrane::Direct => Vec::new(),
            Membrane::Integrator { r } => vec![("r", r)],
            Membrane::Leaky { tau, r, v_leak } => {
                vec![("tau_mem", tau), ("r", r), ("v_leak", v_leak)]
            }
        };
        if let Some(Firing { threshold, v_reset }) = &self.firing {
            all.extend([("threshold", threshold), ("v_reset", v_reset)]);
        }
        if let Some(Synapse { tau_syn, w_in }) = &self.synapse {
            all.extend([("tau_syn", tau_syn), ("w_in", w_in)]);
        }
        all
    }
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

/// All connections from `pre` to `post` along one path of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Projection {
    /// The NIR weight node's path; of a path of several nodes, their paths with `+` between.
    pub name: String,
    /// Source population.
    pub pre: Pop,
    /// Target population.
    pub post: Pop,
    /// What lies between.
    pub link: Link,
    /// Constant input of each target neuron in every tick, if there is any.
    pub bias: Option<Vec<f32>>,
    /// Delay in ticks; 0 only towards later populations.
    pub delay: u32,
    /// What the spikes of each source are late beside that; only with exact event times.
    pub delays: Option<SourceDelays>,
    /// Whether training changes it.
    pub trainable: bool,
    /// What every weight of the link is multiplied with, because a node that weighs all alike (an average, a Scale)
    /// lies on the way. Only where training changes the weights: otherwise they are multiplied out, and it is 1.
    pub factor: f64,
    /// How many neighbouring neurons share an element of the bias, where training changes it: the places of a
    /// convolution's channel. 1 elsewhere.
    pub bias_run: usize,
}

impl Projection {
    /// Weights times the factor, rounded once.
    pub fn multiplied(&self, weights: &[f32]) -> Vec<f32> {
        let factor = self.factor;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the one rounding of a weight"
        )]
        let product = |weight: &f32| (f64::from(*weight) * factor) as f32;
        weights.iter().map(product).collect()
    }

    /// Multiplies the factor into the weights, which are no longer those that training changes.
    pub fn multiply_out(&mut self) {
        if self.factor.to_bits() == 1.0_f64.to_bits() {
            return;
        }
        let multiplied = match &self.link {
            Link::Dense(weights) | Link::Taps { weights, .. } => self.multiplied(weights),
            Link::Path(_) => return,
        };
        if let Link::Dense(weights) | Link::Taps { weights, .. } = &mut self.link {
            *weights = multiplied;
        }
        self.factor = 1.0;
        self.trainable = false;
    }

    /// The bias, an element for all neurons that share it.
    pub fn shared_bias(&self) -> Option<Vec<f32>> {
        let bias = self.bias.as_ref()?;
        Some(bias.iter().step_by(self.bias_run.max(1)).copied().collect())
    }
}

/// Delays of a projection's sources.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDelays {
    /// The NIR Delay node's path; of several nodes, their paths with `+` between.
    pub name: String,
    /// At least 0, in bins that need not be whole.
    pub bins: Vec<f32>,
    /// Whether training changes them.
    pub trainable: bool,
}

/// What lies between two populations.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// The nodes as they stand in the file, in order; what importing leaves. At least one.
    Path(Vec<Node>),
    /// All to all. Weights lie a row a *source*: `weights[j * post.size + n]` connects source `j` to neuron
    /// `n` (the transpose of NIR's `weight[n][j]`).
    Dense(Vec<f32>),
    /// Synapses that a product of axes names, and the weights that they share.
    Taps {
        /// Which weight leads from which source to which neuron.
        axes: Vec<Axis>,
        /// The weights, in the order that the taps name.
        weights: Vec<f32>,
    },
}

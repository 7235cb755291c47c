//! What a program is compiled for, beside the network itself.

use std::num::NonZeroU32;

/// Everything that lowering needs to know beside the network.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Number of bins of a sample, `T`; at least 2 where something goes backwards.
    pub ticks: u32,
    /// Samples a batch; the loss is a mean over them.
    pub batch: usize,
    /// Replicas that take the samples of a batch in turn.
    pub replicas: usize,
    /// Most own spikes of a population in one sample; `None` = one a neuron and bin, which is as many as there can
    /// be in ticks.
    pub spike_bound: Option<usize>,
    /// Loss, for programs that train or measure; `None` for plain inference.
    pub loss: Option<Loss>,
    /// Whether adjoint handlers are derived (needs a loss).
    pub adjoint: bool,
    /// What the numbers of spikes cost beside the loss (needs `adjoint`).
    pub regularise: Vec<Regulariser>,
    /// Optimiser (needs `adjoint`); `None` for gradients only.
    pub optimiser: Option<Optimiser>,
    /// What to record.
    pub record: Vec<Record>,
    /// Exact event times; `None` for ticks.
    pub events: Option<ExactTimes>,
}

/// What programs of exact event times can be asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactTimes {
    /// Least slope that a spike's error is divided by, `tau dV/dt` in units of the reset's height. The gradient of a
    /// spike that only grazed the threshold is true for tiny changes alone; 0 for exact gradients.
    pub guard: f64,
    /// Whether errors go back to input spikes: the derivatives by their times and by delays of inputs.
    pub input_errors: bool,
}

impl Default for ExactTimes {
    /// With a guard of 0.1: values from 0.02 to 0.3 trained Yin-Yang alike, which no guard did less reliably.
    fn default() -> Self {
        Self {
            guard: 0.1,
            input_errors: false,
        }
    }
}

/// The loss at the end of a sample. Times are in bins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loss {
    /// Cross entropy over `softmax(-t_first / xi)` plus `alpha * (exp(t_label / beta) - 1)`; silent
    /// outputs count as `t = T`.
    FirstSpike {
        /// Softmax scale, bins.
        xi: f64,
        /// Weight of the early-spike term.
        alpha: f64,
        /// Its time scale, bins.
        beta: f64,
    },
    /// The same with silent outputs left out of the softmax, as the published on-chip notebook has it;
    /// time scales in seconds.
    FirstSpikeSeconds {
        /// Softmax scale, seconds.
        tau_0: f64,
        /// Weight of the early-spike term.
        alpha: f64,
        /// Its time scale, seconds.
        tau_1: f64,
    },
    /// Mean square of the distance of first spikes from target times, in bins; silent outputs count as
    /// `t = T`, and get no error.
    TargetTimes {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
    /// Mean square of the distance of outputs' numbers of spikes from targets. A number of spikes has no
    /// gradient: spikes and silent voltages are pushed instead.
    SpikeCount {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
    /// Cross entropy of a score of each output's voltage.
    Voltage {
        /// The score.
        score: Score,
    },
    /// Mean square of the voltage's distance from a target, over outputs and ticks.
    VoltageError {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
    /// The error of every output spike is given with the sample.
    Given,
}

impl Loss {
    /// Whether it reads voltages, and not spikes.
    pub fn reads_values(self) -> bool {
        matches!(self, Self::Voltage { .. } | Self::VoltageError { .. })
    }
}

/// What is read of a voltage over a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// Its maximum.
    Max,
    /// Its sum over the ticks.
    Sum,
    /// Its mean over the ticks, weighted with `exp(-t / tau)`.
    Average {
        /// In bins; `None` for equal weights.
        tau: Option<f64>,
    },
    /// Its value in the last tick.
    Final,
}

/// What the number of spikes of a population's neurons costs in a sample, as a push and not as a derivative.
#[derive(Clone, Debug, PartialEq)]
pub struct Regulariser {
    /// Name of the population.
    pub population: String,
    /// Of what neurons and counts.
    pub cost: Cost,
    /// Factor on the cost.
    pub strength: f64,
}

/// What costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cost {
    /// Half the square of what a neuron has more than `most` spikes, or fewer than `least`.
    Bounds {
        /// Fewest spikes that cost nothing.
        least: f64,
        /// Most spikes that cost nothing.
        most: f64,
    },
    /// A neuron that does not spike at all.
    Silent,
    /// The label's neuron, if it does not spike; of the population that the loss reads.
    SilentLabel,
}

/// The optimiser.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimiser {
    /// Update rule.
    pub rule: Rule,
    /// Learning rate that the schedule starts from.
    pub learning_rate: f64,
    /// Weight decay: L2, added to the gradient; of AdamW, taken off the weight.
    pub weight_decay: f64,
    /// Batches in which the rate rises to `learning_rate`: in batch `n` (from 1) it is `n / warm_up` of it.
    /// The schedule starts after them.
    pub warm_up: Option<NonZeroU32>,
    /// How the learning rate goes on.
    pub schedule: Schedule,
    /// How gradients are clipped, before all else.
    pub clip: Option<Clip>,
    /// Factor on the learning rate of delays, which are numbers of bins; their weights do not decay.
    pub delay_rate: f64,
}

impl Optimiser {
    /// A rule at a constant learning rate, and nothing else.
    pub fn new(rule: Rule, learning_rate: f64) -> Self {
        Self {
            rule,
            learning_rate,
            weight_decay: 0.0,
            warm_up: None,
            schedule: Schedule::Constant,
            clip: None,
            delay_rate: 1.0,
        }
    }

    /// What delays are trained by.
    pub(crate) fn of_delays(self) -> Self {
        let schedule = match self.schedule {
            Schedule::Cosine { batches, last } => Schedule::Cosine {
                batches,
                last: last * self.delay_rate,
            },
            other => other,
        };
        Self {
            learning_rate: self.learning_rate * self.delay_rate,
            weight_decay: 0.0,
            schedule,
            ..self
        }
    }
}

/// Update rules, as in PyTorch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// Gradient descent, with momentum unless it is 0 (dampening 0).
    Sgd {
        /// Decay of the momentum.
        momentum: f64,
        /// Whether the step looks ahead along the momentum.
        nesterov: bool,
    },
    /// Adam with bias correction.
    Adam {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the denominator.
        epsilon: f64,
    },
    /// Adam with weight decay that does not pass through the moments.
    AdamW {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the denominator.
        epsilon: f64,
    },
    /// Adam with the largest recent gradient in place of the second moment.
    AdaMax {
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the largest gradient.
        beta2: f64,
        /// Added to the size of the gradient.
        epsilon: f64,
    },
}

/// The learning rate of batch `k`, counted from 0 after the warm-up; `first` is
/// [`Optimiser::learning_rate`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// `first`.
    Constant,
    /// `first factor^k`.
    Exponential {
        /// Factor after every batch.
        factor: f64,
    },
    /// `first factor^floor(k / batches)`.
    Step {
        /// Batches between decays.
        batches: NonZeroU32,
        /// Factor of each decay.
        factor: f64,
    },
    /// `last + (first - last) (1 + cos(pi k / batches)) / 2`.
    Cosine {
        /// Batches down to the last rate; behind them the rate rises again.
        batches: NonZeroU32,
        /// The learning rate at the end.
        last: f64,
    },
}

/// Clipping of gradients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clip {
    /// Each element to this distance from 0 (`clip_grad_value_`).
    Value(f64),
    /// All tensors together to this Euclidean norm (`clip_grad_norm_`).
    Norm(f64),
}

/// Something to record: `population.quantity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Name of the population.
    pub population: String,
    /// What of it.
    pub quantity: Quantity,
}

/// What can be recorded; shape `f32[T, lanes]` a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Spikes, 0 or 1 by bin: no trace, but the tape of own spikes.
    Spikes,
    /// Voltage before the reset, by bin.
    VPre,
    /// Voltage after the reset, by bin.
    V,
    /// Synaptic current, by bin.
    I,
    /// Adjoint of the voltage, row `i` = after adjoint step `i`.
    LambdaV,
    /// Adjoint of the current, likewise.
    LambdaI,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Spikes,
        Self::VPre,
        Self::V,
        Self::I,
        Self::LambdaV,
        Self::LambdaI,
    ];

    /// Its name in commands, files and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spikes => "spikes",
            Self::VPre => "v_pre",
            Self::V => "v",
            Self::I => "i",
            Self::LambdaV => "lambda_v",
            Self::LambdaI => "lambda_i",
        }
    }

    /// The quantity of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|q| q.name() == name)
    }

    /// Whether only a program with adjoint handlers has it.
    pub fn is_adjoint(self) -> bool {
        matches!(self, Self::LambdaV | Self::LambdaI)
    }
}

//! The configuration: one TOML file, every choice of a run.
//!
//! Reading collects every problem before it fails, each with the key's path and a remedy. `--set`
//! overrides work on the TOML tree, so that they pass the same checks as the file.

mod data;
mod loss;
mod optimiser;
mod parse;
mod regularise;
mod section;
mod split;
mod temporal;
mod tree;

use std::path::{Path, PathBuf};

use nirc_compiler::options::ExactTimes;
use nirc_compiler::passes::{self, Change};
use nirc_ir::network::Convention;
use serde::{Serialize, Serializer};

use crate::reading::Reading;

pub use data::{
    Data, Encoding, FeatureFiles, Generated, Late, LatencyCode, Parts, Range, Scale, Source,
    SpikeFiles,
};
pub use loss::{Loss, Score};
pub use optimiser::{Clip, Moments, Optimiser, Rule, Schedule, WarmUp};
pub use regularise::{Bounds, Regularise};
pub use split::{Amount, Sizes, Split};
pub use temporal::{Episode, GROUPS, Task};
pub use tree::Tree;

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// The .nir file, relative paths resolved against the configuration's own directory.
    #[serde(serialize_with = "optional_path")]
    pub model: Option<PathBuf>,
    /// What the model's file leaves open.
    pub convention: Convention,
    /// Which of its attributes stand in the configuration, and not only in the preset.
    #[serde(skip)]
    pub changes: Vec<Change>,
    /// Time of a sample.
    pub time: Time,
    /// Where samples come from.
    pub data: Option<Data>,
    /// Fresh weights that training begins with, by weight node; nodes not named keep the file's.
    pub init: Vec<Init>,
    /// What training minimises.
    pub loss: Option<Loss>,
    /// What numbers of spikes cost beside it.
    pub regularise: Vec<Regularise>,
    /// How weights follow their gradients.
    pub optimiser: Option<Optimiser>,
    /// How long and in which portions.
    pub training: Option<Training>,
    /// How the network lies on the chip.
    pub mapping: Mapping,
}

/// A path as text; what is not UTF-8 in it is replaced, since it is only shown and compared.
fn path<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn optional_path<S: Serializer>(
    optional: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match optional {
        Some(text) => path(text, serializer),
        None => serializer.serialize_none(),
    }
}

/// `[time]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Time {
    /// Bins of a sample.
    pub ticks: u32,
    /// Length of a bin in seconds.
    pub dt: f64,
    /// How the network goes on in time.
    #[serde(skip_serializing_if = "TimeModel::is_tick")]
    pub model: TimeModel,
}

/// `time.model`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeModel {
    /// In ticks of a bin.
    Tick,
    /// By exact event times, which are numbers of bins that need not be whole.
    Event {
        /// Least slope that a spike's error is divided by; see [`nirc_compiler::options::ExactTimes`].
        guard: f64,
    },
}

impl TimeModel {
    fn is_tick(&self) -> bool {
        !self.is_event()
    }

    /// Whether spikes have exact times.
    pub fn is_event(self) -> bool {
        self != Self::Tick
    }

    /// The compiler's notion of it.
    pub fn lowered(self) -> Option<ExactTimes> {
        match self {
            Self::Tick => None,
            Self::Event { guard } => Some(ExactTimes {
                guard,
                ..ExactTimes::default()
            }),
        }
    }
}

/// `[init.NODE]`: normally distributed weights, drawn node by node from NumPy's legacy generator
/// seeded with `training.seed`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Init {
    /// The weight node.
    pub node: String,
    /// Mean, times the square root of the number of inputs.
    pub mean: f64,
    /// Standard deviation, times the square root of the number of inputs.
    pub std: f64,
}

/// `[training]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Training {
    /// Passes over the training set; with 0 the initial weights are tested and nothing else happens.
    pub epochs: usize,
    /// Samples a batch; what is left of an epoch after the last whole batch is dropped.
    pub batch: usize,
    /// Seed of initial weights (if any are drawn) and of shuffling.
    pub seed: u32,
    /// Whether each epoch takes the samples in a new order.
    pub shuffle: bool,
    /// Whether every batch has as many samples of each class, one more or less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub balanced: bool,
    /// When to end before the last epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stopping: Option<EarlyStopping>,
    /// Besides at the end of epochs, test before training and each time so many samples were seen.
    pub evaluate_every: Option<usize>,
    /// Longest time between checkpoints, seconds.
    pub checkpoint_seconds: f64,
}

/// `[training.early_stopping]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EarlyStopping {
    /// What of the validation set is watched.
    pub metric: Metric,
    /// Epochs without an improvement after which training ends.
    pub patience: usize,
    /// By how much more than this the metric has to be better to count as an improvement.
    pub min_delta: f64,
}

/// `training.early_stopping.metric`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The mean cross entropy; less is better.
    Loss,
    /// The share classified rightly; more is better.
    Accuracy,
}

/// `[mapping]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// Style of placement.
    pub style: Style,
    /// Replicas of the network side by side; none: as many as a batch has samples.
    pub replicas: Option<usize>,
    /// Most spikes of a population in a sample that tapes have room for; none: one a neuron and bin.
    pub spike_bound: Option<usize>,
}

/// `mapping.style`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Style {
    /// A PE per population, a QuadPE per sample, one optimiser PE.
    Paper,
}

impl Config {
    /// The sections that there are.
    pub const SECTIONS: [&'static str; 10] = [
        "model",
        "convention",
        "time",
        "data",
        "init",
        "loss",
        "regularise",
        "optimiser",
        "training",
        "mapping",
    ];

    /// What Delay nodes become.
    fn passes(&self) -> passes::Time {
        let learn = self.optimiser.is_some_and(|o| o.delay_rate.is_some());
        match self.time.model {
            TimeModel::Tick => passes::Time::Ticks,
            TimeModel::Event { .. } => passes::Time::Exact {
                learn_delays: learn,
            },
        }
    }

    /// How the configuration has the model's file read.
    pub fn reading(&self) -> Reading {
        Reading {
            dt: Some(self.time.dt),
            changes: self.changes.clone(),
            time: self.passes(),
            ..Reading::under(self.convention.clone())
        }
    }
}

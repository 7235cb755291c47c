//! The configuration: one TOML file, every choice of a run.
//!
//! Reading collects every problem before it fails, each with the key's path and a remedy. `--set`
//! overrides work on the TOML tree, so that they pass the same checks as the file.

mod loss;
mod optimiser;
mod parse;
mod regularise;
mod section;
mod tree;

use std::path::{Path, PathBuf};

use nirc_compiler::passes::Change;
use nirc_ir::network::Convention;
use serde::{Serialize, Serializer};

use crate::reading::Reading;

pub use loss::{Loss, Score};
pub use optimiser::{Clip, Moments, Optimiser, Rule, Schedule, WarmUp};
pub use regularise::{Bounds, Regularise};
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
}

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Data {
    /// Generated points of the Yin-Yang set, latency-coded.
    YinYang {
        /// Training set.
        train: Generated,
        /// Test set.
        test: Generated,
        /// Bin of the earliest spike of a coded value.
        t_min: u32,
        /// Turn of the plane about the disc's centre, anticlockwise.
        rotation_degrees: f64,
    },
    /// Rasters and labels in `.npy` files.
    Arrays {
        /// Training set.
        train: ArrayFiles,
        /// Test set.
        test: ArrayFiles,
    },
}

/// A generated data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// Number of samples.
    pub samples: usize,
    /// Seed of NumPy's legacy generator.
    pub seed: u32,
}

/// A data set in files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArrayFiles {
    /// Spikes, (T, B, J) of `u8`.
    #[serde(serialize_with = "path")]
    pub spikes: PathBuf,
    /// Classes, (B,) of an integer type.
    #[serde(serialize_with = "path")]
    pub labels: PathBuf,
    /// Only the first so many samples.
    pub samples: Option<usize>,
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
    /// Besides at the end of epochs, test before training and each time so many samples were seen.
    pub evaluate_every: Option<usize>,
    /// Longest time between checkpoints, seconds.
    pub checkpoint_seconds: f64,
}

/// `[mapping]`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Mapping {
    /// Style of placement.
    pub style: Style,
    /// Replicas of the network side by side; none: as many as a batch has samples.
    pub replicas: Option<usize>,
    /// Most spikes of a population in a sample that tapes have room for; none: every possible one.
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

    /// How the configuration has the model's file read.
    pub fn reading(&self) -> Reading {
        Reading {
            dt: Some(self.time.dt),
            changes: self.changes.clone(),
            ..Reading::under(self.convention.clone())
        }
    }
}

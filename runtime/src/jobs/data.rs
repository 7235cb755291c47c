//! What the data of a configuration are.

use std::collections::BTreeMap;

use nirc_ir::Diagnostics;
use nirc_ir::executor::InputSpike;
use serde::Serialize;

use crate::config::Config;
use crate::data::{DataSet, Sets};
use crate::program::missing;

/// The data sets of a configuration.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataSummary {
    /// Ticks of a sample.
    pub ticks: u32,
    /// Each set, that of training first.
    pub sets: Vec<SetSummary>,
    /// SHA-256 over every spike and label.
    pub sha256: String,
    /// The first training samples.
    #[serde(skip)]
    pub first: Vec<FirstSample>,
}

/// A set in numbers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetSummary {
    /// The key that describes it, such as `data.train`.
    pub name: &'static str,
    /// Samples.
    pub samples: usize,
    /// Input channels.
    pub channels: usize,
    /// Samples of each class.
    pub classes: BTreeMap<u32, usize>,
    /// Fewest spikes of a sample.
    pub least_spikes: usize,
    /// Spikes of a sample on average.
    pub mean_spikes: f64,
    /// Most spikes of a sample.
    pub most_spikes: usize,
    /// Tick of the last spike of all.
    pub last_tick: Option<u32>,
    /// Whether exact times are known beside the ticks.
    pub exact_times: bool,
}

/// A sample to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstSample {
    /// Its class.
    pub label: u32,
    /// Its spikes.
    pub spikes: Vec<InputSpike>,
}

/// Loads the data of a configuration, and says what they are; `show` training samples are kept to be
/// shown.
///
/// # Errors
/// When there is no section `[data]`, or what it asks for cannot be loaded.
pub fn data(config: &Config, show: usize) -> Result<DataSummary, Diagnostics> {
    let data = config.data.as_ref().ok_or_else(|| missing("data"))?;
    let sets = Sets::load(data, config.time)?;
    let train = &sets.train;
    let first = (0..train.len().min(show)).map(|k| FirstSample {
        label: train.labels()[k],
        spikes: train.spikes(k).to_vec(),
    });
    Ok(DataSummary {
        ticks: config.time.ticks,
        sets: sets.named().map(|(name, set)| summary(name, set)).collect(),
        sha256: sets.sha256(),
        first: first.collect(),
    })
}

fn summary(name: &'static str, set: &DataSet) -> SetSummary {
    let mut classes = BTreeMap::new();
    for label in set.labels() {
        *classes.entry(*label).or_default() += 1;
    }
    let counts = || (0..set.len()).map(|k| set.spikes(k).len());
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mean = counts().sum::<usize>() as f64 / set.len().max(1) as f64;
    SetSummary {
        name,
        samples: set.len(),
        channels: set.channels(),
        classes,
        least_spikes: counts().min().unwrap_or(0),
        mean_spikes: mean,
        most_spikes: counts().max().unwrap_or(0),
        last_tick: set.last_tick(),
        exact_times: !set.is_empty() && set.times(0).is_some(),
    }
}

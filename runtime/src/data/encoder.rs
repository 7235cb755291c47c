//! From features to spikes.

use nirc_ir::executor::InputSpike;

use super::crossing::crossings;
use super::dataset::{DataSet, SpikesOutOfRange, TimedSpike};
use super::latency::Latency;
use super::rate::bernoulli;
use crate::config::{Encoding, Range};

/// An encoding for samples of so many bins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoder {
    encoding: Encoding,
    ticks: u32,
    /// Whether the network takes exact times.
    exact: bool,
}

impl Encoder {
    pub(super) fn new(encoding: Encoding, ticks: u32, exact: bool) -> Self {
        Self {
            encoding,
            ticks,
            exact,
        }
    }

    /// Whether samples are time series.
    pub(super) fn takes_series(&self) -> bool {
        matches!(self.encoding, Encoding::ThresholdCrossing { .. })
    }

    /// The range in which features have to be.
    pub(super) fn range(&self) -> Option<Range> {
        match self.encoding {
            Encoding::Latency { range, .. } | Encoding::Rate { range, .. } => Some(range),
            Encoding::ThresholdCrossing { .. } => None,
        }
    }

    /// An empty set for samples of so many features.
    pub(super) fn set(&self, features: usize) -> DataSet {
        let channels = match self.encoding {
            Encoding::Latency { bias, .. } | Encoding::Rate { bias, .. } => {
                features + usize::from(bias)
            }
            Encoding::ThresholdCrossing { .. } => 2 * features,
        };
        match self.encoding {
            _ if self.exact => DataSet::exact(channels),
            Encoding::Latency { .. } => DataSet::timed(channels),
            Encoding::Rate { .. } | Encoding::ThresholdCrossing { .. } => DataSet::new(channels),
        }
    }

    /// Encodes a sample and adds it. `values` are its features, tick after tick those of a series; `key`
    /// names the sample for what is drawn at random.
    pub(super) fn push(
        &self,
        set: &mut DataSet,
        features: usize,
        values: &[f64],
        key: [u32; 2],
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        match self.encoding {
            Encoding::Latency { range, code, bias } => {
                let latency = Latency {
                    ticks: self.ticks,
                    code,
                };
                let values = values.iter().map(|value| range.share(*value));
                let spikes = timed(latency, values).chain(bias.then(|| bias_spike(features)));
                set.push_timed(spikes, self.ticks, label)
            }
            Encoding::Rate {
                range,
                rate,
                seed,
                bias,
            } => {
                let probability = |value: &f64| rate * range.share(*value);
                let probabilities: Vec<f64> = values.iter().map(probability).collect();
                let [part, sample] = key;
                let spikes = bernoulli(&[seed, part, sample], self.ticks, &probabilities);
                let bias = bias.then(|| InputSpike {
                    tick: 0,
                    channel: index(features),
                });
                set.push(spikes.into_iter().chain(bias), label)
            }
            Encoding::ThresholdCrossing { threshold } => {
                set.push(crossings(values, features, threshold), label)
            }
        }
    }
}

impl Range {
    /// Where a feature lies in the range: 0 at its low end, 1 at its high one.
    fn share(self, feature: f64) -> f64 {
        (feature - self.low) / (self.high - self.low)
    }
}

/// The spikes of values: channel `j` for the `j`th, where it has a time.
pub(super) fn timed(
    latency: Latency,
    values: impl Iterator<Item = f64>,
) -> impl Iterator<Item = TimedSpike> {
    (0..).zip(values).filter_map(move |(channel, value)| {
        let time = latency.time(value)?;
        Some(TimedSpike { time, channel })
    })
}

/// The spike at the start, on the channel behind those of the features.
pub(super) fn bias_spike(features: usize) -> TimedSpike {
    TimedSpike {
        time: 0.0,
        channel: index(features),
    }
}

fn index(channel: usize) -> u32 {
    u32::try_from(channel).expect("fewer than 2^32 channels")
}

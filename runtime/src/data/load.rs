//! The data sets that a configuration asks for.

use std::path::Path;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use sha2::{Digest, Sha256};

use super::encoder::{Encoder, bias_spike, timed};
use super::{DataSet, Latency, features, labels, spikes, yin_yang};
use crate::config::{Data, Generated, Parts, Source, Time};

/// Training and test samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Sets {
    /// What is trained on.
    pub train: DataSet,
    /// What is tested on.
    pub test: DataSet,
}

impl Sets {
    /// Generates or reads what the configuration asks for.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the configuration.
    pub fn load(data: &Data, time: Time) -> Result<Self, Diagnostics> {
        let ticks = time.ticks;
        let Parts { train, test } = match &data.source {
            Source::YinYang {
                parts,
                t_min,
                rotation_degrees,
            } => {
                let code = Latency::published(ticks, *t_min);
                load(parts, |_, what| {
                    Ok(generate(*what, *rotation_degrees, code))
                })
            }
            Source::Spikes { parts, channels } => {
                load(parts, |_, files| spikes::read(files, *channels, time))
            }
            Source::Features { parts, encoding } => {
                let encoder = Encoder::new(*encoding, ticks);
                load(parts, |part, files| {
                    features::read(files, &encoder, ticks, part)
                })
            }
        }?;
        Ok(Self { train, test })
    }

    /// SHA-256 over every spike's bin and channel and over every label.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for set in [&self.train, &self.test] {
            hash.update((set.len() as u64).to_le_bytes());
            for (k, label) in set.labels().iter().enumerate() {
                hash.update(label.to_le_bytes());
                hash.update((set.spikes(k).len() as u64).to_le_bytes());
                for spike in set.spikes(k) {
                    hash.update(spike.tick.to_le_bytes());
                    hash.update(spike.channel.to_le_bytes());
                }
            }
        }
        crate::training::hex(&hash.finalize())
    }
}

/// Number of training samples, without generating or decoding them all.
///
/// # Errors
/// When a file is needed for that and cannot be read.
pub fn training_samples(data: &Data) -> Result<usize, Diagnostic> {
    let (labels, asked, place) = match &data.source {
        Source::YinYang { parts, .. } => return Ok(parts.train.samples),
        Source::Spikes { parts, .. } => {
            let files = &parts.train;
            (spikes::labels(files)?, files.samples, &files.spikes)
        }
        Source::Features { parts, .. } => {
            let files = &parts.train;
            (features::labels(files)?, files.samples, &files.file)
        }
    };
    labels::first(labels.len(), asked, &place.display().to_string())
}

/// Loads every set; `read` gets a number that tells them apart.
fn load<T>(
    parts: &Parts<T>,
    read: impl Fn(u32, &T) -> Result<DataSet, Diagnostics>,
) -> Result<Parts<DataSet>, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut set = |number, part| {
        read(number, part).unwrap_or_else(|more| {
            problems.0.extend(more.0);
            DataSet::default()
        })
    };
    let sets = Parts {
        train: set(0, &parts.train),
        test: set(1, &parts.test),
    };
    problems.into_result(sets)
}

fn generate(what: Generated, rotation_degrees: f64, code: Latency) -> DataSet {
    let points = yin_yang(what.seed, what.samples);
    let mut set = DataSet::timed(5);
    for point in points {
        let features = point.rotated(rotation_degrees).features();
        let spikes = timed(code, features.into_iter()).chain([bias_spike(features.len())]);
        set.push_timed(spikes, code.ticks, point.class)
            .expect("four features and a bias");
    }
    set
}

/// The diagnostic for a raster of another length.
pub(crate) fn wrong_bins(path: &Path, bins: usize, ticks: u32) -> Diagnostic {
    Diagnostic::error(
        codes::CONFIG_CONTRADICTION,
        path.display().to_string(),
        format!("has {bins} bins, time.ticks is {ticks}"),
    )
    .help("the first axis of a raster is time: set time.ticks to its length")
}

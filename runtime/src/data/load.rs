//! The data sets that a configuration asks for.

use std::path::Path;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use sha2::{Digest, Sha256};

use super::{DataSet, Latency, read_spikes, yin_yang};
use crate::config::{ArrayFiles, Data, Generated};

/// Training and test samples.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    /// When a file cannot be read or does not fit the number of bins.
    pub fn load(data: &Data, ticks: u32) -> Result<Self, Diagnostics> {
        match data {
            Data::YinYang {
                train,
                test,
                t_min,
                rotation_degrees,
            } => {
                let code = Latency {
                    ticks,
                    first: *t_min,
                };
                Ok(Self {
                    train: generate(*train, *rotation_degrees, code),
                    test: generate(*test, *rotation_degrees, code),
                })
            }
            Data::Arrays { train, test } => {
                match (from_files(train, ticks), from_files(test, ticks)) {
                    (Ok(train), Ok(test)) => Ok(Self { train, test }),
                    (train, test) => Err(Diagnostics(
                        [train.err(), test.err()].into_iter().flatten().collect(),
                    )),
                }
            }
        }
    }

    /// SHA-256 over every spike and label.
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
    match data {
        Data::YinYang { train, .. } => Ok(train.samples),
        Data::Arrays { train, .. } => match train.samples {
            Some(samples) => Ok(samples),
            None => read_spikes(&train.spikes, None).map(|(_, set)| set.len()),
        },
    }
}

fn generate(what: Generated, rotation_degrees: f64, code: Latency) -> DataSet {
    let points = yin_yang(what.seed, what.samples);
    let mut set = DataSet::new(5);
    for point in points {
        let features = point.rotated(rotation_degrees).features();
        set.push(code.encode(&features), point.class)
            .expect("four features and a bias");
    }
    set
}

fn from_files(files: &ArrayFiles, ticks: u32) -> Result<DataSet, Diagnostic> {
    let (bins, set) = read_spikes(&files.spikes, Some(&files.labels))?;
    if bins != ticks as usize {
        return Err(wrong_bins(&files.spikes, bins, ticks));
    }
    match files.samples {
        Some(samples) if samples > set.len() => Err(Diagnostic::error(
            codes::CONFIG_CONTRADICTION,
            files.spikes.display().to_string(),
            format!("{samples} samples asked for, the file has {}", set.len()),
        )
        .help("ask for fewer samples")),
        Some(samples) => Ok(set.first(samples)),
        None => Ok(set),
    }
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

//! The data sets that a configuration asks for.

use std::path::Path;

use nirc_ir::{Diagnostic, Diagnostics, codes};
use sha2::{Digest, Sha256};

use super::encoder::{Encoder, bias_spike, timed};
use super::{DataSet, Latency, features, labels, spikes, temporal, yin_yang};
use crate::config::{Data, Generated, Parts, Source, Split, Time};
use crate::random::{Mt19937, permutation};

/// Training and test samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Sets {
    /// What is trained on.
    pub train: DataSet,
    /// What early stopping watches.
    pub validation: Option<DataSet>,
    /// What is tested on.
    pub test: DataSet,
}

impl Sets {
    /// Generates or reads what the configuration asks for.
    ///
    /// # Errors
    /// When a file cannot be read or does not fit the configuration.
    pub fn load(data: &Data, time: Time) -> Result<Self, Diagnostics> {
        let (ticks, exact) = (time.ticks, time.model.is_event());
        let parts = match &data.source {
            Source::YinYang {
                parts,
                t_min,
                t_max,
                rotation_degrees,
            } => {
                let bins = t_max.map_or(ticks, |latest| latest + 1);
                let code = Latency::published(bins, *t_min);
                load(parts, |_, what| {
                    Ok(generate(*what, *rotation_degrees, code, exact))
                })
            }
            Source::Spikes { parts, channels } => load(parts, |_, files| {
                let set = spikes::read(files, *channels, time)?;
                Ok(set.of_time(time.model))
            }),
            Source::Features { parts, encoding } => {
                let encoder = Encoder::new(*encoding, ticks, exact);
                load(parts, |part, files| {
                    features::read(files, &encoder, ticks, part)
                })
            }
            Source::Temporal {
                parts,
                task,
                episode,
            } => load(parts, |_, what| {
                let set = temporal::generate(*what, *task, *episode, ticks);
                Ok(set.of_time(time.model))
            }),
        }?;
        Ok(Self::of(parts, data.split)?)
    }

    /// The sets, after those without samples of their own were held out of the training samples.
    fn of(parts: Parts<DataSet>, split: Option<Split>) -> Result<Self, Diagnostic> {
        let (mut train, mut validation, mut test) = (parts.train, parts.validation, parts.test);
        if let Some(split) = split {
            let sizes = split.sizes(train.len())?;
            let order = permutation(&mut Mt19937::new(split.seed), train.len());
            let mut order = order.into_iter();
            let mut take = |samples: usize| train.select(order.by_ref().take(samples));
            test = sizes.test.map(&mut take).or(test);
            validation = sizes.validation.map(&mut take).or(validation);
            train = take(sizes.train);
        }
        let test = test.ok_or_else(|| {
            Diagnostic::error(codes::CONFIG_CONTRADICTION, "data", "there is no test set")
                .help("add `data.test`, or `test` to `[data.split]`")
        })?;
        Ok(Self {
            train,
            validation,
            test,
        })
    }

    /// The sets with the keys under which the configuration has them.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &DataSet)> {
        let validation = self.validation.as_ref();
        [("data.train", &self.train)]
            .into_iter()
            .chain(validation.map(|set| ("data.validation", set)))
            .chain([("data.test", &self.test)])
    }

    /// SHA-256 over every spike's bin and channel, its time where that counts, and over every label.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for (_, set) in self.named() {
            hash.update((set.len() as u64).to_le_bytes());
            for (k, label) in set.labels().iter().enumerate() {
                hash.update(label.to_le_bytes());
                hash.update((set.spikes(k).len() as u64).to_le_bytes());
                for spike in set.spikes(k) {
                    hash.update(spike.tick.to_le_bytes());
                    hash.update(spike.channel.to_le_bytes());
                }
                for time in set.exact_times(k) {
                    hash.update(time.to_le_bytes());
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
    let samples = match &data.source {
        Source::YinYang { parts, .. } | Source::Temporal { parts, .. } => parts.train.samples,
        Source::Spikes { parts, .. } => {
            let files = &parts.train;
            let place = files.spikes.display().to_string();
            labels::first(spikes::labels(files)?.len(), files.samples, &place)?
        }
        Source::Features { parts, .. } => {
            let files = &parts.train;
            let place = files.file.display().to_string();
            labels::first(features::labels(files)?.len(), files.samples, &place)?
        }
    };
    match &data.split {
        Some(split) => split.sizes(samples).map(|sizes| sizes.train),
        None => Ok(samples),
    }
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
        test: parts.test.as_ref().map(|part| set(1, part)),
        validation: parts.validation.as_ref().map(|part| set(2, part)),
    };
    problems.into_result(sets)
}

fn generate(what: Generated, rotation_degrees: f64, code: Latency, exact: bool) -> DataSet {
    let points = yin_yang(what.seed, what.samples);
    let mut set = if exact {
        DataSet::exact(5)
    } else {
        DataSet::timed(5)
    };
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

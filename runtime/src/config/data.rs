//! `[data]`: where samples come from, and how numbers become spikes.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Time;
use super::parse::{FINITE, MANY, MOST_TICKS, POSITIVE, SAMPLES, SEED};
use super::section::Section;
use super::split::Split;
use super::temporal::{self, Episode, Task};

/// `[data]`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    /// What the samples are.
    #[serde(flatten)]
    pub source: Source,
    /// What is held out of the training samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
}

/// `data.kind`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Source {
    /// Generated points of the Yin-Yang set, latency-coded.
    YinYang {
        /// The sets.
        #[serde(flatten)]
        parts: Parts<Generated>,
        /// Bin of the earliest spike of a coded value.
        t_min: u32,
        /// Bin of the latest; none: the last one of a sample.
        #[serde(skip_serializing_if = "Option::is_none")]
        t_max: Option<u32>,
        /// Turn of the plane about the disc's centre, anticlockwise.
        rotation_degrees: f64,
    },
    /// Spikes and labels in files.
    Spikes {
        /// The sets.
        #[serde(flatten)]
        parts: Parts<SpikeFiles>,
        /// Channels, where the files do not say it.
        channels: Option<u32>,
    },
    /// Numbers and labels in files, encoded as spikes.
    Features {
        /// The sets.
        #[serde(flatten)]
        parts: Parts<FeatureFiles>,
        /// How numbers become spikes.
        encoding: Encoding,
    },
    /// Generated samples of a task that needs a memory.
    #[serde(untagged)]
    Temporal {
        /// The sets.
        #[serde(flatten)]
        parts: Parts<Generated>,
        /// What is asked.
        #[serde(flatten)]
        task: Task,
        /// What a sample looks like.
        #[serde(flatten)]
        episode: Episode,
    },
}

/// The sets of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Parts<T> {
    /// What is trained on.
    pub train: T,
    /// What early stopping watches; it may also be held out of what is trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<T>,
    /// What is tested on; none: it is held out of what is trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<T>,
}

/// A generated data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Generated {
    /// Number of samples.
    pub samples: usize,
    /// Seed of NumPy's legacy generator.
    pub seed: u32,
}

/// Spikes in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SpikeFiles {
    /// Spikes in any format of [`crate::data::signal`].
    #[serde(serialize_with = "super::path")]
    pub spikes: PathBuf,
    /// Classes: an integer array (B,) in a file of its own; none: in the file of the spikes.
    #[serde(serialize_with = "super::optional_path")]
    pub labels: Option<PathBuf>,
    /// Name of the signal, in a file that holds several.
    pub signal: String,
    /// Only the first so many samples.
    pub samples: Option<usize>,
}

/// Features in an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FeatureFiles {
    /// The `.npz` archive.
    #[serde(serialize_with = "super::path")]
    pub file: PathBuf,
    /// Name of the features, (B, F), or (B, T, F) of time series.
    pub features: String,
    /// Name of the classes, (B,).
    pub labels: String,
    /// Only the first so many samples.
    pub samples: Option<usize>,
}

/// `[data.encoding]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Encoding {
    /// A spike a channel, the earlier the larger the value.
    Latency {
        /// The features' range.
        #[serde(flatten)]
        range: Range,
        /// From values to times.
        #[serde(flatten)]
        code: LatencyCode,
        /// Whether a channel more spikes in bin 0.
        bias: bool,
    },
    /// Spikes at random, the more the larger the value.
    Rate {
        /// The features' range.
        #[serde(flatten)]
        range: Range,
        /// Probability of a spike in a bin for a value of 1.
        rate: f64,
        /// Seed of what is drawn.
        seed: u32,
        /// Whether a channel more spikes in bin 0.
        bias: bool,
    },
    /// Spikes where a time series has moved by a threshold, up and down on channels of their own.
    ThresholdCrossing {
        /// How far it has to move.
        threshold: f64,
    },
}

/// What features are mapped to 0 and to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Range {
    /// To 0.
    pub low: f64,
    /// To 1.
    pub high: f64,
}

/// How a value of 0 ..= 1 becomes a time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LatencyCode {
    /// Bin of the earliest spike.
    pub first: u32,
    /// The smallest value that has a time of its own; on a logarithmic scale it would take for ever.
    pub threshold: f64,
    /// What becomes of smaller values.
    pub late: Late,
    /// The formula.
    #[serde(flatten)]
    pub scale: Scale,
}

/// `data.encoding.scale`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "scale", rename_all = "kebab-case")]
pub enum Scale {
    /// Evenly over the sample's bins.
    Linear,
    /// When a leaky membrane that is driven by the value reaches the threshold.
    Logarithmic {
        /// The membrane's time constant, in bins.
        tau: f64,
    },
}

/// `data.encoding.late`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Late {
    /// They spike as late as can be.
    Last,
    /// They do not spike.
    Silent,
}

impl LatencyCode {
    /// The published code of the Yin-Yang set.
    pub fn published(first: u32) -> Self {
        Self {
            first,
            threshold: THRESHOLD,
            late: Late::Last,
            scale: Scale::Linear,
        }
    }
}

/// The smallest value with a time of its own, unless the configuration says otherwise.
const THRESHOLD: f64 = 0.01;

#[derive(Clone, Copy)]
enum Kind {
    YinYang,
    Spikes,
    Features,
    Temporal(temporal::Kind),
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>, directory: &Path) -> Option<Data> {
    let kind = section.required_choice(
        "kind",
        &[
            ("yin-yang", Kind::YinYang),
            ("spikes", Kind::Spikes),
            // The name that it had when there were only arrays.
            ("arrays", Kind::Spikes),
            ("features", Kind::Features),
            (
                "pattern-order",
                Kind::Temporal(temporal::Kind::PatternOrder),
            ),
            (
                "delayed-match",
                Kind::Temporal(temporal::Kind::DelayedMatch),
            ),
            ("store-recall", Kind::Temporal(temporal::Kind::StoreRecall)),
        ],
    )?;
    let source = match kind {
        Kind::YinYang => yin_yang(section),
        Kind::Spikes => spikes(section, directory),
        Kind::Features => features(section, directory),
        Kind::Temporal(kind) => temporal::read(section, kind),
    };
    let split = match section.section("split") {
        Some(split) => Split::read(&split).map(Some),
        None => (!section.has("split")).then_some(None),
    };
    section.finish();
    Some(Data {
        source: source?,
        split: split?,
    })
}

/// Reads the sets. One that is held out of the training samples has no section of its own.
pub(super) fn parts<T>(
    section: &Section<'_>,
    read: impl Fn(&Section<'_>) -> Option<T>,
) -> Option<Parts<T>> {
    let part = |key| {
        let section = section.required_section(key)?;
        let part = read(&section);
        section.finish();
        part
    };
    let optional = |key, is_needed: bool| {
        let held_out = section.has_within("split", key);
        if held_out && section.has(key) {
            section.contradiction(
                key,
                "it is a set of its own, and held out of the training samples by `split`, too",
                "remove one of the two",
            );
        }
        match section.has(key) || (is_needed && !held_out) {
            true => part(key).map(Some),
            false => Some(None),
        }
    };
    let train = part("train");
    let (validation, test) = (optional("validation", false), optional("test", true));
    Some(Parts {
        train: train?,
        validation: validation?,
        test: test?,
    })
}

fn yin_yang(section: &Section<'_>) -> Option<Source> {
    let parts = parts(section, generated);
    let t_min = section.required_integer("t_min", "a bin", 0..=MOST_TICKS);
    let t_max = section.integer("t_max", "a bin", 0..=MOST_TICKS);
    let rotation = section.float_or("rotation_degrees", 0.0, "an angle", FINITE);
    Some(Source::YinYang {
        parts: parts?,
        t_min: t_min?,
        t_max,
        rotation_degrees: rotation?,
    })
}

pub(super) fn generated(section: &Section<'_>) -> Option<Generated> {
    let samples = section.required_integer("samples", SAMPLES, MANY);
    let seed = section.required_integer("seed", SEED, 0..=u32::MAX);
    Some(Generated {
        samples: samples?,
        seed: seed?,
    })
}

fn spikes(section: &Section<'_>, directory: &Path) -> Option<Source> {
    let parts = parts(section, |part| {
        let spikes = part.required_text("spikes", "the path of a .npy, .npz, .csv or .h5 file");
        let labels = part.text("labels", "the path of a .npy, .npz or .csv file");
        let signal = name(part, "signal", "spikes");
        let samples = part.integer("samples", SAMPLES, MANY);
        Some(SpikeFiles {
            spikes: directory.join(spikes?),
            labels: labels.map(|labels| directory.join(labels)),
            signal: signal?,
            samples,
        })
    });
    let channels = section.integer("channels", "a number of channels, 1 or more", 1..=u32::MAX);
    Some(Source::Spikes {
        parts: parts?,
        channels,
    })
}

fn features(section: &Section<'_>, directory: &Path) -> Option<Source> {
    let parts = parts(section, |part| {
        let file = part.required_text("file", "the path of a .npz file");
        let features = name(part, "features", "features");
        let labels = name(part, "labels", "labels");
        let samples = part.integer("samples", SAMPLES, MANY);
        Some(FeatureFiles {
            file: directory.join(file?),
            features: features?,
            labels: labels?,
            samples,
        })
    });
    let encoding = section
        .required_section("encoding")
        .and_then(|section| encoding(&section));
    Some(Source::Features {
        parts: parts?,
        encoding: encoding?,
    })
}

/// The name of an array or signal in a file.
fn name(section: &Section<'_>, key: &str, default: &str) -> Option<String> {
    let given = section.text(key, "a name in the file");
    match given {
        None if section.has(key) => None,
        given => Some(given.unwrap_or(default).to_owned()),
    }
}

#[derive(Clone, Copy)]
enum EncodingKind {
    Latency,
    Rate,
    ThresholdCrossing,
}

fn encoding(section: &Section<'_>) -> Option<Encoding> {
    let kind = section.required_choice(
        "kind",
        &[
            ("latency", EncodingKind::Latency),
            ("rate", EncodingKind::Rate),
            ("threshold-crossing", EncodingKind::ThresholdCrossing),
        ],
    )?;
    let encoding = match kind {
        EncodingKind::Latency => {
            let (range, code) = (range(section), latency(section));
            let bias = section.boolean_or("bias", false);
            range
                .zip(code)
                .zip(bias)
                .map(|((range, code), bias)| Encoding::Latency { range, code, bias })
        }
        EncodingKind::Rate => rate(section),
        EncodingKind::ThresholdCrossing => section
            .required_float("threshold", "a positive number", POSITIVE)
            .map(|threshold| Encoding::ThresholdCrossing { threshold }),
    };
    section.finish();
    encoding
}

fn range(section: &Section<'_>) -> Option<Range> {
    let low = section.float_or("low", 0.0, "a number", FINITE);
    let high = section.float_or("high", 1.0, "a number", FINITE);
    let (low, high) = (low?, high?);
    if low < high {
        return Some(Range { low, high });
    }
    section.contradiction(
        "high",
        &format!("features from {low} to {high} have no extent"),
        "high is the feature that means 1, low the one that means 0, and less",
    );
    None
}

fn latency(section: &Section<'_>) -> Option<LatencyCode> {
    let first = section.integer_or("first", 0, "a bin", 0..=MOST_TICKS);
    let threshold = section.float_or(
        "threshold",
        THRESHOLD,
        "a value above 0 and below 1",
        f64::MIN_POSITIVE..1.0,
    );
    let late = section.choice_or(
        "late",
        Late::Last,
        &[("last", Late::Last), ("silent", Late::Silent)],
    );
    let is_linear = section.choice_or("scale", true, &[("linear", true), ("logarithmic", false)]);
    let scale = match is_linear? {
        true => Some(Scale::Linear),
        false => section
            .required_float("tau", "a positive number of bins", POSITIVE)
            .map(|tau| Scale::Logarithmic { tau }),
    };
    Some(LatencyCode {
        first: first?,
        threshold: threshold?,
        late: late?,
        scale: scale?,
    })
}

fn rate(section: &Section<'_>) -> Option<Encoding> {
    let range = range(section);
    let rate = section.float_or("rate", 1.0, "a probability above 0, at most 1", SHARE);
    let seed = section.required_integer("seed", SEED, 0..=u32::MAX);
    let bias = section.boolean_or("bias", false);
    Some(Encoding::Rate {
        range: range?,
        rate: rate?,
        seed: seed?,
        bias: bias?,
    })
}

/// Above 0, at most 1.
const SHARE: std::ops::RangeInclusive<f64> = f64::MIN_POSITIVE..=1.0;

impl Data {
    /// Number of training samples before any are held out, where the configuration says it.
    pub(super) fn training_samples(&self) -> Option<usize> {
        match &self.source {
            Source::YinYang { parts, .. } | Source::Temporal { parts, .. } => {
                Some(parts.train.samples)
            }
            Source::Spikes { parts, .. } => parts.train.samples,
            Source::Features { parts, .. } => parts.train.samples,
        }
    }

    /// Whether there is a validation set.
    pub(super) fn has_validation(&self) -> bool {
        let is_own = match &self.source {
            Source::YinYang { parts, .. } | Source::Temporal { parts, .. } => {
                parts.validation.is_some()
            }
            Source::Spikes { parts, .. } => parts.validation.is_some(),
            Source::Features { parts, .. } => parts.validation.is_some(),
        };
        is_own || self.split.is_some_and(|split| split.validation.is_some())
    }
}

/// What is right key by key, but not together with the time.
pub(super) fn check(data: &Data, time: Time, root: &Section<'_>) {
    if let Source::YinYang {
        t_min,
        t_max: Some(t_max),
        ..
    } = &data.source
        && !(t_min + 1..time.ticks).contains(t_max)
    {
        root.contradiction(
            "data.t_max",
            &format!("the latest spike in bin {t_max} is not after data.t_min = {t_min} and before time.ticks = {}", time.ticks),
            "leave it out to code over the whole sample",
        );
    }
    let (key, first) = match &data.source {
        Source::YinYang { t_min, .. } => ("data.t_min", *t_min),
        Source::Features {
            encoding: Encoding::Latency { code, .. },
            ..
        } => ("data.encoding.first", code.first),
        Source::Temporal { task, episode, .. } => {
            return temporal::check(*task, *episode, time, root);
        }
        _ => return,
    };
    if u64::from(first) + 2 > u64::from(time.ticks) {
        root.contradiction(
            key,
            &format!(
                "the earliest spike in bin {first} leaves no room for a later one in time.ticks = {}",
                time.ticks
            ),
            "it must be at least 2 below ticks",
        );
    }
}

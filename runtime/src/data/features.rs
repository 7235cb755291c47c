//! Features in NumPy archives.

use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::DataSet;
use super::encoder::Encoder;
use super::labels;
use super::npy::{Array, malformed};
use super::signal::archive_member;
use crate::config::{FeatureFiles, Range};
use crate::file;

/// Reads the samples of an archive and encodes them; `part` tells sets apart for what is drawn at random.
///
/// # Errors
/// When the archive or an array cannot be read, shapes do not fit the encoding or each other, or a feature
/// is outside its range.
pub(super) fn read(
    files: &FeatureFiles,
    encoder: &Encoder,
    ticks: u32,
    part: u32,
) -> Result<DataSet, Diagnostics> {
    let bytes = file::read(&files.file)?;
    let place = files.file.display().to_string();
    let labels = labels::of_archive(&bytes, &files.labels, &place)?;
    let name = format!("{place}, array {}", files.features);
    let member = archive_member(&bytes, &files.features, &place)?;
    let array = Array::parse(&member, &name)?;
    let shape = Shape::of(&array, encoder.takes_series(), &name)?;
    let mut problems = Diagnostics::new();
    if shape.samples != labels.len() {
        problems.push(
            malformed(
                &place,
                &format!(
                    "expected a label for each of {} samples of `{}`, found {} labels in `{}`",
                    shape.samples,
                    files.features,
                    labels.len(),
                    files.labels
                ),
            )
            .help("the first axis of both arrays are the samples"),
        );
    }
    if shape.steps > ticks as usize {
        problems.push(
            Diagnostic::error(
                codes::CONFIG_CONTRADICTION,
                &name,
                format!("series have {} steps, time.ticks is {ticks}", shape.steps),
            )
            .help("a step is a tick: raise time.ticks"),
        );
    }
    problems.into_result(())?;
    let samples = labels::first(shape.samples, files.samples, &place)?;
    let mut set = encoder.set(shape.features);
    let size = shape.steps * shape.features;
    let mut values = Vec::with_capacity(size);
    for (sample, label) in labels.iter().take(samples).enumerate() {
        values.clear();
        values.extend((sample * size..(sample + 1) * size).map(|k| array.number(k)));
        check(&values, encoder.range(), sample, &name)?;
        let key = [part, u32::try_from(sample).unwrap_or(u32::MAX)];
        encoder
            .push(&mut set, shape.features, &values, key, *label)
            .expect("channels of the encoder are channels of its set");
    }
    Ok(set)
}

/// The labels of an archive.
pub(super) fn labels(files: &FeatureFiles) -> Result<Vec<u32>, Diagnostic> {
    let bytes = file::read(&files.file)?;
    labels::of_archive(&bytes, &files.labels, &files.file.display().to_string())
}

/// What the axes of an array of features are.
struct Shape {
    samples: usize,
    /// 1 of features that are no series.
    steps: usize,
    features: usize,
}

impl Shape {
    fn of(array: &Array<'_>, is_series: bool, place: &str) -> Result<Self, Diagnostic> {
        let axes = match (array.shape(), is_series) {
            ([samples, steps, rest @ ..], true) if !rest.is_empty() => {
                Some((*samples, *steps, rest))
            }
            ([samples, rest @ ..], false) if !rest.is_empty() => Some((*samples, 1, rest)),
            _ => None,
        };
        let shape = axes.map(|(samples, steps, rest)| Self {
            samples,
            steps,
            features: rest.iter().product(),
        });
        match shape {
            Some(shape) if shape.samples * shape.steps * shape.features > 0 => Ok(shape),
            _ => {
                let expected = match is_series {
                    true => "(B, T, F): samples, steps, features",
                    false => "(B, F): samples, features",
                };
                let found = array.description();
                let message = format!("expected an array {expected}, found {found}");
                Err(malformed(place, &message)
                    .help("there is at least one of each; further axes are taken as features"))
            }
        }
    }
}

/// Whether features are numbers, within their range if they have one.
fn check(
    values: &[f64],
    range: Option<Range>,
    sample: usize,
    place: &str,
) -> Result<(), Diagnostic> {
    let (low, high) = range.map_or((f64::MIN, f64::MAX), |range| (range.low, range.high));
    let outside = |value: &&f64| !(low..=high).contains(*value);
    match values.iter().find(outside) {
        None => Ok(()),
        Some(value) => Err(malformed(
            place,
            &format!("expected features from {low} to {high}, found {value} in sample {sample}"),
        )
        .help("say the features' range by data.encoding.low and high, and save finite numbers")),
    }
}

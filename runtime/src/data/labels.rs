//! Classes of samples: arrays of integers, or text.
//!
//! | file | holds |
//! |---|---|
//! | `.npy` | an integer array (B,) |
//! | `.npz` | such an array named `labels` |
//! | `.csv` | a column `label`, a line a sample or beside a column `sample`; without a header a number a line |
//!
//! With a column `sample` a sample may stand on many lines, as events do, if they agree on its class.

use std::collections::BTreeMap;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};
use nirc_ir::{Diagnostic, codes};

use super::npy::{Array, MAGIC, malformed};
use super::signal::{archive_member, is_archive};
use crate::file;

/// What an archive's labels are called, unless the configuration says otherwise.
const NAME: &str = "labels";

/// Reads `samples` class labels.
///
/// # Errors
/// When the file cannot be read, or holds another number of labels or something that is no class.
pub fn read_labels(path: &Path, samples: usize) -> Result<Vec<u32>, Diagnostic> {
    let labels = read(path)?;
    if labels.len() == samples {
        return Ok(labels);
    }
    let place = path.display().to_string();
    let message = format!("{} labels for {samples} samples", labels.len());
    Err(malformed(&place, &message).help("there is a label for each sample"))
}

/// Reads the class labels of a file of any of the formats.
pub(super) fn read(path: &Path) -> Result<Vec<u32>, Diagnostic> {
    let bytes = file::read(path)?;
    let place = path.display().to_string();
    if is_archive(&bytes) {
        of_archive(&bytes, NAME, &place)
    } else if bytes.starts_with(MAGIC) {
        of_array(&Array::parse(&bytes, &place)?, &place)
    } else if let Ok(text) = str::from_utf8(&bytes) {
        of_text(text, &place)
    } else {
        Err(malformed(&place, "no labels are in it")
            .help("give labels in a .npy, .npz or .csv file of their own"))
    }
}

/// The labels under a name in an archive.
pub(super) fn of_archive(bytes: &[u8], name: &str, place: &str) -> Result<Vec<u32>, Diagnostic> {
    let member = archive_member(bytes, name, place)?;
    let place = format!("{place}, array {name}");
    of_array(&Array::parse(&member, &place)?, &place)
}

/// How many of the samples that there are to take: all, or those asked for.
pub(super) fn first(found: usize, asked: Option<usize>, place: &str) -> Result<usize, Diagnostic> {
    match asked {
        Some(asked) if asked > found => Err(Diagnostic::error(
            codes::CONFIG_CONTRADICTION,
            place,
            format!("{asked} samples asked for, the file has {found}"),
        )
        .help("ask for fewer samples")),
        asked => Ok(asked.unwrap_or(found)),
    }
}

fn of_array(array: &Array<'_>, place: &str) -> Result<Vec<u32>, Diagnostic> {
    let (&[samples], true) = (array.shape(), array.is_integer()) else {
        let found = array.description();
        let message = format!("expected an array (B,) of integers, found {found}");
        return Err(malformed(place, &message).help("labels are an integer array (B,)"));
    };
    let class = |k| class(array.number(k), || format!("label {k}"), place);
    (0..samples).map(class).collect()
}

fn class(number: f64, what: impl Fn() -> String, place: &str) -> Result<u32, Diagnostic> {
    if (0.0..=f64::from(u32::MAX)).contains(&number) && number.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an integer within 32 bits"
        )]
        return Ok(number as u32);
    }
    let message = format!("{} is {number}; a class is 0 to {}", what(), u32::MAX);
    Err(malformed(place, &message).help("classes are whole numbers, counted from 0"))
}

fn of_text(text: &str, place: &str) -> Result<Vec<u32>, Diagnostic> {
    let text = text.trim_start_matches(['\u{feff}', '#', ' ']);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut columns = None;
    let mut labels = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            malformed(place, &error.to_string()).help("every line has as many columns as the first")
        })?;
        let Some(columns) = &columns else {
            let found = Columns::of(&record, place)?;
            if !found.has_header {
                labels.insert(0, number(&record, found.label, place)?);
            }
            columns = Some(found);
            continue;
        };
        let label = number(&record, columns.label, place)?;
        let sample = match columns.sample {
            Some(column) => number(&record, column, place)?,
            None => u32::try_from(labels.len()).unwrap_or(u32::MAX),
        };
        let known = *labels.entry(sample).or_insert(label);
        if known != label {
            let message = format!("sample {sample} is of class {known} and of class {label}");
            return Err(malformed(&at(&record, place), &message).help("a sample has one class"));
        }
    }
    for (expected, sample) in (0..).zip(labels.keys()) {
        if expected != *sample {
            let message = format!("sample {expected} has no label, sample {sample} has one");
            return Err(malformed(place, &message).help(
                "number samples from 0 without gaps; one without events needs a labels file",
            ));
        }
    }
    Ok(labels.into_values().collect())
}

struct Columns {
    label: usize,
    sample: Option<usize>,
    has_header: bool,
}

impl Columns {
    fn of(first: &StringRecord, place: &str) -> Result<Self, Diagnostic> {
        let has_header = first.iter().any(|field| field.parse::<f64>().is_err());
        let column = |name| first.iter().position(|f| f.eq_ignore_ascii_case(name));
        let label = match has_header {
            true => column("label"),
            false if first.len() == 1 => Some(0),
            false => None,
        };
        let Some(label) = label else {
            let found: Vec<&str> = first.iter().collect();
            let message = format!("expected a column `label`, found {}", found.join(", "));
            return Err(malformed(place, &message)
                .help("add the column, or give labels in a file of their own"));
        };
        Ok(Self {
            label,
            sample: if has_header { column("sample") } else { None },
            has_header,
        })
    }
}

fn number(record: &StringRecord, column: usize, place: &str) -> Result<u32, Diagnostic> {
    let field = &record[column];
    let place = at(record, place);
    let what = || format!("column {}", column + 1);
    match field.parse() {
        Ok(number) => class(number, what, &place),
        Err(_) => Err(
            malformed(&place, &format!("expected a whole number, found {field:?}"))
                .help("classes and samples are whole numbers, counted from 0"),
        ),
    }
}

fn at(record: &StringRecord, place: &str) -> String {
    let line = record.position().map_or(0, csv::Position::line);
    format!("{place}, line {line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Result<Vec<u32>, Diagnostic> {
        of_text(text, "l.csv")
    }

    #[test]
    fn text_lists_a_label_a_sample_or_a_line_an_event() {
        assert_eq!(labels("2\n0\n1\n"), Ok(vec![2, 0, 1]));
        assert_eq!(labels("label\n2\n0\n"), Ok(vec![2, 0]));
        let events = "sample,tick,channel,label\n1,0,0,7\n0,3,1,4\n1,9,9,7\n";
        assert_eq!(labels(events), Ok(vec![4, 7]));
    }

    #[test]
    fn what_is_no_label_is_told_with_its_line() {
        for (text, expected) in [
            ("label\n0\n-1\n", "line 3"),
            ("label\n0.5\n", "0.5"),
            ("label\nx\n", "\"x\""),
            ("1,2\n", "found 1, 2"),
            ("sample,tick\n0,1\n", "found sample, tick"),
            ("sample,label\n0,1\n0,2\n", "class 1 and of class 2"),
            ("sample,label\n0,1\n2,2\n", "sample 1 has no label"),
            ("label,x\n0\n", ""),
        ] {
            let problem = labels(text).expect_err(expected);
            assert_eq!(problem.code, codes::DATA_ARRAY);
            assert!(problem.help.is_some(), "{problem}");
            assert!(problem.to_string().contains(expected), "{problem}");
        }
    }
}

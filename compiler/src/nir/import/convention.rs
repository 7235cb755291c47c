//! The time step and the convention, as a file's metadata may state them.

use std::collections::BTreeMap;

use nir_rs::{MetadataValue, NirGraph, TensorData};
use nirc_ir::network::Convention;
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::nir::File;
use crate::passes::Change;

const DT: &str = "dt";
const CONVENTION: &str = "convention";

const CHANGES: &str = "convention.changes";

/// The metadata that record a convention and a time step in an exported file: `dt` in seconds,
/// `convention` for the preset, `convention.<attribute>` for each attribute, and `convention.changes` for what was
/// changed by hand, as `attribute=value` or `population.attribute=value`.
pub fn metadata(
    convention: &Convention,
    changes: &[Change],
    dt: f64,
) -> BTreeMap<String, MetadataValue> {
    let mut map: BTreeMap<_, _> = attributes(convention)
        .into_iter()
        .map(|(name, value)| (format!("{CONVENTION}.{name}"), value))
        .collect();
    map.insert(
        CONVENTION.to_owned(),
        MetadataValue::String(convention.name.clone()),
    );
    map.insert(DT.to_owned(), MetadataValue::F64(dt));
    if !changes.is_empty() {
        let changes = changes.iter().map(ToString::to_string).collect();
        map.insert(CHANGES.to_owned(), MetadataValue::StringList(changes));
    }
    map
}

/// What a file says of how it is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// The convention.
    pub convention: Convention,
    /// What was changed by hand beside it, as `attribute=value` or `population.attribute=value`.
    pub changes: Vec<String>,
}

/// Numbers are stored as numbers, everything else as its name.
fn attributes(convention: &Convention) -> Vec<(&'static str, MetadataValue)> {
    let value = |text: String| match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => MetadataValue::I64(number),
        (_, Ok(number)) => MetadataValue::F64(number),
        _ => MetadataValue::String(text),
    };
    let attributes = convention.attributes().into_iter();
    attributes.map(|(name, text)| (name, value(text))).collect()
}

/// The convention that a file's metadata state, as [`metadata`] records it; `None` if they name none.
///
/// # Errors
/// When they name a preset, an attribute or a value that there is not.
pub fn stated(file: &File) -> Result<Option<Stated>, Diagnostics> {
    let metadata = &file.graph().metadata;
    let Some(name) = metadata.get(CONVENTION) else {
        return Ok(None);
    };
    let problem = |key: &str, message: String| {
        let problem = Diagnostic::error(codes::CONVENTION, format!("metadata/{key}"), message);
        problem.help("give --convention, which wins over what the file states")
    };
    let preset = match name {
        MetadataValue::String(name) => Convention::preset(name),
        _ => None,
    };
    let mut convention = preset.ok_or_else(|| {
        let known = Convention::PRESETS.join(", ");
        let message = format!("expected one of {known}, found {}", show(name));
        problem(CONVENTION, message)
    })?;
    let mut problems = Diagnostics::new();
    for (key, value) in metadata {
        let attribute = key.strip_prefix("convention.");
        let Some(attribute) = attribute.filter(|_| key != CHANGES) else {
            continue;
        };
        let text = match number(value) {
            Some(number) => number.to_string(),
            None => show(value).trim_matches('"').to_owned(),
        };
        if let Err(message) = convention.set(attribute, &text) {
            problems.push(problem(key, message));
        }
    }
    if let Err(message) = convention.check() {
        problems.push(problem(CONVENTION, message));
    }
    let changes = match metadata.get(CHANGES) {
        None => Vec::new(),
        Some(MetadataValue::StringList(changes)) => changes.clone(),
        Some(MetadataValue::String(change)) => vec![change.clone()],
        Some(other) => {
            let message = format!("expected strings `attribute=value`, found {}", show(other));
            problems.push(problem(CHANGES, message));
            Vec::new()
        }
    };
    problems.into_result(Some(Stated {
        convention,
        changes,
    }))
}

/// Notes where the file states something else than what is used.
pub(super) fn compare(graph: &NirGraph, convention: &Convention, problems: &mut Diagnostics) {
    if let Some(stated) = graph.metadata.get(CONVENTION) {
        let used = MetadataValue::String(convention.name.clone());
        note_difference(CONVENTION, stated, &used, problems);
    }
    for (name, used) in attributes(convention) {
        let key = format!("{CONVENTION}.{name}");
        if let Some(stated) = graph.metadata.get(&key) {
            note_difference(&key, stated, &used, problems);
        }
    }
}

fn note_difference(
    key: &str,
    stated: &MetadataValue,
    used: &MetadataValue,
    problems: &mut Diagnostics,
) {
    let same = match (number(stated), number(used)) {
        (Some(a), Some(b)) => a == b,
        _ => stated == used,
    };
    if !same {
        problems.push(Diagnostic::note(
            codes::CONVENTION_DIFFERS,
            format!("metadata/{key}"),
            format!("the file states {}, {} is used", show(stated), show(used)),
        ));
    }
}

fn show(value: &MetadataValue) -> String {
    match value {
        MetadataValue::String(s) => format!("{s:?}"),
        MetadataValue::F64(v) => v.to_string(),
        MetadataValue::I64(v) => v.to_string(),
        MetadataValue::Bool(v) => v.to_string(),
        _ => "an array".to_owned(),
    }
}

fn number(value: &MetadataValue) -> Option<f64> {
    match value {
        MetadataValue::F64(v) => Some(*v),
        MetadataValue::I64(v) => Some(*v as f64),
        MetadataValue::Tensor(t) => match t.data() {
            TensorData::F64(v) if v.len() == 1 => Some(v[0]),
            TensorData::F32(v) if v.len() == 1 => Some(f64::from(v[0])),
            TensorData::I64(v) if v.len() == 1 => Some(v[0] as f64),
            _ => None,
        },
        _ => None,
    }
}

/// The length of a tick: the option, or else what the metadata state, or else the convention's.
pub(super) fn dt(
    graph: &NirGraph,
    option: Option<f64>,
    convention: &Convention,
    problems: &mut Diagnostics,
) -> Option<f64> {
    let place = format!("metadata/{DT}");
    let stated = graph.metadata.get(DT);
    let in_file = stated.and_then(number).filter(|dt| is_time_step(*dt));
    match (option, in_file) {
        (Some(dt), _) if !is_time_step(dt) => {
            problems.push(Diagnostic::error(
                codes::TIME_STEP,
                DT,
                format!("expected a positive number of seconds, found {dt}"),
            ));
            None
        }
        (Some(dt), Some(file)) => {
            // Exporters round through f32; that is no contradiction.
            if (dt - file).abs() > 1e-6 * dt.max(file) {
                problems.push(Diagnostic::warning(
                    codes::TIME_STEP,
                    place,
                    format!("the file states {file} s, the option {dt} s; the option is used"),
                ));
            }
            Some(dt)
        }
        (Some(dt), None) => Some(dt),
        (None, Some(file)) => Some(file),
        (None, None) if stated.is_none() && convention.dt.0.is_some_and(is_time_step) => {
            let dt = convention.dt.0?;
            problems.push(Diagnostic::note(
                codes::TIME_STEP,
                place,
                format!(
                    "neither file nor option say how long a tick is; it is {dt:?} s, as {} has it",
                    convention.name
                ),
            ));
            Some(dt)
        }
        (None, None) => {
            let found = stated.map_or_else(|| "none".to_owned(), show);
            problems.push(
                Diagnostic::error(
                    codes::TIME_STEP,
                    place,
                    format!("expected the length of a tick in seconds, found {found}"),
                )
                .help("NIR files carry no time step of their own: give it with --dt or `time.dt` in the configuration, or set metadata={\"dt\": 1e-3} on the graph when exporting"),
            );
            None
        }
    }
}

fn is_time_step(dt: f64) -> bool {
    dt.is_finite() && dt > 0.0
}

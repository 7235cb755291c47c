//! Bundles with what they were made from, so that one directory is all a run needs.

use std::collections::BTreeMap;
use std::path::Path;

use nirc_ir::event::Program;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;

use crate::config::{Config, Data};
use crate::data::training_samples;
use crate::model::Model;
use crate::program::{Job, compile, missing};

/// Where the network lies in a bundle.
pub const MODEL: &str = "model.nir";

/// The training program of a model.
///
/// # Errors
/// When the configuration lacks a section, or the network does not compile.
pub fn program(model: &Model, config: &Config, target: &Target) -> Result<Program, Diagnostics> {
    let data: &Data = config.data.as_ref().ok_or_else(|| missing("data"))?;
    let job = Job::Train {
        samples: training_samples(data)?,
    };
    compile(&model.network, config, job, target)
}

/// Builds the training program's bundle, with the model in it; also what had to be changed in that.
///
/// # Errors
/// When the program does not fit the chip.
pub fn build(
    model: &Model,
    program: &Program,
    target: &Target,
) -> Result<(Bundle, Diagnostics), Diagnostics> {
    let mut bundle = Bundle::build(program, target)?;
    let (bytes, notes) = model.export(&model.weights())?;
    bundle.attachments.insert(MODEL.to_owned(), bytes);
    bundle.origin.convention = convention(model);
    Ok((bundle, notes))
}

fn convention(model: &Model) -> BTreeMap<String, String> {
    let value = serde_json::to_value(&model.network.convention);
    let attributes = value.ok().and_then(|value| value.as_object().cloned());
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    let attributes = attributes.unwrap_or_default().into_iter();
    attributes
        .map(|(name, value)| (name, text(value)))
        .collect()
}

/// Opens a bundle and the model in it.
///
/// # Errors
/// When the directory is not a sound bundle, or was not written by `nirc compile`.
pub fn open(path: &Path, config: &Config) -> Result<(Model, Bundle), Diagnostics> {
    let bundle = Bundle::open(path).map_err(Diagnostic::from)?;
    let Some(bytes) = bundle.attachments.get(MODEL) else {
        return Err(Diagnostic::error(
            codes::BUNDLE,
            path.display().to_string(),
            format!("the bundle has no {MODEL}"),
        )
        .help("make it with nirc compile")
        .into());
    };
    let model = Model::from_bytes(bytes.clone(), &bundle.origin.network, &config.reading())?;
    Ok((model, bundle))
}

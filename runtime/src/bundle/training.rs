//! Bundles that train.

use nirc_ir::Diagnostics;
use nirc_ir::event::Program;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;

use super::{MODEL, convention};
use crate::config::{Config, Data};
use crate::data::training_samples;
use crate::model::Model;
use crate::program::{Job, compile, missing};

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

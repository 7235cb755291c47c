//! A file rewritten for another tool.

use std::path::PathBuf;

use nirc_compiler::convert::{self, Target};
use nirc_compiler::nir;
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::file;
use crate::model::Model;
use crate::reading::Reading;

/// What to convert.
#[derive(Clone, Debug)]
pub struct Convert {
    /// The file to read.
    pub input: PathBuf,
    /// The file to write.
    pub output: PathBuf,
    /// How the file is read.
    pub from: Reading,
    /// How the other tool will read what is written; its ticks are as long as those of the file, unless it says
    /// otherwise.
    pub to: Reading,
}

/// Rewrites the parameters so that the network under the second convention is the one under the first.
/// Returns the notes of the import and warnings of what becomes otherwise.
///
/// # Errors
/// When the file cannot be read or imported, something cannot be expressed under the second convention, or
/// the result cannot be written.
pub fn convert_file(job: &Convert) -> Result<Diagnostics, Diagnostics> {
    let model = Model::open(&job.input, &job.from)?;
    let mut notes = model.notes.clone();
    let target = Target {
        convention: &job.to.convention,
        changes: &job.to.changes,
        dt: job.to.dt.unwrap_or(model.network.dt),
    };
    if !(target.dt.is_finite() && target.dt > 0.0) {
        let message = format!("expected a positive number of seconds, found {}", target.dt);
        return Err(Diagnostic::error(codes::TIME_STEP, "--to-dt", message).into());
    }
    let (rewrites, warnings) = convert::convert(&model.network, target)?;
    notes.0.extend(warnings.0);
    let metadata = nir::convention_metadata(target.convention, target.changes, target.dt);
    let bytes = nir::rewrite(model.file(), &rewrites, &metadata)?;
    file::keeps(&job.output, &[&job.input])?;
    file::write_atomically(&job.output, &bytes)?;
    Ok(notes)
}

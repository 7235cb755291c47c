//! A file rewritten for another tool.

use std::path::PathBuf;

use nirc_compiler::convert;
use nirc_compiler::nir;
use nirc_ir::Diagnostics;
use nirc_ir::convention::Convention;

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
    /// How the other tool will read what is written.
    pub to: Convention,
    /// Seconds of a tick of the other tool, if they are others.
    pub to_dt: Option<f64>,
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
    let to_dt = job.to_dt.unwrap_or(model.network.dt);
    let (rewrites, warnings) = convert::convert(&model.network, &job.to, to_dt)?;
    notes.0.extend(warnings.0);
    let metadata = nir::convention_metadata(&job.to, to_dt);
    let bytes = nir::rewrite(model.file(), &rewrites, &metadata)?;
    file::write_atomically(&job.output, &bytes)?;
    Ok(notes)
}

//! Data beside the repository, in `../shared`: files and recordings of others, read in place.

use std::path::{Path, PathBuf};

use crate::tools::skip;

/// The directory, if it is there; a test without it is skipped.
///
/// # Panics
/// If it is not there, and `NIRC_ORACLES=required` says that it must be.
pub fn dir() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    if dir.join("nir").is_dir() {
        return Some(dir);
    }
    skip("there is no shared data beside the workspace");
    None
}

//! Foreign tools that check our work.

use std::path::PathBuf;

/// Variable that makes a missing tool a failure when it is set to `required`.
const VARIABLE: &str = "NIRC_ORACLES";

/// Where a tool is; `None` where it is not installed, with a note.
///
/// # Panics
/// If it is not installed, and `NIRC_ORACLES=required` says that it must be.
pub fn oracle(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(tool))
        .find(|file| file.is_file());
    if found.is_none() {
        skip(&format!("{tool} is not installed"));
    }
    found
}

/// Notes that a test is skipped, and why.
///
/// # Panics
/// If `NIRC_ORACLES=required` says that none may be.
pub fn skip(why: &str) {
    let required = std::env::var(VARIABLE).is_ok_and(|value| value == "required");
    assert!(!required, "{why}, and {VARIABLE}=required");
    eprintln!("skipped: {why}");
}

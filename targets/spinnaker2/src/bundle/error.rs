//! What can be wrong with a bundle on disk.

use std::path::PathBuf;

use nirc_ir::codes::{BUNDLE, FILE_UNREADABLE, FILE_UNWRITABLE};
use nirc_ir::{Diagnostic, Diagnostics};

use crate::elf::ElfError;
use crate::mapping::MappingError;

/// Why a bundle cannot be written, read or used.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The directory cannot be written.
    #[error("{}: {source}", path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not the JSON that is expected there.
    #[error("{file}: {source}")]
    Json {
        /// The file.
        file: String,
        /// Why.
        source: serde_json::Error,
    },
    /// The manifest is of another version of the format.
    #[error("the bundle has format version {found}, expected {expected}")]
    Version {
        /// This version.
        expected: u32,
        /// The manifest's.
        found: u32,
    },
    /// A file's content is not what the manifest says.
    #[error("{file} has SHA-256 {found}, the manifest says {expected}")]
    Hash {
        /// The file.
        file: String,
        /// The manifest's hash.
        expected: String,
        /// The file's hash.
        found: String,
    },
    /// The manifest names something that is not there, or a path outside the bundle.
    #[error("the manifest names {what}, which the bundle does not have")]
    Missing {
        /// What it names.
        what: String,
    },
    /// An attachment would replace a file of the bundle, or lie outside.
    #[error("an attachment cannot be called {0}")]
    Attachment(String),
    /// An image is no ELF file for this processor.
    #[error("images/{name}.elf: {source}")]
    Image {
        /// The image.
        name: String,
        /// Why.
        source: ElfError,
    },
    /// The bundle was made from another program.
    #[error("the bundle is of program {found}, expected {expected}")]
    OtherProgram {
        /// Fingerprint of the program at hand.
        expected: String,
        /// Fingerprint in the bundle.
        found: String,
    },
    /// The program's text does not read back, or breaks a rule of programs.
    #[error("program.txt: {0}")]
    Program(Diagnostics),
    /// The program cannot be cut as the manifest says.
    #[error("the program's processes cannot be in the slices that the manifest names")]
    Slices,
    /// Placement and routes do not fit the program.
    #[error(transparent)]
    Mapping(MappingError),
}

impl From<BundleError> for Diagnostic {
    fn from(error: BundleError) -> Self {
        let code = match error {
            BundleError::Write { .. } => FILE_UNWRITABLE,
            BundleError::Read { .. } => FILE_UNREADABLE,
            _ => BUNDLE,
        };
        let help = match error {
            BundleError::Write { .. } => "name a new directory; a bundle never replaces anything",
            BundleError::Read { .. } => "name a directory that `nirc compile` wrote",
            _ => "build the bundle again",
        };
        Self::error(code, "bundle", error.to_string()).help(help)
    }
}

//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nirc_ir::{Diagnostic, codes};
use tempfile::NamedTempFile;

/// Reads a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    fs::read(path).map_err(|error| {
        Diagnostic::error(
            codes::FILE_UNREADABLE,
            path.display().to_string(),
            format!("cannot be read: {error}"),
        )
        .help("check the path and the permissions")
    })
}

/// Replaces a file: the bytes go to a temporary neighbour, to the disk, and then take its name.
/// Whatever happens on the way, the old file stays as it was.
///
/// # Errors
/// When the directory cannot be written or the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    replace(path, bytes).map_err(|error| unwritable(path, &error))
}

/// Creates a directory and those above it.
///
/// # Errors
/// When it cannot be created.
pub fn create_directory(path: &Path) -> Result<(), Diagnostic> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = temporary(directory)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is durable only once the directory is.
    File::open(directory)?.sync_all()
}

/// A temporary file with the permissions that any new file would get.
#[cfg(unix)]
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

#[cfg(not(unix))]
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    NamedTempFile::new_in(directory)
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_UNWRITABLE,
        path.display().to_string(),
        format!("cannot be written: {error}"),
    )
    .help("free some space or choose another place; what was there before is unchanged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_else_left() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("a");
        write_atomically(&path, b"one").expect("written");
        write_atomically(&path, b"two").expect("written");
        assert_eq!(read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(directory.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_missing_directory_is_a_diagnostic() {
        let error = write_atomically(Path::new("/nonexistent/a"), b"").expect_err("no directory");
        assert_eq!(error.code, codes::FILE_UNWRITABLE);
        let error = read(Path::new("/nonexistent/a")).expect_err("no file");
        assert_eq!(error.code, codes::FILE_UNREADABLE);
    }
}

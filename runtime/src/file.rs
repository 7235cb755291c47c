//! Files that are there whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use nirc_ir::{Diagnostic, codes};
use tempfile::NamedTempFile;

/// How temporary files are called, so that left ones are known again.
const PREFIX: &str = ".nirc-";
const SUFFIX: &str = ".tmp";

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
/// Whatever happens on the way, the old file stays as it was; the new one has its permissions. Behind a
/// symbolic link it is the file that the link names.
///
/// # Errors
/// When the directory cannot be written, the disk is full, or something else than a file has the name.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Diagnostic> {
    let fail = |error: io::Error| unwritable(path, &error);
    match fs::symlink_metadata(path) {
        Err(_) => {
            has_place(path)?;
            replace(path, bytes, None).map_err(fail)
        }
        Ok(_) => {
            let target = fs::canonicalize(path).map_err(|error| {
                unwritable(path, &error).help("it is a link that leads to no file: name another")
            })?;
            let metadata = fs::metadata(&target).map_err(fail)?;
            if !metadata.is_file() {
                return Err(Diagnostic::error(
                    codes::FILE_UNWRITABLE,
                    path.display().to_string(),
                    "is a directory or a device, not a file",
                )
                .help("name a file, new or to be replaced"));
            }
            replace(&target, bytes, Some(metadata.permissions())).map_err(fail)
        }
    }
}

/// Whether a file that is about to be written is none of those that were read for it.
///
/// # Errors
/// When it is one of them, by whatever name.
pub fn keeps(output: &Path, inputs: &[&Path]) -> Result<(), Diagnostic> {
    let Ok(real) = fs::canonicalize(output) else {
        return Ok(());
    };
    let mut inputs = inputs
        .iter()
        .filter_map(|input| fs::canonicalize(input).ok());
    if !inputs.any(|input| input == real) {
        return Ok(());
    }
    let message = "would take the place of a file that it is made from";
    Err(Diagnostic::error(
        codes::FILE_UNWRITABLE,
        output.display().to_string(),
        message,
    )
    .help("name another file"))
}

/// Whether the directory that a file is to be written to is there.
///
/// # Errors
/// When it is not.
pub fn has_place(path: &Path) -> Result<(), Diagnostic> {
    let missing = directory_of(path).metadata().err();
    missing.map_or(Ok(()), |error| Err(unwritable(path, &error)))
}

/// Creates a directory and those above it.
///
/// # Errors
/// When it cannot be created.
pub fn create_directory(path: &Path) -> Result<(), Diagnostic> {
    fs::create_dir_all(path).map_err(|error| unwritable(path, &error))
}

fn replace(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let directory = directory_of(path);
    let mut file = temporary(directory)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The new name is durable only once the directory is.
    File::open(directory)?.sync_all()
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A temporary file with the permissions that any new file would get.
#[cfg(unix)]
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    builder()
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)
}

#[cfg(not(unix))]
fn temporary(directory: &Path) -> io::Result<NamedTempFile> {
    builder().tempfile_in(directory)
}

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    builder
}

/// Removes the temporary files that processes which were killed have left in a directory of ours.
pub(crate) fn sweep(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            // One that cannot be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
}

pub(crate) fn unwritable(path: &Path, error: &io::Error) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_UNWRITABLE,
        path.display().to_string(),
        format!("cannot be written: {error}"),
    )
    .help(match error.kind() {
        io::ErrorKind::NotFound => "create the directory first, or choose another place",
        io::ErrorKind::PermissionDenied => "choose a place that you may write to",
        _ => "free some space or choose another place; what was there before is unchanged",
    })
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

    #[cfg(unix)]
    #[test]
    fn links_stay_links_and_what_is_no_file_stays() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&file, b"one").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
        symlink(&file, &link).expect("linked");
        write_atomically(&link, b"two").expect("written");
        assert_eq!(fs::read(&file).expect("read"), b"two");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let error = write_atomically(directory.path(), b"").expect_err("a directory");
        assert!(error.message.contains("not a file"), "{error}");
        assert!(write_atomically(Path::new("/dev/null"), b"").is_err());
    }

    #[test]
    fn a_missing_directory_is_a_diagnostic() {
        let error = write_atomically(Path::new("/nonexistent/a"), b"").expect_err("no directory");
        assert_eq!(error.code, codes::FILE_UNWRITABLE);
        let error = read(Path::new("/nonexistent/a")).expect_err("no file");
        assert_eq!(error.code, codes::FILE_UNREADABLE);
    }
}

//! Directories that appear complete or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Writes `files` (relative path, bytes) as the new directory `dir`. They are written beside it and
/// renamed into place, so that a reader never sees a part of them.
///
/// # Errors
/// If `dir` exists and is not an empty directory, or on any failure to write; nothing is left behind.
pub(super) fn write_new<'a>(
    dir: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> io::Result<()> {
    refuse_existing(dir)?;
    let partial = partial_name(dir)?;
    let written = write_files(&partial, files).and_then(|()| fs::rename(&partial, dir));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_dir_all(&partial);
    }
    written
}

fn refuse_existing(dir: &Path) -> io::Result<()> {
    match fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "the directory exists and is not empty",
            )),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotADirectory => Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a file of this name exists",
        )),
        Err(e) => Err(e),
    }
}

/// A name beside `dir`, on the same file system.
fn partial_name(dir: &Path) -> io::Result<PathBuf> {
    let name = dir.file_name().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the path names no directory")
    })?;
    let mut partial = std::ffi::OsString::from(".");
    partial.push(name);
    partial.push(format!(".partial-{}", std::process::id()));
    Ok(dir.with_file_name(partial))
}

fn write_files<'a>(
    root: &Path,
    files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> io::Result<()> {
    if let Some(parent) = root.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(root)?;
    for (path, bytes) in files {
        let path = root.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILES: [(&str, &[u8]); 2] = [("a.txt", b"a"), ("deep/er/b.txt", b"b")];

    #[test]
    fn files_appear_in_a_new_or_empty_directory() {
        let root = tempfile::tempdir().expect("a temporary directory");
        for name in ["new", "below/another", "empty"] {
            let dir = root.path().join(name);
            if name == "empty" {
                fs::create_dir(&dir).expect("writable");
            }
            write_new(&dir, FILES).expect("new");
            assert_eq!(fs::read(dir.join("deep/er/b.txt")).expect("written"), b"b");
        }
        let left = fs::read_dir(root.path()).expect("readable").count();
        assert_eq!(left, 3, "nothing else is left behind");
    }

    #[test]
    fn nothing_is_ever_replaced() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("bundle");
        write_new(&dir, FILES).expect("new");
        let error = write_new(&dir, [("a.txt", b"changed".as_slice())]).expect_err("it exists");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(dir.join("a.txt")).expect("still there"), b"a");

        let file = root.path().join("file");
        fs::write(&file, "mine").expect("writable");
        let error = write_new(&file, FILES).expect_err("a file");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&file).expect("still there"), b"mine");
        assert!(write_new(Path::new("/"), FILES).is_err());
    }

    #[test]
    fn a_failure_leaves_nothing_behind() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let dir = root.path().join("bundle");
        let clash = [("a", b"".as_slice()), ("a/b", b"".as_slice())];
        assert!(write_new(&dir, clash).is_err());
        assert_eq!(fs::read_dir(root.path()).expect("readable").count(), 0);
    }
}

//! The directory of a run: what is in it, and whose it is.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use nirc_ir::{Diagnostic, codes};

use crate::checkpoint::Checkpoint;
use crate::file;
use crate::training::Epoch;

/// A run's own directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// A directory for a new run: created, or there and empty.
    ///
    /// # Errors
    /// When something is in it, or it cannot be created.
    pub fn create(path: &Path) -> Result<Self, Diagnostic> {
        let directory = Self {
            path: path.to_owned(),
        };
        let occupied = fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
        if occupied {
            let (message, help) = if directory.checkpoint().exists() {
                (
                    "a run is in this directory already",
                    format!(
                        "go on with it by --resume {}, or choose another",
                        path.display()
                    ),
                )
            } else {
                (
                    "the directory is not empty",
                    "choose one that is empty or does not exist".to_owned(),
                )
            };
            let place = path.display().to_string();
            return Err(Diagnostic::error(codes::FILE_UNWRITABLE, place, message).help(help));
        }
        file::create_directory(path)?;
        Ok(directory)
    }

    /// The directory of a run that goes on, and its checkpoint.
    ///
    /// # Errors
    /// When there is no sound checkpoint in it.
    pub fn resume(path: &Path) -> Result<(Self, Checkpoint), Diagnostic> {
        let directory = Self {
            path: path.to_owned(),
        };
        let checkpoint = directory.checkpoint();
        if !checkpoint.exists() {
            return Err(Diagnostic::error(
                codes::CHECKPOINT,
                path.display().to_string(),
                "there is no checkpoint in this directory",
            )
            .help("--resume takes the directory that an earlier run had as --out"));
        }
        let checkpoint = Checkpoint::read(&checkpoint)?;
        file::sweep(path);
        Ok((directory, checkpoint))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The checkpoint's file.
    pub fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// The trained model's file.
    pub fn model(&self) -> PathBuf {
        self.path.join("model.nir")
    }

    /// The report's file.
    pub fn report(&self) -> PathBuf {
        self.path.join("report.html")
    }

    /// The measurements' file, a line of JSON an epoch.
    pub fn metrics(&self) -> PathBuf {
        self.path.join("metrics.jsonl")
    }

    /// Writes the measurements of these epochs in place of what the file holds.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rewrite_metrics(&self, epochs: &[Epoch]) -> Result<(), Diagnostic> {
        let lines: String = epochs.iter().map(line).collect();
        file::write_atomically(&self.metrics(), lines.as_bytes())
    }

    /// Adds the measurements of an epoch.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn add_metrics(&self, epoch: &Epoch) -> Result<(), Diagnostic> {
        let path = self.metrics();
        fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| file.write_all(line(epoch).as_bytes()))
            .map_err(|error| file::unwritable(&path, &error))
    }
}

fn line(epoch: &Epoch) -> String {
    let mut line = serde_json::to_string(epoch).expect("numbers, texts and lists of them");
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_occupied_directory_is_refused_and_left_alone() {
        let parent = tempfile::tempdir().expect("a temporary directory");
        let path = parent.path().join("run");
        let created = Directory::create(&path).expect("created");
        Directory::create(&path).expect("still empty");
        fs::write(path.join("thesis.tex"), "years").expect("written");
        let error = Directory::create(&path).expect_err("occupied");
        assert!(error.message.contains("not empty"), "{error}");
        fs::write(created.checkpoint(), "").expect("written");
        let error = Directory::create(&path).expect_err("occupied");
        assert!(error.help.expect("help").contains("--resume"));
        assert_eq!(fs::read(path.join("thesis.tex")).expect("read"), b"years");
    }

    #[test]
    fn resuming_needs_a_checkpoint() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let error = Directory::resume(directory.path()).expect_err("empty");
        assert_eq!(error.code, codes::CHECKPOINT);
    }
}

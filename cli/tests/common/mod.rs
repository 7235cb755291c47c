//! Runs the command as a user does.
#![allow(dead_code, unreachable_pub, reason = "each test uses its part")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A file of the workspace.
pub fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The path of a name in a temporary directory, as an argument.
pub fn within(directory: &tempfile::TempDir, name: &str) -> String {
    let path = directory.path().join(name);
    path.to_str().expect("UTF-8").to_owned()
}

/// The command with these arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nirc"));
    command.args(arguments).env("NO_COLOR", "1");
    command
}

/// Runs it.
pub fn nirc(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the command starts")
}

/// Standard output of a run that must succeed.
pub fn good(arguments: &[&str]) -> String {
    let output = nirc(arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Standard error of a run that must end with exit code 1, after diagnostics.
pub fn bad(arguments: &[&str]) -> String {
    let output = nirc(arguments);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {text}");
    assert!(!text.contains("panicked"), "{text}");
    text
}

/// What a run wrote to standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Lines of JSON.
pub fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}

/// Arguments of a short training run of the example: a few batches of 22, few test samples.
pub fn short_training(samples: &str) -> Vec<String> {
    let config = workspace("examples/yin-yang/full.toml");
    let config = config.to_str().expect("UTF-8");
    [
        "train",
        config,
        "--samples",
        samples,
        "--set",
        "data.test.samples=50",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The SHA-256 of the weights after each epoch.
pub fn hashes(text: &str) -> Vec<String> {
    let epochs = json_lines(text);
    let hash = |epoch: &Value| epoch["weights_sha256"].as_str().expect("a hash").to_owned();
    epochs.iter().map(hash).collect()
}

/// The same as borrowed words, with more behind them.
pub fn with<'a>(base: &'a [String], more: &[&'a str]) -> Vec<&'a str> {
    base.iter()
        .map(String::as_str)
        .chain(more.iter().copied())
        .collect()
}

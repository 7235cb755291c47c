//! What `nirc compile --emit all` writes for each example, to be read line by line.

mod common;

use std::fs;
use std::path::Path;

use common::{good, workspace};

/// The stages' files in a bundle, in order of their names.
fn stages(folder: &Path, prefix: &str) -> Vec<(String, String)> {
    let mut stages = Vec::new();
    for entry in fs::read_dir(folder).expect("the stages are there") {
        let path = entry.expect("readable").path();
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let name = format!("{prefix}{stem}");
        if path.is_dir() {
            stages.extend(self::stages(&path, &format!("{name}_")));
        } else {
            stages.push((name, fs::read_to_string(&path).expect("a text")));
        }
    }
    stages.sort();
    stages
}

/// Compiles an example; its stages have these names and texts.
fn check(example: &str, model: &str, how: &[&str], expected: &[&str]) {
    let folder = workspace("examples").join(example);
    let parent = tempfile::tempdir().expect("a directory");
    let output = common::within(&parent, "bundle");
    let model = folder.join(model);
    let model = model.to_str().expect("UTF-8");
    let arguments = [&["compile", model, "-o", &output, "--emit", "all"], how].concat();
    good(&arguments);
    let stages = stages(&Path::new(&output).join("emit"), "");
    let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, expected);
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, text) in stages {
            insta::assert_snapshot!(format!("{example}__{name}"), text);
        }
    });
}

/// Stages of a network that trains.
const TRAINING: [&str; 11] = [
    "adjoint",
    "event",
    "hidden",
    "input",
    "loss",
    "mapping",
    "network",
    "optimiser",
    "out",
    "passes_0-import",
    "passes_1-fuse",
];

/// The same with a pass before the last one, and whatever else.
fn with(more: &[&'static str]) -> Vec<&'static str> {
    let last = |stage: &str| stage == "passes_1-fuse";
    let mut stages: Vec<&str> = TRAINING.into_iter().filter(|stage| !last(stage)).collect();
    stages.extend(more);
    stages.push("passes_2-fuse");
    stages.sort_unstable();
    stages
}

fn config(path: &str) -> String {
    let path = workspace("examples").join(path);
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn yin_yang() {
    let config = config("yin-yang/full.toml");
    check("yin-yang", "model.nir", &["--config", &config], &TRAINING);
}

#[test]
fn adaptation() {
    let config = config("adaptation/adapt.toml");
    check(
        "adaptation",
        "trained.nir",
        &["--config", &config],
        &TRAINING,
    );
}

#[test]
fn digits_conv() {
    let config = config("digits-conv/digits.toml");
    let stages = with(&["one", "passes_1-bias"]);
    let few = "mapping.spike_bound=1500";
    let how = ["--config", &config, "--set", few];
    check("digits-conv", "model.nir", &how, &stages);
}

#[test]
fn yin_yang_exact() {
    let config = config("yin-yang-exact/full.toml");
    let model = "../yin-yang/model.nir";
    check("yin-yang-exact", model, &["--config", &config], &TRAINING);
}

#[test]
fn temporal_recurrent() {
    let config = config("temporal-recurrent/recurrent.toml");
    let stages = with(&["passes_1-bias"]);
    let how = ["--config", &config];
    check("temporal-recurrent", "recurrent.nir", &how, &stages);
}

#[test]
fn delays() {
    let config = config("delays/delays.toml");
    let stages = with(&["passes_1-delays"]);
    check("delays", "model.nir", &["--config", &config], &stages);
}

#[test]
fn moving_models() {
    let how = ["--convention", "snntorch", "--ticks", "16"];
    let stages = [
        "1",
        "5",
        "7",
        "event",
        "input",
        "mapping",
        "network",
        "passes_0-import",
        "passes_1-bias",
        "passes_2-fuse",
    ];
    check("moving-models", "bars.nir", &how, &stages);
}

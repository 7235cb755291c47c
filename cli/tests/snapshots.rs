//! What `nirc compile --emit all` writes for each example, to be read line by line.

mod common;

use std::fs;
use std::path::Path;

use common::{good, workspace};

/// The stages' files in a bundle, in order of their names.
fn stages(bundle: &Path) -> Vec<(String, String)> {
    let folder = fs::read_dir(bundle.join("emit")).expect("the stages are there");
    let mut stages: Vec<_> = folder
        .map(|entry| {
            let path = entry.expect("readable").path();
            let name = path.file_stem().expect("a name").to_string_lossy();
            (
                name.into_owned(),
                fs::read_to_string(&path).expect("a text"),
            )
        })
        .collect();
    stages.sort();
    stages
}

fn check(example: &str, model: &str, config: &str) {
    let folder = workspace("examples").join(example);
    let parent = tempfile::tempdir().expect("a directory");
    let bundle = parent.path().join("bundle");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (model, config) = (text(&folder.join(model)), text(&folder.join(config)));
    let output = text(&bundle);
    good(&[
        "compile", &model, "--config", &config, "-o", &output, "--emit", "all",
    ]);
    let stages = stages(&bundle);
    let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "adjoint",
            "event",
            "hidden",
            "input",
            "loss",
            "mapping",
            "network",
            "optimiser",
            "out"
        ]
    );
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        for (name, text) in stages {
            insta::assert_snapshot!(format!("{example}__{name}"), text);
        }
    });
}

#[test]
fn yin_yang() {
    check("yin-yang", "model.nir", "full.toml");
}

#[test]
fn adaptation() {
    check("adaptation", "trained.nir", "adapt.toml");
}

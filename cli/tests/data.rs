//! Data for training: what a configuration asks for is shown, split, watched and trained on.

mod common;

use std::fs;

use common::{bad, good, hashes, json_lines, short_training, with, within, workspace};

/// A configuration with nothing but data.
fn config(directory: &tempfile::TempDir, data: &str) -> String {
    let path = within(directory, "data.toml");
    let text = format!(
        "[convention]\npreset = \"eventprop\"\n[time]\nticks = 30\ndt = 1e-3\n[data]\n{data}"
    );
    fs::write(&path, text).expect("written");
    path
}

const RECALL: &str = "kind = \"store-recall\"
train = { samples = 40, seed = 1 }
test = { samples = 10, seed = 2 }
split = { seed = 3, validation = 0.25 }
channels = 5
pattern_ticks = 3
gap = 5
";

#[test]
fn data_are_shown_in_numbers_and_as_rasters() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = config(&directory, RECALL);
    let summary = &json_lines(&good(&["data", &path, "--json"]))[0];
    let sets = summary["sets"].as_array().expect("a list");
    let named = |key: &str| sets.iter().map(|set| set[key].clone()).collect::<Vec<_>>();
    assert_eq!(
        named("name"),
        ["data.train", "data.validation", "data.test"]
    );
    assert_eq!(named("samples"), [30, 10, 10]);
    assert_eq!(sets[2]["classes"], serde_json::json!({"0": 5, "1": 5}));
    // Bit and cue, two distractors, and a cue: a channel each.
    assert_eq!(named("least_spikes"), [5, 5, 5]);
    assert_eq!(named("most_spikes"), [5, 5, 5]);
    let text = good(&["data", &path, "--show", "3", "--set", "data.gap=4"]);
    let rasters: Vec<&str> = text
        .split("\n\n")
        .filter(|p| p.starts_with("sample"))
        .collect();
    assert_eq!(rasters.len(), 3);
    for raster in rasters {
        assert_eq!(raster.lines().count(), 6);
        assert_eq!(raster.matches('|').count(), 5, "{raster}");
    }
    let problems = bad(&["data", &path, "--set", "data.gap=9"]);
    assert!(problems.contains("time.ticks is 30"), "{problems}");
    let yin_yang = workspace("examples/yin-yang/full.toml");
    let text = good(&["data", yin_yang.to_str().expect("UTF-8"), "--show", "1"]);
    assert!(text.contains("5000") && text.contains("exact"), "{text}");
}

#[test]
fn an_early_stop_says_so_and_leaves_the_best_weights() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = within(&directory, "run");
    let base = short_training("132");
    let watched = [
        "--epochs",
        "9",
        "--set",
        "data.split={seed = 1, validation = 22}",
        "--set",
        // No improvement is large enough, so the first epoch stays the best.
        "training.early_stopping={patience = 2, min_delta = 1e9}",
    ];
    let mut run = with(&base, &watched);
    run.extend(["--out", &out]);
    let text = good(&run);
    assert!(
        text.contains("110 samples an epoch, 22 validation samples"),
        "{text}"
    );
    assert!(text.contains("validation"), "{text}");
    assert!(text.contains("stopped early after epoch 3"), "{text}");
    assert!(text.contains("restored the weights of epoch 1"), "{text}");
    let metrics = fs::read_to_string(format!("{out}/metrics.jsonl")).expect("written");
    let epochs = json_lines(&metrics);
    assert_eq!(epochs.len(), 3);
    assert!(
        epochs
            .iter()
            .all(|e| e["validation"]["accuracy"].is_f64() && e["validation"]["loss"].is_f64())
    );
    let best = hashes(&metrics).swap_remove(0);
    assert!(text.contains(&format!("weights sha256 {best}")), "{text}");
    let report = fs::read_to_string(format!("{out}/report.html")).expect("written");
    assert!(report.contains("best epoch, whose weights these are"));
    assert!(report.contains(&best));
    // The model that it leaves is that of the first epoch: it tests as that did.
    let model = format!("model.path={:?}", format!("{out}/model.nir"));
    let again = with(
        &base,
        &[
            "--epochs", "0", "--set", "init={}", "--set", &model, "--json",
        ],
    );
    let again = json_lines(&good(&again));
    assert_eq!(again[0]["test_accuracy"], epochs[0]["test_accuracy"]);
    assert_eq!(again[0]["test_loss"], epochs[0]["test_loss"]);
    // It goes on to the same end.
    let mut resumed = with(&base, &watched);
    resumed.extend(["--resume", &out]);
    let text = good(&resumed);
    assert!(text.contains("restored the weights of epoch 1"), "{text}");
    assert!(text.contains(&format!("weights sha256 {best}")), "{text}");
}

#[test]
fn validation_and_balance_give_the_same_bits_on_the_chip() {
    let base = short_training("66");
    let run = |executor: &str| {
        let more = [
            "--epochs",
            "2",
            "--json",
            "--executor",
            executor,
            "--set",
            "data.validation={samples = 20, seed = 44}",
            "--set",
            "training.balanced=true",
            "--set",
            "training.early_stopping={patience = 5, metric = \"accuracy\"}",
        ];
        let mut epochs = json_lines(&good(&with(&base, &more)));
        for epoch in &mut epochs {
            let epoch = epoch.as_object_mut().expect("an object");
            epoch.retain(|key, _| !key.ends_with("seconds") && key != "executor");
        }
        epochs
    };
    let host = run("host");
    assert_eq!(host.len(), 2);
    assert_eq!(host, run("emulator"));
}

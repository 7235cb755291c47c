//! The examples, each as its README runs it.

mod common;

use std::path::Path;

use common::{good, json_lines, workspace};

fn example(path: &str) -> String {
    let path = workspace("examples").join(path);
    path.to_str().expect("UTF-8").to_owned()
}

/// Test accuracy at the end of a run and before it.
fn accuracies(text: &str) -> (f64, f64) {
    let epochs = json_lines(text);
    let accuracy = |value: &serde_json::Value| value["test_accuracy"].as_f64().expect("a number");
    let first = &epochs[0]["evaluations"][0];
    assert_eq!(first["samples"], 0);
    (accuracy(first), accuracy(epochs.last().expect("an epoch")))
}

#[test]
fn adaptation_wins_back_half_of_what_the_turn_cost() {
    let config = example("adaptation/adapt.toml");
    let world = [
        "--epochs",
        "0",
        "--set",
        "data.rotation_degrees=0",
        "--json",
    ];
    let old = json_lines(&good(&[&["train", config.as_str()], &world[..]].concat()));
    let old = old[0]["test_accuracy"].as_f64().expect("a number");
    let mut won = Vec::new();
    for seed in ["42", "43", "44", "45", "46"] {
        let text = good(&["train", &config, "--seed", seed, "--json"]);
        let (before, after) = accuracies(&text);
        assert!(old - before > 0.3, "the turn costs {old} - {before}");
        won.push((after - before) / (old - before));
    }
    assert!(won.iter().all(|share| *share >= 0.5), "won back: {won:?}");
}

#[test]
fn adaptation_takes_place_on_the_chip_and_leaves_a_model() {
    let parent = tempfile::tempdir().expect("a directory");
    let config = example("adaptation/adapt.toml");
    let few = ["--epochs", "2", "--set", "data.test.samples=200", "--json"];
    let train = |executor: &str, out: &str| {
        let mut arguments = vec!["train", &config, "--executor", executor];
        arguments.extend(few);
        let out = parent.path().join(out);
        let out = out.to_str().expect("UTF-8");
        arguments.extend(["--out", out]);
        let hashes = common::hashes(&good(&arguments));
        let model = Path::new(out).join("model.nir");
        (hashes, std::fs::read(model).expect("a model"))
    };
    let (hashes, model) = train("emulator", "chip");
    assert_eq!((hashes, model.clone()), train("host", "host"));
    // The same graph, other weights; and it goes round once more from where it stands.
    let adapted = parent.path().join("adapted.nir");
    std::fs::write(&adapted, &model).expect("written");
    let path = format!("model.path={:?}", adapted.to_str().expect("UTF-8"));
    let arguments = ["train", &config, "--epochs", "0", "--set", &path, "--json"];
    let again = json_lines(&good(&arguments));
    assert!(again[0]["test_accuracy"].as_f64().expect("a number") > 0.55);
}

#[test]
fn learning_sample_by_sample_reaches_three_quarters() {
    let config = example("yin-yang/online.toml");
    let mut sum = 0.0;
    for seed in ["42", "43", "44", "45", "46"] {
        let text = good(&["train", &config, "--seed", seed, "--json"]);
        sum += accuracies(&text).1;
    }
    assert!(sum / 5.0 >= 0.735, "mean accuracy {}", sum / 5.0);
}

#[test]
fn training_in_batches_learns_within_five_epochs() {
    let config = example("yin-yang/full.toml");
    let text = good(&["train", &config, "--epochs", "5", "--json"]);
    let last = json_lines(&text).pop().expect("an epoch");
    assert!(
        last["test_accuracy"].as_f64().expect("a number") > 0.85,
        "{last}"
    );
}

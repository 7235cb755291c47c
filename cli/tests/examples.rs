//! The examples, each as its README runs it.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::{good, json_lines, workspace};
use ndarray::{ArrayD, ArrayViewD, Axis};
use ndarray_npy::{NpzReader, ReadableElement};

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
fn a_convolution_learns_digits() {
    let config = example("digits-conv/digits.toml");
    let text = good(&["train", &config, "--json"]);
    let epochs = json_lines(&text);
    let accuracy = epochs.last().expect("an epoch")["test_accuracy"].as_f64();
    assert!(accuracy.expect("a number") >= 0.85, "{text}");
    // The same on the chip, for as long as there is patience.
    let hashes = ["host", "emulator"].map(|executor| {
        let few = [
            "--epochs",
            "1",
            "--set",
            "data.train.samples=40",
            "--set",
            "data.test.samples=10",
            // A PE of the chip has no room for more.
            "--set",
            "mapping.spike_bound=1500",
            "--executor",
            executor,
            "--json",
        ];
        common::hashes(&good(&[&["train", &config][..], &few].concat()))
    });
    assert_eq!(hashes[0], hashes[1]);
}

#[test]
fn recurrent_synapses_keep_a_bit_that_a_network_without_them_loses() {
    let reached = |config: &str| {
        let config = example(config);
        let few = ["--epochs", "10", "--set", "data.test.samples=200", "--json"];
        let text = good(&[&["train", config.as_str()], &few[..]].concat());
        let epochs = json_lines(&text);
        let last = epochs.last().expect("an epoch");
        last["test_accuracy"].as_f64().expect("a number")
    };
    let [with, without] = ["recurrent", "feedforward"]
        .map(|name| reached(&format!("temporal-recurrent/{name}.toml")));
    assert!(with > 0.9, "{with}");
    assert!(without < 0.75, "{without}");
}

#[test]
fn recurrent_synapses_train_on_the_chip_to_the_same_bits() {
    let config = example("temporal-recurrent/recurrent.toml");
    let hashes = ["host", "emulator"].map(|executor| {
        let few = [
            "train",
            &config,
            "--epochs",
            "1",
            "--set",
            "data.train.samples=40",
            "--set",
            "data.validation.samples=10",
            "--set",
            "data.test.samples=10",
            "--executor",
            executor,
            "--json",
        ];
        common::hashes(&good(&few))
    });
    assert_eq!(hashes[0], hashes[1]);
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

/// What a run of the moving bars recorded of a layer, or the example's own arrays.
fn bars<A: ReadableElement>(archive: &Path, name: &str) -> ArrayD<A> {
    let mut npz = NpzReader::new(File::open(archive).expect("opened")).expect("an archive");
    npz.by_name(name).expect("an array")
}

/// How many samples the last layer's counts get right, and how many of its spikes are not snnTorch's.
fn outcome(archive: &Path) -> (usize, usize) {
    let given = PathBuf::from(example("moving-models/bars.npz"));
    let labels: ArrayD<u8> = bars(&given, "label");
    let recorded: ArrayD<u8> = bars(&given, "7.spikes");
    let found: ArrayD<u8> = bars(archive, "7.spikes");
    let found = found
        .into_shape_with_order(recorded.dim())
        .expect("a shape");
    let counts = found.mapv(u32::from).sum_axis(Axis(0));
    let answer = |sample: ArrayViewD<'_, u32>| {
        let counts: Vec<u32> = sample.iter().copied().collect();
        let most = counts.iter().max().expect("classes");
        counts.iter().position(|count| count == most)
    };
    let right = counts.outer_iter().zip(&labels);
    let right = right.filter(|(sample, label)| answer(sample.view()) == Some(usize::from(**label)));
    let differing = found.iter().zip(&recorded).filter(|(a, b)| a != b);
    (right.count(), differing.count())
}

#[test]
fn moving_models_gives_what_its_table_says() {
    let parent = tempfile::tempdir().expect("a directory");
    let (model, input) = (
        example("moving-models/bars.nir"),
        example("moving-models/bars.npz"),
    );
    let run = |file: &str, convention: &str, executor: &str| {
        let output = common::within(&parent, &format!("{convention}-{executor}.npz"));
        good(&[
            "run",
            file,
            "--convention",
            convention,
            "--dt",
            "1e-4",
            "--input",
            &input,
            "--executor",
            executor,
            "-o",
            &output,
        ]);
        outcome(Path::new(&output))
    };
    let readme = std::fs::read_to_string(workspace("examples/moving-models/README.md"));
    let readme = readme.expect("readable");
    let rows = readme.lines().filter_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let convention = cells.get(1)?.strip_prefix('`')?.split('`').next()?;
        let right: f64 = cells.get(2)?.strip_suffix(" %")?.parse().ok()?;
        let differing: usize = cells.get(3)?.parse().ok()?;
        Some((convention.to_owned(), right, differing))
    });
    let rows: Vec<_> = rows.collect();
    assert_eq!(rows.len(), 6, "{rows:?}");
    for (convention, right, differing) in &rows {
        let (found, others) = run(&model, convention, "host");
        assert_eq!(
            (found as f64 / 2.0, others),
            (*right, *differing),
            "{convention}"
        );
    }
    assert_eq!(run(&model, "snntorch", "emulator"), (196, 0));
    let converted = common::within(&parent, "converted.nir");
    good(&[
        "convert", &model, &converted, "--from", "snntorch", "--to", "norse", "--dt", "1e-4",
    ]);
    assert_eq!(run(&converted, "norse", "host"), (196, 0));
}

#[test]
fn moving_models_names_the_difference() {
    let (model, input) = (
        example("moving-models/bars.nir"),
        example("moving-models/bars.npz"),
    );
    let text = good(&[
        "diff",
        &model,
        &model,
        "--convention",
        "snntorch",
        "--convention-b",
        "norse",
        "--dt",
        "1e-4",
        "--input",
        &input,
    ]);
    assert!(text.contains("The first difference is in tick 0"), "{text}");
    assert!(text.contains("`resistance` explains it"), "{text}");
}

#[test]
fn moving_models_runs_from_its_bundle() {
    let parent = tempfile::tempdir().expect("a directory");
    let (model, input) = (
        example("moving-models/bars.nir"),
        example("moving-models/bars.npz"),
    );
    let bundle = common::within(&parent, "bundle");
    good(&[
        "compile",
        &model,
        "--convention",
        "snntorch",
        "--ticks",
        "16",
        "-o",
        &bundle,
    ]);
    for executor in ["host", "emulator"] {
        let output = common::within(&parent, &format!("{executor}.npz"));
        good(&[
            "run",
            &bundle,
            "--input",
            &input,
            "--executor",
            executor,
            "-o",
            &output,
        ]);
        assert_eq!(outcome(Path::new(&output)), (196, 0));
    }
}

#[test]
fn moving_models_states_how_it_is_read_once_it_is_converted() {
    let parent = tempfile::tempdir().expect("a directory");
    let (model, input) = (
        example("moving-models/bars.nir"),
        example("moving-models/bars.npz"),
    );
    let output = common::within(&parent, "out.npz");
    let run = |file: &str| common::nirc(&["run", file, "--input", &input, "-o", &output]);
    let text = common::stderr(&run(&model));
    assert!(text.contains("snntorch would be a guess"), "{text}");
    let converted = common::within(&parent, "converted.nir");
    let how = ["--from", "snntorch", "--to", "norse", "--dt", "1e-4"];
    good(&[&["convert", &model, &converted], &how[..]].concat());
    let text = common::stderr(&run(&converted));
    assert!(text.contains("it is read under `norse`"), "{text}");
    assert_eq!(outcome(Path::new(&output)), (196, 0));
}

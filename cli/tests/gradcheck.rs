//! Gradients against differences, as a user asks for them.

mod common;

use common::{bad, good, within, workspace};
use serde_json::Value;
use tempfile::TempDir;

/// A configuration of Yin-Yang at exact event times, and what to ask of it: few samples, few entries.
fn arguments(directory: &TempDir, more: &[&str]) -> Vec<String> {
    let config = within(directory, "c.toml");
    let text = "[convention]\npreset = \"event\"\n\
        [time]\nmodel = \"event\"\nticks = 60\ndt = 1e-3\n\
        [data]\nkind = \"yin-yang\"\nt_min = 2\nt_max = 26\n\
        train = { samples = 20, seed = 42 }\ntest = { samples = 2, seed = 43 }\n\
        [loss]\nkind = \"first-spike\"\nxi = 0.28\nalpha = 0.0224\nbeta = 12\n";
    std::fs::write(&config, text).expect("written");
    let model = workspace("examples/yin-yang/model.nir");
    let model = model.to_str().expect("UTF-8");
    let base = ["gradcheck", model, "--config", &config];
    let size = ["--samples", "3", "--entries", "20", "--bias-samples", "2"];
    let all = [&base[..], &size, more].concat();
    all.into_iter().map(str::to_owned).collect()
}

fn of(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

#[test]
fn exact_gradients_are_derivatives_and_the_report_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let out = within(&directory, "out");
    let asked = arguments(&directory, &["-o", &out]);
    let told = good(&of(&asked));
    for tensor in ["fc1.weight", "fc2.weight", "times of input spikes"] {
        assert!(told.contains(tensor), "{told}");
    }
    let file = |name: &str| std::fs::read_to_string(format!("{out}/{name}")).expect("there");
    let found: Value = serde_json::from_str(&file("gradcheck.json")).expect("JSON");
    let tensors = found["gradients"]["tensors"].as_array().expect("a list");
    assert_eq!(tensors.len(), 3);
    for tensor in tensors {
        assert!(tensor["compared"].as_u64() > Some(5), "{tensor}");
        assert!(tensor["largest"].as_f64() < Some(1e-6), "{tensor}");
    }
    // Shorter ticks are nearer to exact times in the last layer.
    let ticks = found["bias"]["refined"].as_array().expect("a list");
    let distances = ticks.iter().map(|tick| tick["distance"][1].as_f64());
    let distances: Vec<f64> = distances.map(|d| d.expect("a number")).collect();
    assert_eq!(distances.len(), 4);
    assert!(distances[3] < distances[0] / 2.0, "{distances:?}");
    let page = file("gradcheck.html");
    assert!(page.contains("errors by decade") && page.contains("class=\"hidden\""));
    // The same seed draws the same entries.
    let json = ["--json"].map(str::to_owned);
    let again = [&arguments(&directory, &[])[..], &json].concat();
    let [one, two] = [good(&of(&again)), good(&of(&again))];
    assert_eq!(one, two);
    let other = [&again[..], &["--seed", "1"].map(str::to_owned)].concat();
    assert_ne!(one, good(&of(&other)));
}

#[test]
fn what_is_beyond_the_tolerance_or_compares_nothing_fails() {
    let directory = tempfile::tempdir().expect("a directory");
    let strict = bad(&of(&arguments(&directory, &["--median", "1e-20"])));
    assert!(
        strict.contains("N0705") && strict.contains("fc1.weight"),
        "{strict}"
    );
    // Weights of 0: nobody spikes.
    let mut silent = arguments(&directory, &["--init"]);
    let none = ["fc1", "fc2"].map(|fc| format!("init.{fc}.std=0"));
    let zero = ["fc1", "fc2"].map(|fc| format!("init.{fc}.mean=0"));
    let seed = ["training.seed=1", "training.epochs=1", "training.batch=2"].map(str::to_owned);
    let rule = ["optimiser.kind=adam", "optimiser.learning_rate=0.01"].map(str::to_owned);
    for set in [&none[..], &zero, &seed, &rule].concat() {
        silent.extend(["--set".to_owned(), set]);
    }
    let silent = bad(&of(&silent));
    assert!(silent.contains("no entry was compared"), "{silent}");
}

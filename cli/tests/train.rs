//! Training runs: their bits, their directories, their interruptions.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{bad, command, good, hashes, json_lines, nirc, short_training, stderr, with};

#[test]
fn executors_and_threads_give_the_same_bits() {
    let base = short_training("66");
    let run = |more: &[&str]| {
        let mut arguments = with(&base, &["--epochs", "2", "--json"]);
        arguments.extend(more);
        let text = good(&arguments);
        let epochs = json_lines(&text);
        assert_eq!(epochs.len(), 2);
        for (k, epoch) in epochs.iter().enumerate() {
            assert_eq!(epoch["epoch"], k + 1);
            for key in ["train_loss", "train_accuracy", "test_accuracy", "seconds"] {
                assert!(epoch[key].is_f64(), "{key}: {epoch}");
            }
            assert_eq!(epoch["executor"], more[1]);
        }
        let measured: Vec<String> = epochs
            .iter()
            .map(|e| {
                format!(
                    "{} {} {}",
                    e["train_loss"], e["test_accuracy"], e["weights_sha256"]
                )
            })
            .collect();
        measured
    };
    let expected = run(&["--executor", "interpreter"]);
    for threads in ["1", "2"] {
        assert_eq!(run(&["--executor", "host", "--threads", threads]), expected);
        assert_eq!(
            run(&["--executor", "emulator", "--threads", threads]),
            expected
        );
    }
}

#[test]
fn a_directory_holds_everything_and_is_never_overwritten() {
    let parent = tempfile::tempdir().expect("a directory");
    let out = parent.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let base = short_training("44");
    let text = good(&with(&base, &["--epochs", "2", "--out", out]));
    assert!(text.contains("epoch   2/2"), "{text}");
    let metrics = fs::read_to_string(Path::new(out).join("metrics.jsonl")).expect("metrics");
    assert_eq!(json_lines(&metrics).len(), 2);
    let html = fs::read_to_string(Path::new(out).join("report.html")).expect("a report");
    for part in [
        "<svg",
        "test accuracy",
        "Class 0, before training",
        "map of the chip",
        "of 131072 bytes",
    ] {
        assert!(html.contains(part), "the report lacks {part}");
    }
    // Self-contained: nothing is fetched.
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src="));
    // The trained model is a model.
    good(&[
        "inspect",
        Path::new(out).join("model.nir").to_str().expect("UTF-8"),
    ]);
    let text = bad(&with(&base, &["--epochs", "2", "--out", out]));
    assert!(
        text.contains("N0107") && text.contains("--resume"),
        "{text}"
    );
    let foreign = parent.path().join("foreign");
    fs::create_dir(&foreign).expect("created");
    fs::write(foreign.join("notes.txt"), "mine").expect("written");
    let text = bad(&with(&base, &["--out", foreign.to_str().expect("UTF-8")]));
    assert!(text.contains("not empty"), "{text}");
    assert_eq!(
        fs::read_to_string(foreign.join("notes.txt")).expect("read"),
        "mine"
    );
}

#[test]
fn a_run_goes_on_with_more_epochs_on_another_executor() {
    let parent = tempfile::tempdir().expect("a directory");
    let out = parent.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let base = short_training("66");
    let whole = hashes(&good(&with(&base, &["--epochs", "3", "--json"])));
    good(&with(
        &base,
        &["--epochs", "1", "--out", out, "--executor", "emulator"],
    ));
    let resumed = good(&with(&base, &["--epochs", "3", "--resume", out, "--json"]));
    assert_eq!(hashes(&resumed), whole[1..]);
    let metrics = fs::read_to_string(Path::new(out).join("metrics.jsonl")).expect("metrics");
    assert_eq!(hashes(&metrics), whole);
    // Into another directory, the first stays as it is.
    let other = parent.path().join("other");
    let other = other.to_str().expect("UTF-8");
    good(&with(
        &base,
        &["--epochs", "4", "--resume", out, "--out", other],
    ));
    assert_eq!(
        fs::read_to_string(Path::new(out).join("metrics.jsonl")).expect("metrics"),
        metrics
    );
    let text = bad(&with(
        &base,
        &["--resume", out, "--set", "training.batch=11", "--seed", "7"],
    ));
    for expected in [
        "N0702",
        "training.batch",
        "training.seed",
        "initial weights",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
}

/// Starts a long run that saves a checkpoint after each batch, and waits for its first.
fn start_long_run(base: &[String], out: &str) -> Child {
    let long = ["--epochs", "3", "--out", out, "--executor", "interpreter"];
    let always = ["--set", "training.checkpoint_seconds=0"];
    let mut arguments = with(base, &long);
    arguments.extend(always);
    let child = command(&arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let checkpoint = Path::new(out).join("checkpoint.safetensors");
    let begin = Instant::now();
    while !checkpoint.exists() {
        assert!(
            begin.elapsed() < Duration::from_secs(120),
            "no checkpoint appeared"
        );
        sleep(Duration::from_millis(5));
    }
    child
}

#[test]
fn killing_a_run_loses_nothing() {
    let parent = tempfile::tempdir().expect("a directory");
    let base = short_training("220");
    let whole = hashes(&good(&with(&base, &["--epochs", "3", "--json"])));
    for wait in [10, 150, 400] {
        let out = parent.path().join(wait.to_string());
        let out = out.to_str().expect("UTF-8");
        let mut child = start_long_run(&base, out);
        sleep(Duration::from_millis(wait));
        child.kill().expect("killed");
        child.wait().expect("ended");
        let torn = Path::new(out).join(".nirc-torn.tmp");
        fs::write(&torn, "half of it").expect("written");
        good(&with(&base, &["--epochs", "3", "--resume", out]));
        let metrics = fs::read_to_string(Path::new(out).join("metrics.jsonl")).expect("metrics");
        assert_eq!(hashes(&metrics), whole, "killed after {wait} ms");
        assert!(!torn.exists(), "what the kill left is swept");
    }
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_a_checkpoint_and_ends_well() {
    let parent = tempfile::tempdir().expect("a directory");
    let out = parent.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let base = short_training("440");
    let child = start_long_run(&base, out);
    let killed = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill runs");
    assert!(killed.success());
    let output = child.wait_with_output().expect("ended");
    assert!(output.status.success(), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("stopped; go on with --resume"), "{text}");
    let whole = hashes(&good(&with(&base, &["--epochs", "3", "--json"])));
    good(&with(&base, &["--epochs", "3", "--resume", out]));
    let metrics = fs::read_to_string(Path::new(out).join("metrics.jsonl")).expect("metrics");
    assert_eq!(hashes(&metrics), whole);
}

/// Runs with a limit on the size of files, which acts like a disk that fills up: writing fails
/// half-way. The shell ignores the signal that would come with it, and so does what it starts.
#[cfg(unix)]
#[test]
fn a_full_disk_is_a_diagnostic_and_the_old_checkpoint_stays() {
    let parent = tempfile::tempdir().expect("a directory");
    let out = parent.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let base = short_training("44");
    good(&with(&base, &["--epochs", "1", "--out", out]));
    let checkpoint = Path::new(out).join("checkpoint.safetensors");
    let before = fs::read(&checkpoint).expect("a checkpoint");
    let arguments = with(&base, &["--epochs", "2", "--resume", out]);
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(env!("CARGO_BIN_EXE_nirc"))
        .args(&arguments)
        .output()
        .expect("a shell");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("error[N0107]") && text.contains("cannot be written"),
        "{text}"
    );
    assert_eq!(fs::read(&checkpoint).expect("still there"), before);
    let names: Vec<_> = fs::read_dir(out)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names.len(), 4, "something is left over: {names:?}");
    good(&arguments);
}

#[test]
fn damaged_and_missing_checkpoints_are_diagnostics() {
    let parent = tempfile::tempdir().expect("a directory");
    let out = parent.path().join("run");
    let out = out.to_str().expect("UTF-8");
    let base = short_training("44");
    assert!(bad(&with(&base, &["--resume", out])).contains("N0702"));
    good(&with(&base, &["--epochs", "1", "--out", out]));
    let checkpoint = Path::new(out).join("checkpoint.safetensors");
    let mut bytes = fs::read(&checkpoint).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&checkpoint, &bytes).expect("written");
    assert!(bad(&with(&base, &["--resume", out])).contains("N0702"));
}

#[test]
fn diverged_training_is_an_error() {
    let base = short_training("44");
    let far = [
        "--set",
        "optimiser.kind=sgd",
        "--set",
        "optimiser.weight_decay=1e38",
        "--set",
        "optimiser.learning_rate=1e38",
    ];
    let text = bad(&with(&base, &far));
    assert!(
        text.contains("N0704") && text.contains("learning_rate"),
        "{text}"
    );
}

#[test]
fn absurd_numbers_of_threads_are_harmless() {
    let base = short_training("44");
    let few = ["--epochs", "1", "--json", "--threads", "1000000"];
    for executor in ["host", "emulator"] {
        let mut arguments = with(&base, &few);
        arguments.extend(["--executor", executor]);
        good(&arguments);
    }
}

#[test]
fn bad_configurations_are_told_key_by_key() {
    let base = short_training("44");
    let text = bad(&with(
        &base,
        &[
            "--set",
            "training.batch=0",
            "--set",
            "optimizer.lr=1",
            "--set",
            "time.ticks=27.5",
        ],
    ));
    for expected in [
        "error[N0303]",
        "training.batch",
        "error[N0302]",
        "optimizer",
        "did you mean `optimiser`?",
        "time.ticks",
    ] {
        assert!(text.contains(expected), "{expected} is not in {text}");
    }
    let text = bad(&with(&base, &["--json", "--set", "training.batch=45"]));
    let problem: serde_json::Value = serde_json::from_str(text.trim()).expect("a line of JSON");
    assert_eq!(problem["code"], "N0304");
    assert_eq!(problem["severity"], "error");
    assert!(
        problem["place"]
            .as_str()
            .expect("a place")
            .ends_with("training.batch")
    );
    assert!(
        bad(&with(
            &base,
            &["--set", "init.fc9.mean=1", "--set", "init.fc9.std=1"]
        ))
        .contains("fc1, fc2")
    );
    assert!(bad(&with(&base, &["--set", "model.path=none.nir"])).contains("N0101"));
    assert!(bad(&["train", "/nonexistent.toml"]).contains("N0101"));
    assert!(
        bad(&with(
            &base,
            &["--set", "mapping.replicas=200", "--executor", "emulator"]
        ))
        .contains("N0501")
    );
    assert_eq!(nirc(&["train"]).status.code(), Some(2));
    assert_eq!(
        nirc(&["train", "c.toml", "--executor", "gpu"])
            .status
            .code(),
        Some(2)
    );
}

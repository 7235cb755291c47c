//! Training, stopping, going on: to the bit.

mod common;

use common::{Stopper, program, samples, settings, timeless};
use nirc_ir::codes;
use nirc_ir::interpreter::Interpreter;
use nirc_runtime::checkpoint::{Checkpoint, Origin};
use nirc_runtime::config::{EarlyStopping, Metric, Training};
use nirc_runtime::data::Sets;
use nirc_runtime::training::{Ended, Snapshot, Trainer, evaluate, weights};

/// 37 samples to train on, 16 to validate on, 30 to test on.
fn sets() -> Sets {
    Sets {
        train: samples(1, 37),
        validation: Some(samples(3, 16)),
        test: samples(2, 30),
    }
}

/// Trains three epochs, from a snapshot if there is one, and stops after so many batches.
fn run(from: Option<&Snapshot>, stop_after: usize) -> (Ended, Snapshot) {
    run_with(from, stop_after, settings(3, 4))
}

/// The same with other settings.
fn run_with(from: Option<&Snapshot>, stop_after: usize, settings: Training) -> (Ended, Snapshot) {
    let sets = sets();
    let mut executor = Interpreter::new(&program(4, 3));
    let mut trainer = Trainer::new(&mut executor, &sets, settings).expect("enough samples");
    if let Some(snapshot) = from {
        trainer.restore(snapshot).expect("it fits");
    }
    let mut observer = Stopper::after(stop_after);
    let ended = trainer.run(&mut observer).expect("it runs");
    (ended, trainer.snapshot().expect("readable"))
}

#[test]
fn going_on_from_any_batch_ends_with_the_same_bits() {
    let (ended, whole) = run(None, usize::MAX);
    assert_eq!(ended, Ended::Finished);
    let whole = timeless(whole);
    // 9 batches of 4 an epoch; one sample is dropped.
    assert_eq!(whole.progress.epochs.len(), 3);
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("checkpoint");
    for stop_after in [1, 8, 9, 10, 14, 18, 26] {
        let (ended, half) = run(None, stop_after);
        assert_eq!(ended, Ended::Stopped);
        let checkpoint = Checkpoint {
            origin: origin(),
            snapshot: half,
        };
        checkpoint.write(&path).expect("written");
        let read = Checkpoint::read(&path).expect("read");
        assert_eq!(read, checkpoint);
        let (ended, resumed) = run(Some(&read.snapshot), usize::MAX);
        assert_eq!(ended, Ended::Finished);
        assert_eq!(
            timeless(resumed),
            whole,
            "stopped after {stop_after} batches"
        );
    }
}

#[test]
fn training_learns_and_measures() {
    let (_, snapshot) = run(None, usize::MAX);
    let epochs = &snapshot.progress.epochs;
    assert!(epochs[2].train_loss < epochs[0].train_loss, "{epochs:?}");
    assert_eq!(epochs[0].weights_sha256.len(), 64);
    assert_ne!(epochs[0].weights_sha256, epochs[1].weights_sha256);
    // 36 samples an epoch, tested before training and after each 20.
    let tested: Vec<usize> = epochs
        .iter()
        .flat_map(|e| e.evaluations.iter().map(|v| v.samples))
        .collect();
    assert_eq!(tested, [0, 20, 40, 60, 80, 100]);
}

fn origin() -> Origin {
    Origin {
        config: serde_json::json!({"training": {"batch": 4}, "time": {"ticks": 12}}),
        model_sha256: "m".to_owned(),
        data_sha256: "d".to_owned(),
        replicas: 3,
    }
}

#[test]
fn a_contradicting_origin_is_refused_key_by_key() {
    let mut other = origin();
    other.config = serde_json::json!({"training": {"batch": 5}, "time": {"ticks": 12}, "init": []});
    other.replicas = 2;
    origin().check(&origin()).expect("the same");
    let problems = origin().check(&other).expect_err("different");
    let places: Vec<&str> = problems.0.iter().map(|d| d.place.as_str()).collect();
    assert_eq!(places, ["training.batch", "init", "mapping.replicas"]);
    assert!(problems.0.iter().all(|d| d.code == codes::CHECKPOINT));
    assert!(
        problems.0[0].message.contains("made with 4, now it is 5"),
        "{problems}"
    );
}

#[test]
fn a_damaged_checkpoint_is_a_diagnostic() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("checkpoint");
    let (_, snapshot) = run(None, 2);
    let checkpoint = Checkpoint {
        origin: origin(),
        snapshot,
    };
    checkpoint.write(&path).expect("written");
    let bytes = std::fs::read(&path).expect("read");
    let refused = |bytes: &[u8]| {
        std::fs::write(&path, bytes).expect("written");
        assert_eq!(
            Checkpoint::read(&path).expect_err("damaged").code,
            codes::CHECKPOINT
        );
    };
    for len in [0, 7, 8, 100, bytes.len() / 2, bytes.len() - 1] {
        refused(&bytes[..len]);
    }
    // A flipped bit anywhere: in the header, in the first and in the last value.
    for at in [20, bytes.len() - 700, bytes.len() - 1] {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        refused(&flipped);
    }
    refused(&[0xff; 64]);
}

#[test]
fn a_checkpoint_of_another_model_does_not_fit() {
    let sets = sets();
    let (_, good) = run(None, 2);
    let mut executor = Interpreter::new(&program(4, 3));
    let mut trainer = Trainer::new(&mut executor, &sets, settings(3, 4)).expect("enough samples");
    let mut without = good.clone();
    let first = without.arrays.keys().next().expect("arrays").clone();
    without.arrays.remove(&first);
    assert!(
        trainer
            .restore(&without)
            .expect_err("lacks one")
            .message
            .contains(&first)
    );
    let mut short = good.clone();
    short.arrays.get_mut(&first).expect("there").pop();
    assert!(
        trainer
            .restore(&short)
            .expect_err("short")
            .message
            .contains("elements")
    );
    let mut odd = good.clone();
    odd.progress.position = 5;
    assert_eq!(
        trainer.restore(&odd).expect_err("odd").code,
        codes::CHECKPOINT
    );
    trainer.restore(&good).expect("it fits");
}

#[test]
fn too_few_samples_are_refused() {
    let mut executor = Interpreter::new(&program(4, 3));
    let mut refused = |sets: &Sets, settings: Training| {
        let error = Trainer::new(&mut executor, sets, settings).err();
        assert_eq!(error.expect("refused").code, codes::CONFIG_CONTRADICTION);
    };
    let few = Sets {
        train: samples(1, 3),
        ..sets()
    };
    refused(&few, settings(3, 4));
    let unwatched = Sets {
        validation: None,
        ..sets()
    };
    refused(&unwatched, watched(3, 1, 0.0));
    let empty = Sets {
        validation: Some(samples(1, 0)),
        ..sets()
    };
    refused(&empty, settings(3, 4));
}

/// Settings that watch the loss of the validation set.
fn watched(epochs: usize, patience: usize, min_delta: f64) -> Training {
    Training {
        early_stopping: Some(EarlyStopping {
            metric: Metric::Loss,
            patience,
            min_delta,
        }),
        ..settings(epochs, 4)
    }
}

#[test]
fn training_ends_when_the_validation_set_sees_no_improvement() {
    // No epoch is better by so much, so the first stays the best.
    let settings = watched(30, 3, 1e9);
    let (ended, snapshot) = run_with(None, usize::MAX, settings);
    assert_eq!(ended, Ended::Early);
    let epochs = &snapshot.progress.epochs;
    assert_eq!(epochs.len(), 4);
    assert!(epochs.iter().all(|epoch| epoch.validation.is_some()));
    // What was kept are the weights after the first epoch, and no others.
    let sets = sets();
    let mut executor = Interpreter::new(&program(4, 3));
    let mut trainer = Trainer::new(&mut executor, &sets, settings).expect("enough samples");
    trainer.restore(&snapshot).expect("it fits");
    let hash = |trainer: &Trainer<'_, Interpreter>| {
        weights(trainer.executor()).expect("readable").sha256()
    };
    assert_eq!(hash(&trainer), epochs[3].weights_sha256);
    assert_eq!(trainer.restore_best(), Ok(Some(1)));
    assert_eq!(hash(&trainer), epochs[0].weights_sha256);
    // They classify as they did then.
    let tally = evaluate(&mut executor, &sets.test, &|| false).expect("it runs");
    let tally = tally.expect("not stopped");
    assert_eq!(tally.accuracy(), epochs[0].test_accuracy);
    assert_eq!(tally.mean_cross_entropy(), epochs[0].test_loss);
    // Going on changes nothing.
    let (ended, again) = run_with(Some(&snapshot), usize::MAX, settings);
    assert_eq!((ended, timeless(again)), (Ended::Early, timeless(snapshot)));
}

#[test]
fn an_early_stop_is_the_same_after_any_interruption() {
    let settings = watched(6, 2, 0.02);
    let (ended, whole) = run_with(None, usize::MAX, settings);
    let whole = timeless(whole);
    assert!(whole.best.is_some());
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("checkpoint");
    for stop_after in [1, 9, 12, 20] {
        let (_, snapshot) = run_with(None, stop_after, settings);
        let checkpoint = Checkpoint {
            origin: origin(),
            snapshot,
        };
        checkpoint.write(&path).expect("written");
        let read = Checkpoint::read(&path).expect("read");
        assert_eq!(read, checkpoint);
        let (again, resumed) = run_with(Some(&read.snapshot), usize::MAX, settings);
        assert_eq!((again, timeless(resumed)), (ended, whole.clone()));
    }
    // A run of more epochs goes on from the last one, not from the best.
    let (_, shorter) = run_with(None, usize::MAX, watched(2, 2, 0.02));
    let (_, longer) = run_with(Some(&shorter), usize::MAX, settings);
    assert_eq!(timeless(longer), whole);
}

#[test]
fn balanced_batches_resume_to_the_bit_and_train_on_other_samples() {
    let balanced = Training {
        balanced: true,
        ..settings(2, 4)
    };
    let (_, whole) = run_with(None, usize::MAX, balanced);
    let (_, half) = run_with(None, 11, balanced);
    let (_, resumed) = run_with(Some(&half), usize::MAX, balanced);
    assert_eq!(timeless(resumed), timeless(whole.clone()));
    let (_, other) = run_with(None, usize::MAX, settings(2, 4));
    assert_ne!(other.arrays, whole.arrays);
}

#[test]
fn a_validation_set_changes_nothing_in_training() {
    let (_, with) = run(None, usize::MAX);
    let sets = Sets {
        validation: None,
        ..sets()
    };
    let mut executor = Interpreter::new(&program(4, 3));
    let mut trainer = Trainer::new(&mut executor, &sets, settings(3, 4)).expect("enough samples");
    let mut observer = Stopper::after(usize::MAX);
    trainer.run(&mut observer).expect("it runs");
    let without = trainer.snapshot().expect("readable");
    assert_eq!(without.arrays, with.arrays);
    assert!(
        observer
            .epochs
            .iter()
            .all(|epoch| epoch.validation.is_none())
    );
}

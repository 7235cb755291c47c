//! Everything that an optimiser keeps outlives a stop, on any executor, to the bit.

mod common;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use common::{Stopper, samples, settings, timeless, trained_by};
use nirc_compiler::options::{Clip, Optimiser, Rule, Schedule};
use nirc_ir::event::Program;
use nirc_runtime::checkpoint::{Checkpoint, Origin};
use nirc_runtime::data::Sets;
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::training::{Ended, Snapshot, Trainer};
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;

const KINDS: [Kind; 3] = [Kind::Interpreter, Kind::Host, Kind::Emulator];

/// Trains two epochs of 9 batches, from a snapshot if there is one, and stops after so many batches.
fn run(
    program: &Program,
    kind: Kind,
    from: Option<&Snapshot>,
    stop_after: usize,
) -> (Ended, Snapshot) {
    let sets = Sets {
        train: samples(1, 37),
        validation: None,
        test: samples(2, 10),
    };
    let executors = Executors {
        kind,
        threads: 1,
        balance: Balance::Memory,
    };
    let mut executor = executors
        .start(program, &Target::spinnaker2())
        .expect("it starts");
    let mut trainer = Trainer::new(&mut executor, &sets, settings(2, 4)).expect("enough samples");
    if let Some(snapshot) = from {
        trainer.restore(snapshot).expect("it fits");
    }
    let mut observer = Stopper::after(stop_after);
    let ended = trainer.run(&mut observer).expect("it runs");
    let mut snapshot = timeless(trainer.snapshot().expect("readable"));
    for epoch in &mut snapshot.progress.epochs {
        // It says who measured, and is the one thing that differs.
        epoch.executor.clear();
    }
    (ended, snapshot)
}

fn optimisers() -> [(Optimiser, &'static [&'static str]); 3] {
    let batches = |n| NonZeroU32::new(n).expect("some");
    let momentum = Optimiser {
        warm_up: NonZeroU32::new(4),
        schedule: Schedule::Cosine {
            batches: batches(14),
            last: 1e-4,
        },
        clip: Some(Clip::Norm(1e-4)),
        ..Optimiser::new(
            Rule::Sgd {
                momentum: 0.9,
                nesterov: true,
            },
            2.0,
        )
    };
    let adamw = Optimiser {
        weight_decay: 1e-2,
        schedule: Schedule::Step {
            batches: batches(5),
            factor: 0.5,
        },
        clip: Some(Clip::Value(1e-5)),
        ..Optimiser::new(
            Rule::AdamW {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            5e-3,
        )
    };
    let adamax = Optimiser {
        weight_decay: 1e-6,
        schedule: Schedule::Exponential { factor: 0.97 },
        ..Optimiser::new(
            Rule::AdaMax {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            5e-3,
        )
    };
    [
        (momentum, &["clip", "cos.low", "momentum", "sin", "warm_up"]),
        (adamw, &["kept", "m", "q2.low", "rate", "since", "v"]),
        (adamax, &["m", "q1", "rate.low", "u"]),
    ]
}

#[test]
fn what_optimisers_keep_outlives_stops_on_every_executor() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("checkpoint");
    for (optimiser, kept) in optimisers() {
        let program = trained_by(optimiser, 4, 3);
        let (ended, whole) = run(&program, Kind::Interpreter, None, usize::MAX);
        assert_eq!(ended, Ended::Finished);
        for kind in KINDS {
            let (_, same) = run(&program, kind, None, usize::MAX);
            assert_eq!(same, whole, "{kind:?}, {optimiser:?}");
        }
        // From one executor to the next, by way of files.
        let mut snapshot = None;
        for (kind, stop_after) in KINDS.into_iter().zip([3, 8, usize::MAX]) {
            let (ended, stopped) = run(&program, kind, snapshot.as_ref(), stop_after);
            assert_eq!(ended == Ended::Finished, stop_after == usize::MAX);
            let checkpoint = Checkpoint {
                origin: Origin {
                    config: serde_json::Value::Null,
                    model_sha256: String::new(),
                    data_sha256: String::new(),
                    replicas: 3,
                },
                snapshot: stopped,
            };
            checkpoint.write(&path).expect("written");
            snapshot = Some(Checkpoint::read(&path).expect("read").snapshot);
        }
        let resumed = snapshot.expect("three runs");
        assert_eq!(resumed, whole, "{optimiser:?}");
        let names: BTreeSet<&str> = resumed
            .arrays
            .keys()
            .filter_map(|name| name.strip_prefix("fc1.weight."))
            .collect();
        for array in kept {
            assert!(names.contains(array), "{array} is not in {names:?}");
        }
        if let Some(Clip::Norm(_)) = optimiser.clip {
            let scale = resumed.arrays["fc1.weight.clip"][0];
            assert!(scale < 1.0, "the last gradient was clipped: {scale}");
            assert_eq!(resumed.arrays["fc2.weight.clip"], [scale]);
        }
    }
}

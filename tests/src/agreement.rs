//! Whether an executor agrees with the interpreter, which is the meaning of a program: every array of
//! every replica, every spike and every outcome, to the bit.

use nirc_ir::event::{ArrayKind, Output, Process, Program, Role};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample, keeps_spikes};
use nirc_ir::interpreter::Interpreter;

use crate::rng::Rng;

/// A batch that owns its samples.
pub struct Batch {
    samples: Vec<Owned>,
}

/// What a [`Sample`] borrows.
struct Owned {
    spikes: Vec<InputSpike>,
    times: Vec<f32>,
    values: Vec<f32>,
    label: u32,
    error: Vec<f32>,
}

impl Batch {
    /// Random spikes, values, labels and errors for `program`.
    pub fn random(program: &Program, samples: usize, rng: &mut Rng) -> Self {
        let outputs = program
            .loss()
            .map_or(0, |loss| program.processes[loss].lanes);
        let channels = |output| program.source_channels(output);
        let given = program
            .processes
            .values()
            .any(|p| p.array_of(ArrayKind::GivenError).is_some());
        let errors = if given {
            outputs * program.ticks as usize
        } else {
            0
        };
        let sample = |_| {
            let mut spikes = Vec::new();
            for tick in 0..program.ticks {
                for channel in 0..channels(Output::Spikes) as u32 {
                    if rng.below(6) == 0 {
                        spikes.push(InputSpike { tick, channel });
                    }
                }
            }
            let times = match program.window {
                Some(_) => exact_times(&mut spikes, rng),
                None => Vec::new(),
            };
            let label = rng.below(outputs.max(1)) as u32;
            let error = (0..errors).map(|_| rng.normal() * 0.1).collect();
            let values = channels(Output::Given) * program.ticks as usize;
            let values = (0..values).map(|_| rng.normal()).collect();
            Owned {
                spikes,
                times,
                values,
                label,
                error,
            }
        };
        Self {
            samples: (0..samples).map(sample).collect(),
        }
    }

    /// As executors take them.
    pub fn samples(&self) -> Vec<Sample<'_>> {
        self.samples
            .iter()
            .map(|own| Sample {
                times: &own.times,
                spikes: &own.spikes,
                values: &own.values,
                label: own.label,
                error: &own.error,
            })
            .collect()
    }
}

/// Times within the bins of some spikes, many of them the same, and the spikes in their order.
fn exact_times(spikes: &mut [InputSpike], rng: &mut Rng) -> Vec<f32> {
    let mut timed: Vec<(f32, u32)> = spikes
        .iter()
        .map(|spike| {
            let within = match rng.below(3) {
                0 => 0.25 * rng.below(4) as f32,
                _ => 0.999 * rng.uniform(),
            };
            (spike.tick as f32 + within, spike.channel)
        })
        .collect();
    timed.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    for (spike, (time, channel)) in spikes.iter_mut().zip(&timed) {
        *spike = InputSpike {
            tick: time.floor() as u32,
            channel: *channel,
        };
    }
    timed.into_iter().map(|(time, _)| time).collect()
}

fn run(executor: &mut dyn Executor, pass: Pass, batch: &Batch) -> Result<Vec<Outcome>, String> {
    let mut outcomes = Vec::new();
    match executor.run(pass, &batch.samples(), &mut outcomes) {
        Ok(()) => Ok(outcomes),
        Err(problem) => Err(problem.place),
    }
}

fn same_bits(a: f32, b: f32) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

/// Compares values bit by bit; any NaN is like any other.
///
/// # Panics
/// Where they differ.
pub fn assert_same_values(what: &str, got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len(), "{what}: length");
    for (i, (a, b)) in got.iter().zip(expected).enumerate() {
        assert!(
            same_bits(*a, *b),
            "{what}[{i}] is {a:e}, the interpreter says {b:e}"
        );
    }
}

fn assert_same_outcomes(got: &[Outcome], expected: &[Outcome]) {
    assert_eq!(got.len(), expected.len());
    for (k, (a, b)) in got.iter().zip(expected).enumerate() {
        let values =
            |o: &Outcome| [&o.first_spike[..], &o.score, &[o.loss, o.cross_entropy]].concat();
        assert_same_values(&format!("outcome {k}"), &values(a), &values(b));
    }
}

/// Compares all that can be read of the replicas that had a sample.
fn assert_same_state(got: &dyn Executor, expected: &dyn Executor, replicas: usize) {
    let program = expected.program();
    for (proc, process) in program.processes.iter() {
        let replicas = match process.role {
            Role::Optimiser(_) => 1,
            _ => replicas,
        };
        for replica in 0..replicas {
            for (array, decl) in process.arrays.iter() {
                let what = format!("{}.{} of replica {replica}", process.name, decl.name);
                let a = got.read(replica, proc, array).expect("readable");
                let b = expected.read(replica, proc, array).expect("readable");
                assert_same_values(&what, &a, &b);
            }
            if keeps_spikes(program, proc).is_err() {
                assert!(
                    got.spikes(replica, proc).is_err(),
                    "{} keeps none",
                    process.name
                );
            } else {
                let spikes = [got, expected].map(|e| e.spikes(replica, proc).expect("readable"));
                assert_eq!(spikes[0], spikes[1], "spikes of {}", process.name);
                if program.window.is_some() {
                    let [a, b] =
                        [got, expected].map(|e| e.spike_times(replica, proc).expect("readable"));
                    let what = format!("times of {} of replica {replica}", process.name);
                    assert_same_values(&what, &a, &b);
                }
            }
        }
    }
}

/// Whether nothing but memory bounds the spikes of neurons, which may have any number of them at exact times.
fn has_unbounded(program: &Program) -> bool {
    let mut neurons = program.processes.values();
    let bound = |process: &Process| process.tape.as_ref().and_then(|tape| tape.bound);
    program.window.is_some()
        && neurons.any(|process| process.role == Role::Neurons && bound(process).is_none())
}

/// Runs the same random batches on both and compares after each; stops where both refuse one.
///
/// # Panics
/// Where they differ.
pub fn assert_agrees(executor: &mut dyn Executor, seed: u64) {
    let program = executor.program().clone();
    let mut interpreter = Interpreter::new(&program);
    let mut rng = Rng::new(seed);
    let passes = [
        Pass::Train,
        Pass::Forward,
        Pass::Gradient,
        Pass::Train,
        Pass::Train,
    ];
    for (k, pass) in passes.into_iter().enumerate() {
        let samples = 1 + (program.replicas * 2 + k) % (program.replicas * 3);
        let batch = Batch::random(&program, samples, &mut rng);
        let got = run(executor, pass, &batch);
        let expected = run(&mut interpreter, pass, &batch);
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                assert_same_outcomes(&got, &expected);
                assert_same_state(executor, &interpreter, samples.min(program.replicas));
            }
            // An executor may lack room that the interpreter has.
            (Err(_), Ok(_)) if has_unbounded(&program) => return,
            (got, expected) => {
                assert_eq!(got.is_err(), expected.is_err(), "{got:?}, {expected:?}");
                return;
            }
        }
    }
}

//! What every executor offers: the interpreter, the native simulator, the emulated chip.
//!
//! They differ in speed and in what they can tell about the hardware; never in a bit of a result.

use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::event::{Array, ArrayKind, Output, Proc, Process, Program, Role};

/// A spike of the input: bin and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputSpike {
    /// Bin, below [`Program::ticks`].
    pub tick: u32,
    /// Channel; those of several sources are counted on, in the order of the processes.
    pub channel: u32,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Input spikes, strictly ascending by (bin, channel), or by their times.
    pub spikes: &'a [InputSpike],
    /// Their exact times in bins, one a spike, ascending by (time, channel), each in the bin of its spike; only
    /// for programs of exact event times, else empty.
    pub times: &'a [f32],
    /// Input values, `T * channels` of all sources of values together; empty where there are none.
    pub values: &'a [f32],
    /// Class index, below the outputs; read only by programs whose loss has a label.
    pub label: u32,
    /// `T * lanes` errors, for programs whose loss takes them as given; empty otherwise.
    pub error: &'a [f32],
}

/// Whether a program can run this sample.
///
/// # Errors
/// The first thing that is wrong with it: spikes that do not ascend or that come from nowhere, too few or
/// too many values or ones that are not finite, a label that is no output, too few or too many given errors.
pub fn check_sample(program: &Program, sample: &Sample<'_>) -> Result<(), Diagnostic> {
    let checks = [
        check_order,
        check_spikes,
        check_times,
        check_values,
        check_label,
        check_errors,
    ];
    checks.iter().try_for_each(|check| {
        check(program, sample)
            .map_err(|message| Diagnostic::error(codes::DATA_ARRAY, "sample", message))
    })
}

/// Whether a program can run all of these samples.
///
/// # Errors
/// What [`check_sample`] says of the first that it cannot, with its number.
pub fn check_batch(program: &Program, batch: &[Sample<'_>]) -> Result<(), Diagnostic> {
    let mut samples = batch.iter().enumerate();
    samples.try_for_each(|(k, sample)| {
        check_sample(program, sample).map_err(|problem| Diagnostic {
            place: format!("sample {k}"),
            ..problem
        })
    })
}

fn check_order(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    if program.window.is_some() {
        // Within a bin they ascend by their times.
        return Ok(());
    }
    match sample.spikes.windows(2).find(|pair| pair[0] >= pair[1]) {
        Some(pair) => Err(format!(
            "input spikes must ascend by bin and channel; found {:?} before {:?}",
            pair[0], pair[1]
        )),
        None => Ok(()),
    }
}

fn check_spikes(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    let ticks = program.ticks;
    let channels = program.source_channels(Output::Spikes);
    let outside = |s: &&InputSpike| s.tick >= ticks || s.channel as usize >= channels;
    match sample.spikes.iter().find(outside) {
        Some(spike) => Err(format!(
            "{spike:?} is outside {ticks} bins of {channels} channels"
        )),
        None => Ok(()),
    }
}

fn check_times(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    let (found, spikes) = (sample.times.len(), sample.spikes.len());
    let expected = if program.window.is_some() { spikes } else { 0 };
    if found != expected {
        return Err(format!(
            "{found} exact times for {spikes} input spikes, expected {expected}"
        ));
    }
    let in_bin =
        |(time, spike): (&f32, &InputSpike)| *time >= 0.0 && time.floor() == spike.tick as f32;
    let timed = || sample.times.iter().zip(sample.spikes);
    if let Some(at) = timed().position(|pair| !in_bin(pair)) {
        return Err(format!(
            "input spike {at} has the time {}, and is of bin {}",
            sample.times[at], sample.spikes[at].tick
        ));
    }
    let keys: Vec<_> = timed()
        .map(|(time, spike)| (*time, spike.channel))
        .collect();
    match keys.windows(2).position(|pair| pair[0] >= pair[1]) {
        Some(at) => Err(format!(
            "input spikes must ascend by time and channel; {:?} stands before {:?}",
            keys[at],
            keys[at + 1]
        )),
        None => Ok(()),
    }
}

fn check_values(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    let channels = program.source_channels(Output::Given);
    let (found, expected) = (sample.values.len(), channels * program.ticks as usize);
    if found != expected {
        return Err(format!(
            "{found} input values, expected {expected}: {} bins of {channels} channels",
            program.ticks
        ));
    }
    match sample.values.iter().position(|v| !v.is_finite()) {
        Some(at) => Err(format!(
            "input value {} in bin {}, channel {}, is no finite number",
            sample.values[at],
            at / channels,
            at % channels
        )),
        None => Ok(()),
    }
}

fn check_label(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    match loss_with(program, ArrayKind::Label) {
        Some(loss) if sample.label as usize >= loss.lanes => Err(format!(
            "label {} of {} outputs, which count from 0",
            sample.label, loss.lanes
        )),
        _ => Ok(()),
    }
}

fn check_errors(program: &Program, sample: &Sample<'_>) -> Result<(), String> {
    let loss = loss_with(program, ArrayKind::GivenError);
    let expected = loss.map_or(0, |loss| program.ticks as usize * loss.lanes);
    let found = sample.error.len();
    if found == expected {
        return Ok(());
    }
    Err(format!("{found} given errors, expected {expected}"))
}

/// The loss process, if it has an array of this kind.
fn loss_with(program: &Program, kind: ArrayKind) -> Option<&Process> {
    let loss = &program.processes[program.loss()?];
    loss.array_of(kind).map(|_| loss)
}

/// Whether a process' spikes can be read after a run.
///
/// # Errors
/// When it has no tape, with its name.
pub fn keeps_spikes(program: &Program, proc: Proc) -> Result<(), Diagnostic> {
    let process = &program.processes[proc];
    if process.role == Role::Source || process.tape.is_some() {
        return Ok(());
    }
    Err(Diagnostic::error(
        codes::RECORD_NAME,
        &process.name,
        "its spikes are not recorded by this program",
    ))
}

/// What the loss process holds after a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// First spike of each output in bins, `T` where silent; empty where the loss reads no spikes.
    pub first_spike: Vec<f32>,
    /// Score of each output; empty where the loss computes none.
    pub score: Vec<f32>,
    /// The minimised loss of this sample, before division by the batch size.
    pub loss: f32,
    /// Its cross-entropy part.
    pub cross_entropy: f32,
}

impl Outcome {
    /// The class that the sample is taken for: the output with the highest score, or else the one that spikes
    /// first; of several, the lowest.
    pub fn predicted(&self) -> u32 {
        let (values, better): (_, fn(f32, f32) -> bool) = match self.score.is_empty() {
            true => (&self.first_spike, |time, best| time < best),
            false => (&self.score, |score, best| score > best),
        };
        let mut best = 0;
        for (class, value) in values.iter().enumerate() {
            if better(*value, values[best]) {
                best = class;
            }
        }
        u32::try_from(best).expect("fewer than 2^32 outputs")
    }
}

/// How far a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward only.
    Forward,
    /// Forward and adjoint: gradients, no update.
    Gradient,
    /// Forward, adjoint and optimiser step.
    Train,
}

/// A spike on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneSpike {
    /// Bin.
    pub tick: u32,
    /// Lane.
    pub lane: u32,
}

/// Runs event programs.
pub trait Executor {
    /// The program it was made for.
    fn program(&self) -> &Program;

    /// Short name: `interpreter`, `host` or `emulator`.
    fn name(&self) -> &'static str;

    /// Runs a batch (at most [`Program::replicas`] samples a round, any number of rounds) and
    /// appends an outcome per sample, in order.
    ///
    /// # Errors
    /// A sample that [`check_sample`] refuses, a tape overflow, a lost packet or a fault of the device;
    /// weights and `outcomes` are then as before the call.
    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic>;

    /// Reads an array of a replica (optimiser processes have one instance: replica 0) as the last
    /// run left it; traces whole, `T * lanes` values.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic>;

    /// Overwrites an optimiser's array; its parameter array is copied to every replica.
    ///
    /// # Errors
    /// When the device cannot be written.
    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic>;

    /// The spikes that a source emitted in the last run of a replica, or that a neuron process with a tape
    /// of own spikes did.
    ///
    /// # Errors
    /// When the process keeps none, or the device cannot be read.
    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic>;

    /// Their exact times in bins, in programs that have such.
    ///
    /// # Errors
    /// As [`Self::spikes`]; and of an executor that runs no such programs.
    fn spike_times(&self, _replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        let program = self.program();
        keeps_spikes(program, proc)?;
        let message = format!(
            "the executor `{}` has no exact times of spikes",
            self.name()
        );
        Err(Diagnostic::error(
            codes::RECORD_NAME,
            &program.processes[proc].name,
            message,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interpreter::Interpreter;
    use crate::text::{Externals, parse_program};

    const PROGRAM: &str = include_str!("verify/tests/sound.nirp");

    fn parsed(text: &str) -> Program {
        parse_program(text, &Externals::new()).expect("it parses")
    }

    const fn spike(tick: u32, channel: u32) -> InputSpike {
        InputSpike { tick, channel }
    }

    fn sample(spikes: &[InputSpike]) -> Sample<'_> {
        Sample {
            spikes,
            times: &[],
            values: &[],
            label: 2,
            error: &[],
        }
    }

    fn problem(program: &Program, sample: &Sample<'_>) -> String {
        let problem = check_sample(program, sample).expect_err("it is refused");
        assert_eq!(problem.code, codes::DATA_ARRAY);
        problem.message
    }

    #[test]
    fn a_sample_says_what_is_wrong_with_it() {
        let program = parsed(PROGRAM);
        let good = [spike(0, 1), spike(9, 0), spike(9, 1)];
        check_sample(&program, &sample(&good)).expect("it fits");
        for (spikes, expected) in [
            ([spike(3, 0), spike(2, 0)], "must ascend"),
            ([spike(3, 1), spike(3, 1)], "must ascend"),
            ([spike(3, 0), spike(10, 0)], "outside 10 bins of 2 channels"),
            ([spike(3, 0), spike(3, 2)], "outside 10 bins of 2 channels"),
        ] {
            let message = problem(&program, &sample(&spikes));
            assert!(message.contains(expected), "{message}");
        }
        let label = Sample {
            label: 3,
            ..sample(&[])
        };
        assert!(problem(&program, &label).contains("label 3 of 3 outputs"));
        let given = parsed(&PROGRAM.replace("label : label", "label : given_error"));
        check_sample(
            &given,
            &Sample {
                error: &[0.5; 30],
                ..label
            },
        )
        .expect("it fits");
        for (program, error) in [(&given, &[0.5; 29][..]), (&program, &[0.5; 30])] {
            let message = problem(
                program,
                &Sample {
                    error,
                    ..sample(&[])
                },
            );
            assert!(message.contains("given errors, expected"), "{message}");
        }
    }

    #[test]
    fn a_bad_sample_stops_a_batch_before_it_runs() {
        let mut interpreter = Interpreter::new(&parsed(PROGRAM));
        let (good, bad) = ([spike(0, 0)], [spike(0, 7)]);
        let batch = [sample(&good), sample(&bad)];
        let mut outcomes = Vec::new();
        let problem = interpreter.run(Pass::Train, &batch, &mut outcomes);
        assert_eq!(problem.expect_err("it is refused").place, "sample 1");
        assert_eq!(outcomes, []);
    }

    #[test]
    fn spikes_of_the_last_bin_count() {
        let text = PROGRAM.replace("proc1 delay 1 bound 20", "proc1 delay 1 bound 1");
        let mut interpreter = Interpreter::new(&parsed(&text));
        let spikes = [spike(0, 0), spike(9, 0)];
        let run = interpreter.run(Pass::Forward, &[sample(&spikes)], &mut Vec::new());
        let problem = run.expect_err("the tape holds one");
        assert_eq!(
            (problem.code, &*problem.place),
            (codes::DEVICE_LOSS, "cells")
        );
    }

    #[test]
    fn a_batch_that_overflows_leaves_no_outcome() {
        let text = PROGRAM.replace("proc1 delay 1 bound 20", "proc1 delay 1 bound 1");
        let mut interpreter = Interpreter::new(&parsed(&text));
        let (few, many) = ([spike(0, 0)], [spike(0, 0), spike(0, 1)]);
        let mut outcomes = Vec::new();
        interpreter
            .run(Pass::Train, &[sample(&few), sample(&many)], &mut outcomes)
            .expect_err("the tape is full");
        assert_eq!(outcomes, []);
    }

    #[test]
    fn the_first_to_spike_wins_and_ties_go_to_the_lowest_class() {
        let predicted = |times: &[f32]| {
            let first_spike = times.to_vec();
            let outcome = Outcome {
                first_spike,
                ..Outcome::default()
            };
            outcome.predicted()
        };
        assert_eq!(predicted(&[5.0, 3.0, 4.0]), 1);
        assert_eq!(predicted(&[27.0, 27.0, 27.0]), 0);
        assert_eq!(predicted(&[9.0, 4.0, 4.0]), 1);
    }

    #[test]
    fn the_highest_score_wins_and_ties_go_to_the_lowest_class() {
        let predicted = |scores: &[f32]| {
            let score = scores.to_vec();
            let outcome = Outcome {
                score,
                ..Outcome::default()
            };
            outcome.predicted()
        };
        assert_eq!(predicted(&[0.5, -3.0, 4.0]), 2);
        assert_eq!(predicted(&[-1.0, -1.0]), 0);
    }
}

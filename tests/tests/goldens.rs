//! Recorded PyTorch runs, reproduced by every executor.

use ndarray::{Array2, Array3, Axis};
use nirc_compiler::lower::lower;
use nirc_compiler::options::Options;
use nirc_host::HostSimulator;
use nirc_ir::event::{ArrayKind, Program, Role, Tensor};
use nirc_ir::executor::{Executor, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_spinnaker2::target::Target;
use nirc_tests::golden::{FILES, Golden};

type Make = fn(&Program) -> Box<dyn Executor>;

fn interpreter(program: &Program) -> Box<dyn Executor> {
    Box::new(Interpreter::new(program))
}

fn host(program: &Program) -> Box<dyn Executor> {
    Box::new(HostSimulator::new(program, 2).expect("the program compiles"))
}

fn emulator(program: &Program) -> Box<dyn Executor> {
    let target = Target::spinnaker2();
    let options = EmulatorOptions {
        threads: 2,
        ..EmulatorOptions::default()
    };
    Box::new(Emulated::new(program, &target, options).expect("the firmware loads"))
}

const EXECUTORS: [Make; 3] = [interpreter, host, emulator];

fn each(test: impl Fn(&Golden, Make)) {
    for file in FILES {
        let golden = Golden::open(file);
        for make in EXECUTORS {
            test(&golden, make);
        }
    }
}

fn program(golden: &Golden, options: &Options) -> Program {
    lower(&golden.network(), options).expect("the network lowers")
}

fn run(golden: &Golden, executor: &mut dyn Executor, given: bool) {
    let inputs = golden.inputs();
    let labels = golden.labels();
    let errors = golden.errors();
    let batch: Vec<Sample<'_>> = inputs
        .iter()
        .zip(&labels)
        .zip(&errors)
        .map(|((spikes, label), error)| Sample {
            times: &[],
            spikes,
            label: *label,
            error: if given { error } else { &[] },
            values: &[],
        })
        .collect();
    let mut outcomes = Vec::new();
    executor
        .run(Pass::Gradient, &batch, &mut outcomes)
        .expect("the batch runs");
}

fn read(executor: &dyn Executor, replica: usize, process: &str, array: &str) -> Vec<f32> {
    let program = executor.program();
    let proc = program.process(process).expect(process);
    let array = program.processes[proc].array(array).expect(array);
    executor.read(replica, proc, array).expect("readable")
}

fn assert_bits(what: &str, got: &[f32], expected: impl Iterator<Item = f32>) {
    let expected: Vec<f32> = expected.collect();
    assert_eq!(got.len(), expected.len(), "{what}: length");
    let wrong: Vec<(usize, f32, f32)> = got
        .iter()
        .zip(&expected)
        .enumerate()
        // A zero may carry either sign: torch multiplies by 0 where a program selects.
        .filter(|(_, (a, b))| a.to_bits() != b.to_bits() && (**a != 0.0 || **b != 0.0))
        .map(|(i, (a, b))| (i, *a, *b))
        .collect();
    assert!(
        wrong.is_empty(),
        "{what}: {} of {} differ, first {:?}",
        wrong.len(),
        got.len(),
        wrong[0]
    );
}

/// Traces of the hidden and the output layer against the recording, to the bit.
fn assert_traces(golden: &Golden, executor: &dyn Executor, names: &[(&str, &str)]) {
    for (population, layer) in [("hidden", "L1"), ("out", "L2")] {
        for (trace, recorded) in names {
            let expected: Array3<f32> = golden.three(&format!("{layer}_{recorded}"));
            for replica in 0..expected.len_of(Axis(1)) {
                let what = format!("{} {population}.{trace} sample {replica}", executor.name());
                let got = read(executor, replica, population, &format!("trace.{trace}"));
                let expected = expected.index_axis(Axis(1), replica);
                assert_bits(&what, &got, expected.iter().copied());
            }
        }
    }
}

/// Gradients of each sample against the recording, to the bit.
fn assert_sample_gradients(golden: &Golden, executor: &dyn Executor) {
    for (population, projection, layer) in [("hidden", "fc1", "L1"), ("out", "fc2", "L2")] {
        let expected: Array3<f32> = golden.three(&format!("{layer}_gW_per_sample"));
        for (replica, expected) in expected.outer_iter().enumerate() {
            let name = format!("{projection}.weight.gradient");
            let got = read(executor, replica, population, &name);
            // Ours has a row per source.
            assert_bits(
                &format!("{} {name} sample {replica}", executor.name()),
                &got,
                expected.t().iter().copied(),
            );
        }
    }
}

#[test]
fn forward_equals_the_recording_to_the_bit() {
    each(|golden, make| {
        let program = program(golden, &golden.options(true));
        let mut executor = make(&program);
        run(golden, executor.as_mut(), true);
        assert_traces(
            golden,
            executor.as_ref(),
            &[("i", "I"), ("v_pre", "Vpre"), ("v", "V")],
        );
        for (population, layer) in [("hidden", "L1"), ("out", "L2")] {
            let expected: Array3<u8> = golden.three(&format!("{layer}_spikes"));
            let proc = program.process(population).expect(population);
            for replica in 0..expected.len_of(Axis(1)) {
                let mut got =
                    Array2::<u8>::zeros((expected.len_of(Axis(0)), expected.len_of(Axis(2))));
                for spike in executor.spikes(replica, proc).expect("readable") {
                    got[(spike.tick as usize, spike.lane as usize)] = 1;
                }
                assert_eq!(
                    got,
                    expected.index_axis(Axis(1), replica),
                    "{population} {replica}"
                );
            }
        }
    });
}

#[test]
fn adjoint_equals_the_recording_to_the_bit_given_its_error() {
    each(|golden, make| {
        let program = program(golden, &golden.options(true));
        let mut executor = make(&program);
        run(golden, executor.as_mut(), true);
        assert_traces(
            golden,
            executor.as_ref(),
            &[("lambda_v", "lV"), ("lambda_i", "lI")],
        );
        assert_sample_gradients(golden, executor.as_ref());
    });
}

#[test]
fn gradients_from_the_loss_equal_the_recording_up_to_the_sum_over_the_batch() {
    each(|golden, make| {
        let program = program(golden, &golden.options(false));
        let mut executor = make(&program);
        run(golden, executor.as_mut(), false);
        assert_sample_gradients(golden, executor.as_ref());
        // Only the order of the sum over the batch differs.
        for (population, projection, recorded) in [("hidden", "fc1", "gW1"), ("out", "fc2", "gW2")]
        {
            let expected: Array2<f32> = golden.two(recorded);
            let mut sum = vec![0.0_f32; expected.len()];
            for replica in 0..program.replicas {
                let name = format!("{projection}.weight.gradient");
                let one = read(executor.as_ref(), replica, population, &name);
                for (sum, one) in sum.iter_mut().zip(one) {
                    *sum += one;
                }
            }
            let largest = expected.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
            let worst = sum
                .iter()
                .zip(expected.t().iter())
                .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
            println!(
                "{} {recorded}: {:e} of the largest",
                executor.name(),
                worst / largest
            );
            assert!(worst <= 2e-6 * largest, "{recorded}: {worst} of {largest}");
        }
    });
}

#[test]
fn five_adam_steps_stay_within_1e7() {
    each(|golden, make| {
        let program = program(golden, &golden.training());
        let mut executor = make(&program);
        let recorded = [
            golden.three::<f32>("traj_W1"),
            golden.three::<f32>("traj_W2"),
        ];
        for (step, (inputs, labels)) in golden.steps().into_iter().enumerate() {
            let batch: Vec<Sample<'_>> = inputs
                .iter()
                .zip(&labels)
                .map(|(spikes, label)| Sample {
                    times: &[],
                    spikes,
                    label: *label,
                    error: &[],
                    values: &[],
                })
                .collect();
            let mut outcomes = Vec::new();
            executor
                .run(Pass::Train, &batch, &mut outcomes)
                .expect("the batch runs");
            for (tensor, recorded) in recorded.iter().enumerate() {
                use nirc_ir::entity::Entity;
                let tensor = Tensor::new(tensor);
                let expected = recorded.index_axis(Axis(0), step);
                let got = weights(executor.as_ref(), tensor);
                let worst = got
                    .iter()
                    .zip(expected.t().iter())
                    .fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
                println!("{} step {step} {tensor}: {worst:e}", executor.name());
                assert!(worst <= 1e-7, "step {step}, {tensor}: {worst:e}");
            }
        }
    });
}

fn weights(executor: &dyn Executor, tensor: Tensor) -> Vec<f32> {
    let program = executor.program();
    let (proc, process) = program
        .processes
        .iter()
        .find(|(_, p)| p.role == Role::Optimiser(tensor))
        .expect("an optimiser");
    let array = process
        .array_of(ArrayKind::Param(tensor))
        .expect("its weights");
    executor.read(0, proc, array).expect("readable")
}

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Quantity, Record, Rule, Schedule};
use nirc_ir::codes::{BUNDLE, DATA_ARRAY, DEVICE_FAULT, DEVICE_LOSS, DEVICE_TIMEOUT};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayDecl, ArrayKind, HandlerKind, Op, Program, Role, Stmt};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};
use nirc_ir::verify::verify;
use nirc_spinnaker2::abi;
use nirc_spinnaker2::mapping::PeSet;
use nirc_spinnaker2::target::Target;

use super::*;

const TICKS: u32 = 24;
const INPUTS: u32 = 5;
const OUTPUTS: u32 = 3;

/// A reproducible stream of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as u32
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 31) as f32
    }
}

/// Populations of these sizes behind the input, the last one the output, connected as listed
/// (0 = the input), ascending by target and source.
fn connected(sizes: &[usize], edges: &[(usize, usize)]) -> Network {
    let uniform = Parameter::Uniform;
    let neuron = Neuron {
        membrane: Membrane::Leaky {
            tau: uniform(0.02),
            r: uniform(1.0),
            v_leak: uniform(0.0),
        },
        synapse: Some(Synapse {
            tau_syn: uniform(0.005),
            w_in: uniform(5.0),
        }),
        firing: Some(Firing {
            threshold: uniform(1.0),
            v_reset: uniform(0.0),
        }),
    };
    let mut numbers = Numbers(7);
    let mut populations = PrimaryMap::new();
    populations.push(Population::vector(
        "input",
        INPUTS as usize,
        PopulationKind::Source,
    ));
    for (layer, &size) in sizes.iter().enumerate() {
        populations.push(Population::vector(
            format!("layer{layer}"),
            size,
            PopulationKind::Neurons(neuron.clone()),
        ));
    }
    let mut projections = PrimaryMap::new();
    for (number, &(pre, post)) in edges.iter().enumerate() {
        let (pre, post) = (Pop::new(pre), Pop::new(post));
        let (rows, lanes) = (populations[pre].size, populations[post].size);
        let scale = 7.0 / (rows as f32).sqrt();
        let weights = (0..rows * lanes).map(|_| (numbers.unit() * 1.6 - 0.2) * scale);
        projections.push(Projection {
            name: format!("fc{number}"),
            pre,
            post,
            bias: None,
            delay: 1,
            delays: None,
            trainable: true,
            factor: 1.0,
            bias_run: 1,
            link: Link::Dense(weights.collect()),
        });
    }
    Network {
        name: "net".to_owned(),
        dt: 0.001,
        convention: Convention::preset("eventprop").expect("a preset"),
        populations,
        projections,
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(sizes.len()),
        }],
    }
}

/// Hidden layers of these sizes in a row.
fn network(hidden: &[usize]) -> Network {
    let sizes = [hidden, &[OUTPUTS as usize]].concat();
    let edges: Vec<(usize, usize)> = (0..sizes.len()).map(|pre| (pre, pre + 1)).collect();
    connected(&sizes, &edges)
}

fn options(replicas: usize) -> Options {
    Options {
        ticks: TICKS,
        batch: 4,
        replicas,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 6.5e-7,
            schedule: Schedule::Exponential { factor: 0.999 },
            ..Optimiser::new(
                Rule::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                2e-3,
            )
        }),
        record: Vec::new(),
        events: None,
    }
}

fn training(hidden: &[usize], replicas: usize) -> Program {
    lower(&network(hidden), &options(replicas)).expect("a small network")
}

fn emulated(program: &Program, threads: usize) -> Emulated {
    let options = EmulatorOptions {
        threads,
        ..EmulatorOptions::default()
    };
    Emulated::new(program, &Target::spinnaker2(), options).expect("it fits the chip")
}

/// Owned samples.
struct Batch(Vec<(Vec<InputSpike>, u32)>);

impl Batch {
    fn new(numbers: &mut Numbers, size: usize) -> Self {
        let sample = |_| {
            let mut spikes: Vec<InputSpike> = (0..INPUTS)
                .map(|channel| InputSpike {
                    tick: numbers.next() % (TICKS - 6),
                    channel,
                })
                .collect();
            spikes.sort();
            (spikes, numbers.next() % OUTPUTS)
        };
        Self((0..size).map(sample).collect())
    }

    fn samples(&self) -> Vec<Sample<'_>> {
        self.0
            .iter()
            .map(|(spikes, label)| Sample {
                times: &[],
                spikes,
                label: *label,
                error: &[],
                values: &[],
            })
            .collect()
    }
}

fn run(executor: &mut dyn Executor, pass: Pass, batch: &Batch) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    executor
        .run(pass, &batch.samples(), &mut outcomes)
        .expect("the batch runs");
    outcomes
}

/// Every array and every spike of every replica, bit by bit.
fn assert_same(a: &dyn Executor, b: &dyn Executor, replicas: usize) {
    let program = a.program().clone();
    for (proc, process) in program.processes.iter() {
        let instances = match process.role {
            Role::Optimiser(_) => 1,
            _ => replicas,
        };
        for replica in 0..instances {
            for (array, decl) in process.arrays.iter() {
                let bits = |e: &dyn Executor| -> Vec<u32> {
                    let values = e.read(replica, proc, array).expect("readable");
                    values.into_iter().map(f32::to_bits).collect()
                };
                let (left, right) = (bits(a), bits(b));
                let differs = left.iter().zip(&right).position(|(x, y)| x != y);
                assert_eq!(
                    (left.len(), differs),
                    (right.len(), None),
                    "{} {} of replica {replica}",
                    process.name,
                    decl.name
                );
            }
            if process.tape.is_some() {
                let (left, right) = (a.spikes(replica, proc), b.spikes(replica, proc));
                assert_eq!(left.expect("recorded"), right.expect("recorded"));
            }
        }
    }
}

#[test]
fn training_is_bit_identical_to_the_interpreter() {
    let program = training(&[20], 3);
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(1);
    let mut fired = 0;
    for (pass, size) in [
        (Pass::Forward, 3),
        (Pass::Gradient, 3),
        (Pass::Train, 3),
        (Pass::Train, 7),
        (Pass::Train, 1),
        (Pass::Gradient, 2),
        (Pass::Train, 6),
    ] {
        let batch = Batch::new(&mut numbers, size);
        let outcomes = run(&mut chip, pass, &batch);
        assert_eq!(
            outcomes,
            run(&mut reference, pass, &batch),
            "{pass:?} of {size}"
        );
        assert_same(&chip, &reference, size.min(3));
        fired += outcomes
            .iter()
            .flat_map(|o| &o.first_spike)
            .filter(|&&t| t < TICKS as f32)
            .count();
    }
    assert!(fired > 10, "the outputs are silent: nothing was tested");
}

#[test]
fn what_is_recurrent_and_delayed_trains_as_the_interpreter_does() {
    let mut network = connected(&[16, OUTPUTS as usize], &[(0, 1), (1, 1), (2, 1), (1, 2)]);
    for (projection, delay) in network.projections.values_mut().zip([2, 1, 3, 1]) {
        projection.delay = delay;
    }
    let program = lower(&network, &options(2)).expect("a small network");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(5);
    let mut fired = 0;
    for size in [2, 5, 3] {
        let batch = Batch::new(&mut numbers, size);
        let outcomes = run(&mut chip, Pass::Train, &batch);
        assert_eq!(outcomes, run(&mut reference, Pass::Train, &batch));
        assert_same(&chip, &reference, 2);
        fired += outcomes
            .iter()
            .flat_map(|o| &o.first_spike)
            .filter(|&&t| t < TICKS as f32)
            .count();
    }
    assert!(fired > 5, "the outputs are silent: nothing was tested");
}

#[test]
fn results_do_not_depend_on_threads() {
    let program = training(&[16], 5);
    let (mut one, mut two) = (emulated(&program, 1), emulated(&program, 2));
    let mut numbers = Numbers(2);
    for _ in 0..3 {
        let batch = Batch::new(&mut numbers, 8);
        assert_eq!(
            run(&mut one, Pass::Train, &batch),
            run(&mut two, Pass::Train, &batch)
        );
    }
    assert_same(&one, &two, 5);
    assert_eq!(one.stats().expect("stats"), two.stats().expect("stats"));
}

#[test]
fn deeper_networks_span_quads() {
    let program = training(&[9, 8, 7], 2);
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(3);
    for _ in 0..2 {
        let batch = Batch::new(&mut numbers, 4);
        assert_eq!(
            run(&mut chip, Pass::Train, &batch),
            run(&mut reference, Pass::Train, &batch)
        );
    }
    assert_same(&chip, &reference, 2);
}

#[test]
fn spikes_and_errors_fork_and_join() {
    // Input and first layer have two consumers each, the output two producers.
    let sizes = [8, 6, OUTPUTS as usize];
    let network = connected(&sizes, &[(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]);
    let program = lower(&network, &options(3)).expect("a small network");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(12);
    for size in [3, 4, 3] {
        let batch = Batch::new(&mut numbers, size);
        assert_eq!(
            run(&mut chip, Pass::Train, &batch),
            run(&mut reference, Pass::Train, &batch)
        );
        assert_same(&chip, &reference, 3);
    }
}

#[test]
fn an_event_knows_the_bin_of_its_spike() {
    let mut program = training(&[6], 2);
    let layer = program.process("layer0").expect("a population");
    let process = &mut program.processes[layer];
    let array = |name: &str, kind| ArrayDecl {
        name: name.to_owned(),
        kind,
    };
    let state = array("last", ArrayKind::State { init: 0.0 });
    let last = process.arrays.push(state);
    let seen = process.arrays.push(array("seen", ArrayKind::Trace));
    let body = &mut process.handlers[0].body;
    let bin = body.push(Op::Tick);
    body.stmts.push(Stmt::Store(last, bin));
    body.stmts.push(Stmt::Probe(seen, bin));
    assert!(matches!(process.handlers[0].kind, HandlerKind::Event(_)));
    verify(&program).expect("a sound program");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let batch = Batch::new(&mut Numbers(14), 2);
    assert_eq!(
        run(&mut chip, Pass::Train, &batch),
        run(&mut reference, Pass::Train, &batch)
    );
    assert_same(&chip, &reference, 2);
}

#[test]
fn an_empty_batch_updates_with_zero_gradients() {
    let program = training(&[6], 2);
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(4);
    for size in [2, 0, 1] {
        let batch = Batch::new(&mut numbers, size);
        assert_eq!(
            run(&mut chip, Pass::Train, &batch),
            run(&mut reference, Pass::Train, &batch)
        );
    }
    assert_same(&chip, &reference, 1);
}

#[test]
fn given_errors_and_traces_agree() {
    let options = Options {
        loss: Some(Loss::Given),
        optimiser: None,
        record: Quantity::ALL
            .into_iter()
            .map(|quantity| Record {
                population: "layer0".to_owned(),
                quantity,
            })
            .collect(),
        ..options(2)
    };
    let program = lower(&network(&[10]), &options).expect("a small network");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(5);
    let batch = Batch::new(&mut numbers, 2);
    let errors: Vec<f32> = (0..TICKS * OUTPUTS).map(|_| numbers.unit() - 0.5).collect();
    let mut samples = batch.samples();
    for sample in &mut samples {
        sample.error = &errors;
    }
    let (mut left, mut right) = (Vec::new(), Vec::new());
    chip.run(Pass::Gradient, &samples, &mut left)
        .expect("it runs");
    reference
        .run(Pass::Gradient, &samples, &mut right)
        .expect("it runs");
    assert_eq!(left, right);
    assert_same(&chip, &reference, 2);
    samples[1].error = &errors[1..];
    let problem = chip
        .run(Pass::Gradient, &samples, &mut left)
        .expect_err("too few errors");
    assert_eq!(problem.code, DATA_ARRAY);
}

#[test]
fn inference_needs_neither_loss_nor_optimiser() {
    let options = Options {
        loss: None,
        adjoint: false,
        regularise: Vec::new(),
        optimiser: None,
        ..options(2)
    };
    let program = lower(&network(&[10]), &options).expect("a small network");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let batch = Batch::new(&mut Numbers(6), 2);
    assert_eq!(
        run(&mut chip, Pass::Forward, &batch),
        run(&mut reference, Pass::Forward, &batch)
    );
    assert_same(&chip, &reference, 2);
}

#[test]
fn a_failed_batch_leaves_weights_and_device_as_they_were() {
    let options = Options {
        spike_bound: Some(30),
        ..options(2)
    };
    let program = lower(&network(&[12]), &options).expect("a small network");
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let mut numbers = Numbers(7);
    let good = Batch::new(&mut numbers, 2);
    run(&mut chip, Pass::Train, &good);
    run(&mut reference, Pass::Train, &good);

    // Every input in the first bins, several times: more spikes than there is room for.
    let spikes =
        (0..12).flat_map(|tick| (0..INPUTS).map(move |channel| InputSpike { tick, channel }));
    let bad = Batch(vec![good.0[0].clone(), (spikes.collect(), 0)]);
    let mut outcomes = vec![Outcome::default()];
    let problem = chip
        .run(Pass::Train, &bad.samples(), &mut outcomes)
        .expect_err("the tape is full");
    assert_eq!(problem.code, DEVICE_LOSS, "{problem}");
    assert_eq!(outcomes.len(), 1);

    for _ in 0..2 {
        let batch = Batch::new(&mut numbers, 2);
        assert_eq!(
            run(&mut chip, Pass::Train, &batch),
            run(&mut reference, Pass::Train, &batch)
        );
    }
    assert_same(&chip, &reference, 2);
}

#[test]
fn bad_samples_are_refused_before_anything_runs() {
    let program = training(&[6], 2);
    let mut chip = emulated(&program, 1);
    let spike = |tick, channel| InputSpike { tick, channel };
    for spikes in [
        vec![spike(2, 0), spike(1, 0)],
        vec![spike(1, 0), spike(1, 0)],
        vec![spike(TICKS, 0)],
        vec![spike(0, INPUTS)],
    ] {
        let batch = Batch(vec![(spikes, 0)]);
        let problem = chip
            .run(Pass::Forward, &batch.samples(), &mut Vec::new())
            .expect_err("a bad sample");
        assert_eq!(problem.code, DATA_ARRAY);
    }
}

#[test]
fn written_weights_reach_every_replica() {
    let program = training(&[6], 2);
    let mut chip = emulated(&program, 1);
    let mut reference = Interpreter::new(&program);
    let optimiser = program.process("fc0.weight").expect("an optimiser");
    for (array, decl) in program.processes[optimiser].arrays.iter() {
        let values = vec![0.25; program.array_len(optimiser, array)];
        if matches!(decl.kind, ArrayKind::Param(_) | ArrayKind::Moment) {
            chip.write(optimiser, array, &values).expect("writable");
            reference
                .write(optimiser, array, &values)
                .expect("writable");
        }
        let problem = chip.write(optimiser, array, &[]).expect_err("too short");
        assert_eq!(problem.code, DATA_ARRAY);
    }
    let batch = Batch::new(&mut Numbers(8), 3);
    assert_eq!(
        run(&mut chip, Pass::Train, &batch),
        run(&mut reference, Pass::Train, &batch)
    );
    assert_same(&chip, &reference, 2);
}

#[test]
fn a_bundle_from_disk_runs_the_same() {
    let program = training(&[6], 2);
    let target = Target::spinnaker2();
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("bundle");
    let bundle = Bundle::build(&program, &target).expect("it fits");
    bundle.write(&dir).expect("writable");
    let read = Bundle::open(&dir).expect("a bundle");
    let mut from_disk = Emulated::load(
        &read.program().expect("a program"),
        &read,
        &target,
        EmulatorOptions::default(),
    )
    .expect("it loads");
    let mut chip = emulated(&program, 1);
    let batch = Batch::new(&mut Numbers(9), 4);
    assert_eq!(
        run(&mut chip, Pass::Train, &batch),
        run(&mut from_disk, Pass::Train, &batch)
    );
    assert_same(&chip, &from_disk, 2);

    let other = training(&[7], 2);
    let problem = Emulated::load(&other, &read, &target, EmulatorOptions::default())
        .expect_err("another program");
    assert_eq!(problem.code, BUNDLE);
}

#[test]
fn a_round_has_a_limit() {
    let program = training(&[6], 1);
    let options = EmulatorOptions {
        limit_cycles: 4_000,
        ..EmulatorOptions::default()
    };
    let target = Target::spinnaker2();
    let mut chip = Emulated::new(&program, &target, options).expect("starting is quick");
    let batch = Batch::new(&mut Numbers(10), 1);
    let problem = chip
        .run(Pass::Train, &batch.samples(), &mut Vec::new())
        .expect_err("too few cycles");
    assert_eq!(problem.code, DEVICE_TIMEOUT);
}

#[test]
fn statistics_cover_every_pe() {
    let program = training(&[6], 2);
    let mut chip = emulated(&program, 1);
    run(&mut chip, Pass::Train, &Batch::new(&mut Numbers(11), 2));
    let stats = chip.stats().expect("readable");
    assert_eq!(stats.pes.len(), 2 * 4 + 1);
    let total = stats.total();
    assert_eq!(total.pes, 9);
    let hidden = program.process("layer0").expect("a population");
    let neurons = stats.of(&[hidden]);
    assert_eq!(neurons.pes, 2);
    assert!(neurons.instructions > 0 && neurons.instructions < total.instructions);
    assert!(chip.device().batch_cycles() > 0);
    let all = stats
        .pes
        .iter()
        .map(|(_, _, pe)| pe.busy_cycles + pe.sleep_cycles);
    let mut all: Vec<u64> = all.collect();
    all.dedup();
    assert_eq!(all.len(), 1, "every PE has the same time");
}

/// A session on a chip whose routing table was tampered with.
fn misrouted(program: &Program, tamper: impl Fn(&mut Bundle)) -> Emulated {
    let target = Target::spinnaker2();
    let sound = Bundle::build(program, &target).expect("it fits");
    let mut broken = sound.clone();
    tamper(&mut broken);
    let problem = Emulated::load(program, &broken, &target, EmulatorOptions::default());
    assert_eq!(problem.expect_err("tampered with").code, BUNDLE);
    let chip = EmulatedChip::new(&broken, &target, EmulatorOptions::default());
    Emulated::start(program, &sound, chip.expect("the table loads")).expect("nothing is sent yet")
}

#[test]
fn lost_packets_spoil_a_batch_and_nothing_else() {
    let program = training(&[6], 2);
    let errors = abi::key(1, 1, abi::Kind::Error, 0);
    let at = |bundle: &Bundle| {
        let mut routes = bundle.mapping.routes.iter();
        routes
            .position(|r| r.keys.contains(errors))
            .expect("a route")
    };
    let mut unrouted = misrouted(&program, |bundle| {
        bundle.mapping.routes.remove(at(bundle));
    });
    let mut sound = emulated(&program, 1);
    let batch = Batch::new(&mut Numbers(13), 2);
    let one = Batch(batch.0[..1].to_vec());
    let problem = unrouted
        .run(Pass::Train, &batch.samples(), &mut Vec::new())
        .expect_err("a route is missing");
    assert_eq!(problem.code, DEVICE_LOSS, "{problem}");
    // The first replica's routes are sound, and no update took place.
    let expected = run(&mut sound, Pass::Train, &one);
    assert_eq!(run(&mut unrouted, Pass::Train, &one), expected);
    assert_same(&sound, &unrouted, 1);
}

#[test]
fn a_process_that_waits_for_ever_is_reported() {
    let program = training(&[6], 1);
    let marker = abi::key(0, 1, abi::Kind::Marker, 0);
    let mut chip = misrouted(&program, |bundle| {
        let mut routes = bundle.mapping.routes.iter_mut();
        let route = routes.find(|r| r.keys.contains(marker)).expect("a route");
        route.to = PeSet::default();
    });
    let batch = Batch::new(&mut Numbers(14), 1);
    let problem = chip
        .run(Pass::Train, &batch.samples(), &mut Vec::new())
        .expect_err("nobody hears the hidden layer");
    assert_eq!(problem.code, DEVICE_FAULT, "{problem}");
    assert!(problem.message.contains("progress."), "{problem}");
}

//! One suite for every executor: the interpreter says what is right, the others agree to the bit, with
//! any number of threads.

use std::num::NonZeroU32;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Clip, Loss, Optimiser, Options, Rule, Schedule};
use nirc_host::HostSimulator;
use nirc_ir::codes;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, Program, Role};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Firing, Integrator, Link, Membrane, Network, Neuron, Order, Parameter, Pop,
    Population, PopulationKind, Port, Projection, Reset, SpikeShape, Synapse, Threshold,
};
use nirc_ir::verify::verify;
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_spinnaker2::target::Target;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::Limits;
use nirc_tests::random::{self, Shape};

/// A small generator of reproducible numbers (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn choose<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len() as u64) as usize]
    }
}

/// A network whose every choice comes from the numbers: one to three layers, a skip connection now and
/// then, LIF or CubaLIF, every attribute of the convention.
fn network(n: &mut Numbers) -> Network {
    let convention = Convention {
        integrator: n.choose(&[Integrator::Exponential, Integrator::Euler]),
        order: n.choose(&[Order::CurrentFirst, Order::Simultaneous]),
        reset: n.choose(&[Reset::ToValue, Reset::Subtract]),
        threshold: n.choose(&[Threshold::Strict, Threshold::Inclusive]),
        spike: n.choose(&[SpikeShape::Impulse, SpikeShape::Held]),
        ..Convention::preset("eventprop").expect("a preset")
    };
    let layers = 1 + n.below(3) as usize;
    let mut populations = PrimaryMap::from_iter([Population::vector(
        "input",
        1 + n.below(7) as usize,
        PopulationKind::Source,
    )]);
    for layer in 0..layers {
        let size = n.choose(&[1, 2, 3, 5, 8, 13, 20]);
        // Names that mean something elsewhere: files name their nodes as they like.
        let name = n.choose(&["layer", "loss", "progress", "optimiser", "config", "a b\nü"]);
        populations.push(Population::vector(
            match layer {
                0 => name.to_owned(),
                layer => format!("{name}{layer}"),
            },
            size,
            PopulationKind::Neurons(neuron(n, size)),
        ));
    }
    let mut projections = PrimaryMap::new();
    for post in 1..=layers {
        for pre in 0..post {
            if pre + 1 == post || n.below(3) == 0 {
                let (a, b) = (
                    populations[Pop::new(pre)].size,
                    populations[Pop::new(post)].size,
                );
                projections.push(projection(n, pre, post, a, b));
            }
        }
    }
    Network {
        name: "random".to_owned(),
        dt: 0.001,
        convention,
        populations,
        projections,
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(layers),
        }],
    }
}

fn neuron(n: &mut Numbers, size: usize) -> Neuron {
    // Round numbers, as people choose them, now and then: coefficients of exactly 1 come of them.
    let mut round = |values: &[f64]| {
        let draw = |n: &mut Numbers| n.choose(values);
        match n.below(4) {
            0 => Some(Parameter::Uniform(draw(n))),
            1 => Some(Parameter::from_values((0..size).map(|_| draw(n)).collect())),
            _ => None,
        }
    };
    let round_tau = round(&[0.005, 0.01, 0.02, 0.04]);
    let round_r = round(&[1.0, 2.0, 5.0, 10.0, 20.0, 40.0]);
    let mut parameter = |low: f64, high: f64| {
        if n.below(2) == 0 {
            Parameter::Uniform(n.between(low, high))
        } else {
            Parameter::from_values((0..size).map(|_| n.between(low, high)).collect())
        }
    };
    let tau_mem = round_tau.unwrap_or_else(|| parameter(0.005, 0.03));
    let r = round_r.unwrap_or_else(|| parameter(0.5, 2.0));
    let v_leak = parameter(0.0, 0.3);
    let threshold = parameter(0.8, 1.2);
    let v_reset = parameter(-0.3, 0.1);
    let synapse = Synapse {
        tau_syn: parameter(0.002, 0.01),
        w_in: parameter(2.0, 8.0),
    };
    Neuron {
        membrane: Membrane::Leaky {
            tau: tau_mem,
            r,
            v_leak,
        },
        synapse: (n.below(3) > 0).then_some(synapse),
        firing: Some(Firing { threshold, v_reset }),
    }
}

fn projection(
    n: &mut Numbers,
    pre: usize,
    post: usize,
    sources: usize,
    targets: usize,
) -> Projection {
    let mut values = |count: usize, low: f64, high: f64| -> Vec<f32> {
        (0..count).map(|_| n.between(low, high) as f32).collect()
    };
    let weights = values(sources * targets, -1.0, 4.0);
    let bias = values(targets, -0.1, 0.2);
    Projection {
        name: format!("fc{pre}_{post}"),
        pre: Pop::new(pre),
        post: Pop::new(post),
        bias: (n.below(3) == 0).then_some(bias),
        delay: 1,
        delays: None,
        trainable: n.below(5) > 0,
        factor: 1.0,
        bias_run: 1,
        link: Link::Dense(weights),
    }
}

fn options(n: &mut Numbers) -> Options {
    let batch = 1 + n.below(5) as usize;
    Options {
        ticks: 8 + n.below(20) as u32,
        batch,
        replicas: 1 + n.below(batch as u64) as usize,
        spike_bound: None,
        loss: Some(n.choose(&[
            Loss::FirstSpike {
                xi: 1.5,
                alpha: 1e-2,
                beta: 100.0,
            },
            Loss::FirstSpikeSeconds {
                tau_0: 5e-4,
                alpha: 3e-3,
                tau_1: 6.4e-3,
            },
        ])),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(optimiser(n)),
        record: Vec::new(),
        events: None,
    }
}

fn optimiser(n: &mut Numbers) -> Optimiser {
    let batches = |n: &mut Numbers| NonZeroU32::new(1 + n.below(3) as u32);
    let (beta1, beta2, epsilon) = (n.choose(&[0.9, 0.4]), 0.999, 1e-8);
    Optimiser {
        rule: n.choose(&[
            Rule::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            Rule::Sgd {
                momentum: 0.9,
                nesterov: false,
            },
            Rule::Sgd {
                momentum: 0.5,
                nesterov: true,
            },
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
            },
            Rule::AdamW {
                beta1,
                beta2,
                epsilon,
            },
            Rule::AdaMax {
                beta1,
                beta2,
                epsilon,
            },
        ]),
        learning_rate: 0.01,
        weight_decay: n.choose(&[0.0, 1e-5]),
        warm_up: batches(n).filter(|_| n.below(2) == 0),
        schedule: match (n.below(4), batches(n)) {
            (1, Some(batches)) => Schedule::Step {
                batches,
                factor: 0.1,
            },
            (2, Some(batches)) => Schedule::Cosine {
                batches,
                last: n.choose(&[0.0, 1e-4]),
            },
            (3, _) => Schedule::Exponential { factor: 0.9 },
            _ => Schedule::Constant,
        },
        delay_rate: 1.0,
        clip: n.choose(&[None, Some(Clip::Value(1e-5)), Some(Clip::Norm(1e-4))]),
    }
}

struct Data {
    spikes: Vec<Vec<InputSpike>>,
    labels: Vec<u32>,
}

fn data(n: &mut Numbers, program: &Program, samples: usize) -> Data {
    let inputs = program.processes.values().next().expect("a source").lanes;
    let classes = program.processes[program.loss().expect("a loss")].lanes;
    let spikes = (0..samples)
        .map(|_| {
            let mut spikes = Vec::new();
            for tick in 0..program.ticks {
                for channel in 0..inputs as u32 {
                    if n.below(5) == 0 {
                        spikes.push(InputSpike { tick, channel });
                    }
                }
            }
            spikes
        })
        .collect();
    let labels = (0..samples)
        .map(|_| n.below(classes as u64) as u32)
        .collect();
    Data { spikes, labels }
}

/// Everything that a training run leaves behind, as bits.
fn fingerprint(executor: &mut dyn Executor, batches: &[Data]) -> Vec<(String, Vec<u32>)> {
    let program = executor.program().clone();
    let mut all = Vec::new();
    for (k, batch) in batches.iter().enumerate() {
        let samples: Vec<Sample<'_>> = batch
            .spikes
            .iter()
            .zip(&batch.labels)
            .map(|(spikes, label)| Sample {
                times: &[],
                spikes,
                label: *label,
                error: &[],
                values: &[],
            })
            .collect();
        let mut outcomes: Vec<Outcome> = Vec::new();
        executor
            .run(Pass::Train, &samples, &mut outcomes)
            .unwrap_or_else(|e| panic!("{}: {e}", executor.name()));
        for (i, outcome) in outcomes.iter().enumerate() {
            let mut values = [&outcome.first_spike[..], &outcome.score].concat();
            values.extend([outcome.loss, outcome.cross_entropy]);
            all.push((format!("batch {k} outcome {i}"), bits(&values)));
        }
        let active = samples.len().min(program.replicas);
        for (id, process) in program.processes.iter() {
            let replicas = match process.role {
                Role::Optimiser(_) => 1,
                _ => active,
            };
            for replica in 0..replicas {
                for (array, decl) in process.arrays.iter() {
                    let interesting = matches!(
                        decl.kind,
                        ArrayKind::Param(_)
                            | ArrayKind::Gradient(_)
                            | ArrayKind::Moment
                            | ArrayKind::Counter { .. }
                    );
                    if interesting {
                        let values = executor.read(replica, id, array).expect("readable");
                        let what = format!("batch {k} {}.{} {replica}", process.name, decl.name);
                        all.push((what, bits(&values)));
                    }
                }
                if process.role == Role::Neurons {
                    let spikes = executor.spikes(replica, id).expect("readable");
                    let places = spikes.iter().flat_map(|s| [s.tick, s.lane]).collect();
                    all.push((
                        format!("batch {k} {} spikes {replica}", process.name),
                        places,
                    ));
                }
            }
        }
    }
    all
}

/// The bits of numbers; a NaN is a NaN, whatever its payload and sign.
fn bits(values: &[f32]) -> Vec<u32> {
    let canonical = |v: &f32| if v.is_nan() { f32::NAN } else { *v };
    values.iter().map(|v| canonical(v).to_bits()).collect()
}

fn assert_same(seed: u64, name: &str, got: &[(String, Vec<u32>)], expected: &[(String, Vec<u32>)]) {
    assert_eq!(got.len(), expected.len());
    for ((what, got), (_, expected)) in got.iter().zip(expected) {
        if got != expected {
            let place = got.iter().zip(expected).position(|(a, b)| a != b);
            let value = |bits: &[u32]| place.map(|i| (bits[i], f32::from_bits(bits[i])));
            panic!(
                "seed {seed}, {name}: {what} differs at {place:?}: {:?}, expected {:?}",
                value(got),
                value(expected)
            );
        }
    }
}

/// Whether a gradient was clipped by its norm.
fn check(seed: u64) -> bool {
    let mut n = Numbers(seed);
    let network = network(&mut n);
    let options = options(&mut n);
    let program = lower(&network, &options).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    let batches: Vec<Data> = (0..3)
        .map(|_| data(&mut n, &program, options.batch))
        .collect();
    let expected = fingerprint(&mut Interpreter::new(&program), &batches);
    for threads in [1, 3] {
        let mut host = HostSimulator::new(&program, threads).expect("compiles");
        assert_same(seed, "host", &fingerprint(&mut host, &batches), &expected);
    }
    let options = EmulatorOptions {
        threads: 1 + (seed % 2) as usize,
        ..EmulatorOptions::default()
    };
    let mut emulator = Emulated::new(&program, &Target::spinnaker2(), options)
        .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    assert_same(
        seed,
        "emulator",
        &fingerprint(&mut emulator, &batches),
        &expected,
    );
    expected.iter().any(|(what, bits)| {
        what.contains(".clip ") && bits.iter().any(|bits| f32::from_bits(*bits) < 1.0)
    })
}

#[test]
fn random_networks_train_with_the_same_bits_everywhere() {
    let clipped = (0..60).filter(|seed| check(*seed)).count();
    assert!(
        clipped >= 5,
        "only {clipped} networks had gradients to clip"
    );
}

/// With tapes that fit a PE; some samples then overflow them, which every executor has to notice.
fn small(mut program: Program) -> Program {
    const BOUND: usize = 700;
    for channel in program.channels.values_mut() {
        channel.bound = channel.bound.map(|b| b.min(BOUND));
    }
    for process in program.processes.values_mut() {
        if let Some(tape) = &mut process.tape {
            tape.bound = tape.bound.map(|b| b.min(BOUND));
        }
    }
    program
}

/// What no network lowers to is run all the same: the chip's code is made from the program alone.
#[test]
fn plain_programs_that_no_compiler_writes_agree_on_the_chip() {
    agree_on_the_chip(Shape::Plain, 150);
}

/// `NIRC_PROGRAMS` is how many.
#[test]
fn programs_that_no_compiler_writes_agree_on_the_chip() {
    let programs = std::env::var("NIRC_PROGRAMS").ok();
    let programs = programs.map_or(200, |n| n.parse().expect("a number"));
    agree_on_the_chip(Shape::Any(Limits::PE), programs);
}

/// Programs of so many seeds; some are larger than a PE.
fn agree_on_the_chip(shape: Shape, programs: u64) {
    let mut ran = 0;
    for seed in 0..programs {
        let program = small(random::program(seed, shape));
        verify(&program).expect("the writer keeps the rules");
        let options = EmulatorOptions {
            threads: 1 + (seed % 2) as usize,
            ..EmulatorOptions::default()
        };
        let target = Target::spinnaker2();
        let mut chip = match Emulated::new(&program, &target, options) {
            Ok(chip) => chip,
            Err(problems) => {
                let too_large = problems.0.iter().all(|p| p.code == codes::MAP_SRAM);
                assert!(too_large, "seed {seed}: {problems}");
                continue;
            }
        };
        println!("seed {seed}");
        assert_agrees(&mut chip, seed);
        ran += 1;
    }
    println!("{ran} of {programs} programs ran");
    assert!(ran >= programs * 2 / 3, "only {ran} programs ran");
}

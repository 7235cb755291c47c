//! Programs of exact event times on the emulated chip: the bits of the interpreter.
//!
//! `NIRC_EXACT` and `NIRC_EXACT_SEED` say how many random programs and networks, and from which seed on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Cost, ExactTimes, Loss, Optimiser, Options, Regulariser, Rule};
use nirc_ir::codes;
use nirc_ir::connection::{Axis, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{Program, Role};
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Reset, SourceDelays, Synapse,
};
use nirc_ir::text::{Externals, parse_program};
use nirc_ir::verify::verify;
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_spinnaker2::target::Target;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::Limits;
use nirc_tests::random::{self, Shape};
use nirc_tests::rng::Rng;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = variable("NIRC_EXACT_SEED", 0);
    first..first + variable("NIRC_EXACT", default)
}

/// Compiles it for the chip and compares; returns whether there was room.
fn agrees(program: &Program, seed: u64) -> bool {
    let options = EmulatorOptions::default();
    match Emulated::new(program, &Target::spinnaker2(), options) {
        Ok(mut emulator) => {
            let ran = catch_unwind(AssertUnwindSafe(|| assert_agrees(&mut emulator, seed)));
            assert!(ran.is_ok(), "seed {seed}");
            true
        }
        Err(problems) => {
            let fits = |code| code == codes::MAP_SRAM || code == codes::CODEGEN;
            assert!(
                problems.0.iter().all(|problem| fits(problem.code)),
                "{seed}: {problems}"
            );
            println!("{seed}: {problems}");
            false
        }
    }
}

/// Lets tapes hold no more than there is room for.
fn bound(program: &mut Program) {
    let least = |bound: &mut Option<usize>| {
        if let Some(bound) = bound {
            *bound = (*bound).min(500);
        }
    };
    for channel in program.channels.values_mut() {
        let from = &program.processes[channel.from];
        match from.role {
            // As many as samples have; what arrives nowhere counts for no tape, but takes room in the source.
            Role::Source => {
                let most = from.lanes * program.ticks as usize;
                channel.bound = channel.bound.map(|_| most);
            }
            _ => least(&mut channel.bound),
        }
    }
    for process in program.processes.values_mut() {
        if let Some(tape) = &mut process.tape {
            least(&mut tape.bound);
        }
    }
}

/// Programs that no compiler would write.
#[test]
fn random_programs_agree_on_the_chip() {
    let mut ran = 0;
    for seed in seeds(200) {
        let mut program = random::program(seed, Shape::Exact(Limits::PE));
        bound(&mut program);
        if std::env::var_os("DUMP").is_some() {
            println!("{}", nirc_ir::text::print_program(&program));
        }
        verify(&program).unwrap_or_else(|e| panic!("{seed}: {e}"));
        ran += u64::from(agrees(&program, seed));
    }
    println!("{ran} ran");
    assert!(ran >= variable("NIRC_EXACT", 200) / 2, "only {ran} ran");
}

/// Neurons of every kind of curve.
fn neuron(rng: &mut Rng) -> Neuron {
    let uniform = Parameter::Uniform;
    let taus = [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (5.0, 20.0),
        (8.0, 8.0),
    ];
    let (mem, syn) = *rng.pick(&taus);
    let r = *rng.pick(&[1.0, 1.0, 0.5]);
    let membrane = match rng.below(8) {
        0 => Membrane::Integrator { r: uniform(r) },
        _ => Membrane::Leaky {
            tau: uniform(mem * 1e-3),
            r: uniform(r),
            v_leak: uniform(*rng.pick(&[0.0, 0.0, 0.25, -0.5])),
        },
    };
    let synapse = (rng.below(5) > 0).then(|| Synapse {
        tau_syn: uniform(syn * 1e-3),
        w_in: uniform(1.0),
    });
    Neuron {
        membrane,
        synapse,
        firing: Some(Firing {
            threshold: uniform(1.0),
            v_reset: uniform(*rng.pick(&[0.0, 0.0, -0.25])),
        }),
    }
}

/// One to three layers, now and then with recurrence, skip connections, delays, shared weights and biases.
fn network(rng: &mut Rng) -> Network {
    let convention = Convention {
        reset: *rng.pick(&[Reset::ToValue, Reset::Subtract]),
        ..Convention::preset("event").expect("a preset")
    };
    let neuron = neuron(rng);
    let layers = 1 + rng.below(3);
    let mut sizes = vec![1 + rng.below(7)];
    sizes.extend((0..layers).map(|_| *rng.pick(&[1, 2, 3, 5, 8, 13, 20])));
    let populations = sizes.iter().enumerate().map(|(k, size)| match k {
        0 => Population::vector("input", *size, PopulationKind::Source),
        k => Population::vector(
            format!("layer{k}"),
            *size,
            PopulationKind::Neurons(neuron.clone()),
        ),
    });
    let mut pairs: Vec<(usize, usize, u32)> = (1..=layers)
        .map(|k| (k - 1, k, *rng.pick(&[0, 0, 1, 7])))
        .collect();
    for _ in 0..rng.below(3) {
        let (pre, post) = (rng.below(layers + 1), 1 + rng.below(layers));
        let delay = if pre >= post {
            3 + rng.below(9)
        } else {
            rng.below(15)
        };
        if pairs.iter().all(|(a, b, _)| (*a, *b) != (pre, post)) {
            pairs.push((pre, post, delay as u32));
        }
    }
    pairs.sort_by_key(|(pre, post, _)| (*post, *pre));
    let projections = pairs
        .into_iter()
        .enumerate()
        .map(|(k, (pre, post, delay))| {
            let scale = 6.0 / (sizes[pre] as f32).sqrt();
            let dense = sizes[pre] * sizes[post];
            let mut weights = |count: usize| -> Vec<f32> {
                (0..count).map(|_| scale * (0.3 + rng.normal())).collect()
            };
            let link = match k % 3 {
                2 => {
                    let taps = |source: usize| {
                        let tap = |n: usize| Tap {
                            lane: ((3 * source + n) % sizes[post]) as u32,
                            weight: n as u32,
                        };
                        (0..1 + source % 2).map(tap).collect()
                    };
                    Link::Taps {
                        axes: vec![Axis::new((0..sizes[pre]).map(taps))],
                        weights: weights(2),
                    }
                }
                _ => Link::Dense(weights(dense)),
            };
            let biased = rng.below(3) == 0;
            let bias = biased.then(|| (0..sizes[post]).map(|_| 0.1 * rng.normal()).collect());
            let delays = rng.below(3).eq(&0).then(|| SourceDelays {
                name: format!("delay{k}"),
                bins: (0..sizes[pre]).map(|_| 3.0 * rng.normal().abs()).collect(),
                trainable: true,
            });
            Projection {
                name: format!("fc{k}"),
                pre: Pop::new(pre),
                post: Pop::new(post),
                bias,
                delay,
                delays,
                factor: 1.0,
                bias_run: 1,
                trainable: rng.below(5) > 0,
                link,
            }
        });
    Network {
        name: "net".to_owned(),
        dt: 1e-3,
        convention,
        projections: projections.collect::<PrimaryMap<_, _>>(),
        populations: populations.collect::<PrimaryMap<_, _>>(),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(layers),
        }],
    }
}

const LOSSES: [Loss; 3] = [
    Loss::FirstSpike {
        xi: 1.5,
        alpha: 0.02,
        beta: 12.0,
    },
    Loss::TargetTimes {
        hit: 5.0,
        miss: 15.0,
    },
    Loss::SpikeCount {
        hit: 3.0,
        miss: 1.0,
    },
];

/// A state that the loss reads when all windows have ended, and neurons that turn.
#[test]
fn a_readout_agrees_on_the_chip() {
    let text = include_str!("../../ir/src/verify/tests/readout.nirp");
    let program = parse_program(text, &Externals::new()).expect("it reads");
    verify(&program).unwrap_or_else(|e| panic!("{e}"));
    for seed in 0..5 {
        assert!(agrees(&program, seed), "there is room");
    }
}

/// Networks that train, and such that only go forward.
#[test]
fn networks_agree_on_the_chip() {
    let mut ran = 0;
    for seed in seeds(60) {
        let mut rng = Rng::new(seed);
        let network = network(&mut rng);
        let adjoint = rng.below(4) > 0;
        let options = Options {
            regularise: match rng.below(3) {
                0 if adjoint => vec![Regulariser {
                    population: "layer1".to_owned(),
                    cost: *rng.pick(&[
                        Cost::Silent,
                        Cost::Bounds {
                            least: 1.0,
                            most: 2.0,
                        },
                    ]),
                    strength: 0.5,
                }],
                _ => Vec::new(),
            },
            ticks: 20 + rng.below(40) as u32,
            batch: 3,
            replicas: 1 + rng.below(2),
            spike_bound: Some(300),
            loss: adjoint.then(|| *rng.pick(&LOSSES)),
            adjoint,
            optimiser: adjoint.then(|| {
                let (momentum, nesterov) = (0.5, false);
                Optimiser::new(Rule::Sgd { momentum, nesterov }, 0.01)
            }),
            record: Vec::new(),
            events: Some(ExactTimes {
                input_errors: rng.below(2) == 0,
                ..ExactTimes::default()
            }),
        };
        let program = match lower(&network, &options) {
            Ok(program) => program,
            Err(problems) => {
                println!("{seed}: {problems}");
                continue;
            }
        };
        ran += u64::from(agrees(&program, seed));
    }
    println!("{ran} ran");
    assert!(ran >= variable("NIRC_EXACT", 60) / 2, "only {ran} ran");
}

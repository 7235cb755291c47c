//! Networks as the compiler lowers them.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Quantity, Record, Rule, Schedule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Program;
use nirc_ir::network::{
    Convention, Firing, Integrator, Link, Membrane, Network, Neuron, Order, Parameter, Pop,
    Population, PopulationKind, Port, Projection, Reset, SpikeShape, Synapse, Threshold,
};

use nirc_tests::rng::Rng;

use super::assert_agrees;
use crate::isa::Isa;

/// Which of a neuron's features a network has.
#[derive(Clone, Copy)]
struct Features {
    synapse: bool,
    per_neuron: bool,
    leak: f64,
    bias: bool,
}

fn network(sizes: &[usize], convention: Convention, features: Features, rng: &mut Rng) -> Network {
    let neuron = |size: usize| {
        let parameter = |base: f64| {
            if features.per_neuron {
                Parameter::from_values((0..size).map(|n| base * (1.0 + 0.01 * n as f64)).collect())
            } else {
                Parameter::Uniform(base)
            }
        };
        PopulationKind::Neurons(Neuron {
            membrane: Membrane::Leaky {
                tau: parameter(0.02),
                r: Parameter::Uniform(1.0),
                v_leak: Parameter::Uniform(features.leak),
            },
            synapse: features.synapse.then(|| Synapse {
                tau_syn: parameter(0.005),
                w_in: Parameter::Uniform(5.0),
            }),
            firing: Some(Firing {
                threshold: parameter(1.0),
                v_reset: Parameter::Uniform(0.0),
            }),
        })
    };
    let populations = sizes.iter().enumerate().map(|(k, size)| {
        Population::vector(
            format!("pop{k}"),
            *size,
            if k == 0 {
                PopulationKind::Source
            } else {
                neuron(*size)
            },
        )
    });
    let projections = sizes.windows(2).enumerate().map(|(k, pair)| {
        let scale = 3.0 / (pair[0] as f32).sqrt();
        let mut weight = || (rng.normal() + 0.7) * scale * if features.synapse { 1.0 } else { 8.0 };
        Projection {
            name: format!("fc{k}"),
            pre: Pop::new(k),
            post: Pop::new(k + 1),
            bias: features
                .bias
                .then(|| (0..pair[1]).map(|_| weight() * 0.02).collect()),
            delay: 1,
            delays: None,
            trainable: true,
            factor: 1.0,
            bias_run: 1,
            link: Link::Dense((0..pair[0] * pair[1]).map(|_| weight()).collect()),
        }
    });
    Network {
        name: "random".into(),
        dt: 0.001,
        convention,
        populations: populations.collect(),
        projections: projections.collect::<PrimaryMap<_, _>>(),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(sizes.len() - 1),
        }],
    }
}

fn options(ticks: u32, replicas: usize, loss: Loss, rule: Rule, record: bool) -> Options {
    let record = |population: &str| {
        let names = Quantity::ALL.iter().filter(|_| record);
        names
            .map(|quantity| Record {
                population: population.to_owned(),
                quantity: *quantity,
            })
            .collect::<Vec<_>>()
    };
    Options {
        ticks,
        batch: replicas,
        replicas,
        spike_bound: None,
        loss: Some(loss),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 1e-6,
            schedule: Schedule::Exponential { factor: 0.99 },
            ..Optimiser::new(rule, 1e-2)
        }),
        record: record("pop1"),
        events: None,
    }
}

const FIRST_SPIKE: Loss = Loss::FirstSpike {
    xi: 1.5,
    alpha: 1e-2,
    beta: 100.0,
};
const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};
const PLAIN: Features = Features {
    synapse: true,
    per_neuron: false,
    leak: 0.0,
    bias: false,
};

fn eventprop() -> Convention {
    Convention::preset("eventprop").expect("a preset")
}

pub(super) fn yin_yang(replicas: usize) -> Program {
    let network = network(&[5, 120, 3], eventprop(), PLAIN, &mut Rng::new(1));
    lower(&network, &options(27, replicas, FIRST_SPIKE, ADAM, false)).expect("it lowers")
}

#[test]
fn the_published_network_on_any_number_of_threads() {
    let program = yin_yang(5);
    for threads in [1, 2, 3, 8] {
        assert_agrees(&program, 7, threads, Isa::detect());
    }
}

#[test]
fn every_set_of_instructions_gives_the_same_bits() {
    for isa in Isa::available() {
        assert_agrees(&yin_yang(3), 8, 1, isa);
    }
}

#[test]
fn layers_of_many_sizes() {
    let mut rng = Rng::new(2);
    for sizes in [
        &[1, 1][..],
        &[3, 4, 5],
        &[17, 16, 15, 2],
        &[2, 33, 48, 7],
        &[9, 4],
    ] {
        for loss in [
            FIRST_SPIKE,
            Loss::Given,
            Loss::FirstSpikeSeconds {
                tau_0: 5e-4,
                alpha: 3e-3,
                tau_1: 6.4e-3,
            },
        ] {
            let network = network(sizes, eventprop(), PLAIN, &mut rng);
            let program = lower(
                &network,
                &options(
                    14,
                    3,
                    loss,
                    Rule::Sgd {
                        momentum: 0.0,
                        nesterov: false,
                    },
                    true,
                ),
            )
            .expect("it lowers");
            assert_agrees(&program, 9, 2, Isa::detect());
        }
    }
}

#[test]
fn every_convention() {
    let mut rng = Rng::new(3);
    for reset in [Reset::ToValue, Reset::Subtract] {
        for integrator in [Integrator::Exponential, Integrator::Euler] {
            for order in [Order::CurrentFirst, Order::Simultaneous] {
                for features in [
                    Features {
                        bias: true,
                        leak: 0.1,
                        ..PLAIN
                    },
                    Features {
                        per_neuron: true,
                        ..PLAIN
                    },
                    Features {
                        synapse: false,
                        per_neuron: true,
                        bias: true,
                        leak: 0.2,
                    },
                ] {
                    let convention = Convention {
                        reset,
                        integrator,
                        order,
                        threshold: Threshold::Inclusive,
                        spike: SpikeShape::Held,
                        ..eventprop()
                    };
                    let network = network(&[6, 19, 4], convention, features, &mut rng);
                    let options = options(16, 2, FIRST_SPIKE, ADAM, true);
                    match lower(&network, &options) {
                        Ok(program) => assert_agrees(&program, 10, 1, Isa::detect()),
                        Err(problems) => println!("not lowered: {problems}"),
                    }
                }
            }
        }
    }
}

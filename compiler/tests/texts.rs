//! Texts of both IRs: they read back to the same value; and programs that the verifier must refuse.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Rule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{HandlerKind, Program};
use nirc_ir::network::{
    Convention, Firing, Integrator, Link, Membrane, Network, Neuron, Order, Parameter, Pop,
    Population, PopulationKind, Port, Projection, Reset, SpikeShape, Synapse, Threshold,
};
use nirc_ir::text::{Externals, parse_network, parse_program, print_network, print_program};
use nirc_ir::verify::verify;
use nirc_ir::verify_network::verify_network;

/// Three inputs, two layers; per-neuron parameters, a leak and a bias where the model has them.
fn network(convention: Convention, cuba: bool) -> Network {
    let neuron = |size: usize| {
        let spread = |base: f64| {
            Parameter::from_values((0..size).map(|n| base * (1.0 + 0.1 * n as f64)).collect())
        };
        PopulationKind::Neurons(Neuron {
            membrane: Membrane::Leaky {
                tau: spread(0.02),
                r: Parameter::Uniform(1.5),
                v_leak: Parameter::Uniform(0.1),
            },
            synapse: cuba.then_some(Synapse {
                tau_syn: Parameter::Uniform(0.005),
                w_in: Parameter::Uniform(3.0),
            }),
            firing: Some(Firing {
                threshold: Parameter::Uniform(1.0),
                v_reset: Parameter::Uniform(-0.2),
            }),
        })
    };
    let population = |name: &str, size, kind| Population::vector(name, size, kind);
    let projection = |name: &str, pre: usize, count: usize, bias| Projection {
        name: name.to_owned(),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias,
        delay: 1,
        trainable: true,
        link: Link::Dense((0..count).map(|i| i as f32 * 0.25 - 1.0).collect()),
    };
    Network {
        name: "two layers".to_owned(),
        dt: 0.001,
        convention,
        populations: PrimaryMap::from_iter([
            population("in", 3, PopulationKind::Source),
            population("verborgen \"ä\"", 4, neuron(4)),
            population("out", 2, neuron(2)),
        ]),
        projections: PrimaryMap::from_iter([
            projection("fc1", 0, 12, None),
            projection("fc2", 1, 8, Some(vec![0.5, -0.5])),
        ]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

fn options() -> Options {
    Options {
        ticks: 12,
        batch: 4,
        replicas: 2,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        optimiser: Some(Optimiser {
            rule: Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            learning_rate: 1e-3,
            weight_decay: 1e-6,
            decay_per_batch: 0.99,
        }),
        record: Vec::new(),
    }
}

fn conventions() -> Vec<Convention> {
    let mut all = Vec::new();
    for preset in Convention::PRESETS {
        let preset = Convention::preset(preset).expect("a preset");
        for reset in [Reset::ToValue, Reset::Subtract] {
            for integrator in [Integrator::Exponential, Integrator::Euler] {
                for (order, spike, threshold) in [
                    (Order::CurrentFirst, SpikeShape::Impulse, Threshold::Strict),
                    (Order::Simultaneous, SpikeShape::Held, Threshold::Inclusive),
                ] {
                    all.push(Convention {
                        reset,
                        integrator,
                        order,
                        spike,
                        threshold,
                        ..preset.clone()
                    });
                }
            }
        }
    }
    all
}

#[test]
fn networks_read_back() {
    for convention in conventions() {
        for cuba in [false, true] {
            let network = network(convention.clone(), cuba);
            let text = print_network(&network);
            let back =
                parse_network(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(back, network, "{text}");
        }
    }
}

#[test]
fn programs_read_back_for_every_convention() {
    for convention in conventions() {
        for cuba in [false, true] {
            let program = lower(&network(convention.clone(), cuba), &options()).expect("lowers");
            let text = print_program(&program);
            let back =
                parse_program(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(back, program, "{text}");
        }
    }
}

#[test]
fn every_bad_line_is_reported() {
    let program = lower(&network(conventions()[0].clone(), true), &options()).expect("lowers");
    let text = print_program(&program)
        .replace("= mul v0, v1", "= mull v0, v1")
        .replace("store x =", "store y =");
    let problems = parse_program(&text, &Externals::new()).expect_err("two kinds of bad lines");
    let text = problems.to_string();
    assert!(text.contains("unknown operation `mull`"), "{text}");
    assert!(text.contains("no array is called `y`"), "{text}");
}

#[test]
fn networks_with_a_broken_invariant_are_not_lowered() {
    let network = network(conventions()[0].clone(), true);
    verify_network(&network).expect("as it stands");
    let refused = |change: &dyn Fn(&mut Network), expected: &str| {
        let mut broken = network.clone();
        change(&mut broken);
        let problems = lower(&broken, &options()).expect_err(expected).to_string();
        assert!(problems.contains(expected), "{problems}");
    };
    let (source, hidden) = (Pop::new(0), Pop::new(1));
    let fc1 = nirc_ir::network::Proj::new(0);
    refused(&|n| n.dt = f64::NAN, "dt = NaN");
    refused(&|n| n.output = source, "no population of neurons");
    refused(
        &|n| n.populations[hidden].name = "in".into(),
        "stands twice",
    );
    refused(&|n| n.populations[hidden].size = 7, "values of tau_mem");
    refused(&|n| n.projections[fc1].post = source, "a later population");
    refused(&|n| n.projections[fc1].post = Pop::new(9), "does not exist");
    refused(&|n| n.projections[fc1].weights.truncate(5), "5 weights");
    refused(&|n| n.projections[fc1].weights[3] = f32::INFINITY, "finite");
    refused(
        &|n| n.projections[fc1].bias = Some(vec![0.0]),
        "a bias of 1",
    );
    refused(&|n| n.projections[fc1].delay = 0, "0 ticks");
    let slow = |n: &mut Network| match &mut n.populations[hidden].kind {
        PopulationKind::Neurons(neuron) => neuron.tau_mem = Parameter::Uniform(0.0),
        PopulationKind::Source => {}
    };
    refused(&slow, "tau_mem is 0");
}

#[test]
fn what_no_executor_could_run_is_not_verified() {
    let program = lower(&network(conventions()[0].clone(), true), &options()).expect("lowers");
    verify(&program).expect("as it was lowered");
    let refused = |change: &dyn Fn(&mut Program), expected: &str| {
        let mut broken = program.clone();
        change(&mut broken);
        let problems = verify(&broken).expect_err(expected).to_string();
        assert!(problems.contains(expected), "{problems}");
    };
    let hidden = program.processes.keys().nth(1).expect("a population");
    let out = program.process("out").expect("a population");
    let (chan, _) = program.incoming(out).next().expect("a channel");
    let (input, _) = program.incoming(hidden).next().expect("a channel");
    // An error for the input, which keeps none.
    let to_input = |broken: &mut Program| {
        let message = broken.processes[out].handler(HandlerKind::Message(chan));
        let mut message = message.expect("errors go back").clone();
        message.kind = HandlerKind::Message(input);
        broken.processes[hidden].handlers.push(message);
    };
    refused(&to_input, "errors go back to neurons, not to `in`");
    // Weights for other sources than there are.
    let fewer_rows = |broken: &mut Program| {
        let tensor = broken.tensors.values_mut().next().expect("weights");
        tensor.rows -= 1;
        tensor.values.truncate(tensor.rows * tensor.lanes);
    };
    refused(&fewer_rows, "has no such row here");
    refused(&|broken| broken.replicas = 0, "0 replicas");
    refused(
        &|broken| broken.channels[chan].from = broken.channels[chan].to,
        "spikes go from",
    );
    let unknown = |broken: &mut Program| {
        broken.processes[hidden].handlers[0].body.values += 1;
    };
    refused(&unknown, "values are defined");
}

#[test]
fn external_values_are_checked() {
    let mut network = network(conventions()[0].clone(), true);
    let pre = Pop::new(0);
    network.populations[pre].size = 20;
    let first = network
        .projections
        .values_mut()
        .next()
        .expect("a projection");
    first.weights = (0..80).map(|i| i as f32).collect();
    let mut externals = Externals::from([("fc1.weight".to_owned(), first.weights.clone())]);
    let text = print_network(&network);
    assert!(text.contains("external"), "{text}");
    assert_eq!(parse_network(&text, &externals).expect("parses"), network);
    externals.get_mut("fc1.weight").expect("given")[3] = 7.5;
    let problem = parse_network(&text, &externals).expect_err("other values");
    assert!(problem.to_string().contains("digest"), "{problem}");
}

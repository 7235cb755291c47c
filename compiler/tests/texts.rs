//! Texts of both IRs: they read back to the same value; and programs that the verifier must refuse.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Clip, Loss, Optimiser, Options, Rule, Schedule};
use nirc_ir::connection::{Axis, Tap};
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
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
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
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 1e-6,
            schedule: Schedule::Exponential { factor: 0.99 },
            clip: Some(Clip::Norm(1.0)),
            ..Optimiser::new(
                Rule::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                1e-3,
            )
        }),
        record: Vec::new(),
        events: None,
    }
}

/// Conventions that a network can be trained under.
fn conventions() -> Vec<Convention> {
    let mut all = Vec::new();
    {
        let preset = Convention::preset("eventprop").expect("a preset");
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

fn presets() -> Vec<Convention> {
    let preset = |name: &&str| Convention::preset(name).expect("a preset");
    Convention::PRESETS.iter().map(preset).collect()
}

/// A forward pass alone.
fn forward() -> Options {
    Options {
        loss: None,
        adjoint: false,
        regularise: Vec::new(),
        optimiser: None,
        ..options()
    }
}

#[test]
fn forward_programs_read_back_for_every_preset() {
    for convention in presets() {
        for cuba in [false, true] {
            let program = lower(&network(convention.clone(), cuba), &forward()).expect("lowers");
            let text = print_program(&program);
            let back =
                parse_program(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(back, program, "{text}");
        }
    }
}

#[test]
fn only_some_conventions_can_be_trained_under() {
    let mut trained = Vec::new();
    for convention in presets() {
        let name = convention.name.clone();
        match lower(&network(convention, true), &options()) {
            Ok(_) => trained.push(name),
            Err(problems) => {
                let codes = problems.0.iter().map(|p| p.code);
                assert!(
                    codes.into_iter().any(|c| c == "N0402"),
                    "{name}: {problems}"
                );
            }
        }
    }
    let expected = ["nir", "euler", "eventprop", "spyx", "jaxsnn", "event"];
    assert_eq!(trained, expected);
}

#[test]
fn networks_read_back() {
    for convention in presets().into_iter().chain(conventions()) {
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
    refused(&|n| n.outputs.clear(), "there is no output");
    refused(&|n| n.outputs[0].population = Pop::new(7), "does not exist");
    refused(
        &|n| n.populations[hidden].name = "in".into(),
        "stands twice",
    );
    refused(&|n| n.populations[hidden].size = 7, "values of tau_mem");
    refused(
        &|n| n.populations[hidden].shape = vec![2, 3],
        "shape [2, 3]",
    );
    refused(&|n| n.projections[fc1].post = source, "comes from outside");
    refused(&|n| n.projections[fc1].post = Pop::new(9), "does not exist");
    let five = |n: &mut Network| n.projections[fc1].link = Link::Dense(vec![0.5; 5]);
    refused(&five, "5 weights");
    let infinite = |n: &mut Network| n.projections[fc1].link = Link::Dense(vec![f32::INFINITY; 12]);
    refused(&infinite, "finite");
    let taps = |n: &mut Network| {
        let tap = |lane| vec![Tap { lane, weight: 0 }];
        n.projections[fc1].link = Link::Taps {
            axes: vec![Axis::new([tap(0), tap(1), tap(4)])],
            weights: vec![0.5],
        };
    };
    refused(&taps, "taps up to neuron 4 of 4");
    refused(
        &|n| n.projections[fc1].link = Link::Path(Vec::new()),
        "a path without nodes",
    );
    refused(
        &|n| n.projections[fc1].bias = Some(vec![0.0]),
        "a bias of 1",
    );
    let back = |n: &mut Network| {
        n.projections[fc1].pre = Pop::new(2);
        n.projections[fc1].delay = 0;
    };
    refused(&back, "leads to a later population");
    refused(&|n| n.convention.recurrent_delay = 0, "recurrent_delay");
    let slow = |n: &mut Network| match &mut n.populations[hidden].kind {
        PopulationKind::Neurons(neuron) => *neuron = Neuron::lif(0.0, 1.0),
        PopulationKind::Source | PopulationKind::Graded => {}
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
    let itself = |broken: &mut Program| {
        broken.channels[chan].from = broken.channels[chan].to;
        broken.channels[chan].delay = 0;
    };
    refused(&itself, "later process");
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
    network.populations[pre].shape = vec![4, 5];
    let first = network
        .projections
        .values_mut()
        .next()
        .expect("a projection");
    let mut weights: Vec<f32> = (0..80).map(|i| i as f32).collect();
    first.link = Link::Dense(weights.clone());
    let mut externals = Externals::from([("fc1.weight".to_owned(), weights.clone().into())]);
    let text = print_network(&network);
    assert!(text.contains("external"), "{text}");
    assert_eq!(parse_network(&text, &externals).expect("parses"), network);
    weights[3] = 7.5;
    externals.insert("fc1.weight".to_owned(), weights.into());
    let problem = parse_network(&text, &externals).expect_err("other values");
    assert!(problem.to_string().contains("digest"), "{problem}");
}

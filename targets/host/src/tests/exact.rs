//! Programs of exact event times: such as no compiler would write, and networks as it lowers them.

use std::collections::BTreeSet;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Optimiser, Options, Rule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Program;
use nirc_ir::executor::{Executor, Pass};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};
use nirc_ir::verify::verify;
use nirc_tests::agreement::Batch;
use nirc_tests::forward::Limits;
use nirc_tests::random::{Shape, program};
use nirc_tests::rng::Rng;

use super::assert_agrees;
use crate::HostSimulator;
use crate::isa::Isa;

#[test]
fn random_programs_of_exact_event_times() {
    for seed in 0..150 {
        let program = program(seed, Shape::Exact(Limits::HOST));
        verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for isa in Isa::available() {
            println!("seed {seed}, {}", isa.name());
            assert_agrees(&program, seed, 1 + seed as usize % 3, isa);
        }
    }
}

/// Neurons: time constants of membrane and synapse in milliseconds, where there are such.
type Cell = (Option<f64>, Option<f64>);

fn neuron((tau_mem, tau_syn): Cell) -> PopulationKind {
    let uniform = Parameter::Uniform;
    let r = uniform(if tau_mem.is_none() && tau_syn.is_some() {
        100.0
    } else {
        1.0
    });
    PopulationKind::Neurons(Neuron {
        membrane: match tau_mem {
            Some(tau) => Membrane::Leaky {
                tau: uniform(tau * 1e-3),
                r,
                v_leak: uniform(0.0),
            },
            None => Membrane::Integrator { r },
        },
        synapse: tau_syn.map(|tau| Synapse {
            tau_syn: uniform(tau * 1e-3),
            w_in: uniform(1.0),
        }),
        firing: Some(Firing {
            threshold: uniform(1.0),
            v_reset: uniform(0.0),
        }),
    })
}

/// Layers, and with `back` a projection of the first one to itself and one back to it, which make windows.
fn network(sizes: &[usize], cell: Cell, back: bool, rng: &mut Rng) -> Network {
    let mut ends: Vec<(usize, usize, u32)> = (1..sizes.len()).map(|k| (k - 1, k, 0)).collect();
    if back {
        ends.extend([(1, 1, 7), (2, 1, 9)]);
        ends.sort_by_key(|(pre, post, _)| (*post, *pre));
    }
    let projections = ends.into_iter().enumerate().map(|(k, (pre, post, delay))| {
        let scale = 4.0 / (sizes[pre] as f32).sqrt();
        let mut weight = || (rng.normal() + 0.5) * scale;
        Projection {
            name: format!("fc{k}"),
            pre: Pop::new(pre),
            post: Pop::new(post),
            bias: None,
            delay,
            delays: None,
            factor: 1.0,
            bias_run: 1,
            trainable: true,
            link: Link::Dense((0..sizes[pre] * sizes[post]).map(|_| weight()).collect()),
        }
    });
    let projections = projections.collect::<PrimaryMap<_, _>>();
    let populations = sizes.iter().enumerate().map(|(k, size)| {
        let kind = match k {
            0 => PopulationKind::Source,
            _ => neuron(cell),
        };
        Population::vector(format!("pop{k}"), *size, kind)
    });
    Network {
        name: "random".into(),
        dt: 0.001,
        convention: Convention::preset("event").expect("a preset"),
        populations: populations.collect(),
        projections,
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(sizes.len() - 1),
        }],
    }
}

fn options(replicas: usize, input_errors: bool) -> Options {
    Options {
        ticks: 30,
        batch: replicas,
        replicas,
        spike_bound: Some(20_000),
        loss: Some(Loss::FirstSpike {
            xi: 0.3,
            alpha: 0.02,
            beta: 12.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser::new(
            Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            1e-2,
        )),
        record: Vec::new(),
        events: Some(ExactTimes {
            guard: 0.1,
            input_errors,
        }),
    }
}

#[test]
fn networks_of_every_neuron() {
    let pairs = [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
    ];
    let pairs = pairs.map(|(mem, syn)| (Some(mem), Some(syn)));
    let others = [(None, Some(5.0)), (Some(20.0), None), (None, None)];
    let mut rng = Rng::new(1);
    for (k, cell) in pairs.into_iter().chain(others).enumerate() {
        for (sizes, back) in [(&[5, 40, 3][..], false), (&[6, 18, 4, 17], true)] {
            let network = network(sizes, cell, back, &mut rng);
            let options = options(if k == 2 { 34 } else { 3 + k }, back);
            let program = lower(&network, &options).unwrap_or_else(|e| panic!("{cell:?}: {e}"));
            for isa in Isa::available() {
                println!("{cell:?}, windows {back}, {}", isa.name());
                assert_agrees(&program, k as u64, 2, isa);
            }
        }
    }
}

/// Whichever tape is too short, and whoever's sample it is for: replicas of a group go together, and fail as if alone.
#[test]
fn tapes_overflow_as_the_interpreter_says() {
    let cell = (Some(20.0), Some(5.0));
    let mut rng = Rng::new(7);
    let network = network(&[5, 20, 3], cell, true, &mut rng);
    let program = lower(&network, &options(6, false)).expect("it lowers");
    let batch = Batch::random(&program, 15, &mut rng);
    let samples = batch.samples();
    // The interpreter knows which sample it is by running them one by one.
    let expected = |program: &Program| {
        let mut interpreter = Interpreter::new(program);
        samples.iter().enumerate().find_map(|(k, sample)| {
            let run = interpreter.run(Pass::Forward, &[*sample], &mut Vec::new());
            let e = run.err()?;
            let message = e
                .message
                .replace("in one sample", &format!("in sample {k}"));
            Some((e.code, e.place, message))
        })
    };
    let found = |program: &Program, threads| {
        let mut host = HostSimulator::new(program, threads).expect("it is sound");
        let run = host.run(Pass::Train, &samples, &mut Vec::new());
        run.err().map(|e| (e.code, e.place, e.message))
    };
    let mut messages = BTreeSet::new();
    for bound in [1, 2, 4, 8, 12, 16, 24, 32, 48, 64] {
        let mut tapes: Vec<Program> = Vec::new();
        for chan in program.channels.keys() {
            let mut program = program.clone();
            program.channels[chan].bound = Some(bound);
            tapes.push(program);
        }
        for proc in program.processes.keys() {
            let mut program = program.clone();
            if let Some(tape) = &mut program.processes[proc].tape {
                tape.bound = Some(bound);
                tapes.push(program);
            }
        }
        for program in tapes {
            let expected = expected(&program);
            for threads in 1..=3 {
                assert_eq!(found(&program, threads), expected);
            }
            messages.extend(expected.map(|(.., message)| message));
        }
    }
    assert!(messages.len() > 10, "{messages:?}");
}

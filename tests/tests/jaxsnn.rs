//! Gradients beside those of jaxsnn's event solver, by its EventProp and by its analytical method: the same network,
//! inputs and losses.
//!
//! `tests/golden/jaxsnn_gradients.py` recorded them, in `f64`.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, Proc, Program};
use nirc_ir::executor::{InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::math::real::Real;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};
use nirc_tests::golden::Golden;

const TICKS: u32 = 60;
const METHODS: [&str; 2] = ["eventprop", "analytical"];
const LOSSES: [(&str, Loss); 2] = [
    (
        "cross_entropy",
        Loss::FirstSpike {
            xi: 1.5,
            alpha: 0.0,
            beta: 1.0,
        },
    ),
    (
        "targets",
        Loss::TargetTimes {
            hit: 8.0,
            miss: 14.0,
        },
    ),
];

/// The network `name`, with time constants in ms.
fn network(golden: &Golden, name: &str, (tau_mem, tau_syn): (f64, f64)) -> Network {
    let neuron = Neuron {
        membrane: Membrane::Leaky {
            tau: Parameter::Uniform(tau_mem * 1e-3),
            r: Parameter::Uniform(1.0),
            v_leak: Parameter::Uniform(0.0),
        },
        synapse: Some(Synapse {
            tau_syn: Parameter::Uniform(tau_syn * 1e-3),
            w_in: Parameter::Uniform(1.0),
        }),
        firing: Some(Firing {
            threshold: Parameter::Uniform(1.0),
            v_reset: Parameter::Uniform(0.0),
        }),
    };
    // Both lay weights a row a source.
    let weights = [1, 2].map(|k| golden.two::<f32>(&format!("{name}_w{k}")));
    let neurons = || PopulationKind::Neurons(neuron.clone());
    let populations = [
        Population::vector("input", weights[0].nrows(), PopulationKind::Source),
        Population::vector("hidden", weights[0].ncols(), neurons()),
        Population::vector("out", weights[1].ncols(), neurons()),
    ];
    let projections = weights.iter().enumerate().map(|(k, weights)| Projection {
        name: format!("w{}", k + 1),
        pre: Pop::new(k),
        post: Pop::new(k + 1),
        link: Link::Dense(weights.iter().copied().collect()),
        bias: None,
        delay: 0,
        delays: None,
        factor: 1.0,
        bias_run: 1,
        trainable: true,
    });
    Network {
        name: name.to_owned(),
        dt: 1e-3,
        convention: Convention::preset("event").expect("a preset"),
        populations: PrimaryMap::from_iter(populations),
        projections: projections.collect(),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

fn options(loss: Loss) -> Options {
    Options {
        ticks: TICKS,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(loss),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: None,
        record: Vec::new(),
        events: Some(ExactTimes {
            guard: 0.0,
            input_errors: false,
        }),
    }
}

/// What one sample gives.
struct Found {
    loss: f64,
    /// By layer.
    gradients: [Vec<f64>; 2],
}

fn run<R: Real>(program: &Program, times: &[f32], channels: &[i64], label: u32) -> Found {
    let mut order: Vec<usize> = (0..times.len()).collect();
    order.sort_by(|a, b| times[*a].total_cmp(&times[*b]));
    let spikes = order.iter().map(|k| InputSpike {
        tick: times[*k].floor() as u32,
        channel: u32::try_from(channels[*k]).expect("a channel"),
    });
    let exact: Vec<R> = order.iter().map(|k| R::from_f32(times[*k])).collect();
    let sample = Sample {
        spikes: &spikes.collect::<Vec<_>>(),
        times: &[],
        values: &[],
        label,
        error: &[],
    };
    let mut machine = Interpreter::<R>::computing(program);
    let ran = machine.run_at(Pass::Gradient, &sample, &exact);
    ran.expect("it runs");
    let gradients = [1, 2].map(|proc| {
        let arrays = &program.processes[Proc::new(proc)].arrays;
        let mut gradients = arrays
            .iter()
            .filter(|(_, a)| matches!(a.kind, ArrayKind::Gradient(_)));
        let (array, _) = gradients.next().expect("a gradient");
        let values = machine.values(0, Proc::new(proc), array);
        values.iter().map(|v| v.to_f64()).collect()
    });
    let loss = program.loss().expect("a loss");
    let value = program.processes[loss].array("loss").expect("its value");
    Found {
        loss: machine.values(0, loss, value)[0].to_f64(),
        gradients,
    }
}

/// Largest distance over the largest entry.
fn distance(found: &[f64], expected: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = expected.clone().fold(0.0_f64, |m, e| m.max(e.abs()));
    let differences = found.iter().zip(expected).map(|(f, e)| (f - e).abs());
    let off = differences.fold(0.0_f64, f64::max);
    if largest > 0.0 { off / largest } else { off }
}

/// Compares all samples, nets, losses and methods.
fn compare<R: Real>(precision: &str, bound: f64) {
    let golden = Golden::open("jaxsnn_gradients");
    let channels: Vec<i64> = golden.array("channels").iter().copied().collect();
    for (name, taus) in [("double", (10.0, 5.0)), ("equal", (8.0, 8.0))] {
        let network = network(&golden, name, taus);
        let times = golden.two::<f32>(&format!("{name}_times"));
        let labels = golden.array::<i64>(&format!("{name}_labels"));
        for (of, loss) in LOSSES {
            let program = lower(&network, &options(loss)).unwrap_or_else(|e| panic!("{e}"));
            for method in METHODS {
                let key = format!("{name}_{method}_{of}");
                let losses = golden.array::<f64>(&format!("{key}_loss"));
                let gradients = [1, 2].map(|k| golden.three::<f64>(&format!("{key}_g{k}")));
                let mut worst = [0.0_f64; 3];
                for (s, times) in times.outer_iter().enumerate() {
                    let label = u32::try_from(labels[s]).expect("a class");
                    let times: Vec<f32> = times.iter().copied().collect();
                    let found = run::<R>(&program, &times, &channels, label);
                    let off = [
                        (found.loss - losses[s]).abs() / losses[s].abs(),
                        distance(&found.gradients[0], rows(&gradients[0], s)),
                        distance(&found.gradients[1], rows(&gradients[1], s)),
                    ];
                    worst = std::array::from_fn(|k| worst[k].max(off[k]));
                }
                let [l, g1, g2] = worst;
                println!(
                    "{key} in {precision}: of {} samples the worst loss is {l:.1e} off, gradients {g1:.1e} and {g2:.1e}",
                    times.nrows()
                );
                assert!(worst.iter().all(|off| *off < bound), "{key}: {worst:?}");
            }
        }
    }
}

fn rows(gradients: &ndarray::Array3<f64>, s: usize) -> impl Iterator<Item = f64> + Clone + '_ {
    gradients
        .index_axis(ndarray::Axis(0), s)
        .into_iter()
        .copied()
}

#[test]
fn gradients_are_those_of_jaxsnn() {
    compare::<f64>("f64", 1e-9);
    compare::<f32>("f32", 1e-4);
}

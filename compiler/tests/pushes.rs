//! What numbers of spikes cost: which way weights are pushed, with ticks and with exact event times.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Cost, ExactTimes, Loss, Options, Regulariser};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, Program, Tensor};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Link, Network, Neuron, Pop, Population, PopulationKind, Port, Projection,
};

/// An input, a hidden neuron that spikes six times, and one that is silent; two outputs of which the first
/// spikes and the second does not.
fn network(hidden: [f32; 2], outputs: [f32; 4]) -> Network {
    let neurons = || PopulationKind::Neurons(Neuron::cuba_lif(20e-3, 5e-3, 1.0));
    let projection = |name: &str, pre: usize, weights: &[f32]| Projection {
        name: name.to_owned(),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias: None,
        delay: 1,
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
        link: Link::Dense(weights.to_vec()),
    };
    let mut convention = Convention::preset("eventprop").expect("a preset");
    convention.set("spike", "unit").expect("an attribute");
    Network {
        name: "pushed".to_owned(),
        dt: 1e-3,
        convention,
        populations: PrimaryMap::from_iter([
            Population::vector("input", 1, PopulationKind::Source),
            Population::vector("hidden", 2, neurons()),
            Population::vector("output", 2, neurons()),
        ]),
        projections: PrimaryMap::from_iter([
            projection("fc1", 0, &hidden),
            projection("fc2", 1, &outputs),
        ]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

fn options(loss: Loss, regularise: &[(&str, Cost, f64)]) -> Options {
    let regularise = regularise
        .iter()
        .map(|(population, cost, strength)| Regulariser {
            population: (*population).to_owned(),
            cost: *cost,
            strength: *strength,
        });
    Options {
        events: None,
        ticks: 40,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(loss),
        adjoint: true,
        regularise: regularise.collect(),
        optimiser: None,
        record: Vec::new(),
    }
}

/// The same with exact event times, if so.
fn timed(exact: bool, options: Options) -> Options {
    Options {
        events: exact.then(ExactTimes::default),
        ..options
    }
}

/// No cost but what is added.
const NOTHING: Loss = Loss::TargetTimes {
    hit: 0.0,
    miss: 0.0,
};

/// The outcome, and the gradients of fc1 and fc2, for a spike after 2 ms and the second class.
fn gradients(network: &Network, options: &Options) -> (Outcome, [Vec<f32>; 2]) {
    let program = lower(network, options).unwrap_or_else(|e| panic!("{e}"));
    let mut interpreter = Interpreter::new(&program);
    let spikes = [InputSpike {
        tick: (2e-3 / network.dt).round() as u32,
        channel: 0,
    }];
    let times = spikes.map(|spike| spike.tick as f32);
    let sample = Sample {
        times: if options.events.is_some() {
            &times
        } else {
            &[]
        },
        spikes: &spikes,
        values: &[],
        label: 1,
        error: &[],
    };
    let mut outcomes = Vec::new();
    interpreter
        .run(Pass::Gradient, &[sample], &mut outcomes)
        .unwrap_or_else(|e| panic!("{e}"));
    let read = |tensor: usize| gradient(&interpreter, &program, Tensor::new(tensor));
    (outcomes.remove(0), [read(0), read(1)])
}

fn gradient(interpreter: &Interpreter, program: &Program, tensor: Tensor) -> Vec<f32> {
    let mut holders = program.processes.iter();
    let (proc, array) = holders
        .find_map(|(p, q)| Some((p, q.array_of(ArrayKind::Gradient(tensor))?)))
        .expect("it is trained");
    interpreter.read(0, proc, array).expect("it is there")
}

/// The first hidden neuron spikes, the second is silent; so the outputs.
fn example() -> Network {
    network([20.0, 2.0], [9.0, 0.5, 1.0, 0.5])
}

#[test]
fn bounds_lower_what_spikes_too_often_and_lift_what_spikes_too_rarely() {
    let bounds = |least, most| ("hidden", Cost::Bounds { least, most }, 0.1);
    for exact in [false, true] {
        let hidden = |least, most| {
            let options = |costs: &[_]| timed(exact, options(NOTHING, costs));
            let without = gradients(&example(), &options(&[])).1;
            let with = gradients(&example(), &options(&[bounds(least, most)])).1;
            assert_eq!(without[1], with[1], "the outputs are not concerned");
            [0, 1].map(|k| with[0][k] - without[0][k])
        };
        let [spiking, silent] = hidden(0.0, 1.0);
        assert!(spiking > 0.0 && silent == 0.0, "{spiking} {silent}");
        let [spiking, silent] = hidden(0.0, 100.0);
        assert!(spiking == 0.0 && silent == 0.0, "{spiking} {silent}");
        let [spiking, silent] = hidden(50.0, 100.0);
        assert!(spiking < 0.0 && silent < 0.0, "{spiking} {silent}");
    }
}

#[test]
fn silent_neurons_are_lifted_and_no_others() {
    for exact in [false, true] {
        let with = |cost| {
            let push = [("hidden", Cost::Silent, 1.0), ("output", cost, 1.0)];
            gradients(&example(), &timed(exact, options(NOTHING, &push))).1
        };
        let without = gradients(&example(), &timed(exact, options(NOTHING, &[]))).1;
        for cost in [Cost::Silent, Cost::SilentLabel] {
            let [_, outputs] = with(cost);
            // Only the first hidden neuron spikes: rows are those of its spikes.
            assert_eq!(outputs[0].to_bits(), without[1][0].to_bits(), "it spikes");
            assert!(outputs[1] < without[1][1], "the label's neuron is silent");
            assert_eq!(
                outputs[2..],
                without[1][2..],
                "nothing arrives from a silent one"
            );
        }
        let [hidden, _] = with(Cost::SilentLabel);
        assert!(hidden[1] < without[0][1], "the second is silent");
    }
}

/// The label's neuron gets a spike, the other one loses its own, by descending along the pushes.
#[test]
fn numbers_of_spikes_are_learnt() {
    let loss = Loss::SpikeCount {
        hit: 2.0,
        miss: 0.0,
    };
    for exact in [false, true] {
        let (mut hidden, mut outputs) = ([20.0, 2.0], [9.0, 0.5, 1.0, 0.5]);
        let mut losses = Vec::new();
        for _ in 0..1000 {
            let options = timed(exact, options(loss, &[]));
            let (outcome, [fc1, fc2]) = gradients(&network(hidden, outputs), &options);
            losses.push(outcome.loss);
            for (w, g) in hidden.iter_mut().zip(&fc1) {
                *w -= 0.02 * g;
            }
            for (w, g) in outputs.iter_mut().zip(&fc2) {
                *w -= 0.02 * g;
            }
        }
        assert!(losses[0] > 1.0, "{exact}: {losses:?}");
        assert!(losses.last() == Some(&0.0), "{exact}: {losses:?}");
    }
}

/// Both pushes are the derivative of the highest voltage: of ticks that get shorter the difference falls in proportion.
#[test]
fn a_strength_means_the_same_with_ticks_and_with_exact_times() {
    let push = [("hidden", Cost::Silent, 3.0)];
    let of_silent = |dt: f64, exact| {
        let network = Network { dt, ..example() };
        let options = Options {
            ticks: (40e-3 / dt).round() as u32,
            ..timed(exact, options(NOTHING, &push))
        };
        f64::from(gradients(&network, &options).1[0][1])
    };
    // V = w (x - x^4) / 3, at its peak x^3 = 1/4.
    let x = 0.25_f64.cbrt();
    let expected = -3.0 * (x - x.powi(4)) / 3.0;
    let exact = of_silent(1e-3, true);
    assert!((exact - expected).abs() < 1e-5, "{exact} {expected}");
    let distances = [1e-3, 5e-4, 2.5e-4].map(|dt| (of_silent(dt, false) - expected).abs());
    assert!(distances[0] < 0.15 * expected.abs(), "{distances:?}");
    for pair in distances.windows(2) {
        assert!(pair[1] < 0.65 * pair[0], "{distances:?}");
    }
}

#[test]
fn what_cannot_be_pushed_is_refused() {
    let network = example();
    let refused = |costs: &[(&str, Cost, f64)], expected: &str| {
        let problems = lower(&network, &options(NOTHING, costs)).expect_err(expected);
        let problems = problems.to_string();
        assert!(problems.contains(expected), "{problems}");
    };
    refused(
        &[("hiden", Cost::Silent, 1.0)],
        "no population is called `hiden`",
    );
    refused(&[("input", Cost::Silent, 1.0)], "`input` does not spike");
    refused(&[("hidden", Cost::SilentLabel, 1.0)], "has no label");
    let twice = ("hidden", Cost::Silent, 1.0);
    refused(&[twice, twice], "has such a cost already");
}

//! What numbers of spikes cost: which way weights are pushed.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Cost, Loss, Options, Regulariser};
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

/// No cost but what is added.
const NOTHING: Loss = Loss::TargetTimes {
    hit: 0.0,
    miss: 0.0,
};

/// The outcome, and the gradients of fc1 and fc2, for a spike in tick 2 and the second class.
fn gradients(network: &Network, options: &Options) -> (Outcome, [Vec<f32>; 2]) {
    let program = lower(network, options).unwrap_or_else(|e| panic!("{e}"));
    let mut interpreter = Interpreter::new(&program);
    let spikes = [InputSpike {
        tick: 2,
        channel: 0,
    }];
    let sample = Sample {
        times: &[],
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
    let hidden = |least, most| {
        let options = options(NOTHING, &[bounds(least, most)]);
        let without = gradients(&example(), &self::options(NOTHING, &[])).1;
        let with = gradients(&example(), &options).1;
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

#[test]
fn silent_neurons_are_lifted_and_no_others() {
    let with = |cost| {
        let push = [("hidden", Cost::Silent, 1.0), ("output", cost, 1.0)];
        gradients(&example(), &options(NOTHING, &push)).1
    };
    let without = gradients(&example(), &options(NOTHING, &[])).1;
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

/// The label's neuron gets a spike, the other one loses its own, by descending along the pushes.
#[test]
fn numbers_of_spikes_are_learnt() {
    let loss = Loss::SpikeCount {
        hit: 2.0,
        miss: 0.0,
    };
    let (mut hidden, mut outputs) = ([20.0, 2.0], [9.0, 0.5, 1.0, 0.5]);
    let mut losses = Vec::new();
    for _ in 0..1000 {
        let (outcome, [fc1, fc2]) = gradients(&network(hidden, outputs), &options(loss, &[]));
        losses.push(outcome.loss);
        for (w, g) in hidden.iter_mut().zip(&fc1) {
            *w -= 0.02 * g;
        }
        for (w, g) in outputs.iter_mut().zip(&fc2) {
            *w -= 0.02 * g;
        }
    }
    assert!(losses[0] > 1.0, "{losses:?}");
    assert!(losses.last() == Some(&0.0), "{losses:?}");
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

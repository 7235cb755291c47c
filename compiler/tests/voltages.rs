//! Gradients of losses on voltages against central differences of the tick model itself.
//!
//! Without spiking neurons the loss is a polynomial, of degree 2 in each single weight for a mean square, so
//! that a central difference is its derivative up to rounding, whatever the step. The adjoint is that of the
//! continuous-time network: its distance has to fall as the tick does.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options, Score};
use nirc_ir::connection::{Axis, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, Program, Tensor};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Link, Membrane, Network, Neuron, Parameter, Pop, Population, PopulationKind, Port,
    Projection, Synapse,
};

const SECONDS: f64 = 0.04;

#[derive(Clone, Copy)]
enum Cell {
    Li,
    CubaLi,
    I,
}

fn neuron(cell: Cell, dt: f64) -> PopulationKind {
    let uniform = Parameter::Uniform;
    // A spike of weight 1 moves the driven state by as much, whatever the tick.
    let leaky = |gain: f64| Membrane::Leaky {
        tau: uniform(10e-3),
        r: uniform(gain),
        v_leak: uniform(0.0),
    };
    PopulationKind::Neurons(Neuron {
        membrane: match cell {
            Cell::Li => leaky(10e-3 / dt),
            Cell::CubaLi => leaky(2.0),
            Cell::I => Membrane::Integrator {
                r: uniform(1.0 / dt),
            },
        },
        synapse: matches!(cell, Cell::CubaLi).then(|| Synapse {
            tau_syn: uniform(5e-3),
            w_in: uniform(5e-3 / dt),
        }),
        firing: None,
    })
}

/// Two inputs, of which each excites three hidden integrators; two outputs.
struct Case {
    name: &'static str,
    hidden: Option<Cell>,
    output: Cell,
    convention: Convention,
    delay: u32,
    shared: bool,
    factor: f64,
}

impl Case {
    fn network(&self, dt: f64, weights: &[Vec<f32>]) -> Network {
        let mut populations = PrimaryMap::new();
        let mut projections = PrimaryMap::new();
        populations.push(Population::vector("input", 2, PopulationKind::Source));
        if let Some(hidden) = self.hidden {
            populations.push(Population::vector("hidden", 3, neuron(hidden, dt)));
        }
        populations.push(Population::vector("output", 2, neuron(self.output, dt)));
        for (k, weights) in weights.iter().enumerate() {
            let [pre, post] = [k, k + 1].map(|p| populations[Pop::new(p)].size);
            // Values arrive in every tick, spikes once.
            let scale = if k == 0 { 1.0 } else { dt / 10e-3 };
            let weights = weights.iter().map(|w| w * scale as f32).collect();
            projections.push(Projection {
                name: format!("fc{k}"),
                pre: Pop::new(k),
                post: Pop::new(k + 1),
                bias: None,
                delay: self.delay,
                delays: None,
                trainable: true,
                factor: self.factor,
                bias_run: 1,
                link: match self.shared {
                    true => sliding(pre, post, weights),
                    false => Link::Dense(weights),
                },
            });
        }
        let outputs = vec![Port {
            name: "output".to_owned(),
            population: populations.keys().last().expect("there are some"),
        }];
        Network {
            name: self.name.to_owned(),
            dt,
            convention: self.convention.clone(),
            populations,
            projections,
            outputs,
        }
    }

    /// How many weights each projection has.
    fn sizes(&self) -> Vec<usize> {
        match (self.hidden, self.shared) {
            (Some(_), false) => vec![6, 6],
            (None, false) => vec![4],
            (Some(_), true) => vec![2, 2],
            (None, true) => vec![2],
        }
    }

    fn program(&self, dt: f64, weights: &[Vec<f32>], loss: Loss) -> Program {
        let options = Options {
            ticks: (SECONDS / dt).round() as u32,
            batch: 1,
            replicas: 1,
            spike_bound: None,
            loss: Some(loss),
            adjoint: true,
            regularise: Vec::new(),
            optimiser: None,
            record: Vec::new(),
            events: None,
        };
        lower(&self.network(dt, weights), &options).unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    fn loss(&self, dt: f64, weights: &[Vec<f32>], loss: Loss) -> f64 {
        let mut interpreter = Interpreter::new(&self.program(dt, weights, loss));
        f64::from(run(&mut interpreter, dt, Pass::Forward).loss)
    }

    /// Relative distance of the adjoint from central differences.
    fn distance(&self, dt: f64, loss: Loss, step: f32) -> f64 {
        let mut weights: Vec<Vec<f32>> = self.sizes().iter().enumerate().map(weights_of).collect();
        if let Loss::Voltage { score: Score::Sum } = loss {
            // A sum grows with the number of ticks, and a softmax of large numbers is flat.
            weights[0]
                .iter_mut()
                .for_each(|w| *w *= (dt / SECONDS) as f32);
        }
        let found = self.gradients(dt, &weights, loss);
        let (mut error, mut norm) = (0.0, 0.0);
        for (k, of_tensor) in found.iter().enumerate() {
            for (i, gradient) in of_tensor.iter().enumerate() {
                let at = |step: f32| {
                    let mut moved = weights.clone();
                    moved[k][i] += step;
                    self.loss(dt, &moved, loss)
                };
                let step = step * weights[k][i].abs().max(0.01);
                let difference = (at(step) - at(-step)) / f64::from(2.0 * step);
                error += (gradient - difference).powi(2);
                norm += difference.powi(2);
            }
        }
        assert!(norm > 1e-6, "{}: nothing to compare", self.name);
        (error / norm).sqrt()
    }

    fn gradients(&self, dt: f64, weights: &[Vec<f32>], loss: Loss) -> Vec<Vec<f64>> {
        let program = self.program(dt, weights, loss);
        let mut interpreter = Interpreter::new(&program);
        run(&mut interpreter, dt, Pass::Gradient);
        let read = |(k, tensor): (usize, Tensor)| {
            let mut holders = program.processes.iter();
            let (proc, array) = holders
                .find_map(|(p, q)| Some((p, q.array_of(ArrayKind::Gradient(tensor))?)))
                .expect("it is trained");
            let found = interpreter.read(0, proc, array).expect("it is there");
            let scale = if k == 0 { 1.0 } else { dt / 10e-3 };
            found.iter().map(|g| f64::from(*g) * scale).collect()
        };
        program.tensors.keys().enumerate().map(read).collect()
    }
}

fn weights_of((k, size): (usize, &usize)) -> Vec<f32> {
    (0..*size)
        .map(|i| 0.3 + 0.1 * (i as f32) - 0.2 * (k as f32))
        .collect()
}

/// A kernel of two taps that slides over the sources.
fn sliding(pre: usize, post: usize, weights: Vec<f32>) -> Link {
    let taps = |source: usize| {
        let reached = [(source, 0), (source + 1, 1)].into_iter();
        let reached = reached.filter(|(lane, _)| *lane < post);
        reached
            .map(|(lane, weight)| Tap {
                lane: lane as u32,
                weight,
            })
            .collect()
    };
    Link::Taps {
        axes: vec![Axis::new((0..pre).map(taps))],
        weights,
    }
}

fn run(interpreter: &mut Interpreter, dt: f64, pass: Pass) -> Outcome {
    let at = |seconds: f64, channel| InputSpike {
        tick: (seconds / dt).round() as u32,
        channel,
    };
    let spikes = [at(4e-3, 0), at(9e-3, 1), at(15e-3, 0)];
    let sample = Sample {
        times: &[],
        spikes: &spikes,
        values: &[],
        label: 1,
        error: &[],
    };
    let mut outcomes = Vec::new();
    interpreter
        .run(pass, &[sample], &mut outcomes)
        .unwrap_or_else(|e| panic!("{e}"));
    outcomes.remove(0)
}

fn preset(name: &str, changes: &[(&str, &str)]) -> Convention {
    let mut convention = Convention::preset(name).expect("a preset");
    for (attribute, value) in changes {
        convention.set(attribute, value).expect("an attribute");
    }
    convention
}

fn cases() -> Vec<Case> {
    let eventprop = || preset("eventprop", &[("spike", "impulse")]);
    let euler = || preset("euler", &[("spike", "impulse"), ("reset", "subtract")]);
    let case = |name, hidden, output, convention, delay, shared| Case {
        name,
        hidden,
        output,
        convention,
        delay,
        shared,
        factor: 1.0,
    };
    let times = |factor, case: Case| Case { factor, ..case };
    vec![
        case("li", None, Cell::Li, eventprop(), 1, false),
        case("cuba-li", None, Cell::CubaLi, eventprop(), 1, false),
        case("i", None, Cell::I, eventprop(), 1, false),
        case("euler", None, Cell::CubaLi, euler(), 1, false),
        case("at-once", None, Cell::CubaLi, euler(), 0, false),
        case("late", None, Cell::CubaLi, eventprop(), 3, false),
        case("deep", Some(Cell::Li), Cell::CubaLi, eventprop(), 1, false),
        case("deep-i", Some(Cell::CubaLi), Cell::I, eventprop(), 2, false),
        case("shared", Some(Cell::Li), Cell::Li, eventprop(), 1, true),
        times(
            0.5,
            case("scaled", None, Cell::CubaLi, eventprop(), 1, false),
        ),
        times(
            1.3,
            case("pooled", Some(Cell::Li), Cell::Li, eventprop(), 1, true),
        ),
    ]
}

#[test]
fn the_mean_square_of_a_voltage_converges_at_first_order() {
    let loss = Loss::VoltageError {
        hit: 1.0,
        miss: 0.0,
    };
    for case in cases() {
        let [coarse, fine] = [1e-3, 1e-4].map(|dt| case.distance(dt, loss, 0.25));
        println!("{}: {coarse:.4} at 1 ms, {fine:.5} at 0.1 ms", case.name);
        assert!(fine < 0.03, "{}: {fine}", case.name);
        assert!(
            fine < 0.2 * coarse || fine < 1e-4,
            "{}: {coarse} and {fine}",
            case.name
        );
    }
}

#[test]
fn scores_of_a_voltage_converge_at_first_order() {
    for score in [
        Score::Max,
        Score::Sum,
        Score::Average { tau: None },
        Score::Average { tau: Some(20.0) },
        Score::Final,
    ] {
        for case in cases() {
            let [coarse, fine] = [1e-3, 1e-4].map(|dt| {
                let score = match score {
                    // A time constant of so many milliseconds.
                    Score::Average { tau: Some(ms) } => Score::Average {
                        tau: Some(ms * 1e-3 / dt),
                    },
                    score => score,
                };
                case.distance(dt, Loss::Voltage { score }, 2e-2)
            });
            println!("{} {score:?}: {coarse:.4}, {fine:.5}", case.name);
            let what = format!("{} {score:?}: {coarse} and {fine}", case.name);
            assert!(fine < 0.03, "{what}");
            assert!(fine < 0.2 * coarse || fine < 1e-3, "{what}");
        }
    }
}

#[test]
fn a_bias_that_neurons_share_has_one_gradient() {
    let loss = Loss::VoltageError {
        hit: 1.0,
        miss: 0.0,
    };
    let case = Case {
        name: "biased",
        hidden: None,
        output: Cell::CubaLi,
        convention: preset("eventprop", &[("spike", "impulse")]),
        delay: 1,
        shared: true,
        factor: 1.0,
    };
    // Both outputs share it; it arrives in every tick.
    let program = |dt: f64, bias: f64| {
        let mut network = case.network(dt, &[vec![0.3, 0.4]]);
        let projection = network.projections.values_mut().next().expect("one");
        projection.bias = Some(vec![(bias * dt / 10e-3) as f32; 2]);
        projection.bias_run = 2;
        let options = Options {
            ticks: (SECONDS / dt).round() as u32,
            batch: 1,
            replicas: 1,
            spike_bound: None,
            loss: Some(loss),
            adjoint: true,
            regularise: Vec::new(),
            optimiser: None,
            record: Vec::new(),
            events: None,
        };
        lower(&network, &options).unwrap_or_else(|e| panic!("{e}"))
    };
    let distance = |dt: f64| {
        let loss_at = |bias| {
            let mut interpreter = Interpreter::new(&program(dt, bias));
            f64::from(run(&mut interpreter, dt, Pass::Forward).loss)
        };
        let difference = (loss_at(0.3) - loss_at(0.1)) / 0.2;
        let program = program(dt, 0.2);
        let (tensor, decl) = program
            .tensors
            .iter()
            .find(|(_, t)| t.name == "fc0.bias")
            .expect("a bias");
        assert_eq!((decl.rows, decl.lanes, decl.trainable), (1, 1, true));
        let mut interpreter = Interpreter::new(&program);
        run(&mut interpreter, dt, Pass::Gradient);
        let (proc, array) = program
            .processes
            .iter()
            .find_map(|(p, q)| Some((p, q.array_of(ArrayKind::Gradient(tensor))?)))
            .expect("it is trained");
        let found = interpreter.read(0, proc, array).expect("it is there");
        let found = f64::from(found[0]) * dt / 10e-3;
        ((found - difference) / difference).abs()
    };
    let [coarse, fine] = [1e-3, 1e-4].map(distance);
    assert!(fine < 0.03, "{coarse} and {fine}");
    assert!(fine < 0.2 * coarse, "{coarse} and {fine}");
}

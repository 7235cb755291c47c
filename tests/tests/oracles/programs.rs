//! Programs whose firmware is tried: the example, and networks that differ from it in every choice there is.

use std::collections::BTreeSet;
use std::path::Path;

use nirc_compiler::lower::lower;
use nirc_compiler::nir::{self, ImportOptions};
use nirc_compiler::options::{Loss, Optimiser, Options, Quantity, Record, Rule, Schedule};
use nirc_compiler::passes::canonicalise;
use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Channel, Domain, Handler, HandlerKind, Op, Output,
    Proc, Process, Program, Role, Row, Stmt, TensorDecl, Unary,
};
use nirc_ir::network::{
    Convention, Firing, Integrator, Link, Membrane, Network, Neuron, Order, Parameter, Pop,
    Population, PopulationKind, Port, Projection, Reset, SpikeShape, Synapse, Threshold,
};

use crate::numbers::Numbers;

const FIRST_SPIKE: Loss = Loss::FirstSpike {
    xi: 1.5,
    alpha: 1e-2,
    beta: 100.0,
};
const FIRST_SPIKE_SECONDS: Loss = Loss::FirstSpikeSeconds {
    tau_0: 5e-4,
    alpha: 3e-3,
    tau_1: 6.4e-3,
};
const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};

/// All programs by name.
pub(crate) fn all() -> Vec<(&'static str, Program)> {
    let plain = Shape {
        sizes: &[1, 1, 1],
        ticks: 12,
        convention: preset("eventprop"),
        synapse: true,
        per_neuron: false,
        leak: 0.0,
        bias: false,
        loss: FIRST_SPIKE,
        rule: ADAM,
        record: false,
    };
    let cuba = Shape {
        sizes: &[3, 13, 7],
        convention: Convention {
            reset: Reset::Subtract,
            // Training needs both.
            first_tick: 1,
            delay: 1,
            ..preset("euler")
        },
        per_neuron: true,
        bias: true,
        loss: FIRST_SPIKE_SECONDS,
        rule: Rule::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        ..plain.clone()
    };
    let lif = Shape {
        sizes: &[2, 33, 1],
        ticks: 5,
        convention: Convention {
            integrator: Integrator::Euler,
            threshold: Threshold::Inclusive,
            ..preset("eventprop")
        },
        synapse: false,
        per_neuron: true,
        leak: 0.2,
        bias: true,
        ..plain.clone()
    };
    let single = Shape {
        sizes: &[1, 1, 3],
        ticks: 2,
        convention: Convention {
            reset: Reset::Subtract,
            spike: SpikeShape::Held,
            ..preset("eventprop")
        },
        bias: true,
        rule: Rule::Sgd {
            momentum: 0.0,
            nesterov: false,
        },
        ..plain.clone()
    };
    let given = Shape {
        sizes: &[4, 33, 17],
        convention: Convention {
            order: Order::Simultaneous,
            ..preset("eventprop")
        },
        leak: 0.1,
        loss: Loss::Given,
        record: true,
        ..plain
    };
    vec![
        ("yin-yang", yin_yang()),
        ("cuba", cuba.program()),
        ("lif", lif.program()),
        ("single", single.program()),
        ("given", given.program()),
        ("synapses", synapses()),
    ]
}

/// The processes of each PE that has handlers.
pub(crate) fn groups(program: &Program) -> Vec<Vec<Proc>> {
    let (optimisers, network): (Vec<Proc>, Vec<Proc>) = program
        .processes
        .keys()
        .partition(|&proc| matches!(program.processes[proc].role, Role::Optimiser(_)));
    let mut groups: Vec<Vec<Proc>> = network.into_iter().map(|proc| vec![proc]).collect();
    groups.push(optimisers);
    groups.retain(|group| !group.is_empty());
    groups
}

/// A population that convolutions, a list and a matrix lead to, synapse by synapse.
fn synapses() -> Program {
    let mut numbers = Numbers::new(11);
    let line = |places: u32, kernel: u32, lane: u32, weight: u32| {
        Axis::new((0..places).map(|place| {
            let reached = (0..kernel).filter(|k| (1..=places).contains(&(place + k)));
            let taps = reached.map(|k| Tap {
                lane: (place + k - 1) * lane,
                weight: (kernel - 1 - k) * weight,
            });
            taps.collect()
        }))
    };
    let mut list = |places: usize| {
        Axis::new((0..places).map(|place| {
            let tap = |_| Tap {
                lane: numbers.below(18),
                weight: numbers.below(20),
            };
            (0..1 + place % 4).map(tap).collect()
        }))
    };
    let connections = [
        vec![line(6, 3, 6, 3), line(6, 3, 1, 1)],
        vec![list(9)],
        vec![line(2, 2, 18, 9), list(3)],
        vec![line(30, 20, 1, 2)],
    ];
    let mut program = Program {
        name: "synapses".to_owned(),
        ticks: 5,
        dt: 1e-3,
        first_tick: 1,
        window: None,
        replicas: 1,
        tensors: PrimaryMap::new(),
        processes: PrimaryMap::new(),
        channels: PrimaryMap::new(),
    };
    let process = |name: &str, role, lanes| Process {
        name: name.to_owned(),
        role,
        lanes,
        coefs: PrimaryMap::new(),
        arrays: PrimaryMap::new(),
        output: Output::Spikes,
        tape: None,
        handlers: Vec::new(),
    };
    let mut population = process("population", Role::Neurons, 36);
    let to = Proc::new(connections.len());
    for name in ["x", "y"] {
        population.arrays.push(ArrayDecl {
            name: name.to_owned(),
            kind: ArrayKind::State { init: 0.0 },
        });
    }
    for (index, axes) in connections.into_iter().enumerate() {
        let connection = Connection::Taps(axes);
        let sources = connection.sources().expect("small axes");
        let from =
            program
                .processes
                .push(process(&format!("source{index}"), Role::Source, sources));
        let weights = connection.largest().map_or(0, |(_, weight)| weight) as usize + 1;
        let tensor = program.tensors.push(TensorDecl {
            name: format!("w{index}"),
            rows: 1,
            lanes: weights,
            values: Numbers::new(12).floats(weights, 1.0, 2.0),
            trainable: false,
        });
        let chan = program.channels.push(Channel {
            from,
            to,
            delay: 1,
            delays: None,
            connection,
            bound: None,
        });
        let weights = population.arrays.push(ArrayDecl {
            name: format!("w{index}"),
            kind: ArrayKind::Param(tensor),
        });
        population.handlers.push(Handler {
            kind: HandlerKind::Event(chan),
            domain: Domain::Synapses,
            body: synapse(weights, index % 2 == 1),
        });
    }
    program.processes.push(population);
    nirc_ir::verify::verify(&program).unwrap_or_else(|problems| panic!("{problems}"));
    program
}

/// `x += w`, and if it is `long` more, with subroutines.
fn synapse(weights: Array, long: bool) -> Body {
    let [x, y] = [0, 1].map(Array::new);
    let mut body = Body::default();
    let before = body.push(Op::Load(x));
    let weight = body.push(Op::LoadRow(weights, Row::Synapse));
    let mut sum = body.push(Op::Binary(Binary::Add, before, weight));
    if long {
        let other = body.push(Op::Load(y));
        let power = body.push(Op::Unary(Unary::Exp, other));
        sum = body.push(Op::Fma(weight, power, before));
        let less = body.push(Op::Binary(Binary::Sub, other, weight));
        body.stmts.push(Stmt::Store(y, less));
    }
    body.stmts.push(Stmt::Store(x, sum));
    body
}

fn preset(name: &str) -> Convention {
    Convention::preset(name).expect("a preset")
}

/// The training program of the example.
fn yin_yang() -> Program {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/yin-yang/model.nir");
    let (file, _) = nir::read(&path).expect("the example is readable");
    let import = ImportOptions {
        convention: preset("eventprop"),
        dt: Some(1e-3),
        name: "yin_yang".to_owned(),
        graded: BTreeSet::new(),
    };
    let (mut network, _) = nir::import(&file, &import).expect("the example is importable");
    canonicalise(&mut network).expect("it is made of synapses");
    let options = options(27, FIRST_SPIKE, ADAM, Vec::new());
    lower(&network, &options).expect("the example can be lowered")
}

fn options(ticks: u32, loss: Loss, rule: Rule, record: Vec<Record>) -> Options {
    Options {
        events: None,
        ticks,
        batch: 4,
        replicas: 2,
        // Tapes that a random state fills up.
        spike_bound: Some(40),
        loss: Some(loss),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 6.5e-7,
            schedule: Schedule::Exponential { factor: 0.9998 },
            ..Optimiser::new(rule, 1.9e-3)
        }),
        record,
    }
}

/// What a network looks like.
#[derive(Clone)]
struct Shape {
    sizes: &'static [usize],
    ticks: u32,
    convention: Convention,
    synapse: bool,
    per_neuron: bool,
    leak: f64,
    bias: bool,
    loss: Loss,
    rule: Rule,
    record: bool,
}

impl Shape {
    fn program(&self) -> Program {
        let traces = Quantity::ALL.iter().filter(|_| self.record);
        let record = |&quantity| Record {
            population: "pop1".to_owned(),
            quantity,
        };
        let options = options(
            self.ticks,
            self.loss,
            self.rule,
            traces.map(record).collect(),
        );
        lower(&self.network(), &options).unwrap_or_else(|problems| panic!("{problems}"))
    }

    fn network(&self) -> Network {
        let mut numbers = Numbers::new(7);
        let populations = self.sizes.iter().enumerate().map(|(index, &size)| {
            Population::vector(
                format!("pop{index}"),
                size,
                match index {
                    0 => PopulationKind::Source,
                    _ => PopulationKind::Neurons(self.neuron(size)),
                },
            )
        });
        let projections = self
            .sizes
            .windows(2)
            .enumerate()
            .map(|(index, pair)| Projection {
                name: format!("fc{index}"),
                pre: Pop::new(index),
                post: Pop::new(index + 1),
                bias: self.bias.then(|| numbers.floats(pair[1], 0.01, 0.01)),
                delay: 1,
                delays: None,
                trainable: true,
                factor: 1.0,
                bias_run: 1,
                link: Link::Dense(numbers.floats(pair[0] * pair[1], 1.0, 2.0)),
            });
        Network {
            name: "test".to_owned(),
            dt: 1e-3,
            convention: self.convention.clone(),
            populations: populations.collect::<PrimaryMap<_, _>>(),
            projections: projections.collect::<PrimaryMap<_, _>>(),
            outputs: vec![Port {
                name: "output".to_owned(),
                population: Pop::new(self.sizes.len() - 1),
            }],
        }
    }

    fn neuron(&self, size: usize) -> Neuron {
        let parameter = |value: f64| {
            if self.per_neuron {
                let values = (0..size).map(|n| value * (1.0 + 0.01 * n as f64));
                Parameter::from_values(values.collect())
            } else {
                Parameter::Uniform(value)
            }
        };
        Neuron {
            membrane: Membrane::Leaky {
                tau: parameter(0.02),
                r: Parameter::Uniform(1.0),
                v_leak: Parameter::Uniform(self.leak),
            },
            synapse: self.synapse.then(|| Synapse {
                tau_syn: parameter(0.005),
                w_in: parameter(5.0),
            }),
            firing: Some(Firing {
                threshold: parameter(1.0),
                v_reset: Parameter::Uniform(0.0),
            }),
        }
    }
}

//! Networks to compile, and numbers to feed them.

use std::num::NonZeroU32;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Clip, Loss, Optimiser, Options, Quantity, Record, Rule, Schedule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Program;
use nirc_ir::executor::InputSpike;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Reset, Synapse,
};
use nirc_ir::text::{Externals, parse_program};
use nirc_ir::verify::verify;

/// Numbers that look random and are always the same.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn bits(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.bits() as usize % limit
    }

    /// From -1 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.bits() as f32 / 2f32.powi(31) - 1.0
    }

    pub(crate) fn floats(&mut self, count: usize, mean: f32, spread: f32) -> Vec<f32> {
        (0..count).map(|_| mean + spread * self.unit()).collect()
    }
}

/// What a test network looks like.
#[derive(Clone)]
pub(crate) struct Shape {
    pub sizes: Vec<usize>,
    pub ticks: u32,
    pub batch: usize,
    pub replicas: usize,
    pub heterogeneous: bool,
    pub reset: Reset,
    pub bias: bool,
    pub lif: bool,
    pub loss: Loss,
    pub optimiser: Optimiser,
    pub traces: bool,
}

impl Shape {
    pub(crate) fn of(sizes: &[usize]) -> Self {
        Self {
            sizes: sizes.to_vec(),
            ticks: 27,
            batch: 4,
            replicas: 2,
            heterogeneous: false,
            reset: Reset::ToValue,
            bias: false,
            lif: false,
            loss: FIRST_SPIKE,
            optimiser: decaying(ADAM),
            traces: false,
        }
    }

    pub(crate) fn program(&self) -> Program {
        lower(&self.network(), &self.options()).expect("the network can be lowered")
    }

    fn options(&self) -> Options {
        let record = |quantity| Record {
            population: "pop1".to_owned(),
            quantity,
        };
        let quantities = Quantity::ALL.iter().filter(|_| self.traces && !self.lif);
        Options {
            ticks: self.ticks,
            batch: self.batch,
            replicas: self.replicas,
            spike_bound: None,
            loss: Some(self.loss),
            adjoint: true,
            regularise: Vec::new(),
            optimiser: Some(self.optimiser),
            record: quantities.map(|&q| record(q)).collect(),
            events: None,
        }
    }

    fn network(&self) -> Network {
        let mut numbers = Numbers::new(7);
        let mut convention = Convention::preset("eventprop").expect("there is such a preset");
        convention.reset = self.reset;
        let mut populations = PrimaryMap::new();
        let mut projections = PrimaryMap::new();
        for (index, &size) in self.sizes.iter().enumerate() {
            let kind = if index == 0 {
                PopulationKind::Source
            } else {
                PopulationKind::Neurons(self.neuron(size, &mut numbers))
            };
            populations.push(Population::vector(format!("pop{index}"), size, kind));
            if index > 0 {
                let before = self.sizes[index - 1];
                let scale = 3.2 / (before as f32).sqrt();
                projections.push(Projection {
                    name: format!("fc{index}"),
                    pre: Pop::new(index - 1),
                    post: Pop::new(index),
                    bias: self.bias.then(|| numbers.floats(size, 0.01, 0.01)),
                    delay: 1,
                    delays: None,
                    trainable: true,
                    factor: 1.0,
                    bias_run: 1,
                    link: Link::Dense(numbers.floats(before * size, scale, 1.5 * scale)),
                });
            }
        }
        Network {
            name: "test".to_owned(),
            dt: 1e-3,
            convention,
            populations,
            projections,
            outputs: vec![Port {
                name: "output".to_owned(),
                population: Pop::new(self.sizes.len() - 1),
            }],
        }
    }

    fn neuron(&self, size: usize, numbers: &mut Numbers) -> Neuron {
        let mut parameter = |value: f64| {
            if !self.heterogeneous {
                return Parameter::Uniform(value);
            }
            let factors = numbers.floats(size, 1.0, 0.2);
            Parameter::PerNeuron(factors.iter().map(|f| value * f64::from(*f)).collect())
        };
        Neuron {
            membrane: Membrane::Leaky {
                tau: parameter(20e-3),
                r: parameter(1.0),
                v_leak: if self.heterogeneous {
                    parameter(0.05)
                } else {
                    Parameter::Uniform(0.0)
                },
            },
            synapse: (!self.lif).then(|| Synapse {
                tau_syn: parameter(5e-3),
                w_in: parameter(5.0),
            }),
            firing: Some(Firing {
                threshold: parameter(1.0),
                v_reset: Parameter::Uniform(0.0),
            }),
        }
    }
}

pub(crate) const FIRST_SPIKE: Loss = Loss::FirstSpike {
    xi: 1.5,
    alpha: 1e-2,
    beta: 100.0,
};

pub(crate) const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};

/// Input spikes of a sample: a few a channel, in order.
pub(crate) fn spikes(numbers: &mut Numbers, channels: usize, ticks: u32) -> Vec<InputSpike> {
    let mut spikes: Vec<InputSpike> = (0..3 * channels)
        .map(|_| InputSpike {
            tick: numbers.below(ticks as usize) as u32,
            channel: numbers.below(channels) as u32,
        })
        .collect();
    spikes.sort_unstable();
    spikes.dedup();
    spikes
}

/// A rule at a rate that decays, with some weight decay.
fn decaying(rule: Rule) -> Optimiser {
    Optimiser {
        weight_decay: 6.5e-7,
        schedule: Schedule::Exponential { factor: 0.9998 },
        ..Optimiser::new(rule, 1.9e-3)
    }
}

/// Programs of all sorts, by name.
pub(crate) fn all() -> Vec<(&'static str, Program)> {
    let yin_yang = Shape::of(&[5, 120, 3]);
    let deep = Shape {
        ticks: 12,
        traces: true,
        bias: true,
        ..Shape::of(&[7, 33, 18, 4])
    };
    let odd = Shape {
        heterogeneous: true,
        traces: true,
        ticks: 9,
        loss: Loss::FirstSpikeSeconds {
            tau_0: 5e-4,
            alpha: 3e-3,
            tau_1: 6.4e-3,
        },
        ..Shape::of(&[3, 21, 2])
    };
    let lif = Shape {
        lif: true,
        bias: true,
        reset: Reset::Subtract,
        ticks: 2,
        optimiser: decaying(Rule::Sgd {
            momentum: 0.0,
            nesterov: false,
        }),
        ..Shape::of(&[1, 1, 1])
    };
    let given = Shape {
        loss: Loss::Given,
        reset: Reset::Subtract,
        ticks: 20,
        ..Shape::of(&[4, 40, 17])
    };
    let clipped = Shape {
        optimiser: Optimiser {
            warm_up: NonZeroU32::new(3),
            schedule: Schedule::Cosine {
                batches: NonZeroU32::MIN.saturating_add(6),
                last: 1e-4,
            },
            clip: Some(Clip::Norm(0.5)),
            ..decaying(Rule::AdamW {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            })
        },
        bias: true,
        ..Shape::of(&[4, 19, 3])
    };
    let momentum = Shape {
        optimiser: Optimiser {
            schedule: Schedule::Step {
                batches: NonZeroU32::MIN,
                factor: 0.5,
            },
            clip: Some(Clip::Value(0.25)),
            ..decaying(Rule::Sgd {
                momentum: 0.9,
                nesterov: true,
            })
        },
        ..Shape::of(&[3, 17, 2])
    };
    let adamax = Shape {
        optimiser: decaying(Rule::AdaMax {
            beta1: 0.4,
            beta2: 0.999,
            epsilon: 1e-8,
        }),
        ..Shape::of(&[2, 9, 2])
    };
    vec![
        ("yin-yang", yin_yang.program()),
        ("deep", deep.program()),
        ("heterogeneous", odd.program()),
        ("lif", lif.program()),
        ("given", given.program()),
        ("general", general()),
        ("clipped", clipped.program()),
        ("momentum", momentum.program()),
        ("adamax", adamax.program()),
    ]
}

/// What no network of feed-forward layers has: shared weights, values, cycles, delays, neurons from bin 0 on.
fn general() -> Program {
    let program = parse_program(include_str!("general.nirp"), &Externals::new());
    let program = program.unwrap_or_else(|e| panic!("{e}"));
    verify(&program).unwrap_or_else(|e| panic!("{e}"));
    program
}

/// The processes of each PE.
pub(crate) fn groups(program: &Program) -> Vec<Vec<nirc_ir::event::Proc>> {
    use nirc_ir::event::Role;
    let (optimisers, network): (Vec<_>, Vec<_>) = program
        .processes
        .keys()
        .partition(|&p| matches!(program.processes[p].role, Role::Optimiser(_)));
    let mut groups: Vec<Vec<_>> = network.into_iter().map(|p| vec![p]).collect();
    if !optimisers.is_empty() {
        groups.push(optimisers);
    }
    groups
}

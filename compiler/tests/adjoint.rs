//! The derived adjoint against the exact solution of the differential equations.
//!
//! At a fine tick the gradient of a spike time must come close to the finite difference of the exact
//! spike time, for every neuron, integrator, order and reset. The exact solution here is closed form
//! and bisection in `f64`, and knows nothing of event programs.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{HandlerKind, Op, Program, Stmt};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Firing, Integrator, Link, Membrane, Network, Neuron, Order, Parameter, Pop,
    Population, PopulationKind, Port, Projection, Reset, SpikeShape, Synapse,
};

const DT: f64 = 1e-5;
const TICKS: u32 = 3000;

/// One neuron's constants; with an infinite `tau_mem` it integrates.
#[derive(Clone, Copy)]
struct Cell {
    tau_mem: f64,
    tau_syn: Option<f64>,
    r: f64,
    leak: f64,
    bias: f64,
    threshold: f64,
    v_reset: f64,
    reset: Reset,
}

impl Cell {
    /// Exact spike times for kicks of the driven state by `jump`, as (time, jump), ascending.
    fn spikes(&self, kicks: &[(f64, f64)], end: f64) -> Vec<f64> {
        let mut spikes = Vec::new();
        let (mut t, mut i, mut v) = (0.0, 0.0, 0.0);
        let mut kicks = kicks.to_vec();
        kicks.push((end, 0.0));
        for (at, jump) in kicks {
            while t < at {
                match self.crossing(i, v, at - t) {
                    Some(d) => {
                        (i, v) = self.flow(i, v, d);
                        t += d;
                        spikes.push(t);
                        v = match self.reset {
                            Reset::ToValue => self.v_reset,
                            Reset::Subtract => v - self.threshold,
                            Reset::ToZero | Reset::None => unreachable!("not of these tests"),
                        };
                    }
                    None => {
                        (i, v) = self.flow(i, v, at - t);
                        t = at;
                    }
                }
            }
            if self.tau_syn.is_some() {
                i += jump;
            } else {
                v += jump;
            }
        }
        spikes
    }

    /// State after `d` seconds without input.
    fn flow(&self, i: f64, v: f64, d: f64) -> (f64, f64) {
        let m = (-d / self.tau_mem).exp();
        match self.tau_syn {
            None => {
                let rest = self.leak + self.r * self.bias;
                (0.0, rest + (v - rest) * m)
            }
            Some(tau_syn) => {
                // I = B + (i - B) e^(-t/tau_s), with the bias' constant current B.
                let s = (-d / tau_syn).exp();
                if self.tau_mem.is_infinite() {
                    // Without leak and bias.
                    return (i * s, v + self.r * i * tau_syn * (1.0 - s));
                }
                let rest = self.leak + self.r * self.bias;
                let k = tau_syn / (tau_syn - self.tau_mem);
                let transient = self.r * (i - self.bias) * k * (s - m);
                (
                    self.bias + (i - self.bias) * s,
                    rest + (v - rest) * m + transient,
                )
            }
        }
    }

    /// First time within `d` at which the voltage reaches the threshold from below.
    fn crossing(&self, i: f64, v: f64, d: f64) -> Option<f64> {
        let steps = 4000;
        let above = |x: f64| self.flow(i, v, x).1 >= self.threshold;
        let mut low = 0.0;
        for k in 1..=steps {
            let mut high = d * f64::from(k) / f64::from(steps);
            if above(high) {
                for _ in 0..100 {
                    let middle = 0.5 * (low + high);
                    if above(middle) {
                        high = middle;
                    } else {
                        low = middle;
                    }
                }
                return Some(high);
            }
            low = high;
        }
        None
    }
}

/// A chain input[2] -> first[1] -> second[1] of equal neurons.
fn network(cell: &Cell, convention: &Convention, w: [f32; 3]) -> Network {
    let neuron = || {
        PopulationKind::Neurons(Neuron {
            membrane: if cell.tau_mem.is_infinite() {
                Membrane::Integrator {
                    r: Parameter::Uniform(cell.r),
                }
            } else {
                Membrane::Leaky {
                    tau: Parameter::Uniform(cell.tau_mem),
                    r: Parameter::Uniform(cell.r),
                    v_leak: Parameter::Uniform(cell.leak),
                }
            },
            // Chosen so that a spike of weight 1 is a kick of 1.
            synapse: cell.tau_syn.map(|tau| Synapse {
                tau_syn: Parameter::Uniform(tau),
                w_in: Parameter::Uniform(tau / DT),
            }),
            firing: Some(Firing {
                threshold: Parameter::Uniform(cell.threshold),
                v_reset: Parameter::Uniform(cell.v_reset),
            }),
        })
    };
    let population = |name: &str, size, kind| Population::vector(name, size, kind);
    // A bias is constant input; the gain that turns a spike into a kick applies to it as well.
    let unit = match cell.tau_syn {
        Some(tau) => DT / tau,
        None => 1.0,
    };
    let projection = |name: &str, pre: usize, weights: Vec<f32>| Projection {
        name: name.to_owned(),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias: Some(vec![(cell.bias * unit) as f32]),
        delay: 1,
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
        link: Link::Dense(weights),
    };
    Network {
        name: "chain".to_owned(),
        dt: DT,
        convention: Convention {
            reset: cell.reset,
            ..convention.clone()
        },
        populations: PrimaryMap::from_iter([
            population("input", 2, PopulationKind::Source),
            population("first", 1, neuron()),
            population("second", 1, neuron()),
        ]),
        projections: PrimaryMap::from_iter([
            projection("fc1", 0, vec![w[0], w[1]]),
            projection("fc2", 1, vec![w[2]]),
        ]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

const INPUT: [f64; 2] = [2e-3, 4e-3];

/// Exact time of the second neuron's spike number `which`.
fn exact(cell: &Cell, w: [f64; 3], which: usize) -> f64 {
    let end = f64::from(TICKS) * DT;
    let kick = |w: f64| match cell.tau_syn {
        Some(_) => w,
        None => w * cell.r * DT / cell.tau_mem,
    };
    let first = cell.spikes(&[(INPUT[0], kick(w[0])), (INPUT[1], kick(w[1]))], end);
    let kicks: Vec<(f64, f64)> = first.iter().map(|t| (*t, kick(w[2]))).collect();
    cell.spikes(&kicks, end)[which]
}

/// Gradient of that time in seconds by fc1[0], fc1[1], fc2, from the program.
fn derived(cell: &Cell, convention: &Convention, w: [f32; 3], which: usize) -> [f64; 3] {
    let options = Options {
        ticks: TICKS,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(Loss::Given),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: None,
        record: Vec::new(),
        events: None,
    };
    let program = lower(&network(cell, convention, w), &options).expect("lowers");
    let spikes = [0, 1].map(|channel: u32| InputSpike {
        tick: (INPUT[channel as usize] / DT).round() as u32,
        channel,
    });
    let mut error = vec![0.0; TICKS as usize];
    let mut interpreter = Interpreter::new(&program);
    let run = |interpreter: &mut Interpreter, error: &[f32]| {
        let sample = Sample {
            times: &[],
            spikes: &spikes,
            label: 0,
            error,
            values: &[],
        };
        interpreter
            .run(Pass::Gradient, &[sample], &mut Vec::new())
            .expect("runs");
    };
    run(&mut interpreter, &error);
    let second = program.process("second").expect("a process");
    let spikes_out = interpreter.spikes(0, second).expect("spikes");
    error[spikes_out[which].tick as usize] = 1.0;
    run(&mut interpreter, &error);
    let read = |process: &str, array: &str| {
        let proc = program.process(process).expect(process);
        let array = program.processes[proc].array(array).expect(array);
        interpreter.read(0, proc, array).expect("readable")
    };
    let fc1 = read("first", "fc1.weight.gradient");
    let fc2 = read("second", "fc2.weight.gradient");
    [fc1[0], fc1[1], fc2[0]].map(f64::from)
}

fn conventions() -> Vec<Convention> {
    let preset = Convention::preset("eventprop").expect("a preset");
    let mut all = Vec::new();
    for integrator in [Integrator::Exponential, Integrator::Euler] {
        for order in [Order::CurrentFirst, Order::Simultaneous] {
            for spike in [SpikeShape::Impulse, SpikeShape::Held] {
                all.push(Convention {
                    integrator,
                    order,
                    spike,
                    ..preset.clone()
                });
            }
        }
    }
    let changed = |name: &str, attribute: &str, value: &str| {
        let mut convention = Convention::preset(name).expect("a preset");
        convention.set(attribute, value).expect("an attribute");
        convention
    };
    all.extend([
        changed("nir", "reset", "to_value"),
        changed("euler", "update", "increment"),
        changed("euler", "synapse_input", "before_decay"),
    ]);
    all
}

fn check(cell: &Cell, w: [f64; 3], which: usize) {
    for convention in conventions() {
        let got = derived(cell, &convention, w.map(|w| w as f32), which);
        for k in 0..3 {
            let step = 1e-4 * w[k].abs();
            let moved = |by: f64| {
                let mut w = w;
                w[k] += by;
                exact(cell, w, which)
            };
            let expected = (moved(step) - moved(-step)) / (2.0 * step);
            let error = (got[k] - expected).abs() / expected.abs();
            assert!(
                error < 0.03,
                "weight {k}, spike {which}, {convention:?}: derived {:e}, exact {expected:e}",
                got[k]
            );
        }
    }
}

const CUBA: Cell = Cell {
    tau_mem: 0.02,
    tau_syn: Some(0.005),
    r: 1.0,
    leak: 0.0,
    bias: 0.0,
    threshold: 1.0,
    v_reset: 0.0,
    reset: Reset::ToValue,
};

#[test]
fn cuba_lif_first_and_second_spike() {
    for reset in [Reset::ToValue, Reset::Subtract] {
        let cell = Cell { reset, ..CUBA };
        check(&cell, [6.0, 8.0, 9.0], 0);
        check(&cell, [6.0, 12.0, 15.0], 1);
    }
}

#[test]
fn cuba_lif_with_resistance_leak_and_reset_voltage() {
    for reset in [Reset::ToValue, Reset::Subtract] {
        let cell = Cell {
            reset,
            r: 1.7,
            leak: 0.2,
            threshold: 0.9,
            v_reset: -0.3,
            ..CUBA
        };
        check(&cell, [5.0, 6.0, 7.0], 0);
        check(&cell, [5.0, 9.0, 12.0], 1);
    }
}

#[test]
fn an_integrator_behind_a_synapse() {
    for reset in [Reset::ToValue, Reset::Subtract] {
        let cell = Cell {
            tau_mem: f64::INFINITY,
            r: 50.0,
            v_reset: -0.1,
            reset,
            ..CUBA
        };
        check(&cell, [2.5, 4.0, 6.0], 0);
        check(&cell, [5.0, 6.0, 6.5], 1);
    }
}

#[test]
fn lif_driven_by_a_leak_and_kicked_by_spikes() {
    for reset in [Reset::ToValue, Reset::Subtract] {
        let cell = Cell {
            tau_mem: 0.01,
            tau_syn: None,
            r: 2.0,
            leak: 0.5,
            bias: 0.6,
            v_reset: 0.1,
            reset,
            ..CUBA
        };
        let scale = cell.tau_mem / (cell.r * DT);
        check(&cell, [0.2 * scale, 0.1 * scale, 0.15 * scale], 0);
        // Inhibition: a kick that itself crosses the threshold has no gradient in this model.
        check(&cell, [0.2 * scale, -0.1 * scale, -0.1 * scale], 1);
    }
}

/// The handlers of the published scheme, operation for operation.
#[test]
fn eventprop_comes_out_as_published() {
    let cell = Cell { bias: 0.0, ..CUBA };
    let convention = Convention::preset("eventprop").expect("a preset");
    let mut network = network(&cell, &convention, [1.0; 3]);
    for projection in network.projections.values_mut() {
        projection.bias = None;
    }
    let options = Options {
        ticks: 10,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(Loss::Given),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: None,
        record: Vec::new(),
        events: None,
    };
    let program = lower(&network, &options).expect("lowers");
    let operations = |kind| operations(&program, "second", kind);
    assert_eq!(
        operations(HandlerKind::AdjointTick),
        [
            "load lambda_i",
            "load lambda_v",
            "coef a",
            "mul",
            "coef 1 - decay of i",
            "mul",
            "add",
            "coef b",
            "mul"
        ]
    );
    assert_eq!(
        operations(HandlerKind::Spike),
        [
            "load lambda_v.before",
            "payload",
            "add",
            "field",
            "coef guard",
            "add",
            "div",
            "load lambda_v",
            "add"
        ]
    );
    let chan = program.channels.keys().nth(1).expect("the second channel");
    assert_eq!(
        operations(HandlerKind::Message(chan)),
        ["load lambda_v", "load lambda_i", "sub", "row fc2.weight"]
    );
    assert_eq!(
        operations(HandlerKind::Gradient(chan)),
        [
            "row fc2.weight.gradient",
            "coef tau_i",
            "load lambda_i",
            "mul",
            "sub"
        ]
    );
}

fn operations(program: &Program, process: &str, kind: HandlerKind) -> Vec<String> {
    let proc = program.process(process).expect(process);
    let process = &program.processes[proc];
    let name = |array| process.arrays[array].name.as_str();
    let handler = process.handler(kind).expect("the handler");
    handler
        .body
        .stmts
        .iter()
        .filter_map(|stmt| match stmt {
            Stmt::Let(_, op) => Some(match op {
                Op::Load(array) => format!("load {}", name(*array)),
                Op::LoadRow(array, _) => format!("row {}", name(*array)),
                Op::Coef(coef) => {
                    let coef = &process.coefs[*coef];
                    if coef.name.starts_with("rest") {
                        format!("coef {}", coef.formula)
                    } else {
                        format!("coef {}", coef.name)
                    }
                }
                Op::Field(_) => "field".to_owned(),
                Op::Payload => "payload".to_owned(),
                Op::Binary(op, ..) => format!("{op:?}").to_lowercase(),
                other => format!("{other:?}"),
            }),
            _ => None,
        })
        .collect()
}

//! Random networks, samples, and what a program in `f64` says of them.

use std::collections::BTreeMap;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options};
use nirc_ir::connection::Axis;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, Chan, Proc, Program, Role, Tensor};
use nirc_ir::executor::{InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::math::real::Real;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Reset, Synapse,
};

pub(crate) const DT: f64 = 1e-3;
pub(crate) const TICKS: u32 = 60;

/// Numbers that look random, the same everywhere (PCG).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let x = ((self.0 >> 18) ^ self.0) >> 27;
        let x = (x as u32).rotate_right((self.0 >> 59) as u32);
        (f64::from(x) + 0.5) / 2f64.powi(32)
    }

    pub(crate) fn normal(&mut self, mean: f64, deviation: f64) -> f64 {
        let (r, angle) = (self.unit(), self.unit());
        mean + deviation * (-2.0 * r.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

/// What the neurons are.
#[derive(Clone, Debug)]
pub(crate) struct Cell {
    /// Milliseconds; `None` for a membrane that integrates.
    pub(crate) tau_mem: Option<f64>,
    pub(crate) tau_syn: f64,
    /// Without a synapse spikes move the voltage at once.
    pub(crate) synapse: bool,
    pub(crate) leak: f64,
    pub(crate) r: f64,
    pub(crate) v_reset: f64,
    pub(crate) reset: Reset,
}

impl Cell {
    pub(crate) fn new(tau_mem: f64, tau_syn: f64) -> Self {
        Self {
            tau_mem: Some(tau_mem),
            tau_syn,
            synapse: true,
            leak: 0.0,
            r: 1.0,
            v_reset: 0.0,
            reset: Reset::ToValue,
        }
    }

    /// The weights' factor by which an input moves the voltage as far, at its peak, as it does with 20 and 5 ms; less
    /// where currents outlast the membrane, and make neurons spike again and again.
    pub(crate) fn scale(&self) -> f64 {
        let tau_mem = self.tau_mem.unwrap_or(f64::INFINITY);
        let (m, s) = (1.0 / tau_mem, 1.0 / self.tau_syn);
        let height = |t: f64| match m == s {
            true => t * m * (-t * m).exp(),
            false => m / (s - m) * ((-t * m).exp() - (-t * s).exp()),
        };
        match self.tau_mem {
            _ if !self.synapse => 0.157,
            None => 0.157 * 1e3 / (self.r * self.tau_syn),
            Some(_) => {
                (tau_mem / self.tau_syn).min(1.0).sqrt() * 0.157
                    / (0..1000)
                        .map(|t| height(0.1 * f64::from(t)))
                        .fold(0.0, f64::max)
            }
        }
    }

    pub(crate) fn neuron(&self) -> Neuron {
        let uniform = Parameter::Uniform;
        let membrane = match self.tau_mem {
            Some(tau) => Membrane::Leaky {
                tau: uniform(tau * 1e-3),
                r: uniform(self.r),
                v_leak: uniform(self.leak),
            },
            None => Membrane::Integrator { r: uniform(self.r) },
        };
        Neuron {
            membrane,
            synapse: self.synapse.then(|| Synapse {
                tau_syn: uniform(self.tau_syn * 1e-3),
                w_in: uniform(1.0),
            }),
            firing: Some(Firing {
                threshold: uniform(1.0),
                v_reset: uniform(self.v_reset),
            }),
        }
    }
}

/// A projection of a network to be.
pub(crate) struct Edge {
    pub(crate) pre: usize,
    pub(crate) post: usize,
    pub(crate) delay: u32,
    pub(crate) weights: Vec<f32>,
    pub(crate) bias: Option<Vec<f32>>,
    /// Axes, where it is no dense one.
    pub(crate) axes: Option<Vec<Axis>>,
}

/// Population 0 is the input.
pub(crate) fn network(sizes: &[usize], cell: &Cell, edges: Vec<Edge>) -> Network {
    let mut edges = edges;
    edges.sort_by_key(|edge| (edge.post, edge.pre));
    let convention = Convention {
        reset: cell.reset,
        ..Convention::preset("event").expect("a preset")
    };
    let populations = sizes.iter().enumerate().map(|(k, size)| match k {
        0 => Population::vector("input", *size, PopulationKind::Source),
        _ => Population::vector(
            format!("layer{k}"),
            *size,
            PopulationKind::Neurons(cell.neuron()),
        ),
    });
    let projections = edges.into_iter().enumerate().map(|(k, edge)| Projection {
        name: format!("fc{k}"),
        pre: Pop::new(edge.pre),
        post: Pop::new(edge.post),
        link: match edge.axes {
            None => Link::Dense(edge.weights),
            Some(axes) => Link::Taps {
                axes,
                weights: edge.weights,
            },
        },
        bias: edge.bias,
        delay: edge.delay,
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
    });
    Network {
        name: "net".to_owned(),
        dt: DT,
        convention,
        populations: populations.collect::<PrimaryMap<_, _>>(),
        projections: projections.collect::<PrimaryMap<_, _>>(),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(sizes.len() - 1),
        }],
    }
}

pub(crate) fn options() -> Options {
    Options {
        regularise: Vec::new(),
        ticks: TICKS,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 0.02,
            beta: 12.0,
        }),
        adjoint: true,
        optimiser: None,
        record: Vec::new(),
        events: Some(ExactTimes {
            guard: 0.0,
            input_errors: true,
        }),
    }
}

pub(crate) fn program(network: &Network) -> Program {
    lower(network, &options()).unwrap_or_else(|e| panic!("{e}"))
}

/// The numbers that a network's loss is a function of.
#[derive(Clone)]
pub(crate) struct Point {
    pub(crate) tensors: Vec<Vec<f64>>,
    pub(crate) times: Vec<f64>,
    pub(crate) channels: Vec<u32>,
    pub(crate) label: u32,
}

impl Point {
    /// A random sample with the program's own weights.
    pub(crate) fn new(program: &Program, random: &mut Random) -> Self {
        let inputs = program.processes[Proc::new(0)].lanes;
        let mut spikes: Vec<(f64, u32)> = (0..inputs)
            .flat_map(|channel| {
                let at = 2.0 + 24.0 * random.unit();
                // Some channels spike twice.
                let again = (channel % 3 == 1).then(|| at + 3.0 + 5.0 * random.unit());
                [Some(at), again]
                    .into_iter()
                    .flatten()
                    .map(move |t| (t, channel as u32))
                    .collect::<Vec<_>>()
            })
            .map(|(t, channel)| (f64::from(t as f32), channel))
            .collect();
        spikes.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
        let tensors = program.tensors.values();
        Self {
            tensors: tensors
                .map(|t| t.values.iter().map(|w| f64::from(*w)).collect())
                .collect(),
            times: spikes.iter().map(|(t, _)| *t).collect(),
            channels: spikes.iter().map(|(_, c)| *c).collect(),
            label: (3.0 * random.unit()) as u32,
        }
    }

    /// Runs it.
    pub(crate) fn run<R: Real>(&self, machine: &mut Interpreter<R>, program: &Program, pass: Pass) {
        for (proc, array, tensor) in parameters(program) {
            let values: Vec<R> = self.tensors[tensor.index()]
                .iter()
                .map(|w| R::from_f64(*w))
                .collect();
            machine.poke(0, proc, array, &values);
        }
        let spikes: Vec<InputSpike> = self
            .times
            .iter()
            .zip(&self.channels)
            .map(|(t, channel)| InputSpike {
                tick: t.floor() as u32,
                channel: *channel,
            })
            .collect();
        let times: Vec<R> = self.times.iter().map(|t| R::from_f64(*t)).collect();
        let sample = Sample {
            spikes: &spikes,
            times: &[],
            values: &[],
            label: self.label,
            error: &[],
        };
        machine.run_at(pass, &sample, &times).expect("it runs");
    }
}

pub(crate) fn parameters(program: &Program) -> Vec<(Proc, nirc_ir::event::Array, Tensor)> {
    let mut found = Vec::new();
    for (id, process) in program.processes.iter() {
        for (array, decl) in process.arrays.iter() {
            if let ArrayKind::Param(tensor) = decl.kind {
                found.push((id, array, tensor));
            }
        }
    }
    found
}

/// The value of the loss.
pub(crate) fn loss<R: Real>(machine: &Interpreter<R>, program: &Program) -> f64 {
    let proc = program.loss().expect("a loss");
    let array = program.processes[proc].array("loss").expect("its value");
    machine.values(0, proc, array)[0].to_f64()
}

/// Gradients by tensor.
pub(crate) fn gradients<R: Real>(
    machine: &Interpreter<R>,
    program: &Program,
) -> BTreeMap<usize, Vec<f64>> {
    let mut found = BTreeMap::new();
    for (id, process) in program.processes.iter() {
        for (array, decl) in process.arrays.iter() {
            if let ArrayKind::Gradient(tensor) = decl.kind {
                let values = machine.values(0, id, array);
                found.insert(tensor.index(), values.iter().map(|g| g.to_f64()).collect());
            }
        }
    }
    found
}

/// For every neuron in which intervals between its arrivals it spikes, and the times.
pub(crate) fn signature<R: Real>(
    machine: &Interpreter<R>,
    program: &Program,
) -> Vec<(usize, u32, usize)> {
    let mut found = Vec::new();
    for (id, process) in program.processes.iter() {
        if process.role != Role::Neurons {
            continue;
        }
        let mut arrivals = Vec::new();
        for (_, channel) in program.incoming(id) {
            let late = channel.delays.map(|d| machine.values(0, id, d.values));
            let late = |lane: u32| late.as_ref().map_or(0.0, |d| d[lane as usize].to_f64());
            let spikes = spikes(machine, channel.from).into_iter();
            arrivals.extend(spikes.map(|(s, t)| t + f64::from(channel.delay) + late(s)));
        }
        for (lane, time) in spikes(machine, id) {
            let before = arrivals.iter().filter(|t| **t < time - 1e-9).count();
            found.push((id.index(), lane, before));
        }
    }
    found.sort_unstable();
    found
}

/// Spikes of a process as (lane, time).
pub(crate) fn spikes<R: Real>(machine: &Interpreter<R>, proc: Proc) -> Vec<(u32, f64)> {
    let spikes = machine.exact_spikes(0, proc).into_iter();
    spikes.map(|(lane, t)| (lane, t.to_f64())).collect()
}

/// The derivative by the times of input spikes: what channels bring back to their producer.
pub(crate) fn by_input_time(
    machine: &Interpreter<f64>,
    program: &Program,
    point: &Point,
) -> Vec<f64> {
    let mut found = vec![0.0; point.times.len()];
    for (chan, channel) in program.channels.iter() {
        if channel.from.index() == 0 {
            for (entry, error) in machine.errors_sent(0, chan) {
                found[*entry] += error;
            }
        }
    }
    found
}

/// The derivative by a channel's delay.
pub(crate) fn by_delay(machine: &Interpreter<f64>, chan: Chan) -> f64 {
    machine.errors_sent(0, chan).iter().map(|(_, e)| e).sum()
}

/// Dense random weights.
pub(crate) fn dense(
    random: &mut Random,
    (pre, post): (usize, usize),
    (mean, deviation): (f64, f64),
    scale: f64,
) -> Vec<f32> {
    let weights = (0..pre * post).map(|_| scale * random.normal(mean, deviation));
    weights.map(|w| w as f32).collect()
}

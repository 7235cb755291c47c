//! What ticks do to a gradient.
//!
//! The same network, samples and loss at exact event times, and in ticks of `dt`, `dt/2`, `dt/5` and `dt/10`: weights are such
//! that a spike moves as much, delays and the loss's times are as long. What is left is the error of ticks: of first order
//! in `dt` where the loss reads voltages, and much more where spikes come and go with the ticks.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options, Score};
use nirc_ir::convention::SpikeShape;
use nirc_ir::entity::Entity;
use nirc_ir::event::{ArrayKind, Program, Role, Tensor};
use nirc_ir::executor::{InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{Link, Network, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics};
use serde::Serialize;

use super::point::tensors;
use super::reads_voltages;
use crate::data::{DataSet, bin};

/// Into how many ticks a bin is divided.
const FACTORS: [u32; 4] = [1, 2, 5, 10];

/// Gradients in ticks beside those at exact event times.
#[derive(Clone, Debug, Serialize)]
pub struct Bias {
    /// Samples of the batch.
    pub samples: usize,
    /// Spikes of neurons a sample, at exact times.
    pub spikes: f64,
    /// Names of the tensors.
    pub tensors: Vec<String>,
    /// Ticks, from long to short.
    pub refined: Vec<Refined>,
}

/// Ticks of one length.
#[derive(Clone, Debug, Serialize)]
pub struct Refined {
    /// Length of a tick in seconds.
    pub dt: f64,
    /// Spikes of neurons a sample.
    pub spikes: f64,
    /// By tensor, the cosine of the angle to the gradient at exact times.
    pub cosine: Vec<f64>,
    /// By tensor, the distance from that gradient over its length.
    pub distance: Vec<f64>,
}

/// Compares the gradients of the first samples of a set; an error says why that cannot be done.
///
/// # Errors
/// What has no counterpart in the other time model.
pub fn bias(
    network: &Network,
    of: &Options,
    set: &DataSet,
    samples: usize,
    progress: &mut dyn FnMut(usize),
) -> Result<Bias, Diagnostics> {
    comparable(network, of)?;
    let samples = set.len().min(samples);
    let exact = Options {
        events: Some(ExactTimes {
            guard: 0.0,
            input_errors: false,
        }),
        ..super::options(of)?
    };
    let reference = gradient(network, &exact, set, samples, 1)?;
    progress(1);
    let mut refined = Vec::new();
    for (k, factor) in FACTORS.into_iter().enumerate() {
        if of.ticks > 65_535 / factor {
            break;
        }
        let ticks = Options {
            ticks: of.ticks * factor,
            loss: of.loss.map(|loss| stretched(loss, f64::from(factor))),
            events: None,
            ..exact.clone()
        };
        let found = gradient(&divided(network, factor), &ticks, set, samples, factor)?;
        refined.push(found.beside(&reference, network.dt / f64::from(factor)));
        progress(k + 2);
    }
    Ok(Bias {
        samples,
        spikes: reference.spikes,
        tensors: reference.names,
        refined,
    })
}

/// Whether the same network can be had in both time models.
fn comparable(network: &Network, of: &Options) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut bad = |place: &str, message: &str| {
        let code = nirc_ir::codes::LOWER_UNSUPPORTED;
        problems.push(Diagnostic::error(code, place, message));
    };
    for (pop, population) in network.populations.iter() {
        let shape = network.convention_of(pop).spike;
        if matches!(population.kind, PopulationKind::Neurons(_)) && shape == SpikeShape::Held {
            let message = "`spike` is held, and what it moves is no multiple of the tick";
            bad(&population.name, message);
        }
    }
    for projection in network.projections.values() {
        if projection.delays.is_some() {
            bad(
                &projection.name,
                "its sources have delays, which are no ticks",
            );
        }
    }
    if let Some(Loss::Voltage { score: Score::Sum }) = of.loss {
        bad("loss.score", "a sum over ticks grows with their number");
    }
    problems.into_result(())
}

/// A loss whose times are as long in shorter bins.
fn stretched(loss: Loss, factor: f64) -> Loss {
    match loss {
        Loss::FirstSpike { xi, alpha, beta } => Loss::FirstSpike {
            xi: xi * factor,
            alpha,
            beta: beta * factor,
        },
        Loss::TargetTimes { hit, miss } => Loss::TargetTimes {
            hit: hit * factor,
            miss: miss * factor,
        },
        Loss::Voltage {
            score: Score::Average { tau },
        } => Loss::Voltage {
            score: Score::Average {
                tau: tau.map(|tau| tau * factor),
            },
        },
        other => other,
    }
}

/// What gradients are multiples of: of squares of shorter bins, and in ticks, where errors are by the bin and time
/// constants in seconds, of seconds a bin.
fn unit(program: &Program, loss: Option<Loss>, factor: f64) -> f64 {
    let square = match loss {
        Some(Loss::TargetTimes { .. }) => factor * factor,
        _ => 1.0,
    };
    let seconds = program.window.is_none() && !reads_voltages(program);
    if seconds { square * program.dt } else { square }
}

/// Factors on weights and biases of a projection, of which there are `factor` times as many ticks.
fn strength(network: &Network, post: nirc_ir::network::Pop, factor: f64) -> (f64, f64) {
    match network.convention_of(post).spike {
        // A pulse of a tick's length is shorter; what is there in each tick is there as long.
        SpikeShape::Impulse => (factor, 1.0),
        _ => (1.0, 1.0 / factor),
    }
}

/// The network in shorter ticks.
fn divided(network: &Network, factor: u32) -> Network {
    let mut divided = network.clone();
    divided.dt = network.dt / f64::from(factor);
    for projection in divided.projections.values_mut() {
        let (weight, bias) = strength(network, projection.post, f64::from(factor));
        projection.delay *= factor;
        let times = |values: &mut [f32], by: f64| {
            for value in values {
                #[expect(clippy::cast_possible_truncation, reason = "a rounding")]
                let scaled = (f64::from(*value) * by) as f32;
                *value = scaled;
            }
        };
        match &mut projection.link {
            Link::Dense(weights) | Link::Taps { weights, .. } => times(weights, weight),
            Link::Path(_) => {}
        }
        times(projection.bias.as_deref_mut().unwrap_or_default(), bias);
    }
    divided
}

/// A gradient by the tensors of the network as it was.
struct Gradient {
    names: Vec<String>,
    values: Vec<Vec<f64>>,
    spikes: f64,
}

impl Gradient {
    fn beside(&self, exact: &Self, dt: f64) -> Refined {
        let pairs = || self.values.iter().zip(&exact.values);
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        Refined {
            dt,
            spikes: self.spikes,
            cosine: pairs()
                .map(|(a, b)| dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt()))
                .collect(),
            distance: pairs()
                .map(|(a, b)| {
                    let off: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                    dot(&off, &off).sqrt() / dot(b, b).sqrt()
                })
                .collect(),
        }
    }
}

/// The summed gradient of the first samples, by weights as they are in undivided ticks.
fn gradient(
    network: &Network,
    options: &Options,
    set: &DataSet,
    samples: usize,
    factor: u32,
) -> Result<Gradient, Diagnostics> {
    let program = lower(network, options)?;
    let mut machine = Interpreter::<f64>::computing(&program);
    let places = tensors(&program, ArrayKind::Gradient);
    let names: Vec<String> = places
        .iter()
        .map(|(_, _, t)| program.tensors[Tensor::new(*t)].name.clone())
        .collect();
    let mut values: Vec<Vec<f64>> = vec![Vec::new(); places.len()];
    let mut spikes = 0;
    for k in 0..samples {
        run(&mut machine, &program, set, k, factor)?;
        let neurons = program.processes.iter();
        let neurons = neurons.filter(|(_, process)| process.role == Role::Neurons);
        spikes += neurons
            .map(|(id, _)| machine.own_spikes(0, id).len())
            .sum::<usize>();
        for ((proc, array, _), sum) in places.iter().zip(&mut values) {
            let more = machine.values(0, *proc, *array);
            sum.resize(more.len(), 0.0);
            sum.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
    }
    let unit = unit(&program, options.loss, f64::from(factor));
    for (name, values) in names.iter().zip(&mut values) {
        let by = of_tensor(network, name, f64::from(factor)) / unit;
        values.iter_mut().for_each(|v| *v *= by);
    }
    #[expect(clippy::cast_precision_loss, reason = "numbers of spikes")]
    let spikes = spikes as f64 / samples.max(1) as f64;
    Ok(Gradient {
        names,
        values,
        spikes,
    })
}

/// What an undivided tensor's entry moves a divided one's by.
fn of_tensor(network: &Network, name: &str, factor: f64) -> f64 {
    let (node, field) = name.rsplit_once('.').unwrap_or((name, ""));
    let mut projections = network.projections.values();
    let post = projections.find(|p| p.name == node).map(|p| p.post);
    let (weight, bias) = post.map_or((1.0, 1.0), |post| strength(network, post, factor));
    if field == "bias" { bias } else { weight }
}

fn run(
    machine: &mut Interpreter<f64>,
    program: &Program,
    set: &DataSet,
    k: usize,
    factor: u32,
) -> Result<(), Diagnostic> {
    let times = times(set, k);
    let exact = program.window.is_some();
    let mut spikes: Vec<(f64, InputSpike)> = times
        .iter()
        .zip(set.spikes(k))
        .map(|(time, spike)| {
            let tick = match exact {
                true => bin(time.floor(), u32::MAX),
                false => bin(time * f64::from(factor), program.ticks),
            };
            let channel = spike.channel;
            (*time, InputSpike { tick, channel })
        })
        .collect();
    spikes.sort_by(|(t, a), (u, b)| match exact {
        true => t.total_cmp(u).then(a.channel.cmp(&b.channel)),
        false => a.cmp(b),
    });
    if !exact {
        spikes.dedup_by_key(|(_, spike)| *spike);
    }
    let times: Vec<f64> = spikes.iter().map(|(t, _)| *t).filter(|_| exact).collect();
    let spikes: Vec<InputSpike> = spikes.into_iter().map(|(_, spike)| spike).collect();
    let sample = Sample {
        spikes: &spikes,
        times: &[],
        values: &[],
        label: set.labels()[k],
        error: &[],
    };
    machine.run_at(Pass::Gradient, &sample, &times).map(|_| ())
}

/// Times of a sample's spikes in bins, as exactly as they are known.
fn times(set: &DataSet, k: usize) -> Vec<f64> {
    let exact = set.exact_times(k);
    match set.times(k) {
        _ if !exact.is_empty() => exact.iter().map(|t| f64::from(*t)).collect(),
        Some(times) => times.to_vec(),
        None => set.spikes(k).iter().map(|s| f64::from(s.tick)).collect(),
    }
}

//! Samples a second of the native simulator on Yin-Yang with exact event times: 5-120-3, time constants of 20 and
//! 5 ms, first spikes, Adam, batches of 22.
//!
//! `cargo run --release -p nirc-host --example exact_times [seconds a measurement] [threads]`

use std::time::Instant;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Optimiser, Options, Rule, Schedule};
use nirc_host::HostSimulator;
use nirc_ir::Diagnostic;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Proc;
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};

const SIZES: [usize; 3] = [5, 120, 3];
const TICKS: u32 = 60;
const BATCH: usize = 22;
const EPOCHS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |s| s.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |s| s.parse())?;
    let mut random = Random(42);
    let program = lower(&network(&mut random), &options()).map_err(|d| d.to_string())?;
    let data = Data::new(5_016, &mut random);
    measure(&program, &data, seconds, threads).map_err(|d| d.to_string())?;
    Ok(())
}

fn measure(
    program: &nirc_ir::event::Program,
    data: &Data,
    seconds: f64,
    threads: usize,
) -> Result<(), Diagnostic> {
    let mut host = HostSimulator::new(program, threads)?;
    println!(
        "5-120-3, exact event times, 20 and 5 ms, batches of {BATCH}, {} threads, {}",
        host.threads(),
        host.instructions()
    );
    let accuracy = train(&mut host, data, EPOCHS)?;
    println!(
        "trained for {EPOCHS} epochs of 5016: {:.1} % of the training set",
        accuracy * 100.0
    );
    for pass in [Pass::Forward, Pass::Gradient, Pass::Train] {
        let rate = rate(&mut host, data, pass, seconds)?;
        println!(
            "{pass:?}: {rate:.0} samples/s, {:.2} us a sample",
            1e6 / rate
        );
    }
    let spikes = |proc| {
        let count = |replica| host.spikes(replica, Proc::new(proc)).map_or(0, |s| s.len());
        (0..BATCH).map(count).sum::<usize>() as f64 / BATCH as f64
    };
    println!(
        "spikes a sample: hidden {:.1}, output {:.1}",
        spikes(1),
        spikes(2)
    );
    Ok(())
}

/// Samples a second in batches of the faster quartile: the machine does other things as well.
fn rate(
    host: &mut HostSimulator,
    data: &Data,
    pass: Pass,
    seconds: f64,
) -> Result<f64, Diagnostic> {
    let mut outcomes = Vec::new();
    let mut times = Vec::new();
    let samples = data.samples();
    let end = Instant::now() + std::time::Duration::from_secs_f64(seconds);
    while Instant::now() < end {
        for batch in samples.chunks_exact(BATCH) {
            outcomes.clear();
            let start = Instant::now();
            host.run(pass, batch, &mut outcomes)?;
            times.push(start.elapsed());
        }
    }
    times.sort();
    Ok(BATCH as f64 / times[times.len() / 4].as_secs_f64())
}

/// Trains and returns the fraction of samples that the last epoch classified correctly.
fn train(host: &mut HostSimulator, data: &Data, epochs: usize) -> Result<f64, Diagnostic> {
    let mut right = 0;
    let samples = data.samples();
    for _ in 0..epochs {
        right = 0;
        for batch in samples.chunks_exact(BATCH) {
            let mut outcomes: Vec<Outcome> = Vec::new();
            host.run(Pass::Train, batch, &mut outcomes)?;
            right += outcomes
                .iter()
                .zip(batch)
                .filter(|(o, s)| class(o) == s.label)
                .count();
        }
    }
    Ok(right as f64 / samples.len() as f64)
}

fn class(outcome: &Outcome) -> u32 {
    let mut best = 0;
    for (n, t) in outcome.first_spike.iter().enumerate() {
        if *t < outcome.first_spike[best] {
            best = n;
        }
    }
    best as u32
}

fn network(random: &mut Random) -> Network {
    let neuron = || {
        PopulationKind::Neurons(Neuron {
            membrane: Membrane::Leaky {
                tau: Parameter::Uniform(0.02),
                r: Parameter::Uniform(1.0),
                v_leak: Parameter::Uniform(0.0),
            },
            synapse: Some(Synapse {
                tau_syn: Parameter::Uniform(0.005),
                w_in: Parameter::Uniform(1.0),
            }),
            firing: Some(Firing {
                threshold: Parameter::Uniform(1.0),
                v_reset: Parameter::Uniform(0.0),
            }),
        })
    };
    let population = |(k, size): (usize, &usize)| {
        Population::vector(
            ["input", "hidden", "out"][k],
            *size,
            if k == 0 {
                PopulationKind::Source
            } else {
                neuron()
            },
        )
    };
    // Mean and deviation of weights that train well.
    let [first, second] = [(1.487, 1.406), (0.354, 0.356)];
    let mut projection = |pre: usize, (mean, deviation): (f64, f64)| {
        let count = SIZES[pre] * SIZES[pre + 1];
        let weight = |_| (mean + deviation * random.normal()) as f32;
        Projection {
            name: format!("fc{}", pre + 1),
            pre: Pop::new(pre),
            post: Pop::new(pre + 1),
            bias: None,
            delay: 0,
            delays: None,
            factor: 1.0,
            bias_run: 1,
            trainable: true,
            link: Link::Dense((0..count).map(weight).collect()),
        }
    };
    Network {
        name: "yin_yang".into(),
        dt: 0.001,
        convention: Convention::preset("event").expect("a preset"),
        populations: SIZES
            .iter()
            .enumerate()
            .map(population)
            .collect::<PrimaryMap<_, _>>(),
        projections: PrimaryMap::from_iter([projection(0, first), projection(1, second)]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

fn options() -> Options {
    Options {
        ticks: TICKS,
        batch: BATCH,
        replicas: BATCH,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 0.28,
            alpha: 0.0224,
            beta: 12.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 0.0,
            schedule: Schedule::Exponential {
                factor: 0.9_f64.powf(1.0 / 228.0),
            },
            ..Optimiser::new(
                Rule::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                1e-2,
            )
        }),
        record: Vec::new(),
        events: Some(ExactTimes {
            guard: 0.1,
            input_errors: false,
        }),
    }
}

/// Yin-Yang samples: points of a disc, latency coded, with their class.
struct Data {
    spikes: Vec<Vec<InputSpike>>,
    times: Vec<Vec<f32>>,
    labels: Vec<u32>,
}

impl Data {
    fn new(count: usize, random: &mut Random) -> Self {
        let mut data = Self {
            spikes: Vec::new(),
            times: Vec::new(),
            labels: Vec::new(),
        };
        while data.labels.len() < count {
            let (x, y) = (random.uniform(), random.uniform());
            let goal = (data.labels.len() % 3) as u32;
            if (x - 0.5).hypot(y - 0.5) <= 0.5 && half(x, y) == goal {
                data.labels.push(goal);
                let (spikes, times) = code(x, y);
                data.spikes.push(spikes);
                data.times.push(times);
            }
        }
        data
    }

    fn samples(&self) -> Vec<Sample<'_>> {
        let spikes = self.spikes.iter().zip(&self.times);
        spikes
            .zip(&self.labels)
            .map(|((spikes, times), label)| Sample {
                times,
                spikes,
                label: *label,
                error: &[],
                values: &[],
            })
            .collect()
    }
}

/// Yin (0), Yang (1) or one of the dots (2).
fn half(x: f64, y: f64) -> u32 {
    let right = (x - 0.75).hypot(y - 0.5);
    let left = (x - 0.25).hypot(y - 0.5);
    if right < 0.1 || left < 0.1 {
        2
    } else {
        u32::from(right <= 0.1 || (0.1 < left && left <= 0.25) || (y > 0.5 && right > 0.25))
    }
}

fn code(x: f64, y: f64) -> (Vec<InputSpike>, Vec<f32>) {
    let time = |q: f64| (2.0 + 24.0 * (1.0 - q)) as f32;
    let times = [0.0, time(x), time(y), time(1.0 - x), time(1.0 - y)];
    let mut spikes: Vec<(f32, u32)> = times.into_iter().zip(0..).collect();
    spikes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let times = spikes.iter().map(|(time, _)| *time).collect();
    let spikes = spikes.into_iter().map(|(time, channel)| InputSpike {
        tick: time as u32,
        channel,
    });
    (spikes.collect(), times)
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

//! Samples a second of the native simulator on the published Yin-Yang network (5-120-3, 27 bins,
//! batches of 22), by part, next to what the machine could do at most.
//!
//! `cargo run --release -p nirc-host --example throughput [seconds a measurement]`

use std::time::Instant;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Rule, Schedule};
use nirc_host::HostSimulator;
use nirc_ir::Diagnostic;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{Domain, Handler, HandlerKind, Op, Program, Stmt};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};

const SIZES: [usize; 3] = [5, 120, 3];
const TICKS: u32 = 27;
const BATCH: usize = 22;
/// Operations a cycle of a core with two 512-bit units, without fused multiply-adds.
const LANES_PER_CYCLE: f64 = 32.0;
/// Its clock.
const HERTZ: f64 = 2.8e9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(1.0), |s| s.parse())?;
    let mut random = Random(42);
    let program = lower(&network(&mut random), &options()).map_err(|d| d.to_string())?;
    let data = Data::new(5_016, &mut random);
    measure(&program, &data, seconds).map_err(|d| d.to_string())?;
    Ok(())
}

fn measure(program: &Program, data: &Data, seconds: f64) -> Result<(), Diagnostic> {
    let mut host = HostSimulator::new(program, 1)?;
    println!(
        "5-120-3, {TICKS} bins, batches of {BATCH}, {}",
        host.instructions()
    );
    report(&mut host, data, "at initialisation", seconds)?;
    let accuracy = train(&mut host, data, 20)?;
    println!(
        "trained for 20 epochs of 5016: {:.1} % of the training set",
        accuracy * 100.0
    );
    report(&mut host, data, "trained", seconds)?;
    for threads in [1, 0] {
        let mut host = HostSimulator::new(program, threads)?;
        train(&mut host, data, 20)?;
        let rate = rate(&mut host, data, Pass::Train, seconds)?;
        let threads = host.threads();
        println!("training, {threads} threads: {rate:.0} samples/s");
    }
    Ok(())
}

/// Rates of the three passes, and what they cost by part.
fn report(
    host: &mut HostSimulator,
    data: &Data,
    when: &str,
    seconds: f64,
) -> Result<(), Diagnostic> {
    let passes = [Pass::Forward, Pass::Gradient];
    let mut times = passes.map(|_| 0.0);
    let mut rates = passes.map(|_| 0.0);
    for (k, pass) in passes.into_iter().enumerate() {
        rates[k] = rate(host, data, pass, seconds)?;
        times[k] = 1e9 / rates[k];
    }
    let (forward, adjoint) = operations(host);
    println!("{when}, one thread:");
    for (part, time, flops) in [
        ("forward", times[0], forward),
        ("adjoint", times[1] - times[0], adjoint),
        ("both", times[1], forward + adjoint),
    ] {
        let limit = flops / LANES_PER_CYCLE / HERTZ * 1e9;
        println!(
            "  {part:8} {time:7.0} ns a sample; {flops:6.0} operations, {limit:4.0} ns at the peak of \
             two 512-bit units at 2.8 GHz"
        );
    }
    println!(
        "  forward {:.0} samples/s, with gradient {:.0} samples/s",
        rates[0], rates[1]
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

/// Floating point operations of a sample, forward and adjoint, as the program has them, with the
/// spikes of the last batch.
fn operations(host: &HostSimulator) -> (f64, f64) {
    let program = host.program();
    let spikes = |proc| {
        let count = |replica| host.spikes(replica, proc).map_or(0, |s| s.len());
        (0..BATCH).map(count).sum::<usize>() as f64 / BATCH as f64
    };
    let (mut forward, mut adjoint) = (0.0, 0.0);
    for (id, process) in program.processes.iter() {
        for handler in &process.handlers {
            let arrivals = |chan| spikes(program.channels[chan].from);
            let ticks = f64::from(TICKS - 1);
            let cost = cost(handler, process.lanes);
            match handler.kind {
                HandlerKind::Event(chan) => forward += arrivals(chan) * cost,
                HandlerKind::Tick => forward += ticks * cost,
                HandlerKind::Turn => forward += cost,
                HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
                    adjoint += arrivals(chan) * cost;
                }
                HandlerKind::AdjointTick | HandlerKind::GradientTick => adjoint += ticks * cost,
                HandlerKind::Spike => adjoint += spikes(id) * cost,
                _ => {}
            }
        }
    }
    (forward, adjoint)
}

fn cost(handler: &Handler, lanes: usize) -> f64 {
    let arithmetic = handler.body.stmts.iter().filter(|stmt| match stmt {
        Stmt::Let(_, op) => matches!(
            op,
            Op::Unary(..) | Op::Binary(..) | Op::Fma(..) | Op::Cmp(..) | Op::Select(..)
        ),
        Stmt::Reduce(..) | Stmt::Send(_) => true,
        _ => false,
    });
    let lanes = if handler.domain == Domain::Lanes {
        lanes
    } else {
        1
    };
    arithmetic.count() as f64 * lanes as f64
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
                w_in: Parameter::Uniform(5.0),
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
    // Mean and deviation of the published initialisation.
    let [first, second] = [(3.2, 3.2), (5.2, 2.8)];
    let mut projection = |pre: usize, (mean, deviation): (f64, f64)| {
        let scale = (SIZES[pre] as f64).sqrt().recip();
        let count = SIZES[pre] * SIZES[pre + 1];
        let weight = |_| ((mean + deviation * random.normal()) * scale) as f32;
        Projection {
            name: format!("fc{}", pre + 1),
            pre: Pop::new(pre),
            post: Pop::new(pre + 1),
            bias: None,
            delay: 1,
            delays: None,
            trainable: true,
            factor: 1.0,
            bias_run: 1,
            link: Link::Dense((0..count).map(weight).collect()),
        }
    };
    Network {
        name: "yin_yang".into(),
        dt: 0.001,
        convention: Convention::preset("eventprop").expect("a preset"),
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
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser {
            weight_decay: 6.5e-7,
            schedule: Schedule::Exponential {
                factor: 0.95_f64.powf(1.0 / 228.0),
            },
            ..Optimiser::new(
                Rule::Adam {
                    beta1: 0.9,
                    beta2: 0.999,
                    epsilon: 1e-8,
                },
                1.9e-3,
            )
        }),
        record: Vec::new(),
        events: None,
    }
}

/// Yin-Yang samples: points of a disc, latency coded, with their class.
struct Data {
    spikes: Vec<Vec<InputSpike>>,
    labels: Vec<u32>,
}

impl Data {
    fn new(count: usize, random: &mut Random) -> Self {
        let mut data = Self {
            spikes: Vec::new(),
            labels: Vec::new(),
        };
        while data.labels.len() < count {
            let (x, y) = (random.uniform(), random.uniform());
            let goal = (data.labels.len() % 3) as u32;
            if (x - 0.5).hypot(y - 0.5) <= 0.5 && half(x, y) == goal {
                data.labels.push(goal);
                data.spikes.push(code(x, y));
            }
        }
        data
    }

    fn samples(&self) -> Vec<Sample<'_>> {
        let pairs = self.spikes.iter().zip(&self.labels);
        pairs
            .map(|(spikes, label)| Sample {
                times: &[],
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

fn code(x: f64, y: f64) -> Vec<InputSpike> {
    let tau = f64::from(TICKS) - 3.0;
    let bin = |q: f64| ((tau * (1.0 - q)).min(tau * 0.99) + 2.0).round_ties_even() as u32;
    let bins = [bin(x), bin(y), bin(1.0 - x), bin(1.0 - y), 0];
    let mut spikes: Vec<InputSpike> = (0..)
        .zip(bins)
        .map(|(channel, tick)| InputSpike { tick, channel })
        .collect();
    spikes.sort();
    spikes
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

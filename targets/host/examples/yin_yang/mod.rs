//! What the measurements on Yin-Yang share: the network's shape, the points, and how passes are timed.

use std::time::Instant;

use nirc_compiler::options::{Optimiser, Rule, Schedule};
use nirc_host::HostSimulator;
use nirc_ir::Diagnostic;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};

/// Inputs, hidden neurons, outputs.
pub(crate) const SIZES: [usize; 3] = [5, 120, 3];
/// Samples of a batch.
pub(crate) const BATCH: usize = 22;

/// Samples a second in batches of the faster quartile: the machine does other things as well.
pub(crate) fn rate(
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
pub(crate) fn train(
    host: &mut HostSimulator,
    data: &Data,
    epochs: usize,
) -> Result<f64, Diagnostic> {
    let mut right = 0;
    let samples = data.samples();
    for _ in 0..epochs {
        right = 0;
        for batch in samples.chunks_exact(BATCH) {
            let mut outcomes: Vec<Outcome> = Vec::new();
            host.run(Pass::Train, batch, &mut outcomes)?;
            let pairs = outcomes.iter().zip(batch);
            right += pairs.filter(|(o, s)| o.predicted() == s.label).count();
        }
    }
    Ok(right as f64 / samples.len() as f64)
}

/// 5-120-3 with time constants of 20 and 5 ms; `weight` draws a weight of the projection from population `pre`.
pub(crate) fn network(
    preset: &str,
    w_in: f64,
    delay: u32,
    mut weight: impl FnMut(usize) -> f32,
) -> Network {
    let neuron = || {
        PopulationKind::Neurons(Neuron {
            membrane: Membrane::Leaky {
                tau: Parameter::Uniform(0.02),
                r: Parameter::Uniform(1.0),
                v_leak: Parameter::Uniform(0.0),
            },
            synapse: Some(Synapse {
                tau_syn: Parameter::Uniform(0.005),
                w_in: Parameter::Uniform(w_in),
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
    let mut projection = |pre: usize| Projection {
        name: format!("fc{}", pre + 1),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias: None,
        delay,
        delays: None,
        factor: 1.0,
        bias_run: 1,
        trainable: true,
        link: Link::Dense(
            (0..SIZES[pre] * SIZES[pre + 1])
                .map(|_| weight(pre))
                .collect(),
        ),
    };
    Network {
        name: "yin_yang".into(),
        dt: 0.001,
        convention: Convention::preset(preset).expect("a preset"),
        populations: SIZES
            .iter()
            .enumerate()
            .map(population)
            .collect::<PrimaryMap<_, _>>(),
        projections: PrimaryMap::from_iter([projection(0), projection(1)]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    }
}

/// Adam, at a rate that falls by `decay` an epoch.
pub(crate) fn adam(learning_rate: f64, weight_decay: f64, decay: f64) -> Optimiser {
    let rule = Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    Optimiser {
        weight_decay,
        schedule: Schedule::Exponential {
            factor: decay.powf(1.0 / 228.0),
        },
        ..Optimiser::new(rule, learning_rate)
    }
}

/// Yin-Yang samples: points of a disc, latency coded, with their class.
pub(crate) struct Data {
    spikes: Vec<Vec<InputSpike>>,
    times: Vec<Vec<f32>>,
    labels: Vec<u32>,
}

impl Data {
    /// So many points; `code` gives the spikes of one, and their times if these count.
    pub(crate) fn new(
        count: usize,
        random: &mut Random,
        code: impl Fn(f64, f64) -> (Vec<InputSpike>, Vec<f32>),
    ) -> Self {
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

    /// As executors take them.
    pub(crate) fn samples(&self) -> Vec<Sample<'_>> {
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

/// `SplitMix64`.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// 0 to 1, without 1.
    pub(crate) fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Of mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }
}

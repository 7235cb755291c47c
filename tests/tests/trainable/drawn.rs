//! What is drawn: networks as files, how they are read and trained, and samples.

use std::num::NonZeroU32;

use nirc_compiler::nir;
use nirc_compiler::options::{
    Clip, Cost, ExactTimes, Loss, Optimiser, Options, Regulariser, Rule, Schedule, Score,
};
use nirc_compiler::passes::Time;
use nirc_ir::Diagnostics;
use nirc_ir::convention::Convention;
use nirc_ir::event::{Output, Program};
use nirc_ir::executor::{InputSpike, Sample};
use nirc_ir::network::Network;
use nirc_runtime::data::{DataSet, TimedSpike};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_tests::graphs::Graph;
use nirc_tests::rng::Rng;

/// Seconds of a bin.
pub(crate) const DT: f64 = 1e-3;
/// Conventions whose ticks are linear between spikes.
const IN_TICKS: [&str; 5] = ["eventprop", "event", "nir", "euler", "spyx"];

/// A network that follows from a seed, as training reads it in bins of this length.
pub(crate) fn network(seed: u64, exact: bool, dt: f64) -> Result<Network, Diagnostics> {
    let preset = if exact {
        "event"
    } else {
        IN_TICKS[(seed / 2 % IN_TICKS.len() as u64) as usize]
    };
    let convention = Convention::preset(preset).expect("a preset");
    let graph = Graph::trainable(seed, convention.time_unit);
    let bytes = nir::to_bytes(&graph.tree())?;
    let (file, _) = nir::read_bytes(bytes)?;
    let time = if exact {
        Time::Exact { learn_delays: true }
    } else {
        Time::Ticks
    };
    let mut reading = Reading {
        dt: Some(dt),
        time,
        ..Reading::under(convention)
    };
    if !exact && !seed.is_multiple_of(7) {
        // Backwards, only resets of the same tick are linear, and biases that are there from the beginning.
        let linear = ["reset_time=same", "recurrent_bias=same"];
        reading.set(&linear.map(str::to_owned))?;
    }
    Model::from_file(file, "random", &reading).map(|model| model.network)
}

fn loss(network: &Network, rng: &mut Rng) -> Loss {
    let values = network
        .readout()
        .is_some_and(|pop| network.emits_values(pop));
    let spikes = [
        Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 20.0,
        },
        Loss::TargetTimes {
            hit: 5.0,
            miss: 12.0,
        },
        Loss::SpikeCount {
            hit: 4.0,
            miss: 1.0,
        },
    ];
    let voltages = [
        Loss::Voltage { score: Score::Max },
        Loss::Voltage { score: Score::Sum },
        Loss::Voltage {
            score: Score::Average { tau: Some(8.0) },
        },
        Loss::Voltage {
            score: Score::Final,
        },
        Loss::VoltageError {
            hit: 1.0,
            miss: 0.0,
        },
    ];
    if values {
        *rng.pick(&voltages)
    } else {
        *rng.pick(&spikes)
    }
}

fn optimiser(rng: &mut Rng) -> Optimiser {
    let (beta1, beta2, epsilon) = (0.9, 0.99, 1e-8);
    let rules = [
        Rule::Sgd {
            momentum: 0.9,
            nesterov: false,
        },
        Rule::Adam {
            beta1,
            beta2,
            epsilon,
        },
        Rule::AdamW {
            beta1,
            beta2,
            epsilon,
        },
        Rule::AdaMax {
            beta1,
            beta2,
            epsilon,
        },
    ];
    Optimiser {
        weight_decay: *rng.pick(&[0.0, 1e-4]),
        schedule: *rng.pick(&[
            Schedule::Constant,
            Schedule::Cosine {
                batches: NonZeroU32::MIN.saturating_add(3),
                last: 0.0,
            },
        ]),
        clip: *rng.pick(&[None, Some(Clip::Norm(1.0))]),
        delay_rate: 10.0,
        ..Optimiser::new(*rng.pick(&rules), 1e-2)
    }
}

pub(crate) fn options(network: &Network, exact: bool, rng: &mut Rng) -> Options {
    let batch = 1 + rng.below(3);
    let last = network.readout().map(|pop| &network.populations[pop]);
    let spikes = network
        .readout()
        .is_some_and(|pop| !network.emits_values(pop));
    let population = last.map_or(String::new(), |p| p.name.clone());
    let regularise = match rng.below(3) {
        0 if spikes => vec![Regulariser {
            population,
            cost: *rng.pick(&[Cost::Silent, Cost::SilentLabel]),
            strength: 0.5,
        }],
        _ => Vec::new(),
    };
    Options {
        ticks: 8 + rng.below(16) as u32,
        batch,
        replicas: 1 + rng.below(batch),
        spike_bound: None,
        loss: Some(loss(network, rng)),
        adjoint: true,
        regularise,
        optimiser: Some(optimiser(rng)),
        record: Vec::new(),
        events: exact.then(|| ExactTimes {
            input_errors: rng.below(2) == 0,
            ..ExactTimes::default()
        }),
    }
}

/// A sample of a program.
pub(crate) struct Data {
    spikes: Vec<InputSpike>,
    times: Vec<f32>,
    label: u32,
}

impl Data {
    pub(crate) fn new(program: &Program, rng: &mut Rng) -> Self {
        let channels = program.source_channels(Output::Spikes);
        let classes = program
            .loss()
            .map_or(1, |loss| program.processes[loss].lanes);
        let mut timed = Vec::new();
        for tick in 0..program.ticks {
            for channel in 0..channels as u32 {
                if rng.below(6) == 0 {
                    // Some spikes of different channels are simultaneous.
                    let other = rng.uniform();
                    let within = *rng.pick(&[0.0, 0.25, other]);
                    timed.push((tick as f32 + within, InputSpike { tick, channel }));
                }
            }
        }
        let exact = program.window.is_some();
        if exact {
            timed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.channel.cmp(&b.1.channel)));
        }
        Self {
            spikes: timed.iter().map(|(_, spike)| *spike).collect(),
            times: timed.iter().map(|(t, _)| *t).filter(|_| exact).collect(),
            label: rng.below(classes) as u32,
        }
    }

    pub(crate) fn sample(&self) -> Sample<'_> {
        Sample {
            spikes: &self.spikes,
            times: &self.times,
            values: &[],
            label: self.label,
            error: &[],
        }
    }
    /// Adds it to a set whose bins are divided into so many.
    pub(crate) fn push(&self, set: &mut DataSet, into: u32) {
        let spikes = self.spikes.iter().map(|spike| InputSpike {
            tick: spike.tick * into,
            ..*spike
        });
        let pushed = if self.times.is_empty() {
            set.push(spikes, self.label)
        } else {
            let timed = self.times.iter().zip(spikes);
            let timed = timed.map(|(time, spike)| TimedSpike {
                time: f64::from(*time),
                channel: spike.channel,
            });
            set.push_timed(timed, u32::MAX, self.label)
        };
        pushed.expect("channels of the program");
    }
}

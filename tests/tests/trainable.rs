//! Random networks that train: from the bytes of a file to the last bit of every gradient and trained weight, on every
//! executor, in ticks and at exact event times.
//!
//! `NIRC_TRAINABLE` and `NIRC_TRAINABLE_SEED` say how many networks, and from which seed on.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use nirc_compiler::lower::lower;
use nirc_compiler::nir;
use nirc_compiler::options::{
    Clip, Cost, ExactTimes, Loss, Optimiser, Options, Regulariser, Rule, Schedule, Score,
};
use nirc_compiler::passes::Time;
use nirc_ir::convention::Convention;
use nirc_ir::event::{ArrayKind, Output, Program, Role};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::Network;
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::emulated::Emulated;
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use nirc_tests::graphs::Graph;
use nirc_tests::rng::Rng;

const DT: f64 = 1e-3;
/// Conventions whose ticks are linear between spikes.
const IN_TICKS: [&str; 5] = ["eventprop", "event", "nir", "euler", "spyx"];

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// A network that follows from a seed, as training reads it.
fn network(seed: u64, exact: bool) -> Result<Network, Diagnostics> {
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
        dt: Some(DT),
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

fn options(network: &Network, exact: bool, rng: &mut Rng) -> Options {
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
struct Data {
    spikes: Vec<InputSpike>,
    times: Vec<f32>,
    label: u32,
}

impl Data {
    fn new(program: &Program, rng: &mut Rng) -> Self {
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

    fn sample(&self) -> Sample<'_> {
        Sample {
            spikes: &self.spikes,
            times: &self.times,
            values: &[],
            label: self.label,
            error: &[],
        }
    }
}

/// What two batches of training leave behind, as bits by name; `Err` if the executor stops with a diagnostic.
fn trained(
    executor: &mut dyn Executor,
    batches: &[Vec<Data>],
) -> Result<BTreeMap<String, Vec<u32>>, String> {
    let program = executor.program().clone();
    let mut all = BTreeMap::new();
    for (k, batch) in batches.iter().enumerate() {
        let samples: Vec<Sample<'_>> = batch.iter().map(Data::sample).collect();
        let mut outcomes: Vec<Outcome> = Vec::new();
        executor
            .run(Pass::Train, &samples, &mut outcomes)
            .map_err(|e| e.code.to_owned())?;
        for (i, outcome) in outcomes.iter().enumerate() {
            let mut values = [&outcome.first_spike[..], &outcome.score].concat();
            values.extend([outcome.loss, outcome.cross_entropy]);
            all.insert(format!("batch {k} outcome {i}"), bits(&values));
        }
        for (id, process) in program.processes.iter() {
            for (array, decl) in process.arrays.iter() {
                if matches!(decl.kind, ArrayKind::Param(_) | ArrayKind::Gradient(_)) {
                    let values = executor.read(0, id, array).map_err(|e| e.to_string())?;
                    let name = format!("batch {k} {}.{}", process.name, decl.name);
                    all.insert(name, bits(&values));
                }
            }
            if process.role == Role::Neurons && process.tape.is_some() {
                let spikes = executor.spikes(0, id).map_err(|e| e.to_string())?;
                let mut places: Vec<u32> = spikes.iter().flat_map(|s| [s.tick, s.lane]).collect();
                if program.window.is_some() {
                    let times = executor.spike_times(0, id).map_err(|e| e.to_string())?;
                    places.extend(bits(&times));
                }
                all.insert(format!("batch {k} {} spikes", process.name), places);
            }
        }
    }
    Ok(all)
}

/// IEEE 754 leaves open which NaN an operation gives, and processors differ.
fn bits(values: &[f32]) -> Vec<u32> {
    let bits = |v: &f32| if v.is_nan() { u32::MAX } else { v.to_bits() };
    values.iter().map(bits).collect()
}

/// How a seed went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Went {
    /// Refused by name before anything ran.
    Refused,
    /// Trained on interpreter and host; too large for the chip, as it said.
    TooLarge,
    /// Trained on all three.
    Everywhere,
}

fn check(seed: u64) -> Result<Went, String> {
    let exact = seed % 2 == 1;
    let mut rng = Rng::new(seed ^ 0x7a1e);
    let network = network(seed, exact).map_err(|e| format!("import: {e}"))?;
    let options = options(&network, exact, &mut rng);
    let program = match lower(&network, &options) {
        Ok(program) => program,
        Err(problems) => {
            let allowed = [
                codes::LOWER_UNSUPPORTED,
                codes::ADJOINT_UNSUPPORTED,
                codes::CONFIG_CONTRADICTION,
            ];
            let other = problems.0.iter().find(|p| !allowed.contains(&p.code));
            return other.map_or(Ok(Went::Refused), |p| Err(format!("lower: {p}")));
        }
    };
    let batch = options.batch;
    let mut batch = || (0..batch).map(|_| Data::new(&program, &mut rng)).collect();
    let batches: Vec<Vec<Data>> = vec![batch(), batch()];
    let expected = trained(&mut Interpreter::new(&program), &batches);
    let mut host = nirc_host::HostSimulator::new(&program, 1).map_err(|e| format!("host: {e}"))?;
    same("host", &trained(&mut host, &batches), &expected)?;
    let target = Target::spinnaker2();
    let bundle =
        nirc_spinnaker2::bundle::Bundle::build_balanced(&program, &target, Balance::Memory);
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(problems) => {
            let full = |p: &nirc_ir::Diagnostic| {
                [codes::MAP_SRAM, codes::MAP_TOO_MANY_PES].contains(&p.code)
            };
            return match problems.0.iter().find(|p| !full(p)) {
                None => Ok(Went::TooLarge),
                Some(problem) => Err(format!("bundle: {problem}")),
            };
        }
    };
    let mut chip = Emulated::load(&program, &bundle, &target, Default::default())
        .map_err(|e| format!("emulator: {e}"))?;
    same("emulator", &trained(&mut chip, &batches), &expected)?;
    Ok(Went::Everywhere)
}

type Trained = Result<BTreeMap<String, Vec<u32>>, String>;

fn same(executor: &str, found: &Trained, expected: &Trained) -> Result<(), String> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            let differs = expected
                .iter()
                .find(|(name, bits)| found.get(*name) != Some(bits));
            differs.map_or(Ok(()), |(name, _)| {
                Err(format!(
                    "{executor}: {name} has other bits than in the interpreter"
                ))
            })
        }
        (Err(found), Err(expected)) if found == expected => Ok(()),
        (found, expected) => Err(format!(
            "{executor}: {:?}, interpreter: {:?}",
            found.as_ref().err(),
            expected.as_ref().err()
        )),
    }
}

#[test]
fn random_networks_train_alike_everywhere() {
    let first = variable("NIRC_TRAINABLE_SEED", 0);
    let count = variable("NIRC_TRAINABLE", 500);
    let mut went: BTreeMap<(bool, Went), u64> = BTreeMap::new();
    for seed in first..first + count {
        let how = check(seed).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        *went.entry((seed % 2 == 1, how)).or_default() += 1;
    }
    println!("(exact times, how): {went:?}");
    for exact in [false, true] {
        let everywhere = went.get(&(exact, Went::Everywhere)).copied();
        assert!(everywhere.unwrap_or(0) * 4 >= count / 2, "{went:?}");
    }
}

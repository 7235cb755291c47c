//! Random NIR graphs, and each primitive under each convention, on every executor: from the bytes of a file to
//! the last bit of every spike, voltage and current; and out to a file and back in.
//!
//! `NIRC_GRAPHS` and `NIRC_GRAPH_SEED` say how many random graphs, and from which seed on.

use std::collections::BTreeSet;

use ndarray::Array3;
use nirc_compiler::nir::{self, File, ImportOptions};
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Time;
use nirc_ir::convention::Convention;
use nirc_ir::executor::InputSpike;
use nirc_ir::network::PopulationKind;
use nirc_ir::text::print_network;
use nirc_runtime::data::signal::{Name, Signal, Spikes, Values};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_runtime::simulation::simulate;
use nirc_runtime::stimulus::Stimulus;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_tests::graphs::{Graph, MODELS};
use nirc_tests::rng::Rng;

const DT: f64 = 1e-3;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

fn convention(name: &str) -> Convention {
    Convention::preset(name).expect("a preset")
}

/// A convention, and which inputs carry values, that follow from a seed.
fn reading(graph: &Graph, preset: &str, rng: &mut Rng) -> Reading {
    let graded: BTreeSet<String> = graph
        .input_names()
        .into_iter()
        .filter(|_| rng.below(4) == 0)
        .collect();
    Reading {
        dt: Some(DT),
        graded,
        ..Reading::under(convention(preset))
    }
}

/// Input for every source of a model.
fn stimulus(model: &Model, ticks: u32, rng: &mut Rng) -> Stimulus {
    let mut signals = Vec::new();
    for population in model.network.populations.values() {
        let channels = u32::try_from(population.size).expect("small");
        let signal = match population.kind {
            PopulationKind::Source => {
                let mut spikes = Vec::new();
                for tick in 0..ticks {
                    for channel in 0..channels {
                        if rng.below(3) == 0 {
                            spikes.push(InputSpike { tick, channel });
                        }
                    }
                }
                Signal::Spikes(Spikes::new(ticks, channels, vec![spikes]).expect("spikes"))
            }
            PopulationKind::Graded => {
                let shape = (ticks as usize, 1, population.size);
                Signal::Values(
                    Values::new(Array3::from_shape_fn(shape, |_| rng.normal())).expect("values"),
                )
            }
            PopulationKind::Neurons(_) => continue,
        };
        signals.push((population.name.clone(), signal));
    }
    Stimulus::new(ticks, signals)
}

/// Spikes, voltages and currents of all neurons.
fn everything(model: &Model) -> Vec<Record> {
    let mut all = Vec::new();
    for population in model.network.populations.values() {
        let PopulationKind::Neurons(neuron) = &population.kind else {
            continue;
        };
        let mut add = |quantity| {
            all.push(Record {
                population: population.name.clone(),
                quantity,
            });
        };
        add(Quantity::V);
        if neuron.firing.is_some() {
            add(Quantity::Spikes);
        }
        if neuron.synapse.is_some() {
            add(Quantity::I);
        }
    }
    all
}

/// What makes two recordings the same: every bit.
fn bits(recorded: &[(Name, Signal)]) -> Vec<(String, Vec<u64>)> {
    let of = |signal: &Signal| match signal {
        Signal::Spikes(spikes) => {
            let samples = spikes.samples();
            samples
                .flatten()
                .map(|s| u64::from(s.tick) << 32 | u64::from(s.channel))
                .collect()
        }
        Signal::Values(values) => values
            .array()
            .iter()
            // IEEE 754 leaves open which NaN an operation gives, and processors differ.
            .map(|v| {
                if v.is_nan() {
                    u64::MAX
                } else {
                    u64::from(v.to_bits())
                }
            })
            .collect(),
    };
    recorded
        .iter()
        .map(|(name, signal)| (name.to_string(), of(signal)))
        .collect()
}

/// Runs a graph everywhere; what went wrong.
fn check(graph: &Graph, preset: &str, seed: u64) -> Result<(), String> {
    let mut rng = Rng::new(seed);
    let bytes = nir::to_bytes(&graph.tree()).map_err(|e| e.to_string())?;
    let (file, _) = nir::read_bytes(bytes).map_err(|e| e.to_string())?;
    let mut reading = reading(graph, preset, &mut rng);
    // Inputs that a smaller graph has lost carry nothing.
    reading
        .graded
        .retain(|name| file.graph().nodes.contains_key(name));
    round_trip(&file, &reading)?;
    let model = Model::from_file(file, "graph", &reading).map_err(|e| format!("import: {e}"))?;
    let ticks = 2 + rng.below(18) as u32;
    let stimulus = stimulus(&model, ticks, &mut rng);
    let record = everything(&model);
    let run = |kind| {
        let executors = Executors {
            kind,
            threads: 1,
            balance: Balance::default(),
        };
        let run = simulate(
            &model.network,
            Time::Ticks,
            &stimulus,
            &record,
            executors,
            &mut |_| {},
        );
        let (recorded, _) = run.map_err(|e| format!("{kind:?}: {e}"))?;
        Ok::<_, String>(bits(&recorded))
    };
    let expected = run(Kind::Interpreter)?;
    for kind in [Kind::Host, Kind::Emulator] {
        for ((name, found), (_, expected)) in run(kind)?.iter().zip(&expected) {
            if found != expected {
                return Err(format!(
                    "{kind:?}: {name} has other bits than in the interpreter"
                ));
            }
        }
    }
    Ok(())
}

/// Out to a file and in again: the same network.
fn round_trip(file: &File, reading: &Reading) -> Result<(), String> {
    let options = ImportOptions {
        convention: reading.convention.clone(),
        dt: reading.dt,
        name: "graph".to_owned(),
        graded: reading.graded.clone(),
    };
    let import = |file: &File| nir::import(file, &options).map_err(|e| format!("import: {e}"));
    let (network, _) = import(file)?;
    let composed = nir::compose(&network).map_err(|e| format!("compose: {e}"))?;
    let bytes = nir::to_bytes(composed.tree()).map_err(|e| e.to_string())?;
    let (again, _) = nir::read_bytes(bytes).map_err(|e| e.to_string())?;
    let (same, _) = import(&again)?;
    // Nested graphs are written flat, with dots in the names.
    let before = print_network(&network).replace('/', ".");
    let after = print_network(&same);
    let differs = before.lines().zip(after.lines()).find(|(a, b)| a != b);
    if let Some((before, after)) = differs {
        return Err(format!(
            "what was written is another network when it is read:\n{before}\n{after}"
        ));
    }
    Ok(())
}

/// The smallest graph that goes wrong like this one.
fn reduce(mut graph: Graph, preset: &str, seed: u64, mut problem: String) -> (Graph, String) {
    'smaller: loop {
        for candidate in graph.smaller() {
            if let Err(other) = check(&candidate, preset, seed) {
                (graph, problem) = (candidate, other);
                continue 'smaller;
            }
        }
        return (graph, problem);
    }
}

fn must_hold(graph: Graph, preset: &str, seed: u64) {
    if let Err(problem) = check(&graph, preset, seed) {
        let (graph, problem) = reduce(graph, preset, seed, problem);
        panic!("seed {seed}, {preset}: {problem}\n{graph:#?}");
    }
}

#[test]
fn random_graphs_give_the_same_bits_everywhere() {
    let first = variable("NIRC_GRAPH_SEED", 0);
    for seed in first..first + variable("NIRC_GRAPHS", 2000) {
        let preset = Convention::PRESETS[(seed % Convention::PRESETS.len() as u64) as usize];
        let graph = Graph::random(seed, convention(preset).time_unit);
        must_hold(graph, preset, seed);
    }
}

#[test]
fn every_primitive_under_every_convention() {
    const KINDS: [&str; 9] = [
        "Linear",
        "Affine",
        "Scale",
        "Conv1d",
        "Conv2d",
        "SumPool2d",
        "AvgPool2d",
        "Flatten",
        "Delay",
    ];
    for preset in Convention::PRESETS {
        let unit = convention(preset).time_unit;
        for kind in KINDS {
            must_hold(Graph::of("LIF", kind, unit), preset, 7);
        }
        for model in MODELS {
            must_hold(Graph::of(model, "Affine", unit), preset, 8);
        }
    }
}

#[test]
fn a_reducer_finds_the_least() {
    let graph = Graph::random(11, 1.0);
    for smaller in graph.smaller() {
        let tree = nir::to_bytes(&smaller.tree()).expect("it is written");
        let (file, _) = nir::read_bytes(tree).expect("it is read");
        let reading = Reading {
            dt: Some(DT),
            ..Reading::under(convention("euler"))
        };
        Model::from_file(file, "smaller", &reading).expect("it is valid as well");
        assert_ne!(smaller, graph);
    }
}

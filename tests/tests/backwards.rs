//! Random NIR graphs with what trains them, on the emulated chip: the bits of the interpreter.
//!
//! `NIRC_GRAPHS` and `NIRC_GRAPH_SEED` say how many graphs, and from which seed on.

use nirc_compiler::lower::lower;
use nirc_compiler::nir;
use nirc_compiler::options::{Cost, Loss, Optimiser, Options, Regulariser, Rule, Score};
use nirc_ir::codes;
use nirc_ir::convention::Convention;
use nirc_ir::event::Program;
use nirc_ir::network::{Network, Population, PopulationKind};
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_spinnaker2::target::Target;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::graphs::Graph;
use nirc_tests::rng::Rng;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// Of first spikes, and of voltages.
const LOSSES: [&[Loss]; 2] = [&OF_SPIKES, &OF_VOLTAGES];
const OF_SPIKES: [Loss; 3] = [
    Loss::FirstSpike {
        xi: 1.5,
        alpha: 1e-2,
        beta: 100.0,
    },
    Loss::Given,
    Loss::TargetTimes {
        hit: 2.0,
        miss: 9.0,
    },
];
const OF_VOLTAGES: [Loss; 2] = [
    Loss::Voltage { score: Score::Max },
    Loss::VoltageError {
        hit: 1.0,
        miss: 0.0,
    },
];

/// A graph as it is trained; `None` where it cannot be under this convention, or with this loss.
fn program(seed: u64) -> Option<Program> {
    let mut rng = Rng::new(seed);
    let preset = Convention::PRESETS[rng.below(Convention::PRESETS.len())];
    let convention = Convention::preset(preset).expect("a preset");
    let graph = Graph::random(seed, convention.time_unit);
    let bytes = nir::to_bytes(&graph.tree()).expect("it is written");
    let (file, _) = nir::read_bytes(bytes).expect("it is read");
    let reading = Reading {
        dt: Some(1e-3),
        graded: graph
            .input_names()
            .into_iter()
            .filter(|_| rng.below(3) == 0)
            .collect(),
        ..Reading::under(convention)
    };
    let mut network = Model::from_file(file, "graph", &reading).ok()?.network;
    for projection in network.projections.values_mut() {
        projection.trainable = rng.below(4) > 0;
    }
    // The loss reads one output.
    let kept = rng.below(network.outputs.len());
    network.outputs = vec![network.outputs.swap_remove(kept)];
    let output = &network.populations[network.outputs[0].population];
    let losses = match &output.kind {
        PopulationKind::Neurons(neuron) => LOSSES[usize::from(neuron.firing.is_none())],
        PopulationKind::Source | PopulationKind::Graded => return None,
    };
    let options = Options {
        events: None,
        ticks: 2 + u32::try_from(rng.below(18)).expect("small"),
        batch: 3,
        replicas: 1 + rng.below(2),
        spike_bound: None,
        loss: Some(losses[rng.below(losses.len())]),
        adjoint: true,
        regularise: costs(&network, rng.below(3) == 0),
        optimiser: (rng.below(3) > 0).then_some(Optimiser {
            weight_decay: 1e-4,
            ..Optimiser::new(
                Rule::Sgd {
                    momentum: 0.9,
                    nesterov: false,
                },
                1e-3,
            )
        }),
        record: Vec::new(),
    };
    lower(&network, &options).ok()
}

/// Costs of the numbers of spikes of all populations that have some.
fn costs(network: &Network, any: bool) -> Vec<Regulariser> {
    let spiking = network.populations.values().filter(|p| match &p.kind {
        PopulationKind::Neurons(neuron) => any && neuron.firing.is_some(),
        PopulationKind::Source | PopulationKind::Graded => false,
    });
    let of = |p: &Population| {
        let bounds = Cost::Bounds {
            least: 1.0,
            most: 2.0,
        };
        [bounds, Cost::Silent].map(|cost| Regulariser {
            population: p.name.clone(),
            cost,
            strength: 0.1,
        })
    };
    spiking.flat_map(of).collect()
}

#[test]
fn random_graphs_train_on_the_chip_as_in_the_interpreter() {
    let first = variable("NIRC_GRAPH_SEED", 0);
    let graphs = variable("NIRC_GRAPHS", 300);
    let mut ran = 0;
    for seed in first..first + graphs {
        let Some(program) = program(seed) else {
            continue;
        };
        let options = EmulatorOptions {
            threads: 1,
            ..EmulatorOptions::default()
        };
        match Emulated::new(&program, &Target::spinnaker2(), options) {
            Ok(mut chip) => {
                assert_agrees(&mut chip, seed);
                ran += 1;
            }
            Err(problems) => {
                let too_large = problems.0.iter().all(|p| p.code == codes::MAP_SRAM);
                assert!(too_large, "seed {seed}: {problems}");
            }
        }
    }
    println!("{ran} of {graphs} graphs ran");
    assert!(ran >= graphs / 8, "only {ran} of {graphs} graphs ran");
}

//! Random networks converted from each convention to each other one: the same spikes, or a diagnostic.

use std::collections::BTreeMap;

use ndarray::{Array2, Array3, Axis, s};
use nirc_compiler::convert::{Target, convert};
use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{self, File};
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Time;
use nirc_ir::convention::{Convention, CurrentShape, Resistance, SpikeShape};
use nirc_ir::network::{Membrane, PopulationKind};
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::data::signal::{Signal, Spikes};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_runtime::simulation::simulate;
use nirc_runtime::stimulus::Stimulus;
use nirc_tests::rng::Rng;

const INPUTS: usize = 6;
const NEURONS: usize = 5;
const TICKS: usize = 60;

/// Neurons of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kit {
    node: &'static str,
    leak: bool,
    bias: bool,
}

fn tick(convention: &Convention) -> f64 {
    convention.dt.0.unwrap_or(1e-3)
}

fn between(rng: &mut Rng, low: f64, high: f64) -> Dataset {
    let values: Vec<f64> = (0..NEURONS)
        .map(|_| low + (high - low) * f64::from(rng.uniform()))
        .collect();
    Dataset::f64(&[NEURONS as u64], &values).expect("it fits")
}

/// A file that fires under a convention: gains are about 1, whatever it makes of them.
fn file(kit: Kit, from: &Convention, rng: &mut Rng) -> File {
    let own = from.for_node(kit.node).unwrap_or_else(|| from.clone());
    let dt = tick(from) / own.time_unit;
    let zero = || Dataset::f64(&[NEURONS as u64], &[0.0; NEURONS]).expect("it fits");
    let node = |name: &str| Group::new().with("type", Dataset::text(name));
    let mut neurons = node(kit.node);
    let cuba = kit.node == "CubaLIF";
    match kit.node {
        "IF" if own.spike == SpikeShape::Jump => neurons.insert("r", between(rng, 0.5, 1.5)),
        "IF" => neurons.insert("r", between(rng, 0.5 / dt, 1.5 / dt)),
        _ => {
            let tau = if cuba { "tau_mem" } else { "tau" };
            neurons.insert(tau, between(rng, 3.0 * dt, 15.0 * dt));
            neurons.insert("r", between(rng, 4.0, 10.0));
            let leak = between(rng, 0.01, 0.1);
            neurons.insert("v_leak", if kit.leak { leak } else { zero() });
        }
    }
    if cuba {
        neurons.insert("tau_syn", between(rng, 2.0 * dt, 8.0 * dt));
        neurons.insert("w_in", between(rng, 1.0, 3.0));
    }
    // Without a resistance, one arriving spike moves the voltage by a part of its weight only; without gains, what a
    // current leaves in it adds up.
    let scale = match (own.resistance, own.spike) {
        _ if cuba && own.current == CurrentShape::Unit => 6.0,
        (Resistance::File, SpikeShape::Unit) if cuba => 6.0,
        (Resistance::One, SpikeShape::Held) if kit.node == "IF" => tick(from),
        (Resistance::One, SpikeShape::Held) => 0.2,
        _ => 1.0,
    };
    neurons.insert("v_threshold", between(rng, 0.8 * scale, 1.2 * scale));
    neurons.insert("v_reset", zero());
    let count = NEURONS * INPUTS;
    let weights: Vec<f64> = (0..count)
        .map(|_| 1.1 * f64::from(rng.uniform()) - 0.25)
        .collect();
    let weight = Dataset::f64(&[NEURONS as u64, INPUTS as u64], &weights).expect("it fits");
    let fc = if kit.bias {
        node("Affine").with("bias", between(rng, 0.0, 0.1))
    } else {
        node("Linear")
    };
    let port = |name: &str, size: usize| {
        node(name).with(
            "shape",
            Dataset::i64(&[1], &[size as i64]).expect("it fits"),
        )
    };
    let nodes = Group::new()
        .with("in", port("Input", INPUTS))
        .with("fc", fc.with("weight", weight))
        .with("pop", neurons)
        .with("out", port("Output", NEURONS));
    let edges = ["in", "fc", "fc", "pop", "pop", "out"].map(str::to_owned);
    let graph = Group::new()
        .with(
            "edges",
            Dataset::texts(&[3, 2], edges.to_vec()).expect("it fits"),
        )
        .with("nodes", nodes)
        .with("type", Dataset::text("NIRGraph"));
    let root = Group::new()
        .with("node", graph)
        .with("version", Dataset::text("1.0.8"));
    File::from_tree(root).expect("a graph")
}

fn reading(convention: &Convention) -> Reading {
    Reading {
        dt: Some(tick(convention)),
        ..Reading::under(convention.clone())
    }
}

fn spikes(model: &Model, input: &Array3<u8>) -> Array2<f64> {
    let signal = Signal::Spikes(Spikes::from_raster(input).expect("spikes"));
    let stimulus = Stimulus::new(TICKS as u32, vec![("in".to_owned(), signal)]);
    let record = Record {
        population: "pop".to_owned(),
        quantity: Quantity::Spikes,
    };
    let executors = Executors {
        kind: Kind::Interpreter,
        threads: 1,
        balance: nirc_spinnaker2::mapping::slice::Balance::default(),
    };
    let run = simulate(
        &model.network,
        Time::Ticks,
        &stimulus,
        &[record],
        executors,
        &mut |_| {},
    );
    let (recorded, _) = run.unwrap_or_else(|e| panic!("{e}"));
    let array = match &recorded[0].1 {
        Signal::Spikes(spikes) => spikes.raster().expect("small").mapv(f64::from),
        Signal::Values(values) => values.array().mapv(f64::from),
    };
    array.index_axis(Axis(1), 0).to_owned()
}

/// Ticks from an input spike to the spike that it causes, and those in which only bias and leak act before it arrives.
fn latency(model: &Model) -> (usize, u32) {
    let found = model
        .network
        .populations
        .iter()
        .find(|(_, p)| p.name == "pop");
    let convention = model.network.convention_of(found.expect("it is there").0);
    let latency = convention.delay + convention.output_delay;
    (latency as usize, convention.delay - convention.first_tick)
}

fn model_leaks(model: &Model) -> bool {
    let mut populations = model.network.populations.values();
    populations.any(|p| match &p.kind {
        PopulationKind::Neurons(neuron) => {
            matches!(&neuron.membrane, Membrane::Leaky { v_leak, .. } if !v_leak.is(0.0))
        }
        _ => false,
    })
}

/// The model under the other convention.
fn converted(model: &Model, to: &Convention) -> Result<(Model, Diagnostics), Diagnostics> {
    let dt = tick(to);
    let target = Target {
        convention: to,
        changes: &[],
        dt,
    };
    let (rewrites, notes) = convert(&model.network, target)?;
    let metadata = nir::convention_metadata(to, &[], dt);
    let bytes = nir::rewrite(model.file(), &rewrites, &metadata)?;
    let model = Model::from_bytes(bytes, "converted", &reading(to))?;
    Ok((model, notes))
}

/// Which pairs of conventions could be converted, of one kind of network.
fn every_pair(kit: Kit, seed: u64) -> BTreeMap<(&'static str, &'static str), bool> {
    let mut pairs = BTreeMap::new();
    for (row, a) in Convention::PRESETS.into_iter().enumerate() {
        let from = Convention::preset(a).expect("a preset");
        let mut rng = Rng::new(100 * seed + row as u64);
        let file = file(kit, &from, &mut rng);
        let raster = Array3::from_shape_fn((TICKS, 1, INPUTS), |_| {
            u8::from(f64::from(rng.uniform()) < 0.3)
        });
        let Ok(model) = Model::from_file(file, "random", &reading(&from)) else {
            panic!("{a}, {kit:?}: it is not imported");
        };
        let expected = spikes(&model, &raster);
        let share = expected.mapv(|n| f64::from(u8::from(n > 0.0))).sum() / expected.len() as f64;
        assert!(
            share > 0.01 && share < 0.95,
            "{a}, {kit:?}: {share} of bins fire"
        );
        for b in Convention::PRESETS {
            let to = Convention::preset(b).expect("a preset");
            let (other, notes) = match converted(&model, &to) {
                Ok(other) => other,
                Err(problems) => {
                    assert!(
                        problems.0.iter().any(|d| d.code == codes::CONVENTION),
                        "{a} to {b}: {problems}"
                    );
                    pairs.insert((a, b), false);
                    continue;
                }
            };
            pairs.insert((a, b), true);
            let found = spikes(&other, &raster);
            let ((then, lead), (now, other_lead)) = (latency(&model), latency(&other));
            // What acts from the first tick on comes no later where spikes do, of which there is a warning.
            let constant = kit.bias || (kit.leak && model_leaks(&model));
            if constant && lead != other_lead {
                assert!(
                    notes.to_string().contains("bias and leak"),
                    "{a} to {b}: {notes}"
                );
                continue;
            }
            let ticks = TICKS - then.max(now);
            let early = expected.slice(s![then..then + ticks, ..]);
            let late = found.slice(s![now..now + ticks, ..]);
            let wrong = early.indexed_iter().find(|(at, n)| late[*at] != **n);
            assert_eq!(wrong, None, "{a} to {b}, {kit:?}");
        }
    }
    pairs
}

fn kits() -> impl Iterator<Item = Kit> {
    ["LIF", "CubaLIF", "IF"].into_iter().flat_map(|node| {
        let choices = [(false, false), (true, false), (false, true), (true, true)];
        choices.into_iter().filter_map(move |(leak, bias)| {
            (node != "IF" || !leak).then_some(Kit { node, leak, bias })
        })
    })
}

/// Conventions that can express each other's neurons, if these have no leak voltage.
fn classes(node: &str) -> &'static [&'static [&'static str]] {
    match node {
        "LIF" => &[
            &[
                "euler",
                "event",
                "eventprop",
                "jaxsnn",
                "lava",
                "norse",
                "snntorch",
            ],
            &["spyx", "spyx-2023"],
            &["rockpool", "sinabs"],
        ],
        "CubaLIF" => &[
            &["euler", "eventprop", "lava", "norse", "snntorch"],
            &["event", "jaxsnn"],
            &["spyx", "spyx-2023"],
            &["rockpool", "sinabs"],
        ],
        // snnTorch's IF decays, and Sinabs' has a floor.
        _ => &[
            &[
                "euler",
                "event",
                "eventprop",
                "jaxsnn",
                "lava",
                "nengo",
                "norse",
            ],
            &["spyx", "spyx-2023"],
        ],
    }
}

#[test]
fn spikes_are_the_same_or_it_is_told_why_not() {
    for (kit, seed) in kits().flat_map(|kit| (1..=4).map(move |seed| (kit, seed))) {
        for ((a, b), converted) in every_pair(kit, seed) {
            let together = classes(kit.node)
                .iter()
                .any(|class| class.contains(&a) && class.contains(&b));
            // Weights of 8 bits are not converted.
            let possible = (a == b && a != "spinnaker2-int8") || together;
            if !kit.leak || a == b {
                assert_eq!(converted, possible, "{a} to {b}, {kit:?}");
            }
        }
    }
}

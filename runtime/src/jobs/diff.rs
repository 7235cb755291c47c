//! Two files, or one under two conventions: what they contain, what they do, and which attribute explains it.

use std::path::PathBuf;

use nirc_compiler::nir::{self, Difference};
use nirc_compiler::options::{Quantity, Record};
use nirc_ir::Diagnostics;
use nirc_ir::network::Network;
use serde::Serialize;

use super::explain::{Explanation, Read, explain};
use super::stack;
use crate::data::signal::{Name, Signal};
use crate::device::Executors;
use crate::model::Model;
use crate::reading::Reading;
use crate::simulation::simulate;
use crate::stimulus::Stimulus;

/// What to compare.
#[derive(Clone, Debug)]
pub struct Diff {
    /// Both files.
    pub files: [PathBuf; 2],
    /// How each is read; without, only the contents are compared.
    pub readings: Option<[Reading; 2]>,
    /// Input for both; without, what they do is not compared.
    pub input: Option<PathBuf>,
    /// Where they run.
    pub executors: Executors,
}

/// What differs.
#[derive(Clone, Debug, Serialize)]
pub struct Differences {
    /// In nodes, edges and fields.
    pub content: Vec<Difference>,
    /// In what they do, if they were run.
    pub behaviour: Option<Behaviour>,
    /// Notes of reading and importing.
    #[serde(skip)]
    pub notes: Diagnostics,
}

/// How two runs on the same input compare.
#[derive(Clone, Debug, Serialize)]
pub struct Behaviour {
    /// Populations that both have, with how often they differ.
    pub populations: Vec<Comparison>,
    /// Where they first differ, in the order of ticks, then populations.
    pub first: Option<First>,
    /// Which attributes explain that.
    pub explanation: Explanation,
}

/// A population in both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Its name.
    pub population: String,
    /// Bins in which one has a spike and the other has not, if it spikes.
    pub spikes: Option<usize>,
    /// Of how many.
    pub bins: usize,
    /// The largest difference of a voltage.
    pub voltage: f64,
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct First {
    /// The tick.
    pub tick: u32,
    /// The population.
    pub population: String,
    /// The sample.
    pub sample: u32,
    /// The neuron.
    pub neuron: u32,
    /// Whether each has a spike there.
    pub spikes: [bool; 2],
}

/// Compares.
///
/// # Errors
/// When a file cannot be read, or, if there is input, one of the two cannot be run.
pub fn diff(job: &Diff) -> Result<Differences, Diagnostics> {
    let [a, b] = &job.files;
    let (file_a, mut notes) = nir::read(a)?;
    let (file_b, more) = nir::read(b)?;
    notes.0.extend(more.0);
    let mut differences = Differences {
        content: nir::compare(&file_a, &file_b),
        behaviour: None,
        notes,
    };
    if let (Some(input), Some(readings)) = (&job.input, &job.readings) {
        let models = [
            Model::from_file(file_a, "a", &readings[0]).map_err(|p| placed(p, a))?,
            Model::from_file(file_b, "b", &readings[1]).map_err(|p| placed(p, b))?,
        ];
        let behaviour = behaviour(
            models,
            readings,
            input,
            job.executors,
            &mut differences.notes,
        )?;
        differences.behaviour = Some(behaviour);
    }
    Ok(differences)
}

fn placed(problems: Diagnostics, path: &std::path::Path) -> Diagnostics {
    problems.placed_at(&path.display().to_string())
}

fn behaviour(
    [a, b]: [Model; 2],
    readings: &[Reading; 2],
    input: &std::path::Path,
    executors: Executors,
    notes: &mut Diagnostics,
) -> Result<Behaviour, Diagnostics> {
    let (stimulus, more) = Stimulus::read(input, &a.network, None)?;
    notes.0.extend(more.0);
    let graded = stimulus.graded();
    let reread = |model: Model, reading: &Reading| {
        let reading = Reading {
            graded: graded.clone(),
            ..reading.clone()
        };
        if graded.is_empty() {
            Ok(model)
        } else {
            model.reread(&reading)
        }
    };
    let models = [reread(a, &readings[0])?, reread(b, &readings[1])?];
    for note in models.iter().flat_map(|model| &model.notes.0) {
        if !notes.0.contains(note) {
            notes.push(note.clone());
        }
    }
    let runs = [
        record(&models[0].network, &stimulus, executors)?,
        record(&models[1].network, &stimulus, executors)?,
    ];
    let populations = compare(&runs);
    let first = first(&runs);
    let mut spikes_left = |reading: &Reading| {
        let reading = Reading {
            graded: graded.clone(),
            ..reading.clone()
        };
        let model = models[1].reread(&reading).ok()?;
        let run = record(&model.network, &stimulus, executors).ok()?;
        Some(left(&[runs[0].clone(), run]))
    };
    let explanation = match first {
        None => Explanation::default(),
        Some(_) => {
            let read = |i: usize| Read::new(&readings[i], &models[i].network);
            explain(&[read(0), read(1)], &mut spikes_left)
        }
    };
    Ok(Behaviour {
        populations,
        first,
        explanation,
    })
}

type Recorded = Vec<(Name, Signal)>;

/// Spikes and voltages of all populations.
fn record(
    network: &Network,
    stimulus: &Stimulus,
    executors: Executors,
) -> Result<Recorded, Diagnostics> {
    let wanted = |r: &Record| matches!(r.quantity, Quantity::Spikes | Quantity::V);
    let record: Vec<Record> = stack::everything(network, false)
        .into_iter()
        .filter(wanted)
        .collect();
    let (recorded, _) = simulate(network, stimulus, &record, executors, &mut |_| {})?;
    Ok(recorded)
}

fn pairs<'a>(runs: &'a [Recorded; 2], quantity: &str) -> Vec<(&'a str, [&'a Signal; 2])> {
    let of = |(name, signal): &'a (Name, Signal)| {
        if name.quantity.as_deref() != Some(quantity) {
            return None;
        }
        let other = runs[1].iter().find(|(other, _)| other == name)?;
        let same = signal.extent() == other.1.extent();
        same.then_some((name.node.as_str(), [signal, &other.1]))
    };
    runs[0].iter().filter_map(of).collect()
}

fn compare(runs: &[Recorded; 2]) -> Vec<Comparison> {
    let spikes = pairs(runs, "spikes");
    let voltages = pairs(runs, "v");
    let comparison = |(name, pair): &(&str, [&Signal; 2])| {
        let spikes = spikes.iter().find(|(other, _)| other == name);
        let extent = pair[0].extent();
        Comparison {
            population: (*name).to_owned(),
            spikes: spikes.map(|(_, pair)| differing(pair).len()),
            bins: extent.ticks() as usize * extent.samples() as usize * extent.channels() as usize,
            voltage: widest(pair),
        }
    };
    voltages.iter().map(comparison).collect()
}

/// Bins, as (tick, sample, neuron), in which one signal is zero and the other is not, or has another count.
fn differing(pair: &[&Signal; 2]) -> Vec<(u32, u32, u32, [bool; 2])> {
    let events = pair.map(bins);
    let mut found = Vec::new();
    let (mut a, mut b) = (events[0].iter().peekable(), events[1].iter().peekable());
    loop {
        match (a.peek().copied(), b.peek().copied()) {
            (None, None) => return found,
            (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                found.push((x.0.0, x.0.1, x.0.2, [true, false]));
                a.next();
            }
            (Some(x), Some(y)) if x.0 == y.0 => {
                if x.1 != y.1 {
                    found.push((x.0.0, x.0.1, x.0.2, [true, true]));
                }
                a.next();
                b.next();
            }
            (_, Some(y)) => {
                found.push((y.0.0, y.0.1, y.0.2, [false, true]));
                b.next();
            }
            (Some(_), None) => return found,
        }
    }
}

/// Tick, sample, neuron, and what is there.
type Bin = ((u32, u32, u32), u32);

/// The bins that are not zero, in order.
fn bins(signal: &Signal) -> Vec<Bin> {
    let mut all = Vec::new();
    match signal {
        Signal::Spikes(spikes) => {
            for (b, sample) in (0..).zip(spikes.samples()) {
                all.extend(sample.iter().map(|s| ((s.tick, b, s.channel), 1)));
            }
        }
        Signal::Values(values) => {
            for ((tick, sample, channel), value) in values.array().indexed_iter() {
                if *value != 0.0 {
                    let place =
                        [tick, sample, channel].map(|i| u32::try_from(i).unwrap_or(u32::MAX));
                    all.push(((place[0], place[1], place[2]), value.to_bits()));
                }
            }
        }
    }
    all.sort_unstable();
    all
}

/// Bins of spikes that differ, over all populations.
fn left(runs: &[Recorded; 2]) -> usize {
    let spikes = pairs(runs, "spikes");
    spikes.iter().map(|(_, pair)| differing(pair).len()).sum()
}

fn widest(pair: &[&Signal; 2]) -> f64 {
    match pair {
        [Signal::Values(a), Signal::Values(b)] => {
            let pairs = a.array().iter().zip(b.array());
            let widths = pairs.map(|(a, b)| f64::from((a - b).abs()));
            widths.fold(0.0, f64::max)
        }
        _ => 0.0,
    }
}

fn first(runs: &[Recorded; 2]) -> Option<First> {
    let mut firsts = Vec::new();
    for (order, (name, pair)) in pairs(runs, "spikes").iter().enumerate() {
        let found = differing(pair).into_iter().next();
        firsts.extend(found.map(|(tick, sample, neuron, spikes)| {
            let first = First {
                tick,
                population: (*name).to_owned(),
                sample,
                neuron,
                spikes,
            };
            (tick, order, first)
        }));
    }
    let first = firsts
        .into_iter()
        .min_by_key(|(tick, order, _)| (*tick, *order));
    first.map(|(_, _, first)| first)
}

//! Two files, or one under two conventions: what they contain, what they do, and which attribute explains it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::Array3;
use nirc_compiler::nir::{self, Difference};
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Change;
use nirc_ir::convention::Convention;
use nirc_ir::network::{Pop, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::Serialize;

use super::stack;
use crate::data::signal::{Signal, SignalError};
use crate::device::Executors;
use crate::model::Model;
use crate::reading::{OF_THE_WHOLE, Reading};
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
    /// Populations that cannot be compared.
    pub apart: Vec<Apart>,
    /// Where they first differ, in the order of ticks, then populations.
    pub first: Option<First>,
    /// What becomes of the differences if the second is read with one attribute of the first.
    pub attributes: Vec<Explanation>,
    /// The fewest attributes found that explain it together, where no single one does.
    pub together: Vec<String>,
    /// Bins that differ even if the second is read with all attributes of the first.
    pub read_alike: Option<usize>,
}

/// What of a population is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compared {
    /// Spikes, or how many there are in a tick.
    Spikes,
    /// Voltages of neurons that do not spike; a millionth of the largest is no difference.
    V,
}

/// A population in both runs.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// Its name.
    pub population: String,
    /// What is compared.
    pub compared: Compared,
    /// Bins in which that differs.
    pub differing: usize,
    /// Of how many.
    pub bins: usize,
    /// The largest difference of a voltage.
    pub voltage: f64,
}

/// A population that only one of the two has, or that has another size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Apart {
    /// Its name.
    pub population: String,
    /// Why it cannot be compared.
    pub why: &'static str,
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct First {
    /// The tick.
    pub tick: usize,
    /// The population.
    pub population: String,
    /// The sample.
    pub sample: usize,
    /// The neuron.
    pub neuron: usize,
    /// What is compared.
    pub compared: Compared,
    /// The spikes or the voltage there.
    pub values: [f32; 2],
}

/// An attribute that may explain a difference.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The attribute.
    pub attribute: String,
    /// The populations that have it otherwise, if not all do.
    pub of: Vec<String>,
    /// Its value in both.
    pub values: [String; 2],
    /// Bins that still differ when the second has the first's value; `None` where it cannot have it alone.
    pub left: Option<usize>,
}

impl Explanation {
    /// The attribute, and of which populations.
    pub fn label(&self) -> String {
        match &self.of[..] {
            [] => self.attribute.clone(),
            of => format!("{} of {}", self.attribute, of.join(", ")),
        }
    }
}

/// Compares.
///
/// # Errors
/// When a file cannot be read, or, if there is input, one of the two cannot be run; with what is wrong with
/// either.
pub fn diff(job: &Diff) -> Result<Differences, Diagnostics> {
    let [a, b] = &job.files;
    let read = |path: &Path| nir::read(path);
    let ((file_a, mut notes), (file_b, more)) = both(&job.files, [read(a), read(b)])?;
    add(&mut notes, more);
    let content = nir::compare(&file_a, &file_b);
    let mut behaviour = None;
    if let (Some(input), Some(readings)) = (&job.input, &job.readings) {
        let models = [(file_a, "a", &readings[0]), (file_b, "b", &readings[1])];
        let models = models.map(|(file, name, reading)| Model::from_file(file, name, reading));
        let (model_a, model_b) = both(&job.files, models)?;
        let of = |model, reading| Subject {
            model,
            reading,
            input,
            executors: job.executors,
        };
        let subjects = [of(&model_a, &readings[0]), of(&model_b, &readings[1])];
        behaviour = Some(behave(&subjects, &job.files, &mut notes)?);
    }
    Ok(Differences {
        content,
        behaviour,
        notes,
    })
}

/// Two results, or the problems of both, each placed in its file.
fn both<T>(
    files: &[PathBuf; 2],
    [a, b]: [Result<T, Diagnostics>; 2],
) -> Result<(T, T), Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut sound = Vec::new();
    for (path, result) in files.iter().zip([a, b]) {
        match result {
            Ok(value) => sound.push(value),
            Err(found) => add(&mut problems, within(found, path)),
        }
    }
    match <[T; 2]>::try_from(sound) {
        Ok([a, b]) => Ok((a, b)),
        Err(_) => Err(problems),
    }
}

/// Places problems of nodes in their file.
fn within(mut problems: Diagnostics, path: &Path) -> Diagnostics {
    let file = path.display().to_string();
    for problem in &mut problems.0 {
        if problem.place.is_empty() {
            problem.place.clone_from(&file);
        } else if !problem.place.starts_with(&file) {
            problem.place = format!("{file}: {}", problem.place);
        }
    }
    problems
}

/// Adds those that are not there yet.
fn add(all: &mut Diagnostics, more: Diagnostics) {
    for problem in more.0 {
        if !all.0.contains(&problem) {
            all.push(problem);
        }
    }
}

/// One of the two, and how it is run.
struct Subject<'a> {
    model: &'a Model,
    reading: &'a Reading,
    input: &'a Path,
    executors: Executors,
}

/// What a population did.
struct Deed {
    population: String,
    compared: Compared,
    /// What is compared, (T, B, N).
    values: Array3<f32>,
    voltage: Array3<f32>,
}

type Deeds = Vec<Deed>;

impl Subject<'_> {
    /// What all populations do when the file is read so.
    fn run(&self, reading: &Reading) -> Result<(Deeds, Diagnostics), Diagnostics> {
        let model = self.model.reread(reading)?;
        let (stimulus, mut notes) = Stimulus::read(self.input, &model.network, None)?;
        let graded = stimulus.graded();
        let model = match graded.is_empty() {
            true => model,
            false => self.model.reread(&Reading {
                graded,
                ..reading.clone()
            })?,
        };
        add(&mut notes, model.notes.clone());
        let wanted = |r: &Record| matches!(r.quantity, Quantity::Spikes | Quantity::V);
        let record = stack::everything(&model.network, false).into_iter();
        let record: Vec<Record> = record.filter(wanted).collect();
        let (recorded, _) = simulate(
            &model.network,
            reading.time,
            &stimulus,
            &record,
            self.executors,
            &mut |_| {},
        )?;
        let mut arrays = BTreeMap::new();
        for (name, signal) in recorded {
            let array = dense(&name.node, signal)?;
            arrays.insert((name.node, name.quantity), array);
        }
        let mut take = |population: &str, quantity: Quantity| {
            arrays.remove(&(population.to_owned(), Some(quantity.name().to_owned())))
        };
        let mut deeds = Deeds::new();
        for population in model.network.populations.values() {
            let Some(voltage) = take(&population.name, Quantity::V) else {
                continue;
            };
            let spikes = take(&population.name, Quantity::Spikes);
            deeds.push(Deed {
                population: population.name.clone(),
                compared: if spikes.is_some() {
                    Compared::Spikes
                } else {
                    Compared::V
                },
                values: spikes.unwrap_or_else(|| voltage.clone()),
                voltage,
            });
        }
        Ok((deeds, notes))
    }
}

fn dense(place: &str, signal: Signal) -> Result<Array3<f32>, Diagnostic> {
    let refused = |e: SignalError| Diagnostic::error(codes::DATA_ARRAY, place, e.to_string());
    match signal {
        Signal::Values(values) => Ok(values.array().clone()),
        Signal::Spikes(spikes) => Ok(spikes.raster().map_err(refused)?.mapv(f32::from)),
    }
}

fn behave(
    subjects: &[Subject<'_>; 2],
    files: &[PathBuf; 2],
    notes: &mut Diagnostics,
) -> Result<Behaviour, Diagnostics> {
    let runs = subjects
        .each_ref()
        .map(|subject| subject.run(subject.reading));
    let ((a, of_a), (b, of_b)) = both(files, runs)?;
    add(notes, of_a);
    add(notes, of_b);
    let pairs = pairs(&a, &b);
    let mut behaviour = Behaviour {
        populations: pairs.iter().map(|pair| compare(*pair)).collect(),
        apart: apart(&a, &b),
        first: first(&pairs),
        attributes: Vec::new(),
        together: Vec::new(),
        read_alike: None,
    };
    if behaviour.first.is_some() {
        explain(subjects, &a, &mut behaviour);
    }
    Ok(behaviour)
}

type Pair<'a> = (&'a Deed, &'a Deed);

/// Populations that both have.
fn pairs<'a>(a: &'a Deeds, b: &'a Deeds) -> Vec<Pair<'a>> {
    let partner = |deed: &'a Deed| {
        let other = b.iter().find(|other| other.population == deed.population)?;
        let alike = deed.compared == other.compared && deed.values.dim() == other.values.dim();
        alike.then_some((deed, other))
    };
    a.iter().filter_map(partner).collect()
}

fn apart(a: &Deeds, b: &Deeds) -> Vec<Apart> {
    let paired = pairs(a, b);
    let is_paired = |deed: &&Deed| !paired.iter().any(|(a, _)| a.population == deed.population);
    let has = |all: &Deeds, deed: &Deed| all.iter().any(|d| d.population == deed.population);
    let of = |deed: &Deed, why| Apart {
        population: deed.population.clone(),
        why,
    };
    let only_a = a.iter().filter(is_paired).map(|deed| match has(b, deed) {
        true => of(deed, "of another size or kind in B"),
        false => of(deed, "only in A"),
    });
    let only_b = b.iter().filter(|deed| !has(a, deed));
    only_a
        .chain(only_b.map(|deed| of(deed, "only in B")))
        .collect()
}

fn compare((a, b): Pair<'_>) -> Comparison {
    let widths = a.voltage.iter().zip(&b.voltage);
    let widths = widths.map(|(a, b)| f64::from((a - b).abs()));
    Comparison {
        population: a.population.clone(),
        compared: a.compared,
        differing: differing((a, b)).count(),
        bins: a.values.len(),
        voltage: widths.fold(0.0, f64::max),
    }
}

/// Bins, as (tick, sample, neuron), in which the two differ, with the values of both.
fn differing<'a>((a, b): Pair<'a>) -> impl Iterator<Item = ((usize, usize, usize), [f32; 2])> + 'a {
    let largest = a.values.iter().chain(&b.values);
    let largest = largest.fold(0.0_f32, |largest, v| largest.max(v.abs()));
    let tolerance = match a.compared {
        Compared::Spikes => 0.0,
        Compared::V => 1e-6 * largest,
    };
    let bins = a.values.indexed_iter().zip(&b.values);
    bins.filter_map(move |((bin, a), b)| {
        let same = a.to_bits() == b.to_bits() || (a - b).abs() <= tolerance;
        (!same).then_some((bin, [*a, *b]))
    })
}

fn first(pairs: &[Pair<'_>]) -> Option<First> {
    let firsts = pairs.iter().filter_map(|pair| {
        let ((tick, sample, neuron), values) = differing(*pair).next()?;
        Some(First {
            tick,
            population: pair.0.population.clone(),
            sample,
            neuron,
            compared: pair.0.compared,
            values,
        })
    });
    firsts.min_by_key(|first| first.tick)
}

/// Reads the second with attributes of the first: each alone, then all, then as few as explain it.
fn explain([a, b]: &[Subject<'_>; 2], run_a: &Deeds, behaviour: &mut Behaviour) {
    let left = |choices: &[&Explanation]| -> Option<usize> {
        let reading = changed(b.reading, a.model.network.dt, choices)?;
        let (run_b, _) = b.run(&reading).ok()?;
        let differing = pairs(run_a, &run_b)
            .into_iter()
            .map(|pair| differing(pair).count());
        Some(differing.sum())
    };
    let mut all = unlike(a.model, b.model);
    for explanation in &mut all {
        explanation.left = left(&[explanation]);
    }
    all.sort_by_key(|explanation| explanation.left.unwrap_or(usize::MAX));
    behaviour.read_alike = match &all[..] {
        [] => behaviour
            .populations
            .iter()
            .map(|p| Some(p.differing))
            .sum(),
        some => left(&some.iter().collect::<Vec<_>>()),
    };
    let alone = all.first().is_some_and(|best| best.left == Some(0));
    if !alone && behaviour.read_alike == Some(0) {
        let mut needed: Vec<&Explanation> = all.iter().collect();
        for explanation in all.iter().rev() {
            let fewer = needed
                .iter()
                .copied()
                .filter(|e| !std::ptr::eq(*e, explanation));
            let fewer: Vec<&Explanation> = fewer.collect();
            if left(&fewer) == Some(0) {
                needed = fewer;
            }
        }
        behaviour.together = needed.iter().map(|e| e.label()).collect();
    }
    behaviour.attributes = all;
}

/// The attributes in which two readings of the same populations differ.
fn unlike(a: &Model, b: &Model) -> Vec<Explanation> {
    let mut found: BTreeMap<(usize, [String; 2]), Vec<String>> = BTreeMap::new();
    let common = common(a, b);
    for (name, pop_a, pop_b) in &common {
        let of_a = a.network.convention_of(*pop_a);
        let of_b = b.network.convention_of(*pop_b);
        for (k, values) in otherwise(of_a, of_b, |name| !OF_THE_WHOLE.contains(&name)) {
            found.entry((k, values)).or_default().push(name.clone());
        }
    }
    let (of_a, of_b) = (&a.network.convention, &b.network.convention);
    // A tick is as long as file, option and convention say together.
    let whole = |name: &str| OF_THE_WHOLE.contains(&name) && name != "dt";
    found.extend(otherwise(of_a, of_b, whole).map(|key| (key, Vec::new())));
    let explanation = |((k, values), names): ((usize, [String; 2]), Vec<String>)| Explanation {
        attribute: Convention::ATTRIBUTES[k].to_owned(),
        of: if names.len() == common.len() {
            Vec::new()
        } else {
            names
        },
        values,
        left: None,
    };
    let mut all: Vec<Explanation> = found.into_iter().map(explanation).collect();
    let ticks = [a.network.dt, b.network.dt];
    if ticks[0].to_bits() != ticks[1].to_bits() {
        all.push(Explanation {
            attribute: "dt".to_owned(),
            of: Vec::new(),
            values: ticks.map(|dt| format!("{dt:?}")),
            left: None,
        });
    }
    all
}

/// Attributes that two conventions have otherwise, by their place in the list, with both values.
fn otherwise(
    a: &Convention,
    b: &Convention,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = (usize, [String; 2])> {
    let pairs = a.attributes().into_iter().zip(b.attributes()).enumerate();
    pairs
        .filter_map(move |(k, ((name, a), (_, b)))| (a != b && wanted(name)).then_some((k, [a, b])))
}

/// Populations of neurons that both have.
fn common(a: &Model, b: &Model) -> Vec<(String, Pop, Pop)> {
    let neurons = |model: &Model| -> BTreeMap<String, Pop> {
        let all = model.network.populations.iter();
        let neurons = all.filter(|(_, p)| matches!(p.kind, PopulationKind::Neurons(_)));
        neurons.map(|(pop, p)| (p.name.clone(), pop)).collect()
    };
    let of_b = neurons(b);
    let both = neurons(a).into_iter();
    both.filter_map(|(name, pop)| Some((name.clone(), pop, *of_b.get(&name)?)))
        .collect()
}

/// A reading with these attributes as the first has them.
fn changed(reading: &Reading, dt: f64, choices: &[&Explanation]) -> Option<Reading> {
    let mut reading = reading.clone();
    for Explanation {
        attribute,
        of,
        values: [value, _],
        ..
    } in choices
    {
        if attribute == "dt" {
            reading.dt = Some(dt);
            continue;
        }
        if of.is_empty() {
            reading.convention.set(attribute, value).ok()?;
            // What single populations had of it goes with it.
            reading
                .changes
                .retain(|change| change.attribute != *attribute);
        }
        let one = |population| Change {
            population,
            attribute: attribute.clone(),
            value: value.clone(),
        };
        match &of[..] {
            [] => reading.changes.push(one(None)),
            of => reading
                .changes
                .extend(of.iter().cloned().map(|name| one(Some(name)))),
        }
    }
    Some(reading)
}

//! A forward pass over given signals.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use nirc_compiler::options::Record;
use nirc_ir::event::Program;
use nirc_ir::executor::Executor;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;

use super::stack;
use crate::bundle;
use crate::config::Config;
use crate::data::Archive;
use crate::data::signal::{Name, Signal, Spikes, Writing, can_be_written, write_signals};
use crate::device::{Executors, Machine};
use crate::emulated::Stats;
use crate::file;
use crate::model::Model;
use crate::reading::Reading;
use crate::report::{Chip, ForwardReport};
use crate::simulation;
use crate::stimulus::Stimulus;

/// What runs.
#[derive(Clone, Debug)]
pub enum Source {
    /// A network, compiled for this.
    Model {
        /// Its file.
        file: PathBuf,
        /// How that is read.
        reading: Box<Reading>,
        /// Ticks of a sample by a configuration, which the input has to have unless [`Run::ticks`] are given.
        ticks: Option<u32>,
    },
    /// A bundle, with the configuration that it was compiled for training with, if it was; on the emulated chip its
    /// very bytes run.
    Bundle(PathBuf, Option<Box<Config>>),
}

/// What to run on which input.
#[derive(Clone, Debug)]
pub struct Run {
    /// What runs.
    pub source: Source,
    /// Signals of the inputs, in any format of [`crate::data::signal`].
    pub input: PathBuf,
    /// Ticks of a sample, where that is more than the input has.
    pub ticks: Option<u32>,
    /// What to record, as `population.quantity`. If nothing is named: what the bundle was compiled to record, or
    /// what leaves the network.
    pub record: Vec<String>,
    /// Where it runs.
    pub executors: Executors,
    /// The file to write: what was recorded, each (T, B, N), and in an archive `first_spike` (B, N) too.
    pub output: PathBuf,
    /// A page to write about it.
    pub report: Option<PathBuf>,
}

/// What a run was.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Notes of the import.
    pub notes: Diagnostics,
    /// Ticks of a sample.
    pub ticks: u32,
    /// Number of samples.
    pub samples: usize,
    /// What the emulated chip counted, if one ran.
    pub stats: Option<Stats>,
    /// What each of its PEs runs.
    pub names: Vec<String>,
}

/// Runs and writes the recordings.
///
/// Where a bundle's images do not record what is asked for, its model is compiled anew, and a note says so.
///
/// # Errors
/// When a file is unreadable or does not fit, the network does not compile, or the device fails.
pub fn run(job: &Run, progress: &mut dyn FnMut(usize, usize)) -> Result<Ran, Diagnostics> {
    let (Source::Model { file: source, .. } | Source::Bundle(source, _)) = &job.source;
    for written in [Some(&job.output), job.report.as_ref()]
        .into_iter()
        .flatten()
    {
        file::keeps(written, &[source, &job.input])?;
    }
    let mut setup = Setup::open(job)?;
    let stimulus = setup.stimulus(job)?;
    let record = stack::recorded(&setup.record, &setup.model.network)?;
    let names: Vec<String> = record.iter().map(stack::name).collect();
    can_be_written(&job.output, &names)?;
    let samples = stimulus.samples();
    let mut watch = |done| progress(done, samples);
    let target = Target::spinnaker2();
    let program = setup.program(&stimulus, &record, &target)?;
    stack::check(&record, &program)?;
    let mut machine = match &setup.bundle {
        Some(bundle) => job.executors.start_bundle(&program, bundle, &target)?,
        None => job.executors.start(&program, &target)?,
    };
    let network = &setup.model.network;
    let signals = simulation::run(&mut machine, network, &stimulus, &record, &mut watch)?;
    write(&job.output, &signals, network.dt)?;
    let stats = Machine::stats(&machine)?;
    if let Some(path) = &job.report {
        let report = ForwardReport {
            network,
            program: &program,
            executor: Executor::name(&machine),
            stimulus: &stimulus,
            recorded: &signals,
            chip: stats.as_ref().map(|stats| Chip {
                target: &target,
                bundle: setup.bundle.as_ref(),
                balance: job.executors.balance,
                stats,
            }),
        };
        file::write_atomically(path, report.render()?.as_bytes())?;
    }
    let mut notes = setup.model.notes;
    notes.0.extend(signals.iter().filter_map(diverged));
    Ok(Ran {
        notes,
        ticks: stimulus.ticks(),
        samples,
        stats,
        names: machine.names(),
    })
}

/// A warning about values that are none.
fn diverged((name, signal): &(Name, Signal)) -> Option<Diagnostic> {
    let Signal::Values(values) = signal else {
        return None;
    };
    let mut bins = values.array().indexed_iter();
    let ((tick, sample, neuron), value) = bins.find(|(_, value)| !value.is_finite())?;
    let message =
        format!("no finite number from tick {tick} on: {value} (sample {sample}, neuron {neuron})");
    Some(
        Diagnostic::warning(codes::DIVERGED, name.to_string(), message)
            .help("check time constants against the tick, or choose another `integrator`"),
    )
}

/// What runs, opened.
struct Setup {
    model: Model,
    reading: Reading,
    /// The images that run, if there are some already.
    bundle: Option<Bundle>,
    /// Ticks that a sample has to have, who says so, and the code of input that has others.
    ticks: Option<(u32, &'static str, &'static str)>,
    record: Vec<String>,
}

impl Setup {
    fn open(job: &Run) -> Result<Self, Diagnostics> {
        match &job.source {
            Source::Model {
                file,
                reading,
                ticks,
            } => {
                let reading = Reading::clone(reading).keeping(&job.record);
                Ok(Self {
                    model: Model::open(file, &reading)?,
                    reading,
                    bundle: None,
                    ticks: ticks
                        .filter(|_| job.ticks.is_none())
                        .map(|ticks| (ticks, "the configuration", codes::CONFIG_CONTRADICTION)),
                    record: job.record.clone(),
                })
            }
            Source::Bundle(path, config) => {
                let opened = bundle::open(path, config.as_deref())?;
                let ticks = opened.bundle.origin.ticks;
                if let Some(config) = config
                    && config.time.ticks != ticks
                {
                    let found = config.time.ticks;
                    return Err(wrong_ticks("time.ticks", ticks, found).into());
                }
                let record = match job.record.is_empty() {
                    true => opened.record,
                    false => job.record.clone(),
                };
                Ok(Self {
                    model: opened.model,
                    reading: opened.reading,
                    bundle: Some(opened.bundle),
                    ticks: Some((ticks, "the bundle", codes::BUNDLE)),
                    record,
                })
            }
        }
    }

    /// Reads the input; a model is read again where some of it are values.
    fn stimulus(&mut self, job: &Run) -> Result<Stimulus, Diagnostics> {
        let (stimulus, notes) = Stimulus::read(&job.input, &self.model.network, job.ticks)?;
        self.model.notes.0.extend(notes.0);
        let place = job.input.display().to_string();
        match self.ticks {
            Some((ticks, who, code)) if ticks != stimulus.ticks() => {
                let found = stimulus.ticks();
                let message = format!("{who} is for samples of {ticks} ticks, these have {found}");
                return Err(Diagnostic::error(code, place, message)
                    .help("give an input of as many, or --ticks for a sample that goes on after it")
                    .into());
            }
            _ => {}
        }
        let graded = stimulus.graded();
        if graded != self.reading.graded {
            if let Some(bundle) = &self.bundle {
                return Err(other_kind(bundle, &place, &self.reading.graded, &graded));
            }
            self.reading.graded = graded;
            self.reread()?;
        }
        Ok(stimulus)
    }

    fn reread(&mut self) -> Result<(), Diagnostics> {
        let notes = std::mem::take(&mut self.model.notes);
        self.model = self.model.reread(&self.reading)?;
        let new = notes
            .0
            .into_iter()
            .filter(|note| !self.model.notes.0.contains(note));
        let new: Vec<_> = new.collect();
        self.model.notes.0.extend(new);
        Ok(())
    }

    /// The program: the bundle's, unless that does not record what is to be recorded.
    fn program(
        &mut self,
        stimulus: &Stimulus,
        record: &[Record],
        target: &Target,
    ) -> Result<Program, Diagnostics> {
        if let Some(bundle) = &self.bundle {
            let program = bundle.program().map_err(Diagnostic::from)?;
            if stack::check(record, &program).is_ok() {
                return Ok(program);
            }
            self.bundle = None;
            self.reading = self.reading.clone().keeping(&self.record);
            self.reread()?;
            let message = "its images do not record this: its model is compiled anew";
            let place = self.record.join(",");
            let note = Diagnostic::note(codes::BUNDLE, place, message);
            self.model.notes.push(note);
        }
        let extent = (stimulus.ticks(), stimulus.samples());
        let time = self.reading.time;
        simulation::forward(&self.model.network, time, extent, record, None, target)
    }
}

fn wrong_ticks(place: &str, expected: u32, found: u32) -> Diagnostic {
    let message = format!("expected {expected} ticks a sample, as the bundle has, found {found}");
    Diagnostic::error(codes::BUNDLE, place, message)
        .help("use the configuration that the bundle was compiled with")
}

/// The input is spikes where the images take values, or the reverse.
fn other_kind(
    bundle: &Bundle,
    place: &str,
    expected: &BTreeSet<String>,
    found: &BTreeSet<String>,
) -> Diagnostics {
    let differing = expected.symmetric_difference(found).map(|input| {
        let (takes, has) = match expected.contains(input) {
            true => ("values", "spikes"),
            false => ("spikes", "values"),
        };
        let network = &bundle.origin.network;
        let message =
            format!("{network} was compiled for {takes} at `{input}`, the file has {has}");
        Diagnostic::error(codes::BUNDLE, place, message).help(
            "compile it anew: --values names the inputs that carry values; all others carry spikes",
        )
    });
    Diagnostics(differing.collect())
}

/// Archives of arrays hold first spikes as well, of the one population whose spikes are recorded last.
fn write(path: &Path, signals: &[(Name, Signal)], dt: f64) -> Result<(), Diagnostic> {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if !extension.eq_ignore_ascii_case("npz") {
        let writing = Writing {
            dt: Some(dt),
            ..Writing::default()
        };
        return write_signals(path, signals, &writing);
    }
    let mut archive = Archive::new();
    let spikes = signals.iter().rev().find_map(|(_, signal)| match signal {
        Signal::Spikes(spikes) => Some(spikes),
        Signal::Values(_) => None,
    });
    if let Some(spikes) = spikes {
        archive.add("first_spike", &first_spikes(spikes))?;
    }
    for (name, signal) in signals {
        stack::add(&mut archive, name, signal)?;
    }
    archive.write(path)
}

/// First spikes in ticks, (B, N), T where silent.
#[expect(clippy::cast_precision_loss, reason = "ticks are below 2^24")]
fn first_spikes(spikes: &Spikes) -> Array2<f32> {
    let extent = spikes.extent();
    let shape = (extent.samples() as usize, extent.channels() as usize);
    let mut first = Array2::from_elem(shape, extent.ticks() as f32);
    for (b, sample) in spikes.samples().enumerate() {
        for spike in sample.iter().rev() {
            first[[b, spike.channel as usize]] = spike.tick as f32;
        }
    }
    first
}

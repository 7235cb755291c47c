//! A forward pass over given signals.

use std::path::{Path, PathBuf};

use ndarray::Array2;
use nirc_compiler::options::{Quantity, Record};
use nirc_ir::event::Program;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::target::Target;

use super::stack;
use crate::config::Config;
use crate::data::signal::{Name, Signal, Spikes, Writing, can_be_written, write_signals};
use crate::data::{Archive, wrong_bins};
use crate::device::{Executors, Machine};
use crate::emulated::Stats;
use crate::file;
use crate::model::Model;
use crate::reading::Reading;
use crate::simulation;
use crate::stimulus::Stimulus;

/// What runs.
#[derive(Clone, Debug)]
pub enum Source {
    /// A network, compiled for this.
    Model(PathBuf),
    /// A bundle that was compiled for training under a configuration; on the emulated chip its very bytes run.
    Bundle(PathBuf, Box<Config>),
}

/// What to run on which input.
#[derive(Clone, Debug)]
pub struct Run {
    /// What runs.
    pub source: Source,
    /// How its file is read.
    pub reading: Reading,
    /// Signals of the inputs, in any format of [`crate::data::signal`].
    pub input: PathBuf,
    /// Ticks of a sample, where that is more than the input has.
    pub ticks: Option<u32>,
    /// Ticks of a sample by a configuration, which the input has to have unless `ticks` are given.
    pub configured: Option<u32>,
    /// What to record, as `population.quantity`; what leaves the network if nothing is named.
    pub record: Vec<String>,
    /// Where it runs.
    pub executors: Executors,
    /// The file to write: what was recorded, each (T, B, N), and in an archive `first_spike` (B, N) too.
    pub output: PathBuf,
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
/// The images of a bundle record spikes only. Where traces are asked of a bundle, its model is compiled
/// with them, and a note says so.
///
/// # Errors
/// When a file is unreadable or does not fit, the network does not compile, or the device fails.
pub fn run(job: &Run, progress: &mut dyn FnMut(usize, usize)) -> Result<Ran, Diagnostics> {
    let (Source::Model(source) | Source::Bundle(source, _)) = &job.source;
    file::keeps(&job.output, &[source, &job.input])?;
    let (mut model, bundle) = match &job.source {
        Source::Model(path) => (Model::open(path, &job.reading)?, None),
        Source::Bundle(path, config) => {
            let (model, bundle) = crate::bundle::open(path, config)?;
            (model, Some((bundle, path, config)))
        }
    };
    let (stimulus, notes) = Stimulus::read(&job.input, &model.network, job.ticks)?;
    model.notes.0.extend(notes.0);
    if let (None, Some(ticks)) = (job.ticks, job.configured)
        && ticks != stimulus.ticks()
    {
        return Err(wrong_bins(&job.input, stimulus.ticks() as usize, ticks).into());
    }
    let graded = stimulus.graded();
    if !graded.is_empty() {
        let reading = Reading {
            graded,
            ..job.reading.clone()
        };
        model = model.reread(&reading)?;
    }
    let record = recorded(&job.record, &model)?;
    let names: Vec<String> = record.iter().map(stack::name).collect();
    can_be_written(&job.output, &names)?;
    let samples = stimulus.samples();
    let mut watch = |done| progress(done, samples);
    let network = &model.network;
    let only_spikes = record.iter().all(|r| r.quantity == Quantity::Spikes);
    let (signals, machine) = match bundle {
        Some((bundle, _, config)) if only_spikes => {
            let program = bundle.program().map_err(Diagnostic::from)?;
            check_ticks(&program, config, &stimulus)?;
            let target = Target::spinnaker2();
            let mut machine = job.executors.start_bundle(&program, &bundle, &target)?;
            let signals = simulation::run(&mut machine, network, &stimulus, &record, &mut watch)?;
            (signals, machine)
        }
        other => {
            if let Some((_, path, _)) = other {
                let message =
                    "its images record spikes only: its model is compiled anew, with traces";
                let place = path.display().to_string();
                model
                    .notes
                    .push(Diagnostic::note(codes::BUNDLE, place, message));
            }
            simulation::simulate(
                &model.network,
                &stimulus,
                &record,
                job.executors,
                &mut watch,
            )?
        }
    };
    write(&job.output, &signals, model.network.dt)?;
    Ok(Ran {
        notes: model.notes,
        ticks: stimulus.ticks(),
        samples,
        stats: Machine::stats(&machine)?,
        names: machine.names(),
    })
}

fn check_ticks(program: &Program, config: &Config, stimulus: &Stimulus) -> Result<(), Diagnostic> {
    let problem = |what: &str, found: u32| {
        let message = format!(
            "the bundle is made for samples of {} bins, {what} {found}",
            program.ticks
        );
        let problem = Diagnostic::error(codes::BUNDLE, "time.ticks", message);
        problem.help("use the configuration that the bundle was compiled with, and input for it")
    };
    if program.ticks != config.time.ticks {
        return Err(problem("the configuration says", config.time.ticks));
    }
    if program.ticks != stimulus.ticks() {
        return Err(problem("the input has", stimulus.ticks()));
    }
    Ok(())
}

fn recorded(names: &[String], model: &Model) -> Result<Vec<Record>, Diagnostics> {
    if names.is_empty() {
        return Ok(stack::outputs(&model.network));
    }
    let mut problems = Diagnostics::new();
    let mut record = Vec::new();
    for name in names {
        match stack::parse(name).and_then(|what| stack::checked(what, &model.network)) {
            Ok(what) if record.contains(&what) => {}
            Ok(what) => record.push(what),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(record)
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

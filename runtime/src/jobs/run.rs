//! A forward pass over given spikes.

use std::path::{Path, PathBuf};

use nirc_compiler::options::Record;
use nirc_ir::event::Program;
use nirc_ir::executor::{Executor, Pass, Sample};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::target::Target;

use super::gradient::first_spikes;
use super::stack::{Recording, What};
use crate::config::Config;
use crate::data::{Archive, DataSet, read_spikes, wrong_bins};
use crate::device::Executors;
use crate::model::Model;
use crate::program::{Job, compile};

/// What runs.
#[derive(Clone, Debug)]
pub enum Source {
    /// A network, compiled for this.
    Model(PathBuf),
    /// A bundle that was compiled for training; on the emulated chip its very bytes run.
    Bundle(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Model(path) | Self::Bundle(path) => path,
        }
    }
}

/// What to run on which input.
#[derive(Clone, Debug)]
pub struct Run {
    /// What runs.
    pub source: Source,
    /// Spikes, (T, B, J) of `u8`.
    pub input: PathBuf,
    /// What to record, as `population.quantity`; the output's spikes if nothing is named.
    pub record: Vec<String>,
    /// Where it runs.
    pub executors: Executors,
    /// The archive to write: `first_spike` (B, N) and what was recorded, each (T, B, N).
    pub output: PathBuf,
}

/// Runs and writes the recordings. Returns the notes of the import.
///
/// The images of a bundle record spikes only. Where traces are asked of a bundle, its model is compiled
/// with them, and a note says so.
///
/// # Errors
/// When a file is unreadable or does not fit, the network does not compile, or the device fails.
pub fn run(job: &Run, config: &Config) -> Result<Diagnostics, Diagnostics> {
    let (mut model, mut bundle) = match &job.source {
        Source::Model(path) => (Model::open(path, config)?, None),
        Source::Bundle(path) => {
            let (model, bundle) = crate::bundle::open(path, config)?;
            (model, Some(bundle))
        }
    };
    let (bins, set) = read_spikes(&job.input, None)?;
    if bins != config.time.ticks as usize {
        return Err(wrong_bins(&job.input, bins, config.time.ticks).into());
    }
    let input = job.input.display().to_string();
    model.accepts([&input; 2], &set, config.time.ticks)?;
    let record = recorded(&job.record, &model)?;
    let traces = What::traces(&record);
    if !traces.is_empty() && bundle.take().is_some() {
        let message = "its images record spikes only: its model is compiled anew, with traces";
        let place = job.source.path().display().to_string();
        let note = Diagnostic::note(codes::BUNDLE, place, message);
        model.notes.push(note);
    }
    let target = Target::spinnaker2();
    let mut executor = match &bundle {
        None => {
            let program = forward(&model, config, set.len(), traces, &target)?;
            job.executors.start(&program, &target)?
        }
        Some(bundle) => {
            let program = bundle.program().map_err(Diagnostic::from)?;
            check_ticks(&program, config)?;
            job.executors.start_bundle(&program, bundle, &target)?
        }
    };
    let archive = record_all(&mut executor, &set, record, model.outputs())?;
    archive.write(&job.output)?;
    Ok(model.notes)
}

fn check_ticks(program: &Program, config: &Config) -> Result<(), Diagnostic> {
    if program.ticks == config.time.ticks {
        return Ok(());
    }
    let message = format!(
        "the bundle is made for samples of {} bins, the configuration says {}",
        program.ticks, config.time.ticks
    );
    let problem = Diagnostic::error(codes::BUNDLE, "time.ticks", message);
    Err(problem.help("use the configuration that the bundle was compiled with"))
}

fn recorded(names: &[String], model: &Model) -> Result<Vec<What>, Diagnostics> {
    if names.is_empty() {
        let network = &model.network;
        let outputs = network.outputs.iter().map(|port| port.population);
        let spikes = outputs.map(|pop| What::Spikes {
            population: network.populations[pop].name.clone(),
        });
        return Ok(spikes.collect());
    }
    let mut problems = Diagnostics::new();
    let mut record = Vec::new();
    for name in names {
        match What::parse(name) {
            Ok(what) if record.contains(&what) => {}
            Ok(what) => record.push(what),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(record)
}

fn forward(
    model: &Model,
    config: &Config,
    samples: usize,
    record: Vec<Record>,
    target: &Target,
) -> Result<Program, Diagnostics> {
    let job = Job::Run {
        batch: samples.max(1),
        record,
    };
    compile(&model.network, config, job, target)
}

fn record_all(
    executor: &mut dyn Executor,
    set: &DataSet,
    record: Vec<What>,
    outputs: usize,
) -> Result<Archive, Diagnostics> {
    let mut recordings: Vec<Recording> = record
        .into_iter()
        .map(|what| Recording::new(what, executor.program(), set.len()))
        .collect::<Result<_, _>>()?;
    let mut outcomes = Vec::with_capacity(set.len());
    let replicas = executor.program().replicas;
    for from in (0..set.len()).step_by(replicas) {
        let to = (from + replicas).min(set.len());
        let samples: Vec<Sample<'_>> = (from..to).map(|k| set.sample(k)).collect();
        executor.run(Pass::Forward, &samples, &mut outcomes)?;
        for (replica, b) in (from..to).enumerate() {
            for recording in &mut recordings {
                recording.take(executor, replica, b)?;
            }
        }
    }
    let mut archive = Archive::new();
    archive.add("first_spike", &first_spikes(&outcomes, outputs))?;
    for recording in &recordings {
        recording.store(&mut archive)?;
    }
    Ok(archive)
}

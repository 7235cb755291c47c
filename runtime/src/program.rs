//! From a network and a configuration to the event program of a job.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options, Record, Regulariser};
use nirc_ir::event::Program;
use nirc_ir::network::Network;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::mapping::place::place;
use nirc_spinnaker2::mapping::quads;
use nirc_spinnaker2::mapping::slice::{Balance, choose, slice};
use nirc_spinnaker2::target::Target;

use crate::config::{Config, Regularise, Training};

/// What a program is compiled for.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    /// Forward pass, adjoint pass, loss and optimiser.
    Train {
        /// Training samples of an epoch, from which the learning rate of a batch follows.
        samples: usize,
    },
    /// Forward and adjoint pass over a batch of so many samples.
    Gradient {
        /// Number of samples; the loss is a mean over them.
        batch: usize,
        /// Whether the errors of output spikes are given instead of following from a loss.
        given: bool,
        /// Traces.
        record: Vec<Record>,
    },
    /// Forward pass over so many samples, without a loss.
    Forward {
        /// Number of samples.
        batch: usize,
    },
}

/// Compiles a job; the number of replicas is the configuration's or, if that is silent, one a sample
/// of a batch as far as they fit on the chip.
///
/// # Errors
/// When the configuration lacks a section that the job needs, or the network cannot be lowered.
pub fn compile(
    network: &Network,
    config: &Config,
    job: Job,
    target: &Target,
) -> Result<Program, Diagnostics> {
    let options = options(config, job)?;
    let mut program = lower(network, &options)?;
    if config.mapping.replicas.is_none() {
        program.replicas = fitting(program.clone(), target);
    }
    Ok(program)
}

/// The options of gradients, one sample at a time.
///
/// # Errors
/// When the configuration lacks a loss.
pub fn gradients(config: &Config) -> Result<Options, Diagnostics> {
    let job = Job::Gradient {
        batch: 1,
        given: false,
        record: Vec::new(),
    };
    options(config, job)
}

fn options(config: &Config, job: Job) -> Result<Options, Diagnostics> {
    let mut options = Options {
        ticks: config.time.ticks,
        batch: 1,
        replicas: 1,
        spike_bound: config.mapping.spike_bound,
        loss: None,
        adjoint: true,
        regularise: Vec::new(),
        optimiser: None,
        record: Vec::new(),
        events: config.time.model.lowered(),
    };
    match job {
        Job::Train { samples } => {
            let (training, optimiser) = (training(config)?, optimiser(config)?);
            options.batch = training.batch;
            options.loss = Some(loss(config)?);
            options.regularise = regularise(config);
            let batches = (samples / training.batch).max(1);
            options.optimiser = Some(optimiser.lowered(batches, training.epochs)?);
        }
        Job::Gradient {
            batch,
            given,
            record,
        } => {
            options.batch = batch;
            options.loss = Some(if given { Loss::Given } else { loss(config)? });
            if !given {
                options.regularise = regularise(config);
            }
            options.record = record;
        }
        Job::Forward { batch } => {
            options.batch = batch;
            options.adjoint = false;
            // At exact event times, nothing is read of a voltage but what a loss reads.
            if config.time.model.is_event() && config.loss.is_some() {
                options.loss = Some(loss(config)?).filter(|loss| loss.reads_values());
            }
        }
    }
    options.replicas = match config.mapping.replicas {
        Some(replicas) => replicas,
        None => options.batch.min(MOST_REPLICAS),
    };
    Ok(options)
}

/// What a packet's key can name.
pub(crate) const MOST_REPLICAS: usize = 255;

/// As many of the program's replicas, in slices, as there are PEs for; at least one, whose mapping then tells what
/// is lacking.
pub(crate) fn fitting(program: Program, target: &Target) -> usize {
    let quads = quads(target);
    let single = Program {
        replicas: 1,
        ..program
    };
    let mut placed = slice(&single, &choose(&single, target, Balance::Memory)).program;
    placed.replicas = program.replicas;
    while placed.replicas > 1 && place(&placed, &quads).is_err() {
        placed.replicas -= 1;
    }
    placed.replicas
}

/// The `[training]` section.
///
/// # Errors
/// When it is missing.
pub fn training(config: &Config) -> Result<&Training, Diagnostic> {
    config.training.as_ref().ok_or_else(|| missing("training"))
}

fn optimiser(config: &Config) -> Result<&crate::config::Optimiser, Diagnostic> {
    config
        .optimiser
        .as_ref()
        .ok_or_else(|| missing("optimiser"))
}

fn loss(config: &Config) -> Result<Loss, Diagnostic> {
    config
        .loss
        .map(crate::config::Loss::lowered)
        .ok_or_else(|| missing("loss"))
}

fn regularise(config: &Config) -> Vec<Regulariser> {
    config
        .regularise
        .iter()
        .flat_map(Regularise::lowered)
        .collect()
}

/// The diagnostic for a section that this job needs.
pub(crate) fn missing(section: &str) -> Diagnostic {
    Diagnostic::error(
        codes::CONFIG_CONTRADICTION,
        section,
        "this section is missing, and the command needs it",
    )
    .help(format!("add a section `[{section}]` to the configuration"))
}

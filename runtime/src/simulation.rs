//! A network run forward on a stimulus, and what was recorded of it.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Options, Record};
use nirc_compiler::passes::Time;
use nirc_ir::event::Program;
use nirc_ir::executor::{Executor, Pass, Sample};
use nirc_ir::network::Network;
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_spinnaker2::target::Target;

use crate::data::signal::{Name, Signal};
use crate::device::{Executors, Machine};
use crate::jobs::stack::Recording;
use crate::program::fitting;
use crate::stimulus::{Drive, Stimulus};

/// The forward program of a network for samples of so many ticks; `replicas` of them at a time, or as many
/// as there are samples and PEs for.
///
/// # Errors
/// When the network cannot be lowered.
pub fn forward(
    network: &Network,
    time: Time,
    (ticks, samples): (u32, usize),
    record: &[Record],
    replicas: Option<usize>,
    target: &Target,
) -> Result<Program, Diagnostics> {
    let options = Options {
        ticks,
        batch: samples.max(1),
        replicas: replicas.unwrap_or_else(|| samples.clamp(1, crate::program::MOST_REPLICAS)),
        spike_bound: None,
        loss: None,
        adjoint: false,
        regularise: Vec::new(),
        optimiser: None,
        record: record.to_vec(),
        events: match time {
            Time::Ticks => None,
            Time::Exact { .. } => Some(ExactTimes::default()),
        },
    };
    let mut program = lower(network, &options)?;
    if replicas.is_none() {
        program.replicas = fitting(program.clone(), target);
    }
    Ok(program)
}

/// Runs a network on all samples of a stimulus; returns what was recorded, and the machine as it is then.
///
/// # Errors
/// When the network does not compile or the device fails.
pub fn simulate(
    network: &Network,
    time: Time,
    stimulus: &Stimulus,
    record: &[Record],
    executors: Executors,
    progress: &mut dyn FnMut(usize),
) -> Result<(Vec<(Name, Signal)>, Machine), Diagnostics> {
    let target = Target::spinnaker2();
    let extent = (stimulus.ticks(), stimulus.samples());
    let program = forward(network, time, extent, record, None, &target)?;
    let mut machine = executors.start(&program, &target)?;
    let recorded = run(&mut machine, network, stimulus, record, progress)?;
    Ok((recorded, machine))
}

/// Runs a machine's program, which is one of this network, on all samples.
///
/// # Errors
/// When something is not recorded by the program, or the device fails.
pub fn run(
    machine: &mut Machine,
    network: &Network,
    stimulus: &Stimulus,
    record: &[Record],
    progress: &mut dyn FnMut(usize),
) -> Result<Vec<(Name, Signal)>, Diagnostic> {
    let samples = stimulus.samples();
    let recording = |record: &Record| {
        let late = late(network, record);
        Recording::new(record.clone(), machine.program(), samples, late)
    };
    let mut recordings: Vec<Recording> = record.iter().map(recording).collect::<Result<_, _>>()?;
    let replicas = machine.program().replicas;
    for from in (0..samples).step_by(replicas) {
        let to = (from + replicas).min(samples);
        let drives: Vec<Drive> = (from..to).map(|b| stimulus.sample(b)).collect();
        let exact = machine.program().window.is_some();
        let samples = drives.iter().map(|drive| drive.sample(exact));
        let batch: Vec<Sample<'_>> = samples.collect();
        machine.run(Pass::Forward, &batch, &mut Vec::new())?;
        for (replica, b) in (from..to).enumerate() {
            for recording in &mut recordings {
                recording.take(machine, replica, b)?;
            }
        }
        progress(to);
    }
    recordings.into_iter().map(Recording::signal).collect()
}

/// Ticks by which the outside sees a population's spikes later than itself.
fn late(network: &Network, record: &Record) -> u32 {
    let mut populations = network.populations.iter();
    let found = populations.find(|(_, p)| p.name == record.population);
    let neurons =
        found.filter(|(_, p)| matches!(p.kind, nirc_ir::network::PopulationKind::Neurons(_)));
    neurons.map_or(0, |(pop, _)| network.convention_of(pop).output_delay)
}

//! The numbers that a sample's loss is a function of.

use nirc_ir::Diagnostic;
use nirc_ir::entity::Entity;
use nirc_ir::event::{Array, ArrayKind, Proc, Program, Role};
use nirc_ir::executor::{InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;

use super::compare::STEP;

/// Least delay in bins: more than a difference moves one.
const LEAST: f64 = 4.0 * STEP;

/// Tensors, and times of input spikes.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) tensors: Vec<Vec<f64>>,
    /// Which tensors are delays of sources.
    pub(super) delays: Vec<bool>,
    /// Bins, of exact event times.
    pub(super) times: Vec<f64>,
    spikes: Vec<InputSpike>,
    label: u32,
}

/// For every neuron how it spiked: process, lane, and the bin, or how many arrivals were before.
pub(super) type Signature = Vec<(usize, u32, usize)>;

impl Point {
    /// A sample with the program's own tensors.
    pub(super) fn new(program: &Program, sample: &Sample<'_>) -> Self {
        let delays = delays(program);
        let tensors = program.tensors.values().zip(&delays);
        let tensors = tensors.map(|(tensor, delays)| {
            let values = tensor.values.iter().map(|w| f64::from(*w));
            // Delays are never below 0, and a derivative there would be one of one side.
            let least = if *delays { LEAST } else { f64::NEG_INFINITY };
            values.map(|value| value.max(least)).collect()
        });
        Self {
            tensors: tensors.collect(),
            delays,
            times: sample.times.iter().map(|t| f64::from(*t)).collect(),
            spikes: sample.spikes.to_vec(),
            label: sample.label,
        }
    }

    /// Runs it.
    pub(super) fn run(
        &self,
        machine: &mut Interpreter<f64>,
        program: &Program,
        pass: Pass,
    ) -> Result<(), Diagnostic> {
        for (proc, array, tensor) in tensors(program, ArrayKind::Param) {
            machine.poke(0, proc, array, &self.tensors[tensor]);
        }
        let sample = Sample {
            spikes: &self.spikes,
            times: &[],
            values: &[],
            label: self.label,
            error: &[],
        };
        machine.run_at(pass, &sample, &self.times).map(|_| ())
    }

    /// Channels of the input spikes.
    pub(super) fn spikes(&self) -> &[InputSpike] {
        &self.spikes
    }
}

/// Arrays of tensors in the network's processes, with the tensors' numbers.
pub(super) fn tensors(
    program: &Program,
    kind: impl Fn(nirc_ir::event::Tensor) -> ArrayKind,
) -> Vec<(Proc, Array, usize)> {
    let mut found = Vec::new();
    for (id, process) in program.processes.iter() {
        if matches!(process.role, Role::Optimiser(_)) {
            continue;
        }
        for tensor in program.tensors.keys() {
            if let Some(array) = process.array_of(kind(tensor)) {
                found.push((id, array, tensor.index()));
            }
        }
    }
    found
}

/// Which tensors are delays of sources.
fn delays(program: &Program) -> Vec<bool> {
    let mut found = vec![false; program.tensors.len()];
    for (proc, array, tensor) in tensors(program, ArrayKind::Param) {
        let mut incoming = program.incoming(proc);
        found[tensor] |= incoming.any(|(_, chan)| chan.delays.is_some_and(|d| d.values == array));
    }
    found
}

/// The value of the loss.
pub(super) fn loss(machine: &Interpreter<f64>, program: &Program) -> f64 {
    let value = program.loss().and_then(|loss| {
        let array = program.processes[loss].array("loss")?;
        machine.values(0, loss, array).first().copied()
    });
    value.unwrap_or(f64::NAN)
}

/// How every neuron spiked in the last run.
pub(super) fn signature(machine: &Interpreter<f64>, program: &Program) -> Signature {
    let mut found = Vec::new();
    for (id, process) in program.processes.iter() {
        if process.role != Role::Neurons {
            continue;
        }
        if program.window.is_none() {
            let spikes = machine.own_spikes(0, id).iter();
            found.extend(spikes.map(|s| (id.index(), s.lane, s.tick as usize)));
            continue;
        }
        let mut arrivals = arrivals(machine, program, id);
        arrivals.sort_by(f64::total_cmp);
        for (lane, time) in machine.exact_spikes(0, id) {
            // Spikes that an arrival itself makes are at its time.
            let before = arrivals.partition_point(|t| *t < time - 1e-9);
            found.push((id.index(), lane, before));
        }
    }
    found.sort_unstable();
    found
}

/// When spikes arrive at a process, counted from the beginning of the sample.
fn arrivals(machine: &Interpreter<f64>, program: &Program, proc: Proc) -> Vec<f64> {
    let mut all = Vec::new();
    for (_, channel) in program.incoming(proc) {
        let late = channel.delays.map(|d| machine.values(0, proc, d.values));
        let late = |source: u32| late.as_ref().map_or(0.0, |d| d[source as usize].max(0.0));
        let spikes = machine.exact_spikes(0, channel.from).into_iter();
        all.extend(spikes.map(|(source, t)| t + f64::from(channel.delay) + late(source)));
    }
    all
}

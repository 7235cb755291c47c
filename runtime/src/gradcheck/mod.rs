//! Gradients against differences: whether the adjoint is the derivative of the loss.
//!
//! Everything is computed in `f64` by the interpreter, which defines what programs mean, on the first samples of a
//! training set. Each tensor is compared entry by entry with central differences of fourth order, and so are, with exact
//! event times, the times of input spikes.
//!
//! A derivative tells of tiny changes. Where the step of a difference makes a spike come, go, or pass an arrival, it
//! tells nothing of the difference; such entries are left out, and counted. So are those where five losses in a row show that
//! the difference is in doubt, whatever the adjoint says: where arrivals are simultaneous, or another of two voltages
//! becomes the largest, the loss has a kink. Delays are compared a little above 0, which they are never below. In ticks a
//! spike moves from bin to bin only, so differences see nothing of it: what is compared is what leads into neurons that do not
//! spike.
//!
//! Costs of numbers of spikes push voltages and are no derivatives of anything; they are left out. A loss that
//! consists of nothing else is refused.
//!
//! [`bias`] says what ticks do to a gradient: the same network in ticks of `dt`, `dt/2`, `dt/4`, … beside exact times.

pub mod bias;
mod compare;
mod point;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options};
use nirc_ir::event::Program;
use nirc_ir::network::Network;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::Serialize;

use crate::data::DataSet;
pub use bias::{Bias, Refined};
pub use compare::{Tally, TensorCheck};
use point::Point;

/// How much is compared.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Samples, from the first on.
    pub samples: usize,
    /// Most entries of a tensor that are compared in a sample, drawn at random.
    pub entries: usize,
    /// Seed of what is drawn.
    pub seed: u32,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Whether spikes have exact times.
    pub exact: bool,
    /// Samples compared.
    pub samples: usize,
    /// Spikes of neurons in these samples.
    pub spikes: usize,
    /// Neurons that spiked more than once in a sample, summed over samples.
    pub several: usize,
    /// Spikes below the guard, whose derivatives training bounds and this check does not; of exact times.
    pub grazing: usize,
    /// Each tensor, and the times of input spikes.
    pub tensors: Vec<TensorCheck>,
    /// What was not compared, and why.
    pub left_out: Vec<String>,
}

impl Found {
    /// All entries together.
    pub fn overall(&self) -> Tally {
        let mut all = Tally::default();
        for tensor in &self.tensors {
            all.add(&tensor.tally);
        }
        all
    }
}

/// The options of a program that is checked: one sample at a time, no optimiser, no guard.
///
/// # Errors
/// When the loss has no gradient.
pub fn options(of: &Options) -> Result<Options, Diagnostics> {
    if let Some(Loss::SpikeCount { .. }) = of.loss {
        let message = "a number of spikes has no gradient; what trains it pushes voltages instead";
        let problem = Diagnostic::error(codes::CONFIG_CONTRADICTION, "loss.kind", message);
        return Err(problem
            .help("choose another loss to check the network's gradients")
            .into());
    }
    Ok(Options {
        batch: 1,
        replicas: 1,
        adjoint: true,
        regularise: Vec::new(),
        optimiser: None,
        record: Vec::new(),
        events: of.events.map(|_| nirc_compiler::options::ExactTimes {
            guard: 0.0,
            input_errors: true,
        }),
        ..of.clone()
    })
}

/// Checks a network on the first samples of a set; `progress` is told of each sample that is done.
///
/// # Errors
/// When the network cannot be lowered for that, or a tape overflows.
pub fn check(
    network: &Network,
    of: &Options,
    set: &DataSet,
    settings: Settings,
    progress: &mut dyn FnMut(usize),
) -> Result<Found, Diagnostics> {
    let program = lower(network, &options(of)?)?;
    // What training guards, without which the check is.
    let trained = Options {
        events: of.events,
        ..options(of)?
    };
    let trained = lower(network, &trained)?;
    let mut comparison = compare::Comparison::new(&program, &trained);
    let samples = set.len().min(settings.samples);
    for k in 0..samples {
        let point = Point::new(&program, &set.sample(k));
        comparison.sample(&point, settings, k)?;
        progress(k + 1);
    }
    let mut found = comparison.finish(samples);
    if !of.regularise.is_empty() {
        let message =
            "costs of numbers of spikes ([regularise]) push voltages, and have no gradient";
        found.left_out.push(message.to_owned());
    }
    Ok(found)
}

/// Whether the loss reads voltages that neurons without spikes have.
pub(crate) fn reads_voltages(program: &Program) -> bool {
    program.loss().is_some_and(|loss| {
        let mut incoming = program.incoming(loss);
        incoming.any(|(chan, _)| program.carries_values(chan))
    })
}

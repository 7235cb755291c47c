//! What every executor offers: the interpreter, the native simulator, the emulated chip.
//!
//! They differ in speed and in what they can tell about the hardware; never in a bit of a result.

use crate::diagnostic::Diagnostic;
use crate::event::{Array, Proc, Program};

/// A spike of the input: bin and channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InputSpike {
    /// Bin, below [`Program::ticks`].
    pub tick: u32,
    /// Channel, below the source process's lanes.
    pub channel: u32,
}

/// One sample.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Input spikes, strictly ascending by (bin, channel).
    pub spikes: &'a [InputSpike],
    /// Class index; read only by programs whose loss has a label.
    pub label: u32,
    /// `T * lanes` errors, for programs whose loss takes them as given; empty otherwise.
    pub error: &'a [f32],
}

/// What the loss process holds after a sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// First spike of each output in bins, `T` where silent.
    pub first_spike: Vec<f32>,
    /// The minimised loss of this sample, before division by the batch size.
    pub loss: f32,
    /// Its cross-entropy part.
    pub cross_entropy: f32,
}

/// How far a batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Forward only.
    Forward,
    /// Forward and adjoint: gradients, no update.
    Gradient,
    /// Forward, adjoint and optimiser step.
    Train,
}

/// A spike on a tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneSpike {
    /// Bin.
    pub tick: u32,
    /// Lane.
    pub lane: u32,
}

/// Runs event programs.
pub trait Executor {
    /// The program it was made for.
    fn program(&self) -> &Program;

    /// Short name: `interpreter`, `host` or `emulator`.
    fn name(&self) -> &'static str;

    /// Runs a batch (at most [`Program::replicas`] samples a round, any number of rounds) and
    /// appends an outcome per sample, in order.
    ///
    /// # Errors
    /// A tape overflow, a lost packet or a fault of the device; weights are then as before the call.
    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic>;

    /// Reads an array of a replica (optimiser processes have one instance: replica 0) as the last
    /// run left it.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic>;

    /// Overwrites an optimiser's array; its parameter array is copied to every replica.
    ///
    /// # Errors
    /// When the device cannot be written.
    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic>;

    /// The spikes that a neuron process emitted in the last run of a replica.
    ///
    /// # Errors
    /// When the device cannot be read.
    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic>;
}

//! Programs on a chip: the emulated one in this process, others behind the same trait.
//!
//! A [`Device`] is what a [`Session`] needs of a chip: memory, packets, and to know when it is quiet.
//! The session is the [`Executor`]: it streams samples, checks the health
//! of every PE after every round, and leaves the weights as they were if a batch went wrong.
//! [`Emulated`] is a session with an [`EmulatedChip`], which presents whole what runs there in slices ([`Whole`]).

mod chip;
mod device;
mod health;
mod layout;
mod session;
mod stats;
mod stream;
mod trouble;
mod whole;

#[cfg(test)]
mod adjoint_tests;
#[cfg(test)]
mod stream_tests;
#[cfg(test)]
mod tests;

use nirc_ir::event::Program;
use nirc_ir::executor::Executor;
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::Placement;
use nirc_spinnaker2::target::Target;

pub use chip::{Clock, EmulatedChip, EmulatorOptions, chip_config};
pub use device::{Device, Lost};
pub use session::Session;
pub use stats::{PeStats, Stats, Totals};
pub use whole::Whole;

/// Runs programs on an emulated chip.
pub type Emulated = Whole<Session<EmulatedChip>>;

impl Emulated {
    /// Compiles a program for a chip and loads it.
    ///
    /// # Errors
    /// What does not fit, or cannot be generated or loaded.
    pub fn new(
        program: &Program,
        target: &Target,
        options: EmulatorOptions,
    ) -> Result<Self, Diagnostics> {
        let bundle = Bundle::build(program, target)?;
        Ok(Self::load(program, &bundle, target, options)?)
    }

    /// Loads a bundle of a program.
    ///
    /// # Errors
    /// If the bundle is of another program, or does not load.
    pub fn load(
        program: &Program,
        bundle: &Bundle,
        target: &Target,
        options: EmulatorOptions,
    ) -> Result<Self, Diagnostic> {
        let chip = EmulatedChip::new(bundle, target, options)?;
        Self::start(program, bundle, chip)
    }

    fn start(program: &Program, bundle: &Bundle, chip: EmulatedChip) -> Result<Self, Diagnostic> {
        let session = Session::start(program, bundle, chip)?;
        let slicing = session.slicing().clone();
        Ok(Self::present(program, slicing, session))
    }

    /// The chip.
    pub fn device(&self) -> &EmulatedChip {
        self.slices().device()
    }

    /// What each PE runs, of the sliced program.
    pub fn placements(&self) -> &[Placement] {
        self.slices().placements()
    }

    /// What the chip counted, by the processes that run.
    ///
    /// # Errors
    /// If the chip cannot be read.
    pub fn stats(&self) -> Result<Stats, Diagnostic> {
        let chip = self.device();
        Ok(Stats::new(self.placements(), chip.pes()?))
    }

    /// What each PE runs, in the order of [`Stats::pes`]: names of processes, slices and their lanes with them.
    pub fn names(&self) -> Vec<String> {
        let program = self.slices().program();
        let names = self.placements().iter().map(|placement| {
            let names = placement.procs.iter();
            let names: Vec<&str> = names.map(|p| program.processes[*p].name.as_str()).collect();
            names.join(", ")
        });
        names.collect()
    }
}

//! The executors by name.

use nirc_host::HostSimulator;
use nirc_ir::event::{Array, Proc, Program};
use nirc_ir::executor::{Executor, LaneSpike, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;

use crate::emulated::{Emulated, EmulatedChip, EmulatorOptions, Stats};

/// Which executor, and how many threads of this machine it may use (0: one a core).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executors {
    /// Which.
    pub kind: Kind,
    /// Threads; results do not depend on it.
    pub threads: usize,
    /// What populations of the emulated chip are cut for.
    pub balance: Balance,
}

/// The executors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The definition of event programs, operation by operation.
    Interpreter,
    /// The native simulator.
    Host,
    /// The firmware on the emulated chip.
    Emulator,
}

/// One of them, with a program.
pub enum Machine {
    /// See [`Kind::Interpreter`].
    Interpreter(Box<Interpreter>),
    /// See [`Kind::Host`].
    Host(Box<HostSimulator>),
    /// See [`Kind::Emulator`].
    Emulator(Box<Emulated>),
}

impl Executors {
    /// Starts the executor with a program; on the emulated chip it is mapped and built first.
    ///
    /// # Errors
    /// When the program does not fit the chip, or the executor refuses it.
    pub fn start(self, program: &Program, target: &Target) -> Result<Machine, Diagnostics> {
        match self.kind {
            Kind::Interpreter => Ok(Machine::Interpreter(Box::new(Interpreter::new(program)))),
            Kind::Host => {
                let simulator = HostSimulator::new(program, self.threads)?;
                Ok(Machine::Host(Box::new(simulator)))
            }
            Kind::Emulator => {
                let bundle = Bundle::build_balanced(program, target, self.balance)?;
                self.start_bundle(program, &bundle, target)
            }
        }
    }

    /// The same with a program that is built already.
    ///
    /// # Errors
    /// When the bundle is not one of the program, or the executor refuses it.
    pub fn start_bundle(
        self,
        program: &Program,
        bundle: &Bundle,
        target: &Target,
    ) -> Result<Machine, Diagnostics> {
        if self.kind != Kind::Emulator {
            bundle.check(program).map_err(Diagnostic::from)?;
            return self.start(program, target);
        }
        let options = EmulatorOptions {
            threads: self.threads,
            ..EmulatorOptions::default()
        };
        let emulated = Emulated::load(program, bundle, target, options)?;
        Ok(Machine::Emulator(Box::new(emulated)))
    }
}

impl Machine {
    /// The emulated chip, if it is one.
    pub fn chip(&self) -> Option<&EmulatedChip> {
        match self {
            Self::Emulator(session) => Some(session.device()),
            _ => None,
        }
    }

    /// What the emulated chip counted, if it is one.
    ///
    /// # Errors
    /// When the chip cannot be read.
    pub fn stats(&self) -> Result<Option<Stats>, Diagnostic> {
        match self {
            Self::Emulator(session) => session.stats().map(Some),
            _ => Ok(None),
        }
    }

    /// What each PE of the emulated chip runs, if it is one.
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Emulator(session) => session.names(),
            _ => Vec::new(),
        }
    }

    fn executor(&self) -> &dyn Executor {
        match self {
            Self::Interpreter(executor) => executor.as_ref(),
            Self::Host(executor) => executor.as_ref(),
            Self::Emulator(executor) => executor.as_ref(),
        }
    }

    fn executor_mut(&mut self) -> &mut dyn Executor {
        match self {
            Self::Interpreter(executor) => executor.as_mut(),
            Self::Host(executor) => executor.as_mut(),
            Self::Emulator(executor) => executor.as_mut(),
        }
    }
}

impl Executor for Machine {
    fn program(&self) -> &Program {
        self.executor().program()
    }

    fn name(&self) -> &'static str {
        self.executor().name()
    }

    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        self.executor_mut().run(pass, batch, outcomes)
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        self.executor().read(replica, proc, array)
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        self.executor_mut().write(proc, array, values)
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        self.executor().spikes(replica, proc)
    }

    fn spike_times(&self, replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        self.executor().spike_times(replica, proc)
    }
}

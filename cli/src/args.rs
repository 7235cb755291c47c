//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use nirc_ir::Diagnostics;
use nirc_runtime::config::{Config, Tree};
use nirc_runtime::device::{Executors, Kind};

/// Compiles spiking networks from NIR files into programs that learn on the SpiNNaker2 chip.
#[derive(Debug, Parser)]
#[command(
    name = "nirc",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
pub(crate) struct Arguments {
    /// Print results and diagnostics as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show what is in a .nir file, and what of it can be compiled
    Inspect(Inspect),
    /// Compile a network for training on a chip
    Compile(Compile),
    /// Train a network
    Train(Train),
    /// Run a network forward on given spikes
    Run(Run),
    /// Compute the gradients of a batch, sample by sample
    Gradient(Gradient),
    /// List the chips, each value with its source and how far it can be trusted
    Targets,
}

#[derive(Args, Debug)]
pub(crate) struct Inspect {
    /// The network
    #[arg(value_name = "FILE.nir")]
    pub(crate) file: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Compile {
    /// The network
    #[arg(value_name = "FILE.nir")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// The chip
    #[arg(long, default_value = "spinnaker2")]
    pub(crate) target: String,
    /// The directory to write; new or empty
    #[arg(short, long, value_name = "BUNDLE")]
    pub(crate) output: PathBuf,
    /// Texts of stages to put into the bundle's directory `emit`
    #[arg(long, value_enum, value_delimiter = ',', value_name = "STAGES")]
    pub(crate) emit: Vec<Stage>,
}

/// A stage with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// The network with every convention spelt out
    Network,
    /// The forward event program
    Event,
    /// The program with its adjoint, loss and optimiser
    Adjoint,
    /// Placement, keys, routes and memory
    Mapping,
    /// Disassembly
    Listing,
    /// All of these
    All,
}

#[derive(Args, Debug)]
pub(crate) struct Train {
    /// The configuration
    #[arg(value_name = "C.toml")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Passes over the training set (training.epochs); 0 tests the initial weights
    #[arg(long, value_name = "N")]
    pub(crate) epochs: Option<u32>,
    /// Seed of initial weights and shuffling (training.seed)
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u32>,
    /// Number of training samples (data.train.samples)
    #[arg(long, value_name = "N")]
    pub(crate) samples: Option<u32>,
    /// A new directory for metrics, model, checkpoint and report
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Go on with the run in this directory
    #[arg(long, value_name = "DIR")]
    pub(crate) resume: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The network, or a bundle of it
    #[arg(value_name = "FILE.nir|BUNDLE")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Spikes: an array (T, B, J) of u8
    #[arg(long, value_name = "SPIKES.npy")]
    pub(crate) input: PathBuf,
    /// What to record, such as hidden.spikes,hidden.v; by default the output's spikes
    #[arg(long, value_delimiter = ',', value_name = "POPULATION.QUANTITY")]
    pub(crate) record: Vec<String>,
    /// The archive to write
    #[arg(short, long, value_name = "OUT.npz")]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct Gradient {
    /// The network
    #[arg(value_name = "FILE.nir")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Spikes: an array (T, B, J) of u8
    #[arg(long, value_name = "SPIKES.npy")]
    pub(crate) input: PathBuf,
    /// Classes: an integer array (B,)
    #[arg(long, value_name = "LABELS.npy", required_unless_present = "error")]
    pub(crate) labels: Option<PathBuf>,
    /// Errors of output spikes, an array (T, B, N) of f32, instead of those of the loss
    #[arg(long, value_name = "ERROR.npy")]
    pub(crate) error: Option<PathBuf>,
    /// The archive to write
    #[arg(short, long, value_name = "OUT.npz")]
    pub(crate) output: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ConfigFile {
    /// The configuration
    #[arg(short, long, value_name = "C.toml")]
    config: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
}

#[derive(Args, Debug)]
pub(crate) struct Overrides {
    /// Override a configuration key; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct ExecutorArgs {
    /// What runs the program; all of them give the same bits
    #[arg(long, value_enum, default_value_t = ExecutorName::Host)]
    executor: ExecutorName,
    /// Threads of this machine; 0 for one a core
    #[arg(long, default_value_t = 0, value_name = "N")]
    threads: usize,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ExecutorName {
    /// The definition, step by step
    Interpreter,
    /// The native simulator
    Host,
    /// The firmware on the emulated chip
    Emulator,
}

impl From<ExecutorArgs> for Executors {
    fn from(args: ExecutorArgs) -> Self {
        Self {
            kind: match args.executor {
                ExecutorName::Interpreter => Kind::Interpreter,
                ExecutorName::Host => Kind::Host,
                ExecutorName::Emulator => Kind::Emulator,
            },
            threads: args.threads,
        }
    }
}

impl Overrides {
    /// Applies all of them; reports every one that does not apply.
    pub(crate) fn apply(&self, tree: &mut Tree) -> Result<(), Diagnostics> {
        let problems = self
            .set
            .iter()
            .filter_map(|assignment| tree.set(assignment).err());
        Diagnostics(problems.collect()).into_result(())
    }
}

impl ConfigFile {
    /// Reads the file, applies the overrides and checks the whole.
    pub(crate) fn read(&self) -> Result<Config, Diagnostics> {
        let mut tree = Tree::read(&self.config)?;
        self.overrides.apply(&mut tree)?;
        Config::from_tree(&tree)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Arguments::command().debug_assert();
    }
}

//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use nirc_ir::convention::Convention;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_runtime::config::{Config, Tree};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::reading::Reading;
use nirc_spinnaker2::mapping::slice::Balance;

use crate::conventions::preset;

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
    /// Show what is in a .nir file
    Inspect(Inspect),
    /// Say of each node what a convention and a chip make of it
    Check(Check),
    /// List what can be imported, exported, run and trained
    Supported,
    /// List the conventions by which files can be read, or explain one
    Conventions(Conventions),
    /// Rewrite parameters, so that another tool computes the same network
    Convert(Convert),
    /// Compare two files, or one file under two conventions
    Diff(Diff),
    /// Compile a network for training on a chip
    Compile(Compile),
    /// Show what the data of a configuration are
    Data(Data),
    /// Train a network
    Train(Train),
    /// Run a network forward on given spikes or values
    Run(Run),
    /// Compute the gradients of a batch, sample by sample
    Gradient(Gradient),
    /// Compare gradients with differences of the loss, in f64
    Gradcheck(Gradcheck),
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
    pub(crate) semantics: Semantics,
    #[command(flatten)]
    pub(crate) forward: Forward,
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

/// What a network that is not trained is compiled for.
#[derive(Args, Debug)]
#[command(next_help_heading = "To run forward only (without --config)")]
pub(crate) struct Forward {
    /// Ticks of a sample
    #[arg(long, value_name = "T", conflicts_with = "config")]
    pub(crate) ticks: Option<u32>,
    /// What to record, such as hidden.spikes,hidden.v; by default what leaves the network
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "POPULATION.QUANTITY",
        conflicts_with = "config"
    )]
    pub(crate) record: Vec<String>,
    /// Inputs that carry values; all others carry spikes
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "INPUTS",
        conflicts_with = "config"
    )]
    pub(crate) values: Vec<String>,
    /// Samples side by side
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        conflicts_with = "config",
        value_parser = clap::value_parser!(u8).range(1..)
    )]
    pub(crate) replicas: u8,
    /// What populations are cut into slices for
    #[arg(long, value_enum, default_value_t = BalanceName::Memory, conflicts_with = "config")]
    pub(crate) balance: BalanceName,
}

/// A stage with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// The network as it was imported, and after each pass that changed it
    Passes,
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
pub(crate) struct Data {
    /// The configuration
    #[arg(value_name = "C.toml")]
    pub(crate) config: PathBuf,
    #[command(flatten)]
    pub(crate) overrides: Overrides,
    /// Training samples to draw
    #[arg(long, default_value_t = 2, value_name = "N")]
    pub(crate) show: usize,
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
pub(crate) struct Check {
    /// The network
    #[arg(value_name = "FILE.nir")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) semantics: Semantics,
    /// The chip that it has to fit
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Ticks of a sample, for the chip
    #[arg(long, value_name = "T", default_value_t = 100)]
    pub(crate) ticks: u32,
}

#[derive(Args, Debug)]
pub(crate) struct Conventions {
    /// The one to explain
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Convert {
    /// The network
    #[arg(value_name = "IN.nir")]
    pub(crate) input: PathBuf,
    /// The file to write
    #[arg(value_name = "OUT.nir")]
    pub(crate) output: PathBuf,
    /// The convention by which the file means what it should
    #[arg(long, value_name = "C")]
    pub(crate) from: String,
    /// The convention by which the other tool will read it
    #[arg(long, value_name = "C")]
    pub(crate) to: String,
    /// Seconds of a tick
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) dt: Option<f64>,
    /// Seconds of a tick of the other tool, if it is another
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(crate) to_dt: Option<f64>,
    /// How the file is read otherwise: ATTRIBUTE=VALUE or POPULATION.ATTRIBUTE=VALUE; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// What the other tool does otherwise, likewise; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set_to: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// A network
    #[arg(value_name = "A.nir")]
    pub(crate) a: PathBuf,
    /// Another, or the same
    #[arg(value_name = "B.nir")]
    pub(crate) b: PathBuf,
    /// Input for both, to compare what they do
    #[arg(long, value_name = "SIGNALS")]
    pub(crate) input: Option<PathBuf>,
    /// The convention of both, if not that of their metadata
    #[arg(long, value_name = "C", requires = "input")]
    pub(crate) convention: Option<String>,
    /// The convention of the second, if it is another
    #[arg(long, value_name = "C", requires = "input")]
    pub(crate) convention_b: Option<String>,
    /// Seconds of a tick
    #[arg(
        long,
        value_name = "SECONDS",
        requires = "input",
        allow_negative_numbers = true
    )]
    pub(crate) dt: Option<f64>,
    /// Attributes of both: ATTRIBUTE=VALUE or POPULATION.ATTRIBUTE=VALUE; can be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "input")]
    pub(crate) set: Vec<String>,
    /// Attributes of the second alone; can be repeated
    #[arg(long, value_name = "KEY=VALUE", requires = "input")]
    pub(crate) set_b: Vec<String>,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The network, or a bundle of it
    #[arg(value_name = "FILE.nir|BUNDLE")]
    pub(crate) source: PathBuf,
    #[command(flatten)]
    pub(crate) semantics: Semantics,
    #[command(flatten)]
    pub(crate) executor: ExecutorArgs,
    /// Spikes or values: .npy (T, J) or (T, B, J), .npz with an array an Input, .csv, or NIRData (.h5)
    #[arg(long, value_name = "SIGNALS")]
    pub(crate) input: PathBuf,
    /// Ticks of a sample, if more than the input has
    #[arg(long, value_name = "T")]
    pub(crate) ticks: Option<u32>,
    /// What to record, such as hidden.spikes,hidden.v; by default what leaves the network
    #[arg(long, value_delimiter = ',', value_name = "POPULATION.QUANTITY")]
    pub(crate) record: Vec<String>,
    /// The file to write: .npz, or .npy, .csv, .h5 (NIRData)
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,
    /// A page to write: spikes and values to look at, and the chip if it ran there
    #[arg(long, value_name = "PAGE.html")]
    pub(crate) report: Option<PathBuf>,
}

/// How a file is read.
#[derive(Args, Debug)]
pub(crate) struct Semantics {
    /// A configuration whose convention and time step count
    #[arg(id = "config", short, long, value_name = "C.toml")]
    config: Option<PathBuf>,
    /// The convention, if not that of the file's metadata; `nirc conventions` lists them
    #[arg(long, value_name = "C")]
    convention: Option<String>,
    /// Seconds of a tick
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    dt: Option<f64>,
    /// ATTRIBUTE=VALUE, POPULATION.ATTRIBUTE=VALUE, or a configuration's KEY=VALUE; can be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Semantics {
    /// How to read a file, and the configuration if there is one; tells if the file itself says how.
    pub(crate) fn read(
        &self,
        file: &Path,
        json: bool,
    ) -> Result<(Reading, Option<Config>), Diagnostics> {
        let (config, attributes, mut problems) = self.config()?;
        let configured = config.as_ref().map(|config| config.time.dt);
        let dt = self.dt.or(configured);
        let read = match (&self.convention, &config) {
            (Some(name), config) => reading(name, dt, &attributes).map(|reading| Reading {
                // A convention says nothing of it.
                time: config.as_ref().map_or(reading.time, |c| c.reading().time),
                ..reading
            }),
            (None, Some(config)) => set(config.reading(), dt, &attributes),
            (None, None) => stated(file, json).and_then(|stated| set(stated, dt, &attributes)),
        };
        match read {
            Ok(reading) => problems.into_result((reading, config)),
            Err(more) => {
                problems.0.extend(more.0);
                Err(problems)
            }
        }
    }

    /// The configuration, if there is one, with the keys that are set; the attributes that are; and what is set
    /// that is neither.
    fn config(&self) -> Result<(Option<Config>, Vec<String>, Diagnostics), Diagnostics> {
        // A configuration has keys whose last part is an attribute's name, too.
        let of_config = |set: &&String| {
            let section = set.split(['.', '=']).next().unwrap_or_default();
            self.config.is_some() && Config::SECTIONS.contains(&section.trim())
                || !Reading::is_attribute(set)
        };
        let (keys, attributes): (Vec<&String>, Vec<&String>) = self.set.iter().partition(of_config);
        let attributes: Vec<String> = attributes.into_iter().cloned().collect();
        let mut problems = Diagnostics::new();
        let config = match &self.config {
            None => {
                problems.0.extend(unknown_keys(&keys).0);
                None
            }
            Some(path) => {
                let mut tree = Tree::read(path)?;
                apply(&keys, &mut tree)?;
                Some(Config::from_tree(&tree)?)
            }
        };
        Ok((config, attributes, problems))
    }

    /// The configuration that a bundle was compiled with, if it is one that trains; how its model is read stands in
    /// the bundle or there.
    pub(crate) fn of_bundle(&self) -> Result<Option<Config>, Diagnostics> {
        let (config, attributes, mut problems) = self.config()?;
        let stated = self.convention.iter().map(|_| "--convention".to_owned());
        let stated = stated.chain(self.dt.iter().map(|_| "--dt".to_owned()));
        let stated = stated.chain(attributes.iter().map(|set| format!("--set {set}")));
        problems.0.extend(stated.map(|place| {
            let message = "a bundle has been compiled as it is; this cannot be changed any more";
            let problem = Diagnostic::error(codes::CONVENTION, place, message);
            problem.help("compile the network anew, or run its .nir file")
        }));
        problems.into_result(config)
    }
}

/// Reading as a file's metadata state it, which is told.
pub(crate) fn stated(file: &Path, json: bool) -> Result<Reading, Diagnostics> {
    let reading = Reading::stated(file)?;
    let message = format!(
        "no convention is given: it is read under `{}`, as its metadata state",
        reading.convention.name
    );
    let note = Diagnostic::note(codes::CONVENTION, file.display().to_string(), message);
    crate::show::diagnostics(&note.into(), json);
    Ok(reading)
}

/// Reading under a convention of this name, with attributes set.
pub(crate) fn reading(
    name: &str,
    dt: Option<f64>,
    attributes: &[String],
) -> Result<Reading, Diagnostics> {
    set(Reading::under(preset(name)?), dt, attributes)
}

/// The same with attributes set.
pub(crate) fn set(
    mut reading: Reading,
    dt: Option<f64>,
    attributes: &[String],
) -> Result<Reading, Diagnostics> {
    reading.dt = dt;
    reading.set(attributes)?;
    Ok(reading)
}

/// What is wrong with either of two readings, told once.
pub(crate) fn all_problems(found: [Option<Diagnostics>; 2]) -> Diagnostics {
    let mut all = Diagnostics::new();
    for problem in found.into_iter().flatten().flat_map(|found| found.0) {
        if !all.0.contains(&problem) {
            all.push(problem);
        }
    }
    all
}

fn apply(keys: &[&String], tree: &mut Tree) -> Result<(), Diagnostics> {
    let problems = keys.iter().filter_map(|key| tree.set(key).err());
    Diagnostics(problems.collect()).into_result(())
}

fn unknown_keys(keys: &[&String]) -> Diagnostics {
    let attributes = Convention::ATTRIBUTES.join(", ");
    let problems = keys.iter().map(|key| {
        Diagnostic::error(codes::CONVENTION, key.as_str(), "this names no attribute").help(format!(
            "attributes are {attributes}; other keys belong to a configuration (--config)"
        ))
    });
    Diagnostics(problems.collect())
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
pub(crate) struct Gradcheck {
    /// The network
    #[arg(value_name = "FILE.nir")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
    /// Draw weights as training begins with them (`[init]`), instead of the file's
    #[arg(long)]
    pub(crate) init: bool,
    /// Samples of the training set
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub(crate) samples: usize,
    /// Most entries of a tensor that are compared in a sample, drawn at random
    #[arg(long, default_value_t = 100, value_name = "N")]
    pub(crate) entries: usize,
    /// Seed of what is drawn
    #[arg(long, default_value_t = 0, value_name = "SEED")]
    pub(crate) seed: u32,
    /// Samples of the comparison between ticks and exact times; 0 for none
    #[arg(long, default_value_t = 22, value_name = "N")]
    pub(crate) bias_samples: usize,
    /// Tolerated median error, over the largest entry of a gradient; of exact times
    #[arg(long, default_value_t = 1e-8, value_name = "ERROR")]
    pub(crate) median: f64,
    /// Tolerated error of 99 % of the entries; of exact times
    #[arg(long, default_value_t = 1e-6, value_name = "ERROR")]
    pub(crate) most: f64,
    /// A new folder for gradcheck.html and gradcheck.json
    #[arg(short, long, value_name = "OUT/")]
    pub(crate) output: Option<PathBuf>,
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
    /// What populations of the emulated chip are cut into slices for
    #[arg(long, value_enum, default_value_t = BalanceName::Memory)]
    balance: BalanceName,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BalanceName {
    /// To fit into the memory of a PE
    Memory,
    /// To be done sooner, too, as long as there are free PEs
    Cycles,
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
            balance: args.balance.into(),
        }
    }
}

impl From<BalanceName> for Balance {
    fn from(name: BalanceName) -> Self {
        match name {
            BalanceName::Memory => Self::Memory,
            BalanceName::Cycles => Self::Cycles,
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

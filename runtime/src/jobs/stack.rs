//! Recordings: what executors hand out sample by sample, put side by side as (T, B, N).

use ndarray::Array3;
use nirc_compiler::options::{Quantity, Record};
use nirc_ir::event::{Array, Proc, Program, Role};
use nirc_ir::executor::{Executor, InputSpike};
use nirc_ir::network::{Membrane, Network, Population, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::data::Archive;
use crate::data::signal::{ExactSpike, Extent, Name, Signal, SignalError, Spikes, Values};

/// Something recorded of a population, for every sample.
pub(crate) struct Recording {
    record: Record,
    proc: Proc,
    /// Ticks by which the outside sees a spike later than its population.
    late: u32,
    lanes: u32,
    ticks: u32,
    stack: Stack,
}

enum Stack {
    Spikes(Vec<Vec<InputSpike>>),
    Exact(Vec<Vec<ExactSpike>>),
    Trace(Array, Array3<f32>),
}

/// Reads `population.quantity`.
pub(crate) fn parse(name: &str) -> Result<Record, Diagnostic> {
    let unknown = || {
        let quantities = Quantity::ALL.map(Quantity::name).join(", ");
        Diagnostic::error(
            codes::RECORD_NAME,
            name,
            "expected population.quantity, such as hidden.spikes",
        )
        .help(format!("quantities are {quantities}"))
    };
    let (population, quantity) = name.rsplit_once('.').ok_or_else(unknown)?;
    Ok(Record {
        population: population.to_owned(),
        quantity: Quantity::parse(quantity).ok_or_else(unknown)?,
    })
}

/// Reads names of what to record, each once; what leaves the network if there are none.
pub(crate) fn recorded(names: &[String], network: &Network) -> Result<Vec<Record>, Diagnostics> {
    if names.is_empty() {
        return Ok(outputs(network));
    }
    let mut problems = Diagnostics::new();
    let mut record = Vec::new();
    for name in names {
        match parse(name).and_then(|what| checked(what, network)) {
            Ok(what) if record.contains(&what) => {}
            Ok(what) => record.push(what),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(record)
}

/// Whether a program can record all of this.
///
/// # Errors
/// What of it cannot be, and why.
pub(crate) fn check(record: &[Record], program: &Program) -> Result<(), Diagnostics> {
    let problems = record.iter().filter_map(|what| find(what, program).err());
    Diagnostics(problems.collect()).into_result(())
}

/// The process of what is to be recorded, and its trace unless the spikes are.
fn find(record: &Record, program: &Program) -> Result<(Proc, Option<Array>), Diagnostic> {
    let spiking =
        |proc: &Proc| matches!(program.processes[*proc].role, Role::Source | Role::Neurons);
    let Some(proc) = program.process(&record.population).filter(spiking) else {
        let populations = program.processes.iter().filter(|(proc, _)| spiking(proc));
        return Err(unknown(record, populations.map(|(_, p)| p.name.as_str())));
    };
    let trace = program.processes[proc].array(&format!("trace.{}", record.quantity.name()));
    if trace.is_none() && record.quantity != Quantity::Spikes {
        let message = "this program was compiled without the trace";
        return Err(Diagnostic::error(codes::RECORD_NAME, name(record), message)
            .help("name it with --record when compiling, or record it from the .nir file"));
    }
    Ok((proc, trace))
}

/// Everything there is of every population of neurons, adjoints included if they are computed.
pub(crate) fn everything(network: &Network, adjoint: bool) -> Vec<Record> {
    let mut all = Vec::new();
    for population in network.populations.values() {
        if let PopulationKind::Neurons(_) = &population.kind {
            let quantities = quantities(population, adjoint).into_iter();
            all.extend(quantities.map(|quantity| Record {
                population: population.name.clone(),
                quantity,
            }));
        }
    }
    all
}

/// What can be recorded of a population.
fn quantities(population: &Population, adjoint: bool) -> Vec<Quantity> {
    let PopulationKind::Neurons(neuron) = &population.kind else {
        return vec![Quantity::Spikes];
    };
    let has = |quantity: &Quantity| match quantity {
        Quantity::Spikes => neuron.firing.is_some(),
        Quantity::I => neuron.synapse.is_some(),
        Quantity::VPre => neuron.firing.is_some() && neuron.membrane != Membrane::Direct,
        Quantity::V => true,
        Quantity::LambdaV => adjoint,
        Quantity::LambdaI => adjoint && neuron.synapse.is_some(),
    };
    Quantity::ALL.into_iter().filter(has).collect()
}

/// The same, if a forward pass has it.
pub(crate) fn checked(record: Record, network: &Network) -> Result<Record, Diagnostic> {
    let mut populations = network.populations.values();
    let Some(population) = populations.find(|p| p.name == record.population) else {
        let names = network.populations.values().map(|p| p.name.as_str());
        return Err(unknown(&record, names));
    };
    let has = quantities(population, false);
    if has.contains(&record.quantity) {
        return Ok(record);
    }
    let has = has
        .into_iter()
        .map(Quantity::name)
        .collect::<Vec<_>>()
        .join(", ");
    let message = format!(
        "`{}` has no {} in a forward pass",
        record.population,
        record.quantity.name()
    );
    Err(
        Diagnostic::error(codes::RECORD_NAME, name(&record), message)
            .help(format!("it has: {has}")),
    )
}

fn unknown<'a>(record: &Record, names: impl Iterator<Item = &'a str>) -> Diagnostic {
    let names: Vec<&str> = names.collect();
    let message = format!("no population is called `{}`", record.population);
    Diagnostic::error(codes::RECORD_NAME, name(record), message)
        .help(format!("populations are: {}", names.join(", ")))
}

/// What leaves a network: spikes, or values where there are none.
pub(crate) fn outputs(network: &Network) -> Vec<Record> {
    let mut all = Vec::new();
    for port in &network.outputs {
        let population = &network.populations[port.population];
        let fires = match &population.kind {
            PopulationKind::Neurons(neuron) => neuron.firing.is_some(),
            PopulationKind::Source | PopulationKind::Graded => true,
        };
        let record = Record {
            population: population.name.clone(),
            quantity: if fires { Quantity::Spikes } else { Quantity::V },
        };
        if !all.contains(&record) {
            all.push(record);
        }
    }
    all
}

/// `population.quantity`.
pub(crate) fn name(record: &Record) -> String {
    format!("{}.{}", record.population, record.quantity.name())
}

impl Recording {
    /// An empty recording of so many samples; `late` says by how many ticks the outside sees the spikes later.
    pub(crate) fn new(
        record: Record,
        program: &Program,
        samples: usize,
        late: u32,
    ) -> Result<Self, Diagnostic> {
        let (proc, trace) = find(&record, program)?;
        let lanes = program.processes[proc].lanes;
        let stack = match trace {
            Some(trace) => {
                let refused = |e: SignalError| {
                    Diagnostic::error(codes::DATA_ARRAY, name(&record), e.to_string())
                };
                let extents = [samples, lanes].map(|n| n as u64);
                let extent = Extent::new(program.ticks.into(), extents[0], extents[1]);
                let shape = extent.and_then(Extent::dense).map_err(refused)?;
                Stack::Trace(trace, Array3::zeros(shape))
            }
            None if program.window.is_some() => Stack::Exact(Vec::with_capacity(samples)),
            None => Stack::Spikes(Vec::with_capacity(samples)),
        };
        Ok(Self {
            record,
            proc,
            late,
            lanes: u32::try_from(lanes).unwrap_or(u32::MAX),
            ticks: program.ticks,
            stack,
        })
    }

    /// Takes sample `b`, the next one, from the replica that ran it.
    pub(crate) fn take(
        &mut self,
        executor: &dyn Executor,
        replica: usize,
        b: usize,
    ) -> Result<(), Diagnostic> {
        match &mut self.stack {
            Stack::Spikes(samples) => {
                let spikes = executor.spikes(replica, self.proc)?.into_iter();
                let seen = spikes.map(|s| InputSpike {
                    tick: s.tick + self.late,
                    channel: s.lane,
                });
                samples.push(seen.filter(|s| s.tick < self.ticks).collect());
            }
            Stack::Exact(samples) => {
                let spikes = executor.spikes(replica, self.proc)?.into_iter();
                let times = executor.spike_times(replica, self.proc)?;
                let late = self.late as f32;
                let seen = spikes.zip(times).map(|(spike, time)| ExactSpike {
                    time: time + late,
                    channel: spike.lane,
                });
                let ticks = f64::from(self.ticks);
                samples.push(seen.filter(|s| f64::from(s.time) < ticks).collect());
            }
            Stack::Trace(trace, array) => {
                let values = executor.read(replica, self.proc, *trace)?;
                // Spikes are seen later than they cross; the voltage is the population's own.
                let late = match self.record.quantity {
                    Quantity::Spikes => self.late as usize,
                    _ => 0,
                };
                let (ticks, _, lanes) = array.dim();
                let rows = values.chunks_exact(lanes.max(1));
                for (tick, row) in (late..ticks).zip(rows) {
                    for (lane, value) in row.iter().enumerate() {
                        array[[tick, b, lane]] = *value;
                    }
                }
            }
        }
        Ok(())
    }

    /// What was recorded, by its name.
    pub(crate) fn signal(self) -> Result<(Name, Signal), Diagnostic> {
        let title = name(&self.record);
        let Record {
            population,
            quantity,
        } = self.record;
        let signal = match self.stack {
            Stack::Spikes(samples) => {
                Spikes::new(self.ticks, self.lanes, samples).map(Signal::Spikes)
            }
            Stack::Exact(samples) => {
                Spikes::exact(self.ticks, self.lanes, samples).map(Signal::Spikes)
            }
            Stack::Trace(_, mut array) => {
                // Processors make different NaNs.
                array.mapv_inplace(|v| if v.is_nan() { f32::NAN } else { v });
                Values::new(array).map(Signal::Values)
            }
        };
        let refused = |e: SignalError| Diagnostic::error(codes::DATA_ARRAY, title, e.to_string());
        Ok((
            Name::quantity(population, quantity.name()),
            signal.map_err(refused)?,
        ))
    }

    /// Stores it under its name.
    pub(crate) fn store(self, archive: &mut Archive) -> Result<(), Diagnostic> {
        let (name, signal) = self.signal()?;
        add(archive, &name, &signal)
    }
}

/// Adds a signal to an archive, spikes as zeros and ones, and exact times beside them.
pub(crate) fn add(archive: &mut Archive, name: &Name, signal: &Signal) -> Result<(), Diagnostic> {
    let place = name.to_string();
    match signal {
        Signal::Values(values) => archive.add(&place, values.array()),
        Signal::Spikes(spikes) => {
            let refused =
                |e: SignalError| Diagnostic::error(codes::DATA_ARRAY, &place, e.to_string());
            archive.add(&place, &spikes.raster().map_err(refused)?)?;
            let times = spikes.list();
            times.map_or(Ok(()), |times| {
                archive.add(&format!("{place}.times"), &times)
            })
        }
    }
}

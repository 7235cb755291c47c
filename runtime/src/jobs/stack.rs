//! Per-sample arrays put side by side: (T, B, N) from executors that hand out one sample's (T, N).

use ndarray::Array3;
use nirc_compiler::options::{Quantity, Record};
use nirc_ir::event::{Proc, Program, Role};
use nirc_ir::executor::Executor;
use nirc_ir::network::{Network, PopulationKind};
use nirc_ir::{Diagnostic, codes};

use crate::data::Archive;

/// Something recorded of a population, for every sample.
pub(super) struct Recording {
    proc: Proc,
    what: What,
    stack: Stack,
}

/// What is recorded, by its name in files: `population.quantity`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Own spikes.
    Spikes {
        /// Name of the population.
        population: String,
    },
    /// A trace.
    Trace(Record),
}

enum Stack {
    Spikes(Array3<u8>),
    Trace(Array3<f32>),
}

impl What {
    /// Reads `population.quantity`.
    pub(super) fn parse(name: &str) -> Result<Self, Diagnostic> {
        let unknown = || {
            Diagnostic::error(
                codes::RECORD_NAME,
                name,
                "expected population.quantity, such as hidden.spikes",
            )
            .help("quantities are spikes, v_pre, v, i, lambda_v, lambda_i")
        };
        let (population, quantity) = name.rsplit_once('.').ok_or_else(unknown)?;
        let population = population.to_owned();
        if quantity == "spikes" {
            return Ok(Self::Spikes { population });
        }
        let quantity = Quantity::parse(quantity).ok_or_else(unknown)?;
        Ok(Self::Trace(Record {
            population,
            quantity,
        }))
    }

    /// Everything there is of every population of neurons, adjoints included.
    pub(super) fn everything(network: &Network) -> Vec<Self> {
        let mut all = Vec::new();
        for population in network.populations.values() {
            let PopulationKind::Neurons(neuron) = &population.kind else {
                continue;
            };
            all.push(Self::Spikes {
                population: population.name.clone(),
            });
            let has_current = neuron.synapse.is_some();
            let quantities = Quantity::ALL
                .into_iter()
                .filter(|q| has_current || !matches!(q, Quantity::I | Quantity::LambdaI));
            all.extend(quantities.map(|quantity| {
                Self::Trace(Record {
                    population: population.name.clone(),
                    quantity,
                })
            }));
        }
        all
    }

    /// The traces among them, for the compiler.
    pub(super) fn traces(all: &[Self]) -> Vec<Record> {
        let traces = all.iter().filter_map(|what| match what {
            Self::Trace(record) => Some(record.clone()),
            Self::Spikes { .. } => None,
        });
        traces.collect()
    }

    fn name(&self) -> String {
        match self {
            Self::Spikes { population } => format!("{population}.spikes"),
            Self::Trace(r) => format!("{}.{}", r.population, r.quantity.name()),
        }
    }

    fn population(&self) -> &str {
        match self {
            Self::Spikes { population } => population,
            Self::Trace(record) => &record.population,
        }
    }
}

impl Recording {
    /// An empty recording of so many samples.
    pub(super) fn new(what: What, program: &Program, samples: usize) -> Result<Self, Diagnostic> {
        let spiking =
            |proc: &Proc| matches!(program.processes[*proc].role, Role::Source | Role::Neurons);
        let Some(proc) = program.process(what.population()).filter(spiking) else {
            let names: Vec<&str> = program
                .processes
                .values()
                .filter(|p| matches!(p.role, Role::Source | Role::Neurons))
                .map(|p| p.name.as_str())
                .collect();
            return Err(Diagnostic::error(
                codes::RECORD_NAME,
                what.name(),
                format!("no population is called `{}`", what.population()),
            )
            .help(format!("populations are: {}", names.join(", "))));
        };
        let shape = (
            program.ticks as usize,
            samples,
            program.processes[proc].lanes,
        );
        let stack = match what {
            What::Spikes { .. } => Stack::Spikes(Array3::zeros(shape)),
            What::Trace(_) => Stack::Trace(Array3::zeros(shape)),
        };
        Ok(Self { proc, what, stack })
    }

    /// Takes sample `b` from the replica that ran it.
    pub(super) fn take(
        &mut self,
        executor: &dyn Executor,
        replica: usize,
        b: usize,
    ) -> Result<(), Diagnostic> {
        match &mut self.stack {
            Stack::Spikes(array) => {
                for spike in executor.spikes(replica, self.proc)? {
                    array[[spike.tick as usize, b, spike.lane as usize]] = 1;
                }
            }
            Stack::Trace(array) => {
                let What::Trace(record) = &self.what else {
                    return Ok(());
                };
                let name = format!("trace.{}", record.quantity.name());
                let Some(trace) = executor.program().processes[self.proc].array(&name) else {
                    return Err(Diagnostic::error(
                        codes::RECORD_NAME,
                        self.what.name(),
                        "this program was compiled without the trace",
                    )
                    .help("record it from the .nir file; a bundle records spikes only"));
                };
                let values = executor.read(replica, self.proc, trace)?;
                let lanes = array.dim().2;
                for (tick, row) in values.chunks_exact(lanes.max(1)).enumerate() {
                    for (lane, value) in row.iter().enumerate() {
                        array[[tick, b, lane]] = *value;
                    }
                }
            }
        }
        Ok(())
    }

    /// Stores it under its name.
    pub(super) fn store(&self, archive: &mut Archive) -> Result<(), Diagnostic> {
        match &self.stack {
            Stack::Spikes(array) => archive.add(&self.what.name(), array),
            Stack::Trace(array) => archive.add(&self.what.name(), array),
        }
    }
}

//! From a network to an event program.
//!
//! 1. `neuron`: each population's differential equations, under the network's convention, become a
//!    forward process.
//! 2. `loss`: the read-out and the loss become a process behind the output population.
//! 3. [`crate::adjoint`]: adjoint handlers are derived from the forward handlers.
//! 4. `optimiser`: each trained tensor gets a process that updates it.
//! 5. `probe`: traces.

mod body;
mod loss;
mod neuron;
mod optimiser;
mod probe;

use std::collections::BTreeMap;

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{Chan, Channel, Proc, Process, Program, Role, Tensor, TensorDecl};
use nirc_ir::network::{Network, Pop, PopulationKind, Proj};
use nirc_ir::verify::verify;
use nirc_ir::verify_network::verify_network;
use nirc_ir::{Diagnostic, Diagnostics, codes};

pub use body::BodyBuilder;

use crate::adjoint;
use crate::options::Options;

/// Lowers a network to a verified event program.
///
/// # Errors
/// Everything that is wrong with the options or cannot be lowered, all at once.
pub fn lower(network: &Network, options: &Options) -> Result<Program, Diagnostics> {
    verify_network(network)?;
    check(network, options)?;
    let mut lowering = Lowering::new(network, options);
    lowering.tensors();
    lowering.channels();
    lowering.processes();
    let mut program = lowering.program;
    verify(&program)?;
    if options.adjoint {
        adjoint::derive(&mut program, network.convention.integrator)?;
        verify(&program)?;
    }
    probe::add(&mut program, &options.record)?;
    if let Some(rule) = &options.optimiser {
        optimiser::add(&mut program, rule);
    }
    verify(&program)?;
    Ok(program)
}

fn check(network: &Network, options: &Options) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut bad = |place: &str, message: String, help: &str| {
        problems.push(Diagnostic::error(codes::CONFIG_CONTRADICTION, place, message).help(help));
    };
    if !(2..=65_535).contains(&options.ticks) {
        bad(
            "time.ticks",
            format!("{} bins; a sample has 2 to 65535", options.ticks),
            "give the number of bins of a sample, with the last spikes two bins before its end",
        );
    }
    if options.batch == 0 || options.replicas == 0 {
        bad(
            "training.batch",
            format!(
                "batch {} on {} replicas; both must be at least 1",
                options.batch, options.replicas
            ),
            "set `training.batch` and `mapping.replicas` to 1 or more",
        );
    }
    if options.adjoint && options.loss.is_none() {
        bad(
            "loss",
            "an adjoint program needs a loss".into(),
            "add a [loss] section",
        );
    }
    if options.optimiser.is_some() && !options.adjoint {
        bad(
            "optimiser",
            "an optimiser needs the adjoint program".into(),
            "compile for training, or leave the optimiser out",
        );
    }
    for (_, projection) in network.projections.iter() {
        if projection.delay != 1 {
            problems.push(
                Diagnostic::error(
                    codes::LOWER_UNSUPPORTED,
                    &projection.name,
                    format!("a delay of {} ticks; only 1 is supported", projection.delay),
                )
                .help("set `convention.delay = 1`"),
            );
        }
    }
    problems.into_result(())
}

struct Lowering<'a> {
    network: &'a Network,
    options: &'a Options,
    program: Program,
    weights: BTreeMap<Proj, Tensor>,
    biases: BTreeMap<Proj, Tensor>,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, options: &'a Options) -> Self {
        Self {
            network,
            options,
            program: Program {
                name: network.name.clone(),
                ticks: options.ticks,
                dt: network.dt,
                replicas: options.replicas,
                tensors: PrimaryMap::new(),
                processes: PrimaryMap::new(),
                channels: PrimaryMap::new(),
            },
            weights: BTreeMap::new(),
            biases: BTreeMap::new(),
        }
    }

    fn tensors(&mut self) {
        for (id, projection) in self.network.projections.iter() {
            let lanes = self.network.populations[projection.post].size;
            let mut declare = |field: &str, values: &[f32]| {
                self.program.tensors.push(TensorDecl {
                    name: format!("{}.{field}", projection.name),
                    rows: values.len() / lanes.max(1),
                    lanes,
                    values: values.to_vec(),
                    trainable: projection.trainable,
                })
            };
            self.weights
                .insert(id, declare("weight", &projection.weights));
            if let Some(bias) = &projection.bias {
                self.biases.insert(id, declare("bias", bias));
            }
        }
    }

    /// Process `k` is population `k`; the loss follows.
    fn channels(&mut self) {
        let ticks = self.options.ticks as usize;
        for (_, projection) in self.network.projections.iter() {
            let bound = self.spike_bound(projection.pre, ticks);
            self.program.channels.push(Channel {
                from: Proc::new(projection.pre.index()),
                to: Proc::new(projection.post.index()),
                bound,
            });
        }
        if self.options.loss.is_some() {
            let output = self.network.output;
            let bound = self.spike_bound(output, ticks);
            self.program.channels.push(Channel {
                from: Proc::new(output.index()),
                to: Proc::new(self.network.populations.len()),
                bound,
            });
        }
    }

    /// Most spikes of a population in one sample: one per lane in every bin in which it can spike.
    fn spike_bound(&self, pop: Pop, ticks: usize) -> usize {
        let population = &self.network.populations[pop];
        match population.kind {
            PopulationKind::Source => population.size * ticks,
            PopulationKind::Neurons(_) => {
                let possible = population.size * (ticks - 1);
                self.options
                    .spike_bound
                    .map_or(possible, |bound| bound.min(possible))
            }
        }
    }

    fn processes(&mut self) {
        for (pop, population) in self.network.populations.iter() {
            let process = match &population.kind {
                PopulationKind::Source => Process {
                    name: population.name.clone(),
                    role: Role::Source,
                    lanes: population.size,
                    coefs: PrimaryMap::new(),
                    arrays: PrimaryMap::new(),
                    tape: None,
                    handlers: Vec::new(),
                },
                PopulationKind::Neurons(neuron) => {
                    let inputs = self.inputs(pop);
                    let bound = self.spike_bound(pop, self.options.ticks as usize);
                    neuron::process(self.network, population, neuron, &inputs, bound)
                }
            };
            self.program.processes.push(process);
        }
        if let Some(loss) = &self.options.loss {
            let chan = Chan::new(self.program.channels.len() - 1);
            let lanes = self.network.populations[self.network.output].size;
            let mut process = loss::process(loss, self.options, self.network.dt, lanes, chan);
            process.name = free_name(&self.program, process.name);
            self.program.processes.push(process);
        }
    }

    fn inputs(&self, pop: Pop) -> Vec<neuron::Input> {
        self.network
            .projections
            .iter()
            .filter(|(_, p)| p.post == pop)
            .map(|(id, p)| neuron::Input {
                chan: Chan::new(id.index()),
                projection: p.name.clone(),
                weight: self.weights[&id],
                bias: self.biases.get(&id).copied(),
            })
            .collect()
    }
}

/// The name, or one like it that no process has yet: populations are called as their file calls them.
fn free_name(program: &Program, mut name: String) -> String {
    while program.process(&name).is_some() {
        name.push('_');
    }
    name
}

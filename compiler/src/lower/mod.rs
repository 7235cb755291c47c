//! From a network to an event program.
//!
//! 1. `neuron`: each population's differential equations, under its convention, become a forward process.
//! 2. `loss`: the read-out and the loss become a process behind the output population.
//! 3. [`crate::adjoint`]: adjoint handlers are derived from the forward handlers.
//! 4. `optimiser`: each trained tensor gets a process that updates it.
//! 5. `probe`: traces.
//!
//! In programs that go backwards in ticks, `shared` makes biases that neurons share weights first.
//!
//! Where spikes have exact times, `event` takes the place of 1 and 3.

mod body;
pub(crate) mod coefficients;
mod event;
mod loss;
mod neuron;
mod optimiser;
mod probe;
mod shared;

use std::collections::BTreeMap;

use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    ArrayKind, Chan, Channel, Delays, Output, Proc, Process, Program, Role, SpikeTape, Tensor,
    TensorDecl,
};
use nirc_ir::network::{
    BiasPlace, Convention, Gain, Link, Network, Parameter, Pop, PopulationKind, Proj, Projection,
    RecurrentBias, ResetTime,
};
use nirc_ir::verify::verify;
use nirc_ir::verify_network::verify_network;
use nirc_ir::{Diagnostic, Diagnostics, codes};

pub use body::BodyBuilder;
use coefficients::Coefficients;
use neuron::Constants;

use crate::adjoint::{self, Push};
use crate::options::{Cost, Loss, Options, Quantity, Regulariser};

/// Lowers a network to a verified event program.
///
/// # Errors
/// Everything that is wrong with the options or cannot be lowered, all at once.
pub fn lower(network: &Network, options: &Options) -> Result<Program, Diagnostics> {
    verify_network(network)?;
    check(network, options)?;
    let backwards = options.adjoint && options.events.is_none();
    let with_one = backwards.then(|| shared::biases(network)).flatten();
    let multiplied = options
        .events
        .is_some()
        .then(|| shared::multiplied_out(network));
    let network = with_one.as_ref().or(multiplied.as_ref()).unwrap_or(network);
    let mut lowering = Lowering::new(network, options);
    lowering.one = with_one.as_ref().map(|_| Pop::new(shared::ONE));
    lowering.tensors();
    lowering.channels();
    if options.events.is_some() {
        lowering.program.first_tick = 0;
        lowering.program.window = Some(lowering.window()?);
    }
    lowering.processes();
    let mut program = lowering.program;
    if backwards {
        // The loss sends errors already, which nobody takes before this.
        let pushes = pushes(network, options);
        let integrator = network.convention.integrator;
        adjoint::derive(&mut program, integrator, &pushes, options.batch)?;
    }
    verify(&program)?;
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
    let least = if options.adjoint { 2 } else { 1 };
    if !(least..=65_535).contains(&options.ticks) {
        bad(
            "time.ticks",
            format!("{} bins; a sample has {least} to 65535", options.ticks),
            match options.adjoint {
                true => {
                    "give the number of bins of a sample, with the last spikes two bins before its end"
                }
                false => {
                    "give the number of ticks of a sample (--ticks, time.ticks), and cut longer input into samples"
                }
            },
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
    if options.loss.is_some() && network.readout().is_none() {
        bad(
            "loss",
            format!("{} outputs; the loss reads one", network.outputs.len()),
            "leave the loss out, or give the network one Output",
        );
    }
    if let (Some(loss), Some(output)) = (options.loss, network.readout()) {
        let (place, values) = (
            &network.populations[output].name,
            network.emits_values(output),
        );
        if loss.reads_values() != values {
            let (has, reads) = match values {
                true => ("emits values", "spikes"),
                false => ("emits spikes", "voltages"),
            };
            let message = format!("`{place}` {has}, and the loss reads {reads}");
            let help = "choose a loss that reads what leaves the network, or another neuron in front of its Output";
            problems
                .push(Diagnostic::error(codes::CONFIG_CONTRADICTION, "loss", message).help(help));
        }
    }
    if let Some(optimiser) = &options.optimiser {
        problems.0.extend(optimiser::check(optimiser).0);
    }
    for projection in network.projections.values() {
        if let Link::Path(nodes) = &projection.link {
            let message = format!("a path of {} nodes is no synapses yet", nodes.len());
            problems.push(Diagnostic::error(
                codes::LOWER_UNSUPPORTED,
                &projection.name,
                message,
            ));
        }
    }
    let delayed = network.projections.values().filter(|p| p.delays.is_some());
    for projection in delayed.filter(|_| options.events.is_none()) {
        let message = "its sources have delays of their own, which are no ticks";
        let problem = Diagnostic::error(codes::LOWER_UNSUPPORTED, &projection.name, message);
        problems.push(problem.help("use exact event times, or prepare the network for ticks"));
    }
    for (pop, population) in network.populations.iter() {
        if let PopulationKind::Neurons(neuron) = &population.kind
            && neuron.synapse.is_some()
            && neuron.firing.is_some()
            && network.convention_of(pop).reset_time == ResetTime::Exact
        {
            problems.push(
                Diagnostic::error(
                    codes::LOWER_UNSUPPORTED,
                    &population.name,
                    "`reset_time` is exact, and where a current follows the spikes a crossing within the tick has no closed form",
                )
                .help("set `reset_time` to same for this population"),
            );
        }
        let first = population.convention.as_ref().map(|c| c.first_tick);
        if first.is_some_and(|first| first != network.convention.first_tick) {
            problems.push(
                Diagnostic::error(
                    codes::LOWER_UNSUPPORTED,
                    &population.name,
                    "a first tick of its own; all neurons begin in the same tick",
                )
                .help("set `first_tick` for the whole network"),
            );
        }
    }
    if options.events.is_some() {
        problems.0.extend(event::check(network, options).0);
    } else if options.adjoint {
        problems.0.extend(untrainable(network).0);
    }
    if options.adjoint {
        problems.0.extend(regularisers(network, options).0);
    }
    problems.into_result(())
}

/// Attributes that a pass backwards is derived for, where they can be otherwise.
const TRAINABLE: [(&str, &str); 6] = [
    ("gain", "input"),
    ("initial", "zero"),
    ("reset_time", "same"),
    ("floor", "none"),
    ("spikes", "single"),
    ("bias", "input"),
];

/// What stands in the way of a pass that goes backwards.
fn untrainable(network: &Network) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (id, population) in network.populations.iter() {
        if !matches!(population.kind, PopulationKind::Neurons(_)) {
            continue;
        }
        for (attribute, value) in network.convention_of(id).attributes() {
            let needed = TRAINABLE.iter().find(|(name, _)| *name == attribute);
            if let Some((_, needed)) = needed.filter(|(_, needed)| *needed != value) {
                problems.push(
                    Diagnostic::error(
                        codes::ADJOINT_UNSUPPORTED,
                        &population.name,
                        format!("`{attribute}` is {value}, and has to be {needed}"),
                    )
                    .help(format!(
                        "set `{attribute}` to {needed}, or run it forward only"
                    )),
                );
            }
        }
    }
    for (id, projection) in network.projections.iter() {
        let place = network.convention_of(projection.post).recurrent_bias;
        let biased = projection.bias.is_some() && network.is_recurrent(id);
        if biased && place != RecurrentBias::Same {
            let message = "`recurrent_bias` is not same, and this projection is part of a cycle";
            problems.push(
                Diagnostic::error(codes::ADJOINT_UNSUPPORTED, &projection.name, message)
                    .help("set `recurrent_bias` to same, or run it forward only"),
            );
        }
    }
    problems
}

/// What the numbers of spikes cost, by process.
fn pushes(network: &Network, options: &Options) -> BTreeMap<Proc, Vec<Push>> {
    let mut pushes: BTreeMap<Proc, Vec<Push>> = BTreeMap::new();
    if let (Some(Loss::SpikeCount { hit, miss }), Some(output)) = (options.loss, network.readout())
    {
        let weight = 1.0 / network.populations[output].size as f64;
        let push = Push::Count { hit, miss, weight };
        pushes
            .entry(Proc::new(output.index()))
            .or_default()
            .push(push);
    }
    for Regulariser {
        population,
        cost,
        strength,
    } in &options.regularise
    {
        let mut populations = network.populations.iter();
        let Some((pop, _)) = populations.find(|(_, p)| p.name == *population) else {
            continue;
        };
        let strength = *strength;
        let push = match *cost {
            Cost::Bounds { least, most } => Push::Bounds {
                least,
                most,
                strength,
            },
            Cost::Silent => Push::Silent {
                strength,
                label: false,
            },
            Cost::SilentLabel => Push::Silent {
                strength,
                label: true,
            },
        };
        pushes.entry(Proc::new(pop.index())).or_default().push(push);
    }
    pushes
}

/// What is wrong with what numbers of spikes cost.
fn regularisers(network: &Network, options: &Options) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (at, regulariser) in options.regularise.iter().enumerate() {
        let name = &regulariser.population;
        let place = format!("regularise[{at}]");
        let mut bad = |message: String, help: &str| {
            let problem = Diagnostic::error(codes::CONFIG_CONTRADICTION, &place, message);
            problems.push(problem.help(help));
        };
        let mut populations = network.populations.iter();
        let Some((pop, population)) = populations.find(|(_, p)| p.name == *name) else {
            let names: Vec<&str> = network
                .populations
                .values()
                .map(|p| p.name.as_str())
                .collect();
            let message = format!(
                "no population is called `{name}`; there are: {}",
                names.join(", ")
            );
            bad(message, "name a population of neurons that spike");
            continue;
        };
        let fires = matches!(&population.kind, PopulationKind::Neurons(n) if n.firing.is_some());
        if !fires {
            bad(
                format!("`{name}` does not spike"),
                "name a population of neurons that spike",
            );
        }
        let read = network.readout() == Some(pop);
        if regulariser.cost == Cost::SilentLabel && !read {
            bad(
                format!("`{name}` is not what the loss reads, and has no label"),
                "name the population in front of the Output, or let `silent` wake all neurons",
            );
        }
        let earlier = options.regularise[..at].iter();
        let same = |other: &Regulariser| {
            let alike =
                std::mem::discriminant(&other.cost) == std::mem::discriminant(&regulariser.cost);
            alike && other.population == *name
        };
        if earlier.clone().any(same) {
            bad(
                format!("`{name}` has such a cost already"),
                "leave one of them out",
            );
        }
    }
    problems
}

struct Lowering<'a> {
    network: &'a Network,
    options: &'a Options,
    program: Program,
    /// The coefficients' conventions, population by population.
    conventions: PrimaryMap<Pop, Convention>,
    weights: BTreeMap<Proj, Tensor>,
    biases: BTreeMap<Proj, Tensor>,
    /// Delays of sources.
    delays: BTreeMap<Proj, Tensor>,
    /// The population that says 1, if shared biases are its weights.
    one: Option<Pop>,
}

impl<'a> Lowering<'a> {
    fn new(network: &'a Network, options: &'a Options) -> Self {
        Self {
            network,
            options,
            conventions: network
                .populations
                .keys()
                .map(|pop| convention(network, pop))
                .collect(),
            program: Program {
                name: network.name.clone(),
                ticks: options.ticks,
                dt: network.dt,
                first_tick: network.convention.first_tick,
                window: None,
                replicas: options.replicas,
                tensors: PrimaryMap::new(),
                processes: PrimaryMap::new(),
                channels: PrimaryMap::new(),
            },
            weights: BTreeMap::new(),
            biases: BTreeMap::new(),
            delays: BTreeMap::new(),
            one: None,
        }
    }

    fn tensors(&mut self) {
        for (id, projection) in self.network.projections.iter() {
            let lanes = self.network.populations[projection.post].size;
            let gain = self.weight_gain(projection.post);
            let apart = self.has_factor(projection).is_some();
            let scaled = |weights: &[f32]| {
                let weights = match apart {
                    true => weights.to_vec(),
                    false => projection.multiplied(weights),
                };
                match &gain {
                    None => weights,
                    Some(gain) => scale(&weights, gain, lanes),
                }
            };
            let shared = matches!(projection.link, Link::Taps { .. });
            let field_of_weight = match self.one == Some(projection.pre) {
                true => "bias",
                false => "weight",
            };
            let mut declare = |field: &str, (rows, lanes), values: &[f32]| {
                self.program.tensors.push(TensorDecl {
                    name: format!("{}.{field}", projection.name),
                    rows,
                    lanes,
                    values: values.to_vec(),
                    // With exact event times, a bias that neurons share stays.
                    trainable: projection.trainable
                        && (!shared || field == "weight" || self.one == Some(projection.pre)),
                })
            };
            let weight = match &projection.link {
                Link::Dense(weights) => {
                    let rows = weights.len() / lanes.max(1);
                    declare(field_of_weight, (rows, lanes), &scaled(weights))
                }
                // No synapse names a weight where there is none, but a tensor has some.
                Link::Taps { weights, .. } if weights.is_empty() => {
                    declare(field_of_weight, (1, 1), &[0.0])
                }
                Link::Taps { weights, .. } => {
                    declare(field_of_weight, (1, weights.len()), &scaled(weights))
                }
                Link::Path(_) => unreachable!("paths were refused"),
            };
            self.weights.insert(id, weight);
            // What is not trained is folded into constants.
            if let Some(bias) = projection.bias.as_ref().filter(|_| self.options.adjoint) {
                self.biases.insert(id, declare("bias", (1, lanes), bias));
            }
            if let Some(delays) = &projection.delays {
                let tensor = self.program.tensors.push(TensorDecl {
                    name: format!("{}.delay", delays.name),
                    rows: 1,
                    lanes: delays.bins.len(),
                    values: delays.bins.clone(),
                    trainable: delays.trainable,
                });
                self.delays.insert(id, tensor);
            }
        }
    }

    /// The factor of a projection that is not 1, where training keeps it apart from the weights.
    fn has_factor(&self, projection: &Projection) -> Option<f64> {
        let apart = self.options.adjoint && self.options.events.is_none() && projection.trainable;
        let is_one = projection.factor.to_bits() == 1.0_f64.to_bits();
        (apart && !is_one).then_some(projection.factor)
    }

    /// Factor on the weights into a population, where its convention multiplies gains into them.
    fn weight_gain(&self, pop: Pop) -> Option<Parameter> {
        let PopulationKind::Neurons(neuron) = &self.network.populations[pop].kind else {
            return None;
        };
        let weights = self.coefficients(pop).terms(neuron).weights;
        (!weights.is_one()).then_some(weights.value)
    }

    fn coefficients(&self, pop: Pop) -> Coefficients<'_> {
        Coefficients {
            convention: &self.conventions[pop],
            dt: self.network.dt,
            weight_scale: self.network.populations[pop].weight_scale,
        }
    }

    /// The biases into a population, where they are not trained.
    fn constants(&self, pop: Pop) -> Constants {
        let mut constants = Constants::default();
        if self.options.adjoint {
            return constants;
        }
        let (convention, gain) = (&self.conventions[pop], self.weight_gain(pop));
        for (id, projection) in self.network.incoming(pop) {
            let Some(bias) = &projection.bias else {
                continue;
            };
            let bias = Parameter::from_values(bias.iter().map(|b| f64::from(*b)).collect());
            if bias.is(0.0) {
                continue;
            }
            let bias = match &gain {
                Some(gain) => bias.zip(gain, |bias, gain| bias * gain),
                None => bias,
            };
            let place = match (self.network.is_recurrent(id), convention.recurrent_bias) {
                (true, RecurrentBias::Delayed) => BiasPlace::Delayed,
                (true, RecurrentBias::Dropped) => BiasPlace::Dropped,
                _ => convention.bias,
            };
            constants.add(place, projection.delay, &bias);
        }
        constants
    }

    /// Process `k` is population `k`; the loss follows.
    fn channels(&mut self) {
        for projection in self.network.projections.values() {
            let connection = match &projection.link {
                Link::Taps { axes, .. } => Connection::Taps(axes.clone()),
                Link::Dense(_) | Link::Path(_) => Connection::All,
            };
            self.program.channels.push(Channel {
                from: Proc::new(projection.pre.index()),
                to: Proc::new(projection.post.index()),
                delay: projection.delay,
                delays: None,
                connection,
                bound: self.spike_bound(projection.pre),
            });
        }
        if let (Some(_), Some(output)) = (&self.options.loss, self.network.readout()) {
            self.program.channels.push(Channel {
                from: Proc::new(output.index()),
                to: Proc::new(self.network.populations.len()),
                delay: 0,
                delays: None,
                connection: Connection::All,
                bound: self.spike_bound(output),
            });
        }
    }

    /// Most spikes of a population in one sample: one per lane in every bin in which it can spike. With exact times
    /// there can be more, and the options may make room for them. Only what goes backwards has to keep them.
    fn spike_bound(&self, pop: Pop) -> Option<usize> {
        if !self.options.adjoint || self.network.emits_values(pop) {
            return None;
        }
        let (population, ticks) = (&self.network.populations[pop], self.options.ticks as usize);
        let silent = self.program.first_tick as usize;
        Some(match population.kind {
            PopulationKind::Source | PopulationKind::Graded => population.size * ticks,
            PopulationKind::Neurons(_) => {
                let possible = population.size * (ticks - silent);
                match self.options.spike_bound {
                    Some(bound) if self.options.events.is_some() => bound,
                    Some(bound) => bound.min(possible),
                    None => possible,
                }
            }
        })
    }

    fn processes(&mut self) {
        let pushes = pushes(self.network, self.options);
        for (pop, population) in self.network.populations.iter() {
            let source = |output| Process {
                name: population.name.clone(),
                role: Role::Source,
                lanes: population.size,
                coefs: PrimaryMap::new(),
                arrays: PrimaryMap::new(),
                output,
                tape: None,
                handlers: Vec::new(),
            };
            let process = match &population.kind {
                _ if self.one == Some(pop) => shared::process(&population.name),
                PopulationKind::Source => source(Output::Spikes),
                PopulationKind::Graded => source(Output::Given),
                PopulationKind::Neurons(neuron) => {
                    let inputs = self.inputs(pop);
                    let exact = self.options.events.as_ref();
                    let exact = exact.and_then(|exact| {
                        let of_pop = pushes.get(&Proc::new(pop.index()));
                        let of_pop = of_pop.map_or(&[][..], Vec::as_slice);
                        self.exact_process(pop, neuron, exact, &inputs, of_pop)
                    });
                    if let Some(process) = exact {
                        self.program.processes.push(process);
                        continue;
                    }
                    let (coefficients, constants) = (self.coefficients(pop), self.constants(pop));
                    let tape = self.tape(pop);
                    neuron::process(population, neuron, coefficients, &inputs, &constants, tape)
                }
            };
            self.program.processes.push(process);
        }
        self.delays_of_channels();
        if let Some(loss) = &self.options.loss {
            let chan = Chan::new(self.program.channels.len() - 1);
            let output = self.program.channels[chan].from;
            let lanes = self.program.processes[output].lanes;
            let mut process = loss::process(loss, self.options, self.network.dt, lanes, chan);
            process.name = free_name(&self.program, process.name);
            self.program.processes.push(process);
        }
    }

    /// Tells channels where their consumers hold the delays of their sources.
    fn delays_of_channels(&mut self) {
        for (id, tensor) in &self.delays {
            let channel = &mut self.program.channels[Chan::new(id.index())];
            let consumer = &self.program.processes[channel.to];
            let values = consumer.array_of(ArrayKind::Param(*tensor));
            channel.delays = values.map(|values| Delays {
                values,
                gradient: consumer.array_of(ArrayKind::Gradient(*tensor)),
            });
        }
    }

    /// What is kept of a population's spikes: all that the way back needs, or what somebody reads.
    fn tape(&self, pop: Pop) -> Option<SpikeTape> {
        let name = &self.network.populations[pop].name;
        let leaves = self.network.outputs.iter().any(|p| p.population == pop);
        let mut records = self.options.record.iter();
        let recorded = records.any(|r| r.quantity == Quantity::Spikes && r.population == *name);
        (self.options.adjoint || leaves || recorded).then(|| SpikeTape {
            fields: Vec::new(),
            bound: self.spike_bound(pop),
        })
    }

    fn inputs(&self, pop: Pop) -> Vec<neuron::Input> {
        self.network
            .incoming(pop)
            .map(|(id, p)| neuron::Input {
                chan: Chan::new(id.index()),
                projection: p.name.clone(),
                weight: self.weights[&id],
                array: self.program.tensors[self.weights[&id]].name.clone(),
                factor: self.has_factor(p),
                bias: self.biases.get(&id).copied(),
                delays: p.delays.as_ref().map(|d| (self.delays[&id], d.trainable)),
                values: self.network.emits_values(p.pre),
                synapses: matches!(p.link, Link::Taps { .. }),
            })
            .collect()
    }
}

/// The convention by which a population's coefficients are made: where neurons of different gains share
/// weights, a gain cannot be multiplied into these, and what arrives is multiplied instead. That is the same
/// but for roundings.
fn convention(network: &Network, pop: Pop) -> Convention {
    let mut convention = network.convention_of(pop).clone();
    let PopulationKind::Neurons(neuron) = &network.populations[pop].kind else {
        return convention;
    };
    let coefficients = Coefficients {
        convention: &convention,
        dt: network.dt,
        weight_scale: 1.0,
    };
    let differ = matches!(
        coefficients.terms(neuron).weights.value,
        Parameter::PerNeuron(_)
    );
    let shared = |(_, p): (_, &Projection)| matches!(p.link, Link::Taps { .. });
    if differ && network.incoming(pop).any(shared) {
        convention.gain = Gain::Input;
    }
    convention
}

/// Weights, lanes side by side, times a gain a lane.
fn scale(weights: &[f32], gain: &Parameter, lanes: usize) -> Vec<f32> {
    let scaled = weights.iter().enumerate();
    let scaled = scaled.map(|(k, w)| f64::from(*w) * gain.at(k % lanes.max(1)));
    scaled.map(|w| w as f32).collect()
}

/// The name, or one like it that no process has yet: populations are called as their file calls them.
fn free_name(program: &Program, mut name: String) -> String {
    while program.process(&name).is_some() {
        name.push('_');
    }
    name
}

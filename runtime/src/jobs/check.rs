//! What a convention and a chip make of a file, node by node.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nirc_compiler::nir::{self, NodeSummary};
use nirc_compiler::passes::{Time, delay, own_convention};
use nirc_ir::convention::{
    Attribute, BiasPlace, Convention, CurrentShape, Decays, Floor, Initial, Integrator, Leak,
    NumberFormat, Order, RecurrentBias, Reset, ResetTime, Resistance, SpikeCount, SpikeShape,
    SynapseInput, SynapseIntegrator, SynapseLeak, Threshold,
};
use nirc_ir::network::{Membrane, Network, Neuron, Parameter};
use nirc_ir::{Diagnostic, Diagnostics, Severity, codes};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;
use serde::Serialize;

use crate::model::Model;
use crate::reading::Reading;
use crate::simulation::forward;

/// What to check.
#[derive(Clone, Debug)]
pub struct Check {
    /// The file.
    pub file: PathBuf,
    /// How it is read.
    pub reading: Reading,
    /// The chip that it has to fit, and the ticks of a sample.
    pub target: Option<(Target, u32)>,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    /// A verdict a node, in file order.
    pub nodes: Vec<NodeVerdict>,
    /// Everything that was found, errors too.
    pub problems: Diagnostics,
    /// PEs on the chip, if it fits.
    pub pes: Option<usize>,
}

/// The verdict on a node.
#[derive(Clone, Debug, Serialize)]
pub struct NodeVerdict {
    /// The node's path.
    pub node: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// How it is approximate, or why it is not supported.
    pub how: Vec<String>,
}

/// How far a node does what NIR says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As the specification says, up to the rounding of `f32`.
    Faithful,
    /// Otherwise, in the ways listed.
    Approximate,
    /// Not at all.
    Unsupported,
}

impl Checked {
    /// Whether everything can be run.
    pub fn is_supported(&self) -> bool {
        !self.problems.has_errors()
    }
}

/// Checks a file.
///
/// # Errors
/// When it cannot be read at all; what is wrong with the graph is part of the result.
pub fn check(job: &Check) -> Result<Checked, Diagnostics> {
    let (file, mut problems) = nir::read(&job.file)?;
    let summary = nir::summary(&file);
    let neurons = nir::neurons(&file, job.reading.convention.time_unit);
    let (mut network, mut pes) = (None, None);
    match Model::from_file(file, &name(&job.file), &job.reading) {
        Ok(model) => {
            problems.0.extend(model.notes.0);
            match runs(&model.network, job.reading.time, job.target.as_ref()) {
                Ok(count) => pes = count,
                Err(found) => problems.0.extend(found.0),
            }
            network = Some(model.network);
        }
        Err(found) => problems.0.extend(found.0),
    }
    let judge = Judge {
        reading: &job.reading,
        problems: &problems,
        network: network.as_ref(),
        neurons,
    };
    let nodes = summary
        .nodes
        .iter()
        .map(|node| judge.verdict(node))
        .collect();
    Ok(Checked {
        nodes,
        problems,
        pes,
    })
}

fn name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// Whether there is a program for the network, and if a chip is given, on how many of its PEs it runs.
fn runs(
    network: &Network,
    time: Time,
    target: Option<&(Target, u32)>,
) -> Result<Option<usize>, Diagnostics> {
    let Some((target, ticks)) = target else {
        forward(network, time, (1, 1), &[], Some(1), &Target::spinnaker2())?;
        return Ok(None);
    };
    let program = forward(network, time, (*ticks, 1), &[], Some(1), target)?;
    let bundle = Bundle::build(&program, target)?;
    Ok(Some(bundle.mapping.placements.len()))
}

/// What verdicts follow from.
struct Judge<'a> {
    reading: &'a Reading,
    problems: &'a Diagnostics,
    /// The network, if there is nothing wrong with it.
    network: Option<&'a Network>,
    /// The neurons of the file, which are judged even where there is no network.
    neurons: BTreeMap<String, Neuron>,
}

impl Judge<'_> {
    fn verdict(&self, node: &NodeSummary) -> NodeVerdict {
        let own = self.problems.0.iter().filter(|p| concerns(p, &node.path));
        let own: Vec<&Diagnostic> = own.collect();
        let errors = own.iter().filter(|p| p.severity == Severity::Error);
        let mut how: Vec<String> = errors.map(|p| p.message.clone()).collect();
        let mut verdict = Verdict::Unsupported;
        if how.is_empty() {
            let rounded = own.iter().filter(|p| p.code == codes::NODE_PRECISION);
            how.extend(rounded.map(|p| p.message.clone()));
            how.extend(self.departures(&node.path));
            verdict = match how.is_empty() {
                true => Verdict::Faithful,
                false => Verdict::Approximate,
            };
        }
        NodeVerdict {
            node: node.path.clone(),
            type_name: node.type_name.clone(),
            verdict,
            how,
        }
    }

    /// In which ways a convention does otherwise than NIR's equations, as far as it shows on these neurons.
    fn departures(&self, name: &str) -> Vec<String> {
        let Some(neuron) = self.neurons.get(name) else {
            return Vec::new();
        };
        let Reading {
            convention,
            changes,
            ..
        } = self.reading;
        // Where that fails, it is among the problems.
        let Ok(convention) = own_convention(convention, changes, name, neuron) else {
            return Vec::new();
        };
        let place = Place::of(self.network, name, &convention);
        let dt = self.network.map(|network| network.dt);
        let described = Convention::describe();
        let values = convention.attributes();
        let departs = |(attribute, (name, value)): (&Attribute, &(&str, String))| {
            if !matters(name, &convention, neuron, &place, dt) {
                return None;
            }
            let meaning = attribute.values.iter().find(|(word, _)| word == value);
            let meaning = meaning.map_or(attribute.meaning, |(_, meaning)| meaning);
            Some(format!("{name} = {value}: {meaning}"))
        };
        let mut all: Vec<String> = described.iter().zip(&values).filter_map(departs).collect();
        all.extend(place.late());
        all
    }
}

/// Where neurons stand in a network.
struct Place {
    /// Most ticks by which something arrives later than the file has it.
    late: u32,
    /// Whether something constant arrives.
    biased: bool,
    /// Whether something constant arrives by way of a cycle.
    biased_by_cycle: bool,
}

impl Place {
    /// In a network; where there is none, all that is known is the delay that everything has.
    fn of(network: Option<&Network>, name: &str, convention: &Convention) -> Self {
        let mut place = Self {
            late: convention.delay,
            biased: false,
            biased_by_cycle: false,
        };
        let found = network.and_then(|network| {
            let mut populations = network.populations.iter();
            Some((network, populations.find(|(_, p)| p.name == name)?.0))
        });
        let Some((network, pop)) = found else {
            return place;
        };
        place.late = 0;
        for (proj, projection) in network.incoming(pop) {
            let mut bias = projection.bias.iter().flatten();
            let biased = bias.any(|b| *b != 0.0);
            place.biased |= biased;
            place.biased_by_cycle |= biased && network.is_recurrent(proj);
            place.late = place.late.max(delay(network, proj));
        }
        place
    }

    fn late(&self) -> Option<String> {
        let ticks = if self.late == 1 { "tick" } else { "ticks" };
        (self.late > 0).then(|| format!("what arrives is up to {} {ticks} late", self.late))
    }
}

/// Whether a problem is one of this node: its place is the node, or a path or edge with the node in it.
fn concerns(problem: &Diagnostic, node: &str) -> bool {
    let place = problem.place.as_str();
    let place = place.rsplit_once(": ").map_or(place, |(_, place)| place);
    let mut parts = place.split(" -> ").flat_map(|end| end.split('+'));
    place == node || parts.any(|part| part == node)
}

fn matters(name: &str, c: &Convention, neuron: &Neuron, place: &Place, dt: Option<f64>) -> bool {
    let leaky = matches!(neuron.membrane, Membrane::Leaky { .. });
    let memory = neuron.membrane != Membrane::Direct;
    let synapse = neuron.synapse.is_some();
    let fires = neuron.firing.is_some();
    let (tau, r, v_leak) = match &neuron.membrane {
        Membrane::Leaky { tau, r, v_leak } => (Some(tau), Some(r), Some(v_leak)),
        Membrane::Integrator { r } => (None, Some(r), None),
        Membrane::Direct => (None, None, None),
    };
    let is = |parameter: Option<&Parameter>, x: f64| parameter.is_none_or(|p| p.is(x));
    let v_reset = neuron.firing.as_ref().map(|f| &f.v_reset);
    let taus = tau
        .into_iter()
        .chain(neuron.synapse.as_ref().map(|s| &s.tau_syn));
    let short = || {
        let mut values = taus.clone().flat_map(|tau| match tau {
            Parameter::Uniform(tau) => vec![*tau],
            Parameter::PerNeuron(taus) => taus.clone(),
        });
        values.any(|tau| dt.is_some_and(|dt| tau < dt))
    };
    match name {
        "integrator" => match c.integrator {
            Integrator::Exact => false,
            Integrator::Exponential => synapse,
            Integrator::Euler => leaky || synapse,
        },
        "synapse_integrator" => synapse && c.synapse_integrator != SynapseIntegrator::Same,
        "order" => synapse && c.integrator != Integrator::Exact && c.order != Order::CurrentFirst,
        "synapse_input" => synapse && c.synapse_input != SynapseInput::AfterDecay,
        "spike" => memory && c.spike != SpikeShape::Held,
        "current" => synapse && c.current != CurrentShape::Held,
        "resistance" => c.resistance != Resistance::File && !is(r, 1.0),
        "decays" => c.decays != Decays::Free && short(),
        "if_decay" => memory && !leaky && c.if_decay != 1.0,
        "leak" => c.leak != Leak::File && !is(v_leak, 0.0),
        "synapse_leak" => synapse && c.synapse_leak != SynapseLeak::Zero && !is(v_leak, 0.0),
        "initial" => c.initial != Initial::Zero && !is(v_leak, 0.0),
        "threshold" => fires && c.threshold != Threshold::Strict,
        "reset" => match c.reset {
            Reset::ToValue => false,
            Reset::ToZero => fires && memory && !is(v_reset, 0.0),
            Reset::Subtract | Reset::None => fires && memory,
        },
        "reset_time" => match c.reset_time {
            ResetTime::Same | ResetTime::Exact => false,
            ResetTime::Next => fires && memory,
            ResetTime::Guarded => fires && memory && c.reset == Reset::Subtract,
        },
        "floor" => memory && fires && c.floor != Floor::None,
        "spikes" => memory && fires && c.spikes != SpikeCount::Single,
        "bias" => match c.bias {
            BiasPlace::Input => false,
            BiasPlace::Membrane => place.biased && synapse,
            BiasPlace::Delayed | BiasPlace::Dropped => place.biased,
        },
        "recurrent_bias" => place.biased_by_cycle && c.recurrent_bias != RecurrentBias::Same,
        "output_delay" => fires && c.output_delay > 0,
        "number_format" => c.number_format != NumberFormat::F32,
        _ => false,
    }
}

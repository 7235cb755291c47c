//! Which convention each population has, and which delays follow from that.
//!
//! A preset may treat one type of node unlike the others, and the user may change attributes of single
//! populations. Both are written down in the network here, so that nothing later has to know of presets.

use std::collections::BTreeSet;

use nirc_ir::network::{
    Convention, Membrane, Network, Pop, Population, PopulationKind, Proj, SpikeCount,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::{Deserialize, Serialize};

/// An attribute of one population, changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The population's name.
    pub population: String,
    /// The attribute.
    pub attribute: String,
    /// Its value, as text.
    pub value: String,
}

/// Gives every population its convention and every projection the delay that follows.
///
/// # Errors
/// Everything that is wrong with the changes.
pub fn conventions(network: &mut Network, changes: &[Change]) -> Result<Diagnostics, Diagnostics> {
    for pop in network.populations.keys().collect::<Vec<_>>() {
        network.populations[pop].convention = exception(network, pop);
    }
    let mut notes = Diagnostics::new();
    for change in changes {
        if let Err(problem) = apply(network, change) {
            notes.push(problem);
        }
    }
    for (pop, population) in network.populations.iter() {
        if let Err(message) = network.convention_of(pop).check() {
            notes.push(Diagnostic::error(
                codes::CONVENTION,
                &population.name,
                message,
            ));
        }
    }
    if notes.has_errors() {
        return Err(notes);
    }
    delays(network);
    once_a_tick(network, &mut notes);
    Ok(notes)
}

fn exception(network: &Network, pop: Pop) -> Option<Convention> {
    match &network.populations[pop].kind {
        PopulationKind::Neurons(neuron) => network.convention.for_node(neuron.nir_type()),
        PopulationKind::Source | PopulationKind::Graded => None,
    }
}

fn apply(network: &mut Network, change: &Change) -> Result<(), Diagnostic> {
    let place = format!("{}.{}", change.population, change.attribute);
    let named = |p: &Population| is_neurons(p) && p.name == change.population;
    let mut pops = network.populations.keys();
    let Some(pop) = pops.find(|pop| named(&network.populations[*pop])) else {
        let known = network.populations.values().filter(|p| is_neurons(p));
        let known: BTreeSet<&str> = known.map(|p| p.name.as_str()).collect();
        let known: Vec<&str> = known.into_iter().collect();
        let message = format!("no population of neurons is called `{}`", change.population);
        return Err(Diagnostic::error(codes::CONVENTION, place, message)
            .help(format!("the populations are: {}", known.join(", "))));
    };
    let mut convention = network.convention_of(pop).clone();
    convention
        .set(&change.attribute, &change.value)
        .map_err(|message| Diagnostic::error(codes::CONVENTION, place, message))?;
    network.populations[pop].convention = Some(convention);
    Ok(())
}

fn is_neurons(population: &Population) -> bool {
    matches!(population.kind, PopulationKind::Neurons(_))
}

/// A projection takes the delay of its target's convention, and a spike leaves its source as late as that
/// one's says.
fn delays(network: &mut Network) {
    for proj in network.projections.keys().collect::<Vec<Proj>>() {
        let projection = &network.projections[proj];
        let target = network.convention_of(projection.post);
        let delay = if network.is_recurrent(proj) {
            // Counted from the crossing.
            target.recurrent_delay
        } else {
            let late = match &network.populations[projection.pre].kind {
                PopulationKind::Neurons(neuron) if neuron.firing.is_some() => {
                    network.convention_of(projection.pre).output_delay
                }
                _ => 0,
            };
            target.delay + late
        };
        network.projections[proj].delay = delay;
    }
}

/// Says where a file is read under a convention that a threshold node cannot follow.
fn once_a_tick(network: &Network, notes: &mut Diagnostics) {
    for (pop, population) in network.populations.iter() {
        let PopulationKind::Neurons(neuron) = &population.kind else {
            continue;
        };
        let multiple = network.convention_of(pop).spikes == SpikeCount::Multiple;
        if multiple && neuron.membrane == Membrane::Direct && neuron.firing.is_some() {
            notes.push(Diagnostic::note(
                codes::CONVENTION,
                &population.name,
                "a threshold without a membrane spikes once a tick, `spikes = multiple` or not",
            ));
        }
    }
}

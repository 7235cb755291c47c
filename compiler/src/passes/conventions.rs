//! Which convention each population has, and which delays follow from that.
//!
//! A preset may treat one type of node unlike the others, and the user may change attributes of single
//! populations. Both are written down in the network here, so that nothing later has to know of presets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use nirc_ir::network::{
    Convention, Membrane, Network, Neuron, Pop, Population, PopulationKind, Proj, SpikeCount,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde::{Deserialize, Serialize};

/// An attribute that was changed by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The population's name; `None` for all of them.
    pub population: Option<String>,
    /// The attribute.
    pub attribute: String,
    /// Its value, as text.
    pub value: String,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(population) = &self.population {
            write!(f, "{population}.")?;
        }
        write!(f, "{}={}", self.attribute, self.value)
    }
}

/// Gives every population its convention and every projection the delay that follows.
///
/// # Errors
/// Everything that is wrong with the changes.
pub fn conventions(network: &mut Network, changes: &[Change]) -> Result<Diagnostics, Diagnostics> {
    let own = own_conventions(network, &network.convention, changes)?;
    for (pop, convention) in own {
        let differs = convention != network.convention;
        network.populations[pop].convention = differs.then_some(convention);
    }
    delays(network);
    let mut notes = Diagnostics::new();
    once_a_tick(network, &mut notes);
    Ok(notes)
}

/// Which convention each population of neurons has where the network's is this one.
///
/// # Errors
/// Everything that is wrong with the changes.
pub fn own_conventions(
    network: &Network,
    convention: &Convention,
    changes: &[Change],
) -> Result<BTreeMap<Pop, Convention>, Diagnostics> {
    let mut problems = nameless(network, changes);
    let mut all = BTreeMap::new();
    for (pop, population) in network.populations.iter() {
        let PopulationKind::Neurons(neuron) = &population.kind else {
            continue;
        };
        match own_convention(convention, changes, &population.name, neuron) {
            Ok(own) => {
                all.insert(pop, own);
            }
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result(all)
}

/// The convention of neurons of this name: the network's, with what its preset does unlike its other choices for
/// their type, and with what was changed by hand. A single population has the last word, in whatever order the
/// changes were written.
///
/// # Errors
/// When a change cannot be, or the attributes do not fit each other.
pub fn own_convention(
    convention: &Convention,
    changes: &[Change],
    name: &str,
    neuron: &Neuron,
) -> Result<Convention, Diagnostic> {
    let own = convention.for_node(neuron.nir_type());
    let mut own = own.unwrap_or_else(|| convention.clone());
    let of_all = changes.iter().filter(|c| c.population.is_none());
    let of_one = changes
        .iter()
        .filter(|c| c.population.as_deref() == Some(name));
    for change in of_all.chain(of_one) {
        own.set(&change.attribute, &change.value)
            .map_err(|message| {
                let place = format!("{name}.{}", change.attribute);
                Diagnostic::error(codes::CONVENTION, place, message)
            })?;
    }
    own.check()
        .map_err(|message| Diagnostic::error(codes::CONVENTION, name, message))?;
    Ok(own)
}

/// Changes of populations that there are not.
fn nameless(network: &Network, changes: &[Change]) -> Diagnostics {
    let known = network.populations.values().filter(|p| is_neurons(p));
    let known: BTreeSet<&str> = known.map(|p| p.name.as_str()).collect();
    let listed = known.iter().copied().collect::<Vec<_>>().join(", ");
    let named = changes
        .iter()
        .filter_map(|c| Some((c.population.as_deref()?, c)));
    let nameless = named.filter(|(name, _)| !known.contains(name));
    let problems = nameless.map(|(name, change)| {
        let place = format!("{name}.{}", change.attribute);
        let message = format!("no population of neurons is called `{name}`");
        let problem = Diagnostic::error(codes::CONVENTION, place, message);
        problem.help(format!("the populations are: {listed}"))
    });
    Diagnostics(problems.collect())
}

fn is_neurons(population: &Population) -> bool {
    matches!(population.kind, PopulationKind::Neurons(_))
}

/// A projection takes the delay of its target's convention, and a spike leaves its source as late as that
/// one's says.
fn delays(network: &mut Network) {
    for proj in network.projections.keys().collect::<Vec<Proj>>() {
        network.projections[proj].delay = delay(network, proj);
    }
}

/// Ticks of a projection's delay that conventions bring along, whatever delays the file has.
pub fn delay(network: &Network, proj: Proj) -> u32 {
    let projection = &network.projections[proj];
    let target = network.convention_of(projection.post);
    if network.is_recurrent(proj) {
        // Counted from the crossing.
        return target.recurrent_delay;
    }
    let late = match &network.populations[projection.pre].kind {
        PopulationKind::Neurons(neuron) if neuron.firing.is_some() => {
            network.convention_of(projection.pre).output_delay
        }
        _ => 0,
    };
    target.delay + late
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

//! Neurons that no output depends on.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::network::{Network, Pop, PopulationKind, Port, Projection};
use nirc_ir::{Diagnostic, Diagnostics, codes};

/// Removes populations of neurons from which no output, and none of the populations to keep, can be
/// reached. Inputs stay, since samples have a place for each.
pub fn dead(network: &mut Network, keep: &BTreeSet<String>) -> Diagnostics {
    let alive = alive(network, keep);
    let mut notes = Diagnostics::new();
    let mut ids = BTreeMap::new();
    let mut populations = nirc_ir::entity::PrimaryMap::new();
    for (pop, population) in network.populations.iter() {
        if alive.contains(&pop) {
            ids.insert(pop, populations.push(population.clone()));
        } else {
            notes.push(Diagnostic::note(
                codes::GRAPH_REPAIRED,
                population.name.as_str(),
                "no Output depends on these neurons; they are left out",
            ));
        }
    }
    if notes.0.is_empty() {
        return notes;
    }
    let kept = network.projections.values().filter_map(|p| {
        Some(Projection {
            pre: *ids.get(&p.pre)?,
            post: *ids.get(&p.post)?,
            ..p.clone()
        })
    });
    network.projections = kept.collect();
    let ports = network.outputs.iter().filter_map(|port| {
        Some(Port {
            name: port.name.clone(),
            population: *ids.get(&port.population)?,
        })
    });
    network.outputs = ports.collect();
    network.populations = populations;
    notes
}

fn alive(network: &Network, keep: &BTreeSet<String>) -> BTreeSet<Pop> {
    let mut before: BTreeMap<Pop, Vec<Pop>> = BTreeMap::new();
    for projection in network.projections.values() {
        before
            .entry(projection.post)
            .or_default()
            .push(projection.pre);
    }
    let mut open: Vec<Pop> = network.outputs.iter().map(|port| port.population).collect();
    let populations = network.populations.iter();
    open.extend(populations.filter_map(|(pop, population)| {
        let neurons = matches!(population.kind, PopulationKind::Neurons(_));
        (!neurons || keep.contains(&population.name)).then_some(pop)
    }));
    let mut alive: BTreeSet<Pop> = open.iter().copied().collect();
    while let Some(pop) = open.pop() {
        for pre in before.get(&pop).into_iter().flatten() {
            if alive.insert(*pre) {
                open.push(*pre);
            }
        }
    }
    alive
}

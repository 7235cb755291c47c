//! Where everything goes: processes on PEs, packets through the router.
//!
//! The style is that of the published experiment: one PE a process, a replica of the network on whole
//! QuadPEs of its own, one PE for all optimisers. [`place`] chooses the PEs, [`traffic`] says who has to
//! get which keys, [`table`] writes that down as masked entries, and [`verify`](verify()) proves, each
//! time, that the table and the traffic agree. [`pacing`] chooses how far processes run ahead of one another. The traffic follows from program and placement alone,
//! never from the table, so that the proof is not circular.

pub mod pacing;
pub mod pe;
pub mod place;
pub mod slice;
pub mod table;
mod text;
pub mod traffic;
pub mod verify;

#[cfg(test)]
mod tests;

use nirc_ir::codes::{MAP_ROUTES, MAP_TOO_MANY_PES};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Proc, Process, Program, Role};
use nirc_ir::{Diagnostic, Diagnostics};

use crate::abi::{INDICES, NUMBERS};
use crate::codegen::carries_errors;
use crate::target::Target;
pub use pacing::Pacing;
pub use pe::{PeId, PeSet};
pub use place::{Instance, Placement};
pub use table::{Keys, Route};
pub use traffic::{Flow, Packet};
pub use verify::{MappingError, verify};

/// A placed and routed program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// What each PE runs: replicas in order, their processes in order, then the optimisers.
    pub placements: Vec<Placement>,
    /// The routing table; the first match wins.
    pub routes: Vec<Route>,
    /// How the steps of processes hang together.
    pub pacing: Pacing,
}

impl Mapping {
    /// Whether there is an optimiser PE.
    pub fn has_optimiser(&self) -> bool {
        let mut placements = self.placements.iter();
        placements.any(|p| p.instance == Instance::OPTIMISER)
    }

    /// The PE of a process of an instance.
    pub fn pe(&self, instance: Instance, proc: Proc) -> Option<PeId> {
        let of_instance = |p: &&Placement| p.instance == instance && p.procs.contains(&proc);
        self.placements.iter().find(of_instance).map(|p| p.pe)
    }
}

/// Places and routes `program` on a chip.
///
/// # Errors
/// What does not fit, with the numbers.
pub fn map(program: &Program, target: &Target) -> Result<Mapping, Diagnostics> {
    let mut mapping = map_on(program, &quads(target), target.router.entries as usize)?;
    mapping.pacing = Pacing::choose(program, target)?;
    Ok(mapping)
}

/// The PEs of a chip by quad, in the target's order.
pub fn quads(target: &Target) -> Vec<Vec<PeId>> {
    let quad = |&(x, y): &(u8, u8)| {
        let places = target.chip.pe_order.iter();
        places.map(|&place| PeId::at((x, y), place)).collect()
    };
    target.chip.quads.iter().map(quad).collect()
}

fn map_on(
    program: &Program,
    quads: &[Vec<PeId>],
    router_entries: usize,
) -> Result<Mapping, Diagnostics> {
    verify_ranges(program)?;
    let placements = place::place(program, quads)?;
    let flows = traffic::flows(program, &placements);
    let routes = flows.iter().map(|flow| Route {
        keys: flow.keys,
        to: flow.to,
    });
    let mapping = Mapping {
        placements,
        routes: table::merge(routes.collect()),
        pacing: Pacing::whole(program),
    };
    verify(&mapping, program, router_entries)
        .map_err(|e| Diagnostic::error(MAP_ROUTES, &program.name, e.to_string()))?;
    Ok(mapping)
}

/// Whether the fields of a key can name everything.
fn verify_ranges(program: &Program) -> Result<(), Diagnostics> {
    let mut found = Diagnostics::new();
    let mut limit = |code, place: &str, what: &str, count: usize, most: usize| {
        if count > most {
            let message = format!("{count} {what}, a packet's key can name {most}");
            found.push(Diagnostic::error(code, place, message));
        }
    };
    let name = &program.name;
    let replicas = program.replicas;
    limit(
        MAP_TOO_MANY_PES,
        name,
        "replicas",
        replicas,
        Instance::REPLICAS,
    );
    let optimises = |p: &&Process| matches!(p.role, Role::Optimiser(_));
    let numbered = || program.processes.values().filter(|p| !optimises(p));
    limit(MAP_ROUTES, name, "processes", numbered().count(), NUMBERS);
    // Only errors name a channel.
    let erring = program.channels.iter();
    let erring = erring.filter(|(chan, _)| carries_errors(program, *chan));
    let channels = erring.map(|(chan, _)| chan.index() + 1).max();
    limit(MAP_ROUTES, name, "channels", channels.unwrap_or(0), NUMBERS);
    for process in numbered() {
        limit(MAP_ROUTES, &process.name, "lanes", process.lanes, INDICES);
    }
    if replicas == 0 {
        let message = "0 replicas, at least 1 is needed";
        found.push(Diagnostic::error(MAP_TOO_MANY_PES, name, message));
    }
    found.into_result(())
}

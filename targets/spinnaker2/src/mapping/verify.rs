//! Proof that a mapping does what the program asks for; runs after every mapping.

use std::collections::BTreeSet;
use std::fmt;

use nirc_ir::event::{Proc, Program, Role};

use super::Mapping;
use super::pe::{PeId, PeSet};
use super::place::Instance;
use super::table::{Keys, Route, lookup};
use super::traffic::{Flow, Packet, flows};

/// What is wrong with a mapping.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// More replicas than keys can name.
    #[error("{0} replicas, a packet's key can name {max}", max = Instance::REPLICAS)]
    Replicas(usize),
    /// A segment without bins, or with more than a sample has.
    #[error("segments of {found} bins, expected 1 to {ticks}")]
    Segment {
        /// Bins of a segment.
        found: u32,
        /// Bins of a sample.
        ticks: u32,
    },
    /// Two placements share a PE.
    #[error("PE {0} is used twice")]
    PeTwice(PeId),
    /// A process does not stand exactly once in an instance.
    #[error("{proc} stands {found} times in {instance}, expected {expected}")]
    Placed {
        /// The process.
        proc: Proc,
        /// Where.
        instance: Instance,
        /// 1, or 0 where it does not belong.
        expected: usize,
        /// How often it does.
        found: usize,
    },
    /// Two flows share a key.
    #[error("{0} and {1} share keys")]
    SharedKeys(FlowName, FlowName),
    /// A flow has more lanes than keys.
    #[error("{flow} needs {used} keys, has {available}")]
    KeyRange {
        /// The flow.
        flow: FlowName,
        /// Keys needed.
        used: u32,
        /// Keys set aside.
        available: u64,
    },
    /// A key is not delivered as it has to be.
    #[error("{flow}: key {key:08x} goes to [{found}], expected [{expected}]")]
    Delivery {
        /// The flow.
        flow: FlowName,
        /// The key.
        key: u32,
        /// Who gets it.
        found: PeSet,
        /// Who has to get it.
        expected: PeSet,
    },
    /// An entry matches keys that are nobody's or another's.
    #[error("entry {0} matches {1} keys that belong to no flow with its destinations")]
    Stray(Keys, u64),
    /// More entries than the router holds.
    #[error("{found} routing entries, the router holds {available}")]
    TooManyRoutes {
        /// Entries of the table.
        found: usize,
        /// Entries of the router.
        available: usize,
    },
}

/// A flow as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowName(pub Instance, pub Packet);

impl fmt::Display for FlowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0, self.1)
    }
}

impl Flow {
    fn name(&self) -> FlowName {
        FlowName(self.instance, self.packet)
    }
}

/// Checks that every process is placed once and no PE used twice, that no two flows share a key, that
/// the first match in the table delivers every key that can be sent to exactly the PEs that have to
/// get it, that no entry matches anything else, and that the router holds the table.
///
/// # Errors
/// The first violation.
pub fn verify(
    mapping: &Mapping,
    program: &Program,
    router_entries: usize,
) -> Result<(), MappingError> {
    if program.replicas > Instance::REPLICAS {
        return Err(MappingError::Replicas(program.replicas));
    }
    let (found, ticks) = (mapping.pacing.segment, program.ticks);
    if !(1..=ticks).contains(&found) {
        return Err(MappingError::Segment { found, ticks });
    }
    let mut pes = BTreeSet::new();
    if let Some(twice) = mapping.placements.iter().find(|p| !pes.insert(p.pe)) {
        return Err(MappingError::PeTwice(twice.pe));
    }
    verify_placed(mapping, program)?;
    let flows = flows(program, &mapping.placements);
    verify_keys(&flows)?;
    for flow in &flows {
        verify_delivery(flow, &mapping.routes)?;
    }
    for route in &mapping.routes {
        verify_exact(route, &flows)?;
    }
    if mapping.routes.len() > router_entries {
        return Err(MappingError::TooManyRoutes {
            found: mapping.routes.len(),
            available: router_entries,
        });
    }
    Ok(())
}

fn verify_placed(mapping: &Mapping, program: &Program) -> Result<(), MappingError> {
    let replicas = (0..program.replicas).map(Instance::replica);
    for instance in replicas.chain([Instance::OPTIMISER]) {
        for (proc, process) in program.processes.iter() {
            let optimises = matches!(process.role, Role::Optimiser(_));
            let expected = usize::from(optimises == (instance == Instance::OPTIMISER));
            let of_instance = mapping.placements.iter().filter(|p| p.instance == instance);
            let procs = of_instance.flat_map(|p| &p.procs);
            let found = procs.filter(|&&p| p == proc).count();
            if found != expected {
                return Err(MappingError::Placed {
                    proc,
                    instance,
                    expected,
                    found,
                });
            }
        }
    }
    Ok(())
}

fn verify_keys(flows: &[Flow]) -> Result<(), MappingError> {
    for (i, flow) in flows.iter().enumerate() {
        let available = flow.keys.count();
        if u64::from(flow.used) > available {
            return Err(MappingError::KeyRange {
                flow: flow.name(),
                used: flow.used,
                available,
            });
        }
        let sharing = |other: &&Flow| other.keys.common(flow.keys) != 0;
        if let Some(other) = flows[..i].iter().find(sharing) {
            return Err(MappingError::SharedKeys(other.name(), flow.name()));
        }
    }
    Ok(())
}

fn verify_delivery(flow: &Flow, routes: &[Route]) -> Result<(), MappingError> {
    for key in flow.sent() {
        let found = lookup(routes, key).map_or_else(PeSet::default, |route| route.to);
        if found != flow.to {
            return Err(MappingError::Delivery {
                flow: flow.name(),
                key,
                found,
                expected: flow.to,
            });
        }
    }
    Ok(())
}

/// As flows share no keys, an entry is exact if its keys are as many as those it has in common with
/// the flows that go where it goes.
fn verify_exact(route: &Route, flows: &[Flow]) -> Result<(), MappingError> {
    let own = flows.iter().filter(|flow| flow.to == route.to);
    let covered: u64 = own.map(|flow| flow.keys.common(route.keys)).sum();
    match route.keys.count() - covered {
        0 => Ok(()),
        stray => Err(MappingError::Stray(route.keys, stray)),
    }
}

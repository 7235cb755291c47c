//! Which process runs where, in the style of the published experiment: a PE a process, whole quads a
//! replica, one PE for all optimisers.

use std::fmt;

use nirc_ir::Diagnostic;
use nirc_ir::codes::MAP_TOO_MANY_PES;
use nirc_ir::event::{Proc, Program, Role};

use super::pe::PeId;
use crate::abi;

/// Which copy of a process: a replica's, or the one of the optimiser PE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instance(u8);

impl Instance {
    /// The optimiser PE.
    pub const OPTIMISER: Self = Self(abi::OPTIMISER as u8);
    /// How many replicas have a number.
    pub const REPLICAS: usize = abi::OPTIMISER as usize;

    /// The replica with this number.
    ///
    /// # Panics
    /// If it is not below [`Self::REPLICAS`].
    pub fn replica(number: usize) -> Self {
        assert!(number < Self::REPLICAS, "replica {number} has no instance");
        Self(number as u8)
    }

    /// The instance with this field in its keys.
    pub const fn from_raw(field: u8) -> Self {
        Self(field)
    }

    /// Its field in a key.
    pub const fn raw(self) -> u8 {
        self.0
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::OPTIMISER {
            f.write_str("optimiser")
        } else {
            write!(f, "replica {}", self.0)
        }
    }
}

/// What a PE runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The PE.
    pub pe: PeId,
    /// Whose processes.
    pub instance: Instance,
    /// The processes: one, but for the optimisers.
    pub procs: Vec<Proc>,
}

/// Places every process of every replica, then the optimisers, on `quads` (the usable PEs by quad, in
/// the target's order).
///
/// # Errors
/// [`MAP_TOO_MANY_PES`] with what is needed and what there is.
pub fn place(program: &Program, quads: &[Vec<PeId>]) -> Result<Vec<Placement>, Diagnostic> {
    let (optimisers, network): (Vec<Proc>, Vec<Proc>) = program
        .processes
        .keys()
        .partition(|&p| matches!(program.processes[p].role, Role::Optimiser(_)));
    let need = Need {
        replicas: program.replicas,
        each: network.len(),
        optimiser: !optimisers.is_empty(),
    };
    let chosen = choose(need, quads).ok_or_else(|| too_many(&program.name, need, quads))?;
    let mut placements = Vec::new();
    for (replica, pes) in chosen.replicas.iter().enumerate() {
        placements.extend(network.iter().zip(pes).map(|(&proc, &pe)| Placement {
            pe,
            instance: Instance::replica(replica),
            procs: vec![proc],
        }));
    }
    placements.extend(chosen.optimiser.map(|pe| Placement {
        pe,
        instance: Instance::OPTIMISER,
        procs: optimisers,
    }));
    Ok(placements)
}

/// How many PEs a program asks for.
#[derive(Clone, Copy)]
struct Need {
    replicas: usize,
    each: usize,
    optimiser: bool,
}

/// The PEs that it gets.
struct Chosen {
    replicas: Vec<Vec<PeId>>,
    optimiser: Option<PeId>,
}

/// Whole quads for each replica in turn; then a free quad's first PE for the optimiser or, if there is
/// no such quad, the PE after the last replica.
fn choose(need: Need, quads: &[Vec<PeId>]) -> Option<Chosen> {
    let mut free: Vec<&[PeId]> = quads.iter().map(Vec::as_slice).collect();
    free.retain(|quad| !quad.is_empty());
    let replicas = (0..need.replicas).map(|_| take_quads(&mut free, need.each));
    let replicas: Vec<Vec<PeId>> = replicas.collect::<Option<_>>()?;
    let own = || free.first().map(|quad| quad[0]);
    let after = || replicas.iter().rev().find_map(|pes| pes.get(need.each));
    let optimiser = match need.optimiser {
        true => Some(own().or(after().copied())?),
        false => None,
    };
    Some(Chosen {
        replicas,
        optimiser,
    })
}

/// Takes the first free quad and those nearest to it until there are `count` PEs or more.
fn take_quads(free: &mut Vec<&[PeId]>, count: usize) -> Option<Vec<PeId>> {
    let mut pes: Vec<PeId> = Vec::new();
    while pes.len() < count {
        let from_first = |quad: &[PeId]| pes.first().map_or(0, |first| first.distance(quad[0]));
        let nearest = (0..free.len()).min_by_key(|&i| (from_first(free[i]), i))?;
        pes.extend(free.remove(nearest));
    }
    Some(pes)
}

fn too_many(name: &str, need: Need, quads: &[Vec<PeId>]) -> Diagnostic {
    let pes: usize = quads.iter().map(Vec::len).sum();
    let quads_each = need.each.div_ceil(4);
    let message = format!(
        "needed: {} replicas of {} PEs, {quads_each} whole QuadPEs each, and {} PEs for the optimiser; \
         available: {} QuadPEs with {pes} PEs",
        need.replicas,
        need.each,
        usize::from(need.optimiser),
        quads.len(),
    );
    let fits = |&replicas: &usize| choose(Need { replicas, ..need }, quads).is_some();
    let help = match (1..need.replicas.min(pes + 1)).rev().find(fits) {
        Some(most) => format!("use at most {most} replicas; a larger batch runs in rounds"),
        None => "not even one replica fits; use fewer populations".to_owned(),
    };
    Diagnostic::error(MAP_TOO_MANY_PES, name, message).help(help)
}

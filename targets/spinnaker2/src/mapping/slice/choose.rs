//! How many slices.
//!
//! As few as possible: a wide window and long segments ([`Pacing`]) are worth less than PEs that others could
//! use. A process gets the smallest number of equal slices ([`super::ways`]) with which each has room for a window
//! of 0 and segments that are long enough; where the chip has no PEs for so many, for segments of a bin. The numbers
//! are found one process after the other, over and over until none changes: the slices of a producer cost its
//! consumers memory. What then is left of each PE goes to window and segments.
//!
//! With [`Balance::Cycles`], PEs that are still free go to whoever has most to do, as long as that makes the busiest
//! slice faster by an estimate.

use std::collections::BTreeSet;

use nirc_ir::connection::{Axis, Connection};
use nirc_ir::event::{Chan, HandlerKind, Proc, Program};

use super::cuts::{Cuts, can_be_cut};
use super::slice;
use super::ways::{Way, ways};
use crate::mapping::pacing::{self, Pacing};
use crate::mapping::{place, quads};
use crate::target::Target;

/// What slices are made for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// To fit into the memory of a PE, and for nothing else.
    #[default]
    Memory,
    /// To be done sooner, too, as long as there are PEs.
    Cycles,
}

/// Where to cut a program so that it fits the PEs of a chip. What does not fit in any way is left whole: the mapping
/// or the firmware will tell.
pub fn choose(program: &Program, target: &Target, balance: Balance) -> Cuts {
    let none = Cuts::none(program);
    let mut processes = program.processes.keys();
    if !processes.any(|proc| can_be_cut(program, proc)) {
        return none;
    }
    let enough = pacing::enough(program);
    let mut segments = vec![enough];
    segments.extend((enough > 1).then_some(1));
    let mut found = none;
    for segment in segments {
        let pacing = Pacing { window: 0, segment };
        let search = Search::new(program, target, pacing);
        found = search.smallest();
        if search.has_pes(&found) {
            return match balance {
                Balance::Memory => found,
                Balance::Cycles => search.balanced(found),
            };
        }
    }
    found
}

struct Search<'a> {
    program: &'a Program,
    target: &'a Target,
    pacing: Pacing,
    /// The ways to cut each process, fewest slices first; of those that cannot be cut, none.
    ways: Vec<(Proc, Vec<Way>)>,
}

impl<'a> Search<'a> {
    fn new(program: &'a Program, target: &'a Target, pacing: Pacing) -> Self {
        let cuttable = program.processes.keys();
        let cuttable = cuttable.filter(|proc| can_be_cut(program, *proc));
        Self {
            program,
            target,
            pacing,
            ways: cuttable.map(|proc| (proc, ways(program, proc))).collect(),
        }
    }

    /// The smallest numbers of slices with which everything fits that can be made to.
    fn smallest(&self) -> Cuts {
        let mut cuts = Cuts::none(self.program);
        loop {
            let before = cuts.clone();
            for (proc, ways) in &self.ways {
                let now = cuts.of(*proc).len();
                let more = ways.partition_point(|way| way.count() < now);
                let ways = &ways[more..];
                let fits = |way: &Way| self.fits(*proc, &self.with(&cuts, *proc, *way));
                if ways.first().is_some_and(fits) {
                    cuts = self.with(&cuts, *proc, ways[0]);
                    continue;
                }
                let least = ways.partition_point(|way| !fits(way));
                if let Some(way) = ways.get(least) {
                    cuts = self.with(&cuts, *proc, *way);
                }
            }
            if cuts == before {
                return cuts;
            }
        }
    }

    fn with(&self, cuts: &Cuts, proc: Proc, way: Way) -> Cuts {
        let mut cuts = cuts.clone();
        let lanes = self.program.processes[proc].lanes;
        cuts.set(proc, &way.firsts(), lanes);
        cuts
    }

    /// Whether the slices of a process fit into their PEs. What cannot be generated at all does: it will not do so
    /// in smaller slices.
    fn fits(&self, proc: Proc, cuts: &Cuts) -> bool {
        let sliced = slice(self.program, cuts);
        let slices = &sliced.slicing.slices[proc];
        slices.iter().all(|slice| {
            let end = pacing::end(&sliced.program, slice.process, self.target, self.pacing);
            end.map_or(true, |end| end <= u64::from(self.target.memory.sram.size))
        })
    }

    /// Whether the chip has a PE for each slice.
    fn has_pes(&self, cuts: &Cuts) -> bool {
        let sliced = slice(self.program, cuts);
        place::place(&sliced.program, &quads(self.target)).is_ok()
    }

    /// The cuts with which the busiest slice is done soonest, of those for which there are PEs and room; `found` if
    /// there are none. More slices of a process have less to do each, but all that it talks to have more markers.
    fn balanced(&self, found: Cuts) -> Cuts {
        let loads = self.ways.iter().map(|(p, _)| load(self.program, *p));
        let loads: Vec<u64> = loads.collect();
        let busy = |k: usize, way: &Way| loads[k].div_ceil(way.count() as u64);
        let limits = (0..loads.len()).flat_map(|k| self.ways[k].1.iter().map(move |way| (k, way)));
        let limits: BTreeSet<u64> = limits.map(|(k, way)| busy(k, way)).collect();
        let limits: Vec<u64> = limits.into_iter().collect();
        let within = |limit: u64| {
            let mut cuts = found.clone();
            for (k, (proc, ways)) in self.ways.iter().enumerate() {
                let finer = |way: &&Way| way.count() > found.of(*proc).len();
                let now = loads[k].div_ceil(found.of(*proc).len() as u64);
                let enough = ways.iter().filter(finer).find(|way| busy(k, way) <= limit);
                if let Some(way) = enough.or(ways.last()).filter(|_| now > limit) {
                    cuts = self.with(&cuts, *proc, *way);
                }
            }
            cuts
        };
        let possible = |cuts: &Cuts| {
            let mut all = self.ways.iter().map(|(proc, _)| *proc);
            self.has_pes(cuts) && all.all(|proc| self.fits(proc, cuts))
        };
        let least = limits.partition_point(|limit| !possible(&within(*limit)));
        let candidates = limits[least..].iter().map(|limit| within(*limit));
        let best = candidates.min_by_key(|cuts| busiest(self.program, cuts));
        best.filter(possible).unwrap_or(found)
    }
}

/// What the busiest slice has to do in a bin.
fn busiest(program: &Program, cuts: &Cuts) -> u64 {
    let slices = program.processes.keys().map(|proc| {
        let own = load(program, proc) / cuts.of(proc).len() as u64;
        let neighbours = program
            .channels
            .values()
            .filter_map(|channel| match channel {
                c if c.to == proc => Some(c.from),
                c if c.from == proc => Some(c.to),
                _ => None,
            });
        let neighbours: BTreeSet<Proc> = neighbours.collect();
        let markers: usize = neighbours.iter().map(|proc| cuts.of(*proc).len()).sum();
        own + MARKER * markers as u64
    });
    slices.max().unwrap_or(0)
}

/// What a neighbour's marker costs, in statements of a lane.
const MARKER: u64 = 60;

/// About how much a process has to do in a bin: statements of its tick, and of its events where one source in ten
/// spikes.
fn load(program: &Program, proc: Proc) -> u64 {
    let process = &program.processes[proc];
    let work = process.handlers.iter().map(|handler| {
        let runs = match handler.kind {
            HandlerKind::Event(chan) => events(program, chan) * reached(program, chan),
            _ => process.lanes as u64,
        };
        runs * handler.body.stmts.len() as u64
    });
    work.sum()
}

/// Events of a channel in a bin.
fn events(program: &Program, chan: Chan) -> u64 {
    let sources = program.processes[program.channels[chan].from].lanes as u64;
    match program.carries_values(chan) {
        true => sources,
        false => sources.div_ceil(10),
    }
}

/// Lanes that a source reaches.
fn reached(program: &Program, chan: Chan) -> u64 {
    let channel = &program.channels[chan];
    match &channel.connection {
        Connection::All => program.processes[channel.to].lanes as u64,
        Connection::Taps(axes) => axes.iter().map(mean).product::<u64>(),
    }
}

/// Taps of a place, rounded up.
fn mean(axis: &Axis) -> u64 {
    (axis.all().len() as u64).div_ceil(axis.len() as u64)
}

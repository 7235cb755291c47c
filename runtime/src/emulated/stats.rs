//! What the emulated chip counted, by PE and by role.

use nirc_ir::event::Proc;
use nirc_spinnaker2::mapping::{Instance, PeId, Placement};

/// What a PE did since the chip was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeStats {
    /// The PE.
    pub pe: PeId,
    /// Bytes of its memory in use.
    pub sram_bytes: u32,
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles awake.
    pub busy_cycles: u64,
    /// Cycles asleep.
    pub sleep_cycles: u64,
    /// Packets sent; one that goes to several PEs counts once.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
    /// Loads from other PEs' memory.
    pub remote_loads: u64,
    /// Stores to other PEs' memory.
    pub remote_stores: u64,
    /// The most words that waited in each FIFO.
    pub fifo_high_water: [u32; 2],
}

/// Sums over the PEs of a role, or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many PEs.
    pub pes: u64,
    /// Instructions executed.
    pub instructions: u64,
    /// Cycles awake.
    pub busy_cycles: u64,
    /// Cycles asleep.
    pub sleep_cycles: u64,
    /// Packets sent.
    pub packets_sent: u64,
    /// Packets received.
    pub packets_received: u64,
}

/// Statistics of an emulated chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Every PE in use, in the order of the mapping, with whose it is.
    pub pes: Vec<(Instance, Vec<Proc>, PeStats)>,
}

impl Stats {
    pub(super) fn new(placements: &[Placement], pes: Vec<PeStats>) -> Self {
        let placed = placements.iter().zip(pes);
        Self {
            pes: placed
                .map(|(p, stats)| (p.instance, p.procs.clone(), stats))
                .collect(),
        }
    }

    /// Sums over all PEs.
    pub fn total(&self) -> Totals {
        self.sum(|_| true)
    }

    /// Sums over the PEs that run these processes, in every replica.
    pub fn of(&self, procs: &[Proc]) -> Totals {
        self.sum(|found| found == procs)
    }

    fn sum(&self, wanted: impl Fn(&[Proc]) -> bool) -> Totals {
        let chosen = self.pes.iter().filter(|(_, procs, _)| wanted(procs));
        chosen.fold(Totals::default(), |sum, (_, _, pe)| Totals {
            pes: sum.pes + 1,
            instructions: sum.instructions + pe.instructions,
            busy_cycles: sum.busy_cycles + pe.busy_cycles,
            sleep_cycles: sum.sleep_cycles + pe.sleep_cycles,
            packets_sent: sum.packets_sent + pe.packets_sent,
            packets_received: sum.packets_received + pe.packets_received,
        })
    }
}

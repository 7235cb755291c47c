//! Every number of the emulated chip.

use std::ops::Range;

/// A chip, as plain data. Which chip is the caller's affair: there is no default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipConfig {
    /// Chip id, in bits 31 to 16 of the COMMS ID register.
    pub chip_id: u16,
    /// Coordinates of the QuadPEs in the mesh; PE `4 * q + i` is PE `i` of quad `q`.
    pub quads: Vec<(u8, u8)>,
    /// Clock of the PEs.
    pub pe_hz: u32,
    /// Bytes of SRAM of a PE, at address 0.
    pub sram_bytes: u32,
    /// Cycles to refill the pipeline after a taken branch.
    pub branch_refill: u32,
    /// External interrupt lines of a PE, at most 64.
    pub interrupt_lines: u32,
    /// Cycles the PEs run between two exchanges of packets among quads.
    pub quantum: u32,
    /// Network on chip.
    pub noc: NocConfig,
    /// Other PEs' memory.
    pub shared: SharedConfig,
    /// Communication controller.
    pub comms: CommsConfig,
    /// Timers.
    pub timers: TimerConfig,
}

/// The network on chip and the multicast router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NocConfig {
    /// Clock of the network.
    pub hz: u32,
    /// Cycles of that clock per hop.
    pub cycles_per_hop: u32,
    /// PE cycles to enter and leave the network, whatever the distance; at least 1.
    pub fixed_cycles: u32,
    /// Mesh coordinates of the router.
    pub router: (u8, u8),
    /// PE cycles of the router's pipeline.
    pub router_cycles: u32,
    /// Capacity of the route table.
    pub router_entries: usize,
}

/// How a PE sees the memory of others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// Window of the four PEs of the own quad, PE 0 first.
    pub quad_window: u32,
    /// Extra cycles of an access through it.
    pub quad_wait: u32,
    /// Window of all PEs, `1 << remote_shift` bytes each, by PE id.
    pub remote: u32,
    /// See `remote`.
    pub remote_shift: u32,
    /// Extra cycles of a load, beside twice the latency.
    pub remote_load: u32,
    /// Extra cycles of a store; it arrives later by itself.
    pub remote_store: u32,
}

/// The communication controller: register offsets and field values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommsConfig {
    /// Base address.
    pub base: u32,
    /// Transmit control of channel 0.
    pub tcr: u32,
    /// Transmit data, word 0, of channel 0.
    pub tdr: u32,
    /// Transmit key of channel 0: a write launches the packet.
    pub tkr: u32,
    /// Transmit status and control.
    pub tctl: u32,
    /// Bits of `tctl` that read as one when a packet can be sent.
    pub tctl_ready: u32,
    /// Receive control.
    pub rctl: u32,
    /// Chip id and PE id.
    pub id: u32,
    /// Global control.
    pub gctl: u32,
    /// Offsets of the two event FIFOs.
    pub fifos: [u32; 2],
    /// Registers within a FIFO's block.
    pub fifo: FifoRegisters,
    /// Filter word of a FIFO that takes multicast packets without payload: entries of one word, the key.
    pub filter_plain: u32,
    /// Filter word of a FIFO that takes multicast packets with payload: entries of two words, key and payload.
    pub filter_payload: u32,
    /// Bits of a FIFO's control register that enable it.
    pub fifo_enable: u32,
    /// Bit of `tcr` that says the packet has a payload.
    pub tcr_payload_bit: u32,
    /// Packet type (bits 16 to 14 of `tcr`) of spikes.
    pub tcr_spike_type: u32,
    /// Route code (bits 10 to 8 of `tcr`) for "no forced route".
    pub tcr_no_route: u32,
    /// Interrupt of each FIFO while it is not empty.
    pub irq_not_empty: [u32; 2],
    /// Interrupt of each FIFO while it cannot take another entry.
    pub irq_full: [u32; 2],
}

/// Offsets within a FIFO's register block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FifoRegisters {
    /// Filter.
    pub filter: u32,
    /// First address of the ring.
    pub start: u32,
    /// Address after the ring.
    pub end: u32,
    /// Read pointer, moved by software.
    pub read: u32,
    /// Write pointer, moved by arrivals.
    pub write: u32,
    /// Words in the ring.
    pub occupancy: u32,
    /// The most words there have been.
    pub max_occupancy: u32,
    /// Packets dropped because the ring was full.
    pub drops: u32,
    /// Control.
    pub control: u32,
}

/// SP804-like timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimerConfig {
    /// Base address of each.
    pub bases: Vec<u32>,
    /// Interrupt of each.
    pub irqs: Vec<u32>,
    /// Clock they count.
    pub hz: u32,
}

/// Bytes of a timer's register block.
pub(crate) const TIMER_BLOCK: u32 = 0x20;
/// Bytes of the communication controller's register block.
pub(crate) const COMMS_BLOCK: u32 = 0x200;

/// A configuration that makes no chip.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Number of quads.
    #[error("expected 1 to 64 quads with coordinates 0 to 7, each once; found {quads:?}")]
    Quads {
        /// As configured.
        quads: Vec<(u8, u8)>,
    },
    /// A number that must not be zero, or is too large.
    #[error("{name}: expected {expected}, found {found}")]
    Number {
        /// The field.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: u64,
    },
    /// Device or window over another.
    #[error("address ranges {first:#x?} and {second:#x?} overlap")]
    Overlap {
        /// One range.
        first: Range<u64>,
        /// The other.
        second: Range<u64>,
    },
}

impl ChipConfig {
    /// The SpiNNaker2 prototype's published numbers, with assumptions where nothing is published (network constants, plain filter, payload bit).
    ///
    /// For tests and experiments; programs take a target file.
    pub fn spinnaker2_prototype() -> Self {
        #[rustfmt::skip]
        let quads = vec![
            (7, 6), (7, 5), (6, 6), (6, 5), (6, 4), (5, 4), (5, 6), (3, 6), (4, 6), (5, 5), (3, 5), (4, 5), (1, 6),
            (2, 6), (1, 5), (2, 5), (1, 4), (2, 4), (3, 4), (1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (2, 3), (3, 3),
            (5, 1), (3, 1), (4, 1), (5, 2), (3, 2), (4, 2), (7, 1), (6, 1), (7, 2), (6, 2), (6, 3), (5, 3),
        ];
        Self {
            chip_id: 0,
            quads,
            pe_hz: 300_000_000,
            sram_bytes: 128 * 1024,
            branch_refill: 2,
            interrupt_lines: 45,
            quantum: 256,
            noc: NocConfig {
                hz: 300_000_000,
                cycles_per_hop: 5,
                fixed_cycles: 4,
                router: (4, 3),
                router_cycles: 12,
                router_entries: 16_384,
            },
            shared: SharedConfig {
                quad_window: 0x0008_0000,
                quad_wait: 2,
                remote: 0xf000_0000,
                remote_shift: 17,
                remote_load: 4,
                remote_store: 1,
            },
            comms: CommsConfig {
                base: 0xe200_0000,
                tcr: 0x00,
                tdr: 0x10,
                tkr: 0x14,
                tctl: 0x7c,
                tctl_ready: 1 << 31,
                rctl: 0x9c,
                id: 0xf8,
                gctl: 0xfc,
                fifos: [0x100, 0x140],
                fifo: FifoRegisters {
                    filter: 0x00,
                    start: 0x04,
                    end: 0x08,
                    read: 0x0c,
                    write: 0x10,
                    occupancy: 0x18,
                    max_occupancy: 0x1c,
                    drops: 0x20,
                    control: 0x3c,
                },
                filter_plain: 0x0020_0601,
                filter_payload: 0x0020_0641,
                fifo_enable: 1,
                tcr_payload_bit: 11,
                tcr_spike_type: 7,
                tcr_no_route: 7,
                irq_not_empty: [9, 12],
                irq_full: [10, 13],
            },
            timers: TimerConfig {
                bases: vec![0xe100_0000, 0xe100_0020],
                irqs: vec![0, 1],
                hz: 1_000_000,
            },
        }
    }

    /// Number of PEs.
    pub fn pes(&self) -> usize {
        self.quads.len() * 4
    }

    /// Hardware id of a PE: `x << 5 | y << 2 | PE in quad`.
    pub fn pe_id(&self, pe: usize) -> Option<u8> {
        let &(x, y) = self.quads.get(pe / 4)?;
        Some(x << 5 | y << 2 | (pe % 4) as u8)
    }

    /// Whether the numbers make sense together.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let mut seen = [false; 64];
        let each_once = self.quads.iter().all(|&(x, y)| {
            x < 8
                && y < 8
                && !std::mem::replace(&mut seen[usize::from(x) * 8 + usize::from(y)], true)
        });
        if !each_once || self.quads.is_empty() {
            return Err(ConfigError::Quads {
                quads: self.quads.clone(),
            });
        }
        let number = |name, expected, found: u64, ok: bool| {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Number {
                    name,
                    expected,
                    found,
                })
            }
        };
        let nonzero = |name, value: u32| number(name, "more than 0", value.into(), value > 0);
        nonzero("pe_hz", self.pe_hz)?;
        nonzero("quantum", self.quantum)?;
        nonzero("noc.hz", self.noc.hz)?;
        nonzero("noc.fixed_cycles", self.noc.fixed_cycles)?;
        nonzero("timers.hz", self.timers.hz)?;
        let sram = self.sram_bytes;
        let window = 1u64.checked_shl(self.shared.remote_shift).unwrap_or(0);
        let sram_ok = sram.is_multiple_of(16) && sram > 0 && u64::from(sram) <= window;
        number(
            "sram_bytes",
            "a multiple of 16 that fits the remote window",
            sram.into(),
            sram_ok,
        )?;
        number(
            "interrupt_lines",
            "at most 64",
            self.interrupt_lines.into(),
            self.interrupt_lines <= 64,
        )?;
        number(
            "comms.tcr_payload_bit",
            "at most 31",
            self.comms.tcr_payload_bit.into(),
            self.comms.tcr_payload_bit < 32,
        )?;
        let timers = self.timers.bases.len();
        number(
            "timers.irqs",
            "one for each base",
            self.timers.irqs.len() as u64,
            self.timers.irqs.len() == timers,
        )?;
        for &irq in self
            .timers
            .irqs
            .iter()
            .chain(&self.comms.irq_not_empty)
            .chain(&self.comms.irq_full)
        {
            number(
                "interrupt number",
                "a line that exists",
                irq.into(),
                irq < self.interrupt_lines,
            )?;
        }
        self.check_ranges(window)
    }

    fn check_ranges(&self, window: u64) -> Result<(), ConfigError> {
        let range = |start: u32, len: u64| u64::from(start)..u64::from(start) + len;
        let sram = u64::from(self.sram_bytes);
        let mut ranges = vec![
            range(0, sram),
            range(self.shared.quad_window, 4 * sram),
            range(self.shared.remote, 256 * window),
            range(self.comms.base, COMMS_BLOCK.into()),
            range(0xe000_0000, 0x10_0000),
        ];
        ranges.extend(
            self.timers
                .bases
                .iter()
                .map(|&base| range(base, TIMER_BLOCK.into())),
        );
        ranges.sort_by_key(|r| (r.start, r.end));
        for pair in ranges.windows(2) {
            if pair[0].end > pair[1].start {
                return Err(ConfigError::Overlap {
                    first: pair[0].clone(),
                    second: pair[1].clone(),
                });
            }
        }
        Ok(())
    }
}

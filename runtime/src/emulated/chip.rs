//! The emulated chip as a device.

use std::sync::Arc;

use nirc_emulator::{
    Chip, ChipConfig, ChipError, CommsConfig, Counters, FifoRegisters, NocConfig, PeSet, Route,
    Segment, SharedConfig, SymbolTable, TimerConfig,
};
use nirc_ir::Diagnostic;
use nirc_ir::codes::{DEVICE_FAULT, DEVICE_TIMEOUT};
use nirc_ir::entity::PrimaryMap;
use nirc_spinnaker2::bundle::{Bundle, Firmware, ImageId};
use nirc_spinnaker2::mapping::PeId;
use nirc_spinnaker2::target::Target;

use super::device::{Device, Lost};
use super::stats::PeStats;

/// Clock of the emulated PEs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Clock {
    /// The target's slow operating point.
    Low,
    /// The target's fast operating point.
    #[default]
    High,
}

/// How an emulated chip runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EmulatorOptions {
    /// Threads of this machine; 0 for one for each CPU. Results do not depend on it.
    pub threads: usize,
    /// Operating point.
    pub clock: Clock,
    /// Most cycles of a round of samples, or of one of its segments; firmware that takes longer is taken to hang.
    pub limit_cycles: u64,
}

impl Default for EmulatorOptions {
    fn default() -> Self {
        Self {
            threads: 0,
            clock: Clock::High,
            limit_cycles: 10_000_000_000,
        }
    }
}

/// An emulated chip with a bundle on it.
#[derive(Debug)]
pub struct EmulatedChip {
    config: ChipConfig,
    images: PrimaryMap<ImageId, Prepared>,
    loads: Vec<PeLoad>,
    routes: Vec<Route>,
    options: EmulatorOptions,
    chip: Chip,
    /// Clock when the present batch began.
    batch_start: u64,
}

/// An image in the emulator's terms.
#[derive(Debug)]
struct Prepared {
    segments: Vec<Segment>,
    symbols: Arc<SymbolTable>,
}

/// What goes into a PE.
#[derive(Debug)]
struct PeLoad {
    /// What the image takes of its memory.
    sram_bytes: u32,
    pe: PeId,
    image: ImageId,
    data: Vec<(u32, Vec<u8>)>,
}

impl EmulatedChip {
    /// A chip of this target with the bundle loaded and started.
    ///
    /// # Errors
    /// If the emulator does not model such a chip, or the bundle does not fit it.
    pub fn new(
        bundle: &Bundle,
        target: &Target,
        options: EmulatorOptions,
    ) -> Result<Self, Diagnostic> {
        let config = chip_config(target, options.clock);
        let placed = bundle.mapping.placements.iter().zip(&bundle.loads);
        let loads = placed.map(|(placement, load)| PeLoad {
            pe: placement.pe,
            image: load.image,
            sram_bytes: sram_bytes(bundle, load.image),
            data: load
                .data
                .iter()
                .map(|w| (w.address, bytes(&w.words)))
                .collect(),
        });
        let mut chip = Self {
            images: bundle.images.values().map(Prepared::new).collect(),
            loads: loads.collect(),
            routes: routes(&config, bundle)?,
            chip: Chip::new(config.clone()).map_err(trouble)?,
            config,
            options,
            batch_start: 0,
        };
        chip.load()?;
        Ok(chip)
    }

    fn load(&mut self) -> Result<(), Diagnostic> {
        self.chip.set_routes(self.routes.clone()).map_err(trouble)?;
        for load in &self.loads {
            let pe = index(&self.config, load.pe)?;
            let image = &self.images[load.image];
            let symbols = Arc::clone(&image.symbols);
            self.chip
                .load(pe, &image.segments, symbols)
                .map_err(trouble)?;
            for (address, bytes) in &load.data {
                self.chip.host_write(pe, *address, bytes).map_err(trouble)?;
            }
        }
        for load in &self.loads {
            let pe = index(&self.config, load.pe)?;
            self.chip.start(pe).map_err(trouble)?;
        }
        Ok(())
    }

    /// Cycles since the last [`Device::begin`].
    pub fn batch_cycles(&self) -> u64 {
        self.chip.now() - self.batch_start
    }

    /// What each loaded PE did since it was started.
    ///
    /// # Errors
    /// If a PE does not exist.
    pub fn pes(&self) -> Result<Vec<PeStats>, Diagnostic> {
        self.loads
            .iter()
            .map(|load| {
                let counters = self.chip.counters(index(&self.config, load.pe)?);
                let counters = counters.map_err(trouble)?;
                Ok(pe_stats(load, &counters, self.chip.now()))
            })
            .collect()
    }
}

fn pe_stats(load: &PeLoad, counters: &Counters, now: u64) -> PeStats {
    PeStats {
        pe: load.pe,
        sram_bytes: load.sram_bytes,
        instructions: counters.instructions,
        // A PE that sleeps is counted up to where it fell asleep; all PEs start with the chip.
        sleep_cycles: counters.sleep_cycles + now.saturating_sub(counters.cycles),
        busy_cycles: counters.cycles - counters.sleep_cycles,
        packets_sent: counters.packets_sent,
        packets_received: counters.packets_received,
        remote_loads: counters.remote_loads,
        remote_stores: counters.remote_stores,
        fifo_high_water: counters.fifo_high_water,
    }
}

/// What an image takes of a PE's memory, its stack and buffers with it.
fn sram_bytes(bundle: &Bundle, image: ImageId) -> u32 {
    let regions = bundle.images[image].memory.iter();
    regions.map(|region| region.size).sum()
}

impl Device for EmulatedChip {
    fn name(&self) -> &'static str {
        "emulator"
    }

    fn restart(&mut self) -> Result<(), Diagnostic> {
        self.chip = Chip::new(self.config.clone()).map_err(trouble)?;
        self.batch_start = 0;
        self.load()
    }

    fn begin(&mut self) {
        self.batch_start = self.chip.now();
    }

    fn write(&mut self, pe: PeId, address: u32, words: &[u32]) -> Result<(), Diagnostic> {
        let pe = index(&self.config, pe)?;
        let mut address = address;
        for words in words.chunks(CHUNK) {
            let mut bytes = [0; 4 * CHUNK];
            for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            let written = self.chip.host_write(pe, address, &bytes[..4 * words.len()]);
            written.map_err(trouble)?;
            address += 4 * words.len() as u32;
        }
        Ok(())
    }

    fn read(&self, pe: PeId, address: u32, words: &mut [u32]) -> Result<(), Diagnostic> {
        let pe = index(&self.config, pe)?;
        let mut address = address;
        for words in words.chunks_mut(CHUNK) {
            let mut bytes = [0; 4 * CHUNK];
            let read = self
                .chip
                .host_read(pe, address, &mut bytes[..4 * words.len()]);
            read.map_err(trouble)?;
            for (word, from) in words.iter_mut().zip(bytes.chunks_exact(4)) {
                *word = u32::from_le_bytes([from[0], from[1], from[2], from[3]]);
            }
            address += 4 * words.len() as u32;
        }
        Ok(())
    }

    fn inject(&mut self, key: u32, payload: u32) -> Result<(), Diagnostic> {
        if self.chip.inject(key, Some(payload)) {
            return Ok(());
        }
        let message = format!("the routing table has no entry for the command {key:08x}");
        Err(Diagnostic::error(DEVICE_FAULT, "router", message))
    }

    fn run_until_quiet(&mut self) -> Result<(), Diagnostic> {
        let EmulatorOptions {
            threads,
            limit_cycles,
            ..
        } = self.options;
        let ran = self.chip.run(limit_cycles, threads).map_err(trouble)?;
        if ran.quiescent {
            return Ok(());
        }
        let message = format!("still running after {limit_cycles} cycles");
        let help = "allow more cycles, or look for a population that cannot keep up";
        Err(Diagnostic::error(DEVICE_TIMEOUT, "emulator", message).help(help))
    }

    fn lost(&self) -> Result<Lost, Diagnostic> {
        let mut lost = Lost {
            unrouted: self.chip.router_counters().missed,
            ..Lost::default()
        };
        for load in &self.loads {
            let counters = self.chip.counters(index(&self.config, load.pe)?);
            let counters = counters.map_err(trouble)?;
            let dropped = counters.fifo_drops.iter().sum::<u64>() + counters.unclaimed;
            lost.dropped += dropped;
            if dropped > 0 {
                lost.pe.get_or_insert(load.pe);
            }
        }
        Ok(lost)
    }
}

/// Words converted at a time.
const CHUNK: usize = 64;

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|w| w.to_le_bytes()).collect()
}

impl Prepared {
    fn new(firmware: &Firmware) -> Self {
        let image = &firmware.image;
        let code = &image.text;
        let data = [&image.rodata, &image.data];
        let data = data.into_iter().filter(|block| !block.bytes.is_empty());
        let mut segments = vec![Segment::code(code.addr, code.bytes.clone())];
        segments.extend(data.map(|block| Segment::data(block.addr, block.bytes.clone())));
        let symbols = image
            .symbols
            .iter()
            .map(|s| (s.addr, s.size, s.name.as_str()));
        Self {
            segments,
            symbols: Arc::new(SymbolTable::new(symbols)),
        }
    }
}

/// The emulator counts PEs by quad, in the target's order of quads.
fn index(config: &ChipConfig, pe: PeId) -> Result<usize, Diagnostic> {
    let quad = config.quads.iter().position(|&quad| quad == pe.quad());
    quad.map(|quad| 4 * quad + usize::from(pe.place()))
        .ok_or_else(|| {
            let message = format!("the chip has no PE {pe}");
            Diagnostic::error(DEVICE_FAULT, "emulator", message)
        })
}

fn routes(config: &ChipConfig, bundle: &Bundle) -> Result<Vec<Route>, Diagnostic> {
    let routes = bundle.mapping.routes.iter().map(|route| {
        let pes = route.to.iter().map(|pe| index(config, pe));
        Ok(Route {
            key: route.keys.key(),
            mask: route.keys.mask(),
            route: pes.collect::<Result<PeSet, Diagnostic>>()?,
        })
    });
    routes.collect()
}

fn trouble(error: ChipError) -> Diagnostic {
    let message = error.to_string();
    let symbol = match error {
        ChipError::Fault(fault) => fault.symbol,
        _ => None,
    };
    let place = symbol.unwrap_or_else(|| "emulator".to_owned());
    Diagnostic::error(DEVICE_FAULT, place, message)
}

/// The emulated chip that a target describes, at one of its operating points.
pub fn chip_config(target: &Target, clock: Clock) -> ChipConfig {
    let hz = match clock {
        Clock::Low => target.clock.low_hz,
        Clock::High => target.clock.high_hz,
    };
    ChipConfig {
        chip_id: 0,
        quads: target.chip.quads.clone(),
        pe_hz: hz as u32,
        sram_bytes: target.memory.sram.size,
        branch_refill: target.timing.branch_refill,
        interrupt_lines: target.pe.interrupts,
        quantum: QUANTUM,
        noc: NocConfig {
            hz: target.noc.hz as u32,
            cycles_per_hop: target.noc.cycles_per_hop,
            fixed_cycles: target.timing.network_entry,
            router: target.router.position,
            router_cycles: router_cycles(target, hz),
            router_entries: target.router.entries as usize,
        },
        shared: SharedConfig {
            quad_window: target.memory.quad_window.base,
            quad_wait: target.timing.quad_access,
            remote: target.memory.remote_sram.base,
            remote_shift: target.remote.id_shift,
            remote_load: target.timing.remote_load,
            remote_store: target.timing.remote_store,
        },
        comms: comms_config(target),
        timers: TimerConfig {
            bases: vec![target.memory.timer1.base, target.memory.timer2.base],
            irqs: vec![target.irq.timer1, target.irq.timer2],
            hz: target.timer.reference_hz as u32,
        },
    }
}

fn comms_config(target: &Target) -> CommsConfig {
    let (comms, fifo, tcr) = (&target.comms, &target.fifo, &target.tcr);
    CommsConfig {
        base: target.memory.comms.base,
        tcr: comms.tcr,
        tdr: comms.tdr0,
        tkr: comms.tkr,
        tctl: comms.tctl,
        tctl_ready: 1 << comms.tctl_ready_bit,
        rctl: comms.rctl,
        id: comms.id,
        gctl: comms.gctl,
        fifos: [fifo.base, fifo.base + fifo.stride],
        fifo: FifoRegisters {
            filter: fifo.filter,
            start: fifo.start,
            end: fifo.end,
            read: fifo.read,
            write: fifo.write,
            occupancy: fifo.occupancy,
            max_occupancy: fifo.max_occupancy,
            drops: fifo.dropped,
            control: fifo.control,
        },
        filter_plain: fifo.filter_plain,
        filter_payload: fifo.filter_payload,
        fifo_enable: 1,
        tcr_payload_bit: tcr.payload_bit,
        tcr_spike_type: tcr.type_spinnaker,
        tcr_no_route: tcr.route_none,
        irq_not_empty: [target.irq.fifo0_not_empty, target.irq.fifo1_not_empty],
        irq_full: [target.irq.fifo0_full, target.irq.fifo1_full],
    }
}

/// The router's pipeline in cycles of the PEs.
fn router_cycles(target: &Target, pe_hz: u64) -> u32 {
    let cycles = u64::from(target.router.pipeline_cycles) * pe_hz;
    cycles.div_ceil(target.router.hz.max(1)) as u32
}

/// Cycles between exchanges of packets among quads: how finely the emulation is cut, nothing of the chip's.
/// A packet to another quad may arrive up to so much late. Replicas talk to one another through the
/// optimiser only, twice a batch: against 256 cycles a batch of 22 takes 0.13 % longer, one of 1 1.1 %, and
/// the emulation, whose caches then hold a quad for longer, 16 % less.
const QUANTUM: u32 = 1024;

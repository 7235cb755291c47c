//! The whole chip: quads in parallel, a quantum at a time.

use std::sync::Arc;

use rayon::prelude::*;

use crate::config::{ChipConfig, ConfigError};
use crate::core::{Code, CodeBytes};
use crate::devices::{Arrival, Environment, Event};
use crate::fault::Fault;
use crate::pe::{Counters, Pe};
use crate::quad::{PES, Quad, RouterCounters};
use crate::router::{Route, RouteCache, RouteError, Router};
use crate::symbols::{Segment, SegmentKind, SymbolTable};

/// Source number of packets from the host, after all PEs in the order of simultaneous arrivals.
const HOST: u16 = u16::MAX;

/// An emulated chip.
///
/// ```
/// use nirc_emulator::{Chip, ChipConfig, Segment};
/// let mut chip = Chip::new(ChipConfig::spinnaker2_prototype())?;
/// // Vector table (stack, entry 8), then: movs r0, #42; str r0, [sp, #-4]!; cpsid i; wfi.
/// let image = [0, 0, 1, 0, 9, 0, 0, 0, 42, 0x20, 0x4d, 0xf8, 4, 0x0d, 0x72, 0xb6, 0x30, 0xbf];
/// chip.load(3, &[Segment::code(0, image)], Default::default())?;
/// chip.start(3)?;
/// let summary = chip.run(10_000, 1)?;
/// assert!(summary.quiescent);
/// let mut word = [0; 4];
/// chip.host_read(3, 0xfffc, &mut word)?;
/// assert_eq!(u32::from_le_bytes(word), 42);
/// # Ok::<(), nirc_emulator::ChipError>(())
/// ```
#[derive(Debug)]
pub struct Chip {
    env: Arc<Environment>,
    quads: Vec<Quad>,
    router: Router,
    host_routes: RouteCache,
    host_router_counters: RouterCounters,
    injected: u64,
    images: Vec<Arc<Code>>,
    now: u64,
    pool: Option<rayon::ThreadPool>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunSummary {
    /// The chip's clock after it.
    pub now: u64,
    /// Cycles of it.
    pub cycles: u64,
    /// Instructions all PEs executed in it.
    pub instructions: u64,
    /// Every PE sleeps and nothing is on its way; else the limit was reached.
    pub quiescent: bool,
}

/// What can go wrong with a [`Chip`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChipError {
    /// The configuration makes no chip.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The routes do not fit.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// A program did something that is not allowed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// No such PE.
    #[error("PE {pe} does not exist: there are {pes}")]
    NoSuchPe {
        /// The index given.
        pe: usize,
        /// How many there are.
        pes: usize,
    },
    /// Outside a PE's SRAM.
    #[error("PE {pe}: {len} bytes at {addr:#010x} do not lie in its {sram} bytes of SRAM")]
    OutsideSram {
        /// The PE.
        pe: usize,
        /// First address.
        addr: u32,
        /// Number of bytes.
        len: usize,
        /// Size of the SRAM.
        sram: u32,
    },
    /// The host's threads could not be started.
    #[error("cannot start {threads} threads: {reason}")]
    Threads {
        /// How many.
        threads: usize,
        /// Why not.
        reason: String,
    },
}

impl Chip {
    /// A chip with empty memories, no routes and all PEs off.
    pub fn new(config: ChipConfig) -> Result<Self, ChipError> {
        config.check()?;
        let env = Arc::new(Environment::new(config));
        let quads = (0..env.config.quads.len())
            .map(|i| Quad::new(&env, i))
            .collect();
        Ok(Self {
            env,
            quads,
            router: Router::default(),
            host_routes: RouteCache::default(),
            host_router_counters: RouterCounters::default(),
            injected: 0,
            images: Vec::new(),
            now: 0,
            pool: None,
        })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &ChipConfig {
        &self.env.config
    }

    /// The chip's clock, in PE cycles: no PE is further.
    pub fn now(&self) -> u64 {
        self.now
    }

    fn pe(&self, pe: usize) -> Result<&Pe, ChipError> {
        let pes = self.quads.len() * PES;
        self.quads
            .get(pe / PES)
            .map(|q| &q.pes[pe % PES])
            .ok_or(ChipError::NoSuchPe { pe, pes })
    }

    fn change<T>(&mut self, pe: usize, change: impl FnOnce(&mut Pe) -> T) -> Result<T, ChipError> {
        let pes = self.quads.len() * PES;
        let quad = self.quads.get_mut(pe / PES);
        let quad = quad.ok_or(ChipError::NoSuchPe { pe, pes })?;
        Ok(quad.change(pe % PES, change))
    }

    /// Stops a PE, clears its SRAM and places segments in it. PEs with the same code share its decoded form.
    pub fn load(
        &mut self,
        pe: usize,
        segments: &[Segment],
        symbols: Arc<SymbolTable>,
    ) -> Result<(), ChipError> {
        let sram = self.env.config.sram_bytes;
        self.pe(pe)?;
        for segment in segments {
            let end = u64::from(segment.addr) + segment.bytes.len() as u64;
            if end > sram.into() {
                return Err(ChipError::OutsideSram {
                    pe,
                    addr: segment.addr,
                    len: segment.bytes.len(),
                    sram,
                });
            }
        }
        let code = segments
            .iter()
            .filter(|s| s.kind == SegmentKind::Code)
            .map(|s| (s.addr, s.bytes.as_slice()));
        let code = self.image(CodeBytes::new(code));
        self.change(pe, |pe| {
            pe.stop();
            if let Some(all) = pe.core.sram.get_mut(0, sram as usize) {
                all.fill(0);
            }
            for segment in segments {
                if let Some(to) = pe.core.sram.get_mut(segment.addr, segment.bytes.len()) {
                    to.copy_from_slice(&segment.bytes);
                }
            }
            pe.set_code(code);
            pe.set_symbols(symbols);
        })
    }

    /// The decoded form of some code, shared if it was seen before.
    fn image(&mut self, bytes: CodeBytes) -> Arc<Code> {
        if let Some(code) = self.images.iter().find(|c| *c.bytes() == bytes) {
            return Arc::clone(code);
        }
        let code = Arc::new(Code::new(bytes));
        // Images no PE runs any more need not be kept.
        self.images.retain(|c| Arc::strong_count(c) > 1);
        self.images.push(Arc::clone(&code));
        code
    }

    /// Resets a PE: it starts from its vector table (stack pointer at 0, entry at 4) at the chip's present clock.
    pub fn start(&mut self, pe: usize) -> Result<(), ChipError> {
        let (env, now) = (Arc::clone(&self.env), self.now);
        self.change(pe, |pe| pe.start(&env, now))??;
        Ok(())
    }

    /// Stops a PE where it is. Its memory stays; what it sent still arrives.
    pub fn stop(&mut self, pe: usize) -> Result<(), ChipError> {
        self.change(pe, Pe::stop)
    }

    /// Replaces the routing table; the first entry that matches a key counts.
    pub fn set_routes(&mut self, routes: Vec<Route>) -> Result<(), ChipError> {
        self.router = Router::new(
            routes,
            self.env.config.noc.router_entries,
            self.env.config.pes(),
        )?;
        self.host_routes.clear();
        for quad in &mut self.quads {
            quad.routes.clear();
        }
        Ok(())
    }

    /// Writes a PE's SRAM from the host, at once. Code may be written too: it is then decoded afresh.
    pub fn host_write(&mut self, pe: usize, addr: u32, bytes: &[u8]) -> Result<(), ChipError> {
        let sram = self.env.config.sram_bytes;
        let outside = ChipError::OutsideSram {
            pe,
            addr,
            len: bytes.len(),
            sram,
        };
        // The new code, where some of it was written over.
        let write = |element: &mut Pe| {
            let sram = &mut element.core.sram;
            sram.get_mut(addr, bytes.len())?.copy_from_slice(bytes);
            let sram = &element.core.sram;
            let ranges = element.code.bytes().ranges();
            let pieces =
                ranges.filter_map(|(start, old)| Some((start, sram.get(start, old.len())?)));
            let rewritten = sram.holds_code(addr, bytes.len());
            Some(rewritten.then(|| CodeBytes::new(pieces)))
        };
        let Some(code) = self.change(pe, write)?.ok_or(outside)? else {
            return Ok(());
        };
        let code = self.image(code);
        self.change(pe, |pe| pe.set_code(code))
    }

    /// Reads a PE's SRAM to the host, at once.
    pub fn host_read(&self, pe: usize, addr: u32, buf: &mut [u8]) -> Result<(), ChipError> {
        let sram = self.env.config.sram_bytes;
        let from = self.pe(pe)?.core.sram.get(addr, buf.len());
        buf.copy_from_slice(from.ok_or(ChipError::OutsideSram {
            pe,
            addr,
            len: buf.len(),
            sram,
        })?);
        Ok(())
    }

    /// Sends a multicast packet from the host, through the router, at the chip's present clock. False if no route matches its key.
    pub fn inject(&mut self, key: u32, payload: Option<u32>) -> bool {
        let Some(route) = self.host_routes.find(&self.router, key) else {
            self.host_router_counters.missed += 1;
            return false;
        };
        self.host_router_counters.routed += 1;
        for pe in route.iter() {
            let time = self.now + self.env.distances.router_to(pe / PES);
            let event = Event {
                time,
                source: HOST,
                sequence: self.injected,
                arrival: Arrival::Packet { key, payload },
            };
            self.injected += 1;
            self.quads[pe / PES].expect(pe % PES, event);
        }
        true
    }

    /// What a PE did since it was started.
    pub fn counters(&self, pe: usize) -> Result<Counters, ChipError> {
        Ok(self.pe(pe)?.counters())
    }

    /// What the router did.
    pub fn router_counters(&self) -> RouterCounters {
        let quads = self.quads.iter().map(|q| q.router_counters);
        quads.fold(self.host_router_counters, |sum, c| RouterCounters {
            routed: sum.routed + c.routed,
            missed: sum.missed + c.missed,
        })
    }

    /// Runs until every PE sleeps with nothing on its way, or for so many cycles, with so many host threads (0 for one for each CPU).
    ///
    /// Memory, clocks and counters afterwards do not depend on the number of threads. After a fault the chip can be read but the PE that
    /// faulted does not go on.
    pub fn run(&mut self, limit_cycles: u64, threads: usize) -> Result<RunSummary, ChipError> {
        let (start, instructions) = (self.now, self.instructions());
        let deadline = start.saturating_add(limit_cycles);
        let quiescent = match self.take_pool(threads)? {
            None => self.run_quanta(deadline, false)?,
            Some(pool) => {
                // From within the pool: a thread that came from outside would sleep through each quantum.
                let quiescent = pool.install(|| self.run_quanta(deadline, true));
                self.pool = Some(pool);
                quiescent?
            }
        };
        let furthest = self.clocks().max().unwrap_or(start).max(start);
        self.now = if quiescent {
            furthest
        } else {
            furthest.max(deadline)
        };
        Ok(RunSummary {
            now: self.now,
            cycles: self.now - start,
            instructions: self.instructions() - instructions,
            quiescent,
        })
    }

    /// Runs to the deadline, or until nothing happens any more: then true.
    fn run_quanta(&mut self, deadline: u64, parallel: bool) -> Result<bool, Fault> {
        while let Some(next) = self.next_time() {
            if next >= deadline {
                return Ok(false);
            }
            self.run_quantum(next, deadline, parallel);
            self.exchange()?;
        }
        Ok(true)
    }

    /// The pool of so many threads; none for one.
    fn take_pool(&mut self, threads: usize) -> Result<Option<rayon::ThreadPool>, ChipError> {
        let threads = match threads {
            0 => rayon::current_num_threads(),
            threads => threads,
        };
        // A quad is simulated by one thread.
        let threads = threads.min(self.quads.len());
        if threads == 1 {
            return Ok(None);
        }
        if let Some(pool) = self.pool.take()
            && pool.current_num_threads() == threads
        {
            return Ok(Some(pool));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.map(Some).map_err(|e| ChipError::Threads {
            threads,
            reason: e.to_string(),
        })
    }

    fn clocks(&self) -> impl Iterator<Item = u64> {
        self.quads
            .iter()
            .flat_map(|q| q.pes.iter().map(|pe| pe.core.now))
    }

    fn instructions(&self) -> u64 {
        self.quads
            .iter()
            .flat_map(|q| q.pes.iter().map(|pe| pe.core.instructions))
            .sum()
    }

    fn next_time(&self) -> Option<u64> {
        let next = self.quads.iter().map(Quad::next_time).min();
        next.filter(|&next| next < u64::MAX)
    }

    /// Runs every quad through the quantum that `next` lies in.
    fn run_quantum(&mut self, next: u64, deadline: u64, parallel: bool) {
        let boundary = self.env.boundary_after(next);
        let router = &self.router;
        let mut active: Vec<&mut Quad> = self
            .quads
            .iter_mut()
            .filter(|q| q.next_time() < boundary)
            .collect();
        match active.as_mut_slice() {
            [_] => {
                let end = self.end_when_alone(boundary).min(deadline);
                if let Some(quad) = self.quads.iter_mut().find(|q| q.next_time() < boundary) {
                    quad.run(&self.router, end);
                }
            }
            quads if parallel => {
                let end = boundary.min(deadline);
                let share = quads.len().div_ceil(rayon::current_num_threads());
                quads
                    .par_iter_mut()
                    .with_min_len(share)
                    .for_each(|quad| quad.run(router, end));
            }
            quads => {
                let end = boundary.min(deadline);
                for quad in quads {
                    quad.run(router, end);
                }
            }
        }
    }

    /// A PE that is alone awake may run on to the quantum in which the next thing happens anywhere else; what it sends ends that.
    fn end_when_alone(&self, boundary: u64) -> u64 {
        let times = self.quads.iter().flat_map(Quad::times);
        let (_, second) = times.fold((u64::MAX, u64::MAX), |(first, second), time| {
            (first.min(time), second.min(time.max(first)))
        });
        match second {
            u64::MAX => u64::MAX,
            _ => (second - second % u64::from(self.env.config.quantum)).max(boundary),
        }
    }

    /// Between quanta: faults are reported, what was sent to other quads is delivered, and loads from other quads get their bytes.
    fn exchange(&mut self) -> Result<(), Fault> {
        let fault = self
            .quads
            .iter()
            .filter_map(|q| q.fault.as_ref())
            .min_by_key(|f| (f.cycle, f.pe));
        if let Some(fault) = fault.cloned() {
            for quad in &mut self.quads {
                quad.fault = None;
            }
            return Err(fault);
        }
        for i in 0..self.quads.len() {
            let mut outgoing = std::mem::take(&mut self.quads[i].outgoing);
            for (pe, event) in outgoing.drain(..) {
                self.quads[pe / PES].expect(pe % PES, event);
            }
            self.quads[i].outgoing = outgoing;
        }
        for i in 0..self.quads.len() {
            for j in 0..PES {
                let pe = &self.quads[i].pes[j];
                let (Some((source, offset, len)), at) = (pe.wants(), pe.core.now) else {
                    continue;
                };
                let lend = |pe: &mut Pe| pe.lend(at, offset, len);
                let bytes = self.quads[source / PES].change(source % PES, lend)?;
                self.quads[i].change(j, |pe| pe.bring(bytes));
            }
        }
        Ok(())
    }
}

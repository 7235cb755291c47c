//! Everything a PE's core reaches besides its own SRAM: timers, communication controller, other PEs.
//!
//! **Time.** A PE may be simulated ahead of its neighbours. What it computes does not depend on them until it *observes* them: reads the
//! communication controller or an interrupt state, sleeps, or loads from a neighbour. An observation at clock `t` is made when nothing that is
//! still to come can arrive at or before `t`, which is what [`Devices::horizon`] says; until then the core stops with [`Stop::Sync`] and is
//! tried again. What arrives (packets, remote stores) waits in an inbox, ordered by time of arrival, and is applied by the next observation
//! or at the start of the next quantum.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::comms::{Comms, Launch, RegisterMap};
use crate::config::{COMMS_BLOCK, ChipConfig, TIMER_BLOCK};
use crate::core::{Bus, Sram, Stop};
use crate::fault::FaultKind;
use crate::router::Distances;
use crate::timer::Timer;

/// What all PEs of a chip have in common.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) config: ChipConfig,
    pub(crate) comms: RegisterMap,
    pub(crate) distances: Distances,
    /// PE index by hardware id.
    by_id: [Option<u16>; 256],
    /// Quad by mesh coordinates, `x * 8 + y`.
    quad_at: [Option<u8>; 64],
}

impl Environment {
    /// `config` has been checked.
    pub(crate) fn new(config: ChipConfig) -> Self {
        let distances = Distances::new(&config.quads, &config.noc, config.pe_hz);
        let mut by_id = [None; 256];
        let mut quad_at = [None; 64];
        for pe in 0..config.pes() {
            if let Some(id) = config.pe_id(pe) {
                by_id[usize::from(id)] = Some(pe as u16);
            }
        }
        for (quad, &(x, y)) in config.quads.iter().enumerate() {
            quad_at[usize::from(x & 7) * 8 + usize::from(y & 7)] = Some(quad as u8);
        }
        Self {
            comms: RegisterMap::new(&config.comms),
            config,
            distances,
            by_id,
            quad_at,
        }
    }

    /// The end of the quantum a clock lies in.
    pub(crate) fn boundary_after(&self, at: u64) -> u64 {
        let quantum = u64::from(self.config.quantum);
        (at / quantum + 1) * quantum
    }

    /// The PE and the address in its SRAM that an address of the shared windows means, seen from a quad; `None` outside these windows,
    /// an error where nothing is.
    fn shared(&self, quad: usize, addr: u32, len: usize) -> Option<Result<Shared, ()>> {
        let sram = self.config.sram_bytes;
        let shared = &self.config.shared;
        let inside = |offset: u32| u64::from(offset) + len as u64 <= u64::from(sram);
        let in_window = addr.wrapping_sub(shared.quad_window);
        if in_window < 4 * sram {
            let (pe, offset) = (quad * 4 + (in_window / sram) as usize, in_window % sram);
            return Some(if inside(offset) {
                Ok(Shared {
                    pe,
                    offset,
                    window: true,
                })
            } else {
                Err(())
            });
        }
        let in_remote = addr.wrapping_sub(shared.remote);
        let id = in_remote >> shared.remote_shift;
        if addr < shared.remote || id > 255 {
            return None;
        }
        let offset = in_remote & ((1 << shared.remote_shift) - 1);
        Some(match self.by_id[id as usize] {
            Some(pe) if inside(offset) => Ok(Shared {
                pe: pe.into(),
                offset,
                window: false,
            }),
            _ => Err(()),
        })
    }
}

/// A place in some PE's SRAM.
#[derive(Debug, Clone, Copy)]
struct Shared {
    pe: usize,
    offset: u32,
    /// Reached through the quad window.
    window: bool,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Router,
    /// A quad, and its PEs as bits.
    Quad(usize, u8),
}

/// Something a PE sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) at: u64,
    pub(crate) what: SentKind,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum SentKind {
    Packet {
        target: Target,
        key: u32,
        payload: Option<u32>,
    },
    Write {
        pe: usize,
        write: Write,
    },
}

/// A few bytes on their way into an SRAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Write {
    offset: u32,
    len: u8,
    bytes: [u8; 8],
}

/// What arrives at a PE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Arrival {
    Packet { key: u32, payload: Option<u32> },
    Write(Write),
}

/// An arrival and its place in the order: time, source, and the source's own order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Event {
    pub(crate) time: u64,
    pub(crate) source: u16,
    pub(crate) sequence: u64,
    pub(crate) arrival: Arrival,
}

/// Bytes of another PE, brought for an access that waits for them.
#[derive(Debug, Clone)]
pub(crate) struct Brought {
    pub(crate) addr: u32,
    pub(crate) len: u32,
    pub(crate) bytes: [u8; 128],
}

/// The devices of one PE.
#[derive(Debug)]
pub(crate) struct Devices {
    env: Arc<Environment>,
    quad: usize,
    pub(crate) comms: Comms,
    timers: Vec<Timer>,
    pub(crate) inbox: BinaryHeap<Reverse<Event>>,
    pub(crate) outbox: Vec<Sent>,
    pub(crate) brought: Option<Brought>,
    /// Everything that arrives before this clock is in the inbox.
    pub(crate) horizon: u64,
    /// End of the quantum.
    pub(crate) end: u64,
    /// Whether the PE can be interrupted; then it must not run past the horizon.
    pub(crate) interruptible: bool,
    /// The core's limit, as it shrinks.
    pub(crate) limit: u64,
    pub(crate) packets_sent: u64,
    pub(crate) remote_loads: u64,
    pub(crate) remote_stores: u64,
}

impl Devices {
    pub(crate) fn new(env: &Arc<Environment>, pe: usize) -> Self {
        let config = &env.config;
        Self {
            env: Arc::clone(env),
            quad: pe / 4,
            comms: Comms::new(config.chip_id, config.pe_id(pe).unwrap_or(0)),
            timers: config
                .timers
                .bases
                .iter()
                .map(|_| Timer::new(config.pe_hz, config.timers.hz))
                .collect(),
            inbox: BinaryHeap::new(),
            outbox: Vec::new(),
            brought: None,
            horizon: 0,
            end: 0,
            interruptible: false,
            limit: 0,
            packets_sent: 0,
            remote_loads: 0,
            remote_stores: 0,
        }
    }

    /// When the next thing arrives of those that are on their way.
    pub(crate) fn next_arrival(&self) -> Option<u64> {
        self.inbox.peek().map(|Reverse(event)| event.time)
    }

    /// When something next happens by itself: an arrival or a timer's interrupt.
    pub(crate) fn next_event(&self) -> Option<u64> {
        let arrival = self.next_arrival();
        let timer = self.timers.iter().filter_map(Timer::next_edge).min();
        arrival.into_iter().chain(timer).min()
    }

    /// Applies what has arrived by a clock.
    pub(crate) fn apply(&mut self, sram: &mut Sram, at: u64) -> Result<(), Stop> {
        while self
            .inbox
            .peek()
            .is_some_and(|Reverse(event)| event.time <= at)
        {
            let Some(Reverse(event)) = self.inbox.pop() else {
                break;
            };
            let result = match event.arrival {
                Arrival::Packet { key, payload } => {
                    self.comms
                        .arrive(&self.env.config.comms, sram, key, payload)
                }
                Arrival::Write(write) => apply_write(sram, write),
            };
            result.map_err(|(kind, addr)| Stop::Fault(kind, Some(addr)))?;
        }
        Ok(())
    }

    /// Makes the world around consistent with a clock, or says that it is too early for that.
    fn observe(&mut self, sram: &mut Sram, at: u64) -> Result<(), Stop> {
        if at >= self.horizon {
            return Err(Stop::Sync);
        }
        self.apply(sram, at)
    }

    fn timer_at(&self, addr: u32) -> Option<(usize, u32)> {
        let bases = &self.env.config.timers.bases;
        let index = bases
            .iter()
            .position(|&base| addr.wrapping_sub(base) < TIMER_BLOCK)?;
        Some((index, addr - bases[index]))
    }

    fn comms_offset(&self, addr: u32) -> Option<u32> {
        let offset = addr.wrapping_sub(self.env.config.comms.base);
        (offset < COMMS_BLOCK).then_some(offset)
    }

    fn load_register(&mut self, sram: &mut Sram, at: u64, addr: u32) -> Result<u32, Stop> {
        let fault = |kind| Stop::Fault(kind, Some(addr));
        if let Some((index, offset)) = self.timer_at(addr) {
            return self.timers[index].load(at, offset).map_err(fault);
        }
        match self.comms_offset(addr) {
            Some(offset) => self.load_comms(sram, at, offset),
            None => Err(fault(FaultKind::UnmappedLoad)),
        }
    }

    fn load_comms(&mut self, sram: &mut Sram, at: u64, offset: u32) -> Result<u32, Stop> {
        if self.env.comms.depends_on_arrivals(offset) {
            self.observe(sram, at)?;
        }
        let config = &self.env.config.comms;
        let value = self.comms.load(config, &self.env.comms, offset);
        value.map_err(|kind| Stop::Fault(kind, Some(config.base + offset)))
    }

    fn store_register(
        &mut self,
        sram: &mut Sram,
        at: u64,
        addr: u32,
        value: u32,
    ) -> Result<(), Stop> {
        let fault = |kind| Stop::Fault(kind, Some(addr));
        if let Some((index, offset)) = self.timer_at(addr) {
            self.timers[index].store(at, offset, value).map_err(fault)?;
        } else if let Some(offset) = self.comms_offset(addr) {
            if self.env.comms.depends_on_arrivals(offset) {
                self.observe(sram, at)?;
            }
            let stored = self
                .comms
                .store(&self.env.config.comms, &self.env.comms, offset, value);
            if let Some(launch) = stored.map_err(fault)? {
                self.send(at, launch).map_err(fault)?;
            }
        } else {
            return Err(fault(FaultKind::UnmappedStore));
        }
        if self.interruptible {
            self.limit = 0;
        }
        Ok(())
    }

    fn send(&mut self, at: u64, launch: Launch) -> Result<(), FaultKind> {
        let Launch {
            key,
            payload,
            x,
            y,
            pes,
        } = launch;
        let target = if (x, y) == self.env.config.noc.router {
            Target::Router
        } else {
            let quad = self.env.quad_at[usize::from(x) * 8 + usize::from(y)];
            Target::Quad(quad.ok_or(FaultKind::NoDestination { x, y })?.into(), pes)
        };
        self.packets_sent += 1;
        self.post(
            at,
            SentKind::Packet {
                target,
                key,
                payload,
            },
        );
        Ok(())
    }

    /// Hands something to the network, which may bring an answer: the horizon comes closer.
    fn post(&mut self, at: u64, what: SentKind) {
        self.outbox.push(Sent { at, what });
        let answer = at + 2 * self.env.distances.least();
        self.end = self.end.min(self.env.boundary_after(at));
        self.horizon = self.horizon.min(answer).min(self.end);
        self.limit = self.limit.min(if self.interruptible {
            self.horizon
        } else {
            self.end
        });
    }

    fn load_shared(
        &mut self,
        sram: &mut Sram,
        at: u64,
        addr: u32,
        buf: &mut [u8],
        shared: Shared,
    ) -> Result<u64, Stop> {
        if let Some(brought) = self
            .brought
            .take_if(|b| b.addr == addr && b.len as usize == buf.len())
        {
            buf.copy_from_slice(&brought.bytes[..buf.len()]);
            self.remote_loads += 1;
            return Ok(self.load_cost(shared));
        }
        // Neighbours in the quad are brought to this clock first.
        if shared.pe / 4 == self.quad {
            self.observe(sram, at)?;
        }
        Err(Stop::Fetch {
            addr,
            len: buf.len() as u32,
        })
    }

    fn load_cost(&self, shared: Shared) -> u64 {
        let config = &self.env.config.shared;
        if shared.window {
            config.quad_wait.into()
        } else {
            2 * self.env.distances.direct(self.quad, shared.pe / 4) + u64::from(config.remote_load)
        }
    }

    /// The PE and address in it that a fetch of this PE means.
    pub(crate) fn fetch_source(&self, addr: u32, len: u32) -> Option<(usize, u32)> {
        self.env
            .shared(self.quad, addr, len as usize)?
            .ok()
            .map(|s| (s.pe, s.offset))
    }
}

impl Bus for Devices {
    fn load(&mut self, sram: &mut Sram, at: u64, addr: u32, buf: &mut [u8]) -> Result<u64, Stop> {
        // What firmware does most: it polls the controller, a word at a time.
        if let (Some(offset), Some(word)) = (self.comms_offset(addr), buf.as_mut_array::<4>())
            && addr & 3 == 0
        {
            *word = self.load_comms(sram, at, offset)?.to_le_bytes();
            return Ok(0);
        }
        match self.env.shared(self.quad, addr, buf.len()) {
            Some(Ok(shared)) => return self.load_shared(sram, at, addr, buf, shared),
            Some(Err(())) => return Err(Stop::Fault(FaultKind::UnmappedLoad, Some(addr))),
            None => {}
        }
        registers(addr, buf.len(), FaultKind::UnmappedLoad)?;
        // A multiple load reads one register after the other. All before the last are read without effect, so it can be tried again.
        for (word, addr) in buf.chunks_exact_mut(4).zip(words_from(addr)) {
            word.copy_from_slice(&self.load_register(sram, at, addr)?.to_le_bytes());
        }
        Ok(0)
    }

    fn store(&mut self, sram: &mut Sram, at: u64, addr: u32, buf: &[u8]) -> Result<u64, Stop> {
        match self.env.shared(self.quad, addr, buf.len()) {
            Some(Ok(shared)) => {
                let config = &self.env.config.shared;
                let cost = if shared.window {
                    config.quad_wait
                } else {
                    config.remote_store
                };
                for (chunk, offset) in buf.chunks(8).zip((shared.offset..).step_by(8)) {
                    let mut bytes = [0; 8];
                    bytes[..chunk.len()].copy_from_slice(chunk);
                    let write = Write {
                        offset,
                        len: chunk.len() as u8,
                        bytes,
                    };
                    self.post(
                        at,
                        SentKind::Write {
                            pe: shared.pe,
                            write,
                        },
                    );
                }
                self.remote_stores += 1;
                return Ok(cost.into());
            }
            Some(Err(())) => return Err(Stop::Fault(FaultKind::UnmappedStore, Some(addr))),
            None => {}
        }
        registers(addr, buf.len(), FaultKind::UnmappedStore)?;
        if buf.len() > 4 {
            self.observe(sram, at)?;
        }
        for (word, addr) in buf.as_chunks::<4>().0.iter().zip(words_from(addr)) {
            self.store_register(sram, at, addr, u32::from_le_bytes(*word))?;
        }
        Ok(0)
    }

    fn lines(&mut self, sram: &mut Sram, at: u64) -> Result<u64, Stop> {
        self.observe(sram, at)?;
        let mut lines = self.comms.lines(&self.env.config.comms);
        for (timer, &irq) in self.timers.iter_mut().zip(&self.env.config.timers.irqs) {
            timer.advance(at);
            if timer.line() {
                lines |= 1 << irq;
            }
        }
        Ok(lines)
    }

    fn limit(&self) -> u64 {
        self.limit
    }
}

fn apply_write(sram: &mut Sram, write: Write) -> Result<(), (FaultKind, u32)> {
    let len = usize::from(write.len);
    let to = sram.data_mut(write.offset, len);
    to.ok_or((FaultKind::BadArrival, write.offset))?
        .copy_from_slice(&write.bytes[..len]);
    Ok(())
}

/// Device registers are accessed by aligned words.
fn registers(addr: u32, len: usize, otherwise: FaultKind) -> Result<(), Stop> {
    // Only what can be a register at all: the rest is unmapped, whatever its size.
    let kind = if addr >> 29 == 7 {
        FaultKind::RegisterSize
    } else {
        otherwise
    };
    if addr & 3 == 0 && len.is_multiple_of(4) {
        Ok(())
    } else {
        Err(Stop::Fault(kind, Some(addr)))
    }
}

fn words_from(addr: u32) -> impl Iterator<Item = u32> {
    (0..).map(move |i: u32| addr.wrapping_add(4 * i))
}

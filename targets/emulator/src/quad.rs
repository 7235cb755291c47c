//! Four PEs, simulated one after the other by one host thread, exactly in step where it matters.
//!
//! The PE that is furthest behind runs next. It may run to the end of the quantum as long as it only computes; to observe anything it must be
//! no further than the least latency ahead of the others (see `devices`). So what happens inside a quad does not depend on the quantum.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::devices::{Arrival, Environment, Event, SentKind, Target};
use crate::fault::Fault;
use crate::pe::Pe;
use crate::router::{RouteCache, Router};

pub(crate) const PES: usize = 4;

/// What the router did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouterCounters {
    /// Packets that matched an entry.
    pub routed: u64,
    /// Packets dropped because none matched.
    pub missed: u64,
}

/// Four PEs.
#[derive(Debug)]
pub(crate) struct Quad {
    index: usize,
    env: Arc<Environment>,
    pub(crate) pes: [Pe; PES],
    /// Arrivals for PEs of other quads.
    pub(crate) outgoing: Vec<(usize, Event)>,
    pub(crate) fault: Option<Fault>,
    pub(crate) router_counters: RouterCounters,
    pub(crate) routes: RouteCache,
    /// Order of what each PE sent.
    sequence: [u64; PES],
    /// When something next happens in each PE, `u64::MAX` for never: kept, as it is asked for more often than it changes.
    times: [u64; PES],
}

impl Quad {
    pub(crate) fn new(env: &Arc<Environment>, index: usize) -> Self {
        Self {
            index,
            env: Arc::clone(env),
            pes: std::array::from_fn(|i| Pe::new(env, index * PES + i)),
            outgoing: Vec::new(),
            fault: None,
            router_counters: RouterCounters::default(),
            routes: RouteCache::default(),
            sequence: [0; PES],
            times: [u64::MAX; PES],
        }
    }

    /// When something next happens here, `u64::MAX` for never.
    pub(crate) fn next_time(&self) -> u64 {
        self.times.into_iter().fold(u64::MAX, u64::min)
    }

    /// When something next happens in each PE, `u64::MAX` for never.
    pub(crate) fn times(&self) -> [u64; PES] {
        self.times
    }

    /// A PE, to be changed from outside.
    pub(crate) fn change<T>(&mut self, i: usize, change: impl FnOnce(&mut Pe) -> T) -> T {
        let result = change(&mut self.pes[i]);
        self.look_at(i);
        result
    }

    /// Something is on its way to a PE.
    pub(crate) fn expect(&mut self, i: usize, event: Event) {
        self.pes[i].devices.inbox.push(Reverse(event));
        self.look_at(i);
    }

    fn look_at(&mut self, i: usize) {
        self.times[i] = self.pes[i].next_time().unwrap_or(u64::MAX);
    }

    /// Runs all PEs to `end`, or to where they wait for another quad's memory.
    pub(crate) fn run(&mut self, router: &Router, end: u64) {
        if let Err(fault) = self.run_to(router, end) {
            self.fault = Some(fault);
        }
    }

    fn run_to(&mut self, router: &Router, mut end: u64) -> Result<(), Fault> {
        // PEs that cannot go on before another has moved.
        let mut stuck = [false; PES];
        loop {
            let times = self.times;
            let (mut i, mut least) = (PES, end);
            for (j, &time) in times.iter().enumerate() {
                if time < least && !stuck[j] {
                    (i, least) = (j, time);
                }
            }
            if i == PES {
                return Ok(());
            }
            let others = (0..PES).map(|j| if j == i { u64::MAX } else { times[j] });
            let horizon = others
                .fold(u64::MAX, u64::min)
                .saturating_add(self.env.distances.least());
            let pe = &mut self.pes[i];
            let before = (pe.core.now, pe.core.instructions, times[i]);
            let result = pe.run(horizon, end);
            self.look_at(i);
            result?;
            let pe = &mut self.pes[i];
            let moved = before != (pe.core.now, pe.core.instructions, self.times[i]);
            // A PE that sends while it is alone gives up the privilege of a long quantum, for the whole quad.
            end = end.min(pe.devices.end);
            self.deliver(router, i);
            let served = self.serve(i)?;
            if moved || served {
                stuck = [false; PES];
            }
            stuck[i] = !moved && !served || self.pes[i].wants().is_some();
        }
    }

    /// Satisfies a load from a PE of this quad.
    fn serve(&mut self, i: usize) -> Result<bool, Fault> {
        let Some((source, offset, len)) = self.pes[i].wants() else {
            return Ok(false);
        };
        if source / PES != self.index {
            return Ok(false);
        }
        let at = self.pes[i].core.now;
        let bytes = self.change(source % PES, |pe| pe.lend(at, offset, len))?;
        self.change(i, |pe| pe.bring(bytes));
        Ok(true)
    }

    /// Distributes what a PE sent.
    fn deliver(&mut self, router: &Router, i: usize) {
        if self.pes[i].devices.outbox.is_empty() {
            return;
        }
        let mut outbox = std::mem::take(&mut self.pes[i].devices.outbox);
        for sent in outbox.drain(..) {
            match sent.what {
                SentKind::Write { pe, write } => {
                    let latency = self.env.distances.direct(self.index, pe / PES);
                    self.post(i, pe, sent.at, latency, Arrival::Write(write));
                }
                SentKind::Packet {
                    target: Target::Quad(quad, pes),
                    key,
                    payload,
                } => {
                    let latency = self.env.distances.direct(self.index, quad);
                    for pe in (0..PES).filter(|pe| pes >> pe & 1 != 0) {
                        self.post(
                            i,
                            quad * PES + pe,
                            sent.at,
                            latency,
                            Arrival::Packet { key, payload },
                        );
                    }
                }
                SentKind::Packet {
                    target: Target::Router,
                    key,
                    payload,
                } => {
                    let Some(route) = self.routes.find(router, key) else {
                        self.router_counters.missed += 1;
                        continue;
                    };
                    self.router_counters.routed += 1;
                    for pe in route.iter() {
                        let latency = self.env.distances.routed(self.index, pe / PES);
                        self.post(i, pe, sent.at, latency, Arrival::Packet { key, payload });
                    }
                }
            }
        }
        self.pes[i].devices.outbox = outbox;
    }

    fn post(&mut self, i: usize, pe: usize, at: u64, latency: u64, arrival: Arrival) {
        let sequence = self.sequence[i];
        self.sequence[i] += 1;
        let source = (self.index * PES + i) as u16;
        let mut event = Event {
            time: at + latency,
            source,
            sequence,
            arrival,
        };
        if pe / PES == self.index {
            self.expect(pe % PES, event);
        } else {
            event.time = event.time.max(self.env.boundary_after(at));
            self.outgoing.push((pe, event));
        }
    }
}

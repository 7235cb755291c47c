//! What a process keeps of its neighbours and of the bins of a segment. Programs that go backwards keep all spikes
//! on tapes ([`super::plan`]); their window is [`abi::WINDOW`], and the segment a whole sample.
//!
//! Let `W` be the window, and a channel's *slack* `min(d - 1, W)`: a consumer begins step `c` when the producer
//! has finished `c - slack` steps, a producer begins step `s` when the consumer has finished `s - W`.
//!
//! # Slots
//! While a consumer is at step `c`, it has dealt with packets of the producer's steps up to `c + W` at most,
//! and still needs those of bin `c - d`: `d + W + 1` slots go round, one a bin, for the channel of the largest
//! delay. A slot is free again when the next step looks for packets. Where a gradient asks for the values on the way
//! back, there is a slot for every bin.
//!
//! # Rings
//! When a process began step `c` it had dealt with all packets of the producer's steps below `c - slack`. From
//! then until it next looks, just after the marker of its step `c`, the producer can be busy with the steps up
//! to `c + 1 + W`: `W + slack + 2` in all. A consumer's markers are as many: it had finished `c - W` steps, and
//! can be busy with those up to `c + 1 + slack`.

use std::collections::BTreeSet;

use nirc_ir::event::{Body, Chan, HandlerKind, Op, Output, Proc, Program, Role, Row, Stmt};

use super::axes;
use super::error::CodegenError;
use super::memory::Plan;
use super::names;
use super::plan;
use super::steps;
use crate::abi::{self, tape};
use crate::mapping::Pacing;

/// Where the spikes of a slot start, behind the address of their end.
pub(super) const SPIKES: u32 = 4;

/// What has to be kept for a process.
#[derive(Clone, Copy)]
pub(super) struct Buffers<'a> {
    program: &'a Program,
    proc: Proc,
    pacing: Pacing,
}

impl<'a> Buffers<'a> {
    pub(super) fn new(program: &'a Program, proc: Proc, pacing: Pacing) -> Self {
        Self {
            program,
            proc,
            pacing,
        }
    }

    /// Whether there are several segments.
    pub(super) fn is_cut(&self) -> bool {
        !self.program.has_adjoint() && self.pacing.is_cut(self.program)
    }

    fn window(&self) -> usize {
        let window = match self.program.has_adjoint() {
            true => abi::WINDOW,
            false => self.pacing.window,
        };
        window as usize
    }

    /// Processes that send something here, ascending.
    pub(super) fn producers(&self) -> BTreeSet<Proc> {
        let channels = self.program.incoming(self.proc);
        channels.map(|(_, channel)| channel.from).collect()
    }

    /// Channels whose spikes or values are taken, ascending, with their delays.
    pub(super) fn taken(&self) -> impl Iterator<Item = (Chan, u32)> + 'a {
        let Self { program, proc, .. } = *self;
        let handled = move |chan| {
            let process = &program.processes[proc];
            process.handler(HandlerKind::Event(chan)).is_some()
        };
        let channels = program.incoming(proc);
        let channels = channels.map(|(chan, channel)| (chan, channel.delay));
        channels.filter(move |&(chan, delay)| handled(chan) && delay < program.ticks)
    }

    /// Bins of a producer that are kept at once; 0 if nothing of it is taken.
    pub(super) fn slots(&self, from: Proc) -> usize {
        if self.keeps_tapes(from) {
            return 0;
        }
        let ticks = self.program.ticks as usize;
        if self.asks_back(from) {
            return ticks;
        }
        let delays = self.taken();
        let delays = delays.filter(|(chan, _)| self.program.channels[*chan].from == from);
        delays
            .map(|(_, delay)| delay as usize + self.window() + 1)
            .max()
            .map_or(0, |slots| slots.min(ticks))
    }

    /// Whether what a process emits is kept on tapes, one a channel.
    fn keeps_tapes(&self, from: Proc) -> bool {
        self.program.has_adjoint() && self.spikes(from)
    }

    /// Whether gradients ask for the values of a process.
    fn asks_back(&self, from: Proc) -> bool {
        let process = &self.program.processes[self.proc];
        let mut channels = self.program.incoming(self.proc);
        channels.any(|(chan, channel)| {
            let gradient = process.handler(HandlerKind::Gradient(chan));
            let asks = gradient.is_some_and(|handler| names_payload(&handler.body));
            asks && channel.from == from && channel.delay < self.program.ticks
        })
    }

    /// Bytes of a producer's bin: where its spikes end and their lanes as halfwords, or its values.
    pub(super) fn slot(&self, from: Proc) -> u32 {
        let process = &self.program.processes[from];
        let bytes = match process.output {
            Output::Spikes => SPIKES as usize + (2 * process.lanes).next_multiple_of(4),
            Output::State(_) | Output::Given => 4 * process.lanes,
        };
        word(bytes)
    }

    /// Whether the process emits spikes.
    pub(super) fn spikes(&self, from: Proc) -> bool {
        self.program.processes[from].output == Output::Spikes
    }

    /// Steps that `neighbour` may lack when a step with the same number begins here; -1 if it has to be ahead.
    pub(super) fn slack(&self, neighbour: Proc) -> i64 {
        let window = i64::try_from(self.window()).unwrap_or(i64::MAX);
        let delays = self.program.incoming(self.proc);
        let delays = delays.filter(|(_, channel)| channel.from == neighbour);
        let slack = delays.map(|(_, channel)| i64::from(steps::delay(self.program, channel)) - 1);
        slack.min().map_or(window, |slack| slack.min(window))
    }

    /// Steps of a neighbour whose packets can wait at once.
    pub(super) fn steps(&self, neighbour: Proc) -> usize {
        let between = self.program.channels.values().filter(|channel| {
            let ends = (channel.from, channel.to);
            ends == (self.proc, neighbour) || ends == (neighbour, self.proc)
        });
        // One more than the slack.
        let slack = between.map(|channel| (channel.delay as usize).min(self.window() + 1));
        let steps = self.window() + 1 + slack.max().unwrap_or(0);
        steps.min(self.program.ticks as usize)
    }

    /// Bins before the segment's first that handlers still reach.
    fn lookback(&self) -> usize {
        if !self.is_cut() {
            return 0;
        }
        let process = &self.program.processes[self.proc];
        let reaching = self.taken().filter(|(chan, _)| {
            let handler = process.handler(HandlerKind::Event(*chan));
            handler.is_some_and(|h| names_row(&h.body))
        });
        reaching.map(|(_, delay)| delay as usize).max().unwrap_or(0)
    }

    /// Bins that have a row.
    pub(super) fn rows(&self) -> usize {
        self.pacing.segment as usize + self.lookback()
    }

    /// Bytes of a row of a raster.
    pub(super) fn raster_row(&self) -> u32 {
        word(self.program.processes[self.proc].lanes.div_ceil(32) * 4)
    }

    /// Whether the process counts rows apart from bins.
    pub(super) fn counts_rows(&self) -> bool {
        let process = &self.program.processes[self.proc];
        let mut bodies = process.handlers.iter().map(|handler| &handler.body);
        let reaches =
            process.role == Role::Source || process.tape.is_some() || bodies.any(names_row);
        reaches && self.is_cut()
    }

    /// The memory of the process.
    pub(super) fn plan(&self) -> Result<Plan, CodegenError> {
        let Self { program, proc, .. } = *self;
        plan::check_ranges(program, proc)?;
        let process = &program.processes[proc];
        let mut plan = Plan::default();
        plan::control(&mut plan);
        if self.is_cut() {
            plan.values(abi::LIMIT, vec![0], "steps that may begin");
            plan.values(abi::ORIGIN, vec![0], "bin of the first row");
        }
        if self.counts_rows() {
            plan.values(names::ROW, vec![0], "row of the current bin");
        }
        plan::progress(&mut plan, program, proc);
        self.plan_cursors(&mut plan);
        if process.tape.is_some() {
            let name = names::raster_row(process);
            plan.values(name, vec![0], "own spikes of the current bin");
        }
        plan::arrays(&mut plan, program, proc, self.rows());
        axes::plan(&mut plan, program, proc)?;
        self.plan_rows(&mut plan);
        self.plan_slots(&mut plan);
        self.plan_rings(&mut plan);
        plan.check()?;
        Ok(plan)
    }

    pub(super) fn plan_cursors(&self, plan: &mut Plan) {
        let process = &self.program.processes[self.proc];
        let kept = || self.producers().into_iter().filter(|&p| self.slots(p) > 0);
        for from in kept() {
            let producer = &self.program.processes[from];
            let slots = names::slots(process, producer);
            let next = names::slot_next(process, producer);
            let purpose = "where the next packet of this process goes";
            if self.spikes(from) {
                plan.pointer(next, (&slots, SPIKES), purpose);
                let open = names::slot_open(process, producer);
                plan.pointer(open, (&slots, 0), "the slot of the bin that is coming in");
            } else {
                plan.pointer(next, (&slots, 0), purpose);
            }
        }
        for (chan, _) in self.taken() {
            let from = self.program.channels[chan].from;
            if self.keeps_tapes(from) {
                continue;
            }
            let producer = &self.program.processes[from];
            let read = names::slot_read(process, chan);
            let slots = names::slots(process, producer);
            plan.pointer(read, (slots, 0), "the slot of the bin that is taken next");
        }
    }

    /// A source's rows of given values.
    pub(super) fn plan_given(&self, plan: &mut Plan) {
        let process = &self.program.processes[self.proc];
        if process.output == Output::Given {
            let bytes = (self.rows() as u64).saturating_mul(4 * process.lanes as u64);
            plan.bytes(tape::given(&process.name), bytes, "input values");
        }
    }

    fn plan_rows(&self, plan: &mut Plan) {
        let process = &self.program.processes[self.proc];
        let bytes = |row: u32| (self.rows() as u64).saturating_mul(row.into());
        if process.output == Output::Given {
            self.plan_given(plan);
        } else if process.role == Role::Source {
            let raster = tape::raster(&process.name);
            plan.bytes(raster, bytes(self.raster_row()), "input spikes");
        } else if process.tape.is_some() {
            let raster = tape::raster(&process.name);
            plan.bytes(raster, bytes(self.raster_row()), "own spikes");
        }
    }

    pub(super) fn plan_slots(&self, plan: &mut Plan) {
        let process = &self.program.processes[self.proc];
        for from in self.producers() {
            let slots = self.slots(from);
            if slots > 0 {
                let name = names::slots(process, &self.program.processes[from]);
                let bytes = (slots as u64).saturating_mul(self.slot(from).into());
                plan.bytes(name, bytes, "bins received and not yet taken");
            }
        }
    }

    fn plan_rings(&self, plan: &mut Plan) {
        let packets = |spikes: bool| {
            let producers = self.producers().into_iter();
            let producers = producers.filter(|&p| self.spikes(p) == spikes);
            let each = |p| {
                self.program.processes[p]
                    .lanes
                    .saturating_mul(self.steps(p))
            };
            producers.map(each).fold(0, usize::saturating_add)
        };
        let neighbours = plan::neighbours(self.program, self.proc).into_iter();
        let markers: usize = neighbours.map(|n| self.steps(n)).sum();
        let commands = 1;
        plan::rings(
            plan,
            packets(true).saturating_add(markers),
            packets(false).saturating_add(commands),
        );
    }
}

/// Whether a body asks which bin it is.
pub(super) fn names_bin(body: &Body) -> bool {
    let bin = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Op::Tick));
    names_row(body) || body.stmts.iter().any(bin)
}

/// Whether a body asks for what arrived.
pub(super) fn names_payload(body: &Body) -> bool {
    let payload = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Op::Payload));
    body.stmts.iter().any(payload)
}

/// Whether a body reaches an array by bin.
fn names_row(body: &Body) -> bool {
    body.stmts.iter().any(|stmt| {
        matches!(
            stmt,
            Stmt::Let(_, Op::LoadRow(_, Row::Tick))
                | Stmt::StoreRow(_, Row::Tick, _)
                | Stmt::Probe(..)
        )
    })
}

fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

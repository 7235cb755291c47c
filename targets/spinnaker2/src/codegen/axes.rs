//! The axes of a connection as tables and steps.
//!
//! Taps and their sums are words: the lane in the low half, the weight in the high one. Sums of such words are
//! the sums of both halves, as long as the sums of the lanes stay halves; and steps are added modulo 2^32, backwards
//! too. A weight that no body asks for counts as 0.
//!
//! Where all places of an axis have taps in the same steps, it is kept as the first tap and the number of
//! taps of each place, and where these follow a rule, as the rule alone. Any other axis is a list.

use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Body, Chan, Domain, Handler, HandlerKind, Op, Proc, Program, Row, Stmt};

use super::error::CodegenError;
use super::memory::Plan;
use super::names;

/// What a half of a word can count.
const HALF: u64 = 1 << 16;

/// From one tap to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) lane: i64,
    pub(super) weight: i64,
}

impl Step {
    fn between(a: Tap, b: Tap) -> Self {
        Self {
            lane: i64::from(b.lane) - i64::from(a.lane),
            weight: i64::from(b.weight) - i64::from(a.weight),
        }
    }

    /// This step when `times` others have been made already.
    pub(super) fn less(self, other: Self, times: usize) -> Self {
        let times = i64::try_from(times).unwrap_or(0);
        Self {
            lane: self.lane - other.lane * times,
            weight: self.weight - other.weight * times,
        }
    }

    /// As a word to add.
    pub(super) fn word(self) -> u32 {
        low(self.lane).wrapping_add(low(self.weight) << 16)
    }
}

/// Constant data of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Words(Vec<u32>),
    Halves(Vec<u16>),
}

/// Something a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// `at + place * step`.
    Even { at: u32, step: u32 },
    /// A word a place.
    Table(Table),
}

/// How many taps each place has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Count {
    Same(usize),
    /// A half a place.
    Table(Table),
}

/// The taps of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Taps {
    Run {
        first: First,
        count: Count,
        step: Step,
    },
    /// Halves that say where the taps of each place begin, and the taps as words.
    List { starts: Table, taps: Table },
}

/// An axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) places: usize,
    /// Most taps of a place.
    pub(super) most: usize,
    /// The different numbers of taps, descending, without 0.
    pub(super) counts: Vec<usize>,
    pub(super) taps: Taps,
}

/// The axes of the channel of a handler that runs synapse by synapse; none otherwise, nor where there are no
/// synapses.
pub(super) fn shapes(program: &Program, handler: &Handler) -> Vec<Shape> {
    let axes = channel(handler.kind).map(|chan| &program.channels[chan].connection);
    let (Domain::Synapses, Some(Connection::Taps(axes))) = (handler.domain, axes) else {
        return Vec::new();
    };
    if axes.iter().any(|axis| axis.most() == 0) {
        return Vec::new();
    }
    let innermost = axes.iter().rposition(|axis| axis.most() > 1);
    let shape = |(k, axis)| shape(axis, &handler.body, innermost == Some(k));
    axes.iter().enumerate().map(shape).collect()
}

/// The channel that a handler is for.
pub(super) fn channel(kind: HandlerKind) -> Option<Chan> {
    match kind {
        HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
            Some(chan)
        }
        _ => None,
    }
}

/// Whether a body asks for the weight of the synapse.
fn names_weights(body: &Body) -> bool {
    let loads = |stmt: &Stmt| matches!(stmt, Stmt::Let(_, Op::LoadRow(_, Row::Synapse)));
    stores_weights(body) || body.stmts.iter().any(loads)
}

/// Whether a body stores beside the weight of the synapse, which others may share.
pub(super) fn stores_weights(body: &Body) -> bool {
    let stores = |stmt: &Stmt| matches!(stmt, Stmt::StoreRow(_, Row::Synapse, _));
    body.stmts.iter().any(stores)
}

/// Whether it matters in which order synapses of different lanes are served, where they are so far apart.
fn is_ordered(body: &Body, step: Step) -> bool {
    let sends = |stmt: &Stmt| matches!(stmt, Stmt::Send(_));
    body.stmts.iter().any(sends) || (step.weight == 0 && stores_weights(body))
}

fn shape(axis: &Axis, body: &Body, innermost: bool) -> Shape {
    let weights = names_weights(body);
    let kept = |tap: &Tap| Tap {
        lane: tap.lane,
        weight: if weights { tap.weight } else { 0 },
    };
    let mut places: Vec<Vec<Tap>> = (0..axis.len())
        .map(|place| axis.taps(place).iter().map(kept).collect())
        .collect();
    let step = common_step(&places);
    let taps = match step {
        Some(mut step) => {
            if innermost && step.lane < 0 && !is_ordered(body, step) {
                places.iter_mut().for_each(|taps| taps.reverse());
                step = Step {
                    lane: -step.lane,
                    weight: -step.weight,
                };
            }
            Taps::Run {
                first: first(&places),
                count: count(&places),
                step,
            }
        }
        None => list(&places),
    };
    let mut counts: Vec<usize> = places.iter().map(Vec::len).filter(|n| *n > 0).collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    counts.dedup();
    Shape {
        places: places.len(),
        most: axis.most(),
        counts,
        taps,
    }
}

/// The step between all taps of all places; `None` if they differ.
fn common_step(places: &[Vec<Tap>]) -> Option<Step> {
    let pairs = places.iter().flat_map(|taps| taps.windows(2));
    let mut steps = pairs.map(|pair| Step::between(pair[0], pair[1]));
    let first = steps.next().unwrap_or_default();
    steps.all(|step| step == first).then_some(first)
}

fn first(places: &[Vec<Tap>]) -> First {
    let firsts = || {
        let places = places.iter().enumerate();
        places.filter_map(|(place, taps)| taps.first().map(|tap| (place, word(*tap))))
    };
    let mut known = firsts();
    let Some((p, a)) = known.next() else {
        return First::Even { at: 0, step: 0 };
    };
    let rule = known.next().map_or(Some((a, 0)), |(q, b)| {
        // Only neighbours tell the step.
        let step = b.wrapping_sub(a);
        (q == p + 1).then(|| (a.wrapping_sub(step.wrapping_mul(size(p))), step))
    });
    if let Some((at, step)) = rule {
        let even = |(place, tap)| at.wrapping_add(step.wrapping_mul(size(place))) == tap;
        if firsts().all(even) {
            return First::Even { at, step };
        }
    }
    let words = places
        .iter()
        .map(|taps| taps.first().map_or(0, |t| word(*t)));
    First::Table(Table::Words(words.collect()))
}

fn count(places: &[Vec<Tap>]) -> Count {
    let mut counts = places.iter().map(Vec::len);
    let same = counts.next().unwrap_or(0);
    if counts.all(|count| count == same) {
        return Count::Same(same);
    }
    let halves = places.iter().map(|taps| half(taps.len()));
    Count::Table(Table::Halves(halves.collect()))
}

fn list(places: &[Vec<Tap>]) -> Taps {
    let mut starts = vec![0];
    let mut taps = Vec::new();
    for place in places {
        taps.extend(place.iter().map(|tap| word(*tap)));
        starts.push(half(taps.len()));
    }
    Taps::List {
        starts: Table::Halves(starts),
        taps: Table::Words(taps),
    }
}

/// The handlers of a channel that run synapse by synapse.
fn by_synapse(program: &Program, chan: Chan) -> impl Iterator<Item = &Handler> {
    let process = &program.processes[program.channels[chan].to];
    let kinds = [
        HandlerKind::Event(chan),
        HandlerKind::Message(chan),
        HandlerKind::Gradient(chan),
    ];
    let handlers = kinds.into_iter().filter_map(|kind| process.handler(kind));
    handlers.filter(|handler| handler.domain == Domain::Synapses)
}

/// The tables of a process, each under the name of the first axis that has it.
pub(super) struct Tables(Vec<(String, Table)>);

impl Tables {
    pub(super) fn new(program: &Program, proc: Proc) -> Self {
        let mut tables = Self(Vec::new());
        let process = &program.processes[proc];
        for (chan, _) in program.incoming(proc) {
            for handler in by_synapse(program, chan) {
                for (k, shape) in shapes(program, handler).iter().enumerate() {
                    for (part, table) in parts(shape) {
                        tables.add(names::axis(process, handler.kind, k, part), table);
                    }
                }
            }
        }
        tables
    }

    fn add(&mut self, name: String, table: &Table) {
        if self.name(table).is_none() {
            self.0.push((name, table.clone()));
        }
    }

    /// The symbol of a table.
    pub(super) fn name(&self, table: &Table) -> Option<&str> {
        let found = self.0.iter().find(|(_, other)| other == table);
        found.map(|(name, _)| name.as_str())
    }
}

fn parts(shape: &Shape) -> Vec<(&'static str, &Table)> {
    let mut parts = Vec::new();
    match &shape.taps {
        Taps::Run { first, count, .. } => {
            if let First::Table(table) = first {
                parts.push(("first", table));
            }
            if let Count::Table(table) = count {
                parts.push(("count", table));
            }
        }
        Taps::List { starts, taps } => parts.extend([("start", starts), ("taps", taps)]),
    }
    parts
}

/// Adds what the handlers of a process need that run synapse by synapse.
pub(super) fn plan(plan: &mut Plan, program: &Program, proc: Proc) -> Result<(), CodegenError> {
    check(program, proc)?;
    for (name, table) in Tables::new(program, proc).0 {
        let words = match table {
            Table::Words(words) => words,
            Table::Halves(halves) => halves
                .chunks(2)
                .map(|pair| {
                    let high = pair.get(1).copied().unwrap_or(0);
                    u32::from(pair[0]) | u32::from(high) << 16
                })
                .collect(),
        };
        plan.values(name, words, "taps of an axis");
    }
    for (chan, _) in program.incoming(proc) {
        let loops = by_synapse(program, chan).map(|handler| {
            let shapes = shapes(program, handler);
            shapes.iter().filter(|s| s.most > 1).count()
        });
        let loops = loops.max().unwrap_or(0);
        if loops > FEW {
            let name = names::loops(&program.processes[proc], chan);
            plan.words(
                name,
                1 + loops * CELLS,
                "where the outer loops over synapses are",
            );
        }
    }
    Ok(())
}

/// Loops whose variables always have registers.
const FEW: usize = 1;
/// Most variables of a loop.
const CELLS: usize = 4;

/// Whether halves can count what there is.
fn check(program: &Program, proc: Proc) -> Result<(), CodegenError> {
    for (chan, channel) in program.incoming(proc) {
        let Connection::Taps(axes) = &channel.connection else {
            continue;
        };
        let mut handlers = by_synapse(program, chan).peekable();
        if handlers.peek().is_none() {
            continue;
        }
        let largest = channel.connection.largest().map_or(0, |(_, weight)| weight);
        let weights = if handlers.any(|handler| names_weights(&handler.body)) {
            largest
        } else {
            0
        };
        let taps = axes.iter().map(|axis| axis.all().len() as u64).max();
        for (what, found) in [("weights", weights), ("taps on an axis", taps.unwrap_or(0))] {
            if found >= HALF {
                let process = &program.processes[proc].name;
                return Err(CodegenError::Range {
                    what: format!("{what} of channel {} into {process}", chan.index()),
                    limit: HALF - 1,
                    found,
                });
            }
        }
    }
    Ok(())
}

fn word(tap: Tap) -> u32 {
    tap.lane.wrapping_add(tap.weight << 16)
}

/// The low word of a number, for sums modulo 2^32.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "modulo 2^32"
)]
pub(super) fn low(number: i64) -> u32 {
    number as u32
}

fn size(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// [`check`] has seen that it fits.
fn half(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

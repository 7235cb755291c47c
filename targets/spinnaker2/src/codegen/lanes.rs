//! Machine code for the body of a handler.
//!
//! # Calls
//! A handler is a function: the source, the entry of the tape or the address of the replica's array in r0, the
//! address of the value that an event brought, or a gradient is for, in r1, what it sends in s0. It keeps r8 to
//! r11 and the stack pointer; everything else may change. r12 is scratch throughout.
//!
//! # Lanes
//! A body over lanes runs in blocks, as many lanes at once as the float registers can hold; a shorter block
//! does the rest. Each place has a pointer that moves on at the last access of the block. Within a block
//! every operation runs over all lanes before the next one starts, so results are never waited for.

mod synapses;

use nirc_ir::event::{Domain, Handler, HandlerKind, Row, Unary};

use super::axes;
use super::context::Context;
use super::error::CodegenError;
use super::graph::{Folded, Graph, Id, Node, Place, Slot};
use super::names;
use super::operations::{arithmetic, condition, copy, immediate, select, to_float};
use super::registers::Registers;
use super::schedule::{Schedule, Step};
use crate::thumb::Reg::{self, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12};
use crate::thumb::{Addr, Assembler, Cond, Inst, Label, LoadOp, SList, SReg, Shift, Src};

/// Most lanes in a block: beyond it, code grows and little is won.
const LARGEST_BLOCK: usize = 16;
/// Reach of a float load or store.
const REACH: u32 = 1020;

/// Emits a handler as the function `symbol`.
pub(super) fn emit(
    asm: &mut Assembler,
    context: &Context<'_>,
    handler: &Handler,
    symbol: &str,
    label: Label,
) -> Result<(), CodegenError> {
    if let (Some(chan), Domain::Synapses) = (axes::channel(handler.kind), handler.domain) {
        return synapses::emit(asm, context, (handler, chan), symbol, label);
    }
    let graph = Graph::new(context.program, context.proc, handler);
    let schedule = Schedule::new(&graph);
    let name = names::handler(handler.kind);
    let too_few = |kind, available| CodegenError::Registers {
        process: context.process().name.clone(),
        handler: name.clone(),
        kind,
        available,
    };
    let free = free_floats(&graph, &schedule);
    let lanes = match handler.domain {
        Domain::Lanes => context.process().lanes,
        Domain::Lane | Domain::Scalar | Domain::Synapses => 1,
    };
    let registers = choose_block(&graph, &schedule, free, lanes)
        .ok_or_else(|| too_few("float", free.count_ones() as usize))?;
    let core = Core::new(
        context,
        handler.kind,
        &graph,
        &schedule,
        lanes,
        registers.block,
    )
    .ok_or_else(|| too_few("core", POOL.len()))?;
    asm.place_pool();
    asm.annotate(format!("{}: {name}", context.process().name));
    asm.function(symbol, label);
    let mut emitter = Emitter {
        asm,
        context,
        kind: handler.kind,
        last_access: last_accesses(&graph, &schedule),
        graph: &graph,
        schedule: &schedule,
        registers,
        core,
        scratch_base: None,
        rare: Vec::new(),
    };
    emitter.function(lanes);
    Ok(())
}

/// Float registers that values may take.
fn free_floats(graph: &Graph, schedule: &Schedule) -> u32 {
    let mut free = u32::MAX;
    free &= !schedule.clobbers(graph);
    for step in &schedule.body {
        if let Step::Spike { fields, .. } = step {
            let count = u32::try_from(fields.len()).unwrap_or(32).min(32);
            free &= u32::MAX.checked_shl(count).unwrap_or(0);
        }
    }
    free
}

/// The largest blocks that fit; of those that need as few blocks, the smallest.
fn choose_block(graph: &Graph, schedule: &Schedule, free: u32, lanes: usize) -> Option<Registers> {
    let most = lanes.clamp(1, LARGEST_BLOCK);
    let fits = |block| Registers::allocate(graph, schedule, block, free);
    let largest = (1..=most).rev().find_map(fits)?;
    let blocks = lanes.div_ceil(largest.block).max(1);
    fits(lanes.div_ceil(blocks).max(1)).or(Some(largest))
}

/// For each place the last step of the body that touches it.
fn last_accesses(graph: &Graph, schedule: &Schedule) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.slot_count()];
    for (at, step) in schedule.body.iter().enumerate() {
        match step {
            Step::Eval(id) => {
                if let Node::Load(slot) = graph.node(*id) {
                    last[slot.index()] = Some(at);
                }
            }
            Step::Store(slot, _) => last[slot.index()] = Some(at),
            _ => {}
        }
    }
    last
}

/// How a place is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Access {
    /// Not at all, or as a scalar by its address.
    None,
    /// Through a pointer that moves from block to block.
    Running(Reg),
    /// At a distance from such a pointer, for want of registers.
    Beside(Reg, i32),
    /// At a distance from a pointer that stays.
    Fixed(Reg, i32),
    /// Through r12, each time anew, for want of registers.
    Anew(Origin, u32),
    /// At a distance from a pointer to the first synapse of a block, each one so many elements on.
    Stepped { reg: Reg, distance: i32, step: i32 },
}

/// How an address is made.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Origin {
    /// A constant.
    Absolute,
    /// A constant and the lane.
    Lane,
    /// A constant and the entry of the tape.
    Entry,
    /// Where a word of memory points.
    Cursor,
    /// A constant and so many bytes a source.
    Source(u32),
    /// A constant, so many bytes a bin, and the lane if there is one.
    Tick(u32),
    /// What the caller gave.
    Given,
    /// Where the value is that the event brought.
    Payload,
}

/// A pointer to set up.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    reg: Reg,
    origin: Origin,
    base: u32,
}

/// Which core register does what.
#[derive(Clone, Debug)]
struct Core {
    access: Vec<Access>,
    pointers: Vec<Pointer>,
    /// Counts lanes down.
    counter: Option<Reg>,
    /// A running pointer that no access moves, because others stand beside it.
    shared: Option<Reg>,
    /// Where the lane and the entry of an own spike are.
    arguments: [Reg; 2],
    /// Whether they were moved there from r0 and r1, which subroutines change.
    moved: bool,
    /// To be kept for the caller.
    saved: Vec<Reg>,
}

/// Registers for pointers and counter; the first two may hold arguments and are not among them. Where
/// subroutines are called, only the last eight.
const POOL: [Reg; 10] = [R2, R3, R4, R5, R6, R7, R8, R9, R10, R11];
const KEPT: [Reg; 4] = [R8, R9, R10, R11];

impl Core {
    fn new(
        context: &Context<'_>,
        kind: HandlerKind,
        graph: &Graph,
        schedule: &Schedule,
        lanes: usize,
        block: usize,
    ) -> Option<Self> {
        let leaf = !schedule.calls(graph) && !schedule.spikes();
        let pool: &[Reg] = if leaf { &POOL } else { &POOL[2..] };
        let mut core = Self {
            access: vec![Access::None; graph.slot_count()],
            pointers: Vec::new(),
            counter: None,
            shared: None,
            arguments: [R0, R1],
            moved: false,
            saved: Vec::new(),
        };
        let mut pool = pool.iter().copied();
        if lanes / block > 1 {
            core.counter = Some(pool.next()?);
        }
        let places: Vec<(Slot, Origin, u32)> = graph
            .slots()
            .filter_map(|slot| origin(context, kind, graph, slot).map(|(o, b)| (slot, o, b)))
            .collect();
        if graph.domain == Domain::Lanes {
            core.running(&places, &mut pool)?;
        } else {
            let (mut kept, mut left) = (core.clone(), pool.clone());
            core = match core.fixed(places.clone(), &mut pool, leaf) {
                Some(()) => core,
                None => {
                    kept.arguments = [left.next()?, left.next()?];
                    kept.moved = true;
                    kept.fixed(places, &mut left, true)?;
                    kept
                }
            };
        }
        let moved = core.arguments.into_iter().filter(|_| core.moved);
        let used = core.pointers.iter().map(|p| p.reg);
        let used = used.chain(core.counter).chain(moved);
        core.saved = used.filter(|reg| KEPT.contains(reg)).collect();
        core.saved.sort_unstable();
        if !leaf {
            core.saved.push(Reg::Lr);
        }
        Some(core)
    }

    /// A pointer a place; where registers run out, places at fixed addresses share the last one.
    fn running(
        &mut self,
        places: &[(Slot, Origin, u32)],
        pool: &mut impl ExactSizeIterator<Item = Reg>,
    ) -> Option<()> {
        let fixed = |origin: Origin| origin == Origin::Absolute;
        let moving = places.iter().filter(|(_, origin, _)| !fixed(*origin));
        let still = places.iter().filter(|(_, origin, _)| fixed(*origin));
        let ordered: Vec<_> = moving.chain(still).copied().collect();
        let mut left = ordered.len();
        let mut shared: Option<Pointer> = None;
        for (slot, origin, base) in ordered {
            if let Some(pointer) = shared {
                let distance = i64::from(base) - i64::from(pointer.base);
                let distance = i32::try_from(distance).ok()?;
                self.access[slot.index()] = Access::Beside(pointer.reg, distance);
                continue;
            }
            let last = pool.len() == 1 && left > 1;
            let reg = pool.next()?;
            let pointer = Pointer { reg, origin, base };
            self.pointers.push(pointer);
            self.access[slot.index()] = Access::Running(reg);
            if last {
                if !fixed(origin) {
                    return None;
                }
                self.access[slot.index()] = Access::Beside(reg, 0);
                self.shared = Some(reg);
                shared = Some(pointer);
            }
            left -= 1;
        }
        Some(())
    }

    /// A pointer for all places near each other; where registers run out and lane and entry `stay` where they are,
    /// places are found with these each time.
    fn fixed(
        &mut self,
        mut places: Vec<(Slot, Origin, u32)>,
        pool: &mut impl ExactSizeIterator<Item = Reg>,
        stay: bool,
    ) -> Option<()> {
        let anew = |origin| stay && matches!(origin, Origin::Lane | Origin::Entry);
        if places.len() > pool.len() {
            places.sort_by_key(|(_, origin, _)| anew(*origin));
        }
        for (slot, origin, base) in places {
            let near = |p: &&Pointer| p.origin == origin && p.base.abs_diff(base) <= REACH;
            let pointer = match self.pointers.iter().find(near) {
                Some(pointer) => *pointer,
                None => {
                    let reg = pool.next();
                    if reg.is_none() && anew(origin) {
                        self.access[slot.index()] = Access::Anew(origin, base);
                        continue;
                    }
                    let reg = reg?;
                    let pointer = Pointer { reg, origin, base };
                    self.pointers.push(pointer);
                    pointer
                }
            };
            let distance = i64::from(base) - i64::from(pointer.base);
            let distance = i32::try_from(distance).ok()?;
            self.access[slot.index()] = Access::Fixed(pointer.reg, distance);
        }
        Some(())
    }
}

/// Where a place starts; `None` for a scalar that is read once before the lanes.
fn origin(
    context: &Context<'_>,
    kind: HandlerKind,
    graph: &Graph,
    slot: Slot,
) -> Option<(Origin, u32)> {
    let process = context.process();
    let row = u32::try_from(process.lanes * 4).unwrap_or(u32::MAX);
    let one_lane = graph.domain == Domain::Lane;
    let element = |base| {
        let origin = if one_lane {
            Origin::Lane
        } else {
            Origin::Absolute
        };
        Some((origin, base))
    };
    match graph.place(slot) {
        Place::Element(array) if process.arrays[array].kind.is_scalar() => {
            let base = context.array(array);
            (!graph.has_lanes()).then_some((Origin::Absolute, base))
        }
        Place::Element(array) => element(context.array(array)),
        Place::Coef(coef) => element(context.coef(coef)),
        Place::Row(array, Row::Source) => {
            // The one lane that an event names is its source.
            let stride = if one_lane { row.saturating_add(4) } else { row };
            Some((Origin::Source(stride), context.array(array)))
        }
        Place::Row(array, Row::Synapse) => element(context.array(array)),
        Place::Row(array, Row::Tick) => Some((Origin::Tick(row), context.array(array))),
        Place::Field(field) => Some((Origin::Entry, context.field(field))),
        Place::Error(chan) if kind == HandlerKind::Value => {
            Some((Origin::Cursor, context.value_errors(chan)))
        }
        Place::Error(chan) => Some((Origin::Entry, context.error(chan))),
        Place::Remote => {
            debug_assert_eq!(
                kind,
                HandlerKind::Gather,
                "only a gathering has a remote array"
            );
            Some((Origin::Given, 0))
        }
        Place::Payload => (!graph.has_lanes()).then_some((Origin::Payload, 0)),
        Place::Time => (!graph.has_lanes()).then_some((Origin::Absolute, context.time())),
        Place::Clock(word) => {
            (!graph.has_lanes()).then_some((Origin::Absolute, context.clock(word)))
        }
        // Only `Cross` has an interval.
        Place::Until | Place::ClockUntil(_) => None,
    }
}

/// Which lanes a block is about.
#[derive(Clone, Copy, Debug)]
enum Lanes {
    /// From this lane on.
    From(usize),
    /// From `total` less the counter on.
    Counted { counter: Reg, total: usize },
}

/// A block of lanes.
#[derive(Clone, Copy, Debug)]
struct Block {
    lanes: Lanes,
    count: usize,
    /// Whether another one follows.
    more: bool,
}

/// What happens where a lane spikes.
struct Rare {
    from: Label,
    back: Label,
    block: Block,
    lane: usize,
    fields: Vec<Id>,
    selects: Vec<Id>,
}

struct Emitter<'a, 'p> {
    asm: &'a mut Assembler,
    context: &'a Context<'p>,
    kind: HandlerKind,
    graph: &'a Graph,
    schedule: &'a Schedule,
    registers: Registers,
    core: Core,
    last_access: Vec<Option<usize>>,
    /// The address in r12, where it is known.
    scratch_base: Option<u32>,
    rare: Vec<Rare>,
}

impl Emitter<'_, '_> {
    fn function(&mut self, lanes: usize) {
        if !self.core.saved.is_empty() {
            self.asm.emit(Inst::push(&self.core.saved));
        }
        self.arguments();
        self.pointers();
        for step in &self.schedule.before {
            if let Step::Eval(id) = step {
                self.eval_once(*id);
            }
        }
        self.start_folds();
        self.blocks(lanes);
        self.finish_folds();
        self.ret();
        for rare in std::mem::take(&mut self.rare) {
            self.spike(&rare);
        }
    }

    /// An own spike's lane goes to r0 and its entry to r1.
    fn arguments(&mut self) {
        if self.kind == HandlerKind::Spike {
            self.asm.emit(Inst::mov(R1, R0));
            self.asm.mov_const(R12, self.context.spike_places());
            self.asm.emit(Inst::Load {
                op: LoadOp::Ldrh,
                rt: R0,
                addr: Addr::Index(R12, R1, 2),
            });
        }
    }

    fn pointers(&mut self) {
        if self.core.moved {
            for (to, from) in self.core.arguments.into_iter().zip([R0, R1]) {
                self.asm.emit(Inst::mov(to, from));
            }
        }
        for pointer in std::mem::take(&mut self.core.pointers) {
            self.pointer(pointer);
        }
    }

    fn pointer(&mut self, Pointer { reg, origin, base }: Pointer) {
        let words = |index| Src::Reg(index, Shift::Lsl(2));
        let [lane, entry] = self.core.arguments;
        match origin {
            Origin::Given => self.asm.emit(Inst::mov(reg, R0)),
            Origin::Payload => self.asm.emit(Inst::mov(reg, R1)),
            Origin::Absolute => self.asm.mov_const(reg, base),
            Origin::Lane => {
                self.asm.mov_const(reg, base);
                self.asm.emit(Inst::add(reg, reg, words(lane)));
            }
            Origin::Entry => {
                self.asm.mov_const(reg, base);
                self.asm.emit(Inst::add(reg, reg, words(entry)));
            }
            Origin::Cursor => {
                self.asm.mov_const(reg, base);
                self.asm.emit(Inst::ldr(reg, Addr::at(reg)));
            }
            Origin::Source(stride) => {
                self.asm.mov_const(reg, base);
                self.asm.mov_const(R12, stride);
                self.asm.emit(Inst::mla(reg, R0, R12, reg));
            }
            Origin::Tick(stride) => {
                self.asm.mov_const(R12, self.context.row());
                self.asm.emit(Inst::ldr(R12, Addr::at(R12)));
                self.asm.mov_const(reg, stride);
                self.asm.emit(Inst::mul(R12, R12, reg));
                self.asm.mov_const(reg, base);
                self.asm.emit(Inst::add(reg, reg, R12));
                if self.graph.domain == Domain::Lane {
                    self.asm.emit(Inst::add(reg, reg, words(lane)));
                }
            }
        }
        self.scratch_base = None;
    }

    fn blocks(&mut self, lanes: usize) {
        let block = self.registers.block;
        let (full, rest) = (lanes / block, lanes % block);
        if let Some(counter) = self.core.counter {
            let total = full * block;
            self.asm.mov_const(counter, word(total));
            if 4 * block * self.schedule.body.len() > 600 {
                // Constants would fall out of reach in the middle of the loop.
                self.asm.place_pool();
            }
            let again = self.asm.here();
            self.block(Block {
                lanes: Lanes::Counted { counter, total },
                count: block,
                more: true,
            });
            self.asm.emit(Inst::subs(counter, counter, word(block)));
            self.asm.b_if(Cond::Ne, again);
        } else if full == 1 {
            self.block(Block {
                lanes: Lanes::From(0),
                count: block,
                more: rest > 0,
            });
        }
        if rest > 0 {
            self.block(Block {
                lanes: Lanes::From(full * block),
                count: rest,
                more: false,
            });
        }
    }

    fn block(&mut self, block: Block) {
        let schedule = self.schedule;
        self.scratch_base = None;
        for (at, step) in schedule.body.iter().enumerate() {
            match step {
                Step::Eval(id) => self.eval(block, at, *id),
                Step::Store(slot, id) => self.store(block, at, *slot, *id),
                Step::Fold(index) => self.fold(block, *index),
                Step::Send(id) => {
                    let value = self.registers.of(self.graph, *id, 0);
                    copy(self.asm, SReg::S0, value);
                }
                Step::Spike {
                    cond,
                    fields,
                    selects,
                } => self.spikes(block, *cond, fields, selects),
            }
        }
        if let Some(shared) = self.core.shared
            && block.more
        {
            let bytes = word(4 * block.count);
            self.asm.emit(Inst::add(shared, shared, bytes));
        }
    }

    fn start_folds(&mut self) {
        for (index, fold) in self.schedule.folds.iter().enumerate() {
            let accumulator = self.registers.accumulator(index);
            immediate(self.asm, accumulator, fold.fold.identity());
        }
    }

    fn finish_folds(&mut self) {
        self.scratch_base = None;
        let schedule = self.schedule;
        for (index, fold) in schedule.folds.iter().enumerate() {
            if let Some(slot) = fold.target {
                let offset = self.scalar(slot);
                let accumulator = self.registers.accumulator(index);
                self.asm.emit(Inst::vstr(accumulator, R12, offset));
            }
        }
        // Last, because s0 may hold something until here.
        if let Some(sent) = schedule.folds.iter().position(|f| f.target.is_none()) {
            let accumulator = self.registers.accumulator(sent);
            copy(self.asm, SReg::S0, accumulator);
        }
    }

    fn ret(&mut self) {
        let mut saved = self.core.saved.clone();
        if saved.pop_if(|reg| *reg == Reg::Lr).is_some() {
            saved.push(Reg::Pc);
            self.asm.emit(Inst::pop(&saved));
            return;
        }
        if !saved.is_empty() {
            self.asm.emit(Inst::pop(&saved));
        }
        self.asm.emit(Inst::ret());
    }

    /// Lets r12 reach a scalar; returns the distance.
    fn scalar(&mut self, slot: Slot) -> i32 {
        let addr = match self.graph.place(slot) {
            Place::Element(array) => self.context.array(array),
            Place::Time => self.context.time(),
            Place::Clock(word) => self.context.clock(word),
            place => unreachable!("{place:?} is no scalar"),
        };
        match self.scratch_base {
            Some(base) if base.abs_diff(addr) <= REACH => addr.wrapping_sub(base).cast_signed(),
            _ => {
                self.asm.mov_const(R12, addr);
                self.scratch_base = Some(addr);
                0
            }
        }
    }

    /// A node that is the same on every lane.
    fn eval_once(&mut self, id: Id) {
        if let Node::Load(slot) = self.graph.node(id) {
            let to = self.registers.of(self.graph, id, 0);
            if self.graph.place(slot) == Place::Payload {
                self.asm.emit(Inst::vldr(to, R1, 0));
                return;
            }
            let offset = self.scalar(slot);
            self.asm.emit(Inst::vldr(to, R12, offset));
        } else {
            self.compute(id, 0, None);
        }
    }

    fn eval(&mut self, block: Block, at: usize, id: Id) {
        if let Node::Load(slot) = self.graph.node(id) {
            let first = self.registers.of(self.graph, id, 0);
            self.transfer(block, at, slot, first, Inst::vldr, Inst::vldmia);
            return;
        }
        for lane in 0..block.count {
            self.compute(id, lane, Some(block));
        }
    }

    /// Moves a run of registers to or from a place.
    fn transfer(
        &mut self,
        block: Block,
        at: usize,
        slot: Slot,
        first: SReg,
        one: fn(SReg, Reg, i32) -> Inst,
        many: fn(Reg, bool, SList) -> Inst,
    ) {
        let run = run(first, block.count);
        match self.core.access[slot.index()] {
            Access::Fixed(reg, offset) => self.asm.emit(one(first, reg, offset)),
            Access::Anew(origin, base) => {
                let reg = R12;
                self.pointer(Pointer { reg, origin, base });
                self.scratch_base = None;
                self.asm.emit(one(first, reg, 0));
            }
            Access::Running(reg) => {
                let moves = block.more && self.last_access[slot.index()] == Some(at);
                self.asm.emit(many(reg, moves, run));
            }
            Access::Beside(reg, distance) => {
                let reg = self.beside(reg, distance);
                self.asm.emit(many(reg, false, run));
            }
            Access::Stepped {
                reg,
                distance,
                step: 1,
            } if block.count > 1 => {
                let reg = self.beside(reg, distance);
                self.asm.emit(many(reg, false, run));
            }
            Access::Stepped { .. } => {
                let reaches = self.reaches(slot, block.count);
                for (lane, (reg, offset)) in reaches.into_iter().enumerate() {
                    let register = SReg::ALL[usize::from(first.index()) + lane];
                    self.asm.emit(one(register, reg, offset));
                }
            }
            Access::None => unreachable!("a place of the lanes has a pointer"),
        }
    }

    /// Where each synapse of a block finds its element.
    fn reaches(&mut self, slot: Slot, count: usize) -> Vec<(Reg, i32)> {
        let Access::Stepped {
            reg,
            distance,
            step,
        } = self.core.access[slot.index()]
        else {
            unreachable!("a place of the synapses is reached in steps");
        };
        let offset = |lane: usize| {
            let lane = i32::try_from(lane).unwrap_or(0);
            step.saturating_mul(4).saturating_mul(lane)
        };
        let last = offset(count - 1);
        let near = |from: i32| from.unsigned_abs() <= REACH;
        let (reg, distance) = if near(distance) && near(distance.saturating_add(last)) {
            (reg, distance)
        } else {
            (self.beside(reg, distance), 0)
        };
        (0..count)
            .map(|lane| (reg, distance + offset(lane)))
            .collect()
    }

    /// The register that points `distance` beyond a pointer.
    fn beside(&mut self, reg: Reg, distance: i32) -> Reg {
        if distance == 0 {
            return reg;
        }
        let near = if distance > 0 {
            Inst::add(R12, reg, distance.unsigned_abs())
        } else {
            Inst::sub(R12, reg, distance.unsigned_abs())
        };
        if near.encode().is_ok() {
            self.asm.emit(near);
        } else {
            self.asm.mov_const(R12, distance.cast_unsigned());
            self.asm.emit(Inst::add(R12, R12, reg));
        }
        R12
    }

    fn store(&mut self, block: Block, at: usize, slot: Slot, id: Id) {
        let first = self.registers.of(self.graph, id, 0);
        if !self.graph.is_uniform(id) || block.count == 1 {
            self.transfer(block, at, slot, first, Inst::vstr, Inst::vstmia);
            return;
        }
        let (reg, moves) = match self.core.access[slot.index()] {
            Access::Running(reg) => {
                let moves = block.more && self.last_access[slot.index()] == Some(at);
                (reg, moves)
            }
            Access::Beside(reg, distance) => (self.beside(reg, distance), false),
            Access::Stepped { .. } => {
                for (reg, offset) in self.reaches(slot, block.count) {
                    self.asm.emit(Inst::vstr(first, reg, offset));
                }
                return;
            }
            Access::Fixed(..) | Access::Anew(..) | Access::None => {
                unreachable!("a place of the lanes has a pointer")
            }
        };
        let constant = match self.graph.node(id) {
            Node::Const(bits) if reg != R12 => Some(bits),
            _ => None,
        };
        if let Some(bits) = constant {
            self.asm.mov_const(R12, bits);
        }
        for lane in 0..block.count {
            let offset = i32::try_from(4 * lane).unwrap_or(0);
            self.asm.emit(match constant {
                // Takes a cycle less than a float's store.
                Some(_) => Inst::str(R12, Addr::Offset(reg, offset)),
                None => Inst::vstr(first, reg, offset),
            });
        }
        if moves {
            self.asm.emit(Inst::add(reg, reg, word(4 * block.count)));
        }
    }

    fn fold(&mut self, block: Block, index: usize) {
        let accumulator = self.registers.accumulator(index);
        for lane in 0..block.count {
            let of = |id| self.registers.of(self.graph, id, lane);
            match self.schedule.folds[index].fold {
                Folded::Add(x) => self.asm.emit(Inst::vadd(accumulator, accumulator, of(x))),
                Folded::Fma(x, y) => self.asm.emit(Inst::vfma(accumulator, of(x), of(y))),
                Folded::Max(x) => {
                    self.asm
                        .emit_all([Inst::vcmp(of(x), accumulator), Inst::FFlags]);
                    self.asm.emit_if(Cond::Gt, Inst::vmov(accumulator, of(x)));
                }
            }
        }
    }

    /// A node on one lane of the block.
    fn compute(&mut self, id: Id, lane: usize, block: Option<Block>) {
        let to = self.registers.of(self.graph, id, lane);
        match self.graph.node(id) {
            Node::Const(bits) => immediate(self.asm, to, f32::from_bits(bits)),
            Node::Tick => {
                self.asm.mov_const(R12, self.context.bin());
                self.scratch_base = None;
                self.asm.emit(Inst::vldr(to, R12, 0));
                self.asm.emit(to_float(to));
            }
            Node::Lane => {
                let number = match (self.graph.domain, block) {
                    (Domain::Lanes, Some(block)) => {
                        self.lane_number(R12, block, lane);
                        R12
                    }
                    _ => self.core.arguments[0],
                };
                self.scratch_base = None;
                self.asm.emit(Inst::FMoveFromCore { sn: to, rt: number });
                self.asm.emit(to_float(to));
            }
            Node::Select(cond, a, b) => self.select(to, cond, a, b, lane),
            Node::Unary(op @ (Unary::Exp | Unary::Ln), a) => {
                let argument = self.registers.of(self.graph, a, lane);
                copy(self.asm, SReg::S0, argument);
                let routine = self.context.labels.math(op);
                self.asm.bl(routine);
                self.scratch_base = None;
                copy(self.asm, to, SReg::S0);
            }
            Node::Root(curve, operands, parameter) => {
                let arguments = operands.into_iter().chain(parameter);
                for (register, operand) in SReg::ALL.iter().copied().zip(arguments) {
                    let from = self.registers.of(self.graph, operand, lane);
                    copy(self.asm, register, from);
                }
                self.asm.bl(self.context.labels.root(curve));
                self.scratch_base = None;
                copy(self.asm, to, SReg::S0);
            }
            node => arithmetic(self.asm, node, to, |id| {
                self.registers.of(self.graph, id, lane)
            }),
        }
    }

    /// Compares, and returns the condition that says true.
    fn compare(&mut self, cond: Id, lane: usize) -> Cond {
        let Node::Cmp(op, a, b) = self.graph.node(cond) else {
            unreachable!("conditions are comparisons");
        };
        let (a, b) = (
            self.registers.of(self.graph, a, lane),
            self.registers.of(self.graph, b, lane),
        );
        self.asm.emit_all([Inst::vcmp(a, b), Inst::FFlags]);
        condition(op)
    }

    fn select(&mut self, to: SReg, cond: Id, a: Id, b: Id, lane: usize) {
        let cond = self.compare(cond, lane);
        let (a, b) = (
            self.registers.of(self.graph, a, lane),
            self.registers.of(self.graph, b, lane),
        );
        select(self.asm, to, cond, a, b);
    }

    /// The number of a lane of the block, as an integer.
    fn lane_number(&mut self, to: Reg, block: Block, lane: usize) {
        match block.lanes {
            Lanes::From(first) => self.asm.mov_const(to, word(first + lane)),
            Lanes::Counted { counter, total } => {
                let behind = Inst::rsb(to, counter, word(total + lane));
                if behind.encode().is_ok() {
                    self.asm.emit(behind);
                } else {
                    self.asm.mov_const(to, word(total + lane));
                    self.asm.emit(Inst::sub(to, to, counter));
                }
            }
        }
    }

    /// Compares each lane and leaves the common path where one spikes.
    fn spikes(&mut self, block: Block, cond: Id, fields: &[Id], selects: &[Id]) {
        for &select in selects {
            let Node::Select(_, _, kept) = self.graph.node(select) else {
                unreachable!("only selects are chosen at a spike");
            };
            if !self.registers.same(select, kept) || self.graph.is_uniform(kept) {
                for lane in 0..block.count {
                    let from = self.registers.of(self.graph, kept, lane);
                    let to = self.registers.of(self.graph, select, lane);
                    copy(self.asm, to, from);
                }
            }
        }
        for lane in 0..block.count {
            let (from, back) = (self.asm.label(), self.asm.label());
            let holds = self.compare(cond, lane);
            self.asm.b_if(holds, from);
            self.asm.bind(back);
            self.rare.push(Rare {
                from,
                back,
                block,
                lane,
                fields: fields.to_vec(),
                selects: selects.to_vec(),
            });
        }
    }

    /// The path of a lane that spikes.
    fn spike(&mut self, rare: &Rare) {
        self.asm.bind(rare.from);
        for (index, &field) in rare.fields.iter().enumerate() {
            let to = SReg::ALL[index];
            if self.schedule.is_rare(field) {
                let node = self.graph.node(field);
                arithmetic(self.asm, node, to, |id| {
                    self.registers.of(self.graph, id, rare.lane)
                });
            } else {
                let from = self.registers.of(self.graph, field, rare.lane);
                copy(self.asm, to, from);
            }
        }
        self.lane_number(R0, rare.block, rare.lane);
        self.asm.bl(self.context.labels.fire);
        for &select in &rare.selects {
            let Node::Select(_, taken, _) = self.graph.node(select) else {
                unreachable!("only selects are chosen at a spike");
            };
            let from = self.registers.of(self.graph, taken, rare.lane);
            let to = self.registers.of(self.graph, select, rare.lane);
            copy(self.asm, to, from);
        }
        self.asm.b(rare.back);
    }
}

/// A number of lanes or bytes as an operand; the ranges are checked before any code is made.
fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn run(first: SReg, count: usize) -> SList {
    let count = u8::try_from(count).unwrap_or(0);
    SList::new(first, count).unwrap_or(SList::one(first))
}

//! The loops over the synapses of a source.
//!
//! Before the loops the source is divided into its places on the axes, the last first, and the first taps of
//! all runs are added up. Only axes with several taps have a loop. A loop knows the sum of the taps up to its
//! axis ([`axes`]); the innermost one turns the sum into two pointers, to the lane's element of an array and
//! to the weight, and other arrays stand at fixed distances from these. If the axis around the innermost run
//! is a run as well, it moves the pointers themselves.
//!
//! A run on the innermost axis is served in blocks, several synapses at once: their lanes differ, and the weights
//! that they store beside. For each number of taps that places have there is code of its own, unless there are too
//! many of them. A fold that is sent goes on from block to block, in the order of the synapses; a source without
//! any sends what the fold starts from.

use nirc_ir::event::{Chan, Handler, Row};

use super::{
    Access, Block, Core, Emitter, KEPT, LARGEST_BLOCK, Lanes, REACH, Step, choose_block,
    free_floats, last_accesses, origin, word,
};
use crate::codegen::axes::{self, Count, First, Shape, Table, Tables, Taps};
use crate::codegen::context::Context;
use crate::codegen::error::CodegenError;
use crate::codegen::graph::{Graph, Place, Slot};
use crate::codegen::names;
use crate::codegen::registers::Registers;
use crate::codegen::schedule::Schedule;
use crate::thumb::Reg::{self, Lr, R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10, R11, R12};
use crate::thumb::{
    Addr, Assembler, Cond, ExtendOp, Inst, Label, LoadOp, MulAccOp, SReg, Shift, Src,
};

/// Most numbers of taps that have code of their own.
const MOST_VARIANTS: usize = 6;
/// Most synapses that are written out one row after another.
const LARGEST_PATCH: usize = 32;
/// Pointers and variables of loops; r0 to r3 are what the prologue works with, and subroutines change them.
const POOL: [Reg; 8] = [R4, R5, R6, R7, R8, R9, R10, R11];

/// A variable of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cell {
    Reg(Reg),
    Memory(u32),
}

/// How many taps the source's place has.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Total {
    Same(usize),
    Cell(Cell),
}

/// Which taps of a list are the place's, as indices into the table.
#[derive(Clone, Copy, Debug)]
struct Range {
    table: u32,
    begin: Cell,
    end: Cell,
}

/// A loop that hands on sums.
#[derive(Debug)]
enum Outer {
    Run {
        axis: usize,
        step: axes::Step,
        total: Total,
        left: Cell,
        sum: Cell,
    },
    List {
        axis: usize,
        range: Range,
        next: Cell,
        sum: Cell,
    },
}

/// A loop that moves the pointers.
#[derive(Clone, Copy, Debug)]
struct Rows {
    axis: usize,
    step: axes::Step,
    total: Total,
    left: Reg,
}

/// What is done for a sum of all outer taps.
#[derive(Debug)]
enum Inner {
    /// The one synapse.
    One,
    Run {
        axis: usize,
        step: axes::Step,
        total: Total,
        left: Reg,
        counts: Vec<usize>,
    },
    List {
        axis: usize,
        range: Range,
        next: Reg,
    },
}

/// All loops, the outermost first.
#[derive(Debug)]
struct Nest {
    outer: Vec<Outer>,
    rows: Option<Rows>,
    inner: Inner,
    /// The sum that the loops begin with.
    sum: Cell,
}

/// Where the prologue puts what it finds on an axis.
#[derive(Clone, Copy, Debug)]
enum Found {
    /// The number of taps, if the loop has to know it.
    Total(Option<Cell>),
    Range(Range),
}

/// Where the pointers are, and what they point at for lane and weight 0.
#[derive(Clone, Copy, Debug, Default)]
struct Pointers {
    lane: Option<(Reg, u32)>,
    weight: Option<(Reg, u32)>,
}

/// Hands out registers, and words of memory when there are none left.
struct Allocator {
    registers: std::vec::IntoIter<Reg>,
    memory: Option<u32>,
    saved: Vec<Reg>,
}

impl Allocator {
    fn register(&mut self) -> Option<Reg> {
        let reg = self.registers.next()?;
        if KEPT.contains(&reg) {
            self.saved.push(reg);
        }
        Some(reg)
    }

    fn cell(&mut self) -> Option<Cell> {
        if let Some(reg) = self.register() {
            return Some(Cell::Reg(reg));
        }
        let addr = self.memory?;
        self.memory = Some(addr + 4);
        Some(Cell::Memory(addr))
    }
}

/// A piece of code for a number of taps on the innermost axis; `None` is for any number.
struct Variant {
    count: Option<usize>,
    registers: Registers,
}

/// Everything that is settled before code is made.
struct Plan {
    shapes: Vec<Shape>,
    found: Vec<Found>,
    tables: Tables,
    nest: Nest,
    pointers: Pointers,
    saved: Vec<Reg>,
}

/// Emits the handler of a channel with taps as the function `symbol`.
pub(super) fn emit(
    asm: &mut Assembler,
    context: &Context<'_>,
    (handler, chan): (&Handler, Chan),
    symbol: &str,
    label: Label,
) -> Result<(), CodegenError> {
    let graph = Graph::new(context.program, context.proc, handler);
    let schedule = Schedule::new(&graph);
    let name = names::handler(handler.kind);
    let too_few = |kind, available| CodegenError::Registers {
        process: context.process().name.clone(),
        handler: name.clone(),
        kind,
        available,
    };
    asm.place_pool();
    asm.annotate(format!("{}: {name}", context.process().name));
    asm.function(symbol, label);
    let shapes = axes::shapes(context.program, handler);
    if shapes.is_empty() || schedule.body.is_empty() {
        send_nothing(asm, &schedule);
        asm.emit(Inst::ret());
        return Ok(());
    }
    let mut access = vec![Access::None; graph.slot_count()];
    let handled = (handler, chan);
    let plan = Plan::new(context, handled, (&graph, &schedule), shapes, &mut access);
    let plan = plan.ok_or_else(|| too_few("core", POOL.len()))?;
    let free = free_floats(&graph, &schedule);
    let shared = axes::stores_weights(&handler.body);
    let variants = variants((&graph, &schedule), &plan.nest.inner, free, shared);
    let mut variants = variants.ok_or_else(|| too_few("float", free.count_ones() as usize))?;
    let core = Core {
        access,
        pointers: Vec::new(),
        counter: None,
        shared: None,
        arguments: [R0, R1],
        moved: false,
        saved: plan.saved.clone(),
    };
    let Some(first) = variants.first() else {
        send_nothing(asm, &schedule);
        asm.emit(Inst::ret());
        return Ok(());
    };
    let mut emitter = Emitter {
        asm,
        context,
        kind: handler.kind,
        last_access: last_accesses(&graph, &schedule),
        graph: &graph,
        schedule: &schedule,
        registers: first.registers.clone(),
        core,
        scratch_base: None,
        rare: Vec::new(),
    };
    emitter.asm.emit(Inst::push(&plan.saved));
    let exit = emitter.asm.label();
    emitter.prologue(&plan, exit);
    let labels = emitter.dispatch(&plan, &variants);
    for (variant, label) in variants.drain(..).zip(labels) {
        emitter.asm.bind(label);
        emitter.variant(&plan, variant);
    }
    emitter.asm.bind(exit);
    send_nothing(emitter.asm, &schedule);
    emitter.ret();
    Ok(())
}

/// A fold over no synapses.
fn send_nothing(asm: &mut Assembler, schedule: &Schedule) {
    if let Some(sent) = schedule.folds.iter().find(|fold| fold.target.is_none()) {
        asm.vldr_const(SReg::S0, sent.fold.identity());
    }
}

/// How many synapses at once, for each number of taps on the innermost axis. They may be `shared`: what is stored
/// beside the weight of one belongs to others, too.
fn variants(
    (graph, schedule): (&Graph, &Schedule),
    inner: &Inner,
    free: u32,
    shared: bool,
) -> Option<Vec<Variant>> {
    let variant = |count, most| {
        let registers = choose_block(graph, schedule, free, most)?;
        Some(Variant { count, registers })
    };
    match inner {
        Inner::One | Inner::List { .. } => Some(vec![variant(None, 1)?]),
        Inner::Run { step, counts, .. } => {
            let most = match step.weight {
                0 if shared => 1,
                _ => largest_block(*step),
            };
            if counts.len() > MOST_VARIANTS {
                return Some(vec![variant(None, most.min(counts[0]))?]);
            }
            let each = counts.iter().map(|&count| {
                // Blocks of equal size, if one is not enough.
                let blocks = count.div_ceil(most);
                variant(Some(count), count.div_ceil(blocks))
            });
            each.collect()
        }
    }
}

/// Most synapses that loads and stores reach from one address; their lanes have to differ.
fn largest_block(step: axes::Step) -> usize {
    let within = |step: i64| match step.unsigned_abs() {
        0 | 1 => LARGEST_BLOCK,
        far => 1 + usize::try_from(u64::from(REACH) / 4 / far).unwrap_or(0),
    };
    match step.lane {
        0 => 1,
        _ => within(step.lane)
            .min(within(step.weight))
            .min(LARGEST_BLOCK),
    }
}

impl Plan {
    fn new(
        context: &Context<'_>,
        (handler, chan): (&Handler, Chan),
        (graph, schedule): (&Graph, &Schedule),
        shapes: Vec<Shape>,
        access: &mut [Access],
    ) -> Option<Self> {
        let mut allocator = Allocator {
            registers: POOL.to_vec().into_iter(),
            memory: context.memory.get(&names::loops(context.process(), chan)),
            saved: Vec::new(),
        };
        let [lane, weight] = if schedule.calls(graph) {
            [allocator.register()?, allocator.register()?]
        } else {
            [R2, R3]
        };
        let tables = Tables::new(context.program, context.proc);
        let addr = |table: &Table| {
            tables
                .name(table)
                .map_or(0, |name| context.memory.addr(name))
        };
        let (nest, found) = Nest::new(&shapes, &addr, &mut allocator)?;
        let step = match nest.inner {
            Inner::Run { step, .. } => step,
            Inner::One | Inner::List { .. } => axes::Step::default(),
        };
        let mut pointers = Pointers::default();
        for slot in in_order(graph, schedule) {
            let Some((_, base)) = origin(context, handler.kind, graph, slot) else {
                continue;
            };
            let (pointer, reg, step) = match graph.place(slot) {
                Place::Row(_, Row::Synapse) => (&mut pointers.weight, weight, step.weight),
                _ => (&mut pointers.lane, lane, step.lane),
            };
            let (reg, first) = *pointer.get_or_insert((reg, base));
            access[slot.index()] = Access::Stepped {
                reg,
                distance: base.wrapping_sub(first).cast_signed(),
                step: i32::try_from(step).ok()?,
            };
        }
        let mut saved = allocator.saved;
        saved.sort_unstable();
        saved.push(Lr);
        Some(Self {
            shapes,
            found,
            tables,
            nest,
            pointers,
            saved,
        })
    }
}

/// The places, those first that are stored: their pointers are the nearest.
fn in_order(graph: &Graph, schedule: &Schedule) -> Vec<Slot> {
    let stored = schedule.body.iter().filter_map(|step| match step {
        Step::Store(slot, _) => Some(*slot),
        _ => None,
    });
    let mut slots: Vec<Slot> = stored.collect();
    for slot in graph.slots() {
        if !slots.contains(&slot) {
            slots.push(slot);
        }
    }
    slots
}

impl Nest {
    /// The loops over axes, and where the prologue puts what it finds on each of them.
    fn new(
        shapes: &[Shape],
        addr: &dyn Fn(&Table) -> u32,
        allocator: &mut Allocator,
    ) -> Option<(Self, Vec<Found>)> {
        let loops: Vec<usize> = (0..shapes.len()).filter(|&k| shapes[k].most > 1).collect();
        let mut outer = Vec::new();
        let mut rows = None;
        let mut inner = Inner::One;
        let mut found = vec![Found::Total(None); shapes.len()];
        let counter = match loops.last() {
            Some(_) => allocator.register()?,
            None => R12,
        };
        let unrolled = loops.last().is_some_and(|&k| {
            let run = matches!(shapes[k].taps, Taps::Run { .. });
            run && shapes[k].counts.len() <= MOST_VARIANTS
        });
        let row = loops.len().checked_sub(2).map(|at| loops[at]);
        let row = row.filter(|&k| unrolled && matches!(shapes[k].taps, Taps::Run { .. }));
        let row_counter = match row {
            Some(_) => allocator.register()?,
            None => R12,
        };
        let start = allocator.cell()?;
        let mut sum = start;
        for &k in &loops {
            let last = loops.last() == Some(&k);
            match &shapes[k].taps {
                Taps::Run { step, .. } => {
                    let total = total(&shapes[k], allocator)?;
                    found[k] = Found::Total(total.cell());
                    if last {
                        inner = Inner::Run {
                            axis: k,
                            step: *step,
                            total,
                            left: counter,
                            counts: shapes[k].counts.clone(),
                        };
                    } else if row == Some(k) {
                        rows = Some(Rows {
                            axis: k,
                            step: *step,
                            total,
                            left: row_counter,
                        });
                    } else {
                        if !outer.is_empty() {
                            sum = allocator.cell()?;
                        }
                        outer.push(Outer::Run {
                            axis: k,
                            step: *step,
                            total,
                            left: allocator.cell()?,
                            sum,
                        });
                    }
                }
                Taps::List { taps, .. } => {
                    let range = Range {
                        table: addr(taps),
                        begin: allocator.cell()?,
                        end: allocator.cell()?,
                    };
                    found[k] = Found::Range(range);
                    if last {
                        inner = Inner::List {
                            axis: k,
                            range,
                            next: counter,
                        };
                    } else {
                        sum = allocator.cell()?;
                        outer.push(Outer::List {
                            axis: k,
                            range,
                            next: allocator.cell()?,
                            sum,
                        });
                    }
                }
            }
        }
        let nest = Self {
            outer,
            rows,
            inner,
            sum: start,
        };
        Some((nest, found))
    }
}

impl Total {
    fn cell(self) -> Option<Cell> {
        match self {
            Self::Same(_) => None,
            Self::Cell(cell) => Some(cell),
        }
    }
}

fn total(shape: &Shape, allocator: &mut Allocator) -> Option<Total> {
    match shape.counts[..] {
        // Places without a tap are left before it matters.
        [only] => Some(Total::Same(only)),
        _ => allocator.cell().map(Total::Cell),
    }
}

/// Before the loops.
impl Emitter<'_, '_> {
    /// Finds the places and the sum of first taps. r0 = what is left of the source, then the place; r2 = the
    /// quotient, r3 = the sum. Keeps r1.
    fn prologue(&mut self, plan: &Plan, exit: Label) {
        let constant = plan.shapes.iter().map(|shape| match shape.taps {
            Taps::Run {
                first: First::Even { at, .. },
                ..
            } => at,
            _ => 0,
        });
        self.asm.mov_const(R3, constant.fold(0, u32::wrapping_add));
        for (k, shape) in plan.shapes.iter().enumerate().rev() {
            let before = plan.shapes[..k].iter().all(|shape| shape.places == 1);
            let run = matches!(shape.taps, Taps::Run { .. });
            if shape.places == 1 && run {
                continue;
            }
            self.asm.comment(format!("axis {k}: {}", describe(shape)));
            if shape.places == 1 {
                self.asm.emit(Inst::mov(R2, R0));
                self.asm.emit(Inst::mov(R0, 0));
            } else if !before {
                self.divide(shape.places);
            }
            self.look_up(plan, k, exit);
            if !before || shape.places == 1 {
                self.asm.emit(Inst::mov(R0, R2));
            }
        }
        self.put(plan.nest.sum, R3, Lr);
    }

    /// r2 and r0 become quotient and remainder of r0.
    fn divide(&mut self, by: usize) {
        if by.is_power_of_two() {
            let bits = u8::try_from(by.trailing_zeros()).unwrap_or(0);
            self.asm.emit(Inst::lsr(R2, R0, bits));
            self.asm.emit(Inst::Extract {
                signed: false,
                rd: R0,
                rn: R0,
                lsb: 0,
                width: bits,
            });
            return;
        }
        self.asm.mov_const(R12, word(by));
        self.asm.emit(Inst::Div {
            signed: false,
            rd: R2,
            rn: R0,
            rm: R12,
        });
        self.asm.emit(Inst::MulAcc {
            op: MulAccOp::Mls,
            rd: R0,
            rn: R2,
            rm: R12,
            ra: R0,
        });
    }

    /// Adds the first tap of the place in r0, and notes how many there are.
    fn look_up(&mut self, plan: &Plan, k: usize, exit: Label) {
        let halfword = |rt, addr| Inst::Load {
            op: LoadOp::Ldrh,
            rt,
            addr,
        };
        match &plan.shapes[k].taps {
            Taps::Run { first, count, .. } => {
                match first {
                    First::Even { step: 0, .. } => {}
                    First::Even { step, .. } => {
                        self.asm.mov_const(R12, *step);
                        self.asm.emit(Inst::mla(R3, R0, R12, R3));
                    }
                    First::Table(table) => {
                        self.table(plan, table);
                        self.asm.emit(Inst::ldr(R12, Addr::Index(R12, R0, 2)));
                        self.asm.emit(Inst::add(R3, R3, R12));
                    }
                }
                if let Count::Table(table) = count {
                    self.table(plan, table);
                    self.asm.emit(halfword(R12, Addr::Index(R12, R0, 1)));
                    self.asm.emit(Inst::cmp(R12, 0));
                    self.asm.b_if(Cond::Eq, exit);
                    if let Found::Total(Some(cell)) = plan.found[k] {
                        self.put(cell, R12, Lr);
                    }
                }
            }
            Taps::List { starts, .. } => {
                self.table(plan, starts);
                let at = Src::Reg(R0, Shift::Lsl(1));
                self.asm.emit(Inst::add(R12, R12, at));
                self.asm.emit(halfword(R0, Addr::Offset(R12, 2)));
                self.asm.emit(halfword(R12, Addr::at(R12)));
                self.asm.emit(Inst::cmp(R12, R0));
                self.asm.b_if(Cond::Eq, exit);
                if let Found::Range(range) = plan.found[k] {
                    self.put(range.begin, R12, Lr);
                    self.put(range.end, R0, Lr);
                }
            }
        }
    }

    /// r12 becomes the address of a table.
    fn table(&mut self, plan: &Plan, table: &Table) {
        let addr = plan.tables.name(table);
        let addr = addr.map_or(0, |name| self.context.memory.addr(name));
        self.asm.mov_const(R12, addr);
    }

    /// Goes to the code for the number of taps on the innermost axis; returns where each has to be.
    fn dispatch(&mut self, plan: &Plan, variants: &[Variant]) -> Vec<Label> {
        let labels: Vec<Label> = variants.iter().map(|_| self.asm.label()).collect();
        if let Inner::Run {
            axis,
            total: Total::Cell(cell),
            ..
        } = plan.nest.inner
            && variants.len() > 1
        {
            self.asm.comment(format!("axis {axis}: how many taps?"));
            let total = self.get(cell, R2);
            // The first one needs no jump.
            for (variant, &label) in variants.iter().zip(&labels).skip(1) {
                let count = word(variant.count.unwrap_or(0));
                crate::codegen::driver::compare(self.asm, total, count, R12);
                self.asm.b_if(Cond::Eq, label);
            }
        }
        labels
    }

    fn variant(&mut self, plan: &Plan, variant: Variant) {
        self.registers = variant.registers;
        self.scratch_base = None;
        for step in &self.schedule.before {
            if let Step::Eval(id) = step {
                self.eval_once(*id);
            }
        }
        self.start_folds();
        // Constants would fall out of reach in the middle of a loop.
        self.asm.place_pool();
        let mut loops = Loops {
            plan,
            count: variant.count,
            patch: None,
        };
        if let Some(patch) = loops.largest_patch() {
            let looped = self.asm.label();
            let most = patch.most;
            if let Total::Cell(cell) = patch.rows.total {
                let total = self.get(cell, R0);
                crate::codegen::driver::compare(self.asm, total, word(most), R12);
                self.asm.b_if(Cond::Ne, looped);
            }
            loops.patch = Some(patch);
            loops.outer(self, 0, plan.nest.sum);
            self.leave();
            if patch.rows.total == Total::Same(most) {
                return;
            }
            self.asm.bind(looped);
            loops.patch = None;
        }
        loops.outer(self, 0, plan.nest.sum);
        self.leave();
    }

    fn leave(&mut self) {
        self.finish_folds();
        self.ret();
    }

    /// The register that holds a variable; one in memory is loaded.
    fn get(&mut self, cell: Cell, into: Reg) -> Reg {
        match cell {
            Cell::Reg(reg) => reg,
            Cell::Memory(addr) => {
                self.asm.mov_const(into, addr);
                self.asm.emit(Inst::ldr(into, Addr::at(into)));
                into
            }
        }
    }

    /// Sets a variable; keeps the flags.
    fn put(&mut self, cell: Cell, from: Reg, scratch: Reg) {
        match cell {
            Cell::Reg(reg) if reg == from => {}
            Cell::Reg(reg) => self.asm.emit(Inst::mov(reg, from)),
            Cell::Memory(addr) => {
                self.asm.mov_const(scratch, addr);
                self.asm.emit(Inst::str(from, Addr::at(scratch)));
            }
        }
    }

    /// Changes r12.
    fn add_const(&mut self, reg: Reg, value: u32) {
        let short = [
            Inst::add(reg, reg, value),
            Inst::sub(reg, reg, value.wrapping_neg()),
        ];
        if value == 0 {
            return;
        }
        match short.into_iter().find(|inst| inst.encode().is_ok()) {
            Some(inst) => self.asm.emit(inst),
            None => {
                self.asm.mov_const(R12, value);
                self.asm.emit(Inst::add(reg, reg, R12));
            }
        }
    }
}

/// The taps of an axis in words.
fn describe(shape: &Shape) -> String {
    let taps = match shape.most {
        1 => "one tap at most".to_owned(),
        most => format!("up to {most} taps"),
    };
    match shape.taps {
        Taps::Run { step, .. } if shape.most > 1 => {
            format!(
                "{taps}, each {} lanes and {} weights on",
                step.lane, step.weight
            )
        }
        _ => taps,
    }
}

/// The loops of a variant.
#[derive(Clone, Copy)]
struct Loops<'a> {
    plan: &'a Plan,
    count: Option<usize>,
    /// Whether the rows are written out one after another.
    patch: Option<Patch>,
}

/// Rows of a run each, as many as a place has at most.
#[derive(Clone, Copy)]
struct Patch {
    rows: Rows,
    most: usize,
    step: axes::Step,
    left: Reg,
}

impl Loops<'_> {
    /// The rows of the largest patch, if they are worth being written out: most sources have as many taps as
    /// there can be, away from the borders.
    fn largest_patch(self) -> Option<Patch> {
        let rows = self.plan.nest.rows?;
        let Inner::Run {
            step, left, counts, ..
        } = &self.plan.nest.inner
        else {
            return None;
        };
        let count = self.count.filter(|count| counts.first() == Some(count))?;
        let most = self.plan.shapes[rows.axis].most;
        let patch = Patch {
            rows,
            most,
            step: *step,
            left: *left,
        };
        (most.saturating_mul(count) <= LARGEST_PATCH).then_some(patch)
    }

    /// All rows of a patch; returns by how many taps the pointers have moved in the last one.
    fn patch(self, e: &mut Emitter<'_, '_>, patch: Patch) -> usize {
        let mut gone = 0;
        for row in 0..patch.most {
            e.asm
                .comment(format!("axis {}: tap {row}", patch.rows.axis));
            if row > 0 {
                let next = patch.rows.step.less(patch.step, gone);
                self.advance(e, next, 1);
            }
            gone = self.run(e, patch.step, patch.left);
        }
        gone
    }

    /// A loop that moves the pointers from patch to patch.
    fn patches(self, e: &mut Emitter<'_, '_>, patch: Patch, (step, left): (axes::Step, Cell)) {
        let again = e.asm.here();
        let gone = self.patch(e, patch);
        let next = step.less(patch.rows.step, patch.most - 1);
        self.advance(e, next.less(patch.step, gone), 1);
        let count = e.get(left, R0);
        e.asm.emit(Inst::subs(count, count, 1));
        e.put(left, count, R1);
        e.asm.b_if(Cond::Ne, again);
    }

    /// The loops from this depth on, with the sum of the taps outside.
    fn outer(self, e: &mut Emitter<'_, '_>, depth: usize, sum: Cell) {
        let last = depth + 1 == self.plan.nest.outer.len();
        let outer = self.plan.nest.outer.get(depth);
        if let (
            true,
            Some(patch),
            Some(&Outer::Run {
                axis,
                step,
                total,
                left,
                ..
            }),
        ) = (last, self.patch, outer)
        {
            e.asm.comment(format!("axis {axis}"));
            self.point(e, sum);
            start(e, left, total);
            self.patches(e, patch, (step, left));
            return;
        }
        match outer {
            None => self.rows(e, sum),
            Some(&Outer::Run {
                axis,
                step,
                total,
                left,
                sum: own,
            }) => {
                e.asm.comment(format!("axis {axis}"));
                if own != sum {
                    let from = e.get(sum, R0);
                    e.put(own, from, R1);
                }
                start(e, left, total);
                let again = e.asm.here();
                self.outer(e, depth + 1, own);
                e.asm.comment(format!("axis {axis}: next"));
                let sum = e.get(own, R0);
                e.add_const(sum, step.word());
                e.put(own, sum, R1);
                let count = e.get(left, R0);
                e.asm.emit(Inst::subs(count, count, 1));
                e.put(left, count, R1);
                e.asm.b_if(Cond::Ne, again);
            }
            Some(&Outer::List {
                axis,
                range,
                next,
                sum: own,
            }) => {
                e.asm.comment(format!("axis {axis}"));
                let from = e.get(range.begin, R0);
                e.put(next, from, R1);
                let again = e.asm.here();
                let index = e.get(next, R0);
                e.asm.mov_const(R12, range.table);
                e.asm.emit(Inst::ldr(R12, Addr::Index(R12, index, 2)));
                e.asm.emit(Inst::add(index, index, 1));
                e.put(next, index, R1);
                let outside = e.get(sum, R0);
                let inside = match own {
                    Cell::Reg(reg) => reg,
                    Cell::Memory(_) => R0,
                };
                e.asm.emit(Inst::add(inside, outside, R12));
                e.put(own, inside, R1);
                self.outer(e, depth + 1, own);
                e.asm.comment(format!("axis {axis}: next"));
                let index = e.get(next, R0);
                let end = e.get(range.end, R1);
                e.asm.emit(Inst::cmp(index, end));
                e.asm.b_if(Cond::Ne, again);
            }
        }
    }

    fn rows(self, e: &mut Emitter<'_, '_>, sum: Cell) {
        let Some(rows) = self.plan.nest.rows else {
            self.inner(e, sum);
            return;
        };
        let Inner::Run { step, left, .. } = self.plan.nest.inner else {
            unreachable!("rows are around a run");
        };
        e.asm.comment(format!("axis {}", rows.axis));
        self.point(e, sum);
        if let Some(patch) = self.patch {
            self.patch(e, patch);
            return;
        }
        start(e, Cell::Reg(rows.left), rows.total);
        let again = e.asm.here();
        let gone = self.run(e, step, left);
        e.asm.comment(format!("axis {}: next", rows.axis));
        self.advance(e, rows.step.less(step, gone), 1);
        e.asm.emit(Inst::subs(rows.left, rows.left, 1));
        e.asm.b_if(Cond::Ne, again);
    }

    fn inner(self, e: &mut Emitter<'_, '_>, sum: Cell) {
        match self.plan.nest.inner {
            Inner::One => {
                self.point(e, sum);
                block(e, 1);
            }
            Inner::Run {
                axis,
                step,
                total,
                left,
                ..
            } => {
                e.asm.comment(format!("axis {axis}"));
                self.point(e, sum);
                if self.count.is_some() {
                    self.run(e, step, left);
                } else {
                    self.any_run(e, step, (total, left));
                }
            }
            Inner::List { axis, range, next } => {
                e.asm.comment(format!("axis {axis}"));
                let from = e.get(range.begin, R0);
                e.put(Cell::Reg(next), from, R1);
                let again = e.asm.here();
                e.asm.mov_const(R12, range.table);
                e.asm.emit(Inst::ldr(R0, Addr::Index(R12, next, 2)));
                let outside = e.get(sum, R1);
                e.asm.emit(Inst::add(next, next, 1));
                e.asm.emit(Inst::add(R0, R0, outside));
                self.point_at(e, R0);
                block(e, 1);
                let end = e.get(range.end, R1);
                e.asm.emit(Inst::cmp(next, end));
                e.asm.b_if(Cond::Ne, again);
            }
        }
    }

    /// The taps of a run, as many as there always are; returns by how many the pointers have moved.
    fn run(self, e: &mut Emitter<'_, '_>, step: axes::Step, left: Reg) -> usize {
        let size = e.registers.block;
        let count = self.count.unwrap_or(size);
        let (full, rest) = (count / size, count % size);
        if full > 1 {
            e.asm.mov_const(left, word(full));
            let again = e.asm.here();
            block(e, size);
            self.advance(e, step, size);
            e.asm.emit(Inst::subs(left, left, 1));
            e.asm.b_if(Cond::Ne, again);
        } else {
            block(e, size);
            if rest > 0 {
                self.advance(e, step, size);
            }
        }
        if rest > 0 {
            block(e, rest);
        }
        if full > 1 || rest > 0 { full * size } else { 0 }
    }

    /// The taps of a run, as many as the place has.
    fn any_run(self, e: &mut Emitter<'_, '_>, step: axes::Step, (total, left): (Total, Reg)) {
        let size = e.registers.block;
        start(e, Cell::Reg(left), total);
        let over = e.asm.label();
        if size > 1 {
            let rest = e.asm.label();
            e.asm.emit(Inst::subs(left, left, word(size)));
            e.asm.b_if(Cond::Mi, rest);
            let again = e.asm.here();
            block(e, size);
            self.advance(e, step, size);
            e.asm.emit(Inst::subs(left, left, word(size)));
            e.asm.b_if(Cond::Pl, again);
            e.asm.bind(rest);
            e.asm.emit(Inst::adds(left, left, word(size)));
            e.asm.b_if(Cond::Eq, over);
        }
        let again = e.asm.here();
        block(e, 1);
        self.advance(e, step, 1);
        e.asm.emit(Inst::subs(left, left, 1));
        e.asm.b_if(Cond::Ne, again);
        e.asm.bind(over);
    }

    fn point(self, e: &mut Emitter<'_, '_>, sum: Cell) {
        let sum = e.get(sum, R0);
        self.point_at(e, sum);
    }

    /// Turns a sum into pointers. Changes r12.
    fn point_at(self, e: &mut Emitter<'_, '_>, sum: Reg) {
        let words = Src::Reg(R12, Shift::Lsl(2));
        if let Some((reg, base)) = self.plan.pointers.lane {
            e.asm.emit(Inst::Extend {
                op: ExtendOp::Uxth,
                rd: R12,
                rm: sum,
            });
            e.asm.mov_const(reg, base);
            e.asm.emit(Inst::add(reg, reg, words));
        }
        if let Some((reg, base)) = self.plan.pointers.weight {
            e.asm.emit(Inst::lsr(R12, sum, 16));
            e.asm.mov_const(reg, base);
            e.asm.emit(Inst::add(reg, reg, words));
        }
    }

    /// Moves the pointers by so many steps. Changes r12.
    fn advance(self, e: &mut Emitter<'_, '_>, step: axes::Step, times: usize) {
        let times = i64::try_from(times).unwrap_or(0);
        let Pointers { lane, weight } = self.plan.pointers;
        for (pointer, step) in [(lane, step.lane), (weight, step.weight)] {
            if let Some((reg, _)) = pointer {
                e.add_const(reg, axes::low(4 * step * times));
            }
        }
    }
}

/// Lets a loop begin with all its taps before it.
fn start(e: &mut Emitter<'_, '_>, left: Cell, total: Total) {
    let from = match (total, left) {
        (Total::Same(count), Cell::Reg(reg)) => {
            e.asm.mov_const(reg, word(count));
            reg
        }
        (Total::Same(count), Cell::Memory(_)) => {
            e.asm.mov_const(R0, word(count));
            R0
        }
        (Total::Cell(cell), _) => e.get(cell, R0),
    };
    e.put(left, from, R1);
}

/// So many synapses at once.
fn block(e: &mut Emitter<'_, '_>, count: usize) {
    e.block(Block {
        lanes: Lanes::From(0),
        count,
        more: false,
    });
}

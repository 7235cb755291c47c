//! Machine code for `Cross`, which looks for a spike of each lane in an interval.
//!
//! # Calls
//! A function over a range of lanes: the first one in r0, how many in r1. The interval lies in memory. It keeps r8 to
//! r11 and the stack pointer; everything else may change. Where a lane spikes it calls `fire` with the lane in r0,
//! the time in s0 and what is recorded in s1 on. Whether a lane that spiked could do so again, the first tests say at
//! once. If it could, a word in memory tells the caller to look at those that spiked again, each since its spike.
//!
//! # Lanes
//! What is the same on every lane is computed first. The leading tests, which do not depend on the interval and which
//! most lanes fail, run over several lanes at once ([`super::filter`]); where they cannot, and when a single lane is
//! looked at, lane by lane. The rest is for the few lanes that are left, one by one: the work on them is long and
//! differs. Its values are computed as late as the order of the body allows.
//!
//! ```text
//! once
//! block         tests of several lanes; none left: next block
//! found         the next lane that is left
//! one           rest; skip: next found, next block
//! ```
//!
//! # Float registers
//! What is the same on every lane takes them from s31 downwards, values of a lane from below, behind those that take
//! arguments of subroutines. What outlives a call takes none that it changes.

use nirc_ir::event::{Handler, Unary};

use super::context::Context;
use super::error::CodegenError;
use super::filter::{self, Filter};
use super::graph::{Graph, Id, Node, Place, Root, Slot};
use super::names;
use super::operations::{arithmetic, condition, copy, immediate, mirrored, select, to_float};
use crate::thumb::Reg::{self, Lr, R0, R1, R4, R5, R6, R7, R8, R9, R10, R11, R12};
use crate::thumb::{Addr, Assembler, BitsOp, Cond, Inst, Label, SReg, Shift, ShiftOp, Src};

/// Registers for pointers; r4 counts lanes.
const POINTERS: [Reg; 6] = [R5, R7, R8, R9, R10, R11];
/// Which lanes of the block are left, the next one on top; not a pointer then.
const LEFT: Reg = R11;
/// Whether the lane at hand has spiked.
const SPIKED: Reg = R6;
/// Reach of a float load or store.
const REACH: u32 = 1020;
/// The first float register that no argument of a subroutine takes.
const ARGUMENTS: usize = 5;

/// Something to do for a lane, or, if it is an evaluation, once for all.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Eval(Id),
    Skip(Id),
    /// The root of this number.
    Spike(usize),
    Store(Slot, Id),
}

/// A body in order. The rest loads anew what the tests have loaded.
#[derive(Debug, Default)]
struct Order {
    once: Vec<Step>,
    tests: Vec<Step>,
    rest: Vec<Step>,
}

/// Emits a handler as the function `symbol`.
pub(super) fn emit(
    asm: &mut Assembler,
    context: &Context<'_>,
    handler: &Handler,
    symbol: &str,
    label: Label,
) -> Result<(), CodegenError> {
    let graph = Graph::new(context.program, context.proc, handler);
    let order = Order::new(&graph);
    let too_few = |kind, available| CodegenError::Registers {
        process: context.process().name.clone(),
        handler: names::handler(handler.kind),
        kind,
        available,
    };
    let pointers = Pointers::new(context, &graph).ok_or_else(|| too_few("core", POINTERS.len()))?;
    let recorded = graph.roots.iter().map(|root| match root {
        Root::Spike { fields, .. } => 1 + fields.len(),
        _ => 0,
    });
    let arguments = recorded.max().unwrap_or(0).max(ARGUMENTS);
    let floats = Floats::new(&graph, &order, arguments)
        .ok_or_else(|| too_few("float", 32_usize.saturating_sub(arguments)))?;
    let lanes = context.process().lanes;
    let filter = Filter::new(&graph, &order.tests, floats.free, lanes);
    let filter = filter.filter(|_| !pointers.has(LEFT));
    asm.place_pool();
    asm.annotate(format!("{}: cross", context.process().name));
    asm.function(symbol, label);
    let mut emitter = Emitter {
        asm,
        context,
        graph: &graph,
        pointers,
        floats,
        at: Phase::Once,
    };
    emitter.function(&order, filter.as_ref());
    Ok(())
}

impl Order {
    fn new(graph: &Graph) -> Self {
        let tests = graph.roots.iter().take_while(|root| match root {
            Root::Skip(cond) => !graph.reaches(*cond, &|id| is_dear(graph, id)),
            _ => false,
        });
        let (tests, rest) = graph.roots.split_at(tests.count());
        let mut order = Self::default();
        let mut done = vec![false; graph.len()];
        for id in tests.iter().flat_map(Root::operands) {
            evaluate(graph, id, &mut done, &mut order.once, &|id| {
                graph.is_uniform(id)
            });
        }
        // Constants of the rest are loaded where they are needed: they cost no more than a move.
        let known = done.clone();
        let constant = |id: Id| matches!(graph.node(id), Node::Const(_));
        for id in rest.iter().flat_map(Root::operands) {
            evaluate(graph, id, &mut done, &mut order.once, &|id| {
                graph.is_uniform(id) && !constant(id)
            });
        }
        for id in graph.ids().filter(|id| constant(*id)) {
            done[id.index()] = known[id.index()];
        }
        body(graph, 0, tests, &mut done.clone(), &mut order.tests);
        body(graph, tests.len(), rest, &mut done, &mut order.rest);
        order
    }
}

/// The values that have to be in registers for a node: comparisons are seen through, and 0 is compared with as it is.
fn registers(graph: &Graph, id: Id) -> Vec<Id> {
    let zero = |id: &Id| graph.node(*id) == Node::Const(0);
    match graph.node(id) {
        Node::Cmp(_, a, b) if zero(&a) && zero(&b) => vec![a],
        Node::Cmp(_, a, b) => [a, b].into_iter().filter(|id| !zero(id)).collect(),
        Node::Select(cond, a, b) => {
            let mut all = registers(graph, cond);
            all.extend([a, b]);
            all
        }
        _ => graph.operands(id),
    }
}

/// Whether it takes longer than a few lanes, or depends on the interval.
fn is_dear(graph: &Graph, id: Id) -> bool {
    match graph.node(id) {
        Node::Load(slot) => matches!(
            graph.place(slot),
            Place::Time | Place::Until | Place::Clock(_) | Place::ClockUntil(_)
        ),
        _ => graph.clobbers(id) != 0,
    }
}

/// Appends the evaluation of those nodes below `id` that are `wanted`, each behind what it needs.
fn evaluate(
    graph: &Graph,
    id: Id,
    done: &mut [bool],
    steps: &mut Vec<Step>,
    wanted: &dyn Fn(Id) -> bool,
) {
    if done[id.index()] {
        return;
    }
    if !wanted(id) || matches!(graph.node(id), Node::Cmp(..)) {
        for operand in registers(graph, id) {
            evaluate(graph, operand, done, steps, wanted);
        }
        return;
    }
    for operand in registers(graph, id) {
        evaluate(graph, operand, done, steps, &|_| true);
    }
    done[id.index()] = true;
    steps.push(Step::Eval(id));
}

/// Appends roots, the first of which has the number `first`, and whatever of their values is not done.
fn body(graph: &Graph, first: usize, roots: &[Root], done: &mut [bool], steps: &mut Vec<Step>) {
    for (number, root) in roots.iter().enumerate() {
        for id in root.operands() {
            evaluate(graph, id, done, steps, &|_| true);
        }
        match root {
            Root::Skip(cond) => steps.push(Step::Skip(*cond)),
            Root::Spike { .. } => steps.push(Step::Spike(first + number)),
            Root::Store(slot, id) => {
                // A value that is loaded later is the one from before.
                let later = roots[number + 1..].iter().flat_map(Root::operands);
                if let Some(load) = graph.load_of(*slot)
                    && later
                        .into_iter()
                        .any(|id| graph.reaches(id, &|id| id == load))
                {
                    evaluate(graph, load, done, steps, &|_| true);
                }
                steps.push(Step::Store(*slot, *id));
            }
            Root::Reduce(..) | Root::Send(_) | Root::SendFold(_) => {
                unreachable!("`Cross` neither folds nor sends")
            }
        }
    }
}

/// A pointer to the lane's element of places that lie near each other.
#[derive(Clone, Copy, Debug)]
struct Pointer {
    reg: Reg,
    base: u32,
}

#[derive(Debug)]
struct Pointers {
    all: Vec<Pointer>,
    /// The pointer of each place with lanes, and the distance from it.
    of: Vec<Option<(Reg, i32)>>,
}

impl Pointers {
    fn new(context: &Context<'_>, graph: &Graph) -> Option<Self> {
        let process = context.process();
        let mut places: Vec<(u32, Slot)> = graph
            .slots()
            .filter_map(|slot| match graph.place(slot) {
                Place::Element(array) if !process.arrays[array].kind.is_scalar() => {
                    Some((context.array(array), slot))
                }
                Place::Coef(coef) => Some((context.coef(coef), slot)),
                _ => None,
            })
            .collect();
        places.sort_unstable();
        let mut pointers = Self {
            all: Vec::new(),
            of: vec![None; graph.slot_count()],
        };
        for (base, slot) in places {
            let near = pointers.all.last().filter(|p| base - p.base <= REACH);
            let pointer = match near {
                Some(pointer) => *pointer,
                None => {
                    let reg = *POINTERS.get(pointers.all.len())?;
                    pointers.all.push(Pointer { reg, base });
                    Pointer { reg, base }
                }
            };
            let distance = (base - pointer.base).cast_signed();
            pointers.of[slot.index()] = Some((pointer.reg, distance));
        }
        if pointers.all.is_empty() {
            // The lane has to be known all the same.
            let reg = POINTERS[0];
            pointers.all.push(Pointer { reg, base: 0 });
        }
        Some(pointers)
    }

    fn has(&self, reg: Reg) -> bool {
        self.all.iter().any(|pointer| pointer.reg == reg)
    }
}

/// Which float register holds what.
struct Floats {
    /// Of values computed once.
    once: Vec<Option<u8>>,
    /// Of values of a lane, in its tests and in the rest.
    tests: Vec<Option<u8>>,
    rest: Vec<Option<u8>>,
    /// Registers below this one hold nothing while a block is tested.
    free: usize,
}

/// Which steps are being done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    Once,
    Tests,
    Rest,
}

impl Floats {
    /// `None` if the registers do not suffice.
    fn new(graph: &Graph, order: &Order, arguments: usize) -> Option<Self> {
        let calls = |steps: &[Step]| {
            let changed = steps.iter().map(|step| match step {
                Step::Eval(id) => graph.clobbers(*id),
                _ => 0,
            });
            changed.fold(0, |all, changed| all | changed)
        };
        let clobbered = calls(&order.once) | calls(&order.rest);
        let later = || order.tests.iter().chain(&order.rest);
        let mut once = vec![None; graph.len()];
        let mut kept = 0_u32;
        for step in &order.once {
            let Step::Eval(id) = *step else { continue };
            if later().any(|step| needs(graph, step).contains(&id)) {
                let usable = |register: &u32| (clobbered | kept) >> register & 1 == 0;
                let register = (arguments.try_into().ok()?..32).rev().find(usable)?;
                kept |= 1 << register;
                once[id.index()] = u8::try_from(register).ok();
            }
        }
        allocate(graph, &order.once, arguments, kept, &mut once)?;
        let mut floats = Self {
            tests: vec![None; graph.len()],
            rest: vec![None; graph.len()],
            free: (0..32).find(|r| kept >> r & 1 == 1).unwrap_or(32),
            once,
        };
        allocate(graph, &order.tests, arguments, kept, &mut floats.tests)?;
        allocate(graph, &order.rest, arguments, kept, &mut floats.rest)?;
        Some(floats)
    }

    /// The register of a value.
    fn of(&self, id: Id, at: Phase) -> SReg {
        let of_lane = match at {
            Phase::Once => None,
            Phase::Tests => self.tests[id.index()],
            Phase::Rest => self.rest[id.index()],
        };
        let register = of_lane.or(self.once[id.index()]);
        SReg::ALL[usize::from(register.expect("evaluated before use"))]
    }
}

/// Gives a register to each value of the steps that has none: the lowest from `first` on that is not `kept`, that no
/// other value has while it is needed, and that no call in between changes.
fn allocate(
    graph: &Graph,
    steps: &[Step],
    first: usize,
    kept: u32,
    registers: &mut [Option<u8>],
) -> Option<()> {
    let mut taken: Vec<(Span, u32)> = Vec::new();
    let first = u32::try_from(first).ok()?;
    for (at, step) in steps.iter().enumerate() {
        let Step::Eval(id) = *step else { continue };
        if registers[id.index()].is_some() {
            continue;
        }
        let uses = |user: &usize| needs(graph, &steps[*user]).contains(&id);
        let last = (at + 1..steps.len()).rfind(uses).unwrap_or(at);
        let beyond = usize::from(outlives(graph, &steps[last], id));
        let to = (2 * last + beyond).max(2 * at + 1);
        let span = Span { from: 2 * at, to };
        let between = steps.iter().enumerate().map(|(call, step)| match step {
            Step::Eval(id) if span.from < 2 * call && 2 * call < span.to => graph.clobbers(*id),
            _ => 0,
        });
        let changed = between.fold(kept, |all, changed| all | changed);
        let register = (first..32).find(|register| {
            let meets = |(of, r): &(Span, u32)| r == register && of.meets(span);
            changed >> register & 1 == 0 && !taken.iter().any(meets)
        })?;
        taken.push((span, register));
        registers[id.index()] = u8::try_from(register).ok();
    }
    Some(())
}

/// How long a register is taken; steps count by two, so that something can end behind one.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
}

impl Span {
    fn meets(self, other: Span) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// Whether the result of a step must not take the register of this operand.
fn outlives(graph: &Graph, step: &Step, id: Id) -> bool {
    match step {
        Step::Eval(result) => match graph.node(*result) {
            Node::Fma(a, b, _) => id == a || id == b,
            _ => false,
        },
        _ => false,
    }
}

/// Nodes that have to be in registers for a step.
fn needs(graph: &Graph, step: &Step) -> Vec<Id> {
    match *step {
        Step::Eval(id) | Step::Skip(id) => registers(graph, id),
        Step::Store(_, id) => vec![id],
        Step::Spike(number) => match &graph.roots[number] {
            Root::Spike { cond, time, fields } => {
                let mut all = registers(graph, *cond);
                all.extend(time);
                all.extend(fields);
                all
            }
            _ => Vec::new(),
        },
    }
}

struct Emitter<'a, 'p> {
    asm: &'a mut Assembler,
    context: &'a Context<'p>,
    graph: &'a Graph,
    pointers: Pointers,
    floats: Floats,
    at: Phase,
}

impl Emitter<'_, '_> {
    fn function(&mut self, order: &Order, filter: Option<&Filter>) {
        let used = [R8, R9, R10, R11].into_iter();
        let used = used.filter(|reg| self.pointers.has(*reg) || filter.is_some() && *reg == LEFT);
        let mut saved: Vec<Reg> = used.chain([Lr]).collect();
        self.asm.emit(Inst::push(&saved));
        self.asm.emit(Inst::mov(R4, R1));
        self.asm.emit(Inst::mov(SPIKED, 0));
        for Pointer { reg, base } in self.pointers.all.clone() {
            self.asm.mov_const(reg, base);
            self.asm.emit(filter::on_by(reg, R0));
        }
        for step in &order.once {
            if let Step::Eval(id) = step {
                self.eval(*id);
            }
        }
        let done = self.asm.label();
        match filter {
            Some(filter) => self.blocks(order, filter, done),
            None => self.singly(order, done),
        }
        self.asm.bind(done);
        saved.pop();
        saved.push(Reg::Pc);
        self.asm.emit(Inst::pop(&saved));
    }

    /// Lane by lane.
    fn singly(&mut self, order: &Order, done: Label) {
        let (next, first) = (self.asm.label(), self.asm.label());
        self.asm.b(first);
        // Constants would fall out of reach in the middle of the loop.
        self.asm.place_pool();
        self.asm.bind(next);
        self.advance(4);
        self.asm.emit(Inst::subs(R4, R4, 1));
        self.asm.b_if(Cond::Eq, done);
        self.asm.bind(first);
        self.tests(order, next);
        self.rest(order, next);
        self.asm.b(next);
    }

    /// Blocks of lanes, and of each those that are left.
    fn blocks(&mut self, order: &Order, filter: &Filter, done: Label) {
        let (single, begin) = (self.asm.label(), self.asm.label());
        let (found, one, next) = (self.asm.label(), self.asm.label(), self.asm.label());
        self.asm.emit(Inst::cmp(R4, 1));
        self.asm.b_if(Cond::Eq, single);
        self.asm.b(begin);
        self.asm.place_pool();
        self.asm.bind(begin);
        let block = self.asm.here();
        let advance = self.asm.label();
        self.filter(order, filter);
        self.asm.b_if(Cond::Eq, advance);
        self.asm.bind(found);
        self.asm.comment("the next that is left");
        self.asm.emit(Inst::Bits {
            op: BitsOp::Clz,
            rd: R12,
            rm: LEFT,
        });
        self.asm.emit(filter::shift(ShiftOp::Lsl, LEFT, R12));
        self.asm.emit(Inst::lsl(LEFT, LEFT, 1));
        for Pointer { reg, .. } in self.pointers.all.clone() {
            self.asm.emit(filter::on_by(reg, R12));
        }
        self.asm.bind(one);
        self.rest(order, next);
        self.asm.bind(next);
        self.advance(4);
        self.asm.emit(Inst::cmp(LEFT, 0));
        self.asm.b_if(Cond::Ne, found);
        let lanes = u32::try_from(self.context.process().lanes).unwrap_or(u32::MAX);
        for Pointer { reg, base } in self.pointers.all.clone() {
            self.asm.mov_const(reg, base.wrapping_add(4 * lanes));
            let left = Src::Reg(R4, Shift::Lsl(2));
            self.asm.emit(Inst::sub(reg, reg, left));
        }
        self.asm.bind(advance);
        let count = u32::try_from(filter.block).unwrap_or(1);
        self.advance(4 * count);
        self.asm.emit(Inst::subs(R4, R4, count));
        self.asm.b_if(Cond::Hi, block);
        self.asm.b(done);
        self.asm.place_pool();
        self.asm.bind(single);
        self.asm.emit(Inst::mov(LEFT, 0));
        self.tests(order, done);
        self.asm.b(one);
    }

    /// The tests of a block.
    fn filter(&mut self, order: &Order, filter: &Filter) {
        let mut number = 0;
        for step in &order.tests {
            let once = |id: Id| {
                let register = self.floats.once[id.index()]?;
                Some(SReg::ALL[usize::from(register)])
            };
            match *step {
                Step::Eval(id) => match self.graph.node(id) {
                    Node::Load(slot) => {
                        let base = self.block_of(slot);
                        filter.load(self.asm, id, base);
                    }
                    _ => filter.eval(self.asm, self.graph, id, once),
                },
                Step::Skip(_) => {
                    filter.test(self.asm, self.graph, number, once);
                    number += 1;
                }
                Step::Spike(_) | Step::Store(..) => unreachable!("tests only test"),
            }
        }
        filter.collect(self.asm, LEFT);
    }

    /// A register that points to the lane's element of a place.
    fn block_of(&mut self, slot: Slot) -> Reg {
        let Some((reg, distance)) = self.pointers.of[slot.index()] else {
            unreachable!("what differs has lanes");
        };
        if distance == 0 {
            return reg;
        }
        self.asm.emit(Inst::add(R12, reg, distance.unsigned_abs()));
        R12
    }

    /// Moves all pointers on.
    fn advance(&mut self, bytes: u32) {
        for Pointer { reg, .. } in self.pointers.all.clone() {
            self.asm.emit(Inst::add(reg, reg, bytes));
        }
    }

    /// The tests of a lane.
    fn tests(&mut self, order: &Order, next: Label) {
        self.at = Phase::Tests;
        self.lane(&order.tests, next);
    }

    /// What is left to do for a lane; of one that has spiked, the tests once more.
    fn rest(&mut self, order: &Order, next: Label) {
        self.at = Phase::Rest;
        let spike = order.rest.iter().position(|s| matches!(s, Step::Spike(_)));
        let Some(spike) = spike else {
            self.lane(&order.rest, next);
            return;
        };
        let (before, after) = order.rest.split_at(spike);
        self.lane(before, next);
        let end = self.asm.label();
        self.lane(after, end);
        self.asm.bind(end);
        self.asm.cbz(SPIKED, next);
        self.asm.comment("again?");
        self.asm.emit(Inst::mov(SPIKED, 0));
        self.tests(order, next);
        self.asm.mov_const(R12, self.context.again());
        self.asm.emit(Inst::str(R12, Addr::at(R12)));
    }

    fn lane(&mut self, steps: &[Step], next: Label) {
        for step in steps {
            match *step {
                Step::Eval(id) => self.eval(id),
                Step::Skip(cond) => {
                    let cond = self.compare(cond);
                    self.asm.b_if(cond, next);
                }
                Step::Spike(number) => self.spike(number),
                Step::Store(slot, id) => {
                    let from = self.of(id);
                    let Some((reg, distance)) = self.pointers.of[slot.index()] else {
                        unreachable!("lanes store into what has lanes");
                    };
                    self.asm.emit(Inst::vstr(from, reg, distance));
                }
            }
        }
    }

    /// The register of a value.
    fn of(&self, id: Id) -> SReg {
        self.floats.of(id, self.at)
    }

    fn eval(&mut self, id: Id) {
        let to = self.of(id);
        match self.graph.node(id) {
            Node::Const(bits) => immediate(self.asm, to, f32::from_bits(bits)),
            Node::Load(slot) => self.load(to, slot),
            Node::Lane => {
                self.lane_number(R12);
                self.asm.emit(Inst::FMoveFromCore { sn: to, rt: R12 });
                self.asm.emit(to_float(to));
            }
            Node::Unary(function @ (Unary::Exp | Unary::Ln), a) => {
                copy(self.asm, SReg::S0, self.of(a));
                self.asm.bl(self.context.labels.math(function));
                copy(self.asm, to, SReg::S0);
            }
            Node::Select(cond, a, b) => self.select(to, cond, a, b),
            Node::Root(curve, operands, parameter) => {
                let arguments = operands.into_iter().chain(parameter);
                for (register, operand) in SReg::ALL.iter().copied().zip(arguments) {
                    copy(self.asm, register, self.of(operand));
                }
                self.asm.bl(self.context.labels.root(curve));
                copy(self.asm, to, SReg::S0);
            }
            node => arithmetic(self.asm, node, to, |id| self.floats.of(id, self.at)),
        }
    }

    fn load(&mut self, to: SReg, slot: Slot) {
        if let Some((reg, distance)) = self.pointers.of[slot.index()] {
            self.asm.emit(Inst::vldr(to, reg, distance));
            return;
        }
        let addr = match self.graph.place(slot) {
            Place::Element(array) => self.context.array(array),
            Place::Time => self.context.time(),
            Place::Until => self.context.until(),
            Place::Clock(word) => self.context.clock(word),
            Place::ClockUntil(word) => self.context.clock_until(word),
            place => unreachable!("`Cross` has no {place:?}"),
        };
        self.asm.mov_const(R12, addr);
        self.asm.emit(Inst::vldr(to, R12, 0));
    }

    /// Compares, and returns the condition that says true.
    fn compare(&mut self, cond: Id) -> Cond {
        let Node::Cmp(op, a, b) = self.graph.node(cond) else {
            unreachable!("conditions are comparisons");
        };
        let zero = |id| self.graph.node(id) == Node::Const(0);
        let (compare, cond) = match (zero(a), zero(b)) {
            (_, true) => (Inst::vcmp_zero(self.of(a)), condition(op)),
            (true, false) => (Inst::vcmp_zero(self.of(b)), mirrored(op)),
            _ => (Inst::vcmp(self.of(a), self.of(b)), condition(op)),
        };
        self.asm.emit_all([compare, Inst::FFlags]);
        cond
    }

    fn select(&mut self, to: SReg, cond: Id, a: Id, b: Id) {
        let cond = self.compare(cond);
        select(self.asm, to, cond, self.of(a), self.of(b));
    }

    /// The number of the lane, as an integer.
    fn lane_number(&mut self, to: Reg) {
        let Pointer { reg, base } = self.pointers.all[0];
        self.asm.mov_const(to, base);
        self.asm.emit(Inst::sub(to, reg, to));
        self.asm.emit(Inst::lsr(to, to, 2));
    }

    fn spike(&mut self, number: usize) {
        let Root::Spike { cond, time, fields } = &self.graph.roots[number] else {
            unreachable!("a spike is one");
        };
        let silent = self.asm.label();
        let holds = self.compare(*cond);
        self.asm.b_if(holds.inverse(), silent);
        // Values lie behind the arguments.
        let arguments = time.iter().chain(fields);
        for (register, id) in SReg::ALL.iter().copied().zip(arguments) {
            copy(self.asm, register, self.of(*id));
        }
        self.lane_number(R0);
        self.asm.bl(self.context.labels.fire);
        self.asm.emit(Inst::mov(SPIKED, 1));
        self.asm.bind(silent);
    }
}

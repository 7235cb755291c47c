//! Machine code for `Cross`, which looks for a spike of each lane in an interval.
//!
//! # Calls
//! A function over a range of lanes: the first one in r0, how many in r1. The interval lies in memory. It keeps r8 to
//! r11 and the stack pointer; everything else may change. Where a lane spikes it calls `fire` with the lane in r0,
//! the time in s0 and what is recorded in s1 on. Whether a lane that spiked could do so again, the first tests say at
//! once. If it could, a word in memory tells the caller to look at those that spiked again, each since its spike.
//!
//! # Lanes
//! Lanes are gone through one by one, because most of them are skipped after a few operations, and the work on the
//! others is long and differs. Values are computed as late as the order of the body allows. What is the same on
//! every lane is computed once: what the first tests need, before the first lane; the rest, whose exponentials cost
//! as much as the tests of several lanes, only when a lane passes them. So there are two loops. The first does nothing but these tests,
//! and is left for the second one in the middle of a lane:
//!
//! ```text
//! early                                   p = p's address - 4 …
//! first loop    next lane; tests; skip to next
//! late
//!               go on behind the tests
//! second loop   next lane; tests; rest; skip to next
//! ```
//!
//! # Float registers
//! What is the same on every lane takes them from s31 downwards, values of the lane from below, behind those that take
//! arguments of subroutines. What outlives a call takes none that it changes.

use nirc_ir::event::{Handler, Unary};

use super::comms::words;
use super::context::Context;
use super::error::CodegenError;
use super::graph::{Graph, Id, Node, Place, Root, Slot};
use super::names;
use super::operations::{arithmetic, condition, copy, immediate, select, to_float};
use crate::thumb::Reg::{self, Lr, R0, R1, R4, R5, R6, R7, R8, R9, R10, R11, R12};
use crate::thumb::{Addr, Assembler, Cond, Inst, Label, SReg};

/// Registers for pointers; r4 counts lanes.
const POINTERS: [Reg; 6] = [R5, R7, R8, R9, R10, R11];
/// Whether the lane at hand has spiked.
const SPIKED: Reg = R6;
/// Reach of a float load or store.
const REACH: u32 = 1020;
/// The first float register that no argument of a subroutine takes.
const ARGUMENTS: usize = 5;

/// Something to do for a lane, or, if it is an evaluation, once for all.
#[derive(Clone, Copy, Debug)]
enum Step {
    Eval(Id),
    Skip(Id),
    /// The root of this number.
    Spike(usize),
    Store(Slot, Id),
}

/// A body in order.
#[derive(Debug, Default)]
struct Order {
    early: Vec<Step>,
    tests: Vec<Step>,
    late: Vec<Step>,
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
    asm.place_pool();
    asm.annotate(format!("{}: cross", context.process().name));
    asm.function(symbol, label);
    let mut emitter = Emitter {
        asm,
        context,
        graph: &graph,
        pointers,
        floats,
        once: false,
    };
    emitter.function(&order);
    Ok(())
}

impl Order {
    fn new(graph: &Graph) -> Self {
        let tests = graph.roots.iter().take_while(|root| match root {
            Root::Skip(cond) => !reaches(graph, *cond, &|id| is_dear(graph, id)),
            _ => false,
        });
        let (tests, rest) = graph.roots.split_at(tests.count());
        let mut order = Self::default();
        let mut done = vec![false; graph.len()];
        for root in tests {
            for id in operands(root) {
                evaluate(graph, id, &mut done, &mut order.early, &|id| {
                    graph.is_uniform(id)
                });
            }
        }
        body(graph, 0, tests, &mut done, &mut order.tests);
        // Constants are loaded where they are needed: they cost no more than a move.
        let constant = |id: Id| matches!(graph.node(id), Node::Const(_));
        let early = done.clone();
        for id in rest.iter().flat_map(operands) {
            evaluate(graph, id, &mut done, &mut order.late, &|id| {
                graph.is_uniform(id) && !constant(id)
            });
        }
        for id in graph.ids().filter(|id| constant(*id)) {
            done[id.index()] = early[id.index()];
        }
        body(graph, tests.len(), rest, &mut done, &mut order.rest);
        order
    }
}

/// What a root needs, comparisons seen through.
fn operands(root: &Root) -> Vec<Id> {
    match root {
        Root::Spike { cond, time, fields } => {
            let mut all = vec![*cond];
            all.extend(time);
            all.extend(fields);
            all
        }
        Root::Skip(id) | Root::Store(_, id) | Root::Send(id) => vec![*id],
        Root::Reduce(_, fold) | Root::SendFold(fold) => fold.operands(),
    }
}

/// Whether it takes longer than a few lanes, or depends on the interval.
fn is_dear(graph: &Graph, id: Id) -> bool {
    match graph.node(id) {
        Node::Load(slot) => matches!(graph.place(slot), Place::Time | Place::Until),
        _ => graph.clobbers(id) != 0,
    }
}

fn reaches(graph: &Graph, id: Id, what: &dyn Fn(Id) -> bool) -> bool {
    let mut operands = graph.operands(id).into_iter();
    what(id) || operands.any(|operand| reaches(graph, operand, what))
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
        for operand in graph.operands(id) {
            evaluate(graph, operand, done, steps, wanted);
        }
        return;
    }
    for operand in graph.operands(id) {
        evaluate(graph, operand, done, steps, &|_| true);
    }
    done[id.index()] = true;
    steps.push(Step::Eval(id));
}

/// Appends roots, the first of which has the number `first`, and whatever of their values is not done.
fn body(graph: &Graph, first: usize, roots: &[Root], done: &mut [bool], steps: &mut Vec<Step>) {
    for (number, root) in roots.iter().enumerate() {
        for id in operands(root) {
            evaluate(graph, id, done, steps, &|_| true);
        }
        match root {
            Root::Skip(cond) => steps.push(Step::Skip(*cond)),
            Root::Spike { .. } => steps.push(Step::Spike(first + number)),
            Root::Store(slot, id) => {
                // A value that is loaded later is the one from before.
                let later = roots[number + 1..].iter().flat_map(operands);
                if let Some(load) = graph.load_of(*slot)
                    && later
                        .into_iter()
                        .any(|id| reaches(graph, id, &|id| id == load))
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

    fn saved(&self) -> Vec<Reg> {
        let used = self.all.iter().map(|p| p.reg);
        let kept = used.filter(|reg| [R8, R9, R10, R11].contains(reg));
        kept.chain([Lr]).collect()
    }
}

/// Which float register holds what.
struct Floats {
    /// Of values computed once; constants of the late part die with it.
    once: Vec<Option<u8>>,
    /// Of values of the lane.
    lane: Vec<Option<u8>>,
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

/// A value that needs a register.
struct Wanted {
    id: Id,
    span: Span,
    /// Whether it is there for all lanes to come.
    kept: bool,
    /// Whether it is computed once.
    once: bool,
}

impl Floats {
    /// The register of a value, before the lanes (`once`) or on a lane.
    fn of(&self, id: Id, once: bool) -> SReg {
        let of_lane = self.lane[id.index()].filter(|_| !once);
        let register = of_lane.or(self.once[id.index()]);
        SReg::ALL[usize::from(register.expect("evaluated before use"))]
    }

    /// `None` if the registers do not suffice.
    fn new(graph: &Graph, order: &Order, arguments: usize) -> Option<Self> {
        let steps = order.all();
        let mut floats = Self {
            once: vec![None; graph.len()],
            lane: vec![None; graph.len()],
        };
        let mut taken: Vec<(Span, u8)> = Vec::new();
        for wanted in order.wanted(graph) {
            let Wanted {
                id,
                span,
                kept,
                once,
            } = wanted;
            let calls = steps
                .iter()
                .enumerate()
                .filter_map(|(at, step)| match step {
                    Step::Eval(id) if span.from < 2 * at && 2 * at < span.to => {
                        Some(graph.clobbers(*id))
                    }
                    _ => None,
                });
            let clobbered = calls.fold(0, |all, changed| all | changed);
            let free = |register: &u8| {
                clobbered >> register & 1 == 0
                    && taken.iter().all(|(of, r)| r != register || !of.meets(span))
            };
            let first = u8::try_from(arguments).ok()?;
            let register = match kept {
                true => (first..32).rev().find(free),
                false => (first..32).find(free),
            }?;
            taken.push((span, register));
            let registers = if once {
                &mut floats.once
            } else {
                &mut floats.lane
            };
            registers[id.index()] = Some(register);
        }
        Some(floats)
    }
}

impl Order {
    /// All steps in order, the second loop's tests but once.
    fn all(&self) -> Vec<Step> {
        [&self.early, &self.tests, &self.late, &self.rest]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }

    /// The values that need registers, in the order of their steps.
    fn wanted(&self, graph: &Graph) -> Vec<Wanted> {
        let steps = self.all();
        let tests = self.early.len();
        let late = tests + self.tests.len();
        let rest = late + self.late.len();
        let is_once = |at: usize| at < tests || (late..rest).contains(&at);
        let defined = |(at, step): (usize, &Step)| match step {
            Step::Eval(id) => Some((at, *id)),
            _ => None,
        };
        let all: Vec<(usize, Id)> = steps.iter().enumerate().filter_map(defined).collect();
        let wanted = all.iter().map(|&(at, id)| {
            // A constant may be loaded a second time.
            let again = all.iter().find(|(other, of)| *other > at && *of == id);
            let end = again.map_or(steps.len(), |(other, _)| *other);
            let mut uses = (at + 1..end).filter(|&user| needs(graph, &steps[user]).contains(&id));
            let last = uses.clone().next_back().unwrap_or(at);
            let kept = is_once(at) && uses.any(|user| !is_once(user));
            // The second loop's tests run with what is computed late.
            let from = if kept && at >= late { tests } else { at };
            let to = if kept {
                2 * steps.len()
            } else {
                (2 * last + usize::from(outlives(graph, &steps[last], id))).max(2 * at + 1)
            };
            Wanted {
                id,
                span: Span { from: 2 * from, to },
                kept,
                once: is_once(at),
            }
        });
        wanted.collect()
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
        Step::Eval(id) | Step::Skip(id) => graph.operands(id),
        Step::Store(_, id) => vec![id],
        Step::Spike(number) => match &graph.roots[number] {
            Root::Spike { cond, time, fields } => {
                let mut all = graph.operands(*cond);
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
    /// Whether the present steps are computed once.
    once: bool,
}

impl Emitter<'_, '_> {
    fn function(&mut self, order: &Order) {
        let mut saved = self.pointers.saved();
        self.asm.emit(Inst::push(&saved));
        self.asm.emit(Inst::mov(R4, R1));
        self.asm.emit(Inst::mov(SPIKED, 0));
        for Pointer { reg, base } in self.pointers.all.clone() {
            self.asm.mov_const(reg, base);
            self.asm.emit(Inst::add(reg, reg, words(R0)));
        }
        let done = self.asm.label();
        self.once(&order.early);
        let next = self.begin_lane(done);
        self.lane(&order.tests, next);
        let mut next = next;
        if !order.late.is_empty() {
            self.once(&order.late);
            let (ahead, again) = (self.asm.label(), self.asm.label());
            self.asm.b(ahead);
            next = again;
            self.next_lane(next, done);
            self.lane(&order.tests, next);
            self.asm.bind(ahead);
        }
        self.rest(order, next);
        self.asm.bind(done);
        saved.pop();
        saved.push(Reg::Pc);
        self.asm.emit(Inst::pop(&saved));
    }

    /// What is left to do for a lane; of one that has spiked, the tests once more.
    fn rest(&mut self, order: &Order, next: Label) {
        let spike = order.rest.iter().position(|s| matches!(s, Step::Spike(_)));
        let Some(spike) = spike else {
            self.lane(&order.rest, next);
            self.asm.b(next);
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
        self.lane(&order.tests, next);
        self.asm.mov_const(R12, self.context.again());
        self.asm.emit(Inst::str(R12, Addr::at(R12)));
        self.asm.b(next);
    }

    /// Begins a loop over lanes with the first one; returns where the next begins.
    fn begin_lane(&mut self, done: Label) -> Label {
        let (next, first) = (self.asm.label(), self.asm.label());
        self.asm.b(first);
        self.next_lane(next, done);
        self.asm.bind(first);
        next
    }

    fn next_lane(&mut self, next: Label, done: Label) {
        // Constants would fall out of reach in the middle of the loop.
        self.asm.place_pool();
        self.asm.bind(next);
        for Pointer { reg, .. } in self.pointers.all.clone() {
            self.asm.emit(Inst::add(reg, reg, 4));
        }
        self.asm.emit(Inst::subs(R4, R4, 1));
        self.asm.b_if(Cond::Eq, done);
    }

    fn once(&mut self, steps: &[Step]) {
        self.once = true;
        for step in steps {
            if let Step::Eval(id) = step {
                self.eval(*id);
            }
        }
        self.once = false;
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
        self.floats.of(id, self.once)
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
            node => arithmetic(self.asm, node, to, |id| self.floats.of(id, self.once)),
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
        let compare = match self.graph.node(b) {
            Node::Const(0) => Inst::vcmp_zero(self.of(a)),
            _ => Inst::vcmp(self.of(a), self.of(b)),
        };
        self.asm.emit_all([compare, Inst::FFlags]);
        condition(op)
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

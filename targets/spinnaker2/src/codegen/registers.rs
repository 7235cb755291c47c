//! Which float register holds what.
//!
//! A value of the lanes takes a run of registers, one a lane of the block, so that whole runs move to and from
//! memory at once. Runs grow from s0 upwards; what is the same on every lane takes single registers from
//! s31 downwards. An operation writes over an operand that dies with it.

use super::graph::{Graph, Id, Node};
use super::schedule::{Schedule, Step};
use crate::thumb::SReg;

/// Registers of every value, for blocks of some number of lanes.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    /// First register of each value.
    first: Vec<Option<u8>>,
    /// One a fold.
    accumulators: Vec<u8>,
    pub(super) block: usize,
}

impl Registers {
    /// Places everything in the registers of `free` (one bit each); `None` if they do not suffice.
    pub(super) fn allocate(
        graph: &Graph,
        schedule: &Schedule,
        block: usize,
        free: u32,
    ) -> Option<Self> {
        let mut allocator = Allocator {
            graph,
            schedule,
            free,
            registers: Self {
                first: vec![None; graph.len()],
                accumulators: Vec::new(),
                block,
            },
            last_before: last_uses(graph, schedule, &schedule.before),
            last_body: last_uses(graph, schedule, &schedule.body),
        };
        allocator.run()?;
        Some(allocator.registers)
    }

    /// The register of a value on lane `lane` of the block.
    ///
    /// # Panics
    /// If the value has none: the schedule never evaluated it.
    pub(super) fn of(&self, graph: &Graph, id: Id, lane: usize) -> SReg {
        let first = self.first[id.index()].expect("evaluated before use");
        let offset = if graph.is_uniform(id) { 0 } else { lane };
        register(usize::from(first) + offset)
    }

    /// The register of a fold.
    pub(super) fn accumulator(&self, fold: usize) -> SReg {
        register(usize::from(self.accumulators[fold]))
    }

    /// Whether two values share registers.
    pub(super) fn same(&self, a: Id, b: Id) -> bool {
        self.first[a.index()] == self.first[b.index()]
    }
}

fn register(number: usize) -> SReg {
    SReg::ALL[number]
}

/// For each value the last step that uses it.
fn last_uses(graph: &Graph, schedule: &Schedule, steps: &[Step]) -> Vec<Option<usize>> {
    let mut last = vec![None; graph.len()];
    for (at, step) in steps.iter().enumerate() {
        for id in schedule.operands(graph, step) {
            last[id.index()] = Some(at);
        }
    }
    last
}

struct Allocator<'a> {
    graph: &'a Graph,
    schedule: &'a Schedule,
    free: u32,
    registers: Registers,
    last_before: Vec<Option<usize>>,
    last_body: Vec<Option<usize>>,
}

impl Allocator<'_> {
    fn run(&mut self) -> Option<()> {
        let schedule = self.schedule;
        for (at, step) in schedule.before.iter().enumerate() {
            self.step(step, |s, id| {
                s.last_body[id.index()].is_none() && s.last_before[id.index()] == Some(at)
            })?;
        }
        for _ in &schedule.folds {
            let register = self.take_single()?;
            self.registers.accumulators.push(register);
        }
        for (at, step) in schedule.body.iter().enumerate() {
            // Uniform values stay for the next block.
            self.step(step, |s, id| {
                s.last_body[id.index()] == Some(at) && !s.graph.is_uniform(id)
            })?;
        }
        Some(())
    }

    fn step(&mut self, step: &Step, dies: impl Fn(&Self, Id) -> bool) -> Option<()> {
        let mut dying = self.schedule.operands(self.graph, step);
        dying.sort_unstable();
        dying.dedup();
        dying.retain(|&id| dies(self, id));
        match step {
            Step::Eval(id) => {
                let heirs = self.heirs(*id);
                self.place(*id, &heirs, &mut dying)?;
            }
            Step::Spike { selects, .. } => {
                for &select in selects {
                    let heirs = self.select_heirs(select, selects);
                    self.place(select, &heirs, &mut dying)?;
                }
            }
            Step::Store(..) | Step::Fold(_) | Step::Send(_) => {}
        }
        for id in dying {
            self.release(id);
        }
        Some(())
    }

    /// Operands whose registers the result may take.
    fn heirs(&self, id: Id) -> Vec<Id> {
        match self.graph.node(id) {
            Node::Unary(_, a) => vec![a],
            Node::Binary(_, a, b) => vec![a, b],
            Node::Fma(_, _, c) => vec![c],
            Node::Select(_, a, b) => vec![b, a],
            Node::Const(_)
            | Node::Tick
            | Node::Lane
            | Node::Load(_)
            | Node::Cmp(..)
            | Node::Root(..) => Vec::new(),
        }
    }

    /// A select that happens where a spike does takes over its second operand's registers, unless another
    /// of them still reads these.
    fn select_heirs(&self, select: Id, selects: &[Id]) -> Vec<Id> {
        let Node::Select(_, _, kept) = self.graph.node(select) else {
            return Vec::new();
        };
        let read = |other: &Id| match self.graph.node(*other) {
            Node::Select(_, a, b) => a == kept || (*other != select && b == kept),
            _ => false,
        };
        if selects.iter().any(read) {
            Vec::new()
        } else {
            vec![kept]
        }
    }

    fn place(&mut self, id: Id, heirs: &[Id], dying: &mut Vec<Id>) -> Option<()> {
        let alike = |heir: &Id| self.graph.is_uniform(*heir) == self.graph.is_uniform(id);
        let heir = heirs
            .iter()
            .find(|heir| dying.contains(heir) && alike(heir));
        let first = if let Some(&heir) = heir {
            dying.retain(|&d| d != heir);
            self.registers.first[heir.index()]?
        } else if self.graph.is_uniform(id) {
            self.take_single()?
        } else {
            self.take_run()?
        };
        self.registers.first[id.index()] = Some(first);
        Some(())
    }

    fn take_single(&mut self) -> Option<u8> {
        let register = 31_u32.checked_sub(self.free.leading_zeros())?;
        self.free &= !(1 << register);
        u8::try_from(register).ok()
    }

    fn take_run(&mut self) -> Option<u8> {
        let block = u32::try_from(self.registers.block).ok()?;
        let run = u32::MAX.checked_shr(32_u32.checked_sub(block)?)?;
        let first = (0..=32 - block).find(|first| (run << first) & !self.free == 0)?;
        self.free &= !(run << first);
        u8::try_from(first).ok()
    }

    fn release(&mut self, id: Id) {
        let Some(first) = self.registers.first[id.index()] else {
            return;
        };
        let width = if self.graph.is_uniform(id) {
            1
        } else {
            self.registers.block
        };
        for register in 0..width {
            self.free |= 1 << (usize::from(first) + register);
        }
    }
}

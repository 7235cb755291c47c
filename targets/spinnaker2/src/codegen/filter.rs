//! The first tests of a search, on several lanes at once.
//!
//! Most lanes fail them, after a few operations. So these run over blocks of lanes, as handlers do: every operation
//! over all lanes before the next one, results never waited for. A comparison leaves in the carry whether its lane is
//! left in, which is shifted into a core register, a bit a lane; what is left of all tests is one word, whose set bits
//! are the lanes to go on with.

use nirc_ir::event::{Cmp, Unary};

use super::cross::Step;
use super::graph::{Graph, Id, Node};
use super::operations::arithmetic;
use crate::thumb::Reg::{self, R0, R1, R2, R3, R4, R12};
use crate::thumb::{AluOp, Assembler, Cond, Inst, SList, SReg, Shift, ShiftOp, Src};

/// Where each test collects its bits.
const COLLECT: [Reg; 4] = [R0, R1, R2, R3];
/// Most lanes in a block.
const LARGEST_BLOCK: usize = 16;

/// Where lanes' values are.
#[derive(Debug)]
pub(super) struct Filter {
    /// Lanes in a block.
    pub(super) block: usize,
    /// Whether the last block has fewer.
    partial: bool,
    /// Which row of registers holds a value.
    row: Vec<Option<usize>>,
    tests: Vec<(Id, Id)>,
}

impl Filter {
    /// For steps that any block can take, with float registers below `free`; `None` if lanes have to be taken singly.
    pub(super) fn new(graph: &Graph, steps: &[Step], free: usize, lanes: usize) -> Option<Self> {
        let tests = tests(graph, steps)?;
        let (row, rows) = rows(graph, steps)?;
        let most = (free / rows.max(1)).min(LARGEST_BLOCK).min(lanes);
        if tests.is_empty() || tests.len() > COLLECT.len() || most < 2 {
            return None;
        }
        // Of the blocks that need as few of them, the smallest.
        let block = lanes.div_ceil(lanes.div_ceil(most));
        Some(Self {
            block,
            partial: !lanes.is_multiple_of(block),
            row,
            tests,
        })
    }

    /// Loads a value of all lanes of a block from here on.
    pub(super) fn load(&self, asm: &mut Assembler, id: Id, base: Reg) {
        let first = self.of(id, 0).index();
        let count = u8::try_from(self.block).unwrap_or(0);
        if let Some(run) = SList::new(SReg::ALL[usize::from(first)], count) {
            asm.emit(Inst::vldmia(base, false, run));
        }
    }

    /// Computes a value of all lanes of a block; `once` has what is the same on every lane.
    pub(super) fn eval(
        &self,
        asm: &mut Assembler,
        graph: &Graph,
        id: Id,
        once: impl Fn(Id) -> Option<SReg>,
    ) {
        for lane in 0..self.block {
            let to = self.of(id, lane);
            let of = |id| once(id).unwrap_or_else(|| self.of(id, lane));
            arithmetic(asm, graph.node(id), to, of);
        }
    }

    /// Compares: shifts into the register of this test whether each lane is left in.
    pub(super) fn test(
        &self,
        asm: &mut Assembler,
        graph: &Graph,
        number: usize,
        once: impl Fn(Id) -> Option<SReg>,
    ) {
        let (a, b) = self.tests[number];
        let compare = |asm: &mut Assembler, lane: usize| {
            let of = |id| once(id).unwrap_or_else(|| self.of(id, lane));
            asm.emit(match graph.node(b) {
                Node::Const(0) => Inst::vcmp_zero(of(a)),
                _ => Inst::vcmp(of(a), of(b)),
            });
        };
        let bits = COLLECT[number];
        // Less is the only outcome without carry. The next lane is compared before its bit is taken, which it waits for.
        compare(asm, 0);
        for lane in 0..self.block {
            asm.emit(Inst::FFlags);
            if lane + 1 < self.block {
                compare(asm, lane + 1);
            }
            asm.emit(Inst::Alu {
                op: AluOp::Adc,
                s: false,
                rd: bits,
                rn: bits,
                src: bits.into(),
            });
        }
    }

    /// Leaves in `mask` who is left in, the first lane on top, with the flags of that; r4 has the number of lanes
    /// from the block on.
    pub(super) fn collect(&self, asm: &mut Assembler, mask: Reg) {
        for &bits in &COLLECT[1..self.tests.len()] {
            asm.emit(Inst::Alu {
                op: AluOp::And,
                s: false,
                rd: R0,
                rn: R0,
                src: bits.into(),
            });
        }
        let above = u8::try_from(32 - self.block).unwrap_or(0);
        asm.emit(Inst::lsls(mask, R0, above));
        if self.partial {
            let whole = asm.label();
            asm.emit(Inst::cmp(R4, u32::try_from(self.block).unwrap_or(32)));
            asm.b_if(Cond::Cs, whole);
            asm.emit(Inst::rsb(R12, R4, 32));
            asm.emit(shift(ShiftOp::Lsr, mask, R12));
            asm.emit(shift(ShiftOp::Lsl, mask, R12));
            asm.bind(whole);
            asm.emit(Inst::cmp(mask, 0));
        }
    }

    /// The register of a lane's value.
    fn of(&self, id: Id, lane: usize) -> SReg {
        let row = self.row[id.index()].expect("evaluated before use");
        SReg::ALL[row * self.block + lane]
    }
}

/// Shifts a register by another.
pub(super) fn shift(op: ShiftOp, reg: Reg, by: Reg) -> Inst {
    Inst::Shift {
        op,
        s: false,
        rd: reg,
        rn: reg,
        rm: by,
    }
}

/// What is compared, if all leave out what is less.
fn tests(graph: &Graph, steps: &[Step]) -> Option<Vec<(Id, Id)>> {
    let conds = steps.iter().filter_map(|step| match step {
        Step::Skip(cond) => Some(*cond),
        _ => None,
    });
    conds
        .map(|cond| match graph.node(cond) {
            Node::Cmp(Cmp::Lt, a, b) if graph.node(a) != Node::Const(0) => Some((a, b)),
            _ => None,
        })
        .collect()
}

/// A row of registers for each value, and how many there are; a result takes the row of an operand that dies.
fn rows(graph: &Graph, steps: &[Step]) -> Option<(Vec<Option<usize>>, usize)> {
    let uses = |step: &Step, id: Id| match *step {
        Step::Eval(user) | Step::Skip(user) => graph.operands(user).contains(&id),
        _ => false,
    };
    let mut row = vec![None; graph.len()];
    let mut until: Vec<usize> = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let id = match *step {
            Step::Eval(id) => id,
            Step::Skip(_) => continue,
            _ => return None,
        };
        if !matches!(
            graph.node(id),
            Node::Load(_) | Node::Binary(..) | Node::Unary(Unary::Neg | Unary::Sqrt, _)
        ) {
            return None;
        }
        let last = (at..steps.len()).rfind(|user| uses(&steps[*user], id));
        let last = last.unwrap_or(at).max(at + 1);
        let free = until.iter().position(|until| *until <= at);
        let place = free.unwrap_or(until.len());
        match free {
            Some(free) => until[free] = last,
            None => until.push(last),
        }
        row[id.index()] = Some(place);
    }
    Some((row, until.len()))
}

/// Moves a pointer on by so many words.
pub(super) fn on_by(pointer: Reg, count: Reg) -> Inst {
    Inst::add(pointer, pointer, Src::Reg(count, Shift::Lsl(2)))
}

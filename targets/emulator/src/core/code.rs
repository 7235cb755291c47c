//! Decoded code: blocks of micro-operations, made on first use and shared by every PE that runs the same bytes.
//!
//! A block starts anywhere and goes on, over conditional branches, to the first instruction that always leaves, or to a bound. Blocks may
//! overlap. Each is decoded at most once per image, whichever PE or thread gets there first; what it contains depends on the bytes alone.

use std::sync::OnceLock;

use super::decode::{Decoded, Fetched, decode, is_wide};
use super::fp::RUN_WIDTH;
use super::op::{Fp3, Op, Width};
use super::timing::Scoreboard;

/// Longest block, in instructions. It bounds how far a PE overshoots a time limit.
const MAX_INSTRUCTIONS: u32 = 96;

/// Executable bytes at their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CodeBytes {
    /// Sorted, not overlapping, not touching.
    ranges: Vec<(u32, Vec<u8>)>,
}

impl CodeBytes {
    /// Joins pieces of code; of pieces that overlap, the later one counts.
    pub(crate) fn new<'a>(pieces: impl IntoIterator<Item = (u32, &'a [u8])>) -> Self {
        let mut bytes = std::collections::BTreeMap::new();
        for (addr, piece) in pieces {
            bytes.extend((addr..).zip(piece.iter().copied()));
        }
        let mut ranges: Vec<(u32, Vec<u8>)> = Vec::new();
        for (addr, byte) in bytes {
            match ranges.last_mut() {
                Some((start, range)) if *start as usize + range.len() == addr as usize => {
                    range.push(byte);
                }
                _ => ranges.push((addr, vec![byte])),
            }
        }
        Self { ranges }
    }

    /// The halfword at an address, if both its bytes are code.
    fn halfword(&self, addr: u32) -> Option<u16> {
        let after = self.ranges.partition_point(|(start, _)| *start <= addr);
        let (start, bytes) = self.ranges[..after].last()?;
        let at = (addr - start) as usize;
        Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
    }

    /// The word at an aligned address, if all its bytes are code.
    fn word(&self, addr: u32) -> Option<u32> {
        if addr & 3 != 0 {
            return None;
        }
        let low = self.halfword(addr)?;
        let high = self.halfword(addr + 2)?;
        Some(u32::from(high) << 16 | u32::from(low))
    }

    pub(crate) fn ranges(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.ranges
            .iter()
            .map(|(start, bytes)| (*start, bytes.as_slice()))
    }

    /// The widest range of addresses below `size` without code: where stores need no check.
    pub(crate) fn widest_gap(&self, size: u32) -> (u32, u32) {
        let mut widest = (0, 0);
        let mut from = 0;
        for (start, bytes) in self
            .ranges
            .iter()
            .map(|(s, b)| (*s, b.len() as u32))
            .chain([(size, 0)])
        {
            if start.saturating_sub(from) > widest.1 - widest.0 {
                widest = (from, start);
            }
            from = start + bytes;
        }
        widest
    }
}

/// Totals of the instructions before an operation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Before {
    pub(crate) cycles: u32,
    /// Cycles the FPU still needs, paid by whoever leaves the block here.
    pub(crate) drain: u16,
    pub(crate) instructions: u16,
    /// Address of the operation's instruction.
    pub(crate) pc: u32,
}

/// Decoded instructions.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) start: u32,
    /// Where control goes after the last operation.
    pub(crate) end: u32,
    pub(crate) ops: Box<[Op]>,
    /// One more than `ops`.
    pub(crate) before: Box<[Before]>,
}

/// The decoded blocks of one image.
#[derive(Debug)]
pub(crate) struct Code {
    bytes: CodeBytes,
    max_instructions: u32,
    halt: Option<u32>,
    base: u32,
    blocks: Box<[OnceLock<Box<Block>>]>,
}

impl Code {
    pub(crate) fn new(bytes: CodeBytes) -> Self {
        Self::with_limits(bytes, MAX_INSTRUCTIONS, None)
    }

    /// Blocks of at most `max_instructions` (IT blocks stay whole), with an [`Op::Halt`] in place of the instruction at `halt`.
    pub(crate) fn with_limits(bytes: CodeBytes, max_instructions: u32, halt: Option<u32>) -> Self {
        let base = bytes.ranges.first().map_or(0, |(start, _)| start & !1);
        let end = bytes
            .ranges
            .last()
            .map_or(0, |(start, b)| *start + b.len() as u32);
        let slots = (end - base).div_ceil(2) as usize;
        Self {
            bytes,
            max_instructions,
            halt,
            base,
            blocks: (0..slots).map(|_| OnceLock::new()).collect(),
        }
    }

    pub(crate) fn bytes(&self) -> &CodeBytes {
        &self.bytes
    }

    /// The block at an address; `None` where there is no code.
    #[inline]
    pub(crate) fn block(&self, pc: u32) -> Option<&Block> {
        let slot = self
            .blocks
            .get((pc.wrapping_sub(self.base) >> 1) as usize)?;
        if let Some(block) = slot.get() {
            return Some(block);
        }
        self.bytes.halfword(pc)?;
        Some(slot.get_or_init(|| Box::new(Builder::new(self, pc).build())))
    }
}

/// Makes one block.
struct Builder<'a> {
    code: &'a Code,
    start: u32,
    pc: u32,
    it: u8,
    instructions: u32,
    fpu_checked: bool,
    timing: Scoreboard,
    ops: Vec<Op>,
    before: Vec<Before>,
}

impl<'a> Builder<'a> {
    fn new(code: &'a Code, start: u32) -> Self {
        Self {
            code,
            start,
            pc: start,
            it: 0,
            instructions: 0,
            fpu_checked: false,
            timing: Scoreboard::new(),
            ops: Vec::new(),
            before: Vec::new(),
        }
    }

    fn build(mut self) -> Block {
        while self.instructions < self.code.max_instructions || self.it & 15 != 0 {
            if self.code.halt == Some(self.pc) {
                self.push(Op::Halt);
                break;
            }
            if self.one_instruction() {
                break;
            }
        }
        let end = self.pc;
        self.before.push(self.totals());
        fuse(&mut self.ops, &mut self.before);
        Block {
            start: self.start,
            end,
            ops: self.ops.into(),
            before: self.before.into(),
        }
    }

    fn totals(&self) -> Before {
        Before {
            cycles: self.timing.now(),
            drain: self.timing.drain() as u16,
            instructions: self.instructions as u16,
            pc: self.pc,
        }
    }

    fn push(&mut self, op: Op) {
        let before = self.totals();
        self.ops.push(op);
        self.before.push(before);
    }

    /// Appends an instruction; true if the block ends with it.
    fn one_instruction(&mut self) -> bool {
        let Some(first) = self.code.bytes.halfword(self.pc) else {
            return self.outside();
        };
        let wide = is_wide(first);
        let second = if wide {
            self.code.bytes.halfword(self.pc.wrapping_add(2))
        } else {
            Some(0)
        };
        let Some(second) = second else {
            return self.outside();
        };
        let in_it = self.it & 15 != 0;
        let fetched = Fetched {
            pc: self.pc,
            first,
            second,
            in_it,
            last_in_it: self.it & 15 == 8,
        };
        let next = self.pc.wrapping_add(if wide { 4 } else { 2 });
        let leaves = match decode(&fetched) {
            Decoded::It(state) => {
                self.it = state;
                self.timing.plain();
                false
            }
            Decoded::One(op) => self.instruction(op, None),
            Decoded::Two(op, jump) => self.instruction(op, Some(jump)),
        };
        self.instructions += 1;
        self.pc = next;
        if in_it {
            self.it = if self.it & 7 == 0 {
                0
            } else {
                (self.it & 0xe0) | ((self.it << 1) & 0x1f)
            };
        }
        leaves && !in_it
    }

    /// The code ends in the middle of a block.
    fn outside(&mut self) -> bool {
        self.push(Op::ExecuteOutsideCode);
        true
    }

    fn instruction(&mut self, op: Op, jump: Option<Op>) -> bool {
        let op = self.localise(op);
        let cond = if self.it & 15 == 0 { 14 } else { self.it >> 4 };
        let conditional = cond != 14;
        // Micro-operations of an instruction all carry the totals before it.
        let before = self.totals();
        let check = op.uses_fpu() && !self.fpu_checked;
        let start = self.ops.len();
        if conditional {
            self.ops.push(Op::Nop);
        } else if check {
            self.fpu_checked = true;
        }
        self.ops.extend(check.then_some(Op::CheckFpu));
        self.ops.push(self.literal(op));
        self.timing.issue(&op);
        if let Some(jump) = jump {
            self.ops.push(jump);
            // A load to PC; after LDM and data processing the refill is all there is to pay.
            if matches!(
                op,
                Op::LdrWord { .. }
                    | Op::LdrWordPost { .. }
                    | Op::Ldr { .. }
                    | Op::LdrReg { .. }
                    | Op::LdrAbs { .. }
            ) {
                self.timing.issue(&jump);
            }
        }
        if conditional {
            let refund = (self.timing.now() - before.cycles).saturating_sub(1) as u16;
            self.ops[start] = Op::SkipUnless {
                cond,
                n: (self.ops.len() - start - 1) as u8,
                refund,
            };
        }
        self.before.resize(self.ops.len(), before);
        jump.is_some() || op.ends_flow() || op.never_continues() || op.may_unmask()
    }

    /// A load of a constant that lies among the code, which cannot change, needs no memory.
    fn literal(&self, op: Op) -> Op {
        match op {
            Op::LdrAbs {
                width: Width::Word,
                rt,
                addr,
            } => match self.code.bytes.word(addr) {
                Some(imm) => Op::MovImm { rd: rt, imm },
                None => op,
            },
            Op::VldrAbs { d, count: 1, addr } => match self.code.bytes.word(addr) {
                Some(bits) => Op::VmovImm { d, bits },
                None => op,
            },
            op => op,
        }
    }

    /// Branches to the start of the block itself need no lookup.
    fn localise(&self, op: Op) -> Op {
        match op {
            Op::B { target } if target == self.start => Op::Again,
            Op::Bcond { cond, target } if target == self.start => Op::AgainIf { cond },
            op => op,
        }
    }
}

impl Op {
    /// Whether CPACR must allow it.
    fn uses_fpu(&self) -> bool {
        matches!(
            self,
            Op::Vadd { .. }
                | Op::Vsub { .. }
                | Op::Vmul { .. }
                | Op::Vfma { .. }
                | Op::Fp3 { .. }
                | Op::Fp2 { .. }
                | Op::Vcmp { .. }
                | Op::VcmpZero { .. }
                | Op::VmovImm { .. }
                | Op::VcvtFixed { .. }
                | Op::VmovToCore { .. }
                | Op::VmovFromCore { .. }
                | Op::VmovPairToCore { .. }
                | Op::VmovPairFromCore { .. }
                | Op::VmrsApsr
                | Op::Vmrs { .. }
                | Op::Vmsr { .. }
                | Op::Vldr { .. }
                | Op::Vstr { .. }
                | Op::Vldm { .. }
                | Op::Vstm { .. }
                | Op::VldrAbs { .. }
        )
    }

    /// Whether interrupts may become possible: the block ends, so that they are taken at once. The FPU may also be switched.
    fn may_unmask(&self) -> bool {
        matches!(self, Op::Cps { .. } | Op::Msr { .. })
    }

    /// The operation in the general form, if it is one that runs of consecutive registers are made of.
    fn as_fp3(&self) -> Option<(Fp3, u8, u8, u8)> {
        Some(match *self {
            Op::Vadd { d, n, m } => (Fp3::Add, d, n, m),
            Op::Vsub { d, n, m } => (Fp3::Sub, d, n, m),
            Op::Vmul { d, n, m } => (Fp3::Mul, d, n, m),
            Op::Vfma { d, n, m } => (Fp3::Fma, d, n, m),
            Op::Fp3 { op, d, n, m } => (op, d, n, m),
            _ => return None,
        })
    }
}

/// Replaces frequent sequences by one operation. Nothing in them can fault or be the target of a skip.
fn fuse(ops: &mut Vec<Op>, before: &mut Vec<Before>) {
    let (old_ops, old_before) = (std::mem::take(ops), std::mem::take(before));
    let mut protected = 0;
    let mut at = 0;
    while at < old_ops.len() {
        let (op, len) = if let Op::SkipUnless { n, .. } = old_ops[at] {
            protected = at + 1 + usize::from(n);
            (old_ops[at], 1)
        } else if at < protected {
            (old_ops[at], 1)
        } else {
            fused(&old_ops[at..])
        };
        ops.push(op);
        before.push(old_before[at]);
        at += len;
    }
    before.extend(old_before.last());
}

/// The operation the sequence starts with, and how many it stands for.
fn fused(ops: &[Op]) -> (Op, usize) {
    match *ops {
        [Op::Vcmp { d, m }, Op::VmrsApsr, ..] => (Op::VcmpToApsr { d, m }, 2),
        [Op::VcmpZero { d }, Op::VmrsApsr, ..] => (Op::VcmpZeroToApsr { d }, 2),
        [op, ..] => run_of(ops).unwrap_or((op, 1)),
        [] => (Op::Nop, 1),
    }
}

/// The same floating-point operation on consecutive registers.
fn run_of(ops: &[Op]) -> Option<(Op, usize)> {
    let (op, d, n, m) = ops[0].as_fp3()?;
    let (_, d1, n1, m1) = ops.get(1)?.as_fp3()?;
    let (n_step, m_step) = (n1.wrapping_sub(n), m1.wrapping_sub(m));
    if d1 != d + 1 || n_step > 1 || m_step > 1 {
        return None;
    }
    let continues =
        |(i, next): &(u8, &Op)| next.as_fp3() == Some((op, d + i, n + i * n_step, m + i * m_step));
    let len = (0u8..32).zip(ops).take_while(continues).count();
    let count = len as u8;
    let hazard = |operand, step| hazard(d, count, operand, step);
    if count < 2 || hazard(n, n_step) || hazard(m, m_step) {
        return None;
    }
    Some((
        Op::VRun {
            op,
            d,
            n,
            m,
            count,
            n_step,
            m_step,
        },
        len,
    ))
}

/// Whether operations of a run that are computed together could read, as this operand, a result of one another.
fn hazard(d: u8, count: u8, operand: u8, step: u8) -> bool {
    if step == 0 {
        (d..d + count - 1).contains(&operand)
    } else {
        (1..RUN_WIDTH as u8).contains(&d.wrapping_sub(operand))
    }
}

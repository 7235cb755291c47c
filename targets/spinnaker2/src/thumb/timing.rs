//! How many cycles an instruction takes on a Cortex-M4F with zero-wait-state memory.
//!
//! The model is static and in order, after the timing tables of the processor's manual: an instruction has a cost, some
//! results are late, and loads in a row overlap. It does not know how soon a division ends (it takes a middle value), nor
//! contention on the memory banks; a branch counts as taken when it goes backwards or always, as not taken when it is
//! conditional and goes forwards.

use super::inst::{FArithOp, FUnaryOp, Inst, LoadOp};
use super::operand::{Addr, Reg};

/// Cycles to refill the pipeline after a jump.
pub const REFILL: u32 = 2;

impl Inst {
    /// Its cost by itself.
    #[must_use]
    pub fn cycles(&self) -> u32 {
        match *self {
            Inst::Div { .. } => 7, // 2 to 12, by the difference of the magnitudes
            Inst::Load { rt: Reg::Pc, .. } => 2 + 1 + REFILL,
            Inst::Load { .. } | Inst::LoadLiteral { .. } => 2,
            Inst::Store {
                addr: Addr::Index(..),
                ..
            } => 2,
            Inst::LoadPair { .. } | Inst::StorePair { .. } => 3,
            Inst::LoadMany { regs, .. } | Inst::Pop { regs } => {
                let refill = if regs.contains(Reg::Pc) {
                    1 + REFILL
                } else {
                    0
                };
                1 + regs.len() + refill
            }
            Inst::StoreMany { regs, .. } | Inst::Push { regs } => 1 + regs.len(),
            Inst::B {
                cond: Some(_),
                offset,
                ..
            } if offset >= 0 => 1,
            Inst::Cbz { .. } => 1,
            Inst::B { .. } | Inst::Bl { .. } | Inst::Bx { .. } | Inst::Blx { .. } => 1 + REFILL,
            Inst::FArith { op, .. } => match op {
                FArithOp::Vadd | FArithOp::Vsub | FArithOp::Vmul | FArithOp::Vnmul => 1,
                FArithOp::Vdiv => 14,
                _ => 3,
            },
            Inst::FUnary {
                op: FUnaryOp::Vsqrt,
                ..
            } => 14,
            Inst::FMoveFromCore { .. }
            | Inst::FMoveToCore { .. }
            | Inst::FMovePairFromCore { .. }
            | Inst::FMovePairToCore { .. }
            | Inst::FLoad { .. }
            | Inst::FStore { .. }
            | Inst::FLoadLiteral { .. } => 2,
            Inst::FLoadMany { regs, .. }
            | Inst::FStoreMany { regs, .. }
            | Inst::FPush { regs }
            | Inst::FPop { regs } => 1 + regs.len(),
            Inst::Mrs { .. } | Inst::Msr { .. } => 2,
            _ => 1,
        }
    }

    /// Cycles between its end and the use of its float result.
    fn float_latency(&self) -> u32 {
        match self {
            Inst::FArith { op, .. } if *op != FArithOp::Vdiv => 1,
            Inst::FConvert { .. } => 1,
            Inst::FUnary { op, .. } => match op {
                FUnaryOp::Vabs | FUnaryOp::Vneg => 1,
                FUnaryOp::Vmov | FUnaryOp::Vsqrt => 0,
            },
            _ => 0,
        }
    }

    /// Whether it is a load that overlaps with another just before it.
    fn pipelined_load(&self) -> bool {
        match *self {
            Inst::Load { op, rt, addr } => {
                op != LoadOp::Ldr || (rt != Reg::Pc && !addr.writes_back())
            }
            Inst::LoadLiteral { rt, .. } => rt != Reg::Pc,
            _ => false,
        }
    }

    fn is_alu(&self) -> bool {
        matches!(
            self,
            Inst::Move { .. }
                | Inst::Movw { .. }
                | Inst::Movt { .. }
                | Inst::Alu { .. }
                | Inst::Shift { .. }
                | Inst::Mul { .. }
                | Inst::MulAcc { .. }
                | Inst::Extend { .. }
                | Inst::Extract { .. }
                | Inst::Bfi { .. }
                | Inst::Bfc { .. }
                | Inst::Bits { .. }
                | Inst::Saturate { .. }
                | Inst::Adr { .. }
        )
    }
}

/// Counts cycles along straight-line code.
#[derive(Clone, Debug, Default)]
pub struct Timing {
    previous: Option<Inst>,
}

impl Timing {
    /// A pipeline that nothing is in.
    #[must_use]
    pub fn new() -> Timing {
        Timing::default()
    }

    /// The cycles the next instruction adds.
    pub fn issue(&mut self, inst: &Inst) -> u32 {
        let cost = match &self.previous {
            Some(previous) => after(previous, inst),
            None => inst.cycles(),
        };
        self.previous = Some(*inst);
        cost
    }

    /// Forget what went before, as at a place that is jumped to.
    pub fn restart(&mut self) {
        self.previous = None;
    }
}

/// The cycles of an instruction that directly follows another.
fn after(previous: &Inst, inst: &Inst) -> u32 {
    let effects = inst.effects();
    let written = previous.effects().writes;
    let mut cycles = inst.cycles();
    if previous.pipelined_load() && inst.pipelined_load() && effects.address & written.core == 0 {
        cycles -= 1;
    }
    if previous.is_alu() && effects.address & written.core != 0 {
        cycles += 1;
    }
    if effects.reads.float & written.float != 0 {
        cycles += previous.float_latency();
    }
    cycles
}

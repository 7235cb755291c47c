//! Nodes of a graph as instructions, once it is known which registers they work on.

use nirc_ir::event::{Binary, Cmp, Unary};

use super::graph::{Id, Node};
use crate::thumb::{Assembler, Cond, ConvertOp, FpImm, Inst, ItBlock, SReg};

/// Loads a constant.
pub(super) fn immediate(asm: &mut Assembler, to: SReg, value: f32) {
    match FpImm::new(value) {
        Some(imm) => asm.emit(Inst::FMoveImm { sd: to, imm }),
        None => asm.vldr_const(to, value),
    }
}

/// The number in a register, which is an integer, as a float.
pub(super) fn to_float(reg: SReg) -> Inst {
    Inst::FConvert {
        op: ConvertOp::F32FromU32,
        sd: reg,
        sm: reg,
    }
}

/// Moves a number, unless it is there.
pub(super) fn copy(asm: &mut Assembler, to: SReg, from: SReg) {
    if to != from {
        asm.emit(Inst::vmov(to, from));
    }
}

/// One operation that rounds once, or a sign; `of` tells where operands are.
pub(super) fn arithmetic(asm: &mut Assembler, node: Node, to: SReg, of: impl Fn(Id) -> SReg) {
    match node {
        Node::Unary(Unary::Neg, a) => asm.emit(Inst::vneg(to, of(a))),
        Node::Unary(Unary::Sqrt, a) => asm.emit(Inst::vsqrt(to, of(a))),
        Node::Binary(op, a, b) => {
            let (a, b) = (of(a), of(b));
            asm.emit(match op {
                Binary::Add => Inst::vadd(to, a, b),
                Binary::Sub => Inst::vsub(to, a, b),
                Binary::Mul => Inst::vmul(to, a, b),
                Binary::Div => Inst::vdiv(to, a, b),
            });
        }
        Node::Fma(a, b, c) => {
            let (a, b, c) = (of(a), of(b), of(c));
            copy(asm, to, c);
            asm.emit(Inst::vfma(to, a, b));
        }
        node => unreachable!("{node:?} is no arithmetic"),
    }
}

/// `a` where the condition holds, else `b`.
pub(super) fn select(asm: &mut Assembler, to: SReg, cond: Cond, a: SReg, b: SReg) {
    if to == b {
        asm.emit_if(cond, Inst::vmov(to, a));
    } else if to == a {
        asm.emit_if(cond.inverse(), Inst::vmov(to, b));
    } else {
        asm.emit(Inst::It(ItBlock::then_else(cond)));
        asm.emit(Inst::vmov(to, a));
        asm.emit(Inst::vmov(to, b));
    }
}

/// The condition under which a comparison is true; all are false where the operands are unordered.
pub(super) fn condition(op: Cmp) -> Cond {
    match op {
        Cmp::Gt => Cond::Gt,
        Cmp::Ge => Cond::Ge,
        Cmp::Lt => Cond::Mi,
        Cmp::Eq => Cond::Eq,
    }
}

/// The condition under which a comparison is true whose second operand was compared with the first.
pub(super) fn mirrored(op: Cmp) -> Cond {
    match op {
        Cmp::Gt => Cond::Mi,
        Cmp::Ge => Cond::Ls,
        Cmp::Lt => Cond::Gt,
        Cmp::Eq => Cond::Eq,
    }
}

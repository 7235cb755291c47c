//! Thumb-2 and FPv4-SP: instructions, their bits, their text, their cycles, and an assembler.
//!
//! [`Inst`] is one instruction with typed operands; [`Inst::encode`] gives its bits or says why there are none, and its
//! `Display` is the text GNU objdump prints for those bits. [`Assembler`] strings instructions together with labels,
//! literal pools and data and makes a [`Program`]: bytes, listing, symbols.
//!
//! ```
//! use nirc_spinnaker2::thumb::{Addr, Assembler, Cond, Inst, Reg::*, SReg::*};
//!
//! // Sum of r1 floats from r0 on, in s0.
//! let mut asm = Assembler::new();
//! let (sum, done) = (asm.label(), asm.label());
//! asm.function("sum", sum);
//! asm.vldr_const(S0, 0.0);
//! asm.cbz(R1, done);
//! let next = asm.here();
//! asm.emit(Inst::vldr(S1, R0, 0));
//! asm.emit(Inst::add(R0, R0, 4));
//! asm.emit(Inst::vadd(S0, S0, S1));
//! asm.emit(Inst::subs(R1, R1, 1));
//! asm.b_if(Cond::Ne, next);
//! asm.bind(done);
//! asm.emit(Inst::ret());
//! let program = asm.finish(0x100)?;
//! assert_eq!(program.addr(sum), Some(0x100));
//! # Ok::<(), nirc_spinnaker2::thumb::AsmError>(())
//! ```

mod asm;
mod effects;
mod encode;
mod inst;
mod layout;
mod operand;
mod program;
mod text;
mod timing;

pub use asm::{AsmError, AsmProblem, Assembler, Label};
pub use effects::{Effects, RegSet};
pub use encode::{Code, EncodeError, modified_immediate};
pub use inst::{
    AluOp, BarrierOp, BitsOp, CompareOp, ConvertOp, ExtendOp, FArithOp, FUnaryOp, HintOp, Inst,
    LoadOp, Mode, MoveOp, MulAccOp, MulLongOp, ShiftOp, StoreOp, SysReg, Width,
};
pub use operand::{Addr, Cond, FpImm, ItBlock, Reg, RegList, SList, SReg, Shift, Slot, Src};
pub use program::{ListingLine, Mapping, MappingKind, Program, Symbol, SymbolKind};
pub use text::Place;
pub use timing::{REFILL, Timing};

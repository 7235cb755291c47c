//! nirc-emulator

#![forbid(unsafe_code)]

mod core;
mod fault;
mod machine;
mod symbols;

pub use fault::{Fault, FaultKind};
pub use machine::{Machine, MachineError, Ran};
pub use symbols::{Segment, SegmentKind, SymbolTable};

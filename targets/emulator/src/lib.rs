//! nirc-emulator

#![forbid(unsafe_code)]

mod chip;
mod comms;
mod config;
mod core;
mod devices;
mod fault;
mod machine;
mod pe;
mod quad;
mod router;
mod symbols;
mod timer;

pub use chip::{Chip, ChipError, RunSummary};
pub use config::{
    ChipConfig, CommsConfig, ConfigError, FifoRegisters, NocConfig, SharedConfig, TimerConfig,
};
pub use fault::{Fault, FaultKind};
pub use machine::{Machine, MachineError, Ran};
pub use pe::Counters;
pub use quad::RouterCounters;
pub use router::{PeSet, Route, RouteError};
pub use symbols::{Segment, SegmentKind, SymbolTable};

//! The SpiNNaker2 chip in software: it executes the bytes of a firmware image, as the chip's processing elements (PEs) would.
//!
//! [`Chip`] is the whole: PEs with their SRAM, timers and communication controller, the network between them, the multicast router, and a
//! host that loads, reads, writes and injects packets. [`Machine`] is one core with flat memory, to call machine code like a function.
//! Both run the same interpreter: Armv7E-M Thumb-2 with the single-precision FPU, decoded once into blocks of micro-operations that all PEs
//! with the same code share.
//!
//! # What it is not
//! - Not a description of a particular chip: every address, clock, latency and field value comes in [`ChipConfig`], and what of it is
//!   published, what assumed, is the affair of the target file it is filled from.
//! - Not a model of contention. Links, router and memory banks take any number of transfers at once, sending never has to wait, and the
//!   instruction timing is that of the Cortex-M4 with memory that never waits. Cycle counts are estimates, the same ones every time.
//! - Not complete. What is left out faults when it is used, with a kind that says so: the SIMD half of the DSP extension, SysTick, MPU,
//!   NMI and fault handlers (a fault ends the run instead), bulk DMA, transmit channels 1 to 3, the accelerators, DRAM, chip links.
//!   The cumulative exception flags of FPSCR are not computed, they hold what software writes; reading SP after
//!   writing a value that is no multiple of four gives that value; accesses that are not aligned take no extra cycles.
//!
//! # Invariants
//! - **Bits.** Floating-point results are IEEE, to nearest, with exact denormals and the ARM rules for NaNs, on any host. Any other mode
//!   (FPSCR rounding, flush to zero, default NaN) faults when it is set.
//! - **Determinism.** Memory, clocks and counters after [`Chip::run`] are a function of what was loaded, written and injected; the number
//!   of host threads is not in it. The PEs of a quad are simulated by one thread, exactly in step wherever they can observe each other.
//!   Quads run side by side for a quantum of cycles; what one sends to another takes effect at the later of its latency and the end of the
//!   quantum, in the order of (time, source PE, the source's order).
//! - **Memory.** A store from another PE is seen by the PE it goes to when that PE next observes the outside (reads the communication
//!   controller or interrupt state, sleeps, can be interrupted) or begins a quantum, and not before it arrived. A load from another quad sees
//!   that memory as it is somewhere within the present quantum: read what is at rest.
//! - **Interrupts** are taken between blocks of straight-line code, exactly at the arrival's cycle or up to a block (at most 96
//!   instructions) later.
//! - **Faults, not panics.** Whatever a program does ends in a [`Fault`] with PE, PC, cycle, address and symbol. Code is read-only: a store
//!   into it, from wherever, is a fault.

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

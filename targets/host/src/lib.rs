//! The native simulator: event programs on the cores of this machine, with the interpreter's bits.
//!
//! [`HostSimulator`] compiles each handler of a [`Program`](nirc_ir::event::Program) once and then
//! runs batches of samples, as [`Executor`](nirc_ir::executor::Executor) demands.
//!
//! # How it works
//! * `compile` turns a body into a few steps over all lanes of a process. A loaded value *is* its
//!   array and a stored value is computed in place, so the decay `i = i * a + x` is one step that
//!   reads two arrays and writes one. Handlers of one lane, and of scalars, become steps of a scalar
//!   machine instead.
//! * `space` lays the arrays of a replica out in one block, padded to whole cache lines.
//! * `vector` runs the steps. It is plain Rust over fixed-size chunks, compiled three times (`isa`):
//!   for what every machine has, for AVX2 and for AVX-512.
//! * `synapses` runs handlers over the synapses of a source from the axes of the connection; it keeps no
//!   list of synapses. What such a handler would compute for a lane again and again is computed once
//!   (`hoist`).
//! * `replica` runs a sample, forward and then (`adjoint`) backwards. Work follows spikes: a process does
//!   something in a bin because the bin ends or because something came. All bins of a process run before
//!   those of the next (backwards: of the one before), but for processes that lie on a way back, which run
//!   bin by bin (`order`).
//! * `group` has the replicas that a thread runs. With ticks it is one; of exact event times several go through their
//!   samples together, since what one of them does at a time is too little for the vector machine. `exact` takes them
//!   from arrival to arrival, searches the intervals between them and keeps their `course`, `back` takes them back.
//!   `rows` has the first conditions of a search run for many replicas, and for many intervals of few lanes (`advance`);
//!   the lanes that are left, and own spikes on the way back, are gathered into `lists`, and `newton` finds their roots in
//!   lockstep. `prepared` makes of the times of arrivals what handlers make of them alone, and `arrivals` goes back
//!   through many at once where lanes are few.
//! * `tape` keeps what a process emits for the whole sample, with the errors that come back for it: of
//!   values, 4 bytes a lane and bin, and as many for each channel that brings errors.
//! * `rest` finds ticks that need not run before something has happened.
//! * `pool` spreads the replicas over threads, and `optimiser` adds up what they found, replica by
//!   replica.
//!
//! # Invariants
//! * The bits are the interpreter's (NaNs may differ in their payload). Multiplication and addition
//!   are two roundings unless the program says `fma`; folds ascend; nothing reassociates.
//! * Results depend on neither the number of threads nor the set of instructions.
//! * Padding lanes hold numbers, but never spike and never enter a fold.
//! * A batch that fails leaves weights and optimiser as they were.
//! * Nothing allocates while a sample runs, once tapes have grown to what samples need.
//!
//! # What it is not
//! It knows nothing of the chip: no packets, no cycles, no energy. It does not simulate anything but
//! event programs, and it makes no step of its own: what a program does not say is not done.

#![deny(unsafe_code)]

mod adjoint;
mod advance;
mod arena;
mod arrivals;
mod back;
mod code;
mod compile;
mod course;
mod exact;
mod facts;
mod frame;
mod group;
mod hoist;
mod isa;
mod lists;
mod newton;
mod optimiser;
mod order;
mod plan;
mod pool;
mod prepared;
mod replica;
mod rest;
mod routine;
mod rows;
mod scalar;
mod simulator;
mod space;
mod synapses;
mod tape;
mod vector;

pub use simulator::HostSimulator;

#[cfg(test)]
mod tests;

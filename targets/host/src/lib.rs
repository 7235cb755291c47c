//! The native simulator: event programs on the cores of this machine, as fast as they go.

#![deny(unsafe_code)]

mod arena;
mod check;
mod code;
mod compile;
mod facts;
mod frame;
mod isa;
mod optimiser;
mod plan;
mod pool;
mod replica;
mod routine;
mod scalar;
mod simulator;
mod space;
mod vector;

pub use simulator::HostSimulator;

#[cfg(test)]
mod tests;

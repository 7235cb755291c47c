//! What suites share: the recorded arrays and the networks they belong to, random programs, garbled files,
//! the comparison of an executor with the interpreter, and foreign tools.
//!
//! It holds no test itself; the suites are in `tests/`.

#![forbid(unsafe_code)]

pub mod agreement;
mod backward;
mod bodies;
pub mod files;
pub mod forward;
pub mod golden;
pub mod graphs;
pub mod mutate;
pub mod random;
pub mod rng;
pub mod shared;
pub mod tools;

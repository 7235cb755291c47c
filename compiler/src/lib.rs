//! The compiler: from NIR graphs to event programs.
//!
//! It imports and exports .nir files, lowers networks to forward programs, derives their adjoints and
//! adds loss and optimiser. It knows no device, starts no thread and prints nothing.

#![forbid(unsafe_code)]

pub mod adjoint;
pub mod lower;
pub mod nir;
pub mod options;

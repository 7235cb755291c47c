//! The compiler: from NIR graphs to event programs.
//!
//! ```text
//! .nir ─ nir ─► Network ─ passes ─► the same as synapses ─ lower ─► forward handlers ─ adjoint ─► + adjoint handlers, loss, optimiser
//! ```
//!
//! - [`nir`]: files in and out. Everything that is wrong with a file is told at once, and what is not
//!   trained goes back as it came.
//! - [`passes`]: networks as files state them to networks of synapses: paths of nodes fused, biases and
//!   delays taken out of them, what has no effect left out.
//! - [`lower`]: networks to event programs; a neuron model is described once, by its forward handlers.
//! - [`adjoint`]: what runs backwards, derived from the forward handlers alone.
//! - [`convert`]: parameters by which another convention computes the same; [`passes`]: networks to networks.
//! - [`options`]: what a program is made for.
//!
//! # What it is not
//! It knows no device, starts no thread and prints nothing. Mapping and code generation belong to the
//! targets.
//!
//! # Invariants
//! - No semantic choice is made here: each is an attribute of the network's convention.
//! - The verifier has accepted every program that leaves, in release builds too.
//! - There is no code per neuron model in the adjoint's derivation.
//! - The same input gives the same program, to the last digit of its text.

#![forbid(unsafe_code)]

pub mod adjoint;
pub mod convert;
pub mod lower;
pub mod nir;
pub mod options;
pub mod passes;

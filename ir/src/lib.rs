//! The intermediate representations of nirc.
//!
//! Three things live here, and nothing that touches a file, a thread or a device:
//!
//! * the [`network`]: populations and projections with every semantic choice spelt out,
//! * the [`event`] program: forward, adjoint, loss and optimiser as handlers over lanes,
//! * the interpreter of event programs, which *is* their meaning; every other executor has to agree
//!   with it to the bit.
//!
//! # Invariants
//! * Both IRs have a text that parses back to the same value, and a verifier that names what is wrong.
//! * All arithmetic is IEEE `f32`, and its order and every rounding are in the program.
//! * Iteration is over entities in order; nothing depends on addresses, hashes or time.
//! * After verification nothing here panics.

#![forbid(unsafe_code)]

pub mod codes;
pub mod connection;
pub mod convention;
pub mod diagnostic;
pub mod entity;
pub mod event;
pub mod executor;
pub mod interpreter;
pub mod linear;
pub mod math;
pub mod network;
pub mod text;
pub mod verify;
pub mod verify_network;

pub use diagnostic::{Diagnostic, Diagnostics, Severity};

//! Everything that is particular to the SpiNNaker2 chip: what is known of it, where things go on it, and the machine code
//! that runs on it.
//!
//! ```text
//! event programs ─ mapping ─► slices on PEs, keys, routes ─ codegen ─► thumb ─► elf ─► bundle
//!                                    ▲                         ▲
//!                                  target                     abi
//! ```
//!
//! - [`target`]: the chip as data. Addresses, clocks, energies, each with source and trust.
//! - [`mapping`]: processes onto processing elements; keys, routes, tables.
//! - [`abi`]: the contract between firmware, routing tables and host.
//! - [`codegen`]: event programs as Cortex-M4F code.
//! - [`thumb`]: Thumb-2 and FPv4-SP: instructions, assembler, listing, cycle estimates.
//! - [`elf`]: firmware images as files that standard tools read.
//! - [`bundle`]: everything a run needs, in one directory.
//!
//! What it deliberately is not: it runs nothing (the emulator and the runtime do), it knows no NIR (event programs come
//! in), and it calls no tool of the system: no assembler, no linker. Those serve as oracles in the tests.
//!
//! Invariants:
//! - The same input gives the same bytes: nothing depends on hash order, time, threads or machine.
//! - No number of the chip stands in the code: it comes from a [`target::Target`], whose file says how far to trust it.
//! - The assembler takes the shortest encoding there is; its texts are objdump's, letter for letter.
//! - Bad input is an error that says what was expected and what was found; it never panics.

pub mod abi;
pub mod bundle;
pub mod codegen;
pub mod elf;
pub mod mapping;
pub mod target;
pub mod thumb;

//! nirc-spinnaker2

pub mod abi;
pub mod bundle;
pub mod codegen;
pub mod elf;
pub mod mapping;
pub mod target;
pub mod thumb;

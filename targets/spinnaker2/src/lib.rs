//! nirc-spinnaker2

pub mod abi;
pub mod mapping;
pub mod thumb;

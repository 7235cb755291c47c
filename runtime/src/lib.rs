//! nirc-runtime

#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod config;
pub mod data;
pub mod directory;
pub mod file;
pub mod model;
pub mod random;
pub mod training;

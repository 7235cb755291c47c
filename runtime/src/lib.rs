//! nirc-runtime

#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
pub mod directory;
pub mod emulated;
pub mod file;
pub mod jobs;
pub mod model;
pub mod program;
pub mod random;
pub mod report;
pub mod training;

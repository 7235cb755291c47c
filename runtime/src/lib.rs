//! The host side of a run: from a configuration to a trained network and a report of how it got there.
//!
//! ```text
//! configuration ─► model, data sets ─► event program ─► executor ─► batches ─► metrics, checkpoint,
//!                                                                              model.nir, report
//! ```
//!
//! - [`config`]: one TOML file, every choice of a run; all that is wrong with it is told at once.
//! - [`model`]: a `.nir` file as a network ready to compile, and back.
//! - [`data`], [`random`]: samples, their codes, and the generators behind them, equal to the bit to
//!   NumPy's and PyTorch's.
//! - [`program`], [`bundle`]: event programs for a job, and what the chip is loaded with.
//! - [`device`], [`emulated`]: the executors by name; sessions that stream batches to a device and look
//!   after its health. The emulated chip is the one device there is so far.
//! - [`reading`]: what is said beside a file when it is read; [`stimulus`], [`simulation`]: a network run
//!   forward on signals.
//! - [`training`]: epochs and batches over any executor.
//! - [`checkpoint`], [`directory`], [`mod@file`]: what is on disk, written so that nothing is ever half there.
//! - [`jobs`]: what a user asks for, put together from all of these. [`report`]: the page that shows it.
//!
//! # What it is not
//! It knows no neuron, no instruction and no address: those are the compiler's and the target's. It
//! prints nothing and draws no progress bar; whoever calls watches through a [`jobs::Watcher`].
//!
//! # Invariants
//! - **The same bits.** What comes out depends on configuration, model and data, and on nothing else: not
//!   on the executor, its threads, the time, or how often the run was interrupted and resumed.
//! - **Nothing is lost.** A run's directory can be resumed from at any moment, also after the process was
//!   killed; files are replaced whole or not at all, and a directory that holds something else is not
//!   touched.
//! - **Nothing spoilt is trained on.** A batch with lost packets or a device that complains is an error;
//!   weights stay as they were before it.
//! - **Bad input is a [`Diagnostic`](nirc_ir::Diagnostic)**, all of it at once, never a panic.

#![forbid(unsafe_code)]

pub mod bundle;
pub mod checkpoint;
pub mod config;
pub mod data;
pub mod device;
pub mod directory;
pub mod emulated;
pub mod file;
pub mod gradcheck;
pub mod jobs;
pub mod model;
pub mod program;
pub mod random;
pub mod reading;
pub mod report;
pub mod simulation;
pub mod stimulus;
pub mod training;

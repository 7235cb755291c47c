//! Data sets: where samples come from and how numbers become spikes; signals in files of any format.
//!
//! ```text
//! generators ─┐            ┌ latency: exact times ─► bins ┐
//! features ───┴► encoder ──┼ rate                         ├─► DataSet ─► Sets
//!                          └ threshold crossings          │
//! spikes in files ────────────────────────────────────────┘
//! ```

mod arrays;
mod crossing;
mod dataset;
mod encoder;
mod features;
mod labels;
mod latency;
mod load;
mod npy;
mod rate;
pub mod signal;
mod spikes;
mod temporal;
mod yin_yang;

pub use arrays::{Archive, read_errors, read_spikes};
pub use dataset::{DataSet, SpikesOutOfRange, TimedSpike};
pub use labels::read_labels;
pub use latency::{Latency, bin};
pub(crate) use load::wrong_bins;
pub use load::{Sets, training_samples};
pub(crate) use temporal::RING;
pub use yin_yang::{Point, yin_yang};

//! Data sets: where samples come from and how numbers become spikes; signals in files of any format.

mod arrays;
mod dataset;
mod latency;
mod load;
mod npy;
pub mod signal;
mod yin_yang;

pub use arrays::{Archive, read_errors, read_labels, read_spikes};
pub use dataset::{DataSet, SpikesOutOfRange};
pub use latency::Latency;
pub(crate) use load::wrong_bins;
pub use load::{Sets, training_samples};
pub use yin_yang::{Point, yin_yang};

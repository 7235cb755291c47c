//! Data sets: where samples come from and how numbers become spikes.

mod arrays;
mod dataset;
mod latency;
mod load;
mod yin_yang;

pub use arrays::{Archive, read_array, read_errors, read_labels, read_spikes};
pub use dataset::{DataSet, SpikesOutOfRange};
pub use latency::Latency;
pub(crate) use load::wrong_bins;
pub use load::{Sets, training_samples};
pub use yin_yang::{Point, yin_yang};

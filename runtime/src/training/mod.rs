//! Training: epochs and batches over any executor, and what is measured on the way.
//!
//! The trainer knows nothing of files. Its whole state between two batches is a [`Progress`] and the
//! arrays of the optimiser, with early stopping also those of the best epoch; whoever holds them can go on
//! from there, on any executor, to the bit.

mod balance;
mod early;
mod evaluate;
mod metrics;
mod trainer;
mod weights;

pub use early::Standing;
pub use evaluate::evaluate;
pub use metrics::{Epoch, Evaluation, Measured, Tally};
pub use trainer::{Ended, Observer, Progress, Snapshot, Trainer};
pub use weights::{OptimiserArrays, Weights, weights};
pub(crate) use weights::{by_output, hex};

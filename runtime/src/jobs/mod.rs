//! What a user asks for: train, compute gradients, run.
//!
//! Each job takes a configuration and files and leaves files; progress goes to whoever watches.
//! Nothing here prints.

mod gradient;
mod run;
pub(crate) mod stack;
mod train;

pub use gradient::{Gradient, gradient};
pub use run::{Ran, Run, Source, run};
pub use train::{ChipWork, Started, Train, Trained, Watcher, train};

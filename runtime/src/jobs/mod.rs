//! What a user asks for: train, compute gradients, run, check, compare.
//!
//! Each job takes a configuration and files and leaves files; progress goes to whoever watches.
//! Nothing here prints.

mod check;
mod convert;
mod data;
mod diff;
mod gradcheck;
mod gradient;
mod run;
pub(crate) mod stack;
mod supported;
mod train;

pub use check::{Check, Checked, NodeVerdict, Verdict, check};
pub use convert::{Convert, convert_file};
pub use data::{DataSummary, FirstSample, SetSummary, data};
pub use diff::{
    Apart, Behaviour, Compared, Comparison, Diff, Differences, Explanation, First, diff,
};
pub use gradcheck::{Gradcheck, Gradchecked, Tolerance, gradcheck};
pub use gradient::{Gradient, gradient};
pub use run::{Ran, Run, Source, run};
pub use supported::{PRIMITIVES, Support, supported};
pub use train::{ChipWork, Started, Train, Trained, Watcher, train};

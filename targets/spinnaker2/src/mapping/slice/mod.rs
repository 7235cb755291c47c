//! Populations that are too large for a PE, as several processes.
//!
//! [`slice()`] turns a program into one that means the same and whose processes have consecutive lanes of the
//! original's. A slice of `hidden` is called `hidden[100..200]`, and stands where `hidden` stood; only sources and
//! neurons of programs that do not go backwards are cut ([`can_be_cut`]). What belongs to a lane (states,
//! coefficients, traces, tapes, columns of dense weights) goes with it, and so do the sources of a sample, whose
//! channels are counted over all sources in order.
//!
//! # Order
//! A channel becomes one from each slice of its producer to each slice of its consumer, but for those that no
//! synapse is in. A consumer takes the slices of a producer in ascending order where it took the producer, and the
//! sources of each slice in ascending order: all sources in ascending order, as before. Lanes know nothing of one
//! another, so every lane sees the same events in the same order, and every sum is rounded as before. A delay of
//! 0 leads to a later process still, because slices stand in the place of the whole; a population that feeds
//! itself does so after one bin at least, and each of its slices feeds every one.
//!
//! # Weights
//! Of dense weights, a slice of the target has its columns and, for each slice of the producer, the rows of that.
//! Connections by taps are restricted to sources and lanes (`synapses`), and the weights to those that are
//! left. [`choose`] cuts where that leaves products: whole channels, or rows within a channel.
//!
//! [`Slicing`] says where everything is, so that whoever runs the sliced program can present the original.

mod choose;
mod cuts;
mod process;
mod synapses;
mod ways;
mod weights;

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Array, Proc, Program};

pub use choose::{Balance, choose};
pub use cuts::{Cuts, can_be_cut};
pub use weights::Elements;

/// A program in slices.
#[derive(Clone, Debug, PartialEq)]
pub struct Sliced {
    /// What runs.
    pub program: Program,
    /// Where the original is in it.
    pub slicing: Slicing,
}

/// Where the processes of a program are in the sliced one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slicing {
    /// The slices of each process, in ascending order of lanes.
    pub slices: PrimaryMap<Proc, Vec<Slice>>,
}

/// A slice of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice {
    /// The process of the sliced program.
    pub process: Proc,
    /// The original's lane that is lane 0 here.
    pub first: usize,
    /// How many lanes it has.
    pub lanes: usize,
    /// What it has of each of the original's arrays.
    pub parts: PrimaryMap<Array, Part>,
}

/// What a slice has of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The array has no lanes: each slice has the same.
    Same(Array),
    /// An element a lane.
    Lanes(Array),
    /// A row of lanes a bin.
    Rows(Array),
    /// Parts of a tensor, each in an array of its own.
    Weights(Vec<(Array, Elements)>),
}

impl Slicing {
    /// Whether any process is in several slices.
    pub fn cuts(&self) -> bool {
        self.slices.values().any(|slices| slices.len() > 1)
    }

    /// The original process that a process of the sliced program is part of.
    pub fn original(&self, process: Proc) -> Option<Proc> {
        let mut all = self.slices.iter();
        all.find(|(_, slices)| slices.iter().any(|s| s.process == process))
            .map(|(proc, _)| proc)
    }
}

/// Cuts a program, which must have passed the verifier; the result passes it too.
pub fn slice(program: &Program, cuts: &Cuts) -> Sliced {
    process::Slicer::new(program, cuts).slice()
}

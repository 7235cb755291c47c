//! Files of the Neuromorphic Intermediate Representation (.nir): in, out, and what they mean.
//!
//! [`read`] takes a file of any NIR version (0.1 to 1.0.8) into a [`File`]: the graph in nir-rs's
//! types, and beside it the content as it stood. [`import()`] gives the [`nirc_ir::network::Network`]
//! that the graph means under a convention, and [`compose()`] the file that means a network; [`compare()`]
//! puts two files side by side; [`export()`] puts trained weights into the content and leaves the rest
//! alone; [`summary()`] tells people what is in a file, and [`guess()`] what it looks like.
//!
//! # Invariants
//! * Whatever the bytes, reading ends, does not panic, and allocates in proportion to the file's size
//!   and within [`Limits`].
//! * A file that is read and exported without updates has the same nodes, edges, values, element types
//!   and metadata, also where nirc does not understand them. HDF5 attributes, which NIR does not have,
//!   are left out, with a note.
//! * What a file leaves open is never guessed: it comes from the convention, or it is an error. What was
//!   repaired is noted.
//! * Populations and projections stand in an order that depends on names and edges alone.

mod compare;
mod compose;
mod decode;
mod element;
mod export;
mod file;
mod guess;
mod import;
mod links;
mod reader;
mod rewrite;
mod summary;
pub mod tree;
mod writer;

pub use compare::{Difference, Side, Values, compare};
pub use compose::compose;
pub use decode::Undecoded;
pub use element::{ElementError, f16_to_f32};
pub use export::{Update, export};
pub use file::{File, read, read_bytes, read_bytes_within};
pub use guess::{Guess, guess};
pub use import::{ImportOptions, Stated, convention_metadata, import, neurons, stated_convention};
pub use reader::{Limits, read_data_tree};
pub use rewrite::rewrite;
pub use summary::{FieldSummary, NodeSummary, Summary, Verdict, summary};
pub use writer::{to_bytes, write_atomic};

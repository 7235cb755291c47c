//! Reports: what a run did, as one HTML file that needs no other.

mod chart;
mod chip;
mod forward;
pub(crate) mod gradcheck;
mod page;
mod raster;
mod svg;
mod training;

pub use forward::{Chip, ForwardReport};
pub use training::Report;

//! Passes over networks.

mod conventions;
mod quantise;

pub use conventions::{Change, conventions};
pub use quantise::quantise;

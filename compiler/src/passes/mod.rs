//! Passes over networks.

mod quantise;

pub use quantise::quantise;

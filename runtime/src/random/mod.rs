//! The generators: each named, written out, and with a state that a checkpoint can hold.
//!
//! * [`Mt19937`] draws what NumPy's legacy `RandomState` draws, because the published data sets and
//!   initial weights are defined by it.
//! * [`Xoshiro256`] (`xoshiro256++`) does everything else; today that is shuffling.

mod mt19937;
mod xoshiro;

pub use mt19937::Mt19937;
pub use xoshiro::Xoshiro256;

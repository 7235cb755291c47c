//! The generators: written out, and with a state that a checkpoint can hold.
//!
//! There is one engine, the Mersenne Twister [`Mt19937`], because what runs are compared with is
//! defined by it: NumPy's legacy `RandomState` makes the published data sets and initial weights, and
//! PyTorch's data loader ([`Sampler`]) the published order of training samples.

mod mt19937;
mod sampler;

pub use mt19937::{Mt19937, Mt19937State};
pub use sampler::{Sampler, permutation};

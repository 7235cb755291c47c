//! Programs on a chip: the emulated one in this process, others behind the same trait.
//!
//! A [`Device`] is what a [`Session`] needs of a chip: memory, packets, and to know when it is quiet.
//! The session is the [`Executor`](nirc_ir::executor::Executor): it streams samples, checks the health
//! of every PE after every round, and leaves the weights as they were if a batch went wrong.

mod device;
mod health;
mod layout;
mod session;
mod trouble;

pub use device::{Device, Lost};
pub use session::Session;

//! What a session needs of a chip: memory, packets, and to know when it is done.

use nirc_ir::Diagnostic;
use nirc_spinnaker2::mapping::PeId;

/// A chip with a bundle loaded. Addresses are a PE's own; every access is to whole words.
pub trait Device {
    /// Short name, as in [`nirc_ir::executor::Executor::name`].
    fn name(&self) -> &'static str;

    /// Loads every PE afresh from the bundle and starts it.
    ///
    /// # Errors
    /// If the device does not take it.
    fn restart(&mut self) -> Result<(), Diagnostic>;

    /// A batch begins: what is counted by batch starts at 0.
    fn begin(&mut self);

    /// Writes into a PE's SRAM.
    ///
    /// # Errors
    /// If there is no such PE or memory.
    fn write(&mut self, pe: PeId, address: u32, words: &[u32]) -> Result<(), Diagnostic>;

    /// Reads from a PE's SRAM.
    ///
    /// # Errors
    /// If there is no such PE or memory.
    fn read(&self, pe: PeId, address: u32, words: &mut [u32]) -> Result<(), Diagnostic>;

    /// Sends a multicast packet with a payload into the router.
    ///
    /// # Errors
    /// If the device does not take it.
    fn inject(&mut self, key: u32, payload: u32) -> Result<(), Diagnostic>;

    /// Runs until every PE sleeps and no packet is on its way.
    ///
    /// # Errors
    /// A fault, or no end within the device's limit.
    fn run_until_quiet(&mut self) -> Result<(), Diagnostic>;

    /// Packets lost since the start.
    ///
    /// # Errors
    /// If the device cannot be read.
    fn lost(&self) -> Result<Lost, Diagnostic>;
}

/// Packets lost since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Packets that no entry of the routing table matched.
    pub unrouted: u64,
    /// Packets that arrived at a full FIFO.
    pub dropped: u64,
    /// The first PE that dropped one.
    pub pe: Option<PeId>,
}

//! Why a program has no firmware.

use std::fmt::Write as _;

use super::memory::Region;
use crate::thumb::AsmError;

/// Why a program has no firmware.
#[derive(Debug, thiserror::Error)]
pub enum CodegenError {
    /// The processes of a PE must be one of the network, or all optimisers.
    #[error("a PE runs one source, neuron or loss process, or optimisers; found {found}")]
    Group {
        /// What the group holds.
        found: String,
    },
    /// Optimisers that depend on one another would run on several PEs.
    #[error(
        "the sum of measures takes all optimisers on one PE; of these, `{elsewhere}` would not be beside `{here}`"
    )]
    Measures {
        /// The optimisers of this PE.
        here: String,
        /// Those that measure, elsewhere.
        elsewhere: String,
    },
    /// A body keeps too many values alive.
    #[error(
        "{process}: {handler}: the values alive at once need more than the {available} {kind} registers"
    )]
    Registers {
        /// The process.
        process: String,
        /// The handler.
        handler: String,
        /// Which registers.
        kind: &'static str,
        /// How many there are.
        available: usize,
    },
    /// Two things in memory would share a name.
    #[error("two things in memory are called `{0}`; rename the process or the array")]
    Name(String),
    /// A number that a field of the firmware cannot hold.
    #[error("{what}: expected at most {limit}, found {found}")]
    Range {
        /// What the number counts.
        what: String,
        /// The largest possible.
        limit: u64,
        /// What the program asks for.
        found: u64,
    },
    /// The code is longer than the target's room for code.
    #[error("{name}: the code needs {needed} bytes, the target has {limit} for code")]
    Code {
        /// The firmware.
        name: String,
        /// Bytes of vectors and code.
        needed: u64,
        /// Bytes that the target has.
        limit: u64,
    },
    /// It does not fit into the SRAM.
    #[error("{name}: {needed} bytes of SRAM needed, {limit} available:{}", ledger(.regions))]
    Sram {
        /// The firmware.
        name: String,
        /// Bytes of everything.
        needed: u64,
        /// Bytes that the target has.
        limit: u64,
        /// Everything, with its size.
        regions: Vec<Region>,
    },
    /// Two things lie over one another: a mistake of the generator, found before it can do harm.
    #[error("{first} and {second} overlap at 0x{at:x}")]
    Overlap {
        /// What lies below.
        first: String,
        /// What begins within it.
        second: String,
        /// Where.
        at: u32,
    },
    /// An instruction has no encoding.
    #[error(transparent)]
    Assembler(#[from] AsmError),
}

/// The regions, the largest first.
fn ledger(regions: &[Region]) -> String {
    let mut sorted: Vec<&Region> = regions.iter().collect();
    sorted.sort_by_key(|r| (std::cmp::Reverse(r.len), r.addr));
    let mut text = String::new();
    for region in sorted {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n{:>8} {:<32} {}",
            region.len, region.symbol, region.purpose
        );
    }
    text
}

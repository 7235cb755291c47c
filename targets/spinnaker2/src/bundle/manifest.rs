//! `manifest.json`, `routes.json` and the data files: what they hold and how it is spelt.
//!
//! Addresses, keys and masks are numbers as JSON has them; sets and tables are in a fixed order, so
//! that the same bundle gives the same bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Version of this format. A reader refuses any other.
pub const VERSION: u32 = 2;

/// The whole of `manifest.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`VERSION`].
    pub version: u32,
    /// What wrote it.
    pub generator: String,
    /// Name of the network.
    pub network: String,
    /// SHA-256 of the event program's text.
    pub program: String,
    /// Bins of a sample.
    pub ticks: u32,
    /// Length of a bin in seconds.
    pub dt: f64,
    /// Replicas of the network.
    pub replicas: usize,
    /// Steps that a process may be ahead of a neighbour.
    pub window: u32,
    /// Bins that run at a time.
    pub segment: u32,
    /// The first lane of each slice of each process; absent where every process runs whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Vec<usize>>,
    /// Names of the tensors whose words are kept; absent likewise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tensors: Vec<String>,
    /// Name of the target.
    pub target: String,
    /// Every semantic choice, by name.
    pub convention: BTreeMap<String, String>,
    /// Processes that run, in the order of the program: slices where the program is in slices.
    pub processes: Vec<ProcessEntry>,
    /// Distinct images.
    pub images: Vec<ImageEntry>,
    /// What each PE runs.
    pub placements: Vec<PlacementEntry>,
    /// Who gets which keys.
    pub keys: Vec<KeyEntry>,
    /// SHA-256 of every other file.
    pub files: BTreeMap<String, String>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProcessEntry {
    /// Its name.
    pub name: String,
    /// `source`, `neurons`, `loss` or `optimiser`.
    pub role: String,
    /// Its lanes.
    pub lanes: usize,
    /// Name of its image.
    pub image: String,
    /// Its arrays.
    pub arrays: Vec<ArrayEntry>,
}

/// An array of a process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrayEntry {
    /// Its name.
    pub name: String,
    /// Its symbol in the image.
    pub symbol: String,
    /// Its address in the PE's SRAM.
    pub address: u32,
    /// Rows and columns of `f32`; empty for a single number. Where there is a row a bin, those of a segment.
    pub shape: Vec<usize>,
    /// The tensor whose values it starts with, for parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor: Option<String>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageEntry {
    /// Its name; its files are `images/NAME.elf`, `images/NAME.mem` and `listing/NAME.lst`.
    pub name: String,
    /// Numbers of the processes it runs.
    pub processes: Vec<u32>,
    /// Address of its first instruction.
    pub entry: u32,
    /// What its SRAM holds.
    pub memory: Vec<RegionEntry>,
}

/// A region of an image's SRAM.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionEntry {
    /// Its symbol.
    pub symbol: String,
    /// Its first byte.
    pub address: u32,
    /// Its bytes.
    pub size: u32,
    /// What it is for.
    pub purpose: String,
}

/// What a PE runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlacementEntry {
    /// The PE's address on the NoC.
    pub pe: u8,
    /// Quad x, quad y, PE in the quad.
    pub position: [u8; 3],
    /// Instance field of its keys.
    pub instance: u8,
    /// Numbers of its processes.
    pub processes: Vec<u32>,
    /// Name of its image.
    pub image: String,
    /// Its own data.
    pub data: String,
}

/// Keys of one kind from one sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    /// Instance field of the keys.
    pub instance: u8,
    /// What the packets say.
    pub packet: String,
    /// The fixed bits.
    pub key: u32,
    /// Which bits are fixed.
    pub mask: u32,
    /// How many of the keys are in use, from the first.
    pub used: u32,
    /// PEs that get them.
    pub to: Vec<u8>,
}

/// An entry of `routes.json`; the first match wins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEntry {
    /// The fixed bits.
    pub key: u32,
    /// Which bits are fixed.
    pub mask: u32,
    /// PEs that get what matches.
    pub to: Vec<u8>,
}

/// An entry of a PE's data file: words that differ from the image's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    /// The symbol they belong to.
    pub symbol: String,
    /// Address of the first.
    pub address: u32,
    /// The words.
    pub words: Vec<u32>,
}

/// `spec.json`, the hand-off of the chip's public host tools, as far as it is public: PEs as
/// `[x, y, pe]`, words by PE and address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spec {
    /// PEs in use.
    pub active_pes: Vec<[u8; 3]>,
    /// The `.mem` file of each of them.
    pub mem_files: Vec<String>,
    /// Per PE: address and words to write before the start.
    pub mem_data_to_send: Vec<Vec<(u32, Vec<u32>)>>,
    /// Per PE: address and number of words to read at the end.
    pub mem_regions_to_read: Vec<Vec<(u32, u32)>>,
}

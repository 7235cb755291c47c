//! What lies where in the SRAM of a PE.

use std::collections::BTreeMap;

use super::error::CodegenError;

/// A part of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    /// Vector table and code.
    Text,
    /// Initialised data.
    Data,
    /// Zeroed data.
    Bss,
    /// The stack, up to the end.
    Stack,
}

/// A named piece of SRAM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its symbol.
    pub symbol: String,
    /// Which part of the image it belongs to.
    pub section: Section,
    /// Address of its first byte.
    pub addr: u32,
    /// Length in bytes.
    pub len: u32,
    /// What it is for.
    pub purpose: String,
}

/// Everything in SRAM, by ascending address, without overlaps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMap {
    /// The regions.
    pub regions: Vec<Region>,
}

impl MemoryMap {
    /// Bytes in use, with the padding between regions.
    pub fn used(&self) -> u32 {
        self.regions.last().map_or(0, |r| r.addr + r.len)
    }

    /// The region called `symbol`.
    pub fn region(&self, symbol: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.symbol == symbol)
    }
}

/// What a region holds at the start.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Init {
    Zero,
    Words(Vec<u32>),
    /// The address of another region, or so many bytes behind it.
    AddressOf(String, u32),
}

/// A region that has no address yet.
#[derive(Clone, Debug)]
struct Wanted {
    symbol: String,
    section: Section,
    len: u64,
    purpose: String,
    init: Init,
}

/// Regions in the order in which they will lie.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    wanted: Vec<Wanted>,
}

impl Plan {
    /// Zeroed words.
    pub(super) fn words(
        &mut self,
        symbol: impl Into<String>,
        words: usize,
        purpose: impl Into<String>,
    ) {
        self.bytes(symbol, (words as u64).saturating_mul(4), purpose);
    }

    /// Zeroed bytes, rounded up to whole words.
    pub(super) fn bytes(
        &mut self,
        symbol: impl Into<String>,
        bytes: u64,
        purpose: impl Into<String>,
    ) {
        self.add(
            symbol,
            Section::Bss,
            bytes.checked_next_multiple_of(4).unwrap_or(u64::MAX),
            purpose,
            Init::Zero,
        );
    }

    /// Words with initial values.
    pub(super) fn values(
        &mut self,
        symbol: impl Into<String>,
        values: Vec<u32>,
        purpose: impl Into<String>,
    ) {
        let len = values.len() as u64 * 4;
        self.add(symbol, Section::Data, len, purpose, Init::Words(values));
    }

    /// A word that starts as the address of another region, or so many bytes behind it.
    pub(super) fn pointer(
        &mut self,
        symbol: impl Into<String>,
        (to, offset): (impl Into<String>, u32),
        purpose: impl Into<String>,
    ) {
        self.add(
            symbol,
            Section::Data,
            4,
            purpose,
            Init::AddressOf(to.into(), offset),
        );
    }

    /// The stack.
    pub(super) fn stack(&mut self, bytes: u32) {
        self.add(
            "stack",
            Section::Stack,
            bytes.into(),
            "stack, growing downwards",
            Init::Zero,
        );
    }

    fn add(
        &mut self,
        symbol: impl Into<String>,
        section: Section,
        len: u64,
        purpose: impl Into<String>,
        init: Init,
    ) {
        self.wanted.push(Wanted {
            symbol: symbol.into(),
            section,
            len,
            purpose: purpose.into(),
            init,
        });
    }

    /// Gives every region an address, from `base` (the end of the code) on.
    pub(super) fn place(&self, base: u32) -> Placed {
        let mut placed = Placed {
            regions: Vec::new(),
            names: BTreeMap::new(),
            inits: Vec::new(),
            end: u64::from(base),
        };
        for section in [Section::Data, Section::Bss, Section::Stack] {
            if section == Section::Stack {
                let end = placed.end.checked_next_multiple_of(8);
                placed.end = end.unwrap_or(u64::MAX);
            }
            for wanted in self.wanted.iter().filter(|w| w.section == section) {
                placed.add(wanted);
            }
        }
        placed
    }

    /// Whether two regions share a name.
    pub(super) fn check(&self) -> Result<(), CodegenError> {
        let mut names = std::collections::BTreeSet::new();
        match self.wanted.iter().find(|w| !names.insert(&w.symbol)) {
            Some(twice) => Err(CodegenError::Name(twice.symbol.clone())),
            None => Ok(()),
        }
    }
}

/// Regions with addresses.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) regions: Vec<Region>,
    names: BTreeMap<String, usize>,
    inits: Vec<Init>,
    /// First address behind everything; more than 32 bits where it cannot fit anyway.
    pub(super) end: u64,
}

impl Placed {
    fn add(&mut self, wanted: &Wanted) {
        self.names.insert(wanted.symbol.clone(), self.regions.len());
        self.regions.push(Region {
            symbol: wanted.symbol.clone(),
            section: wanted.section,
            addr: u32::try_from(self.end).unwrap_or(u32::MAX),
            len: u32::try_from(wanted.len).unwrap_or(u32::MAX),
            purpose: wanted.purpose.clone(),
        });
        self.inits.push(wanted.init.clone());
        self.end = self.end.saturating_add(wanted.len);
    }

    /// Address of a region.
    ///
    /// # Panics
    /// If the plan has no such region: the code generator names only what it planned.
    pub(super) fn addr(&self, symbol: &str) -> u32 {
        self.region(symbol).addr
    }

    /// Address of a region, if there is one of this name.
    pub(super) fn get(&self, symbol: &str) -> Option<u32> {
        self.names.get(symbol).map(|&at| self.regions[at].addr)
    }

    /// First address behind a region.
    pub(super) fn end(&self, symbol: &str) -> u32 {
        let region = self.region(symbol);
        region.addr.saturating_add(region.len)
    }

    pub(super) fn region(&self, symbol: &str) -> &Region {
        match self.names.get(symbol) {
            Some(&at) => &self.regions[at],
            None => panic!("`{symbol}` is in the memory plan"),
        }
    }

    /// The bytes of the initialised regions.
    pub(super) fn data(&self) -> Vec<u8> {
        let words = self.inits.iter().flat_map(|init| match init {
            Init::Zero => Vec::new(),
            Init::Words(words) => words.clone(),
            Init::AddressOf(symbol, offset) => vec![self.addr(symbol).saturating_add(*offset)],
        });
        words.flat_map(u32::to_le_bytes).collect()
    }
}

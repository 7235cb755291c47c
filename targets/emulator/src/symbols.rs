//! What a loader hands over: bytes to place, and names for addresses.

/// Whether a segment's bytes may be executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SegmentKind {
    /// May be executed and read; a store into it is a fault.
    Code,
    /// May be read and written; executing it is a fault.
    Data,
}

/// Bytes to be placed in a PE's SRAM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Address in the PE's own SRAM.
    pub addr: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Code or data.
    pub kind: SegmentKind,
}

impl Segment {
    /// A segment of instructions (and the constants between them).
    pub fn code(addr: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            addr,
            bytes: bytes.into(),
            kind: SegmentKind::Code,
        }
    }

    /// A segment of data.
    pub fn data(addr: u32, bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            addr,
            bytes: bytes.into(),
            kind: SegmentKind::Data,
        }
    }
}

/// Names of addresses, for readable faults and profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SymbolTable {
    /// Sorted by address.
    entries: Vec<Symbol>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Symbol {
    addr: u32,
    size: u32,
    name: String,
}

impl SymbolTable {
    /// A table of `(address, size, name)`. A Thumb bit in an address is ignored; a size of 0 reaches to the next symbol.
    pub fn new<N: Into<String>>(symbols: impl IntoIterator<Item = (u32, u32, N)>) -> Self {
        let mut entries: Vec<Symbol> = symbols
            .into_iter()
            .map(|(addr, size, name)| Symbol {
                addr: addr & !1,
                size,
                name: name.into(),
            })
            .collect();
        entries.sort_by(|a, b| (a.addr, &a.name).cmp(&(b.addr, &b.name)));
        Self { entries }
    }

    /// `name` or `name+0x12` for an address inside a symbol.
    pub fn describe(&self, addr: u32) -> Option<String> {
        let after = self.entries.partition_point(|s| s.addr <= addr);
        let symbol = &self.entries[..after].last()?;
        let offset = addr - symbol.addr;
        if symbol.size != 0 && offset >= symbol.size {
            return None;
        }
        Some(if offset == 0 {
            symbol.name.clone()
        } else {
            format!("{}+{offset:#x}", symbol.name)
        })
    }
}

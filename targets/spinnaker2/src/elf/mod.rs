//! Firmware images as ELF32 ARM executables.
//!
//! An [`Image`] is what a PE's memory holds before it starts (text with the vector table at address 0, constants, data,
//! cleared memory) and the names of what lies there. [`Image::write`] gives the file that readelf, objdump and gdb read;
//! [`Image::parse`] reads such a file back, and refuses anything else.
//!
//! Invariants, checked when writing and when reading: sections are word-aligned and do not overlap; each symbol lies
//! inside its section; names are unique; the vector table's reset entry is the entry point.

mod attributes;
mod read;
mod write;

use crate::thumb::{Mapping, Program, SymbolKind};

/// The memory of a PE before it starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Image {
    /// The address of the reset handler, with the bit that says Thumb.
    pub entry: u32,
    /// The vector table and the code, from address 0 on.
    pub text: Block,
    /// Constants; may be empty.
    pub rodata: Block,
    /// Data with initial values; may be empty.
    pub data: Block,
    /// Memory that starts as zeros; may be empty.
    pub bss: Range,
    /// Functions and objects.
    pub symbols: Vec<ImageSymbol>,
    /// Where the text turns from code into data and back.
    pub mapping: Vec<Mapping>,
}

/// Bytes at an address.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    /// The address of the first.
    pub addr: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A range of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Range {
    /// The first.
    pub addr: u32,
    /// How many.
    pub size: u32,
}

impl Range {
    /// The first address behind it, beyond 32 bits if need be.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.addr as u64 + self.size as u64
    }

    /// Whether another range lies inside this one.
    #[must_use]
    pub const fn holds(self, other: Range) -> bool {
        self.addr <= other.addr && other.end() <= self.end()
    }

    /// Whether it shares an address with another.
    #[must_use]
    pub const fn meets(self, other: Range) -> bool {
        self.size > 0
            && other.size > 0
            && (self.addr as u64) < other.end()
            && (other.addr as u64) < self.end()
    }
}

impl Block {
    /// The addresses it covers.
    #[must_use]
    pub fn range(&self) -> Range {
        Range {
            addr: self.addr,
            size: u32::try_from(self.bytes.len()).unwrap_or(u32::MAX),
        }
    }
}

/// A named part of an image.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ImageSymbol {
    /// Its name.
    pub name: String,
    /// Whether it is code or data.
    pub kind: SymbolKind,
    /// Where it lies.
    pub section: Section,
    /// Its first address, without a Thumb bit.
    pub addr: u32,
    /// Its length in bytes.
    pub size: u32,
}

/// The parts of an image.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Section {
    /// Vector table and code.
    Text,
    /// Constants.
    Rodata,
    /// Data with initial values.
    Data,
    /// Memory that starts as zeros.
    Bss,
}

impl Section {
    /// In the order they have in the file.
    pub const ALL: [Section; 4] = [Section::Text, Section::Rodata, Section::Data, Section::Bss];

    /// The name it has in the file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Section::Text => ".text",
            Section::Rodata => ".rodata",
            Section::Data => ".data",
            Section::Bss => ".bss",
        }
    }
}

/// Why an image cannot be written or read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ElfError {
    /// The file is no ELF file or is cut short.
    #[error("the file is not well-formed ELF: {0}")]
    Format(String),
    /// A header says this file is for something else.
    #[error("{field} must be {expected}, but is {found}")]
    Header {
        /// The field.
        field: &'static str,
        /// What a firmware image has.
        expected: &'static str,
        /// What the file has.
        found: String,
    },
    /// A loadable section that no firmware image has.
    #[error("section `{0}` is to be loaded, but only .text, .rodata, .data and .bss can be")]
    UnknownSection(String),
    /// A section whose bytes no segment loads at its address.
    #[error("section `{0}` is not loaded by any segment at its address")]
    NotLoaded(&'static str),
    /// A section that should start at another address.
    #[error("section {section} must start at {expected}, but starts at 0x{found:x}")]
    Address {
        /// The section.
        section: &'static str,
        /// Where it should start.
        expected: &'static str,
        /// Where it starts.
        found: u32,
    },
    /// A section reaches beyond 32 bits of address.
    #[error("section {section} at 0x{addr:x} with {size} bytes ends past address 0xffffffff")]
    TooLong {
        /// The section.
        section: &'static str,
        /// Its address.
        addr: u32,
        /// Its size.
        size: u32,
    },
    /// Two sections share addresses.
    #[error("sections {first} and {second} overlap at 0x{addr:x}")]
    Overlap {
        /// One.
        first: &'static str,
        /// The other.
        second: &'static str,
        /// The first address both have.
        addr: u32,
    },
    /// The text is too short for a stack pointer and a reset entry.
    #[error("the vector table must hold at least 8 bytes, but the text has {0}")]
    NoVectors(usize),
    /// The reset entry differs from the entry point, or is no Thumb address in the text.
    #[error(
        "the reset entry must be the entry point 0x{entry:x} in Thumb code, but is 0x{reset:x}"
    )]
    Entry {
        /// The entry point.
        entry: u32,
        /// Word 1 of the vector table.
        reset: u32,
    },
    /// A symbol reaches out of its section.
    #[error("symbol `{name}` (0x{addr:x}, {size} bytes) does not lie in {section}")]
    SymbolOutside {
        /// Its name.
        name: String,
        /// Its address.
        addr: u32,
        /// Its size.
        size: u32,
        /// The section it should lie in.
        section: &'static str,
    },
    /// Two symbols share a name.
    #[error("two symbols are called `{0}`")]
    SymbolTwice(String),
    /// A name that a string table cannot hold or a debugger would misread.
    #[error("`{0}` cannot name a symbol: it must not be empty, hold a zero byte or start with `$`")]
    SymbolName(String),
    /// A function outside the text.
    #[error("function `{name}` must lie in .text, but lies in {section}")]
    FunctionOutsideText {
        /// Its name.
        name: String,
        /// Where it lies.
        section: &'static str,
    },
    /// A symbol of a kind no image has.
    #[error("symbol `{name}` must be {expected}, but is {found}")]
    SymbolKind {
        /// Its name.
        name: String,
        /// What it could be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A mapping symbol that is not in the text or not in ascending order.
    #[error("mapping symbols must ascend inside .text, but one is at 0x{0:x}")]
    Mapping(u32),
}

impl Image {
    /// An image of this code, whose first words are the vector table.
    #[must_use]
    pub fn new(program: &Program, entry: u32) -> Image {
        let symbols = program
            .symbols
            .iter()
            .map(|symbol| ImageSymbol {
                name: symbol.name.clone(),
                kind: symbol.kind,
                section: Section::Text,
                addr: symbol.addr,
                size: symbol.size,
            })
            .collect();
        Image {
            entry,
            text: Block {
                addr: program.base,
                bytes: program.bytes.clone(),
            },
            rodata: Block::default(),
            data: Block::default(),
            bss: Range::default(),
            symbols,
            mapping: program.mapping.clone(),
        }
    }

    /// Names an object of data.
    pub fn object(&mut self, section: Section, name: impl Into<String>, addr: u32, size: u32) {
        self.symbols.push(ImageSymbol {
            name: name.into(),
            kind: SymbolKind::Object,
            section,
            addr,
            size,
        });
    }

    /// The addresses a section covers.
    #[must_use]
    pub fn range(&self, section: Section) -> Range {
        match section {
            Section::Text => self.text.range(),
            Section::Rodata => self.rodata.range(),
            Section::Data => self.data.range(),
            Section::Bss => self.bss,
        }
    }

    /// What is to be copied into memory before the start, in ascending order of sections; `.bss` is to be cleared.
    pub fn blocks(&self) -> impl Iterator<Item = &Block> {
        [&self.text, &self.rodata, &self.data]
            .into_iter()
            .filter(|block| !block.bytes.is_empty())
    }

    /// The symbol of this name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<&ImageSymbol> {
        self.symbols.iter().find(|symbol| symbol.name == name)
    }

    /// The symbol an address lies in.
    #[must_use]
    pub fn symbol_at(&self, addr: u32) -> Option<&ImageSymbol> {
        let byte = Range { addr, size: 1 };
        self.symbols
            .iter()
            .find(|symbol| symbol.range().holds(byte))
    }

    /// The initial stack pointer, word 0 of the vector table.
    #[must_use]
    pub fn stack_pointer(&self) -> Option<u32> {
        self.vector(0)
    }

    fn vector(&self, index: usize) -> Option<u32> {
        let bytes = self.text.bytes.get(4 * index..4 * index + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Checks the invariants.
    pub fn check(&self) -> Result<(), ElfError> {
        self.check_sections()?;
        self.check_entry()?;
        self.check_symbols()?;
        self.check_mapping()
    }

    fn check_sections(&self) -> Result<(), ElfError> {
        if self.text.addr != 0 {
            return Err(ElfError::Address {
                section: Section::Text.name(),
                expected: "0",
                found: self.text.addr,
            });
        }
        for (i, section) in Section::ALL.into_iter().enumerate() {
            let range = self.range(section);
            if !range.addr.is_multiple_of(4) {
                return Err(ElfError::Address {
                    section: section.name(),
                    expected: "a multiple of 4",
                    found: range.addr,
                });
            }
            if range.end() > 1 << 32 {
                return Err(ElfError::TooLong {
                    section: section.name(),
                    addr: range.addr,
                    size: range.size,
                });
            }
            for other in &Section::ALL[..i] {
                if range.meets(self.range(*other)) {
                    return Err(ElfError::Overlap {
                        first: other.name(),
                        second: section.name(),
                        addr: range.addr.max(self.range(*other).addr),
                    });
                }
            }
        }
        Ok(())
    }

    fn check_entry(&self) -> Result<(), ElfError> {
        let Some(reset) = self.vector(1) else {
            return Err(ElfError::NoVectors(self.text.bytes.len()));
        };
        let first = Range {
            addr: self.entry & !1,
            size: 2,
        };
        if reset != self.entry || self.entry & 1 == 0 || !self.text.range().holds(first) {
            return Err(ElfError::Entry {
                entry: self.entry,
                reset,
            });
        }
        Ok(())
    }

    fn check_symbols(&self) -> Result<(), ElfError> {
        let mut names = std::collections::HashSet::new();
        for symbol in &self.symbols {
            let name = symbol.name.as_str();
            if name.is_empty() || name.contains('\0') || name.starts_with('$') {
                return Err(ElfError::SymbolName(symbol.name.clone()));
            }
            if !names.insert(name) {
                return Err(ElfError::SymbolTwice(symbol.name.clone()));
            }
            if symbol.kind == SymbolKind::Function && symbol.section != Section::Text {
                return Err(ElfError::FunctionOutsideText {
                    name: symbol.name.clone(),
                    section: symbol.section.name(),
                });
            }
            let odd_function = symbol.kind == SymbolKind::Function && symbol.addr & 1 != 0;
            if odd_function || !self.range(symbol.section).holds(symbol.range()) {
                return Err(ElfError::SymbolOutside {
                    name: symbol.name.clone(),
                    addr: symbol.addr,
                    size: symbol.size,
                    section: symbol.section.name(),
                });
            }
        }
        Ok(())
    }

    fn check_mapping(&self) -> Result<(), ElfError> {
        let mut next = 0;
        for mapping in &self.mapping {
            let addr = u64::from(mapping.addr);
            if addr < next || addr >= self.text.range().end() {
                return Err(ElfError::Mapping(mapping.addr));
            }
            next = addr + 1;
        }
        Ok(())
    }
}

impl ImageSymbol {
    /// The addresses it names.
    #[must_use]
    pub const fn range(&self) -> Range {
        Range {
            addr: self.addr,
            size: self.size,
        }
    }
}

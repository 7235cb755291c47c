//! What the assembler makes: bytes, and everything that explains them.

use std::fmt::Write as _;
use std::sync::Arc;

use super::asm::Label;

/// Assembled code at its final address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    /// The address of the first byte.
    pub base: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// A line for each instruction and piece of data, in the order of their addresses, without gaps.
    pub listing: Vec<ListingLine>,
    /// The functions and objects, in the order they were begun.
    pub symbols: Vec<Symbol>,
    /// Where code turns into data and back.
    pub mapping: Vec<Mapping>,
    pub(super) labels: Vec<Option<u32>>,
}

/// One line of a listing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListingLine {
    /// Its address.
    pub addr: u32,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Its text: mnemonic, tab, operands.
    pub text: String,
    /// Where it comes from; empty if nothing was said.
    pub source: Arc<str>,
    /// The remark on it; empty if there is none.
    pub comment: Arc<str>,
    /// The estimate of its cycles; 0 for data.
    pub cycles: u32,
}

/// A named range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// Its first address, without a Thumb bit.
    pub addr: u32,
    /// Its length in bytes.
    pub size: u32,
}

/// What a symbol names.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SymbolKind {
    /// Code.
    Function,
    /// Data.
    Object,
}

/// A place from which on the bytes are of a kind.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mapping {
    /// The address.
    pub addr: u32,
    /// The kind.
    pub kind: MappingKind,
}

/// What bytes are to a disassembler.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MappingKind {
    /// Thumb code: the mapping symbol `$t`.
    Thumb,
    /// Data: the mapping symbol `$d`.
    Data,
}

impl Program {
    /// Where a label came to stand; nowhere if it was never bound or belongs to another program.
    #[must_use]
    pub fn addr(&self, label: Label) -> Option<u32> {
        self.labels.get(label.0 as usize).copied().flatten()
    }

    /// The function or object of this name.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<&Symbol> {
        self.symbols.iter().find(|symbol| symbol.name == name)
    }

    /// The first address behind it.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.base.wrapping_add(self.bytes.len() as u32)
    }

    /// The listing as text: address, halfwords, cycles, instruction, and where it comes from.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut source: &str = "";
        for line in &self.listing {
            // Writing to a string cannot fail.
            let _ = self.line(&mut out, line, &mut source);
        }
        out
    }

    fn line<'a>(
        &self,
        out: &mut String,
        line: &'a ListingLine,
        source: &mut &'a str,
    ) -> std::fmt::Result {
        for symbol in self.symbols.iter().filter(|s| s.addr == line.addr) {
            writeln!(out, "\n{:08x} <{}>:", symbol.addr, symbol.name)?;
        }
        if *source != &*line.source {
            *source = &line.source;
            writeln!(out, "          ; {source}")?;
        }
        let code: Vec<String> = match line.bytes.len() {
            4 if line.text.starts_with('.') => vec![format!("{:08x}", word(&line.bytes))],
            _ => line
                .bytes
                .chunks(2)
                .map(|half| format!("{:0width$x}", word(half), width = 2 * half.len()))
                .collect(),
        };
        let cycles = if line.cycles == 0 {
            String::new()
        } else {
            line.cycles.to_string()
        };
        let text = line.text.replacen('\t', " ", 1).replace('\t', "  ");
        write!(
            out,
            "{:8x}: {:9} {cycles:>3}  {text}",
            line.addr,
            code.join(" ")
        )?;
        if !line.comment.is_empty() {
            write!(out, "  ; {}", line.comment)?;
        }
        out.push('\n');
        Ok(())
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, &byte| word << 8 | u32::from(byte))
}

/// An address by the symbol it lies in or behind: `name` or `name+0x10`.
pub(super) fn symbol_text(symbols: &[Symbol], addr: u32) -> String {
    let nearest = symbols
        .iter()
        .filter(|s| s.addr <= addr)
        .max_by_key(|s| s.addr);
    match nearest {
        None => String::new(),
        Some(s) if s.addr == addr => s.name.clone(),
        Some(s) => format!("{}+0x{:x}", s.name, addr - s.addr),
    }
}

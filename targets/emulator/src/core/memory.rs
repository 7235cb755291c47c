//! A PE's own SRAM, with its code protected.

use std::ops::Range;

use super::code::CodeBytes;
use super::op::Width;

/// Bytes from address 0.
#[derive(Debug, Clone)]
pub(crate) struct Sram {
    bytes: Vec<u8>,
    /// Addresses `gap_start .. gap_start + gap_len` hold no code: a store there needs no further check.
    gap_start: u32,
    gap_len: u32,
    /// Where code lies.
    code: Vec<Range<u32>>,
}

impl Sram {
    pub(crate) fn new(bytes: u32) -> Self {
        Self {
            bytes: vec![0; bytes as usize],
            gap_start: 0,
            gap_len: bytes,
            code: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> u32 {
        self.bytes.len() as u32
    }

    /// Protects code from stores.
    pub(crate) fn protect(&mut self, code: &CodeBytes) {
        let (start, end) = code.widest_gap(self.len());
        (self.gap_start, self.gap_len) = (start, end - start);
        let ranges = code.ranges();
        self.code = ranges.map(|(at, b)| at..at + b.len() as u32).collect();
    }

    /// Whether any of `len` bytes from `addr` is code.
    pub(crate) fn holds_code(&self, addr: u32, len: usize) -> bool {
        let end = u64::from(addr) + len as u64;
        let mut code = self.code.iter();
        code.any(|range| u64::from(range.start) < end && addr < range.end)
    }

    /// Data at an address that something arrives at; `None` where there is no SRAM, or code.
    pub(crate) fn data_mut(&mut self, addr: u32, len: usize) -> Option<&mut [u8]> {
        if self.holds_code(addr, len) {
            return None;
        }
        self.get_mut(addr, len)
    }

    #[inline(always)]
    pub(crate) fn get(&self, addr: u32, len: usize) -> Option<&[u8]> {
        self.bytes.get(addr as usize..)?.get(..len)
    }

    /// For stores that need no further check.
    #[inline(always)]
    pub(crate) fn get_in_gap(&mut self, addr: u32, len: usize) -> Option<&mut [u8]> {
        let offset = addr.wrapping_sub(self.gap_start);
        if u64::from(offset) + len as u64 > u64::from(self.gap_len) {
            return None;
        }
        self.bytes.get_mut(addr as usize..)?.get_mut(..len)
    }

    #[inline(always)]
    pub(crate) fn load_word(&self, addr: u32) -> Option<u32> {
        let bytes = self.bytes.get(addr as usize..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }

    #[inline(always)]
    pub(crate) fn load_value(&self, width: Width, addr: u32) -> Option<u32> {
        let bytes = self.bytes.get(addr as usize..)?;
        let value = match width {
            Width::U8 | Width::I8 => u32::from(*bytes.first()?),
            Width::U16 | Width::I16 => u32::from(u16::from_le_bytes(*bytes.first_chunk()?)),
            Width::Word => u32::from_le_bytes(*bytes.first_chunk()?),
        };
        Some(width.extend(value))
    }

    /// False if the fast way is not open.
    #[inline(always)]
    pub(crate) fn store_word(&mut self, addr: u32, value: u32) -> bool {
        match self.get_in_gap(addr, 4) {
            Some(to) => {
                to.copy_from_slice(&value.to_le_bytes());
                true
            }
            None => false,
        }
    }

    /// Bytes anywhere, code or not: for loaders and the host.
    pub(crate) fn get_mut(&mut self, addr: u32, len: usize) -> Option<&mut [u8]> {
        self.bytes.get_mut(addr as usize..)?.get_mut(..len)
    }
}

//! The texts of both IRs: printers and parsers that are each other's inverse.
//!
//! One item a line, so that a difference reads like a difference in code. Numbers are printed with the
//! fewest digits that read back to the same bits. Names stand as they are when they consist of letters,
//! digits, `_`, `.` and `-`, and in quotes otherwise. `;` begins a comment.
//!
//! Tensors of more than [`INLINE`] values are printed as `external` with a digest; a parser is handed
//! their values and checks them against it.

mod lexer;
mod network;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use network::{parse_network, print_network};
pub use program::{parse_program, print_program};

/// Most values that a tensor shows in the text itself.
pub const INLINE: usize = 32;

/// Values of tensors by name, for texts that leave them out.
pub type Externals = BTreeMap<String, Vec<f32>>;

/// FNV-1a over the bits of the values: tells texts of different tensors apart.
pub fn digest(values: &[f32]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in values.iter().flat_map(|v| v.to_bits().to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}

/// A name, quoted where it needs to be.
fn name(name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'))
        && !name.starts_with('-');
    if plain { name.to_owned() } else { string(name) }
}

/// A quoted string.
fn string(text: &str) -> String {
    format!("{text:?}")
}

/// A list in brackets.
fn list<T: std::fmt::Debug>(values: &[T]) -> String {
    let mut text = String::from("[");
    for (i, value) in values.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(text, "{comma}{value:?}");
    }
    text.push(']');
    text
}

/// The values of a tensor, or their digest.
fn values(values: &[f32]) -> String {
    if values.len() <= INLINE {
        list(values)
    } else {
        format!("external {:016x}", digest(values))
    }
}

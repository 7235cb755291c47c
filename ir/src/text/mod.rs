//! The texts of both IRs: printers and parsers that are each other's inverse.
//!
//! One item a line, so that a difference reads like a difference in code. Numbers are printed with the
//! fewest digits that read back to the same bits. Names stand as they are when they consist of letters,
//! digits, `_`, `.`, `-`, `+` and `/`, and in quotes otherwise. `;` begins a comment.
//!
//! Tensors of more than [`INLINE`] values are printed as `external` with a digest; a parser is handed
//! their values and checks them against it.

mod connection;
mod lexer;
mod linear;
mod network;
mod program;

use std::collections::BTreeMap;
use std::fmt::Write as _;

pub use network::{parse_network, print_network};
pub use program::{parse_program, print_program};

/// Most values that a tensor shows in the text itself.
pub const INLINE: usize = 32;

/// Values of tensors by name, for texts that leave them out.
pub type Externals = BTreeMap<String, Values>;

/// Values of a tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// As programs and synapses have them.
    F32(Vec<f32>),
    /// As nodes of a file have them.
    F64(Vec<f64>),
}

impl From<Vec<f32>> for Values {
    fn from(values: Vec<f32>) -> Self {
        Self::F32(values)
    }
}

impl From<Vec<f64>> for Values {
    fn from(values: Vec<f64>) -> Self {
        Self::F64(values)
    }
}

/// A type of numbers that tensors have.
pub trait Element: Copy + std::fmt::Debug {
    /// The bits of a value, lowest first.
    fn bytes(self) -> impl Iterator<Item = u8>;
    /// The values, if they are of this type.
    fn of(values: &Values) -> Option<&[Self]>;
}

impl Element for f32 {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.to_bits().to_le_bytes().into_iter()
    }

    fn of(values: &Values) -> Option<&[Self]> {
        match values {
            Values::F32(values) => Some(values),
            Values::F64(_) => None,
        }
    }
}

impl Element for f64 {
    fn bytes(self) -> impl Iterator<Item = u8> {
        self.to_bits().to_le_bytes().into_iter()
    }

    fn of(values: &Values) -> Option<&[Self]> {
        match values {
            Values::F64(values) => Some(values),
            Values::F32(_) => None,
        }
    }
}

/// FNV-1a over the bits of the values: tells texts of different tensors apart.
pub fn digest<T: Element>(values: &[T]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in values.iter().flat_map(|v| v.bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}

/// A name, quoted where it needs to be.
fn name(name: &str) -> String {
    let plain = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | '/'))
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

/// As many equal values in a row are written as one with a count.
const RUN: usize = 4;

/// A list of values in brackets; `value x count` for equal ones in a row.
fn numbers<T: std::fmt::Debug>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("{value:?}")).collect();
    let run = |run: &[String]| match run.len() {
        0..RUN => run.join(", "),
        count => format!("{} x {count}", run[0]),
    };
    let runs: Vec<String> = texts.chunk_by(|a, b| a == b).map(run).collect();
    format!("[{}]", runs.join(", "))
}

/// The values of a tensor, or their digest.
fn values<T: Element>(values: &[T]) -> String {
    if values.len() <= INLINE {
        numbers(values)
    } else {
        format!("external {:016x}", digest(values))
    }
}

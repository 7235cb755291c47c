//! Element types: which of HDF5's NIR uses, how they decode, and how trained values go back.

use hdf5_pure::{Datatype, DatatypeByteOrder, FixedPointLayout, FloatingPointLayout};
use nir_rs::TensorData;
use thiserror::Error;

/// Elements that do not decode, or do not fit their shape.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ElementError {
    /// The type is not one that NIR uses for numbers.
    #[error("expected floats (16, 32, 64 bit), integers (8 to 64 bit) or booleans, found {found}")]
    Type {
        /// What it is.
        found: String,
    },
    /// An unsigned integer above the range of `i64`.
    #[error("expected integers up to {}, found {value} at index {index}", i64::MAX)]
    Range {
        /// Flat index.
        index: usize,
        /// The value.
        value: u64,
    },
    /// The shape has another number of elements.
    #[error("expected as many elements as the shape {shape:?} has, found {found}")]
    Count {
        /// The shape.
        shape: Vec<u64>,
        /// Number of elements given.
        found: usize,
    },
}

/// A numeric type of fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    F16,
    F32,
    F64,
    Signed(usize),
    Unsigned(usize),
    Bool,
}

const BINARY16: FloatingPointLayout = FloatingPointLayout {
    bit_offset: 0,
    bit_precision: 16,
    exponent_location: 10,
    exponent_size: 5,
    mantissa_location: 0,
    mantissa_size: 10,
    exponent_bias: 15,
};

/// The number a type stands for and whether it is big-endian.
fn classify(datatype: &Datatype) -> Option<(Number, bool)> {
    match datatype {
        Datatype::FloatingPoint {
            size,
            byte_order,
            layout,
        } => {
            let number = match size {
                2 if *layout == BINARY16 => Number::F16,
                4 if *layout == FloatingPointLayout::IEEE754_BINARY32 => Number::F32,
                8 if *layout == FloatingPointLayout::IEEE754_BINARY64 => Number::F64,
                _ => return None,
            };
            Some((number, is_big(byte_order)?))
        }
        Datatype::FixedPoint {
            size: size @ (1 | 2 | 4 | 8),
            byte_order,
            layout:
                FixedPointLayout {
                    signed,
                    bit_offset: 0,
                    bit_precision,
                },
        } if u32::from(*bit_precision) == size * 8 => {
            let size = *size as usize;
            let number = if *signed {
                Number::Signed(size)
            } else {
                Number::Unsigned(size)
            };
            Some((number, is_big(byte_order)?))
        }
        // h5py stores booleans as an enumeration of one byte, FALSE and TRUE.
        Datatype::Enumeration {
            size: 1, members, ..
        } if members.len() == 2
            && members.iter().all(|m| {
                matches!(
                    (m.name.as_str(), &m.value[..]),
                    ("FALSE", [0]) | ("TRUE", [1])
                )
            }) =>
        {
            Some((Number::Bool, false))
        }
        _ => None,
    }
}

fn is_big(order: &DatatypeByteOrder) -> Option<bool> {
    match order {
        DatatypeByteOrder::LittleEndian => Some(false),
        DatatypeByteOrder::BigEndian => Some(true),
        DatatypeByteOrder::Vax => None,
    }
}

/// The type's name, as numpy has it where numpy has one.
pub(super) fn name(datatype: &Datatype) -> String {
    if let Some((number, _)) = classify(datatype) {
        return match number {
            Number::F16 => "float16".to_owned(),
            Number::F32 => "float32".to_owned(),
            Number::F64 => "float64".to_owned(),
            Number::Signed(bytes) => format!("int{}", bytes * 8),
            Number::Unsigned(bytes) => format!("uint{}", bytes * 8),
            Number::Bool => "bool".to_owned(),
        };
    }
    match datatype {
        Datatype::FixedPoint { size, .. } => format!("an integer of {size} bytes in an odd layout"),
        Datatype::FloatingPoint { size, .. } => format!("a float of {size} bytes in an odd layout"),
        Datatype::Time { .. } => "a time".to_owned(),
        Datatype::String { size, .. } => format!("a string of {size} bytes"),
        Datatype::BitField { .. } => "a bit field".to_owned(),
        Datatype::Opaque { .. } => "opaque data".to_owned(),
        Datatype::Compound { .. } => "a compound".to_owned(),
        Datatype::Reference { .. } => "a reference".to_owned(),
        Datatype::Enumeration { .. } => "an enumeration".to_owned(),
        Datatype::VariableLength { is_string, .. } => if *is_string {
            "string"
        } else {
            "a sequence of variable length"
        }
        .to_owned(),
        Datatype::Array { .. } => "an array".to_owned(),
        _ => "a type unknown to nirc".to_owned(),
    }
}

/// Whether a data set of this type can be kept: numbers and strings, whose bytes stand alone.
pub(super) fn is_kept(datatype: &Datatype) -> bool {
    classify(datatype).is_some()
        || matches!(datatype, Datatype::String { size, .. } if *size > 0)
        || matches!(datatype, Datatype::Enumeration { size, .. } if *size > 0)
}

/// Bytes of one element, at least 1.
pub(super) fn size(datatype: &Datatype) -> usize {
    (datatype.type_size() as usize).max(1)
}

/// Decodes all elements.
pub(super) fn decode(datatype: &Datatype, bytes: &[u8]) -> Result<TensorData, ElementError> {
    let Some((number, big)) = classify(datatype) else {
        return Err(ElementError::Type {
            found: name(datatype),
        });
    };
    Ok(match number {
        Number::F16 => TensorData::F32(words(bytes, big).map(f16_to_f32).collect()),
        Number::F32 => TensorData::F32(
            words(bytes, big)
                .map(|w: [u8; 4]| f32::from_le_bytes(w))
                .collect(),
        ),
        Number::F64 => TensorData::F64(
            words(bytes, big)
                .map(|w: [u8; 8]| f64::from_le_bytes(w))
                .collect(),
        ),
        Number::Signed(size) => TensorData::I64(
            wide(bytes, size, big)
                .map(|w| {
                    // The bytes stand at the low end: shift them up and back to extend the sign.
                    let unused = 64 - 8 * size as u32;
                    (w << unused).cast_signed() >> unused
                })
                .collect(),
        ),
        Number::Unsigned(size) => TensorData::I64(
            wide(bytes, size, big)
                .enumerate()
                .map(|(index, value)| {
                    i64::try_from(value).map_err(|_| ElementError::Range { index, value })
                })
                .collect::<Result<_, _>>()?,
        ),
        Number::Bool => TensorData::Bool(bytes.iter().map(|b| *b != 0).collect()),
    })
}

/// Little-endian words of `N` bytes.
fn words<const N: usize>(bytes: &[u8], big: bool) -> impl Iterator<Item = [u8; N]> {
    bytes.as_chunks::<N>().0.iter().map(move |word| {
        let mut word = *word;
        if big {
            word.reverse();
        }
        word
    })
}

/// Integers of `size` bytes (1 to 8), zero-extended.
fn wide(bytes: &[u8], size: usize, big: bool) -> impl Iterator<Item = u64> {
    bytes.chunks_exact(size).map(move |chunk| {
        let mut word = [0; 8];
        word[..size].copy_from_slice(chunk);
        if big {
            word[..size].reverse();
        }
        u64::from_le_bytes(word)
    })
}

/// The value of an IEEE 754 half-precision float, given least significant byte first.
pub fn f16_to_f32(word: [u8; 2]) -> f32 {
    let half = u16::from_le_bytes(word);
    let sign = u32::from(half >> 15) << 31;
    let exponent = u32::from(half >> 10) & 0x1f;
    let mantissa = u32::from(half & 0x3ff);
    let magnitude = match exponent {
        // Zero and subnormals: mantissa * 2^-24, exact in f32.
        0 => (mantissa as f32 * 2f32.powi(-24)).to_bits(),
        0x1f => 0x7f80_0000 | mantissa << 13,
        _ => (exponent + 127 - 15) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

/// Strings of fixed length; `None` if it is another type or not UTF-8.
pub(super) fn fixed_strings(datatype: &Datatype, bytes: &[u8]) -> Option<Vec<String>> {
    let Datatype::String { size, .. } = datatype else {
        return None;
    };
    let size = usize::try_from(*size).ok().filter(|s| *s > 0)?;
    bytes
        .chunks_exact(size)
        .map(|chunk| {
            let end = chunk.iter().position(|b| *b == 0).unwrap_or(size);
            Some(str::from_utf8(&chunk[..end]).ok()?.trim_end().to_owned())
        })
        .collect()
}

/// `values` in the given type: f32 and f64 keep it (and its byte order); `None` for other types,
/// which cannot hold trained weights.
pub(super) fn encode_floats(datatype: &Datatype, values: &[f32]) -> Option<Vec<u8>> {
    match classify(datatype)? {
        (Number::F32, false) => Some(values.iter().flat_map(|v| v.to_le_bytes()).collect()),
        (Number::F32, true) => Some(values.iter().flat_map(|v| v.to_be_bytes()).collect()),
        (Number::F64, false) => Some(
            values
                .iter()
                .flat_map(|v| f64::from(*v).to_le_bytes())
                .collect(),
        ),
        (Number::F64, true) => Some(
            values
                .iter()
                .flat_map(|v| f64::from(*v).to_be_bytes())
                .collect(),
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_widen_exactly() {
        for (bits, value) in [
            (0x0000, 0.0f32),
            (0x8000, -0.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x0400, 2f32.powi(-14)),
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x7c00, f32::INFINITY),
        ] {
            let got = f16_to_f32(u16::to_le_bytes(bits));
            assert_eq!(got.to_bits(), value.to_bits(), "{bits:#06x}");
        }
        assert!(f16_to_f32(0x7e00u16.to_le_bytes()).is_nan());
    }

    #[test]
    fn integers_extend_their_sign_in_both_byte_orders() {
        for (big, bytes) in [(false, [0xfe, 0xff]), (true, [0xff, 0xfe])] {
            let datatype = Datatype::FixedPoint {
                size: 2,
                byte_order: if big {
                    DatatypeByteOrder::BigEndian
                } else {
                    DatatypeByteOrder::LittleEndian
                },
                layout: FixedPointLayout {
                    signed: true,
                    bit_offset: 0,
                    bit_precision: 16,
                },
            };
            assert_eq!(decode(&datatype, &bytes), Ok(TensorData::I64(vec![-2])));
            assert_eq!(name(&datatype), "int16");
        }
        let datatype = hdf5_pure::make_u64_type();
        assert_eq!(
            decode(&datatype, &u64::MAX.to_le_bytes()),
            Err(ElementError::Range {
                index: 0,
                value: u64::MAX
            })
        );
    }
}

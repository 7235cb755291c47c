//! NumPy's array files, `.npy` of versions 1 to 3: any numeric type, byte order and axis order.

use std::borrow::Cow;

use ndarray_npy::npy::header::Header;
use nirc_compiler::nir::f16_to_f32;
use nirc_ir::{Diagnostic, codes};

/// How every `.npy` file begins.
pub(super) const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header; NumPy reads no longer one either.
const HEADER_BYTES: usize = 10_000;
/// So many bytes may be claimed by any file.
const HARMLESS: usize = 1 << 20;
/// Brackets within brackets of a header: a tuple in a dictionary takes two.
const HEADER_DEPTH: usize = 3;

/// Type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Bool,
    Signed(usize),
    Unsigned(usize),
    Float(usize),
}

impl Element {
    /// Reads what NumPy calls a type: its byte order, kind and size. Gives also whether it is big-endian.
    fn parse(descriptor: &str) -> Option<(Self, bool)> {
        let (order, kind) = match descriptor.strip_prefix(['<', '>', '|', '=']) {
            Some(kind) => (descriptor.chars().next()?, kind),
            None => ('|', descriptor),
        };
        let element = match kind {
            "b1" | "?" => Self::Bool,
            "i1" => Self::Signed(1),
            "i2" => Self::Signed(2),
            "i4" => Self::Signed(4),
            "i8" => Self::Signed(8),
            "u1" => Self::Unsigned(1),
            "u2" => Self::Unsigned(2),
            "u4" => Self::Unsigned(4),
            "u8" => Self::Unsigned(8),
            "f2" => Self::Float(2),
            "f4" => Self::Float(4),
            "f8" => Self::Float(8),
            _ => return None,
        };
        let is_big = match order {
            '>' => true,
            // A single byte has no order; NumPy stores the machine's own as `<` or `>`.
            '<' | '|' => false,
            _ => cfg!(target_endian = "big"),
        };
        (element.size() == 1 || order != '|').then_some((element, is_big))
    }

    fn size(self) -> usize {
        match self {
            Self::Bool => 1,
            Self::Signed(size) | Self::Unsigned(size) | Self::Float(size) => size,
        }
    }

    /// The number in `bytes`, least significant first.
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers end as f32, which keeps less of them"
    )]
    fn number(self, bytes: [u8; 8]) -> f64 {
        let bits = u64::from_le_bytes(bytes);
        let [a, b, c, d, ..] = bytes;
        match self {
            Self::Bool => f64::from(u8::from(bits != 0)),
            Self::Unsigned(_) => bits as f64,
            Self::Signed(size) => {
                // Shifted up and back, the sign extends.
                let unused = 64 - 8 * size;
                ((bits << unused).cast_signed() >> unused) as f64
            }
            Self::Float(2) => f64::from(f16_to_f32([a, b])),
            Self::Float(4) => f64::from(f32::from_le_bytes([a, b, c, d])),
            Self::Float(_) => f64::from_bits(bits),
        }
    }
}

/// An array as it lies in a file, but in C order.
pub(super) struct Array<'a> {
    shape: Vec<usize>,
    element: Element,
    is_big: bool,
    bytes: Cow<'a, [u8]>,
}

impl<'a> Array<'a> {
    /// Reads a file. Nothing is allocated but a turned copy of its elements.
    pub(super) fn parse(file: &'a [u8], place: &str) -> Result<Self, Diagnostic> {
        let length = header_length(file, place)?;
        let (mut header, elements) = file.split_at(length);
        let header = Header::from_reader(&mut header)
            .map_err(|error| malformed(place, &format!("not a .npy file: {error}")))?;
        let (element, is_big) = header
            .type_descriptor
            .as_string()
            .and_then(|descriptor| Element::parse(descriptor))
            .ok_or_else(|| other_type(place, &header.type_descriptor.to_string()))?;
        let shape = header.shape;
        let product = |least: usize| {
            let mut extents = shape.iter();
            extents.try_fold(element.size(), |n, extent| {
                n.checked_mul(*extent.max(&least))
            })
        };
        // Beside an extent of 0 the others may be absurd.
        let is_harmless = product(1).is_some_and(|n| n <= elements.len().max(HARMLESS));
        if product(0) != Some(elements.len()) || !is_harmless {
            return Err(malformed(
                place,
                &format!(
                    "expected the elements of an array {shape:?} of {} bytes each, found {} bytes",
                    element.size(),
                    elements.len()
                ),
            )
            .help("the file is cut off or garbled: save the array again"));
        }
        let bytes = if header.layout.is_fortran() && shape.len() > 1 {
            Cow::Owned(c_order(&shape, element.size(), elements))
        } else {
            Cow::Borrowed(elements)
        };
        Ok(Self {
            shape,
            element,
            is_big,
            bytes,
        })
    }

    /// Length of each axis.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Shape and type, for a message.
    pub(super) fn description(&self) -> String {
        let (kind, size) = match self.element {
            Element::Bool => return format!("{:?} of bool", self.shape),
            Element::Signed(size) => ("int", size),
            Element::Unsigned(size) => ("uint", size),
            Element::Float(size) => ("float", size),
        };
        format!("{:?} of {kind}{}", self.shape, 8 * size)
    }

    /// Whether the elements are integers, signed or not.
    pub(super) fn is_integer(&self) -> bool {
        matches!(self.element, Element::Signed(_) | Element::Unsigned(_))
    }

    /// Whether the elements are `f32`, of either byte order.
    pub(super) fn is_single(&self) -> bool {
        self.element == Element::Float(4)
    }

    /// The number at an index in C order.
    pub(super) fn number(&self, index: usize) -> f64 {
        let size = self.element.size();
        let mut word = [0; 8];
        word[..size].copy_from_slice(&self.bytes[index * size..][..size]);
        if self.is_big {
            word[..size].reverse();
        }
        self.element.number(word)
    }
}

/// Elements of `size` bytes, from first axis fastest to last axis fastest.
fn c_order(shape: &[usize], size: usize, bytes: &[u8]) -> Vec<u8> {
    let mut sorted = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    for _ in 0..bytes.len() / size {
        let place = index
            .iter()
            .zip(shape)
            .rev()
            .fold(0, |place, (i, extent)| place * extent + i);
        sorted.extend_from_slice(&bytes[place * size..][..size]);
        for (i, extent) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < *extent {
                break;
            }
            *i = 0;
        }
    }
    sorted
}

/// Bytes up to the elements, if the header is one that the parser can be given: it recurses, and
/// allocates what the header claims.
fn header_length(file: &[u8], place: &str) -> Result<usize, Diagnostic> {
    let broken = |what: &str| malformed(place, &format!("not a .npy file: {what}"));
    let fixed = file
        .strip_prefix(MAGIC)
        .ok_or_else(|| broken("it does not begin as one"))?;
    let (start, length) = match *fixed {
        [1, _, a, b, ..] => (10, u32::from(u16::from_le_bytes([a, b]))),
        [2 | 3, _, a, b, c, d, ..] => (12, u32::from_le_bytes([a, b, c, d])),
        [1..=3, ..] | [] => return Err(broken("it ends within its header")),
        [version, ..] => return Err(broken(&format!("version {version} is not known"))),
    };
    let length = length as usize;
    if length > HEADER_BYTES {
        return Err(broken(&format!(
            "expected a header of at most {HEADER_BYTES} bytes, found {length}"
        )));
    }
    let header = file
        .get(start..start + length)
        .ok_or_else(|| broken("it ends within its header"))?;
    let mut depth = 0_usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > HEADER_DEPTH {
            return Err(other_type(place, "nested brackets in its header"));
        }
    }
    Ok(start + length)
}

/// What is wrong with a file's content.
pub(super) fn malformed(place: &str, message: &str) -> Diagnostic {
    Diagnostic::error(codes::DATA_ARRAY, place, message)
}

fn other_type(place: &str, found: &str) -> Diagnostic {
    malformed(
        place,
        &format!(
            "expected booleans, integers (8 to 64 bit) or floats (16, 32, 64 bit), found {found}"
        ),
    )
    .help("save it with .astype(numpy.float32), or numpy.uint8 for spikes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of one version, with its length field of two or four bytes.
    fn file(version: u8, header: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[version, 0]].concat();
        let header = format!("{header}\n");
        let length = u32::try_from(header.len()).expect("short").to_le_bytes();
        bytes.extend_from_slice(&length[..if version == 1 { 2 } else { 4 }]);
        bytes.extend_from_slice(header.as_bytes());
        bytes.extend_from_slice(elements);
        bytes
    }

    fn header(descriptor: &str, is_fortran: bool, shape: &str) -> String {
        let order = if is_fortran { "True" } else { "False" };
        format!("{{'descr': '{descriptor}', 'fortran_order': {order}, 'shape': {shape}, }}")
    }

    #[test]
    fn every_type_version_and_order_gives_the_numbers() {
        let cases: [(&str, &[u8], f64); 14] = [
            ("|b1", &[1], 1.0),
            ("|i1", &[0xfe], -2.0),
            ("|u1", &[0xfe], 254.0),
            ("<i2", &[0xfe, 0xff], -2.0),
            (">i2", &[0xff, 0xfe], -2.0),
            (">u2", &[1, 0], 256.0),
            ("<u4", &[0, 0, 0, 0x80], 2_147_483_648.0),
            (">i4", &[0xff, 0xff, 0xff, 0xfd], -3.0),
            ("<i8", &(-5_i64).to_le_bytes(), -5.0),
            (">u8", &7_u64.to_be_bytes(), 7.0),
            ("<f2", &[0, 0xc0], -2.0),
            (">f4", &0.25_f32.to_be_bytes(), 0.25),
            ("<f4", &0.25_f32.to_le_bytes(), 0.25),
            (">f8", &(-0.1_f64).to_be_bytes(), -0.1),
        ];
        for (descriptor, bytes, expected) in cases {
            for version in 1..=3 {
                let file = file(version, &header(descriptor, false, "(1, 1)"), bytes);
                let array = Array::parse(&file, "a.npy").expect("an array");
                assert_eq!(array.number(0), expected, "{descriptor}");
            }
        }
    }

    #[test]
    fn fortran_order_is_turned() {
        // [[0, 1, 2], [3, 4, 5]], first axis fastest.
        let file = file(1, &header("|u1", true, "(2, 3)"), &[0, 3, 1, 4, 2, 5]);
        let array = Array::parse(&file, "a.npy").expect("an array");
        let numbers: Vec<f64> = (0..6).map(|i| array.number(i)).collect();
        assert_eq!(numbers, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    }

    #[test]
    fn hostile_headers_are_refused() {
        let deep = "(".repeat(9000);
        let huge = "(4294967296, 4294967296, 4294967296)";
        for (header, expected) in [
            (header("<f4", false, &deep), "nested brackets"),
            (" ".repeat(20_000), "at most 10000 bytes"),
            (header("<f4", false, huge), "expected the elements"),
            (
                header("<f4", false, "(0, 18446744073709551615)"),
                "expected the elements",
            ),
            (header("<f4", false, "(-1, 2)"), "illegal value"),
            (header("<c8", false, "(1, 1)"), "found '<c8'"),
            (header("|f4", false, "(1, 1)"), "found '|f4'"),
            (
                "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1, 1)}".to_owned(),
                "found [",
            ),
            ("{}".to_owned(), "missing key"),
            ("7".to_owned(), "not a dict"),
        ] {
            for version in 1..=3 {
                let file = file(version, &header, &[0; 12]);
                let error = Array::parse(&file, "a.npy").err().expect(expected);
                assert_eq!(error.code, codes::DATA_ARRAY);
                assert!(error.message.contains(expected), "{error}");
            }
        }
        let whole = file(1, &header("|u1", false, "(2, 2)"), &[0; 4]);
        for length in 0..whole.len() {
            assert!(Array::parse(&whole[..length], "a.npy").is_err(), "{length}");
        }
        assert!(Array::parse(&[&whole[..], &[0]].concat(), "a.npy").is_err());
    }
}

//! The build attributes that tell tools what the code needs: a Cortex-M4 with single-precision hardware floats, passed in
//! float registers. Tags and values are those of the Arm ABI's addendum on build attributes.

/// Text: the processor's name.
const CPU_NAME: (u8, &[u8]) = (5, b"Cortex-M4");

/// Numbers, in ascending order of tags; all below 128, so each takes one byte.
const NUMBERS: [(u8, u8); 11] = [
    (6, 13),   // architecture: v7E-M
    (7, b'M'), // profile: microcontroller
    (9, 2),    // Thumb-2
    (10, 6),   // floats: VFPv4-D16
    (17, 1),   // data addressed absolutely
    (20, 1),   // denormals as IEEE has them
    (23, 3),   // all of IEEE 754
    (24, 1),   // needs 8-byte alignment of 8-byte data
    (25, 1),   // keeps it for the stack
    (27, 1),   // floats: single precision only
    (28, 1),   // float arguments in float registers
];

/// The contents of `.ARM.attributes`.
pub(super) fn arm_attributes() -> Vec<u8> {
    let mut tags = vec![CPU_NAME.0];
    tags.extend(CPU_NAME.1);
    tags.push(0);
    tags.extend(NUMBERS.iter().flat_map(|&(tag, value)| [tag, value]));
    // Tag 1: attributes of the whole file. Lengths count themselves and their tag.
    let file = block(&[1], &tags);
    let vendor = block(&[], &[&b"aeabi\0"[..], &file].concat());
    [&b"A"[..], &vendor].concat()
}

fn block(tag: &[u8], contents: &[u8]) -> Vec<u8> {
    let length = (tag.len() + 4 + contents.len()) as u32;
    [tag, &length.to_le_bytes(), contents].concat()
}

//! Verilog hex, as `objcopy -O verilog` writes it: the `.mem` files of the chip's host tools.

use std::fmt::Write;

/// Bytes a line.
const LINE: usize = 16;

/// The text of these segments (address, bytes); empty ones are left out.
pub(super) fn verilog_hex<'a>(segments: impl IntoIterator<Item = (u32, &'a [u8])>) -> String {
    let mut text = String::new();
    for (address, bytes) in segments {
        if bytes.is_empty() {
            continue;
        }
        let _ = write!(text, "@{address:08X}\r\n");
        for line in bytes.chunks(LINE) {
            for (i, byte) in line.iter().enumerate() {
                let space = if i == 0 { "" } else { " " };
                let _ = write!(text, "{space}{byte:02X}");
            }
            text.push_str("\r\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::verilog_hex;

    #[test]
    fn lines_hold_sixteen_bytes() {
        let bytes: Vec<u8> = (1..=18).collect();
        let text = verilog_hex([(0x100, bytes.as_slice()), (0x200, &[]), (0x300, &[0xFF])]);
        assert_eq!(
            text,
            "@00000100\r\n01 02 03 04 05 06 07 08 09 0A 0B 0C 0D 0E 0F 10\r\n11 12\r\n\
             @00000300\r\nFF\r\n"
        );
    }
}

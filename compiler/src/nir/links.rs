//! Soft and external links: names in a file that stand for objects elsewhere.
//!
//! NIR has none, and the parser underneath passes over them or stumbles, so they are looked for here to
//! say so. They are found by their form, wherever in the file they lie: what remains of a deleted link
//! is found as well, so that a link is no error by itself, but explains one.

/// A soft or external link.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Link<'a> {
    /// Its name in its group.
    pub(super) name: &'a str,
    /// The file, if it is another one.
    pub(super) file: Option<&'a str>,
    /// The object's path in there.
    pub(super) path: &'a str,
}

/// The most links that are told of.
const MOST: usize = 16;

/// Bytes of the longest name and path looked at, so that a file full of beginnings takes no time.
const LONGEST: usize = 256;

/// The first links of groups in the newer format: messages of version 1 with a link type.
pub(super) fn messages(bytes: &[u8]) -> Vec<Link<'_>> {
    const BLOCK: usize = 256;
    let starts = (0..bytes.len()).step_by(BLOCK);
    starts
        .filter(|start| may_begin(&bytes[*start..bytes.len().min(start + BLOCK + 2)]))
        .flat_map(|start| start..bytes.len().min(start + BLOCK))
        .filter_map(|at| message(&bytes[at..]))
        .take(MOST)
        .collect()
}

/// Whether a message may begin in a block, which holds the first two bytes of the next as well. Without a
/// branch for each byte, because weights are most of a file and none of it.
fn may_begin(block: &[u8]) -> bool {
    let flags = block.get(1..).unwrap_or_default();
    let kinds = block.get(2..).unwrap_or_default();
    let heads = block.iter().zip(flags).zip(kinds);
    heads.fold(false, |found, ((version, flags), kind)| {
        found | (*version == 1) & has_type(*flags) & ((*kind == SOFT) | (*kind == EXTERNAL))
    })
}

/// Whether flags have no unknown bits, and say that the kind of link follows.
fn has_type(flags: u8) -> bool {
    flags & 0xe8 == 0x08
}

const SOFT: u8 = 1;
const EXTERNAL: u8 = 64;

fn message(bytes: &[u8]) -> Option<Link<'_>> {
    let ([1, flags, kind @ (SOFT | EXTERNAL)], mut rest) = bytes.split_first_chunk()? else {
        return None;
    };
    if !has_type(*flags) {
        return None;
    }
    if flags & 0x04 != 0 {
        // The order of creation.
        rest = rest.get(8..)?;
    }
    if flags & 0x10 != 0 {
        // The character set: ASCII or UTF-8.
        rest = rest.split_first().filter(|(set, _)| **set <= 1)?.1;
    }
    let (name_len, rest) = number(rest, 1 << (flags & 3))?;
    let (name, rest) = text(rest, name_len)?;
    let (target_len, rest) = number(rest, 2)?;
    if *kind == SOFT {
        let (path, _) = text(rest, target_len)?;
        return Some(Link {
            name,
            file: None,
            path,
        });
    }
    // Version and flags, both 0; file and path, each with a zero behind it.
    let target = rest.get(..target_len).filter(|t| t.len() <= 2 * LONGEST)?;
    let target = target.strip_prefix(&[0])?;
    let mut parts = target.strip_suffix(&[0])?.split(|byte| *byte == 0);
    let (file, path) = (parts.next()?, parts.next()?);
    let end = parts.next();
    let link = Link {
        name,
        file: Some(printable(file)?),
        path: printable(path)?,
    };
    end.is_none().then_some(link)
}

/// A little-endian number of `len` bytes.
fn number(bytes: &[u8], len: usize) -> Option<(usize, &[u8])> {
    let (number, rest) = bytes.split_at_checked(len)?;
    let value = number.iter().rev().try_fold(0usize, |n, byte| {
        Some(n.checked_mul(256)? | usize::from(*byte))
    })?;
    Some((value, rest))
}

fn text(bytes: &[u8], len: usize) -> Option<(&str, &[u8])> {
    let (text, rest) = bytes.split_at_checked(len)?;
    Some((printable(text)?, rest))
}

fn printable(bytes: &[u8]) -> Option<&str> {
    if bytes.len() > LONGEST {
        return None;
    }
    let text = str::from_utf8(bytes).ok()?;
    let fits = !text.is_empty() && !text.contains(char::is_control);
    fits.then_some(text)
}

/// Whether a group in the older format has a soft link: an entry of a symbol table without an object,
/// whose kind says that a path stands in its place.
pub(super) fn is_in_symbol_table(bytes: &[u8]) -> bool {
    const ENTRY: usize = 40;
    let mut tables = bytes
        .windows(8)
        .enumerate()
        .filter(|(_, w)| w.starts_with(b"SNOD\x01"));
    tables.any(|(at, head)| {
        let count = usize::from(u16::from_le_bytes([head[6], head[7]]));
        let mut entries = bytes[at + 8..].chunks_exact(ENTRY).take(count);
        entries.any(|entry| entry[8..16] == [0xff; 8] && entry[16..20] == [2, 0, 0, 0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_of(flags: u8, kind: u8, between: &[u8], name: &str, target: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 1, flags, kind];
        bytes.extend_from_slice(between);
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(&(target.len() as u16).to_le_bytes());
        bytes.extend_from_slice(target);
        bytes
    }

    #[test]
    fn both_kinds_are_found_wherever_they_lie() {
        let soft = message_of(0x18, SOFT, &[1], "tau", b"/node/x");
        let external = message_of(0x0c, EXTERNAL, &[0; 8], "\u{fc}", b"\0other.h5\0/a\0");
        for before in [0, 1, 254, 255, 256, 1000] {
            let mut bytes = vec![1; before];
            bytes.extend_from_slice(&soft);
            bytes.extend_from_slice(&external);
            let expected = [
                Link {
                    name: "tau",
                    file: None,
                    path: "/node/x",
                },
                Link {
                    name: "\u{fc}",
                    file: Some("other.h5"),
                    path: "/a",
                },
            ];
            assert_eq!(messages(&bytes), expected, "{before}");
        }
        assert_eq!(messages(&soft[..soft.len() - 1]), []);
        assert_eq!(messages(&message_of(0x18, SOFT, &[1], "a\n", b"b")), []);
        assert_eq!(
            messages(&message_of(0x08, EXTERNAL, &[], "a", b"\0b\0c\0d\0")),
            []
        );
        assert_eq!(messages(&[]), []);
    }

    #[test]
    fn soft_links_of_the_older_format_are_told_from_objects() {
        let entry = |address: u8, kind: u8| {
            let mut entry = [0; 40];
            entry[8..16].fill(address);
            entry[16] = kind;
            entry
        };
        let table = |entries: &[[u8; 40]]| {
            let mut bytes = vec![7; 13];
            bytes.extend_from_slice(b"SNOD\x01\0");
            bytes.extend_from_slice(&(entries.len() as u16).to_le_bytes());
            bytes.extend_from_slice(&entries.concat());
            bytes
        };
        assert!(is_in_symbol_table(&table(&[entry(1, 1), entry(0xff, 2)])));
        assert!(!is_in_symbol_table(&table(&[entry(1, 1), entry(1, 0)])));
        assert!(!is_in_symbol_table(&entry(0xff, 2)));
    }
}

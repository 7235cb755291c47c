//! Whatever the bytes: an answer, soon, and memory in proportion.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use nirc_compiler::nir::{Limits, import, read_bytes, read_bytes_within, summary, to_bytes};

use crate::samples::{Random, options, small, tree};
use crate::shared;

/// Counts what each thread allocates, so that a test can see the largest request of a call.
struct Counting;

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter neither allocates nor
// unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = LARGEST.try_with(|l| l.set(l.get().max(layout.size())));
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads and, if that succeeds, does all that is done with a file. Returns the code of a file that was
/// not read.
fn run(bytes: Vec<u8>) -> Option<&'static str> {
    let len = bytes.len();
    LARGEST.set(0);
    let outcome = read_bytes(bytes);
    let largest = LARGEST.get();
    // The worst a compressed data set may claim, and a small allowance for tables.
    assert!(
        largest <= 1032 * len + (1 << 20),
        "{largest} bytes at once for a file of {len}"
    );
    match outcome {
        Ok((file, _)) => {
            let _ = summary(&file);
            if let Err(problems) = import(&file, &options()) {
                assert!(problems.has_errors());
            }
            None
        }
        Err(problems) => {
            assert!(problems.has_errors());
            Some(problems.0[0].code)
        }
    }
}

fn small_bytes() -> Vec<u8> {
    let (nodes, edges) = small();
    to_bytes(&tree(&nodes, &edges)).unwrap()
}

/// Files of each kind of layout: our own, and where they are at hand h5py's with and without filters.
fn victims() -> Vec<Vec<u8>> {
    let mut victims = vec![small_bytes()];
    if let Some(dir) = shared::dir() {
        for name in [
            "exported/scalar_params_nocompress.nir",
            "exported/jaxsnn_ff_cubalif.nir",
            "exported/all_primitives_1d_lzf.nir",
            "exported/nested_subgraph.nir",
            "exported/f16_weights.nir",
        ] {
            victims.push(shared::bytes(&dir.join("nir").join(name)));
        }
    }
    let examples = shared::examples();
    victims.extend(examples.iter().map(|(_, path)| shared::bytes(path)));
    victims
}

#[test]
fn truncated_files_are_refused() {
    for bytes in victims() {
        for len in (0..bytes.len()).step_by(97) {
            let code = run(bytes[..len].to_vec());
            assert!(
                code.is_some(),
                "{len} of {} bytes are no graph",
                bytes.len()
            );
        }
    }
}

/// A number from the environment, for longer runs than every day's.
fn number_from(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |v| v.parse().unwrap())
}

#[test]
fn mutated_files_end_in_an_answer() {
    let victims = victims();
    let mut random = Random(number_from("NIRC_MUTATION_SEED", 1));
    let mut refused = 0;
    let mut slowest = Duration::ZERO;
    let rounds = number_from("NIRC_MUTATIONS", 20_000);
    for round in 0..rounds {
        let mut bytes = victims[random.below(victims.len())].clone();
        for _ in 0..1 + random.below(8) {
            // Most of a file is empty; what is not is where the structure lies.
            let mut at = random.below(bytes.len());
            while bytes[at] == 0 && random.below(16) != 0 {
                at = random.below(bytes.len());
            }
            bytes[at] = match random.below(4) {
                0 => 0xff,
                1 => 0,
                2 => bytes[at] ^ 1 << random.below(8),
                _ => random.next() as u8,
            };
        }
        let start = Instant::now();
        if let (0, Ok((file, _))) = (round % 16, read_bytes(bytes.clone())) {
            let _ = to_bytes(file.tree());
        }
        refused += u64::from(run(bytes).is_some());
        slowest = slowest.max(start.elapsed());
    }
    println!("{rounds} mutated files, {refused} not read, the slowest in {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?} for one file");
    assert!(
        (rounds / 8..rounds).contains(&refused),
        "{refused} of {rounds} were not read: the mutations are too weak or too strong"
    );
}

/// Every field of eight bytes that may be an address or an extent, set to each of a few bad values.
#[test]
fn wrong_addresses_and_extents_end_in_an_answer() {
    for bytes in victims().into_iter().take(3) {
        let len = bytes.len() as u64;
        for at in (0..bytes.len() - 8).step_by(8) {
            if bytes[at..at + 8] == [0; 8] {
                continue;
            }
            for value in [0, 96, len - 1, len, u64::MAX, 1 << 40, 1 << 62] {
                let mut bytes = bytes.clone();
                bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
                run(bytes);
            }
        }
    }
}

/// Groups in h5py's files lie in symbol tables, which have no checksum: link each entry to the root.
#[test]
fn groups_that_link_to_themselves_are_refused() {
    let Some(dir) = shared::dir() else {
        return;
    };
    let bytes = shared::bytes(&dir.join("nir/exported/scalar_params_nocompress.nir"));
    // Superblock version 0: the root's symbol table entry stands at 56, its header address 8 later.
    let root: [u8; 8] = bytes[64..72].try_into().unwrap();
    let mut codes = Vec::new();
    for table in (0..bytes.len() - 8).filter(|at| &bytes[*at..at + 4] == b"SNOD") {
        let entries = usize::from(u16::from_le_bytes([bytes[table + 6], bytes[table + 7]]));
        for entry in 0..entries {
            let mut bytes = bytes.clone();
            let at = table + 8 + entry * 40 + 8;
            bytes[at..at + 8].copy_from_slice(&root);
            codes.push(run(bytes));
        }
    }
    let cycles = codes.iter().filter(|c| **c == Some("N0104")).count();
    assert!(!codes.is_empty() && cycles == codes.len(), "{codes:?}");
}

#[test]
fn extents_beyond_the_file_are_refused_before_they_are_read() {
    let Some(dir) = shared::dir() else {
        return;
    };
    let bytes = shared::bytes(&dir.join("nir/overflowing_extents.nir.hex"));
    assert_eq!(run(bytes), Some("N0105"));
}

#[test]
fn limits_hold() {
    let bytes = small_bytes();
    let with = |limits: Limits| {
        let refused = read_bytes_within(bytes.clone(), &limits).err();
        refused.map(|problems| problems.0[0].code)
    };
    let all = Limits::DEFAULT;
    assert_eq!(with(all), None);
    assert_eq!(
        with(Limits {
            file_bytes: 100,
            ..all
        }),
        Some("N0105")
    );
    assert_eq!(with(Limits { depth: 2, ..all }), Some("N0104"));
    assert_eq!(with(Limits { objects: 5, ..all }), Some("N0104"));
    assert_eq!(with(Limits { strings: 3, ..all }), Some("N0105"));
    assert_eq!(with(Limits { bytes: 500, ..all }), Some("N0105"));
}

#[test]
fn files_of_other_kinds_are_refused() {
    for (bytes, text) in [
        (&b""[..], "an empty file"),
        (b"PK\x03\x04whatever", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "truncated or garbled"),
        (b"hello", "no HDF5 signature"),
    ] {
        let problems = read_bytes(bytes.to_vec()).unwrap_err();
        assert_eq!(problems.0[0].code, "N0102");
        assert!(problems.0[0].message.contains(text), "{problems}");
    }
}

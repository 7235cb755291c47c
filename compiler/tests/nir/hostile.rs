//! Whatever the bytes: an answer, soon, and memory in proportion.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, Instant};

use hdf5_pure::{Datatype, FileBuilder, make_f64_type, make_i8_type};
use nirc_compiler::nir::{Limits, read_bytes, read_bytes_within, summary, to_bytes};
use nirc_tests::files::{is_imported, read_and_write};
use nirc_tests::mutate::mutated;
use nirc_tests::rng::Rng;

use crate::samples::{errors, input, refused, small, small_with, tree};
use crate::shared;

/// Counts what each thread holds, so that a test can see the most that a call held at once.
struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

/// Notes that the thread holds `change` bytes more. Neither allocates nor unwinds.
fn count(change: i64) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
}

/// The most that the thread holds during `call` beyond what it held before, and what it returns.
fn most_held<T>(call: impl FnOnce() -> T) -> (u64, T) {
    let before = HELD.get();
    MOST.set(before);
    let value = call();
    ((MOST.get() - before) as u64, value)
}

// SAFETY: every call goes to the system's allocator unchanged; the counters neither allocate nor
// unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's obligations are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a file came to.
struct Answer {
    /// The code of a file that was not read.
    refused: Option<&'static str>,
    /// Whether a network was imported from it.
    imported: bool,
    /// The most that was held while it was read, in bytes, and while it was imported.
    held: [u64; 2],
}

/// Reads and, if that succeeds, does all that is done with a file.
fn answer(bytes: Vec<u8>) -> Answer {
    let len = bytes.len() as u64;
    let (beside, outcome) = most_held(|| read_bytes(bytes));
    let read = len + beside;
    let bound = Limits::DEFAULT.memory(len);
    assert!(
        read <= bound,
        "{read} bytes held for a file of {len}, not {bound}"
    );
    match outcome {
        Ok((file, _)) => {
            let _ = summary(&file);
            let (import, imported) = most_held(|| is_imported(&file, "eventprop"));
            Answer {
                refused: None,
                imported,
                held: [read, import],
            }
        }
        Err(problems) => {
            assert!(problems.has_errors());
            Answer {
                refused: Some(problems.0[0].code),
                imported: false,
                held: [read, 0],
            }
        }
    }
}

/// The code of a file that was not read.
fn run(bytes: Vec<u8>) -> Option<&'static str> {
    answer(bytes).refused
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
            "exported/snntorch_conv_avgpool.nir",
            "exported/snntorch_rleaky_dense.nir",
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

/// Every file at hand, the largest left out: their weights are most of what would be hit.
fn all_files() -> Vec<Vec<u8>> {
    let mut files = victims();
    let shared = shared::files().unwrap_or_default();
    files.extend(shared.iter().map(|(_, path)| shared::bytes(path)));
    files.retain(|bytes| (1..100_000).contains(&bytes.len()));
    files
}

/// Says which case it is when the test fails in it.
struct Case {
    seed: u64,
    round: u64,
}

impl Drop for Case {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, round } = self;
            eprintln!("round {round} of NIRC_MUTATION_SEED={seed}");
        }
    }
}

/// `NIRC_MUTATIONS=1000000 cargo test --release -p nirc-compiler --test nir mutated -- --nocapture` makes as
/// many as were made once, and prints what became of them. `NIRC_MUTATION_ROUND` is the first of them.
#[test]
fn mutated_files_end_in_an_answer() {
    let files = all_files();
    let seed = number_from("NIRC_MUTATION_SEED", 1);
    let rounds = number_from("NIRC_MUTATIONS", 10_000);
    let (mut read, mut imported) = (0, 0);
    let mut slowest = (Duration::ZERO, 0);
    let mut most = [0, 0];
    let first = number_from("NIRC_MUTATION_ROUND", 0);
    for round in first..first + rounds {
        let case = Case { seed, round };
        let mut rng = Rng::new(seed << 32 | round);
        let [file, donor] = [0, 1].map(|_| rng.below(files.len()));
        let bytes = mutated(&files[file], &files[donor], &mut rng);
        let start = Instant::now();
        if round % 16 == 0 {
            read_and_write(&bytes);
        }
        let answer = answer(bytes);
        slowest = slowest.max((start.elapsed(), round));
        read += u64::from(answer.refused.is_none());
        imported += u64::from(answer.imported);
        most = [0, 1].map(|i| most[i].max(answer.held[i]));
        drop(case);
    }
    println!(
        "{rounds} mutated files: {read} read, {imported} imported; the slowest, of round {}, in {:?}; \
         at most {} bytes held to read one, {} to import one",
        slowest.1, slowest.0, most[0], most[1]
    );
    assert!(
        slowest.0 < Duration::from_secs(5),
        "{slowest:?} for one file"
    );
    // Few rounds are one that is looked at again.
    assert!(
        rounds < 1000 || (rounds / 8..rounds * 7 / 8).contains(&read) && imported > 0,
        "{read} of {rounds} were read, {imported} imported: the mutations are too weak or too strong"
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

/// Zeros that compress as well as zlib can, in the types that decode to the least and to the most.
#[test]
fn compressed_files_take_no_more_memory_than_is_stated() {
    let numbers = |datatype: Datatype, size: usize, datasets: usize| {
        let count = (4 << 20) / size;
        let mut file = FileBuilder::new();
        let mut node = file.create_group("node");
        node.create_dataset("type")
            .with_shape(&[])
            .with_vlen_strings(&["NIRGraph"]);
        node.create_dataset("edges")
            .with_shape(&[0])
            .with_f64_data(&[]);
        let nodes = node.create_group("nodes");
        node.add_group(nodes.finish());
        let mut metadata = node.create_group("metadata");
        for i in 0..datasets {
            metadata
                .create_dataset(&format!("zeros{i}"))
                .with_shape(&[count as u64])
                .with_raw_data(datatype.clone(), vec![0; count * size], count as u64)
                .with_chunks(&[count as u64])
                .with_deflate(9);
        }
        node.add_group(metadata.finish());
        file.add_group(node.finish());
        file.finish().unwrap()
    };
    for (datatype, size) in [(make_i8_type(), 1), (make_f64_type(), 8)] {
        for datasets in [1, 6] {
            let bytes = numbers(datatype.clone(), size, datasets);
            assert!(bytes.len() < 5000 + 5000 * datasets, "{}", bytes.len());
            let answer = answer(bytes);
            assert_eq!(answer.refused, None);
            assert!(answer.held[0] > (4 << 20) * datasets as u64);
        }
    }
}

/// Where a neuron's parameters are one value for all, nothing but a number in the file says how many
/// neurons there are.
#[test]
fn shapes_without_data_are_bounded() {
    for extents in [&[1 << 23][..], &[1 << 40], &[1 << 32, 1 << 32], &[i64::MAX]] {
        let problems = refused(&small_with("in", input(extents)));
        assert_eq!(errors(&problems), ["N0203 in"], "{extents:?}");
    }
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

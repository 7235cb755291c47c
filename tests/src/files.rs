//! What is done with a file that may be garbled: whatever it holds, it ends in an answer.

use std::collections::BTreeSet;

use nirc_compiler::nir::{File, ImportOptions, import, read_bytes, summary, to_bytes};
use nirc_compiler::passes::{Time, prepare};
use nirc_ir::network::Convention;

/// Reads bytes; of what was read, what is written is read, and written the same again.
///
/// # Panics
/// If not.
pub fn read_and_write(bytes: &[u8]) {
    match read_bytes(bytes.to_vec()) {
        Ok((file, _)) => {
            summary(&file);
            // Names and extents that HDF5 cannot hold are refused, not written.
            if let Ok(written) = to_bytes(file.tree()) {
                let (again, _) = read_bytes(written.clone()).expect("what we wrote is readable");
                assert_eq!(to_bytes(again.tree()), Ok(written));
            }
        }
        Err(problems) => assert!(problems.has_errors(), "refused without an error"),
    }
}

/// Whether a network is imported from a file under a preset, with a tick of 1 ms, and made ready to lower.
///
/// # Panics
/// If there is no such preset, or the file is refused without an error.
pub fn is_imported(file: &File, preset: &str) -> bool {
    let options = ImportOptions {
        convention: Convention::preset(preset).expect("a preset"),
        dt: Some(1e-3),
        name: "garbled".to_owned(),
        graded: BTreeSet::new(),
    };
    let outcome = import(file, &options).and_then(|(mut network, _)| {
        prepare(
            &mut network,
            &[],
            &BTreeSet::new(),
            Time::Ticks,
            &mut |_, _| {},
        )
    });
    if let Err(problems) = &outcome {
        assert!(problems.has_errors(), "refused without an error");
    }
    outcome.is_ok()
}

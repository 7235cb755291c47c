//! Bytes into a network, or into errors, under each of a few conventions.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use nirc_compiler::nir::read_bytes;
use nirc_tests::files::is_imported;

// The macro wants the braces, which rustfmt would take away.
#[rustfmt::skip]
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    nirc_fuzz::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    if let Ok((file, _)) = read_bytes(bytes.to_vec()) {
        for preset in ["eventprop", "nir"] {
            is_imported(&file, preset);
        }
    }
});

//! Bytes into a file within limits, and what was read into bytes again.
#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use nirc_tests::files::read_and_write;

// The macro wants the braces, which rustfmt would take away.
#[rustfmt::skip]
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    nirc_fuzz::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| read_and_write(bytes));

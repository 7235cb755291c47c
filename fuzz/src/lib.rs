//! What the fuzz targets share: libFuzzer's mutations of bytes, and beside them those of graphs that the
//! tests use too.

use libfuzzer_sys::fuzzer_mutate;
use nirc_tests::mutate::with_other_graph;
use nirc_tests::rng::Rng;

/// Mutates the first `size` bytes of `data` in place; returns the new size, at most `max_size`.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut rng = Rng::new(u64::from(seed));
    if rng.below(2) == 0
        && let Some(bytes) = with_other_graph(&data[..size], &mut rng)
        && bytes.len() <= max_size
    {
        data[..bytes.len()].copy_from_slice(&bytes);
        return bytes.len();
    }
    fuzzer_mutate(data, size, max_size)
}

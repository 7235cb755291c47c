//! Memory of `f32`s that starts on a cache line.

use std::ops::{Deref, DerefMut};

/// Elements of a cache line.
pub(crate) const LINE: usize = 16;

/// A fixed number of `f32`s, aligned so that a chunk never straddles two cache lines.
///
/// Alignment is for speed alone: an allocator that cannot give it costs time, not correctness.
pub(crate) struct Arena {
    data: Vec<f32>,
    start: usize,
    len: usize,
}

impl Arena {
    /// An arena with this content.
    pub(crate) fn new(image: &[f32]) -> Self {
        Self::repeated(image, 1)
    }

    /// An arena that holds this content so many times over.
    pub(crate) fn repeated(image: &[f32], times: usize) -> Self {
        let len = image.len() * times;
        let mut data = vec![0.0; len + LINE];
        let start = data
            .as_ptr()
            .align_offset(LINE * size_of::<f32>())
            .min(LINE);
        let parts = data[start..start + len].chunks_exact_mut(image.len().max(1));
        parts.for_each(|part| part.copy_from_slice(image));
        Self { data, start, len }
    }
}

impl Deref for Arena {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.data[self.start..self.start + self.len]
    }
}

impl DerefMut for Arena {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.data[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_its_content_and_its_alignment() {
        let image: Vec<f32> = (0..40_u8).map(f32::from).collect();
        let arena = Arena::new(&image);
        assert_eq!(&*arena, image.as_slice());
        assert_eq!(arena.as_ptr().align_offset(64), 0);
    }
}

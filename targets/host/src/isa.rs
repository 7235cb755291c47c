//! One set of kernels, compiled for several sets of instructions.
//!
//! The machine's own arithmetic is IEEE in all of them, and Rust neither contracts nor reassociates,
//! so the choice changes the speed and no bit.

#![allow(
    unsafe_code,
    reason = "functions with target features are called after detection"
)]

use crate::code::{Offsets, Root, Scalar, VectorCode};
use crate::frame::{Events, Frame};
use crate::synapses::SynapseCode;
use crate::{scalar, synapses, vector};

/// Which instructions may be used. Only [`Isa::detect`] makes anything but `Portable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Isa {
    /// What every machine has.
    pub(crate) const PORTABLE: Self = Self(Level::Portable);

    /// The best that this machine has.
    pub(crate) fn detect() -> Self {
        Self::available().pop().unwrap_or(Self::PORTABLE)
    }

    /// All that this machine has, the best last.
    pub(crate) fn available() -> Vec<Self> {
        let mut all = vec![Self::PORTABLE];
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 {
                all.push(Self(Level::Avx2));
            }
            if avx2
                && is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
            {
                all.push(Self(Level::Avx512));
            }
        }
        all
    }

    /// Its usual name.
    pub(crate) fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
        }
    }

    /// Runs a vector routine for events of a bin.
    pub(crate) fn vector<const W: usize>(
        self,
        code: &VectorCode,
        events: &mut Events<'_>,
        frame: &mut Frame<'_>,
    ) {
        match self.0 {
            Level::Portable => vector::run::<W>(code, events, frame),
            // SAFETY: `detect` makes this level only where the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { vector_avx2::<W>(code, events, frame) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { vector_avx512::<W>(code, events, frame) },
        }
    }

    /// Runs a routine over synapses for events of a bin.
    pub(crate) fn synapses(
        self,
        code: &SynapseCode,
        events: &mut Events<'_>,
        frame: &mut Frame<'_>,
    ) {
        match self.0 {
            Level::Portable => synapses::run(code, events, frame),
            // SAFETY: `detect` makes these levels only where the processor has the features; the
            // second one includes those of the first.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => unsafe { synapses_avx2(code, events, frame) },
        }
    }

    /// Finds the roots of all lanes.
    pub(crate) fn roots(self, root: &Root, offsets: &Offsets, frame: &mut Frame<'_>) {
        match self.0 {
            Level::Portable => vector::roots(root, offsets, frame),
            // SAFETY: `detect` makes this level only where the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { roots_avx2(root, offsets, frame) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { roots_avx512(root, offsets, frame) },
        }
    }

    /// Appends which of these numbers are not 0.
    pub(crate) fn positions(self, numbers: &[f32], positions: &mut Vec<u32>) {
        match self.0 {
            Level::Portable => positions.extend(others(0, numbers)),
            // SAFETY: `detect` makes this level only where the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { positions_avx2(numbers, positions) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { positions_avx512(numbers, positions) },
        }
    }

    /// How many of these times are earlier than each.
    pub(crate) fn ranks(self, times: &mut Vec<f32>, ranks: &mut Vec<u32>) {
        match self.0 {
            Level::Portable => vector::ranks(times, ranks),
            // SAFETY: `detect` makes this level only where the processor has the features.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => unsafe { ranks_avx2(times, ranks) },
            // SAFETY: likewise.
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => unsafe { ranks_avx512(times, ranks) },
        }
    }

    /// Runs a scalar routine for one lane.
    pub(crate) fn scalar(self, steps: &[Scalar], offsets: &Offsets, frame: &mut Frame<'_>) {
        match self.0 {
            Level::Portable => scalar::run(steps, offsets, frame),
            // SAFETY: `detect` makes these levels only where the processor has the features; the
            // second one includes those of the first.
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512 => unsafe { scalar_avx2(steps, offsets, frame) },
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn scalar_avx2(steps: &[Scalar], offsets: &Offsets, frame: &mut Frame<'_>) {
    scalar::run(steps, offsets, frame);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn synapses_avx2(code: &SynapseCode, events: &mut Events<'_>, frame: &mut Frame<'_>) {
    synapses::run(code, events, frame);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn vector_avx2<const W: usize>(code: &VectorCode, events: &mut Events<'_>, frame: &mut Frame<'_>) {
    vector::run::<W>(code, events, frame);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
fn vector_avx512<const W: usize>(
    code: &VectorCode,
    events: &mut Events<'_>,
    frame: &mut Frame<'_>,
) {
    vector::run::<W>(code, events, frame);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn ranks_avx2(times: &mut Vec<f32>, ranks: &mut Vec<u32>) {
    vector::ranks(times, ranks);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
fn ranks_avx512(times: &mut Vec<f32>, ranks: &mut Vec<u32>) {
    vector::ranks(times, ranks);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn roots_avx2(root: &Root, offsets: &Offsets, frame: &mut Frame<'_>) {
    vector::roots(root, offsets, frame);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
fn roots_avx512(root: &Root, offsets: &Offsets, frame: &mut Frame<'_>) {
    vector::roots(root, offsets, frame);
}

/// Which of these numbers, from `first` on, are not 0.
fn others(first: usize, numbers: &[f32]) -> impl Iterator<Item = u32> {
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let numbered = (first..).zip(numbers);
    numbered.filter_map(|(k, number)| (*number != 0.0).then_some(k))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn positions_avx2(numbers: &[f32], positions: &mut Vec<u32>) {
    use std::arch::x86_64::{_CMP_NEQ_UQ, _mm256_cmp_ps, _mm256_movemask_ps, _mm256_setzero_ps};
    let (chunks, rest) = numbers.as_chunks::<8>();
    for (first, chunk) in (0..).step_by(8).zip(chunks) {
        // SAFETY: both are eight numbers.
        let x = unsafe { std::mem::transmute::<[f32; 8], std::arch::x86_64::__m256>(*chunk) };
        let others = _mm256_cmp_ps::<_CMP_NEQ_UQ>(x, _mm256_setzero_ps());
        let mut mask = _mm256_movemask_ps(others);
        while mask != 0 {
            positions.push(first + mask.trailing_zeros());
            mask &= mask - 1;
        }
    }
    positions.extend(others(numbers.len() - rest.len(), rest));
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma,avx512f,avx512vl,avx512bw,avx512dq")]
fn positions_avx512(numbers: &[f32], positions: &mut Vec<u32>) {
    use std::arch::x86_64::{
        __m512, _CMP_NEQ_UQ, _mm512_add_epi32, _mm512_cmp_ps_mask, _mm512_maskz_compress_epi32,
        _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_storeu_epi32,
    };
    let (chunks, rest) = numbers.as_chunks::<16>();
    let mut lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let next = _mm512_set1_epi32(16);
    let mut len = positions.len();
    positions.reserve(16 * chunks.len());
    for chunk in chunks {
        // SAFETY: both are sixteen numbers.
        let x = unsafe { std::mem::transmute::<[f32; 16], __m512>(*chunk) };
        let others = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(x, _mm512_setzero_ps());
        let packed = _mm512_maskz_compress_epi32(others, lanes);
        // SAFETY: there is room for all lanes of this chunk and of those before.
        unsafe { _mm512_storeu_epi32(positions.as_mut_ptr().add(len).cast(), packed) };
        len += others.count_ones() as usize;
        lanes = _mm512_add_epi32(lanes, next);
    }
    // SAFETY: so many have been written.
    unsafe { positions.set_len(len) };
    positions.extend(others(numbers.len() - rest.len(), rest));
}

//! One set of kernels, compiled for several sets of instructions.
//!
//! The machine's own arithmetic is IEEE in all of them, and Rust neither contracts nor reassociates,
//! so the choice changes the speed and no bit.

#![allow(
    unsafe_code,
    reason = "functions with target features are called after detection"
)]

use crate::code::{Offsets, Scalar, VectorCode};
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

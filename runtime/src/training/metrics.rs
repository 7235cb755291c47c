//! What is measured.

use serde::{Deserialize, Deserializer, Serialize};

/// One finished epoch: a line of `metrics.jsonl` and of `train --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Mean minimised loss of the epoch's training samples, each when it was trained on.
    #[serde(deserialize_with = "or_nan")]
    pub train_loss: f64,
    /// Share of these samples that were classified rightly, each when it was trained on.
    pub train_accuracy: f64,
    /// What the validation samples gave after the epoch, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Measured>,
    /// Mean cross entropy of the test samples after the epoch.
    #[serde(deserialize_with = "or_nan")]
    pub test_loss: f64,
    /// Share of the test samples classified rightly after the epoch.
    pub test_accuracy: f64,
    /// Wall-clock time of the epoch's training batches, without tests and checkpoints.
    pub seconds: f64,
    /// Wall-clock time of the epoch's tests, validation included.
    pub test_seconds: f64,
    /// What it ran on.
    pub executor: String,
    /// SHA-256 of the trained tensors: `f32` little endian, in NIR's layout (outputs, inputs), in the
    /// order of their names.
    pub weights_sha256: String,
    /// Tests within the epoch, where the configuration asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evaluations: Vec<Evaluation>,
}

/// What a pass over a set gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// Mean cross entropy.
    #[serde(deserialize_with = "or_nan")]
    pub loss: f64,
    /// Share of samples classified rightly.
    pub accuracy: f64,
}

impl From<Tally> for Measured {
    fn from(tally: Tally) -> Self {
        Self {
            loss: tally.mean_cross_entropy(),
            accuracy: tally.accuracy(),
        }
    }
}

/// A test of the network as it was after some training samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Training samples seen so far, over all epochs.
    pub samples: usize,
    /// Mean cross entropy of the test samples.
    #[serde(deserialize_with = "or_nan")]
    pub test_loss: f64,
    /// Share of the test samples classified rightly.
    pub test_accuracy: f64,
}

/// Sums over some samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    /// Number of samples.
    pub samples: usize,
    /// How many were classified rightly.
    pub right: usize,
    /// Sum of the losses; kept by its bits, so that resuming loses none.
    #[serde(with = "bits")]
    pub loss: f64,
    /// Sum of the cross entropies.
    #[serde(with = "bits")]
    pub cross_entropy: f64,
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53 samples")]
impl Tally {
    /// Share of rightly classified samples; 0 of none.
    pub fn accuracy(&self) -> f64 {
        self.right as f64 / self.samples.max(1) as f64
    }

    /// Mean minimised loss; 0 of none.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.samples.max(1) as f64
    }

    /// Mean cross entropy; 0 of none.
    pub fn mean_cross_entropy(&self) -> f64 {
        self.cross_entropy / self.samples.max(1) as f64
    }
}

/// JSON has no NaN or infinity, and writes null for them.
fn or_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

mod bits {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.to_bits())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        u64::deserialize(deserializer).map(f64::from_bits)
    }
}

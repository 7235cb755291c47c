//! Checkpoints: everything to go on from, in one file that is there whole or not at all.
//!
//! The file is in the safetensors format. Its tensors are the optimiser's arrays (`process.array`:
//! parameters, moments, counters), and with early stopping those of the best epoch (`best epoch: process.array`);
//! its metadata hold
//! * `format`: [`FORMAT`],
//! * `progress`: JSON of [`Progress`](crate::training::Progress): finished epochs, position in the
//!   current one, generator state, sums,
//! * `origin`: JSON of [`Origin`]: what the run was started with,
//! * `sha256`: over `progress`, `origin` and every tensor's name and bytes, in the order of names.

mod origin;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use nirc_ir::{Diagnostic, codes};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};

pub use origin::Origin;

use crate::file;
use crate::training::{OptimiserArrays, Snapshot};

/// Name and version of the format.
pub const FORMAT: &str = "nirc-checkpoint-1";

/// What the names of the best epoch's arrays begin with.
const BEST: &str = "best epoch: ";

/// A checkpoint in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// What the run was started with.
    pub origin: Origin,
    /// Where it stands.
    pub snapshot: Snapshot,
}

impl Checkpoint {
    /// Writes the file; on any failure the one that was there stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Diagnostic> {
        file::write_atomically(path, &self.encode(path)?)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, is damaged, or is not a checkpoint of this version.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        Self::decode(&file::read(path)?).map_err(|message| {
            Diagnostic::error(codes::CHECKPOINT, path.display().to_string(), message)
                .help("take another checkpoint, or start the run anew")
        })
    }

    fn encode(&self, path: &Path) -> Result<Vec<u8>, Diagnostic> {
        let unwritable = |message: String| {
            Diagnostic::error(codes::FILE_UNWRITABLE, path.display().to_string(), message)
        };
        let json = |value: Result<String, serde_json::Error>| {
            value.map_err(|error| unwritable(format!("not representable: {error}")))
        };
        let progress = json(serde_json::to_string(&self.snapshot.progress))?;
        let origin = json(serde_json::to_string(&self.origin))?;
        let arrays = self.snapshot.arrays.iter();
        let arrays = arrays.map(|(name, values)| (name.clone(), values));
        let best = self.snapshot.best.iter().flatten();
        let best = best.map(|(name, values)| (format!("{BEST}{name}"), values));
        let bytes: BTreeMap<String, Vec<u8>> = arrays
            .chain(best)
            .map(|(name, values)| (name, values.iter().flat_map(|v| v.to_le_bytes()).collect()))
            .collect();
        let mut seal = Seal::new(&progress, &origin);
        let mut views = Vec::with_capacity(bytes.len());
        for (name, bytes) in &bytes {
            seal.add(name, bytes);
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)
                .map_err(|error| unwritable(format!("not representable: {error}")))?;
            views.push((name, view));
        }
        let metadata = HashMap::from([
            ("format".to_owned(), FORMAT.to_owned()),
            ("progress".to_owned(), progress),
            ("origin".to_owned(), origin),
            ("sha256".to_owned(), seal.finish()),
        ]);
        safetensors::serialize(views, Some(metadata))
            .map_err(|error| unwritable(format!("not representable: {error}")))
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let damaged = |error: &dyn std::fmt::Display| format!("not a checkpoint: {error}");
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let field = |name: &str| {
            metadata
                .get(name)
                .ok_or_else(|| format!("not a checkpoint: `{name}` is missing"))
        };
        let format = field("format")?;
        if format != FORMAT {
            return Err(format!("expected format {FORMAT}, found {format}"));
        }
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
        let mut views = tensors.tensors();
        views.sort_by(|a, b| a.0.cmp(&b.0));
        let (progress, origin) = (field("progress")?, field("origin")?);
        let mut seal = Seal::new(progress, origin);
        let mut arrays = OptimiserArrays::new();
        let mut best: Option<OptimiserArrays> = None;
        for (name, view) in &views {
            if view.dtype() != Dtype::F32 {
                return Err(format!(
                    "tensor `{name}` is {:?}, expected F32",
                    view.dtype()
                ));
            }
            seal.add(name, view.data());
            let values = floats(view.data());
            match name.strip_prefix(BEST) {
                Some(name) => best.get_or_insert_default().insert(name.to_owned(), values),
                None => arrays.insert(name.clone(), values),
            };
        }
        if seal.finish() != *field("sha256")? {
            return Err("damaged: the contents do not match their SHA-256".to_owned());
        }
        Ok(Self {
            origin: serde_json::from_str(origin).map_err(|e| damaged(&e))?,
            snapshot: Snapshot {
                progress: serde_json::from_str(progress).map_err(|e| damaged(&e))?,
                arrays,
                best,
            },
        })
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        .collect()
}

/// The hash that tells a damaged file.
struct Seal(Sha256);

impl Seal {
    fn new(progress: &str, origin: &str) -> Self {
        let mut seal = Self(Sha256::new());
        seal.add("progress", progress.as_bytes());
        seal.add("origin", origin.as_bytes());
        seal
    }

    fn add(&mut self, name: &str, bytes: &[u8]) {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
    }

    fn finish(self) -> String {
        crate::training::hex(&self.0.finalize())
    }
}

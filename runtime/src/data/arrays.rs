//! Arrays in NumPy's files: reading `.npy`, writing `.npz`.

use std::path::Path;

use ndarray::{Array3, Dimension};
use ndarray_npy::{NpzWriter, WritableElement};
use nirc_ir::executor::InputSpike;
use nirc_ir::{Diagnostic, codes};

use crate::data::npy::Array;
use crate::data::{DataSet, read_labels};
use crate::file;

/// Reads a spike raster (T, B, J) of zeros and ones and labels (none: all 0) into samples.
///
/// # Errors
/// When a file cannot be read, an element is neither 0 nor 1, or the number of labels differs.
pub fn read_spikes(path: &Path, labels: Option<&Path>) -> Result<(usize, DataSet), Diagnostic> {
    let bytes = file::read(path)?;
    let raster = Array::parse(&bytes, &path.display().to_string())?;
    let &[ticks, samples, channels] = raster.shape() else {
        return Err(other_shape(path, &raster, "(T, B, J)")
            .help("spikes are an array (T, B, J): bins, samples, channels"));
    };
    let labels = match labels {
        Some(path) => read_labels(path, samples)?,
        None => vec![0; samples],
    };
    let mut set = DataSet::new(channels);
    for (b, label) in labels.into_iter().enumerate() {
        let mut spikes = Vec::new();
        for t in 0..ticks {
            for j in 0..channels {
                let value = raster.number((t * samples + b) * channels + j);
                if value == 1.0 {
                    spikes.push(InputSpike {
                        tick: index(t),
                        channel: index(j),
                    });
                } else if value != 0.0 {
                    return Err(malformed(
                        path,
                        &format!("element [{t}, {b}, {j}] is {value}; a spike is 1, no spike is 0"),
                    ));
                }
            }
        }
        set.push(spikes, label)
            .expect("channels of the raster are channels of the set");
    }
    Ok((ticks, set))
}

/// Reads the errors of output spikes, (T, B, N) of `f32`.
///
/// # Errors
/// When the file cannot be read, or has another type or rank.
pub fn read_errors(path: &Path) -> Result<Array3<f32>, Diagnostic> {
    let bytes = file::read(path)?;
    let array = Array::parse(&bytes, &path.display().to_string())?;
    let (&[ticks, samples, outputs], true) = (array.shape(), array.is_single()) else {
        return Err(other_shape(path, &array, "(T, B, N) of float32")
            .help("errors are a float32 array (T, B, N)"));
    };
    #[expect(clippy::cast_possible_truncation, reason = "it is an f32")]
    let element = |(t, b, n)| array.number((t * samples + b) * outputs + n) as f32;
    Ok(Array3::from_shape_fn((ticks, samples, outputs), element))
}

fn other_shape(path: &Path, array: &Array<'_>, expected: &str) -> Diagnostic {
    let found = array.description();
    malformed(
        path,
        &format!("expected an array {expected}, found {found}"),
    )
}

fn malformed(path: &Path, message: &str) -> Diagnostic {
    Diagnostic::error(codes::DATA_ARRAY, path.display().to_string(), message)
}

fn index(i: usize) -> u32 {
    u32::try_from(i).expect("an extent of an array that was read")
}

/// A `.npz` archive in the making: built in memory, written whole.
pub struct Archive {
    writer: NpzWriter<std::io::Cursor<Vec<u8>>>,
}

impl Default for Archive {
    fn default() -> Self {
        Self::new()
    }
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self {
            writer: NpzWriter::new_compressed(std::io::Cursor::new(Vec::new())),
        }
    }

    /// Adds an array.
    ///
    /// # Errors
    /// When the name is taken twice or the archive grows too large for its format.
    pub fn add<A: WritableElement, D: Dimension>(
        &mut self,
        name: &str,
        array: &ndarray::Array<A, D>,
    ) -> Result<(), Diagnostic> {
        self.writer.add_array(name, array).map_err(|error| {
            Diagnostic::error(codes::FILE_UNWRITABLE, name, format!("not stored: {error}"))
        })
    }

    /// Writes the archive: the file is there whole or not at all.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(self, path: &Path) -> Result<(), Diagnostic> {
        let bytes = self.finish(&path.display().to_string())?;
        file::write_atomically(path, &bytes)
    }

    /// The bytes of the archive.
    pub(super) fn finish(self, place: &str) -> Result<Vec<u8>, Diagnostic> {
        let bytes = self.writer.finish().map_err(|error| {
            Diagnostic::error(
                codes::FILE_UNWRITABLE,
                place,
                format!("archive not finished: {error}"),
            )
        })?;
        Ok(bytes.into_inner())
    }
}

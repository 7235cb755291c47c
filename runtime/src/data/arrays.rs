//! Arrays in NumPy's files: reading `.npy`, writing `.npz`.

use std::path::Path;

use ndarray::{Array1, Array3, Dimension};
use ndarray_npy::{NpzWriter, ReadNpyError, ReadNpyExt, ReadableElement, WritableElement};
use nirc_ir::executor::InputSpike;
use nirc_ir::{Diagnostic, codes};

use crate::data::DataSet;
use crate::file;

/// Reads a `.npy` file of elements `A`.
///
/// # Errors
/// When the file cannot be read or is not an array of this type and rank.
pub fn read_array<A: ReadableElement, D: Dimension>(
    path: &Path,
) -> Result<ndarray::Array<A, D>, Diagnostic> {
    let bytes = read_bytes(path)?;
    decode(&bytes).map_err(|error| malformed(path, &error.to_string()))
}

/// Reads a spike raster (T, B, J) of `u8` or `bool` and labels (none: all 0) into samples.
///
/// # Errors
/// When a file cannot be read, an element is neither 0 nor 1, or the number of labels differs.
pub fn read_spikes(path: &Path, labels: Option<&Path>) -> Result<(usize, DataSet), Diagnostic> {
    let bytes = read_bytes(path)?;
    let raster: Array3<u8> = match decode(&bytes) {
        Ok(raster) => raster,
        Err(ReadNpyError::WrongDescriptor(_)) => {
            let raster: Array3<bool> = decode(&bytes).map_err(|_| {
                malformed(path, "elements are neither u8 nor bool")
                    .help("save the raster with .astype(numpy.uint8)")
            })?;
            raster.mapv(u8::from)
        }
        Err(error) => {
            return Err(malformed(path, &error.to_string())
                .help("spikes are an array (T, B, J): bins, samples, channels"));
        }
    };
    let (ticks, samples, channels) = raster.dim();
    if let Some(((t, b, j), value)) = raster.indexed_iter().find(|(_, v)| **v > 1) {
        return Err(malformed(
            path,
            &format!("element [{t}, {b}, {j}] is {value}; a spike is 1, no spike is 0"),
        ));
    }
    let labels = match labels {
        Some(path) => read_labels(path, samples)?,
        None => vec![0; samples],
    };
    let mut set = DataSet::new(channels);
    for (b, label) in labels.into_iter().enumerate() {
        let sample = raster.index_axis(ndarray::Axis(1), b);
        let spikes = sample.indexed_iter().filter(|(_, v)| **v == 1);
        let spikes = spikes.map(|((t, j), _)| InputSpike {
            tick: index(t),
            channel: index(j),
        });
        set.push(spikes, label)
            .expect("channels of the raster are channels of the set");
    }
    Ok((ticks, set))
}

/// Reads `samples` class labels, of any integer type.
///
/// # Errors
/// When the file cannot be read, or holds another number of labels or a negative one.
pub fn read_labels(path: &Path, samples: usize) -> Result<Vec<u32>, Diagnostic> {
    let bytes = read_bytes(path)?;
    let labels = integers::<i64>(&bytes)
        .or_else(|error| retry::<i32>(error, &bytes))
        .or_else(|error| retry::<i16>(error, &bytes))
        .or_else(|error| retry::<i8>(error, &bytes))
        .or_else(|error| retry::<u8>(error, &bytes))
        .or_else(|error| retry::<u16>(error, &bytes))
        .or_else(|error| retry::<u32>(error, &bytes))
        .or_else(|error| retry::<u64>(error, &bytes))
        .map_err(|error| {
            malformed(path, &error.to_string()).help("labels are an integer array (B,)")
        })?;
    if labels.len() != samples {
        return Err(malformed(
            path,
            &format!("{} labels for {samples} samples", labels.len()),
        ));
    }
    let class = |(k, label): (usize, i128)| {
        u32::try_from(label).map_err(|_| {
            let message = format!("label {k} is {label}; a class is 0 to {}", u32::MAX);
            malformed(path, &message)
        })
    };
    labels.into_iter().enumerate().map(class).collect()
}

/// Reads the errors of output spikes, (T, B, N) of `f32`.
///
/// # Errors
/// When the file cannot be read, or has another type or rank.
pub fn read_errors(path: &Path) -> Result<Array3<f32>, Diagnostic> {
    read_array(path).map_err(|d| d.help("errors are a float32 array (T, B, N)"))
}

fn integers<A: ReadableElement + Into<i128>>(bytes: &[u8]) -> Result<Vec<i128>, ReadNpyError> {
    let array: Array1<A> = decode(bytes)?;
    Ok(array.into_iter().map(Into::into).collect())
}

fn retry<A: ReadableElement + Into<i128>>(
    error: ReadNpyError,
    bytes: &[u8],
) -> Result<Vec<i128>, ReadNpyError> {
    match error {
        ReadNpyError::WrongDescriptor(_) => integers::<A>(bytes),
        error => Err(error),
    }
}

/// So many elements may be claimed by any file.
const HARMLESS: u128 = 1 << 20;

fn read_bytes(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    let bytes = file::read(path)?;
    match claimed_elements(&bytes) {
        Some(claimed) if claimed <= (bytes.len() as u128).max(HARMLESS) => Ok(bytes),
        Some(claimed) => Err(malformed(
            path,
            &format!(
                "claims {claimed} elements in a file of {} bytes",
                bytes.len()
            ),
        )),
        None => Err(malformed(path, "not a .npy file")
            .help("write it with numpy.save; archives (.npz) are not read here")),
    }
}

/// Number of elements that the header claims, to refuse an absurd one before memory is asked for it.
/// Every type read here takes at least a byte an element. An extent of 0 counts as 1: beside it the
/// others are as absurd.
fn claimed_elements(bytes: &[u8]) -> Option<u128> {
    const HEADER: usize = 64 * 1024;
    if !bytes.starts_with(b"\x93NUMPY") {
        return None;
    }
    let header = String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER)]);
    let shape = header.split_once("'shape':")?.1;
    let shape = shape.split_once('(')?.1.split_once(')')?.0;
    shape
        .split(',')
        .map(str::trim)
        .filter(|extent| !extent.is_empty())
        .try_fold(1_u128, |product, extent| {
            let extent: u128 = extent.trim_end_matches('L').parse().ok()?;
            Some(product.saturating_mul(extent.max(1)))
        })
}

fn decode<A: ReadableElement, D: Dimension>(
    bytes: &[u8],
) -> Result<ndarray::Array<A, D>, ReadNpyError> {
    ndarray::Array::read_npy(bytes)
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

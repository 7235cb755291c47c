//! A [`Group`] tree into the bytes of an HDF5 file, and bytes onto the disk in one step.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use hdf5_pure::{AttrValue, DatasetBuilder, FileBuilder, FinishedGroup, GroupBuilder};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::element;
use super::tree::{Attribute, Content, Dataset, Filter, Group};

/// The bytes of a file that holds `root`. The same tree gives the same bytes.
///
/// # Errors
/// `N0107` when the tree has a name or an extent that HDF5 cannot hold.
pub fn to_bytes(root: &Group) -> Result<Vec<u8>, Diagnostics> {
    let mut builder = FileBuilder::new();
    for (name, value) in root.attributes() {
        builder.set_attr(name, stored(value));
    }
    for (name, dataset) in root.datasets() {
        fill(builder.create_dataset(name), dataset);
    }
    for (name, group) in root.groups() {
        let child = builder.create_group(name);
        builder.add_group(finish(child, group));
    }
    builder.finish().map_err(|e| {
        Diagnostic::error(
            codes::FILE_UNWRITABLE,
            "",
            format!("the graph cannot be written as HDF5: {e}"),
        )
        .into()
    })
}

fn finish(mut builder: GroupBuilder, group: &Group) -> FinishedGroup {
    for (name, value) in group.attributes() {
        builder.set_attr(name, stored(value));
    }
    for (name, dataset) in group.datasets() {
        fill(builder.create_dataset(name), dataset);
    }
    for (name, group) in group.groups() {
        let child = builder.create_group(name);
        builder.add_group(finish(child, group));
    }
    builder.finish()
}

/// As h5py stores it: it reads strings of fixed length as bytes.
fn stored(attribute: &Attribute) -> AttrValue {
    match attribute {
        Attribute::Text(text) => AttrValue::VarLenString(text.clone()),
        Attribute::Integer(value) => AttrValue::I64(*value),
        Attribute::Float(value) => AttrValue::F64(*value),
    }
}

fn fill(builder: &mut DatasetBuilder, dataset: &Dataset) {
    builder.with_shape(&dataset.shape);
    match &dataset.content {
        Content::Text(texts) => {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            builder.with_vlen_strings(&texts);
        }
        Content::Raw { datatype, bytes } => {
            let count = (bytes.len() / element::size(datatype)) as u64;
            builder.with_raw_data(datatype.clone(), bytes.clone(), count);
            pack(builder, dataset);
        }
    }
}

/// Chunks and filters of the source. Scalars and empty data sets have none in any file.
fn pack(builder: &mut DatasetBuilder, dataset: &Dataset) {
    let Some(chunks) = &dataset.packing.chunks else {
        return;
    };
    if dataset.shape.is_empty() || chunks.len() != dataset.shape.len() || dataset.shape.contains(&0)
    {
        return;
    }
    let chunks: Vec<u64> = chunks
        .iter()
        .zip(&dataset.shape)
        .map(|(chunk, extent)| (*chunk).clamp(1, *extent))
        .collect();
    builder.with_chunks(&chunks);
    for filter in &dataset.packing.filters {
        match filter {
            Filter::Deflate(level) => builder.with_deflate(*level),
            Filter::Shuffle => builder.with_shuffle(),
            Filter::Fletcher32 => builder.with_fletcher32(),
            Filter::Lzf => builder.with_lzf(),
        };
    }
}

/// Writes a file so that at any moment its name stands for the old content or the new: into a
/// neighbour first, which then takes the name.
///
/// # Errors
/// `N0107` when the system refuses.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), Diagnostics> {
    replace(path, bytes).map_err(|e| {
        Diagnostic::error(
            codes::FILE_UNWRITABLE,
            path.display().to_string(),
            format!("the file cannot be written: {e}"),
        )
        .into()
    })
}

/// Number of writes so far, so that no two of them share a neighbour.
static WRITES: AtomicU64 = AtomicU64::new(0);

fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().ok_or(std::io::ErrorKind::InvalidInput)?;
    let mut neighbour = std::ffi::OsString::from(".");
    neighbour.push(name);
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    neighbour.push(format!(".{}.{count}.tmp", std::process::id()));
    let neighbour = path.with_file_name(neighbour);
    let written = fs::File::create(&neighbour)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&neighbour, path));
    if written.is_err() {
        // The error to report is the first; the neighbour may not even exist.
        let _ = fs::remove_file(&neighbour);
    }
    written
}

//! Bytes of an HDF5 file into a [`Group`] tree, within stated bounds.
//!
//! The parser underneath allocates what a file claims; a claim is checked here before it is acted on.

use std::collections::HashSet;

use hdf5_pure::{Datatype, FormatError, Layout, VlenStringReadOptions};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::element;
use super::tree::{Content, Dataset, Filter, Group, Item, Packing, element_count};

/// Bounds on what a file may make the reader do. All are far above any network that fits a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Nesting of groups.
    pub depth: usize,
    /// Groups and data sets visited, counting each path to them.
    pub objects: usize,
    /// Elements of all data sets together.
    pub elements: u64,
}

impl Limits {
    /// The bounds used unless others are given: 1 GiB of file, 32 levels, 65 536 objects and
    /// 2^26 elements (so at most 512 MiB of decoded numbers).
    pub const DEFAULT: Self = Self {
        file_bytes: 1 << 30,
        depth: 32,
        objects: 1 << 16,
        elements: 1 << 26,
    };
}

/// zlib cannot compress better than this, and LZF is far from it: a filtered data set that claims
/// more was never written.
const BEST_COMPRESSION: u64 = 1032;

/// The tree in `bytes`, and notes about what of the file it leaves out.
pub(super) fn read_tree(
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<(Group, Diagnostics), Diagnostic> {
    let file_len = bytes.len() as u64;
    if file_len > limits.file_bytes {
        return Err(file_too_large(file_len, limits));
    }
    if !hdf5_pure::is_hdf5_bytes(&bytes) {
        return Err(not_hdf5(&bytes));
    }
    let file = hdf5_pure::File::from_bytes(bytes).map_err(|e| garbled("", &e))?;
    let mut walk = Walk {
        limits,
        file_len,
        objects: 0,
        elements: 0,
        notes: Diagnostics::new(),
    };
    let root = walk.group(&file.root(), "", 0)?;
    Ok((root, walk.notes))
}

/// The error for a file of `found` bytes.
pub(super) fn file_too_large(found: u64, limits: &Limits) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_TOO_LARGE,
        "",
        format!(
            "expected a file of at most {} bytes, found {found}",
            limits.file_bytes
        ),
    )
}

fn not_hdf5(bytes: &[u8]) -> Diagnostic {
    let what = match bytes {
        [] => "an empty file",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        _ => "no HDF5 signature",
    };
    let d = Diagnostic::error(
        codes::FILE_NOT_HDF5,
        "",
        format!("expected an HDF5 file, found {what}"),
    );
    if what == "a zip archive" {
        d.help("this may be a model saved by torch.save; export it with nir.write instead")
    } else {
        d
    }
}

fn garbled(path: &str, error: &hdf5_pure::Error) -> Diagnostic {
    if let hdf5_pure::Error::Format(FormatError::UnsupportedFilter(id)) = error {
        return unknown_filter(path, *id);
    }
    Diagnostic::error(
        codes::FILE_NOT_HDF5,
        path,
        format!("the file is truncated or garbled: {error}"),
    )
}

fn unknown_filter(path: &str, id: u16) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_TYPE,
        path,
        format!("expected gzip, lzf, shuffle or fletcher32, found HDF5 filter {id}"),
    )
    .help("write the file again with nir.write(…, compression=\"gzip\")")
}

struct Walk<'a> {
    limits: &'a Limits,
    file_len: u64,
    objects: usize,
    elements: u64,
    notes: Diagnostics,
}

impl Walk<'_> {
    fn group(
        &mut self,
        group: &hdf5_pure::Group,
        path: &str,
        depth: usize,
    ) -> Result<Group, Diagnostic> {
        self.visit(path)?;
        if depth > self.limits.depth {
            return Err(Diagnostic::error(
                codes::FILE_CYCLE,
                path,
                format!(
                    "expected at most {} levels of groups: a group links to itself, or nests deeper",
                    self.limits.depth
                ),
            ));
        }
        let attributes = group.attr_datatypes().map_err(|e| garbled(path, &e))?;
        self.note_attributes(path, attributes.into_keys());
        let groups = group.iter_groups().map_err(|e| garbled(path, &e))?;
        let datasets = group.iter_datasets().map_err(|e| garbled(path, &e))?;
        let mut names = HashSet::new();
        let mut tree = Group::new();
        for (name, child) in datasets {
            let path = child_path(path, &name, &mut names)?;
            let dataset = self.dataset(&child, &path)?;
            tree.push(name, Item::Dataset(dataset));
        }
        for (name, child) in groups {
            let path = child_path(path, &name, &mut names)?;
            let group = self.group(&child, &path, depth + 1)?;
            tree.push(name, Item::Group(group));
        }
        Ok(tree)
    }

    fn dataset(&mut self, dataset: &hdf5_pure::Dataset, path: &str) -> Result<Dataset, Diagnostic> {
        self.visit(path)?;
        let attributes = dataset.attr_datatypes().map_err(|e| garbled(path, &e))?;
        self.note_attributes(path, attributes.into_keys());
        let datatype = dataset.datatype().map_err(|e| garbled(path, &e))?;
        let shape = dataset.shape().map_err(|e| garbled(path, &e))?;
        let packing = packing(dataset, path)?;
        let count = self.claim(&datatype, &shape, &packing, path)?;
        let content = if matches!(
            datatype,
            Datatype::VariableLength {
                is_string: true,
                ..
            }
        ) {
            Content::Text(self.texts(dataset, count, path)?)
        } else if element::is_kept(&datatype) {
            let bytes = dataset.read_raw().map_err(|e| garbled(path, &e))?;
            if bytes.len() as u64 != count * element::size(&datatype) as u64 {
                return Err(Diagnostic::error(
                    codes::FILE_TYPE,
                    path,
                    format!(
                        "expected {count} elements of {}, found {} bytes",
                        element::name(&datatype),
                        bytes.len()
                    ),
                ));
            }
            Content::Raw { datatype, bytes }
        } else {
            return Err(Diagnostic::error(
                codes::FILE_TYPE,
                path,
                format!(
                    "expected numbers or strings, found {}",
                    element::name(&datatype)
                ),
            ));
        };
        Ok(Dataset {
            shape,
            content,
            packing,
        })
    }

    fn texts(
        &self,
        dataset: &hdf5_pure::Dataset,
        count: u64,
        path: &str,
    ) -> Result<Vec<String>, Diagnostic> {
        // The same heap object may be named many times; together they may not exceed the bound on
        // elements, a byte counting as one.
        let left = usize::try_from(self.limits.elements - self.elements).unwrap_or(usize::MAX);
        let options = VlenStringReadOptions::new().with_max_payload_bytes(left);
        let texts = dataset
            .read_vlen_strings(options)
            .map_err(|e| garbled(path, &e))?;
        if texts.len() as u64 != count {
            return Err(Diagnostic::error(
                codes::FILE_TYPE,
                path,
                format!("expected {count} strings, found {}", texts.len()),
            ));
        }
        Ok(texts)
    }

    /// Checks what a data set claims to hold against the bounds, before anything is allocated.
    fn claim(
        &mut self,
        datatype: &Datatype,
        shape: &[u64],
        packing: &Packing,
        path: &str,
    ) -> Result<u64, Diagnostic> {
        let too_large = |message: String| Diagnostic::error(codes::FILE_TOO_LARGE, path, message);
        let element = element::size(datatype) as u64;
        let bytes = |shape: &[u64]| element_count(shape).and_then(|n| n.checked_mul(element));
        let count = element_count(shape)
            .filter(|n| *n <= self.limits.elements - self.elements)
            .ok_or_else(|| {
                too_large(format!(
                    "expected at most {} elements in the whole file, found a data set of shape {shape:?}",
                    self.limits.elements
                ))
            })?;
        let most = if packing.filters.is_empty() {
            self.file_len
        } else {
            self.file_len.saturating_mul(BEST_COMPRESSION)
        };
        let chunk = packing.chunks.as_deref().unwrap_or_default();
        if bytes(shape).is_none_or(|b| b > most)
            || bytes(chunk).is_none_or(|b| b > most.max(element))
        {
            return Err(too_large(format!(
                "a data set of shape {shape:?} of {} (chunks {chunk:?}) cannot be held by a file of {} bytes",
                element::name(datatype),
                self.file_len
            )));
        }
        self.elements += count;
        Ok(count)
    }

    fn visit(&mut self, path: &str) -> Result<(), Diagnostic> {
        self.objects += 1;
        if self.objects > self.limits.objects {
            return Err(Diagnostic::error(
                codes::FILE_CYCLE,
                path,
                format!(
                    "expected at most {} groups and data sets: groups link to each other, or the file is no NIR graph",
                    self.limits.objects
                ),
            ));
        }
        Ok(())
    }

    fn note_attributes(&mut self, path: &str, names: impl Iterator<Item = String>) {
        let mut names: Vec<_> = names.collect();
        if names.is_empty() {
            return;
        }
        names.sort();
        self.notes.push(Diagnostic::note(
            codes::FILE_NOT_KEPT,
            path,
            format!(
                "HDF5 attributes are no part of NIR and are not kept on export: {}",
                names.join(", ")
            ),
        ));
    }
}

/// The path of a member, refusing names that no writer makes.
fn child_path(parent: &str, name: &str, seen: &mut HashSet<String>) -> Result<String, Diagnostic> {
    let path = if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    };
    let odd = if name.is_empty() || name == "." || name.contains(['/', '\0']) {
        "is no name of an HDF5 object"
    } else if !seen.insert(name.to_owned()) {
        "stands twice in its group"
    } else {
        return Ok(path);
    };
    Err(Diagnostic::error(
        codes::FILE_NOT_HDF5,
        parent,
        format!("the file is garbled: {name:?} {odd}"),
    ))
}

fn packing(dataset: &hdf5_pure::Dataset, path: &str) -> Result<Packing, Diagnostic> {
    let chunks = match dataset.layout().map_err(|e| garbled(path, &e))? {
        Layout::Chunked { chunk_shape, .. } => Some(chunk_shape),
        _ => None,
    };
    let filters = dataset
        .filter_pipeline()
        .iter()
        .map(|f| match f.id {
            1 => Ok(Filter::Deflate(
                f.client_data.first().map_or(4, |l| *l.min(&9)),
            )),
            2 => Ok(Filter::Shuffle),
            3 => Ok(Filter::Fletcher32),
            32000 => Ok(Filter::Lzf),
            id => Err(unknown_filter(path, id)),
        })
        .collect::<Result<_, _>>()?;
    Ok(Packing { chunks, filters })
}

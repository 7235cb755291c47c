//! Bytes of an HDF5 file into a [`Group`] tree, within stated bounds.
//!
//! The parser underneath allocates what a file claims; a claim is checked here before it is acted on.

use std::collections::HashSet;

use hdf5_pure::{AttrValue, Datatype, FormatError, Layout, VlenStringReadOptions};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::element;
use super::links;
use super::tree::{Attribute, Content, Dataset, Filter, Group, Packing, element_count};

/// Bounds on what a file may make the reader do. All are far above any network that fits a chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Nesting of groups.
    pub depth: usize,
    /// Groups and data sets visited, counting each path to them.
    pub objects: usize,
    /// Strings of all data sets together, edges being two each.
    pub strings: u64,
    /// Bytes of all data sets together once decoded: 8 for a number, 64 and its length for a string.
    pub bytes: u64,
}

impl Limits {
    /// The bounds used unless others are given: 1 GiB of file, 32 levels, 65 536 objects, 2^18 strings
    /// and 512 MiB of decoded data.
    pub const DEFAULT: Self = Self {
        file_bytes: 1 << 30,
        depth: 32,
        objects: 1 << 16,
        strings: 1 << 18,
        bytes: 512 << 20,
    };

    /// The most memory that reading a file of `file_len` bytes takes at once, the file included: 12 times
    /// the data that zlib could at best have packed into it (1032 times its length), or 4 times `bytes` if
    /// that is less, and 4 MiB for tables.
    ///
    /// The factors: data are unpacked, copied together, kept as stored, and decoded, at worst from `i8` to
    /// `i64`. `bytes` counts them decoded, the length of the file as they are stored.
    pub const fn memory(&self, file_len: u64) -> u64 {
        let packed = file_len.saturating_mul(12 * BEST_COMPRESSION);
        let data = self.bytes.saturating_mul(4);
        let most = if packed < data { packed } else { data };
        most.saturating_add(4 << 20)
    }
}

/// zlib cannot compress better than this, and LZF is far from it: a filtered data set that claims
/// more was never written.
const BEST_COMPRESSION: u64 = 1032;

/// What becomes of HDF5's attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attributes {
    /// They are left out, with a note.
    Noted,
    /// Those of groups that are a single string or number go into the tree, the others are left out.
    Kept,
}

/// The tree in `bytes`, and notes about what of the file it leaves out.
pub(super) fn read_tree(
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<(Group, Diagnostics), Diagnostic> {
    walk(bytes, limits, Attributes::Noted)
}

/// The tree of an HDF5 file that is no graph but recorded data (`nir.write_data`): attributes of groups
/// that are a single string or number are kept, attributes of data sets are left out.
///
/// # Errors
/// `N01..`: the bytes are no HDF5, or beyond the limits.
pub fn read_data_tree(bytes: Vec<u8>, limits: &Limits) -> Result<Group, Diagnostic> {
    if let Some(found) = largest_heap(&bytes).filter(|size| *size > HEAP_BYTES) {
        return Err(Diagnostic::error(
            codes::FILE_TOO_LARGE,
            "",
            format!("expected at most {HEAP_BYTES} bytes of strings together, found {found}"),
        ));
    }
    walk(bytes, limits, Attributes::Kept).map(|(tree, _)| tree)
}

/// Attributes name their strings by place, and may name one again and again. The parser sets no bound
/// to what comes of that; one on the heaps in which strings lie is one on each string.
const HEAP_BYTES: u64 = 1 << 16;

/// Size of the largest collection of strings, by the signature without which none is read.
fn largest_heap(bytes: &[u8]) -> Option<u64> {
    const SIGNATURE: &[u8] = b"GCOL\x01\0\0\0";
    bytes
        .windows(SIGNATURE.len() + 8)
        .filter_map(|window| window.strip_prefix(SIGNATURE)?.first_chunk())
        .map(|size| u64::from_le_bytes(*size))
        .max()
}

fn walk(
    bytes: Vec<u8>,
    limits: &Limits,
    attributes: Attributes,
) -> Result<(Group, Diagnostics), Diagnostic> {
    let file_len = bytes.len() as u64;
    if file_len > limits.file_bytes {
        return Err(file_too_large(file_len, limits));
    }
    if !hdf5_pure::is_hdf5_bytes(&bytes) {
        return Err(not_hdf5(&bytes));
    }
    let notes = links::messages(&bytes).iter().map(not_followed).collect();
    let file = hdf5_pure::File::from_bytes(bytes).map_err(|e| garbled("", &e))?;
    let mut walk = Walk {
        limits,
        attributes,
        file_len,
        objects: 0,
        strings: 0,
        stored: 0,
        bytes: 0,
        notes: Diagnostics(notes),
    };
    let root = walk.group(&file.root(), "", 0).map_err(|problem| {
        // The parser takes the place of the object for its address, and says so.
        let is_odd = problem.code == codes::FILE_NOT_HDF5;
        if is_odd && links::is_in_symbol_table(file.as_bytes()) {
            soft_link(&problem.place)
        } else {
            problem
        }
    })?;
    Ok((root, walk.notes))
}

const COPY_IN_PLACE: &str = "put the object itself in its place, with `h5copy -f soft,ext`";

fn not_followed(link: &links::Link<'_>) -> Diagnostic {
    let links::Link { name, file, path } = link;
    let what = match file {
        None => format!("a soft link `{name}` to `{path}`"),
        Some(file) => format!("an external link `{name}` to `{path}` in the file `{file}`"),
    };
    Diagnostic::warning(
        codes::FILE_NOT_KEPT,
        "",
        format!("expected groups and data sets, found {what}, which is not followed"),
    )
    .help(COPY_IN_PLACE)
}

fn soft_link(place: &str) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_TYPE,
        place,
        "expected groups and data sets, found a soft link, which is not followed",
    )
    .help(COPY_IN_PLACE)
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
    use FormatError as F;
    if let hdf5_pure::Error::Format(error) = error {
        match error {
            F::UnsupportedFilter(id) => return unknown_filter(path, *id),
            F::UnsupportedVersion(_)
            | F::UnsupportedMessage(_)
            | F::UnsupportedVirtualLayout
            | F::UnsupportedExternalStorage
            | F::UnsupportedSohmReference
            | F::InvalidDatatypeVersion { .. }
            | F::InvalidLayoutVersion(_) => {
                return Diagnostic::error(
                    codes::FILE_TYPE,
                    path,
                    format!("expected a form of HDF5 that nirc reads, found: {error}"),
                )
                .help("write the file again with nir.write; or the file is garbled");
            }
            _ => {}
        }
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
    attributes: Attributes,
    file_len: u64,
    objects: usize,
    strings: u64,
    /// Bytes of the data sets so far as they are stored, unpacked.
    stored: u64,
    /// Bytes of the data sets so far, decoded.
    bytes: u64,
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
        let mut tree = Group::new();
        match self.attributes {
            Attributes::Kept => self.keep_attributes(group, path, &mut tree)?,
            Attributes::Noted => {
                let attributes = group.attr_datatypes().map_err(|e| garbled(path, &e))?;
                self.note_attributes(path, attributes.into_keys());
            }
        }
        let groups = group.iter_groups().map_err(|e| garbled(path, &e))?;
        let datasets = group.iter_datasets().map_err(|e| garbled(path, &e))?;
        let mut names = HashSet::new();
        for (name, child) in datasets {
            let path = child_path(path, &name, &mut names)?;
            let dataset = self.dataset(&child, &path)?;
            tree.push_dataset(name, dataset);
        }
        for (name, child) in groups {
            let path = child_path(path, &name, &mut names)?;
            let group = self.group(&child, &path, depth + 1)?;
            tree.push_group(name, group);
        }
        Ok(tree)
    }

    fn dataset(&mut self, dataset: &hdf5_pure::Dataset, path: &str) -> Result<Dataset, Diagnostic> {
        self.visit(path)?;
        if self.attributes == Attributes::Noted {
            let attributes = dataset.attr_datatypes().map_err(|e| garbled(path, &e))?;
            self.note_attributes(path, attributes.into_keys());
        }
        let datatype = dataset.datatype().map_err(|e| garbled(path, &e))?;
        let shape = dataset.shape().map_err(|e| garbled(path, &e))?;
        let packing = packing(dataset, path)?;
        let claim = Claim {
            path,
            shape: &shape,
            datatype: &datatype,
            packing: &packing,
        };
        let content = if is_text(&datatype) {
            let count = self.admit_texts(&claim)?;
            Content::Text(self.texts(dataset, count, path)?)
        } else if element::is_kept(&datatype) {
            let count = self.admit_numbers(&claim)?;
            let bytes = dataset.read_raw().map_err(|e| garbled(path, &e))?;
            if bytes.len() as u64 != count * element::size(&datatype) as u64 {
                let found = format!("{} bytes", bytes.len());
                return Err(claim.other_count(count, &found));
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
        &mut self,
        dataset: &hdf5_pure::Dataset,
        count: u64,
        path: &str,
    ) -> Result<Vec<String>, Diagnostic> {
        // One string in the file may be named many times, so the payload needs a bound of its own.
        let left = usize::try_from(self.limits.bytes - self.bytes).unwrap_or(usize::MAX);
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
        let payload: usize = texts.iter().map(String::len).sum();
        self.bytes = self
            .bytes
            .saturating_add(payload as u64)
            .min(self.limits.bytes);
        Ok(texts)
    }

    /// Number of strings a data set claims to hold, if that is within bounds.
    fn admit_texts(&mut self, claim: &Claim<'_>) -> Result<u64, Diagnostic> {
        let count = self.admit_stored(claim)?;
        let strings = self.strings.saturating_add(count);
        if strings > self.limits.strings {
            return Err(claim.too_large(&format!("{} strings", self.limits.strings)));
        }
        self.strings = strings;
        self.admit_bytes(count.saturating_mul(64), claim)?;
        Ok(count)
    }

    /// Number of elements a data set claims to hold, if that is within bounds.
    fn admit_numbers(&mut self, claim: &Claim<'_>) -> Result<u64, Diagnostic> {
        let count = self.admit_stored(claim)?;
        let decoded = element::size(claim.datatype).max(8) as u64;
        self.admit_bytes(count.saturating_mul(decoded), claim)?;
        Ok(count)
    }

    /// Number of elements a data set claims to hold, if the file can hold them beside those of the others.
    /// Several links to one data set can ask for more than that.
    fn admit_stored(&mut self, claim: &Claim<'_>) -> Result<u64, Diagnostic> {
        let count = claim.held_by(self.file_len)?;
        let stored = count.saturating_mul(element::size(claim.datatype) as u64);
        self.stored = self.stored.saturating_add(stored);
        if self.stored > self.file_len.saturating_mul(BEST_COMPRESSION) {
            return Err(
                claim.too_large(&format!("what a file of {} bytes can hold", self.file_len))
            );
        }
        Ok(count)
    }

    fn admit_bytes(&mut self, more: u64, claim: &Claim<'_>) -> Result<(), Diagnostic> {
        let bytes = self.bytes.saturating_add(more);
        if bytes > self.limits.bytes {
            return Err(claim.too_large(&format!("{} bytes of data", self.limits.bytes)));
        }
        self.bytes = bytes;
        Ok(())
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

    fn keep_attributes(
        &mut self,
        group: &hdf5_pure::Group,
        path: &str,
        tree: &mut Group,
    ) -> Result<(), Diagnostic> {
        let attributes = group.attrs().map_err(|e| garbled(path, &e))?;
        let mut attributes: Vec<_> = attributes.into_iter().collect();
        attributes.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (name, value) in attributes {
            if let Some(value) = single(&value) {
                tree.push_attribute(name, value);
            }
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

/// The least that a chunk takes in the file's index: an address.
const CHUNK_ENTRY: u64 = 8;

/// What a data set says of itself before any of it is read.
struct Claim<'a> {
    path: &'a str,
    shape: &'a [u64],
    datatype: &'a Datatype,
    packing: &'a Packing,
}

impl Claim<'_> {
    /// The number of elements, if a file of this length can hold them.
    fn held_by(&self, file_len: u64) -> Result<u64, Diagnostic> {
        let element = element::size(self.datatype) as u64;
        let bytes = |shape: &[u64]| element_count(shape).and_then(|n| n.checked_mul(element));
        let most = if self.packing.filters.is_empty() {
            file_len
        } else {
            file_len.saturating_mul(BEST_COMPRESSION)
        };
        let chunk = self.packing.chunks.as_deref().unwrap_or_default();
        let chunks = self.chunk_count().filter(|n| *n <= file_len / CHUNK_ENTRY);
        match (
            element_count(self.shape),
            bytes(self.shape),
            bytes(chunk),
            chunks,
        ) {
            (Some(count), Some(all), Some(chunk), Some(_)) if all <= most && chunk <= most => {
                Ok(count)
            }
            _ => Err(self.too_large(&format!("what a file of {file_len} bytes can hold"))),
        }
    }

    /// Number of chunks, 1 if it is not chunked; `None` if there is no such number.
    fn chunk_count(&self) -> Option<u64> {
        let Some(chunks) = &self.packing.chunks else {
            return Some(1);
        };
        let mut grid = self.shape.iter().zip(chunks);
        grid.try_fold(1u64, |n, (extent, chunk)| {
            n.checked_mul(extent.checked_next_multiple_of(*chunk)? / chunk)
        })
    }

    fn too_large(&self, bound: &str) -> Diagnostic {
        let chunks = match &self.packing.chunks {
            Some(chunks) => format!(" in chunks of {chunks:?}"),
            None => String::new(),
        };
        Diagnostic::error(
            codes::FILE_TOO_LARGE,
            self.path,
            format!(
                "expected at most {bound}, found a data set of shape {:?}{chunks} of {}",
                self.shape,
                element::name(self.datatype)
            ),
        )
    }

    fn other_count(&self, expected: u64, found: &str) -> Diagnostic {
        Diagnostic::error(
            codes::FILE_TYPE,
            self.path,
            format!(
                "expected {expected} elements of {}, found {found}",
                element::name(self.datatype)
            ),
        )
    }
}

/// The one value of an attribute, if it is one and fits.
fn single(value: &AttrValue) -> Option<Attribute> {
    if let Some(text) = value.as_str() {
        Some(Attribute::Text(text.to_owned()))
    } else if let Some(value) = value.as_i64() {
        Some(Attribute::Integer(value))
    } else {
        value.as_f64().map(Attribute::Float)
    }
}

fn is_text(datatype: &Datatype) -> bool {
    matches!(
        datatype,
        Datatype::VariableLength {
            is_string: true,
            ..
        }
    )
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

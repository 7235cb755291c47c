//! A file's content as it stands: groups and data sets, in file order, element types untouched.
//!
//! This is what is written back. [`crate::nir::File`] decodes a graph from it, but never encodes one
//! into it, so whatever nirc does not understand survives a round trip.

use hdf5_pure::{
    Datatype, EnumTypeBuilder, make_f32_type, make_f64_type, make_i8_type, make_i64_type,
};

use super::element::{self, ElementError};

/// A group: named data sets and groups.
///
/// Each kind has an order, that of the file; HDF5 has none between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    attributes: Vec<(String, Attribute)>,
    datasets: Vec<(String, Dataset)>,
    groups: Vec<(String, Group)>,
}

/// A single value beside a group. Graphs have none, files of recorded data do.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// A string.
    Text(String),
    /// An integer of any size.
    Integer(i64),
    /// A float of any size.
    Float(f64),
}

/// What a name in a group can stand for.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// A nested group.
    Group(Group),
    /// A data set.
    Dataset(Dataset),
}

impl From<Group> for Item {
    fn from(group: Group) -> Self {
        Self::Group(group)
    }
}

impl From<Dataset> for Item {
    fn from(dataset: Dataset) -> Self {
        Self::Dataset(dataset)
    }
}

impl Group {
    /// An empty group.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same group with `name` added; for building trees in one expression.
    #[must_use]
    pub fn with(mut self, name: &str, item: impl Into<Item>) -> Self {
        self.insert(name, item);
        self
    }

    /// The same group with an attribute added; a name stands for the last value it was given.
    #[must_use]
    pub fn with_attribute(mut self, name: &str, value: Attribute) -> Self {
        set(&mut self.attributes, name, value);
        self
    }

    /// The attribute called `name`.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes().find(|(n, _)| *n == name).map(|(_, a)| a)
    }

    /// The attributes of the group itself, with their names.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.attributes.iter().map(|(n, a)| (n.as_str(), a))
    }

    /// Sets `name`: in place if it stands for the same kind already, at the end otherwise.
    pub fn insert(&mut self, name: &str, item: impl Into<Item>) {
        match item.into() {
            Item::Dataset(dataset) => {
                self.groups.retain(|(n, _)| n != name);
                set(&mut self.datasets, name, dataset);
            }
            Item::Group(group) => {
                self.datasets.retain(|(n, _)| n != name);
                set(&mut self.groups, name, group);
            }
        }
    }

    /// Adds an attribute; the caller knows that the name is new.
    pub(super) fn push_attribute(&mut self, name: String, value: Attribute) {
        self.attributes.push((name, value));
    }

    /// Adds a data set; the caller knows that the name is new.
    pub(super) fn push_dataset(&mut self, name: String, dataset: Dataset) {
        self.datasets.push((name, dataset));
    }

    /// Adds a group; the caller knows that the name is new.
    pub(super) fn push_group(&mut self, name: String, group: Group) {
        self.groups.push((name, group));
    }

    /// Keeps the data sets with these names only.
    pub(super) fn retain_datasets(&mut self, keep: impl Fn(&str) -> bool) {
        self.datasets.retain(|(name, _)| keep(name));
    }

    /// The group called `name`.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.groups().find(|(n, _)| *n == name).map(|(_, g)| g)
    }

    /// The group called `name`, for changes.
    pub fn group_mut(&mut self, name: &str) -> Option<&mut Group> {
        let found = self.groups.iter_mut().find(|(n, _)| n == name);
        found.map(|(_, group)| group)
    }

    /// The data set called `name`.
    pub fn dataset(&self, name: &str) -> Option<&Dataset> {
        self.datasets().find(|(n, _)| *n == name).map(|(_, d)| d)
    }

    /// The groups in it, with their names, in file order.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &Group)> {
        self.groups.iter().map(|(n, g)| (n.as_str(), g))
    }

    /// The same, for changes.
    pub fn groups_mut(&mut self) -> impl Iterator<Item = (&str, &mut Group)> {
        self.groups.iter_mut().map(|(n, g)| (n.as_str(), g))
    }

    /// The data sets in it, with their names, in file order.
    pub fn datasets(&self) -> impl Iterator<Item = (&str, &Dataset)> {
        self.datasets.iter().map(|(n, d)| (n.as_str(), d))
    }

    /// All names in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups().map(|(n, _)| n);
        self.datasets().map(|(n, _)| n).chain(groups)
    }

    /// Whether `name` stands for anything.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|n| n == name)
    }
}

fn set<T>(entries: &mut Vec<(String, T)>, name: &str, value: T) {
    match entries.iter_mut().find(|(n, _)| n == name) {
        Some((_, old)) => *old = value,
        None => entries.push((name.to_owned(), value)),
    }
}

/// A data set: shape, elements, and how the file packs them.
#[derive(Clone, Debug, PartialEq)]
pub struct Dataset {
    pub(super) shape: Vec<u64>,
    pub(super) content: Content,
    pub(super) packing: Packing,
}

/// The elements of a data set, in C order.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Strings of variable length.
    Text(Vec<String>),
    /// Anything of fixed size, as the file's own bytes.
    Raw {
        /// What the bytes mean.
        datatype: Datatype,
        /// The elements, unfiltered.
        bytes: Vec<u8>,
    },
}

/// Chunks and filters of a data set; empty for contiguous storage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Packing {
    /// Chunk shape, if it is stored in chunks.
    pub(super) chunks: Option<Vec<u64>>,
    /// Filters in the order in which a writer applies them.
    pub(super) filters: Vec<Filter>,
}

/// A filter that nirc can apply in both directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Filter {
    /// zlib at this level.
    Deflate(u32),
    /// Byte shuffle.
    Shuffle,
    /// Checksum.
    Fletcher32,
    /// LZF, h5py's own.
    Lzf,
}

impl Dataset {
    /// A single string.
    pub fn text(text: &str) -> Self {
        Self::of(Vec::new(), Content::Text(vec![text.to_owned()]))
    }

    /// Strings in the given shape.
    ///
    /// # Errors
    /// When the shape does not have as many elements.
    pub fn texts(shape: &[u64], texts: Vec<String>) -> Result<Self, ElementError> {
        check_len(shape, texts.len())?;
        Ok(Self::of(shape.to_vec(), Content::Text(texts)))
    }

    /// Strings in a vector.
    pub fn vector_of_texts(texts: Vec<String>) -> Self {
        Self::of(vec![texts.len() as u64], Content::Text(texts))
    }

    /// `f32` values in the given shape; a scalar's is `[]`.
    ///
    /// # Errors
    /// When the shape does not have as many elements.
    pub fn f32(shape: &[u64], values: &[f32]) -> Result<Self, ElementError> {
        check_len(shape, values.len())?;
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Self::raw(shape, make_f32_type(), bytes))
    }

    /// `f64` values in the given shape; a scalar's is `[]`.
    ///
    /// # Errors
    /// When the shape does not have as many elements.
    pub fn f64(shape: &[u64], values: &[f64]) -> Result<Self, ElementError> {
        check_len(shape, values.len())?;
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Self::raw(shape, make_f64_type(), bytes))
    }

    /// `i64` values in the given shape; a scalar's is `[]`.
    ///
    /// # Errors
    /// When the shape does not have as many elements.
    pub fn i64(shape: &[u64], values: &[i64]) -> Result<Self, ElementError> {
        check_len(shape, values.len())?;
        let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Self::raw(shape, make_i64_type(), bytes))
    }

    /// Booleans as h5py has them, in the given shape; a scalar's is `[]`.
    ///
    /// # Errors
    /// When the shape does not have as many elements.
    pub fn bool(shape: &[u64], values: &[bool]) -> Result<Self, ElementError> {
        check_len(shape, values.len())?;
        let datatype = EnumTypeBuilder::with_base(make_i8_type())
            .value("FALSE", 0)
            .value("TRUE", 1)
            .build()
            .expect("0 and 1 are bytes");
        let bytes = values.iter().map(|v| u8::from(*v)).collect();
        Ok(Self::raw(shape, datatype, bytes))
    }

    /// The same elements, to be stored in chunks of at most a mebibyte, each through gzip at level 4.
    #[must_use]
    pub fn compressed(mut self) -> Self {
        let size = match &self.content {
            Content::Raw { datatype, .. } => element::size(datatype) as u64,
            Content::Text(_) => return self,
        };
        let mut chunks = self.shape.clone();
        for axis in 0..chunks.len() {
            let slice: u64 = chunks[axis + 1..].iter().product::<u64>() * size;
            chunks[axis] = (CHUNK_BYTES / slice.max(1)).clamp(1, chunks[axis].max(1));
        }
        self.packing = Packing {
            chunks: Some(chunks),
            filters: vec![Filter::Deflate(4)],
        };
        self
    }

    fn of(shape: Vec<u64>, content: Content) -> Self {
        Self {
            shape,
            content,
            packing: Packing::default(),
        }
    }

    /// Bytes that the caller knows to fit the type and the shape.
    pub(super) fn raw(shape: &[u64], datatype: Datatype, bytes: Vec<u8>) -> Self {
        Self::of(shape.to_vec(), Content::Raw { datatype, bytes })
    }

    /// Axis lengths, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// The element type, as numpy calls it.
    pub fn type_name(&self) -> String {
        match &self.content {
            Content::Text(_) => "string".to_owned(),
            Content::Raw { datatype, .. } => element::name(datatype),
        }
    }

    /// The string, if it is a single one.
    pub fn as_text(&self) -> Option<String> {
        match self.texts_in_order()?.as_slice() {
            [one] if self.shape.is_empty() => Some(one.clone()),
            _ => None,
        }
    }

    /// All strings, in C order, if it holds strings.
    pub fn texts_in_order(&self) -> Option<Vec<String>> {
        match &self.content {
            Content::Text(texts) => Some(texts.clone()),
            Content::Raw { datatype, bytes } => element::fixed_strings(datatype, bytes),
        }
    }

    /// The numbers as a tensor of the graph model: f16 widened to f32, integers to i64.
    ///
    /// # Errors
    /// When the elements are not numbers that NIR uses, or do not fit.
    pub fn tensor(&self) -> Result<nir_rs::Tensor, ElementError> {
        let Content::Raw { datatype, bytes } = &self.content else {
            return Err(ElementError::Type {
                found: self.type_name(),
            });
        };
        let data = element::decode(datatype, bytes)?;
        let shape = self
            .shape
            .iter()
            .map(|d| usize::try_from(*d))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| ElementError::Count {
                shape: self.shape.clone(),
                found: data.len(),
            })?;
        let found = data.len();
        nir_rs::Tensor::new(shape, data).map_err(|_| ElementError::Count {
            shape: self.shape.clone(),
            found,
        })
    }
}

/// Bytes of a chunk where nirc chooses it.
const CHUNK_BYTES: u64 = 1 << 20;

/// Number of elements of a shape; `None` on overflow.
pub(super) fn element_count(shape: &[u64]) -> Option<u64> {
    shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
}

fn check_len(shape: &[u64], found: usize) -> Result<(), ElementError> {
    if element_count(shape) == u64::try_from(found).ok() {
        Ok(())
    } else {
        Err(ElementError::Count {
            shape: shape.to_vec(),
            found,
        })
    }
}

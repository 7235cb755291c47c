//! A .nir file: the graph it means and the tree it is.

use std::io::Read;
use std::path::Path;

use nir_rs::NirGraph;
use nirc_ir::{Diagnostic, Diagnostics, Severity, codes};

use super::decode::{self, Undecoded, not_nir};
use super::reader::{self, Limits};
use super::tree::{Dataset, Group};

/// A .nir file in memory.
///
/// Graph and tree agree: a file is only made from a tree, and neither changes afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct File {
    graph: NirGraph,
    undecoded: Vec<Undecoded>,
    root: Group,
}

/// Reads a .nir file of any NIR version.
///
/// Node types and fields are not judged here, but by [`import`](super::import()) and
/// [`summary`](super::summary()).
///
/// # Errors
/// `N01..`: the file cannot be read, is no HDF5, no NIR graph, or beyond [`Limits::DEFAULT`].
pub fn read(path: &Path) -> Result<(File, Diagnostics), Diagnostics> {
    let limits = Limits::DEFAULT;
    let place = path.display().to_string();
    let bytes = load(path, &limits).map_err(|e| {
        Diagnostic::error(
            codes::FILE_UNREADABLE,
            &place,
            format!("the file cannot be read: {e}"),
        )
    })?;
    match read_bytes(bytes) {
        Ok((file, notes)) => Ok((file, notes.placed_at(&place))),
        Err(problems) => Err(problems.placed_at(&place)),
    }
}

/// At most one byte more than the limit, which the reader then refuses.
fn load(path: &Path, limits: &Limits) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(limits.file_bytes + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same from bytes in memory.
///
/// # Errors
/// As [`read`].
pub fn read_bytes(bytes: Vec<u8>) -> Result<(File, Diagnostics), Diagnostics> {
    read_bytes_within(bytes, &Limits::DEFAULT)
}

/// The same within other limits.
///
/// # Errors
/// As [`read`].
pub fn read_bytes_within(
    bytes: Vec<u8>,
    limits: &Limits,
) -> Result<(File, Diagnostics), Diagnostics> {
    let (root, mut notes) = reader::read_tree(bytes, limits)?;
    let file = File::from_tree(root).map_err(|problems| {
        // What was left out of the tree with a warning may be what is missing.
        notes.0.retain(|note| note.severity == Severity::Warning);
        notes.0.extend(problems.0);
        std::mem::take(&mut notes)
    })?;
    if file.version().is_none() {
        notes.push(Diagnostic::warning(
            codes::FILE_NOT_NIR,
            "version",
            "expected the version of NIR that wrote the file, found none",
        ));
    }
    Ok((file, notes))
}

impl File {
    /// A file with this content.
    ///
    /// # Errors
    /// `N0103` when it is not laid out as a NIR graph.
    pub fn from_tree(root: Group) -> Result<Self, Diagnostics> {
        let node = root.group("node").ok_or_else(|| {
            let names: Vec<_> = root.names().collect();
            not_nir("", "a group `node`", &format!("{names:?}"))
                .help("files of recorded data (nir.write_data) hold no network")
        })?;
        match node.dataset("type").and_then(Dataset::as_text).as_deref() {
            Some("NIRGraph") => {}
            Some(other) => {
                return Err(not_nir("", "`node/type` = \"NIRGraph\"", &format!("{other:?}"))
                    .help("the file holds a single node; wrap it in a nir.NIRGraph with Input and Output")
                    .into());
            }
            None => {
                return Err(not_nir("", "`node/type`", "none")
                    .help("the exporter failed before it had written all; look for its error and export again")
                    .into());
            }
        }
        let mut undecoded = Vec::new();
        let mut graph = decode::graph(node, "", &mut undecoded)?;
        graph.version = root.dataset("version").and_then(Dataset::as_text);
        Ok(Self {
            graph,
            undecoded,
            root,
        })
    }

    /// The graph: every node that the graph model holds.
    pub fn graph(&self) -> &NirGraph {
        &self.graph
    }

    /// The nodes that it does not hold, nested ones included.
    pub fn undecoded(&self) -> &[Undecoded] {
        &self.undecoded
    }

    /// The version of NIR that wrote the file, if it says.
    pub fn version(&self) -> Option<&str> {
        self.graph.version.as_deref()
    }

    /// Everything in the file.
    pub fn tree(&self) -> &Group {
        &self.root
    }
}

//! A file with trained weights in place of its own, and all else as it was.

use std::collections::BTreeMap;

use nir_rs::{MetadataValue, Tensor, TensorData};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::File;
use super::element;
use super::tree::{Content, Dataset, Group, Packing};
use super::writer::to_bytes;

/// New values for a node with weights or delays; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// Weights in NIR's order, (out, in).
    pub weight: Option<Vec<f32>>,
    /// Bias, one value an output.
    pub bias: Option<Vec<f32>>,
    /// Delays of a Delay node, in the file's unit of time.
    pub delay: Option<Vec<f32>>,
}

/// The bytes of `file` with updated nodes, by path, and metadata added to the graph's, by key.
///
/// Element types stay: `f64` weights stay `f64`. Types that cannot hold trained values (f16,
/// integers) become `f32`, with a warning.
///
/// # Errors
/// `N0201`, `N0203` or `N0107` when an update fits no node or field, with all such updates.
pub fn export(
    file: &File,
    updates: &BTreeMap<String, Update>,
    metadata: &BTreeMap<String, MetadataValue>,
) -> Result<(Vec<u8>, Diagnostics), Diagnostics> {
    let mut root = file.tree().clone();
    let mut problems = Diagnostics::new();
    for (path, update) in updates {
        match find_node(&mut root, path) {
            Some(node) => apply(node, path, update, &mut problems),
            None => problems.push(Diagnostic::error(
                codes::NODE_FIELD_MISSING,
                path.as_str(),
                "expected a node to update, found none of this path",
            )),
        }
    }
    add_metadata(&mut root, metadata);
    if problems.has_errors() {
        return Err(problems);
    }
    Ok((to_bytes(&root)?, problems))
}

pub(super) fn find_node<'a>(root: &'a mut Group, path: &str) -> Option<&'a mut Group> {
    let mut group = root.group_mut("node")?;
    for name in path.split('/') {
        group = group.group_mut("nodes")?.group_mut(name)?;
    }
    Some(group)
}

fn apply(node: &mut Group, path: &str, update: &Update, problems: &mut Diagnostics) {
    let fields = [
        ("weight", &update.weight),
        ("bias", &update.bias),
        ("delay", &update.delay),
    ];
    for (field, values) in fields {
        let Some(values) = values else {
            continue;
        };
        match node.dataset(field) {
            Some(old) => {
                if let Some(new) = replace(old, values, path, field, problems) {
                    node.insert(field, new);
                }
            }
            None => problems.push(Diagnostic::error(
                codes::NODE_FIELD_MISSING,
                path,
                format!("expected a field `{field}` to update, found none"),
            )),
        }
    }
}

fn replace(
    old: &Dataset,
    values: &[f32],
    path: &str,
    field: &str,
    problems: &mut Diagnostics,
) -> Option<Dataset> {
    let Content::Raw { datatype, bytes } = &old.content else {
        problems.push(Diagnostic::error(
            codes::FILE_TYPE,
            path,
            format!("expected numbers in `{field}`, found {}", old.type_name()),
        ));
        return None;
    };
    let count = bytes.len() / element::size(datatype);
    // One value for all neurons has become a value for each.
    let widened = field != "weight" && count == 1 && values.len() > 1;
    let (shape, packing) = if widened {
        let message = format!(
            "`{field}` was one value for all {0}, and is written as {0} values",
            values.len()
        );
        problems.push(Diagnostic::note(codes::GRAPH_REPAIRED, path, message));
        (vec![values.len() as u64], Packing::default())
    } else {
        (old.shape.clone(), old.packing.clone())
    };
    if shape.iter().product::<u64>() != values.len() as u64 {
        problems.push(Diagnostic::error(
            codes::NODE_SHAPE,
            path,
            format!(
                "expected {count} values for `{field}` of shape {:?}, found {}",
                old.shape,
                values.len()
            ),
        ));
        return None;
    }
    if let Some(index) = values.iter().position(|v| !v.is_finite()) {
        problems.push(Diagnostic::warning(
            codes::NODE_VALUE,
            path,
            format!(
                "expected finite values for `{field}`, writing {} at index {index}",
                values[index]
            ),
        ));
    }
    let content = match element::encode_floats(datatype, values) {
        Some(bytes) => Content::Raw {
            datatype: datatype.clone(),
            bytes,
        },
        None => {
            problems.push(Diagnostic::warning(
                codes::NODE_PRECISION,
                path,
                format!(
                    "`{field}` was {}, which cannot hold trained values; it is written as float32",
                    old.type_name()
                ),
            ));
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            Content::Raw {
                datatype: hdf5_pure::make_f32_type(),
                bytes,
            }
        }
    };
    Some(Dataset {
        shape,
        content,
        packing,
    })
}

pub(super) fn add_metadata(root: &mut Group, metadata: &BTreeMap<String, MetadataValue>) {
    let Some(node) = root.group_mut("node").filter(|_| !metadata.is_empty()) else {
        return;
    };
    if node.group("metadata").is_none() {
        node.insert("metadata", Group::new());
    }
    let Some(group) = node.group_mut("metadata") else {
        return;
    };
    if metadata.contains_key("convention") {
        // All of another one goes; what is the same is put back in its place.
        let stays = |name: &str| !name.starts_with("convention.") || metadata.contains_key(name);
        group.retain_datasets(stays);
    }
    for (key, value) in metadata {
        insert_nested(group, key, encode(value));
    }
}

/// Inserts under a key whose `/` stand for nested groups, as they do when metadata are read.
fn insert_nested(group: &mut Group, key: &str, value: Dataset) {
    match key.split_once('/') {
        None => group.insert(key, value),
        Some((outer, rest)) => {
            if group.group(outer).is_none() {
                group.insert(outer, Group::new());
            }
            if let Some(nested) = group.group_mut(outer) {
                insert_nested(nested, rest, value);
            }
        }
    }
}

fn encode(value: &MetadataValue) -> Dataset {
    match value {
        MetadataValue::String(text) => Dataset::text(text),
        MetadataValue::F64(v) => {
            Dataset::raw(&[], hdf5_pure::make_f64_type(), v.to_le_bytes().into())
        }
        MetadataValue::I64(v) => {
            Dataset::raw(&[], hdf5_pure::make_i64_type(), v.to_le_bytes().into())
        }
        MetadataValue::Bool(v) => Dataset::text(if *v { "true" } else { "false" }),
        MetadataValue::StringList(texts) => Dataset::vector_of_texts(texts.clone()),
        MetadataValue::Tensor(tensor) => encode_tensor(tensor),
        // The graph model may grow; a value of a kind unknown here is written as its text.
        other => Dataset::text(&format!("{other:?}")),
    }
}

fn encode_tensor(tensor: &Tensor) -> Dataset {
    let shape: Vec<u64> = tensor.shape().iter().map(|d| *d as u64).collect();
    let (datatype, bytes) = match tensor.data() {
        TensorData::F32(v) => (
            hdf5_pure::make_f32_type(),
            v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
        TensorData::F64(v) => (
            hdf5_pure::make_f64_type(),
            v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
        TensorData::I64(v) => (
            hdf5_pure::make_i64_type(),
            v.iter().flat_map(|v| v.to_le_bytes()).collect(),
        ),
        TensorData::Bool(v) => (
            hdf5_pure::make_u8_type(),
            v.iter().map(|v| u8::from(*v)).collect(),
        ),
    };
    Dataset::raw(&shape, datatype, bytes)
}

//! What is in a file, for people: nodes, shapes, ranges, edges, and whether nirc takes each node.

use std::collections::BTreeMap;

use serde::Serialize;

use super::File;
use super::decode::{Undecoded, node_path};
use super::tree::{Dataset, Group};

/// The types that the importer takes.
const SUPPORTED: [&str; 19] = [
    "Input",
    "Output",
    "Affine",
    "Linear",
    "Scale",
    "Conv1d",
    "Conv2d",
    "SumPool2d",
    "AvgPool2d",
    "Flatten",
    "Delay",
    "Threshold",
    "I",
    "IF",
    "LI",
    "LIF",
    "CubaLI",
    "CubaLIF",
    "NIRGraph",
];

/// A file in brief.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Version of NIR that wrote it.
    pub version: Option<String>,
    /// All nodes in file order; those of a nested graph follow it.
    pub nodes: Vec<NodeSummary>,
    /// Edges of the outermost graph, in file order.
    pub edges: Vec<(String, String)>,
    /// The graph's metadata, `/` in the key for nesting, values as text.
    pub metadata: Vec<(String, String)>,
}

/// A node in brief.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeSummary {
    /// Its path in the graph.
    pub path: String,
    /// Its type, or "" if the file states none.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its fields, in file order.
    pub fields: Vec<FieldSummary>,
    /// Whether the importer takes it.
    pub verdict: Verdict,
}

/// A field in brief.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldSummary {
    /// Its name.
    pub name: String,
    /// Element type, as numpy calls it.
    pub dtype: String,
    /// Shape.
    pub shape: Vec<u64>,
    /// Smallest and largest finite value, if it holds numbers.
    pub range: Option<(f64, f64)>,
    /// How many values are NaN or infinite.
    pub not_finite: usize,
    /// The value, of a text or a short vector.
    pub value: Option<String>,
}

/// Whether the importer takes a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "is", content = "why")]
pub enum Verdict {
    /// Its type is supported and its fields are there.
    Supported,
    /// Its type is not supported.
    Unsupported(String),
    /// Its type is supported, but fields are missing or malformed.
    Malformed(String),
}

/// Sums up a file.
pub fn summary(file: &File) -> Summary {
    let mut nodes = Vec::new();
    let mut metadata = Vec::new();
    let broken = file
        .undecoded()
        .iter()
        .map(|node| (node.path.as_str(), node))
        .collect();
    if let Some(graph) = file.tree().group("node") {
        summarise_nodes(&broken, graph, "", &mut nodes);
        if let Some(group) = graph.group("metadata") {
            summarise_metadata(group, "", &mut metadata);
        }
    }
    Summary {
        version: file.version().map(str::to_owned),
        nodes,
        edges: file.graph().edges.clone(),
        metadata,
    }
}

type Broken<'a> = BTreeMap<&'a str, &'a Undecoded>;

fn summarise_nodes(broken: &Broken<'_>, graph: &Group, path: &str, nodes: &mut Vec<NodeSummary>) {
    let Some(group) = graph.group("nodes") else {
        return;
    };
    for (name, node) in group.groups() {
        let path = node_path(path, name);
        let type_name = node
            .dataset("type")
            .and_then(Dataset::as_text)
            .unwrap_or_default();
        nodes.push(NodeSummary {
            fields: node
                .datasets()
                .filter(|(name, _)| *name != "type")
                .map(|(name, dataset)| field(name, dataset))
                .collect(),
            verdict: verdict(broken, &path, &type_name),
            path: path.clone(),
            type_name,
        });
        summarise_nodes(broken, node, &path, nodes);
    }
}

fn verdict(broken: &Broken<'_>, path: &str, type_name: &str) -> Verdict {
    match broken.get(path) {
        _ if !type_name.is_empty() && !SUPPORTED.contains(&type_name) => {
            Verdict::Unsupported(format!("{type_name} is no node type of NIR"))
        }
        Some(node) => {
            let problems: Vec<_> = node.problems.iter().map(|p| p.message.as_str()).collect();
            Verdict::Malformed(problems.join("; "))
        }
        None => Verdict::Supported,
    }
}

fn field(name: &str, dataset: &Dataset) -> FieldSummary {
    let values = numbers(dataset);
    let finite = values.iter().copied().filter(|v| v.is_finite());
    let range = finite.clone().fold(None, |range: Option<(f64, f64)>, v| {
        let (low, high) = range.unwrap_or((v, v));
        Some((low.min(v), high.max(v)))
    });
    FieldSummary {
        name: name.to_owned(),
        dtype: dataset.type_name(),
        shape: dataset.shape().to_vec(),
        range,
        not_finite: values.len() - finite.count(),
        value: short(dataset, &values),
    }
}

fn numbers(dataset: &Dataset) -> Vec<f64> {
    use nir_rs::TensorData;
    match dataset.tensor().as_ref().map(nir_rs::Tensor::data) {
        Ok(TensorData::F32(v)) => v.iter().map(|v| f64::from(*v)).collect(),
        Ok(TensorData::F64(v)) => v.clone(),
        Ok(TensorData::I64(v)) => v.iter().map(|v| *v as f64).collect(),
        Ok(TensorData::Bool(v)) => v.iter().map(|v| f64::from(u8::from(*v))).collect(),
        Err(_) => Vec::new(),
    }
}

/// The value of a text, a scalar or a vector of a few elements.
fn short(dataset: &Dataset, values: &[f64]) -> Option<String> {
    if let Some(text) = dataset.as_text() {
        return Some(text);
    }
    let texts: Vec<_> = match dataset.texts_in_order() {
        Some(texts) => texts,
        None => values.iter().take(9).map(f64::to_string).collect(),
    };
    match (dataset.shape(), &texts[..]) {
        ([], [one]) => Some(one.clone()),
        ([_], few) if few.len() <= 8 => Some(format!("[{}]", few.join(", "))),
        _ => None,
    }
}

fn summarise_metadata(group: &Group, prefix: &str, metadata: &mut Vec<(String, String)>) {
    for (name, dataset) in group.datasets() {
        let value = short(dataset, &numbers(dataset))
            .unwrap_or_else(|| format!("{} {:?}", dataset.type_name(), dataset.shape()));
        metadata.push((node_path(prefix, name), value));
    }
    for (name, nested) in group.groups() {
        summarise_metadata(nested, &node_path(prefix, name), metadata);
    }
}

//! A tree into nir-rs's graph: nodes, edges, metadata. What does not decode is listed, not lost.

use nir_rs::nodes::{
    Affine, AvgPool2d, Conv1d, Conv2d, CubaLi, CubaLif, Delay, Flatten, I, If, Input, Li, Lif,
    Linear, Output, Padding, Scale, SumPool2d, Threshold,
};
use nir_rs::{MetadataMap, MetadataValue, NirGraph, NirNode, Tensor, TensorData};
use nirc_ir::{Diagnostic, codes};

use super::tree::{Dataset, Group};

/// The most elements of a shape that stands in a file as numbers, with no data beside it to bound it: twice
/// the pixels of the largest event cameras in both polarities, and far more than a chip has room for.
const MOST_ELEMENTS: usize = 1 << 22;

/// A node of the file that the graph model cannot hold: of a type NIR does not know, or with fields
/// missing or malformed.
#[derive(Clone, Debug, PartialEq)]
pub struct Undecoded {
    /// Its path: its name, after those of the graphs it is nested in, with `/` between.
    pub path: String,
    /// Its type, if the file states one.
    pub type_name: Option<String>,
    /// Why.
    pub problems: Vec<Diagnostic>,
}

/// The path of a node: its name, or for nodes of nested graphs all names with `/` between, which no
/// HDF5 name contains.
pub(super) fn node_path(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}

/// The graph in `group`, whose path in the graph is `path`. Every node is either in the graph or
/// added to `undecoded`.
pub(super) fn graph(
    group: &Group,
    path: &str,
    undecoded: &mut Vec<Undecoded>,
) -> Result<NirGraph, Diagnostic> {
    let mut graph = NirGraph::new();
    let nodes = group
        .group("nodes")
        .ok_or_else(|| not_nir(path, "a group `nodes`", "none"))?;
    graph.edges = edges(group, path)?;
    graph.metadata = metadata(group);
    for (name, _) in nodes.datasets() {
        let path = node_path(path, name);
        undecoded.push(Undecoded {
            problems: vec![missing(&path, "type", "a data set in place of the node")],
            path,
            type_name: None,
        });
    }
    for (name, fields) in nodes.groups() {
        let path = node_path(path, name);
        if let Some(node) = node(fields, &path, undecoded) {
            graph.nodes.insert(name.to_owned(), node);
        }
    }
    Ok(graph)
}

pub(super) fn not_nir(path: &str, expected: &str, found: &str) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_NOT_NIR,
        path,
        format!("expected a NIR graph with {expected}, found {found}"),
    )
}

fn missing(path: &str, field: &str, found: &str) -> Diagnostic {
    Diagnostic::error(
        codes::NODE_FIELD_MISSING,
        path,
        format!("expected a field `{field}`, found {found}"),
    )
}

fn edges(group: &Group, path: &str) -> Result<Vec<(String, String)>, Diagnostic> {
    const EXPECTED: &str = "`edges` of shape [n, 2], strings";
    let edges = group
        .dataset("edges")
        .ok_or_else(|| not_nir(path, EXPECTED, "none"))?;
    // An empty list is written as an empty array of floats.
    if edges.shape().contains(&0) {
        return Ok(Vec::new());
    }
    match (edges.shape(), edges.texts_in_order()) {
        ([_, 2], Some(texts)) => {
            let mut texts = texts.into_iter();
            Ok(std::iter::from_fn(|| texts.next().zip(texts.next())).collect())
        }
        (shape, _) => Err(not_nir(
            path,
            EXPECTED,
            &format!("shape {shape:?} of {}", edges.type_name()),
        )),
    }
}

/// Metadata by key; nested groups give keys with `/` between.
fn metadata(group: &Group) -> MetadataMap {
    let mut map = MetadataMap::new();
    if let Some(metadata) = group.group("metadata") {
        collect_metadata(metadata, "", &mut map);
    }
    map
}

fn collect_metadata(group: &Group, prefix: &str, map: &mut MetadataMap) {
    for (name, dataset) in group.datasets() {
        if let Some(value) = metadata_value(dataset) {
            map.insert(node_path(prefix, name), value);
        }
    }
    for (name, nested) in group.groups() {
        collect_metadata(nested, &node_path(prefix, name), map);
    }
}

fn metadata_value(dataset: &Dataset) -> Option<MetadataValue> {
    if let Some(text) = dataset.as_text() {
        return Some(MetadataValue::String(text));
    }
    if let Some(texts) = dataset.texts_in_order() {
        return Some(MetadataValue::StringList(texts));
    }
    let tensor = dataset.tensor().ok()?;
    Some(match (tensor.shape(), tensor.data()) {
        ([], TensorData::F64(v)) => MetadataValue::F64(*v.first()?),
        ([], TensorData::I64(v)) => MetadataValue::I64(*v.first()?),
        ([], TensorData::Bool(v)) => MetadataValue::Bool(*v.first()?),
        _ => MetadataValue::Tensor(tensor),
    })
}

/// The node in `group`, or `None` after adding it to `undecoded`.
fn node(group: &Group, path: &str, undecoded: &mut Vec<Undecoded>) -> Option<NirNode> {
    let type_name = group.dataset("type").and_then(Dataset::as_text);
    let mut fields = Fields {
        group,
        path,
        problems: Vec::new(),
    };
    let node = match type_name.as_deref() {
        None => {
            fields.problems.push(missing(path, "type", "none"));
            None
        }
        Some("NIRGraph") => match graph(group, path, undecoded) {
            Ok(graph) => Some(NirNode::Graph(Box::new(graph))),
            Err(problem) => {
                fields.problems.push(problem);
                None
            }
        },
        Some(name) => fields.primitive(name),
    };
    if node.is_none() {
        undecoded.push(Undecoded {
            path: path.to_owned(),
            type_name,
            problems: fields.problems,
        });
    }
    node
}

/// The fields of one node, and what was wrong with them.
struct Fields<'a> {
    group: &'a Group,
    path: &'a str,
    problems: Vec<Diagnostic>,
}

impl Fields<'_> {
    /// Decodes a node. Every field is looked at before `?` gives up, so all problems are found.
    fn primitive(&mut self, type_name: &str) -> Option<NirNode> {
        let metadata = metadata(self.group);
        Some(match type_name {
            "Input" => NirNode::Input(Input {
                shape: self.extents("shape")?,
                metadata,
            }),
            "Output" => NirNode::Output(Output {
                shape: self.extents("shape")?,
                metadata,
            }),
            "Linear" => NirNode::Linear(Linear {
                weight: self.tensor("weight")?,
                metadata,
            }),
            "Affine" => {
                let (weight, bias) = (self.tensor("weight"), self.tensor("bias"));
                NirNode::Affine(Affine {
                    weight: weight?,
                    bias: bias?,
                    metadata,
                })
            }
            "Scale" => NirNode::Scale(Scale {
                scale: self.tensor("scale")?,
                metadata,
            }),
            "Delay" => NirNode::Delay(Delay {
                delay: self.tensor("delay")?,
                metadata,
            }),
            "Threshold" => NirNode::Threshold(Threshold {
                threshold: self.tensor("threshold")?,
                metadata,
            }),
            "I" => NirNode::I(I {
                r: self.tensor("r")?,
                metadata,
            }),
            "IF" => {
                let (r, v_threshold) = (self.tensor("r"), self.tensor("v_threshold"));
                let v_reset = self.optional("v_reset");
                NirNode::If(If {
                    r: r?,
                    v_threshold: v_threshold?,
                    v_reset: v_reset?,
                    metadata,
                })
            }
            "LI" => {
                let [tau, r, v_leak] = ["tau", "r", "v_leak"].map(|f| self.tensor(f));
                NirNode::Li(Li {
                    tau: tau?,
                    r: r?,
                    v_leak: v_leak?,
                    metadata,
                })
            }
            "LIF" => {
                let [tau, r, v_leak, v_threshold] =
                    ["tau", "r", "v_leak", "v_threshold"].map(|f| self.tensor(f));
                let v_reset = self.optional("v_reset");
                NirNode::Lif(Lif {
                    tau: tau?,
                    r: r?,
                    v_leak: v_leak?,
                    v_threshold: v_threshold?,
                    v_reset: v_reset?,
                    metadata,
                })
            }
            "CubaLI" => {
                let [tau_syn, tau_mem, r, v_leak] =
                    ["tau_syn", "tau_mem", "r", "v_leak"].map(|f| self.tensor(f));
                let w_in = self.optional("w_in");
                NirNode::CubaLi(CubaLi {
                    tau_syn: tau_syn?,
                    tau_mem: tau_mem?,
                    r: r?,
                    v_leak: v_leak?,
                    w_in: w_in?,
                    metadata,
                })
            }
            "CubaLIF" => {
                let [tau_syn, tau_mem, r, v_leak, v_threshold] =
                    ["tau_syn", "tau_mem", "r", "v_leak", "v_threshold"].map(|f| self.tensor(f));
                let [v_reset, w_in] = ["v_reset", "w_in"].map(|f| self.optional(f));
                NirNode::CubaLif(CubaLif {
                    tau_syn: tau_syn?,
                    tau_mem: tau_mem?,
                    r: r?,
                    v_leak: v_leak?,
                    v_threshold: v_threshold?,
                    v_reset: v_reset?,
                    w_in: w_in?,
                    metadata,
                })
            }
            "Conv1d" => {
                let [weight, bias] = ["weight", "bias"].map(|f| self.tensor(f));
                let [stride, dilation, groups] =
                    ["stride", "dilation", "groups"].map(|f| self.integers(f));
                let padding = self.padding();
                NirNode::Conv1d(Conv1d {
                    weight: weight?,
                    bias: bias?,
                    stride: stride?,
                    padding: padding?,
                    dilation: dilation?,
                    groups: self.first(&groups?, "groups")?,
                    input_shape: match self.optional_extents("input_shape")?.as_deref() {
                        Some([n]) => Some(*n),
                        _ => None,
                    },
                    metadata,
                })
            }
            "Conv2d" => {
                let [weight, bias] = ["weight", "bias"].map(|f| self.tensor(f));
                let [stride, dilation, groups] =
                    ["stride", "dilation", "groups"].map(|f| self.integers(f));
                let padding = self.padding();
                NirNode::Conv2d(Conv2d {
                    weight: weight?,
                    bias: bias?,
                    stride: stride?,
                    padding: padding?,
                    dilation: dilation?,
                    groups: self.first(&groups?, "groups")?,
                    input_shape: self.optional_extents("input_shape")?,
                    metadata,
                })
            }
            "SumPool2d" => {
                let [kernel_size, stride, padding] =
                    ["kernel_size", "stride", "padding"].map(|f| self.tensor(f));
                NirNode::SumPool2d(SumPool2d {
                    kernel_size: kernel_size?,
                    stride: stride?,
                    padding: padding?,
                    metadata,
                })
            }
            "AvgPool2d" => {
                let [kernel_size, stride, padding] =
                    ["kernel_size", "stride", "padding"].map(|f| self.tensor(f));
                NirNode::AvgPool2d(AvgPool2d {
                    kernel_size: kernel_size?,
                    stride: stride?,
                    padding: padding?,
                    metadata,
                })
            }
            "Flatten" => {
                let [start, end] = ["start_dim", "end_dim"].map(|f| self.integers(f));
                NirNode::Flatten(Flatten {
                    start_dim: self.first(&start?, "start_dim")?,
                    end_dim: self.first(&end?, "end_dim")?,
                    input_type: self.optional_extents("input_type")?,
                    metadata,
                })
            }
            other => {
                self.problems.push(Diagnostic::error(
                    codes::NODE_UNSUPPORTED,
                    self.path,
                    format!("expected a node type of NIR, found {other:?}"),
                ));
                return None;
            }
        })
    }

    fn required(&mut self, field: &str) -> Option<&Dataset> {
        if let Some(dataset) = self.group.dataset(field) {
            return Some(dataset);
        }
        let found = if self.group.contains(field) {
            "a group"
        } else {
            "none"
        };
        self.problems.push(missing(self.path, field, found));
        None
    }

    fn tensor(&mut self, field: &str) -> Option<Tensor> {
        match self.required(field)?.tensor() {
            Ok(tensor) => Some(tensor),
            Err(e) => {
                self.problems.push(Diagnostic::error(
                    codes::FILE_TYPE,
                    self.path,
                    format!("`{field}`: {e}"),
                ));
                None
            }
        }
    }

    /// `Some(None)` when the field is absent, `None` when it is malformed.
    fn optional(&mut self, field: &str) -> Option<Option<Tensor>> {
        if self.group.contains(field) {
            self.tensor(field).map(Some)
        } else {
            Some(None)
        }
    }

    fn integers(&mut self, field: &str) -> Option<Vec<i64>> {
        let tensor = self.tensor(field)?;
        if let TensorData::I64(values) = tensor.data() {
            return Some(values.clone());
        }
        self.problems.push(Diagnostic::error(
            codes::FILE_TYPE,
            self.path,
            format!("`{field}`: expected integers, found {:?}", tensor.dtype()),
        ));
        None
    }

    fn first(&mut self, values: &[i64], field: &str) -> Option<i64> {
        if let [value] = values {
            return Some(*value);
        }
        self.problems.push(Diagnostic::error(
            codes::NODE_SHAPE,
            self.path,
            format!("`{field}`: expected 1 value, found {}", values.len()),
        ));
        None
    }

    fn extents(&mut self, field: &str) -> Option<Vec<usize>> {
        let values = self.integers(field)?;
        let extents: Result<Vec<_>, _> = values.iter().map(|v| usize::try_from(*v)).collect();
        if extents.is_err() {
            self.problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                self.path,
                format!("`{field}`: expected axis lengths, found {values:?}"),
            ));
        }
        let extents = extents.ok()?;
        let count = extents.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        if count.is_none_or(|n| n > MOST_ELEMENTS) {
            self.problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                self.path,
                format!(
                    "`{field}`: expected a shape of at most {MOST_ELEMENTS} elements, found {values:?}"
                ),
            ));
            return None;
        }
        Some(extents)
    }

    fn optional_extents(&mut self, field: &str) -> Option<Option<Vec<usize>>> {
        if self.group.contains(field) {
            self.extents(field).map(Some)
        } else {
            Some(None)
        }
    }

    fn padding(&mut self) -> Option<Padding> {
        match self.required("padding")?.as_text().as_deref() {
            None => self.integers("padding").map(Padding::Explicit),
            Some("same") => Some(Padding::Same),
            Some("valid") => Some(Padding::Valid),
            Some(other) => {
                self.problems.push(Diagnostic::error(
                    codes::NODE_VALUE,
                    self.path,
                    format!("`padding`: expected integers, \"same\" or \"valid\", found {other:?}"),
                ));
                None
            }
        }
    }
}

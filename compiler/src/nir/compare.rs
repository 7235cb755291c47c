//! Two files side by side: nodes, edges and fields that one has and the other has not, or has otherwise.

use std::collections::{BTreeMap, BTreeSet};

use nir_rs::TensorData;
use serde::Serialize;

use super::File;
use super::decode::node_path;
use super::tree::{Dataset, Group};

/// A difference between two files, in what they contain.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Difference {
    /// A node that only one of them has.
    Node {
        /// Its path.
        path: String,
        /// Its type.
        #[serde(rename = "type")]
        type_name: String,
        /// Which file has it.
        only_in: Side,
    },
    /// A node of another type.
    Type {
        /// Its path.
        path: String,
        /// Its types in both.
        types: [String; 2],
    },
    /// An edge that only one of them has.
    Edge {
        /// The graph that it is in: "" for the outermost.
        graph: String,
        /// From.
        from: String,
        /// To.
        to: String,
        /// Which file has it.
        only_in: Side,
    },
    /// A field that only one of them has.
    Field {
        /// The node's path.
        path: String,
        /// The field.
        field: String,
        /// Which file has it.
        only_in: Side,
    },
    /// A field with other values, another shape or another element type.
    Values {
        /// The node's path.
        path: String,
        /// The field.
        field: String,
        /// In which way.
        how: Values,
    },
}

/// One of two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The first.
    A,
    /// The second.
    B,
}

/// In which way a field differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "differ_in")]
pub enum Values {
    /// The shapes.
    Shape {
        /// In both files.
        shapes: [Vec<u64>; 2],
    },
    /// The element types, while all values are equal.
    Element {
        /// In both files, as numpy calls them.
        types: [String; 2],
    },
    /// The numbers.
    Numbers {
        /// How many differ.
        count: usize,
        /// Of how many.
        of: usize,
        /// The largest difference.
        largest: f64,
        /// Index of the largest, and its values in both.
        at: (usize, f64, f64),
    },
    /// The text.
    Text {
        /// In both files.
        texts: [String; 2],
    },
}

/// Everything in which two files differ, node by node in the order of their paths.
pub fn compare(a: &File, b: &File) -> Vec<Difference> {
    let mut found = Vec::new();
    if let [Some(a), Some(b)] = [a, b].map(|file| file.tree().group("node")) {
        graphs("", a, b, &mut found);
    }
    found
}

fn graphs(path: &str, a: &Group, b: &Group, found: &mut Vec<Difference>) {
    edges(path, a, b, found);
    let nodes = [a, b].map(|graph| {
        let nodes = graph.group("nodes").into_iter().flat_map(Group::groups);
        nodes.collect::<BTreeMap<_, _>>()
    });
    for (name, side) in both(&nodes) {
        let path = node_path(path, name);
        match side {
            Some((only_in, node)) => found.push(Difference::Node {
                path,
                type_name: type_of(node),
                only_in,
            }),
            None => node(&path, nodes[0][name], nodes[1][name], found),
        }
    }
}

/// All names of two maps in order, each with the side that alone has it, if one has.
fn both<'a, T: Copy>(maps: &[BTreeMap<&'a str, T>; 2]) -> Vec<(&'a str, Option<(Side, T)>)> {
    let names: BTreeSet<&str> = maps.iter().flat_map(|map| map.keys().copied()).collect();
    let place = |name: &&'a str| match [maps[0].get(name), maps[1].get(name)] {
        [Some(item), None] => (*name, Some((Side::A, *item))),
        [None, Some(item)] => (*name, Some((Side::B, *item))),
        _ => (*name, None),
    };
    names.iter().map(place).collect()
}

fn type_of(node: &Group) -> String {
    let name = node.dataset("type").and_then(Dataset::as_text);
    name.unwrap_or_default()
}

fn edges(graph: &str, a: &Group, b: &Group, found: &mut Vec<Difference>) {
    let edges = [a, b].map(|group| {
        let texts = group.dataset("edges").and_then(Dataset::texts_in_order);
        let texts = texts.unwrap_or_default();
        let pairs = texts.chunks_exact(2);
        let pairs = pairs.map(|pair| (pair[0].clone(), pair[1].clone()));
        pairs.collect::<BTreeSet<_>>()
    });
    for (only_in, edges) in [
        (Side::A, edges[0].difference(&edges[1])),
        (Side::B, edges[1].difference(&edges[0])),
    ] {
        found.extend(edges.map(|(from, to)| Difference::Edge {
            graph: graph.to_owned(),
            from: from.clone(),
            to: to.clone(),
            only_in,
        }));
    }
}

fn node(path: &str, a: &Group, b: &Group, found: &mut Vec<Difference>) {
    let types = [type_of(a), type_of(b)];
    if types[0] != types[1] {
        let path = path.to_owned();
        found.push(Difference::Type { path, types });
        return;
    }
    if types[0] == "NIRGraph" {
        graphs(path, a, b, found);
        return;
    }
    let fields = [a, b].map(|node| {
        let fields = node.datasets().filter(|(name, _)| *name != "type");
        fields.collect::<BTreeMap<_, _>>()
    });
    for (name, side) in both(&fields) {
        let (path, field) = (path.to_owned(), name.to_owned());
        found.extend(match side {
            Some((only_in, _)) => Some(Difference::Field {
                path,
                field,
                only_in,
            }),
            None => values(fields[0][name], fields[1][name]).map(|how| Difference::Values {
                path,
                field,
                how,
            }),
        });
    }
}

/// In which way two data sets differ, if they do.
fn values(a: &Dataset, b: &Dataset) -> Option<Values> {
    if a.shape() != b.shape() {
        let shapes = [a, b].map(|dataset| dataset.shape().to_vec());
        return Some(Values::Shape { shapes });
    }
    let [Some(left), Some(right)] = [a, b].map(numbers) else {
        let texts = [a, b].map(|dataset| {
            let texts = dataset.texts_in_order().unwrap_or_default();
            texts.join(", ")
        });
        return (texts[0] != texts[1]).then_some(Values::Text { texts });
    };
    // Two values that are no numbers are alike.
    let differs = |(x, y): (f64, f64)| x != y && !(x.is_nan() && y.is_nan());
    let pairs = || left.iter().copied().zip(right.iter().copied());
    let count = pairs().filter(|pair| differs(*pair)).count();
    let widest = pairs().enumerate().filter(|(_, pair)| differs(*pair));
    let widest = widest.max_by(|(_, a), (_, b)| {
        let width = |(x, y): (f64, f64)| (x - y).abs();
        width(*a).total_cmp(&width(*b))
    });
    if let Some((index, (x, y))) = widest {
        return Some(Values::Numbers {
            count,
            of: left.len(),
            largest: (x - y).abs(),
            at: (index, x, y),
        });
    }
    let types = [a, b].map(Dataset::type_name);
    (types[0] != types[1]).then_some(Values::Element { types })
}

fn numbers(dataset: &Dataset) -> Option<Vec<f64>> {
    let tensor = dataset.tensor().ok()?;
    Some(match tensor.data() {
        TensorData::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        TensorData::F64(v) => v.clone(),
        TensorData::I64(v) => v.iter().map(|v| *v as f64).collect(),
        TensorData::Bool(v) => v.iter().map(|v| f64::from(u8::from(*v))).collect(),
    })
}

//! Graphs made by code.

use std::collections::BTreeMap;

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{File, ImportOptions, export, import};
use nirc_compiler::passes::canonicalise;
use nirc_ir::network::{Convention, Link, Network, Neuron, Parameter, Projection};
use nirc_ir::{Diagnostics, Severity};

/// A file of these nodes and edges, with `dt` = 1 ms in its metadata.
pub(crate) fn file(nodes: &[(&str, Group)], edges: &[(&str, &str)]) -> File {
    File::from_tree(tree(nodes, edges)).unwrap()
}

/// Its content.
pub(crate) fn tree(nodes: &[(&str, Group)], edges: &[(&str, &str)]) -> Group {
    let mut group = Group::new();
    for (name, node) in nodes {
        group.insert(name, node.clone());
    }
    let texts: Vec<String> = edges
        .iter()
        .flat_map(|(from, to)| [(*from).to_owned(), (*to).to_owned()])
        .collect();
    let graph = Group::new()
        .with(
            "edges",
            Dataset::texts(&[edges.len() as u64, 2], texts).unwrap(),
        )
        .with(
            "metadata",
            Group::new().with("dt", Dataset::f64(&[], &[1e-3]).unwrap()),
        )
        .with("nodes", group)
        .with("type", Dataset::text("NIRGraph"));
    Group::new()
        .with("node", graph)
        .with("version", Dataset::text("1.0.8"))
}

/// The bytes of a file written back unchanged.
pub(crate) fn written_back(file: &File) -> Vec<u8> {
    export(file, &BTreeMap::new(), &BTreeMap::new()).unwrap().0
}

/// A node of a type, with no fields yet.
pub(crate) fn node(type_name: &str) -> Group {
    Group::new().with("type", Dataset::text(type_name))
}

pub(crate) fn input(shape: &[i64]) -> Group {
    node("Input").with("shape", Dataset::i64(&[shape.len() as u64], shape).unwrap())
}

pub(crate) fn output(shape: &[i64]) -> Group {
    node("Output").with("shape", Dataset::i64(&[shape.len() as u64], shape).unwrap())
}

/// Weights 1, 2, 3, … in NIR's order.
pub(crate) fn linear(out: u64, inn: u64) -> Group {
    let values: Vec<f32> = (1..=out * inn).map(|v| v as f32).collect();
    node("Linear").with("weight", Dataset::f32(&[out, inn], &values).unwrap())
}

pub(crate) fn affine(out: u64, inn: u64) -> Group {
    let bias: Vec<f32> = (1..=out).map(|v| -(v as f32)).collect();
    let mut node = linear(out, inn).with("bias", Dataset::f32(&[out], &bias).unwrap());
    node.insert("type", Dataset::text("Affine"));
    node
}

pub(crate) fn vector(n: u64, value: f64) -> Dataset {
    Dataset::f64(&[n], &vec![value; n as usize]).unwrap()
}

pub(crate) fn lif(n: u64) -> Group {
    node("LIF")
        .with("tau", vector(n, 0.02))
        .with("r", vector(n, 1.0))
        .with("v_leak", vector(n, 0.0))
        .with("v_threshold", vector(n, 1.0))
        .with("v_reset", vector(n, 0.0))
}

pub(crate) fn cuba_lif(n: u64) -> Group {
    node("CubaLIF")
        .with("tau_mem", vector(n, 0.02))
        .with("tau_syn", vector(n, 0.005))
        .with("r", vector(n, 1.0))
        .with("v_leak", vector(n, 0.0))
        .with("v_threshold", vector(n, 1.0))
        .with("v_reset", vector(n, 0.0))
        .with("w_in", vector(n, 5.0))
}

type Nodes = Vec<(&'static str, Group)>;
type Edges = Vec<(&'static str, &'static str)>;

/// in[2] -> fc[3, 2] -> pop[3] -> out.
pub(crate) fn small() -> (Nodes, Edges) {
    (
        vec![
            ("in", input(&[2])),
            ("fc", linear(3, 2)),
            ("pop", cuba_lif(3)),
            ("out", output(&[3])),
        ],
        vec![("in", "fc"), ("fc", "pop"), ("pop", "out")],
    )
}

/// The small graph with one node replaced or added.
pub(crate) fn small_with(name: &'static str, node: Group) -> File {
    let (mut nodes, edges) = small();
    match nodes.iter_mut().find(|(n, _)| *n == name) {
        Some((_, old)) => *old = node,
        None => nodes.push((name, node)),
    }
    file(&nodes, &edges)
}

pub(crate) fn options() -> ImportOptions {
    ImportOptions {
        convention: Convention::preset("eventprop").unwrap(),
        dt: None,
        name: "test".to_owned(),
        graded: Default::default(),
    }
}

/// Imports what must be imported and makes synapses of it, with the notes and warnings of both as
/// `code place` lines.
pub(crate) fn imported(file: &File) -> (Network, Vec<String>) {
    let (mut network, mut notes) = import(file, &options()).unwrap_or_else(|e| panic!("{e}"));
    let more = canonicalise(&mut network).unwrap_or_else(|e| panic!("{e}"));
    notes.0.extend(more.0);
    (network, brief(&notes))
}

/// The weights of a dense projection.
pub(crate) fn dense(projection: &Projection) -> &[f32] {
    match &projection.link {
        Link::Dense(weights) => weights,
        other => panic!("{}: {other:?}", projection.name),
    }
}

/// A neuron's parameter.
pub(crate) fn parameter(neuron: &Neuron, name: &str) -> Parameter {
    let parameters = neuron.parameters();
    let found = parameters.iter().find(|(n, _)| *n == name);
    (*found.unwrap_or_else(|| panic!("no {name}")).1).clone()
}

/// The diagnostics of what must be refused.
pub(crate) fn refused(file: &File) -> Diagnostics {
    let problems = import(file, &options()).expect_err("should be refused");
    assert!(problems.has_errors(), "refused without an error");
    problems
}

/// `code place` of each diagnostic.
pub(crate) fn brief(problems: &Diagnostics) -> Vec<String> {
    problems
        .0
        .iter()
        .map(|d| format!("{} {}", d.code, d.place))
        .collect()
}

/// `code place` of the errors only.
pub(crate) fn errors(problems: &Diagnostics) -> Vec<String> {
    let errors = problems.0.iter().filter(|d| d.severity == Severity::Error);
    errors.map(|d| format!("{} {}", d.code, d.place)).collect()
}

//! Nodes by role and the edges between them: which weights lead from which population to which.

use std::collections::{BTreeMap, BTreeSet};

use nir_rs::nodes::{CubaLif, Input, Lif, Output};
use nir_rs::{NirNode, Tensor};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::cycles;
use crate::nir::{File, Undecoded};

/// What a node is to the importer.
#[derive(Clone, Copy)]
pub(super) enum Role<'a> {
    Source(&'a Input),
    Sink(&'a Output),
    Weights(Weights<'a>),
    Neurons(Neurons<'a>),
    /// Reported already; whatever touches it is let pass.
    Unsupported,
}

/// A Linear or Affine node.
#[derive(Clone, Copy)]
pub(super) struct Weights<'a> {
    pub(super) weight: &'a Tensor,
    pub(super) bias: Option<&'a Tensor>,
}

/// A LIF or CubaLIF node.
#[derive(Clone, Copy)]
pub(super) enum Neurons<'a> {
    Lif(&'a Lif),
    CubaLif(&'a CubaLif),
}

/// A weight node between two populations.
pub(super) struct Link<'a> {
    pub(super) name: &'a str,
    pub(super) pre: &'a str,
    pub(super) post: &'a str,
    pub(super) weights: Weights<'a>,
}

/// The graph as far as it has a meaning. All maps are by name, so every walk has one order.
pub(super) struct Wiring<'a> {
    pub(super) nodes: BTreeMap<&'a str, Role<'a>>,
    /// Weight nodes with exactly one population on either side, by name.
    pub(super) links: Vec<Link<'a>>,
    /// The Output and the population that feeds it.
    pub(super) output: Option<(&'a str, &'a str)>,
    /// Whether the links have no cycle.
    pub(super) is_acyclic: bool,
}

/// For each node with any, its neighbours on one side.
pub(super) type Neighbours<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

impl<'a> Wiring<'a> {
    pub(super) fn of(file: &'a File, problems: &mut Diagnostics) -> Self {
        let nodes = roles(file, problems);
        let (edges, loose) = edges(file, &nodes, problems);
        let mut after = Neighbours::new();
        let mut before = Neighbours::new();
        for (from, to) in &edges {
            after.entry(from).or_default().insert(to);
            before.entry(to).or_default().insert(from);
        }
        check_ports(file, &nodes, &after, problems);
        let is_acyclic = cycles::check(&after, problems);
        check_edges(&nodes, &edges, problems);
        let links = links(&nodes, &before, &after, &loose, problems);
        let output = output(&nodes, &before, problems);
        check_neurons(&nodes, &before, &after, &loose, problems);
        Self {
            nodes,
            links,
            output,
            is_acyclic,
        }
    }
}

fn roles<'a>(file: &'a File, problems: &mut Diagnostics) -> BTreeMap<&'a str, Role<'a>> {
    let mut nodes = BTreeMap::new();
    for (name, node) in &file.graph().nodes {
        let role = match node {
            NirNode::Input(node) => Role::Source(node),
            NirNode::Output(node) => Role::Sink(node),
            NirNode::Linear(node) => Role::Weights(Weights {
                weight: &node.weight,
                bias: None,
            }),
            NirNode::Affine(node) => Role::Weights(Weights {
                weight: &node.weight,
                bias: Some(&node.bias),
            }),
            NirNode::Lif(node) => Role::Neurons(Neurons::Lif(node)),
            NirNode::CubaLif(node) => Role::Neurons(Neurons::CubaLif(node)),
            _ => Role::Unsupported,
        };
        nodes.insert(name.as_str(), role);
    }
    let undecoded: BTreeMap<_, _> = file
        .undecoded()
        .iter()
        .map(|node| (node.path.as_str(), node))
        .collect();
    // A nested path holds a `/`; what is wrong inside a nested graph does not matter as long as
    // nested graphs are not supported.
    for path in undecoded.keys().filter(|path| !path.contains('/')) {
        nodes.insert(path, Role::Unsupported);
    }
    for (name, role) in &nodes {
        if let Role::Unsupported = role {
            let node = file.graph().nodes.get(*name);
            report_unsupported(name, node, undecoded.get(name).copied(), problems);
        }
    }
    nodes
}

fn report_unsupported(
    name: &str,
    node: Option<&NirNode>,
    undecoded: Option<&Undecoded>,
    problems: &mut Diagnostics,
) {
    let type_name = match (node, undecoded) {
        (Some(node), _) => Some(node.type_name()),
        (None, Some(undecoded)) => undecoded.type_name.as_deref(),
        (None, None) => None,
    };
    match (type_name, undecoded) {
        // A type that would be supported, or none at all: what its fields lack.
        (None | Some("Input" | "Output" | "Linear" | "Affine" | "LIF" | "CubaLIF"), Some(node)) => {
            problems.0.extend(node.problems.iter().cloned());
        }
        (type_name, _) => {
            let type_name = type_name.unwrap_or("unknown");
            let problem = Diagnostic::error(
                codes::NODE_UNSUPPORTED,
                name,
                format!(
                    "expected Input, Output, Linear, Affine, LIF or CubaLIF, found {type_name}"
                ),
            );
            problems.push(match type_name {
                "NIRGraph" => problem.help("put the nodes of the nested graph into the outer one"),
                "IF" => problem
                    .help("a LIF with a long tau, and r multiplied by it, comes close to an IF"),
                _ => problem,
            });
        }
    }
}

type Edges<'a> = BTreeSet<(&'a str, &'a str)>;

/// The edges between nodes, and the nodes at which an edge leads to none.
fn edges<'a>(
    file: &'a File,
    nodes: &BTreeMap<&'a str, Role<'a>>,
    problems: &mut Diagnostics,
) -> (Edges<'a>, BTreeSet<&'a str>) {
    let mut edges = Edges::new();
    let mut loose = BTreeSet::new();
    let known = known_names(nodes);
    for (from, to) in &file.graph().edges {
        let ends = [from.as_str(), to.as_str()];
        let place = format!("{from} -> {to}");
        let unknown: Vec<_> = ends
            .iter()
            .filter(|end| !nodes.contains_key(**end))
            .map(|end| format!("{end:?}"))
            .collect();
        if !unknown.is_empty() {
            loose.extend(ends);
            problems.push(
                Diagnostic::error(
                    codes::EDGE_DANGLING,
                    place,
                    format!(
                        "expected an edge between nodes, found no node {}",
                        unknown.join(" and no node ")
                    ),
                )
                .help(known.as_str()),
            );
        } else if !edges.insert((from, to)) {
            problems.push(Diagnostic::note(
                codes::EDGE_DUPLICATE,
                place,
                "the edge stands twice; it is taken once",
            ));
        }
    }
    (edges, loose)
}

/// The names of the nodes, as far as they fit a line or two.
fn known_names(nodes: &BTreeMap<&str, Role<'_>>) -> String {
    let mut text = String::from("the nodes are ");
    for (i, name) in nodes.keys().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        if text.len() + name.len() > 200 {
            text.push('…');
            break;
        }
        text.push_str(name);
    }
    text
}

fn check_ports(
    file: &File,
    nodes: &BTreeMap<&str, Role<'_>>,
    after: &Neighbours<'_>,
    problems: &mut Diagnostics,
) {
    let named = |wanted: &str, is: fn(&Role<'_>) -> bool| -> Vec<String> {
        let broken = file
            .undecoded()
            .iter()
            .filter(|n| n.type_name.as_deref() == Some(wanted) && !n.path.contains('/'));
        nodes
            .iter()
            .filter(|(_, role)| is(role))
            .map(|(name, _)| (*name).to_owned())
            .chain(broken.map(|n| n.path.clone()))
            .collect()
    };
    let inputs = named("Input", |r| matches!(r, Role::Source(_)));
    let outputs = named("Output", |r| matches!(r, Role::Sink(_)));
    for (what, names) in [("Input", &inputs), ("Output", &outputs)] {
        if names.len() != 1 {
            problems.push(
                Diagnostic::error(
                    codes::GRAPH_PORTS,
                    "",
                    format!(
                        "expected exactly one {what} node, found {}{}",
                        names.len(),
                        if names.is_empty() {
                            String::new()
                        } else {
                            format!(": {}", names.join(", "))
                        }
                    ),
                )
                .help(format!(
                    "give the graph one {what} node, connected to the first or last population"
                )),
            );
        }
    }
    if let ([input], [output]) = (&inputs[..], &outputs[..])
        && !reaches(input, output, after)
    {
        problems.push(Diagnostic::error(
            codes::GRAPH_PORTS,
            output.as_str(),
            format!("expected a path from {input} to {output}, found none"),
        ));
    }
}

fn reaches(from: &str, to: &str, after: &Neighbours<'_>) -> bool {
    let mut seen = BTreeSet::from([from]);
    let mut open = vec![from];
    while let Some(node) = open.pop() {
        if node == to {
            return true;
        }
        for next in after.get(node).into_iter().flatten() {
            if seen.insert(next) {
                open.push(next);
            }
        }
    }
    false
}

fn check_edges(
    nodes: &BTreeMap<&str, Role<'_>>,
    edges: &BTreeSet<(&str, &str)>,
    problems: &mut Diagnostics,
) {
    for (from, to) in edges {
        let (Some(a), Some(b)) = (nodes.get(from), nodes.get(to)) else {
            continue;
        };
        let (message, help) = match (a, b) {
            (Role::Unsupported, _)
            | (_, Role::Unsupported)
            | (Role::Source(_) | Role::Neurons(_), Role::Weights(_))
            | (Role::Weights(_), Role::Neurons(_))
            | (Role::Neurons(_), Role::Sink(_)) => continue,
            (Role::Weights(_), Role::Weights(_)) => (
                "weights lead into weights",
                "multiply the two matrices, or put a population between them",
            ),
            (Role::Source(_), Role::Neurons(_)) => (
                "the Input leads into neurons without weights",
                "put a Linear with the identity matrix between them",
            ),
            (Role::Neurons(_), Role::Neurons(_)) => (
                "neurons lead into neurons without weights",
                "put a Linear with the identity matrix between them",
            ),
            (Role::Source(_), Role::Sink(_)) => (
                "the Input leads into the Output",
                "put weights and a population between them",
            ),
            (Role::Weights(_), Role::Sink(_)) => (
                "weights lead into the Output",
                "put a population of LIF or CubaLIF neurons between them; only spikes leave a network",
            ),
            (Role::Sink(_), _) => ("an edge leaves the Output", "remove the edge"),
            (_, Role::Source(_)) => ("an edge enters the Input", "remove the edge"),
        };
        problems.push(
            Diagnostic::error(codes::GRAPH_STRUCTURE, format!("{from} -> {to}"), message)
                .help(help),
        );
    }
}

fn links<'a>(
    nodes: &BTreeMap<&'a str, Role<'a>>,
    before: &Neighbours<'a>,
    after: &Neighbours<'a>,
    loose: &BTreeSet<&str>,
    problems: &mut Diagnostics,
) -> Vec<Link<'a>> {
    let mut links = Vec::new();
    for (name, role) in nodes {
        let Role::Weights(weights) = role else {
            continue;
        };
        if loose.contains(name) {
            continue;
        }
        let pre = only(name, "from", before.get(name), problems);
        let post = only(name, "to", after.get(name), problems);
        let (Some(pre), Some(post)) = (pre, post) else {
            continue;
        };
        // Other neighbours were reported with their edges.
        if let (Some(Role::Source(_) | Role::Neurons(_)), Some(Role::Neurons(_))) =
            (nodes.get(pre), nodes.get(post))
        {
            links.push(Link {
                name,
                pre,
                post,
                weights: *weights,
            });
        }
    }
    links
}

/// The single neighbour of a weight node.
fn only<'a>(
    name: &str,
    direction: &str,
    neighbours: Option<&BTreeSet<&'a str>>,
    problems: &mut Diagnostics,
) -> Option<&'a str> {
    let names: Vec<_> = neighbours.into_iter().flatten().copied().collect();
    if let [one] = names[..] {
        return Some(one);
    }
    let problem = Diagnostic::error(
        codes::GRAPH_STRUCTURE,
        name,
        format!(
            "expected weights with one edge {direction} them, found {}{}",
            names.len(),
            if names.is_empty() {
                String::new()
            } else {
                format!(": {}", names.join(", "))
            }
        ),
    );
    problems.push(if names.is_empty() {
        problem.help("connect the node, or remove it")
    } else {
        problem.help("give each pair of populations a weight node of its own; shared weights would drift apart in training")
    });
    None
}

fn output<'a>(
    nodes: &BTreeMap<&'a str, Role<'a>>,
    before: &Neighbours<'a>,
    problems: &mut Diagnostics,
) -> Option<(&'a str, &'a str)> {
    let (name, _) = nodes.iter().find(|(_, r)| matches!(r, Role::Sink(_)))?;
    let feeding: Vec<_> = before.get(name).into_iter().flatten().copied().collect();
    match feeding[..] {
        [] => None, // reported as a missing path
        [one] => matches!(nodes.get(one), Some(Role::Neurons(_))).then_some((name, one)),
        _ => {
            problems.push(Diagnostic::error(
                codes::GRAPH_STRUCTURE,
                *name,
                format!(
                    "expected one population before the Output, found {}: {}",
                    feeding.len(),
                    feeding.join(", ")
                ),
            ));
            None
        }
    }
}

fn check_neurons(
    nodes: &BTreeMap<&str, Role<'_>>,
    before: &Neighbours<'_>,
    after: &Neighbours<'_>,
    loose: &BTreeSet<&str>,
    problems: &mut Diagnostics,
) {
    for (name, role) in nodes {
        let Role::Neurons(_) = role else {
            continue;
        };
        if loose.contains(name) {
            continue;
        }
        for (neighbours, message) in [
            (before, "nothing leads into these neurons"),
            (after, "the spikes of these neurons lead nowhere"),
        ] {
            if !neighbours.contains_key(name) {
                problems.push(Diagnostic::warning(codes::GRAPH_STRUCTURE, *name, message));
            }
        }
    }
}

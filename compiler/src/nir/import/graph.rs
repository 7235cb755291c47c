//! The graph laid out flat: nodes by their paths, edges between them.
//!
//! A nested graph's nodes stand beside those of the outer one, under `graph/node`; its Input and Output
//! nodes remain as ports, which pass on what they get. An edge to a nested graph leads to its Input, one
//! from it comes from its Output; `graph.port` names one of several.
//!
//! # Repairs
//! Each gives a note.
//! * An edge that stands twice is taken once.
//! * An edge that names `x` where there is none leads to the port `x.input` and comes from `x.output`, as
//!   in files whose exporter has half undone a nested graph.
//! * If one name in the edges of a graph stands for no node, and one node has no edge, and the one name
//!   begins with the other, they are the same (the `*_subgraph.nir` files).
//! * A node that nothing leads into gets an Input `input_<node>`, one that leads nowhere an Output
//!   `output_<node>`: as NIR has done since 1.0.6. In a nested graph this is only done where it has none.

use std::collections::{BTreeMap, BTreeSet};

use nir_rs::{NirGraph, NirNode};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::nir::File;
use crate::nir::decode::{Undecoded, node_path};

/// A node of the flat graph.
pub(super) struct Node<'a> {
    /// Names of the graphs around it and its own, with `/` between.
    pub(super) path: String,
    pub(super) kind: Kind<'a>,
}

/// What a node is to the importer.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// An Input of the outermost graph, with the shape that it states.
    Source(Option<&'a [usize]>),
    /// An Output of the outermost graph; it passes on what it gets.
    Sink(Option<&'a [usize]>),
    /// An Input or Output of a nested graph; it passes on what it gets.
    Port(Option<&'a [usize]>),
    /// Weights, convolutions, pooling, reshaping, delays.
    Memoryless(&'a NirNode),
    /// A population.
    Neurons(&'a NirNode),
    /// Reported already; whatever touches it is let pass.
    Broken,
}

/// All nodes, in the order of their paths.
#[derive(Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    /// For each node those that lead into it, ascending.
    pub(super) before: Vec<Vec<usize>>,
    /// For each node those that it leads to, ascending.
    pub(super) after: Vec<Vec<usize>>,
}

impl<'a> Graph<'a> {
    pub(super) fn of(file: &'a File, problems: &mut Diagnostics) -> Self {
        let mut builder = Builder {
            undecoded: file.undecoded(),
            nodes: BTreeMap::new(),
            edges: BTreeSet::new(),
            loose: BTreeSet::new(),
            problems,
        };
        for undecoded in file.undecoded() {
            let problems = undecoded.problems.iter().cloned();
            builder.problems.0.extend(problems);
        }
        builder.level(file.graph(), "");
        builder.check();
        builder.finish()
    }

    /// The nodes that lead on from `start`, past ports.
    pub(super) fn consumers(&self, start: usize) -> Vec<usize> {
        let mut seen = BTreeSet::from([start]);
        let mut open = vec![start];
        let mut found = Vec::new();
        while let Some(node) = open.pop() {
            for next in &self.after[node] {
                if seen.insert(*next) {
                    match self.nodes[*next].kind {
                        Kind::Port(_) | Kind::Sink(_) => open.push(*next),
                        _ => found.push(*next),
                    }
                }
            }
        }
        found
    }
}

/// What a name stands for in one graph.
enum Member {
    Node,
    Graph(Ports),
}

type Members<'a> = BTreeMap<&'a str, Member>;

/// The paths of a graph's Inputs and Outputs.
#[derive(Default)]
struct Ports {
    inputs: Vec<String>,
    outputs: Vec<String>,
}

/// A side of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// Where edges arrive.
    In,
    /// Where edges leave.
    Out,
}

impl Side {
    /// The type of the port that stands on this side of a graph.
    fn port(self) -> &'static str {
        match self {
            Self::In => "Input",
            Self::Out => "Output",
        }
    }

    /// What its name begins or ends with.
    fn word(self) -> &'static str {
        match self {
            Self::In => "input",
            Self::Out => "output",
        }
    }
}

impl Ports {
    fn on(&self, side: Side) -> &[String] {
        match side {
            Side::In => &self.inputs,
            Side::Out => &self.outputs,
        }
    }

    fn on_mut(&mut self, side: Side) -> &mut Vec<String> {
        match side {
            Side::In => &mut self.inputs,
            Side::Out => &mut self.outputs,
        }
    }
}

struct Builder<'a, 'p> {
    undecoded: &'a [Undecoded],
    nodes: BTreeMap<String, Kind<'a>>,
    edges: BTreeSet<(String, String)>,
    /// Nodes at which an edge leads to none.
    loose: BTreeSet<String>,
    problems: &'p mut Diagnostics,
}

impl<'a> Builder<'a, '_> {
    /// Adds a graph's nodes, those of its nested graphs, and its edges.
    fn level(&mut self, graph: &'a NirGraph, path: &str) -> Ports {
        let members = self.members(graph, path);
        let alias = self.alias(graph, &members, path);
        for (from, to) in &graph.edges {
            let ends = [(from, Side::Out), (to, Side::In)].map(|(name, side)| {
                let name = match &alias {
                    Some((wrong, right)) if wrong == name => right,
                    _ => name,
                };
                self.resolve(name, side, &members, path)
            });
            let place = node_path(path, &format!("{from} -> {to}"));
            self.edge(ends, &place, &members);
        }
        self.add_ports(graph, &members, path)
    }

    fn members(&mut self, graph: &'a NirGraph, path: &str) -> Members<'a> {
        let mut members = Members::new();
        for (name, node) in &graph.nodes {
            let path = node_path(path, name);
            let member = match node {
                NirNode::Graph(nested) => Member::Graph(self.level(nested, &path)),
                _ => {
                    self.nodes
                        .insert(path.clone(), kind(node, !path.contains('/')));
                    Member::Node
                }
            };
            members.insert(name, member);
        }
        for Undecoded { path: place, .. } in self.undecoded {
            let (parent, name) = place.rsplit_once('/').unwrap_or(("", place));
            if parent == path {
                members.insert(name, Member::Node);
                self.nodes.insert(place.clone(), Kind::Broken);
            }
        }
        members
    }

    fn edge(&mut self, ends: [Result<String, String>; 2], place: &str, members: &Members<'_>) {
        match ends {
            [Ok(from), Ok(to)] => {
                if !self.edges.insert((from, to)) {
                    self.problems.push(Diagnostic::note(
                        codes::EDGE_DUPLICATE,
                        place,
                        "the edge stands twice; it is taken once",
                    ));
                }
            }
            ends => {
                let mut found = Vec::new();
                for end in ends {
                    match end {
                        Ok(path) => {
                            self.loose.insert(path);
                        }
                        Err(problem) => found.push(problem),
                    }
                }
                let found = found.join(" and ");
                self.problems.push(
                    Diagnostic::error(
                        codes::EDGE_DANGLING,
                        place,
                        format!("expected an edge between nodes, found {found}"),
                    )
                    .help(known_names(members)),
                );
            }
        }
    }

    /// The path that an edge's end means, or why it means none.
    fn resolve(
        &mut self,
        name: &str,
        side: Side,
        members: &Members<'a>,
        path: &str,
    ) -> Result<String, String> {
        match members.get(name) {
            Some(Member::Node) => return Ok(node_path(path, name)),
            Some(Member::Graph(ports)) => return only_port(name, side, ports),
            None => {}
        }
        if let Some((graph, port)) = name.split_once('.')
            && let Some(Member::Graph(ports)) = members.get(graph)
        {
            let port = node_path(&node_path(path, graph), port);
            let is_port = ports.on(side).contains(&port);
            return is_port
                .then_some(port)
                .ok_or_else(|| format!("no {} {name:?}", side.port()));
        }
        self.half_undone(name, side, path)
            .ok_or_else(|| format!("no node {name:?}"))
    }

    /// The port `name.input` or `name.output`, where an exporter has put a nested graph's nodes beside the
    /// outer ones and left the edges as they were.
    fn half_undone(&mut self, name: &str, side: Side, path: &str) -> Option<String> {
        let port = node_path(path, &format!("{name}.{}", side.word()));
        let shape = match (self.nodes.get(&port)?, side) {
            (Kind::Port(_), _) => return Some(port),
            (Kind::Source(shape), Side::In) | (Kind::Sink(shape), Side::Out) => *shape,
            _ => return None,
        };
        self.nodes.insert(port.clone(), Kind::Port(shape));
        self.problems.push(Diagnostic::note(
            codes::GRAPH_REPAIRED,
            port.as_str(),
            format!(
                "there is no node {name:?}; its edges are taken to lead through this {}",
                side.port()
            ),
        ));
        Some(port)
    }

    /// The one name in the edges that no node has, and the one node that no edge names.
    fn alias(
        &mut self,
        graph: &'a NirGraph,
        members: &Members<'a>,
        path: &str,
    ) -> Option<(String, String)> {
        let edges = graph.edges.iter();
        let named: BTreeSet<&str> = edges.flat_map(|(a, b)| [a.as_str(), b.as_str()]).collect();
        let mut unknown = named.iter().filter(|name| !members.contains_key(**name));
        let mut idle = members.keys().filter(|name| !named.contains(**name));
        let (wrong, right) = (unknown.next()?, idle.next()?);
        let alike = wrong.starts_with(right) || right.starts_with(wrong);
        if unknown.next().is_some() || idle.next().is_some() || !alike {
            return None;
        }
        let message = format!(
            "the edges name {wrong:?}, which is no node, and not this one; they are taken to mean it"
        );
        self.problems.push(Diagnostic::note(
            codes::GRAPH_REPAIRED,
            node_path(path, right),
            message,
        ));
        Some(((*wrong).to_owned(), (*right).to_owned()))
    }

    /// Adds the ports that a graph lacks, and tells all that it has.
    fn add_ports(&mut self, graph: &NirGraph, members: &Members<'a>, path: &str) -> Ports {
        let mut ports = Ports::default();
        for (name, node) in &graph.nodes {
            match node {
                NirNode::Input(_) => ports.inputs.push(node_path(path, name)),
                NirNode::Output(_) => ports.outputs.push(node_path(path, name)),
                _ => {}
            }
        }
        for side in [Side::In, Side::Out] {
            if path.is_empty() || ports.on(side).is_empty() {
                let added = self.missing_ports(side, members, path);
                ports.on_mut(side).extend(added);
            }
            ports.on_mut(side).sort();
        }
        ports
    }

    fn missing_ports(&mut self, side: Side, members: &Members<'a>, path: &str) -> Vec<String> {
        let joined: BTreeSet<&String> = self
            .edges
            .iter()
            .map(|(from, to)| if side == Side::In { to } else { from })
            .chain(&self.loose)
            .collect();
        let mut ends = Vec::new();
        for (name, member) in members {
            let all = match member {
                Member::Node => vec![node_path(path, name)],
                Member::Graph(ports) => ports.on(side).to_vec(),
            };
            let several = all.len() > 1;
            for end in all.into_iter().filter(|end| !joined.contains(end)) {
                let label = match end.rsplit_once('/') {
                    Some((_, port)) if several => format!("{name}_{port}"),
                    _ => (*name).to_owned(),
                };
                ends.push((end, label));
            }
        }
        let outermost = path.is_empty();
        ends.retain(|(end, _)| self.lacks_port(end, side));
        let mut added = Vec::new();
        for (end, label) in ends {
            let port = self.free_name(&node_path(path, &format!("{}_{label}", side.word())));
            let (kind, edge, verb) = match side {
                Side::In if outermost => (Kind::Source(None), (port.clone(), end.clone()), "into"),
                Side::Out if outermost => {
                    (Kind::Sink(None), (end.clone(), port.clone()), "on from")
                }
                Side::In => (Kind::Port(None), (port.clone(), end.clone()), "into"),
                Side::Out => (Kind::Port(None), (end.clone(), port.clone()), "on from"),
            };
            self.problems.push(Diagnostic::note(
                codes::GRAPH_REPAIRED,
                end,
                format!(
                    "nothing leads {verb} it: an {} {port:?} is added",
                    side.port()
                ),
            ));
            self.nodes.insert(port.clone(), kind);
            self.edges.insert(edge);
            added.push(port);
        }
        added
    }

    /// Whether a node that has no edge on this side is to get a port there.
    fn lacks_port(&mut self, path: &str, side: Side) -> bool {
        match (self.nodes.get(path), side) {
            (None | Some(Kind::Broken), _)
            | (Some(Kind::Source(_)), Side::In)
            | (Some(Kind::Sink(_)), Side::Out) => false,
            (Some(Kind::Sink(_)), Side::In) => {
                self.problems.push(Diagnostic::error(
                    codes::GRAPH_PORTS,
                    path,
                    "expected a node that leads into the Output, found none",
                ));
                false
            }
            _ => true,
        }
    }

    fn free_name(&self, name: &str) -> String {
        let mut free = name.to_owned();
        let mut count = 0;
        while self.nodes.contains_key(&free) {
            free = format!("{name}_{count}");
            count += 1;
        }
        free
    }

    fn check(&mut self) {
        let has = |is: fn(&Kind<'_>) -> bool| self.nodes.values().any(is);
        let broken = has(|kind| matches!(kind, Kind::Broken));
        let ports = [
            ("Input", has(|kind| matches!(kind, Kind::Source(_)))),
            ("Output", has(|kind| matches!(kind, Kind::Sink(_)))),
        ];
        for (port, _) in ports.iter().filter(|(_, found)| !found && !broken) {
            self.problems.push(Diagnostic::error(
                codes::GRAPH_PORTS,
                "",
                format!("expected an {port} node, found none, and no place that lacks one"),
            ));
        }
        for (from, to) in &self.edges {
            if let Some(Kind::Source(_)) = self.nodes.get(to) {
                self.problems.push(
                    Diagnostic::error(
                        codes::GRAPH_STRUCTURE,
                        format!("{from} -> {to}"),
                        "an edge enters the Input",
                    )
                    .help("remove the edge"),
                );
            }
        }
    }

    fn finish(self) -> Graph<'a> {
        let index: BTreeMap<&str, usize> = self.nodes.keys().map(String::as_str).zip(0..).collect();
        let mut before = vec![Vec::new(); index.len()];
        let mut after = before.clone();
        for (from, to) in &self.edges {
            let (from, to) = (index[from.as_str()], index[to.as_str()]);
            before[to].push(from);
            after[from].push(to);
        }
        let nodes = self.nodes.into_iter();
        Graph {
            nodes: nodes.map(|(path, kind)| Node { path, kind }).collect(),
            before,
            after,
        }
    }
}

fn kind(node: &NirNode, outermost: bool) -> Kind<'_> {
    match node {
        NirNode::Input(port) if outermost => Kind::Source(Some(&port.shape)),
        NirNode::Output(port) if outermost => Kind::Sink(Some(&port.shape)),
        NirNode::Input(port) => Kind::Port(Some(&port.shape)),
        NirNode::Output(port) => Kind::Port(Some(&port.shape)),
        NirNode::Threshold(_)
        | NirNode::I(_)
        | NirNode::If(_)
        | NirNode::Li(_)
        | NirNode::Lif(_)
        | NirNode::CubaLi(_)
        | NirNode::CubaLif(_) => Kind::Neurons(node),
        NirNode::Graph(_) => Kind::Broken,
        _ => Kind::Memoryless(node),
    }
}

/// The only port on a side of a nested graph.
fn only_port(name: &str, side: Side, ports: &Ports) -> Result<String, String> {
    match ports.on(side) {
        [one] => Ok(one.clone()),
        [] => Err(format!("no {} in the graph {name:?}", side.port())),
        all => {
            let all: Vec<_> = all
                .iter()
                .map(|port| format!("{name}.{}", port.rsplit('/').next().unwrap_or(port)))
                .collect();
            Err(format!(
                "the graph {name:?} with several {}s, which the edge may name as {}",
                side.port(),
                all.join(" or ")
            ))
        }
    }
}

/// The names of the nodes, as far as they fit a line or two.
fn known_names(members: &Members<'_>) -> String {
    let mut text = String::from("the nodes are ");
    for (i, name) in members.keys().enumerate() {
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

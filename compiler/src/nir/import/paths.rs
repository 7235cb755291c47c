//! Which nodes without memory lie between which populations.
//!
//! Paths are found from their ends backwards, so those into one population form a tree: what they share
//! at their ends is one branch. A constant that a node adds arrives along its branch; it is counted with
//! the first path through it, and with no other.

use std::collections::BTreeMap;

use nirc_ir::linear::Node;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::graph::{Graph, Kind};
use super::linear::{has_bias, report_lost_bias, weight_of};

/// Most paths of a network, and most nodes of all of them.
const MOST_PATHS: u64 = 1 << 16;
const MOST_STEPS: usize = 1 << 22;
/// Most values that nodes in several paths may be copied to.
const MOST_COPIES: usize = 1 << 24;

/// The nodes from one population to another.
pub(super) struct Path {
    pub(super) pre: usize,
    /// A population or an Output.
    pub(super) post: usize,
    pub(super) steps: Vec<Step>,
}

/// A node of a path.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) node: usize,
    /// Whether the constant that it adds is counted with this path.
    pub(super) counts_bias: bool,
}

/// Every path into a population or an Output, in the order of those; none if something is wrong.
pub(super) fn all(
    graph: &Graph<'_>,
    nodes: &BTreeMap<usize, Node>,
    problems: &mut Diagnostics,
) -> Vec<Path> {
    if !check_loops(graph, problems) || problems.has_errors() {
        return Vec::new();
    }
    let counts = counts(graph);
    let total = ends(graph)
        .map(|end| counts[end].1)
        .fold(0, u64::saturating_add);
    let mut finder = Finder {
        graph,
        nodes,
        counts,
        paths: Vec::new(),
        uses: vec![0; graph.nodes.len()],
        copied: 0,
        steps: 0,
    };
    if total > MOST_PATHS || !ends(graph).all(|end| finder.paths_into(end)) {
        report_too_many(total, problems);
        return Vec::new();
    }
    let paths = finder.paths;
    for (index, node) in nodes {
        let is_used = finder.uses[*index] > 0;
        if !is_used && has_bias(node) {
            report_lost_bias(&node.name, problems);
        }
    }
    for end in ends(graph) {
        let is_output = matches!(graph.nodes[end].kind, Kind::Sink(_));
        if is_output && finder.counts[end].1 == 0 {
            problems.push(Diagnostic::error(
                codes::GRAPH_PORTS,
                graph.nodes[end].path.as_str(),
                "expected a population or an Input that leads to the Output, found none",
            ));
        }
    }
    paths
}

fn ends(graph: &Graph<'_>) -> impl Iterator<Item = usize> {
    let is_end = |n: &usize| matches!(graph.nodes[*n].kind, Kind::Neurons(_) | Kind::Sink(_));
    (0..graph.nodes.len()).filter(is_end)
}

fn is_population(kind: &Kind<'_>) -> bool {
    matches!(kind, Kind::Source(_) | Kind::Neurons(_))
}

fn report_too_many(total: u64, problems: &mut Diagnostics) {
    problems.push(
        Diagnostic::error(
            codes::GRAPH_STRUCTURE,
            "",
            format!("{total} paths of nodes without memory between populations; at most {MOST_PATHS}, with {MOST_STEPS} nodes in all and {MOST_COPIES} values of nodes that several share"),
        )
        .help("put populations between the weights, or multiply them into one node"),
    );
}

/// Reports cycles without a population; true if there is none.
fn check_loops(graph: &Graph<'_>, problems: &mut Diagnostics) -> bool {
    let mut between = DiGraph::<(), ()>::new();
    for _ in &graph.nodes {
        between.add_node(());
    }
    for (from, after) in graph.after.iter().enumerate() {
        for to in after {
            if [from, *to]
                .iter()
                .all(|n| !is_population(&graph.nodes[*n].kind))
            {
                between.add_edge(NodeIndex::new(from), NodeIndex::new(*to), ());
            }
        }
    }
    let mut found = Vec::new();
    for component in kosaraju_scc(&between) {
        let first = component[0];
        if component.len() > 1 || between.contains_edge(first, first) {
            let mut members: Vec<usize> = component.into_iter().map(NodeIndex::index).collect();
            members.sort_unstable();
            found.push(members);
        }
    }
    found.sort_unstable();
    for members in &found {
        let names: Vec<_> = members
            .iter()
            .map(|n| graph.nodes[*n].path.as_str())
            .collect();
        problems.push(
            Diagnostic::error(
                codes::GRAPH_CYCLE,
                names[0],
                format!(
                    "expected neurons in every cycle, found none in that of {}",
                    names.join(", ")
                ),
            )
            .help("remove an edge, or put a population into the cycle"),
        );
    }
    found.is_empty()
}

/// For each node, how many paths reach what comes after it, and how many reach the node itself. There is
/// no cycle without a population.
fn counts(graph: &Graph<'_>) -> Vec<(u64, u64)> {
    let mut waiting: Vec<usize> = graph.before.iter().map(Vec::len).collect();
    let mut counts = vec![(0_u64, 0_u64); graph.nodes.len()];
    let is_root = |n: &usize| is_population(&graph.nodes[*n].kind) || graph.before[*n].is_empty();
    let mut ready: Vec<usize> = (0..graph.nodes.len()).filter(is_root).collect();
    while let Some(node) = ready.pop() {
        counts[node].0 = if is_population(&graph.nodes[node].kind) {
            1
        } else {
            counts[node].1
        };
        for next in &graph.after[node] {
            counts[*next].1 = counts[*next].1.saturating_add(counts[node].0);
            waiting[*next] -= 1;
            if waiting[*next] == 0 && !is_population(&graph.nodes[*next].kind) {
                ready.push(*next);
            }
        }
    }
    counts
}

struct Finder<'a> {
    graph: &'a Graph<'a>,
    nodes: &'a BTreeMap<usize, Node>,
    counts: Vec<(u64, u64)>,
    paths: Vec<Path>,
    /// In how many paths each node is.
    uses: Vec<usize>,
    copied: usize,
    steps: usize,
}

/// A node of the tree of paths into one population.
struct Branch {
    node: usize,
    /// The branch that follows it; `None` if the population does.
    next: Option<usize>,
    counted: bool,
}

impl Finder<'_> {
    /// Finds the paths into `post`; false if they are too many.
    fn paths_into(&mut self, post: usize) -> bool {
        let mut branches: Vec<Branch> = Vec::new();
        let mut open = Vec::new();
        self.open(&mut open, post, None);
        while let Some((node, mut branch)) = open.pop() {
            if is_population(&self.graph.nodes[node].kind) {
                self.finish(node, post, branch, &mut branches);
            } else {
                if let Kind::Memoryless(_) = self.graph.nodes[node].kind {
                    branches.push(Branch {
                        node,
                        next: branch,
                        counted: false,
                    });
                    branch = Some(branches.len() - 1);
                }
                self.steps += 1;
                self.open(&mut open, node, branch);
            }
            if self.steps > MOST_STEPS || self.copied > MOST_COPIES {
                return false;
            }
        }
        true
    }

    /// What leads into a node is looked at next, the smallest path first.
    fn open(&self, open: &mut Vec<(usize, Option<usize>)>, node: usize, branch: Option<usize>) {
        let before = self.graph.before[node].iter().rev();
        let before = before.filter(|last| self.counts[**last].0 > 0);
        open.extend(before.map(|last| (*last, branch)));
    }

    fn finish(
        &mut self,
        pre: usize,
        post: usize,
        mut branch: Option<usize>,
        branches: &mut [Branch],
    ) {
        let mut steps = Vec::new();
        while let Some(at) = branch {
            let Branch {
                node,
                next,
                counted,
            } = &mut branches[at];
            steps.push(Step {
                node: *node,
                counts_bias: !std::mem::replace(counted, true),
            });
            if self.uses[*node] > 0 {
                self.copied += self.nodes.get(node).map_or(0, weight_of);
            }
            self.uses[*node] += 1;
            branch = *next;
        }
        self.steps += steps.len();
        self.paths.push(Path { pre, post, steps });
    }
}

//! Populations and projections, in an order that depends on names and edges alone.
//!
//! An Output that one population leads to directly is a port of that population. Where weights or an
//! Input, or several populations, lead to it, a relay named after it sums what arrives.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::entity::PrimaryMap;
use nirc_ir::linear::{Linear, Node};
use nirc_ir::network::{
    Link, Membrane, Network, Neuron, Pop, Population, PopulationKind, Port, Projection,
};
use petgraph::algo::kosaraju_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use super::ImportOptions;
use super::graph::{Graph, Kind};
use super::linear::without_bias;
use super::paths::Path;
use super::shapes::Shapes;
use super::values::count;

/// What a network is put together from; nothing of it is faulty.
pub(super) struct Parts<'a> {
    pub(super) graph: &'a Graph<'a>,
    pub(super) shapes: &'a Shapes,
    pub(super) neurons: BTreeMap<usize, Neuron>,
    pub(super) nodes: BTreeMap<usize, Node>,
    pub(super) paths: Vec<Path>,
}

impl Parts<'_> {
    pub(super) fn network(mut self, options: &ImportOptions, dt: f64) -> Network {
        let direct = self.direct_outputs();
        self.paths.retain(|path| !direct.contains_key(&path.post));
        let order = Order::of(&self, &direct);
        let mut populations = PrimaryMap::new();
        let mut ids: BTreeMap<usize, Pop> = BTreeMap::new();
        for node in &order.nodes {
            ids.insert(*node, populations.push(self.population(*node, options)));
        }
        let mut outputs = Vec::new();
        for (index, node) in self.graph.nodes.iter().enumerate() {
            if let Kind::Sink(_) = node.kind {
                outputs.push(Port {
                    name: node.path.clone(),
                    population: ids[direct.get(&index).unwrap_or(&index)],
                });
            }
        }
        Network {
            name: options.name.clone(),
            dt,
            convention: options.convention.clone(),
            projections: self.projections(options, &order, &ids),
            populations,
            outputs,
        }
    }

    /// The Outputs that one population alone leads to, with it.
    fn direct_outputs(&self) -> BTreeMap<usize, usize> {
        let mut into: BTreeMap<usize, Vec<&Path>> = BTreeMap::new();
        for path in &self.paths {
            into.entry(path.post).or_default().push(path);
        }
        let only = into
            .into_iter()
            .filter_map(|(post, paths)| match paths[..] {
                [path] if path.steps.is_empty() => Some((post, path.pre)),
                _ => None,
            });
        only.filter(|(post, pre)| {
            let is = |node: usize| &self.graph.nodes[node].kind;
            matches!((is(*post), is(*pre)), (Kind::Sink(_), Kind::Neurons(_)))
        })
        .collect()
    }

    fn population(&mut self, node: usize, options: &ImportOptions) -> Population {
        let name = self.graph.nodes[node].path.clone();
        let shape = self.shapes.input[node].clone().unwrap_or_default();
        let kind = match (&self.graph.nodes[node].kind, self.neurons.remove(&node)) {
            (_, Some(neuron)) => PopulationKind::Neurons(neuron),
            (Kind::Source(_), _) if options.graded.contains(&name) => PopulationKind::Graded,
            (Kind::Source(_), _) => PopulationKind::Source,
            _ => PopulationKind::Neurons(Neuron {
                membrane: Membrane::Direct,
                synapse: None,
                firing: None,
            }),
        };
        Population {
            name,
            size: count(&shape).unwrap_or_default(),
            shape,
            kind,
            convention: None,
            weight_scale: 1.0,
        }
    }

    fn projections(
        &self,
        options: &ImportOptions,
        order: &Order,
        ids: &BTreeMap<usize, Pop>,
    ) -> PrimaryMap<nirc_ir::network::Proj, Projection> {
        let mut uses: BTreeMap<usize, usize> = BTreeMap::new();
        for step in self.paths.iter().flat_map(|path| &path.steps) {
            *uses.entry(step.node).or_default() += 1;
        }
        let names = self.names(&uses);
        let mut projections: Vec<Projection> = self
            .paths
            .iter()
            .zip(names)
            .map(|(path, name)| Projection {
                name,
                pre: ids[&path.pre],
                post: ids[&path.post],
                link: Link::Path(self.link(path)),
                bias: None,
                delay: if order.is_recurrent(path) {
                    options.convention.recurrent_delay
                } else {
                    options.convention.delay
                },
                delays: None,
                trainable: self.is_trainable(path, &uses),
                factor: 1.0,
                bias_run: 1,
            })
            .collect();
        projections.sort_by(|a, b| (a.post, a.pre, &a.name).cmp(&(b.post, b.pre, &b.name)));
        projections.into_iter().collect()
    }

    /// Whether it is one matrix that is applied once, or one convolution, which no other path shares, and
    /// whose bias nothing behind it changes.
    fn is_trainable(&self, path: &Path, uses: &BTreeMap<usize, usize>) -> bool {
        let Some(step) = self.only_weights(path) else {
            return false;
        };
        let node = &self.nodes[&step];
        let once = node.input.last().copied() == count(&node.input);
        let is_matrix = matches!(node.op, Linear::Matrix { .. });
        let biased = match &node.op {
            Linear::Matrix { bias, .. } | Linear::Convolution { bias, .. } => bias.is_some(),
            _ => false,
        };
        let behind = path.steps.iter().skip_while(|s| s.node != step).skip(1);
        let mut behind = behind.map(|step| &self.nodes[&step.node].op);
        let kept = !biased || behind.all(|op| matches!(op, Linear::Reshape));
        uses[&step] == 1 && (once || !is_matrix) && kept
    }

    /// The one node of a path that has weights, if what lies before it only pools, scales, delays, or brings values into
    /// another shape, and what lies behind does no more than the latter three: then the node's outputs are those of
    /// the path.
    fn only_weights(&self, path: &Path) -> Option<usize> {
        let mut found = None;
        for step in &path.steps {
            match &self.nodes[&step.node].op {
                Linear::Matrix { .. } | Linear::Convolution { .. } if found.is_none() => {
                    found = Some(step.node);
                }
                Linear::Reshape | Linear::Scale(_) | Linear::Delay(_) => {}
                Linear::SumPool(_) | Linear::AveragePool(_) if found.is_none() => {}
                _ => return None,
            }
        }
        found
    }

    /// A path's nodes; where shapes differ in leading axes of length 1, the values are reshaped, and what
    /// has no node is a reshaping too.
    fn link(&self, path: &Path) -> Vec<Node> {
        let shape_of = |node: usize| self.shapes.output[node].clone().unwrap_or_default();
        let mut shape = shape_of(path.pre);
        let mut nodes = Vec::new();
        let reshape = |name: &str, input: &Vec<usize>, output: &Vec<usize>| Node {
            name: name.to_owned(),
            input: input.clone(),
            output: output.clone(),
            op: Linear::Reshape,
        };
        for step in &path.steps {
            let mut node = self.nodes[&step.node].clone();
            if !step.counts_bias {
                node = without_bias(node);
            }
            if node.input != shape {
                nodes.push(reshape(&node.name, &shape, &node.input));
            }
            shape.clone_from(&node.output);
            nodes.push(node);
        }
        let last = self.shapes.input[path.post].clone().unwrap_or_default();
        if nodes.is_empty() || shape != last {
            nodes.push(reshape(&self.ends(path), &shape, &last));
        }
        nodes
    }

    fn ends(&self, path: &Path) -> String {
        let [pre, post] = [path.pre, path.post].map(|n| self.graph.nodes[n].path.as_str());
        format!("{pre}->{post}")
    }

    /// The name of the one node with weights, or those of all nodes with `+` between; where paths share them all, their ends too.
    fn names(&self, uses: &BTreeMap<usize, usize>) -> Vec<String> {
        let reshapes = |path: &Path| {
            let weighs = self.only_weights(path);
            let mut others = path.steps.iter().filter(|s| Some(s.node) != weighs);
            others.all(|s| matches!(self.nodes[&s.node].op, Linear::Reshape))
        };
        let of_nodes = |path: &Path| {
            if let Some(weights) = self.only_weights(path)
                && (reshapes(path) || self.is_trainable(path, uses))
            {
                return self.graph.nodes[weights].path.clone();
            }
            let nodes = path.steps.iter();
            let names: Vec<_> = nodes
                .map(|s| self.graph.nodes[s.node].path.as_str())
                .collect();
            names.join("+")
        };
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for path in &self.paths {
            *times.entry(of_nodes(path)).or_default() += 1;
        }
        let mut taken = BTreeSet::new();
        let mut names = Vec::new();
        for path in &self.paths {
            let nodes = of_nodes(path);
            let mut name = if nodes.is_empty() {
                self.ends(path)
            } else if times[&nodes] > 1 {
                format!("{nodes} ({})", self.ends(path))
            } else {
                nodes
            };
            while !taken.insert(name.clone()) {
                name.push('\'');
            }
            names.push(name);
        }
        names
    }
}

/// The populations' order: projections lead to later ones, but for those that are part of a cycle; of
/// those that may come next, the smallest name does.
struct Order {
    nodes: Vec<usize>,
    /// The strongly connected component of each, by node.
    component: BTreeMap<usize, usize>,
}

impl Order {
    fn of(parts: &Parts<'_>, direct: &BTreeMap<usize, usize>) -> Self {
        let mut graph = DiGraph::<usize, ()>::new();
        let mut places: BTreeMap<usize, NodeIndex> = BTreeMap::new();
        for (index, node) in parts.graph.nodes.iter().enumerate() {
            let is_population = match node.kind {
                Kind::Source(_) | Kind::Neurons(_) => true,
                Kind::Sink(_) => !direct.contains_key(&index),
                _ => false,
            };
            if is_population {
                places.insert(index, graph.add_node(index));
            }
        }
        for path in &parts.paths {
            graph.add_edge(places[&path.pre], places[&path.post], ());
        }
        let mut components: Vec<Vec<usize>> = kosaraju_scc(&graph)
            .into_iter()
            .map(|c| c.into_iter().map(|place| graph[place]).collect())
            .collect();
        for members in &mut components {
            members.sort_unstable();
        }
        components.sort_unstable();
        let mut component = BTreeMap::new();
        for (number, members) in components.iter().enumerate() {
            component.extend(members.iter().map(|node| (*node, number)));
        }
        let pairs = parts.paths.iter();
        let pairs = pairs.map(|path| (component[&path.pre], component[&path.post]));
        let pairs: BTreeSet<(usize, usize)> = pairs.filter(|(a, b)| a != b).collect();
        let sorted = sort(components.len(), &pairs);
        let nodes = sorted.into_iter().flat_map(|c| components[c].clone());
        Self {
            nodes: nodes.collect(),
            component,
        }
    }

    fn is_recurrent(&self, path: &Path) -> bool {
        self.component[&path.pre] == self.component[&path.post]
    }
}

/// Numbers in topological order, the smallest of those that may come next first.
fn sort(count: usize, pairs: &BTreeSet<(usize, usize)>) -> Vec<usize> {
    let mut waiting = vec![0_usize; count];
    for (_, to) in pairs {
        waiting[*to] += 1;
    }
    let mut ready: BTreeSet<usize> = (0..count).filter(|n| waiting[*n] == 0).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(next) = ready.pop_first() {
        order.push(next);
        for (_, to) in pairs.range((next, 0)..=(next, usize::MAX)) {
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.insert(*to);
            }
        }
    }
    order
}

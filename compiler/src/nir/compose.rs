//! A file of our own from a network whose paths still hold nodes: the inverse of importing.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::linear::{Linear, Node, Window};
use nirc_ir::network::{
    Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population, PopulationKind,
    Projection, Synapse,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::export::add_metadata;
use super::tree::{Dataset, Group};
use super::{File, convention_metadata};

/// The version of NIR that the file is laid out as.
const VERSION: &str = "1.0.8";

/// A file that means this network, with the convention in its metadata. `/` in names becomes `.`, values
/// are `float64`, and times are in the convention's unit.
///
/// # Errors
/// `N0202` and `N0203` for what NIR has no nodes for: synapses that are no path of nodes, constants outside
/// of nodes, padding that differs before and behind, reshaping other than flattening, relays without an
/// Output, currents into other than leaky membranes.
pub fn compose(network: &Network) -> Result<File, Diagnostics> {
    let mut composer = Composer {
        network,
        nodes: BTreeMap::new(),
        edges: BTreeSet::new(),
        problems: Diagnostics::new(),
    };
    for (pop, population) in network.populations.iter() {
        composer.population(pop, population);
    }
    composer.outputs();
    for projection in network.projections.values() {
        composer.projection(projection);
    }
    composer.finish()
}

struct Composer<'a> {
    network: &'a Network,
    nodes: BTreeMap<String, Group>,
    edges: BTreeSet<(String, String)>,
    problems: Diagnostics,
}

impl Composer<'_> {
    fn refuse(&mut self, code: &'static str, place: &str, message: String) {
        self.problems.push(Diagnostic::error(code, place, message));
    }

    /// Whether the population is what an Output stands for.
    fn is_relay(&self, pop: Pop) -> bool {
        let population = &self.network.populations[pop];
        let mut outputs = self.network.outputs.iter();
        is_relay(population)
            && outputs.any(|port| port.population == pop && port.name == population.name)
    }

    fn population(&mut self, pop: Pop, population: &Population) {
        let name = &population.name;
        let node = match &population.kind {
            PopulationKind::Source | PopulationKind::Graded => port("Input", &population.shape),
            PopulationKind::Neurons(_) if self.is_relay(pop) => return,
            PopulationKind::Neurons(neuron) => {
                let time_unit = self.network.convention.time_unit;
                match neurons(neuron, &population.shape, time_unit) {
                    Some(node) => node,
                    None => {
                        let message = "expected neurons that NIR has a node for".to_owned();
                        return self.refuse(codes::NODE_UNSUPPORTED, name, message);
                    }
                }
            }
        };
        self.nodes.insert(plain(name), node);
    }

    fn outputs(&mut self) {
        for output in &self.network.outputs {
            let population = &self.network.populations[output.population];
            let node = port("Output", &population.shape);
            self.nodes.insert(plain(&output.name), node);
            if !self.is_relay(output.population) {
                self.edges
                    .insert((plain(&population.name), plain(&output.name)));
            }
        }
    }

    fn projection(&mut self, projection: &Projection) {
        let name = &projection.name;
        let Link::Path(nodes) = &projection.link else {
            let message = "expected a path of nodes, found synapses".to_owned();
            return self.refuse(codes::NODE_UNSUPPORTED, name, message);
        };
        if projection.bias.is_some() {
            let message = "expected the bias in a node of the path".to_owned();
            return self.refuse(codes::NODE_UNSUPPORTED, name, message);
        }
        let [pre, post] =
            [projection.pre, projection.post].map(|pop| plain(&self.network.populations[pop].name));
        let mut last = pre;
        for node in nodes {
            if is_identity(node) {
                continue;
            }
            match group(node, self.network.convention.time_unit) {
                Ok(group) => self.node(&node.name, group),
                Err(message) => self.refuse(codes::NODE_SHAPE, &node.name, message),
            }
            self.edges.insert((last, plain(&node.name)));
            last = plain(&node.name);
        }
        self.edges.insert((last, post));
    }

    /// Of a node in several paths, the one that still adds its constant is the whole one.
    fn node(&mut self, name: &str, group: Group) {
        match self.nodes.get(&plain(name)) {
            Some(old) if old.names().count() >= group.names().count() && !adds(&group) => {}
            _ => {
                self.nodes.insert(plain(name), group);
            }
        }
    }

    fn finish(self) -> Result<File, Diagnostics> {
        self.problems.into_result(())?;
        let mut nodes = Group::new();
        for (name, node) in self.nodes {
            nodes.insert(&name, node);
        }
        let count = self.edges.len() as u64;
        let edges = self.edges.into_iter().flat_map(|(from, to)| [from, to]);
        let edges = Dataset::texts(&[count, 2], edges.collect())
            .map_err(|e| Diagnostic::error(codes::FILE_TYPE, "edges", e.to_string()))?;
        let graph = Group::new()
            .with("edges", edges)
            .with("nodes", nodes)
            .with("type", Dataset::text("NIRGraph"));
        let mut root = Group::new()
            .with("node", graph)
            .with("version", Dataset::text(VERSION));
        add_metadata(
            &mut root,
            &convention_metadata(&self.network.convention, &[], self.network.dt),
        );
        File::from_tree(root)
    }
}

/// Whether some bias of the node is not zero.
fn adds(group: &Group) -> bool {
    let bias = group.dataset("bias").and_then(|bias| bias.tensor().ok());
    bias.is_some_and(|bias| match bias.data() {
        nir_rs::TensorData::F64(values) => values.iter().any(|v| *v != 0.0),
        _ => false,
    })
}

fn plain(name: &str) -> String {
    name.replace('/', ".")
}

fn is_relay(population: &Population) -> bool {
    match &population.kind {
        PopulationKind::Neurons(neuron) => {
            neuron.membrane == Membrane::Direct
                && neuron.synapse.is_none()
                && neuron.firing.is_none()
        }
        _ => false,
    }
}

/// Whether a node changes no more than axes of length 1 before the others.
fn is_identity(node: &Node) -> bool {
    let inner =
        |shape: &[usize]| -> Vec<usize> { shape.iter().copied().skip_while(|d| *d == 1).collect() };
    let direct = node.op == Linear::Reshape && node.name.contains("->");
    direct && inner(&node.input) == inner(&node.output)
}

fn node(type_name: &str) -> Group {
    Group::new().with("type", Dataset::text(type_name))
}

fn port(type_name: &str, shape: &[usize]) -> Group {
    node(type_name).with("shape", integers(shape))
}

#[expect(clippy::cast_possible_wrap, reason = "axes are far below 2^63")]
fn integers(values: &[usize]) -> Dataset {
    let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    Dataset::raw(&[values.len() as u64], hdf5_pure::make_i64_type(), bytes)
}

fn integer(value: i64) -> Dataset {
    Dataset::raw(
        &[],
        hdf5_pure::make_i64_type(),
        value.to_le_bytes().to_vec(),
    )
}

/// Values in a shape that they fill.
fn floats(shape: &[usize], values: impl Iterator<Item = f64>) -> Dataset {
    let shape: Vec<u64> = shape.iter().map(|d| *d as u64).collect();
    let bytes = values.flat_map(f64::to_le_bytes).collect();
    Dataset::raw(&shape, hdf5_pure::make_f64_type(), bytes)
}

fn neurons(neuron: &Neuron, shape: &[usize], time_unit: f64) -> Option<Group> {
    let size: usize = shape.iter().product();
    let values = |p: &Parameter| floats(shape, (0..size).map(|n| p.at(n)));
    let times = |p: &Parameter| floats(shape, (0..size).map(|n| p.at(n) / time_unit));
    let mut group = node(neuron.nir_type());
    match (&neuron.membrane, &neuron.synapse) {
        (Membrane::Direct, None) if neuron.firing.is_some() => {}
        (Membrane::Integrator { r }, None) => group.insert("r", values(r)),
        (Membrane::Leaky { tau, r, v_leak }, synapse) => {
            let tau_name = if synapse.is_some() { "tau_mem" } else { "tau" };
            group.insert(tau_name, times(tau));
            group.insert("r", values(r));
            group.insert("v_leak", values(v_leak));
        }
        _ => return None,
    }
    if let Some(Synapse { tau_syn, w_in }) = &neuron.synapse {
        group.insert("tau_syn", times(tau_syn));
        group.insert("w_in", values(w_in));
    }
    if let Some(Firing { threshold, v_reset }) = &neuron.firing {
        if neuron.membrane == Membrane::Direct {
            group.insert("threshold", values(threshold));
        } else {
            group.insert("v_threshold", values(threshold));
            group.insert("v_reset", values(v_reset));
        }
    }
    Some(group)
}

fn group(of: &Node, time_unit: f64) -> Result<Group, String> {
    let group = node(of.op.type_name());
    let all = |values: &[f64], shape: &[usize]| floats(shape, values.iter().copied());
    Ok(match &of.op {
        Linear::Matrix { weight, bias } => {
            let ends = [&of.output, &of.input].map(|s| s.last().copied().unwrap_or(1));
            let group = group.with("weight", all(weight, &ends));
            match bias {
                Some(bias) => group.with("bias", all(bias, &[bias.len()])),
                None => group,
            }
        }
        Linear::Scale(scale) => group.with("scale", all(scale, &of.input)),
        Linear::Delay(delay) => group.with(
            "delay",
            floats(&of.input, delay.iter().map(|d| d / time_unit)),
        ),
        Linear::Convolution {
            kernel,
            groups,
            windows,
            bias,
        } => {
            let [outputs, inputs] = [of.output[0], of.input[0] / groups];
            let sizes = windows.iter().map(|w| w.size);
            let shape: Vec<usize> = [outputs, inputs].into_iter().chain(sizes).collect();
            let zeros = vec![0.0; outputs];
            let space = match of.input[1..] {
                #[expect(clippy::cast_possible_wrap, reason = "axes are far below 2^63")]
                [length] => integer(length as i64),
                ref space => integers(space),
            };
            #[expect(clippy::cast_possible_wrap, reason = "groups are far below 2^63")]
            let groups = integer(*groups as i64);
            group
                .with("input_shape", space)
                .with("weight", all(kernel, &shape))
                .with("bias", all(bias.as_ref().unwrap_or(&zeros), &[outputs]))
                .with("stride", each(windows, |w| w.stride))
                .with("padding", padding(windows)?)
                .with("dilation", each(windows, |w| w.dilation))
                .with("groups", groups)
        }
        Linear::SumPool(windows) | Linear::AveragePool(windows) => group
            .with("kernel_size", each(windows, |w| w.size))
            .with("stride", each(windows, |w| w.stride))
            .with(
                "padding",
                symmetric(windows).ok_or("padding differs before and behind")?,
            ),
        Linear::Reshape => {
            let (start, end) = flattened(&of.input, &of.output)
                .ok_or_else(|| format!("{:?} to {:?} flattens no axes", of.input, of.output))?;
            group
                .with("start_dim", integer(start))
                .with("end_dim", integer(end))
                .with("input_type", integers(&of.input))
        }
    })
}

fn each(windows: &[Window], of: impl Fn(&Window) -> usize) -> Dataset {
    integers(&windows.iter().map(of).collect::<Vec<_>>())
}

fn symmetric(windows: &[Window]) -> Option<Dataset> {
    let is_even = windows.iter().all(|w| w.before == w.after);
    is_even.then(|| each(windows, |w| w.before))
}

fn padding(windows: &[Window]) -> Result<Dataset, String> {
    if let Some(zeros) = symmetric(windows) {
        return Ok(zeros);
    }
    let is_same = |w: &Window| {
        let all = (w.size - 1) * w.dilation;
        w.before == all / 2 && w.after == all - all / 2
    };
    if windows.iter().all(is_same) {
        Ok(Dataset::text("same"))
    } else {
        Err("padding differs before and behind".to_owned())
    }
}

/// The axes that become one.
fn flattened(input: &[usize], output: &[usize]) -> Option<(i64, i64)> {
    let count = input.len().checked_sub(output.len())? + 1;
    let start = (0..output.len()).find(|start| {
        let end = start + count;
        let middle: usize = input[*start..end].iter().product();
        let rest = input[end..] == output[start + 1..];
        input[..*start] == output[..*start] && output[*start] == middle && rest
    })?;
    Some((
        i64::try_from(start).ok()?,
        i64::try_from(start + count - 1).ok()?,
    ))
}

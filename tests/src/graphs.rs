//! Random valid NIR graphs, and smaller ones of the same kind: for finding what executors, importer or exporter
//! get wrong, and then the least that shows it.
//!
//! A [`Graph`] is a plan: inputs, populations, and paths of nodes between them. It can be written as the tree of
//! a file. A smaller plan lacks a path, a node or a population, and is valid as well.

use nirc_compiler::nir::tree::{Dataset, Group};

use crate::rng::Rng;

/// A plan of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    /// Shapes of the Input nodes.
    pub inputs: Vec<Vec<usize>>,
    /// Populations; those without a path into them stand in no file.
    pub populations: Vec<Population>,
    /// Paths between them.
    pub paths: Vec<Path>,
    /// Populations that lead into Output nodes, and whether weights lie between.
    pub outputs: Vec<(usize, bool)>,
    /// Seconds that the file's unit of time stands for.
    pub time_unit: f64,
    seed: u64,
    models: &'static [&'static str],
    /// Whether some time constants are multiples of others.
    multiples: bool,
}

/// A population of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Type of its node.
    pub model: &'static str,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At an Input.
    Input(usize),
    /// At a population.
    Population(usize),
}

/// A path of nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Where it begins.
    pub from: From,
    /// The population that it leads to.
    pub to: usize,
    /// The nodes on it.
    pub nodes: Vec<Node>,
    /// Whether they stand in a nested graph.
    pub nested: bool,
    /// Whether it is the path by which the population hangs on the inputs, and gets its shape.
    pub main: bool,
}

/// A node without memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its type.
    pub kind: &'static str,
    /// The shape that enters it.
    pub input: Vec<usize>,
    /// The shape that leaves it.
    pub output: Vec<usize>,
    /// Kernel, stride, padding, dilation of each axis of space.
    pub windows: Vec<[usize; 4]>,
    /// Groups of channels.
    pub groups: usize,
}

/// Types of populations.
pub const MODELS: [&str; 7] = ["Threshold", "I", "IF", "LI", "LIF", "CubaLI", "CubaLIF"];
const SPIKING: [&str; 4] = ["IF", "LIF", "CubaLIF", "CubaLIF"];

impl Graph {
    /// A plan that follows from the seed alone.
    pub fn random(seed: u64, time_unit: f64) -> Self {
        Self::with(seed, time_unit, &MODELS)
    }

    /// The same with one Output behind everything, and neurons that train in most conventions: those inside spike, the
    /// last ones may be read out by their voltage.
    pub fn trainable(seed: u64, time_unit: f64) -> Self {
        let mut graph = Self::with(seed, time_unit, &SPIKING);
        graph.multiples = true;
        let mut rng = Rng::new(seed ^ 0x7e57);
        let last = graph.populations.len() - 1;
        graph.outputs = vec![(last, false)];
        // What leads nowhere would be an output, too.
        let leads_on =
            |graph: &Self, at| graph.paths.iter().any(|p| p.from == From::Population(at));
        for at in (0..last).rev() {
            if leads_on(&graph, at) {
                continue;
            }
            match graph.populations[last].shape.len() {
                1 => graph.join(&mut rng, From::Population(at), last),
                _ => graph.paths.retain(|p| p.to != at),
            }
        }
        if !leads_on(&graph, last) && rng.below(3) == 0 {
            graph.populations[last].model = rng.pick::<&str>(&["LI", "CubaLI", "I"]);
        }
        graph
    }

    fn with(seed: u64, time_unit: f64, models: &'static [&'static str]) -> Self {
        let mut rng = Rng::new(seed);
        let inputs = (0..1 + rng.below(2)).map(|_| shape(&mut rng)).collect();
        let mut graph = Self {
            inputs,
            populations: Vec::new(),
            paths: Vec::new(),
            outputs: Vec::new(),
            time_unit,
            seed,
            models,
            multiples: false,
        };
        for _ in 0..1 + rng.below(3) {
            graph.grow(&mut rng);
        }
        graph.recur(&mut rng);
        let last = graph.populations.len() - 1;
        graph.outputs.push((last, rng.below(4) == 0));
        if rng.below(3) == 0 {
            graph.outputs.push((rng.below(last + 1), false));
        }
        graph
    }

    /// One population of each model behind one path of each kind of node.
    pub fn of(model: &'static str, kind: &'static str, time_unit: f64) -> Self {
        let mut rng = Rng::new(1);
        let input = match kind {
            "Conv1d" => vec![2, 5],
            "Conv2d" | "SumPool2d" | "AvgPool2d" | "Flatten" => vec![2, 4, 4],
            _ => vec![3],
        };
        let node = node(&mut rng, kind, &input);
        let shape = node.output.clone();
        Self {
            inputs: vec![input],
            populations: vec![Population { model, shape }],
            paths: vec![Path {
                from: From::Input(0),
                to: 0,
                nodes: vec![node],
                nested: false,
                main: true,
            }],
            outputs: vec![(0, false)],
            time_unit,
            seed: 1,
            models: &MODELS,
            multiples: false,
        }
    }

    fn grow(&mut self, rng: &mut Rng) {
        let from = self.source(rng);
        let mut at = self.shape_of(from);
        let mut nodes = Vec::new();
        for _ in 0..rng.below(4) {
            let next = random_node(rng, &at);
            at = next.output.clone();
            nodes.push(next);
        }
        let to = self.populations.len();
        self.populations.push(Population {
            model: rng.pick::<&str>(self.models),
            shape: at.clone(),
        });
        let nested = !nodes.is_empty() && rng.below(4) == 0;
        self.paths.push(Path {
            from,
            to,
            nodes,
            nested,
            main: true,
        });
        if rng.below(2) == 0 && at.len() == 1 {
            let from = self.source(rng);
            self.join(rng, from, to);
        }
    }

    /// A path from anywhere to a population that is a vector.
    fn join(&mut self, rng: &mut Rng, from: From, to: usize) {
        if from == From::Population(to) && !fires(self.populations[to].model) {
            return;
        }
        let (mut at, size) = (self.shape_of(from), self.populations[to].shape[0]);
        let mut nodes = Vec::new();
        if at.len() > 1 {
            let flat = node(rng, "Flatten", &at);
            at = flat.output.clone();
            nodes.push(flat);
        }
        let kind = *rng.pick(&["Linear", "Affine"]);
        nodes.push(Node {
            output: vec![size],
            ..node(rng, kind, &at)
        });
        let nested = rng.below(4) == 0;
        self.paths.push(Path {
            from,
            to,
            nodes,
            nested,
            main: false,
        });
    }

    /// Paths that lead back.
    fn recur(&mut self, rng: &mut Rng) {
        for _ in 0..rng.below(3) {
            let (from, to) = (
                rng.below(self.populations.len()),
                rng.below(self.populations.len()),
            );
            if self.populations[to].shape.len() == 1 {
                self.join(rng, From::Population(from), to);
            }
        }
    }

    fn source(&self, rng: &mut Rng) -> From {
        let at = rng.below(self.inputs.len() + self.populations.len());
        match at.checked_sub(self.inputs.len()) {
            None => From::Input(at),
            Some(population) => From::Population(population),
        }
    }

    fn shape_of(&self, from: From) -> Vec<usize> {
        match from {
            From::Input(input) => self.inputs[input].clone(),
            From::Population(population) => self.populations[population].shape.clone(),
        }
    }

    /// Plans that lack something of this one, the largest cuts first.
    pub fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for at in 0..self.populations.len() {
            all.extend(self.without_population(at));
        }
        for (at, path) in self.paths.iter().enumerate() {
            if !path.main {
                let mut smaller = self.clone();
                smaller.paths.remove(at);
                all.push(smaller);
            }
            if path.nested {
                let mut smaller = self.clone();
                smaller.paths[at].nested = false;
                all.push(smaller);
            }
            for node in 0..path.nodes.len() {
                if path.nodes[node].input == path.nodes[node].output {
                    let mut smaller = self.clone();
                    smaller.paths[at].nodes.remove(node);
                    all.push(smaller);
                }
            }
        }
        if self.outputs.len() > 1 {
            for at in 0..self.outputs.len() {
                let mut smaller = self.clone();
                smaller.outputs.remove(at);
                all.push(smaller);
            }
        }
        all
    }

    /// Without a population and whatever touches it, if something is left.
    fn without_population(&self, gone: usize) -> Option<Self> {
        let mut smaller = self.clone();
        let touches = |path: &Path| path.to == gone || path.from == From::Population(gone);
        if !self.paths.iter().any(touches) {
            return None;
        }
        smaller.paths.retain(|path| !touches(path));
        smaller
            .outputs
            .retain(|(population, _)| *population != gone);
        let hangs = |population: usize, paths: &[Path]| {
            paths.iter().any(|path| path.main && path.to == population)
        };
        let others = (0..self.populations.len()).filter(|p| *p != gone);
        let whole = others
            .filter(|p| hangs(*p, &self.paths))
            .all(|p| hangs(p, &smaller.paths));
        (whole && !smaller.outputs.is_empty()).then_some(smaller)
    }

    /// The file's tree.
    pub fn tree(&self) -> Group {
        Writer {
            graph: self,
            rng: Rng::new(self.seed ^ 0x5eed),
            nodes: Group::new(),
            edges: Vec::new(),
        }
        .tree()
    }

    /// Names of the Input nodes.
    pub fn input_names(&self) -> Vec<String> {
        (0..self.inputs.len()).map(input).collect()
    }
}

/// Whether neurons of a model emit spikes.
fn fires(model: &str) -> bool {
    matches!(model, "Threshold" | "IF" | "LIF" | "CubaLIF")
}

fn shape(rng: &mut Rng) -> Vec<usize> {
    match rng.below(4) {
        0 => vec![1 + rng.below(3), 3 + rng.below(4)],
        1 => vec![1 + rng.below(2), 3 + rng.below(3), 3 + rng.below(3)],
        _ => vec![1 + rng.below(6)],
    }
}

fn random_node(rng: &mut Rng, at: &[usize]) -> Node {
    let kinds: &[&str] = match at.len() {
        1 => &["Linear", "Affine", "Scale", "Delay"],
        2 => &["Conv1d", "Flatten", "Scale", "Delay", "Linear"],
        _ => &[
            "Conv2d",
            "SumPool2d",
            "AvgPool2d",
            "Flatten",
            "Scale",
            "Delay",
        ],
    };
    let kind = *rng.pick(kinds);
    node(rng, kind, at)
}

/// A node of this kind behind a shape; one that cannot be there is a Scale.
fn node(rng: &mut Rng, kind: &'static str, at: &[usize]) -> Node {
    let plain = |kind, output| Node {
        kind,
        input: at.to_vec(),
        output,
        windows: Vec::new(),
        groups: 1,
    };
    match kind {
        "Linear" | "Affine" => {
            let mut output = at.to_vec();
            if let Some(last) = output.last_mut() {
                *last = 1 + rng.below(6);
            }
            plain(kind, output)
        }
        "Flatten" => plain(kind, vec![at.iter().product()]),
        "Conv1d" | "Conv2d" | "SumPool2d" | "AvgPool2d" => {
            windowed(rng, kind, at).unwrap_or_else(|| plain("Scale", at.to_vec()))
        }
        _ => plain(kind, at.to_vec()),
    }
}

fn windowed(rng: &mut Rng, kind: &'static str, at: &[usize]) -> Option<Node> {
    let (channels, space) = at.split_first()?;
    let convolves = kind.starts_with("Conv");
    let mut windows = Vec::new();
    let mut output = vec![*channels];
    for size in space {
        let kernel = 1 + rng.below(3);
        let dilation = if convolves { 1 + rng.below(2) } else { 1 };
        let padding = rng.below(kernel.div_ceil(2));
        let stride = 1 + rng.below(2);
        let reach = (kernel - 1) * dilation + 1;
        let padded = size + 2 * padding;
        output.push(padded.checked_sub(reach)? / stride + 1);
        windows.push([kernel, stride, padding, dilation]);
    }
    let mut groups = 1;
    if convolves {
        let possible: Vec<usize> = (1..=*channels).filter(|g| channels % g == 0).collect();
        groups = *rng.pick(&possible);
        output[0] = groups * (1 + rng.below(2));
    }
    Some(Node {
        kind,
        input: at.to_vec(),
        output,
        windows,
        groups,
    })
}

fn input(at: usize) -> String {
    format!("input{at}")
}

/// Names in several scripts, since files have them.
fn population(at: usize) -> String {
    match at {
        1 => "скрытый.1".to_owned(),
        _ => format!("pop{at}"),
    }
}

struct Writer<'a> {
    graph: &'a Graph,
    rng: Rng,
    nodes: Group,
    edges: Vec<(String, String)>,
}

impl Writer<'_> {
    fn tree(mut self) -> Group {
        for (at, shape) in self.graph.inputs.iter().enumerate() {
            if self.graph.paths.iter().any(|p| p.from == From::Input(at)) {
                self.nodes.insert(&input(at), port("Input", shape));
            }
        }
        for (at, plan) in self.graph.populations.iter().enumerate() {
            // Parameters follow from the place alone, so that smaller plans keep them.
            let mut rng = Rng::new(self.graph.seed ^ (at as u64 + 1) << 8);
            if self.graph.paths.iter().any(|p| p.to == at) {
                let mut group = neurons(&mut rng, plan, self.graph.time_unit);
                if self.graph.multiples && plan.model.starts_with("Cuba") && rng.below(3) > 0 {
                    multiples(&mut rng, &plan.shape, self.graph.time_unit, &mut group);
                }
                self.nodes.insert(&population(at), group);
            }
        }
        for (at, path) in self.graph.paths.iter().enumerate() {
            self.path(at, path);
        }
        for (at, (from, weighted)) in self.graph.outputs.iter().enumerate() {
            self.output(at, *from, *weighted);
        }
        Group::new()
            .with("version", Dataset::text("1.0.8"))
            .with("node", graph(self.nodes, &self.edges))
    }

    fn path(&mut self, at: usize, path: &Path) {
        let mut from = match path.from {
            From::Input(k) => input(k),
            From::Population(k) => population(k),
        };
        let mut rng = Rng::new(self.graph.seed ^ (at as u64 + 1) << 32);
        let nodes = path.nodes.iter().enumerate();
        let nodes = nodes.map(|(k, node)| {
            (
                format!("p{at}n{k}"),
                memoryless(&mut rng, node, self.graph.time_unit),
            )
        });
        let nodes: Vec<(String, Group)> = nodes.collect();
        if path.nested {
            let name = format!("p{at}");
            let (first, last) = (
                &path.nodes[0].input,
                &path.nodes[path.nodes.len() - 1].output,
            );
            let mut inner = Group::new()
                .with("input", port("Input", first))
                .with("output", port("Output", last));
            let mut edges = Vec::new();
            let mut before = "input".to_owned();
            for (node, group) in nodes {
                inner.insert(&node, group);
                edges.push((std::mem::replace(&mut before, node.clone()), node));
            }
            edges.push((before, "output".to_owned()));
            self.nodes.insert(&name, graph(inner, &edges));
            self.edges.push((from, name.clone()));
            from = name;
        } else {
            for (node, group) in nodes {
                self.nodes.insert(&node, group);
                self.edges.push((from, node.clone()));
                from = node;
            }
        }
        self.edges.push((from, population(path.to)));
    }

    fn output(&mut self, at: usize, from: usize, weighted: bool) {
        let name = format!("output{at}");
        let shape = self.graph.populations[from].shape.clone();
        let mut last = population(from);
        let mut left = shape.clone();
        if weighted && shape.len() == 1 {
            let weights = format!("read{at}");
            left = vec![2];
            let group = typed("Linear").with("weight", floats(&mut self.rng, &[2, shape[0]], 1.0));
            self.nodes.insert(&weights, group);
            self.edges.push((last, weights.clone()));
            last = weights;
        }
        self.nodes.insert(&name, port("Output", &left));
        self.edges.push((last, name));
    }
}

fn typed(name: &str) -> Group {
    Group::new().with("type", Dataset::text(name))
}

fn graph(nodes: Group, edges: &[(String, String)]) -> Group {
    let texts = edges
        .iter()
        .flat_map(|(a, b)| [a.clone(), b.clone()])
        .collect();
    let edges = Dataset::texts(&[edges.len() as u64, 2], texts).expect("pairs");
    typed("NIRGraph").with("nodes", nodes).with("edges", edges)
}

fn integers(values: &[usize]) -> Dataset {
    let values: Vec<i64> = values.iter().map(|v| *v as i64).collect();
    Dataset::i64(&[values.len() as u64], &values).expect("a vector")
}

fn integer(value: i64) -> Dataset {
    Dataset::i64(&[], &[value]).expect("a scalar")
}

fn port(name: &str, shape: &[usize]) -> Group {
    typed(name).with("shape", integers(shape))
}

fn extents(shape: &[usize]) -> Vec<u64> {
    shape.iter().map(|d| *d as u64).collect()
}

fn floats(rng: &mut Rng, shape: &[usize], scale: f32) -> Dataset {
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| scale * rng.normal()).collect();
    Dataset::f32(&extents(shape), &values).expect("as many values")
}

/// Values between two bounds, the same for all or one each, sometimes in `f64`.
fn between(rng: &mut Rng, shape: &[usize], low: f64, high: f64) -> Dataset {
    let count: usize = shape.iter().product();
    let mut one = || low + (high - low) * (rng.below(1000) as f64) / 1000.0;
    let first = one();
    let mut values: Vec<f64> = (0..count).map(|_| one()).collect();
    if rng.below(2) == 0 {
        values = vec![first; count];
    }
    if rng.below(4) == 0 {
        return Dataset::f64(&extents(shape), &values).expect("as many values");
    }
    let values: Vec<f32> = values.iter().map(|v| *v as f32).collect();
    Dataset::f32(&extents(shape), &values).expect("as many values")
}

fn neurons(rng: &mut Rng, plan: &Population, time_unit: f64) -> Group {
    let (shape, model) = (&plan.shape, plan.model);
    let time = |ms: f64| ms * 1e-3 / time_unit;
    let mut group = typed(model);
    let fields: &[&str] = match model {
        "Threshold" => &["threshold"],
        "I" => &["r"],
        "IF" => &["r", "v_threshold", "v_reset"],
        "LI" => &["tau", "r", "v_leak"],
        "LIF" => &["tau", "r", "v_leak", "v_threshold", "v_reset"],
        "CubaLI" => &["tau_syn", "tau_mem", "r", "v_leak", "w_in"],
        _ => &[
            "tau_syn",
            "tau_mem",
            "r",
            "v_leak",
            "v_threshold",
            "v_reset",
            "w_in",
        ],
    };
    for field in fields {
        let (low, high) = match *field {
            "tau" | "tau_mem" => (time(2.0), time(30.0)),
            "tau_syn" => (time(1.5), time(10.0)),
            "r" => (0.5, 2.0),
            "v_leak" => (-0.1, 0.2),
            "v_reset" => (-0.2, 0.05),
            "w_in" => (0.5, 5.0),
            _ => (0.1, 0.8),
        };
        group.insert(field, between(rng, shape, low, high));
    }
    group
}

/// Time constants whose ratio is simple, since many forms of an exact voltage are for these alone.
fn multiples(rng: &mut Rng, shape: &[usize], time_unit: f64, group: &mut Group) {
    let ratio = *rng.pick(&[1.0, 2.0, 3.0, 4.0, 1.0 / 2.0, 1.0 / 3.0, 1.0 / 4.0]);
    let count: usize = shape.iter().product();
    let mut one = || (3.0 + 0.01 * rng.below(600) as f64) * 1e-3 / time_unit;
    let same = one();
    let each: Vec<f64> = (0..count).map(|_| one()).collect();
    let syn = if rng.below(2) == 0 {
        each
    } else {
        vec![same; count]
    };
    let mem: Vec<f64> = syn.iter().map(|tau| ratio * tau).collect();
    for (field, values) in [("tau_syn", syn), ("tau_mem", mem)] {
        let values = Dataset::f64(&extents(shape), &values).expect("as many values");
        group.insert(field, values);
    }
}

fn memoryless(rng: &mut Rng, node: &Node, time_unit: f64) -> Group {
    let group = typed(node.kind);
    let last = |shape: &[usize]| shape.last().copied().unwrap_or(1);
    match node.kind {
        "Linear" | "Affine" => {
            let (out, inn) = (last(&node.output), last(&node.input));
            let group = group.with("weight", floats(rng, &[out, inn], 1.0));
            if node.kind == "Linear" {
                return group;
            }
            group.with("bias", floats(rng, &[out], 0.1))
        }
        "Scale" => group.with("scale", floats(rng, &node.input, 1.0)),
        "Delay" => {
            let ticks = rng.below(3);
            let count = node.input.iter().product();
            let spread = rng.below(2);
            let delays: Vec<f64> = (0..count)
                .map(|_| ((ticks + rng.below(spread + 1)) as f64) * 1e-3 / time_unit)
                .collect();
            let delays = Dataset::f64(&extents(&node.input), &delays).expect("as many values");
            group.with("delay", delays)
        }
        "Flatten" => group
            .with("start_dim", integer(0))
            .with("end_dim", integer(-1))
            .with("input_type", integers(&node.input)),
        kind => windows(rng, node, kind, group),
    }
}

fn windows(rng: &mut Rng, node: &Node, kind: &str, group: Group) -> Group {
    let of = |at: usize| {
        node.windows
            .iter()
            .map(|window| window[at])
            .collect::<Vec<usize>>()
    };
    if kind.ends_with("Pool2d") {
        return group
            .with("kernel_size", integers(&of(0)))
            .with("stride", integers(&of(1)))
            .with("padding", integers(&of(2)));
    }
    let mut kernel = vec![node.output[0], node.input[0] / node.groups];
    kernel.extend(of(0));
    let one = kind == "Conv1d";
    let each = |values: Vec<usize>| {
        if one {
            integer(values[0] as i64)
        } else {
            integers(&values)
        }
    };
    group
        .with("input_shape", each(node.input[1..].to_vec()))
        .with("weight", floats(rng, &kernel, 0.7))
        .with("bias", floats(rng, &[node.output[0]], 0.1))
        .with("stride", each(of(1)))
        .with("padding", each(of(2)))
        .with("dilation", each(of(3)))
        .with("groups", integer(node.groups as i64))
}

//! What nirc can do with each primitive of NIR, found out by doing it.

use nirc_compiler::lower::lower;
use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{self, File};
use nirc_compiler::options::{Loss, Options, Score};
use nirc_compiler::passes::Time;
use nirc_host::HostSimulator;
use nirc_ir::convention::Convention;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;
use serde::Serialize;

use crate::model::Model;
use crate::reading::Reading;
use crate::simulation::forward;

/// What is possible with a primitive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Support {
    /// Its name in NIR.
    pub primitive: &'static str,
    /// Whether a file that has it is imported.
    pub import: bool,
    /// Whether it is written back as it was.
    pub export: bool,
    /// Whether the native simulator runs it.
    pub host: bool,
    /// Whether there is firmware for it.
    pub chip: bool,
    /// Whether a network that has it can be trained.
    pub trainable: bool,
}

/// The primitives of NIR 1.0.8.
pub const PRIMITIVES: [&str; 19] = [
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

/// Tries each primitive in a small network.
pub fn supported() -> Vec<Support> {
    PRIMITIVES
        .iter()
        .map(|primitive| support(primitive))
        .collect()
}

fn support(primitive: &'static str) -> Support {
    let mut support = Support {
        primitive,
        import: false,
        export: false,
        host: false,
        chip: false,
        trainable: false,
    };
    let tree = network(primitive);
    let Ok(file) = File::from_tree(tree.clone()) else {
        return support;
    };
    let written = nir::to_bytes(&tree).map_err(|_| ()).and_then(|bytes| {
        let (back, _) = nir::read_bytes(bytes).map_err(|_| ())?;
        Ok(*back.tree() == tree)
    });
    support.export = written == Ok(true);
    let model = |preset: &str| {
        let convention = Convention::preset(preset)?;
        let reading = Reading {
            dt: Some(1e-3),
            ..Reading::under(convention)
        };
        Model::from_file(file.clone(), primitive, &reading).ok()
    };
    let Some(inference) = model("nir") else {
        return support;
    };
    support.import = true;
    let target = Target::spinnaker2();
    if let Ok(program) = forward(
        &inference.network,
        Time::Ticks,
        (4, 1),
        &[],
        Some(1),
        &target,
    ) {
        support.host = HostSimulator::new(&program, 1).is_ok();
        support.chip = Bundle::build(&program, &target).is_ok();
    }
    support.trainable = model("eventprop").is_some_and(|model| {
        let network = &model.network;
        let values = network
            .readout()
            .is_some_and(|pop| network.emits_values(pop));
        let loss = match values {
            true => Loss::Voltage { score: Score::Max },
            false => Loss::Given,
        };
        let options = Options {
            loss: Some(loss),
            ..TRAINING
        };
        lower(network, &options).is_ok()
    });
    support
}

const TRAINING: Options = Options {
    ticks: 4,
    batch: 1,
    replicas: 1,
    spike_bound: None,
    loss: Some(Loss::Given),
    adjoint: true,
    regularise: Vec::new(),
    optimiser: None,
    record: Vec::new(),
    events: None,
};

/// A small network with the primitive: between an Input and a LIF population, or in its place.
fn network(primitive: &str) -> Group {
    let (shape, nodes) = nodes(primitive);
    let mut group = Group::new().with("input", port("Input", &shape));
    let mut chain = vec!["input".to_owned()];
    for (k, node) in nodes.into_iter().enumerate() {
        let name = format!("node{k}");
        group.insert(&name, node);
        chain.push(name);
    }
    let outputs = output(primitive);
    group.insert("output", port("Output", &outputs));
    chain.push("output".to_owned());
    let edges: Vec<String> = chain.windows(2).flat_map(<[String]>::to_vec).collect();
    Group::new()
        .with("version", Dataset::text("1.0.8"))
        .with("node", graph(group, &edges))
}

fn graph(nodes: Group, edges: &[String]) -> Group {
    let pairs = edges.len() as u64 / 2;
    let edges = Dataset::texts(&[pairs, 2], edges.to_vec()).unwrap_or_else(|_| Dataset::text(""));
    Group::new()
        .with("type", Dataset::text("NIRGraph"))
        .with("nodes", nodes)
        .with("edges", edges)
}

fn node(name: &str) -> Group {
    Group::new().with("type", Dataset::text(name))
}

fn port(name: &str, shape: &[i64]) -> Group {
    node(name).with("shape", integers(shape))
}

fn integers(values: &[i64]) -> Dataset {
    let shape = [values.len() as u64];
    Dataset::i64(&shape, values).unwrap_or_else(|_| Dataset::text(""))
}

fn integer(value: i64) -> Dataset {
    Dataset::i64(&[], &[value]).unwrap_or_else(|_| Dataset::text(""))
}

fn floats(shape: &[u64], value: f32) -> Dataset {
    let count = shape.iter().product::<u64>() as usize;
    Dataset::f32(shape, &vec![value; count]).unwrap_or_else(|_| Dataset::text(""))
}

fn neurons(name: &str, shape: &[u64]) -> Group {
    let fields: &[(&str, f32)] = match name {
        "Threshold" => &[("threshold", 1.0)],
        "I" => &[("r", 1.0)],
        "IF" => &[("r", 1.0), ("v_threshold", 1.0), ("v_reset", 0.0)],
        "LI" => &[("tau", 0.02), ("r", 1.0), ("v_leak", 0.0)],
        "LIF" => &[
            ("tau", 0.02),
            ("r", 1.0),
            ("v_leak", 0.0),
            ("v_threshold", 1.0),
            ("v_reset", 0.0),
        ],
        "CubaLI" => &[
            ("tau_syn", 0.005),
            ("tau_mem", 0.02),
            ("r", 1.0),
            ("v_leak", 0.0),
            ("w_in", 1.0),
        ],
        _ => &[
            ("tau_syn", 0.005),
            ("tau_mem", 0.02),
            ("r", 1.0),
            ("v_leak", 0.0),
            ("v_threshold", 1.0),
            ("v_reset", 0.0),
            ("w_in", 1.0),
        ],
    };
    let mut group = node(name);
    for (field, value) in fields {
        group.insert(field, floats(shape, *value));
    }
    group
}

fn linear() -> Group {
    node("Linear").with("weight", floats(&[2, 2], 0.5))
}

fn affine() -> Group {
    node("Affine")
        .with("weight", floats(&[2, 2], 0.5))
        .with("bias", floats(&[2], 0.1))
}

fn conv(name: &str, axes: usize) -> Group {
    let kernel: Vec<u64> = [2, 1].into_iter().chain(vec![3; axes]).collect();
    let plane = vec![4; axes];
    let each = |value: i64| {
        if axes == 1 {
            integer(value)
        } else {
            integers(&vec![value; axes])
        }
    };
    node(name)
        .with(
            "input_shape",
            if axes == 1 {
                integer(4)
            } else {
                integers(&plane)
            },
        )
        .with("weight", floats(&kernel, 0.5))
        .with("bias", floats(&[2], 0.0))
        .with("stride", each(1))
        .with("padding", each(1))
        .with("dilation", each(1))
        .with("groups", integer(1))
}

fn pool(name: &str) -> Group {
    node(name)
        .with("kernel_size", integers(&[2, 2]))
        .with("stride", integers(&[2, 2]))
        .with("padding", integers(&[0, 0]))
}

/// Shape of the input, and the nodes behind it.
fn nodes(primitive: &str) -> (Vec<i64>, Vec<Group>) {
    let lif = || neurons("LIF", &[2]);
    match primitive {
        "Affine" => (vec![2], vec![affine(), lif()]),
        "Scale" => {
            let scale = node("Scale").with("scale", floats(&[2], 0.5));
            (vec![2], vec![scale, lif()])
        }
        "Conv1d" => (vec![1, 4], vec![conv("Conv1d", 1), neurons("LIF", &[2, 4])]),
        "Conv2d" => (
            vec![1, 4, 4],
            vec![conv("Conv2d", 2), neurons("LIF", &[2, 4, 4])],
        ),
        "SumPool2d" | "AvgPool2d" => (
            vec![1, 4, 4],
            vec![pool(primitive), neurons("LIF", &[1, 2, 2])],
        ),
        "Flatten" => {
            let flatten = node("Flatten")
                .with("start_dim", integer(0))
                .with("end_dim", integer(-1))
                .with("input_type", integers(&[1, 2, 2]));
            (vec![1, 2, 2], vec![flatten, neurons("LIF", &[4])])
        }
        "Delay" => {
            let delay = node("Delay").with("delay", floats(&[2], 0.002));
            (vec![2], vec![delay, linear(), lif()])
        }
        "Threshold" | "I" | "IF" | "LI" | "CubaLI" | "CubaLIF" => {
            (vec![2], vec![linear(), neurons(primitive, &[2])])
        }
        "NIRGraph" => {
            let inner = Group::new()
                .with("input", port("Input", &[2]))
                .with("weights", linear())
                .with("output", port("Output", &[2]));
            let edges = ["input", "weights", "weights", "output"].map(str::to_owned);
            (vec![2], vec![graph(inner, &edges), lif()])
        }
        _ => (vec![2], vec![linear(), lif()]),
    }
}

fn output(primitive: &str) -> Vec<i64> {
    match primitive {
        "Conv1d" => vec![2, 4],
        "Conv2d" => vec![2, 4, 4],
        "SumPool2d" | "AvgPool2d" => vec![1, 2, 2],
        "Flatten" => vec![4],
        _ => vec![2],
    }
}

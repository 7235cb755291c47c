//! The text of networks.

use std::fmt::Write as _;

use super::lexer::{Line, Lines, Parsed, Token};
use super::{Externals, list, name, values};
use crate::diagnostic::Diagnostics;
use crate::entity::{Entity, PrimaryMap};
use crate::network::{
    Convention, Integrator, Network, Neuron, Order, Parameter, Pop, Population, PopulationKind,
    Proj, Projection, Reset, SpikeShape, Synapse, Threshold,
};

/// Prints a network.
pub fn print_network(network: &Network) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "network {} dt = {:?} output = {} {{",
        name(&network.name),
        network.dt,
        network.output
    );
    let c = &network.convention;
    let _ = writeln!(
        out,
        "  convention {} integrator = {} order = {} reset = {} threshold = {} spike = {} delay = {} time_unit = {:?}",
        name(&c.name),
        word(&INTEGRATORS, c.integrator),
        word(&ORDERS, c.order),
        word(&RESETS, c.reset),
        word(&THRESHOLDS, c.threshold),
        word(&SPIKES, c.spike),
        c.delay,
        c.time_unit
    );
    for (id, population) in network.populations.iter() {
        let head = format!("  {id} {}", name(&population.name));
        let size = population.size;
        match &population.kind {
            PopulationKind::Source => {
                let _ = writeln!(out, "{head} : source [{size}]");
            }
            PopulationKind::Neurons(neuron) => {
                let _ = writeln!(
                    out,
                    "{head} : {} [{size}] {}",
                    model(neuron),
                    fields(neuron)
                );
            }
        }
    }
    for (id, projection) in network.projections.iter() {
        let (pre, post) = (projection.pre, projection.post);
        let _ = writeln!(
            out,
            "  {id} {} : {pre} -> {post} delay = {} {}",
            name(&projection.name),
            projection.delay,
            if projection.trainable {
                "trainable"
            } else {
                "constant"
            }
        );
        let _ = writeln!(
            out,
            "    weight [{}, {}] = {}",
            network.populations[pre].size,
            network.populations[post].size,
            values(&projection.weights)
        );
        if let Some(bias) = &projection.bias {
            let _ = writeln!(out, "    bias [{}] = {}", bias.len(), values(bias));
        }
    }
    out.push_str("}\n");
    out
}

fn model(neuron: &Neuron) -> &'static str {
    if neuron.synapse.is_some() {
        "cuba_lif"
    } else {
        "lif"
    }
}

fn fields(neuron: &Neuron) -> String {
    let value = |p: &Parameter| match p {
        Parameter::Uniform(v) => format!("{v:?}"),
        Parameter::PerNeuron(v) => list(v),
    };
    let mut text = format!(
        "tau_mem = {} r = {} v_leak = {} threshold = {} v_reset = {}",
        value(&neuron.tau_mem),
        value(&neuron.r),
        value(&neuron.v_leak),
        value(&neuron.threshold),
        value(&neuron.v_reset)
    );
    if let Some(synapse) = &neuron.synapse {
        let _ = write!(
            text,
            " tau_syn = {} w_in = {}",
            value(&synapse.tau_syn),
            value(&synapse.w_in)
        );
    }
    text
}

/// Names of an attribute's values.
type Words<T> = [(T, &'static str); 2];

const INTEGRATORS: Words<Integrator> = [
    (Integrator::Exponential, "exponential"),
    (Integrator::Euler, "euler"),
];
const ORDERS: Words<Order> = [
    (Order::CurrentFirst, "current_first"),
    (Order::Simultaneous, "simultaneous"),
];
const RESETS: Words<Reset> = [(Reset::ToValue, "to_value"), (Reset::Subtract, "subtract")];
const THRESHOLDS: Words<Threshold> = [
    (Threshold::Strict, "strict"),
    (Threshold::Inclusive, "inclusive"),
];
const SPIKES: Words<SpikeShape> = [(SpikeShape::Impulse, "impulse"), (SpikeShape::Held, "held")];

fn word<T: Copy + PartialEq>(words: &Words<T>, value: T) -> &'static str {
    if words[0].0 == value {
        words[0].1
    } else {
        words[1].1
    }
}

fn attribute<T: Copy>(line: &mut Line, key: &str, words: &Words<T>) -> Parsed<T> {
    line.expect(key)?;
    line.expect("=")?;
    let found = line.word()?;
    words
        .iter()
        .find(|(_, w)| *w == found)
        .map(|(value, _)| *value)
        .ok_or_else(|| format!("`{key}` is {} or {}, not `{found}`", words[0].1, words[1].1))
}

/// Parses a network; `externals` gives the values that the text leaves out, by
/// `projection.weight` and `projection.bias`.
///
/// # Errors
/// Every line that does not parse.
pub fn parse_network(text: &str, externals: &Externals) -> Result<Network, Diagnostics> {
    let mut lines = Lines::new(text);
    let network = network(&mut lines, externals);
    lines.finish(network)
}

/// Reads a line with `f`; notes a problem.
fn read<T>(lines: &mut Lines, f: impl FnOnce(&mut Line) -> Parsed<T>) -> Option<T> {
    let mut line = lines.next()?;
    match f(&mut line).and_then(|value| line.done().map(|()| value)) {
        Ok(value) => Some(value),
        Err(message) => {
            lines.problem(line.number, message);
            None
        }
    }
}

fn network(lines: &mut Lines, externals: &Externals) -> Option<Network> {
    let (name, dt, output) = read(lines, |line| {
        line.expect("network")?;
        let name = line.name()?;
        let dt = line.field("dt")?;
        line.expect("output")?;
        line.expect("=")?;
        let output = line.entity::<Pop>("pop")?;
        line.expect("{")?;
        Ok((name, dt, output))
    })?;
    let convention = read(lines, convention)?;
    let mut network = Network {
        name,
        dt,
        convention,
        populations: PrimaryMap::new(),
        projections: PrimaryMap::new(),
        output,
    };
    loop {
        match lines.peek()? {
            "}" => {
                read(lines, |line| line.expect("}"));
                return Some(network);
            }
            first if first.starts_with("proj") => {
                if let Some(projection) = projection(lines, externals, &network) {
                    network.projections.push(projection);
                }
            }
            _ => {
                let next = network.populations.len();
                if let Some(population) = read(lines, |line| population(line, next)) {
                    network.populations.push(population);
                }
            }
        }
    }
}

fn convention(line: &mut Line) -> Parsed<Convention> {
    line.expect("convention")?;
    Ok(Convention {
        name: line.name()?,
        integrator: attribute(line, "integrator", &INTEGRATORS)?,
        order: attribute(line, "order", &ORDERS)?,
        reset: attribute(line, "reset", &RESETS)?,
        threshold: attribute(line, "threshold", &THRESHOLDS)?,
        spike: attribute(line, "spike", &SPIKES)?,
        delay: line.field("delay")?,
        time_unit: line.field("time_unit")?,
    })
}

fn population(line: &mut Line, next: usize) -> Parsed<Population> {
    let id: Pop = line.entity("pop")?;
    if id.index() != next {
        return Err(format!("{id} stands where {} is due", Pop::new(next)));
    }
    let name = line.name()?;
    line.expect(":")?;
    let model = line.word()?;
    let size: Vec<usize> = line.list()?;
    let [size] = size[..] else {
        return Err("a population has one size".into());
    };
    let kind = match model.as_str() {
        "source" => PopulationKind::Source,
        "lif" => PopulationKind::Neurons(neuron(line, size, false)?),
        "cuba_lif" => PopulationKind::Neurons(neuron(line, size, true)?),
        other => return Err(format!("unknown model `{other}`")),
    };
    Ok(Population { name, size, kind })
}

fn neuron(line: &mut Line, size: usize, cuba: bool) -> Parsed<Neuron> {
    let mut field = |key: &str| parameter(line, key, size);
    Ok(Neuron {
        tau_mem: field("tau_mem")?,
        r: field("r")?,
        v_leak: field("v_leak")?,
        threshold: field("threshold")?,
        v_reset: field("v_reset")?,
        synapse: if cuba {
            Some(Synapse {
                tau_syn: field("tau_syn")?,
                w_in: field("w_in")?,
            })
        } else {
            None
        },
    })
}

fn parameter(line: &mut Line, key: &str, size: usize) -> Parsed<Parameter> {
    line.expect(key)?;
    line.expect("=")?;
    if !matches!(line.peek(), Some(Token::Mark("["))) {
        return Ok(Parameter::Uniform(line.number()?));
    }
    let values: Vec<f64> = line.list()?;
    if values.len() == size {
        Ok(Parameter::PerNeuron(values))
    } else {
        Err(format!(
            "`{key}` has {} values for {size} neurons",
            values.len()
        ))
    }
}

fn projection(lines: &mut Lines, externals: &Externals, network: &Network) -> Option<Projection> {
    let next = network.projections.len();
    let mut projection = read(lines, |line| {
        let id: Proj = line.entity("proj")?;
        if id.index() != next {
            return Err(format!("{id} stands where {} is due", Proj::new(next)));
        }
        let name = line.name()?;
        line.expect(":")?;
        let pre = line.entity("pop")?;
        line.expect("->")?;
        let post = line.entity("pop")?;
        for pop in [pre, post] {
            if network.populations.get(pop).is_none() {
                return Err(format!("{pop} does not exist"));
            }
        }
        let delay = line.field("delay")?;
        let trainable = match line.word()?.as_str() {
            "trainable" => true,
            "constant" => false,
            other => return Err(format!("expected trainable or constant, found `{other}`")),
        };
        Ok(Projection {
            name,
            pre,
            post,
            weights: Vec::new(),
            bias: None,
            delay,
            trainable,
        })
    });
    let name = projection
        .as_ref()
        .map_or("", |p| p.name.as_str())
        .to_owned();
    let weights = read(lines, |line| tensor(line, "weight", &name, externals));
    let bias = (lines.peek() == Some("bias"))
        .then(|| read(lines, |line| tensor(line, "bias", &name, externals)))
        .flatten();
    if let (Some(projection), Some(weights)) = (&mut projection, weights) {
        projection.weights = weights;
        projection.bias = bias;
    }
    projection
}

fn tensor(line: &mut Line, key: &str, name: &str, externals: &Externals) -> Parsed<Vec<f32>> {
    line.expect(key)?;
    let shape: Vec<usize> = line.list()?;
    line.expect("=")?;
    let values = line.values(&format!("{name}.{key}"), externals)?;
    let expected = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    if expected == Some(values.len()) {
        Ok(values)
    } else {
        Err(format!("{} values for the shape {shape:?}", values.len()))
    }
}

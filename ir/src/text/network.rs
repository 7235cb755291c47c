//! The text of networks.

use std::fmt::Write as _;
use std::str::FromStr;

use super::lexer::{Line, Lines, Parsed, Token};
use super::{Externals, connection, linear, list, name, numbers, values};
use crate::connection::Connection;
use crate::diagnostic::Diagnostics;
use crate::entity::{Entity, PrimaryMap};
use crate::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Proj, Projection, SourceDelays, Synapse,
};

/// Prints a network.
pub fn print_network(network: &Network) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "network {} dt = {:?} {{",
        name(&network.name),
        network.dt
    );
    print_convention(&mut out, "  ", &network.convention, None);
    for (id, population) in network.populations.iter() {
        let shape = list(&population.shape);
        let head = format!("  {id} {} : ", name(&population.name));
        let _ = match &population.kind {
            PopulationKind::Source => writeln!(out, "{head}source {shape}"),
            PopulationKind::Graded => writeln!(out, "{head}graded {shape}"),
            PopulationKind::Neurons(neuron) => {
                let scale = match population.weight_scale {
                    1.0 => String::new(),
                    scale => format!(" weight_scale = {scale:?}"),
                };
                let (model, fields) = (model(neuron), fields(neuron));
                writeln!(out, "{head}{model} {shape}{fields}{scale}")
            }
        };
        if let Some(convention) = &population.convention {
            print_convention(&mut out, "    ", convention, Some(&network.convention));
        }
    }
    for (id, projection) in network.projections.iter() {
        print_projection(&mut out, network, id, projection);
    }
    for port in &network.outputs {
        let _ = writeln!(out, "  output {} : {}", name(&port.name), port.population);
    }
    out.push_str("}\n");
    out
}

/// Columns of a line of attributes.
const COLUMNS: usize = 100;

/// All attributes, or those in which a population differs from the network.
fn print_convention(
    out: &mut String,
    indent: &str,
    convention: &Convention,
    network: Option<&Convention>,
) {
    let others = network.map(Convention::attributes).unwrap_or_default();
    let attributes = convention.attributes().into_iter();
    let stated = attributes.filter(|attribute| !others.contains(attribute));
    let _ = writeln!(out, "{indent}convention {} {{", name(&convention.name));
    let mut line = String::new();
    for (attribute, value) in stated {
        let text = format!("  {attribute} = {value}");
        if !line.is_empty() && indent.len() + line.len() + text.len() > COLUMNS {
            let _ = writeln!(out, "{indent}{line}");
            line.clear();
        }
        line.push_str(&text);
    }
    if !line.is_empty() {
        let _ = writeln!(out, "{indent}{line}");
    }
    let _ = writeln!(out, "{indent}}}");
}

fn state(trainable: bool) -> &'static str {
    if trainable { "trainable" } else { "constant" }
}

/// What is not 1 of a factor, and of the neurons that share a bias.
fn shared(projection: &Projection) -> String {
    let mut text = String::new();
    if projection.factor.to_bits() != 1.0_f64.to_bits() {
        let _ = write!(text, " factor = {}", projection.factor);
    }
    if projection.bias_run != 1 {
        let _ = write!(text, " bias_run = {}", projection.bias_run);
    }
    text
}

fn print_projection(out: &mut String, network: &Network, id: Proj, projection: &Projection) {
    let (pre, post) = (projection.pre, projection.post);
    let _ = writeln!(
        out,
        "  {id} {} : {pre} -> {post} delay = {} {}{}",
        name(&projection.name),
        projection.delay,
        state(projection.trainable),
        shared(projection)
    );
    match &projection.link {
        Link::Path(nodes) => nodes.iter().for_each(|node| linear::print(out, node)),
        Link::Dense(weights) => {
            let [inputs, outputs] = [pre, post].map(|p| network.populations[p].size);
            let weights = values(weights);
            let _ = writeln!(out, "    weight [{inputs}, {outputs}] = {weights}");
        }
        Link::Taps { axes, weights } => {
            let _ = writeln!(out, "    taps [{}] = {}", weights.len(), values(weights));
            connection::print(out, "      ", &Connection::Taps(axes.clone()));
        }
    }
    if let Some(delays) = &projection.delays {
        let _ = writeln!(
            out,
            "    delays {} {} [{}] = {}",
            name(&delays.name),
            state(delays.trainable),
            delays.bins.len(),
            values(&delays.bins)
        );
    }
    if let Some(bias) = &projection.bias {
        let _ = writeln!(out, "    bias [{}] = {}", bias.len(), values(bias));
    }
}

/// A model's name, after the NIR node that it is.
fn model(neuron: &Neuron) -> &'static str {
    let fires = neuron.firing.is_some();
    match (&neuron.membrane, &neuron.synapse) {
        (Membrane::Direct, None) if fires => "threshold",
        (Membrane::Direct, None) => "relay",
        (Membrane::Integrator { .. }, None) if fires => "if",
        (Membrane::Integrator { .. }, None) => "i",
        (Membrane::Leaky { .. }, None) if fires => "lif",
        (Membrane::Leaky { .. }, None) => "li",
        (Membrane::Leaky { .. }, Some(_)) if fires => "cuba_lif",
        (Membrane::Leaky { .. }, Some(_)) => "cuba_li",
        (Membrane::Direct, Some(_)) if fires => "cuba_threshold",
        (Membrane::Direct, Some(_)) => "cuba_relay",
        (Membrane::Integrator { .. }, Some(_)) if fires => "cuba_if",
        (Membrane::Integrator { .. }, Some(_)) => "cuba_i",
    }
}

fn fields(neuron: &Neuron) -> String {
    let mut text = String::new();
    for (field, parameter) in neuron.parameters() {
        let value = match parameter {
            Parameter::Uniform(v) => format!("{v:?}"),
            Parameter::PerNeuron(v) => numbers(v),
        };
        let _ = write!(text, " {field} = {value}");
    }
    text
}

/// Parses a network; `externals` gives the values that the text leaves out, by `projection.weight`,
/// `projection.bias`, and for nodes of paths `node.field`.
///
/// # Errors
/// Every line that does not parse.
pub fn parse_network(text: &str, externals: &Externals) -> Result<Network, Diagnostics> {
    let mut lines = Lines::new(text);
    let network = network(&mut lines, externals);
    lines.finish(network)
}

fn network(lines: &mut Lines, externals: &Externals) -> Option<Network> {
    let (name, dt) = lines.read(|line| {
        line.expect("network")?;
        let head = (line.name()?, line.field("dt")?);
        line.expect("{")?;
        Ok(head)
    })?;
    let mut network = Network {
        name,
        dt,
        convention: convention(lines, None)?,
        populations: PrimaryMap::new(),
        projections: PrimaryMap::new(),
        outputs: Vec::new(),
    };
    loop {
        match lines.peek()? {
            "}" => {
                lines.read(|line| line.expect("}"));
                return Some(network);
            }
            "output" => network.outputs.extend(lines.read(port)),
            first if first.starts_with("proj") => {
                if let Some(projection) = projection(lines, externals, &network) {
                    network.projections.push(projection);
                }
            }
            _ => {
                let next = network.populations.len();
                let population = lines.read(|line| population(line, next));
                let own = match lines.peek() {
                    Some("convention") => convention(lines, Some(&network.convention)),
                    _ => None,
                };
                if let Some(population) = population {
                    network.populations.push(Population {
                        convention: own,
                        ..population
                    });
                }
            }
        }
    }
}

fn port(line: &mut Line) -> Parsed<Port> {
    line.expect("output")?;
    let name = line.name()?;
    line.expect(":")?;
    let population = line.entity("pop")?;
    Ok(Port { name, population })
}

/// The convention of a network with all attributes, or of a population with those in which it differs.
fn convention(lines: &mut Lines, network: Option<&Convention>) -> Option<Convention> {
    let name = lines.read(|line| {
        line.expect("convention")?;
        let name = line.name()?;
        line.expect("{")?;
        Ok(name)
    })?;
    let mut convention = network.cloned().or_else(|| Convention::preset("nir"))?;
    convention.name = name;
    let mut stated = Vec::new();
    while lines.peek()? != "}" {
        lines.read(|line| {
            while !line.is_done() {
                stated.push(attribute(line, &mut convention, &stated)?);
            }
            Ok(())
        });
    }
    lines.read(|line| line.expect("}"));
    let missing = Convention::ATTRIBUTES
        .iter()
        .filter(|attribute| network.is_none() && !stated.iter().any(|s| s == *attribute));
    for attribute in missing {
        lines.problem(lines.number(), format!("`{attribute}` is missing"));
    }
    Some(convention)
}

/// Reads and sets an attribute that is not `stated` yet; its name.
fn attribute(line: &mut Line, convention: &mut Convention, stated: &[String]) -> Parsed<String> {
    let attribute = line.word()?;
    if stated.contains(&attribute) {
        return Err(format!("`{attribute}` stands here twice"));
    }
    line.expect("=")?;
    let value = line.word()?;
    convention
        .set(&attribute, &value)
        .map_err(|e| format!("`{attribute}`: {e}"))?;
    Ok(attribute)
}

fn population(line: &mut Line, next: usize) -> Parsed<Population> {
    let id: Pop = line.entity("pop")?;
    if id.index() != next {
        return Err(format!("{id} stands where {} is due", Pop::new(next)));
    }
    let name = line.name()?;
    line.expect(":")?;
    let model = line.word()?;
    let shape: Vec<usize> = line.list()?;
    let size = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    let size = size.ok_or("the shape is too large")?;
    let kind = match model.as_str() {
        "source" => PopulationKind::Source,
        "graded" => PopulationKind::Graded,
        other => PopulationKind::Neurons(neuron(line, other, size)?),
    };
    let weight_scale = if matches!(line.peek(), Some(Token::Word(w)) if w == "weight_scale") {
        line.field("weight_scale")?
    } else {
        1.0
    };
    Ok(Population {
        name,
        size,
        shape,
        kind,
        convention: None,
        weight_scale,
    })
}

fn neuron(line: &mut Line, model: &str, size: usize) -> Parsed<Neuron> {
    let (cuba, plain) = match model.strip_prefix("cuba_") {
        Some(plain) => (true, plain),
        None => (false, model),
    };
    let mut field = |key: &str| parameter(line, key, size);
    let (membrane, fires) = match plain {
        "threshold" | "relay" => (Membrane::Direct, plain == "threshold"),
        "i" | "if" => (Membrane::Integrator { r: field("r")? }, plain == "if"),
        "li" | "lif" => (
            Membrane::Leaky {
                tau: field("tau_mem")?,
                r: field("r")?,
                v_leak: field("v_leak")?,
            },
            plain == "lif",
        ),
        _ => return Err(format!("unknown model `{model}`")),
    };
    let firing = if fires {
        Some(Firing {
            threshold: field("threshold")?,
            v_reset: field("v_reset")?,
        })
    } else {
        None
    };
    let synapse = if cuba {
        Some(Synapse {
            tau_syn: field("tau_syn")?,
            w_in: field("w_in")?,
        })
    } else {
        None
    };
    Ok(Neuron {
        membrane,
        synapse,
        firing,
    })
}

fn parameter(line: &mut Line, key: &str, size: usize) -> Parsed<Parameter> {
    line.expect(key)?;
    line.expect("=")?;
    if !matches!(line.peek(), Some(Token::Mark("["))) {
        return Ok(Parameter::Uniform(line.number()?));
    }
    let values: Vec<f64> = line.numbers()?;
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
    let projection = lines.read(|line| head(line, next, network));
    let name = projection
        .as_ref()
        .map_or("", |p| p.name.as_str())
        .to_owned();
    let link = link(lines, &name, externals);
    let delays = (lines.peek() == Some("delays"))
        .then(|| lines.read(|line| delays(line, externals)))
        .flatten();
    let bias = (lines.peek() == Some("bias"))
        .then(|| lines.read(|line| tensor(line, "bias", &name, externals)))
        .flatten();
    Some(Projection {
        link: link?,
        delays,
        bias,
        ..projection?
    })
}

fn trainable(line: &mut Line) -> Parsed<bool> {
    match line.word()?.as_str() {
        "trainable" => Ok(true),
        "constant" => Ok(false),
        other => Err(format!("expected trainable or constant, found `{other}`")),
    }
}

fn delays(line: &mut Line, externals: &Externals) -> Parsed<SourceDelays> {
    line.expect("delays")?;
    let name = line.name()?;
    let trainable = trainable(line)?;
    let bins = shaped(line, &format!("{name}.delay"), externals)?;
    Ok(SourceDelays {
        name,
        bins,
        trainable,
    })
}

/// A projection's first line.
fn head(line: &mut Line, next: usize, network: &Network) -> Parsed<Projection> {
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
    let trainable = trainable(line)?;
    let (mut factor, mut bias_run) = (1.0, 1);
    while !line.is_done() {
        match line.word()?.as_str() {
            "factor" => {
                line.expect("=")?;
                factor = line.number()?;
            }
            "bias_run" => {
                line.expect("=")?;
                bias_run = line.number()?;
            }
            other => return Err(format!("expected factor or bias_run, found `{other}`")),
        }
    }
    Ok(Projection {
        name,
        pre,
        post,
        link: Link::Path(Vec::new()),
        bias: None,
        delay,
        delays: None,
        trainable,
        factor,
        bias_run,
    })
}

fn link(lines: &mut Lines, name: &str, externals: &Externals) -> Option<Link> {
    match lines.peek()? {
        "weight" => {
            let weights = lines.read(|line| tensor(line, "weight", name, externals))?;
            Some(Link::Dense(weights))
        }
        "taps" => {
            let weights = lines.read(|line| {
                line.expect("taps")?;
                shaped(line, &format!("{name}.weight"), externals)
            });
            let axes = connection::axes(lines);
            Some(Link::Taps {
                axes,
                weights: weights?,
            })
        }
        _ => {
            let mut nodes = Vec::new();
            while lines.peek() == Some("node") {
                nodes.extend(linear::parse(lines, externals));
            }
            Some(Link::Path(nodes))
        }
    }
}

fn tensor(line: &mut Line, key: &str, name: &str, externals: &Externals) -> Parsed<Vec<f32>> {
    line.expect(key)?;
    shaped(line, &format!("{name}.{key}"), externals)
}

/// `[shape] = values`.
pub(super) fn shaped<T>(line: &mut Line, name: &str, externals: &Externals) -> Parsed<Vec<T>>
where
    T: FromStr + super::Element,
{
    let shape: Vec<usize> = line.list()?;
    line.expect("=")?;
    let values = line.values(name, externals)?;
    let expected = shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d));
    if expected == Some(values.len()) {
        Ok(values)
    } else {
        Err(format!("{} values for the shape {shape:?}", values.len()))
    }
}

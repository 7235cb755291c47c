//! Sizes of populations, inferred from weights, parameters and ports, and checked against all.

use std::collections::BTreeMap;

use nir_rs::Tensor;
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::topology::{Link, Neurons, Role, Wiring};

/// What the shapes say.
#[derive(Default)]
pub(super) struct Sizes<'a> {
    /// Size of each population; missing where an error was reported.
    pub(super) populations: BTreeMap<&'a str, usize>,
    /// (out, in) of each link whose matrix fits both of its populations, by node name.
    pub(super) matrices: BTreeMap<&'a str, (usize, usize)>,
}

/// A size and where it comes from, for messages.
struct Claim {
    size: usize,
    by: String,
}

pub(super) fn infer<'a>(wiring: &Wiring<'a>, problems: &mut Diagnostics) -> Sizes<'a> {
    let matrices = matrices(wiring, problems);
    let mut claims = BTreeMap::new();
    for (name, role) in &wiring.nodes {
        let claim = match role {
            // An Input without weights makes no network; the reason was reported.
            Role::Source(_) => match matrices.outgoing(name) {
                None => continue,
                claim => claim,
            },
            Role::Neurons(neurons) => matrices
                .incoming(name)
                .or_else(|| parameter_claim(name, *neurons, |len| len != 1))
                .or_else(|| matrices.outgoing(name))
                .or_else(|| parameter_claim(name, *neurons, |_| true))
                .or_else(|| output_claim(name, wiring)),
            _ => continue,
        };
        match claim {
            Some(Claim { size: 0, by }) => problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                *name,
                format!("expected at least 1 neuron or channel, found 0 ({by})"),
            )),
            Some(claim) => {
                claims.insert(*name, claim);
            }
            // Where weights or neighbours are faulty, that is what to mend.
            None if problems.has_errors() => {}
            None => report_unknown(name, problems),
        }
    }
    for link in &wiring.links {
        check_link(link, &matrices, &claims, problems);
    }
    check_ports(wiring, &claims, problems);
    Sizes {
        populations: claims.into_iter().map(|(n, c)| (n, c.size)).collect(),
        matrices: matrices.shapes,
    }
}

/// The shapes of all links, and for each population the first link on either side.
#[derive(Default)]
struct Matrices<'a> {
    shapes: BTreeMap<&'a str, (usize, usize)>,
    into: BTreeMap<&'a str, &'a str>,
    from: BTreeMap<&'a str, &'a str>,
}

fn matrices<'a>(wiring: &Wiring<'a>, problems: &mut Diagnostics) -> Matrices<'a> {
    let mut matrices = Matrices::default();
    for link in &wiring.links {
        if let Some(shape) = matrix(link, problems) {
            matrices.shapes.insert(link.name, shape);
            matrices.into.entry(link.post).or_insert(link.name);
            matrices.from.entry(link.pre).or_insert(link.name);
        }
    }
    matrices
}

impl Matrices<'_> {
    fn incoming(&self, population: &str) -> Option<Claim> {
        let link = self.into.get(population)?;
        let (size, _) = *self.shapes.get(link)?;
        let by = format!("{link} has {size} outputs");
        Some(Claim { size, by })
    }

    fn outgoing(&self, population: &str) -> Option<Claim> {
        let link = self.from.get(population)?;
        let (_, size) = *self.shapes.get(link)?;
        let by = format!("{link} has {size} inputs");
        Some(Claim { size, by })
    }
}

/// Number of elements if a shape is a vector with axes of length 1 around it.
pub(super) fn vector_len(shape: &[usize]) -> Option<usize> {
    let mut long = shape.iter().filter(|d| **d != 1);
    match (long.next(), long.next()) {
        (None, _) => Some(1),
        (Some(len), None) => Some(*len),
        _ => None,
    }
}

fn matrix(link: &Link<'_>, problems: &mut Diagnostics) -> Option<(usize, usize)> {
    let shape = link.weights.weight.shape();
    match shape {
        [rest @ .., out, inn] if rest.iter().all(|d| *d == 1) && *out > 0 && *inn > 0 => {
            if !rest.is_empty() {
                problems.push(Diagnostic::note(
                    codes::GRAPH_REPAIRED,
                    link.name,
                    format!("`weight` of shape {shape:?} is taken as [{out}, {inn}]"),
                ));
            }
            Some((*out, *inn))
        }
        _ => {
            problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                link.name,
                format!("expected `weight` of shape [outputs, inputs], found {shape:?}"),
            ));
            None
        }
    }
}

fn parameter_claim(
    name: &str,
    neurons: Neurons<'_>,
    is_telling: impl Fn(usize) -> bool,
) -> Option<Claim> {
    neurons.fields().into_iter().find_map(|(field, tensor)| {
        let size =
            vector_len(tensor.shape()).filter(|len| tensor.ndim() > 0 && is_telling(*len))?;
        let by = format!("`{field}` of {name} has {size} values");
        Some(Claim { size, by })
    })
}

fn output_claim(name: &str, wiring: &Wiring<'_>) -> Option<Claim> {
    let (port, _) = wiring
        .output
        .filter(|(_, population)| *population == name)?;
    let Some(Role::Sink(output)) = wiring.nodes.get(port) else {
        return None;
    };
    let size = *output.shape.last()?;
    let by = format!("{port} has shape {:?}", output.shape);
    Some(Claim { size, by })
}

/// Checks a matrix against the sizes of the populations on either side.
fn check_link(
    link: &Link<'_>,
    matrices: &Matrices<'_>,
    claims: &BTreeMap<&str, Claim>,
    problems: &mut Diagnostics,
) {
    let Some((out, inn)) = matrices.shapes.get(link.name) else {
        return;
    };
    for (population, found, what) in [(link.post, *out, "outputs"), (link.pre, *inn, "inputs")] {
        if let Some(Claim { size, by }) = claims.get(population)
            && *size != found
        {
            problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                link.name,
                format!(
                    "expected `weight` with {size} {what}, the size of {population} ({by}), found {found}"
                ),
            ));
        }
    }
}

fn check_ports(wiring: &Wiring<'_>, claims: &BTreeMap<&str, Claim>, problems: &mut Diagnostics) {
    for (name, role) in &wiring.nodes {
        match role {
            Role::Source(input) => {
                if let Some(claim) = claims.get(name) {
                    check_port(name, &input.shape, claim.size, problems);
                }
            }
            Role::Sink(output) => {
                if let Some((port, population)) = wiring.output
                    && port == *name
                    && let Some(claim) = claims.get(population)
                {
                    check_port(name, &output.shape, claim.size, problems);
                }
            }
            _ => {}
        }
    }
}

/// A port's shape against the size of its population. Batch and time axes lead; the channels are the
/// last axis, or the only one that is longer than 1.
fn check_port(name: &str, shape: &[usize], size: usize, problems: &mut Diagnostics) {
    if shape == [size] {
        return;
    }
    let fits = shape.last() == Some(&size) || vector_len(shape) == Some(size);
    problems.push(if fits {
        Diagnostic::note(
            codes::GRAPH_REPAIRED,
            name,
            format!("the shape {shape:?} is taken as [{size}]: the other axes are batch or time"),
        )
    } else {
        Diagnostic::error(
            codes::NODE_SHAPE,
            name,
            format!("expected shape [{size}], the size of its population, found {shape:?}"),
        )
    });
}

fn report_unknown(name: &str, problems: &mut Diagnostics) {
    problems.push(
        Diagnostic::error(
            codes::NODE_SHAPE,
            name,
            "expected weights or parameters that tell the number of neurons, found neither",
        )
        .help("write at least one parameter with a value for each neuron"),
    );
}

impl<'a> Neurons<'a> {
    /// The parameters that the file gives, with their names.
    pub(super) fn fields(self) -> Vec<(&'static str, &'a Tensor)> {
        let (mut fields, optional) = match self {
            Self::Lif(n) => (
                vec![
                    ("tau", &n.tau),
                    ("r", &n.r),
                    ("v_leak", &n.v_leak),
                    ("v_threshold", &n.v_threshold),
                ],
                vec![("v_reset", &n.v_reset)],
            ),
            Self::CubaLif(n) => (
                vec![
                    ("tau_mem", &n.tau_mem),
                    ("tau_syn", &n.tau_syn),
                    ("r", &n.r),
                    ("v_leak", &n.v_leak),
                    ("v_threshold", &n.v_threshold),
                ],
                vec![("v_reset", &n.v_reset), ("w_in", &n.w_in)],
            ),
        };
        fields.extend(
            optional
                .into_iter()
                .filter_map(|(name, field)| Some((name, field.as_ref()?))),
        );
        fields
    }
}

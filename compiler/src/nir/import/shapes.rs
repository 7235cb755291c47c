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

/// Where a size comes from, for messages.
struct Claim {
    size: usize,
    by: String,
}

pub(super) fn infer<'a>(wiring: &Wiring<'a>, problems: &mut Diagnostics) -> Sizes<'a> {
    let matrices: BTreeMap<&str, (usize, usize)> = wiring
        .links
        .iter()
        .filter_map(|link| Some((link.name, matrix(link, problems)?)))
        .collect();
    let mut sizes = Sizes::default();
    for (name, role) in &wiring.nodes {
        let claim = match role {
            Role::Source(input) => {
                first_outgoing(name, wiring, &matrices).or_else(|| port_claim(name, &input.shape))
            }
            Role::Neurons(neurons) => first_incoming(name, wiring, &matrices)
                .or_else(|| parameter_claim(name, *neurons))
                .or_else(|| first_outgoing(name, wiring, &matrices))
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
                check_matrices(name, &claim, wiring, &matrices, problems);
                if let Role::Source(input) = role {
                    check_port(name, &input.shape, claim.size, problems);
                }
                sizes.populations.insert(name, claim.size);
            }
            None => report_unknown(name, wiring, problems),
        }
    }
    check_output(wiring, &sizes, problems);
    sizes.matrices = matrices;
    sizes
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

fn first_incoming(
    name: &str,
    wiring: &Wiring<'_>,
    matrices: &BTreeMap<&str, (usize, usize)>,
) -> Option<Claim> {
    wiring
        .links
        .iter()
        .filter(|l| l.post == name)
        .find_map(|l| {
            let (size, _) = *matrices.get(l.name)?;
            let by = format!("{} has {size} outputs", l.name);
            Some(Claim { size, by })
        })
}

fn first_outgoing(
    name: &str,
    wiring: &Wiring<'_>,
    matrices: &BTreeMap<&str, (usize, usize)>,
) -> Option<Claim> {
    wiring.links.iter().filter(|l| l.pre == name).find_map(|l| {
        let (_, size) = *matrices.get(l.name)?;
        let by = format!("{} has {size} inputs", l.name);
        Some(Claim { size, by })
    })
}

fn parameter_claim(name: &str, neurons: Neurons<'_>) -> Option<Claim> {
    neurons.fields().into_iter().find_map(|(field, tensor)| {
        let size = vector_len(tensor.shape()).filter(|_| tensor.ndim() > 0)?;
        let by = format!("`{field}` of {name} has {size} values");
        Some(Claim { size, by })
    })
}

fn output_claim(name: &str, wiring: &Wiring<'_>) -> Option<Claim> {
    wiring.nodes.iter().find_map(|(port, role)| match role {
        Role::Sink(output) if wiring.output == Some(name) => port_claim(port, &output.shape),
        _ => None,
    })
}

fn port_claim(name: &str, shape: &[usize]) -> Option<Claim> {
    let size = *shape.last()?;
    let by = format!("{name} has shape {shape:?}");
    Some(Claim { size, by })
}

/// Checks every matrix at a population against the claim that gave its size.
fn check_matrices(
    name: &str,
    claim: &Claim,
    wiring: &Wiring<'_>,
    matrices: &BTreeMap<&str, (usize, usize)>,
    problems: &mut Diagnostics,
) {
    for link in &wiring.links {
        let Some((out, inn)) = matrices.get(link.name) else {
            continue;
        };
        for (is_there, found, what) in [
            (link.post == name, *out, "outputs"),
            (link.pre == name, *inn, "inputs"),
        ] {
            if is_there && found != claim.size {
                problems.push(Diagnostic::error(
                    codes::NODE_SHAPE,
                    link.name,
                    format!(
                        "expected `weight` with {} {what}, the size of {name} ({}), found {found}",
                        claim.size, claim.by
                    ),
                ));
            }
        }
    }
}

fn check_output(wiring: &Wiring<'_>, sizes: &Sizes<'_>, problems: &mut Diagnostics) {
    let size = wiring.output.and_then(|name| sizes.populations.get(name));
    for (port, role) in &wiring.nodes {
        if let (Role::Sink(output), Some(size)) = (role, size) {
            check_port(port, &output.shape, *size, problems);
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

fn report_unknown(name: &str, wiring: &Wiring<'_>, problems: &mut Diagnostics) {
    // Something is wrong with its neighbours, or there are none; either was reported, except for a
    // population whose parameters are all scalars or arrays, between nodes that are not supported.
    let is_alone = !wiring
        .links
        .iter()
        .any(|link| link.pre == name || link.post == name);
    if is_alone {
        problems.push(
            Diagnostic::error(
                codes::NODE_SHAPE,
                name,
                "expected parameters or neighbours that tell the number of neurons, found neither",
            )
            .help("write at least one parameter with a value for each neuron"),
        );
    }
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

//! Parameters of neurons, one value a neuron, in the network's units.

use std::collections::BTreeMap;

use nir_rs::{NirNode, Tensor};
use nirc_ir::network::{
    Convention, Firing, Integrator, Membrane, Neuron, Parameter, Reset, Synapse,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::graph::{Graph, Kind};
use super::shapes::Shapes;
use super::values::{Domain, Fit, broadcast, check, note_broadcast, report_misfits, to_f64};

/// The neurons of each population, by node.
pub(super) fn all(
    graph: &Graph<'_>,
    shapes: &Shapes,
    time_unit: f64,
    problems: &mut Diagnostics,
) -> BTreeMap<usize, Neuron> {
    let mut neurons = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let Kind::Neurons(kind) = node.kind else {
            continue;
        };
        // Parameters are judged even where the shape is not known.
        let shape = shapes.of(index).map(|(shape, _)| shape.as_slice());
        if let Some(parameters) = parameters(&node.path, kind, shape, problems) {
            neurons.insert(index, neuron(kind, &parameters, time_unit));
        }
    }
    neurons
}

/// The parameters that the file gives, with their names.
pub(super) fn fields(node: &NirNode) -> Vec<(&'static str, &Tensor)> {
    let (mut fields, optional) = match node {
        NirNode::Threshold(n) => (vec![("threshold", &n.threshold)], vec![]),
        NirNode::I(n) => (vec![("r", &n.r)], vec![]),
        NirNode::If(n) => (
            vec![("r", &n.r), ("v_threshold", &n.v_threshold)],
            vec![("v_reset", &n.v_reset)],
        ),
        NirNode::Li(n) => (
            vec![("tau", &n.tau), ("r", &n.r), ("v_leak", &n.v_leak)],
            vec![],
        ),
        NirNode::Lif(n) => (
            vec![
                ("tau", &n.tau),
                ("r", &n.r),
                ("v_leak", &n.v_leak),
                ("v_threshold", &n.v_threshold),
            ],
            vec![("v_reset", &n.v_reset)],
        ),
        NirNode::CubaLi(n) => (
            vec![
                ("tau_mem", &n.tau_mem),
                ("tau_syn", &n.tau_syn),
                ("r", &n.r),
                ("v_leak", &n.v_leak),
            ],
            vec![("w_in", &n.w_in)],
        ),
        NirNode::CubaLif(n) => (
            vec![
                ("tau_mem", &n.tau_mem),
                ("tau_syn", &n.tau_syn),
                ("r", &n.r),
                ("v_leak", &n.v_leak),
                ("v_threshold", &n.v_threshold),
            ],
            vec![("v_reset", &n.v_reset), ("w_in", &n.w_in)],
        ),
        _ => (vec![], vec![]),
    };
    fields.extend(
        optional
            .into_iter()
            .filter_map(|(name, field)| Some((name, field.as_ref()?))),
    );
    fields
}

/// Fields that files may lack, and the values that NIR gives them.
fn defaults(node: &NirNode) -> &'static [(&'static str, f64)] {
    match node {
        NirNode::If(_) | NirNode::Lif(_) => &[("v_reset", 0.0)],
        NirNode::CubaLi(_) => &[("w_in", 1.0)],
        NirNode::CubaLif(_) => &[("v_reset", 0.0), ("w_in", 1.0)],
        _ => &[],
    }
}

type Parameters = BTreeMap<&'static str, Parameter>;

fn parameters(
    place: &str,
    node: &NirNode,
    shape: Option<&[usize]>,
    problems: &mut Diagnostics,
) -> Option<Parameters> {
    let mut parameters = Parameters::new();
    let (mut widened, mut misfits) = (Vec::new(), Vec::new());
    let mut is_fine = true;
    for (field, tensor) in fields(node) {
        let values = to_f64(tensor);
        let domain = if field.starts_with("tau") {
            Domain::TimeConstant
        } else {
            Domain::Number
        };
        is_fine &= check(place, field, &values, domain, problems);
        let Some(shape) = shape else { continue };
        match expand(&values, tensor.shape(), shape) {
            Some((parameter, fit)) => {
                if fit == Fit::Broadcast {
                    widened.push(field);
                }
                parameters.insert(field, parameter);
            }
            None => misfits.push((field, tensor.shape())),
        }
    }
    let shape = shape?;
    note_broadcast(place, &widened, shape, problems);
    report_misfits(place, &misfits, shape, problems);
    for (field, value) in defaults(node) {
        parameters.entry(field).or_insert_with(|| {
            problems.push(Diagnostic::note(
                codes::GRAPH_REPAIRED,
                place,
                format!("`{field}` is not in the file; it is {value}, as in NIR"),
            ));
            Parameter::Uniform(*value)
        });
    }
    (is_fine && misfits.is_empty()).then_some(parameters)
}

/// A value for each neuron; one value is not copied.
fn expand(values: &[f64], from: &[usize], shape: &[usize]) -> Option<(Parameter, Fit)> {
    match *values {
        [value] if shape.iter().any(|d| *d != 1) => {
            Some((Parameter::Uniform(value), Fit::Broadcast))
        }
        _ => broadcast(values, from, shape).map(|(all, fit)| (Parameter::from_values(all), fit)),
    }
}

fn neuron(node: &NirNode, parameters: &Parameters, time_unit: f64) -> Neuron {
    let or = |field: &str, default: f64| {
        let parameter = parameters.get(field).cloned();
        parameter.unwrap_or(Parameter::Uniform(default))
    };
    let time = |field: &str| or(field, 0.0).map(|tau| tau * time_unit);
    let integrator = || Membrane::Integrator { r: or("r", 1.0) };
    let leaky = |tau: &str| Membrane::Leaky {
        tau: time(tau),
        r: or("r", 1.0),
        v_leak: or("v_leak", 0.0),
    };
    let firing = |threshold: &str| {
        Some(Firing {
            threshold: or(threshold, 1.0),
            v_reset: or("v_reset", 0.0),
        })
    };
    let synapse = || {
        Some(Synapse {
            tau_syn: time("tau_syn"),
            w_in: or("w_in", 1.0),
        })
    };
    let (membrane, synapse, firing) = match node {
        NirNode::I(_) => (integrator(), None, None),
        NirNode::If(_) => (integrator(), None, firing("v_threshold")),
        NirNode::Li(_) => (leaky("tau"), None, None),
        NirNode::Lif(_) => (leaky("tau"), None, firing("v_threshold")),
        NirNode::CubaLi(_) => (leaky("tau_mem"), synapse(), None),
        NirNode::CubaLif(_) => (leaky("tau_mem"), synapse(), firing("v_threshold")),
        _ => (Membrane::Direct, None, firing("threshold")),
    };
    Neuron {
        membrane,
        synapse,
        firing,
    }
}

/// Warns about neurons that have a meaning, but hardly the one that was meant.
pub(super) fn warn_about_dynamics(
    place: &str,
    neuron: &Neuron,
    (convention, dt): (&Convention, f64),
    problems: &mut Diagnostics,
) {
    let mut warn = |odd: Option<usize>, message: &dyn Fn(usize) -> String| {
        if let Some(n) = odd {
            problems.push(Diagnostic::warning(codes::NODE_VALUE, place, message(n)));
        }
    };
    let has_memory = neuron.membrane != Membrane::Direct;
    if let Some(Firing { threshold, v_reset }) = neuron.firing.as_ref().filter(|_| has_memory) {
        match convention.reset {
            Reset::ToValue => {
                let odd = first(&[v_reset, threshold], |v| v[0] >= v[1]);
                warn(odd, &|n| {
                    format!(
                        "expected `v_reset` below `v_threshold`, found {} and {} at index {n}: a spike does not bring the voltage below the threshold",
                        v_reset.at(n),
                        threshold.at(n)
                    )
                });
            }
            Reset::Subtract => {
                warn(first(&[threshold], |v| v[0] <= 0.0), &|n| {
                    format!(
                        "expected `v_threshold` above 0, which a spike subtracts, found {} at index {n}",
                        threshold.at(n)
                    )
                });
            }
            Reset::ToZero | Reset::None => {}
        }
    }
    if convention.integrator == Integrator::Euler {
        let mut taus = Vec::new();
        if let Membrane::Leaky { tau, .. } = &neuron.membrane {
            taus.push(("membrane", tau));
        }
        taus.extend(neuron.synapse.as_ref().map(|s| ("synapse", &s.tau_syn)));
        for (what, tau) in taus {
            warn(first(&[tau], |v| v[0] < dt), &|n| {
                format!(
                    "expected the time constant of the {what} above the tick of {dt:?} s, found {:?} s at index {n}: forward Euler overshoots",
                    tau.at(n)
                )
            });
        }
    }
}

/// The first neuron of which it is true.
fn first(parameters: &[&Parameter], is_odd: impl Fn(&[f64]) -> bool) -> Option<usize> {
    let lengths = parameters.iter().map(|p| match p {
        Parameter::Uniform(_) => 1,
        Parameter::PerNeuron(values) => values.len(),
    });
    let most = lengths.max().unwrap_or(0);
    (0..most).find(|n| is_odd(&parameters.iter().map(|p| p.at(*n)).collect::<Vec<_>>()))
}

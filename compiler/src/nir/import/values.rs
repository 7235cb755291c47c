//! Parameters and weights: checked, converted to the network's units and layout, and put in order.

use std::collections::{BTreeMap, BTreeSet};

use nir_rs::{Tensor, TensorData};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::network::{
    Convention, Firing, Integrator, Membrane, Neuron, Parameter, Pop, Population, PopulationKind,
    Port, Proj, Projection, Reset, Synapse,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::shapes::{Sizes, vector_len};
use super::topology::{Link, Neurons, Role, Wiring};

/// What the values are read under.
pub(super) struct Context<'a> {
    pub(super) convention: &'a Convention,
    pub(super) dt: Option<f64>,
}

/// The entities of a network.
pub(super) struct Parts {
    pub(super) populations: PrimaryMap<Pop, Population>,
    pub(super) projections: PrimaryMap<Proj, Projection>,
    pub(super) outputs: Vec<Port>,
}

/// Converts everything that has a size; `None` if the parts do not make a network.
pub(super) fn convert(
    wiring: &Wiring<'_>,
    sizes: &Sizes<'_>,
    context: &Context<'_>,
    problems: &mut Diagnostics,
) -> Option<Parts> {
    let mut neurons = BTreeMap::new();
    for (name, role) in &wiring.nodes {
        if let (Role::Neurons(fields), Some(size)) = (role, sizes.populations.get(name))
            && let Some(neuron) = neuron(name, *fields, *size, context, problems)
        {
            neurons.insert(*name, neuron);
        }
    }
    let mut matrices = BTreeMap::new();
    for link in &wiring.links {
        if let Some(shape) = sizes.matrices.get(link.name) {
            let weights = weights(link, *shape, problems);
            let bias = link.weights.bias.map(|bias| (bias, shape.0));
            let bias = bias.map(|(bias, out)| vector(link.name, "bias", bias, out, problems));
            if let (Some(weights), None | Some(Some(_))) = (weights, &bias) {
                matrices.insert(link.name, (weights, bias.flatten()));
            }
        }
    }
    if problems.has_errors() || !wiring.is_acyclic {
        return None;
    }
    assemble(wiring, sizes, neurons, matrices, context)
}

fn assemble(
    wiring: &Wiring<'_>,
    sizes: &Sizes<'_>,
    mut neurons: BTreeMap<&str, Neuron>,
    mut matrices: BTreeMap<&str, (Vec<f32>, Option<Vec<f32>>)>,
    context: &Context<'_>,
) -> Option<Parts> {
    let mut populations = PrimaryMap::new();
    let mut ids = BTreeMap::new();
    for name in order(wiring, sizes) {
        let kind = match neurons.remove(name) {
            Some(neuron) => PopulationKind::Neurons(neuron),
            None => PopulationKind::Source,
        };
        let size = *sizes.populations.get(name)?;
        let id = populations.push(Population::vector(name, size, kind));
        ids.insert(name, id);
    }
    let mut links = Vec::new();
    for link in &wiring.links {
        links.push((*ids.get(link.post)?, *ids.get(link.pre)?, link.name));
    }
    links.sort();
    let mut projections = PrimaryMap::new();
    for (post, pre, name) in links {
        let (weights, bias) = matrices.remove(name)?;
        projections.push(Projection {
            name: name.to_owned(),
            pre,
            post,
            link: nirc_ir::network::Link::Dense(weights),
            bias,
            delay: context.convention.delay,
            trainable: true,
        });
    }
    let (port, population) = wiring.output?;
    Some(Parts {
        populations,
        projections,
        outputs: vec![Port {
            name: port.to_owned(),
            population: *ids.get(population)?,
        }],
    })
}

/// The populations in topological order: of those whose inputs are all placed, the smallest name.
fn order<'a>(wiring: &Wiring<'a>, sizes: &Sizes<'a>) -> Vec<&'a str> {
    let mut waiting: BTreeMap<&str, BTreeSet<&str>> = sizes
        .populations
        .keys()
        .map(|name| (*name, BTreeSet::new()))
        .collect();
    let mut after: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for link in &wiring.links {
        after.entry(link.pre).or_default().insert(link.post);
        if let Some(inputs) = waiting.get_mut(link.post) {
            inputs.insert(link.pre);
        }
    }
    let mut ready: BTreeSet<&str> = waiting
        .iter()
        .filter(|(_, inputs)| inputs.is_empty())
        .map(|(name, _)| *name)
        .collect();
    let mut order = Vec::with_capacity(waiting.len());
    while let Some(name) = ready.pop_first() {
        order.push(name);
        for next in after.get(name).into_iter().flatten() {
            if let Some(inputs) = waiting.get_mut(next)
                && inputs.remove(name)
                && inputs.is_empty()
            {
                ready.insert(next);
            }
        }
    }
    order
}

fn weights(
    link: &Link<'_>,
    (out, inn): (usize, usize),
    problems: &mut Diagnostics,
) -> Option<Vec<f32>> {
    let values = to_f32(link.name, "weight", link.weights.weight, problems)?;
    let mut rows = Vec::with_capacity(values.len());
    for source in 0..inn {
        rows.extend((0..out).map(|target| values[target * inn + source]));
    }
    Some(rows)
}

/// A vector of `size` values, or one value for all.
fn vector(
    place: &str,
    field: &str,
    tensor: &Tensor,
    size: usize,
    problems: &mut Diagnostics,
) -> Option<Vec<f32>> {
    let values = to_f32(place, field, tensor, problems)?;
    match vector_len(tensor.shape()) {
        Some(len) if len == size => Some(values),
        Some(1) => {
            note_broadcast(place, &[field], size, problems);
            Some(vec![values[0]; size])
        }
        _ => {
            problems.push(Diagnostic::error(
                codes::NODE_SHAPE,
                place,
                format!(
                    "expected `{field}` with {size} values, one an output, found shape {:?}",
                    tensor.shape()
                ),
            ));
            None
        }
    }
}

fn note_broadcast(place: &str, fields: &[&str], size: usize, problems: &mut Diagnostics) {
    problems.push(Diagnostic::note(
        codes::GRAPH_REPAIRED,
        place,
        format!(
            "a single value of {} is taken for all {size} neurons",
            quoted(fields)
        ),
    ));
}

fn quoted(fields: &[&str]) -> String {
    let quoted: Vec<_> = fields.iter().map(|f| format!("`{f}`")).collect();
    quoted.join(", ")
}

/// The tensor's values, widened without loss where its type allows.
fn to_f64(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        TensorData::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        TensorData::F64(v) => v.clone(),
        TensorData::I64(v) => v.iter().map(|v| *v as f64).collect(),
        TensorData::Bool(v) => v.iter().map(|v| f64::from(u8::from(*v))).collect(),
    }
}

/// The tensor's values as the chip has them: finite `f32`.
fn to_f32(
    place: &str,
    field: &str,
    tensor: &Tensor,
    problems: &mut Diagnostics,
) -> Option<Vec<f32>> {
    let wide = to_f64(tensor);
    let values: Vec<f32> = wide.iter().map(|v| *v as f32).collect();
    let is_fine = report_bad(
        place,
        field,
        &wide,
        in_f32,
        "finite numbers in the range of f32",
        problems,
    );
    let rounded = wide
        .iter()
        .zip(&values)
        .filter(|(wide, value)| f64::from(**value) != **wide)
        .count();
    if is_fine && rounded > 0 {
        problems.push(Diagnostic::note(
            codes::NODE_PRECISION,
            place,
            format!(
                "{rounded} of {} values of `{field}` are rounded to f32",
                wide.len()
            ),
        ));
    }
    is_fine.then_some(values)
}

/// Whether a chip that computes in `f32` can hold it.
fn in_f32(value: f64) -> bool {
    (value as f32).is_finite()
}

/// Reports the first value that is not good, and how many there are.
fn report_bad(
    place: &str,
    field: &str,
    values: &[f64],
    is_good: impl Fn(f64) -> bool,
    expected: &str,
    problems: &mut Diagnostics,
) -> bool {
    let mut bad = values.iter().enumerate().filter(|(_, v)| !is_good(**v));
    let Some((index, value)) = bad.next() else {
        return true;
    };
    let more = match bad.count() {
        0 => String::new(),
        n => format!(" (and {n} more like it)"),
    };
    problems.push(Diagnostic::error(
        codes::NODE_VALUE,
        place,
        format!("expected `{field}` of {expected}, found {value} at index {index}{more}"),
    ));
    false
}

fn neuron(
    name: &str,
    fields: Neurons<'_>,
    size: usize,
    context: &Context<'_>,
    problems: &mut Diagnostics,
) -> Option<Neuron> {
    let parameters = parameters(name, fields, size, problems)?;
    let or = |field: &str, default: f64| {
        parameters
            .get(field)
            .cloned()
            .unwrap_or(Parameter::Uniform(default))
    };
    let time = |field: &str| or(field, 0.0).map(|tau| tau * context.convention.time_unit);
    let firing = Some(Firing {
        threshold: or("v_threshold", 1.0),
        v_reset: or("v_reset", 0.0),
    });
    let membrane = |tau| Membrane::Leaky {
        tau: time(tau),
        r: or("r", 1.0),
        v_leak: or("v_leak", 0.0),
    };
    let neuron = match fields {
        Neurons::Lif(_) => Neuron {
            membrane: membrane("tau"),
            synapse: None,
            firing,
        },
        Neurons::CubaLif(_) => Neuron {
            membrane: membrane("tau_mem"),
            synapse: Some(Synapse {
                tau_syn: time("tau_syn"),
                w_in: or("w_in", 1.0),
            }),
            firing,
        },
    };
    warn_about_dynamics(name, &neuron, size, context, problems);
    Some(neuron)
}

/// The parameters that the file gives, checked.
fn parameters<'a>(
    name: &str,
    fields: Neurons<'a>,
    size: usize,
    problems: &mut Diagnostics,
) -> Option<BTreeMap<&'a str, Parameter>> {
    let mut parameters = BTreeMap::new();
    let (mut broadcast, mut misfits) = (Vec::new(), Vec::new());
    let mut is_fine = true;
    for (field, tensor) in fields.fields() {
        let values = to_f64(tensor);
        let (is_good, expected): (fn(f64) -> bool, _) = match field {
            "tau" | "tau_mem" | "tau_syn" => (
                |v| in_f32(v) && v > 0.0,
                "times above 0 in the range of f32",
            ),
            _ => (in_f32, "finite numbers in the range of f32"),
        };
        is_fine &= report_bad(name, field, &values, is_good, expected, problems);
        match vector_len(tensor.shape()) {
            Some(len) if len == size => {}
            Some(1) => broadcast.push(field),
            _ => misfits.push((field, tensor.shape())),
        }
        parameters.insert(field, Parameter::from_values(values));
    }
    if !broadcast.is_empty() {
        note_broadcast(name, &broadcast, size, problems);
    }
    if let Some((_, shape)) = misfits.first() {
        let fields: Vec<_> = misfits.iter().map(|(field, _)| *field).collect();
        problems.push(Diagnostic::error(
            codes::NODE_SHAPE,
            name,
            format!(
                "expected {} with {size} values, one a neuron, found shape {shape:?}",
                quoted(&fields)
            ),
        ));
        is_fine = false;
    }
    is_fine.then_some(parameters)
}

/// Warns about neurons that have a meaning, but hardly the one that was meant.
fn warn_about_dynamics(
    name: &str,
    neuron: &Neuron,
    size: usize,
    context: &Context<'_>,
    problems: &mut Diagnostics,
) {
    let mut warn = |is_odd: &dyn Fn(usize) -> bool, message: &dyn Fn(usize) -> String| {
        if let Some(n) = (0..size).find(|n| is_odd(*n)) {
            problems.push(Diagnostic::warning(codes::NODE_VALUE, name, message(n)));
        }
    };
    if let Some(Firing { threshold, v_reset }) = &neuron.firing {
        match context.convention.reset {
            Reset::ToValue => warn(&|n| v_reset.at(n) >= threshold.at(n), &|n| {
                format!(
                    "expected `v_reset` below `v_threshold`, found {} and {} at index {n}: a spike does not bring the voltage below the threshold",
                    v_reset.at(n),
                    threshold.at(n)
                )
            }),
            Reset::Subtract => warn(&|n| threshold.at(n) <= 0.0, &|n| {
                format!(
                    "expected `v_threshold` above 0, which a spike subtracts, found {} at index {n}",
                    threshold.at(n)
                )
            }),
            Reset::ToZero | Reset::None => {}
        }
    }
    if let (Integrator::Euler, Some(dt)) = (context.convention.integrator, context.dt) {
        let mut taus = Vec::new();
        if let Membrane::Leaky { tau, .. } = &neuron.membrane {
            taus.push(("membrane", tau));
        }
        taus.extend(neuron.synapse.as_ref().map(|s| ("synapse", &s.tau_syn)));
        for (what, tau) in taus {
            warn(&|n| tau.at(n) < dt, &|n| {
                format!(
                    "expected the time constant of the {what} above the tick of {dt:?} s, found {:?} s at index {n}: forward Euler overshoots",
                    tau.at(n)
                )
            });
        }
    }
}

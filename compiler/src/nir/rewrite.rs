//! A file with other parameters: nodes' fields replaced, weights multiplied, all else as it was.

use std::collections::BTreeMap;

use nir_rs::{MetadataValue, TensorData};
use nirc_ir::network::Parameter;
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::File;
use super::decode::node_path;
use super::export::{add_metadata, find_node};
use super::tree::{Dataset, Group};
use super::writer::to_bytes;
use crate::convert::{Rewrite, Rewrites};

/// The bytes of `file` with rewritten nodes, by path, and metadata added to the graph's, by key.
///
/// Parameters are written as `float64`, so that nothing is lost on the way to the tool that reads them;
/// weights keep their element type.
///
/// # Errors
/// `N0201`, `N0203` or `N0107` when a rewrite fits no node or field, with all such rewrites.
pub fn rewrite(
    file: &File,
    rewrites: &Rewrites,
    metadata: &BTreeMap<String, MetadataValue>,
) -> Result<Vec<u8>, Diagnostics> {
    let mut root = file.tree().clone();
    let mut problems = Diagnostics::new();
    for (path, rewrite) in &rewrites.nodes {
        let applied = match find_node(&mut root, path) {
            Some(node) => apply(node, rewrite),
            None => Err((codes::NODE_FIELD_MISSING, "no such node".to_owned())),
        };
        if let Err((code, message)) = applied {
            problems.push(Diagnostic::error(code, path.as_str(), message));
        }
    }
    if let Some(graph) = root.group_mut("node") {
        delay(graph, "", rewrites.delays, &mut problems);
    }
    add_metadata(&mut root, metadata);
    problems.into_result(())?;
    to_bytes(&root)
}

/// Multiplies the times of all Delay nodes of a graph.
#[expect(clippy::float_cmp, reason = "exactly the factor that changes nothing")]
fn delay(graph: &mut Group, path: &str, factor: f64, problems: &mut Diagnostics) {
    let Some(nodes) = graph.group_mut("nodes").filter(|_| factor != 1.0) else {
        return;
    };
    for (name, node) in nodes.groups_mut() {
        let path = node_path(path, name);
        match node.dataset("type").and_then(Dataset::as_text).as_deref() {
            Some("NIRGraph") => delay(node, &path, factor, problems),
            Some("Delay") => match multiplied(node, "delay", &Parameter::Uniform(factor)) {
                Ok(dataset) => node.insert("delay", dataset),
                Err((code, message)) => problems.push(Diagnostic::error(code, path, message)),
            },
            _ => {}
        }
    }
}

type Applied = Result<(), (&'static str, String)>;

fn apply(node: &mut Group, rewrite: &Rewrite) -> Applied {
    for (field, parameter) in &rewrite.fields {
        let dataset = written(node, field, parameter)?;
        node.insert(field, dataset);
    }
    if let Some(factor) = rewrite.weights.as_ref().filter(|factor| !factor.is(1.0)) {
        let present = ["weight", "scale", "bias"]
            .into_iter()
            .filter(|f| node.contains(f));
        let present: Vec<&str> = present.collect();
        if !present.iter().any(|field| *field != "bias") {
            let message = "a gain has to go into the weights, and it has none".to_owned();
            return Err((codes::NODE_FIELD_MISSING, message));
        }
        for field in present {
            let dataset = multiplied(node, field, factor)?;
            node.insert(field, dataset);
        }
    }
    Ok(())
}

/// A parameter in the shape that the field has, or a sibling if it is a new one.
fn written(
    node: &Group,
    field: &str,
    parameter: &Parameter,
) -> Result<Dataset, (&'static str, String)> {
    let numbers = node.datasets().filter(|(name, _)| *name != "type");
    let largest = numbers
        .map(|(_, d)| d.shape().to_vec())
        .max_by_key(|shape| shape.iter().product::<u64>());
    let own = node.dataset(field).map(|d| d.shape().to_vec());
    let shape = match (parameter, own, largest) {
        (Parameter::Uniform(_), Some(own), _) => own,
        (_, _, Some(largest)) => largest,
        (_, own, None) => own.unwrap_or_default(),
    };
    let count = usize::try_from(shape.iter().product::<u64>()).unwrap_or(usize::MAX);
    let values: Vec<f64> = match parameter {
        Parameter::Uniform(value) => vec![*value; count],
        Parameter::PerNeuron(values) => values.clone(),
    };
    Dataset::f64(&shape, &values).map_err(|e| (codes::NODE_SHAPE, format!("`{field}`: {e}")))
}

/// A tensor with its outputs, the first axis, multiplied.
fn multiplied(
    node: &Group,
    field: &str,
    factor: &Parameter,
) -> Result<Dataset, (&'static str, String)> {
    let misfit = |message: String| (codes::NODE_SHAPE, format!("`{field}`: {message}"));
    let dataset = node.dataset(field);
    let dataset = dataset.ok_or_else(|| (codes::NODE_FIELD_MISSING, field.to_owned()))?;
    let tensor = dataset.tensor().map_err(|e| misfit(e.to_string()))?;
    let outputs = tensor.shape().first().copied().unwrap_or(1);
    let single = matches!(tensor.data(), TensorData::F32(_));
    let values: Vec<f64> = match tensor.data() {
        TensorData::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        TensorData::F64(v) => v.clone(),
        TensorData::I64(v) => v.iter().map(|v| *v as f64).collect(),
        TensorData::Bool(_) => return Err(misfit("it holds no numbers".to_owned())),
    };
    let row = (values.len() / outputs.max(1)).max(1);
    let of = |output: usize| match factor {
        Parameter::Uniform(factor) => Some(*factor),
        // Channels of a convolution have as many factors as there are neurons in a plane.
        Parameter::PerNeuron(factors) => {
            let plane = factors.len() / outputs.max(1);
            let own = factors.get(output * plane..(output + 1) * plane)?;
            let first = *own.first()?;
            own.iter().all(|f| *f == first).then_some(first)
        }
    };
    let scaled = values
        .iter()
        .enumerate()
        .map(|(k, value)| Some(value * of(k / row)?));
    let scaled: Option<Vec<f64>> = scaled.collect();
    let scaled = scaled
        .ok_or_else(|| misfit("neurons that share weights need different gains".to_owned()))?;
    let shape = dataset.shape().to_vec();
    let written = if single {
        let values: Vec<f32> = scaled.iter().map(|v| *v as f32).collect();
        Dataset::f32(&shape, &values)
    } else {
        Dataset::f64(&shape, &scaled)
    };
    written.map_err(|e| misfit(e.to_string()))
}

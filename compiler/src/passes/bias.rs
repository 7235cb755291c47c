//! Constants that nodes of a path add, carried through the rest of it to the neurons.

use nirc_ir::linear::{Linear, Node};
use nirc_ir::network::{Link, Network};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::step::{apply, constant};
use super::to_f32;

/// Adds up what nodes of each path add, as a bias of the projection. It is there in every tick; a Delay
/// that would hold it back at the beginning does not, which is noted.
///
/// # Errors
/// When a bias is beyond `f32`.
pub fn bias(network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    let mut notes = Diagnostics::new();
    for projection in network.projections.values_mut() {
        let Link::Path(nodes) = &mut projection.link else {
            continue;
        };
        let Some(mut total) = take(nodes, &projection.name, &mut notes) else {
            continue;
        };
        for (sum, old) in total.iter_mut().zip(projection.bias.iter().flatten()) {
            *sum += f64::from(*old);
        }
        match to_f32(&projection.name, "bias", &total, &mut notes) {
            Ok(bias) => projection.bias = Some(bias),
            Err(problem) => notes.push(problem),
        }
    }
    let failed = notes.has_errors();
    if failed { Err(notes) } else { Ok(notes) }
}

/// What leaves the last node when nothing enters the first; the nodes no longer add it.
fn take(nodes: &mut [Node], place: &str, notes: &mut Diagnostics) -> Option<Vec<f64>> {
    let mut total: Option<Vec<f64>> = None;
    for node in nodes {
        if let Some(values) = &mut total {
            if let Linear::Delay(_) = node.op
                && values.iter().any(|v| *v != 0.0)
            {
                notes.push(Diagnostic::note(
                    codes::GRAPH_REPAIRED,
                    place,
                    format!(
                        "a bias is constant from the first tick on, though {} would hold it back",
                        node.name
                    ),
                ));
            }
            *values = apply(node, values);
        }
        if let Some(own) = constant(node) {
            match &mut total {
                Some(values) => values.iter_mut().zip(own).for_each(|(sum, b)| *sum += b),
                None => total = Some(own),
            }
            if let Linear::Matrix { bias, .. } | Linear::Convolution { bias, .. } = &mut node.op {
                *bias = None;
            }
        }
    }
    total
}

//! Paths of nodes as synapses.
//!
//! A path is composed from its source on. As long as each axis of the source leads to one axis of what has
//! been reached (`separable`), a convolution remains one kernel that all its places share, pooling moves
//! taps, and a matrix gives each place a row. What does not remain so is multiplied out (`rows`), and
//! becomes dense weights or one sparse axis, whichever is smaller. Weights are multiplied in `f64` and
//! rounded once.

mod rows;
mod separable;

use nirc_ir::connection::{Axis, Tap};
use nirc_ir::linear::{Linear, Node};
use nirc_ir::network::{Link, Network, Projection};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::step::mean;
use super::to_f32;
use rows::Rows;
use separable::Separable;

/// Most synapses of a projection that is multiplied out.
const MOST_SYNAPSES: usize = 1 << 23;

/// Turns every path into [`Link::Dense`] or [`Link::Taps`]. Paths must have no Delay and no bias left.
///
/// # Errors
/// When a path has more synapses than the bound, or a weight beyond `f32`.
pub fn fuse(network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    let mut notes = Diagnostics::new();
    let populations = network.populations.clone();
    for projection in network.projections.values_mut() {
        let Link::Path(nodes) = &projection.link else {
            continue;
        };
        let [pre, post] = [projection.pre, projection.post].map(|p| &populations[p]);
        let ends = (pre.shape.as_slice(), post.size);
        if let Some(own) = own(projection, nodes, ends, &mut notes) {
            projection.link = own.link;
            projection.factor = own.factor;
            projection.bias_run = own.bias_run;
            continue;
        }
        projection.trainable = false;
        match link(projection, nodes, ends, &mut notes) {
            Ok(link) => projection.link = link,
            Err(problem) => notes.push(problem),
        }
    }
    let failed = notes.has_errors();
    if failed { Err(notes) } else { Ok(notes) }
}

/// A path of which training changes the weights of its one node that has any.
struct Own {
    /// Synapses that name the node's own weights.
    link: Link,
    /// What they are multiplied with on the way.
    factor: f64,
    bias_run: usize,
}

/// The path with the weights as they stand in the file, if it remains a product of axes.
fn own(
    projection: &Projection,
    nodes: &[Node],
    (shape, lanes): (&[usize], usize),
    notes: &mut Diagnostics,
) -> Option<Own> {
    if !projection.trainable {
        return None;
    }
    let (nodes, factor) = alike(nodes)?;
    let mut map = Separable::identity(shape);
    for node in &nodes {
        map = map.then(node)?;
    }
    let (weights, bias_run) = nodes.iter().find_map(|node| match &node.op {
        Linear::Matrix { weight, .. } => Some((weight, 1)),
        Linear::Convolution { kernel, .. } => Some((kernel, node.output[1..].iter().product())),
        _ => None,
    })?;
    let place = projection.name.as_str();
    let link = match map.dense(shape.iter().product(), lanes) {
        Some(weights) => Link::Dense(to_f32(place, "weight", &weights, notes).ok()?),
        None => {
            let (axes, shared) = map.taps()?;
            let is_own = shared.len() == weights.len()
                && shared
                    .iter()
                    .zip(weights)
                    .all(|(a, b)| a.to_bits() == b.to_bits());
            if !is_own {
                return None;
            }
            let weights = to_f32(place, "weight", &shared, notes).ok()?;
            Link::Taps { axes, weights }
        }
    };
    Some(Own {
        link,
        factor,
        bias_run: if projection.bias.is_some() {
            bias_run
        } else {
            1
        },
    })
}

/// The nodes without what weighs all alike, and the factor that this comes to.
fn alike(nodes: &[Node]) -> Option<(Vec<Node>, f64)> {
    let mut factor = 1.0;
    let mut plain = nodes.to_vec();
    for node in &mut plain {
        node.op = match &node.op {
            Linear::Scale(scale) => {
                let first = *scale.first()?;
                if scale.iter().any(|s| s.to_bits() != first.to_bits()) {
                    return None;
                }
                factor *= first;
                Linear::Reshape
            }
            Linear::AveragePool(windows) => {
                factor *= mean(windows);
                Linear::SumPool(windows.clone())
            }
            _ => continue,
        };
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whether it is still a number once it is rounded"
    )]
    let rounded = factor as f32;
    (rounded.is_finite() && rounded != 0.0).then_some((plain, factor))
}

/// What a path has become so far.
enum Map {
    Separable(Separable),
    Rows(Rows),
}

fn link(
    projection: &Projection,
    nodes: &[Node],
    (shape, lanes): (&[usize], usize),
    notes: &mut Diagnostics,
) -> Result<Link, Diagnostic> {
    let place = projection.name.as_str();
    let mut map = Map::Separable(Separable::identity(shape));
    for node in nodes {
        if let Some(why) = left_over(node) {
            return Err(Diagnostic::error(codes::LOWER_UNSUPPORTED, place, why));
        }
        map = then(map, node).ok_or_else(|| too_large(place))?;
    }
    let sources = shape.iter().product();
    match map {
        Map::Separable(map) => match map.dense(sources, lanes) {
            Some(weights) => dense(projection, &weights, (sources, lanes), notes),
            None => {
                let (axes, weights) = map.taps().ok_or_else(|| too_large(place))?;
                let weights = to_f32(place, "weight", &weights, notes)?;
                Ok(Link::Taps { axes, weights })
            }
        },
        Map::Rows(rows) => {
            let weights = rows.dense(lanes).filter(|_| !rows.is_sparse(lanes));
            match weights {
                Some(weights) => dense(projection, &weights, (sources, lanes), notes),
                None => sparse(place, &rows.0, notes),
            }
        }
    }
}

fn left_over(node: &Node) -> Option<String> {
    let what = match &node.op {
        Linear::Delay(_) => "a Delay",
        Linear::Matrix { bias: Some(_), .. } | Linear::Convolution { bias: Some(_), .. } => {
            "a bias"
        }
        _ => return None,
    };
    Some(format!(
        "{} still has {what}, which other passes take out",
        node.name
    ))
}

fn then(map: Map, node: &Node) -> Option<Map> {
    match map {
        Map::Separable(map) => match map.then(node) {
            Some(next) => Some(Map::Separable(next)),
            None => map.rows()?.then(node).map(Map::Rows),
        },
        Map::Rows(rows) => rows.then(node).map(Map::Rows),
    }
}

/// Dense weights, or one sparse axis where they are mostly zeros.
fn dense(
    projection: &Projection,
    weights: &[f64],
    (sources, lanes): (usize, usize),
    notes: &mut Diagnostics,
) -> Result<Link, Diagnostic> {
    let zeros = weights.iter().filter(|w| **w == 0.0).count();
    if rows::is_smaller(weights.len() - zeros, sources, lanes) {
        let rows = weights.chunks(lanes.max(1)).map(|row| {
            let row = row.iter().copied().enumerate();
            row.filter(|(_, w)| *w != 0.0).collect()
        });
        return sparse(&projection.name, &rows.collect::<Vec<_>>(), notes);
    }
    to_f32(&projection.name, "weight", weights, notes).map(Link::Dense)
}

/// One axis with a place a source, and a weight a synapse.
fn sparse(
    place: &str,
    rows: &[Vec<(usize, f64)>],
    notes: &mut Diagnostics,
) -> Result<Link, Diagnostic> {
    let mut weights = Vec::new();
    let mut places = Vec::with_capacity(rows.len());
    for row in rows {
        let taps = row.iter().map(|(lane, weight)| {
            weights.push(*weight);
            Some(Tap {
                lane: u32::try_from(*lane).ok()?,
                weight: u32::try_from(weights.len() - 1).ok()?,
            })
        });
        places.push(
            taps.collect::<Option<Vec<_>>>()
                .ok_or_else(|| too_large(place))?,
        );
    }
    let weights = to_f32(place, "weight", &weights, notes)?;
    Ok(Link::Taps {
        axes: vec![Axis::new(places)],
        weights,
    })
}

fn too_large(place: &str) -> Diagnostic {
    Diagnostic::error(
        codes::PATH_TOO_LARGE,
        place,
        format!(
            "expected at most {MOST_SYNAPSES} synapses once the nodes are multiplied out, found more"
        ),
    )
}

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
        match link(projection, nodes, ends, &mut notes) {
            Ok(link) => {
                projection.trainable &= keeps(nodes, &link, post.size);
                projection.link = link;
            }
            Err(problem) => notes.push(problem),
        }
    }
    let failed = notes.has_errors();
    if failed { Err(notes) } else { Ok(notes) }
}

/// Whether the weights are those of the path's one node that has any, each of them once: those of a matrix with
/// a row a source, those of a kernel as they stand.
fn keeps(nodes: &[Node], link: &Link, lanes: usize) -> bool {
    let own = nodes.iter().find_map(|node| match &node.op {
        Linear::Matrix { weight, .. } => Some((weight, true)),
        Linear::Convolution { kernel, .. } => Some((kernel, false)),
        _ => None,
    });
    let Some((own, is_matrix)) = own else {
        return false;
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding of a weight"
    )]
    let same = |own: f64, weight: f32| (own as f32).to_bits() == weight.to_bits();
    match link {
        Link::Dense(weights) if is_matrix && weights.len() == own.len() => {
            let sources = own.len() / lanes.max(1);
            let mut weights = weights.iter().enumerate();
            weights.all(|(k, weight)| same(own[k % lanes * sources + k / lanes], *weight))
        }
        Link::Taps { weights, .. } if !is_matrix && weights.len() == own.len() => own
            .iter()
            .zip(weights)
            .all(|(own, weight)| same(*own, *weight)),
        _ => false,
    }
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

/// Dense weights, or one sparse axis where they are mostly zeros and nobody trains them.
fn dense(
    projection: &Projection,
    weights: &[f64],
    (sources, lanes): (usize, usize),
    notes: &mut Diagnostics,
) -> Result<Link, Diagnostic> {
    let zeros = weights.iter().filter(|w| **w == 0.0).count();
    if !projection.trainable && rows::is_smaller(weights.len() - zeros, sources, lanes) {
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

//! Delay nodes of paths, as delays of projections in ticks.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::linear::Linear;
use nirc_ir::network::{Link, Network, Projection};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::free_name;

/// How far from a whole number of ticks a delay may be, relative to itself.
const TOLERANCE: f64 = 1e-6;
/// Most ticks that a projection is delayed by, and most projections that delays split one into.
const MOST_TICKS: u32 = 1 << 16;
pub(super) const MOST_PARTS: usize = 1 << 10;

/// Takes Delay nodes out of paths. One that delays its elements differently splits the projection: one for
/// each delay, in which a Scale lets through the elements that have it.
///
/// # Errors
/// When a delay is no multiple of a tick, beyond the bound, or there are too many.
pub fn delays(network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut all: Vec<Projection> = Vec::new();
    let mut names: BTreeSet<String> = network
        .projections
        .values()
        .map(|p| p.name.clone())
        .collect();
    for projection in network.projections.values() {
        let parts = split(projection, network.dt, &mut problems);
        let several = parts.len() > 1;
        for (ticks, part) in parts {
            let mut part = part;
            if several {
                part.name = free_name(&mut names, format!("{} (delay {ticks})", projection.name));
                part.trainable = false;
            }
            all.push(part);
        }
    }
    all.sort_by(|a, b| (a.post, a.pre, &a.name).cmp(&(b.post, b.pre, &b.name)));
    problems.into_result(())?;
    network.projections = all.into_iter().collect();
    Ok(Diagnostics::new())
}

/// The projection without Delay nodes, once for each number of ticks that they delay by.
fn split(projection: &Projection, dt: f64, problems: &mut Diagnostics) -> Vec<(u32, Projection)> {
    let mut done = Vec::new();
    let mut open = vec![(0_u32, projection.clone())];
    while let Some((ticks, mut part)) = open.pop() {
        let Link::Path(nodes) = &mut part.link else {
            done.push((ticks, part));
            continue;
        };
        let found = nodes
            .iter()
            .enumerate()
            .find_map(|(at, node)| match &node.op {
                Linear::Delay(seconds) => Some((at, seconds.clone())),
                _ => None,
            });
        let Some((at, seconds)) = found else {
            part.delay = part.delay.saturating_add(ticks);
            // The bias is there in every tick, and so with one part only.
            if !done.is_empty() {
                part.bias = None;
            }
            done.push((ticks, part));
            continue;
        };
        let Some(elements) = in_ticks(&nodes[at].name, &seconds, dt, problems) else {
            return Vec::new();
        };
        for (more, mask) in masks(&elements).into_iter().rev() {
            let mut next = part.clone();
            if let Link::Path(nodes) = &mut next.link {
                nodes[at].op = mask.map_or(Linear::Reshape, Linear::Scale);
            }
            open.push((ticks.saturating_add(more), next));
        }
        if open.len() + done.len() > MOST_PARTS {
            problems.push(too_many(&projection.name));
            return Vec::new();
        }
    }
    done
}

pub(super) fn too_many(place: &str) -> Diagnostic {
    Diagnostic::error(
        codes::LOWER_UNSUPPORTED,
        place,
        format!("expected at most {MOST_PARTS} different delays, found more"),
    )
    .help("round the delays to fewer values")
}

/// For each delay, the elements that have it as a mask; no mask if all do.
pub(super) fn masks(ticks: &[u32]) -> BTreeMap<u32, Option<Vec<f64>>> {
    let distinct: BTreeSet<u32> = ticks.iter().copied().take(ticks.len()).collect();
    if distinct.len() == 1 {
        return distinct.into_iter().map(|t| (t, None)).collect();
    }
    let few = distinct.into_iter().take(MOST_PARTS + 1);
    few.map(|t| {
        let mask = ticks.iter().map(|own| f64::from(u8::from(*own == t)));
        (t, Some(mask.collect()))
    })
    .collect()
}

/// Delays as whole ticks; the first that is not, or is beyond the bound, is reported.
fn in_ticks(place: &str, seconds: &[f64], dt: f64, problems: &mut Diagnostics) -> Option<Vec<u32>> {
    let mut all = Vec::with_capacity(seconds.len());
    for (index, delay) in seconds.iter().enumerate() {
        let ticks = delay / dt;
        let whole = ticks.round();
        if (ticks - whole).abs() > TOLERANCE * ticks.max(TOLERANCE) {
            problems.push(
                Diagnostic::error(
                    codes::TIME_STEP,
                    place,
                    format!("expected `delay` of whole ticks of {dt:?} s, found {delay:?} s, which is {ticks} ticks, at index {index}"),
                )
                .help(format!("delay by {:?} s, or choose a tick (--dt) of which every delay is a multiple", whole * dt)),
            );
            return None;
        }
        if whole > f64::from(MOST_TICKS) {
            problems.push(
                Diagnostic::error(
                    codes::LOWER_UNSUPPORTED,
                    place,
                    format!("expected `delay` of at most {MOST_TICKS} ticks of {dt:?} s, found {delay:?} s at index {index}"),
                )
                .help("choose a longer tick (--dt)"),
            );
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within bounds"
        )]
        all.push(whole as u32);
    }
    Some(all)
}

//! Delay nodes of paths, as delays of sources at exact times.
//!
//! Delay nodes in front of everything else delay sources, each by its own. One that stands behind weights delays what
//! several sources have in common: where all its elements are as late, so are all sources; where not, the projection
//! is split into one for each delay, in which a Scale lets through the elements that have it.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::linear::{Linear, Node};
use nirc_ir::network::{Link, Network, Projection, SourceDelays};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::delays::{MOST_PARTS, masks, too_many};
use super::free_name;

/// Most bins that something is delayed by.
const MOST_BINS: f64 = (1_u32 << 16) as f64;

/// Takes Delay nodes out of paths. Delays of sources are trained if they are to be, and are those of one node that no
/// other path has.
///
/// # Errors
/// When a delay is beyond the bound, or a projection falls into too many.
pub fn source_delays(network: &mut Network, learn: bool) -> Result<Diagnostics, Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut all: Vec<Projection> = Vec::new();
    let projections = || network.projections.values();
    let mut taken: BTreeSet<String> = projections().map(|p| p.name.clone()).collect();
    let mut uses: BTreeMap<String, usize> = BTreeMap::new();
    for node in projections().flat_map(nodes).filter(|n| is_delay(n)) {
        *uses.entry(node.name.clone()).or_default() += 1;
    }
    for projection in projections() {
        let mut projection = projection.clone();
        let size = network.populations[projection.pre].size;
        if let Err(problem) = in_front(&mut projection, size, network.dt) {
            problems.push(problem);
            continue;
        }
        if let Some(delays) = &mut projection.delays {
            // Names of several nodes are those of none.
            delays.trainable = learn && uses.get(&delays.name) == Some(&1);
        }
        let parts = split(projection, (size, network.dt), &mut problems);
        let several = parts.len() > 1;
        for mut part in parts {
            if several {
                part.name = free_name(&mut taken, format!("{} (delayed)", part.name));
                part.trainable = false;
            }
            whole(&mut part);
            all.push(part);
        }
    }
    all.sort_by(|a, b| (a.post, a.pre, &a.name).cmp(&(b.post, b.pre, &b.name)));
    problems.into_result(())?;
    network.projections = all.into_iter().collect();
    Ok(Diagnostics::new())
}

fn nodes(projection: &Projection) -> &[Node] {
    match &projection.link {
        Link::Path(nodes) => nodes,
        Link::Dense(_) | Link::Taps { .. } => &[],
    }
}

fn is_delay(node: &Node) -> bool {
    matches!(node.op, Linear::Delay(_))
}

/// Delay nodes that have nothing but reshaping in front of them, as delays of sources.
fn in_front(projection: &mut Projection, sources: usize, dt: f64) -> Result<(), Diagnostic> {
    let Link::Path(nodes) = &mut projection.link else {
        return Ok(());
    };
    let mut names = Vec::new();
    let mut total = vec![0.0; sources];
    for node in nodes.iter_mut() {
        match &node.op {
            Linear::Reshape => continue,
            Linear::Delay(seconds) if seconds.len() == sources => {
                total.iter_mut().zip(seconds).for_each(|(sum, s)| *sum += s);
                names.push(node.name.clone());
                node.op = Linear::Reshape;
            }
            _ => break,
        }
    }
    if names.is_empty() {
        return Ok(());
    }
    let bins = in_bins(&names.join("+"), &total, dt)?;
    projection.delays = Some(SourceDelays {
        name: names.join("+"),
        bins,
        trainable: false,
    });
    Ok(())
}

/// The projection without Delay nodes behind weights, once for each combination of their delays.
fn split(
    projection: Projection,
    (sources, dt): (usize, f64),
    problems: &mut Diagnostics,
) -> Vec<Projection> {
    let mut done = Vec::new();
    let mut open = vec![projection];
    while let Some(mut part) = open.pop() {
        let Some(at) = nodes(&part).iter().position(is_delay) else {
            // A bias is there from the beginning, and so with one part only.
            if !done.is_empty() {
                part.bias = None;
            }
            done.push(part);
            continue;
        };
        let node = nodes(&part)[at].clone();
        let Linear::Delay(seconds) = &node.op else {
            continue;
        };
        let elements = match in_bins(&node.name, seconds, dt) {
            Ok(elements) => elements,
            Err(problem) => {
                problems.push(problem);
                return Vec::new();
            }
        };
        // None is below 0, so bits ascend as delays do.
        let bits: Vec<u32> = elements.iter().map(|d| d.to_bits()).collect();
        for (bins, mask) in masks(&bits).into_iter().rev() {
            let mut next = part.clone();
            if let Link::Path(nodes) = &mut next.link {
                nodes[at].op = mask.map_or(Linear::Reshape, Linear::Scale);
            }
            later(&mut next, &node.name, sources, f32::from_bits(bins));
            open.push(next);
        }
        if open.len() + done.len() > MOST_PARTS {
            problems.push(too_many(&part.name));
            return Vec::new();
        }
    }
    done
}

/// All sources of a projection later by as much. What was the delay of one node is then that of several.
fn later(projection: &mut Projection, node: &str, sources: usize, bins: f32) {
    match &mut projection.delays {
        Some(delays) => {
            delays.bins.iter_mut().for_each(|d| *d += bins);
            delays.name = format!("{}+{node}", delays.name);
            delays.trainable = false;
        }
        none => {
            *none = Some(SourceDelays {
                name: node.to_owned(),
                bins: vec![bins; sources],
                trainable: false,
            });
        }
    }
}

/// Moves the whole bins that all sources have in common into the projection's own delay, and leaves no delays of 0;
/// windows may then be longer. Delays that are trained stay as they are.
fn whole(projection: &mut Projection) {
    let Some(delays) = &mut projection.delays else {
        return;
    };
    if delays.trainable {
        return;
    }
    let least = delays
        .bins
        .iter()
        .copied()
        .fold(f32::INFINITY, f32::min)
        .floor();
    if least.is_finite() && least > 0.0 {
        delays.bins.iter_mut().for_each(|d| *d -= least);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within bounds"
        )]
        let more = least as u32;
        projection.delay = projection.delay.saturating_add(more);
    }
    if delays.bins.iter().all(|d| *d == 0.0) {
        projection.delays = None;
    }
}

/// Delays in bins; the first that is beyond the bound is reported.
fn in_bins(place: &str, seconds: &[f64], dt: f64) -> Result<Vec<f32>, Diagnostic> {
    let bins = seconds.iter().map(|s| s / dt);
    if let Some((index, long)) = bins.clone().enumerate().find(|(_, d)| *d > MOST_BINS) {
        let message = format!(
            "expected `delay` of at most {MOST_BINS} bins of {dt:?} s, found {long} at index {index}"
        );
        let problem = Diagnostic::error(codes::LOWER_UNSUPPORTED, place, message);
        return Err(problem.help("choose longer bins (time.dt)"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the one rounding of a delay"
    )]
    Ok(bins.map(|d| d as f32).collect())
}

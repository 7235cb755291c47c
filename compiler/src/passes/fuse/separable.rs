//! A path in which each axis of the source leads to one axis of what it has reached.

use nirc_ir::connection::{Axis, Tap};
use nirc_ir::linear::{Linear, Node, Window};

use super::super::step::{mean, strides, windows_of};
use super::MOST_SYNAPSES;
use super::rows::Rows;

/// A product of factors, one an axis of the source, and the weights that they share: a source reaches the
/// output whose coordinates its taps name, through the weight that is the sum of theirs.
///
/// The factors' extents are the output's shape, in row-major order; axes of length 1 may be added and left
/// out, so that a factor may have one place and several outputs, or the reverse.
#[derive(Clone)]
pub(super) struct Separable {
    factors: Vec<Factor>,
    weights: Vec<f64>,
}

#[derive(Clone)]
struct Factor {
    /// For each place of the source, coordinates with parts of the weight's index, ascending.
    places: Vec<Vec<(usize, usize)>>,
    /// Length of the output's axis.
    extent: usize,
}

impl Factor {
    fn identity(extent: usize) -> Self {
        let places = (0..extent).map(|k| vec![(k, 0)]);
        Self {
            places: places.collect(),
            extent,
        }
    }

    /// Each tap replaced by those that `next` gives for its coordinate; weights' indices add up.
    fn then(&self, extent: usize, next: impl Fn(usize) -> Vec<(usize, usize)>) -> Self {
        let places = self.places.iter().map(|taps| {
            let taps = taps.iter().flat_map(|(at, weight)| {
                let taps = next(*at).into_iter();
                taps.map(move |(to, more)| (to, weight + more))
            });
            let mut taps: Vec<_> = taps.collect();
            taps.sort_unstable();
            taps
        });
        Self {
            places: places.collect(),
            extent,
        }
    }

    fn is_single(&self) -> bool {
        self.places.iter().all(|taps| taps.len() <= 1)
    }

    fn synapses(&self) -> usize {
        self.places.iter().map(Vec::len).sum()
    }
}

impl Separable {
    /// Every source reaches the output of its own number with weight 1.
    pub(super) fn identity(shape: &[usize]) -> Self {
        Self {
            factors: shape.iter().map(|d| Factor::identity(*d)).collect(),
            weights: vec![1.0],
        }
    }

    /// The same with one more node behind, if it remains a product.
    pub(super) fn then(&self, node: &Node) -> Option<Self> {
        match &node.op {
            Linear::Reshape | Linear::Delay(_) => Some(self.clone()),
            Linear::Scale(scale) => self.scale(scale),
            Linear::Matrix { weight, .. } => self.matrix(node, weight),
            Linear::Convolution {
                kernel,
                groups,
                windows,
                ..
            } => self.convolution(node, kernel, *groups, windows),
            Linear::SumPool(windows) => self.pool(node, windows, 1.0),
            Linear::AveragePool(windows) => self.pool(node, windows, mean(windows)),
        }
    }

    /// The one weight that all synapses have, if there is one.
    fn uniform(&self) -> Option<f64> {
        match self.weights[..] {
            [weight] => Some(weight),
            _ => None,
        }
    }

    /// The same product with a factor for each axis of `shape`, and which those are.
    fn with_axes(&self, shape: &[usize]) -> Option<(Self, Vec<usize>)> {
        let mut whole = self.clone();
        let mut axes = Vec::with_capacity(shape.len());
        let mut next = 0;
        for extent in shape {
            let found = whole.factors.get(next).map(|f| f.extent);
            if *extent == 1 && found != Some(1) {
                whole.factors.insert(next, Factor::identity(1));
            } else if *extent != 1 {
                while whole.factors.get(next)?.extent == 1 {
                    next += 1;
                }
                if whole.factors[next].extent != *extent {
                    return None;
                }
            }
            axes.push(next);
            next += 1;
        }
        let rest = &whole.factors[next..];
        let is_whole = rest.iter().all(|f| f.extent == 1);
        is_whole.then_some((whole, axes))
    }

    fn extents(&self) -> Vec<usize> {
        self.factors.iter().map(|f| f.extent).collect()
    }

    /// A factor on each output that depends on one of its coordinates only.
    fn scale(&self, scale: &[f64]) -> Option<Self> {
        let first = *scale.first()?;
        if scale.iter().all(|s| s.to_bits() == first.to_bits()) {
            let mut scaled = self.clone();
            scaled.weights.iter_mut().for_each(|w| *w *= first);
            return Some(scaled);
        }
        let extents = self.extents();
        let strides = strides(&extents);
        (0..extents.len()).find_map(|axis| {
            let (stride, extent) = (strides[axis], extents[axis]);
            let along: Vec<f64> = (0..extent).map(|c| scale[c * stride]).collect();
            let depends =
                |(lane, s): (usize, &f64)| s.to_bits() == along[lane / stride % extent].to_bits();
            let alone = scale.iter().enumerate().all(depends);
            alone.then(|| self.scale_axis(axis, &along)).flatten()
        })
    }

    fn scale_axis(&self, axis: usize, scale: &[f64]) -> Option<Self> {
        let mut scaled = self.clone();
        if let Some(weight) = self.uniform() {
            scaled.factors[axis] = self.factors[axis].then(scale.len(), |c| vec![(c, c)]);
            scaled.weights = scale.iter().map(|s| s * weight).collect();
            return Some(scaled);
        }
        // Each weight must lead to one coordinate only.
        let others = self.indices_without(axis);
        let mut owner: Vec<Option<usize>> = vec![None; self.weights.len()];
        for (at, part) in self.factors[axis].places.iter().flatten() {
            for other in &others {
                let index = part + other;
                match owner[index] {
                    Some(of) if of != *at => return None,
                    Some(_) => {}
                    None => {
                        owner[index] = Some(*at);
                        scaled.weights[index] *= scale[*at];
                    }
                }
            }
        }
        Some(scaled)
    }

    /// All sums of weights' indices that the other axes add.
    fn indices_without(&self, axis: usize) -> Vec<usize> {
        let mut sums = vec![0];
        for (other, factor) in self.factors.iter().enumerate() {
            if other != axis {
                let mut parts: Vec<usize> = factor.places.iter().flatten().map(|t| t.1).collect();
                parts.sort_unstable();
                parts.dedup();
                sums = sums
                    .iter()
                    .flat_map(|s| parts.iter().map(move |p| s + p))
                    .collect();
                sums.sort_unstable();
                sums.dedup();
            }
        }
        sums
    }

    /// A matrix over the last axis, or over all of them in one.
    fn matrix(&self, node: &Node, weight: &[f64]) -> Option<Self> {
        let uniform = self.uniform()?;
        let (inputs, outputs) = (*node.input.last()?, *node.output.last()?);
        // As they stand in the file: a row an output.
        let weights: Vec<f64> = weight.iter().map(|w| w * uniform).collect();
        if let Some((mut whole, axes)) = self.with_axes(&node.input) {
            let last = *axes.last()?;
            if !whole.factors[last].is_single() {
                return None;
            }
            let row = |j: usize| (0..outputs).map(|n| (n, n * inputs + j)).collect();
            whole.factors[last] = whole.factors[last].then(outputs, row);
            whole.weights = weights;
            return Some(whole);
        }
        let extents = self.extents();
        let is_whole = extents.iter().product::<usize>() == inputs;
        if !is_whole || !self.factors.iter().all(Factor::is_single) {
            return None;
        }
        // Each source has a row of weights, and one place more spreads it over the outputs.
        let strides = strides(&extents);
        let factors = self.factors.iter().zip(&strides);
        let mut factors: Vec<Factor> = factors
            .map(|(factor, stride)| factor.then(1, |at| vec![(0, at * stride)]))
            .collect();
        factors.push(Factor {
            places: vec![(0..outputs).map(|n| (n, n * inputs)).collect()],
            extent: outputs,
        });
        Some(Self { factors, weights })
    }

    fn convolution(
        &self,
        node: &Node,
        kernel: &[f64],
        groups: usize,
        windows: &[Window],
    ) -> Option<Self> {
        let uniform = self.uniform()?;
        let (mut whole, axes) = self.with_axes(&node.input)?;
        let sizes: Vec<usize> = windows.iter().map(|w| w.size).collect();
        let size: usize = sizes.iter().product();
        let (inputs, outputs) = (node.input[0] / groups, node.output[0] / groups);
        let channels = |c: usize| {
            let first = c / inputs * outputs;
            let all = first..first + outputs;
            all.map(|out| (out, (out * inputs + c % inputs) * size))
                .collect()
        };
        whole.factors[axes[0]] = whole.factors[axes[0]].then(node.output[0], channels);
        for (axis, (window, stride)) in windows.iter().zip(strides(&sizes)).enumerate() {
            let extent = node.output[axis + 1];
            let factor = &mut whole.factors[axes[axis + 1]];
            *factor = factor.then(extent, |place| {
                let seen = windows_of(window, place, extent).into_iter();
                seen.map(|(o, k)| (o, k * stride)).collect()
            });
        }
        whole.weights = kernel.iter().map(|w| w * uniform).collect();
        Some(whole)
    }

    fn pool(&self, node: &Node, windows: &[Window], mean: f64) -> Option<Self> {
        let (mut whole, axes) = self.with_axes(&node.input)?;
        for (axis, window) in windows.iter().enumerate() {
            let extent = node.output[axis + 1];
            let factor = &mut whole.factors[axes[axis + 1]];
            *factor = factor.then(extent, |place| {
                let seen = windows_of(window, place, extent).into_iter();
                seen.map(|(o, _)| (o, 0)).collect()
            });
        }
        whole.weights.iter_mut().for_each(|w| *w *= mean);
        Some(whole)
    }

    fn synapses(&self) -> Option<usize> {
        let each = self.factors.iter().map(Factor::synapses);
        each.into_iter().try_fold(1_usize, usize::checked_mul)
    }

    /// A row of weights a source, if every source reaches every output by a weight of its own.
    pub(super) fn dense(&self, sources: usize, lanes: usize) -> Option<Vec<f64>> {
        let total = sources.checked_mul(lanes)?;
        if self.weights.len() != total || self.synapses() != Some(total) {
            return None;
        }
        let mut weights: Vec<Option<f64>> = vec![None; total];
        let mut is_dense = true;
        for source in 0..sources {
            self.each(source, &mut |lane, weight| {
                let place = &mut weights[source * lanes + lane];
                is_dense &= place.replace(self.weights[weight]).is_none();
            });
        }
        let weights: Option<Vec<f64>> = weights.into_iter().collect();
        weights.filter(|_| is_dense)
    }

    /// Calls `f` with the outputs and weights' indices of a source.
    fn each(&self, source: usize, f: &mut impl FnMut(usize, usize)) {
        let mut rest = source;
        let mut reached = vec![(0, 0)];
        for (factor, stride) in self.factors.iter().zip(strides(&self.extents())).rev() {
            let taps = &factor.places[rest % factor.places.len()];
            rest /= factor.places.len();
            reached = taps
                .iter()
                .flat_map(|(at, part)| {
                    reached
                        .iter()
                        .map(move |(lane, weight)| (lane + at * stride, weight + part))
                })
                .collect();
        }
        reached
            .into_iter()
            .for_each(|(lane, weight)| f(lane, weight));
    }

    /// The product multiplied out; `None` beyond the bound.
    pub(super) fn rows(&self) -> Option<Rows> {
        if self.synapses()? > MOST_SYNAPSES {
            return None;
        }
        let sources: usize = self.factors.iter().map(|f| f.places.len()).product();
        let rows = (0..sources).map(|source| {
            let mut row: Vec<(usize, f64)> = Vec::new();
            self.each(source, &mut |lane, weight| {
                row.push((lane, self.weights[weight]));
            });
            row.sort_by_key(|(lane, _)| *lane);
            row.dedup_by(|next, last| {
                let same = next.0 == last.0;
                if same {
                    last.1 += next.1;
                }
                same
            });
            row.retain(|(_, weight)| *weight != 0.0);
            row
        });
        Some(Rows(rows.collect()))
    }

    /// The axes of a connection and their weights; `None` if they are too many to count.
    pub(super) fn taps(&self) -> Option<(Vec<Axis>, Vec<f64>)> {
        let strides = strides(&self.extents());
        let mut axes = Vec::with_capacity(self.factors.len());
        for (factor, stride) in self.factors.iter().zip(strides) {
            let tap = |(at, part): &(usize, usize)| {
                Some(Tap {
                    lane: u32::try_from(at.checked_mul(stride)?).ok()?,
                    weight: u32::try_from(*part).ok()?,
                })
            };
            let places = factor
                .places
                .iter()
                .map(|taps| taps.iter().map(tap).collect());
            axes.push(Axis::new(places.collect::<Option<Vec<Vec<Tap>>>>()?));
        }
        Some((axes, self.weights.clone()))
    }
}

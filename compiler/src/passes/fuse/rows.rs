//! A path multiplied out: for each source the neurons that it reaches.

use nirc_ir::linear::Node;

use super::super::step::each;
use super::MOST_SYNAPSES;

/// Most products of weights that multiplying out may take.
const MOST_WORK: usize = 1 << 33;

/// For each source, outputs in ascending order with the weight to them, which is not 0.
pub(super) struct Rows(pub(super) Vec<Vec<(usize, f64)>>);

impl Rows {
    /// The same with one more node behind; `None` beyond the bounds.
    pub(super) fn then(&self, node: &Node) -> Option<Self> {
        let mut sums = vec![0.0; node.output.iter().product()];
        let mut seen = vec![false; sums.len()];
        let (mut total, mut work) = (0, 0);
        let mut rows = Vec::with_capacity(self.0.len());
        for row in &self.0 {
            let mut touched = Vec::new();
            for (input, weight) in row {
                each(node, *input, &mut |at, factor| {
                    work += 1;
                    if !std::mem::replace(&mut seen[at], true) {
                        touched.push(at);
                    }
                    sums[at] += weight * factor;
                });
            }
            touched.sort_unstable();
            let mut next = Vec::with_capacity(touched.len());
            for at in touched {
                seen[at] = false;
                let sum = std::mem::take(&mut sums[at]);
                if sum != 0.0 {
                    next.push((at, sum));
                }
            }
            total += next.len();
            if total > MOST_SYNAPSES || work > MOST_WORK {
                return None;
            }
            rows.push(next);
        }
        Some(Self(rows))
    }

    fn synapses(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// Whether one sparse axis is smaller than dense weights.
    pub(super) fn is_sparse(&self, lanes: usize) -> bool {
        is_smaller(self.synapses(), self.0.len(), lanes)
    }

    /// A row of weights a source; `None` beyond the bound.
    pub(super) fn dense(&self, lanes: usize) -> Option<Vec<f64>> {
        let total = self.0.len().checked_mul(lanes)?;
        if total > MOST_SYNAPSES {
            return None;
        }
        let mut weights = vec![0.0; total];
        for (row, into) in self.0.iter().zip(weights.chunks_mut(lanes)) {
            for (lane, weight) in row {
                into[*lane] = *weight;
            }
        }
        Some(weights)
    }
}

/// Whether so many synapses take less memory as taps of one axis than as dense weights.
pub(super) fn is_smaller(synapses: usize, sources: usize, lanes: usize) -> bool {
    // A tap is two words, its weight one, and each source has one for where its taps begin.
    3 * synapses + sources < sources.saturating_mul(lanes)
}

//! Testing: forward passes only, on the same executor and program that train.

use nirc_ir::Diagnostic;
use nirc_ir::executor::{Executor, Outcome, Pass, Sample};

use super::metrics::Tally;
use crate::data::DataSet;

/// Samples handed to the executor at once: enough to keep every core busy, few enough to stop soon.
const CHUNK: usize = 512;

/// The class whose output spikes first; of several, the lowest.
pub fn predicted(first_spike: &[f32]) -> u32 {
    let mut best = 0;
    for (class, time) in first_spike.iter().enumerate() {
        if *time < first_spike[best] {
            best = class;
        }
    }
    u32::try_from(best).expect("fewer than 2^32 outputs")
}

impl Tally {
    /// Counts a sample of class `label`.
    pub fn count(&mut self, outcome: &Outcome, label: u32) {
        self.samples += 1;
        self.right += usize::from(predicted(&outcome.first_spike) == label);
        self.loss += f64::from(outcome.loss);
        self.cross_entropy += f64::from(outcome.cross_entropy);
    }
}

/// Tests on every sample of the set; `None` if `stop` said so on the way.
///
/// # Errors
/// When the executor fails.
pub fn evaluate(
    executor: &mut dyn Executor,
    set: &DataSet,
    stop: &dyn Fn() -> bool,
) -> Result<Option<Tally>, Diagnostic> {
    let mut tally = Tally::default();
    let mut batch: Vec<Sample<'_>> = Vec::with_capacity(CHUNK);
    let mut outcomes = Vec::with_capacity(CHUNK);
    let mut next = 0;
    while next < set.len() {
        if stop() {
            return Ok(None);
        }
        let end = (next + CHUNK).min(set.len());
        batch.clear();
        batch.extend((next..end).map(|k| set.sample(k)));
        outcomes.clear();
        executor.run(Pass::Forward, &batch, &mut outcomes)?;
        for (outcome, sample) in outcomes.iter().zip(&batch) {
            tally.count(outcome, sample.label);
        }
        next = end;
    }
    Ok(Some(tally))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_to_spike_wins_and_ties_go_to_the_lowest_class() {
        assert_eq!(predicted(&[5.0, 3.0, 4.0]), 1);
        assert_eq!(predicted(&[27.0, 27.0, 27.0]), 0);
        assert_eq!(predicted(&[9.0, 4.0, 4.0]), 1);
    }
}

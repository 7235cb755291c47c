//! Testing: forward passes only, on the same executor and program that train.

use nirc_ir::Diagnostic;
use nirc_ir::executor::{Executor, Outcome, Pass, Sample};

use super::metrics::Tally;
use crate::data::DataSet;

/// Samples handed to the executor at once: enough to keep every core busy, few enough to stop soon.
const CHUNK: usize = 512;

impl Tally {
    /// Counts a sample of class `label`.
    pub fn count(&mut self, outcome: &Outcome, label: u32) {
        self.samples += 1;
        self.right += usize::from(outcome.predicted() == label);
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

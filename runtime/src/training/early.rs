//! Early stopping: which epoch was best on the validation set, and whether to wait for a better one.
//!
//! Both follow from the measurements of the epochs, so that a run that goes on stops where one that was
//! never interrupted does.

use super::metrics::{Epoch, Measured};
use crate::config::{EarlyStopping, Metric};

/// What the finished epochs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Number of the best epoch, from 1.
    pub best: usize,
    /// Whether so many epochs followed it without an improvement that training ends.
    pub is_over: bool,
}

/// How training stands; `None` before the first epoch whose metric is a number.
pub(super) fn standing(epochs: &[Epoch], rule: EarlyStopping) -> Option<Standing> {
    let mut best: Option<(usize, f64)> = None;
    for epoch in epochs {
        let Some(value) = epoch
            .validation
            .map(|measured| rule.better_if_less(measured))
        else {
            continue;
        };
        let improves = best.is_none_or(|(_, least)| value < least - rule.min_delta);
        // What is no number is no improvement, not even on nothing.
        if improves && !value.is_nan() {
            best = Some((epoch.epoch, value));
        }
        if let Some((best, _)) = best
            && epoch.epoch - best >= rule.patience
        {
            let is_over = true;
            return Some(Standing { best, is_over });
        }
    }
    best.map(|(best, _)| Standing {
        best,
        is_over: false,
    })
}

impl EarlyStopping {
    /// The metric, such that less is better.
    fn better_if_less(self, measured: Measured) -> f64 {
        match self.metric {
            Metric::Loss => measured.loss,
            Metric::Accuracy => -measured.accuracy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing_of(values: &[f64], rule: EarlyStopping) -> Option<(usize, bool)> {
        let epochs: Vec<Epoch> = (1..)
            .zip(values)
            .map(|(epoch, value)| Epoch {
                epoch,
                validation: Some(Measured {
                    loss: *value,
                    accuracy: 1.0 - value,
                }),
                ..Epoch::default()
            })
            .collect();
        standing(&epochs, rule).map(|s| (s.best, s.is_over))
    }

    #[test]
    fn it_ends_after_so_many_epochs_without_an_improvement() {
        for metric in [Metric::Loss, Metric::Accuracy] {
            let rule = EarlyStopping {
                metric,
                patience: 2,
                min_delta: 0.0,
            };
            assert_eq!(standing_of(&[], rule), None);
            assert_eq!(standing_of(&[0.5, 0.4], rule), Some((2, false)));
            assert_eq!(standing_of(&[0.5, 0.4, 0.4], rule), Some((2, false)));
            assert_eq!(standing_of(&[0.5, 0.4, 0.4, 0.4], rule), Some((2, true)));
            assert_eq!(
                standing_of(&[0.5, 0.4, 0.4, 0.4, 0.1], rule),
                Some((2, true))
            );
            assert_eq!(standing_of(&[0.5, f64::NAN, 0.4], rule), Some((3, false)));
            assert_eq!(standing_of(&[f64::NAN, f64::NAN, f64::NAN], rule), None);
            let rule = EarlyStopping {
                min_delta: 0.2,
                ..rule
            };
            // Improvements of less do not count, however many; the best is the one that they are measured by.
            assert_eq!(standing_of(&[0.5, 0.4, 0.2], rule), Some((3, false)));
            assert_eq!(standing_of(&[0.5, 0.4, 0.35], rule), Some((1, true)));
        }
    }
}

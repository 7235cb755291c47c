//! `[data.split]`: what is held out of the training samples.

use nirc_ir::{Diagnostic, codes};
use serde::Serialize;

use super::parse::SEED;
use super::section::Section;

/// `[data.split]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Split {
    /// Seed of the choice.
    pub seed: u32,
    /// Samples to train on; none: all that are not held out.
    pub train: Option<Amount>,
    /// Samples to validate on.
    pub validation: Option<Amount>,
    /// Samples to test on.
    pub test: Option<Amount>,
}

/// Some of the samples that there are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Amount {
    /// So many.
    Count(usize),
    /// A share of them, above 0 and below 1.
    Share(f64),
}

impl Amount {
    /// How many that is of some samples, rounded to the nearest.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of far less than 2^53 samples"
    )]
    fn of(self, samples: usize) -> usize {
        match self {
            Self::Count(count) => count,
            Self::Share(share) => (share * samples as f64).round() as usize,
        }
    }
}

/// Numbers of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// To train on.
    pub train: usize,
    /// To validate on.
    pub validation: Option<usize>,
    /// To test on.
    pub test: Option<usize>,
}

impl Split {
    /// Reads the section.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let seed = section.required_integer("seed", SEED, 0..=u32::MAX);
        let amount = |key| {
            let amount = section.amount(key);
            (amount.is_some() || !section.has(key)).then_some(amount)
        };
        let (train, validation, test) = (amount("train"), amount("validation"), amount("test"));
        section.finish();
        Some(Self {
            seed: seed?,
            train: train?,
            validation: validation?,
            test: test?,
        })
    }

    /// How many samples each set gets of so many.
    ///
    /// # Errors
    /// When a set would get none, or all together get more than there are.
    pub fn sizes(&self, samples: usize) -> Result<Sizes, Diagnostic> {
        let [validation, test] =
            [self.validation, self.test].map(|part| part.map(|p| p.of(samples)));
        let held_out = validation.unwrap_or(0).saturating_add(test.unwrap_or(0));
        let left = samples.saturating_sub(held_out);
        let train = self.train.map_or(left, |train| train.of(samples));
        let is_empty = [Some(train), validation, test].contains(&Some(0));
        if is_empty || held_out > samples || train > left {
            let shown = |part: Option<usize>| part.map_or("no".to_owned(), |n| n.to_string());
            let message = format!(
                "{samples} samples cannot be split into {train} training, {} validation and {} test samples",
                shown(validation),
                shown(test)
            );
            return Err(
                Diagnostic::error(codes::CONFIG_CONTRADICTION, "data.split", message)
                    .help("each set needs a sample; hold out fewer, or raise data.train.samples"),
            );
        }
        Ok(Sizes {
            train,
            validation,
            test,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(parts: [Option<Amount>; 3], samples: usize) -> Option<(usize, usize, usize)> {
        let [train, validation, test] = parts;
        let split = Split {
            seed: 0,
            train,
            validation,
            test,
        };
        let sizes = split.sizes(samples).ok()?;
        let of = |part: Option<usize>| part.unwrap_or(0);
        Some((sizes.train, of(sizes.validation), of(sizes.test)))
    }

    #[test]
    fn counts_and_shares_add_up() {
        use Amount::{Count, Share};
        assert_eq!(
            sizes([None, Some(Share(0.1)), Some(Count(30))], 100),
            Some((60, 10, 30))
        );
        assert_eq!(
            sizes([Some(Share(0.5)), None, Some(Share(0.25))], 10),
            Some((5, 0, 3))
        );
        assert_eq!(sizes([None, Some(Count(99)), None], 100), Some((1, 99, 0)));
        // Nothing left, more than there are, and less than one.
        assert_eq!(sizes([None, Some(Count(50)), Some(Count(50))], 100), None);
        assert_eq!(
            sizes([None, Some(Count(usize::MAX)), Some(Count(1))], 100),
            None
        );
        assert_eq!(sizes([Some(Count(71)), None, Some(Count(30))], 100), None);
        assert_eq!(sizes([None, Some(Share(0.004)), None], 100), None);
    }
}

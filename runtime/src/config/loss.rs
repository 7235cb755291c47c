//! `[loss]`: what is read out of a sample, and what training minimises.

use nirc_compiler::options;
use serde::Serialize;

use super::parse::{FINITE, NOT_NEGATIVE, POSITIVE};
use super::section::Section;

/// `[loss]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Loss {
    /// Cross entropy of first spike times, in bins.
    FirstSpike {
        /// Scale of the softmax.
        xi: f64,
        /// Weight of the early-spike term.
        alpha: f64,
        /// Time scale of the early-spike term.
        beta: f64,
    },
    /// The same in seconds, silent outputs left out of the softmax.
    FirstSpikeSeconds {
        /// Scale of the softmax.
        tau_0: f64,
        /// Weight of the early-spike term.
        alpha: f64,
        /// Time scale of the early-spike term.
        tau_1: f64,
    },
    /// Mean square of first spike times' distance from targets, in bins.
    TargetTimes {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
    /// Mean square of numbers of spikes' distance from targets.
    SpikeCount {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
    /// Cross entropy of a score of each output's voltage.
    Voltage {
        /// The score.
        #[serde(flatten)]
        score: Score,
    },
    /// Mean square of the voltages' distance from targets, over outputs and ticks.
    VoltageError {
        /// Target of the label.
        hit: f64,
        /// Target of the other outputs.
        miss: f64,
    },
}

/// `loss.score`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "score", rename_all = "kebab-case")]
pub enum Score {
    /// The voltage's maximum.
    Max,
    /// Its sum over the ticks.
    Sum,
    /// Its mean over the ticks.
    Average {
        /// Time constant with which weights fall, in bins; none: equal weights.
        tau: Option<f64>,
    },
    /// Its value in the last tick.
    Final,
}

#[derive(Clone, Copy)]
enum Kind {
    FirstSpike,
    FirstSpikeSeconds,
    TargetTimes,
    SpikeCount,
    Voltage,
    VoltageError,
}

#[derive(Clone, Copy, PartialEq)]
enum ScoreKind {
    Max,
    Sum,
    Average,
    Final,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Option<Loss> {
    let kind = section.required_choice(
        "kind",
        &[
            ("first-spike", Kind::FirstSpike),
            ("first-spike-seconds", Kind::FirstSpikeSeconds),
            ("target-times", Kind::TargetTimes),
            ("spike-count", Kind::SpikeCount),
            ("voltage", Kind::Voltage),
            ("voltage-error", Kind::VoltageError),
        ],
    )?;
    let loss = match kind {
        Kind::FirstSpike => first_spike(section, "xi", "beta")
            .map(|[xi, alpha, beta]| Loss::FirstSpike { xi, alpha, beta }),
        Kind::FirstSpikeSeconds => {
            first_spike(section, "tau_0", "tau_1").map(|[tau_0, alpha, tau_1]| {
                Loss::FirstSpikeSeconds {
                    tau_0,
                    alpha,
                    tau_1,
                }
            })
        }
        Kind::TargetTimes => targets(section, "a time of 0 or more, bins", NOT_NEGATIVE)
            .map(|[hit, miss]| Loss::TargetTimes { hit, miss }),
        Kind::SpikeCount => targets(section, "a number of spikes, 0 or more", NOT_NEGATIVE)
            .map(|[hit, miss]| Loss::SpikeCount { hit, miss }),
        Kind::Voltage => score(section).map(|score| Loss::Voltage { score }),
        Kind::VoltageError => targets(section, "a voltage", FINITE)
            .map(|[hit, miss]| Loss::VoltageError { hit, miss }),
    };
    section.finish();
    loss
}

fn first_spike(section: &Section<'_>, early: &'static str, late: &'static str) -> Option<[f64; 3]> {
    let softmax = section.required_float(early, "a positive number", POSITIVE);
    let alpha = section.required_float("alpha", "a number of 0 or more", NOT_NEGATIVE);
    let regular = section.required_float(late, "a positive number", POSITIVE);
    Some([softmax?, alpha?, regular?])
}

fn targets(
    section: &Section<'_>,
    what: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Option<[f64; 2]> {
    let hit = section.required_float("hit", what, range.clone());
    let miss = section.required_float("miss", what, range);
    Some([hit?, miss?])
}

fn score(section: &Section<'_>) -> Option<Score> {
    let kind = section.required_choice(
        "score",
        &[
            ("max", ScoreKind::Max),
            ("sum", ScoreKind::Sum),
            ("average", ScoreKind::Average),
            ("final", ScoreKind::Final),
        ],
    )?;
    Some(match kind {
        ScoreKind::Max => Score::Max,
        ScoreKind::Sum => Score::Sum,
        ScoreKind::Average => Score::Average {
            tau: section.float("tau", "a positive number of bins", POSITIVE),
        },
        ScoreKind::Final => Score::Final,
    })
}

impl Loss {
    /// The compiler's notion of it.
    pub fn lowered(self) -> options::Loss {
        match self {
            Self::FirstSpike { xi, alpha, beta } => options::Loss::FirstSpike { xi, alpha, beta },
            Self::FirstSpikeSeconds {
                tau_0,
                alpha,
                tau_1,
            } => options::Loss::FirstSpikeSeconds {
                tau_0,
                alpha,
                tau_1,
            },
            Self::TargetTimes { hit, miss } => options::Loss::TargetTimes { hit, miss },
            Self::SpikeCount { hit, miss } => options::Loss::SpikeCount { hit, miss },
            Self::Voltage { score } => options::Loss::Voltage {
                score: match score {
                    Score::Max => options::Score::Max,
                    Score::Sum => options::Score::Sum,
                    Score::Average { tau } => options::Score::Average { tau },
                    Score::Final => options::Score::Final,
                },
            },
            Self::VoltageError { hit, miss } => options::Loss::VoltageError { hit, miss },
        }
    }
}

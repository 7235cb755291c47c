//! `[optimiser]`: the update rule, the schedule of the learning rate and the clipping of gradients.
//!
//! Names and defaults are PyTorch's where it has them. A schedule counts epochs, and is made one of
//! batches when it is known how many an epoch has.

use std::num::NonZeroU32;

use nirc_compiler::options;
use nirc_ir::{Diagnostic, codes};
use serde::Serialize;

use super::parse::{NOT_NEGATIVE, POSITIVE};
use super::section::Section;

/// `[optimiser]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Optimiser {
    /// Update rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// Learning rate that the schedule starts from.
    pub learning_rate: f64,
    /// Weight decay: L2, added to the gradient; of AdamW, taken off the weight.
    pub weight_decay: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// How long it rises before.
    pub warm_up: Option<WarmUp>,
    /// How gradients are clipped.
    pub clip: Option<Clip>,
    /// Factor on the learning rate of delays; `None` where they are not trained.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay_rate: Option<f64>,
}

/// `optimiser.kind`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Rule {
    /// Gradient descent.
    Sgd {
        /// Decay of the momentum; 0 for none.
        momentum: f64,
        /// Nesterov's momentum.
        nesterov: bool,
    },
    /// Adam with bias correction.
    Adam(Moments),
    /// Adam with decoupled weight decay.
    AdamW(Moments),
    /// Adam with the largest recent gradient in place of the second moment.
    AdaMax(Moments),
}

/// What rules of Adam's kind keep.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moments {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment, or of the largest gradient.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
}

/// `[optimiser.schedule]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Schedule {
    /// The same rate in every batch.
    Constant,
    /// A factor over an epoch, applied smoothly after each batch.
    Exponential {
        /// The factor.
        gamma: f64,
    },
    /// A factor every so many epochs.
    Step {
        /// Epochs between decays.
        step_size: u32,
        /// The factor.
        gamma: f64,
    },
    /// Half a period of a cosine over the run.
    Cosine {
        /// Learning rate at the end.
        eta_min: f64,
    },
}

/// A linear warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WarmUp {
    /// Over so many batches.
    Batches(u32),
    /// Over so many epochs.
    Epochs(u32),
}

/// `[optimiser.clip]`
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Clip {
    /// Each element to this distance from 0.
    Value(f64),
    /// All gradients together to this Euclidean norm.
    Norm(f64),
}

impl Optimiser {
    /// The compiler's notion of it, for so many batches an epoch and so many epochs.
    ///
    /// # Errors
    /// When a cosine has no batch left after the warm-up, or there are more than 2^32 - 1 batches.
    pub fn lowered(self, batches: usize, epochs: usize) -> Result<options::Optimiser, Diagnostic> {
        let warm_up = match self.warm_up {
            None => 0,
            Some(WarmUp::Batches(warm_up)) => warm_up.into(),
            Some(WarmUp::Epochs(warm_up)) => u64::from(warm_up).saturating_mul(batches as u64),
        };
        Ok(options::Optimiser {
            rule: self.rule.lowered(),
            learning_rate: self.learning_rate,
            weight_decay: self.weight_decay,
            warm_up: NonZeroU32::new(count("warm-up", warm_up)?),
            schedule: self.schedule.lowered(batches, epochs, warm_up)?,
            clip: self.clip.map(Clip::lowered),
            delay_rate: self.delay_rate.unwrap_or(1.0),
        })
    }

    /// Whether the rate of a batch depends on the length of the run.
    pub fn depends_on_epochs(&self) -> bool {
        matches!(self.schedule, Schedule::Cosine { .. })
    }
}

impl Rule {
    fn lowered(self) -> options::Rule {
        match self {
            Self::Sgd { momentum, nesterov } => options::Rule::Sgd { momentum, nesterov },
            Self::Adam(Moments {
                beta1,
                beta2,
                epsilon,
            }) => options::Rule::Adam {
                beta1,
                beta2,
                epsilon,
            },
            Self::AdamW(Moments {
                beta1,
                beta2,
                epsilon,
            }) => options::Rule::AdamW {
                beta1,
                beta2,
                epsilon,
            },
            Self::AdaMax(Moments {
                beta1,
                beta2,
                epsilon,
            }) => options::Rule::AdaMax {
                beta1,
                beta2,
                epsilon,
            },
        }
    }
}

impl Schedule {
    fn lowered(
        self,
        batches: usize,
        epochs: usize,
        warm_up: u64,
    ) -> Result<options::Schedule, Diagnostic> {
        let batches = batches as u64;
        Ok(match self {
            Self::Constant => options::Schedule::Constant,
            Self::Exponential { gamma } => options::Schedule::Exponential {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53 batches")]
                factor: gamma.powf(1.0 / batches as f64),
            },
            Self::Step { step_size, gamma } => {
                let batches = u64::from(step_size).saturating_mul(batches);
                options::Schedule::Step {
                    batches: some("step_size", batches)?,
                    factor: gamma,
                }
            }
            Self::Cosine { eta_min } => {
                // With 0 epochs nothing is trained.
                let run = (epochs.max(1) as u64).saturating_mul(batches);
                let left = run.checked_sub(warm_up).filter(|left| *left > 0);
                let left = left.ok_or_else(|| no_batch_left(run, warm_up))?;
                options::Schedule::Cosine {
                    batches: some("run", left)?,
                    last: eta_min,
                }
            }
        })
    }
}

impl Clip {
    fn lowered(self) -> options::Clip {
        match self {
            Self::Value(limit) => options::Clip::Value(limit),
            Self::Norm(most) => options::Clip::Norm(most),
        }
    }
}

fn count(what: &str, batches: u64) -> Result<u32, Diagnostic> {
    u32::try_from(batches).map_err(|_| {
        let message = format!("the {what} takes {batches} batches; at most {}", u32::MAX);
        Diagnostic::error(codes::CONFIG_CONTRADICTION, "optimiser.schedule", message)
            .help("use fewer epochs or larger batches")
    })
}

fn some(what: &str, batches: u64) -> Result<NonZeroU32, Diagnostic> {
    count(what, batches.max(1)).map(|batches| NonZeroU32::new(batches).unwrap_or(NonZeroU32::MIN))
}

fn no_batch_left(run: u64, warm_up: u64) -> Diagnostic {
    let message = format!(
        "a warm-up of {warm_up} batches leaves none of the run's {run} for the cosine behind it"
    );
    Diagnostic::error(codes::CONFIG_CONTRADICTION, "optimiser.schedule", message)
        .help("shorten the warm-up, or raise `training.epochs`")
}

const DECAY: &str = "a number from 0 to below 1";
const FACTOR: &str = "a factor above 0, at most 1";
const FACTORS: std::ops::RangeInclusive<f64> = f64::MIN_POSITIVE..=1.0;

#[derive(Clone, Copy)]
enum RuleKind {
    Sgd,
    Adam,
    AdamW,
    AdaMax,
}

/// Reads the section.
pub(super) fn read(section: &Section<'_>) -> Option<Optimiser> {
    let kind = section.required_choice(
        "kind",
        &[
            ("sgd", RuleKind::Sgd),
            ("adam", RuleKind::Adam),
            ("adamw", RuleKind::AdamW),
            ("adamax", RuleKind::AdaMax),
        ],
    )?;
    let rule = match kind {
        RuleKind::Sgd => sgd(section),
        RuleKind::Adam => moments(section).map(Rule::Adam),
        RuleKind::AdamW => moments(section).map(Rule::AdamW),
        RuleKind::AdaMax => moments(section).map(Rule::AdaMax),
    };
    let rate = section.required_float("learning_rate", "a positive number", POSITIVE);
    let usual = match kind {
        RuleKind::AdamW => 1e-2,
        _ => 0.0,
    };
    let weight_decay =
        section.float_or("weight_decay", usual, "a number of 0 or more", NOT_NEGATIVE);
    let schedule = schedule(section, rate);
    let clip = match section.section("clip") {
        Some(section) => clip(&section).map(Some),
        None => (!section.has("clip")).then_some(None),
    };
    let delay_rate = match section.has("delay_rate") {
        true => Some(section.float("delay_rate", "a positive number", POSITIVE)?),
        false => None,
    };
    section.finish();
    let (schedule, warm_up) = schedule?;
    Some(Optimiser {
        rule: rule?,
        learning_rate: rate?,
        weight_decay: weight_decay?,
        schedule,
        warm_up,
        clip: clip?,
        delay_rate,
    })
}

fn sgd(section: &Section<'_>) -> Option<Rule> {
    let momentum = section.float_or("momentum", 0.0, DECAY, 0.0..1.0);
    let nesterov = section.boolean_or("nesterov", false);
    let (momentum, nesterov) = (momentum?, nesterov?);
    if nesterov && momentum == 0.0 {
        section.problem(
            codes::CONFIG_CONTRADICTION,
            "nesterov",
            "it looks ahead along a momentum, which is 0",
            "set `momentum`, such as 0.9, or leave `nesterov` out",
        );
        return None;
    }
    Some(Rule::Sgd { momentum, nesterov })
}

/// `betas = [beta1, beta2]`, or each by its name.
fn moments(section: &Section<'_>) -> Option<Moments> {
    let betas = if section.has("betas") {
        both(section, "betas", &["beta1", "beta2"]);
        section.floats("betas", "two numbers from 0 to below 1", 0.0..1.0)
    } else {
        let beta1 = section.float_or("beta1", 0.9, DECAY, 0.0..1.0);
        let beta2 = section.float_or("beta2", 0.999, DECAY, 0.0..1.0);
        beta1.zip(beta2).map(|(beta1, beta2)| [beta1, beta2])
    };
    let epsilon = section.float_or("epsilon", 1e-8, "a positive number", POSITIVE);
    let [beta1, beta2] = betas?;
    Some(Moments {
        beta1,
        beta2,
        epsilon: epsilon?,
    })
}

/// Notes which keys say again what `key` says.
fn both(section: &Section<'_>, key: &str, others: &[&str]) {
    for other in others.iter().filter(|other| section.has(other)) {
        section.problem(
            codes::CONFIG_CONTRADICTION,
            other,
            &format!("`{key}` says the same"),
            &format!("remove `{other}` or `{key}`"),
        );
        section.float(other, "a number", ..);
    }
}

#[derive(Clone, Copy)]
enum ScheduleKind {
    Constant,
    Exponential,
    Step,
    Cosine,
}

/// The schedule with its warm-up; `decay_per_epoch` is short for an exponential one.
fn schedule(section: &Section<'_>, rate: Option<f64>) -> Option<(Schedule, Option<WarmUp>)> {
    if section.has("schedule") {
        both(section, "schedule", &["decay_per_epoch"]);
        return kinds(&section.section("schedule")?, rate);
    }
    // Not there, and known all the same.
    section.section("schedule");
    let gamma = section.float_or("decay_per_epoch", 1.0, FACTOR, FACTORS)?;
    Some((decay(gamma), None))
}

/// A factor of 1 changes nothing.
fn decay(gamma: f64) -> Schedule {
    if gamma == 1.0 {
        Schedule::Constant
    } else {
        Schedule::Exponential { gamma }
    }
}

fn kinds(section: &Section<'_>, rate: Option<f64>) -> Option<(Schedule, Option<WarmUp>)> {
    let kind = section.required_choice(
        "kind",
        &[
            ("constant", ScheduleKind::Constant),
            ("exponential", ScheduleKind::Exponential),
            ("step", ScheduleKind::Step),
            ("cosine", ScheduleKind::Cosine),
        ],
    )?;
    let gamma = || section.required_float("gamma", FACTOR, FACTORS);
    let schedule = match kind {
        ScheduleKind::Constant => Some(Schedule::Constant),
        ScheduleKind::Exponential => gamma().map(decay),
        ScheduleKind::Step => {
            let epochs = "a number of epochs, 1 or more";
            let step_size = section.required_integer("step_size", epochs, 1..=u32::MAX);
            step_size
                .zip(gamma())
                .map(|(step_size, gamma)| Schedule::Step { step_size, gamma })
        }
        ScheduleKind::Cosine => {
            let most = rate.unwrap_or(f64::MAX);
            let range = "a number from 0 to the learning rate";
            section
                .float_or("eta_min", 0.0, range, 0.0..=most)
                .map(|eta_min| Schedule::Cosine { eta_min })
        }
    };
    let warm_up = warm_up(section);
    section.finish();
    Some((schedule?, warm_up?))
}

/// `Some(None)` where there is none, `None` after a problem.
fn warm_up(section: &Section<'_>) -> Option<Option<WarmUp>> {
    let of = |key, expected| section.integer(key, expected, 1..=u32::MAX);
    let batches = of("warm_up_batches", "a number of batches, 1 or more");
    let epochs = of("warm_up_epochs", "a number of epochs, 1 or more");
    match (
        section.has("warm_up_batches"),
        section.has("warm_up_epochs"),
    ) {
        (false, false) => Some(None),
        (true, false) => batches.map(|n| Some(WarmUp::Batches(n))),
        (false, true) => epochs.map(|n| Some(WarmUp::Epochs(n))),
        (true, true) => {
            section.problem(
                codes::CONFIG_CONTRADICTION,
                "warm_up_batches",
                "`warm_up_epochs` says the same",
                "remove one of the two",
            );
            None
        }
    }
}

fn clip(section: &Section<'_>) -> Option<Clip> {
    let value = section.float("value", "a positive number", POSITIVE);
    let norm = section.float("norm", "a positive number", POSITIVE);
    section.finish();
    match (section.has("value"), section.has("norm")) {
        (true, false) => value.map(Clip::Value),
        (false, true) => norm.map(Clip::Norm),
        (has_value, _) => {
            let found = if has_value {
                "found both"
            } else {
                "found neither"
            };
            section.problem(
                codes::CONFIG_CONTRADICTION,
                "value",
                &format!("expected `value` or `norm`, {found}"),
                "write one of the two",
            );
            None
        }
    }
}

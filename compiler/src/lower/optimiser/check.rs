//! Numbers of an optimiser that have a meaning.

use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::options::{Clip, Optimiser, Rule, Schedule};

/// Most batches that a counter counts: whole numbers of `f32`.
const MOST_BATCHES: u32 = 1 << 24;

/// What is wrong with the numbers, all of it.
pub(in crate::lower) fn check(optimiser: &Optimiser) -> Diagnostics {
    let mut check = Check(Diagnostics::new());
    check.positive("learning_rate", optimiser.learning_rate);
    check.range("weight_decay", optimiser.weight_decay, 0.0, f64::MAX);
    check.rule(optimiser.rule);
    check.schedule(optimiser);
    match optimiser.clip {
        Some(Clip::Value(limit)) => check.positive("clip.value", limit),
        Some(Clip::Norm(most)) => check.positive("clip.norm", most),
        None => {}
    }
    check.0
}

struct Check(Diagnostics);

impl Check {
    fn problem(&mut self, key: &str, message: String, help: &str) {
        let place = format!("optimiser.{key}");
        let problem = Diagnostic::error(codes::CONFIG_VALUE, place, message);
        self.0.push(problem.help(help));
    }

    fn range(&mut self, key: &str, value: f64, least: f64, most: f64) {
        if !(least..=most).contains(&value) {
            let message = format!("expected a number from {least:e} to {most:e}, found {value:e}");
            self.problem(key, message, "write a number within the range");
        }
    }

    fn positive(&mut self, key: &str, value: f64) {
        // What is below rounds to zero as f32, what is above to infinity.
        self.range(
            key,
            value,
            f64::from(f32::MIN_POSITIVE),
            f64::from(f32::MAX),
        );
    }

    fn rule(&mut self, rule: Rule) {
        let below_one = 1.0 - f64::EPSILON;
        match rule {
            Rule::Sgd { momentum, nesterov } => {
                self.range("momentum", momentum, 0.0, below_one);
                if nesterov && momentum == 0.0 {
                    let message = "Nesterov's step looks ahead along a momentum of 0".to_owned();
                    self.problem(
                        "nesterov",
                        message,
                        "set `momentum`, or leave `nesterov` out",
                    );
                }
            }
            Rule::Adam {
                beta1,
                beta2,
                epsilon,
            }
            | Rule::AdamW {
                beta1,
                beta2,
                epsilon,
            }
            | Rule::AdaMax {
                beta1,
                beta2,
                epsilon,
            } => {
                self.range("beta1", beta1, 0.0, below_one);
                self.range("beta2", beta2, 0.0, below_one);
                self.positive("epsilon", epsilon);
            }
        }
    }

    fn schedule(&mut self, optimiser: &Optimiser) {
        let warm_up = optimiser.warm_up.map_or(0, std::num::NonZero::get);
        self.counted("schedule.warm_up", warm_up);
        match optimiser.schedule {
            Schedule::Constant => {}
            Schedule::Exponential { factor } => self.range("schedule.gamma", factor, 0.0, 1.0),
            Schedule::Step { batches, factor } => {
                self.counted("schedule.step_size", batches.get());
                self.range("schedule.gamma", factor, 0.0, 1.0);
            }
            Schedule::Cosine { last, .. } => {
                self.range("schedule.eta_min", last, 0.0, optimiser.learning_rate);
            }
        }
    }

    fn counted(&mut self, key: &str, batches: u32) {
        if batches > MOST_BATCHES {
            let message = format!("{batches} batches; at most {MOST_BATCHES} are counted");
            self.problem(key, message, "use fewer");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn places(optimiser: &Optimiser) -> Vec<String> {
        let problems = check(optimiser).0;
        assert!(problems.iter().all(|p| p.help.is_some()), "{problems:?}");
        problems.into_iter().map(|problem| problem.place).collect()
    }

    #[test]
    fn every_number_without_a_meaning_is_told() {
        let momentum = Rule::Sgd {
            momentum: 0.9,
            nesterov: true,
        };
        assert!(places(&Optimiser::new(momentum, 0.1)).is_empty());
        let bad = Optimiser {
            weight_decay: -1.0,
            warm_up: NonZeroU32::new(MOST_BATCHES + 1),
            schedule: Schedule::Cosine {
                batches: NonZeroU32::MAX,
                last: 1.0,
            },
            clip: Some(Clip::Norm(0.0)),
            ..Optimiser::new(
                Rule::AdaMax {
                    beta1: 1.0,
                    beta2: f64::NAN,
                    epsilon: 1e-60,
                },
                f64::INFINITY,
            )
        };
        let expected = [
            "learning_rate",
            "weight_decay",
            "beta1",
            "beta2",
            "epsilon",
            "schedule.warm_up",
            "clip.norm",
        ];
        assert_eq!(places(&bad), expected.map(|key| format!("optimiser.{key}")));
        let bad = Optimiser {
            schedule: Schedule::Step {
                batches: NonZeroU32::MAX,
                factor: 1.5,
            },
            clip: Some(Clip::Value(f64::NAN)),
            ..Optimiser::new(
                Rule::Sgd {
                    momentum: 0.0,
                    nesterov: true,
                },
                0.1,
            )
        };
        let expected = [
            "nesterov",
            "schedule.step_size",
            "schedule.gamma",
            "clip.value",
        ];
        assert_eq!(places(&bad), expected.map(|key| format!("optimiser.{key}")));
    }
}

//! Generated tasks whose answer depends on what was when, and on nothing that is there at once.
//!
//! A *pattern* is a spike of each of its channels, at a tick of its own. A sample shows patterns, each
//! `pattern_ticks` long and `gap` ticks from the next, moved spike by spike by the jitter, in noise:
//!
//! ```text
//!         ┌───────────┐             ┌───────────┐
//! jitter  │  pattern  │     gap     │  pattern  │  …  jitter, and silence to the last tick
//!         └───────────┘             └───────────┘
//! ```
//! Sample `k` of a set is of class `k mod 2`, so classes are even; all else of it is drawn from
//! `RandomState([seed, k])`, so it does not depend on how many samples there are.
//!
//! | task | shows | class 1 |
//! |---|---|---|
//! | pattern order | two of three patterns | the second comes two places after the first, in a ring of three |
//! | delayed match | two of some patterns | they are the same |
//! | store and recall | a bit to store, other bits, a cue | the bit is 1, or 0 if the cue asks for the opposite |
//!
//! **Why they need a memory.** Take any moment and what a pattern's length lies around it: what spikes there is
//! equally probable in both classes. *Pattern order* has a third pattern for that: were there two, the first
//! one seen would be the answer. Given two of the three, the class says which of them came first, and each
//! pattern is as often the first as the second in both classes. In *delayed match* both classes show every
//! pattern as often in both places. In *store and recall* the cue decides between the stored bit and its
//! opposite, so neither is the answer before the cue is there, and after it the bit is gone. Counts of
//! spikes say nothing either: a pattern has a spike for each of its channels. What is left is to keep the
//! first pattern over the gap, by recurrence or delays; a membrane or a synapse alone does it while its time
//! constant is not short against the gap.

use nirc_ir::executor::InputSpike;

use super::DataSet;
use crate::config::{Episode, GROUPS, Generated, Task};
use crate::random::Mt19937;

/// Patterns of the pattern order: one more than a sample shows.
pub(crate) const RING: u32 = 3;

/// Generates the samples of a set.
pub(super) fn generate(what: Generated, task: Task, episode: Episode, ticks: u32) -> DataSet {
    let patterns = Patterns::draw(task, episode);
    let mut set = DataSet::new(episode.channels as usize);
    for (k, label) in (0..what.samples).zip([0, 1].into_iter().cycle()) {
        let sample = u32::try_from(k).unwrap_or(u32::MAX);
        let mut generator = Mt19937::from_key(&[what.seed, sample]);
        let shown = shown(task, label, &mut generator);
        let mut spikes = patterns.show(&shown, episode, &mut generator);
        noise(&mut spikes, episode, ticks, &mut generator);
        set.push(spikes, label)
            .expect("channels of patterns are channels of the set");
    }
    set
}

/// Which patterns a sample of a class shows, one list a place; those of a list are shown together.
fn shown(task: Task, label: u32, generator: &mut Mt19937) -> Vec<Vec<u32>> {
    match task {
        Task::PatternOrder => {
            let first = generator.below(RING);
            vec![vec![first], vec![(first + 1 + label) % RING]]
        }
        Task::DelayedMatch { patterns } => {
            let first = generator.below(patterns);
            let second = match label {
                1 => first,
                _ => (first + 1 + generator.below(patterns - 1)) % patterns,
            };
            vec![vec![first], vec![second]]
        }
        Task::StoreRecall { distractors } => {
            const STORE: u32 = 2;
            const RECALL: u32 = 3;
            let is_opposite = generator.below(2);
            let mut shown = vec![vec![label ^ is_opposite, STORE]];
            shown.extend((0..distractors).map(|_| vec![generator.below(2)]));
            shown.push(vec![RECALL + is_opposite]);
            shown
        }
    }
}

/// The patterns of a task: channels, each with the tick at which it spikes.
struct Patterns(Vec<Vec<InputSpike>>);

impl Patterns {
    fn draw(task: Task, episode: Episode) -> Self {
        let mut generator = Mt19937::new(episode.pattern_seed);
        let mut draw = |from: u32, to: u32| -> Vec<InputSpike> {
            (from..to)
                .map(|channel| InputSpike {
                    tick: generator.below(episode.pattern_ticks),
                    channel,
                })
                .collect()
        };
        // The configuration has made sure that there are so many.
        let mut different = |count: u32| {
            let mut drawn: Vec<Vec<InputSpike>> = Vec::new();
            while drawn.len() < count as usize {
                let pattern = draw(0, episode.channels);
                if !drawn.contains(&pattern) {
                    drawn.push(pattern);
                }
            }
            drawn
        };
        let patterns = match task {
            Task::PatternOrder => different(RING),
            Task::DelayedMatch { patterns } => different(patterns),
            // Bits and cues have channels of their own.
            Task::StoreRecall { .. } => {
                let size = episode.channels / GROUPS;
                (0..GROUPS)
                    .map(|group| draw(group * size, (group + 1) * size))
                    .collect()
            }
        };
        Self(patterns)
    }

    /// The spikes of patterns one after the other, each moved by up to the jitter.
    fn show(
        &self,
        shown: &[Vec<u32>],
        episode: Episode,
        generator: &mut Mt19937,
    ) -> Vec<InputSpike> {
        let places = (0..).zip(shown).flat_map(|(place, patterns)| {
            // The earliest spike may be moved to tick 0.
            let start = place * (episode.pattern_ticks + episode.gap);
            patterns.iter().map(move |pattern| (start, *pattern))
        });
        let mut spikes = Vec::new();
        for (start, pattern) in places {
            for spike in &self.0[pattern as usize] {
                let moved = generator.below(2 * episode.jitter + 1);
                spikes.push(InputSpike {
                    tick: start + spike.tick + moved,
                    channel: spike.channel,
                });
            }
        }
        spikes
    }
}

/// Adds spikes at random.
fn noise(spikes: &mut Vec<InputSpike>, episode: Episode, ticks: u32, generator: &mut Mt19937) {
    if episode.noise_rate == 0.0 {
        return;
    }
    for tick in 0..ticks {
        for channel in 0..episode.channels {
            if generator.uniform() < episode.noise_rate {
                spikes.push(InputSpike { tick, channel });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const EPISODE: Episode = Episode {
        channels: 10,
        pattern_ticks: 8,
        gap: 12,
        jitter: 0,
        noise_rate: 0.0,
        pattern_seed: 3,
    };
    const TASKS: [Task; 3] = [
        Task::PatternOrder,
        Task::DelayedMatch { patterns: 4 },
        Task::StoreRecall { distractors: 3 },
    ];

    fn set(task: Task, samples: usize, episode: Episode) -> DataSet {
        let ticks = u32::try_from(episode.ticks(task.shown())).expect("short") + 5;
        generate(Generated { samples, seed: 9 }, task, episode, ticks)
    }

    #[test]
    fn samples_depend_on_seed_and_number_only_and_classes_are_even() {
        for task in TASKS {
            let many = set(task, 200, EPISODE);
            assert_eq!(set(task, 30, EPISODE), many.select(0..30));
            assert_eq!(many.labels().iter().filter(|l| **l == 1).count(), 100);
            let other = Generated {
                samples: 30,
                seed: 10,
            };
            assert_ne!(generate(other, task, EPISODE, 200), many.select(0..30));
        }
    }

    #[test]
    fn no_place_alone_tells_the_class() {
        for task in TASKS {
            let mut generator = Mt19937::new(1);
            let draws = 6000;
            for place in 0..task.shown() as usize {
                let mut counts: BTreeMap<Vec<u32>, [u32; 2]> = BTreeMap::new();
                for k in 0..draws {
                    let mut shown = shown(task, k % 2, &mut generator);
                    counts.entry(shown.swap_remove(place)).or_default()[(k % 2) as usize] += 1;
                }
                for (what, [zeros, ones]) in counts {
                    let (sum, difference) = (zeros + ones, zeros.abs_diff(ones));
                    // Four standard deviations of a fair coin.
                    let bound = 4.0 * f64::from(sum).sqrt();
                    assert!(f64::from(difference) < bound, "{task:?} {place} {what:?}");
                }
            }
        }
    }

    #[test]
    fn the_whole_sample_tells_the_class() {
        for task in TASKS {
            let mut generator = Mt19937::new(2);
            for label in [0, 1].repeat(300) {
                let shown = shown(task, label, &mut generator);
                let (first, last) = (shown[0][0], shown[shown.len() - 1][0]);
                let answer = match task {
                    Task::PatternOrder => u32::from(last == (first + 2) % 3),
                    Task::DelayedMatch { .. } => u32::from(first == last),
                    Task::StoreRecall { .. } => first ^ u32::from(last == 4),
                };
                assert_eq!(answer, label, "{task:?} {shown:?}");
            }
        }
    }

    #[test]
    fn counts_of_spikes_say_nothing_and_gaps_are_silent() {
        for task in TASKS {
            let set = set(task, 40, EPISODE);
            let period = EPISODE.pattern_ticks + EPISODE.gap;
            for k in 0..set.len() {
                assert_eq!(set.spikes(k).len(), set.spikes(0).len(), "{task:?}");
                let mut spikes = set.spikes(k).iter();
                assert!(spikes.all(|s| s.tick % period < EPISODE.pattern_ticks));
            }
        }
    }

    #[test]
    fn jitter_moves_and_noise_adds() {
        let jitter = Episode {
            jitter: 2,
            ..EPISODE
        };
        let ticks = 200;
        for task in TASKS {
            let what = Generated {
                samples: 50,
                seed: 4,
            };
            let moved = generate(what, task, jitter, ticks);
            let patterns = Patterns::draw(task, EPISODE);
            let period = EPISODE.pattern_ticks + EPISODE.gap;
            let last = EPISODE.ticks(task.shown()) + 4;
            for k in 0..moved.len() {
                for spike in moved.spikes(k) {
                    assert!(u64::from(spike.tick) < last);
                    // At most two ticks from a spike of a pattern, which itself lies two later.
                    let near = |s: &InputSpike| {
                        s.channel == spike.channel
                            && (s.tick + 2).abs_diff(spike.tick % period) <= 2
                    };
                    assert!(patterns.0.iter().flatten().any(near), "{task:?} {spike:?}");
                }
            }
            let noisy = Episode {
                noise_rate: 0.05,
                ..EPISODE
            };
            let (quiet, noisy) = (
                generate(what, task, EPISODE, ticks),
                generate(what, task, noisy, ticks),
            );
            let mut added = 0;
            for k in 0..quiet.len() {
                let all = noisy.spikes(k);
                assert!(quiet.spikes(k).iter().all(|s| all.contains(s)));
                added += all.len() - quiet.spikes(k).len();
            }
            let bins = 50.0 * f64::from(ticks) * 10.0;
            let share = added as f64 / bins;
            assert!((0.045..0.055).contains(&share), "{share}");
        }
    }
}

//! Generated tasks that need a memory: `pattern-order`, `delayed-match`, `store-recall`.

use serde::Serialize;

use super::Time;
use super::data::{Generated, Parts, Source, generated, parts};
use super::parse::{MOST_TICKS, SEED};
use super::section::Section;
use crate::data::RING;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Task {
    /// Which of two patterns came first.
    PatternOrder,
    /// Whether two patterns are the same.
    DelayedMatch {
        /// Patterns that there are.
        patterns: u32,
    },
    /// Which bit was to be stored.
    StoreRecall {
        /// Bits between that are not to be stored.
        distractors: u32,
    },
}

/// What a sample of a task looks like: patterns, one after the other, with gaps between them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Episode {
    /// Input channels.
    pub channels: u32,
    /// Ticks of a pattern.
    pub pattern_ticks: u32,
    /// Ticks between two patterns in which only noise spikes.
    pub gap: u32,
    /// How far a spike of a pattern may be moved, in ticks.
    pub jitter: u32,
    /// Probability of a noise spike of a channel in a tick.
    pub noise_rate: f64,
    /// Seed of the patterns, which are the same for all sets.
    pub pattern_seed: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    PatternOrder,
    DelayedMatch,
    StoreRecall,
}

/// Groups of channels that bits and cues need: bit 0, bit 1, store, recall, recall the opposite.
pub const GROUPS: u32 = 5;

impl Task {
    /// Patterns of a sample.
    pub fn shown(self) -> u32 {
        match self {
            Self::PatternOrder | Self::DelayedMatch { .. } => 2,
            Self::StoreRecall { distractors } => distractors.saturating_add(2),
        }
    }
}

impl Episode {
    /// Ticks of so many patterns: a jitter, pattern and gap in turns, and a jitter.
    pub fn ticks(&self, patterns: u32) -> u64 {
        let [patterns, pattern, gap, jitter] =
            [patterns, self.pattern_ticks, self.gap, self.jitter].map(u64::from);
        2 * jitter + patterns * (pattern + gap) - gap
    }
}

/// Reads what is in the section besides the kind.
pub(super) fn read(section: &Section<'_>, kind: Kind) -> Option<Source> {
    const CHANNELS: &str = "a number of channels, 1 to 65535";
    const TICKS: &str = "a number of ticks, 0 to 65535";
    let parts: Option<Parts<Generated>> = parts(section, generated);
    let channels = section.required_integer("channels", CHANNELS, 1..=65_535);
    let pattern = section.required_integer(
        "pattern_ticks",
        "a number of ticks, 1 or more",
        1..=MOST_TICKS,
    );
    let gap = section.required_integer("gap", TICKS, 0..=MOST_TICKS);
    let jitter = section.integer_or("jitter", 0, TICKS, 0..=MOST_TICKS);
    let noise = section.float_or(
        "noise_rate",
        0.0,
        "a probability of 0 or more, below 1",
        0.0..1.0,
    );
    let seed = section.integer_or("pattern_seed", 0, SEED, 0..=u32::MAX);
    let task = match kind {
        Kind::PatternOrder => Some(Task::PatternOrder),
        Kind::DelayedMatch => section
            .integer_or("patterns", 4, "a number of patterns, 2 to 1000", 2..=1000)
            .map(|patterns| Task::DelayedMatch { patterns }),
        Kind::StoreRecall => section
            .integer_or("distractors", 2, "a number of bits, 0 to 1000", 0..=1000)
            .map(|distractors| Task::StoreRecall { distractors }),
    };
    let channels = channels?;
    if kind == Kind::StoreRecall && channels % GROUPS != 0 {
        section.contradiction(
            "channels",
            &format!("{channels} channels cannot be shared among {GROUPS} groups"),
            "use a multiple of 5: a group each for bit 0, bit 1, store, recall, recall the opposite",
        );
        return None;
    }
    Some(Source::Temporal {
        parts: parts?,
        task: task?,
        episode: Episode {
            channels,
            pattern_ticks: pattern?,
            gap: gap?,
            jitter: jitter?,
            noise_rate: noise?,
            pattern_seed: seed?,
        },
    })
}

/// Whether there are as many different patterns as the task has, and whether those of a sample fit into it.
pub(super) fn check(task: Task, episode: Episode, time: Time, root: &Section<'_>) {
    let wanted = match task {
        Task::PatternOrder => RING,
        Task::DelayedMatch { patterns } => patterns,
        Task::StoreRecall { .. } => 1,
    };
    let there_are = episode
        .pattern_ticks
        .checked_pow(episode.channels)
        .unwrap_or(u32::MAX);
    if there_are < wanted {
        root.contradiction(
            "data.pattern_ticks",
            &format!(
                "{} channels that spike in one of {} ticks each make {there_are} patterns, the task has {wanted}",
                episode.channels, episode.pattern_ticks
            ),
            "raise data.pattern_ticks or data.channels",
        );
    }
    let needed = episode.ticks(task.shown());
    if needed > u64::from(time.ticks) {
        root.contradiction(
            "time.ticks",
            &format!(
                "{} patterns, gaps and jitter take {needed} ticks, time.ticks is {}",
                task.shown(),
                time.ticks
            ),
            "raise time.ticks, or lower data.gap, pattern_ticks, jitter or distractors",
        );
    }
}

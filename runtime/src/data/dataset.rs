//! Samples as lists of spikes.
//!
//! A spike lies in a bin. Where its source knows the time exactly, the set keeps that beside the bin. For networks of
//! exact event times, the time is what counts, and the bin is the one in which it lies.

use nirc_ir::executor::{InputSpike, Sample};

use super::latency::bin;
use crate::config::TimeModel;

/// Labelled samples, each a strictly ascending list of (bin, channel).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    channels: usize,
    spikes: Vec<InputSpike>,
    /// The time of each spike, in bins, in a set of exact times.
    times: Option<Vec<f64>>,
    /// The same for networks of exact event times, ascending within a sample.
    exact: Option<Vec<f32>>,
    /// `spikes[starts[k] .. starts[k + 1]]` are those of sample `k`.
    starts: Vec<usize>,
    labels: Vec<u32>,
}

/// A spike at an exact time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimedSpike {
    /// When, in bins from the start of the sample.
    pub time: f64,
    /// Channel.
    pub channel: u32,
}

/// A spike of a channel that the data set does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a spike of channel {channel} in a data set of {channels} channels")]
pub struct SpikesOutOfRange {
    /// The spike's channel.
    pub channel: u32,
    /// Channels of the data set.
    pub channels: usize,
}

impl DataSet {
    /// An empty set of samples with this many input channels.
    pub fn new(channels: usize) -> Self {
        Self {
            channels,
            starts: vec![0],
            ..Self::default()
        }
    }

    /// An empty set of samples whose spikes have exact times.
    pub fn timed(channels: usize) -> Self {
        Self {
            times: Some(Vec::new()),
            ..Self::new(channels)
        }
    }

    /// An empty set for networks of exact event times: of spikes that are only known by their bins, the time is the
    /// bin's beginning.
    pub fn exact(channels: usize) -> Self {
        Self {
            exact: Some(Vec::new()),
            ..Self::timed(channels)
        }
    }

    /// A set of bins as networks of a time model take it: with exact event times, at the bins' beginnings.
    pub(super) fn of_time(self, model: TimeModel) -> Self {
        if !model.is_event() {
            return self;
        }
        let exact = self.spikes.iter().map(|spike| spike.tick as f32).collect();
        Self {
            exact: Some(exact),
            ..self
        }
    }

    /// Adds a sample; its spikes are sorted, and doubles are taken once. In a set of exact times they lie
    /// at their bins.
    ///
    /// # Errors
    /// When a spike's channel is not one of the data set.
    pub fn push(
        &mut self,
        spikes: impl IntoIterator<Item = InputSpike>,
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        let sample = spikes.into_iter().map(|spike| (spike, spike.tick.into()));
        self.add(sample.collect(), label)
    }

    /// Adds a sample of exact times, which are rounded to bins of a sample of `ticks`. Of several spikes
    /// of a channel in a bin the earliest is taken. In a set for exact event times all are, at their times.
    ///
    /// # Errors
    /// When a spike's channel is not one of the data set.
    pub fn push_timed(
        &mut self,
        spikes: impl IntoIterator<Item = TimedSpike>,
        ticks: u32,
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        let exact = self.exact.is_some();
        let sample = spikes.into_iter().map(|TimedSpike { time, channel }| {
            let tick = match exact {
                true => bin_within(time),
                false => bin(time, ticks),
            };
            (InputSpike { tick, channel }, time)
        });
        self.add(sample.collect(), label)
    }

    fn add(
        &mut self,
        mut sample: Vec<(InputSpike, f64)>,
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        let outside = sample
            .iter()
            .find(|(spike, _)| spike.channel as usize >= self.channels);
        if let Some((spike, _)) = outside {
            return Err(SpikesOutOfRange {
                channel: spike.channel,
                channels: self.channels,
            });
        }
        if let Some(exact) = &mut self.exact {
            let key = |(spike, time): &(InputSpike, f64)| (rounded(*time), spike.channel);
            sample.sort_unstable_by(|a, b| {
                let (a, b) = (key(a), key(b));
                a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))
            });
            sample.dedup_by(|a, b| key(a) == key(b));
            exact.extend(sample.iter().map(|(_, time)| rounded(*time)));
        } else {
            sample.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
            sample.dedup_by_key(|(spike, _)| *spike);
        }
        self.spikes.extend(sample.iter().map(|(spike, _)| *spike));
        if let Some(times) = &mut self.times {
            times.extend(sample.iter().map(|(_, time)| *time));
        }
        self.starts.push(self.spikes.len());
        self.labels.push(label);
        Ok(())
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Number of input channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Class of each sample.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Spikes of sample `k`.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn spikes(&self, k: usize) -> &[InputSpike] {
        &self.spikes[self.starts[k]..self.starts[k + 1]]
    }

    /// Exact times of the spikes of sample `k`, in bins and in the order of the spikes; `None` if the set
    /// knows only bins.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn times(&self, k: usize) -> Option<&[f64]> {
        let times = self.times.as_ref()?;
        Some(&times[self.starts[k]..self.starts[k + 1]])
    }

    /// Times of the spikes of sample `k` as networks of exact event times take them; empty in other sets.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn exact_times(&self, k: usize) -> &[f32] {
        let exact = self.exact.as_ref();
        exact.map_or(&[], |times| &times[self.starts[k]..self.starts[k + 1]])
    }

    /// Sample `k`, without given errors.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, k: usize) -> Sample<'_> {
        Sample {
            times: self.exact_times(k),
            spikes: self.spikes(k),
            label: self.labels[k],
            error: &[],
            values: &[],
        }
    }

    /// The samples of these numbers, in their order.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn select(&self, samples: impl IntoIterator<Item = usize>) -> Self {
        let mut set = Self {
            times: self.times.as_ref().map(|_| Vec::new()),
            exact: self.exact.as_ref().map(|_| Vec::new()),
            ..Self::new(self.channels)
        };
        for k in samples {
            set.spikes.extend_from_slice(self.spikes(k));
            if let (Some(times), Some(of_sample)) = (&mut set.times, self.times(k)) {
                times.extend_from_slice(of_sample);
            }
            if let Some(exact) = &mut set.exact {
                exact.extend_from_slice(self.exact_times(k));
            }
            set.starts.push(set.spikes.len());
            set.labels.push(self.labels[k]);
        }
        set
    }

    /// The last bin in which there is a spike.
    pub fn last_tick(&self) -> Option<u32> {
        self.spikes.iter().map(|s| s.tick).max()
    }
}

/// A time as networks of exact event times take it: the one rounding, and never below 0.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the one rounding of a spike's time"
)]
fn rounded(time: f64) -> f32 {
    time.max(0.0) as f32
}

/// The bin in which a time lies.
fn bin_within(time: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates"
    )]
    let bin = rounded(time).floor() as u32;
    bin
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spike(tick: u32, channel: u32) -> InputSpike {
        InputSpike { tick, channel }
    }

    #[test]
    fn samples_are_sorted_and_kept_apart() {
        let mut set = DataSet::new(3);
        set.push([spike(4, 0), spike(1, 2), spike(1, 0), spike(1, 2)], 1)
            .expect("in range");
        set.push([], 0).expect("in range");
        assert_eq!(set.spikes(0), [spike(1, 0), spike(1, 2), spike(4, 0)]);
        assert!(set.spikes(1).is_empty());
        assert_eq!(
            (set.len(), set.labels(), set.last_tick()),
            (2, &[1, 0][..], Some(4))
        );
        assert_eq!(
            set.push([spike(0, 3)], 0),
            Err(SpikesOutOfRange {
                channel: 3,
                channels: 3
            })
        );
    }
    #[test]
    fn networks_of_exact_times_get_every_spike_at_its_time() {
        let timed = |time: f64, channel: u32| TimedSpike { time, channel };
        let mut set = DataSet::exact(2);
        // The last two are the same f32.
        let close = [
            timed(3.7, 0),
            timed(0.5, 1),
            timed(3.6, 0),
            timed(1.0, 1),
            timed(1.0 + 1e-9, 1),
        ];
        set.push_timed(close, 5, 1).expect("in range");
        set.push([spike(2, 1), spike(2, 0)], 0).expect("in range");
        assert_eq!(
            set.spikes(0),
            [spike(0, 1), spike(1, 1), spike(3, 0), spike(3, 0)]
        );
        assert_eq!(set.exact_times(0), [0.5, 1.0, 3.6, 3.7]);
        assert_eq!(set.sample(1).times, [2.0, 2.0]);
        assert_eq!(set.spikes(1), [spike(2, 0), spike(2, 1)]);
        assert_eq!(set.select([1, 0]).exact_times(1), set.exact_times(0));
        assert!(DataSet::timed(2).select([]).exact.is_none());
    }

    #[test]
    fn exact_times_stay_beside_their_bins() {
        let timed = |time: f64, channel: u32| TimedSpike { time, channel };
        let mut set = DataSet::timed(2);
        set.push_timed([timed(3.7, 0), timed(0.5, 1), timed(3.6, 0)], 5, 1)
            .expect("in range");
        set.push_timed([timed(9.0, 1)], 5, 0).expect("in range");
        // Half a bin rounds to the even one, and the earlier of two in a bin stays.
        assert_eq!(set.spikes(0), [spike(0, 1), spike(4, 0)]);
        assert_eq!(set.times(0), Some(&[0.5, 3.6][..]));
        assert_eq!(
            (set.spikes(1), set.times(1)),
            (&[spike(4, 1)][..], Some(&[9.0][..]))
        );
        let swapped = set.select([1, 0]);
        assert_eq!(swapped.labels(), [0, 1]);
        assert_eq!(swapped.times(1), set.times(0));
        assert_eq!(swapped.select([1, 0]), set);
        assert_eq!(DataSet::new(2).select([]), DataSet::new(2));
    }
}

//! Samples as lists of spikes.
//!
//! A spike lies in a bin. Where its source knows the time exactly, the set keeps that beside the bin.

use nirc_ir::executor::{InputSpike, Sample};

use super::latency::bin;

/// Labelled samples, each a strictly ascending list of (bin, channel).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataSet {
    channels: usize,
    spikes: Vec<InputSpike>,
    /// The time of each spike, in bins, in a set of exact times.
    times: Option<Vec<f64>>,
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
    /// of a channel in a bin the earliest is taken.
    ///
    /// # Errors
    /// When a spike's channel is not one of the data set.
    pub fn push_timed(
        &mut self,
        spikes: impl IntoIterator<Item = TimedSpike>,
        ticks: u32,
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        let sample = spikes.into_iter().map(|TimedSpike { time, channel }| {
            let tick = bin(time, ticks);
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
        sample.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        sample.dedup_by_key(|(spike, _)| *spike);
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

    /// Sample `k`, without given errors.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn sample(&self, k: usize) -> Sample<'_> {
        Sample {
            times: &[],
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
            ..Self::new(self.channels)
        };
        for k in samples {
            set.spikes.extend_from_slice(self.spikes(k));
            if let (Some(times), Some(of_sample)) = (&mut set.times, self.times(k)) {
                times.extend_from_slice(of_sample);
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

//! Samples as lists of spikes.

use nirc_ir::executor::{InputSpike, Sample};

/// Labelled samples, each a strictly ascending list of (bin, channel).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSet {
    channels: usize,
    spikes: Vec<InputSpike>,
    /// `spikes[starts[k] .. starts[k + 1]]` are those of sample `k`.
    starts: Vec<usize>,
    labels: Vec<u32>,
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

    /// Adds a sample; its spikes are sorted, and doubles are taken once.
    ///
    /// # Errors
    /// When a spike's channel is not one of the data set.
    pub fn push(
        &mut self,
        spikes: impl IntoIterator<Item = InputSpike>,
        label: u32,
    ) -> Result<(), SpikesOutOfRange> {
        let mut sample: Vec<InputSpike> = spikes.into_iter().collect();
        if let Some(spike) = sample.iter().find(|s| s.channel as usize >= self.channels) {
            return Err(SpikesOutOfRange {
                channel: spike.channel,
                channels: self.channels,
            });
        }
        sample.sort_unstable();
        sample.dedup();
        self.spikes.append(&mut sample);
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

    /// The first `samples` samples.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn first(mut self, samples: usize) -> Self {
        self.spikes.truncate(self.starts[samples]);
        self.starts.truncate(samples + 1);
        self.labels.truncate(samples);
        self
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
}

//! What a process emitted in a sample, and the errors that come back for it.

use std::ops::Range;

use nirc_ir::executor::InputSpike;

use crate::frame::Spikes;

/// What a process emitted: spikes in order of (bin, lane), or values.
#[derive(Clone, Default)]
pub(crate) struct Tape {
    pub(crate) spikes: Spikes,
    /// Where each bin starts; one more than there are bins so far.
    starts: Vec<usize>,
    /// One a lane, bin after bin, if it emits any.
    pub(crate) values: Vec<f32>,
    /// Of each spike one a channel that brings some; of values, those of a bin by channel and lane.
    pub(crate) errors: Vec<f32>,
}

impl Tape {
    /// Forgets the last sample.
    pub(crate) fn clear(&mut self) {
        self.spikes.lanes.clear();
        self.spikes.fields.clear();
        self.starts.clear();
        self.starts.push(0);
        self.values.clear();
    }

    /// Ends a bin.
    pub(crate) fn close_bin(&mut self) {
        self.starts.push(self.spikes.lanes.len());
    }

    /// The spikes of a bin; none in a bin that was not reached.
    pub(crate) fn range(&self, bin: u32) -> Range<usize> {
        let bin = bin as usize;
        match self.starts.get(bin..bin + 2) {
            Some([start, end]) => *start..*end,
            _ => 0..0,
        }
    }

    /// Makes room for an error of everything that was emitted from each of so many channels. What is there
    /// already stays; nobody reads an error that no channel sent.
    pub(crate) fn reserve_errors(&mut self, channels: usize) {
        let emitted = self.spikes.lanes.len() + self.values.len();
        self.errors.resize(emitted * channels, 0.0);
    }

    /// Bin and lane of each spike.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u32)> {
        (0..).zip(self.starts.windows(2)).flat_map(|(bin, ends)| {
            self.spikes.lanes[ends[0]..ends[1]]
                .iter()
                .map(move |l| (bin, *l))
        })
    }

    /// Fills the tape of a source that has so many channels of the sample.
    pub(crate) fn record(&mut self, ticks: u32, input: &[InputSpike], first: u32, lanes: usize) {
        let mut rest = input;
        for bin in 0..ticks {
            let now = rest.iter().take_while(|s| s.tick == bin).count();
            let (now, later) = rest.split_at(now);
            let own = now.iter().map(|s| s.channel.wrapping_sub(first));
            let own = own.filter(|lane| (*lane as usize) < lanes);
            self.spikes.lanes.extend(own);
            self.close_bin();
            rest = later;
        }
    }

    /// Takes the spikes of a bin, which leaves none behind.
    pub(crate) fn take(&mut self, fired: &mut Spikes) {
        self.spikes.lanes.append(&mut fired.lanes);
        self.spikes.fields.append(&mut fired.fields);
    }
}

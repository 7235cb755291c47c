//! Programs of exact event times: what a process goes through in a sample.

use nirc_ir::executor::InputSpike;

use crate::plan::Input;
use crate::tape::Tape;

/// What a process of exact event times went through in a sample, beside its tape.
#[derive(Clone, Default)]
pub(crate) struct Course {
    /// Window and time of each spike on the tape.
    pub(crate) times: Vec<(u32, f32)>,
    /// Whether any channel brought an error of it.
    pub(crate) answered: Vec<bool>,
    /// Arrivals of later windows.
    pub(crate) waiting: Vec<Arrival>,
    /// What arrived, in order.
    pub(crate) arrivals: Vec<Arrival>,
    /// Own spikes before each arrival.
    pub(crate) before: Vec<usize>,
    /// Where each window ended.
    pub(crate) ends: Vec<End>,
    /// Spikes that each channel brought.
    pub(crate) received: Vec<usize>,
}

/// A spike on its way to a process, or what became of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) window: u32,
    pub(crate) time: f32,
    /// Number of the channel among those of the consumer.
    pub(crate) input: u32,
    pub(crate) source: u32,
    /// Its place on the producer's tape.
    pub(crate) entry: u32,
}

/// How much a process has gone through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) arrivals: usize,
    pub(crate) spikes: usize,
}

impl Course {
    /// Forgets the last sample.
    pub(crate) fn clear(&mut self, inputs: usize) {
        self.times.clear();
        self.waiting.clear();
        self.arrivals.clear();
        self.before.clear();
        self.ends.clear();
        self.received.clear();
        self.received.resize(inputs, 0);
    }

    /// Fills the tape of a source that has so many channels of the sample.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    pub(crate) fn record<'s>(
        &mut self,
        tape: &mut Tape,
        windows: Windows,
        spikes: impl Iterator<Item = (&'s InputSpike, &'s f32)>,
        first: u32,
        lanes: usize,
    ) {
        for (spike, time) in spikes {
            let lane = spike.channel.wrapping_sub(first);
            if (lane as usize) < lanes {
                let k = spike.tick / windows.bins;
                tape.spikes.lanes.push(lane);
                self.times.push((k, *time - (k * windows.bins) as f32));
            }
        }
    }

    /// Takes what is due in a window, or everything, off what waits, to the end of `now`.
    pub(crate) fn due(&mut self, window: Option<u32>, now: &mut Vec<Arrival>) {
        match window {
            None => now.append(&mut self.waiting),
            Some(k) => self.waiting.retain(|arrival| {
                let due = arrival.window == k;
                if due {
                    now.push(*arrival);
                }
                !due
            }),
        }
    }

    /// Where the last window ended.
    pub(crate) fn end(&self) -> End {
        self.ends.last().copied().unwrap_or_default()
    }
}

/// Sorts what is few, or almost in order; all are different.
pub(crate) fn sort<T: Copy>(items: &mut [T], before: impl Fn(&T, &T) -> bool) {
    const FEW: usize = 24;
    let mut sorted = 1;
    let mut moved = 0;
    while sorted < items.len() {
        let item = items[sorted];
        let mut at = sorted;
        while at > 0 && before(&item, &items[at - 1]) {
            items[at] = items[at - 1];
            at -= 1;
            moved += 1;
        }
        items[at] = item;
        sorted += 1;
        if moved > FEW * FEW {
            break;
        }
    }
    if sorted < items.len() {
        items.sort_unstable_by(|a, b| match before(a, b) {
            true => std::cmp::Ordering::Less,
            false if before(b, a) => std::cmp::Ordering::Greater,
            false => std::cmp::Ordering::Equal,
        });
    }
}

/// A time of window `k` from the beginning of the sample.
#[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
pub(crate) fn since_start(window: u32, k: u32, time: f32) -> f32 {
    (k * window) as f32 + time
}

/// Windows of a program.
#[derive(Clone, Copy)]
pub(crate) struct Windows {
    pub(crate) count: u32,
    /// Bins of all but the last.
    pub(crate) bins: u32,
    /// Where the last one ends.
    pub(crate) rest: u32,
}

impl Windows {
    /// The end of the sample.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    pub(crate) fn horizon(self) -> f32 {
        ((self.count - 1) * self.bins + self.rest) as f32
    }

    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    pub(crate) fn end(self, k: u32) -> f32 {
        let bins = if k + 1 < self.count {
            self.bins
        } else {
            self.rest
        };
        bins as f32
    }

    /// The window and time at which a spike arrives, if it does.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    pub(crate) fn arrival(
        self,
        (mut k, time): (u32, f32),
        input: &Input,
        late: Option<f32>,
    ) -> Option<(u32, f32)> {
        let mut time = time + input.delay as f32;
        if let Some(late) = late {
            time += if late > 0.0 { late } else { 0.0 };
        }
        let bins = self.bins as f32;
        while time >= bins && k + 1 < self.count {
            time -= bins;
            k += 1;
        }
        (time < self.end(k)).then_some((k, time))
    }
}

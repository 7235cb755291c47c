//! Signals: spikes or values of the channels of one port, over ticks and samples.

use std::fmt;

use ndarray::{Array2, Array3};
use nirc_ir::executor::InputSpike;
use thiserror::Error;

/// Where a signal enters a network or comes out of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Path of the node in the graph; `/` parts nested graphs from what is in them.
    pub node: String,
    /// What of the node it is, such as `spikes` or `v`; `None` for what passes an Input or an Output.
    pub quantity: Option<String>,
}

impl Name {
    /// What passes an Input or an Output.
    pub fn port(node: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            quantity: None,
        }
    }

    /// A quantity of a population.
    pub fn quantity(node: impl Into<String>, quantity: impl Into<String>) -> Self {
        Self {
            node: node.into(),
            quantity: Some(quantity.into()),
        }
    }
}

/// `node` or `node.quantity`.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.node)?;
        match &self.quantity {
            Some(quantity) => write!(f, ".{quantity}"),
            None => Ok(()),
        }
    }
}

/// What a signal is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// At most one spike a bin.
    Spikes,
    /// A number a bin.
    Values,
}

/// Ticks T, samples B and channels J of a signal, each at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    ticks: u32,
    samples: u32,
    channels: u32,
}

/// What no signal can be.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SignalError {
    /// Nothing at all.
    #[error(
        "expected at least one tick, one sample and one channel, found {ticks} ticks of {samples} samples of {channels} channels"
    )]
    Empty {
        /// Ticks.
        ticks: u64,
        /// Samples.
        samples: u64,
        /// Channels.
        channels: u64,
    },
    /// More than the stated bound.
    #[error("expected at most {bound} {what}, found {found}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        bound: u64,
        /// How many there are.
        found: u128,
    },
    /// A spike at no time of a sample.
    #[error("a spike at the time {time} of channel {channel} in a signal of {ticks} ticks")]
    Untimely {
        /// Its time, in ticks.
        time: f32,
        /// Its channel.
        channel: u32,
        /// The ticks of the signal.
        ticks: u32,
    },
    /// A spike outside.
    #[error(
        "a spike at tick {tick} of channel {channel} in a signal of {} ticks and {} channels",
        extent.ticks,
        extent.channels
    )]
    Outside {
        /// Its tick.
        tick: u32,
        /// Its channel.
        channel: u32,
        /// The signal's extent.
        extent: Extent,
    },
}

/// Samples of a signal.
const SAMPLES: u64 = 1 << 22;
/// Bins of a signal that is held as an array: a gibibyte of `f32`.
const BINS: u64 = 1 << 28;

impl Extent {
    /// So many ticks, samples and channels.
    ///
    /// # Errors
    /// When one of them is 0, there are more than 2^22 samples, or ticks or channels do not fit 32 bits.
    pub fn new(ticks: u64, samples: u64, channels: u64) -> Result<Self, SignalError> {
        if ticks == 0 || samples == 0 || channels == 0 {
            return Err(SignalError::Empty {
                ticks,
                samples,
                channels,
            });
        }
        let within = |what, bound: u64, found: u64| {
            u32::try_from(found)
                .ok()
                .filter(|_| found <= bound)
                .ok_or(SignalError::TooLarge {
                    what,
                    bound,
                    found: found.into(),
                })
        };
        Ok(Self {
            ticks: within("ticks", u32::MAX.into(), ticks)?,
            samples: within("samples", SAMPLES, samples)?,
            channels: within("channels", u32::MAX.into(), channels)?,
        })
    }

    /// Number of ticks, T.
    pub fn ticks(self) -> u32 {
        self.ticks
    }

    /// Number of samples, B.
    pub fn samples(self) -> u32 {
        self.samples
    }

    /// Number of channels, J.
    pub fn channels(self) -> u32 {
        self.channels
    }

    /// The shape (T, B, J) of an array that holds every bin.
    ///
    /// # Errors
    /// When that is more than 2^28 bins.
    pub fn dense(self) -> Result<(usize, usize, usize), SignalError> {
        let bins = [self.ticks, self.samples, self.channels].map(u128::from);
        let found = bins.iter().product();
        if found > BINS.into() {
            return Err(SignalError::TooLarge {
                what: "bins in an array",
                bound: BINS,
                found,
            });
        }
        Ok((
            self.ticks as usize,
            self.samples as usize,
            self.channels as usize,
        ))
    }
}

/// Spikes: at most one a tick, sample and channel; or any number, at exact times.
#[derive(Clone, Debug, PartialEq)]
pub struct Spikes {
    extent: Extent,
    /// Strictly ascending in each sample; of exact times only by time, then channel.
    samples: Vec<Vec<InputSpike>>,
    /// The exact time of each, in ticks; each lies in its tick.
    times: Option<Vec<Vec<f32>>>,
}

/// A spike at an exact time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExactSpike {
    /// Its time, in ticks from the beginning of the sample.
    pub time: f32,
    /// Its channel.
    pub channel: u32,
}

impl Spikes {
    /// The spikes of each sample, in any order; doubles are taken once.
    ///
    /// # Errors
    /// When there is no sample or no channel, a spike lies outside, or there is too much of something.
    pub fn new(
        ticks: u32,
        channels: u32,
        mut samples: Vec<Vec<InputSpike>>,
    ) -> Result<Self, SignalError> {
        let extent = Extent::new(ticks.into(), samples.len() as u64, channels.into())?;
        for sample in &mut samples {
            if let Some(spike) = sample
                .iter()
                .find(|s| s.tick >= ticks || s.channel >= channels)
            {
                return Err(SignalError::Outside {
                    tick: spike.tick,
                    channel: spike.channel,
                    extent,
                });
            }
            sample.sort_unstable();
            sample.dedup();
        }
        Ok(Self {
            extent,
            samples,
            times: None,
        })
    }

    /// The spikes of each sample at exact times, in any order; doubles are taken once.
    ///
    /// # Errors
    /// When there is no sample or no channel, a spike lies outside, or there is too much of something.
    pub fn exact(
        ticks: u32,
        channels: u32,
        samples: Vec<Vec<ExactSpike>>,
    ) -> Result<Self, SignalError> {
        let extent = Extent::new(ticks.into(), samples.len() as u64, channels.into())?;
        let (mut bins, mut times) = (Vec::new(), Vec::new());
        for mut sample in samples {
            let outside =
                |s: &&ExactSpike| s.channel >= channels || tick_of(s.time, ticks).is_none();
            if let Some(ExactSpike { time, channel }) = sample.iter().find(outside).copied() {
                return Err(match tick_of(time, ticks) {
                    Some(tick) => SignalError::Outside {
                        tick,
                        channel,
                        extent,
                    },
                    None => SignalError::Untimely {
                        time,
                        channel,
                        ticks,
                    },
                });
            }
            sample.sort_unstable_by(|a, b| {
                let times = a.time.total_cmp(&b.time);
                times.then(a.channel.cmp(&b.channel))
            });
            sample.dedup();
            let spikes = sample.iter().map(|spike| InputSpike {
                tick: tick_of(spike.time, ticks).unwrap_or(0),
                channel: spike.channel,
            });
            bins.push(spikes.collect());
            times.push(sample.iter().map(|spike| spike.time).collect());
        }
        Ok(Self {
            extent,
            samples: bins,
            times: Some(times),
        })
    }

    /// The spikes of an array (T, B, J): all elements that are not 0.
    ///
    /// # Errors
    /// When the array is empty, or an axis is too long.
    pub fn from_raster(raster: &Array3<u8>) -> Result<Self, SignalError> {
        let (ticks, samples, channels) = raster.dim();
        let extent = Extent::new(ticks as u64, samples as u64, channels as u64)?;
        let mut spikes = vec![Vec::new(); samples];
        for ((tick, sample, channel), value) in raster.indexed_iter() {
            if *value != 0 {
                spikes[sample].push(InputSpike {
                    tick: index(tick),
                    channel: index(channel),
                });
            }
        }
        Ok(Self {
            extent,
            samples: spikes,
            times: None,
        })
    }

    /// Ticks, samples and channels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The spikes of each sample, strictly ascending by tick, then channel; of exact times as their times do.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = &[InputSpike]> {
        self.samples.iter().map(Vec::as_slice)
    }

    /// The exact times of the spikes of sample `b`, ascending; `None` if they are known by their ticks.
    ///
    /// # Panics
    /// If there is no such sample.
    pub fn times(&self, b: usize) -> Option<&[f32]> {
        self.times.as_ref().map(|times| times[b].as_slice())
    }

    /// Time and channel of the spikes of sample `b`: those known by their ticks are at the ticks' beginnings.
    ///
    /// # Panics
    /// If there is no such sample.
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^24 ticks")]
    pub fn timed(&self, b: usize) -> impl Iterator<Item = ExactSpike> {
        let times = self.times(b);
        let spikes = self.samples[b].iter().enumerate();
        spikes.map(move |(k, spike)| ExactSpike {
            time: times.map_or(spike.tick as f32, |times| times[k]),
            channel: spike.channel,
        })
    }

    /// An array (T, B, J) that is 1 where there are spikes and 0 elsewhere.
    ///
    /// # Errors
    /// When it would have too many bins.
    pub fn raster(&self) -> Result<Array3<u8>, SignalError> {
        let mut raster = Array3::zeros(self.extent.dense()?);
        for (b, sample) in self.samples.iter().enumerate() {
            for spike in sample {
                raster[[spike.tick as usize, b, spike.channel as usize]] = 1;
            }
        }
        Ok(raster)
    }

    /// Sample, channel and exact time in ticks of each spike, (spikes, 3); `None` if they are known by their ticks.
    #[expect(
        clippy::cast_precision_loss,
        reason = "exact below 2^24 samples or channels"
    )]
    pub fn list(&self) -> Option<Array2<f32>> {
        self.times.as_ref()?;
        let samples = 0..self.samples.len();
        let rows: Vec<[f32; 3]> = samples
            .flat_map(|b| {
                self.timed(b)
                    .map(move |spike| [b as f32, spike.channel as f32, spike.time])
            })
            .collect();
        Some(rows.into())
    }
}

/// A number for every tick, sample and channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    extent: Extent,
    array: Array3<f32>,
}

impl Values {
    /// The values of an array (T, B, J).
    ///
    /// # Errors
    /// When the array is empty or too large.
    pub fn new(array: Array3<f32>) -> Result<Self, SignalError> {
        let (ticks, samples, channels) = array.dim();
        let extent = Extent::new(ticks as u64, samples as u64, channels as u64)?;
        extent.dense()?;
        Ok(Self { extent, array })
    }

    /// Ticks, samples and channels.
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// The array (T, B, J).
    pub fn array(&self) -> &Array3<f32> {
        &self.array
    }
}

/// What goes into a network or comes out of it at one port.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// Spikes.
    Spikes(Spikes),
    /// Values.
    Values(Values),
}

impl Signal {
    /// Ticks, samples and channels.
    pub fn extent(&self) -> Extent {
        match self {
            Self::Spikes(spikes) => spikes.extent,
            Self::Values(values) => values.extent,
        }
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Spikes(_) => Kind::Spikes,
            Self::Values(_) => Kind::Values,
        }
    }

    /// Every bin that is not 0, with what is in it: by sample, then tick, then channel.
    pub(super) fn events(&self) -> Box<dyn Iterator<Item = Event> + '_> {
        match self {
            Self::Spikes(spikes) => {
                Box::new((0..).zip(&spikes.samples).flat_map(|(sample, bins)| {
                    let times = spikes.times(sample as usize);
                    bins.iter().enumerate().map(move |(k, spike)| Event {
                        sample,
                        tick: spike.tick,
                        time: times.map(|times| times[k]),
                        channel: spike.channel,
                        value: 1.0,
                    })
                }))
            }
            Self::Values(values) => {
                let samples = values.array.axis_iter(ndarray::Axis(1)).enumerate();
                Box::new(samples.flat_map(|(sample, bins)| {
                    (0..bins.nrows()).flat_map(move |tick| {
                        let channels = (0..bins.ncols()).map(move |channel| Event {
                            sample: index(sample),
                            tick: index(tick),
                            time: None,
                            channel: index(channel),
                            value: bins[[tick, channel]].into(),
                        });
                        channels.filter(|event| event.value != 0.0)
                    })
                }))
            }
        }
    }
}

/// What is in one bin of a sparse signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) sample: u32,
    pub(super) tick: u32,
    /// The exact time in ticks, where it counts; it lies in the tick.
    pub(super) time: Option<f32>,
    pub(super) channel: u32,
    pub(super) value: f64,
}

impl Event {
    /// The bin, in the order in which bins are sorted.
    pub(super) fn bin(&self) -> (u32, u32, u32) {
        (self.sample, self.tick, self.channel)
    }
}

/// The tick in which an exact time lies, if it is one of so many.
pub(super) fn tick_of(time: f32, ticks: u32) -> Option<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a tick within 32 bits"
    )]
    let within = (time >= 0.0 && f64::from(time) < f64::from(ticks)).then(|| time.floor() as u32);
    within
}

/// An index into an array whose extents fit.
pub(super) fn index(i: usize) -> u32 {
    u32::try_from(i).expect("an index within an extent")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spike(tick: u32, channel: u32) -> InputSpike {
        InputSpike { tick, channel }
    }

    #[test]
    fn spikes_are_sorted_and_lie_within() {
        let samples = vec![vec![spike(2, 0), spike(0, 1), spike(2, 0)], vec![]];
        let spikes = Spikes::new(3, 2, samples).expect("within");
        let sorted: Vec<_> = spikes.samples().collect();
        assert_eq!(sorted, [&[spike(0, 1), spike(2, 0)][..], &[]]);
        let raster = spikes.raster().expect("small");
        assert_eq!(raster.iter().filter(|v| **v == 1).count(), 2);
        assert_eq!(Spikes::from_raster(&raster), Ok(spikes.clone()));
        for outside in [spike(3, 0), spike(0, 2)] {
            let error = Spikes::new(3, 2, vec![vec![outside]]).expect_err("outside");
            assert!(matches!(error, SignalError::Outside { .. }), "{error}");
        }
    }

    #[test]
    fn extents_are_bounded() {
        for (ticks, samples, channels) in [(0, 1, 1), (1, 0, 1), (1, 1, 0)] {
            let error = Extent::new(ticks, samples, channels).expect_err("empty");
            assert!(matches!(error, SignalError::Empty { .. }), "{error}");
        }
        assert!(Extent::new(1, SAMPLES + 1, 1).is_err());
        assert!(Extent::new(1 << 32, 1, 1).is_err());
        let large = Extent::new(u32::MAX.into(), SAMPLES, u32::MAX.into()).expect("sparse");
        assert!(large.dense().is_err());
    }
}

//! Latency code: the larger the value, the earlier the spike.

use nirc_ir::executor::InputSpike;

/// One spike a channel, linear in the value, and a bias channel that spikes in bin 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Bins of a sample.
    pub ticks: u32,
    /// Bin of the largest value, 1.
    pub first: u32,
}

/// Values below this fraction spike as late as it does.
const SMALLEST: f64 = 0.01;

impl Latency {
    /// Bin in which a value of 0 ..= 1 spikes.
    ///
    /// Computed in `f64` and rounded half to even, as the published encoding does.
    pub fn bin(self, value: f64) -> u32 {
        let first = f64::from(self.first);
        let span = f64::from(self.ticks) - 1.0 - first;
        let time = (span * (1.0 - value)).min(span * (1.0 - SMALLEST)) + first;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, and a time is at most the number of bins"
        )]
        let bin = time.round_ties_even() as u32;
        bin.min(self.ticks.saturating_sub(1))
    }

    /// The spikes of a sample: channel `j` for `values[j]`, and the bias after them.
    pub fn encode(self, values: &[f64]) -> impl Iterator<Item = InputSpike> {
        let bias = u32::try_from(values.len()).expect("fewer than 2^32 channels");
        (0..)
            .zip(values)
            .map(move |(channel, value)| InputSpike {
                tick: self.bin(*value),
                channel,
            })
            .chain([InputSpike {
                tick: 0,
                channel: bias,
            }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_the_range_and_ties() {
        let code = Latency {
            ticks: 27,
            first: 2,
        };
        assert_eq!(code.bin(1.0), 2);
        assert_eq!(code.bin(0.0), 26);
        assert_eq!(code.bin(0.005), code.bin(0.0));
        // Over 16 bins, half a bin and one and a half round to the even bins 2 and 4.
        let exact = Latency {
            ticks: 19,
            first: 2,
        };
        assert_eq!(exact.bin(1.0 - 0.5 / 16.0), 2);
        assert_eq!(exact.bin(1.0 - 1.5 / 16.0), 4);
        // Rounding noise outside 0 ..= 1 stays inside the sample.
        assert_eq!((code.bin(1.0 + 1e-12), code.bin(-0.1)), (2, 26));
    }

    #[test]
    fn the_bias_comes_last_and_in_bin_0() {
        let spikes: Vec<_> = Latency {
            ticks: 27,
            first: 2,
        }
        .encode(&[0.25, 0.75])
        .collect();
        assert_eq!(
            spikes[2],
            InputSpike {
                tick: 0,
                channel: 2
            }
        );
    }
}

//! Latency code: the larger the value, the earlier the spike.
//!
//! A value has a time that is a real number of bins; only [`bin`] makes it a bin. A model of spikes at
//! exact times takes the time as it is.

use crate::config::{Late, LatencyCode, Scale};

/// One spike a channel, at a time that follows from the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Bins of a sample.
    pub ticks: u32,
    /// From values to times.
    pub code: LatencyCode,
}

impl Latency {
    /// The published code of the Yin-Yang set: linear, the largest value in bin `first`.
    pub fn published(ticks: u32, first: u32) -> Self {
        let code = LatencyCode::published(first);
        Self { ticks, code }
    }

    /// Time at which a value x of 0 ..= 1 spikes, in bins, at most that of the last bin; `None` if it
    /// does not. With f = `first`, s = ticks - 1 - f and θ = `threshold`:
    ///
    /// | scale | time |
    /// |---|---|
    /// | linear | f + min(s (1 - x), s (1 - θ)) |
    /// | logarithmic | f + tau ln(x / (x - θ)), of x > θ |
    ///
    /// The first is what the published encoding and snnTorch's `latency(…, linear=True, normalize=True)`
    /// compute. The second is snnTorch's `latency(…)` at f = 0: a leaky membrane driven by x reaches θ then.
    pub fn time(self, value: f64) -> Option<f64> {
        let LatencyCode {
            first,
            threshold,
            late,
            scale,
        } = self.code;
        let first = f64::from(first);
        let last = f64::from(self.ticks) - 1.0;
        let span = last - first;
        let (time, is_late) = match scale {
            Scale::Linear => (
                (span * (1.0 - value)).min(span * (1.0 - threshold)) + first,
                value < threshold,
            ),
            Scale::Logarithmic { .. } if value <= threshold => (last, true),
            Scale::Logarithmic { tau } => {
                let time = first + tau * (value / (value - threshold)).ln();
                (time, time > last)
            }
        };
        // Rounding noise outside 0 ..= 1 stays inside the sample.
        (late == Late::Last || !is_late).then(|| time.clamp(0.0, last.max(0.0)))
    }
}

/// The bin of a time in bins, rounded half to even as the published encoding does; the last one at most.
pub fn bin(time: f64, ticks: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates"
    )]
    let bin = time.round_ties_even() as u32;
    bin.min(ticks.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bin_of(latency: Latency, value: f64) -> Option<u32> {
        latency.time(value).map(|time| bin(time, latency.ticks))
    }

    #[test]
    fn the_ends_of_the_range_and_ties() {
        let code = Latency::published(27, 2);
        assert_eq!(bin_of(code, 1.0), Some(2));
        assert_eq!(bin_of(code, 0.0), Some(26));
        assert_eq!(code.time(0.005), code.time(0.0));
        // Over 16 bins, half a bin and one and a half round to the even bins 2 and 4.
        let exact = Latency::published(19, 2);
        assert_eq!(bin_of(exact, 1.0 - 0.5 / 16.0), Some(2));
        assert_eq!(bin_of(exact, 1.0 - 1.5 / 16.0), Some(4));
        assert_eq!(exact.time(1.0 - 1.5 / 16.0), Some(3.5));
        // Rounding noise outside 0 ..= 1 stays inside the sample.
        assert_eq!(bin_of(code, 1.0 + 1e-12), Some(2));
        assert_eq!(bin_of(code, -0.1), Some(26));
    }

    #[test]
    fn the_logarithmic_time_is_when_a_membrane_reaches_the_threshold() {
        let tau = 7.0;
        let code = Latency {
            ticks: 100,
            code: LatencyCode {
                first: 3,
                threshold: 0.2,
                late: Late::Last,
                scale: Scale::Logarithmic { tau },
            },
        };
        for value in [0.21, 0.3, 0.5, 0.77, 1.0] {
            let time = code.time(value).expect("a time") - 3.0;
            // v(t) = x (1 - exp(-t / tau))
            let voltage = value * (1.0 - (-time / tau).exp());
            assert!((voltage - 0.2).abs() < 1e-12, "{value}: {voltage}");
        }
        assert_eq!(code.time(1.0), Some(3.0 + tau * (1.0_f64 / 0.8).ln()));
        assert_eq!(code.time(0.2), Some(99.0));
        assert_eq!(code.time(0.200_000_01), Some(99.0));
        let silent = Latency {
            code: LatencyCode {
                late: Late::Silent,
                ..code.code
            },
            ..code
        };
        for late in [0.0, 0.2, 0.200_000_01] {
            assert_eq!(silent.time(late), None);
        }
        assert_eq!(silent.time(0.5), code.time(0.5));
    }

    #[test]
    fn larger_values_never_spike_later() {
        for scale in [Scale::Linear, Scale::Logarithmic { tau: 4.0 }] {
            let code = LatencyCode {
                scale,
                ..LatencyCode::published(1)
            };
            let latency = Latency { ticks: 30, code };
            let times: Vec<f64> = (0..=1000)
                .map(|k| latency.time(f64::from(k) / 1000.0).expect("none is silent"))
                .collect();
            assert!(times.windows(2).all(|pair| pair[0] >= pair[1]));
            assert!(times.iter().all(|time| (1.0..=29.0).contains(time)));
        }
    }
}

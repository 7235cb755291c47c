//! Delta modulation: a time series as the moments at which it has moved by a threshold.

use nirc_ir::executor::InputSpike;

/// The spikes of a series of `channels` values a tick: channel `j` where value `j` has risen by the
/// threshold, channel `channels + j` where it has fallen by it.
///
/// Each channel keeps a level, which begins at the first value and moves by the threshold with each
/// spike; there is at most one a tick. As long as the series moves by no more than the threshold a tick,
/// `first + threshold * (rises - falls)` is so never off by a threshold or more.
pub(super) fn crossings(series: &[f64], channels: usize, threshold: f64) -> Vec<InputSpike> {
    let mut steps = vec![0.0; channels];
    let mut spikes = Vec::new();
    for (tick, values) in (0..).zip(series.chunks_exact(channels.max(1))) {
        for (channel, (value, first)) in values.iter().zip(series).enumerate() {
            // Counted in steps, the level does not drift.
            let distance = value - (first + threshold * steps[channel]);
            let mut spike = |step: f64, channel: usize, steps: &mut f64| {
                *steps += step;
                spikes.push(InputSpike {
                    tick,
                    channel: u32::try_from(channel).expect("fewer than 2^32 channels"),
                });
            };
            if distance >= threshold {
                spike(1.0, channel, &mut steps[channel]);
            } else if distance <= -threshold {
                spike(-1.0, channels + channel, &mut steps[channel]);
            }
        }
    }
    spikes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Mt19937;

    #[test]
    fn a_ramp_spikes_each_time_it_has_moved() {
        // Up by a half a tick, then down by one: at a threshold of one, every second tick up.
        let series = [0.0, 0.5, 1.0, 1.5, 2.0, 1.0, 0.0];
        let spikes: Vec<_> = crossings(&series, 1, 1.0)
            .iter()
            .map(|s| (s.tick, s.channel))
            .collect();
        assert_eq!(spikes, [(2, 0), (4, 0), (5, 1), (6, 1)]);
        assert!(crossings(&[3.0; 9], 3, 0.1).is_empty());
    }

    #[test]
    fn the_series_is_known_to_within_a_threshold() {
        let mut generator = Mt19937::new(5);
        let (channels, threshold) = (3, 0.25);
        let mut series = vec![0.5; channels];
        for k in 0..600 {
            // Never further than a threshold a tick.
            series.push(series[k] + threshold * (2.0 * generator.uniform() - 1.0));
        }
        let spikes = crossings(&series, channels, threshold);
        for channel in 0..channels {
            let mut level = series[channel];
            for tick in 0..series.len() / channels {
                let has = |channel: usize| {
                    spikes.contains(&InputSpike {
                        tick: tick as u32,
                        channel: channel as u32,
                    })
                };
                level += threshold * f64::from(u8::from(has(channel)));
                level -= threshold * f64::from(u8::from(has(channel + channels)));
                let off = (series[tick * channels + channel] - level).abs();
                assert!(off < threshold + 1e-9, "{channel} {tick}: {off}");
            }
        }
    }
}

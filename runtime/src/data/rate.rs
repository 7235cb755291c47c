//! Rate code: spikes at random, the more the larger the value.

use nirc_ir::executor::InputSpike;

use crate::random::Mt19937;

/// Spikes of `ticks` bins: in each, channel `j` spikes with probability `probabilities[j]`.
///
/// What is drawn is NumPy's `RandomState(key).rand(ticks, channels) < probabilities`. A key that names the
/// sample makes it independent of the order in which samples are encoded.
pub(super) fn bernoulli(key: &[u32], ticks: u32, probabilities: &[f64]) -> Vec<InputSpike> {
    let mut generator = Mt19937::from_key(key);
    let mut spikes = Vec::new();
    for tick in 0..ticks {
        for (channel, probability) in (0..).zip(probabilities) {
            if generator.uniform() < *probability {
                spikes.push(InputSpike { tick, channel });
            }
        }
    }
    spikes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_bins_with_spikes_is_the_probability() {
        let ticks = 20_000;
        let probabilities = [0.0, 0.1, 0.5, 1.0];
        let spikes = bernoulli(&[3, 0, 8], ticks, &probabilities);
        for (channel, expected) in (0..).zip(probabilities) {
            let count = spikes.iter().filter(|s| s.channel == channel).count();
            let share = count as f64 / f64::from(ticks);
            // Four standard deviations.
            let bound = 4.0 * (expected * (1.0 - expected) / f64::from(ticks)).sqrt();
            assert!((share - expected).abs() <= bound, "{channel}: {share}");
        }
        assert_eq!(spikes, bernoulli(&[3, 0, 8], ticks, &probabilities));
        assert_ne!(spikes, bernoulli(&[3, 0, 9], ticks, &probabilities));
        assert_ne!(spikes, bernoulli(&[3, 1, 8], ticks, &probabilities));
    }
}

//! `xoshiro256++` (Blackman and Vigna 2018), seeded through SplitMix64.

/// The generator behind shuffling; its whole state is four words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Xoshiro256 {
    state: [u64; 4],
}

impl Xoshiro256 {
    /// Its name in configurations, checkpoints and reports.
    pub const NAME: &'static str = "xoshiro256++";

    /// The state that four SplitMix64 outputs from `seed` make.
    pub fn new(seed: u64) -> Self {
        let mut counter = seed;
        Self {
            state: [(); 4].map(|()| split_mix(&mut counter)),
        }
    }

    /// Continues from a saved state; all zero is none, as the generator would never leave it.
    pub fn from_state(state: [u64; 4]) -> Option<Self> {
        (state != [0; 4]).then_some(Self { state })
    }

    /// The state to save.
    pub fn state(&self) -> [u64; 4] {
        self.state
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let s = &mut self.state;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let shifted = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= shifted;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in [0, bound), exactly: the high word of a product, its biased part rejected.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "a positive bound");
        let biased = bound.wrapping_neg() % bound;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the two words of the product"
            )]
            let (high, low) = ((product >> 64) as u64, product as u64);
            if low >= biased {
                return high;
            }
        }
    }

    /// A permutation of 0 .. n (Fisher and Yates, from the end).
    pub fn permutation(&mut self, n: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most i, which is a usize"
            )]
            let j = self.below(i as u64 + 1) as usize;
            order.swap(i, j);
        }
        order
    }
}

fn split_mix(counter: &mut u64) -> u64 {
    *counter = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *counter;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_those_of_the_published_code() {
        // State 1, 2, 3, 4: the first outputs of the authors' C code.
        let mut generator = Xoshiro256::from_state([1, 2, 3, 4]).expect("not all zero");
        let first = [(); 4].map(|()| generator.next_u64());
        assert_eq!(
            first,
            [
                41_943_041,
                58_720_359,
                3_588_806_011_781_223,
                3_591_011_842_654_386
            ]
        );
        // SplitMix64 from 0.
        let mut counter = 0;
        assert_eq!(split_mix(&mut counter), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn permutations_are_permutations_and_follow_the_state() {
        let mut generator = Xoshiro256::new(42);
        let saved = Xoshiro256::from_state(generator.state()).expect("not all zero");
        let first = generator.permutation(1000);
        let mut sorted = first.clone();
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..1000));
        assert_eq!(saved.clone().permutation(1000), first);
        assert_ne!(generator.permutation(1000), first);
        assert!(generator.permutation(0).is_empty());
    }

    #[test]
    fn every_value_below_the_bound_comes_up_about_as_often() {
        let mut generator = Xoshiro256::new(7);
        let mut counts = [0_u32; 5];
        for _ in 0..50_000 {
            counts[usize::try_from(generator.below(5)).expect("below 5")] += 1;
        }
        assert!(
            counts.iter().all(|n| (9_600..10_400).contains(n)),
            "{counts:?}"
        );
    }
}

//! NumPy's legacy generator: the Mersenne Twister and the distributions of `RandomState`.

use serde::{Deserialize, Serialize};

const N: usize = 624;
const M: usize = 397;

/// `numpy.random.RandomState(seed)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mt19937 {
    key: [u32; N],
    position: usize,
    /// The second number of the last pair of normals.
    spare_normal: Option<f64>,
}

/// Everything that decides what a generator draws next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mt19937State {
    key: Vec<u32>,
    position: usize,
    spare_normal_bits: Option<u64>,
}

impl Mt19937 {
    /// The state to save.
    pub fn state(&self) -> Mt19937State {
        Mt19937State {
            key: self.key.to_vec(),
            position: self.position,
            spare_normal_bits: self.spare_normal.map(f64::to_bits),
        }
    }

    /// Continues from a saved state, if it is one.
    pub fn from_state(state: &Mt19937State) -> Option<Self> {
        Some(Self {
            key: state.key.as_slice().try_into().ok()?,
            position: (state.position <= N).then_some(state.position)?,
            spare_normal: state.spare_normal_bits.map(f64::from_bits),
        })
    }

    /// Seeds as `RandomState(seed)` and `numpy.random.seed(seed)` do for an integer.
    pub fn new(seed: u32) -> Self {
        let mut key = [seed; N];
        for i in 1..N {
            let previous = key[i - 1];
            key[i] = 1_812_433_253_u32
                .wrapping_mul(previous ^ (previous >> 30))
                .wrapping_add(u32::try_from(i).expect("below 624"));
        }
        Self {
            key,
            position: N,
            spare_normal: None,
        }
    }

    /// Seeds as `RandomState(key)` does for a list of integers (`init_by_array` of the reference).
    ///
    /// # Panics
    /// If the key is empty.
    pub fn from_key(key: &[u32]) -> Self {
        let index = |i: usize| u32::try_from(i).expect("a short key");
        let mut generator = Self::new(19_650_218);
        let state = &mut generator.key;
        let mut i = 1;
        for round in 0..N.max(key.len()) {
            let j = round % key.len();
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_664_525))
                .wrapping_add(key[j])
                .wrapping_add(index(j));
            i = advance(i, state);
        }
        for _ in 1..N {
            let previous = state[i - 1] ^ (state[i - 1] >> 30);
            state[i] = (state[i] ^ previous.wrapping_mul(1_566_083_941)).wrapping_sub(index(i));
            i = advance(i, state);
        }
        state[0] = 0x8000_0000;
        generator
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.position == N {
            self.refill();
        }
        let mut y = self.key[self.position];
        self.position += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..N {
            let y = (self.key[i] & 0x8000_0000) | (self.key[(i + 1) % N] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.key[i] = self.key[(i + M) % N] ^ (y >> 1) ^ odd;
        }
        self.position = 0;
    }

    /// `rand()`: uniform in [0, 1) with 53 random bits.
    pub fn uniform(&mut self) -> f64 {
        let high = f64::from(self.next_u32() >> 5);
        let low = f64::from(self.next_u32() >> 6);
        (high * 67_108_864.0 + low) / 9_007_199_254_740_992.0
    }

    /// `randint(bound)`: uniform in [0, bound), by masking and rejection.
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        let largest = bound.checked_sub(1).expect("a positive bound");
        if largest == 0 {
            return 0;
        }
        let mask = u32::MAX >> largest.leading_zeros();
        loop {
            let value = self.next_u32() & mask;
            if value <= largest {
                return value;
            }
        }
    }

    /// `normal(mean, std)`: the polar method; every second call takes the pair's other half.
    pub fn normal(&mut self, mean: f64, std: f64) -> f64 {
        mean + std * self.standard_normal()
    }

    fn standard_normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        loop {
            let x = 2.0 * self.uniform() - 1.0;
            let y = 2.0 * self.uniform() - 1.0;
            let square = x * x + y * y;
            if square < 1.0 && square != 0.0 {
                let factor = (-2.0 * square.ln() / square).sqrt();
                self.spare_normal = Some(factor * x);
                return factor * y;
            }
        }
    }
}

/// The next word to mix; behind the last one the first takes its place.
fn advance(i: usize, state: &mut [u32; N]) -> usize {
    if i + 1 < N {
        return i + 1;
    }
    state[0] = state[N - 1];
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_words_are_those_of_the_reference_implementation() {
        // The first outputs of init_genrand(5489) and, far down, the 10000th, as the C++ standard
        // states it for std::mt19937.
        let mut generator = Mt19937::new(5489);
        assert_eq!(generator.next_u32(), 3_499_211_612);
        let last = (1..10_000).map(|_| generator.next_u32()).last();
        assert_eq!(last, Some(4_123_659_995));
    }

    #[test]
    fn keys_are_those_of_the_reference_implementation() {
        // mt19937ar.out: the first outputs of init_by_array({0x123, 0x234, 0x345, 0x456}).
        let mut generator = Mt19937::from_key(&[0x123, 0x234, 0x345, 0x456]);
        let first = [(); 4].map(|()| generator.next_u32());
        assert_eq!(
            first,
            [1_067_595_299, 955_945_823, 477_289_528, 4_107_218_783]
        );
        // numpy.random.RandomState([7, 0, 3]).rand(3)
        let mut generator = Mt19937::from_key(&[7, 0, 3]);
        let doubles = [(); 3].map(|()| generator.uniform());
        assert_eq!(
            doubles,
            [
                0.341_249_655_206_099_73,
                0.650_058_273_130_859,
                0.505_080_944_884_531
            ]
        );
    }

    #[test]
    fn doubles_and_normals_are_those_of_numpy() {
        // numpy.random.RandomState(42).rand(), and numpy.random.RandomState(42).normal(size=3).
        assert_eq!(Mt19937::new(42).uniform(), 0.374_540_118_847_362_5);
        let mut generator = Mt19937::new(42);
        let normals = [(); 3].map(|()| generator.normal(0.0, 1.0));
        assert_eq!(
            normals,
            [
                0.496_714_153_011_232_7,
                -0.138_264_301_171_184_66,
                0.647_688_538_100_692_5
            ]
        );
    }

    #[test]
    fn integers_are_those_of_numpy() {
        // numpy.random.RandomState(0).randint(3, size=12)
        let mut generator = Mt19937::new(0);
        let drawn: Vec<u32> = (0..12).map(|_| generator.below(3)).collect();
        assert_eq!(drawn, [0, 1, 0, 1, 1, 2, 0, 2, 0, 0, 0, 2]);
        assert_eq!(generator.below(1), 0);
    }
}

//! The order of training samples: that of PyTorch's data loader in the published training loop.
//!
//! With the same seed, a PyTorch run after `torch.manual_seed(seed)` that tests once before training
//! and once after each epoch, each time through `DataLoader`, sees the same batches. A run here and a
//! run there can so be compared batch by batch.

use super::mt19937::{Mt19937, Mt19937State};

/// Draws a permutation an epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    generator: Mt19937,
}

impl Sampler {
    /// `torch.manual_seed(seed)`.
    pub fn new(seed: u32) -> Self {
        Self {
            generator: Mt19937::new(seed),
        }
    }

    /// Continues from a saved state, if it is one.
    pub fn from_state(state: &Mt19937State) -> Option<Self> {
        let generator = Mt19937::from_state(state)?;
        Some(Self { generator })
    }

    /// The state to save.
    pub fn state(&self) -> Mt19937State {
        self.generator.state()
    }

    /// The order of the next epoch's `samples`.
    ///
    /// Iterating over a loader draws a base seed for worker processes, and a shuffling one then a seed
    /// for its permutation. The test before the epoch draws the first, training the other two.
    pub fn next_epoch(&mut self, samples: usize) -> Vec<usize> {
        self.draw_seed();
        self.draw_seed();
        let seed = self.draw_seed();
        permutation(&mut Mt19937::new(seed), samples)
    }

    /// A 63-bit integer of which a generator's seed takes the low 32 bits, drawn second.
    fn draw_seed(&mut self) -> u32 {
        self.generator.next_u32();
        self.generator.next_u32()
    }
}

/// `torch.randperm(samples)`: the numbers from 0 in a random order.
pub fn permutation(generator: &mut Mt19937, samples: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..samples).collect();
    for i in 0..samples.saturating_sub(1) {
        let step = generator.next_u32() as usize % (samples - i);
        order.swap(i, i + step);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_those_of_pytorch() {
        // torch.randperm(10, generator=torch.Generator().manual_seed(42))
        let order = permutation(&mut Mt19937::new(42), 10);
        assert_eq!(order, [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]);
        assert!(permutation(&mut Mt19937::new(42), 0).is_empty());
    }

    #[test]
    fn epochs_are_those_of_a_data_loader() {
        // torch.manual_seed(42); in a loop: iterate over a DataLoader of a test set, then over one of
        // ten numbers with shuffle=True.
        let mut sampler = Sampler::new(42);
        assert_eq!(sampler.next_epoch(10), [4, 3, 2, 6, 7, 5, 0, 8, 1, 9]);
        let saved = sampler.state();
        assert_eq!(sampler.next_epoch(10), [6, 2, 1, 0, 3, 8, 5, 9, 4, 7]);
        let mut again = Sampler::from_state(&saved).expect("a state");
        assert_eq!(again.next_epoch(10), [6, 2, 1, 0, 3, 8, 5, 9, 4, 7]);
    }
}

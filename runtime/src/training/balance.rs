//! Balanced batches: an order in which the classes take turns.

use std::collections::BTreeMap;

/// `samples` sample numbers in which the classes take turns, so that any run of them has as many of each
/// class, one more or less.
///
/// Within a class samples come as in `order`. Those of a rare class come again when all have been there;
/// of a frequent one some are left out.
pub(super) fn balanced(order: &[usize], labels: &[u32], samples: usize) -> Vec<usize> {
    let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for &k in order {
        classes.entry(labels[k]).or_default().push(k);
    }
    let classes: Vec<Vec<usize>> = classes.into_values().collect();
    let count = classes.len().max(1);
    (0..samples)
        .filter_map(|position| {
            let class = classes.get(position % count)?;
            Some(class[position / count % class.len()])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Mt19937, permutation};

    #[test]
    fn every_batch_has_as_many_of_each_class() {
        let mut generator = Mt19937::new(1);
        // Classes 0, 3 and 7 in shares of 1/8, 2/8 and 5/8.
        let labels: Vec<u32> = (0..203)
            .map(|_| match generator.below(8) {
                0 => 3,
                1 | 2 => 0,
                _ => 7,
            })
            .collect();
        let order = permutation(&mut generator, labels.len());
        let balanced = balanced(&order, &labels, 200);
        assert_eq!(balanced.len(), 200);
        for size in [1, 2, 3, 7, 10, 200] {
            for batch in balanced.chunks_exact(size) {
                let counts = [0, 3, 7].map(|c| batch.iter().filter(|k| labels[**k] == c).count());
                let [least, most] = [counts.iter().min(), counts.iter().max()];
                assert!(
                    most.copied() <= least.map(|n| n + 1),
                    "{counts:?} of {size}"
                );
            }
        }
        // No sample comes a second time before all of its class have been there.
        for class in [0, 3, 7] {
            let of_class = |k: &&usize| labels[**k] == class;
            let there: Vec<usize> = order.iter().filter(of_class).copied().collect();
            let taken: Vec<usize> = balanced.iter().filter(of_class).copied().collect();
            let expected = there.iter().cycle().take(taken.len()).copied();
            assert!(taken.iter().copied().eq(expected), "{class}");
        }
    }

    #[test]
    fn even_classes_are_all_taken_once() {
        let labels: Vec<u32> = (0..40).map(|k| k % 4).collect();
        let order = permutation(&mut Mt19937::new(2), 40);
        let mut taken = balanced(&order, &labels, 40);
        taken.sort_unstable();
        assert!(taken.into_iter().eq(0..40));
    }
}

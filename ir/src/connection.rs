//! Which lanes a source reaches, and through which weight.
//!
//! A [`Connection`] that is not all-to-all is a product of [`Axis`]: a source has a place on each axis (row
//! major, the last axis runs fastest), a place has [`Tap`]s, and each choice of one tap an axis is a synapse,
//! whose lane and weight are the sums over the taps. Convolutions of any rank, pooling before or after
//! them, flattening, one-to-one and arbitrary sparse connections are all of this form, and a convolution's
//! kernel is stored once.

/// Which lanes of the consumer each source of a channel reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    /// Every source reaches every lane; the weights have a row a source.
    All,
    /// The synapses of a product of axes, in lexicographic order of their taps.
    Taps(Vec<Axis>),
}

/// One factor of a connection: the taps of each place on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Axis {
    /// Where the taps of each place begin; one entry more than there are places, the first is 0.
    starts: Vec<u32>,
    taps: Vec<Tap>,
}

/// What a place on an axis adds to lane and weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tap {
    /// Added to the lane.
    pub lane: u32,
    /// Added to the index of the weight.
    pub weight: u32,
}

/// A synapse: where it leads, and its weight's place in the tensor.
pub type Synapse = Tap;

impl Axis {
    /// An axis with these taps, place by place.
    pub fn new(places: impl IntoIterator<Item = Vec<Tap>>) -> Self {
        let mut axis = Self {
            starts: vec![0],
            taps: Vec::new(),
        };
        for mut taps in places {
            axis.taps.append(&mut taps);
            axis.starts.push(count(axis.taps.len()));
        }
        axis
    }

    /// Number of places.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no place.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The taps of a place.
    ///
    /// # Panics
    /// If there is no such place.
    pub fn taps(&self, place: usize) -> &[Tap] {
        &self.taps[self.starts[place] as usize..self.starts[place + 1] as usize]
    }

    /// The taps of all places in order.
    pub fn all(&self) -> &[Tap] {
        &self.taps
    }

    /// Where the taps of each place begin, and where the last ones end.
    pub fn starts(&self) -> &[u32] {
        &self.starts
    }

    /// Most taps of a place.
    pub fn most(&self) -> usize {
        (0..self.len())
            .map(|p| self.taps(p).len())
            .max()
            .unwrap_or(0)
    }
}

impl Connection {
    /// Every source reaches the lane of its own number through the weight of its own number.
    pub fn one_to_one(size: usize) -> Self {
        let tap = |k: usize| Tap {
            lane: count(k),
            weight: count(k),
        };
        Self::Taps(vec![Axis::new((0..size).map(|k| vec![tap(k)]))])
    }

    /// The number of sources, if the connection says; `None` on overflow too.
    pub fn sources(&self) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Taps(axes) => axes
                .iter()
                .try_fold(1_usize, |n, axis| n.checked_mul(axis.len())),
        }
    }

    /// The largest lane and the largest weight that any synapse names, `None` if there is no synapse.
    pub fn largest(&self) -> Option<(u64, u64)> {
        let Self::Taps(axes) = self else { return None };
        let most = |of: fn(&Tap) -> u32| {
            let each = axes.iter().map(|axis| axis.all().iter().map(of).max());
            each.map(|m| m.map(u64::from)).sum::<Option<u64>>()
        };
        Some((most(|t| t.lane)?, most(|t| t.weight)?))
    }

    /// Calls `f` with each synapse of a source, in order. [`Connection::All`] has none to name.
    ///
    /// # Panics
    /// If there is no such source.
    pub fn each(&self, source: usize, mut f: impl FnMut(Synapse)) {
        let Self::Taps(axes) = self else { return };
        let mut places = vec![0; axes.len()];
        let mut rest = source;
        for (place, axis) in places.iter_mut().zip(axes).rev() {
            *place = rest % axis.len();
            rest /= axis.len();
        }
        assert_eq!(rest, 0, "source {source} is beyond the connection");
        descend(axes, &places, Tap { lane: 0, weight: 0 }, &mut f);
    }

    /// The synapses of a source in order.
    ///
    /// # Panics
    /// If there is no such source.
    pub fn synapses(&self, source: usize) -> Vec<Synapse> {
        let mut all = Vec::new();
        self.each(source, |synapse| all.push(synapse));
        all
    }
}

fn descend(axes: &[Axis], places: &[usize], sum: Tap, f: &mut impl FnMut(Synapse)) {
    let Some((axis, axes)) = axes.split_first() else {
        f(sum);
        return;
    };
    for tap in axis.taps(places[0]) {
        let sum = Tap {
            lane: sum.lane + tap.lane,
            weight: sum.weight + tap.weight,
        };
        descend(axes, &places[1..], sum, f);
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("connections are below 2^32")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn tap(lane: u32, weight: u32) -> Tap {
        Tap { lane, weight }
    }

    #[test]
    fn synapses_are_the_product_of_taps_in_order() {
        let rows = Axis::new([vec![tap(0, 10)], vec![tap(0, 20), tap(3, 10)]]);
        let columns = Axis::new([vec![], vec![tap(1, 1), tap(2, 0)]]);
        let connection = Connection::Taps(vec![rows, columns]);
        assert_eq!(connection.sources(), Some(4));
        assert_eq!(connection.synapses(2), []);
        let expected = [tap(1, 21), tap(2, 20), tap(4, 11), tap(5, 10)];
        assert_eq!(connection.synapses(3), expected);
        assert_eq!(connection.largest(), Some((5, 21)));
    }

    #[test]
    fn one_to_one_names_itself() {
        let connection = Connection::one_to_one(3);
        assert_eq!(connection.synapses(2), [tap(2, 2)]);
        assert_eq!(connection.sources(), Some(3));
    }
}

//! The multicast routing table: masked keys, the first match wins.

use std::fmt;

use super::pe::PeSet;

/// A set of keys: all `k` with `k & mask == key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Keys {
    key: u32,
    mask: u32,
}

impl Keys {
    /// The keys that agree with `key` wherever `mask` has a 1.
    pub const fn new(key: u32, mask: u32) -> Self {
        Self {
            key: key & mask,
            mask,
        }
    }

    /// One key alone.
    pub const fn one(key: u32) -> Self {
        Self::new(key, u32::MAX)
    }

    /// The fixed bits.
    pub const fn key(self) -> u32 {
        self.key
    }

    /// Which bits are fixed.
    pub const fn mask(self) -> u32 {
        self.mask
    }

    /// Whether `key` is one of them.
    pub const fn contains(self, key: u32) -> bool {
        key & self.mask == self.key
    }

    /// How many there are.
    pub const fn count(self) -> u64 {
        1 << self.mask.count_zeros()
    }

    /// How many of them `other` has too.
    pub const fn common(self, other: Self) -> u64 {
        if (self.key ^ other.key) & self.mask & other.mask != 0 {
            return 0;
        }
        1 << (self.mask | other.mask).count_zeros()
    }

    /// Both sets as one, where masked keys can say exactly that.
    fn union(self, other: Self) -> Option<Self> {
        let differing = self.key ^ other.key;
        (self.mask == other.mask && differing.count_ones() == 1)
            .then(|| Self::new(self.key, self.mask & !differing))
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}/{:08x}", self.key, self.mask)
    }
}

/// An entry of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    /// What it matches.
    pub keys: Keys,
    /// Where matching packets go.
    pub to: PeSet,
}

/// Where a packet goes: the first entry that matches decides.
pub fn lookup(routes: &[Route], key: u32) -> Option<&Route> {
    routes.iter().find(|route| route.keys.contains(key))
}

/// Joins entries with the same destinations while two of them differ in one bit only.
///
/// The result matches exactly the keys that the given entries match, which must not overlap.
pub fn merge(mut routes: Vec<Route>) -> Vec<Route> {
    loop {
        routes.sort_unstable();
        let before = routes.len();
        routes = join_pairs(&routes);
        if routes.len() == before {
            return routes;
        }
    }
}

fn join_pairs(routes: &[Route]) -> Vec<Route> {
    let mut taken = vec![false; routes.len()];
    let mut joined = Vec::with_capacity(routes.len());
    for (i, route) in routes.iter().enumerate() {
        if taken[i] {
            continue;
        }
        let partner = (i + 1..routes.len()).find_map(|j| {
            let other = &routes[j];
            let keys = route.keys.union(other.keys)?;
            (!taken[j] && other.to == route.to).then_some((j, keys))
        });
        if let Some((j, keys)) = partner {
            taken[j] = true;
            joined.push(Route { keys, ..*route });
        } else {
            joined.push(*route);
        }
    }
    joined
}

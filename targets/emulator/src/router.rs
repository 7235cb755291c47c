//! Multicast routes, and where packets and accesses take how long.

use rustc_hash::FxHashMap;

use crate::config::NocConfig;

/// A set of PEs, by index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct PeSet([u64; 4]);

impl PeSet {
    /// No PE.
    pub const EMPTY: Self = Self([0; 4]);

    /// Adds a PE; indices from 256 on are ignored, as no chip has them.
    pub fn insert(&mut self, pe: usize) {
        if let Some(word) = self.0.get_mut(pe / 64) {
            *word |= 1 << (pe % 64);
        }
    }

    /// Whether a PE is in the set.
    pub fn contains(&self, pe: usize) -> bool {
        self.0
            .get(pe / 64)
            .is_some_and(|word| word >> (pe % 64) & 1 != 0)
    }

    /// The PEs, ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> + use<> {
        let words = self.0;
        (0..4).flat_map(move |w: usize| {
            let mut rest = words[w];
            std::iter::from_fn(move || {
                let bit = rest.trailing_zeros() as usize;
                (rest != 0).then(|| {
                    rest &= rest - 1;
                    w * 64 + bit
                })
            })
        })
    }

    /// Number of PEs.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::EMPTY
    }
}

impl FromIterator<usize> for PeSet {
    fn from_iter<I: IntoIterator<Item = usize>>(pes: I) -> Self {
        let mut set = Self::EMPTY;
        for pe in pes {
            set.insert(pe);
        }
        set
    }
}

/// An entry of the router's table: packets whose `key & mask` equals `self.key` go to the PEs of `route`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The bits to match.
    pub key: u32,
    /// Which bits matter.
    pub mask: u32,
    /// Destinations.
    pub route: PeSet,
}

/// A table that does not fit, or names PEs that do not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// Too many entries.
    #[error("{found} routes do not fit the router's {capacity} entries")]
    Full {
        /// Entries given.
        found: usize,
        /// Entries there are.
        capacity: usize,
    },
    /// A destination that is not there.
    #[error("route {index} goes to PE {pe}, but there are {pes} PEs")]
    NoSuchPe {
        /// Position in the table.
        index: usize,
        /// The destination.
        pe: usize,
        /// PEs there are.
        pes: usize,
    },
    /// A key bit outside the mask: the entry would never match.
    #[error("route {index} can never match: key {key:#010x} has bits outside mask {mask:#010x}")]
    NeverMatches {
        /// Position in the table.
        index: usize,
        /// Its key.
        key: u32,
        /// Its mask.
        mask: u32,
    },
}

/// The routing table: the first entry that matches counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Router {
    routes: Vec<Route>,
}

impl Router {
    pub(crate) fn new(routes: Vec<Route>, capacity: usize, pes: usize) -> Result<Self, RouteError> {
        if routes.len() > capacity {
            return Err(RouteError::Full {
                found: routes.len(),
                capacity,
            });
        }
        for (index, route) in routes.iter().enumerate() {
            if let Some(pe) = route.route.iter().find(|&pe| pe >= pes) {
                return Err(RouteError::NoSuchPe { index, pe, pes });
            }
            if route.key & !route.mask != 0 {
                return Err(RouteError::NeverMatches {
                    index,
                    key: route.key,
                    mask: route.mask,
                });
            }
        }
        Ok(Self { routes })
    }

    fn find(&self, key: u32) -> Option<PeSet> {
        self.routes
            .iter()
            .find(|r| key & r.mask == r.key)
            .map(|r| r.route)
    }
}

/// Remembers what the table said: a key is searched for once.
#[derive(Debug, Clone, Default)]
pub(crate) struct RouteCache(FxHashMap<u32, Option<PeSet>>);

impl RouteCache {
    pub(crate) fn find(&mut self, router: &Router, key: u32) -> Option<PeSet> {
        *self.0.entry(key).or_insert_with(|| router.find(key))
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Distances of the mesh, in PE cycles.
#[derive(Debug, Clone)]
pub(crate) struct Distances {
    quads: Vec<(u8, u8)>,
    noc: NocConfig,
    pe_hz: u32,
}

impl Distances {
    pub(crate) fn new(quads: &[(u8, u8)], noc: &NocConfig, pe_hz: u32) -> Self {
        Self {
            quads: quads.to_vec(),
            noc: noc.clone(),
            pe_hz,
        }
    }

    /// Least latency of anything between two PEs.
    pub(crate) fn least(&self) -> u64 {
        self.noc.fixed_cycles.into()
    }

    fn hops(&self, from: (u8, u8), to: (u8, u8)) -> u64 {
        let hops = u64::from(from.0.abs_diff(to.0)) + u64::from(from.1.abs_diff(to.1));
        (hops * u64::from(self.noc.cycles_per_hop) * u64::from(self.pe_hz))
            .div_ceil(self.noc.hz.into())
    }

    /// Straight from one quad to another.
    pub(crate) fn direct(&self, from: usize, to: usize) -> u64 {
        self.least() + self.hops(self.quads[from], self.quads[to])
    }

    /// From a quad through the router to another.
    pub(crate) fn routed(&self, from: usize, to: usize) -> u64 {
        self.hops(self.quads[from], self.noc.router) + self.router_to(to)
    }

    /// From the host, which enters at the router.
    pub(crate) fn router_to(&self, to: usize) -> u64 {
        self.least()
            + u64::from(self.noc.router_cycles)
            + self.hops(self.noc.router, self.quads[to])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ChipConfig;

    #[test]
    fn first_match_wins() {
        let to = |pe| PeSet::from_iter([pe]);
        let routes = vec![
            Route {
                key: 0x10,
                mask: 0xff,
                route: to(1),
            },
            Route {
                key: 0x10,
                mask: 0xf0,
                route: to(2),
            },
        ];
        let router = Router::new(routes, 2, 152).unwrap();
        assert_eq!(router.find(0x110), Some(to(1)));
        assert_eq!(router.find(0x11), Some(to(2)));
        assert_eq!(router.find(0x20), None);
    }

    #[test]
    fn bad_tables_are_refused() {
        let route = |key, mask, pe| Route {
            key,
            mask,
            route: PeSet::from_iter([pe]),
        };
        let full = Router::new(vec![route(0, 0, 0); 3], 2, 152).unwrap_err();
        assert_eq!(
            full,
            RouteError::Full {
                found: 3,
                capacity: 2
            }
        );
        assert!(matches!(
            Router::new(vec![route(0, 0, 152)], 2, 152),
            Err(RouteError::NoSuchPe { pe: 152, .. })
        ));
        assert!(matches!(
            Router::new(vec![route(1, 0, 1)], 2, 152),
            Err(RouteError::NeverMatches { .. })
        ));
    }

    #[test]
    fn distances_count_hops() {
        let config = ChipConfig::spinnaker2_prototype();
        let distances = Distances::new(&config.quads, &config.noc, 150_000_000);
        assert_eq!(distances.direct(0, 0), 4);
        assert_eq!(
            distances.direct(0, 1),
            4 + 3,
            "one hop: 5 cycles at 300 MHz are 2.5 at 150 MHz"
        );
        assert_eq!(distances.routed(0, 0), 15 + 4 + 12 + 15);
        let mut set = PeSet::from_iter([151, 3, 64]);
        set.insert(9999);
        assert_eq!(set.iter().collect::<Vec<_>>(), [3, 64, 151]);
        assert_eq!(set.len(), 3);
    }
}

//! Which PE, and sets of them.

use std::fmt;

/// A PE: quad x in bits 7:5, quad y in bits 4:2, place in the quad in bits 1:0. A target says how that
/// becomes an address ([`Target::remote_sram`](crate::target::Target::remote_sram)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeId(u8);

impl PeId {
    /// The PE with this number.
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The PE at a place of a quad; both below 8, the place below 4.
    pub const fn at(quad: (u8, u8), place: u8) -> Self {
        Self(quad.0 << 5 | (quad.1 & 7) << 2 | place & 3)
    }

    /// Its number.
    pub const fn raw(self) -> u8 {
        self.0
    }

    /// Column and row of its quad.
    pub const fn quad(self) -> (u8, u8) {
        (self.0 >> 5, self.0 >> 2 & 7)
    }

    /// Its place in the quad.
    pub const fn place(self) -> u8 {
        self.0 & 3
    }

    /// Steps over the mesh from its quad to another's.
    pub const fn distance(self, other: Self) -> u32 {
        let ((ax, ay), (bx, by)) = (self.quad(), other.quad());
        ax.abs_diff(bx) as u32 + ay.abs_diff(by) as u32
    }
}

impl fmt::Display for PeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (x, y) = self.quad();
        write!(f, "({x},{y},{})", self.place())
    }
}

/// A set of PEs: where a packet goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeSet([u64; 4]);

impl PeSet {
    /// Whether nobody is in it.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    /// How many are in it.
    pub fn len(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Adds one; whether it is new.
    pub fn insert(&mut self, pe: PeId) -> bool {
        let word = &mut self.0[usize::from(pe.0 >> 6)];
        let bit = 1 << (pe.0 & 63);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Whether it is in it.
    pub fn contains(&self, pe: PeId) -> bool {
        self.0[usize::from(pe.0 >> 6)] >> (pe.0 & 63) & 1 == 1
    }

    /// All of them, by ascending number.
    pub fn iter(&self) -> impl Iterator<Item = PeId> + '_ {
        (0..=u8::MAX).map(PeId).filter(|&pe| self.contains(pe))
    }
}

impl FromIterator<PeId> for PeSet {
    fn from_iter<I: IntoIterator<Item = PeId>>(pes: I) -> Self {
        let mut set = Self::default();
        for pe in pes {
            set.insert(pe);
        }
        set
    }
}

impl fmt::Display for PeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, pe) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            pe.fmt(f)?;
        }
        Ok(())
    }
}

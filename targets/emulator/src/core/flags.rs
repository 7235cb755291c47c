//! The condition flags, kept in the form that costs least to set.

/// N, Z, C, V.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    /// Bit 31 is N.
    n: u32,
    /// Z is set when this is zero.
    z: u32,
    /// 0 or 1.
    c: u32,
    /// Bit 31 is V.
    v: u32,
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            n: 0,
            z: 1,
            c: 0,
            v: 0,
        }
    }
}

/// For each condition the set of NZCV values, as bits of a 16-bit word, that pass it.
const PASSES: [u16; 16] = {
    let mut table = [0; 16];
    let mut nzcv = 0;
    while nzcv < 16 {
        let (n, z, c, v) = (nzcv & 8 != 0, nzcv & 4 != 0, nzcv & 2 != 0, nzcv & 1 != 0);
        let conditions = [z, c, n, v, c && !z, n == v, n == v && !z, true];
        let mut i = 0;
        while i < 8 {
            if conditions[i] {
                table[2 * i] |= 1 << nzcv;
            } else {
                table[2 * i + 1] |= 1 << nzcv;
            }
            i += 1;
        }
        nzcv += 1;
    }
    table[15] = 0xffff;
    table
};

impl Flags {
    #[inline(always)]
    fn nzcv(self) -> u32 {
        (self.n >> 28 & 8) | (u32::from(self.z == 0) << 2) | (self.c << 1) | (self.v >> 31)
    }

    /// Whether a condition (the 4-bit field of an instruction) holds.
    #[inline(always)]
    pub(crate) fn passes(self, cond: u8) -> bool {
        PASSES[usize::from(cond & 15)] >> self.nzcv() & 1 != 0
    }

    /// The flags in bits 31 to 28, as in APSR.
    pub(crate) fn bits(self) -> u32 {
        self.nzcv() << 28
    }

    #[inline(always)]
    pub(crate) fn from_bits(bits: u32) -> Self {
        Self {
            n: bits,
            z: !bits & 0x4000_0000,
            c: bits >> 29 & 1,
            v: bits << 3,
        }
    }

    pub(crate) fn carry(self) -> u32 {
        self.c
    }

    #[inline(always)]
    pub(crate) fn set_nz(&mut self, result: u32) {
        self.n = result;
        self.z = result;
    }

    #[inline(always)]
    pub(crate) fn set_nzc(&mut self, result: u32, carry: u32) {
        self.set_nz(result);
        self.c = carry;
    }

    /// `a + b + carry`, with flags.
    #[inline(always)]
    pub(crate) fn add(&mut self, a: u32, b: u32, carry: u32) -> u32 {
        let wide = u64::from(a) + u64::from(b) + u64::from(carry);
        let result = wide as u32;
        self.set_nzc(result, (wide >> 32) as u32);
        self.v = (a ^ result) & (b ^ result);
        result
    }

    /// `a - b`, with flags.
    #[inline(always)]
    pub(crate) fn sub(&mut self, a: u32, b: u32) -> u32 {
        let result = a.wrapping_sub(b);
        self.set_nzc(result, u32::from(a >= b));
        self.v = (a ^ b) & (a ^ result);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let passing = |nzcv: u32| -> Vec<u8> {
            (0..15)
                .filter(|&c| Flags::from_bits(nzcv << 28).passes(c))
                .collect()
        };
        assert_eq!(passing(0b0000), [1, 3, 5, 7, 9, 10, 12, 14]);
        assert_eq!(passing(0b0110), [0, 2, 5, 7, 9, 10, 13, 14]);
        assert_eq!(passing(0b1000), [1, 3, 4, 7, 9, 11, 13, 14]);
        assert_eq!(passing(0b1011), [1, 2, 4, 6, 8, 10, 12, 14]);
        assert_eq!(passing(0b0011), [1, 2, 5, 6, 8, 11, 13, 14]);
    }

    #[test]
    fn bits_round_trip() {
        for nzcv in 0..16u32 {
            assert_eq!(Flags::from_bits(nzcv << 28).bits(), nzcv << 28);
        }
    }
}

//! The operands of instructions, as types that hold only what the machine can name.

use std::fmt;

macro_rules! registers {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $number:literal, $text:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        #[allow(missing_docs)]
        pub enum $name { $($variant = $number,)* }

        impl $name {
            /// Every register, in ascending order.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            /// The register of this number, if there is one.
            #[must_use]
            pub const fn new(number: u8) -> Option<Self> {
                match number {
                    $($number => Some($name::$variant),)*
                    _ => None,
                }
            }

            /// The number an encoding holds.
            #[must_use]
            pub const fn index(self) -> u8 {
                self as u8
            }

            const fn text(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.text())
            }
        }
    };
}

registers! {
    /// A core register.
    Reg {
        R0 = 0, "r0"; R1 = 1, "r1"; R2 = 2, "r2"; R3 = 3, "r3";
        R4 = 4, "r4"; R5 = 5, "r5"; R6 = 6, "r6"; R7 = 7, "r7";
        R8 = 8, "r8"; R9 = 9, "r9"; R10 = 10, "sl"; R11 = 11, "fp";
        R12 = 12, "ip"; Sp = 13, "sp"; Lr = 14, "lr"; Pc = 15, "pc";
    }
}

registers! {
    /// A single-precision register of the floating-point unit.
    SReg {
        S0 = 0, "s0"; S1 = 1, "s1"; S2 = 2, "s2"; S3 = 3, "s3";
        S4 = 4, "s4"; S5 = 5, "s5"; S6 = 6, "s6"; S7 = 7, "s7";
        S8 = 8, "s8"; S9 = 9, "s9"; S10 = 10, "s10"; S11 = 11, "s11";
        S12 = 12, "s12"; S13 = 13, "s13"; S14 = 14, "s14"; S15 = 15, "s15";
        S16 = 16, "s16"; S17 = 17, "s17"; S18 = 18, "s18"; S19 = 19, "s19";
        S20 = 20, "s20"; S21 = 21, "s21"; S22 = 22, "s22"; S23 = 23, "s23";
        S24 = 24, "s24"; S25 = 25, "s25"; S26 = 26, "s26"; S27 = 27, "s27";
        S28 = 28, "s28"; S29 = 29, "s29"; S30 = 30, "s30"; S31 = 31, "s31";
    }
}

impl Reg {
    /// Whether 16-bit encodings can name it (r0 to r7).
    #[must_use]
    pub const fn is_low(self) -> bool {
        self.index() < 8
    }

    /// Whether it is an ordinary register: neither the stack pointer nor the program counter.
    #[must_use]
    pub const fn is_general(self) -> bool {
        !matches!(self, Reg::Sp | Reg::Pc)
    }
}

/// A condition on the flags. "Always" is no condition: operands that may be unconditional are `Option<Cond>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Cond {
    /// Equal (Z).
    Eq = 0,
    /// Not equal.
    Ne = 1,
    /// Carry set, unsigned higher or same.
    Cs = 2,
    /// Carry clear, unsigned lower.
    Cc = 3,
    /// Negative; after a float compare, less.
    Mi = 4,
    /// Positive or zero.
    Pl = 5,
    /// Overflow; after a float compare, unordered.
    Vs = 6,
    /// No overflow; after a float compare, ordered.
    Vc = 7,
    /// Unsigned higher.
    Hi = 8,
    /// Unsigned lower or same; after a float compare, less or equal.
    Ls = 9,
    /// Signed or ordered-float greater or equal.
    Ge = 10,
    /// Signed less; after a float compare, less or unordered.
    Lt = 11,
    /// Signed or ordered-float greater.
    Gt = 12,
    /// Signed less or equal; after a float compare, less, equal or unordered.
    Le = 13,
}

impl Cond {
    /// Every condition, in the order of its code.
    pub const ALL: [Cond; 14] = [
        Cond::Eq,
        Cond::Ne,
        Cond::Cs,
        Cond::Cc,
        Cond::Mi,
        Cond::Pl,
        Cond::Vs,
        Cond::Vc,
        Cond::Hi,
        Cond::Ls,
        Cond::Ge,
        Cond::Lt,
        Cond::Gt,
        Cond::Le,
    ];

    /// The code an encoding holds.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The condition that holds exactly when this one does not.
    #[must_use]
    pub const fn inverse(self) -> Cond {
        Cond::ALL[(self.code() ^ 1) as usize]
    }
}

impl fmt::Display for Cond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const TEXT: [&str; 14] = [
            "eq", "ne", "cs", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le",
        ];
        f.write_str(TEXT[self.code() as usize])
    }
}

/// A constant shift of a register operand.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Shift {
    /// Logical left by 0 to 31; by 0 it is no shift.
    Lsl(u8),
    /// Logical right by 1 to 32.
    Lsr(u8),
    /// Arithmetic right by 1 to 32.
    Asr(u8),
    /// Rotate right by 1 to 31.
    Ror(u8),
    /// Rotate right by one through the carry.
    Rrx,
}

impl Shift {
    /// No shift.
    pub const NONE: Shift = Shift::Lsl(0);
}

/// The last operand of a data-processing instruction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Src {
    /// A constant; which ones can be encoded depends on the instruction.
    Imm(u32),
    /// A register, shifted.
    Reg(Reg, Shift),
}

impl From<Reg> for Src {
    fn from(reg: Reg) -> Self {
        Src::Reg(reg, Shift::NONE)
    }
}

impl From<u32> for Src {
    fn from(imm: u32) -> Self {
        Src::Imm(imm)
    }
}

/// The address of a load or store.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Addr {
    /// `[base, #imm]`
    Offset(Reg, i32),
    /// `[base, #imm]!`: the base is moved first.
    Pre(Reg, i32),
    /// `[base], #imm`: the base is moved afterwards.
    Post(Reg, i32),
    /// `[base, index, lsl #n]`, n from 0 to 3.
    Index(Reg, Reg, u8),
}

impl Addr {
    /// `[base]`
    #[must_use]
    pub const fn at(base: Reg) -> Addr {
        Addr::Offset(base, 0)
    }

    /// The base register.
    #[must_use]
    pub const fn base(self) -> Reg {
        match self {
            Addr::Offset(base, _)
            | Addr::Pre(base, _)
            | Addr::Post(base, _)
            | Addr::Index(base, _, _) => base,
        }
    }

    /// Whether the access changes the base register.
    #[must_use]
    pub const fn writes_back(self) -> bool {
        matches!(self, Addr::Pre(..) | Addr::Post(..))
    }
}

/// A set of core registers, as in `push {r4, r5, lr}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct RegList(u16);

impl RegList {
    /// The list of these registers; a repetition counts once.
    #[must_use]
    pub const fn of(regs: &[Reg]) -> RegList {
        let mut bits = 0;
        let mut i = 0;
        while i < regs.len() {
            bits |= 1 << regs[i].index();
            i += 1;
        }
        RegList(bits)
    }

    /// One bit a register, as an encoding holds them.
    #[must_use]
    pub const fn bits(self) -> u16 {
        self.0
    }

    /// How many registers it holds.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether it holds none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether it holds this register.
    #[must_use]
    pub const fn contains(self, reg: Reg) -> bool {
        self.0 & (1 << reg.index()) != 0
    }

    /// The registers in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Reg> {
        Reg::ALL.iter().copied().filter(move |&r| self.contains(r))
    }
}

impl FromIterator<Reg> for RegList {
    fn from_iter<T: IntoIterator<Item = Reg>>(regs: T) -> Self {
        RegList(
            regs.into_iter()
                .fold(0, |bits, reg| bits | 1 << reg.index()),
        )
    }
}

impl fmt::Display for RegList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, reg) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{reg}")?;
        }
        f.write_str("}")
    }
}

/// A run of consecutive single-precision registers, as in `vldmia r0!, {s0-s7}`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SList {
    first: SReg,
    count: u8,
}

impl SList {
    /// `count` registers from `first` on; none if that leaves the register file or is empty.
    #[must_use]
    pub const fn new(first: SReg, count: u8) -> Option<SList> {
        if count == 0 || count > 32 - first.index() {
            return None;
        }
        Some(SList { first, count })
    }

    /// One register.
    #[must_use]
    pub const fn one(reg: SReg) -> SList {
        SList {
            first: reg,
            count: 1,
        }
    }

    /// The first register.
    #[must_use]
    pub const fn first(self) -> SReg {
        self.first
    }

    /// How many registers it holds (at least one).
    #[must_use]
    #[allow(clippy::len_without_is_empty)] // it is never empty
    pub const fn len(self) -> u32 {
        self.count as u32
    }

    /// One bit a register.
    #[must_use]
    pub const fn bits(self) -> u32 {
        (u32::MAX >> (32 - self.count)) << self.first.index()
    }
}

impl fmt::Display for SList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count == 1 {
            write!(f, "{{{}}}", self.first)
        } else {
            let last = self.first.index() + self.count - 1;
            write!(f, "{{{}-s{last}}}", self.first)
        }
    }
}

/// A float that `VMOV` can hold as an immediate: ±(16..31)/16 · 2^n with n from −3 to 4.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FpImm(u8);

impl FpImm {
    /// The immediate for this value, if it is one of the 256 that have one.
    #[must_use]
    pub const fn new(value: f32) -> Option<FpImm> {
        let bits = value.to_bits();
        let imm8 = (bits >> 24 & 0x80 | bits >> 19 & 0x7f) as u8;
        if FpImm(imm8).value().to_bits() == bits {
            Some(FpImm(imm8))
        } else {
            None
        }
    }

    /// The immediate of this code.
    #[must_use]
    pub const fn from_code(code: u8) -> FpImm {
        FpImm(code)
    }

    /// The eight bits an encoding holds.
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }

    /// The value it stands for.
    #[must_use]
    pub const fn value(self) -> f32 {
        let code = self.0 as u32;
        let exponent = if code & 0x40 != 0 {
            0x1f << 25
        } else {
            1 << 30
        };
        f32::from_bits((code & 0x80) << 24 | exponent | (code & 0x3f) << 19)
    }
}

/// The conditions of an `IT` block: one to four instructions, each under the block's condition or its inverse.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ItBlock {
    cond: Cond,
    rest: [Option<Slot>; 3],
}

/// What a further instruction of an `IT` block is conditioned on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Slot {
    /// On the block's condition.
    Then,
    /// On its inverse.
    Else,
}

impl ItBlock {
    /// `IT<rest> cond`; none if `rest` has more than three slots.
    #[must_use]
    pub fn new(cond: Cond, rest: &[Slot]) -> Option<ItBlock> {
        let mut slots = [None; 3];
        if rest.len() > slots.len() {
            return None;
        }
        for (slot, &given) in slots.iter_mut().zip(rest) {
            *slot = Some(given);
        }
        Some(ItBlock { cond, rest: slots })
    }

    /// The block of one instruction.
    #[must_use]
    pub const fn one(cond: Cond) -> ItBlock {
        ItBlock {
            cond,
            rest: [None; 3],
        }
    }

    /// The block of two instructions of which exactly one runs.
    #[must_use]
    pub const fn then_else(cond: Cond) -> ItBlock {
        ItBlock {
            cond,
            rest: [Some(Slot::Else), None, None],
        }
    }

    /// The condition of the first instruction.
    #[must_use]
    pub const fn cond(self) -> Cond {
        self.cond
    }

    /// The condition of each instruction in turn.
    pub fn conds(self) -> impl Iterator<Item = Cond> {
        let rest = self.rest.into_iter().flatten().map(move |slot| match slot {
            Slot::Then => self.cond,
            Slot::Else => self.cond.inverse(),
        });
        std::iter::once(self.cond).chain(rest)
    }

    /// The four bits an encoding holds.
    #[must_use]
    pub fn mask(self) -> u8 {
        let low = self.cond.code() & 1;
        let mut mask = 0;
        let mut bit = 8;
        for slot in self.rest.into_iter().flatten() {
            let value = match slot {
                Slot::Then => low,
                Slot::Else => low ^ 1,
            };
            mask |= value * bit;
            bit >>= 1;
        }
        mask | bit
    }
}

impl fmt::Display for ItBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it")?;
        for slot in self.rest.into_iter().flatten() {
            f.write_str(match slot {
                Slot::Then => "t",
                Slot::Else => "e",
            })?;
        }
        write!(f, "\t{}", self.cond)
    }
}

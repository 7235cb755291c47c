//! The micro-operations instructions are decoded into, once, and executed from many times.
//!
//! An [`Op`] is a small `Copy` value whose operands are resolved as far as the decoder can: the program counter is folded into constants, so
//! no operation reads register 15. That slot of the register file is scratch instead: results nobody wants (`cmp`, `tst`) go there, and an
//! instruction that writes the PC writes the slot and is followed by [`Op::JumpLoaded`] or [`Op::JumpPlain`].

/// Register number; the executor masks it, so any value is safe.
pub(crate) type Reg = u8;

/// The slot of the register file that no instruction can read.
pub(crate) const SCRATCH: Reg = 15;

/// Two-operand integer operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alu {
    And,
    Bic,
    Orr,
    Orn,
    Eor,
    Add,
    Adc,
    Sub,
    Sbc,
    Rsb,
    /// Second operand alone.
    Mov,
    /// Complement of the second operand.
    Mvn,
}

/// What an operation with an immediate does to the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetFlags {
    No,
    /// A logical operation leaves C alone.
    Yes,
    /// The immediate was rotated: a logical operation sets C to its top bit.
    YesTopBit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shift {
    Lsl,
    Lsr,
    Asr,
    Ror,
    Rrx,
}

/// Size and extension of a memory access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    U8,
    I8,
    U16,
    I16,
    Word,
}

impl Width {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Width::U8 | Width::I8 => 1,
            Width::U16 | Width::I16 => 2,
            Width::Word => 4,
        }
    }

    /// The register value of bytes that were loaded.
    #[inline(always)]
    pub(crate) fn extend(self, value: u32) -> u32 {
        match self {
            Width::I8 => i32::from(value as i8) as u32,
            Width::I16 => i32::from(value as i16) as u32,
            Width::U8 | Width::U16 | Width::Word => value,
        }
    }
}

/// How the offset of an access is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Index {
    Offset,
    /// Address is base + offset, which is written back.
    Pre,
    /// Address is base; base + offset is written back.
    Post,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MulLong {
    Umull,
    Smull,
    Umlal,
    Smlal,
    Umaal,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Clz,
    Rbit,
    Rev,
    Rev16,
    Revsh,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extend {
    Sxtb,
    Sxth,
    Uxtb,
    Uxth,
    Sxtb16,
    Uxtb16,
}

/// Floating-point operations of three registers `d, n, m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fp3 {
    Add,
    Sub,
    Mul,
    Nmul,
    Div,
    Mla,
    Mls,
    Nmla,
    Nmls,
    Fma,
    Fms,
    Fnma,
    Fnms,
}

/// Floating-point operations of two registers `d, m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fp2 {
    Mov,
    Abs,
    Neg,
    Sqrt,
    /// To a signed or unsigned integer, toward zero.
    ToI32,
    ToU32,
    /// The same, rounding as FPSCR says (to nearest, ties to even).
    ToI32Nearest,
    ToU32Nearest,
    FromI32,
    FromU32,
    /// Half precision in the bottom or top half of the register.
    FromHalfBottom,
    FromHalfTop,
    ToHalfBottom,
    ToHalfTop,
}

/// Fixed-point formats of VCVT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fixed {
    pub(crate) to_fixed: bool,
    pub(crate) unsigned: bool,
    pub(crate) half: bool,
    pub(crate) fraction_bits: u8,
}

/// Halfword and saturating arithmetic of the DSP extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dsp {
    Qadd,
    Qdadd,
    Qsub,
    Qdsub,
    /// 16 x 16 product of the halves chosen by bit 1 (first) and bit 0 (second), plus the accumulator.
    Smla(u8),
    Smul(u8),
    /// 32 x 16, top 32 bits; bit 0 chooses the half.
    Smlaw(u8),
    Smulw(u8),
    /// Top word of 32 x 32, with or without rounding.
    Smmla {
        round: bool,
    },
    Smmls {
        round: bool,
    },
    Smmul {
        round: bool,
    },
    /// `n` bottom, shifted `m` top.
    Pkhbt,
    Pkhtb,
}

/// One micro-operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Nop,

    // The frequent integer operations have a variant each.
    MovImm {
        rd: Reg,
        imm: u32,
    },
    MovReg {
        rd: Reg,
        rm: Reg,
    },
    AddImm {
        rd: Reg,
        rn: Reg,
        imm: u32,
    },
    AddReg {
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    AddShl {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        n: u8,
    },
    SubReg {
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    AddsImm {
        rd: Reg,
        rn: Reg,
        imm: u32,
    },
    SubsImm {
        rd: Reg,
        rn: Reg,
        imm: u32,
    },
    CmpReg {
        rn: Reg,
        rm: Reg,
    },
    ShlImm {
        rd: Reg,
        rm: Reg,
        n: u8,
    },

    AluImm {
        op: Alu,
        s: SetFlags,
        rd: Reg,
        rn: Reg,
        imm: u32,
    },
    AluReg {
        op: Alu,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    AluShift {
        op: Alu,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        shift: Shift,
        n: u8,
    },
    /// `rd = rn shifted by the bottom byte of rm`.
    ShiftReg {
        shift: Shift,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    Movt {
        rd: Reg,
        imm: u16,
    },
    Mul {
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    Mla {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },
    Mls {
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },
    MulLong {
        kind: MulLong,
        lo: Reg,
        hi: Reg,
        rn: Reg,
        rm: Reg,
    },
    Div {
        signed: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    Bitfield {
        signed: bool,
        rd: Reg,
        rn: Reg,
        lsb: u8,
        width: u8,
    },
    Bfi {
        rd: Reg,
        rn: Reg,
        lsb: u8,
        width: u8,
    },
    Bfc {
        rd: Reg,
        lsb: u8,
        width: u8,
    },
    Unary {
        op: Unary,
        rd: Reg,
        rm: Reg,
    },
    /// `rd = rn + extend(rm ror rot)`, or without the addition when `add` is false.
    Extend {
        op: Extend,
        add: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        rot: u8,
    },
    Sat {
        signed: bool,
        rd: Reg,
        rn: Reg,
        bits: u8,
        shift: Shift,
        n: u8,
    },
    Dsp {
        op: Dsp,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },

    // Memory.
    LdrWord {
        rt: Reg,
        rn: Reg,
        off: u32,
    },
    StrWord {
        rt: Reg,
        rn: Reg,
        off: u32,
    },
    /// Word at `rn + off`, then `rn += step`: post-indexed.
    LdrWordPost {
        rt: Reg,
        rn: Reg,
        step: u32,
    },
    StrWordPost {
        rt: Reg,
        rn: Reg,
        step: u32,
    },
    Ldr {
        width: Width,
        index: Index,
        rt: Reg,
        rn: Reg,
        off: u32,
    },
    Str {
        width: Width,
        index: Index,
        rt: Reg,
        rn: Reg,
        off: u32,
    },
    LdrReg {
        width: Width,
        rt: Reg,
        rn: Reg,
        rm: Reg,
        n: u8,
    },
    StrReg {
        width: Width,
        rt: Reg,
        rn: Reg,
        rm: Reg,
        n: u8,
    },
    /// PC-relative: the address is known.
    LdrAbs {
        width: Width,
        rt: Reg,
        addr: u32,
    },
    Ldrd {
        index: Index,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        off: u32,
    },
    Strd {
        index: Index,
        rt: Reg,
        rt2: Reg,
        rn: Reg,
        off: u32,
    },
    LdrdAbs {
        rt: Reg,
        rt2: Reg,
        addr: u32,
    },
    Ldm {
        rn: Reg,
        list: u16,
        before: bool,
        writeback: bool,
    },
    Stm {
        rn: Reg,
        list: u16,
        before: bool,
        writeback: bool,
    },
    Ldrex {
        width: Width,
        rt: Reg,
        rn: Reg,
        off: u32,
    },
    Strex {
        width: Width,
        rd: Reg,
        rt: Reg,
        rn: Reg,
        off: u16,
    },
    Clrex,

    // Floating point. `CheckFpu` goes before the first of a block.
    CheckFpu,
    Vadd {
        d: Reg,
        n: Reg,
        m: Reg,
    },
    Vsub {
        d: Reg,
        n: Reg,
        m: Reg,
    },
    Vmul {
        d: Reg,
        n: Reg,
        m: Reg,
    },
    Vfma {
        d: Reg,
        n: Reg,
        m: Reg,
    },
    /// `count` times `op`, each operand register stepping by 0 or 1: what unrolled kernels consist of.
    VRun {
        op: Fp3,
        d: Reg,
        n: Reg,
        m: Reg,
        count: u8,
        n_step: u8,
        m_step: u8,
    },
    Fp3 {
        op: Fp3,
        d: Reg,
        n: Reg,
        m: Reg,
    },
    Fp2 {
        op: Fp2,
        d: Reg,
        m: Reg,
    },
    Vcmp {
        d: Reg,
        m: Reg,
    },
    VcmpZero {
        d: Reg,
    },
    /// VCMP and the VMRS that follows it.
    VcmpToApsr {
        d: Reg,
        m: Reg,
    },
    VcmpZeroToApsr {
        d: Reg,
    },
    VmovImm {
        d: Reg,
        bits: u32,
    },
    VcvtFixed {
        d: Reg,
        fixed: Fixed,
    },
    VmovToCore {
        rt: Reg,
        n: Reg,
    },
    VmovFromCore {
        n: Reg,
        rt: Reg,
    },
    /// Two consecutive S registers to two core registers.
    VmovPairToCore {
        rt: Reg,
        rt2: Reg,
        m: Reg,
    },
    VmovPairFromCore {
        rt: Reg,
        rt2: Reg,
        m: Reg,
    },
    VmrsApsr,
    Vmrs {
        rt: Reg,
    },
    Vmsr {
        rt: Reg,
    },
    Vldr {
        d: Reg,
        rn: Reg,
        off: u32,
    },
    Vstr {
        d: Reg,
        rn: Reg,
        off: u32,
    },
    /// `count` words at `rn + off`; then `rn += step`.
    Vldm {
        d: Reg,
        count: u8,
        rn: Reg,
        off: i16,
        step: i16,
    },
    Vstm {
        d: Reg,
        count: u8,
        rn: Reg,
        off: i16,
        step: i16,
    },
    VldrAbs {
        d: Reg,
        count: u8,
        addr: u32,
    },

    // Control.
    /// Leave out the next `n` operations, and take back `refund` cycles, unless the condition holds.
    SkipUnless {
        cond: u8,
        n: u8,
        refund: u16,
    },
    B {
        target: u32,
    },
    Bcond {
        cond: u8,
        target: u32,
    },
    /// Back to the start of this block.
    Again,
    AgainIf {
        cond: u8,
    },
    Cbz {
        rn: Reg,
        nonzero: bool,
        target: u32,
    },
    Bl {
        target: u32,
        link: u32,
    },
    Bx {
        rm: Reg,
    },
    Blx {
        rm: Reg,
        link: u32,
    },
    /// To the address in [`SCRATCH`], with the rules of BX.
    JumpLoaded,
    /// To the address in [`SCRATCH`], whatever its bottom bit.
    JumpPlain,
    TableBranch {
        half: bool,
        rn: Reg,
        rm: Reg,
        base: u32,
    },
    TableBranchPc {
        half: bool,
        rm: Reg,
        base: u32,
    },
    Svc {
        next: u32,
    },
    Bkpt {
        imm: u8,
    },
    Wfi {
        next: u32,
    },
    Wfe {
        next: u32,
    },
    Sev,
    Cps {
        disable: bool,
        primask: bool,
        faultmask: bool,
    },
    Mrs {
        rd: Reg,
        sysm: u8,
    },
    Msr {
        rn: Reg,
        sysm: u8,
        mask: u8,
    },
    /// A place where a single-core run is told to stop.
    Halt,
    ExecuteOutsideCode,
    Undefined {
        first: u16,
        second: u16,
    },
    Unsupported {
        first: u16,
        second: u16,
    },
}

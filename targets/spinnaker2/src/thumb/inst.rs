//! The instructions, one variant a family of encodings, with short constructors for what generated code uses most.

use super::operand::{Addr, Cond, FpImm, ItBlock, Reg, RegList, SList, SReg, Shift, Src};

/// One machine instruction.
///
/// Offsets of branches count from the address of the instruction plus 4; those of literal loads and `ADR` from that sum
/// rounded down to a multiple of 4. With labels the assembler fills them in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs)] // the fields bear the names the architecture manual gives them
pub enum Inst {
    /// `MOV`, `MVN`: `s` sets the flags. A shifted register is an immediate `LSL`, `LSR`, `ASR`, `ROR` or `RRX`.
    Move {
        op: MoveOp,
        s: bool,
        rd: Reg,
        src: Src,
    },
    /// `MOVW`: a 16-bit constant, upper half cleared; always 32 bits long.
    Movw { rd: Reg, imm: u16 },
    /// `MOVT`: the upper half only.
    Movt { rd: Reg, imm: u16 },
    /// `rd = rn op src`.
    Alu {
        op: AluOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        src: Src,
    },
    /// Sets the flags, nothing else.
    Compare { op: CompareOp, rn: Reg, src: Src },
    /// `rd = rn` shifted by the low byte of `rm`.
    Shift {
        op: ShiftOp,
        s: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// `MUL`; `s` exists only in the 16-bit form outside an IT block.
    Mul { s: bool, rd: Reg, rn: Reg, rm: Reg },
    /// `MLA` (`ra + rn·rm`), `MLS` (`ra − rn·rm`).
    MulAcc {
        op: MulAccOp,
        rd: Reg,
        rn: Reg,
        rm: Reg,
        ra: Reg,
    },
    /// Products of 64 bits in `hi:lo`.
    MulLong {
        op: MulLongOp,
        lo: Reg,
        hi: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// `SDIV`, `UDIV`.
    Div {
        signed: bool,
        rd: Reg,
        rn: Reg,
        rm: Reg,
    },
    /// `UXTB` and its kin.
    Extend { op: ExtendOp, rd: Reg, rm: Reg },
    /// `UBFX`, `SBFX`: extract `width` bits from `lsb` on.
    Extract {
        signed: bool,
        rd: Reg,
        rn: Reg,
        lsb: u8,
        width: u8,
    },
    /// `BFI`: put the low `width` bits of `rn` at `lsb`.
    Bfi {
        rd: Reg,
        rn: Reg,
        lsb: u8,
        width: u8,
    },
    /// `BFC`: clear `width` bits from `lsb` on.
    Bfc { rd: Reg, lsb: u8, width: u8 },
    /// `CLZ`, `RBIT`, `REV`.
    Bits { op: BitsOp, rd: Reg, rm: Reg },
    /// `SSAT`, `USAT` to `bits` bits.
    Saturate {
        signed: bool,
        rd: Reg,
        bits: u8,
        rn: Reg,
    },

    /// A load of one word, halfword or byte.
    Load { op: LoadOp, rt: Reg, addr: Addr },
    /// A store of one word, halfword or byte.
    Store { op: StoreOp, rt: Reg, addr: Addr },
    /// `LDRD`; the address takes no index.
    LoadPair { rt: Reg, rt2: Reg, addr: Addr },
    /// `STRD`; the address takes no index.
    StorePair { rt: Reg, rt2: Reg, addr: Addr },
    /// `LDMIA`, `LDMDB`.
    LoadMany {
        mode: Mode,
        base: Reg,
        writeback: bool,
        regs: RegList,
    },
    /// `STMIA`, `STMDB`.
    StoreMany {
        mode: Mode,
        base: Reg,
        writeback: bool,
        regs: RegList,
    },
    /// `PUSH`.
    Push { regs: RegList },
    /// `POP`; with the program counter in the list it returns.
    Pop { regs: RegList },
    /// `LDR rt, [pc, #offset]`.
    LoadLiteral { rt: Reg, offset: i32, width: Width },
    /// `ADR`.
    Adr { rd: Reg, offset: i32, width: Width },

    /// `B`, conditional or not.
    B {
        cond: Option<Cond>,
        offset: i32,
        width: Width,
    },
    /// `BL`.
    Bl { offset: i32 },
    /// `BX`.
    Bx { rm: Reg },
    /// `BLX`.
    Blx { rm: Reg },
    /// `CBZ`, or `CBNZ` if `nonzero`; forward only.
    Cbz { nonzero: bool, rn: Reg, offset: i32 },
    /// `IT`: the next instructions are conditional.
    It(ItBlock),

    /// `CPSIE i` or `CPSID i`: interrupts on or off.
    Cps { enable: bool },
    /// `DMB`, `DSB`, `ISB`.
    Barrier { op: BarrierOp },
    /// `NOP`, `WFI`, `WFE`, `SEV`, `YIELD`.
    Hint { op: HintOp },
    /// `BKPT`.
    Bkpt { imm: u8 },
    /// `SVC`.
    Svc { imm: u8 },
    /// `UDF`: faults for certain.
    Udf { imm: u8 },
    /// `MRS`.
    Mrs { rd: Reg, sys: SysReg },
    /// `MSR`.
    Msr { sys: SysReg, rn: Reg },

    /// `sd = sn op sm`, or for the accumulating ones `sd = ±sd ± sn·sm`.
    FArith {
        op: FArithOp,
        sd: SReg,
        sn: SReg,
        sm: SReg,
    },
    /// `sd = op sm`.
    FUnary { op: FUnaryOp, sd: SReg, sm: SReg },
    /// `VCMP`; `sm` absent compares with zero. `signal` (`VCMPE`) raises invalid for quiet NaN too.
    FCompare {
        signal: bool,
        sd: SReg,
        sm: Option<SReg>,
    },
    /// Conversions between f32 and integers.
    FConvert { op: ConvertOp, sd: SReg, sm: SReg },
    /// `VMOV.F32 sd, #imm`.
    FMoveImm { sd: SReg, imm: FpImm },
    /// `VMOV sn, rt`.
    FMoveFromCore { sn: SReg, rt: Reg },
    /// `VMOV rt, sn`.
    FMoveToCore { rt: Reg, sn: SReg },
    /// `VMOV sm, sm+1, rt, rt2`.
    FMovePairFromCore { sm: SReg, rt: Reg, rt2: Reg },
    /// `VMOV rt, rt2, sm, sm+1`.
    FMovePairToCore { rt: Reg, rt2: Reg, sm: SReg },
    /// `VLDR sd, [base, #offset]`.
    FLoad { sd: SReg, base: Reg, offset: i32 },
    /// `VSTR sd, [base, #offset]`.
    FStore { sd: SReg, base: Reg, offset: i32 },
    /// `VLDR sd, [pc, #offset]`.
    FLoadLiteral { sd: SReg, offset: i32 },
    /// `VLDM`; decrementing needs writeback.
    FLoadMany {
        mode: Mode,
        base: Reg,
        writeback: bool,
        regs: SList,
    },
    /// `VSTM`; decrementing needs writeback.
    FStoreMany {
        mode: Mode,
        base: Reg,
        writeback: bool,
        regs: SList,
    },
    /// `VPUSH`.
    FPush { regs: SList },
    /// `VPOP`.
    FPop { regs: SList },
    /// `VMRS APSR_nzcv, FPSCR`: the flags of a float compare become the core's.
    FFlags,
    /// `VMRS rt, FPSCR`.
    ReadFpscr { rt: Reg },
    /// `VMSR FPSCR, rt`.
    WriteFpscr { rt: Reg },
}

macro_rules! mnemonics {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// Every operation of this kind.
            pub const ALL: &'static [$name] = &[$($name::$variant,)*];

            pub(super) const fn mnemonic(self) -> &'static str {
                match self {
                    $($name::$variant => $text,)*
                }
            }
        }
    };
}

mnemonics! {
    /// Moves.
    MoveOp {
        /// The value.
        Mov = "mov",
        /// Its complement.
        Mvn = "mvn",
    }
}

mnemonics! {
    /// Arithmetic and logic.
    AluOp {
        /// Sum.
        Add = "add",
        /// Sum with carry.
        Adc = "adc",
        /// Difference.
        Sub = "sub",
        /// Difference with borrow.
        Sbc = "sbc",
        /// Difference the other way round.
        Rsb = "rsb",
        /// And.
        And = "and",
        /// Or.
        Orr = "orr",
        /// Or with the complement.
        Orn = "orn",
        /// Exclusive or.
        Eor = "eor",
        /// And with the complement.
        Bic = "bic",
    }
}

mnemonics! {
    /// Comparisons.
    CompareOp {
        /// Flags of the difference.
        Cmp = "cmp",
        /// Flags of the sum.
        Cmn = "cmn",
        /// Flags of the conjunction.
        Tst = "tst",
        /// Flags of the exclusive or.
        Teq = "teq",
    }
}

mnemonics! {
    /// Shifts by a register.
    ShiftOp {
        /// Left.
        Lsl = "lsl",
        /// Logical right.
        Lsr = "lsr",
        /// Arithmetic right.
        Asr = "asr",
        /// Rotate right.
        Ror = "ror",
    }
}

mnemonics! {
    /// Multiply and accumulate.
    MulAccOp {
        /// Add the product.
        Mla = "mla",
        /// Subtract the product.
        Mls = "mls",
    }
}

mnemonics! {
    /// Long products.
    MulLongOp {
        /// Unsigned.
        Umull = "umull",
        /// Signed.
        Smull = "smull",
        /// Unsigned, accumulating.
        Umlal = "umlal",
        /// Signed, accumulating.
        Smlal = "smlal",
    }
}

mnemonics! {
    /// Extensions of narrow integers.
    ExtendOp {
        /// Unsigned byte.
        Uxtb = "uxtb",
        /// Unsigned halfword.
        Uxth = "uxth",
        /// Signed byte.
        Sxtb = "sxtb",
        /// Signed halfword.
        Sxth = "sxth",
    }
}

mnemonics! {
    /// Bit manipulation of one register.
    BitsOp {
        /// Count of leading zeros.
        Clz = "clz",
        /// Bits reversed.
        Rbit = "rbit",
        /// Bytes reversed.
        Rev = "rev",
    }
}

mnemonics! {
    /// Loads by size and sign.
    LoadOp {
        /// Word.
        Ldr = "ldr",
        /// Unsigned byte.
        Ldrb = "ldrb",
        /// Unsigned halfword.
        Ldrh = "ldrh",
        /// Signed byte.
        Ldrsb = "ldrsb",
        /// Signed halfword.
        Ldrsh = "ldrsh",
    }
}

mnemonics! {
    /// Stores by size.
    StoreOp {
        /// Word.
        Str = "str",
        /// Byte.
        Strb = "strb",
        /// Halfword.
        Strh = "strh",
    }
}

mnemonics! {
    /// Barriers, over the full system.
    BarrierOp {
        /// Data memory.
        Dmb = "dmb",
        /// Data synchronisation.
        Dsb = "dsb",
        /// Instruction synchronisation.
        Isb = "isb",
    }
}

mnemonics! {
    /// Hints.
    HintOp {
        /// Nothing.
        Nop = "nop",
        /// Let others run.
        Yield = "yield",
        /// Sleep until an event.
        Wfe = "wfe",
        /// Sleep until an interrupt.
        Wfi = "wfi",
        /// Send an event.
        Sev = "sev",
    }
}

mnemonics! {
    /// Special registers.
    SysReg {
        /// Flags.
        Apsr = "CPSR",
        /// Number of the active exception.
        Ipsr = "IPSR",
        /// Main stack pointer.
        Msp = "MSP",
        /// Process stack pointer.
        Psp = "PSP",
        /// Interrupts masked.
        Primask = "PRIMASK",
        /// Priority from which interrupts are masked.
        Basepri = "BASEPRI",
        /// Faults masked.
        Faultmask = "FAULTMASK",
        /// Stack in use and privilege.
        Control = "CONTROL",
    }
}

mnemonics! {
    /// Float arithmetic. The fused ones round once, `VMLA` and its kin twice.
    FArithOp {
        /// `sn + sm`
        Vadd = "vadd",
        /// `sn − sm`
        Vsub = "vsub",
        /// `sn · sm`
        Vmul = "vmul",
        /// `−(sn · sm)`
        Vnmul = "vnmul",
        /// `sn / sm`
        Vdiv = "vdiv",
        /// `sd + sn · sm`, fused
        Vfma = "vfma",
        /// `sd − sn · sm`, fused
        Vfms = "vfms",
        /// `−sd − sn · sm`, fused
        Vfnma = "vfnma",
        /// `−sd + sn · sm`, fused
        Vfnms = "vfnms",
        /// `sd + sn · sm`
        Vmla = "vmla",
        /// `sd − sn · sm`
        Vmls = "vmls",
        /// `−sd − sn · sm`
        Vnmla = "vnmla",
        /// `−sd + sn · sm`
        Vnmls = "vnmls",
    }
}

impl FArithOp {
    /// Whether the destination is an operand too.
    #[must_use]
    pub const fn accumulates(self) -> bool {
        !matches!(
            self,
            FArithOp::Vadd | FArithOp::Vsub | FArithOp::Vmul | FArithOp::Vnmul | FArithOp::Vdiv
        )
    }
}

mnemonics! {
    /// Float operations on one register.
    FUnaryOp {
        /// A copy.
        Vmov = "vmov",
        /// Absolute value.
        Vabs = "vabs",
        /// Negation.
        Vneg = "vneg",
        /// Square root.
        Vsqrt = "vsqrt",
    }
}

mnemonics! {
    /// Conversions; to integers towards zero, or (`R`) as FPSCR says.
    ConvertOp {
        /// From i32.
        F32FromS32 = "vcvt.f32.s32",
        /// From u32.
        F32FromU32 = "vcvt.f32.u32",
        /// To i32, towards zero.
        S32FromF32 = "vcvt.s32.f32",
        /// To u32, towards zero.
        U32FromF32 = "vcvt.u32.f32",
        /// To i32, in FPSCR's rounding mode.
        S32FromF32R = "vcvtr.s32.f32",
        /// To u32, in FPSCR's rounding mode.
        U32FromF32R = "vcvtr.u32.f32",
    }
}

/// How a transfer of many registers walks memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Mode {
    /// Upwards from the base.
    Ia,
    /// Below the base.
    Db,
}

/// The length of an encoding whose reach depends on it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Width {
    /// 16 bits.
    Narrow,
    /// 32 bits.
    Wide,
}

macro_rules! alu_constructors {
    ($($(#[$doc:meta])* $name:ident = $op:ident, $s:literal;)*) => {
        /// Arithmetic and logic.
        impl Inst {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(rd: Reg, rn: Reg, src: impl Into<Src>) -> Inst {
                    Inst::Alu { op: AluOp::$op, s: $s, rd, rn, src: src.into() }
                }
            )*
        }
    };
}

alu_constructors! {
    /// `ADD`
    add = Add, false;
    /// `ADDS`
    adds = Add, true;
    /// `ADC`
    adc = Adc, false;
    /// `ADCS`
    adcs = Adc, true;
    /// `SUB`
    sub = Sub, false;
    /// `SUBS`
    subs = Sub, true;
    /// `SBC`
    sbc = Sbc, false;
    /// `SBCS`
    sbcs = Sbc, true;
    /// `RSB`
    rsb = Rsb, false;
    /// `RSBS`
    rsbs = Rsb, true;
    /// `AND`
    and = And, false;
    /// `ANDS`
    ands = And, true;
    /// `ORR`
    orr = Orr, false;
    /// `ORRS`
    orrs = Orr, true;
    /// `EOR`
    eor = Eor, false;
    /// `EORS`
    eors = Eor, true;
    /// `BIC`
    bic = Bic, false;
    /// `BICS`
    bics = Bic, true;
}

/// Moves, shifts and comparisons.
impl Inst {
    /// `NOP`
    pub const NOP: Inst = Inst::Hint { op: HintOp::Nop };

    /// `MOV`
    #[must_use]
    pub fn mov(rd: Reg, src: impl Into<Src>) -> Inst {
        Inst::Move {
            op: MoveOp::Mov,
            s: false,
            rd,
            src: src.into(),
        }
    }

    /// `MOVS`
    #[must_use]
    pub fn movs(rd: Reg, src: impl Into<Src>) -> Inst {
        Inst::Move {
            op: MoveOp::Mov,
            s: true,
            rd,
            src: src.into(),
        }
    }

    /// `MVN`
    #[must_use]
    pub fn mvn(rd: Reg, src: impl Into<Src>) -> Inst {
        Inst::Move {
            op: MoveOp::Mvn,
            s: false,
            rd,
            src: src.into(),
        }
    }

    /// The shortest sequence that loads any constant without touching the flags: `MOV` or `MVN`, or `MOVW` and `MOVT`.
    #[must_use]
    pub fn mov_const(rd: Reg, value: u32) -> (Inst, Option<Inst>) {
        let (low, high) = (value as u16, (value >> 16) as u16);
        let mov = Inst::mov(rd, value);
        let mvn = Inst::mvn(rd, !value);
        if mov.encode().is_ok() {
            (mov, None)
        } else if mvn.encode().is_ok() {
            (mvn, None)
        } else {
            (
                Inst::Movw { rd, imm: low },
                Some(Inst::Movt { rd, imm: high }),
            )
        }
    }

    /// `LSL rd, rm, #by`
    #[must_use]
    pub fn lsl(rd: Reg, rm: Reg, by: u8) -> Inst {
        Inst::mov(rd, Src::Reg(rm, Shift::Lsl(by)))
    }

    /// `LSLS rd, rm, #by`
    #[must_use]
    pub fn lsls(rd: Reg, rm: Reg, by: u8) -> Inst {
        Inst::movs(rd, Src::Reg(rm, Shift::Lsl(by)))
    }

    /// `LSR rd, rm, #by`
    #[must_use]
    pub fn lsr(rd: Reg, rm: Reg, by: u8) -> Inst {
        Inst::mov(rd, Src::Reg(rm, Shift::Lsr(by)))
    }

    /// `LSRS rd, rm, #by`
    #[must_use]
    pub fn lsrs(rd: Reg, rm: Reg, by: u8) -> Inst {
        Inst::movs(rd, Src::Reg(rm, Shift::Lsr(by)))
    }

    /// `ASR rd, rm, #by`
    #[must_use]
    pub fn asr(rd: Reg, rm: Reg, by: u8) -> Inst {
        Inst::mov(rd, Src::Reg(rm, Shift::Asr(by)))
    }

    /// `CMP`
    #[must_use]
    pub fn cmp(rn: Reg, src: impl Into<Src>) -> Inst {
        Inst::Compare {
            op: CompareOp::Cmp,
            rn,
            src: src.into(),
        }
    }

    /// `TST`
    #[must_use]
    pub fn tst(rn: Reg, src: impl Into<Src>) -> Inst {
        Inst::Compare {
            op: CompareOp::Tst,
            rn,
            src: src.into(),
        }
    }

    /// `MUL`
    #[must_use]
    pub fn mul(rd: Reg, rn: Reg, rm: Reg) -> Inst {
        Inst::Mul {
            s: false,
            rd,
            rn,
            rm,
        }
    }

    /// `MLA`: `rd = ra + rn·rm`
    #[must_use]
    pub fn mla(rd: Reg, rn: Reg, rm: Reg, ra: Reg) -> Inst {
        Inst::MulAcc {
            op: MulAccOp::Mla,
            rd,
            rn,
            rm,
            ra,
        }
    }
}

/// Memory.
impl Inst {
    /// `LDR`
    #[must_use]
    pub fn ldr(rt: Reg, addr: Addr) -> Inst {
        Inst::Load {
            op: LoadOp::Ldr,
            rt,
            addr,
        }
    }

    /// `STR`
    #[must_use]
    pub fn str(rt: Reg, addr: Addr) -> Inst {
        Inst::Store {
            op: StoreOp::Str,
            rt,
            addr,
        }
    }

    /// `PUSH`
    #[must_use]
    pub fn push(regs: &[Reg]) -> Inst {
        Inst::Push {
            regs: RegList::of(regs),
        }
    }

    /// `POP`
    #[must_use]
    pub fn pop(regs: &[Reg]) -> Inst {
        Inst::Pop {
            regs: RegList::of(regs),
        }
    }

    /// `VLDR sd, [base, #offset]`
    #[must_use]
    pub fn vldr(sd: SReg, base: Reg, offset: i32) -> Inst {
        Inst::FLoad { sd, base, offset }
    }

    /// `VSTR sd, [base, #offset]`
    #[must_use]
    pub fn vstr(sd: SReg, base: Reg, offset: i32) -> Inst {
        Inst::FStore { sd, base, offset }
    }

    /// `VLDMIA base, regs`, with `!` if `writeback`.
    #[must_use]
    pub fn vldmia(base: Reg, writeback: bool, regs: SList) -> Inst {
        Inst::FLoadMany {
            mode: Mode::Ia,
            base,
            writeback,
            regs,
        }
    }

    /// `VSTMIA base, regs`, with `!` if `writeback`.
    #[must_use]
    pub fn vstmia(base: Reg, writeback: bool, regs: SList) -> Inst {
        Inst::FStoreMany {
            mode: Mode::Ia,
            base,
            writeback,
            regs,
        }
    }

    /// `BX lr`
    #[must_use]
    pub fn ret() -> Inst {
        Inst::Bx { rm: Reg::Lr }
    }
}

macro_rules! float_constructors {
    ($($(#[$doc:meta])* $name:ident = $op:ident;)*) => {
        /// Float arithmetic.
        impl Inst {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(sd: SReg, sn: SReg, sm: SReg) -> Inst {
                    Inst::FArith { op: FArithOp::$op, sd, sn, sm }
                }
            )*
        }
    };
}

float_constructors! {
    /// `VADD.F32`
    vadd = Vadd;
    /// `VSUB.F32`
    vsub = Vsub;
    /// `VMUL.F32`
    vmul = Vmul;
    /// `VDIV.F32`
    vdiv = Vdiv;
    /// `VFMA.F32`: `sd + sn·sm`
    vfma = Vfma;
    /// `VFMS.F32`: `sd − sn·sm`
    vfms = Vfms;
    /// `VFNMA.F32`: `−sd − sn·sm`
    vfnma = Vfnma;
    /// `VFNMS.F32`: `−sd + sn·sm`
    vfnms = Vfnms;
}

/// More floats.
impl Inst {
    /// `VMOV.F32 sd, sm`
    #[must_use]
    pub fn vmov(sd: SReg, sm: SReg) -> Inst {
        Inst::FUnary {
            op: FUnaryOp::Vmov,
            sd,
            sm,
        }
    }

    /// `VABS.F32`
    #[must_use]
    pub fn vabs(sd: SReg, sm: SReg) -> Inst {
        Inst::FUnary {
            op: FUnaryOp::Vabs,
            sd,
            sm,
        }
    }

    /// `VNEG.F32`
    #[must_use]
    pub fn vneg(sd: SReg, sm: SReg) -> Inst {
        Inst::FUnary {
            op: FUnaryOp::Vneg,
            sd,
            sm,
        }
    }

    /// `VSQRT.F32`
    #[must_use]
    pub fn vsqrt(sd: SReg, sm: SReg) -> Inst {
        Inst::FUnary {
            op: FUnaryOp::Vsqrt,
            sd,
            sm,
        }
    }

    /// `VCMP.F32 sd, sm`; follow it with [`Inst::FFlags`].
    #[must_use]
    pub fn vcmp(sd: SReg, sm: SReg) -> Inst {
        Inst::FCompare {
            signal: false,
            sd,
            sm: Some(sm),
        }
    }

    /// `VCMP.F32 sd, #0`; follow it with [`Inst::FFlags`].
    #[must_use]
    pub fn vcmp_zero(sd: SReg) -> Inst {
        Inst::FCompare {
            signal: false,
            sd,
            sm: None,
        }
    }
}

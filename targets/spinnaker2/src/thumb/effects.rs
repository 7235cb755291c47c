//! What an instruction reads and writes, and whether control goes on behind it.

use super::inst::{AluOp, Inst, MulLongOp};
use super::operand::{Addr, Reg, SReg, Shift, Src};

/// A set of registers of both files.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RegSet {
    /// Core registers, one bit each.
    pub core: u16,
    /// Float registers, one bit each.
    pub float: u32,
    /// The flags.
    pub flags: bool,
}

impl RegSet {
    /// Whether two sets share anything.
    #[must_use]
    pub const fn meets(self, other: RegSet) -> bool {
        self.core & other.core != 0 || self.float & other.float != 0 || (self.flags && other.flags)
    }

    fn reg(mut self, reg: Reg) -> Self {
        self.core |= 1 << reg.index();
        self
    }

    fn sreg(mut self, reg: SReg) -> Self {
        self.float |= 1 << reg.index();
        self
    }

    fn pair(self, first: SReg) -> Self {
        let bits = 3u32 << first.index();
        RegSet {
            float: self.float | bits,
            ..self
        }
    }

    fn src(self, src: Src) -> Self {
        match src {
            Src::Imm(_) => self,
            Src::Reg(reg, shift) => {
                let set = self.reg(reg);
                if shift == Shift::Rrx {
                    set.flags()
                } else {
                    set
                }
            }
        }
    }

    fn addr(self, addr: Addr) -> Self {
        let set = self.reg(addr.base());
        match addr {
            Addr::Index(_, index, _) => set.reg(index),
            _ => set,
        }
    }

    fn flags(mut self) -> Self {
        self.flags = true;
        self
    }

    fn flags_if(mut self, yes: bool) -> Self {
        self.flags |= yes;
        self
    }
}

/// The registers an instruction reads, writes and forms an address from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Effects {
    /// Read, addresses included.
    pub reads: RegSet,
    /// Written.
    pub writes: RegSet,
    /// Core registers that an address is formed from.
    pub address: u16,
}

fn none() -> RegSet {
    RegSet::default()
}

impl Inst {
    /// The registers it touches when no `IT` block covers it (a condition reads the flags besides).
    #[must_use]
    pub fn effects(&self) -> Effects {
        let (reads, writes) = self.reads_writes();
        Effects {
            reads,
            writes,
            address: self.address_registers(),
        }
    }

    fn reads_writes(&self) -> (RegSet, RegSet) {
        let list = |core: u16| RegSet { core, ..none() };
        let floats = |float: u32| RegSet { float, ..none() };
        let moved = |base: Reg, yes: bool| if yes { none().reg(base) } else { none() };
        match *self {
            Inst::Move { s, rd, src, .. } => (none().src(src), none().reg(rd).flags_if(s)),
            Inst::Movw { rd, .. } => (none(), none().reg(rd)),
            Inst::Movt { rd, .. } | Inst::Bfc { rd, .. } => (none().reg(rd), none().reg(rd)),
            Inst::Alu { op, s, rd, rn, src } => (
                none()
                    .reg(rn)
                    .src(src)
                    .flags_if(matches!(op, AluOp::Adc | AluOp::Sbc)),
                none().reg(rd).flags_if(s),
            ),
            Inst::Compare { rn, src, .. } => (none().reg(rn).src(src), none().flags()),
            Inst::Shift { s, rd, rn, rm, .. } | Inst::Mul { s, rd, rn, rm } => {
                (none().reg(rn).reg(rm), none().reg(rd).flags_if(s))
            }
            Inst::MulAcc { rd, rn, rm, ra, .. } => (none().reg(rn).reg(rm).reg(ra), none().reg(rd)),
            Inst::MulLong { op, lo, hi, rn, rm } => {
                let factors = none().reg(rn).reg(rm);
                let reads = if matches!(op, MulLongOp::Umlal | MulLongOp::Smlal) {
                    factors.reg(lo).reg(hi)
                } else {
                    factors
                };
                (reads, none().reg(lo).reg(hi))
            }
            Inst::Div { rd, rn, rm, .. } => (none().reg(rn).reg(rm), none().reg(rd)),
            Inst::Extend { rd, rm, .. } | Inst::Bits { rd, rm, .. } => {
                (none().reg(rm), none().reg(rd))
            }
            Inst::Extract { rd, rn, .. } | Inst::Saturate { rd, rn, .. } => {
                (none().reg(rn), none().reg(rd))
            }
            Inst::Bfi { rd, rn, .. } => (none().reg(rd).reg(rn), none().reg(rd)),
            Inst::Load { rt, addr, .. } => (
                none().addr(addr),
                joined(none().reg(rt), moved(addr.base(), addr.writes_back())),
            ),
            Inst::Store { rt, addr, .. } => (
                none().addr(addr).reg(rt),
                moved(addr.base(), addr.writes_back()),
            ),
            Inst::LoadPair { rt, rt2, addr } => (
                none().addr(addr),
                joined(
                    none().reg(rt).reg(rt2),
                    moved(addr.base(), addr.writes_back()),
                ),
            ),
            Inst::StorePair { rt, rt2, addr } => (
                none().addr(addr).reg(rt).reg(rt2),
                moved(addr.base(), addr.writes_back()),
            ),
            Inst::LoadMany {
                base,
                writeback,
                regs,
                ..
            } => (
                none().reg(base),
                joined(list(regs.bits()), moved(base, writeback)),
            ),
            Inst::StoreMany {
                base,
                writeback,
                regs,
                ..
            } => (
                joined(list(regs.bits()), none().reg(base)),
                moved(base, writeback),
            ),
            Inst::Push { regs } => (list(regs.bits()).reg(Reg::Sp), none().reg(Reg::Sp)),
            Inst::Pop { regs } => (none().reg(Reg::Sp), list(regs.bits()).reg(Reg::Sp)),
            Inst::LoadLiteral { rt: rd, .. } | Inst::Adr { rd, .. } => {
                (none().reg(Reg::Pc), none().reg(rd))
            }
            Inst::B { cond, .. } => (none().flags_if(cond.is_some()), none().reg(Reg::Pc)),
            Inst::Bl { .. } => (none(), none().reg(Reg::Lr).reg(Reg::Pc)),
            Inst::Bx { rm } => (none().reg(rm), none().reg(Reg::Pc)),
            Inst::Blx { rm } => (none().reg(rm), none().reg(Reg::Lr).reg(Reg::Pc)),
            Inst::Cbz { rn, .. } => (none().reg(rn), none().reg(Reg::Pc)),
            Inst::It(_) => (none().flags(), none()),
            Inst::Cps { .. }
            | Inst::Barrier { .. }
            | Inst::Hint { .. }
            | Inst::Bkpt { .. }
            | Inst::Svc { .. }
            | Inst::Udf { .. } => (none(), none()),
            Inst::Mrs { rd, .. } => (none(), none().reg(rd)),
            Inst::Msr { rn, .. } => (none().reg(rn), none()),
            Inst::FArith { op, sd, sn, sm } => {
                let factors = none().sreg(sn).sreg(sm);
                let reads = if op.accumulates() {
                    factors.sreg(sd)
                } else {
                    factors
                };
                (reads, none().sreg(sd))
            }
            Inst::FUnary { sd, sm, .. } | Inst::FConvert { sd, sm, .. } => {
                (none().sreg(sm), none().sreg(sd))
            }
            Inst::FCompare { sd, sm, .. } => {
                let reads = none().sreg(sd);
                (sm.map_or(reads, |sm| reads.sreg(sm)), none())
            }
            Inst::FMoveImm { sd, .. } => (none(), none().sreg(sd)),
            Inst::FMoveFromCore { sn, rt } => (none().reg(rt), none().sreg(sn)),
            Inst::FMoveToCore { rt, sn } => (none().sreg(sn), none().reg(rt)),
            Inst::FMovePairFromCore { sm, rt, rt2 } => (none().reg(rt).reg(rt2), none().pair(sm)),
            Inst::FMovePairToCore { rt, rt2, sm } => (none().pair(sm), none().reg(rt).reg(rt2)),
            Inst::FLoad { sd, base, .. } => (none().reg(base), none().sreg(sd)),
            Inst::FStore { sd, base, .. } => (none().reg(base).sreg(sd), none()),
            Inst::FLoadLiteral { sd, .. } => (none().reg(Reg::Pc), none().sreg(sd)),
            Inst::FLoadMany {
                base,
                writeback,
                regs,
                ..
            } => (
                none().reg(base),
                joined(floats(regs.bits()), moved(base, writeback)),
            ),
            Inst::FStoreMany {
                base,
                writeback,
                regs,
                ..
            } => (
                joined(floats(regs.bits()), none().reg(base)),
                moved(base, writeback),
            ),
            Inst::FPush { regs } => (floats(regs.bits()).reg(Reg::Sp), none().reg(Reg::Sp)),
            Inst::FPop { regs } => (
                none().reg(Reg::Sp),
                joined(floats(regs.bits()), none().reg(Reg::Sp)),
            ),
            Inst::FFlags => (none(), none().flags()),
            Inst::ReadFpscr { rt } => (none(), none().reg(rt)),
            Inst::WriteFpscr { rt } => (none().reg(rt), none()),
        }
    }

    fn address_registers(&self) -> u16 {
        let set = match *self {
            Inst::Load { addr, .. }
            | Inst::Store { addr, .. }
            | Inst::LoadPair { addr, .. }
            | Inst::StorePair { addr, .. } => none().addr(addr),
            Inst::LoadMany { base, .. }
            | Inst::StoreMany { base, .. }
            | Inst::FLoad { base, .. }
            | Inst::FStore { base, .. }
            | Inst::FLoadMany { base, .. }
            | Inst::FStoreMany { base, .. } => none().reg(base),
            Inst::Push { .. } | Inst::Pop { .. } | Inst::FPush { .. } | Inst::FPop { .. } => {
                none().reg(Reg::Sp)
            }
            _ => none(),
        };
        set.core
    }

    /// Whether it may continue elsewhere than behind itself.
    #[must_use]
    pub fn jumps(&self) -> bool {
        self.effects().writes.core & (1 << Reg::Pc.index()) != 0
    }

    /// Whether control never reaches what follows it.
    #[must_use]
    pub fn ends_flow(&self) -> bool {
        self.jumps()
            && !matches!(
                self,
                Inst::B { cond: Some(_), .. }
                    | Inst::Cbz { .. }
                    | Inst::Bl { .. }
                    | Inst::Blx { .. }
            )
    }
}

fn joined(a: RegSet, b: RegSet) -> RegSet {
    RegSet {
        core: a.core | b.core,
        float: a.float | b.float,
        flags: a.flags || b.flags,
    }
}

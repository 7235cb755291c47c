//! The interpreter's loop.
//!
//! Everything frequent is executed here from a block's micro-operations, with memory accesses that hit the PE's own SRAM. Whatever is rare, or
//! turns out not to be simple (a device, another PE, code as data, an unaligned multiple), goes to [`Core::slow`], which does it all.
//! The clock and the instruction count are brought up to date when a block is left, from totals made when it was decoded.

use super::code::{Before, Block, Code};
use super::op::{Index, Op, Width};
use super::slow::{Access, Next};
use super::{Bus, Core, Exit, Flags, Stop, fp};
use crate::fault::FaultKind;

/// Branch targets from here on are exception returns, when an exception is active.
pub(super) const EXCEPTION_RETURN_SPACE: u32 = 0xf000_0000;

impl Core {
    /// Runs `code`, which the SRAM holds and protects, until the limit or until something needs the outside.
    pub(crate) fn run<B: Bus>(&mut self, code: &Code, bus: &mut B) -> Exit {
        loop {
            if self.now >= self.limit {
                return Exit::Limit;
            }
            let Some(block) = code.block(self.pc) else {
                return self.no_code();
            };
            if let Some(exit) = self.run_block(block, bus) {
                return exit;
            }
        }
    }

    #[cold]
    fn no_code(&mut self) -> Exit {
        if self.return_address == Some(self.pc) {
            return Exit::Halt;
        }
        Exit::Fault {
            kind: FaultKind::ExecuteOutsideCode,
            pc: self.pc,
            address: None,
        }
    }

    /// Adds a block's totals up to the point it is left at.
    #[inline(always)]
    fn leave(&mut self, at: &Before, pc: u32) {
        self.now = self
            .now
            .wrapping_add(u64::from(at.cycles) + u64::from(at.drain));
        self.instructions += u64::from(at.instructions);
        self.pc = pc;
    }

    #[inline(always)]
    fn jump(&mut self, at: &Before, target: u32) {
        self.leave(at, target);
        self.now = self.now.wrapping_add(self.branch_refill.into());
    }

    /// Takes back what [`Core::interrupt_block`] added, to go on in the middle of a block.
    #[cold]
    fn resume_at(&mut self, block: &Block) -> usize {
        let at = std::mem::take(&mut self.resume);
        if let Some(before) = block.before.get(at) {
            self.now = self.now.wrapping_sub(before.cycles.into());
            self.instructions = self.instructions.wrapping_sub(before.instructions.into());
        }
        at
    }

    /// Leaves a block before operation `at`, which could not be executed.
    #[cold]
    fn interrupt_block(&mut self, block: &Block, at: usize, stop: Stop) -> Exit {
        let before = block.before[at];
        self.now = self.now.wrapping_add(before.cycles.into());
        self.instructions = self.instructions.wrapping_add(before.instructions.into());
        (self.pc, self.resume) = (block.start, at);
        match stop {
            Stop::Sync => Exit::Sync,
            Stop::Fetch { addr, len } => Exit::Fetch { addr, len },
            Stop::Fault(kind, address) => {
                (self.pc, self.resume) = (before.pc, 0);
                Exit::Fault {
                    kind,
                    pc: before.pc,
                    address,
                }
            }
        }
    }

    /// Executes a block, again and again while it branches to its own start; `None` when control has gone to `self.pc`.
    #[inline(always)]
    fn run_block<B: Bus>(&mut self, block: &Block, bus: &mut B) -> Option<Exit> {
        let ops = &block.ops[..];
        let before = &block.before[..];
        let mut i = if self.resume == 0 {
            0
        } else {
            self.resume_at(block)
        };
        loop {
            let Some(op) = ops.get(i) else {
                self.leave(before.last()?, block.end);
                return None;
            };
            i += 1;
            // The rare and the difficult: a result that is not simply "go on" leaves the loop.
            macro_rules! slow {
                () => {
                    match self.slow_step(block, i, bus) {
                        None => {}
                        Some(exit) => return exit,
                    }
                };
            }
            match *op {
                Op::Nop => {}
                Op::MovImm { rd, imm } => self.set(rd, imm),
                Op::MovReg { rd, rm } => self.set(rd, self.reg(rm)),
                Op::AddImm { rd, rn, imm } => self.set(rd, self.reg(rn).wrapping_add(imm)),
                Op::AddReg { rd, rn, rm } => self.set(rd, self.reg(rn).wrapping_add(self.reg(rm))),
                Op::AddShl { rd, rn, rm, n } => {
                    self.set(rd, self.reg(rn).wrapping_add(self.reg(rm) << (n & 31)));
                }
                Op::SubReg { rd, rn, rm } => self.set(rd, self.reg(rn).wrapping_sub(self.reg(rm))),
                Op::AddsImm { rd, rn, imm } => {
                    let result = self.flags.add(self.reg(rn), imm, 0);
                    self.set(rd, result);
                }
                Op::SubsImm { rd, rn, imm } => {
                    let result = self.flags.sub(self.reg(rn), imm);
                    self.set(rd, result);
                }
                Op::CmpReg { rn, rm } => {
                    self.flags.sub(self.reg(rn), self.reg(rm));
                }
                Op::ShlImm { rd, rm, n } => self.set(rd, self.reg(rm) << (n & 31)),

                Op::AluImm { .. }
                | Op::AluReg { .. }
                | Op::AluShift { .. }
                | Op::ShiftReg { .. }
                | Op::Movt { .. }
                | Op::Mul { .. }
                | Op::Mla { .. }
                | Op::Mls { .. }
                | Op::MulLong { .. }
                | Op::Bitfield { .. }
                | Op::Bfi { .. }
                | Op::Bfc { .. }
                | Op::Unary { .. }
                | Op::Extend { .. } => self.integer(*op),

                // Device registers are read and written this way.
                Op::LdrWord { rt, rn, off } => {
                    let addr = self.reg(rn).wrapping_add(off);
                    match self.sram.load_word(addr) {
                        Some(value) => self.set(rt, value),
                        None => match self.load_outside(addr, &before[i - 1], bus) {
                            Ok(value) => self.set(rt, value),
                            Err(stop) => return Some(self.interrupt_block(block, i - 1, stop)),
                        },
                    }
                }
                Op::StrWord { rt, rn, off } => {
                    let (addr, value) = (self.reg(rn).wrapping_add(off), self.reg(rt));
                    if !self.sram.store_word(addr, value)
                        && let Err(stop) = self.store_outside(addr, value, &before[i - 1], bus)
                    {
                        return Some(self.interrupt_block(block, i - 1, stop));
                    }
                }
                Op::LdrWordPost { rt, rn, step } => match self.sram.load_word(self.reg(rn)) {
                    Some(value) => {
                        self.set(rn, self.reg(rn).wrapping_add(step));
                        self.set(rt, value);
                    }
                    None => slow!(),
                },
                Op::StrWordPost { rt, rn, step } => {
                    let addr = self.reg(rn);
                    if self.sram.store_word(addr, self.reg(rt)) {
                        self.set(rn, addr.wrapping_add(step));
                    } else {
                        slow!();
                    }
                }
                Op::LdrReg {
                    width,
                    rt,
                    rn,
                    rm,
                    n,
                } => {
                    let addr = self.reg(rn).wrapping_add(self.reg(rm) << (n & 31));
                    match self.sram.load_value(width, addr) {
                        Some(value) => self.set(rt, value),
                        None => slow!(),
                    }
                }
                Op::Ldr {
                    width,
                    index: Index::Offset,
                    rt,
                    rn,
                    off,
                } => match self.sram.load_value(width, self.reg(rn).wrapping_add(off)) {
                    Some(value) => self.set(rt, value),
                    None => slow!(),
                },
                Op::LdrAbs {
                    width: Width::Word,
                    rt,
                    addr,
                } => match self.sram.load_word(addr) {
                    Some(value) => self.set(rt, value),
                    None => slow!(),
                },
                Op::StrReg {
                    width: Width::Word,
                    rt,
                    rn,
                    rm,
                    n,
                } => {
                    let addr = self.reg(rn).wrapping_add(self.reg(rm) << (n & 31));
                    if !self.sram.store_word(addr, self.reg(rt)) {
                        slow!();
                    }
                }
                Op::Vldr { d, rn, off } => {
                    let addr = self.reg(rn).wrapping_add(off);
                    match self.sram.load_word(addr) {
                        Some(value) if addr & 3 == 0 => self.set_single(d, value),
                        _ => slow!(),
                    }
                }
                Op::Vstr { d, rn, off } => {
                    let addr = self.reg(rn).wrapping_add(off);
                    if addr & 3 != 0 || !self.sram.store_word(addr, self.single(d)) {
                        slow!();
                    }
                }
                Op::Vldm {
                    d,
                    count,
                    rn,
                    off,
                    step,
                } => {
                    let base = self.reg(rn);
                    let addr = base.wrapping_add(i32::from(off) as u32);
                    let from = self.sram.get(addr, usize::from(count) * 4);
                    let to = self
                        .s
                        .get_mut(usize::from(d)..usize::from(d) + usize::from(count));
                    match (from, to) {
                        (Some(from), Some(to)) if addr & 3 == 0 => {
                            for (to, from) in to.iter_mut().zip(from.as_chunks::<4>().0) {
                                *to = u32::from_le_bytes(*from);
                            }
                            self.set(rn, base.wrapping_add(i32::from(step) as u32));
                        }
                        _ => slow!(),
                    }
                }
                Op::Vstm {
                    d,
                    count,
                    rn,
                    off,
                    step,
                } => {
                    let base = self.reg(rn);
                    let addr = base.wrapping_add(i32::from(off) as u32);
                    let to = self.sram.get_in_gap(addr, usize::from(count) * 4);
                    let from = self
                        .s
                        .get(usize::from(d)..usize::from(d) + usize::from(count));
                    match (from, to) {
                        (Some(from), Some(to)) if addr & 3 == 0 => {
                            for (to, from) in to.as_chunks_mut::<4>().0.iter_mut().zip(from) {
                                *to = from.to_le_bytes();
                            }
                            self.set(rn, base.wrapping_add(i32::from(step) as u32));
                        }
                        _ => slow!(),
                    }
                }

                Op::CheckFpu => {
                    if self.scs.fpu_enabled() {
                        self.scs.control |= 4;
                    } else {
                        return Some(self.interrupt_block(
                            block,
                            i - 1,
                            Stop::Fault(FaultKind::FpDisabled, None),
                        ));
                    }
                }
                Op::Vadd { d, n, m } => self.set_single(d, fp::add(self.single(n), self.single(m))),
                Op::Vsub { d, n, m } => self.set_single(d, fp::sub(self.single(n), self.single(m))),
                Op::Vmul { d, n, m } => self.set_single(d, fp::mul(self.single(n), self.single(m))),
                Op::Vfma { d, n, m } => {
                    self.set_single(d, fp::fma(self.single(d), self.single(n), self.single(m)));
                }
                Op::Fp3 { op, d, n, m } => {
                    self.set_single(
                        d,
                        fp::fp3(op, self.single(d), self.single(n), self.single(m)),
                    );
                }
                Op::VRun {
                    op,
                    d,
                    n,
                    m,
                    count,
                    n_step,
                    m_step,
                } => {
                    fp::run(op, &mut self.s, [d, n, m], count, [n_step, m_step]);
                }
                Op::Vcmp { d, m } => self.set_fp_flags(fp::compare(self.single(d), self.single(m))),
                Op::VcmpZero { d } => self.set_fp_flags(fp::compare(self.single(d), 0)),
                Op::VcmpToApsr { d, m } => {
                    let flags = fp::compare(self.single(d), self.single(m));
                    self.set_fp_flags(flags);
                    self.flags = Flags::from_bits(flags);
                }
                Op::VcmpZeroToApsr { d } => {
                    let flags = fp::compare(self.single(d), 0);
                    self.set_fp_flags(flags);
                    self.flags = Flags::from_bits(flags);
                }
                Op::VmrsApsr => self.flags = Flags::from_bits(self.fpscr),
                Op::VmovImm { d, bits } => self.set_single(d, bits),
                Op::VmovToCore { rt, n } => self.set(rt, self.single(n)),
                Op::VmovFromCore { n, rt } => self.set_single(n, self.reg(rt)),

                Op::SkipUnless { cond, n, refund } => {
                    if !self.flags.passes(cond) {
                        i += usize::from(n);
                        self.now = self.now.wrapping_sub(refund.into());
                    }
                }
                Op::B { target } => {
                    self.jump(&before[i], target);
                    return None;
                }
                Op::Bcond { cond, target } => {
                    if self.flags.passes(cond) {
                        self.jump(&before[i], target);
                        return None;
                    }
                }
                Op::Again => {
                    self.jump(&before[i], block.start);
                    if self.now >= self.limit {
                        return None;
                    }
                    i = 0;
                }
                Op::AgainIf { cond } => {
                    if self.flags.passes(cond) {
                        self.jump(&before[i], block.start);
                        if self.now >= self.limit {
                            return None;
                        }
                        i = 0;
                    }
                }
                Op::Cbz {
                    rn,
                    nonzero,
                    target,
                } => {
                    if (self.reg(rn) != 0) == nonzero {
                        self.jump(&before[i], target);
                        return None;
                    }
                }
                Op::Bl { target, link } => {
                    self.set(14, link);
                    self.jump(&before[i], target);
                    return None;
                }
                Op::Bx { rm } => {
                    let target = self.reg(rm);
                    if target & 1 == 0 || target >= EXCEPTION_RETURN_SPACE {
                        slow!();
                    } else {
                        self.jump(&before[i], target & !1);
                        return None;
                    }
                }
                _ => slow!(),
            }
        }
    }

    #[inline(always)]
    fn set_fp_flags(&mut self, nzcv: u32) {
        self.fpscr = (self.fpscr & 0x0fff_ffff) | nzcv;
    }

    #[inline(never)]
    fn load_outside<B: Bus>(&mut self, addr: u32, at: &Before, bus: &mut B) -> Result<u32, Stop> {
        let at = self.now.wrapping_add(at.cycles.into());
        self.load_value(&mut Access { at, bus }, Width::Word, addr)
    }

    #[inline(never)]
    fn store_outside<B: Bus>(
        &mut self,
        addr: u32,
        value: u32,
        at: &Before,
        bus: &mut B,
    ) -> Result<(), Stop> {
        let at = self.now.wrapping_add(at.cycles.into());
        self.store(&mut Access { at, bus }, addr, &value.to_le_bytes())
    }

    /// Executes operation `i - 1` the general way; `None` to go on with operation `i`, else what the block's execution returns.
    #[inline(never)]
    fn slow_step<B: Bus>(&mut self, block: &Block, i: usize, bus: &mut B) -> Option<Option<Exit>> {
        let (op, at) = (block.ops[i - 1], block.before[i - 1]);
        match self.slow(op, self.now.wrapping_add(at.cycles.into()), bus) {
            Ok(Next::Continue) => None,
            Ok(Next::Jump(target)) => {
                self.jump(&block.before[i], target);
                Some(None)
            }
            Ok(Next::Sleep(kind, next)) => {
                self.leave(&block.before[i], next);
                Some(Some(Exit::Sleep(kind)))
            }
            Ok(Next::Halt) => {
                self.leave(&at, at.pc);
                Some(Some(Exit::Halt))
            }
            Err(stop) => Some(Some(self.interrupt_block(block, i - 1, stop))),
        }
    }
}

//! Every operation that the loop in `execute` does not finish itself, in its general form.

use super::execute::EXCEPTION_RETURN_SPACE;
use super::op::{Index, Op, Reg, SCRATCH, Width};
use super::{Bus, Core, Flags, SleepKind, Stop, fp};
use crate::fault::FaultKind;

/// How control goes on.
pub(super) enum Next {
    Continue,
    Jump(u32),
    /// Asleep; on waking, at this address.
    Sleep(SleepKind, u32),
    Halt,
}

/// The private peripheral bus of the core.
const PPB: std::ops::Range<u32> = 0xe000_0000..0xe010_0000;

/// FPSCR bits that select a mode the model does not have: AHP, DN, FZ, rounding mode.
const FPSCR_MODES: u32 = 0x07c0_0000;
/// FPSCR bits that exist otherwise.
const FPSCR_BITS: u32 = 0xf000_009f;

impl Core {
    /// Executes any operation but the branches that the loop does; `at` is the clock before it.
    pub(super) fn slow<B: Bus>(&mut self, op: Op, at: u64, bus: &mut B) -> Result<Next, Stop> {
        let mut access = Access { at, bus };
        match op {
            Op::LdrWord { rt, rn, off } => {
                self.load_op(&mut access, Width::Word, Index::Offset, rt, rn, off)?;
            }
            Op::StrWord { rt, rn, off } => {
                self.store_op(&mut access, Width::Word, Index::Offset, rt, rn, off)?;
            }
            Op::LdrWordPost { rt, rn, step } => {
                self.load_op(&mut access, Width::Word, Index::Post, rt, rn, step)?;
            }
            Op::StrWordPost { rt, rn, step } => {
                self.store_op(&mut access, Width::Word, Index::Post, rt, rn, step)?;
            }
            Op::Ldr {
                width,
                index,
                rt,
                rn,
                off,
            } => self.load_op(&mut access, width, index, rt, rn, off)?,
            Op::Str {
                width,
                index,
                rt,
                rn,
                off,
            } => self.store_op(&mut access, width, index, rt, rn, off)?,
            Op::LdrReg {
                width,
                rt,
                rn,
                rm,
                n,
            } => {
                let off = self.reg(rm) << (n & 31);
                self.load_op(&mut access, width, Index::Offset, rt, rn, off)?;
            }
            Op::StrReg {
                width,
                rt,
                rn,
                rm,
                n,
            } => {
                let off = self.reg(rm) << (n & 31);
                self.store_op(&mut access, width, Index::Offset, rt, rn, off)?;
            }
            Op::LdrAbs { width, rt, addr } => {
                let value = self.load_value(&mut access, width, addr)?;
                self.set(rt, value);
            }
            Op::Ldrd {
                index,
                rt,
                rt2,
                rn,
                off,
            } => {
                let (addr, updated) = self.indexed(index, rn, off);
                self.load_pair(&mut access, rt, rt2, addr)?;
                self.write_back(index, rn, updated);
            }
            Op::LdrdAbs { rt, rt2, addr } => self.load_pair(&mut access, rt, rt2, addr)?,
            Op::Strd {
                index,
                rt,
                rt2,
                rn,
                off,
            } => {
                let (addr, updated) = self.indexed(index, rn, off);
                let mut buf = [0; 8];
                buf[..4].copy_from_slice(&self.reg(rt).to_le_bytes());
                buf[4..].copy_from_slice(&self.reg(rt2).to_le_bytes());
                self.store_aligned(&mut access, addr, &buf)?;
                self.write_back(index, rn, updated);
            }
            Op::Ldm {
                rn,
                list,
                before,
                writeback,
            } => self.load_multiple(&mut access, rn, list, before, writeback)?,
            Op::Stm {
                rn,
                list,
                before,
                writeback,
            } => self.store_multiple(&mut access, rn, list, before, writeback)?,
            Op::Vldr { d, rn, off } => {
                let addr = self.reg(rn).wrapping_add(off);
                self.load_singles(&mut access, d, 1, addr)?;
            }
            Op::VldrAbs { d, count, addr } => self.load_singles(&mut access, d, count, addr)?,
            Op::Vstr { d, rn, off } => {
                let addr = self.reg(rn).wrapping_add(off);
                self.store_singles(&mut access, d, 1, addr)?;
            }
            Op::Vldm {
                d,
                count,
                rn,
                off,
                step,
            } => {
                let base = self.reg(rn);
                self.load_singles(
                    &mut access,
                    d,
                    count,
                    base.wrapping_add(i32::from(off) as u32),
                )?;
                self.set(rn, base.wrapping_add(i32::from(step) as u32));
            }
            Op::Vstm {
                d,
                count,
                rn,
                off,
                step,
            } => {
                let base = self.reg(rn);
                self.store_singles(
                    &mut access,
                    d,
                    count,
                    base.wrapping_add(i32::from(off) as u32),
                )?;
                self.set(rn, base.wrapping_add(i32::from(step) as u32));
            }
            Op::Ldrex { width, rt, rn, off } => {
                let addr = self.exclusive_address(width, rn, off)?;
                let value = self.load_value(&mut access, width, addr)?;
                self.set(rt, value);
                self.exclusive = true;
            }
            Op::Strex {
                width,
                rd,
                rt,
                rn,
                off,
            } => {
                let addr = self.exclusive_address(width, rn, off.into())?;
                if self.exclusive {
                    let value = self.reg(rt).to_le_bytes();
                    self.store(&mut access, addr, &value[..width.bytes()])?;
                }
                self.set(rd, u32::from(!self.exclusive));
                self.exclusive = false;
            }
            Op::Clrex => self.exclusive = false,

            Op::Fp3 { op, d, n, m } => {
                self.set_single(
                    d,
                    fp::fp3(op, self.single(d), self.single(n), self.single(m)),
                );
            }
            Op::Fp2 { op, d, m } => self.set_single(d, fp::fp2(op, self.single(d), self.single(m))),
            Op::VcvtFixed { d, fixed } => self.set_single(d, fp::fixed(fixed, self.single(d))),
            Op::VmovPairToCore { rt, rt2, m } => {
                self.set(rt, self.single(m));
                self.set(rt2, self.single(m + 1));
            }
            Op::VmovPairFromCore { rt, rt2, m } => {
                self.set_single(m, self.reg(rt));
                self.set_single(m + 1, self.reg(rt2));
            }
            Op::Vmrs { rt } => self.set(rt, self.fpscr),
            Op::Vmsr { rt } => {
                let value = self.reg(rt);
                if value & FPSCR_MODES != 0 {
                    return Err(Stop::Fault(FaultKind::FpMode { fpscr: value }, None));
                }
                self.fpscr = value & FPSCR_BITS;
            }

            Op::JumpLoaded => {
                return self
                    .interwork(&mut access, self.reg(SCRATCH))
                    .map(Next::Jump);
            }
            Op::JumpPlain => return Ok(Next::Jump(self.reg(SCRATCH) & !1)),
            Op::Bx { rm } => return self.interwork(&mut access, self.reg(rm)).map(Next::Jump),
            Op::Blx { rm, link } => {
                let target = self.interwork(&mut access, self.reg(rm))?;
                self.set(14, link);
                return Ok(Next::Jump(target));
            }
            Op::TableBranch { half, rn, rm, base } => {
                return self
                    .table_branch(&mut access, half, self.reg(rn), rm, base)
                    .map(Next::Jump);
            }
            Op::TableBranchPc { half, rm, base } => {
                return self
                    .table_branch(&mut access, half, base, rm, base)
                    .map(Next::Jump);
            }
            Op::Svc { next } => return self.supervisor_call(next).map(Next::Jump),
            Op::Bkpt { imm } => return Err(Stop::Fault(FaultKind::Breakpoint(imm), None)),
            Op::Wfi { next } => return Ok(Next::Sleep(SleepKind::Interrupt, next)),
            Op::Wfe { next } => return Ok(Next::Sleep(SleepKind::Event, next)),
            Op::Sev => self.scs.event = true,
            Op::Cps {
                disable,
                primask,
                faultmask,
            } => {
                if self.privileged() {
                    self.scs.primask = if primask { disable } else { self.scs.primask };
                    self.scs.faultmask = if faultmask {
                        disable
                    } else {
                        self.scs.faultmask
                    };
                    self.limit = 0;
                }
            }
            Op::Mrs { rd, sysm } => {
                let value = self.special_register(sysm)?;
                self.set(rd, value);
            }
            Op::Msr { rn, sysm, mask } => self.set_special_register(sysm, mask, self.reg(rn))?,
            Op::Halt => return Ok(Next::Halt),
            Op::ExecuteOutsideCode => return Err(Stop::Fault(FaultKind::ExecuteOutsideCode, None)),
            Op::Undefined { first, second } => {
                return Err(Stop::Fault(FaultKind::Undefined { first, second }, None));
            }
            Op::Unsupported { first, second } => {
                return Err(Stop::Fault(
                    FaultKind::UnsupportedInstruction { first, second },
                    None,
                ));
            }
            Op::Div { signed, rd, rn, rm } => self.divide(signed, rd, rn, rm)?,
            op => self.integer(op),
        }
        Ok(Next::Continue)
    }

    pub(super) fn privileged(&self) -> bool {
        self.scs.handler_mode() || self.scs.control & 1 == 0
    }

    // Memory.

    /// Reads bytes from wherever the address leads.
    fn load<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        addr: u32,
        buf: &mut [u8],
    ) -> Result<(), Stop> {
        if let Some(from) = self.sram.get(addr, buf.len()) {
            buf.copy_from_slice(from);
        } else if PPB.contains(&addr) {
            let lines = access.bus.lines(&mut self.sram, access.at)?;
            self.scs
                .load(addr, buf, lines, access.at)
                .map_err(|kind| Stop::fault(kind, addr))?;
        } else {
            self.now =
                self.now
                    .wrapping_add(access.bus.load(&mut self.sram, access.at, addr, buf)?);
        }
        Ok(())
    }

    pub(super) fn store<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        addr: u32,
        buf: &[u8],
    ) -> Result<(), Stop> {
        if let Some(to) = self.sram.get_in_gap(addr, buf.len()) {
            to.copy_from_slice(buf);
        } else if PPB.contains(&addr) {
            self.scs
                .store(addr, buf, access.at)
                .map_err(|kind| Stop::fault(kind, addr))?;
            self.limit = 0;
        } else if self.sram.get(addr, buf.len()).is_some() {
            let to = self.sram.data_mut(addr, buf.len());
            to.ok_or(Stop::fault(FaultKind::StoreToCode, addr))?
                .copy_from_slice(buf);
        } else {
            self.now =
                self.now
                    .wrapping_add(access.bus.store(&mut self.sram, access.at, addr, buf)?);
            self.limit = self.limit.min(access.bus.limit());
        }
        Ok(())
    }

    fn load_aligned<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        addr: u32,
        buf: &mut [u8],
    ) -> Result<(), Stop> {
        aligned(addr, 4)?;
        self.load(access, addr, buf)
    }

    fn store_aligned<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        addr: u32,
        buf: &[u8],
    ) -> Result<(), Stop> {
        aligned(addr, 4)?;
        self.store(access, addr, buf)
    }

    pub(super) fn load_value<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        width: Width,
        addr: u32,
    ) -> Result<u32, Stop> {
        let mut buf = [0; 4];
        self.load(access, addr, &mut buf[..width.bytes()])?;
        Ok(width.extend(u32::from_le_bytes(buf)))
    }

    /// Address of an access and the new value of its base.
    fn indexed(&self, index: Index, rn: Reg, off: u32) -> (u32, u32) {
        let base = self.reg(rn);
        let updated = base.wrapping_add(off);
        (if index == Index::Post { base } else { updated }, updated)
    }

    fn write_back(&mut self, index: Index, rn: Reg, updated: u32) {
        if index != Index::Offset {
            self.set(rn, updated);
        }
    }

    fn load_op<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        width: Width,
        index: Index,
        rt: Reg,
        rn: Reg,
        off: u32,
    ) -> Result<(), Stop> {
        let (addr, updated) = self.indexed(index, rn, off);
        let value = self.load_value(access, width, addr)?;
        self.write_back(index, rn, updated);
        self.set(rt, value);
        Ok(())
    }

    fn store_op<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        width: Width,
        index: Index,
        rt: Reg,
        rn: Reg,
        off: u32,
    ) -> Result<(), Stop> {
        let (addr, updated) = self.indexed(index, rn, off);
        let value = self.reg(rt).to_le_bytes();
        self.store(access, addr, &value[..width.bytes()])?;
        self.write_back(index, rn, updated);
        Ok(())
    }

    fn load_pair<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        rt: Reg,
        rt2: Reg,
        addr: u32,
    ) -> Result<(), Stop> {
        let mut buf = [0; 8];
        self.load_aligned(access, addr, &mut buf)?;
        let value = u64::from_le_bytes(buf);
        self.set(rt, value as u32);
        self.set(rt2, (value >> 32) as u32);
        Ok(())
    }

    /// Lowest address of a multiple access, and the base after it.
    fn multiple(&self, rn: Reg, bytes: u32, before: bool) -> (u32, u32) {
        let base = self.reg(rn);
        if before {
            (base.wrapping_sub(bytes), base.wrapping_sub(bytes))
        } else {
            (base, base.wrapping_add(bytes))
        }
    }

    fn load_multiple<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        rn: Reg,
        list: u16,
        before: bool,
        writeback: bool,
    ) -> Result<(), Stop> {
        let len = list.count_ones() as usize * 4;
        let (addr, updated) = self.multiple(rn, len as u32, before);
        let mut buf = [0; 64];
        self.load_aligned(access, addr, &mut buf[..len])?;
        if writeback {
            self.set(rn, updated);
        }
        for (r, bytes) in (0..16)
            .filter(|r| list & (1 << r) != 0)
            .zip(buf.as_chunks::<4>().0)
        {
            self.set(r, u32::from_le_bytes(*bytes));
        }
        Ok(())
    }

    fn store_multiple<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        rn: Reg,
        list: u16,
        before: bool,
        writeback: bool,
    ) -> Result<(), Stop> {
        let len = list.count_ones() as usize * 4;
        let (addr, updated) = self.multiple(rn, len as u32, before);
        let mut buf = [0; 64];
        for (r, bytes) in (0..16)
            .filter(|r| list & (1 << r) != 0)
            .zip(buf.as_chunks_mut::<4>().0)
        {
            *bytes = self.reg(r).to_le_bytes();
        }
        self.store_aligned(access, addr, &buf[..len])?;
        if writeback {
            self.set(rn, updated);
        }
        Ok(())
    }

    fn load_singles<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        d: Reg,
        count: u8,
        addr: u32,
    ) -> Result<(), Stop> {
        let mut buf = [0; 128];
        let len = usize::from(count & 63) * 4;
        self.load_aligned(access, addr, &mut buf[..len.min(128)])?;
        for (to, from) in self
            .s
            .iter_mut()
            .skip(d.into())
            .take(count.into())
            .zip(buf.as_chunks::<4>().0)
        {
            *to = u32::from_le_bytes(*from);
        }
        Ok(())
    }

    fn store_singles<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        d: Reg,
        count: u8,
        addr: u32,
    ) -> Result<(), Stop> {
        let mut buf = [0; 128];
        let len = usize::from(count & 63) * 4;
        for (to, from) in buf
            .as_chunks_mut::<4>()
            .0
            .iter_mut()
            .zip(self.s.iter().skip(d.into()).take(count.into()))
        {
            *to = from.to_le_bytes();
        }
        self.store_aligned(access, addr, &buf[..len.min(128)])
    }

    fn exclusive_address(&self, width: Width, rn: Reg, off: u32) -> Result<u32, Stop> {
        let addr = self.reg(rn).wrapping_add(off);
        aligned(addr, width.bytes() as u32)?;
        Ok(addr)
    }

    fn table_branch<B: Bus>(
        &mut self,
        access: &mut Access<'_, B>,
        half: bool,
        table: u32,
        rm: Reg,
        base: u32,
    ) -> Result<u32, Stop> {
        let (width, scale) = if half {
            (Width::U16, 1)
        } else {
            (Width::U8, 0)
        };
        let entry = self.load_value(access, width, table.wrapping_add(self.reg(rm) << scale))?;
        Ok(base.wrapping_add(entry * 2))
    }

    // Control.

    /// The address a BX to `target` leads to.
    fn interwork<B: Bus>(&mut self, access: &mut Access<'_, B>, target: u32) -> Result<u32, Stop> {
        if target >= EXCEPTION_RETURN_SPACE && self.scs.handler_mode() {
            let pc = self.return_from_exception(target)?;
            // Whatever became possible with the return is looked at before the next block.
            self.limit = self.limit.min(access.at);
            return Ok(pc);
        }
        if target & 1 == 0 {
            return Err(Stop::fault(FaultKind::InvalidState, target));
        }
        Ok(target & !1)
    }

    fn special_register(&self, sysm: u8) -> Result<u32, Stop> {
        let apsr = self.flags.bits() | u32::from(self.q) << 27;
        let ipsr = u32::from(self.scs.ipsr);
        let on_process_stack = self.scs.control & 2 != 0;
        Ok(match sysm {
            0 | 2 => apsr,
            1 | 3 => apsr | ipsr,
            5 | 7 => ipsr,
            6 => 0,
            8 => {
                if on_process_stack {
                    self.other_sp
                } else {
                    self.r[13]
                }
            }
            9 => {
                if on_process_stack {
                    self.r[13]
                } else {
                    self.other_sp
                }
            }
            16 => self.scs.primask.into(),
            17 | 18 => self.scs.basepri.into(),
            19 => self.scs.faultmask.into(),
            20 => self.scs.control.into(),
            _ => {
                return Err(Stop::Fault(
                    FaultKind::Unsupported("this special register"),
                    None,
                ));
            }
        })
    }

    fn set_special_register(&mut self, sysm: u8, mask: u8, value: u32) -> Result<(), Stop> {
        if sysm <= 3 {
            if mask & 2 != 0 {
                self.flags = Flags::from_bits(value);
                self.q = value & 0x0800_0000 != 0;
            }
            return Ok(());
        }
        if !self.privileged() {
            return Ok(());
        }
        let on_process_stack = self.scs.control & 2 != 0;
        match sysm {
            5..=7 => {}
            8 if on_process_stack => self.other_sp = value & !3,
            8 => self.r[13] = value & !3,
            9 if on_process_stack => self.r[13] = value & !3,
            9 => self.other_sp = value & !3,
            16 => self.scs.primask = value & 1 != 0,
            17 => self.scs.basepri = value as u8 & 0xf8,
            18 => {
                let value = value as u8 & 0xf8;
                if value != 0 && (value < self.scs.basepri || self.scs.basepri == 0) {
                    self.scs.basepri = value;
                }
            }
            19 => self.scs.faultmask = value & 1 != 0,
            20 => self.set_control(value as u8 & 7),
            _ => {
                return Err(Stop::Fault(
                    FaultKind::Unsupported("this special register"),
                    None,
                ));
            }
        }
        self.limit = 0;
        Ok(())
    }
}

/// One operation's way to the outside: the bus and the clock.
pub(super) struct Access<'a, B> {
    pub(super) at: u64,
    pub(super) bus: &'a mut B,
}

fn aligned(addr: u32, to: u32) -> Result<(), Stop> {
    if addr & (to - 1) == 0 {
        Ok(())
    } else {
        Err(Stop::fault(FaultKind::Unaligned, addr))
    }
}

//! Exception entry and return.
//!
//! Frames are pushed whole at once: with the floating-point registers when the interrupted code used the FPU. (The processor may put that part
//! off until the handler uses the FPU; what the stack looks like then is the same.)

use super::scs::SVCALL;
use super::{Core, Flags, Stop, timing};
use crate::fault::FaultKind;

/// CONTROL.SPSEL.
const PROCESS_STACK: u8 = 2;
/// CONTROL.FPCA.
const FP_ACTIVE: u8 = 4;

const INTEGER_FRAME: u32 = 0x20;
const FP_FRAME: u32 = 0x68;

impl Core {
    /// Changes CONTROL, and with it which stack pointer is in use.
    pub(super) fn set_control(&mut self, value: u8) {
        // The stack cannot be switched by a handler.
        let value = if self.scs.handler_mode() {
            value & !PROCESS_STACK
        } else {
            value
        };
        if (value ^ self.scs.control) & PROCESS_STACK != 0 {
            std::mem::swap(&mut self.r[13], &mut self.other_sp);
        }
        self.scs.control = value;
    }

    /// Takes the most urgent exception the lines and the priorities allow, if any.
    pub(crate) fn take_interrupt(&mut self, lines: u64) -> Result<bool, Stop> {
        let Some(exception) = self.scs.takeable(lines) else {
            return Ok(false);
        };
        self.pc = self.enter_exception(exception, self.pc)?;
        Ok(true)
    }

    /// SVC: the address of its handler.
    pub(super) fn supervisor_call(&mut self, next: u32) -> Result<u32, Stop> {
        if !self.scs.can_call_supervisor() {
            return Err(Stop::Fault(FaultKind::SupervisorCall, None));
        }
        self.enter_exception(SVCALL, next)
    }

    fn enter_exception(&mut self, exception: u16, return_pc: u32) -> Result<u32, Stop> {
        let vector = self.scs.vtor.wrapping_add(u32::from(exception) * 4);
        let handler = self
            .sram
            .load_word(vector)
            .ok_or(Stop::fault(FaultKind::UnmappedLoad, vector))?;
        if handler & 1 == 0 {
            return Err(Stop::fault(FaultKind::InvalidState, handler));
        }
        let control = self.scs.control;
        let with_fp = control & FP_ACTIVE != 0;
        let sp = self.r[13];
        let frame = sp.wrapping_sub(if with_fp { FP_FRAME } else { INTEGER_FRAME }) & !7;
        let xpsr = self.flags.bits()
            | u32::from(self.q) << 27
            | 1 << 24
            | (sp & 4) << 7
            | u32::from(self.scs.ipsr);
        let [r0, r1, r2, r3] = [self.r[0], self.r[1], self.r[2], self.r[3]];
        self.push_words(
            frame,
            &[r0, r1, r2, r3, self.r[12], self.r[14], return_pc, xpsr],
        )?;
        if with_fp {
            let singles = self.s;
            self.push_words(frame.wrapping_add(INTEGER_FRAME), &singles[..16])?;
            self.push_words(frame.wrapping_add(INTEGER_FRAME + 64), &[self.fpscr])?;
            self.fpscr = 0;
            self.now = self.now.wrapping_add(timing::EXCEPTION_FP);
        }
        let stack_bits = match (self.scs.handler_mode(), control & PROCESS_STACK != 0) {
            (true, _) => 0x1,
            (false, false) => 0x9,
            (false, true) => 0xd,
        };
        let frame_bit = if with_fp { 0 } else { 0x10 };
        self.r[13] = frame;
        self.r[14] = 0xffff_ffe0 | frame_bit | stack_bits;
        if control & PROCESS_STACK != 0 {
            std::mem::swap(&mut self.r[13], &mut self.other_sp);
        }
        self.scs.control = control & !(PROCESS_STACK | FP_ACTIVE);
        self.scs.activate(exception);
        self.scs.event = true;
        self.exclusive = false;
        self.now = self.now.wrapping_add(timing::EXCEPTION_ENTRY);
        Ok(handler & !1)
    }

    /// The address an EXC_RETURN value leads back to.
    pub(super) fn return_from_exception(&mut self, value: u32) -> Result<u32, Stop> {
        let bad = Stop::Fault(FaultKind::ExceptionReturn(value), None);
        if value & 0xffff_ffe0 != 0xffff_ffe0 {
            return Err(bad);
        }
        let (to_handler, to_process_stack) = match value & 15 {
            0x1 => (true, false),
            0x9 => (false, false),
            0xd => (false, true),
            _ => return Err(bad),
        };
        let with_fp = value & 0x10 == 0;
        let frame = if to_process_stack {
            self.other_sp
        } else {
            self.r[13]
        };
        let mut words = [0; 8];
        self.pop_words(frame, &mut words)?;
        let [r0, r1, r2, r3, r12, lr, pc, xpsr] = words;
        let ipsr = (xpsr & 0x1ff) as u16;
        let left = self.scs.ipsr;
        if !self.scs.deactivate(left)
            || (ipsr != 0) != to_handler
            || self.scs.any_active() != to_handler
        {
            return Err(bad);
        }
        let mut size = INTEGER_FRAME;
        if with_fp {
            let mut fp = [0; 17];
            self.pop_words(frame.wrapping_add(INTEGER_FRAME), &mut fp)?;
            self.s[..16].copy_from_slice(&fp[..16]);
            self.fpscr = fp[16];
            size = FP_FRAME;
            self.now = self.now.wrapping_add(timing::EXCEPTION_FP);
        }
        (
            self.r[0], self.r[1], self.r[2], self.r[3], self.r[12], self.r[14],
        ) = (r0, r1, r2, r3, r12, lr);
        let sp = frame.wrapping_add(size) | (xpsr >> 7 & 4);
        if to_process_stack {
            self.other_sp = self.r[13];
            self.scs.control |= PROCESS_STACK;
        }
        self.r[13] = sp;
        self.flags = Flags::from_bits(xpsr);
        self.q = xpsr & 0x0800_0000 != 0;
        self.scs.control = self.scs.control & !FP_ACTIVE | if with_fp { FP_ACTIVE } else { 0 };
        self.scs.ipsr = ipsr;
        self.scs.faultmask = false;
        self.scs.event = true;
        self.exclusive = false;
        self.now = self.now.wrapping_add(timing::EXCEPTION_RETURN);
        Ok(pc & !1)
    }

    fn push_words(&mut self, addr: u32, words: &[u32]) -> Result<(), Stop> {
        for (i, word) in (0..).zip(words) {
            let addr = addr.wrapping_add(4 * i);
            if !self.sram.store_word(addr, *word) {
                return Err(Stop::fault(FaultKind::Stacking, addr));
            }
        }
        Ok(())
    }

    fn pop_words(&self, addr: u32, words: &mut [u32]) -> Result<(), Stop> {
        for (i, word) in (0..).zip(words) {
            let addr = addr.wrapping_add(4 * i);
            *word = self
                .sram
                .load_word(addr)
                .ok_or(Stop::fault(FaultKind::Stacking, addr))?;
        }
        Ok(())
    }
}

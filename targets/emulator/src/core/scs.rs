//! The system control space of the core: interrupt controller, exception state, control registers.

use crate::fault::FaultKind;

/// Exception numbers the model raises itself; external interrupt `n` is exception `16 + n`.
pub(crate) const SVCALL: u16 = 11;
const PENDSV: u16 = 14;
const FIRST_IRQ: u16 = 16;

/// The interrupt controller implements five priority bits.
const PRIORITY_MASK: u8 = 0xf8;

/// Priority that loses to every exception.
const THREAD_PRIORITY: i32 = 256;

/// Registers and state of the system control space.
#[derive(Debug, Clone)]
pub(crate) struct Scs {
    enabled: u64,
    /// Set by software, or because the line was seen; a line that is high is pending without it.
    latched: u64,
    active: u64,
    priority: [u8; 64],
    /// Priorities of exceptions 4 to 15, by number.
    system_priority: [u8; 16],
    system_active: u16,
    pend_sv: bool,
    lines: u32,
    pub(crate) primask: bool,
    pub(crate) faultmask: bool,
    pub(crate) basepri: u8,
    /// CONTROL: bit 0 unprivileged, bit 1 process stack, bit 2 floating-point context active.
    pub(crate) control: u8,
    pub(crate) ipsr: u16,
    pub(crate) vtor: u32,
    scr: u32,
    ccr: u32,
    pub(crate) cpacr: u32,
    demcr: u32,
    /// CYCCNT is the clock minus this, while it counts; else its value.
    cycle_counter: CycleCounter,
    /// The event register of WFE.
    pub(crate) event: bool,
}

#[derive(Debug, Clone, Copy)]
enum CycleCounter {
    Stopped(u32),
    Counting { zero_at: u64 },
}

impl CycleCounter {
    fn value(self, now: u64) -> u32 {
        match self {
            CycleCounter::Stopped(value) => value,
            CycleCounter::Counting { zero_at } => now.wrapping_sub(zero_at) as u32,
        }
    }
}

impl Scs {
    /// Reset state, with so many external interrupt lines.
    pub(crate) fn new(lines: u32) -> Self {
        Self {
            enabled: 0,
            latched: 0,
            active: 0,
            priority: [0; 64],
            system_priority: [0; 16],
            system_active: 0,
            pend_sv: false,
            lines: lines.min(64),
            primask: false,
            faultmask: false,
            basepri: 0,
            control: 0,
            ipsr: 0,
            vtor: 0,
            scr: 0,
            ccr: 0x200,
            cpacr: 0,
            demcr: 0,
            cycle_counter: CycleCounter::Stopped(0),
            event: false,
        }
    }

    pub(crate) fn fpu_enabled(&self) -> bool {
        self.cpacr & 0xf0_0000 == 0xf0_0000
    }

    pub(crate) fn divide_by_zero_traps(&self) -> bool {
        self.ccr & 0x10 != 0
    }

    pub(crate) fn handler_mode(&self) -> bool {
        self.ipsr != 0
    }

    /// Whether some interrupt could be taken, so that time must not run past its arrival unnoticed.
    pub(crate) fn can_be_preempted(&self) -> bool {
        !self.primask && !self.faultmask && (self.enabled != 0 || self.pend_sv)
    }

    /// Whether WFE also wakes for interrupts that are not enabled.
    fn any_pending_is_event(&self) -> bool {
        self.scr & 0x10 != 0
    }

    fn priority_of(&self, exception: u16) -> i32 {
        let table = if exception < FIRST_IRQ {
            &self.system_priority[..]
        } else {
            &self.priority[..]
        };
        let at = if exception < FIRST_IRQ {
            exception
        } else {
            exception - FIRST_IRQ
        };
        i32::from(table.get(usize::from(at)).copied().unwrap_or(0))
    }

    /// Priority of what runs, without PRIMASK.
    fn base_priority(&self) -> i32 {
        let system = (0..FIRST_IRQ).filter(|&e| self.system_active & (1 << e) != 0);
        let external = (0..64)
            .filter(|&i| self.active & (1 << i) != 0)
            .map(|i| FIRST_IRQ + i);
        let active = system
            .chain(external)
            .map(|e| self.priority_of(e))
            .min()
            .unwrap_or(THREAD_PRIORITY);
        let masked = if self.basepri == 0 {
            THREAD_PRIORITY
        } else {
            i32::from(self.basepri)
        };
        active.min(masked)
    }

    fn execution_priority(&self) -> i32 {
        let base = self.base_priority();
        if self.faultmask {
            -1
        } else if self.primask {
            base.min(0)
        } else {
            base
        }
    }

    /// The most urgent pending exception.
    fn most_urgent(&self, lines: u64) -> Option<(i32, u16)> {
        let mut pending = (self.latched | lines) & self.enabled & !self.active;
        let mut best = self.pend_sv.then(|| (self.priority_of(PENDSV), PENDSV));
        while pending != 0 {
            let exception = FIRST_IRQ + pending.trailing_zeros() as u16;
            pending &= pending - 1;
            let candidate = (self.priority_of(exception), exception);
            if best.is_none_or(|b| candidate < b) {
                best = Some(candidate);
            }
        }
        best
    }

    /// The exception to take now.
    pub(crate) fn takeable(&self, lines: u64) -> Option<u16> {
        self.most_urgent(lines)
            .filter(|&(priority, _)| priority < self.execution_priority())
            .map(|(_, e)| e)
    }

    /// Whether WFI ends: as if PRIMASK were clear.
    pub(crate) fn wakes(&self, lines: u64) -> bool {
        self.most_urgent(lines)
            .is_some_and(|(priority, _)| priority < self.base_priority())
    }

    /// Whether WFE ends, by interrupt.
    pub(crate) fn wakes_event(&self, lines: u64) -> bool {
        self.takeable(lines).is_some()
            || (self.any_pending_is_event() && (self.latched | lines) != 0)
    }

    /// Whether SVC can be taken where it stands.
    pub(crate) fn can_call_supervisor(&self) -> bool {
        self.priority_of(SVCALL) < self.execution_priority()
    }

    pub(crate) fn activate(&mut self, exception: u16) {
        self.ipsr = exception;
        match exception.checked_sub(FIRST_IRQ) {
            Some(irq) => {
                self.active |= 1 << irq;
                self.latched &= !(1 << irq);
            }
            None => {
                self.system_active |= 1 << exception;
                self.pend_sv &= exception != PENDSV;
            }
        }
    }

    /// False if the exception was not active.
    pub(crate) fn deactivate(&mut self, exception: u16) -> bool {
        let (bits, bit) = match exception.checked_sub(FIRST_IRQ) {
            Some(irq) => (&mut self.active, 1u64 << (irq & 63)),
            None => {
                let was = self.system_active & (1 << exception) != 0;
                self.system_active &= !(1 << exception);
                return was;
            }
        };
        let was = *bits & bit != 0;
        *bits &= !bit;
        was
    }

    pub(crate) fn any_active(&self) -> bool {
        self.active != 0 || self.system_active != 0
    }

    /// The bits of lines that exist.
    fn line_mask(&self) -> u64 {
        if self.lines == 64 {
            u64::MAX
        } else {
            (1 << self.lines) - 1
        }
    }

    /// Reads a register; `lines` are the interrupt lines now.
    pub(crate) fn load(
        &self,
        addr: u32,
        buf: &mut [u8],
        lines: u64,
        now: u64,
    ) -> Result<(), FaultKind> {
        if let Some(irq) = self.priority_index(addr, buf.len()) {
            buf.copy_from_slice(&self.priority[irq..irq + buf.len()]);
            return Ok(());
        }
        if let Some(exception) = system_priority_index(addr, buf.len()) {
            buf.copy_from_slice(&self.system_priority[exception..exception + buf.len()]);
            return Ok(());
        }
        let value = match word_register(addr, buf.len())? {
            0xe000_1000 => {
                0x4000_0000 | u32::from(matches!(self.cycle_counter, CycleCounter::Counting { .. }))
            }
            0xe000_1004 => self.cycle_counter.value(now),
            0xe000_e004 => (self.lines.max(1) - 1) / 32,
            a @ (0xe000_e100..=0xe000_e104 | 0xe000_e180..=0xe000_e184) => half(self.enabled, a),
            a @ (0xe000_e200..=0xe000_e204 | 0xe000_e280..=0xe000_e284) => {
                half((self.latched | lines) & !self.active & self.line_mask(), a)
            }
            a @ 0xe000_e300..=0xe000_e304 => half(self.active, a),
            0xe000_ed00 => 0x410f_c241,
            0xe000_ed04 => self.icsr(lines),
            0xe000_ed08 => self.vtor,
            0xe000_ed0c => 0xfa05_0000,
            0xe000_ed10 => self.scr,
            0xe000_ed14 => self.ccr,
            0xe000_ed88 => self.cpacr,
            0xe000_edfc => self.demcr,
            // FPCCR: automatic state preservation; FPDSCR: default modes.
            0xe000_ef34 => 0x8000_0000,
            0xe000_ef3c => 0,
            0xe000_ef40 => 0x1011_0021,
            0xe000_ef44 => 0x1100_0011,
            _ => {
                return Err(FaultKind::Unsupported(
                    "this register of the system control space",
                ));
            }
        };
        buf.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    fn icsr(&self, lines: u64) -> u32 {
        let pending = self.most_urgent(lines).map_or(0, |(_, e)| u32::from(e));
        let external = u32::from((self.latched | lines) & !self.active & self.line_mask() != 0);
        u32::from(self.ipsr) | pending << 12 | external << 22 | u32::from(self.pend_sv) << 28
    }

    /// Writes a register.
    pub(crate) fn store(&mut self, addr: u32, buf: &[u8], now: u64) -> Result<(), FaultKind> {
        if let Some(irq) = self.priority_index(addr, buf.len()) {
            for (to, from) in self.priority[irq..].iter_mut().zip(buf) {
                *to = from & PRIORITY_MASK;
            }
            return Ok(());
        }
        if let Some(exception) = system_priority_index(addr, buf.len()) {
            for (to, from) in self.system_priority[exception..].iter_mut().zip(buf) {
                *to = from & PRIORITY_MASK;
            }
            return Ok(());
        }
        let register = word_register(addr, buf.len())?;
        let value = u32::from_le_bytes(buf.try_into().map_err(|_| FaultKind::RegisterSize)?);
        let accept = |allowed: u32| {
            if value & !allowed == 0 {
                Ok(value)
            } else {
                Err(FaultKind::RegisterValue { value })
            }
        };
        match register {
            0xe000_1000 => {
                let counting = accept(0x4000_0001)? & 1 != 0;
                let count = self.cycle_counter.value(now);
                self.cycle_counter = CycleCounter::Stopped(count);
                if counting {
                    self.set_cycle_counter(count, now);
                }
            }
            0xe000_1004 => match self.cycle_counter {
                CycleCounter::Stopped(_) => self.cycle_counter = CycleCounter::Stopped(value),
                CycleCounter::Counting { .. } => self.set_cycle_counter(value, now),
            },
            a @ 0xe000_e100..=0xe000_e104 => self.enabled |= spread(value, a) & self.line_mask(),
            a @ 0xe000_e180..=0xe000_e184 => self.enabled &= !spread(value, a),
            a @ 0xe000_e200..=0xe000_e204 => self.latched |= spread(value, a) & self.line_mask(),
            a @ 0xe000_e280..=0xe000_e284 => self.latched &= !spread(value, a),
            0xe000_ed04 => match accept(0x1800_0000)? {
                v if v & 0x0800_0000 != 0 => self.pend_sv = false,
                v => self.pend_sv |= v != 0,
            },
            0xe000_ed08 => self.vtor = accept(!0x7f)?,
            0xe000_ed10 => self.scr = accept(0x1e)?,
            0xe000_ed14 => self.ccr = accept(0x213)?,
            0xe000_ed88 => self.cpacr = accept(0xf0_0000)?,
            0xe000_edfc => self.demcr = accept(0x0100_0000)?,
            0xe000_ef00 if value < self.lines => self.latched |= 1 << value,
            0xe000_ef34 => drop(accept(0xc000_0000)?),
            0xe000_ef3c => drop(accept(0)?),
            _ => {
                return Err(FaultKind::Unsupported(
                    "this register of the system control space",
                ));
            }
        }
        Ok(())
    }

    fn set_cycle_counter(&mut self, value: u32, now: u64) {
        self.cycle_counter = CycleCounter::Counting {
            zero_at: now.wrapping_sub(value.into()),
        };
    }

    fn priority_index(&self, addr: u32, len: usize) -> Option<usize> {
        let at = addr.wrapping_sub(0xe000_e400) as usize;
        (at + len <= self.priority.len() && at.is_multiple_of(len)).then_some(at)
    }
}

fn system_priority_index(addr: u32, len: usize) -> Option<usize> {
    let at = addr.wrapping_sub(0xe000_ed18) as usize;
    (at < 12 && at + len <= 12 && at.is_multiple_of(len)).then_some(at + 4)
}

fn word_register(addr: u32, len: usize) -> Result<u32, FaultKind> {
    if len == 4 && addr & 3 == 0 {
        Ok(addr)
    } else {
        Err(FaultKind::RegisterSize)
    }
}

/// The half of a 64-bit set that a register address (0 or 4 modulo 8) shows.
fn half(set: u64, addr: u32) -> u32 {
    (set >> ((addr & 4) * 8)) as u32
}

fn spread(value: u32, addr: u32) -> u64 {
    u64::from(value) << ((addr & 4) * 8)
}

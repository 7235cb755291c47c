//! One Cortex-M4F: registers, flags, memory and the interpreter.

mod code;
mod decode;
mod exception;
mod execute;
mod flags;
mod fp;
mod integer;
mod memory;
mod op;
mod scs;
mod slow;
mod timing;

pub(crate) use code::{Code, CodeBytes};
pub(crate) use flags::Flags;
pub(crate) use memory::Sram;
pub(crate) use scs::Scs;

use crate::fault::FaultKind;

/// What is around a core: everything that is neither its SRAM nor its system control space.
pub(crate) trait Bus {
    /// Reads `buf.len()` bytes for an access at clock `at`; the extra cycles it takes.
    fn load(&mut self, sram: &mut Sram, at: u64, addr: u32, buf: &mut [u8]) -> Result<u64, Stop>;

    /// Writes bytes; the extra cycles it takes.
    fn store(&mut self, sram: &mut Sram, at: u64, addr: u32, buf: &[u8]) -> Result<u64, Stop>;

    /// The interrupt lines at clock `at`.
    fn lines(&mut self, sram: &mut Sram, at: u64) -> Result<u64, Stop>;

    /// How far the core may run on before the world must catch up; may shrink with a store.
    fn limit(&self) -> u64;
}

/// Why an instruction cannot be executed now. The core is as before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The access depends on what others do before this clock: try again when they are there.
    Sync,
    /// The bytes are in another PE: try again when they are there.
    Fetch {
        addr: u32,
        len: u32,
    },
    Fault(FaultKind, Option<u32>),
}

impl Stop {
    fn fault(kind: FaultKind, address: u32) -> Self {
        Stop::Fault(kind, Some(address))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SleepKind {
    Interrupt,
    Event,
}

/// Why [`Core::run`] came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The clock reached [`Core::limit`].
    Limit,
    /// See [`Stop::Sync`].
    Sync,
    /// See [`Stop::Fetch`].
    Fetch { addr: u32, len: u32 },
    /// WFI or WFE.
    Sleep(SleepKind),
    /// A place a single-core run was told to stop at.
    Halt,
    Fault {
        kind: FaultKind,
        pc: u32,
        address: Option<u32>,
    },
}

/// Registers, clock, memory.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    /// r0 to r14; slot 15 is scratch (see `op`).
    pub(crate) r: [u32; 16],
    pub(crate) s: [u32; 32],
    pub(crate) flags: Flags,
    /// Q of the program status register: sticky saturation.
    pub(crate) q: bool,
    /// N, Z, C, V of FPSCR in bits 31 to 28, and the exception bits software wrote.
    pub(crate) fpscr: u32,
    /// Cycles since reset of the chip.
    pub(crate) now: u64,
    pub(crate) instructions: u64,
    /// The clock at which [`Core::run`] comes back at the latest, give or take a block.
    pub(crate) limit: u64,
    /// Start of the block to execute next.
    pub(crate) pc: u32,
    /// Operation of that block to go on with.
    pub(crate) resume: usize,
    /// The stack pointer that is not in r13.
    pub(crate) other_sp: u32,
    exclusive: bool,
    /// A branch to this address halts.
    pub(crate) return_address: Option<u32>,
    branch_refill: u32,
    pub(crate) scs: Scs,
    pub(crate) sram: Sram,
}

impl Core {
    /// A core without code, all zero.
    pub(crate) fn new(sram_bytes: u32, interrupt_lines: u32, branch_refill: u32) -> Self {
        Self {
            r: [0; 16],
            s: [0; 32],
            flags: Flags::default(),
            q: false,
            fpscr: 0,
            now: 0,
            instructions: 0,
            limit: 0,
            pc: 0,
            resume: 0,
            other_sp: 0,
            exclusive: false,
            return_address: None,
            branch_refill,
            scs: Scs::new(interrupt_lines),
            sram: Sram::new(sram_bytes),
        }
    }

    /// Stack pointer and entry address from the vector table; the other registers are cleared.
    pub(crate) fn reset(&mut self, interrupt_lines: u32) -> Result<(), Stop> {
        let word = |addr| {
            self.sram
                .load_word(addr)
                .ok_or(Stop::fault(FaultKind::UnmappedLoad, addr))
        };
        let (sp, entry) = (word(0)?, word(4)?);
        if entry & 1 == 0 {
            return Err(Stop::fault(FaultKind::InvalidState, entry));
        }
        self.r = [0; 16];
        self.r[13] = sp & !3;
        self.r[14] = 0xffff_ffff;
        self.s = [0; 32];
        (self.flags, self.q, self.fpscr) = (Flags::default(), false, 0);
        (self.pc, self.resume, self.other_sp, self.exclusive) = (entry & !1, 0, 0, false);
        self.scs = Scs::new(interrupt_lines);
        Ok(())
    }

    #[inline(always)]
    fn reg(&self, r: u8) -> u32 {
        self.r[usize::from(r & 15)]
    }

    #[inline(always)]
    fn set(&mut self, r: u8, value: u32) {
        self.r[usize::from(r & 15)] = value;
    }

    #[inline(always)]
    fn single(&self, s: u8) -> u32 {
        self.s[usize::from(s & 31)]
    }

    #[inline(always)]
    fn set_single(&mut self, s: u8, value: u32) {
        self.s[usize::from(s & 31)] = value;
    }
}

//! A single core with flat memory and no devices, to call machine code as a function.

use std::sync::Arc;

use crate::core::{Bus, Code, CodeBytes, Core, Exit, Flags, Sram, Stop};
use crate::fault::{Fault, FaultKind};

/// Where [`Machine::call`] has the called function return to.
const RETURN: u32 = 0xdfff_fffe;
/// Branch refill of the timing model, as the chip configurations have it.
const BRANCH_REFILL: u32 = 2;
const MEMORY: u32 = 128 * 1024;

/// A core, 128 KiB of memory at address 0 (or as much as asked for), and code in it.
///
/// The FPU is enabled and the stack pointer is at the end of memory. Addresses outside the memory fault.
/// ```
/// use nirc_emulator::Machine;
/// // adds r0, r0, r1; bx lr
/// let mut machine = Machine::new(0x100, &[0x40, 0x18, 0x70, 0x47])?;
/// machine.set_r(0, 40);
/// machine.set_r(1, 2);
/// machine.call(0x100, 1_000)?;
/// assert_eq!(machine.r(0), 42);
/// # Ok::<(), nirc_emulator::MachineError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Machine {
    core: Core,
    code: Arc<Code>,
    single_step: Arc<Code>,
}

/// What a run took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Instructions executed; those an IT block leaves out count too.
    pub instructions: u64,
    /// Cycles of the timing model.
    pub cycles: u64,
}

/// What can go wrong with a [`Machine`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MachineError {
    /// The program did something that is not allowed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The program did not stop in time.
    #[error("still running after {limit} cycles, at {pc:#010x}")]
    Limit {
        /// Cycles given.
        limit: u64,
        /// The block it was about to execute.
        pc: u32,
    },
    /// The program went to sleep, and nothing here can wake it.
    #[error("the program sleeps (WFI or WFE), next instruction at {pc:#010x}")]
    Asleep {
        /// Where it would go on.
        pc: u32,
    },
    /// Memory access of the caller outside the memory.
    #[error("{len} bytes at {addr:#010x} do not lie in the {memory} bytes of memory")]
    OutsideMemory {
        /// First address.
        addr: u32,
        /// Number of bytes.
        len: usize,
        /// Size of the memory.
        memory: u32,
    },
}

impl Machine {
    /// A machine with 128 KiB of memory and `code` at `addr`.
    pub fn new(addr: u32, code: &[u8]) -> Result<Self, MachineError> {
        Self::with_memory(MEMORY, &[(addr, code)])
    }

    /// A machine with `memory` bytes and pieces of code at their addresses.
    pub fn with_memory(memory: u32, code: &[(u32, &[u8])]) -> Result<Self, MachineError> {
        let mut core = Core::new(memory, 0, BRANCH_REFILL);
        for &(addr, bytes) in code {
            core.sram
                .get_mut(addr, bytes.len())
                .ok_or(MachineError::OutsideMemory {
                    addr,
                    len: bytes.len(),
                    memory,
                })?
                .copy_from_slice(bytes);
        }
        let bytes = CodeBytes::new(code.iter().copied());
        core.sram.protect(&bytes);
        core.scs.cpacr = 0xf0_0000;
        core.r[13] = memory & !7;
        core.return_address = Some(RETURN);
        Ok(Self {
            core,
            single_step: Arc::new(Code::with_limits(bytes.clone(), 1, None)),
            code: Arc::new(Code::new(bytes)),
        })
    }

    /// Calls the function at `addr` (with or without Thumb bit): runs until it returns.
    ///
    /// Registers are as the caller set them, except LR. Breakpoints (BKPT) are faults.
    pub fn call(&mut self, addr: u32, limit_cycles: u64) -> Result<Ran, MachineError> {
        self.core.r[14] = RETURN | 1;
        self.start_at(addr);
        self.go(&Arc::clone(&self.code), limit_cycles)
    }

    /// Runs from `addr` until the instruction at `stop` is next (and LR is left alone), or until a return to the caller of [`Machine::call`].
    pub fn run_until(
        &mut self,
        addr: u32,
        stop: u32,
        limit_cycles: u64,
    ) -> Result<Ran, MachineError> {
        let bytes = self.code.bytes().clone();
        let code = Code::with_limits(bytes, u32::from(u8::MAX), Some(stop & !1));
        self.start_at(addr);
        self.go(&code, limit_cycles)
    }

    /// Sets the address of the next instruction for [`Machine::step`].
    pub fn start_at(&mut self, addr: u32) {
        (self.core.pc, self.core.resume) = (addr & !1, 0);
    }

    /// Executes one instruction; an IT block with its instructions counts as one. True if it returned to the caller of [`Machine::call`].
    pub fn step(&mut self) -> Result<bool, MachineError> {
        match self.go(&Arc::clone(&self.single_step), 1) {
            Ok(_) => Ok(true),
            Err(MachineError::Limit { .. }) => Ok(self.core.pc == RETURN),
            Err(error) => Err(error),
        }
    }

    fn go(&mut self, code: &Code, limit_cycles: u64) -> Result<Ran, MachineError> {
        let (cycles, instructions) = (self.core.now, self.core.instructions);
        let end = cycles.saturating_add(limit_cycles);
        loop {
            self.core.limit = end;
            match self.core.run(code, &mut NoDevices) {
                Exit::Halt => break,
                Exit::Limit if self.core.now >= end && self.core.pc != RETURN => {
                    return Err(MachineError::Limit {
                        limit: limit_cycles,
                        pc: self.core.pc,
                    });
                }
                Exit::Limit if self.core.now >= end => break,
                Exit::Limit => {}
                Exit::Sleep(_) => return Err(MachineError::Asleep { pc: self.core.pc }),
                Exit::Sync | Exit::Fetch { .. } => {
                    let pc = self.core.pc;
                    return Err(self.fault(FaultKind::UnmappedLoad, pc, None));
                }
                Exit::Fault { kind, pc, address } => return Err(self.fault(kind, pc, address)),
            }
        }
        Ok(Ran {
            instructions: self.core.instructions - instructions,
            cycles: self.core.now - cycles,
        })
    }

    fn fault(&self, kind: FaultKind, pc: u32, address: Option<u32>) -> MachineError {
        Fault {
            pe: 0,
            pc,
            cycle: self.core.now,
            kind,
            address,
            symbol: None,
        }
        .into()
    }

    /// Core register 0 to 14; other numbers read 0.
    pub fn r(&self, n: usize) -> u32 {
        if n < 15 { self.core.r[n] } else { 0 }
    }

    /// Sets core register 0 to 14; other numbers do nothing.
    pub fn set_r(&mut self, n: usize, value: u32) {
        if n < 15 {
            self.core.r[n] = value;
        }
    }

    /// Bits of single-precision register 0 to 31; other numbers read 0.
    pub fn s(&self, n: usize) -> u32 {
        self.core.s.get(n).copied().unwrap_or(0)
    }

    /// Sets the bits of single-precision register 0 to 31; other numbers do nothing.
    pub fn set_s(&mut self, n: usize, bits: u32) {
        if let Some(s) = self.core.s.get_mut(n) {
            *s = bits;
        }
    }

    /// Address of the next instruction (after a limit, a stop or a fault).
    pub fn pc(&self) -> u32 {
        self.core.pc
    }

    /// N, Z, C, V and Q in bits 31 to 27, as in APSR.
    pub fn apsr(&self) -> u32 {
        self.core.flags.bits() | u32::from(self.core.q) << 27
    }

    /// Sets N, Z, C, V and Q.
    pub fn set_apsr(&mut self, value: u32) {
        self.core.flags = Flags::from_bits(value);
        self.core.q = value & 0x0800_0000 != 0;
    }

    /// FPSCR: its flags.
    pub fn fpscr(&self) -> u32 {
        self.core.fpscr
    }

    /// Sets the flags of FPSCR.
    pub fn set_fpscr(&mut self, value: u32) {
        self.core.fpscr = value & 0xf000_0000;
    }

    /// Lets floating-point instructions execute (as it is at first) or fault.
    pub fn set_fpu_enabled(&mut self, enabled: bool) {
        self.core.scs.cpacr = if enabled { 0xf0_0000 } else { 0 };
    }

    /// Bytes of memory.
    pub fn read(&self, addr: u32, len: usize) -> Result<&[u8], MachineError> {
        let memory = self.core.sram.len();
        self.core
            .sram
            .get(addr, len)
            .ok_or(MachineError::OutsideMemory { addr, len, memory })
    }

    /// A little-endian word of memory.
    pub fn read_u32(&self, addr: u32) -> Result<u32, MachineError> {
        let bytes = self.read(addr, 4)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte)))
    }

    /// Writes memory. Bytes of code do not change what is executed: make a new machine for that.
    pub fn write(&mut self, addr: u32, bytes: &[u8]) -> Result<(), MachineError> {
        let memory = self.core.sram.len();
        let to = self.core.sram.get_mut(addr, bytes.len());
        to.ok_or(MachineError::OutsideMemory {
            addr,
            len: bytes.len(),
            memory,
        })?
        .copy_from_slice(bytes);
        Ok(())
    }
}

/// Nothing but the SRAM and the system control space.
struct NoDevices;

impl Bus for NoDevices {
    fn load(&mut self, _: &mut Sram, _: u64, addr: u32, _: &mut [u8]) -> Result<u64, Stop> {
        Err(Stop::Fault(FaultKind::UnmappedLoad, Some(addr)))
    }

    fn store(&mut self, _: &mut Sram, _: u64, addr: u32, _: &[u8]) -> Result<u64, Stop> {
        Err(Stop::Fault(FaultKind::UnmappedStore, Some(addr)))
    }

    fn lines(&mut self, _: &mut Sram, _: u64) -> Result<u64, Stop> {
        Ok(0)
    }

    fn limit(&self) -> u64 {
        u64::MAX
    }
}

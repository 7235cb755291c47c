//! What can stop a program: every way is a typed fault, none is a panic.

use std::fmt;

/// A program did something the chip, or this emulator's model of it, does not allow.
///
/// The processing element (PE) that faulted is left as it was before the instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// Index of the PE, 0-based, in the order of the configuration.
    pub pe: usize,
    /// Address of the faulting instruction.
    pub pc: u32,
    /// The PE's clock when it happened.
    pub cycle: u64,
    /// What went wrong.
    pub kind: FaultKind,
    /// The data or branch address involved, where there is one.
    pub address: Option<u32>,
    /// The symbol (and offset) that holds `pc`, where the image has one.
    pub symbol: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PE {} at pc {:#010x}", self.pe, self.pc)?;
        if let Some(symbol) = &self.symbol {
            write!(f, " ({symbol})")?;
        }
        write!(f, ", cycle {}: {}", self.cycle, self.kind)?;
        if let Some(address) = self.address {
            write!(f, ", address {address:#010x}")?;
        }
        Ok(())
    }
}

/// The kinds of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The bytes are no instruction of this processor, or one whose effect the architecture leaves open.
    #[error("undefined instruction {first:#06x} {second:#06x}")]
    Undefined {
        /// First halfword.
        first: u16,
        /// Second halfword; 0 for a 16-bit instruction.
        second: u16,
    },
    /// An instruction of the processor's DSP extension that this emulator does not execute.
    #[error("instruction {first:#06x} {second:#06x} is not modelled")]
    UnsupportedInstruction {
        /// First halfword.
        first: u16,
        /// Second halfword.
        second: u16,
    },
    /// A real feature of the architecture or the chip that this emulator does not model.
    #[error("not modelled: {0}")]
    Unsupported(&'static str),
    /// Fetch from an address no code was loaded at.
    #[error("execution outside the loaded code")]
    ExecuteOutsideCode,
    /// Branch to an address with the Thumb bit clear.
    #[error("branch to an address without the Thumb bit")]
    InvalidState,
    /// Load from an address where there is nothing.
    #[error("load from an unmapped address")]
    UnmappedLoad,
    /// Store to an address where there is nothing.
    #[error("store to an unmapped address")]
    UnmappedStore,
    /// Access that has to be aligned and is not.
    #[error("unaligned access")]
    Unaligned,
    /// Store into bytes that were loaded as code.
    #[error("store into code")]
    StoreToCode,
    /// A store of another PE, or a packet on its way into a FIFO's ring, hit code or an address outside the SRAM.
    /// The PE is the one it arrived at.
    #[error("a remote store or an arriving packet hit code or left the SRAM")]
    BadArrival,
    /// Access to a register of a device in a way it does not have.
    #[error("device register accessed with the wrong size")]
    RegisterSize,
    /// A device register does not accept this value in the model.
    #[error("value {value:#010x} is not modelled for this device register")]
    RegisterValue {
        /// The value written.
        value: u32,
    },
    /// A packet was sent to mesh coordinates without PEs or router.
    #[error("packet sent to ({x}, {y}), where there are no PEs and no router")]
    NoDestination {
        /// Column.
        x: u8,
        /// Row.
        y: u8,
    },
    /// Floating-point instruction while CPACR denies access to the FPU.
    #[error("floating-point instruction while the FPU is disabled")]
    FpDisabled,
    /// FPSCR was set to a rounding mode, flush-to-zero, default-NaN or alternative half precision.
    #[error("FPSCR {fpscr:#010x} asks for a floating-point mode that is not modelled")]
    FpMode {
        /// The value written.
        fpscr: u32,
    },
    /// Division by zero while CCR.DIV_0_TRP is set.
    #[error("division by zero with the trap enabled")]
    DivideByZero,
    /// BKPT.
    #[error("breakpoint {0}")]
    Breakpoint(u8),
    /// SVC at a priority that cannot take it.
    #[error("supervisor call at a priority that cannot take it")]
    SupervisorCall,
    /// EXC_RETURN value that does not fit the processor's state.
    #[error("bad exception return {0:#010x}")]
    ExceptionReturn(u32),
    /// Exception stacking left the SRAM.
    #[error("exception frame outside the SRAM")]
    Stacking,
}

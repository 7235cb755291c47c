//! What the firmware has to know of the chip, taken from the target description.

use crate::target::Target;

/// One of the rings that the communication controller fills. Registers are offsets from the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fifo {
    pub(super) start: i32,
    pub(super) end: i32,
    pub(super) read: i32,
    pub(super) write: i32,
    /// Words in the ring.
    pub(super) occupancy: i32,
    /// Register and value that switch it on.
    pub(super) control: (i32, u32),
    /// Register and value that choose its packets.
    pub(super) filter: (i32, u32),
    /// Interrupt while it is not empty.
    interrupt: u32,
}

/// What the firmware has to know of the chip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hardware {
    /// Bytes of SRAM.
    pub(super) sram: u32,
    /// Bytes for vectors and code.
    pub(super) code: u32,
    /// Address of the coprocessor access control register.
    pub(super) cpacr: u32,
    /// Address of the first interrupt-enable register.
    pub(super) nvic_enable: u32,
    /// Address of the first clear-pending register.
    pub(super) nvic_clear: u32,
    /// Address of the communication controller; its registers follow as offsets.
    pub(super) comms: u32,
    pub(super) tcr: i32,
    pub(super) tdr: i32,
    pub(super) tkr: i32,
    pub(super) tctl: i32,
    /// What `tctl` starts with.
    pub(super) tctl_start: u32,
    /// Bits of `tctl` that say ready.
    pub(super) tctl_ready: u32,
    /// `tcr` for packets to the router.
    pub(super) tcr_plain: u32,
    pub(super) tcr_payload: u32,
    /// Register and value that start reception.
    pub(super) rctl: (i32, u32),
    /// Register and bits that let write pointers be set.
    pub(super) gctl: (i32, u32),
    /// Without and with payload.
    pub(super) fifos: [Fifo; 2],
}

/// Offsets in the processor's own registers, which the architecture fixes.
const NVIC_ISER: u32 = 0x100;
const NVIC_ICPR: u32 = 0x280;
const CPACR: u32 = 0xD88;

impl Hardware {
    pub(super) fn new(target: &Target) -> Self {
        let comms = &target.comms;
        let fifo = |number, filter, interrupt| fifo(target, number, filter, interrupt);
        let scs = target.memory.system_control.base;
        Self {
            sram: target.memory.sram.size,
            code: target.pe.code_limit,
            cpacr: scs + CPACR,
            nvic_enable: scs + NVIC_ISER,
            nvic_clear: scs + NVIC_ICPR,
            comms: target.memory.comms.base,
            tcr: comms.tcr.cast_signed(),
            tdr: comms.tdr0.cast_signed(),
            tkr: comms.tkr.cast_signed(),
            tctl: comms.tctl.cast_signed(),
            tctl_start: comms.tctl_init,
            tctl_ready: 1 << comms.tctl_ready_bit,
            tcr_plain: target.tcr_word(target.router.position, 0, false),
            tcr_payload: target.tcr_word(target.router.position, 0, true),
            rctl: (comms.rctl.cast_signed(), comms.rctl_init),
            gctl: (comms.gctl.cast_signed(), 1 << comms.gctl_pointer_bit),
            fifos: [
                fifo(0, target.fifo.filter_plain, target.irq.fifo0_not_empty),
                fifo(1, target.fifo.filter_payload, target.irq.fifo1_not_empty),
            ],
        }
    }

    /// One bit for each interrupt that wakes.
    pub(super) fn interrupts(&self) -> u32 {
        self.fifos
            .iter()
            .fold(0, |bits, fifo| bits | 1 << fifo.interrupt)
    }
}

fn fifo(target: &Target, number: u32, filter: u32, interrupt: u32) -> Fifo {
    let base = target.memory.comms.base;
    let register = |offset| (target.fifo_register(number, offset) - base).cast_signed();
    Fifo {
        start: register(target.fifo.start),
        end: register(target.fifo.end),
        read: register(target.fifo.read),
        write: register(target.fifo.write),
        occupancy: register(target.fifo.occupancy),
        control: (register(target.fifo.control), target.fifo.control_on),
        filter: (register(target.fifo.filter), filter),
        interrupt,
    }
}

//! The communication controller of a PE: sends packets, and writes those that arrive into rings in SRAM.

use crate::config::{COMMS_BLOCK, CommsConfig};
use crate::core::Sram;
use crate::fault::FaultKind;

/// A packet to be sent, as the transmit registers have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Launch {
    pub(crate) key: u32,
    pub(crate) payload: Option<u32>,
    pub(crate) x: u8,
    pub(crate) y: u8,
    /// PEs of the destination quad, bit `i` for PE `i`.
    pub(crate) pes: u8,
}

/// Registers of the controller.
#[derive(Debug, Clone)]
pub(crate) struct Comms {
    tcr: u32,
    tdr: u32,
    tkr: u32,
    tctl: u32,
    rctl: u32,
    gctl: u32,
    id: u32,
    pub(crate) fifos: [Fifo; 2],
    /// Packets no FIFO took.
    pub(crate) unclaimed: u64,
    pub(crate) received: u64,
}

/// An event FIFO: a ring of words in SRAM.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fifo {
    filter: u32,
    start: u32,
    end: u32,
    read: u32,
    write: u32,
    words: u32,
    control: u32,
    pub(crate) max_words: u32,
    drops: u32,
    /// Drops since the PE was started, whatever software does to the register.
    pub(crate) total_drops: u64,
}

/// Registers of a FIFO.
#[derive(Debug, Clone, Copy)]
enum FifoRegister {
    Filter,
    Start,
    End,
    Read,
    Write,
    Occupancy,
    MaxOccupancy,
    Drops,
    Control,
}

/// Registers of the controller.
#[derive(Debug, Clone, Copy)]
enum Register {
    TransmitControl,
    TransmitData,
    TransmitKey,
    TransmitStatus,
    ReceiveControl,
    GlobalControl,
    Id,
    Fifo(u8, FifoRegister),
}

/// Which register lies at which offset: a table, as firmware asks the controller all the time.
#[derive(Debug)]
pub(crate) struct RegisterMap([Option<Register>; (COMMS_BLOCK / 4) as usize]);

impl RegisterMap {
    pub(crate) fn new(config: &CommsConfig) -> Self {
        let mut map = Self([None; (COMMS_BLOCK / 4) as usize]);
        for (offset, register) in [
            (config.tcr, Register::TransmitControl),
            (config.tdr, Register::TransmitData),
            (config.rctl, Register::ReceiveControl),
            (config.id, Register::Id),
            (config.gctl, Register::GlobalControl),
            (config.tctl, Register::TransmitStatus),
            (config.tkr, Register::TransmitKey),
        ] {
            map.put(offset, register);
        }
        let offsets = &config.fifo;
        for (fifo, &base) in (0..).zip(&config.fifos) {
            for (offset, register) in [
                (offsets.filter, FifoRegister::Filter),
                (offsets.start, FifoRegister::Start),
                (offsets.end, FifoRegister::End),
                (offsets.read, FifoRegister::Read),
                (offsets.write, FifoRegister::Write),
                (offsets.occupancy, FifoRegister::Occupancy),
                (offsets.max_occupancy, FifoRegister::MaxOccupancy),
                (offsets.drops, FifoRegister::Drops),
                (offsets.control, FifoRegister::Control),
            ] {
                map.put(base + offset, Register::Fifo(fifo, register));
            }
        }
        map
    }

    fn put(&mut self, offset: u32, register: Register) {
        if let Some(slot) = self.0.get_mut((offset / 4) as usize) {
            *slot = Some(register);
        }
    }

    /// The register at a word's offset.
    fn at(&self, offset: u32) -> Result<Register, FaultKind> {
        let slot = self.0.get((offset / 4) as usize).copied().flatten();
        slot.ok_or(FaultKind::Unsupported(
            "this register of the communication controller",
        ))
    }

    /// Whether what a register says depends on what arrives; otherwise it is the PE's own.
    pub(crate) fn depends_on_arrivals(&self, offset: u32) -> bool {
        matches!(self.at(offset), Ok(Register::Fifo(..)))
    }
}

impl Comms {
    pub(crate) fn new(chip_id: u16, pe_id: u8) -> Self {
        Self {
            tcr: 0,
            tdr: 0,
            tkr: 0,
            tctl: 0,
            rctl: 0,
            gctl: 0,
            id: u32::from(chip_id) << 16 | u32::from(pe_id),
            fifos: Default::default(),
            unclaimed: 0,
            received: 0,
        }
    }

    pub(crate) fn load(
        &self,
        config: &CommsConfig,
        map: &RegisterMap,
        offset: u32,
    ) -> Result<u32, FaultKind> {
        Ok(match map.at(offset)? {
            Register::Fifo(fifo, register) => self.fifos[usize::from(fifo & 1)].load(register),
            Register::TransmitControl => self.tcr,
            Register::TransmitData => self.tdr,
            Register::TransmitKey => self.tkr,
            // The model's network always has room.
            Register::TransmitStatus => self.tctl | config.tctl_ready,
            Register::ReceiveControl => self.rctl,
            Register::GlobalControl => self.gctl,
            Register::Id => self.id,
        })
    }

    /// Writes a register; a packet, if that sends one.
    pub(crate) fn store(
        &mut self,
        config: &CommsConfig,
        map: &RegisterMap,
        offset: u32,
        value: u32,
    ) -> Result<Option<Launch>, FaultKind> {
        match map.at(offset)? {
            Register::Fifo(fifo, register) => {
                self.fifos[usize::from(fifo & 1)].store(config, register, value)?;
            }
            Register::TransmitControl => self.tcr = value,
            Register::TransmitData => self.tdr = value,
            Register::TransmitStatus => self.tctl = value & !config.tctl_ready,
            Register::ReceiveControl => self.rctl = value,
            Register::GlobalControl => self.gctl = value,
            Register::TransmitKey => {
                self.tkr = value;
                return self.launch(config, value).map(Some);
            }
            Register::Id => {
                return Err(FaultKind::Unsupported("writing the controller's identity"));
            }
        }
        Ok(None)
    }

    fn launch(&self, config: &CommsConfig, key: u32) -> Result<Launch, FaultKind> {
        let tcr = self.tcr;
        if tcr >> 14 & 7 != config.tcr_spike_type || tcr >> 8 & 7 != config.tcr_no_route {
            return Err(FaultKind::RegisterValue { value: tcr });
        }
        let payload = (tcr >> config.tcr_payload_bit & 1 != 0).then_some(self.tdr);
        // In the register the most significant of the four bits is PE 0.
        let pes = ((tcr >> 18 & 15) as u8).reverse_bits() >> 4;
        Ok(Launch {
            key,
            payload,
            x: (tcr >> 26 & 7) as u8,
            y: (tcr >> 23 & 7) as u8,
            pes,
        })
    }

    /// Puts a packet into the first FIFO that takes its kind.
    pub(crate) fn arrive(
        &mut self,
        config: &CommsConfig,
        sram: &mut Sram,
        key: u32,
        payload: Option<u32>,
    ) -> Result<(), (FaultKind, u32)> {
        self.received += 1;
        let filter = if payload.is_some() {
            config.filter_payload
        } else {
            config.filter_plain
        };
        let takes =
            |fifo: &&mut Fifo| fifo.control & config.fifo_enable != 0 && fifo.filter == filter;
        match self.fifos.iter_mut().find(takes) {
            Some(fifo) => fifo.push(sram, key, payload),
            None => {
                self.unclaimed += 1;
                Ok(())
            }
        }
    }

    /// Interrupt lines of the FIFOs.
    pub(crate) fn lines(&self, config: &CommsConfig) -> u64 {
        let mut lines = 0;
        for (i, fifo) in self.fifos.iter().enumerate() {
            if fifo.words > 0 {
                lines |= 1 << config.irq_not_empty[i];
            }
            if fifo.control & config.fifo_enable != 0 && fifo.is_full(config) {
                lines |= 1 << config.irq_full[i];
            }
        }
        lines
    }
}

impl Fifo {
    fn capacity(&self) -> u32 {
        self.end.saturating_sub(self.start) / 4
    }

    fn is_full(&self, config: &CommsConfig) -> bool {
        let entry = if self.filter == config.filter_payload {
            2
        } else {
            1
        };
        self.words + entry > self.capacity()
    }

    fn push(
        &mut self,
        sram: &mut Sram,
        key: u32,
        payload: Option<u32>,
    ) -> Result<(), (FaultKind, u32)> {
        let count = 1 + u32::from(payload.is_some());
        if self.words + count > self.capacity() {
            self.drops = self.drops.saturating_add(1);
            self.total_drops += 1;
            return Ok(());
        }
        for word in [Some(key), payload].into_iter().flatten() {
            let to = sram.data_mut(self.write, 4);
            to.ok_or((FaultKind::BadArrival, self.write))?
                .copy_from_slice(&word.to_le_bytes());
            self.write = self.write.wrapping_add(4);
            if self.write >= self.end {
                self.write = self.start;
            }
        }
        self.words += count;
        self.max_words = self.max_words.max(self.words);
        Ok(())
    }

    /// Occupancy from the pointers: equal pointers mean empty, as only arrivals can fill the ring.
    fn recount(&mut self) {
        let capacity = self.capacity();
        let inside = |p: u32| (self.start..self.end).contains(&p) && p & 3 == 0;
        self.words = if capacity == 0 || !inside(self.read) || !inside(self.write) {
            0
        } else {
            ((self.write.wrapping_sub(self.start) / 4) + capacity - (self.read - self.start) / 4)
                % capacity
        };
    }

    fn load(&self, register: FifoRegister) -> u32 {
        match register {
            FifoRegister::Filter => self.filter,
            FifoRegister::Start => self.start,
            FifoRegister::End => self.end,
            FifoRegister::Read => self.read,
            FifoRegister::Write => self.write,
            FifoRegister::Occupancy => self.words,
            FifoRegister::MaxOccupancy => self.max_words,
            FifoRegister::Drops => self.drops,
            FifoRegister::Control => self.control,
        }
    }

    fn store(
        &mut self,
        config: &CommsConfig,
        register: FifoRegister,
        value: u32,
    ) -> Result<(), FaultKind> {
        let address = || {
            if value & 3 == 0 {
                Ok(value)
            } else {
                Err(FaultKind::RegisterValue { value })
            }
        };
        match register {
            FifoRegister::Filter => {
                if value != 0 && value != config.filter_plain && value != config.filter_payload {
                    return Err(FaultKind::RegisterValue { value });
                }
                self.filter = value;
            }
            FifoRegister::Start => self.start = address()?,
            FifoRegister::End => self.end = address()?,
            FifoRegister::Read => {
                self.read = address()?;
                self.recount();
            }
            FifoRegister::Write => {
                self.write = address()?;
                self.recount();
            }
            FifoRegister::MaxOccupancy => self.max_words = value,
            FifoRegister::Drops => self.drops = value,
            FifoRegister::Control => self.control = value,
            FifoRegister::Occupancy => {
                return Err(FaultKind::Unsupported("writing a FIFO's occupancy"));
            }
        }
        Ok(())
    }
}

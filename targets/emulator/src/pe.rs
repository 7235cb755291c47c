//! A processing element: a core, its devices, and whether it runs, sleeps or waits.

use std::sync::Arc;

use crate::core::{Bus, Code, CodeBytes, Core, Exit, SleepKind, Stop};
use crate::devices::{Devices, Environment};
use crate::fault::{Fault, FaultKind};
use crate::symbols::SymbolTable;

/// What a PE does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not started.
    Off,
    Running,
    /// In WFI or WFE; `fresh` until it has been checked for what was pending already.
    Asleep {
        kind: SleepKind,
        fresh: bool,
    },
    /// A load waits for bytes of another PE.
    Fetching {
        addr: u32,
        len: u32,
    },
    Faulted,
}

/// What a PE did since it was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Instructions executed; those an IT block leaves out count too.
    pub instructions: u64,
    /// The PE's clock, less its clock when it was started.
    pub cycles: u64,
    /// Of these, asleep. A PE that sleeps now is counted up to where it fell asleep.
    pub sleep_cycles: u64,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Packets launched.
    pub packets_sent: u64,
    /// Packets that arrived.
    pub packets_received: u64,
    /// Packets that arrived while their FIFO was full.
    pub fifo_drops: [u64; 2],
    /// The most words in each FIFO.
    pub fifo_high_water: [u32; 2],
    /// Packets no FIFO took.
    pub unclaimed: u64,
    /// Loads from other PEs' memory.
    pub remote_loads: u64,
    /// Stores to other PEs' memory.
    pub remote_stores: u64,
}

/// A processing element.
#[derive(Debug)]
pub(crate) struct Pe {
    index: usize,
    pub(crate) core: Core,
    pub(crate) code: Arc<Code>,
    pub(crate) devices: Devices,
    state: State,
    symbols: Arc<SymbolTable>,
    started_at: u64,
    sleep_cycles: u64,
    interrupts: u64,
}

impl Pe {
    pub(crate) fn new(env: &Arc<Environment>, index: usize) -> Self {
        let config = &env.config;
        Self {
            index,
            core: Core::new(
                config.sram_bytes,
                config.interrupt_lines,
                config.branch_refill,
            ),
            code: Arc::new(Code::new(CodeBytes::new([]))),
            devices: Devices::new(env, index),
            state: State::Off,
            symbols: Arc::default(),
            started_at: 0,
            sleep_cycles: 0,
            interrupts: 0,
        }
    }

    /// Makes code executable; its bytes must be in the SRAM already.
    pub(crate) fn set_code(&mut self, code: Arc<Code>) {
        self.core.sram.protect(code.bytes());
        self.code = code;
    }

    pub(crate) fn set_symbols(&mut self, symbols: Arc<SymbolTable>) {
        self.symbols = symbols;
    }

    /// Starts from the vector table at a clock, with fresh devices and counters.
    pub(crate) fn start(&mut self, env: &Arc<Environment>, now: u64) -> Result<(), Fault> {
        self.devices = Devices::new(env, self.index);
        (self.core.now, self.core.instructions) = (now, 0);
        (self.started_at, self.sleep_cycles, self.interrupts) = (now, 0, 0);
        if let Err(stop) = self.core.reset(env.config.interrupt_lines) {
            self.state = State::Off;
            return Err(self.fault_of(stop));
        }
        self.state = State::Running;
        Ok(())
    }

    pub(crate) fn stop(&mut self) {
        self.state = State::Off;
    }

    pub(crate) fn counters(&self) -> Counters {
        let (devices, comms) = (&self.devices, &self.devices.comms);
        Counters {
            instructions: self.core.instructions,
            cycles: self.core.now - self.started_at,
            sleep_cycles: self.sleep_cycles,
            interrupts: self.interrupts,
            packets_sent: devices.packets_sent,
            packets_received: comms.received,
            fifo_drops: comms.fifos.each_ref().map(|f| f.total_drops),
            fifo_high_water: comms.fifos.each_ref().map(|f| f.max_words),
            unclaimed: comms.unclaimed,
            remote_loads: devices.remote_loads,
            remote_stores: devices.remote_stores,
        }
    }

    /// The clock at which this PE next does something; `None` if never, unless something arrives.
    pub(crate) fn next_time(&self) -> Option<u64> {
        match self.state {
            State::Off | State::Faulted => self.devices.next_arrival(),
            State::Running | State::Fetching { .. } | State::Asleep { fresh: true, .. } => {
                Some(self.core.now)
            }
            State::Asleep { fresh: false, .. } => {
                self.devices.next_event().map(|t| t.max(self.core.now))
            }
        }
    }

    /// The PE and address a waiting load needs, with its length.
    pub(crate) fn wants(&self) -> Option<(usize, u32, u32)> {
        let State::Fetching { addr, len } = self.state else {
            return None;
        };
        self.devices
            .fetch_source(addr, len)
            .map(|(pe, offset)| (pe, offset, len))
    }

    /// Gives the waiting load its bytes.
    pub(crate) fn bring(&mut self, bytes: [u8; 128]) {
        if let State::Fetching { addr, len } = self.state {
            self.devices.brought = Some(crate::devices::Brought { addr, len, bytes });
            self.state = State::Running;
        }
    }

    /// Bytes of its SRAM for another PE's load at a clock.
    pub(crate) fn lend(&mut self, at: u64, offset: u32, len: u32) -> Result<[u8; 128], Fault> {
        let applied = self.devices.apply(&mut self.core.sram, at);
        applied.map_err(|stop| self.fault_of(stop))?;
        let mut bytes = [0; 128];
        let len = (len as usize).min(bytes.len());
        if let Some(from) = self.core.sram.get(offset, len) {
            bytes[..len].copy_from_slice(from);
        }
        Ok(bytes)
    }

    /// Runs until the quantum's end, or until it has to wait for others: everything that arrives before `horizon` is in the inbox.
    pub(crate) fn run(&mut self, horizon: u64, end: u64) -> Result<(), Fault> {
        self.devices.end = end;
        self.devices.horizon = horizon.min(end);
        let result = self.catch_up().and_then(|()| self.run_slice());
        result.map_err(|stop| self.fault_of(stop))
    }

    /// Applies what has arrived, for programs that look at memory without asking the controller.
    fn catch_up(&mut self) -> Result<(), Stop> {
        if self.core.now >= self.devices.horizon {
            return Ok(());
        }
        self.devices.apply(&mut self.core.sram, self.core.now)
    }

    fn run_slice(&mut self) -> Result<(), Stop> {
        loop {
            match self.state {
                State::Fetching { .. } => return Ok(()),
                // Its memory can still be written, by others.
                State::Off | State::Faulted => {
                    let Some(at) = self.next_time().filter(|&t| t < self.devices.horizon) else {
                        return Ok(());
                    };
                    self.devices.apply(&mut self.core.sram, at)?;
                }
                State::Asleep { kind, .. } => {
                    let Some(at) = self.next_time().filter(|&t| t < self.devices.horizon) else {
                        return Ok(());
                    };
                    self.check_wake(kind, at)?;
                }
                State::Running => {
                    if self.core.now >= self.devices.end || !self.take_interrupts()? {
                        return Ok(());
                    }
                    self.set_limit();
                    if self.execute()? {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn check_wake(&mut self, kind: SleepKind, at: u64) -> Result<(), Stop> {
        let lines = self.devices.lines(&mut self.core.sram, at)?;
        let scs = &self.core.scs;
        let wakes = match kind {
            SleepKind::Interrupt => scs.wakes(lines),
            SleepKind::Event => scs.wakes_event(lines),
        };
        if wakes {
            self.sleep_cycles += at - self.core.now;
            self.core.now = at;
            self.state = State::Running;
        } else {
            self.state = State::Asleep { kind, fresh: false };
        }
        Ok(())
    }

    /// Takes a pending interrupt; false if it is too early to know.
    fn take_interrupts(&mut self) -> Result<bool, Stop> {
        if self.core.resume != 0 || !self.core.scs.can_be_preempted() {
            return Ok(true);
        }
        match self.devices.lines(&mut self.core.sram, self.core.now) {
            Ok(lines) => {
                self.interrupts += u64::from(self.core.take_interrupt(lines)?);
                Ok(true)
            }
            Err(Stop::Sync) => Ok(false),
            Err(stop) => Err(stop),
        }
    }

    /// How far the core may run: a PE that nothing can interrupt, to the end of the quantum.
    fn set_limit(&mut self) {
        let devices = &mut self.devices;
        devices.interruptible = self.core.scs.can_be_preempted();
        let mut limit = devices.end;
        if devices.interruptible {
            limit = limit
                .min(devices.horizon)
                .min(devices.next_event().unwrap_or(u64::MAX));
            // In the middle of a block no interrupt can be taken: finish it first.
            limit = limit.max(self.core.now + 1);
        }
        devices.limit = limit;
        self.core.limit = limit;
    }

    /// Lets the core run; true if it has to wait for something.
    fn execute(&mut self) -> Result<bool, Stop> {
        match self.core.run(&self.code, &mut self.devices) {
            Exit::Limit => Ok(false),
            Exit::Sync => Ok(true),
            Exit::Fetch { addr, len } => {
                self.state = State::Fetching { addr, len };
                Ok(true)
            }
            Exit::Sleep(SleepKind::Event) if self.core.scs.event => {
                self.core.scs.event = false;
                Ok(false)
            }
            Exit::Sleep(kind) => {
                self.state = State::Asleep { kind, fresh: true };
                Ok(false)
            }
            Exit::Halt => Err(Stop::Fault(FaultKind::Unsupported("halt"), None)),
            Exit::Fault { kind, address, .. } => Err(Stop::Fault(kind, address)),
        }
    }

    fn fault_of(&mut self, stop: Stop) -> Fault {
        self.state = State::Faulted;
        let (kind, address) = match stop {
            Stop::Fault(kind, address) => (kind, address),
            Stop::Sync | Stop::Fetch { .. } => {
                (FaultKind::Unsupported("waiting in this state"), None)
            }
        };
        let pc = self.core.pc;
        Fault {
            pe: self.index,
            pc,
            cycle: self.core.now,
            kind,
            address,
            symbol: self.symbols.describe(pc),
        }
    }
}

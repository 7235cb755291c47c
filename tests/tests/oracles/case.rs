//! States to call handlers on.

use nirc_ir::entity::Entity;
use nirc_ir::event::{ArrayKind, HandlerKind, Process};
use nirc_spinnaker2::abi::tape;

use crate::bench::{Bench, CONTROLLER, Entry, REPLICA};
use crate::numbers::Numbers;

/// A call of a handler.
pub(crate) struct Case {
    /// Its address.
    pub(crate) entry: u32,
    /// What is in r0.
    pub(crate) argument: u32,
    /// What is in the windows of the bench.
    pub(crate) state: Vec<u8>,
}

/// What a call left behind.
pub(crate) struct Outcome {
    /// What is in the windows of the bench.
    pub(crate) state: Vec<u8>,
    /// What is in s0: what a handler sends, or anything.
    pub(crate) sent: u32,
}

impl Outcome {
    pub(crate) fn words(&self) -> impl Iterator<Item = u32> + '_ {
        let words = self.state.chunks_exact(4);
        words.map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    }
}

/// Where the floats of a state come from.
#[derive(Clone, Copy)]
enum Mood {
    /// Values as they are in training, some voltages above the threshold.
    Tame,
    /// Zeros, and values so large that most neurons fire.
    Loud,
    /// Everything a float can be.
    Wild,
}

impl Mood {
    /// Most of a handler's cases are tame.
    fn of(number: usize) -> Self {
        match number % 10 {
            0..6 => Self::Tame,
            6..8 => Self::Loud,
            _ => Self::Wild,
        }
    }

    fn float(self, numbers: &mut Numbers) -> u32 {
        match self {
            Self::Tame => (0.4 + numbers.unit()).to_bits(),
            Self::Loud if numbers.below(8) == 0 => 0,
            Self::Loud => (1.0 + 40.0 * numbers.unit()).to_bits(),
            Self::Wild => wild(numbers),
        }
    }
}

fn wild(numbers: &mut Numbers) -> u32 {
    let sign = numbers.bits() & 0x8000_0000;
    let fraction = numbers.bits() & 0x007F_FFFF;
    match numbers.below(16) {
        0 => sign,
        1 => sign | fraction, // denormal
        2 => sign | f32::INFINITY.to_bits(),
        3 => sign | 0x7FC0_0000 | fraction, // quiet, with payload
        4 => sign | 0x7F80_0001 | fraction & 0x003F_FFFF, // signalling
        5 => sign | f32::MAX.to_bits(),
        6 => sign | 0x0080_0000 | fraction, // hardly normal
        7 => sign | 1.0_f32.to_bits(),
        8..12 => numbers.bits(),
        _ => (0.4 + numbers.unit()).to_bits(),
    }
}

/// The windows of a bench, while they are being filled.
struct State<'a> {
    bench: &'a Bench,
    bytes: Vec<u8>,
}

impl State<'_> {
    fn put(&mut self, addr: u32, word: u32) {
        let mut start = 0;
        for window in self.bench.windows {
            if (window.addr..window.addr + window.len).contains(&addr) {
                let at = start + (addr - window.addr) as usize;
                self.bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
                return;
            }
            start += window.len as usize;
        }
        panic!("{addr:#x} is in no window");
    }

    fn addr(&self, symbol: &str) -> u32 {
        let found = self.bench.firmware.symbol(symbol);
        found.unwrap_or_else(|| panic!("no symbol `{symbol}`")).0
    }

    fn put_at(&mut self, symbol: &str, index: u32, word: u32) {
        let addr = self.addr(symbol) + 4 * index;
        self.put(addr, word);
    }

    fn floats(&mut self, symbol: &str, mood: Mood, numbers: &mut Numbers) {
        let (addr, len) = self.bench.firmware.symbol(symbol).expect("a region");
        for at in (addr..addr + len).step_by(4) {
            self.put(at, mood.float(numbers));
        }
    }
}

/// A random call of a handler.
pub(crate) fn case(bench: &Bench, entry: &Entry, number: usize, numbers: &mut Numbers) -> Case {
    let mood = Mood::of(number);
    let process = bench.process(entry);
    let mut state = State {
        bench,
        // What a handler has no business with is noise as well.
        bytes: (0..bench.state_len())
            .map(|_| numbers.bits() as u8)
            .collect(),
    };
    control(&mut state, numbers);
    arrays(&mut state, process, mood, numbers);
    own_tape(&mut state, process, mood, numbers);
    let argument = argument(&mut state, entry, mood, numbers);
    Case {
        entry: entry.addr,
        argument,
        state: state.bytes,
    }
}

/// Initialised data as it is at first, but for the bin; a controller that is ready to send.
fn control(state: &mut State<'_>, numbers: &mut Numbers) {
    let bench = state.bench;
    let data = &bench.firmware.image.data;
    for (addr, word) in (data.addr..).step_by(4).zip(data.bytes.chunks_exact(4)) {
        state.put(
            addr,
            u32::from_le_bytes([word[0], word[1], word[2], word[3]]),
        );
    }
    state.put_at("bin", 0, numbers.below(bench.program.ticks));
    state.put_at("config", 0, numbers.below(8) << 24);
    let comms = &bench.target.comms;
    let ready = numbers.bits() | 1 << comms.tctl_ready_bit;
    state.put(CONTROLLER + comms.tctl, ready);
}

fn arrays(state: &mut State<'_>, process: &Process, mood: Mood, numbers: &mut Numbers) {
    for array in process.arrays.values() {
        let symbol = format!("{}.{}", process.name, array.name);
        state.floats(&symbol, mood, numbers);
        match array.kind {
            ArrayKind::Label => {
                let label = numbers.below(lanes(process)) as f32;
                state.put_at(&symbol, 0, label.to_bits());
            }
            // Some handlers ask whether a value is still the first one.
            ArrayKind::State { init } => {
                for lane in 0..lanes(process) {
                    if numbers.below(3) == 0 {
                        state.put_at(&symbol, lane, init.to_bits());
                    }
                }
            }
            _ => {}
        }
    }
}

/// A tape with some spikes on it, often with little room left.
fn own_tape(state: &mut State<'_>, process: &Process, mood: Mood, numbers: &mut Numbers) {
    let Some(own) = &process.tape else { return };
    let bound = own.bound.unwrap_or_default();
    let bound = u32::try_from(bound).expect("short tapes");
    let count = match numbers.below(4) {
        0 => bound.saturating_sub(numbers.below(3)),
        1 => numbers.below(bound + 1),
        _ => 0,
    };
    state.put_at(&tape::count(&process.name), 0, count);
    for field in &own.fields {
        state.floats(&tape::field(&process.name, field), mood, numbers);
    }
    let place = tape::place(&process.name);
    for entry in 0..bound {
        let bin = 1 + numbers.below(state.bench.program.ticks);
        let lane = numbers.below(lanes(process));
        state.put_at(&place, entry, bin << 16 | lane);
    }
}

/// What the handler is called with; also fills what only this handler reads.
fn argument(state: &mut State<'_>, entry: &Entry, mood: Mood, numbers: &mut Numbers) -> u32 {
    let bench = state.bench;
    let process = bench.process(entry);
    match bench.handler(entry).kind {
        HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
            let from = bench.program.channels[chan].from;
            numbers.below(lanes(&bench.program.processes[from]))
        }
        HandlerKind::Spike => {
            for (chan, _) in bench.program.outgoing(entry.proc) {
                if bench.program.carries_errors(chan) {
                    let error = tape::error(&process.name, chan.index());
                    state.floats(&error, mood, numbers);
                }
            }
            let bound = process
                .tape
                .as_ref()
                .map_or(1, |own| own.bound.unwrap_or(1));
            numbers.below(u32::try_from(bound).expect("short tapes"))
        }
        HandlerKind::Gather => {
            for lane in 0..lanes(process) {
                let word = mood.float(numbers);
                state.put(REPLICA + 4 * lane, word);
            }
            REPLICA
        }
        _ => numbers.bits(),
    }
}

fn lanes(process: &Process) -> u32 {
    u32::try_from(process.lanes).expect("few lanes")
}

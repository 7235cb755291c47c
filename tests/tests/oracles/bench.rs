//! A firmware whose handlers can be called one by one.

use nirc_ir::event::{Handler, Proc, Process, Program};
use nirc_spinnaker2::codegen::{Firmware, Section, compile};
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;
use nirc_spinnaker2::thumb::SymbolKind;

use crate::programs::groups;

/// Where the communication controller lies: in memory, where neither our core nor a board has a device.
pub(crate) const CONTROLLER: u32 = 0x0020_0000;
/// Where a replica's array lies for a handler that gathers.
pub(crate) const REPLICA: u32 = CONTROLLER + 0x400;

/// The chip, with its communication controller elsewhere.
pub(crate) fn target() -> Target {
    let mut target = Target::spinnaker2();
    target.memory.comms.base = CONTROLLER;
    assert_eq!(target.validate(), [], "the controller is not in the way");
    target
}

/// A range of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) addr: u32,
    pub(crate) len: u32,
}

/// A generated handler.
pub(crate) struct Entry {
    pub(crate) symbol: String,
    pub(crate) addr: u32,
    pub(crate) proc: Proc,
    /// Which of its process' handlers.
    pub(crate) index: usize,
}

/// The firmware of a PE, and all that its handlers can see and change.
pub(crate) struct Bench {
    pub(crate) program: Program,
    pub(crate) target: Target,
    pub(crate) firmware: Firmware,
    pub(crate) entries: Vec<Entry>,
    /// Data of the PE without its stack, then the controller with a replica's array behind it.
    pub(crate) windows: [Window; 2],
    /// Where the stack begins.
    pub(crate) stack: u32,
}

impl Bench {
    /// The firmware of each PE of a program that has handlers.
    pub(crate) fn of(program: &Program) -> Vec<Self> {
        let benches = groups(program)
            .into_iter()
            .map(|group| Self::new(program, &group));
        benches.filter(|bench| !bench.entries.is_empty()).collect()
    }

    fn new(program: &Program, group: &[Proc]) -> Self {
        let target = target();
        let firmware = compile(program, group, &target, Pacing::whole(program))
            .unwrap_or_else(|e| panic!("{e}"));
        let stack = firmware
            .memory
            .region("stack")
            .expect("there is a stack")
            .clone();
        let data = firmware
            .memory
            .regions
            .iter()
            .find(|r| r.section != Section::Text);
        let start = data.expect("there is data").addr;
        let widest = group
            .iter()
            .map(|&proc| program.processes[proc].lanes)
            .max();
        let array = 4 * u32::try_from(widest.unwrap_or(0)).expect("few lanes");
        let windows = [
            Window {
                addr: start,
                len: stack.addr - start,
            },
            Window {
                addr: CONTROLLER,
                len: REPLICA - CONTROLLER + array,
            },
        ];
        Self {
            program: program.clone(),
            target,
            entries: group
                .iter()
                .flat_map(|&proc| entries(program, proc, &firmware))
                .collect(),
            firmware,
            windows,
            stack: stack.addr + stack.len,
        }
    }

    pub(crate) fn process(&self, entry: &Entry) -> &Process {
        &self.program.processes[entry.proc]
    }

    pub(crate) fn handler(&self, entry: &Entry) -> &Handler {
        &self.process(entry).handlers[entry.index]
    }

    /// The code, from address 0 on.
    pub(crate) fn text(&self) -> &[u8] {
        &self.firmware.image.text.bytes
    }

    /// Bytes of both windows.
    pub(crate) fn state_len(&self) -> usize {
        self.windows.iter().map(|w| w.len as usize).sum()
    }

    /// Where the windows end.
    pub(crate) fn memory(&self) -> u32 {
        let end = self
            .windows
            .iter()
            .map(|w| w.addr + w.len)
            .max()
            .unwrap_or(0);
        end.next_multiple_of(0x1000)
    }

    /// The windows with the part of a state that fills each.
    pub(crate) fn parts<'a>(&self, state: &'a [u8]) -> [(Window, &'a [u8]); 2] {
        let [data, outside] = self.windows;
        let (first, second) = state.split_at(data.len as usize);
        [(data, first), (outside, second)]
    }

    /// The word of a state that a symbol names.
    pub(crate) fn word(&self, state: &[u8], symbol: &str) -> u32 {
        let (addr, _) = self.firmware.symbol(symbol).expect("a symbol");
        let at = (addr - self.windows[0].addr) as usize;
        let bytes = &state[at..at + 4];
        bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte))
    }

    /// The address of a state's byte, by name if it has one.
    pub(crate) fn describe(&self, offset: usize) -> String {
        let offset = offset as u32;
        let [data, outside] = self.windows;
        let addr = match offset.checked_sub(data.len) {
            None => data.addr + offset,
            Some(offset) => outside.addr + offset,
        };
        match self.firmware.image.symbol_at(addr) {
            Some(symbol) => format!("{}+{:#x}", symbol.name, addr - symbol.addr),
            None => format!("{addr:#x}"),
        }
    }
}

/// The functions of a process' handlers, which stand in the order of the handlers.
fn entries(program: &Program, proc: Proc, firmware: &Firmware) -> Vec<Entry> {
    let process = &program.processes[proc];
    let prefix = format!("{}.", process.name);
    let functions =
        firmware.program.symbols.iter().filter(|symbol| {
            symbol.kind == SymbolKind::Function && symbol.name.starts_with(&prefix)
        });
    let entries: Vec<Entry> = functions
        .enumerate()
        .map(|(index, symbol)| Entry {
            symbol: symbol.name.clone(),
            addr: symbol.addr,
            proc,
            index,
        })
        .collect();
    assert_eq!(
        entries.len(),
        process.handlers.len(),
        "a function for each handler"
    );
    entries
}

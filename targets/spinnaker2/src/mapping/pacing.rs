//! How far processes run ahead of one another, and how many bins the chip runs at a time.
//!
//! Both cost memory: the window rings and slots, the segment rows of what is given and recorded. A wide window
//! keeps PEs busy that have more to do in some bins than in others; a long segment spares the host's time.

use nirc_ir::Diagnostics;
use nirc_ir::event::{Proc, Program, Role};

use crate::abi;
use crate::codegen::{self, CodegenError};
use crate::target::Target;

/// How the steps of a program's processes hang together; see [`crate::abi`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// Steps that a process may be ahead of a neighbour.
    pub window: u32,
    /// Bins that run before the host takes what was recorded and gives what comes next; at most those of a
    /// sample.
    pub segment: u32,
}

/// Windows to choose from.
const WINDOWS: [u32; 4] = [4, 2, 1, 0];
/// Bins that a segment should have: in shorter ones, starting and stopping weighs more than any window.
const ENOUGH: u32 = 32;
/// Bytes by which the code of a process may grow with the numbers in it.
const MARGIN: u32 = 256;

impl Pacing {
    /// The widest window and whole samples: what programs that go backwards need.
    pub fn whole(program: &Program) -> Self {
        Self {
            window: abi::WINDOW,
            segment: program.ticks,
        }
    }

    /// Whether a sample takes more than one segment.
    pub fn is_cut(self, program: &Program) -> bool {
        self.segment < program.ticks
    }

    /// The widest window with which every PE has room for segments that are long enough, and the longest
    /// segments for which it then has room. Where nothing fits, the least: making the firmware will tell.
    ///
    /// # Errors
    /// What cannot be generated, whatever the pacing.
    pub(super) fn choose(program: &Program, target: &Target) -> Result<Self, Diagnostics> {
        let whole = Self::whole(program);
        if program.has_adjoint() || program.window.is_some() {
            return Ok(whole);
        }
        let mut rooms = Vec::new();
        for (proc, process) in program.processes.iter() {
            if !matches!(process.role, Role::Optimiser(_)) {
                let code = codegen::code_size(program, proc, target, whole);
                let code = code.map_err(|e| codegen::diagnostic(&program.name, &e))?;
                rooms.push(Room {
                    program,
                    proc,
                    code: code.saturating_add(MARGIN),
                    sram: target.memory.sram.size.into(),
                });
            }
        }
        let enough = enough(program);
        let longest = |window| {
            let segments = rooms.iter().map(|room| room.segment(window));
            segments.min().unwrap_or(whole.segment)
        };
        let fitting = WINDOWS.into_iter().map(|window| Self {
            window,
            segment: longest(window),
        });
        let mut last = whole;
        for pacing in fitting {
            last = pacing;
            if pacing.segment >= enough {
                break;
            }
        }
        Ok(Self {
            segment: last.segment.max(1),
            ..last
        })
    }
}

/// Bins that a segment of a program should have.
pub(super) fn enough(program: &Program) -> u32 {
    program.ticks.min(ENOUGH)
}

/// The first address behind the memory that a process of the network needs at this pace; beyond any where its code
/// has no room.
pub(super) fn end(
    program: &Program,
    proc: Proc,
    target: &Target,
    pacing: Pacing,
) -> Result<u64, CodegenError> {
    // What the pace will be is not known yet, and a wider window has longer code.
    let mut code = MARGIN;
    for pacing in [pacing, Pacing::whole(program)] {
        let size = codegen::code_size(program, proc, target, pacing)?;
        code = code.max(size.saturating_add(MARGIN));
    }
    if code > target.pe.code_limit {
        return Ok(u64::MAX);
    }
    codegen::memory_end(program, proc, code, pacing)
}

/// The memory that a process has.
struct Room<'a> {
    program: &'a Program,
    proc: Proc,
    /// Bytes of its code.
    code: u32,
    /// Bytes of everything.
    sram: u64,
}

impl Room<'_> {
    /// The longest segment that fits, 0 if none does.
    fn segment(&self, window: u32) -> u32 {
        let ticks = self.program.ticks;
        let end = |segment| {
            let pacing = Pacing { window, segment };
            codegen::memory_end(self.program, self.proc, self.code, pacing).unwrap_or(u64::MAX)
        };
        if end(ticks) <= self.sram {
            return ticks;
        }
        let one = end(1);
        if ticks == 1 || one > self.sram {
            return 0;
        }
        // Every bin takes as much, as long as a sample is cut.
        let each = end(2.min(ticks - 1)).saturating_sub(one).max(1);
        let more = (self.sram - one) / each;
        u32::try_from(more).map_or(ticks - 1, |more| (1 + more).min(ticks - 1))
    }
}

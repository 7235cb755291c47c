//! What every part of the generator knows of the process it works on.

use nirc_ir::event::{Array, Chan, Coef, Curve, Proc, Process, Program, Unary};

use super::buffers::Buffers;
use super::memory::Placed;
use super::names;
use crate::abi::tape;
use crate::mapping::Pacing;
use crate::thumb::{Assembler, Label};

/// Subroutines that handlers and driver share.
#[derive(Clone, Copy, Debug)]
pub(super) struct Labels {
    pub(super) exp: Label,
    pub(super) ln: Label,
    /// Records and emits a spike.
    pub(super) fire: Label,
    roots: [Label; 4],
}

impl Labels {
    pub(super) fn new(asm: &mut Assembler) -> Self {
        Self {
            exp: asm.label(),
            ln: asm.label(),
            fire: asm.label(),
            roots: [(); 4].map(|()| asm.label()),
        }
    }

    /// The subroutine of a function.
    pub(super) fn math(&self, op: Unary) -> Label {
        match op {
            Unary::Ln => self.ln,
            _ => self.exp,
        }
    }

    /// The subroutine that finds roots of a curve.
    pub(super) fn root(&self, curve: Curve) -> Label {
        let [cubic, quartic, power, equal] = self.roots;
        match curve {
            Curve::Cubic => cubic,
            Curve::Quartic => quartic,
            Curve::Power(_) => power,
            Curve::Equal(_) => equal,
        }
    }
}

fn words(count: usize) -> u32 {
    u32::try_from(4 * count).unwrap_or(u32::MAX)
}

/// A process and where its things are.
pub(super) struct Context<'a> {
    pub(super) program: &'a Program,
    pub(super) proc: Proc,
    pub(super) memory: &'a Placed,
    pub(super) labels: Labels,
    pub(super) pacing: Pacing,
}

impl Context<'_> {
    pub(super) fn process(&self) -> &Process {
        &self.program.processes[self.proc]
    }

    fn name(&self) -> &str {
        &self.process().name
    }

    /// Address of an array.
    pub(super) fn array(&self, array: Array) -> u32 {
        let process = self.process();
        self.memory.addr(&names::array(process, array))
    }

    /// Address of a coefficient's table.
    pub(super) fn coef(&self, coef: Coef) -> u32 {
        self.memory.addr(&names::coef(self.process(), coef))
    }

    /// Address of the current bin.
    pub(super) fn bin(&self) -> u32 {
        self.memory.addr(names::BIN)
    }

    /// Address of the exact time of what is dealt with, or of the beginning of the interval.
    pub(super) fn time(&self) -> u32 {
        self.memory.addr(names::TIME)
    }

    /// Address of the end of the interval.
    pub(super) fn until(&self) -> u32 {
        self.memory.addr(names::UNTIL)
    }

    /// Address of an exponential of the time.
    pub(super) fn clock(&self, word: usize) -> u32 {
        self.memory.addr(names::CLOCK) + words(word)
    }

    /// Address of an exponential of the interval's end.
    pub(super) fn clock_until(&self, word: usize) -> u32 {
        self.memory.addr(names::CLOCK_UNTIL) + words(word)
    }

    /// Address of the word that says that a lane may spike again.
    pub(super) fn again(&self) -> u32 {
        self.memory.addr(names::AGAIN)
    }

    /// Address of the current bin's row number.
    pub(super) fn row(&self) -> u32 {
        self.memory.get(names::ROW).unwrap_or_else(|| self.bin())
    }

    /// What is kept for the process, in a forward program.
    pub(super) fn buffers(&self) -> Buffers<'_> {
        Buffers::new(self.program, self.proc, self.pacing)
    }

    /// Address of bins and lanes of own spikes.
    pub(super) fn spike_places(&self) -> u32 {
        self.memory.addr(&tape::place(self.name()))
    }

    /// Address of a recorded field of own spikes.
    pub(super) fn field(&self, field: usize) -> u32 {
        self.memory.addr(&names::field(self.process(), field))
    }

    /// Address of the word that points to the errors of the values at hand, as they came over a channel.
    pub(super) fn value_errors(&self, chan: Chan) -> u32 {
        let read = names::value_errors_read(self.process(), chan);
        self.memory.addr(&read)
    }

    /// Address of the errors that came over a channel.
    pub(super) fn error(&self, chan: Chan) -> u32 {
        self.memory.addr(&names::error(self.name(), chan))
    }
}

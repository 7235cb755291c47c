//! Where processes are cut, and which can be.

use std::ops::Range;

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    ArrayKind, Domain, Handler, HandlerKind, Op, Proc, Process, Program, Role, Row, Stmt,
};

/// The lanes of the slices of each process: consecutive, all of them, in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cuts(PrimaryMap<Proc, Vec<Range<usize>>>);

impl Cuts {
    /// Every process whole.
    pub fn none(program: &Program) -> Self {
        let whole = |process: &Process| std::iter::once(0..process.lanes).collect();
        Self(program.processes.values().map(whole).collect())
    }

    /// Slices that begin with these lanes, process by process; `None` where that is no way to cut `program`.
    pub fn new(program: &Program, firsts: &[Vec<usize>]) -> Option<Self> {
        if firsts.len() != program.processes.len() {
            return None;
        }
        let mut cuts = Self::none(program);
        for (proc, firsts) in program.processes.keys().zip(firsts) {
            let lanes = program.processes[proc].lanes;
            let ascends = firsts.windows(2).all(|pair| pair[0] < pair[1]);
            let fits = firsts.first() == Some(&0) && firsts.last().is_some_and(|l| *l < lanes);
            if !ascends || !fits || (firsts.len() > 1 && !can_be_cut(program, proc)) {
                return None;
            }
            cuts.set(proc, firsts, lanes);
        }
        Some(cuts)
    }

    /// Cuts a process that can be cut at these first lanes, which begin with 0 and ascend.
    pub(super) fn set(&mut self, proc: Proc, firsts: &[usize], lanes: usize) {
        let ends = firsts.iter().skip(1).copied().chain([lanes]);
        self.0[proc] = firsts.iter().zip(ends).map(|(a, b)| *a..b).collect();
    }

    /// The lanes of each slice of a process.
    pub fn of(&self, proc: Proc) -> &[Range<usize>] {
        &self.0[proc]
    }

    /// Whether this process is in several slices.
    pub fn cuts(&self, proc: Proc) -> bool {
        self.0[proc].len() > 1
    }

    /// Whether any process is.
    pub fn any(&self) -> bool {
        self.0.keys().any(|proc| self.cuts(proc))
    }

    /// The first lanes of the slices of each process, as [`Cuts::new`] takes them.
    pub fn firsts(&self) -> Vec<Vec<usize>> {
        let firsts = |slices: &Vec<Range<usize>>| slices.iter().map(|s| s.start).collect();
        self.0.values().map(firsts).collect()
    }

    /// Number of slices of all processes together.
    pub fn count(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }
}

/// Whether a process may be cut: a source or neurons of a program that does not go backwards, whose lanes know
/// nothing of one another and whose spikes reach nobody lane by lane together with the bin. With exact event times none is.
pub fn can_be_cut(program: &Program, proc: Proc) -> bool {
    let process = &program.processes[proc];
    let lanes = matches!(process.role, Role::Source | Role::Neurons);
    let alone = || !process.handlers.iter().any(folds);
    let free = || {
        let mut channels = program.channels.iter();
        !channels.any(|(chan, channel)| {
            let handler = program.processes[channel.to].handler(HandlerKind::Event(chan));
            let ends = channel.from == proc || channel.to == proc;
            ends && handler.is_some_and(names_lane_and_bin)
        })
    };
    lanes && program.window.is_none() && only_forward(program) && alone() && free()
}

/// Nothing goes backwards and nothing is trained.
fn only_forward(program: &Program) -> bool {
    let trains = |process: &Process| {
        let mut kinds = process.arrays.values().map(|array| array.kind);
        matches!(process.role, Role::Optimiser(_))
            || kinds.any(|kind| matches!(kind, ArrayKind::Gradient(_)))
    };
    !program.has_adjoint() && !program.processes.values().any(trains)
}

/// Whether a handler folds over the lanes.
fn folds(handler: &Handler) -> bool {
    let mut stmts = handler.body.stmts.iter();
    stmts.any(|stmt| matches!(stmt, Stmt::Reduce(..)))
}

/// Whether a handler runs on the lane that the event names and reaches an array by bin: a slice of it would have
/// to name its lanes by synapses, which have no bin.
fn names_lane_and_bin(handler: &Handler) -> bool {
    let mut stmts = handler.body.stmts.iter();
    handler.domain == Domain::Lane
        && stmts.any(|stmt| {
            matches!(
                stmt,
                Stmt::Probe(..)
                    | Stmt::StoreRow(_, Row::Tick, _)
                    | Stmt::Let(_, Op::LoadRow(_, Row::Tick))
            )
        })
}

/// The first lanes of so many slices, as equal as the `step` allows: each begins with a multiple of it.
pub(super) fn equal(lanes: usize, slices: usize, step: usize) -> Vec<usize> {
    let steps = lanes.div_ceil(step);
    let slices = slices.clamp(1, steps);
    (0..slices).map(|k| steps * k / slices * step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_slices_differ_by_a_step_at_most() {
        assert_eq!(equal(10, 3, 1), [0, 3, 6]);
        assert_eq!(equal(48, 2, 16), [0, 16]);
        assert_eq!(equal(50, 9, 16), [0, 16, 32, 48]);
        assert_eq!(equal(5, 1, 16), [0]);
    }
}

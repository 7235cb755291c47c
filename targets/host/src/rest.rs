//! Ticks that can be left out because nothing has happened yet.
//!
//! Many ticks map the state that a sample starts from to itself: no current, no voltage, no error. Until
//! a spike or an error changes something, running them is running them for nothing. Whether that is so
//! is not argued but tried, once, when the program is compiled.

use nirc_ir::event::{Array, ArrayKind, Handler, HandlerKind, Op, Process, Stmt};

use crate::facts;
use crate::frame::{Event, Frame, Scratch};
use crate::isa::Isa;
use crate::plan::ProcessPlan;

/// Whether forward ticks do nothing before the first spike arrives.
pub(crate) fn tick(process: &Process, plan: &ProcessPlan, image: &[f32]) -> bool {
    let wakes = |kind| matches!(kind, HandlerKind::Event(_));
    arrays(process, plan, HandlerKind::Tick, wakes, image).is_some()
}

/// The state arrays of an adjoint tick that does nothing before errors of values come, or before the handler of
/// a spike changes one.
pub(crate) fn adjoint(process: &Process, plan: &ProcessPlan, image: &[f32]) -> Option<Vec<usize>> {
    let wakes = |kind| matches!(kind, HandlerKind::Spike | HandlerKind::Value);
    let arrays = arrays(process, plan, HandlerKind::AdjointTick, wakes, image)?;
    let bases = arrays.into_iter().filter_map(|a| plan.homes[a].in_arena());
    Some(bases.collect())
}

/// The arrays that a handler depends on, if running it changes nothing at the start, and nobody but
/// itself and handlers that `wakes` knows of writes to them before or between.
fn arrays(
    process: &Process,
    plan: &ProcessPlan,
    kind: HandlerKind,
    wakes: impl Fn(HandlerKind) -> bool,
    image: &[f32],
) -> Option<Vec<Array>> {
    let handler = process.handler(kind)?;
    let arrays = touched(handler);
    let states = arrays.iter().all(|array| {
        matches!(
            process.arrays[*array].kind,
            ArrayKind::State { .. } | ArrayKind::Scalar { .. }
        )
    });
    let timed = handler.body.stmts.iter().any(|stmt| match stmt {
        Stmt::Let(_, op) => *op == Op::Tick,
        Stmt::Spike { fields, .. } => fields.contains(&Op::Tick),
        _ => false,
    });
    let before = |other: &&Handler| {
        let later = !is_forward(other.kind) && is_forward(kind);
        other.kind != kind && !wakes(other.kind) && !later
    };
    let disturbed = process.handlers.iter().filter(before).any(|other| {
        let mut written = other.body.stmts.iter().filter_map(facts::writes);
        written.any(|array| arrays.contains(&array))
    });
    (states && !timed && !disturbed && is_idle(plan, kind, image)).then_some(arrays)
}

fn is_forward(kind: HandlerKind) -> bool {
    matches!(kind, HandlerKind::Event(_) | HandlerKind::Tick)
}

fn touched(handler: &Handler) -> Vec<Array> {
    let stmts = handler.body.stmts.iter();
    stmts
        .flat_map(|stmt| facts::loads(stmt).into_iter().chain(facts::writes(stmt)))
        .collect()
}

/// Runs the handler once on what a sample starts from. It reads and writes states only, so all that
/// it may change beside them is scratch.
fn is_idle(plan: &ProcessPlan, kind: HandlerKind, image: &[f32]) -> bool {
    let routine = match kind {
        HandlerKind::Tick => &plan.tick,
        _ => &plan.adjoint_tick,
    };
    let mut mem = image.to_vec();
    let mut scratch = Scratch::default();
    let mut frame = Frame {
        mem: &mut mem,
        weights: &[],
        scratch: &mut scratch,
        fields: plan.fields,
        shape: plan.shape,
        isa: Isa::PORTABLE,
    };
    if let Some(routine) = routine {
        routine.run(Event::default(), &mut frame);
    }
    let unchanged = plan.homes.iter().all(|(_, home)| {
        let range = home.elements(&plan.shape);
        let bits = |memory: &[f32]| -> Vec<u32> {
            memory[range.clone()].iter().map(|x| x.to_bits()).collect()
        };
        bits(&mem) == bits(image)
    });
    unchanged && scratch.spikes.lanes.is_empty()
}

//! The main program of the optimiser PE.
//!
//! A command says how many replicas have a gradient and how many READY packets to wait for. Then each tensor
//! in turn: gather, schedule, update, and the new values go straight into the SRAM of every replica. Where
//! processes measure, all of them gather and measure before the first one schedules.

use nirc_ir::event::{ArrayKind, HandlerKind, Proc, Program};

use super::comms::{Comms, Packet, word_at};
use super::context::Context;
use super::driver::{Handlers, compare, fill};
use super::names;
use super::plan::{fills, reports};
use crate::abi::tape;
use crate::thumb::Reg::{R0, R1, R2, R9, R10};
use crate::thumb::SReg::{S0, S1};
use crate::thumb::{Addr, Assembler, Cond, ExtendOp, Inst, Label, SList};

/// Floats that one transfer moves.
const RUN: u8 = 32;

struct Routines {
    drain: Label,
    fill: Label,
    copy: Label,
}

/// Emits the program, from the reset handler on. Each process comes with its handlers.
pub(super) fn emit(
    asm: &mut Assembler,
    comms: &Comms<'_>,
    program: &Program,
    processes: &[(Context<'_>, Handlers)],
    reset: Label,
) {
    let routines = Routines {
        drain: asm.label(),
        fill: asm.label(),
        copy: asm.label(),
    };
    asm.place_pool();
    asm.annotate("optimiser: start");
    asm.function("reset", reset);
    comms.set_up(asm);
    main(asm, comms, program, processes, &routines);
    let workers: Vec<Packet> = program
        .processes
        .keys()
        .filter(|&proc| reports(program, proc))
        .map(Packet::Ready)
        .collect();
    comms.drain(
        asm,
        routines.drain,
        [&workers, &[Packet::Command]],
        &|asm, packet, _| {
            deal(asm, comms, packet);
        },
    );
    fill(asm, routines.fill);
    copy(asm, routines.copy);
}

fn deal(asm: &mut Assembler, comms: &Comms<'_>, packet: Packet) {
    if packet == Packet::Command {
        asm.emit(Inst::orr(R2, R2, 0x8000_0000));
        asm.emit(Inst::str(R2, comms.control(names::COMMAND)));
    } else {
        asm.emit(Inst::ldr(R2, comms.control(names::READY)));
        asm.emit(Inst::add(R2, R2, 1));
        asm.emit(Inst::str(R2, comms.control(names::READY)));
    }
}

fn main(
    asm: &mut Assembler,
    comms: &Comms<'_>,
    program: &Program,
    processes: &[(Context<'_>, Handlers)],
    routines: &Routines,
) {
    asm.annotate("optimiser: wait for a command and the workers");
    let (idle, asleep) = (asm.here(), asm.label());
    asm.bl(routines.drain);
    asm.emit(Inst::ldr(R0, comms.control(names::COMMAND)));
    asm.cbz(R0, asleep);
    asm.emit(Inst::Extract {
        signed: false,
        rd: R1,
        rn: R0,
        lsb: 16,
        width: 15,
    });
    asm.emit(Inst::ldr(R2, comms.control(names::READY)));
    asm.emit(Inst::subs(R2, R2, R1));
    asm.b_if(Cond::Mi, asleep);
    asm.emit(Inst::str(R2, comms.control(names::READY)));
    asm.emit(Inst::mov(R1, 0));
    asm.emit(Inst::str(R1, comms.control(names::COMMAND)));
    asm.comment("replicas to gather from");
    asm.emit(Inst::Extend {
        op: ExtendOp::Uxth,
        rd: R10,
        rm: R0,
    });
    if program.has_measures() {
        for (index, (context, handlers)) in processes.iter().enumerate() {
            gather(asm, context, handlers, routines);
            let first = !processes[..index].iter().any(|(_, h)| measures(h));
            measure(asm, context, handlers, first);
        }
        for (context, handlers) in processes {
            asm.comment("the sum of measures");
            asm.mov_const(R1, context.memory.addr(names::MEASURED));
            step(asm, context, handlers, routines, program);
        }
    } else {
        for (context, handlers) in processes {
            gather(asm, context, handlers, routines);
            step(asm, context, handlers, routines, program);
        }
    }
    asm.annotate("optimiser: batch finished");
    asm.emit(Inst::ldr(R0, comms.control(names::UPDATES)));
    asm.emit(Inst::add(R0, R0, 1));
    asm.emit(Inst::str(R0, comms.control(names::UPDATES)));
    asm.b(idle);
    asm.bind(asleep);
    asm.annotate("optimiser: wait for a command and the workers");
    comms.sleep(asm);
    asm.b(idle);
}

fn gather(asm: &mut Assembler, context: &Context<'_>, handlers: &Handlers, routines: &Routines) {
    let name = &context.process().name;
    asm.annotate(format!("{name}: gather"));
    for gathered in fills(context, |kind| kind == ArrayKind::Gathered) {
        asm.mov_const(R0, gathered.addr);
        asm.mov_const(R1, gathered.words);
        asm.vldr_const(S0, gathered.value);
        asm.bl(routines.fill);
    }
    if let Some(gather) = handlers.get(HandlerKind::Gather) {
        let (again, over) = (asm.label(), asm.label());
        asm.emit(Inst::movs(R9, 0));
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Eq, over);
        asm.bind(again);
        asm.mov_const(R0, context.memory.addr(&tape::remote_gradient(name)));
        asm.emit(Inst::ldr(R0, word_at(R0, R9)));
        asm.bl(gather);
        asm.emit(Inst::add(R9, R9, 1));
        asm.emit(Inst::cmp(R9, R10));
        asm.b_if(Cond::Ne, again);
        asm.bind(over);
    }
}

fn measures(handlers: &Handlers) -> bool {
    handlers.get(HandlerKind::Measure).is_some()
}

/// Adds what the process measures to the sum, which the first one begins.
fn measure(asm: &mut Assembler, context: &Context<'_>, handlers: &Handlers, first: bool) {
    let Some(handler) = handlers.get(HandlerKind::Measure) else {
        return;
    };
    asm.annotate(format!("{}: measure", context.process().name));
    asm.bl(handler);
    asm.mov_const(R0, context.memory.addr(names::MEASURED));
    if !first {
        asm.emit_all([Inst::vldr(S1, R0, 0), Inst::vadd(S0, S1, S0)]);
    }
    asm.emit(Inst::vstr(S0, R0, 0));
}

/// Schedule and update, with the address of the sum of measures in r1 if there is one.
fn step(
    asm: &mut Assembler,
    context: &Context<'_>,
    handlers: &Handlers,
    routines: &Routines,
    program: &Program,
) {
    asm.annotate(format!("{}: update", context.process().name));
    for kind in [HandlerKind::Schedule, HandlerKind::Update] {
        if let Some(handler) = handlers.get(kind) {
            asm.bl(handler);
        }
    }
    write_back(asm, context, routines, program);
}

/// Stores the parameters into every replica.
fn write_back(asm: &mut Assembler, context: &Context<'_>, routines: &Routines, program: &Program) {
    let process = context.process();
    let parameters = process
        .arrays
        .iter()
        .find(|(_, a)| matches!(a.kind, ArrayKind::Param(_)));
    let Some((array, _)) = parameters else { return };
    let words = program.array_len(context.proc, array);
    asm.annotate(format!("{}: new values to every replica", process.name));
    asm.emit(Inst::movs(R9, 0));
    let again = asm.here();
    asm.mov_const(R1, context.memory.addr(&tape::remote_values(&process.name)));
    asm.emit(Inst::ldr(R1, word_at(R1, R9)));
    asm.mov_const(R0, context.array(array));
    asm.mov_const(R2, u32::try_from(words).unwrap_or(u32::MAX));
    asm.bl(routines.copy);
    asm.emit(Inst::add(R9, R9, 1));
    compare(
        asm,
        R9,
        u32::try_from(program.replicas).unwrap_or(u32::MAX),
        R0,
    );
    asm.b_if(Cond::Ne, again);
}

/// `copy`: r2 words from r0 to r1. Changes r0 to r3 and all float registers.
fn copy(asm: &mut Assembler, label: Label) {
    use crate::thumb::Reg::R3;
    asm.place_pool();
    asm.annotate("copy");
    asm.function("copy", label);
    let (rest, over) = (asm.label(), asm.label());
    asm.emit(Inst::lsrs(R3, R2, 5));
    asm.b_if(Cond::Eq, rest);
    let again = asm.here();
    if let Some(run) = SList::new(S0, RUN) {
        asm.emit_all([Inst::vldmia(R0, true, run), Inst::vstmia(R1, true, run)]);
    }
    asm.emit(Inst::subs(R3, R3, 1));
    asm.b_if(Cond::Ne, again);
    asm.bind(rest);
    asm.emit(Inst::ands(R2, R2, u32::from(RUN) - 1));
    asm.b_if(Cond::Eq, over);
    let again = asm.here();
    asm.emit(Inst::ldr(R3, Addr::Post(R0, 4)));
    asm.emit(Inst::str(R3, Addr::Post(R1, 4)));
    asm.emit(Inst::subs(R2, R2, 1));
    asm.b_if(Cond::Ne, again);
    asm.bind(over);
    asm.emit(Inst::ret());
}

/// Optimisers that a PE with these would have to hear from: those that measure, and are not of the group.
pub(super) fn unheard(program: &Program, group: &[Proc]) -> Vec<Proc> {
    let processes = program.processes.iter();
    processes
        .filter(|(id, process)| {
            process.handler(HandlerKind::Measure).is_some() && !group.contains(id)
        })
        .map(|(id, _)| id)
        .collect()
}

/// Whether all of a group are optimisers.
pub(super) fn are_optimisers(program: &Program, group: &[Proc]) -> bool {
    let optimiser = |p: &Proc| {
        matches!(
            program.processes[*p].role,
            nirc_ir::event::Role::Optimiser(_)
        )
    };
    !group.is_empty() && group.iter().all(optimiser)
}

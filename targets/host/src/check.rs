//! What has to hold of a program before code is made for it.
//!
//! Compiled code names memory by offsets and looks at nothing twice. So beside what the verifier
//! demands of every program, each row and each lane that an event may name has to exist, and weights
//! have to be written by nobody but their optimiser.

use nirc_ir::event::{
    Array, ArrayKind, Domain, Handler, HandlerKind, Op, Proc, Process, Program, Role, Row, Stmt,
    Tensor,
};
use nirc_ir::verify::verify;
use nirc_ir::{Diagnostic, codes};

use crate::facts;

/// Most elements of anything, so that offsets fit 32 bits with room to spare.
const LIMIT: usize = 1 << 24;

/// Checks a whole program; the first problem is as good as all.
pub(crate) fn program(program: &Program) -> Result<(), Diagnostic> {
    if let Err(problems) = verify(program) {
        let first = problems.0.into_iter().next();
        return first.map_or(Ok(()), Err);
    }
    for tensor in program.tensors.values() {
        size(&tensor.name, tensor.rows, tensor.lanes)?;
    }
    for (id, process) in program.processes.iter() {
        size(&process.name, program.ticks as usize, process.lanes)?;
        let fail = |message| Err(Diagnostic::error(codes::VERIFY, &process.name, message));
        if let Err(message) = optimiser(program, process) {
            return fail(message);
        }
        for handler in &process.handlers {
            if let Err(message) = handler_of(program, id, handler) {
                return fail(format!("handler {:?}: {message}", handler.kind));
            }
        }
    }
    Ok(())
}

fn size(place: &str, rows: usize, lanes: usize) -> Result<(), Diagnostic> {
    if (1..=LIMIT).contains(&rows.saturating_mul(lanes)) {
        return Ok(());
    }
    let message =
        format!("{rows} rows of {lanes} lanes; the simulator takes 1 to {LIMIT} elements");
    Err(Diagnostic::error(codes::VERIFY, place, message))
}

fn optimiser(program: &Program, process: &Process) -> Result<(), String> {
    let Role::Optimiser(own) = process.role else {
        return Ok(());
    };
    if program.tensors.get(own).is_none() {
        return Err(format!("there is no {own} to optimise"));
    }
    for decl in process.arrays.values() {
        if let ArrayKind::Param(tensor) | ArrayKind::Gradient(tensor) = decl.kind
            && tensor != own
        {
            return Err(format!("the optimiser of {own} holds {tensor}"));
        }
    }
    if process.handler(HandlerKind::Gather).is_some() && !has_gradient(program, own) {
        return Err(format!("nobody has a gradient of {own} to gather"));
    }
    Ok(())
}

fn has_gradient(program: &Program, tensor: Tensor) -> bool {
    let kind = ArrayKind::Gradient(tensor);
    let mut networks = program
        .processes
        .values()
        .filter(|p| !matches!(p.role, Role::Optimiser(_)));
    networks.any(|p| p.array_of(kind).is_some())
}

fn handler_of(program: &Program, id: Proc, handler: &Handler) -> Result<(), String> {
    let process = &program.processes[id];
    let sources = match handler.kind {
        HandlerKind::Event(c) | HandlerKind::Message(c) | HandlerKind::Gradient(c) => {
            program.processes[program.channels[c].from].lanes
        }
        _ => 1,
    };
    if handler.domain == Domain::Lane && sources > process.lanes {
        return Err(format!(
            "an event names one of {sources} lanes, the process has {}",
            process.lanes
        ));
    }
    let rows = |array: Array| match process.arrays[array].kind {
        ArrayKind::Param(t) | ArrayKind::Gradient(t) => program.tensors[t].rows,
        _ => program.ticks as usize,
    };
    for stmt in &handler.body.stmts {
        if let Some(array) = facts::writes(stmt)
            && matches!(process.arrays[array].kind, ArrayKind::Param(_))
            && !matches!(process.role, Role::Optimiser(_))
        {
            return Err(format!("{array} is written by its optimiser alone"));
        }
        if let Some(array) = row_of_source(stmt)
            && rows(array) < sources
        {
            return Err(format!(
                "{array} has {} rows for {sources} sources",
                rows(array)
            ));
        }
    }
    Ok(())
}

fn row_of_source(stmt: &Stmt) -> Option<Array> {
    match stmt {
        Stmt::Let(_, Op::LoadRow(array, Row::Source)) | Stmt::StoreRow(array, Row::Source, _) => {
            Some(*array)
        }
        _ => None,
    }
}

//! Traces: states written bin by bin.

use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Domain, Handler, HandlerKind, Op, Process, Program, Role, Stmt,
    Value,
};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::body::BodyBuilder;
use super::neuron::UNIT;
use crate::options::{Quantity, Record};

/// Adds a trace for each record.
pub(super) fn add(program: &mut Program, records: &[Record]) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for record in records {
        let found = program.process(&record.population);
        let role = found.map(|id| program.processes[id].role);
        let added = match found {
            // The host knows what it has given.
            Some(_) if role == Some(Role::Source) && record.quantity == Quantity::Spikes => Ok(()),
            Some(id) if role == Some(Role::Neurons) => {
                record_in(&mut program.processes[id], record.quantity)
            }
            Some(_) if role == Some(Role::Source) => Err(format!(
                "`{}` comes from outside: it has spikes and nothing else",
                record.population
            )),
            _ => Err(format!(
                "no population is called `{}`; there are: {}",
                record.population,
                names(program)
            )),
        };
        if let Err(message) = added {
            let place = format!("{}.{}", record.population, record.quantity.name());
            problems.push(
                Diagnostic::error(codes::RECORD_NAME, place, message)
                    .help("name traces as population.quantity, with spikes, v_pre, v, i, lambda_v or lambda_i"),
            );
        }
    }
    problems.into_result(())
}

fn names(program: &Program) -> String {
    let names: Vec<&str> = program
        .processes
        .values()
        .filter(|p| matches!(p.role, Role::Source | Role::Neurons))
        .map(|p| p.name.as_str())
        .collect();
    names.join(", ")
}

fn record_in(process: &mut Process, quantity: Quantity) -> Result<(), String> {
    if quantity == Quantity::Spikes {
        // The tape is there already, if it ever spikes.
        return match (&process.tape, process.array("n")) {
            (Some(_), _) => Ok(()),
            // Neurons that spike several times a tick emit how often.
            (None, Some(count)) => {
                let trace = trace(process, quantity);
                probe_forward(process, count, trace, false);
                Ok(())
            }
            (None, None) => Err(format!(
                "`{}` has no spikes: its voltage leaves it",
                process.name
            )),
        };
    }
    let state_name = match quantity {
        Quantity::VPre => "v",
        other => other.name(),
    };
    let state = process.array(state_name).ok_or_else(|| {
        format!(
            "`{}` has no {}; it has {}",
            process.name,
            quantity.name(),
            if quantity.is_adjoint() {
                "no adjoint in a forward program"
            } else {
                "no synaptic current of its own"
            }
        )
    })?;
    let trace = trace(process, quantity);
    if quantity.is_adjoint() {
        probe_adjoint(process, state, trace);
    } else {
        probe_forward(process, state, trace, quantity == Quantity::VPre);
    }
    Ok(())
}

fn trace(process: &mut Process, quantity: Quantity) -> Array {
    process.arrays.push(ArrayDecl {
        name: format!("trace.{}", quantity.name()),
        kind: ArrayKind::Trace,
    })
}

/// The forward tick knows the values it stores; the voltage before the reset is the one compared.
fn probe_forward(process: &mut Process, state: Array, trace: Array, before_reset: bool) {
    let Some(tick) = process
        .handlers
        .iter_mut()
        .find(|h| h.kind == HandlerKind::Tick)
    else {
        return;
    };
    let stmts = &tick.body.stmts;
    let stored = stmts.iter().find_map(|stmt| match stmt {
        Stmt::Store(array, value) if *array == state => Some(*value),
        _ => None,
    });
    let Some(stored) = stored else { return };
    let value = if before_reset {
        compared(stmts).unwrap_or(stored)
    } else {
        stored
    };
    let unit = process.coefs.iter().find(|(_, c)| c.name == UNIT);
    let voltage = process.arrays[state].name == "v";
    let mut b = BodyBuilder::extend(std::mem::take(&mut tick.body));
    let value = match unit.filter(|_| voltage) {
        Some((unit, _)) => {
            let unit = b.coef(unit);
            b.mul(value, unit)
        }
        None => value,
    };
    b.probe(trace, value);
    tick.body = b.finish();
}

/// The value that decides on a spike.
fn compared(stmts: &[Stmt]) -> Option<Value> {
    let fires = stmts.iter().find_map(|stmt| match stmt {
        Stmt::Spike { cond, .. } => Some(*cond),
        _ => None,
    })?;
    stmts.iter().find_map(|stmt| match stmt {
        Stmt::Let(v, Op::Cmp(_, left, _)) if *v == fires => Some(*left),
        _ => None,
    })
}

/// Adjoint states are traced at the very end of a bin, after the jumps.
fn probe_adjoint(process: &mut Process, state: Array, trace: Array) {
    let position = process
        .handlers
        .iter()
        .position(|h| h.kind == HandlerKind::GradientTick);
    let mut b = match position {
        Some(at) => BodyBuilder::extend(process.handlers.remove(at).body),
        None => BodyBuilder::new(),
    };
    let value = b.load(state);
    b.probe(trace, value);
    process.handlers.push(Handler {
        kind: HandlerKind::GradientTick,
        domain: Domain::Lanes,
        body: b.finish(),
    });
}

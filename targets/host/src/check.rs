//! What has to hold of a program before code is made for it.
//!
//! Compiled code names memory by offsets, so everything that the interpreter would find out while it
//! runs (an index out of range, a value used before it is defined) is found out here.

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayKind, Chan, CoefficientValue, Domain, Handler, HandlerKind, Op, Proc, Process,
    Program, Role, Row, Stmt, Value,
};
use nirc_ir::{Diagnostic, codes};

use crate::facts;

/// Most elements of anything, so that offsets fit 32 bits with room to spare.
const LIMIT: usize = 1 << 28;

/// Checks a whole program.
pub(crate) fn program(program: &Program) -> Result<(), Diagnostic> {
    if program.replicas == 0 {
        return Err(broken(&program.name, "a program has at least one replica"));
    }
    if program.ticks as usize > LIMIT {
        let message = format!("{} bins; at most {LIMIT} can be run", program.ticks);
        return Err(broken(&program.name, message));
    }
    for tensor in program.tensors.values() {
        let expected = tensor.rows.saturating_mul(tensor.lanes);
        if tensor.values.len() != expected || expected > LIMIT || tensor.lanes == 0 {
            let message = format!(
                "a tensor of {} rows of {} lanes has {} values",
                tensor.rows,
                tensor.lanes,
                tensor.values.len()
            );
            return Err(broken(&tensor.name, message));
        }
    }
    for (id, channel) in program.channels.iter() {
        let ends = [channel.from, channel.to].map(|p| program.processes.get(p));
        if channel.from >= channel.to || ends.contains(&None) {
            let message = format!(
                "{id} goes from {} to {}; a producer stands before its consumer",
                channel.from, channel.to
            );
            return Err(broken(&program.name, message));
        }
    }
    for id in program.processes.keys() {
        process(program, id)?;
    }
    Ok(())
}

fn broken(place: &str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(codes::VERIFY, place, message)
}

fn process(program: &Program, id: Proc) -> Result<(), Diagnostic> {
    let process = &program.processes[id];
    let fail = |message: String| Err(broken(&process.name, message));
    if process.lanes == 0 || process.lanes > LIMIT {
        return fail(format!(
            "{} lanes; a process has 1 to {LIMIT}",
            process.lanes
        ));
    }
    if let Role::Optimiser(tensor) = process.role
        && program.tensors.get(tensor).is_none()
    {
        return fail(format!("there is no {tensor} to optimise"));
    }
    for coef in process.coefs.values() {
        if let CoefficientValue::PerLane(values) = &coef.value
            && values.len() != process.lanes
        {
            return fail(format!(
                "coefficient {} has {} values for {} lanes",
                coef.name,
                values.len(),
                process.lanes
            ));
        }
    }
    for decl in process.arrays.values() {
        if let Err(message) = array(program, process, decl.kind) {
            return fail(format!("array {}: {message}", decl.name));
        }
    }
    if let Role::Optimiser(_) = process.role
        && let Some(gather) = process.handler(HandlerKind::Gather)
        && !owner_of_gradient(program, process.role)
        && gather.domain == Domain::Lanes
    {
        return fail("no process has the gradient that this one gathers".into());
    }
    for handler in &process.handlers {
        if let Err(message) = Check::new(program, id, handler).body() {
            return fail(format!("handler {:?}: {message}", handler.kind));
        }
    }
    Ok(())
}

fn owner_of_gradient(program: &Program, role: Role) -> bool {
    let Role::Optimiser(tensor) = role else {
        return false;
    };
    let kind = ArrayKind::Gradient(tensor);
    program
        .processes
        .values()
        .any(|p| p.array_of(kind).is_some())
}

fn array(program: &Program, process: &Process, kind: ArrayKind) -> Result<(), String> {
    let (ArrayKind::Param(tensor) | ArrayKind::Gradient(tensor)) = kind else {
        let rows = match kind {
            ArrayKind::GivenError | ArrayKind::Trace => program.ticks as usize,
            _ => 1,
        };
        return if rows.saturating_mul(process.lanes) > LIMIT {
            Err(format!("more than {LIMIT} elements"))
        } else {
            Ok(())
        };
    };
    let Some(decl) = program.tensors.get(tensor) else {
        return Err(format!("there is no {tensor}"));
    };
    let (lanes, expected) = match process.role {
        Role::Optimiser(own) if own != tensor => {
            return Err(format!("the optimiser of {own} has {tensor}"));
        }
        Role::Optimiser(_) => (decl.rows * decl.lanes, process.lanes),
        _ => (decl.lanes, process.lanes),
    };
    if lanes == expected {
        Ok(())
    } else {
        Err(format!(
            "{tensor} has {lanes} lanes, the process {expected}"
        ))
    }
}

struct Check<'a> {
    program: &'a Program,
    process: &'a Process,
    handler: &'a Handler,
    /// Number of sources that the event may name.
    sources: usize,
    defined: usize,
}

impl<'a> Check<'a> {
    fn new(program: &'a Program, id: Proc, handler: &'a Handler) -> Self {
        let sources = |chan: Chan| {
            let channel = program.channels.get(chan).filter(|c| c.to == id);
            channel.map_or(0, |c| program.processes[c.from].lanes)
        };
        let process = &program.processes[id];
        let sources = match handler.kind {
            HandlerKind::Event(c) | HandlerKind::Message(c) | HandlerKind::Gradient(c) => {
                sources(c)
            }
            HandlerKind::Spike => process.lanes,
            _ => 1,
        };
        Self {
            program,
            process,
            handler,
            sources,
            defined: 0,
        }
    }

    fn body(&mut self) -> Result<(), String> {
        if self.sources == 0 {
            return Err("it is for a channel that does not come here".into());
        }
        if self.handler.domain == Domain::Lane && self.sources > self.process.lanes {
            return Err(format!(
                "an event names one of {} lanes, the process has {}",
                self.sources, self.process.lanes
            ));
        }
        for stmt in &self.handler.body.stmts {
            self.stmt(stmt)?;
        }
        if self.defined == self.handler.body.values {
            Ok(())
        } else {
            Err(format!(
                "{} values are defined, {} announced",
                self.defined, self.handler.body.values
            ))
        }
    }

    fn stmt(&mut self, stmt: &Stmt) -> Result<(), String> {
        for v in facts::reads(stmt) {
            self.value(v)?;
        }
        match stmt {
            Stmt::Let(v, op) => {
                self.op(op)?;
                if v.index() != self.defined {
                    return Err(format!("{v} is defined out of order"));
                }
                self.defined += 1;
            }
            Stmt::Store(array, _) | Stmt::Reduce(array, _) => {
                self.writable(*array)?;
                let kind = self.element(*array)?;
                if matches!(stmt, Stmt::Reduce(..)) && !kind.is_scalar() {
                    return Err(format!("{array} is no scalar to reduce into"));
                }
            }
            Stmt::StoreRow(array, row, _) => {
                self.writable(*array)?;
                self.row(*array, *row)?;
            }
            Stmt::Probe(array, _) => {
                self.row(*array, Row::Tick)?;
                if self.kind(*array)? != ArrayKind::Trace {
                    return Err(format!("{array} is no trace"));
                }
            }
            Stmt::Send(_) => {
                if !matches!(self.handler.kind, HandlerKind::Message(_)) {
                    return Err("only a message handler sends".into());
                }
            }
            Stmt::Spike { fields, .. } => {
                if self.handler.kind != HandlerKind::Tick {
                    return Err("only a tick handler spikes".into());
                }
                let expected = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
                if self.process.tape.is_some() && fields.len() != expected {
                    return Err(format!(
                        "a spike with {} fields for a tape of {expected}",
                        fields.len()
                    ));
                }
                for op in fields {
                    self.op(op)?;
                }
            }
        }
        Ok(())
    }

    fn value(&self, v: Value) -> Result<(), String> {
        if v.index() < self.defined {
            Ok(())
        } else {
            Err(format!("{v} is used before it is defined"))
        }
    }

    fn op(&self, op: &Op) -> Result<(), String> {
        match *op {
            Op::Coef(c) if self.process.coefs.get(c).is_none() => Err(format!("there is no {c}")),
            Op::Load(array) => self.element(array).map(drop),
            Op::LoadRow(array, row) => self.row(array, row),
            Op::Field(k) => {
                let fields = self.process.tape.as_ref().map_or(0, |t| t.fields.len());
                if self.handler.kind == HandlerKind::Spike && k < fields {
                    Ok(())
                } else {
                    Err(format!("field {k} of a tape of {fields}"))
                }
            }
            _ => Ok(()),
        }
    }

    fn kind(&self, array: Array) -> Result<ArrayKind, String> {
        let decl = self.process.arrays.get(array);
        decl.map(|d| d.kind)
            .ok_or_else(|| format!("there is no {array}"))
    }

    fn element(&self, array: Array) -> Result<ArrayKind, String> {
        self.kind(array)
    }

    fn writable(&self, array: Array) -> Result<(), String> {
        let shared = matches!(self.kind(array)?, ArrayKind::Param(_));
        if shared && !matches!(self.process.role, Role::Optimiser(_)) {
            Err(format!("{array} belongs to an optimiser"))
        } else {
            Ok(())
        }
    }

    /// Whether every row that may be named exists.
    fn row(&self, array: Array, row: Row) -> Result<(), String> {
        let rows = match self.kind(array)? {
            ArrayKind::Param(_) | ArrayKind::Gradient(_)
                if matches!(self.process.role, Role::Optimiser(_)) =>
            {
                return Err(format!("an optimiser sees {array} flat, without rows"));
            }
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => self.program.tensors[t].rows,
            ArrayKind::GivenError | ArrayKind::Trace => self.program.ticks as usize,
            _ => return Err(format!("{array} has no rows")),
        };
        let needed = match row {
            Row::Source => self.sources,
            Row::Tick => self.program.ticks as usize,
        };
        if needed <= rows {
            Ok(())
        } else {
            Err(format!("{array} has {rows} rows, {needed} may be named"))
        }
    }
}

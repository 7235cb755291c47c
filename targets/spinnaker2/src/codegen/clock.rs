//! Exponentials of time that handlers share.
//!
//! What arrives at `t` is scaled with `e^(t rate)`, the search before it ends at `t`, the one behind it begins there,
//! and on the way back the same arrival is scaled again. Each such exponential of a constant rate is computed once a
//! time and kept in memory: the bits are those that each handler would have computed for itself.
//!
//! The words are those of [`names::CLOCK`], as of [`names::TIME`], and of [`names::CLOCK_UNTIL`], as of
//! [`names::UNTIL`], one a rate.

use nirc_ir::event::{
    Binary, CoefficientValue, Handler, HandlerKind, Op, Proc, Process, Program, Role, Stmt, Unary,
    Value,
};

/// The rates of a process, as the bits of floats, in the order of their first use.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Clock {
    pub(super) rates: Vec<u32>,
}

impl Clock {
    pub(super) fn new(program: &Program, proc: Proc) -> Self {
        let process = &program.processes[proc];
        let mut clock = Self::default();
        let shared = process.handlers.iter();
        for handler in shared.filter(|handler| reads(program, proc, handler.kind)) {
            for rate in rates(process, handler) {
                if !clock.rates.contains(&rate) {
                    clock.rates.push(rate);
                }
            }
        }
        clock
    }

    /// The word that holds the exponential of this rate.
    pub(super) fn word(&self, rate: u32) -> Option<usize> {
        self.rates.iter().position(|known| *known == rate)
    }
}

/// Whether a handler takes exponentials from memory: one of a search or of an arrival.
pub(super) fn reads(program: &Program, proc: Proc, kind: HandlerKind) -> bool {
    let neurons = program.processes[proc].role == Role::Neurons;
    let of_arrivals = match kind {
        HandlerKind::Cross => true,
        HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
            !program.carries_values(chan)
        }
        _ => false,
    };
    neurons && program.window.is_some() && of_arrivals
}

/// The rates of exponentials in a handler.
fn rates(process: &Process, handler: &Handler) -> Vec<u32> {
    let stmts = handler.body.stmts.iter();
    let ops: Vec<&Op> = stmts
        .filter_map(|stmt| match stmt {
            Stmt::Let(_, op) => Some(op),
            _ => None,
        })
        .collect();
    let of = |value: Value| ops[nirc_ir::entity::Entity::index(value)];
    let is_time = |op: &Op| matches!(op, Op::Time | Op::Since | Op::Until);
    let constant = |op: &Op| match op {
        Op::Const(x) => Some(x.to_bits()),
        Op::Coef(coef) => match process.coefs[*coef].value {
            CoefficientValue::Uniform(_) => Some(process.coefs[*coef].value.at(0).to_bits()),
            CoefficientValue::PerLane(_) => None,
        },
        _ => None,
    };
    let rate = |op: &&Op| match **op {
        Op::Unary(Unary::Exp, argument) => match *of(argument) {
            Op::Binary(Binary::Mul, a, b) if is_time(of(a)) => constant(of(b)),
            Op::Binary(Binary::Mul, a, b) if is_time(of(b)) => constant(of(a)),
            _ => None,
        },
        _ => None,
    };
    ops.iter().filter_map(rate).collect()
}

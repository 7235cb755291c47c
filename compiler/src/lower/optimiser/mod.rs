//! Optimiser processes: one per trained tensor.
//!
//! Each batch a process sums its gradient over the replicas, clips it ([`clip`]), computes the scalars of
//! the step ([`rate`] and [`rules`]) and moves the weights ([`rules`]). The scalars of step `k` are kept as
//! running values on the chip. Plain `f32` would be wrong in the last place at once and by thousands of
//! them after an epoch, so they are [`pairs`] of `f32`, which reproduces their `f64` values rounded to
//! `f32`.

mod check;
mod clip;
mod pairs;
mod rate;
mod rules;

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Coef, Coefficient, CoefficientValue, Domain, Handler, HandlerKind,
    Op, Output, Process, Program, Role, Tensor,
};

use self::clip::Clipping;
use super::body::BodyBuilder;
use super::free_name;
use crate::options::Optimiser;

pub(super) use check::check;

/// Adds an optimiser process for every trainable tensor.
pub(super) fn add(program: &mut Program, optimiser: &Optimiser) {
    let trained: Vec<(Tensor, String, usize)> = program
        .tensors
        .iter()
        .filter(|(_, t)| t.trainable)
        .map(|(id, t)| (id, t.name.clone(), t.rows * t.lanes))
        .collect();
    for (tensor, name, lanes) in trained {
        let name = free_name(program, name);
        let process = match is_delay(program, tensor) {
            true => process(tensor, name, lanes, &optimiser.of_delays(), Least::Zero),
            false => process(tensor, name, lanes, optimiser, Least::None),
        };
        program.processes.push(process);
    }
}

/// Whether a tensor holds delays of a channel's sources.
fn is_delay(program: &Program, tensor: Tensor) -> bool {
    let mut channels = program.channels.values();
    channels.any(|channel| {
        let arrays = &program.processes[channel.to].arrays;
        let delays = channel.delays.map(|delays| arrays[delays.values].kind);
        delays == Some(ArrayKind::Param(tensor))
    })
}

/// What numbers are not trained below.
#[derive(Clone, Copy, PartialEq)]
enum Least {
    None,
    Zero,
}

fn process(
    tensor: Tensor,
    name: String,
    lanes: usize,
    optimiser: &Optimiser,
    least: Least,
) -> Process {
    let mut builder = Builder {
        process: Process {
            name,
            role: Role::Optimiser(tensor),
            lanes,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: None,
            handlers: Vec::new(),
        },
    };
    let weight = builder.array("weight", ArrayKind::Param(tensor));
    let gradient = builder.array("gradient", ArrayKind::Gathered);
    builder.gather(gradient);
    let clipping = builder.measure(optimiser.clip, gradient);
    let arrays = Arrays {
        weight,
        gradient,
        clipping,
        least,
    };
    builder.rule(&arrays, optimiser);
    builder.process
}

/// What every rule works on.
struct Arrays {
    weight: Array,
    gradient: Array,
    clipping: Clipping,
    least: Least,
}

/// A process in the making.
struct Builder {
    process: Process,
}

impl Builder {
    fn array(&mut self, name: &str, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl {
            name: name.to_owned(),
            kind,
        })
    }

    fn coef(&mut self, name: &str, formula: &str, value: f64) -> Coef {
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: formula.to_owned(),
            value: CoefficientValue::Uniform(value),
        })
    }

    fn handler(&mut self, kind: HandlerKind, domain: Domain, body: BodyBuilder) {
        self.process.handlers.push(Handler {
            kind,
            domain,
            body: body.finish(),
        });
    }

    /// Sum over replicas.
    fn gather(&mut self, gradient: Array) {
        let mut b = BodyBuilder::new();
        let sum = b.load(gradient);
        let one = b.op(Op::Payload);
        let next = b.add(sum, one);
        b.store(gradient, next);
        self.handler(HandlerKind::Gather, Domain::Lanes, b);
    }
}

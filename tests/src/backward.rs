//! The way back of random programs: random handlers, or those of common neurons.

use nirc_ir::connection::Connection;
use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayKind, Binary, Body, Chan, Coef, Domain, Fold, Handler, HandlerKind, Op, Outgoing,
    Output, Proc, Process, Program, Role, Row, Stmt, Tensor, Value,
};

use crate::bodies::BodyWriter;
use crate::forward::{LAMBDA, X};
use crate::random::optimiser;
use crate::rng::Rng;

/// Gives every tape a bound: mostly one that is never reached.
pub(crate) fn bounds(rng: &mut Rng, program: &mut Program) {
    let mut bound = || if rng.below(40) == 0 { 15 } else { 10_000 };
    for process in program.processes.values_mut() {
        if let Some(tape) = &mut process.tape {
            tape.bound = Some(bound());
        }
    }
    let chans: Vec<Chan> = program.channels.keys().collect();
    for chan in chans {
        if !program.carries_values(chan) {
            program.channels[chan].bound = Some(bound());
        }
    }
}

/// Which processes take errors: those that spike into a tape, and most that emit a state.
pub(crate) fn takers(rng: &mut Rng, program: &Program) -> Vec<bool> {
    let takes = |process: &Process| match process.output {
        // Of exact event times, an error of an input spike is asked for as often as not.
        Output::Spikes if process.role == Role::Source => {
            program.window.is_some() && rng.below(2) == 0
        }
        Output::Spikes => process.tape.is_some(),
        Output::State(_) => rng.below(8) > 0,
        Output::Given => false,
    };
    program.processes.values().map(takes).collect()
}

/// Adds an optimiser for most tensors that have a parameter and a gradient in the network.
pub(crate) fn optimisers(rng: &mut Rng, program: &mut Program) {
    let tensors: Vec<Tensor> = program.tensors.keys().collect();
    for tensor in tensors {
        let kinds = [ArrayKind::Param(tensor), ArrayKind::Gradient(tensor)];
        let processes = program.processes.values();
        let holders = processes.filter(|p| kinds.iter().all(|kind| p.array_of(*kind).is_some()));
        if holders.count() != 1 || rng.below(4) == 0 {
            continue;
        }
        let decl = &mut program.tensors[tensor];
        decl.trainable = true;
        let lanes = decl.rows * decl.lanes;
        let process = optimiser(rng, tensor, lanes, program);
        program.processes.push(process);
    }
}

/// Writes the handlers of one process that go backwards.
pub(crate) struct WayBack<'a> {
    pub(crate) rng: &'a mut Rng,
    pub(crate) program: &'a Program,
    pub(crate) process: &'a Process,
    /// Whether they are those of common neurons: `LAMBDA` decays, takes errors, and is what they send.
    pub(crate) common: bool,
}

impl WayBack<'_> {
    /// All of them, where these processes take errors.
    pub(crate) fn handlers(&mut self, id: Proc, takers: &[bool]) -> Vec<Handler> {
        let neurons = self.process.role == Role::Neurons;
        let mut handlers = Vec::new();
        for (chan, channel) in self.program.incoming(id) {
            if takers[channel.from.index()] && self.rng.below(6) > 0 {
                handlers.push(self.of_channel(HandlerKind::Message(chan), chan));
            }
            if neurons && self.rng.below(8) > 0 {
                handlers.push(self.of_channel(HandlerKind::Gradient(chan), chan));
            }
        }
        if !neurons {
            return handlers;
        }
        let exact = self.program.window.is_some();
        let mut others = vec![match exact {
            true => (HandlerKind::AdjointWindow, Domain::Lanes),
            false => (HandlerKind::AdjointTick, Domain::Lanes),
        }];
        if self.process.tape.is_some() {
            others.push((HandlerKind::Spike, Domain::Lane));
        }
        if takers[id.index()] && self.process.output != Output::Spikes {
            others.push((HandlerKind::Value, Domain::Lanes));
        }
        if !exact && !self.common && self.rng.below(2) == 0 {
            others.push((HandlerKind::GradientTick, Domain::Lanes));
        }
        for (kind, domain) in others {
            let body = match kind {
                _ if !self.common => self.random(kind, domain, 1),
                HandlerKind::AdjointTick | HandlerKind::AdjointWindow => decay(),
                _ => error(),
            };
            handlers.push(Handler { kind, domain, body });
        }
        handlers
    }

    fn of_channel(&mut self, kind: HandlerKind, chan: Chan) -> Handler {
        let channel = &self.program.channels[chan];
        let sources = self.program.processes[channel.from].lanes;
        let message = matches!(kind, HandlerKind::Message(_));
        let domain = match channel.connection {
            Connection::Taps(_) => Domain::Synapses,
            Connection::All if self.common || !message || sources > self.process.lanes => {
                Domain::Lanes
            }
            Connection::All => *self.rng.pick(&[Domain::Lanes, Domain::Lane]),
        };
        let row = match domain {
            Domain::Synapses => Row::Synapse,
            _ => Row::Source,
        };
        let named = |what| self.process.array(&format!("{chan}.{what}"));
        let body = match (named("weight"), named("gradient")) {
            (Some(weight), _) if self.common && message => self.message(weight, row),
            (_, Some(gradient)) if self.common => self.gradient(gradient, row, chan),
            _ => self.random(kind, domain, sources),
        };
        Handler { kind, domain, body }
    }

    fn random(&mut self, kind: HandlerKind, domain: Domain, sources: usize) -> Body {
        BodyWriter::new(self.rng, self.process, kind, domain, sources, self.program).write()
    }

    /// The sum of weights, times what their lanes say.
    fn message(&mut self, weight: Array, row: Row) -> Body {
        let mut body = Body::default();
        let x = self.sensitivity(&mut body);
        let w = body.push(Op::LoadRow(weight, row));
        let fold = match self.rng.below(4) {
            0 => Fold::Add(body.push(Op::Binary(Binary::Mul, w, x))),
            1 => Fold::Max(body.push(Op::Binary(Binary::Mul, x, w))),
            _ => Fold::Fma(x, w),
        };
        body.stmts.push(Stmt::Send(Outgoing::Fold(fold)));
        body
    }

    /// What a lane says, times the value that arrived if there is one, is taken off the gradient.
    fn gradient(&mut self, gradient: Array, row: Row, chan: Chan) -> Body {
        let mut body = Body::default();
        let old = body.push(Op::LoadRow(gradient, row));
        let mut step = self.sensitivity(&mut body);
        if self.program.carries_values(chan) {
            let value = body.push(Op::Payload);
            step = body.push(Op::Binary(Binary::Mul, step, value));
        }
        let new = body.push(Op::Binary(Binary::Sub, old, step));
        body.stmts.push(Stmt::StoreRow(gradient, row, new));
        body
    }

    /// `LAMBDA`, or a difference from it, times a coefficient or not.
    fn sensitivity(&mut self, body: &mut Body) -> Value {
        let mut x = body.push(Op::Load(Array::new(LAMBDA)));
        if self.rng.below(2) == 0 {
            let other = body.push(Op::Load(Array::new(X)));
            x = body.push(Op::Binary(Binary::Sub, x, other));
        }
        if self.rng.below(2) == 0 {
            let factor = body.push(Op::Coef(Coef::new(self.rng.below(2))));
            x = body.push(Op::Binary(Binary::Mul, factor, x));
        }
        x
    }
}

fn decay() -> Body {
    let lambda = Array::new(LAMBDA);
    let mut body = Body::default();
    let x = body.push(Op::Load(lambda));
    let a = body.push(Op::Coef(Coef::new(0)));
    let x = body.push(Op::Binary(Binary::Mul, x, a));
    body.stmts.push(Stmt::Store(lambda, x));
    body
}

fn error() -> Body {
    let lambda = Array::new(LAMBDA);
    let mut body = Body::default();
    let x = body.push(Op::Load(lambda));
    let e = body.push(Op::Payload);
    let x = body.push(Op::Binary(Binary::Add, x, e));
    body.stmts.push(Stmt::Store(lambda, x));
    body
}

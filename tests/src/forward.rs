//! Programs that only go forward, within the verifier's rules: any number of sources and populations, spikes
//! and values, channels with any delay that lead forward, back or to themselves, over all lanes or over the
//! synapses of random axes, with random bodies or with those of common neurons. With a way back (`backward`)
//! they are programs that learn. With exact event times only spikes travel, and everything that a program of ticks
//! does once a bin is done between arrivals and at the ends of windows.

use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Chan, Channel, Cmp, Coef, Delays, Domain, Handler,
    HandlerKind, Op, Output, Proc, Process, Program, Role, Row, SpikeTape, Stmt, TensorDecl,
};

use crate::backward::{self, WayBack};
use crate::bodies::{BodyWriter, coefs, name};
use crate::rng::Rng;

/// How large programs become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most lanes of a process.
    pub lanes: usize,
    /// Most sources, and most populations.
    pub processes: usize,
    /// Most channels into a process.
    pub channels: usize,
    /// Most bins.
    pub ticks: u32,
}

impl Limits {
    /// For executors on this machine.
    pub const HOST: Self = Self {
        lanes: 64,
        processes: 4,
        channels: 4,
        ticks: 12,
    };
    /// Every process, with its tensors and code, has room on a PE.
    pub const PE: Self = Self {
        lanes: 17,
        processes: 3,
        channels: 2,
        ticks: 12,
    };
}

/// The numbers of arrays that all processes but sources have.
pub(crate) const V: usize = 0;
pub(crate) const X: usize = 1;
pub(crate) const LAMBDA: usize = 2;

/// A random program that only goes forward and follows from the seed.
pub fn program(seed: u64, limits: Limits) -> Program {
    let mut writer = Writer {
        rng: Rng::new(seed),
        limits,
        backwards: false,
        exact: false,
    };
    writer.program()
}

/// A random program of exact event times, which goes backwards and learns or does not.
pub fn exact(seed: u64, limits: Limits) -> Program {
    let mut rng = Rng::new(seed);
    let backwards = rng.below(4) > 0;
    let mut writer = Writer {
        rng,
        limits,
        backwards,
        exact: true,
    };
    let mut program = writer.program();
    if backwards {
        backward::optimisers(&mut writer.rng, &mut program);
    }
    program
}

/// A random program that goes backwards as well.
pub(crate) fn backwards(seed: u64, limits: Limits) -> Program {
    let mut writer = Writer {
        rng: Rng::new(seed),
        limits,
        backwards: true,
        exact: false,
    };
    let mut program = writer.program();
    backward::optimisers(&mut writer.rng, &mut program);
    program
}

struct Writer {
    rng: Rng,
    limits: Limits,
    backwards: bool,
    exact: bool,
}

impl Writer {
    fn program(&mut self) -> Program {
        let mut program = Program {
            name: "forward".into(),
            ticks: self.ticks(),
            dt: 0.001,
            first_tick: self.rng.below(2) as u32,
            window: None,
            replicas: 1 + self.rng.below(3),
            tensors: PrimaryMap::new(),
            processes: PrimaryMap::new(),
            channels: PrimaryMap::new(),
        };
        if self.exact {
            program.first_tick = 0;
            program.window = Some(1 + self.rng.below(program.ticks as usize) as u32);
        }
        for role in self.roles() {
            let process = self.process(program.processes.len(), role);
            program.processes.push(process);
        }
        self.channels(&mut program);
        let inputs: Vec<(Chan, Proc)> = program.channels.iter().map(|(c, d)| (c, d.to)).collect();
        for (chan, to) in inputs {
            self.tensor(&mut program, chan, to);
            if self.exact && self.rng.below(4) == 0 {
                self.delays(&mut program, chan, to);
            }
        }
        let mut takers = Vec::new();
        if self.backwards {
            backward::bounds(&mut self.rng, &mut program);
            takers = backward::takers(&mut self.rng, &program);
        }
        let ids: Vec<Proc> = program.processes.keys().collect();
        for id in ids {
            let handlers = self.handlers(&program, id, &takers);
            program.processes[id].handlers = handlers;
            self.train_delays(&mut program, id);
            forget_unnamed(&mut program, id);
        }
        program
    }

    fn ticks(&mut self) -> u32 {
        let least = if self.backwards { 2 } else { 1 };
        let more = self.limits.ticks - least + 1;
        least + self.rng.below(more as usize) as u32
    }

    /// Sources and populations in any order; then a loss, or none.
    fn roles(&mut self) -> Vec<Role> {
        let most = self.limits.processes;
        let mut roles = vec![Role::Source; 1 + self.rng.below(most - 1)];
        for _ in 0..=self.rng.below(most) {
            let place = self.rng.below(roles.len() + 1);
            roles.insert(place, Role::Neurons);
        }
        if self.rng.below(2) == 0 {
            roles.push(Role::Loss);
        }
        roles
    }

    fn size(&mut self) -> usize {
        let sizes = [1, 2, 3, 4, 5, 6, 8, 9, 12, 15, 16, 17, 31, 33, 48, 64];
        let count = sizes.iter().filter(|s| **s <= self.limits.lanes).count();
        sizes[self.rng.below(count)]
    }

    fn process(&mut self, k: usize, role: Role) -> Process {
        let lanes = self.size();
        let init = if self.rng.below(2) == 0 {
            0.0
        } else {
            self.rng.normal()
        };
        let mut kinds = vec![ArrayKind::State { init }; 3];
        kinds[X] = ArrayKind::State { init: 0.0 };
        let last = match self.exact {
            true => ArrayKind::State { init },
            false => ArrayKind::Trace,
        };
        kinds.extend([ArrayKind::Scalar { init }, last]);
        let output = match (role, self.rng.below(3)) {
            (Role::Source, _) if self.exact => Output::Spikes,
            (Role::Source, 0) => Output::Given,
            (Role::Neurons, 0) => Output::State(Array::new(V)),
            _ => Output::Spikes,
        };
        // Some populations are silent.
        let spikes = role == Role::Neurons && output == Output::Spikes && self.rng.below(8) > 0;
        let fields = if self.rng.below(2) == 0 {
            0
        } else {
            self.rng.below(4)
        };
        let tape = spikes.then(|| SpikeTape {
            fields: (0..fields).map(|i| format!("field{i}")).collect(),
            bound: None,
        });
        match role {
            Role::Source => kinds.clear(),
            Role::Loss if self.exact => kinds.push(ArrayKind::Label),
            Role::Loss => kinds.extend([ArrayKind::Label, ArrayKind::GivenError]),
            Role::Neurons if self.exact => kinds.push(ArrayKind::Label),
            Role::Neurons | Role::Optimiser(_) => {}
        }
        let mut arrays = name(kinds);
        if role == Role::Loss {
            arrays[Array::new(2)].name = "first_spike".into();
            arrays[Array::new(3)].name = "loss".into();
        }
        Process {
            name: format!("process{k}"),
            role,
            lanes,
            coefs: coefs(&mut self.rng, lanes),
            arrays,
            output,
            tape,
            handlers: Vec::new(),
        }
    }

    fn channels(&mut self, program: &mut Program) {
        let emits = |p: &Process| matches!(p.role, Role::Source | Role::Neurons);
        let producers = program.processes.iter().filter(|(_, p)| emits(p));
        let producers: Vec<Proc> = producers.map(|(id, _)| id).collect();
        let mut channels = Vec::new();
        for (to, process) in program.processes.iter() {
            if process.role == Role::Source {
                continue;
            }
            let count = 1 + self.rng.below(self.limits.channels);
            // With exact times the loss alone takes values.
            let spikes_only = self.exact && process.role != Role::Loss;
            let fits =
                |id: &&Proc| !spikes_only || program.processes[**id].output == Output::Spikes;
            let producers: Vec<Proc> = producers.iter().filter(fits).copied().collect();
            let mut from: Vec<Proc> = (0..count).map(|_| *self.rng.pick(&producers)).collect();
            from.sort();
            for from in from {
                let delay = match process.role {
                    Role::Loss => 0,
                    _ => self.delay(program, from, to),
                };
                channels.push(Channel {
                    from,
                    to,
                    delay,
                    delays: None,
                    connection: self.connection(program.processes[from].lanes, process.lanes),
                    bound: None,
                });
            }
        }
        program.channels = channels.into_iter().collect();
    }

    /// Mostly short; now and then longer than the sample.
    fn delay(&mut self, program: &Program, from: Proc, to: Proc) -> u32 {
        let least = match program.window {
            Some(window) if from >= to => window,
            None if from >= to => 1,
            _ => program.first_tick,
        };
        let most = *self.rng.pick(&[1, 1, 2, 4, 15]);
        least + self.rng.below(most) as u32
    }

    fn connection(&mut self, sources: usize, lanes: usize) -> Connection {
        if self.rng.below(3) == 0 {
            return Connection::All;
        }
        if sources <= lanes && self.rng.below(6) == 0 {
            return Connection::one_to_one(sources);
        }
        let mut places = self.factors(sources);
        let last = places.pop().unwrap_or(1);
        // What the largest lanes of the axes that are left may add up to.
        let mut left = lanes - 1;
        let mut axes = Vec::new();
        for places in places {
            let reach = self.rng.below(left + 1);
            left -= reach;
            // The axis leaps over what the later ones reach, as the rows of an image do, or does not.
            let stride = if reach > 0 {
                1 + self.rng.below(reach)
            } else {
                1
            };
            axes.push(self.axis(places, reach, stride));
        }
        axes.push(self.axis(last, left, 1));
        Connection::Taps(axes)
    }

    /// Up to three numbers whose product this is.
    fn factors(&mut self, mut product: usize) -> Vec<usize> {
        let mut factors = Vec::new();
        for _ in 0..self.rng.below(3) {
            let divisors: Vec<usize> = (1..=product)
                .filter(|d| product.is_multiple_of(*d))
                .collect();
            let factor = *self.rng.pick(&divisors);
            factors.push(factor);
            product /= factor;
        }
        factors.push(product);
        factors
    }

    /// An axis whose lanes are multiples of `stride` up to `reach`.
    fn axis(&mut self, places: usize, reach: usize, stride: usize) -> Axis {
        let steps = reach / stride;
        let leap = 1 + self.rng.below(9);
        let at = |step: usize, weight: usize| Tap {
            lane: (step * stride) as u32,
            weight: weight as u32,
        };
        match self.rng.below(5) {
            // A convolution: the further a lane is to the right, the further left in the kernel it looks.
            0 | 1 => {
                let kernel = 1 + self.rng.below(5);
                let backwards = self.rng.below(2) == 0;
                let pooled = 1 + self.rng.below(2);
                Axis::new((0..places).map(|place| {
                    let reached = |k: usize| place / pooled + k;
                    let taps = (0..kernel).filter(|k| reached(*k) <= steps);
                    let taps = taps.map(|k| at(reached(k), (kernel - 1 - k) * leap));
                    if backwards {
                        taps.rev().collect()
                    } else {
                        taps.collect()
                    }
                }))
            }
            // Pooling, or one to one.
            2 => {
                let pool = 1 + self.rng.below(4);
                Axis::new((0..places).map(|place| vec![at((place / pool).min(steps), place)]))
            }
            // Everything everywhere.
            3 => Axis::new((0..places).map(|place| {
                let row = (steps + 1) * place;
                (0..=steps).map(|step| at(step, row + step)).collect()
            })),
            // Anything, with repeated lanes.
            _ => Axis::new((0..places).map(|_| {
                let count = self.rng.below(6);
                let tap = |_| at(self.rng.below(steps + 1), self.rng.below(7) * leap);
                (0..count).map(tap).collect()
            })),
        }
    }

    /// Weights for a channel; the loss takes what arrives as it is.
    fn tensor(&mut self, program: &mut Program, chan: Chan, to: Proc) {
        if program.processes[to].role == Role::Loss {
            return;
        }
        let channel = &program.channels[chan];
        let (rows, lanes) = match &channel.connection {
            Connection::All => (
                program.processes[channel.from].lanes,
                program.processes[to].lanes,
            ),
            taps => {
                let largest = taps.largest().map_or(0, |(_, weight)| weight as usize);
                (1, largest + 1 + self.rng.below(3))
            }
        };
        let scale = 2.0 / (1.0 + self.rng.below(8) as f32);
        let tensor = program.tensors.push(TensorDecl {
            name: format!("w{}", chan.index()),
            rows,
            lanes,
            values: (0..rows * lanes)
                .map(|_| self.rng.normal() * scale)
                .collect(),
            trainable: false,
        });
        let arrays = &mut program.processes[to].arrays;
        arrays.push(ArrayDecl {
            name: format!("{chan}.weight"),
            kind: ArrayKind::Param(tensor),
        });
        if self.backwards {
            arrays.push(ArrayDecl {
                name: format!("{chan}.gradient"),
                kind: ArrayKind::Gradient(tensor),
            });
        }
    }

    /// Delays of a channel's sources, some of them none.
    fn delays(&mut self, program: &mut Program, chan: Chan, to: Proc) {
        if program.processes[to].role == Role::Loss {
            return;
        }
        let sources = program.processes[program.channels[chan].from].lanes;
        let delay = |_| 3.0 * self.rng.normal();
        let tensor = program.tensors.push(TensorDecl {
            name: format!("d{}", chan.index()),
            rows: 1,
            lanes: sources,
            values: (0..sources).map(delay).collect(),
            trainable: false,
        });
        let values = program.processes[to].arrays.push(ArrayDecl {
            name: format!("{chan}.delay"),
            kind: ArrayKind::Param(tensor),
        });
        program.channels[chan].delays = Some(Delays {
            values,
            gradient: None,
        });
    }

    /// Gives most delays a gradient, where errors come back that say one.
    fn train_delays(&mut self, program: &mut Program, to: Proc) {
        let inputs: Vec<Chan> = program.incoming(to).map(|(id, _)| id).collect();
        for chan in inputs {
            let Some(delays) = program.channels[chan].delays else {
                continue;
            };
            if !program.carries_errors(chan) || self.rng.below(4) == 0 {
                continue;
            }
            let arrays = &mut program.processes[to].arrays;
            let ArrayKind::Param(tensor) = arrays[delays.values].kind else {
                continue;
            };
            let gradient = arrays.push(ArrayDecl {
                name: format!("{chan}.delay.gradient"),
                kind: ArrayKind::Gradient(tensor),
            });
            program.channels[chan].delays = Some(Delays {
                gradient: Some(gradient),
                ..delays
            });
        }
    }

    fn handlers(&mut self, program: &Program, id: Proc, takers: &[bool]) -> Vec<Handler> {
        let process = &program.processes[id];
        // Of common neurons, the events and the tick belong together.
        let common = process.role == Role::Neurons && self.rng.below(2) == 0;
        let mut handlers = Vec::new();
        for (chan, _) in program.incoming(id) {
            if self.rng.below(12) > 0 {
                handlers.push(self.event(program, process, chan, common));
            }
        }
        let others = match process.role {
            Role::Neurons if self.exact => self.between_arrivals(),
            Role::Neurons => vec![(HandlerKind::Tick, Domain::Lanes)],
            Role::Loss => vec![
                (HandlerKind::Turn, Domain::Lanes),
                (HandlerKind::Turn, Domain::Scalar),
            ],
            Role::Source | Role::Optimiser(_) => Vec::new(),
        };
        for (kind, domain) in others {
            let body = if common && kind == HandlerKind::Tick {
                tick(process)
            } else {
                BodyWriter::new(&mut self.rng, process, kind, domain, 1, program).write()
            };
            handlers.push(Handler { kind, domain, body });
        }
        if self.backwards {
            let mut way = WayBack {
                rng: &mut self.rng,
                program,
                process,
                common,
            };
            handlers.extend(way.handlers(id, takers));
        }
        handlers
    }

    fn between_arrivals(&mut self) -> Vec<(HandlerKind, Domain)> {
        let mut kinds = vec![(HandlerKind::Cross, Domain::Lanes)];
        if self.rng.below(4) > 0 {
            kinds.push((HandlerKind::Window, Domain::Lanes));
        }
        if self.backwards && self.rng.below(2) == 0 {
            kinds.push((HandlerKind::Turn, Domain::Lanes));
        }
        kinds
    }

    fn event(&mut self, program: &Program, process: &Process, chan: Chan, common: bool) -> Handler {
        let kind = HandlerKind::Event(chan);
        let channel = &program.channels[chan];
        let sources = program.processes[channel.from].lanes;
        let weights = process.array(&format!("{chan}.weight"));
        let domain = match channel.connection {
            Connection::Taps(_) => Domain::Synapses,
            Connection::All if common || sources > process.lanes => Domain::Lanes,
            Connection::All => *self.rng.pick(&[Domain::Lanes, Domain::Lane]),
        };
        let body = match weights {
            Some(weights) if common => self.sum(weights, domain, program.carries_values(chan)),
            _ => BodyWriter::new(&mut self.rng, process, kind, domain, sources, program).write(),
        };
        Handler { kind, domain, body }
    }

    /// A weight, times the value that arrived if there is one, is added or subtracted.
    fn sum(&mut self, weights: Array, domain: Domain, values: bool) -> Body {
        let row = if domain == Domain::Synapses {
            Row::Synapse
        } else {
            Row::Source
        };
        let mut body = Body::default();
        let x = body.push(Op::Load(Array::new(X)));
        let w = body.push(Op::LoadRow(weights, row));
        let factor = match (values, self.rng.below(4)) {
            (true, _) => Some(Op::Payload),
            (false, 0) => Some(Op::Coef(Coef::new(self.rng.below(2)))),
            (false, _) => None,
        };
        let factor = factor.map(|op| body.push(op));
        let sum = match (factor, self.rng.below(4)) {
            (Some(factor), 0) => Op::Fma(w, factor, x),
            (Some(factor), way) => {
                let product = body.push(Op::Binary(Binary::Mul, factor, w));
                sum(way, x, product)
            }
            (None, way) => sum(way, x, w),
        };
        let sum = body.push(sum);
        body.stmts.push(Stmt::Store(Array::new(X), sum));
        body
    }
}

/// Makes states of parameters and gradients that no body names: the verifier knows from the bodies what shape
/// they have. Delays of sources have theirs by their channel.
fn forget_unnamed(program: &mut Program, id: Proc) {
    let delays = program.incoming(id).filter_map(|(_, c)| c.delays);
    let mut named: Vec<Array> = delays
        .flat_map(|delays| [Some(delays.values), delays.gradient])
        .flatten()
        .collect();
    let process = &mut program.processes[id];
    let stmts = process.handlers.iter().flat_map(|h| &h.body.stmts);
    named.extend(stmts.filter_map(|stmt| match stmt {
        Stmt::Let(_, Op::LoadRow(array, _) | Op::Load(array))
        | Stmt::Store(array, _)
        | Stmt::StoreRow(array, ..) => Some(*array),
        _ => None,
    }));
    let ids: Vec<Array> = process.arrays.keys().collect();
    for id in ids {
        let array = &mut process.arrays[id];
        let of_tensor = matches!(array.kind, ArrayKind::Param(_) | ArrayKind::Gradient(_));
        if of_tensor && !named.contains(&id) {
            array.kind = ArrayKind::State { init: 0.0 };
        }
    }
}

fn sum(way: usize, x: nirc_ir::event::Value, arrived: nirc_ir::event::Value) -> Op {
    match way {
        0 | 1 => Op::Binary(Binary::Add, x, arrived),
        2 => Op::Binary(Binary::Add, arrived, x),
        _ => Op::Binary(Binary::Sub, x, arrived),
    }
}

/// A leaky integrator, which fires and is reset if it has a tape.
fn tick(process: &Process) -> Body {
    let [v, x, trace] = [V, X, 4].map(Array::new);
    let mut body = Body::default();
    let before = body.push(Op::Load(v));
    let arrived = body.push(Op::Load(x));
    let leak = body.push(Op::Coef(Coef::new(0)));
    let kept = body.push(Op::Binary(Binary::Mul, before, leak));
    let now = body.push(Op::Binary(Binary::Add, kept, arrived));
    let zero = body.push(Op::Const(0.0));
    body.stmts.push(Stmt::Store(x, zero));
    body.stmts.push(Stmt::Probe(trace, now));
    let mut next = now;
    if let Some(tape) = &process.tape {
        let one = body.push(Op::Const(1.0));
        let fires = body.push(Op::Cmp(Cmp::Gt, now, one));
        next = body.push(Op::Select(fires, zero, now));
        let fields = tape.fields.iter();
        let fields = fields.map(|_| Op::Binary(Binary::Sub, now, one)).collect();
        body.stmts.push(Stmt::Spike {
            cond: fires,
            time: None,
            fields,
        });
    }
    body.stmts.push(Stmt::Store(v, next));
    body
}

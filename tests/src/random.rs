//! Programs that no compiler would write, which go backwards and learn: random bodies of random shape, within the
//! verifier's rules.

use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayKind, Chan, Channel, Domain, Handler, HandlerKind, Output, Proc, Process, Program,
    Role, SpikeTape, Tensor, TensorDecl,
};

use crate::bodies::{BodyWriter, coefs, name};
use crate::forward::{self, Limits};
use crate::rng::Rng;

/// What programs may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A source, two populations and a loss, spikes over all-to-all channels with a delay of 1 that lead forward,
    /// and an optimiser for every tensor.
    Plain,
    /// Everything that [`forward`](mod@forward) has, and every way back through it.
    Any(Limits),
}

/// A random program that follows from the seed.
pub fn program(seed: u64, shape: Shape) -> Program {
    match shape {
        Shape::Plain => Writer::new(seed).program(),
        Shape::Any(limits) => forward::backwards(seed, limits),
    }
}

/// Writes plain programs.
struct Writer {
    rng: Rng,
    ticks: u32,
    sizes: [usize; 4],
}

impl Writer {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut size = || *rng.pick(&[1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 33, 64]);
        let output = size();
        let sizes = [size(), size(), output, output];
        let ticks = 2 + rng.below(9) as u32;
        Self { rng, ticks, sizes }
    }

    fn program(&mut self) -> Program {
        let [inputs, hidden, outputs, _] = self.sizes;
        let tensors = [
            (inputs, hidden),
            (1, hidden),
            (hidden, outputs),
            (inputs, outputs),
        ];
        let ends = [(0, 1), (0, 2), (1, 2), (2, 3)];
        let mut program = Program {
            name: "random".into(),
            ticks: self.ticks,
            dt: 0.001,
            first_tick: 1,
            window: None,
            replicas: 1 + self.rng.below(4),
            tensors: tensors
                .iter()
                .enumerate()
                .map(|(k, t)| self.tensor(k, *t))
                .collect(),
            processes: PrimaryMap::new(),
            channels: ends
                .iter()
                .map(|(from, to)| Channel {
                    from: Proc::new(*from),
                    to: Proc::new(*to),
                    delay: u32::from(*to < 3),
                    delays: None,
                    connection: Connection::All,
                    bound: Some(if self.rng.below(8) == 0 { 20 } else { 10_000 }),
                })
                .collect(),
        };
        for (k, role) in [Role::Source, Role::Neurons, Role::Neurons, Role::Loss]
            .into_iter()
            .enumerate()
        {
            let process = self.process(k, role, &program);
            program.processes.push(process);
        }
        for (tensor, decl) in program.tensors.clone().iter() {
            let process = optimiser(&mut self.rng, tensor, decl.rows * decl.lanes, &program);
            program.processes.push(process);
        }
        program
    }

    fn tensor(&mut self, k: usize, (rows, lanes): (usize, usize)) -> TensorDecl {
        TensorDecl {
            name: format!("w{k}"),
            rows,
            lanes,
            values: (0..rows * lanes).map(|_| self.rng.normal()).collect(),
            trainable: true,
        }
    }

    fn process(&mut self, k: usize, role: Role, program: &Program) -> Process {
        let lanes = self.sizes[k];
        let mut process = Process {
            name: format!("process{k}"),
            role,
            lanes,
            coefs: coefs(&mut self.rng, lanes),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: None,
            handlers: Vec::new(),
        };
        if role == Role::Source {
            return process;
        }
        let init = self.rng.normal();
        let mut kinds = vec![ArrayKind::State { init }; 3];
        kinds.extend([
            ArrayKind::Scalar { init },
            ArrayKind::Trace,
            ArrayKind::State { init: 0.0 },
        ]);
        // Channel `c` has the tensor of the same consumer and width.
        let inputs: Vec<(Chan, usize)> = program
            .channels
            .iter()
            .filter(|(_, c)| c.to == Proc::new(k))
            .map(|(id, c)| (id, self.sizes[c.from.index()]))
            .collect();
        if role == Role::Neurons {
            // Two tensors each, in the order of `Self::program`.
            let tensors = program.tensors.keys();
            for tensor in tensors.filter(|t| 1 + t.index() / 2 == k) {
                kinds.extend([ArrayKind::Param(tensor), ArrayKind::Gradient(tensor)]);
            }
            let bound = if self.rng.below(8) == 0 { 10 } else { 10_000 };
            let fields = self.rng.below(4);
            process.tape = Some(SpikeTape {
                fields: (0..fields).map(|i| format!("field{i}")).collect(),
                bound: Some(bound),
            });
        } else {
            kinds.extend([ArrayKind::Label, ArrayKind::GivenError]);
        }
        process.arrays = name(kinds);
        if role == Role::Loss {
            for (array, wanted) in [(3, "loss"), (0, "first_spike")] {
                process.arrays[Array::new(array)].name = wanted.into();
            }
        }
        for (chan, width) in inputs {
            self.channel_handlers(&mut process, chan, width, program);
        }
        let kinds = match role {
            Role::Neurons => vec![
                (HandlerKind::Tick, Domain::Lanes),
                (HandlerKind::AdjointTick, Domain::Lanes),
                (HandlerKind::Spike, Domain::Lane),
                (HandlerKind::GradientTick, Domain::Lanes),
            ],
            _ => vec![
                (HandlerKind::Turn, Domain::Lanes),
                (HandlerKind::Turn, Domain::Scalar),
                (HandlerKind::Turn, Domain::Lanes),
            ],
        };
        for (kind, domain) in kinds {
            self.handler(&mut process, kind, domain, 1, program);
        }
        process
    }

    fn channel_handlers(
        &mut self,
        process: &mut Process,
        chan: Chan,
        width: usize,
        program: &Program,
    ) {
        let from = program.channels[chan].from;
        let kinds = [HandlerKind::Event(chan), HandlerKind::Message(chan)];
        // A source takes no errors.
        let kinds = &kinds[..if from.index() == 0 { 1 } else { 2 }];
        for kind in kinds.iter().copied() {
            let lane = width <= process.lanes && self.rng.below(2) == 0;
            let domain = if lane { Domain::Lane } else { Domain::Lanes };
            self.handler(process, kind, domain, width, program);
        }
        if process.role == Role::Neurons {
            let kind = HandlerKind::Gradient(chan);
            self.handler(process, kind, Domain::Lanes, width, program);
        }
    }

    fn handler(
        &mut self,
        process: &mut Process,
        kind: HandlerKind,
        domain: Domain,
        sources: usize,
        program: &Program,
    ) {
        let body = BodyWriter::new(&mut self.rng, process, kind, domain, sources, program).write();
        process.handlers.push(Handler { kind, domain, body });
    }
}

/// A process that updates a tensor of so many elements.
pub(crate) fn optimiser(rng: &mut Rng, tensor: Tensor, lanes: usize, program: &Program) -> Process {
    let init = rng.normal();
    let mut process = Process {
        name: format!("optimiser{}", tensor.index()),
        role: Role::Optimiser(tensor),
        lanes,
        coefs: coefs(rng, lanes),
        arrays: name(vec![
            ArrayKind::Param(tensor),
            ArrayKind::Gathered,
            ArrayKind::Moment,
            ArrayKind::Counter { init },
            ArrayKind::Counter { init: 0.0 },
        ]),
        output: Output::Spikes,
        tape: None,
        handlers: Vec::new(),
    };
    let mut kinds = vec![
        (HandlerKind::Gather, Domain::Lanes),
        (HandlerKind::Schedule, Domain::Scalar),
        (HandlerKind::Update, Domain::Lanes),
    ];
    if rng.below(2) == 0 {
        kinds.insert(1, (HandlerKind::Measure, Domain::Lanes));
    }
    for (kind, domain) in kinds {
        let body = BodyWriter::new(rng, &process, kind, domain, 1, program).write();
        process.handlers.push(Handler { kind, domain, body });
    }
    process
}

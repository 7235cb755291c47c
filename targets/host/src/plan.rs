//! A program, compiled: where everything lies and what runs when.

use std::ops::Range;

use nirc_ir::Diagnostic;
use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayKind, Chan, Channel, Delays, Domain, Handler, HandlerKind, Outgoing, Output, Proc,
    Process, Program, Role, Stmt, Tensor,
};
use nirc_ir::verify::verify;

use crate::arrivals::BackCode;
use crate::code::Routine;
use crate::compile::{self, Context, Home};
use crate::course::Windows;
use crate::facts;
use crate::frame::FIELDS;
use crate::hoist::Split;
use crate::isa::Isa;
use crate::lists::ListCode;
use crate::order;
use crate::prepared::Prepared;
use crate::rest;
use crate::rows::Rows;
use crate::space::{Shape, Space, Weights};
use crate::synapses::SynapseCode;

/// Everything about a program that does not change while it runs.
pub(crate) struct Plan {
    pub(crate) program: Program,
    pub(crate) isa: Isa,
    pub(crate) weights: Weights,
    /// What the arena of a replica starts from.
    pub(crate) image: Vec<f32>,
    /// What the memory starts from that lists run on.
    pub(crate) common: Vec<f32>,
    /// Part of it that every sample starts from anew.
    pub(crate) states: Range<usize>,
    /// Part of it that is zeroed for every sample.
    pub(crate) traces: Range<usize>,
    /// Part of it that is zeroed for every batch.
    pub(crate) gradients: Range<usize>,
    /// Slots of the label.
    pub(crate) labels: Vec<usize>,
    /// Where given errors go.
    pub(crate) given: Vec<(usize, Shape)>,
    /// What is kept of each sample.
    pub(crate) results: Results,
    /// Of exact event times.
    pub(crate) windows: Option<Windows>,
    pub(crate) processes: Vec<ProcessPlan>,
    /// Those that run one after the other, and those that run together.
    pub(crate) groups: Vec<Range<usize>>,
    /// Values of a bin in a sample, of all sources together.
    pub(crate) values: usize,
    /// The numbers of the lanes of any process that emits values.
    pub(crate) lanes: Vec<u32>,
    /// By process.
    pub(crate) optimisers: Vec<(Proc, OptimiserPlan)>,
}

/// Where the loss process keeps what a sample's outcome is made of; empty where it has none.
#[derive(Clone, Default)]
pub(crate) struct Results {
    pub(crate) first_spike: Range<usize>,
    pub(crate) score: Range<usize>,
    pub(crate) loss: Range<usize>,
    pub(crate) cross_entropy: Range<usize>,
}

impl Results {
    fn new(program: &Program, processes: &[ProcessPlan]) -> Self {
        let Some(loss) = program.loss() else {
            return Self::default();
        };
        let plan = &processes[loss.index()];
        let range = |name| {
            let array = program.processes[loss].array(name)?;
            Some(plan.homes[array].elements(&plan.shape))
        };
        Self {
            first_spike: range("first_spike").unwrap_or_default(),
            score: range("score").unwrap_or_default(),
            loss: range("loss").unwrap_or_default(),
            cross_entropy: range("cross_entropy").unwrap_or_default(),
        }
    }

    /// Its four parts.
    pub(crate) fn ranges(&self) -> [Range<usize>; 4] {
        [
            self.first_spike.clone(),
            self.score.clone(),
            self.loss.clone(),
            self.cross_entropy.clone(),
        ]
    }
}

/// A process of a replica. Optimisers have a plan of their own and are empty here.
pub(crate) struct ProcessPlan {
    pub(crate) role: Role,
    pub(crate) shape: Shape,
    pub(crate) homes: PrimaryMap<Array, Home>,
    pub(crate) emission: Emission,
    /// Fields of the tape of own spikes.
    pub(crate) fields: usize,
    /// Most own spikes.
    pub(crate) bound: usize,
    /// Of each channel that brings errors, ascending, the bins from the first on for which it does.
    pub(crate) errors: Vec<u32>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) tick: Option<Routine>,
    pub(crate) turn: Vec<Routine>,
    pub(crate) adjoint_tick: Option<Routine>,
    /// With the place of the errors of a bin's values.
    pub(crate) value: Option<(usize, Routine)>,
    pub(crate) spike: Option<Routine>,
    pub(crate) gradient_tick: Option<Routine>,
    /// Of exact event times.
    pub(crate) exact: Option<ExactPlan>,
    /// Whether ticks do nothing before the first spike arrives.
    pub(crate) tick_rests: bool,
    /// Arrays whose change at the spike of a lane is the first thing that adjoint ticks have to see.
    pub(crate) adjoint_rests: Option<Vec<usize>>,
}

/// What a process does of exact event times.
pub(crate) struct ExactPlan {
    pub(crate) window: Option<Routine>,
    pub(crate) search: Option<Search>,
    /// For own spikes on the way back.
    pub(crate) spike: Option<ListCode>,
    pub(crate) adjoint_window: Option<Routine>,
    /// By channel, its messages and gradients for many arrivals at once.
    pub(crate) back: Vec<Option<BackCode>>,
    /// Who takes its spikes, and over which of their channels.
    pub(crate) consumers: Vec<(usize, usize)>,
}

/// The search for spikes in an interval.
pub(crate) struct Search {
    /// Which lanes it is for, if not for all.
    pub(crate) rows: Option<Rows>,
    pub(crate) code: ListCode,
}

/// Where the delays of a channel's sources lie.
pub(crate) struct DelayPlaces {
    /// In the weights.
    pub(crate) values: usize,
    /// In the arena.
    pub(crate) gradient: Option<usize>,
}

/// What a process emits, and where it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emission {
    /// Spikes of its own.
    Fired,
    /// Spikes of the sample from this channel on.
    Spikes(u32),
    /// Values of the sample from this one of a bin on.
    Values(usize),
    /// The lanes at this place of the arena.
    State(usize),
}

impl Emission {
    fn new(program: &Program, id: Proc, homes: &PrimaryMap<Array, Home>) -> Self {
        let process = &program.processes[id];
        let first = || {
            let mut sources = program.sources(process.output);
            sources
                .find(|(source, _)| *source == id)
                .map_or(0, |(_, first)| first)
        };
        match (process.role, process.output) {
            (_, Output::State(state)) => Self::State(homes[state].in_arena().unwrap_or_default()),
            (_, Output::Given) => Self::Values(first()),
            (Role::Source, Output::Spikes) => {
                Self::Spikes(u32::try_from(first()).unwrap_or(u32::MAX))
            }
            (_, Output::Spikes) => Self::Fired,
        }
    }
}

/// An incoming channel.
pub(crate) struct Input {
    pub(crate) from: usize,
    /// Bins on the way.
    pub(crate) delay: u32,
    /// Delays of its sources beside that.
    pub(crate) delays: Option<DelayPlaces>,
    /// Values a bin; nothing if it brings spikes.
    pub(crate) values: Option<usize>,
    /// Most spikes that it may bring.
    pub(crate) bound: usize,
    pub(crate) event: Option<Routine>,
    /// The same in two, of exact event times.
    pub(crate) prepared: Option<Prepared>,
    pub(crate) message: Option<Message>,
    pub(crate) gradient: Option<Routine>,
}

/// What sends errors back over a channel.
pub(crate) struct Message {
    /// The number of the channel among those that send errors to its producer.
    pub(crate) slot: usize,
    /// Bins from the first on for which it sends any.
    pub(crate) bins: u32,
    pub(crate) routine: Routine,
}

/// An optimiser process.
pub(crate) struct OptimiserPlan {
    /// Where its tensor lies in the weights.
    pub(crate) weights: Range<usize>,
    pub(crate) shape: Shape,
    pub(crate) homes: PrimaryMap<Array, Home>,
    pub(crate) image: Vec<f32>,
    /// Its gathered array.
    pub(crate) gathered: Option<usize>,
    /// Its parameter array.
    pub(crate) parameter: Option<usize>,
    /// The gradient in the arena of a replica.
    pub(crate) gradient: Option<usize>,
    pub(crate) gather: Option<Routine>,
    pub(crate) measure: Option<Routine>,
    pub(crate) schedule: Option<Routine>,
    pub(crate) update: Option<Routine>,
}

impl Plan {
    /// Checks and compiles a program.
    pub(crate) fn new(program: &Program, isa: Isa) -> Result<Self, Diagnostic> {
        verified(program)?;
        let weights = Weights::new(program);
        let mut layout = Layout::new(program, &weights);
        let states =
            layout.place(|kind| matches!(kind, ArrayKind::State { .. } | ArrayKind::Scalar { .. }));
        let traces = layout.place(|kind| kind == ArrayKind::Trace);
        let gradients = layout.place(|kind| matches!(kind, ArrayKind::Gradient(_)));
        layout.place(|_| true);
        let Layout {
            mut space, homes, ..
        } = layout;

        let mut common = Space::default();
        if program.window.is_some() {
            reserve_slots(&mut common, program.processes.values());
        }
        let mut processes: Vec<ProcessPlan> = program
            .processes
            .keys()
            .zip(homes)
            .map(|(id, homes)| ProcessPlan::new(program, id, homes, &mut space, &mut common))
            .collect();
        let optimisers = program
            .processes
            .iter()
            .filter_map(|(id, process)| match process.role {
                Role::Optimiser(tensor) => {
                    let gradient = gradient_of(program, &processes, tensor);
                    let plan = OptimiserPlan::new(program, id, tensor, gradient, &weights);
                    Some((id, plan))
                }
                _ => None,
            })
            .collect();
        let image = space.into_image();
        for (process, plan) in program.processes.values().zip(&mut processes) {
            if process.role == Role::Neurons {
                plan.tick_rests = rest::tick(process, plan, &image);
                plan.adjoint_rests = rest::adjoint(process, plan, &image);
            }
        }
        let given = places(program, &processes, ArrayKind::GivenError);
        let labels = places(program, &processes, ArrayKind::Label);
        let emitted = program
            .processes
            .values()
            .filter(|p| p.output != Output::Spikes);
        let lanes = emitted.map(|p| p.lanes).max().unwrap_or(0);
        Ok(Self {
            program: program.clone(),
            isa,
            groups: order::groups(program),
            values: program.source_channels(Output::Given),
            lanes: (0..).take(lanes).collect(),
            windows: program.windows().map(|(count, rest)| Windows {
                count,
                bins: program.window.unwrap_or_default(),
                rest,
            }),
            weights,
            image,
            common: common.into_image(),
            states,
            traces,
            gradients,
            results: Results::new(program, &processes),
            labels: labels.into_iter().map(|(base, _)| base).collect(),
            given,
            processes,
            optimisers,
        })
    }
}

impl Plan {
    /// Lanes of the largest process of a replica.
    pub(crate) fn most_lanes(&self) -> usize {
        let lanes = self.processes.iter().map(|p| p.shape.lanes);
        lanes.max().unwrap_or(0)
    }
}

/// Compiled code names memory by offsets and looks at nothing twice; the first problem is as good as all.
fn verified(program: &Program) -> Result<(), Diagnostic> {
    let first = verify(program)
        .err()
        .and_then(|all| all.0.into_iter().next());
    first.map_or(Ok(()), Err)
}

/// Reserves the arrays of all processes of a replica.
struct Layout<'a> {
    program: &'a Program,
    weights: &'a Weights,
    space: Space,
    homes: Vec<PrimaryMap<Array, Home>>,
    placed: Vec<Vec<bool>>,
}

impl<'a> Layout<'a> {
    fn new(program: &'a Program, weights: &'a Weights) -> Self {
        let networks = program.processes.values().map(|p| match p.role {
            Role::Optimiser(_) => 0,
            _ => p.arrays.len(),
        });
        let mut space = Space::default();
        reserve_slots(&mut space, program.processes.values());
        Self {
            program,
            weights,
            space,
            homes: networks
                .clone()
                .map(|n| (0..n).map(|_| Home::Scalar(0)).collect())
                .collect(),
            placed: networks.map(|n| vec![false; n]).collect(),
        }
    }

    /// Places all arrays of these kinds that have no place yet, next to one another.
    fn place(&mut self, which: impl Fn(ArrayKind) -> bool) -> Range<usize> {
        self.space.close_line();
        let start = self.space.len();
        for (id, process) in self.program.processes.iter() {
            let keys: Vec<Array> = self.homes[id.index()].keys().collect();
            for array in keys {
                let kind = process.arrays[array].kind;
                let placed = &mut self.placed[id.index()][array.index()];
                if !*placed && which(kind) {
                    *placed = true;
                    self.homes[id.index()][array] = self.home(process, kind);
                }
            }
        }
        self.space.close_line();
        start..self.space.len()
    }

    fn home(&mut self, process: &Process, kind: ArrayKind) -> Home {
        let ticks = self.program.ticks as usize;
        let shape = Shape::population(process.lanes);
        match kind {
            ArrayKind::Scalar { init } | ArrayKind::Counter { init } => {
                Home::Scalar(self.space.scalar(init))
            }
            ArrayKind::Label => Home::Scalar(self.space.scalar(0.0)),
            ArrayKind::State { init } => Home::Arena(self.space.array(shape.padded, init)),
            ArrayKind::Moment | ArrayKind::Gathered => {
                Home::Arena(self.space.array(shape.padded, 0.0))
            }
            ArrayKind::GivenError | ArrayKind::Trace => {
                Home::Arena(self.space.array(ticks * shape.stride, 0.0))
            }
            ArrayKind::Gradient(tensor) => {
                let (_, shape) = self.weights.place(tensor);
                Home::Arena(self.space.array(shape.padded, 0.0))
            }
            ArrayKind::Param(tensor) => {
                let (base, _) = self.weights.place(tensor);
                Home::Weights(u32::try_from(base).unwrap_or(u32::MAX))
            }
        }
    }
}

/// Reserves the slots that routines and their callers share.
fn reserve_slots<'a>(space: &mut Space, processes: impl Iterator<Item = &'a Process>) {
    let fields = processes
        .filter_map(|p| p.tape.as_ref())
        .map(|t| t.fields.len());
    space.array(FIELDS as usize + fields.max().unwrap_or(0), 0.0);
}

fn gradient_of(program: &Program, plans: &[ProcessPlan], tensor: Tensor) -> Option<usize> {
    let first = places(program, plans, ArrayKind::Gradient(tensor));
    first.first().map(|(base, _)| *base)
}

/// The places of all arrays of a kind, with the shape of their rows.
fn places(program: &Program, plans: &[ProcessPlan], kind: ArrayKind) -> Vec<(usize, Shape)> {
    let mut found = Vec::new();
    for (process, plan) in program.processes.values().zip(plans) {
        for (array, home) in plan.homes.iter() {
            if process.arrays[array].kind == kind
                && let Home::Arena(base) | Home::Scalar(base) = home
            {
                found.push((*base as usize, plan.shape));
            }
        }
    }
    found
}

impl ProcessPlan {
    fn new(
        program: &Program,
        id: Proc,
        homes: PrimaryMap<Array, Home>,
        space: &mut Space,
        common: &mut Space,
    ) -> Self {
        let process = &program.processes[id];
        let shape = Shape::population(process.lanes);
        let network = !matches!(process.role, Role::Optimiser(_));
        let mut compile = |handler: &Handler| {
            let mut context = Context {
                process,
                shape,
                homes: &homes,
                space: &mut *space,
            };
            match channel_of(handler.kind) {
                Some(chan) => compiled(&program.channels[chan].connection, &mut context, handler),
                None => compile::compile(&mut context, handler),
            }
        };
        let mut routine = |kind| process.handler(kind).filter(|_| network).map(&mut compile);
        let mut inputs: Vec<Input> = program
            .incoming(id)
            .map(|(chan, channel)| Input {
                from: channel.from.index(),
                delay: channel.delay,
                delays: channel.delays.map(|delays| places_of(delays, &homes)),
                values: values(program, chan, channel),
                bound: channel.bound.unwrap_or(usize::MAX),
                event: routine(HandlerKind::Event(chan)),
                prepared: None,
                message: routine(HandlerKind::Message(chan)).map(|routine| Message {
                    slot: error_slot(program, chan),
                    bins: error_bins(program, chan, channel),
                    routine,
                }),
                gradient: routine(HandlerKind::Gradient(chan)),
            })
            .collect();
        let [tick, adjoint_tick, spike, gradient_tick] = [
            HandlerKind::Tick,
            HandlerKind::AdjointTick,
            HandlerKind::Spike,
            HandlerKind::GradientTick,
        ]
        .map(&mut routine);
        let value = routine(HandlerKind::Value);
        let [window, adjoint_window] =
            [HandlerKind::Window, HandlerKind::AdjointWindow].map(&mut routine);
        let turn = process
            .handlers
            .iter()
            .filter(|h| h.kind == HandlerKind::Turn);
        let turn = turn.filter(|_| network).map(compile).collect();
        let exact = program.window.filter(|_| network).map(|_| {
            let mut context = Context {
                process,
                shape,
                homes: &homes,
                space: &mut *space,
            };
            for ((chan, channel), input) in program.incoming(id).zip(&mut inputs) {
                let event = process.handler(HandlerKind::Event(chan));
                input.prepared = event.and_then(|event| {
                    Prepared::new(&mut context, common, event, |context, rest| {
                        compiled(&channel.connection, context, rest)
                    })
                });
            }
            context.space = common;
            let cross = process.handler(HandlerKind::Cross);
            let search = cross.map(|cross| Search {
                rows: Rows::new(&mut context, cross),
                code: ListCode::new(&mut context, cross),
            });
            let spike = process.handler(HandlerKind::Spike);
            ExactPlan {
                window,
                search,
                spike: spike.map(|spike| ListCode::new(&mut context, spike)),
                adjoint_window,
                back: program
                    .incoming(id)
                    .map(|(chan, channel)| {
                        let kinds = [HandlerKind::Message(chan), HandlerKind::Gradient(chan)];
                        BackCode::new(&mut context, channel, kinds)
                    })
                    .collect(),
                consumers: consumers(program, id),
            }
        });
        Self {
            role: process.role,
            shape,
            emission: Emission::new(program, id, &homes),
            fields: process.tape.as_ref().map_or(0, |t| t.fields.len()),
            bound: tape_bound(process),
            errors: error_channels(program, id)
                .map(|(chan, channel)| error_bins(program, chan, channel))
                .collect(),
            inputs,
            tick,
            turn,
            adjoint_tick,
            value: value.map(|routine| (space.passed(shape.padded, 0) as usize, routine)),
            spike,
            gradient_tick,
            exact,
            tick_rests: false,
            adjoint_rests: None,
            homes,
        }
    }

    /// Whether it has a part in the way back.
    pub(crate) fn goes_back(&self) -> bool {
        matches!(self.role, Role::Neurons | Role::Loss)
    }
}

/// Compiles a handler of a channel with this connection.
fn compiled(connection: &Connection, context: &mut Context<'_>, handler: &Handler) -> Routine {
    match handler.domain {
        Domain::Synapses => over_synapses(connection, context, handler),
        _ => compile::compile(context, handler),
    }
}

/// Compiles a handler over the synapses of a connection.
fn over_synapses(connection: &Connection, context: &mut Context<'_>, handler: &Handler) -> Routine {
    let sent = handler.body.stmts.iter().find_map(|stmt| match stmt {
        Stmt::Send(Outgoing::Fold(fold)) => Some(facts::identity(*fold)),
        _ => None,
    });
    let padded = context.shape.padded;
    let split = Split::new(context.process, context.homes, handler, |k| {
        context.space.passed(padded, k)
    });
    let (before, each) = match split {
        None => (None, compile::compile(context, handler)),
        Some(split) => {
            let mut context = Context {
                process: &split.process,
                homes: &split.homes,
                shape: context.shape,
                space: &mut *context.space,
            };
            let before = compile::compile(&mut context, &split.before);
            (Some(before), compile::compile(&mut context, &split.each))
        }
    };
    let before = before.and_then(|routine| match routine {
        Routine::Vector(code) => Some(code),
        _ => None,
    });
    let code = match each {
        Routine::Lane(steps) => SynapseCode::new(connection, before, steps, sent),
        _ => None,
    };
    code.map_or_else(
        || Routine::Lane(Box::default()),
        |code| Routine::Synapses(Box::new(code)),
    )
}

/// Who takes what a process emits, and which of their channels brings it.
fn consumers(program: &Program, producer: Proc) -> Vec<(usize, usize)> {
    let outgoing = program.outgoing(producer);
    outgoing
        .map(|(chan, channel)| {
            let before = program.incoming(channel.to).take_while(|(c, _)| *c < chan);
            (channel.to.index(), before.count())
        })
        .collect()
}

fn places_of(delays: Delays, homes: &PrimaryMap<Array, Home>) -> DelayPlaces {
    let place = |array: Array| match homes[array] {
        Home::Scalar(base) | Home::Arena(base) | Home::Weights(base) => base as usize,
    };
    DelayPlaces {
        values: place(delays.values),
        gradient: delays.gradient.map(place),
    }
}

/// The channel that a handler is for.
fn channel_of(kind: HandlerKind) -> Option<Chan> {
    match kind {
        HandlerKind::Event(chan) | HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
            Some(chan)
        }
        _ => None,
    }
}

/// Values that a channel brings a bin.
fn values(program: &Program, chan: Chan, channel: &Channel) -> Option<usize> {
    let lanes = program.processes[channel.from].lanes;
    program.carries_values(chan).then_some(lanes)
}

/// The channels that bring errors to `producer`, ascending.
fn error_channels(program: &Program, producer: Proc) -> impl Iterator<Item = (Chan, &Channel)> {
    let channels = program.outgoing(producer);
    channels.filter(|(chan, _)| program.carries_errors(*chan))
}

fn error_slot(program: &Program, chan: Chan) -> usize {
    let producer = program.channels[chan].from;
    error_channels(program, producer)
        .take_while(|(c, _)| *c < chan)
        .count()
}

/// Of how many bins, from the first on, a channel sends errors back: of those that are taken in time, but for
/// spikes of the last bin that reach the loss.
fn error_bins(program: &Program, chan: Chan, channel: &Channel) -> u32 {
    let to_loss = program.processes[channel.to].role == Role::Loss;
    let late = if to_loss && !program.carries_values(chan) {
        1
    } else {
        channel.delay
    };
    program.ticks.saturating_sub(late)
}

impl OptimiserPlan {
    fn new(
        program: &Program,
        id: Proc,
        tensor: Tensor,
        gradient: Option<usize>,
        weights: &Weights,
    ) -> Self {
        let process = &program.processes[id];
        let (base, shape) = weights.place(tensor);
        let mut space = Space::default();
        reserve_slots(&mut space, std::iter::once(process));
        let mut find = |kind: ArrayKind| match kind {
            ArrayKind::Scalar { init } | ArrayKind::Counter { init } => {
                Home::Scalar(space.scalar(init))
            }
            ArrayKind::Label => Home::Scalar(space.scalar(0.0)),
            ArrayKind::State { init } => Home::Arena(space.array(shape.padded, init)),
            ArrayKind::Trace | ArrayKind::GivenError => {
                let rows = program.ticks as usize;
                Home::Arena(space.array(rows * shape.padded, 0.0))
            }
            _ => Home::Arena(space.array(shape.padded, 0.0)),
        };
        let homes: PrimaryMap<Array, Home> = process
            .arrays
            .values()
            .map(|decl| find(decl.kind))
            .collect();
        let [gather, measure, schedule, update] = [
            HandlerKind::Gather,
            HandlerKind::Measure,
            HandlerKind::Schedule,
            HandlerKind::Update,
        ]
        .map(|kind| {
            let mut context = Context {
                process,
                shape,
                homes: &homes,
                space: &mut space,
            };
            let handler = process.handler(kind)?;
            Some(compile::compile(&mut context, handler))
        });
        let place = |kind| match homes[process.array_of(kind)?] {
            Home::Arena(base) => Some(base as usize),
            _ => None,
        };
        let parameter = place(ArrayKind::Param(tensor));
        let gathered = place(ArrayKind::Gathered);
        let mut image = space.into_image();
        if let Some(to) = parameter {
            let initial = &weights.image()[base..base + shape.padded];
            image[to..to + shape.padded].copy_from_slice(initial);
        }
        Self {
            weights: base..base + shape.padded,
            shape,
            homes,
            image,
            gathered,
            parameter,
            gradient,
            gather,
            measure,
            schedule,
            update,
        }
    }
}

/// Most spikes that a process' tape can hold.
fn tape_bound(process: &Process) -> usize {
    let bound = process.tape.as_ref().and_then(|tape| tape.bound);
    bound.unwrap_or(usize::MAX)
}

//! Slices of processes, and the channels between them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, Chan, Channel, Coef, Coefficient, CoefficientValue, Domain,
    Handler, HandlerKind, Op, Output, Proc, Process, Program, Row, Stmt, Tensor,
};

use super::cuts::Cuts;
use super::weights::Elements;
use super::{Part, Slice, Sliced, Slicing, synapses};

/// Puts the sliced program together.
pub(super) struct Slicer<'a> {
    program: &'a Program,
    cuts: &'a Cuts,
    sliced: Program,
    slices: PrimaryMap<Proc, Vec<Slice>>,
    tensors: BTreeMap<(Tensor, Elements), Tensor>,
    names: BTreeSet<String>,
}

impl<'a> Slicer<'a> {
    pub(super) fn new(program: &'a Program, cuts: &'a Cuts) -> Self {
        let whole = program.processes.iter().filter(|(p, _)| !cuts.cuts(*p));
        Self {
            program,
            cuts,
            sliced: Program {
                tensors: PrimaryMap::new(),
                processes: PrimaryMap::new(),
                channels: PrimaryMap::new(),
                name: program.name.clone(),
                ..*program
            },
            slices: PrimaryMap::new(),
            tensors: BTreeMap::new(),
            names: whole.map(|(_, p)| p.name.clone()).collect(),
        }
    }

    pub(super) fn slice(mut self) -> Sliced {
        if !self.cuts.any() {
            return self.whole();
        }
        for proc in self.program.processes.keys() {
            let lanes = self.cuts.of(proc).iter();
            let slices = lanes.map(|lanes| self.process(proc, lanes)).collect();
            self.slices.push(slices);
        }
        for proc in self.program.processes.keys() {
            for k in 0..self.cuts.of(proc).len() {
                let handlers = SliceOf::new(&mut self, proc, k).handlers();
                let process = self.slices[proc][k].process;
                self.sliced.processes[process].handlers = handlers;
            }
        }
        Sliced {
            program: self.sliced,
            slicing: Slicing {
                slices: self.slices,
            },
        }
    }

    /// Nothing is cut: the program as it is.
    fn whole(self) -> Sliced {
        let program = self.program;
        let slice = |(proc, process): (Proc, &Process)| {
            let part = |(id, array): (Array, &ArrayDecl)| match array.kind {
                ArrayKind::Param(_) | ArrayKind::Gradient(_) => {
                    Part::Weights(vec![(id, Elements::All)])
                }
                kind => part(kind, id),
            };
            vec![Slice {
                process: proc,
                first: 0,
                lanes: process.lanes,
                parts: process.arrays.iter().map(part).collect(),
            }]
        };
        Sliced {
            program: program.clone(),
            slicing: Slicing {
                slices: program.processes.iter().map(slice).collect(),
            },
        }
    }

    /// A slice without handlers; its weights come with those.
    fn process(&mut self, proc: Proc, lanes: &Range<usize>) -> Slice {
        let whole = &self.program.processes[proc];
        let name = match self.cuts.cuts(proc) {
            true => self.unused(format!("{}[{}..{}]", whole.name, lanes.start, lanes.end)),
            false => whole.name.clone(),
        };
        let mut arrays = PrimaryMap::new();
        let parts = whole.arrays.values().map(|array| match array.kind {
            ArrayKind::Param(_) | ArrayKind::Gradient(_) => Part::Weights(Vec::new()),
            kind => part(kind, arrays.push(array.clone())),
        });
        let parts: PrimaryMap<Array, Part> = parts.collect();
        let output = match whole.output {
            Output::State(array) => Output::State(held(&parts[array])),
            other => other,
        };
        let process = self.sliced.processes.push(Process {
            name,
            role: whole.role,
            lanes: lanes.len(),
            coefs: whole
                .coefs
                .values()
                .map(|c| coefficient(c, lanes))
                .collect(),
            arrays,
            output,
            tape: whole.tape.clone(),
            handlers: Vec::new(),
        });
        Slice {
            process,
            first: lanes.start,
            lanes: lanes.len(),
            parts,
        }
    }

    /// A name that no process has yet.
    fn unused(&mut self, mut name: String) -> String {
        while !self.names.insert(name.clone()) {
            name.push('\'');
        }
        name
    }

    /// A part of a tensor; the same one for all who ask for it.
    fn tensor(&mut self, tensor: Tensor, elements: &Elements) -> Tensor {
        let known = (tensor, elements.clone());
        if let Some(found) = self.tensors.get(&known) {
            return *found;
        }
        let mut part = elements.cut(&self.program.tensors[tensor]);
        part.name.push_str(&elements.suffix());
        let part = self.sliced.tensors.push(part);
        self.tensors.insert(known, part);
        part
    }
}

/// One slice of a process, while its handlers are made.
struct SliceOf<'s, 'a> {
    slicer: &'s mut Slicer<'a>,
    proc: Proc,
    /// Its number among the slices.
    number: usize,
    lanes: Range<usize>,
    /// Whether the process is cut.
    cut: bool,
    /// The coefficient that numbers its lanes.
    lane: Option<Coef>,
}

/// What a body is told about the channel that it is for.
enum Route {
    /// There is none.
    None,
    /// These sources, a row of weights each.
    Sources(Range<usize>),
    /// These sources, each of which is the number of a lane: what was a row is a weight of a synapse.
    Lane(Range<usize>),
    /// Synapses, and the weights that they name.
    Synapses(Elements),
}

impl<'s, 'a> SliceOf<'s, 'a> {
    fn new(slicer: &'s mut Slicer<'a>, proc: Proc, number: usize) -> Self {
        let lanes = slicer.cuts.of(proc)[number].clone();
        let cut = slicer.cuts.cuts(proc);
        Self {
            slicer,
            proc,
            number,
            lanes,
            cut,
            lane: None,
        }
    }

    /// The handlers, and the channels into the slice.
    fn handlers(mut self) -> Vec<Handler> {
        let program = self.slicer.program;
        let whole = &program.processes[self.proc];
        let mut events: BTreeMap<Chan, Vec<Handler>> = BTreeMap::new();
        for (chan, channel) in program.incoming(self.proc) {
            let handler = whole.handler(HandlerKind::Event(chan));
            events.insert(chan, self.channels(channel, handler));
        }
        let mut handlers = Vec::new();
        for handler in &whole.handlers {
            match handler.kind {
                HandlerKind::Event(chan) => {
                    handlers.extend(events.remove(&chan).unwrap_or_default());
                }
                kind => handlers.push(Handler {
                    kind,
                    domain: handler.domain,
                    body: self.body(&handler.body, &Route::None),
                }),
            }
        }
        handlers
    }

    /// The channels that stand for `channel`, and what happens at their events.
    fn channels(&mut self, channel: &Channel, handler: Option<&Handler>) -> Vec<Handler> {
        let axes = match &channel.connection {
            Connection::Taps(axes) => Some(self.restricted(axes)),
            Connection::All => None,
        };
        let mut handlers = Vec::new();
        for k in 0..self.slicer.cuts.of(channel.from).len() {
            let sources = self.slicer.cuts.of(channel.from)[k].clone();
            let (connection, route) = match (&axes, handler) {
                (Some((axes, elements)), _) => {
                    let axes = self.between(axes, channel.from, &sources);
                    (Connection::Taps(axes), Route::Synapses(elements.clone()))
                }
                (None, Some(handler)) if handler.domain == Domain::Lane => self.lane_of(&sources),
                (None, _) => (Connection::All, Route::Sources(sources)),
            };
            let cut = self.cut || self.slicer.cuts.cuts(channel.from);
            if cut && connection != Connection::All && connection.largest().is_none() {
                continue;
            }
            let domain = match (&connection, handler) {
                (Connection::Taps(_), _) => Domain::Synapses,
                (Connection::All, handler) => handler.map_or(Domain::Lanes, |h| h.domain),
            };
            let chan = self.slicer.sliced.channels.push(Channel {
                from: self.slicer.slices[channel.from][k].process,
                to: self.slicer.slices[self.proc][self.number].process,
                connection,
                ..*channel
            });
            handlers.extend(handler.map(|handler| Handler {
                kind: HandlerKind::Event(chan),
                domain,
                body: self.body(&handler.body, &route),
            }));
        }
        handlers
    }

    /// The axes for the lanes of this slice, and which weights they name.
    fn restricted(&self, axes: &[Axis]) -> (Vec<Axis>, Elements) {
        if !self.cut {
            return (axes.to_vec(), Elements::All);
        }
        let (axes, weights) = synapses::compacted(&synapses::to_lanes(axes, &self.lanes));
        (axes, Elements::Listed(weights))
    }

    /// The axes for these sources of a process.
    fn between(&self, axes: &[Axis], from: Proc, sources: &Range<usize>) -> Vec<Axis> {
        if self.slicer.cuts.cuts(from) {
            synapses::of_sources(axes, sources)
        } else {
            axes.to_vec()
        }
    }

    /// Where a source is the number of a lane: as it is if the lanes of both ends begin alike, else as synapses
    /// of those sources whose lane is here.
    fn lane_of(&self, sources: &Range<usize>) -> (Connection, Route) {
        let Range { start, end } = self.lanes;
        if sources.start == start && sources.end <= end {
            return (Connection::All, Route::Sources(sources.clone()));
        }
        let tap = |source: usize| Tap {
            lane: (source - start) as u32,
            weight: (source - sources.start) as u32,
        };
        let taps = |source| match (start..end).contains(&source) {
            true => vec![tap(source)],
            false => Vec::new(),
        };
        let axis = Axis::new(sources.clone().map(taps));
        (Connection::Taps(vec![axis]), Route::Lane(sources.clone()))
    }

    fn body(&mut self, body: &Body, route: &Route) -> Body {
        let stmts = body.stmts.iter();
        Body {
            stmts: stmts.map(|stmt| self.stmt(stmt, route)).collect(),
            values: body.values,
        }
    }

    fn stmt(&mut self, stmt: &Stmt, route: &Route) -> Stmt {
        match stmt {
            Stmt::Let(value, op) => Stmt::Let(*value, self.op(op, route)),
            Stmt::Store(array, value) => Stmt::Store(self.array(*array), *value),
            Stmt::StoreRow(array, row, value) => Stmt::StoreRow(self.array(*array), *row, *value),
            Stmt::Reduce(array, fold) => Stmt::Reduce(self.array(*array), *fold),
            Stmt::Send(outgoing) => Stmt::Send(*outgoing),
            Stmt::Skip(cond) => Stmt::Skip(*cond),
            Stmt::Spike { cond, time, fields } => Stmt::Spike {
                cond: *cond,
                time: *time,
                fields: fields.iter().map(|op| self.op(op, route)).collect(),
            },
            Stmt::Probe(array, value) => Stmt::Probe(self.array(*array), *value),
        }
    }

    fn op(&mut self, op: &Op, route: &Route) -> Op {
        match *op {
            Op::Lane if self.cut || matches!(route, Route::Lane(_)) => Op::Coef(self.lane()),
            Op::Load(array) => match self.tensor(array) {
                Some(tensor) => {
                    let decl = &self.slicer.program.tensors[tensor];
                    let elements = Elements::block(decl, &(0..decl.rows), &self.lanes);
                    Op::Load(self.weights(array, tensor, elements))
                }
                None => Op::Load(self.array(array)),
            },
            Op::LoadRow(array, row) => match self.tensor(array) {
                Some(tensor) => {
                    let (elements, row) = self.rows(tensor, row, route);
                    Op::LoadRow(self.weights(array, tensor, elements), row)
                }
                None => Op::LoadRow(self.array(array), row),
            },
            other => other,
        }
    }

    /// Which elements of a tensor a channel names, and how.
    fn rows(&self, tensor: Tensor, row: Row, route: &Route) -> (Elements, Row) {
        let tensor = &self.slicer.program.tensors[tensor];
        match route {
            Route::None => (Elements::All, row),
            Route::Sources(sources) => (Elements::block(tensor, sources, &self.lanes), row),
            Route::Lane(sources) => {
                let places = sources.clone().map(|lane| lane * tensor.lanes + lane);
                let places = places.map(|place| place as u32).collect();
                (Elements::Listed(places), Row::Synapse)
            }
            Route::Synapses(elements) => (elements.clone(), row),
        }
    }

    /// The tensor that an array of the original holds.
    fn tensor(&self, array: Array) -> Option<Tensor> {
        match self.slicer.program.processes[self.proc].arrays[array].kind {
            ArrayKind::Param(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The slice's array of an original that holds no tensor.
    fn array(&self, array: Array) -> Array {
        held(&self.slice().parts[array])
    }

    fn slice(&self) -> &Slice {
        &self.slicer.slices[self.proc][self.number]
    }

    /// The array with these elements of a tensor.
    fn weights(&mut self, array: Array, tensor: Tensor, elements: Elements) -> Array {
        if let Part::Weights(parts) = &self.slice().parts[array]
            && let Some((found, _)) = parts.iter().find(|(_, known)| *known == elements)
        {
            return *found;
        }
        let held = self.slicer.tensor(tensor, &elements);
        let whole = &self.slicer.program.processes[self.proc].arrays[array];
        let process =
            &mut self.slicer.sliced.processes[self.slicer.slices[self.proc][self.number].process];
        let mut name = format!("{}{}", whole.name, elements.suffix());
        while process.array(&name).is_some() {
            name.push('\'');
        }
        let part = process.arrays.push(ArrayDecl {
            name,
            kind: ArrayKind::Param(held),
        });
        if let Part::Weights(parts) = &mut self.slicer.slices[self.proc][self.number].parts[array] {
            parts.push((part, elements));
        }
        part
    }

    /// The coefficient that numbers the lanes as in the original.
    fn lane(&mut self) -> Coef {
        if let Some(lane) = self.lane {
            return lane;
        }
        let process = self.slice().process;
        let coefs = &mut self.slicer.sliced.processes[process].coefs;
        let mut name = "lane".to_owned();
        while coefs.values().any(|coef| coef.name == name) {
            name.push('\'');
        }
        let coef = coefs.push(Coefficient {
            name,
            formula: "number of the lane".to_owned(),
            value: CoefficientValue::PerLane(self.lanes.clone().map(|lane| lane as f64).collect()),
        });
        self.lane = Some(coef);
        coef
    }
}

/// How a slice has an array of this kind that is no tensor.
fn part(kind: ArrayKind, array: Array) -> Part {
    match kind {
        ArrayKind::Trace | ArrayKind::GivenError => Part::Rows(array),
        kind if kind.is_scalar() => Part::Same(array),
        _ => Part::Lanes(array),
    }
}

/// The one array of a part that is no tensor, as the verifier has it for all that is stored, loaded by bin or
/// emitted.
fn held(part: &Part) -> Array {
    match part {
        Part::Same(array) | Part::Lanes(array) | Part::Rows(array) => *array,
        Part::Weights(_) => panic!("the network stores into no tensor, and none leaves it"),
    }
}

fn coefficient(whole: &Coefficient, lanes: &Range<usize>) -> Coefficient {
    let value = match &whole.value {
        CoefficientValue::PerLane(values) => {
            CoefficientValue::PerLane(values[lanes.clone()].to_vec())
        }
        uniform => uniform.clone(),
    };
    Coefficient {
        value,
        ..whole.clone()
    }
}

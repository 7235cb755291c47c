//! Writes the adjoint handlers of a process from its [`Flow`].

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Chan, Cmp, Coef, Coefficient, CoefficientValue,
    Domain, Fold, Handler, HandlerKind, Op, Outgoing, Output, Proc, Process, Program, Row, Stmt,
    Value,
};
use nirc_ir::network::Parameter;

use super::flow::{Flow, Spike, State};
use crate::lower::BodyBuilder;

/// Added to `tau dv/dt` before dividing by it, as the published scheme does.
const GUARD: f64 = 1e-10;

/// A channel into the process, as the adjoint sees it.
struct Input {
    chan: Chan,
    weight: Array,
    /// The gradient of the weights, where they are trained.
    gradient: Option<Array>,
    /// What its weights are multiplied with, if that is not 1.
    factor: Option<Coef>,
    /// Whether its producer takes errors.
    back: bool,
    /// Whether values arrive, and not spikes.
    values: bool,
    /// Over what its handlers run, and which element of the weights they take.
    domain: Domain,
    row: Row,
}

/// Adds the adjoint handlers of `proc`.
pub(super) fn handlers(program: &mut Program, proc: Proc, flow: &Flow) {
    let trainable: Vec<bool> = program.tensors.values().map(|t| t.trainable).collect();
    let chans: Vec<(Chan, bool, bool)> = program
        .incoming(proc)
        .map(|(id, c)| {
            let back = super::learns(program, c.from);
            (id, back, program.carries_values(id))
        })
        .collect();
    let process = &mut program.processes[proc];
    let mut emit = Emit::new(process, flow);
    emit.record();
    let inputs: Vec<Input> = chans
        .into_iter()
        .filter_map(|(chan, back, values)| emit.input(chan, back, values, &trainable))
        .collect();
    for input in inputs.iter().filter(|i| i.back && !i.values) {
        emit.message(input);
    }
    emit.value();
    emit.tick();
    emit.spike();
    for input in &inputs {
        emit.gradient(input);
        if input.back && input.values {
            emit.message(input);
        }
    }
    emit.biases(&trainable);
}

struct Emit<'a> {
    process: &'a mut Process,
    flow: &'a Flow,
    /// The adjoint of each state.
    lambda: BTreeMap<Array, Array>,
    /// The threshold state's adjoint before the current step, if there is a threshold.
    before: Option<Array>,
    coefs: BTreeMap<String, Coef>,
}

impl<'a> Emit<'a> {
    fn new(process: &'a mut Process, flow: &'a Flow) -> Self {
        let mut lambda = BTreeMap::new();
        for state in &flow.states {
            let name = format!("lambda_{}", process.arrays[state.array].name);
            let array = declare(process, name, ArrayKind::State { init: 0.0 });
            lambda.insert(state.array, array);
        }
        let before = flow.spike.as_ref().map(|spike| {
            let name = format!("lambda_{}.before", process.arrays[spike.state].name);
            declare(process, name, ArrayKind::State { init: 0.0 })
        });
        let coefs = process
            .coefs
            .iter()
            .map(|(id, c)| (c.name.clone(), id))
            .collect();
        Self {
            process,
            flow,
            lambda,
            before,
            coefs,
        }
    }

    /// A coefficient by name; declared at its first use.
    fn coef(&mut self, name: &str, formula: &str, value: &Parameter) -> Coef {
        let value = CoefficientValue::from(value);
        if let Some(known) = self.coefs.get(name)
            && self.process.coefs[*known].value == value
        {
            return *known;
        }
        // The forward handlers may have one of this name, whose last digit differs.
        let mut free = name.to_owned();
        while self.process.coefs.values().any(|c| c.name == free) {
            free.push_str(".adjoint");
        }
        let coef = self.process.coefs.push(Coefficient {
            name: free,
            formula: formula.to_owned(),
            value,
        });
        self.coefs.insert(name.to_owned(), coef);
        coef
    }

    fn name(&self, array: Array) -> String {
        self.process.arrays[array].name.clone()
    }

    /// The coefficient of the forward handler with this value, or a new one.
    fn known_or(&mut self, name: &str, formula: &str, value: &Parameter) -> Coef {
        let wanted = CoefficientValue::from(value);
        let known = self
            .process
            .coefs
            .iter()
            .find(|(_, c)| c.value == wanted)
            .map(|(id, _)| id);
        known.unwrap_or_else(|| self.coef(name, formula, value))
    }

    fn push(&mut self, kind: HandlerKind, domain: Domain, body: BodyBuilder) {
        self.process.handlers.push(Handler {
            kind,
            domain,
            body: body.finish(),
        });
    }

    /// Lets the forward pass record `tau dv/dt` at each spike.
    ///
    /// It is `drive - v` where one state alone drives the voltage with weight 1; in general it is a multiple
    /// of `v - v_old`, because `v = d v_old + rho drive`.
    fn record(&mut self) {
        let Some(spike) = &self.flow.spike else {
            return;
        };
        let (field, name) = match spike.driver {
            Some(driver) => (
                Op::Binary(Binary::Sub, driver, spike.before),
                "drive_minus_v",
            ),
            None => (Op::Binary(Binary::Sub, spike.before, spike.old), "rise"),
        };
        let mut names = vec![name.to_owned()];
        if !self.resets() {
            names.push("onset".to_owned());
        }
        if let Some(tape) = &mut self.process.tape {
            tape.fields = names;
        }
        let resets = self.resets();
        for handler in &mut self.process.handlers {
            if handler.kind == HandlerKind::Tick {
                let body = std::mem::take(&mut handler.body);
                handler.body = recording(body, field, (!resets).then_some(spike));
            }
        }
    }

    /// Whether a spike changes the voltage.
    fn resets(&self) -> bool {
        self.flow.spike.as_ref().is_some_and(|spike| spike.resets)
    }

    /// The states that input drives, with their gains.
    fn driven(&self) -> impl Iterator<Item = (&'a State, &'a Parameter)> + use<'a> {
        let states = self.flow.states.iter();
        states.filter_map(|s| s.gain.as_ref().map(|g| (s, g)))
    }

    fn input(&mut self, chan: Chan, back: bool, values: bool, trainable: &[bool]) -> Option<Input> {
        let event = self.process.handler(HandlerKind::Event(chan))?;
        let domain = event.domain;
        let (weight, row) = event.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(_, Op::LoadRow(array, row)) => Some((*array, *row)),
            _ => None,
        })?;
        let ArrayKind::Param(tensor) = self.process.arrays[weight].kind else {
            return None;
        };
        let factor = event.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(_, Op::Coef(factor)) => Some(*factor),
            _ => None,
        });
        let gradient = trainable[tensor.index()].then(|| {
            let name = format!("{}.gradient", self.name(weight));
            declare(self.process, name, ArrayKind::Gradient(tensor))
        });
        Some(Input {
            chan,
            weight,
            gradient,
            factor,
            back,
            values,
            domain,
            row,
        })
    }

    /// The error of a spike is `sum_n w_nj sum_s g_s (sum_k K_ks lambda_k - lambda_s)_n`, that of a value
    /// `- sum_n w_nj sum_s tau_s g_s lambda_sn`; one fma a synapse, in their order.
    fn message(&mut self, input: &Input) {
        let mut b = BodyBuilder::new();
        let mut sum: Option<Value> = None;
        for (state, gain) in self.driven() {
            let term = match input.values {
                true => self.sensitivity(&mut b, state, gain),
                false => self.pull(&mut b, state, gain),
            };
            sum = Some(sum.map_or(term, |sum| b.add(sum, term)));
        }
        let Some(mut sum) = sum else { return };
        if let Some(factor) = input.factor {
            let factor = b.coef(factor);
            sum = b.mul(sum, factor);
        }
        if input.values {
            sum = b.neg(sum);
        }
        let weight = b.load_row(input.weight, input.row);
        b.send(Outgoing::Fold(Fold::Fma(sum, weight)));
        self.push(HandlerKind::Message(input.chan), input.domain, b);
    }

    /// `g (sum_k K_ks lambda_k - lambda_s)`; what does not leak does not change with time by itself.
    fn pull(&mut self, b: &mut BodyBuilder, state: &State, gain: &Parameter) -> Value {
        let mut pull: Option<Value> = None;
        for other in &self.flow.states {
            if let Some(k) = other.couplings.get(&state.array) {
                let term = b.load(self.lambda[&other.array]);
                let term = self.scale(b, term, k, "K", "coupling");
                pull = Some(pull.map_or(term, |sum| b.add(sum, term)));
            }
        }
        let leaks = state.leaks();
        let own = (!leaks.is(0.0)).then(|| {
            let own = b.load(self.lambda[&state.array]);
            self.scale(
                b,
                own,
                &leaks,
                "leaks",
                "1 where it leaks, 0 where it does not",
            )
        });
        let difference = match (pull, own) {
            (Some(pull), Some(own)) => b.sub(pull, own),
            (Some(pull), None) => pull,
            (None, Some(own)) => b.neg(own),
            (None, None) => b.constant(0.0),
        };
        self.scale(b, difference, gain, "g", "gain of the input")
    }

    /// `value * k`, without the operation where `k` is 1.
    fn scale(
        &mut self,
        b: &mut BodyBuilder,
        value: Value,
        k: &Parameter,
        name: &str,
        formula: &str,
    ) -> Value {
        if k.is(1.0) {
            return value;
        }
        let k = self.known_or(name, formula, k);
        let k = b.coef(k);
        b.mul(value, k)
    }

    /// An error `e` of the value that leaves: `lambda = lambda - e / tau`.
    fn value(&mut self) {
        let Output::State(emitted) = self.process.output else {
            return;
        };
        let Some(state) = self.flow.states.iter().find(|s| s.array == emitted) else {
            return;
        };
        let mut b = BodyBuilder::new();
        let lambda = self.lambda[&emitted];
        let old = b.load(lambda);
        let error = b.op(Op::Payload);
        let name = self.name(emitted);
        let rate = state.tau.map(|tau| 1.0 / tau);
        let formula = format!("1 / time constant of {name}, 1/s");
        let rate = self.coef(&format!("rate_{name}"), &formula, &rate);
        let rate = b.coef(rate);
        let step = b.mul(error, rate);
        let new = b.sub(old, step);
        b.store(lambda, new);
        self.push(HandlerKind::Value, Domain::Lanes, b);
    }

    /// The transposed flow.
    fn tick(&mut self) {
        let mut b = BodyBuilder::new();
        let mut old = BTreeMap::new();
        for state in &self.flow.states {
            old.insert(state.array, b.load(self.lambda[&state.array]));
        }
        if let (Some(before), Some(spike)) = (self.before, &self.flow.spike) {
            b.store(before, old[&spike.state]);
        }
        let mut stores = Vec::new();
        for state in &self.flow.states {
            let sum = self.transposed(&mut b, state, &old);
            stores.push((self.lambda[&state.array], sum));
        }
        for (array, value) in stores {
            b.store(array, value);
        }
        self.push(HandlerKind::AdjointTick, Domain::Lanes, b);
    }

    /// `d lambda_s + rho_s sum_k K_ks lambda_k`.
    fn transposed(
        &mut self,
        b: &mut BodyBuilder,
        state: &State,
        old: &BTreeMap<Array, Value>,
    ) -> Value {
        let name = self.name(state.array);
        let mut sum = (!state.decay.is(0.0)).then(|| {
            let decay = format!("decay_{name}");
            self.scale(b, old[&state.array], &state.decay, &decay, "decay")
        });
        for other in &self.flow.states {
            let Some(k) = other.couplings.get(&state.array) else {
                continue;
            };
            let rate = state.relaxation.zip(k, |rho, k| rho * k);
            let formula = if k.is(1.0) {
                format!("1 - decay of {name}")
            } else {
                format!("(1 - decay of {name}) K")
            };
            let rest = format!("rest_{name}");
            let term = self.scale(b, old[&other.array], &rate, &rest, &formula);
            sum = Some(sum.map_or(term, |sum| b.add(sum, term)));
        }
        sum.unwrap_or_else(|| b.constant(0.0))
    }

    /// The jump at an own spike.
    fn spike(&mut self) {
        let (Some(before), Some(spike)) = (self.before, &self.flow.spike) else {
            return;
        };
        let lambda = self.lambda[&spike.state];
        let mut b = BodyBuilder::new();
        let before = (!spike.jump.is(0.0)).then(|| {
            let before = b.load(before);
            self.scale(&mut b, before, &spike.jump, "J", "v_threshold - v_reset")
        });
        let mut sum = b.op(Op::Payload);
        if let Some(before) = before {
            sum = b.add(before, sum);
        }
        if !self.resets() {
            let onset = b.op(Op::Field(1));
            sum = b.mul(sum, onset);
        }
        let rise = b.op(Op::Field(0));
        let rise = match spike.driver {
            Some(_) => rise,
            None => self.scale(&mut b, rise, &spike.rise, "rise", "d / (1 - d)"),
        };
        let guard = self.coef(
            "guard",
            "keeps the division finite",
            &Parameter::Uniform(GUARD),
        );
        let guard = b.coef(guard);
        let rise = b.add(rise, guard);
        let step = b.div(sum, rise);
        let now = b.load(lambda);
        let next = b.add(now, step);
        b.store(lambda, next);
        self.push(HandlerKind::Spike, Domain::Lane, b);
    }

    /// `G[j] = G[j] - sum_s tau_s g_s lambda_s`, times the value that arrived.
    fn gradient(&mut self, input: &Input) {
        let Some(gradient) = input.gradient else {
            return;
        };
        let mut b = BodyBuilder::new();
        let old = b.load_row(gradient, input.row);
        let mut new = old;
        for (state, gain) in self.driven() {
            let mut step = self.sensitivity(&mut b, state, gain);
            if let Some(factor) = input.factor {
                let factor = b.coef(factor);
                step = b.mul(step, factor);
            }
            if input.values {
                let value = b.op(Op::Payload);
                step = b.mul(step, value);
            }
            new = b.sub(new, step);
        }
        b.store_row(gradient, input.row, new);
        self.push(HandlerKind::Gradient(input.chan), input.domain, b);
    }

    /// `tau g lambda` of a state.
    fn sensitivity(&mut self, b: &mut BodyBuilder, state: &State, gain: &Parameter) -> Value {
        let value = state.tau.zip(gain, |tau, gain| tau * gain);
        let name = self.name(state.array);
        let formula = if gain.is(1.0) {
            format!("time constant of {name}, s")
        } else {
            format!("time constant of {name}, s, times gain")
        };
        let tau = self.coef(&format!("tau_{name}"), &formula, &value);
        let tau = b.coef(tau);
        let lambda = b.load(self.lambda[&state.array]);
        b.mul(tau, lambda)
    }

    /// Biases are inputs that arrive in every bin.
    fn biases(&mut self, trainable: &[bool]) {
        let flow = self.flow;
        let biases: BTreeSet<Array> = flow
            .states
            .iter()
            .flat_map(|s| s.biases.keys().copied())
            .collect();
        let mut b = BodyBuilder::new();
        let mut any = false;
        for bias in biases {
            let ArrayKind::Param(tensor) = self.process.arrays[bias].kind else {
                continue;
            };
            if !trainable[tensor.index()] {
                continue;
            }
            any = true;
            let name = format!("{}.gradient", self.name(bias));
            let gradient = declare(self.process, name, ArrayKind::Gradient(tensor));
            let mut sum = b.load(gradient);
            for state in &flow.states {
                let Some(gain) = state.biases.get(&bias) else {
                    continue;
                };
                let step = self.sensitivity(&mut b, state, gain);
                sum = b.sub(sum, step);
            }
            b.store(gradient, sum);
        }
        if any {
            self.push(HandlerKind::GradientTick, Domain::Lanes, b);
        }
    }
}

/// The tick with what it records at a spike. Of a neuron that nothing resets, a spike in the tick after one
/// has no time that anything could move, so that it is recorded whether it begins a run of spikes.
fn recording(body: Body, rise: Op, unreset: Option<&Spike>) -> Body {
    let Body { stmts, values } = body;
    let is_spike = |stmt: &Stmt| matches!(stmt, Stmt::Spike { .. });
    let (spikes, rest): (Vec<Stmt>, Vec<Stmt>) = stmts.into_iter().partition(is_spike);
    let mut b = BodyBuilder::extend(Body {
        stmts: rest,
        values,
    });
    for stmt in spikes {
        let Stmt::Spike { cond, .. } = stmt else {
            continue;
        };
        let mut fields = vec![rise];
        if let Some(spike) = unreset {
            let over = b.cmp(Cmp::Gt, spike.old, spike.threshold);
            let (no, yes) = (b.constant(0.0), b.constant(1.0));
            let onset = b.select(over, no, yes);
            let zero = b.constant(0.0);
            fields.push(Op::Binary(Binary::Add, onset, zero));
        }
        b.spike(cond, fields);
    }
    b.finish()
}

/// A new array of a process.
pub(super) fn declare(process: &mut Process, name: impl Into<String>, kind: ArrayKind) -> Array {
    let name = name.into();
    process.arrays.push(ArrayDecl { name, kind })
}

//! Writes the adjoint handlers of a process from its [`Flow`].

use std::collections::BTreeMap;

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Chan, Coef, Coefficient, CoefficientValue, Domain, Fold,
    Handler, HandlerKind, Op, Outgoing, Proc, Process, Program, Role, Row, Stmt, Value,
};
use nirc_ir::network::Parameter;

use super::flow::{Flow, State};
use crate::lower::BodyBuilder;

/// Added to `tau dv/dt` before dividing by it, as the published scheme does.
const GUARD: f64 = 1e-10;

/// A channel into the process, as the adjoint sees it.
struct Input {
    chan: Chan,
    weight: Array,
    /// The gradient of the weights, where they are trained.
    gradient: Option<Array>,
    /// Whether its producer takes errors.
    back: bool,
}

/// Adds the adjoint handlers of `proc`.
pub(super) fn handlers(program: &mut Program, proc: Proc, flow: &Flow) {
    let trainable: Vec<bool> = program.tensors.values().map(|t| t.trainable).collect();
    let chans: Vec<(Chan, bool)> = program
        .incoming(proc)
        .map(|(id, c)| (id, program.processes[c.from].role == Role::Neurons))
        .collect();
    let process = &mut program.processes[proc];
    let mut emit = Emit::new(process, flow);
    emit.record();
    let inputs: Vec<Input> = chans
        .into_iter()
        .filter_map(|(chan, back)| emit.input(chan, back, &trainable))
        .collect();
    for input in inputs.iter().filter(|i| i.back) {
        emit.message(input);
    }
    emit.tick();
    emit.spike();
    for input in &inputs {
        emit.gradient(input);
    }
    emit.biases(&trainable);
}

struct Emit<'a> {
    process: &'a mut Process,
    flow: &'a Flow,
    /// The adjoint of each state.
    lambda: BTreeMap<Array, Array>,
    /// The threshold state's adjoint before the current step.
    before: Array,
    coefs: BTreeMap<String, Coef>,
    /// How the recorded field becomes `tau dv/dt`: factor, or none for 1.
    field_scale: Option<Parameter>,
}

impl<'a> Emit<'a> {
    fn new(process: &'a mut Process, flow: &'a Flow) -> Self {
        let mut lambda = BTreeMap::new();
        for state in &flow.states {
            let name = format!("lambda_{}", process.arrays[state.array].name);
            let array = declare(process, name, ArrayKind::State { init: 0.0 });
            lambda.insert(state.array, array);
        }
        let name = format!("lambda_{}.before", process.arrays[flow.spike.state].name);
        let before = declare(process, name, ArrayKind::State { init: 0.0 });
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
            field_scale: None,
        }
    }

    /// A coefficient by name; declared at its first use.
    fn coef(&mut self, name: &str, formula: &str, value: &Parameter) -> Coef {
        let value = match value {
            Parameter::Uniform(v) => CoefficientValue::Uniform(*v),
            Parameter::PerNeuron(v) => CoefficientValue::PerLane(v.clone()),
        };
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
        let wanted = match value {
            Parameter::Uniform(v) => CoefficientValue::Uniform(*v),
            Parameter::PerNeuron(v) => CoefficientValue::PerLane(v.clone()),
        };
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
    /// It is `drive - v` where one state alone drives the voltage with weight 1; in general it is
    /// `(v - v_old) d / rho`, because `v = d v_old + rho drive`.
    fn record(&mut self) {
        let spike = &self.flow.spike;
        let (field, name) = match spike.driver {
            Some(driver) => (
                Op::Binary(Binary::Sub, driver, spike.before),
                "drive_minus_v",
            ),
            None => (Op::Binary(Binary::Sub, spike.before, spike.old), "rise"),
        };
        if spike.driver.is_none() {
            let state = self.threshold_state();
            self.field_scale = Some(state.decay.zip(&state.relaxation, |d, rho| d / rho));
        }
        if let Some(tape) = &mut self.process.tape {
            tape.fields = vec![name.to_owned()];
        }
        for handler in &mut self.process.handlers {
            for stmt in &mut handler.body.stmts {
                if let Stmt::Spike { fields, .. } = stmt {
                    *fields = vec![field];
                }
            }
        }
    }

    fn threshold_state(&self) -> &'a State {
        self.flow
            .states
            .iter()
            .find(|s| s.array == self.flow.spike.state)
            .expect("the flow holds the state that is reset")
    }

    /// The state that input drives. The extraction guarantees the gain; without one there is no
    /// gradient and no error.
    fn driven(&self) -> Option<(&'a State, &'a Parameter)> {
        self.flow
            .states
            .iter()
            .find_map(|s| s.gain.as_ref().map(|g| (s, g)))
    }

    fn input(&mut self, chan: Chan, back: bool, trainable: &[bool]) -> Option<Input> {
        let event = self.process.handler(HandlerKind::Event(chan))?;
        let weight = event.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(_, Op::LoadRow(array, Row::Source)) => Some(*array),
            _ => None,
        })?;
        let ArrayKind::Param(tensor) = self.process.arrays[weight].kind else {
            return None;
        };
        let gradient = trainable[tensor.index()].then(|| {
            let name = format!("{}.gradient", self.name(weight));
            declare(self.process, name, ArrayKind::Gradient(tensor))
        });
        Some(Input {
            chan,
            weight,
            gradient,
            back,
        })
    }

    /// `sum_n w_nj g (sum_k K_ks lambda_k - lambda_s)_n`, lanes ascending, one fma each.
    fn message(&mut self, input: &Input) {
        let Some((state, gain)) = self.driven() else {
            return;
        };
        let mut b = BodyBuilder::new();
        let mut pull: Option<Value> = None;
        for other in &self.flow.states {
            if let Some(k) = other.couplings.get(&state.array) {
                let term = b.load(self.lambda[&other.array]);
                let term = self.scale(&mut b, term, k, "K", "coupling");
                pull = Some(pull.map_or(term, |sum| b.add(sum, term)));
            }
        }
        let own = b.load(self.lambda[&state.array]);
        let difference = match pull {
            Some(pull) => b.sub(pull, own),
            None => b.neg(own),
        };
        let difference = self.scale(&mut b, difference, gain, "g", "gain of the input");
        let weight = b.load_row(input.weight, Row::Source);
        b.send(Outgoing::Fold(Fold::Fma(difference, weight)));
        self.push(HandlerKind::Message(input.chan), Domain::Lanes, b);
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

    /// The transposed flow.
    fn tick(&mut self) {
        let mut b = BodyBuilder::new();
        let mut old = BTreeMap::new();
        for state in &self.flow.states {
            old.insert(state.array, b.load(self.lambda[&state.array]));
        }
        b.store(self.before, old[&self.flow.spike.state]);
        let mut stores = Vec::new();
        for state in &self.flow.states {
            let name = self.name(state.array);
            let decay = self.known_or(&format!("decay_{name}"), "decay", &state.decay);
            let decay = b.coef(decay);
            let mut sum = b.mul(old[&state.array], decay);
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
                let rate = self.known_or(&format!("rest_{name}"), &formula, &rate);
                let rate = b.coef(rate);
                let term = b.mul(old[&other.array], rate);
                sum = b.add(sum, term);
            }
            stores.push((self.lambda[&state.array], sum));
        }
        for (array, value) in stores {
            b.store(array, value);
        }
        self.push(HandlerKind::AdjointTick, Domain::Lanes, b);
    }

    /// The jump at an own spike.
    fn spike(&mut self) {
        let jump = &self.flow.spike.jump;
        let lambda = self.lambda[&self.flow.spike.state];
        let mut b = BodyBuilder::new();
        let before = b.load(self.before);
        let before = self.scale(&mut b, before, jump, "J", "v_threshold - v_reset");
        let error = b.op(Op::Payload);
        let sum = b.add(before, error);
        let rise = b.op(Op::Field(0));
        let rise = match self.field_scale.clone() {
            Some(scale) => self.scale(&mut b, rise, &scale, "rise", "d / (1 - d)"),
            None => rise,
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

    /// `G[j] = G[j] - tau g lambda`.
    fn gradient(&mut self, input: &Input) {
        let (Some(gradient), Some((state, gain))) = (input.gradient, self.driven()) else {
            return;
        };
        let mut b = BodyBuilder::new();
        let old = b.load_row(gradient, Row::Source);
        let step = self.sensitivity(&mut b, state, gain);
        let new = b.sub(old, step);
        b.store_row(gradient, Row::Source, new);
        self.push(HandlerKind::Gradient(input.chan), Domain::Lanes, b);
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
        let mut b = BodyBuilder::new();
        let mut any = false;
        for state in &self.flow.states {
            for (bias, gain) in &state.biases {
                let ArrayKind::Param(tensor) = self.process.arrays[*bias].kind else {
                    continue;
                };
                if !trainable[tensor.index()] {
                    continue;
                }
                any = true;
                let name = format!("{}.gradient", self.name(*bias));
                let gradient = declare(self.process, name, ArrayKind::Gradient(tensor));
                let old = b.load(gradient);
                let step = self.sensitivity(&mut b, state, gain);
                let new = b.sub(old, step);
                b.store(gradient, new);
            }
        }
        if any {
            self.push(HandlerKind::GradientTick, Domain::Lanes, b);
        }
    }
}

fn declare(process: &mut Process, name: String, kind: ArrayKind) -> Array {
    process.arrays.push(ArrayDecl { name, kind })
}

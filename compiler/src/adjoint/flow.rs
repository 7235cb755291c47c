//! Reads the linear system off a forward `Tick` handler.

use std::collections::BTreeMap;

use nirc_ir::entity::Entity;
use nirc_ir::event::{
    Array, ArrayKind, Binary, CoefficientValue, Handler, HandlerKind, Op, Process, Stmt, Unary,
    Value,
};
use nirc_ir::network::{Integrator, Parameter};

/// The linear system of a neuron process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flow {
    /// Its states, in the order of their arrays.
    pub(super) states: Vec<State>,
    /// Arrays that collect input during a bin; they are no states.
    pub(super) accumulators: Vec<Array>,
    /// The threshold and the reset, if it fires.
    pub(super) spike: Option<Spike>,
}

/// One state.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) array: Array,
    /// `d`.
    pub(super) decay: Parameter,
    /// `rho`: `1 - d`, or 1 where `d` is 1.
    pub(super) relaxation: Parameter,
    /// Time constant, seconds; the tick's length where there is none, because nothing or everything is kept.
    pub(super) tau: Parameter,
    /// `K` by the array of the other state.
    pub(super) couplings: BTreeMap<Array, Parameter>,
    /// `g`: how far an input of 1 moves it.
    pub(super) gain: Option<Parameter>,
    /// How far a bias of 1 moves it, by the bias' array.
    pub(super) biases: BTreeMap<Array, Parameter>,
    /// Whether a constant drives it.
    pub(super) constant: bool,
}

impl State {
    /// 1 where it decays, 0 where it keeps everything.
    pub(super) fn leaks(&self) -> Parameter {
        self.decay.map(|d| if d == 1.0 { 0.0 } else { 1.0 })
    }
}

/// The threshold and the reset.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spike {
    /// The state that is compared and reset.
    pub(super) state: Array,
    /// The value before the reset.
    pub(super) before: Value,
    /// What it is compared with.
    pub(super) threshold: Value,
    /// The value of the state at the start of the tick.
    pub(super) old: Value,
    /// How many times `before - old` is `tau dv/dt` in the tick.
    pub(super) rise: Parameter,
    /// The value of the one state that drives it with `K` = 1 and nothing beside it, if so.
    pub(super) driver: Option<Value>,
    /// Whether a spike changes the voltage.
    pub(super) resets: bool,
    /// `J`: threshold minus the voltage after the reset, where that changes how fast the voltage moves, as it
    /// does if it leaks; 0 otherwise.
    pub(super) jump: Parameter,
}

/// What a value is a multiple of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Symbol {
    State(Array),
    Input,
    Bias(Array),
    Before,
    One,
}

type Linear = BTreeMap<Symbol, Parameter>;

/// The flow of a process, or why there is none.
pub(super) fn extract(process: &Process, dt: f64, integrator: Integrator) -> Result<Flow, String> {
    let tick = process
        .handler(HandlerKind::Tick)
        .ok_or("the process has no tick handler")?;
    let accumulators = accumulators(process);
    let reader = Reader::new(process, tick, &accumulators)?;
    let mut states = Vec::new();
    for (array, decl) in process.arrays.iter() {
        if matches!(decl.kind, ArrayKind::State { .. }) && !accumulators.contains(&array) {
            states.push(reader.state(array, dt, integrator)?);
        }
    }
    let spike = reader.spike(&states).transpose()?;
    Ok(Flow {
        states,
        accumulators,
        spike,
    })
}

/// State arrays that event handlers add to.
fn accumulators(process: &Process) -> Vec<Array> {
    let mut found = Vec::new();
    for handler in &process.handlers {
        if !matches!(handler.kind, HandlerKind::Event(_)) {
            continue;
        }
        for stmt in &handler.body.stmts {
            if let Stmt::Store(array, _) = stmt
                && !found.contains(array)
            {
                found.push(*array);
            }
        }
    }
    found
}

struct Reader<'a> {
    process: &'a Process,
    /// Linear form of each value.
    forms: Vec<Option<Linear>>,
    /// Values that are some state's new value, without a jump.
    new_state: BTreeMap<Value, Array>,
    /// Per state: (value stored, its form).
    stored: BTreeMap<Array, (Value, Linear)>,
    firing: Option<Firing>,
}

/// The comparison that decides on a spike, and what the voltage is after one.
struct Firing {
    state: Array,
    before: Value,
    after: Value,
    threshold: Value,
}

impl Firing {
    /// Reads it off the statements of a tick.
    fn read(
        tick: &Handler,
        ops: &BTreeMap<Value, Op>,
        stores: &[(Array, Value)],
    ) -> Result<Option<Self>, String> {
        let fires = tick.body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Spike { cond, .. } => Some(*cond),
            _ => None,
        });
        let Some(fires) = fires else {
            return Ok(None);
        };
        let Some(Op::Cmp(_, before, threshold)) = ops.get(&fires).copied() else {
            return Err("a spike does not depend on a comparison".into());
        };
        let compared = stores.iter().find_map(|(array, value)| {
            let after = match ops.get(value) {
                Some(Op::Select(cond, after, other)) if *cond == fires && *other == before => {
                    *after
                }
                _ if *value == before => before,
                _ => return None,
            };
            Some((*array, after))
        });
        let (state, after) =
            compared.ok_or("the value compared is not the one that is kept or reset")?;
        let selects = stores
            .iter()
            .filter(|(_, value)| matches!(ops.get(value), Some(Op::Select(..))));
        if selects.clone().any(|(array, _)| *array != state) {
            return Err("more than one state is reset at a spike".into());
        }
        Ok(Some(Self {
            state,
            before,
            after,
            threshold,
        }))
    }
}

impl<'a> Reader<'a> {
    fn new(process: &'a Process, tick: &Handler, accumulators: &[Array]) -> Result<Self, String> {
        let ops: BTreeMap<Value, Op> = tick
            .body
            .stmts
            .iter()
            .filter_map(|stmt| match stmt {
                Stmt::Let(value, op) => Some((*value, *op)),
                _ => None,
            })
            .collect();
        let stores: Vec<(Array, Value)> = tick
            .body
            .stmts
            .iter()
            .filter_map(|stmt| match stmt {
                Stmt::Store(array, value) if !accumulators.contains(array) => {
                    Some((*array, *value))
                }
                _ => None,
            })
            .collect();
        let firing = Firing::read(tick, &ops, &stores)?;
        let fires = |array: Array| firing.as_ref().is_some_and(|f| f.state == array);
        let before = firing.as_ref().map(|f| f.before);
        let mut reader = Self {
            process,
            forms: vec![None; tick.body.values],
            new_state: stores
                .iter()
                .filter(|(array, _)| !fires(*array))
                .map(|(array, value)| (*value, *array))
                .collect(),
            stored: BTreeMap::new(),
            firing: None,
        };
        let by_store: BTreeMap<Value, Array> = stores
            .iter()
            .map(|(array, value)| (*value, *array))
            .collect();
        for (value, op) in &ops {
            let form = reader.form(*op, accumulators)?;
            if let Some(firing) = firing.as_ref().filter(|f| f.before == *value) {
                reader.stored.insert(firing.state, (*value, form.clone()));
            }
            if let Some(array) = by_store.get(value)
                && !fires(*array)
            {
                reader.stored.insert(*array, (*value, form.clone()));
            }
            reader.forms[value.index()] = Some(if Some(*value) == before {
                one_times(Symbol::Before)
            } else if let Some(array) = reader.new_state.get(value) {
                one_times(Symbol::State(*array))
            } else {
                form
            });
        }
        reader.firing = firing;
        Ok(reader)
    }

    fn of(&self, value: Value) -> Result<&Linear, String> {
        self.forms[value.index()]
            .as_ref()
            .ok_or_else(|| format!("{value} is used before it is defined"))
    }

    fn form(&self, op: Op, accumulators: &[Array]) -> Result<Linear, String> {
        let zip = |a: &Linear, b: &Linear, sign: f64| {
            let mut sum = a.clone();
            for (symbol, x) in b {
                let zero = Parameter::Uniform(0.0);
                let old = sum.get(symbol).unwrap_or(&zero);
                sum.insert(*symbol, old.zip(x, |a, b| a + sign * b));
            }
            sum
        };
        Ok(match op {
            Op::Const(x) => constant(Parameter::Uniform(f64::from(x))),
            Op::Coef(c) => constant(match &self.process.coefs[c].value {
                CoefficientValue::Uniform(v) => Parameter::Uniform(*v),
                CoefficientValue::PerLane(v) => Parameter::PerNeuron(v.clone()),
            }),
            Op::Load(array) if accumulators.contains(&array) => one_times(Symbol::Input),
            Op::Load(array) => match self.process.arrays[array].kind {
                ArrayKind::State { .. } => one_times(Symbol::State(array)),
                ArrayKind::Param(_) => one_times(Symbol::Bias(array)),
                _ => return Err(format!("`{}` is no state", self.process.arrays[array].name)),
            },
            Op::Binary(Binary::Add, a, b) => zip(self.of(a)?, self.of(b)?, 1.0),
            Op::Binary(Binary::Sub, a, b) => zip(self.of(a)?, self.of(b)?, -1.0),
            Op::Binary(Binary::Mul, a, b) => product(self.of(a)?, self.of(b)?)?,
            Op::Fma(a, b, c) => zip(&product(self.of(a)?, self.of(b)?)?, self.of(c)?, 1.0),
            Op::Unary(Unary::Neg, a) => zip(&Linear::new(), self.of(a)?, -1.0),
            // The comparison and the reset are read separately; their forms are never used.
            Op::Cmp(..) | Op::Select(..) => Linear::new(),
            other => return Err(format!("{other:?} is not linear")),
        })
    }

    fn state(&self, array: Array, dt: f64, integrator: Integrator) -> Result<State, String> {
        let name = &self.process.arrays[array].name;
        let (_, form) = self
            .stored
            .get(&array)
            .ok_or_else(|| format!("state `{name}` is not stored by the tick"))?;
        let decay = form
            .get(&Symbol::State(array))
            .cloned()
            .unwrap_or(Parameter::Uniform(0.0));
        if !all(&decay, |d| (0.0..=1.0).contains(&d)) {
            return Err(format!("state `{name}` does not decay"));
        }
        let relaxation = decay.map(|d| if d == 1.0 { 1.0 } else { 1.0 - d });
        let mut couplings = BTreeMap::new();
        let mut gain = None;
        let mut biases = BTreeMap::new();
        let mut has_constant = false;
        for (symbol, x) in form {
            match symbol {
                Symbol::State(other) if *other == array => {}
                Symbol::State(other) => {
                    couplings.insert(*other, snap(&x.zip(&relaxation, |c, rho| c / rho)));
                }
                Symbol::Input => gain = Some(snap(x)),
                Symbol::Bias(bias) => {
                    biases.insert(*bias, snap(x));
                }
                Symbol::One => has_constant = !x.is(0.0),
                Symbol::Before => return Err(format!("state `{name}` depends on the voltage")),
            }
        }
        Ok(State {
            array,
            tau: decay.map(|d| match integrator {
                _ if d == 0.0 || d == 1.0 => dt,
                Integrator::Exponential | Integrator::Exact => -dt / d.ln(),
                Integrator::Euler => dt / (1.0 - d),
            }),
            decay,
            relaxation,
            couplings,
            gain,
            biases,
            constant: has_constant,
        })
    }

    fn spike(&self, states: &[State]) -> Option<Result<Spike, String>> {
        let firing = self.firing.as_ref()?;
        let state = states.iter().find(|s| s.array == firing.state);
        Some(match state {
            Some(state) => self.spike_of(firing, state),
            None => Err("the state that is compared is not a state of the flow".into()),
        })
    }

    fn spike_of(&self, firing: &Firing, state: &State) -> Result<Spike, String> {
        let theta = self.constant_of(self.of(firing.threshold)?, "the threshold")?;
        // The reset, at the moment when the voltage equals the threshold.
        let after = self.of(firing.after)?;
        let slope = after
            .get(&Symbol::Before)
            .cloned()
            .unwrap_or(Parameter::Uniform(0.0));
        let rest: Linear = after
            .iter()
            .filter(|(symbol, _)| **symbol != Symbol::Before)
            .map(|(symbol, x)| (*symbol, x.clone()))
            .collect();
        let offset = self.constant_of(&rest, "the voltage after a spike")?;
        let kept = slope.zip(&theta, |s, theta| s * theta);
        let jump = theta
            .zip(&kept, |theta, kept| theta - kept)
            .zip(&offset, |partial, offset| partial - offset);
        Ok(Spike {
            state: firing.state,
            before: firing.before,
            threshold: firing.threshold,
            old: self.old_value(firing.state)?,
            rise: state.decay.zip(
                &state.relaxation,
                |d, rho| {
                    if d == 0.0 { 1.0 } else { d / rho }
                },
            ),
            driver: self.driver(state),
            resets: !jump.is(0.0),
            jump: jump.zip(&state.leaks(), |jump, leaks| jump * leaks),
        })
    }

    fn constant_of(&self, form: &Linear, what: &str) -> Result<Parameter, String> {
        let other = form
            .iter()
            .any(|(symbol, x)| *symbol != Symbol::One && !x.is(0.0));
        if other {
            return Err(format!("{what} is not a constant"));
        }
        Ok(form
            .get(&Symbol::One)
            .cloned()
            .unwrap_or(Parameter::Uniform(0.0)))
    }

    /// The value loaded from a state.
    fn old_value(&self, array: Array) -> Result<Value, String> {
        self.tick_lets()
            .find_map(|(value, op)| (op == Op::Load(array)).then_some(value))
            .ok_or_else(|| "the voltage does not depend on its past".into())
    }

    /// The value of the state that alone drives the voltage, if `K` = 1.
    fn driver(&self, state: &State) -> Option<Value> {
        let relaxes = all(&state.decay, |d| d > 0.0 && d < 1.0);
        let alone = relaxes && state.gain.is_none() && state.biases.is_empty() && !state.constant;
        let (array, k) = state.couplings.iter().next()?;
        if !alone || state.couplings.len() != 1 || !k.is(1.0) {
            return None;
        }
        // The voltage's own statements use either the new value of that state or the old one.
        let new = self.stored.get(array).map(|(value, _)| *value)?;
        let uses_new = self
            .tick_lets()
            .any(|(_, op)| matches!(op, Op::Binary(Binary::Mul, a, b) if a == new || b == new));
        if uses_new {
            Some(new)
        } else {
            self.old_value(*array).ok()
        }
    }

    fn tick_lets(&self) -> impl Iterator<Item = (Value, Op)> {
        self.process
            .handler(HandlerKind::Tick)
            .into_iter()
            .flat_map(|h| &h.body.stmts)
            .filter_map(|stmt| match stmt {
                Stmt::Let(value, op) => Some((*value, *op)),
                _ => None,
            })
    }
}

fn one_times(symbol: Symbol) -> Linear {
    Linear::from([(symbol, Parameter::Uniform(1.0))])
}

fn constant(x: Parameter) -> Linear {
    Linear::from([(Symbol::One, x)])
}

fn product(a: &Linear, b: &Linear) -> Result<Linear, String> {
    let scale = |form: &Linear, k: &Parameter| {
        form.iter()
            .map(|(symbol, x)| (*symbol, x.zip(k, |x, k| x * k)))
            .collect()
    };
    match (only_constant(a), only_constant(b)) {
        (_, Some(k)) => Ok(scale(a, k)),
        (Some(k), _) => Ok(scale(b, k)),
        _ => Err("a product of two states is not linear".into()),
    }
}

fn only_constant(form: &Linear) -> Option<&Parameter> {
    (form.len() == 1).then(|| form.get(&Symbol::One)).flatten()
}

fn all(parameter: &Parameter, test: impl Fn(f64) -> bool) -> bool {
    match parameter {
        Parameter::Uniform(v) => test(*v),
        Parameter::PerNeuron(v) => v.iter().all(|v| test(*v)),
    }
}

/// Removes the rounding of `c / rho` where the formula says exactly 1 for all neurons.
fn snap(parameter: &Parameter) -> Parameter {
    if all(parameter, |x| (x - 1.0).abs() < 1e-12) {
        parameter.map(|_| 1.0)
    } else {
        parameter.clone()
    }
}

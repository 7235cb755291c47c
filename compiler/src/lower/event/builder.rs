//! A process of exact event times, while its handlers are written.

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coefficient, CoefficientValue, Domain, Handler,
    HandlerKind, Op, Output, Process, Role, Row, SpikeTape, Unary, Value,
};
use nirc_ir::network::{Parameter, Population};

use super::flow::{Flow, Ratio, Shape};
use super::peak::{Peak, Pushes};
use super::read::Read;
use crate::lower::BodyBuilder;
use crate::lower::neuron::Input;

/// Writes the handlers of a population.
pub(super) struct Builder<'a> {
    pub(super) process: Process,
    pub(super) flow: &'a Flow,
    pub(super) inputs: Vec<Arrives>,
    /// Biases that are parameters.
    pub(super) biases: Vec<Array>,
    /// `p` and `q`.
    pub(super) state: [Array; 2],
    /// Bins of a window, and whether there is more than one.
    pub(super) window: u32,
    pub(super) windows: bool,
    /// Where the voltage is highest, if somebody asks.
    pub(super) peak: Option<Peak>,
    /// What spikes cost.
    pub(super) pushes: Option<Pushes<'a>>,
    /// What the loss takes of one that does not spike.
    pub(super) read: Option<Read>,
}

/// What arrives over one channel.
pub(super) struct Arrives {
    pub(super) chan: Chan,
    pub(super) weight: Array,
    pub(super) domain: Domain,
    pub(super) row: Row,
    /// Delays of the sources, where they are trained.
    pub(super) delays: Option<Array>,
}

/// The two exponentials at some time.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) time: Value,
    pub(super) x: Value,
    pub(super) y: Value,
}

/// The two terms of the voltage at some time, their difference, and its slope.
pub(super) struct Voltage {
    pub(super) px: Value,
    pub(super) qy: Value,
    pub(super) u: Value,
    /// The slope per [`Builder::slope_time`], as the operation that it ends in.
    pub(super) slope: Op,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        population: &Population,
        flow: &'a Flow,
        inputs: &[Input],
        tape: Option<SpikeTape>,
        (window, ticks): (u32, u32),
    ) -> Self {
        let mut process = Process {
            name: population.name.clone(),
            role: Role::Neurons,
            lanes: population.size,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape,
            handlers: Vec::new(),
        };
        let mut array = |name: String, kind| process.arrays.push(ArrayDecl { name, kind });
        let state = ["p", "q"].map(|name| array(name.to_owned(), ArrayKind::State { init: 0.0 }));
        let arrives = inputs.iter().map(|input| Arrives {
            chan: input.chan,
            weight: array(
                format!("{}.weight", input.projection),
                ArrayKind::Param(input.weight),
            ),
            domain: if input.synapses {
                Domain::Synapses
            } else {
                Domain::Lanes
            },
            row: if input.synapses {
                Row::Synapse
            } else {
                Row::Source
            },
            delays: input.delays.and_then(|(tensor, trained)| {
                let name = format!("{}.delay", input.projection);
                let delays = array(name, ArrayKind::Param(tensor));
                trained.then_some(delays)
            }),
        });
        let arrives = arrives.collect();
        let biases = inputs.iter().filter_map(|input| {
            let bias = input.bias?;
            Some(array(
                format!("{}.bias", input.projection),
                ArrayKind::Param(bias),
            ))
        });
        let biases = biases.collect();
        Self {
            process,
            flow,
            inputs: arrives,
            biases,
            state,
            window,
            windows: window < ticks,
            peak: None,
            pushes: None,
            read: None,
        }
    }

    pub(super) fn array(&mut self, name: String, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl { name, kind })
    }

    pub(super) fn push(&mut self, kind: HandlerKind, domain: Domain, body: BodyBuilder) {
        self.process.handlers.push(Handler {
            kind,
            domain,
            body: body.finish(),
        });
    }

    /// A coefficient, declared at its first use.
    pub(super) fn coef(
        &mut self,
        b: &mut BodyBuilder,
        name: &str,
        formula: &str,
        value: &Parameter,
    ) -> Value {
        let coefs = &mut self.process.coefs;
        let known = coefs.iter().find(|(_, c)| c.name == name);
        let known = known.map(|(id, _)| id);
        let coef = known.unwrap_or_else(|| {
            coefs.push(Coefficient {
                name: name.to_owned(),
                formula: formula.to_owned(),
                value: CoefficientValue::from(value),
            })
        });
        b.coef(coef)
    }

    /// `v k`, without the operation where `k` is 1.
    pub(super) fn times(
        &mut self,
        b: &mut BodyBuilder,
        v: Value,
        (name, formula): (&str, &str),
        k: &Parameter,
    ) -> Value {
        if k.is(1.0) {
            return v;
        }
        let k = self.coef(b, name, formula, k);
        b.mul(v, k)
    }

    /// `e^(-t / tau)`.
    fn exponential(
        &mut self,
        b: &mut BodyBuilder,
        time: Value,
        name: (&str, &str),
        tau: &Parameter,
    ) -> Value {
        let rate = self.coef(b, name.0, name.1, &tau.map(|tau| -1.0 / tau));
        let t = b.mul(time, rate);
        b.exp(t)
    }

    /// `x^n`.
    fn power(b: &mut BodyBuilder, ratio: Ratio, x: Value) -> Option<Value> {
        if ratio == Ratio::Other {
            return None;
        }
        let square = b.mul(x, x);
        match ratio {
            Ratio::Three => Some(b.mul(square, x)),
            Ratio::Four => Some(b.mul(square, square)),
            _ => Some(square),
        }
    }

    /// `y / x`, without dividing where `y` is a power of `x`.
    pub(super) fn y_over_x(&mut self, b: &mut BodyBuilder, at: At) -> Value {
        match self.flow.curve {
            Shape::Equal => at.time,
            Shape::Pair { ratio, .. } => match ratio {
                Ratio::Two => at.x,
                Ratio::Three => b.mul(at.x, at.x),
                Ratio::Four => {
                    let square = b.mul(at.x, at.x);
                    b.mul(square, at.x)
                }
                Ratio::Other => b.div(at.y, at.x),
            },
            _ => b.div(at.y, at.x),
        }
    }

    /// `y` where `x` is known.
    pub(super) fn y_of(&mut self, b: &mut BodyBuilder, x: Value, time: Value) -> Value {
        let flow = self.flow;
        match flow.curve {
            Shape::Pair { ratio, .. } if ratio != Ratio::Other => {
                Self::power(b, ratio, x).unwrap_or(x)
            }
            Shape::Equal => b.mul(time, x),
            Shape::Kicked { leaks: true } => b.constant(1.0),
            Shape::Kicked { leaks: false } => time,
            _ => self.exponential(
                b,
                time,
                ("-fast", "-1 / time constant of y, bins"),
                &flow.fast,
            ),
        }
    }

    /// The exponentials at a time.
    pub(super) fn at(&mut self, b: &mut BodyBuilder, time: Value) -> At {
        let x = self.x_at(b, time);
        let y = self.y_of(b, x, time);
        At { time, x, y }
    }

    fn x_at(&mut self, b: &mut BodyBuilder, time: Value) -> Value {
        let flow = self.flow;
        match flow.curve {
            Shape::Integrating | Shape::Kicked { leaks: false } => b.constant(1.0),
            _ => self.exponential(
                b,
                time,
                ("-slow", "-1 / time constant of x, bins"),
                &flow.slow,
            ),
        }
    }

    /// What an input of 1 at this time adds to `p` and `q`; nothing to a `q` that is a constant input.
    pub(super) fn kicks(&mut self, b: &mut BodyBuilder, time: Value) -> (Value, Option<Value>) {
        let flow = self.flow;
        let c = self.coef(
            b,
            "kick",
            "what an input of 1 adds, at the window's beginning",
            &flow.kick,
        );
        if flow.curve == (Shape::Kicked { leaks: false }) {
            return (c, None);
        }
        let one = b.constant(1.0);
        let x = self.x_at(b, time);
        match flow.curve {
            Shape::Integrating => {
                let y = self.y_of(b, x, time);
                let inverse = b.div(one, y);
                (c, Some(b.mul(c, inverse)))
            }
            Shape::Equal => {
                let inverse = b.div(one, x);
                let whole = b.mul(c, inverse);
                let of_q = b.neg(whole);
                (b.mul(of_q, time), Some(of_q))
            }
            Shape::Pair { ratio, .. } => {
                let of_x = b.div(one, x);
                let of_y = match Self::power(b, ratio, of_x) {
                    Some(of_y) => of_y,
                    None => {
                        let y = self.y_of(b, x, time);
                        b.div(one, y)
                    }
                };
                (b.mul(c, of_x), Some(b.mul(c, of_y)))
            }
            Shape::Kicked { .. } => {
                let inverse = b.div(one, x);
                (b.mul(c, inverse), None)
            }
        }
    }

    /// What is recorded of a spike for the way back: its slope, and the exponential that its time was found by.
    pub(super) fn fields(flow: &Flow) -> Vec<String> {
        let decay = match flow.curve {
            Shape::Pair { .. } | Shape::Equal => Some("x"),
            Shape::Integrating => Some("y"),
            Shape::Kicked { .. } => None,
        };
        ["slope"]
            .into_iter()
            .chain(decay)
            .map(str::to_owned)
            .collect()
    }

    /// The exponentials at an own spike, as recorded.
    pub(super) fn at_spike(&mut self, b: &mut BodyBuilder, time: Value) -> At {
        let decay = b.op(Op::Field(1));
        match self.flow.curve {
            Shape::Integrating => At {
                time,
                x: b.constant(1.0),
                y: decay,
            },
            _ => At {
                time,
                x: decay,
                y: self.y_of(b, decay, time),
            },
        }
    }

    /// The time that slopes are taken by, in bins: the longer time constant, or the synapse's.
    pub(super) fn slope_time(&self) -> Parameter {
        match self.flow.curve {
            Shape::Integrating => self.flow.fast.clone(),
            _ => self.flow.slow.clone(),
        }
    }

    /// Ratio of the time constants.
    pub(super) fn ratio(&self) -> Parameter {
        self.flow
            .slow
            .zip(&self.flow.fast, |slow, fast| slow / fast)
    }

    /// The voltage and its slope: `ratio q y - p x`; `q y` of the integrator; `-tau q x - u` of equal ones;
    /// `-p x` and `-q` without a synapse.
    pub(super) fn voltage(&mut self, b: &mut BodyBuilder, [p, q]: [Value; 2], at: At) -> Voltage {
        use nirc_ir::event::Binary::{Mul, Sub};
        let (constant_x, constant_y) = match self.flow.curve {
            Shape::Integrating => (true, false),
            Shape::Kicked { leaks } => (!leaks, leaks),
            Shape::Pair { .. } | Shape::Equal => (false, false),
        };
        let px = if constant_x { p } else { b.mul(p, at.x) };
        let qy = if constant_y { q } else { b.mul(q, at.y) };
        let u = b.sub(px, qy);
        let slope = match self.flow.curve {
            Shape::Integrating => Op::Binary(Mul, q, at.y),
            Shape::Pair { .. } => {
                let ratio = self.ratio();
                let steep = self.times(b, qy, ("ratio", "ratio of the time constants"), &ratio);
                Op::Binary(Sub, steep, px)
            }
            Shape::Equal => {
                let tau = self.flow.slow.map(|tau| -tau);
                let tau = self.coef(b, "-tau", "-time constant, bins", &tau);
                let qx = b.mul(q, at.x);
                let steep = b.mul(tau, qx);
                Op::Binary(Sub, steep, u)
            }
            Shape::Kicked { leaks: true } => Op::Unary(Unary::Neg, px),
            Shape::Kicked { leaks: false } => Op::Unary(Unary::Neg, q),
        };
        Voltage { px, qy, u, slope }
    }

    /// `coefficient - k sum of biases`, or plus it.
    pub(super) fn shifted(
        &mut self,
        b: &mut BodyBuilder,
        (name, formula): (&str, &str),
        (value, by): (&Parameter, &Parameter),
        plus: bool,
    ) -> Value {
        let base = self.coef(b, name, formula, value);
        if by.is(0.0) {
            return base;
        }
        let Some(sum) = self.bias_sum(b) else {
            return base;
        };
        let by = self.coef(
            b,
            &format!("{name}.bias"),
            "what a bias of 1 moves it by",
            by,
        );
        let move_by = b.mul(by, sum);
        if plus {
            b.add(base, move_by)
        } else {
            b.sub(base, move_by)
        }
    }

    fn bias_sum(&self, b: &mut BodyBuilder) -> Option<Value> {
        let mut biases = self.biases.iter();
        let first = b.load(*biases.next()?);
        Some(biases.fold(first, |sum, bias| {
            let bias = b.load(*bias);
            b.add(sum, bias)
        }))
    }
}

/// `cond ? a : b` where there is a condition, else `a`.
pub(super) fn choose(
    b: &mut BodyBuilder,
    cond: Option<Value>,
    a: Value,
    otherwise: impl FnOnce(&mut BodyBuilder) -> Value,
) -> Value {
    match cond {
        None => a,
        Some(cond) => {
            let other = otherwise(b);
            b.select(cond, a, other)
        }
    }
}

/// The number within two bounds.
pub(super) fn within(b: &mut BodyBuilder, v: Value, low: Value, high: Value) -> Value {
    let below = b.cmp(Cmp::Lt, v, high);
    let v = b.select(below, v, high);
    let above = b.cmp(Cmp::Gt, v, low);
    b.select(above, v, low)
}

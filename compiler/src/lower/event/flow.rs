//! A neuron's voltage between two events, as the sum of two exponentials.
//!
//! Everything that is emitted, forward and backward, is written for
//!
//! ```text
//! U(t) = p x(t) - q y(t)          U = voltage - equilibrium, t from the window's beginning
//! ```
//!
//! where `p` and `q` do not change between events, and `x`, `y` are
//!
//! | neuron | `x` | `y` | an input of 1 adds to `p`, `q` |
//! |---|---|---|---|
//! | two time constants | `e^(-t/slow)` | `e^(-t/fast)` | `c / x`, `c / y` |
//! | equal ones | `e^(-t/tau)` | `t e^(-t/tau)` | `-c t / x`, `-c / x` |
//! | integrating membrane | 1 | `e^(-t/tau_syn)` | `c`, `c / y` |
//! | no synapse | `e^(-t/tau)` | 1 | `c / x`, nothing |
//! | no synapse, integrating | 1 | `t` | `c`, nothing |
//!
//! The first line holds whichever of membrane and synapse is the slow one; they differ in whose coefficient a
//! reset changes, since the current goes on through it. `c` is what the convention makes of a spike, times the
//! coupling: `r g tau_syn / |tau_mem - tau_syn|`, `r g / tau`, `r g tau_syn`. (With `r`, per bin, the membrane's
//! resistance: of the integrator `V' = r I`.)
//!
//! Without a synapse, `c` is what the convention makes of a spike, and `q` the constant input: `U` is the voltage
//! itself, and `-q` what it approaches, or gains in a bin. Elsewhere a constant input moves the equilibrium, to `v_leak + r B`, and the beginning, which lies below it.

use nirc_ir::network::{Convention, CurrentShape, Membrane, Neuron, Parameter, Reset, SpikeShape};

use crate::lower::coefficients::Terms;

/// A neuron's two exponentials, in bins.
pub(super) struct Flow {
    pub(super) curve: Shape,
    /// Time constant of `x`; unused where the membrane integrates.
    pub(super) slow: Parameter,
    /// Time constant of `y`.
    pub(super) fast: Parameter,
    /// `c`.
    pub(super) kick: Parameter,
    /// Threshold and reset value less the equilibrium without trained biases.
    pub(super) threshold: Parameter,
    pub(super) v_reset: Parameter,
    /// How far a spike throws the voltage back.
    pub(super) jump: Parameter,
    /// `p` and `q` at the beginning of a sample, without trained biases.
    pub(super) start: [Parameter; 2],
    /// The equilibrium, which the voltage is more by, without trained biases.
    pub(super) rest: Parameter,
    /// How far a bias of 1 moves the equilibrium, and `p` and `q` at the beginning.
    pub(super) bias: Parameter,
    pub(super) bias_start: [Parameter; 2],
}

/// What kind of exponentials they are, and whose coefficient a reset changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Two time constants.
    Pair {
        /// Their ratio.
        ratio: Ratio,
        /// Whether the membrane's is the longer one.
        membrane_slow: bool,
    },
    /// Equal time constants.
    Equal,
    /// An integrating membrane.
    Integrating,
    /// No synapse: an arrival moves the voltage at once.
    Kicked {
        /// Whether the membrane has a time constant.
        leaks: bool,
    },
}

/// The ratio of two time constants, by what finds a crossing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ratio {
    /// 2: a quadratic equation.
    Two,
    /// 3: Newton's method on a cubic.
    Three,
    /// 4: Newton's method on a quartic.
    Four,
    /// Any other.
    Other,
}

/// The flow of a neuron, or why there is none. `constant` is the
/// sum of the biases that are not trained.
pub(super) fn read(
    neuron: &Neuron,
    terms: &Terms,
    convention: &Convention,
    dt: f64,
    constant: &Parameter,
) -> Result<Flow, String> {
    // What does not spike has no threshold, and asks for none.
    let threshold = terms.threshold.as_ref().map(|t| t.value.clone());
    let threshold = threshold.unwrap_or(Parameter::Uniform(1.0));
    let (Some(synapse), Some(terms_of_synapse)) = (&neuron.synapse, &terms.synapse) else {
        return kicked(neuron, terms, convention, dt, constant, threshold);
    };
    let tau_syn = synapse.tau_syn.map(|tau| tau / dt);
    let gain = &terms_of_synapse.gain.value;
    let held = convention.current == CurrentShape::Held;
    let v_reset = reset_value(convention, terms);
    let leak = &terms.rest.value;
    let bias = bias_gain(convention, terms, &tau_syn);
    let r = |unit: Parameter| match held {
        true => terms.r.value.zip(&unit, |r, unit| r * unit),
        false => unit,
    };
    let zero = || Parameter::Uniform(0.0);
    let drive = |r: &Parameter| r.zip(gain, |r, g| r * g);
    let mut flow = match &neuron.membrane {
        Membrane::Direct => return Err("its membrane has no memory".to_owned()),
        Membrane::Integrator { .. } => {
            if !constant.is(0.0) || convention.if_decay != 1.0 {
                return Err(
                    "its membrane integrates, and has a constant input or a decay of its own"
                        .to_owned(),
                );
            }
            let r = r(Parameter::Uniform(if held { dt } else { 1.0 }));
            Flow {
                curve: Shape::Integrating,
                kick: drive(&r).zip(&tau_syn, |drive, tau| drive * tau),
                slow: Parameter::Uniform(1.0),
                fast: tau_syn,
                threshold: threshold.clone(),
                v_reset,
                jump: zero(),
                start: [zero(), zero()],
                rest: zero(),
                bias: zero(),
                bias_start: [zero(), zero()],
            }
        }
        Membrane::Leaky { tau, .. } => {
            let tau_mem = tau.map(|tau| tau / dt);
            // A current of 1 that enters as a whole moves the voltage by 1 a bin.
            let r = r(if held {
                Parameter::Uniform(1.0)
            } else {
                tau_mem.clone()
            });
            let curve = shape(&tau_mem, &tau_syn)?;
            let bias = r.zip(&bias, |r, bias| r * bias);
            let fixed = bias.zip(constant, |bias, constant| bias * constant);
            let rest = leak.zip(&fixed, |leak, fixed| leak + fixed);
            let less = |v: &Parameter| v.zip(&rest, |v, rest| v - rest);
            let (coupling, slow, fast) = match curve {
                Shape::Pair { membrane_slow, .. } => {
                    let coupling = tau_syn.zip(&tau_mem, |syn, mem| syn / (mem - syn).abs());
                    match membrane_slow {
                        true => (coupling, tau_mem.clone(), tau_syn),
                        false => (coupling, tau_syn, tau_mem.clone()),
                    }
                }
                _ => (tau_mem.map(|tau| 1.0 / tau), tau_mem.clone(), tau_syn),
            };
            Flow {
                curve,
                kick: drive(&r).zip(&coupling, |drive, coupling| drive * coupling),
                threshold: less(&threshold),
                v_reset: less(&v_reset),
                jump: zero(),
                start: start(curve, &coupling, &rest, &fixed),
                bias_start: start(curve, &coupling, &bias, &bias),
                rest,
                bias,
                slow,
                fast,
            }
        }
    };
    flow.jump = flow
        .threshold
        .zip(&flow.v_reset, |threshold, reset| threshold - reset);
    check(&flow)?;
    Ok(flow)
}

/// The flow of a neuron without a synapse.
fn kicked(
    neuron: &Neuron,
    terms: &Terms,
    convention: &Convention,
    dt: f64,
    constant: &Parameter,
    threshold: Parameter,
) -> Result<Flow, String> {
    if convention.reset == Reset::Subtract && neuron.firing.is_some() {
        let message = "it has no synapse, and its reset subtracts: an arrival may reach several thresholds at once";
        return Err(message.to_owned());
    }
    let one = || Parameter::Uniform(1.0);
    let (r, infinity) = (&terms.r.value, Parameter::Uniform(f64::INFINITY));
    let jumps = matches!(convention.spike, SpikeShape::Jump | SpikeShape::Unit);
    let r = if convention.spike == SpikeShape::Unit {
        one()
    } else {
        r.clone()
    };
    // What a bias of 1 keeps up, and what it adds in a bin: as much as a spike in every bin.
    let (tau, bias, leak) = match &neuron.membrane {
        Membrane::Direct => return Err("its membrane has no memory".to_owned()),
        Membrane::Integrator { .. } if convention.if_decay != 1.0 => {
            return Err("its membrane integrates, and has a decay of its own".to_owned());
        }
        Membrane::Integrator { .. } => {
            let bias = if jumps { r } else { r.map(|r| r * dt) };
            (None, bias, Parameter::Uniform(0.0))
        }
        Membrane::Leaky { tau, .. } => {
            let tau = tau.map(|tau| tau / dt);
            let bias = if jumps {
                r.zip(&tau, |r, tau| r * tau)
            } else {
                r
            };
            (Some(tau), bias, terms.rest.value.clone())
        }
    };
    let fixed = bias.zip(constant, |bias, constant| bias * constant);
    let input = leak.zip(&fixed, |leak, fixed| -leak - fixed);
    let by_bias = bias.map(|bias| -bias);
    let both = |input: &Parameter| match tau {
        Some(_) => [input.clone(), input.clone()],
        None => [Parameter::Uniform(0.0), input.clone()],
    };
    let v_reset = reset_value(convention, terms);
    let flow = Flow {
        curve: Shape::Kicked {
            leaks: tau.is_some(),
        },
        kick: terms.gain.value.clone(),
        jump: threshold.zip(&v_reset, |threshold, reset| threshold - reset),
        threshold,
        v_reset,
        start: both(&input),
        rest: Parameter::Uniform(0.0),
        bias: Parameter::Uniform(0.0),
        bias_start: both(&by_bias),
        slow: tau.clone().unwrap_or_else(one),
        fast: tau.unwrap_or(infinity),
    };
    check(&flow)?;
    Ok(flow)
}

/// The voltage after a spike; subtracting the threshold from what has just reached it leaves 0.
fn reset_value(convention: &Convention, terms: &Terms) -> Parameter {
    match (convention.reset, &terms.v_reset) {
        (Reset::ToValue, Some(value)) => value.value.clone(),
        _ => Parameter::Uniform(0.0),
    }
}

/// `p` and `q` at the beginning, where the current and the voltage are 0, which is `fixed` and `rest` less than
/// what they approach.
fn start(
    curve: Shape,
    coupling: &Parameter,
    rest: &Parameter,
    fixed: &Parameter,
) -> [Parameter; 2] {
    let current = coupling.zip(fixed, |coupling, fixed| coupling * fixed);
    match curve {
        Shape::Pair { membrane_slow, .. } => {
            let (of_p, of_q) = if membrane_slow {
                (1.0, 0.0)
            } else {
                (0.0, 1.0)
            };
            [
                rest.zip(&current, |rest, current| -current - of_p * rest),
                rest.zip(&current, |rest, current| of_q * rest - current),
            ]
        }
        Shape::Equal => [rest.map(|rest| -rest), current],
        Shape::Integrating | Shape::Kicked { .. } => {
            [Parameter::Uniform(0.0), Parameter::Uniform(0.0)]
        }
    }
}

/// The current that a bias of 1 keeps up: a value that is held is a current already, and of what moves the current
/// in each bin as much is kept up as decays in it.
fn bias_gain(convention: &Convention, terms: &Terms, tau_syn: &Parameter) -> Parameter {
    let Some(synapse) = &terms.synapse else {
        return Parameter::Uniform(0.0);
    };
    match convention.spike {
        SpikeShape::Impulse | SpikeShape::Held => synapse.w_in.value.clone(),
        SpikeShape::Jump | SpikeShape::Unit => {
            synapse.gain.value.zip(tau_syn, |gain, tau| gain * tau)
        }
    }
}

/// How the two time constants compare, which has to be alike in all neurons of a population.
fn shape(tau_mem: &Parameter, tau_syn: &Parameter) -> Result<Shape, String> {
    let ratio = tau_mem.zip(tau_syn, |mem, syn| mem / syn);
    let all = |holds: &dyn Fn(f64) -> bool| match &ratio {
        Parameter::Uniform(ratio) => holds(*ratio),
        Parameter::PerNeuron(ratios) => ratios.iter().all(|ratio| holds(*ratio)),
    };
    let near = |ratio: f64, n: f64| (ratio / n - 1.0).abs() < 1e-9;
    if all(&|ratio| near(ratio, 1.0)) {
        return Ok(Shape::Equal);
    }
    let membrane_slow = all(&|ratio| ratio > 1.0);
    if !membrane_slow && !all(&|ratio| ratio < 1.0) {
        let message = "the membrane is slower than the synapse in some neurons, and not in others";
        return Err(message.to_owned());
    }
    if !all(&|ratio| (ratio - 1.0).abs() > 1e-3) {
        let message =
            "the time constants of membrane and synapse are almost equal, which loses all digits";
        return Err(message.to_owned());
    }
    let exactly = |n: f64| all(&|ratio| near(ratio.max(1.0 / ratio), n));
    let ratio = match () {
        () if exactly(2.0) => Ratio::Two,
        () if exactly(3.0) => Ratio::Three,
        () if exactly(4.0) => Ratio::Four,
        () => Ratio::Other,
    };
    Ok(Shape::Pair {
        ratio,
        membrane_slow,
    })
}

fn check(flow: &Flow) -> Result<(), String> {
    let positive = |p: &Parameter| match p {
        Parameter::Uniform(v) => *v > 0.0,
        Parameter::PerNeuron(v) => v.iter().all(|v| *v > 0.0),
    };
    if !positive(&flow.jump) {
        return Err(
            "a spike leaves the voltage at the threshold or above it, where it would spike forever"
                .to_owned(),
        );
    }
    Ok(())
}

impl Flow {
    /// Whether `y` is `t` times an exponential.
    pub(super) fn has_time(&self) -> bool {
        matches!(self.curve, Shape::Equal | Shape::Kicked { leaks: false })
    }

    /// Whether an arrival moves the voltage at once.
    pub(super) fn is_kicked(&self) -> bool {
        matches!(self.curve, Shape::Kicked { .. })
    }

    /// Whether the equilibrium can lie above the threshold, so that a neuron spikes without input.
    pub(super) fn spikes_by_itself(&self, trained: bool) -> bool {
        trained
            || match &self.threshold {
                Parameter::Uniform(v) => *v <= 0.0,
                Parameter::PerNeuron(v) => v.iter().any(|v| *v <= 0.0),
            }
    }

    /// Whether a sample begins with anything but zeros.
    pub(super) fn starts(&self) -> bool {
        self.start.iter().any(|start| !start.is(0.0))
    }

    /// Most bins of a window: what states are multiplied with stays below e^40, and the fourth power of a state
    /// within the range of `f32`.
    pub(super) fn range(&self) -> f64 {
        40.0 * match &self.fast {
            Parameter::Uniform(tau) => *tau,
            Parameter::PerNeuron(taus) => taus.iter().copied().fold(f64::INFINITY, f64::min),
        }
    }
}

/// What of a population's convention means something else, or nothing, where time is exact.
pub(super) fn unsupported(
    convention: &Convention,
    biased: bool,
    leaks: bool,
) -> Vec<(&'static str, String, &'static str)> {
    let attributes = convention.attributes();
    let mut found = Vec::new();
    let mut need = |name: &'static str, allowed: &'static [&'static str]| {
        let value = attributes.iter().find(|(attribute, _)| *attribute == name);
        if let Some((_, value)) = value
            && !allowed.contains(&value.as_str())
        {
            found.push((name, value.clone(), allowed[0]));
        }
    };
    need("gain", &["input"]);
    need("reset", &["to_value", "to_zero", "subtract"]);
    need("reset_time", &["same"]);
    need("floor", &["none"]);
    need("spikes", &["single"]);
    if biased {
        need("bias", &["input"]);
        need("recurrent_bias", &["same"]);
    }
    if leaks {
        need("initial", &["zero"]);
        need("synapse_leak", &["zero"]);
        need("leak", &["file", "ignored"]);
    }
    found
}

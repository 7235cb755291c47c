//! Decays and gains: what one tick of `dt` makes of a neuron's time constants, under a convention.

use nirc_ir::network::{
    Convention, CurrentShape, Decays, Firing, Gain, Integrator, Leak, Membrane, Neuron, Parameter,
    Resistance, SpikeShape, SynapseInput, SynapseIntegrator, SynapseLeak,
};

/// A coefficient and the formula that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) value: Parameter,
    pub(crate) formula: String,
}

impl Term {
    pub(crate) fn new(formula: impl Into<String>, value: Parameter) -> Self {
        Self {
            value,
            formula: formula.into(),
        }
    }

    /// A parameter under its own name.
    fn named(name: &str, value: &Parameter) -> Self {
        Self::new(name, value.clone())
    }

    /// The product of two terms.
    fn times(&self, other: &Self) -> Self {
        Self::new(
            format!("{} {}", bracket(&self.formula), bracket(&other.formula)),
            self.value.zip(&other.value, |a, b| a * b),
        )
    }

    fn over(&self, unit: &Self) -> Self {
        Self::new(
            format!("{} / ({})", self.formula, unit.formula),
            self.value.zip(&unit.value, |a, unit| a / unit),
        )
    }

    /// Whether it is 1 up to the rounding of the formula it came from.
    pub(crate) fn is_one(&self) -> bool {
        self.all(|g| (g - 1.0).abs() < 1e-12)
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.value.is(0.0)
    }

    fn all(&self, holds: impl Fn(f64) -> bool) -> bool {
        match &self.value {
            Parameter::Uniform(g) => holds(*g),
            Parameter::PerNeuron(g) => g.iter().all(|g| holds(*g)),
        }
    }
}

fn bracket(formula: &str) -> String {
    let sum = formula.contains(" + ") || formula.contains(" - ");
    if sum && !formula.starts_with('(') {
        format!("({formula})")
    } else {
        formula.to_owned()
    }
}

/// The decay of a state in a tick, and what it relaxes by.
#[derive(Clone)]
pub(crate) struct Decay {
    pub(crate) keeps: Term,
    /// `1 - decay`.
    pub(crate) relaxes: Term,
}

/// Everything that a tick multiplies with or adds.
pub(crate) struct Terms {
    /// The synapse's, if there is one.
    pub(crate) synapse: Option<SynapseTerms>,
    /// Decay of the voltage; `None` for a membrane without memory.
    pub(crate) membrane: Option<Decay>,
    /// What the current (or, without a synapse, what arrives) is multiplied with on its way to the voltage.
    pub(crate) gain: Term,
    /// What is added to the voltage in a tick for the leak.
    pub(crate) leak: Term,
    /// The voltage's equilibrium without input, for steps by increments.
    pub(crate) rest: Term,
    /// The resistance that counts.
    pub(crate) r: Term,
    /// What the input does to the voltage past the current, where the integrator is exact.
    pub(crate) direct: Option<Term>,
    /// What a constant current past the synapse does to the voltage.
    pub(crate) constant: Term,
    /// Threshold and reset value of what fires.
    pub(crate) threshold: Option<Term>,
    pub(crate) v_reset: Option<Term>,
    /// Factor on weights and biases.
    pub(crate) weights: Term,
    /// Volts of the file that 1 of the computed voltage stands for.
    pub(crate) unit: Term,
}

/// What a synapse multiplies with or adds.
pub(crate) struct SynapseTerms {
    pub(crate) decay: Decay,
    /// What arrives is multiplied with it.
    pub(crate) gain: Term,
    pub(crate) w_in: Term,
    /// What is added to the current in a tick.
    pub(crate) leak: Term,
    /// The current's equilibrium without input.
    pub(crate) rest: Term,
}

/// Gives the coefficients.
#[derive(Clone, Copy)]
pub(crate) struct Coefficients<'a> {
    pub(crate) convention: &'a Convention,
    pub(crate) dt: f64,
    /// How much larger the weights are than the file's.
    pub(crate) weight_scale: f64,
}

impl Coefficients<'_> {
    pub(crate) fn terms(&self, neuron: &Neuron) -> Terms {
        let mut terms = self.plain(neuron);
        match self.convention.gain {
            Gain::Input => {}
            Gain::Weights => into_weights(&mut terms),
            // What leaves without a threshold leaves in the file's unit.
            Gain::Threshold if neuron.firing.is_none() => {}
            Gain::Threshold => into_threshold(&mut terms),
        }
        if self.weight_scale != 1.0 {
            self.count_in_weights(&mut terms);
        }
        terms
    }

    /// Weights and biases that have been scaled make everything behind them larger.
    fn count_in_weights(&self, terms: &mut Terms) {
        let unit = Term::new("1 / weight_scale", one(1.0 / self.weight_scale));
        if let Some(synapse) = &mut terms.synapse
            && !synapse.leak.is_zero()
        {
            synapse.leak = synapse.leak.over(&unit);
        }
        // What a constant does, it does as scaled already.
        let constant = terms.constant.clone();
        rescale(terms, &unit);
        terms.constant = constant;
    }

    /// The terms as the equations have them.
    fn plain(&self, neuron: &Neuron) -> Terms {
        let synapse = self.synapse(neuron);
        let (membrane, r, v_leak) = self.membrane(neuron);
        let gain = self.gain(neuron, membrane.as_ref(), &r);
        let leak = match (self.convention.leak, &membrane) {
            (Leak::Bias, _) => v_leak.clone(),
            (_, Some(decay)) if matches!(neuron.membrane, Membrane::Leaky { .. }) => {
                decay.relaxes.times(&v_leak)
            }
            _ => Term::new("0", one(0.0)),
        };
        let named = |f: &Firing| {
            let threshold = Term::named("v_threshold", &f.threshold);
            (threshold, Term::named("v_reset", &f.v_reset))
        };
        let (threshold, v_reset) = neuron.firing.as_ref().map(named).unzip();
        let w_in = synapse.as_ref().map(|s| s.w_in.clone());
        let mut terms = Terms {
            constant: match &w_in {
                Some(w_in) => gain.times(w_in),
                None => gain.clone(),
            },
            synapse,
            membrane,
            gain,
            leak,
            rest: v_leak,
            r,
            direct: None,
            threshold,
            v_reset,
            weights: Term::new("1", one(1.0)),
            unit: Term::new("1", one(1.0)),
        };
        if self.convention.integrator == Integrator::Exact {
            self.couple(neuron, &mut terms);
        }
        terms
    }

    fn synapse(&self, neuron: &Neuron) -> Option<SynapseTerms> {
        let synapse = neuron.synapse.as_ref()?;
        let by = self.of_synapse();
        let decay = self.decay(by, "a", "tau_syn", &synapse.tau_syn);
        let w_in = Term::named("w_in", &synapse.w_in);
        let dt = self.dt;
        let gain = match self.convention.spike {
            SpikeShape::Held => w_in.times(&Term::new(
                "(1 - a)",
                raw(by, self.dt, &synapse.tau_syn).map(|a| 1.0 - a),
            )),
            SpikeShape::Impulse => Term::new(
                "w_in dt/tau_syn",
                synapse.w_in.zip(&synapse.tau_syn, |w, tau| w * (dt / tau)),
            ),
            SpikeShape::Jump => w_in.clone(),
            SpikeShape::Unit => Term::new("1", one(1.0)),
        };
        let rest = match (self.convention.synapse_leak, &neuron.membrane) {
            (SynapseLeak::VLeak, Membrane::Leaky { v_leak, .. }) => Term::named("v_leak", v_leak),
            _ => Term::new("0", one(0.0)),
        };
        Some(SynapseTerms {
            leak: decay.relaxes.times(&rest),
            decay,
            gain,
            w_in,
            rest,
        })
    }

    /// Decay of the voltage, the resistance and the leak that count.
    fn membrane(&self, neuron: &Neuron) -> (Option<Decay>, Term, Term) {
        let zero = || Term::new("0", one(0.0));
        let resistance = |r: &Parameter| match self.convention.resistance {
            Resistance::File => Term::named("r", r),
            Resistance::One => Term::new("1", one(1.0)),
        };
        match &neuron.membrane {
            Membrane::Direct => (None, Term::new("1", one(1.0)), zero()),
            Membrane::Integrator { r } => {
                let keeps = self.convention.if_decay;
                let decay = Decay {
                    keeps: Term::new("if_decay", one(keeps)),
                    relaxes: Term::new("1 - if_decay", one(1.0 - keeps)),
                };
                (Some(decay), resistance(r), zero())
            }
            Membrane::Leaky { tau, r, v_leak } => {
                let leak = match self.convention.leak {
                    Leak::Ignored => zero(),
                    Leak::File | Leak::Bias => Term::named("v_leak", v_leak),
                };
                let decay = self.decay(self.convention.integrator, "b", "tau_mem", tau);
                (Some(decay), resistance(r), leak)
            }
        }
    }

    /// What the current, or what arrives where there is no synapse, does to the voltage in a tick.
    fn gain(&self, neuron: &Neuron, membrane: Option<&Decay>, r: &Term) -> Term {
        let (Some(_), dt) = (membrane, self.dt) else {
            return Term::new("1", one(1.0));
        };
        let shape = match (&neuron.synapse, self.convention.current) {
            (None, _) => self.convention.spike,
            (Some(_), CurrentShape::Held) => SpikeShape::Held,
            (Some(_), CurrentShape::Unit) => SpikeShape::Unit,
        };
        match (shape, &neuron.membrane) {
            (SpikeShape::Unit, _) | (_, Membrane::Direct) => Term::new("1", one(1.0)),
            (SpikeShape::Jump, _) => r.clone(),
            (_, Membrane::Integrator { .. }) => r.times(&Term::new("dt", one(dt))),
            (SpikeShape::Held, Membrane::Leaky { tau, .. }) => {
                let relaxes = Term::new("1 - b", self.raw(tau).map(|b| 1.0 - b));
                if r.is_one() {
                    relaxes
                } else {
                    relaxes.times(r)
                }
            }
            (SpikeShape::Impulse, Membrane::Leaky { tau, .. }) => {
                Term::new("r dt/tau_mem", r.value.zip(tau, |r, tau| r * (dt / tau)))
            }
        }
    }

    /// The exact solution of current and voltage together: what the current before the tick and the input do
    /// to the voltage in the course of it.
    fn couple(&self, neuron: &Neuron, terms: &mut Terms) {
        let (Some(synapse), dt) = (&neuron.synapse, self.dt) else {
            return;
        };
        let tau_syn = &synapse.tau_syn;
        let (kernel, formula) = match &neuron.membrane {
            Membrane::Direct => return,
            Membrane::Integrator { .. } => (
                tau_syn.map(|syn| -syn * (-dt / syn).exp_m1()),
                "r tau_syn (1 - a)",
            ),
            Membrane::Leaky { tau, .. } => (
                tau_syn.zip(tau, |syn, mem| overlap(dt, syn, mem)),
                "r tau_syn (a - b) / (tau_syn - tau_mem)",
            ),
        };
        let held = terms.gain.clone();
        let kernel = Term::new(formula, kernel.zip(&terms.r.value, |kernel, r| kernel * r));
        let jumps_last = self.convention.synapse_input == SynapseInput::AfterDecay;
        let direct = match self.convention.spike {
            // The current jumps at the tick's end: the voltage follows it from the next tick on.
            SpikeShape::Impulse | SpikeShape::Unit if jumps_last => Term::new("0", one(0.0)),
            // As if the current had always been there, less what it still lacks.
            SpikeShape::Held => Term::new(
                "w_in (held - c)",
                held.value.zip(&kernel.value, |held, kernel| held - kernel),
            ),
            SpikeShape::Impulse => Term::new(
                "w_in c dt/tau_syn",
                kernel.value.zip(tau_syn, |kernel, syn| kernel * (dt / syn)),
            ),
            SpikeShape::Jump => Term::new("w_in c", kernel.value.clone()),
            SpikeShape::Unit => Term::new("c", kernel.value.clone()),
        };
        let scale = |v: &Parameter| match self.convention.spike {
            SpikeShape::Unit => v.clone(),
            _ => v.zip(&synapse.w_in, |v, w| v * w),
        };
        terms.direct = Some(Term::new(direct.formula, scale(&direct.value)));
        terms.gain = kernel;
    }

    fn decay(&self, by: Integrator, symbol: &str, name: &str, tau: &Parameter) -> Decay {
        let free = raw(by, self.dt, tau);
        let (keeps, clamped) = match self.convention.decays {
            Decays::Free => (free, ""),
            Decays::Clamped => (free.map(|d| d.clamp(0.0, 1.0)), " within 0 and 1"),
        };
        let formula = match by {
            Integrator::Exponential | Integrator::Exact => format!("exp(-dt/{name}){clamped}"),
            Integrator::Euler => format!("1 - dt/{name}{clamped}"),
        };
        Decay {
            relaxes: Term::new(format!("1 - {symbol}"), keeps.map(|d| 1.0 - d)),
            keeps: Term::new(formula, keeps),
        }
    }

    fn raw(&self, tau: &Parameter) -> Parameter {
        raw(self.convention.integrator, self.dt, tau)
    }

    /// How the synaptic current is integrated.
    fn of_synapse(&self) -> Integrator {
        match self.convention.synapse_integrator {
            SynapseIntegrator::Same => self.convention.integrator,
            SynapseIntegrator::Euler => Integrator::Euler,
        }
    }
}

/// The decay in a tick, whatever it is.
fn raw(by: Integrator, dt: f64, tau: &Parameter) -> Parameter {
    match by {
        Integrator::Exponential | Integrator::Exact => tau.map(|tau| (-dt / tau).exp()),
        Integrator::Euler => tau.map(|tau| 1.0 - dt / tau),
    }
}

/// Multiplies the first gain into the weights.
fn into_weights(terms: &mut Terms) {
    let unit = || Term::new("1", one(1.0));
    match &mut terms.synapse {
        // What the exact solution adds for the input has the gain within it.
        Some(_) if terms.direct.is_some() => {}
        Some(synapse) => terms.weights = std::mem::replace(&mut synapse.gain, unit()),
        None => terms.weights = std::mem::replace(&mut terms.gain, unit()),
    }
}

/// Counts voltages in weights: divides everything behind the gains by them.
fn into_threshold(terms: &mut Terms) {
    let unit = || Term::new("1", one(1.0));
    if terms.direct.is_some() {
        return;
    }
    let mut total = std::mem::replace(&mut terms.gain, unit());
    if let Some(synapse) = &mut terms.synapse {
        let gain = std::mem::replace(&mut synapse.gain, unit());
        synapse.leak = synapse.leak.over(&gain);
        total = total.times(&gain);
    }
    if !total.all(|g| g.is_finite() && g != 0.0) {
        return;
    }
    rescale(terms, &total);
}

/// Counts voltages in a new unit.
fn rescale(terms: &mut Terms, unit: &Term) {
    terms.unit = if terms.unit.is_one() {
        unit.clone()
    } else {
        terms.unit.times(unit)
    };
    for term in [&mut terms.leak, &mut terms.constant, &mut terms.rest] {
        if !term.is_zero() {
            *term = term.over(unit);
        }
    }
    for term in [&mut terms.threshold, &mut terms.v_reset]
        .into_iter()
        .flatten()
    {
        if !term.is_zero() {
            *term = term.over(unit);
        }
    }
}

fn one(value: f64) -> Parameter {
    Parameter::Uniform(value)
}

/// What a current of 1 that decays with `syn` leaves in a membrane of `mem` after `dt`:
/// `syn (exp(-dt/syn) - exp(-dt/mem)) / (syn - mem)`, and its limit where the two are one.
fn overlap(dt: f64, syn: f64, mem: f64) -> f64 {
    let (a, b) = ((-dt / syn).exp(), (-dt / mem).exp());
    let rate = dt / syn - dt / mem;
    if rate.abs() < 1e-4 {
        // Series of (1 - exp(-rate)) / rate, so that nothing cancels: a - b = -b (1 - exp(-rate)).
        return dt / mem * b * (1.0 - rate / 2.0 + rate * rate / 6.0);
    }
    syn * (a - b) / (syn - mem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The membrane's equation, integrated in a million steps.
    fn integrated(dt: f64, syn: f64, mem: f64) -> f64 {
        let steps = 1_000_000;
        let h = dt / f64::from(steps);
        let (mut i, mut v) = (1.0_f64, 0.0_f64);
        for _ in 0..steps {
            let middle = i * (-h / 2.0 / syn).exp();
            v += h * (middle - v) / mem;
            i *= (-h / syn).exp();
        }
        v
    }

    #[test]
    fn overlap_is_what_the_equations_say() {
        for (syn, mem) in [
            (0.005, 0.02),
            (0.02, 0.005),
            (0.01, 0.01),
            (0.01, 0.010_000_1),
        ] {
            let (found, expected) = (overlap(0.001, syn, mem), integrated(0.001, syn, mem));
            let error = (found - expected).abs();
            assert!(error < 1e-6 * expected, "{syn} {mem}: {found} {expected}");
        }
    }

    /// A jump at a tick's end is the jump at the next tick's beginning.
    #[test]
    fn jumps_are_exact_at_either_end_of_a_tick() {
        let neuron = Neuron {
            synapse: Some(nirc_ir::network::Synapse {
                tau_syn: one(0.01),
                w_in: one(1.0),
            }),
            membrane: Membrane::Leaky {
                tau: one(0.02),
                r: one(1.0),
                v_leak: one(0.0),
            },
            firing: None,
        };
        let run = |synapse_input, arrives: [f64; 3]| {
            let convention = Convention {
                synapse_input,
                ..Convention::preset("jaxsnn").expect("a preset")
            };
            let coefficients = Coefficients {
                convention: &convention,
                dt: 0.001,
                weight_scale: 1.0,
            };
            let terms = coefficients.terms(&neuron);
            let value = |term: &Term| term.value.at(0);
            let synapse = terms.synapse.as_ref().expect("a synapse");
            let (a, c) = (value(&synapse.decay.keeps), value(&terms.gain));
            let b = value(&terms.membrane.as_ref().expect("a memory").keeps);
            let d = value(terms.direct.as_ref().expect("an exact solution"));
            let (mut i, mut v) = (0.0, 0.0);
            for x in arrives {
                v = b * v + c * i + d * x;
                i = match synapse_input {
                    SynapseInput::BeforeDecay => a * (i + x),
                    SynapseInput::AfterDecay => a * i + x,
                };
            }
            v
        };
        let first = run(SynapseInput::BeforeDecay, [0.0, 1.0, 0.0]);
        let last = run(SynapseInput::AfterDecay, [1.0, 0.0, 0.0]);
        let expected = overlap(0.002, 0.01, 0.02);
        assert!((first - expected).abs() < 1e-15, "{first} {expected}");
        assert!((last - expected).abs() < 1e-15, "{last} {expected}");
    }
}

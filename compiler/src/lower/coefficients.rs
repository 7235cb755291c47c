//! Decays and gains: what one tick of `dt` makes of a neuron's time constants, under a convention.

use nirc_ir::network::{Convention, Integrator, Membrane, Neuron, Parameter, SpikeShape, Synapse};

/// A coefficient and the formula that it comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Term {
    pub(super) value: Parameter,
    pub(super) formula: String,
}

impl Term {
    /// A parameter under its own name.
    pub(super) fn named(name: &str, value: &Parameter) -> Self {
        Self {
            value: value.clone(),
            formula: name.to_owned(),
        }
    }

    /// The term, unless it is 1 up to the rounding of the formula it came from.
    fn unless_one(self) -> Option<Self> {
        let near = |g: f64| (g - 1.0).abs() < 1e-12;
        let one = match &self.value {
            Parameter::Uniform(g) => near(*g),
            Parameter::PerNeuron(g) => g.iter().all(|g| near(*g)),
        };
        (!one).then_some(self)
    }
}

/// Coefficients of a neuron without a synapse; `None` stands for 1.
pub(super) struct Plain {
    pub(super) decay_v: Option<Term>,
    pub(super) gain: Option<Term>,
}

/// Coefficients of a neuron with a synapse; `None` stands for 1, but for `direct`, where it is 0.
pub(super) struct Coupled {
    pub(super) decay_i: Option<Term>,
    pub(super) decay_v: Option<Term>,
    pub(super) gain: Option<Term>,
    pub(super) coupling: Option<Term>,
    pub(super) direct: Option<Term>,
    pub(super) membrane_bias: Option<Term>,
}

/// Gives the coefficients.
#[derive(Clone, Copy)]
pub(super) struct Coefficients<'a> {
    pub(super) convention: &'a Convention,
    pub(super) dt: f64,
}

impl Coefficients<'_> {
    pub(super) fn plain(&self, neuron: &Neuron) -> Plain {
        let (decay_v, gain) = match &neuron.membrane {
            Membrane::Direct => (None, None),
            Membrane::Integrator { r } => (None, self.integrated(r)),
            Membrane::Leaky { tau, r, .. } => (
                Some(self.decay("tau_mem", tau)),
                self.gain(("tau_mem", tau), ("r", r), "b"),
            ),
        };
        Plain {
            decay_v,
            gain: gain.and_then(Term::unless_one),
        }
    }

    /// # Panics
    /// If the neuron has no synapse.
    pub(super) fn synapse(&self, neuron: &Neuron) -> Coupled {
        let synapse = neuron.synapse.as_ref().expect("the neuron has a synapse");
        let tau_syn = &synapse.tau_syn;
        let gain = self.gain(("tau_syn", tau_syn), ("w_in", &synapse.w_in), "a");
        let mut coupled = Coupled {
            decay_i: Some(self.decay("tau_syn", tau_syn)),
            decay_v: None,
            gain: gain.and_then(Term::unless_one),
            coupling: None,
            direct: None,
            membrane_bias: None,
        };
        match &neuron.membrane {
            Membrane::Direct => coupled.membrane_bias = self.past(None, &synapse.w_in),
            Membrane::Integrator { r } => self.couple_integrator(&mut coupled, synapse, r),
            Membrane::Leaky { tau, r, .. } => {
                coupled.decay_v = Some(self.decay("tau_mem", tau));
                self.couple_leaky(&mut coupled, synapse, tau, r);
            }
        }
        coupled
    }

    fn couple_leaky(
        &self,
        coupled: &mut Coupled,
        synapse: &Synapse,
        tau: &Parameter,
        r: &Parameter,
    ) {
        let relax = self.decay("tau_mem", tau).value.map(|b| 1.0 - b);
        let held = relax.zip(r, |relax, r| relax * r);
        let formula = if r.is(1.0) { "1 - b" } else { "(1 - b) r" };
        let current = Term {
            value: held,
            formula: formula.to_owned(),
        };
        coupled.membrane_bias = self.past(Some(&current), &synapse.w_in);
        if self.convention.integrator != Integrator::Exact {
            coupled.coupling = current.unless_one();
            return;
        }
        let dt = self.dt;
        let times = synapse.tau_syn.zip(tau, |syn, mem| overlap(dt, syn, mem));
        coupled.coupling = Term {
            value: times.zip(r, |kernel, r| kernel * r),
            formula: "r tau_syn (a - b) / (tau_syn - tau_mem)".to_owned(),
        }
        .unless_one();
        coupled.direct = self.direct(
            &times.zip(r, |kernel, r| kernel * r),
            &current.value,
            synapse,
        );
    }

    fn couple_integrator(&self, coupled: &mut Coupled, synapse: &Synapse, r: &Parameter) {
        let dt = self.dt;
        let current = Term {
            value: r.map(|r| r * dt),
            formula: "r dt".to_owned(),
        };
        coupled.membrane_bias = self.past(Some(&current), &synapse.w_in);
        if self.convention.integrator != Integrator::Exact {
            coupled.coupling = current.unless_one();
            return;
        }
        let kernel = synapse
            .tau_syn
            .zip(r, |syn, r| r * syn * -(-dt / syn).exp_m1());
        coupled.direct = self.direct(&kernel, &current.value, synapse);
        coupled.coupling = Term {
            value: kernel,
            formula: "r tau_syn (1 - a)".to_owned(),
        }
        .unless_one();
    }

    /// What the input does to the voltage within the tick, where the integrator is exact: a jump of the
    /// current at the tick's start acts like the current itself, a held input as if it had always been there,
    /// less what the current still lacks of it.
    fn direct(&self, kernel: &Parameter, held: &Parameter, synapse: &Synapse) -> Option<Term> {
        let dt = self.dt;
        let (value, formula) = match self.convention.spike {
            SpikeShape::Held => (
                held.zip(kernel, |held, kernel| held - kernel),
                "w_in (held - c)",
            ),
            SpikeShape::Impulse => (
                kernel.zip(&synapse.tau_syn, |kernel, syn| kernel * dt / syn),
                "w_in c dt/tau_syn",
            ),
            SpikeShape::Unit => (kernel.clone(), "w_in c"),
        };
        Some(Term {
            value: value.zip(&synapse.w_in, |v, w| v * w),
            formula: formula.to_owned(),
        })
    }

    /// What a bias past the synapse does to the voltage in a tick.
    fn past(&self, current: Option<&Term>, w_in: &Parameter) -> Option<Term> {
        let term = match current {
            None => Term::named("w_in", w_in),
            Some(term) => Term {
                value: term.value.zip(w_in, |c, w| c * w),
                formula: format!("{} w_in", term.formula),
            },
        };
        term.unless_one()
    }

    /// `(1-b) v_leak`, if it is not zero.
    pub(super) fn leak(&self, neuron: &Neuron) -> Option<Term> {
        let Membrane::Leaky { tau, v_leak, .. } = &neuron.membrane else {
            return None;
        };
        if v_leak.is(0.0) {
            return None;
        }
        let relax = self.decay("tau_mem", tau).value.map(|b| 1.0 - b);
        Some(Term {
            value: relax.zip(v_leak, |relax, leak| relax * leak),
            formula: "(1 - b) v_leak".to_owned(),
        })
    }

    fn decay(&self, name: &str, tau: &Parameter) -> Term {
        let dt = self.dt;
        match self.convention.integrator {
            Integrator::Exponential | Integrator::Exact => Term {
                value: tau.map(|tau| (-dt / tau).exp()),
                formula: format!("exp(-dt/{name})"),
            },
            Integrator::Euler => Term {
                value: tau.map(|tau| 1.0 - dt / tau),
                formula: format!("1 - dt/{name}"),
            },
        }
    }

    /// How far a spike of weight 1 moves an integrator.
    fn integrated(&self, r: &Parameter) -> Option<Term> {
        let dt = self.dt;
        Some(match self.convention.spike {
            SpikeShape::Unit => Term::named("r", r),
            SpikeShape::Impulse | SpikeShape::Held => Term {
                value: r.map(|r| r * dt),
                formula: "r dt".to_owned(),
            },
        })
    }

    /// How far a spike of weight 1 moves the state that it drives.
    fn gain(
        &self,
        (time, tau): (&str, &Parameter),
        (factor, scale): (&str, &Parameter),
        decay: &str,
    ) -> Option<Term> {
        let dt = self.dt;
        let (unit, formula) = match self.convention.spike {
            SpikeShape::Impulse => (tau.map(|tau| dt / tau), format!("{factor} dt/{time}")),
            SpikeShape::Held => (
                self.decay(time, tau).value.map(|d| 1.0 - d),
                format!("{factor} (1 - {decay})"),
            ),
            SpikeShape::Unit => (Parameter::Uniform(1.0), factor.to_owned()),
        };
        Some(Term {
            value: scale.zip(&unit, |scale, unit| scale * unit),
            formula,
        })
    }
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
            assert!(
                (found - expected).abs() < 1e-6 * expected,
                "{syn} {mem}: {found} {expected}"
            );
        }
    }
}

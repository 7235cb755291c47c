//! Parameters by which a second convention computes what a first one computes.
//!
//! A tick of a neuron is a handful of numbers: decays, gains, leak, threshold, reset (the coefficients of
//! lowering). They follow from the file's parameters and a convention; here they are followed back: which
//! parameters give the same numbers under another convention? Time constants are solved for from the decays,
//! `r` and `w_in` from the gains, and where the other convention has no parameter for a gain, it goes into
//! the weights. What no parameter can express (kind and time of a reset, order of current and voltage, …) is
//! refused if it shows.

use std::collections::BTreeMap;

use nirc_ir::convention::{
    BiasPlace, Convention, CurrentShape, Gain, Integrator, Leak, NumberFormat, Reset, ResetTime,
    Resistance, SpikeShape, SynapseInput, SynapseIntegrator, Threshold,
};
use nirc_ir::network::{Membrane, Network, Neuron, Parameter, Pop, PopulationKind, Projection};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use crate::lower::coefficients::{Coefficients, Terms};
use crate::passes::{Change, own_conventions};

/// New values for a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewrites {
    /// For its nodes, by path.
    pub nodes: BTreeMap<String, Rewrite>,
    /// Factor on the times of Delay nodes: so that they are as many ticks, in the unit of time that is then used.
    pub delays: f64,
}

/// New values for a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewrite {
    /// Parameters by NIR's names, one value a neuron.
    pub fields: BTreeMap<&'static str, Parameter>,
    /// Factor on weights and bias, one an output; 1 where none is needed.
    pub weights: Option<Parameter>,
}

/// How the other tool reads what is written.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its convention.
    pub convention: &'a Convention,
    /// What was changed of it by hand.
    pub changes: &'a [Change],
    /// Seconds of a tick.
    pub dt: f64,
}

/// The rewrites that make the other tool compute what the network is.
///
/// # Errors
/// Everything that cannot be expressed, population by population.
pub fn convert(network: &Network, to: Target<'_>) -> Result<(Rewrites, Diagnostics), Diagnostics> {
    let (mut rewrites, mut found) = (Rewrites::default(), Diagnostics::new());
    let targets = own_conventions(network, to.convention, to.changes)?;
    for (pop, target) in &targets {
        let population = &network.populations[*pop];
        let PopulationKind::Neurons(neuron) = &population.kind else {
            continue;
        };
        // A relay stands in no file, but may share weights with what does.
        if neuron.membrane == Membrane::Direct && neuron.firing.is_none() {
            spread(
                network,
                *pop,
                &Parameter::Uniform(1.0),
                &mut rewrites,
                &mut found,
            );
            continue;
        }
        let conversion = Conversion {
            network,
            pop: *pop,
            neuron,
            from: network.convention_of(*pop),
            to: target,
            to_dt: to.dt,
        };
        match conversion.run() {
            Ok(Converted { fields, weights }) => {
                let rewrite = rewrites.nodes.entry(population.name.clone()).or_default();
                rewrite.fields = fields;
                let weights = weights.unwrap_or(Parameter::Uniform(1.0));
                spread(network, *pop, &weights, &mut rewrites, &mut found);
            }
            Err(refused) => {
                let place = &population.name;
                found
                    .0
                    .extend(refused.into_iter().map(|Refused { message, help }| {
                        Diagnostic::error(codes::CONVENTION, place, message).help(help)
                    }));
            }
        }
        found.0.extend(conversion.delays());
    }
    if found.has_errors() {
        return Err(found);
    }
    rewrites.delays = network.convention.time_unit / to.convention.time_unit * (to.dt / network.dt);
    Ok((rewrites, found))
}

/// Multiplies a factor into the weight nodes that lead into a population.
fn spread(
    network: &Network,
    pop: Pop,
    weights: &Parameter,
    rewrites: &mut Rewrites,
    found: &mut Diagnostics,
) {
    for (_, projection) in network.incoming(pop) {
        let refused = match last_node(network, projection) {
            None if weights.is(1.0) => continue,
            None => {
                let place = &network.populations[pop].name;
                (
                    place.as_str(),
                    "a gain has to go into the weights, and it has none",
                )
            }
            Some(node) => {
                let rewrite = rewrites.nodes.entry(node.to_owned()).or_default();
                match &rewrite.weights {
                    Some(other) if other != weights => (
                        node,
                        "it leads into populations that need it multiplied differently",
                    ),
                    _ => {
                        rewrite.weights = Some(weights.clone());
                        continue;
                    }
                }
            }
        };
        let (place, message) = refused;
        found.push(Diagnostic::error(codes::CONVENTION, place, message).help(OTHER_WEIGHTS));
    }
}

/// The last node of a projection's path, which is the one that leads into its target: names are those of its nodes,
/// and then what tells paths apart that share them.
fn last_node<'a>(network: &'a Network, projection: &'a Projection) -> Option<&'a str> {
    let [pre, post] = [projection.pre, projection.post].map(|p| &network.populations[p].name);
    let ends = format!("{pre}->{post}");
    let mut name = projection.name.trim_end_matches('\'');
    if let Some((before, _)) = name.rsplit_once(" (delay ").filter(|_| name.ends_with(')')) {
        name = before;
    }
    let name = name.strip_suffix(&format!(" ({ends})")).unwrap_or(name);
    (name != ends).then(|| name.rsplit('+').next().unwrap_or(name))
}

struct Conversion<'a> {
    network: &'a Network,
    pop: Pop,
    neuron: &'a Neuron,
    from: &'a Convention,
    to: &'a Convention,
    to_dt: f64,
}

struct Converted {
    fields: BTreeMap<&'static str, Parameter>,
    weights: Option<Parameter>,
}

/// What no parameter makes up for.
struct Refused {
    message: String,
    help: String,
}

const OTHER_WEIGHTS: &str =
    "give each population weights of its own, or convert to a convention with the same gains";
const OTHER_CONVENTION: &str =
    "convert to another convention, or say with --set-to what the other tool does otherwise";

/// One without a remedy of its own.
fn refused(message: impl Into<String>) -> Refused {
    Refused {
        message: message.into(),
        help: OTHER_CONVENTION.to_owned(),
    }
}

fn has_bias(projection: &Projection) -> bool {
    let mut bias = projection.bias.iter().flatten();
    bias.any(|b| *b != 0.0)
}

/// What a reset comes to.
#[derive(Clone, Debug, PartialEq)]
enum Effect {
    Value(Parameter),
    Subtract,
    Nothing,
}

impl Conversion<'_> {
    fn run(&self) -> Result<Converted, Vec<Refused>> {
        let problems = self.inexpressible();
        if !problems.is_empty() {
            return Err(problems);
        }
        let terms = self.terms();
        let mut converted = Converted {
            fields: BTreeMap::new(),
            weights: None,
        };
        self.firing(&mut converted);
        match self.gains(&terms, &mut converted) {
            Ok(()) => Ok(converted),
            Err(message) => Err(vec![refused(message)]),
        }
    }

    /// The numbers of a tick, with the gains where they can be seen.
    fn terms(&self) -> Terms {
        let convention = Convention {
            gain: Gain::Input,
            ..self.from.clone()
        };
        let coefficients = Coefficients {
            convention: &convention,
            dt: self.network.dt,
            weight_scale: 1.0,
        };
        coefficients.terms(self.neuron)
    }

    fn inexpressible(&self) -> Vec<Refused> {
        let (from, to) = (self.from, self.to);
        let synapse = self.neuron.synapse.is_some();
        let memory = self.neuron.membrane != Membrane::Direct;
        let fires = self.neuron.firing.is_some() && memory;
        let integrates = matches!(self.neuron.membrane, Membrane::Integrator { .. });
        let exact = |c: &Convention| c.integrator == Integrator::Exact;
        let mut problems = Vec::new();
        let mut differ = |shows: bool, name: &str, a: String, b: String| {
            if shows && a != b {
                let message = format!(
                    "`{name}` is {a} in `{}` and {b} in `{}`, and no parameter makes up for it",
                    from.name, to.name
                );
                let help = format!(
                    "if the other tool can do as `{}`, say so with --set-to; or convert to another convention",
                    from.name
                );
                problems.push(Refused { message, help });
            }
        };
        let text = |c: &Convention, name: &str| {
            let found = c.attributes().into_iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value).unwrap_or_default()
        };
        for (shows, name) in [
            (synapse && !(exact(from) && exact(to)), "order"),
            // The exact solution has the decay of the input within it, which no gain makes up for.
            (synapse && exact(from) && exact(to), "synapse_input"),
            (fires, "floor"),
            (fires, "spikes"),
            (self.biased_by_cycle(), "recurrent_bias"),
            (synapse && self.leaks(), "synapse_leak"),
            (self.leaks(), "initial"),
            (integrates, "if_decay"),
            (true, "number_format"),
        ] {
            differ(shows, name, text(from, name), text(to, name));
        }
        let name = |c: &Convention| if exact(c) { "exact" } else { "stepwise" };
        differ(
            synapse,
            "integrator",
            name(from).to_owned(),
            name(to).to_owned(),
        );
        // A current that is held grows in the course of the tick; one that jumps is there from its beginning.
        let jumps = |c: &Convention| {
            let jumps = c.spike != SpikeShape::Held;
            if jumps { "a jump" } else { "held" }.to_owned()
        };
        differ(
            synapse && exact(from) && exact(to),
            "spike",
            jumps(from),
            jumps(to),
        );
        // Without a synapse there is nothing to go past.
        let bias = |c: &Convention| match c.bias {
            BiasPlace::Membrane if !synapse => BiasPlace::Input,
            other => other,
        };
        differ(
            self.biased(),
            "bias",
            bias(from).to_string(),
            bias(to).to_string(),
        );
        let time = |c: &Convention| match c.reset_time {
            ResetTime::Guarded if c.reset != Reset::Subtract => ResetTime::Same,
            other => other,
        };
        differ(
            fires,
            "reset_time",
            time(from).to_string(),
            time(to).to_string(),
        );
        if fires && self.effect().is_none() {
            differ(true, "reset", from.reset.to_string(), to.reset.to_string());
        }
        if from.number_format == NumberFormat::Int8 && to.number_format == NumberFormat::Int8 {
            problems.push(refused(
                "weights of 8 bits are not converted: give the file of full precision",
            ));
        }
        problems
    }

    fn biased(&self) -> bool {
        self.network.incoming(self.pop).any(|(_, p)| has_bias(p))
    }

    fn biased_by_cycle(&self) -> bool {
        let mut projections = self.network.incoming(self.pop);
        projections.any(|(proj, p)| has_bias(p) && self.network.is_recurrent(proj))
    }

    fn leaks(&self) -> bool {
        match &self.neuron.membrane {
            Membrane::Leaky { v_leak, .. } => !v_leak.is(0.0),
            _ => false,
        }
    }

    /// What the reset comes to, if both conventions can express it.
    fn effect(&self) -> Option<Effect> {
        let firing = self.neuron.firing.as_ref()?;
        let effect = match self.from.reset {
            Reset::ToValue => Effect::Value(firing.v_reset.clone()),
            Reset::ToZero => Effect::Value(Parameter::Uniform(0.0)),
            Reset::Subtract => Effect::Subtract,
            Reset::None => Effect::Nothing,
        };
        let possible = match (&effect, self.to.reset) {
            (Effect::Value(_), Reset::ToValue)
            | (Effect::Subtract, Reset::Subtract)
            | (Effect::Nothing, Reset::None) => true,
            (Effect::Value(value), Reset::ToZero) => value.is(0.0),
            _ => false,
        };
        possible.then_some(effect)
    }

    fn firing(&self, converted: &mut Converted) {
        let Some(firing) = &self.neuron.firing else {
            return;
        };
        // The neighbouring number makes a strict comparison inclusive, and the reverse.
        let threshold = match (self.from.threshold, self.to.threshold) {
            (Threshold::Strict, Threshold::Inclusive) => {
                firing.threshold.map(|t| f64::from((t as f32).next_up()))
            }
            (Threshold::Inclusive, Threshold::Strict) => {
                firing.threshold.map(|t| f64::from((t as f32).next_down()))
            }
            _ => firing.threshold.clone(),
        };
        if self.neuron.membrane == Membrane::Direct {
            converted.fields.insert("threshold", threshold);
            return;
        }
        converted.fields.insert("v_threshold", threshold);
        if let Some(Effect::Value(value)) = self.effect() {
            converted.fields.insert("v_reset", value);
        }
    }

    fn gains(&self, terms: &Terms, converted: &mut Converted) -> Result<(), String> {
        let Some(membrane) = &terms.membrane else {
            return Ok(());
        };
        let kept = &membrane.keeps.value;
        let relaxes = kept.map(|b| 1.0 - b);
        let leaky = matches!(self.neuron.membrane, Membrane::Leaky { .. });
        let cuba = self.neuron.synapse.is_some();
        if let Membrane::Leaky { tau, .. } = &self.neuron.membrane {
            let tau = self.tau("the membrane's decay", self.to.integrator, kept, tau)?;
            let field = if cuba { "tau_mem" } else { "tau" };
            converted.fields.insert(field, self.in_file(&tau));
            converted
                .fields
                .insert("v_leak", self.leak(terms, &relaxes)?);
        }
        let exact = terms.direct.is_some();
        // What reaches the voltage from a weight of 1, by way of the current if there is one.
        let needed = match (&terms.synapse, exact) {
            (None, _) => terms.gain.value.clone(),
            (Some(synapse), false) => {
                let entered = self.entered(self.from, &synapse.decay.keeps.value);
                let gain = synapse.gain.value.zip(&entered, |g, e| g * e);
                terms.gain.value.zip(&gain, |a, b| a * b)
            }
            // Both are exact: the kernel is the same, r and the synapse's gain have to be.
            (Some(synapse), true) => terms.r.value.zip(&synapse.gain.value, |a, b| a * b),
        };
        let with_r = self.to.resistance == Resistance::File
            && (!cuba || exact || self.to.current == CurrentShape::Held);
        let unit = !cuba && self.to.spike == SpikeShape::Unit;
        let own = |r: &Parameter| self.own_gain(r, (kept, &relaxes), cuba, exact);
        let one = Parameter::Uniform(1.0);
        if with_r && !unit && !cuba {
            // r alone makes the gain.
            let r = needed.zip(&own(&one), |needed, own| needed / own);
            converted.fields.insert("r", r);
            return Ok(());
        }
        let r = if with_r {
            terms.r.value.clone()
        } else if cuba && leaky && self.to.resistance == Resistance::File {
            // It does not count, but some tools insist on the one that would make the gain of 1.
            relaxes.map(|relax| 1.0 / relax)
        } else {
            one
        };
        if !matches!(self.neuron.membrane, Membrane::Direct) {
            converted.fields.insert("r", r.clone());
        }
        let rest = needed.zip(&own(&r), |needed, own| needed / own);
        self.remainder(terms, rest, converted)
    }

    /// What a current of 1 (or, without a synapse, a weight of 1) does to the voltage under the other convention.
    fn own_gain(
        &self,
        r: &Parameter,
        (kept, relaxes): (&Parameter, &Parameter),
        cuba: bool,
        exact: bool,
    ) -> Parameter {
        let dt = self.to_dt;
        if exact {
            return r.clone();
        }
        let shape = match (cuba, self.to.current) {
            (false, _) => self.to.spike,
            (true, CurrentShape::Held) => SpikeShape::Held,
            (true, CurrentShape::Unit) => SpikeShape::Unit,
        };
        match (shape, &self.neuron.membrane) {
            (SpikeShape::Unit, _) | (_, Membrane::Direct) => Parameter::Uniform(1.0),
            (SpikeShape::Jump, _) => r.clone(),
            (_, Membrane::Integrator { .. }) => r.map(|r| r * dt),
            (SpikeShape::Held, _) => r.zip(relaxes, |r, relax| r * relax),
            (SpikeShape::Impulse, _) => {
                let tau = self.solved(self.to.integrator, kept);
                r.zip(&tau, |r, tau| r * (dt / tau))
            }
        }
    }

    /// The part of the gain that `w_in` or the weights have to make.
    fn remainder(
        &self,
        terms: &Terms,
        rest: Parameter,
        converted: &mut Converted,
    ) -> Result<(), String> {
        let unless_one = |factor: Parameter| {
            let off = factor.map(|f| if (f - 1.0).abs() < 1e-12 { 0.0 } else { 1.0 });
            (!off.is(0.0)).then_some(factor)
        };
        let (Some(synapse), Some(file)) = (&terms.synapse, &self.neuron.synapse) else {
            converted.weights = unless_one(rest);
            return Ok(());
        };
        let kept = &synapse.decay.keeps.value;
        let by = match self.to.synapse_integrator {
            SynapseIntegrator::Same => self.to.integrator,
            SynapseIntegrator::Euler => Integrator::Euler,
        };
        let tau = self.tau("the synapse's decay", by, kept, &file.tau_syn)?;
        converted.fields.insert("tau_syn", self.in_file(&tau));
        // Between two exact solutions, gains are compared before any decay.
        let rest = match terms.direct {
            Some(_) => rest,
            None => rest.zip(&self.entered(self.to, kept), |rest, entered| rest / entered),
        };
        let dt = self.to_dt;
        match self.to.spike {
            SpikeShape::Held => {
                let w_in = rest.zip(kept, |rest, a| rest / (1.0 - a));
                converted.fields.insert("w_in", w_in);
            }
            SpikeShape::Impulse => {
                let w_in = rest.zip(&tau, |rest, tau| rest * tau / dt);
                converted.fields.insert("w_in", w_in);
            }
            SpikeShape::Jump => {
                converted.fields.insert("w_in", rest);
            }
            SpikeShape::Unit => {
                converted.fields.insert("w_in", Parameter::Uniform(1.0));
                converted.weights = unless_one(rest);
            }
        }
        Ok(())
    }

    /// What a decay leaves of the input in the tick in which it arrives.
    fn entered(&self, convention: &Convention, kept: &Parameter) -> Parameter {
        match convention.synapse_input {
            SynapseInput::AfterDecay => Parameter::Uniform(1.0),
            SynapseInput::BeforeDecay => kept.clone(),
        }
    }

    fn leak(&self, terms: &Terms, relaxes: &Parameter) -> Result<Parameter, String> {
        if terms.leak.is_zero() {
            return Ok(Parameter::Uniform(0.0));
        }
        match self.to.leak {
            Leak::File => Ok(terms.leak.value.zip(relaxes, |leak, relax| leak / relax)),
            Leak::Bias => Ok(terms.leak.value.clone()),
            Leak::Ignored => Err(format!(
                "it has a leak voltage, which `{}` ignores",
                self.to.name
            )),
        }
    }

    /// The time constant of a decay under the other convention, in seconds. One that stays stays to the bit, without
    /// what an exponential and its logarithm leave of it: jaxsnn wants time constants whose ratio is exact.
    fn tau(
        &self,
        what: &str,
        by: Integrator,
        kept: &Parameter,
        own: &Parameter,
    ) -> Result<Parameter, String> {
        let stays = |tau: f64, own: f64| (tau - own).abs() <= 1e-10 * own;
        let tau = self.solved(by, kept);
        let tau = tau.zip(own, |tau, own| if stays(tau, own) { own } else { tau });
        let fine = match &tau {
            Parameter::Uniform(tau) => tau.is_finite() && *tau > 0.0,
            Parameter::PerNeuron(taus) => taus.iter().all(|tau| tau.is_finite() && *tau > 0.0),
        };
        if fine {
            return Ok(tau);
        }
        Err(format!(
            "{what} is none that a time constant gives under `{}`",
            self.to.name
        ))
    }

    fn solved(&self, by: Integrator, kept: &Parameter) -> Parameter {
        let dt = self.to_dt;
        match by {
            Integrator::Euler => kept.map(|d| dt / (1.0 - d)),
            Integrator::Exponential | Integrator::Exact => kept.map(|d| -dt / d.ln()),
        }
    }

    fn in_file(&self, seconds: &Parameter) -> Parameter {
        seconds.map(|tau| tau / self.to.time_unit)
    }

    /// A warning where spikes arrive at other times, or neurons begin at others.
    fn delays(&self) -> Option<Diagnostic> {
        let delays = |c: &Convention| (c.delay, c.output_delay, c.recurrent_delay, c.first_tick);
        let (from, to) = (delays(self.from), delays(self.to));
        // Biases and leaks act from the first tick on, and spikes from `delay` on.
        let lead = |c: &Convention| c.delay - c.first_tick;
        let constant = (self.biased() || self.leaks()) && lead(self.from) != lead(self.to);
        let help = if constant {
            "bias and leak act longer or shorter before the first spike arrives, so that the first spikes may be others"
        } else {
            "in a network without cycles the spikes are the same, shifted by whole ticks"
        };
        (from != to).then(|| {
            Diagnostic::warning(
                codes::CONVENTION,
                &self.network.populations[self.pop].name,
                format!(
                    "delays of (delay, output_delay, recurrent_delay, first_tick) {from:?} become {to:?}: layer by layer, spikes come earlier or later"
                ),
            )
            .help(help)
        })
    }
}

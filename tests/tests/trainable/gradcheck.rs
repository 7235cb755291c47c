//! Whether the gradients of random networks are derivatives: each through `runtime::gradcheck`, against differences in
//! `f64`.
//!
//! At exact event times everything is: weights, biases, delays and times of inputs, under each loss and read-out. In ticks
//! differences see what leads into neurons that do not spike; those that the generator made spike are read by their voltage
//! once more. Behind an integrator the adjoint is the derivative there, too, and so it is behind a synapse and a membrane
//! whose decays are `1 - dt/tau`. Behind an LI it is the derivative times what the voltage keeps in a tick; other
//! CubaLI agree to first order in the tick. Of spikes in ticks nothing is compared, and all is named.

use std::collections::BTreeMap;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options};
use nirc_ir::convention::Integrator;
use nirc_ir::event::{ArrayKind, Output, Program};
use nirc_ir::network::{Membrane, Network, Neuron, Parameter, PopulationKind};
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::data::DataSet;
use nirc_runtime::gradcheck::{self, Found, Settings, TensorCheck, bias};
use nirc_tests::rng::Rng;

use crate::drawn::{DT, Data, network, options};
use crate::variable;

/// Errors that are tolerated, over the largest entry of a tensor's gradient in a sample: of half of all entries, of
/// 99 % of them, and of any.
const MEDIAN: f64 = 1e-8;
const MOST: f64 = 1e-6;
const LARGEST: f64 = 1e-5;

const SETTINGS: Settings = Settings {
    samples: 2,
    entries: 6,
    seed: 1,
};
/// Into how many ticks one is divided to see the order of an error.
const SHORT: u32 = 10;

/// Entries of many networks.
#[derive(Default)]
struct Entries {
    errors: Vec<f64>,
    zero: usize,
    changed: usize,
    doubtful: usize,
    /// How many were compared, by loss, read-out, and kind of tensor.
    kinds: BTreeMap<String, usize>,
}

impl Entries {
    /// Takes what was found of a tensor, and errors that may not be against the differences themselves.
    fn add(
        &mut self,
        tensor: &TensorCheck,
        names: &[String; 2],
        errors: &[f64],
    ) -> Result<(), String> {
        let tally = &tensor.tally;
        self.zero += tally.zero;
        self.changed += tally.changed;
        self.doubtful += tally.doubtful;
        let field = tensor.name.rsplit_once('.').map(|(_, field)| field);
        let kind = field.unwrap_or(&tensor.name).to_owned();
        let pairs = names.each_ref().map(|name| format!("{name} {kind}"));
        for name in names.iter().chain(&pairs).chain([&kind]) {
            *self.kinds.entry(name.clone()).or_default() += tally.compared;
        }
        self.errors.extend(errors);
        // What is no number is within nothing.
        match errors
            .iter()
            .find(|error| error.is_nan() || **error > LARGEST)
        {
            None => Ok(()),
            Some(error) => Err(format!("{names:?}: {} is {error:e} off", tensor.name)),
        }
    }

    /// Holds them to the tolerances; at most so many of a hundred are left out, and each of these kinds is among those
    /// compared.
    fn check(&mut self, name: &str, left_out: usize, kinds: &[&str]) {
        let compared = self.errors.len();
        let [median, most, largest] = [50, 99, 100].map(|share| quantile(&mut self.errors, share));
        let (zero, changed, doubtful) = (self.zero, self.changed, self.doubtful);
        println!(
            "{name}: {compared} entries compared, {zero} of 0; left out {changed} since spikes change, {doubtful} since \
             differences are in doubt; error median {median:.1e}, 99 % {most:.1e}, largest {largest:.1e}; {:?}",
            self.kinds
        );
        assert!(
            median <= MEDIAN && most <= MOST,
            "{name}: {median:e}, {most:e}"
        );
        let out = changed + doubtful;
        assert!(
            100 * out <= left_out * (compared + out),
            "{name}: {out} are left out"
        );
        for kind in kinds {
            assert!(
                self.kinds.get(*kind) > Some(&0),
                "{name}: nothing of {kind}"
            );
        }
    }
}

/// The error that so many of a hundred are at most.
fn quantile(errors: &mut [f64], share: usize) -> f64 {
    errors.sort_by(f64::total_cmp);
    let last = errors.len().saturating_sub(1);
    errors.get(last * share / 100).copied().unwrap_or(f64::NAN)
}

/// How gradients in ticks are near differences.
enum Nearness {
    /// Up to rounding.
    Equal,
    /// Up to a factor near 1 that all entries have in common.
    Kept([f64; 2]),
    /// To first order in the tick.
    FirstOrder,
}

/// How those of what leads to the read-out are.
fn nearness(network: &Network) -> Nearness {
    let neuron = read_out(network);
    let steps = network.convention.integrator == Integrator::Euler;
    match (&neuron.membrane, &neuron.synapse) {
        (Membrane::Integrator { .. }, None) => Nearness::Equal,
        (Membrane::Leaky { .. }, Some(_)) if steps => Nearness::Equal,
        (
            Membrane::Leaky {
                tau: Parameter::Uniform(tau),
                ..
            },
            None,
        ) => {
            let rate = network.dt / tau;
            Nearness::Kept([(-rate).exp(), 1.0 - rate])
        }
        _ => Nearness::FirstOrder,
    }
}

/// Errors against differences times the one of two factors that is nearer.
fn up_to(factors: [f64; 2], tensor: &TensorCheck) -> Vec<f64> {
    let errors = factors.map(|factor| -> Vec<f64> {
        let pairs = tensor.tally.pairs.iter();
        let errors = pairs.map(|(derivative, difference)| (derivative - factor * difference).abs());
        errors.collect()
    });
    let sums = errors.each_ref().map(|errors| errors.iter().sum::<f64>());
    let [decays, steps] = errors;
    if sums[0] < sums[1] { decays } else { steps }
}

fn read_out(network: &Network) -> &Neuron {
    let population = network.readout().map(|pop| &network.populations[pop].kind);
    match population {
        Some(PopulationKind::Neurons(neuron)) => neuron,
        other => panic!("{other:?} is read out"),
    }
}

/// What a network is called in the counts: its loss and what is read out.
fn names(network: &Network, loss: Option<Loss>) -> [String; 2] {
    let loss = match loss {
        Some(Loss::Voltage { score }) => format!("{score:?}"),
        Some(loss) => format!("{loss:?}"),
        None => String::new(),
    };
    let loss = loss.split([' ', '(']).next().unwrap_or_default().to_owned();
    let neuron = read_out(network);
    let synapse = if neuron.synapse.is_some() { "Cuba" } else { "" };
    let membrane = match neuron.membrane {
        Membrane::Integrator { .. } => "I",
        _ => "LI",
    };
    let fires = if neuron.firing.is_some() { "F" } else { "" };
    [loss, format!("{synapse}{membrane}{fires}")]
}

/// How a network went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Went {
    /// Refused by name.
    Refused,
    /// It spiked more than tapes have room for, as it said.
    Full,
    /// Nothing of it can be compared, and all is named.
    Named,
    /// All entries looked at are 0, or left out.
    Nothing,
    /// Entries were compared.
    Compared,
}

/// A network as it is drawn, or something near it.
#[derive(Clone, Copy)]
struct Case {
    seed: u64,
    /// Ticks into which one is divided.
    into: u32,
    /// Whether neurons that are read out do not spike.
    voltages: bool,
}

impl Case {
    fn exact(self) -> bool {
        self.seed % 2 == 1
    }

    fn network(self) -> Result<Option<Network>, Diagnostics> {
        let mut network = network(self.seed, self.exact(), DT / f64::from(self.into))?;
        let Some(pop) = network.readout().filter(|_| self.voltages) else {
            return Ok((!self.voltages).then_some(network));
        };
        let leads_on = network.projections.values().any(|p| p.pre == pop);
        if let PopulationKind::Neurons(neuron) = &mut network.populations[pop].kind {
            neuron.firing = None;
        }
        Ok((!leads_on).then_some(network))
    }

    fn set(self, program: &Program, rng: &mut Rng) -> DataSet {
        let channels = program.source_channels(Output::Spikes);
        let mut set = match self.exact() {
            true => DataSet::exact(channels),
            false => DataSet::new(channels),
        };
        for _ in 0..SETTINGS.samples {
            Data::new(program, rng).push(&mut set, self.into);
        }
        set
    }
}

/// What was found of all networks.
#[derive(Default)]
struct All {
    went: BTreeMap<(bool, Went), u64>,
    /// Losses without a gradient, which were refused, and another one was taken.
    counts: u64,
    exact: Entries,
    /// In ticks, what has to be equal.
    equal: Entries,
    /// In ticks, what has to be equal up to a factor.
    kept: Entries,
    /// Errors of what agrees to first order, with ticks as they are and short ones.
    first_order: [Vec<f64>; 2],
    /// Ticks beside exact times: networks compared, refused by name, and distances without spikes, long ticks and short.
    beside: (u64, u64, [Vec<f64>; 2]),
}

impl All {
    fn check(&mut self, case: Case) -> Result<Went, String> {
        let mut rng = Rng::new(case.seed ^ 0x7a1e);
        let network = case.network().map_err(|e| format!("import: {e}"))?;
        let Some(network) = network else {
            return Ok(Went::Refused);
        };
        let mut options = options(&network, case.exact(), &mut rng);
        if let Some(Loss::SpikeCount { .. }) = options.loss {
            let refused = gradcheck::options(&options).err();
            by_name(&refused.ok_or("a number of spikes has a gradient")?)?;
            self.counts += 1;
            options.loss = Some(Loss::TargetTimes {
                hit: 3.0,
                miss: 9.0,
            });
        }
        let checked = gradcheck::options(&options).map_err(|e| e.to_string())?;
        let program = match lower(&network, &checked) {
            Ok(program) => program,
            Err(problems) => return by_name(&problems).map(|()| Went::Refused),
        };
        let set = case.set(&program, &mut rng);
        options.ticks *= case.into;
        let found = match gradcheck::check(&network, &options, &set, SETTINGS, &mut |_| {}) {
            Ok(found) => found,
            Err(problems) if problems.0.iter().all(|p| p.code == codes::DEVICE_LOSS) => {
                return Ok(Went::Full);
            }
            Err(problems) => return Err(format!("check: {problems}")),
        };
        all_is_told(&program, &options, &found)?;
        self.take(&network, &names(&network, options.loss), &found, case)?;
        if !case.exact() && case.into == 1 {
            self.beside(&network, &options, &set)?;
        }
        Ok(match found.overall().compared {
            _ if found.tensors.is_empty() => Went::Named,
            0 => Went::Nothing,
            _ => Went::Compared,
        })
    }

    fn take(
        &mut self,
        network: &Network,
        names: &[String; 2],
        found: &Found,
        case: Case,
    ) -> Result<(), String> {
        for tensor in &found.tensors {
            let errors = &tensor.tally.errors;
            if found.exact {
                self.exact.add(tensor, names, errors)?;
                continue;
            }
            match nearness(network) {
                Nearness::Equal => self.equal.add(tensor, names, errors)?,
                Nearness::Kept(factors) => self.kept.add(tensor, names, &up_to(factors, tensor))?,
                Nearness::FirstOrder => {
                    self.first_order[usize::from(case.into > 1)].extend(errors);
                }
            }
        }
        Ok(())
    }

    /// The gradient in ticks of several lengths beside that at exact times.
    fn beside(&mut self, network: &Network, of: &Options, set: &DataSet) -> Result<(), String> {
        let (compared, refused, distances) = &mut self.beside;
        match bias::bias(network, of, set, SETTINGS.samples, &mut |_| {}) {
            Ok(bias) => {
                *compared += 1;
                let silent = bias.spikes == 0.0 && bias.refined.iter().all(|r| r.spikes == 0.0);
                let (first, last) = (bias.refined.first(), bias.refined.last());
                for (refined, into) in [first, last].into_iter().zip(distances) {
                    let refined = refined.filter(|_| silent);
                    let found = refined.map_or(&[][..], |refined| &refined.distance);
                    // A gradient of 0 has no distance over its length.
                    into.extend(found.iter().filter(|d| d.is_finite()));
                }
                Ok(())
            }
            Err(problems) if problems.0.iter().all(|p| p.code == codes::DEVICE_LOSS) => Ok(()),
            Err(problems) => {
                *refused += 1;
                by_name(&problems)
            }
        }
    }
}

/// Whether a refusal has one of the codes that say what is missing.
fn by_name(problems: &Diagnostics) -> Result<(), String> {
    let allowed = [
        codes::LOWER_UNSUPPORTED,
        codes::ADJOINT_UNSUPPORTED,
        codes::CONFIG_CONTRADICTION,
    ];
    let other = problems.0.iter().find(|p| !allowed.contains(&p.code));
    other.map_or(Ok(()), |p| Err(format!("refused: {p}")))
}

/// Every tensor with a gradient is compared or named as left out, and costs of numbers of spikes are named, too.
fn all_is_told(program: &Program, options: &Options, found: &Found) -> Result<(), String> {
    let has_gradient = |tensor| {
        let mut processes = program.processes.values();
        processes.any(|p| p.array_of(ArrayKind::Gradient(tensor)).is_some())
    };
    let tensors = program.tensors.iter().filter(|(id, _)| has_gradient(*id));
    let mut names: Vec<&str> = tensors.map(|(_, tensor)| tensor.name.as_str()).collect();
    if found.exact {
        names.push("times of input spikes");
    }
    if !options.regularise.is_empty() {
        names.push("costs of numbers of spikes");
    }
    let told = |name: &&str| {
        found.tensors.iter().any(|tensor| tensor.name == *name)
            || found.left_out.iter().any(|text| text.starts_with(name))
    };
    match names.iter().find(|name| !told(name)) {
        Some(name) => Err(format!("nothing is told of {name}")),
        None if names.len() < found.tensors.len() + found.left_out.len() => {
            Err(format!("more than {names:?} is told: {:?}", found.left_out))
        }
        None => Ok(()),
    }
}

#[test]
fn gradients_of_random_networks_are_derivatives() {
    let first = variable("NIRC_TRAINABLE_SEED", 0);
    let count = variable("NIRC_TRAINABLE", 500);
    let mut all = All::default();
    for seed in first..first + count {
        let told = |problem: String| -> Went { panic!("seed {seed}: {problem}") };
        let (into, voltages) = (1, false);
        let case = Case {
            seed,
            into,
            voltages,
        };
        let how = all.check(case).unwrap_or_else(told);
        *all.went.entry((case.exact(), how)).or_default() += 1;
        let lengths = if case.exact() { &[1][..] } else { &[1, SHORT] };
        for into in lengths {
            let case = Case {
                into: *into,
                voltages: true,
                ..case
            };
            all.check(case).unwrap_or_else(told);
        }
    }
    println!(
        "(exact times, how): {:?}; {} numbers of spikes",
        all.went, all.counts
    );
    let weights = ["weight", "bias"];
    let scores = ["Max", "Sum", "Average", "Final"];
    let times = [
        "delay",
        "times of input spikes",
        "FirstSpike",
        "TargetTimes",
    ];
    let read = ["I", "LI", "CubaLI", "IF", "LIF", "CubaLIF"];
    let kinds = [&weights[..], &scores, &times, &read].concat();
    all.exact.check("exact times", 30, &kinds);
    let kinds = [&weights[..], &scores, &["VoltageError", "I", "CubaLI"]].concat();
    all.equal.check("ticks", 25, &kinds);
    all.kept.check("ticks, LI", 25, &weights);
    let (compared, refused, distances) = &mut all.beside;
    println!("ticks beside exact times: {compared} networks, {refused} refused");
    for (name, errors) in [
        ("other", &mut all.first_order),
        ("beside exact times", distances),
    ] {
        let [long, short] = errors.each_mut().map(|errors| quantile(errors, 50));
        println!("ticks, {name}: error median {long:.1e}, with a tenth of the tick {short:.1e}");
        assert!(short < 0.25 * long, "{name}: {long:e}, {short:e}");
    }
    let went = |exact, how| all.went.get(&(exact, how)).copied().unwrap_or(0);
    let without = |exact| went(exact, Went::Refused) + went(exact, Went::Full);
    // Half of the networks each.
    assert!(
        without(true) * 5 <= count && without(false) * 20 <= count,
        "{:?}",
        all.went
    );
    assert!(went(true, Went::Compared) * 6 >= count, "{:?}", all.went);
}

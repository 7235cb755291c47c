//! One sample after the other: derivatives beside differences.

use nirc_ir::Diagnostic;
use nirc_ir::event::{ArrayKind, Program, Role};
use nirc_ir::executor::{LaneSpike, Pass};
use nirc_ir::interpreter::Interpreter;
use serde::Serialize;

use super::point::{Point, Signature, loss, signature, tensors};
use super::{Found, Settings, reads_voltages};
use crate::random::Mt19937;

/// Step of a difference, relative to the root mean square of a tensor, and in bins of a time or delay.
pub(super) const STEP: f64 = 1e-5;
/// Most entries of a tensor that are kept to be drawn.
const PAIRS: usize = 4000;
/// How far a difference may be in doubt, over the largest entry of the gradient.
const DOUBT: f64 = 1e-6;

/// Where derivatives are compared: how neurons spike there, and the loss.
struct Here {
    signature: Signature,
    loss: f64,
}

impl Here {
    /// How far a derivative by a number of steps may be off. The fourth difference is `h^4` times the fourth derivative where
    /// there is one, and as large as the loss itself moves where it has a kink or a jump. Losses are differences of
    /// terms of about 1, and rounded as these.
    fn doubt(&self, losses: [f64; 4]) -> f64 {
        let [a, b, c, d] = losses.map(|loss| loss - self.loss);
        let fourth = a - 4.0 * (b + c) + d;
        let rounding = 2.0 * f64::EPSILON * self.loss.abs().max(1.0);
        fourth.abs().max(rounding)
    }
}

/// The derivative by a number of steps, of fourth order, from the losses two and one before and after.
fn derivative([a, b, c, d]: [f64; 4]) -> f64 {
    (8.0 * (c - b) - (d - a)) / 12.0
}

/// Errors of entries over the largest entry of their sample's gradient, and how many there are of which kind.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Entries compared.
    pub compared: usize,
    /// Entries whose derivative and difference are both 0, which are not among those compared.
    pub zero: usize,
    /// Entries left out since a step changes which spikes there are.
    pub changed: usize,
    /// Entries left out since the difference is in doubt: the loss has a kink or a jump there, or moves by little more than
    /// its rounding.
    pub doubtful: usize,
    /// Half of the errors are at most this.
    pub median: f64,
    /// 99 % of the errors are at most this.
    pub most: f64,
    /// The largest error.
    pub largest: f64,
    /// Cosine of the angle between derivatives and differences, over all samples.
    pub cosine: f64,
    /// All errors, ascending.
    #[serde(skip)]
    pub errors: Vec<f64>,
    /// Derivative and difference, over the largest entry.
    #[serde(skip)]
    pub pairs: Vec<(f64, f64)>,
    /// Sums of products: derivative and difference, each with itself, each with the other.
    #[serde(skip)]
    products: [f64; 3],
}

impl Tally {
    fn entry(&mut self, derivative: f64, difference: f64, largest: f64) {
        self.products[0] += derivative * derivative;
        self.products[1] += difference * difference;
        self.products[2] += derivative * difference;
        // Where nothing has a derivative, a difference is an error as it stands.
        let scale = if largest > 0.0 { largest } else { 1.0 };
        self.compared += 1;
        self.errors.push((derivative - difference).abs() / scale);
        if self.pairs.len() < PAIRS {
            self.pairs.push((derivative / scale, difference / scale));
        }
    }

    /// Takes what another one has as well.
    pub(super) fn add(&mut self, other: &Self) {
        self.compared += other.compared;
        self.zero += other.zero;
        self.changed += other.changed;
        self.doubtful += other.doubtful;
        self.errors.extend(&other.errors);
        for (sum, more) in self.products.iter_mut().zip(other.products) {
            *sum += more;
        }
        self.finish();
    }

    fn finish(&mut self) {
        self.errors.sort_by(f64::total_cmp);
        self.median = self.quantile(0.5);
        self.most = self.quantile(0.99);
        self.largest = self.quantile(1.0);
        let [a, b, both] = self.products;
        self.cosine = if a > 0.0 && b > 0.0 {
            both / (a.sqrt() * b.sqrt())
        } else {
            f64::NAN
        };
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below the length"
    )]
    fn quantile(&self, q: f64) -> f64 {
        let last = self.errors.len().saturating_sub(1);
        let at = (last as f64 * q).round() as usize;
        self.errors.get(at).copied().unwrap_or(0.0)
    }
}

/// What was found of a tensor, or of input times.
#[derive(Clone, Debug, Serialize)]
pub struct TensorCheck {
    /// Its name.
    pub name: String,
    /// The figures.
    #[serde(flatten)]
    pub tally: Tally,
}

/// A program that is compared, and what was found so far.
pub(super) struct Comparison<'a> {
    program: &'a Program,
    machine: Interpreter<f64>,
    /// The program that trains, whose slopes at spikes are guarded.
    trained: &'a Program,
    /// By tensor, and the last of input times.
    tallies: Vec<Tally>,
    /// Tensors whose entries are compared.
    compared: Vec<bool>,
    spikes: usize,
    several: usize,
    grazing: usize,
}

impl<'a> Comparison<'a> {
    pub(super) fn new(program: &'a Program, trained: &'a Program) -> Self {
        let tensors = program.tensors.len();
        Self {
            program,
            machine: Interpreter::computing(program),
            trained,
            tallies: vec![Tally::default(); tensors + 1],
            compared: comparable(program),
            spikes: 0,
            several: 0,
            grazing: 0,
        }
    }

    /// Compares a sample.
    pub(super) fn sample(
        &mut self,
        point: &Point,
        settings: Settings,
        number: usize,
    ) -> Result<(), Diagnostic> {
        point.run(&mut self.machine, self.program, Pass::Gradient)?;
        self.count();
        let here = Here {
            signature: signature(&self.machine, self.program),
            loss: loss(&self.machine, self.program),
        };
        let gradients: Vec<(usize, Vec<f64>)> = tensors(self.program, ArrayKind::Gradient)
            .into_iter()
            .map(|(proc, array, tensor)| (tensor, self.machine.values(0, proc, array)))
            .collect();
        let by_time = self.by_time(point);
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        let mut generator = Mt19937::from_key(&[settings.seed, number]);
        for (tensor, gradient) in gradients {
            if !self.compared[tensor] {
                continue;
            }
            let step = match point.delays[tensor] {
                true => STEP,
                false => STEP * scale(&point.tensors[tensor]),
            };
            let entries = draw(&mut generator, gradient.len(), settings.entries);
            self.entries(point, (tensor, step), &gradient, &entries, &here, |point| {
                &mut point.tensors[tensor]
            })?;
        }
        if self.program.window.is_some() {
            let entries = draw(&mut generator, by_time.len(), settings.entries);
            let last = self.tallies.len() - 1;
            self.entries(point, (last, STEP), &by_time, &entries, &here, |point| {
                &mut point.times
            })?;
        }
        Ok(())
    }

    fn entries(
        &mut self,
        point: &Point,
        (into, step): (usize, f64),
        derivatives: &[f64],
        entries: &[usize],
        here: &Here,
        numbers: impl Fn(&mut Point) -> &mut Vec<f64>,
    ) -> Result<(), Diagnostic> {
        let largest = derivatives.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        let mut moved = point.clone();
        for k in entries {
            let own = numbers(&mut moved)[*k];
            let mut values = [0.0; 4];
            let mut same = true;
            for (value, by) in values.iter_mut().zip([-2.0, -1.0, 1.0, 2.0]) {
                numbers(&mut moved)[*k] = own + by * step;
                moved.run(&mut self.machine, self.program, Pass::Forward)?;
                same &= signature(&self.machine, self.program) == here.signature;
                *value = loss(&self.machine, self.program);
            }
            numbers(&mut moved)[*k] = own;
            let tally = &mut self.tallies[into];
            let difference = derivative(values) / step;
            let doubt = here.doubt(values) / step;
            if !same {
                tally.changed += 1;
            } else if derivatives[*k] == 0.0 && difference == 0.0 {
                tally.zero += 1;
            } else if doubt > DOUBT * largest.max(difference.abs()) {
                tally.doubtful += 1;
            } else {
                tally.entry(derivatives[*k], difference, largest);
            }
        }
        Ok(())
    }

    /// The derivative by the time of each input spike: what channels bring back to their producers.
    fn by_time(&self, point: &Point) -> Vec<f64> {
        let mut found = vec![0.0; point.times.len()];
        for (id, first) in self.program.sources(nirc_ir::event::Output::Spikes) {
            let lanes = first..first + self.program.processes[id].lanes;
            let own = point.spikes().iter().enumerate();
            let own: Vec<usize> = own
                .filter(|(_, spike)| lanes.contains(&(spike.channel as usize)))
                .map(|(k, _)| k)
                .collect();
            for (chan, _) in self.program.outgoing(id) {
                for (entry, error) in self.machine.errors_sent(0, chan) {
                    found[own[*entry]] += error;
                }
            }
        }
        found
    }

    fn count(&mut self) {
        let machine = &self.machine;
        for (id, process) in self.program.processes.iter() {
            if process.role != Role::Neurons {
                continue;
            }
            let spikes = machine.own_spikes(0, id);
            self.spikes += spikes.len();
            let mut lanes: Vec<u32> = spikes.iter().map(|s| s.lane).collect();
            lanes.sort_unstable();
            let chunks = lanes.chunk_by(|a, b| a == b);
            self.several += chunks.filter(|of_neuron| of_neuron.len() > 1).count();
            let coefs = &self.trained.processes[id].coefs;
            let guard = coefs.values().find(|coef| coef.name == "guard");
            if let Some(guard) = guard.filter(|_| self.program.window.is_some()) {
                let slopes = machine.own_fields(0, id).iter().zip(spikes);
                let grazes = |(fields, spike): &(&Vec<f64>, &LaneSpike)| {
                    let least = f64::from(guard.value.at(spike.lane as usize));
                    fields.first().is_some_and(|slope| *slope < least)
                };
                self.grazing += slopes.filter(grazes).count();
            }
        }
    }

    pub(super) fn finish(self, samples: usize) -> Found {
        let mut left_out = Vec::new();
        let names = self.program.tensors.values().map(|t| t.name.clone());
        let names = names.chain(["times of input spikes".to_owned()]);
        let exact = self.program.window.is_some();
        let mut found = Vec::new();
        let compared = self.compared.iter().copied().chain([exact]);
        let mut trained = vec![false; self.program.tensors.len()];
        for (_, _, tensor) in tensors(self.program, ArrayKind::Gradient) {
            trained[tensor] = true;
        }
        let trained = trained.into_iter().chain([exact]);
        let kinds = compared.zip(trained);
        for ((name, mut tally), (compared, trained)) in names.zip(self.tallies).zip(kinds) {
            if compared && trained {
                tally.finish();
                found.push(TensorCheck { name, tally });
            } else if trained {
                left_out.push(format!(
                    "{name}: in ticks spikes move by whole bins, which differences do not see"
                ));
            }
        }
        Found {
            exact,
            samples,
            spikes: self.spikes,
            several: self.several,
            grazing: self.grazing,
            tensors: found,
            left_out,
        }
    }
}

/// Which tensors a difference tells something of: all at exact times; in ticks those that lead into neurons
/// that do not spike.
fn comparable(program: &Program) -> Vec<bool> {
    let mut comparable = vec![program.window.is_some(); program.tensors.len()];
    if program.window.is_none() && reads_voltages(program) {
        for (proc, _, tensor) in tensors(program, ArrayKind::Gradient) {
            comparable[tensor] = program.processes[proc].output != nirc_ir::event::Output::Spikes;
        }
    }
    comparable
}

/// Root mean square of a tensor's entries; 1 if all are 0.
fn scale(values: &[f64]) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a number of weights")]
    let count = values.len().max(1) as f64;
    let square = values.iter().map(|v| v * v).sum::<f64>() / count;
    if square > 0.0 { square.sqrt() } else { 1.0 }
}

/// So many of `len` entries at most, ascending.
fn draw(generator: &mut Mt19937, len: usize, most: usize) -> Vec<usize> {
    if len <= most {
        return (0..len).collect();
    }
    let mut drawn = crate::random::permutation(generator, len);
    drawn.truncate(most);
    drawn.sort_unstable();
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivative and doubt of a function at 0.
    fn at_0(f: impl Fn(f64) -> f64) -> [f64; 2] {
        let here = Here {
            signature: Vec::new(),
            loss: f(0.0),
        };
        let losses = [-2.0, -1.0, 1.0, 2.0].map(|by| f(by * STEP));
        [derivative(losses), here.doubt(losses)].map(|by_step| by_step / STEP)
    }

    #[test]
    fn kinks_jumps_and_roundings_are_in_doubt() {
        let [derivative, doubt] = at_0(|x| (x + 0.3).exp());
        assert!((derivative - 0.3_f64.exp()).abs() < 1e-10 && doubt < 1e-9);
        // A kink that moves the slope by a thousandth, a jump at 0 and one a step later, and what rounding swallows.
        assert!(at_0(|x| x + 1e-3 * x.max(0.0))[1] > 1e-4);
        assert!(at_0(|x| x + if x > 0.0 { 1e-3 } else { 0.0 })[1] > 1.0);
        assert!(at_0(|x| x + if x > 1.5 * STEP { 1e-3 } else { 0.0 })[1] > 1.0);
        let [small, doubt] = at_0(|x| 1.0 + 1e-9 * x);
        assert!(doubt > DOUBT * small.abs());
    }
}

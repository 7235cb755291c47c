//! Spikes against the closed form and bisection, and `f32` against `f64`.

use nirc_ir::entity::Entity;
use nirc_ir::event::{Proc, Program};
use nirc_ir::executor::Pass;
use nirc_ir::interpreter::Interpreter;
use nirc_ir::math::real::Real;
use nirc_ir::network::{Link, Network, Reset};

use crate::gradient::{SCALES, layers};
use crate::net::{Cell, Point, Random, gradients, program, spikes};

impl Cell {
    /// Current and voltage after `d` bins with a constant input `bias` to the current.
    fn flow(&self, (i, v): (f64, f64), d: f64, bias: f64) -> (f64, f64) {
        let s = (-d / self.tau_syn).exp();
        let i2 = bias + (i - bias) * s;
        let Some(tau) = self.tau_mem else {
            let gained = self.r * 1e-3 * self.tau_syn * (i - bias) * (1.0 - s);
            return (i2, v + gained);
        };
        let m = (-d / tau).exp();
        let rest = self.leak + self.r * bias;
        let transient = if tau == self.tau_syn {
            d / tau * m
        } else {
            self.tau_syn / (self.tau_syn - tau) * (s - m)
        };
        (i2, rest + (v - rest) * m + self.r * (i - bias) * transient)
    }

    /// Spike times for jumps of the current, as (time, jump), ascending: by looking at a thousand points
    /// between two events, and halving.
    fn simulate(&self, jumps: &[(f64, f64)], bias: f64, end: f64) -> Vec<f64> {
        let mut found = Vec::new();
        let (mut t, mut state) = (0.0, (0.0, 0.0));
        let after = match self.reset {
            Reset::ToValue => self.v_reset,
            _ => 0.0,
        };
        for (at, jump) in jumps.iter().copied().chain([(end, 0.0)]) {
            while let Some(d) = self.crossing(state, at - t, bias) {
                state = (self.flow(state, d, bias).0, after);
                t += d;
                found.push(t);
            }
            state = self.flow(state, at - t, bias);
            state.0 += jump;
            t = at;
        }
        found
    }

    fn crossing(&self, state: (f64, f64), length: f64, bias: f64) -> Option<f64> {
        let above = |d: f64| self.flow(state, d, bias).1 >= 1.0;
        let points = (1..=1000).map(|k| length * f64::from(k) / 1000.0);
        let mut high = points.into_iter().find(|d| *d > 0.0 && above(*d))?;
        let mut low = high - length / 1000.0;
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if above(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }
}

/// Spikes of all populations of a feed-forward network, ascending by (neuron, time).
fn simulated(network: &Network, cell: &Cell, point: &Point, end: f64) -> Vec<Vec<(usize, f64)>> {
    let input = point
        .channels
        .iter()
        .map(|c| *c as usize)
        .zip(point.times.iter().copied());
    let mut all = vec![input.collect::<Vec<_>>()];
    for projection in network.projections.values() {
        let Link::Dense(weights) = &projection.link else {
            panic!("a dense projection");
        };
        let size = network.populations[projection.post].size;
        let mut spikes = Vec::new();
        for n in 0..size {
            let pre = all[projection.pre.index()].iter();
            let jumps = pre.map(|(j, t)| {
                (
                    t + f64::from(projection.delay),
                    f64::from(weights[j * size + n]),
                )
            });
            let mut jumps: Vec<_> = jumps.filter(|(t, _)| *t < end).collect();
            jumps.sort_by(|a, b| a.0.total_cmp(&b.0));
            let bias = projection.bias.as_ref().map_or(0.0, |b| f64::from(b[n]));
            // A bias of 1 moves the current by 1 a bin.
            let bias = bias * cell.tau_syn;
            spikes.extend(cell.simulate(&jumps, bias, end).into_iter().map(|t| (n, t)));
        }
        all.push(spikes);
    }
    all
}

/// The same neurons spike as often, at the same times. A spike that grazes the threshold is as far off as the
/// square root of the roundings.
fn agree(name: &str, network: &Network, cell: &Cell, samples: usize) {
    let single = farthest::<f32>(name, network, cell, samples);
    let double = farthest::<f64>(name, network, cell, samples);
    println!("{name}: the farthest spike is {single:.1e} bins off in f32, {double:.1e} in f64");
    assert!(
        single < 3e-2 && double < 1e-6,
        "{name}: {single:e} {double:e}"
    );
}

/// How far the farthest spike is off in a precision.
fn farthest<R: Real>(name: &str, network: &Network, cell: &Cell, samples: usize) -> f64 {
    let program = program(network);
    let end = f64::from(program.ticks);
    let mut random = Random(23);
    let (mut worst, mut count) = (0.0_f64, 0);
    for _ in 0..samples {
        let point = Point::new(&program, &mut random);
        let mut machine = Interpreter::<R>::computing(&program);
        point.run(&mut machine, &program, Pass::Forward);
        let expected = simulated(network, cell, &point, end);
        for proc in program.processes.keys().take(expected.len()).skip(1) {
            let mut found = spikes(&machine, proc);
            found.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
            let expected = &expected[proc.index()];
            assert_eq!(found.len(), expected.len(), "{name}: spikes of {proc}");
            for ((lane, t), (n, exact)) in found.iter().zip(expected) {
                assert_eq!(*lane as usize, *n, "{name}");
                worst = worst.max((t - exact).abs());
                count += 1;
            }
        }
    }
    assert!(count > 80, "{name}: {count} spikes");
    worst
}

const PAIRS: [(f64, f64); 9] = [
    (20.0, 5.0),
    (10.0, 5.0),
    (15.0, 5.0),
    (20.0, 7.0),
    (5.0, 10.0),
    (5.0, 15.0),
    (5.0, 20.0),
    (7.0, 9.0),
    (8.0, 8.0),
];

#[test]
fn spikes_are_where_bisection_finds_them() {
    for (tau_mem, tau_syn) in PAIRS {
        for reset in [Reset::ToValue, Reset::Subtract] {
            let cell = Cell {
                reset,
                leak: -0.1,
                v_reset: 0.2,
                ..Cell::new(tau_mem, tau_syn)
            };
            let network = layers(&cell, &[20], SCALES, 1);
            let name = format!("{tau_mem}/{tau_syn} {reset}");
            agree(&name, &network, &cell, 5);
        }
    }
    let cell = Cell {
        tau_mem: None,
        r: 100.0,
        ..Cell::new(0.0, 5.0)
    };
    agree("integrator", &layers(&cell, &[20], SCALES, 1), &cell, 5);
}

/// Biases that keep neurons below the threshold, and biases that let them spike without input.
#[test]
fn spikes_of_neurons_with_biases() {
    for (tau_mem, tau_syn) in PAIRS {
        let cell = Cell::new(tau_mem, tau_syn);
        let mut network = layers(&cell, &[20], SCALES, 0);
        let mut random = Random(29);
        for projection in network.projections.values_mut() {
            let size = network.populations[projection.post].size;
            let bias = |random: &mut Random| random.normal(0.4, 0.8) / tau_syn;
            projection.bias = Some((0..size).map(|_| bias(&mut random) as f32).collect());
        }
        let name = format!("{tau_mem}/{tau_syn} with biases");
        agree(&name, &network, &cell, 4);
    }
}

/// What a run in `R` says: spikes of all neurons in order, and gradients.
fn said<R: Real>(
    machine: &mut Interpreter<R>,
    program: &Program,
    point: &Point,
) -> (Vec<(usize, u32)>, Vec<f64>) {
    point.run(machine, program, Pass::Gradient);
    let all = program.processes.keys().flat_map(|proc: Proc| {
        spikes(machine, proc)
            .into_iter()
            .map(move |(lane, _)| (proc.index(), lane))
            .collect::<Vec<_>>()
    });
    let mut lanes: Vec<_> = all.collect();
    lanes.sort_unstable();
    let gradients = gradients(machine, program)
        .into_values()
        .flatten()
        .collect();
    (lanes, gradients)
}

#[test]
fn single_precision_spikes_alike() {
    for (tau_mem, tau_syn) in [(20.0, 5.0), (10.0, 5.0), (20.0, 7.0), (8.0, 8.0)] {
        let cell = Cell::new(tau_mem, tau_syn);
        let program = program(&layers(&cell, &[20], SCALES, 0));
        let mut random = Random(31);
        let (mut other, mut differences) = (0, Vec::new());
        let (mut single, mut double) = (
            Interpreter::new(&program),
            Interpreter::<f64>::computing(&program),
        );
        const SAMPLES: usize = 500;
        for _ in 0..SAMPLES {
            let point = Point::new(&program, &mut random);
            let (lanes, gradient) = said(&mut single, &program, &point);
            let (expected, exact) = said(&mut double, &program, &point);
            other += usize::from(lanes != expected);
            let norm = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
            let size = norm(&mut exact.iter().copied());
            if size > 0.0 {
                let distance = norm(&mut gradient.iter().zip(&exact).map(|(a, b)| a - b));
                differences.push(distance / size);
            }
        }
        differences.sort_by(f64::total_cmp);
        let at = |q: f64| differences[((differences.len() - 1) as f64 * q) as usize];
        println!(
            "{tau_mem}/{tau_syn}: {other} of {SAMPLES} samples with other spikes; gradients differ by {:.1e} (median), {:.1e} (99 %)",
            at(0.5),
            at(0.99)
        );
        assert_eq!(other, 0, "{tau_mem}/{tau_syn}");
        assert!(at(0.5) < 1e-4, "{tau_mem}/{tau_syn}: {:e}", at(0.5));
    }
}

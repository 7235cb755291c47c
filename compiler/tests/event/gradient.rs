//! Gradients of the loss, in `f64`, against differences of fourth order.
//!
//! A derivative holds as long as every neuron spikes in the same intervals between its arrivals; where a step
//! changes that, nothing is compared.

use nirc_ir::connection::{Axis, Tap};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Chan, Program};
use nirc_ir::executor::Pass;
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{Link, Network, Reset, SourceDelays};

use crate::net::{
    Cell, Edge, Point, Random, by_delay, by_input_time, dense, gradients, loss, network, program,
    signature,
};

const STEP: f64 = 1e-5;

/// Errors over the largest entry of each gradient, with how many were left out.
#[derive(Default)]
pub(crate) struct Errors {
    found: Vec<f64>,
    changed: usize,
    spikes: usize,
    multiple: usize,
}

impl Errors {
    /// Compares derivatives with differences by moving `at(point, k)`.
    fn compare(
        &mut self,
        program: &Program,
        point: &Point,
        derivatives: &[f64],
        at: impl Fn(&mut Point, usize, f64),
    ) {
        self.compare_of(&loss, program, point, derivatives, at);
    }

    /// The same of another function than the loss.
    pub(crate) fn compare_of(
        &mut self,
        of: &dyn Fn(&Interpreter<f64>, &Program) -> f64,
        program: &Program,
        point: &Point,
        derivatives: &[f64],
        at: impl Fn(&mut Point, usize, f64),
    ) {
        let mut machine = Interpreter::<f64>::computing(program);
        point.run(&mut machine, program, Pass::Forward);
        let expected = signature(&machine, program);
        let mut pairs = Vec::new();
        for (k, derivative) in derivatives.iter().enumerate() {
            let mut value = |by: f64| {
                let mut moved = point.clone();
                at(&mut moved, k, by);
                moved.run(&mut machine, program, Pass::Forward);
                let same = signature(&machine, program) == expected;
                same.then(|| of(&machine, program))
            };
            let values: Option<Vec<f64>> = [-2.0, -1.0, 1.0, 2.0]
                .iter()
                .map(|by| value(by * STEP))
                .collect();
            let Some(v) = values else {
                self.changed += 1;
                continue;
            };
            let difference = (8.0 * (v[2] - v[1]) - (v[3] - v[0])) / (12.0 * STEP);
            pairs.push((difference, *derivative));
        }
        let largest = derivatives.iter().fold(0.0_f64, |m, d| m.max(d.abs()));
        if largest == 0.0 {
            assert!(
                pairs.iter().all(|(difference, _)| difference.abs() < 1e-9),
                "{pairs:?}"
            );
            return;
        }
        let nonzero = pairs
            .iter()
            .filter(|(difference, derivative)| *difference != 0.0 || *derivative != 0.0);
        self.found.extend(
            nonzero.map(|(difference, derivative)| (difference - derivative).abs() / largest),
        );
    }

    fn quantile(&self, q: f64) -> f64 {
        let mut sorted = self.found.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[((sorted.len() - 1) as f64 * q).round() as usize]
    }

    pub(crate) fn check(&self, name: &str) {
        let (median, most, worst) = (self.quantile(0.5), self.quantile(0.99), self.quantile(1.0));
        println!(
            "{name}: {} derivatives, {} left out, {} spikes, {} neurons with several; error median {median:.1e}, 99 % {most:.1e}, largest {worst:.1e}",
            self.found.len(),
            self.changed,
            self.spikes,
            self.multiple
        );
        assert!(self.found.len() > 80, "{name}: too few to judge by");
        assert!(
            median <= 1e-8 && most <= 1e-6,
            "{name}: median {median:e}, 99 % {most:e}"
        );
    }
}

/// All derivatives of a network on some samples.
fn check(name: &str, network: &Network, samples: usize) {
    let mut errors = Errors::default();
    examine(&mut errors, network, samples);
    errors.check(name);
}

fn examine(errors: &mut Errors, network: &Network, samples: usize) {
    examine_of(errors, &loss, &program(network), samples);
}

/// All derivatives of a function on some samples.
pub(crate) fn examine_of(
    errors: &mut Errors,
    of: &dyn Fn(&Interpreter<f64>, &Program) -> f64,
    program: &Program,
    samples: usize,
) {
    let mut random = Random(7);
    for _ in 0..samples {
        let point = Point::new(program, &mut random);
        let mut machine = Interpreter::<f64>::computing(program);
        point.run(&mut machine, program, Pass::Gradient);
        let spikes = signature(&machine, program);
        errors.spikes += spikes.len();
        errors.multiple += spikes
            .chunk_by(|a, b| (a.0, a.1) == (b.0, b.1))
            .filter(|of_neuron| of_neuron.len() > 1)
            .count();
        for (tensor, derivatives) in gradients(&machine, program) {
            errors.compare_of(of, program, &point, &derivatives, |point, k, by| {
                point.tensors[tensor][k] += by;
            });
        }
        let by_time = by_input_time(&machine, program, &point);
        errors.compare_of(of, program, &point, &by_time, |point, k, by| {
            point.times[k] += by;
        });
    }
}

/// Input, hidden layers of these sizes, and three outputs.
pub(crate) fn layers(
    cell: &Cell,
    hidden: &[usize],
    scales: [(f64, f64); 2],
    delay: u32,
) -> Network {
    let mut random = Random(3);
    let mut sizes = vec![5];
    sizes.extend(hidden);
    sizes.push(3);
    let edges = (1..sizes.len())
        .map(|post| Edge {
            pre: post - 1,
            post,
            delay,
            weights: dense(
                &mut random,
                (sizes[post - 1], sizes[post]),
                scales[usize::from(post > 1)],
                cell.scale(),
            ),
            bias: None,
            axes: None,
        })
        .collect();
    network(&sizes, cell, edges)
}

pub(crate) const SCALES: [(f64, f64); 2] = [(2.2, 1.6), (0.6, 0.6)];

#[test]
fn every_ratio_of_time_constants() {
    for (tau_mem, tau_syn) in [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
        (5.0, 15.0),
        (5.0, 20.0),
    ] {
        let cell = Cell::new(tau_mem, tau_syn);
        check(
            &format!("{tau_mem}/{tau_syn}"),
            &layers(&cell, &[20], SCALES, 0),
            3,
        );
    }
}

#[test]
fn membranes_that_integrate() {
    let cell = Cell {
        tau_mem: None,
        r: 100.0,
        ..Cell::new(0.0, 5.0)
    };
    check("integrator", &layers(&cell, &[20], SCALES, 0), 3);
}

/// Spikes that arrivals make, whose times move with these alone, and spikes that constant inputs make.
#[test]
fn neurons_without_a_synapse() {
    let mut errors = Errors::default();
    for tau_mem in [Some(20.0), Some(6.0), None] {
        let cell = Cell {
            tau_mem,
            synapse: false,
            v_reset: -0.2,
            ..Cell::new(0.0, 0.0)
        };
        for (delay, cycle) in [(0, None), (2, Some(9))] {
            let mut net = layers(&cell, &[16], SCALES, delay);
            let mut random = Random(19);
            if let Some(delay) = cycle {
                let back = Edge {
                    pre: 2,
                    post: 1,
                    delay,
                    weights: dense(&mut random, (3, 16), (0.0, 0.2), 1.0),
                    bias: None,
                    axes: None,
                };
                net = with_edge(&net, &cell, back);
            }
            let rest = tau_mem.unwrap_or(30.0);
            for projection in net.projections.values_mut() {
                let size = net.populations[projection.post].size;
                let bias = (0..size).map(|_| (random.normal(0.9, 0.5) / rest) as f32);
                projection.bias = Some(bias.collect());
            }
            examine(&mut errors, &net, 12);
        }
    }
    errors.check("no synapse");
}

/// A feed-forward network and another projection.
pub(crate) fn with_edge(net: &Network, cell: &Cell, edge: Edge) -> Network {
    let sizes: Vec<usize> = net.populations.values().map(|p| p.size).collect();
    let edges = net.projections.values().map(|p| Edge {
        pre: p.pre.index(),
        post: p.post.index(),
        delay: p.delay,
        weights: match &p.link {
            Link::Dense(weights) => weights.clone(),
            _ => panic!("a dense projection"),
        },
        bias: None,
        axes: None,
    });
    network(&sizes, cell, edges.chain([edge]).collect())
}

#[test]
fn two_hidden_layers_and_delays() {
    for tau_mem in [20.0, 10.0] {
        let cell = Cell::new(tau_mem, 5.0);
        check(
            &format!("two layers {tau_mem}/5"),
            &layers(&cell, &[14, 10], SCALES, 2),
            2,
        );
    }
}

#[test]
fn leak_resistance_and_resets() {
    for reset in [Reset::ToValue, Reset::ToZero, Reset::Subtract] {
        for tau_mem in [20.0, 13.0, 5.0, 2.5] {
            let cell = Cell {
                reset,
                leak: 0.25,
                r: 1.3,
                v_reset: -0.4,
                ..Cell::new(tau_mem, 5.0)
            };
            check(
                &format!("{reset} {tau_mem}/5"),
                &layers(&cell, &[12], SCALES, 1),
                2,
            );
        }
    }
}

/// Biases of all sizes: neurons that stay below the threshold, and neurons that spike without input.
#[test]
fn trained_biases() {
    for (tau_mem, tau_syn) in [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
    ] {
        let cell = Cell::new(tau_mem, tau_syn);
        let mut net = layers(&cell, &[20], [(1.6, 1.4), (0.5, 0.5)], 0);
        let mut random = Random(5);
        for projection in net.projections.values_mut() {
            let size = net.populations[projection.post].size;
            let bias = (0..size)
                .map(|_| random.normal(0.05, 0.12) as f32)
                .collect();
            projection.bias = Some(bias);
        }
        check(&format!("biases {tau_mem}/{tau_syn}"), &net, 2);
    }
}

/// Windows as long as the shortest delay of a cycle.
#[test]
fn recurrence() {
    for (tau_mem, tau_syn) in [
        (20.0, 5.0),
        (10.0, 5.0),
        (8.0, 8.0),
        (5.0, 10.0),
        (20.0, 7.0),
    ] {
        let mut random = Random(11);
        let cell = Cell::new(tau_mem, tau_syn);
        let edge = |pre, post, delay, weights| Edge {
            pre,
            post,
            delay,
            weights,
            bias: Some(vec![0.02; if post == 1 { 16 } else { 3 }]),
            axes: None,
        };
        let edges = vec![
            edge(
                0,
                1,
                0,
                dense(&mut random, (5, 16), SCALES[0], cell.scale()),
            ),
            edge(
                1,
                1,
                7,
                dense(&mut random, (16, 16), (-0.05, 0.3), cell.scale()),
            ),
            edge(
                2,
                1,
                9,
                dense(&mut random, (3, 16), (0.1, 0.4), cell.scale()),
            ),
            edge(
                1,
                2,
                1,
                dense(&mut random, (16, 3), SCALES[1], cell.scale()),
            ),
        ];
        let net = network(&[5, 16, 3], &cell, edges);
        assert_eq!(program(&net).window, Some(7));
        check(&format!("recurrence {tau_mem}/{tau_syn}"), &net, 2);
    }
}

/// A convolution: weights that synapses share.
#[test]
fn connections_by_axes() {
    let mut random = Random(13);
    let tap = |lane: usize, weight: usize| Tap {
        lane: lane as u32,
        weight: weight as u32,
    };
    // Four kernels of three weights over five places.
    let channels = Axis::new([(0..4).map(|c| tap(3 * c, 3 * c)).collect()]);
    let places = (0..5_usize).map(|place| {
        let reached = (0..3).filter(|out| (*out..out + 3).contains(&place));
        reached.map(|out| tap(out, place - out)).collect()
    });
    let places = Axis::new(places);
    let edges = vec![
        Edge {
            pre: 0,
            post: 1,
            delay: 0,
            weights: dense(&mut random, (1, 12), (2.2, 1.0), 1.0),
            bias: None,
            axes: Some(vec![channels, places]),
        },
        Edge {
            pre: 1,
            post: 2,
            delay: 0,
            weights: dense(&mut random, (12, 3), (1.0, 0.6), 1.0),
            bias: None,
            axes: None,
        },
    ];
    let net = network(&[5, 12, 3], &Cell::new(20.0, 5.0), edges);
    check("axes", &net, 8);
}

/// Delays of single sources, of inputs and of hidden neurons, also around a cycle.
#[test]
fn delays_of_sources() {
    let mut random = Random(23);
    let mut late = |network: &mut Network, most: f64| {
        for projection in network.projections.values_mut() {
            let sources = network.populations[projection.pre].size;
            let bins = (0..sources).map(|_| (most * random.unit()) as f32);
            projection.delays = Some(SourceDelays {
                name: format!("late{}", projection.name),
                bins: bins.collect(),
                trainable: true,
            });
        }
    };
    let cell = Cell::new(20.0, 5.0);
    let mut net = layers(&cell, &[20], SCALES, 0);
    late(&mut net, 12.0);
    check("delays of sources", &net, 4);
    let back = Edge {
        pre: 1,
        post: 1,
        delay: 6,
        weights: dense(&mut Random(29), (20, 20), (-0.05, 0.3), cell.scale()),
        bias: None,
        axes: None,
    };
    let mut net = with_edge(&layers(&cell, &[20], SCALES, 1), &cell, back);
    late(&mut net, 20.0);
    assert_eq!(program(&net).window, Some(6));
    check("delays of sources around a cycle", &net, 3);
    let mut net = layers(
        &Cell {
            synapse: false,
            ..cell
        },
        &[20],
        SCALES,
        0,
    );
    late(&mut net, 12.0);
    let mut errors = Errors::default();
    examine(&mut errors, &net, 24);
    errors.check("delays of sources without a synapse");
}

/// A delay is a number that the loss depends on, like any other.
#[test]
fn delays() {
    let cell = Cell::new(20.0, 5.0);
    let net = layers(&cell, &[24], SCALES, 3);
    let program = program(&net);
    let mut random = Random(17);
    for _ in 0..6 {
        let point = Point::new(&program, &mut random);
        let mut machine = Interpreter::<f64>::computing(&program);
        point.run(&mut machine, &program, Pass::Gradient);
        // All input spikes later by as much is the same as a longer delay.
        let derivative = by_delay(&machine, Chan::new(0));
        let sum: f64 = by_input_time(&machine, &program, &point).iter().sum();
        assert!((derivative - sum).abs() <= 1e-12 * sum.abs().max(1e-3));
        let mut errors = Errors::default();
        errors.compare(&program, &point, &[derivative], |point, _, by| {
            point.times.iter_mut().for_each(|t| *t += by);
        });
        assert!(errors.found.iter().all(|e| *e < 1e-6), "{:?}", errors.found);
    }
}

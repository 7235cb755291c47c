//! What a silent neuron is pushed by: the derivative of its highest voltage.
//!
//! The push is no derivative of the loss, but it is one of `-strength` times the largest voltage of each silent
//! neuron, which the program itself keeps. So differences of both together are what gradients have to be.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Cost, Options, Regulariser};
use nirc_ir::event::{ArrayKind, CoefficientValue, HandlerKind, Process, Program, Role};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::Network;

use crate::gradient::{Errors, SCALES, examine_of, layers, with_edge};
use crate::net::{Cell, Edge, Random, dense, loss, options};

const STRENGTH: f64 = 0.3;

fn regularised(population: &str, cost: Cost) -> Regulariser {
    Regulariser {
        population: population.to_owned(),
        cost,
        strength: STRENGTH,
    }
}

fn with_pushes(network: &Network, regularise: Vec<Regulariser>) -> Program {
    let options = Options {
        regularise,
        ..options()
    };
    lower(network, &options).unwrap_or_else(|e| panic!("{e}"))
}

/// The highest voltage of every lane, with what biases move it by.
fn highest(machine: &Interpreter<f64>, program: &Program, proc: nirc_ir::event::Proc) -> Vec<f64> {
    let process: &Process = &program.processes[proc];
    let array = process.array("highest").expect("it is followed");
    let mut values = machine.values(0, proc, array);
    let moves = process.coefs.values().find(|c| c.name == "threshold.bias");
    let by = match moves.map(|c| &c.value) {
        Some(CoefficientValue::Uniform(by)) => *by,
        _ => 0.0,
    };
    for (array, decl) in process.arrays.iter() {
        if decl.name.ends_with(".bias") && matches!(decl.kind, ArrayKind::Param(_)) {
            let biases = machine.values(0, proc, array);
            values
                .iter_mut()
                .zip(biases)
                .for_each(|(v, b)| *v += by * b);
        }
    }
    values
}

/// The loss, less the voltages that are pushed.
fn objective(machine: &Interpreter<f64>, program: &Program) -> f64 {
    let mut total = loss(machine, program);
    for (id, process) in program.processes.iter() {
        if process.role != Role::Neurons || process.handler(HandlerKind::Turn).is_none() {
            continue;
        }
        let count = process.array("count").expect("it is counted");
        let counts = machine.values(0, id, count);
        let label = process.array("label").map(|a| machine.values(0, id, a)[0]);
        for (lane, (v, count)) in highest(machine, program, id).iter().zip(counts).enumerate() {
            if count == 0.0 && label.is_none_or(|label| label == lane as f64) {
                total -= STRENGTH * v;
            }
        }
    }
    total
}

/// Networks whose neurons are mostly silent.
fn networks() -> Vec<(String, Network)> {
    let mut found = Vec::new();
    let quiet = [(1.0, 1.2), (0.35, 0.5)];
    let pairs = [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
    ];
    let integrator = Cell {
        tau_mem: None,
        r: 100.0,
        ..Cell::new(0.0, 5.0)
    };
    let kicked = |tau_mem| Cell {
        tau_mem,
        synapse: false,
        ..Cell::new(0.0, 0.0)
    };
    let cells = pairs.map(|(mem, syn)| Cell::new(mem, syn)).into_iter();
    for cell in cells.chain([integrator, kicked(Some(20.0)), kicked(None)]) {
        let name = format!("{:?}/{}", cell.tau_mem, cell.tau_syn);
        let plain = layers(&cell, &[12], quiet, 1);
        let mut random = Random(23);
        let back = Edge {
            pre: 2,
            post: 1,
            delay: 7,
            weights: dense(&mut random, (3, 12), (0.0, 0.3), cell.scale()),
            bias: None,
            axes: None,
        };
        let cycle = with_edge(&plain, &cell, back);
        let mut biased = plain.clone();
        if cell.tau_mem.is_some() || !cell.synapse {
            for projection in biased.projections.values_mut() {
                let size = biased.populations[projection.post].size;
                let bias = (0..size).map(|_| random.normal(0.005, 0.01) as f32);
                projection.bias = Some(bias.collect());
            }
            found.push((format!("{name} biased"), biased));
        }
        found.push((name.clone(), plain));
        found.push((format!("{name} in windows"), cycle));
    }
    found
}

#[test]
fn silent_neurons_are_pushed_by_their_highest_voltage() {
    for (name, network) in networks() {
        let program = with_pushes(
            &network,
            vec![
                regularised("layer1", Cost::Silent),
                regularised("layer2", Cost::SilentLabel),
            ],
        );
        let mut errors = Errors::default();
        examine_of(&mut errors, &objective, &program, 6);
        errors.check(&name);
    }
}

#[test]
fn a_push_wants_a_neuron_that_spikes_and_changes_no_other_population() {
    let network = layers(&Cell::new(20.0, 5.0), &[6], SCALES, 0);
    let pushed = with_pushes(&network, vec![regularised("layer2", Cost::SilentLabel)]);
    let plain = with_pushes(&network, Vec::new());
    let process = |program: &Program, name: &str| {
        let id = program.process(name).expect(name);
        program.processes[id].clone()
    };
    assert_eq!(process(&pushed, "layer1"), process(&plain, "layer1"));
    assert_ne!(process(&pushed, "layer2"), process(&plain, "layer2"));
}

//! What programs of exact event times are like: their text, their windows, how they run, and what is refused.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options, Quantity, Record, Score};
use nirc_ir::codes;
use nirc_ir::entity::Entity;
use nirc_ir::event::{HandlerKind, Proc};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{Firing, Floor, Gain, Network, Parameter, PopulationKind, Reset};
use nirc_ir::text::{Externals, parse_program, print_program};

use crate::gradient::{SCALES, layers};
use crate::net::{Cell, Edge, network, options, program};

fn kicked(tau_mem: Option<f64>) -> Cell {
    Cell {
        tau_mem,
        synapse: false,
        ..Cell::new(0.0, 0.0)
    }
}

fn cells() -> Vec<Cell> {
    let integrator = Cell {
        tau_mem: None,
        r: 100.0,
        ..Cell::new(0.0, 5.0)
    };
    let pairs = [
        (20.0, 5.0),
        (10.0, 5.0),
        (15.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
    ];
    pairs
        .map(|(mem, syn)| Cell::new(mem, syn))
        .into_iter()
        .chain([integrator, kicked(Some(20.0)), kicked(None)])
        .collect()
}

#[test]
fn texts_read_back() {
    for cell in cells() {
        let mut network = layers(&cell, &[4], SCALES, 1);
        if cell.tau_mem.is_some() {
            network.projections.values_mut().for_each(|p| {
                let size = network.populations[p.post].size;
                p.bias = Some(vec![0.25; size]);
            });
        }
        for backwards in [true, false] {
            let loss = options().loss.filter(|_| backwards);
            let options = Options {
                adjoint: backwards,
                loss,
                ..options()
            };
            let program = lower(&network, &options).unwrap_or_else(|e| panic!("{e}"));
            let text = print_program(&program);
            assert!(text.contains("on cross lanes"));
            let read = parse_program(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(read, program);
        }
    }
}

/// A membrane that grows tiny beside a bin has to be taken back in time often, without any cycle.
#[test]
fn windows_are_short_enough_for_the_exponentials() {
    let window = |cell: Cell| program(&layers(&cell, &[4], SCALES, 1)).window;
    assert_eq!(window(Cell::new(20.0, 5.0)), Some(60));
    assert_eq!(window(Cell::new(1.0, 4.0)), Some(40));
    assert_eq!(window(Cell::new(0.11, 4.0)), Some(4));
}

/// Where a sample is cut into windows makes no difference but roundings.
#[test]
fn windows_change_nothing() {
    for cell in cells() {
        let network = layers(&cell, &[12], SCALES, 2);
        let whole = program(&network);
        let mut cut = whole.clone();
        // A projection back with weights of 0.
        let back = Edge {
            pre: 2,
            post: 1,
            delay: 7,
            weights: vec![0.0; 3 * 12],
            bias: None,
            axes: None,
        };
        let edge = |k: usize, delay| {
            let p = network.projections.values().nth(k).expect("a projection");
            let nirc_ir::network::Link::Dense(weights) = &p.link else {
                panic!("dense")
            };
            Edge {
                pre: k,
                post: k + 1,
                delay,
                weights: weights.clone(),
                bias: None,
                axes: None,
            }
        };
        let cycle = crate::net::network(&[5, 12, 3], &cell, vec![edge(0, 2), edge(1, 2), back]);
        cut.clone_from(&program(&cycle));
        assert_eq!((whole.window, cut.window), (Some(60), Some(7)));
        let mut random = crate::net::Random(41);
        for _ in 0..5 {
            let point = crate::net::Point::new(&whole, &mut random);
            let run = |program: &nirc_ir::event::Program| {
                let mut machine = Interpreter::<f64>::computing(program);
                let own = crate::net::Point {
                    tensors: program
                        .tensors
                        .values()
                        .map(|t| t.values.iter().map(|w| f64::from(*w)).collect())
                        .collect(),
                    ..point.clone()
                };
                own.run(&mut machine, program, Pass::Gradient);
                let mut spikes: Vec<(usize, u32, f64)> = Vec::new();
                for proc in [1, 2] {
                    let of = crate::net::spikes(&machine, Proc::new(proc));
                    spikes.extend(of.into_iter().map(|(lane, t)| (proc, lane, t)));
                }
                spikes.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
                let names = ["layer1", "layer2"];
                let gradients = names.map(|name| {
                    let proc = program.process(name).expect(name);
                    let process = &program.processes[proc];
                    let source = program.incoming(proc).next().map(|(id, _)| id).expect("an input");
                    assert!(process.handler(HandlerKind::Gradient(source)).is_some());
                    let array = process.arrays.iter().find(|(_, a)| {
                        let rows = if name == "layer1" { 5 } else { 12 };
                        matches!(a.kind, nirc_ir::event::ArrayKind::Gradient(t) if program.tensors[t].rows == rows)
                    });
                    machine.values(0, proc, array.expect("a gradient").0)
                });
                (spikes, gradients)
            };
            let (spikes, gradients) = run(&whole);
            let (spikes_cut, gradients_cut) = run(&cut);
            assert_eq!(spikes.len(), spikes_cut.len());
            for (a, b) in spikes.iter().zip(&spikes_cut) {
                assert!(
                    (a.0, a.1) == (b.0, b.1) && (a.2 - b.2).abs() < 1e-9,
                    "{a:?} {b:?}"
                );
            }
            for (a, b) in gradients
                .iter()
                .flatten()
                .zip(gradients_cut.iter().flatten())
            {
                assert!((a - b).abs() < 1e-7 * (1.0 + a.abs()), "{a} {b}");
            }
        }
    }
}

const fn spike(tick: u32, channel: u32) -> InputSpike {
    InputSpike { tick, channel }
}

fn sample<'a>(spikes: &'a [InputSpike], times: &'a [f32]) -> Sample<'a> {
    Sample {
        spikes,
        times,
        values: &[],
        label: 1,
        error: &[],
    }
}

#[test]
fn samples_have_exact_times() {
    let program = program(&layers(&Cell::new(10.0, 5.0), &[8], SCALES, 0));
    let mut interpreter = Interpreter::new(&program);
    let spikes = [
        spike(2, 1),
        spike(2, 0),
        spike(4, 3),
        spike(5, 0),
        spike(59, 2),
    ];
    let times = [2.25, 2.5, 4.0, 5.125, 59.5];
    let mut outcomes = Vec::new();
    let batch = [sample(&spikes, &times)];
    interpreter
        .run(Pass::Gradient, &batch, &mut outcomes)
        .expect("it runs");
    assert_eq!(
        interpreter.spike_times(0, Proc::new(0)).expect("kept"),
        times
    );
    let own = interpreter.spike_times(0, Proc::new(1)).expect("kept");
    let bins = interpreter.spikes(0, Proc::new(1)).expect("kept");
    assert!(own.len() > 3 && own.is_sorted());
    assert!(
        own.iter()
            .zip(&bins)
            .all(|(t, s)| t.floor() as u32 == s.tick)
    );
    let first = &outcomes[0].first_spike;
    let outputs = interpreter.spikes(0, Proc::new(2)).expect("kept");
    let times_of_outputs = interpreter.spike_times(0, Proc::new(2)).expect("kept");
    for (lane, first) in first.iter().enumerate() {
        let mut of_lane = outputs
            .iter()
            .zip(&times_of_outputs)
            .filter(|(s, _)| s.lane as usize == lane);
        assert_eq!(*first, of_lane.next().map_or(60.0, |(_, t)| *t));
    }
    for (spikes, times, expected) in [
        (
            &spikes[..1],
            &times[..0],
            "0 exact times for 1 input spikes",
        ),
        (&spikes[..1], &[3.0][..], "has the time 3, and is of bin 2"),
        (&spikes[..1], &[f32::NAN][..], "has the time NaN"),
        (
            &spikes[..2],
            &[2.5, 2.25][..],
            "must ascend by time and channel",
        ),
        (
            &spikes[..2],
            &[2.5, 2.5][..],
            "must ascend by time and channel",
        ),
    ] {
        let run = interpreter.run(Pass::Forward, &[sample(spikes, times)], &mut Vec::new());
        let message = run.expect_err("it is refused").message;
        assert!(message.contains(expected), "{message}");
    }
}

fn refusals(network: &Network, options: &Options) -> Vec<String> {
    let refused = lower(network, options).expect_err("it is refused");
    refused.0.iter().map(ToString::to_string).collect()
}

#[test]
fn what_has_no_exact_times_is_refused_by_name() {
    let plain = || layers(&Cell::new(20.0, 5.0), &[4], SCALES, 0);
    let refused = |change: &dyn Fn(&mut Network), expected: &str| {
        let mut network = plain();
        change(&mut network);
        let found = refusals(&network, &options());
        assert!(
            found.iter().all(|m| m.contains(codes::LOWER_UNSUPPORTED)),
            "{found:?}"
        );
        assert!(
            found.iter().any(|m| m.contains(expected)),
            "{expected}: {found:?}"
        );
    };
    let neuron = |network: &mut Network, change: &dyn Fn(&mut nirc_ir::network::Neuron)| {
        let population = network.populations.values_mut().nth(1).expect("a layer");
        if let PopulationKind::Neurons(neuron) = &mut population.kind {
            change(neuron);
        }
    };
    refused(
        &|n| {
            neuron(n, &|c| c.synapse = None);
            n.convention.reset = Reset::Subtract;
        },
        "may reach several thresholds at once",
    );
    refused(&|n| n.convention.reset = Reset::None, "`reset` is none");
    refused(&|n| n.convention.floor = Floor::Zero, "`floor` is zero");
    refused(&|n| n.convention.gain = Gain::Weights, "`gain` is weights");
    let raised = Firing {
        threshold: Parameter::Uniform(1.0),
        v_reset: Parameter::Uniform(1.5),
    };
    refused(
        &|n| neuron(n, &|c| c.firing = Some(raised.clone())),
        "would spike forever",
    );
    let almost = Cell::new(5.001, 5.0).neuron();
    refused(&|n| neuron(n, &|c| *c = almost.clone()), "almost equal");
    let mut mixed = Cell::new(5.0, 5.0).neuron();
    if let Some(synapse) = &mut mixed.synapse {
        synapse.tau_syn = Parameter::PerNeuron(vec![4e-3, 6e-3, 4e-3, 4e-3]);
    }
    refused(
        &|n| neuron(n, &|c| *c = mixed.clone()),
        "slower than the synapse in some",
    );
    let fast = Cell::new(0.01, 5.0).neuron();
    refused(&|n| neuron(n, &|c| *c = fast.clone()), "use a shorter `dt`");

    let given = Options {
        loss: Some(Loss::Given),
        ..options()
    };
    assert!(refusals(&plain(), &given)[0].contains("it reads ticks"));
    let traced = Options {
        record: vec![Record {
            population: "layer1".to_owned(),
            quantity: Quantity::V,
        }],
        ..options()
    };
    assert!(refusals(&plain(), &traced)[0].contains("recorded tick by tick"));
    let voltage = Options {
        loss: Some(Loss::VoltageError {
            hit: 1.0,
            miss: 0.0,
        }),
        ..options()
    };
    assert!(
        refusals(&plain(), &voltage)
            .iter()
            .any(|m| m.contains("it reads ticks"))
    );
}

#[test]
fn voltages_are_read_by_a_loss_of_scores_alone() {
    let silent = |at: usize| {
        let mut network = layers(&Cell::new(20.0, 5.0), &[4], SCALES, 0);
        let population = network.populations.values_mut().nth(at).expect("a layer");
        if let PopulationKind::Neurons(neuron) = &mut population.kind {
            neuron.firing = None;
        }
        network
    };
    let reads = Options {
        loss: Some(Loss::Voltage { score: Score::Max }),
        ..options()
    };
    lower(&silent(2), &reads).expect("it is read");
    let hidden = refusals(&silent(1), &options());
    assert!(
        hidden
            .iter()
            .any(|m| m.contains("`layer1` sends its voltage, one a tick"))
    );
    let unread = Options {
        loss: None,
        adjoint: false,
        ..options()
    };
    let unread = refusals(&silent(2), &unread);
    assert!(
        unread
            .iter()
            .any(|m| m.contains("no loss reads its voltage"))
    );
    let error = Options {
        loss: Some(Loss::VoltageError {
            hit: 1.0,
            miss: 0.0,
        }),
        ..options()
    };
    assert!(
        refusals(&silent(2), &error)
            .iter()
            .any(|m| m.contains("it reads ticks"))
    );
}

/// A spike that grazes divides by the guard instead of by its slope.
#[test]
fn a_guard_bounds_the_gradient() {
    // A single input whose peak, 0.25 w, is just above the threshold.
    let edges = |w: f32| {
        vec![Edge {
            pre: 0,
            post: 1,
            delay: 0,
            weights: vec![w],
            bias: None,
            axes: None,
        }]
    };
    let gradient = |w: f32, guard: f64| {
        let options = Options {
            loss: Some(Loss::TargetTimes {
                hit: 30.0,
                miss: 30.0,
            }),
            events: Some(ExactTimes {
                guard,
                input_errors: false,
            }),
            ..options()
        };
        let network = network(&[1, 1], &Cell::new(10.0, 5.0), edges(w));
        let program = lower(&network, &options).expect("it lowers");
        let mut machine = Interpreter::new(&program);
        let spikes = [spike(3, 0)];
        let sample = Sample {
            label: 0,
            ..sample(&spikes, &[3.0])
        };
        machine
            .run(Pass::Gradient, &[sample], &mut Vec::new())
            .expect("it runs");
        let proc = Proc::new(1);
        let array = program.processes[proc]
            .array("fc0.weight.gradient")
            .expect("a gradient");
        machine.values(0, proc, array)[0].abs()
    };
    assert!(gradient(4.0001, 0.0) > 5.0 * gradient(4.0001, 0.1));
    assert_eq!(gradient(8.0, 0.0), gradient(8.0, 0.1));
}

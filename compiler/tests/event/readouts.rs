//! Voltages that are read: derivatives of their losses against differences, and against ticks that get shorter.

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options, Score};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{HandlerKind, Output, Program};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::network::{
    Convention, Link, Membrane, Network, Parameter, Pop, Population, PopulationKind, Port,
    Projection,
};
use nirc_ir::text::print_program;

use crate::gradient::{Errors, SCALES, examine_of, layers, with_edge};
use crate::net::{Cell, Edge, Point, Random, by_input_time, dense, gradients, loss, options};

const SCORES: [Score; 5] = [
    Score::Max,
    Score::Sum,
    Score::Average { tau: None },
    Score::Average { tau: Some(17.0) },
    Score::Final,
];

/// Every neuron that can be read.
fn read_outs() -> Vec<Cell> {
    let pairs = [
        (20.0, 5.0),
        (10.0, 5.0),
        (20.0, 7.0),
        (5.0, 10.0),
        (8.0, 8.0),
        (5.0, 20.0),
    ];
    let integrator = |synapse: bool| Cell {
        tau_mem: None,
        r: if synapse { 100.0 } else { 1.0 },
        synapse,
        // Short, times of spikes would hardly count at the end.
        ..Cell::new(0.0, 25.0)
    };
    let li = Cell {
        synapse: false,
        ..Cell::new(20.0, 0.0)
    };
    let cells = pairs.map(|(mem, syn)| Cell::new(mem, syn)).into_iter();
    cells
        .chain([integrator(true), integrator(false), li])
        .collect()
}

/// A layer that spikes, and three neurons that are read; their weights keep the scores so small that the softmax has
/// more than one output.
fn network(read: &Cell, leak: f64, score: Score) -> Network {
    let spiking = Cell::new(20.0, 5.0);
    let mut network = layers(&spiking, &[8], SCALES, 0);
    let mut random = Random(31);
    let last = network.populations.values_mut().last().expect("an output");
    let mut neuron = Cell {
        leak,
        ..read.clone()
    }
    .neuron();
    neuron.firing = None;
    last.kind = PopulationKind::Neurons(neuron);
    let into = network
        .projections
        .values_mut()
        .last()
        .expect("a projection");
    let longer = if score == Score::Sum { 0.03 } else { 1.0 };
    let scale = read.scale() * longer;
    let weights = dense(&mut random, (8, 3), (0.2, 1.0), scale);
    into.link = Link::Dense(weights);
    network
}

fn reading(network: &Network, score: Score, adjoint: bool) -> Program {
    let options = Options {
        loss: Some(Loss::Voltage { score }),
        adjoint,
        ..options()
    };
    lower(network, &options).unwrap_or_else(|e| panic!("{e}"))
}

fn biased(network: &Network) -> Network {
    let mut random = Random(37);
    let mut network = network.clone();
    for projection in network.projections.values_mut() {
        let size = network.populations[projection.post].size;
        let bias = (0..size).map(|_| random.normal(0.01, 0.02) as f32);
        projection.bias = Some(bias.collect());
    }
    network
}

/// A cycle in front of the read-out cuts the sample into windows, the last of which is shorter.
fn in_windows(network: &Network) -> Network {
    let mut random = Random(41);
    let back = Edge {
        pre: 1,
        post: 1,
        delay: 7,
        weights: dense(&mut random, (8, 8), (0.0, 0.2), 1.0),
        bias: None,
        axes: None,
    };
    let kinds: Vec<_> = network
        .populations
        .values()
        .map(|p| p.kind.clone())
        .collect();
    let biases: Vec<_> = network
        .projections
        .values()
        .map(|p| p.bias.clone())
        .collect();
    let mut cycle = with_edge(network, &Cell::new(20.0, 5.0), back);
    for (population, kind) in cycle.populations.values_mut().zip(kinds) {
        population.kind = kind;
    }
    let mut biases = biases.into_iter();
    for projection in cycle.projections.values_mut() {
        if projection.pre != projection.post {
            projection.bias = biases.next().flatten();
        }
    }
    cycle
}

fn gradients_of(score: Score) {
    for cell in read_outs() {
        let integrates = cell.tau_mem.is_none() && cell.synapse;
        let leak = if cell.tau_mem.is_some() { 0.2 } else { 0.0 };
        let plain = network(&cell, leak, score);
        let mut networks = vec![plain.clone(), in_windows(&plain)];
        if !integrates {
            networks.push(biased(&plain));
            networks.push(in_windows(&biased(&plain)));
        }
        if score == (Score::Average { tau: None }) {
            // A sum but for a factor.
            networks.drain(..networks.len() - 1);
        }
        let mut errors = Errors::default();
        for network in networks {
            let program = reading(&network, score, true);
            examine_of(&mut errors, &loss, &program, 1);
        }
        errors.check(&format!(
            "{score:?} {:?}/{} {}",
            cell.tau_mem, cell.tau_syn, cell.synapse
        ));
    }
}

#[test]
fn gradients_of_a_maximum() {
    gradients_of(Score::Max);
}

#[test]
fn gradients_of_integrals() {
    gradients_of(Score::Sum);
    gradients_of(Score::Average { tau: None });
    gradients_of(Score::Average { tau: Some(17.0) });
}

#[test]
fn gradients_of_a_last_voltage() {
    gradients_of(Score::Final);
}

/// Two neurons, of which the first rises until an input of four cuts it off; at the same time, there is another input without
/// a weight, earlier or later in the order. A cycle makes windows of one bin.
fn cut_off(read: &Cell, cutting: usize, windows: bool) -> Network {
    let edge = |pre, post, delay, weights| Edge {
        pre,
        post,
        delay,
        weights,
        bias: None,
        axes: None,
    };
    let scale = read.scale() as f32;
    let mut weights = vec![0.0; 8];
    weights[0] = if read.synapse { scale } else { 0.1 * scale };
    weights[3] = 0.5 * scale;
    weights[2 * cutting] = -30.0 * scale;
    let mut edges = vec![edge(0, 2, 0, weights), edge(1, 2, 0, vec![0.0; 2])];
    edges.push(edge(0, 1, 0, vec![0.0; 4]));
    if windows {
        edges.push(edge(1, 1, 1, vec![0.0]));
    }
    let mut network = crate::net::network(&[4, 1, 2], &Cell::new(20.0, 5.0), edges);
    let mut neuron = read.neuron();
    neuron.firing = None;
    network.populations[Pop::new(2)].kind = PopulationKind::Neurons(neuron);
    network
}

#[test]
fn a_maximum_moves_with_the_arrival_that_cuts_it_off_whatever_else_arrives_then() {
    let leaky = |cell: Cell| Cell {
        leak: if cell.synapse { 0.0 } else { 0.2 },
        ..cell
    };
    for (cell, cutting, windows) in read_outs().into_iter().map(leaky).flat_map(|cell| {
        let cases = [(2, false), (3, false), (2, true), (3, true)];
        cases.map(|(cutting, windows)| (cell.clone(), cutting, windows))
    }) {
        let program = reading(&cut_off(&cell, cutting, windows), Score::Max, true);
        let mut machine = Interpreter::<f64>::computing(&program);
        let mut point = Point {
            tensors: Point::new(&program, &mut Random(1)).tensors,
            times: vec![1.0, 1.5, 3.0, 3.0],
            channels: vec![0, 1, 2, 3],
            label: 1,
        };
        point.run(&mut machine, &program, Pass::Gradient);
        let derivatives = by_input_time(&machine, &program, &point);
        let name = format!("{cell:?} {cutting} {windows}");
        // An integrator without a synapse does not rise.
        let rises = cell.synapse || cell.tau_mem.is_some();
        assert_eq!(
            derivatives[cutting] > 1e-6,
            rises,
            "{name}: {derivatives:?}"
        );
        for (k, derivative) in derivatives.into_iter().enumerate() {
            let at = point.times[k];
            let mut moved = |by: f64| {
                point.times[k] = at + by;
                point.run(&mut machine, &program, Pass::Forward);
                point.times[k] = at;
                loss(&machine, &program)
            };
            let difference = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let off = (derivative - difference).abs();
            assert!(off < 1e-8, "{name}: {k}: {derivative:e}, {difference:e}");
        }
    }
}

#[test]
fn a_voltage_that_falls_from_the_beginning_is_highest_there_whatever_its_bias() {
    for windows in [false, true] {
        let cell = Cell {
            leak: -0.2,
            ..Cell::new(20.0, 7.0)
        };
        let mut network = cut_off(&cell, 2, windows);
        let into = network
            .projections
            .values_mut()
            .find(|p| p.pre == Pop::new(0) && p.post == Pop::new(2));
        into.expect("a projection").bias = Some(vec![-0.001, -0.002]);
        let program = reading(&network, Score::Max, true);
        let mut machine = Interpreter::<f64>::computing(&program);
        let point = Point {
            times: Vec::new(),
            channels: Vec::new(),
            ..Point::new(&program, &mut Random(1))
        };
        point.run(&mut machine, &program, Pass::Gradient);
        for (tensor, derivatives) in gradients(&machine, &program) {
            let none = derivatives
                .iter()
                .all(|derivative| derivative.abs() < 1e-12);
            assert!(none, "{windows}: {tensor:?} {derivatives:?}");
        }
    }
}

#[test]
fn read_outs_are_programs_like_others() {
    for cell in read_outs() {
        for score in SCORES {
            for adjoint in [true, false] {
                let network = in_windows(&network(&cell, 0.0, score));
                let program = reading(&network, score, adjoint);
                let process = &program.processes[program.process("layer2").expect("it is there")];
                assert!(matches!(process.output, Output::State(_)) && process.tape.is_none());
                assert_eq!(process.handler(HandlerKind::Value).is_some(), adjoint);
                let text = print_program(&program);
                assert!(text.contains("lanes 3 emits score {"), "{text}");
            }
        }
    }
}

const SECONDS: f64 = 0.04;

/// Two inputs and three outputs of which spikes of weight 1 move the driven state by as much, whatever the tick.
fn read_directly(cell: &Cell, dt: f64) -> Network {
    let mut neuron = cell.neuron();
    neuron.firing = None;
    let uniform = Parameter::Uniform;
    match (&mut neuron.synapse, &mut neuron.membrane) {
        (Some(synapse), _) => synapse.w_in = uniform(cell.tau_syn * 1e-3 / dt),
        (None, Membrane::Leaky { tau, r, .. }) => *r = tau.map(|tau| tau / dt),
        (None, Membrane::Integrator { r }) => *r = uniform(1.0 / dt),
        (None, Membrane::Direct) => {}
    }
    let populations = [
        Population::vector("input", 2, PopulationKind::Source),
        Population::vector("output", 3, PopulationKind::Neurons(neuron)),
    ];
    let projection = Projection {
        name: "fc".to_owned(),
        pre: Pop::new(0),
        post: Pop::new(1),
        link: Link::Dense(vec![0.9, -0.4, 0.3, -0.5, 0.8, 0.2]),
        bias: None,
        delay: 1,
        delays: None,
        factor: 1.0,
        bias_run: 1,
        trainable: true,
    };
    Network {
        name: "read".to_owned(),
        dt,
        convention: Convention::preset("eventprop").expect("a preset"),
        populations: PrimaryMap::from_iter(populations),
        projections: PrimaryMap::from_iter([projection]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(1),
        }],
    }
}

/// The gradient of the weights, at this length of a bin.
fn gradient(cell: &Cell, score: Score, dt: f64, exact: bool) -> Vec<f32> {
    let mut network = read_directly(cell, dt);
    let in_bins = |seconds: f64| (seconds / dt).round();
    let score = match score {
        Score::Average { tau } => Score::Average {
            tau: tau.map(|ms| in_bins(ms * 1e-3)),
        },
        other => other,
    };
    if exact {
        let delays = network.projections.values_mut();
        delays.for_each(|p| p.delay = 0);
    }
    let options = Options {
        ticks: in_bins(SECONDS) as u32,
        loss: Some(Loss::Voltage { score }),
        events: exact.then(ExactTimes::default),
        ..options()
    };
    let program = lower(&network, &options).unwrap_or_else(|e| panic!("{e}"));
    let spikes = [(2e-3, 0), (5e-3, 1), (7e-3, 1), (15e-3, 0), (24e-3, 1)];
    let spikes = spikes.map(|(at, channel)| InputSpike {
        tick: in_bins(at) as u32,
        channel,
    });
    let times = spikes.map(|spike| spike.tick as f32);
    let sample = Sample {
        spikes: &spikes,
        times: if exact { &times } else { &[] },
        values: &[],
        label: 1,
        error: &[],
    };
    let mut machine = Interpreter::new(&program);
    let mut outcomes = Vec::new();
    machine
        .run(Pass::Gradient, &[sample], &mut outcomes)
        .unwrap_or_else(|e| panic!("{e}"));
    let proc = program.process("output").expect("it is there");
    let array = program.processes[proc].array("fc.weight.gradient");
    machine.values(0, proc, array.expect("it is trained"))
}

/// Ticks that get shorter come ever closer, in proportion.
#[test]
fn ticks_approach_exact_times() {
    let li = Cell {
        synapse: false,
        ..Cell::new(10.0, 0.0)
    };
    let integrator = Cell {
        tau_mem: None,
        synapse: false,
        ..Cell::new(0.0, 0.0)
    };
    for cell in [Cell::new(10.0, 5.0), Cell::new(8.0, 8.0), li, integrator] {
        for score in SCORES.into_iter().filter(|score| *score != Score::Sum) {
            let exact = gradient(&cell, score, 1e-3, true);
            let length = exact.iter().fold(0.0_f32, |most, g| most.max(g.abs()));
            let distance = |dt: f64| {
                let ticks = gradient(&cell, score, dt, false);
                let pairs = ticks.iter().zip(&exact);
                pairs.fold(0.0_f32, |most, (a, b)| most.max((a - b).abs())) / length
            };
            let distances = [5e-4, 2.5e-4, 1.25e-4].map(distance);
            println!(
                "{score:?} {:?}/{}: {distances:?}",
                cell.tau_mem, cell.tau_syn
            );
            assert!(distances[2] < 0.05, "{score:?} {cell:?}: {distances:?}");
            for pair in distances.windows(2) {
                let falls = pair[1] < 0.65 * pair[0] || pair[0] < 1e-4;
                assert!(falls, "{score:?} {cell:?}: {distances:?}");
            }
        }
    }
}

//! Optimisers beside PyTorch's: rules, schedules and clipping on recorded gradients, and the learning rate
//! over long runs beside `f64`.

use std::f64::consts::PI;
use std::num::NonZeroU32;

use ndarray::{Array1, Array2};
use nirc_compiler::lower::lower;
use nirc_compiler::options::{Clip, Loss, Optimiser, Options, Rule, Schedule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayKind, HandlerKind, Proc, Program, Role};
use nirc_ir::executor::Executor;
use nirc_ir::interpreter::{Event, Interpreter, Payload};
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection,
};
use nirc_tests::golden::Golden;

const STEPS: usize = 60;
const LR: f64 = 1e-2;

/// 5 inputs, 13 outputs with a bias: tensors of 65 and 13 weights.
fn program(optimiser: Optimiser) -> Program {
    let neuron = Neuron {
        membrane: Membrane::Leaky {
            tau: Parameter::Uniform(0.02),
            r: Parameter::Uniform(1.0),
            v_leak: Parameter::Uniform(0.0),
        },
        synapse: None,
        firing: Some(Firing {
            threshold: Parameter::Uniform(1.0),
            v_reset: Parameter::Uniform(0.0),
        }),
    };
    let network = Network {
        name: "two_tensors".to_owned(),
        dt: 0.001,
        convention: Convention::preset("eventprop").expect("a preset"),
        populations: PrimaryMap::from_iter([
            Population::vector("input", 5, PopulationKind::Source),
            Population::vector("out", 13, PopulationKind::Neurons(neuron)),
        ]),
        projections: PrimaryMap::from_iter([Projection {
            name: "fc".to_owned(),
            pre: Pop::new(0),
            post: Pop::new(1),
            bias: Some(vec![0.0; 13]),
            delay: 1,
            delays: None,
            trainable: true,
            factor: 1.0,
            bias_run: 1,
            link: Link::Dense(vec![0.0; 65]),
        }]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(1),
        }],
    };
    let options = Options {
        events: None,
        ticks: 4,
        batch: 1,
        replicas: 1,
        spike_bound: None,
        loss: Some(Loss::Given),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(optimiser),
        record: Vec::new(),
    };
    lower(&network, &options).expect("it lowers")
}

fn optimisers(program: &Program) -> Vec<Proc> {
    let processes = program.processes.iter();
    processes
        .filter(|(_, p)| matches!(p.role, Role::Optimiser(_)))
        .map(|(id, _)| id)
        .collect()
}

/// The optimisers of a program, with gradients that are given instead of gathered.
struct Steps {
    program: Program,
    optimisers: Vec<Proc>,
    interpreter: Interpreter,
}

impl Steps {
    fn new(optimiser: Optimiser) -> Self {
        let program = program(optimiser);
        Self {
            optimisers: optimisers(&program),
            interpreter: Interpreter::new(&program),
            program,
        }
    }

    fn poke(&mut self, proc: Proc, which: impl Fn(ArrayKind) -> bool, values: &[f32]) {
        let mut arrays = self.program.processes[proc].arrays.iter();
        let found = arrays.find(|(_, a)| which(a.kind));
        let (array, _) = found.expect("an optimiser has it");
        self.interpreter.poke(0, proc, array, values);
    }

    fn read(&self, proc: Proc, name: &str) -> Vec<f32> {
        let array = self.program.processes[proc].array(name).expect(name);
        self.interpreter.read(0, proc, array).expect("readable")
    }

    fn run(&mut self, proc: Proc, kind: HandlerKind, payload: f32) -> Option<f32> {
        let handler = self.program.processes[proc].handler(kind)?;
        let event = Event {
            payload: Payload::One(payload),
            ..Event::default()
        };
        self.interpreter.run_handler(0, proc, handler, event)
    }

    /// A step, as the text of event programs has it.
    fn step(&mut self, gradients: &[&[f32]]) {
        let optimisers = self.optimisers.clone();
        let mut measures = Vec::new();
        for (&proc, gradient) in optimisers.iter().zip(gradients) {
            self.poke(proc, |kind| kind == ArrayKind::Gathered, gradient);
            measures.extend(self.run(proc, HandlerKind::Measure, 0.0));
        }
        let measured = measures.into_iter().reduce(|sum, m| sum + m);
        for proc in optimisers {
            self.run(proc, HandlerKind::Schedule, measured.unwrap_or(0.0));
            self.run(proc, HandlerKind::Update, 0.0);
        }
    }
}

fn sgd(momentum: f64, nesterov: bool) -> Rule {
    Rule::Sgd { momentum, nesterov }
}

const ADAM: Rule = Rule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};
const ADAMW: Rule = Rule::AdamW {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};
const ADAMAX: Rule = Rule::AdaMax {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
};

fn batches(n: u32) -> NonZeroU32 {
    NonZeroU32::new(n).expect("some")
}

/// The cases of `tests/golden/optimisers.py`.
fn cases() -> Vec<(&'static str, Optimiser)> {
    let rule = |rule, weight_decay| Optimiser {
        weight_decay,
        ..Optimiser::new(rule, LR)
    };
    let with = |schedule, warm_up, optimiser| Optimiser {
        schedule,
        warm_up: NonZeroU32::new(warm_up),
        ..optimiser
    };
    let clipped = |clip, optimiser| Optimiser {
        clip: Some(clip),
        ..optimiser
    };
    let exponential = Schedule::Exponential { factor: 0.97 };
    let steps = Schedule::Step {
        batches: batches(7),
        factor: 0.3,
    };
    let cosine = |n, last| Schedule::Cosine {
        batches: batches(n),
        last,
    };
    let short = Rule::Adam {
        beta1: 0.4,
        beta2: 0.9,
        epsilon: 1e-8,
    };
    let plain = rule(sgd(0.0, false), 0.0);
    vec![
        ("sgd", rule(sgd(0.0, false), 1e-3)),
        ("momentum", rule(sgd(0.9, false), 1e-3)),
        ("nesterov", rule(sgd(0.9, true), 0.0)),
        ("adam", rule(ADAM, 1e-3)),
        ("adam_short", rule(short, 0.0)),
        ("adamw", rule(ADAMW, 1e-2)),
        ("adamax", rule(ADAMAX, 1e-3)),
        (
            "exponential",
            with(exponential, 0, rule(sgd(0.9, false), 0.0)),
        ),
        ("step", with(steps, 0, rule(ADAM, 0.0))),
        ("cosine", with(cosine(60, 0.0), 0, plain)),
        ("cosine_last", with(cosine(60, 1e-3), 0, rule(ADAMW, 1e-2))),
        ("warm_up", with(Schedule::Constant, 8, rule(ADAM, 0.0))),
        ("warm_up_exponential", with(exponential, 5, plain)),
        ("warm_up_step", with(steps, 3, plain)),
        (
            "warm_up_cosine",
            with(cosine(50, 0.0), 10, rule(ADAMAX, 0.0)),
        ),
        (
            "value",
            clipped(Clip::Value(0.5), rule(sgd(0.9, false), 1e-3)),
        ),
        ("norm", clipped(Clip::Norm(2.0), plain)),
        (
            "norm_adamw",
            clipped(Clip::Norm(2.0), with(exponential, 0, rule(ADAMW, 1e-2))),
        ),
        ("adam_mkl", rule(ADAM, 1e-3)),
        ("adamw_mkl", rule(ADAMW, 1e-2)),
    ]
}

/// Numbers of `f32` from one to the other.
fn ulps(a: f32, b: f32) -> u32 {
    let place = |x: f32| {
        let bits = x.to_bits().cast_signed();
        if bits < 0 { i32::MIN - bits } else { bits }
    };
    place(a).abs_diff(place(b))
}

#[test]
fn rules_schedules_and_clipping_are_pytorch_s() {
    let golden = Golden::open("optimisers");
    let tensors = ["weight", "bias"];
    let initial = tensors.map(|t| golden.array::<f32>(&format!("initial_{t}")));
    let gradients = tensors.map(|t| golden.two::<f32>(&format!("gradient_{t}")));
    let kept = golden.array::<i64>("kept");
    let kept: Vec<usize> = kept
        .iter()
        .map(|k| usize::try_from(*k).expect("a step"))
        .collect();
    for (name, optimiser) in cases() {
        let weights: Array2<f32> = golden.two(&format!("{name}_weights"));
        let rates: Array1<f64> = golden
            .array(&format!("{name}_rates"))
            .into_dimensionality()
            .expect("one axis");
        let mut steps = Steps::new(optimiser);
        let procs = steps.optimisers.clone();
        for (proc, values) in procs.iter().zip(&initial) {
            let values: Vec<f32> = values.iter().copied().collect();
            steps.poke(*proc, |kind| matches!(kind, ArrayKind::Param(_)), &values);
        }
        let mut worst = 0;
        let mut compared = 0;
        for step in 0..STEPS {
            let gradients = gradients.each_ref().map(|g| g.row(step).to_vec());
            steps.step(&gradients.each_ref().map(Vec::as_slice));
            if matches!(optimiser.rule, Rule::Sgd { .. }) {
                let rate = -steps.read(procs[0], "step")[0];
                assert_eq!(rate, rates[step] as f32, "{name}: rate of batch {step}");
            }
            if let Some(row) = kept.iter().position(|k| *k == step + 1) {
                let found: Vec<f32> = procs
                    .iter()
                    .flat_map(|p| steps.read(*p, "weight"))
                    .collect();
                assert_eq!(found.len(), weights.ncols(), "{name}");
                for (a, b) in found.iter().zip(weights.row(row)) {
                    // Near zero an ulp says nothing: the sum that it is of has larger ones.
                    let near = (a - b).abs() <= f32::EPSILON / 4.0;
                    worst = worst.max(if near {
                        ulps(*a, *b).min(1)
                    } else {
                        ulps(*a, *b)
                    });
                    compared += 1;
                }
            }
        }
        assert_eq!(compared, kept.len() * weights.ncols(), "{name}");
        println!("{name}: {worst} ulps");
        // PyTorch sums squares in another order, and MKL's roots are not always the nearest.
        let inexact = matches!(optimiser.clip, Some(Clip::Norm(_))) || name.ends_with("_mkl");
        let allowed = if inexact { 2 } else { 0 };
        assert!(worst <= allowed, "{name}: {worst} ulps");
    }
}

/// The rate of batch `k` by its definition.
fn rate(optimiser: &Optimiser, k: u32) -> f64 {
    let first = optimiser.learning_rate;
    let warm_up = optimiser.warm_up.map_or(0, NonZeroU32::get);
    if k < warm_up {
        return first * f64::from(k + 1) / f64::from(warm_up);
    }
    let k = k - warm_up;
    match optimiser.schedule {
        Schedule::Constant => first,
        Schedule::Exponential { factor } => first * factor.powf(f64::from(k)),
        Schedule::Step { batches, factor } => first * factor.powf(f64::from(k / batches.get())),
        Schedule::Cosine { batches, last } => {
            let half = (PI / 2.0 * f64::from(k) / f64::from(batches.get())).cos();
            last + (first - last) * half * half
        }
    }
}

#[test]
fn rates_stay_exact_over_100_000_batches() {
    const BATCHES: u32 = 100_000;
    for (name, schedule, warm_up) in [
        ("exponential", Schedule::Exponential { factor: 0.99995 }, 0),
        (
            "step",
            Schedule::Step {
                batches: batches(5_000),
                factor: 0.7,
            },
            1_000,
        ),
        (
            "cosine",
            Schedule::Cosine {
                batches: batches(BATCHES),
                last: 0.0,
            },
            0,
        ),
        (
            "cosine_last",
            Schedule::Cosine {
                batches: batches(BATCHES - 7_777),
                last: 1e-5,
            },
            7_777,
        ),
    ] {
        let optimiser = Optimiser {
            schedule,
            warm_up: NonZeroU32::new(warm_up),
            ..Optimiser::new(sgd(0.0, false), 3.3e-3)
        };
        let mut steps = Steps::new(optimiser);
        let proc = steps.optimisers[0];
        let (mut worst, mut relative, mut unequal) = (0, 0.0_f64, 0);
        for k in 0..BATCHES {
            steps.run(proc, HandlerKind::Schedule, 0.0);
            let found = -steps.read(proc, "step")[0];
            let exact = rate(&optimiser, k);
            let off = ulps(found, exact as f32);
            unequal += u32::from(off > 0);
            worst = worst.max(off);
            relative = relative.max((f64::from(found) / exact - 1.0).abs());
        }
        println!("{name}: {worst} ulps, {unequal} unequal, relative error {relative:e}");
        assert!(
            worst <= 1 && unequal <= 12,
            "{name}: {worst} ulps, {unequal} unequal"
        );
    }
}

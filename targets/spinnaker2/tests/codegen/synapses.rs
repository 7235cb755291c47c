//! Connections of every shape, with bodies that need few registers or many: the same bits as the interpreter,
//! and what a synapse costs.

use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Binary, Body, Chan, Channel, Coef, Coefficient, CoefficientValue,
    Domain, Fold, Handler, HandlerKind, Op, Outgoing, Output, Proc, Process, Program, Role, Row,
    SpikeTape, Stmt, Tensor, TensorDecl, Unary,
};
use nirc_ir::verify::verify;
use nirc_spinnaker2::codegen::compile;
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;

use crate::handlers::{Bench, try_handler};
use crate::programs::Numbers;

const X: usize = 0;
const Y: usize = 1;
const SCALAR: usize = 2;
const WEIGHT: usize = 3;

/// What is done for a synapse.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// `x += w`
    Add,
    /// `x += w * value`, of a channel of values
    Scale,
    /// Subroutines, two states, a scalar and a coefficient a lane.
    Long,
    /// Without a weight.
    Count,
    /// Sends back the sum of `w * y`.
    Error,
    /// `weight += x`, which several synapses share
    Share,
}

const KINDS: [Kind; 6] = [
    Kind::Add,
    Kind::Scale,
    Kind::Long,
    Kind::Count,
    Kind::Error,
    Kind::Share,
];

impl Kind {
    fn handler(self) -> HandlerKind {
        let chan = Chan::new(0);
        match self {
            Self::Error => HandlerKind::Message(chan),
            Self::Share => HandlerKind::Gradient(chan),
            _ => HandlerKind::Event(chan),
        }
    }

    fn goes_back(self) -> bool {
        self.handler().is_adjoint()
    }
}

fn body(kind: Kind) -> Body {
    let [x, y, scalar, weight] = [X, Y, SCALAR, WEIGHT].map(Array::new);
    let mut body = Body::default();
    let before = body.push(Op::Load(x));
    let arrived = match kind {
        Kind::Count => body.push(Op::Const(1.25)),
        _ => body.push(Op::LoadRow(weight, Row::Synapse)),
    };
    let after = match kind {
        Kind::Add | Kind::Count => body.push(Op::Binary(Binary::Add, before, arrived)),
        Kind::Scale => {
            let value = body.push(Op::Payload);
            body.push(Op::Fma(arrived, value, before))
        }
        Kind::Long => {
            let coef = body.push(Op::Coef(Coef::new(0)));
            let scalar = body.push(Op::Load(scalar));
            let power = body.push(Op::Unary(Unary::Exp, before));
            let once = body.push(Op::Unary(Unary::Exp, scalar));
            let product = body.push(Op::Binary(Binary::Mul, power, coef));
            let sum = body.push(Op::Fma(arrived, once, product));
            let other = body.push(Op::Load(y));
            let mean = body.push(Op::Binary(Binary::Sub, other, sum));
            body.stmts.push(Stmt::Store(y, mean));
            body.push(Op::Unary(Unary::Ln, sum))
        }
        Kind::Error => {
            let error = body.push(Op::Load(y));
            let fold = Fold::Fma(arrived, error);
            body.stmts.push(Stmt::Send(Outgoing::Fold(fold)));
            return body;
        }
        Kind::Share => {
            let sum = body.push(Op::Binary(Binary::Add, arrived, before));
            body.stmts.push(Stmt::StoreRow(weight, Row::Synapse, sum));
            return body;
        }
    };
    body.stmts.push(Stmt::Store(x, after));
    body
}

/// A source and a population behind these axes.
fn program(axes: Vec<Axis>, kind: Kind, numbers: &mut Numbers) -> Program {
    let connection = Connection::Taps(axes);
    let sources = connection.sources().expect("axes");
    let (lane, weight) = connection.largest().unwrap_or((0, 0));
    let [lanes, weights] = [lane, weight].map(|largest| largest as usize + 1);
    let mut tensors = PrimaryMap::new();
    tensors.push(TensorDecl {
        name: "w".into(),
        rows: 1,
        lanes: weights,
        values: numbers.floats(weights, 0.1, 1.0),
        trainable: false,
    });
    let state = ArrayKind::State { init: 0.0 };
    let arrays = [
        ("x", state),
        ("y", state),
        ("s", ArrayKind::Scalar { init: 0.5 }),
        (
            "weight",
            match kind {
                Kind::Share => ArrayKind::Gradient(Tensor::new(0)),
                _ => ArrayKind::Param(Tensor::new(0)),
            },
        ),
    ];
    let arrays = arrays.map(|(name, kind)| ArrayDecl {
        name: name.into(),
        kind,
    });
    let without = usize::from(kind == Kind::Count);
    let source = Process {
        name: "in".into(),
        role: match kind.goes_back() {
            true => Role::Neurons,
            false => Role::Source,
        },
        lanes: sources,
        coefs: PrimaryMap::new(),
        arrays: PrimaryMap::new(),
        output: match kind {
            Kind::Scale => Output::Given,
            _ => Output::Spikes,
        },
        tape: kind.goes_back().then(|| SpikeTape {
            fields: Vec::new(),
            bound: Some(sources),
        }),
        handlers: Vec::new(),
    };
    let coef = Coefficient {
        name: "a".into(),
        formula: "a".into(),
        value: CoefficientValue::PerLane((0..lanes).map(|_| numbers.unit().into()).collect()),
    };
    let neurons = Process {
        name: "out".into(),
        role: Role::Neurons,
        lanes,
        coefs: [coef].into_iter().collect(),
        arrays: arrays.into_iter().take(4 - without).collect(),
        output: Output::Spikes,
        tape: None,
        handlers: vec![Handler {
            kind: kind.handler(),
            domain: Domain::Synapses,
            body: body(kind),
        }],
    };
    let channel = Channel {
        from: Proc::new(0),
        to: Proc::new(1),
        delay: 1,
        delays: None,
        connection,
        bound: kind.goes_back().then_some(sources),
    };
    let program = Program {
        name: "synapses".into(),
        ticks: 3,
        dt: 1e-3,
        first_tick: 1,
        window: None,
        replicas: 1,
        tensors,
        processes: [source, neurons].into_iter().collect(),
        channels: [channel].into_iter().collect(),
    };
    verify(&program).unwrap_or_else(|e| panic!("{e}"));
    program
}

fn tap(lane: usize, weight: usize) -> Tap {
    Tap {
        lane: lane as u32,
        weight: weight as u32,
    }
}

/// A line of a convolution: places reach outputs `stride` apart, outputs are `lane` lanes apart, and elements of the
/// kernel `weight` weights.
fn line(
    places: usize,
    (kernel, stride, pad): (usize, usize, usize),
    (lane, weight): (usize, usize),
) -> Axis {
    let outputs = (places + 2 * pad - kernel) / stride + 1;
    Axis::new((0..places).map(|place| {
        let reached = (0..outputs).filter_map(|output| {
            let k = (place + pad).checked_sub(output * stride)?;
            (k < kernel).then(|| tap(output * lane, k * weight))
        });
        reached.collect()
    }))
}

/// Every place reaches every output.
fn all(places: usize, outputs: usize, lane: usize, weight: usize) -> Axis {
    Axis::new((0..places).map(|place| {
        let taps =
            (0..outputs).map(|output| tap(output * lane, (place * outputs + output) * weight));
        taps.collect()
    }))
}

/// A convolution of `size` x `size` with as many channels in and out.
fn convolution(channels: (usize, usize), size: usize, kernel: usize, stride: usize) -> Vec<Axis> {
    let pad = kernel / 2;
    let out = (size + 2 * pad - kernel) / stride + 1;
    let shape = (kernel, stride, pad);
    vec![
        all(channels.0, channels.1, out * out, kernel * kernel),
        line(size, shape, (out, kernel)),
        line(size, shape, (1, 1)),
    ]
}

fn random_axis(numbers: &mut Numbers, places: usize, lane: usize) -> Axis {
    let reach = 1 + numbers.below(40);
    match numbers.below(7) {
        0 => line(places, (1 + numbers.below(places.min(9)), 1, 0), (lane, 1)),
        1 => line(
            places,
            (1 + numbers.below(places), 1 + numbers.below(3), 1),
            (lane, 7),
        ),
        2 => all(places, reach, lane, 1),
        // Rows that end earlier and earlier, backwards.
        3 => Axis::new((0..places).map(|p| {
            let taps = (0..reach).rev().filter(|k| k % places >= p);
            let taps: Vec<Tap> = taps.map(|k| tap(k * lane, (k + p) % 50)).collect();
            taps.into_iter().take(p + 1).collect()
        })),
        // One lane again and again.
        4 => Axis::new((0..places).map(|p| (0..=p % 5).map(|k| tap(p * lane, k)).collect())),
        5 => Axis::new((0..places).map(|p| vec![tap(p / 2 * lane, p)])),
        _ => Axis::new((0..places).map(|_| {
            let count = numbers.below(5);
            let tap = |_| tap(numbers.below(reach) * lane, numbers.below(30));
            (0..count).map(tap).collect()
        })),
    }
}

fn try_all(name: &str, program: &Program, calls: usize, numbers: &mut Numbers) {
    let proc = Proc::new(1);
    let firmware = compile(
        program,
        &[proc],
        &Target::spinnaker2(),
        Pacing::whole(program),
    );
    let firmware = firmware.unwrap_or_else(|e| panic!("{name}: {e}"));
    let handler = &program.processes[proc].handlers[0];
    for _ in 0..calls {
        let mut bench = Bench::new(program, proc, &firmware);
        try_handler(name, &mut bench, 0, handler, numbers);
    }
}

#[test]
fn convolutions_agree() {
    let mut numbers = Numbers::new(3);
    for (channels, size, kernel, stride) in [
        ((2, 4), 9, 3, 1),
        ((1, 3), 12, 5, 1),
        ((2, 2), 11, 3, 2),
        ((1, 1), 8, 7, 3),
        ((1, 2), 40, 40, 1),
    ] {
        for kind in KINDS {
            let axes = convolution(channels, size, kernel, stride);
            let program = program(axes, kind, &mut numbers);
            let name = format!("{kernel}x{kernel} {kind:?}");
            try_all(&name, &program, 40, &mut numbers);
        }
    }
}

#[test]
fn random_axes_agree() {
    let mut numbers = Numbers::new(4);
    for number in 0..300 {
        let kind = KINDS[numbers.below(KINDS.len())];
        let mut axes = Vec::new();
        for _ in 0..=numbers.below(5) {
            let lane = [1, 1, 2, 3, 40, 300][numbers.below(6)];
            let places = 1 + numbers.below(5);
            let axis = random_axis(&mut numbers, places, lane);
            let rest: usize = axes.iter().map(Axis::most).product();
            // So that a call ends in time.
            if rest * axis.most() < 4000 {
                axes.push(axis);
            }
        }
        if axes.is_empty() {
            continue;
        }
        let largest = Connection::Taps(axes.clone()).largest();
        if largest.is_some_and(|(lane, _)| lane >= 5000) {
            continue;
        }
        let program = program(axes, kind, &mut numbers);
        try_all(&format!("{number} {kind:?}"), &program, 12, &mut numbers);
    }
}

//! Events that run synapse by synapse.
//!
//! Nothing is kept for each source: the taps of the outer axes are combined when a source has an event,
//! and the innermost axis, which is what convolutions and dense blocks have their neighbours on, is kept
//! as runs of consecutive lanes. So a kernel stays as small as it is, and the memory beside it is that of
//! the axes: 8 bytes a tap, 24 a run, and for each replica 8 bytes times the most outer taps of a source.
//!
//! The lanes of a run differ, so it may go through them in any order; runs are taken one after the other,
//! and a lane that several synapses lead to sees them in their order.

use nirc_ir::connection::{Axis, Connection, Tap};

use crate::code::{Addr, At, Offsets, Scalar, ScalarOp, VectorCode};
use crate::frame::{Events, Frame, PAYLOAD, SENT};
use crate::scalar;

/// A handler over the synapses of a connection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SynapseCode {
    /// What is computed for all lanes before the events of a bin.
    pub(crate) before: Option<VectorCode>,
    /// All axes but the last.
    outer: Box<[Axis]>,
    inner: Axis,
    body: Body,
    /// What the fold that is sent starts from, if one is.
    identity: Option<f32>,
}

#[derive(Clone, Debug, PartialEq)]
enum Body {
    /// Adding weights to an array, which is what nearly all events do.
    Sum(Sum, Runs),
    /// Folding products of an array and weights, which is what nearly all messages do.
    Dot(Dot),
    /// Taking an array off weights, which is what nearly all gradients do.
    Difference(Difference),
    /// Anything else, on one lane at a time.
    Steps(Box<[Scalar]>),
}

/// `x = x + weight * factor`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sum {
    /// Where the array begins in the arena.
    x: usize,
    /// Where the tensor begins in the weights.
    weights: usize,
    /// Element of the arena; without one it is 1, which leaves a weight as it is.
    factor: Option<usize>,
    /// Whether the factor's sign is flipped: `x - y` is `x + (-y)`.
    minus: bool,
    /// Whether product and sum are rounded together.
    fused: bool,
}

/// `sent = fma(x, weight, sent)`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Dot {
    /// Where the array begins in the arena.
    x: usize,
    /// Where the tensor begins in the weights.
    weights: usize,
}

/// `weight = weight - x * factor`, of weights in the arena.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Difference {
    x: usize,
    weights: usize,
    /// Element of the arena; without one it is 1, which leaves `x` as it is.
    factor: Option<usize>,
}

/// The taps of each place of an axis as runs.
#[derive(Clone, Debug, Default, PartialEq)]
struct Runs {
    starts: Vec<usize>,
    runs: Vec<Run>,
}

/// Synapses of consecutive lanes, from the lowest up, whose weights are evenly spaced.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    lane: usize,
    weight: u32,
    len: u32,
    step: i64,
}

impl SynapseCode {
    /// The code of a handler whose body is `steps`, and which sends a fold that starts from `identity`; `None`
    /// where the connection names no synapses.
    pub(crate) fn new(
        connection: &Connection,
        before: Option<VectorCode>,
        steps: Box<[Scalar]>,
        identity: Option<f32>,
    ) -> Option<Self> {
        let Connection::Taps(axes) = connection else {
            return None;
        };
        let (inner, outer) = axes.split_last()?;
        let sum = Sum::of(&steps).map(|sum| Body::Sum(sum, Runs::new(inner)));
        let body = sum
            .or_else(|| Dot::of(&steps).map(Body::Dot))
            .or_else(|| Difference::of(&steps).map(Body::Difference))
            .unwrap_or(Body::Steps(steps));
        Some(Self {
            before,
            outer: outer.into(),
            inner: inner.clone(),
            body,
            identity,
        })
    }

    /// Leaves the sums of a source's taps on the outer axes in `taps`, in order, and returns its place on
    /// the inner one.
    fn expand(&self, source: u32, taps: &mut Vec<Tap>) -> usize {
        let source = source as usize;
        let places = self.inner.len();
        let (place, mut rest) = (source % places, source / places);
        taps.clear();
        taps.push(Tap { lane: 0, weight: 0 });
        // The last axis runs fastest: what is there already is repeated for each tap of the one before.
        for axis in self.outer.iter().rev() {
            let here = axis.taps(rest % axis.len());
            rest /= axis.len();
            let count = taps.len();
            for tap in here {
                for k in 0..count {
                    taps.push(plus(taps[k], *tap));
                }
            }
            taps.drain(..count);
        }
        place
    }
}

fn plus(a: Tap, b: Tap) -> Tap {
    Tap {
        lane: a.lane + b.lane,
        weight: a.weight + b.weight,
    }
}

impl Sum {
    /// What these steps are, if they are a sum.
    fn of(steps: &[Scalar]) -> Option<Self> {
        let (load, rest) = steps.split_first()?;
        let (weight, loaded) = (load.a, load.to);
        if load.op != ScalarOp::Weight || weight.at != At::Source || loaded.at != At::Fixed {
            return None;
        }
        let (scaled, last) = match rest {
            [last] => (None, last),
            [scale, last] if scale.op == ScalarOp::Mul && scale.to.at == At::Fixed => {
                (Some(scale), last)
            }
            _ => return None,
        };
        let fused = last.op == ScalarOp::Fma;
        let (x, factor) = match (last.op, scaled) {
            (ScalarOp::Fma, None) => (last.c, Some(other(last, loaded)?)),
            (ScalarOp::Add | ScalarOp::Sub, None) => (other(last, loaded)?, None),
            (ScalarOp::Add | ScalarOp::Sub, Some(scale)) => {
                (other(last, scale.to)?, Some(other(scale, loaded)?))
            }
            _ => return None,
        };
        // A difference has the array on the left.
        let minus = last.op == ScalarOp::Sub;
        let fits = x == last.to && x.at == At::Lane && !(minus && last.a != x);
        let uniform = factor.is_none_or(|f| f.at == At::Fixed);
        (fits && uniform).then(|| Self {
            x: x.base as usize,
            weights: weight.base as usize,
            factor: factor.map(|f| f.base as usize),
            minus,
            fused,
        })
    }
}

/// The other one of the first two operands.
fn other(step: &Scalar, known: Addr) -> Option<Addr> {
    match (step.a == known, step.b == known) {
        (true, false) => Some(step.b),
        (false, true) => Some(step.a),
        _ => None,
    }
}

impl Dot {
    /// What these steps are, if they are a step of a dot product.
    fn of(steps: &[Scalar]) -> Option<Self> {
        let [load, last] = steps else { return None };
        let sent = Addr::fixed(SENT);
        let loads = load.op == ScalarOp::Weight && load.a.at == At::Source;
        let folds = last.op == ScalarOp::Fma && last.c == sent && last.to == sent;
        let x = other(last, load.to).filter(|x| x.at == At::Lane)?;
        (loads && folds && load.to.at == At::Fixed).then_some(Self {
            x: x.base as usize,
            weights: load.a.base as usize,
        })
    }
}

impl Difference {
    /// What these steps are, if they are a difference.
    fn of(steps: &[Scalar]) -> Option<Self> {
        let (last, before) = steps.split_last()?;
        let (x, factor) = match before {
            [] => (last.b, None),
            [scale] if scale.op == ScalarOp::Mul && scale.to == last.b => {
                let x = [scale.a, scale.b].into_iter().find(|x| x.at == At::Lane)?;
                (x, Some(other(scale, x)?))
            }
            _ => return None,
        };
        let subtracts = last.op == ScalarOp::Sub && last.a == last.to && last.to.at == At::Source;
        let uniform = factor.is_none_or(|f| f.at == At::Fixed);
        (subtracts && uniform && x.at == At::Lane).then_some(Self {
            x: x.base as usize,
            weights: last.to.base as usize,
            factor: factor.map(|f| f.base as usize),
        })
    }
}

impl Runs {
    fn new(axis: &Axis) -> Self {
        let mut all = Self {
            starts: vec![0],
            runs: Vec::new(),
        };
        for place in 0..axis.len() {
            let mut rest = axis.taps(place);
            while let Some((run, len)) = Run::first(rest) {
                all.runs.push(run);
                rest = &rest[len..];
            }
            all.starts.push(all.runs.len());
        }
        all
    }

    #[inline(always)]
    fn of(&self, place: usize) -> &[Run] {
        &self.runs[self.starts[place]..self.starts[place + 1]]
    }
}

impl Run {
    /// The longest run that these taps begin with, and how many of them it is.
    fn first(taps: &[Tap]) -> Option<(Self, usize)> {
        let first = taps.first()?;
        let steps = |pair: &[Tap]| {
            let step = |of: fn(&Tap) -> u32| i64::from(of(&pair[1])) - i64::from(of(&pair[0]));
            (step(|t| t.lane), step(|t| t.weight))
        };
        let (up, step) = match taps.get(..2).map(steps) {
            Some((up @ (1 | -1), step)) => (up, step),
            _ => (0, 0),
        };
        let alike = taps.windows(2).take_while(|p| steps(p) == (up, step));
        let len = if up == 0 { 1 } else { 1 + alike.count() };
        let lowest = if up < 0 { &taps[len - 1] } else { first };
        let run = Self {
            lane: lowest.lane as usize,
            weight: lowest.weight,
            len: u32::try_from(len).unwrap_or(u32::MAX),
            step: step * up,
        };
        Some((run, len))
    }
}

/// Runs `code` for some events of a bin, in order.
#[inline(always)]
pub(crate) fn run(code: &SynapseCode, events: &mut Events<'_>, frame: &mut Frame<'_>) {
    let mut taps = std::mem::take(&mut frame.scratch.taps);
    for (k, source) in events.sources.iter().enumerate() {
        if let Some(value) = events.values.get(k) {
            frame.mem[PAYLOAD as usize] = *value;
        }
        if let Some(identity) = code.identity {
            frame.mem[SENT as usize] = identity;
        }
        let place = code.expand(*source, &mut taps);
        match &code.body {
            Body::Sum(sum, runs) => add(*sum, &taps, runs.of(place), frame),
            Body::Dot(dot) => fold(*dot, &taps, code.inner.taps(place), frame),
            Body::Difference(difference) => {
                subtract(*difference, &taps, code.inner.taps(place), frame);
            }
            Body::Steps(steps) => each(&taps, code.inner.taps(place), |synapse| {
                scalar::run(steps, &offsets(synapse), frame);
            }),
        }
        if let Some(sent) = events.sent.get_mut(k * events.step) {
            *sent = frame.mem[SENT as usize];
        }
    }
    frame.scratch.taps = taps;
}

#[inline(always)]
fn offsets(synapse: Tap) -> Offsets {
    let mut offsets = Offsets::default();
    offsets[At::Lane as usize] = synapse.lane;
    offsets[At::Source as usize] = synapse.weight;
    offsets
}

/// Calls `f` with each synapse in order.
#[inline(always)]
fn each(outer: &[Tap], inner: &[Tap], mut f: impl FnMut(Tap)) {
    for outer in outer {
        for tap in inner {
            f(plus(*outer, *tap));
        }
    }
}

#[inline(always)]
fn fold(dot: Dot, outer: &[Tap], inner: &[Tap], frame: &mut Frame<'_>) {
    let x = &frame.mem[dot.x..][..frame.shape.stride];
    let weights = &frame.weights[dot.weights..];
    let mut sum = frame.mem[SENT as usize];
    each(outer, inner, |synapse| {
        sum = x[synapse.lane as usize].mul_add(weights[synapse.weight as usize], sum);
    });
    frame.mem[SENT as usize] = sum;
}

#[inline(always)]
fn subtract(difference: Difference, outer: &[Tap], inner: &[Tap], frame: &mut Frame<'_>) {
    let factor = difference.factor.map_or(1.0, |at| frame.mem[at]);
    each(outer, inner, |synapse| {
        let step = frame.mem[difference.x + synapse.lane as usize] * factor;
        frame.mem[difference.weights + synapse.weight as usize] -= step;
    });
}

#[inline(always)]
fn add(sum: Sum, taps: &[Tap], runs: &[Run], frame: &mut Frame<'_>) {
    let factor = sum.factor.map_or(1.0, |at| frame.mem[at]);
    let factor = if sum.minus { -factor } else { factor };
    let x = &mut frame.mem[sum.x..][..frame.shape.stride];
    let weights = &frame.weights[sum.weights..];
    if sum.fused {
        over(taps, runs, x, weights, |x, w| w.mul_add(factor, x));
    } else {
        over(taps, runs, x, weights, |x, w| x + w * factor);
    }
}

/// `x = f(x, weight)` for the lanes of some runs, repeated for each of the outer taps.
#[inline(always)]
fn over(
    taps: &[Tap],
    runs: &[Run],
    x: &mut [f32],
    weights: &[f32],
    f: impl Fn(f32, f32) -> f32 + Copy,
) {
    for tap in taps {
        for run in runs {
            let len = run.len as usize;
            let first = (tap.weight + run.weight) as usize;
            let x = &mut x[tap.lane as usize + run.lane..][..len];
            match run.step {
                1 => apply(x, weights[first..][..len].iter(), f),
                -1 => apply(x, weights[first + 1 - len..][..len].iter().rev(), f),
                step => {
                    // The verifier has seen all weights that a synapse names; none is below 0.
                    let at = |k: i64| usize::try_from(i64::from(run.weight) + k * step);
                    for (k, x) in (0..).zip(x) {
                        let k = tap.weight as usize + at(k).unwrap_or_default();
                        *x = f(*x, weights[k]);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn apply<'w>(
    x: &mut [f32],
    weights: impl Iterator<Item = &'w f32>,
    f: impl Fn(f32, f32) -> f32 + Copy,
) {
    for (x, weight) in x.iter_mut().zip(weights) {
        *x = f(*x, *weight);
    }
}

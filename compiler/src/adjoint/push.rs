//! How often a neuron spikes, as something that training can change.
//!
//! No spike comes or goes with a small change of a weight, so that a number of spikes has no gradient. What
//! pushes it all the same is a lift of the voltage where that decides: with `s = dL/dcount`, the adjoint of the
//! voltage moves by `-s / (tau B)` at each own spike (as in Nowotny, Turner and Knight, arXiv 2212.01232), and
//! for a neuron that has not spiked at all in the tick in which its voltage was highest. It is no derivative of
//! anything, and no finite difference agrees with it. With exact event times `lower::event` pushes by
//! the same costs.

use nirc_ir::event::{
    Array, ArrayKind, Cmp, Coef, Coefficient, CoefficientValue, HandlerKind, Op, Process, Stmt,
    Value,
};
use nirc_ir::network::Parameter;

use super::emit::declare;
use super::flow::{Flow, Spike};
use crate::lower::BodyBuilder;

/// What the number of spikes of a neuron costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Push {
    /// `strength / 2` times the square of what is missing to `least` or beyond `most`.
    Bounds {
        least: f64,
        most: f64,
        strength: f64,
    },
    /// `weight` times the square of the distance from `hit` of the label, from `miss` of others.
    Count { hit: f64, miss: f64, weight: f64 },
    /// `strength` for each neuron that is silent; for the label alone, if so.
    Silent { strength: f64, label: bool },
}

impl Push {
    /// Whether it pushes silent neurons, too.
    pub(crate) fn wakes(&self) -> bool {
        match *self {
            Self::Bounds { least, .. } => least > 0.0,
            Self::Count { hit, miss, .. } => hit > 0.0 || miss > 0.0,
            Self::Silent { .. } => true,
        }
    }
}

/// Adds them to a process that has its adjoint, for batches of so many samples.
pub(super) fn add(
    process: &mut Process,
    flow: &Flow,
    pushes: &[Push],
    batch: usize,
    first_tick: u32,
) {
    let Some(spike) = flow.spike.as_ref().filter(|_| !pushes.is_empty()) else {
        return;
    };
    let mut adder = Adder {
        count: declare(process, "count", ArrayKind::State { init: 0.0 }),
        highest: declare(process, "highest", ArrayKind::State { init: f32::MIN }),
        peak: declare(process, "peak", ArrayKind::State { init: 0.0 }),
        label: label(process, pushes),
        process,
        pushes,
    };
    adder.follow(spike, first_tick);
    let tau = &flow.states.iter().find(|s| s.array == spike.state);
    let lift = tau.map(|s| s.tau.map(|tau| -1.0 / (tau * batch as f64)));
    let lift = lift.unwrap_or(Parameter::Uniform(0.0));
    let lift = adder.costs().coef("lift", "-1 / (tau B)", &lift);
    let name = format!("lambda_{}", adder.process.arrays[spike.state].name);
    let Some(lambda) = adder.process.array(&name) else {
        return;
    };
    adder.at_spikes(lambda, lift);
    adder.at_the_peak(lambda, lift);
}

/// The label, where pushes depend on it.
pub(crate) fn label(process: &mut Process, pushes: &[Push]) -> Option<Array> {
    let labelled = |push: &Push| match push {
        Push::Count { .. } => true,
        Push::Silent { label, .. } => *label,
        Push::Bounds { .. } => false,
    };
    let labelled = pushes.iter().any(labelled);
    labelled.then(|| declare(process, "label", ArrayKind::Label))
}

/// Writes what numbers of spikes cost into bodies of a process.
pub(crate) struct Costs<'a> {
    pub(crate) process: &'a mut Process,
    pub(crate) pushes: &'a [Push],
    pub(crate) label: Option<Array>,
}

struct Adder<'a> {
    process: &'a mut Process,
    pushes: &'a [Push],
    /// Own spikes.
    count: Array,
    /// The highest voltage so far, and the step of the way back that undoes its tick.
    highest: Array,
    peak: Array,
    label: Option<Array>,
}

impl Costs<'_> {
    fn coef(&mut self, name: &str, formula: &str, value: &Parameter) -> Coef {
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: formula.to_owned(),
            value: CoefficientValue::from(value),
        })
    }

    fn number(&mut self, b: &mut BodyBuilder, name: &str, formula: &str, value: f64) -> Value {
        let known = self.process.coefs.iter().find(|(_, c)| c.name == name);
        let known = known.map(|(id, _)| id);
        let coef = known.unwrap_or_else(|| self.coef(name, formula, &Parameter::Uniform(value)));
        b.coef(coef)
    }

    /// `dL/dcount` at this count; nothing where it is 0 whatever the count.
    pub(crate) fn slope(&mut self, b: &mut BodyBuilder, count: Value) -> Option<Value> {
        let mut sum: Option<Value> = None;
        for push in self.pushes {
            let part = match *push {
                Push::Bounds {
                    least,
                    most,
                    strength,
                } => self.beyond(b, count, (least, most), strength),
                Push::Count { hit, miss, weight } => {
                    let target = self.target(b, hit, miss);
                    let over = b.sub(count, target);
                    let rate = self.number(b, "rate", "slope of the square", 2.0 * weight);
                    b.mul(over, rate)
                }
                Push::Silent { .. } => continue,
            };
            sum = Some(sum.map_or(part, |sum| b.add(sum, part)));
        }
        sum
    }

    /// `strength` times what is beyond `most`, or, negative, missing to `least`.
    fn beyond(
        &mut self,
        b: &mut BodyBuilder,
        count: Value,
        (least, most): (f64, f64),
        strength: f64,
    ) -> Value {
        let least = self.number(b, "least", "fewest spikes", least);
        let most = self.number(b, "most", "most spikes", most);
        let (missing, beyond) = (b.sub(count, least), b.sub(count, most));
        let (few, many) = (b.cmp(Cmp::Lt, count, least), b.cmp(Cmp::Gt, count, most));
        let zero = b.constant(0.0);
        let outside = b.select(many, beyond, zero);
        let outside = b.select(few, missing, outside);
        let strength = self.number(b, "strength", "of the bounds", strength);
        b.mul(outside, strength)
    }

    fn target(&mut self, b: &mut BodyBuilder, hit: f64, miss: f64) -> Value {
        let is_label = self.is_label(b);
        let hit = self.number(b, "hit", "spikes of the label", hit);
        let miss = self.number(b, "miss", "spikes of the others", miss);
        match is_label {
            Some(is_label) => b.select(is_label, hit, miss),
            None => miss,
        }
    }

    fn is_label(&self, b: &mut BodyBuilder) -> Option<Value> {
        let (lane, label) = (b.op(Op::Lane), b.load(self.label?));
        Some(b.cmp(Cmp::Eq, lane, label))
    }

    /// `dL/dcount` of a neuron that is silent.
    pub(crate) fn of_silence(&mut self, b: &mut BodyBuilder, zero: Value) -> Option<Value> {
        let mut sum = self.slope(b, zero);
        for push in self.pushes {
            let Push::Silent { strength, label } = *push else {
                continue;
            };
            let name = if label { "revive" } else { "wake" };
            let strength = self.number(b, name, "slope of a silent neuron", -strength);
            let part = match self.is_label(b).filter(|_| label) {
                Some(is_label) => b.select(is_label, strength, zero),
                None => strength,
            };
            sum = Some(sum.map_or(part, |sum| b.add(sum, part)));
        }
        sum
    }
}

impl Adder<'_> {
    fn costs(&mut self) -> Costs<'_> {
        Costs {
            process: self.process,
            pushes: self.pushes,
            label: self.label,
        }
    }

    fn body(&mut self, kind: HandlerKind, change: impl FnOnce(&mut Self, &mut BodyBuilder)) {
        let at = self.process.handlers.iter().position(|h| h.kind == kind);
        let Some(at) = at else { return };
        let body = std::mem::take(&mut self.process.handlers[at].body);
        let mut b = BodyBuilder::extend(body);
        change(self, &mut b);
        self.process.handlers[at].body = b.finish();
    }

    /// Forward: counts spikes, and notes where the voltage is highest.
    fn follow(&mut self, spike: &Spike, first_tick: u32) {
        let fires = self.process.handler(HandlerKind::Tick).and_then(|tick| {
            tick.body.stmts.iter().find_map(|stmt| match stmt {
                Stmt::Spike { cond, .. } => Some(*cond),
                _ => None,
            })
        });
        let Some(fires) = fires else { return };
        let (count, highest, peak) = (self.count, self.highest, self.peak);
        self.body(HandlerKind::Tick, |_, b| {
            let (old, one) = (b.load(count), b.constant(1.0));
            let more = b.add(old, one);
            let new = b.select(fires, more, old);
            b.store(count, new);
            let most = b.load(highest);
            let higher = b.cmp(Cmp::Gt, spike.before, most);
            let new = b.select(higher, spike.before, most);
            b.store(highest, new);
            let tick = b.tick();
            let first = b.constant(first_tick as f32);
            let step = b.sub(tick, first);
            let before = b.load(peak);
            let step = b.select(higher, step, before);
            b.store(peak, step);
        });
    }

    /// `lambda = lambda + lift s`, behind the jump.
    fn at_spikes(&mut self, lambda: Array, lift: Coef) {
        let count = self.count;
        self.body(HandlerKind::Spike, |adder, b| {
            let count = b.load(count);
            let Some(slope) = adder.costs().slope(b, count) else {
                return;
            };
            let lift = b.coef(lift);
            let push = b.mul(slope, lift);
            move_stored(b, lambda, push);
        });
    }

    /// The same in the step that undoes the peak's tick, where there was no spike.
    fn at_the_peak(&mut self, lambda: Array, lift: Coef) {
        let (count, peak) = (self.count, self.peak);
        self.body(HandlerKind::AdjointTick, |adder, b| {
            let (count, zero) = (b.load(count), b.constant(0.0));
            let Some(slope) = adder.costs().of_silence(b, zero) else {
                return;
            };
            let lift = b.coef(lift);
            let push = b.mul(slope, lift);
            let silent = b.cmp(Cmp::Eq, count, zero);
            let push = b.select(silent, push, zero);
            let (step, peak) = (b.tick(), b.load(peak));
            let here = b.cmp(Cmp::Eq, step, peak);
            let push = b.select(here, push, zero);
            move_stored(b, lambda, push);
        });
    }
}

/// What the body stores into `array` at last becomes so much more.
fn move_stored(b: &mut BodyBuilder, array: Array, by: Value) {
    let mut body = std::mem::take(b).finish();
    let last = body
        .stmts
        .iter()
        .rposition(|stmt| matches!(stmt, Stmt::Store(to, _) if *to == array));
    let stored = last.map(|at| body.stmts.remove(at));
    *b = BodyBuilder::extend(body);
    if let Some(Stmt::Store(_, value)) = stored {
        let moved = b.add(value, by);
        b.store(array, moved);
    }
}

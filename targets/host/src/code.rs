//! The code that handlers are compiled to.
//!
//! There are two machines over one memory. The scalar machine runs a list of [`Scalar`] steps for one
//! lane; the vector machine runs a list of [`Vector`] steps, each over all lanes before the next. Both
//! name operands by [`Addr`], so that a scalar step can look into a lane of what a vector step left.

use nirc_ir::event::{Curve, Unary};

use crate::frame::PAYLOAD;
use crate::synapses::SynapseCode;

/// How an address moves with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// It does not: scalars, constants.
    Fixed,
    /// With the lane.
    Lane,
    /// With the lane and the row of the event's source; in code for synapses, where no lane has such a row,
    /// with the weight of the synapse.
    Source,
    /// With the lane and the row of the current bin.
    Tick,
}

/// A place in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addr {
    /// Offset in elements of lane 0, row 0.
    pub(crate) base: u32,
    /// What is added.
    pub(crate) at: At,
}

/// What each [`At`] adds; indexed by it.
pub(crate) type Offsets = [u32; 4];

impl Addr {
    /// A scalar.
    pub(crate) fn fixed(base: u32) -> Self {
        Self {
            base,
            at: At::Fixed,
        }
    }

    /// An array over lanes.
    pub(crate) fn lanes(base: u32) -> Self {
        Self { base, at: At::Lane }
    }

    /// The element it means now.
    #[inline(always)]
    pub(crate) fn index(self, offsets: &Offsets) -> usize {
        (self.base + offsets[self.at as usize]) as usize
    }
}

/// A step of the scalar machine: `to = op(a, b, c)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scalar {
    pub(crate) op: ScalarOp,
    pub(crate) to: Addr,
    pub(crate) a: Addr,
    pub(crate) b: Addr,
    pub(crate) c: Addr,
}

/// What a scalar step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScalarOp {
    /// `a`.
    Copy,
    /// `a` of the read-only memory.
    Weight,
    Neg,
    Sqrt,
    Exp,
    Ln,
    Add,
    Sub,
    Mul,
    Div,
    /// `a * b + c`, rounded once.
    Fma,
    /// 1 or 0.
    Gt,
    Ge,
    Lt,
    Eq,
    /// `a ? b : c`.
    Select,
    /// A root of which `a` is the first of the operands, as [`Root`] has them.
    Root(Kind),
}

/// What a root is of: a curve whose exponent or rate, if it has one, is an operand as the others are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Cubic,
    Quartic,
    Power,
    Equal,
}

impl From<Curve> for Kind {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::Cubic => Self::Cubic,
            Curve::Quartic => Self::Quartic,
            Curve::Power(_) => Self::Power,
            Curve::Equal(_) => Self::Equal,
        }
    }
}

/// A root and its operands: the two coefficients, the threshold, where to begin, and the exponent or rate (where
/// there is none, anything).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Root {
    pub(crate) kind: Kind,
    pub(crate) to: Addr,
    pub(crate) operands: [Src; 5],
}

/// An operand of a vector step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Src {
    /// One element a lane.
    Lanes(Addr),
    /// The same for all lanes.
    Uniform(Addr),
}

/// A lanes operand times a uniform factor, rounded; `minus` flips the sign of the factor.
///
/// A factor of 1 leaves a value as it is to the bit, and `x - y` is `x + (-y)`; so one kernel adds and
/// subtracts anything that is scaled or not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Term {
    pub(crate) lanes: Addr,
    pub(crate) factor: Addr,
    pub(crate) minus: bool,
}

/// Comparisons with the lanes operand on the left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Gt,
    Ge,
    Lt,
    Le,
    Eq,
}

/// An elementwise operation with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dyadic {
    Add,
    Sub,
    Mul,
    Div,
}

/// A condition by lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cond {
    /// A stored boolean is not 0.
    Stored(Addr),
    /// A comparison, made on the spot.
    Compare(Compare, Addr, Src),
}

/// A fold over the lanes in ascending order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Folding {
    /// Sum.
    Add(Addr),
    /// Maximum.
    Max(Addr),
    /// Dot product.
    Fma(Addr, Addr),
    /// Dot product with read-only memory.
    FmaWeight(Addr, Addr),
}

/// A step of the vector machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Vector {
    /// A step on uniform values.
    Scalar(Scalar),
    /// `to = a`.
    Copy { to: Addr, a: Src },
    /// `to = weight`.
    Weight { to: Addr, weight: Addr },
    /// `to = a + weight`.
    AddWeight { to: Addr, a: Addr, weight: Addr },
    /// `to = op a`.
    Unary { op: Unary, to: Addr, a: Addr },
    /// `to = a op b`.
    Dyadic {
        op: Dyadic,
        to: Addr,
        a: Src,
        b: Src,
    },
    /// `to = a * b + c`, rounded once.
    Fma { to: Addr, a: Src, b: Src, c: Src },
    /// `to = a + b`, after both products are rounded.
    Affine { to: Addr, a: Term, b: Term },
    /// `to = a + (minus ? -b : b)`.
    Shift {
        to: Addr,
        a: Term,
        b: Addr,
        minus: bool,
    },
    /// `to = cond`, as 1 or 0.
    Condition { to: Addr, cond: Cond },
    /// `to = cond ? a : b`.
    Select {
        to: Addr,
        cond: Cond,
        a: Src,
        b: Src,
    },
    /// `to` = a root.
    Root(Box<Root>),
    /// Nothing more happens if `cond` holds on all lanes.
    Leave { cond: Cond },
    /// Every lane where `fired` is not 0 spikes, after `fields` ran for it.
    Spike { fired: Addr, fields: Box<[Scalar]> },
    /// `to` = the fold, a scalar.
    Fold { to: Addr, fold: Folding },
}

/// A compiled handler.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Routine {
    /// For one lane, or for scalars.
    Lane(Box<[Scalar]>),
    /// Over all lanes, step by step.
    Vector(VectorCode),
    /// For each synapse of a source.
    Synapses(Box<SynapseCode>),
}

/// Code of the vector machine for a series of events of one bin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VectorCode {
    /// What is the same for all of them.
    pub(crate) once: Box<[Vector]>,
    /// What is not.
    pub(crate) each: Box<[Vector]>,
}

impl VectorCode {
    /// Splits off the steps at the start that give the same for every event: they look at nothing of
    /// the event, at nothing that the others write, and at nothing that an earlier event left.
    pub(crate) fn new(mut steps: Vec<Vector>) -> Self {
        let of_event = |step: &Vector| {
            let (to, from) = step.operands();
            let mut named = to.iter().chain(&from);
            named.any(|addr| addr.at == At::Source || *addr == Addr::fixed(PAYLOAD))
        };
        let first = steps.iter().position(of_event).unwrap_or(steps.len());
        let writes = |steps: &[Vector], addr: &Addr| {
            let mut written = steps.iter().filter_map(|s| s.operands().0);
            written.any(|to| to.base == addr.base)
        };
        let fixed = |count: usize| {
            let (once, each) = steps.split_at(count);
            once.iter().enumerate().all(|(k, step)| {
                let (to, from) = step.operands();
                let kept = to.iter().chain(&from).all(|addr| !writes(each, addr));
                // What a step reads of a later one, or of itself, would be of the last event.
                kept && from.iter().all(|addr| !writes(&once[k..], addr))
            })
        };
        let count = (0..=first).rev().find(|count| fixed(*count)).unwrap_or(0);
        let each = steps.split_off(count);
        Self {
            once: steps.into(),
            each: each.into(),
        }
    }
}

impl Src {
    fn addr(self) -> Addr {
        match self {
            Self::Lanes(addr) | Self::Uniform(addr) => addr,
        }
    }
}

impl Cond {
    fn operands(self) -> Vec<Addr> {
        match self {
            Self::Stored(a) => vec![a],
            Self::Compare(_, a, b) => vec![a, b.addr()],
        }
    }
}

impl Vector {
    /// What it writes and what it reads, at least.
    fn operands(&self) -> (Option<Addr>, Vec<Addr>) {
        match *self {
            Self::Scalar(step) => (Some(step.to), vec![step.a, step.b, step.c]),
            Self::Copy { to, a } => (Some(to), vec![a.addr()]),
            // Read-only memory has offsets of its own; only how they move matters.
            Self::Weight { to, weight } => (Some(to), moved(weight)),
            Self::AddWeight { to, a, weight } => (Some(to), [vec![a], moved(weight)].concat()),
            Self::Unary { to, a, .. } => (Some(to), vec![a]),
            Self::Dyadic { to, a, b, .. } => (Some(to), vec![a.addr(), b.addr()]),
            Self::Fma { to, a, b, c } => (Some(to), vec![a.addr(), b.addr(), c.addr()]),
            Self::Affine { to, a, b } => (Some(to), vec![a.lanes, a.factor, b.lanes, b.factor]),
            Self::Shift { to, a, b, .. } => (Some(to), vec![a.lanes, a.factor, b]),
            Self::Condition { to, cond } => (Some(to), cond.operands()),
            Self::Select { to, cond, a, b } => {
                let arms = vec![a.addr(), b.addr()];
                (Some(to), [cond.operands(), arms].concat())
            }
            Self::Root(ref root) => {
                let from = root.operands.map(Src::addr);
                (Some(root.to), from.to_vec())
            }
            Self::Leave { cond } => (None, cond.operands()),
            Self::Spike { fired, ref fields } => {
                let fields = fields.iter().flat_map(|s| [s.a, s.b, s.c]);
                (None, std::iter::once(fired).chain(fields).collect())
            }
            Self::Fold { to, fold } => {
                let from = match fold {
                    Folding::Add(x) | Folding::Max(x) => vec![x],
                    Folding::Fma(x, y) => vec![x, y],
                    Folding::FmaWeight(x, weight) => [vec![x], moved(weight)].concat(),
                };
                (Some(to), from)
            }
        }
    }
}

fn moved(weight: Addr) -> Vec<Addr> {
    vec![Addr {
        base: u32::MAX,
        ..weight
    }]
}

//! The vector machine: one step over all lanes, then the next.
//!
//! Each kernel reads a chunk of every operand before it writes the chunk of its result, so a result
//! may take an operand's place. Everything here is inlined into the functions of [`crate::isa`], one
//! for each set of instructions; the arithmetic is plain Rust and the same in all of them.

use std::cell::Cell;

use nirc_ir::event::Unary;
use nirc_ir::math;

use crate::arena::LINE;
use crate::code::{
    Addr, Compare, Cond, Dyadic, Folding, Offsets, Root, Scalar, Src, Term, Vector, VectorCode,
};
use crate::frame::{Event, Events, Frame, SENT};
use crate::newton;
use crate::scalar;
use crate::space::Shape;

/// Runs `code` for some events of a bin, in order.
#[inline(always)]
pub(crate) fn run<const W: usize>(
    code: &VectorCode,
    events: &mut Events<'_>,
    frame: &mut Frame<'_>,
) {
    let mut steps = &code.once;
    for next in 0..=events.sources.len() {
        // The first time for what all events share, then once for each of them.
        let source = events.sources.get(next.saturating_sub(1)).copied();
        let event = Event::at(source.unwrap_or(0), events.tick);
        let offsets = frame.offsets_at(event, 0);
        for step in steps {
            match step {
                Vector::Scalar(step) => {
                    scalar::run(std::slice::from_ref(step), &offsets, frame);
                }
                Vector::Spike { fired, fields } => spike(*fired, fields, event, &offsets, frame),
                Vector::Leave { cond } => {
                    if holds_everywhere::<W>(*cond, &offsets, frame) {
                        return;
                    }
                }
                Vector::Fold { to, fold } => {
                    let result = folded(fold, &offsets, frame);
                    frame.mem[to.base as usize] = result;
                }
                Vector::Root(root) => frame.isa.roots(root, &offsets, frame),
                _ => Machine::<W>::new(&offsets, frame).step(step),
            }
        }
        if next > 0
            && let Some(sent) = events.sent.get_mut((next - 1) * events.step)
        {
            *sent = frame.mem[SENT as usize];
        }
        steps = &code.each;
    }
}

/// The memory in chunks, while one elementwise step runs.
struct Machine<'a, const W: usize> {
    mem: &'a [Cell<[f32; W]>],
    weights: &'a [[f32; W]],
    offsets: &'a Offsets,
    chunks: usize,
}

impl<'a, const W: usize> Machine<'a, W> {
    #[inline(always)]
    fn new(offsets: &'a Offsets, frame: &'a mut Frame<'_>) -> Self {
        Self {
            mem: Cell::from_mut(frame.mem.as_chunks_mut().0).as_slice_of_cells(),
            weights: frame.weights.as_chunks().0,
            offsets,
            chunks: frame.shape.padded / W,
        }
    }

    #[inline(always)]
    fn step(&self, step: &Vector) {
        match *step {
            Vector::Scalar(_)
            | Vector::Spike { .. }
            | Vector::Fold { .. }
            | Vector::Root(_)
            | Vector::Leave { .. } => {}
            Vector::Copy { to, a } => match a {
                Src::Lanes(a) => self.map1(to, self.lanes(a), |x| x),
                Src::Uniform(a) => self.map1(to, self.uniform(a), |x| x),
            },
            Vector::Weight { to, weight } => self.map1(to, self.weights(weight), |x| x),
            Vector::AddWeight { to, a, weight } => {
                self.map2(to, self.lanes(a), self.weights(weight), |x, w| x + w);
            }
            Vector::Unary { op, to, a } => {
                let a = self.lanes(a);
                match op {
                    Unary::Neg => self.map1(to, a, |x| -x),
                    Unary::Sqrt => self.map1(to, a, f32::sqrt),
                    Unary::Exp => self.map1(to, a, math::exp),
                    Unary::Ln => self.map1(to, a, math::ln),
                }
            }
            Vector::Dyadic { op, to, a, b } => match op {
                Dyadic::Add => self.dyadic(to, a, b, |x, y| x + y),
                Dyadic::Sub => self.dyadic(to, a, b, |x, y| x - y),
                Dyadic::Mul => self.dyadic(to, a, b, |x, y| x * y),
                Dyadic::Div => self.dyadic(to, a, b, |x, y| x / y),
            },
            Vector::Fma { to, a, b, c } => self.fma(to, a, b, c),
            Vector::Affine { to, a, b } => {
                let (s, t) = (self.factor(a), self.factor(b));
                self.map2(to, self.lanes(a.lanes), self.lanes(b.lanes), |x, y| {
                    x * s + y * t
                });
            }
            Vector::Shift { to, a, b, minus } => {
                let (s, t) = (self.factor(a), self.scalar(b));
                let t = if minus { -t } else { t };
                self.map1(to, self.lanes(a.lanes), |x| x * s + t);
            }
            Vector::Condition { to, cond } => self.condition(to, cond),
            Vector::Select { to, cond, a, b } => self.select(to, cond, a, b),
        }
    }

    #[inline(always)]
    fn dyadic(&self, to: Addr, a: Src, b: Src, f: impl Fn(f32, f32) -> f32 + Copy) {
        match (a, b) {
            (Src::Lanes(a), Src::Lanes(b)) => self.map2(to, self.lanes(a), self.lanes(b), f),
            (Src::Lanes(a), Src::Uniform(b)) => self.map2(to, self.lanes(a), self.uniform(b), f),
            (Src::Uniform(a), Src::Lanes(b)) => self.map2(to, self.uniform(a), self.lanes(b), f),
            (Src::Uniform(a), Src::Uniform(b)) => {
                self.map2(to, self.uniform(a), self.uniform(b), f);
            }
        }
    }

    #[inline(always)]
    fn fma(&self, to: Addr, a: Src, b: Src, c: Src) {
        let f = |x: f32, y: f32, z: f32| x.mul_add(y, z);
        match (a, b, c) {
            (Src::Lanes(a), Src::Lanes(b), Src::Lanes(c)) => {
                self.map3(to, self.lanes(a), self.lanes(b), self.lanes(c), f);
            }
            (Src::Lanes(a), Src::Uniform(b), Src::Lanes(c))
            | (Src::Uniform(b), Src::Lanes(a), Src::Lanes(c)) => {
                self.map3(to, self.lanes(a), self.uniform(b), self.lanes(c), f);
            }
            (Src::Lanes(a), Src::Lanes(b), Src::Uniform(c)) => {
                self.map3(to, self.lanes(a), self.lanes(b), self.uniform(c), f);
            }
            (Src::Lanes(a), Src::Uniform(b), Src::Uniform(c))
            | (Src::Uniform(b), Src::Lanes(a), Src::Uniform(c)) => {
                self.map3(to, self.lanes(a), self.uniform(b), self.uniform(c), f);
            }
            (Src::Uniform(a), Src::Uniform(b), Src::Lanes(c)) => {
                self.map3(to, self.uniform(a), self.uniform(b), self.lanes(c), f);
            }
            (Src::Uniform(a), Src::Uniform(b), Src::Uniform(c)) => {
                self.map3(to, self.uniform(a), self.uniform(b), self.uniform(c), f);
            }
        }
    }

    #[inline(always)]
    fn condition(&self, to: Addr, cond: Cond) {
        let truth = |holds: bool| if holds { 1.0 } else { 0.0 };
        match cond {
            Cond::Stored(a) => self.map1(to, self.lanes(a), |x| truth(x != 0.0)),
            Cond::Compare(op, a, b) => {
                let a = Src::Lanes(a);
                match op {
                    Compare::Gt => self.dyadic(to, a, b, |x, y| truth(x > y)),
                    Compare::Ge => self.dyadic(to, a, b, |x, y| truth(x >= y)),
                    Compare::Lt => self.dyadic(to, a, b, |x, y| truth(x < y)),
                    Compare::Le => self.dyadic(to, a, b, |x, y| truth(x <= y)),
                    Compare::Eq => self.dyadic(to, a, b, |x, y| truth(x == y)),
                }
            }
        }
    }

    #[inline(always)]
    fn select(&self, to: Addr, cond: Cond, a: Src, b: Src) {
        match cond {
            Cond::Stored(x) => self.choose(to, self.lanes(x), Uniform(0.0), a, b, |x, _| x != 0.0),
            Cond::Compare(op, x, Src::Lanes(y)) => {
                self.compare_choose(op, to, self.lanes(x), self.lanes(y), a, b);
            }
            Cond::Compare(op, x, Src::Uniform(y)) => {
                self.compare_choose(op, to, self.lanes(x), self.uniform(y), a, b);
            }
        }
    }

    #[inline(always)]
    fn compare_choose(
        &self,
        op: Compare,
        to: Addr,
        x: impl Operand<W>,
        y: impl Operand<W>,
        a: Src,
        b: Src,
    ) {
        match op {
            Compare::Gt => self.choose(to, x, y, a, b, |x, y| x > y),
            Compare::Ge => self.choose(to, x, y, a, b, |x, y| x >= y),
            Compare::Lt => self.choose(to, x, y, a, b, |x, y| x < y),
            Compare::Le => self.choose(to, x, y, a, b, |x, y| x <= y),
            Compare::Eq => self.choose(to, x, y, a, b, |x, y| x == y),
        }
    }

    #[inline(always)]
    fn choose(
        &self,
        to: Addr,
        x: impl Operand<W>,
        y: impl Operand<W>,
        a: Src,
        b: Src,
        holds: impl Fn(f32, f32) -> bool + Copy,
    ) {
        let f = |x, y, a, b| if holds(x, y) { a } else { b };
        match (a, b) {
            (Src::Lanes(a), Src::Lanes(b)) => {
                self.map4(to, x, y, self.lanes(a), self.lanes(b), f);
            }
            (Src::Lanes(a), Src::Uniform(b)) => {
                self.map4(to, x, y, self.lanes(a), self.uniform(b), f);
            }
            (Src::Uniform(a), Src::Lanes(b)) => {
                self.map4(to, x, y, self.uniform(a), self.lanes(b), f);
            }
            (Src::Uniform(a), Src::Uniform(b)) => {
                self.map4(to, x, y, self.uniform(a), self.uniform(b), f);
            }
        }
    }

    /// The chunks of an operand or a result.
    #[inline(always)]
    fn cells(&self, addr: Addr) -> &'a [Cell<[f32; W]>] {
        let first = addr.index(self.offsets) / W;
        &self.mem[first..first + self.chunks]
    }

    #[inline(always)]
    fn lanes(&self, addr: Addr) -> Lanes<'a, W> {
        Lanes(self.cells(addr))
    }

    #[inline(always)]
    fn weights(&self, addr: Addr) -> Constant<'a, W> {
        let first = addr.index(self.offsets) / W;
        Constant(&self.weights[first..first + self.chunks])
    }

    #[inline(always)]
    fn scalar(&self, addr: Addr) -> f32 {
        let index = addr.base as usize;
        self.mem[index / W].as_array_of_cells()[index % W].get()
    }

    #[inline(always)]
    fn uniform(&self, addr: Addr) -> Uniform {
        Uniform(self.scalar(addr))
    }

    #[inline(always)]
    fn factor(&self, term: Term) -> f32 {
        let factor = self.scalar(term.factor);
        if term.minus { -factor } else { factor }
    }

    #[inline(always)]
    fn map1(&self, to: Addr, a: impl Operand<W>, f: impl Fn(f32) -> f32) {
        for (c, to) in self.cells(to).iter().enumerate() {
            let a = a.chunk(c);
            to.set(lanewise(|i| f(a[i])));
        }
    }

    #[inline(always)]
    fn map2(&self, to: Addr, a: impl Operand<W>, b: impl Operand<W>, f: impl Fn(f32, f32) -> f32) {
        for (c, to) in self.cells(to).iter().enumerate() {
            let (a, b) = (a.chunk(c), b.chunk(c));
            to.set(lanewise(|i| f(a[i], b[i])));
        }
    }

    #[inline(always)]
    fn map3(
        &self,
        to: Addr,
        a: impl Operand<W>,
        b: impl Operand<W>,
        c: impl Operand<W>,
        f: impl Fn(f32, f32, f32) -> f32,
    ) {
        for (k, to) in self.cells(to).iter().enumerate() {
            let (a, b, c) = (a.chunk(k), b.chunk(k), c.chunk(k));
            to.set(lanewise(|i| f(a[i], b[i], c[i])));
        }
    }

    #[inline(always)]
    fn map4(
        &self,
        to: Addr,
        a: impl Operand<W>,
        b: impl Operand<W>,
        c: impl Operand<W>,
        d: impl Operand<W>,
        f: impl Fn(f32, f32, f32, f32) -> f32,
    ) {
        for (k, to) in self.cells(to).iter().enumerate() {
            let (a, b, c, d) = (a.chunk(k), b.chunk(k), c.chunk(k), d.chunk(k));
            to.set(lanewise(|i| f(a[i], b[i], c[i], d[i])));
        }
    }
}

/// One number a lane. A loop, so that nothing of it is left to a function that knows no vectors.
#[inline(always)]
fn lanewise<const W: usize>(f: impl Fn(usize) -> f32) -> [f32; W] {
    let mut all = [0.0; W];
    for (i, x) in all.iter_mut().enumerate() {
        *x = f(i);
    }
    all
}

/// Where a kernel's operand comes from.
trait Operand<const W: usize>: Copy {
    fn chunk(self, c: usize) -> [f32; W];
}

#[derive(Clone, Copy)]
struct Lanes<'a, const W: usize>(&'a [Cell<[f32; W]>]);

#[derive(Clone, Copy)]
struct Constant<'a, const W: usize>(&'a [[f32; W]]);

#[derive(Clone, Copy)]
struct Uniform(f32);

impl<const W: usize> Operand<W> for Lanes<'_, W> {
    #[inline(always)]
    fn chunk(self, c: usize) -> [f32; W] {
        self.0[c].get()
    }
}

impl<const W: usize> Operand<W> for Constant<'_, W> {
    #[inline(always)]
    fn chunk(self, c: usize) -> [f32; W] {
        self.0[c]
    }
}

impl<const W: usize> Operand<W> for Uniform {
    #[inline(always)]
    fn chunk(self, _: usize) -> [f32; W] {
        [self.0; W]
    }
}

/// Whether `cond` holds on all lanes, of which there are some.
#[inline(always)]
fn holds_everywhere<const W: usize>(cond: Cond, offsets: &Offsets, frame: &Frame<'_>) -> bool {
    match cond {
        Cond::Stored(x) => everywhere::<W>(x, Src::Uniform(x), offsets, frame, |x, _| x != 0.0),
        Cond::Compare(op, x, y) => match op {
            Compare::Gt => everywhere::<W>(x, y, offsets, frame, |x, y| x > y),
            Compare::Ge => everywhere::<W>(x, y, offsets, frame, |x, y| x >= y),
            Compare::Lt => everywhere::<W>(x, y, offsets, frame, |x, y| x < y),
            Compare::Le => everywhere::<W>(x, y, offsets, frame, |x, y| x <= y),
            Compare::Eq => everywhere::<W>(x, y, offsets, frame, |x, y| x == y),
        },
    }
}

#[inline(always)]
fn everywhere<const W: usize>(
    x: Addr,
    y: Src,
    offsets: &Offsets,
    frame: &Frame<'_>,
    holds: impl Fn(f32, f32) -> bool + Copy,
) -> bool {
    let (chunks, _) = frame.mem.as_chunks::<W>();
    let first = x.index(offsets) / W;
    let uniform = match y {
        Src::Lanes(_) => 0.0,
        Src::Uniform(y) => frame.mem[y.base as usize],
    };
    for c in 0..frame.shape.lanes.div_ceil(W) {
        let a = chunks[first + c];
        let b = match y {
            Src::Lanes(y) => chunks[y.index(offsets) / W + c],
            Src::Uniform(_) => [uniform; W],
        };
        let mut some = 0_u32;
        for i in 0..W {
            some |= u32::from(!holds(a[i], b[i])) << i;
        }
        let real = frame.shape.lanes - c * W;
        if real < W {
            some &= (1 << real) - 1;
        }
        if some != 0 {
            return false;
        }
    }
    true
}

/// Lanes whose roots are found together. Each step waits for the one before, so there is room for several chunks.
const ROOTS: usize = 2 * LINE;

/// The roots of all lanes. A function of its own in each set of instructions: it needs all registers.
#[inline(always)]
pub(crate) fn roots(root: &Root, offsets: &Offsets, frame: &mut Frame<'_>) {
    let Shape { padded, .. } = frame.shape;
    let real = match frame.shape.rows {
        1 => frame.shape.lanes,
        _ => padded,
    };
    for first in (0..padded).step_by(ROOTS) {
        let count = ROOTS.min(padded - first);
        let operands = root.operands.map(|operand| match operand {
            Src::Lanes(addr) => {
                let mut lanes = [0.0; ROOTS];
                let from = &frame.mem[addr.index(offsets) + first..][..count];
                lanes[..count].copy_from_slice(from);
                lanes
            }
            Src::Uniform(addr) => [frame.mem[addr.base as usize]; ROOTS],
        });
        let wanted = real.saturating_sub(first);
        let found = newton::roots(root.kind, &operands, wanted);
        let to = &mut frame.mem[root.to.index(offsets) + first..][..count];
        to.copy_from_slice(&found[..count]);
    }
}

/// Has the lanes spike where this is not 0; they are few, so finding them is what has to be fast.
#[inline(always)]
fn spike(fired: Addr, fields: &[Scalar], event: Event, offsets: &Offsets, frame: &mut Frame<'_>) {
    let fired = &frame.mem[fired.index(offsets)..][..frame.shape.lanes];
    let spikes = &mut frame.scratch.spikes.lanes;
    let first = spikes.len();
    frame.isa.positions(fired, spikes);
    if frame.fields == 0 {
        return;
    }
    for k in first..frame.scratch.spikes.lanes.len() {
        let lane = frame.scratch.spikes.lanes[k];
        scalar::run(fields, &frame.offsets_at(event, lane), frame);
        frame.keep_fields();
    }
}

/// How many of these times are earlier than each. Leaves times behind that are later than all.
#[inline(always)]
pub(crate) fn ranks(times: &mut Vec<f32>, ranks: &mut Vec<u32>) {
    let count = times.len();
    times.resize(count.next_multiple_of(LINE), f32::INFINITY);
    ranks.clear();
    for chunk in times.as_chunks::<LINE>().0 {
        let mut earlier = [0_u32; LINE];
        for time in &times[..count] {
            for i in 0..LINE {
                earlier[i] += u32::from(*time < chunk[i]);
            }
        }
        ranks.extend_from_slice(&earlier);
    }
    ranks.truncate(count);
}

/// A fold over the real lanes, one after the other.
#[inline(always)]
fn folded(fold: &Folding, offsets: &Offsets, frame: &Frame<'_>) -> f32 {
    let mem = &*frame.mem;
    match *fold {
        Folding::Add(x) => {
            let mut acc = 0.0;
            for row in rows(&frame.shape, mem, x, offsets) {
                acc = row.iter().fold(acc, |acc, x| acc + x);
            }
            acc
        }
        Folding::Max(x) => {
            let mut acc = f32::NEG_INFINITY;
            for row in rows(&frame.shape, mem, x, offsets) {
                acc = row
                    .iter()
                    .fold(acc, |acc, &x| if x > acc { x } else { acc });
            }
            acc
        }
        Folding::Fma(x, y) => dot(
            rows(&frame.shape, mem, x, offsets),
            rows(&frame.shape, mem, y, offsets),
        ),
        Folding::FmaWeight(x, weight) => dot(
            rows(&frame.shape, mem, x, offsets),
            rows(&frame.shape, frame.weights, weight, offsets),
        ),
    }
}

#[inline(always)]
fn dot<'a>(x: impl Iterator<Item = &'a [f32]>, y: impl Iterator<Item = &'a [f32]>) -> f32 {
    let mut acc = 0.0;
    for (x, y) in x.zip(y) {
        for (x, y) in x.iter().zip(y) {
            acc = x.mul_add(*y, acc);
        }
    }
    acc
}

/// The real lanes of an operand, row by row.
#[inline(always)]
fn rows<'a>(
    shape: &Shape,
    memory: &'a [f32],
    addr: Addr,
    offsets: &Offsets,
) -> impl Iterator<Item = &'a [f32]> + use<'a> {
    let (base, lanes, stride) = (addr.index(offsets), shape.lanes, shape.stride);
    (0..shape.rows).map(move |row| {
        let first = base + row * stride;
        &memory[first..first + lanes]
    })
}

//! Which lanes a search for spikes is for.
//!
//! Its first conditions run over rows: all lanes of a replica in an interval each, of the replicas of a group. A process
//! with few lanes looks at several intervals at once, as if nothing spiked in any of them (`advance`).

use std::ops::Range;

use nirc_ir::event::{Handler, Op, Stmt};

use crate::advance::{Advance, Places};
use crate::code::Routine;
use crate::compile::Context;
use crate::frame::Frame;
use crate::lists::{Given, Origin, Writer, narrow};
use crate::space::{Shape, Width};

/// The first conditions of a search for spikes, over rows: all lanes of a replica in an interval each. A lane that is
/// left spikes.
pub(crate) struct Rows {
    routine: Routine,
    /// Where a row of each array comes from, and where row 0 lies.
    gathers: Vec<(Origin, usize)>,
    /// Lanes of the process, and elements of a row.
    pub(crate) lanes: u32,
    stride: usize,
    /// How many replicas are looked at together.
    pub(crate) replicas: usize,
    /// Of a process with few lanes, what takes all replicas over several intervals.
    pub(crate) advance: Option<Advance>,
}

/// Elements that rows have room for, if one row does not have more.
const ELEMENTS: usize = 2048;
/// Lanes of a replica that are enough to look at together: a process with less looks at several intervals.
const AHEAD: usize = 48;
/// More conditions than these cost all lanes of a large population more than they save those that are left.
const MOST_CONDITIONS: usize = 2;

impl Rows {
    /// Of a search that begins with conditions.
    pub(crate) fn new(context: &mut Context<'_>, handler: &Handler) -> Option<Self> {
        let Shape { stride, lanes, .. } = context.shape;
        let depth = AHEAD / stride;
        let advance = (depth > 1).then(|| Advance::new(context, ELEMENTS, depth));
        let advance = advance.flatten();
        let (depth, conditions) = match &advance {
            Some(advance) => (advance.depth(), usize::MAX),
            None => (1, MOST_CONDITIONS),
        };
        let leading = leading(handler, conditions)?;
        let replicas = (ELEMENTS / depth / WIDE * WIDE / stride).max(1);
        let shape = Shape::population(depth * (replicas * stride).next_multiple_of(WIDE));
        let rows = Shape {
            rows: shape.padded / stride,
            padded: shape.padded,
            ..context.shape
        };
        let mut writer = Writer::new(context, shape, Some(rows));
        for (base, kept) in advance.iter().flat_map(Advance::kept) {
            let array = writer.declare(narrow(kept));
            writer.gathers.push((Origin::Arena(base), array));
        }
        for stmt in leading {
            writer.statement(stmt);
        }
        let alive = writer.alive?;
        writer.body.stmts.retain(|s| !matches!(s, Stmt::Skip(_)));
        writer.fire(alive);
        let kept = advance.iter().flat_map(Advance::kept).count();
        let gathers = writer.gathers.iter().skip(kept);
        Some(Self {
            gathers: gathers.map(|(o, a)| (*o, writer.place(*a))).collect(),
            lanes: narrow(lanes),
            stride,
            replicas,
            routine: writer.compile(handler.kind),
            advance,
        })
    }

    /// How many intervals of a replica are looked at together.
    pub(crate) fn depth(&self) -> usize {
        self.advance.as_ref().map_or(1, Advance::depth)
    }

    /// Elements of the rows of so many replicas in one interval.
    pub(crate) fn elements(&self, replicas: usize) -> usize {
        (replicas * self.stride).next_multiple_of(WIDE)
    }

    /// Where the row of a replica begins among those of one interval.
    pub(crate) fn start(&self, replica: usize) -> usize {
        replica * self.stride
    }

    /// Puts rows in their places, of intervals between these bounds one after the other, from the row that starts there
    /// on. `memory` is that of the replica.
    #[inline(always)]
    pub(crate) fn fill(
        &self,
        start: usize,
        elements: usize,
        bounds: &[f32],
        memory: &[f32],
        frame: &mut Frame<'_>,
    ) {
        let (sinces, untils) = (&bounds[..bounds.len() - 1], &bounds[1..]);
        for (origin, to) in &self.gathers {
            let mut rows = Places::new(&mut *frame.mem, to + start, elements, self.stride);
            match *origin {
                Origin::Arena(from) => untils.iter().for_each(|_| rows.copy(&memory[from..])),
                Origin::Weights(from) => {
                    untils
                        .iter()
                        .for_each(|_| rows.copy(&frame.weights[from..]));
                }
                Origin::Scalar(from) => untils.iter().for_each(|_| rows.fill(memory[from])),
                Origin::Entry(Given::Time) => sinces.iter().for_each(|since| rows.fill(*since)),
                Origin::Entry(_) => untils.iter().for_each(|until| rows.fill(*until)),
                Origin::Table(_) | Origin::Left(_) => {}
            }
        }
    }

    /// Looks at the rows with so many elements in all.
    pub(crate) fn run(&self, elements: usize, frame: &mut Frame<'_>) {
        self.routine
            .run_over(elements, Shape::population(elements), frame);
    }

    /// The interval and the replica of what has spiked, and all that can spike in its row, padding included; of rows
    /// with so many elements each interval.
    #[inline(always)]
    pub(crate) fn row(&self, spike: u32, elements: usize) -> (usize, usize, Range<u32>) {
        let spike = spike as usize;
        let replica = spike % elements / self.stride;
        let interval = spike / elements;
        let start = interval * elements + self.start(replica);
        (
            interval,
            replica,
            narrow(start)..narrow(start + self.stride),
        )
    }
}

/// Elements that the vector machine takes at once.
const WIDE: usize = Width::Wide as usize;

/// The statements up to the last of so many conditions that a search begins with.
fn leading(handler: &Handler, most: usize) -> Option<&[Stmt]> {
    let stmts = &handler.body.stmts;
    let leads = |stmt: &Stmt| match stmt {
        Stmt::Let(_, op) => !matches!(op, Op::Root { .. }),
        Stmt::Skip(_) => true,
        _ => false,
    };
    let leading = stmts.iter().take_while(|stmt| leads(stmt)).enumerate();
    let skips = leading.filter(|(_, stmt)| matches!(stmt, Stmt::Skip(_)));
    let last = skips.map(|(at, _)| at).take(most).last()?;
    Some(&stmts[..=last])
}

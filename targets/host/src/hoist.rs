//! What handlers over synapses compute again and again, done once for each lane.
//!
//! Backwards, what a synapse adds is a product of its weight and of something that its lane says, and the lane says
//! it to all synapses and all events of a bin. A handler is split in two there: one over lanes, which leaves in
//! arrays what it found, and one over synapses, which loads it. Each rounds what the other does not.

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Body, Domain, Handler, Op, Process, Stmt, Value,
};

use crate::compile::Home;
use crate::facts::{operands, reads, writes};

/// A handler in two, of a process that has more arrays.
pub(crate) struct Split {
    pub(crate) process: Process,
    pub(crate) homes: PrimaryMap<Array, Home>,
    /// Runs over all lanes, before the first event of a bin.
    pub(crate) before: Handler,
    /// Runs over the synapses of each event.
    pub(crate) each: Handler,
}

impl Split {
    /// Splits a handler over synapses, if that saves anything. `place` has room for the lanes of an array.
    pub(crate) fn new(
        process: &Process,
        homes: &PrimaryMap<Array, Home>,
        handler: &Handler,
        mut place: impl FnMut(usize) -> u32,
    ) -> Option<Self> {
        let alike = alike(&handler.body);
        let found = found(&handler.body, &alike);
        if found.is_empty() {
            return None;
        }
        let (mut process, mut homes) = (process.clone(), homes.clone());
        let mut arrays = Vec::new();
        for k in 0..found.len() {
            arrays.push(process.arrays.push(ArrayDecl {
                name: String::new(),
                kind: ArrayKind::State { init: 0.0 },
            }));
            homes.push(Home::Arena(place(k)));
        }
        let array = |v: Value| found.iter().position(|w| *w == v).map(|k| arrays[k]);
        // Values keep their numbers in both; what is defined and not used costs nothing.
        let define = |op: &dyn Fn(Value, Op) -> Op| {
            let stmts = handler.body.stmts.iter().map(|stmt| match stmt {
                Stmt::Let(v, old) => Stmt::Let(*v, op(*v, *old)),
                other => other.clone(),
            });
            stmts.collect::<Vec<_>>()
        };
        let mut before = define(&|v, op| match alike[v.index()] {
            true => op,
            false => Op::Const(0.0),
        });
        before.retain(|stmt| matches!(stmt, Stmt::Let(..)));
        let stores = found.iter().zip(&arrays);
        before.extend(stores.map(|(v, array)| Stmt::Store(*array, *v)));
        let each = define(&|v, op| array(v).map_or(op, Op::Load));
        let part = |domain, stmts| Handler {
            kind: handler.kind,
            domain,
            body: Body {
                stmts,
                values: handler.body.values,
            },
        };
        Some(Self {
            before: part(Domain::Lanes, before),
            each: part(Domain::Synapses, each),
            process,
            homes,
        })
    }
}

/// Which values are the same for all synapses of a lane and all events of a bin.
fn alike(body: &Body) -> Vec<bool> {
    let written: Vec<Array> = body.stmts.iter().filter_map(writes).collect();
    let mut alike = Vec::with_capacity(body.values);
    for stmt in &body.stmts {
        let Stmt::Let(_, op) = stmt else { continue };
        alike.push(match op {
            Op::Const(_) | Op::Coef(_) | Op::Tick => true,
            Op::Load(array) => !written.contains(array),
            Op::LoadRow(..) | Op::Field(_) | Op::Payload | Op::Lane => false,
            op => operands(op).iter().all(|a| alike[a.index()]),
        });
    }
    alike
}

/// The numbers among them that took a computation and that the rest of the body needs.
pub(crate) fn found(body: &Body, alike: &[bool]) -> Vec<Value> {
    let mut needed = vec![false; body.values];
    let mut found = Vec::new();
    for stmt in body.stmts.iter().rev() {
        if let Stmt::Let(v, op) = stmt {
            let computed = !matches!(op, Op::Cmp(..)) && !operands(op).is_empty();
            if alike[v.index()] && !needed[v.index()] {
                continue;
            }
            if alike[v.index()] && computed {
                found.push(*v);
                continue;
            }
        }
        for v in reads(stmt) {
            needed[v.index()] = true;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use nirc_ir::event::{Binary, Cmp};

    use super::*;

    #[test]
    fn what_depends_on_the_lane_alone_is_found_where_the_rest_needs_it() {
        let array = Array::new;
        let mut body = Body::default();
        let x = body.push(Op::Load(array(0)));
        let a = body.push(Op::Const(2.0));
        let ax = body.push(Op::Binary(Binary::Mul, a, x));
        let sum = body.push(Op::Binary(Binary::Add, ax, x));
        let more = body.push(Op::Cmp(Cmp::Gt, sum, ax));
        let arrived = body.push(Op::Payload);
        let which = body.push(Op::Select(more, arrived, ax));
        let kept = body.push(Op::Load(array(1)));
        let next = body.push(Op::Binary(Binary::Mul, kept, which));
        body.stmts.push(Stmt::Store(array(1), next));
        let alike = alike(&body);
        let of = [x, a, ax, sum, more, arrived, which, kept, next].map(|v| alike[v.index()]);
        assert_eq!(
            of,
            [true, true, true, true, true, false, false, false, false]
        );
        assert_eq!(found(&body, &alike), [sum, ax]);
    }
}

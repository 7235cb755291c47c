//! The places that a body names: whether the order of its statements says all about them.
//!
//! Executors run a body lane by lane, or each statement over all lanes, or keep a place in a register
//! from one end to the other. That is the same as long as two names are two places, and as long as
//! nothing sees a fold before its last lane.

use crate::event::{Array, Body, Op, Process, Stmt};

/// How a statement names an array.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// By the lane alone, or as a scalar.
    Element,
    /// By a row.
    Row,
    /// As the scalar that a fold ends in.
    Fold,
}

/// A message for each pair of names that cannot stand in one body.
pub(super) fn conflicts(process: &Process, body: &Body) -> Vec<String> {
    let mut known: Vec<(usize, Array, Access)> = Vec::new();
    let mut problems = Vec::new();
    for (at, stmt) in body.stmts.iter().enumerate() {
        for (array, access) in accesses(stmt) {
            let Some(decl) = process.arrays.get(array) else {
                continue;
            };
            let clash = known
                .iter()
                .find(|(_, a, other)| *a == array && clash(*other, access));
            if let Some((before, _, other)) = clash {
                let why = why(*other, access);
                let name = &decl.name;
                problems.push(format!(
                    "statement {at}: `{name}` is also in statement {before}, {why}"
                ));
            }
            known.push((at, array, access));
        }
    }
    problems
}

/// Whether a body names this array.
pub(super) fn names(body: &Body, array: Array) -> bool {
    let mut stmts = body.stmts.iter().flat_map(accesses);
    stmts.any(|(named, _)| named == array)
}

fn clash(one: Access, other: Access) -> bool {
    one != other || one == Access::Fold
}

fn why(one: Access, other: Access) -> &'static str {
    if one == Access::Fold || other == Access::Fold {
        "but the scalar of a fold stands nowhere else in its body"
    } else {
        "but a body names an array either with rows or without"
    }
}

fn accesses(stmt: &Stmt) -> Vec<(Array, Access)> {
    match stmt {
        Stmt::Let(_, op) => loaded(op).into_iter().collect(),
        Stmt::Spike { fields, .. } => fields.iter().filter_map(loaded).collect(),
        Stmt::Store(array, _) => vec![(*array, Access::Element)],
        Stmt::StoreRow(array, ..) | Stmt::Probe(array, _) => vec![(*array, Access::Row)],
        Stmt::Reduce(array, _) => vec![(*array, Access::Fold)],
        Stmt::Send(_) | Stmt::Skip(_) => Vec::new(),
    }
}

fn loaded(op: &Op) -> Option<(Array, Access)> {
    match *op {
        Op::Load(array) => Some((array, Access::Element)),
        Op::LoadRow(array, _) => Some((array, Access::Row)),
        _ => None,
    }
}

//! Cycles of the graph, where only feed-forward networks have a meaning.

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::topology::Neighbours;

/// Reports cycles, no two with a node in common; true if there is none.
///
/// A depth-first walk in the order of names: an edge back onto the path closes a cycle.
pub(super) fn check(after: &Neighbours<'_>, problems: &mut Diagnostics) -> bool {
    let mut is_acyclic = true;
    let mut state: BTreeMap<&str, State> = BTreeMap::new();
    for start in after.keys() {
        if state.contains_key(start) {
            continue;
        }
        let mut path = vec![Step::first(start, after)];
        state.insert(start, State::OnPath(0));
        while let Some(step) = path.last_mut() {
            let Some(next) = step.next.next() else {
                state.insert(step.name, State::Done);
                path.pop();
                continue;
            };
            match state.get(next) {
                Some(State::Done) => {}
                Some(State::OnPath(at)) => {
                    is_acyclic = false;
                    let is_new = step.reported.is_none_or(|reported| reported < *at);
                    if is_new {
                        report_cycle(&mut path, *at, problems);
                    }
                }
                None => {
                    let mut first = Step::first(next, after);
                    first.reported = step.reported;
                    state.insert(next, State::OnPath(path.len()));
                    path.push(first);
                }
            }
        }
    }
    is_acyclic
}

/// Where the walk has a node.
enum State {
    OnPath(usize),
    Done,
}

/// A node on the path of the walk.
struct Step<'a> {
    name: &'a str,
    /// The neighbours not yet followed.
    next: std::iter::Copied<std::collections::btree_set::Iter<'a, &'a str>>,
    /// The last place on the path, up to here, whose node is in a reported cycle.
    reported: Option<usize>,
}

impl<'a> Step<'a> {
    fn first(name: &'a str, after: &'a Neighbours<'a>) -> Self {
        static NONE: BTreeSet<&str> = BTreeSet::new();
        Self {
            name,
            next: after.get(name).unwrap_or(&NONE).iter().copied(),
            reported: None,
        }
    }
}

fn report_cycle(path: &mut [Step<'_>], from: usize, problems: &mut Diagnostics) {
    for (at, step) in path.iter_mut().enumerate().skip(from) {
        step.reported = Some(at);
    }
    let names: Vec<_> = path[from..].iter().map(|step| step.name).collect();
    problems.push(
        Diagnostic::error(
            codes::GRAPH_CYCLE,
            names[0],
            format!(
                "expected a feed-forward graph, found the cycle {} -> {}",
                names.join(" -> "),
                names[0]
            ),
        )
        .help("recurrent connections are not supported"),
    );
}

//! Whether a search can be left out: that of a process which nothing has reached in this sample.

use nirc_ir::event::{ArrayKind, Binary, Cmp, Handler, HandlerKind, Unary};

use super::context::Context;
use super::graph::{Graph, Id, Node, Place, Root};

/// Whether a lane whose state is as at the beginning of a sample is left by a search before anything happens, whatever
/// the interval.
pub(super) fn is_left(context: &Context<'_>, cross: &Handler) -> bool {
    let process = context.process();
    if process.handler(HandlerKind::Window).is_some() {
        return false;
    }
    let graph = Graph::new(context.program, context.proc, cross);
    let state = |place| match place {
        Place::Element(array) => match process.arrays[array].kind {
            ArrayKind::State { init } => Some(init),
            _ => None,
        },
        _ => None,
    };
    let tests = graph.roots.iter().map_while(|root| match root {
        Root::Skip(cond) => Some(*cond),
        _ => None,
    });
    let mut tests = tests.map(|cond| match graph.node(cond) {
        Node::Cmp(op, a, b) => {
            let (a, b) = (number(&graph, a, &state)?, number(&graph, b, &state)?);
            Some(match op {
                Cmp::Gt => a > b,
                Cmp::Ge => a >= b,
                Cmp::Lt => a < b,
                Cmp::Eq => a == b,
            })
        }
        _ => None,
    });
    tests.any(|left| left == Some(true))
}

/// The number that a node is, if it follows from the state.
fn number(graph: &Graph, id: Id, state: &impl Fn(Place) -> Option<f32>) -> Option<f32> {
    let of = |id| number(graph, id, state);
    match graph.node(id) {
        Node::Const(bits) => Some(f32::from_bits(bits)),
        Node::Load(slot) => state(graph.place(slot)),
        Node::Unary(Unary::Neg, a) => Some(-of(a)?),
        Node::Binary(op, a, b) => {
            let (a, b) = (of(a)?, of(b)?);
            Some(match op {
                Binary::Add => a + b,
                Binary::Sub => a - b,
                Binary::Mul => a * b,
                Binary::Div => a / b,
            })
        }
        _ => None,
    }
}

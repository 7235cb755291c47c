//! The shape at each edge, inferred from weights, parameters and ports, and checked against all.
//!
//! Shapes spread along edges in both directions from what states them. What is certain comes first: the
//! extents of convolutions, then parameters with a value a neuron, then ports of nested graphs, Outputs,
//! Inputs, whose shapes may have axes of batch and time before the others, and last single values. A
//! statement that another one was before is checked against it.

use std::collections::VecDeque;

use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::forms::{Form, MOST, Shape, flatten};
use super::graph::{Graph, Kind};
use super::values::{count, without_leading_ones};

/// Most values that enter all nodes of a graph together.
const MOST_IN_ALL: usize = 1 << 25;

/// The shapes that enter and leave each node; `None` where an error was reported.
pub(super) struct Shapes {
    pub(super) input: Vec<Option<Shape>>,
    pub(super) output: Vec<Option<Shape>>,
}

impl Shapes {
    /// Both shapes of a node.
    pub(super) fn of(&self, node: usize) -> Option<(&Shape, &Shape)> {
        Some((self.input[node].as_ref()?, self.output[node].as_ref()?))
    }
}

pub(super) fn infer(
    graph: &Graph<'_>,
    forms: &[Option<Form>],
    problems: &mut Diagnostics,
) -> Shapes {
    let count = graph.nodes.len();
    let mut solver = Solver {
        graph,
        forms,
        shapes: Shapes {
            input: vec![None; count],
            output: vec![None; count],
        },
        reported: vec![false; count],
        queue: VecDeque::new(),
        total: 0,
        problems,
    };
    for source in [
        Solver::certain,
        Solver::parameters,
        Solver::nested_port,
        Solver::output_port,
        Solver::input_port,
        Solver::last_resort,
    ] {
        for node in 0..count {
            if solver.shapes.input[node].is_none()
                && let Some(shape) = source(&solver, node)
            {
                solver.enter(node, shape);
                solver.spread();
            }
        }
    }
    solver.check();
    solver.shapes
}

struct Solver<'a, 'p> {
    graph: &'a Graph<'a>,
    forms: &'a [Option<Form>],
    shapes: Shapes,
    /// Nodes of which something was said already.
    reported: Vec<bool>,
    queue: VecDeque<usize>,
    /// Values that enter all nodes together.
    total: usize,
    problems: &'p mut Diagnostics,
}

/// What a node states of the shape that enters it, from the most certain to the least.
impl Solver<'_, '_> {
    fn certain(&self, node: usize) -> Option<Shape> {
        let form = self.forms[node].as_ref()?;
        form.stated().or_else(|| {
            let Kind::Source(Some(shape)) = self.graph.nodes[node].kind else {
                return None;
            };
            let rank = self.consumers_rank(node)?;
            let extra = shape.len().checked_sub(rank)?;
            Some(shape[extra..].to_vec())
        })
    }

    fn parameters(&self, node: usize) -> Option<Shape> {
        match self.forms[node].as_ref()? {
            Form::Elementwise(Some(told)) if told.is_certain => Some(told.shape.clone()),
            _ => None,
        }
    }

    fn nested_port(&self, node: usize) -> Option<Shape> {
        match self.graph.nodes[node].kind {
            Kind::Port(shape) => shape.map(plain),
            _ => None,
        }
    }

    fn output_port(&self, node: usize) -> Option<Shape> {
        match self.graph.nodes[node].kind {
            Kind::Sink(shape) => shape.map(plain),
            _ => None,
        }
    }

    fn input_port(&self, node: usize) -> Option<Shape> {
        match self.graph.nodes[node].kind {
            Kind::Source(shape) => shape.map(plain),
            _ => None,
        }
    }

    /// Weights that nothing else tells of take a vector, and parameters may be of the only shape there is.
    fn last_resort(&self, node: usize) -> Option<Shape> {
        match self.forms[node].as_ref()? {
            Form::Matrix { inputs, .. } => Some(vec![*inputs]),
            Form::Elementwise(told) => told.as_ref().map(|told| told.shape.clone()),
            _ => None,
        }
    }

    fn consumers_rank(&self, node: usize) -> Option<usize> {
        let consumers = self.graph.consumers(node).into_iter();
        consumers
            .filter_map(|next| self.forms[next].as_ref()?.rank())
            .max()
    }
}

/// The number of an axis that was counted with a batch axis before it.
fn without_batch(axis: i64) -> i64 {
    if axis > 0 { axis - 1 } else { axis }
}

/// A port's shape without axes of length 1 before the others.
fn plain(shape: &[usize]) -> Shape {
    match without_leading_ones(shape) {
        [] if shape.is_empty() => Vec::new(),
        [] => vec![1],
        rest => rest.to_vec(),
    }
}

impl Solver<'_, '_> {
    fn enter(&mut self, node: usize, shape: Shape) {
        if self.shapes.input[node].is_none() && self.is_sound(node, &shape) {
            self.total = self.total.saturating_add(count(&shape).unwrap_or(MOST));
            self.shapes.input[node] = Some(shape);
            self.queue.push_back(node);
        }
    }

    fn leave(&mut self, node: usize, shape: &Shape) {
        let can_give = self.forms[node].as_ref().is_some_and(|f| f.can_give(shape));
        if self.shapes.output[node].is_none() && can_give && self.is_sound(node, shape) {
            self.shapes.output[node] = Some(shape.clone());
            self.queue.push_back(node);
        }
    }

    fn is_sound(&mut self, node: usize, shape: &[usize]) -> bool {
        let most = MOST.min(MOST_IN_ALL.saturating_sub(self.total));
        let is_sound = count(shape).is_some_and(|n| (1..=most).contains(&n)) && !shape.is_empty();
        if !is_sound && !self.reported[node] {
            let message = format!(
                "expected 1 to {MOST} values, and no more than {MOST_IN_ALL} in all nodes together, found the shape {shape:?}"
            );
            self.report(node, message);
        }
        is_sound
    }

    fn report(&mut self, node: usize, message: String) {
        self.reported[node] = true;
        let place = self.graph.nodes[node].path.as_str();
        self.problems
            .push(Diagnostic::error(codes::NODE_SHAPE, place, message));
    }

    fn spread(&mut self) {
        while let Some(node) = self.queue.pop_front() {
            if let (Some(input), None) = (&self.shapes.input[node], &self.shapes.output[node]) {
                let input = input.clone();
                if let Some(output) = self.forward(node, &input) {
                    self.leave(node, &output);
                }
            }
            if let (None, Some(output)) = (&self.shapes.input[node], &self.shapes.output[node]) {
                let form = self.forms[node].as_ref();
                if let Some(input) = form.and_then(|form| form.backward(output)) {
                    self.enter(node, input);
                }
            }
            let graph = self.graph;
            if let Some(output) = self.shapes.output[node].clone() {
                for next in &graph.after[node] {
                    self.enter(*next, output.clone());
                }
            }
            if let Some(input) = self.shapes.input[node].clone() {
                for last in &graph.before[node] {
                    self.leave(*last, &input);
                }
            }
        }
    }

    fn forward(&mut self, node: usize, input: &[usize]) -> Option<Shape> {
        let forms = self.forms;
        match forms[node].as_ref()? {
            Form::Flatten { start, end, .. } => self.flatten(node, input, *start, *end),
            form => form.forward(input),
        }
    }

    /// Dimensions count without a batch axis; some exporters count it, as PyTorch does. Where the former
    /// fits no weights that follow and the latter does, that is what was meant.
    fn flatten(&self, node: usize, input: &[usize], start: i64, end: i64) -> Option<Shape> {
        let literal = flatten(input, start, end);
        let other = flatten(input, without_batch(start), without_batch(end));
        let consumers = self.graph.consumers(node);
        let fits = |shape: &Option<Shape>| {
            let forms = consumers
                .iter()
                .filter_map(|next| self.forms[*next].as_ref());
            let mut weights = forms.filter(|form| matches!(form, Form::Matrix { .. }));
            let shape = shape.as_ref();
            shape.is_some_and(|shape| weights.all(|form| form.forward(shape).is_some()))
        };
        if fits(&literal) || !fits(&other) {
            literal
        } else {
            other
        }
    }

    fn check(&mut self) {
        for node in 0..self.graph.nodes.len() {
            self.check_node(node);
        }
        let mut fits = true;
        for node in 0..self.graph.nodes.len() {
            fits &= self.check_edges(node);
        }
        for node in 0..self.graph.nodes.len() {
            if fits {
                self.check_port(node);
            }
        }
    }

    fn check_node(&mut self, node: usize) {
        let Some(form) = self.forms[node].as_ref().filter(|_| !self.reported[node]) else {
            return;
        };
        match (&self.shapes.input[node], &self.shapes.output[node]) {
            (Some(input), Some(output)) => {
                let (input, output) = (input.clone(), output.clone());
                self.check_form(node, form, &input, &output);
            }
            (Some(input), None) => {
                let message = format!("expected {}, found the shape {input:?}", form.takes());
                self.report(node, message);
            }
            // Where weights or neighbours are faulty, that is what to mend.
            (None, _) if !self.problems.has_errors() => {
                let place = self.graph.nodes[node].path.as_str();
                self.reported[node] = true;
                self.problems.push(
                    Diagnostic::error(
                        codes::NODE_SHAPE,
                        place,
                        "expected weights, parameters or ports that tell the shape, found none",
                    )
                    .help("write at least one parameter with a value for each neuron"),
                );
            }
            _ => {}
        }
    }

    /// Whether a node makes the one shape of the other: it does where it gave the one from the other, but
    /// both may have come from its neighbours.
    fn check_form(&mut self, node: usize, form: &Form, input: &[usize], output: &[usize]) {
        if form.forward(input).as_deref() == Some(output) {
            return;
        }
        let Form::Flatten { start, end, .. } = form else {
            let takes = form.takes();
            let message = match form.forward(input) {
                None => format!("expected {takes}, found the shape {input:?}"),
                Some(gives) => format!(
                    "expected the shape {output:?} to leave, as what follows takes it, found {gives:?}"
                ),
            };
            self.report(node, message);
            return;
        };
        if flatten(input, without_batch(*start), without_batch(*end)).as_deref() == Some(output) {
            let place = self.graph.nodes[node].path.as_str();
            self.problems.push(Diagnostic::note(
                codes::GRAPH_REPAIRED,
                place,
                format!("`start_dim` {start} and `end_dim` {end} are taken to count a batch axis: only then does what follows fit"),
            ));
        } else {
            self.report(node, format!("expected axes {start} to {end} of {input:?} to become {output:?}, which they do not"));
        }
    }

    /// Whether what leads into a node has the shape that it takes.
    fn check_edges(&mut self, node: usize) -> bool {
        let graph = self.graph;
        let mut fits = true;
        for last in &graph.before[node] {
            let (Some(input), Some(output)) =
                (&self.shapes.input[node], &self.shapes.output[*last])
            else {
                continue;
            };
            if input == output {
                continue;
            }
            let (input, output) = (input.clone(), output.clone());
            let [from, place] = [*last, node].map(|n| graph.nodes[n].path.as_str());
            if without_leading_ones(&input) == without_leading_ones(&output) {
                self.problems.push(Diagnostic::note(
                    codes::GRAPH_REPAIRED,
                    place,
                    format!("the shape {output:?} of {from} is taken as {input:?}"),
                ));
                continue;
            }
            fits = false;
            if self.reported[node] {
                continue;
            }
            let message =
                format!("expected the shape {input:?} to enter, found {output:?} from {from}");
            self.reported[node] = true;
            let problem = Diagnostic::error(codes::NODE_SHAPE, place, message);
            let same_count = count(&input) == count(&output);
            self.problems
                .push(if same_count && input.len() < output.len() {
                    problem.help("put a Flatten between them, if that is what is meant")
                } else {
                    problem
                });
        }
        fits
    }

    /// A port's own shape against the one inferred. Batch and time axes lead; what remains are the last
    /// axes, or all that are longer than 1.
    fn check_port(&mut self, node: usize) {
        let (stated, nested) = match self.graph.nodes[node].kind {
            Kind::Source(Some(shape)) | Kind::Sink(Some(shape)) => (shape, false),
            Kind::Port(Some(shape)) => (shape, true),
            _ => return,
        };
        let Some(shape) = self.shapes.input[node].clone() else {
            return;
        };
        if stated == shape || self.reported[node] {
            return;
        }
        let place = self.graph.nodes[node].path.as_str();
        let long =
            |shape: &[usize]| -> Shape { shape.iter().copied().filter(|d| *d != 1).collect() };
        let problem = if stated.ends_with(&shape) || long(stated) == long(&shape) {
            Diagnostic::note(
                codes::GRAPH_REPAIRED,
                place,
                format!(
                    "the shape {stated:?} is taken as {shape:?}: the other axes are batch or time"
                ),
            )
        } else if nested {
            Diagnostic::warning(
                codes::NODE_SHAPE,
                place,
                format!("the port states the shape {stated:?}, and the nodes on either side have {shape:?}, which is taken"),
            )
            .help("correct the shape of the port; nothing else depends on it")
        } else {
            Diagnostic::error(
                codes::NODE_SHAPE,
                place,
                format!(
                    "expected shape {shape:?}, as the nodes beside the port have it, found {stated:?}"
                ),
            )
        };
        self.problems.push(problem);
    }
}

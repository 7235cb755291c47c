//! Nodes without memory, as a network's paths hold them.

use std::collections::BTreeMap;

use nir_rs::{NirNode, Tensor};
use nirc_ir::linear::{Linear, Node};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::forms::Form;
use super::graph::{Graph, Kind};
use super::shapes::Shapes;
use super::values::{Domain, Fit, broadcast, check, note_broadcast, report_misfits, to_f64};

/// The nodes without memory, by index, as far as they have no fault.
pub(super) fn all(
    graph: &Graph<'_>,
    forms: &[Option<Form>],
    shapes: &Shapes,
    time_unit: f64,
    problems: &mut Diagnostics,
) -> BTreeMap<usize, Node> {
    let mut nodes = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let (Kind::Memoryless(kind), Some(form)) = (node.kind, &forms[index]) else {
            continue;
        };
        let mut reader = Reader {
            place: &node.path,
            problems: &mut *problems,
        };
        let ends = shapes.of(index);
        let op = reader.op(
            kind,
            form,
            ends.map(|(input, _)| input.as_slice()),
            time_unit,
        );
        if let (Some((input, output)), Some(op)) = (ends, op) {
            let node = Node {
                name: node.path.clone(),
                input: input.clone(),
                output: output.clone(),
                op,
            };
            nodes.insert(index, node);
        }
    }
    nodes
}

struct Reader<'a, 'p> {
    place: &'a str,
    problems: &'p mut Diagnostics,
}

impl Reader<'_, '_> {
    /// What a node does to an input of this shape. Values are judged even where that is not known.
    fn op(
        &mut self,
        node: &NirNode,
        form: &Form,
        shape: Option<&[usize]>,
        time_unit: f64,
    ) -> Option<Linear> {
        match (node, form) {
            (NirNode::Linear(n), _) => {
                let weight = self.numbers("weight", &n.weight)?;
                Some(Linear::Matrix { weight, bias: None })
            }
            (NirNode::Affine(n), Form::Matrix { outputs, .. }) => {
                let weight = self.numbers("weight", &n.weight);
                let bias = self.bias(&n.bias, *outputs);
                Some(Linear::Matrix {
                    weight: weight?,
                    bias: Some(bias?),
                })
            }
            (NirNode::Conv1d(n), _) => self.convolution(&n.weight, &n.bias, form),
            (NirNode::Conv2d(n), _) => self.convolution(&n.weight, &n.bias, form),
            (NirNode::Scale(n), _) => self
                .elements("scale", &n.scale, shape, Domain::Number)
                .map(Linear::Scale),
            (NirNode::Delay(n), _) => {
                let delay = self.elements("delay", &n.delay, shape, Domain::Delay)?;
                let seconds = delay.into_iter().map(|d| d * time_unit);
                Some(Linear::Delay(seconds.collect()))
            }
            (NirNode::SumPool2d(_), Form::Pool(windows)) => Some(Linear::SumPool(windows.clone())),
            (NirNode::AvgPool2d(_), Form::Pool(windows)) => {
                Some(Linear::AveragePool(windows.clone()))
            }
            (NirNode::Flatten(_), _) => Some(Linear::Reshape),
            _ => None,
        }
    }

    fn convolution(&mut self, weight: &Tensor, bias: &Tensor, form: &Form) -> Option<Linear> {
        let Form::Convolution {
            outputs,
            groups,
            windows,
            ..
        } = form
        else {
            return None;
        };
        let kernel = self.numbers("weight", weight);
        let bias = self.bias(bias, *outputs);
        Some(Linear::Convolution {
            kernel: kernel?,
            groups: *groups,
            windows: windows.clone(),
            bias: Some(bias?),
        })
    }

    fn numbers(&mut self, field: &str, tensor: &Tensor) -> Option<Vec<f64>> {
        let values = to_f64(tensor);
        check(self.place, field, &values, Domain::Number, self.problems).then_some(values)
    }

    fn bias(&mut self, tensor: &Tensor, outputs: usize) -> Option<Vec<f64>> {
        self.elements("bias", tensor, Some(&[outputs]), Domain::Number)
    }

    /// A value for each element.
    fn elements(
        &mut self,
        field: &str,
        tensor: &Tensor,
        shape: Option<&[usize]>,
        domain: Domain,
    ) -> Option<Vec<f64>> {
        let values = to_f64(tensor);
        let is_fine = check(self.place, field, &values, domain, self.problems);
        let shape = shape?;
        let Some((values, fit)) = broadcast(&values, tensor.shape(), shape) else {
            report_misfits(self.place, &[(field, tensor.shape())], shape, self.problems);
            return None;
        };
        if fit == Fit::Broadcast {
            note_broadcast(self.place, &[field], shape, self.problems);
        }
        is_fine.then_some(values)
    }
}

/// The number of values that a node holds.
pub(super) fn weight_of(node: &Node) -> usize {
    match &node.op {
        Linear::Matrix { weight, .. } => weight.len(),
        Linear::Convolution { kernel, .. } => kernel.len(),
        Linear::Scale(values) | Linear::Delay(values) => values.len(),
        Linear::SumPool(_) | Linear::AveragePool(_) | Linear::Reshape => 1,
    }
}

/// Whether a node adds a constant.
pub(super) fn has_bias(node: &Node) -> bool {
    matches!(
        &node.op,
        Linear::Matrix { bias: Some(_), .. } | Linear::Convolution { bias: Some(_), .. }
    )
}

/// The node without the constant that it adds.
pub(super) fn without_bias(mut node: Node) -> Node {
    if let Linear::Matrix { bias, .. } | Linear::Convolution { bias, .. } = &mut node.op {
        *bias = None;
    }
    node
}

/// A complaint about a constant that nothing would deliver.
pub(super) fn report_lost_bias(place: &str, problems: &mut Diagnostics) {
    problems.push(
        Diagnostic::error(
            codes::GRAPH_STRUCTURE,
            place,
            "nothing leads into it, so that its bias reaches no neuron",
        )
        .help("connect the node, or remove it"),
    );
}

//! What each node does to a shape: the part of it that shapes can be inferred from.

use nir_rs::nodes::Padding;
use nir_rs::{NirNode, Tensor, TensorData};
use nirc_ir::linear::Window;
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::graph::{Graph, Kind};
use super::values::{count, without_leading_ones};

pub(super) type Shape = Vec<usize>;

/// Most neurons of a population, and most values on an edge.
pub(super) const MOST: usize = 1 << 22;

/// A shape that parameters have.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Told {
    pub(super) shape: Shape,
    /// Whether it can only be that of the node: no axis of it could stand for a longer one.
    pub(super) is_certain: bool,
}

/// How a node changes the shape of what passes through it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    /// Not at all; the shape that its parameters tell, if they do.
    Elementwise(Option<Told>),
    /// The last axis, from one length to another.
    Matrix { outputs: usize, inputs: usize },
    /// Channels and the axes of space.
    Convolution {
        outputs: usize,
        inputs: usize,
        groups: usize,
        windows: Vec<Window>,
        /// The input's axes of space, where the file states them.
        space: Option<Shape>,
    },
    /// The axes of space.
    Pool(Vec<Window>),
    /// Some axes become one.
    Flatten {
        start: i64,
        end: i64,
        /// The input's shape, where the file states it.
        given: Option<Shape>,
    },
}

/// The form of each node; `None` for what was reported.
pub(super) fn all(graph: &Graph<'_>, problems: &mut Diagnostics) -> Vec<Option<Form>> {
    let nodes = graph.nodes.iter();
    nodes
        .map(|node| match node.kind {
            Kind::Source(_) | Kind::Sink(_) | Kind::Port(_) => Some(Form::Elementwise(None)),
            Kind::Neurons(neurons) => {
                let fields = super::neuron::fields(neurons);
                Some(Form::Elementwise(told_by(fields.iter().map(|f| f.1))))
            }
            Kind::Memoryless(operation) => Parser {
                place: &node.path,
                problems: &mut *problems,
            }
            .form(operation),
            Kind::Broken => None,
        })
        .collect()
}

/// The shape of the tensor with the most values; of several, the plainest.
fn told_by<'a>(tensors: impl Iterator<Item = &'a Tensor>) -> Option<Told> {
    let telling = tensors.filter(|t| t.ndim() > 0);
    let best = telling.min_by_key(|t| (std::cmp::Reverse(t.data().len()), t.ndim()))?;
    let inner = without_leading_ones(best.shape());
    Some(Told {
        shape: best.shape().to_vec(),
        is_certain: !inner.is_empty() && !inner.contains(&1),
    })
}

impl Form {
    /// The shape that leaves, if the node takes this one.
    pub(super) fn forward(&self, input: &[usize]) -> Option<Shape> {
        match self {
            Self::Elementwise(_) => Some(input.to_vec()),
            Self::Matrix { outputs, inputs } => {
                let (last, rest) = input.split_last()?;
                (last == inputs).then(|| [rest, &[*outputs]].concat())
            }
            Self::Convolution {
                outputs,
                inputs,
                windows,
                ..
            } => {
                let (channels, space) = input.split_first()?;
                let space = slide(windows, space)?;
                (channels == inputs).then(|| [&[*outputs], &space[..]].concat())
            }
            Self::Pool(windows) => {
                let (channels, space) = input.split_first()?;
                Some([&[*channels], &slide(windows, space)?[..]].concat())
            }
            Self::Flatten { start, end, .. } => flatten(input, *start, *end),
        }
    }

    /// The shape that must enter for this one to leave, if there is only one.
    pub(super) fn backward(&self, output: &[usize]) -> Option<Shape> {
        match self {
            Self::Elementwise(_) => Some(output.to_vec()),
            Self::Matrix { outputs, inputs } => {
                let (last, rest) = output.split_last()?;
                (last == outputs).then(|| [rest, &[*inputs]].concat())
            }
            _ => None,
        }
    }

    /// Whether a shape like this can leave.
    pub(super) fn can_give(&self, output: &[usize]) -> bool {
        match self {
            Self::Elementwise(_) | Self::Flatten { .. } => true,
            Self::Matrix { outputs, .. } => output.last() == Some(outputs),
            Self::Convolution {
                outputs, windows, ..
            } => output.len() == windows.len() + 1 && output[0] == *outputs,
            Self::Pool(windows) => output.len() == windows.len() + 1,
        }
    }

    /// The shape that enters, as the node itself states it.
    pub(super) fn stated(&self) -> Option<Shape> {
        match self {
            Self::Convolution {
                inputs,
                space: Some(space),
                ..
            } => Some([&[*inputs], &space[..]].concat()),
            Self::Flatten { given, .. } => given.clone().filter(|shape| !shape.contains(&0)),
            _ => None,
        }
    }

    /// How many axes enter, if there is only one answer.
    pub(super) fn rank(&self) -> Option<usize> {
        match self {
            Self::Convolution { windows, .. } | Self::Pool(windows) => Some(windows.len() + 1),
            _ => None,
        }
    }

    /// What the node takes, for messages.
    pub(super) fn takes(&self) -> String {
        match self {
            Self::Elementwise(_) => "anything".into(),
            Self::Matrix { inputs, .. } => format!("a last axis of {inputs}"),
            Self::Convolution {
                inputs, windows, ..
            } => {
                let axes = windows.len();
                format!("{inputs} channels and {axes} more axes, none shorter than its window")
            }
            Self::Pool(_) => "channels and 2 more axes, none shorter than its window".into(),
            Self::Flatten { start, end, .. } => format!("axes {start} to {end}"),
        }
    }
}

fn slide(windows: &[Window], space: &[usize]) -> Option<Shape> {
    let pairs = windows.iter().zip(space);
    let lengths: Option<Shape> = pairs.map(|(w, n)| w.outputs(*n)).collect();
    lengths.filter(|_| windows.len() == space.len())
}

/// The axes from `start` to `end` as one; negative numbers count from the last axis.
pub(super) fn flatten(input: &[usize], start: i64, end: i64) -> Option<Shape> {
    let axis = |at: i64| {
        let rank = i64::try_from(input.len()).ok()?;
        let at = if at < 0 { at.checked_add(rank)? } else { at };
        usize::try_from(at).ok().filter(|at| *at < input.len())
    };
    let (start, end) = (axis(start)?, axis(end)?);
    let middle = input.get(start..=end)?;
    Some([&input[..start], &[count(middle)?], &input[end + 1..]].concat())
}

/// Takes a node's extents apart, and says what is wrong with them.
struct Parser<'a, 'p> {
    place: &'a str,
    problems: &'p mut Diagnostics,
}

impl Parser<'_, '_> {
    fn form(&mut self, node: &NirNode) -> Option<Form> {
        match node {
            NirNode::Linear(n) => self.matrix(&n.weight),
            NirNode::Affine(n) => self.matrix(&n.weight),
            NirNode::Scale(n) => Some(Form::Elementwise(told_by([&n.scale].into_iter()))),
            NirNode::Delay(n) => Some(Form::Elementwise(told_by([&n.delay].into_iter()))),
            NirNode::Conv1d(n) => {
                let space = n.input_shape.map(|length| vec![length]);
                let steps = (&n.stride[..], &n.padding, &n.dilation[..]);
                self.convolution(&n.weight, steps, n.groups, space)
            }
            NirNode::Conv2d(n) => {
                let steps = (&n.stride[..], &n.padding, &n.dilation[..]);
                let space = n.input_shape.as_ref().map(|space| match space[..] {
                    [side] => vec![side; 2],
                    _ => space.clone(),
                });
                self.convolution(&n.weight, steps, n.groups, space)
            }
            NirNode::SumPool2d(n) => self.pool(&n.kernel_size, &n.stride, &n.padding),
            NirNode::AvgPool2d(n) => self.pool(&n.kernel_size, &n.stride, &n.padding),
            NirNode::Flatten(n) => Some(Form::Flatten {
                start: n.start_dim,
                end: n.end_dim,
                given: n.input_type.clone(),
            }),
            other => {
                let found = other.type_name();
                let message = format!("expected a node without memory, found {found}");
                self.problems.push(Diagnostic::error(
                    codes::NODE_UNSUPPORTED,
                    self.place,
                    message,
                ));
                None
            }
        }
    }

    fn matrix(&mut self, weight: &Tensor) -> Option<Form> {
        let shape = weight.shape();
        match shape {
            [rest @ .., outputs, inputs]
                if rest.iter().all(|d| *d == 1) && *outputs > 0 && *inputs > 0 =>
            {
                let (outputs, inputs) = (*outputs, *inputs);
                if !rest.is_empty() {
                    self.problems.push(Diagnostic::note(
                        codes::GRAPH_REPAIRED,
                        self.place,
                        format!("`weight` of shape {shape:?} is taken as [{outputs}, {inputs}]"),
                    ));
                }
                Some(Form::Matrix { outputs, inputs })
            }
            _ => {
                self.wrong(format!(
                    "expected `weight` of shape [outputs, inputs], found {shape:?}"
                ));
                None
            }
        }
    }

    fn wrong(&mut self, message: String) {
        self.problems
            .push(Diagnostic::error(codes::NODE_SHAPE, self.place, message));
    }

    fn convolution(
        &mut self,
        weight: &Tensor,
        (stride, padding, dilation): (&[i64], &Padding, &[i64]),
        groups: i64,
        space: Option<Shape>,
    ) -> Option<Form> {
        let axes = match weight.ndim() {
            3 => 1,
            4 => 2,
            _ => {
                let found = weight.shape();
                self.wrong(format!(
                    "expected `weight` of shape [outputs, inputs / groups, …], found {found:?}"
                ));
                return None;
            }
        };
        let sizes = &weight.shape()[2..];
        let stride = self.extents("stride", stride, axes, 1);
        let dilation = self.extents("dilation", dilation, axes, 1);
        let groups = self.extents("groups", &[groups], 1, 1);
        let (stride, dilation, groups) = (stride?, dilation?, groups?[0]);
        let padding = self.padding(padding, sizes, &dilation, &stride)?;
        let [outputs, inputs] = [weight.shape()[0], weight.shape()[1]];
        let windows = (0..axes).map(|a| Window {
            size: sizes[a],
            stride: stride[a],
            before: padding[a].0,
            after: padding[a].1,
            dilation: dilation[a],
        });
        let inputs = inputs.checked_mul(groups);
        if weight.data().is_empty() || outputs % groups != 0 || inputs.is_none() {
            let found = weight.shape();
            self.wrong(format!(
                "expected `weight` with outputs that {groups} groups share evenly, found shape {found:?}"
            ));
            return None;
        }
        if let Some(space) = &space
            && space.len() != axes
        {
            self.wrong(format!(
                "expected `input_shape` of {axes} axes, found {space:?}"
            ));
            return None;
        }
        Some(Form::Convolution {
            outputs,
            inputs: inputs?,
            groups,
            windows: windows.collect(),
            space,
        })
    }

    /// Zeros before and behind each axis.
    fn padding(
        &mut self,
        padding: &Padding,
        sizes: &[usize],
        dilation: &[usize],
        stride: &[usize],
    ) -> Option<Vec<(usize, usize)>> {
        match padding {
            Padding::Valid => Some(vec![(0, 0); sizes.len()]),
            Padding::Explicit(zeros) => {
                let zeros = self.extents("padding", zeros, sizes.len(), 0)?;
                Some(zeros.into_iter().map(|n| (n, n)).collect())
            }
            Padding::Same => {
                if stride.iter().any(|s| *s != 1) {
                    self.problems.push(Diagnostic::note(
                        codes::GRAPH_REPAIRED,
                        self.place,
                        format!("padding \"same\" with stride {stride:?} is taken as the padding that would keep the shape with stride 1"),
                    ));
                }
                let zeros = sizes.iter().zip(dilation).map(|(size, dilation)| {
                    let all = size.saturating_sub(1).saturating_mul(*dilation);
                    (all / 2, all - all / 2)
                });
                Some(zeros.collect())
            }
            _ => {
                self.wrong("expected `padding` of numbers, \"same\" or \"valid\"".into());
                None
            }
        }
    }

    fn pool(&mut self, size: &Tensor, stride: &Tensor, padding: &Tensor) -> Option<Form> {
        let mut extents = |field: &str, tensor: &Tensor, least: i64| {
            let values = integers(tensor);
            if values.is_none() {
                self.wrong(format!("expected `{field}` of whole numbers"));
            }
            self.extents(field, &values?, 2, least)
        };
        let (size, stride) = (
            extents("kernel_size", size, 1),
            extents("stride", stride, 1),
        );
        let padding = extents("padding", padding, 0)?;
        let (size, stride) = (size?, stride?);
        let windows = (0..2).map(|a| Window {
            size: size[a],
            stride: stride[a],
            before: padding[a],
            after: padding[a],
            dilation: 1,
        });
        Some(Form::Pool(windows.collect()))
    }

    /// One number an axis; one alone stands for all.
    fn extents(
        &mut self,
        field: &str,
        values: &[i64],
        axes: usize,
        least: i64,
    ) -> Option<Vec<usize>> {
        let is_good = |v: &i64| (least..=MOST as i64).contains(v);
        if (values.len() != 1 && values.len() != axes) || !values.iter().all(is_good) {
            self.wrong(format!(
                "expected `{field}` of 1 or {axes} numbers from {least} to {MOST}, found {values:?}"
            ));
            return None;
        }
        let numbers = (0..axes).map(|a| values[a.min(values.len() - 1)]);
        Some(numbers.map(|v| usize::try_from(v).unwrap_or(0)).collect())
    }
}

/// The values of a tensor that holds whole numbers, in whatever type.
fn integers(tensor: &Tensor) -> Option<Vec<i64>> {
    let whole = |v: f64| (v.fract() == 0.0 && v.abs() < 1e9).then_some(v as i64);
    match tensor.data() {
        TensorData::I64(v) => Some(v.clone()),
        TensorData::F64(v) => v.iter().map(|v| whole(*v)).collect(),
        TensorData::F32(v) => v.iter().map(|v| whole(f64::from(*v))).collect(),
        TensorData::Bool(_) => None,
    }
}

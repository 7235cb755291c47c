//! What one node does to one input, and so to all: the definition that everything else is held to.

use nirc_ir::linear::{Linear, Node, Window};

/// The windows that see `place`, with the place in the kernel at which they do, in ascending order.
pub(super) fn windows_of(window: &Window, place: usize, outputs: usize) -> Vec<(usize, usize)> {
    let padded = place + window.before;
    let reach = (window.size - 1) * window.dilation;
    let first = padded.saturating_sub(reach).div_ceil(window.stride);
    let end = outputs.min(padded / window.stride + 1);
    (first..end)
        .filter_map(|output| {
            let offset = padded - output * window.stride;
            offset
                .is_multiple_of(window.dilation)
                .then_some((output, offset / window.dilation))
        })
        .collect()
}

/// Row-major strides of a shape.
pub(super) fn strides(shape: &[usize]) -> Vec<usize> {
    let mut strides = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        strides[axis - 1] = strides[axis] * shape[axis];
    }
    strides
}

/// Calls `f` with each output that an input reaches, and the factor on the way.
pub(super) fn each(node: &Node, input: usize, f: &mut impl FnMut(usize, f64)) {
    match &node.op {
        Linear::Matrix { weight, .. } => {
            let [inputs, outputs] =
                [&node.input, &node.output].map(|s| s.last().copied().unwrap_or(1));
            let (place, j) = (input / inputs, input % inputs);
            for n in 0..outputs {
                f(place * outputs + n, weight[n * inputs + j]);
            }
        }
        Linear::Scale(scale) => f(input, scale[input]),
        Linear::Convolution {
            kernel,
            groups,
            windows,
            ..
        } => {
            let size: usize = windows.iter().map(|w| w.size).product();
            let (inputs, outputs) = (node.input[0] / groups, node.output[0] / groups);
            let (channel, reached) = reached(node, windows, input);
            let space: usize = node.output[1..].iter().product();
            for out in channel / inputs * outputs..(channel / inputs + 1) * outputs {
                let row = (out * inputs + channel % inputs) * size;
                for (at, k) in &reached {
                    f(out * space + at, kernel[row + k]);
                }
            }
        }
        Linear::SumPool(windows) => pool(node, windows, input, 1.0, f),
        Linear::AveragePool(windows) => pool(node, windows, input, mean(windows), f),
        Linear::Reshape | Linear::Delay(_) => f(input, 1.0),
    }
}

/// The factor that makes a mean of a sum over windows.
pub(super) fn mean(windows: &[Window]) -> f64 {
    let size: usize = windows.iter().map(|w| w.size).product();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53 places")]
    let size = size as f64;
    1.0 / size
}

fn pool(
    node: &Node,
    windows: &[Window],
    input: usize,
    factor: f64,
    f: &mut impl FnMut(usize, f64),
) {
    let (channel, reached) = reached(node, windows, input);
    let space: usize = node.output[1..].iter().product();
    for (at, _) in reached {
        f(channel * space + at, factor);
    }
}

/// The channel of an input, and the places of the output's space that see it with those of the kernel.
fn reached(node: &Node, windows: &[Window], input: usize) -> (usize, Vec<(usize, usize)>) {
    let mut all = vec![(0, 0)];
    let mut rest = input;
    let mut places = Vec::new();
    for extent in node.input[1..].iter().rev() {
        places.push(rest % extent);
        rest /= extent;
    }
    for (axis, place) in places.iter().rev().enumerate() {
        let outputs = node.output[axis + 1];
        let seen = windows_of(&windows[axis], *place, outputs);
        let size = windows[axis].size;
        all = all
            .iter()
            .flat_map(|(at, k)| {
                seen.iter()
                    .map(move |(o, j)| (at * outputs + o, k * size + j))
            })
            .collect();
    }
    (rest, all)
}

/// The constant that a node adds to each output, if it adds one.
pub(super) fn constant(node: &Node) -> Option<Vec<f64>> {
    let total: usize = node.output.iter().product();
    match &node.op {
        Linear::Matrix {
            bias: Some(bias), ..
        } => Some((0..total).map(|k| bias[k % bias.len()]).collect()),
        Linear::Convolution {
            bias: Some(bias), ..
        } => {
            let space = total / bias.len().max(1);
            Some((0..total).map(|k| bias[k / space.max(1)]).collect())
        }
        _ => None,
    }
}

/// What a node makes of these values, without the constant that it adds.
pub(super) fn apply(node: &Node, values: &[f64]) -> Vec<f64> {
    let mut output = vec![0.0; node.output.iter().product()];
    for (input, value) in values.iter().enumerate().filter(|(_, v)| **v != 0.0) {
        each(node, input, &mut |at, factor| output[at] += factor * value);
    }
    output
}

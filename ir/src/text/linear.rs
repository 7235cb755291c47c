//! The text of nodes between populations: a line for the node, and one for each of its tensors.

use std::fmt::Write as _;

use super::lexer::{Line, Lines, Parsed};
use super::network::shaped;
use super::{Externals, list, name, values};
use crate::linear::{Linear, Node, Window};

/// Prints a node of a path.
pub(super) fn print(out: &mut String, node: &Node) {
    let _ = write!(
        out,
        "    node {} : {} {} -> {}",
        name(&node.name),
        keyword(&node.op),
        list(&node.input),
        list(&node.output)
    );
    let (windows, tensors) = parts(&node.op);
    if let Linear::Convolution { groups, .. } = &node.op {
        let _ = write!(out, " groups = {groups}");
    }
    for window in windows {
        let Window {
            size,
            stride,
            before,
            after,
            dilation,
        } = window;
        let _ = write!(
            out,
            " window [{size}, {stride}, {before}, {after}, {dilation}]"
        );
    }
    out.push('\n');
    for (key, tensor) in tensors {
        let _ = writeln!(
            out,
            "      {key} [{}] = {}",
            tensor.len(),
            values::<f64>(tensor)
        );
    }
}

fn keyword(op: &Linear) -> &'static str {
    match op {
        Linear::Matrix { .. } => "matrix",
        Linear::Scale(_) => "scale",
        Linear::Convolution { .. } => "convolution",
        Linear::SumPool(_) => "sum_pool",
        Linear::AveragePool(_) => "average_pool",
        Linear::Reshape => "reshape",
        Linear::Delay(_) => "delay",
    }
}

type Tensors<'a> = Vec<(&'static str, &'a [f64])>;

fn parts(op: &Linear) -> (&[Window], Tensors<'_>) {
    match op {
        Linear::Matrix { weight, bias } => {
            let mut tensors: Tensors<'_> = vec![("weight", weight)];
            tensors.extend(bias.iter().map(|b| ("bias", b.as_slice())));
            (&[], tensors)
        }
        Linear::Convolution {
            kernel,
            windows,
            bias,
            ..
        } => {
            let mut tensors: Tensors<'_> = vec![("kernel", kernel)];
            tensors.extend(bias.iter().map(|b| ("bias", b.as_slice())));
            (windows, tensors)
        }
        Linear::Scale(scale) => (&[], vec![("scale", scale)]),
        Linear::Delay(delay) => (&[], vec![("delay", delay)]),
        Linear::SumPool(windows) | Linear::AveragePool(windows) => (windows, Vec::new()),
        Linear::Reshape => (&[], Vec::new()),
    }
}

/// A node's first line.
struct Head {
    name: String,
    keyword: String,
    input: Vec<usize>,
    output: Vec<usize>,
    groups: usize,
    windows: Vec<Window>,
}

/// Parses a node; problems are noted.
pub(super) fn parse(lines: &mut Lines, externals: &Externals) -> Option<Node> {
    let head = lines.read(head)?;
    let number = lines.number();
    let mut tensor = |key: &'static str| -> Option<Vec<f64>> {
        lines.read(|line| {
            line.expect(key)?;
            shaped(line, &format!("{}.{key}", head.name), externals)
        })
    };
    let op = match head.keyword.as_str() {
        "matrix" => Linear::Matrix {
            weight: tensor("weight")?,
            bias: None,
        },
        "convolution" => Linear::Convolution {
            kernel: tensor("kernel")?,
            groups: head.groups,
            windows: head.windows,
            bias: None,
        },
        "scale" => Linear::Scale(tensor("scale")?),
        "delay" => Linear::Delay(tensor("delay")?),
        "sum_pool" => Linear::SumPool(head.windows),
        "average_pool" => Linear::AveragePool(head.windows),
        "reshape" => Linear::Reshape,
        other => {
            lines.problem(number, format!("unknown node `{other}`"));
            return None;
        }
    };
    Some(Node {
        op: with_bias(op, lines, &head.name, externals),
        name: head.name,
        input: head.input,
        output: head.output,
    })
}

fn with_bias(mut op: Linear, lines: &mut Lines, name: &str, externals: &Externals) -> Linear {
    if let Linear::Matrix { bias, .. } | Linear::Convolution { bias, .. } = &mut op
        && lines.peek() == Some("bias")
    {
        *bias = lines.read(|line| {
            line.expect("bias")?;
            shaped(line, &format!("{name}.bias"), externals)
        });
    }
    op
}

fn head(line: &mut Line) -> Parsed<Head> {
    line.expect("node")?;
    let name = line.name()?;
    line.expect(":")?;
    let keyword = line.word()?;
    let input = line.list()?;
    line.expect("->")?;
    let output = line.list()?;
    let groups = if line.accept("groups") {
        line.expect("=")?;
        line.number()?
    } else {
        1
    };
    let mut windows = Vec::new();
    while line.accept("window") {
        windows.push(window(&line.list()?)?);
    }
    Ok(Head {
        name,
        keyword,
        input,
        output,
        groups,
        windows,
    })
}

fn window(numbers: &[usize]) -> Parsed<Window> {
    match *numbers {
        [size, stride, before, after, dilation] => Ok(Window {
            size,
            stride,
            before,
            after,
            dilation,
        }),
        _ => Err("a window is size, stride, zeros before and after, dilation".into()),
    }
}

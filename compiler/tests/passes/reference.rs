//! What nodes do, written down once more and without any thought for speed.

use nirc_ir::linear::{Linear, Node, Window};

fn volume(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// The input's element that place `k` of window `output` sees.
fn seen(window: &Window, output: usize, k: usize, length: usize) -> Option<usize> {
    let at = (output * window.stride + k * window.dilation) as i64 - window.before as i64;
    (0..length as i64).contains(&at).then_some(at as usize)
}

/// Space as two axes, with a first of length 1 where there is only one.
fn plane(space: &[usize]) -> [usize; 2] {
    match *space {
        [w] => [1, w],
        [h, w] => [h, w],
        _ => panic!("{space:?}"),
    }
}

fn planes(windows: &[Window]) -> [Window; 2] {
    let point = Window {
        size: 1,
        stride: 1,
        before: 0,
        after: 0,
        dilation: 1,
    };
    match *windows {
        [x] => [point, x],
        [y, x] => [y, x],
        _ => panic!("{windows:?}"),
    }
}

/// The outputs of a node.
pub(crate) fn apply(node: &Node, x: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; volume(&node.output)];
    match &node.op {
        Linear::Matrix { weight, bias } => {
            let (n, m) = (*node.output.last().unwrap(), *node.input.last().unwrap());
            for (place, row) in y.chunks_mut(n).enumerate() {
                for (o, y) in row.iter_mut().enumerate() {
                    *y = (0..m).map(|j| weight[o * m + j] * x[place * m + j]).sum();
                    *y += bias.as_ref().map_or(0.0, |b| b[o]);
                }
            }
        }
        Linear::Scale(s) => y = s.iter().zip(x).map(|(s, x)| s * x).collect(),
        Linear::Reshape | Linear::Delay(_) => y = x.to_vec(),
        Linear::Convolution {
            kernel,
            groups,
            windows,
            bias,
        } => {
            let [wy, wx] = planes(windows);
            let ([h, w], [oh, ow]) = (plane(&node.input[1..]), plane(&node.output[1..]));
            let (inputs, outputs) = (node.input[0] / groups, node.output[0] / groups);
            for o in 0..node.output[0] {
                for (oy, ox) in (0..oh).flat_map(|a| (0..ow).map(move |b| (a, b))) {
                    let mut sum = bias.as_ref().map_or(0.0, |b| b[o]);
                    for i in 0..inputs {
                        let channel = o / outputs * inputs + i;
                        for ky in 0..wy.size {
                            for kx in 0..wx.size {
                                let at = (seen(&wy, oy, ky, h), seen(&wx, ox, kx, w));
                                if let (Some(iy), Some(ix)) = at {
                                    let k = ((o * inputs + i) * wy.size + ky) * wx.size + kx;
                                    sum += kernel[k] * x[(channel * h + iy) * w + ix];
                                }
                            }
                        }
                    }
                    y[(o * oh + oy) * ow + ox] = sum;
                }
            }
        }
        Linear::SumPool(windows) | Linear::AveragePool(windows) => {
            let [wy, wx] = planes(windows);
            let ([h, w], [oh, ow]) = (plane(&node.input[1..]), plane(&node.output[1..]));
            for c in 0..node.output[0] {
                for (oy, ox) in (0..oh).flat_map(|a| (0..ow).map(move |b| (a, b))) {
                    let mut sum = 0.0;
                    for ky in 0..wy.size {
                        for kx in 0..wx.size {
                            if let (Some(iy), Some(ix)) =
                                (seen(&wy, oy, ky, h), seen(&wx, ox, kx, w))
                            {
                                sum += x[(c * h + iy) * w + ix];
                            }
                        }
                    }
                    if let Linear::AveragePool(_) = node.op {
                        sum /= (wy.size * wx.size) as f64;
                    }
                    y[(c * oh + oy) * ow + ox] = sum;
                }
            }
        }
    }
    y
}

/// The outputs of all nodes in turn.
pub(crate) fn apply_all(nodes: &[Node], x: &[f64]) -> Vec<f64> {
    nodes.iter().fold(x.to_vec(), |x, node| apply(node, &x))
}

//! Nodes without memory between populations: weights, convolutions, pooling, reshaping, delays.
//!
//! This is how they stand in a file, with its `f64` values; passes of the compiler turn paths of them into
//! synapses with `f32` weights. Shapes are channels first and have neither batch nor time.

/// A node between populations.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The NIR node's path.
    pub name: String,
    /// Shape of what enters it.
    pub input: Vec<usize>,
    /// Shape of what leaves it.
    pub output: Vec<usize>,
    /// What it does.
    pub op: Linear,
}

/// What a node does.
#[derive(Clone, Debug, PartialEq)]
pub enum Linear {
    /// `y = W x` over the last axis, for each place on the others (NIR's Linear and Affine).
    Matrix {
        /// `W[n][j]`, row major: a row an output.
        weight: Vec<f64>,
        /// Added to the output, one value an output of the last axis.
        bias: Option<Vec<f64>>,
    },
    /// `y = s x`, element by element.
    Scale(Vec<f64>),
    /// A convolution in one or two dimensions (in machine learning's sense: no kernel is flipped).
    Convolution {
        /// `kernel[out][in / groups][…]`, row major.
        kernel: Vec<f64>,
        /// Groups of channels.
        groups: usize,
        /// One an axis of space.
        windows: Vec<Window>,
        /// Added to the output, one value a channel.
        bias: Option<Vec<f64>>,
    },
    /// Sum over windows, channel by channel.
    SumPool(Vec<Window>),
    /// Mean over windows, channel by channel; padding counts as zeros.
    AveragePool(Vec<Window>),
    /// The same values in another shape (Flatten).
    Reshape,
    /// `y(t) = x(t - delay)`, in seconds, element by element.
    Delay(Vec<f64>),
}

/// How windows lie along an axis of space: output `o` sees inputs `o * stride - before + k * dilation` for
/// `k` in `0 .. size`, as far as they exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Extent of the kernel.
    pub size: usize,
    /// Inputs between two windows.
    pub stride: usize,
    /// Zeros before the first input.
    pub before: usize,
    /// Zeros behind the last input.
    pub after: usize,
    /// Inputs between two places of the kernel.
    pub dilation: usize,
}

impl Window {
    /// Number of windows over `input` places; `None` if not one fits.
    pub fn outputs(&self, input: usize) -> Option<usize> {
        let reach = self
            .size
            .checked_sub(1)?
            .checked_mul(self.dilation)?
            .checked_add(1)?;
        let padded = input.checked_add(self.before)?.checked_add(self.after)?;
        padded
            .checked_sub(reach)?
            .checked_div(self.stride)
            .map(|n| n + 1)
    }

    /// The input that place `k` of window `output` sees, if it is none of the padding.
    pub fn input(&self, output: usize, k: usize, inputs: usize) -> Option<usize> {
        let at = output * self.stride + k * self.dilation;
        at.checked_sub(self.before).filter(|at| *at < inputs)
    }
}

impl Linear {
    /// The node's type, as NIR calls it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Matrix { bias: None, .. } => "Linear",
            Self::Matrix { bias: Some(_), .. } => "Affine",
            Self::Scale(_) => "Scale",
            Self::Convolution { windows, .. } if windows.len() == 1 => "Conv1d",
            Self::Convolution { .. } => "Conv2d",
            Self::SumPool(_) => "SumPool2d",
            Self::AveragePool(_) => "AvgPool2d",
            Self::Reshape => "Flatten",
            Self::Delay(_) => "Delay",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_count_and_find_their_inputs() {
        let window = Window {
            size: 5,
            stride: 2,
            before: 1,
            after: 1,
            dilation: 1,
        };
        assert_eq!(window.outputs(34), Some(16));
        assert_eq!(window.input(0, 0, 34), None);
        assert_eq!(window.input(0, 1, 34), Some(0));
        assert_eq!(window.input(15, 4, 34), Some(33));
        let wide = Window {
            dilation: 3,
            ..window
        };
        assert_eq!(wide.outputs(10), None);
    }
}

//! Numbers of a file: checked, and one for each element of a shape.

use nir_rs::{Tensor, TensorData};
use nirc_ir::{Diagnostic, Diagnostics, codes};

/// The tensor's values, widened without loss where its type allows.
pub(in crate::nir) fn to_f64(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        TensorData::F32(v) => v.iter().map(|v| f64::from(*v)).collect(),
        TensorData::F64(v) => v.clone(),
        TensorData::I64(v) => v.iter().map(|v| *v as f64).collect(),
        TensorData::Bool(v) => v.iter().map(|v| f64::from(u8::from(*v))).collect(),
    }
}

/// Number of elements of a shape; `None` on overflow.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |n, d| n.checked_mul(*d))
}

/// A shape without axes of length 1 before the others.
pub(super) fn without_leading_ones(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|d| **d == 1).count();
    &shape[ones..]
}

/// How a tensor's values become one for each element.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// There is one for each.
    Exact,
    /// Some stand for several.
    Broadcast,
}

/// One value for each element of `shape`, by the rule of numpy: axes align at the end, and one of length 1
/// stands for all. `None` if they do not align.
pub(super) fn broadcast(
    values: &[f64],
    from: &[usize],
    shape: &[usize],
) -> Option<(Vec<f64>, Fit)> {
    let from = without_leading_ones(from);
    let to = without_leading_ones(shape);
    if from == to {
        return Some((values.to_vec(), Fit::Exact));
    }
    if from.len() > to.len() {
        return None;
    }
    let missing = to.len() - from.len();
    let mut strides = vec![0; to.len()];
    let mut stride = 1;
    for (axis, extent) in from.iter().enumerate().rev() {
        if *extent == to[missing + axis] {
            strides[missing + axis] = stride;
        } else if *extent != 1 {
            return None;
        }
        stride *= extent;
    }
    let total = count(to)?;
    let mut all = Vec::with_capacity(total);
    for element in 0..total {
        let (mut rest, mut at) = (element, 0);
        for (extent, stride) in to.iter().zip(&strides).rev() {
            at += rest % extent * stride;
            rest /= extent;
        }
        all.push(*values.get(at)?);
    }
    Some((all, Fit::Broadcast))
}

/// Notes which fields had fewer values than there are elements.
pub(super) fn note_broadcast(
    place: &str,
    fields: &[&str],
    shape: &[usize],
    problems: &mut Diagnostics,
) {
    if !fields.is_empty() {
        problems.push(Diagnostic::note(
            codes::GRAPH_REPAIRED,
            place,
            format!("{} is broadcast to the shape {shape:?}", quoted(fields)),
        ));
    }
}

/// Reports fields whose shape does not fit.
pub(super) fn report_misfits(
    place: &str,
    misfits: &[(&str, &[usize])],
    shape: &[usize],
    problems: &mut Diagnostics,
) {
    if let Some((_, found)) = misfits.first() {
        let fields: Vec<_> = misfits.iter().map(|(field, _)| *field).collect();
        problems.push(Diagnostic::error(
            codes::NODE_SHAPE,
            place,
            format!(
                "expected {} of shape {shape:?}, or one that numpy would broadcast to it, found shape {found:?}",
                quoted(&fields)
            ),
        ));
    }
}

fn quoted(fields: &[&str]) -> String {
    let quoted: Vec<_> = fields.iter().map(|f| format!("`{f}`")).collect();
    quoted.join(", ")
}

/// Whether a chip that computes in `f32` can hold it.
pub(super) fn in_f32(value: f64) -> bool {
    (value as f32).is_finite()
}

/// What a field's values have to be.
#[derive(Clone, Copy)]
pub(super) enum Domain {
    /// Finite in `f32`.
    Number,
    /// A time above 0.
    TimeConstant,
    /// A time, or none.
    Delay,
}

impl Domain {
    fn has(self, value: f64) -> bool {
        in_f32(value)
            && match self {
                Self::Number => true,
                Self::TimeConstant => value > 0.0,
                Self::Delay => value >= 0.0,
            }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Number => "finite numbers in the range of f32",
            Self::TimeConstant => "times above 0 in the range of f32",
            Self::Delay => "times of at least 0 in the range of f32",
        }
    }
}

/// Reports the first value that is outside, and how many there are.
pub(super) fn check(
    place: &str,
    field: &str,
    values: &[f64],
    domain: Domain,
    problems: &mut Diagnostics,
) -> bool {
    // Nearly always all are, and this has no branch for each.
    if values.iter().fold(true, |all, v| all & domain.has(*v)) {
        return true;
    }
    let mut bad = values.iter().enumerate().filter(|(_, v)| !domain.has(**v));
    let Some((index, value)) = bad.next() else {
        return true;
    };
    let more = match bad.count() {
        0 => String::new(),
        n => format!(" (and {n} more like it)"),
    };
    problems.push(Diagnostic::error(
        codes::NODE_VALUE,
        place,
        format!(
            "expected `{field}` of {}, found {value} at index {index}{more}",
            domain.text()
        ),
    ));
    false
}

//! Which axes of an array are ticks, samples and channels.

use nirc_ir::Diagnostic;

use super::bins::{malformed, refused};
use super::signal::Extent;

/// Ticks, samples and channels of an array whose first axis is time and whose second may be samples.
/// The axes after them are those of the port or all of them in one; where the port's are not known, one
/// or three (channels, height, width).
pub(super) fn bins_of(
    shape: &[usize],
    port: Option<&[usize]>,
    place: &str,
) -> Result<Extent, Diagnostic> {
    let fit = tails(port).into_iter().find_map(|tail| leads(shape, &tail));
    let Some((ticks, samples, channels)) = fit else {
        return Err(
            malformed(place, &format!("expected {}, found {shape:?}", forms(port)))
                .help("the first axis is time, the second samples if there are several; then channels first"),
        );
    };
    Extent::new(ticks, samples, channels).map_err(|e| refused(place, &e))
}

/// Number of channels of a port.
pub(super) fn flat(port: &[usize]) -> usize {
    port.iter().fold(1, |n, axis| n.saturating_mul(*axis))
}

/// The axes of a port that an array may end in; `None` stands for any length.
fn tails(port: Option<&[usize]>) -> Vec<Vec<Option<usize>>> {
    match port {
        Some(port) => {
            let flat = flat(port);
            let mut tails = vec![port.iter().copied().map(Some).collect(), vec![Some(flat)]];
            if flat == 1 {
                tails.push(vec![]);
            }
            tails
        }
        None => vec![vec![None], vec![None; 3]],
    }
}

/// Ticks, samples and channels, if the shape is time, maybe samples, and then the tail.
fn leads(shape: &[usize], tail: &[Option<usize>]) -> Option<(u64, u64, u64)> {
    let (lead, axes) = shape.split_at_checked(shape.len().checked_sub(tail.len())?)?;
    let fits = |(axis, expected): (&usize, &Option<usize>)| expected.is_none_or(|e| e == *axis);
    if !axes.iter().zip(tail).all(fits) {
        return None;
    }
    let channels = axes
        .iter()
        .try_fold(1_u64, |n, axis| n.checked_mul(*axis as u64))?;
    match *lead {
        [ticks] => Some((ticks as u64, 1, channels)),
        // Without an axis of channels, a second axis may as well be those.
        [ticks, samples] if !tail.is_empty() => Some((ticks as u64, samples as u64, channels)),
        _ => None,
    }
}

fn forms(port: Option<&[usize]>) -> String {
    let Some(port) = port else {
        return "an array (T, J), (T, B, J), (T, C, H, W) or (T, B, C, H, W)".to_owned();
    };
    let flat = flat(port);
    let mut forms = format!("an array (T, {flat}) or (T, B, {flat})");
    if port.len() > 1 {
        let axes: Vec<String> = port.iter().map(usize::to_string).collect();
        let axes = axes.join(", ");
        forms.push_str(&format!(", or (T, {axes}) or (T, B, {axes})"));
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(shape: &[usize], port: Option<&[usize]>) -> Option<(u32, u32, u32)> {
        let extent = bins_of(shape, port, "a.npy").ok()?;
        Some((extent.ticks(), extent.samples(), extent.channels()))
    }

    #[test]
    fn axes_are_told_apart() {
        assert_eq!(axes(&[9, 4], None), Some((9, 1, 4)));
        assert_eq!(axes(&[9, 5, 4], None), Some((9, 5, 4)));
        assert_eq!(axes(&[9, 2, 3, 4], None), Some((9, 1, 24)));
        assert_eq!(axes(&[9, 5, 2, 3, 4], None), Some((9, 5, 24)));
        let image: Option<&[usize]> = Some(&[2, 3, 4]);
        assert_eq!(axes(&[9, 2, 3, 4], image), Some((9, 1, 24)));
        assert_eq!(axes(&[9, 5, 2, 3, 4], image), Some((9, 5, 24)));
        assert_eq!(axes(&[9, 24], image), Some((9, 1, 24)));
        assert_eq!(axes(&[9, 5, 24], image), Some((9, 5, 24)));
        let row: Option<&[usize]> = Some(&[2, 3]);
        assert_eq!(axes(&[9, 2, 3], row), Some((9, 1, 6)));
        assert_eq!(axes(&[9, 5, 2, 3], row), Some((9, 5, 6)));
        assert_eq!(axes(&[9, 5, 6], row), Some((9, 5, 6)));
        assert_eq!(axes(&[9], Some(&[1])), Some((9, 1, 1)));
        assert_eq!(axes(&[9, 5, 1], Some(&[1])), Some((9, 5, 1)));
    }

    #[test]
    fn other_shapes_are_refused_with_what_would_do() {
        let port: Option<&[usize]> = Some(&[2, 3, 4]);
        for shape in [
            &[][..],
            &[9],
            &[9, 23],
            &[9, 3, 2, 4],
            &[1, 9, 5, 2, 3, 4],
            &[0, 24],
        ] {
            assert_eq!(axes(shape, port), None, "{shape:?}");
        }
        let error = bins_of(&[9, 23], port, "a.npy").expect_err("23 channels");
        assert!(
            error.message.contains("(T, B, 2, 3, 4), found [9, 23]"),
            "{error}"
        );
        // As many samples as ticks, or one sample of many channels: nobody can tell.
        assert_eq!(axes(&[9, 5], Some(&[1])), None);
        assert_eq!(axes(&[2; 7], None), None);
    }
}

//! The text of connections: an axis at a time, and for each place the lanes and weights of its taps.
//!
//! An axis on which place `k` has the one tap `k * (lane, weight)` is written as that step.

use std::fmt::Write as _;

use super::lexer::{Line, Lines, Parsed};
use super::list;
use crate::connection::{Axis, Connection, Tap};

/// Prints the axes of a connection, if it has any.
pub(super) fn print(out: &mut String, indent: &str, connection: &Connection) {
    let Connection::Taps(axes) = connection else {
        return;
    };
    for axis in axes {
        let places = axis.len();
        if let Some(step) = step(axis) {
            let _ = writeln!(
                out,
                "{indent}axis {places} step [{}, {}]",
                step.lane, step.weight
            );
            continue;
        }
        let _ = writeln!(out, "{indent}axis {places}");
        for place in 0..places {
            let taps = axis.taps(place).iter();
            let taps: Vec<u32> = taps.flat_map(|t| [t.lane, t.weight]).collect();
            let _ = writeln!(out, "{indent}  {}", list(&taps));
        }
    }
}

/// The step between places, if each has one tap and they are evenly spaced from zero.
fn step(axis: &Axis) -> Option<Tap> {
    let taps = axis.all();
    let step = taps.get(1).copied().unwrap_or(Tap { lane: 0, weight: 0 });
    let evenly = (0..axis.len()).all(|place| {
        let due = steps(step, place);
        due.is_some_and(|due| axis.taps(place) == [due])
    });
    evenly.then_some(step)
}

fn steps(step: Tap, place: usize) -> Option<Tap> {
    let place = u32::try_from(place).ok()?;
    Some(Tap {
        lane: step.lane.checked_mul(place)?,
        weight: step.weight.checked_mul(place)?,
    })
}

/// Most places that a text may ask for without listing them.
const MOST: usize = 1 << 24;

/// Parses the axes that follow; problems are noted.
pub(super) fn axes(lines: &mut Lines) -> Vec<Axis> {
    let mut axes = Vec::new();
    while lines.peek() == Some("axis") {
        axes.extend(axis(lines));
    }
    axes
}

fn axis(lines: &mut Lines) -> Option<Axis> {
    let (places, step) = lines.read(|line| {
        line.expect("axis")?;
        let places: usize = line.number()?;
        if places > MOST {
            return Err(format!("{places} places, at most {MOST}"));
        }
        let step = if line.accept("step") {
            Some(pair(&line.list()?)?)
        } else {
            None
        };
        Ok((places, step))
    })?;
    if let Some(step) = step {
        let taps: Option<Vec<Tap>> = (0..places).map(|place| steps(step, place)).collect();
        return taps.map(|taps| Axis::new(taps.into_iter().map(|tap| vec![tap])));
    }
    let mut all = Vec::new();
    for _ in 0..places {
        all.push(lines.read(taps)?);
    }
    Some(Axis::new(all))
}

fn taps(line: &mut Line) -> Parsed<Vec<Tap>> {
    let numbers: Vec<u32> = line.list()?;
    if !numbers.len().is_multiple_of(2) {
        return Err("taps are pairs of lane and weight".into());
    }
    numbers.chunks(2).map(pair).collect()
}

fn pair(numbers: &[u32]) -> Parsed<Tap> {
    match numbers {
        [lane, weight] => Ok(Tap {
            lane: *lane,
            weight: *weight,
        }),
        _ => Err("a tap is a lane and a weight".into()),
    }
}

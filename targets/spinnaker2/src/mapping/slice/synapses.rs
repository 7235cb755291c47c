//! Parts of a connection: those of its synapses that lie between some sources and some lanes.
//!
//! A connection is a product of axes, and a part of it is one where the lanes, or the sources, are a product too:
//! whole channels of a convolution, or rows within one. Then the axes are restricted, and as small as before.
//! Any other part is written down synapse by synapse, as one axis. The order of the synapses of a source is kept.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::Range;

use nirc_ir::connection::{Axis, Connection, Tap};

/// The synapses that lead to `lanes`, which are counted from the first of them.
pub(super) fn to_lanes(axes: &[Axis], lanes: &Range<usize>) -> Vec<Axis> {
    let kept = restricted_lanes(axes, lanes);
    match kept {
        Some(axes) => shifted(&axes, lanes.start),
        None => vec![explicit(axes, sources(axes), lanes)],
    }
}

/// The synapses of some sources, which are counted from the first of them.
pub(super) fn of_sources(axes: &[Axis], sources: &Range<usize>) -> Vec<Axis> {
    match restricted_places(axes, sources) {
        Some(axes) => axes,
        None => vec![explicit(axes, sources.clone(), &(0..usize::MAX))],
    }
}

/// Whether [`to_lanes`] can restrict the axes.
pub(super) fn lanes_are_a_product(axes: &[Axis], lanes: &Range<usize>) -> bool {
    restricted_lanes(axes, lanes).is_some()
}

/// Whether [`of_sources`] can restrict the axes.
pub(super) fn sources_are_a_product(axes: &[Axis], sources: &Range<usize>) -> bool {
    restricted_places(axes, sources).is_some()
}

/// Numbers the weights that the axes name anew, without gaps where the axes allow it. Also the number that each
/// had before.
pub(super) fn compacted(axes: &[Axis]) -> (Vec<Axis>, Vec<u32>) {
    dense(axes).unwrap_or_else(|| window(axes))
}

/// Taps to keep on each axis, so that their sums are in `lanes` and no other one is.
///
/// From the axis that leaps furthest to the one with the smallest steps: a tap is within whatever the others
/// add, or out of it, or some of it is within; then it has to be the only one left, and the others decide.
fn restricted_lanes(axes: &[Axis], lanes: &Range<usize>) -> Option<Vec<Axis>> {
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|&i| Reverse(span(&axes[i]).map_or(0, |(_, most)| most)));
    let mut kept = axes.to_vec();
    let (mut start, mut end) = (lanes.start as i64, lanes.end as i64);
    for (k, &i) in order.iter().enumerate() {
        let mut rest = order[k + 1..].iter().map(|&j| span(&axes[j]));
        let rest = rest.try_fold((0, 0), |sum, span| span.map(|s| (sum.0 + s.0, sum.1 + s.1)));
        let Some((least, most)) = rest else {
            // An axis without taps: there is no synapse to restrict.
            return Some(kept);
        };
        let reached = |tap: &Tap| (i64::from(tap.lane) + least, i64::from(tap.lane) + most);
        let within = |tap: &Tap| start <= reached(tap).0 && reached(tap).1 < end;
        let out = |tap: &Tap| reached(tap).1 < start || end <= reached(tap).0;
        let partly = axes[i].all().iter().filter(|tap| !within(tap) && !out(tap));
        let partly: BTreeSet<u32> = partly.map(|tap| tap.lane).collect();
        let single = partly.first().copied();
        let wholly = axes[i].all().iter().any(within);
        match (wholly, partly.len(), single) {
            (_, 0, _) => {
                kept[i] = filtered(&axes[i], within);
                return Some(kept);
            }
            (false, 1, Some(lane)) => {
                kept[i] = filtered(&axes[i], |tap| tap.lane == lane);
                start -= i64::from(lane);
                end -= i64::from(lane);
            }
            _ => return None,
        }
    }
    Some(kept)
}

/// Places to keep on each axis, so that their product is `sources`: one on the first axes, some on the next, all
/// on the others.
fn restricted_places(axes: &[Axis], sources: &Range<usize>) -> Option<Vec<Axis>> {
    let mut stride = 1;
    for (k, axis) in axes.iter().enumerate().rev() {
        let aligned = sources.start.is_multiple_of(stride) && sources.end.is_multiple_of(stride);
        let (first, last) = (sources.start / stride, (sources.end - 1) / stride);
        if aligned && first / axis.len() == last / axis.len() {
            let mut kept = axes.to_vec();
            kept[k] = places(axis, first % axis.len()..last % axis.len() + 1);
            let mut above = first / axis.len();
            for axis in kept[..k].iter_mut().rev() {
                let place = above % axis.len();
                above /= axis.len();
                *axis = places(axis, place..place + 1);
            }
            return Some(kept);
        }
        stride *= axis.len();
    }
    None
}

/// Synapses of some sources to some lanes, one by one.
fn explicit(axes: &[Axis], sources: Range<usize>, lanes: &Range<usize>) -> Axis {
    let connection = Connection::Taps(axes.to_vec());
    Axis::new(sources.map(|source| {
        let mut taps = Vec::new();
        connection.each(source, |synapse| {
            if lanes.contains(&(synapse.lane as usize)) {
                taps.push(Tap {
                    lane: synapse.lane - lanes.start as u32,
                    ..synapse
                });
            }
        });
        taps
    }))
}

fn sources(axes: &[Axis]) -> Range<usize> {
    0..axes.iter().map(Axis::len).product()
}

/// The least and the largest lane of an axis.
fn span(axis: &Axis) -> Option<(i64, i64)> {
    let lanes = || axis.all().iter().map(|tap| i64::from(tap.lane));
    lanes().min().zip(lanes().max())
}

/// Takes `by` from the lanes of all synapses, each of which has so much.
fn shifted(axes: &[Axis], by: usize) -> Vec<Axis> {
    let mut left = by as u32;
    let shift = |axis: &Axis| {
        let least = axis.all().iter().map(|tap| tap.lane).min();
        let own = least.unwrap_or(0).min(left);
        left -= own;
        mapped(axis, |tap| Tap {
            lane: tap.lane - own,
            ..tap
        })
    };
    axes.iter().map(shift).collect()
}

fn filtered(axis: &Axis, keep: impl Fn(&Tap) -> bool) -> Axis {
    Axis::new((0..axis.len()).map(|place| {
        let taps = axis.taps(place).iter();
        taps.filter(|tap| keep(tap)).copied().collect()
    }))
}

fn mapped(axis: &Axis, change: impl Fn(Tap) -> Tap) -> Axis {
    Axis::new((0..axis.len()).map(|place| axis.taps(place).iter().copied().map(&change).collect()))
}

fn places(axis: &Axis, range: Range<usize>) -> Axis {
    Axis::new(range.map(|place| axis.taps(place).to_vec()))
}

fn weights(axis: &Axis) -> Vec<u32> {
    let distinct: BTreeSet<u32> = axis.all().iter().map(|tap| tap.weight).collect();
    distinct.into_iter().collect()
}

/// Without gaps: each axis counts in steps of what the finer ones name. `None` where axes overlap.
fn dense(axes: &[Axis]) -> Option<(Vec<Axis>, Vec<u32>)> {
    let mut order: Vec<usize> = (0..axes.len()).collect();
    order.sort_by_key(|&i| weights(&axes[i]).last().copied());
    let mut numbered = axes.to_vec();
    let mut before = vec![0];
    for i in order {
        let own = weights(&axes[i]);
        let reach = before.last()? - before.first()?;
        if own.windows(2).any(|pair| pair[1] - pair[0] <= reach) {
            return None;
        }
        let finer = before.len() as u32;
        let number = |weight| own.partition_point(|w| *w < weight) as u32 * finer;
        numbered[i] = mapped(&axes[i], |tap| Tap {
            weight: number(tap.weight),
            ..tap
        });
        let all = own.iter().flat_map(|w| before.iter().map(move |b| w + b));
        before = all.collect();
    }
    Some((numbered, before))
}

/// From the first to the last, with what lies between.
fn window(axes: &[Axis]) -> (Vec<Axis>, Vec<u32>) {
    let ends = |axis: &Axis| {
        let own = weights(axis);
        own.first()
            .copied()
            .zip(own.last().copied())
            .unwrap_or((0, 0))
    };
    let first: u32 = axes.iter().map(|axis| ends(axis).0).sum();
    let last: u32 = axes.iter().map(|axis| ends(axis).1).sum();
    let numbered = axes.iter().map(|axis| {
        let (least, _) = ends(axis);
        mapped(axis, |tap| Tap {
            weight: tap.weight - least,
            ..tap
        })
    });
    (numbered.collect(), (first..=last).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An axis of a convolution: `size` places, kernel 5, stride 2, padding 1.
    fn convolution(size: usize, lane: u32, weight: u32) -> Axis {
        let out = (size - 3) / 2 + 1;
        Axis::new((0..size).map(|place| {
            let taps = (0..out).filter_map(|o| {
                let k = (place + 1).checked_sub(2 * o)?;
                (k < 5).then_some(Tap {
                    lane: lane * o as u32,
                    weight: weight * k as u32,
                })
            });
            taps.collect()
        }))
    }

    /// 2 channels of 34 x 34 to 16 channels of 16 x 16.
    fn network() -> Vec<Axis> {
        let channels = Axis::new((0..2_u32).map(|c| {
            let tap = |o: u32| Tap {
                lane: 256 * o,
                weight: 50 * o + 25 * c,
            };
            (0..16).map(tap).collect()
        }));
        vec![channels, convolution(34, 16, 5), convolution(34, 1, 1)]
    }

    fn assert_part(axes: &[Axis], part: &[Axis], sources: Range<usize>, lanes: Range<usize>) {
        let (whole, part) = (axes.to_vec(), Connection::Taps(part.to_vec()));
        let whole = Connection::Taps(whole);
        for source in sources.clone() {
            let mut expected = whole.synapses(source);
            expected.retain(|s| lanes.contains(&(s.lane as usize)));
            for synapse in &mut expected {
                synapse.lane -= lanes.start as u32;
            }
            assert_eq!(part.synapses(source - sources.start), expected);
        }
    }

    #[test]
    fn channels_and_rows_of_a_convolution_are_products() {
        let axes = network();
        let all = 0..2 * 34 * 34;
        for lanes in [0..512, 1024..4096, 256..512, 256 + 32..256 + 96] {
            assert!(lanes_are_a_product(&axes, &lanes), "{lanes:?}");
            let part = to_lanes(&axes, &lanes);
            assert_eq!(part.len(), 3);
            assert_part(&axes, &part, all.clone(), lanes);
        }
        for sources in [0..1156, 34..340, 1156 + 34..2312, 40..50] {
            assert!(sources_are_a_product(&axes, &sources), "{sources:?}");
            let part = of_sources(&axes, &sources);
            assert_eq!(part.len(), 3);
            assert_part(&axes, &part, sources, 0..4096);
        }
    }

    #[test]
    fn other_parts_are_written_down() {
        let axes = network();
        let part = to_lanes(&axes, &(100..900));
        assert_eq!(part.len(), 1);
        assert_part(&axes, &part, 0..2312, 100..900);
        let part = of_sources(&axes, &(30..1200));
        assert_eq!(part.len(), 1);
        assert_part(&axes, &part, 30..1200, 0..4096);
    }

    #[test]
    fn a_slice_keeps_its_kernels_and_no_others() {
        let axes = to_lanes(&network(), &(512..1024));
        let (numbered, weights) = compacted(&axes);
        assert_eq!(weights, (100..200).collect::<Vec<u32>>());
        let [old, new] = [axes, numbered].map(Connection::Taps);
        for source in 0..2312 {
            let mut expected = old.synapses(source);
            for synapse in &mut expected {
                synapse.weight -= 100;
            }
            assert_eq!(new.synapses(source), expected);
        }
        // Of one input channel, the kernels have gaps.
        let (_, weights) = compacted(&of_sources(&network(), &(0..1156)));
        assert_eq!(weights.len(), 400);
        assert_eq!(weights[24..26], [24, 50]);
    }

    #[test]
    fn weights_of_overlapping_axes_keep_their_distances() {
        let tap = |weight| vec![Tap { lane: 0, weight }];
        let axes = [Axis::new([tap(3), tap(4)]), Axis::new([tap(2), tap(4)])];
        let (numbered, weights) = compacted(&axes);
        assert_eq!(weights, [5, 6, 7, 8]);
        let connection = Connection::Taps(numbered);
        assert_eq!(connection.synapses(3)[0].weight, 3);
    }
}

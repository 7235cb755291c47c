//! The ways to cut a process equally.

use std::collections::BTreeSet;
use std::ops::Range;

use nirc_ir::connection::{Axis, Connection};
use nirc_ir::event::{Proc, Program};

use super::cuts::equal;
use super::synapses;
use crate::abi::{INDICES, NUMBERS};

/// A way to cut `lanes` lanes: each block of them into so many slices that begin with multiples of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    lanes: usize,
    block: usize,
    slices: usize,
    step: usize,
}

impl Way {
    /// Number of slices.
    pub(super) fn count(self) -> usize {
        self.lanes / self.block * self.slices
    }

    /// The first lane of each slice.
    pub(super) fn firsts(self) -> Vec<usize> {
        let blocks = (0..self.lanes).step_by(self.block);
        let within = equal(self.block, self.slices, self.step);
        let firsts = blocks.flat_map(|block| within.iter().map(move |first| block + first));
        firsts.collect()
    }

    fn ranges(self) -> Vec<Range<usize>> {
        let firsts = self.firsts();
        let ends = firsts.iter().skip(1).copied().chain([self.lanes]);
        firsts.iter().zip(ends).map(|(a, b)| *a..b).collect()
    }
}

/// The ways to cut a process so that keys can name its lanes and there are numbers for the slices, from few slices
/// to many. Where taps lead to it or away from it, those that leave products, if there are any: whole channels, then
/// each channel in rows, then each row in columns.
pub(super) fn ways(program: &Program, proc: Proc) -> Vec<Way> {
    let lanes = program.processes[proc].lanes;
    let mut levels = strides(program, proc);
    levels.retain(|stride| (1..lanes).contains(stride));
    levels.insert(1);
    let mut all = Vec::new();
    let mut block = lanes;
    for step in levels.into_iter().rev() {
        if !block.is_multiple_of(step) {
            continue;
        }
        let most = (block / step).min(NUMBERS * block / lanes);
        let first = if block == lanes { 1 } else { 2 };
        all.extend((first..=most).map(|slices| Way {
            lanes,
            block,
            slices,
            step,
        }));
        block = step;
    }
    let products: Vec<Way> = all
        .iter()
        .copied()
        .filter(|way| keeps_products(program, proc, *way))
        .collect();
    let cut = products.iter().any(|way| way.count() > 1);
    let mut ways = if cut { products } else { every(lanes) };
    ways.retain(|way| way.ranges().iter().all(|range| range.len() <= INDICES));
    ways
}

/// So many equal slices, whatever the number.
fn every(lanes: usize) -> Vec<Way> {
    let way = |slices| Way {
        lanes,
        block: lanes,
        slices,
        step: 1,
    };
    (1..=lanes.min(NUMBERS)).map(way).collect()
}

/// Whether the slices' parts of all connections are products.
fn keeps_products(program: &Program, proc: Proc, way: Way) -> bool {
    let mut ranges = way.ranges().into_iter();
    ranges.all(|range| {
        incoming(program, proc).all(|axes| synapses::lanes_are_a_product(axes, &range))
            && outgoing(program, proc).all(|axes| synapses::sources_are_a_product(axes, &range))
    })
}

/// By how many lanes the axes of the connections at both ends step.
fn strides(program: &Program, proc: Proc) -> BTreeSet<usize> {
    let mut strides = BTreeSet::new();
    for axes in incoming(program, proc) {
        strides.extend(axes.iter().filter_map(step));
    }
    for axes in outgoing(program, proc) {
        let mut stride = 1;
        for axis in axes.iter().rev() {
            strides.insert(stride);
            stride *= axis.len();
        }
    }
    strides
}

/// The smallest distance between lanes of an axis.
fn step(axis: &Axis) -> Option<usize> {
    let lanes: BTreeSet<u32> = axis.all().iter().map(|tap| tap.lane).collect();
    let next = lanes.iter().skip(1);
    lanes.iter().zip(next).map(|(a, b)| (b - a) as usize).min()
}

fn incoming(program: &Program, proc: Proc) -> impl Iterator<Item = &[Axis]> {
    program
        .incoming(proc)
        .filter_map(|(_, channel)| axes(&channel.connection))
}

fn outgoing(program: &Program, proc: Proc) -> impl Iterator<Item = &[Axis]> {
    program
        .outgoing(proc)
        .filter_map(|(_, channel)| axes(&channel.connection))
}

fn axes(connection: &Connection) -> Option<&[Axis]> {
    match connection {
        Connection::Taps(axes) => Some(axes),
        Connection::All => None,
    }
}

#[cfg(test)]
mod tests {
    use nirc_ir::connection::Tap;
    use nirc_ir::entity::Entity;
    use nirc_ir::event::Chan;
    use nirc_ir::text::{Externals, parse_program};

    use super::*;

    /// 6 input pixels to `channels` of 2 rows of 3.
    fn program(channels: u32) -> Program {
        let text = format!(
            "program ways ticks = 2 dt = 0.001 first_tick = 1 replicas = 1 {{
            chan0 : proc0 -> proc1 delay 1 ; input -> cells
            proc0 input : source lanes 6 {{
            }}
            proc1 cells : neurons lanes {} {{
            }}
            }}",
            6 * channels
        );
        let mut program = parse_program(&text, &Externals::new()).expect("it parses");
        let tap = |lane| Tap { lane, weight: 0 };
        let maps = Axis::new([(0..channels).map(|c| tap(6 * c)).collect()]);
        let rows = Axis::new([vec![tap(0)], vec![tap(0), tap(3)]]);
        let columns = Axis::new((0..3).map(|column| vec![tap(column)]));
        let axes = vec![maps, rows, columns];
        program.channels[Chan::new(0)].connection = Connection::Taps(axes);
        program
    }

    fn firsts(program: &Program, proc: usize) -> Vec<Vec<usize>> {
        let ways = ways(program, Proc::new(proc));
        ways.into_iter().map(Way::firsts).collect()
    }

    #[test]
    fn channels_come_before_rows_and_rows_before_columns() {
        let expected = [
            vec![0],
            vec![0, 6],
            vec![0, 3, 6, 9],
            vec![0, 1, 3, 4, 6, 7, 9, 10],
            (0..12).collect(),
        ];
        assert_eq!(firsts(&program(2), 1), expected);
        // Of the source, rows and then columns.
        let expected = [vec![0], vec![0, 3], vec![0, 1, 3, 4], (0..6).collect()];
        assert_eq!(firsts(&program(2), 0), expected);
        for slices in firsts(&program(5), 1) {
            assert!(slices.len() <= 5 || slices.len().is_multiple_of(5));
        }
    }

    #[test]
    fn all_to_all_is_cut_anywhere() {
        let mut program = program(2);
        program.channels[Chan::new(0)].connection = Connection::All;
        let firsts = firsts(&program, 1);
        assert_eq!(firsts.len(), 12);
        assert_eq!(firsts[4], [0, 2, 4, 7, 9]);
    }
}

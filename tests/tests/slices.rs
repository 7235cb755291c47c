//! A program in slices means what the whole one means: spikes, traces, arrays and outcomes have the same bits, for
//! random programs at random cuts, for a convolution cut by channels and by rows, and on the chip.
//!
//! `NIRC_SLICE_PROGRAMS` says how many random programs are tried, `NIRC_SLICE_SEED` from which seed on.

use nirc_ir::connection::Connection;
use nirc_ir::event::{Proc, Program};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::verify::verify;
use nirc_runtime::emulated::Whole;
use nirc_spinnaker2::mapping::slice::{Cuts, can_be_cut, slice};
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::{Limits, program};
use nirc_tests::rng::Rng;

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Cuts every process that can be, at random lanes.
fn cuts(program: &Program, rng: &mut Rng) -> Cuts {
    let firsts = program.processes.iter().map(|(proc, process)| {
        let mut firsts = vec![0];
        if can_be_cut(program, proc) {
            for _ in 0..rng.below(4) {
                firsts.push(rng.below(process.lanes));
            }
        }
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    });
    let firsts: Vec<Vec<usize>> = firsts.collect();
    Cuts::new(program, &firsts).expect("they ascend from 0")
}

fn whole(program: &Program, cuts: &Cuts) -> Whole<Interpreter> {
    let sliced = slice(program, cuts);
    verify(&sliced.program).unwrap_or_else(|e| panic!("{e}"));
    let interpreter = Interpreter::new(&sliced.program);
    Whole::new(program, sliced.slicing, interpreter)
}

#[test]
fn every_forward_program_means_the_same_in_slices() {
    let first = number("NIRC_SLICE_SEED", 0);
    let (mut cut, mut tapped) = (0, 0);
    for seed in first..first + number("NIRC_SLICE_PROGRAMS", 300) {
        println!("seed {seed}");
        let program = program(seed, Limits::HOST);
        let cuts = cuts(&program, &mut Rng::new(seed));
        cut += usize::from(cuts.any());
        let taps = |p: Proc| {
            let mut channels = program.incoming(p);
            cuts.cuts(p) && channels.any(|(_, c)| c.connection != Connection::All)
        };
        tapped += usize::from(program.processes.keys().any(taps));
        assert_agrees(&mut whole(&program, &cuts), seed);
    }
    assert!(cut > 0 && tapped > 0, "{cut} cut, {tapped} with taps");
}

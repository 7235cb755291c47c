//! Programs that only go forward, with everything that the event program can say: the native simulator agrees
//! with the interpreter to the bit, on one thread and on two.
//!
//! `NIRC_FORWARD_PROGRAMS` says how many programs are tried, `NIRC_FORWARD_SEED` from which seed on.

use nirc_host::HostSimulator;
use nirc_ir::verify::verify;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::{Limits, program};

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

fn seeds() -> std::ops::Range<u64> {
    let first = number("NIRC_FORWARD_SEED", 0);
    first..first + number("NIRC_FORWARD_PROGRAMS", 300)
}

fn check(seed: u64) {
    let limits = if seed % 3 == 0 {
        Limits::PE
    } else {
        Limits::HOST
    };
    let program = program(seed, limits);
    verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
    for threads in [1, 2] {
        let mut host = HostSimulator::new(&program, threads).expect("it compiles");
        assert_agrees(&mut host, seed);
    }
}

#[test]
fn every_forward_program_has_the_same_bits_on_the_host() {
    for seed in seeds() {
        println!("seed {seed}");
        check(seed);
    }
}

//! Programs of exact event times, of random shape and with random bodies: the native simulator, on one thread and
//! on two, agrees with the interpreter to the bit.
//!
//! `NIRC_EXACT_PROGRAMS` says how many programs are tried, `NIRC_EXACT_SEED` from which seed on.

use nirc_host::HostSimulator;
use nirc_ir::verify::verify;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::Limits;
use nirc_tests::random::{Shape, program};

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn every_exact_program_has_the_same_bits_on_the_host() {
    let first = number("NIRC_EXACT_SEED", 0);
    for seed in first..first + number("NIRC_EXACT_PROGRAMS", 200) {
        println!("seed {seed}");
        let limits = if seed.is_multiple_of(3) {
            Limits::PE
        } else {
            Limits::HOST
        };
        let program = program(seed, Shape::Exact(limits));
        verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for threads in [1, 2] {
            let mut host = HostSimulator::new(&program, threads).expect("it compiles");
            assert_agrees(&mut host, seed);
        }
    }
}

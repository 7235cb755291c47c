//! Programs that only go forward, with everything that the event program can say: the native simulator, on one
//! thread and on two, and the chip, at any pace, agree with the interpreter to the bit.
//!
//! `NIRC_FORWARD_PROGRAMS` says how many programs are tried, `NIRC_FORWARD_SEED` from which seed on.

use nirc_host::HostSimulator;
use nirc_ir::codes;
use nirc_ir::event::Program;
use nirc_ir::verify::verify;
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;
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
    let limits = if seed.is_multiple_of(3) {
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

/// A bundle with the pace that the mapping chooses or, by seed, with another; `None` where it has no room.
fn bundle(program: &Program, target: &Target, seed: u64) -> Option<Bundle> {
    let chosen = Bundle::build(program, target);
    let bundle = if seed.is_multiple_of(3) {
        chosen
    } else {
        chosen.and_then(|_| {
            let window = [0, 1, 2, 4][seed as usize % 4];
            let segment = 1 + (seed / 4 % u64::from(program.ticks)) as u32;
            Bundle::build_with(program, target, Pacing { window, segment })
        })
    };
    match bundle {
        Ok(bundle) => Some(bundle),
        Err(problems) => {
            let large = problems.0.iter().all(|p| p.code == codes::MAP_SRAM);
            assert!(large, "seed {seed}: {problems}");
            None
        }
    }
}

#[test]
fn every_forward_program_has_the_same_bits_on_the_chip() {
    let target = Target::spinnaker2();
    let mut ran = 0;
    for seed in seeds() {
        let program = program(seed, Limits::PE);
        if program.processes.values().any(|p| {
            let mut handlers = p.handlers.iter();
            handlers.any(|h| h.domain == nirc_ir::event::Domain::Synapses)
        }) {
            continue;
        }
        let Some(bundle) = bundle(&program, &target, seed) else {
            continue;
        };
        println!("seed {seed}");
        let options = EmulatorOptions {
            threads: 1,
            ..EmulatorOptions::default()
        };
        let mut chip = Emulated::load(&program, &bundle, &target, options).expect("it loads");
        assert_agrees(&mut chip, seed);
        ran += 1;
    }
    println!("{ran} programs ran");
    assert!(ran > 0);
}

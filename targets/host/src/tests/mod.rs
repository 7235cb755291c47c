//! The simulator against the interpreter.

mod exact;
mod failures;
mod forward;
mod networks;
mod random;

use nirc_ir::event::Program;
use nirc_tests::agreement;

use crate::HostSimulator;
use crate::isa::Isa;

/// Compares the simulator, on so many threads and with these instructions, with the interpreter.
fn assert_agrees(program: &Program, seed: u64, threads: usize, isa: Isa) {
    let mut host = HostSimulator::with_isa(program, threads, isa).expect("a sound program");
    agreement::assert_agrees(&mut host, seed);
}

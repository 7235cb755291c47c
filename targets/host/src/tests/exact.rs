//! Programs of exact event times that no compiler would write.

use nirc_ir::verify::verify;
use nirc_tests::forward::Limits;
use nirc_tests::random::{Shape, program};

use super::assert_agrees;
use crate::isa::Isa;

#[test]
fn random_programs_of_exact_event_times() {
    for seed in 0..150 {
        let program = program(seed, Shape::Exact(Limits::HOST));
        verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for isa in Isa::available() {
            println!("seed {seed}, {}", isa.name());
            assert_agrees(&program, seed, 1 + seed as usize % 3, isa);
        }
    }
}

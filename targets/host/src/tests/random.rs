//! Programs that no compiler would write.

use nirc_ir::verify::verify;
use nirc_tests::forward::Limits;
use nirc_tests::random::{Shape, program};

use super::assert_agrees;
use crate::isa::Isa;

fn check(seeds: std::ops::Range<u64>, shape: Shape) {
    for seed in seeds {
        let program = program(seed, shape);
        verify(&program).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        for isa in Isa::available() {
            println!("seed {seed}, {}", isa.name());
            assert_agrees(&program, seed, 1 + seed as usize % 3, isa);
        }
    }
}

#[test]
fn random_plain_programs() {
    check(0..200, Shape::Plain);
}

#[test]
fn random_programs_of_any_shape() {
    check(0..150, Shape::Any(Limits::HOST));
}

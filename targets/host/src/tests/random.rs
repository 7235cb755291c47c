//! Programs that no compiler would write.

use nirc_ir::verify::verify;
use nirc_tests::random::Writer;

use super::assert_agrees;
use crate::isa::Isa;

#[test]
fn random_programs() {
    for seed in 0..200 {
        let program = Writer::new(seed).program();
        verify(&program).expect("the writer keeps the rules");
        for isa in Isa::available() {
            println!("seed {seed}, {}", isa.name());
            assert_agrees(&program, seed, 1 + seed as usize % 3, isa);
        }
    }
}

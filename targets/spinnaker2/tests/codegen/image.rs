//! What the firmware looks like from outside.

use nirc_spinnaker2::codegen::compile;
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;

use crate::programs::{all, groups};

#[test]
fn every_role_of_every_program_compiles() {
    let target = Target::spinnaker2();
    for (name, program) in all() {
        for group in groups(&program) {
            let firmware = compile(&program, &group, &target, Pacing::whole(&program))
                .unwrap_or_else(|e| panic!("{name} {group:?}: {e}"));
            let elf = firmware.image.write().expect("the image is well-formed");
            assert!(!elf.is_empty());
            if let Ok(dir) = std::env::var("NIRC_DUMP") {
                let path = format!("{dir}/{name}.{}", firmware.name);
                std::fs::write(format!("{path}.elf"), elf).expect("can write");
                std::fs::write(format!("{path}.lst"), firmware.program.text()).expect("can write");
            }
        }
    }
}

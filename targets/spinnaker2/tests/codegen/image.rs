//! What the firmware looks like from outside.

use nirc_spinnaker2::codegen::{CodegenError, compile};
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

/// What one process measures reaches no other PE.
#[test]
fn optimisers_that_measure_stay_on_one_pe() {
    let target = Target::spinnaker2();
    let (_, program) = all()
        .into_iter()
        .find(|(name, _)| *name == "clipped")
        .expect("it is one of them");
    let optimisers = groups(&program).pop().expect("the last group");
    let (last, rest) = optimisers.split_last().expect("several tensors");
    for group in [rest, &[*last]] {
        let error = compile(&program, group, &target, Pacing::whole(&program))
            .expect_err("the others would not be heard");
        assert!(matches!(error, CodegenError::Measures { .. }), "{error}");
    }
    compile(&program, &optimisers, &target, Pacing::whole(&program)).expect("all together");
}

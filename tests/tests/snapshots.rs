//! The back end's emit stages for the Yin-Yang example: the mapping, and the listing of each image.
//! The compiler's own stages are in `compiler/tests/snapshots.rs`.

use std::path::Path;

use nirc_compiler::lower::lower;
use nirc_compiler::nir::{self, ImportOptions};
use nirc_compiler::options::{Loss, Optimiser, Options, Rule};
use nirc_ir::event::Program;
use nirc_ir::network::Convention;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;

fn program() -> Program {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/yin-yang/model.nir");
    let (file, _) = nir::read(&path).expect("the example is readable");
    let options = ImportOptions {
        convention: Convention::preset("eventprop").expect("a preset"),
        dt: Some(0.001),
        name: "yin_yang".to_owned(),
    };
    let (network, _) = nir::import(&file, &options).expect("the example is importable");
    let options = Options {
        ticks: 27,
        batch: 22,
        replicas: 22,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        optimiser: Some(Optimiser {
            rule: Rule::Adam {
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
            },
            learning_rate: 1.9e-3,
            weight_decay: 6.5e-7,
            decay_per_batch: 0.95_f64.powf(1.0 / 227.0),
        }),
        record: Vec::new(),
    };
    lower(&network, &options).expect("lowers")
}

#[test]
fn mapping_and_listings_of_the_example() {
    let bundle = Bundle::build(&program(), &Target::spinnaker2()).expect("builds");
    insta::assert_snapshot!("mapping", bundle.mapping_text());
    for firmware in bundle.images.values() {
        insta::assert_snapshot!(format!("listing_{}", firmware.name), firmware.listing);
    }
}

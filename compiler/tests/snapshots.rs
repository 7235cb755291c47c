//! The compiler's emit stages for the Yin-Yang example, as snapshots to be read line by line.

use std::path::Path;

use nirc_compiler::lower::lower;
use nirc_compiler::nir::{self, ImportOptions};
use nirc_compiler::options::{Loss, Optimiser, Options, Rule};
use nirc_ir::network::{Convention, Network};
use nirc_ir::text::{print_network, print_program};

fn network() -> Network {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/yin-yang/model.nir");
    let (file, _) = nir::read(&path).expect("the example is readable");
    let options = ImportOptions {
        convention: Convention::preset("eventprop").expect("a preset"),
        dt: Some(0.001),
        name: "yin_yang".to_owned(),
    };
    nir::import(&file, &options)
        .expect("the example is importable")
        .0
}

fn options() -> Options {
    Options {
        ticks: 27,
        batch: 22,
        replicas: 22,
        spike_bound: None,
        loss: None,
        adjoint: false,
        optimiser: None,
        record: Vec::new(),
    }
}

#[test]
fn network_of_the_example() {
    insta::assert_snapshot!(print_network(&network()));
}

#[test]
fn forward_program_of_the_example() {
    let program = lower(&network(), &options()).expect("lowers");
    insta::assert_snapshot!(print_program(&program));
}

#[test]
fn training_program_of_the_example() {
    let options = Options {
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
        ..options()
    };
    let program = lower(&network(), &options).expect("lowers");
    insta::assert_snapshot!(print_program(&program));
}

use std::fs;
use std::path::Path;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Rule};
use nirc_ir::Diagnostic;
use nirc_ir::codes::{CODEGEN, FILE_UNWRITABLE, MAP_SRAM};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Program;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};

use super::*;
use crate::target::Target;

/// 4 inputs, `hidden` neurons, 2 outputs.
fn program(hidden: usize, replicas: usize) -> Program {
    let uniform = Parameter::Uniform;
    let neuron = Neuron {
        membrane: Membrane::Leaky {
            tau: uniform(0.02),
            r: uniform(1.0),
            v_leak: uniform(0.0),
        },
        synapse: Some(Synapse {
            tau_syn: uniform(0.005),
            w_in: uniform(5.0),
        }),
        firing: Some(Firing {
            threshold: uniform(1.0),
            v_reset: uniform(0.0),
        }),
    };
    let population = |name: &str, size, kind| Population::vector(name, size, kind);
    let projection = |name: &str, pre: usize, size: usize| Projection {
        name: name.to_owned(),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias: None,
        delay: 1,
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
        link: Link::Dense((0..size).map(|k| (k * 7 % 11) as f32 / 5.0 - 0.5).collect()),
    };
    let neurons = || PopulationKind::Neurons(neuron.clone());
    let network = Network {
        name: "small net".to_owned(),
        dt: 0.001,
        convention: Convention::preset("eventprop").expect("a preset"),
        populations: PrimaryMap::from_iter([
            population("input", 4, PopulationKind::Source),
            population("hidden/layer", hidden, neurons()),
            population("out", 2, neurons()),
        ]),
        projections: PrimaryMap::from_iter([
            projection("fc1", 0, 4 * hidden),
            projection("fc2", 1, hidden * 2),
        ]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    };
    let options = Options {
        ticks: 20,
        batch: replicas,
        replicas,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(Optimiser::new(
            Rule::Sgd {
                momentum: 0.0,
                nesterov: false,
            },
            0.1,
        )),
        record: Vec::new(),
        events: None,
    };
    lower(&network, &options).expect("a small network")
}

fn bundle(program: &Program) -> Bundle {
    let mut bundle = Bundle::build(program, &Target::spinnaker2()).expect("it fits");
    let reset = ("reset".to_owned(), "to_value".to_owned());
    bundle.origin.convention.extend([reset]);
    let path = "selftest/expected.json".to_owned();
    bundle.attachments.insert(path, b"{}".to_vec());
    bundle
}

fn written() -> (tempfile::TempDir, std::path::PathBuf, Bundle) {
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("bundle");
    let bundle = bundle(&program(6, 3));
    bundle.write(&dir).expect("writable");
    (root, dir, bundle)
}

#[test]
fn a_bundle_reads_back_as_it_was_written() {
    let (_root, dir, bundle) = written();
    let program = program(6, 3);
    let read = Bundle::open(&dir).expect("a bundle");
    assert_eq!(read, bundle);
    read.check(&program).expect("its program");
    assert_eq!(read.program().expect("its program"), program);
    assert_eq!(read.files().expect("files"), bundle.files().expect("files"));
    // Four processes and the optimisers, each once.
    assert_eq!(read.images.len(), 5);
    assert_eq!(read.loads.len(), 3 * 4 + 1);
    for file in [
        "manifest.json",
        "routes.json",
        "spec.json",
        "program.txt",
        "mapping.txt",
        "images/hidden_layer.elf",
        "images/hidden_layer.mem",
        "listing/hidden_layer.lst",
        "images/optimiser.elf",
        "selftest/expected.json",
    ] {
        assert!(dir.join(file).is_file(), "{file} is missing");
    }
}

#[test]
fn the_same_program_gives_the_same_bytes() {
    let first = bundle(&program(6, 3)).files().expect("files");
    assert_eq!(first, bundle(&program(6, 3)).files().expect("files"));
}

/// An error names the entry of the tape that it is for, which a key has to hold.
#[test]
fn tapes_of_exact_event_times_have_an_end() {
    let text = include_str!("../../../../ir/src/verify/tests/exact.nirp");
    let parse = |text: &str| {
        let program = nirc_ir::text::parse_program(text, &nirc_ir::text::Externals::new());
        program.expect("it parses")
    };
    let target = Target::spinnaker2();
    Bundle::build(&parse(text), &target).expect("it fits");
    let long = parse(&text.replace("[slope] bound 30", "[slope] bound 20000"));
    let problems = Bundle::build(&long, &target).expect_err("too long");
    let expected = "own spikes of a sample of cells: expected at most 16384, found 20000";
    assert_eq!(problems.0[0].code, CODEGEN, "{problems}");
    assert!(problems.0[0].message.contains(expected), "{problems}");
}

#[test]
fn a_bundle_never_replaces_anything() {
    let (_root, dir, bundle) = written();
    let error = bundle.write(&dir).expect_err("it exists");
    assert_eq!(Diagnostic::from(error).code, FILE_UNWRITABLE);
}

#[test]
fn damage_is_detected() {
    let break_file = |file: &str, change: &dyn Fn(&Path)| {
        let (_root, dir, _) = written();
        change(&dir.join(file));
        Bundle::open(&dir).expect_err("it is damaged")
    };
    let append = |path: &Path| {
        let mut bytes = fs::read(path).expect("readable");
        bytes.push(b'\n');
        fs::write(path, bytes).expect("writable");
    };
    let remove = |path: &Path| fs::remove_file(path).expect("removable");
    let hash = |e: &BundleError| matches!(e, BundleError::Hash { .. });
    assert!(hash(&break_file("images/out.elf", &append)));
    assert!(hash(&break_file("routes.json", &append)));
    assert!(hash(&break_file("selftest/expected.json", &append)));
    let error = break_file("images/out.elf", &remove);
    assert!(matches!(error, BundleError::Read { .. }));
    let error = break_file("manifest.json", &|path| {
        let text = fs::read_to_string(path).expect("readable");
        fs::write(path, text.replace("\"version\": 2", "\"version\": 3")).expect("writable");
    });
    assert!(matches!(
        error,
        BundleError::Version {
            expected: 2,
            found: 3
        }
    ));
    let error = break_file("manifest.json", &|path| {
        let text = fs::read_to_string(path).expect("readable");
        fs::write(path, text.replace("routes.json", "../routes.json")).expect("writable");
    });
    assert!(matches!(error, BundleError::Missing { .. }));
    let error = break_file("manifest.json", &|path| {
        fs::write(path, "{}").expect("writable");
    });
    assert!(matches!(error, BundleError::Json { .. }));
}

#[test]
fn attachments_stay_in_their_place() {
    for name in ["manifest.json", "routes.json", "../x", "/x", "", "a//b"] {
        let mut bundle = bundle(&program(6, 1));
        bundle.attachments.insert(name.to_owned(), Vec::new());
        let error = bundle.files().expect_err("not a place for an attachment");
        assert!(matches!(error, BundleError::Attachment(found) if found == name));
    }
}

#[test]
fn a_bundle_of_another_program_is_refused() {
    let bundle = bundle(&program(6, 3));
    let error = bundle.check(&program(6, 2)).expect_err("other replicas");
    assert!(matches!(error, BundleError::OtherProgram { .. }));
}

#[test]
fn every_pe_gets_its_instance_and_the_optimiser_its_addresses() {
    let program = program(6, 3);
    let bundle = bundle(&program);
    let target = Target::spinnaker2();
    for (placement, load) in bundle.mapping.placements.iter().zip(&bundle.loads) {
        let config = &load.data[0];
        assert_eq!(config.symbol, "config");
        assert_eq!(config.words, [u32::from(placement.instance.raw()) << 24]);
    }
    let fc1 = &bundle.loads[12].data[1];
    assert_eq!(fc1.symbol, "fc1.weight.remote.gradient");
    let hidden = &bundle.images[ImageId::new(1)];
    let gradient = hidden.data("hidden/layer.fc1.weight.gradient");
    let gradient = gradient.or_else(|| {
        hidden
            .image
            .symbols
            .iter()
            .find(|s| s.name.contains("grad"))
    });
    let address = gradient.expect("a gradient").addr;
    for (replica, &word) in fc1.words.iter().enumerate() {
        let pe = bundle.mapping.placements[4 * replica + 1].pe;
        assert_eq!(word, target.remote_sram(pe.quad(), pe.place()) + address);
    }
}

#[test]
fn a_population_that_does_not_fit_names_what_takes_the_room() {
    let problems = Bundle::build(&program(6000, 1), &Target::spinnaker2()).expect_err("too large");
    assert!(problems.0.iter().all(|p| p.code == MAP_SRAM), "{problems}");
    assert!(problems.0[0].message.contains("parameters"));
}

#[test]
fn mem_files_are_what_objcopy_makes_of_the_images() {
    let (_root, dir, bundle) = written();
    let elf = dir.join("images/out.elf");
    let mem = dir.join("objcopy.mem");
    let mut objcopy = std::process::Command::new("arm-none-eabi-objcopy");
    let Ok(status) = objcopy.args(["-O", "verilog"]).arg(&elf).arg(&mem).status() else {
        nirc_tests::tools::skip("arm-none-eabi-objcopy is not installed");
        return;
    };
    assert!(status.success());
    let ours = String::from_utf8(bundle.files().expect("files")["images/out.mem"].clone());
    assert_eq!(
        ours.expect("text"),
        fs::read_to_string(&mem).expect("written")
    );
}

//! `nirc compile`

use std::collections::BTreeMap;

use nirc_ir::event::Program;
use nirc_ir::text::{print_network, print_program};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_runtime::bundle;
use nirc_runtime::config::Config;
use nirc_runtime::model::Model;
use nirc_runtime::program::{self, Job};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;
use serde_json::json;

use crate::args::{Compile, Stage};
use crate::show;

/// Compiles a network and writes its bundle.
pub(crate) fn compile(args: &Compile, json: bool) -> Result<(), Diagnostics> {
    let config = args.config.read()?;
    let target = target(&args.target)?;
    let model = Model::open(&args.file, &config.reading())?;
    show::diagnostics(&model.notes, json);
    let program = bundle::program(&model, &config, &target)?;
    let (mut bundle, notes) = bundle::build(&model, &program, &target)?;
    show::diagnostics(&notes, json);
    let texts = texts(&args.emit, &model, &config, &program, &bundle, &target)?;
    bundle.attachments.extend(texts);
    bundle.write(&args.output).map_err(Diagnostic::from)?;
    report(args, &program, &bundle, json);
    Ok(())
}

pub(crate) fn target(name: &str) -> Result<Target, Diagnostic> {
    match name {
        "spinnaker2" => Ok(Target::spinnaker2()),
        other => Err(Diagnostic::error(
            codes::TARGET,
            "--target",
            format!("there is no target `{other}`"),
        )
        .help("the targets are: spinnaker2")),
    }
}

fn texts(
    stages: &[Stage],
    model: &Model,
    config: &Config,
    program: &Program,
    bundle: &Bundle,
    target: &Target,
) -> Result<BTreeMap<String, Vec<u8>>, Diagnostics> {
    let wanted = |stage| stages.contains(&stage) || stages.contains(&Stage::All);
    let mut texts = BTreeMap::new();
    let mut emit = |name: &str, text: String| {
        texts.insert(format!("emit/{name}"), text.into_bytes());
    };
    if wanted(Stage::Network) {
        emit("network.txt", print_network(&model.network));
    }
    if wanted(Stage::Event) {
        let forward = Job::Forward {
            batch: program::training(config)?.batch,
        };
        let forward = program::compile(&model.network, config, forward, target)?;
        emit("event.txt", print_program(&forward));
    }
    if wanted(Stage::Adjoint) {
        emit("adjoint.txt", print_program(program));
    }
    if wanted(Stage::Mapping) {
        emit("mapping.txt", bundle.mapping_text().to_owned());
    }
    if wanted(Stage::Listing) {
        for firmware in bundle.images.values() {
            emit(&format!("{}.lst", firmware.name), firmware.listing.clone());
        }
    }
    Ok(texts)
}

fn report(args: &Compile, program: &Program, bundle: &Bundle, json: bool) {
    let used = |memory: &[nirc_spinnaker2::bundle::manifest::RegionEntry]| -> u32 {
        memory.iter().map(|region| region.size).sum()
    };
    if json {
        let images = bundle
            .images
            .values()
            .map(|image| json!({ "name": image.name, "sram_bytes": used(&image.memory) }));
        show::json(&json!({
            "bundle": args.output.display().to_string(),
            "network": program.name,
            "replicas": program.replicas,
            "pes": bundle.mapping.placements.len(),
            "routes": bundle.mapping.routes.len(),
            "images": images.collect::<Vec<_>>(),
        }));
        return;
    }
    show::line(format!(
        "{}: {} with {} replicas on {} PEs, {} routes",
        args.output.display(),
        program.name,
        program.replicas,
        bundle.mapping.placements.len(),
        bundle.mapping.routes.len()
    ));
    let rows: Vec<_> = bundle
        .images
        .values()
        .map(|image| vec![image.name.clone(), used(&image.memory).to_string()])
        .collect();
    show::line(show::table(&["image", "bytes of SRAM"], &rows));
}

//! `nirc compile`

use std::collections::BTreeMap;

use nirc_ir::event::Program;
use nirc_ir::text::{print_network, print_program};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_runtime::bundle::forward::Forward;
use nirc_runtime::bundle::training;
use nirc_runtime::config::Config;
use nirc_runtime::model::Model;
use nirc_runtime::program::{self, Job};
use nirc_runtime::reading::Reading;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;
use serde_json::json;

use crate::args::{Compile, Stage};
use crate::show;

/// Compiles a network, for training if there is a configuration, and writes its bundle.
pub(crate) fn compile(args: &Compile, json: bool) -> Result<(), Diagnostics> {
    let (reading, config) = args.semantics.read(&args.file, json)?;
    let target = target(&args.target)?;
    let mut compiled = match config {
        Some(config) => to_train(args, &reading, &config, &target, json)?,
        None => to_run(args, reading, &target, json)?,
    };
    let texts = compiled.texts(&args.emit)?;
    compiled.bundle.attachments.extend(texts);
    compiled
        .bundle
        .write(&args.output)
        .map_err(Diagnostic::from)?;
    report(args, &compiled.program, &compiled.bundle, json);
    Ok(())
}

/// A network, its program and its bundle.
struct Compiled {
    reading: Reading,
    model: Model,
    forward: Program,
    /// What is in the bundle: `forward`, or that with its adjoint.
    program: Program,
    bundle: Bundle,
}

fn to_train(
    args: &Compile,
    reading: &Reading,
    config: &Config,
    target: &Target,
    json: bool,
) -> Result<Compiled, Diagnostics> {
    if *reading != config.reading() {
        return Err(beside_config().into());
    }
    let model = Model::open(&args.file, reading)?;
    show::diagnostics(&model.notes, json);
    let program = training::program(&model, config, target)?;
    let (bundle, notes) = training::build(&model, &program, target)?;
    show::diagnostics(&notes, json);
    let batch = program::training(config)?.batch;
    let forward = program::compile(&model.network, config, Job::Forward { batch }, target)?;
    Ok(Compiled {
        reading: reading.clone(),
        model,
        forward,
        program,
        bundle,
    })
}

fn to_run(
    args: &Compile,
    reading: Reading,
    target: &Target,
    json: bool,
) -> Result<Compiled, Diagnostics> {
    let ticks = args.forward.ticks.ok_or_else(no_ticks)?;
    let mut reading = reading.keeping(&args.forward.record);
    reading.graded.extend(args.forward.values.iter().cloned());
    let model = Model::open(&args.file, &reading)?;
    show::diagnostics(&model.notes, json);
    let forward = Forward {
        reading,
        record: args.forward.record.clone(),
    };
    let replicas = usize::from(args.forward.replicas);
    let program = forward.program(&model, ticks, replicas, target)?;
    let balance = args.forward.balance.into();
    let bundle = forward.build(&model, &program, target, balance)?;
    Ok(Compiled {
        reading: forward.reading,
        model,
        forward: program.clone(),
        program,
        bundle,
    })
}

/// Whoever opens the bundle has the configuration alone.
fn beside_config() -> Diagnostic {
    let message = "a convention, tick or attribute is given beside the configuration";
    Diagnostic::error(codes::CONFIG_CONTRADICTION, "--config", message).help(
        "write it into the configuration's [convention] or [time], or override those with --set",
    )
}

fn no_ticks() -> Diagnostic {
    let message = "expected the ticks of a sample, found none";
    Diagnostic::error(codes::CONFIG_CONTRADICTION, "--ticks", message).help(
        "give --ticks to compile a network that runs forward only, or --config to compile one that trains",
    )
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

impl Compiled {
    /// The texts of these stages, by their files in the bundle.
    fn texts(&self, stages: &[Stage]) -> Result<BTreeMap<String, Vec<u8>>, Diagnostics> {
        let wanted = |stage| stages.contains(&stage) || stages.contains(&Stage::All);
        let mut texts = BTreeMap::new();
        let mut emit = |name: &str, text: String| {
            texts.insert(format!("emit/{name}"), text.into_bytes());
        };
        if wanted(Stage::Passes) {
            let passes = self.model.passes(&self.reading)?;
            for (number, (pass, network)) in passes.iter().enumerate() {
                emit(
                    &format!("passes/{number}-{pass}.txt"),
                    print_network(network),
                );
            }
        }
        if wanted(Stage::Network) {
            emit("network.txt", print_network(&self.model.network));
        }
        if wanted(Stage::Event) {
            emit("event.txt", print_program(&self.forward));
        }
        if self.program.has_adjoint() {
            if wanted(Stage::Adjoint) {
                emit("adjoint.txt", print_program(&self.program));
            }
        } else if stages.contains(&Stage::Adjoint) {
            let message = "a network that runs forward only has no adjoint";
            return Err(
                Diagnostic::error(codes::CONFIG_CONTRADICTION, "--emit", message)
                    .help("compile it for training, with --config, or leave `adjoint` out")
                    .into(),
            );
        }
        if wanted(Stage::Mapping) {
            emit("mapping.txt", self.bundle.mapping_text().to_owned());
        }
        if wanted(Stage::Listing) {
            for firmware in self.bundle.images.values() {
                emit(&format!("{}.lst", firmware.name), firmware.listing.clone());
            }
        }
        Ok(texts)
    }
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
        "{}: {} with {} on {}, {}",
        args.output.display(),
        program.name,
        show::count(program.replicas, "replica"),
        show::count(bundle.mapping.placements.len(), "PE"),
        show::count(bundle.mapping.routes.len(), "route")
    ));
    let rows: Vec<_> = bundle
        .images
        .values()
        .map(|image| vec![image.name.clone(), used(&image.memory).to_string()])
        .collect();
    show::line(show::table(&["image", "bytes of SRAM"], &rows));
}

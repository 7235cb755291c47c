//! `nirc run`

use std::io::IsTerminal;

use nirc_ir::Diagnostics;
use nirc_runtime::jobs::{self, Ran};
use serde_json::json;

use crate::args::Run;
use crate::show;

/// Runs a network forward.
pub(crate) fn run(args: &Run, json: bool) -> Result<(), Diagnostics> {
    let source = if args.source.is_dir() {
        let config = args.semantics.of_bundle()?;
        jobs::Source::Bundle(args.source.clone(), config.map(Box::new))
    } else {
        let (reading, config) = args.semantics.read(&args.source, json)?;
        jobs::Source::Model {
            file: args.source.clone(),
            reading: Box::new(reading),
            ticks: config.map(|config| config.time.ticks),
        }
    };
    let job = jobs::Run {
        source,
        input: args.input.clone(),
        ticks: args.ticks,
        record: args.record.clone(),
        executors: args.executor.into(),
        output: args.output.clone(),
        report: args.report.clone(),
    };
    let shown = !json && std::io::stderr().is_terminal();
    let ran = jobs::run(&job, &mut |done, of| {
        if shown && of > 1 {
            eprint!("\r{done} of {of} samples");
        }
    })?;
    if shown && ran.samples > 1 {
        eprintln!();
    }
    show::diagnostics(&ran.notes, json);
    if json {
        show::json(&json!({
            "output": args.output.display().to_string(),
            "ticks": ran.ticks,
            "samples": ran.samples,
            "pes": pes(&ran).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    show::line(format!(
        "{}: {} of {}",
        args.output.display(),
        show::count(ran.samples, "sample"),
        show::count(ran.ticks as usize, "tick")
    ));
    if ran.stats.is_some() {
        show::line(chip(&ran));
    }
    Ok(())
}

/// What each PE did.
fn pes(ran: &Ran) -> impl Iterator<Item = serde_json::Value> {
    let stats = ran.stats.iter().flat_map(|stats| &stats.pes);
    stats.zip(&ran.names).map(|((instance, _, pe), name)| {
        json!({
            "pe": pe.pe.to_string(),
            "instance": instance.to_string(),
            "runs": name,
            "sram_bytes": pe.sram_bytes,
            "busy_cycles": pe.busy_cycles,
            "sleep_cycles": pe.sleep_cycles,
            "packets_sent": pe.packets_sent,
            "packets_received": pe.packets_received,
        })
    })
}

/// Memory and cycles of the PEs, a line each; replicas are alike, so the first is shown.
fn chip(ran: &Ran) -> String {
    let stats = ran.stats.iter().flat_map(|stats| &stats.pes);
    let all: Vec<_> = stats.zip(&ran.names).collect();
    let first = all.first().map(|((instance, _, _), _)| *instance);
    let shown = all
        .iter()
        .filter(|((instance, _, _), _)| Some(*instance) == first);
    let runs = ran.samples.div_ceil(replicas(ran)).max(1) as u64;
    let ticks = u64::from(ran.ticks).max(1) * runs;
    let rows = shown.map(|((_, _, pe), name)| {
        vec![
            (*name).clone(),
            pe.pe.to_string(),
            pe.sram_bytes.to_string(),
            (pe.busy_cycles / ticks).to_string(),
            pe.packets_sent.to_string(),
        ]
    });
    let rows: Vec<_> = rows.collect();
    let head = [
        "process",
        "PE",
        "bytes of SRAM",
        "busy cycles a tick",
        "packets sent",
    ];
    show::table(&head, &rows)
}

/// Replicas that took samples side by side.
fn replicas(ran: &Ran) -> usize {
    let stats = ran.stats.iter().flat_map(|stats| &stats.pes);
    let instances: std::collections::BTreeSet<_> =
        stats.map(|(instance, _, _)| *instance).collect();
    instances.len().max(1)
}

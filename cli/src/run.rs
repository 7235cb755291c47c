//! `nirc run`

use std::io::IsTerminal;

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;
use serde_json::json;

use crate::args::{Run, no_config};
use crate::show;

/// Runs a network forward.
pub(crate) fn run(args: &Run, json: bool) -> Result<(), Diagnostics> {
    let (reading, config) = args.semantics.read()?;
    let source = if args.source.is_dir() {
        let config = config.clone().ok_or_else(no_config)?;
        jobs::Source::Bundle(args.source.clone(), Box::new(config))
    } else {
        jobs::Source::Model(args.source.clone())
    };
    let job = jobs::Run {
        source,
        reading,
        input: args.input.clone(),
        ticks: args.ticks,
        configured: config.as_ref().map(|config| config.time.ticks),
        record: args.record.clone(),
        executors: args.executor.into(),
        output: args.output.clone(),
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
            "output": args.output,
            "ticks": ran.ticks,
            "samples": ran.samples,
        }));
    } else {
        show::line(format!(
            "{}: {} samples of {} ticks",
            args.output.display(),
            ran.samples,
            ran.ticks
        ));
    }
    Ok(())
}

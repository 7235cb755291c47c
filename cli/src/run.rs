//! `nirc run`

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;
use serde_json::json;

use crate::args::Run;
use crate::show;

/// Runs a network forward.
pub(crate) fn run(args: &Run, json: bool) -> Result<(), Diagnostics> {
    let config = args.config.read()?;
    let source = if args.source.is_dir() {
        jobs::Source::Bundle(args.source.clone())
    } else {
        jobs::Source::Model(args.source.clone())
    };
    let job = jobs::Run {
        source,
        input: args.input.clone(),
        record: args.record.clone(),
        executors: args.executor.into(),
        output: args.output.clone(),
    };
    let notes = jobs::run(&job, &config)?;
    show::diagnostics(&notes, json);
    if json {
        show::json(&json!({ "output": args.output }));
    } else {
        show::line(args.output.display());
    }
    Ok(())
}

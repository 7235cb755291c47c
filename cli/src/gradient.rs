//! `nirc gradient`

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;
use serde_json::json;

use crate::args::Gradient;
use crate::show;

/// Computes the gradients of a batch.
pub(crate) fn gradient(args: &Gradient, json: bool) -> Result<(), Diagnostics> {
    let config = args.config.read()?;
    let job = jobs::Gradient {
        model: args.file.clone(),
        input: args.input.clone(),
        labels: args.labels.clone(),
        error: args.error.clone(),
        executors: args.executor.into(),
        output: args.output.clone(),
    };
    let notes = jobs::gradient(&job, &config)?;
    show::diagnostics(&notes, json);
    if json {
        show::json(&json!({ "output": args.output.display().to_string() }));
    } else {
        show::line(args.output.display());
    }
    Ok(())
}

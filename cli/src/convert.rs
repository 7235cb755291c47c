//! `nirc convert`

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;
use serde_json::json;

use crate::args::{Convert, all_problems, reading};
use crate::show;

/// Rewrites a file for another tool.
pub(crate) fn convert(args: &Convert, json: bool) -> Result<(), Diagnostics> {
    let from = reading(&args.from, args.dt, &args.set);
    let to = reading(&args.to, args.to_dt, &args.set_to);
    let (from, to) = match (from, to) {
        (Ok(from), Ok(to)) => (from, to),
        (from, to) => return Err(all_problems([from.err(), to.err()])),
    };
    let job = jobs::Convert {
        input: args.input.clone(),
        output: args.output.clone(),
        from,
        to,
    };
    let notes = jobs::convert_file(&job)?;
    show::diagnostics(&notes, json);
    if json {
        show::json(&json!({ "output": args.output.display().to_string() }));
    } else {
        show::line(args.output.display());
    }
    Ok(())
}

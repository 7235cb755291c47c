//! `nirc convert`

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;
use nirc_runtime::reading::Reading;
use serde_json::json;

use crate::args::Convert;
use crate::conventions::preset;
use crate::show;

/// Rewrites a file for another tool.
pub(crate) fn convert(args: &Convert, json: bool) -> Result<(), Diagnostics> {
    let mut from = Reading::under(preset(&args.from)?);
    from.dt = args.dt;
    let job = jobs::Convert {
        input: args.input.clone(),
        output: args.output.clone(),
        from,
        to: preset(&args.to)?,
        to_dt: args.to_dt,
    };
    let notes = jobs::convert_file(&job)?;
    show::diagnostics(&notes, json);
    if json {
        show::json(&json!({ "output": args.output }));
    } else {
        show::line(args.output.display());
    }
    Ok(())
}

//! `nirc check`

use nirc_ir::{Diagnostics, Severity};
use nirc_runtime::jobs::{self, Checked, Verdict};

use crate::args::Check;
use crate::compile::target;
use crate::show;

/// Shows the verdict on each node; fails if one is not supported.
pub(crate) fn check(args: &Check, json: bool) -> Result<(), Diagnostics> {
    let (reading, _) = args.semantics.read(&args.file, json)?;
    let target = args.target.as_deref().map(target).transpose()?;
    let job = jobs::Check {
        file: args.file.clone(),
        reading,
        target: target.map(|target| (target, args.ticks)),
    };
    let checked = jobs::check(&job)?;
    if json {
        show::json(&checked);
    } else {
        show::diagnostics(&checked.problems, json);
        show::line(text(&checked));
    }
    if checked.is_supported() {
        return Ok(());
    }
    // Shown already, with everything else.
    Err(Diagnostics::new())
}

fn text(checked: &Checked) -> String {
    let mut rows = Vec::new();
    for node in &checked.nodes {
        let verdict = match node.verdict {
            Verdict::Faithful => "faithful",
            Verdict::Approximate => "approximate",
            Verdict::Unsupported => "unsupported",
        };
        let mut first = vec![
            node.node.clone(),
            node.type_name.clone(),
            verdict.to_owned(),
        ];
        let mut how = node.how.iter();
        first.push(how.next().cloned().unwrap_or_default());
        rows.push(first);
        rows.extend(how.map(|how| {
            let blank = String::new;
            vec![blank(), blank(), blank(), how.clone()]
        }));
    }
    let mut text = show::table(&["node", "type", "verdict", "how"], &rows);
    if let Some(pes) = checked.pes {
        text.push_str(&format!(
            "\n\nIt fits the chip, on {}.",
            show::count(pes, "PE")
        ));
    }
    let count = |severity| {
        let all = checked.problems.0.iter();
        all.filter(|p| p.severity == severity).count()
    };
    let counts = [
        (Severity::Error, "error"),
        (Severity::Warning, "warning"),
        (Severity::Note, "note"),
    ];
    let counts = counts.map(|(severity, what)| show::count(count(severity), what));
    text.push_str(&format!("\n\n{}", counts.join(", ")));
    text
}

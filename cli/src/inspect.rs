//! `nirc inspect`

use nirc_compiler::nir::{self, FieldSummary, NodeSummary, Summary, Verdict};
use nirc_ir::Diagnostics;

use crate::args::Inspect;
use crate::show;

/// Shows what is in a file.
pub(crate) fn inspect(args: &Inspect, json: bool) -> Result<(), Diagnostics> {
    let (file, notes) = nir::read(&args.file)?;
    show::diagnostics(&notes, json);
    let summary = nir::summary(&file);
    if json {
        show::json(&summary);
    } else {
        show::line(text(&args.file.display().to_string(), &summary));
    }
    Ok(())
}

fn text(name: &str, summary: &Summary) -> String {
    let version = summary.version.as_deref().unwrap_or("unknown");
    let mut parts = vec![format!("{name}: NIR {version}")];
    if !summary.metadata.is_empty() {
        let metadata = summary.metadata.iter();
        let rows: Vec<_> = metadata.map(|(k, v)| vec![k.clone(), v.clone()]).collect();
        parts.push(show::table(&["metadata", "value"], &rows));
    }
    let mut rows = Vec::new();
    for node in &summary.nodes {
        rows.extend(node_rows(node));
    }
    let head = [
        "node", "type", "compiles", "field", "shape", "element", "values",
    ];
    parts.push(show::table(&head, &rows));
    let edges = summary
        .edges
        .iter()
        .map(|(from, to)| format!("{from} -> {to}"));
    parts.push(format!("edges\n{}", edges.collect::<Vec<_>>().join("\n")));
    parts.join("\n\n")
}

/// A row for each field; the node's own columns stand in the first.
fn node_rows(node: &NodeSummary) -> Vec<Vec<String>> {
    let verdict = match &node.verdict {
        Verdict::Supported => "yes".to_owned(),
        Verdict::Unsupported(why) | Verdict::Malformed(why) => format!("no: {why}"),
    };
    let mut first = vec![node.path.clone(), node.type_name.clone(), verdict];
    if node.fields.is_empty() {
        return vec![first];
    }
    let rows = node.fields.iter().map(|field| {
        let mut row = std::mem::replace(&mut first, vec![String::new(); 3]);
        row.extend(field_columns(field));
        row
    });
    rows.collect()
}

fn field_columns(field: &FieldSummary) -> [String; 4] {
    let shape: Vec<String> = field.shape.iter().map(u64::to_string).collect();
    let mut values = match (&field.value, field.range) {
        (Some(value), _) => value.clone(),
        (None, Some((low, high))) if low == high => format!("{low}"),
        (None, Some((low, high))) => format!("{low} … {high}"),
        (None, None) => String::new(),
    };
    if field.not_finite > 0 {
        values.push_str(&format!(", {} not finite", field.not_finite));
    }
    [
        field.name.clone(),
        format!("({})", shape.join(", ")),
        field.dtype.clone(),
        values,
    ]
}

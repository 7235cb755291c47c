//! `nirc targets`

use nirc_ir::Diagnostics;
use nirc_spinnaker2::target::Target;
use serde_json::json;

use crate::show;

/// Lists what is known of each chip, and how well.
pub(crate) fn targets(json: bool) -> Result<(), Diagnostics> {
    let target = Target::spinnaker2();
    if json {
        let values = target.rows().iter().map(|row| {
            json!({
                "name": row.name,
                "value": row.value,
                "source": row.source,
                "trust": row.trust.name(),
            })
        });
        show::json(&json!([{ "target": "spinnaker2", "values": values.collect::<Vec<_>>() }]));
        return Ok(());
    }
    show::line("spinnaker2");
    let rows: Vec<_> = target
        .rows()
        .iter()
        .map(|row| {
            vec![
                row.name.clone(),
                row.value.clone(),
                row.trust.name().to_owned(),
                row.source.clone(),
            ]
        })
        .collect();
    show::line(show::table(&["name", "value", "trust", "source"], &rows));
    Ok(())
}

//! `nirc supported`

use nirc_ir::Diagnostics;
use nirc_runtime::jobs;

use crate::show;

/// Lists what can be done with each primitive of NIR.
pub(crate) fn supported(json: bool) -> Result<(), Diagnostics> {
    let all = jobs::supported();
    if json {
        show::json(&all);
        return Ok(());
    }
    let word = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
    let rows: Vec<_> = all
        .iter()
        .map(|support| {
            vec![
                support.primitive.to_owned(),
                word(support.import),
                word(support.export),
                word(support.host),
                word(support.chip),
                word(support.trainable),
            ]
        })
        .collect();
    let head = ["primitive", "import", "export", "host", "chip", "trainable"];
    show::line(show::table(&head, &rows));
    Ok(())
}

//! `nirc conventions`

use nirc_ir::convention::Convention;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde_json::json;

use crate::args::Conventions;
use crate::show;

/// Lists the presets, or explains one.
pub(crate) fn conventions(args: &Conventions, json: bool) -> Result<(), Diagnostics> {
    match &args.name {
        Some(name) => explain(&preset(name)?, json),
        None => list(json),
    }
    Ok(())
}

/// The preset of this name.
pub(crate) fn preset(name: &str) -> Result<Convention, Diagnostic> {
    Convention::preset(name).ok_or_else(|| {
        let message = format!("no convention is called `{name}`");
        let known = Convention::PRESETS.join(", ");
        Diagnostic::error(codes::CONVENTION, name, message)
            .help(format!("the conventions are: {known}"))
    })
}

fn presets() -> impl Iterator<Item = Convention> {
    Convention::PRESETS
        .iter()
        .filter_map(|name| Convention::preset(name))
}

/// A row an attribute, a column a preset.
fn list(json: bool) {
    if json {
        show::json(&presets().collect::<Vec<_>>());
        return;
    }
    let columns: Vec<_> = presets().map(|preset| preset.attributes()).collect();
    let mut head = vec!["attribute"];
    head.extend(Convention::PRESETS);
    let rows: Vec<Vec<String>> = Convention::ATTRIBUTES
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let values = columns.iter().map(|attributes| attributes[at].1.clone());
            std::iter::once((*name).to_owned()).chain(values).collect()
        })
        .collect();
    show::line(show::table(&head, &rows));
    show::line(
        "\n`nirc conventions NAME` explains one; --set ATTRIBUTE=VALUE changes an attribute of it.",
    );
}

fn explain(convention: &Convention, json: bool) {
    let values = convention.attributes();
    let described = Convention::describe();
    if json {
        let attributes = described
            .iter()
            .zip(&values)
            .map(|(attribute, (name, value))| {
                let choices = attribute.values.iter();
                let choices =
                    choices.map(|(word, meaning)| json!({ "value": word, "means": meaning }));
                json!({
                    "attribute": name,
                    "value": value,
                    "decides": attribute.meaning,
                    "choices": choices.collect::<Vec<_>>(),
                })
            });
        show::json(&json!({
            "convention": convention.name,
            "what": Convention::story(&convention.name),
            "attributes": attributes.collect::<Vec<_>>(),
        }));
        return;
    }
    show::line(format!(
        "{}\n{}\n",
        convention.name,
        Convention::story(&convention.name)
    ));
    let mut rows = Vec::new();
    for (attribute, (name, value)) in described.iter().zip(&values) {
        let meaning = attribute.values.iter().find(|(word, _)| word == value);
        let others = attribute.values.iter().filter(|(word, _)| word != value);
        rows.push(vec![
            (*name).to_owned(),
            value.clone(),
            meaning
                .map_or(attribute.meaning, |(_, meaning)| meaning)
                .to_owned(),
            others.map(|(word, _)| *word).collect::<Vec<_>>().join(", "),
        ]);
    }
    show::line(show::table(
        &["attribute", "value", "which means", "or"],
        &rows,
    ));
}

//! `nirc conventions`

use nirc_ir::convention::Convention;
use nirc_ir::{Diagnostic, Diagnostics, codes};
use serde_json::json;

use crate::args::Conventions;
use crate::show;

/// Lists the presets, or explains one.
pub(crate) fn conventions(args: &Conventions, json: bool) -> Result<(), Diagnostics> {
    match (&args.name, json) {
        (Some(name), false) => show::line(explained(&preset(name)?)),
        (Some(name), true) => show::json(&described(&preset(name)?)),
        (None, false) => show::line(list()),
        (None, true) => {
            let all: Vec<_> = presets().map(|preset| described(&preset)).collect();
            show::json(&all);
        }
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
    let names = Convention::PRESETS.iter();
    names.filter_map(|name| Convention::preset(name))
}

/// The preset that others are told by their difference from.
const PLAIN: &str = "euler";

/// Each preset with what it is, and in what it differs from the plainest.
fn list() -> String {
    let plain = Convention::preset(PLAIN).map(|plain| plain.attributes());
    let plain = plain.unwrap_or_default();
    let mut text = String::new();
    for preset in presets() {
        let story = Convention::story(&preset.name);
        text.push_str(&format!("{}\n  {story}\n", preset.name));
        let attributes = preset.attributes();
        let mut differ: Vec<String> = attributes
            .iter()
            .filter(|attribute| !plain.contains(attribute))
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        differ.extend(exceptions(&preset.name));
        let differ = match (differ.is_empty(), preset.name == PLAIN) {
            (_, true) => "the others are told by their difference from this one".to_owned(),
            (true, false) => format!("as {PLAIN}"),
            (false, false) => differ.join(" "),
        };
        text.push_str(&format!("  {differ}\n\n"));
    }
    text.push_str(
        "`nirc conventions NAME` explains one; `--set ATTRIBUTE=VALUE` changes an attribute of it.",
    );
    text
}

fn exceptions(name: &str) -> Vec<String> {
    let exceptions = Convention::exceptions(name).iter();
    exceptions
        .map(|e| format!("{}.{}={}", e.node, e.attribute, e.value))
        .collect()
}

fn explained(convention: &Convention) -> String {
    let values = convention.attributes();
    let mut rows = Vec::new();
    for (attribute, (name, value)) in Convention::describe().iter().zip(&values) {
        let meaning = attribute.values.iter().find(|(word, _)| word == value);
        let others = attribute.values.iter().filter(|(word, _)| word != value);
        rows.push(vec![
            (*name).to_owned(),
            value.clone(),
            others.map(|(word, _)| *word).collect::<Vec<_>>().join(", "),
            meaning
                .map_or(attribute.meaning, |(_, meaning)| meaning)
                .to_owned(),
        ]);
    }
    let story = Convention::story(&convention.name);
    let table = show::table(&["attribute", "value", "or", "which means"], &rows);
    let mut text = format!("{}\n{story}\n\n{table}", convention.name);
    let exceptions = exceptions(&convention.name);
    if !exceptions.is_empty() {
        text.push_str(&format!("\n\nbut {}", exceptions.join(", ")));
    }
    text
}

fn described(convention: &Convention) -> serde_json::Value {
    let values = convention.attributes();
    let attributes = Convention::describe();
    let attributes = attributes.iter().zip(&values);
    let attributes = attributes.map(|(attribute, (name, value))| {
        let choices = attribute.values.iter();
        let choices = choices.map(|(word, meaning)| json!({ "value": word, "means": meaning }));
        json!({
            "attribute": name,
            "value": value,
            "decides": attribute.meaning,
            "choices": choices.collect::<Vec<_>>(),
        })
    });
    json!({
        "convention": convention.name,
        "what": Convention::story(&convention.name),
        "attributes": attributes.collect::<Vec<_>>(),
        "exceptions": exceptions(&convention.name),
    })
}

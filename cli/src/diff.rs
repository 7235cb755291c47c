//! `nirc diff`

use std::path::Path;

use nirc_compiler::nir::{Difference, Side, Values};
use nirc_ir::Diagnostics;
use nirc_runtime::jobs::{self, Attribute, Behaviour, Differences, Explanation};
use nirc_runtime::reading::Reading;

use crate::args::{Diff, stated};
use crate::conventions::preset;
use crate::show;

/// Shows in what two files differ, and what follows from it.
pub(crate) fn diff(args: &Diff, json: bool) -> Result<(), Diagnostics> {
    let job = jobs::Diff {
        files: [args.a.clone(), args.b.clone()],
        readings: readings(args, json)?,
        input: args.input.clone(),
        executors: args.executor.into(),
    };
    let differences = jobs::diff(&job)?;
    show::diagnostics(&differences.notes, json);
    if json {
        show::json(&differences);
    } else {
        show::line(text(&differences));
    }
    Ok(())
}

/// How the two are read; contents are compared without that, if there is nothing to run them on.
fn readings(args: &Diff, json: bool) -> Result<Option<[Reading; 2]>, Diagnostics> {
    if args.input.is_none() {
        return Ok(None);
    }
    let reading = |convention: Option<&String>, file: &Path| {
        let mut reading = match convention {
            Some(name) => Reading::under(preset(name)?),
            None => stated(file, json)?,
        };
        reading.dt = args.dt;
        reading.set(&args.set)?;
        Ok::<_, Diagnostics>(reading)
    };
    let a = reading(args.convention.as_ref(), &args.a)?;
    let of_b = args.convention_b.as_ref().or(args.convention.as_ref());
    let mut b = reading(of_b, &args.b)?;
    b.set(&args.set_b)?;
    Ok(Some([a, b]))
}

fn text(differences: &Differences) -> String {
    let mut parts = vec![content(&differences.content)];
    if let Some(behaviour) = &differences.behaviour {
        parts.push(behaviours(behaviour));
    }
    parts.join("\n\n")
}

fn content(all: &[Difference]) -> String {
    if all.is_empty() {
        return "The files hold the same nodes, edges and values.".to_owned();
    }
    let side = |side: &Side| match side {
        Side::A => "only in A",
        Side::B => "only in B",
    };
    let row = |difference: &Difference| match difference {
        Difference::Node {
            path,
            type_name,
            only_in,
        } => vec![path.clone(), type_name.clone(), side(only_in).to_owned()],
        Difference::Type { path, types } => vec![
            path.clone(),
            "type".to_owned(),
            format!("{} in A, {} in B", types[0], types[1]),
        ],
        Difference::Edge {
            graph,
            from,
            to,
            only_in,
        } => vec![
            graph.clone(),
            format!("{from} -> {to}"),
            side(only_in).to_owned(),
        ],
        Difference::Field {
            path,
            field,
            only_in,
        } => vec![path.clone(), field.clone(), side(only_in).to_owned()],
        Difference::Values { path, field, how } => {
            vec![path.clone(), field.clone(), values(how)]
        }
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    show::table(&["node", "what", "difference"], &rows)
}

fn values(how: &Values) -> String {
    match how {
        Values::Shape { shapes } => format!("{:?} in A, {:?} in B", shapes[0], shapes[1]),
        Values::Element { types } => format!("{} in A, {} in B, equal values", types[0], types[1]),
        Values::Numbers {
            count,
            of,
            largest,
            at: (index, a, b),
        } => format!("{count} of {of} values, at most by {largest:e}: {a} and {b} at {index}"),
        Values::Text { texts } => format!("{:?} in A, {:?} in B", texts[0], texts[1]),
    }
}

fn behaviours(behaviour: &Behaviour) -> String {
    let rows: Vec<_> = behaviour
        .populations
        .iter()
        .map(|population| {
            vec![
                population.population.clone(),
                population
                    .spikes
                    .map_or_else(String::new, |n| n.to_string()),
                population.bins.to_string(),
                format!("{:e}", population.voltage),
            ]
        })
        .collect();
    let head = [
        "population",
        "other spikes",
        "of bins",
        "voltage by at most",
    ];
    let mut text = show::table(&head, &rows);
    let Some(first) = &behaviour.first else {
        text.push_str("\n\nBoth give the same spikes.");
        return text;
    };
    let has = |spike| if spike { "a spike" } else { "none" };
    text.push_str(&format!(
        "\n\nThe first difference is in tick {}: neuron {} of {} (sample {}) has {} in A and {} in B.",
        first.tick,
        first.neuron,
        first.population,
        first.sample,
        has(first.spikes[0]),
        has(first.spikes[1])
    ));
    text.push_str(&format!("\n{}", explanation(&behaviour.explanation)));
    text
}

fn explanation(explanation: &Explanation) -> String {
    let values = |name: &String| {
        let mut attributes = explanation.attributes.iter();
        let found = attributes.find(|attribute| attribute.attribute == *name);
        found.map_or_else(String::new, |a| {
            let of = places(a).map_or_else(String::new, |places| format!(" of {places}"));
            format!("`{name}`{of} ({} in A, {} in B)", a.values[0], a.values[1])
        })
    };
    if explanation.attributes.is_empty() {
        return "Both are read alike: the files differ.".to_owned();
    }
    let said = match &explanation.together[..] {
        [] => "The attributes do not explain it, not even all together: the files differ as well."
            .to_owned(),
        [alone] => format!("{} explains it.", values(alone)),
        several => {
            let several: Vec<String> = several.iter().map(values).collect();
            format!("Together these explain it: {}.", several.join(", "))
        }
    };
    let rows = explanation.attributes.iter().map(|attribute| {
        let left = attribute
            .left
            .map_or_else(|| "cannot be".to_owned(), |n| n.to_string());
        let places = places(attribute).unwrap_or_else(|| "all".to_owned());
        let [a, b] = attribute.values.clone();
        vec![attribute.attribute.clone(), places, a, b, left]
    });
    let head = ["attribute", "of", "A", "B", "other spikes if B had A's"];
    format!(
        "{said}\n\n{}",
        show::table(&head, &rows.collect::<Vec<_>>())
    )
}

/// The populations in which an attribute differs, unless that is all of them.
fn places(attribute: &Attribute) -> Option<String> {
    let some = !attribute.populations.is_empty();
    some.then(|| attribute.populations.join(", "))
}

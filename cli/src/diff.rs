//! `nirc diff`

use std::path::Path;

use nirc_compiler::nir::{Difference, Side, Values};
use nirc_ir::Diagnostics;
use nirc_runtime::jobs::{self, Behaviour, Compared, Comparison, Differences, Explanation, First};
use nirc_runtime::reading::Reading;

use crate::args::{Diff, all_problems, reading, set, stated};
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
    let read = |convention: Option<&String>, file: &Path, attributes: &[String]| match convention {
        Some(name) => reading(name, args.dt, attributes),
        None => stated(file, json).and_then(|stated| set(stated, args.dt, attributes)),
    };
    let of_b = args.convention_b.as_ref().or(args.convention.as_ref());
    let set_b = [&args.set[..], &args.set_b].concat();
    let a = read(args.convention.as_ref(), &args.a, &args.set);
    let b = read(of_b, &args.b, &set_b);
    match (a, b) {
        (Ok(a), Ok(b)) => Ok(Some([a, b])),
        (a, b) => Err(all_problems([a.err(), b.err()])),
    }
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
        } => format!("{count} of {of} values, at most by {largest:.3e}: {a} and {b} at {index}"),
        Values::Text { texts } => format!("{:?} in A, {:?} in B", texts[0], texts[1]),
    }
}

fn behaviours(behaviour: &Behaviour) -> String {
    let mut parts = Vec::new();
    let row = |population: &Comparison| {
        vec![
            population.population.clone(),
            match population.compared {
                Compared::Spikes => "spikes".to_owned(),
                Compared::V => "v".to_owned(),
            },
            population.differing.to_string(),
            population.bins.to_string(),
            match population.voltage {
                0.0 => "0".to_owned(),
                voltage => format!("{voltage:.3e}"),
            },
        ]
    };
    let rows: Vec<_> = behaviour.populations.iter().map(row).collect();
    let head = [
        "population",
        "compared",
        "differ",
        "of bins",
        "voltage by at most",
    ];
    parts.push(match rows.is_empty() {
        true => "No population can be compared.".to_owned(),
        false => show::table(&head, &rows),
    });
    let apart = behaviour.apart.iter();
    let apart: Vec<_> = apart
        .map(|apart| format!("{} is {}", apart.population, apart.why))
        .collect();
    if !apart.is_empty() {
        parts.push(format!("Not compared: {}.", apart.join(", ")));
    }
    match &behaviour.first {
        Some(first) => parts.push(format!("{}\n{}", difference(first), verdict(behaviour))),
        None if rows.is_empty() => {}
        None => parts.push(same(behaviour).to_owned()),
    }
    if !behaviour.attributes.is_empty() {
        parts.push(attributes(behaviour));
    }
    parts.join("\n\n")
}

fn same(behaviour: &Behaviour) -> &'static str {
    let mut compared = behaviour.populations.iter().map(|p| p.compared);
    match compared.any(|compared| compared == Compared::Spikes) {
        true => "Both give the same spikes.",
        false => "Both give the same voltages.",
    }
}

fn difference(first: &First) -> String {
    let of = |value: f32| match first.compared {
        Compared::V => format!("v = {value:e}"),
        Compared::Spikes if value == 0.0 => "none".to_owned(),
        Compared::Spikes if value == 1.0 => "a spike".to_owned(),
        Compared::Spikes => format!("{value} spikes"),
    };
    format!(
        "The first difference is in tick {}: neuron {} of {} (sample {}) has {} in A and {} in B.",
        first.tick,
        first.neuron,
        first.population,
        first.sample,
        of(first.values[0]),
        of(first.values[1])
    )
}

/// What explains the difference.
fn verdict(behaviour: &Behaviour) -> String {
    match behaviour.attributes.first() {
        None => "Both are read alike: the files differ.".to_owned(),
        Some(best) if best.left == Some(0) => format!(
            "`{}` explains it: with {} instead of {} in B, nothing differs.",
            best.label(),
            best.values[0],
            best.values[1]
        ),
        Some(_) if !behaviour.together.is_empty() => {
            let names = behaviour.together.iter().map(|name| format!("`{name}`"));
            let names: Vec<_> = names.collect();
            format!(
                "No single attribute explains it; {} do together: with the values of A in B, nothing differs.",
                names.join(" and ")
            )
        }
        Some(_) => match behaviour.read_alike {
            Some(left) => format!(
                "No attributes explain it: {left} bins differ even if B is read as A is, since the files differ."
            ),
            None => "No single attribute explains it, and B cannot be read as A is.".to_owned(),
        },
    }
}

fn attributes(behaviour: &Behaviour) -> String {
    let row = |explanation: &Explanation| {
        let left = explanation.left;
        vec![
            explanation.label(),
            explanation.values[0].clone(),
            explanation.values[1].clone(),
            left.map_or_else(|| "not alone".to_owned(), |left| left.to_string()),
        ]
    };
    let rows: Vec<_> = behaviour.attributes.iter().map(row).collect();
    show::table(&["attribute", "A", "B", "differ if B had A's"], &rows)
}

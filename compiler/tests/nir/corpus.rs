//! Every .nir file at hand, and what becomes of it: `corpus.txt`, checked by hand, row by row.

use std::collections::BTreeMap;

use nirc_compiler::nir::{ImportOptions, import, read_bytes};
use nirc_ir::Diagnostics;
use nirc_ir::network::{Convention, Network};

use crate::shared;

/// What becomes of a file in one line: `read` problems; populations of an imported one, then its
/// notes and warnings; or all that is said of a refused one. Codes stand before the nodes they name.
fn outcome(bytes: Vec<u8>) -> String {
    let (file, notes) = match read_bytes(bytes) {
        Ok(read) => read,
        Err(problems) => return format!("unreadable:{}", by_code(&problems)),
    };
    let options = ImportOptions {
        convention: Convention::preset("eventprop").unwrap(),
        dt: Some(1e-3),
        name: "corpus".to_owned(),
    };
    let notes = by_code(&notes);
    match import(&file, &options) {
        Ok((network, more)) => format!("{}{notes}{}", populations(&network), by_code(&more)),
        Err(problems) => format!("refused:{notes}{}", by_code(&problems)),
    }
}

fn populations(network: &Network) -> String {
    let populations: Vec<_> = network
        .populations
        .values()
        .map(|p| format!("{}[{}]", p.name, p.size))
        .collect();
    populations.join(" ")
}

fn by_code(problems: &Diagnostics) -> String {
    let mut text = String::new();
    let mut last = "";
    for problem in &problems.0 {
        if problem.code != last {
            text += &format!(" {}", problem.code);
            last = problem.code;
        }
        let place = problem.place.replace(' ', "");
        text += &format!(" {}", if place.is_empty() { "." } else { &place });
    }
    text
}

#[test]
fn every_file_has_the_outcome_of_the_table() {
    let Some(files) = shared::files() else {
        return;
    };
    let table = include_str!("corpus.txt");
    let lines: Vec<&str> = table.lines().filter(|l| !l.starts_with('#')).collect();
    let rows: BTreeMap<&str, &str> = lines
        .chunks_exact(2)
        .map(|row| (row[0], row[1].trim()))
        .collect();
    let mut seen = 0;
    for (name, path) in &files {
        let found = outcome(shared::bytes(path));
        match rows.get(name.as_str()) {
            Some(expected) => {
                assert_eq!(found, *expected, "{name}");
                seen += 1;
            }
            // A file that came later: it must have an outcome, whichever.
            None => eprintln!("not in the table: {name}\n    {found}"),
        }
    }
    assert_eq!(seen, rows.len(), "files of the table are missing");
}

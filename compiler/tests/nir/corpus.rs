//! Every .nir file at hand, and what becomes of it: `corpus.txt`, checked by hand, row by row.

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
    let mut found = String::new();
    for (name, path) in &files {
        found += &format!("{name}\n    {}\n", outcome(shared::bytes(path)));
    }
    let table = include_str!("corpus.txt");
    let rows: String = table
        .lines()
        .filter(|l| !l.starts_with('#'))
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(found, rows, "found:\n{found}");
}

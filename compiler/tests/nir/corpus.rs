//! Every .nir file at hand, and what becomes of it: `corpus.txt`, checked by hand, row by row.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nirc_compiler::nir::{ImportOptions, import, read_bytes};
use nirc_compiler::passes::canonicalise;
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
        graded: Default::default(),
    };
    let notes = by_code(&notes);
    match import(&file, &options) {
        Ok((mut network, more)) => {
            let imported = format!("{}{notes}{}", parts(&network), by_code(&more));
            match canonicalise(&mut network) {
                Ok(more) => format!("{imported}{}", by_code(&more)),
                Err(problems) => format!("{imported} not canonical:{}", by_code(&problems)),
            }
        }
        Err(problems) => format!("refused:{notes}{}", by_code(&problems)),
    }
}

/// Populations with their shapes, and the projections into them where they are not as files of the plain
/// kind have them: recurrent, or over several nodes.
fn parts(network: &Network) -> String {
    let mut parts = Vec::new();
    for (pop, population) in network.populations.iter() {
        let shape = population.shape.iter().map(usize::to_string);
        parts.push(format!(
            "{}[{}]",
            population.name,
            shape.collect::<Vec<_>>().join(",")
        ));
        for (_, projection) in network.incoming(pop) {
            if projection.pre >= pop {
                parts.push(format!("<{}", projection.name));
            } else if projection.name.contains('+') {
                parts.push(format!("({})", projection.name));
            }
        }
    }
    parts.join(" ")
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

/// Writes the table anew, for reading row by row.
fn bless(table: &str, files: &[(String, PathBuf)]) {
    let head: Vec<&str> = table.lines().take_while(|l| l.starts_with('#')).collect();
    let mut text = head.join("\n") + "\n";
    for (name, path) in files {
        text += &format!("{name}\n    {}\n", outcome(shared::bytes(path)));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nir/corpus.txt");
    std::fs::write(path, text).unwrap();
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
    if std::env::var_os("NIRC_BLESS").is_some() {
        bless(table, &files);
        return;
    }
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

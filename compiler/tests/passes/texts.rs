//! Texts of networks before and after a pass. `NIRC_BLESS=1` writes what comes after anew.
//!
//! The first line of a file is `; ` and the passes to run. `CONVENTION` stands for the text of a
//! convention; below `---` is the network that comes out with what is noted, or the errors.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use nirc_compiler::passes;
use nirc_ir::Diagnostics;
use nirc_ir::entity::PrimaryMap;
use nirc_ir::network::{Convention, Network};
use nirc_ir::text::{Externals, parse_network, print_network};
use nirc_ir::verify_network::verify_network;

fn run(pass: &str, network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    match pass {
        "conventions" => passes::conventions(network, &[]),
        "quantise" => passes::quantise(network),
        "bias" => passes::bias(network),
        "delays" => passes::delays(network),
        "source_delays" => passes::source_delays(network, true),
        "fuse" => passes::fuse(network),
        "dead" => Ok(passes::dead(network, &BTreeSet::from(["kept".to_owned()]))),
        "canonicalise" => passes::canonicalise(network),
        other => panic!("no pass {other}"),
    }
}

/// As it stands in the text of a network.
fn convention() -> String {
    let network = Network {
        name: "net".to_owned(),
        dt: 1e-3,
        convention: Convention::preset("eventprop").unwrap(),
        populations: PrimaryMap::new(),
        projections: PrimaryMap::new(),
        outputs: Vec::new(),
    };
    let text = print_network(&network);
    let body = text.lines().filter(|line| line.starts_with("  "));
    body.collect::<Vec<_>>().join("\n").trim_start().to_owned()
}

fn outcome(before: &str) -> String {
    let head = before.lines().next().unwrap_or_default();
    let text = before.replace("CONVENTION", &convention());
    let mut network = parse_network(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}"));
    verify_network(&network).unwrap_or_else(|e| panic!("{e}"));
    let mut notes = Diagnostics::new();
    for pass in head.trim_start_matches("; ").split(' ') {
        match run(pass, &mut network) {
            Ok(more) => notes.0.extend(more.0),
            Err(problems) => return format!("{problems}\n"),
        }
        verify_network(&network).unwrap_or_else(|e| panic!("{pass}: {e}"));
    }
    let after = print_network(&network).replace(&convention(), "CONVENTION");
    if notes.0.is_empty() {
        after
    } else {
        format!("{after}{notes}\n")
    }
}

#[test]
fn passes_do_what_their_texts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/passes/texts");
    let entries = std::fs::read_dir(&directory).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "{files:?}");
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let (before, after) = text.split_once("---\n").unwrap_or((&text, ""));
        let found = outcome(before);
        if std::env::var_os("NIRC_BLESS").is_some() {
            std::fs::write(&path, format!("{before}---\n{found}")).unwrap();
        } else {
            assert_eq!(found, after, "{}", path.display());
        }
    }
}

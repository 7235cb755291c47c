//! The book is held to what it shows: its IR texts parse and print as they stand, every diagnostic code
//! is in its list, and every page in its summary.

use std::path::{Path, PathBuf};

use nirc_ir::codes;
use nirc_ir::convention::Convention;
use nirc_ir::text::{Externals, parse_network, parse_program, print_network, print_program};
use nirc_ir::verify::verify;

fn pages() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the book is there")
        .map(|entry| entry.expect("readable").path())
        .collect();
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("readable");
            (path, text)
        })
        .collect()
}

/// The code blocks of a language in all pages.
fn blocks(language: &str) -> Vec<(PathBuf, String)> {
    let fence = format!("```{language}\n");
    let mut found = Vec::new();
    for (path, text) in pages() {
        for part in text.split(&fence).skip(1) {
            let end = part.find("```").expect("a block ends");
            found.push((path.clone(), part[..end].to_owned()));
        }
    }
    assert!(!found.is_empty(), "the book shows a {language}");
    found
}

#[test]
fn networks_in_the_book_parse_and_print_as_shown() {
    for (path, text) in blocks("network") {
        let network = parse_network(&text, &Externals::new())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(print_network(&network), text, "{}", path.display());
    }
}

#[test]
fn programs_in_the_book_parse_verify_and_print_as_shown() {
    for (path, text) in blocks("program") {
        let program = parse_program(&text, &Externals::new())
            .unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        verify(&program).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(print_program(&program), text, "{}", path.display());
    }
}

#[test]
fn every_diagnostic_is_in_the_book() {
    let pages = pages();
    let (_, list) = pages
        .iter()
        .find(|(path, _)| path.ends_with("diagnostics.md"))
        .expect("the list");
    for (code, meaning) in codes::ALL {
        assert!(
            list.contains(&format!("| `{code}` |")),
            "{code} ({meaning}) is missing from diagnostics.md"
        );
    }
}

#[test]
fn every_page_is_in_the_summary() {
    let pages = pages();
    let (_, summary) = pages
        .iter()
        .find(|(path, _)| path.ends_with("SUMMARY.md"))
        .expect("the summary");
    for (path, _) in &pages {
        let name = path.file_name().expect("a name").to_string_lossy();
        assert!(
            name == "SUMMARY.md" || summary.contains(&format!("({name})")),
            "{name} is not in the summary"
        );
    }
}

#[test]
fn every_attribute_and_value_of_a_convention_is_in_the_book() {
    let pages = pages();
    let (_, page) = pages
        .iter()
        .find(|(path, _)| path.ends_with("conventions.md"))
        .expect("the chapter");
    for attribute in Convention::describe() {
        let rows = page.lines().filter(|line| line.starts_with('|'));
        let named = format!("`{}`", attribute.name);
        let first = |row: &&str| row.split('|').nth(1).is_some_and(|c| c.contains(&named));
        let row = rows.into_iter().find(first);
        let row = row.unwrap_or_else(|| panic!("{named} is missing from conventions.md"));
        for (value, _) in attribute.values {
            assert!(
                row.contains(&format!("`{value}`")),
                "{named}: {value} is missing"
            );
        }
    }
}

//! The reference implementation reads what nirc writes.
//!
//! `NIRC_PYTHON_NIR` names the Python interpreters to ask, separated by `:`, each with `nir` installed;
//! without it `python3` is asked, and the test is skipped with a note if that has no `nir`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use nirc_compiler::nir::{Update, convention_metadata, export, import, read_bytes, to_bytes};
use nirc_compiler::passes::canonicalise;
use nirc_ir::network::Convention;

use crate::samples::{dense, node, options, small_with, vector, written_back};
use crate::scratch::{Scratch, alone};
use crate::shared;

fn interpreters() -> Vec<PathBuf> {
    let named = std::env::var_os("NIRC_PYTHON_NIR");
    let all: Vec<PathBuf> = match &named {
        Some(paths) => std::env::split_paths(paths).collect(),
        None => vec!["python3".into()],
    };
    let has_nir = |python: &PathBuf| {
        let status = Command::new(python)
            .args(["-c", "import nir, h5py"])
            .output();
        let is_there = status.is_ok_and(|o| o.status.success());
        if !is_there {
            assert!(named.is_none(), "{} has no nir", python.display());
            eprintln!("skipped: {} has no nir", python.display());
        }
        is_there
    };
    all.into_iter().filter(has_nir).collect()
}

fn script(name: &str) -> PathBuf {
    let oracles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/oracles/python");
    oracles.join(name)
}

/// Runs the comparison of pairs of files and returns its lines after the first.
fn compare(python: &Path, pairs: &[(PathBuf, PathBuf)]) -> Vec<String> {
    let output = Command::new(python)
        .arg(script("compare_nir_files.py"))
        .args(pairs.iter().flat_map(|(a, b)| [a, b]))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().map(str::to_owned);
    let version = lines.next().unwrap_or_default();
    let lines: Vec<_> = lines.collect();
    let same = lines.iter().filter(|l| *l == "same").count();
    eprintln!("{version}: {same} of {} graphs are the same", pairs.len());
    assert_eq!(lines.len(), pairs.len(), "{text}\n{output:?}");
    lines
}

#[test]
fn python_reads_every_rewritten_file_as_it_reads_the_original() {
    let _alone = alone();
    let Some(files) = shared::files() else {
        return;
    };
    let scratch = Scratch::new("rewritten");
    let mut names = Vec::new();
    let mut pairs = Vec::new();
    for (name, path) in files {
        if let Ok((file, _)) = read_bytes(shared::bytes(&path)) {
            pairs.push((path, scratch.write(&name, &written_back(&file))));
            names.push(name);
        }
    }
    for python in interpreters() {
        let lines = compare(&python, &pairs);
        for (name, line) in names.iter().zip(&lines) {
            assert!(!line.starts_with("different"), "{name}: {line}");
        }
        let same = lines.iter().filter(|l| *l == "same").count();
        assert!(same > 20, "only {same} were read");
    }
}

#[test]
fn python_reads_trained_weights_and_metadata() {
    let _alone = alone();
    let scratch = Scratch::new("trained");
    // Without `v_reset`, which versions before 1.0.6 do not know.
    let mut pop = node("CubaLIF");
    for field in ["tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "w_in"] {
        pop.insert(field, vector(3, 0.5));
    }
    let file = small_with("pop", pop);
    let weight = vec![0.5f32, -0.25, 1.0, 2.0, -3.0, 0.1];
    let updates = BTreeMap::from([(
        "fc".to_owned(),
        Update {
            weight: Some(weight),
            ..Update::default()
        },
    )]);
    let metadata = convention_metadata(&Convention::preset("eventprop").unwrap(), &[], 1e-3);
    let (bytes, _) = export(&file, &updates, &metadata).unwrap();
    let path = scratch.write("trained.nir", &bytes);
    let untouched = scratch.write("small.nir", &to_bytes(file.tree()).unwrap());
    for python in interpreters() {
        let lines = compare(&python, &[(untouched.clone(), path.clone())]);
        let line = &lines[0];
        for expected in [
            "fc/weight: other values",
            "metadata/convention: only in the second",
        ] {
            assert!(line.contains(expected), "{line}");
        }
        assert!(!line.contains("is read"), "both should be read: {line}");
        for unchanged in ["pop", "edges", "metadata/dt:", "version"] {
            assert!(!line.contains(unchanged), "{line}");
        }
    }
}

/// Element types, layouts and links that h5py can write but `nir` hardly does.
#[test]
fn odd_files_are_read_and_written_back_or_refused_with_a_reason() {
    let _alone = alone();
    for python in interpreters() {
        let scratch = Scratch::new("odd");
        let output = Command::new(&python)
            .arg(script("write_odd_nir_files.py"))
            .arg(&scratch.0)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let mut files: Vec<PathBuf> = std::fs::read_dir(&scratch.0)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        assert!(files.len() > 30, "only {} files", files.len());
        let mut pairs = Vec::new();
        for path in files {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let outcome = read_bytes(std::fs::read(&path).unwrap());
            match (name.strip_prefix("no_"), outcome) {
                (Some(code), Err(problems)) => {
                    assert!(code.starts_with(problems.0[0].code), "{name}: {problems}");
                    assert_eq!(problems.0.len(), 1, "{name}: {problems}");
                }
                (Some(_), Ok(_)) => panic!("{name} should be refused"),
                (None, Err(problems)) => panic!("{name}: {problems}"),
                (None, Ok((file, notes))) => {
                    let has_link = name.starts_with("ok_link_");
                    let expected = match (has_link, name.contains("attributes")) {
                        (true, _) => 1,
                        (_, true) => 2,
                        _ => 0,
                    };
                    assert_eq!(notes.0.len(), expected, "{name}: {notes}");
                    if has_link {
                        assert!(notes.0[0].message.contains("link `notes` to `/"), "{notes}");
                        continue;
                    }
                    let mut options = options();
                    options.dt = Some(1e-3);
                    let (mut network, _) = import(&file, &options).unwrap();
                    canonicalise(&mut network).unwrap();
                    let weights = dense(network.projections.values().next().unwrap());
                    let (first, last) = (weights[1], weights[11]);
                    let expected = if name.contains("bool") {
                        (1.0, 1.0)
                    } else {
                        (4.0, 11.0)
                    };
                    assert_eq!((first, last), expected, "{name}");
                    pairs.push((
                        path,
                        scratch.write(&format!("again_{name}"), &written_back(&file)),
                    ));
                }
            }
        }
        let lines = compare(&python, &pairs);
        for ((path, _), line) in pairs.iter().zip(&lines) {
            assert_eq!(line, "same", "{}", path.display());
        }
    }
}

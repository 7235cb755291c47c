//! How a file says that it is to be read, and what it looks like where it does not.

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{
    File, convention_metadata, export, guess, read, read_bytes, stated_convention,
};
use nirc_compiler::passes::Change;
use nirc_ir::network::Convention;

use crate::shared;

/// A graph without nodes, with metadata.
fn file(metadata: Group) -> File {
    let graph = Group::new()
        .with("type", Dataset::text("NIRGraph"))
        .with("nodes", Group::new())
        .with("edges", Dataset::texts(&[0, 2], Vec::new()).unwrap())
        .with("metadata", metadata);
    let root = Group::new()
        .with("node", graph)
        .with("version", Dataset::text("1.0.8"));
    File::from_tree(root).unwrap()
}

fn parsed(changes: &[String]) -> Vec<Change> {
    let change = |text: &String| {
        let (key, value) = text.rsplit_once('=').unwrap();
        let (population, attribute) = match key.rsplit_once('.') {
            None => (None, key),
            Some((population, attribute)) => (Some(population.to_owned()), attribute),
        };
        Change {
            population,
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        }
    };
    changes.iter().map(change).collect()
}

#[test]
fn what_is_exported_is_stated() {
    for name in Convention::PRESETS {
        let mut convention = Convention::preset(name).unwrap();
        convention.set("delay", "3").unwrap();
        convention.set("if_decay", "0.75").unwrap();
        let changes = ["delay=3", "rnn/a=b.reset=none"].map(str::to_owned);
        let metadata = convention_metadata(&convention, &parsed(&changes), 2e-3);
        let (bytes, _) = export(&file(Group::new()), &Default::default(), &metadata).unwrap();
        let (written, _) = read_bytes(bytes).unwrap();
        let stated = stated_convention(&written).unwrap().unwrap();
        assert_eq!(stated.convention, convention);
        assert_eq!(stated.changes, changes);
    }
}

#[test]
fn metadata_of_others_state_nothing() {
    let metadata = Group::new().with("author", Dataset::text("convention"));
    assert_eq!(stated_convention(&file(metadata)), Ok(None));
}

#[test]
fn what_cannot_be_stated_is_refused_with_all_of_it() {
    let metadata = Group::new()
        .with("convention", Dataset::text("norse"))
        .with("convention.reset", Dataset::text("perhaps"))
        .with("convention.colour", Dataset::text("red"));
    let problems = stated_convention(&file(metadata)).unwrap_err();
    assert_eq!(problems.0.len(), 2, "{problems}");
    for odd in [Dataset::text("snn"), Dataset::f64(&[], &[1.0]).unwrap()] {
        let problems = stated_convention(&file(Group::new().with("convention", odd)));
        assert!(
            problems
                .unwrap_err()
                .to_string()
                .contains("expected one of nir")
        );
    }
}

#[test]
fn exporters_are_recognised_by_their_marks_alone() {
    let Some(files) = shared::files() else { return };
    let mut recognised = 0;
    for (name, path) in files {
        let Ok((file, _)) = read(&path) else { continue };
        let Some(guess) = guess(&file) else { continue };
        recognised += 1;
        let stem = name.rsplit('/').next().unwrap();
        // The Braille networks were trained in snnTorch; the tracer's file is of an snnTorch net, too.
        let writer = match stem {
            _ if name.contains("braille") || name.contains("rnn") => "snntorch",
            _ if stem.starts_with("nirtorch_tracer") => "snntorch",
            _ => guess.convention,
        };
        assert_eq!(guess.convention, writer, "{name}");
        for tool in ["norse_", "sinabs_", "rockpool_", "jaxsnn_", "snntorch_"] {
            if stem.starts_with(tool) {
                assert_eq!(format!("{}_", guess.convention), tool, "{name}");
            }
        }
    }
    assert!(recognised > 10, "{recognised}");
}

#[test]
fn a_convention_leaves_nothing_of_the_one_before() {
    let changes = parsed(&["a.reset=none".to_owned()]);
    let euler = Convention::preset("euler").unwrap();
    let first = convention_metadata(&euler, &changes, 1e-3);
    let (bytes, _) = export(&file(Group::new()), &Default::default(), &first).unwrap();
    let (once, _) = read_bytes(bytes).unwrap();
    let norse = Convention::preset("norse").unwrap();
    let second = convention_metadata(&norse, &[], 1e-3);
    let (bytes, _) = export(&once, &Default::default(), &second).unwrap();
    let (twice, _) = read_bytes(bytes).unwrap();
    let stated = stated_convention(&twice).unwrap().unwrap();
    assert_eq!((stated.convention, stated.changes.len()), (norse, 0));
}

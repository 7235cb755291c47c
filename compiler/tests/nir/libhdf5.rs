//! nir-rs's own reader, over the HDF group's library, finds the graph that ours finds.
//!
//! It fills in what upstream's Python would for an absent `v_reset` or `w_in`; ours leaves that to the
//! importer, so the same is filled in before graphs are compared. Its known defects are listed below.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nir_rs::io::{ReadOptions, WriteOptions, read_with, write_with};
use nir_rs::{NirGraph, NirNode};
use nirc_compiler::nir::tree::Group;
use nirc_compiler::nir::{Undecoded, read_bytes, to_bytes};

use crate::samples::{small, tree, written_back};
use crate::scratch::{Scratch, alone};
use crate::shared;

/// Metadata that hold groups, which HDF5 and NIR's Python allow.
const NESTED: &str = "must be a dataset, not a group";
/// Half-precision weights: nir-rs has no such element type, and does not widen them.
const HALF: &str = "Invalid size of float datatype";

/// Files that nir-rs 0.4.1 refuses and we read, each with its defect by a part of the message.
const DEFECTS: &[(&str, &str)] = &[
    ("nir/exported/all_primitives_1d.nir", NESTED),
    ("nir/exported/all_primitives_1d_lzf.nir", NESTED),
    ("nir/exported/all_primitives_1d_nocompress.nir", NESTED),
    ("nir/exported/f16_weights.nir", HALF),
];

/// What a reader makes of a file: the graph with defaults filled in, or why there is none.
type Outcome = Result<NirGraph, String>;

fn ours(bytes: Vec<u8>) -> Outcome {
    let (file, _) = read_bytes(bytes).map_err(|problems| problems.to_string())?;
    match file.undecoded() {
        [] => Ok(with_defaults(file.graph().clone())),
        [Undecoded { path, problems, .. }, ..] => Err(format!("{path}: {problems:?}")),
    }
}

fn theirs(path: &Path) -> Outcome {
    // Far above any file here; a garbled extent shall not take the machine's memory.
    let options = ReadOptions::default().with_max_bytes(Some(1 << 30));
    read_with(path, &options).map_err(|error| error.to_string())
}

fn with_defaults(mut graph: NirGraph) -> NirGraph {
    graph.nodes = graph
        .nodes
        .into_iter()
        .map(|(name, node)| (name, node_with_defaults(node)))
        .collect();
    graph
}

fn node_with_defaults(node: NirNode) -> NirNode {
    match node {
        NirNode::If(mut n) => {
            n.v_reset.get_or_insert_with(|| n.v_threshold.zeros_like());
            NirNode::If(n)
        }
        NirNode::Lif(mut n) => {
            n.v_reset.get_or_insert_with(|| n.v_threshold.zeros_like());
            NirNode::Lif(n)
        }
        NirNode::CubaLi(mut n) => {
            n.w_in.get_or_insert_with(|| n.v_leak.ones_like());
            NirNode::CubaLi(n)
        }
        NirNode::CubaLif(mut n) => {
            n.v_reset.get_or_insert_with(|| n.v_threshold.zeros_like());
            n.w_in.get_or_insert_with(|| n.v_leak.ones_like());
            NirNode::CubaLif(n)
        }
        NirNode::Graph(inner) => NirNode::Graph(Box::new(with_defaults(*inner))),
        other => other,
    }
}

/// Where two graphs differ, a line each.
fn differences(a: &NirGraph, b: &NirGraph) -> Vec<String> {
    let mut found = Vec::new();
    if a.version != b.version {
        found.push(format!("version: {:?} against {:?}", a.version, b.version));
    }
    if a.edges != b.edges {
        found.push(format!("edges: {:?} against {:?}", a.edges, b.edges));
    }
    if a.metadata != b.metadata {
        found.push(format!(
            "metadata: {:?} against {:?}",
            a.metadata, b.metadata
        ));
    }
    let names: BTreeMap<_, _> = a
        .nodes
        .keys()
        .chain(b.nodes.keys())
        .map(|n| (n, ()))
        .collect();
    for name in names.into_keys() {
        let (a, b) = (a.nodes.get(name), b.nodes.get(name));
        if a != b {
            found.push(format!("{name}: {a:?} against {b:?}"));
        }
    }
    found
}

/// Holds the two outcomes for one file against each other: whether both readers read it, or what is
/// wrong.
fn agree(name: &str, ours: Outcome, theirs: Outcome) -> Result<bool, String> {
    let defect = DEFECTS.iter().find(|(file, ..)| *file == name);
    match (ours, theirs, defect) {
        (Ok(a), Ok(b), None) => {
            let found = differences(&a, &b);
            if found.is_empty() {
                return Ok(true);
            }
            Err(format!("{name}:\n{}", found.join("\n")))
        }
        (Err(_), Err(_), None) => Ok(false),
        (Ok(_), Err(error), Some((_, part))) if error.contains(part) => Ok(false),
        (ours, theirs, defect) => Err(format!(
            "{name}: we {}, nir-rs: {}; its defect in the list: {defect:?}",
            told(&ours),
            told(&theirs)
        )),
    }
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Ok(_) => "read it".to_owned(),
        Err(why) => format!("refuse it ({why})"),
    }
}

/// Fails with everything that is wrong; returns how many files both readers read.
fn count_agreements(outcomes: impl Iterator<Item = Result<bool, String>>) -> usize {
    let (fine, wrong): (Vec<_>, Vec<_>) = outcomes.partition(Result::is_ok);
    let wrong: Vec<_> = wrong.into_iter().filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    fine.into_iter().filter(|both| *both == Ok(true)).count()
}

/// The files that tools wrote. nir-rs is not asked to survive the hostile ones, kept as digits.
fn files() -> Option<Vec<(String, PathBuf)>> {
    let mut files = shared::files()?;
    files.retain(|(name, _)| !name.ends_with(".hex"));
    Some(files)
}

#[test]
fn every_file_holds_the_same_graph_for_both_readers() {
    let _alone = alone();
    let Some(files) = files() else {
        return;
    };
    let scratch = Scratch::new("libhdf5");
    let same = count_agreements(files.iter().map(|(name, path)| {
        let bytes = shared::bytes(path);
        let path = scratch.write(name, &bytes);
        agree(name, ours(bytes), theirs(&path))
    }));
    println!("{same} of {} graphs are the same", files.len());
    assert!(same > 30, "only {same} were read by both");
    for (name, _) in DEFECTS {
        assert!(files.iter().any(|(file, _)| file == name), "{name} is gone");
    }
}

/// What we write from a file, libhdf5 reads as we read the file itself.
#[test]
fn every_file_written_back_holds_the_same_graph_for_libhdf5() {
    let _alone = alone();
    let Some(files) = files() else {
        return;
    };
    let scratch = Scratch::new("libhdf5-written");
    let same = count_agreements(files.iter().filter_map(|(name, path)| {
        let bytes = shared::bytes(path);
        let (file, _) = read_bytes(bytes.clone()).ok()?;
        let path = scratch.write(name, &written_back(&file));
        Some(agree(name, ours(bytes), theirs(&path)))
    }));
    assert!(same > 30, "only {same} were read by both");
}

/// Files whose nested metadata nir-rs refuses are read by it once those are left out.
#[test]
fn nested_metadata_are_all_that_keeps_nir_rs_from_reading_their_files() {
    let _alone = alone();
    let Some(files) = files() else {
        return;
    };
    let scratch = Scratch::new("libhdf5-flat");
    let nested: Vec<_> = DEFECTS
        .iter()
        .filter(|(_, part)| *part == NESTED)
        .map(|(name, _)| *name)
        .collect();
    let same = count_agreements(nested.iter().map(|name| {
        let (_, path) = files.iter().find(|(file, _)| file == name).unwrap();
        let (file, _) = read_bytes(shared::bytes(path)).unwrap();
        let mut root = file.tree().clone();
        flatten_metadata(&mut root);
        let bytes = to_bytes(&root).unwrap();
        let path = scratch.write(name, &bytes);
        agree("", ours(bytes), theirs(&path))
    }));
    assert_eq!(same, nested.len());
}

/// Empties all metadata that nest.
fn flatten_metadata(group: &mut Group) {
    let names: Vec<String> = group.groups().map(|(name, _)| name.to_owned()).collect();
    for name in names {
        let Some(inner) = group.group_mut(&name) else {
            continue;
        };
        if name == "metadata" && inner.groups().next().is_some() {
            *inner = Group::new();
        } else {
            flatten_metadata(inner);
        }
    }
}

/// What libhdf5 writes, we read as it does.
#[test]
fn graphs_written_by_nir_rs_are_read_back() {
    let _alone = alone();
    let Some(files) = files() else {
        return;
    };
    let scratch = Scratch::new("libhdf5-theirs");
    let mut same = 0;
    for (name, path) in &files {
        let Ok(graph) = theirs(&scratch.write(name, &shared::bytes(path))) else {
            continue;
        };
        let again = scratch.write(&format!("again_{name}"), b"");
        // Some of these graphs have dangling or duplicate edges, which are to survive.
        let options = WriteOptions::default().with_validation(false);
        write_with(&again, &graph, &options).unwrap();
        let outcome = ours(std::fs::read(&again).unwrap());
        same += usize::from(agree(name, outcome, theirs(&again)).unwrap());
    }
    assert!(same > 30, "only {same} were written and read back");
}

#[test]
fn examples_and_files_made_here_hold_the_same_graph_for_both_readers() {
    let _alone = alone();
    let scratch = Scratch::new("libhdf5-own");
    let (nodes, edges) = small();
    let mut files = vec![("small".to_owned(), to_bytes(&tree(&nodes, &edges)).unwrap())];
    for (name, path) in shared::examples() {
        files.push((name, shared::bytes(&path)));
    }
    assert!(files.len() > 2, "the examples are not found");
    let same = count_agreements(files.iter().map(|(name, bytes)| {
        let path = scratch.write(name, bytes);
        agree(name, ours(bytes.clone()), theirs(&path))
    }));
    assert_eq!(same, files.len());
}

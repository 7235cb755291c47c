//! Networks as files of our own: what is imported, composed and imported again is the same network.

use std::collections::BTreeSet;

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{ImportOptions, compose, import, read_bytes, to_bytes};
use nirc_compiler::passes::canonicalise;
use nirc_ir::Severity;
use nirc_ir::network::{Convention, Network};
use nirc_ir::text::print_network;
use nirc_tests::rng::Rng;

use crate::samples::{
    affine, cuba_lif, errors, file, imported, input, lif, linear, node, output, small, vector,
};
use crate::shared;

fn under(convention: &str, time_unit: f64) -> ImportOptions {
    let mut convention = Convention::preset(convention).unwrap();
    convention.time_unit = time_unit;
    ImportOptions {
        convention,
        dt: Some(1e-3),
        name: "net".to_owned(),
        graded: BTreeSet::new(),
    }
}

/// The network after composing, writing, reading and importing it; nothing may need repair.
fn again(network: &Network, options: &ImportOptions) -> Network {
    let file = compose(network).unwrap_or_else(|e| panic!("{e}"));
    let (file, notes) = read_bytes(to_bytes(file.tree()).unwrap()).unwrap();
    assert_eq!(notes.0, []);
    let (network, notes) = import(&file, options).unwrap_or_else(|e| panic!("{e}"));
    let repaired = notes.0.iter().filter(|n| n.severity == Severity::Note);
    assert_eq!(repaired.count(), 0, "{notes}");
    network
}

#[test]
fn every_imported_file_is_composed_to_the_same_network() {
    let Some(files) = shared::files() else {
        return;
    };
    let options = under("eventprop", 1.0);
    let mut count = 0;
    for (name, path) in files {
        let Ok((file, _)) = read_bytes(shared::bytes(&path)) else {
            continue;
        };
        let Ok((network, _)) = import(&file, &options) else {
            continue;
        };
        let nested = network.populations.values().any(|p| p.name.contains('/'));
        if !nested {
            let found = again(&network, &options);
            assert_eq!(print_network(&found), print_network(&network), "{name}");
            count += 1;
        }
    }
    assert!(count > 35, "only {count} files were composed");
}

/// A node between populations of `n` neurons.
fn between(random: &mut Rng, n: u64) -> Group {
    match random.below(5) {
        0 => linear(n, n),
        1 | 2 => affine(n, n),
        3 => node("Scale").with("scale", vector(n, 0.5)),
        _ => node("Delay").with("delay", vector(n, 0.002)),
    }
}

fn neurons(random: &mut Rng, n: u64) -> Group {
    let fields = |name: &str, fields: &[&str]| {
        let with = |group: Group, field: &&str| group.with(field, vector(n, 0.25));
        fields.iter().fold(node(name), with)
    };
    match random.below(7) {
        0 => lif(n),
        1 => cuba_lif(n),
        2 => fields("Threshold", &["threshold"]),
        3 => fields("I", &["r"]),
        4 => fields("IF", &["r", "v_threshold", "v_reset"]),
        5 => fields("LI", &["tau", "r", "v_leak"]),
        _ => fields("CubaLI", &["tau_syn", "tau_mem", "r", "v_leak", "w_in"]),
    }
}

/// Graphs of every kind of node, with any edges at all: recurrent, shared, several ports.
#[test]
fn random_graphs_are_imported_and_composed_to_the_same_network() {
    let (mut taken, mut refused) = (0, 0);
    for seed in 0..600 {
        let mut random = Rng::new(seed);
        let n = 1 + random.below(4) as u64;
        let mut nodes = Vec::new();
        for index in 0..3 + random.below(8) {
            let (name, node) = match random.below(6) {
                0 => (format!("i{index}"), input(&[n as i64])),
                1 => (format!("o{index}"), output(&[n as i64])),
                2 | 3 => (format!("p{index}"), neurons(&mut random, n)),
                _ => (format!("w{index}"), between(&mut random, n)),
            };
            nodes.push((name, node));
        }
        let mut edges = BTreeSet::new();
        for _ in 0..nodes.len() * 3 / 2 {
            let [from, to] = [(); 2].map(|()| nodes[random.below(nodes.len())].0.clone());
            if !to.starts_with('i') && !from.starts_with('o') {
                edges.insert((from, to));
            }
        }
        let nodes: Vec<_> = nodes.iter().map(|(n, g)| (n.as_str(), g.clone())).collect();
        let edges: Vec<_> = edges
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let file = file(&nodes, &edges);
        let options = under("eventprop", if seed % 2 == 0 { 1.0 } else { 0.5 });
        match import(&file, &options) {
            Ok((network, _)) => {
                let found = again(&network, &options);
                let context = format!("seed {seed}: {edges:?}");
                assert_eq!(print_network(&found), print_network(&network), "{context}");
                let [mut once, mut twice] = [network, found];
                let notes = [&mut once, &mut twice].map(|n| canonicalise(n).unwrap());
                assert_eq!(notes[0], notes[1], "{context}");
                assert_eq!(once, twice, "{context}");
                taken += 1;
            }
            Err(problems) => {
                let codes: BTreeSet<_> = errors(&problems)
                    .iter()
                    .map(|e| e[..5].to_owned())
                    .collect();
                let known = ["N0206", "N0208", "N0209"].map(str::to_owned);
                assert!(
                    codes.iter().all(|c| known.contains(c)),
                    "seed {seed}: {problems}"
                );
                refused += 1;
            }
        }
    }
    assert!(
        taken > 200 && refused > 20,
        "{taken} taken, {refused} refused"
    );
}

#[test]
fn what_nir_has_no_node_for_is_refused() {
    let (nodes, edges) = small();
    let (network, _) = imported(&file(&nodes, &edges));
    let problems = compose(&network).unwrap_err();
    assert_eq!(errors(&problems), ["N0202 fc"]);
}

#[test]
fn axes_that_become_one_are_found() {
    let flatten = node("Flatten")
        .with("start_dim", Dataset::i64(&[], &[1]).unwrap())
        .with("end_dim", Dataset::i64(&[], &[2]).unwrap());
    let nodes = [
        ("in", input(&[2, 3, 4])),
        ("f", flatten),
        ("w", linear(5, 12)),
        ("out", output(&[2, 5])),
    ];
    let edges = [("in", "f"), ("f", "w"), ("w", "out")];
    let options = under("euler", 1.0);
    let (network, _) = import(&file(&nodes, &edges), &options).unwrap();
    assert_eq!(
        print_network(&again(&network, &options)),
        print_network(&network)
    );
}

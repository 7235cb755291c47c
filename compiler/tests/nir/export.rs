//! Files written back: what was asked is changed, and nothing else.

use std::collections::BTreeMap;

use nir_rs::{MetadataValue, NirNode, Tensor, TensorData};
use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{File, Update, Verdict, export, read, read_bytes, summary, write_atomic};

use crate::samples::{
    affine, brief, cuba_lif, errors, file, input, node, output, small, small_with, tree, vector,
};
use crate::shared;

fn rewritten(file: &File) -> File {
    let (bytes, notes) = export(file, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    assert_eq!(notes.0, []);
    let (again, notes) = read_bytes(bytes).unwrap();
    assert_eq!(notes.0, []);
    again
}

fn update(weight: Option<Vec<f32>>, bias: Option<Vec<f32>>) -> BTreeMap<String, Update> {
    let delay = None;
    let update = Update {
        weight,
        bias,
        delay,
    };
    BTreeMap::from([("fc".to_owned(), update)])
}

#[test]
fn trained_delays_are_written_where_one_stood_for_all() {
    let one = Dataset::f64(&[], &[0.002]).unwrap();
    for (old, notes_due) in [(vector(2, 0.002), 0), (one, 1)] {
        let before = small_with("fc", node("Delay").with("delay", old));
        let update = Update {
            delay: Some(vec![0.0015, 0.0]),
            ..Update::default()
        };
        let updates = BTreeMap::from([("fc".to_owned(), update)]);
        let (bytes, notes) = export(&before, &updates, &BTreeMap::new()).unwrap();
        assert_eq!(notes.0.len(), notes_due, "{notes}");
        let (after, _) = read_bytes(bytes).unwrap();
        let NirNode::Delay(delay) = &after.graph().nodes["fc"] else {
            panic!();
        };
        let written = [f64::from(0.0015_f32), 0.0];
        assert_eq!(
            delay.delay,
            Tensor::from_f64(vec![2], written.to_vec()).unwrap()
        );
    }
}

#[test]
fn every_readable_file_survives_a_round_trip() {
    let Some(files) = shared::files() else {
        return;
    };
    let mut count = 0;
    for (name, path) in files {
        if let Ok((file, _)) = read_bytes(shared::bytes(&path)) {
            assert_eq!(rewritten(&file), file, "{name}");
            count += 1;
        }
    }
    assert!(count > 40, "only {count} files were readable");
}

#[test]
fn what_nirc_does_not_understand_survives_too() {
    let strange = node("Quantum")
        .with(
            "spin",
            Dataset::f64(&[2, 2], &[f64::NAN, -0.0, 1e300, 0.5]).unwrap(),
        )
        .with(
            "labels",
            Dataset::texts(&[2], vec![String::new(), "ü".into()]).unwrap(),
        )
        .with("deep", Group::new().with("deeper", Group::new()));
    let file = small_with("strange", strange);
    assert_eq!(rewritten(&file).tree(), file.tree());
    let (bytes, _) = export(&file, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    let (again, _) = export(&rewritten(&file), &BTreeMap::new(), &BTreeMap::new()).unwrap();
    assert_eq!(bytes, again);
}

#[test]
fn an_update_changes_its_field_and_no_other() {
    let before = small_with("fc", affine(3, 2));
    let weight = vec![0.5, -1.5, 2.5, -3.5, 4.5, 1e-40];
    let (bytes, notes) = export(
        &before,
        &update(Some(weight.clone()), None),
        &BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(notes.0, []);
    let (after, _) = read_bytes(bytes).unwrap();
    let NirNode::Affine(fc) = &after.graph().nodes["fc"] else {
        panic!();
    };
    assert_eq!(fc.weight, Tensor::from_f32(vec![3, 2], weight).unwrap());
    let mut expected = before.graph().clone();
    let Some(NirNode::Affine(node)) = expected.nodes.get_mut("fc") else {
        panic!();
    };
    node.weight = fc.weight.clone();
    assert_eq!(after.graph(), &expected);
}

#[test]
fn element_types_stay_where_they_can_hold_trained_values() {
    let values = [0.1f32, 0.2, 0.3, 0.4, 0.5, 0.6];
    let with = |weight| small_with("fc", node("Linear").with("weight", weight));
    let exported = |file: &File| {
        let (bytes, notes) =
            export(file, &update(Some(values.to_vec()), None), &BTreeMap::new()).unwrap();
        let (file, _) = read_bytes(bytes).unwrap();
        let NirNode::Linear(fc) = &file.graph().nodes["fc"] else {
            panic!();
        };
        (fc.weight.data().clone(), brief(&notes))
    };
    let wide = with(Dataset::f64(&[3, 2], &[0.0; 6]).unwrap());
    let doubles = values.map(f64::from).to_vec();
    assert_eq!(exported(&wide), (TensorData::F64(doubles), vec![]));
    let integers = with(Dataset::i64(&[3, 2], &[0; 6]).unwrap());
    let warning = vec!["N0211 fc".to_owned()];
    assert_eq!(
        exported(&integers),
        (TensorData::F32(values.to_vec()), warning)
    );
}

#[test]
fn a_bias_for_all_neurons_becomes_one_for_each() {
    for shape in [&[][..], &[1]] {
        let one = Dataset::f64(shape, &[0.5]).unwrap();
        let mut fc = affine(3, 2);
        fc.insert("bias", one);
        let bias = vec![0.25, 0.5, 0.75];
        let updates = update(None, Some(bias));
        let (bytes, notes) = export(&small_with("fc", fc), &updates, &BTreeMap::new()).unwrap();
        assert_eq!(brief(&notes), ["N0210 fc"]);
        let (after, _) = read_bytes(bytes).unwrap();
        let NirNode::Affine(fc) = &after.graph().nodes["fc"] else {
            panic!();
        };
        let expected = Tensor::from_f64(vec![3], vec![0.25, 0.5, 0.75]).unwrap();
        assert_eq!(fc.bias, expected);
    }
}

#[test]
fn updates_that_fit_nothing_are_all_refused() {
    let (nodes, edges) = small();
    let file = file(&nodes, &edges);
    let mut updates = update(Some(vec![0.0; 5]), Some(vec![0.0; 3]));
    updates.insert("ghost".to_owned(), Update::default());
    updates.insert("nested/ghost".to_owned(), Update::default());
    let problems = export(&file, &updates, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        errors(&problems),
        ["N0203 fc", "N0201 fc", "N0201 ghost", "N0201 nested/ghost"]
    );
    let (_, notes) = export(
        &file,
        &update(Some(vec![f32::NAN; 6]), None),
        &BTreeMap::new(),
    )
    .unwrap();
    assert_eq!(brief(&notes), ["N0204 fc"]);
}

#[test]
fn metadata_are_added_and_replaced() {
    let (nodes, edges) = small();
    let file = file(&nodes, &edges);
    let metadata = BTreeMap::from([
        ("dt".to_owned(), MetadataValue::F64(5e-4)),
        (
            "convention".to_owned(),
            MetadataValue::String("eventprop".into()),
        ),
        ("run/epochs".to_owned(), MetadataValue::I64(300)),
        (
            "names".to_owned(),
            MetadataValue::StringList(vec!["a".into(), "ß".into()]),
        ),
        (
            "loss".to_owned(),
            MetadataValue::Tensor(Tensor::from_f32(vec![2], vec![1.0, 0.5]).unwrap()),
        ),
    ]);
    let (bytes, _) = export(&file, &BTreeMap::new(), &metadata).unwrap();
    let (after, _) = read_bytes(bytes).unwrap();
    let read: BTreeMap<_, _> = after.graph().metadata.clone().into_iter().collect();
    assert_eq!(read, metadata);
    assert_eq!(after.graph().nodes, file.graph().nodes);
}

#[test]
fn a_file_is_replaced_in_one_step() {
    let dir = std::env::temp_dir().join(format!("nirc-write-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("model.nir");
    write_atomic(&path, b"old").unwrap();
    let (nodes, edges) = small();
    let file = file(&nodes, &edges);
    let (bytes, _) = export(&file, &BTreeMap::new(), &BTreeMap::new()).unwrap();
    write_atomic(&path, &bytes).unwrap();
    assert_eq!(read(&path).unwrap().0, file);
    let left: Vec<_> = std::fs::read_dir(&dir).unwrap().collect();
    assert_eq!(left.len(), 1, "nothing but the file: {left:?}");
    let problems = write_atomic(&dir.join("no/such/dir.nir"), &bytes).unwrap_err();
    assert_eq!(problems.0[0].code, "N0107");
    assert_eq!(
        read(&dir.join("absent.nir")).unwrap_err().0[0].code,
        "N0101"
    );
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_summary_has_a_verdict_on_every_node() {
    let nested = tree(
        &[("input", input(&[2])), ("lif", cuba_lif(2))],
        &[("input", "lif")],
    );
    let nodes = [
        ("in", input(&[2])),
        ("fc", affine(3, 2)),
        ("sub", nested.group("node").unwrap().clone()),
        ("conv", node("Conv1d")),
        ("strange", node("Quantum")),
        ("bad", node("Linear")),
        ("out", output(&[3])),
    ];
    let summary = summary(&file(&nodes, &[("in", "fc")]));
    assert_eq!(summary.version.as_deref(), Some("1.0.8"));
    assert_eq!(summary.edges, [("in".to_owned(), "fc".to_owned())]);
    assert_eq!(summary.metadata, [("dt".to_owned(), "0.001".to_owned())]);
    let verdicts: Vec<_> = summary
        .nodes
        .iter()
        .map(|n| {
            let verdict = match n.verdict {
                Verdict::Supported => "yes",
                Verdict::Unsupported(_) => "no",
                Verdict::Malformed(_) => "malformed",
            };
            (n.path.as_str(), n.type_name.as_str(), verdict)
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("in", "Input", "yes"),
            ("fc", "Affine", "yes"),
            ("sub", "NIRGraph", "yes"),
            ("sub/input", "Input", "yes"),
            ("sub/lif", "CubaLIF", "yes"),
            ("conv", "Conv1d", "malformed"),
            ("strange", "Quantum", "no"),
            ("bad", "Linear", "malformed"),
            ("out", "Output", "yes"),
        ]
    );
    let weight = &summary.nodes[1].fields[0];
    assert_eq!(
        (weight.name.as_str(), weight.dtype.as_str()),
        ("weight", "float32")
    );
    assert_eq!(
        (&weight.shape[..], weight.range),
        (&[3, 2][..], Some((1.0, 6.0)))
    );
}

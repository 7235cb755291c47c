//! Files of other tools: checked, explained, converted, compared and run, as a user types it.

mod common;

use std::fs::File;
use std::path::Path;

use common::{bad, command, good, stderr, within, workspace};
use ndarray::{Array2, Array3, ArrayD, s};
use ndarray_npy::{NpzReader, NpzWriter, ReadableElement, read_npy, write_npy};
use nirc_compiler::nir::to_bytes;
use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_ir::convention::Convention;
use serde_json::Value;
use tempfile::TempDir;

fn node(kind: &str) -> Group {
    Group::new().with("type", Dataset::text(kind))
}

fn floats(shape: &[u64], values: &[f32]) -> Dataset {
    Dataset::f32(shape, values).expect("as many values as the shape says")
}

/// An Input or Output of so many channels.
fn port(kind: &str, channels: i64) -> Group {
    node(kind).with("shape", Dataset::i64(&[1], &[channels]).expect("a shape"))
}

/// Weights of 3 inputs to 2 outputs.
fn weights() -> Group {
    let values = [3.0, -1.0, 2.0, 1.5, 2.5, -0.5];
    node("Linear").with("weight", floats(&[2, 3], &values))
}

/// Two neurons with these parameters.
fn neurons(kind: &str, parameters: &[(&str, f32)]) -> Group {
    let mut group = node(kind);
    for (name, value) in parameters {
        group.insert(name, floats(&[2], &[*value; 2]));
    }
    group
}

fn lif(r: f32) -> Group {
    let rest = [("v_leak", 0.0), ("v_threshold", 0.3), ("v_reset", 0.0)];
    let own = [("tau", 0.01), ("r", r)];
    neurons("LIF", &[&own[..], &rest].concat())
}

fn integrate_and_fire() -> Group {
    let parameters = [("r", 1.0), ("v_threshold", 4.0), ("v_reset", 0.0)];
    neurons("IF", &parameters)
}

fn leaky_integrator() -> Group {
    neurons("LI", &[("tau", 0.01), ("r", 1.0), ("v_leak", 0.0)])
}

fn delay(seconds: [f32; 3]) -> Group {
    node("Delay").with("delay", floats(&[3], &seconds))
}

/// A file of these nodes between an Input of 3 and an Output of 2 channels, with these edges.
fn write(path: &str, nodes: Vec<(&str, Group)>, edges: &[(&str, &str)], metadata: Option<Group>) {
    let mut all = Group::new()
        .with("input", port("Input", 3))
        .with("output", port("Output", 2));
    for (name, node) in nodes {
        all.insert(name, node);
    }
    let ends = edges.iter().flat_map(|(from, to)| [*from, *to]);
    let ends: Vec<String> = ends.map(str::to_owned).collect();
    let edges = Dataset::texts(&[edges.len() as u64, 2], ends).expect("pairs");
    let mut graph = node("NIRGraph").with("nodes", all).with("edges", edges);
    if let Some(metadata) = metadata {
        graph.insert("metadata", metadata);
    }
    let root = Group::new().with("version", Dataset::text("1.0.8"));
    let bytes = to_bytes(&root.with("node", graph)).expect("it can be written");
    std::fs::write(path, bytes).expect("written");
}

/// The nodes one after the other, from the Input to the Output.
fn chain(path: &str, nodes: Vec<(&str, Group)>) {
    let mut names = vec!["input"];
    names.extend(nodes.iter().map(|(name, _)| *name));
    names.push("output");
    let edges: Vec<(&str, &str)> = names.windows(2).map(|w| (w[0], w[1])).collect();
    write(path, nodes, &edges, None);
}

/// A file in a temporary directory: weights, and then this.
fn file(directory: &TempDir, name: &str, nodes: Vec<(&str, Group)>) -> String {
    let path = within(directory, name);
    let weighted = [vec![("w", weights())], nodes].concat();
    chain(&path, weighted);
    path
}

/// Spikes of two samples of 30 ticks, as an array.
fn raster() -> Array3<u8> {
    Array3::from_shape_fn((30, 2, 3), |(t, b, j)| {
        u8::from((t * 7 + b * 3 + j * 5) % 11 < 4)
    })
}

/// The same as a file.
fn spikes(directory: &TempDir) -> String {
    let path = within(directory, "spikes.npy");
    write_npy(&path, &raster()).expect("written");
    path
}

fn array<A: ReadableElement>(archive: &str, name: &str) -> ArrayD<A> {
    let mut npz = NpzReader::new(File::open(archive).expect("opened")).expect("an archive");
    npz.by_name(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Verdict and ways of a node in what `check --json` prints.
fn verdict(checked: &Value, node: &str) -> (String, Vec<String>) {
    let nodes = checked["nodes"].as_array().expect("nodes");
    let found = nodes
        .iter()
        .find(|n| n["node"] == node)
        .expect("it is there");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let how = found["how"].as_array().expect("a list").iter().map(text);
    (text(&found["verdict"]), how.collect())
}

/// What `check --json` prints, whatever the outcome.
fn checked(arguments: &[&str]) -> Value {
    let words = [&["check", "--json"], arguments].concat();
    let output = command(&words).output().expect("it starts");
    json(&String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn each_node_is_judged() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = within(&directory, "net.nir");
    let late = delay([0.002, 0.003, 0.002]);
    chain(&path, vec![("d", late), ("w", weights()), ("n", lif(1.0))]);
    let by = |convention: &str| checked(&[&path, "--dt", "1e-3", "--convention", convention]);
    // A delay of the file is no departure from it.
    assert_eq!(verdict(&by("nir"), "n").0, "faithful");
    let (word, how) = verdict(&by("norse"), "n");
    assert_eq!(word, "approximate");
    assert_eq!(how, ["integrator = euler: decay by `1 - dt/tau`"]);
    let (_, how) = verdict(&by("lava"), "n");
    assert!(
        how.contains(&"what arrives is up to 1 tick late".to_owned()),
        "{how:?}"
    );
    assert_eq!(verdict(&by("norse"), "d").0, "faithful");
}

#[test]
fn faults_are_told_together_and_spoil_no_other_verdict() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut broken = lif(1.0);
    broken.insert("tau", floats(&[2], &[0.01, f32::NAN]));
    let mut wild = weights();
    wild.insert("weight", floats(&[2, 3], &[f32::INFINITY; 6]));
    let square = node("Linear").with("weight", floats(&[2, 2], &[1.0; 4]));
    let path = within(&directory, "broken.nir");
    let nodes = vec![("w", wild), ("a", broken), ("w2", square), ("b", lif(1.0))];
    chain(&path, nodes);
    let arguments = ["check", &path, "--convention", "norse", "--dt", "1e-3"];
    let text = bad(&arguments);
    assert_eq!(text.matches("error[N0204]").count(), 2, "{text}");
    let checked = checked(&arguments[1..]);
    let words = ["w", "a", "w2", "b"].map(|node| verdict(&checked, node).0);
    assert_eq!(
        words,
        ["unsupported", "unsupported", "faithful", "approximate"]
    );
    assert_eq!(checked["problems"].as_array().expect("a list").len(), 2);
}

#[test]
fn a_check_says_what_cannot_be_lowered() {
    let directory = tempfile::tempdir().expect("a directory");
    let parameters = [
        ("tau_syn", 0.005),
        ("tau_mem", 0.01),
        ("r", 1.0),
        ("v_leak", 0.0),
    ];
    let firing = [("v_threshold", 0.3), ("v_reset", 0.0), ("w_in", 1.0)];
    let cuba = neurons("CubaLIF", &[&parameters[..], &firing].concat());
    let path = file(&directory, "cuba.nir", vec![("n", cuba)]);
    let set = ["--set", "n.reset_time=exact"];
    let arguments = [&["check", &path, "--convention", "norse"], &set[..]].concat();
    assert!(bad(&arguments).contains("N0401"));
    let (word, _) = verdict(&checked(&arguments[1..]), "n");
    assert_eq!(word, "unsupported");
}

#[test]
fn what_is_supported_is_listed() {
    insta::assert_snapshot!(good(&["supported"]));
    let all = json(&good(&["supported", "--json"]));
    assert_eq!(all.as_array().expect("a list").len(), 19);
    assert!(all[0]["trainable"].is_boolean());
}

#[test]
fn conventions_are_listed_and_explained() {
    let list = good(&["conventions"]);
    let all = json(&good(&["conventions", "--json"]));
    for (k, name) in Convention::PRESETS.iter().enumerate() {
        assert!(list.lines().any(|line| line == *name), "{name}");
        assert_eq!(all[k]["convention"], *name);
    }
    let text = good(&["conventions", "snntorch"]);
    for attribute in Convention::ATTRIBUTES {
        assert!(text.contains(attribute), "{attribute}");
    }
    assert!(text.contains("IF.if_decay=0.9"));
    assert!(bad(&["conventions", "torch"]).contains("spinnaker2-int8"));
}

#[test]
fn a_stated_convention_is_taken_and_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = within(&directory, "stated.nir");
    let metadata = Group::new().with("convention", Dataset::text("norse"));
    let edges = [("input", "w"), ("w", "n"), ("n", "output")];
    let nodes = vec![("w", weights()), ("n", lif(1.0))];
    write(&path, nodes, &edges, Some(metadata));
    let text = stderr(&common::nirc(&["check", &path]));
    assert!(
        text.contains("note[N0305]") && text.contains("read under `norse`"),
        "{text}"
    );
    // The length of a tick that comes with a convention is said.
    let notes = command(&["check", &path, "--convention", "norse"]).output();
    let text = stderr(&notes.expect("it starts"));
    assert!(
        text.contains("note[N0212]") && text.contains("0.001 s, as norse"),
        "{text}"
    );
}

#[test]
fn what_is_set_by_hand_wins() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "if.nir", vec![("n", integrate_and_fire())]);
    let base = ["--convention", "snntorch", "--dt", "1e-3", &path];
    let how = |set: &[&str]| verdict(&checked(&[&base[..], set].concat()), "n").1;
    assert!(how(&[]).iter().any(|way| way.starts_with("if_decay = 0.9")));
    // snntorch has these for other nodes: the values are the preset's own, and yet they are set.
    let set = [
        "--set",
        "if_decay=1",
        "--set",
        "reset=to_zero",
        "--set",
        "spike=held",
    ];
    assert_eq!(how(&set), Vec::<String>::new());
    let set = ["--set", "n.reset=none", "--set", "reset=to_zero"];
    assert!(how(&set).contains(&"reset = none: nothing".to_owned()));
    let wrong = [
        "--set",
        "n.dt=1",
        "--set",
        "colour=red",
        "--set",
        "reset=hard",
    ];
    let text = bad(&[&["check"], &base[..], &wrong].concat());
    assert_eq!(text.matches("error[N0305]").count(), 3, "{text}");
    let text = bad(&[&["check"], &base[..], &["--set", "m.reset=none"]].concat());
    assert!(text.contains("the populations are: n"), "{text}");
}

/// Spikes of the population `n` of a file under a convention, at a tick of 1 ms unless another is given.
fn run(directory: &TempDir, path: &str, convention: &str, more: &[&str]) -> ArrayD<u8> {
    let (input, output) = (spikes(directory), within(directory, "out.npz"));
    let time: &[&str] = if more.contains(&"--dt") {
        &[]
    } else {
        &["--dt", "1e-3"]
    };
    let what = [
        "run",
        path,
        "--convention",
        convention,
        "--input",
        &input,
        "-o",
        &output,
    ];
    good(&[&what[..], time, more, &["--record", "n.spikes"]].concat());
    array(&output, "n.spikes")
}

#[test]
fn a_converted_file_does_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, other) = (within(&directory, "a.nir"), within(&directory, "b.nir"));
    let late = delay([0.002, 0.003, 0.002]);
    chain(&path, vec![("d", late), ("w", weights()), ("n", lif(2.0))]);
    let expected = run(&directory, &path, "snntorch", &[]);
    assert!(expected.iter().any(|z| *z == 1));
    // In another unit of time, with ticks of another length: delays are as many ticks.
    let to = ["--from", "snntorch", "--to", "norse", "--to-dt", "5e-4"];
    let convert = ["convert", &path, &other, "--dt", "1e-3"];
    good(&[&convert[..], &to].concat());
    let tick = ["--dt", "5e-4"];
    assert_eq!(run(&directory, &other, "norse", &tick), expected);
    let unit = ["--set-to", "time_unit=1e-3"];
    good(&[&convert[..], &to, &unit].concat());
    let unit = ["--dt", "5e-4", "--set", "time_unit=1e-3"];
    assert_eq!(run(&directory, &other, "norse", &unit), expected);
}

#[test]
fn what_cannot_be_converted_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let other = within(&directory, "b.nir");
    let path = file(&directory, "a.nir", vec![("n", lif(2.0))]);
    let convert = ["convert", &path, &other, "--dt", "1e-3", "--from", "norse"];
    let text = bad(&[&convert[..], &["--to", "spyx"]].concat());
    assert!(
        text.contains("`reset_time` is same in `norse` and next in `spyx`"),
        "{text}"
    );
    assert!(
        text.contains("`reset` is to_zero in `norse` and subtract in `spyx`"),
        "{text}"
    );
    // Unless the other tool can be told to do so.
    let told = ["--set-to", "reset_time=same", "--set-to", "n.reset=to_zero"];
    good(&[&convert[..], &["--to", "spyx"], &told].concat());
    let told = ["--set", "output_delay=1", "--set", "reset_time=same"];
    let told = [&told[..], &["--set", "reset=to_zero"]].concat();
    let late = run(&directory, &other, "spyx", &told);
    let expected = run(&directory, &path, "norse", &[]);
    assert_eq!(
        late.slice(s![1.., .., ..]),
        expected.slice(s![..-1, .., ..])
    );
    // The file that is read is not written over, whatever it is called.
    let again = within(&directory, "./a.nir");
    let text = bad(&[
        "convert", &path, &again, "--from", "euler", "--to", "lava", "--dt", "1e-3",
    ]);
    assert!(text.contains("N0107"), "{text}");
    let text = bad(&[&convert[..], &["--to", "torch", "--set", "foo=1"]].concat());
    assert_eq!(text.matches("error[N0305]").count(), 2, "{text}");
}

#[test]
fn shared_weights_are_not_multiplied_for_one_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, other) = (within(&directory, "a.nir"), within(&directory, "b.nir"));
    let edges = [
        ("input", "w"),
        ("w", "n"),
        ("w", "m"),
        ("n", "output"),
        ("m", "output2"),
    ];
    let two = |r: f32| {
        let output2 = port("Output", 2);
        vec![
            ("w", weights()),
            ("n", lif(r)),
            ("m", lif(1.0)),
            ("output2", output2),
        ]
    };
    let convert = [
        "convert", &path, &other, "--from", "euler", "--to", "norse", "--dt", "1e-3",
    ];
    write(&path, two(2.0), &edges, None);
    let text = bad(&convert);
    assert!(
        text.contains("N0305") && text.contains("multiplied differently"),
        "{text}"
    );
    write(&path, two(1.0), &edges, None);
    good(&convert);
    let both = [(&path, "euler"), (&other, "norse")];
    let [a, b] = both.map(|(file, convention)| run(&directory, file, convention, &[]));
    assert_eq!(a, b);
}

#[test]
fn the_outside_sees_counts_as_late_as_spikes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n", lif(1.0))]);
    for count in ["spikes=single", "spikes=multiple"] {
        let seen = |late: &str| {
            let set = ["--set", count, "--set", "reset=subtract", "--set", late];
            counts(&directory, &path, &set)
        };
        let (soon, late) = (seen("output_delay=0"), seen("output_delay=2"));
        assert!(soon.iter().any(|n| *n > 0.0), "{count}");
        let (from, to) = (s![2.., .., ..], s![..-2, .., ..]);
        assert_eq!(late.slice(from), soon.slice(to), "{count}");
    }
}

/// Spikes, or how many there are in a tick, of the population `n` under the convention `euler`.
fn counts(directory: &TempDir, path: &str, set: &[&str]) -> Array3<f32> {
    let (input, output) = (spikes(directory), within(directory, "counts.csv"));
    let base = [
        "run",
        path,
        "--convention",
        "euler",
        "--dt",
        "1e-3",
        "--input",
        &input,
    ];
    good(&[&base[..], set, &["--record", "n.spikes", "-o", &output]].concat());
    let text = std::fs::read_to_string(&output).expect("written");
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let mut all = Array3::zeros((30, 2, 2));
    for line in lines {
        let numbers: Vec<f32> = line
            .split(',')
            .map(|n| n.parse().expect("a number"))
            .collect();
        let at = |name: &str| header.iter().position(|column| *column == name);
        let index = |name: &str| at(name).map_or(0, |k| numbers[k] as usize);
        let (tick, sample) = (index("tick"), index("sample"));
        match at("channel") {
            Some(_) => all[[tick, sample, index("channel")]] = 1.0,
            None => (0..2).for_each(|n| all[[tick, sample, n]] = numbers[2 + n]),
        }
    }
    all
}

/// What `diff` says of two files, at a tick of 1 ms.
fn diff(directory: &TempDir, a: &str, b: &str, more: &[&str]) -> (String, Value) {
    let input = spikes(directory);
    let base = ["diff", a, b, "--dt", "1e-3", "--input", &input];
    let words = [&base[..], more].concat();
    (
        good(&words),
        json(&good(&[&words[..], &["--json"]].concat())),
    )
}

#[test]
fn differences_are_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let square = || node("Linear").with("weight", floats(&[2, 2], &[1.0, 0.5, 0.5, 1.0]));
    let nodes = vec![("n", lif(1.0)), ("w2", square()), ("m", lif(1.0))];
    let path = file(&directory, "a.nir", nodes);
    let norse = ["--convention", "norse"];
    let (text, _) = diff(&directory, &path, &path, &norse);
    assert!(text.contains("Both give the same spikes."), "{text}");
    let one = ["--set-b", "n.reset=subtract"];
    let (text, found) = diff(&directory, &path, &path, &[&norse[..], &one].concat());
    assert!(
        text.contains("`reset of n` explains it: with to_zero instead of subtract"),
        "{text}"
    );
    let first = &found["behaviour"]["first"];
    assert_eq!(
        (&first["population"], &first["compared"]),
        (&"n".into(), &"spikes".into())
    );
    let two = [
        "--set-b",
        "n.reset=subtract",
        "--set-b",
        "integrator=exponential",
    ];
    let (text, found) = diff(&directory, &path, &path, &[&norse[..], &two].concat());
    assert!(text.contains("do together"), "{text}");
    let together = found["behaviour"]["together"].as_array().expect("a list");
    assert_eq!(together.len(), 2, "{text}");
    assert_eq!(found["behaviour"]["read_alike"], 0);
}

#[test]
fn exceptions_of_presets_are_explained() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "if.nir", vec![("n", integrate_and_fire())]);
    let pair = ["--convention", "snntorch", "--convention-b", "euler"];
    let (text, found) = diff(&directory, &path, &path, &pair);
    let attributes = found["behaviour"]["attributes"].as_array().expect("a list");
    let named = |name: &str| attributes.iter().any(|a| a["attribute"] == name);
    assert!(named("if_decay") && named("spike"), "{text}");
    assert!(
        text.contains("explains it") || text.contains("do together"),
        "{text}"
    );
}

#[test]
fn voltages_are_compared_where_nothing_spikes() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "li.nir", vec![("n", leaky_integrator())]);
    let pair = ["--convention", "norse", "--convention-b", "nir"];
    let (text, found) = diff(&directory, &path, &path, &pair);
    assert!(text.contains("`integrator` explains it"), "{text}");
    assert_eq!(found["behaviour"]["first"]["compared"], "v");
    // Another order of roundings is no difference.
    let rounded = ["--convention", "norse", "--set-b", "update=decay"];
    let (text, _) = diff(&directory, &path, &path, &rounded);
    assert!(text.contains("Both give the same voltages."), "{text}");
}

#[test]
fn what_cannot_be_compared_is_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let a = file(&directory, "a.nir", vec![("n", lif(1.0))]);
    let b = file(&directory, "b.nir", vec![("m", lif(1.0))]);
    let norse = ["--convention", "norse"];
    let (text, _) = diff(&directory, &a, &b, &norse);
    assert!(text.contains("No population can be compared."), "{text}");
    assert!(text.contains("n is only in A, m is only in B"), "{text}");
    assert!(!text.contains("the same"), "{text}");
    let c = file(&directory, "c.nir", vec![("n", lif(3.0))]);
    let (text, _) = diff(&directory, &a, &c, &["--convention", "euler"]);
    assert!(text.contains("the files differ"), "{text}");
    // Input that does not fit one of the two, and faults of both.
    let narrow = within(&directory, "d.nir");
    let edges = [("in2", "n"), ("n", "output")];
    write(
        &narrow,
        vec![("in2", port("Input", 2)), ("n", lif(1.0))],
        &edges,
        None,
    );
    let input = spikes(&directory);
    let words = [
        "diff",
        &a,
        &narrow,
        "--input",
        &input,
        "--convention",
        "norse",
    ];
    assert!(bad(&words).contains("N0701"));
    let text = bad(&["diff", "a", "b"]);
    assert_eq!(text.matches("error[N0101]").count(), 2, "{text}");
    // What would be ignored is refused.
    let output = command(&["diff", &a, &b, "--set", "reset=none"]).output();
    assert_eq!(output.expect("it starts").status.code(), Some(2));
}

#[test]
fn every_format_comes_out_alike_of_every_executor() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n", lif(1.0))]);
    let input = spikes(&directory);
    let base = ["run", &path, "--convention", "norse", "--dt", "1e-3"];
    let out = |name: &str, executor: &str, input: &str, record: &str| {
        let output = within(&directory, &format!("{executor}-{name}"));
        let more = ["--executor", executor, "--input", input, "--record", record];
        good(&[&base[..], &more, &["--ticks", "30", "-o", &output]].concat());
        output
    };
    let bytes = |path: &str| std::fs::read(path).expect("written");
    for (name, record) in [
        ("out.npz", "n.spikes,n.v,n.v_pre,input.spikes"),
        ("out.h5", "n.spikes,n.v,input.spikes"),
        ("out.npy", "n.v"),
        ("spikes.csv", "n.spikes"),
        ("v.csv", "n.v"),
    ] {
        let host = bytes(&out(name, "host", &input, record));
        for executor in ["interpreter", "emulator"] {
            assert!(
                host == bytes(&out(name, executor, &input, record)),
                "{executor} {name}"
            );
        }
    }
    // What was written is read, and does the same.
    let expected = bytes(&out("a.npz", "host", &input, "n.v"));
    for name in ["in.npy", "in.npz", "in.csv", "in.h5"] {
        let written = out(name, "host", &input, "input.spikes");
        assert!(
            expected == bytes(&out("b.npz", "host", &written, "n.v")),
            "{name}"
        );
    }
    // Whatever the element type; and graded values on all executors.
    let floats = within(&directory, "floats.npy");
    write_npy(&floats, &raster().mapv(f64::from)).expect("written");
    assert!(expected == bytes(&out("b.npz", "host", &floats, "n.v")));
    write_npy(&floats, &raster().mapv(|z| f32::from(z) * -0.5)).expect("written");
    let graded = bytes(&out("c.npz", "host", &floats, "n.v"));
    assert!(graded != expected && graded == bytes(&out("c.npz", "emulator", &floats, "n.v")));
    let v: Array3<f32> = read_npy(within(&directory, "host-out.npy")).expect("an array");
    assert_eq!(v.dim(), (30, 2, 2));
}

#[test]
fn every_reset_starts_from_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut leaky = lif(1.0);
    leaky.insert("v_leak", floats(&[2], &[0.1, 0.2]));
    let path = file(&directory, "a.nir", vec![("n", leaky)]);
    for time in ["same", "next", "exact", "guarded"] {
        let time = format!("reset_time={time}");
        let set = ["--set", "reset=subtract", "--set", &time];
        let found = run(&directory, &path, "norse", &set);
        assert!(found.iter().any(|z| *z == 1), "{time}");
    }
}

#[test]
fn values_that_diverge_are_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n", leaky_integrator())]);
    let input = spikes(&directory);
    let base = [
        "run",
        &path,
        "--convention",
        "euler",
        "--dt",
        "100",
        "--input",
        &input,
    ];
    let outputs = ["host", "emulator"].map(|executor| {
        let output = within(&directory, &format!("{executor}.npz"));
        let run = command(&[&base[..], &["--executor", executor, "-o", &output]].concat()).output();
        let run = run.expect("it starts");
        assert!(run.status.success() && stderr(&run).contains("warning[N0704] n.v"));
        std::fs::read(output).expect("written")
    });
    assert!(outputs[0] == outputs[1]);
}

#[test]
fn bad_input_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n", lif(1.0))]);
    let (input, out) = (spikes(&directory), within(&directory, "out.npz"));
    let base = [
        "run",
        &path,
        "--convention",
        "norse",
        "--dt",
        "1e-3",
        "-o",
        &out,
    ];
    let refused = |input: &str, code: &str| {
        let text = bad(&[&base[..], &["--input", input]].concat());
        assert!(
            text.contains(code) && text.contains("help:"),
            "{input}: {text}"
        );
    };
    let array = |name: &str, values: Array3<f32>| {
        let path = within(&directory, name);
        write_npy(&path, &values).expect("written");
        path
    };
    let mut nan = raster().mapv(f32::from);
    nan[[3, 1, 2]] = f32::NAN;
    refused(&array("nan.npy", nan), "N0701");
    refused(&array("wide.npy", Array3::zeros((30, 2, 4))), "N0701");
    refused(&array("no_ticks.npy", Array3::zeros((0, 2, 3))), "N0701");
    refused(&array("no_samples.npy", Array3::zeros((30, 0, 3))), "N0701");
    let text = |name: &str, content: &str| {
        let path = within(&directory, name);
        std::fs::write(&path, content).expect("written");
        path
    };
    refused(&text("empty.csv", ""), "N0701");
    refused(&text("ragged.csv", "1,0,0\n1,0\n"), "N0701");
    refused(&text("off.csv", "time,channel\n0.00150,1\n"), "N0701");
    refused(&text("before.csv", "tick,channel\n-1,1\n"), "N0701");
    refused(&text("cut.h5", "\u{89}HDF\r\n\u{1a}\nxxx"), "N0701");
    refused(directory.path().to_str().expect("UTF-8"), "N0101");
    refused(&within(&directory, "none.npy"), "N0101");
    let archive = within(&directory, "other.npz");
    let mut npz = NpzWriter::new(File::create(&archive).expect("created"));
    for name in ["a", "b"] {
        npz.add_array(name, &Array2::<u8>::zeros((30, 3)))
            .expect("added");
    }
    npz.finish().expect("written");
    refused(&archive, "N0701");
    let with = |more: &[&str]| bad(&[&base[..], &["--input", &input], more].concat());
    assert!(with(&["--ticks", "0"]).contains("N0701"));
    assert!(with(&["--ticks", "65536"]).contains("N0304"));
    let far = text("far.csv", "tick,channel,sample\n3,1,4194303\n");
    let words = [
        &base[..],
        &["--input", &far, "--ticks", "65535", "--record", "n.v"],
    ]
    .concat();
    assert!(bad(&words).contains("bins in an array"));
    let record = ["--record", "n.spike,m.v,n.i,input.v,n.lambda_v"];
    let text = with(&record);
    assert_eq!(text.matches("error[N0703]").count(), 5, "{text}");
    assert!(!Path::new(&out).exists());
}

#[test]
fn results_are_not_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n", lif(1.0))]);
    let input = spikes(&directory);
    let base = [
        "run",
        &path,
        "--convention",
        "norse",
        "--dt",
        "1e-3",
        "--input",
        &input,
    ];
    let out = |name: &str| {
        let output = within(&directory, name);
        bad(&[&base[..], &["-o", &output]].concat())
    };
    // What is read is not written over, and what cannot be written is refused before anything runs.
    let before = std::fs::read(&input).expect("read");
    assert!(out("spikes.npy").contains("N0107"));
    assert!(out("a.nir").contains("N0107"));
    assert_eq!(std::fs::read(&input).expect("read"), before);
    assert!(out("out.txt").contains("found .txt"));
    assert!(out("out").contains("found none"));
    assert!(out("none/out.npz").contains("create the directory"));
    let both = ["--record", "n.spikes,n.v", "-o", "out.npy"];
    assert!(bad(&[&base[..], &both].concat()).contains("holds one signal"));
}

#[cfg(unix)]
#[test]
fn names_and_outputs_of_any_kind() {
    use std::os::unix::ffi::OsStrExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "a.nir", vec![("n 中.β", lif(1.0))]);
    let input = spikes(&directory);
    let base = [
        "run",
        &path,
        "--convention",
        "norse",
        "--dt",
        "1e-3",
        "--input",
        &input,
    ];
    let of = [
        "--record",
        "n 中.β.spikes",
        "--set",
        "n 中.β.reset=none",
        "--json",
    ];
    let name = std::ffi::OsStr::from_bytes(b"\xff.npz");
    let mut run = command(&[&base[..], &of].concat());
    let run = run.arg("-o").arg(directory.path().join(name)).output();
    let run = run.expect("it starts");
    assert!(run.status.success(), "{}", stderr(&run));
    assert_eq!(
        json(&String::from_utf8(run.stdout).expect("UTF-8"))["samples"],
        2
    );
    if let Ok(full) = File::options().write(true).open("/dev/full") {
        let supported = command(&["supported"]).stdout(full).output();
        assert_eq!(supported.expect("it starts").status.code(), Some(1));
    }
}

#[test]
fn files_of_other_tools_are_taken() {
    for tool in ["norse", "rockpool", "sinabs", "snntorch", "spyx"] {
        let folder = workspace("tests/golden/simulators").join(tool);
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("readable").path();
            if path.extension().is_some_and(|extension| extension == "nir") {
                let path = path.to_str().expect("UTF-8");
                let checked = checked(&[path, "--convention", tool, "--target", "spinnaker2"]);
                assert!(checked["pes"].as_u64() > Some(0), "{path}: {checked}");
            }
        }
    }
}

#[test]
fn runs_with_exact_event_times_tell_them() {
    let directory = tempfile::tempdir().expect("a directory");
    let parameters = [
        ("tau_mem", 0.02),
        ("tau_syn", 0.005),
        ("r", 1.0),
        ("v_leak", 0.0),
        ("v_threshold", 0.3),
        ("v_reset", 0.0),
        ("w_in", 1.0),
    ];
    let path = file(
        &directory,
        "net.nir",
        vec![("n", neurons("CubaLIF", &parameters))],
    );
    let config = within(&directory, "c.toml");
    let text =
        "[convention]\npreset = \"event\"\n[time]\nmodel = \"event\"\nticks = 30\ndt = 1e-3\n";
    std::fs::write(&config, text).expect("written");
    let input = within(&directory, "in.csv");
    let events = "time,channel\n0.00125,0\n0.0021,1\n0.0022,0\n0.0135,2\n";
    std::fs::write(&input, events).expect("written");
    let run = |output: &str, ticks: &str, more: &[&str]| {
        let output = within(&directory, output);
        let base = [
            "run",
            &path,
            "--config",
            &config,
            "--executor",
            "interpreter",
        ];
        let rest = ["--input", &input, "--ticks", ticks, "-o", &output];
        good(&[&base[..], &rest, more].concat());
        output
    };
    let page = within(&directory, "page.html");
    let npz = run("out.npz", "30", &["--report", &page]);
    let times = array::<f32>(&npz, "n.spikes.times");
    let times: Vec<Vec<f32>> = times.rows().into_iter().map(|row| row.to_vec()).collect();
    assert!(times.len() > 1, "{times:?}");
    assert!(times.iter().any(|row| row[2].fract() != 0.0), "{times:?}");
    // Text holds the same, and so does the table of first spikes.
    let text = std::fs::read_to_string(run("out.csv", "30", &[])).expect("there");
    let lines = times.iter().map(|row| format!("{},{}\n", row[2], row[1]));
    assert_eq!(text, format!("tick,channel\n{}", lines.collect::<String>()));
    let first = array::<f32>(&npz, "first_spike");
    for neuron in 0..2 {
        #[expect(clippy::cast_precision_loss, reason = "two neurons")]
        let mut own = times.iter().filter(|row| row[1] == neuron as f32);
        let expected = own.next().map_or(30.0, |row| row[2]);
        assert_eq!(first[[0, neuron]].to_bits(), expected.to_bits());
    }
    // Bins of the array are those in which the times lie, and the page shows the times.
    let bins = array::<u8>(&npz, "n.spikes");
    for row in &times {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "indices"
        )]
        let [tick, channel] = [row[2] as usize, row[1] as usize];
        assert_eq!(bins[[tick, 0, channel]], 1);
    }
    let page = std::fs::read_to_string(page).expect("there");
    assert!(
        page.contains(&format!("n {}, {:.3} bins", times[0][1], times[0][2])),
        "{page}"
    );
    assert!(page.contains("input 0, 1.250 bins"));
}

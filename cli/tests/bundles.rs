//! Bundles of networks that run forward only: what they remember, and what is refused.

mod common;

use std::fs;

use common::{bad, good, within, workspace};
use ndarray::Array2;
use ndarray_npy::write_npy;

/// A bundle of the moving bars for 4 ticks, with more said to `nirc compile`; and an input for it, of spikes.
fn bundle(directory: &tempfile::TempDir, more: &[&str]) -> (String, String) {
    let model = model();
    let (output, input) = (within(directory, "bundle"), within(directory, "input.npy"));
    let how = ["--convention", "snntorch", "--ticks", "4", "-o", &output];
    good(&[&["compile", &model], &how[..], more].concat());
    let spikes = Array2::<u8>::from_shape_fn((4, 100), |(t, i)| u8::from((t + i) % 3 == 0));
    write_npy(&input, &spikes).expect("written");
    (output, input)
}

fn model() -> String {
    let model = workspace("examples/moving-models/bars.nir");
    model.to_str().expect("UTF-8").to_owned()
}

#[test]
fn a_bundle_gives_what_its_file_gives() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = ["--record", "1.spikes,5.v"];
    let (bundle, input) = bundle(&directory, &[&record[..], &["--replicas", "2"]].concat());
    let run = |source: &[&str], name: &str| {
        let output = within(&directory, name);
        good(&[&["run"], source, &["--input", &input, "-o", &output]].concat());
        fs::read(output).expect("written")
    };
    let file = run(
        &[&[model().as_str(), "--convention", "snntorch"], &record[..]].concat(),
        "file.npz",
    );
    assert_eq!(run(&[&bundle], "host.npz"), file);
    let emulator = [bundle.as_str(), "--executor", "emulator"];
    assert_eq!(run(&emulator, "emulator.npz"), file);
}

#[test]
fn a_page_shows_what_went_in_and_came_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let (bundle, input) = bundle(&directory, &["--record", "1.spikes,5.v"]);
    let (output, page) = (
        within(&directory, "out.npz"),
        within(&directory, "page.html"),
    );
    let run = [
        "run", &bundle, "--input", &input, "-o", &output, "--report", &page,
    ];
    good(&[&run[..], &["--executor", "emulator"]].concat());
    let html = fs::read_to_string(&page).expect("readable");
    for shown in [
        ">input<",
        ">1<",
        ">5.v<",
        "1: spikes a neuron and sample",
        "The chip",
    ] {
        assert!(html.contains(shown), "{shown}");
    }
    // A dot or a piece of a path for each spike that went in, and nothing from elsewhere.
    assert!(
        html.matches("input ").count() >= 130,
        "{}",
        html.matches("input ").count()
    );
    assert!(!html.contains("http"), "it needs no other file");
    good(&run);
    let html = fs::read_to_string(&page).expect("readable");
    assert!(!html.contains("The chip"), "the host has none");
}

#[test]
fn what_images_do_not_record_is_compiled_anew_and_said() {
    let directory = tempfile::tempdir().expect("a directory");
    let (bundle, input) = bundle(&directory, &[]);
    let output = within(&directory, "out.npz");
    let how = ["--record", "5.v", "--input", &input, "-o", &output];
    let ran = common::nirc(&[&["run", &bundle], &how[..]].concat());
    let text = common::stderr(&ran);
    assert!(ran.status.success() && text.contains("N0506"), "{text}");
    assert!(text.contains("compiled anew"), "{text}");
}

#[test]
fn a_bundle_is_read_as_it_was_compiled() {
    let directory = tempfile::tempdir().expect("a directory");
    let (bundle, input) = bundle(&directory, &[]);
    let output = within(&directory, "out.npz");
    let run = ["run", &bundle, "--input", &input, "-o", &output];
    let text = bad(&[
        &run[..],
        &["--convention", "norse", "--set", "5.reset=none"],
    ]
    .concat());
    assert_eq!(text.matches("N0305").count(), 2, "{text}");
    let text = bad(&[&run[..], &["--ticks", "5"]].concat());
    assert!(text.contains("4 ticks") && text.contains('5'), "{text}");
    let config = workspace("examples/yin-yang/full.toml");
    let text = bad(&[&run[..], &["--config", config.to_str().expect("UTF-8")]].concat());
    assert!(text.contains("leave --config out"), "{text}");
}

#[test]
fn values_have_to_be_said_when_compiling() {
    let directory = tempfile::tempdir().expect("a directory");
    let (plain, input) = bundle(&directory, &[]);
    let (output, values) = (
        within(&directory, "out.npz"),
        within(&directory, "values.npy"),
    );
    write_npy(&values, &Array2::<f32>::from_elem((4, 100), 0.25)).expect("written");
    let text = bad(&["run", &plain, "--input", &values, "-o", &output]);
    assert!(
        text.contains("N0506") && text.contains("--values"),
        "{text}"
    );
    fs::remove_dir_all(&plain).expect("removed");
    let (graded, _) = bundle(&directory, &["--values", "input"]);
    good(&[
        "run",
        &graded,
        "--input",
        &values,
        "-o",
        &output,
        "--executor",
        "emulator",
    ]);
    let text = bad(&["run", &graded, "--input", &input, "-o", &output]);
    assert!(text.contains("N0506"), "{text}");
}

#[test]
fn what_does_not_go_together_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (model, output) = (model(), within(&directory, "bundle"));
    let compile = ["compile", &model, "-o", &output, "--convention", "snntorch"];
    let text = bad(&compile);
    assert!(text.contains("--ticks"), "{text}");
    let text = bad(&[&compile[..], &["--ticks", "4", "--emit", "adjoint"]].concat());
    assert!(text.contains("adjoint"), "{text}");
    let text = bad(&[
        &compile[..],
        &["--ticks", "4", "--record", "9.v,5.lambda_v"],
    ]
    .concat());
    assert_eq!(text.matches("N0703").count(), 2, "{text}");
    assert!(!fs::exists(&output).expect("readable"));
}

#[test]
fn a_bundle_that_does_not_say_how_it_is_read_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (bundle, input) = bundle(&directory, &[]);
    let output = within(&directory, "out.npz");
    let forward = format!("{bundle}/forward.json");
    let text = fs::read_to_string(&forward).expect("readable");
    fs::write(&forward, text.replace("snntorch", "snntorch2")).expect("written");
    let text = bad(&["run", &bundle, "--input", &input, "-o", &output]);
    assert!(text.contains("N0506"), "{text}");
}

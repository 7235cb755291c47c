//! Gradients and runs: the archives they write, against recordings and against each other.

mod common;

use std::fs::File;
use std::path::Path;

use common::{bad, good, within, workspace};
use ndarray::{Array1, Array3, ArrayD, Axis};
use ndarray_npy::{NpzReader, ReadableElement, write_npy};

fn array<A: ReadableElement>(archive: &Path, name: &str) -> ArrayD<A> {
    let mut npz = NpzReader::new(File::open(archive).expect("opened")).expect("an archive");
    npz.by_name(name)
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(archive: &Path) -> Vec<String> {
    let mut npz = NpzReader::new(File::open(archive).expect("opened")).expect("an archive");
    npz.names().expect("names")
}

/// Spikes of five samples of Yin-Yang and their labels, as files.
fn inputs(directory: &Path) -> (String, String) {
    let mut raster = Array3::<u8>::zeros((27, 5, 5));
    for (b, bins) in [
        [5, 17, 23, 11],
        [9, 9, 19, 19],
        [14, 3, 14, 25],
        [20, 21, 8, 7],
        [12, 24, 16, 4],
    ]
    .into_iter()
    .enumerate()
    {
        raster[[0, b, 4]] = 1;
        for (j, bin) in bins.into_iter().enumerate() {
            raster[[bin, b, j]] = 1;
        }
    }
    let (spikes, labels) = (directory.join("spikes.npy"), directory.join("labels.npy"));
    write_npy(&spikes, &raster).expect("written");
    write_npy(&labels, &Array1::from_vec(vec![0_i64, 1, 2, 0, 1])).expect("written");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    (text(&spikes), text(&labels))
}

fn example(file: &str) -> String {
    workspace("examples/yin-yang")
        .join(file)
        .to_str()
        .expect("UTF-8")
        .to_owned()
}

#[test]
fn gradients_do_not_depend_on_executor_or_rounds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spikes, labels) = inputs(directory.path());
    let (model, config) = (example("model.nir"), example("full.toml"));
    let compute = |name: &str, more: &[&str]| {
        let out = directory.path().join(name);
        let mut arguments = vec!["gradient", &model, "--config", &config, "--input", &spikes];
        arguments.extend(["--labels", &labels, "-o", out.to_str().expect("UTF-8")]);
        arguments.extend(more);
        good(&arguments);
        out
    };
    let expected = compute(
        "a.npz",
        &["--executor", "interpreter", "--set", "mapping.replicas=5"],
    );
    let shape = |name: &str| array::<f32>(&expected, name).shape().to_vec();
    assert_eq!(shape("fc1.weight"), [120, 5]);
    assert_eq!(shape("fc2.weight.per_sample"), [5, 3, 120]);
    assert_eq!(shape("hidden.lambda_i"), [27, 5, 120]);
    assert_eq!(shape("first_spike"), [5, 3]);
    assert_eq!(shape("loss"), [] as [usize; 0]);
    assert!(
        array::<f32>(&expected, "fc1.weight")
            .iter()
            .any(|g| *g != 0.0)
    );
    let per_sample = array::<f32>(&expected, "fc1.weight.per_sample");
    let mut sum = ndarray::ArrayD::<f32>::zeros(ndarray::IxDyn(&[120, 5]));
    for sample in per_sample.axis_iter(Axis(0)) {
        sum += &sample;
    }
    assert_eq!(sum, array::<f32>(&expected, "fc1.weight"));
    let spiked = array::<u8>(&expected, "hidden.spikes");
    assert!(spiked.iter().any(|z| *z == 1));
    for (name, more) in [
        (
            "b.npz",
            &["--executor", "host", "--set", "mapping.replicas=5"][..],
        ),
        (
            "c.npz",
            &["--executor", "host", "--set", "mapping.replicas=2"],
        ),
        (
            "d.npz",
            &["--executor", "emulator", "--set", "mapping.replicas=3"],
        ),
    ] {
        let found = compute(name, more);
        assert_eq!(names(&found), names(&expected));
        for name in names(&found) {
            if name.ends_with(".spikes") {
                assert_eq!(
                    array::<u8>(&found, &name),
                    array::<u8>(&expected, &name),
                    "{name}"
                );
            } else {
                let (a, b) = (array::<f32>(&found, &name), array::<f32>(&expected, &name));
                let bits = |array: &ArrayD<f32>| array.mapv(f32::to_bits);
                assert_eq!(bits(&a), bits(&b), "{name}");
            }
        }
    }
}

#[test]
fn recorded_runs_are_reproduced() {
    let golden = workspace("tests/golden/init_5_120_3.npz");
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| within(&directory, name);
    let (spikes, labels, error) = (path("s.npy"), path("l.npy"), path("e.npy"));
    write_npy(&spikes, &array::<u8>(&golden, "in_spikes")).expect("written");
    write_npy(&labels, &array::<i64>(&golden, "label")).expect("written");
    write_npy(&error, &array::<f32>(&golden, "L2_grad_out")).expect("written");
    let (model, config) = (example("model.nir"), example("full.toml"));
    let base = ["gradient", &model, "--config", &config, "--input", &spikes];
    for executor in ["interpreter", "host", "emulator"] {
        let (given, whole) = (path("given.npz"), path("whole.npz"));
        let mut arguments = base.to_vec();
        arguments.extend(["--error", &error, "-o", &given, "--executor", executor]);
        good(&arguments);
        let mut arguments = base.to_vec();
        arguments.extend(["--labels", &labels, "-o", &whole, "--executor", executor]);
        good(&arguments);
        let given = Path::new(&given);
        for (name, recorded) in [
            ("hidden.v_pre", "L1_Vpre"),
            ("hidden.v", "L1_V"),
            ("hidden.i", "L1_I"),
            ("hidden.lambda_v", "L1_lV"),
            ("hidden.lambda_i", "L1_lI"),
            ("out.v_pre", "L2_Vpre"),
            ("out.i", "L2_I"),
            ("out.lambda_v", "L2_lV"),
            ("out.lambda_i", "L2_lI"),
            ("fc1.weight.per_sample", "L1_gW_per_sample"),
            ("fc2.weight.per_sample", "L2_gW_per_sample"),
            ("first_spike", "first_spike"),
        ] {
            assert_eq!(
                array::<f32>(given, name),
                array::<f32>(&golden, recorded),
                "{executor} {name}"
            );
        }
        assert_eq!(
            array::<u8>(given, "out.spikes"),
            array::<u8>(&golden, "L2_spikes")
        );
        for (name, recorded) in [("fc1.weight", "gW1"), ("fc2.weight", "gW2")] {
            let found = array::<f32>(Path::new(&whole), name);
            let expected = array::<f32>(&golden, recorded);
            let largest = expected.iter().fold(0.0_f32, |m, g| m.max(g.abs()));
            let worst = (&found - &expected)
                .iter()
                .fold(0.0_f32, |m, d| m.max(d.abs()));
            assert!(
                worst <= 2e-6 * largest,
                "{executor} {name}: {worst} of {largest}"
            );
        }
    }
}

#[test]
fn a_bundle_runs_like_its_model() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spikes, _) = inputs(directory.path());
    let path = |name: &str| within(&directory, name);
    let (model, config) = (example("model.nir"), example("full.toml"));
    let (bundle, by_bundle, by_model) = (path("bundle"), path("b.npz"), path("m.npz"));
    let few = ["--config", &config, "--set", "mapping.replicas=2"];
    let mut arguments = vec!["compile", &model, "-o", &bundle, "--emit", "all"];
    arguments.extend(few);
    let text = good(&arguments);
    assert!(text.contains("on 9 PEs"), "{text}");
    for stage in [
        "network.txt",
        "event.txt",
        "adjoint.txt",
        "mapping.txt",
        "hidden.lst",
    ] {
        assert!(
            Path::new(&bundle).join("emit").join(stage).exists(),
            "{stage}"
        );
    }
    let record = "hidden.spikes,out.spikes,input.spikes";
    let run = |source: &str, executor: &str, output: &str| {
        let mut arguments = vec!["run", source, "--input", &spikes, "--executor", executor];
        arguments.extend(["--record", record, "-o", output]);
        arguments.extend(few);
        good(&arguments);
    };
    run(&bundle, "emulator", &by_bundle);
    run(&model, "host", &by_model);
    let (by_bundle, by_model) = (Path::new(&by_bundle), Path::new(&by_model));
    for name in ["hidden.spikes", "out.spikes", "input.spikes"] {
        let spikes = array::<u8>(by_bundle, name);
        assert_eq!(spikes, array::<u8>(by_model, name));
        assert!(spikes.iter().any(|z| *z == 1), "{name} is silent");
    }
    assert_eq!(
        array::<f32>(by_bundle, "first_spike"),
        array::<f32>(by_model, "first_spike")
    );
    // A bundle is not overwritten. It runs as it was compiled, whatever the configuration says of
    // replicas; its model is compiled anew where traces are asked for.
    assert!(bad(&arguments).contains("N0107"));
    let again = path("again.npz");
    let mut other = vec!["run", &bundle, "--input", &spikes, "-o", &again];
    other.extend(["--config", &config, "--record", "hidden.v"]);
    good(&other);
    let traced = path("traced.npz");
    other[1] = &model;
    other[5] = &traced;
    good(&other);
    let trace = |archive: &str| array::<f32>(Path::new(archive), "hidden.v");
    assert_eq!(trace(&again), trace(&traced));
}

#[test]
fn hostile_arrays_and_useless_errors_are_diagnostics() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spikes, _) = inputs(directory.path());
    let path = |name: &str| within(&directory, name);
    let (model, config, out) = (example("model.nir"), example("full.toml"), path("o.npz"));
    for shape in [
        "(27, 0, 18446744073709551615)",
        "(27, 4294967296000, 0)",
        "(0, 4294967296000, 5)",
        "(27, 99999999999, 5)",
    ] {
        let header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.as_bytes());
        let hostile = path("hostile.npy");
        std::fs::write(&hostile, bytes).expect("written");
        let run = [
            "run", &model, "--config", &config, "--input", &hostile, "-o", &out,
        ];
        assert!(bad(&run).contains("N0701"), "{shape}");
    }
    let gradient = ["gradient", &model, "--config", &config, "-o", &out];
    let error = path("error.npy");
    write_npy(&error, &Array3::<f32>::ones((27, 5, 3))).expect("written");
    let text = bad(&[&gradient[..], &["--input", &spikes, "--error", &error]].concat());
    assert!(text.contains("last bin"), "{text}");
    let none = path("none.npy");
    write_npy(&none, &Array3::<u8>::zeros((27, 0, 5))).expect("written");
    let labels = path("labels16.npy");
    write_npy(&labels, &Array1::from_vec(Vec::<i16>::new())).expect("written");
    let text = bad(&[&gradient[..], &["--input", &none, "--labels", &labels]].concat());
    assert!(text.contains("no sample"), "{text}");
    // Short integers are integers; a device or a directory is not written over.
    write_npy(&labels, &Array1::from_vec(vec![0_i16, 1, 2, 0, 1])).expect("written");
    good(&[&gradient[..], &["--input", &spikes, "--labels", &labels]].concat());
    let folder = directory.path().to_str().expect("UTF-8");
    let run = [
        "run", &model, "--config", &config, "--input", &spikes, "-o", folder,
    ];
    assert!(bad(&run).contains("N0107"));
}

#[test]
fn what_cannot_be_recorded_or_read_is_a_diagnostic() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spikes, labels) = inputs(directory.path());
    let path = |name: &str| within(&directory, name);
    let (model, config, out) = (example("model.nir"), example("full.toml"), path("o.npz"));
    let run = |more: &[&str]| {
        let mut arguments = vec![
            "run", &model, "--config", &config, "--input", &spikes, "-o", &out,
        ];
        arguments.extend(more);
        bad(&arguments)
    };
    let text = run(&["--record", "hidden.spike,hidden,hidden.v"]);
    assert_eq!(text.matches("N0703").count(), 2, "{text}");
    assert!(run(&["--record", "hiden.spikes"]).contains("input, hidden, out"));
    assert!(run(&["--record", "hidden.lambda_v"]).contains("N0703"));
    assert!(run(&["--set", "time.ticks=26"]).contains("N0304"));
    let wide = path("wide.npy");
    write_npy(&wide, &Array3::<u8>::zeros((27, 5, 6))).expect("written");
    let base = ["gradient", &model, "--config", &config, "-o", &out];
    let gradient = |more: &[&str]| {
        let mut arguments = base.to_vec();
        arguments.extend(more);
        bad(&arguments)
    };
    assert!(gradient(&["--input", &wide, "--labels", &labels]).contains("6 channels"));
    let few = path("few.npy");
    write_npy(&few, &Array1::from_vec(vec![0_i64, 1])).expect("written");
    assert!(gradient(&["--input", &spikes, "--labels", &few]).contains("2 labels for 5 samples"));
    let high = path("high.npy");
    write_npy(&high, &Array1::from_vec(vec![0_i64, 1, 2, 3, 0])).expect("written");
    assert!(gradient(&["--input", &spikes, "--labels", &high]).contains("class 3"));
    let error = path("error.npy");
    write_npy(&error, &Array3::<f32>::zeros((27, 4, 3))).expect("written");
    assert!(gradient(&["--input", &spikes, "--error", &error]).contains("(27, 5, 3)"));
    assert!(!Path::new(&out).exists());
}

#[test]
fn results_are_json_where_asked() {
    let summary: serde_json::Value =
        serde_json::from_str(&good(&["inspect", &example("model.nir"), "--json"])).expect("JSON");
    assert_eq!(summary["nodes"].as_array().expect("nodes").len(), 6);
    let targets: serde_json::Value =
        serde_json::from_str(&good(&["targets", "--json"])).expect("JSON");
    assert_eq!(targets[0]["target"], "spinnaker2");
    assert!(
        targets[0]["values"]
            .as_array()
            .expect("values")
            .iter()
            .all(|v| v["trust"].is_string())
    );
}

//! Data sets against recorded ones, and array files that are not what they should be.

mod common;

use std::fs::File;
use std::path::Path;

use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzReader, write_npy};
use nirc_ir::codes;
use nirc_runtime::data::{Latency, bin, read_labels, read_spikes, yin_yang};

#[test]
fn yin_yang_is_equal_to_the_bit() {
    for (file, seed, samples) in [
        ("yin_yang_train_seed42.npz", 42, 5000),
        ("yin_yang_test_seed43.npz", 43, 10_000),
    ] {
        let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
        let path = recorded.join(file);
        let mut npz = NpzReader::new(File::open(path).expect("opened")).expect("an archive");
        let x: Array2<f64> = npz.by_name("x").expect("features");
        let labels: Array1<i64> = npz.by_name("label").expect("labels");
        let bins: Array2<i32> = npz.by_name("spike_bin_T27").expect("bins");
        let points = yin_yang(seed, samples);
        assert_eq!(points.len(), x.nrows());
        let code = Latency::published(27, 2);
        for (k, point) in points.iter().enumerate() {
            assert_eq!(
                point.features().as_slice(),
                x.row(k).to_slice().expect("a row"),
                "sample {k}"
            );
            assert_eq!(i64::from(point.class), labels[k], "sample {k}");
            let times = point.features().map(|feature| code.time(feature));
            let mut coded: Vec<i32> = times
                .map(|time| bin(time.expect("none is silent"), 27) as i32)
                .to_vec();
            // The bias.
            coded.push(0);
            assert_eq!(coded, bins.row(k).to_vec(), "sample {k}");
        }
    }
}

#[test]
fn rasters_are_read_by_sample() {
    let directory = tempfile::tempdir().expect("a directory");
    let (spikes, labels) = (
        directory.path().join("s.npy"),
        directory.path().join("l.npy"),
    );
    let mut raster = Array3::<u8>::zeros((4, 2, 3));
    raster[[1, 0, 2]] = 1;
    raster[[3, 1, 0]] = 1;
    write_npy(&spikes, &raster).expect("written");
    write_npy(&labels, &Array1::from_vec(vec![2_i64, 0])).expect("written");
    let (ticks, set) = read_spikes(&spikes, Some(&labels)).expect("read");
    assert_eq!(
        (ticks, set.len(), set.channels(), set.labels()),
        (4, 2, 3, &[2, 0][..])
    );
    assert_eq!((set.spikes(0)[0].tick, set.spikes(0)[0].channel), (1, 2));
    // The same as bool, as floats, and in Fortran order.
    write_npy(&spikes, &raster.mapv(|v| v == 1)).expect("written");
    assert_eq!(read_spikes(&spikes, Some(&labels)).expect("read").1, set);
    write_npy(&spikes, &raster.mapv(f64::from)).expect("written");
    assert_eq!(read_spikes(&spikes, Some(&labels)).expect("read").1, set);
    write_npy(&spikes, &raster.reversed_axes()).expect("written");
    assert_eq!(read_spikes(&spikes, None).expect("read").0, 3);
}

#[test]
fn malformed_arrays_are_diagnostics() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.npy");
    let check = |bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).expect("written");
        let error = read_spikes(&path, None).expect_err(expected);
        assert_eq!(error.code, codes::DATA_ARRAY);
        assert!(error.message.contains(expected), "{error}");
    };
    check(b"", "not a .npy file");
    check(b"PK\x03\x04", "not a .npy file");
    let header = |shape: &str, descr: &str| {
        let mut text =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        while (text.len() + 11) % 64 != 0 {
            text.push(' ');
        }
        text.push('\n');
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes
    };
    // Huge extents must not reach the allocator.
    check(
        &header("(4611686018427387904, 4, 5)", "|u1"),
        "expected the elements",
    );
    check(&header("(99999, 99999, 1)", "|u1"), "expected the elements");
    check(
        &header("(0, 4611686018427387904, 0)", "|u1"),
        "expected the elements",
    );
    check(&header("(2, 1, 1)", "<c8"), "expected booleans, integers");
    let mut truncated = header("(2, 3, 4)", "|u1");
    truncated.extend([0; 23]);
    check(&truncated, "");
    let mut not_binary = header("(1, 1, 2)", "|u1");
    not_binary.extend([0, 7]);
    check(&not_binary, "element [0, 0, 1] is 7");
    write_npy(&path, &Array2::<u8>::zeros((2, 2))).expect("written");
    assert!(
        read_spikes(&path, None)
            .expect_err("rank")
            .help
            .expect("help")
            .contains("(T, B, J)")
    );
    assert_eq!(
        read_spikes(Path::new("/nonexistent.npy"), None)
            .expect_err("absent")
            .code,
        codes::FILE_UNREADABLE
    );
}

#[test]
fn labels_of_every_integer_type_are_read_and_counted() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("l.npy");
    write_npy(&path, &Array1::from_vec(vec![0_u8, 2])).expect("written");
    assert_eq!(read_labels(&path, 2).expect("read"), [0, 2]);
    write_npy(&path, &Array1::from_vec(vec![0_i32, 2])).expect("written");
    assert_eq!(read_labels(&path, 2).expect("read"), [0, 2]);
    assert!(
        read_labels(&path, 3)
            .expect_err("too few")
            .message
            .contains("2 labels for 3")
    );
    write_npy(&path, &Array1::from_vec(vec![0_i64, -1])).expect("written");
    assert!(
        read_labels(&path, 2)
            .expect_err("negative")
            .message
            .contains("label 1 is -1")
    );
    write_npy(&path, &Array1::from_vec(vec![0.0_f64, 1.0])).expect("written");
    assert_eq!(
        read_labels(&path, 2).expect_err("floats").code,
        codes::DATA_ARRAY
    );
}

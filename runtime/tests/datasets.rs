//! Data sets as a configuration asks for them: from files, in every format, and encoded.

use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Array3};
use ndarray_npy::{NpzWriter, WritableElement};
use nirc_ir::executor::InputSpike;
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::config::{Config, TimeModel, Tree};
use nirc_runtime::data::signal::{Name, Signal, Spikes, Writing, write_signals};
use nirc_runtime::data::{DataSet, Sets, training_samples};
use nirc_runtime::random::Mt19937;

/// A configuration of samples of 12 ticks, with this section of data.
fn config(directory: &Path, data: &str) -> Result<Config, Diagnostics> {
    let text = format!(
        "[convention]\npreset = \"eventprop\"\n[time]\nticks = 12\ndt = 1e-3\n[data]\n{data}"
    );
    Config::from_tree(&Tree::parse("c.toml", directory.to_owned(), &text)?)
}

fn load(directory: &Path, data: &str) -> Result<Sets, Diagnostics> {
    let config = config(directory, data)?;
    let data = config.data.expect("a section");
    let sets = Sets::load(&data, config.time)?;
    assert_eq!(training_samples(&data), Ok(sets.train.len()));
    Ok(sets)
}

/// The messages of a refused section, all with a remedy.
fn refused(directory: &Path, data: &str) -> String {
    let problems = load(directory, data).expect_err(data);
    assert!(problems.0.iter().all(|p| p.help.is_some()), "{problems}");
    problems.to_string()
}

struct Npz(NpzWriter<std::fs::File>);

impl Npz {
    fn new(path: &Path) -> Self {
        let file = std::fs::File::create(path).expect("created");
        Self(NpzWriter::new_compressed(file))
    }

    fn with<A: WritableElement, D: ndarray::Dimension>(
        mut self,
        name: &str,
        array: &ndarray::Array<A, D>,
    ) -> Self {
        self.0.add_array(name, array).expect("added");
        self
    }

    fn finish(self) {
        self.0.finish().expect("finished");
    }
}

/// Three samples of two channels in 12 ticks, the last without a spike, of classes 1, 0, 2.
fn spikes() -> (Spikes, [u32; 3]) {
    let spike = |tick, channel| InputSpike { tick, channel };
    let samples = vec![
        vec![spike(0, 1), spike(3, 0), spike(11, 1)],
        vec![spike(5, 0)],
        vec![],
    ];
    (Spikes::new(12, 2, samples).expect("within"), [1, 0, 2])
}

fn assert_same(set: &DataSet, spikes: &Spikes, labels: &[u32], what: &str) {
    assert_eq!(set.labels(), labels, "{what}");
    assert_eq!(set.channels(), 2, "{what}");
    for (k, expected) in spikes.samples().enumerate() {
        assert_eq!(set.spikes(k), expected, "{what}, sample {k}");
        assert_eq!(set.times(k), None);
    }
}

#[test]
fn spikes_of_every_format_make_the_same_set() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    let (spikes, labels) = spikes();
    let writing = Writing {
        dt: Some(1e-3),
        layout: None,
    };
    for name in ["s.npy", "s.csv", "s.h5", "s.npz"] {
        let signal = (Name::port("spikes"), Signal::Spikes(spikes.clone()));
        write_signals(&at(name), &[signal], &writing).expect("written");
    }
    let array = Array1::from_vec(labels.map(|l| l as i16).to_vec());
    ndarray_npy::write_npy(at("l.npy"), &array).expect("written");
    std::fs::write(at("l.csv"), "label\n1\n0\n2\n").expect("written");
    Npz::new(&at("l.npz")).with("labels", &array).finish();
    for file in ["s.npy", "s.csv", "s.h5", "s.npz"] {
        for labels_file in ["l.npy", "l.csv", "l.npz"] {
            let part = format!("{{ spikes = {file:?}, labels = {labels_file:?} }}");
            // What is sparse does not say how many channels there are.
            let data = format!("kind = \"spikes\"\nchannels = 2\ntrain = {part}\ntest = {part}");
            let sets = load(directory.path(), &data).expect("read");
            assert_same(&sets.train, &spikes, &labels, file);
            assert_eq!(sets.train, sets.test);
        }
    }
    // An archive may hold both; and only the first samples may be asked for.
    Npz::new(&at("both.npz"))
        .with("input", &spikes.raster().expect("small"))
        .with("labels", &array)
        .finish();
    let data = "kind = \"spikes\"
        train = { spikes = \"both.npz\", signal = \"input\" }
        test = { spikes = \"both.npz\", signal = \"input\", samples = 2 }";
    let sets = load(directory.path(), data).expect("read");
    assert_same(&sets.train, &spikes, &labels, "both.npz");
    assert_eq!(sets.test, sets.train.select([0, 1]));
    // The older name of the kind.
    let data = "kind = \"arrays\"
        train = { spikes = \"s.npy\", labels = \"l.npy\" }
        test = { spikes = \"s.npy\", labels = \"l.npy\" }";
    let sets = load(directory.path(), data).expect("read");
    assert_same(&sets.train, &spikes, &labels, "arrays");
}

#[test]
fn events_with_times_and_labels_in_one_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "sample,time,channel,label\n0,0.003,1,4\n1,0.011,0,3\n0,0,0,4\n";
    std::fs::write(directory.path().join("e.csv"), text).expect("written");
    let part = "{ spikes = \"e.csv\" }";
    let sets = load(
        directory.path(),
        &format!("kind = \"spikes\"\nchannels = 2\ntrain = {part}\ntest = {part}"),
    )
    .expect("read");
    let spike = |tick, channel| InputSpike { tick, channel };
    assert_eq!(sets.train.labels(), [4, 3]);
    assert_eq!(sets.train.spikes(0), [spike(0, 0), spike(3, 1)]);
    assert_eq!(sets.train.spikes(1), [spike(11, 0)]);
}

#[test]
fn events_keep_their_times_for_networks_of_exact_event_times() {
    let directory = tempfile::tempdir().expect("a directory");
    let text = "sample,time,channel,label\n0,0.00325,1,4\n1,0.011,0,3\n0,0,0,4\n0,0.0035,1,4\n";
    std::fs::write(directory.path().join("e.csv"), text).expect("written");
    let part = "{ spikes = \"e.csv\" }";
    let data = format!("kind = \"spikes\"\nchannels = 2\ntrain = {part}\ntest = {part}");
    let mut config = config(directory.path(), &data).expect("good");
    let section = config.data.take().expect("a section");
    // In ticks the file is refused: its times are of no bin.
    Sets::load(&section, config.time).expect_err("times between ticks");
    config.time.model = TimeModel::Event { guard: 0.1 };
    let sets = Sets::load(&section, config.time).expect("read");
    let spike = |tick, channel| InputSpike { tick, channel };
    let train = &sets.train;
    assert_eq!(train.spikes(0), [spike(0, 0), spike(3, 1), spike(3, 1)]);
    assert_eq!(train.exact_times(0), [0.0, 3.25, 3.5]);
    assert_eq!(train.exact_times(1), [11.0]);
    // Arrays know bins alone.
    let array = Array3::<u8>::ones((12, 1, 2));
    ndarray_npy::write_npy(directory.path().join("s.npy"), &array).expect("written");
    std::fs::write(directory.path().join("l.csv"), "1\n").expect("written");
    let part = "{ spikes = \"s.npy\", labels = \"l.csv\" }";
    let data = format!("kind = \"spikes\"\ntrain = {part}\ntest = {part}");
    let section = self::config(directory.path(), &data).expect("good").data;
    let sets = Sets::load(&section.expect("a section"), config.time).expect("read");
    assert_eq!(sets.train.exact_times(0)[..4], [0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn spikes_that_do_not_fit_are_told_for_every_set() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    ndarray_npy::write_npy(at("long.npy"), &Array3::<u8>::zeros((13, 3, 2))).expect("written");
    ndarray_npy::write_npy(at("two.npy"), &Array3::from_elem((12, 3, 2), 2_u8)).expect("written");
    std::fs::write(at("l.csv"), "0\n1\n0\n").expect("written");
    std::fs::write(at("e.csv"), "sample,tick,channel\n0,1,0\n").expect("written");
    let data = "kind = \"spikes\"
        train = { spikes = \"long.npy\", labels = \"l.csv\" }
        test = { spikes = \"two.npy\", labels = \"l.csv\" }";
    let problems = refused(directory.path(), data);
    assert!(problems.contains("expected 12 ticks"), "{problems}");
    assert!(
        problems.contains("expected spikes, 0 or 1, found 2"),
        "{problems}"
    );
    let data = "kind = \"spikes\"
        train = { spikes = \"e.csv\" }
        test = { spikes = \"none.csv\" }";
    let problems = load(directory.path(), data).expect_err("no labels");
    assert!(
        problems.to_string().contains("column `label`"),
        "{problems}"
    );
    assert!(problems.0.iter().any(|p| p.code == codes::FILE_UNREADABLE));
    let data = "kind = \"spikes\"
        train = { spikes = \"two.npy\", labels = \"l.csv\", samples = 4 }
        test = { spikes = \"two.npy\", labels = \"l.csv\" }";
    assert!(!refused(directory.path(), data).is_empty());
}

/// An archive of six samples of four features from 0 to 16, and of series (6, 10, 2).
fn features(directory: &Path) -> (PathBuf, Array2<f32>, Array3<f64>) {
    let mut generator = Mt19937::new(1);
    let plain = Array2::from_shape_fn((6, 4), |_| (16.0 * generator.uniform()) as f32);
    let series = Array3::from_shape_fn((6, 10, 2), |_| generator.uniform());
    let labels = Array1::from_vec(vec![0_i64, 1, 2, 0, 1, 2]);
    let path = directory.join("f.npz");
    Npz::new(&path)
        .with("features", &plain)
        .with("series", &series)
        .with("labels", &labels)
        .with("few", &Array1::from_vec(vec![0_u8]))
        .finish();
    (path, plain, series)
}

const SAME: &str = "kind = \"features\"
train = { file = \"f.npz\" }
test = { file = \"f.npz\", samples = 4 }
[data.encoding]
";

#[test]
fn latencies_are_exact_times_and_bins() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, plain, _) = features(directory.path());
    let encoding = "kind = \"latency\"\nhigh = 16\nfirst = 1\nbias = true";
    let sets = load(directory.path(), &format!("{SAME}{encoding}")).expect("read");
    assert_eq!((sets.train.len(), sets.test.len()), (6, 4));
    assert_eq!(sets.train.channels(), 5);
    let check = |set: &DataSet, time: &dyn Fn(f64) -> f64| {
        for (k, row) in plain.rows().into_iter().enumerate() {
            let mut expected: Vec<(f64, u32)> = (0..)
                .zip(row)
                .map(|(channel, value)| (time(f64::from(*value) / 16.0), channel))
                .collect();
            expected.push((0.0, 4));
            let times = set.times(k).expect("exact times");
            let found: Vec<_> = set.spikes(k).iter().zip(times).collect();
            assert_eq!(found.len(), expected.len());
            for (spike, time) in found {
                assert!(
                    expected.contains(&(*time, spike.channel)),
                    "{spike:?} {time}"
                );
                assert_eq!(f64::from(spike.tick), time.round_ties_even());
            }
        }
    };
    check(&sets.train, &|x| (10.0 * (1.0 - x)).min(10.0 * 0.99) + 1.0);
    let encoding = "kind = \"latency\"\nhigh = 16\nfirst = 1\nbias = true
        scale = \"logarithmic\"\nthreshold = 0.1\ntau = 5";
    let sets = load(directory.path(), &format!("{SAME}{encoding}")).expect("read");
    check(&sets.train, &|x| match x > 0.1 {
        true => (1.0 + 5.0 * (x / (x - 0.1)).ln()).min(11.0),
        false => 11.0,
    });
    let silent = format!("{SAME}{encoding}\nlate = \"silent\"");
    let silent = load(directory.path(), &silent).expect("read");
    let late = plain.iter().filter(|x| {
        let x = f64::from(**x) / 16.0;
        x <= 0.1 || 1.0 + 5.0 * (x / (x - 0.1)).ln() > 11.0
    });
    let count = |set: &DataSet| (0..set.len()).map(|k| set.spikes(k).len()).sum::<usize>();
    assert_eq!(count(&silent.train) + late.count(), count(&sets.train));
}

#[test]
fn rates_are_drawn_by_seed_set_and_sample() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, plain, _) = features(directory.path());
    let encoding = |seed| format!("{SAME}kind = \"rate\"\nhigh = 16\nrate = 0.5\nseed = {seed}");
    let sets = load(directory.path(), &encoding(7)).expect("read");
    assert_eq!(load(directory.path(), &encoding(7)).expect("read"), sets);
    let other = load(directory.path(), &encoding(8)).expect("read");
    assert_ne!(other.train, sets.train);
    // Sample 3 of the training set, as NumPy draws it: RandomState([7, 0, 3]).rand(12, 4) < x / 32.
    let mut generator = Mt19937::from_key(&[7, 0, 3]);
    let mut expected = Vec::new();
    for tick in 0..12 {
        for channel in 0..4 {
            let probability = f64::from(plain[[3, channel]]) / 32.0;
            if generator.uniform() < probability {
                let channel = channel as u32;
                expected.push(InputSpike { tick, channel });
            }
        }
    }
    assert_eq!(sets.train.spikes(3), expected);
    // The same samples are other draws in the test set.
    assert_ne!(sets.train.select(0..4), sets.test);
}

#[test]
fn series_cross_thresholds_on_two_channels() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, _, series) = features(directory.path());
    let data = "kind = \"features\"
        train = { file = \"f.npz\", features = \"series\" }
        test = { file = \"f.npz\", features = \"series\" }
        encoding = { kind = \"threshold-crossing\", threshold = 0.4 }";
    let sets = load(directory.path(), data).expect("read");
    assert_eq!(sets.train.channels(), 4);
    // The first crossing of each channel is where it is further from its start than the threshold.
    for (k, sample) in series.outer_iter().enumerate() {
        for channel in 0..2 {
            let column = sample.column(channel);
            let first = column.iter().position(|v| (v - column[0]).abs() >= 0.4);
            let of_channel = |s: &&InputSpike| s.channel as usize % 2 == channel;
            let found = sets.train.spikes(k).iter().find(of_channel);
            assert_eq!(found.map(|s| s.tick as usize), first, "{k} {channel}");
            if let (Some(first), Some(found)) = (first, found) {
                assert_eq!(found.channel < 2, column[first] > column[0]);
            }
        }
    }
}

#[test]
fn features_that_do_not_fit_are_refused_with_numbers() {
    let directory = tempfile::tempdir().expect("a directory");
    features(directory.path());
    let check = |data: &str, expected: &str| {
        let problems = refused(directory.path(), data);
        assert!(problems.contains(expected), "{problems}");
    };
    let latency = format!("{SAME}kind = \"latency\"");
    check(&latency, "expected features from 0 to 1, found");
    check(&format!("{latency}\nlow = 2\nhigh = 2"), "no extent");
    check(
        &format!("{latency}\nfirst = 11"),
        "in bin 11 leaves no room",
    );
    check(&format!("{latency}\nthreshold = 1"), "below 1");
    check(&format!("{latency}\nscale = \"logarithmic\""), "missing");
    check(
        &format!("{SAME}kind = \"rate\"\nrate = 1.5\nseed = 1"),
        "a probability",
    );
    check(
        &format!("{SAME}kind = \"threshold-crossing\"\nthreshold = 1"),
        "expected an array (B, T, F)",
    );
    let named = |names: &str| {
        format!(
            "kind = \"features\"\ntrain = {{ file = \"f.npz\", {names} }}
            test = {{ file = \"f.npz\" }}\n[data.encoding]\nkind = \"latency\"\nhigh = 16"
        )
    };
    check(&named("features = \"labels\""), "expected an array (B, F)");
    check(
        &named("features = \"absent\""),
        "expected an array `absent`",
    );
    check(&named("labels = \"few\""), "found 1 labels");
    check(&named("labels = \"series\""), "(B,) of integers");
    check(&named("samples = 7"), "7 samples asked for, the file has 6");
    check(&named("sample = 7"), "did you mean `samples`");
}

#[test]
fn splits_are_seeded_and_share_no_sample() {
    let directory = tempfile::tempdir().expect("a directory");
    // Every sample has a label of its own, by which it is known again.
    let (features, labels) = (
        Array2::<f32>::from_elem((40, 1), 0.5),
        Array1::from_iter(0..40_u32),
    );
    Npz::new(&directory.path().join("f.npz"))
        .with("features", &features)
        .with("labels", &labels)
        .finish();
    let split = |split: &str| {
        let data = format!(
            "kind = \"features\"\ntrain = {{ file = \"f.npz\" }}\nsplit = {{ {split} }}
            encoding = {{ kind = \"latency\" }}"
        );
        load(directory.path(), &data).expect("read")
    };
    let sets = split("seed = 1, validation = 0.25, test = 12");
    let sizes: Vec<(&str, usize)> = sets.named().map(|(name, set)| (name, set.len())).collect();
    let expected = [
        ("data.train", 18),
        ("data.validation", 10),
        ("data.test", 12),
    ];
    assert_eq!(sizes, expected);
    let mut all: Vec<u32> = sets
        .named()
        .flat_map(|(_, set)| set.labels().to_vec())
        .collect();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..40));
    assert_eq!(split("seed = 1, validation = 0.25, test = 12"), sets);
    assert_ne!(split("seed = 2, validation = 0.25, test = 12"), sets);
    // Fewer training samples leave the other sets as they are.
    let few = split("seed = 1, train = 5, validation = 0.25, test = 12");
    assert_eq!((few.train, few.test), (sets.train.select(0..5), sets.test));
}

#[test]
fn splits_that_cannot_be_are_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let check = |split: &str, expected: &str| {
        let data = format!(
            "kind = \"yin-yang\"\nt_min = 2\ntrain = {{ samples = 10, seed = 1 }}\n{split}"
        );
        let problems = refused(directory.path(), &data);
        assert!(problems.contains(expected), "{problems}");
        assert_eq!(problems.matches("[N").count(), 1, "{problems}");
    };
    check("split = { seed = 1, validation = 2 }", "data.test");
    check("split = { seed = 1, test = 10 }", "into 0 training");
    check("split = { seed = 1, test = 0.01 }", "0 test samples");
    check("split = { seed = 1, test = 2, train = 9 }", "9 training");
    check(
        "split = { seed = 1, test = 1.5 }",
        "a share above 0 and below 1",
    );
    check("split = { seed = 1, test = 0 }", "a number of samples");
    check("split = { test = 2 }", "data.split.seed");
    check(
        "split = { seed = 1, test = 2, tests = 2 }",
        "did you mean `test`",
    );
    let both = "split = { seed = 1, test = 2 }\ntest = { samples = 3, seed = 2 }";
    check(both, "held out of the training samples");
}

#[test]
fn temporal_tasks_are_configured_and_fit_into_their_samples() {
    let directory = tempfile::tempdir().expect("a directory");
    let task = |kind: &str, more: &str| {
        format!(
            "kind = {kind:?}\ntrain = {{ samples = 20, seed = 1 }}\nvalidation = {{ samples = 6, seed = 2 }}
            test = {{ samples = 10, seed = 3 }}\nchannels = 10\npattern_ticks = 3\n{more}"
        )
    };
    for (kind, gap) in [
        ("pattern-order", 4),
        ("delayed-match", 4),
        ("store-recall", 0),
    ] {
        let sets = load(
            directory.path(),
            &task(kind, &format!("gap = {gap}\njitter = 0")),
        );
        let sets = sets.expect("generated");
        let sizes: Vec<usize> = sets.named().map(|(_, set)| set.len()).collect();
        assert_eq!(sizes, [20, 6, 10]);
        assert!(
            sets.named()
                .all(|(_, set)| set.channels() == 10 && set.last_tick() < Some(12))
        );
    }
    let check = |data: &str, expected: &str| {
        let problems = refused(directory.path(), data);
        assert!(problems.contains(expected), "{problems}");
    };
    check(
        &task("pattern-order", "gap = 7"),
        "take 13 ticks, time.ticks is 12",
    );
    check(
        &task("delayed-match", "gap = 3\njitter = 2"),
        "take 13 ticks",
    );
    check(
        &task("store-recall", "gap = 1"),
        "4 patterns, gaps and jitter take 15 ticks",
    );
    check(&task("delayed-match", "gap = 3\npatterns = 1"), "2 to 1000");
    check(&task("pattern-order", "gap = 3\nnoise_rate = 1"), "below 1");
    check(
        &task("pattern-order", "gap = 3\npatterns = 3"),
        "unknown key",
    );
    let odd = task("store-recall", "gap = 0").replace("channels = 10", "channels = 12");
    check(&odd, "12 channels cannot be shared among 5 groups");
    let alike = task("pattern-order", "gap = 3").replace("pattern_ticks = 3", "pattern_ticks = 1");
    check(&alike, "make 1 patterns, the task has 3");
    let few = |patterns: u32| {
        let task = task("delayed-match", &format!("gap = 3\npatterns = {patterns}"));
        task.replace("channels = 10", "channels = 2")
    };
    check(&few(10), "make 9 patterns, the task has 10");
    load(directory.path(), &few(9)).expect("all nine that there are");
}

/// The configuration that the example's README shows reads what the example holds.
#[test]
fn the_digits_are_ten_classes_of_which_a_third_is_held_out() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/digits-conv");
    let readme = std::fs::read_to_string(example.join("README.md")).expect("read");
    let data = readme
        .split("```toml\n[data]\n")
        .nth(1)
        .expect("a configuration");
    let data = data.split("```").next().expect("its end");
    let sets = load(&example, data).expect("read");
    assert_eq!((sets.train.len(), sets.test.len()), (200, 100));
    for (name, set) in sets.named() {
        assert_eq!(set.channels(), 64);
        let classes: std::collections::BTreeSet<_> = set.labels().iter().collect();
        assert!(classes.into_iter().copied().eq(0..10), "{name}");
        // No digit is blank, and none is all ink: black pixels are silent.
        assert!((0..set.len()).all(|k| (10..64).contains(&set.spikes(k).len())));
    }
    let held = load(
        &example,
        &format!("{data}[data.split]\nseed = 1\nvalidation = 0.2"),
    );
    assert_eq!(
        held.expect("read").validation.map(|set| set.len()),
        Some(40)
    );
}

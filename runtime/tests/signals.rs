//! Signals through files of every format, files that others wrote, and files that nobody should have.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::Array3;
use ndarray_npy::WriteNpyExt;
use nirc_compiler::nir::to_bytes;
use nirc_compiler::nir::tree::{Attribute, Dataset, Group};
use nirc_ir::executor::InputSpike;
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::data::signal::{
    ExactSpike, Kind, Layout, Name, Port, Request, Signal, Spikes, Values, Writing, read_signals,
    write_signals,
};

/// A length at which `floor(k * DT / DT)` is not always `k`.
const DT: f64 = 0.1e-3;
const TICKS: u32 = 70;

/// Spikes of three samples, the middle one silent.
fn spikes(channels: u32) -> Signal {
    let sample = |step: u32| {
        let bins = (0..TICKS * channels).filter(move |bin| bin % step == 1);
        let spikes = bins.map(|bin| InputSpike {
            tick: bin / channels,
            channel: bin % channels,
        });
        spikes.collect()
    };
    Signal::Spikes(
        Spikes::new(TICKS, channels, vec![sample(5), vec![], sample(3)]).expect("within"),
    )
}

/// Values of three samples, some of them 0, 1, and hard to print.
fn values(channels: usize) -> Signal {
    let array = Array3::from_shape_fn((TICKS as usize, 3, channels), |(t, b, j)| {
        match (t + b + j) % 4 {
            0 => 0.0,
            1 => 1.0,
            2 => -0.1 * t as f32,
            _ => f32::MIN_POSITIVE * (b + 1) as f32,
        }
    });
    Signal::Values(Values::new(array).expect("small"))
}

fn port(name: Name, shape: &[usize], kind: Option<Kind>) -> Port {
    Port {
        name,
        shape: Some(shape.to_vec()),
        kind,
    }
}

/// What is written, and what has to be asked for to get it back.
fn named() -> (Vec<(Name, Signal)>, Request) {
    let names = [
        Name::quantity("input", "spikes"),
        Name::quantity("lif1.lif", "v"),
        Name::quantity("outer/inner", "spikes"),
    ];
    let signals = [spikes(12), values(3), spikes(2)];
    let shapes = [&[2, 3, 2][..], &[3], &[2]];
    let ports = names
        .iter()
        .zip(shapes)
        .map(|(name, shape)| port(name.clone(), shape, None))
        .collect();
    let request = Request {
        ports,
        dt: Some(DT),
        ticks: Some(TICKS),
        samples: Some(3),
        exact: false,
    };
    (names.into_iter().zip(signals).collect(), request)
}

fn only(signals: &[(Name, Signal)]) -> Vec<Signal> {
    signals.iter().map(|(_, signal)| signal.clone()).collect()
}

fn writing(layout: Layout) -> Writing {
    Writing {
        dt: Some(DT),
        layout: Some(layout),
    }
}

struct Scratch(tempfile::TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn holding(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        // Some file systems go to the disk for a file that is written over.
        let _ = fs::remove_file(&path);
        fs::write(&path, bytes).expect("written");
        path
    }
}

fn read_quietly(path: &Path, request: &Request) -> Vec<Signal> {
    let (signals, notes) = read_signals(path, request).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(notes, Diagnostics::new());
    signals
}

/// The only problem of a file that is refused.
fn problem(path: &Path, request: &Request) -> nirc_ir::Diagnostic {
    let problems = read_signals(path, request).expect_err("refused");
    assert_eq!(problems.0.len(), 1, "{problems}");
    let problem = problems.0[0].clone();
    assert!(problem.help.is_some(), "{problem}");
    assert!(
        problem.place.starts_with(&path.display().to_string()),
        "{problem}"
    );
    problem
}

#[test]
fn several_signals_round_trip_through_archives_and_nirdata() {
    let scratch = Scratch::new();
    let (signals, request) = named();
    for name in ["a.npz", "a.h5"] {
        for layout in [Layout::Events, Layout::Grid] {
            let path = scratch.path(name);
            write_signals(&path, &signals, &writing(layout)).expect("written");
            assert_eq!(read_quietly(&path, &request), only(&signals), "{name}");
            // What the file says itself is not needed.
            let mut less = request.clone();
            (less.ticks, less.samples) = (None, None);
            assert_eq!(read_quietly(&path, &less), only(&signals), "{name}");
            let bytes = fs::read(&path).expect("there");
            write_signals(&path, &signals, &writing(layout)).expect("written");
            assert_eq!(
                fs::read(&path).expect("there"),
                bytes,
                "{name}: the same bytes"
            );
        }
    }
}

#[test]
fn one_signal_round_trips_through_every_format() {
    let scratch = Scratch::new();
    let (signals, request) = named();
    for (signal, asked) in signals.iter().zip(&request.ports) {
        for name in ["a.npy", "a.npz", "a.csv", "a.h5"] {
            for layout in [Layout::Events, Layout::Grid] {
                for kind in [None, Some(signal.1.kind())] {
                    let mut request = request.clone();
                    request.ports = vec![Port {
                        kind,
                        ..asked.clone()
                    }];
                    let path = scratch.path(name);
                    let one = std::slice::from_ref(signal);
                    write_signals(&path, one, &writing(layout)).expect("written");
                    assert_eq!(
                        read_quietly(&path, &request),
                        only(one),
                        "{name} {layout:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn spikes_are_values_too_where_values_are_demanded() {
    let scratch = Scratch::new();
    let (signals, mut request) = named();
    request.ports.truncate(1);
    request.ports[0].kind = Some(Kind::Values);
    let Signal::Spikes(spikes) = &signals[0].1 else {
        panic!("spikes");
    };
    let raster = spikes.raster().expect("small").mapv(f32::from);
    let expected = Signal::Values(Values::new(raster).expect("small"));
    for name in ["a.npy", "a.npz", "a.csv", "a.h5"] {
        for layout in [Layout::Events, Layout::Grid] {
            let path = scratch.path(name);
            write_signals(&path, &signals[..1], &writing(layout)).expect("written");
            assert_eq!(
                read_quietly(&path, &request),
                std::slice::from_ref(&expected),
                "{name}"
            );
        }
    }
}

/// A request for one port of two channels.
fn two_channels(kind: Option<Kind>) -> Request {
    Request {
        ports: vec![port(Name::port("input"), &[2], kind)],
        dt: Some(1e-3),
        ticks: Some(3),
        samples: None,
        exact: false,
    }
}

fn raster(elements: [[f32; 2]; 3]) -> Array3<f32> {
    Array3::from_shape_fn((3, 1, 2), |(t, _, j)| elements[t][j])
}

/// Two channels with exact times.
fn exact(kind: Option<Kind>) -> Request {
    Request {
        exact: true,
        ..two_channels(kind)
    }
}

fn timed(samples: &[&[(f32, u32)]]) -> Spikes {
    let spikes = samples.iter().map(|sample| {
        let spikes = sample.iter().map(|(time, channel)| ExactSpike {
            time: *time,
            channel: *channel,
        });
        spikes.collect()
    });
    Spikes::exact(3, 2, spikes.collect()).expect("within")
}

#[test]
fn exact_times_are_written_and_read_as_they_are() {
    let scratch = Scratch::new();
    // Two in a bin, one at a whole time, neighbours of a whole number, and a sample without any.
    let below = 2.0_f32.next_down();
    let spikes = timed(&[
        &[(0.1, 1), (0.3, 1), (1.0, 0), (below, 1)],
        &[],
        &[(2.75, 0)],
    ]);
    assert_eq!(spikes.times(0), Some(&[0.1, 0.3, 1.0, below][..]));
    let ticks: Vec<u32> = spikes.samples().flatten().map(|s| s.tick).collect();
    assert_eq!(ticks, [0, 0, 1, 1, 2]);
    let signal = (Name::port("input"), Signal::Spikes(spikes.clone()));
    for name in ["a.csv", "a.h5"] {
        for dt in [1e-3, 0.3, 1e-4] {
            let path = scratch.path(name);
            let written = Writing {
                dt: Some(dt),
                layout: None,
            };
            write_signals(&path, std::slice::from_ref(&signal), &written).expect("written");
            let request = Request {
                dt: Some(dt),
                ..exact(None)
            };
            let read = read_quietly(&path, &request);
            assert_eq!(read, std::slice::from_ref(&signal.1), "{name}, {dt}");
        }
    }
    // Arrays hold bins, and archives the times beside them.
    let path = scratch.path("a.npz");
    write_signals(&path, &[signal], &writing(Layout::Events)).expect("written");
    let file = std::fs::File::open(&path).expect("there");
    let mut archive = ndarray_npy::NpzReader::new(file).expect("an archive");
    let bins: Array3<u8> = archive.by_name("input").expect("there");
    assert_eq!(bins, spikes.raster().expect("small"));
    let list: ndarray::Array2<f32> = archive.by_name("input.times").expect("there");
    assert_eq!(list.row(3).to_vec(), [0.0, 1.0, below]);
    assert_eq!(list.row(4).to_vec(), [2.0, 0.0, 2.75]);
}

#[test]
fn events_keep_their_times_where_these_count() {
    let scratch = Scratch::new();
    let path = scratch.path("a.csv");
    let expected = [Signal::Spikes(timed(&[&[(0.5, 1), (0.5625, 1), (2.0, 0)]]))];
    for text in [
        "tick,channel\n0.5625,1\n2,0\n0.5,1\n",
        "time,channel\n0.0005,1\n0.0005625,1\n0.002,0\n",
    ] {
        std::fs::write(&path, text).expect("written");
        for kind in [None, Some(Kind::Spikes)] {
            assert_eq!(read_quietly(&path, &exact(kind)), expected, "{text}");
        }
        // In ticks they are no times of a bin.
        problem(&path, &two_channels(None));
    }
}

#[test]
fn exact_times_that_are_none_are_refused() {
    let scratch = Scratch::new();
    let path = scratch.path("a.csv");
    for (text, said) in [
        ("tick,channel\n-0.5,1\n", "-0.5"),
        ("tick,channel\nnan,1\n", "NaN"),
        ("time,channel\ninf,1\n", "inf"),
        ("tick,channel\n5e9,1\n", "5000000000"),
        ("tick,channel\n3.25,1\n", "3 ticks"),
        // The nearest `f32` is the sample's end.
        ("tick,channel\n2.99999999,1\n", "3 ticks"),
        ("tick,channel,value\n0.5,1,2.5\n", "2.5"),
    ] {
        std::fs::write(&path, text).expect("written");
        let problem = problem(&path, &exact(None));
        assert!(problem.message.contains(said), "{text}: {problem}");
    }
    let outside = |time, channel| Spikes::exact(3, 2, vec![vec![ExactSpike { time, channel }]]);
    for spike in [(f32::NAN, 0), (-1.0, 0), (3.0, 0), (1.0, 2)] {
        outside(spike.0, spike.1).expect_err("outside");
    }
}

#[test]
fn text_is_read_in_both_forms() {
    let scratch = Scratch::new();
    let expected = Signal::Spikes(
        Spikes::from_raster(&raster([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]).mapv(|v| v as u8))
            .expect("small"),
    );
    for text in [
        "0,1\n0,0\n1,0\n",
        "0, 1\r\n0, 0\r\n1, 0",
        "left,right\n0,1\n0,0\n1,0\n",
        "tick,left,right\n0,0,1\n1,0,0\n2,1,0\n",
        "t,left,right\n0,0,1\n0.001,0,0\n2e-3,1,0\n",
        "# Time,sample,left,right\n0.0,0,0.0,1.0\n0.001,0,0.0,0.0\n0.002,0,1.0,0.0\n",
        "sample,left,right\n0,0,1\n0,0,0\n0,1,0\n",
        "tick,channel\n2,0\n0,1\n",
        "\u{feff}time,channel\n0.002,0\n0,1\n",
        "value,channel,sample,t\n1,0,0,0.002\n1,1.0,0,0\n0,1,0,0.001\n",
        "tick,channel,value\n2,0,0.25\n2,0,0.75\n0,1,1\n",
    ] {
        let path = scratch.holding("a.csv", text);
        for kind in [None, Some(Kind::Spikes)] {
            assert_eq!(
                read_quietly(&path, &two_channels(kind)),
                std::slice::from_ref(&expected),
                "{text}"
            );
        }
    }
    // Two events of one bin are a count.
    let path = scratch.holding("a.csv", "tick,channel\n2,0\n2,0\n0,1\n");
    let counts = raster([[0.0, 1.0], [0.0, 0.0], [2.0, 0.0]]);
    let counts = Signal::Values(Values::new(counts).expect("small"));
    assert_eq!(read_quietly(&path, &two_channels(None)), [counts]);
}

#[test]
fn text_that_means_nothing_is_refused_where_it_stands() {
    let scratch = Scratch::new();
    for (text, place, message) in [
        ("", "", "found none"),
        ("a,b\n", "", "found a header"),
        ("0,1\n0\n", "", "1 field"),
        ("0,1\n0,x\n", "line 2, column 2", "found \"x\""),
        (
            "0,1\n0,nan\n",
            "",
            "found NaN at tick 1, sample 0, channel 1",
        ),
        ("0,1\n0,1e39\n", "", "at most 3.4"),
        (
            "0,1,1\n",
            "line 1",
            "expected 2 columns of channels, found 3",
        ),
        (
            "tick\n0\n",
            "line 2",
            "expected 2 columns of channels, found 0",
        ),
        ("a,tick,b\n0,1,0\n", "line 1, column 2", "after a channel"),
        (
            "tick,time,a,b\n0,0,1,0\n",
            "line 1, column 2",
            "a second time",
        ),
        (
            "tick,a,b\n0,0,0\n2,0,0\n",
            "line 3, column 1",
            "expected tick 1 of sample 0, found tick 2",
        ),
        (
            "sample,a,b\n1,0,0\n",
            "",
            "expected 1 ticks of sample 0, found sample 1",
        ),
        (
            "sample,a,b\n0,0,0\n0,0,0\n1,0,0\n",
            "",
            "found sample 1 next, of 1",
        ),
        ("sample,a,b\n-1,0,0\n", "line 2, column 1", "found -1"),
        (
            "t,a,b\n0,0,0\n0.0015,0,0\n",
            "line 3, column 1",
            "found 0.0015 s, which is 1.5 ticks",
        ),
        ("channel\n1\n", "", "expected a column `time` or `tick`"),
        (
            "tick,channel,weight\n",
            "line 1, column 3",
            "found \"weight\"",
        ),
        (
            "tick,channel\n1,2\n",
            "line 2, column 2",
            "one of 2 channels, counted from 0, found 2",
        ),
        (
            "tick,channel\n3,0\n",
            "line 2, column 1",
            "one of 3 ticks, counted from 0, found 3",
        ),
        (
            "time,channel\n0.003,0\n",
            "line 2, column 1",
            "one of 3 ticks",
        ),
        (
            "time,channel\n-0.001,0\n",
            "line 2, column 1",
            "found -0.001 s",
        ),
        ("time,channel\ninf,0\n", "line 2, column 1", "found inf s"),
        ("tick,channel\n0.5,0\n", "line 2, column 1", "found 0.5"),
        (
            "tick,channel,sample\n0,0,4294967294\n",
            "",
            "at most 4194304 samples",
        ),
        ("0,0\n0,0\n", "", "expected 3 ticks of `input`, found 2"),
    ] {
        let path = scratch.holding("a.csv", text);
        let problem = problem(&path, &two_channels(None));
        assert_eq!(problem.code, codes::DATA_ARRAY);
        assert!(problem.place.ends_with(place), "{text:?}: {problem}");
        assert!(problem.message.contains(message), "{text:?}: {problem}");
    }
    for (text, message) in [
        ("0,1\n0,0\n0,2\n", "found 2 at tick 2, sample 0, channel 1"),
        (
            "tick,channel\n1,0\n2,1\n2,1\n1,0\n2,1\n",
            "found 2 at tick 1, sample 0, channel 0, and 2 bins",
        ),
        ("tick,channel,value\n1,0,0.5\n", "found 0.5"),
        ("tick,channel,value\n1,0,nan\n", "found NaN"),
    ] {
        let path = scratch.holding("a.csv", text);
        let problem = problem(&path, &two_channels(Some(Kind::Spikes)));
        assert!(problem.message.contains(message), "{text:?}: {problem}");
    }
    // What only the caller can know.
    let path = scratch.holding("a.csv", "time,channel\n0.001,0\n");
    let mut request = two_channels(None);
    request.dt = None;
    assert_eq!(problem(&path, &request).code, codes::TIME_STEP);
    let path = scratch.holding("a.csv", [0x80, 0x81]);
    assert!(problem(&path, &request).message.contains("none of them"));
}

/// An archive of (T, B, J) = (3, 1, 2).
fn archive(names: &[&str]) -> Vec<u8> {
    let mut writer = ndarray_npy::NpzWriter::new(std::io::Cursor::new(Vec::new()));
    for name in names {
        let array = raster([[0.5, 1.0], [0.0, 0.0], [1.0, 0.0]]);
        writer.add_array(*name, &array).expect("added");
    }
    writer.finish().expect("finished").into_inner()
}

#[test]
fn ports_are_found_by_name_or_by_being_the_only_one() {
    let scratch = Scratch::new();
    let one = two_channels(None);
    let mut two = one.clone();
    two.ports.push(port(Name::quantity("out", "v"), &[2], None));

    let path = scratch.holding("a.npz", archive(&["arr_0"]));
    let (_, notes) = read_signals(&path, &one).expect("read");
    assert!(
        notes.0[0]
            .message
            .contains("`arr_0`, the only signal, is taken for `input`")
    );
    let path = scratch.holding("a.npz", archive(&["input", "out.v"]));
    assert_eq!(read_quietly(&path, &two).len(), 2);
    let (_, notes) = read_signals(&path, &one).expect("read");
    assert!(
        notes.0[0].message.contains("nothing asks for `out.v`"),
        "{notes}"
    );
    let path = scratch.holding("a.npz", archive(&["input", "other"]));
    let message = problem(&path, &two).message;
    assert_eq!(
        message,
        "expected a signal for `out.v`, found `input`, `other`"
    );
    let path = scratch.holding("a.csv", "0,0\n");
    assert!(
        problem(&path, &two)
            .message
            .contains("2 ports (`input`, `out.v`)")
    );
    let path = scratch.holding("a.npz", archive(&[]));
    assert!(problem(&path, &one).message.contains("found none"));
}

#[test]
fn arrays_that_are_cut_off_or_do_not_fit_are_refused() {
    let scratch = Scratch::new();
    let whole = archive(&["input"]);
    for length in (4..whole.len()).step_by(7) {
        let path = scratch.holding("a.npz", &whole[..length]);
        assert_eq!(problem(&path, &two_channels(None)).code, codes::DATA_ARRAY);
    }
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x55;
        // Damage is told or does no harm.
        let _ = read_signals(&scratch.holding("a.npz", bytes), &two_channels(None));
    }
    let mut npy = Vec::new();
    Array3::<f32>::zeros((3, 2, 1))
        .write_npy(&mut npy)
        .expect("written");
    let path = scratch.holding("a.npy", npy);
    let problem = problem(&path, &two_channels(None));
    assert!(
        problem
            .message
            .contains("(T, 2) or (T, B, 2), found [3, 2, 1]"),
        "{problem}"
    );
}

/// Data of one node `input` with one observable.
fn data(observable: Group) -> Group {
    graph(node(observable))
}

fn typed(kind: &str) -> Group {
    Group::new().with_attribute("__type__", Attribute::Text(kind.to_owned()))
}

fn node(observable: Group) -> Group {
    typed("NIRNodeData").with("observables", Group::new().with("spikes", observable))
}

fn graph(node: Group) -> Group {
    typed("NIRGraphData").with("nodes", Group::new().with("input", node))
}

fn events(idx: &[i64], time: &[f64]) -> Group {
    let shape = [1, idx.len() as u64];
    typed("EventData")
        .with_attribute("n_neurons", Attribute::Integer(2))
        .with_attribute("t_max", Attribute::Float(3e-3))
        .with("idx", Dataset::i64(&shape, idx).expect("fits"))
        .with("time", Dataset::f64(&shape, time).expect("fits"))
}

fn gridded(shape: &[u64], dt: f64) -> Group {
    let count = shape.iter().product::<u64>() as usize;
    let data = Dataset::f32(shape, &vec![0.0; count]).expect("fits");
    let dt = Attribute::Float(dt);
    typed("TimeGriddedData")
        .with_attribute("dt", dt)
        .with("data", data)
}

#[test]
fn nirdata_that_means_nothing_is_refused_with_its_numbers() {
    let scratch = Scratch::new();
    let good = events(&[1, -1, 0], &[0.0, f64::INFINITY, 2e-3]);
    let path = scratch.holding("a.h5", to_bytes(&data(good.clone())).expect("a file"));
    let signals = read_quietly(&path, &two_channels(Some(Kind::Spikes)));
    let expected = raster([[0.0, 1.0], [0.0, 0.0], [1.0, 0.0]]).mapv(|v| v as u8);
    assert_eq!(
        signals,
        [Signal::Spikes(
            Spikes::from_raster(&expected).expect("small")
        )]
    );

    let attribute = |name: &str, value| data(good.clone().with_attribute(name, value));
    let floats = Dataset::f64(&[1, 3], &[0.0; 3]).expect("fits");
    let shorter = Dataset::f64(&[1, 2], &[0.0; 2]).expect("fits");
    let inf = f64::INFINITY;
    for (root, message) in [
        (
            data(events(&[0], &[1.5e-3])),
            "found 0.0015 s, which is 1.5 ticks",
        ),
        (
            data(events(&[0], &[3e-3])),
            "a time before 0.003 s, found 0 at 0.003 s",
        ),
        (data(events(&[0], &[inf])), "found inf s"),
        (data(events(&[-1], &[1e-3])), "a channel below 2"),
        (
            data(events(&[2], &[1e-3])),
            "a channel below 2 and a time before 0.003 s, found 2",
        ),
        (
            data(events(&[1, 1], &[1e-3, 1e-3])),
            "found 2 at tick 1, sample 0, channel 1, and 1 bins",
        ),
        (
            data(good.clone().with("idx", floats)),
            "expected integers in `idx`",
        ),
        (
            data(good.clone().with("time", shorter)),
            "`time` of the shape of `idx`, [1, 3], found [1, 2]",
        ),
        (
            attribute("t_max", Attribute::Float(4e-3)),
            "expected 3 ticks of `input`, found 4",
        ),
        (
            attribute("t_max", Attribute::Float(f64::NAN)),
            "found NaN s",
        ),
        (
            attribute("t_max", Attribute::Text("3".into())),
            "seconds `t_max`",
        ),
        (
            attribute("n_neurons", Attribute::Integer(-2)),
            "channels `n_neurons`",
        ),
        (
            attribute("n_neurons", Attribute::Integer(7)),
            "expected 2 channels, found 7",
        ),
        (
            attribute("__type__", Attribute::Text("ValuedEventData".into())),
            "data set `value`",
        ),
        (
            attribute("__type__", Attribute::Text("Spikes".into())),
            "found `Spikes`",
        ),
        (
            data(gridded(&[3, 2], 1e-3)),
            "(samples, ticks, channels), found [3, 2]",
        ),
        (
            data(gridded(&[1, 3, 2], 2e-3)),
            "expected data of 0.001 s a tick, found 0.002 s",
        ),
        (data(gridded(&[1, 3, 2], 0.0)), "found 0"),
        (
            data(gridded(&[0, 3, 2], 1e-3)),
            "found 3 ticks of 0 samples",
        ),
        (data(Group::new()), "found none"),
        (graph(typed("NIRNodeData")), "a group `observables`"),
        (graph(typed("NIRGraphData")), "a group `nodes`"),
        (typed("NIRNodeData"), "found `NIRNodeData`"),
        (Group::new().with("node", Group::new()), "found none"),
    ] {
        let path = scratch.holding("a.h5", to_bytes(&root).expect("a file"));
        let problem = problem(&path, &two_channels(Some(Kind::Spikes)));
        assert!(problem.message.contains(message), "{message}: {problem}");
    }
    // Events that nobody is there to have: the extent is refused, not allocated.
    let many = Dataset::i64(&[1 << 40, 0], &[]).expect("fits");
    let none = Dataset::f64(&[1 << 40, 0], &[]).expect("fits");
    let root = data(good.with("idx", many).with("time", none));
    let path = scratch.holding("a.h5", to_bytes(&root).expect("a file"));
    assert!(
        problem(&path, &two_channels(None))
            .message
            .contains("at most 4194304 samples")
    );
}

#[test]
fn nested_nirdata_ends() {
    let scratch = Scratch::new();
    let nested = |levels: usize| {
        let inner = node(gridded(&[1, 3, 2], 1e-3));
        (0..levels).fold(inner, |inner, _| graph(inner))
    };
    let name = Name::quantity(["input"; 10].join("/"), "spikes");
    let mut request = two_channels(None);
    request.ports[0].name = name;
    let path = scratch.holding("a.h5", to_bytes(&nested(10)).expect("a file"));
    assert_eq!(read_quietly(&path, &request).len(), 1);
    let path = scratch.holding("a.h5", to_bytes(&nested(40)).expect("a file"));
    assert_eq!(problem(&path, &request).code, codes::FILE_CYCLE);
}

#[test]
fn damaged_nirdata_is_told_or_does_no_harm() {
    let scratch = Scratch::new();
    let whole = to_bytes(&data(events(&[1, 0], &[0.0, 1e-3]))).expect("a file");
    for position in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[position] ^= 0xff;
        let _ = read_signals(&scratch.holding("a.h5", &bytes), &two_channels(None));
    }
    // A heap of strings that claims to be large could be named by an attribute over and over.
    let heap = whole
        .windows(4)
        .position(|w| w == b"GCOL")
        .expect("strings");
    let mut bytes = whole;
    bytes[heap + 8..heap + 16].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    let problem = problem(&scratch.holding("a.h5", &bytes), &two_channels(None));
    assert_eq!(problem.code, codes::FILE_TOO_LARGE);
}

#[test]
fn what_cannot_be_written_is_told() {
    let scratch = Scratch::new();
    let (signals, _) = named();
    let grid = writing(Layout::Grid);
    let refused = |name: &str, signals: &[(Name, Signal)], writing: &Writing| {
        let path = scratch.path(name);
        let problem = write_signals(&path, signals, writing).expect_err("refused");
        assert!(!path.exists() && problem.help.is_some(), "{problem}");
        problem
    };
    assert!(
        refused("a.txt", &signals, &grid)
            .message
            .contains("found .txt")
    );
    assert!(refused("a", &signals, &grid).message.contains("found none"));
    assert!(
        refused("a.npy", &signals, &grid)
            .message
            .contains("holds one signal, found 3")
    );
    assert!(refused("a.csv", &[], &grid).message.contains("found 0"));
    assert_eq!(
        refused("a.h5", &signals, &Writing::default()).code,
        codes::TIME_STEP
    );
    for names in [
        ["a.s", "a.s"],
        ["a.s", "a/b.s"],
        ["a/b.s", "a.s"],
        ["a.s", "/b.s"],
    ] {
        let signals = names.map(|name| {
            let (node, quantity) = name.split_once('.').expect("a name");
            (Name::quantity(node, quantity), spikes(2))
        });
        refused("a.h5", &signals, &grid);
    }
    let vast = Spikes::new(
        u32::MAX,
        u32::MAX,
        vec![vec![InputSpike {
            tick: 7,
            channel: 9,
        }]],
    );
    let vast = [(Name::port("input"), Signal::Spikes(vast.expect("sparse")))];
    for name in ["a.npy", "a.npz", "a.csv", "a.h5"] {
        let problem = refused(name, &vast, &grid);
        assert!(
            problem.message.contains("at most 268435456 bins"),
            "{problem}"
        );
    }
    for name in ["a.csv", "a.h5"] {
        let path = scratch.path(name);
        write_signals(&path, &vast, &writing(Layout::Events)).expect("few events");
        let request = Request {
            ports: vec![port(Name::port("input"), &[u32::MAX as usize], None)],
            dt: Some(DT),
            ticks: Some(u32::MAX),
            samples: Some(1),
            exact: false,
        };
        assert_eq!(read_quietly(&path, &request), only(&vast));
    }
}

#[test]
fn recorded_data_are_read() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/nir");
    let files = [
        "exported/nirdata_events.h5",
        "braille_first_sample/braille_test_sample0_input_256x12.npy",
        "braille_first_sample/braille_test_sample0_input_256x12.csv",
    ];
    let [data, npy, csv] = files.map(|file| shared.join(file));
    if !data.exists() {
        nirc_tests::tools::skip(&format!("{} is not there", data.display()));
        return;
    }
    let mut request = Request {
        ports: vec![port(
            Name::quantity("lif", "spikes"),
            &[3],
            Some(Kind::Spikes),
        )],
        dt: Some(1e-3),
        ..Request::default()
    };
    let (signals, notes) = read_signals(&data, &request).expect("read");
    let spike = |tick, channel| InputSpike { tick, channel };
    let expected = Spikes::new(10, 3, vec![vec![spike(1, 0), spike(2, 1)]]).expect("within");
    assert_eq!(signals, [Signal::Spikes(expected)]);
    assert!(notes.0[0].message.contains("`lif.v`"), "{notes}");

    request.ports[0] = port(Name::port("input"), &[12], Some(Kind::Spikes));
    let [from_npy, from_csv] = [npy, csv].map(|path| read_quietly(&path, &request));
    assert_eq!(from_npy, from_csv);
    let Signal::Spikes(spikes) = &from_npy[0] else {
        panic!("spikes");
    };
    let count: usize = spikes.samples().map(<[InputSpike]>::len).sum();
    assert_eq!((spikes.extent().ticks(), count), (256, 539));
}

/// The Python interpreters to ask, `NIRC_PYTHON_NIR`, those with what NIRData came with.
fn interpreters() -> Vec<PathBuf> {
    let named = std::env::var_os("NIRC_PYTHON_NIR");
    let all: Vec<PathBuf> = match &named {
        Some(paths) => std::env::split_paths(paths).collect(),
        None => vec!["python3".into()],
    };
    let has_data = |python: &PathBuf| {
        let asked = ["-c", "import nir; nir.read_data"];
        let output = Command::new(python).args(asked).output();
        output.is_ok_and(|output| output.status.success())
    };
    let able: Vec<PathBuf> = all.into_iter().filter(has_data).collect();
    assert!(
        named.is_none() || !able.is_empty(),
        "none has nir.read_data"
    );
    if able.is_empty() {
        nirc_tests::tools::skip("python3 has no nir with read_data");
    }
    able
}

#[test]
fn numpy_and_nir_read_what_is_written_and_write_what_is_read() {
    let (signals, request) = named();
    for python in interpreters() {
        let scratch = Scratch::new();
        write_signals(&scratch.path("ours.npz"), &signals, &Writing::default()).expect("written");
        for (name, layout) in [
            ("ours_events.h5", Layout::Events),
            ("ours_grid.h5", Layout::Grid),
        ] {
            write_signals(&scratch.path(name), &signals, &writing(layout)).expect("written");
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/oracles/python/exchange_signals.py");
        let output = Command::new(&python)
            .arg(script)
            .arg(scratch.0.path())
            .arg(DT.to_string())
            .output()
            .expect("run");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        for name in [
            "theirs.npz",
            "theirs_from_events.npz",
            "theirs_from_grid.npz",
        ] {
            let read = read_quietly(&scratch.path(name), &request);
            assert_eq!(read, only(&signals), "{name}");
        }
        // nir writes no nested data.
        let mut flat = request.clone();
        flat.ports.truncate(2);
        for name in ["theirs_events.h5", "theirs_grid.h5"] {
            let (read, _) = read_signals(&scratch.path(name), &flat).expect(name);
            assert_eq!(read, only(&signals[..2]), "{name}");
        }
    }
}

#[test]
fn text_of_many_lines_is_read_in_proportion() {
    let scratch = Scratch::new();
    let mut text = String::new();
    for tick in 0..20_000 {
        writeln!(text, "{},{}", tick % 2, tick % 3).expect("written");
    }
    let mut request = two_channels(None);
    request.ticks = Some(20_000);
    let path = scratch.holding("a.csv", text);
    assert_eq!(read_quietly(&path, &request)[0].extent().ticks(), 20_000);
}

#[test]
fn a_thousand_signals_fit_a_file() {
    let scratch = Scratch::new();
    let names = (0..3000).map(|k| Name::quantity(format!("population {k}"), "spikes"));
    let signals: Vec<_> = names.map(|name| (name, spikes(2))).collect();
    let (name, signal) = signals[2999].clone();
    let mut request = two_channels(None);
    (request.ports[0].name, request.ticks, request.dt) = (name, None, Some(DT));
    for file in ["a.npz", "a.h5"] {
        let path = scratch.path(file);
        write_signals(&path, &signals, &writing(Layout::Events)).expect("written");
        let (read, _) = read_signals(&path, &request).expect("read");
        assert_eq!(read, std::slice::from_ref(&signal));
    }
}

//! Networks of other simulators, run there and here under the convention that is named after them.
//!
//! `tests/oracles/python/simulators` makes the networks and runs them; `tests/golden/simulators` holds what they gave.
//! `NIRC_PYTHON_SIMULATORS` names Python interpreters that have the simulators installed, separated by `:`. With it
//! the recordings are made anew, and files that are converted for a simulator are run there.

#[path = "simulators/events.rs"]
mod events;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use ndarray::{Array0, Array2, Array3, ArrayD, Axis, Ix2};
use ndarray_npy::{NpzReader, NpzWriter, ReadableElement};
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Time;
use nirc_ir::Diagnostics;
use nirc_ir::convention::Convention;
use nirc_ir::network::PopulationKind;
use nirc_runtime::data::signal::{Signal, Spikes, Values};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::jobs::{self, convert_file};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_runtime::simulation::simulate;
use nirc_runtime::stimulus::Stimulus;

/// A network of a simulator, and what its script sets that its importer would not.
#[derive(Clone, Copy)]
struct Case {
    tool: &'static str,
    name: &'static str,
    set: &'static [&'static str],
    /// Which voltage the simulator keeps.
    voltage: Quantity,
}

const fn case(tool: &'static str, name: &'static str) -> Case {
    Case {
        tool,
        name,
        set: &[],
        voltage: Quantity::V,
    }
}

const SUBTRACT: &[&str] = &["reset=subtract"];
const SUBTRACT_LATE: &[&str] = &["reset=subtract", "reset_time=next"];

const CASES: [Case; 34] = [
    case("snntorch", "leaky"),
    Case {
        set: SUBTRACT,
        ..case("snntorch", "leaky_subtract")
    },
    Case {
        set: SUBTRACT_LATE,
        ..case("snntorch", "leaky_subtract_late")
    },
    case("snntorch", "synaptic"),
    case("snntorch", "leaky_conv"),
    case("snntorch", "rleaky"),
    case("snntorch", "rleaky_diagonal"),
    Case {
        set: SUBTRACT_LATE,
        ..case("snntorch", "rsynaptic_late")
    },
    case("snntorch", "if"),
    case("snntorch", "lif_gain"),
    case("norse", "lifbox"),
    case("norse", "lif"),
    case("norse", "cubalif"),
    Case {
        set: SUBTRACT,
        ..case("norse", "cubalif_subtract")
    },
    case("norse", "cubalif_no_leak"),
    case("norse", "if"),
    case("norse", "cubalif_loop"),
    case("norse", "lif_conv"),
    case("sinabs", "lif"),
    case("sinabs", "lif_many_spikes"),
    case("sinabs", "iaf"),
    case("sinabs", "iaf_conv"),
    case("sinabs", "lif_readout"),
    case("rockpool", "liftorch"),
    case("rockpool", "liftorch_no_bias"),
    case("rockpool", "lifneuron"),
    case("rockpool", "cubalif_leak"),
    case("rockpool", "cubalif_loop"),
    case("spyx", "lif"),
    before_reset("spyx", "cubalif"),
    case("spyx", "if"),
    case("spyx", "lif_loop"),
    before_reset("spyx", "cubalif_loop"),
    case("spyx", "lif_conv"),
];

const fn before_reset(tool: &'static str, name: &'static str) -> Case {
    Case {
        voltage: Quantity::VPre,
        ..case(tool, name)
    }
}

impl Case {
    fn place(&self) -> String {
        format!("{}/{}", self.tool, self.name)
    }

    fn reading(&self, dt: f64) -> Reading {
        let convention = Convention::preset(self.tool).expect("a preset");
        let mut reading = Reading {
            dt: Some(dt),
            ..Reading::under(convention)
        };
        let set: Vec<String> = self.set.iter().map(|s| (*s).to_owned()).collect();
        reading.set(&set).expect("attributes");
        reading
    }
}

fn find(tool: &str, name: &str) -> Case {
    let found = CASES.iter().find(|c| c.tool == tool && c.name == name);
    *found.expect("a case")
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/simulators")
}

/// A recording: what went in, and what the simulator kept of its populations.
struct Recording {
    input: ArrayD<f32>,
    dt: f64,
    spikes: BTreeMap<String, Array2<f64>>,
    voltages: BTreeMap<String, Array2<f64>>,
}

impl Recording {
    fn read(file: &Path) -> Self {
        let open = File::open(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let mut npz = NpzReader::new(open).expect("an npz file");
        let names = npz.names().expect("readable");
        let names: Vec<String> = names
            .iter()
            .map(|n| n.trim_end_matches(".npy").to_owned())
            .collect();
        let mut recording = Self {
            input: array(&mut npz, "input"),
            dt: array::<f64>(&mut npz, "dt").sum(),
            spikes: BTreeMap::new(),
            voltages: BTreeMap::new(),
        };
        for name in &names {
            if let Some(population) = name.strip_suffix(".spikes") {
                let spikes = two(array::<u8>(&mut npz, name).mapv(f64::from));
                recording.spikes.insert(population.to_owned(), spikes);
            }
            if let Some(population) = name.strip_suffix(".v") {
                let voltages = two(array::<f32>(&mut npz, name).mapv(f64::from));
                recording.voltages.insert(population.to_owned(), voltages);
            }
        }
        assert!(!recording.voltages.is_empty(), "nothing was recorded");
        recording
    }
}

fn array<T: ReadableElement>(npz: &mut NpzReader<File>, name: &str) -> ArrayD<T> {
    npz.by_name(&format!("{name}.npy"))
        .or_else(|_| npz.by_name(name))
        .unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn two(array: ArrayD<f64>) -> Array2<f64> {
    array.into_dimensionality::<Ix2>().expect("two axes")
}

/// A file with an input, to be run here.
struct Run {
    model: Model,
    stimulus: Stimulus,
}

impl Run {
    fn new(file: &Path, reading: &Reading, input: &ArrayD<f32>) -> Result<Self, Diagnostics> {
        let model = Model::open(file, reading)?;
        let source = model
            .network
            .populations
            .values()
            .find(|p| matches!(p.kind, PopulationKind::Source | PopulationKind::Graded));
        let source = source.expect("an input").name.clone();
        let ticks = input.len_of(Axis(0));
        let channels = input.len() / ticks;
        let values = Array3::from_shape_vec((ticks, 1, channels), input.iter().copied().collect());
        let values = values.expect("one sample");
        let signal = if values.iter().all(|v| *v == 0.0 || *v == 1.0) {
            Signal::Spikes(Spikes::from_raster(&values.mapv(|v| v as u8)).expect("spikes"))
        } else {
            Signal::Values(Values::new(values).expect("values"))
        };
        let stimulus = Stimulus::new(signal.extent().ticks(), vec![(source, signal)]);
        Ok(Self { model, stimulus })
    }

    fn record(&self, population: &str, quantity: Quantity) -> Array2<f64> {
        self.record_on(Kind::Host, population, quantity)
    }

    fn record_on(&self, kind: Kind, population: &str, quantity: Quantity) -> Array2<f64> {
        let record = Record {
            population: self.name(population),
            quantity,
        };
        let executors = Executors {
            kind,
            threads: 1,
            balance: nirc_spinnaker2::mapping::slice::Balance::default(),
        };
        let network = &self.model.network;
        let run = simulate(
            network,
            Time::Ticks,
            &self.stimulus,
            &[record],
            executors,
            &mut |_| {},
        );
        let (recorded, _) = run.unwrap_or_else(|e| panic!("{population}: {e}"));
        let array = match &recorded[0].1 {
            Signal::Spikes(spikes) => spikes.raster().expect("small").mapv(f64::from),
            Signal::Values(values) => values.array().mapv(f64::from),
        };
        array.index_axis(Axis(1), 0).to_owned()
    }

    /// The network's name for a population of a subgraph.
    fn name(&self, population: &str) -> String {
        let names = self.model.network.populations.values().map(|p| &p.name);
        let nested = population.replacen('.', "/", 1);
        let found = names
            .into_iter()
            .find(|name| *name == population || **name == nested);
        found
            .unwrap_or_else(|| panic!("no population {population}"))
            .clone()
    }
}

/// Compares a case with its recording in a folder.
///
/// Spikes have to be equal. Voltages may be off by 1e-6 of the largest of their population, which is the threshold or
/// more: their sums are rounded in units of it. The tools' weights are such that the sums over inputs are exact in
/// any order; what is left are the roundings of decays, which some tools compute in `f32`.
fn check(case: &Case, folder: &Path) {
    let place = case.place();
    let file = |extension: &str| folder.join(format!("{place}.{extension}"));
    let recording = Recording::read(&file("npz"));
    let run = Run::new(&file("nir"), &case.reading(recording.dt), &recording.input);
    let run = run.unwrap_or_else(|e| panic!("{place}: {e}"));
    for (population, expected) in &recording.spikes {
        let found = run.record(population, Quantity::Spikes);
        let wrong = found.indexed_iter().find(|(at, n)| expected[*at] != **n);
        assert_eq!(wrong, None, "{place}: spikes of {population}");
    }
    for (population, expected) in &recording.voltages {
        let found = run.record(population, case.voltage);
        let largest = expected.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let error = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let error = error.fold(0.0_f64, f64::max);
        assert!(
            error <= 1e-6 * largest,
            "{place}: voltages of {population} are off by {error:e} of {largest}"
        );
    }
}

#[test]
fn recordings_are_reproduced() {
    for case in &CASES {
        check(case, &golden());
    }
}

/// What only some conventions need: a state that begins at rest, spikes that are counted, a reset in the next tick.
#[test]
fn executors_agree_on_what_is_unlike_the_equations() {
    for (tool, name, population) in [
        ("norse", "cubalif_loop", "hidden.lif"),
        ("sinabs", "lif_many_spikes", "3"),
        ("rockpool", "cubalif_loop", "hidden.lif"),
        ("spyx", "lif_loop", "hidden.lif"),
    ] {
        let case = find(tool, name);
        let file = |extension: &str| golden().join(format!("{}.{extension}", case.place()));
        let recording = Recording::read(&file("npz"));
        let run = Run::new(&file("nir"), &case.reading(recording.dt), &recording.input);
        let run = run.unwrap_or_else(|e| panic!("{tool}/{name}: {e}"));
        for quantity in [Quantity::Spikes, Quantity::V] {
            let host = run.record(population, quantity);
            for kind in [Kind::Interpreter, Kind::Emulator] {
                let other = run.record_on(kind, population, quantity);
                assert_eq!(other, host, "{tool}/{name} on {kind:?}");
            }
        }
    }
}

#[test]
fn every_recording_is_compared() {
    let mut found = Vec::new();
    for tool in std::fs::read_dir(golden()).expect("a folder") {
        let tool = tool.expect("an entry").path();
        for file in tool.read_dir().into_iter().flatten() {
            let file = file.expect("an entry").path();
            if file.extension().is_some_and(|e| e == "npz") {
                let name = |p: &Path| p.file_stem().map(|s| s.to_string_lossy().into_owned());
                found.push(format!(
                    "{}/{}",
                    name(&tool).expect("a name"),
                    name(&file).expect("a name")
                ));
            }
        }
    }
    let ticks = CASES.iter().map(Case::place);
    let mut cases: Vec<String> = ticks.chain(events::places()).collect();
    found.sort();
    cases.sort();
    assert_eq!(found, cases);
}

/// Another network under another tool's convention.
struct Conversion {
    from: Case,
    to: &'static str,
    to_dt: f64,
    /// Ticks by which the first population's spikes come later there.
    later: usize,
    /// Whether the other tool's importer takes such a file.
    runs_there: bool,
}

fn conversions() -> Vec<Conversion> {
    let conversion = |from: Case, to: &'static str, to_dt: f64| Conversion {
        from,
        to,
        to_dt,
        later: 0,
        runs_there: true,
    };
    vec![
        conversion(find("snntorch", "leaky"), "norse", 1e-3),
        conversion(find("snntorch", "synaptic"), "norse", 1e-3),
        conversion(find("snntorch", "lif_gain"), "norse", 1e-3),
        conversion(find("norse", "cubalif_no_leak"), "snntorch", 1e-4),
        conversion(find("rockpool", "lifneuron"), "sinabs", 1.0),
        Conversion {
            later: 1,
            ..conversion(find("snntorch", "leaky_subtract_late"), "spyx", 1.0)
        },
        // Its importer fails on every LIF.
        Conversion {
            runs_there: false,
            ..conversion(find("sinabs", "lif"), "rockpool", 1e-3)
        },
    ]
}

impl Conversion {
    fn place(&self) -> String {
        format!("{} for {}", self.from.place(), self.to)
    }

    /// Converts the file; how the other tool reads it.
    fn convert(&self, dt: f64, output: &Path) -> Result<Reading, Diagnostics> {
        let reading = case(self.to, self.from.name).reading(self.to_dt);
        convert_file(&jobs::Convert {
            input: golden().join(format!("{}.nir", self.from.place())),
            output: output.to_owned(),
            from: self.from.reading(dt),
            to: Reading {
                dt: Some(self.to_dt),
                ..reading.clone()
            },
        })?;
        Ok(reading)
    }

    /// Whether the spikes of the first population are the recorded ones, in the ticks that both have.
    fn compare(&self, found: &Array2<f64>, expected: &Array2<f64>) {
        let ticks = expected.len_of(Axis(0)) - self.later;
        let (found, expected) = match self.later {
            0 => (found.view(), expected.view()),
            later => (
                found.slice(ndarray::s![later.., ..]),
                expected.slice(ndarray::s![..ticks, ..]),
            ),
        };
        let wrong = found.indexed_iter().find(|(at, n)| expected[*at] != **n);
        assert_eq!(wrong, None, "{}", self.place());
    }
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn converted_files_do_the_same_under_the_other_convention() {
    let folder = scratch();
    for conversion in conversions() {
        let place = conversion.place();
        let recorded = golden().join(format!("{}.npz", conversion.from.place()));
        let recording = Recording::read(&recorded);
        let output = folder.path().join("converted.nir");
        let reading = conversion.convert(recording.dt, &output);
        let reading = reading.unwrap_or_else(|e| panic!("{place}: {e}"));
        let run = Run::new(&output, &reading, &recording.input);
        let run = run.unwrap_or_else(|e| panic!("{place}: {e}"));
        let (population, expected) = recording.spikes.iter().next().expect("spikes");
        conversion.compare(&run.record(population, Quantity::Spikes), expected);
    }
}

#[test]
fn what_the_other_convention_cannot_express_is_told() {
    let folder = scratch();
    for (from, to, to_dt, attribute) in [
        (find("norse", "lif"), "snntorch", 1e-4, "initial"),
        (find("snntorch", "synaptic"), "spyx", 1.0, "reset"),
        (find("sinabs", "iaf"), "spyx", 1.0, "floor"),
        (find("snntorch", "if"), "norse", 1e-3, "if_decay"),
        (find("rockpool", "liftorch"), "norse", 1e-3, "spikes"),
        (
            find("norse", "cubalif_no_leak"),
            "jaxsnn",
            1e-3,
            "integrator",
        ),
    ] {
        let conversion = Conversion {
            from,
            to,
            to_dt,
            later: 0,
            runs_there: false,
        };
        let recording = Recording::read(&golden().join(format!("{}.npz", from.place())));
        let output = folder.path().join("refused.nir");
        let problems = conversion.convert(recording.dt, &output);
        let problems = problems.expect_err(&conversion.place());
        let all = problems.to_string();
        assert!(all.contains(attribute), "{}: {all}", conversion.place());
        assert!(!output.exists(), "{}", conversion.place());
    }
}

// With the simulators themselves.

/// A Python interpreter that has a simulator, if there is one. Simulators are too large to be required: their
/// recordings stand in for them.
fn python(tool: &str) -> Option<PathBuf> {
    let named = std::env::var_os("NIRC_PYTHON_SIMULATORS").unwrap_or_default();
    let has_tool = |python: &PathBuf| {
        let probe =
            format!("import importlib.util as u, sys; sys.exit(u.find_spec('{tool}') is None)");
        let status = Command::new(python).args(["-c", &probe]).status();
        status.is_ok_and(|status| status.success())
    };
    let found = std::env::split_paths(&named).find(has_tool);
    if found.is_none() {
        eprintln!("recordings only: no interpreter of NIRC_PYTHON_SIMULATORS has {tool}");
    }
    found
}

fn call(tool: &str, python: &Path, arguments: &[&Path], verb: &str) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("oracles/python/simulators");
    let output = Command::new(python)
        .arg(scripts.join(format!("{tool}_nets.py")))
        .arg(verb)
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("it starts");
    assert!(
        output.status.success(),
        "{tool}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn simulators_still_do_what_was_recorded() {
    for tool in ["snntorch", "norse", "sinabs", "rockpool", "spyx"] {
        let Some(python) = python(tool) else { continue };
        let folder = scratch();
        call(tool, &python, &[&folder.path().join(tool)], "record");
        for case in CASES.iter().filter(|case| case.tool == tool) {
            check(case, folder.path());
        }
    }
}

#[test]
fn simulators_run_converted_files() {
    let folder = scratch();
    for conversion in conversions() {
        if !conversion.runs_there {
            continue;
        }
        let Some(python) = python(conversion.to) else {
            continue;
        };
        let recorded = golden().join(format!("{}.npz", conversion.from.place()));
        let recording = Recording::read(&recorded);
        let path = |name: &str| folder.path().join(name);
        let (file, given, out) = (path("converted.nir"), path("given.npz"), path("out.npz"));
        conversion
            .convert(recording.dt, &file)
            .unwrap_or_else(|e| panic!("{}: {e}", conversion.place()));
        let mut npz = NpzWriter::new(File::create(&given).expect("writable"));
        npz.add_array("input", &recording.input).expect("written");
        npz.add_array("dt", &Array0::from_elem((), conversion.to_dt))
            .expect("written");
        npz.finish().expect("written");
        call(conversion.to, &python, &[&file, &given, &out], "run");
        let there = Recording::read(&out);
        let (population, expected) = recording.spikes.iter().next().expect("spikes");
        let found = there.spikes.get(population);
        let found = found.unwrap_or_else(|| panic!("{}: no {population}", conversion.place()));
        conversion.compare(found, expected);
    }
}

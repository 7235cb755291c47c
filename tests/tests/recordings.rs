//! What simulators and the chip have recorded, reproduced under the convention that is named after them.
//!
//! The networks and recordings are those of the NIR paper: one neuron under eleven tools, and a recurrent
//! network that reads Braille.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, ArrayD, Axis, Ix2};
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Time;
use nirc_ir::convention::Convention;
use nirc_runtime::data::signal::{Signal, Spikes, Values};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_runtime::simulation::simulate;
use nirc_runtime::stimulus::Stimulus;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_tests::shared;

const EXECUTORS: [Kind; 3] = [Kind::Interpreter, Kind::Host, Kind::Emulator];

fn reading(preset: &str, set: &[&str]) -> Reading {
    let convention = Convention::preset(preset).expect("a preset");
    let mut reading = Reading {
        dt: Some(1e-4),
        ..Reading::under(convention)
    };
    let set: Vec<String> = set.iter().map(|s| (*s).to_owned()).collect();
    reading.set(&set).expect("attributes");
    reading
}

/// Runs a file on one sample; what is recorded of a population, tick by tick.
struct Setup {
    model: Model,
    stimulus: Stimulus,
}

impl Setup {
    fn new(file: &Path, reading: &Reading, input: Signal) -> Self {
        let mut model = Model::open(file, reading).unwrap_or_else(|e| panic!("{e}"));
        let name = model
            .network
            .populations
            .values()
            .next()
            .expect("an input")
            .name
            .clone();
        let stimulus = Stimulus::new(input.extent().ticks(), vec![(name, input)]);
        let graded = stimulus.graded();
        if !graded.is_empty() {
            let reading = Reading {
                graded,
                ..reading.clone()
            };
            model = model.reread(&reading).unwrap_or_else(|e| panic!("{e}"));
        }
        Self { model, stimulus }
    }

    fn record(&self, kind: Kind, population: &str, quantity: Quantity) -> Array2<f64> {
        let record = Record {
            population: population.to_owned(),
            quantity,
        };
        let executors = Executors {
            kind,
            threads: 1,
            balance: Balance::default(),
        };
        let run = simulate(
            &self.model.network,
            Time::Ticks,
            &self.stimulus,
            &[record],
            executors,
            &mut |_| {},
        );
        let (recorded, _) = run.unwrap_or_else(|e| panic!("{kind:?}: {e}"));
        let (_, signal) = &recorded[0];
        match signal {
            Signal::Spikes(spikes) => spikes
                .raster()
                .expect("small")
                .index_axis(Axis(1), 0)
                .mapv(f64::from),
            Signal::Values(values) => values.array().index_axis(Axis(1), 0).mapv(f64::from),
        }
    }
}

// Braille.

fn braille_input(shared: &Path) -> Signal {
    let file = shared.join("nir/braille_first_sample/braille_test_sample0_input_256x12.npy");
    let (signals, _) = nirc_runtime::data::signal::read_signals(
        &file,
        &nirc_runtime::data::signal::Request {
            ports: vec![nirc_runtime::data::signal::Port {
                name: nirc_runtime::data::signal::Name::port("input"),
                shape: Some(vec![12]),
                kind: None,
            }],
            ..Default::default()
        },
    )
    .unwrap_or_else(|e| panic!("{e}"));
    signals.into_iter().next().expect("one signal")
}

/// A recording, ticks by neurons; some tools put neurons first.
fn activity(file: &Path, neurons: usize) -> Array2<f64> {
    let bytes = fs::read(file).expect("readable");
    let array = npy(&bytes);
    let array = array.remove_ones();
    if array.dim().1 == neurons {
        array
    } else {
        array.reversed_axes().as_standard_layout().to_owned()
    }
}

trait RemoveOnes {
    fn remove_ones(self) -> Array2<f64>;
}

impl RemoveOnes for ArrayD<f64> {
    fn remove_ones(mut self) -> Array2<f64> {
        while self.ndim() > 2 {
            let one = self
                .shape()
                .iter()
                .position(|d| *d == 1)
                .expect("an axis of length 1");
            self.index_axis_inplace(Axis(one), 0);
        }
        self.into_dimensionality::<Ix2>().expect("two axes")
    }
}

fn npy(bytes: &[u8]) -> ArrayD<f64> {
    use ndarray_npy::ReadNpyExt;
    if let Ok(array) = ArrayD::<f32>::read_npy(bytes) {
        return array.mapv(f64::from);
    }
    if let Ok(array) = ArrayD::<f64>::read_npy(bytes) {
        return array;
    }
    if let Ok(array) = ArrayD::<bool>::read_npy(bytes) {
        return array.mapv(|b| f64::from(u8::from(b)));
    }
    ArrayD::<i64>::read_npy(bytes)
        .expect("numbers")
        .mapv(|v| v as f64)
}

fn braille(shared: &Path, network: &str, preset: &str, set: &[&str]) -> Setup {
    let file = shared.join(format!("nir/paper/03_rnn/braille_{network}.nir"));
    Setup::new(&file, &reading(preset, set), braille_input(shared))
}

/// Bins with another spike than the recording, of how many, and the first.
fn wrong(found: &Array2<f64>, recorded: &Array2<f64>) -> (usize, Option<(usize, usize)>) {
    assert_eq!(found.dim(), recorded.dim());
    let differs = |place: &(usize, usize)| (found[*place] > 0.0) != (recorded[*place] > 0.0);
    let places = recorded.indexed_iter().map(|(place, _)| place);
    let places: Vec<_> = places.filter(differs).collect();
    (places.len(), places.first().copied())
}

#[test]
fn the_chip_is_reproduced_on_every_executor() {
    let Some(shared) = shared::dir() else { return };
    let recorded = activity(
        &shared.join("nir/paper/03_rnn/s2_activity_noDelay_bias_zero.npy"),
        38,
    );
    assert_eq!(recorded.len(), 9728);
    let setup = braille(&shared, "noDelay_bias_zero", "spinnaker2-int8", &[]);
    for kind in EXECUTORS {
        let found = setup.record(kind, "lif1.lif", Quantity::Spikes);
        assert_eq!(wrong(&found, &recorded), (0, None), "{kind:?}");
    }
}

#[test]
fn executors_agree_on_the_network_with_the_other_reset() {
    let Some(shared) = shared::dir() else { return };
    let set = ["reset=subtract"];
    let setup = braille(&shared, "noDelay_noBias_subtract", "spinnaker2-int8", &set);
    let hidden = setup.record(Kind::Interpreter, "lif1.lif", Quantity::Spikes);
    for kind in [Kind::Host, Kind::Emulator] {
        assert_eq!(
            setup.record(kind, "lif1.lif", Quantity::Spikes),
            hidden,
            "{kind:?}"
        );
    }
    let counts = setup
        .record(Kind::Host, "lif2", Quantity::Spikes)
        .sum_axis(Axis(0));
    let most = counts.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    // The sample is an A, which is class 1.
    assert_eq!(most.map(|(class, _)| class), Some(1));
}

#[test]
fn simulators_of_the_braille_network_are_reproduced() {
    let Some(shared) = shared::dir() else { return };
    for (preset, tool, network, neurons) in [
        ("snntorch", "snntorch", "noDelay_bias_zero", 38),
        ("norse", "norse", "noDelay_bias_zero", 38),
        ("spyx-2023", "spyx", "noDelay_bias_zero", 38),
        ("nengo", "nengo", "noDelay_bias_zero", 38),
        ("nengo", "nengo", "noDelay_noBias_subtract", 40),
    ] {
        let file = format!("nir/paper/03_rnn/{tool}_activity_{network}.npy");
        let recorded = activity(&shared.join(file), neurons);
        let setup = braille(&shared, network, preset, &[]);
        let found = setup.record(Kind::Host, "lif1.lif", Quantity::Spikes);
        assert_eq!(wrong(&found, &recorded), (0, None), "{tool}, {network}");
    }
}

#[test]
fn every_attribute_that_a_recording_decides_is_needed() {
    let Some(shared) = shared::dir() else { return };
    let recorded = activity(
        &shared.join("nir/paper/03_rnn/s2_activity_noDelay_bias_zero.npy"),
        38,
    );
    for set in [
        "integrator=exponential",
        "order=simultaneous",
        "reset=subtract",
        "bias=input",
        "delay=0",
        "recurrent_delay=2",
        "rounding=nearest",
        "number_format=f32",
    ] {
        let setup = braille(&shared, "noDelay_bias_zero", "spinnaker2-int8", &[set]);
        let found = setup.record(Kind::Host, "lif1.lif", Quantity::Spikes);
        assert!(wrong(&found, &recorded).0 > 0, "{set}");
    }
}

// One neuron.

/// Input, voltage and spikes of a trace.
fn trace(shared: &Path, tool: &str) -> Array2<f64> {
    let file: PathBuf = shared.join(format!("nir/paper/01_lif/lif_{tool}.csv"));
    let text = fs::read_to_string(file).expect("readable");
    let row = |line: &str| -> Option<Vec<f64>> {
        line.split(',')
            .take(3)
            .map(|field| field.trim().parse().ok())
            .collect()
    };
    let rows: Vec<Vec<f64>> = text
        .lines()
        .filter_map(row)
        .filter(|row| row.len() == 3)
        .collect();
    Array2::from_shape_vec((rows.len(), 3), rows.concat()).expect("three columns")
}

fn input(column: &ndarray::ArrayView1<'_, f64>) -> Signal {
    let values = column.mapv(|v| v as f32);
    let array = Array3::from_shape_vec((values.len(), 1, 1), values.to_vec()).expect("one channel");
    if array.iter().all(|v| *v == 0.0 || *v == 1.0) {
        return Signal::Spikes(Spikes::from_raster(&array.mapv(|v| v as u8)).expect("spikes"));
    }
    Signal::Values(Values::new(array).expect("values"))
}

/// A trace, and how it is read: the unit of its voltage is not the file's in every tool.
struct Trace {
    tool: &'static str,
    file: &'static str,
    preset: &'static str,
    set: &'static [&'static str],
    quantity: Quantity,
    unit: f64,
}

const fn neuron(tool: &'static str, preset: &'static str, unit: f64) -> Trace {
    Trace {
        tool,
        file: "lif_norse.nir",
        preset,
        set: &[],
        quantity: Quantity::V,
        unit,
    }
}

#[test]
fn traces_of_one_neuron_are_reproduced() {
    let Some(shared) = shared::dir() else { return };
    let rockpool = Trace {
        file: "lif_rockpool.nir",
        ..neuron("rockpool", "rockpool", 1.0)
    };
    // Recorded with a scale put in by hand, and shifted by the tick that a hop takes.
    let chip = Trace {
        set: &["weight_scale=102.02", "delay=0"],
        ..neuron("spinnaker2", "spinnaker2-int8", 25.0)
    };
    for trace in [
        neuron("norse", "norse", 1.0),
        neuron("snntorch", "snntorch", 25.0),
        neuron("spyx", "spyx-2023", 1.0),
        neuron("sinabs", "sinabs", 1.0),
        rockpool,
        neuron("nengo", "nengo", 10.0),
        neuron("lava_cpu_float", "lava", 1.0),
        neuron("exact", "nir", 1.0),
        chip,
    ] {
        check(&shared, &trace);
    }
}

fn check(shared: &Path, trace: &Trace) {
    let tool = trace.tool;
    let recorded = self::trace(shared, tool);
    let file = shared.join("nir/paper/01_lif").join(trace.file);
    let setup = Setup::new(
        &file,
        &reading(trace.preset, trace.set),
        input(&recorded.column(0)),
    );
    let population = setup
        .model
        .network
        .populations
        .values()
        .nth(1)
        .expect("a neuron")
        .name
        .clone();
    let spikes = setup.record(Kind::Host, &population, Quantity::Spikes);
    let differing = spikes
        .column(0)
        .iter()
        .zip(recorded.column(2))
        .position(|(a, b)| a != b);
    assert_eq!(
        differing, None,
        "{tool}: another number of spikes in this tick"
    );
    let voltage = setup.record(Kind::Host, &population, trace.quantity);
    let threshold = 0.1 * trace.unit;
    for (tick, (found, expected)) in voltage.column(0).iter().zip(recorded.column(1)).enumerate() {
        let error = (found * trace.unit - expected).abs() / threshold;
        assert!(
            error < 1e-6,
            "{tool}, tick {tick}: {found} is off by {error:e} of the threshold"
        );
    }
}

/// What cannot be reproduced, and where it shows first: the book tells why.
#[test]
fn other_traces_differ_from_the_tick_that_the_book_names() {
    let Some(shared) = shared::dir() else { return };
    let book =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/recordings.md"));
    let book = book.expect("the book's chapter");
    for (tool, preset) in [("lava_cpu_fixed", "lava"), ("lava_loihi_fixed", "lava")] {
        let recorded = trace(&shared, tool);
        let file = shared.join("nir/paper/01_lif/lif_norse.nir");
        let setup = Setup::new(&file, &reading(preset, &[]), input(&recorded.column(0)));
        let voltage = setup.record(Kind::Host, "1", Quantity::V);
        // The threshold of 0.1 is 1600 there.
        let scale = 16_000.0;
        let differs = |(a, b): (&f64, &f64)| (a * scale - b).abs() > 1e-6 * 0.1 * scale;
        let tick = voltage
            .column(0)
            .iter()
            .zip(recorded.column(1))
            .position(differs);
        let tick = tick.expect("it differs");
        let line = book
            .lines()
            .find(|line| line.contains(&format!("lif_{tool}")));
        let line = line.unwrap_or_else(|| panic!("the book says nothing of {tool}"));
        assert!(
            line.contains(&format!("tick {tick} ")),
            "{tool}: first in tick {tick}: {line}"
        );
    }
}

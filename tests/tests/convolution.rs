//! The NIR paper's convolutional network (N-MNIST, 34 x 34) on one chip: kernels stay kernels, every executor gives
//! the same bits, and these are what py-spinnaker2's arithmetic gives, written down here once more, plainly.

use nir_rs::TensorData;
use nirc_compiler::nir::File;
use nirc_compiler::options::{Quantity, Record};
use nirc_compiler::passes::Time;
use nirc_ir::convention::Convention;
use nirc_ir::executor::InputSpike;
use nirc_runtime::data::signal::{Signal, Spikes};
use nirc_runtime::device::{Executors, Kind};
use nirc_runtime::model::Model;
use nirc_runtime::reading::Reading;
use nirc_runtime::simulation::{forward, simulate};
use nirc_runtime::stimulus::Stimulus;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use nirc_tests::rng::Rng;
use nirc_tests::shared;

const TICKS: u32 = 30;

fn network() -> Option<Model> {
    let file = shared::dir()?.join("nir/paper/02_cnn/cnn_sinabs.nir");
    let reading = Reading {
        dt: Some(1e-3),
        ..Reading::under(Convention::preset("spinnaker2-int8").expect("a preset"))
    };
    Some(Model::open(&file, &reading).unwrap_or_else(|e| panic!("{e}")))
}

/// Events of a camera that sees the edge of a disc move, and noise, as two polarities of 34 x 34.
fn events(seed: u64) -> Signal {
    let mut rng = Rng::new(seed);
    let mut spikes = Vec::new();
    for tick in 0..TICKS {
        for channel in 0..2 * 34 * 34_u32 {
            let (y, x) = (channel / 34 % 34, channel % 34);
            let (dy, dx) = (y.abs_diff(17), x.abs_diff(4 + tick % 26));
            let on_edge = (30..=49).contains(&(dy * dy + dx * dx));
            let often = if on_edge { 2 } else { 100 };
            if rng.below(often) == 0 {
                spikes.push(InputSpike { tick, channel });
            }
        }
    }
    Signal::Spikes(Spikes::new(TICKS, 2 * 34 * 34, vec![spikes]).expect("spikes"))
}

/// A layer as py-spinnaker2 has it: integer weights, and a threshold counted in them.
struct Layer {
    weights: Vec<i64>,
    threshold: f64,
    v: Vec<i64>,
}

impl Layer {
    /// Weights of a node scaled so that the largest is 127, and truncated; `neurons` with a threshold of 1.
    fn new(file: &File, node: &str, neurons: usize) -> Self {
        let nodes = file
            .tree()
            .group("node")
            .and_then(|root| root.group("nodes"));
        let node = nodes.and_then(|nodes| nodes.group(node)).expect("a node");
        let tensor = node.dataset("weight").expect("weights").tensor();
        let TensorData::F32(weights) = tensor.expect("numbers").data().clone() else {
            panic!("expected floats")
        };
        let largest = weights
            .iter()
            .fold(0.0_f64, |m, w| m.max(f64::from(w.abs())));
        let scale = 127.0 / largest;
        let weights = weights.iter().map(|w| (f64::from(*w) * scale) as i64);
        Self {
            weights: weights.collect(),
            threshold: scale,
            v: vec![0; neurons],
        }
    }

    /// Adds what arrived; the neurons that fire are set to 0.
    fn step(&mut self, arrived: &[i64]) -> Vec<bool> {
        let mut spikes = Vec::new();
        for (v, arrived) in self.v.iter_mut().zip(arrived) {
            *v += arrived;
            let fires = *v as f64 > self.threshold;
            *v = if fires { 0 } else { *v };
            spikes.push(fires);
        }
        spikes
    }

    /// What the spikes (counts) of `channels` square maps of `side` give: kernels of `size` at `stride`, padded by 1.
    fn convolve(
        &self,
        input: &[i64],
        [channels, side]: [usize; 2],
        [size, stride]: [usize; 2],
    ) -> Vec<i64> {
        let out = (side + 2 - size) / stride + 1;
        let mut sums = Vec::new();
        for kernel in self.weights.chunks(channels * size * size) {
            for place in 0..out * out {
                let (y, x) = (place / out * stride, place % out * stride);
                let mut sum = 0;
                for (at, weight) in kernel.iter().enumerate() {
                    let (channel, row, column) =
                        (at / size / size, y + at / size % size, x + at % size);
                    let inside = (1..=side).contains(&row) && (1..=side).contains(&column);
                    if inside {
                        sum += weight * input[(channel * side + row - 1) * side + column - 1];
                    }
                }
                sums.push(sum);
            }
        }
        sums
    }

    fn multiply(&self, input: &[i64]) -> Vec<i64> {
        let rows = self.weights.chunks(input.len());
        rows.map(|row| row.iter().zip(input).map(|(w, n)| w * n).sum())
            .collect()
    }
}

/// Sums over squares of two by two.
fn pool(input: &[i64], side: usize) -> Vec<i64> {
    let half = side / 2;
    let channels = input.len() / side / side;
    let mut sums = vec![0; channels * half * half];
    for (at, n) in input.iter().enumerate() {
        let (channel, y, x) = (at / side / side, at / side % side, at % side);
        sums[(channel * half + y / 2) * half + x / 2] += n;
    }
    sums
}

/// The spikes of each layer, tick by tick: what fires in one reaches the next in the tick after.
fn reference(file: &File, raster: &[Vec<i64>]) -> Vec<Vec<Vec<bool>>> {
    let mut layers = [("0", 4096), ("2", 4096), ("5", 512), ("9", 256), ("11", 10)]
        .map(|(node, neurons)| Layer::new(file, node, neurons));
    let silent = |n: usize| vec![0_i64; n];
    let mut before = [
        silent(2312),
        silent(4096),
        silent(4096),
        silent(512),
        silent(256),
    ];
    let mut all = vec![Vec::new(); 5];
    for now in raster {
        let arrived = [
            layers[0].convolve(&before[0], [2, 34], [5, 2]),
            layers[1].convolve(&before[1], [16, 16], [3, 1]),
            layers[2].convolve(&pool(&before[2], 16), [16, 8], [3, 1]),
            layers[3].multiply(&pool(&before[3], 8)),
            layers[4].multiply(&before[4]),
        ];
        before[0].clone_from(now);
        for (at, layer) in layers.iter_mut().enumerate() {
            let spikes = layer.step(&arrived[at]);
            if let Some(next) = before.get_mut(at + 1) {
                *next = spikes.iter().map(|s| i64::from(*s)).collect();
            }
            all[at].push(spikes);
        }
    }
    all
}

/// The spikes of a signal of one sample, tick by tick.
fn rows(signal: &Signal) -> Vec<Vec<bool>> {
    let Signal::Spikes(spikes) = signal else {
        panic!("expected spikes")
    };
    let raster = spikes.raster().expect("small");
    let rows = raster.outer_iter();
    rows.map(|row| row.iter().map(|n| *n != 0).collect())
        .collect()
}

#[test]
fn kernels_are_stored_once_on_each_pe() {
    let Some(model) = network() else { return };
    let target = Target::spinnaker2();
    let program = forward(
        &model.network,
        Time::Ticks,
        (TICKS, 1),
        &[],
        Some(1),
        &target,
    )
    .expect("lowered");
    let bundle = Bundle::build(&program, &target).unwrap_or_else(|e| panic!("{e}"));
    let weights = |name: &str| -> usize {
        let image = bundle.images.values().find(|image| image.name == name);
        let regions = image.expect("an image").memory.iter();
        let weights = regions.filter(|region| region.purpose == "parameters");
        weights.map(|region| region.size as usize).sum()
    };
    // Numbers of four bytes.
    assert_eq!(weights("1"), 4 * 16 * 2 * 5 * 5);
    assert_eq!(weights("3"), 4 * 16 * 16 * 3 * 3);
    assert_eq!(weights("6"), 4 * 8 * 16 * 3 * 3);
    // The last matrices are dense, the first of them in two slices.
    assert_eq!(
        weights("10_0__128_") + weights("10_128__256_"),
        4 * 128 * 256
    );
    assert_eq!(weights("12"), 4 * 256 * 10);
    for image in bundle.images.values() {
        let used: u32 = image.memory.iter().map(|region| region.size).sum();
        assert!(used <= 128 * 1024, "{}: {used} bytes", image.name);
    }
}

#[test]
fn every_executor_gives_the_same_bits() {
    let Some(model) = network() else { return };
    let layers = ["1", "3", "6", "10", "12"];
    let record = layers.map(|population| Record {
        population: population.to_owned(),
        quantity: Quantity::Spikes,
    });
    let stimulus = Stimulus::new(TICKS, vec![("input".to_owned(), events(1))]);
    let run = |kind: Kind| {
        let executors = Executors {
            kind,
            threads: 2,
            balance: Balance::default(),
        };
        let ran = simulate(
            &model.network,
            Time::Ticks,
            &stimulus,
            &record,
            executors,
            &mut |_| {},
        );
        ran.unwrap_or_else(|e| panic!("{kind:?}: {e}"))
    };
    let (expected, _) = run(Kind::Interpreter);
    let input = rows(&events(1));
    let input: Vec<Vec<i64>> = input
        .iter()
        .map(|r| r.iter().map(|s| i64::from(*s)).collect())
        .collect();
    let plain = reference(model.file(), &input);
    for ((name, signal), plain) in expected.iter().zip(&plain) {
        assert!(rows(signal) == *plain, "{name} is not as in py-spinnaker2");
    }
    for (name, signal) in &expected {
        let Signal::Spikes(spikes) = signal else {
            panic!("{name} are spikes")
        };
        let count: usize = spikes.samples().map(<[InputSpike]>::len).sum();
        assert!(count > 0, "{name} is silent");
    }
    assert!(run(Kind::Host).0 == expected, "host");
    let (found, machine) = run(Kind::Emulator);
    assert!(found == expected, "emulator");
    let stats = machine.stats().expect("readable").expect("a chip");
    assert_eq!(stats.pes.len(), 7);
    for ((_, _, pe), name) in stats.pes.iter().zip(machine.names()) {
        println!("{name}: {} bytes, {} cycles", pe.sram_bytes, pe.busy_cycles);
        assert!(pe.busy_cycles > 0);
    }
}

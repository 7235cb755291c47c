//! What a sample costs on the emulated chip, at exact event times and in ticks of 1 ms: cycles of each PE.
//!
//! `cargo test -p nirc-tests --test chip_cycles -- --nocapture` prints the tables of the book (`docs/src/figures.md`).

use std::path::PathBuf;

use nirc_compiler::lower::lower;
use nirc_ir::entity::Entity;
use nirc_ir::event::Proc;
use nirc_ir::executor::{Executor, Pass};
use nirc_ir::network::Network;
use nirc_runtime::config::{Config, Tree};
use nirc_runtime::data::{DataSet, Sets};
use nirc_runtime::emulated::{Emulated, EmulatorOptions};
use nirc_runtime::model::Model;
use nirc_runtime::program;
use nirc_spinnaker2::target::Target;

/// Samples that are measured.
const SAMPLES: usize = 100;

/// A file of the repository's examples.
fn example(path: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "examples", path]
        .iter()
        .collect()
}

/// An example, with as many samples as are measured.
fn config(path: &str) -> Config {
    let mut tree = Tree::read(&example(path)).expect("the example");
    let samples = format!("data.test.samples={SAMPLES}");
    for setting in ["data.train.samples=100", &samples] {
        tree.set(setting).expect("a setting");
    }
    Config::from_tree(&tree).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The network as it is drawn, and as the example has trained it.
fn networks(config: &Config, trained: &str) -> [Network; 2] {
    let drawn = Model::to_train(config).expect("the model");
    let trained = Model::open(&example(trained), &config.reading()).expect("it is read");
    [drawn.network, trained.network]
}

/// One PE.
struct Work {
    process: String,
    /// Cycles a sample.
    forward: f64,
    backward: f64,
    /// Spikes a sample.
    spikes: f64,
}

impl Work {
    fn both(&self) -> f64 {
        self.forward + self.backward
    }
}

/// What each PE does for a sample.
fn work(network: &Network, config: &Config) -> Vec<Work> {
    let options = program::gradients(config).expect("options");
    let program = lower(network, &options).unwrap_or_else(|problems| panic!("{problems}"));
    let target = Target::spinnaker2();
    let mut chip = Emulated::new(&program, &target, EmulatorOptions::default()).expect("it fits");
    let data = config.data.as_ref().expect("data");
    let test = Sets::load(data, config.time).expect("samples").test;
    let mut spikes = vec![0; program.processes.len()];
    let forward = run(&mut chip, Pass::Forward, &test, &mut spikes);
    let both = run(&mut chip, Pass::Gradient, &test, &mut spikes);
    let mean = |n: u64| n as f64 / SAMPLES as f64;
    let names = program.processes.values().map(|p| p.name.clone());
    let spikes = spikes.into_iter().map(|n| mean(n) / 2.0);
    let cycles = forward.into_iter().zip(both);
    let all = names.zip(spikes).zip(cycles);
    all.map(|((process, spikes), (forward, both))| Work {
        process,
        forward: mean(forward),
        backward: mean(both.saturating_sub(forward)),
        spikes,
    })
    .collect()
}

/// Cycles of each PE over all samples; counts the spikes of each process.
fn run(chip: &mut Emulated, pass: Pass, test: &DataSet, spikes: &mut [u64]) -> Vec<u64> {
    let busy = |chip: &mut Emulated| -> Vec<u64> {
        let pes = chip.device().pes().expect("there").into_iter();
        pes.map(|pe| pe.busy_cycles).collect()
    };
    let before = busy(chip);
    for k in 0..test.len() {
        chip.run(pass, &[test.sample(k)], &mut Vec::new())
            .expect("it runs");
        for (process, count) in spikes.iter_mut().enumerate() {
            let spiked = chip.spikes(0, Proc::new(process));
            *count += spiked.map_or(0, |spikes| spikes.len() as u64);
        }
    }
    let after = busy(chip).into_iter();
    after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect()
}

fn print(name: &str, table: &[Work]) {
    for pe in table {
        let Work {
            process,
            forward,
            backward,
            spikes,
        } = pe;
        println!("| {name} | {process} | {spikes:.1} | {forward:.0} | {backward:.0} |");
    }
}

/// Work at exact times follows spikes, and that of ticks the length of a sample: training that asks for few
/// spikes makes the former cheap. Both networks are 5-120-3 on the same points; as they are drawn, and as the examples have
/// trained them (`nirc train` with the same configurations, seed 42).
#[test]
fn a_trained_sample_takes_half_the_cycles_of_ticks() {
    let of = |path: &str, trained: &str| {
        let config = config(path);
        networks(&config, trained).map(|network| work(&network, &config))
    };
    let exact = of("yin-yang-exact/sparse.toml", "yin-yang-exact/sparse.nir");
    let ticks = of("yin-yang/full.toml", "yin-yang/trained.nir");
    println!("| | PE | spikes | forward | backward |");
    for (state, (exact, ticks)) in ["drawn", "trained"].iter().zip(exact.iter().zip(&ticks)) {
        print(&format!("{state}, exact times"), exact);
        print(&format!("{state}, ticks of 1 ms"), ticks);
    }
    let hidden = |table: &[Work]| table[1].both();
    let all = |table: &[Work]| table.iter().map(Work::both).sum::<f64>();
    let ratio = |of: &dyn Fn(&[Work]) -> f64| {
        [0, 1].map(|state: usize| of(&exact[state]) / of(&ticks[state]))
    };
    let (busiest, sums) = (ratio(&hidden), ratio(&all));
    println!("exact times over ticks, drawn and trained: hidden {busiest:.2?}, all PEs {sums:.2?}");
    assert!(busiest[0] < 0.75 && sums[0] < 0.95, "{busiest:?} {sums:?}");
    assert!(busiest[1] < 0.5 && sums[1] < 0.55, "{busiest:?} {sums:?}");
}

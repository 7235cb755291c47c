//! Samples a second of the native simulator on Yin-Yang with exact event times: 5-120-3, time constants of 20 and
//! 5 ms, first spikes, Adam, batches of 22.
//!
//! `cargo run --release -p nirc-host --example exact_times [seconds a measurement] [threads]`

mod yin_yang;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{ExactTimes, Loss, Options};
use nirc_host::HostSimulator;
use nirc_ir::Diagnostic;
use nirc_ir::entity::Entity;
use nirc_ir::event::Proc;
use nirc_ir::executor::{Executor, InputSpike, Pass};
use nirc_ir::network::Network;
use yin_yang::{BATCH, Data, Random, adam, rate, train};

const TICKS: u32 = 60;
const EPOCHS: usize = 20;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: f64 = arguments.next().map_or(Ok(1.0), |s| s.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |s| s.parse())?;
    let mut random = Random(42);
    let program = lower(&network(&mut random), &options()).map_err(|d| d.to_string())?;
    let data = Data::new(5_016, &mut random, code);
    measure(&program, &data, seconds, threads).map_err(|d| d.to_string())?;
    Ok(())
}

fn measure(
    program: &nirc_ir::event::Program,
    data: &Data,
    seconds: f64,
    threads: usize,
) -> Result<(), Diagnostic> {
    let mut host = HostSimulator::new(program, threads)?;
    println!(
        "5-120-3, exact event times, 20 and 5 ms, batches of {BATCH}, {} threads, {}",
        host.threads(),
        host.instructions()
    );
    let accuracy = train(&mut host, data, EPOCHS)?;
    println!(
        "trained for {EPOCHS} epochs of 5016: {:.1} % of the training set",
        accuracy * 100.0
    );
    for pass in [Pass::Forward, Pass::Gradient, Pass::Train] {
        let rate = rate(&mut host, data, pass, seconds)?;
        println!(
            "{pass:?}: {rate:.0} samples/s, {:.2} us a sample",
            1e6 / rate
        );
    }
    let spikes = |proc| {
        let count = |replica| host.spikes(replica, Proc::new(proc)).map_or(0, |s| s.len());
        (0..BATCH).map(count).sum::<usize>() as f64 / BATCH as f64
    };
    println!(
        "spikes a sample: hidden {:.1}, output {:.1}",
        spikes(1),
        spikes(2)
    );
    Ok(())
}

/// With weights of a mean and deviation that train well.
fn network(random: &mut Random) -> Network {
    let weights = [(1.487, 1.406), (0.354, 0.356)];
    yin_yang::network("event", 1.0, 0, |pre| {
        let (mean, deviation): (f64, f64) = weights[pre];
        (mean + deviation * random.normal()) as f32
    })
}

fn options() -> Options {
    Options {
        ticks: TICKS,
        batch: BATCH,
        replicas: BATCH,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 0.28,
            alpha: 0.0224,
            beta: 12.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(adam(1e-2, 0.0, 0.9)),
        record: Vec::new(),
        events: Some(ExactTimes {
            guard: 0.1,
            input_errors: false,
        }),
    }
}

fn code(x: f64, y: f64) -> (Vec<InputSpike>, Vec<f32>) {
    let time = |q: f64| (2.0 + 24.0 * (1.0 - q)) as f32;
    let times = [0.0, time(x), time(y), time(1.0 - x), time(1.0 - y)];
    let mut spikes: Vec<(f32, u32)> = times.into_iter().zip(0..).collect();
    spikes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let times = spikes.iter().map(|(time, _)| *time).collect();
    let spikes = spikes.into_iter().map(|(time, channel)| InputSpike {
        tick: time as u32,
        channel,
    });
    (spikes.collect(), times)
}

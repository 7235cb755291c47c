//! Samples a second of the native simulator on the published Yin-Yang network (5-120-3, 27 bins,
//! batches of 22), by part, next to what the machine could do at most.
//!
//! `cargo run --release -p nirc-host --example throughput [seconds a measurement]`

mod yin_yang;

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Options};
use nirc_host::HostSimulator;
use nirc_ir::Diagnostic;
use nirc_ir::event::{Domain, Handler, HandlerKind, Op, Program, Stmt};
use nirc_ir::executor::{Executor, InputSpike, Pass};
use nirc_ir::network::Network;
use yin_yang::{BATCH, Data, Random, SIZES, adam, rate, train};

const TICKS: u32 = 27;
/// Operations a cycle of a core with two 512-bit units, without fused multiply-adds.
const LANES_PER_CYCLE: f64 = 32.0;
/// Its clock.
const HERTZ: f64 = 2.8e9;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(1.0), |s| s.parse())?;
    let mut random = Random(42);
    let program = lower(&network(&mut random), &options()).map_err(|d| d.to_string())?;
    let data = Data::new(5_016, &mut random, code);
    measure(&program, &data, seconds).map_err(|d| d.to_string())?;
    Ok(())
}

fn measure(program: &Program, data: &Data, seconds: f64) -> Result<(), Diagnostic> {
    let mut host = HostSimulator::new(program, 1)?;
    println!(
        "5-120-3, {TICKS} bins, batches of {BATCH}, {}",
        host.instructions()
    );
    report(&mut host, data, "at initialisation", seconds)?;
    let accuracy = train(&mut host, data, 20)?;
    println!(
        "trained for 20 epochs of 5016: {:.1} % of the training set",
        accuracy * 100.0
    );
    report(&mut host, data, "trained", seconds)?;
    for threads in [1, 0] {
        let mut host = HostSimulator::new(program, threads)?;
        train(&mut host, data, 20)?;
        let rate = rate(&mut host, data, Pass::Train, seconds)?;
        let threads = host.threads();
        println!("training, {threads} threads: {rate:.0} samples/s");
    }
    Ok(())
}

/// Rates of the three passes, and what they cost by part.
fn report(
    host: &mut HostSimulator,
    data: &Data,
    when: &str,
    seconds: f64,
) -> Result<(), Diagnostic> {
    let passes = [Pass::Forward, Pass::Gradient];
    let mut times = passes.map(|_| 0.0);
    let mut rates = passes.map(|_| 0.0);
    for (k, pass) in passes.into_iter().enumerate() {
        rates[k] = rate(host, data, pass, seconds)?;
        times[k] = 1e9 / rates[k];
    }
    let (forward, adjoint) = operations(host);
    println!("{when}, one thread:");
    for (part, time, flops) in [
        ("forward", times[0], forward),
        ("adjoint", times[1] - times[0], adjoint),
        ("both", times[1], forward + adjoint),
    ] {
        let limit = flops / LANES_PER_CYCLE / HERTZ * 1e9;
        println!(
            "  {part:8} {time:7.0} ns a sample; {flops:6.0} operations, {limit:4.0} ns at the peak of \
             two 512-bit units at 2.8 GHz"
        );
    }
    println!(
        "  forward {:.0} samples/s, with gradient {:.0} samples/s",
        rates[0], rates[1]
    );
    Ok(())
}

/// Floating point operations of a sample, forward and adjoint, as the program has them, with the
/// spikes of the last batch.
fn operations(host: &HostSimulator) -> (f64, f64) {
    let program = host.program();
    let spikes = |proc| {
        let count = |replica| host.spikes(replica, proc).map_or(0, |s| s.len());
        (0..BATCH).map(count).sum::<usize>() as f64 / BATCH as f64
    };
    let (mut forward, mut adjoint) = (0.0, 0.0);
    for (id, process) in program.processes.iter() {
        for handler in &process.handlers {
            let arrivals = |chan| spikes(program.channels[chan].from);
            let ticks = f64::from(TICKS - 1);
            let cost = cost(handler, process.lanes);
            match handler.kind {
                HandlerKind::Event(chan) => forward += arrivals(chan) * cost,
                HandlerKind::Tick => forward += ticks * cost,
                HandlerKind::Turn => forward += cost,
                HandlerKind::Message(chan) | HandlerKind::Gradient(chan) => {
                    adjoint += arrivals(chan) * cost;
                }
                HandlerKind::AdjointTick | HandlerKind::GradientTick => adjoint += ticks * cost,
                HandlerKind::Spike => adjoint += spikes(id) * cost,
                _ => {}
            }
        }
    }
    (forward, adjoint)
}

fn cost(handler: &Handler, lanes: usize) -> f64 {
    let arithmetic = handler.body.stmts.iter().filter(|stmt| match stmt {
        Stmt::Let(_, op) => matches!(
            op,
            Op::Unary(..) | Op::Binary(..) | Op::Fma(..) | Op::Cmp(..) | Op::Select(..)
        ),
        Stmt::Reduce(..) | Stmt::Send(_) => true,
        _ => false,
    });
    let lanes = if handler.domain == Domain::Lanes {
        lanes
    } else {
        1
    };
    arithmetic.count() as f64 * lanes as f64
}

/// With weights of the published mean and deviation.
fn network(random: &mut Random) -> Network {
    let weights = [(3.2, 3.2), (5.2, 2.8)];
    yin_yang::network("eventprop", 5.0, 1, |pre| {
        let (mean, deviation): (f64, f64) = weights[pre];
        let scale = (SIZES[pre] as f64).sqrt().recip();
        ((mean + deviation * random.normal()) * scale) as f32
    })
}

fn options() -> Options {
    Options {
        ticks: TICKS,
        batch: BATCH,
        replicas: BATCH,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(adam(1.9e-3, 6.5e-7, 0.95)),
        record: Vec::new(),
        events: None,
    }
}

fn code(x: f64, y: f64) -> (Vec<InputSpike>, Vec<f32>) {
    let tau = f64::from(TICKS) - 3.0;
    let bin = |q: f64| ((tau * (1.0 - q)).min(tau * 0.99) + 2.0).round_ties_even() as u32;
    let bins = [bin(x), bin(y), bin(1.0 - x), bin(1.0 - y), 0];
    let mut spikes: Vec<InputSpike> = (0..)
        .zip(bins)
        .map(|(channel, tick)| InputSpike { tick, channel })
        .collect();
    spikes.sort();
    (spikes, Vec::new())
}

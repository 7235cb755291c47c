//! A program in slices means what the whole one means: spikes, traces, arrays and outcomes have the same bits, for
//! random programs at random cuts, for a convolution cut by channels and by rows, and on the chip.
//!
//! `NIRC_SLICE_PROGRAMS` says how many random programs are tried, `NIRC_SLICE_SEED` from which seed on.

use nirc_ir::codes;
use nirc_ir::connection::{Axis, Connection, Tap};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Chan, HandlerKind, Op, Proc, Program, Row, Stmt, Tensor, TensorDecl};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::text::{Externals, parse_program};
use nirc_ir::verify::verify;
use nirc_runtime::emulated::{Emulated, EmulatorOptions, Whole};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::{Balance, Cuts, can_be_cut, slice};
use nirc_spinnaker2::target::Target;
use nirc_tests::agreement::assert_agrees;
use nirc_tests::forward::{Limits, program};
use nirc_tests::rng::Rng;

fn number(variable: &str, otherwise: u64) -> u64 {
    let given = std::env::var(variable).ok();
    given.map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Cuts every process that can be, at random lanes.
fn cuts(program: &Program, rng: &mut Rng) -> Cuts {
    let firsts = program.processes.iter().map(|(proc, process)| {
        let mut firsts = vec![0];
        if can_be_cut(program, proc) {
            for _ in 0..rng.below(4) {
                firsts.push(rng.below(process.lanes));
            }
        }
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    });
    let firsts: Vec<Vec<usize>> = firsts.collect();
    Cuts::new(program, &firsts).expect("they ascend from 0")
}

fn whole(program: &Program, cuts: &Cuts) -> Whole<Interpreter> {
    let sliced = slice(program, cuts);
    verify(&sliced.program).unwrap_or_else(|e| panic!("{e}"));
    let interpreter = Interpreter::new(&sliced.program);
    Whole::present(program, sliced.slicing, interpreter)
}

#[test]
fn every_forward_program_means_the_same_in_slices() {
    let first = number("NIRC_SLICE_SEED", 0);
    let (mut cut, mut tapped) = (0, 0);
    for seed in first..first + number("NIRC_SLICE_PROGRAMS", 300) {
        println!("seed {seed}");
        let program = program(seed, Limits::HOST);
        let cuts = cuts(&program, &mut Rng::new(seed));
        cut += usize::from(cuts.any());
        let taps = |p: Proc| {
            let mut channels = program.incoming(p);
            cuts.cuts(p) && channels.any(|(_, c)| c.connection != Connection::All)
        };
        tapped += usize::from(program.processes.keys().any(taps));
        assert_agrees(&mut whole(&program, &cuts), seed);
    }
    assert!(cut > 0 && tapped > 0, "{cut} cut, {tapped} with taps");
}

/// Leaky neurons behind `input`, and a readout of them: connection and weights as given.
struct Layer {
    sources: usize,
    lanes: usize,
    connection: Connection,
    /// Weights of the layer.
    weights: usize,
    ticks: u32,
    /// Lanes of the readout.
    outputs: usize,
}

impl Layer {
    fn program(&self) -> Program {
        let mut rng = Rng::new(5);
        let (domain, row) = match self.connection {
            Connection::All => ("lanes", "source"),
            Connection::Taps(_) => ("synapses", "synapse"),
        };
        let text = format!(
            "program layer ticks = {} dt = 0.001 first_tick = 1 replicas = 1 {{
            tensor0 w0 : f32[1, 1] constant = [0.0]
            tensor1 w1 : f32[1, 1] constant = [0.0]
            chan0 : proc0 -> proc1 delay 1 ; input -> cells
            chan1 : proc1 -> proc2 delay 2 ; cells -> output
            proc0 input : source lanes {} {{
            }}
            proc1 cells : neurons lanes {} {{
            array x : state 0.0
            array v : state 0.0
            array seen : trace
            array w0 : param tensor0
            tape []
            on event chan0 {domain} {{
            v0 = load x
            v1 = load w0[{row}]
            v2 = add v0, v1
            store x = v2
            }}
            {TICK}
            }}
            proc2 output : neurons lanes {} {{
            array x : state 0.0
            array v : state 0.0
            array seen : trace
            array w1 : param tensor1
            tape []
            on event chan1 lanes {{
            v0 = load x
            v1 = load w1[source]
            v2 = add v0, v1
            store x = v2
            }}
            {TICK}
            }}
            }}",
            self.ticks, self.sources, self.lanes, self.outputs
        );
        let mut program = parse_program(&text, &Externals::new()).expect("it parses");
        let rows = match self.connection {
            Connection::All => self.sources,
            Connection::Taps(_) => 1,
        };
        program.channels[Chan::new(0)].connection = self.connection.clone();
        let mut fill = |tensor, rows, lanes, scale: f32| {
            let tensor: &mut TensorDecl = &mut program.tensors[Tensor::new(tensor)];
            (tensor.rows, tensor.lanes) = (rows, lanes);
            tensor.values = (0..rows * lanes).map(|_| rng.normal() * scale).collect();
        };
        fill(0, rows, self.weights, 0.3);
        fill(1, self.lanes, self.outputs, 0.1);
        verify(&program).unwrap_or_else(|e| panic!("{e}"));
        program
    }
}

const TICK: &str = "on tick lanes {
    v0 = load x
    v1 = load v
    v2 = const 0.8
    v3 = fma v1, v2, v0
    v4 = const 0.0
    v5 = const 0.6
    v6 = cmp gt v3, v5
    v7 = select v6, v4, v3
    store x = v4
    store v = v7
    probe seen = v3
    spike when v6 record
    }";

/// Places in `size` pixels and what they reach: kernel 5, stride 2, padding 1.
fn convolved(size: usize, lane: u32, weight: u32) -> Axis {
    let reached = (size - 3) / 2 + 1;
    Axis::new((0..size).map(|place| {
        let taps = (0..reached).filter_map(|to| {
            let k = (place + 1).checked_sub(2 * to)?;
            (k < 5).then_some(Tap {
                lane: lane * to as u32,
                weight: weight * k as u32,
            })
        });
        taps.collect()
    }))
}

/// 2 channels of 34 x 34 to 16 of 16 x 16.
fn convolution() -> Program {
    let channels = Axis::new((0..2_u32).map(|from| {
        let tap = |to: u32| Tap {
            lane: 256 * to,
            weight: 25 * (2 * to + from),
        };
        (0..16).map(tap).collect()
    }));
    let axes = vec![channels, convolved(34, 16, 5), convolved(34, 1, 1)];
    let layer = Layer {
        sources: 2 * 34 * 34,
        lanes: 16 * 256,
        connection: Connection::Taps(axes),
        weights: 16 * 2 * 25,
        ticks: 6,
        outputs: 3,
    };
    layer.program()
}

/// Axes and weights of each channel into the slices of `cells`.
fn shared(program: &Program, cuts: &Cuts) -> Vec<(usize, usize)> {
    let sliced = slice(program, cuts).program;
    let channels = sliced.channels.iter().filter_map(|(chan, channel)| {
        let Connection::Taps(axes) = &channel.connection else {
            return None;
        };
        let process = &sliced.processes[channel.to];
        let body = &process.handler(HandlerKind::Event(chan))?.body;
        let weights = body.stmts.iter().find_map(|stmt| match stmt {
            Stmt::Let(_, Op::LoadRow(array, Row::Synapse)) => Some(*array),
            _ => None,
        });
        Some((axes.len(), sliced.array_len(channel.to, weights?)))
    });
    channels.collect()
}

#[test]
fn a_convolution_in_channels_or_rows_keeps_shared_kernels() {
    let program = convolution();
    let by = |input: Vec<usize>, cells: Vec<usize>| {
        Cuts::new(&program, &[input, cells, vec![0]]).expect("they ascend")
    };
    // 4 slices of 4 channels, of a source in one piece and in its two channels.
    let channels = by(vec![0], vec![0, 1024, 2048, 3072]);
    assert_eq!(shared(&program, &channels), [(3, 200); 4]);
    let both = by(vec![0, 1156], vec![0, 1024, 2048, 3072]);
    assert_eq!(shared(&program, &both), [(3, 200); 8]);
    // Rows of a channel, from rows of the source: those that reach nothing send nothing.
    let firsts = |step: usize, end: usize| (0..end).step_by(step).collect::<Vec<usize>>();
    let rows = by(firsts(578, 2312), firsts(64, 4096));
    let found = shared(&program, &rows);
    assert!(found.len() < 4 * 64, "{}", found.len());
    assert!(
        found
            .iter()
            .all(|(axes, weights)| (*axes, *weights) == (3, 50))
    );
    // Anywhere.
    let anywhere = by(vec![0, 700], vec![0, 777, 3000]);
    assert!(
        shared(&program, &anywhere)
            .iter()
            .all(|(axes, _)| *axes == 1)
    );
    for cuts in [channels, both, rows, anywhere] {
        assert_agrees(&mut whole(&program, &cuts), 3);
    }
}

fn emulated(program: &Program, bundle: &Bundle) -> Emulated {
    let options = EmulatorOptions {
        threads: 1,
        ..EmulatorOptions::default()
    };
    Emulated::load(program, bundle, &Target::spinnaker2(), options).expect("it loads")
}

#[test]
fn what_is_too_large_for_a_pe_runs_in_slices() {
    let target = Target::spinnaker2();
    let layer = Layer {
        sources: 300,
        lanes: 3000,
        connection: Connection::All,
        weights: 3000,
        ticks: 6,
        outputs: 20,
    };
    let program = layer.program();
    let bundle = Bundle::build(&program, &target).unwrap_or_else(|e| panic!("{e}"));
    println!("{}", bundle.mapping_text());
    let slices = bundle.slices.iter().map(Vec::len).collect::<Vec<usize>>();
    assert!(slices[1] > 1 && slices[2] > 1, "{slices:?}");
    assert!(bundle.mapping_text().contains("@cells[0.."));
    let root = tempfile::tempdir().expect("a temporary directory");
    let path = root.path().join("bundle");
    bundle.write(&path).expect("writable");
    let read = Bundle::open(&path).expect("a bundle");
    assert_eq!(read, bundle);
    assert_eq!(read.program().expect("whole"), program);
    assert_agrees(&mut emulated(&program, &read), 1);
}

#[test]
fn a_convolution_runs_in_whole_channels_on_the_chip() {
    let (program, target) = (convolution(), Target::spinnaker2());
    let bundle = Bundle::build(&program, &target).unwrap_or_else(|e| panic!("{e}"));
    let cells = &bundle.slices[1];
    assert!(cells.len() > 1, "{cells:?}");
    assert!(
        cells.iter().all(|first| first.is_multiple_of(256)),
        "{cells:?}"
    );
    let cuts = Cuts::new(&program, &bundle.slices).expect("they were chosen");
    assert!(shared(&program, &cuts).iter().all(|(axes, _)| *axes == 3));
    assert_agrees(&mut emulated(&program, &bundle), 4);
}

#[test]
fn random_programs_run_in_slices_on_the_chip() {
    let target = Target::spinnaker2();
    let mut ran = 0;
    for seed in 0..60 {
        let program = program(seed, Limits::PE);
        let cuts = cuts(&program, &mut Rng::new(seed));
        if !cuts.any() {
            continue;
        }
        println!("seed {seed}");
        let bundle = match Bundle::build_sliced(&program, &cuts, &target) {
            Ok(bundle) => bundle,
            Err(problems) => {
                let large = problems.0.iter().all(|p| p.code == codes::MAP_SRAM);
                assert!(large, "seed {seed}: {problems}");
                continue;
            }
        };
        assert_agrees(&mut emulated(&program, &bundle), seed);
        ran += 1;
    }
    assert!(ran > 0);
}

#[test]
fn free_pes_make_it_faster() {
    let layer = Layer {
        sources: 100,
        lanes: 200,
        connection: Connection::All,
        weights: 200,
        ticks: 20,
        outputs: 5,
    };
    let (program, target) = (layer.program(), Target::spinnaker2());
    let spikes = (0..20).flat_map(|tick| {
        let channels = (0..100).filter(move |channel| (channel + tick) % 7 == 0);
        channels.map(move |channel| InputSpike { tick, channel })
    });
    let spikes: Vec<InputSpike> = spikes.collect();
    let sample = Sample {
        times: &[],
        spikes: &spikes,
        values: &[],
        label: 0,
        error: &[],
    };
    let cycles = [Balance::Memory, Balance::Cycles].map(|balance| {
        let bundle = Bundle::build_balanced(&program, &target, balance);
        let bundle = bundle.unwrap_or_else(|e| panic!("{e}"));
        let mut chip = emulated(&program, &bundle);
        chip.run(Pass::Forward, &[sample], &mut Vec::new())
            .expect("it runs");
        let cycles = chip.device().batch_cycles();
        println!(
            "{balance:?}: {cycles} cycles, {:?}",
            bundle.slices.iter().map(Vec::len).collect::<Vec<_>>()
        );
        assert_agrees(&mut chip, 2);
        (cycles, bundle.slices.len())
    });
    assert_eq!(cycles[0].1, 0, "it fits as it is");
    assert!(cycles[1].0 < cycles[0].0, "{cycles:?}");
}

#[test]
fn what_fits_in_no_slices_is_told_with_its_memory() {
    let layer = Layer {
        sources: 60_000,
        lanes: 100,
        connection: Connection::All,
        weights: 100,
        ticks: 2,
        outputs: 1,
    };
    let problems = Bundle::build(&layer.program(), &Target::spinnaker2()).expect_err("too large");
    let told = [codes::MAP_SRAM, codes::MAP_TOO_MANY_PES];
    assert!(
        problems.0.iter().all(|p| told.contains(&p.code)),
        "{problems}"
    );
    println!("{problems}");
}

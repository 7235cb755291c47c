//! Forward programs, written by hand, beside the interpreter.

use std::fmt::Write;

use nirc_ir::event::{ArrayKind, Output, Program, Role};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::text::{Externals, parse_program};
use nirc_ir::verify::verify;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::target::Target;

use super::*;

/// Numbers that look random and are always the same.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as u32
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }
}

/// A population, or a source.
#[derive(Clone, Copy)]
struct Part<'a> {
    name: &'a str,
    lanes: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Spikes,
    Values,
    /// Neurons that spike, with a tape or without.
    Lif {
        tape: bool,
    },
    /// Neurons whose state `v` leaves them.
    Li,
}

const fn part(name: &str, lanes: usize, kind: Kind) -> Part<'_> {
    Part { name, lanes, kind }
}

const LIF: Kind = Kind::Lif { tape: true };

/// What a test network looks like: channels are (from, to, delay), ascending by (to, from).
#[derive(Clone)]
struct Shape<'a> {
    ticks: u32,
    first_tick: u32,
    replicas: usize,
    parts: &'a [Part<'a>],
    channels: &'a [(usize, usize, u32)],
    /// Whether events are probed, in the bin of their spike.
    told: bool,
}

impl Shape<'_> {
    fn program(&self) -> Program {
        let text = self.text();
        let program = parse_program(&text, &Externals::new());
        let program = program.unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        verify(&program).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        program
    }

    fn text(&self) -> String {
        let mut numbers = Numbers(7);
        let mut text = format!(
            "program hand ticks = {} dt = 0.001 first_tick = {} replicas = {} {{\n",
            self.ticks, self.first_tick, self.replicas
        );
        for (chan, &(from, to, _)) in self.channels.iter().enumerate() {
            let (rows, lanes) = (self.parts[from].lanes, self.parts[to].lanes);
            let scale = 1.6 / (rows as f32).sqrt();
            let weights: Vec<String> = (0..rows * lanes)
                .map(|_| format!("{:?}", scale * (numbers.unit() + 0.35)))
                .collect();
            let weights = weights.join(", ");
            let _ = writeln!(
                text,
                "tensor{chan} w{chan} : f32[{rows}, {lanes}] constant = [{weights}]"
            );
        }
        for (chan, (from, to, delay)) in self.channels.iter().enumerate() {
            let names = (self.parts[*from].name, self.parts[*to].name);
            let _ = writeln!(
                text,
                "chan{chan} : proc{from} -> proc{to} delay {delay} ; {} -> {}",
                names.0, names.1
            );
        }
        for (number, part) in self.parts.iter().enumerate() {
            self.part(&mut text, number, part);
        }
        text + "}\n"
    }

    fn part(&self, text: &mut String, number: usize, part: &Part<'_>) {
        let Part { name, lanes, kind } = part;
        let role = match kind {
            Kind::Spikes => format!("source lanes {lanes}"),
            Kind::Values => format!("source lanes {lanes} emits values"),
            Kind::Lif { .. } => format!("neurons lanes {lanes}"),
            Kind::Li => format!("neurons lanes {lanes} emits v"),
        };
        let _ = writeln!(text, "\nproc{number} {name} : {role} {{");
        if matches!(kind, Kind::Spikes | Kind::Values) {
            *text += "}\n";
            return;
        }
        *text +=
            "array x : state 0.0\narray v : state 0.25\narray seen : trace\narray heard : trace\n";
        let incoming = || {
            let channels = self.channels.iter().enumerate();
            channels.filter(move |(_, c)| c.1 == number)
        };
        for (chan, _) in incoming() {
            let _ = writeln!(text, "array w{chan} : param tensor{chan}");
        }
        if *kind == LIF {
            *text += "tape []\n";
        }
        for (chan, &(from, ..)) in incoming() {
            let _ = writeln!(
                text,
                "\non event chan{chan} lanes {{\nv0 = load x\nv1 = load w{chan}[source]"
            );
            match self.parts[from].kind {
                Kind::Values | Kind::Li => {
                    *text += "v2 = payload\nv3 = fma v1, v2, v0\nstore x = v3\n";
                }
                _ => *text += "v2 = add v0, v1\nv3 = bin\nstore x = v2\n",
            }
            if self.told {
                *text += "v4 = add v3, v1\nprobe heard = v4\n";
            }
            *text += "}\n";
        }
        *text += "\non tick lanes {\nv0 = load x\nv1 = load v\nv2 = const 0.8\nv3 = fma v1, v2, v0\n\
                  v4 = const 0.0\nv5 = const 0.6\nstore x = v4\n";
        *text += match kind {
            Kind::Li => "store v = v3\n",
            _ => "v6 = cmp gt v3, v5\nv7 = select v6, v4, v3\nstore v = v7\nspike when v6 record\n",
        };
        *text += "probe seen = v3\n}\n}\n";
    }
}

/// A sample that owns what it refers to.
struct Given {
    spikes: Vec<InputSpike>,
    values: Vec<f32>,
}

impl Given {
    fn new(program: &Program, numbers: &mut Numbers) -> Self {
        let channels = program.source_channels(Output::Spikes) as u32;
        let mut spikes = Vec::new();
        for tick in 0..program.ticks {
            let channels = 0..channels;
            let chosen = channels.filter(|_| numbers.next().is_multiple_of(4));
            spikes.extend(chosen.map(|channel| InputSpike { tick, channel }));
        }
        let values = program.source_channels(Output::Given) * program.ticks as usize;
        Self {
            spikes,
            values: (0..values).map(|_| numbers.unit()).collect(),
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            times: &[],
            spikes: &self.spikes,
            values: &self.values,
            label: 0,
            error: &[],
        }
    }
}

/// Everything that two executors hold has the same bits.
fn assert_same(program: &Program, left: &dyn Executor, right: &dyn Executor) -> usize {
    let mut spikes = 0;
    for replica in 0..program.replicas {
        for (proc, process) in program.processes.iter() {
            for (array, decl) in process.arrays.iter() {
                let bits = |e: &dyn Executor| -> Vec<u32> {
                    let values = e.read(replica, proc, array).expect("readable");
                    values.into_iter().map(f32::to_bits).collect()
                };
                let (one, other) = (bits(left), bits(right));
                let at = one.iter().zip(&other).position(|(a, b)| a != b);
                let place = format!("{} {} of replica {replica}", process.name, decl.name);
                assert_eq!((one.len(), at), (other.len(), None), "{place}");
            }
            let (one, other) = (left.spikes(replica, proc), right.spikes(replica, proc));
            if process.role == Role::Source || process.tape.is_some() {
                let one = one.expect("recorded");
                spikes += one.len();
                assert_eq!(one, other.expect("recorded"), "{}", process.name);
            } else {
                assert_eq!(
                    one.expect_err("no tape").code,
                    other.expect_err("no tape").code
                );
            }
        }
    }
    spikes
}

/// Runs a bundle of the program beside the interpreter; returns the chip.
fn same(program: &Program, bundle: &Bundle) -> Emulated {
    let target = Target::spinnaker2();
    let options = EmulatorOptions {
        threads: 1,
        ..EmulatorOptions::default()
    };
    let mut chip = Emulated::load(program, bundle, &target, options).expect("it loads");
    let mut reference = Interpreter::new(program);
    let mut numbers = Numbers(3);
    for size in [program.replicas, program.replicas + 1] {
        let given: Vec<Given> = (0..size)
            .map(|_| Given::new(program, &mut numbers))
            .collect();
        let samples: Vec<Sample<'_>> = given.iter().map(Given::sample).collect();
        let (mut one, mut other) = (Vec::new(), Vec::new());
        chip.run(Pass::Forward, &samples, &mut one)
            .expect("it runs");
        reference
            .run(Pass::Forward, &samples, &mut other)
            .expect("it runs");
        assert_eq!(one, other);
        assert_same(program, &chip, &reference);
    }
    chip
}

fn built(program: &Program) -> Bundle {
    Bundle::build(program, &Target::spinnaker2()).expect("it fits")
}

/// The bundle with other segments and windows, whatever would fit.
fn paced(program: &Program, window: u32, segment: u32) -> Bundle {
    use nirc_spinnaker2::mapping::Pacing;
    let target = Target::spinnaker2();
    Bundle::build_with(program, &target, Pacing { window, segment }).expect("it fits")
}

const INPUT: Part<'_> = part("input", 9, Kind::Spikes);

const CHAIN: [Part<'_>; 3] = [INPUT, part("a", 37, LIF), part("b", 70, LIF)];

fn shape<'a>(parts: &'a [Part<'a>], channels: &'a [(usize, usize, u32)]) -> Shape<'a> {
    Shape {
        ticks: 40,
        first_tick: 0,
        replicas: 1,
        parts,
        channels,
        told: false,
    }
}

fn spikes_of(chip: &Emulated, name: &str) -> usize {
    let proc = chip.program().process(name).expect("a population");
    chip.spikes(0, proc).expect("recorded").len()
}

#[test]
fn delays_of_any_number_of_bins() {
    for delays in [(0, 0), (0, 1), (1, 0), (3, 0), (1, 3), (7, 2), (50, 1)] {
        let channels = [(0, 1, delays.0), (0, 2, delays.1), (1, 2, delays.1)];
        for told in [false, true] {
            let program = Shape {
                told,
                ..shape(&CHAIN, &channels)
            }
            .program();
            let chip = same(&program, &built(&program));
            assert!(spikes_of(&chip, "b") > 50, "{delays:?}: too quiet a test");
        }
    }
}

#[test]
fn populations_in_cycles() {
    let channels = [(0, 1, 1), (1, 1, 1), (2, 1, 2), (1, 2, 1), (2, 2, 4)];
    for first_tick in [0, 1] {
        let program = Shape {
            first_tick,
            replicas: 2,
            ..shape(&CHAIN, &channels)
        }
        .program();
        let chip = same(&program, &built(&program));
        assert!(spikes_of(&chip, "b") > 50, "too quiet a test");
    }
}

#[test]
fn values_travel_as_spikes_do() {
    let parts = [
        INPUT,
        part("currents", 5, Kind::Values),
        part("more", 33, Kind::Spikes),
        part("volts", 4, Kind::Values),
        part("li", 11, Kind::Li),
        part("a", 37, LIF),
        part("back", 3, Kind::Li),
    ];
    let channels = [
        (0, 4, 0),
        (1, 4, 1),
        (2, 4, 3),
        (6, 4, 1),
        (1, 5, 2),
        (3, 5, 0),
        (4, 5, 0),
        (4, 6, 2),
        (5, 6, 1),
        (6, 6, 1),
    ];
    for told in [false, true] {
        let program = Shape {
            told,
            replicas: 2,
            ..shape(&parts, &channels)
        }
        .program();
        let chip = same(&program, &built(&program));
        assert!(spikes_of(&chip, "a") > 50, "too quiet a test");
    }
}

#[test]
fn one_bin_and_more() {
    for ticks in [1, 2, 3] {
        let channels = [(0, 1, 0), (1, 1, 1), (1, 2, 0)];
        let program = Shape {
            ticks,
            ..shape(&CHAIN, &channels)
        }
        .program();
        same(&program, &built(&program));
    }
}

#[test]
fn every_window_and_segment_gives_the_same() {
    let channels = [
        (0, 1, 0),
        (1, 1, 1),
        (2, 1, 5),
        (0, 2, 2),
        (1, 2, 0),
        (2, 2, 1),
    ];
    for told in [false, true] {
        let program = Shape {
            told,
            first_tick: 0,
            replicas: 2,
            ..shape(&CHAIN, &channels)
        }
        .program();
        for window in [0, 1, 2, 4] {
            for segment in [1, 3, 20, 39, 40] {
                let chip = same(&program, &paced(&program, window, segment));
                assert!(spikes_of(&chip, "b") > 50, "too quiet a test");
            }
        }
    }
}

#[test]
fn a_long_sample_runs_in_segments() {
    let parts = [
        part("input", 40, Kind::Spikes),
        part("a", 120, LIF),
        part("unrecorded", 20, Kind::Lif { tape: false }),
    ];
    let channels = [(0, 1, 1), (1, 1, 1), (2, 1, 1), (1, 2, 1)];
    let program = Shape {
        ticks: 300,
        ..shape(&parts, &channels)
    }
    .program();
    let bundle = built(&program);
    let pacing = bundle.mapping.pacing;
    assert!(pacing.segment < 300 && pacing.segment >= 30, "{pacing:?}");
    let root = tempfile::tempdir().expect("a temporary directory");
    let dir = root.path().join("bundle");
    bundle.write(&dir).expect("writable");
    let read = Bundle::open(&dir).expect("a bundle");
    assert_eq!(read.mapping.pacing, pacing);
    same(&program, &read);
}

#[test]
fn traces_are_zero_before_the_first_run() {
    let program = shape(&CHAIN, &[(0, 1, 1), (1, 2, 1)]).program();
    let options = EmulatorOptions::default();
    let chip = Emulated::new(&program, &Target::spinnaker2(), options).expect("it fits");
    let mut traces = 0;
    for (proc, process) in program.processes.iter() {
        for (array, decl) in process.arrays.iter() {
            if decl.kind == ArrayKind::Trace {
                let values = chip.read(0, proc, array).expect("readable");
                assert_eq!(values, vec![0.0; 40 * process.lanes]);
                traces += 1;
            }
        }
    }
    assert_eq!(traces, 4);
}

#[test]
fn any_network_at_any_pace() {
    let mut numbers = Numbers(11);
    let mut below = |limit: u32| numbers.next() % limit;
    let names = ["p0", "p1", "p2", "p3", "p4", "p5", "p6"];
    let mut spikes = 0;
    for round in 0..60 {
        let sources = 1 + below(2) as usize;
        let parts: Vec<Part<'_>> = (0..sources + 1 + below(4) as usize)
            .map(|k| {
                let kind = match (k < sources, below(4)) {
                    (true, 0) => Kind::Values,
                    (true, _) => Kind::Spikes,
                    (false, 0) => Kind::Li,
                    (false, 1) => Kind::Lif { tape: false },
                    (false, _) => LIF,
                };
                part(names[k], 1 + below(70) as usize, kind)
            })
            .collect();
        let mut channels = Vec::new();
        for to in sources..parts.len() {
            for from in 0..parts.len() {
                if below(5) < 3 {
                    let delay = below(5) * below(3);
                    let first = u32::from(from >= to);
                    channels.push((from, to, delay.max(first)));
                }
            }
        }
        let ticks = 1 + below(45);
        let program = Shape {
            ticks,
            first_tick: 0,
            replicas: 1 + below(2) as usize,
            parts: &parts,
            channels: &channels,
            told: below(2) == 0,
        }
        .program();
        let window = [0, 1, 2, 4, 7][below(5) as usize];
        let bundle = match round % 3 {
            0 => built(&program),
            _ => paced(&program, window, 1 + below(ticks)),
        };
        let chip = same(&program, &bundle);
        spikes += assert_same(&program, &chip, &chip);
    }
    assert!(spikes > 1000, "too quiet a test");
}

#[test]
fn many_processes_talk_to_one() {
    let names: Vec<String> = (0..100).map(|k| format!("part{k}")).collect();
    let mut parts = vec![INPUT];
    parts.extend(names.iter().map(|name| part(name, 3, LIF)));
    parts.push(part("last", 8, LIF));
    let last = parts.len() - 1;
    let mut channels: Vec<(usize, usize, u32)> = (1..last).map(|to| (0, to, 1)).collect();
    channels.extend((1..=last).map(|from| (from, last, 1)));
    let program = shape(&parts, &channels).program();
    let chip = same(&program, &built(&program));
    assert_eq!(chip.placements().len(), 102);
    assert!(spikes_of(&chip, "last") > 50, "too quiet a test");
}

#[test]
fn memory_decides_how_far_processes_run_ahead() {
    let mut last = 5;
    for sources in [100, 2312, 2800] {
        let parts = [part("input", sources, Kind::Spikes), part("a", 8, LIF)];
        let program = Shape {
            ticks: 20,
            ..shape(&parts, &[(0, 1, 1)])
        }
        .program();
        let bundle = built(&program);
        let window = bundle.mapping.pacing.window;
        assert!(window < last, "{sources} sources: {window}");
        same(&program, &bundle);
        last = window;
    }
    assert_eq!(last, 0);
}

//! Programs that go backwards, written by hand, beside the interpreter.

use std::fmt::Write;

use nirc_ir::event::{Output, Program, Role};
use nirc_ir::executor::{Executor, InputSpike, Outcome, Pass, Sample};
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

    fn below(&mut self, end: usize) -> usize {
        self.next() as usize % end
    }

    /// From -1 to 1.
    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }

    fn list(&mut self, count: usize, scale: f32) -> String {
        let numbers: Vec<String> = (0..count)
            .map(|_| format!("{:?}", scale * (self.unit() + 0.4)))
            .collect();
        numbers.join(", ")
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Spikes,
    Values,
    /// Neurons that spike.
    Lif,
    /// Neurons whose state `v` leaves them.
    Li,
}

/// A connection: from, to, delay.
#[derive(Clone, Copy, Debug)]
struct Link {
    from: usize,
    to: usize,
    delay: u32,
    /// Taps that share weights, or a weight a pair.
    taps: bool,
    /// Whether errors go back, if they can.
    errors: bool,
}

const fn link(from: usize, to: usize, delay: u32) -> Link {
    Link {
        from,
        to,
        delay,
        taps: false,
        errors: true,
    }
}

/// A network with a loss behind some of its populations.
#[derive(Clone, Debug)]
struct Shape {
    ticks: u32,
    first_tick: u32,
    replicas: usize,
    parts: Vec<(Kind, usize)>,
    /// Ascending by target and source.
    links: Vec<Link>,
    /// Populations that the loss takes.
    outputs: Vec<usize>,
    /// Most spikes of a lane on a tape.
    bound: usize,
    /// Whether everybody spikes in every bin.
    loud: bool,
}

impl Shape {
    /// All channels, those to the loss last.
    fn channels(&self) -> Vec<Link> {
        let outputs = self.outputs.iter();
        let outputs = outputs.map(|&from| link(from, self.parts.len(), 0));
        self.links.iter().copied().chain(outputs).collect()
    }

    fn values(&self, from: usize) -> bool {
        matches!(self.parts[from].0, Kind::Values | Kind::Li)
    }

    fn errs(&self, link: &Link) -> bool {
        link.errors && matches!(self.parts[link.from].0, Kind::Lif | Kind::Li)
    }

    fn text(&self) -> String {
        let mut numbers = Numbers(7);
        let mut text = format!(
            "program hand ticks = {} dt = 0.001 first_tick = {} replicas = {} {{\n",
            self.ticks, self.first_tick, self.replicas
        );
        for (chan, link) in self.links.iter().enumerate() {
            let (rows, lanes) = (self.parts[link.from].1, self.parts[link.to].1);
            let (rows, lanes) = if link.taps { (1, 5) } else { (rows, lanes) };
            let values = match self.loud {
                true => vec!["1.0"; rows * lanes].join(", "),
                false => numbers.list(rows * lanes, 0.5),
            };
            let _ = writeln!(
                text,
                "tensor{chan} w{chan} : f32[{rows}, {lanes}] trainable = [{values}]"
            );
        }
        for (chan, link) in self.channels().iter().enumerate() {
            let Link {
                from, to, delay, ..
            } = link;
            let bound = match self.values(*from) {
                true => String::new(),
                false => format!(" bound {}", self.parts[*from].1 * self.bound),
            };
            let taps = if link.taps { " taps" } else { "" };
            let _ = writeln!(
                text,
                "chan{chan} : proc{from} -> proc{to} delay {delay}{bound}{taps} ; p{from} -> p{to}"
            );
            if link.taps {
                self.taps(&mut text, link, &mut numbers);
            }
        }
        for part in 0..self.parts.len() {
            self.part(&mut text, part);
        }
        self.loss(&mut text);
        for chan in 0..self.links.len() {
            self.optimiser(&mut text, chan);
        }
        text + "}\n"
    }

    /// Some lanes and weights twice, some sources without any.
    fn taps(&self, text: &mut String, link: &Link, numbers: &mut Numbers) {
        let (rows, lanes) = (self.parts[link.from].1, self.parts[link.to].1);
        let _ = writeln!(text, "  axis {rows}");
        for _ in 0..rows {
            let count = numbers.below(5);
            let taps: Vec<String> = (0..count)
                .map(|_| format!("{}, {}", numbers.below(lanes), numbers.below(5)))
                .collect();
            let _ = writeln!(text, "    [{}]", taps.join(", "));
        }
    }

    fn incoming(&self, number: usize) -> Vec<(usize, Link)> {
        let channels = self.channels().into_iter().enumerate();
        channels.filter(|(_, link)| link.to == number).collect()
    }

    fn part(&self, text: &mut String, number: usize) {
        let (kind, lanes) = self.parts[number];
        let role = match kind {
            Kind::Spikes => format!("source lanes {lanes}"),
            Kind::Values => format!("source lanes {lanes} emits values"),
            Kind::Lif => format!("neurons lanes {lanes}"),
            Kind::Li => format!("neurons lanes {lanes} emits v"),
        };
        let _ = writeln!(text, "\nproc{number} p{number} : {role} {{");
        if matches!(kind, Kind::Spikes | Kind::Values) {
            *text += "}\n";
            return;
        }
        *text += "array x : state 0.0\narray v : state 0.25\narray lx : state 0.0\n\
                  array lv : state 0.0\narray told : state 0.0\narray seen : trace\n\
                  array heard : trace\n";
        let incoming = self.incoming(number);
        for (chan, _) in &incoming {
            let _ = writeln!(
                text,
                "array w{chan} : param tensor{chan}\narray g{chan} : gradient tensor{chan}"
            );
        }
        if kind == Kind::Lif {
            let _ = writeln!(text, "tape [rise] bound {}", lanes * self.bound);
        }
        for (chan, link) in &incoming {
            let (row, domain) = rows(link);
            let _ = writeln!(
                text,
                "\non event chan{chan} {domain} {{\nv0 = load x\nv1 = load w{chan}[{row}]"
            );
            *text += match self.values(link.from) {
                true => "v2 = payload\nv3 = fma v1, v2, v0\nstore x = v3\n}\n",
                false => "v2 = add v0, v1\nstore x = v2\n}\n",
            };
        }
        *text += "\non tick lanes {\nv0 = load x\nv1 = load v\nv2 = const 0.8\nv3 = fma v1, v2, v0\n\
                  v4 = const 0.0\nv5 = const 0.6\nstore x = v4\n";
        *text += match kind {
            Kind::Li => {
                "v6 = cmp gt v3, v5\nv7 = select v6, v5, v3\nv8 = neg v5\nv9 = cmp lt v7, v8\n\
                 v10 = select v9, v8, v7\nstore v = v10\n"
            }
            _ => {
                "v6 = cmp gt v3, v5\nv7 = select v6, v4, v3\nstore v = v7\n\
                 spike when v6 record (sub v3, v5)\n"
            }
        };
        *text += "probe seen = v3\n}\n";
        self.back(text, number, &incoming);
        *text += "}\n";
    }

    fn back(&self, text: &mut String, number: usize, incoming: &[(usize, Link)]) {
        for (chan, link) in incoming {
            if self.errs(link) {
                let (row, domain) = rows(link);
                let _ = writeln!(
                    text,
                    "\non message chan{chan} {domain} {{\nv0 = load w{chan}[{row}]\nv1 = load lx\n\
                     v2 = bin\nv3 = mul v0, v2\nv4 = fma v0, v1, v3\nsend sum fma v4, v1\n}}"
                );
            }
        }
        *text += match self.parts[number].0 {
            Kind::Li => {
                "\non value lanes {\nv0 = payload\nv1 = load lv\nv2 = add v0, v1\n\
                 store lv = v2\nv3 = bin\nprobe heard = v0\nstore told = v3\n}\n"
            }
            _ => {
                "\non spike lane {\nv0 = payload\nv1 = field 0\nv2 = load lv\n\
                 v3 = bin\nv4 = fma v0, v1, v2\nstore lv = v4\nprobe heard = v0\n\
                 store told = v3\n}\n"
            }
        };
        // Around a cycle, errors would grow without end.
        *text += "\non adjoint_tick lanes {\nv0 = load lv\nv1 = const 0.375\nv2 = mul v0, v1\n\
                  v3 = bin\nv4 = const 0.01\nv5 = fma v3, v4, v2\nv6 = const 2.0\n\
                  v7 = cmp gt v5, v6\nv8 = select v7, v6, v5\nv9 = neg v6\nv10 = cmp lt v8, v9\n\
                  v11 = select v10, v9, v8\nstore lv = v11\nstore lx = v11\n}\n";
        for (chan, link) in incoming {
            let (row, domain) = rows(link);
            let _ = writeln!(
                text,
                "\non gradient chan{chan} {domain} {{\nv0 = load g{chan}[{row}]\nv1 = load lx\n\
                 v2 = bin\nv3 = fma v1, v2, v0"
            );
            let _ = match self.values(link.from) {
                true => writeln!(
                    text,
                    "v4 = payload\nv5 = fma v1, v4, v3\nstore g{chan}[{row}] = v5\n}}"
                ),
                false => writeln!(text, "store g{chan}[{row}] = v3\n}}"),
            };
        }
        *text += "\non gradient_tick lanes {\nv0 = load told\nv1 = bin\nv2 = add v0, v1\n\
                  store told = v2\n}\n";
    }

    /// It takes spikes and values lane by lane, and sends back what it is given, and what it has sent before.
    fn loss(&self, text: &mut String) {
        let number = self.parts.len();
        let lanes = self.outputs.iter().map(|&p| self.parts[p].1).max();
        let lanes = lanes.unwrap_or(1);
        let _ = writeln!(
            text,
            "\nproc{number} loss : loss lanes {lanes} {{\narray label : label\narray sent : state 0.5\n\
             array loss : scalar 0.0\narray sum : state 0.0\narray error : given_error"
        );
        for (chan, link) in self.incoming(number) {
            let arrived = match self.values(link.from) {
                true => "payload",
                false => "bin",
            };
            let _ = writeln!(
                text,
                "\non event chan{chan} lane {{\nv0 = load sum\nv1 = {arrived}\nv2 = add v0, v1\n\
                 store sum = v2\n}}"
            );
            if self.errs(&link) {
                let _ = writeln!(
                    text,
                    "\non message chan{chan} lane {{\nv0 = load error[bin]\nv1 = load sum\n\
                     v2 = load sent\nv3 = fma v1, v2, v0\nv4 = bin\nv5 = add v3, v4\n\
                     v6 = const 0.25\nv7 = fma v5, v6, v2\nv8 = const 0.01\nv9 = mul v7, v8\n\
                     store sent = v9\nsend v9\n}}"
                );
            }
        }
        *text += "\non turn lanes {\nv0 = load sum\nreduce loss = add v0\n}\n}\n";
    }

    fn optimiser(&self, text: &mut String, chan: usize) {
        let number = self.parts.len() + 1 + chan;
        let link = self.links[chan];
        let words = match link.taps {
            true => 5,
            false => self.parts[link.from].1 * self.parts[link.to].1,
        };
        let _ = writeln!(
            text,
            "\nproc{number} w{chan}.optimiser : optimiser tensor{chan} lanes {words} {{\n\
             array weight : param tensor{chan}\narray sum : gathered\n\n\
             on gather lanes {{\nv0 = load sum\nv1 = payload\nv2 = add v0, v1\nstore sum = v2\n}}\n\n\
             on update lanes {{\nv0 = load weight\nv1 = load sum\nv2 = const 1e-5\nv3 = mul v1, v2\n\
             v4 = sub v0, v3\nv5 = const 1.0\nv6 = cmp gt v4, v5\nv7 = select v6, v5, v4\n\
             v8 = const -0.5\nv9 = cmp lt v7, v8\nv10 = select v9, v8, v7\nstore weight = v10\n}}\n}}"
        );
    }

    /// Any network, smaller ones more often.
    fn random(seed: u64) -> Self {
        let mut n = Numbers(seed);
        let first_tick = n.below(2);
        let sources = 1 + n.below(2);
        let neurons = 1 + n.below(4);
        let parts = (0..sources + neurons).map(|part| {
            let kind = match (part < sources, n.below(3)) {
                (true, 0) => Values,
                (true, _) => Spikes,
                (false, 0) => Li,
                (false, _) => Lif,
            };
            let most = [4, 9, 40][n.below(3)];
            (kind, 1 + n.below(most))
        });
        let parts: Vec<(Kind, usize)> = parts.collect();
        let mut links = Vec::new();
        for to in sources..parts.len() {
            for from in 0..parts.len() {
                for _ in 0..[0, 0, 1, 1, 1, 2][n.below(6)] {
                    let least = usize::from(from >= to).max(first_tick);
                    let more = [1, 1, 3, 8, 25][n.below(5)];
                    links.push(Link {
                        delay: (least + n.below(more)) as u32,
                        taps: n.below(3) == 0,
                        errors: n.below(5) > 0,
                        ..link(from, to, 0)
                    });
                }
            }
        }
        let outputs = (sources..parts.len()).filter(|_| n.below(2) == 0);
        let outputs = outputs.collect();
        let ticks = 2 + n.below(18);
        Self {
            ticks: ticks as u32,
            loud: n.below(4) == 0,
            bound: [ticks, ticks, ticks, 1 + ticks / 3][n.below(4)],
            first_tick: first_tick as u32,
            replicas: 1 + n.below(2),
            parts,
            links,
            outputs,
        }
    }

    fn program(&self) -> Program {
        let text = self.text();
        let program = parse_program(&text, &Externals::new());
        let program = program.unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        verify(&program).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
        program
    }
}

/// How a handler names its weight, and over what it runs.
fn rows(link: &Link) -> (&'static str, &'static str) {
    match link.taps {
        true => ("synapse", "synapses"),
        false => ("source", "lanes"),
    }
}

/// A sample that owns what it refers to.
struct Given {
    spikes: Vec<InputSpike>,
    values: Vec<f32>,
    errors: Vec<f32>,
}

impl Given {
    fn new(shape: &Shape, program: &Program, numbers: &mut Numbers) -> Self {
        let channels = program.source_channels(Output::Spikes) as u32;
        let mut spikes = Vec::new();
        for tick in 0..program.ticks {
            let chosen = (0..channels).filter(|_| shape.loud || numbers.next().is_multiple_of(3));
            spikes.extend(chosen.map(|channel| InputSpike { tick, channel }));
        }
        let ticks = program.ticks as usize;
        let values = program.source_channels(Output::Given) * ticks;
        let loss = program.loss().expect("a loss");
        let errors = ticks * program.processes[loss].lanes;
        Self {
            spikes,
            values: (0..values).map(|_| numbers.unit()).collect(),
            errors: (0..errors).map(|_| numbers.unit()).collect(),
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            times: &[],
            spikes: &self.spikes,
            values: &self.values,
            label: 0,
            error: &self.errors,
        }
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Everything that two executors hold has the same bits; returns how many spikes there are.
fn assert_same(
    shape: &Shape,
    program: &Program,
    left: &dyn Executor,
    right: &dyn Executor,
) -> usize {
    let mut spikes = 0;
    for replica in 0..program.replicas {
        for (proc, process) in program.processes.iter() {
            if replica > 0 && matches!(process.role, Role::Optimiser(_)) {
                continue;
            }
            for (array, decl) in process.arrays.iter() {
                let read =
                    |e: &dyn Executor| bits(&e.read(replica, proc, array).expect("readable"));
                let (one, other) = (read(left), read(right));
                let at = one.iter().zip(&other).position(|(a, b)| a != b);
                let at = at.map(|at| (at, f32::from_bits(one[at]), f32::from_bits(other[at])));
                let place = format!("{} {} of replica {replica}", process.name, decl.name);
                assert_eq!((one.len(), at), (other.len(), None), "{place}: {shape:?}");
            }
            if process.tape.is_some() {
                let [one, other] = [left, right].map(|e| e.spikes(replica, proc));
                let one = one.expect("recorded");
                spikes += one.len();
                assert_eq!(one, other.expect("recorded"), "{}", process.name);
            }
        }
    }
    spikes
}

/// Trains on the chip beside the interpreter; returns how many spikes there were.
fn same(shape: &Shape) -> usize {
    same_program(shape, &shape.program())
}

fn same_program(shape: &Shape, program: &Program) -> usize {
    let target = Target::spinnaker2();
    let bundle = Bundle::build(program, &target).expect("it fits");
    let options = EmulatorOptions {
        threads: 1,
        ..EmulatorOptions::default()
    };
    let mut chip = Emulated::load(program, &bundle, &target, options).expect("it loads");
    let mut reference = Interpreter::new(program);
    let mut numbers = Numbers(3);
    let mut spikes = 0;
    for pass in [Pass::Train, Pass::Forward, Pass::Train, Pass::Gradient] {
        let given: Vec<Given> = (0..=program.replicas)
            .map(|_| Given::new(shape, program, &mut numbers))
            .collect();
        let samples: Vec<Sample<'_>> = given.iter().map(Given::sample).collect();
        let ran = |executor: &mut dyn Executor| {
            let mut outcomes: Vec<Outcome> = Vec::new();
            let ran = executor.run(pass, &samples, &mut outcomes);
            let losses: Vec<f32> = outcomes.iter().map(|o| o.loss).collect();
            ran.map(|()| bits(&losses)).map_err(|e| e.code)
        };
        let (one, other) = (ran(&mut chip), ran(&mut reference));
        assert_eq!(one, other, "{shape:?}");
        if let Err(code) = one {
            assert!(shape.bound < shape.ticks as usize, "{code}: {shape:?}");
            return spikes;
        }
        spikes += assert_same(shape, program, &chip, &reference);
    }
    spikes
}

fn shape(parts: &[(Kind, usize)], links: &[Link], outputs: &[usize]) -> Shape {
    Shape {
        ticks: 17,
        bound: 17,
        loud: false,
        first_tick: 1,
        replicas: 2,
        parts: parts.to_vec(),
        links: links.to_vec(),
        outputs: outputs.to_vec(),
    }
}

use Kind::{Li, Lif, Spikes, Values};

const CHAIN: [(Kind, usize); 3] = [(Spikes, 9), (Lif, 21), (Lif, 7)];

#[test]
fn delays_of_spikes() {
    for delays in [[1, 1], [3, 2], [1, 6], [9, 1], [16, 2], [1, 17], [40, 40]] {
        let [one, two] = delays;
        same(&shape(&CHAIN, &[link(0, 1, one), link(1, 2, two)], &[2]));
    }
    // Several ways with different delays: errors of the last bins come over some of them only.
    let links = [
        link(0, 1, 2),
        link(0, 2, 1),
        link(1, 2, 1),
        link(1, 2, 5),
        link(1, 2, 30),
    ];
    assert!(same(&shape(&CHAIN, &links, &[1, 2])) > 500);
}

/// A sum of errors of which only the last one has come is that one, be it a zero with a sign.
#[test]
fn errors_that_never_come() {
    let links = [link(0, 1, 1), link(1, 1, 4), link(1, 2, 6)];
    let shape = shape(&CHAIN, &links, &[1]);
    let text = shape.text();
    let zero = text.replace("send v9", "v10 = const -0.0\nsend v10");
    assert_ne!(text, zero);
    let program = parse_program(&zero, &Externals::new()).expect("a program");
    assert!(same_program(&shape, &program) > 500);
}

#[test]
fn recurrence() {
    let links = [
        link(0, 1, 1),
        link(1, 1, 1),
        link(1, 1, 3),
        link(2, 1, 2),
        link(1, 2, 1),
        link(2, 2, 7),
    ];
    assert!(same(&shape(&CHAIN, &links, &[2])) > 500);
    let parts = [(Spikes, 5), (Lif, 4), (Lif, 6), (Lif, 5)];
    let links = [
        link(0, 1, 1),
        link(3, 1, 1),
        link(1, 2, 4),
        link(2, 3, 2),
        link(3, 3, 1),
    ];
    same(&shape(&parts, &links, &[1, 3]));
}

/// The widest bursts that can be, between populations that are not equally slow.
#[test]
fn rings_hold_the_worst_case() {
    let parts = [(Spikes, 20), (Lif, 3), (Lif, 45), (Lif, 8), (Li, 24)];
    for delay in [1, 2, 5, 9] {
        let links = [
            link(0, 1, 1),
            link(2, 1, delay),
            link(0, 2, delay),
            link(1, 2, 1),
            link(2, 2, 1),
            link(4, 2, delay),
            link(2, 3, delay),
            link(3, 3, 1),
            link(2, 4, 1),
            link(4, 4, delay),
        ];
        let shape = Shape {
            loud: true,
            ..shape(&parts, &links, &[3, 4])
        };
        assert!(same(&shape) > 5000);
    }
}

#[test]
fn shared_weights() {
    let taps = |from, to, delay| Link {
        taps: true,
        ..link(from, to, delay)
    };
    for first_tick in [0, 1] {
        let links = [taps(0, 1, 1), taps(1, 1, 2), taps(1, 2, 1)];
        same(&Shape {
            first_tick,
            ..shape(&CHAIN, &links, &[2])
        });
    }
}

#[test]
fn neurons_that_tick_from_the_first_bin_on() {
    for delays in [[0, 0], [1, 0], [0, 3], [2, 1]] {
        let [one, two] = delays;
        let links = [link(0, 1, one), link(1, 1, 1), link(1, 2, two)];
        same(&Shape {
            first_tick: 0,
            ..shape(&CHAIN, &links, &[1, 2])
        });
    }
}

#[test]
fn values() {
    let parts = [(Values, 6), (Li, 9), (Li, 5), (Lif, 4)];
    for first_tick in [0, 1] {
        for delay in [first_tick, 2, 5, 15, 16, 17] {
            let links = [
                link(0, 1, delay),
                link(1, 1, 1),
                link(1, 2, delay),
                link(2, 2, 3),
                link(1, 3, 1),
                link(2, 3, delay),
            ];
            for outputs in [&[2][..], &[2, 3], &[3]] {
                same(&Shape {
                    first_tick,
                    ..shape(&parts, &links, outputs)
                });
            }
        }
    }
}

/// `NIRC_PROGRAMS` is how many.
#[test]
fn any_network() {
    let programs = std::env::var("NIRC_PROGRAMS").ok();
    let programs = programs.map_or(40, |n| n.parse().expect("a number"));
    let spikes: usize = (0..programs).map(|seed| same(&Shape::random(seed))).sum();
    assert!(spikes as u64 > 20 * programs, "only {spikes} spikes");
}

//! Each handler on random states, beside the interpreter.

use nirc_emulator::Machine;
use nirc_ir::entity::Entity;
use nirc_ir::event::{Array, ArrayKind, Chan, Domain, Handler, HandlerKind, Proc, Program, Role};
use nirc_ir::executor::Executor;
use nirc_ir::interpreter::{Event, Interpreter, Payload};
use nirc_spinnaker2::abi::tape;
use nirc_spinnaker2::codegen::{CodegenError, Firmware, compile};
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;

use nirc_tests::forward::{self, Limits};

use crate::programs::{Numbers, all, groups};

const LIMIT: u64 = 1_000_000;

/// A firmware in a core without devices: packets go nowhere.
pub(crate) struct Bench<'a> {
    program: &'a Program,
    proc: Proc,
    firmware: &'a Firmware,
    machine: Machine,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(program: &'a Program, proc: Proc, firmware: &'a Firmware) -> Self {
        let mut text = firmware.image.text.bytes.clone();
        if let Some((send, _)) = firmware.symbol("send") {
            // bx lr
            text[send as usize..send as usize + 2].copy_from_slice(&[0x70, 0x47]);
        }
        let mut machine = Machine::new(0, &text).expect("the text fits");
        let data = &firmware.image.data;
        machine
            .write(data.addr, &data.bytes)
            .expect("the data fits");
        Self {
            program,
            proc,
            firmware,
            machine,
        }
    }

    fn addr(&self, symbol: &str) -> u32 {
        let found = self.firmware.symbol(symbol);
        found.unwrap_or_else(|| panic!("no symbol `{symbol}`")).0
    }

    fn symbol(&self, array: Array) -> String {
        let process = &self.program.processes[self.proc];
        format!("{}.{}", process.name, process.arrays[array].name)
    }

    fn poke(&mut self, symbol: &str, values: &[f32]) {
        let addr = self.addr(symbol);
        self.poke_at(addr, values);
    }

    fn poke_at(&mut self, addr: u32, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.machine.write(addr, &bytes).expect("inside the memory");
    }

    fn poke_word(&mut self, symbol: &str, value: u32) {
        self.poke(symbol, &[f32::from_bits(value)]);
    }

    fn peek(&self, array: Array) -> Vec<f32> {
        let len = self.program.array_len(self.proc, array);
        let bytes = self.machine.read(self.addr(&self.symbol(array)), 4 * len);
        let words = bytes.expect("inside the memory").chunks_exact(4);
        words
            .map(|w| f32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect()
    }

    fn word(&self, symbol: &str) -> u32 {
        self.machine
            .read_u32(self.addr(symbol))
            .expect("inside the memory")
    }
}

/// A symbol of a handler.
fn symbol(program: &Program, proc: Proc, index: usize) -> String {
    let process = &program.processes[proc];
    let kind = process.handlers[index].kind;
    let turns = process.handlers[..index]
        .iter()
        .filter(|h| h.kind == HandlerKind::Turn);
    let part = match kind {
        HandlerKind::Event(chan) => format!("event.{chan}"),
        HandlerKind::Tick => "tick".to_owned(),
        HandlerKind::Turn => format!("turn{}", turns.count()),
        HandlerKind::Message(chan) => format!("adjoint.message.{chan}"),
        HandlerKind::AdjointTick => "adjoint.tick".to_owned(),
        HandlerKind::Value => "adjoint.value".to_owned(),
        HandlerKind::Spike => "adjoint.spike".to_owned(),
        HandlerKind::Gradient(chan) => format!("adjoint.gradient.{chan}"),
        HandlerKind::GradientTick => "adjoint.gradient_tick".to_owned(),
        HandlerKind::Cross => "cross".to_owned(),
        HandlerKind::Window => "window".to_owned(),
        HandlerKind::AdjointWindow => "adjoint.window".to_owned(),
        HandlerKind::Gather => "gather".to_owned(),
        HandlerKind::Measure => "measure".to_owned(),
        HandlerKind::Schedule => "schedule".to_owned(),
        HandlerKind::Update => "update".to_owned(),
    };
    format!("{}.{part}", process.name)
}

/// Values that are plausible for an array, so that comparisons go both ways.
fn values(numbers: &mut Numbers, program: &Program, kind: ArrayKind, len: usize) -> Vec<f32> {
    match kind {
        ArrayKind::Label => vec![numbers.below(3) as f32],
        ArrayKind::State { init } if init == program.ticks as f32 => (0..len)
            .map(|_| numbers.below(program.ticks as usize + 1) as f32)
            .collect(),
        // Second moments are not negative.
        ArrayKind::Moment | ArrayKind::Counter { .. } => numbers.floats(len, 0.6, 0.5),
        _ => numbers.floats(len, 0.4, 1.0),
    }
}

fn same(found: f32, expected: f32) -> bool {
    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan())
}

/// Runs a handler here and there, and compares every array.
pub(crate) fn try_handler(
    context: &str,
    bench: &mut Bench<'_>,
    index: usize,
    handler: &Handler,
    numbers: &mut Numbers,
) {
    let (program, proc) = (bench.program, bench.proc);
    let process = &program.processes[proc];
    let mut interpreter = Interpreter::new(program);
    for (array, decl) in process.arrays.iter() {
        let len = program.array_len(proc, array);
        let filled = values(numbers, program, decl.kind, len);
        interpreter.poke(0, proc, array, &filled);
        bench.poke(&bench.symbol(array), &filled);
    }
    let sources = match handler.kind {
        HandlerKind::Event(c) | HandlerKind::Message(c) | HandlerKind::Gradient(c) => {
            program.processes[program.channels[c].from].lanes
        }
        _ => process.lanes,
    };
    let mut event = Event::at(
        numbers.below(sources) as u32,
        numbers.below(program.ticks as usize) as u32,
    );
    bench.poke_word("bin", event.bin);
    let mut argument = event.source;
    if handler.kind == HandlerKind::Spike {
        argument = own_spike(bench, &mut event, numbers);
    }
    if handler.kind == HandlerKind::Gather {
        let gradient = numbers.floats(process.lanes, 0.0, 1.0);
        // Above everything else, below the stack.
        argument = 0x1_0000;
        bench.poke_at(argument, &gradient);
        event.payload = Payload::PerLane(gradient);
    }
    if handler.kind == HandlerKind::Tick {
        bench.poke_word(&tape::count(&process.name), 0);
    }
    if handler.kind == HandlerKind::Value {
        event.payload = Payload::PerLane(own_values(bench, numbers));
    }
    let given = match handler.kind {
        HandlerKind::Event(chan) | HandlerKind::Gradient(chan) => program.carries_values(chan),
        HandlerKind::Schedule => program.has_measures(),
        _ => false,
    };
    if given {
        let value = numbers.unit();
        let addr = bench.firmware.sram_used().next_multiple_of(4);
        bench.poke_at(addr, &[value]);
        bench.machine.set_r(1, addr);
        event.payload = Payload::One(value);
    }
    let expected = interpreter.run_handler(0, proc, handler, event.clone());
    bench.machine.set_r(0, argument);
    let kept = [0x1111, 0x2222, 0x3333, 0x4444];
    for (register, value) in (8..).zip(kept) {
        bench.machine.set_r(register, value);
    }
    let name = symbol(program, proc, index);
    let entry = bench.addr(&name);
    let ran = bench.machine.call(entry, LIMIT);
    let ran = ran.unwrap_or_else(|e| panic!("{context} {name}: {e}"));
    if std::env::var("NIRC_CYCLES").is_ok() {
        println!(
            "{context} {name}: {} cycles, {} lanes",
            ran.cycles, process.lanes
        );
    }
    for (register, value) in (8..).zip(kept) {
        assert_eq!(bench.machine.r(register), value, "{name} keeps r{register}");
    }
    for (array, decl) in process.arrays.iter() {
        let there = interpreter.read(0, proc, array).expect("can be read");
        let here = bench.peek(array);
        for (lane, (&found, &wanted)) in here.iter().zip(&there).enumerate() {
            assert!(
                same(found, wanted),
                "{context} {name}: {}[{lane}] = {found:e}, the interpreter has {wanted:e}",
                decl.name
            );
        }
    }
    if let Some(expected) = expected {
        let sent = f32::from_bits(bench.machine.s(0));
        assert!(
            same(sent, expected),
            "{context} {name}: sends {sent:e}, not {expected:e}"
        );
    }
}

/// Puts errors of values where the last ones came; returns their sums.
fn own_values(bench: &mut Bench<'_>, numbers: &mut Numbers) -> Vec<f32> {
    let process = &bench.program.processes[bench.proc];
    let channels = bench.program.outgoing(bench.proc);
    let channels = channels.filter(|(chan, _)| bench.program.carries_errors(*chan));
    let channels: Vec<Chan> = channels.map(|(chan, _)| chan).collect();
    let mut sums: Option<Vec<f32>> = None;
    for chan in channels {
        let errors = numbers.floats(process.lanes, 0.0, 1.0);
        let symbol = format!("{}.errors.{chan}", process.name);
        let addr = bench.addr(&symbol);
        bench.poke_at(addr, &errors);
        bench.poke_word(&format!("{symbol}.read"), addr);
        sums = Some(match sums {
            None => errors,
            Some(sums) => sums.iter().zip(&errors).map(|(a, b)| a + b).collect(),
        });
    }
    sums.expect("somebody sends errors")
}

/// Puts a spike on the tape; returns its entry.
fn own_spike(bench: &mut Bench<'_>, event: &mut Event, numbers: &mut Numbers) -> u32 {
    let process = &bench.program.processes[bench.proc];
    let Some(own) = &process.tape else {
        return 0;
    };
    let entry = numbers.below(own.bound.expect("a bound")) as u32;
    let place = bench.addr(&tape::place(&process.name)) + 4 * entry;
    let word = f32::from_bits((event.bin + 1) << 16 | event.source);
    bench.poke_at(place, &[word]);
    for field in &own.fields {
        let value = numbers.unit();
        let at = bench.addr(&tape::field(&process.name, field)) + 4 * entry;
        bench.poke_at(at, &[value]);
        event.fields.push(value);
    }
    let mut sum = 0.0;
    for (chan, _) in bench.program.outgoing(bench.proc) {
        if bench.program.carries_errors(chan) {
            let value = numbers.unit();
            let at = bench.addr(&tape::error(&process.name, chan.index())) + 4 * entry;
            bench.poke_at(at, &[value]);
            sum += value;
        }
    }
    event.payload = Payload::One(sum);
    entry
}

#[test]
fn handlers_do_what_the_interpreter_does() {
    let target = Target::spinnaker2();
    let mut numbers = Numbers::new(1);
    for (name, program) in all() {
        for (proc, group) in groups(&program)
            .iter()
            .flat_map(|group| group.iter().map(move |&proc| (proc, group)))
        {
            let process = &program.processes[proc];
            if process.handlers.is_empty() {
                continue;
            }
            let firmware =
                compile(&program, group, &target, Pacing::whole(&program)).expect("compiles");
            for (index, handler) in process.handlers.iter().enumerate() {
                for _ in 0..8 {
                    let mut bench = Bench::new(&program, proc, &firmware);
                    try_handler(name, &mut bench, index, handler, &mut numbers);
                    if matches!(process.role, Role::Neurons) {
                        assert_eq!(bench.word("status"), 0, "{name} {}", process.name);
                    }
                    if handler.domain == Domain::Lanes && handler.kind == HandlerKind::Tick {
                        check_tape(&bench);
                    }
                }
            }
        }
    }
}

/// Random axes and bodies.
#[test]
fn synapses_are_served_as_the_interpreter_does() {
    let target = Target::spinnaker2();
    let mut numbers = Numbers::new(2);
    let mut tried = 0;
    for seed in 0..400 {
        let limits = if seed % 2 == 0 {
            Limits::PE
        } else {
            Limits::HOST
        };
        let program = forward::program(seed, limits);
        for (proc, process) in program.processes.iter() {
            let synapses = |h: &Handler| h.domain == Domain::Synapses;
            if !process.handlers.iter().any(synapses) {
                continue;
            }
            let firmware = match compile(&program, &[proc], &target, Pacing::whole(&program)) {
                Ok(firmware) => firmware,
                Err(CodegenError::Registers { .. } | CodegenError::Sram { .. }) => continue,
                Err(error) => panic!("seed {seed}: {error}"),
            };
            for (index, handler) in process.handlers.iter().enumerate() {
                for _ in 0..if synapses(handler) { 8 } else { 0 } {
                    let mut bench = Bench::new(&program, proc, &firmware);
                    let context = format!("seed {seed}");
                    try_handler(&context, &mut bench, index, handler, &mut numbers);
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > 2000, "only {tried} calls");
}

/// Own spikes are recorded in ascending order of lanes.
fn check_tape(bench: &Bench<'_>) {
    let process = &bench.program.processes[bench.proc];
    let count = bench.word(&tape::count(&process.name));
    let place = bench.addr(&tape::place(&process.name));
    let words = (0..count).map(|entry| bench.machine.read_u32(place + 4 * entry).expect("inside"));
    let lanes: Vec<u32> = words.map(|w| w & 0xFFFF).collect();
    assert!(lanes.is_sorted_by(|a, b| a < b), "{lanes:?}");
    assert!(lanes.iter().all(|&lane| (lane as usize) < process.lanes));
}

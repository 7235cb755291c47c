//! Whole networks on an emulated chip, beside the interpreter.

use std::sync::Arc;

use nirc_emulator::{Chip, ChipConfig, PeSet, Route, Segment, SymbolTable};
use nirc_ir::entity::Entity;
use nirc_ir::event::{Array, ArrayKind, Proc, Program, Role, Tensor};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_spinnaker2::abi::{self, Kind, tape};
use nirc_spinnaker2::codegen::{Firmware, compile};
use nirc_spinnaker2::mapping::{self, Instance, Mapping, PeId};
use nirc_spinnaker2::target::Target;

use crate::programs::{Numbers, Shape, all, groups, spikes};

const LIMIT: u64 = 50_000_000;

/// A program on a chip.
struct Rig<'a> {
    program: &'a Program,
    target: Target,
    mapping: Mapping,
    firmware: Vec<Firmware>,
    chip: Chip,
}

impl<'a> Rig<'a> {
    fn new(program: &'a Program) -> Self {
        let target = Target::spinnaker2();
        let mapping = mapping::map(program, &target).expect("the program fits the chip");
        let firmware = groups(program)
            .iter()
            .map(|group| compile(program, group, &target, mapping.pacing).expect("compiles"))
            .collect();
        let chip = Chip::new(ChipConfig::spinnaker2_prototype()).expect("a chip");
        let mut rig = Self {
            program,
            target,
            mapping,
            firmware,
            chip,
        };
        rig.load();
        rig
    }

    fn index(&self, pe: PeId) -> usize {
        let config = self.chip.config();
        let found = (0..config.pes()).find(|&i| config.pe_id(i) == Some(pe.raw()));
        found.expect("a PE of the chip")
    }

    fn of(&self, proc: Proc) -> &Firmware {
        let mut all = self.firmware.iter();
        all.find(|f| f.procs.contains(&proc))
            .expect("every process has firmware")
    }

    fn load(&mut self) {
        for placement in self.mapping.placements.clone() {
            let firmware = self.of(placement.procs[0]).clone();
            let pe = self.index(placement.pe);
            let image = &firmware.image;
            let segments = [
                Segment::code(image.text.addr, image.text.bytes.clone()),
                Segment::data(image.data.addr, image.data.bytes.clone()),
            ];
            let symbols = image
                .symbols
                .iter()
                .map(|s| (s.addr, s.size, s.name.clone()));
            let symbols = Arc::new(SymbolTable::new(symbols));
            self.chip.load(pe, &segments, symbols).expect("loads");
            let config = u32::from(placement.instance.raw()) << 24;
            self.write(pe, &firmware, "config", &[config]);
            for &proc in &placement.procs {
                if let Role::Optimiser(tensor) = self.program.processes[proc].role {
                    self.remote(pe, proc, tensor);
                }
            }
            self.chip.start(pe).expect("starts");
        }
        let routes = self.mapping.routes.iter().map(|route| {
            let mut to = PeSet::EMPTY;
            for pe in route.to.iter() {
                to.insert(self.index(pe));
            }
            Route {
                key: route.keys.key(),
                mask: route.keys.mask(),
                route: to,
            }
        });
        let routes = routes.collect();
        self.chip.set_routes(routes).expect("routes fit");
        let summary = self.chip.run(LIMIT, 1).expect("no fault");
        assert!(summary.quiescent, "all wait for a command");
    }

    /// Tells an optimiser where gradients and values of a tensor are.
    fn remote(&mut self, pe: usize, proc: Proc, tensor: Tensor) {
        let name = self.program.processes[proc].name.clone();
        let address = |rig: &Self, kind: ArrayKind, replica: usize| {
            let owner = rig.program.processes.iter().find_map(|(p, q)| {
                let owns = matches!(q.role, Role::Neurons);
                q.array_of(kind).filter(|_| owns).map(|a| (p, a))
            });
            let (owner, array) = owner.expect("someone owns the tensor");
            let at = rig
                .mapping
                .pe(Instance::replica(replica), owner)
                .expect("placed");
            let symbol = rig.symbol(owner, array);
            let (addr, _) = rig.of(owner).symbol(&symbol).expect("has a symbol");
            let (quad, place) = (at.quad(), at.place());
            rig.target.remote_sram(quad, place) + addr
        };
        let of = |kind| -> Vec<u32> {
            (0..self.program.replicas)
                .map(|r| address(self, kind, r))
                .collect()
        };
        let gradients = of(ArrayKind::Gradient(tensor));
        let values = of(ArrayKind::Param(tensor));
        let firmware = self.of(proc).clone();
        self.write(pe, &firmware, &tape::remote_gradient(&name), &gradients);
        self.write(pe, &firmware, &tape::remote_values(&name), &values);
    }

    fn symbol(&self, proc: Proc, array: Array) -> String {
        let process = &self.program.processes[proc];
        format!("{}.{}", process.name, process.arrays[array].name)
    }

    fn write(&mut self, pe: usize, firmware: &Firmware, symbol: &str, words: &[u32]) {
        let (addr, len) = firmware
            .symbol(symbol)
            .unwrap_or_else(|| panic!("`{symbol}`"));
        assert!(4 * words.len() <= len as usize, "`{symbol}` is too short");
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        self.chip.host_write(pe, addr, &bytes).expect("can write");
    }

    fn read(&self, instance: Instance, proc: Proc, symbol: &str) -> Vec<u32> {
        let pe = self.index(self.mapping.pe(instance, proc).expect("placed"));
        let found = self.of(proc).symbol(symbol);
        let (addr, len) = found.unwrap_or_else(|| panic!("`{symbol}`"));
        let mut bytes = vec![0; len as usize];
        self.chip.host_read(pe, addr, &mut bytes).expect("can read");
        let words = bytes.chunks_exact(4);
        words
            .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
            .collect()
    }

    fn give(&mut self, replica: usize, sample: &Sample<'_>) {
        let instance = Instance::replica(replica);
        for (proc, process) in self.program.processes.iter() {
            let Some(at) = self.mapping.pe(instance, proc) else {
                continue;
            };
            let pe = self.index(at);
            let firmware = self.of(proc).clone();
            if process.role == Role::Source {
                let words: Vec<u32> = sample
                    .spikes
                    .iter()
                    .map(|s| s.tick << 16 | s.channel)
                    .collect();
                self.write(pe, &firmware, &tape::input(&process.name), &words);
                let count = [words.len() as u32];
                self.write(pe, &firmware, &tape::input_count(&process.name), &count);
            }
            for (array, decl) in process.arrays.iter() {
                let words: Vec<u32> = match decl.kind {
                    ArrayKind::Label => vec![(sample.label as f32).to_bits()],
                    ArrayKind::GivenError => sample.error.iter().map(|e| e.to_bits()).collect(),
                    _ => continue,
                };
                self.write(pe, &firmware, &self.symbol(proc, array), &words);
            }
        }
    }

    fn batch(&mut self, pass: Pass, batch: &[Sample<'_>]) {
        let replicas = self.program.replicas;
        let rounds: Vec<&[Sample<'_>]> = batch.chunks(replicas).collect();
        if pass == Pass::Train {
            let workers = mapping::traffic::workers(self.program).count();
            let active = batch.len().min(replicas);
            let payload = active as u32 | ((workers * rounds[rounds.len() - 1].len()) as u32) << 16;
            let key = abi::key(abi::OPTIMISER, 0, Kind::Command, 0);
            assert!(
                self.chip.inject(key, Some(payload)),
                "the optimiser is routed"
            );
        }
        for (number, round) in rounds.iter().enumerate() {
            let mut flags = abi::FORWARD;
            if pass != Pass::Forward {
                flags |= abi::ADJOINT;
            }
            if number == 0 {
                flags |= abi::ZERO;
            }
            if number == rounds.len() - 1 && pass == Pass::Train {
                flags |= abi::REPORT;
            }
            for (replica, sample) in round.iter().enumerate() {
                self.give(replica, sample);
                let key = abi::key(replica as u32, 0, Kind::Command, 0);
                assert!(self.chip.inject(key, Some(flags)), "the replica is routed");
            }
            let summary = self.chip.run(LIMIT, 1).expect("no fault");
            assert!(
                summary.quiescent,
                "still busy after {LIMIT} cycles: {}",
                self.state()
            );
            self.check_health();
        }
    }

    /// What every PE is at, for messages.
    fn state(&self) -> String {
        let mut text = String::new();
        for placement in &self.mapping.placements {
            let proc = placement.procs[0];
            let firmware = self.of(proc);
            let counters = self.chip.counters(self.index(placement.pe)).expect("a PE");
            text += &format!("\n{} {}: {counters:?}", placement.instance, firmware.name);
            for region in firmware.memory.regions.iter().filter(|r| r.len == 4) {
                let word = self.read(placement.instance, proc, &region.symbol)[0];
                text += &format!(" {}={word:x}", region.symbol);
            }
        }
        text
    }

    fn check_health(&self) {
        for placement in &self.mapping.placements {
            let proc = placement.procs[0];
            let name = &self.program.processes[proc].name;
            let status = self.read(placement.instance, proc, "status")[0];
            assert_eq!(status, 0, "status of {name} is {status:08x}");
            let counters = self.chip.counters(self.index(placement.pe)).expect("a PE");
            assert_eq!(counters.fifo_drops, [0, 0], "drops of {name}");
            assert_eq!(counters.unclaimed, 0, "unclaimed packets of {name}");
        }
    }

    /// Every array of the optimisers and of `active` replicas and all spikes, beside the interpreter's.
    fn compare(&self, what: &str, interpreter: &Interpreter, active: usize) {
        for placement in &self.mapping.placements {
            let replica = match placement.instance {
                Instance::OPTIMISER => 0,
                instance => usize::from(instance.raw()),
            };
            if replica >= active {
                continue;
            }
            for &proc in &placement.procs {
                for (array, decl) in self.program.processes[proc].arrays.iter() {
                    let symbol = self.symbol(proc, array);
                    let here = self.read(placement.instance, proc, &symbol);
                    let there = interpreter.read(replica, proc, array).expect("can be read");
                    for (i, (&found, wanted)) in here.iter().zip(&there).enumerate() {
                        let value = f32::from_bits(found);
                        // A NaN's sign and payload are the processor's.
                        assert!(
                            found == wanted.to_bits() || (value.is_nan() && wanted.is_nan()),
                            "{what}: {symbol}[{i}] ({:?}) of {} is {value}, the interpreter has {wanted}",
                            decl.kind,
                            placement.instance,
                        );
                    }
                }
                self.compare_spikes(what, placement.instance, replica, proc, interpreter);
            }
        }
    }

    fn compare_spikes(
        &self,
        what: &str,
        instance: Instance,
        replica: usize,
        proc: Proc,
        interpreter: &Interpreter,
    ) {
        let process = &self.program.processes[proc];
        if process.role != Role::Neurons {
            return;
        }
        let count = self.read(instance, proc, &tape::count(&process.name))[0] as usize;
        let places = self.read(instance, proc, &tape::place(&process.name));
        let spikes = interpreter.spikes(replica, proc).expect("can be read");
        let wanted: Vec<u32> = spikes.iter().map(|s| s.tick << 16 | s.lane).collect();
        assert_eq!(
            places[..count],
            wanted,
            "{what}: spikes of {}",
            process.name
        );
    }
}

/// A sample that owns what it refers to.
struct Given {
    spikes: Vec<InputSpike>,
    label: u32,
    error: Vec<f32>,
}

impl Given {
    fn new(program: &Program, numbers: &mut Numbers) -> Self {
        let lanes = |role| {
            let found = program.processes.values().find(|p| p.role == role);
            found.map_or(0, |p| p.lanes)
        };
        let outputs = lanes(Role::Loss);
        let loss = program.loss().map(|p| &program.processes[p]);
        let given = loss
            .and_then(|p| p.array_of(ArrayKind::GivenError))
            .is_some();
        let errors = if given {
            program.ticks as usize * outputs
        } else {
            0
        };
        Self {
            spikes: spikes(numbers, lanes(Role::Source), program.ticks),
            label: numbers.below(outputs.max(1)) as u32,
            error: numbers.floats(errors, 0.0, 1.0),
        }
    }

    fn sample(&self) -> Sample<'_> {
        Sample {
            times: &[],
            spikes: &self.spikes,
            label: self.label,
            error: &self.error,
            values: &[],
        }
    }
}

fn samples(program: &Program, count: usize, numbers: &mut Numbers) -> Vec<Given> {
    (0..count).map(|_| Given::new(program, numbers)).collect()
}

#[test]
fn networks_train_as_the_interpreter_does() {
    let mut numbers = Numbers::new(11);
    let trains = |(_, program): &(&str, Program)| {
        let mut processes = program.processes.values();
        processes.any(|p| matches!(p.role, Role::Optimiser(_)))
    };
    for (name, program) in all().into_iter().filter(trains) {
        let mut rig = Rig::new(&program);
        let mut interpreter = Interpreter::new(&program);
        let mut outcomes = Vec::new();
        // Full rounds, a short last round, fewer samples than replicas; forward and gradients in between.
        let batches = [
            (Pass::Train, 4),
            (Pass::Forward, 2),
            (Pass::Train, 3),
            (Pass::Gradient, 1),
            (Pass::Train, 1),
        ];
        for (number, (pass, count)) in batches.into_iter().enumerate() {
            let given = samples(&program, count, &mut numbers);
            let batch: Vec<Sample<'_>> = given.iter().map(Given::sample).collect();
            rig.batch(pass, &batch);
            let ran = interpreter.run(pass, &batch, &mut outcomes);
            ran.expect("the interpreter has no trouble");
            let what = format!("{name}, batch {number} ({pass:?})");
            rig.compare(&what, &interpreter, count);
        }
    }
}

/// The widest bursts that can be: everybody spikes in every bin they can.
#[test]
fn rings_hold_the_worst_case() {
    let shape = Shape {
        replicas: 1,
        ticks: 16,
        ..Shape::of(&[24, 40, 9])
    };
    let mut program = shape.program();
    for tensor in program.tensors.values_mut() {
        tensor.values.fill(50.0);
    }
    let mut rig = Rig::new(&program);
    let mut interpreter = Interpreter::new(&program);
    let every = (0..program.ticks)
        .flat_map(|tick| (0..24).map(move |channel| InputSpike { tick, channel }));
    let given = Given {
        spikes: every.collect(),
        label: 0,
        error: Vec::new(),
    };
    let batch = [given.sample()];
    rig.batch(Pass::Gradient, &batch);
    let mut outcomes = Vec::new();
    interpreter
        .run(Pass::Gradient, &batch, &mut outcomes)
        .expect("no trouble");
    let spikes = interpreter
        .spikes(0, Proc::new(1))
        .expect("can be read")
        .len();
    assert!(spikes > 400, "only {spikes} spikes");
    rig.compare("burst", &interpreter, 1);
}

/// Time and traffic of a batch, for people: `NIRC_CYCLES=1`.
#[test]
fn a_batch_of_the_published_size() {
    let shape = Shape {
        batch: 22,
        replicas: 22,
        ..Shape::of(&[5, 120, 3])
    };
    let program = shape.program();
    let mut rig = Rig::new(&program);
    let mut interpreter = Interpreter::new(&program);
    let mut outcomes = Vec::new();
    let given = samples(&program, 22, &mut Numbers::new(3));
    let batch: Vec<Sample<'_>> = given.iter().map(Given::sample).collect();
    let before = rig.chip.now();
    rig.batch(Pass::Train, &batch);
    let cycles = rig.chip.now() - before;
    interpreter
        .run(Pass::Train, &batch, &mut outcomes)
        .expect("no trouble");
    rig.compare("22 replicas", &interpreter, 22);
    if std::env::var("NIRC_CYCLES").is_ok() {
        println!("a batch of 22 samples: {cycles} cycles");
        for placement in rig
            .mapping
            .placements
            .iter()
            .filter(|p| p.instance.raw() % 255 == 0)
        {
            let name = &rig.of(placement.procs[0]).name;
            let c = rig.chip.counters(rig.index(placement.pe)).expect("a PE");
            println!(
                "{name}: {} instructions, {} cycles awake, {} asleep, rings up to {:?}",
                c.instructions,
                c.cycles - c.sleep_cycles,
                c.sleep_cycles,
                c.fifo_high_water
            );
        }
    }
}

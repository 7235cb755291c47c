//! Streams batches through a device.
//!
//! A round is: inputs into the SRAM of the sources, labels or errors into that of the losses, one
//! command to each instance, wait until the chip is quiet, look for trouble, read the outcomes. Programs
//! that do not go backwards run a round in segments of bins ([`super::stream`]). What
//! outlives a batch (parameters, moments, counters) is copied to the host after every update, so that
//! a batch that went wrong can be undone: the device is loaded afresh and gets the copies back.

use nirc_ir::Diagnostic;
use nirc_ir::codes::{BUNDLE, DATA_ARRAY, RECORD_NAME};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Array, ArrayKind, Output, Proc, Program};
use nirc_ir::executor::{Executor, LaneSpike, Outcome, Pass, Sample, check_batch, keeps_spikes};
use nirc_spinnaker2::abi::{self, Kind};
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::{Sliced, Slicing};
use nirc_spinnaker2::mapping::{Placement, traffic};

use super::device::Device;
use super::health::{Health, Quiet};
use super::layout::{Field, Layout, OutcomeFields, Tape};
use super::stream::Stream;
use super::trouble;

/// An [`Executor`] of a program in slices, that drives a [`Device`].
#[derive(Debug)]
pub struct Session<D> {
    program: Program,
    slicing: Slicing,
    layout: Layout,
    placements: Vec<Placement>,
    health: Health,
    /// What is given and recorded by bin; of programs that go backwards, or have exact event times, it lies on the
    /// chip.
    stream: Option<Stream>,
    workers: usize,
    /// Whether there is an optimiser PE.
    optimises: bool,
    device: D,
    /// Values of the layout's lasting fields, after the last good batch.
    lasting: Vec<Vec<u32>>,
    /// Words on their way to or from the device.
    words: Vec<u32>,
}

impl<D: Device> Session<D> {
    /// A session with `device`, on which `bundle` is loaded and started. It runs `program` in the slices of the
    /// bundle; [`super::Whole`] presents the whole.
    ///
    /// # Errors
    /// If the bundle is not one of `program`, or the device fails.
    pub fn start(program: &Program, bundle: &Bundle, device: D) -> Result<Self, Diagnostic> {
        let Sliced { program, slicing } = bundle.slice(program)?;
        let program = &program;
        let mut session = Self {
            program: program.clone(),
            slicing,
            layout: Layout::new(program, bundle)?,
            placements: bundle.mapping.placements.clone(),
            health: Health::new(bundle)?,
            stream: match program.has_adjoint() || program.window.is_some() {
                true => None,
                false => Some(Stream::new(program, bundle)?),
            },
            optimises: bundle.mapping.has_optimiser(),
            workers: traffic::workers(program).count(),
            device,
            lasting: Vec::new(),
            words: Vec::new(),
        };
        session.settle()?;
        session.lasting = session
            .layout
            .lasting
            .iter()
            .map(|f| vec![0; f.words])
            .collect();
        session.save()?;
        Ok(session)
    }

    /// Where the processes of the whole program are.
    pub fn slicing(&self) -> &Slicing {
        &self.slicing
    }

    /// The device.
    pub fn device(&self) -> &D {
        &self.device
    }

    /// What each PE runs.
    pub fn placements(&self) -> &[Placement] {
        &self.placements
    }

    fn run_rounds(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        let replicas = self.program.replicas;
        let train = pass == Pass::Train && self.optimises;
        let rounds = batch.len().div_ceil(replicas);
        for replica in batch.len()..replicas {
            self.command(replica, abi::ZERO)?;
        }
        if batch.is_empty() {
            if train {
                self.command_optimiser(0, 0)?;
            }
            self.settle()?;
        }
        for (round, samples) in batch.chunks(replicas).enumerate() {
            let last = round + 1 == rounds;
            for (replica, sample) in samples.iter().enumerate() {
                self.give(replica, sample)?;
            }
            if last && train {
                self.command_optimiser(batch.len().min(replicas), samples.len() * self.workers)?;
            }
            let flags = flags(pass, round == 0, last && train);
            match &self.stream {
                None => {
                    self.order(samples.len(), flags)?;
                    self.settle()?;
                }
                Some(_) => self.stream(samples, flags)?,
            }
            for replica in 0..samples.len() {
                outcomes.push(self.outcome(replica)?);
            }
        }
        Ok(())
    }

    /// Runs a round segment by segment.
    fn stream(&mut self, samples: &[Sample<'_>], flags: u32) -> Result<(), Diagnostic> {
        let Some(stream) = &mut self.stream else {
            return Ok(());
        };
        let segments = stream.segments();
        for (replica, sample) in samples.iter().enumerate() {
            stream.begin(replica, sample);
        }
        for bins in segments {
            if let Some(stream) = &self.stream {
                for (replica, sample) in samples.iter().enumerate() {
                    stream.give(&mut self.device, replica, sample, &bins)?;
                }
            }
            let first = bins.start == 0;
            self.order(samples.len(), if first { flags } else { abi::WAKE })?;
            self.device.run_until_quiet()?;
            let quiet = if bins.end == self.program.ticks {
                Quiet::Idle
            } else {
                Quiet::At {
                    replicas: samples.len(),
                    steps: bins.end,
                }
            };
            self.check(quiet)?;
            if let Some(stream) = &mut self.stream {
                for replica in 0..samples.len() {
                    stream.take(&self.device, replica, &bins)?;
                }
            }
        }
        Ok(())
    }

    /// A command to the first replicas.
    fn order(&mut self, replicas: usize, flags: u32) -> Result<(), Diagnostic> {
        (0..replicas).try_for_each(|replica| self.command(replica, flags))
    }

    fn command(&mut self, replica: usize, flags: u32) -> Result<(), Diagnostic> {
        let key = abi::key(replica as u32, 0, Kind::Command, 0);
        self.device.inject(key, flags)
    }

    fn command_optimiser(&mut self, replicas: usize, ready: usize) -> Result<(), Diagnostic> {
        let key = abi::key(abi::OPTIMISER, 0, Kind::Command, 0);
        self.device
            .inject(key, replicas as u32 | (ready as u32) << 16)
    }

    /// Runs until the chip is quiet, and looks for trouble.
    fn settle(&mut self) -> Result<(), Diagnostic> {
        self.device.run_until_quiet()?;
        self.check(Quiet::Idle)
    }

    fn check(&mut self, quiet: Quiet) -> Result<(), Diagnostic> {
        self.health
            .check(&self.program, &self.device, &mut self.words, quiet)
    }

    /// Writes a sample into a replica.
    fn give(&mut self, replica: usize, sample: &Sample<'_>) -> Result<(), Diagnostic> {
        if self.program.window.is_some() {
            self.give_times(replica, sample)?;
        }
        let words = &mut self.words;
        for (
            Tape {
                count,
                spikes,
                times,
                ..
            },
            channels,
        ) in &self.layout.inputs
        {
            if times.is_some() {
                continue;
            }
            let own = sample.spikes.iter();
            let own = own.filter(|s| channels.contains(&s.channel));
            words.clear();
            words.push(own.clone().count() as u32);
            let joined = spikes.address == count.address + 4;
            if !joined {
                self.device
                    .write(count.pes[replica], count.address, words)?;
                words.clear();
            }
            words.extend(own.map(|s| s.tick << 16 | (s.channel - channels.start)));
            let address = if joined {
                count.address
            } else {
                spikes.address
            };
            self.device.write(spikes.pes[replica], address, words)?;
        }
        let row = self.program.source_channels(Output::Given);
        for (field, channels) in &self.layout.values {
            words.clear();
            for bin in sample.values.chunks(row) {
                words.extend(bin[channels.clone()].iter().map(|value| value.to_bits()));
            }
            self.device
                .write(field.pes[replica], field.address, words)?;
        }
        for field in &self.layout.labels {
            let label = (sample.label as f32).to_bits();
            self.device
                .write(field.pes[replica], field.address, &[label])?;
        }
        if self.stream.is_some() {
            return Ok(());
        }
        for field in &self.layout.errors {
            words.clear();
            words.extend(sample.error.iter().map(|e| e.to_bits()));
            self.device
                .write(field.pes[replica], field.address, words)?;
        }
        Ok(())
    }

    /// Writes spikes and their times from the beginning of their window.
    fn give_times(&mut self, replica: usize, sample: &Sample<'_>) -> Result<(), Diagnostic> {
        let window = self.program.window.unwrap_or(1);
        for (tape, channels) in &self.layout.inputs {
            let Some(times) = &tape.times else { continue };
            let own = || {
                let all = sample.spikes.iter().zip(sample.times);
                all.filter(|(spike, _)| channels.contains(&spike.channel))
            };
            self.words.clear();
            self.words.extend(
                own().map(|(spike, _)| {
                    (spike.tick / window) << 16 | (spike.channel - channels.start)
                }),
            );
            let (count, spikes) = (&tape.count, &tape.spikes);
            let number = [self.words.len() as u32];
            self.device
                .write(count.pes[replica], count.address, &number)?;
            self.device
                .write(spikes.pes[replica], spikes.address, &self.words)?;
            self.words.clear();
            self.words.extend(own().map(|(spike, time)| {
                let start = (spike.tick / window * window) as f32;
                // Of a negative zero, a positive one.
                (time - start + 0.0).to_bits()
            }));
            self.device
                .write(times.pes[replica], times.address, &self.words)?;
        }
        Ok(())
    }

    /// Window and lane of each spike of a process with exact times, and the time from the sample's beginning.
    fn timed(&self, replica: usize, tape: &Tape, times: &Field) -> Result<Vec<Timed>, Diagnostic> {
        let count = self.read_field(&tape.count, replica)?[0] as usize;
        let places = self.read_field(&tape.spikes, replica)?;
        let times = self.read_field(times, replica)?;
        let window = self.program.window.unwrap_or(1);
        let timed = |(place, time): (&u32, &u32)| Timed {
            lane: place & 0xFFFF,
            time: ((place >> 16) * window) as f32 + f32::from_bits(*time),
        };
        let timed: Vec<Timed> = places.iter().zip(&times).take(count).map(timed).collect();
        let Some(order) = &tape.order else {
            return Ok(timed);
        };
        let order = self.read_field(order, replica)?;
        let halves = order.iter().flat_map(|word| [word & 0xFFFF, word >> 16]);
        let in_order = halves.take(count).map(|entry| timed[entry as usize]);
        Ok(in_order.collect())
    }

    fn tape(&self, proc: Proc) -> Result<&Tape, Diagnostic> {
        let tape = self.layout.tapes.get(proc).and_then(Option::as_ref);
        tape.ok_or_else(|| {
            let message = format!("{proc} records no spikes");
            Diagnostic::error(BUNDLE, &self.program.name, message)
        })
    }

    fn outcome(&mut self, replica: usize) -> Result<Outcome, Diagnostic> {
        let Some(fields) = &self.layout.outcome else {
            return Ok(Outcome::default());
        };
        let OutcomeFields {
            span,
            first_spike,
            score,
            loss,
            cross_entropy,
        } = fields;
        self.words.resize(span.words, 0);
        self.device
            .read(span.pes[replica], span.address, &mut self.words)?;
        let number = |at: usize| f32::from_bits(self.words[at]);
        let outputs = |place: &Option<(usize, usize)>| {
            let numbers = place.map(|(at, outputs)| (at..at + outputs).map(number).collect());
            numbers.unwrap_or_default()
        };
        Ok(Outcome {
            first_spike: outputs(first_spike),
            score: outputs(score),
            loss: loss.map_or(0.0, number),
            cross_entropy: cross_entropy.map_or(0.0, number),
        })
    }

    /// Copies what outlives a batch to the host.
    fn save(&mut self) -> Result<(), Diagnostic> {
        for (field, words) in self.layout.lasting.iter().zip(&mut self.lasting) {
            self.device.read(field.pes[0], field.address, words)?;
        }
        Ok(())
    }

    /// Loads the device afresh and gives it back what outlives a batch.
    fn restore(&mut self) -> Result<(), Diagnostic> {
        self.device.restart()?;
        self.settle()?;
        for (field, words) in self.layout.lasting.iter().zip(&self.lasting) {
            for &pe in &field.pes {
                self.device.write(pe, field.address, words)?;
            }
        }
        Ok(())
    }

    fn read_field(&self, field: &Field, replica: usize) -> Result<Vec<u32>, Diagnostic> {
        let pe = field.pes.get(replica).ok_or_else(|| {
            let instances = field.pes.len();
            let message = format!("replica {replica} of {instances}");
            Diagnostic::error(DATA_ARRAY, &self.program.name, message)
        })?;
        let mut words = vec![0; field.words];
        self.device.read(*pe, field.address, &mut words)?;
        Ok(words)
    }

    fn field(&self, proc: Proc, array: Array) -> Result<&Field, Diagnostic> {
        let arrays: Option<&PrimaryMap<Array, Field>> = self.layout.arrays.get(proc);
        arrays.and_then(|a| a.get(array)).ok_or_else(|| {
            let message = format!("the program has no {array} of {proc}");
            Diagnostic::error(DATA_ARRAY, &self.program.name, message)
        })
    }
}

/// A spike with its exact time, in bins from the sample's beginning.
#[derive(Clone, Copy)]
struct Timed {
    lane: u32,
    time: f32,
}

/// The command of a round.
fn flags(pass: Pass, first: bool, report: bool) -> u32 {
    let when = |condition: bool, flag: u32| if condition { flag } else { 0 };
    abi::FORWARD
        | when(pass != Pass::Forward, abi::ADJOINT)
        | when(first, abi::ZERO)
        | when(report, abi::REPORT)
}

impl<D: Device> Executor for Session<D> {
    fn program(&self) -> &Program {
        &self.program
    }

    fn name(&self) -> &'static str {
        self.device.name()
    }

    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        let before = outcomes.len();
        check_batch(&self.program, batch)?;
        for sample in batch {
            trouble::sample(&self.layout, sample)?;
        }
        self.device.begin();
        let mut ran = self.run_rounds(pass, batch, outcomes);
        if ran.is_ok() && pass == Pass::Train {
            ran = self.save();
        }
        if ran.is_err() {
            outcomes.truncate(before);
            self.restore()?;
        }
        ran
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        let stream = self.stream.as_ref();
        if let Some(words) = stream.and_then(|s| s.array(replica, proc, array)) {
            return Ok(words.iter().copied().map(f32::from_bits).collect());
        }
        let words = self.read_field(self.field(proc, array)?, replica)?;
        Ok(words.into_iter().map(f32::from_bits).collect())
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        let expected = self.field(proc, array)?.words;
        if values.len() != expected {
            let message = format!("{} values, expected {expected}", values.len());
            let name = &self.program.processes[proc].name;
            return Err(Diagnostic::error(DATA_ARRAY, name, message));
        }
        let words: Vec<u32> = values.iter().map(|v| v.to_bits()).collect();
        let kind = self.program.processes[proc].arrays[array].kind;
        for (other, process) in self.program.processes.iter() {
            let same = match kind {
                ArrayKind::Param(_) => process.array_of(kind),
                _ => (other == proc).then_some(array),
            };
            if let Some(array) = same {
                let field = &self.layout.arrays[other][array];
                for &pe in &field.pes {
                    self.device.write(pe, field.address, &words)?;
                }
            }
        }
        self.save()
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        let stream = self.stream.as_ref();
        if let Some(spikes) = stream.and_then(|s| s.spikes(replica, proc)) {
            return Ok(spikes.to_vec());
        }
        if self.program.processes[proc].output == Output::Given {
            return Ok(Vec::new());
        }
        let tape = self.tape(proc)?;
        if let Some(times) = &tape.times {
            let last = self.program.ticks - 1;
            let timed = self.timed(replica, tape, times)?.into_iter();
            return Ok(timed
                .map(|Timed { lane, time }| LaneSpike {
                    tick: (time.floor() as u32).min(last),
                    lane,
                })
                .collect());
        }
        let count = self.read_field(&tape.count, replica)?[0] as usize;
        let mut places = self.read_field(&tape.spikes, replica)?;
        places.truncate(count);
        let spike = |place: u32| LaneSpike {
            tick: place >> 16,
            lane: place & 0xFFFF,
        };
        Ok(places.into_iter().map(spike).collect())
    }

    fn spike_times(&self, replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        let tape = self.tape(proc)?;
        let Some(times) = &tape.times else {
            let name = &self.program.processes[proc].name;
            let message = "in a program of ticks, spikes have no exact times";
            return Err(Diagnostic::error(RECORD_NAME, name, message));
        };
        let timed = self.timed(replica, tape, times)?.into_iter();
        Ok(timed.map(|spike| spike.time).collect())
    }
}

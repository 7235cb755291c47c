//! Presents a program whole while its slices run.

use nirc_ir::Diagnostic;
use nirc_ir::codes::DATA_ARRAY;
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Array, ArrayKind, Proc, Program, Tensor};
use nirc_ir::executor::{Executor, LaneSpike, Outcome, Pass, Sample, keeps_spikes};
use nirc_spinnaker2::mapping::slice::{Part, Slice, Slicing};

/// An executor of a sliced program, in the terms of the original: its processes, its arrays, its lanes.
///
/// A sample is the same for both, because the channels of sources are counted on, and so is an outcome, because
/// a loss is never cut.
#[derive(Debug)]
pub struct Whole<E> {
    program: Program,
    slicing: Slicing,
    /// Values of tensors, some of which may be in no slice, where nothing names them.
    tensors: PrimaryMap<Tensor, Vec<f32>>,
    slices: E,
}

impl<E> Whole<E> {
    /// Presents `program` over an executor of the sliced program that `slicing` belongs to.
    pub fn present(program: &Program, slicing: Slicing, slices: E) -> Self {
        Self {
            program: program.clone(),
            slicing,
            tensors: program.tensors.values().map(|t| t.values.clone()).collect(),
            slices,
        }
    }

    /// What runs the slices.
    pub fn slices(&self) -> &E {
        &self.slices
    }

    /// Where everything is in what runs.
    pub fn slicing(&self) -> &Slicing {
        &self.slicing
    }

    fn parts(&self, proc: Proc, array: Array) -> Result<Vec<(&Slice, &Part)>, Diagnostic> {
        let slices = self.slicing.slices.get(proc).map_or(&[][..], Vec::as_slice);
        let parts = slices
            .iter()
            .map(|slice| Some((slice, slice.parts.get(array)?)));
        let parts: Option<Vec<_>> = parts.collect();
        parts.filter(|parts| !parts.is_empty()).ok_or_else(|| {
            let message = format!("the program has no {array} of {proc}");
            Diagnostic::error(DATA_ARRAY, &self.program.name, message)
        })
    }
}

impl<E: Executor> Whole<E> {
    /// The tensor as the slices have it.
    fn weights(
        &self,
        replica: usize,
        tensor: Tensor,
        parts: &[(&Slice, &Part)],
    ) -> Result<Vec<f32>, Diagnostic> {
        let mut values = self.tensors[tensor].clone();
        for (slice, part) in parts {
            let Part::Weights(held) = part else { continue };
            for (array, elements) in held {
                let found = self.slices.read(replica, slice.process, *array)?;
                let places = elements.places(&self.program.tensors[tensor]);
                for (place, value) in places.into_iter().zip(found) {
                    values[place] = value;
                }
            }
        }
        Ok(values)
    }

    fn write_weights(&mut self, tensor: Tensor, values: &[f32]) -> Result<(), Diagnostic> {
        let kind = ArrayKind::Param(tensor);
        for (proc, process) in self.program.processes.iter() {
            let Some(array) = process.array_of(kind) else {
                continue;
            };
            for slice in &self.slicing.slices[proc] {
                let Part::Weights(held) = &slice.parts[array] else {
                    continue;
                };
                for (array, elements) in held {
                    let places = elements.places(&self.program.tensors[tensor]);
                    let part: Vec<f32> = places.into_iter().map(|place| values[place]).collect();
                    self.slices.write(slice.process, *array, &part)?;
                }
            }
        }
        self.tensors[tensor].copy_from_slice(values);
        Ok(())
    }
}

impl<E: Executor> Executor for Whole<E> {
    fn program(&self) -> &Program {
        &self.program
    }

    fn name(&self) -> &'static str {
        self.slices.name()
    }

    fn run(
        &mut self,
        pass: Pass,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        self.slices.run(pass, batch, outcomes)
    }

    fn read(&self, replica: usize, proc: Proc, array: Array) -> Result<Vec<f32>, Diagnostic> {
        let parts = self.parts(proc, array)?;
        let process = &self.program.processes[proc];
        if let ArrayKind::Param(tensor) = process.arrays[array].kind
            && self.slicing.cuts()
        {
            return self.weights(replica, tensor, &parts);
        }
        let mut whole: Vec<f32> = Vec::new();
        let length = self.program.array_len(proc, array);
        for (slice, part) in parts {
            match part {
                Part::Same(array) => return self.slices.read(replica, slice.process, *array),
                Part::Lanes(array) => {
                    whole.extend(self.slices.read(replica, slice.process, *array)?);
                }
                Part::Rows(array) => {
                    let rows = self.slices.read(replica, slice.process, *array)?;
                    whole.resize(length, 0.0);
                    let whole = whole.chunks_mut(process.lanes);
                    for (whole, row) in whole.zip(rows.chunks(slice.lanes)) {
                        whole[slice.first..slice.first + slice.lanes].copy_from_slice(row);
                    }
                }
                Part::Weights(held) => {
                    for (array, _) in held {
                        whole.extend(self.slices.read(replica, slice.process, *array)?);
                    }
                }
            }
        }
        Ok(whole)
    }

    fn write(&mut self, proc: Proc, array: Array, values: &[f32]) -> Result<(), Diagnostic> {
        let parts = self.parts(proc, array)?;
        let expected = self.program.array_len(proc, array);
        if values.len() != expected {
            let message = format!("{} values, expected {expected}", values.len());
            let name = &self.program.processes[proc].name;
            return Err(Diagnostic::error(DATA_ARRAY, name, message));
        }
        let process = &self.program.processes[proc];
        let mut writes: Vec<(Proc, Array, Vec<f32>)> = Vec::new();
        for (slice, part) in parts {
            let lanes = slice.first..slice.first + slice.lanes;
            match part {
                Part::Same(array) => writes.push((slice.process, *array, values.to_vec())),
                Part::Lanes(array) => {
                    writes.push((slice.process, *array, values[lanes].to_vec()));
                }
                Part::Rows(array) => {
                    let rows = values.chunks(process.lanes);
                    let rows = rows.flat_map(|row| row[lanes.clone()].iter().copied());
                    writes.push((slice.process, *array, rows.collect()));
                }
                Part::Weights(_) => {}
            }
        }
        for (process, array, values) in writes {
            self.slices.write(process, array, &values)?;
        }
        match self.program.processes[proc].arrays[array].kind {
            ArrayKind::Param(tensor) => self.write_weights(tensor, values),
            _ => Ok(()),
        }
    }

    fn spikes(&self, replica: usize, proc: Proc) -> Result<Vec<LaneSpike>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        if self.program.window.is_some() {
            let timed = self.timed(replica, proc)?.into_iter();
            return Ok(timed.map(|(_, spike)| spike).collect());
        }
        let mut all = Vec::new();
        for slice in &self.slicing.slices[proc] {
            all.extend(self.spikes_of(replica, slice)?);
        }
        all.sort_unstable();
        Ok(all)
    }

    fn spike_times(&self, replica: usize, proc: Proc) -> Result<Vec<f32>, Diagnostic> {
        keeps_spikes(&self.program, proc)?;
        let timed = self.timed(replica, proc)?.into_iter();
        Ok(timed.map(|(time, _)| time).collect())
    }
}

impl<E: Executor> Whole<E> {
    /// The spikes of a slice, as lanes of the whole.
    fn spikes_of(&self, replica: usize, slice: &Slice) -> Result<Vec<LaneSpike>, Diagnostic> {
        let first = slice.first as u32;
        let spikes = self.slices.spikes(replica, slice.process)?.into_iter();
        let whole = spikes.map(|spike| LaneSpike {
            lane: spike.lane + first,
            ..spike
        });
        Ok(whole.collect())
    }

    /// Spikes with their exact times, in the order of the tape: with such, no process is cut.
    fn timed(&self, replica: usize, proc: Proc) -> Result<Vec<(f32, LaneSpike)>, Diagnostic> {
        let mut all = Vec::new();
        for slice in &self.slicing.slices[proc] {
            let times = self.slices.spike_times(replica, slice.process)?;
            all.extend(times.into_iter().zip(self.spikes_of(replica, slice)?));
        }
        Ok(all)
    }
}

//! What a forward program is given and what it records, a segment at a time.
//!
//! The chip keeps rows for the bins of a segment. Before each one the host writes what is given into them and
//! empties those that record; after it, it takes what was recorded. So a sample may be longer than any memory,
//! and what a run left behind lies here, not on the chip.

use std::ops::Range;

use nirc_ir::Diagnostic;
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Array, ArrayKind, Output, Proc, Program, Role};
use nirc_ir::executor::{LaneSpike, Sample};
use nirc_spinnaker2::abi::{self, tape};
use nirc_spinnaker2::bundle::{Bundle, array_symbol};
use nirc_spinnaker2::mapping::Pacing;

use super::device::Device;
use super::layout::{Field, Finder};

/// Where everything by bin lies, and what the last runs left.
#[derive(Debug)]
pub(super) struct Stream {
    ticks: u32,
    segment: u32,
    /// Values of a bin of all sources.
    values: usize,
    inputs: Vec<Input>,
    errors: Vec<(Proc, Array, Rows)>,
    rasters: Vec<(Proc, Rows)>,
    traces: Vec<(Proc, Array, Rows)>,
    /// Limit and origin of each process, if a sample takes several segments.
    marks: Vec<Marks>,
    /// What each replica left.
    records: Vec<Record>,
}

/// Rows of a process, one a bin of the segment, behind those of bins before it.
#[derive(Debug)]
struct Rows {
    field: Field,
    /// Words of a row.
    row: usize,
    /// Rows of earlier bins.
    back: u32,
}

/// Rows of a source.
#[derive(Debug)]
struct Input {
    proc: Proc,
    /// Whether values are given, not spikes.
    values: bool,
    /// Its channels among those of all sources of its kind.
    channels: Range<usize>,
    rows: Rows,
}

#[derive(Debug)]
struct Marks {
    limit: Field,
    origin: Field,
    back: u32,
}

/// What a sample left.
#[derive(Clone, Debug)]
struct Record {
    spikes: PrimaryMap<Proc, Vec<LaneSpike>>,
    /// Arrays by bin, `ticks * lanes`; others are empty.
    arrays: PrimaryMap<Proc, PrimaryMap<Array, Vec<u32>>>,
}

impl Stream {
    pub(super) fn new(program: &Program, bundle: &Bundle) -> Result<Self, Diagnostic> {
        let pacing = bundle.mapping.pacing;
        let find = Finder { program, bundle };
        let mut stream = Self {
            ticks: program.ticks,
            segment: pacing.segment,
            values: program.source_channels(Output::Given),
            inputs: inputs(&find, pacing)?,
            errors: by_bin(&find, pacing, ArrayKind::GivenError)?,
            traces: by_bin(&find, pacing, ArrayKind::Trace)?,
            rasters: Vec::new(),
            marks: Vec::new(),
            records: vec![Record::new(program); program.replicas],
        };
        for (proc, process) in program.processes.iter() {
            if process.role == Role::Neurons && process.tape.is_some() {
                let symbol = tape::raster(&process.name);
                let words = process.lanes.div_ceil(32);
                stream
                    .rasters
                    .push((proc, rows(&find, proc, &symbol, words, pacing)?));
            }
            if pacing.is_cut(program) && !matches!(process.role, Role::Optimiser(_)) {
                stream.marks.push(Marks {
                    limit: find.sized(proc, abi::LIMIT, 1)?,
                    origin: find.sized(proc, abi::ORIGIN, 1)?,
                    back: stream.back(proc),
                });
            }
        }
        Ok(stream)
    }

    /// Rows of earlier bins that a process has: as many in everything it has by bin.
    fn back(&self, proc: Proc) -> u32 {
        let arrays = self.traces.iter().chain(&self.errors);
        let arrays = arrays.map(|(owner, _, rows)| (*owner, rows));
        let rasters = self.rasters.iter().map(|(owner, rows)| (*owner, rows));
        let mut of_process = arrays.chain(rasters).filter(|(owner, _)| *owner == proc);
        of_process.next().map_or(0, |(_, rows)| rows.back)
    }

    /// The bins of each segment.
    pub(super) fn segments(&self) -> impl Iterator<Item = Range<u32>> + use<> {
        let (segment, ticks) = (self.segment, self.ticks);
        let starts = (0..ticks).step_by(segment as usize);
        starts.map(move |start| start..ticks.min(start.saturating_add(segment)))
    }

    /// A sample begins on a replica.
    pub(super) fn begin(&mut self, replica: usize, sample: &Sample<'_>) {
        let record = &mut self.records[replica];
        record.spikes.values_mut().for_each(Vec::clear);
        for (proc, array, _) in &self.traces {
            record.arrays[*proc][*array].fill(0);
        }
        for (proc, array, _) in &self.errors {
            let bits = sample.error.iter().map(|e| e.to_bits());
            record.arrays[*proc][*array] = bits.collect();
        }
        for input in self.inputs.iter().filter(|input| !input.values) {
            record.spikes[input.proc].extend(input.spikes(sample, &(0..self.ticks)));
        }
    }

    /// Writes what a replica needs for these bins.
    pub(super) fn give(
        &self,
        device: &mut impl Device,
        replica: usize,
        sample: &Sample<'_>,
        bins: &Range<u32>,
    ) -> Result<(), Diagnostic> {
        let mut words = Vec::new();
        for input in &self.inputs {
            words.clear();
            if input.values {
                for bin in bins.clone() {
                    let row = &sample.values[bin as usize * self.values..][..self.values];
                    let own = &row[input.channels.clone()];
                    words.extend(own.iter().map(|value| value.to_bits()));
                }
            } else {
                words.resize(input.rows.row * bins.len(), 0);
                for spike in input.spikes(sample, bins) {
                    let row = (spike.tick - bins.start) as usize * input.rows.row;
                    words[row + spike.lane as usize / 32] |= 1 << (spike.lane % 32);
                }
            }
            input.rows.write(device, replica, &words)?;
        }
        for (_, rows) in &self.rasters {
            words.clear();
            words.resize(rows.words(bins), 0);
            rows.write(device, replica, &words)?;
        }
        for (proc, array, rows) in self.traces.iter().chain(&self.errors) {
            rows.recall(
                &self.records[replica].arrays[*proc][*array],
                bins,
                &mut words,
            );
            rows.write(device, replica, &words)?;
        }
        for Marks {
            limit,
            origin,
            back,
        } in &self.marks
        {
            device.write(limit.pes[replica], limit.address, &[bins.end])?;
            let first = bins.start.wrapping_sub(*back);
            device.write(origin.pes[replica], origin.address, &[first])?;
        }
        Ok(())
    }

    /// Takes what a replica recorded in these bins.
    pub(super) fn take(
        &mut self,
        device: &impl Device,
        replica: usize,
        bins: &Range<u32>,
    ) -> Result<(), Diagnostic> {
        let record = &mut self.records[replica];
        let mut words = Vec::new();
        for (proc, rows) in &self.rasters {
            rows.read(device, replica, bins, &mut words)?;
            let recorded = words[rows.back as usize * rows.row..].chunks(rows.row);
            let spikes = bins.clone().zip(recorded);
            record.spikes[*proc].extend(spikes.flat_map(|(bin, row)| lanes(bin, row)));
        }
        // Handlers may write into what they were given.
        for (proc, array, rows) in self.traces.iter().chain(&self.errors) {
            rows.read(device, replica, bins, &mut words)?;
            rows.remember(&words, bins, &mut record.arrays[*proc][*array]);
        }
        Ok(())
    }

    /// What the last run left in an array that lies here.
    pub(super) fn array(&self, replica: usize, proc: Proc, array: Array) -> Option<&[u32]> {
        let mut held = self.traces.iter().chain(&self.errors);
        held.find(|(p, a, _)| (*p, *a) == (proc, array))?;
        Some(&self.records.get(replica)?.arrays[proc][array])
    }

    /// The spikes of the last run.
    pub(super) fn spikes(&self, replica: usize, proc: Proc) -> Option<&[LaneSpike]> {
        Some(self.records.get(replica)?.spikes.get(proc)?)
    }
}

impl Record {
    fn new(program: &Program) -> Self {
        let arrays = |(proc, process): (Proc, &nirc_ir::event::Process)| {
            let arrays = process.arrays.iter();
            let array = arrays.map(|(array, decl)| match decl.kind {
                ArrayKind::Trace | ArrayKind::GivenError => {
                    vec![0; program.array_len(proc, array)]
                }
                _ => Vec::new(),
            });
            array.collect()
        };
        Self {
            spikes: program.processes.values().map(|_| Vec::new()).collect(),
            arrays: program.processes.iter().map(arrays).collect(),
        }
    }
}

impl Input {
    /// The sample's spikes of this source in some bins.
    fn spikes(&self, sample: &Sample<'_>, bins: &Range<u32>) -> impl Iterator<Item = LaneSpike> {
        let from = sample.spikes.partition_point(|s| s.tick < bins.start);
        let to = sample.spikes.partition_point(|s| s.tick < bins.end);
        let own = sample.spikes[from..to].iter();
        let own = own.filter(|s| self.channels.contains(&(s.channel as usize)));
        own.map(|s| LaneSpike {
            tick: s.tick,
            lane: s.channel - self.channels.start as u32,
        })
    }
}

impl Rows {
    /// Words of the rows that some bins need, with the earlier ones.
    fn words(&self, bins: &Range<u32>) -> usize {
        (self.back as usize + bins.len()) * self.row
    }

    /// The bins whose rows are kept with these.
    fn kept(&self, bins: &Range<u32>) -> Range<u32> {
        bins.start.saturating_sub(self.back)..bins.end
    }

    /// Rows that come before those of the first bin of all.
    fn missing(&self, bins: &Range<u32>) -> usize {
        self.back.saturating_sub(bins.start) as usize * self.row
    }

    /// The rows of an array of the whole sample.
    fn recall(&self, array: &[u32], bins: &Range<u32>, words: &mut Vec<u32>) {
        let kept = self.kept(bins);
        words.clear();
        words.resize(self.missing(bins), 0);
        let (from, to) = (kept.start as usize, kept.end as usize);
        words.extend(&array[from * self.row..to * self.row]);
    }

    /// The rows into an array of the whole sample.
    fn remember(&self, words: &[u32], bins: &Range<u32>, array: &mut [u32]) {
        let kept = self.kept(bins);
        let (from, to) = (kept.start as usize, kept.end as usize);
        array[from * self.row..to * self.row].copy_from_slice(&words[self.missing(bins)..]);
    }

    fn write(
        &self,
        device: &mut impl Device,
        replica: usize,
        words: &[u32],
    ) -> Result<(), Diagnostic> {
        device.write(self.field.pes[replica], self.field.address, words)
    }

    fn read(
        &self,
        device: &impl Device,
        replica: usize,
        bins: &Range<u32>,
        words: &mut Vec<u32>,
    ) -> Result<(), Diagnostic> {
        words.resize(self.words(bins), 0);
        device.read(self.field.pes[replica], self.field.address, words)
    }
}

/// The lanes of a row's bits.
fn lanes(bin: u32, row: &[u32]) -> impl Iterator<Item = LaneSpike> {
    let words = (0..).step_by(32).zip(row);
    words.flat_map(move |(first, word)| {
        let bits = (0..32).filter(move |bit| word >> bit & 1 == 1);
        bits.map(move |bit| LaneSpike {
            tick: bin,
            lane: first + bit,
        })
    })
}

fn inputs(find: &Finder<'_>, pacing: Pacing) -> Result<Vec<Input>, Diagnostic> {
    let mut inputs = Vec::new();
    for output in [Output::Spikes, Output::Given] {
        for (proc, first) in find.program.sources(output) {
            let process = &find.program.processes[proc];
            let values = output == Output::Given;
            let (symbol, words) = if values {
                (tape::given(&process.name), process.lanes)
            } else {
                (tape::raster(&process.name), process.lanes.div_ceil(32))
            };
            inputs.push(Input {
                proc,
                values,
                channels: first..first + process.lanes,
                rows: rows(find, proc, &symbol, words, pacing)?,
            });
        }
    }
    Ok(inputs)
}

/// The arrays of a kind that has a row a bin.
fn by_bin(
    find: &Finder<'_>,
    pacing: Pacing,
    kind: ArrayKind,
) -> Result<Vec<(Proc, Array, Rows)>, Diagnostic> {
    let mut found = Vec::new();
    for (proc, process) in find.program.processes.iter() {
        for (array, decl) in process.arrays.iter() {
            if decl.kind == kind {
                let symbol = array_symbol(&process.name, &decl.name);
                let rows = rows(find, proc, &symbol, process.lanes, pacing)?;
                found.push((proc, array, rows));
            }
        }
    }
    Ok(found)
}

fn rows(
    find: &Finder<'_>,
    proc: Proc,
    symbol: &str,
    row: usize,
    pacing: Pacing,
) -> Result<Rows, Diagnostic> {
    let field = find.field(proc, symbol)?;
    let rows = field.words / row.max(1);
    let back = rows.checked_sub(pacing.segment as usize);
    match back {
        Some(back) if rows * row == field.words => Ok(Rows {
            row,
            back: back as u32,
            field,
        }),
        _ => {
            let message = format!(
                "symbol {symbol} has {} words, expected rows of {row} for at least {} bins",
                field.words, pacing.segment
            );
            Err(find.problem(proc, message))
        }
    }
}

//! Gradients of a batch, sample by sample, with everything that led to them.

use std::path::{Path, PathBuf};

use ndarray::{Array0, Array1, Array2, Array3, Axis, arr0};
use nirc_compiler::options::Record;
use nirc_ir::event::{Array, ArrayKind, Proc, Program, Role, Tensor};
use nirc_ir::executor::{Executor, Outcome, Pass, Sample};
use nirc_ir::{Diagnostic, Diagnostics, codes};
use nirc_spinnaker2::target::Target;

use super::stack::{self, Recording};
use crate::config::Config;
use crate::data::{Archive, DataSet, read_errors, read_spikes, wrong_bins};
use crate::device::Executors;
use crate::file;
use crate::model::Model;
use crate::program::{Job, compile};
use crate::training::by_output;

/// What to compute gradients of.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// The network.
    pub model: PathBuf,
    /// Spikes, (T, B, J) of `u8`.
    pub input: PathBuf,
    /// Classes, (B,); not needed with given errors.
    pub labels: Option<PathBuf>,
    /// Errors of output spikes, (T, B, N) of `f32`, instead of those of the loss.
    pub error: Option<PathBuf>,
    /// Where it runs.
    pub executors: Executors,
    /// The archive to write.
    pub output: PathBuf,
}

/// Computes gradients and writes them. Returns the notes of the import.
///
/// The archive holds, for each weight node, `<node>.weight` (N, J), which is the sum over the batch in
/// the order of the samples, and `<node>.weight.per_sample` (B, N, J), in NIR's layout and the unit of
/// the loss per bin; biases alike. Then `first_spike` or `score` (B, N), and the traces and spikes of each
/// population of neurons, (T, B, N). With a loss: `loss`, the minimised mean over the batch,
/// `cross_entropy` alike, and `loss.per_sample`.
///
/// # Errors
/// When a file is unreadable or does not fit, the network does not compile, or the device fails.
pub fn gradient(job: &Gradient, config: &Config) -> Result<Diagnostics, Diagnostics> {
    let files = [
        Some(&job.model),
        Some(&job.input),
        job.labels.as_ref(),
        job.error.as_ref(),
    ];
    let files: Vec<&Path> = files.into_iter().flatten().map(PathBuf::as_path).collect();
    file::keeps(&job.output, &files)?;
    let model = Model::open(&job.model, &config.reading())?;
    let (bins, set) = read_spikes(&job.input, job.labels.as_deref())?;
    if bins != config.time.ticks as usize {
        return Err(wrong_bins(&job.input, bins, config.time.ticks).into());
    }
    let input = job.input.display().to_string();
    let labels = job.labels.as_ref().unwrap_or(&job.input);
    let labels = labels.display().to_string();
    model.accepts([&input, &labels], &set, config.time.ticks)?;
    if set.is_empty() {
        return Err(Diagnostic::error(
            codes::DATA_ARRAY,
            input,
            "there is no sample in it, and a gradient needs one",
        )
        .help("spikes are (T, B, J): bins, samples, channels")
        .into());
    }
    let errors = match &job.error {
        Some(path) => Some(given_errors(path, bins, set.len(), model.outputs())?),
        None if job.labels.is_none() => {
            return Err(Diagnostic::error(
                codes::DATA_ARRAY,
                "--labels",
                "a loss needs labels, and none are given",
            )
            .help("give --labels LABELS.npy, or errors with --error ERROR.npy")
            .into());
        }
        None => None,
    };
    let everything = stack::everything(&model.network, true);
    let target = Target::spinnaker2();
    let compiled = Job::Gradient {
        batch: set.len(),
        given: errors.is_some(),
        record: everything.clone(),
    };
    let program = compile(&model.network, config, compiled, &target)?;
    let mut executor = job.executors.start(&program, &target)?;
    let mut batch = Batch::new(&program, everything, set.len())?;
    batch.run(&mut executor, &set, errors.as_deref())?;
    let mut archive = Archive::new();
    batch.store(&program, errors.is_none(), &mut archive)?;
    archive.write(&job.output)?;
    Ok(model.notes)
}

/// Errors by sample, each `T * N`.
fn given_errors(
    path: &std::path::Path,
    bins: usize,
    samples: usize,
    outputs: usize,
) -> Result<Vec<Vec<f32>>, Diagnostic> {
    let errors: Array3<f32> = read_errors(path)?;
    if errors.dim() != (bins, samples, outputs) {
        return Err(Diagnostic::error(
            codes::DATA_ARRAY,
            path.display().to_string(),
            format!(
                "has shape {:?}, expected {:?}",
                errors.dim(),
                (bins, samples, outputs)
            ),
        )
        .help("errors are (T, B, N): bins, samples, outputs"));
    }
    let last = errors.index_axis(Axis(0), bins.saturating_sub(1));
    if let Some(((b, n), error)) = last.indexed_iter().find(|(_, error)| **error != 0.0) {
        return Err(Diagnostic::error(
            codes::DATA_ARRAY,
            path.display().to_string(),
            format!(
                "the error of sample {b}, output {n} in the last bin is {error}, and would not be used: \
                 nothing follows a spike in bin {}",
                bins.saturating_sub(1)
            ),
        )
        .help("set the last bin to 0, as the loss does, or raise `time.ticks`"));
    }
    let by_sample = errors.axis_iter(Axis(1));
    Ok(by_sample
        .map(|sample| sample.iter().copied().collect())
        .collect())
}

/// Where a tensor's gradient stands.
struct Place {
    tensor: Tensor,
    proc: Proc,
    array: Array,
    /// In NIR's layout, sample after sample.
    per_sample: Vec<f32>,
}

/// What is gathered over the batch.
struct Batch {
    places: Vec<Place>,
    recordings: Vec<Recording>,
    outcomes: Vec<Outcome>,
}

impl Batch {
    fn new(program: &Program, everything: Vec<Record>, samples: usize) -> Result<Self, Diagnostic> {
        let places = program.processes.iter().flat_map(|(proc, process)| {
            let network = !matches!(process.role, Role::Optimiser(_));
            let arrays = process.arrays.iter().filter(move |_| network);
            arrays.filter_map(move |(array, decl)| match decl.kind {
                ArrayKind::Gradient(tensor) => Some(Place {
                    tensor,
                    proc,
                    array,
                    per_sample: Vec::new(),
                }),
                _ => None,
            })
        });
        let places = places.collect();
        let recordings = everything
            .into_iter()
            .map(|record| Recording::new(record, program, samples, 0))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            places,
            recordings,
            outcomes: Vec::with_capacity(samples),
        })
    }

    /// Runs as many samples at a time as there are replicas, so that each replica's gradient is that
    /// of one sample.
    fn run(
        &mut self,
        executor: &mut dyn Executor,
        set: &DataSet,
        errors: Option<&[Vec<f32>]>,
    ) -> Result<(), Diagnostic> {
        let replicas = executor.program().replicas;
        for from in (0..set.len()).step_by(replicas) {
            let to = (from + replicas).min(set.len());
            let samples: Vec<Sample<'_>> = (from..to)
                .map(|k| Sample {
                    error: errors.map_or(&[], |errors| &errors[k]),
                    ..set.sample(k)
                })
                .collect();
            executor.run(Pass::Gradient, &samples, &mut self.outcomes)?;
            for (replica, b) in (from..to).enumerate() {
                for place in &mut self.places {
                    let lanes = executor.program().tensors[place.tensor].lanes;
                    let gradient = executor.read(replica, place.proc, place.array)?;
                    place.per_sample.extend(by_output(&gradient, lanes));
                }
                for recording in &mut self.recordings {
                    recording.take(executor, replica, b)?;
                }
            }
        }
        Ok(())
    }

    fn store(
        self,
        program: &Program,
        with_loss: bool,
        archive: &mut Archive,
    ) -> Result<(), Diagnostic> {
        for place in &self.places {
            place.store(program, self.outcomes.len(), archive)?;
        }
        for (name, of) in [
            (
                "first_spike",
                (|o| &o.first_spike) as fn(&Outcome) -> &Vec<f32>,
            ),
            ("score", |o| &o.score),
        ] {
            let outputs = self.outcomes.first().map_or(0, |o| of(o).len());
            if outputs > 0 {
                archive.add(name, &of_outputs(&self.outcomes, outputs, of))?;
            }
        }
        if with_loss {
            let losses: Array1<f32> = self.outcomes.iter().map(|o| o.loss).collect();
            archive.add("loss", &mean(losses.iter().copied()))?;
            let entropies = self.outcomes.iter().map(|o| o.cross_entropy);
            archive.add("cross_entropy", &mean(entropies))?;
            archive.add("loss.per_sample", &losses)?;
        }
        for recording in self.recordings {
            recording.store(archive)?;
        }
        Ok(())
    }
}

impl Place {
    fn store(
        &self,
        program: &Program,
        samples: usize,
        archive: &mut Archive,
    ) -> Result<(), Diagnostic> {
        let decl = &program.tensors[self.tensor];
        let (rows, lanes) = (decl.rows, decl.lanes);
        let mut sum = vec![0.0_f32; rows * lanes];
        for sample in self.per_sample.chunks_exact((rows * lanes).max(1)) {
            for (sum, gradient) in sum.iter_mut().zip(sample) {
                *sum += gradient;
            }
        }
        let per_sample_name = format!("{}.per_sample", decl.name);
        let fits = "as many values as the shape has places";
        let per_sample = self.per_sample.clone();
        if decl.name.ends_with(".bias") {
            archive.add(&decl.name, &Array1::from_vec(sum))?;
            let shape = (samples, lanes);
            let array = Array2::from_shape_vec(shape, per_sample).expect(fits);
            archive.add(&per_sample_name, &array)
        } else {
            let array = Array2::from_shape_vec((lanes, rows), sum).expect(fits);
            archive.add(&decl.name, &array)?;
            let shape = (samples, lanes, rows);
            let array = Array3::from_shape_vec(shape, per_sample).expect(fits);
            archive.add(&per_sample_name, &array)
        }
    }
}

/// First spikes or scores of the outputs, (B, N).
fn of_outputs(outcomes: &[Outcome], outputs: usize, of: fn(&Outcome) -> &Vec<f32>) -> Array2<f32> {
    let values = outcomes.iter().flat_map(|o| of(o).iter().copied());
    Array2::from_shape_vec((outcomes.len(), outputs), values.collect())
        .expect("every outcome has a value for each output")
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "written as f32, as the losses are"
)]
#[expect(clippy::cast_precision_loss, reason = "far below 2^53 samples")]
fn mean(values: impl ExactSizeIterator<Item = f32>) -> Array0<f32> {
    let samples = values.len().max(1) as f64;
    arr0((values.map(f64::from).sum::<f64>() / samples) as f32)
}

//! Training runs: from a configuration to a directory with everything that came out.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nirc_ir::executor::Executor;
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_spinnaker2::target::Target;

use crate::checkpoint::{Checkpoint, Origin};
use crate::config::{Config, Training};
use crate::data::{DataSet, Sets};
use crate::device::{Executors, Machine};
use crate::directory::Directory;
use crate::emulated::{EmulatedChip, Stats};
use crate::file;
use crate::model::Model;
use crate::program::{self, Job, compile, missing};
use crate::report::Report;
use crate::training::{Ended, Epoch, Evaluation, Observer, Trainer, Weights, weights};

/// What to train and where to.
#[derive(Clone, Debug)]
pub struct Train {
    /// Where it runs.
    pub executors: Executors,
    /// A new directory for what comes out; none: only the metrics are reported.
    pub out: Option<PathBuf>,
    /// The directory of a run to go on with; results go there unless `out` is given.
    pub resume: Option<PathBuf>,
}

/// Watches a run, and may end it.
pub trait Watcher {
    /// Something was repaired or assumed.
    fn note(&mut self, note: &Diagnostic);
    /// Training is about to begin or to go on.
    fn started(&mut self, started: &Started);
    /// A batch is done: training samples seen so far over all epochs, and measurements of this epoch.
    fn batch(&mut self, samples: usize, progress: &crate::training::Progress);
    /// A test within an epoch is done.
    fn evaluated(&mut self, evaluation: &Evaluation);
    /// An epoch is done.
    fn epoch(&mut self, epoch: &Epoch);
    /// Whether to end at the next opportunity, leaving a checkpoint.
    fn stop(&self) -> bool;
}

/// What a run is, before it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Name of the network.
    pub network: String,
    /// What it runs on.
    pub executor: &'static str,
    /// Replicas of the network.
    pub replicas: usize,
    /// Training samples of an epoch.
    pub epoch_samples: usize,
    /// Validation samples, where there is a set of them.
    pub validation_samples: Option<usize>,
    /// Test samples.
    pub test_samples: usize,
    /// Number of the last epoch.
    pub epochs: usize,
    /// Training samples seen before, of a run that goes on.
    pub samples_seen: usize,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// Whether it was stopped early.
    pub ended: Ended,
    /// All epochs, those before a resumption included.
    pub epochs: Vec<Epoch>,
    /// The epoch that was best on the validation set, whose weights these are; none without early stopping
    /// or before training has ended: they are those of the last batch.
    pub best: Option<usize>,
    /// The weights at the end.
    pub weights: Weights,
    /// Where everything was written.
    pub directory: Option<PathBuf>,
    /// What an emulated chip did in this run; none on other executors.
    pub chip: Option<ChipWork>,
}

/// What an emulated chip did in a run, testing included.
#[derive(Clone, Debug, PartialEq)]
pub struct ChipWork {
    /// Samples of a batch.
    pub batch: usize,
    /// Cycles of the last training batch, from its first command until the chip was quiet.
    pub batch_cycles: u64,
    /// Clocks of the target's operating points, Hz.
    pub clocks: [u64; 2],
    /// What each PE did.
    pub stats: Stats,
    /// Seconds that the emulation took.
    pub seconds: f64,
}

impl ChipWork {
    /// Milliseconds of the last training batch at a clock.
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    pub fn batch_ms(&self, hz: u64) -> f64 {
        self.batch_cycles as f64 * 1e3 / hz as f64
    }
}

/// Trains as the configuration says.
///
/// # Errors
/// When anything is wrong with the configuration, the model, the data or a file, or the device fails.
pub fn train(
    job: &Train,
    config: &Config,
    watcher: &mut dyn Watcher,
) -> Result<Trained, Diagnostics> {
    let settings = *program::training(config)?;
    let data = config.data.as_ref().ok_or_else(|| missing("data"))?;
    let model = Model::to_train(config)?;
    for note in &model.notes.0 {
        watcher.note(note);
    }
    let sets = Sets::load(data, config.time)?;
    check_samples(&model, &sets, config.time.ticks)?;
    let target = Target::spinnaker2();
    let job_of = Job::Train {
        samples: sets.train.len(),
    };
    let program = compile(&model.network, config, job_of, &target)?;
    let origin = Origin::new(
        config,
        model.weights().sha256(),
        sets.sha256(),
        program.replicas,
    );
    let (directory, checkpoint) = place(job, &origin)?;
    let mut executor = job.executors.start(&program, &target)?;
    let mut trainer = Trainer::new(&mut executor, &sets, settings)?;
    if let Some(checkpoint) = &checkpoint {
        trainer.restore(&checkpoint.snapshot)?;
    }
    watcher.started(&started(&trainer, &model, settings, &sets));
    let mut keeper = Keeper {
        directory: directory.as_ref(),
        origin: &origin,
        every: Duration::from_secs_f64(settings.checkpoint_seconds.min(1e9)),
        saved: Instant::now(),
        batch_cycles: None,
        watcher,
    };
    // From the first moment on there is something to resume from.
    keeper.save(&trainer)?;
    if let Some(directory) = &directory {
        directory.rewrite_metrics(&trainer.progress().epochs)?;
    }
    let begin = Instant::now();
    let ended = trainer.run(&mut keeper)?;
    let seconds = begin.elapsed().as_secs_f64();
    keeper.save(&trainer)?;
    let best = match ended {
        Ended::Stopped => None,
        Ended::Finished | Ended::Early => trainer.restore_best()?,
    };
    let epochs = trainer.progress().epochs.clone();
    let weights = weights(trainer.executor())?;
    let batch_cycles = keeper.batch_cycles;
    let chip = match (trainer.executor().stats()?, batch_cycles) {
        (Some(stats), Some(batch_cycles)) => Some(ChipWork {
            batch: settings.batch,
            batch_cycles,
            clocks: [target.clock.low_hz, target.clock.high_hz],
            stats,
            seconds,
        }),
        _ => None,
    };
    if let Some(directory) = &directory {
        let (bytes, notes) = model.export(&weights)?;
        for note in &notes.0 {
            keeper.watcher.note(note);
        }
        file::write_atomically(&directory.model(), &bytes)?;
        let progress = trainer.progress().clone();
        let report = Report {
            config,
            target: &target,
            program: &program,
            progress: &progress,
            best,
            test: &sets.test,
            weights: &weights,
            chip: chip.as_ref(),
        };
        let html = report.render(&mut executor)?;
        file::write_atomically(&directory.report(), html.as_bytes())?;
    }
    Ok(Trained {
        ended,
        epochs,
        best,
        weights,
        directory: directory.map(|d| d.path().to_owned()),
        chip,
    })
}

fn check_samples(model: &Model, sets: &Sets, ticks: u32) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    for (what, set) in sets.named() {
        if let Err(more) = model.accepts([what; 2], set, ticks) {
            problems.0.extend(more.0);
        }
    }
    problems.into_result(())
}

/// The directory to write to and the checkpoint to go on from, if any.
fn place(
    job: &Train,
    origin: &Origin,
) -> Result<(Option<Directory>, Option<Checkpoint>), Diagnostics> {
    let resumed = match &job.resume {
        Some(path) => {
            let (directory, checkpoint) = Directory::resume(path)?;
            checkpoint.origin.check(origin)?;
            Some((directory, checkpoint))
        }
        None => None,
    };
    let out = match &job.out {
        Some(path) if !job.resume.as_ref().is_some_and(|r| same(r, path)) => {
            Some(Directory::create(path)?)
        }
        _ => None,
    };
    Ok(match (out, resumed) {
        (None, Some((directory, checkpoint))) => (Some(directory), Some(checkpoint)),
        (out, resumed) => (out, resumed.map(|(_, checkpoint)| checkpoint)),
    })
}

/// Whether two paths lead to one directory.
fn same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}

fn started(
    trainer: &Trainer<'_, Machine>,
    model: &Model,
    settings: Training,
    sets: &Sets,
) -> Started {
    Started {
        network: model.network.name.clone(),
        executor: trainer.executor().name(),
        replicas: trainer.executor().program().replicas,
        epoch_samples: trainer.epoch_samples(),
        validation_samples: sets.validation.as_ref().map(DataSet::len),
        test_samples: sets.test.len(),
        epochs: settings.epochs,
        samples_seen: trainer.samples_seen(),
    }
}

/// Keeps metrics and checkpoints, and passes everything on to the watcher.
struct Keeper<'a> {
    directory: Option<&'a Directory>,
    origin: &'a Origin,
    every: Duration,
    saved: Instant,
    /// Of the last batch, on an emulated chip.
    batch_cycles: Option<u64>,
    watcher: &'a mut dyn Watcher,
}

impl Keeper<'_> {
    fn save(&mut self, trainer: &Trainer<'_, Machine>) -> Result<(), Diagnostic> {
        if let Some(directory) = self.directory {
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                snapshot: trainer.snapshot()?,
            };
            checkpoint.write(&directory.checkpoint())?;
            self.saved = Instant::now();
        }
        Ok(())
    }
}

impl Observer<Machine> for Keeper<'_> {
    fn batch(&mut self, trainer: &Trainer<'_, Machine>) -> Result<(), Diagnostic> {
        self.batch_cycles = trainer.executor().chip().map(EmulatedChip::batch_cycles);
        self.watcher
            .batch(trainer.samples_seen(), trainer.progress());
        if self.saved.elapsed() >= self.every {
            self.save(trainer)?;
        }
        Ok(())
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        self.watcher.evaluated(evaluation);
    }

    fn epoch(&mut self, epoch: &Epoch, _: &Trainer<'_, Machine>) -> Result<(), Diagnostic> {
        if let Some(directory) = self.directory {
            directory.add_metrics(epoch)?;
        }
        self.watcher.epoch(epoch);
        Ok(())
    }

    fn stop(&self) -> bool {
        self.watcher.stop()
    }
}

//! The training loop.

use std::time::Instant;

use nirc_ir::executor::{Executor, Outcome, Pass, Sample};
use nirc_ir::{Diagnostic, codes};
use serde::{Deserialize, Serialize};

use super::balance::balanced;
use super::early::{self, Standing};
use super::evaluate::evaluate;
use super::metrics::{Epoch, Evaluation, Measured, Tally};
use super::weights::{self, OptimiserArrays};
use crate::config::Training;
use crate::data::{DataSet, Sets};
use crate::random::{Mt19937State, Sampler};

/// Where training stands, between two batches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Finished epochs, with their measurements.
    pub epochs: Vec<Epoch>,
    /// Samples of the current epoch that were trained on.
    pub position: usize,
    /// State of the sampler (a Mersenne Twister) at the start of the current epoch; it gives the order.
    pub shuffle: Mt19937State,
    /// Sums over the current epoch.
    pub tally: Tally,
    /// Tests within the current epoch.
    pub evaluations: Vec<Evaluation>,
    /// Training time of the current epoch.
    pub seconds: f64,
    /// Test time of the current epoch.
    pub test_seconds: f64,
}

/// Everything needed to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Where training stands.
    pub progress: Progress,
    /// The optimiser's arrays.
    pub arrays: OptimiserArrays,
    /// The optimiser's arrays after the epoch that was best on the validation set, where early stopping
    /// watches it.
    pub best: Option<OptimiserArrays>,
}

/// Watches training, and may end it.
pub trait Observer<E: ?Sized> {
    /// After each batch.
    ///
    /// # Errors
    /// Whatever the observer cannot do; it ends training.
    fn batch(&mut self, trainer: &Trainer<'_, E>) -> Result<(), Diagnostic>;

    /// After each test within an epoch.
    fn evaluated(&mut self, evaluation: &Evaluation);

    /// After each epoch.
    ///
    /// # Errors
    /// Whatever the observer cannot do; it ends training.
    fn epoch(&mut self, epoch: &Epoch, trainer: &Trainer<'_, E>) -> Result<(), Diagnostic>;

    /// Whether to end at the next opportunity.
    fn stop(&self) -> bool;
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// After the last epoch.
    Finished,
    /// Because the validation set saw no improvement for as long as early stopping waits.
    Early,
    /// Because the observer said so; a snapshot taken now continues.
    Stopped,
}

/// Trains on one executor.
pub struct Trainer<'a, E: ?Sized> {
    executor: &'a mut E,
    sets: &'a Sets,
    settings: Training,
    progress: Progress,
    best: Option<OptimiserArrays>,
}

impl<'a, E: Executor> Trainer<'a, E> {
    /// Starts from the executor's present weights.
    ///
    /// # Errors
    /// When the training set is smaller than a batch, a set is empty, or early stopping has no validation
    /// set.
    pub fn new(
        executor: &'a mut E,
        sets: &'a Sets,
        settings: Training,
    ) -> Result<Self, Diagnostic> {
        let (train, test) = (&sets.train, &sets.test);
        let is_watched = settings.early_stopping.is_some();
        if sets
            .validation
            .as_ref()
            .map_or(is_watched, DataSet::is_empty)
        {
            return Err(Diagnostic::error(
                codes::CONFIG_CONTRADICTION,
                "data.validation",
                "there is no sample to validate on",
            )
            .help("add samples, or remove `[training.early_stopping]` and the set"));
        }
        if train.len() < settings.batch || settings.batch == 0 || test.is_empty() {
            return Err(Diagnostic::error(
                codes::CONFIG_CONTRADICTION,
                "training.batch",
                format!(
                    "a batch of {} samples needs as many of {} training samples, and a test some \
                     of {} test samples",
                    settings.batch,
                    train.len(),
                    test.len()
                ),
            )
            .help("use a smaller batch or more samples"));
        }
        let shuffle = Sampler::new(settings.seed).state();
        Ok(Self {
            executor,
            sets,
            settings,
            progress: Progress {
                epochs: Vec::new(),
                position: 0,
                shuffle,
                tally: Tally::default(),
                evaluations: Vec::new(),
                seconds: 0.0,
                test_seconds: 0.0,
            },
            best: None,
        })
    }

    /// Goes on from a snapshot, whatever executor it was taken on.
    ///
    /// # Errors
    /// When the snapshot does not fit the program or the data, or the device cannot be written.
    pub fn restore(&mut self, snapshot: &Snapshot) -> Result<(), Diagnostic> {
        let progress = &snapshot.progress;
        let misfit = |message: String| {
            Diagnostic::error(codes::CHECKPOINT, "checkpoint", message)
                .help("resume with the model and configuration that the run began with")
        };
        for arrays in [&snapshot.arrays].into_iter().chain(&snapshot.best) {
            weights::fits(self.executor.program(), arrays).map_err(misfit)?;
        }
        let batch = self.settings.batch;
        if progress.position > self.sets.train.len() || !progress.position.is_multiple_of(batch) {
            return Err(misfit(format!(
                "position {} is not a whole number of batches of {batch} within {} samples",
                progress.position,
                self.sets.train.len()
            )));
        }
        if Sampler::from_state(&progress.shuffle).is_none() {
            return Err(misfit(
                "the sampler's state is none of a Mersenne Twister".to_owned(),
            ));
        }
        weights::restore(self.executor, &snapshot.arrays)?;
        self.progress = progress.clone();
        self.best.clone_from(&snapshot.best);
        Ok(())
    }

    /// The epoch that was best on the validation set, where early stopping watches it.
    pub fn standing(&self) -> Option<Standing> {
        early::standing(&self.progress.epochs, self.settings.early_stopping?)
    }

    /// Gives the executor the weights of the best epoch, and says which that is; without early stopping
    /// nothing happens. A snapshot to go on from has to be taken before.
    ///
    /// # Errors
    /// When the device cannot be written.
    pub fn restore_best(&mut self) -> Result<Option<usize>, Diagnostic> {
        let (Some(standing), Some(best)) = (self.standing(), &self.best) else {
            return Ok(None);
        };
        weights::restore(self.executor, best)?;
        Ok(Some(standing.best))
    }

    /// Where training stands, for a later [`Trainer::restore`].
    ///
    /// # Errors
    /// When the device cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot, Diagnostic> {
        Ok(Snapshot {
            progress: self.progress.clone(),
            arrays: weights::save(self.executor)?,
            best: self.best.clone(),
        })
    }

    /// Where training stands.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// What it trains on.
    pub fn executor(&self) -> &E {
        self.executor
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Training {
        &self.settings
    }

    /// Samples that an epoch trains on: whole batches only.
    pub fn epoch_samples(&self) -> usize {
        self.sets.train.len() / self.settings.batch * self.settings.batch
    }

    /// Trains up to the last epoch, or until early stopping ends it. The executor then has the weights of
    /// the last epoch, from which a run can go on; [`Trainer::restore_best`] takes the best.
    ///
    /// # Errors
    /// When the executor or the observer fails.
    pub fn run(&mut self, observer: &mut dyn Observer<E>) -> Result<Ended, Diagnostic> {
        let only_test = self.settings.epochs == 0
            && self.samples_seen() == 0
            && self.progress.evaluations.is_empty();
        if only_test && self.evaluate_within(observer)? == Ended::Stopped {
            return Ok(Ended::Stopped);
        }
        while self.progress.epochs.len() < self.settings.epochs {
            if self.standing().is_some_and(|standing| standing.is_over) {
                return Ok(Ended::Early);
            }
            if self.epoch(observer)? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
        }
        Ok(Ended::Finished)
    }

    fn epoch(&mut self, observer: &mut dyn Observer<E>) -> Result<Ended, Diagnostic> {
        let (order, next_shuffle) = self.order();
        let train = &self.sets.train;
        let mut batch: Vec<Sample<'_>> = Vec::with_capacity(self.settings.batch);
        let mut outcomes = Vec::with_capacity(self.settings.batch);
        while self.progress.position < self.epoch_samples() {
            if self.evaluation_due() && self.evaluate_within(observer)? == Ended::Stopped {
                return Ok(Ended::Stopped);
            }
            if observer.stop() {
                return Ok(Ended::Stopped);
            }
            let from = self.progress.position;
            batch.clear();
            batch.extend(
                order[from..from + self.settings.batch]
                    .iter()
                    .map(|&k| train.sample(k)),
            );
            self.train_batch(&batch, &mut outcomes)?;
            observer.batch(self)?;
        }
        if observer.stop() {
            return Ok(Ended::Stopped);
        }
        self.finish_epoch(next_shuffle, observer)
    }

    /// The order of this epoch's samples, and the generator's state for the next.
    fn order(&self) -> (Vec<usize>, Mt19937State) {
        let mut sampler = Sampler::from_state(&self.progress.shuffle)
            .expect("made by a sampler, or checked when restored");
        let order = match self.settings.shuffle {
            true => sampler.next_epoch(self.sets.train.len()),
            false => (0..self.sets.train.len()).collect(),
        };
        let order = match self.settings.balanced {
            true => balanced(&order, self.sets.train.labels(), self.epoch_samples()),
            false => order,
        };
        (order, sampler.state())
    }

    fn train_batch(
        &mut self,
        batch: &[Sample<'_>],
        outcomes: &mut Vec<Outcome>,
    ) -> Result<(), Diagnostic> {
        let begin = Instant::now();
        outcomes.clear();
        self.executor.run(Pass::Train, batch, outcomes)?;
        for (outcome, sample) in outcomes.iter().zip(batch) {
            self.progress.tally.count(outcome, sample.label);
        }
        if outcomes.iter().any(|outcome| !outcome.loss.is_finite()) {
            return Err(self.diverged("a loss"));
        }
        self.progress.position += batch.len();
        self.progress.seconds += begin.elapsed().as_secs_f64();
        Ok(())
    }

    /// Something is no number any more: all that would follow were none either.
    fn diverged(&self, what: &str) -> Diagnostic {
        let message = format!(
            "training has diverged: {what} is no finite number in epoch {}, by sample {}",
            self.progress.epochs.len() + 1,
            self.progress.position,
        );
        Diagnostic::error(codes::DIVERGED, "training", message)
            .help("lower `optimiser.learning_rate`, or look at the scales in [loss] and [init]")
    }

    /// Training samples seen over all epochs.
    pub fn samples_seen(&self) -> usize {
        self.progress.epochs.len() * self.epoch_samples() + self.progress.position
    }

    fn evaluation_due(&self) -> bool {
        let seen = self.samples_seen();
        let last = self.progress.evaluations.last().map(|e| e.samples);
        self.settings.evaluate_every.is_some_and(|every| {
            // The first batch boundary at or after each multiple; the epoch's end is tested anyway.
            last != Some(seen)
                && seen % every < self.settings.batch
                && (self.progress.position > 0 || self.progress.epochs.is_empty())
        })
    }

    fn evaluate_within(&mut self, observer: &mut dyn Observer<E>) -> Result<Ended, Diagnostic> {
        let begin = Instant::now();
        let Some(tally) = evaluate(self.executor, &self.sets.test, &|| observer.stop())? else {
            return Ok(Ended::Stopped);
        };
        self.progress.test_seconds += begin.elapsed().as_secs_f64();
        let evaluation = Evaluation {
            samples: self.samples_seen(),
            test_loss: tally.mean_cross_entropy(),
            test_accuracy: tally.accuracy(),
        };
        self.progress.evaluations.push(evaluation);
        observer.evaluated(&evaluation);
        Ok(Ended::Finished)
    }

    fn finish_epoch(
        &mut self,
        next_shuffle: Mt19937State,
        observer: &mut dyn Observer<E>,
    ) -> Result<Ended, Diagnostic> {
        let begin = Instant::now();
        let Some(test) = evaluate(self.executor, &self.sets.test, &|| observer.stop())? else {
            return Ok(Ended::Stopped);
        };
        let validation = match &self.sets.validation {
            None => None,
            Some(set) => match evaluate(self.executor, set, &|| observer.stop())? {
                Some(tally) => Some(Measured::from(tally)),
                None => return Ok(Ended::Stopped),
            },
        };
        let weights = weights::weights(self.executor)?;
        if weights
            .0
            .values()
            .flatten()
            .any(|weight| !weight.is_finite())
        {
            return Err(self.diverged("a weight"));
        }
        let progress = &mut self.progress;
        let tally = std::mem::take(&mut progress.tally);
        let epoch = Epoch {
            epoch: progress.epochs.len() + 1,
            train_loss: tally.mean_loss(),
            train_accuracy: tally.accuracy(),
            validation,
            test_loss: test.mean_cross_entropy(),
            test_accuracy: test.accuracy(),
            seconds: std::mem::take(&mut progress.seconds),
            test_seconds: std::mem::take(&mut progress.test_seconds)
                + begin.elapsed().as_secs_f64(),
            executor: self.executor.name().to_owned(),
            weights_sha256: weights.sha256(),
            evaluations: std::mem::take(&mut progress.evaluations),
        };
        progress.position = 0;
        progress.shuffle = next_shuffle;
        progress.epochs.push(epoch.clone());
        if self.standing().is_some_and(|s| s.best == epoch.epoch) {
            self.best = Some(weights::save(self.executor)?);
        }
        observer.epoch(&epoch, self)?;
        Ok(Ended::Finished)
    }
}

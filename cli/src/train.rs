//! `nirc train`

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_runtime::config::{Config, Tree};
use nirc_runtime::jobs::{self, ChipWork, Started, Trained, Watcher};
use nirc_runtime::training::{Ended, Epoch, Evaluation, Progress};

use crate::args::Train;
use crate::show;

/// Trains a network.
pub(crate) fn train(args: &Train, json: bool) -> Result<(), Diagnostics> {
    let config = config(args)?;
    let job = jobs::Train {
        executors: args.executor.into(),
        out: args.out.clone(),
        resume: args.resume.clone(),
    };
    let mut terminal = Terminal::new(json);
    let trained = jobs::train(&job, &config, &mut terminal);
    terminal.bar.finish_and_clear();
    let trained = trained?;
    if !json {
        conclude(&trained);
    }
    Ok(())
}

fn config(args: &Train) -> Result<Config, Diagnostics> {
    let mut tree = Tree::read(&args.config)?;
    args.overrides.apply(&mut tree)?;
    for (key, value) in [
        ("training.epochs", args.epochs),
        ("training.seed", args.seed),
        ("data.train.samples", args.samples),
    ] {
        if let Some(value) = value {
            tree.set_value(key, i64::from(value).into())?;
        }
    }
    Config::from_tree(&tree)
}

fn conclude(trained: &Trained) {
    if trained.ended == Ended::Early {
        show::line(format!(
            "stopped early after epoch {}: no improvement on the validation set",
            trained.epochs.len()
        ));
    }
    let shown = match trained.best {
        Some(best) => trained.epochs.iter().find(|epoch| epoch.epoch == best),
        None => trained.epochs.last(),
    };
    if let (Some(best), Some(validation)) = (trained.best, shown.and_then(|e| e.validation)) {
        show::line(format!(
            "restored the weights of epoch {best}: validation loss {:.4}, accuracy {}",
            validation.loss,
            percent(validation.accuracy)
        ));
    }
    if let Some(last) = shown {
        show::line(format!(
            "test accuracy {}, weights sha256 {}",
            percent(last.test_accuracy),
            trained.weights.sha256()
        ));
    }
    if let Some(work) = &trained.chip {
        show_work(work);
    }
    match (&trained.directory, trained.ended) {
        (Some(directory), Ended::Finished | Ended::Early) => {
            show::line(format!(
                "report: {}",
                directory.join("report.html").display()
            ));
            show::line(format!("model:  {}", directory.join("model.nir").display()));
        }
        (Some(directory), Ended::Stopped) => show::line(format!(
            "stopped; go on with --resume {}",
            directory.display()
        )),
        (None, Ended::Stopped) => show::line("stopped"),
        (None, Ended::Finished | Ended::Early) => {}
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn show_work(work: &ChipWork) {
    let at = |hz: u64| format!("{:.2} ms at {} MHz", work.batch_ms(hz), hz / 1_000_000);
    show::line(format!(
        "the chip: {} cycles for a batch of {}, that is {}",
        work.batch_cycles,
        work.batch,
        work.clocks.map(at).join(" or ")
    ));
    let total = work.stats.total();
    show::line(format!(
        "emulated: {:.3e} instructions and {:.3e} packets, {:.0} million instructions a second",
        total.instructions as f64,
        total.packets_sent as f64,
        total.instructions as f64 * 1e-6 / work.seconds.max(f64::MIN_POSITIVE)
    ));
}

fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

/// Shows a run: a bar where there is a terminal, and a line an epoch.
struct Terminal {
    json: bool,
    bar: ProgressBar,
    epochs: usize,
    interrupted: Arc<AtomicBool>,
}

impl Terminal {
    fn new(json: bool) -> Self {
        let interrupted = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&interrupted);
        // The first signal asks, the second does not. Without a handler (there can be but one a
        // process) a signal ends the process, and the last checkpoint is there to resume from.
        let _ = ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
        });
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Self {
            json,
            bar,
            epochs: 0,
            interrupted,
        }
    }

    fn print(&self, text: &str) {
        self.bar.suspend(|| show::line(text));
    }
}

impl Watcher for Terminal {
    fn note(&mut self, note: &Diagnostic) {
        show::diagnostic(note, self.json);
    }

    fn started(&mut self, started: &Started) {
        self.epochs = started.epochs;
        if io::stderr().is_terminal() {
            let style = "{wide_bar:.cyan/black} {pos}/{len} samples  {per_sec}  {eta} left  {msg}";
            self.bar = ProgressBar::new((started.epochs * started.epoch_samples) as u64);
            self.bar.set_style(
                ProgressStyle::with_template(style)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            self.bar.set_position(started.samples_seen as u64);
            self.bar.reset_eta();
        }
        if !self.json {
            self.print(&format!(
                "{} on {}: {} samples an epoch, {}{} test samples, {} replica{}",
                started.network,
                started.executor,
                started.epoch_samples,
                match started.validation_samples {
                    Some(samples) => format!("{samples} validation samples, "),
                    None => String::new(),
                },
                started.test_samples,
                started.replicas,
                if started.replicas == 1 { "" } else { "s" }
            ));
        }
    }

    fn batch(&mut self, samples: usize, progress: &Progress) {
        self.bar.set_position(samples as u64);
        if !self.bar.is_hidden() {
            let accuracy = percent(progress.tally.accuracy());
            self.bar.set_message(format!("training {accuracy}"));
        }
    }

    fn evaluated(&mut self, evaluation: &Evaluation) {
        if self.json {
            // Within an epoch it is part of the epoch's object.
            if self.epochs == 0 {
                show::json(evaluation);
            }
        } else {
            self.print(&format!(
                "after {:>6} samples  test {}",
                evaluation.samples,
                percent(evaluation.test_accuracy)
            ));
        }
    }

    fn epoch(&mut self, epoch: &Epoch) {
        if self.json {
            self.bar.suspend(|| show::json(epoch));
            return;
        }
        self.print(&format!(
            "epoch {:>3}/{}  loss {:.4}  training {}{}  test {}  {:.2} s",
            epoch.epoch,
            self.epochs,
            epoch.train_loss,
            percent(epoch.train_accuracy),
            match epoch.validation {
                Some(validation) => format!("  validation {}", percent(validation.accuracy)),
                None => String::new(),
            },
            percent(epoch.test_accuracy),
            epoch.seconds
        ));
    }

    fn stop(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

//! The report of a training run.

use nirc_ir::event::{Output, Program, Role};
use nirc_ir::executor::{Executor, Outcome, Pass};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::{Diagnostic, Diagnostics};
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use serde::Serialize;

use super::chart::{Chart, Series};
use super::chip::ChipPart;
use super::page::{Tile, render};
use super::raster::{Band, Lines, Raster, Verdict, marks};
use crate::config::Config;
use crate::data::DataSet;
use crate::jobs::ChipWork;
use crate::training::{Epoch, Evaluation, Measured, Progress, Weights};

/// Everything that a report tells.
pub struct Report<'a> {
    /// The configuration of the run.
    pub config: &'a Config,
    /// The chip it is compiled for.
    pub target: &'a Target,
    /// The training program, with the initial weights.
    pub program: &'a Program,
    /// Where training stands.
    pub progress: &'a Progress,
    /// The epoch whose weights early stopping restored.
    pub best: Option<usize>,
    /// The test samples, of which some are shown.
    pub test: &'a DataSet,
    /// The weights at the end.
    pub weights: &'a Weights,
    /// What the chip did, where training ran on an emulated one.
    pub chip: Option<&'a ChipWork>,
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    network: &'a str,
    executor: &'static str,
    convention: &'a str,
    ticks: u32,
    dt_ms: String,
    replicas: usize,
    tiles: Vec<Tile>,
    charts: Vec<String>,
    rasters: Vec<Pair>,
    chip: ChipPart,
    /// Whether it ran on an emulated chip.
    worked: bool,
    /// Whether what the chip did includes tests.
    tests: bool,
    /// What singles out the output that is the answer.
    answer: &'a str,
    settings: Vec<(String, String)>,
    weights_sha256: String,
    version: &'static str,
}

/// A sample before and after training.
#[derive(Serialize)]
struct Pair {
    before: String,
    after: String,
}

impl Report<'_> {
    /// Writes the report; `executor` shows some samples with the trained weights.
    ///
    /// # Errors
    /// When the executor fails.
    pub fn render(&self, executor: &mut dyn Executor) -> Result<String, Diagnostics> {
        let rasters = self.rasters(executor)?;
        let stats = self.chip.map(|work| &work.stats);
        let chip = ChipPart::of(self.program, self.target, Balance::default(), stats);
        let page = Page {
            network: &self.program.name,
            executor: executor.name(),
            convention: &self.config.convention.name,
            ticks: self.program.ticks,
            dt_ms: (self.program.dt * 1e3).to_string(),
            replicas: self.program.replicas,
            tiles: self.tiles(),
            charts: self.charts(),
            rasters,
            chip,
            worked: self.chip.is_some(),
            tests: true,
            answer: self.answer(),
            settings: self.settings(),
            weights_sha256: self.weights.sha256(),
            version: env!("CARGO_PKG_VERSION"),
        };
        Ok(render("training.html", &page)?)
    }

    /// Which output the program predicts.
    fn answer(&self) -> &'static str {
        let loss = self
            .program
            .loss()
            .map(|loss| &self.program.processes[loss]);
        match loss.and_then(|loss| loss.array("score")) {
            Some(_) => "with the highest score",
            None => "that spikes first",
        }
    }

    fn tiles(&self) -> Vec<Tile> {
        let tile = Tile::new;
        let epochs = &self.progress.epochs;
        let mut tiles = Vec::new();
        let shown = match self.best {
            Some(best) => epochs.iter().find(|e| e.epoch == best),
            None => epochs.last(),
        };
        if let Some(shown) = shown {
            tiles.push(tile(percent(shown.test_accuracy), "test accuracy"));
            if let Some(validation) = shown.validation {
                tiles.push(tile(percent(validation.accuracy), "validation accuracy"));
            }
        }
        if let Some(best) = self.best {
            tiles.push(tile(
                best.to_string(),
                "best epoch, whose weights these are",
            ));
        }
        if let Some(last) = epochs.last() {
            tiles.push(tile(
                percent(last.train_accuracy),
                "training accuracy, last epoch",
            ));
            let seconds: f64 = epochs.iter().map(|e| e.seconds).sum();
            #[expect(clippy::cast_precision_loss, reason = "a number of epochs")]
            let mean = seconds / epochs.len() as f64;
            tiles.push(tile(format!("{mean:.2} s"), "training time an epoch"));
        }
        if let Some(before) = self.evaluations().first().filter(|e| e.samples == 0) {
            tiles.insert(
                0,
                tile(percent(before.test_accuracy), "test accuracy before"),
            );
        }
        let planned = self.config.training.map_or(epochs.len(), |t| t.epochs);
        tiles.push(tile(format!("{} of {planned}", epochs.len()), "epochs"));
        if let Some(work) = self.chip {
            for hz in work.clocks {
                tiles.push(tile(
                    format!("{:.2} ms", work.batch_ms(hz)),
                    &format!(
                        "a batch of {} on the chip at {} MHz",
                        work.batch,
                        hz / 1_000_000
                    ),
                ));
            }
        }
        tiles
    }

    /// Tests within epochs, those of the unfinished one included.
    fn evaluations(&self) -> Vec<Evaluation> {
        let finished = self.progress.epochs.iter().flat_map(|e| &e.evaluations);
        finished
            .chain(&self.progress.evaluations)
            .copied()
            .collect()
    }

    fn charts(&self) -> Vec<String> {
        let epochs = &self.progress.epochs;
        #[expect(clippy::cast_precision_loss, reason = "small counts")]
        let over = |value: fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
            epochs.iter().map(|e| (e.epoch as f64, value(e))).collect()
        };
        let series = |name, class, points| Series {
            name,
            class,
            points,
        };
        let mut charts = Vec::new();
        let evaluations = self.evaluations();
        if !evaluations.is_empty() {
            charts.push(self.curve(&evaluations));
        }
        let validation = |value: fn(Measured) -> f64| {
            let measured = epochs.iter().filter_map(|e| Some((e.epoch, e.validation?)));
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let points: Vec<_> = measured.map(|(k, m)| (k as f64, value(m))).collect();
            (!points.is_empty()).then(|| series("validation", "c", points))
        };
        if epochs.len() > 1 || evaluations.is_empty() {
            charts.push(Chart {
                title: "Accuracy",
                x: "epoch",
                percent: true,
                series: [
                    series("training", "a", over(|e| e.train_accuracy)),
                    series("test", "b", over(|e| e.test_accuracy)),
                ]
                .into_iter()
                .chain(validation(|m| m.accuracy))
                .collect(),
            });
            charts.push(Chart {
                title: "Loss",
                x: "epoch",
                percent: false,
                series: [
                    series("training", "a", over(|e| e.train_loss)),
                    series("test, cross entropy", "b", over(|e| e.test_loss)),
                ]
                .into_iter()
                .chain(validation(|m| m.loss))
                .collect(),
            });
        } else {
            #[expect(clippy::cast_precision_loss, reason = "small counts")]
            let points = evaluations.iter().map(|e| (e.samples as f64, e.test_loss));
            charts.push(Chart {
                title: "Loss",
                x: "training samples seen",
                percent: false,
                series: vec![series("test, cross entropy", "b", points.collect())],
            });
        }
        charts
            .iter()
            .map(|chart| chart.draw().to_string())
            .collect()
    }

    /// Test accuracy by training samples, ends of epochs included.
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    fn curve(&self, evaluations: &[Evaluation]) -> Chart {
        let mut points: Vec<(f64, f64)> = evaluations
            .iter()
            .map(|e| (e.samples as f64, e.test_accuracy))
            .collect();
        if let (Some(training), Some(data)) = (&self.config.training, &self.config.data)
            && let Ok(samples) = crate::data::training_samples(data)
        {
            let whole = samples / training.batch * training.batch;
            let ends = self.progress.epochs.iter();
            points.extend(ends.map(|e| ((e.epoch * whole) as f64, e.test_accuracy)));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        Chart {
            title: "Accuracy",
            x: "training samples seen",
            percent: true,
            series: vec![Series {
                name: "test",
                class: "b",
                points,
            }],
        }
    }

    /// The first test sample of each class, with the initial weights and with the trained ones.
    fn rasters(&self, executor: &mut dyn Executor) -> Result<Vec<Pair>, Diagnostic> {
        const CLASSES: u32 = 4;
        let labels = self.test.labels();
        let first = |class| labels.iter().position(|label| *label == class);
        // The interpreter is the meaning of the program, whatever ran the training.
        let mut initial = Interpreter::new(self.program);
        let mut pairs = Vec::new();
        for sample in (0..CLASSES).filter_map(first) {
            let title = |when: &str| format!("Class {}, {when} training", labels[sample]);
            let before = self.raster(&mut initial, sample)?;
            let after = self.raster(executor, sample)?;
            pairs.push(Pair {
                before: before.draw(&title("before")).to_string(),
                after: after.draw(&title("after")).to_string(),
            });
        }
        Ok(pairs)
    }

    fn raster(&self, executor: &mut dyn Executor, sample: usize) -> Result<Raster, Diagnostic> {
        let mut outcomes = Vec::with_capacity(1);
        executor.run(Pass::Forward, &[self.test.sample(sample)], &mut outcomes)?;
        // What emits values records none of them while it trains.
        let shown = self.program.processes.iter().filter(|(_, process)| {
            matches!(process.role, Role::Source | Role::Neurons) && process.output == Output::Spikes
        });
        let bands = shown.map(|(proc, process)| {
            Ok(Band {
                name: process.name.clone(),
                lanes: process.lanes,
                lines: Lines::Spikes(marks(executor, proc)?),
            })
        });
        Ok(Raster {
            ticks: self.program.ticks,
            bands: bands.collect::<Result<_, Diagnostic>>()?,
            verdict: Some(Verdict {
                label: self.test.labels()[sample],
                predicted: outcomes.first().map_or(0, Outcome::predicted),
            }),
        })
    }

    /// Every key of the configuration with its value.
    fn settings(&self) -> Vec<(String, String)> {
        let mut settings = Vec::new();
        if let Ok(tree) = serde_json::to_value(self.config) {
            flatten("", &tree, &mut settings);
        }
        settings
    }
}

fn flatten(path: &str, value: &serde_json::Value, settings: &mut Vec<(String, String)>) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match value {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                flatten(&below(key), value, settings);
            }
        }
        serde_json::Value::Array(list) => {
            for (k, value) in list.iter().enumerate() {
                flatten(&below(&k.to_string()), value, settings);
            }
        }
        serde_json::Value::Null => {}
        serde_json::Value::String(text) => settings.push((path.to_owned(), text.clone())),
        other => settings.push((path.to_owned(), other.to_string())),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

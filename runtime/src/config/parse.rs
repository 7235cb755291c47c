//! From the TOML tree to a checked [`Config`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use nirc_compiler::options::ExactTimes;
use nirc_compiler::passes::Change;
use nirc_ir::network::Convention;
use nirc_ir::{Diagnostics, codes};

use super::section::Section;
use super::{
    Config, EarlyStopping, Init, Mapping, Metric, Style, Time, TimeModel, Training, Tree,
    optimiser, regularise,
};
use super::{data, loss};

/// Seconds between checkpoints unless the configuration says otherwise.
const CHECKPOINT_SECONDS: f64 = 10.0;
/// Most bins of a sample: bins are kept in 16 bits on the chip.
pub(super) const MOST_TICKS: u32 = 65_535;

impl Config {
    /// Reads a tree.
    ///
    /// # Errors
    /// Every problem in it.
    pub fn from_tree(tree: &Tree) -> Result<Self, Diagnostics> {
        let problems = RefCell::default();
        let root = Section::root(&tree.name, &tree.table, &problems);
        let config = read(&root, &tree.directory);
        root.finish();
        if let Some(config) = &config {
            check(config, &root);
        }
        let problems = problems.into_inner();
        match config {
            Some(config) => problems.into_result(config),
            None => Err(problems),
        }
    }
}

fn read(root: &Section<'_>, directory: &Path) -> Option<Config> {
    let model = optional(root, "model", |section| model(section, directory));
    let convention = root
        .required_section("convention")
        .and_then(|section| convention(&section));
    let time = root
        .required_section("time")
        .and_then(|section| time(&section));
    let data = optional(root, "data", |section| data::read(section, directory));
    let init = init(root);
    let loss = optional(root, "loss", loss::read);
    let regularise = regularise::read(root);
    let optimiser = optional(root, "optimiser", optimiser::read);
    let training = optional(root, "training", training);
    let mapping = match root.section("mapping") {
        Some(section) => mapping(&section),
        None => Some(Mapping {
            style: Style::Paper,
            replicas: None,
            spike_bound: None,
        }),
    };
    let (convention, changes) = convention?;
    Some(Config {
        model: model?,
        convention,
        changes,
        time: time?,
        data: data?,
        init: init?,
        loss: loss?,
        regularise: regularise?,
        optimiser: optimiser?,
        training: training?,
        mapping: mapping?,
    })
}

/// `Some(None)` for an absent section, `None` for one with problems.
fn optional<'a, T>(
    root: &Section<'a>,
    key: &str,
    read: impl FnOnce(&Section<'a>) -> Option<T>,
) -> Option<Option<T>> {
    if !root.has(key) {
        root.section(key);
        return Some(None);
    }
    root.section(key)
        .and_then(|section| read(&section))
        .map(Some)
}

fn model(section: &Section<'_>, directory: &Path) -> Option<PathBuf> {
    let path = section.required_text("path", "the path of a .nir file");
    section.finish();
    path.map(|path| directory.join(path))
}

/// The convention, and which of its attributes the section names.
fn convention(section: &Section<'_>) -> Option<(Convention, Vec<Change>)> {
    let presets: Vec<(&str, &str)> = Convention::PRESETS.map(|name| (name, name)).to_vec();
    let preset = section.required_choice("preset", &presets);
    let mut changes = Vec::new();
    for attribute in Convention::describe() {
        let name = attribute.name;
        let words: Vec<(&str, &str)> = attribute.values.iter().map(|(w, _)| (*w, *w)).collect();
        let value = match name {
            "time_unit" => section
                .float(name, "a positive number of seconds", POSITIVE)
                .map(|v| v.to_string()),
            "dt" | "weight_scale" => section
                .float(name, "a positive number", POSITIVE)
                .map(|v| v.to_string()),
            "if_decay" => section
                .float(name, "a number from 0 to 1", 0.0..=1.0)
                .map(|v| v.to_string()),
            "first_tick" => section
                .integer(name, "0 or 1", 0..=1)
                .map(|v| v.to_string()),
            _ if words.is_empty() => section
                .integer(name, "a number of ticks", 0..=MOST_TICKS)
                .map(|v| v.to_string()),
            _ => section.choice(name, &words).map(str::to_owned),
        };
        changes.extend(value.map(|value| Change {
            population: None,
            attribute: name.to_owned(),
            value,
        }));
    }
    section.finish();
    let mut convention = Convention::preset(preset?)?;
    for change in &changes {
        convention.set(&change.attribute, &change.value).ok()?;
    }
    if let Err(message) = convention.check() {
        let help = "`nirc conventions` lists what each attribute can be";
        section.problem(codes::CONVENTION, "", &message, help);
    }
    Some((convention, changes))
}

/// Positive and finite.
pub(super) const POSITIVE: std::ops::RangeInclusive<f64> = f64::MIN_POSITIVE..=f64::MAX;
/// Finite.
pub(super) const FINITE: std::ops::RangeInclusive<f64> = f64::MIN..=f64::MAX;
/// Zero or more, finite.
pub(super) const NOT_NEGATIVE: std::ops::RangeInclusive<f64> = 0.0..=f64::MAX;

fn time(section: &Section<'_>) -> Option<Time> {
    let ticks = section.required_integer("ticks", "a number of bins, 2 to 65535", 2..=MOST_TICKS);
    let dt = section.required_float("dt", "a positive number of seconds", POSITIVE);
    let model = time_model(section);
    section.finish();
    Some(Time {
        ticks: ticks?,
        dt: dt?,
        model: model?,
    })
}

fn time_model(section: &Section<'_>) -> Option<TimeModel> {
    let models = [("tick", false), ("event", true)];
    let event = section.choice_or("model", false, &models);
    let usual = ExactTimes::default().guard;
    let guard = section.float_or("guard", usual, "a number of 0 or more", NOT_NEGATIVE);
    match event? {
        true => Some(TimeModel::Event { guard: guard? }),
        false => {
            if section.has("guard") {
                section.contradiction(
                    "guard",
                    "only exact spike times have slopes to guard",
                    "remove it, or set `model = \"event\"`",
                );
            }
            Some(TimeModel::Tick)
        }
    }
}

/// A number of samples, for messages.
pub(super) const SAMPLES: &str = "a number of samples, 1 to 100000000";
/// As many.
pub(super) const MANY: std::ops::RangeInclusive<usize> = 1..=100_000_000;
/// A seed, for messages.
pub(super) const SEED: &str = "a seed, 0 to 4294967295";

fn init(root: &Section<'_>) -> Option<Vec<Init>> {
    let Some(section) = root.section("init") else {
        return (!root.has("init")).then(Vec::new);
    };
    let rules: Vec<Option<Init>> = section
        .keys()
        .map(|node| {
            let rule = section.section(node)?;
            let mean = rule.required_float("mean", "a number", FINITE);
            let std = rule.required_float("std", "a number of 0 or more", NOT_NEGATIVE);
            rule.finish();
            Some(Init {
                node: node.to_owned(),
                mean: mean?,
                std: std?,
            })
        })
        .collect();
    rules.into_iter().collect()
}

fn training(section: &Section<'_>) -> Option<Training> {
    let epochs =
        section.required_integer("epochs", "a number of epochs, 0 to 1000000", 0..=1_000_000);
    let batch = section.required_integer("batch", "a number of samples, 1 or more", MANY);
    let seed = section.required_integer("seed", SEED, 0..=u32::MAX);
    let shuffle = section.boolean_or("shuffle", true);
    let balanced = section.boolean_or("balanced", false);
    let early_stopping = optional(section, "early_stopping", early_stopping);
    let evaluate_every = section.integer("evaluate_every", SAMPLES, MANY);
    let checkpoint_seconds = section.float_or(
        "checkpoint_seconds",
        CHECKPOINT_SECONDS,
        "a number of seconds, 0 or more",
        NOT_NEGATIVE,
    );
    section.finish();
    Some(Training {
        epochs: epochs?,
        batch: batch?,
        seed: seed?,
        shuffle: shuffle?,
        balanced: balanced?,
        early_stopping: early_stopping?,
        evaluate_every,
        checkpoint_seconds: checkpoint_seconds?,
    })
}

fn early_stopping(section: &Section<'_>) -> Option<EarlyStopping> {
    let metrics = [("loss", Metric::Loss), ("accuracy", Metric::Accuracy)];
    let metric = section.choice_or("metric", Metric::Loss, &metrics);
    let patience = section.required_integer("patience", "a number of epochs, 1 or more", MANY);
    let min_delta = section.float_or("min_delta", 0.0, "a number of 0 or more", NOT_NEGATIVE);
    section.finish();
    Some(EarlyStopping {
        metric: metric?,
        patience: patience?,
        min_delta: min_delta?,
    })
}

fn mapping(section: &Section<'_>) -> Option<Mapping> {
    let style = if section.has("style") {
        section.choice("style", &[("paper", Style::Paper)])
    } else {
        Some(Style::Paper)
    };
    let replicas = section.integer("replicas", "a number of replicas, 1 to 255", 1..=255);
    let spike_bound = section.integer("spike_bound", "a number of spikes, 1 or more", MANY);
    section.finish();
    Some(Mapping {
        style: style?,
        replicas,
        spike_bound,
    })
}

/// What is right key by key, but not together.
fn check(config: &Config, root: &Section<'_>) {
    let contradiction = |key: &str, message: String, help: &str| {
        root.contradiction(key, &message, help);
    };
    if let (Some(training), Some(data)) = (&config.training, &config.data)
        && let Some(samples) = data.training_samples()
        && training.batch > samples
    {
        contradiction(
            "training.batch",
            format!(
                "a batch of {} samples cannot be drawn from data.train.samples = {samples}",
                training.batch
            ),
            "use a smaller batch or more samples",
        );
    }
    if let Some(data) = &config.data {
        data::check(data, config.time, root);
        let is_watched = config.training.is_some_and(|t| t.early_stopping.is_some());
        if is_watched && !data.has_validation() {
            contradiction(
                "training.early_stopping",
                "there is no validation set to watch".to_owned(),
                "add `data.validation`, or `validation` to `[data.split]`",
            );
        }
    }
    if config.optimiser.is_some_and(|o| o.delay_rate.is_some()) && !config.time.model.is_event() {
        contradiction(
            "optimiser.delay_rate",
            "delays are trained at exact event times only; in ticks they are whole numbers"
                .to_owned(),
            "set `time.model = \"event\"`, or leave it out",
        );
    }
    if config.convention.delay >= config.time.ticks {
        contradiction(
            "convention.delay",
            format!(
                "a delay of {} ticks is not over within time.ticks = {}",
                config.convention.delay, config.time.ticks
            ),
            "use a shorter delay or more ticks",
        );
    }
    for (key, present) in [
        ("data", config.data.is_some()),
        ("loss", config.loss.is_some()),
        ("optimiser", config.optimiser.is_some()),
    ] {
        if config.training.is_some() && !present {
            contradiction(
                key,
                format!("`[training]` is there, `[{key}]` is not"),
                &format!("add a section `[{key}]`, or remove `[training]`"),
            );
        }
    }
    if !config.init.is_empty() && config.training.is_none() {
        contradiction(
            "init",
            "weights are drawn with training.seed, and there is no `[training]`".to_owned(),
            "add a section `[training]`, or remove `[init]`",
        );
    }
}

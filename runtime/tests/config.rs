//! Configurations: good ones, and every problem at once in bad ones.

use std::path::{Path, PathBuf};

use nirc_ir::network::{Convention, Reset};
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::config::{Config, Rule, Source, Tree};

const GOOD: &str = r#"
[model]
path = "model.nir"

[convention]
preset = "eventprop"

[time]
ticks = 27
dt = 1e-3

[data]
kind = "yin-yang"
train = { samples = 5000, seed = 42 }
test = { samples = 10000, seed = 43 }
t_min = 2

[init.fc1]
mean = 3.2
std = 3.2

[loss]
kind = "first-spike"
xi = 1.5
alpha = 1e-2
beta = 100

[optimiser]
kind = "adam"
learning_rate = 1.9e-3
weight_decay = 6.5e-7
decay_per_epoch = 0.95

[training]
epochs = 39
batch = 22
seed = 42
"#;

fn read(text: &str, overrides: &[&str]) -> Result<Config, Diagnostics> {
    let mut tree = Tree::parse("c.toml", PathBuf::from("dir"), text)?;
    for assignment in overrides {
        tree.set(assignment)?;
    }
    Config::from_tree(&tree)
}

/// Code and place of every problem.
fn problems(text: &str, overrides: &[&str]) -> Vec<(&'static str, String)> {
    let found = read(text, overrides).expect_err("it has problems");
    assert!(
        found.0.iter().all(|d| d.help.is_some()),
        "every problem has a remedy: {found}"
    );
    found.0.into_iter().map(|d| (d.code, d.place)).collect()
}

#[test]
fn a_good_one_is_read_with_its_defaults() {
    let config = read(GOOD, &[]).expect("good");
    assert_eq!(config.model.as_deref(), Some(Path::new("dir/model.nir")));
    assert_eq!(Some(config.convention), Convention::preset("eventprop"));
    let optimiser = config.optimiser.expect("there");
    assert_eq!(
        optimiser.rule,
        Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8
        }
    );
    assert!(config.training.expect("there").shuffle);
    // The published schedule: gamma^((k-1)/n) after batch k of n an epoch.
    let lowered = optimiser.lowered(227);
    assert!((lowered.decay_per_batch.powi(227) - 0.95).abs() < 1e-12);
}

#[test]
fn overrides_pass_through_the_same_checks() {
    let config = read(
        GOOD,
        &[
            "training.batch=11",
            "convention.reset=subtract",
            "data.train.samples = 300",
            "mapping.replicas=4",
            "model.path=/else/where.nir",
        ],
    )
    .expect("good");
    assert_eq!(config.training.expect("there").batch, 11);
    assert_eq!(config.convention.reset, Reset::Subtract);
    assert_eq!(config.mapping.replicas, Some(4));
    assert_eq!(config.model.as_deref(), Some(Path::new("/else/where.nir")));
    let source = config.data.expect("there").source;
    assert!(matches!(source, Source::YinYang { parts, .. } if parts.train.samples == 300));
    assert_eq!(
        problems(GOOD, &["training.batch=\"many\"", "training.bacth=3"]),
        [
            (codes::CONFIG_VALUE, "c.toml: training.batch".to_owned()),
            (
                codes::CONFIG_UNKNOWN_KEY,
                "c.toml: training.bacth".to_owned()
            ),
        ]
    );
    for bad in ["training.batch", "time.ticks.x=1", ".=1", "=1"] {
        assert_eq!(problems(GOOD, &[bad])[0].0, codes::CONFIG_VALUE, "{bad}");
    }
}

#[test]
fn every_problem_is_reported_at_once() {
    let text = r#"
        modell = 1
        [convention]
        preset = "pytorch"
        reset = "never"
        [time]
        ticks = 1
        [data]
        kind = "yin-yang"
        train = { samples = 0, seed = -1 }
        t_min = 2
        rotation_degrees = nan
        [loss]
        kind = "first-spike"
        xi = 0
        alpha = "a"
        tau_0 = 1
        [optimiser]
        kind = "adam"
        beta1 = 1
        decay_per_epoch = 1.1
        [training]
        epochs = -1
        batch = 1.5
        shuffle = "yes"
    "#;
    let found: Vec<String> = problems(text, &[])
        .into_iter()
        .map(|(code, place)| format!("{code} {}", place.trim_start_matches("c.toml: ")))
        .collect();
    for expected in [
        "N0302 modell",
        "N0303 convention.preset",
        "N0303 convention.reset",
        "N0303 time.ticks",
        "N0303 time.dt",
        "N0303 data.train.samples",
        "N0303 data.train.seed",
        "N0303 data.test",
        "N0303 data.rotation_degrees",
        "N0303 loss.xi",
        "N0303 loss.alpha",
        "N0303 loss.beta",
        "N0302 loss.tau_0",
        "N0303 optimiser.beta1",
        "N0303 optimiser.learning_rate",
        "N0303 optimiser.decay_per_epoch",
        "N0303 training.epochs",
        "N0303 training.batch",
        "N0303 training.seed",
        "N0303 training.shuffle",
    ] {
        assert!(
            found.iter().any(|f| f == expected),
            "{expected} is not among {found:#?}"
        );
    }
    assert_eq!(found.len(), 20, "{found:#?}");
}

#[test]
fn keys_with_dots_are_set_in_quotes() {
    let mut tree = Tree::parse("c.toml", PathBuf::new(), GOOD).expect("a tree");
    tree.set("init.\"0.fc\".mean = 2").expect("set");
    tree.set("init.\"0.fc\".std = 1").expect("set");
    let config = Config::from_tree(&tree).expect("a configuration");
    let found = config.init.iter().find(|rule| rule.node == "0.fc");
    assert_eq!(found.map(|rule| rule.mean), Some(2.0));
}

#[test]
fn contradictions_are_errors() {
    let contradiction = |overrides: &[&str], key: &str| {
        let found = problems(GOOD, overrides);
        let expected = (codes::CONFIG_CONTRADICTION, format!("c.toml: {key}"));
        assert!(found.contains(&expected), "{found:?}");
    };
    contradiction(&["data.train.samples=21"], "training.batch");
    contradiction(&["data.t_min=26"], "data.t_min");
    let watched = "training.early_stopping={patience = 3}";
    contradiction(&[watched], "training.early_stopping");
    read(GOOD, &[watched, "data.split={seed = 1, validation = 0.1}"]).expect("good");
    contradiction(&["convention.delay=27"], "convention.delay");
    let without = |section: &str| {
        let start = GOOD.find(&format!("[{section}")).expect("there");
        let end = GOOD[start + 1..]
            .find("\n[")
            .map_or(GOOD.len(), |i| start + 1 + i);
        format!("{}{}", &GOOD[..start], &GOOD[end..])
    };
    for section in ["data", "loss", "optimiser"] {
        let found = problems(&without(section), &[]);
        assert_eq!(
            found,
            [(codes::CONFIG_CONTRADICTION, format!("c.toml: {section}"))]
        );
    }
    let found = problems(&without("training"), &[]);
    assert_eq!(
        found,
        [(codes::CONFIG_CONTRADICTION, "c.toml: init".to_owned())]
    );
}

#[test]
fn what_is_not_toml_is_told_by_line() {
    let error = Tree::parse("c.toml", PathBuf::new(), "a = 1\nb = = 2").expect_err("no TOML");
    assert_eq!(
        (error.code, error.place.as_str()),
        (codes::CONFIG_SYNTAX, "c.toml:2")
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("c.toml");
    std::fs::write(&path, [b'a', 0xff]).expect("written");
    assert_eq!(
        Tree::read(&path).expect_err("not UTF-8").code,
        codes::CONFIG_SYNTAX
    );
    assert_eq!(
        Tree::read(directory.path()).expect_err("a directory").code,
        codes::FILE_UNREADABLE
    );
    // Deep nesting is an error, not a stack overflow.
    let deep = format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        Tree::parse("c", PathBuf::new(), &deep)
            .expect_err("deep")
            .code,
        codes::CONFIG_SYNTAX
    );
}

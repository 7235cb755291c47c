//! Configurations: good ones, and every problem at once in bad ones.

use std::path::{Path, PathBuf};

use nirc_compiler::options;
use nirc_compiler::passes::Time;
use nirc_ir::network::{Convention, Reset};
use nirc_ir::{Diagnostics, codes};
use nirc_runtime::checkpoint::Origin;
use nirc_runtime::config::{
    Clip, Config, Moments, Optimiser, Rule, Schedule, Source, TimeModel, Tree, WarmUp,
};

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
        Rule::Adam(Moments {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8
        })
    );
    assert!(config.training.expect("there").shuffle);
    // The published schedule: gamma^((k-1)/n) after batch k of n an epoch.
    let lowered = optimiser.lowered(227, 39).expect("short");
    let options::Schedule::Exponential { factor } = lowered.schedule else {
        panic!("{:?}", lowered.schedule);
    };
    assert!((factor.powi(227) - 0.95).abs() < 1e-12);
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

/// The good configuration with another optimiser.
fn optimised(section: &str) -> String {
    let start = GOOD.find("[optimiser]").expect("there");
    let end = GOOD.find("[training]").expect("there");
    format!("{}{section}\n{}", &GOOD[..start], &GOOD[end..])
}

fn optimiser(section: &str) -> Optimiser {
    let config = read(&optimised(section), &[]).unwrap_or_else(|e| panic!("{section}: {e}"));
    config.optimiser.expect("there")
}

#[test]
fn rules_have_pytorch_s_names_and_defaults() {
    let sgd = optimiser("[optimiser]\nkind = \"sgd\"\nlearning_rate = 1\n");
    let (momentum, nesterov) = (0.0, false);
    assert_eq!(sgd.rule, Rule::Sgd { momentum, nesterov });
    assert_eq!(sgd.schedule, Schedule::Constant);
    assert_eq!((sgd.weight_decay, sgd.warm_up, sgd.clip), (0.0, None, None));
    let sgd = optimiser(
        "[optimiser]\nkind = \"sgd\"\nlearning_rate = 1\nmomentum = 0.9\nnesterov = true\n",
    );
    let (momentum, nesterov) = (0.9, true);
    assert_eq!(sgd.rule, Rule::Sgd { momentum, nesterov });
    let adamw = optimiser("[optimiser]\nkind = \"adamw\"\nlearning_rate = 1\nbetas = [0.8, 0]\n");
    let moments = Moments {
        beta1: 0.8,
        beta2: 0.0,
        epsilon: 1e-8,
    };
    assert_eq!(adamw.rule, Rule::AdamW(moments));
    assert_eq!(adamw.weight_decay, 1e-2);
    let adamax =
        optimiser("[optimiser]\nkind = \"adamax\"\nlearning_rate = 1\nbeta1 = 0.8\nbeta2 = 0\n");
    assert_eq!(adamax.rule, Rule::AdaMax(moments));
    assert_eq!(adamax.weight_decay, 0.0);
}

#[test]
fn schedules_count_epochs_and_are_lowered_to_batches() {
    let with = |schedule: &str| {
        let section = "[optimiser]\nkind = \"adam\"\nlearning_rate = 1e-2\n";
        optimiser(&format!("{section}[optimiser.schedule]\n{schedule}\n"))
    };
    let batches = |n: u32| std::num::NonZeroU32::new(n).expect("some");
    let step = with("kind = \"step\"\nstep_size = 3\ngamma = 0.5\nwarm_up_batches = 12");
    assert_eq!(step.warm_up, Some(WarmUp::Batches(12)));
    let lowered = step.lowered(10, 20).expect("short");
    assert_eq!(lowered.warm_up, Some(batches(12)));
    let expected = options::Schedule::Step {
        batches: batches(30),
        factor: 0.5,
    };
    assert_eq!(lowered.schedule, expected);
    let cosine = with("kind = \"cosine\"\neta_min = 1e-4\nwarm_up_epochs = 2");
    let lowered = cosine.lowered(10, 20).expect("short");
    assert_eq!(lowered.warm_up, Some(batches(20)));
    let expected = options::Schedule::Cosine {
        batches: batches(180),
        last: 1e-4,
    };
    assert_eq!(lowered.schedule, expected);
    let problem = cosine.lowered(10, 2).expect_err("nothing but warm-up");
    assert_eq!(problem.code, codes::CONFIG_CONTRADICTION);
    assert!(problem.message.contains("20 batches"), "{problem}");
    // Nothing is trained in 0 epochs, whatever the rate.
    with("kind = \"cosine\"").lowered(10, 0).expect("no run");
    let constant = with("kind = \"constant\"\nwarm_up_batches = 3");
    let lowered = constant.lowered(10, 1).expect("short");
    assert_eq!(lowered.schedule, options::Schedule::Constant);
    assert_eq!(lowered.warm_up, Some(batches(3)));
    let long = with("kind = \"step\"\nstep_size = 4000000000\ngamma = 0.5");
    let problem = long.lowered(10, 1).expect_err("beyond counting");
    assert_eq!(problem.code, codes::CONFIG_CONTRADICTION);
    // The old key is an exponential schedule.
    let old = read(GOOD, &[]).expect("good").optimiser.expect("there");
    assert_eq!(old.schedule, Schedule::Exponential { gamma: 0.95 });
    let constant = read(GOOD, &["optimiser.decay_per_epoch=1"]).expect("good");
    let constant = constant.optimiser.expect("there");
    assert_eq!(constant.schedule, Schedule::Constant);
}

#[test]
fn gradients_are_clipped_in_one_way() {
    let with = |clip: &str| {
        let section = "[optimiser]\nkind = \"adam\"\nlearning_rate = 1e-2\n";
        format!("{section}[optimiser.clip]\n{clip}\n")
    };
    assert_eq!(optimiser(&with("value = 0.5")).clip, Some(Clip::Value(0.5)));
    assert_eq!(optimiser(&with("norm = 2")).clip, Some(Clip::Norm(2.0)));
    for (clip, code) in [
        ("", codes::CONFIG_CONTRADICTION),
        ("value = 1\nnorm = 1", codes::CONFIG_CONTRADICTION),
        ("norm = 0", codes::CONFIG_VALUE),
        ("max_norm = 1\nnorm = 1", codes::CONFIG_UNKNOWN_KEY),
    ] {
        let found = problems(&optimised(&with(clip)), &[]);
        assert_eq!(found.len(), 1, "{clip}: {found:?}");
        assert_eq!(found[0].0, code, "{clip}");
    }
}

#[test]
fn every_problem_of_an_optimiser_is_reported_at_once() {
    let text = r#"
        [optimiser]
        kind = "adam"
        learning_rate = 1e-2
        betas = [0.9, 1]
        beta1 = 0.9
        momentum = 0.9
        decay_per_epoch = 0.9
        [optimiser.schedule]
        kind = "cosine"
        gamma = 0.9
        eta_min = 0.1
        warm_up_batches = 1
        warm_up_epochs = 1
        [optimiser.clip]
        value = -1
    "#;
    let mut found: Vec<String> = problems(&optimised(text), &[])
        .into_iter()
        .map(|(code, place)| format!("{code} {}", place.trim_start_matches("c.toml: optimiser.")))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "N0302 momentum",
            "N0302 schedule.gamma",
            "N0303 betas",
            "N0303 clip.value",
            "N0303 schedule.eta_min",
            "N0304 beta1",
            "N0304 decay_per_epoch",
            "N0304 schedule.warm_up_batches",
        ]
    );
    let ahead = "[optimiser]\nkind = \"sgd\"\nlearning_rate = 1\nnesterov = true\n";
    let found = problems(&optimised(ahead), &[]);
    let expected = "c.toml: optimiser.nesterov".to_owned();
    assert_eq!(found, [(codes::CONFIG_CONTRADICTION, expected)]);
}

#[test]
fn a_cosine_does_not_go_on_with_other_epochs() {
    let origin = |schedule: &str, epochs: &str| {
        let section = "[optimiser]\nkind = \"adam\"\nlearning_rate = 1e-2\n";
        let text = optimised(&format!("{section}[optimiser.schedule]\n{schedule}\n"));
        let config = read(&text, &[epochs]).expect("good");
        Origin::new(&config, String::new(), String::new(), 1)
    };
    let (short, long) = ("training.epochs=10", "training.epochs=20");
    let constant = "kind = \"constant\"";
    let same = origin(constant, short).check(&origin(constant, long));
    same.expect("the rate is the same");
    let cosine = "kind = \"cosine\"";
    let problems = origin(cosine, short)
        .check(&origin(cosine, long))
        .expect_err("the rate is another");
    let places: Vec<&str> = problems.0.iter().map(|d| d.place.as_str()).collect();
    assert_eq!(places, ["training.epochs"]);
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

#[test]
fn time_goes_in_ticks_or_by_events() {
    let tick = read(GOOD, &[]).expect("good");
    assert_eq!(tick.time.model, TimeModel::Tick);
    assert_eq!(tick.reading().time, Time::Ticks);
    // Runs that were started before there was another time go on.
    let text = serde_json::to_string(&tick).expect("plain data");
    assert!(
        !text.contains("model\":\"tick") && !text.contains("delay_rate"),
        "{text}"
    );
    let event = ["time.model=event", "convention.preset=event"];
    let config = read(GOOD, &event).expect("good");
    assert_eq!(config.time.model, TimeModel::Event { guard: 0.1 });
    assert_eq!(
        config.reading().time,
        Time::Exact {
            learn_delays: false
        }
    );
    let more = ["time.guard=0", "optimiser.delay_rate=20", "data.t_max=20"];
    let config = read(GOOD, &[&event[..], &more].concat()).expect("good");
    assert_eq!(config.time.model, TimeModel::Event { guard: 0.0 });
    assert_eq!(config.reading().time, Time::Exact { learn_delays: true });
    let lowered = config.optimiser.expect("there").lowered(10, 10);
    assert!((lowered.expect("short").delay_rate - 20.0).abs() < 1e-12);
}

#[test]
fn what_belongs_to_events_is_refused_in_ticks() {
    let bad = ["time.guard=0.1", "optimiser.delay_rate=20", "data.t_max=27"];
    let contradicts = |place: &str| (codes::CONFIG_CONTRADICTION, format!("c.toml: {place}"));
    let mut found = problems(GOOD, &bad);
    found.sort();
    let expected = ["data.t_max", "optimiser.delay_rate", "time.guard"];
    assert_eq!(found, expected.map(contradicts));
    let values = ["time.model=bins", "optimiser.delay_rate=0"];
    assert_eq!(problems(GOOD, &values).len(), 2);
}

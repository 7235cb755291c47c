//! What several tests share: a small network, and a training that stops.
#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "each test uses its part"
)]

use nirc_compiler::lower::lower;
use nirc_compiler::options::{Loss, Optimiser, Options, Rule, Schedule};
use nirc_ir::Diagnostic;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Program;
use nirc_ir::executor::InputSpike;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};
use nirc_runtime::config::Training;
use nirc_runtime::data::DataSet;
use nirc_runtime::random::Mt19937;
use nirc_runtime::training::{Epoch, Evaluation, Observer, Snapshot, Trainer};

/// 5 inputs, 12 hidden neurons, 3 outputs, in 20 bins, trained by Adam.
pub fn program(batch: usize, replicas: usize) -> Program {
    let rule = Rule::Adam {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    let optimiser = Optimiser {
        weight_decay: 1e-6,
        schedule: Schedule::Exponential { factor: 0.99 },
        ..Optimiser::new(rule, 5e-3)
    };
    trained_by(optimiser, batch, replicas)
}

/// The same, trained by any optimiser.
pub fn trained_by(optimiser: Optimiser, batch: usize, replicas: usize) -> Program {
    let mut generator = Mt19937::new(3);
    let neurons = || {
        PopulationKind::Neurons(Neuron {
            membrane: Membrane::Leaky {
                tau: Parameter::Uniform(0.02),
                r: Parameter::Uniform(1.0),
                v_leak: Parameter::Uniform(0.0),
            },
            synapse: Some(Synapse {
                tau_syn: Parameter::Uniform(0.005),
                w_in: Parameter::Uniform(5.0),
            }),
            firing: Some(Firing {
                threshold: Parameter::Uniform(1.0),
                v_reset: Parameter::Uniform(0.0),
            }),
        })
    };
    let mut projection = |name: &str, pre: usize, size: usize, mean: f64, std: f64| Projection {
        name: name.to_owned(),
        pre: Pop::new(pre),
        post: Pop::new(pre + 1),
        bias: None,
        delay: 1,
        delays: None,
        trainable: true,
        factor: 1.0,
        bias_run: 1,
        link: Link::Dense(
            (0..size)
                .map(|_| generator.normal(mean, std) as f32)
                .collect(),
        ),
    };
    let populations = [
        ("input", 5, PopulationKind::Source),
        ("hidden", 12, neurons()),
        ("output", 3, neurons()),
    ];
    let network = Network {
        name: "small".to_owned(),
        dt: 1e-3,
        convention: Convention::preset("eventprop").expect("a preset"),
        populations: populations
            .into_iter()
            .map(|(name, size, kind)| Population::vector(name, size, kind))
            .collect(),
        projections: PrimaryMap::from_iter([
            projection("fc1", 0, 60, 2.0, 1.5),
            projection("fc2", 1, 36, 1.6, 0.8),
        ]),
        outputs: vec![Port {
            name: "output".to_owned(),
            population: Pop::new(2),
        }],
    };
    let options = Options {
        ticks: 20,
        batch,
        replicas,
        spike_bound: None,
        loss: Some(Loss::FirstSpike {
            xi: 1.5,
            alpha: 1e-2,
            beta: 100.0,
        }),
        adjoint: true,
        regularise: Vec::new(),
        optimiser: Some(optimiser),
        record: Vec::new(),
        events: None,
    };
    lower(&network, &options).expect("it lowers")
}

/// Random samples for it.
pub fn samples(seed: u32, count: usize) -> DataSet {
    let mut generator = Mt19937::new(seed);
    let mut set = DataSet::new(5);
    for _ in 0..count {
        let label = generator.below(3);
        let spikes = (0..5).map(|channel| InputSpike {
            tick: if channel == label {
                1
            } else {
                4 + generator.below(9)
            },
            channel,
        });
        set.push(spikes.collect::<Vec<_>>(), label)
            .expect("in range");
    }
    set
}

/// Settings for these.
pub fn settings(epochs: usize, batch: usize) -> Training {
    Training {
        epochs,
        batch,
        seed: 42,
        shuffle: true,
        balanced: false,
        early_stopping: None,
        evaluate_every: Some(20),
        checkpoint_seconds: 10.0,
    }
}

/// Counts batches and stops after some.
pub struct Stopper {
    batches: usize,
    stop_after: usize,
    pub epochs: Vec<Epoch>,
}

impl Stopper {
    pub fn after(stop_after: usize) -> Self {
        Self {
            batches: 0,
            stop_after,
            epochs: Vec::new(),
        }
    }
}

impl<E> Observer<E> for Stopper {
    fn batch(&mut self, _: &Trainer<'_, E>) -> Result<(), Diagnostic> {
        self.batches += 1;
        Ok(())
    }
    fn evaluated(&mut self, _: &Evaluation) {}
    fn epoch(&mut self, epoch: &Epoch, _: &Trainer<'_, E>) -> Result<(), Diagnostic> {
        self.epochs.push(epoch.clone());
        Ok(())
    }
    fn stop(&self) -> bool {
        self.batches >= self.stop_after
    }
}

/// Everything but the wall clock.
pub fn timeless(mut snapshot: Snapshot) -> Snapshot {
    for epoch in &mut snapshot.progress.epochs {
        (epoch.seconds, epoch.test_seconds) = (0.0, 0.0);
    }
    (snapshot.progress.seconds, snapshot.progress.test_seconds) = (0.0, 0.0);
    snapshot
}

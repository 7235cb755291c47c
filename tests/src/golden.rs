//! The recorded arrays of PyTorch runs (`tests/golden`), and the network and program they were made with.

use std::fs::File;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Array3, ArrayD, Axis, Ix2, Ix3};
use ndarray_npy::{NpzReader, ReadableElement};
use nirc_compiler::options::{Loss, Optimiser, Options, Quantity, Record, Rule, Schedule};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::executor::InputSpike;
use nirc_ir::network::{
    Convention, Firing, Link, Membrane, Network, Neuron, Parameter, Pop, Population,
    PopulationKind, Port, Projection, Synapse,
};

/// Names of the two files.
pub const FILES: [&str; 2] = ["init_5_120_3", "trained_5_30_3"];

/// One file of recorded arrays.
pub struct Golden {
    path: PathBuf,
}

impl Golden {
    /// One of [`FILES`].
    pub fn open(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
        Self {
            path: folder.join(format!("{name}.npz")),
        }
    }

    /// An array of any shape.
    ///
    /// # Panics
    /// If the file does not hold it.
    pub fn array<T: ReadableElement>(&self, name: &str) -> ArrayD<T> {
        let file = File::open(&self.path).expect("the recorded arrays are readable");
        let mut npz = NpzReader::new(file).expect("the recorded arrays are an npz file");
        npz.by_name(&format!("{name}.npy"))
            .or_else(|_| npz.by_name(name))
            .unwrap_or_else(|e| panic!("array {name}: {e}"))
    }

    /// An array with two axes.
    pub fn two<T: ReadableElement>(&self, name: &str) -> Array2<T> {
        self.array(name).into_dimensionality::<Ix2>().expect(name)
    }

    /// An array with three axes.
    pub fn three<T: ReadableElement>(&self, name: &str) -> Array3<T> {
        self.array(name).into_dimensionality::<Ix3>().expect(name)
    }

    /// A number.
    pub fn number(&self, name: &str) -> f64 {
        let array: ArrayD<f64> = self.array(name);
        array.iter().copied().next().expect(name)
    }

    /// Number of bins.
    pub fn ticks(&self) -> u32 {
        u32::try_from(self.three::<u8>("in_spikes").len_of(Axis(0))).expect("few bins")
    }

    /// Input spikes per sample from the recorded times `(B, J)`.
    pub fn inputs(&self) -> Vec<Vec<InputSpike>> {
        let times: Array2<i32> = self.two("in_times");
        times
            .outer_iter()
            .map(|row| spikes(row.iter().copied()))
            .collect()
    }

    /// Labels of the recorded batch.
    pub fn labels(&self) -> Vec<u32> {
        let labels: ArrayD<i64> = self.array("label");
        labels
            .iter()
            .map(|l| u32::try_from(*l).expect("a class"))
            .collect()
    }

    /// The errors that entered the output layer: per sample `T * N`.
    pub fn errors(&self) -> Vec<Vec<f32>> {
        let errors: Array3<f32> = self.three("L2_grad_out");
        (0..errors.len_of(Axis(1)))
            .map(|b| errors.index_axis(Axis(1), b).iter().copied().collect())
            .collect()
    }

    /// The network the arrays were recorded with.
    pub fn network(&self) -> Network {
        let w1: Array2<f32> = self.two("W1");
        let w2: Array2<f32> = self.two("W2");
        let neuron = || {
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
        let population = |name: &str, size, kind| Population::vector(name, size, kind);
        let projection = |name: &str, pre: usize, w: &Array2<f32>| Projection {
            name: name.to_owned(),
            pre: Pop::new(pre),
            post: Pop::new(pre + 1),
            bias: None,
            delay: 1,
            delays: None,
            trainable: true,
            factor: 1.0,
            bias_run: 1,
            link: Link::Dense(w.t().iter().copied().collect()),
        };
        Network {
            name: "yin_yang".to_owned(),
            dt: 0.001,
            convention: Convention::preset("eventprop").expect("a preset"),
            populations: PrimaryMap::from_iter([
                population("input", w1.ncols(), PopulationKind::Source),
                population("hidden", w1.nrows(), neuron()),
                population("out", w2.nrows(), neuron()),
            ]),
            projections: PrimaryMap::from_iter([
                projection("fc1", 0, &w1),
                projection("fc2", 1, &w2),
            ]),
            outputs: vec![Port {
                name: "output".to_owned(),
                population: Pop::new(2),
            }],
        }
    }

    /// The options of the recorded run; `given` takes the errors as recorded.
    pub fn options(&self, given: bool) -> Options {
        let batch = self.labels().len();
        let record = ["hidden", "out"]
            .into_iter()
            .flat_map(|population| {
                Quantity::ALL.into_iter().map(|quantity| Record {
                    population: population.to_owned(),
                    quantity,
                })
            })
            .collect();
        Options {
            ticks: self.ticks(),
            batch,
            replicas: batch,
            spike_bound: None,
            loss: Some(if given {
                Loss::Given
            } else {
                Loss::FirstSpike {
                    xi: self.number("p_xi"),
                    alpha: self.number("p_alpha"),
                    beta: self.number("p_beta"),
                }
            }),
            adjoint: true,
            regularise: Vec::new(),
            optimiser: None,
            record,
            events: None,
        }
    }

    /// Options for training with the recorded optimiser.
    pub fn training(&self) -> Options {
        Options {
            record: Vec::new(),
            optimiser: Some(Optimiser {
                weight_decay: self.number("p_weight_decay"),
                schedule: Schedule::Exponential {
                    factor: self.number("p_sched_gamma_per_step"),
                },
                ..Optimiser::new(
                    Rule::Adam {
                        beta1: 0.9,
                        beta2: 0.999,
                        epsilon: 1e-8,
                    },
                    self.number("p_lr"),
                )
            }),
            ..self.options(false)
        }
    }

    /// Inputs and labels of the five recorded training steps.
    pub fn steps(&self) -> Vec<(Vec<Vec<InputSpike>>, Vec<u32>)> {
        let x: Array3<f64> = self.three("traj_x");
        let labels: Array2<i64> = self.two("traj_label");
        let ticks = self.ticks();
        x.outer_iter()
            .zip(labels.outer_iter())
            .map(|(x, labels)| {
                let inputs = x
                    .outer_iter()
                    .map(|q| {
                        let times = q.iter().map(|q| latency(*q, ticks)).chain([0]);
                        spikes(times)
                    })
                    .collect();
                let labels = labels
                    .iter()
                    .map(|l| u32::try_from(*l).expect("a class"))
                    .collect();
                (inputs, labels)
            })
            .collect()
    }
}

/// Latency code of a feature in `[0, 1]`, first bin 2.
fn latency(q: f64, ticks: u32) -> i32 {
    let tau = f64::from(ticks) - 1.0 - 2.0;
    let time = (tau * (1.0 - q)).min(tau * (1.0 - 0.01)) + 2.0;
    #[expect(clippy::cast_possible_truncation, reason = "a bin")]
    let bin = time.round_ties_even() as i32;
    bin
}

fn spikes(times: impl Iterator<Item = i32>) -> Vec<InputSpike> {
    let mut spikes: Vec<InputSpike> = times
        .enumerate()
        .map(|(channel, tick)| InputSpike {
            tick: u32::try_from(tick).expect("a bin"),
            channel: u32::try_from(channel).expect("a channel"),
        })
        .collect();
    spikes.sort();
    spikes
}

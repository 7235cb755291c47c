//! The loss process: what is read out of a sample, the loss, and the errors that go back.
//!
//! | loss | reads | file |
//! |---|---|---|
//! | first spike times, under cross entropy or target times | spikes | `first_spike` |
//! | numbers of spikes, under target counts | spikes | `counts` |
//! | a score of the voltage, under cross entropy | values | `scores` |
//! | the voltage over time, under a mean square | values | `voltages` |
//! | errors that stand in the sample | spikes | here |
//!
//! `loss` is what is minimised, before the mean over the batch; `cross_entropy` is that part of it.
//! `first_spike` holds times, the earliest of which is predicted, `score` numbers, of which it is the largest.

mod counts;
mod first_spike;
mod scores;
mod voltages;

use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{
    Array, ArrayDecl, ArrayKind, Chan, Cmp, Coef, Coefficient, CoefficientValue, Domain, Handler,
    HandlerKind, Op, Outgoing, Output, Process, Role, Row, Value,
};

use super::body::BodyBuilder;
use crate::options::{Loss, Options};
use first_spike::Scales;

/// The loss process behind the channel `chan`.
pub(super) fn process(
    loss: &Loss,
    options: &Options,
    dt: f64,
    lanes: usize,
    chan: Chan,
) -> Process {
    let mut builder = Builder {
        process: Process {
            name: "loss".to_owned(),
            role: Role::Loss,
            lanes,
            coefs: PrimaryMap::new(),
            arrays: PrimaryMap::new(),
            output: Output::Spikes,
            tape: None,
            handlers: Vec::new(),
        },
        chan,
        exact: options.events.is_some(),
    };
    builder.loss(loss, options, dt);
    builder.process
}

struct Builder {
    process: Process,
    chan: Chan,
    /// Whether spikes have exact times.
    exact: bool,
}

/// A stand-in for minus infinity whose differences stay finite.
const FAR_BELOW: f32 = -1e30;

impl Builder {
    fn loss(&mut self, loss: &Loss, options: &Options, dt: f64) {
        match *loss {
            Loss::FirstSpike { xi, alpha, beta } => {
                let first = self.first_spike(options.ticks);
                let scales = Scales {
                    xi,
                    alpha,
                    beta,
                    silent_counts: true,
                };
                self.first_spike_loss(first, options, &scales);
            }
            Loss::FirstSpikeSeconds {
                tau_0,
                alpha,
                tau_1,
            } => {
                let first = self.first_spike(options.ticks);
                let scales = Scales {
                    xi: tau_0 / dt,
                    alpha,
                    beta: tau_1 / dt,
                    silent_counts: false,
                };
                self.first_spike_loss(first, options, &scales);
            }
            Loss::TargetTimes { hit, miss } => {
                let first = self.first_spike(options.ticks);
                self.target_times(first, options, hit, miss);
            }
            Loss::SpikeCount { hit, miss } => self.spike_count(hit, miss),
            Loss::Voltage { score } => self.score_loss(score, options),
            Loss::VoltageError { hit, miss } => self.voltage_error(options, hit, miss),
            Loss::Given => {
                self.first_spike(options.ticks);
                if options.adjoint {
                    self.given();
                }
            }
        }
    }

    /// When a spike was.
    fn time(&self) -> Op {
        if self.exact { Op::Time } else { Op::Tick }
    }

    /// The error of each spike stands in the sample.
    fn given(&mut self) {
        let given = self.array("given_error", ArrayKind::GivenError);
        let mut b = BodyBuilder::new();
        let error = b.load_row(given, Row::Tick);
        b.send(Outgoing::Value(error));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }

    fn array(&mut self, name: &str, kind: ArrayKind) -> Array {
        self.process.arrays.push(ArrayDecl {
            name: name.to_owned(),
            kind,
        })
    }

    fn state(&mut self, name: &str, init: f32) -> Array {
        self.array(name, ArrayKind::State { init })
    }

    fn scalar(&mut self, name: &str) -> Array {
        self.array(name, ArrayKind::Scalar { init: 0.0 })
    }

    fn coef(&mut self, name: &str, formula: &str, value: f64) -> Coef {
        self.process.coefs.push(Coefficient {
            name: name.to_owned(),
            formula: formula.to_owned(),
            value: CoefficientValue::Uniform(value),
        })
    }

    /// The coefficient of this name; declared at its first use.
    fn coef_once(&mut self, name: &str, formula: &str, value: f64) -> Coef {
        let known = self.process.coefs.iter().find(|(_, c)| c.name == name);
        let known = known.map(|(id, _)| id);
        known.unwrap_or_else(|| self.coef(name, formula, value))
    }

    fn handler(&mut self, kind: HandlerKind, domain: Domain, body: BodyBuilder) {
        self.process.handlers.push(Handler {
            kind,
            domain,
            body: body.finish(),
        });
    }
}

/// `1 / B`.
fn mean_over(options: &Options) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "batches are far below 2^52")]
    let batch = options.batch as f64;
    1.0 / batch
}

fn is_label(b: &mut BodyBuilder, label: Array) -> Value {
    let lane = b.op(Op::Lane);
    let label = b.load(label);
    b.cmp(Cmp::Eq, lane, label)
}

//! Neurons whose spikes have exact times, between which nothing is computed.
//!
//! `flow` reads the two exponentials of a neuron off its parameters, once; `forward` and `adjoint` write the handlers
//! from it, the same for every neuron. What is not a sum of two such exponentials is refused by name.
//!
//! `peak` follows the largest voltage, for what pushes silent neurons and for losses; `read` is for neurons that do not
//! spike.
//!
//! Of a convention, what says how a tick is computed has no meaning here; how far a spike moves the current, whether
//! resistance and leak count, and what a reset does, mean the same as with ticks.

mod adjoint;
mod builder;
mod flow;
mod forward;
mod kicked;
mod peak;
mod read;

use nirc_ir::event::{Process, SpikeTape};
use nirc_ir::network::{Leak, Membrane, Network, Neuron, Parameter, Pop, PopulationKind};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::Lowering;
use super::neuron::Input;
use crate::adjoint::Push;
use crate::options::{ExactTimes, Loss, Options, Quantity, Score};
use adjoint::Wanted;
use builder::Builder;
use flow::Flow;

/// Everything of network and options that has no exact times.
pub(super) fn check(network: &Network, options: &Options) -> Diagnostics {
    let mut problems = Diagnostics::new();
    for (pop, population) in network.populations.iter() {
        match &population.kind {
            PopulationKind::Source => {}
            PopulationKind::Graded => problems.push(refuse(
                &population.name,
                "values come from outside, one a tick",
                "send spikes, or use ticks",
            )),
            PopulationKind::Neurons(neuron) => {
                conventions(network, pop, neuron, &mut problems);
            }
        }
    }
    if let Some(Loss::Given | Loss::VoltageError { .. }) = &options.loss {
        problems.push(refuse(
            "loss",
            "it reads ticks",
            "choose a loss of first spikes, of numbers of spikes or of a score of voltages, or use ticks",
        ));
    }
    for projection in network.projections.values() {
        let from = &network.populations[projection.pre];
        let spikes = |neuron: &Neuron| neuron.firing.is_some();
        if matches!(&from.kind, PopulationKind::Neurons(neuron) if !spikes(neuron)) {
            problems.push(refuse(
                &projection.name,
                &format!("`{}` sends its voltage, one a tick", from.name),
                "let it spike, or use ticks",
            ));
        }
    }
    let traces = options
        .record
        .iter()
        .filter(|r| r.quantity != Quantity::Spikes);
    for record in traces {
        problems.push(refuse(
            &record.population,
            &format!("`{}` is recorded tick by tick", record.quantity.name()),
            "record spikes, or use ticks",
        ));
    }
    problems
}

fn conventions(network: &Network, pop: Pop, neuron: &Neuron, problems: &mut Diagnostics) {
    let convention = network.convention_of(pop);
    let mut incoming = network.incoming(pop);
    let biased = incoming.any(|(_, p)| p.bias.iter().flatten().any(|b| *b != 0.0));
    let leaks = match &neuron.membrane {
        Membrane::Leaky { v_leak, .. } => convention.leak != Leak::Ignored && !v_leak.is(0.0),
        _ => false,
    };
    let name = &network.populations[pop].name;
    let resets = ["reset", "reset_time", "spikes"];
    let unsupported = flow::unsupported(convention, biased, leaks).into_iter();
    // What a spike does has no meaning where none happens.
    let unsupported =
        unsupported.filter(|(name, ..)| neuron.firing.is_some() || !resets.contains(name));
    for (attribute, value, needed) in unsupported {
        problems.push(refuse(
            name,
            &format!("`{attribute}` is {value}, which is a matter of ticks"),
            &format!("set `{attribute}` to {needed} for this population, or use ticks"),
        ));
    }
}

fn refuse(place: &str, message: &str, help: &str) -> Diagnostic {
    let message = format!("with exact event times: {message}");
    Diagnostic::error(codes::LOWER_UNSUPPORTED, place, message).help(help)
}

impl Lowering<'_> {
    /// The exponentials of a population.
    fn flow(&self, pop: Pop, neuron: &Neuron) -> Result<Flow, Diagnostic> {
        let coefficients = self.coefficients(pop);
        let constant = self.constants(pop).input;
        let constant = constant.unwrap_or(Parameter::Uniform(0.0));
        let terms = coefficients.terms(neuron);
        let trained = self
            .network
            .incoming(pop)
            .any(|(id, _)| self.biases.contains_key(&id));
        let flow = match self.score(pop, neuron) {
            None if neuron.firing.is_none() => {
                Err("it does not spike, and no loss reads its voltage".to_owned())
            }
            _ => flow::read(
                neuron,
                &terms,
                coefficients.convention,
                coefficients.dt,
                &constant,
            ),
        };
        let trained = trained && neuron.synapse.is_some();
        let flow = flow.and_then(|flow| match (&neuron.membrane, trained) {
            (Membrane::Integrator { .. }, true) => {
                Err("its membrane integrates, and has a bias".to_owned())
            }
            _ => Ok(flow),
        });
        let name = &self.network.populations[pop].name;
        flow.map_err(|message| refuse(name, &message, "use another neuron, or ticks"))
    }

    /// What the loss reads of a population that does not spike.
    fn score(&self, pop: Pop, neuron: &Neuron) -> Option<Score> {
        let read = neuron.firing.is_none() && self.network.readout() == Some(pop);
        match self.options.loss {
            Some(Loss::Voltage { score }) if read => Some(score),
            _ => None,
        }
    }

    /// Bins of a window: as many as keep what states are multiplied with in range, no more than the shortest delay
    /// to the same or an earlier population, and no more than a sample has.
    ///
    /// # Errors
    /// Each population whose voltage is not of two exponentials, and one that is too fast for its bins.
    pub(super) fn window(&self) -> Result<u32, Diagnostics> {
        let mut problems = Diagnostics::new();
        let mut window = self.options.ticks;
        for projection in self.network.projections.values() {
            if projection.pre >= projection.post {
                window = window.min(projection.delay);
            }
        }
        for (pop, population) in self.network.populations.iter() {
            let PopulationKind::Neurons(neuron) = &population.kind else {
                continue;
            };
            match self.flow(pop, neuron) {
                Ok(flow) if flow.range() < 1.0 => problems.push(refuse(
                    &population.name,
                    &format!(
                        "a bin is {:.0} of its time constants long",
                        40.0 / flow.range()
                    ),
                    "use a shorter `dt`",
                )),
                Ok(flow) => {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "it saturates, and is positive"
                    )]
                    let range = flow.range().floor() as u32;
                    window = window.min(range);
                }
                Err(problem) => problems.push(problem),
            }
        }
        problems.into_result(window)
    }

    /// The process of a population, both ways; none where [`Self::window`] found it to have no exponentials.
    pub(super) fn exact_process(
        &self,
        pop: Pop,
        neuron: &Neuron,
        exact: &ExactTimes,
        inputs: &[Input],
        pushes: &[Push],
    ) -> Option<Process> {
        let flow = self.flow(pop, neuron).ok()?;
        let (population, score) = (&self.network.populations[pop], self.score(pop, neuron));
        let tape = self.tape(pop).filter(|_| score.is_none());
        let backwards = self.options.adjoint;
        let tape = tape.map(|tape| SpikeTape {
            fields: if backwards {
                Builder::fields(&flow)
            } else {
                Vec::new()
            },
            ..tape
        });
        let window = self.program.window.unwrap_or(self.options.ticks);
        let (windows, rest) = self.program.windows().unwrap_or((1, self.options.ticks));
        let times = (window, self.options.ticks);
        let mut builder = Builder::new(population, &flow, inputs, tape, times);
        let projections = || self.network.incoming(pop);
        let of_input = projections().map(|(_, p)| {
            let from = &self.network.populations[p.pre].kind;
            let late = p.delays.as_ref().is_some_and(|delays| delays.trainable);
            let back = matches!(from, PopulationKind::Neurons(_)) || exact.input_errors || late;
            (p.trainable, back)
        });
        let of_input = of_input.collect::<Vec<_>>();
        let sends = of_input.iter().any(|(_, back)| *back);
        if let Some(score) = score {
            builder.read_out(score, self.options.ticks, backwards.then_some(sends));
        } else if backwards && !pushes.is_empty() {
            builder.push_spikes(pushes, self.options.batch, sends);
        }
        builder.forward();
        if backwards {
            let biased = projections().filter(|(id, _)| self.biases.contains_key(id));
            builder.adjoint(&Wanted {
                inputs: &of_input,
                biases: &biased.map(|(_, p)| p.trainable).collect::<Vec<_>>(),
                guard: exact.guard,
                horizon: (windows, rest, self.options.ticks),
            });
        }
        Some(builder.process)
    }
}

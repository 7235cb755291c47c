//! The verifier of networks. It runs when a network has been imported and before it is lowered.
//!
//! # Invariants
//! * **Time**: `dt` and the convention's unit of time are positive and finite.
//! * **Populations** have at least one neuron or channel, and names of their own. One at least is a
//!   source; the output is one of neurons.
//! * **Parameters** have one value or one a neuron, finite in `f32`; time constants are above 0.
//! * **Projections** go from a population to a later one, which is of neurons; they have
//!   `pre.size * post.size` weights, a bias (if any) a target neuron, all finite, a delay of at least a
//!   tick, and names of their own.

use std::collections::BTreeSet;

use crate::codes;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::network::{Network, Neuron, Parameter, Population, PopulationKind, Projection};

/// Checks every invariant of a network.
///
/// # Errors
/// Everything that is broken, each with its place.
pub fn verify_network(network: &Network) -> Result<(), Diagnostics> {
    let mut verifier = Verifier {
        network,
        problems: Diagnostics::new(),
    };
    verifier.head();
    verifier.names();
    for population in network.populations.values() {
        verifier.population(population);
    }
    for projection in network.projections.values() {
        verifier.projection(projection);
    }
    verifier.problems.into_result(())
}

struct Verifier<'a> {
    network: &'a Network,
    problems: Diagnostics,
}

impl Verifier<'_> {
    fn require(&mut self, holds: bool, place: &str, message: impl FnOnce() -> String) {
        if !holds {
            self.problems
                .push(Diagnostic::error(codes::VERIFY, place, message()));
        }
    }

    fn head(&mut self) {
        let network = self.network;
        for (what, value) in [
            ("dt", network.dt),
            ("time_unit", network.convention.time_unit),
        ] {
            self.require(value.is_finite() && value > 0.0, "network", || {
                format!("{what} = {value}, which is no positive number of seconds")
            });
        }
        let sources = network.populations.values();
        let sources = sources.filter(|p| p.kind == PopulationKind::Source).count();
        self.require(sources > 0, "network", || {
            "nothing comes from outside: there is no source".to_owned()
        });
        let output = network.populations.get(network.output).map(|p| &p.kind);
        self.require(
            matches!(output, Some(PopulationKind::Neurons(_))),
            "network",
            || format!("the output {} is no population of neurons", network.output),
        );
    }

    fn names(&mut self) {
        let network = self.network;
        let populations = network.populations.values().map(|p| &p.name);
        let projections = network.projections.values().map(|p| &p.name);
        for names in [populations.collect::<Vec<_>>(), projections.collect()] {
            let mut seen = BTreeSet::new();
            for name in names {
                self.require(seen.insert(name), name, || "the name stands twice".into());
            }
        }
    }

    fn population(&mut self, population: &Population) {
        let name = &population.name;
        self.require(population.size > 0, name, || "it has no neuron".into());
        if let PopulationKind::Neurons(neuron) = &population.kind {
            for (field, parameter) in parameters(neuron) {
                self.parameter(population, field, parameter);
            }
        }
    }

    fn parameter(&mut self, population: &Population, field: &str, parameter: &Parameter) {
        let (name, size) = (&population.name, population.size);
        let values = match parameter {
            Parameter::Uniform(value) => std::slice::from_ref(value),
            Parameter::PerNeuron(values) => {
                self.require(values.len() == size, name, || {
                    format!("{} values of {field} for {size} neurons", values.len())
                });
                values
            }
        };
        let is_time = field.starts_with("tau");
        let bad = |value: &&f64| !(**value as f32).is_finite() || is_time && **value <= 0.0;
        if let Some(value) = values.iter().find(bad) {
            self.require(false, name, || format!("{field} is {value}"));
        }
    }

    fn projection(&mut self, projection: &Projection) {
        let (name, network) = (&projection.name, self.network);
        let ends = [projection.pre, projection.post].map(|pop| network.populations.get(pop));
        let [Some(pre), Some(post)] = ends else {
            self.require(false, name, || {
                format!("{} -> {} does not exist", projection.pre, projection.post)
            });
            return;
        };
        self.require(projection.pre < projection.post, name, || {
            format!(
                "{} -> {}: a projection leads to a later population",
                projection.pre, projection.post
            )
        });
        self.require(post.kind != PopulationKind::Source, name, || {
            format!("it leads into `{}`, which is a source", post.name)
        });
        let (found, expected) = (projection.weights.len(), pre.size.checked_mul(post.size));
        self.require(Some(found) == expected, name, || {
            format!("{found} weights from {} to {}", pre.size, post.size)
        });
        let bias = projection.bias.as_deref().unwrap_or_default();
        self.require(
            projection.bias.is_none() || bias.len() == post.size,
            name,
            || format!("a bias of {} values for {} neurons", bias.len(), post.size),
        );
        let mut numbers = projection.weights.iter().chain(bias);
        let finite = numbers.all(|value| value.is_finite());
        self.require(finite, name, || {
            "a weight or bias is no finite number".into()
        });
        self.require(projection.delay > 0, name, || "a delay of 0 ticks".into());
    }
}

/// A neuron's parameters by their names.
fn parameters(neuron: &Neuron) -> Vec<(&'static str, &Parameter)> {
    let mut parameters = vec![
        ("tau_mem", &neuron.tau_mem),
        ("r", &neuron.r),
        ("v_leak", &neuron.v_leak),
        ("threshold", &neuron.threshold),
        ("v_reset", &neuron.v_reset),
    ];
    if let Some(synapse) = &neuron.synapse {
        parameters.extend([("tau_syn", &synapse.tau_syn), ("w_in", &synapse.w_in)]);
    }
    parameters
}

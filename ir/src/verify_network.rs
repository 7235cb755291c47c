//! The verifier of networks. It runs when a network has been imported and before it is lowered.
//!
//! # Invariants
//! * **Time**: `dt` is positive and finite, and every convention is one that can be.
//! * **Populations** have at least one neuron or channel, as many as their shape says, and names of their
//!   own. One at least is a source; there is at least one output, and each is a population.
//! * **Parameters** have one value or one a neuron, finite in `f32`; time constants are above 0.
//! * **Projections** go from a population to one of neurons, which is a later one where the delay is 0, and
//!   have names of their own. Dense ones have `pre.size * post.size` weights; taps have a place a source, and
//!   lead to neurons and weights that exist; paths have at least one node, each with the shape that the one
//!   before it leaves. A bias has a value a target neuron, delays of sources one a source. All numbers are
//!   finite, and delays at least 0.

use std::collections::BTreeSet;

use crate::codes;
use crate::connection::Connection;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::linear::Node;
use crate::network::{
    Convention, Link, Network, Parameter, Population, PopulationKind, Projection,
};

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
        let dt = network.dt;
        self.require(dt.is_finite() && dt > 0.0, "network", || {
            format!("dt = {dt}, which is no positive number of seconds")
        });
        self.convention("network", &network.convention);
        let mut kinds = network.populations.values().map(|p| &p.kind);
        let outside = |kind| matches!(kind, &PopulationKind::Source | &PopulationKind::Graded);
        self.require(kinds.any(outside), "network", || {
            "nothing comes from outside: there is no source".to_owned()
        });
        self.require(!network.outputs.is_empty(), "network", || {
            "nothing leaves it: there is no output".to_owned()
        });
        for port in &network.outputs {
            let found = network.populations.get(port.population).is_some();
            self.require(found, &port.name, || {
                format!("the output {} does not exist", port.population)
            });
        }
    }

    fn convention(&mut self, place: &str, convention: &Convention) {
        if let Err(message) = convention.check() {
            self.require(false, place, || message);
        }
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
        let shape = population.shape.iter();
        let product = shape.fold(1_usize, |n, d| n.saturating_mul(*d));
        self.require(product == population.size, name, || {
            format!(
                "shape {:?} for {} neurons",
                population.shape, population.size
            )
        });
        let scale = population.weight_scale;
        self.require(scale.is_finite() && scale > 0.0, name, || {
            format!("weight_scale = {scale}, which is no positive number")
        });
        if let Some(convention) = &population.convention {
            self.convention(name, convention);
        }
        if let PopulationKind::Neurons(neuron) = &population.kind {
            for (field, parameter) in neuron.parameters() {
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
        let ordered = projection.delay > 0 || projection.pre < projection.post;
        self.require(ordered, name, || {
            format!(
                "{} -> {}: without a delay, a projection leads to a later population",
                projection.pre, projection.post
            )
        });
        let neurons = matches!(post.kind, PopulationKind::Neurons(_));
        self.require(neurons, name, || {
            format!("it leads into `{}`, which comes from outside", post.name)
        });
        self.link(name, &projection.link, pre, post);
        self.delays(projection, pre);
        let bias = projection.bias.as_deref().unwrap_or_default();
        self.require(
            projection.bias.is_none() || bias.len() == post.size,
            name,
            || format!("a bias of {} values for {} neurons", bias.len(), post.size),
        );
        self.finite(name, bias.iter().copied());
        let factor = projection.factor;
        self.require(factor.is_finite() && factor != 0.0, name, || {
            format!("factor = {factor}, which is no number other than 0")
        });
        let run = projection.bias_run;
        self.require(run > 0 && post.size.is_multiple_of(run), name, || {
            format!("runs of {run} of {} neurons share a bias", post.size)
        });
        self.require(
            run == 0
                || bias
                    .chunks(run.max(1))
                    .all(|run| run.iter().all(|b| *b == run[0])),
            name,
            || "neurons that share a bias have different ones".into(),
        );
    }

    fn delays(&mut self, projection: &Projection, pre: &Population) {
        let Some(delays) = &projection.delays else {
            return;
        };
        let (name, size) = (&projection.name, pre.size);
        self.require(delays.bins.len() == size, name, || {
            format!("{} delays for {size} sources", delays.bins.len())
        });
        let is_delay = |d: &&f32| d.is_finite() && **d >= 0.0;
        let bad = delays.bins.iter().find(|d| !is_delay(d));
        self.require(bad.is_none(), name, || {
            format!("a source has a delay of {}", bad.unwrap_or(&0.0))
        });
    }

    fn finite(&mut self, name: &str, mut numbers: impl Iterator<Item = f32>) {
        let finite = numbers.all(f32::is_finite);
        self.require(finite, name, || {
            "a weight or bias is no finite number".into()
        });
    }

    fn link(&mut self, name: &str, link: &Link, pre: &Population, post: &Population) {
        match link {
            Link::Path(nodes) => self.path(name, nodes, pre, post),
            Link::Dense(weights) => {
                let (found, expected) = (weights.len(), pre.size.checked_mul(post.size));
                self.require(Some(found) == expected, name, || {
                    format!("{found} weights from {} to {}", pre.size, post.size)
                });
                self.finite(name, weights.iter().copied());
            }
            Link::Taps { axes, weights } => {
                let connection = Connection::Taps(axes.clone());
                let sources = connection.sources();
                self.require(sources == Some(pre.size), name, || {
                    format!("taps of {sources:?} places for {} sources", pre.size)
                });
                let (lane, weight) = connection.largest().unwrap_or_default();
                let inside = lane < post.size as u64 && weight < weights.len().max(1) as u64;
                self.require(inside, name, || {
                    format!(
                        "taps up to neuron {lane} of {} and weight {weight} of {}",
                        post.size,
                        weights.len()
                    )
                });
                self.finite(name, weights.iter().copied());
            }
        }
    }

    fn path(&mut self, name: &str, nodes: &[Node], pre: &Population, post: &Population) {
        self.require(!nodes.is_empty(), name, || "a path without nodes".into());
        let mut shape = &pre.shape;
        for node in nodes {
            self.require(node.input == *shape, &node.name, || {
                format!("it takes {:?}, and gets {shape:?}", node.input)
            });
            shape = &node.output;
        }
        self.require(*shape == post.shape, name, || {
            format!("it leaves {shape:?} for neurons of {:?}", post.shape)
        });
    }
}

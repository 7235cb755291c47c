//! From a NIR graph to a [`Network`]: what the file says, under a convention that says the rest.
//!
//! 1. `graph`: nested graphs are laid out flat, edges lead to nodes, missing ports are added.
//! 2. `forms`, `shapes`: what each node does to a shape, and the shape at each edge.
//! 3. `neuron`, `linear`: parameters, one value a neuron, and nodes without memory as they stand.
//! 4. `paths`: which nodes lie between which populations.
//! 5. `assemble`: populations and projections in order.
//!
//! Each step looks at everything and reports everything before the next; a step that needs what an
//! earlier one could not find leaves it out quietly, so one fault gives one error.

mod assemble;
mod convention;
mod forms;
mod graph;
mod linear;
mod neuron;
mod paths;
mod shapes;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use nirc_ir::network::{Convention, Network, Neuron};
use nirc_ir::verify_network::verify_network;
use nirc_ir::{Diagnostic, Diagnostics, codes};

pub use convention::{Stated, metadata as convention_metadata, stated as stated_convention};
pub(super) use values::to_f64;

use super::File;
use graph::Graph;

/// What the importer is told beside the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Every semantic choice; it wins over what the file's metadata state.
    pub convention: Convention,
    /// Length of a tick in seconds; `None` to take it from the file's metadata, or else the convention.
    pub dt: Option<f64>,
    /// Name of the network.
    pub name: String,
    /// Input nodes, by path, through which values arrive; spikes arrive through all others.
    pub graded: BTreeSet<String>,
}

/// The network that a file means, with the nodes between populations as they stand in the file
/// ([`nirc_ir::network::Link::Path`]).
///
/// # Errors
/// Everything that is wrong with the graph, each with its node.
pub fn import(file: &File, options: &ImportOptions) -> Result<(Network, Diagnostics), Diagnostics> {
    let mut problems = Diagnostics::new();
    check_convention(&options.convention, &mut problems);
    convention::compare(file.graph(), &options.convention, &mut problems);
    let dt = convention::dt(file.graph(), options.dt, &options.convention, &mut problems);
    let graph = Graph::of(file, &mut problems);
    check_graded(&graph, &options.graded, &mut problems);
    let forms = forms::all(&graph, &mut problems);
    let shapes = shapes::infer(&graph, &forms, &mut problems);
    let time_unit = options.convention.time_unit;
    let neurons = neuron::all(&graph, &shapes, time_unit, &mut problems);
    let nodes = linear::all(&graph, &forms, &shapes, time_unit, &mut problems);
    let paths = paths::all(&graph, &nodes, &mut problems);
    if let Some(dt) = dt {
        for (index, neuron) in &neurons {
            let place = &graph.nodes[*index].path;
            neuron::warn_about_dynamics(place, neuron, (&options.convention, dt), &mut problems);
        }
    }
    let (Some(dt), false) = (dt, problems.has_errors()) else {
        return Err(problems);
    };
    let parts = assemble::Parts {
        graph: &graph,
        shapes: &shapes,
        neurons,
        nodes,
        paths,
    };
    let network = parts.network(options, dt);
    verify_network(&network)?;
    Ok((network, problems))
}

/// The neurons of a file by their paths, as far as their own parameters are sound, whatever else is wrong.
pub fn neurons(file: &File, time_unit: f64) -> BTreeMap<String, Neuron> {
    let mut problems = Diagnostics::new();
    let graph = Graph::of(file, &mut problems);
    let forms = forms::all(&graph, &mut problems);
    let shapes = shapes::infer(&graph, &forms, &mut problems);
    let neurons = neuron::all(&graph, &shapes, time_unit, &mut problems).into_iter();
    neurons
        .map(|(index, neuron)| (graph.nodes[index].path.clone(), neuron))
        .collect()
}

fn check_convention(convention: &Convention, problems: &mut Diagnostics) {
    if let Err(message) = convention.check() {
        problems.push(Diagnostic::error(codes::CONVENTION, "convention", message));
    }
}

fn check_graded(graph: &Graph<'_>, graded: &BTreeSet<String>, problems: &mut Diagnostics) {
    let inputs: Vec<&str> = graph
        .nodes
        .iter()
        .filter(|node| matches!(node.kind, graph::Kind::Source(_)))
        .map(|node| node.path.as_str())
        .collect();
    for name in graded
        .iter()
        .filter(|name| !inputs.contains(&name.as_str()))
    {
        problems.push(
            Diagnostic::error(
                codes::GRAPH_PORTS,
                name.as_str(),
                "expected an Input that carries values, found none of this path",
            )
            .help(format!("the Inputs are {}", inputs.join(", "))),
        );
    }
}

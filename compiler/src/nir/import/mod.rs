//! From a NIR graph to a [`Network`]: what the file says, under a convention that says the rest.
//!
//! Each step looks at everything and reports everything before the next; a step that needs what an
//! earlier one could not find leaves it out quietly, so one fault gives one error.

mod convention;
mod cycles;
mod shapes;
mod topology;
mod values;

use nirc_ir::network::{Convention, Network};
use nirc_ir::verify_network::verify_network;
use nirc_ir::{Diagnostic, Diagnostics, codes};

pub use convention::metadata as convention_metadata;

use super::File;
use topology::Wiring;

/// What the importer is told beside the file.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportOptions {
    /// Every semantic choice; it wins over what the file's metadata state.
    pub convention: Convention,
    /// Length of a tick in seconds; `None` to take it from the file's metadata.
    pub dt: Option<f64>,
    /// Name of the network.
    pub name: String,
}

/// The network that a file means: feed-forward, of Input, Output, Linear, Affine, LIF and CubaLIF.
///
/// # Errors
/// Everything that is wrong with the graph, each with its node.
pub fn import(file: &File, options: &ImportOptions) -> Result<(Network, Diagnostics), Diagnostics> {
    let mut problems = Diagnostics::new();
    check_convention(&options.convention, &mut problems);
    convention::compare(file.graph(), &options.convention, &mut problems);
    let dt = convention::dt(file.graph(), options.dt, &mut problems);
    let wiring = Wiring::of(file, &mut problems);
    let sizes = shapes::infer(&wiring, &mut problems);
    let context = values::Context {
        convention: &options.convention,
        dt,
    };
    let parts = values::convert(&wiring, &sizes, &context, &mut problems);
    let network = match (dt, parts) {
        (Some(dt), Some(parts)) if !problems.has_errors() => Some(Network {
            name: options.name.clone(),
            dt,
            convention: options.convention.clone(),
            populations: parts.populations,
            projections: parts.projections,
            outputs: parts.outputs,
        }),
        _ => None,
    };
    match network {
        Some(network) => {
            verify_network(&network)?;
            Ok((network, problems))
        }
        None => Err(problems),
    }
}

fn check_convention(convention: &Convention, problems: &mut Diagnostics) {
    if let Err(message) = convention.check() {
        problems.push(Diagnostic::error(codes::CONVENTION, "convention", message));
    }
}

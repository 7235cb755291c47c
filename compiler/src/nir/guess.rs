//! Which tool may have written a file: offered where nobody says how to read it, and never taken.

use nir_rs::{NirGraph, NirNode, Tensor};

use super::File;
use super::import::to_f64;

/// A convention by which a file may be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guess {
    /// The preset.
    pub convention: &'static str,
    /// What in the file speaks for it.
    pub why: &'static str,
}

/// The convention that a file looks like, by marks that one exporter leaves and no other is known to.
pub fn guess(file: &File) -> Option<Guess> {
    let graph = file.graph();
    let guess = |convention, why| Some(Guess { convention, why });
    if has_torch_names(graph) {
        return guess(
            "rockpool",
            "nodes are called as Rockpool's exporter calls them",
        );
    }
    if has_named_outputs(graph) {
        return guess(
            "jaxsnn",
            "Outputs are called as jaxsnn's exporter calls them",
        );
    }
    let mut neurons = Vec::new();
    collect(graph, &mut neurons);
    if !neurons.is_empty() && neurons.iter().all(|neuron| neuron.is_leaky()) {
        return guess(
            "snntorch",
            "r is tau / 1e-4 in every neuron, as snnTorch's exporter has it",
        );
    }
    None
}

/// `1_LIFTorch`, and the like.
fn has_torch_names(graph: &NirGraph) -> bool {
    graph.nodes.keys().any(|name| {
        let parts = name.split_once('_');
        parts.is_some_and(|(number, class)| {
            number.parse::<u32>().is_ok() && class.ends_with("Torch")
        })
    })
}

/// `output_NAME` for an Output behind a CubaLIF `NAME`.
fn has_named_outputs(graph: &NirGraph) -> bool {
    graph.nodes.iter().any(|(name, node)| {
        let source = name
            .strip_prefix("output_")
            .and_then(|s| graph.nodes.get(s));
        matches!(
            (node, source),
            (NirNode::Output(_), Some(NirNode::CubaLif(_)))
        )
    })
}

/// Time constant and resistance of neurons that have both.
struct Neuron<'a> {
    tau: &'a Tensor,
    r: &'a Tensor,
}

impl Neuron<'_> {
    /// Whether it is snnTorch's Leaky or Synaptic, whose exporter knows one tick.
    fn is_leaky(&self) -> bool {
        let (tau, r) = (to_f64(self.tau), to_f64(self.r));
        let fits = |(tau, r): (&f64, &f64)| (r * 1e-4 - tau).abs() <= 1e-5 * tau.abs();
        tau.len() == r.len() && tau.iter().zip(&r).all(fits)
    }
}

fn collect<'a>(graph: &'a NirGraph, neurons: &mut Vec<Neuron<'a>>) {
    for node in graph.nodes.values() {
        match node {
            NirNode::Lif(n) => neurons.push(Neuron {
                tau: &n.tau,
                r: &n.r,
            }),
            NirNode::CubaLif(n) => neurons.push(Neuron {
                tau: &n.tau_mem,
                r: &n.r,
            }),
            NirNode::Graph(inner) => collect(inner, neurons),
            _ => {}
        }
    }
}

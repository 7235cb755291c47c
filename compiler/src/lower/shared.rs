//! Biases that neurons share, as the weights of a neuron whose value is always 1.
//!
//! The places of a convolution's channel share a bias as they share a kernel. What arrives over synapses that share
//! weights adds to one gradient ([`nirc_ir::event::Domain::Synapses`]); so a bias is trained as such a weight, and no
//! executor has to know of it. A bias is there in every tick, and so is a value.

use nirc_ir::connection::{Axis, Tap};
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::{ArrayDecl, ArrayKind, Domain, Handler, HandlerKind, Output, Process, Role};
use nirc_ir::network::{
    Link, Membrane, Network, Neuron, Pop, Population, PopulationKind, Port, Projection,
};

use super::body::BodyBuilder;

/// The population that says 1; it is the first, so that its value is there before anybody takes it.
pub(super) const ONE: usize = 0;

/// The network with shared biases that are trained as weights of a first population; `None` if there are none.
pub(super) fn biases(network: &Network) -> Option<Network> {
    let is_shared =
        |p: &Projection| p.trainable && p.bias.is_some() && matches!(p.link, Link::Taps { .. });
    if !network.projections.values().any(is_shared) {
        return None;
    }
    let later = |pop: Pop| Pop::new(pop.index() + 1);
    let mut name = "one".to_owned();
    while network.populations.values().any(|p| p.name == name) {
        name.push('_');
    }
    let one = PopulationKind::Neurons(Neuron {
        membrane: Membrane::Direct,
        synapse: None,
        firing: None,
    });
    let mut populations = vec![Population::vector(name, 1, one)];
    populations.extend(network.populations.values().cloned());
    let mut projections = Vec::new();
    for projection in network.projections.values() {
        let mut moved = Projection {
            pre: later(projection.pre),
            post: later(projection.post),
            ..projection.clone()
        };
        if is_shared(projection)
            && let Some(weights) = projection.shared_bias()
        {
            moved.bias = None;
            projections.push(Projection {
                name: moved.name.clone(),
                pre: Pop::new(ONE),
                post: moved.post,
                link: Link::Taps {
                    axes: axes(weights.len(), projection.bias_run)?,
                    weights,
                },
                bias: None,
                // Where neurons begin in bin 1, it is the value of bin 0 that they take first.
                delay: network.convention.first_tick,
                delays: None,
                trainable: true,
                factor: 1.0,
                bias_run: 1,
            });
            moved.bias_run = 1;
        }
        projections.push(moved);
    }
    projections.sort_by(|a, b| (a.post, a.pre, &a.name).cmp(&(b.post, b.pre, &b.name)));
    Some(Network {
        populations: populations.into_iter().collect::<PrimaryMap<Pop, _>>(),
        projections: projections.into_iter().collect(),
        outputs: network
            .outputs
            .iter()
            .map(|port| Port {
                population: later(port.population),
                ..port.clone()
            })
            .collect(),
        ..network.clone()
    })
}

/// From one source to `count` runs of so many lanes, each by a weight of its own.
fn axes(count: usize, run: usize) -> Option<Vec<Axis>> {
    let taps = |count: usize, stride: usize, weighs: bool| {
        let tap = |k: usize| {
            Some(Tap {
                lane: u32::try_from(k * stride).ok()?,
                weight: u32::try_from(if weighs { k } else { 0 }).ok()?,
            })
        };
        let taps = (0..count).map(tap).collect::<Option<Vec<Tap>>>()?;
        Some(Axis::new(vec![taps]))
    };
    Some(vec![taps(count, run, true)?, taps(run, 1, false)?])
}

/// The network without factors, for programs of exact event times: what had one is not trained.
pub(super) fn multiplied_out(network: &Network) -> Network {
    let mut network = network.clone();
    for projection in network.projections.values_mut() {
        projection.multiply_out();
    }
    network
}

/// The process that says 1 in every bin.
pub(super) fn process(name: &str) -> Process {
    let mut arrays = PrimaryMap::new();
    let one = arrays.push(ArrayDecl {
        name: "one".to_owned(),
        kind: ArrayKind::State { init: 1.0 },
    });
    let mut b = BodyBuilder::new();
    let value = b.load(one);
    b.store(one, value);
    Process {
        name: name.to_owned(),
        role: Role::Neurons,
        lanes: 1,
        coefs: PrimaryMap::new(),
        arrays,
        output: Output::State(one),
        tape: None,
        handlers: vec![Handler {
            kind: HandlerKind::Tick,
            domain: Domain::Lanes,
            body: b.finish(),
        }],
    }
}

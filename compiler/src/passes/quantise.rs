//! Weights of 8 bits: what py-spinnaker2 makes of a file before it goes onto the chip.
//!
//! Of all weights into a population (recurrent ones too) the largest becomes 127, and each is truncated
//! towards zero: `q = trunc(w W)`, `W = 127 / max |w|`. A convention may give `W`, and round otherwise; what
//! does not fit 8 bits then is refused. Biases are multiplied with `W` and not rounded. The
//! population keeps `W`, so that lowering counts its threshold, leak and voltages in the same unit. Integer
//! weights are exact in `f32`, so sums of them are what a chip with integer accumulators gets.

use nirc_ir::network::{Link, Network, NumberFormat, Pop, PopulationKind, Projection, Rounding};
use nirc_ir::{Diagnostic, Diagnostics, codes};

/// The largest weight of 8 bits.
const LARGEST: f64 = 127.0;

/// Quantises the weights into every population whose convention says so.
///
/// The notes say what was rounded, and by how much.
///
/// # Errors
/// When a scale makes a weight too large for 8 bits.
pub fn quantise(network: &mut Network) -> Result<Diagnostics, Diagnostics> {
    let mut notes = Diagnostics::new();
    let quantised: Vec<Pop> = network
        .populations
        .iter()
        .filter(|(_, p)| matches!(p.kind, PopulationKind::Neurons(_)) && p.weight_scale == 1.0)
        .map(|(pop, _)| pop)
        .filter(|pop| network.convention_of(*pop).number_format == NumberFormat::Int8)
        .collect();
    for pop in quantised {
        notes.0.extend(population(network, pop));
    }
    if notes.has_errors() {
        return Err(notes);
    }
    Ok(notes)
}

fn population(network: &mut Network, pop: Pop) -> Option<Diagnostic> {
    // What is rounded is what a spike brings.
    let incoming = network.projections.values_mut().filter(|p| p.post == pop);
    incoming.for_each(Projection::multiply_out);
    let weights = network.incoming(pop).flat_map(|(_, p)| weights(&p.link));
    let largest = weights.fold(0.0_f64, |most, w| most.max(f64::from(w.abs())));
    if largest == 0.0 {
        return None;
    }
    let convention = network.convention_of(pop);
    let rounding = convention.rounding;
    let scale = convention.weight_scale.0.unwrap_or(LARGEST / largest);
    let round = |scaled: f64| match rounding {
        Rounding::Truncate => scaled.trunc(),
        Rounding::Nearest => scaled.round_ties_even(),
        Rounding::Floor => scaled.floor(),
    };
    if round(largest * scale) > LARGEST {
        let name = &network.populations[pop].name;
        let message = format!(
            "a weight of {largest} times {scale} is more than {LARGEST}, the largest of 8 bits"
        );
        let problem = Diagnostic::error(codes::CONVENTION, name, message);
        return Some(
            problem.help("leave `weight_scale` unset, so that the largest weight becomes 127"),
        );
    }
    let (mut count, mut widest) = (0, 0.0_f64);
    for projection in network.projections.values_mut().filter(|p| p.post == pop) {
        if let Link::Dense(weights) | Link::Taps { weights, .. } = &mut projection.link {
            for weight in weights.iter_mut() {
                let scaled = f64::from(*weight) * scale;
                widest = widest.max((scaled - round(scaled)).abs() / scale);
                *weight = round(scaled) as f32;
                count += 1;
            }
        }
        for bias in projection.bias.iter_mut().flatten() {
            *bias = (f64::from(*bias) * scale) as f32;
        }
    }
    network.populations[pop].weight_scale = scale;
    Some(Diagnostic::note(
        codes::NODE_PRECISION,
        &network.populations[pop].name,
        format!(
            "{count} weights, the largest {largest}, are scaled by {scale} and rounded to integers of 8 bits \
             ({rounding}): each is off by {widest:.3e} at most"
        ),
    ))
}

fn weights(link: &Link) -> &[f32] {
    match link {
        Link::Dense(weights) | Link::Taps { weights, .. } => weights,
        Link::Path(_) => &[],
    }
}

#[cfg(test)]
mod tests {
    use nirc_ir::entity::{Entity, PrimaryMap};
    use nirc_ir::network::{Convention, Neuron, Optional, Population, Port};

    use super::*;

    fn network() -> Network {
        let projection = |name: &str, pre: usize, weights: &[f32], bias| Projection {
            name: name.to_owned(),
            pre: Pop::new(pre),
            post: Pop::new(1),
            link: Link::Dense(weights.to_vec()),
            bias,
            delay: 1,
            delays: None,
            trainable: false,
            factor: 1.0,
            bias_run: 1,
        };
        let neurons = PopulationKind::Neurons(Neuron::lif(0.01, 1.0));
        Network {
            name: "net".to_owned(),
            dt: 1e-3,
            convention: Convention::preset("spinnaker2-int8").expect("a preset"),
            populations: PrimaryMap::from_iter([
                Population::vector("in", 2, PopulationKind::Source),
                Population::vector("out", 2, neurons),
            ]),
            projections: PrimaryMap::from_iter([
                projection("a", 0, &[0.5, -0.25, 0.1, 0.0], Some(vec![0.25, 0.0])),
                projection("b", 1, &[-2.0, 0.3, 0.009, 1.0], None),
            ]),
            outputs: vec![Port {
                name: "output".to_owned(),
                population: Pop::new(1),
            }],
        }
    }

    fn values(network: &Network, at: usize) -> Vec<f32> {
        let projection = network.projections.values().nth(at).expect("a projection");
        weights(&projection.link).to_vec()
    }

    #[test]
    fn the_largest_weight_of_all_projections_sets_the_scale() {
        let mut network = network();
        let notes = quantise(&mut network).expect("they fit");
        // 127 / 2 = 63.5
        assert_eq!(values(&network, 0), [31.0, -15.0, 6.0, 0.0]);
        assert_eq!(values(&network, 1), [-127.0, 19.0, 0.0, 63.0]);
        let bias = network
            .projections
            .values()
            .next()
            .and_then(|p| p.bias.clone());
        assert_eq!(bias, Some(vec![15.875, 0.0]));
        assert_eq!(network.populations[Pop::new(1)].weight_scale, 63.5);
        assert_eq!(notes.0.len(), 1);
        assert!(notes.0[0].message.contains("8 weights"), "{notes}");
    }

    #[test]
    fn a_scale_and_a_rounding_can_be_given() {
        let mut network = network();
        network.convention.weight_scale = Optional(Some(10.0));
        network.convention.rounding = Rounding::Nearest;
        quantise(&mut network).expect("they fit");
        assert_eq!(values(&network, 0), [5.0, -2.0, 1.0, 0.0]);
        let mut wide = self::network();
        wide.convention.weight_scale = Optional(Some(64.0));
        let problems = quantise(&mut wide).expect_err("128 does not fit");
        assert!(problems.to_string().contains("more than 127"), "{problems}");
    }

    #[test]
    fn a_second_time_changes_nothing() {
        let mut network = network();
        quantise(&mut network).expect("they fit");
        let once = network.clone();
        quantise(&mut network).expect("they fit");
        assert_eq!(network, once);
    }
}

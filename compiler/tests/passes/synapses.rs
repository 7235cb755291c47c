//! Fused paths of every geometry give the matrix that their nodes give one by one.

use nirc_compiler::passes;
use nirc_ir::connection::Connection;
use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::linear::{Linear, Node, Window};
use nirc_ir::network::{
    Convention, Link, Membrane, Network, Neuron, Pop, Population, PopulationKind, Port, Projection,
};
use nirc_tests::rng::Rng;

use crate::reference::{apply, apply_all};

/// One path between an input and a relay.
fn network(shape: &[usize], nodes: Vec<Node>) -> Network {
    let relay = PopulationKind::Neurons(Neuron {
        membrane: Membrane::Direct,
        synapse: None,
        firing: None,
    });
    let population = |name: &str, shape: &[usize], kind| Population {
        shape: shape.to_vec(),
        ..Population::vector(name, shape.iter().product(), kind)
    };
    let last = nodes.last().map_or(shape, |n| &n.output).to_vec();
    Network {
        name: "path".into(),
        dt: 1e-3,
        convention: Convention::preset("euler").unwrap(),
        populations: PrimaryMap::from_iter([
            population("in", shape, PopulationKind::Source),
            population("out", &last, relay),
        ]),
        projections: PrimaryMap::from_iter([Projection {
            name: "path".into(),
            pre: Pop::new(0),
            post: Pop::new(1),
            link: Link::Path(nodes),
            bias: None,
            delay: 1,
            delays: None,
            trainable: false,
            factor: 1.0,
            bias_run: 1,
        }]),
        outputs: vec![Port {
            name: "out".into(),
            population: Pop::new(1),
        }],
    }
}

/// A projection's weights as a row a source.
fn matrix(projection: &Projection, sources: usize, lanes: usize) -> Vec<f64> {
    let mut matrix = vec![0.0; sources * lanes];
    match &projection.link {
        Link::Dense(weights) => {
            for (into, w) in matrix.iter_mut().zip(weights) {
                *into = f64::from(*w);
            }
        }
        Link::Taps { axes, weights } => {
            let connection = Connection::Taps(axes.clone());
            for source in 0..sources {
                connection.each(source, |tap| {
                    matrix[source * lanes + tap.lane as usize] +=
                        f64::from(weights[tap.weight as usize]);
                });
            }
        }
        Link::Path(_) => panic!("not fused"),
    }
    matrix
}

/// Small numbers of few digits, so that sums are exact.
fn number(rng: &mut Rng) -> f64 {
    rng.below(9) as f64 - 4.0
}

fn numbers(rng: &mut Rng, count: usize) -> Vec<f64> {
    (0..count).map(|_| number(rng)).collect()
}

fn window(rng: &mut Rng, length: usize) -> Option<Window> {
    let size = 1 + rng.below(3);
    let window = Window {
        size,
        stride: 1 + rng.below(3),
        before: rng.below(size),
        after: rng.below(size),
        dilation: 1 + rng.below(2),
    };
    window.outputs(length).map(|_| window)
}

fn windows(rng: &mut Rng, space: &[usize]) -> Option<Vec<Window>> {
    space.iter().map(|length| window(rng, *length)).collect()
}

fn slid(windows: &[Window], space: &[usize]) -> Vec<usize> {
    let pairs = windows.iter().zip(space);
    pairs.map(|(w, n)| w.outputs(*n).unwrap()).collect()
}

/// A node that takes this shape, if the one that is drawn does.
fn node(rng: &mut Rng, input: &[usize], name: String) -> Option<Node> {
    let volume: usize = input.iter().product();
    let (op, output) = match rng.below(9) {
        0 => {
            let (m, n) = (*input.last()?, 1 + rng.below(5));
            let weight = numbers(rng, n * m);
            let bias = (rng.below(2) == 0).then(|| numbers(rng, n));
            let output = [&input[..input.len() - 1], &[n]].concat();
            (Linear::Matrix { weight, bias }, output)
        }
        1 => (Linear::Scale(numbers(rng, volume)), input.to_vec()),
        2 => (Linear::Scale(vec![number(rng); volume]), input.to_vec()),
        3 => {
            // One factor a channel.
            let factors = numbers(rng, input[0]);
            let each = volume / input[0];
            let scale = (0..volume).map(|k| factors[k / each]).collect();
            (Linear::Scale(scale), input.to_vec())
        }
        4 => (Linear::Reshape, vec![volume]),
        5 | 6 if input.len() > 1 => {
            let windows = windows(rng, &input[1..])?;
            let divisors: Vec<usize> = (1..=input[0])
                .filter(|g| input[0].is_multiple_of(*g))
                .collect();
            let groups = divisors[rng.below(divisors.len())];
            let outputs = groups * (1 + rng.below(2));
            let size: usize = windows.iter().map(|w| w.size).product();
            let kernel = numbers(rng, outputs * (input[0] / groups) * size);
            let bias = (rng.below(2) == 0).then(|| numbers(rng, outputs));
            let output = [&[outputs], &slid(&windows, &input[1..])[..]].concat();
            let op = Linear::Convolution {
                kernel,
                groups,
                windows,
                bias,
            };
            (op, output)
        }
        kind @ (7 | 8) if input.len() == 3 => {
            let windows: Vec<Window> = windows(rng, &input[1..])?;
            let windows: Vec<Window> = windows
                .into_iter()
                .map(|w| Window { dilation: 1, ..w })
                .collect();
            let output = [&[input[0]], &slid(&windows, &input[1..])[..]].concat();
            let op = if kind == 7 {
                Linear::SumPool(windows)
            } else {
                Linear::AveragePool(windows)
            };
            (op, output)
        }
        _ => return None,
    };
    Some(Node {
        name,
        input: input.to_vec(),
        output,
        op,
    })
}

fn path(rng: &mut Rng) -> (Vec<usize>, Vec<Node>) {
    let shape: Vec<usize> = match rng.below(4) {
        0 => vec![1 + rng.below(9)],
        1 => vec![1 + rng.below(4), 1 + rng.below(8)],
        _ => vec![1 + rng.below(4), 1 + rng.below(7), 1 + rng.below(7)],
    };
    let mut nodes: Vec<Node> = Vec::new();
    let length = 1 + rng.below(4);
    while nodes.len() < length {
        let input = nodes.last().map_or(&shape, |n| &n.output).clone();
        nodes.extend(node(rng, &input, format!("n{}", nodes.len())));
    }
    (shape, nodes)
}

fn check(shape: &[usize], nodes: &[Node], context: &str) -> Projection {
    let sources: usize = shape.iter().product();
    let zeros = vec![0.0; sources];
    let bias = apply_all(nodes, &zeros);
    let mut network = network(shape, nodes.to_vec());
    passes::canonicalise(&mut network).unwrap_or_else(|e| panic!("{context}: {e}"));
    let projection = network.projections.values().next().unwrap().clone();
    let found = matrix(&projection, sources, bias.len());
    for source in 0..sources {
        let mut unit = zeros.clone();
        unit[source] = 1.0;
        let row = apply_all(nodes, &unit);
        for (lane, (y, b)) in row.iter().zip(&bias).enumerate() {
            let (expected, got) = (y - b, found[source * bias.len() + lane]);
            assert!(
                (expected - got).abs() <= 1e-6 * (1.0 + expected.abs()),
                "{context}: {source} -> {lane}: {expected} {got}\n{nodes:?}"
            );
        }
    }
    let stated = projection.bias.clone().unwrap_or(vec![0.0; bias.len()]);
    for (expected, got) in bias.iter().zip(stated) {
        let off = (expected - f64::from(got)).abs();
        assert!(
            off <= 1e-6 * (1.0 + expected.abs()),
            "{context}: {expected} {got}"
        );
    }
    if let Link::Taps { axes, .. } = &projection.link {
        for axis in axes {
            for place in 0..axis.len() {
                let taps = axis.taps(place);
                assert!(taps.is_sorted(), "{context}: {taps:?}");
            }
        }
    }
    projection
}

#[test]
fn random_paths_give_the_matrix_of_their_nodes() {
    let (mut shared, mut spread) = (0, 0);
    for seed in 0..4000 {
        let mut rng = Rng::new(seed);
        let (shape, nodes) = path(&mut rng);
        let projection = check(&shape, &nodes, &format!("seed {seed}"));
        match &projection.link {
            Link::Taps { axes, .. } if axes.len() > 1 => shared += 1,
            _ => spread += 1,
        }
    }
    assert!(shared > 1000 && spread > 1000, "{shared} {spread}");
}

fn conv(input: &[usize], outputs: usize, groups: usize, windows: &[Window]) -> Node {
    let mut rng = Rng::new(7);
    let size: usize = windows.iter().map(|w| w.size).product();
    let output = [&[outputs], &slid(windows, &input[1..])[..]].concat();
    Node {
        name: "conv".into(),
        input: input.to_vec(),
        output,
        op: Linear::Convolution {
            kernel: numbers(&mut rng, outputs * (input[0] / groups) * size),
            groups,
            windows: windows.to_vec(),
            bias: None,
        },
    }
}

fn pool(input: &[usize], mean: bool) -> Node {
    let window = Window {
        size: 2,
        stride: 2,
        before: 0,
        after: 0,
        dilation: 1,
    };
    let windows = vec![window; 2];
    Node {
        name: "pool".into(),
        output: [&[input[0]], &slid(&windows, &input[1..])[..]].concat(),
        input: input.to_vec(),
        op: if mean {
            Linear::AveragePool(windows)
        } else {
            Linear::SumPool(windows)
        },
    }
}

fn flatten(input: &[usize]) -> Node {
    Node {
        name: "flatten".into(),
        input: input.to_vec(),
        output: vec![input.iter().product()],
        op: Linear::Reshape,
    }
}

/// A kernel is stored once, whatever pooling stands beside it.
#[test]
fn kernels_are_shared() {
    let window = |size, stride, before, after, dilation| Window {
        size,
        stride,
        before,
        after,
        dilation,
    };
    let rectangular = [window(3, 2, 1, 1, 1), window(1, 1, 0, 0, 1)];
    let same = [window(4, 2, 1, 2, 1), window(3, 2, 2, 2, 2)];
    for (windows, groups) in [(&rectangular, 1), (&rectangular, 2), (&same, 1), (&same, 4)] {
        let shape = [4, 12, 10];
        let first = conv(&shape, 8, groups, windows);
        let kernel = 8 * (4 / groups) * windows[0].size * windows[1].size;
        let after = pool(&first.output, true);
        let before = pool(&shape, false);
        let second = conv(&before.output, 8, groups, windows);
        for nodes in [
            vec![first.clone()],
            vec![first.clone(), after.clone()],
            vec![before, second],
            vec![first, after.clone(), flatten(&after.output)],
        ] {
            let projection = check(&shape, &nodes, "shared");
            let Link::Taps { axes, weights } = &projection.link else {
                panic!("{nodes:?}");
            };
            assert_eq!((axes.len(), weights.len()), (3, kernel));
        }
    }
}

/// Weights behind pooling have a row for each place of the pooled shape, not of the source's.
#[test]
fn weights_behind_pooling_are_stored_once() {
    let shape = [3, 4, 4];
    let pooled = pool(&shape, true);
    let flat = flatten(&pooled.output);
    let mut rng = Rng::new(3);
    let fc = Node {
        name: "fc".into(),
        input: vec![12],
        output: vec![5],
        op: Linear::Matrix {
            weight: numbers(&mut rng, 60),
            bias: None,
        },
    };
    let projection = check(&shape, &[pooled, flat, fc.clone()], "pool, flatten, matrix");
    let Link::Taps { axes, weights } = &projection.link else {
        panic!();
    };
    assert_eq!((axes.len(), weights.len()), (4, 60));
    assert_eq!(axes[3].len(), 1);
    // Without pooling it is a plain matrix.
    let shape = [3, 2, 2];
    let projection = check(&shape, &[flatten(&shape), fc], "flatten, matrix");
    assert!(matches!(projection.link, Link::Dense(_)));
}

#[test]
fn mostly_zeros_become_one_sparse_axis() {
    let diagonal: Vec<f64> = (0..64)
        .map(|k| if k % 9 == 0 { 2.0 } else { 0.0 })
        .collect();
    let node = Node {
        name: "w".into(),
        input: vec![8],
        output: vec![8],
        op: Linear::Matrix {
            weight: diagonal,
            bias: None,
        },
    };
    let projection = check(&[8], std::slice::from_ref(&node), "diagonal");
    let Link::Taps { axes, weights } = &projection.link else {
        panic!();
    };
    assert_eq!((axes.len(), weights.len()), (1, 8));
    assert_eq!(apply(&node, &[1.0; 8]), [2.0; 8]);
}

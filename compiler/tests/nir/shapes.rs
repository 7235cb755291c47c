//! Shapes of convolutions, pooling and reshaping, as the importer infers them.

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{File, import};
use nirc_ir::linear::{Linear, Window};
use nirc_ir::network::{Link, Network};

use crate::samples::{brief, errors, file, imported, input, linear, node, options, refused};

fn integers(shape: &[u64], values: &[i64]) -> Dataset {
    Dataset::i64(shape, values).unwrap()
}

fn floats(shape: &[u64]) -> Dataset {
    let count = shape.iter().product::<u64>();
    let values: Vec<f32> = (0..count).map(|v| v as f32).collect();
    Dataset::f32(shape, &values).unwrap()
}

/// IF neurons with one value for all.
fn neurons() -> Group {
    let one = || Dataset::f64(&[], &[1.0]).unwrap();
    node("IF")
        .with("r", one())
        .with("v_threshold", one())
        .with("v_reset", one())
}

struct Conv {
    weight: [u64; 4],
    stride: [i64; 2],
    padding: Dataset,
    dilation: [i64; 2],
    groups: i64,
}

impl Conv {
    fn node(self) -> Group {
        node("Conv2d")
            .with("bias", floats(&[self.weight[0]]))
            .with("weight", floats(&self.weight))
            .with("stride", integers(&[2], &self.stride))
            .with("padding", self.padding)
            .with("dilation", integers(&[2], &self.dilation))
            .with("groups", integers(&[], &[self.groups]))
    }
}

/// The nodes in a row between an Input and neurons with an Output.
fn chain(shape: &[i64], nodes: &[(&'static str, Group)]) -> File {
    let mut all = vec![("in", input(shape))];
    all.extend(nodes.to_vec());
    all.push(("pop", neurons()));
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let edges: Vec<_> = names.windows(2).map(|pair| (pair[0], pair[1])).collect();
    file(&all, &edges)
}

fn raw(file: &File) -> (Network, Vec<String>) {
    let (network, notes) = import(file, &options()).unwrap_or_else(|e| panic!("{e}"));
    (network, brief(&notes))
}

fn last_shape(network: &Network) -> Vec<usize> {
    network.populations.values().last().unwrap().shape.clone()
}

#[test]
fn rectangular_kernels_groups_and_dilation_count_for_each_axis() {
    let conv = Conv {
        weight: [6, 2, 5, 3],
        stride: [2, 1],
        padding: integers(&[2], &[1, 0]),
        dilation: [1, 2],
        groups: 3,
    };
    let (network, _) = raw(&chain(&[6, 20, 11], &[("conv", conv.node())]));
    // (20 + 2 - 5) / 2 + 1 and 11 - 2 * 2.
    assert_eq!(last_shape(&network), [6, 9, 7]);
    let Link::Path(path) = &network.projections.values().next().unwrap().link else {
        panic!();
    };
    let Linear::Convolution {
        groups, windows, ..
    } = &path[0].op
    else {
        panic!();
    };
    assert_eq!(*groups, 3);
    let window = |size, stride, zeros, dilation| Window {
        size,
        stride,
        before: zeros,
        after: zeros,
        dilation,
    };
    assert_eq!(windows[..], [window(5, 2, 1, 1), window(3, 1, 0, 2)]);
}

#[test]
fn padding_by_name() {
    for (name, kernel, stride, expected, notes) in [
        ("same", [3, 4], [1, 1], [9, 9], 0),
        ("same", [3, 4], [2, 3], [5, 3], 1),
        ("valid", [3, 4], [2, 3], [4, 2], 0),
    ] {
        let conv = Conv {
            weight: [2, 1, kernel[0], kernel[1]],
            stride,
            padding: Dataset::text(name),
            dilation: [1, 1],
            groups: 1,
        };
        let (network, found) = raw(&chain(&[1, 9, 9], &[("conv", conv.node())]));
        assert_eq!(last_shape(&network)[1..], expected, "{name} {stride:?}");
        let of_conv = found.iter().filter(|n| n.ends_with(" conv")).count();
        assert_eq!(of_conv, notes, "{found:?}");
    }
}

#[test]
fn one_number_stands_for_both_axes_and_one_dimension_is_enough() {
    let pool = node("AvgPool2d")
        .with("kernel_size", integers(&[], &[2]))
        .with("stride", integers(&[1], &[2]))
        .with("padding", integers(&[2], &[0, 1]));
    let (network, _) = raw(&chain(&[3, 8, 8], &[("pool", pool)]));
    assert_eq!(last_shape(&network), [3, 4, 5]);
    let conv = node("Conv1d")
        .with("bias", floats(&[4]))
        .with("weight", floats(&[4, 2, 3]))
        .with("stride", integers(&[], &[2]))
        .with("padding", integers(&[], &[1]))
        .with("dilation", integers(&[], &[1]))
        .with("groups", integers(&[], &[1]));
    let (network, _) = raw(&chain(&[2, 10], &[("conv", conv)]));
    assert_eq!(last_shape(&network), [4, 5]);
}

#[test]
fn flattening_counts_axes_with_or_without_a_batch() {
    let flatten = |start, end| {
        node("Flatten")
            .with("start_dim", integers(&[], &[start]))
            .with("end_dim", integers(&[], &[end]))
    };
    for (start, end, notes) in [(0, -1, 0), (1, -1, 1), (1, 3, 1)] {
        let nodes = [("f", flatten(start, end)), ("w", linear(5, 24))];
        let (network, found) = raw(&chain(&[2, 3, 4], &nodes));
        assert_eq!(last_shape(&network), [5]);
        let of_flatten = found.iter().filter(|n| n.ends_with(" f")).count();
        assert_eq!(of_flatten, notes, "{start} {end} {found:?}");
    }
    // Weights over the last axis of what is left.
    let nodes = [("f", flatten(1, 2)), ("w", linear(5, 12))];
    let (network, _) = raw(&chain(&[2, 3, 4], &nodes));
    assert_eq!(last_shape(&network), [2, 5]);
}

#[test]
fn extents_that_do_not_fit_are_told() {
    let conv = || Conv {
        weight: [2, 1, 3, 3],
        stride: [1, 1],
        padding: integers(&[2], &[0, 0]),
        dilation: [1, 1],
        groups: 1,
    };
    let refused = |shape: &[i64], node: Group| errors(&refused(&chain(shape, &[("conv", node)])));
    // Another number of channels, and less space than a window.
    assert_eq!(refused(&[2, 9, 9], conv().node()), ["N0203 conv"]);
    assert_eq!(refused(&[1, 9, 2], conv().node()), ["N0203 conv"]);
    let with = |field: &str, values: &[i64]| conv().node().with(field, integers(&[2], values));
    assert_eq!(refused(&[1, 9, 9], with("stride", &[0, 1])), ["N0203 conv"]);
    assert_eq!(
        refused(&[1, 9, 9], with("dilation", &[1, -1])),
        ["N0203 conv"]
    );
    let groups = conv().node().with("groups", integers(&[], &[3]));
    assert_eq!(refused(&[3, 9, 9], groups), ["N0203 conv"]);
    let text = conv().node().with("padding", Dataset::text("circular"));
    assert_eq!(refused(&[1, 9, 9], text)[0], "N0204 conv");
    // The size of the input, where the file states it.
    let stated = conv().node().with("input_shape", integers(&[2], &[8, 9]));
    assert_eq!(refused(&[1, 9, 9], stated), ["N0203 in"]);
}

#[test]
fn weights_act_on_the_last_axis() {
    let (network, _) = imported(&chain(&[7, 2], &[("w", linear(3, 2))]));
    assert_eq!(last_shape(&network), [7, 3]);
    let projection = network.projections.values().next().unwrap();
    let Link::Taps { axes, weights } = &projection.link else {
        panic!();
    };
    assert_eq!((axes.len(), weights.len()), (2, 6));
    assert!(!projection.trainable);
}

#[test]
fn parameters_are_broadcast_as_numpy_does() {
    let each_channel = neurons().with("v_threshold", Dataset::f64(&[2, 1], &[1.0, 2.0]).unwrap());
    let nodes = [("in", input(&[2, 3])), ("pop", each_channel)];
    let (network, _) = imported(&file(&nodes, &[("in", "pop")]));
    let population = network.populations.values().last().unwrap();
    let nirc_ir::network::PopulationKind::Neurons(neuron) = &population.kind else {
        panic!();
    };
    let threshold = crate::samples::parameter(neuron, "threshold");
    let values: Vec<f64> = (0..6).map(|n| threshold.at(n)).collect();
    assert_eq!(values, [1.0, 1.0, 1.0, 2.0, 2.0, 2.0]);
}

/// Shapes are too large to count, or to hold.
#[test]
fn enormous_shapes_are_refused() {
    for shape in [&[1 << 40][..], &[1 << 32, 1 << 32], &[1 << 23]] {
        let nodes = [("in", input(shape)), ("pop", neurons())];
        let problems = refused(&file(&nodes, &[("in", "pop")]));
        assert_eq!(errors(&problems)[0], "N0203 in", "{shape:?}");
    }
}

//! What graphs mean, and what is said of those that mean nothing.

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{File, convention_metadata, import};
use nirc_ir::Severity;
use nirc_ir::network::{Convention, Parameter, PopulationKind};
use nirc_tests::rng::Rng;

use crate::samples::{
    affine, brief, cuba_lif, dense, errors, file, imported, input, lif, linear, node, options,
    output, parameter, refused, small, small_with, tree, vector,
};

fn neuron(file: &File) -> nirc_ir::network::Neuron {
    let (network, _) = imported(file);
    let PopulationKind::Neurons(neuron) = &network.populations[network.readout().unwrap()].kind
    else {
        panic!("the output is a source");
    };
    neuron.clone()
}

#[test]
fn a_small_graph_comes_out_whole() {
    let (nodes, edges) = small();
    let (network, notes) = imported(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    assert_eq!(network.name, "test");
    assert_eq!(network.dt, 1e-3);
    let populations: Vec<_> = network
        .populations
        .values()
        .map(|p| (p.name.as_str(), p.size))
        .collect();
    assert_eq!(populations, [("in", 2), ("pop", 3)]);
    let projection = network.projections.values().next().unwrap();
    assert_eq!(projection.name, "fc");
    // NIR's rows are [1, 2], [3, 4], [5, 6], one a target.
    assert_eq!(dense(projection), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
    assert_eq!(projection.bias, None);
    assert_eq!(projection.delay, 1);
    assert!(projection.trainable);
    let neuron = neuron(&file(&nodes, &edges));
    assert_eq!(parameter(&neuron, "tau_mem"), Parameter::Uniform(0.02));
    assert_eq!(parameter(&neuron, "threshold"), Parameter::Uniform(1.0));
    let synapse = neuron.synapse.unwrap();
    assert_eq!(synapse.tau_syn, Parameter::Uniform(0.005));
    assert_eq!(synapse.w_in, Parameter::Uniform(5.0));
}

#[test]
fn absent_fields_take_the_defaults_of_nir() {
    let mut old = node("CubaLIF");
    for field in ["tau_mem", "tau_syn", "r", "v_leak", "v_threshold"] {
        old.insert(field, vector(3, 0.25));
    }
    let neuron = neuron(&small_with("pop", old));
    assert_eq!(parameter(&neuron, "v_reset"), Parameter::Uniform(0.0));
    assert_eq!(neuron.synapse.unwrap().w_in, Parameter::Uniform(1.0));
}

#[test]
fn each_neuron_keeps_its_own_value() {
    let pop = lif(3).with("v_threshold", Dataset::f32(&[3], &[1.0, 2.0, 3.0]).unwrap());
    let neuron = neuron(&small_with("pop", pop));
    assert_eq!(
        parameter(&neuron, "threshold"),
        Parameter::PerNeuron(vec![1.0, 2.0, 3.0])
    );
    assert_eq!(neuron.synapse, None);
}

#[test]
fn times_are_scaled_by_the_unit_of_the_convention() {
    let (nodes, edges) = small();
    let mut options = options();
    options.convention.time_unit = 1e-3;
    let (network, _) = import(&file(&nodes, &edges), &options).unwrap();
    let PopulationKind::Neurons(neuron) = &network.populations[network.readout().unwrap()].kind
    else {
        panic!();
    };
    assert_eq!(
        parameter(neuron, "tau_mem"),
        Parameter::Uniform(0.02 * 1e-3)
    );
    assert_eq!(network.dt, 1e-3, "dt is in seconds already");
}

#[test]
fn scalars_are_broadcast_with_a_note() {
    let scalar = |v| Dataset::f64(&[], &[v]).unwrap();
    let pop = lif(3).with("tau", scalar(0.5)).with("r", scalar(2.0));
    let file = small_with("pop", pop);
    let (_, notes) = imported(&file);
    assert_eq!(notes, ["N0210 pop"]);
    assert_eq!(
        parameter(&neuron(&file), "tau_mem"),
        Parameter::Uniform(0.5)
    );
    let bias = affine(3, 2).with("bias", Dataset::f32(&[], &[7.0]).unwrap());
    let (network, notes) = imported(&small_with("fc", bias));
    assert_eq!(notes, ["N0210 fc"]);
    let projection = network.projections.values().next().unwrap();
    assert_eq!(projection.bias, Some(vec![7.0; 3]));
}

#[test]
fn batch_and_time_axes_of_ports_are_dropped_with_a_note() {
    for shape in [&[1, 2][..], &[1, 10, 2], &[2, 1], &[256, 2]] {
        let (network, notes) = imported(&small_with("in", input(shape)));
        assert_eq!(notes, ["N0210 in"], "{shape:?}");
        assert_eq!(network.populations.values().next().unwrap().size, 2);
    }
    let (_, notes) = imported(&small_with("out", output(&[1, 1, 3])));
    assert_eq!(notes, ["N0210 out"]);
    for shape in [&[3][..], &[2, 3], &[2, 2, 1], &[], &[0]] {
        let problems = refused(&small_with("in", input(shape)));
        assert_eq!(errors(&problems), ["N0203 in"], "{shape:?}");
    }
}

#[test]
fn leading_axes_of_weights_are_dropped_with_a_note() {
    let weight = Dataset::f32(&[1, 3, 2], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
    let (network, notes) = imported(&small_with("fc", node("Linear").with("weight", weight)));
    assert_eq!(notes, ["N0210 fc"]);
    let projection = network.projections.values().next().unwrap();
    assert_eq!(dense(projection), [1.0, 3.0, 5.0, 2.0, 4.0, 6.0]);
}

#[test]
fn shapes_that_disagree_are_told_with_both_numbers() {
    let problems = refused(&small_with("pop", lif(4)));
    assert_eq!(errors(&problems), ["N0203 pop", "N0203 out"][..1]);
    let message = &problems.0[0].message;
    assert!(
        message.contains("[3] from fc") && message.contains("[4]"),
        "{message}"
    );

    let nodes = [
        ("in", input(&[2])),
        ("a", linear(3, 2)),
        ("p", lif(3)),
        ("b", linear(2, 4)),
        ("q", lif(2)),
        ("out", output(&[2])),
    ];
    let edges = [
        ("in", "a"),
        ("a", "p"),
        ("p", "b"),
        ("b", "q"),
        ("q", "out"),
    ];
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(errors(&problems), ["N0203 b"]);
    assert_eq!(
        problems.0[0].message,
        "expected a last axis of 4, found the shape [3]"
    );

    let problems = refused(&small_with("out", output(&[4])));
    assert_eq!(errors(&problems), ["N0203 out"]);
    let flat = node("Linear").with("weight", Dataset::f32(&[6], &[0.0; 6]).unwrap());
    assert_eq!(errors(&refused(&small_with("fc", flat))), ["N0203 fc"]);
    let bias = affine(3, 2).with("bias", Dataset::f32(&[2], &[0.0; 2]).unwrap());
    assert_eq!(errors(&refused(&small_with("fc", bias))), ["N0203 fc"]);
    let empty = node("Linear").with("weight", Dataset::f32(&[0, 2], &[]).unwrap());
    assert_eq!(errors(&refused(&small_with("fc", empty))), ["N0203 fc"]);
}

#[test]
fn values_out_of_range_are_told_with_index_and_value() {
    for (bad, text) in [
        (f32::NAN, "NaN at index 4"),
        (f32::INFINITY, "inf at index 4"),
    ] {
        let weight = Dataset::f32(&[3, 2], &[0.0, 1.0, 2.0, 3.0, bad, bad]).unwrap();
        let problems = refused(&small_with("fc", node("Linear").with("weight", weight)));
        assert_eq!(errors(&problems), ["N0204 fc"]);
        let message = &problems.0[0].message;
        assert!(
            message.contains(text) && message.contains("1 more"),
            "{message}"
        );
    }
    for (field, bad) in [
        ("tau_mem", 0.0),
        ("tau_syn", -1.0),
        ("r", f64::NAN),
        ("v_leak", f64::INFINITY),
        ("v_threshold", f64::NEG_INFINITY),
        ("v_reset", f64::NAN),
        ("w_in", f64::NAN),
    ] {
        let pop = cuba_lif(3).with(field, Dataset::f64(&[3], &[1.0, bad, 1.0]).unwrap());
        let problems = refused(&small_with("pop", pop));
        assert_eq!(errors(&problems), ["N0204 pop"], "{field}");
        let message = &problems.0[0].message;
        assert!(
            message.contains(field) && message.contains("index 1"),
            "{message}"
        );
    }
    let wide = Dataset::f64(&[3, 2], &[0.0, 0.0, 1e300, 0.0, 0.0, 0.0]).unwrap();
    let problems = refused(&small_with("fc", node("Linear").with("weight", wide)));
    assert_eq!(errors(&problems), ["N0204 fc"]);
}

#[test]
fn odd_dynamics_are_warned_about() {
    let pop = cuba_lif(3).with("v_reset", Dataset::f64(&[3], &[0.0, 0.0, 1.0]).unwrap());
    let (_, notes) = imported(&small_with("pop", pop.clone()));
    assert_eq!(notes, ["N0204 pop"]);
    let mut options = options();
    options.convention.reset = nirc_ir::network::Reset::Subtract;
    let (_, notes) = import(&small_with("pop", pop), &options).unwrap();
    assert_eq!(brief(&notes), [""; 0], "v_reset has no part in subtraction");

    options.convention = Convention::preset("euler").unwrap();
    options.dt = Some(0.01);
    let (nodes, edges) = small();
    let (_, notes) = import(&file(&nodes, &edges), &options).unwrap();
    assert_eq!(brief(&notes), ["N0212 metadata/dt", "N0204 pop"]);
    assert!(notes.0.iter().all(|n| n.severity == Severity::Warning));
}

#[test]
fn precision_that_is_lost_is_noted() {
    let weight = Dataset::f64(&[3, 2], &[0.5, 0.1, 0.25, 0.2, 1.0, 2.0]).unwrap();
    let file = small_with("fc", node("Linear").with("weight", weight));
    let (network, notes) = imported(&file);
    assert_eq!(notes, ["N0211 fc"]);
    let projection = network.projections.values().next().unwrap();
    assert_eq!(dense(projection)[3], 0.1);
    let integers = Dataset::i64(&[3, 2], &[1, -2, 3, -4, 5, -6]).unwrap();
    let (network, notes) = imported(&small_with("fc", node("Linear").with("weight", integers)));
    assert_eq!(notes, [""; 0]);
    let projection = network.projections.values().next().unwrap();
    assert_eq!(dense(projection), [1.0, 3.0, 5.0, -2.0, -4.0, -6.0]);
}

#[test]
fn several_projections_into_a_population_are_fine() {
    // The names sort against the flow, and a skip connection joins.
    let nodes = [
        ("z_in", input(&[2])),
        ("y1", linear(3, 2)),
        ("x_hidden", lif(3)),
        ("b", affine(4, 3)),
        ("skip", linear(4, 2)),
        ("a_out", lif(4)),
        ("out", output(&[4])),
    ];
    let edges = [
        ("z_in", "y1"),
        ("y1", "x_hidden"),
        ("x_hidden", "b"),
        ("b", "a_out"),
        ("z_in", "skip"),
        ("skip", "a_out"),
        ("a_out", "out"),
    ];
    let (network, notes) = imported(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let names = |n: &nirc_ir::network::Network| {
        let pops: Vec<_> = n.populations.values().map(|p| p.name.clone()).collect();
        let projs: Vec<_> = n.projections.values().map(|p| p.name.clone()).collect();
        (pops, projs)
    };
    let (populations, projections) = names(&network);
    assert_eq!(populations, ["z_in", "x_hidden", "a_out"]);
    assert_eq!(projections, ["y1", "skip", "b"]);
    for projection in network.projections.values() {
        assert!(projection.pre < projection.post);
    }
    let bias = &network.projections.values().last().unwrap().bias;
    assert_eq!(bias.as_deref(), Some(&[-1.0, -2.0, -3.0, -4.0][..]));

    // The order in the file does not matter.
    let (mut nodes, mut edges) = (nodes.to_vec(), edges.to_vec());
    nodes.reverse();
    edges.reverse();
    assert_eq!(imported(&file(&nodes, &edges)).0, network);
}

#[test]
fn ties_in_the_order_go_by_name() {
    let nodes = [
        ("in", input(&[2])),
        ("w1", linear(3, 2)),
        ("w2", linear(3, 2)),
        ("w3", linear(1, 3)),
        ("w4", linear(1, 3)),
        ("10", lif(3)),
        ("2", lif(3)),
        ("end", lif(1)),
        ("out", output(&[1])),
    ];
    let edges = [
        ("in", "w1"),
        ("in", "w2"),
        ("w1", "2"),
        ("w2", "10"),
        ("2", "w3"),
        ("10", "w4"),
        ("w3", "end"),
        ("w4", "end"),
        ("end", "out"),
    ];
    let (network, _) = imported(&file(&nodes, &edges));
    let names: Vec<_> = network
        .populations
        .values()
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(names, ["in", "10", "2", "end"]);
}

#[test]
fn names_may_be_any_unicode() {
    let nodes = [
        ("entrée", input(&[2])),
        ("重み", linear(3, 2)),
        ("нейроны.1", lif(3)),
        ("🧠 out", output(&[3])),
    ];
    let edges = [
        ("entrée", "重み"),
        ("重み", "нейроны.1"),
        ("нейроны.1", "🧠 out"),
    ];
    let bytes = nirc_compiler::nir::to_bytes(file(&nodes, &edges).tree()).unwrap();
    let (read, _) = nirc_compiler::nir::read_bytes(bytes).unwrap();
    let (network, notes) = imported(&read);
    assert_eq!(notes, [""; 0]);
    assert_eq!(
        network.populations[network.readout().unwrap()].name,
        "нейроны.1"
    );
    assert_eq!(network.projections.values().next().unwrap().name, "重み");
}

#[test]
fn a_long_chain_is_no_burden() {
    let mut nodes = vec![
        ("in".to_owned(), input(&[1])),
        ("out".to_owned(), output(&[1])),
    ];
    let mut edges = Vec::new();
    let mut last = "in".to_owned();
    for i in 0..3000 {
        let (w, p) = (format!("w{i}"), format!("p{i}"));
        nodes.push((w.clone(), linear(1, 1)));
        nodes.push((p.clone(), lif(1)));
        edges.push((last, w.clone()));
        edges.push((w, p.clone()));
        last = p;
    }
    edges.push((last, "out".to_owned()));
    let nodes: Vec<_> = nodes.iter().map(|(n, g)| (n.as_str(), g.clone())).collect();
    let edges: Vec<_> = edges
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let (network, _) = imported(&file(&nodes, &edges));
    assert_eq!(network.populations.len(), 3001);
}

#[test]
fn the_time_step_comes_from_the_option_or_the_file() {
    let (nodes, edges) = small();
    let with_dt = |dt: Option<Dataset>| {
        let mut root = tree(&nodes, &edges);
        let metadata = match dt {
            Some(dt) => Group::new().with("dt", dt),
            None => Group::new(),
        };
        root.group_mut("node").unwrap().insert("metadata", metadata);
        File::from_tree(root).unwrap()
    };
    let import_with = |file: &File, dt: Option<f64>| {
        let mut options = options();
        options.dt = dt;
        import(file, &options).map(|(n, d)| (n.dt, brief(&d)))
    };
    let absent = with_dt(None);
    let problems = import_with(&absent, None).unwrap_err();
    assert_eq!(errors(&problems), ["N0212 metadata/dt"]);
    assert!(problems.0[0].help.as_ref().unwrap().contains("time.dt"));
    assert_eq!(import_with(&absent, Some(1e-4)).unwrap(), (1e-4, vec![]));

    let stated = with_dt(Some(Dataset::f32(&[], &[0.001]).unwrap()));
    assert_eq!(import_with(&stated, None).unwrap().0, f64::from(0.001f32));
    assert_eq!(import_with(&stated, Some(0.001)).unwrap(), (0.001, vec![]));
    let (dt, notes) = import_with(&stated, Some(0.002)).unwrap();
    assert_eq!((dt, notes), (0.002, vec!["N0212 metadata/dt".to_owned()]));

    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let file = with_dt(Some(Dataset::f64(&[], &[bad]).unwrap()));
        assert_eq!(
            errors(&import_with(&file, None).unwrap_err()),
            ["N0212 metadata/dt"]
        );
        assert_eq!(import_with(&file, Some(0.001)).unwrap().0, 0.001);
        assert_eq!(
            errors(&import_with(&stated, Some(bad)).unwrap_err()),
            ["N0212 dt"]
        );
    }
}

#[test]
fn another_convention_in_the_file_is_noted() {
    let (nodes, edges) = small();
    let mut written = Convention::preset("nir").unwrap();
    written.time_unit = 2.0;
    let file = file(&nodes, &edges);
    let (bytes, _) = nirc_compiler::nir::export(
        &file,
        &Default::default(),
        &convention_metadata(&written, &[], 2e-3),
    )
    .unwrap();
    let (file, _) = nirc_compiler::nir::read_bytes(bytes).unwrap();
    let mut options = options();
    options.convention = written;
    let (network, notes) = import(&file, &options).unwrap();
    assert_eq!((network.dt, brief(&notes)), (2e-3, vec![]));
    options.convention = Convention::preset("eventprop").unwrap();
    let (network, notes) = import(&file, &options).unwrap();
    assert_eq!(network.convention.name, "eventprop");
    assert_eq!(
        brief(&notes),
        [
            "N0213 metadata/convention",
            "N0213 metadata/convention.integrator",
            "N0213 metadata/convention.spike",
            "N0213 metadata/convention.delay",
            "N0213 metadata/convention.first_tick",
            "N0213 metadata/convention.time_unit",
        ]
    );
    assert!(notes.0.iter().all(|n| n.severity == Severity::Note));
}

/// Random feed-forward graphs, files shuffled: populations in an order that respects the edges, and
/// each weight where it belongs.
#[test]
fn random_networks_come_out_whole() {
    for seed in 0..200 {
        let mut random = Rng::new(seed);
        let count = 2 + random.below(6);
        let sizes: Vec<u64> = (0..count).map(|_| 1 + random.below(7) as u64).collect();
        // Population 0 is the Input; names are random, so their order is too.
        let names: Vec<String> = (0..count)
            .map(|i| format!("n{}-{i}", random.below(100)))
            .collect();
        let mut nodes = vec![(names[0].clone(), input(&[sizes[0] as i64]))];
        let mut edges = Vec::new();
        for post in 1..count {
            let node = if random.below(2) == 0 {
                lif(sizes[post])
            } else {
                cuba_lif(sizes[post])
            };
            nodes.push((names[post].clone(), node));
            let mut sources: Vec<usize> = (0..post).filter(|_| random.below(3) == 0).collect();
            if !sources.contains(&(post - 1)) {
                sources.push(post - 1);
            }
            for pre in sources {
                let name = format!("w{pre}to{post}-{}", random.below(100));
                nodes.push((name.clone(), linear(sizes[post], sizes[pre])));
                edges.push((names[pre].clone(), name.clone()));
                edges.push((name, names[post].clone()));
            }
        }
        nodes.push(("out".to_owned(), output(&[sizes[count - 1] as i64])));
        edges.push((names[count - 1].clone(), "out".to_owned()));
        let projections = (edges.len() - 1) / 2;
        for i in (1..edges.len()).rev() {
            edges.swap(i, random.below(i + 1));
        }
        let nodes: Vec<_> = nodes.iter().map(|(n, g)| (n.as_str(), g.clone())).collect();
        let edges: Vec<_> = edges
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        let (network, notes) = imported(&file(&nodes, &edges));
        assert_eq!(notes, [""; 0], "seed {seed}");
        assert_eq!(network.populations.len(), count);
        assert_eq!(network.projections.len(), projections);
        for projection in network.projections.values() {
            assert!(projection.pre < projection.post, "seed {seed}");
            let (pre, post) = (
                network.populations[projection.pre].size,
                network.populations[projection.post].size,
            );
            assert_eq!(dense(projection).len(), pre * post);
            for j in 0..pre {
                for n in 0..post {
                    let expected = (n * pre + j + 1) as f32;
                    assert_eq!(dense(projection)[j * post + n], expected, "seed {seed}");
                }
            }
        }
    }
}

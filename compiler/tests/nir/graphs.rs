//! Graphs of every kind: recurrent, nested, with several ports, shared nodes, and half undone by exporters.

use nirc_compiler::nir::tree::{Dataset, Group};
use nirc_compiler::nir::{File, import};
use nirc_ir::Severity;
use nirc_ir::linear::Linear;
use nirc_ir::network::{Convention, Link, Membrane, Network, PopulationKind, Projection};

use crate::samples::{
    affine, brief, cuba_lif, errors, file, imported, input, lif, linear, node, options, output,
    refused, small, tree, vector,
};

/// Names of populations and, for each projection, `name: pre -> post, delay`.
fn outline(network: &Network) -> (Vec<String>, Vec<String>) {
    let names = network.populations.values().map(|p| p.name.clone());
    let projections = network.projections.values().map(|p| {
        let [pre, post] = [p.pre, p.post].map(|pop| &network.populations[pop].name);
        format!("{}: {pre} -> {post}, {}", p.name, p.delay)
    });
    (names.collect(), projections.collect())
}

/// The graph as the importer leaves it.
fn raw(file: &File) -> (Network, Vec<String>) {
    let (network, notes) = import(file, &options()).unwrap_or_else(|e| panic!("{e}"));
    (network, brief(&notes))
}

/// The names and types of the nodes of a path.
fn steps(projection: &Projection) -> Vec<String> {
    match &projection.link {
        Link::Path(nodes) => nodes
            .iter()
            .map(|n| format!("{} {}", n.op.type_name(), n.name))
            .collect(),
        other => panic!("{other:?}"),
    }
}

fn graph(nodes: &[(&str, Group)], edges: &[(&str, &str)]) -> Group {
    tree(nodes, edges).group("node").unwrap().clone()
}

#[test]
fn faulty_edges_are_all_named() {
    let (nodes, mut edges) = small();
    edges.push(("in", "fc"));
    let (_, notes) = imported(&file(&nodes, &edges));
    assert_eq!(notes, ["N0207 in -> fc"]);
    edges.extend([("pop", "nowhere"), ("ghost", "fc")]);
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(
        errors(&problems),
        ["N0205 pop -> nowhere", "N0205 ghost -> fc"]
    );
    assert!(problems.0[1].message.contains("\"nowhere\""));
    assert!(problems.0[1].help.as_ref().unwrap().contains("fc, in, out"));
}

#[test]
fn recurrence_has_a_delay_of_its_own() {
    let nodes = [
        ("in", input(&[3])),
        ("a", linear(3, 3)),
        ("q", lif(3)),
        ("b", linear(3, 3)),
        ("p", lif(3)),
        ("back", linear(3, 3)),
        ("self", linear(3, 3)),
        ("c", linear(3, 3)),
        ("end", lif(3)),
        ("out", output(&[3])),
    ];
    let edges = [
        ("in", "a"),
        ("a", "q"),
        ("q", "b"),
        ("b", "p"),
        ("p", "back"),
        ("back", "q"),
        ("p", "c"),
        ("c", "end"),
        ("end", "self"),
        ("self", "end"),
        ("end", "out"),
    ];
    let mut options = options();
    options.convention = Convention::preset("nir").unwrap();
    options.convention.delay = 0;
    options.convention.first_tick = 0;
    options.convention.recurrent_delay = 3;
    let (network, _) = import(&file(&nodes, &edges), &options).unwrap();
    let (populations, projections) = outline(&network);
    assert_eq!(populations, ["in", "p", "q", "end"]);
    assert_eq!(
        projections,
        [
            "b: q -> p, 3",
            "a: in -> q, 0",
            "back: p -> q, 3",
            "c: p -> end, 0",
            "self: end -> end, 3",
        ]
    );
}

#[test]
fn neurons_may_lead_into_neurons() {
    let (mut nodes, mut edges) = small();
    nodes.push(("pop2", lif(3)));
    edges.extend([("pop", "pop2"), ("pop", "pop")]);
    edges.retain(|e| *e != ("pop", "out"));
    edges.push(("pop2", "out"));
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let (_, projections) = outline(&network);
    assert_eq!(
        projections,
        [
            "fc: in -> pop, 1",
            "pop->pop: pop -> pop, 1",
            "pop->pop2: pop -> pop2, 1"
        ]
    );
    let direct = network.projections.values().last().unwrap();
    assert_eq!(steps(direct), ["Flatten pop->pop2"]);
    assert!(!direct.trainable);
    let (network, _) = imported(&file(&nodes, &edges));
    let Link::Taps { axes, weights } = &network.projections.values().last().unwrap().link else {
        panic!();
    };
    assert_eq!((axes.len(), &weights[..]), (1, &[1.0][..]));
}

/// The nodes that lead into an Output without neurons, and what stands for it.
#[test]
fn what_is_no_population_leaves_through_a_relay() {
    for extra in [("fc", "out"), ("in3", "out")] {
        let (mut nodes, mut edges) = small();
        nodes.push(("in3", input(&[3])));
        nodes.push(("sink", output(&[3])));
        edges.push(("in3", "sink"));
        edges.push(extra);
        let (network, _) = raw(&file(&nodes, &edges));
        let relays: Vec<_> = network
            .populations
            .values()
            .filter(|p| {
                matches!(&p.kind, PopulationKind::Neurons(n)
                    if n.membrane == Membrane::Direct && n.firing.is_none())
            })
            .map(|p| p.name.as_str())
            .collect();
        assert_eq!(relays, ["out", "sink"]);
        let ports: Vec<_> = network
            .outputs
            .iter()
            .map(|o| {
                (
                    o.name.as_str(),
                    network.populations[o.population].name.as_str(),
                )
            })
            .collect();
        assert_eq!(ports, [("out", "out"), ("sink", "sink")]);
        let into_out = network.outputs[0].population;
        assert_eq!(network.incoming(into_out).count(), 2, "{extra:?}");
    }
}

#[test]
fn an_output_may_pass_on_what_it_gets() {
    let (mut nodes, mut edges) = small();
    nodes.extend([("w", linear(2, 3)), ("more", lif(2)), ("end", output(&[2]))]);
    edges.extend([("out", "w"), ("w", "more"), ("more", "end")]);
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let (populations, projections) = outline(&network);
    assert_eq!(populations, ["in", "pop", "more"]);
    assert_eq!(projections, ["fc: in -> pop, 1", "w: pop -> more, 1"]);
    assert_eq!(network.outputs.len(), 2);

    let (nodes, mut edges) = small();
    edges.push(("pop", "in"));
    let problems = errors(&refused(&file(&nodes, &edges)));
    assert_eq!(problems[0], "N0209 pop -> in");
}

#[test]
fn shared_nodes_stand_in_each_path_and_their_bias_once() {
    // Two ways through one Affine into one population, and one of them into another as well.
    let nodes = [
        ("in", input(&[2])),
        ("in2", input(&[2])),
        ("fc", affine(3, 2)),
        ("scale", node("Scale").with("scale", vector(3, 2.0))),
        ("p", lif(3)),
        ("q", lif(3)),
        ("out", output(&[3])),
        ("out2", output(&[3])),
    ];
    let edges = [
        ("in", "fc"),
        ("in2", "fc"),
        ("fc", "scale"),
        ("scale", "p"),
        ("fc", "q"),
        ("p", "out"),
        ("q", "out2"),
    ];
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let (_, projections) = outline(&network);
    assert_eq!(
        projections,
        [
            "fc+scale (in->p): in -> p, 1",
            "fc+scale (in2->p): in2 -> p, 1",
            "fc (in->q): in -> q, 1",
            "fc (in2->q): in2 -> q, 1",
        ]
    );
    assert!(network.projections.values().all(|p| !p.trainable));
    let (network, _) = imported(&file(&nodes, &edges));
    let biases: Vec<_> = network
        .projections
        .values()
        .map(|p| p.bias.clone())
        .collect();
    assert_eq!(
        biases,
        [
            Some(vec![-2.0, -4.0, -6.0]),
            None,
            Some(vec![-1.0, -2.0, -3.0]),
            None
        ]
    );
}

#[test]
fn cycles_need_neurons() {
    let (mut nodes, mut edges) = small();
    nodes.extend([("w", linear(3, 3)), ("v", linear(3, 3))]);
    edges.extend([("fc", "w"), ("w", "v"), ("v", "w"), ("v", "pop")]);
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(errors(&problems), ["N0206 v"]);
    assert!(problems.0[0].message.ends_with("v, w"), "{problems}");
}

#[test]
fn too_many_paths_are_refused() {
    let mut names = vec!["in".to_owned()];
    let mut nodes = vec![
        ("in".to_owned(), input(&[1])),
        ("out".to_owned(), output(&[1])),
    ];
    let mut edges = Vec::new();
    for i in 0..40 {
        let last = names.last().unwrap().clone();
        let [a, b, c] = ["a", "b", "c"].map(|n| format!("{n}{i}"));
        for name in [&a, &b, &c] {
            nodes.push((name.clone(), linear(1, 1)));
        }
        edges.extend([
            (last.clone(), a.clone()),
            (last, b.clone()),
            (a, c.clone()),
            (b, c.clone()),
        ]);
        names.push(c);
    }
    edges.push((names.last().unwrap().clone(), "out".to_owned()));
    let nodes: Vec<_> = nodes.iter().map(|(n, g)| (n.as_str(), g.clone())).collect();
    let edges: Vec<_> = edges
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(errors(&problems), ["N0209 "]);
    assert!(
        problems.0[0].message.starts_with("1099511627776 paths"),
        "{problems}"
    );
}

fn recurrent() -> Group {
    graph(
        &[
            ("input", input(&[3])),
            ("lif", lif(3)),
            ("w", linear(3, 3)),
            ("output", output(&[3])),
        ],
        &[
            ("input", "lif"),
            ("lif", "w"),
            ("w", "lif"),
            ("lif", "output"),
        ],
    )
}

#[test]
fn nested_graphs_are_laid_out_flat() {
    let nested = graph(
        &[
            ("input", input(&[3])),
            ("inner", recurrent()),
            ("output", output(&[3])),
        ],
        &[("input", "inner"), ("inner", "output")],
    );
    let nodes = [
        ("in", input(&[2])),
        ("fc", linear(3, 2)),
        ("g", nested),
        ("out", output(&[3])),
    ];
    let edges = [("in", "fc"), ("fc", "g"), ("g", "out")];
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let (populations, projections) = outline(&network);
    assert_eq!(populations, ["in", "g/inner/lif"]);
    assert_eq!(
        projections,
        [
            "fc: in -> g/inner/lif, 1",
            "g/inner/w: g/inner/lif -> g/inner/lif, 1"
        ]
    );
    assert_eq!(network.outputs[0].name, "out");
}

#[test]
fn several_ports_of_a_nested_graph_are_named() {
    let nested = || {
        graph(
            &[
                ("a", input(&[2])),
                ("b", input(&[3])),
                ("wa", linear(3, 2)),
                ("lif", lif(3)),
                ("output", output(&[3])),
            ],
            &[("a", "wa"), ("wa", "lif"), ("b", "lif"), ("lif", "output")],
        )
    };
    let nodes = [
        ("in", input(&[2])),
        ("in3", input(&[3])),
        ("g", nested()),
        ("out", output(&[3])),
    ];
    let edges = [("in", "g.a"), ("in3", "g.b"), ("g", "out")];
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, [""; 0]);
    let (_, projections) = outline(&network);
    assert_eq!(
        projections,
        ["g/wa: in -> g/lif, 1", "in3->g/lif: in3 -> g/lif, 1"]
    );
    let edges = [("in", "g"), ("in3", "g.b"), ("g", "out")];
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(errors(&problems), ["N0205 in -> g"]);
    assert!(
        problems.0.iter().any(|p| p.message.contains("g.a or g.b")),
        "{problems}"
    );
}

#[test]
fn edges_half_undone_lead_through_the_ports() {
    let nodes = [
        ("in", input(&[256, 2])),
        ("fc", linear(3, 2)),
        ("lif1.input", input(&[3])),
        ("lif1.lif", lif(3)),
        ("lif1.output", output(&[3])),
        ("fc2", linear(3, 3)),
        ("lif2", lif(3)),
        ("out", output(&[3])),
    ];
    let edges = [
        ("in", "fc"),
        ("fc", "lif1"),
        ("lif1.input", "lif1.lif"),
        ("lif1.lif", "lif1.output"),
        ("lif1", "fc2"),
        ("fc2", "lif2"),
        ("lif2", "out"),
    ];
    let (network, notes) = raw(&file(&nodes, &edges));
    assert_eq!(notes, ["N0210 lif1.input", "N0210 lif1.output", "N0210 in"]);
    let (populations, _) = outline(&network);
    assert_eq!(populations, ["in", "lif1.lif", "lif2"]);
    assert_eq!(network.outputs.len(), 1);
}

#[test]
fn a_name_that_is_almost_right_is_taken_where_it_can_mean_one_node_only() {
    let (mut nodes, mut edges) = small();
    edges[1] = ("fc", "po");
    edges[2] = ("po", "out");
    let (_, notes) = imported(&file(&nodes, &edges));
    assert_eq!(notes, ["N0210 pop"]);
    // Two candidates, or a name unlike the node's: no guess.
    nodes.push(("pos", lif(3)));
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(errors(&problems), ["N0205 fc -> po", "N0205 po -> out"]);
    nodes.pop();
    edges[1] = ("fc", "neurons");
    edges[2] = ("neurons", "out");
    let problems = refused(&file(&nodes, &edges));
    assert_eq!(
        errors(&problems),
        ["N0205 fc -> neurons", "N0205 neurons -> out"]
    );
}

#[test]
fn ports_that_are_missing_are_added() {
    let (nodes, edges) = small();
    let (network, notes) = imported(&file(&nodes[1..], &edges[1..]));
    assert_eq!(notes, ["N0210 fc"]);
    assert_eq!(outline(&network).0, ["input_fc", "pop"]);
    let (network, notes) = imported(&file(&nodes[..3], &edges[..2]));
    assert_eq!(notes, ["N0210 pop"]);
    assert_eq!(network.outputs[0].name, "output_pop");

    let (network, notes) = imported(&file(&nodes[..1], &[]));
    assert_eq!(notes, ["N0210 in"]);
    assert_eq!(outline(&network).0, ["in", "output_in"]);

    let problems = refused(&file(&nodes, &edges[..2]));
    assert_eq!(errors(&problems), ["N0208 out"]);
    assert_eq!(errors(&refused(&file(&[], &[]))), ["N0208 ", "N0208 "]);

    let mut two = nodes.clone();
    two.push(("in2", input(&[2])));
    let (network, notes) = imported(&file(&two, &edges));
    assert_eq!(notes, ["N0210 in2"]);
    assert_eq!(network.outputs.len(), 2);
}

#[test]
fn neurons_that_nothing_tells_the_number_of_are_refused() {
    let (mut nodes, mut edges) = small();
    let scalar = Dataset::f64(&[], &[0.5]).unwrap();
    let mut unknown = node("LIF");
    for field in ["tau", "r", "v_leak", "v_threshold"] {
        unknown.insert(field, scalar.clone());
    }
    nodes.push(("idle", unknown.clone()));
    let problems = refused(&file(&nodes, &edges));
    assert!(
        errors(&problems).contains(&"N0203 idle".to_owned()),
        "{problems}"
    );
    // Unless weights lead away from them, also where a parameter is a vector of one.
    unknown.insert("tau", vector(1, 0.5));
    *nodes.last_mut().unwrap() = ("idle", unknown);
    nodes.push(("w", linear(3, 5)));
    edges.extend([("idle", "w"), ("w", "pop")]);
    let (network, _) = imported(&file(&nodes, &edges));
    let sizes: Vec<_> = network.populations.values().map(|p| p.size).collect();
    assert_eq!(sizes, [2, 5, 5, 3]);
}

#[test]
fn inputs_carry_values_where_they_are_told_to() {
    let (nodes, edges) = small();
    let mut options = options();
    options.graded.insert("in".to_owned());
    let (network, _) = import(&file(&nodes, &edges), &options).unwrap();
    let first = network.populations.values().next().unwrap();
    assert_eq!(first.kind, PopulationKind::Graded);
    options.graded.insert("fc".to_owned());
    let problems = import(&file(&nodes, &edges), &options).unwrap_err();
    assert_eq!(errors(&problems), ["N0208 fc"]);
}

#[test]
fn everything_is_reported_at_once() {
    let (mut nodes, mut edges) = small();
    nodes[2].1 = cuba_lif(3).with("tau_mem", vector(3, -1.0));
    nodes[3].1 = output(&[9]);
    nodes.extend([
        ("conv", node("Conv2d")),
        ("if", node("IF").with("r", vector(3, 1.0))),
        ("strange", node("Quantum")),
        ("untyped", Group::new()),
        ("half", node("Affine").with("weight", vector(3, 1.0))),
    ]);
    edges.push(("pop", "gone"));
    let mut options = options();
    options.dt = Some(f64::NAN);
    options.convention.delay = 0;
    let problems = import(&file(&nodes, &edges), &options).unwrap_err();
    let found = errors(&problems);
    for expected in [
        "N0305 convention",
        "N0212 dt",
        "N0201 conv",
        "N0201 half",
        "N0201 if",
        "N0202 strange",
        "N0201 untyped",
        "N0205 pop -> gone",
        "N0203 out",
        "N0204 pop",
    ] {
        assert!(
            found.contains(&expected.to_owned()),
            "{expected}: {problems}"
        );
    }
    let strange = problems.0.iter().find(|p| p.place == "strange").unwrap();
    assert!(strange.message.ends_with("found \"Quantum\""), "{strange}");
}

#[test]
fn nodes_of_every_type_are_taken() {
    let numbers = |fields: &[&str]| {
        let fields = fields.iter().map(|f| ((*f).to_owned(), vector(3, 0.25)));
        fields.collect::<Vec<_>>()
    };
    for (name, fields) in [
        ("Threshold", numbers(&["threshold"])),
        ("I", numbers(&["r"])),
        ("IF", numbers(&["r", "v_threshold"])),
        ("LI", numbers(&["tau", "r", "v_leak"])),
        ("LIF", numbers(&["tau", "r", "v_leak", "v_threshold"])),
        ("CubaLI", numbers(&["tau_syn", "tau_mem", "r", "v_leak"])),
    ] {
        let mut neurons = node(name);
        for (field, values) in fields {
            neurons.insert(&field, values);
        }
        let (network, _) = imported(&crate::samples::small_with("pop", neurons));
        let readout = network.readout().unwrap();
        let PopulationKind::Neurons(neuron) = &network.populations[readout].kind else {
            panic!();
        };
        assert_eq!(neuron.nir_type(), name);
    }
    let delay = node("Delay").with("delay", vector(3, 0.002));
    let (mut nodes, mut edges) = small();
    nodes.push(("d", delay));
    edges[1] = ("fc", "d");
    edges.push(("d", "pop"));
    let (network, _) = raw(&file(&nodes, &edges));
    let Link::Path(path) = &network.projections.values().next().unwrap().link else {
        panic!();
    };
    assert_eq!(path[1].op, Linear::Delay(vec![0.002; 3]));
    let (network, notes) = import(&file(&nodes, &edges), &options()).unwrap();
    assert!(notes.0.iter().all(|n| n.severity == Severity::Note));
    assert_eq!(network.projections.len(), 1);
}

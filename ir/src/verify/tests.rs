//! Each rule with a program that breaks it, and it alone.

use super::verify;
use crate::text::{Externals, parse_program};

const SOUND: &str = include_str!("tests/sound.nirp");

/// The sound program with these changes.
fn problems(changes: &[(&str, &str)]) -> String {
    let mut text = SOUND.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the program has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    let program = parse_program(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&program).map_or_else(|e| e.to_string(), |()| "none".to_owned())
}

fn refused(changes: &[(&str, &str)], expected: &str) {
    let found = problems(changes);
    assert!(found.contains(expected), "{changes:?}: {found}");
    assert_eq!(found.matches("error[").count(), 1, "{changes:?}: {found}");
}

#[test]
fn the_program_that_the_others_are_made_of_is_sound() {
    assert_eq!(problems(&[]), "none");
}

#[test]
fn the_scalar_of_a_fold_stands_alone() {
    let fold = "reduce loss = add v0";
    let alone = "the scalar of a fold stands nowhere else";
    refused(&[(fold, "reduce loss = add v0\nv1 = load loss")], alone);
    refused(&[(fold, "v1 = load loss\nreduce loss = add v0")], alone);
    let twice = "reduce loss = add v0\nreduce loss = max v0";
    refused(&[(fold, twice)], alone);
}

#[test]
fn one_row_is_named_in_one_way() {
    let one_row = [
        ("source lanes 2", "source lanes 1"),
        (
            "w : f32[2, 3] trainable = [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]",
            "w : f32[1, 3] trainable = [0.5, 1.0, 1.5]",
        ),
        ("optimiser tensor0 lanes 6", "optimiser tensor0 lanes 3"),
    ];
    assert_eq!(problems(&one_row), "none");
    for (from, to) in [
        ("store G[source] = v2", "store G = v2"),
        ("store G[source] = v2", "store G[source] = v2\nv3 = load G"),
    ] {
        let changes = [&one_row[..], &[(from, to)]].concat();
        refused(&changes, "either with rows or without");
    }
}

#[test]
fn bins_stand_where_there_are_some() {
    let none = "there is no current bin here";
    let turn = ("reduce loss = add v0", "reduce loss = add v0\nv1 = bin");
    refused(&[turn], none);
    let probe = (
        "reduce loss = add v0",
        "reduce loss = add v0\nprobe outs = v0",
    );
    refused(&[probe], none);
    let row = (
        "reduce loss = add v0",
        "reduce loss = add v0\nstore outs[bin] = v0",
    );
    refused(&[row], none);
    refused(
        &[("v1 = payload\nv2 = add v0, v1", "v1 = payload\nv2 = bin")],
        none,
    );
}

#[test]
fn roles_hold_the_arrays_that_they_have() {
    let kind = "holds no such array";
    for array in ["label", "given_error", "moment", "counter 0.0", "gathered"] {
        let change = format!("array more : {array}\narray x : state 0.0");
        refused(&[("array x : state 0.0", &change)], kind);
    }
    for array in ["state 1.0", "scalar 1.0", "trace", "label", "param tensor1"] {
        let change = format!("array more : {array}\narray sum : gathered");
        let found = problems(&[("array sum : gathered", &change)]);
        assert!(found.contains(kind), "{array}: {found}");
    }
    for array in [
        "moment",
        "counter 0.0",
        "gathered",
        "param tensor1",
        "gradient tensor1",
    ] {
        let change = format!("array more : {array}\narray first_spike : state 10.0");
        refused(&[("array first_spike : state 10.0", &change)], kind);
    }
    let source = "source lanes 2 {\narray x : state 0.0";
    refused(&[("source lanes 2 {", source)], kind);
}

#[test]
fn outcomes_have_their_shape() {
    let change = ("array outs : trace", "array cross_entropy : trace");
    refused(&[change], "`loss` and `cross_entropy` are scalars");
}

#[test]
fn tensors_are_held_once() {
    let again = (
        "array b : param tensor1",
        "array b : param tensor1\narray c : param tensor1",
    );
    refused(&[again], "second array");
    let sums = (
        "array sum : gathered",
        "array sum : gathered\narray more : gathered",
    );
    refused(&[sums], "second array");
}

#[test]
fn a_lane_that_an_event_names_is_there() {
    let fewer = [
        ("loss : loss lanes 3", "loss : loss lanes 2"),
        ("on message chan1 lane {", "on message chan1 lanes {"),
        ("send v0", "send sum add v0"),
    ];
    refused(&fewer, "an event names one of 3 lanes, the process has 2");
    let fewer = [
        ("loss : loss lanes 3", "loss : loss lanes 2"),
        ("on event chan1 lane {", "on event chan1 lanes {"),
    ];
    refused(&fewer, "an event names one of 3 lanes, the process has 2");
}

#[test]
fn parameters_are_written_by_their_optimiser() {
    let alone = "is written by its optimiser alone";
    refused(&[("store x = v2", "store w[source] = v2")], alone);
    refused(&[("store x = v3", "store b = v3")], alone);
}

#[test]
fn optimisers_train_a_tensor_of_their_own() {
    let optimiser = "proc3 w.optimiser : optimiser tensor0 lanes 6 {";
    let second = format!("proc3 other : optimiser tensor0 lanes 6 {{\n}}\n{optimiser}");
    let second = second.replace("proc3 w", "proc4 w");
    refused(&[(optimiser, &second)], "a second optimiser of tensor0");
    let of = |tensor: &str, lanes: usize| {
        format!("{optimiser}\n}}\nproc4 other : optimiser {tensor} lanes {lanes} {{")
    };
    let empty = "array weight : param tensor0";
    let found = problems(&[
        (optimiser, &of("tensor7", 6)),
        (empty, "array weight : moment"),
    ]);
    assert!(found.contains("there is no tensor7 to optimise"), "{found}");
    let found = problems(&[
        (optimiser, &of("tensor1", 3)),
        (empty, "array weight : moment"),
    ]);
    assert!(found.contains("tensor1 is constant"), "{found}");
    assert!(
        found.contains("0 processes of the network hold the gradient"),
        "{found}"
    );
    let lanes = [
        ("optimiser tensor0 lanes 6", "optimiser tensor0 lanes 5"),
        (empty, "array weight : moment"),
    ];
    refused(&lanes, "5 lanes for the 6 weights of tensor0");
    // Nobody gathers what is not there.
    let gone = [
        ("array G : gradient tensor0\n", "array G : trace\n"),
        ("on gradient chan0", "on gradient_tick"),
        ("v0 = load G[source]", "v0 = const 0.0"),
        ("store G[source] = v2", "probe G = v2"),
    ];
    refused(
        &gone,
        "0 processes of the network hold the gradient of tensor0",
    );
}

#[test]
fn spikes_and_errors_need_a_tape() {
    let found = problems(&[
        ("tape [rise] bound 27", ""),
        ("v1 = field 0", "v1 = payload"),
    ]);
    for expected in [
        "there is no tape that it could be recorded on",
        "there is no tape of own spikes",
        "errors go back to a tape, `cells` has none",
    ] {
        assert!(found.contains(expected), "{found}");
    }
    let loss = (
        "array label : label",
        "array label : label\ntape [] bound 3",
    );
    refused(&[loss], "a process of role Loss has no tape");
}

#[test]
fn a_lane_spikes_once_and_records_numbers() {
    let spike = "spike when v2 record (sub v0, v1)";
    let twice = format!("{spike}\n{spike}");
    refused(&[(spike, &twice)], "a lane spikes 2 times, not once");
    let truth = "spike when v2 record (cmp gt v0, v1)";
    refused(&[(spike, truth)], "a field is a comparison, not a number");
}

#[test]
fn there_is_one_source_and_one_loss() {
    let second = "proc2 more : source lanes 2 {\n}\nproc3 loss : loss";
    let moved = [
        ("proc2 loss : loss", second),
        ("chan1 : proc1 -> proc2", "chan1 : proc1 -> proc3"),
        ("proc3 w.optimiser", "proc4 w.optimiser"),
    ];
    refused(&moved, "2 processes of role Source; at most one");
    let second = "proc3 more : loss lanes 2 {\n}\nproc4 w.optimiser";
    refused(
        &[("proc3 w.optimiser", second)],
        "2 processes of role Loss; at most one",
    );
}

#[test]
fn sizes_are_neither_nothing_nor_beyond_counting() {
    let found = problems(&[("ticks = 10", "ticks = 16777217")]);
    assert!(found.contains("16777217 bins; at most 16777216"), "{found}");
    let table = "16777216 rows of 3 lanes; 1 to 16777216 elements";
    let found = problems(&[("ticks = 10", "ticks = 16777216")]);
    assert!(found.contains(table), "{found}");
    let none = "proc3 empty : neurons lanes 0 {\n}\nproc4 w.optimiser";
    refused(&[("proc3 w.optimiser", none)], "1 rows of 0 lanes");
    // More lanes than a number of lanes can hold.
    let mut program = parse_program(SOUND, &Externals::new()).expect("it parses");
    for tensor in program.tensors.values_mut() {
        (tensor.rows, tensor.lanes) = (usize::MAX, usize::MAX);
    }
    verify(&program).expect_err("no machine has so many");
}

#[test]
fn a_value_a_lane_needs_lanes() {
    let coef = "array first_spike";
    let turn = "on message chan1 lane {";
    let changes = [
        (coef, "coef c = [1.0, 2.0, 3.0] \"each\"\narray first_spike"),
        (
            turn,
            "on turn scalar {\nv0 = coef c\nstore loss = v0\n}\non message chan1 lane {",
        ),
    ];
    refused(&changes, "`c` has a value a lane, and there are no lanes");
}

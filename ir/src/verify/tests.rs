//! Each rule with a program that breaks it, and it alone.

use super::verify;
use crate::connection::Connection;
use crate::entity::Entity;
use crate::event::{Array, Output};
use crate::text::{Externals, parse_program};

/// It goes backwards.
const SOUND: &str = include_str!("tests/sound.nirp");
/// It does not.
const FORWARD: &str = include_str!("tests/forward.nirp");
/// Its spikes have exact times.
const EXACT: &str = include_str!("tests/exact.nirp");
/// Its neurons do not spike, and are read once.
const READOUT: &str = include_str!("tests/readout.nirp");

/// The sound program with these changes.
fn problems(changes: &[(&str, &str)]) -> String {
    problems_of(SOUND, changes)
}

fn problems_of(text: &str, changes: &[(&str, &str)]) -> String {
    let mut text = text.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "the program has no `{from}`");
        text = text.replacen(from, to, 1);
    }
    let program = parse_program(&text, &Externals::new()).unwrap_or_else(|e| panic!("{e}\n{text}"));
    verify(&program).map_or_else(|e| e.to_string(), |()| "none".to_owned())
}

fn refused(changes: &[(&str, &str)], expected: &str) {
    refused_of(SOUND, changes, expected);
}

fn refused_forward(changes: &[(&str, &str)], expected: &str) {
    refused_of(FORWARD, changes, expected);
}

fn refused_of(text: &str, changes: &[(&str, &str)], expected: &str) {
    let found = problems_of(text, changes);
    assert!(found.contains(expected), "{changes:?}: {found}");
    assert_eq!(found.matches("error[").count(), 1, "{changes:?}: {found}");
}

#[test]
fn the_programs_that_the_others_are_made_of_are_sound() {
    assert_eq!(problems(&[]), "none");
    assert_eq!(problems_of(FORWARD, &[]), "none");
    assert_eq!(problems_of(EXACT, &[]), "none");
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
    for array in ["given_error", "moment", "counter 0.0", "gathered"] {
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
        "1 fields for a tape of 0",
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
fn there_is_one_loss() {
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

#[test]
fn bins_are_as_many_as_the_passes_need() {
    let least = "at least 2 and 1";
    refused(&[("ticks = 10", "ticks = 1")], least);
    let none = [
        ("ticks = 1", "ticks = 0"),
        ("array seen : trace", "array seen : state 0.0"),
        ("probe seen", "store seen"),
    ];
    refused_forward(&none, "at least 1 and 1");
    refused_forward(&[("replicas = 1", "replicas = 0")], "at least 1 and 1");
    // What leads to neurons without a delay comes too early as well.
    let found = problems_of(FORWARD, &[("first_tick = 0", "first_tick = 2")]);
    assert!(found.contains("the first tick is 2, not 0 or 1"), "{found}");
}

#[test]
fn channels_have_two_ends_that_send_and_take() {
    let ends = "a source or neurons send to neurons or the loss";
    refused_forward(
        &[("chan3 : proc2 -> proc3", "chan3 : proc2 -> proc9")],
        "does not exist",
    );
    let to_source = (
        "chan3 : proc2 -> proc3 delay 0",
        "chan3 : proc2 -> proc1 delay 1",
    );
    refused_forward(&[to_source], ends);
    let from_loss = [
        (
            "proc3 readout : neurons lanes 4 emits v",
            "proc3 readout : loss lanes 4",
        ),
        ("on tick lanes {\nv0 = load v\nprobe seen = v0\n}\n", ""),
        (
            "chan3 : proc2 -> proc3 delay 0",
            "chan3 : proc3 -> proc2 delay 1",
        ),
    ];
    refused_forward(&from_loss, ends);
}

#[test]
fn without_a_delay_the_way_leads_on() {
    let later = "without a delay, it leads to a later process";
    let itself = (
        "chan2 : proc2 -> proc2 delay 1",
        "chan2 : proc2 -> proc2 delay 0",
    );
    refused_forward(&[itself], later);
    let back = (
        "chan3 : proc2 -> proc3 delay 0",
        "chan3 : proc3 -> proc2 delay 0",
    );
    refused_forward(&[back], later);
    let back = (
        "chan3 : proc2 -> proc3 delay 0",
        "chan3 : proc3 -> proc2 delay 1",
    );
    assert_eq!(problems_of(FORWARD, &[back]), "none");
}

#[test]
fn nothing_arrives_before_neurons_tick() {
    let later = (
        "chan3 : proc2 -> proc3 delay 0",
        "chan3 : proc2 -> proc3 delay 1",
    );
    refused_forward(
        &[("first_tick = 0", "first_tick = 1"), later],
        "a delay of 0, but neurons tick from bin 1 on",
    );
}

#[test]
fn the_loss_sees_everything_at_once() {
    let loss = [
        (
            "proc3 readout : neurons lanes 4 emits v",
            "proc3 readout : loss lanes 4",
        ),
        ("on tick lanes {\nv0 = load v\nprobe seen = v0\n}\n", ""),
    ];
    assert_eq!(problems_of(FORWARD, &loss), "none");
    let late = (
        "chan3 : proc2 -> proc3 delay 0",
        "chan3 : proc2 -> proc3 delay 2",
    );
    refused_forward(&[&loss[..], &[late]].concat(), "a delay of 2 into the loss");
}

#[test]
fn connections_name_what_there_is() {
    let places = "places for 2 sources";
    refused_forward(&[("axis 2\n    [0, 2, 0, 1]\n", "axis 1\n")], places);
    let third = ("    [3, 0]\n", "    [3, 0]\n  axis 2\n    [0, 0]\n    []\n");
    refused_forward(&[third], "axes of [2, 2] places for 2 sources");
    refused_forward(&[("[3, 0]", "[4, 0]")], "a synapse leads to lane 4 of 4");
    // The largest lanes of two axes add up.
    let sum = ("    [3, 0]\n", "    [3, 0]\n  axis 1\n    [1, 0]\n");
    refused_forward(&[sum], "a synapse leads to lane 4 of 4");
    // No axis at all, which the text cannot say.
    let mut program = parse_program(FORWARD, &Externals::new()).expect("it parses");
    let chan = program.channels.keys().nth(1).expect("four channels");
    program.channels[chan].connection = Connection::Taps(Vec::new());
    let found = verify(&program).expect_err("there is none").to_string();
    assert!(found.contains("axes of [] places for 2 sources"), "{found}");
}

#[test]
fn synapses_have_weights_of_their_own() {
    let none = "`w` has no such row here";
    refused_forward(&[("[3, 0]", "[3, 3]")], none);
    let rows = (
        "w : f32[1, 3] constant = [0.5, 1.0, 1.5]",
        "w : f32[3, 1] constant = [0.5, 1.0, 1.5]",
    );
    refused_forward(&[rows], none);
    // By the source there is a row of them, and a synapse has none of those.
    let u = "`u` has no such row here";
    refused_forward(&[("store x = v2", "store x = v2\nv3 = load u[source]")], u);
    let by_source = ("v0 = load u[source]", "v0 = load w[synapse]");
    refused_forward(&[by_source, ("array u : param tensor1\n", "")], none);
}

#[test]
fn synapses_are_run_where_they_are_named() {
    let cannot = "it cannot run over";
    let lanes = [
        ("on event chan1 synapses", "on event chan1 lanes"),
        ("v0 = load w[synapse]", "v0 = const 1.0"),
        ("array w : param tensor0\n", ""),
    ];
    refused_forward(&lanes, "it cannot run over Lanes");
    let all = [
        ("on event chan0 lanes", "on event chan0 synapses"),
        ("v0 = load u[source]", "v0 = const 1.0"),
    ];
    refused_forward(&all, cannot);
    refused_forward(
        &[(
            "on tick lanes {\nv0 = load x",
            "on tick synapses {\nv0 = load x",
        )],
        cannot,
    );
}

#[test]
fn a_synapse_is_no_lane() {
    let more = |line: &str| format!("store x = v2\n{line}");
    let synapse =
        |line: &str, expected| refused_forward(&[("store x = v2", &more(line))], expected);
    synapse("v3 = lane", "there is no lane to number");
    synapse(
        "reduce total = add v2",
        "a fold goes over lanes into a scalar",
    );
    synapse(
        "store total = v2",
        "scalars are stored in the scalar domain",
    );
    let sent = problems_of(FORWARD, &[("store x = v2", &more("send v2"))]);
    assert!(sent.contains("one value is sent from one lane"), "{sent}");
    synapse("store w[synapse] = v2", "is written by its optimiser alone");
    let trace = ("array total : scalar 0.0", "array total : trace");
    let probe = more("probe total = v2");
    refused_forward(&[trace, ("store x = v2", &probe)], "not synapse by synapse");
    let row = more("v3 = load total[bin]");
    refused_forward(
        &[trace, ("store x = v2", &row)],
        "`total` has no such row here",
    );
}

#[test]
fn values_arrive_where_they_are_sent() {
    let nothing = "nothing arrives here";
    refused_forward(&[("lanes 2 emits values", "lanes 2")], nothing);
    refused_forward(
        &[
            ("v0 = load u[source]", "v0 = payload"),
            ("array u : param tensor1\n", ""),
        ],
        nothing,
    );
}

#[test]
fn what_leaves_a_process_is_there() {
    let cannot = "cannot leave a process of role";
    let state = (
        "readout : neurons lanes 4 emits v",
        "readout : neurons lanes 4 emits seen",
    );
    refused_forward(&[state], cannot);
    refused_forward(
        &[("array v : state 0.0", "array v : state 0.0\ntape []")],
        "and has a tape of spikes",
    );
    let mut program = parse_program(FORWARD, &Externals::new()).expect("it parses");
    let state = |array| Output::State(Array::new(array));
    for (id, output) in [(0, state(0)), (3, state(7)), (3, Output::Given)] {
        let id = program.processes.keys().nth(id).expect("four processes");
        let before = program.processes[id].output;
        program.processes[id].output = output;
        let found = verify(&program)
            .expect_err("there is no such state")
            .to_string();
        assert!(found.contains(cannot), "{found}");
        program.processes[id].output = before;
    }
}

#[test]
fn tapes_are_bounded_on_the_way_back_and_there_alone() {
    let needs = "its tape needs a bound, for the way back";
    refused(&[("delay 1 bound 20", "delay 1")], needs);
    refused(&[("tape [rise] bound 27", "tape [rise]")], needs);
    let has = "its tape has a bound, but no spikes go backwards";
    refused_forward(&[("proc2 delay 1 ;", "proc2 delay 1 bound 9 ;")], has);
    refused_forward(&[("tape []", "tape [] bound 9")], has);
    let values = "in : source lanes 2 emits values {";
    refused(&[("in : source lanes 2 {", values)], has);
}

#[test]
fn the_way_back_is_as_wide_as_the_way_there() {
    let later = ("proc0 -> proc1 delay 1", "proc0 -> proc1 delay 2");
    assert_eq!(problems(&[later]), "none");
    let itself = "chan1 : proc1 -> proc1 delay 1 bound 27 ; cells -> cells\nchan2 : proc1 -> proc2";
    let renamed = [
        ("chan1 : proc1 -> proc2", itself),
        ("on event chan1", "on event chan2"),
        ("on message chan1", "on message chan2"),
    ];
    assert_eq!(problems(&renamed), "none");
    let taps = "delay 0 bound 27 taps ; cells -> loss\n  axis 3 step [1, 1]";
    let found = problems(&[("delay 0 bound 27 ; cells -> loss", taps)]);
    assert!(found.contains("it cannot run over Lane"), "{found}");
}

#[test]
fn errors_of_values_are_taken() {
    let emits = [
        ("cells : neurons lanes 3", "cells : neurons lanes 3 emits x"),
        ("delay 0 bound 27 ; cells", "delay 0 ; cells"),
    ];
    let found = problems(&emits);
    assert!(
        found.contains("`cells` takes no errors of its values"),
        "{found}"
    );
    let on_value = [(
        "on spike lane {",
        "on value lanes {\nv0 = payload\n}\n\non spike lane {",
    )];
    refused(&on_value, "the process emits no values");
}

#[test]
fn measures_are_sent_once_and_read_by_schedules() {
    let array = "array sum : gathered";
    let with = |handlers: &str| format!("{array}\narray k : counter 0.0\n{handlers}");
    let measure = "on measure lanes {\nv0 = load sum\nsend sum fma v0, v0\n}";
    let schedule = "on schedule scalar {\nv0 = payload\nstore k = v0\n}";
    let both = with(&format!("{measure}\n{schedule}"));
    assert_eq!(problems(&[(array, &both)]), "none");
    for (handlers, expected) in [
        (schedule.to_owned(), "nothing arrives here"),
        (
            measure.replace("send sum fma v0, v0", "store sum = v0"),
            "it sends 0 times, not 1",
        ),
        (
            measure.replace("sum fma v0, v0", "v0"),
            "one value is sent from one lane",
        ),
        (
            "on measure scalar {\nv0 = load k\nsend sum add v0\n}".to_owned(),
            "it cannot run over Scalar",
        ),
        (
            measure.replace("v0 = load sum", "v0 = bin"),
            "there is no current bin here",
        ),
    ] {
        let found = problems(&[(array, &with(&handlers))]);
        assert!(found.contains(expected), "{handlers}: {found}");
    }
    let tick = "on measure lanes {\nv0 = const 1.0\nsend sum add v0\n}\non event chan1 lane {";
    let found = problems(&[("on event chan1 lane {", tick)]);
    assert!(
        found.contains("a process of role Loss has no such handler"),
        "{found}"
    );
}

#[test]
fn windows_lie_within_a_sample() {
    let header = "replicas = 1 window = 4";
    for bins in ["0", "11"] {
        let other = format!("replicas = 1 window = {bins}");
        let windows = format!("windows of {bins} bins");
        let short = [(header, &*other), ("delay 5", "delay 12")];
        refused_of(EXACT, &short, &windows);
    }
    let later = [
        ("first_tick = 0", "first_tick = 1"),
        ("delay 0 delays", "delay 1 delays"),
    ];
    refused_of(EXACT, &later, "a first tick of 1");
}

#[test]
fn within_a_window_spikes_lead_to_later_processes() {
    refused_of(
        EXACT,
        &[("delay 5", "delay 3")],
        "within a window of 4 it leads to a later process",
    );
    assert_eq!(problems_of(EXACT, &[("delay 5", "delay 4")]), "none");
}

#[test]
fn delays_of_sources_are_a_tensor_that_only_the_channel_reads() {
    let fits = "is no tensor of one row and 2 delays";
    let longer = (
        "late : f32[1, 2] trainable = [0.5, 1.5]",
        "late : f32[1, 3] trainable = [0.5, 1.5, 2.5]",
    );
    refused_of(EXACT, &[longer], fits);
    let none = ("array late : param tensor2", "array late : state 0.0");
    refused_of(EXACT, &[none], fits);
    refused_of(
        EXACT,
        &[(
            "array late.gradient : gradient tensor2",
            "array other : state 0.0",
        )],
        "is not the gradient of the delays",
    );
    let silent = (
        "on message chan0 lanes {\nv0 = time\nv1 = load w[source]\nsend sum fma v0, v1\n}\n\n",
        "",
    );
    refused_of(EXACT, &[silent], "and no message brings errors");
    let spared = ("gradient arr1 ", "");
    let constant = (
        "array late.gradient : gradient tensor2",
        "array other : state 0.0",
    );
    assert_eq!(problems_of(EXACT, &[silent, spared, constant]), "none");
    let into_loss = ("delay 0 bound 30", "delay 0 delays arr0 bound 30");
    refused_of(
        EXACT,
        &[into_loss],
        "only spikes that neurons take have delays by source",
    );
    let named = ("store lambda = v3", "v4 = load late\nstore lambda = v4");
    let problems = problems_of(EXACT, &[named]);
    assert!(
        problems.contains("handlers name the delays of its sources"),
        "{problems}"
    );
    let ticks = ("delay 1 bound 20", "delay 1 delays arr0 bound 20");
    refused(
        &[ticks],
        "its sources have delays, without exact event times",
    );
}

#[test]
fn programs_have_the_handlers_of_their_time() {
    let none = "has no such handler";
    refused_of(
        EXACT,
        &[(
            "on window lanes {\nv0 = bin\nv1 = load p\nv2 = add v0, v1\nstore p = v2",
            "on tick lanes {\nv1 = load p\nstore p = v1"
                .replace("v1", "v0")
                .as_str(),
        )],
        none,
    );
    refused_of(
        EXACT,
        &[(
            "on adjoint_window lanes {\nv0 = bin",
            "on gradient_tick lanes {\nv0 = load p",
        )],
        none,
    );
    let window = "on window lanes {\n}\n\non tick lanes {\nv0 = load v";
    refused_forward(&[("on tick lanes {\nv0 = load v", window)], none);
    let window = "on adjoint_window lanes {\n}\n\non spike lane {";
    refused(&[("on spike lane {", window)], none);
}

#[test]
fn times_stand_where_something_has_one() {
    refused_of(
        EXACT,
        &[("v0 = bin\nv1 = load p", "v0 = time\nv1 = load p")],
        "no time of an event here",
    );
    refused_of(
        EXACT,
        &[(
            "v0 = time\nv1 = load w[source]\nv2",
            "v0 = since\nv1 = load w[source]\nv2",
        )],
        "no interval here",
    );
    refused_of(
        EXACT,
        &[(
            "v0 = time\nv1 = load w[source]\nv2",
            "v0 = bin\nv1 = load w[source]\nv2",
        )],
        "no current bin here",
    );
    refused_forward(
        &[("v0 = load u[source]", "v0 = time")],
        "no time of an event here",
    );
}

#[test]
fn crossings_have_a_time_and_end_early() {
    let missing = "a spike has a time in a cross handler, and only there";
    refused_of(
        EXACT,
        &[("spike when v11 at v9", "spike when v11")],
        missing,
    );
    refused_forward(
        &[("spike when v2 record", "spike when v2 at v1 record")],
        missing,
    );
    refused_of(EXACT, &[("at v9", "at v11")], "v11 is a comparison");
    refused_of(
        EXACT,
        &[("skip when v2", "skip when v1")],
        "v1 is no comparison",
    );
    refused_forward(
        &[("spike when v2 record", "skip when v2\nspike when v2 record")],
        "only a search for spikes ends early",
    );
    refused_of(
        EXACT,
        &[
            (
                "v0 = load p\nv1 = const 1.0",
                "v0 = load p\nreduce total = add v0\nv1 = const 1.0",
            ),
            ("array lambda", "array total : scalar 0.0\narray lambda"),
        ],
        "a fold goes over lanes",
    );
    refused_of(
        EXACT,
        &[("root cubic v0, v0, v1, v6", "root cubic v0, v2, v1, v6")],
        "v2 is a comparison",
    );
    refused_of(
        EXACT,
        &[("root power v5", "root power v2")],
        "v2 is a comparison",
    );
}

#[test]
fn exact_times_know_no_bins() {
    refused_of(
        EXACT,
        &[(
            "array label : label",
            "array label : label\narray seen : trace",
        )],
        "has a row a bin",
    );
    refused_of(
        EXACT,
        &[("on window lanes", "on cross lanes {\n}\n\non window lanes")],
        "two handlers for Cross",
    );
}

#[test]
fn read_outs_emit_once_and_to_the_loss() {
    assert_eq!(problems_of(READOUT, &[]), "none");
    refused_of(
        READOUT,
        &[
            (
                "in : source lanes 2 {",
                "in : source lanes 2 emits values {",
            ),
            ("delay 0 bound 20", "delay 0"),
        ],
        "it emits values, one a bin, in a program of exact event times",
    );
    let to_itself = [
        (
            "chan1 : proc1 -> proc2 delay 0 ; cells -> loss",
            "chan1 : proc1 -> proc1 delay 4 ; cells -> cells\nchan2 : proc1 -> proc2 delay 0 ; cells -> loss",
        ),
        ("on event chan1", "on event chan2"),
        ("on message chan1", "on message chan2"),
    ];
    refused_of(READOUT, &to_itself, "only the loss takes values");
    let turn = "on turn lanes {\nv0 = const 100.0\nv1 = load label\nv2 = fma v1, v0, v0\nstore lambda = v2\n}\n\n";
    let both = format!("{turn}on value lanes {{\nv0 = payload");
    let untaken = [(&*both, "on turn lanes {\nv0 = load p")];
    refused_of(READOUT, &untaken, "takes no errors of its values");
    refused_of(
        READOUT,
        &[(
            "store highest = v5",
            "store highest = v5\nv6 = cmp gt v0, v1\nspike when v6 at v1 record ()",
        )],
        "what emits values does not spike",
    );
}

#[test]
fn neurons_turn_once_and_over_lanes() {
    let twice = ("on value lanes", "on turn lanes {\n}\n\non value lanes");
    refused_of(READOUT, &[twice], "two handlers for Turn");
    let once = [
        ("array lambda", "array once : scalar 0.0\narray lambda"),
        (
            "on turn lanes {\nv0 = const 100.0\nv1 = load label\nv2 = fma v1, v0, v0\nstore lambda = v2",
            "on turn scalar {\nv0 = const 100.0\nstore once = v0",
        ),
    ];
    refused_of(READOUT, &once, "it cannot run over Scalar");
    refused_of(
        READOUT,
        &[("v1 = load label\nv2 = fma", "v1 = time\nv2 = fma")],
        "no time of an event here",
    );
    refused_of(
        READOUT,
        &[("v1 = load label\nv2 = fma", "v1 = bin\nv2 = fma")],
        "no current bin here",
    );
    let ticking = ("on tick lanes {", "on turn lanes {\n}\n\non tick lanes {");
    refused_forward(&[ticking], "a process of role Neurons has no such handler");
}

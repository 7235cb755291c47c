//! Programs small enough to be run by hand: delays, recurrence, values, synapses.

use nirc_ir::entity::Entity;
use nirc_ir::event::{Proc, Program};
use nirc_ir::executor::{Executor, InputSpike, LaneSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_ir::text::{Externals, parse_program};
use nirc_tests::forward::{Limits, program};

use super::assert_agrees;
use crate::HostSimulator;
use crate::isa::Isa;

/// Two sources of spikes and one of values; `relay` says each thing that it hears once, two bins after `in`
/// and one after itself on the lane to the right; `sums` adds up values and what `relay` said.
const PROGRAM: &str = "
program p ticks = 6 dt = 0.001 first_tick = 0 replicas = 1 {
tensor0 right : f32[1, 1] constant = [1.0]
tensor1 kernel : f32[1, 3] constant = [10.0, 20.0, 30.0]
chan0 : proc0 -> proc1 delay 2 taps ; in -> relay
  axis 1 step [0, 0]
chan1 : proc1 -> proc1 delay 1 taps ; relay -> relay
  axis 3
    [1, 0]
    [2, 0]
    []
chan2 : proc4 -> proc1 delay 3 ; more -> relay
chan3 : proc1 -> proc3 delay 0 taps ; relay -> sums
  axis 3
    [0, 1, 1, 0]
    [0, 2, 1, 1, 1, 0]
    [1, 2]
chan4 : proc2 -> proc3 delay 1 taps ; level -> sums
  axis 1
    [0, 0]

proc0 in : source lanes 1 {
}

proc1 relay : neurons lanes 3 {
array x : state 0.0
array w : param tensor0
tape []

on event chan0 synapses {
v0 = load x
v1 = load w[synapse]
v2 = add v0, v1
store x = v2
}

on event chan1 synapses {
v0 = load x
v1 = load w[synapse]
v2 = add v0, v1
store x = v2
}

on event chan2 lane {
v0 = const 1.0
store x = v0
}

on tick lanes {
v0 = load x
v1 = const 0.0
v2 = cmp gt v0, v1
store x = v1
spike when v2 record ()
}
}

proc2 level : source lanes 1 emits values {
}

proc3 sums : neurons lanes 2 emits total {
array total : state 0.0
array kernel : param tensor1
array seen : trace

on event chan3 synapses {
v0 = load total
v1 = load kernel[synapse]
v2 = add v0, v1
store total = v2
}

on event chan4 synapses {
v0 = load total
v1 = load kernel[synapse]
v2 = payload
v3 = fma v1, v2, v0
store total = v3
}

on tick lanes {
v0 = load total
probe seen = v0
}
}

proc4 more : source lanes 2 {
}
}
";

fn parsed(text: &str) -> Program {
    parse_program(text, &Externals::new()).unwrap_or_else(|e| panic!("{e}"))
}

const fn spike(tick: u32, channel: u32) -> InputSpike {
    InputSpike { tick, channel }
}

/// The spikes of `relay`, and `sums.seen` bin by bin, of the host; the definition says the same.
fn run(program: &Program, spikes: &[InputSpike], values: &[f32]) -> (Vec<(u32, u32)>, Vec<f32>) {
    let sample = Sample {
        times: &[],
        spikes,
        values,
        label: 0,
        error: &[],
    };
    let mut host = HostSimulator::new(program, 1).expect("a sound program");
    let mut interpreter = Interpreter::new(program);
    let (relay, sums) = (Proc::new(1), Proc::new(3));
    let seen = program.processes[sums].array("seen").expect("a trace");
    let executors: [&mut dyn Executor; 2] = [&mut host, &mut interpreter];
    let [got, expected] = executors.map(|executor| {
        let batch = [sample, sample];
        executor
            .run(Pass::Forward, &batch, &mut Vec::new())
            .expect("it runs");
        let spikes = executor.spikes(0, relay).expect("a tape");
        let spikes = spikes.iter().map(|LaneSpike { tick, lane }| (*tick, *lane));
        (
            spikes.collect(),
            executor.read(0, sums, seen).expect("readable"),
        )
    });
    assert_eq!(got, expected);
    got
}

#[test]
fn spikes_arrive_after_their_delay_and_come_back() {
    let (spikes, seen) = run(&parsed(PROGRAM), &[spike(1, 0)], &[0.0; 6]);
    // Two bins to lane 0, then to the right, a bin each.
    assert_eq!(spikes, [(3, 0), (4, 1), (5, 2)]);
    let bins = [
        [0.0, 0.0],
        [0.0, 0.0],
        [0.0, 0.0],
        [20.0, 10.0],
        [50.0, 40.0],
        [50.0, 70.0],
    ];
    assert_eq!(seen, bins.concat());
}

#[test]
fn sources_have_channels_of_their_own_and_late_spikes_are_lost() {
    // Channels 1 and 2 are those of `more`, whose second lane speaks to lane 1.
    let spikes = [spike(0, 2), spike(3, 1), spike(4, 0)];
    let (spikes, _) = run(&parsed(PROGRAM), &spikes, &[0.0; 6]);
    assert_eq!(spikes, [(3, 1), (4, 2)]);
}

#[test]
fn values_arrive_in_every_bin() {
    let (spikes, seen) = run(&parsed(PROGRAM), &[], &[1.0, 0.5, 0.0, -1.0, 2.0, 9.0]);
    assert_eq!(spikes, []);
    let totals = [0.0, 10.0, 15.0, 15.0, 5.0, 25.0];
    let bins: Vec<f32> = totals.iter().flat_map(|total| [*total, 0.0]).collect();
    assert_eq!(seen, bins);
}

#[test]
fn neurons_may_tick_from_the_second_bin_on() {
    let late = PROGRAM.replace("first_tick = 0", "first_tick = 1");
    let late = late.replace("proc1 -> proc3 delay 0", "proc1 -> proc3 delay 1");
    let (spikes, seen) = run(
        &parsed(&late),
        &[spike(0, 0)],
        &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    );
    assert_eq!(spikes, [(2, 0), (3, 1), (4, 2)]);
    let bins = [
        [0.0, 0.0],
        [10.0, 0.0],
        [10.0, 0.0],
        [30.0, 10.0],
        [60.0, 40.0],
        [60.0, 70.0],
    ];
    assert_eq!(seen, bins.concat());
}

#[test]
fn a_program_of_one_bin_runs_it() {
    let one = PROGRAM.replace("ticks = 6", "ticks = 1");
    let one = one.replace("proc0 -> proc1 delay 2", "proc0 -> proc1 delay 0");
    let (spikes, seen) = run(&parsed(&one), &[spike(0, 0)], &[4.0]);
    assert_eq!((spikes, seen), (vec![(0, 0)], vec![20.0, 10.0]));
}

#[test]
fn states_are_taken_as_they_were() {
    // `sums` hears itself: its value of two bins ago, ten times, besides that of `level` in the last bin.
    let text = PROGRAM.replace(
        "chan3 : proc1 -> proc3 delay 0",
        "chan3 : proc3 -> proc3 delay 2",
    );
    let text = text.replace(
        "  axis 3\n    [0, 1, 1, 0]\n    [0, 2, 1, 1, 1, 0]\n    [1, 2]\n",
        "  axis 2\n    [0, 0]\n    [1, 0]\n",
    );
    let text = text.replace(
        "v0 = load total\nv1 = load kernel[synapse]\nv2 = add v0, v1\nstore total = v2",
        "v0 = load total\nv1 = load kernel[synapse]\nv2 = payload\nv3 = fma v1, v2, v0\nstore total = v3",
    );
    let (_, seen) = run(&parsed(&text), &[], &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let totals = [0.0, 10.0, 10.0, 110.0, 210.0, 1310.0];
    let bins: Vec<f32> = totals.iter().flat_map(|total| [*total, 0.0]).collect();
    assert_eq!(seen, bins);
}

#[test]
fn only_spikes_that_are_recorded_are_told() {
    let host = HostSimulator::new(&parsed(PROGRAM), 1).expect("a sound program");
    assert!(host.spikes(0, Proc::new(0)).is_ok());
    assert!(host.spikes(0, Proc::new(1)).is_ok());
    let problem = host.spikes(0, Proc::new(3)).expect_err("it has no tape");
    assert_eq!(problem.code, nirc_ir::codes::RECORD_NAME);
}

#[test]
fn random_forward_programs_with_every_set_of_instructions() {
    for seed in 0..60 {
        for isa in Isa::available() {
            println!("seed {seed}, {}", isa.name());
            assert_agrees(&program(seed, Limits::HOST), seed, 1, isa);
        }
    }
}

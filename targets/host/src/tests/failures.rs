//! What happens when a program or its input is wrong.

use nirc_ir::codes;
use nirc_ir::entity::Entity;
use nirc_ir::event::{Chan, Domain, HandlerKind, Op, Proc, Program, Role, Row, Stmt, Tensor};
use nirc_ir::executor::{Executor, InputSpike, Pass, Sample};
use nirc_ir::interpreter::Interpreter;

use super::networks::yin_yang;
use crate::HostSimulator;
use nirc_tests::agreement::{Batch, assert_same_values};
use nirc_tests::rng::Rng;

fn weights(host: &HostSimulator) -> Vec<f32> {
    let program = host.program();
    let process = program.process("pop1").expect("the hidden layer");
    let kind = nirc_ir::event::ArrayKind::Param(Tensor::new(0));
    let array = program.processes[process]
        .array_of(kind)
        .expect("its weights");
    host.read(0, process, array).expect("readable")
}

/// The code, place and message of a failing run.
fn failure(program: &Program, threads: usize, batch: &Batch) -> (&'static str, String, String) {
    let mut host = HostSimulator::new(program, threads).expect("a sound program");
    let before = weights(&host);
    let mut outcomes = Vec::new();
    let run = host.run(Pass::Train, &batch.samples(), &mut outcomes);
    let problem = run.expect_err("a tape overflows");
    assert!(outcomes.is_empty());
    assert_same_values("weights", &weights(&host), &before);
    (problem.code, problem.place, problem.message)
}

#[test]
fn an_overflow_names_the_first_sample_and_leaves_the_weights() {
    let batch = Batch::random(&yin_yang(4), 11, &mut Rng::new(5));
    // The third sample of a batch that fits is made busier than the others.
    let mut host = HostSimulator::new(&yin_yang(4), 1).expect("a sound program");
    let mut counts = Vec::new();
    for sample in batch.samples() {
        host.run(Pass::Forward, &[sample], &mut Vec::new())
            .expect("it fits");
        counts.push(host.spikes(0, Proc::new(1)).expect("readable").len());
    }
    let bound = counts.iter().max().expect("samples") - 1;
    let first = counts
        .iter()
        .position(|count| *count > bound)
        .expect("the largest");
    let mut program = yin_yang(4);
    let tape = program.processes[Proc::new(1)].tape.as_mut();
    tape.expect("a tape").bound = Some(bound);
    for threads in [1, 2, 3] {
        let (code, place, message) = failure(&program, threads, &batch);
        assert_eq!((code, place.as_str()), (codes::DEVICE_LOSS, "pop1"));
        let expected = format!("more than {bound} in sample {first}");
        assert!(
            message.contains("own spikes") && message.contains(&expected),
            "{message}"
        );
    }
}

#[test]
fn a_channel_overflows_as_well() {
    let mut program = yin_yang(2);
    program.channels[Chan::new(1)].bound = Some(3);
    let batch = Batch::random(&program, 5, &mut Rng::new(6));
    let (code, place, message) = failure(&program, 2, &batch);
    assert_eq!((code, place.as_str()), (codes::DEVICE_LOSS, "pop2"));
    assert!(message.contains("received spikes"), "{message}");
}

/// Spikes that a delay holds back beyond the last bin count as all others do.
#[test]
fn spikes_that_nothing_is_left_to_take_count_towards_the_bound() {
    let chan = Chan::new(1);
    let mut program = yin_yang(1);
    program.channels[chan].delay = 3;
    let batch = Batch::random(&program, 11, &mut Rng::new(5));
    let mut late = 0;
    for sample in batch.samples() {
        let mut host = HostSimulator::new(&program, 1).expect("a sound program");
        host.run(Pass::Forward, &[sample], &mut Vec::new())
            .expect("it fits");
        let spikes = host.spikes(0, Proc::new(1)).expect("readable");
        // Some are never taken, though they are not of the last bin.
        let ends = program.ticks - 3..program.ticks - 1;
        if !spikes.iter().any(|s| ends.contains(&s.tick)) {
            continue;
        }
        late += 1;
        for (bound, fits) in [(spikes.len(), true), (spikes.len() - 1, false)] {
            let mut program = program.clone();
            program.channels[chan].bound = Some(bound);
            let mut host = HostSimulator::new(&program, 1).expect("a sound program");
            let mut interpreter = Interpreter::new(&program);
            let found = host.run(Pass::Forward, &[sample], &mut Vec::new());
            let expected = interpreter.run(Pass::Forward, &[sample], &mut Vec::new());
            assert_eq!(
                [found.is_ok(), expected.is_ok()],
                [fits; 2],
                "bound {bound}"
            );
        }
    }
    assert!(late > 0, "no sample has a late spike");
}

#[test]
fn a_run_after_a_failure_is_like_any_other() {
    let mut program = yin_yang(2);
    program.processes[Proc::new(1)]
        .tape
        .as_mut()
        .expect("a tape")
        .bound = Some(1);
    let busy = Batch::random(&program, 3, &mut Rng::new(6));
    let mut host = HostSimulator::new(&program, 2).expect("a sound program");
    let mut outcomes = Vec::new();
    host.run(Pass::Train, &busy.samples(), &mut outcomes)
        .expect_err("it overflows");
    let silent = Sample {
        times: &[],
        spikes: &[],
        label: 0,
        error: &[],
        values: &[],
    };
    host.run(Pass::Train, &[silent], &mut outcomes)
        .expect("nothing happens");
    assert_eq!(outcomes.len(), 1);
}

#[test]
fn bad_samples_are_refused() {
    let mut host = HostSimulator::new(&yin_yang(2), 1).expect("a sound program");
    let spike = |tick, channel| InputSpike { tick, channel };
    for spikes in [
        &[spike(27, 0)][..],
        &[spike(0, 5)],
        &[spike(3, 0), spike(2, 0)],
        &[spike(3, 0), spike(3, 0)],
    ] {
        let sample = Sample {
            times: &[],
            spikes,
            label: 0,
            error: &[],
            values: &[],
        };
        let problem = host
            .run(Pass::Forward, &[sample], &mut Vec::new())
            .expect_err("refused");
        assert_eq!(problem.code, codes::DATA_ARRAY, "{problem}");
    }
}

#[test]
fn bad_programs_are_refused() {
    type Break = fn(&mut Program);
    let breaks: [(&str, Break); 4] = [
        ("fewer rows than sources", |p| {
            let tensor = &mut p.tensors[Tensor::new(0)];
            tensor.rows -= 1;
            tensor.values.truncate(tensor.rows * tensor.lanes);
            let optimiser = p
                .processes
                .values_mut()
                .find(|q| q.role == Role::Optimiser(Tensor::new(0)));
            optimiser.expect("an optimiser").lanes -= 120;
        }),
        ("an event names a lane that is not there", |p| {
            let hidden = &mut p.processes[Proc::new(2)];
            let event = hidden
                .handlers
                .iter_mut()
                .find(|h| matches!(h.kind, HandlerKind::Event(_)));
            event.expect("an event handler").domain = Domain::Lane;
        }),
        ("neurons write weights", |p| {
            let hidden = &mut p.processes[Proc::new(1)];
            let event = &mut hidden.handlers[0].body;
            let weight = event.stmts.iter().find_map(|s| match s {
                Stmt::Let(v, Op::LoadRow(array, _)) => Some((*array, *v)),
                _ => None,
            });
            let (array, v) = weight.expect("it loads a weight");
            event.stmts.push(Stmt::StoreRow(array, Row::Source, v));
        }),
        ("no replicas", |p| p.replicas = 0),
    ];
    for (what, break_it) in breaks {
        let mut program = yin_yang(2);
        break_it(&mut program);
        assert!(HostSimulator::new(&program, 1).is_err(), "{what}");
    }
}

#[test]
fn what_is_not_there_cannot_be_read_or_written() {
    let mut host = HostSimulator::new(&yin_yang(2), 1).expect("a sound program");
    let array = nirc_ir::event::Array::new(0);
    assert!(host.read(2, Proc::new(1), array).is_err());
    assert!(host.read(0, Proc::new(99), array).is_err());
    assert!(host.spikes(0, Proc::new(99)).is_err());
    assert!(host.spikes(2, Proc::new(1)).is_err());
    assert!(host.write(Proc::new(1), array, &[0.0; 120]).is_err());
    assert!(host.write(Proc::new(4), array, &[0.0; 7]).is_err());
}

#[test]
fn written_weights_are_used() {
    let program = yin_yang(2);
    let mut host = HostSimulator::new(&program, 1).expect("a sound program");
    let (optimiser, process) = program
        .processes
        .iter()
        .find(|(_, p)| p.role == Role::Optimiser(Tensor::new(0)))
        .expect("an optimiser");
    let kind = nirc_ir::event::ArrayKind::Param(Tensor::new(0));
    let array = process.array_of(kind).expect("its parameter");
    let values: Vec<f32> = (0..600_u16).map(f32::from).collect();
    host.write(optimiser, array, &values).expect("writable");
    assert_same_values("weights", &weights(&host), &values);
    assert_same_values(
        "parameter",
        &host.read(0, optimiser, array).expect("readable"),
        &values,
    );
}

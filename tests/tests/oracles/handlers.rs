//! Every generated handler on random states: the same memory as in the emulator.

use nirc_ir::event::HandlerKind;
use nirc_spinnaker2::abi::Status;
use nirc_tests::tools::oracle;

use crate::bench::{Bench, Entry};
use crate::case::{Case, Outcome, case};
use crate::numbers::Numbers;
use crate::{emulator, programs, qemu, rsemu};

/// Calls of each handler.
const CASES: usize = 200;

#[test]
fn qemu_reaches_the_same_memory() {
    if let Some(qemu) = oracle("qemu-system-arm") {
        let run = |bench: &Bench, cases: &[Case]| qemu::run(&qemu, bench, cases);
        compare("QEMU", run, |ours, theirs| ours == theirs);
    }
}

#[test]
fn rsemu_reaches_the_same_memory() {
    compare("rsemu", rsemu::run, rsemu::same);
}

/// The states would be worth little if nothing happened on them.
#[test]
fn handlers_have_something_to_do() {
    let mut reached = Reached::default();
    for (name, program) in programs::all() {
        for bench in Bench::of(&program) {
            let cases = cases(&bench);
            let outcomes = emulator::run(&bench, &cases);
            let pairs = cases.chunks(CASES).zip(outcomes.chunks(CASES));
            for (entry, (cases, outcomes)) in bench.entries.iter().zip(pairs) {
                let calls = || cases.iter().zip(outcomes);
                let busy = calls().filter(|(case, outcome)| case.state != outcome.state);
                let busy = busy.count();
                assert!(
                    busy >= CASES / 8 || sends(&bench, entry),
                    "{name} {}: only {busy} calls change anything",
                    entry.symbol
                );
                if bench.handler(entry).kind == HandlerKind::Tick {
                    calls().for_each(|(case, outcome)| reached.note(&bench, case, outcome));
                }
            }
        }
    }
    println!("{reached:?}");
    let Reached {
        quiet,
        packets,
        full,
    } = reached;
    assert!(
        quiet.min(packets).min(full) >= CASES / 2,
        "ticks in which neurons stay quiet, fire, and find no room"
    );
}

/// How ticks end.
#[derive(Debug, Default)]
struct Reached {
    quiet: usize,
    packets: usize,
    full: usize,
}

impl Reached {
    fn note(&mut self, bench: &Bench, case: &Case, outcome: &Outcome) {
        let [before, after] = [&case.state, &outcome.state].map(|state| bench.parts(state));
        let sent = before[1] != after[1];
        let status = bench.word(&outcome.state, "status");
        self.quiet += usize::from(!sent && status == 0);
        self.packets += usize::from(sent);
        self.full += usize::from(status >> 16 == Status::SpikeTapeFull as u32);
    }
}

/// Calls every handler of every program in the emulator and elsewhere.
fn compare(judge: &str, run: impl Fn(&Bench, &[Case]) -> Vec<Outcome>, same: fn(u32, u32) -> bool) {
    let mut wrong = Vec::new();
    for (name, program) in programs::all() {
        for bench in Bench::of(&program) {
            let cases = cases(&bench);
            let ours = emulator::run(&bench, &cases);
            let theirs = run(&bench, &cases);
            assert_eq!(theirs.len(), cases.len());
            let pairs = ours.chunks(CASES).zip(theirs.chunks(CASES));
            for (entry, (ours, theirs)) in bench.entries.iter().zip(pairs) {
                let different = differences(&bench, entry, ours, theirs, same);
                println!(
                    "{judge} {name} {}: {CASES} calls, {} differ",
                    entry.symbol,
                    different.len()
                );
                wrong.extend(different.first().map(|what| format!("{name} {what}")));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{judge} differs from the emulator:\n{}",
        wrong.join("\n")
    );
}

fn cases(bench: &Bench) -> Vec<Case> {
    let mut numbers = Numbers::new(1);
    let calls = bench
        .entries
        .iter()
        .flat_map(|entry| (0..CASES).map(move |n| (entry, n)));
    calls
        .map(|(entry, number)| case(bench, entry, number, &mut numbers))
        .collect()
}

fn sends(bench: &Bench, entry: &Entry) -> bool {
    matches!(bench.handler(entry).kind, HandlerKind::Message(_))
}

/// A line for each call that ends differently.
fn differences(
    bench: &Bench,
    entry: &Entry,
    ours: &[Outcome],
    theirs: &[Outcome],
    same: fn(u32, u32) -> bool,
) -> Vec<String> {
    let sends = sends(bench, entry);
    let mut lines = Vec::new();
    for (number, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let mut words = a.words().zip(b.words()).enumerate();
        let difference = if let Some((index, (a, b))) = words.find(|(_, (a, b))| !same(*a, *b)) {
            format!("{} is {a:08x}, not {b:08x}", bench.describe(4 * index))
        } else if sends && !same(a.sent, b.sent) {
            format!("sends {:08x}, not {:08x}", a.sent, b.sent)
        } else {
            continue;
        };
        lines.push(format!("{}, call {number}: {difference}", entry.symbol));
    }
    lines
}

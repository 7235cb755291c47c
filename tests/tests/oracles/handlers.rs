//! Every generated handler on random states: the same memory as in the emulator.

use nirc_ir::event::HandlerKind;
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

/// A line for each call that ends differently.
fn differences(
    bench: &Bench,
    entry: &Entry,
    ours: &[Outcome],
    theirs: &[Outcome],
    same: fn(u32, u32) -> bool,
) -> Vec<String> {
    let sends = matches!(bench.handler(entry).kind, HandlerKind::Message(_));
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

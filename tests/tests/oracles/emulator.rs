//! Cases in this project's own emulator.

use nirc_emulator::Machine;

use crate::bench::Bench;
use crate::case::{Case, Outcome};

const LIMIT: u64 = 1_000_000;

pub(crate) fn run(bench: &Bench, cases: &[Case]) -> Vec<Outcome> {
    let machine = Machine::with_memory(bench.memory(), &[(0, bench.text())]);
    let mut machine = machine.expect("the code fits");
    cases
        .iter()
        .map(|case| call(bench, &mut machine, case))
        .collect()
}

fn call(bench: &Bench, machine: &mut Machine, case: &Case) -> Outcome {
    for (window, bytes) in bench.parts(&case.state) {
        machine
            .write(window.addr, bytes)
            .expect("inside the memory");
    }
    machine.set_r(0, case.argument);
    machine.set_r(13, bench.stack);
    let kept = [0x1111, 0x2222, 0x3333, 0x4444];
    for (register, value) in (8..).zip(kept) {
        machine.set_r(register, value);
    }
    machine
        .call(case.entry, LIMIT)
        .unwrap_or_else(|e| panic!("{:#x}: {e}", case.entry));
    for (register, value) in (8..).zip(kept) {
        assert_eq!(
            machine.r(register),
            value,
            "{:#x} keeps r{register}",
            case.entry
        );
    }
    assert_eq!(
        machine.r(13),
        bench.stack,
        "{:#x} keeps the stack",
        case.entry
    );
    let windows = bench.windows.map(|w| machine.read(w.addr, w.len as usize));
    Outcome {
        state: windows
            .map(|bytes| bytes.expect("inside the memory"))
            .concat(),
        sent: machine.s(0),
    }
}

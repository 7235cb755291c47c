//! Cases in QEMU's `mps2-an386`, a board with a Cortex-M4F.
//!
//! The firmware lies where it belongs. A driver above it starts instead of the firmware's own program: for each
//! record it puts the state in place, calls the handler and takes the state back; then it writes all records into
//! a file of the host.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nirc_spinnaker2::thumb::Reg::{R0, R1, R2, R3, R8, R9, R10};
use nirc_spinnaker2::thumb::{Addr, Assembler, BarrierOp, Cond, Inst, Label, Program, Reg, SReg};

use crate::bench::{Bench, Window};
use crate::case::{Case, Outcome};

/// Where the driver lies: in the board's first memory of 4 MiB, between firmware and controller.
const DRIVER: u32 = 0x0010_0000;
/// Where the records lie: the board's largest memory.
const RECORDS: u32 = 0x2100_0000;
const ROOM: usize = 16 << 20;
/// A record is entry, argument, s0 afterwards, a spare word, and the state.
const HEAD: usize = 16;
const RESULT: &str = "result";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn run(qemu: &Path, bench: &Bench, cases: &[Case]) -> Vec<Outcome> {
    let record = HEAD + bench.state_len();
    let chunks = cases.chunks(ROOM / record);
    chunks
        .flat_map(|chunk| run_chunk(qemu, bench, chunk))
        .collect()
}

fn run_chunk(qemu: &Path, bench: &Bench, cases: &[Case]) -> Vec<Outcome> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let records: Vec<u8> = cases.iter().flat_map(record).collect();
    let driver = driver(bench, cases.len(), records.len());
    // Word 1 is where the processor starts.
    let mut text = bench.text().to_vec();
    text[4..8].copy_from_slice(&(DRIVER | 1).to_le_bytes());
    let files = [
        ("text", 0, &text),
        ("driver", DRIVER, &driver.bytes),
        ("records", RECORDS, &records),
    ];
    let mut command = Command::new(qemu);
    command.args("-machine mps2-an386 -display none -monitor none -serial none".split(' '));
    command.args("-semihosting-config enable=on,target=native".split(' '));
    for (name, addr, bytes) in files {
        std::fs::write(directory.path().join(name), bytes).expect("a writable directory");
        let loader = format!("loader,file={name},addr={addr:#x},force-raw=on");
        command.args(["-device", &loader]);
    }
    command.current_dir(directory.path()).stdin(Stdio::null());
    wait(command.spawn().expect("QEMU starts"));
    let result = std::fs::read(directory.path().join(RESULT)).expect("QEMU leaves a result");
    assert_eq!(result.len(), records.len(), "QEMU leaves all records");
    let results = result.chunks_exact(HEAD + bench.state_len());
    results.map(outcome).collect()
}

fn record(case: &Case) -> Vec<u8> {
    let head = [case.entry | 1, case.argument, 0, 0];
    let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(&case.state);
    bytes
}

fn outcome(record: &[u8]) -> Outcome {
    Outcome {
        state: record[HEAD..].to_vec(),
        sent: u32::from_le_bytes([record[8], record[9], record[10], record[11]]),
    }
}

/// Waits, but not for ever: a handler that faults ends in an endless loop.
fn wait(mut qemu: Child) {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = qemu.try_wait().expect("QEMU can be waited for") {
            assert!(status.success(), "QEMU ends with {status}");
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    qemu.kill().expect("QEMU can be ended");
    qemu.wait().expect("QEMU ends");
    panic!("a handler does not return in QEMU");
}

fn driver(bench: &Bench, cases: usize, bytes: usize) -> Program {
    let mut asm = Assembler::new();
    let (put, take) = (asm.label(), asm.label());
    switch_fpu_on(&mut asm, bench);
    asm.mov_const(R8, RECORDS);
    asm.mov_const(R9, u32::try_from(cases).expect("few cases"));
    let again = asm.here();
    windows(&mut asm, &bench.windows, put);
    asm.emit(Inst::ldr(R3, Addr::at(R8)));
    asm.emit(Inst::ldr(R0, Addr::Offset(R8, 4)));
    asm.emit(Inst::Blx { rm: R3 });
    asm.emit(Inst::vstr(SReg::S0, R8, 8));
    windows(&mut asm, &bench.windows, take);
    asm.emit(Inst::mov(R8, R10));
    asm.emit(Inst::subs(R9, R9, 1));
    asm.b_if(Cond::Ne, again);
    save(&mut asm, u32::try_from(bytes).expect("records have room"));
    copy_words(&mut asm, put, R10, R1);
    copy_words(&mut asm, take, R1, R10);
    asm.finish(DRIVER).expect("the driver assembles")
}

fn switch_fpu_on(asm: &mut Assembler, bench: &Bench) {
    asm.mov_const(R0, bench.target.memory.system_control.base + 0xD88);
    asm.mov_const(R1, 0x00F0_0000);
    asm.emit(Inst::str(R1, Addr::at(R0)));
    asm.emit(Inst::Barrier { op: BarrierOp::Dsb });
    asm.emit(Inst::Barrier { op: BarrierOp::Isb });
}

fn windows(asm: &mut Assembler, windows: &[Window], copy: Label) {
    asm.emit(Inst::add(R10, R8, HEAD as u32));
    for window in windows {
        asm.mov_const(R1, window.addr);
        asm.mov_const(R2, window.len / 4);
        asm.bl(copy);
    }
}

/// A function that copies r2 words and moves both pointers on.
fn copy_words(asm: &mut Assembler, label: Label, from: Reg, to: Reg) {
    asm.bind(label);
    let again = asm.here();
    asm.emit(Inst::ldr(R3, Addr::Post(from, 4)));
    asm.emit(Inst::str(R3, Addr::Post(to, 4)));
    asm.emit(Inst::subs(R2, R2, 1));
    asm.b_if(Cond::Ne, again);
    asm.emit(Inst::ret());
}

/// Semihosting: opens a file, writes the records into it, closes it and ends the simulation.
fn save(asm: &mut Assembler, bytes: u32) {
    const OPEN: u32 = 1;
    const CLOSE: u32 = 2;
    const WRITE: u32 = 5;
    const EXIT: u32 = 0x18;
    let (open, write, name) = (asm.label(), asm.label(), asm.label());
    let service = |asm: &mut Assembler, number: u32| {
        asm.emit(Inst::mov(R0, number));
        asm.emit(Inst::Bkpt { imm: 0xAB });
    };
    asm.ldr_address(R1, open);
    service(asm, OPEN);
    asm.ldr_address(R1, write);
    asm.emit(Inst::str(R0, Addr::at(R1)));
    service(asm, WRITE);
    asm.ldr_address(R1, write);
    service(asm, CLOSE);
    asm.mov_const(R1, 0x2_0026);
    service(asm, EXIT);
    let forever = asm.here();
    asm.b(forever);
    asm.place_pool();
    asm.align(4);
    asm.bind(open);
    asm.word_of(name);
    asm.word(5); // write binary
    asm.word(RESULT.len() as u32);
    asm.bind(write);
    asm.word(0); // the file
    asm.word(RECORDS);
    asm.word(bytes);
    asm.bind(name);
    asm.bytes(RESULT.as_bytes());
    asm.bytes(&[0, 0]);
    asm.align(4);
}

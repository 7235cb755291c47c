//! The assembler against the GNU tools.

mod common;

use std::fmt::Write as _;

use common::{arg, catalogue, run};
use nirc_spinnaker2::thumb::*;

/// A program of the whole catalogue, each instruction alone and then in IT blocks.
fn everything() -> Program {
    let mut asm = Assembler::new();
    let code = asm.label();
    asm.function("code", code);
    let all = catalogue();
    asm.emit_all(all.iter().copied());
    let mut cond = Cond::ALL.iter().copied().cycle();
    for inst in all {
        let Some(cond) = cond.next() else {
            return asm.finish(0).unwrap();
        };
        if conditional(&inst, cond) {
            asm.emit_if(cond, inst);
        }
    }
    asm.finish(0).expect("the catalogue has an encoding")
}

/// Whether an instruction may stand in an IT block and has a text there that says so.
fn conditional(inst: &Inst, cond: Cond) -> bool {
    inst.encode_in(Some(cond)).is_ok()
        && !matches!(
            inst,
            Inst::Bkpt { .. } | Inst::Barrier { .. } | Inst::Udf { .. }
        )
}

/// Address and instruction of each line of objdump's output, as `mnemonic\toperands`.
fn objdump_lines(text: &str) -> Vec<(u32, String)> {
    text.lines()
        .filter_map(|line| {
            let (addr, rest) = line.split_once(":\t")?;
            let addr = u32::from_str_radix(addr.trim(), 16).ok()?;
            let (_, text) = rest.split_once('\t')?;
            Some((addr, text.trim_end().to_string()))
        })
        .collect()
}

/// An assembler source that holds exactly these bytes.
fn raw_source(program: &Program) -> String {
    let mut source = String::from(
        ".syntax unified\n.cpu cortex-m4\n.fpu fpv4-sp-d16\n.thumb\n.thumb_func\n.type code,%function\ncode:\n",
    );
    for line in &program.listing {
        let halves: Vec<String> = line
            .bytes
            .chunks(2)
            .map(|b| format!("{:02x}{:02x}", b[1], b[0]))
            .collect();
        let width = if halves.len() == 1 { 'n' } else { 'w' };
        writeln!(source, ".inst.{width} 0x{}", halves.concat()).unwrap();
    }
    source
}

#[test]
fn objdump_prints_the_same_text() {
    let program = everything();
    let dir = tempfile::tempdir().unwrap();
    let (source, object) = (dir.path().join("a.s"), dir.path().join("a.o"));
    std::fs::write(&source, raw_source(&program)).unwrap();
    if run("arm-none-eabi-as", &["-o", arg(&object), arg(&source)]).is_none() {
        return;
    }
    let Some(dump) = run("arm-none-eabi-objdump", &["-d", arg(&object)]) else {
        return;
    };
    let theirs = objdump_lines(&dump);
    let mut wrong = String::new();
    let mut count = 0;
    for (line, (addr, text)) in program.listing.iter().zip(&theirs) {
        if line.addr != *addr || line.text != *text {
            count += 1;
            if count < 60 {
                writeln!(
                    wrong,
                    "{:x}: {:?}\n{addr:x}: {text:?}",
                    line.addr, line.text
                )
                .unwrap();
            }
        }
    }
    assert_eq!(program.listing.len(), theirs.len());
    assert!(
        wrong.is_empty(),
        "{count} of {} lines differ:\n{wrong}",
        theirs.len()
    );
}

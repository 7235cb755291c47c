//! Encodings and texts against the GNU tools, a recording of theirs, and an independent decoder.

mod common;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::Path;

use common::{arg, catalogue, run};
use nirc_spinnaker2::thumb::*;

/// Instructions in a row, each alone and then, where it may be, in an IT block.
fn program_of(insts: &[Inst]) -> Program {
    let mut asm = Assembler::new();
    let code = asm.label();
    asm.function("code", code);
    asm.emit_all(insts.iter().copied());
    let mut conds = Cond::ALL.iter().copied().cycle();
    for &inst in insts {
        if let Some(cond) = conds.next()
            && conditional(&inst, cond)
        {
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

/// The first few instructions of each mnemonic: what the recording holds.
fn sample() -> Vec<Inst> {
    let mut seen: HashMap<(String, usize), u32> = HashMap::new();
    let mut all = catalogue();
    all.retain(|inst| {
        let text = inst.to_string();
        let (name, operands) = text.split_once('\t').unwrap_or((&text, ""));
        // Forms of operands count apart: registers, constants, addresses, shifts.
        let form = operands
            .bytes()
            .filter(|byte| b",#[{!@".contains(byte))
            .count();
        let count = seen.entry((name.to_string(), form)).or_default();
        *count += 1;
        *count <= 3
    });
    all
}

/// The disassembly of exactly these bytes by objdump: a text for each address.
fn objdump(program: &Program) -> Option<Vec<(u32, String)>> {
    let mut source = String::from(
        ".syntax unified\n.cpu cortex-m4\n.fpu fpv4-sp-d16\n.thumb\n.thumb_func\n.type code,%function\ncode:\n",
    );
    for line in &program.listing {
        let halves = halfwords(line);
        let width = if halves.len() == 4 { 'n' } else { 'w' };
        writeln!(source, ".inst.{width} 0x{halves}").ok()?;
    }
    let dir = tempfile::tempdir().expect("a directory for the tools");
    let object = assemble(&source, dir.path())?;
    let dump = run("arm-none-eabi-objdump", &["-d", &object])?;
    let lines = dump.lines().filter_map(|line| {
        let (addr, rest) = line.split_once(":\t")?;
        let addr = u32::from_str_radix(addr.trim(), 16).ok()?;
        let (_, text) = rest.split_once('\t')?;
        Some((addr, text.trim_end().to_string()))
    });
    Some(lines.collect())
}

/// Assembles with the GNU assembler; the path of the object file.
fn assemble(source: &str, dir: &Path) -> Option<String> {
    let (input, object) = (dir.join("a.s"), dir.join("a.o"));
    std::fs::write(&input, source).expect("the source can be written");
    run("arm-none-eabi-as", &["-o", arg(&object), arg(&input)])?;
    Some(arg(&object).to_string())
}

/// The halfwords of a line, as digits.
fn halfwords(line: &ListingLine) -> String {
    line.bytes
        .chunks(2)
        .map(|half| format!("{:02x}{:02x}", half[1], half[0]))
        .collect()
}

/// Fails with the first differences between what is there and what should be.
fn compare(name: &str, pairs: impl Iterator<Item = (String, String)>) {
    let wrong: Vec<_> = pairs.filter(|(ours, theirs)| ours != theirs).collect();
    let shown: String = wrong
        .iter()
        .take(40)
        .map(|(ours, theirs)| format!("ours   {ours:?}\ntheirs {theirs:?}\n"))
        .collect();
    assert!(
        wrong.is_empty(),
        "{} differ from {name}:\n{shown}",
        wrong.len()
    );
}

#[test]
fn objdump_prints_the_same_text() {
    let program = program_of(&catalogue());
    let Some(theirs) = objdump(&program) else {
        return;
    };
    assert_eq!(program.listing.len(), theirs.len());
    compare(
        "objdump",
        program
            .listing
            .iter()
            .zip(theirs)
            .map(|(line, (addr, text))| {
                (
                    format!("{:x} {}", line.addr, line.text),
                    format!("{addr:x} {text}"),
                )
            }),
    );
}

/// The same without the tool: its texts for a sample, recorded (`NIRC_BLESS=1` records anew).
#[test]
fn texts_are_those_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/thumb.txt");
    let program = program_of(&sample());
    if std::env::var_os("NIRC_BLESS").is_some() {
        let theirs = objdump(&program).expect("objdump is needed to record");
        let lines: String = program
            .listing
            .iter()
            .zip(theirs)
            .map(|(line, (_, text))| format!("{}\t{text}\n", halfwords(line)))
            .collect();
        std::fs::create_dir_all(path.parent().expect("it has a directory")).expect("writable");
        std::fs::write(&path, lines).expect("the recording can be written");
    }
    let recorded = std::fs::read_to_string(&path).expect("the recording is committed");
    let ours = program
        .listing
        .iter()
        .map(|line| format!("{}\t{}", halfwords(line), line.text));
    assert_eq!(program.listing.len(), recorded.lines().count());
    compare(
        "the recording",
        ours.zip(recorded.lines().map(String::from)),
    );
}

/// Our text, given to the GNU assembler, becomes our bytes: the encoding chosen is the one it chooses.
#[test]
fn the_gnu_assembler_chooses_the_same_encodings() {
    let mut insts = catalogue();
    insts.retain(|inst| {
        !matches!(
            inst,
            // Texts that are no source: absolute targets, the raw code of a float constant, an alias of the flags.
            Inst::B { .. }
                | Inst::Bl { .. }
                | Inst::Cbz { .. }
                | Inst::FMoveImm { .. }
                | Inst::Mrs { sys: SysReg::Apsr, .. }
                | Inst::Msr { sys: SysReg::Apsr, .. }
                // objdump leaves out that the base moves, by nothing.
                | Inst::LoadPair { addr: Addr::Pre(_, 0), .. }
                | Inst::StorePair { addr: Addr::Pre(_, 0), .. }
        )
    });
    let program = program_of(&insts);
    let mut source = String::from(".syntax unified\n.cpu cortex-m4\n.fpu fpv4-sp-d16\n.thumb\n");
    for line in &program.listing {
        let text = line.text.split("\t@").next().unwrap_or_default();
        writeln!(source, "{text}").expect("a string can be written");
    }
    let dir = tempfile::tempdir().expect("a directory for the tools");
    let Some(object) = assemble(&source, dir.path()) else {
        return;
    };
    let binary = dir.path().join("a.bin");
    let copy = ["-O", "binary", "-j", ".text", &object, arg(&binary)];
    if run("arm-none-eabi-objcopy", &copy).is_none() {
        return;
    }
    let theirs = std::fs::read(&binary).expect("objcopy has written it");
    let pairs = program.listing.iter().map(|line| {
        let start = line.addr as usize;
        let end = start + line.bytes.len();
        let bytes = theirs.get(start..end).unwrap_or_default();
        (
            format!("{} {:02x?}", line.text, line.bytes),
            format!("{} {bytes:02x?}", line.text),
        )
    });
    compare("the GNU assembler", pairs);
    assert_eq!(theirs.len(), program.bytes.len());
}

/// An independent decoder reads every instruction, finds its length, encodes it to the same bits again, and where it
/// spells the instruction as objdump does, finds the same operands.
#[test]
fn an_independent_decoder_reads_the_same() {
    use thumb_asm::isa;
    let mut pairs = Vec::new();
    for inst in catalogue() {
        let code = inst.encode().expect("the catalogue has an encoding");
        let mut halves = code.halfwords();
        let (first, second) = (halves.next().unwrap_or(0), halves.next().unwrap_or(0));
        let Some(decoded) = isa::decode_halfwords(first, second, 0, isa::Target::V7EM) else {
            panic!("{inst} is {code:x?}, which it does not know");
        };
        assert_eq!(decoded.len() as u32, code.size(), "{inst}");
        assert_eq!(isa::encode(&decoded), Some((first, second)), "{inst}");
        match inst {
            Inst::B { offset, .. } | Inst::Bl { offset } | Inst::Cbz { offset, .. } => {
                let target = 4_u32.wrapping_add_signed(offset);
                assert_eq!(decoded.branch_target(), Some(target), "{inst}");
            }
            Inst::FMoveImm { sd, imm } => {
                let text = format!("vmov.f32 {sd} {:?}", imm.value());
                pairs.push((text, plain(&decoded.to_string())));
            }
            _ if spelled_alike(&inst) => {
                pairs.push((plain(&inst.to_string()), plain(&decoded.to_string())));
            }
            _ => {}
        }
    }
    assert!(pairs.len() > 10_000, "{}", pairs.len());
    compare("the decoder", pairs.into_iter());
}

/// Whether both texts show the same operands in the same order.
fn spelled_alike(inst: &Inst) -> bool {
    match *inst {
        Inst::Load { addr, .. }
        | Inst::Store { addr, .. }
        | Inst::LoadPair { addr, .. }
        | Inst::StorePair { addr, .. } => !matches!(
            addr,
            Addr::Offset(_, 0) | Addr::Pre(_, 0) | Addr::Pre(Reg::Sp, _)
        ),
        Inst::Alu { op, rn, src, .. } => {
            let negates = op == AluOp::Rsb && src == Src::Imm(0);
            let adds_sp = rn == Reg::Sp || src == Src::from(Reg::Sp);
            !negates && !adds_sp
        }
        Inst::Move { src, .. } => !matches!(src, Src::Reg(_, Shift::Rrx)),
        Inst::Mul { s, .. } => !s,
        // Lists as ranges, literals as targets, other names for the flags.
        Inst::LoadMany { .. }
        | Inst::StoreMany { .. }
        | Inst::Push { .. }
        | Inst::Pop { .. }
        | Inst::Adr { .. }
        | Inst::LoadLiteral { .. }
        | Inst::FLoadLiteral { .. }
        | Inst::Mrs { .. }
        | Inst::Msr { .. }
        | Inst::FFlags => false,
        _ => true,
    }
}

/// A text without what is a matter of taste: marks of length, names of registers, hexadecimal.
fn plain(text: &str) -> String {
    let text = text.split("\t@").next().unwrap_or_default();
    let text = text.replace(['\t', ',', '#', '[', ']', '{', '}'], " ");
    let words = text.split_whitespace().map(|word| {
        let word = word.trim_end_matches(".w");
        let hex = word
            .strip_prefix("0x")
            .map(|digits| u64::from_str_radix(digits, 16));
        match (word, hex) {
            (_, Some(Ok(number))) => number.to_string(),
            ("sl", _) => "r10".into(),
            ("fp", _) => "r11".into(),
            ("ip", _) => "r12".into(),
            _ => word.to_string(),
        }
    });
    let words: Vec<String> = words.collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // A shift may be called a move.
        [name @ ("mov" | "movs"), rd, rm, shift, by] => {
            format!("{shift}{} {rd} {rm} {by}", &name[3..])
        }
        _ => words.join(" "),
    }
}

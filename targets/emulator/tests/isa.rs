//! Instruction by instruction: assembled bytes, state before, state after (`isa/cases.txt`).

use nirc_emulator::{FaultKind, Machine, MachineError};

const CODE: u32 = 0x100;

struct Case<'a> {
    line: usize,
    asm: &'a str,
    code: Vec<u8>,
    before: Vec<(&'a str, &'a str)>,
    after: Vec<(&'a str, &'a str)>,
}

fn cases() -> Vec<Case<'static>> {
    let pairs = |text: &'static str| {
        text.split_whitespace()
            .map(|p| p.split_once('=').expect("name=value"))
            .collect()
    };
    include_str!("isa/cases.txt")
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(i, line)| {
            let fields: Vec<&str> = line.split('|').collect();
            let [asm, code, before, after] = fields[..] else {
                panic!("line {}: four fields", i + 1)
            };
            let halves = code
                .split_whitespace()
                .map(|h| u16::from_str_radix(h, 16).expect("halfword"));
            let code = halves.chain([0x4770]).flat_map(u16::to_le_bytes).collect();
            Case {
                line: i + 1,
                asm: asm.trim(),
                code,
                before: pairs(before),
                after: pairs(after),
            }
        })
        .collect()
}

/// A hexadecimal or decimal integer, or the bits of a float (with a point).
fn value(text: &str) -> u32 {
    if let Some(hex) = text.strip_prefix("0x") {
        u32::from_str_radix(hex, 16).expect("hexadecimal")
    } else if text.contains('.') {
        text.parse::<f32>().expect("float").to_bits()
    } else {
        text.parse().expect("decimal")
    }
}

fn nzcv(text: &str) -> u32 {
    u32::from_str_radix(text, 2).expect("four flags") << 28
}

fn set(machine: &mut Machine, name: &str, text: &str) {
    match name.split_at(1) {
        ("r", n) => machine.set_r(n.parse().expect("register"), value(text)),
        ("s", n) => machine.set_s(n.parse().expect("register"), value(text)),
        ("m", at) => {
            let at = u32::from_str_radix(at, 16).expect("address");
            machine
                .write(at, &value(text).to_le_bytes())
                .expect("memory");
        }
        ("n", _) => machine.set_apsr(nzcv(text)),
        ("f", _) => machine.set_fpu_enabled(value(text) != 0),
        _ => panic!("unknown {name}"),
    }
}

fn get(machine: &Machine, name: &str, text: &str) -> (u32, u32) {
    match name.split_at(1) {
        ("r", n) => (machine.r(n.parse().expect("register")), value(text)),
        ("s", n) => (machine.s(n.parse().expect("register")), value(text)),
        ("m", at) => (
            machine
                .read_u32(u32::from_str_radix(at, 16).expect("address"))
                .expect("memory"),
            value(text),
        ),
        ("n", _) => (machine.apsr() & 0xf000_0000, nzcv(text)),
        ("q", _) => (machine.apsr() >> 27 & 1, value(text)),
        _ => panic!("unknown {name}"),
    }
}

fn kind_name(kind: FaultKind) -> String {
    let debug = format!("{kind:?}");
    debug
        .split([' ', '('])
        .next()
        .unwrap_or_default()
        .to_owned()
}

/// How the code is run: as a function, or an instruction at a time. Both must agree.
fn run(machine: &mut Machine, stepping: bool) -> Result<(), MachineError> {
    if !stepping {
        return machine.call(CODE, 1000).map(|_| ());
    }
    machine.set_r(14, 0xdfff_ffff);
    machine.start_at(CODE);
    for _ in 0..1000 {
        if machine.step()? {
            return Ok(());
        }
    }
    panic!("does not return");
}

fn check(case: &Case<'_>, stepping: bool) -> Vec<String> {
    let mut machine = Machine::new(CODE, &case.code).expect("code fits");
    for (name, text) in &case.before {
        set(&mut machine, name, text);
    }
    let result = run(&mut machine, stepping);
    let fault = case.after.iter().find(|(name, _)| *name == "fault");
    let problem = match (result, fault) {
        (Ok(()), None) => None,
        (Err(MachineError::Fault(f)), Some((_, kind))) if kind_name(f.kind) == **kind => {
            let outside = f.kind == FaultKind::ExecuteOutsideCode;
            (f.pc != CODE && !outside).then(|| format!("fault at {:#x}", f.pc))
        }
        (result, expected) => Some(format!("{result:?} instead of {expected:?}")),
    };
    let compare = |(name, text): &(&str, &str)| {
        let (found, expected) = get(&machine, name, text);
        (found != expected).then(|| format!("{name} is {found:#010x}, expected {expected:#010x}"))
    };
    let differences = case
        .after
        .iter()
        .filter(|(name, _)| *name != "fault")
        .filter_map(compare);
    let at = |p| {
        format!(
            "line {} ({}){}: {p}",
            case.line,
            case.asm,
            if stepping { ", stepping" } else { "" }
        )
    };
    problem.into_iter().chain(differences).map(at).collect()
}

#[test]
fn instructions() {
    let cases = cases();
    assert!(cases.len() > 200);
    let problems: Vec<String> = cases
        .iter()
        .flat_map(|c| [check(c, false), check(c, true)])
        .flatten()
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The bytes in the file are those of GNU as, where that is installed.
#[test]
fn bytes_are_the_assemblers() {
    let dir = std::env::temp_dir().join(format!("nirc-emulator-isa-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("temporary directory");
    let run = |program: &str, args: &[&str]| {
        std::process::Command::new(program)
            .args(args)
            .current_dir(&dir)
            .output()
            .map(|output| output.status)
    };
    if !matches!(run("arm-none-eabi-as", &["--version"]), Ok(status) if status.success()) {
        nirc_tests::tools::skip("arm-none-eabi-as is not installed");
        return;
    }
    let mut source = ".syntax unified\n.thumb\n".to_owned();
    let mut expected = Vec::new();
    for case in cases() {
        let target = if case.asm.contains(".f64") {
            "cortex-m7\n.fpu fpv5-d16"
        } else {
            "cortex-m4\n.fpu fpv4-sp-d16"
        };
        source += &format!(
            ".balign 64, 0\n.cpu {target}\n{}\nbx lr\n",
            case.asm.replace(';', "\n")
        );
        expected.resize(expected.len().next_multiple_of(64), 0);
        expected.extend(case.code);
    }
    std::fs::write(dir.join("cases.s"), source).expect("source");
    assert!(
        run("arm-none-eabi-as", &["cases.s", "-o", "cases.o"])
            .expect("as")
            .success()
    );
    let copy = ["-O", "binary", "-j", ".text", "cases.o", "cases.bin"];
    assert!(
        run("arm-none-eabi-objcopy", &copy)
            .expect("objcopy")
            .success()
    );
    let found = std::fs::read(dir.join("cases.bin")).expect("output");
    std::fs::remove_dir_all(&dir).expect("remove");
    // The section's end is padded.
    let found = &found[..expected.len()];
    for (i, (found, expected)) in found.chunks(64).zip(expected.chunks(64)).enumerate() {
        assert_eq!(found, expected, "case {i}");
    }
}

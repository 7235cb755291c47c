//! Every image before binutils and gdb.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use nirc_spinnaker2::codegen::{Firmware, compile};
use nirc_spinnaker2::mapping::Pacing;
use nirc_spinnaker2::target::Target;
use nirc_tests::tools::oracle;
use tempfile::TempDir;

use crate::programs;

/// The firmware of every PE of every program, and a file of it.
fn images() -> (TempDir, Vec<(Firmware, PathBuf)>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let target = Target::spinnaker2();
    let mut images = Vec::new();
    for (name, program) in programs::all() {
        for group in programs::groups(&program) {
            let firmware = compile(&program, &group, &target, Pacing::whole(&program))
                .unwrap_or_else(|e| panic!("{e}"));
            let path = directory
                .path()
                .join(format!("{name}.{}.elf", firmware.name));
            let bytes = firmware.image.write().expect("the image can be written");
            std::fs::write(&path, bytes).expect("a writable directory");
            images.push((firmware, path));
        }
    }
    (directory, images)
}

/// Standard output and standard error of a tool.
fn output(tool: &Path, args: &[&str], image: &Path) -> (String, String) {
    let output = Command::new(tool)
        .args(args)
        .arg(image)
        .output()
        .expect("the tool starts");
    assert!(
        output.status.success(),
        "{tool:?} {args:?} {image:?}: {output:?}"
    );
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr))
}

#[test]
fn readelf_has_no_complaint() {
    let Some(readelf) = oracle("arm-none-eabi-readelf") else {
        return;
    };
    let (_directory, images) = images();
    for (_, path) in &images {
        let (text, complaints) = output(&readelf, &["-a", "-W"], path);
        assert_eq!(complaints, "", "{path:?}");
        assert!(!text.to_lowercase().contains("warning"), "{path:?}: {text}");
        assert!(text.contains("hard-float ABI"), "{path:?}: {text}");
    }
    println!("readelf: {} images", images.len());
}

#[test]
fn objdump_agrees_with_the_listing() {
    let Some(objdump) = oracle("arm-none-eabi-objdump") else {
        return;
    };
    let (_directory, images) = images();
    let (mut instructions, mut tables) = (0, 0);
    for (firmware, path) in &images {
        // Zeros too: objdump would leave them out.
        let (text, complaints) = output(&objdump, &["-d", "-z"], path);
        assert_eq!(complaints, "", "{path:?}");
        let theirs = Disassembly::parse(&text);
        for line in &firmware.program.listing {
            let found = (
                theirs.bytes(line.addr, line.bytes.len()),
                theirs.texts.get(&line.addr),
            );
            match found {
                // An object is shown as bytes only.
                (bytes, None) if line.text.starts_with('.') => {
                    assert_eq!(bytes, line.bytes, "{path:?}: {line:?}");
                    tables += 1;
                }
                (bytes, text) => {
                    assert_eq!(bytes, line.bytes, "{path:?}: {line:?}");
                    assert_eq!(text, Some(&line.text), "{path:?}: {line:?}");
                    instructions += 1;
                }
            }
        }
        assert_eq!(
            theirs.bytes.len(),
            firmware.program.bytes.len(),
            "{path:?}: no byte more"
        );
        let listed: BTreeSet<u32> = firmware
            .program
            .listing
            .iter()
            .map(|line| line.addr)
            .collect();
        assert!(
            theirs.texts.keys().all(|addr| listed.contains(addr)),
            "{path:?}: no line more"
        );
    }
    println!(
        "objdump: {} images, {instructions} lines, {tables} words of tables",
        images.len()
    );
}

/// What objdump says of a program: its bytes, and the texts of instructions and constants.
#[derive(Default)]
struct Disassembly {
    bytes: BTreeMap<u32, u8>,
    texts: BTreeMap<u32, String>,
}

impl Disassembly {
    fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let Some((addr, rest)) = line.split_once(":\t") else {
                continue;
            };
            let addr = u32::from_str_radix(addr.trim(), 16).expect("an address");
            // Code and text stand apart by a tab, the bytes of an object and their characters by blanks.
            let code = match rest.split_once('\t') {
                Some((code, text)) => {
                    assert_eq!(
                        all.texts.insert(addr, text.to_owned()),
                        None,
                        "{line} comes once"
                    );
                    code
                }
                None => rest.split("    ").next().unwrap_or_default(),
            };
            let bytes = code.split_whitespace().flat_map(|unit| {
                let number = u32::from_str_radix(unit, 16).expect("a number");
                number.to_le_bytes().into_iter().take(unit.len() / 2)
            });
            all.bytes.extend((addr..).zip(bytes));
        }
        all
    }

    fn bytes(&self, addr: u32, len: usize) -> Vec<u8> {
        self.bytes
            .range(addr..addr + len as u32)
            .map(|(_, byte)| *byte)
            .collect()
    }
}

#[test]
fn gdb_shows_the_symbols() {
    let Some(gdb) = oracle("gdb-multiarch") else {
        return;
    };
    let (_directory, images) = images();
    let mut seen = 0;
    for (firmware, path) in &images {
        let symbols = &firmware.image.symbols;
        let questions: Vec<String> = symbols
            .iter()
            .map(|s| format!("info address {}", s.name))
            .collect();
        // Otherwise gdb takes some dots for another language's.
        let mut args = vec!["-nx", "-batch", "-ex", "set print demangle off"];
        let lists = ["info functions", "info variables"];
        let commands = lists
            .into_iter()
            .chain(questions.iter().map(String::as_str));
        args.extend(commands.flat_map(|command| ["-ex", command]));
        let (text, complaints) = output(&gdb, &args, path);
        assert_eq!(complaints, "", "{path:?}");
        let lines: BTreeSet<&str> = text.lines().collect();
        for symbol in symbols {
            let listed = format!("0x{:08x}  {}", symbol.addr, symbol.name);
            assert!(
                lines.contains(&*listed),
                "{path:?}: `{listed}` is not in\n{text}"
            );
            let place = format!("Symbol \"{}\" is at {:#x} ", symbol.name, symbol.addr);
            let found = lines
                .range(&*place..)
                .next()
                .is_some_and(|line| line.starts_with(&place));
            assert!(found, "{path:?}: `{place}` is not in\n{text}");
        }
        seen += symbols.len();
    }
    println!("gdb: {} images, {seen} symbols", images.len());
}

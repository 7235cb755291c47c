//! Firmware images: what the GNU tools make of them, and what the reader refuses.

mod common;

use common::{arg, run};
use nirc_spinnaker2::elf::{Block, ElfError, Image, Range, Section};
use nirc_spinnaker2::thumb::{Addr, Assembler, Cond, Inst, Mapping, MappingKind, Reg, SReg};

/// A small firmware: vectors, reset handler with a literal, a loop, one object in each section.
fn firmware() -> Image {
    let mut asm = Assembler::new();
    let (vectors, reset, idle) = (asm.label(), asm.label(), asm.label());
    asm.object("vectors", vectors);
    asm.word(0x20000);
    asm.entry_of(reset);
    asm.function("reset", reset);
    asm.annotate("start");
    asm.ldr_const(Reg::R0, 0x1234_5678);
    asm.vldr_const(SReg::S0, 0.1);
    asm.emit(Inst::str(Reg::R0, Addr::at(Reg::R1)));
    asm.bl(idle);
    asm.function("idle", idle);
    let again = asm.here();
    asm.emit(Inst::subs(Reg::R0, Reg::R0, 1));
    asm.b_if(Cond::Ne, again);
    asm.emit(Inst::ret());
    let program = asm.finish(0).expect("it assembles");
    let entry = program.addr(reset).expect("reset is bound") | 1;
    let mut image = Image::new(&program, entry);
    image.rodata = Block {
        addr: 0x400,
        bytes: vec![1, 2, 3, 4, 5],
    };
    image.data = Block {
        addr: 0x8000,
        bytes: vec![9; 12],
    };
    image.bss = Range {
        addr: 0x800c,
        size: 0x100,
    };
    image.object(Section::Rodata, "table", 0x400, 5);
    image.object(Section::Data, "hidden.weights", 0x8000, 12);
    image.object(Section::Bss, "hidden.v", 0x8010, 0x40);
    image
}

#[test]
fn what_is_written_is_read_back() {
    let image = firmware();
    let file = image.write().expect("it is a right image");
    assert_eq!(Image::parse(&file), Ok(image.clone()));
    assert_eq!(firmware().write(), Ok(file));
    assert_eq!(image.stack_pointer(), Some(0x20000));
    assert_eq!(
        image.symbol_at(0x8012).map(|s| s.name.as_str()),
        Some("hidden.v")
    );
    assert_eq!(image.symbol("reset").map(|s| s.addr), Some(8));

    // Without data, bss and constants.
    let mut bare = image;
    bare.rodata = Block::default();
    bare.data = Block::default();
    bare.bss = Range::default();
    bare.symbols
        .retain(|symbol| symbol.section == Section::Text);
    let file = bare.write().expect("it is a right image");
    assert_eq!(Image::parse(&file), Ok(bare));
}

#[test]
fn readelf_has_nothing_to_complain_of() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.elf");
    std::fs::write(&path, firmware().write().unwrap()).unwrap();
    let Some(text) = run("arm-none-eabi-readelf", &["-aW", arg(&path)]) else {
        return;
    };
    let lower = text.to_lowercase();
    assert!(
        !lower.contains("warning") && !lower.contains("error"),
        "{text}"
    );
    for expected in [
        "EXEC (Executable file)",
        "0x5000400, Version5 EABI, hard-float ABI",
        "Entry point address:               0x9",
        "Tag_CPU_name: \"Cortex-M4\"",
        "Tag_CPU_arch: v7E-M",
        "Tag_CPU_arch_profile: Microcontroller",
        "Tag_THUMB_ISA_use: Thumb-2",
        "Tag_FP_arch: VFPv4-D16",
        "Tag_ABI_HardFP_use: SP only",
        "Tag_ABI_VFP_args: VFP registers",
        "hidden.weights",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
}

#[test]
fn objdump_disassembles_it_as_listed() {
    let image = firmware();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.elf");
    std::fs::write(&path, image.write().unwrap()).unwrap();
    let Some(text) = run("arm-none-eabi-objdump", &["-d", arg(&path)]) else {
        return;
    };
    for expected in [
        "00000008 <reset>:",
        "ldr\tr0, [pc, #12]\t@ (18 <reset+0x10>)",
        "vldr\ts0, [pc, #16]\t@ 1c <reset+0x14>",
        "bl\t20 <idle>",
        ".word\t0x12345678",
        ".word\t0x3dcccccd",
        "00000020 <idle>:",
        "bne.n\t20 <idle>",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
}

#[test]
fn gdb_finds_its_symbols() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware.elf");
    std::fs::write(&path, firmware().write().unwrap()).unwrap();
    let commands = [
        "-nx",
        "-batch",
        "-ex",
        "info symbol 0xa",
        "-ex",
        "info address hidden.v",
        "-ex",
        "info line *0x20",
        "-ex",
        "x/2i 0x20",
        "-ex",
        "x/1wx 0x8000",
        arg(&path),
    ];
    let Some(text) = run("gdb-multiarch", &commands) else {
        return;
    };
    for expected in [
        "reset + 2 in section .text",
        "0x8010",
        "<idle>:\tsubs\tr0, #1",
        "0x09090909",
    ] {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
}

/// What writing says of the firmware after a change.
fn refused(change: impl FnOnce(&mut Image)) -> ElfError {
    let mut image = firmware();
    change(&mut image);
    image.write().expect_err("it should be refused")
}

#[test]
fn broken_images_are_not_written() {
    assert!(matches!(
        refused(|image| image.text.addr = 4),
        ElfError::Address { found: 4, .. }
    ));
    assert!(matches!(
        refused(|image| image.rodata.addr = 0x402),
        ElfError::Address { found: 0x402, .. }
    ));
    assert!(matches!(
        refused(|image| image.rodata.addr = 0x20),
        ElfError::Overlap { addr: 0x20, .. }
    ));
    assert!(matches!(
        refused(|image| image.bss.addr = 0x8004),
        ElfError::Overlap { .. }
    ));
    assert!(matches!(
        refused(|image| image.bss.size = u32::MAX),
        ElfError::TooLong { .. }
    ));
    assert!(matches!(
        refused(|image| image.entry = 8),
        ElfError::Entry { entry: 8, reset: 9 }
    ));
    assert!(matches!(
        refused(|image| image.text.bytes.truncate(6)),
        ElfError::NoVectors(6)
    ));
    assert!(matches!(
        refused(|image| image.object(Section::Data, "late", 0x8008, 8)),
        ElfError::SymbolOutside { .. }
    ));
    assert!(matches!(
        refused(|image| image.object(Section::Data, "reset", 0x8000, 4)),
        ElfError::SymbolTwice(_)
    ));
    assert!(matches!(
        refused(|image| image.object(Section::Data, "$x", 0x8000, 4)),
        ElfError::SymbolName(_)
    ));
    assert!(matches!(
        refused(|image| image.mapping.push(Mapping {
            addr: 0x4000,
            kind: MappingKind::Data
        })),
        ElfError::Mapping(0x4000)
    ));
}

/// No file, however mangled, makes the reader panic; whatever it accepts keeps the invariants.
#[test]
fn mangled_files_are_refused_or_right() {
    let file = firmware().write().expect("it is a right image");
    for length in 0..file.len() {
        if let Ok(image) = Image::parse(&file[..length]) {
            assert_eq!(image.check(), Ok(()), "cut to {length}");
        }
    }
    for position in 0..file.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut mangled = file.clone();
            mangled[position] ^= flip;
            if let Ok(image) = Image::parse(&mangled) {
                assert_eq!(image.check(), Ok(()), "{position} ^ {flip:x}");
            }
        }
    }
}

#[test]
fn foreign_files_are_refused_with_a_reason() {
    let file = firmware().write().expect("it is a right image");
    let changed = |position: usize, value: u8| {
        let mut file = file.clone();
        file[position] = value;
        Image::parse(&file)
            .expect_err("it should be refused")
            .to_string()
    };
    assert_eq!(changed(16, 1), "file type must be executable (2), but is 1");
    assert_eq!(changed(18, 3), "machine must be ARM (40), but is 3");
    assert_eq!(
        changed(37, 2),
        "flags must be 0x05000400 (EABI 5, hard floats), but is 0x05000200"
    );
    assert!(changed(0, 0).contains("not well-formed ELF"));
    assert!(changed(4, 2).contains("not well-formed ELF"));
    assert!(Image::parse(&[]).is_err());
}

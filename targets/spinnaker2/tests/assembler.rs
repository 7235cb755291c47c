//! Labels, branches that grow, literal pools, listings, and what the assembler refuses.

use nirc_spinnaker2::thumb::*;

/// A program of one function whose branches jump over a number of 16-bit instructions.
fn jump_over(halfwords: usize, jump: impl FnOnce(&mut Assembler, Label)) -> Program {
    let mut asm = Assembler::new();
    let to = asm.label();
    jump(&mut asm, to);
    for _ in 0..halfwords {
        asm.emit(Inst::NOP);
    }
    asm.bind(to);
    asm.emit(Inst::ret());
    let program = asm.finish(0x1000).expect("it assembles");
    assert_eq!(program.addr(to), Some(program.end() - 2));
    program
}

/// The first lines of a listing.
fn lines(program: &Program, count: usize) -> Vec<&str> {
    program
        .listing
        .iter()
        .take(count)
        .map(|line| line.text.as_str())
        .collect()
}

#[test]
fn branches_forward_grow_exactly_when_they_must() {
    let eq = |asm: &mut Assembler, to| asm.b_if(Cond::Eq, to);
    // The distance counts from the branch plus 4, so it is one halfword less than what lies between.
    assert_eq!(lines(&jump_over(128, eq), 1), ["beq.n\t1102"]);
    assert_eq!(lines(&jump_over(129, eq), 1), ["beq.w\t1106"]);
    let b = |asm: &mut Assembler, to| asm.b(to);
    assert_eq!(lines(&jump_over(1024, b), 1), ["b.n\t1802"]);
    assert_eq!(lines(&jump_over(1025, b), 1), ["b.w\t1806"]);
    let cbz = |asm: &mut Assembler, to| asm.cbz(Reg::R3, to);
    assert_eq!(lines(&jump_over(1, cbz), 1), ["cbz\tr3, 1004"]);
    assert_eq!(lines(&jump_over(64, cbz), 1), ["cbz\tr3, 1082"]);
    assert_eq!(
        lines(&jump_over(65, cbz), 2),
        ["cbnz\tr3, 1006", "b.w\t1088"]
    );
}

#[test]
fn a_test_for_zero_of_no_distance_grows_too() {
    // The short form reaches from 4 bytes behind its address on, so never the very next instruction.
    assert_eq!(
        lines(&jump_over(0, |asm, to| asm.cbnz(Reg::R0, to)), 2),
        ["cbz\tr0, 1006", "b.w\t1006"]
    );
}

#[test]
fn branches_backward_grow_exactly_when_they_must() {
    let loop_of = |halfwords: usize, jump: fn(&mut Assembler, Label)| {
        let mut asm = Assembler::new();
        let top = asm.here();
        for _ in 0..halfwords {
            asm.emit(Inst::NOP);
        }
        jump(&mut asm, top);
        let program = asm.finish(0).expect("it assembles");
        program.listing[halfwords].text.clone()
    };
    let ne = |asm: &mut Assembler, to| asm.b_if(Cond::Ne, to);
    assert_eq!(loop_of(126, ne), "bne.n\t0");
    assert_eq!(loop_of(127, ne), "bne.w\t0");
    let b = |asm: &mut Assembler, to| asm.b(to);
    assert_eq!(loop_of(1022, b), "b.n\t0");
    assert_eq!(loop_of(1023, b), "b.w\t0");
    let cbz = |asm: &mut Assembler, to| asm.cbz(Reg::R0, to);
    assert_eq!(loop_of(3, cbz), "cbnz\tr0, c");
}

#[test]
fn growth_of_one_branch_can_push_another_out_of_reach() {
    // Both branches just reach while short; the second one's growth moves the first one's target.
    let mut asm = Assembler::new();
    let (first, second) = (asm.label(), asm.label());
    asm.b_if(Cond::Eq, first);
    asm.b_if(Cond::Ne, second);
    for _ in 0..127 {
        asm.emit(Inst::NOP);
    }
    asm.bind(first);
    for _ in 0..2 {
        asm.emit(Inst::NOP);
    }
    asm.bind(second);
    asm.emit(Inst::ret());
    let program = asm.finish(0).expect("it assembles");
    assert_eq!(lines(&program, 2), ["beq.w\t106", "bne.w\t10a"]);
}

#[test]
fn calls_and_entries_resolve() {
    let mut asm = Assembler::new();
    let (table, main, leaf) = (asm.label(), asm.label(), asm.label());
    asm.object("vectors", table);
    asm.word(0x20000);
    asm.entry_of(main);
    asm.word_of(table);
    asm.function("main", main);
    asm.bl(leaf);
    asm.b(main);
    asm.function("leaf", leaf);
    asm.emit(Inst::ret());
    let program = asm.finish(0).expect("it assembles");
    assert_eq!(&program.bytes[4..12], [0x0d, 0, 0, 0, 0, 0, 0, 0]);
    let listed: Vec<_> = program
        .listing
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(
        listed,
        [
            ".word\t0x00020000",
            ".word\t0x0000000d",
            ".word\t0x00000000",
            "bl\t14 <leaf>",
            "b.n\tc <main>",
            "nop",
            "bx\tlr",
        ]
    );
    let main = program.symbol("main").expect("main is a symbol");
    assert_eq!(
        (main.addr, main.size, main.kind),
        (12, 8, SymbolKind::Function)
    );
    let kinds: Vec<_> = program.mapping.iter().map(|m| (m.addr, m.kind)).collect();
    assert_eq!(kinds, [(0, MappingKind::Data), (12, MappingKind::Thumb)]);
}

#[test]
fn constants_are_pooled_once_and_placed_behind_the_function() {
    let mut asm = Assembler::new();
    let (f, g) = (asm.label(), asm.label());
    asm.function("f", f);
    asm.ldr_const(Reg::R0, 0x3f80_0000);
    asm.vldr_const(SReg::S0, 1.0);
    asm.vldr_const(SReg::S1, -0.0);
    asm.vldr_const(SReg::S2, 0.0);
    asm.ldr_address(Reg::R8, g);
    asm.emit(Inst::ret());
    asm.function("g", g);
    asm.vldr_const(SReg::S0, 1.0);
    asm.emit(Inst::ret());
    let program = asm.finish(0).expect("it assembles");
    let words: Vec<_> = program
        .listing
        .iter()
        .filter(|line| line.text.starts_with(".word"))
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(
        words,
        [
            ".word\t0x3f800000",
            ".word\t0x80000000",
            ".word\t0x00000000",
            ".word\t0x00000024",
            ".word\t0x3f800000",
        ]
    );
    assert_eq!(
        lines(&program, 2),
        [
            "ldr\tr0, [pc, #16]\t@ (14 <f+0x14>)",
            "vldr\ts0, [pc, #16]\t@ 14 <f+0x14>",
        ]
    );
    assert_eq!(program.addr(g), Some(0x24));
}

#[test]
fn a_pool_out_of_reach_is_placed_earlier_and_led_around() {
    for (count, float) in [(600, true), (2200, false)] {
        let mut asm = Assembler::new();
        let f = asm.label();
        asm.function("f", f);
        if float {
            asm.vldr_const(SReg::S0, 0.3);
        } else {
            asm.ldr_const(Reg::R0, 0x1234_5678);
        }
        for _ in 0..count {
            asm.emit(Inst::NOP);
        }
        asm.emit(Inst::ret());
        let program = asm.finish(0).expect("it assembles");
        let pool = program
            .listing
            .iter()
            .position(|line| line.text.starts_with(".word"))
            .expect("there is a pool");
        let word = &program.listing[pool];
        let behind = word.addr + 4;
        let around = program.listing[..pool]
            .iter()
            .rev()
            .find(|line| !line.text.starts_with(".short"))
            .expect("something stands before it");
        assert_eq!(around.text, format!("b.n\t{behind:x} <f+0x{behind:x}>"));
        let reach = if float { 1024 } else { 4096 };
        assert!(
            word.addr < reach && word.addr > reach * 3 / 4,
            "{:x}",
            word.addr
        );
    }
}

#[test]
fn many_constants_stay_in_reach_of_their_loads() {
    let mut asm = Assembler::new();
    let f = asm.label();
    asm.function("f", f);
    for n in 0..2000_u32 {
        asm.vldr_const(SReg::S0, n as f32);
        if n % 3 == 0 {
            asm.emit_if(Cond::Eq, Inst::vadd(SReg::S1, SReg::S1, SReg::S0));
        }
        asm.ldr_const(Reg::R9, n.wrapping_mul(0x9e37_79b9));
    }
    asm.emit(Inst::ret());
    let program = asm.finish(0).expect("it assembles");
    // Each load finds the value it asked for.
    let word_at =
        |addr: usize| u32::from_le_bytes(program.bytes[addr..addr + 4].try_into().unwrap());
    let values = program.listing.iter().filter_map(|line| {
        let target = line.text.split_once("@ ")?.1;
        let addr = target.split_once(' ')?.0;
        let addr = usize::from_str_radix(addr, 16).ok()?;
        Some((line.text.starts_with('v'), word_at(addr)))
    });
    let expected = (0..2000_u32).flat_map(|n| {
        [
            (true, (n as f32).to_bits()),
            (false, n.wrapping_mul(0x9e37_79b9)),
        ]
    });
    assert!(values.eq(expected));
}

#[test]
fn pools_are_led_around_only_where_control_can_come() {
    let mut asm = Assembler::new();
    asm.ldr_const(Reg::R0, 0x1234_5678);
    let label = asm.label();
    asm.b(label);
    asm.place_pool();
    asm.bind(label);
    asm.ldr_const(Reg::R0, 0x1234_5678);
    asm.b(label);
    let trap = asm.here();
    asm.place_pool();
    asm.b(trap);
    let program = asm.finish(0).expect("it assembles");
    let listed: Vec<_> = program
        .listing
        .iter()
        .map(|line| line.text.as_str())
        .collect();
    assert_eq!(
        listed,
        [
            "ldr\tr0, [pc, #0]\t@ (4)",
            "b.n\t8",
            ".word\t0x12345678",
            "ldr\tr0, [pc, #4]\t@ (10)",
            "b.n\t8",
            "b.n\t14",
            ".short\t0x0000",
            ".word\t0x12345678",
            "b.n\tc",
        ]
    );
}

#[test]
fn data_is_aligned_and_mapped() {
    let mut asm = Assembler::new();
    asm.emit(Inst::NOP);
    asm.bytes(&[1, 2, 3]);
    asm.half(0x1234);
    let word = asm.here();
    asm.float(1.5);
    asm.bytes(&[9]);
    let code = asm.here();
    asm.emit(Inst::NOP);
    asm.align(8);
    asm.emit(Inst::ret());
    let program = asm.finish(0x100).expect("it assembles");
    assert_eq!(
        program.bytes,
        [
            0x00, 0xbf, 1, 2, 3, 0, 0x34, 0x12, 0, 0, 0xc0, 0x3f, 9, 0, 0x00, 0xbf, 0x70, 0x47
        ]
    );
    assert_eq!(program.addr(word), Some(0x108));
    assert_eq!(program.addr(code), Some(0x10e));
    let mapping: Vec<_> = program.mapping.iter().map(|m| (m.addr, m.kind)).collect();
    assert_eq!(
        mapping,
        [
            (0x100, MappingKind::Thumb),
            (0x102, MappingKind::Data),
            (0x10e, MappingKind::Thumb)
        ]
    );
    let total: usize = program.listing.iter().map(|line| line.bytes.len()).sum();
    assert_eq!(total, program.bytes.len());
}

#[test]
fn a_listing_says_where_code_comes_from() {
    let mut asm = Assembler::new();
    let f = asm.label();
    asm.function("forward", f);
    asm.annotate("hidden: forward on tick");
    asm.comment("x of this tick");
    asm.emit(Inst::vldr(SReg::S1, Reg::R0, 8));
    asm.emit(Inst::vmul(SReg::S2, SReg::S1, SReg::S0));
    asm.annotate("");
    asm.emit(Inst::ret());
    asm.word(7);
    let program = asm.finish(0x40).expect("it assembles");
    let expected = "
00000040 <forward>:
          ; hidden: forward on tick
      40: edd0 0a02   2  vldr s1, [r0, #8]  ; x of this tick
      44: ee20 1a80   1  vmul.f32 s2, s1, s0
          ; 
      48: 4770        3  bx lr
      4a: 0000           .short 0x0000
      4c: 00000007       .word 0x00000007
";
    assert_eq!(program.text(), expected);
}

/// The problems of a program.
fn problems(build: impl FnOnce(&mut Assembler)) -> Vec<AsmProblem> {
    let mut asm = Assembler::new();
    asm.annotate("here");
    build(&mut asm);
    asm.finish(0).expect_err("it should be refused").0
}

#[test]
fn what_is_wrong_is_reported_not_panicked_over() {
    let text = |build: fn(&mut Assembler)| {
        let messages: Vec<String> = problems(build).iter().map(ToString::to_string).collect();
        messages.join("; ")
    };
    assert_eq!(
        text(|asm| {
            let label = asm.label();
            asm.b(label);
        }),
        "label0 is used (here) but not bound"
    );
    assert_eq!(
        text(|asm| {
            let label = asm.here();
            asm.bind(label);
        }),
        "label0 is bound twice, the second time at here"
    );
    assert_eq!(
        text(|asm| {
            let label = asm.here();
            asm.cbz(Reg::R8, label);
        }),
        "cbz r8, 0 (here): rn must be one of r0 to r7, but is r8"
    );
}

#[test]
fn misplaced_things_in_it_blocks_are_reported() {
    let block = ItBlock::then_else(Cond::Eq);
    let what = |build: &dyn Fn(&mut Assembler)| match problems(|asm| build(asm)).as_slice() {
        [AsmProblem::It { what, .. }, ..] => *what,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        what(&|asm| {
            asm.emit(Inst::It(block));
            asm.emit(Inst::ret());
            asm.emit(Inst::NOP);
        }),
        "a jump stands in an IT block, but not last"
    );
    assert_eq!(
        what(&|asm| {
            asm.emit(Inst::It(block));
            asm.emit(Inst::NOP);
        }),
        "the program ends inside an IT block"
    );
    assert_eq!(
        what(&|asm| {
            asm.emit(Inst::It(block));
            asm.here();
            asm.emit(Inst::NOP);
            asm.emit(Inst::NOP);
        }),
        "a label stands inside an IT block"
    );
    assert_eq!(
        what(&|asm| {
            asm.emit(Inst::It(block));
            asm.word(1);
            asm.emit(Inst::NOP);
        }),
        "data stands inside an IT block"
    );
}

#[test]
fn several_problems_are_reported_together() {
    let found = problems(|asm| {
        asm.emit(Inst::add(Reg::Pc, Reg::R0, 1));
        asm.emit(Inst::mov(Reg::R0, 0x1234_5678));
        asm.emit(Inst::vldr(SReg::S0, Reg::R0, 2));
    });
    assert_eq!(found.len(), 3);
    assert!(
        found
            .iter()
            .all(|problem| matches!(problem, AsmProblem::Encode { .. }))
    );
}

#[test]
fn far_labels_are_reported() {
    let far = |load: fn(&mut Assembler, Label), bytes: usize| {
        let mut asm = Assembler::new();
        let label = asm.label();
        load(&mut asm, label);
        asm.bytes(&vec![0; bytes]);
        asm.bind(label);
        asm.word(0);
        asm.finish(0).map(|program| program.listing[0].text.clone())
    };
    assert_eq!(
        far(|asm, to| asm.adr(Reg::R0, to), 1020).unwrap(),
        "add\tr0, pc, #1020\t@ (adr r0, 400)"
    );
    assert_eq!(
        far(|asm, to| asm.adr(Reg::R0, to), 1024).unwrap(),
        "addw\tr0, pc, #1024\t@ 0x400"
    );
    assert!(far(|asm, to| asm.adr(Reg::R0, to), 4096).is_err());
    assert_eq!(
        far(|asm, to| asm.ldr_at(Reg::R0, to), 1020).unwrap(),
        "ldr\tr0, [pc, #1020]\t@ (400)"
    );
    assert_eq!(
        far(|asm, to| asm.ldr_at(Reg::R0, to), 4088).unwrap(),
        "ldr.w\tr0, [pc, #4088]\t@ ffc"
    );
    assert!(far(|asm, to| asm.ldr_at(Reg::R0, to), 4096).is_err());
    assert_eq!(
        far(|asm, to| asm.vldr_at(SReg::S0, to), 1020).unwrap(),
        "vldr\ts0, [pc, #1020]\t@ 400"
    );
    assert!(far(|asm, to| asm.vldr_at(SReg::S0, to), 1024).is_err());
    assert!(far(|asm, to| asm.b_if(Cond::Eq, to), (1 << 20) - 4).is_ok());
    assert!(far(|asm, to| asm.b_if(Cond::Eq, to), 1 << 20).is_err());
}

#[test]
fn a_base_must_be_aligned_and_leave_room() {
    let program = |base| {
        let mut asm = Assembler::new();
        asm.word(1);
        asm.word(2);
        asm.finish(base)
            .map(|program| program.bytes.len())
            .map_err(|error| error.0)
    };
    assert_eq!(program(0x20), Ok(8));
    assert_eq!(program(0x22), Err(vec![AsmProblem::Base(0x22)]));
    assert_eq!(program(0xffff_fffc), Err(vec![AsmProblem::TooLong]));
}

#[test]
fn constants_load_in_one_or_two_instructions() {
    let text = |value| {
        let (first, second) = Inst::mov_const(Reg::R0, value);
        let second = second.map(|inst| inst.to_string()).unwrap_or_default();
        (first.to_string(), second)
    };
    assert_eq!(text(0).0, "mov.w\tr0, #0");
    assert_eq!(text(0xffff).0, "movw\tr0, #65535\t@ 0xffff");
    assert_eq!(text(0xffff_ff00).0, "mvn.w\tr0, #255\t@ 0xff");
    assert_eq!(
        text(0x1234_5678),
        (
            "movw\tr0, #22136\t@ 0x5678".into(),
            "movt\tr0, #4660\t@ 0x1234".into()
        )
    );
}

/// The cycles of a straight run of instructions.
fn cycles(insts: &[Inst]) -> u32 {
    let mut timing = Timing::new();
    insts.iter().map(|inst| timing.issue(inst)).sum()
}

#[test]
fn cycles_follow_the_timing_rules() {
    use Reg::{R0, R1, R2, R3};
    use SReg::{S0, S1, S2, S3};
    let ldr = |rt, base| Inst::ldr(rt, Addr::at(base));
    // Loads in a row overlap, unless one needs the other's result.
    assert_eq!(cycles(&[ldr(R0, R3), ldr(R1, R3), ldr(R2, R3)]), 2 + 1 + 1);
    assert_eq!(cycles(&[ldr(R0, R3), ldr(R1, R0)]), 2 + 2);
    // An address fresh from the ALU waits.
    assert_eq!(cycles(&[Inst::add(R0, R0, 4), ldr(R1, R0)]), 1 + 3);
    assert_eq!(cycles(&[Inst::add(R0, R0, 4), ldr(R1, R2)]), 1 + 2);
    // Float results are late by one.
    assert_eq!(cycles(&[Inst::vadd(S0, S1, S2), Inst::vadd(S3, S1, S2)]), 2);
    assert_eq!(cycles(&[Inst::vadd(S0, S1, S2), Inst::vadd(S3, S0, S2)]), 3);
    assert_eq!(
        cycles(&[Inst::vfma(S0, S1, S2), Inst::vfma(S0, S1, S2)]),
        3 + 4
    );
    assert_eq!(cycles(&[Inst::vdiv(S0, S1, S2), Inst::vsqrt(S1, S0)]), 28);
    // A dense row of eight: two blocks in, eight sums, a block out.
    let block = |first| SList::new(first, 8).expect("eight registers");
    let mut row = vec![
        Inst::vldmia(R0, true, block(SReg::S0)),
        Inst::vldmia(R1, false, block(SReg::S8)),
    ];
    row.extend((0..8).map(|n| {
        let (a, b) = (SReg::new(n).unwrap(), SReg::new(n + 8).unwrap());
        Inst::vadd(b, b, a)
    }));
    row.push(Inst::vstmia(R1, true, block(SReg::S8)));
    assert_eq!(cycles(&row), 9 + 9 + 8 + 9 + 1);
    // Branches: backwards taken, forwards not.
    let branch = |offset| Inst::B {
        cond: Some(Cond::Ne),
        offset,
        width: Width::Narrow,
    };
    assert_eq!((branch(-8).cycles(), branch(8).cycles()), (3, 1));
}

#[test]
fn effects_name_what_is_read_and_written() {
    let inst = Inst::Load {
        op: LoadOp::Ldr,
        rt: Reg::R0,
        addr: Addr::Post(Reg::R1, 4),
    };
    let effects = inst.effects();
    assert_eq!((effects.reads.core, effects.writes.core), (0b10, 0b11));
    let inst = Inst::vfma(SReg::S0, SReg::S1, SReg::S31);
    let effects = inst.effects();
    assert_eq!(
        (effects.reads.float, effects.writes.float),
        (0x8000_0003, 1)
    );
    assert!(Inst::adcs(Reg::R0, Reg::R0, Reg::R1).effects().reads.flags);
    assert!(Inst::ret().ends_flow() && Inst::ret().jumps());
    assert!(Inst::pop(&[Reg::R4, Reg::Pc]).ends_flow());
    assert!(!Inst::Bl { offset: 0 }.ends_flow());
}

#[test]
fn operands_hold_only_what_can_be_named() {
    assert_eq!(Reg::new(16), None);
    assert_eq!(SReg::new(32), None);
    assert_eq!(SList::new(SReg::S30, 3), None);
    assert_eq!(SList::new(SReg::S30, 0), None);
    assert_eq!(SList::new(SReg::S0, 32).map(SList::bits), Some(u32::MAX));
    assert_eq!(FpImm::new(1.0).map(FpImm::code), Some(0x70));
    assert_eq!(FpImm::new(-31.0).map(FpImm::value), Some(-31.0));
    for none in [0.0, -0.0, 0.1, 32.0, 0.1171875, f32::NAN, f32::INFINITY] {
        assert_eq!(FpImm::new(none), None, "{none}");
    }
    let distinct: std::collections::HashSet<_> = (0..=255)
        .map(|code| FpImm::from_code(code).value().to_bits())
        .collect();
    assert_eq!(distinct.len(), 256);
    assert!(ItBlock::new(Cond::Eq, &[Slot::Then; 4]).is_none());
    for cond in Cond::ALL {
        assert_eq!(cond.inverse().inverse(), cond);
    }
}

/// The modified constants are exactly those the architecture's pseudo-code expands to.
#[test]
fn modified_constants_expand_to_themselves() {
    fn expand(imm12: u32) -> Option<u32> {
        let byte = imm12 & 0xff;
        Some(match imm12 >> 8 {
            0 => byte,
            1 => byte << 16 | byte,
            2 => byte << 24 | byte << 8,
            3 => byte << 24 | byte << 16 | byte << 8 | byte,
            _ => (0x80 | imm12 & 0x7f).rotate_right(imm12 >> 7),
        })
        .filter(|_| !(matches!(imm12 >> 8, 1..=3) && byte == 0))
    }
    let mut values = std::collections::BTreeSet::new();
    for imm12 in 0..4096 {
        if let Some(value) = expand(imm12) {
            let code = modified_immediate(value).expect("it has an encoding");
            assert_eq!(expand(code.into()), Some(value));
            values.insert(value);
        }
    }
    let mut random = 1_u32;
    for _ in 0..1_000_000 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        assert_eq!(
            modified_immediate(random).is_some(),
            values.contains(&random),
            "{random:x}"
        );
    }
}

/// Random code full of branches and constants: every branch goes to its label, every load finds its constant, and twice
/// the same bytes come out.
#[test]
fn random_code_reaches_its_labels_and_constants() {
    for seed in 0..60 {
        let (program, labels) = random_code(seed);
        assert_eq!(program, random_code(seed).0);
        let mut wanted = 0;
        for (line, next) in program.listing.iter().zip(&program.listing[1..]) {
            // A long test for zero is two instructions with one remark; the second is the one that goes far.
            if line.comment.is_empty() || next.comment == line.comment {
                continue;
            }
            let expected = match line.comment.split_once(' ') {
                Some(("to", n)) => program.addr(labels[n.parse::<usize>().unwrap()]).unwrap(),
                Some(("load", value)) => {
                    let addr = last_address(&line.text);
                    let word = program
                        .listing
                        .iter()
                        .find(|line| line.addr == addr)
                        .unwrap();
                    assert_eq!(word.text, format!(".word\t{value}"));
                    addr
                }
                other => panic!("{other:?}"),
            };
            assert_eq!(last_address(&line.text), expected, "{}", line.text);
            wanted += 1;
        }
        assert!(wanted > 50, "{wanted}");
    }
}

/// Blocks of random length that branch to each other.
fn random_code(seed: u32) -> (Program, Vec<Label>) {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = move |n: u32| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % n
    };
    let mut asm = Assembler::new();
    let labels: Vec<Label> = (0..20).map(|_| asm.label()).collect();
    let mut serial = 0_u32;
    for &label in &labels {
        asm.bind(label);
        for _ in 0..next(12) {
            let n = next(20);
            let to = labels[n as usize];
            serial += 1;
            match next(4) {
                3 => {
                    let value = serial as f32;
                    asm.comment(format!("load 0x{:08x}", value.to_bits()));
                    asm.vldr_const(SReg::S0, value);
                }
                kind => {
                    asm.comment(format!("to {n}"));
                    match kind {
                        0 => asm.b(to),
                        1 => asm.b_if(Cond::ALL[next(14) as usize], to),
                        _ => asm.cbz(Reg::R2, to),
                    }
                }
            }
            for _ in 0..1 + next(1 + seed * 3) {
                asm.emit(Inst::NOP);
            }
        }
    }
    asm.emit(Inst::ret());
    (asm.finish(0x400).expect("it assembles"), labels)
}

/// The address an instruction's text ends with.
fn last_address(text: &str) -> u32 {
    let last = text.split(['\t', ' ']).next_back().unwrap();
    u32::from_str_radix(last, 16).unwrap()
}

//! What the tests of the assembler share: every form of every instruction, and the GNU tools where they are installed.

#![allow(dead_code)] // each test file uses its part

use std::path::Path;
use std::process::Command;

use nirc_spinnaker2::thumb::*;

/// The output of a tool, or nothing (and a note) if it is not installed.
pub(crate) fn run(tool: &str, args: &[&str]) -> Option<String> {
    match Command::new(tool).args(args).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{tool} {args:?} failed:\n{text}");
            Some(text)
        }
        Err(error) => {
            nirc_tests::tools::skip(&format!("{tool} cannot be run: {error}"));
            None
        }
    }
}

/// A path as the argument of a tool.
pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

const LOW: [Reg; 3] = [Reg::R0, Reg::R3, Reg::R7];
const CORE: [Reg; 5] = [Reg::R0, Reg::R5, Reg::R8, Reg::R12, Reg::Lr];
const FLOAT: [SReg; 4] = [SReg::S0, SReg::S7, SReg::S16, SReg::S31];
const CONSTANTS: [u32; 24] = [
    0,
    1,
    7,
    8,
    32,
    33,
    255,
    256,
    508,
    512,
    1020,
    1024,
    4095,
    4096,
    0x1234,
    0xffff,
    0x00ab_00ab,
    0xab00_ab00,
    0xabab_abab,
    0x8000_0000,
    0xff00_0000,
    0x0003_fc00,
    0xffff_ffff,
    0x1234_5678,
];
const SHIFTS: [Shift; 12] = [
    Shift::NONE,
    Shift::Lsl(1),
    Shift::Lsl(2),
    Shift::Lsl(31),
    Shift::Lsr(1),
    Shift::Lsr(5),
    Shift::Lsr(32),
    Shift::Asr(1),
    Shift::Asr(32),
    Shift::Ror(1),
    Shift::Ror(31),
    Shift::Rrx,
];
const OFFSETS: [i32; 22] = [
    0, 1, 2, 3, 4, 8, 31, 32, 36, 62, 124, 128, 255, 1020, 1024, 4095, -1, -4, -16, -20, -255,
    -1020,
];

fn sources() -> Vec<Src> {
    let mut all: Vec<Src> = CONSTANTS.iter().map(|&c| Src::Imm(c)).collect();
    for reg in [Reg::R0, Reg::R4, Reg::R9, Reg::Sp] {
        all.extend(SHIFTS.iter().map(|&shift| Src::Reg(reg, shift)));
    }
    all
}

fn addresses() -> Vec<Addr> {
    let mut all = Vec::new();
    for base in [Reg::R1, Reg::R10, Reg::Sp] {
        for offset in OFFSETS {
            all.push(Addr::Offset(base, offset));
            all.push(Addr::Pre(base, offset));
            all.push(Addr::Post(base, offset));
        }
        for index in [Reg::R2, Reg::R11] {
            all.extend((0..4).map(|lsl| Addr::Index(base, index, lsl)));
        }
    }
    all
}

fn lists() -> Vec<RegList> {
    use Reg::*;
    [
        &[R0][..],
        &[R6],
        &[R8],
        &[Lr],
        &[Pc],
        &[R0, R1],
        &[R1, R2, R3],
        &[R4, R5, R6, R7, Lr],
        &[R4, R5, R6, R7, Pc],
        &[R4, R8, R9, R10, R11, R12, Lr],
        &[R4, R8, Pc],
    ]
    .iter()
    .map(|regs| RegList::of(regs))
    .collect()
}

/// Every family with many choices of operands, those without an encoding left out.
pub(crate) fn catalogue() -> Vec<Inst> {
    let mut all = core();
    all.extend(memory());
    all.extend(control());
    all.extend(float());
    all.retain(|inst| inst.encode().is_ok());
    all
}

fn core() -> Vec<Inst> {
    let mut all = Vec::new();
    let sources = sources();
    for s in [false, true] {
        for &src in &sources {
            for rd in [Reg::R0, Reg::R8, Reg::Sp] {
                for &op in MoveOp::ALL {
                    all.push(Inst::Move { op, s, rd, src });
                }
                for rn in [Reg::R0, Reg::R3, Reg::R8, Reg::Sp] {
                    for &op in AluOp::ALL {
                        all.push(Inst::Alu { op, s, rd, rn, src });
                    }
                }
            }
        }
    }
    for &src in &sources {
        for rn in [Reg::R0, Reg::R8, Reg::Sp] {
            for &op in CompareOp::ALL {
                all.push(Inst::Compare { op, rn, src });
            }
        }
    }
    for imm in [0, 5, 33, 0x1234, 0xffff] {
        for rd in CORE {
            all.push(Inst::Movw { rd, imm });
            all.push(Inst::Movt { rd, imm });
        }
    }
    for rd in CORE {
        for rm in CORE {
            for s in [false, true] {
                for &op in ShiftOp::ALL {
                    for rn in [rd, Reg::R3, Reg::R9] {
                        all.push(Inst::Shift { op, s, rd, rn, rm });
                    }
                }
                for rn in [rd, Reg::R3, Reg::R9] {
                    all.push(Inst::Mul { s, rd, rn, rm });
                }
            }
            for &op in ExtendOp::ALL {
                all.push(Inst::Extend { op, rd, rm });
            }
            for &op in BitsOp::ALL {
                all.push(Inst::Bits { op, rd, rm });
            }
            let (rn, ra) = (Reg::R2, Reg::R9);
            for &op in MulAccOp::ALL {
                all.push(Inst::MulAcc { op, rd, rn, rm, ra });
            }
            for &op in MulLongOp::ALL {
                all.push(Inst::MulLong {
                    op,
                    lo: rd,
                    hi: rm,
                    rn,
                    rm: ra,
                });
            }
            for signed in [false, true] {
                all.push(Inst::Div { signed, rd, rn, rm });
            }
        }
        for (lsb, width) in [(0, 1), (0, 32), (3, 5), (31, 1), (16, 16)] {
            let rn = Reg::R11;
            for signed in [false, true] {
                all.push(Inst::Extract {
                    signed,
                    rd,
                    rn,
                    lsb,
                    width,
                });
            }
            all.push(Inst::Bfi { rd, rn, lsb, width });
            all.push(Inst::Bfc { rd, lsb, width });
        }
        for bits in [0, 1, 8, 16, 31, 32] {
            for signed in [false, true] {
                all.push(Inst::Saturate {
                    signed,
                    rd,
                    bits,
                    rn: Reg::R6,
                });
            }
        }
    }
    all
}

fn memory() -> Vec<Inst> {
    let mut all = Vec::new();
    for addr in addresses() {
        for rt in [Reg::R0, Reg::R9, Reg::Pc] {
            for &op in LoadOp::ALL {
                all.push(Inst::Load { op, rt, addr });
            }
            for &op in StoreOp::ALL {
                all.push(Inst::Store { op, rt, addr });
            }
        }
        let (rt, rt2) = (Reg::R3, Reg::R8);
        all.push(Inst::LoadPair { rt, rt2, addr });
        all.push(Inst::StorePair { rt, rt2, addr });
    }
    for regs in lists() {
        for mode in [Mode::Ia, Mode::Db] {
            for base in [Reg::R0, Reg::R3, Reg::R8, Reg::Sp] {
                for writeback in [false, true] {
                    all.push(Inst::LoadMany {
                        mode,
                        base,
                        writeback,
                        regs,
                    });
                    all.push(Inst::StoreMany {
                        mode,
                        base,
                        writeback,
                        regs,
                    });
                }
            }
        }
        all.push(Inst::Push { regs });
        all.push(Inst::Pop { regs });
    }
    for width in [Width::Narrow, Width::Wide] {
        for offset in [0, 4, 33, 1020, 4095, -4, -100, -4095] {
            for rt in [Reg::R0, Reg::R8] {
                all.push(Inst::LoadLiteral { rt, offset, width });
                // objdump reads an ADR of no distance as a plain subtraction.
                all.push(Inst::Adr {
                    rd: rt,
                    offset,
                    width,
                });
            }
        }
    }
    all
}

fn control() -> Vec<Inst> {
    let mut all = Vec::new();
    for width in [Width::Narrow, Width::Wide] {
        for offset in [
            0,
            4,
            254,
            1000,
            2046,
            70_000,
            -4,
            -256,
            -2048,
            -70_000,
            1 << 19,
        ] {
            all.push(Inst::B {
                cond: None,
                offset,
                width,
            });
            for cond in Cond::ALL {
                all.push(Inst::B {
                    cond: Some(cond),
                    offset,
                    width,
                });
            }
        }
    }
    for offset in [0, 2, -4, 3_000_000, -3_000_000, 16_777_214, -16_777_216] {
        all.push(Inst::Bl { offset });
        all.push(Inst::B {
            cond: None,
            offset,
            width: Width::Wide,
        });
    }
    for rm in CORE {
        all.push(Inst::Bx { rm });
        all.push(Inst::Blx { rm });
    }
    for rn in LOW {
        for offset in [0, 2, 62, 64, 126] {
            for nonzero in [false, true] {
                all.push(Inst::Cbz {
                    nonzero,
                    rn,
                    offset,
                });
            }
        }
    }
    for enable in [false, true] {
        all.push(Inst::Cps { enable });
    }
    all.extend(BarrierOp::ALL.iter().map(|&op| Inst::Barrier { op }));
    all.extend(HintOp::ALL.iter().map(|&op| Inst::Hint { op }));
    for imm in [0, 1, 32, 33, 255] {
        all.push(Inst::Bkpt { imm });
        all.push(Inst::Svc { imm });
        all.push(Inst::Udf { imm });
    }
    for &sys in SysReg::ALL {
        all.push(Inst::Mrs { rd: Reg::R9, sys });
        all.push(Inst::Msr { sys, rn: Reg::R9 });
    }
    all
}

fn float() -> Vec<Inst> {
    let mut all = Vec::new();
    for sd in FLOAT {
        for sm in FLOAT {
            for sn in FLOAT {
                for &op in FArithOp::ALL {
                    all.push(Inst::FArith { op, sd, sn, sm });
                }
            }
            for &op in FUnaryOp::ALL {
                all.push(Inst::FUnary { op, sd, sm });
            }
            for &op in ConvertOp::ALL {
                all.push(Inst::FConvert { op, sd, sm });
            }
            for signal in [false, true] {
                for sm in [Some(sm), None] {
                    all.push(Inst::FCompare { signal, sd, sm });
                }
            }
        }
        for rt in CORE {
            all.push(Inst::FMoveFromCore { sn: sd, rt });
            all.push(Inst::FMoveToCore { rt, sn: sd });
            let rt2 = Reg::R6;
            all.push(Inst::FMovePairFromCore { sm: sd, rt, rt2 });
            all.push(Inst::FMovePairToCore { rt, rt2, sm: sd });
        }
        for offset in [0, 4, 32, 36, 1020, -4, -16, -20, -1020] {
            for base in [Reg::R0, Reg::R9, Reg::Sp] {
                all.push(Inst::FLoad { sd, base, offset });
                all.push(Inst::FStore { sd, base, offset });
            }
            all.push(Inst::FLoadLiteral { sd, offset });
        }
        for count in [1, 2, 15, 16, 31, 32] {
            let Some(regs) = SList::new(sd, count) else {
                continue;
            };
            for base in [Reg::R0, Reg::R9, Reg::Sp] {
                for mode in [Mode::Ia, Mode::Db] {
                    for writeback in [false, true] {
                        all.push(Inst::FLoadMany {
                            mode,
                            base,
                            writeback,
                            regs,
                        });
                        all.push(Inst::FStoreMany {
                            mode,
                            base,
                            writeback,
                            regs,
                        });
                    }
                }
            }
            all.push(Inst::FPush { regs });
            all.push(Inst::FPop { regs });
        }
    }
    for code in 0..=255 {
        all.push(Inst::FMoveImm {
            sd: SReg::S3,
            imm: FpImm::from_code(code),
        });
    }
    all.push(Inst::FFlags);
    all.push(Inst::ReadFpscr { rt: Reg::R3 });
    all.push(Inst::WriteFpscr { rt: Reg::R3 });
    all
}

//! The floating-point encodings: FPv4-SP, single precision only.
//!
//! Double-precision registers exist for moves, loads and stores; a double is two consecutive single registers.

use super::{Decoded, Fetched};
use crate::core::op::{Fixed, Fp2, Fp3, Op, Reg};

const SP: Reg = 13;
const PC: Reg = 15;

/// A single register from its 4-bit field and its extra low bit.
fn single(field: u16, low: u16) -> Reg {
    ((field & 15) << 1 | (low & 1)) as Reg
}

/// A double register, as the number of its first single; there are 16 doubles.
fn double(field: u16, high: u16) -> Option<Reg> {
    (high & 1 == 0).then_some(((field & 15) << 1) as Reg)
}

pub(super) fn decode(f: &Fetched) -> Decoded {
    let coprocessor = (f.second >> 8) & 15;
    // Coprocessors 10 and 11 are the FPU; the encodings that start with 0xFC to 0xFF belong to later FPUs.
    if coprocessor & 14 != 10 || f.first & 0x1000 != 0 {
        return f.undefined();
    }
    let op = if f.first & 0x200 == 0 {
        if f.first & 0x1e0 == 0x40 {
            pair_transfer(f)
        } else {
            load_store(f)
        }
    } else if f.first & 0x100 != 0 {
        None
    } else if f.second & 0x10 != 0 {
        transfer(f)
    } else if coprocessor == 10 {
        arithmetic(f)
    } else {
        None
    };
    op.map_or_else(|| f.undefined(), Decoded::One)
}

/// VMOV of two core registers and two singles or a double.
fn pair_transfer(f: &Fetched) -> Option<Op> {
    let (rt2, rt) = ((f.first & 15) as Reg, (f.second >> 12) as Reg);
    if f.second & 0xd0 != 0x10 || [rt, rt2].iter().any(|&r| r == SP || r == PC) {
        return None;
    }
    let (field, extra) = (f.second & 15, f.second >> 5);
    let m = if f.second & 0x100 == 0 {
        single(field, extra)
    } else {
        double(field, extra)?
    };
    let to_core = f.first & 0x10 != 0;
    if m == 31 || (to_core && rt == rt2) {
        return None;
    }
    Some(if to_core {
        Op::VmovPairToCore { rt, rt2, m }
    } else {
        Op::VmovPairFromCore { rt, rt2, m }
    })
}

fn load_store(f: &Fetched) -> Option<Op> {
    let (first, second) = (f.first, f.second);
    let rn = (first & 15) as Reg;
    let (p, u, w, load) = (
        first & 0x100 != 0,
        first & 0x80 != 0,
        first & 0x20 != 0,
        first & 0x10 != 0,
    );
    let is_double = second & 0x100 != 0;
    let (field, extra) = (second >> 12, first >> 6);
    let d = if is_double {
        double(field, extra)?
    } else {
        single(field, extra)
    };
    let imm8 = second & 0xff;
    if p && !w {
        let bytes = u32::from(imm8) * 4;
        let off = if u { bytes } else { bytes.wrapping_neg() };
        let count = if is_double { 2 } else { 1 };
        return match (load, rn == PC) {
            (true, true) => Some(Op::VldrAbs {
                d,
                count,
                addr: f.pc_aligned().wrapping_add(off),
            }),
            (false, true) => None,
            (true, _) if !is_double => Some(Op::Vldr { d, rn, off }),
            (false, _) if !is_double => Some(Op::Vstr { d, rn, off }),
            (true, _) => Some(Op::Vldm {
                d,
                count,
                rn,
                off: off as i16,
                step: 0,
            }),
            (false, _) => Some(Op::Vstm {
                d,
                count,
                rn,
                off: off as i16,
                step: 0,
            }),
        };
    }
    let bytes = (imm8 * 4) as i16;
    let (off, step) = match (p, u, w) {
        (false, true, false) => (0, 0),
        (false, true, true) => (0, bytes),
        (true, false, true) => (-bytes, -bytes),
        _ => return None,
    };
    let fits = imm8 > 0 && u16::from(d) + imm8 <= 32 && !(is_double && imm8 & 1 != 0);
    if !fits || rn == PC {
        return None;
    }
    let count = imm8 as u8;
    Some(if load {
        Op::Vldm {
            d,
            count,
            rn,
            off,
            step,
        }
    } else {
        Op::Vstm {
            d,
            count,
            rn,
            off,
            step,
        }
    })
}

/// VMOV of one register, VMRS, VMSR.
fn transfer(f: &Fetched) -> Option<Op> {
    let (first, second) = (f.first, f.second);
    let rt = (second >> 12) as Reg;
    let to_core = first & 0x10 != 0;
    let a = (first >> 5) & 7;
    if second & 0x100 != 0 {
        // A 32-bit half of a double.
        if a & 6 != 0 || second & 0x6f != 0 || rt == SP || rt == PC {
            return None;
        }
        let n = double(first & 15, second >> 7)? + (a & 1) as Reg;
        return Some(if to_core {
            Op::VmovToCore { rt, n }
        } else {
            Op::VmovFromCore { n, rt }
        });
    }
    if second & 0x6f != 0 {
        return None;
    }
    match (a, to_core) {
        (0, _) if rt == SP || rt == PC => None,
        (0, true) => Some(Op::VmovToCore {
            rt,
            n: single(first & 15, second >> 7),
        }),
        (0, false) => Some(Op::VmovFromCore {
            n: single(first & 15, second >> 7),
            rt,
        }),
        (7, _) if first & 15 != 1 || second & 0x80 != 0 || rt == SP => None,
        (7, true) if rt == PC => Some(Op::VmrsApsr),
        (7, true) => Some(Op::Vmrs { rt }),
        (7, false) if rt != PC => Some(Op::Vmsr { rt }),
        _ => None,
    }
}

fn arithmetic(f: &Fetched) -> Option<Op> {
    let (first, second) = (f.first, f.second);
    let d = single(second >> 12, first >> 6);
    let n = single(first & 15, second >> 7);
    let m = single(second & 15, second >> 5);
    let bit6 = second & 0x40 != 0;
    let op = match ((first >> 4) & 0b1011, bit6) {
        (0b0000, false) => Fp3::Mla,
        (0b0000, true) => Fp3::Mls,
        (0b0001, false) => Fp3::Nmls,
        (0b0001, true) => Fp3::Nmla,
        (0b0010, false) => return Some(Op::Vmul { d, n, m }),
        (0b0010, true) => Fp3::Nmul,
        (0b0011, false) => return Some(Op::Vadd { d, n, m }),
        (0b0011, true) => return Some(Op::Vsub { d, n, m }),
        (0b1000, false) => Fp3::Div,
        (0b1001, false) => Fp3::Fnms,
        (0b1001, true) => Fp3::Fnma,
        (0b1010, false) => return Some(Op::Vfma { d, n, m }),
        (0b1010, true) => Fp3::Fms,
        (0b1011, false) => return immediate(first, second, d),
        (0b1011, true) => return unary(first, second, d, m),
        _ => return None,
    };
    Some(Op::Fp3 { op, d, n, m })
}

/// VFPExpandImm: sign, three bits of exponent, four of fraction.
fn immediate(first: u16, second: u16, d: Reg) -> Option<Op> {
    if second & 0xa0 != 0 {
        return None;
    }
    let imm8 = u32::from((first & 15) << 4 | (second & 15));
    let exponent = if imm8 & 0x40 != 0 {
        0x3e00_0000
    } else {
        0x4000_0000
    };
    Some(Op::VmovImm {
        d,
        bits: (imm8 & 0x80) << 24 | exponent | (imm8 & 0x3f) << 19,
    })
}

fn unary(first: u16, second: u16, d: Reg, m: Reg) -> Option<Op> {
    let bit7 = second & 0x80 != 0;
    let fp2 = |op| Some(Op::Fp2 { op, d, m });
    match (first & 15, bit7) {
        (0, false) => fp2(Fp2::Mov),
        (0, true) => fp2(Fp2::Abs),
        (1, false) => fp2(Fp2::Neg),
        (1, true) => fp2(Fp2::Sqrt),
        (2, false) => fp2(Fp2::FromHalfBottom),
        (2, true) => fp2(Fp2::FromHalfTop),
        (3, false) => fp2(Fp2::ToHalfBottom),
        (3, true) => fp2(Fp2::ToHalfTop),
        // VCMP and VCMPE differ only in the exception flags, which are not modelled.
        (4, _) => Some(Op::Vcmp { d, m }),
        (5, _) if second & 0x2f == 0 => Some(Op::VcmpZero { d }),
        (8, false) => fp2(Fp2::FromU32),
        (8, true) => fp2(Fp2::FromI32),
        (12, false) => fp2(Fp2::ToU32Nearest),
        (12, true) => fp2(Fp2::ToU32),
        (13, false) => fp2(Fp2::ToI32Nearest),
        (13, true) => fp2(Fp2::ToI32),
        (10 | 11 | 14 | 15, half) => {
            let half = !half;
            let imm5 = ((second & 15) << 1 | (second >> 5 & 1)) as u8;
            let fraction_bits = if half { 16u8 } else { 32 }.checked_sub(imm5)?;
            let fixed = Fixed {
                to_fixed: first & 4 != 0,
                unsigned: first & 1 != 0,
                half,
                fraction_bits,
            };
            Some(Op::VcvtFixed { d, fixed })
        }
        _ => None,
    }
}

//! Branches, conditions, system instructions.

use super::fields::{general, low, not_pc, number};
use super::{Code, EncodeError, Encoder, Result};
use crate::thumb::inst::{BarrierOp, HintOp, SysReg, Width};
use crate::thumb::operand::{Cond, ItBlock, Reg};

impl Encoder {
    pub(super) fn branch(&self, cond: Option<Cond>, offset: i32, width: Width) -> Result<Code> {
        if cond.is_some() {
            self.outside_it("in an IT block the block gives the condition")?;
        }
        let bits = offset as u32;
        match (cond, width) {
            (None, Width::Narrow) => {
                if offset % 2 != 0 || !(-2048..2048).contains(&offset) {
                    return Err(number("branch offset", "even, -2048 to 2046", offset));
                }
                Ok(Code::Narrow(0xe000 | (bits >> 1 & 0x7ff) as u16))
            }
            (Some(cond), Width::Narrow) => {
                if offset % 2 != 0 || !(-256..256).contains(&offset) {
                    return Err(number("branch offset", "even, -256 to 254", offset));
                }
                let code = u16::from(cond.code());
                Ok(Code::Narrow(0xd000 | code << 8 | (bits >> 1 & 0xff) as u16))
            }
            (None, Width::Wide) => far_branch(offset, 0x9000),
            (Some(cond), Width::Wide) => {
                if offset % 2 != 0 || !(-(1 << 20)..1 << 20).contains(&offset) {
                    return Err(number("branch offset", "even and within 1 MiB", offset));
                }
                let code = u32::from(cond.code());
                let (sign, j1, j2) = (bits >> 31, bits >> 18 & 1, bits >> 19 & 1);
                Ok(Code::Wide(
                    0xf000 | (sign << 10 | code << 6 | bits >> 12 & 0x3f) as u16,
                    0x8000 | (j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff) as u16,
                ))
            }
        }
    }

    pub(super) fn cbz(&self, nonzero: bool, rn: Reg, offset: i32) -> Result<Code> {
        self.outside_it("CBZ cannot be conditional")?;
        let n = low("rn", rn)?;
        if offset % 2 != 0 || !(0..=126).contains(&offset) {
            return Err(number("branch offset", "even, 0 to 126", offset));
        }
        let half = (offset / 2) as u16;
        Ok(Code::Narrow(
            0xb100 | u16::from(nonzero) << 11 | (half >> 5) << 9 | (half & 0x1f) << 3 | n,
        ))
    }

    pub(super) fn it(&self, block: ItBlock) -> Result<Code> {
        self.outside_it("IT cannot stand in an IT block")?;
        let cond = u16::from(block.cond().code());
        Ok(Code::Narrow(0xbf00 | cond << 4 | u16::from(block.mask())))
    }

    pub(super) fn cps(&self, enable: bool) -> Result<Code> {
        self.outside_it("CPS cannot be conditional")?;
        Ok(Code::Narrow(if enable { 0xb662 } else { 0xb672 }))
    }

    fn outside_it(&self, why: &'static str) -> Result<()> {
        if self.it {
            Err(EncodeError::Form(why))
        } else {
            Ok(())
        }
    }
}

/// The halfwords of a branch with 25 bits of reach.
fn far_branch(offset: i32, second: u16) -> Result<Code> {
    if offset % 2 != 0 || !(-(1 << 24)..1 << 24).contains(&offset) {
        return Err(number("branch offset", "even and within 16 MiB", offset));
    }
    let bits = offset as u32;
    let sign = bits >> 31;
    let j1 = (bits >> 23 ^ sign ^ 1) & 1;
    let j2 = (bits >> 22 ^ sign ^ 1) & 1;
    Ok(Code::Wide(
        0xf000 | (sign << 10 | bits >> 12 & 0x3ff) as u16,
        second | (j1 << 13 | j2 << 11 | bits >> 1 & 0x7ff) as u16,
    ))
}

pub(super) fn call(offset: i32) -> Result<Code> {
    far_branch(offset, 0xd000)
}

pub(super) fn exchange(link: bool, rm: Reg) -> Result<Code> {
    let base = if link { 0x4780 } else { 0x4700 };
    Ok(Code::Narrow(base | not_pc("rm", rm)? << 3))
}

pub(super) fn barrier(op: BarrierOp) -> Code {
    let second = match op {
        BarrierOp::Dsb => 0x8f4f,
        BarrierOp::Dmb => 0x8f5f,
        BarrierOp::Isb => 0x8f6f,
    };
    Code::Wide(0xf3bf, second)
}

pub(super) fn hint(op: HintOp) -> Code {
    Code::Narrow(match op {
        HintOp::Nop => 0xbf00,
        HintOp::Yield => 0xbf10,
        HintOp::Wfe => 0xbf20,
        HintOp::Wfi => 0xbf30,
        HintOp::Sev => 0xbf40,
    })
}

pub(super) fn read_special(rd: Reg, sys: SysReg) -> Result<Code> {
    let d = general("rd", rd)?;
    Ok(Code::Wide(0xf3ef, 0x8000 | d << 8 | sysm(sys)))
}

pub(super) fn write_special(sys: SysReg, rn: Reg) -> Result<Code> {
    let n = general("rn", rn)?;
    Ok(Code::Wide(0xf380 | n, 0x8800 | sysm(sys)))
}

fn sysm(sys: SysReg) -> u16 {
    match sys {
        SysReg::Apsr => 0,
        SysReg::Ipsr => 5,
        SysReg::Msp => 8,
        SysReg::Psp => 9,
        SysReg::Primask => 16,
        SysReg::Basepri => 17,
        SysReg::Faultmask => 19,
        SysReg::Control => 20,
    }
}

//! Cycle costs: the Cortex-M4's published instruction timings, applied to a run of instructions without branches.
//!
//! The model is a scoreboard that issues in order. It knows: loads that follow a load (one cycle instead of two), an address that comes from
//! the instruction before (one more), the latency of floating-point results, and the FPU that stays busy with a division, square root or
//! multiply-accumulate while integer instructions go on. It does not know memory contention, which no public source describes.
//! A block starts with a clean scoreboard, and leaving it waits for the FPU ([`Scoreboard::drain`]).
//!
//! Costs that depend on values are added when the instruction runs: [`division`] and the refill after a taken branch.

use super::op::{Fp2, Fp3, Op, Reg};

/// Cycles to enter an exception with the integer registers, and to come back.
pub(crate) const EXCEPTION_ENTRY: u64 = 12;
/// See [`EXCEPTION_ENTRY`].
pub(crate) const EXCEPTION_RETURN: u64 = 12;
/// Extra cycles for the floating-point part of an exception frame.
pub(crate) const EXCEPTION_FP: u64 = 17;

/// Cycles of SDIV and UDIV over the first two: up to ten, in proportion to the bits of the quotient.
pub(crate) fn division(dividend: u32, divisor: u32) -> u64 {
    let quotient_bits = (divisor.leading_zeros() + 1).saturating_sub(dividend.leading_zeros());
    if divisor == 0 {
        0
    } else {
        u64::from(quotient_bits * 10).div_ceil(32)
    }
}

/// Pseudo register of the FPU's flags.
const FLAGS: Reg = 32;

/// In-order issue within one block.
pub(crate) struct Scoreboard {
    now: u32,
    fpu_free: u32,
    /// When each S register, and the flags, can be read.
    ready: [u32; 33],
    /// Core register written by the previous instruction if that was data processing.
    alu_result: Option<Reg>,
    /// Core register loaded by the previous instruction if that was a single load.
    loaded: Option<Reg>,
}

/// What the FPU does with an operation.
enum Fpu {
    /// One cycle; the result is there after two.
    Short,
    /// Issues in one, then keeps the FPU for so many cycles; the result comes so many cycles after issue.
    Long { busy: u32, latency: u32 },
    /// So many cycles, with the result there at the end.
    Plain(u32),
}

impl Scoreboard {
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            fpu_free: 0,
            ready: [0; 33],
            alu_result: None,
            loaded: None,
        }
    }

    /// Cycles from the start of the block until the instructions so far have issued.
    pub(crate) fn now(&self) -> u32 {
        self.now
    }

    /// Cycles until the FPU is free.
    pub(crate) fn drain(&self) -> u32 {
        self.fpu_free.saturating_sub(self.now)
    }

    /// Accounts one instruction that has no micro-operation (IT).
    pub(crate) fn plain(&mut self) {
        self.now += 1;
        self.alu_result = None;
        self.loaded = None;
    }

    /// Accounts one instruction.
    pub(crate) fn issue(&mut self, op: &Op) {
        if let Some((sources, dest, fpu)) = floating(op) {
            self.issue_floating(sources, dest, &fpu);
            return;
        }
        let (alu_result, loaded) = (self.alu_result.take(), self.loaded.take());
        let mut cost = integer_cost(op);
        if let Some((base, index)) = address_registers(op) {
            let uses = |r: Option<Reg>| r.is_some_and(|r| r == base || Some(r) == index);
            if uses(alu_result) {
                cost += 1;
            }
            if is_single_load(op) && loaded.is_some() && !uses(loaded) {
                cost -= 1;
            }
        }
        if let Some(n) = stored_singles(op) {
            self.wait_for(n);
        }
        self.now += cost;
        self.loaded = loaded_register(op);
        self.alu_result = alu_destination(op);
        if let Op::VmovFromCore { n, .. } = *op {
            self.ready[usize::from(n & 31)] = self.now;
        }
    }

    fn issue_floating(&mut self, sources: [Option<Reg>; 3], dest: Option<Reg>, fpu: &Fpu) {
        self.alu_result = None;
        self.loaded = None;
        self.now = self.now.max(self.fpu_free);
        for source in sources.into_iter().flatten() {
            self.now = self.now.max(self.ready[usize::from(source)]);
        }
        let (cost, latency) = match *fpu {
            Fpu::Short => (1, 2),
            Fpu::Long { busy, latency } => {
                self.fpu_free = self.now + busy;
                (1, latency)
            }
            Fpu::Plain(cost) => (cost, cost),
        };
        if let Some(dest) = dest {
            self.ready[usize::from(dest)] = self.now + latency;
        }
        self.now += cost;
    }

    fn wait_for(&mut self, (first, count): (Reg, u8)) {
        for &ready in self.ready.iter().skip(first.into()).take(count.into()) {
            self.now = self.now.max(ready);
        }
    }
}

/// Sources, destination and behaviour of what runs in the FPU's pipeline.
fn floating(op: &Op) -> Option<([Option<Reg>; 3], Option<Reg>, Fpu)> {
    let accumulate = Fpu::Long {
        busy: 3,
        latency: 4,
    };
    Some(match *op {
        Op::Vadd { d, n, m } | Op::Vsub { d, n, m } | Op::Vmul { d, n, m } => {
            ([Some(n), Some(m), None], Some(d), Fpu::Short)
        }
        Op::Vfma { d, n, m } => ([Some(n), Some(m), Some(d)], Some(d), accumulate),
        Op::Fp3 { op, d, n, m } => match op {
            Fp3::Add | Fp3::Sub | Fp3::Mul | Fp3::Nmul => {
                ([Some(n), Some(m), None], Some(d), Fpu::Short)
            }
            Fp3::Div => (
                [Some(n), Some(m), None],
                Some(d),
                Fpu::Long {
                    busy: 14,
                    latency: 14,
                },
            ),
            _ => ([Some(n), Some(m), Some(d)], Some(d), accumulate),
        },
        Op::Fp2 { op: Fp2::Mov, d, m } => ([Some(m), None, None], Some(d), Fpu::Plain(1)),
        Op::Fp2 {
            op: Fp2::Sqrt,
            d,
            m,
        } => (
            [Some(m), None, None],
            Some(d),
            Fpu::Long {
                busy: 14,
                latency: 14,
            },
        ),
        Op::Fp2 { d, m, .. } => ([Some(m), None, None], Some(d), Fpu::Short),
        Op::VcvtFixed { d, .. } => ([Some(d), None, None], Some(d), Fpu::Short),
        Op::Vcmp { d, m } => ([Some(d), Some(m), None], Some(FLAGS), Fpu::Short),
        Op::VcmpZero { d } => ([Some(d), None, None], Some(FLAGS), Fpu::Short),
        Op::VmrsApsr | Op::Vmrs { .. } => ([Some(FLAGS), None, None], None, Fpu::Plain(1)),
        Op::Vmsr { .. } => ([Some(FLAGS), None, None], Some(FLAGS), Fpu::Plain(1)),
        Op::VmovImm { d, .. } => ([None; 3], Some(d), Fpu::Plain(1)),
        Op::VmovToCore { n, .. } => ([Some(n), None, None], None, Fpu::Plain(2)),
        Op::VmovPairToCore { m, .. } => ([Some(m), Some((m + 1) & 31), None], None, Fpu::Plain(2)),
        _ => return None,
    })
}

fn integer_cost(op: &Op) -> u32 {
    match *op {
        Op::LdrWord { .. }
        | Op::LdrWordPost { .. }
        | Op::Ldr { .. }
        | Op::LdrReg { .. }
        | Op::LdrAbs { .. } => 2,
        Op::StrReg { .. } => 2,
        Op::Ldrd { .. } | Op::Strd { .. } | Op::LdrdAbs { .. } => 3,
        Op::Ldm { list, .. } | Op::Stm { list, .. } => 1 + list.count_ones(),
        Op::Vldr { .. } | Op::Vstr { .. } => 2,
        Op::Vldm { count, .. } | Op::Vstm { count, .. } | Op::VldrAbs { count, .. } => {
            1 + u32::from(count)
        }
        Op::Ldrex { .. } | Op::Strex { .. } => 2,
        Op::Div { .. } => 2,
        Op::VmovFromCore { .. } | Op::VmovPairFromCore { .. } => 2,
        Op::TableBranch { .. } | Op::TableBranchPc { .. } => 2,
        Op::Mrs { .. } | Op::Msr { .. } => 2,
        // Part of the instruction before it; a load to PC takes five cycles with the refill.
        Op::JumpLoaded | Op::JumpPlain => 1,
        _ => 1,
    }
}

/// Base and index register of an access.
fn address_registers(op: &Op) -> Option<(Reg, Option<Reg>)> {
    Some(match *op {
        Op::LdrWord { rn, .. }
        | Op::StrWord { rn, .. }
        | Op::LdrWordPost { rn, .. }
        | Op::StrWordPost { rn, .. }
        | Op::Ldr { rn, .. }
        | Op::Str { rn, .. }
        | Op::Ldrd { rn, .. }
        | Op::Strd { rn, .. }
        | Op::Ldm { rn, .. }
        | Op::Stm { rn, .. }
        | Op::Vldr { rn, .. }
        | Op::Vstr { rn, .. }
        | Op::Vldm { rn, .. }
        | Op::Vstm { rn, .. }
        | Op::Ldrex { rn, .. }
        | Op::Strex { rn, .. } => (rn, None),
        Op::LdrReg { rn, rm, .. } | Op::StrReg { rn, rm, .. } => (rn, Some(rm)),
        Op::LdrAbs { .. } => (super::op::SCRATCH, None),
        _ => return None,
    })
}

fn is_single_load(op: &Op) -> bool {
    loaded_register(op).is_some()
}

fn loaded_register(op: &Op) -> Option<Reg> {
    match *op {
        Op::LdrWord { rt, .. }
        | Op::LdrWordPost { rt, .. }
        | Op::Ldr { rt, .. }
        | Op::LdrReg { rt, .. }
        | Op::LdrAbs { rt, .. } => Some(rt),
        _ => None,
    }
}

/// S registers a store reads: first and count.
fn stored_singles(op: &Op) -> Option<(Reg, u8)> {
    match *op {
        Op::Vstr { d, .. } => Some((d, 1)),
        Op::Vstm { d, count, .. } => Some((d, count)),
        _ => None,
    }
}

fn alu_destination(op: &Op) -> Option<Reg> {
    match *op {
        Op::MovImm { rd, .. }
        | Op::MovReg { rd, .. }
        | Op::AddImm { rd, .. }
        | Op::AddReg { rd, .. }
        | Op::AddShl { rd, .. }
        | Op::SubReg { rd, .. }
        | Op::AddsImm { rd, .. }
        | Op::SubsImm { rd, .. }
        | Op::ShlImm { rd, .. }
        | Op::AluImm { rd, .. }
        | Op::AluReg { rd, .. }
        | Op::AluShift { rd, .. }
        | Op::ShiftReg { rd, .. }
        | Op::Movt { rd, .. }
        | Op::Mul { rd, .. }
        | Op::Mla { rd, .. }
        | Op::Mls { rd, .. }
        | Op::Bitfield { rd, .. }
        | Op::Bfi { rd, .. }
        | Op::Bfc { rd, .. }
        | Op::Unary { rd, .. }
        | Op::Extend { rd, .. }
        | Op::Sat { rd, .. }
        | Op::Dsp { rd, .. } => Some(rd),
        _ => None,
    }
}

//! Cases in `rsemu`'s Cortex-M4F: an interpreter with floats in software, written from the manuals alone.

use std::sync::Arc;

use rsemu::core::space::{AddressSpace, RamStore, Region, UnassignedPolicy};
use rsemu::cpu::arm::v7m::{ArmV7m, Config};

use crate::bench::Bench;
use crate::case::{Case, Outcome};

/// Where a handler returns to; nothing is there.
const RETURN: u32 = 0x0018_0000;
const LIMIT: usize = 1_000_000;

/// Whether a word is what it should be. The sign of a NaN is left to QEMU: `VSUB` hands on a NaN operand as it is
/// (DDI 0403E, `FPSub`), but `rsemu` 0.0.7 flips the sign of its right operand first.
pub(crate) fn same(ours: u32, theirs: u32) -> bool {
    ours == theirs || f32::from_bits(ours).is_nan() && ours ^ theirs == 0x8000_0000
}

struct Core {
    cpu: ArmV7m,
    memory: Arc<RamStore>,
}

pub(crate) fn run(bench: &Bench, cases: &[Case]) -> Vec<Outcome> {
    let core = Core::new(bench);
    cases.iter().map(|case| core.call(bench, case)).collect()
}

impl Core {
    fn new(bench: &Bench) -> Self {
        let memory = Arc::new(RamStore::new(u64::from(bench.memory())));
        memory.write_at(0, bench.text()).expect("the code fits");
        let space = AddressSpace::new("memory", 32).with_unassigned(UnassignedPolicy::FAULT);
        let region = Region::ram("memory", Arc::clone(&memory));
        space
            .topology()
            .map(region, 0)
            .expect("nothing else is there");
        let cpu = ArmV7m::new(Config::CORTEX_M4F);
        cpu.attach_space(Arc::new(space));
        cpu.step(); // reset
        cpu.with_sys(|sys| sys.cpacr = 0x00F0_0000);
        Self { cpu, memory }
    }

    fn call(&self, bench: &Bench, case: &Case) -> Outcome {
        for (window, bytes) in bench.parts(&case.state) {
            self.memory
                .write_at(window.addr.into(), bytes)
                .expect("inside the memory");
        }
        self.cpu.set_reg(0, case.argument);
        self.cpu.set_reg(13, bench.stack);
        self.cpu.set_reg(14, RETURN | 1);
        self.cpu.set_pc(case.entry);
        let back = (0..LIMIT).any(|_| {
            self.cpu.step();
            self.cpu.pc() == RETURN
        });
        let at = self.cpu.pc();
        assert!(back, "{:#x} does not return, and is at {at:#x}", case.entry);
        let mut state = vec![0; case.state.len()];
        let mut rest = &mut state[..];
        for window in bench.windows {
            let (part, behind) = rest.split_at_mut(window.len as usize);
            self.memory
                .read_at(window.addr.into(), part)
                .expect("inside the memory");
            rest = behind;
        }
        Outcome {
            state,
            sent: self.cpu.s(0),
        }
    }
}

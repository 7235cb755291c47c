//! Millions of emulated instructions a second on one host thread, on the kinds of loop the firmware consists of.
//!
//! `cargo run --release -p nirc-emulator --example mips`

use std::sync::Arc;
use std::time::{Duration, Instant};

use nirc_emulator::{Chip, ChipConfig, Machine, Segment};

/// The bytes of mips.s.
#[rustfmt::skip]
const CODE: &[u16] = &[
    0x4603, 0xf500, 0x6480, 0x2520, 0xecb3, 0x0a08, 0xec94, 0x4a08, 0xee34, 0x4a00, 0xee74, 0x4aa0, 0xee35, 0x5a01,
    0xee75, 0x5aa1, 0xee36, 0x6a02, 0xee76, 0x6aa2, 0xee37, 0x7a03, 0xee77, 0x7aa3, 0xeca4, 0x4a08, 0x3d01, 0xd1e7,
    0x3a01, 0xd1e1, 0x4770, 0x4603, 0xf500, 0x6480, 0x2540, 0xec93, 0x0a04, 0xec94, 0x2a04, 0xee20, 0x0a0e, 0xee60,
    0x0a8e, 0xee21, 0x1a0e, 0xee61, 0x1a8e, 0xee22, 0x2a2e, 0xee62, 0x2aae, 0xee23, 0x3a2e, 0xee63, 0x3aae, 0xee20,
    0x4a0f, 0xee32, 0x2a04, 0xee20, 0x4a8f, 0xee72, 0x2a84, 0xee21, 0x4a0f, 0xee33, 0x3a04, 0xee21, 0x4a8f, 0xee73,
    0x3a84, 0xeca3, 0x0a04, 0xeeb4, 0x2a6f, 0xeef1, 0xfa10, 0xdc14, 0xeef4, 0x2a6f, 0xeef1, 0xfa10, 0xdc0f, 0xeeb4,
    0x3a6f, 0xeef1, 0xfa10, 0xdc0a, 0xeef4, 0x3a6f, 0xeef1, 0xfa10, 0xdc05, 0xeca4, 0x2a04, 0x3d01, 0xd1c1, 0x3a01,
    0xd1bb, 0x4770, 0x4603, 0xf44f, 0x7580, 0x2600, 0xf853, 0x4b04, 0x4426, 0xea86, 0x07c4, 0x2f00, 0xbf08, 0x3601,
    0x3d01, 0xd1f5, 0x3a01, 0xd1ef, 0x4630, 0x4770,
];

const KERNELS: [(&str, u32); 3] = [
    ("dense row (VLDM, VADD, VSTM)", 0),
    ("LIF (VMUL, VADD, VCMP)", 0x3e),
    ("integer", 0xc8),
];

const DATA: u32 = 0x1_0000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes: Vec<u8> = CODE.iter().flat_map(|half| half.to_le_bytes()).collect();
    for (name, entry) in KERNELS {
        let mut best = 0.0f64;
        let mut cycles_per_instruction = 0.0;
        for _ in 0..5 {
            let mut machine = Machine::new(0, &bytes)?;
            for word in 0..512 {
                machine.write(DATA + 4 * word, &(word as f32 / 1024.0).to_le_bytes())?;
            }
            for (s, value) in [(28, 1.0f32), (29, 0.9), (30, 0.1), (31, 1e9)] {
                machine.set_s(s, value.to_bits());
            }
            machine.set_r(0, DATA);
            machine.set_r(2, 50_000);
            let (wall, cpu) = (Instant::now(), cpu_time());
            let ran = machine.call(entry, u64::MAX)?;
            let wall = wall.elapsed();
            let time = cpu_time()
                .zip(cpu)
                .map_or(wall, |(after, before)| after - before);
            best = best.max(ran.instructions as f64 / time.as_secs_f64() / 1e6);
            cycles_per_instruction = ran.cycles as f64 / ran.instructions as f64;
        }
        println!("{name:<30} {best:6.0} MIPS   {cycles_per_instruction:.2} cycles per instruction");
    }
    whole_chip(&bytes)
}

/// All PEs on the dense row at once, on one thread: what switching among them costs.
fn whole_chip(code: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let mut chip = Chip::new(ChipConfig::spinnaker2_prototype())?;
    // Vector table; ldr r0, =DATA; mvn r2, #0; mov.w r1, #0xf00000; ldr r3, =CPACR; str r1, [r3]; b to the kernel at 0x20.
    #[rustfmt::skip]
    let start: [u16; 16] = [
        0x0000, 0x0002, 0x0009, 0x0000, 0x4803, 0xf06f, 0x0200, 0xf44f, 0x0170, 0x4b02, 0x6019, 0xe003,
        0x0000, 0x0001, 0xed88, 0xe000,
    ];
    let image: Vec<u8> = start
        .iter()
        .flat_map(|h| h.to_le_bytes())
        .chain(code.iter().copied())
        .collect();
    for pe in 0..chip.config().pes() {
        chip.load(pe, &[Segment::code(0, image.clone())], Arc::default())?;
        chip.start(pe)?;
    }
    chip.run(10_000, 1)?;
    let (wall, cpu) = (Instant::now(), cpu_time());
    let summary = chip.run(2_000_000, 1)?;
    let wall = wall.elapsed();
    let time = cpu_time()
        .zip(cpu)
        .map_or(wall, |(after, before)| after - before);
    let mips = summary.instructions as f64 / time.as_secs_f64() / 1e6;
    println!("{:<30} {mips:6.0} MIPS", "152 PEs, dense row");
    Ok(())
}

/// Time this thread has run, where the system tells (Linux): a busy machine then does not distort the figures.
fn cpu_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(Duration::from_nanos(
        text.split_whitespace().next()?.parse().ok()?,
    ))
}

//! What the values of a target must say together.

use std::collections::BTreeSet;

use super::{Region, Target, TargetProblem};

type Rule = fn(&Target) -> Vec<String>;

/// The rules by name.
const RULES: [(&str, Rule); 13] = [
    ("a quad for every four PEs", quads_hold_the_pes),
    ("quads stand apart and inside the mesh", quads_stand_apart),
    (
        "the router stands in the mesh, beside the quads",
        router_stands_apart,
    ),
    (
        "the order of a quad's PEs names each once",
        pe_order_is_complete,
    ),
    (
        "address ranges are not empty and do not overlap",
        regions_stand_apart,
    ),
    ("code, data and stack fit into SRAM", image_fits),
    (
        "every PE's SRAM lies in the remote window",
        remote_window_fits,
    ),
    (
        "fields of a transmit control word do not overlap",
        tcr_fields_stand_apart,
    ),
    (
        "registers are words, distinct and inside their block",
        registers_fit,
    ),
    ("filters differ", filters_differ),
    ("interrupts are distinct and exist", interrupts_fit),
    ("clocks and voltages ascend", clocks_ascend),
    ("power ascends with activity", power_ascends),
];

pub(super) fn broken(target: &Target) -> Vec<TargetProblem> {
    RULES
        .iter()
        .flat_map(|&(rule, check)| {
            check(target)
                .into_iter()
                .map(move |detail| TargetProblem::Rule { rule, detail })
        })
        .collect()
}

fn quads_hold_the_pes(target: &Target) -> Vec<String> {
    let chip = &target.chip;
    let room = chip.quads.len() as u64 * u64::from(chip.pes_per_quad);
    fail_if(room != u64::from(chip.pes), || {
        format!(
            "{} quads of {} hold {room} PEs, the chip has {}",
            chip.quads.len(),
            chip.pes_per_quad,
            chip.pes
        )
    })
}

fn quads_stand_apart(target: &Target) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut wrong = Vec::new();
    for &(x, y) in &target.chip.quads {
        if !seen.insert((x, y)) {
            wrong.push(format!("two quads stand at ({x}, {y})"));
        }
        if x >= target.noc.columns || y >= target.noc.rows {
            wrong.push(format!(
                "a quad stands at ({x}, {y}), the mesh is {} by {}",
                target.noc.columns, target.noc.rows
            ));
        }
    }
    wrong
}

fn router_stands_apart(target: &Target) -> Vec<String> {
    let router = &target.router;
    let mut wrong = Vec::new();
    for (x, y) in [router.position, router.second_position] {
        if x >= target.noc.columns || y >= target.noc.rows {
            wrong.push(format!("({x}, {y}) is outside the mesh"));
        }
        if target.chip.quads.contains(&(x, y)) {
            wrong.push(format!("a quad stands at ({x}, {y}) too"));
        }
    }
    if router.position == router.second_position {
        wrong.push("both its nodes are the same".to_string());
    }
    wrong
}

fn pe_order_is_complete(target: &Target) -> Vec<String> {
    let mut order: Vec<u32> = target.chip.pe_order.iter().map(|&pe| pe.into()).collect();
    order.sort_unstable();
    let all: Vec<u32> = (0..target.chip.pes_per_quad.min(256)).collect();
    fail_if(order != all, || {
        format!(
            "{:?} does not name each of {} PEs once",
            target.chip.pe_order, target.chip.pes_per_quad
        )
    })
}

/// Every range of the address map, by name.
fn regions(target: &Target) -> [(&'static str, &Region); 17] {
    let memory = &target.memory;
    [
        ("sram", &memory.sram),
        ("quad_window", &memory.quad_window),
        ("dram_window", &memory.dram_window),
        ("prng", &memory.prng),
        ("trng", &memory.trng),
        ("exp_log", &memory.exp_log),
        ("timer1", &memory.timer1),
        ("timer2", &memory.timer2),
        ("comms", &memory.comms),
        ("ml_accelerator", &memory.ml_accelerator),
        ("remote_sram", &memory.remote_sram),
        ("quad_registers", &memory.quad_registers),
        ("management", &memory.management),
        ("uart0", &memory.uart0),
        ("uart1", &memory.uart1),
        ("core_registers", &memory.core_registers),
        ("system_control", &memory.system_control),
    ]
}

fn regions_stand_apart(target: &Target) -> Vec<String> {
    let mut regions = regions(target);
    regions.sort_by_key(|(_, region)| region.base);
    let mut wrong = Vec::new();
    for (name, region) in &regions {
        if region.size == 0 {
            wrong.push(format!("{name} is empty"));
        }
        if region.end() > 1 << 32 {
            wrong.push(format!("{name} ends past address 0xffffffff"));
        }
    }
    for pair in regions.windows(2) {
        let [(first, a), (second, b)] = pair else {
            continue;
        };
        if a.end() > b.base.into() {
            wrong.push(format!(
                "{first} ends at 0x{:x}, {second} begins at 0x{:x}",
                a.end(),
                b.base
            ));
        }
    }
    wrong
}

fn image_fits(target: &Target) -> Vec<String> {
    let (pe, layout, sram) = (&target.pe, &target.layout, &target.memory.sram);
    let mut wrong = Vec::new();
    let end = sram.end();
    let mut inside = |what: &str, addr: u64| {
        if addr > end || addr < sram.base.into() {
            wrong.push(format!(
                "{what} is 0x{addr:x}, SRAM is 0x{:x} to 0x{end:x}",
                sram.base
            ));
        }
    };
    inside("the stack's top", pe.stack_top.into());
    inside(
        "the end of the code",
        u64::from(sram.base) + u64::from(pe.code_limit),
    );
    inside("the begin of the data", layout.data_at.into());
    inside(
        "the end of the log",
        u64::from(layout.log_at) + 4 * u64::from(layout.log_words),
    );
    inside("the data specification", layout.spec_at.into());
    let stack_end = u64::from(pe.stack_top).saturating_sub(pe.stack_bytes.into());
    if stack_end < layout.data_at.into() {
        wrong.push(format!(
            "the stack reaches down to 0x{stack_end:x}, below the data at 0x{:x}",
            layout.data_at
        ));
    }
    if u64::from(sram.base) + u64::from(pe.code_limit) > layout.data_at.into() {
        wrong.push(format!(
            "code may end at 0x{:x}, behind the begin of the data at 0x{:x}",
            u64::from(sram.base) + u64::from(pe.code_limit),
            layout.data_at
        ));
    }
    wrong
}

fn remote_window_fits(target: &Target) -> Vec<String> {
    let (pe, window) = (&target.pe, &target.memory.remote_sram);
    let shifts = [
        pe.id_x_shift,
        pe.id_y_shift,
        pe.id_pe_shift,
        target.remote.id_shift,
    ];
    if shifts.iter().any(|&shift| shift > 31) {
        return vec![format!("a shift of {shifts:?} is more than 31 bits")];
    }
    let last = target
        .pes()
        .map(|((x, y), n)| {
            u64::from(x) << pe.id_x_shift
                | u64::from(y) << pe.id_y_shift
                | u64::from(n) << pe.id_pe_shift
        })
        .max()
        .unwrap_or(0);
    let stride = 1_u64 << target.remote.id_shift;
    let needed = (last + 1).saturating_mul(stride);
    let mut wrong = fail_if(needed > window.size.into(), || {
        format!(
            "PE {last} needs {needed} bytes of window, there are {}",
            window.size
        )
    });
    wrong.extend(fail_if(u64::from(target.memory.sram.size) > stride, || {
        format!(
            "a PE has {} bytes of SRAM and {stride} bytes of window",
            target.memory.sram.size
        )
    }));
    wrong
}

fn tcr_fields_stand_apart(target: &Target) -> Vec<String> {
    let tcr = &target.tcr;
    let wide = |name, shift, bits: u32| (name, u64::from(shift), u64::from(bits));
    let fields = [
        wide("constant", tcr.constant_shift, bits_of(tcr.constant)),
        wide(
            "x",
            tcr.x_shift,
            bits_of(u32::from(target.noc.columns.saturating_sub(1))),
        ),
        wide(
            "y",
            tcr.y_shift,
            bits_of(u32::from(target.noc.rows.saturating_sub(1))),
        ),
        wide("mask", tcr.mask_shift, tcr.mask_bits),
        wide(
            "type",
            tcr.type_shift,
            bits_of(tcr.type_spinnaker | tcr.type_protocol),
        ),
        wide("payload", tcr.payload_bit, 1),
        wide("route", tcr.route_shift, bits_of(tcr.route_none)),
    ];
    let mut wrong = Vec::new();
    for (i, &(name, shift, bits)) in fields.iter().enumerate() {
        if shift + bits > 32 {
            wrong.push(format!(
                "{name} takes {bits} bits from bit {shift} on, of 32"
            ));
        }
        for &(other, other_shift, other_bits) in &fields[..i] {
            if shift < other_shift + other_bits && other_shift < shift + bits {
                wrong.push(format!("{other} and {name} share bits"));
            }
        }
    }
    if tcr.mask_bits < target.chip.pes_per_quad {
        wrong.push(format!(
            "the mask has {} bits for {} PEs",
            tcr.mask_bits, target.chip.pes_per_quad
        ));
    }
    wrong
}

fn bits_of(value: u32) -> u32 {
    32 - value.leading_zeros()
}

fn registers_fit(target: &Target) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut block = |block: &str, size: u32, offsets: &[u32]| {
        let mut seen = BTreeSet::new();
        for &offset in offsets {
            if offset % 4 != 0 || u64::from(offset) + 4 > size.into() {
                wrong.push(format!(
                    "{block} has a register at 0x{offset:x} of 0x{size:x}"
                ));
            }
            if !seen.insert(offset) {
                wrong.push(format!("{block} has two registers at 0x{offset:x}"));
            }
        }
    };
    let (memory, comms, fifo) = (&target.memory, &target.comms, &target.fifo);
    let channel = [
        comms.tcr, comms.tdr3, comms.tdr2, comms.tdr1, comms.tdr0, comms.tkr,
    ];
    block("a transmit channel", comms.channel_stride, &channel);
    let mut registers = vec![
        comms.tctl, comms.rcr, comms.rdr3, comms.rdr2, comms.rdr1, comms.rdr0, comms.rkr,
        comms.rdc, comms.rctl, comms.id, comms.gctl,
    ];
    for n in 0..comms.channels.min(64) {
        let start = n.saturating_mul(comms.channel_stride);
        registers.extend(channel.iter().map(|&offset| start.saturating_add(offset)));
    }
    let queue = [
        fifo.filter,
        fifo.start,
        fifo.end,
        fifo.read,
        fifo.write,
        fifo.limit,
        fifo.occupancy,
        fifo.max_occupancy,
        fifo.dropped,
        fifo.control,
    ];
    block("an event FIFO", fifo.stride, &queue);
    for n in 0..fifo.count.min(64) {
        let start = fifo.base.saturating_add(n.saturating_mul(fifo.stride));
        registers.extend(queue.iter().map(|&offset| start.saturating_add(offset)));
    }
    block(
        "the communications controller",
        memory.comms.size,
        &registers,
    );
    let timer = &target.timer;
    let timer = [
        timer.load,
        timer.current,
        timer.control,
        timer.interrupt_clear,
        timer.interrupt_raw,
        timer.interrupt_masked,
        timer.background_load,
    ];
    block("timer 1", memory.timer1.size, &timer);
    block("timer 2", memory.timer2.size, &timer);
    let unit = &target.exp_log;
    let unit = [
        unit.exp_s16_15,
        unit.exp_s0_31,
        unit.log_s16_15,
        unit.log_s0_31,
        unit.iterations,
    ];
    block("the exp/log unit", memory.exp_log.size, &unit);
    for (name, bit) in [
        ("tctl_ready_bit", comms.tctl_ready_bit),
        ("gctl_buffered_bit", comms.gctl_buffered_bit),
        ("gctl_pointer_bit", comms.gctl_pointer_bit),
        ("id_chip_shift", comms.id_chip_shift),
    ] {
        wrong.extend(fail_if(bit > 31, || {
            format!("{name} is {bit}, a word has bits 0 to 31")
        }));
    }
    wrong
}

fn filters_differ(target: &Target) -> Vec<String> {
    let fifo = &target.fifo;
    fail_if(fifo.filter_plain == fifo.filter_payload, || {
        format!("both are 0x{:x}", fifo.filter_plain)
    })
}

fn interrupts_fit(target: &Target) -> Vec<String> {
    let irq = &target.irq;
    let numbers = [
        ("timer1", irq.timer1),
        ("timer2", irq.timer2),
        ("fifo0_not_empty", irq.fifo0_not_empty),
        ("fifo0_full", irq.fifo0_full),
        ("fifo0_limit", irq.fifo0_limit),
        ("fifo1_not_empty", irq.fifo1_not_empty),
        ("fifo1_full", irq.fifo1_full),
        ("fifo1_limit", irq.fifo1_limit),
        ("dma_read_done", irq.dma_read_done),
        ("dma_write_done", irq.dma_write_done),
        ("ml_accelerator", irq.ml_accelerator),
        ("fifo0_overrun", irq.fifo0_overrun),
        ("fifo1_overrun", irq.fifo1_overrun),
        ("global0", irq.global0),
        ("global1", irq.global1),
        ("global2", irq.global2),
        ("global3", irq.global3),
    ];
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, number) in numbers {
        if number >= target.pe.interrupts {
            wrong.push(format!("{name} is {number} of {}", target.pe.interrupts));
        }
        if !seen.insert(number) {
            wrong.push(format!("{name} is {number}, and so is another"));
        }
    }
    wrong
}

fn clocks_ascend(target: &Target) -> Vec<String> {
    let clock = &target.clock;
    let mut wrong = fail_if(clock.low_hz == 0 || clock.low_hz >= clock.high_hz, || {
        format!("{} Hz is not below {} Hz", clock.low_hz, clock.high_hz)
    });
    wrong.extend(fail_if(
        clock.low_volt <= 0.0 || clock.low_volt >= clock.high_volt,
        || format!("{} V is not below {} V", clock.low_volt, clock.high_volt),
    ));
    let others = [
        ("noc.hz", target.noc.hz),
        ("noc.config_hz", target.noc.config_hz),
        ("router.hz", target.router.hz),
        ("timer.reference_hz", target.timer.reference_hz),
    ];
    for (name, hz) in others {
        wrong.extend(fail_if(hz == 0, || format!("{name} is 0")));
    }
    wrong
}

fn power_ascends(target: &Target) -> Vec<String> {
    let power = &target.power;
    let ascends = |steps: [f64; 3]| steps[0] > 0.0 && steps[0] < steps[1] && steps[1] < steps[2];
    let low = [power.all_off, power.sleep_low, power.coremark_low];
    let high = [power.all_off, power.sleep_high, power.coremark_high];
    [low, high]
        .into_iter()
        .filter(|&steps| !ascends(steps))
        .map(|steps| format!("off, asleep, active are {steps:?} mW"))
        .collect()
}

fn fail_if(broken: bool, detail: impl FnOnce() -> String) -> Vec<String> {
    if broken { vec![detail()] } else { Vec::new() }
}

impl Region {
    /// The first address behind it, beyond 32 bits if need be.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.base as u64 + self.size as u64
    }
}

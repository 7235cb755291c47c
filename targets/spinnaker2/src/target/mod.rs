//! What is known of the chip, as data.
//!
//! A target file holds each value with its source and how far it can be trusted; nothing of it stands in the compiler.
//! [`Target::parse`] reads one and reports all its problems at once; [`Target::rows`] lists it for people. A value
//! without source or trust, a value nothing reads, a value missing: each is a problem. [`Target::validate`] checks what
//! the values say together, as a list of small rules.

mod read;
mod rules;

use read::Reader;

/// The file of the built-in target.
const SPINNAKER2: &str = include_str!("spinnaker2.toml");

/// How far a value can be trusted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Trust {
    /// Our own choice where nothing is public.
    Assumed,
    /// Known of the test chip.
    Prototype,
    /// Known of the production chip.
    Production,
}

impl Trust {
    /// Its name in a target file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Trust::Assumed => "assumed",
            Trust::Prototype => "prototype",
            Trust::Production => "production",
        }
    }
}

impl std::fmt::Display for Trust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// One value as people read it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// Its name, such as `memory.sram.size`.
    pub name: String,
    /// Its value with unit.
    pub value: String,
    /// Where it is from.
    pub source: String,
    /// How far it can be trusted.
    pub trust: Trust,
}

/// A question that public sources answer differently.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// What it is about.
    pub topic: String,
    /// The name of the value that decides it here, if one does.
    pub used: Option<String>,
    /// The answers.
    pub answers: Vec<Row>,
}

/// What is wrong with a target file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TargetProblem {
    /// It is no TOML.
    #[error("not TOML: {0}")]
    Toml(String),
    /// A value stands alone.
    #[error("`{0}` must be {{ value, source, trust }}, but is a bare value")]
    Bare(String),
    /// A value without a source, or from one the file does not list.
    #[error("`{name}` must have a source that begins with a key of [sources], but has {found}")]
    Source {
        /// The value's name.
        name: String,
        /// What stands there.
        found: String,
    },
    /// A value that does not say how far to trust it.
    #[error(
        "`{name}` must have trust \"production\", \"prototype\" or \"assumed\", but has {found}"
    )]
    Trust {
        /// The value's name.
        name: String,
        /// What stands there.
        found: String,
    },
    /// An entry says something about itself that means nothing.
    #[error("`{name}` has a key `{key}` that entries do not have")]
    Key {
        /// The value's name.
        name: String,
        /// The key.
        key: String,
    },
    /// A value is missing.
    #[error("`{0}` is missing")]
    Missing(String),
    /// A value of the wrong type or out of its type's range.
    #[error("`{name}` must be {expected}, but is {found}")]
    Type {
        /// The value's name.
        name: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A value that nothing reads: most likely misspelt.
    #[error("`{0}` is not a value of a target")]
    Unknown(String),
    /// The values contradict each other.
    #[error("{rule}: {detail}")]
    Rule {
        /// The rule.
        rule: &'static str,
        /// How it is broken.
        detail: String,
    },
}

/// Declares a table of a target file as a struct, with its reader.
macro_rules! tables {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Debug, Default)]
            pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

            impl read::Table for $name {
                fn read(reader: &mut Reader, table: &str) -> Self {
                    $name { $($field: reader.get(&format!("{table}.{}", stringify!($field))),)* }
                }
            }
        )*
    };
}

tables! {
    /// The chip as a whole.
    Chip {
        /// Its name.
        name: String,
        /// Processing elements.
        pes: u32,
        /// Processing elements that share a node of the mesh.
        pes_per_quad: u32,
        /// Where each quad stands, in the order of core numbers.
        quads: Vec<(u8, u8)>,
        /// The PEs of a quad in the order of core numbers.
        pe_order: Vec<u8>,
    }

    /// The two operating points of the PEs.
    Clock {
        /// The slow clock.
        low_hz: u64,
        /// Its voltage.
        low_volt: f64,
        /// The fast clock.
        high_hz: u64,
        /// Its voltage.
        high_volt: f64,
    }

    /// The mesh.
    Noc {
        /// Columns, quads and other nodes.
        columns: u8,
        /// Rows.
        rows: u8,
        /// Clock of the data network.
        hz: u64,
        /// Clock of the configuration network.
        config_hz: u64,
        /// Cycles from node to node.
        cycles_per_hop: u32,
        /// Bits of a flit.
        flit_bits: u32,
        /// Words of payload at most.
        payload_words_max: u32,
    }

    /// The multicast router.
    Router {
        /// Its node.
        position: (u8, u8),
        /// Its other node.
        second_position: (u8, u8),
        /// Entries of its table.
        entries: u32,
        /// Its clock.
        hz: u64,
        /// Cycles a packet takes through it.
        pipeline_cycles: u32,
        /// Links to other chips.
        links: u32,
        /// Counters for diagnosis.
        diagnostic_counters: u32,
    }

    /// A processing element.
    Pe {
        /// Banks of its SRAM.
        sram_banks: u32,
        /// Bytes that vectors and code may take.
        code_limit: u32,
        /// Where the stack begins, downwards.
        stack_top: u32,
        /// Bytes kept for it.
        stack_bytes: u32,
        /// Interrupt sources.
        interrupts: u32,
        /// Bits of an interrupt's priority.
        priority_bits: u32,
        /// Where the place in the quad stands in a PE's id.
        id_pe_shift: u32,
        /// Where the quad's y stands.
        id_y_shift: u32,
        /// Where the quad's x stands.
        id_x_shift: u32,
    }

    /// A range of addresses.
    Region {
        /// The first.
        base: u32,
        /// How many.
        size: u32,
    }

    /// How a PE reaches others.
    Remote {
        /// How far a PE's id is shifted in an address of remote SRAM.
        id_shift: u32,
        /// Bytes from one quad's registers to the next.
        quad_stride: u32,
    }

    /// Registers of the communications controller.
    Comms {
        /// Transmit channels.
        channels: u32,
        /// Bytes from channel to channel.
        channel_stride: u32,
        /// Transmit control.
        tcr: u32,
        /// Transmit data, word 3.
        tdr3: u32,
        /// Word 2.
        tdr2: u32,
        /// Word 1.
        tdr1: u32,
        /// Word 0.
        tdr0: u32,
        /// Transmit key; a write launches the packet.
        tkr: u32,
        /// Transmit status.
        tctl: u32,
        /// Receive control.
        rcr: u32,
        /// Receive data, word 3.
        rdr3: u32,
        /// Word 2.
        rdr2: u32,
        /// Word 1.
        rdr1: u32,
        /// Word 0.
        rdr0: u32,
        /// Receive key.
        rkr: u32,
        /// Packets dropped.
        rdc: u32,
        /// Receive control.
        rctl: u32,
        /// Who we are.
        id: u32,
        /// General control.
        gctl: u32,
        /// What is written to `tctl` at the start.
        tctl_init: u32,
        /// The bit of `tctl` that says ready.
        tctl_ready_bit: u32,
        /// What is written to `rctl` at the start.
        rctl_init: u32,
        /// The bit of `gctl` for buffered writes.
        gctl_buffered_bit: u32,
        /// The bit of `gctl` that opens a FIFO's write pointer.
        gctl_pointer_bit: u32,
        /// The PE's id in `id`.
        id_pe_mask: u32,
        /// Where the chip's id stands in `id`.
        id_chip_shift: u32,
    }

    /// Fields of a transmit control word.
    Tcr {
        /// Where the constant stands.
        constant_shift: u32,
        /// The constant.
        constant: u32,
        /// Where the quad's x stands.
        x_shift: u32,
        /// Where the quad's y stands.
        y_shift: u32,
        /// Where the set of PEs stands.
        mask_shift: u32,
        /// Its bits; the highest is PE 0.
        mask_bits: u32,
        /// Where the type stands.
        type_shift: u32,
        /// The type of multicast packets.
        type_spinnaker: u32,
        /// The type of packets to PEs.
        type_protocol: u32,
        /// The bit that says a payload word follows.
        payload_bit: u32,
        /// Where the forced route stands.
        route_shift: u32,
        /// No forced route.
        route_none: u32,
    }

    /// Event FIFOs.
    Fifo {
        /// How many.
        count: u32,
        /// The first, from the controller's base on.
        base: u32,
        /// Bytes from one to the next.
        stride: u32,
        /// What it takes.
        filter: u32,
        /// First address of its ring.
        start: u32,
        /// First address behind its ring.
        end: u32,
        /// Read pointer.
        read: u32,
        /// Write pointer.
        write: u32,
        /// Fill that raises an interrupt.
        limit: u32,
        /// Words in it.
        occupancy: u32,
        /// Most words there ever were.
        max_occupancy: u32,
        /// Packets dropped.
        dropped: u32,
        /// Control.
        control: u32,
        /// What is written to `control` to start it.
        control_on: u32,
        /// Filter for packets without payload.
        filter_plain: u32,
        /// Filter for packets with payload.
        filter_payload: u32,
    }

    /// Numbers of interrupts.
    Irq {
        /// Timer 1.
        timer1: u32,
        /// Timer 2.
        timer2: u32,
        /// Something in FIFO 0.
        fifo0_not_empty: u32,
        /// FIFO 0 full.
        fifo0_full: u32,
        /// FIFO 0 at its limit.
        fifo0_limit: u32,
        /// Something in FIFO 1.
        fifo1_not_empty: u32,
        /// FIFO 1 full.
        fifo1_full: u32,
        /// FIFO 1 at its limit.
        fifo1_limit: u32,
        /// Bulk read done.
        dma_read_done: u32,
        /// Bulk write done.
        dma_write_done: u32,
        /// Accelerator done.
        ml_accelerator: u32,
        /// FIFO 0 dropped a packet.
        fifo0_overrun: u32,
        /// FIFO 1 dropped a packet.
        fifo1_overrun: u32,
        /// Global line 0.
        global0: u32,
        /// Global line 1.
        global1: u32,
        /// Global line 2.
        global2: u32,
        /// Global line 3.
        global3: u32,
    }

    /// Registers of a timer.
    Timer {
        /// Its clock.
        reference_hz: u64,
        /// Start value.
        load: u32,
        /// Current value.
        current: u32,
        /// Control.
        control: u32,
        /// A write clears the interrupt.
        interrupt_clear: u32,
        /// Interrupt before masking.
        interrupt_raw: u32,
        /// Interrupt after masking.
        interrupt_masked: u32,
        /// Next start value.
        background_load: u32,
        /// What is written to `control` to start it.
        control_start: u32,
    }

    /// Registers of the exponential and logarithm unit.
    ExpLog {
        /// Exponential, s16.15.
        exp_s16_15: u32,
        /// Exponential, s0.31.
        exp_s0_31: u32,
        /// Logarithm, s16.15.
        log_s16_15: u32,
        /// Logarithm, s0.31.
        log_s0_31: u32,
        /// Number of iterations.
        iterations: u32,
        /// Operands under way at most.
        pipeline_depth: u32,
        /// Cycles at least.
        cycles_min: u32,
        /// Cycles at most.
        cycles_max: u32,
    }

    /// Power of the chip in milliwatts.
    Power {
        /// All PEs off.
        all_off: f64,
        /// All PEs asleep, low operating point.
        sleep_low: f64,
        /// All PEs asleep, high operating point.
        sleep_high: f64,
        /// CoreMark on all PEs, low operating point.
        coremark_low: f64,
        /// CoreMark on all PEs, high operating point.
        coremark_high: f64,
    }

    /// What the public application framework expects of an image.
    Layout {
        /// Where data may begin.
        data_at: u32,
        /// Error log.
        log_at: u32,
        /// Its length.
        log_words: u32,
        /// Data specification.
        spec_at: u32,
        /// Its first word.
        spec_magic: u32,
        /// Its second word.
        spec_version: u32,
    }

    /// The published EventProp run.
    EventProp {
        /// Samples of a batch.
        batch: u32,
        /// Time of a batch.
        batch_ms: f64,
        /// Ticks of the forward pass.
        ticks_forward: u32,
        /// Ticks of the backward pass.
        ticks_backward: u32,
        /// Ticks of the update.
        ticks_update: u32,
        /// Length of a tick.
        tick_ms: f64,
        /// Power of the chip in milliwatts.
        power: f64,
        /// Energy of a batch in millijoules.
        batch_mj: f64,
    }

    /// The address map of a PE.
    Memory {
        /// Its own SRAM.
        sram: Region,
        /// The SRAM of its quad.
        quad_window: Region,
        /// DRAM.
        dram_window: Region,
        /// Pseudo-random numbers.
        prng: Region,
        /// True random numbers.
        trng: Region,
        /// Exponential and logarithm.
        exp_log: Region,
        /// Timer 1.
        timer1: Region,
        /// Timer 2.
        timer2: Region,
        /// Communications controller.
        comms: Region,
        /// Machine-learning accelerator.
        ml_accelerator: Region,
        /// Any PE's SRAM.
        remote_sram: Region,
        /// Registers of the quads.
        quad_registers: Region,
        /// Registers of the chip's management.
        management: Region,
        /// Serial port 0.
        uart0: Region,
        /// Serial port 1.
        uart1: Region,
        /// Registers of the chip's core.
        core_registers: Region,
        /// The processor's own: interrupt controller, system timer, system control.
        system_control: Region,
    }
}

/// Everything known of a chip.
#[derive(Clone, PartialEq, Debug)]
pub struct Target {
    /// The chip as a whole.
    pub chip: Chip,
    /// Operating points.
    pub clock: Clock,
    /// The mesh.
    pub noc: Noc,
    /// The router.
    pub router: Router,
    /// A processing element.
    pub pe: Pe,
    /// Its address map.
    pub memory: Memory,
    /// How a PE reaches others.
    pub remote: Remote,
    /// Communications controller.
    pub comms: Comms,
    /// Transmit control word.
    pub tcr: Tcr,
    /// Event FIFOs.
    pub fifo: Fifo,
    /// Interrupts.
    pub irq: Irq,
    /// Timers.
    pub timer: Timer,
    /// Exponential and logarithm.
    pub exp_log: ExpLog,
    /// Power.
    pub power: Power,
    /// Layout of the public framework.
    pub layout: Layout,
    /// The published EventProp run.
    pub eventprop: EventProp,
    /// Where sources disagree.
    pub conflicts: Vec<Conflict>,
    /// The sources: key and description.
    pub sources: Vec<(String, String)>,
    rows: Vec<Row>,
}

impl Target {
    /// The chip this project compiles for.
    ///
    /// # Panics
    /// If the built-in file has a problem, which a test rules out.
    #[must_use]
    pub fn spinnaker2() -> Target {
        match Target::parse(SPINNAKER2) {
            Ok(target) => target,
            Err(problems) => unreachable!("the built-in target file is wrong: {problems:?}"),
        }
    }

    /// Reads a target file and validates it; all problems are reported.
    pub fn parse(text: &str) -> Result<Target, Vec<TargetProblem>> {
        let mut reader = Reader::new(text)?;
        let target = Target {
            chip: reader.get("chip"),
            clock: reader.get("clock"),
            noc: reader.get("noc"),
            router: reader.get("router"),
            pe: reader.get("pe"),
            memory: reader.get("memory"),
            remote: reader.get("remote"),
            comms: reader.get("comms"),
            tcr: reader.get("tcr"),
            fifo: reader.get("fifo"),
            irq: reader.get("irq"),
            timer: reader.get("timer"),
            exp_log: reader.get("exp_log"),
            power: reader.get("power"),
            layout: reader.get("layout"),
            eventprop: reader.get("eventprop"),
            conflicts: reader.conflicts(),
            sources: reader.sources(),
            rows: reader.rows(),
        };
        let mut problems = reader.finish();
        if problems.is_empty() {
            problems = target.validate();
        }
        if problems.is_empty() {
            Ok(target)
        } else {
            Err(problems)
        }
    }

    /// What the values contradict each other in; nothing for a target that was parsed and not changed since.
    #[must_use]
    pub fn validate(&self) -> Vec<TargetProblem> {
        rules::broken(self)
    }

    /// Every value with its source and trust, in the order of the file; the answers of conflicts are not among them.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a value, by its name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// The id of a PE: the byte that names it in addresses and in its own id register.
    #[must_use]
    pub fn pe_id(&self, quad: (u8, u8), pe: u8) -> u32 {
        u32::from(quad.0) << self.pe.id_x_shift
            | u32::from(quad.1) << self.pe.id_y_shift
            | u32::from(pe) << self.pe.id_pe_shift
    }

    /// The quad and the place in it of each PE, in the order of core numbers.
    pub fn pes(&self) -> impl Iterator<Item = ((u8, u8), u8)> {
        self.chip
            .quads
            .iter()
            .flat_map(|&quad| self.chip.pe_order.iter().map(move |&pe| (quad, pe)))
    }

    /// Where a PE's SRAM lies for all others.
    #[must_use]
    pub fn remote_sram(&self, quad: (u8, u8), pe: u8) -> u32 {
        let offset = self.pe_id(quad, pe) << self.remote.id_shift;
        self.memory.remote_sram.base.wrapping_add(offset)
    }

    /// The address of an event FIFO's register.
    #[must_use]
    pub fn fifo_register(&self, fifo: u32, offset: u32) -> u32 {
        self.memory.comms.base + self.fifo.base + fifo * self.fifo.stride + offset
    }

    /// The transmit control word of a multicast packet to some PEs of a quad; bit n of `pes` stands for PE n.
    #[must_use]
    pub fn tcr_word(&self, quad: (u8, u8), pes: u32, payload: bool) -> u32 {
        let tcr = &self.tcr;
        let mask = (0..tcr.mask_bits)
            .filter(|pe| pes & 1 << pe != 0)
            .fold(0, |mask, pe| mask | 1 << (tcr.mask_bits - 1 - pe));
        tcr.constant << tcr.constant_shift
            | u32::from(quad.0) << tcr.x_shift
            | u32::from(quad.1) << tcr.y_shift
            | mask << tcr.mask_shift
            | tcr.type_spinnaker << tcr.type_shift
            | u32::from(payload) << tcr.payload_bit
            | tcr.route_none << tcr.route_shift
    }
}

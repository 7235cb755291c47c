//! The tables of a target file as types: a field for each value, and nothing that has a default.

use super::read::{Reader, Table};

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

            impl Table for $name {
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

    /// What the emulator's clock needs beyond the documents.
    Timing {
        /// Cycles to refill the pipeline after a taken branch.
        branch_refill: u32,
        /// Cycles to enter and leave the network.
        network_entry: u32,
        /// Extra cycles of an access to another PE of the quad.
        quad_access: u32,
        /// Extra cycles of a load from another quad.
        remote_load: u32,
        /// Extra cycles of a store to another quad.
        remote_store: u32,
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

//! What is known of the chip, as data.
//!
//! A target file holds each value with its source and how far it can be trusted; nothing of it stands in the compiler.
//! [`Target::parse`] reads one and reports all its problems at once; [`Target::rows`] lists it for people. A value
//! without source or trust, a value nothing reads, a value missing: each is a problem. [`Target::validate`] checks what
//! the values say together, as a list of small rules.

mod read;
mod rules;
mod tables;

pub use tables::{
    Chip, Clock, Comms, EventProp, ExpLog, Fifo, Irq, Layout, Memory, Noc, Pe, Power, Region,
    Remote, Router, Tcr, Timer, Timing,
};

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
    /// What the emulator's clock needs beyond the documents.
    pub timing: Timing,
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
            timing: reader.get("timing"),
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

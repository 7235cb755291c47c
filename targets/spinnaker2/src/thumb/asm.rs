//! The assembler: instructions and data in order, labels, literal pools; the lengths of branches settle themselves.
//!
//! Emitting never fails; what is wrong is collected and comes back from [`Assembler::finish`], all of it, each problem
//! with the source it was emitted for.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use super::encode::{Code, EncodeError};
use super::inst::{Inst, Width};
use super::operand::{Cond, Reg, SReg};
use super::program::{Program, SymbolKind};

/// A place in the code, made by [`Assembler::label`] and put somewhere by [`Assembler::bind`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Label(pub(super) u32);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label{}", self.0)
    }
}

/// Everything that is wrong with what was assembled.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct AsmError(pub Vec<AsmProblem>);

/// One thing that is wrong, with the source it was emitted for.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum AsmProblem {
    /// An instruction has no encoding.
    #[error("{inst} ({origin}): {error}")]
    Encode {
        /// The instruction's text.
        inst: String,
        /// The annotation in force.
        origin: Arc<str>,
        /// What is wrong with it.
        error: EncodeError,
    },
    /// A label is used and never bound.
    #[error("{label} is used ({origin}) but not bound")]
    Unbound {
        /// The label.
        label: Label,
        /// The annotation where it is used.
        origin: Arc<str>,
    },
    /// A label is bound a second time.
    #[error("{label} is bound twice, the second time at {origin}")]
    Rebound {
        /// The label.
        label: Label,
        /// The annotation of the second place.
        origin: Arc<str>,
    },
    /// Something an `IT` block cannot hold.
    #[error("{what} ({origin})")]
    It {
        /// What it is.
        what: &'static str,
        /// The annotation in force.
        origin: Arc<str>,
    },
    /// Two symbols share a name.
    #[error("two symbols are called `{0}`")]
    SymbolTwice(String),
    /// The base address is no multiple of 4.
    #[error("the base address must be a multiple of 4, but is 0x{0:x}")]
    Base(u32),
    /// The code would run past the end of the address space.
    #[error("the code ends past address 0xffffffff")]
    TooLong,
}

/// What a word of data holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Word {
    Bits(u32),
    /// A label's address.
    Address(Label),
    /// A label's address with the bit that says Thumb.
    Entry(Label),
}

/// An item that takes room.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Inst(Inst),
    Branch {
        cond: Option<Cond>,
        to: Label,
    },
    Call {
        to: Label,
    },
    /// Long: the opposite test around a 32-bit branch.
    Cbz {
        nonzero: bool,
        rn: Reg,
        to: Label,
    },
    Adr {
        rd: Reg,
        to: Label,
    },
    LoadAt {
        rt: Reg,
        at: Label,
    },
    FLoadAt {
        sd: SReg,
        at: Label,
    },
    Word(Word),
    Half(u16),
    Byte(u8),
    Align(u32),
}

impl Kind {
    pub(super) fn is_code(&self) -> bool {
        !matches!(
            self,
            Kind::Word(_) | Kind::Half(_) | Kind::Byte(_) | Kind::Align(_)
        )
    }

    /// The label whose place it depends on.
    pub(super) fn label(&self) -> Option<Label> {
        match *self {
            Kind::Branch { to, .. }
            | Kind::Call { to }
            | Kind::Cbz { to, .. }
            | Kind::Adr { to, .. } => Some(to),
            Kind::LoadAt { at, .. } | Kind::FLoadAt { at, .. } => Some(at),
            Kind::Word(Word::Address(label) | Word::Entry(label)) => Some(label),
            _ => None,
        }
    }

    /// Its length at most, with the padding it may bring about.
    fn longest(&self, it: Option<Cond>) -> u32 {
        match self {
            Kind::Inst(inst) => inst.encode_in(it).map_or(4, Code::size),
            Kind::Cbz { .. } | Kind::Word(_) => 6,
            Kind::Half(_) | Kind::Byte(_) => 2,
            Kind::Align(to) => *to,
            _ => 4,
        }
    }

    /// Whether control never reaches what follows it.
    fn ends_flow(&self) -> bool {
        match self {
            Kind::Branch { cond: None, .. } => true,
            Kind::Inst(inst) => inst.ends_flow(),
            _ => !self.is_code(),
        }
    }
}

/// An item with what belongs to it.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) kind: Kind,
    /// The condition an `IT` block puts on it.
    pub(super) it: Option<Cond>,
    pub(super) source: Arc<str>,
    pub(super) comment: Arc<str>,
    /// Whether a branch took its longer form.
    pub(super) wide: bool,
}

/// A named place; its symbol ends where the next begins.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) name: String,
    pub(super) kind: SymbolKind,
    pub(super) label: Label,
}

/// Constants that wait for a place behind the code that loads them.
#[derive(Default)]
struct Pool {
    words: Vec<(Word, Label)>,
    known: HashMap<Word, Label>,
    /// The position by which the whole pool must be placed.
    deadline: Option<u32>,
}

/// Assembles one program.
#[derive(Default)]
pub struct Assembler {
    pub(super) items: Vec<Item>,
    /// The index of the item each label stands before.
    pub(super) labels: Vec<Option<usize>>,
    pub(super) marks: Vec<Mark>,
    pub(super) problems: Vec<AsmProblem>,
    pool: Pool,
    /// No less than the bytes emitted so far.
    position: u32,
    /// The conditions of the rest of the current `IT` block.
    it: VecDeque<Cond>,
    source: Arc<str>,
    comment: Arc<str>,
}

/// How far the pool may lie from a float load, less a margin for an `IT` block, padding and the branch around it.
const FLOAT_REACH: u32 = 1020 - 48;
/// The same for a word load.
const WORD_REACH: u32 = 4095 - 48;

/// Instructions.
impl Assembler {
    /// An empty program.
    #[must_use]
    pub fn new() -> Assembler {
        Assembler::default()
    }

    /// Emits an instruction whose operands are complete.
    pub fn emit(&mut self, inst: Inst) {
        self.push(Kind::Inst(inst));
        if let Inst::It(block) = inst {
            self.it = block.conds().collect();
        }
    }

    /// Emits several.
    pub fn emit_all(&mut self, insts: impl IntoIterator<Item = Inst>) {
        for inst in insts {
            self.emit(inst);
        }
    }

    /// Emits an instruction under a condition: an `IT` and the instruction.
    pub fn emit_if(&mut self, cond: Cond, inst: Inst) {
        self.emit(Inst::It(super::operand::ItBlock::one(cond)));
        self.emit(inst);
    }

    /// Loads a constant without touching the flags or memory: one or two instructions.
    pub fn mov_const(&mut self, rd: Reg, value: u32) {
        let (first, second) = Inst::mov_const(rd, value);
        self.emit(first);
        self.emit_all(second);
    }
}

/// Labels and what refers to them.
impl Assembler {
    /// A new label, bound nowhere yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() as u32 - 1)
    }

    /// Puts a label here.
    pub fn bind(&mut self, label: Label) {
        if !self.it.is_empty() {
            self.problems.push(AsmProblem::It {
                what: "a label stands inside an IT block",
                origin: self.source.clone(),
            });
        }
        match self.labels.get_mut(label.0 as usize) {
            Some(place @ None) => *place = Some(self.items.len()),
            Some(Some(_)) => self.problems.push(AsmProblem::Rebound {
                label,
                origin: self.source.clone(),
            }),
            None => self.problems.push(AsmProblem::Unbound {
                label,
                origin: self.source.clone(),
            }),
        }
    }

    /// A new label, bound here.
    pub fn here(&mut self) -> Label {
        let label = self.label();
        self.bind(label);
        label
    }

    /// `B`
    pub fn b(&mut self, to: Label) {
        self.push(Kind::Branch { cond: None, to });
    }

    /// `B` under a condition.
    pub fn b_if(&mut self, cond: Cond, to: Label) {
        self.push(Kind::Branch {
            cond: Some(cond),
            to,
        });
    }

    /// `BL`
    pub fn bl(&mut self, to: Label) {
        self.push(Kind::Call { to });
    }

    /// `CBZ`: branches if the (low) register is zero, without touching the flags, at any distance.
    pub fn cbz(&mut self, rn: Reg, to: Label) {
        self.push(Kind::Cbz {
            nonzero: false,
            rn,
            to,
        });
    }

    /// `CBNZ`: branches if the (low) register is not zero, without touching the flags, at any distance.
    pub fn cbnz(&mut self, rn: Reg, to: Label) {
        self.push(Kind::Cbz {
            nonzero: true,
            rn,
            to,
        });
    }

    /// `ADR`: the label's address, within 4095 bytes.
    pub fn adr(&mut self, rd: Reg, to: Label) {
        self.push(Kind::Adr { rd, to });
    }

    /// `LDR` of the word at a label, within 4095 bytes.
    pub fn ldr_at(&mut self, rt: Reg, at: Label) {
        self.push(Kind::LoadAt { rt, at });
    }

    /// `VLDR` of the word at a label, within 1020 bytes.
    pub fn vldr_at(&mut self, sd: SReg, at: Label) {
        self.push(Kind::FLoadAt { sd, at });
    }
}

/// Constants from the literal pool.
impl Assembler {
    /// `LDR` of a constant the pool holds.
    pub fn ldr_const(&mut self, rt: Reg, value: u32) {
        let at = self.pooled(Word::Bits(value), WORD_REACH);
        self.ldr_at(rt, at);
    }

    /// `VLDR` of a constant the pool holds.
    pub fn vldr_const(&mut self, sd: SReg, value: f32) {
        let at = self.pooled(Word::Bits(value.to_bits()), FLOAT_REACH);
        self.vldr_at(sd, at);
    }

    /// `LDR` of a label's address, at any distance.
    pub fn ldr_address(&mut self, rt: Reg, of: Label) {
        let at = self.pooled(Word::Address(of), WORD_REACH);
        self.ldr_at(rt, at);
    }

    /// Places the constants that wait, here. Code that would run into them is led around.
    ///
    /// The end of a function does this by itself, as does code so long that a constant would fall out of reach. Call it
    /// before a hot loop to keep the pool out of the loop.
    pub fn place_pool(&mut self) {
        if self.pool.words.is_empty() || !self.it.is_empty() {
            return;
        }
        let pool = std::mem::take(&mut self.pool);
        // The remark is on the next instruction, not on the pool.
        let comment = std::mem::take(&mut self.comment);
        let around = self.reachable().then(|| self.label());
        if let Some(label) = around {
            self.append(Kind::Branch {
                cond: None,
                to: label,
            });
        }
        for (word, label) in pool.words {
            self.bind(label);
            self.append(Kind::Word(word));
        }
        if let Some(label) = around {
            self.bind(label);
        }
        self.comment = comment;
    }

    fn pooled(&mut self, word: Word, reach: u32) -> Label {
        // Here rather than when the load is pushed, so that the load and its constant share a pool.
        self.place_pool_if_due(4);
        let label = match self.pool.known.get(&word) {
            Some(&label) => label,
            None => {
                let label = self.label();
                self.pool.words.push((word, label));
                self.pool.known.insert(word, label);
                label
            }
        };
        let deadline = self.position.saturating_add(reach);
        self.pool.deadline = Some(self.pool.deadline.map_or(deadline, |d| d.min(deadline)));
        label
    }

    /// Whether control can come to this place.
    fn reachable(&self) -> bool {
        let labelled = self.labels.contains(&Some(self.items.len()));
        let falls = self
            .items
            .last()
            .is_some_and(|item| item.it.is_some() || !item.kind.ends_flow());
        labelled || falls
    }

    fn place_pool_if_due(&mut self, next: u32) {
        let size = 4 * (self.pool.words.len() as u32 + 1);
        if let Some(deadline) = self.pool.deadline
            && self.position.saturating_add(next).saturating_add(size) > deadline
        {
            self.place_pool();
        }
    }
}

/// Data among the code.
impl Assembler {
    /// A word, at a multiple of 4.
    pub fn word(&mut self, value: u32) {
        self.push(Kind::Word(Word::Bits(value)));
    }

    /// A float, at a multiple of 4.
    pub fn float(&mut self, value: f32) {
        self.word(value.to_bits());
    }

    /// The address of a label, as a word.
    pub fn word_of(&mut self, label: Label) {
        self.push(Kind::Word(Word::Address(label)));
    }

    /// The address of code as `BX` and vector tables want it: with the bit that says Thumb.
    pub fn entry_of(&mut self, label: Label) {
        self.push(Kind::Word(Word::Entry(label)));
    }

    /// A halfword, at a multiple of 2.
    pub fn half(&mut self, value: u16) {
        self.push(Kind::Half(value));
    }

    /// Bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.push(Kind::Byte(byte));
        }
    }

    /// Pads to a multiple of a power of two up to 4096: with `NOP` in code, with zeros behind data.
    /// Anything else pads to the next power of two.
    pub fn align(&mut self, to: u32) {
        self.push(Kind::Align(to.clamp(1, 4096).next_power_of_two()));
    }
}

/// Names and remarks.
impl Assembler {
    /// Begins a function at a multiple of 4 and binds its label; the pool of the one before is placed first.
    pub fn function(&mut self, name: &str, label: Label) {
        self.place_pool();
        self.mark(name, SymbolKind::Function, label);
    }

    /// Begins a named object of data at a multiple of 4 and binds its label.
    pub fn object(&mut self, name: &str, label: Label) {
        self.place_pool();
        self.mark(name, SymbolKind::Object, label);
    }

    fn mark(&mut self, name: &str, kind: SymbolKind, label: Label) {
        if self.marks.iter().any(|mark| mark.name == name) {
            self.problems
                .push(AsmProblem::SymbolTwice(name.to_string()));
        }
        self.align(4);
        self.bind(label);
        self.marks.push(Mark {
            name: name.to_string(),
            kind,
            label,
        });
    }

    /// Says where the following instructions come from, such as `hidden: forward on tick`.
    pub fn annotate(&mut self, source: impl Into<Arc<str>>) {
        self.source = source.into();
    }

    /// A remark on the next instruction.
    pub fn comment(&mut self, text: impl Into<Arc<str>>) {
        self.comment = text.into();
    }

    /// Settles all addresses, the first being `base`, and encodes.
    pub fn finish(mut self, base: u32) -> Result<Program, AsmError> {
        if !self.it.is_empty() {
            self.problems.push(AsmProblem::It {
                what: "the program ends inside an IT block",
                origin: self.source.clone(),
            });
            self.it.clear();
        }
        self.place_pool();
        super::layout::finish(self, base)
    }
}

impl Assembler {
    fn push(&mut self, kind: Kind) {
        if self.it.is_empty() {
            self.place_pool_if_due(kind.longest(None));
        }
        self.append(kind);
    }

    fn append(&mut self, kind: Kind) {
        let it = self.it.pop_front();
        let misplaced = if it.is_none() {
            None
        } else if !kind.is_code() {
            Some("data stands inside an IT block")
        } else if !self.it.is_empty() && jumps(&kind) {
            Some("a jump stands in an IT block, but not last")
        } else {
            None
        };
        if let Some(what) = misplaced {
            self.problems.push(AsmProblem::It {
                what,
                origin: self.source.clone(),
            });
        }
        self.position = self.position.saturating_add(kind.longest(it));
        self.items.push(Item {
            kind,
            it,
            source: self.source.clone(),
            comment: std::mem::take(&mut self.comment),
            wide: false,
        });
    }
}

fn jumps(kind: &Kind) -> bool {
    match kind {
        Kind::Branch { .. } | Kind::Call { .. } | Kind::Cbz { .. } => true,
        Kind::Inst(inst) => inst.jumps(),
        _ => false,
    }
}

/// The shortest form a relaxable item starts from.
pub(super) fn width(wide: bool) -> Width {
    if wide { Width::Wide } else { Width::Narrow }
}

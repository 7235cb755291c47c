//! From items to addresses, bytes and listing.
//!
//! Every branch starts in its shortest form; as long as one does not reach, it takes its longer form for good and the
//! addresses are found anew. Forms only grow, so this ends.

use std::sync::Arc;

use super::asm::{AsmError, AsmProblem, Assembler, Item, Kind, Label, Word, width};
use super::encode::{Code, EncodeError};
use super::inst::{Inst, Width};
use super::program::{ListingLine, Mapping, MappingKind, Program, Symbol, symbol_text};
use super::text::Place;
use super::timing::Timing;

pub(super) fn finish(mut asm: Assembler, base: u32) -> Result<Program, AsmError> {
    let mut problems = std::mem::take(&mut asm.problems);
    if !base.is_multiple_of(4) {
        problems.push(AsmProblem::Base(base));
    }
    problems.extend(unbound(&asm));
    if !problems.is_empty() {
        return Err(AsmError(problems));
    }
    let places = settle(&mut asm, base).map_err(|problem| AsmError(vec![problem]))?;
    let mut writer = Writer::new(base, symbols(&asm, &places));
    for (i, item) in asm.items.iter().enumerate() {
        writer.item(item, &places, i);
    }
    if !writer.problems.is_empty() {
        return Err(AsmError(writer.problems));
    }
    let labels = (0..asm.labels.len() as u32)
        .map(|n| asm.labels[n as usize].map(|_| places.label(Label(n))))
        .collect();
    Ok(Program {
        base,
        bytes: writer.bytes,
        listing: writer.listing,
        symbols: writer.symbols,
        mapping: writer.mapping,
        labels,
    })
}

fn unbound(asm: &Assembler) -> impl Iterator<Item = AsmProblem> {
    asm.items.iter().filter_map(|item| {
        let label = item.kind.label()?;
        match asm.labels.get(label.0 as usize) {
            Some(Some(_)) => None,
            _ => Some(AsmProblem::Unbound {
                label,
                origin: item.source.clone(),
            }),
        }
    })
}

/// The address of each item, padding before it excluded, and of the end.
struct Places {
    items: Vec<u32>,
    /// The item each label stands before.
    labels: Vec<Option<usize>>,
}

impl Places {
    /// A label's address. A label that stands nowhere is never asked for.
    fn label(&self, label: Label) -> u32 {
        let index = self.labels[label.0 as usize].unwrap_or(self.items.len() - 1);
        self.items[index]
    }
}

fn settle(asm: &mut Assembler, base: u32) -> Result<Places, AsmProblem> {
    let labels = label_items(asm);
    loop {
        let places = Places {
            items: addresses(&asm.items, base)?,
            labels: labels.clone(),
        };
        let mut changed = false;
        for (item, &addr) in asm.items.iter_mut().zip(&places.items) {
            if !item.wide && grows(item) && !reaches(item, addr, &places) {
                item.wide = true;
                changed = true;
            }
        }
        if !changed {
            return Ok(places);
        }
    }
}

/// A label before an alignment means what comes after it.
fn label_items(asm: &Assembler) -> Vec<Option<usize>> {
    asm.labels
        .iter()
        .map(|place| {
            place.map(|start| {
                (start..asm.items.len())
                    .find(|&i| !matches!(asm.items[i].kind, Kind::Align(_)))
                    .unwrap_or(asm.items.len())
            })
        })
        .collect()
}

fn addresses(items: &[Item], base: u32) -> Result<Vec<u32>, AsmProblem> {
    let mut addr = base;
    let mut all = Vec::with_capacity(items.len() + 1);
    for item in items {
        let start = addr
            .checked_next_multiple_of(alignment(&item.kind))
            .ok_or(AsmProblem::TooLong)?;
        all.push(start);
        addr = start.checked_add(size(item)).ok_or(AsmProblem::TooLong)?;
    }
    all.push(addr);
    Ok(all)
}

fn alignment(kind: &Kind) -> u32 {
    match *kind {
        Kind::Byte(_) => 1,
        Kind::Word(_) => 4,
        Kind::Align(to) => to,
        _ => 2,
    }
}

fn size(item: &Item) -> u32 {
    match &item.kind {
        // What has no encoding is reported when it is written.
        Kind::Inst(inst) => inst.encode_in(item.it).map_or(4, Code::size),
        Kind::Call { .. } | Kind::FLoadAt { .. } | Kind::Word(_) => 4,
        Kind::Cbz { .. } => {
            if item.wide {
                6
            } else {
                2
            }
        }
        Kind::Branch { .. } | Kind::Adr { .. } | Kind::LoadAt { .. } => {
            if item.wide {
                4
            } else {
                2
            }
        }
        Kind::Half(_) => 2,
        Kind::Byte(_) => 1,
        Kind::Align(_) => 0,
    }
}

fn grows(item: &Item) -> bool {
    matches!(
        item.kind,
        Kind::Branch { .. } | Kind::Adr { .. } | Kind::LoadAt { .. } | Kind::Cbz { .. }
    )
}

/// Whether the short form has an encoding.
fn reaches(item: &Item, addr: u32, places: &Places) -> bool {
    match item.kind {
        // A register the test cannot name is an error, not a matter of reach.
        Kind::Cbz { rn, .. } if !rn.is_low() => true,
        _ => concrete(item, addr, places).is_ok_and(|insts| {
            insts
                .iter()
                .flatten()
                .all(|inst| inst.encode_in(item.it).is_ok())
        }),
    }
}

/// The instructions an item stands for, its label replaced by a distance.
fn concrete(item: &Item, addr: u32, places: &Places) -> Result<[Option<Inst>; 2], EncodeError> {
    let width = width(item.wide);
    let branch = |to, from: u32| distance(places.label(to), from.wrapping_add(4));
    let literal = |to| distance(places.label(to), addr.wrapping_add(4) & !3);
    let inst = match item.kind {
        Kind::Inst(inst) => inst,
        Kind::Branch { cond, to } => Inst::B {
            cond,
            offset: branch(to, addr)?,
            width,
        },
        Kind::Call { to } => Inst::Bl {
            offset: branch(to, addr)?,
        },
        Kind::Cbz { nonzero, rn, to } if item.wide => {
            let skip = Inst::Cbz {
                nonzero: !nonzero,
                rn,
                offset: 2,
            };
            let jump = Inst::B {
                cond: None,
                offset: branch(to, addr.wrapping_add(2))?,
                width: Width::Wide,
            };
            return Ok([Some(skip), Some(jump)]);
        }
        Kind::Cbz { nonzero, rn, to } => Inst::Cbz {
            nonzero,
            rn,
            offset: branch(to, addr)?,
        },
        Kind::Adr { rd, to } => Inst::Adr {
            rd,
            offset: literal(to)?,
            width,
        },
        Kind::LoadAt { rt, at } => Inst::LoadLiteral {
            rt,
            offset: literal(at)?,
            width,
        },
        Kind::FLoadAt { sd, at } => Inst::FLoadLiteral {
            sd,
            offset: literal(at)?,
        },
        Kind::Word(_) | Kind::Half(_) | Kind::Byte(_) | Kind::Align(_) => return Ok([None, None]),
    };
    Ok([Some(inst), None])
}

fn distance(to: u32, from: u32) -> Result<i32, EncodeError> {
    let found = i64::from(to) - i64::from(from);
    i32::try_from(found).map_err(|_| EncodeError::Number {
        operand: "distance",
        expected: "within 2 GiB",
        found,
    })
}

fn symbols(asm: &Assembler, places: &Places) -> Vec<Symbol> {
    let end = places.items.last().copied().unwrap_or(0);
    let starts: Vec<u32> = asm.marks.iter().map(|m| places.label(m.label)).collect();
    asm.marks
        .iter()
        .enumerate()
        .map(|(i, mark)| Symbol {
            name: mark.name.clone(),
            kind: mark.kind,
            addr: starts[i],
            size: starts.get(i + 1).copied().unwrap_or(end) - starts[i],
        })
        .collect()
}

struct Writer {
    base: u32,
    bytes: Vec<u8>,
    listing: Vec<ListingLine>,
    symbols: Vec<Symbol>,
    mapping: Vec<Mapping>,
    problems: Vec<AsmProblem>,
    timing: Timing,
}

impl Writer {
    fn new(base: u32, symbols: Vec<Symbol>) -> Writer {
        Writer {
            base,
            bytes: Vec::new(),
            listing: Vec::new(),
            symbols,
            mapping: Vec::new(),
            problems: Vec::new(),
            timing: Timing::new(),
        }
    }

    fn addr(&self) -> u32 {
        self.base.wrapping_add(self.bytes.len() as u32)
    }

    fn item(&mut self, item: &Item, places: &Places, index: usize) {
        let start = places.items[index];
        let code = item.kind.is_code();
        self.pad(item, start);
        match item.kind {
            Kind::Word(word) => {
                let value = match word {
                    Word::Bits(bits) => bits,
                    Word::Address(label) => places.label(label),
                    Word::Entry(label) => places.label(label) | 1,
                };
                let text = format!(".word\t0x{value:08x}");
                self.data(item, &value.to_le_bytes(), text);
            }
            Kind::Half(value) => {
                self.data(item, &value.to_le_bytes(), format!(".short\t0x{value:04x}"));
            }
            Kind::Byte(value) => self.data(item, &[value], format!(".byte\t0x{value:02x}")),
            Kind::Align(_) => {}
            _ => match concrete(item, start, places) {
                Ok(insts) => {
                    for inst in insts.iter().flatten() {
                        self.inst(item, inst);
                    }
                }
                Err(error) => self.problem(item, &format!("{:?}", item.kind), error),
            },
        }
        debug_assert!(!code || self.addr() == start + size(item) || !self.problems.is_empty());
    }

    /// Fills up to where an item starts.
    fn pad(&mut self, item: &Item, start: u32) {
        let source: Arc<str> = item.source.clone();
        let in_code = matches!(
            self.mapping.last(),
            Some(Mapping {
                kind: MappingKind::Thumb,
                ..
            })
        );
        let nops = in_code && !matches!(item.kind, Kind::Word(_) | Kind::Half(_) | Kind::Byte(_));
        while self.addr() < start {
            if nops {
                self.write(&source, &Arc::default(), Inst::NOP.to_string(), &NOP, 1);
            } else {
                self.map(MappingKind::Data);
                let (bytes, text): (&[u8], _) =
                    if self.addr().is_multiple_of(2) && start - self.addr() >= 2 {
                        (&[0, 0], ".short\t0x0000")
                    } else {
                        (&[0], ".byte\t0x00")
                    };
                self.write(&source, &Arc::default(), text.to_string(), bytes, 0);
            }
        }
    }

    fn data(&mut self, item: &Item, bytes: &[u8], text: String) {
        self.map(MappingKind::Data);
        self.timing.restart();
        self.write(&item.source, &item.comment, text, bytes, 0);
    }

    fn inst(&mut self, item: &Item, inst: &Inst) {
        self.map(MappingKind::Thumb);
        let addr = self.addr();
        let symbols = &self.symbols;
        let text = inst.text(Place {
            addr,
            cond: item.it,
            symbol: &|target| symbol_text(symbols, target),
        });
        match inst.encode_in(item.it) {
            Ok(code) => {
                let bytes: Vec<u8> = code.bytes().collect();
                let cycles = self.timing.issue(inst);
                if inst.ends_flow() && item.it.is_none() {
                    self.timing.restart();
                }
                self.write(&item.source, &item.comment, text, &bytes, cycles);
            }
            Err(error) => self.problem(item, &text, error),
        }
    }

    fn problem(&mut self, item: &Item, inst: &str, error: EncodeError) {
        self.problems.push(AsmProblem::Encode {
            inst: inst.replace('\t', " "),
            origin: item.source.clone(),
            error,
        });
    }

    fn write(
        &mut self,
        source: &Arc<str>,
        comment: &Arc<str>,
        text: String,
        bytes: &[u8],
        cycles: u32,
    ) {
        self.listing.push(ListingLine {
            addr: self.addr(),
            bytes: bytes.to_vec(),
            text,
            source: source.clone(),
            comment: comment.clone(),
            cycles,
        });
        self.bytes.extend_from_slice(bytes);
    }

    /// Notes where code turns into data and back.
    fn map(&mut self, kind: MappingKind) {
        if self.mapping.last().is_none_or(|last| last.kind != kind) {
            let addr = self.addr();
            self.mapping.push(Mapping { addr, kind });
        }
    }
}

const NOP: [u8; 2] = 0xbf00_u16.to_le_bytes();

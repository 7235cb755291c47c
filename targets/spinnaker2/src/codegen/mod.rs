//! From event programs to firmware.
//!
//! [`compile`] makes the program of one PE: every instruction is chosen and encoded here, there is no C and no
//! linker. A handler's body becomes a graph of values, gets an order and
//! registers, and is emitted in blocks of lanes. Around the handlers stands a
//! driver (or the optimiser's) that receives packets, paces the steps and calls them.
//!
//! # Invariants
//! * Every rounding of the event program happens, in its order, and no other one does.
//! * Output depends on the arguments alone.
//! * Nothing unreachable is emitted.
//! * What does not fit is an error that lists everything that takes room.

mod adjoint;
mod axes;
mod buffers;
mod clock;
mod comms;
mod context;
mod cross;
mod driver;
mod error;
mod exact;
mod filter;
mod graph;
mod hardware;
mod inbox;
mod lags;
mod lanes;
mod math;
mod memory;
mod names;
mod operations;
mod optimiser;
mod plan;
mod registers;
mod rest;
mod roots;
mod schedule;
mod steps;
mod stream;

use nirc_ir::Diagnostic;
use nirc_ir::codes::{CODEGEN, MAP_SRAM};
use nirc_ir::event::{Curve, HandlerKind, Op, Proc, Program, Stmt, Unary};

pub use error::CodegenError;
pub use memory::{MemoryMap, Region, Section};
pub(crate) use steps::carries_errors;

use crate::abi::Status;
use crate::elf::{self, Block, Image, ImageSymbol, Range};
use crate::mapping::Pacing;
use crate::target::Target;
use crate::thumb::Reg::{R0, R1, R2};
use crate::thumb::{Addr, Assembler, HintOp, Inst, Label, SymbolKind, SysReg};
use comms::Comms;
use context::{Context, Labels};
use driver::{Driver, Handlers};
use hardware::Hardware;
use memory::{Placed, Plan};
use roots::Power;

/// Exceptions that the vector table names: the processor's own. Interrupts stay masked.
const VECTORS: usize = 16;
/// What the data behind the code is aligned to.
const DATA_ALIGN: u32 = 16;

/// The program of a PE.
#[derive(Clone, Debug, PartialEq)]
pub struct Firmware {
    /// The process' name, or `optimiser`.
    pub name: String,
    /// The processes it runs.
    pub procs: Vec<Proc>,
    /// The code: bytes, and for every instruction its text, its handler and its cycles.
    pub program: crate::thumb::Program,
    /// The memory of the PE before it starts.
    pub image: Image,
    /// What lies where.
    pub memory: MemoryMap,
}

impl Firmware {
    /// Address and length of a function, array, tape or ring.
    pub fn symbol(&self, name: &str) -> Option<(u32, u32)> {
        let found = self.image.symbols.iter().find(|s| s.name == name)?;
        Some((found.addr, found.size))
    }

    /// Bytes of SRAM in use.
    pub fn sram_used(&self) -> u32 {
        self.memory.used()
    }
}

/// Generates the firmware of a PE of `target` that runs `group`: one source, neuron or loss process, or all
/// optimisers. The program must have passed the verifier.
///
/// # Errors
/// What does not fit, with everything that takes room.
pub fn compile(
    program: &Program,
    group: &[Proc],
    target: &Target,
    pacing: Pacing,
) -> Result<Firmware, CodegenError> {
    let hardware = Hardware::new(target);
    let job = Job::new(program, group, &hardware, pacing)?;
    let mut base = 0;
    // Code and data refer to each other's addresses; the data moves up until the code fits below it.
    loop {
        let placed = job.plan.place(base);
        let assembled = job.assemble(&placed)?;
        if assembled.end() <= base {
            return job.firmware(assembled, &placed);
        }
        base = assembled.end().next_multiple_of(DATA_ALIGN);
    }
}

/// Bytes of code that a process of the network has.
pub(crate) fn code_size(
    program: &Program,
    proc: Proc,
    target: &Target,
    pacing: Pacing,
) -> Result<u32, CodegenError> {
    let hardware = Hardware::new(target);
    let group = [proc];
    let job = Job::new(program, &group, &hardware, pacing)?;
    // Data lies behind the code; where exactly does not matter.
    let placed = job.plan.place(hardware.code.next_multiple_of(DATA_ALIGN));
    Ok(job.assemble(&placed)?.end())
}

/// First address behind the memory of a process of the network with so many bytes of code.
pub(crate) fn memory_end(
    program: &Program,
    proc: Proc,
    code: u32,
    pacing: Pacing,
) -> Result<u64, CodegenError> {
    let plan = plan::network(program, proc, pacing)?;
    Ok(plan.place(code.next_multiple_of(DATA_ALIGN)).end)
}

/// The problem as a user should read it.
pub(crate) fn diagnostic(network: &str, error: &CodegenError) -> Diagnostic {
    match error {
        CodegenError::Sram { name, .. } | CodegenError::Code { name, .. } => Diagnostic::error(
            MAP_SRAM,
            name,
            error.to_string(),
        )
        .help(
            "split the population; to train, shorten the sample or lower `mapping.spike_bound`; \
                 otherwise, shorten delays",
        ),
        CodegenError::Measures { .. } => Diagnostic::error(CODEGEN, network, error.to_string())
            .help("keep all optimisers on one PE, or train without `optimiser.clip.norm`"),
        _ => Diagnostic::error(CODEGEN, network, error.to_string()),
    }
}

/// What is to be generated.
struct Job<'a> {
    program: &'a Program,
    group: &'a [Proc],
    hardware: &'a Hardware,
    pacing: Pacing,
    name: String,
    plan: Plan,
}

impl<'a> Job<'a> {
    fn new(
        program: &'a Program,
        group: &'a [Proc],
        hardware: &'a Hardware,
        pacing: Pacing,
    ) -> Result<Self, CodegenError> {
        let names = |group: &[Proc]| -> String {
            let names = group.iter().map(|p| program.processes[*p].name.as_str());
            names.collect::<Vec<&str>>().join(", ")
        };
        let (name, plan) = if optimiser::are_optimisers(program, group) {
            let unheard = optimiser::unheard(program, group);
            if !unheard.is_empty() {
                return Err(CodegenError::Measures {
                    here: names(group),
                    elsewhere: names(&unheard),
                });
            }
            ("optimiser".to_owned(), plan::optimisers(program, group)?)
        } else if let [proc] = group {
            let name = program.processes[*proc].name.clone();
            (name, plan::network(program, *proc, pacing)?)
        } else {
            return Err(CodegenError::Group {
                found: names(group),
            });
        };
        Ok(Self {
            program,
            group,
            hardware,
            pacing,
            name,
            plan,
        })
    }

    /// Assembles all code, with the data at these addresses.
    fn assemble(&self, placed: &Placed) -> Result<crate::thumb::Program, CodegenError> {
        let mut asm = Assembler::new();
        let (reset, fault) = (asm.label(), asm.label());
        vectors(&mut asm, placed, reset, fault);
        let mut processes = Vec::new();
        let labels = Labels::new(&mut asm);
        for &proc in self.group {
            let context = Context {
                program: self.program,
                proc,
                memory: placed,
                labels,
                pacing: self.pacing,
            };
            let handlers = handlers(&mut asm, &context)?;
            processes.push((context, handlers));
        }
        let comms = Comms {
            hardware: self.hardware,
            memory: placed,
            payload: false,
        };
        if optimiser::are_optimisers(self.program, self.group) {
            optimiser::emit(&mut asm, &comms, self.program, &processes, reset);
        } else {
            for (context, handlers) in processes {
                let comms = Comms {
                    payload: self.program.window.is_some(),
                    ..comms
                };
                Driver::new(&mut asm, &context, comms, handlers).emit(&mut asm, reset);
            }
        }
        self.functions(&mut asm, &labels);
        emit_fault(&mut asm, placed, fault);
        Ok(asm.finish(0)?)
    }

    /// Emits the functions that handlers call, and what these call.
    fn functions(&self, asm: &mut Assembler, labels: &Labels) {
        let root = |wanted: fn(&Curve) -> bool| {
            self.uses(|op| matches!(op, Op::Root { curve, .. } if wanted(curve)))
        };
        let unary = |wanted| self.uses(|op| matches!(op, Op::Unary(f, _) if *f == wanted));
        let zero = nirc_ir::entity::Entity::new(0);
        let general = root(|curve| matches!(curve, Curve::Power(_)));
        let equal = root(|curve| matches!(curve, Curve::Equal(_)));
        for (used, curve, power) in [
            (root(|c| *c == Curve::Cubic), Curve::Cubic, Power::Cubic),
            (
                root(|c| *c == Curve::Quartic),
                Curve::Quartic,
                Power::Quartic,
            ),
            (general, Curve::Power(zero), Power::General),
        ] {
            if used {
                roots::power(asm, labels.root(curve), labels, power);
            }
        }
        if equal {
            roots::equal(asm, labels.root(Curve::Equal(zero)), labels);
        }
        if general || equal || unary(Unary::Exp) {
            math::exp(asm, labels.exp);
        }
        if general || unary(Unary::Ln) {
            math::ln(asm, labels.ln);
        }
    }

    /// Whether a handler has such an operation.
    fn uses(&self, calls: impl Fn(&Op) -> bool) -> bool {
        let handlers = self
            .group
            .iter()
            .flat_map(|p| &self.program.processes[*p].handlers);
        let mut stmts = handlers.flat_map(|h| &h.body.stmts);
        stmts.any(|stmt| match stmt {
            Stmt::Let(_, op) => calls(op),
            Stmt::Spike { fields, .. } => fields.iter().any(&calls),
            _ => false,
        })
    }

    fn firmware(
        self,
        program: crate::thumb::Program,
        placed: &Placed,
    ) -> Result<Firmware, CodegenError> {
        let memory = self.memory(&program, placed);
        let image = image(&program, placed);
        Ok(Firmware {
            name: self.name,
            procs: self.group.to_vec(),
            program,
            image,
            memory: memory?,
        })
    }

    /// The memory map, if everything fits.
    fn memory(
        &self,
        program: &crate::thumb::Program,
        placed: &Placed,
    ) -> Result<MemoryMap, CodegenError> {
        let text = |symbol: &str, addr, len, purpose: &str| Region {
            symbol: symbol.to_owned(),
            section: Section::Text,
            addr,
            len,
            purpose: purpose.to_owned(),
        };
        let vectors = 4 * VECTORS as u32;
        let mut regions = vec![
            text("vectors", 0, vectors, "vector table"),
            text(
                "text",
                vectors,
                program.end() - vectors,
                "code and its constants",
            ),
        ];
        regions.extend(placed.regions.iter().cloned());
        if program.end() > self.hardware.code {
            return Err(CodegenError::Code {
                name: self.name.clone(),
                needed: program.end().into(),
                limit: self.hardware.code.into(),
            });
        }
        if placed.end > self.hardware.sram.into() {
            return Err(CodegenError::Sram {
                name: self.name.clone(),
                needed: placed.end,
                limit: self.hardware.sram.into(),
                regions,
            });
        }
        let overlap = |pair: &&[Region]| {
            u64::from(pair[0].addr) + u64::from(pair[0].len) > pair[1].addr.into()
        };
        if let Some(pair) = regions.windows(2).find(overlap) {
            return Err(CodegenError::Overlap {
                first: pair[0].symbol.clone(),
                second: pair[1].symbol.clone(),
                at: pair[1].addr,
            });
        }
        Ok(MemoryMap { regions })
    }
}

/// The vector table: stack pointer, reset, and the fault loop for everything else.
fn vectors(asm: &mut Assembler, placed: &Placed, reset: Label, fault: Label) {
    let table = asm.label();
    asm.annotate("vectors");
    asm.object("vectors", table);
    asm.word(placed.end("stack"));
    asm.entry_of(reset);
    for _ in 2..VECTORS {
        asm.entry_of(fault);
    }
}

/// Emits the handlers of a process as functions.
fn handlers(asm: &mut Assembler, context: &Context<'_>) -> Result<Handlers, CodegenError> {
    let process = context.process();
    let mut labels: Vec<(HandlerKind, Label)> = Vec::new();
    for handler in &process.handlers {
        let turns = labels
            .iter()
            .filter(|(k, _)| *k == HandlerKind::Turn)
            .count();
        let symbol = match handler.kind {
            HandlerKind::Turn => format!("{}.turn{turns}", process.name),
            kind => format!("{}.{}", process.name, names::handler(kind)),
        };
        let asked = |chan| steps::asks_errors(context.program, chan);
        if matches!(handler.kind, HandlerKind::Message(chan) if !asked(chan)) {
            continue;
        }
        let label = asm.label();
        match handler.kind {
            HandlerKind::Cross => cross::emit(asm, context, handler, &symbol, label)?,
            _ => lanes::emit(asm, context, handler, &symbol, label)?,
        }
        labels.push((handler.kind, label));
    }
    Ok(Handlers::new(labels))
}

/// `fault`: notes the exception in `status` and sleeps for good.
fn emit_fault(asm: &mut Assembler, placed: &Placed, label: Label) {
    asm.place_pool();
    asm.annotate("fault");
    asm.function("fault", label);
    asm.emit(Inst::Mrs {
        rd: R0,
        sys: SysReg::Ipsr,
    });
    asm.mov_const(R1, (Status::Fault as u32) << 16);
    asm.emit(Inst::orr(R0, R0, R1));
    asm.mov_const(R2, placed.addr(names::STATUS));
    asm.emit(Inst::str(R0, Addr::at(R2)));
    let forever = asm.here();
    asm.emit(Inst::Hint { op: HintOp::Wfi });
    asm.b(forever);
}

/// The image with everything in it.
fn image(program: &crate::thumb::Program, placed: &Placed) -> Image {
    let part = |section| {
        let regions = placed.regions.iter().filter(move |r| r.section == section);
        regions
            .clone()
            .map(|r| r.addr)
            .min()
            .zip(regions.map(|r| r.addr + r.len).max())
    };
    let data = Block {
        addr: part(Section::Data).map_or(0, |(start, _)| start),
        bytes: placed.data(),
    };
    let zeroed = part(Section::Bss).into_iter().chain(part(Section::Stack));
    let bss = zeroed.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
    let code = program.symbols.iter().map(|s| ImageSymbol {
        name: s.name.clone(),
        kind: s.kind,
        section: elf::Section::Text,
        addr: s.addr,
        size: s.size,
    });
    let objects = placed.regions.iter().map(|r| ImageSymbol {
        name: r.symbol.clone(),
        kind: SymbolKind::Object,
        section: match r.section {
            Section::Text => elf::Section::Text,
            Section::Data => elf::Section::Data,
            Section::Bss | Section::Stack => elf::Section::Bss,
        },
        addr: r.addr,
        size: r.len,
    });
    Image {
        entry: program.symbol("reset").map_or(0, |s| s.addr | 1),
        text: Block {
            addr: 0,
            bytes: program.bytes.clone(),
        },
        rodata: Block::default(),
        data,
        bss: bss.map_or(Range::default(), |(start, end)| Range {
            addr: start,
            size: end - start,
        }),
        symbols: code.chain(objects).collect(),
        mapping: program.mapping.clone(),
    }
}

//! From a program to its bundle.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use nirc_ir::codes::{CODEGEN, MAP_ROUTES};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{ArrayKind, Proc, Program, Role, Tensor};
use nirc_ir::text::print_program;
use nirc_ir::verify::verify;
use nirc_ir::{Diagnostic, Diagnostics};

use super::manifest::{ArrayEntry, KeyEntry, ProcessEntry, RegionEntry, Words};
use super::write::raw;
use super::{Bundle, Firmware, ImageId, Index, Load, Origin, fingerprint};
use crate::abi;
use crate::codegen;
use crate::elf::{ElfError, Image, ImageSymbol};
use crate::mapping::slice::{Balance, Cuts, Sliced, choose, slice};
use crate::mapping::{self, Instance, Mapping, Pacing, Placement, traffic};
use crate::target::Target;

impl Bundle {
    /// Cuts what is too large for a PE, maps the program, generates the firmware of each distinct PE, and puts them
    /// together.
    ///
    /// # Errors
    /// What is wrong with the program, does not fit or cannot be generated: all of it, not only the first.
    pub fn build(program: &Program, target: &Target) -> Result<Self, Diagnostics> {
        Self::build_balanced(program, target, Balance::Memory)
    }

    /// The same, with slices that are made for this.
    ///
    /// # Errors
    /// As [`Bundle::build`].
    pub fn build_balanced(
        program: &Program,
        target: &Target,
        balance: Balance,
    ) -> Result<Self, Diagnostics> {
        verify(program)?;
        Self::build_sliced(program, &choose(program, target, balance), target)
    }

    /// The same in given slices.
    ///
    /// # Errors
    /// As [`Bundle::build`].
    pub fn build_sliced(
        program: &Program,
        cuts: &Cuts,
        target: &Target,
    ) -> Result<Self, Diagnostics> {
        verify(program)?;
        let sliced = in_slices(program, cuts)?;
        let mapping = mapping::map(&sliced.program, target)?;
        Self::assemble(program, &sliced, target, mapping)
    }

    /// The same with a pacing of one's own; only programs that do not go backwards have a choice.
    ///
    /// # Errors
    /// As [`Bundle::build`], and where a segment is no part of a sample.
    pub fn build_with(
        program: &Program,
        target: &Target,
        pacing: Pacing,
    ) -> Result<Self, Diagnostics> {
        verify(program)?;
        let sliced = in_slices(program, &choose(program, target, Balance::Memory))?;
        let mut mapping = mapping::map(&sliced.program, target)?;
        if !program.has_adjoint() && program.window.is_none() {
            mapping.pacing = pacing;
        }
        let entries = target.router.entries as usize;
        mapping::verify(&mapping, &sliced.program, entries)
            .map_err(|e| Diagnostic::error(MAP_ROUTES, &program.name, e.to_string()))?;
        Self::assemble(program, &sliced, target, mapping)
    }

    fn assemble(
        whole: &Program,
        sliced: &Sliced,
        target: &Target,
        mapping: Mapping,
    ) -> Result<Self, Diagnostics> {
        let builder = Builder {
            images: images(&sliced.program, target, &mapping)?,
            whole,
            sliced,
            program: &sliced.program,
            target,
            mapping,
        };
        builder.build()
    }
}

/// A program in slices, which has to pass the verifier too.
fn in_slices(program: &Program, cuts: &Cuts) -> Result<Sliced, Diagnostics> {
    let sliced = slice(program, cuts);
    verify(&sliced.program)?;
    Ok(sliced)
}

/// Firmware for each group of processes that shares a PE; every replica runs the same.
fn images(
    program: &Program,
    target: &Target,
    mapping: &Mapping,
) -> Result<PrimaryMap<ImageId, Firmware>, Diagnostics> {
    let mut images: PrimaryMap<ImageId, Firmware> = PrimaryMap::new();
    let mut problems = Diagnostics::new();
    let mut seen = BTreeSet::new();
    for placement in &mapping.placements {
        if seen.insert(&placement.procs) {
            match firmware(program, &placement.procs, target, mapping.pacing) {
                Ok(mut firmware) => {
                    firmware.name = file_name(&firmware.name, &images);
                    images.push(firmware);
                }
                Err(problem) => problems.push(problem),
            }
        }
    }
    problems.into_result(images)
}

/// A name for an image's files: what file systems take, and no other image has.
fn file_name(name: &str, images: &PrimaryMap<ImageId, Firmware>) -> String {
    let harmless = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    // Far below what any file system takes, with room for an ending.
    let plain = name.chars().take(64);
    let plain = plain.map(|c| if harmless(c) { c } else { '_' });
    let mut name: String = plain.collect();
    while name.is_empty() || images.values().any(|i| i.name.eq_ignore_ascii_case(&name)) {
        name.push('_');
    }
    name
}

fn firmware(
    program: &Program,
    procs: &[Proc],
    target: &Target,
    pacing: Pacing,
) -> Result<Firmware, Diagnostic> {
    let generated = codegen::compile(program, procs, target, pacing);
    let generated = generated.map_err(|e| codegen::diagnostic(&program.name, &e))?;
    let broken = |e: ElfError| {
        let problem = Diagnostic::error(CODEGEN, &generated.name, e.to_string());
        match e {
            ElfError::SymbolName(_) => problem.help("rename the node in the .nir file"),
            _ => problem,
        }
    };
    let elf = generated.image.write().map_err(broken)?;
    let regions = generated.memory.regions.iter().map(|region| RegionEntry {
        symbol: region.symbol.clone(),
        address: region.addr,
        size: region.len,
        purpose: region.purpose.clone(),
    });
    Ok(Firmware {
        memory: regions.collect(),
        image: Image::parse(&elf).map_err(broken)?,
        listing: generated.program.text(),
        elf,
        name: generated.name,
        procs: generated.procs,
    })
}

/// The parts of a bundle while it is put together.
struct Builder<'a> {
    /// What is asked for.
    whole: &'a Program,
    /// What runs, and where it is.
    sliced: &'a Sliced,
    /// What runs.
    program: &'a Program,
    target: &'a Target,
    mapping: Mapping,
    images: PrimaryMap<ImageId, Firmware>,
}

impl Builder<'_> {
    fn build(self) -> Result<Bundle, Diagnostics> {
        let loads = self
            .mapping
            .placements
            .iter()
            .map(|placement| self.load(placement))
            .collect::<Result<Vec<_>, _>>()?;
        let index = Index {
            processes: self.process_entries()?,
            keys: self.key_entries(),
            program_text: print_program(self.whole),
            tensors: self.tensors(),
            mapping_text: self.text(),
        };
        let program = self.whole;
        Ok(Bundle {
            slices: self.slices(),
            origin: Origin {
                network: program.name.clone(),
                program: fingerprint(program),
                ticks: program.ticks,
                dt: program.dt,
                replicas: program.replicas,
                target: self.target.chip.name.clone(),
                convention: BTreeMap::new(),
            },
            mapping: self.mapping,
            images: self.images,
            loads,
            attachments: BTreeMap::new(),
            index,
        })
    }

    /// The first lane of each slice, if anything is cut.
    fn slices(&self) -> Vec<Vec<usize>> {
        let slicing = &self.sliced.slicing;
        let firsts = slicing.slices.values();
        let firsts = firsts.map(|slices| slices.iter().map(|slice| slice.first).collect());
        match slicing.cuts() {
            true => firsts.collect(),
            false => Vec::new(),
        }
    }

    /// The words of all tensors, if anything is cut.
    fn tensors(&self) -> Vec<(String, Vec<u8>)> {
        let tensors = self.whole.tensors.values().map(|tensor| {
            let words = tensor.values.iter().flat_map(|value| value.to_le_bytes());
            (tensor.name.clone(), words.collect())
        });
        match self.sliced.slicing.cuts() {
            true => tensors.collect(),
            false => Vec::new(),
        }
    }

    /// The image that runs `proc`.
    fn image_of(&self, proc: Proc) -> Option<(ImageId, &Firmware)> {
        self.images.iter().find(|(_, f)| f.procs.contains(&proc))
    }

    fn load(&self, placement: &Placement) -> Result<Load, Diagnostic> {
        let proc = placement.procs.first().copied();
        let (image, firmware) = proc
            .and_then(|proc| self.image_of(proc))
            .ok_or_else(|| self.broken(format!("PE {} has no image", placement.pe)))?;
        let mut data = Vec::new();
        let instance = u32::from(placement.instance.raw()) << 24;
        data.push(self.words(firmware, "config".to_owned(), vec![instance])?);
        for &proc in &placement.procs {
            let process = &self.program.processes[proc];
            if let Role::Optimiser(tensor) = process.role {
                let name = &process.name;
                let gradients = self.remote(tensor, ArrayKind::Gradient(tensor))?;
                let values = self.remote(tensor, ArrayKind::Param(tensor))?;
                data.push(self.words(firmware, abi::tape::remote_gradient(name), gradients)?);
                data.push(self.words(firmware, abi::tape::remote_values(name), values)?);
            }
        }
        Ok(Load { image, data })
    }

    /// The words with the address of their symbol, which must have just as much room.
    fn words(
        &self,
        firmware: &Firmware,
        symbol: String,
        words: Vec<u32>,
    ) -> Result<Words, Diagnostic> {
        let place = self.symbol(firmware, &symbol)?;
        if place.size as usize != 4 * words.len() {
            let name = &firmware.name;
            let (found, expected) = (place.size, 4 * words.len());
            return Err(self.broken(format!(
                "symbol {symbol} of {name} has {found} bytes, expected {expected}"
            )));
        }
        Ok(Words {
            symbol,
            address: place.addr,
            words,
        })
    }

    fn symbol<'f>(
        &self,
        firmware: &'f Firmware,
        name: &str,
    ) -> Result<&'f ImageSymbol, Diagnostic> {
        firmware
            .data(name)
            .ok_or_else(|| self.broken(format!("{} has no symbol {name}", firmware.name)))
    }

    /// Where the network's array of this kind is in each replica, as the optimiser sees it.
    fn remote(&self, tensor: Tensor, kind: ArrayKind) -> Result<Vec<u32>, Diagnostic> {
        let network = self.program.processes.iter();
        let mut holders = network
            .filter(|(_, p)| !matches!(p.role, Role::Optimiser(_)))
            .filter_map(|(proc, p)| p.array_of(kind).map(|array| (proc, array)));
        let (Some((proc, array)), None) = (holders.next(), holders.next()) else {
            let name = &self.program.tensors[tensor].name;
            return Err(self.broken(format!("tensor {name} is not in exactly one process")));
        };
        let firmware = self.image_of(proc).map(|(_, f)| f);
        let firmware = firmware.ok_or_else(|| self.broken(format!("{proc} has no image")))?;
        let process = &self.program.processes[proc];
        let name = super::array_symbol(&process.name, &process.arrays[array].name);
        let address = self.symbol(firmware, &name)?.addr;
        let replicas = (0..self.program.replicas).map(|replica| {
            let pe = self.mapping.pe(Instance::replica(replica), proc);
            pe.map(|pe| self.target.remote_sram(pe.quad(), pe.place()) + address)
        });
        let replicas: Option<Vec<u32>> = replicas.collect();
        replicas.ok_or_else(|| self.broken(format!("{proc} is not placed in every replica")))
    }

    fn broken(&self, message: String) -> Diagnostic {
        Diagnostic::error(CODEGEN, &self.program.name, message)
    }

    fn process_entries(&self) -> Result<Vec<ProcessEntry>, Diagnostic> {
        let entry = |(proc, process): (Proc, &nirc_ir::event::Process)| {
            let firmware = self.image_of(proc).map(|(_, f)| f);
            let firmware = firmware.ok_or_else(|| self.broken(format!("{proc} has no image")))?;
            let arrays = process.arrays.iter().map(|(array, decl)| {
                let symbol = super::array_symbol(&process.name, &decl.name);
                let place = self.symbol(firmware, &symbol)?;
                Ok(ArrayEntry {
                    address: place.addr,
                    name: decl.name.clone(),
                    shape: self.shape(proc, array, place.size as usize / 4),
                    tensor: self.tensor(decl.kind),
                    symbol,
                })
            });
            Ok(ProcessEntry {
                name: process.name.clone(),
                role: role(process.role).to_owned(),
                lanes: process.lanes,
                image: firmware.name.clone(),
                arrays: arrays.collect::<Result<_, Diagnostic>>()?,
            })
        };
        self.program.processes.iter().map(entry).collect()
    }

    fn tensor(&self, kind: ArrayKind) -> Option<String> {
        match kind {
            ArrayKind::Param(tensor) => Some(self.program.tensors[tensor].name.clone()),
            _ => None,
        }
    }

    /// Rows and columns of an array that takes so many words.
    fn shape(&self, proc: Proc, array: nirc_ir::event::Array, words: usize) -> Vec<usize> {
        let process = &self.program.processes[proc];
        match process.arrays[array].kind {
            ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                vec![self.program.tensors[t].rows, self.program.tensors[t].lanes]
            }
            ArrayKind::GivenError | ArrayKind::Trace => {
                vec![words / process.lanes, process.lanes]
            }
            kind if kind.is_scalar() => Vec::new(),
            _ => vec![process.lanes],
        }
    }

    fn key_entries(&self) -> Vec<KeyEntry> {
        let flows = traffic::flows(self.program, &self.mapping.placements);
        let entry = flows.iter().map(|flow| KeyEntry {
            instance: flow.instance.raw(),
            packet: flow.packet.to_string(),
            key: flow.keys.key(),
            mask: flow.keys.mask(),
            used: flow.used,
            to: raw(&flow.to),
        });
        entry.collect()
    }

    fn text(&self) -> String {
        let mut text = self.mapping.text(self.program).to_string();
        let cut = self.sliced.slicing.slices.iter();
        for (k, (proc, slices)) in cut.filter(|(_, s)| s.len() > 1).enumerate() {
            if k == 0 {
                text.push_str("\nslices\n");
            }
            let whole = &self.whole.processes[proc];
            let firsts = slices.iter().map(|slice| slice.first.to_string());
            let firsts: Vec<String> = firsts.collect();
            let _ = writeln!(
                text,
                "  @{}  {} lanes in {} from {}",
                whole.name,
                whole.lanes,
                slices.len(),
                firsts.join(" ")
            );
        }
        for firmware in self.images.values() {
            let used: u32 = firmware.memory.iter().map(|r| r.size).sum();
            let _ = writeln!(text, "\nmemory {}  {used} bytes", firmware.name);
            for region in &firmware.memory {
                let _ = writeln!(
                    text,
                    "  {:05x}..{:05x} {:>6}  {:<28} {}",
                    region.address,
                    region.address + region.size,
                    region.size,
                    region.symbol,
                    region.purpose
                );
            }
        }
        text
    }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Source => "source",
        Role::Neurons => "neurons",
        Role::Loss => "loss",
        Role::Optimiser(_) => "optimiser",
    }
}

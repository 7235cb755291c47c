//! Everything a device needs to run a program: images, data per PE, routes, and what they are.
//!
//! A bundle is built from a program and a target ([`Bundle::build`]), written to a new directory
//! ([`Bundle::write`]) and read back ([`Bundle::open`]). Its ELF files are the one truth about code and
//! data: a bundle just built is loaded from the same bytes as one read from disk.
//!
//! # Files
//! | file | what |
//! |---|---|
//! | `manifest.json` | what the bundle is, and the SHA-256 of every other file |
//! | `images/NAME.elf` | the firmware of one distinct program |
//! | `images/NAME.mem` | the same as Verilog hex, for the chip's host tools |
//! | `listing/NAME.lst` | its disassembly |
//! | `data/peNNN.json` | the words in which a PE differs from its image |
//! | `routes.json` | the routing table |
//! | `program.txt` | the event program, whole |
//! | `tensors/N.f32` | its tensors as little-endian words, where it runs in slices whose images have only parts |
//! | `mapping.txt` | placement, keys, routes and memory to read |
//! | `spec.json` | PEs, memory files and data as the chip's public host hand-off takes them |
//!
//! and whatever the caller attaches, such as inputs and expected outputs for a self-test.

mod build;
mod directory;
mod error;
pub mod manifest;
mod mem;
mod open;
mod write;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use nirc_ir::entity;
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::{Proc, Program};
use nirc_ir::text::{parse_program, print_program};
use sha2::{Digest, Sha256};

pub use error::BundleError;
use manifest::{RegionEntry, Words};

use crate::elf::{Image, ImageSymbol};
use crate::mapping::slice::{Cuts, Sliced, slice};
use crate::mapping::{Instance, Mapping, verify};
use crate::thumb::SymbolKind;

entity! {
    /// A distinct image of a bundle.
    ImageId, "image"
}

/// A bundle.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What it was made from.
    pub origin: Origin,
    /// The first lane of each slice of each process; empty where every process runs whole.
    pub slices: Vec<Vec<usize>>,
    /// Where everything goes: the processes of the sliced program.
    pub mapping: Mapping,
    /// Distinct images.
    pub images: PrimaryMap<ImageId, Firmware>,
    /// What goes into each PE, one for each of the mapping's placements.
    pub loads: Vec<Load>,
    /// Further files, by path in the bundle: a self-test, the program's text, the network.
    pub attachments: BTreeMap<String, Vec<u8>>,
    /// Lists of the manifest that tools read and no device needs.
    index: Index,
}

/// What a bundle was made from.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// Name of the network.
    pub network: String,
    /// [`fingerprint`] of the event program.
    pub program: String,
    /// Bins of a sample.
    pub ticks: u32,
    /// Length of a bin in seconds.
    pub dt: f64,
    /// Replicas of the network.
    pub replicas: usize,
    /// Name of the target.
    pub target: String,
    /// Every semantic choice, by name.
    pub convention: BTreeMap<String, String>,
}

/// The firmware of one distinct program.
#[derive(Clone, Debug, PartialEq)]
pub struct Firmware {
    /// Its name, which names its files.
    pub name: String,
    /// The processes it runs.
    pub procs: Vec<Proc>,
    /// The ELF file.
    pub elf: Vec<u8>,
    /// What the ELF file says.
    pub image: Image,
    /// Its disassembly.
    pub listing: String,
    /// What its SRAM holds.
    pub memory: Vec<RegionEntry>,
}

impl Firmware {
    /// The data of this name.
    pub fn data(&self, name: &str) -> Option<&ImageSymbol> {
        let symbol = self.image.symbol(name);
        symbol.filter(|s| s.kind == SymbolKind::Object)
    }

    /// The words that a symbol of initialised data starts with.
    fn words(&self, symbol: &ImageSymbol) -> Option<impl Iterator<Item = u32>> {
        let data = &self.image.data;
        let start = symbol.addr.checked_sub(data.addr)? as usize;
        let bytes = data
            .bytes
            .get(start..start.checked_add(symbol.size as usize)?)?;
        let word = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Some(bytes.chunks_exact(4).map(word))
    }
}

/// What goes into a PE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Load {
    /// The image.
    pub image: ImageId,
    /// Words that differ from the image.
    pub data: Vec<Words>,
}

#[derive(Clone, Debug, PartialEq)]
struct Index {
    processes: Vec<manifest::ProcessEntry>,
    keys: Vec<manifest::KeyEntry>,
    program_text: String,
    /// Names and words of the program's tensors, where it is in slices.
    tensors: Vec<(String, Vec<u8>)>,
    mapping_text: String,
}

impl Bundle {
    /// The mapping with the memory of each image, for people to read.
    pub fn mapping_text(&self) -> &str {
        &self.index.mapping_text
    }

    /// What goes into the PE that runs `proc` for `instance`, and which PE that is.
    pub fn load_of(&self, instance: Instance, proc: Proc) -> Option<usize> {
        let mut placements = self.mapping.placements.iter();
        placements.position(|p| p.instance == instance && p.procs.contains(&proc))
    }

    /// The event program, with the tensors as the images have them.
    ///
    /// # Errors
    /// If the bundle's parts contradict each other, or its program is none that can run.
    pub fn program(&self) -> Result<Program, BundleError> {
        let parameters = self.index.processes.iter().flat_map(|process| {
            let arrays = process.arrays.iter();
            arrays.map(move |array| (process.image.as_str(), array))
        });
        let externals = parameters.filter_map(|(image, array)| {
            let firmware = self.images.values().find(|i| i.name == image)?;
            let words = firmware.words(firmware.data(&array.symbol)?)?;
            Some((
                array.tensor.clone()?,
                words.map(f32::from_bits).collect::<Vec<f32>>().into(),
            ))
        });
        let kept = self.index.tensors.iter().map(|(name, bytes)| {
            let words = bytes.chunks_exact(4);
            let words = words.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            (name.clone(), words.collect::<Vec<f32>>().into())
        });
        let externals = match self.slices.is_empty() {
            true => externals.collect(),
            false => kept.collect(),
        };
        let program = parse_program(&self.index.program_text, &externals);
        let program = program.map_err(BundleError::Program)?;
        nirc_ir::verify::verify(&program).map_err(BundleError::Program)?;
        self.check(&program)?;
        Ok(program)
    }

    /// Checks that the bundle is one of `program`: made from it, and mapped soundly.
    ///
    /// # Errors
    /// If it is not.
    pub fn check(&self, program: &Program) -> Result<(), BundleError> {
        self.slice(program).map(|_| ())
    }

    /// The program as it runs, in slices; checks that the bundle is one of `program`, as [`Bundle::check`] does.
    ///
    /// # Errors
    /// If it is not.
    pub fn slice(&self, program: &Program) -> Result<Sliced, BundleError> {
        let expected = fingerprint(program);
        if self.origin.program != expected {
            return Err(BundleError::OtherProgram {
                expected,
                found: self.origin.program.clone(),
            });
        }
        let cuts = match self.slices.is_empty() {
            true => Some(Cuts::none(program)),
            false => Cuts::new(program, &self.slices),
        };
        let sliced = slice(program, &cuts.ok_or(BundleError::Slices)?);
        verify(&self.mapping, &sliced.program, self.mapping.routes.len())
            .map_err(BundleError::Mapping)?;
        Ok(sliced)
    }
}

/// Name of the symbol of a process's array.
pub fn array_symbol(process: &str, array: &str) -> String {
    format!("{process}.{array}")
}

/// SHA-256 of a program's text: the same for the same program, bit by bit.
pub fn fingerprint(program: &Program) -> String {
    sha256(print_program(program).as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

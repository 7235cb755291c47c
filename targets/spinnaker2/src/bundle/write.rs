//! From a bundle to its directory.

use std::collections::BTreeMap;
use std::path::Path;

use nirc_ir::entity::Entity;
use nirc_ir::event::Proc;
use serde::Serialize;

use super::manifest::{ImageEntry, Manifest, PlacementEntry, RouteEntry, Spec, VERSION};
use super::{Bundle, BundleError, Firmware, directory, mem, sha256};
use crate::mapping::{PeId, PeSet};

/// Paths of the files of a bundle.
pub(super) mod path {
    use crate::mapping::PeId;

    pub(crate) const MANIFEST: &str = "manifest.json";
    pub(crate) const ROUTES: &str = "routes.json";
    pub(crate) const MAPPING: &str = "mapping.txt";
    pub(crate) const PROGRAM: &str = "program.txt";
    pub(crate) const SPEC: &str = "spec.json";

    pub(crate) fn elf(image: &str) -> String {
        format!("images/{image}.elf")
    }

    pub(crate) fn mem(image: &str) -> String {
        format!("images/{image}.mem")
    }

    pub(crate) fn listing(image: &str) -> String {
        format!("listing/{image}.lst")
    }

    pub(crate) fn tensor(number: usize) -> String {
        format!("tensors/{number}.f32")
    }

    pub(crate) fn data(pe: PeId) -> String {
        format!("data/pe{:03}.json", pe.raw())
    }
}

type Files = BTreeMap<String, Vec<u8>>;

impl Bundle {
    /// Writes the bundle as the new directory `dir`, all of it or nothing.
    ///
    /// # Errors
    /// If `dir` is anything but new or empty, or cannot be written.
    pub fn write(&self, dir: &Path) -> Result<(), BundleError> {
        let files = self.files()?;
        let all = files.iter().map(|(p, b)| (p.as_str(), b.as_slice()));
        directory::write_new(dir, all).map_err(|source| BundleError::Write {
            path: dir.to_owned(),
            source,
        })
    }

    /// Every file of the bundle by its path.
    ///
    /// # Errors
    /// If an attachment has the path of another file, or one that leads out of the bundle.
    pub fn files(&self) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
        let mut files = Files::new();
        for firmware in self.images.values() {
            let blocks = firmware.image.blocks();
            let hex = mem::verilog_hex(blocks.map(|b| (b.addr, b.bytes.as_slice())));
            let name = &firmware.name;
            files.insert(path::elf(name), firmware.elf.clone());
            files.insert(path::mem(name), hex.into_bytes());
            files.insert(path::listing(name), firmware.listing.clone().into_bytes());
        }
        for (placement, load) in self.mapping.placements.iter().zip(&self.loads) {
            files.insert(path::data(placement.pe), json(&load.data));
        }
        for (k, (_, bytes)) in self.index.tensors.iter().enumerate() {
            files.insert(path::tensor(k), bytes.clone());
        }
        files.insert(path::ROUTES.to_owned(), json(&self.route_entries()));
        files.insert(path::SPEC.to_owned(), json(&self.spec()));
        let texts = [
            (path::MAPPING, &self.index.mapping_text),
            (path::PROGRAM, &self.index.program_text),
        ];
        files.extend(texts.map(|(path, text)| (path.to_owned(), text.clone().into_bytes())));
        for (name, bytes) in &self.attachments {
            let taken = name == path::MANIFEST || files.contains_key(name);
            if taken || !is_inside(name) {
                return Err(BundleError::Attachment(name.clone()));
            }
            files.insert(name.clone(), bytes.clone());
        }
        let manifest = json(&self.manifest(&files));
        files.insert(path::MANIFEST.to_owned(), manifest);
        Ok(files)
    }

    fn manifest(&self, files: &Files) -> Manifest {
        let origin = self.origin.clone();
        Manifest {
            version: VERSION,
            generator: concat!("nirc ", env!("CARGO_PKG_VERSION")).to_owned(),
            network: origin.network,
            program: origin.program,
            ticks: origin.ticks,
            dt: origin.dt,
            replicas: origin.replicas,
            window: self.mapping.pacing.window,
            segment: self.mapping.pacing.segment,
            slices: self.slices.clone(),
            tensors: self.index.tensors.iter().map(|(n, _)| n.clone()).collect(),
            target: origin.target,
            convention: origin.convention,
            processes: self.index.processes.clone(),
            images: self.images.values().map(image_entry).collect(),
            placements: self.placement_entries(),
            keys: self.index.keys.clone(),
            files: files.iter().map(|(p, b)| (p.clone(), sha256(b))).collect(),
        }
    }

    fn placement_entries(&self) -> Vec<PlacementEntry> {
        let placed = self.mapping.placements.iter().zip(&self.loads);
        let entry = placed.map(|(placement, load)| PlacementEntry {
            pe: placement.pe.raw(),
            position: position(placement.pe),
            instance: placement.instance.raw(),
            processes: numbers(&placement.procs),
            image: self.images[load.image].name.clone(),
            data: path::data(placement.pe),
        });
        entry.collect()
    }

    fn route_entries(&self) -> Vec<RouteEntry> {
        let entry = self.mapping.routes.iter().map(|route| RouteEntry {
            key: route.keys.key(),
            mask: route.keys.mask(),
            to: raw(&route.to),
        });
        entry.collect()
    }

    fn spec(&self) -> Spec {
        let placed = || self.mapping.placements.iter().zip(&self.loads);
        let mem = |(_, load): (_, &super::Load)| path::mem(&self.images[load.image].name);
        let send = |(_, load): (_, &super::Load)| {
            let words = load.data.iter().map(|w| (w.address, w.words.clone()));
            words.collect()
        };
        let read = |(_, load): (_, &super::Load)| {
            let status = self.images[load.image].data("status");
            status.map(|s| (s.addr, s.size / 4)).into_iter().collect()
        };
        Spec {
            active_pes: placed().map(|(p, _)| position(p.pe)).collect(),
            mem_files: placed().map(mem).collect(),
            mem_data_to_send: placed().map(send).collect(),
            mem_regions_to_read: placed().map(read).collect(),
        }
    }
}

fn image_entry(firmware: &Firmware) -> ImageEntry {
    ImageEntry {
        name: firmware.name.clone(),
        processes: numbers(&firmware.procs),
        entry: firmware.image.entry,
        memory: firmware.memory.clone(),
    }
}

fn numbers(procs: &[Proc]) -> Vec<u32> {
    procs.iter().map(|p| p.index() as u32).collect()
}

fn position(pe: PeId) -> [u8; 3] {
    let (x, y) = pe.quad();
    [x, y, pe.place()]
}

pub(super) fn raw(pes: &PeSet) -> Vec<u8> {
    pes.iter().map(PeId::raw).collect()
}

/// Whether a path names a file below the bundle's directory.
pub(super) fn is_inside(path: &str) -> bool {
    !path.is_empty() && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).expect("plain data has a JSON form");
    text.push(b'\n');
    text
}

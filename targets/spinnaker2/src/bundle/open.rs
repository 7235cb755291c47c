//! From a directory to the bundle in it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use nirc_ir::entity::{Entity, PrimaryMap};
use nirc_ir::event::Proc;
use serde::de::DeserializeOwned;

use super::manifest::{ImageEntry, Manifest, PlacementEntry, RouteEntry, VERSION};
use super::write::{is_inside, path};
use super::{Bundle, BundleError, Firmware, ImageId, Index, Load, Origin, sha256};
use crate::elf::Image;
use crate::mapping::{Instance, Keys, Mapping, Pacing, PeId, Placement, Route};

type Files = BTreeMap<String, Vec<u8>>;

impl Bundle {
    /// Reads a bundle and checks every file against the manifest's hash. Whether it belongs to the
    /// program at hand is for [`Bundle::check`] to say.
    ///
    /// # Errors
    /// If `dir` is no bundle, or a file is missing or damaged.
    pub fn open(dir: &Path) -> Result<Self, BundleError> {
        let manifest: Manifest = parse(path::MANIFEST, &read(dir, path::MANIFEST)?)?;
        if manifest.version != VERSION {
            return Err(BundleError::Version {
                expected: VERSION,
                found: manifest.version,
            });
        }
        let mut files = read_files(dir, &manifest)?;
        let images = manifest
            .images
            .iter()
            .map(|entry| firmware(entry, &mut files))
            .collect::<Result<PrimaryMap<ImageId, Firmware>, _>>()?;
        let mut placements = Vec::new();
        let mut loads = Vec::new();
        for entry in &manifest.placements {
            placements.push(placement(entry));
            loads.push(load(entry, &images, &mut files)?);
        }
        let routes: Vec<RouteEntry> = parse(path::ROUTES, &take(&mut files, path::ROUTES)?)?;
        let program_text = text(take(&mut files, path::PROGRAM)?);
        let mapping_text = text(take(&mut files, path::MAPPING)?);
        let mut tensors = Vec::new();
        for (k, name) in manifest.tensors.into_iter().enumerate() {
            tensors.push((name, take(&mut files, &path::tensor(k))?));
        }
        for derived in images.values().map(|i| path::mem(&i.name)) {
            files.remove(&derived);
        }
        files.remove(path::SPEC);
        Ok(Self {
            slices: manifest.slices,
            mapping: Mapping {
                placements,
                routes: routes.iter().map(route).collect(),
                pacing: Pacing {
                    window: manifest.window,
                    segment: manifest.segment,
                },
            },
            images,
            loads,
            attachments: files,
            index: Index {
                processes: manifest.processes,
                keys: manifest.keys,
                program_text,
                tensors,
                mapping_text,
            },
            origin: Origin {
                network: manifest.network,
                program: manifest.program,
                ticks: manifest.ticks,
                dt: manifest.dt,
                replicas: manifest.replicas,
                target: manifest.target,
                convention: manifest.convention,
            },
        })
    }
}

fn read(dir: &Path, file: &str) -> Result<Vec<u8>, BundleError> {
    let path = dir.join(file);
    fs::read(&path).map_err(|source| BundleError::Read { path, source })
}

fn parse<T: DeserializeOwned>(file: &str, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|source| BundleError::Json {
        file: file.to_owned(),
        source,
    })
}

fn read_files(dir: &Path, manifest: &Manifest) -> Result<Files, BundleError> {
    let mut files = Files::new();
    for (file, expected) in &manifest.files {
        if !is_inside(file) {
            return Err(missing(file));
        }
        let bytes = read(dir, file)?;
        let found = sha256(&bytes);
        if found != *expected {
            return Err(BundleError::Hash {
                file: file.clone(),
                expected: expected.clone(),
                found,
            });
        }
        files.insert(file.clone(), bytes);
    }
    Ok(files)
}

fn take(files: &mut Files, file: &str) -> Result<Vec<u8>, BundleError> {
    files.remove(file).ok_or_else(|| missing(file))
}

fn missing(what: &str) -> BundleError {
    BundleError::Missing {
        what: what.to_owned(),
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

fn procs(numbers: &[u32]) -> Vec<Proc> {
    numbers.iter().map(|&n| Proc::new(n as usize)).collect()
}

fn firmware(entry: &ImageEntry, files: &mut Files) -> Result<Firmware, BundleError> {
    let elf = take(files, &path::elf(&entry.name))?;
    let image = Image::parse(&elf).map_err(|source| BundleError::Image {
        name: entry.name.clone(),
        source,
    })?;
    Ok(Firmware {
        name: entry.name.clone(),
        procs: procs(&entry.processes),
        image,
        elf,
        listing: text(take(files, &path::listing(&entry.name))?),
        memory: entry.memory.clone(),
    })
}

fn placement(entry: &PlacementEntry) -> Placement {
    Placement {
        pe: PeId::new(entry.pe),
        instance: Instance::from_raw(entry.instance),
        procs: procs(&entry.processes),
    }
}

fn load(
    entry: &PlacementEntry,
    images: &PrimaryMap<ImageId, Firmware>,
    files: &mut Files,
) -> Result<Load, BundleError> {
    let named = images.iter().find(|(_, i)| i.name == entry.image);
    let (image, _) = named.ok_or_else(|| missing(&entry.image))?;
    Ok(Load {
        image,
        data: parse(&entry.data, &take(files, &entry.data)?)?,
    })
}

fn route(entry: &RouteEntry) -> Route {
    Route {
        keys: Keys::new(entry.key, entry.mask),
        to: entry.to.iter().map(|&pe| PeId::new(pe)).collect(),
    }
}

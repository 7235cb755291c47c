//! NumPy's archives, `.npz`: an array for each port.

use std::io::{Cursor, Read};

use nirc_ir::{Diagnostic, Diagnostics, codes};
use zip::ZipArchive;

use super::bins::malformed;
use super::signal::{Name, Signal};
use super::{FILE_BYTES, Request, assign, listed, npy, too_large};
use crate::data::Archive;

/// How an archive begins.
const MAGIC: &[u8] = b"PK\x03\x04";
/// How an archive begins that holds nothing.
const MAGIC_EMPTY: &[u8] = b"PK\x05\x06";

/// Reads the arrays of the ports asked for.
pub(super) fn read(
    bytes: &[u8],
    request: &Request,
    place: &str,
) -> Result<(Vec<Signal>, Diagnostics), Diagnostics> {
    let mut archive = open(bytes, place)?;
    let members: Vec<String> = archive.file_names().map(stripped).collect();
    let find = |name: &Name| {
        // Recordings have the quantity in their names.
        let names = [name.to_string(), format!("{name}.spikes")];
        let same = members
            .iter()
            .enumerate()
            .filter(|(_, m)| names.contains(m));
        same.map(|(i, _)| i).collect()
    };
    let (chosen, notes) = assign(request, &members, place, find)?;
    let mut signals = Vec::new();
    let mut problems = Diagnostics::new();
    let mut left = FILE_BYTES;
    for (port, index) in request.ports.iter().zip(chosen) {
        let place = format!("{place}, array {}", members[index]);
        let signal = unpack(&mut archive, index, &mut left, &place)
            .and_then(|bytes| npy::read(&bytes, port, &place));
        match signal {
            Ok(signal) => signals.push(signal),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result((signals, notes))
}

/// Whether a file is an archive.
pub(in crate::data) fn is_archive(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC) || bytes.starts_with(MAGIC_EMPTY)
}

/// The `.npy` file of an array by its name.
pub(in crate::data) fn archive_member(
    bytes: &[u8],
    name: &str,
    place: &str,
) -> Result<Vec<u8>, Diagnostic> {
    let mut archive = open(bytes, place)?;
    let members: Vec<String> = archive.file_names().map(stripped).collect();
    let Some(index) = members.iter().position(|member| member == name) else {
        let message = format!("expected an array `{name}`, found {}", listed(members));
        return Err(malformed(place, &message).help("store it under this name"));
    };
    let place = format!("{place}, array {name}");
    unpack(&mut archive, index, &mut { FILE_BYTES }, &place)
}

fn open<'a>(bytes: &'a [u8], place: &str) -> Result<ZipArchive<Cursor<&'a [u8]>>, Diagnostic> {
    ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| malformed(place, &format!("not a .npz archive: {error}")))
}

/// NumPy leaves the ending of a member's name away.
fn stripped(name: &str) -> String {
    name.strip_suffix(".npy").unwrap_or(name).to_owned()
}

/// The bytes of a member, if they are no more than what is `left` of the bound, which they lessen.
fn unpack(
    archive: &mut ZipArchive<Cursor<&[u8]>>,
    index: usize,
    left: &mut u64,
    place: &str,
) -> Result<Vec<u8>, Diagnostic> {
    let broken = |error: &dyn std::fmt::Display| {
        malformed(place, &format!("cannot be unpacked: {error}"))
            .help("save the archive again with numpy.savez or numpy.savez_compressed")
    };
    let member = archive.by_index(index).map_err(|e| broken(&e))?;
    let mut bytes = Vec::new();
    member
        .take(*left + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| broken(&e))?;
    *left = left
        .checked_sub(bytes.len() as u64)
        .ok_or_else(|| too_large(place, "what is packed"))?;
    Ok(bytes)
}

/// The archive of signals, each under its name.
pub(super) fn write(signals: &[(Name, Signal)], place: &str) -> Result<Vec<u8>, Diagnostic> {
    let mut archive = Archive::new();
    for (name, signal) in signals {
        let name = name.to_string();
        let place = format!("{place}, array {name}");
        match signal {
            Signal::Spikes(spikes) => {
                let raster = spikes.raster().map_err(|e| npy::too_dense(&place, &e))?;
                archive.add(&name, &raster).and_then(|()| {
                    let times = spikes.list();
                    times.map_or(Ok(()), |times| {
                        archive.add(&format!("{name}.times"), &times)
                    })
                })
            }
            Signal::Values(values) => archive.add(&name, values.array()),
        }
        .map_err(|problem| Diagnostic::error(codes::FILE_UNWRITABLE, place, problem.message))?;
    }
    archive.finish(place)
}

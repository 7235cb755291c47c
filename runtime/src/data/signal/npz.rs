//! NumPy's archives, `.npz`: an array for each port.

use std::io::{Cursor, Read};

use nirc_ir::{Diagnostic, Diagnostics, codes};
use zip::ZipArchive;

use super::bins::malformed;
use super::signal::{Name, Signal};
use super::{FILE_BYTES, Request, assign, npy, too_large};
use crate::data::Archive;

/// How an archive begins.
pub(super) const MAGIC: &[u8] = b"PK\x03\x04";
/// How an archive begins that holds nothing.
pub(super) const MAGIC_EMPTY: &[u8] = b"PK\x05\x06";

/// Reads the arrays of the ports asked for.
pub(super) fn read(
    bytes: &[u8],
    request: &Request,
    place: &str,
) -> Result<(Vec<Signal>, Diagnostics), Diagnostics> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))
        .map_err(|error| malformed(place, &format!("not a .npz archive: {error}")))?;
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
                archive.add(&name, &raster)
            }
            Signal::Values(values) => archive.add(&name, values.array()),
        }
        .map_err(|problem| Diagnostic::error(codes::FILE_UNWRITABLE, place, problem.message))?;
    }
    archive.finish(place)
}

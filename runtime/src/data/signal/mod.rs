//! Signals in files: what goes into a network and what comes out of it.
//!
//! | file | holds | reading tells it by |
//! |---|---|---|
//! | `.npy` | one array, time first | NumPy's signature |
//! | `.npz` | an array a port, by the port's name; a single one may have any name | zip's signature |
//! | `.csv` | one signal: events or a grid, see below | being text |
//! | `.h5` | NIRData of `nir` 1.0.8: events, events with values, or arrays of each node | HDF5's signature |
//!
//! **Arrays** are (T, J) for one sample or (T, B, J): ticks, samples, channels. For J stand as well the
//! axes of the port, channels first: (T, C, H, W) and (T, B, C, H, W). Elements are booleans, integers or
//! floats of any size and byte order, in C or Fortran order.
//!
//! **Text** has its columns parted by commas. A header with a column `channel` makes it *events*, one a
//! line: `time` (or `t`, in seconds) or `tick`, `channel`, and if wanted `sample` and `value`, in any
//! order; a column `label`, the sample's class, is for data sets and no part of the signal. All else is a *grid*, one line a tick and one column a channel, with or without a header; a
//! header may name the first columns `time`, `t` or `tick`, and `sample`. The ticks of a sample run from 0
//! without gaps.
//!
//! **Spikes and values.** Zeros and ones are spikes, all else are values, unless the caller demands one.
//! Several events in one bin are a count, and with values their sum, so they are no spike. Values are
//! rounded to `f32`, and none is read that is not finite then.
//!
//! **Times** become ticks by the length of a tick, `dt`. They must lie at a tick, a hundredth of one more
//! or less, and before the last; nothing is moved to where it fits.
//!
//! **Exact times.** For networks of exact event times events are spikes at their times, any number in a bin, and a
//! column `tick` may have fractions. What is known by its bin spikes at the bin's beginning. Written are the times as well:
//! in ticks with fractions as text, in seconds as NIRData, and beside the array in `.npz`.

mod bins;
mod csv;
mod grid;
mod nirdata;
mod npy;
mod npz;
mod shape;
#[expect(clippy::module_inception, reason = "the type has the module's name")]
mod signal;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use nirc_ir::{Diagnostic, Diagnostics, codes};

pub use self::signal::{ExactSpike, Extent, Kind, Name, Signal, SignalError, Spikes, Values};
use crate::data::npy::MAGIC;
use crate::file;
use bins::malformed;
pub(super) use npz::{archive_member, is_archive};

/// A port of a network, and what a file has to hold for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name.
    pub name: Name,
    /// Its shape without ticks and samples, channels first; `None` if it is not known.
    pub shape: Option<Vec<usize>>,
    /// What it has to be; `None` if it may be either.
    pub kind: Option<Kind>,
}

impl Port {
    /// Number of channels, where the shape is known.
    fn channels(&self) -> Option<u64> {
        self.shape.as_deref().map(|shape| shape::flat(shape) as u64)
    }
}

/// What is wanted of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The ports to read; others in the file are left, with a note.
    pub ports: Vec<Port>,
    /// Seconds a tick, for files with times.
    pub dt: Option<f64>,
    /// The number of ticks, if the caller knows it; events of text do not say it.
    pub ticks: Option<u32>,
    /// The number of samples, if the caller knows it; events of text do not say it.
    pub samples: Option<u32>,
    /// Whether events keep their times as they are, for networks of exact event times.
    pub exact: bool,
}

/// How a file that can be either lists bins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Only the bins that are not 0.
    Events,
    /// All bins.
    Grid,
}

/// How to write.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Writing {
    /// Seconds a tick; NIRData cannot do without.
    pub dt: Option<f64>,
    /// How `.csv` and `.h5` list bins; `None` for spikes as events and values as a grid.
    pub layout: Option<Layout>,
}

impl Writing {
    fn layout(&self, signal: &Signal) -> Layout {
        self.layout.unwrap_or(match signal.kind() {
            Kind::Spikes => Layout::Events,
            Kind::Values => Layout::Grid,
        })
    }
}

/// Bytes of a file, and of what is unpacked of one.
const FILE_BYTES: u64 = 1 << 30;

/// Reads the signals of the ports asked for, in their order, and notes about what is in the file besides.
///
/// # Errors
/// When the file cannot be read, is of none of the formats, lacks a port, does not fit what is asked for,
/// or is larger than 1 GiB.
pub fn read_signals(
    path: &Path,
    request: &Request,
) -> Result<(Vec<Signal>, Diagnostics), Diagnostics> {
    let place = path.display().to_string();
    let bytes = load(path, &place)?;
    let (signals, notes) = if bytes.starts_with(MAGIC) {
        let signal = npy::read(&bytes, only_port(request, &place)?, &place)?;
        (vec![signal], Diagnostics::new())
    } else if is_archive(&bytes) {
        npz::read(&bytes, request, &place)?
    } else if bytes.starts_with(nirdata::MAGIC) {
        nirdata::read(bytes, request, &place)?
    } else {
        let signal = csv::read(&bytes, only_port(request, &place)?, request, &place)?;
        (vec![signal], Diagnostics::new())
    };
    agree(&signals, request, &place)?;
    Ok((signals, notes))
}

/// The formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Npy,
    Npz,
    Csv,
    NirData,
}

impl Format {
    /// The one that the path's extension says.
    fn of(path: &Path) -> Result<Self, Diagnostic> {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let found = match &*extension.to_ascii_lowercase() {
            "npy" => return Ok(Self::Npy),
            "npz" => return Ok(Self::Npz),
            "csv" => return Ok(Self::Csv),
            "h5" | "hdf5" => return Ok(Self::NirData),
            "" => "none".to_owned(),
            _ => format!(".{extension}"),
        };
        let message = format!("expected a name in .npy, .npz, .csv or .h5, found {found}");
        let place = path.display().to_string();
        Err(Diagnostic::error(codes::FILE_UNWRITABLE, place, message)
            .help("the extension says the format"))
    }

    /// Whether it holds so many signals of these names.
    fn holds<T: ToString>(self, names: &[T], place: &str) -> Result<(), Diagnostic> {
        match (self, names) {
            (Self::Npz | Self::NirData, _) | (_, [_]) => Ok(()),
            _ => {
                let listed = listed(names.iter().map(T::to_string));
                let found = names.len();
                let message = format!("the format holds one signal, found {found} ({listed})");
                Err(Diagnostic::error(codes::FILE_UNWRITABLE, place, message)
                    .help("write .npz or .h5, or one signal"))
            }
        }
    }
}

/// Whether signals of these names can be written there, as far as that can be told before there are any.
///
/// # Errors
/// When the extension is none of the four, the format holds one signal and there are others, or there is no such
/// directory.
pub fn can_be_written<T: ToString>(path: &Path, names: &[T]) -> Result<(), Diagnostic> {
    Format::of(path)?.holds(names, &path.display().to_string())?;
    file::has_place(path)
}

/// Writes signals; the format is that of the path's extension. The file is there whole or not at all.
///
/// # Errors
/// When the extension is none of the four, the format holds one signal and there are others, a name
/// cannot be stored, or the file cannot be written.
pub fn write_signals(
    path: &Path,
    signals: &[(Name, Signal)],
    writing: &Writing,
) -> Result<(), Diagnostic> {
    let place = path.display().to_string();
    let format = Format::of(path)?;
    let names: Vec<&Name> = signals.iter().map(|(name, _)| name).collect();
    format.holds(&names, &place)?;
    let bytes = match (format, signals) {
        (Format::Npy, [(_, signal), ..]) => npy::write(signal, &place)?,
        (Format::Csv, [(_, signal), ..]) => csv::write(signal, writing.layout(signal), &place)?,
        (Format::NirData, _) => nirdata::write(signals, writing, &place)?,
        _ => npz::write(signals, &place)?,
    };
    file::write_atomically(path, &bytes)
}

fn load(path: &Path, place: &str) -> Result<Vec<u8>, Diagnostic> {
    let unreadable = |error: io::Error| {
        Diagnostic::error(
            codes::FILE_UNREADABLE,
            place,
            format!("cannot be read: {error}"),
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(too_large(place, "the file"));
    }
    Ok(bytes)
}

fn too_large(place: &str, what: &str) -> Diagnostic {
    Diagnostic::error(
        codes::FILE_TOO_LARGE,
        place,
        format!("expected at most {FILE_BYTES} bytes, {what} has more"),
    )
    .help("split it by samples")
}

/// The port of a file that holds one signal.
fn only_port<'a>(request: &'a Request, place: &str) -> Result<&'a Port, Diagnostic> {
    match &request.ports[..] {
        [port] => Ok(port),
        ports => Err(malformed(
            place,
            &format!(
                "expected signals for {} ports ({}), found a file of one signal",
                ports.len(),
                listed(ports.iter().map(|p| &p.name))
            ),
        )
        .help("use .npz with an array for each port by its name, or NIRData")),
    }
}

/// Which of a file's members stands for each port, and notes about those that stand for none. A single
/// member is the only port's whatever its name.
fn assign(
    request: &Request,
    members: &[String],
    place: &str,
    find: impl Fn(&Name) -> Vec<usize>,
) -> Result<(Vec<usize>, Diagnostics), Diagnostics> {
    let mut chosen = Vec::new();
    let (mut notes, mut problems) = (Diagnostics::new(), Diagnostics::new());
    for port in &request.ports {
        match &find(&port.name)[..] {
            [one] => chosen.push(*one),
            [] if request.ports.len() == 1 && members.len() == 1 => {
                notes.push(Diagnostic::note(
                    codes::DATA_ARRAY,
                    place,
                    format!(
                        "`{}`, the only signal, is taken for `{}`",
                        members[0], port.name
                    ),
                ));
                chosen.push(0);
            }
            [] => problems.push(
                malformed(
                    place,
                    &format!(
                        "expected a signal for `{}`, found {}",
                        port.name,
                        listed(members)
                    ),
                )
                .help("store it under this name"),
            ),
            several => problems.push(
                malformed(
                    place,
                    &format!(
                        "expected one signal for `{}`, found {}",
                        port.name,
                        listed(several.iter().map(|i| &members[*i]))
                    ),
                )
                .help("name the quantity too, or store one signal"),
            ),
        }
    }
    let left = members
        .iter()
        .enumerate()
        .filter(|(i, _)| !chosen.contains(i))
        .map(|(_, name)| name);
    let left: Vec<_> = left.collect();
    if !left.is_empty() {
        notes.push(Diagnostic::note(
            codes::DATA_ARRAY,
            place,
            format!("nothing asks for {}", listed(left)),
        ));
    }
    problems.into_result((chosen, notes))
}

/// Names for a message: the first few of them.
fn listed<T: ToString>(names: impl IntoIterator<Item = T>) -> String {
    const MOST: usize = 20;
    let mut names = names.into_iter();
    let shown: Vec<String> = names
        .by_ref()
        .take(MOST)
        .map(|name| format!("`{}`", name.to_string()))
        .collect();
    match (shown.is_empty(), names.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => shown.join(", "),
        (false, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

/// All signals of a run have the ticks and samples asked for, and the same.
fn agree(signals: &[Signal], request: &Request, place: &str) -> Result<(), Diagnostics> {
    let mut problems = Diagnostics::new();
    let mut check = |port: &Port, what: &str, found: u32, expected: Option<u32>| {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            problems.push(
                malformed(
                    place,
                    &format!(
                        "expected {expected} {what} of `{}`, found {found}",
                        port.name
                    ),
                )
                .help("all signals of a run have the same ticks and samples, those of the run"),
            );
        }
    };
    let first = signals.first().map(|signal| signal.extent());
    for (port, signal) in request.ports.iter().zip(signals) {
        let extent = signal.extent();
        let ticks = request.ticks.or(first.map(Extent::ticks));
        let samples = request.samples.or(first.map(Extent::samples));
        check(port, "ticks", extent.ticks(), ticks);
        check(port, "samples", extent.samples(), samples);
    }
    problems.into_result(())
}

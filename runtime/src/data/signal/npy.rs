//! Signals in NumPy's array files.

use ndarray_npy::WriteNpyExt;
use nirc_ir::{Diagnostic, codes};

use super::Port;
use super::bins::{from_array, refused};
use super::shape::bins_of;
use super::signal::{Signal, SignalError};
use crate::data::npy::Array;

/// Reads an array as the signal of a port.
pub(super) fn read(bytes: &[u8], port: &Port, place: &str) -> Result<Signal, Diagnostic> {
    let array = Array::parse(bytes, place)?;
    let extent = bins_of(array.shape(), port.shape.as_deref(), place)?;
    let (samples, channels) = (extent.samples() as usize, extent.channels() as usize);
    from_array(extent, port.kind, place, |t, b, j| {
        array.number((t * samples + b) * channels + j)
    })
}

/// The file of a signal: (T, B, J), `u8` for spikes, `float32` for values.
pub(super) fn write(signal: &Signal, place: &str) -> Result<Vec<u8>, Diagnostic> {
    let mut bytes = Vec::new();
    match signal {
        Signal::Spikes(spikes) => {
            let raster = spikes.raster().map_err(|e| too_dense(place, &e))?;
            raster.write_npy(&mut bytes)
        }
        Signal::Values(values) => values.array().write_npy(&mut bytes),
    }
    .map_err(|error| {
        Diagnostic::error(
            codes::FILE_UNWRITABLE,
            place,
            format!("not stored: {error}"),
        )
    })?;
    Ok(bytes)
}

/// What to say of spikes that would fill too large an array.
pub(super) fn too_dense(place: &str, error: &SignalError) -> Diagnostic {
    refused(place, error).help("store the spikes as events: .csv or .h5")
}

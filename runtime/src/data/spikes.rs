//! Spikes and labels in files.

use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::signal::{Kind, Name, Port, Request, Signal, read_signals};
use super::{DataSet, TimedSpike, labels};
use crate::config::{SpikeFiles, Time};

/// Reads the samples of a file. `channels` says how many there are where the file does not.
///
/// # Errors
/// When a file cannot be read, holds something that is no spike, or has other ticks or samples than the
/// configuration or the labels say.
pub(super) fn read(
    files: &SpikeFiles,
    channels: Option<u32>,
    time: Time,
) -> Result<DataSet, Diagnostics> {
    let labels = labels(files)?;
    let count = u32::try_from(labels.len()).unwrap_or(u32::MAX);
    let request = Request {
        ports: vec![Port {
            name: Name::port(files.signal.clone()),
            shape: channels.map(|channels| vec![channels as usize]),
            kind: Some(Kind::Spikes),
        }],
        dt: Some(time.dt),
        ticks: Some(time.ticks),
        samples: Some(count),
        exact: time.model.is_event(),
    };
    // The notes would tell of the labels that nothing asks for them.
    let (signals, _) = read_signals(&files.spikes, &request)?;
    let place = files.spikes.display().to_string();
    let Some(Signal::Spikes(spikes)) = signals.first() else {
        let problem = Diagnostic::error(codes::DATA_ARRAY, place, "it holds values, not spikes");
        return Err(problem.help("use kind = \"features\" for numbers").into());
    };
    let samples = labels::first(labels.len(), files.samples, &place)?;
    let channels = spikes.extent().channels() as usize;
    let mut set = match time.model.is_event() {
        true => DataSet::exact(channels),
        false => DataSet::new(channels),
    };
    for (b, label) in labels.into_iter().enumerate().take(samples) {
        let pushed = if time.model.is_event() {
            let timed = spikes.timed(b).map(|spike| TimedSpike {
                time: spike.time.into(),
                channel: spike.channel,
            });
            set.push_timed(timed, time.ticks, label)
        } else {
            let sample = spikes.samples().nth(b).unwrap_or_default();
            set.push(sample.iter().copied(), label)
        };
        pushed.expect("channels of the signal are channels of the set");
    }
    Ok(set)
}

/// The labels that belong to a file.
pub(super) fn labels(files: &SpikeFiles) -> Result<Vec<u32>, Diagnostic> {
    labels::read(files.labels.as_ref().unwrap_or(&files.spikes))
}

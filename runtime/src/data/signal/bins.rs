//! Numbers in bins: when they are spikes, and when values.

use ndarray::Array3;
use nirc_ir::Diagnostic;
use nirc_ir::executor::InputSpike;

use super::signal::{Event, ExactSpike, Extent, Kind, Signal, SignalError, Spikes, Values, index};
pub(super) use crate::data::npy::malformed;

/// The signal in an array of which `at` gives the element of a tick, sample and channel.
pub(super) fn from_array(
    extent: Extent,
    kind: Option<Kind>,
    place: &str,
    at: impl Fn(usize, usize, usize) -> f64,
) -> Result<Signal, Diagnostic> {
    let dense = extent.dense().map_err(|e| refused(place, &e))?;
    if kind != Some(Kind::Values) {
        match spikes(extent, &at) {
            Ok(spikes) => return Ok(Signal::Spikes(spikes)),
            Err(other) if kind.is_some() => return Err(no_spike(place, other)),
            Err(_) => {}
        }
    }
    let mut array = Array3::zeros(dense);
    for ((tick, sample, channel), value) in array.indexed_iter_mut() {
        let event = Event {
            sample: index(sample),
            tick: index(tick),
            time: None,
            channel: index(channel),
            value: at(tick, sample, channel),
        };
        *value = single(place, &event)?;
    }
    values(array, place)
}

/// The spikes, or the first element that is neither 0 nor 1.
fn spikes(extent: Extent, at: impl Fn(usize, usize, usize) -> f64) -> Result<Spikes, Event> {
    let mut samples = Vec::with_capacity(extent.samples() as usize);
    for sample in 0..extent.samples() {
        let mut spikes = Vec::new();
        for tick in 0..extent.ticks() {
            for channel in 0..extent.channels() {
                let value = at(tick as usize, sample as usize, channel as usize);
                if value == 1.0 {
                    spikes.push(InputSpike { tick, channel });
                } else if value != 0.0 {
                    return Err(Event {
                        sample,
                        tick,
                        time: None,
                        channel,
                        value,
                    });
                }
            }
        }
        samples.push(spikes);
    }
    Ok(Spikes::new(extent.ticks(), extent.channels(), samples).expect("counted out"))
}

/// The signal of events, in any order, within the extent. Those of one bin add up: without values of
/// their own they are counted. With exact times they are spikes, each by itself.
pub(super) fn from_events(
    mut events: Vec<Event>,
    extent: Extent,
    kind: Option<Kind>,
    place: &str,
) -> Result<Signal, Diagnostic> {
    if events.iter().any(|event| event.time.is_some()) {
        return exact(&events, extent, place);
    }
    events.sort_by_key(Event::bin);
    events.dedup_by(|next, sum| {
        let same = next.bin() == sum.bin();
        if same {
            sum.value += next.value;
        }
        same
    });
    events.retain(|event| event.value != 0.0);
    let others = events.iter().filter(|event| event.value != 1.0).count();
    if kind == Some(Kind::Spikes) || (kind.is_none() && others == 0) {
        return match events.iter().find(|event| event.value != 1.0) {
            Some(first) => Err(several(place, *first, others)),
            None => Ok(Signal::Spikes(sparse(&events, extent, place)?)),
        };
    }
    let mut array = Array3::zeros(extent.dense().map_err(|e| refused(place, &e))?);
    for event in &events {
        let [tick, sample, channel] = [event.tick, event.sample, event.channel].map(|i| i as usize);
        array[[tick, sample, channel]] = single(place, event)?;
    }
    values(array, place)
}

fn sparse(events: &[Event], extent: Extent, place: &str) -> Result<Spikes, Diagnostic> {
    let mut samples = vec![Vec::new(); extent.samples() as usize];
    for event in events {
        samples[event.sample as usize].push(InputSpike {
            tick: event.tick,
            channel: event.channel,
        });
    }
    Spikes::new(extent.ticks(), extent.channels(), samples).map_err(|e| refused(place, &e))
}

/// Spikes at exact times.
fn exact(events: &[Event], extent: Extent, place: &str) -> Result<Signal, Diagnostic> {
    let others = events.iter().filter(|event| event.value != 1.0).count();
    if let Some(event) = events.iter().find(|event| event.value != 1.0) {
        let message = format!(
            "expected spikes, found the value {} at {}, and {others} such events in all",
            event.value,
            bin(event)
        );
        let help = "with exact event times only spikes go into a network; leave the values away";
        return Err(malformed(place, &message).help(help));
    }
    let mut samples = vec![Vec::new(); extent.samples() as usize];
    for event in events {
        samples[event.sample as usize].extend(event.time.map(|time| ExactSpike {
            time,
            channel: event.channel,
        }));
    }
    let spikes = Spikes::exact(extent.ticks(), extent.channels(), samples);
    spikes.map(Signal::Spikes).map_err(|e| refused(place, &e))
}

fn values(array: Array3<f32>, place: &str) -> Result<Signal, Diagnostic> {
    let values = Values::new(array).map_err(|e| refused(place, &e))?;
    Ok(Signal::Values(values))
}

/// The value rounded to `f32`, if that is a number.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is meant, and what does not fit becomes infinite"
)]
fn single(place: &str, event: &Event) -> Result<f32, Diagnostic> {
    let value = event.value as f32;
    if value.is_finite() {
        return Ok(value);
    }
    Err(malformed(
        place,
        &format!(
            "expected numbers of at most {:e}, found {:e} at {}",
            f32::MAX,
            event.value,
            bin(event)
        ),
    )
    .help("inputs are finite numbers that fit float32; mend the data where it was recorded"))
}

fn bin(event: &Event) -> String {
    let (sample, tick, channel) = event.bin();
    format!("tick {tick}, sample {sample}, channel {channel}")
}

fn no_spike(place: &str, event: Event) -> Diagnostic {
    malformed(
        place,
        &format!(
            "expected spikes, 0 or 1, found {} at {}",
            event.value,
            bin(&event)
        ),
    )
    .help("save spikes as 0 and 1, such as (array > 0); counts and currents are no spikes")
}

fn several(place: &str, event: Event, others: usize) -> Diagnostic {
    malformed(
        place,
        &format!(
            "expected at most one spike a bin, found {} at {}, and {others} bins in all that hold neither 0 nor 1",
            event.value,
            bin(&event)
        ),
    )
    .help("use a shorter tick (--dt), or drop all but one event of a bin")
}

/// An extent that no signal has.
pub(super) fn refused(place: &str, error: &SignalError) -> Diagnostic {
    malformed(place, &error.to_string()).help(
        "a signal has ticks, samples and channels, and as many as memory holds; split the file",
    )
}

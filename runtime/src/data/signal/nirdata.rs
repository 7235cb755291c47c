//! NIRData: what `nir.write_data` of `nir` 1.0.8 writes and `nir.read_data` reads.
//!
//! ```text
//! /                                    __type__ = "NIRGraphData"
//! /nodes/<node>                        __type__ = "NIRNodeData", or a graph as the root is
//! …/<node>/observables/<quantity>      __type__ = "TimeGriddedData", dt
//!     data                             (B, T, J); booleans for spikes
//! …/<node>/observables/<quantity>      __type__ = "EventData" or "ValuedEventData", n_neurons, t_max
//!     idx, time[, value]               (B, N); where there is no event, idx = -1 and time = inf
//! ```
//! Times are in seconds.

use nir_rs::{Tensor, TensorData};
use nirc_compiler::nir::tree::{Attribute, Dataset, Group};
use nirc_compiler::nir::{ElementError, Limits, read_data_tree, to_bytes};
use nirc_ir::{Diagnostic, Diagnostics, codes};

use super::bins::{from_array, from_events, malformed, refused};
use super::grid::Grid;
use super::npy::too_dense;
use super::signal::{Event, Extent, Name, Signal, index, tick_of};
use super::{FILE_BYTES, Layout, Port, Request, Writing, assign, listed};

/// How an HDF5 file begins.
pub(super) const MAGIC: &[u8] = b"\x89HDF\r\n\x1a\n";

const TYPE: &str = "__type__";
const GRAPH: &str = "NIRGraphData";
const NODE: &str = "NIRNodeData";
const GRIDDED: &str = "TimeGriddedData";
const EVENTS: &str = "EventData";
const VALUED: &str = "ValuedEventData";

/// How far the length of a tick may be from that asked for, relatively.
const SAME_DT: f64 = 1e-6;

/// Reads the observables of the ports asked for. A node's only observable is that of its port.
pub(super) fn read(
    bytes: Vec<u8>,
    request: &Request,
    place: &str,
) -> Result<(Vec<Signal>, Diagnostics), Diagnostics> {
    let limits = Limits {
        file_bytes: FILE_BYTES,
        bytes: FILE_BYTES,
        ..Limits::DEFAULT
    };
    let root = read_data_tree(bytes, &limits).map_err(|mut problem| {
        problem.place = match problem.place.as_str() {
            "" => place.to_owned(),
            within => format!("{place}, {within}"),
        };
        problem.help("write the file again with nir.write_data")
    })?;
    let mut observables = Vec::new();
    gather(&root, "", &mut observables, place)?;
    let members: Vec<String> = observables.iter().map(|(n, _)| n.to_string()).collect();
    let find = |name: &Name| {
        let same = |found: &Name| match &name.quantity {
            Some(_) => found == name,
            None => found.node == name.node,
        };
        let indices = observables.iter().enumerate();
        indices
            .filter(|(_, (found, _))| same(found))
            .map(|(i, _)| i)
            .collect()
    };
    let (chosen, notes) = assign(request, &members, place, find)?;
    let mut signals = Vec::new();
    let mut problems = Diagnostics::new();
    for (port, index) in request.ports.iter().zip(chosen) {
        let (name, group) = &observables[index];
        match observable(group, port, request, &format!("{place}, {name}")) {
            Ok(signal) => signals.push(signal),
            Err(problem) => problems.push(problem),
        }
    }
    problems.into_result((signals, notes))
}

/// Gathers the observables of a graph and of those in it. The tree is finite, and no deeper than the
/// reader's bound.
fn gather<'a>(
    group: &'a Group,
    path: &str,
    observables: &mut Vec<(Name, &'a Group)>,
    place: &str,
) -> Result<(), Diagnostic> {
    expect_type(group, &[GRAPH], path, place)?;
    let nodes = child(group, "nodes", path, place)?;
    for (name, node) in nodes.groups() {
        let path = if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}/{name}")
        };
        if expect_type(node, &[NODE, GRAPH], &path, place)? == GRAPH {
            gather(node, &path, observables, place)?;
        } else {
            let found = child(node, "observables", &path, place)?.groups();
            observables.extend(found.map(|(q, group)| (Name::quantity(&path, q), group)));
        }
    }
    Ok(())
}

fn expect_type<'a>(
    group: &'a Group,
    expected: &[&str],
    path: &str,
    place: &str,
) -> Result<&'a str, Diagnostic> {
    match group.attribute(TYPE) {
        Some(Attribute::Text(found)) if expected.contains(&found.as_str()) => Ok(found),
        found => {
            let found = match found {
                Some(Attribute::Text(found)) => format!("`{found}`"),
                Some(_) => "a number".to_owned(),
                None => "none".to_owned(),
            };
            let problem = malformed(
                &within(place, path),
                &format!(
                    "expected the attribute {TYPE} to be {}, found {found}",
                    listed(expected)
                ),
            );
            Err(if group.contains("node") {
                problem.help("this is a network, not data: name a file of nir.write_data")
            } else {
                problem.help("write the file with nir.write_data of nir 1.0.8")
            })
        }
    }
}

fn within(place: &str, path: &str) -> String {
    if path.is_empty() {
        place.to_owned()
    } else {
        format!("{place}, {path}")
    }
}

fn child<'a>(
    group: &'a Group,
    name: &str,
    path: &str,
    place: &str,
) -> Result<&'a Group, Diagnostic> {
    group.group(name).ok_or_else(|| {
        malformed(
            &within(place, path),
            &format!("expected a group `{name}`, found {}", listed(group.names())),
        )
        .help("write the file with nir.write_data of nir 1.0.8")
    })
}

fn observable(
    group: &Group,
    port: &Port,
    request: &Request,
    place: &str,
) -> Result<Signal, Diagnostic> {
    match expect_type(group, &[GRIDDED, EVENTS, VALUED], "", place)? {
        GRIDDED => gridded(group, port, request, place),
        kind => events(group, kind == VALUED, port, request, place),
    }
}

fn gridded(
    group: &Group,
    port: &Port,
    request: &Request,
    place: &str,
) -> Result<Signal, Diagnostic> {
    let dt = float(group, "dt", place)?;
    let dt = Grid::new(Some(dt), place)?.dt();
    if let Some(asked) = request
        .dt
        .filter(|asked| (asked / dt - 1.0).abs() > SAME_DT)
    {
        return Err(Diagnostic::error(
            codes::TIME_STEP,
            place,
            format!("expected data of {asked} s a tick, found {dt} s"),
        )
        .help("choose that tick with --dt, or record the data with another"));
    }
    let data = Numbers::read(group, "data", place)?;
    let &[samples, ticks, channels] = data.shape() else {
        return Err(malformed(
            place,
            &format!(
                "expected `data` of shape (samples, ticks, channels), found {:?}",
                data.shape()
            ),
        ));
    };
    let extent = extent(ticks as u64, samples as u64, channels as u64, port, place)?;
    from_array(extent, port.kind, place, |t, b, j| {
        data.number((b * ticks + t) * channels + j)
    })
}

fn events(
    group: &Group,
    is_valued: bool,
    port: &Port,
    request: &Request,
    place: &str,
) -> Result<Signal, Diagnostic> {
    let grid = Grid::new(request.dt, place)?;
    let end = float(group, "t_max", place)?;
    let ticks = grid.tick(end, &format!("{place}, t_max"))?;
    let channels = match group.attribute("n_neurons") {
        Some(Attribute::Integer(channels)) => u64::try_from(*channels).ok(),
        _ => None,
    };
    let channels =
        channels.ok_or_else(|| malformed(place, "expected a number of channels `n_neurons`"))?;
    let idx = Numbers::read(group, "idx", place)?;
    let time = Numbers::read(group, "time", place)?;
    let value = is_valued
        .then(|| Numbers::read(group, "value", place))
        .transpose()?;
    let &[samples, slots] = idx.shape() else {
        return Err(malformed(
            place,
            &format!(
                "expected `idx` of shape (samples, events), found {:?}",
                idx.shape()
            ),
        ));
    };
    for (name, other) in [("time", Some(&time)), ("value", value.as_ref())] {
        if let Some(other) = other.filter(|other| other.shape() != idx.shape()) {
            return Err(malformed(
                place,
                &format!(
                    "expected `{name}` of the shape of `idx`, {:?}, found {:?}",
                    idx.shape(),
                    other.shape()
                ),
            ));
        }
    }
    let extent = extent(ticks.into(), samples as u64, channels, port, place)?;
    let mut found = Vec::new();
    for slot in 0..samples * slots {
        let (sample, position) = (slot / slots, slot % slots);
        let place = || format!("{place}, event {position} of sample {sample}");
        let (channel, time) = (
            idx.integer(slot)
                .ok_or_else(|| malformed(&place(), "expected integers in `idx`"))?,
            time.number(slot),
        );
        if channel == -1 && time == f64::INFINITY {
            continue;
        }
        let channel = u32::try_from(channel)
            .ok()
            .filter(|c| *c < extent.channels());
        let exact = request
            .exact
            .then(|| grid.exact(time, &place()))
            .transpose()?;
        let tick = match exact {
            // Below 2^32 all times are in a tick.
            Some(time) => tick_of(time, u32::MAX).unwrap_or(0),
            None => grid.tick(time, &place())?,
        };
        let (Some(channel), true) = (channel, tick < ticks) else {
            return Err(malformed(
                &place(),
                &format!(
                    "expected a channel below {} and a time before {end} s, found {} at {time} s",
                    extent.channels(),
                    idx.number(slot)
                ),
            )
            .help("a slot without an event has idx -1 and time inf"));
        };
        found.push(Event {
            sample: index(sample),
            tick,
            time: exact,
            channel,
            value: value.as_ref().map_or(1.0, |value| value.number(slot)),
        });
    }
    from_events(found, extent, port.kind, place)
}

/// The extent that a file states, if the port has as many channels.
fn extent(
    ticks: u64,
    samples: u64,
    channels: u64,
    port: &Port,
    place: &str,
) -> Result<Extent, Diagnostic> {
    if let Some(expected) = port.channels().filter(|expected| *expected != channels) {
        return Err(malformed(
            place,
            &format!("expected {expected} channels, found {channels}"),
        )
        .help("the channels of a port are all its axes in one, channels first"));
    }
    Extent::new(ticks, samples, channels).map_err(|e| refused(place, &e))
}

fn float(group: &Group, name: &str, place: &str) -> Result<f64, Diagnostic> {
    match group.attribute(name) {
        Some(Attribute::Float(value)) => Ok(*value),
        #[expect(
            clippy::cast_precision_loss,
            reason = "seconds, and whole ones at that"
        )]
        Some(Attribute::Integer(value)) => Ok(*value as f64),
        found => Err(malformed(
            place,
            &format!("expected a number of seconds `{name}`, found {found:?}"),
        )
        .help("write the file with nir.write_data of nir 1.0.8")),
    }
}

/// The numbers of a data set.
struct Numbers(Tensor);

impl Numbers {
    fn read(group: &Group, name: &str, place: &str) -> Result<Self, Diagnostic> {
        let dataset = group.dataset(name).ok_or_else(|| {
            malformed(
                place,
                &format!(
                    "expected a data set `{name}`, found {}",
                    listed(group.names())
                ),
            )
            .help("write the file with nir.write_data of nir 1.0.8")
        })?;
        let tensor = dataset
            .tensor()
            .map_err(|error| malformed(&format!("{place}, {name}"), &error.to_string()))?;
        Ok(Self(tensor))
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers end as f32, which keeps less of them"
    )]
    fn number(&self, index: usize) -> f64 {
        match self.0.data() {
            TensorData::F32(data) => data[index].into(),
            TensorData::F64(data) => data[index],
            TensorData::I64(data) => data[index] as f64,
            TensorData::Bool(data) => u8::from(data[index]).into(),
        }
    }

    fn integer(&self, index: usize) -> Option<i64> {
        match self.0.data() {
            TensorData::I64(data) => Some(data[index]),
            _ => None,
        }
    }
}

/// The file of signals, each an observable of its node. What passes a port is called `spikes` or `values`.
pub(super) fn write(
    signals: &[(Name, Signal)],
    writing: &Writing,
    place: &str,
) -> Result<Vec<u8>, Diagnostic> {
    let grid = Grid::new(writing.dt, place)?;
    let mut root = typed(GRAPH).with("nodes", Group::new());
    for (name, signal) in signals {
        let place = format!("{place}, {name}");
        let quantity = name.quantity.as_deref().unwrap_or(match signal {
            Signal::Spikes(_) => "spikes",
            Signal::Values(_) => "values",
        });
        let is_name = !quantity.is_empty() && !quantity.contains('/');
        let room = observables(&mut root, &name.node)
            .filter(|observables| is_name && !observables.contains(quantity));
        let Some(room) = room else {
            return Err(Diagnostic::error(
                codes::FILE_UNWRITABLE,
                place,
                "the name is empty in parts, or stands for something else already",
            )
            .help("give every signal a name of its own; a graph has no signals of its own"));
        };
        let observable = match writing.layout(signal) {
            Layout::Events => stored_events(signal, grid, &place)?,
            Layout::Grid => stored_grid(signal, grid, &place)?,
        };
        room.insert(quantity, observable);
    }
    to_bytes(&root).map_err(|problems| {
        let text = problems.to_string();
        problems
            .0
            .into_iter()
            .next()
            .unwrap_or_else(|| Diagnostic::error(codes::FILE_UNWRITABLE, place, text))
    })
}

fn typed(kind: &str) -> Group {
    Group::new().with_attribute(TYPE, Attribute::Text(kind.to_owned()))
}

/// The observables of the node at a path, made on the way; `None` if the path is no place for any.
fn observables<'a>(root: &'a mut Group, path: &str) -> Option<&'a mut Group> {
    let names: Vec<&str> = path.split('/').collect();
    let (node, graphs) = names.split_last()?;
    let mut nodes = root.group_mut("nodes")?;
    for graph in graphs {
        nodes = content(nodes, graph, GRAPH, "nodes")?;
    }
    content(nodes, node, NODE, "observables")
}

/// What is in the member `name` of this type, which is made if there is none; `None` if it is another.
fn content<'a>(nodes: &'a mut Group, name: &str, kind: &str, inner: &str) -> Option<&'a mut Group> {
    if name.is_empty() {
        return None;
    }
    if !nodes.contains(name) {
        nodes.insert(name, typed(kind).with(inner, Group::new()));
    }
    // A node has no nodes, and a graph no observables.
    nodes.group_mut(name)?.group_mut(inner)
}

fn stored_grid(signal: &Signal, grid: Grid, place: &str) -> Result<Group, Diagnostic> {
    let extent = signal.extent();
    let shape = [extent.samples(), extent.ticks(), extent.channels()].map(u64::from);
    let data = match signal {
        Signal::Spikes(spikes) => {
            let raster = spikes.raster().map_err(|e| too_dense(place, &e))?;
            let bins: Vec<bool> = raster
                .permuted_axes([1, 0, 2])
                .iter()
                .map(|v| *v == 1)
                .collect();
            Dataset::bool(&shape, &bins)
        }
        Signal::Values(values) => {
            let bins = values.array().view().permuted_axes([1, 0, 2]);
            Dataset::f32(&shape, &bins.iter().copied().collect::<Vec<_>>())
        }
    };
    let data = data.map_err(|e| unstored(place, &e))?.compressed();
    Ok(typed(GRIDDED)
        .with_attribute("dt", Attribute::Float(grid.dt()))
        .with("data", data))
}

fn stored_events(signal: &Signal, grid: Grid, place: &str) -> Result<Group, Diagnostic> {
    let extent = signal.extent();
    let mut counts = vec![0_usize; extent.samples() as usize];
    for event in signal.events() {
        counts[event.sample as usize] += 1;
    }
    // One slot at least: an empty data set cannot be compressed by h5py.
    let slots = counts.iter().copied().max().unwrap_or(0).max(1);
    let size = slots
        .checked_mul(counts.len())
        .filter(|size| *size <= MOST_SLOTS)
        .ok_or_else(|| {
            malformed(
                place,
                &format!(
                    "expected at most {MOST_SLOTS} slots for events, found {} samples of up to {slots}",
                    counts.len()
                ),
            )
            .help("NIRData gives every sample the slots of the longest; write fewer samples a file")
        })?;
    let (mut idx, mut time) = (vec![-1_i64; size], vec![f64::INFINITY; size]);
    let mut value = vec![0.0_f64; size];
    let mut next: Vec<usize> = (0..counts.len()).map(|sample| sample * slots).collect();
    for event in signal.events() {
        let slot = &mut next[event.sample as usize];
        idx[*slot] = event.channel.into();
        let at = |time| grid.seconds(time);
        time[*slot] = event.time.map_or_else(|| grid.time(event.tick), at);
        value[*slot] = event.value;
        *slot += 1;
    }
    let shape = [counts.len() as u64, slots as u64];
    let dataset = |d: Result<Dataset, ElementError>| {
        d.map(Dataset::compressed).map_err(|e| unstored(place, &e))
    };
    let is_valued = matches!(signal, Signal::Values(_));
    let group = typed(if is_valued { VALUED } else { EVENTS })
        .with_attribute("n_neurons", Attribute::Integer(extent.channels().into()))
        .with_attribute("t_max", Attribute::Float(grid.time(extent.ticks())))
        .with("idx", dataset(Dataset::i64(&shape, &idx))?)
        .with("time", dataset(Dataset::f64(&shape, &time))?);
    Ok(if is_valued {
        group.with("value", dataset(Dataset::f64(&shape, &value))?)
    } else {
        group
    })
}

/// Slots for the events of one observable, padding included.
const MOST_SLOTS: usize = 1 << 26;

fn unstored(place: &str, error: &ElementError) -> Diagnostic {
    Diagnostic::error(codes::FILE_UNWRITABLE, place, error.to_string())
}

//! Signals as text: events, or a grid of a line a tick.

use std::collections::BTreeMap;

use csv::{ReaderBuilder, StringRecord, Trim, Writer};
use nirc_ir::{Diagnostic, codes};

use super::bins::{from_array, from_events, malformed, refused};
use super::grid::{Grid, exact};
use super::npy::too_dense;
use super::signal::{Event, Extent, Signal, tick_of};
use super::{Layout, Port, Request};

/// Reads the only signal of a file.
pub(super) fn read(
    bytes: &[u8],
    port: &Port,
    request: &Request,
    place: &str,
) -> Result<Signal, Diagnostic> {
    let text = str::from_utf8(bytes).map_err(|error| {
        malformed(
            place,
            &format!("expected an array file, NIRData or text, found none of them: {error}"),
        )
        .help("save it as .npy, .npz, .csv in UTF-8, or with nir.write_data")
    })?;
    let text = text.trim_start_matches('\u{feff}');
    // NumPy's savetxt puts this before a header.
    let text = text.trim_start_matches(['#', ' ']);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .trim(Trim::All)
        .from_reader(text.as_bytes());
    let mut lines = Lines {
        records: reader.records(),
        place,
    };
    let Some(first) = lines.next()? else {
        return Err(malformed(place, "expected lines of numbers, found none"));
    };
    let is_header = first
        .fields
        .get(0)
        .is_some_and(|f| f.parse::<f64>().is_err());
    if !is_header {
        return grid(&Columns::default(), Some(first), lines, port, request);
    }
    let columns = Columns::named(&first)?;
    match columns.channel {
        Some(channel) => events(&columns, channel, lines, port, request),
        None => grid(&columns, None, lines, port, request),
    }
}

struct Lines<'a, R> {
    records: csv::StringRecordsIter<'a, R>,
    place: &'a str,
}

impl<R: std::io::Read> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<Line>, Diagnostic> {
        match self.records.next() {
            None => Ok(None),
            Some(Ok(fields)) => {
                let line = fields.position().map_or(0, csv::Position::line);
                Ok(Some(Line {
                    place: format!("{}, line {line}", self.place),
                    fields,
                }))
            }
            Some(Err(error)) => Err(malformed(self.place, &error.to_string())
                .help("every line has as many columns as the first, parted by commas")),
        }
    }
}

struct Line {
    fields: StringRecord,
    place: String,
}

impl Line {
    fn at(&self, column: usize) -> String {
        format!("{}, column {}", self.place, column + 1)
    }

    fn number(&self, column: usize) -> Result<f64, Diagnostic> {
        let field = &self.fields[column];
        field.parse().map_err(|_| {
            malformed(
                &self.at(column),
                &format!("expected a number, found {field:?}"),
            )
            .help("columns are parted by commas, and decimals by points")
        })
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be a whole number within 32 bits"
    )]
    fn index(&self, column: usize) -> Result<u32, Diagnostic> {
        let number = self.number(column)?;
        if number >= 0.0 && number < f64::from(u32::MAX) && number.fract() == 0.0 {
            return Ok(number as u32);
        }
        Err(malformed(
            &self.at(column),
            &format!("expected a whole number from 0 to 4294967294, found {number}"),
        ))
    }

    /// The time in the column of ticks or times, in ticks as it is.
    fn time(&self, when: When, request: &Request) -> Result<f32, Diagnostic> {
        let (place, number) = (self.at(when.column()), self.number(when.column())?);
        match when {
            When::Tick(_) => exact(number, &place),
            When::Time(_) => Grid::new(request.dt, &place)?.exact(number, &place),
        }
    }

    /// The tick in the column of ticks or times.
    fn tick(&self, when: When, request: &Request) -> Result<u32, Diagnostic> {
        match when {
            When::Tick(column) => self.index(column),
            When::Time(column) => {
                let place = self.at(column);
                Grid::new(request.dt, &place)?.tick(self.number(column)?, &place)
            }
        }
    }
}

/// The column that says when.
#[derive(Clone, Copy)]
enum When {
    /// In ticks.
    Tick(usize),
    /// In seconds.
    Time(usize),
}

impl When {
    fn column(self) -> usize {
        match self {
            Self::Tick(column) | Self::Time(column) => column,
        }
    }
}

/// What the columns with a meaning of their own are.
#[derive(Default)]
struct Columns {
    when: Option<When>,
    channel: Option<usize>,
    sample: Option<usize>,
    value: Option<usize>,
    /// The first of those that are channels.
    first: usize,
}

impl Columns {
    /// Reads a header.
    fn named(header: &Line) -> Result<Self, Diagnostic> {
        let mut columns = Self::default();
        let names: Vec<String> = header.fields.iter().map(str::to_ascii_lowercase).collect();
        let has_events = names.iter().any(|name| name == "channel");
        for (column, name) in names.iter().enumerate() {
            let twice = match name.as_str() {
                "time" | "t" => columns.when.replace(When::Time(column)).is_some(),
                "tick" => columns.when.replace(When::Tick(column)).is_some(),
                "sample" => columns.sample.replace(column).is_some(),
                "channel" => columns.channel.replace(column).is_some(),
                "value" if has_events => columns.value.replace(column).is_some(),
                // The class of the sample, which data sets read.
                "label" if has_events => false,
                _ if !has_events => continue,
                _ => {
                    return Err(malformed(
                        &header.at(column),
                        &format!(
                            "expected time or tick, channel, sample, value or label, found {name:?}"
                        ),
                    )
                    .help("a header with `channel` makes the lines events; name it otherwise for a grid"));
                }
            };
            let misplaced = !has_events && column != columns.first;
            if twice || misplaced {
                return Err(malformed(
                    &header.at(column),
                    &format!("`{name}` stands a second time, or after a channel"),
                )
                .help(
                    "put one column of times or ticks and one of samples first, then the channels",
                ));
            }
            columns.first = column + 1;
        }
        Ok(columns)
    }
}

fn events<R: std::io::Read>(
    columns: &Columns,
    channel: usize,
    mut lines: Lines<'_, R>,
    port: &Port,
    request: &Request,
) -> Result<Signal, Diagnostic> {
    let place = lines.place;
    let when = columns.when.ok_or_else(|| {
        malformed(
            place,
            "expected a column `time` or `tick` beside `channel`, found none",
        )
    })?;
    let (mut ticks, mut samples, mut channels) = (
        Length::new("ticks", request.ticks.map(u64::from)),
        Length::new("samples", request.samples.map(u64::from)),
        Length::new("channels", port.channels()),
    );
    let mut events = Vec::new();
    while let Some(line) = lines.next()? {
        let sample = columns.sample.map_or(Ok(0), |column| line.index(column))?;
        let time = request
            .exact
            .then(|| line.time(when, request))
            .transpose()?;
        let tick = match time {
            // Below 2^32 all times are in a tick.
            Some(time) => tick_of(time, u32::MAX).unwrap_or(0),
            None => line.tick(when, request)?,
        };
        let event = Event {
            sample: samples.take(sample, || line.place.clone())?,
            tick: ticks.take(tick, || line.at(when.column()))?,
            time,
            channel: channels.take(line.index(channel)?, || line.at(channel))?,
            value: columns
                .value
                .map_or(Ok(1.0), |column| line.number(column))?,
        };
        events.push(event);
    }
    let extent =
        Extent::new(ticks.length, samples.length.max(1), channels.length).map_err(|e| {
            refused(place, &e)
                .help("events say no more than the last of them; ask for ticks and channels")
        })?;
    from_events(events, extent, port.kind, place)
}

/// How many of something there are: what is known before, or up to the last that is met.
struct Length {
    what: &'static str,
    is_known: bool,
    length: u64,
}

impl Length {
    fn new(what: &'static str, known: Option<u64>) -> Self {
        Self {
            what,
            is_known: known.is_some(),
            length: known.unwrap_or(0),
        }
    }

    fn take(&mut self, index: u32, place: impl Fn() -> String) -> Result<u32, Diagnostic> {
        if self.is_known && u64::from(index) >= self.length {
            return Err(malformed(
                &place(),
                &format!(
                    "expected one of {} {}, counted from 0, found {index}",
                    self.length, self.what
                ),
            )
            .help("drop the event, or make room for it"));
        }
        self.length = self.length.max(u64::from(index) + 1);
        Ok(index)
    }
}

/// Numbers of each sample, tick after tick.
fn grid<R: std::io::Read>(
    columns: &Columns,
    first: Option<Line>,
    mut lines: Lines<'_, R>,
    port: &Port,
    request: &Request,
) -> Result<Signal, Diagnostic> {
    let place = lines.place;
    let mut samples: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    let mut channels = 0;
    let mut line = first.map_or_else(|| lines.next(), |line| Ok(Some(line)))?;
    while let Some(row) = line {
        channels = row.fields.len() - columns.first;
        if channels == 0 || port.channels().is_some_and(|c| c != channels as u64) {
            return Err(malformed(
                &row.place,
                &format!(
                    "expected {} columns of channels, found {channels}",
                    port.channels().map_or("some".to_owned(), |c| c.to_string())
                ),
            )
            .help("a line has a column for each channel, channels first; name a column of ticks in a header"));
        }
        let sample = columns.sample.map_or(Ok(0), |column| row.index(column))?;
        let numbers = samples.entry(sample).or_default();
        if let Some(when) = columns.when {
            let (tick, expected) = (row.tick(when, request)?, numbers.len() / channels);
            if tick as usize != expected {
                return Err(malformed(
                    &row.at(when.column()),
                    &format!("expected tick {expected} of sample {sample}, found tick {tick}"),
                )
                .help("the ticks of a sample run from 0 without gaps"));
            }
        }
        for column in columns.first..row.fields.len() {
            numbers.push(row.number(column)?);
        }
        line = lines.next()?;
    }
    let Some(ticks) = samples.values().next().map(|n| n.len() / channels) else {
        return Err(malformed(
            place,
            "expected lines of numbers, found a header",
        ));
    };
    for (expected, (sample, numbers)) in (0..).zip(&samples) {
        if expected != *sample || numbers.len() != ticks * channels {
            return Err(malformed(
                place,
                &format!(
                    "expected {ticks} ticks of sample {expected}, found sample {sample} next, of {}",
                    numbers.len() / channels
                ),
            )
            .help("number the samples from 0 without gaps, all of the same length"));
        }
    }
    let extent = Extent::new(ticks as u64, samples.len() as u64, channels as u64)
        .map_err(|e| refused(place, &e))?;
    let samples: Vec<Vec<f64>> = samples.into_values().collect();
    from_array(extent, port.kind, place, |t, b, j| {
        samples[b][t * channels + j]
    })
}

/// The text of a signal.
pub(super) fn write(signal: &Signal, layout: Layout, place: &str) -> Result<Vec<u8>, Diagnostic> {
    let mut writer = Writer::from_writer(Vec::new());
    let written = match layout {
        Layout::Events => write_events(&mut writer, signal),
        Layout::Grid => {
            signal.extent().dense().map_err(|e| too_dense(place, &e))?;
            write_grid(&mut writer, signal)
        }
    };
    let unwritable = |error: String| {
        Diagnostic::error(
            codes::FILE_UNWRITABLE,
            place,
            format!("not stored: {error}"),
        )
    };
    written.map_err(|error| unwritable(error.to_string()))?;
    writer
        .into_inner()
        .map_err(|error| unwritable(error.to_string()))
}

fn write_events(writer: &mut Writer<Vec<u8>>, signal: &Signal) -> csv::Result<()> {
    let has_samples = signal.extent().samples() > 1;
    let has_values = matches!(signal, Signal::Values(_));
    let mut header = vec!["tick", "channel"];
    header.extend(has_samples.then_some("sample"));
    header.extend(has_values.then_some("value"));
    writer.write_record(header)?;
    for event in signal.events() {
        let tick = event
            .time
            .map_or(event.tick.to_string(), |time| time.to_string());
        let mut record = vec![tick, event.channel.to_string()];
        record.extend(has_samples.then(|| event.sample.to_string()));
        record.extend(has_values.then(|| shortest(event.value)));
        writer.write_record(record)?;
    }
    Ok(())
}

/// The shortest text that reads back as the same `f32`, which it was.
#[expect(clippy::cast_possible_truncation, reason = "it was an f32")]
fn shortest(value: f64) -> String {
    (value as f32).to_string()
}

fn write_grid(writer: &mut Writer<Vec<u8>>, signal: &Signal) -> csv::Result<()> {
    let extent = signal.extent();
    let has_samples = extent.samples() > 1;
    let mut header = vec!["tick".to_owned()];
    header.extend(has_samples.then(|| "sample".to_owned()));
    header.extend((0..extent.channels()).map(|channel| format!("c{channel}")));
    writer.write_record(header)?;
    let mut events = signal.events().peekable();
    for sample in 0..extent.samples() {
        for tick in 0..extent.ticks() {
            let mut record = vec![tick.to_string()];
            record.extend(has_samples.then(|| sample.to_string()));
            for channel in 0..extent.channels() {
                let here = |event: &Event| event.bin() == (sample, tick, channel);
                let event = events.next_if(here);
                // Of exact times there may be more.
                while events.next_if(here).is_some() {}
                record.push(event.map_or("0".to_owned(), |event| shortest(event.value)));
            }
            writer.write_record(record)?;
        }
    }
    Ok(())
}

//! Rasters: who spiked when in one sample, and how values went.

use std::fmt;

use nirc_ir::Diagnostic;
use nirc_ir::event::Proc;
use nirc_ir::executor::Executor;

use super::svg::Svg;

/// What happened in one sample, population by population.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raster {
    /// Bins of the sample.
    pub(super) ticks: u32,
    /// What the network made of it, if that is known.
    pub(super) verdict: Option<Verdict>,
    /// Populations from input to output.
    pub(super) bands: Vec<Band>,
}

/// The answer to a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Its class.
    pub(super) label: u32,
    /// The class that the network gave.
    pub(super) predicted: u32,
}

/// A population's part of a raster.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    /// Name of the population.
    pub(super) name: String,
    /// Number of its neurons or channels.
    pub(super) lanes: usize,
    /// What it did.
    pub(super) lines: Lines,
}

/// What a population did.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Lines {
    /// Its spikes.
    Spikes(Vec<Mark>),
    /// The values of some neurons, tick by tick.
    Values(Vec<Vec<f32>>),
}

/// A spike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Mark {
    /// When.
    pub(super) when: When,
    /// Whose.
    pub(super) lane: u32,
}

/// When a spike is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum When {
    /// In a bin, in whose middle it is drawn.
    Bin(u32),
    /// At a time in bins.
    Time(f32),
}

impl When {
    /// The place in bins, less the half by which bins' middles are right of their beginnings.
    fn place(self) -> f64 {
        match self {
            Self::Bin(bin) => bin.into(),
            Self::Time(time) => f64::from(time) - 0.5,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bin(bin) => write!(f, "bin {bin}"),
            Self::Time(time) => write!(f, "{time:.3} bins"),
        }
    }
}

/// The spikes of a process in an executor's last run of a sample, as they are drawn.
///
/// # Errors
/// As [`Executor::spikes`].
pub(super) fn marks(executor: &dyn Executor, proc: Proc) -> Result<Vec<Mark>, Diagnostic> {
    let spikes = executor.spikes(0, proc)?;
    let exact = match executor.program().window {
        Some(_) => Some(executor.spike_times(0, proc)?),
        None => None,
    };
    let marks = spikes.into_iter().enumerate().map(|(k, spike)| Mark {
        when: match &exact {
            Some(times) => When::Time(times[k]),
            None => When::Bin(spike.tick),
        },
        lane: spike.lane,
    });
    Ok(marks.collect())
}

const WIDTH: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const GAP: f64 = 10.0;
const BOTTOM: f64 = 36.0;
/// Above so many spikes a band goes without hints.
const HINTS: usize = 1500;

impl Raster {
    /// Draws it; the last band's spikes are coloured by class.
    pub(super) fn draw(&self, title: &str) -> Svg {
        let heights: Vec<f64> = self.bands.iter().map(Band::height).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few bands")]
        let gaps = GAP * self.bands.len().saturating_sub(1) as f64;
        let height = TOP + heights.iter().sum::<f64>() + gaps + BOTTOM;
        let mut svg = Svg::new(WIDTH, height, title);
        svg.text("title", (LEFT, 16.0), "start", title);
        if let Some(verdict) = self.verdict {
            let right = verdict.predicted == verdict.label;
            let class = if right { "right" } else { "wrong" };
            let answer = format!("answers {}", verdict.predicted);
            svg.text(class, (WIDTH - RIGHT, 16.0), "end", &answer);
        }
        let x = |tick: f64| LEFT + (tick + 0.5) / f64::from(self.ticks) * (WIDTH - LEFT - RIGHT);
        let mut top = TOP;
        for (k, (band, height)) in self.bands.iter().zip(&heights).enumerate() {
            let size = (WIDTH - LEFT - RIGHT, *height);
            svg.rect("band", (LEFT, top), size, 3.0, "");
            let middle = top + height / 2.0;
            svg.text("tick", (LEFT - 8.0, middle), "end", &band.name);
            svg.text(
                "small",
                (LEFT - 8.0, middle + 12.0),
                "end",
                &band.lanes.to_string(),
            );
            let last = k + 1 == self.bands.len();
            match &band.lines {
                Lines::Spikes(spikes) => band.spikes(&mut svg, spikes, &x, (top, *height), last),
                Lines::Values(values) => band.values(&mut svg, values, &x, (top, *height)),
            }
            top += height + GAP;
        }
        let step = (self.ticks / 6).max(1).next_multiple_of(5) as usize;
        for tick in (0..self.ticks).step_by(step) {
            let at = (x(f64::from(tick)), height - BOTTOM + 18.0);
            svg.text("tick", at, "middle", &tick.to_string());
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        svg.text("axis", (middle, height - 4.0), "middle", "bin");
        svg
    }
}

impl Band {
    /// A dot a spike; those of the `last` band are coloured by neuron.
    fn spikes(
        &self,
        svg: &mut Svg,
        spikes: &[Mark],
        x: &impl Fn(f64) -> f64,
        (top, height): (f64, f64),
        last: bool,
    ) {
        #[expect(clippy::cast_precision_loss, reason = "a lane")]
        let share = |lane: u32| (f64::from(lane) + 0.5) / self.lanes as f64;
        let at = |spike: &Mark| (x(spike.when.place()), top + share(spike.lane) * height);
        if spikes.len() > HINTS {
            let places: Vec<(f64, f64)> = spikes.iter().map(at).collect();
            svg.dots("spike", &places);
            return;
        }
        for spike in spikes {
            let class = match last {
                true => format!("class{}", spike.lane % 8),
                false => "spike".to_owned(),
            };
            let radius = if self.lanes > 40 { 1.6 } else { 3.0 };
            let hint = format!("{} {}, {}", self.name, spike.lane, spike.when);
            svg.dot(&class, at(spike), radius, &hint);
        }
    }

    /// A line a neuron, between the least and the largest value of all.
    fn values(
        &self,
        svg: &mut Svg,
        values: &[Vec<f32>],
        x: &impl Fn(f64) -> f64,
        (top, height): (f64, f64),
    ) {
        let finite = || values.iter().flatten().filter(|v| v.is_finite());
        let low = finite().copied().fold(f32::INFINITY, f32::min);
        let high = finite().copied().fold(f32::NEG_INFINITY, f32::max);
        let range = f64::from(high) - f64::from(low);
        let y = |value: f32| match range > 0.0 {
            true => {
                top + height - 3.0 - (f64::from(value) - f64::from(low)) / range * (height - 6.0)
            }
            false => top + height / 2.0,
        };
        for (lane, line) in values.iter().enumerate() {
            let ticks = (0_u32..).zip(line).filter(|(_, value)| value.is_finite());
            let points: Vec<(f64, f64)> = ticks.map(|(t, v)| (x(f64::from(t)), y(*v))).collect();
            svg.polyline(&format!("class{}", lane % 8), &points);
        }
        if range > 0.0 {
            let text = format!("{low:.3} to {high:.3}");
            svg.text("small", (WIDTH - RIGHT - 4.0, top + 11.0), "end", &text);
        }
    }

    /// Few neurons get room, many get dense.
    #[expect(clippy::cast_precision_loss, reason = "a number of lanes")]
    fn height(&self) -> f64 {
        (self.lanes as f64 * 12.0).clamp(24.0, 150.0)
    }
}

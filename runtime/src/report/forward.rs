//! The report of a forward run.

use ndarray::Axis;
use nirc_ir::Diagnostic;
use nirc_ir::event::Program;
use nirc_ir::network::Network;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use serde::Serialize;

use super::chip::ChipPart;
use super::page::{Tile, render};
use super::raster::{Band, Lines, Mark, Raster, When};
use crate::data::signal::{Name, Signal};
use crate::emulated::Stats;
use crate::stimulus::Stimulus;

/// Samples that are drawn.
const SAMPLES: usize = 6;
/// Neurons whose values are drawn.
const VALUES: usize = 8;

/// Everything that a report tells.
pub struct ForwardReport<'a> {
    /// The network.
    pub network: &'a Network,
    /// What ran.
    pub program: &'a Program,
    /// Name of the executor.
    pub executor: &'static str,
    /// What went in.
    pub stimulus: &'a Stimulus,
    /// What was recorded.
    pub recorded: &'a [(Name, Signal)],
    /// What the emulated chip did, if it ran there.
    pub chip: Option<Chip<'a>>,
}

/// What ran on the emulated chip.
pub struct Chip<'a> {
    /// The chip.
    pub target: &'a Target,
    /// The bundle, if it was given.
    pub bundle: Option<&'a Bundle>,
    /// What its slices are made for, if not.
    pub balance: Balance,
    /// What it counted.
    pub stats: &'a Stats,
}

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    network: &'a str,
    executor: &'static str,
    convention: &'a str,
    samples: usize,
    ticks: u32,
    dt_ms: String,
    tiles: Vec<Tile>,
    /// Which samples are drawn.
    shown: String,
    /// Whether values are left out.
    many: bool,
    rasters: Vec<String>,
    chip: Option<ChipPart>,
    worked: bool,
    tests: bool,
    attributes: Vec<(&'static str, String)>,
    version: &'static str,
}

impl ForwardReport<'_> {
    /// The report as HTML.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn render(&self) -> Result<String, Diagnostic> {
        let samples = self.stimulus.samples();
        let shown = samples.min(SAMPLES);
        let chip = self.chip.as_ref().map(|chip| match chip.bundle {
            Some(bundle) => ChipPart::built(bundle, self.program, chip.target, Some(chip.stats)),
            None => ChipPart::of(self.program, chip.target, chip.balance, Some(chip.stats)),
        });
        let many = |(_, signal): &(Name, Signal)| {
            matches!(signal, Signal::Values(_)) && signal.extent().channels() as usize > VALUES
        };
        let page = Page {
            network: &self.network.name,
            executor: self.executor,
            convention: &self.network.convention.name,
            samples,
            ticks: self.stimulus.ticks(),
            dt_ms: (self.network.dt * 1e3).to_string(),
            tiles: self.tiles(),
            shown: match shown == samples {
                true => String::new(),
                false => format!("The first {shown} samples of {samples}."),
            },
            many: self.recorded.iter().any(many),
            rasters: (0..shown)
                .map(|b| self.raster(b).draw(&format!("Sample {b}")).to_string())
                .collect(),
            worked: chip.is_some(),
            tests: false,
            chip,
            attributes: self.network.convention.attributes(),
            version: env!("CARGO_PKG_VERSION"),
        };
        render("forward.html", &page)
    }

    /// How often each recorded population spikes.
    fn tiles(&self) -> Vec<Tile> {
        let rates = self.recorded.iter().filter_map(|(name, signal)| {
            let Signal::Spikes(spikes) = signal else {
                return None;
            };
            let count: usize = spikes.samples().map(<[_]>::len).sum();
            let extent = signal.extent();
            let neurons = f64::from(extent.channels()) * f64::from(extent.samples());
            #[expect(clippy::cast_precision_loss, reason = "a number of spikes")]
            let rate = count as f64 / neurons.max(1.0);
            Some(Tile::new(
                format!("{rate:.2}"),
                &format!("{}: spikes a neuron and sample", name.node),
            ))
        });
        rates.collect()
    }

    fn raster(&self, b: usize) -> Raster {
        let inputs = self.stimulus.signals().iter();
        let inputs = inputs.map(|(name, signal)| band(name.clone(), signal, b));
        let recorded = self.recorded.iter().map(|(name, signal)| {
            let title = match signal {
                Signal::Spikes(_) => name.node.clone(),
                Signal::Values(_) => name.to_string(),
            };
            band(title, signal, b)
        });
        Raster {
            ticks: self.stimulus.ticks(),
            verdict: None,
            bands: inputs.chain(recorded).collect(),
        }
    }
}

/// What of a signal is drawn for sample `b`.
fn band(name: String, signal: &Signal, b: usize) -> Band {
    let lines = match signal {
        Signal::Spikes(spikes) => {
            let sample = spikes.samples().nth(b).unwrap_or_default().iter();
            let times = spikes.times(b);
            let spikes = sample.enumerate().map(|(k, s)| Mark {
                when: times.map_or(When::Bin(s.tick), |times| When::Time(times[k])),
                lane: s.channel,
            });
            Lines::Spikes(spikes.collect())
        }
        Signal::Values(values) => {
            let array = values.array();
            let (_, _, channels) = array.dim();
            let sample = array.index_axis(Axis(1), b);
            let line = |channel| sample.index_axis(Axis(1), channel).to_vec();
            Lines::Values((0..channels.min(VALUES)).map(line).collect())
        }
    };
    Band {
        name,
        lanes: signal.extent().channels() as usize,
        lines,
    }
}

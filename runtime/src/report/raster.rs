//! Spike rasters: who spiked when in one sample.

use nirc_ir::executor::LaneSpike;

use super::svg::Svg;

/// The spikes of one sample, population by population.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Raster {
    /// Bins of the sample.
    pub(super) ticks: u32,
    /// Its class.
    pub(super) label: u32,
    /// The class that the network gave.
    pub(super) predicted: u32,
    /// Populations from input to output.
    pub(super) bands: Vec<Band>,
}

/// A population's part of a raster.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Band {
    /// Name of the population.
    pub(super) name: String,
    /// Number of its neurons or channels.
    pub(super) lanes: usize,
    /// Its spikes.
    pub(super) spikes: Vec<LaneSpike>,
}

const WIDTH: f64 = 380.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 26.0;
const GAP: f64 = 10.0;
const BOTTOM: f64 = 36.0;

impl Raster {
    /// Draws it; the last band's spikes are coloured by class.
    pub(super) fn draw(&self, title: &str) -> Svg {
        let heights: Vec<f64> = self.bands.iter().map(Band::height).collect();
        #[expect(clippy::cast_precision_loss, reason = "a few bands")]
        let gaps = GAP * self.bands.len().saturating_sub(1) as f64;
        let height = TOP + heights.iter().sum::<f64>() + gaps + BOTTOM;
        let mut svg = Svg::new(WIDTH, height, title);
        svg.text("title", (LEFT, 16.0), "start", title);
        let verdict = format!("answers {}", self.predicted);
        let class = if self.predicted == self.label {
            "right"
        } else {
            "wrong"
        };
        svg.text(class, (WIDTH - RIGHT, 16.0), "end", &verdict);
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
            let output = k + 1 == self.bands.len();
            for spike in &band.spikes {
                #[expect(clippy::cast_precision_loss, reason = "a lane")]
                let share = (f64::from(spike.lane) + 0.5) / band.lanes as f64;
                let at = (x(f64::from(spike.tick)), top + share * height);
                let class = match output {
                    true => format!("class{}", spike.lane % 8),
                    false => "spike".to_owned(),
                };
                let radius = if band.lanes > 40 { 1.6 } else { 3.0 };
                let hint = format!("{} {}, bin {}", band.name, spike.lane, spike.tick);
                svg.dot(&class, at, radius, &hint);
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
    /// Few neurons get room, many get dense.
    #[expect(clippy::cast_precision_loss, reason = "a number of lanes")]
    fn height(&self) -> f64 {
        (self.lanes as f64 * 12.0).clamp(24.0, 150.0)
    }
}

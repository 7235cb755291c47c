//! Line charts.

use super::svg::Svg;

/// A line of a chart.
pub(super) struct Series {
    /// Its name in the legend.
    pub(super) name: &'static str,
    /// Its class in the style sheet.
    pub(super) class: &'static str,
    /// Points, ascending in x.
    pub(super) points: Vec<(f64, f64)>,
}

/// A chart: what its axes mean, and its lines.
pub(super) struct Chart {
    /// What it shows.
    pub(super) title: &'static str,
    /// Name of the horizontal axis.
    pub(super) x: &'static str,
    /// Whether values are shares, shown as per cent.
    pub(super) percent: bool,
    /// The lines.
    pub(super) series: Vec<Series>,
}

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 52.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 44.0;
/// Above so many points a line goes without dots.
const DOTS: usize = 60;

impl Chart {
    /// Draws it; points that are not finite are left out.
    pub(super) fn draw(&self) -> Svg {
        let mut svg = Svg::new(WIDTH, HEIGHT, self.title);
        let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
        let points = || {
            self.series
                .iter()
                .flat_map(|s| s.points.iter())
                .filter(finite)
        };
        let last = points().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        let x = Axis::over(points().map(|p| p.0), last.is_finite().then_some(last));
        let y = Axis::over(points().map(|p| p.1), self.percent.then_some(1.0));
        let place = |p: (f64, f64)| {
            (
                LEFT + x.at(p.0) * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - y.at(p.1) * (HEIGHT - TOP - BOTTOM),
            )
        };
        svg.text("title", (LEFT, 18.0), "start", self.title);
        for tick in y.ticks() {
            let (_, height) = place((x.low, tick));
            svg.line("grid", (LEFT, height), (WIDTH - RIGHT, height));
            svg.text(
                "tick",
                (LEFT - 8.0, height + 4.0),
                "end",
                &self.value(tick, y.step),
            );
        }
        for tick in x.ticks() {
            let (left, _) = place((tick, y.low));
            svg.line(
                "grid",
                (left, HEIGHT - BOTTOM),
                (left, HEIGHT - BOTTOM + 4.0),
            );
            svg.text(
                "tick",
                (left, HEIGHT - BOTTOM + 18.0),
                "middle",
                &number(tick, x.step),
            );
        }
        let middle = (LEFT + WIDTH - RIGHT) / 2.0;
        svg.text("axis", (middle, HEIGHT - 6.0), "middle", self.x);
        let mut legend = WIDTH - RIGHT;
        for series in self.series.iter().rev() {
            #[expect(clippy::cast_precision_loss, reason = "a short name")]
            let width = 7.0 * series.name.len() as f64;
            svg.text("legend", (legend, 18.0), "end", series.name);
            svg.dot(series.class, (legend - width - 8.0, 14.0), 4.0, "");
            legend -= width + 28.0;
        }
        for series in &self.series {
            let points: Vec<_> = series.points.iter().filter(finite).copied().collect();
            let placed: Vec<_> = points.iter().copied().map(place).collect();
            svg.polyline(series.class, &placed);
            if points.len() <= DOTS {
                for (value, at) in points.iter().zip(&placed) {
                    let hint = format!(
                        "{}, {} {}: {}",
                        series.name,
                        self.x,
                        number(value.0, 1.0),
                        self.value(value.1, y.step / 10.0)
                    );
                    svg.dot(series.class, *at, 2.5, &hint);
                }
            }
        }
        svg
    }

    fn value(&self, value: f64, step: f64) -> String {
        if self.percent {
            format!("{} %", number(100.0 * value, 100.0 * step))
        } else {
            number(value, step)
        }
    }
}

/// With as many decimals as the step needs.
fn number(value: f64, step: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0 ..= 9"
    )]
    let decimals = (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize;
    format!("{value:.decimals$}")
}

/// A range with round ticks.
struct Axis {
    low: f64,
    high: f64,
    step: f64,
}

impl Axis {
    /// Covers all values, with some five steps; never reaches over `most`.
    fn over(values: impl Iterator<Item = f64> + Clone, most: Option<f64>) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min);
        let high = values.fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let span = if high > low {
            high - low
        } else {
            high.abs().max(1.0)
        };
        let rough = span / 5.0;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|factor| factor * power)
            .into_iter()
            .find(|step| *step >= rough * 0.999)
            .unwrap_or(10.0 * power);
        let top = ((high / step).ceil() * step).max(low + step);
        Self {
            low: (low / step).floor() * step,
            high: most.map_or(top, |most| top.min(most.max(high))),
            step,
        }
    }

    /// Position in 0 ..= 1.
    fn at(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "about five steps"
        )]
        let count = ((self.high - self.low) / self.step + 1e-6).floor() as u32;
        (0..=count).map(|k| self.low + f64::from(k) * self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_round_ticks_around_the_values() {
        let axis = Axis::over([0.34, 0.93].into_iter(), Some(1.0));
        let ticks: Vec<String> = axis.ticks().map(|t| number(t, axis.step)).collect();
        assert_eq!(ticks, ["0.2", "0.4", "0.6", "0.8", "1.0"]);
        let axis = Axis::over([1.0, 39.0].into_iter(), None);
        assert_eq!((axis.low, axis.high, axis.step), (0.0, 40.0, 10.0));
    }

    #[test]
    fn one_point_none_and_infinities_draw() {
        for points in [
            vec![],
            vec![(1.0, 0.5)],
            vec![(1.0, f64::INFINITY), (2.0, f64::NAN)],
        ] {
            let chart = Chart {
                title: "accuracy",
                x: "epoch",
                percent: true,
                series: vec![Series {
                    name: "test",
                    class: "a",
                    points,
                }],
            };
            let text = chart.draw().to_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }
}

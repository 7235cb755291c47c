//! The report of a gradient check.

use nirc_ir::Diagnostic;
use serde::Serialize;

use super::page::{Tile, render as fill};
use super::svg::Svg;
use crate::gradcheck::{Bias, Tally};
use crate::jobs::Gradchecked;

/// Decades of the histogram: errors of 1e-16 to 1.
const DECADES: usize = 16;

/// What the template shows.
#[derive(Serialize)]
struct Page<'a> {
    network: &'a str,
    convention: &'a str,
    exact: bool,
    samples: usize,
    tiles: Vec<Tile>,
    tensors: Vec<Row<'a>>,
    left_out: &'a [String],
    tolerance: Option<[String; 2]>,
    bias: Option<Ticks>,
    no_bias: &'a [String],
    version: &'static str,
}

/// A tensor.
#[derive(Serialize)]
struct Row<'a> {
    name: &'a str,
    compared: usize,
    zero: usize,
    changed: usize,
    doubtful: usize,
    errors: [String; 3],
    cosine: String,
    histogram: String,
    scatter: String,
}

/// Gradients in ticks.
#[derive(Serialize)]
struct Ticks {
    tensors: Vec<String>,
    rows: Vec<TicksRow>,
    spikes: String,
    samples: usize,
}

#[derive(Serialize)]
struct TicksRow {
    dt_ms: String,
    spikes: String,
    /// Cosine and distance by tensor.
    figures: Vec<[String; 2]>,
}

/// The report as HTML.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn render(checked: &Gradchecked) -> Result<String, Diagnostic> {
    let found = &checked.gradients;
    let overall = found.overall();
    let scientific = |x: f64| format!("{x:.1e}");
    let page = Page {
        network: &checked.network,
        convention: &checked.convention,
        exact: found.exact,
        samples: found.samples,
        tiles: vec![
            Tile::new(scientific(overall.median), "median error"),
            Tile::new(scientific(overall.most), "99 % of errors are below"),
            Tile::new(overall.compared.to_string(), "derivatives compared"),
            Tile::new(overall.changed.to_string(), "left out: spikes come or go"),
            Tile::new(
                overall.doubtful.to_string(),
                "left out: differences in doubt",
            ),
            Tile::new(found.spikes.to_string(), "spikes of neurons"),
            Tile::new(found.grazing.to_string(), "spikes that graze the threshold"),
        ],
        tensors: found
            .tensors
            .iter()
            .map(|tensor| row(&tensor.name, &tensor.tally))
            .collect(),
        left_out: &found.left_out,
        tolerance: checked
            .tolerance
            .map(|t| [t.median, t.most].map(scientific)),
        bias: checked.bias.as_ref().map(ticks),
        no_bias: &checked.no_bias,
        version: env!("CARGO_PKG_VERSION"),
    };
    fill("gradcheck.html", &page)
}

fn row<'a>(name: &'a str, tally: &Tally) -> Row<'a> {
    Row {
        name,
        compared: tally.compared,
        zero: tally.zero,
        changed: tally.changed,
        doubtful: tally.doubtful,
        errors: [tally.median, tally.most, tally.largest].map(|x| format!("{x:.1e}")),
        cosine: format!("{:.9}", tally.cosine),
        histogram: histogram(tally).to_string(),
        scatter: scatter(tally).to_string(),
    }
}

fn ticks(bias: &Bias) -> Ticks {
    let rows = bias.refined.iter().map(|refined| TicksRow {
        dt_ms: format!("{}", refined.dt * 1e3),
        spikes: format!("{:.1}", refined.spikes),
        figures: refined
            .cosine
            .iter()
            .zip(&refined.distance)
            .map(|(cosine, distance)| [format!("{cosine:.3}"), format!("{distance:.3}")])
            .collect(),
    });
    Ticks {
        tensors: bias.tensors.clone(),
        rows: rows.collect(),
        spikes: format!("{:.1}", bias.spikes),
        samples: bias.samples,
    }
}

/// How many errors lie in each decade.
fn histogram(tally: &Tally) -> Svg {
    const WIDTH: f64 = 360.0;
    const HEIGHT: f64 = 150.0;
    const LEFT: f64 = 24.0;
    const BOTTOM: f64 = 24.0;
    let mut counts = [0_usize; DECADES];
    for error in &tally.errors {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a decade within bounds"
        )]
        let decade = (error.max(1e-300).log10() + DECADES as f64).clamp(0.0, 15.0) as usize;
        counts[decade] += 1;
    }
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let mut svg = Svg::new(WIDTH, HEIGHT, "errors by decade");
    let width = (WIDTH - 2.0 * LEFT) / DECADES as f64;
    for (k, count) in counts.into_iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "for a drawing")]
        let (x, share) = (LEFT + k as f64 * width, count as f64 / most as f64);
        let height = share * (HEIGHT - BOTTOM - 8.0);
        let exponent = i64::try_from(k).unwrap_or(0) - 16;
        let hint = format!("{count} errors of 1e{exponent} to 1e{}", exponent + 1);
        if count > 0 {
            let place = (x + 1.0, HEIGHT - BOTTOM - height);
            svg.rect("hidden", place, (width - 2.0, height.max(1.0)), 1.0, &hint);
        }
        if k % 4 == 0 {
            svg.text(
                "tick",
                (x, HEIGHT - 8.0),
                "middle",
                &format!("1e{exponent}"),
            );
        }
    }
    svg.line(
        "grid",
        (LEFT, HEIGHT - BOTTOM),
        (WIDTH - LEFT, HEIGHT - BOTTOM),
    );
    svg
}

/// Derivatives (up) over differences (right), of the largest.
fn scatter(tally: &Tally) -> Svg {
    const SIZE: f64 = 150.0;
    let mut svg = Svg::new(SIZE, SIZE, "derivatives over differences");
    let place = |x: f64| SIZE * (0.5 + 0.45 * x.clamp(-1.1, 1.1));
    svg.line("grid", (0.0, SIZE / 2.0), (SIZE, SIZE / 2.0));
    svg.line("grid", (SIZE / 2.0, 0.0), (SIZE / 2.0, SIZE));
    svg.line("grid", (place(-1.0), place(1.0)), (place(1.0), place(-1.0)));
    let pairs = tally.pairs.iter();
    let dots: Vec<(f64, f64)> = pairs
        .map(|(derivative, difference)| (place(*difference), place(-*derivative)))
        .collect();
    svg.dots("spike", &dots);
    svg.text("small", (SIZE, SIZE / 2.0 + 12.0), "end", "difference");
    svg.text("small", (SIZE / 2.0 + 4.0, 10.0), "start", "derivative");
    svg
}

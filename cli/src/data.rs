//! `nirc data`

use nirc_ir::Diagnostics;
use nirc_ir::executor::InputSpike;
use nirc_runtime::config::{Config, Tree};
use nirc_runtime::jobs::{self, DataSummary, SetSummary};

use crate::args::Data;
use crate::show;

/// Most lines and columns of a raster.
const LINES: usize = 32;
const COLUMNS: usize = 100;

/// Shows the data sets of a configuration.
pub(crate) fn data(args: &Data, json: bool) -> Result<(), Diagnostics> {
    let mut tree = Tree::read(&args.config)?;
    args.overrides.apply(&mut tree)?;
    let config = Config::from_tree(&tree)?;
    let summary = jobs::data(&config, args.show)?;
    if json {
        show::json(&summary);
    } else {
        show::line(text(&summary));
    }
    Ok(())
}

fn text(summary: &DataSummary) -> String {
    let head = [
        "set",
        "samples",
        "classes",
        "channels",
        "spikes",
        "last tick",
        "times",
    ];
    let rows: Vec<_> = summary.sets.iter().map(row).collect();
    let mut parts = vec![
        show::table(&head, &rows),
        format!("{} ticks, sha256 {}", summary.ticks, summary.sha256),
    ];
    let channels = summary.sets.first().map_or(0, |set| set.channels);
    let ticks = summary.ticks as usize;
    for (k, sample) in summary.first.iter().enumerate() {
        let raster = raster(&sample.spikes, ticks, channels);
        parts.push(format!("sample {k}, class {}\n{raster}", sample.label));
    }
    parts.join("\n\n")
}

fn row(set: &SetSummary) -> Vec<String> {
    const CLASSES: usize = 12;
    let classes = set.classes.iter().take(CLASSES);
    let mut classes: Vec<String> = classes.map(|(c, n)| format!("{c}: {n}")).collect();
    if set.classes.len() > CLASSES {
        classes.push(format!("{} more", set.classes.len() - CLASSES));
    }
    let last = set.last_tick.map_or("none".to_owned(), |t| t.to_string());
    vec![
        set.name.to_owned(),
        set.samples.to_string(),
        classes.join(", "),
        set.channels.to_string(),
        format!(
            "{} to {}, {:.1} on average",
            set.least_spikes, set.most_spikes, set.mean_spikes
        ),
        last,
        if set.exact_times { "exact" } else { "ticks" }.to_owned(),
    ]
}

/// A line a channel and a column a tick, or several of them where there are too many: a bar for a spike,
/// a number for several.
fn raster(spikes: &[InputSpike], ticks: usize, channels: usize) -> String {
    let (tall, wide) = (
        channels.div_ceil(LINES).max(1),
        ticks.div_ceil(COLUMNS).max(1),
    );
    let mut counts = vec![vec![0_u32; ticks.div_ceil(wide)]; channels.div_ceil(tall)];
    for spike in spikes {
        counts[spike.channel as usize / tall][spike.tick as usize / wide] += 1;
    }
    let mut text = String::new();
    if tall * wide > 1 {
        text.push_str(&format!("each place: {tall} channels, {wide} ticks\n"));
    }
    let lines = counts.iter().enumerate().map(|(line, counts)| {
        let places = counts.iter().map(|count| match count {
            0 => '.',
            1 => '|',
            2..=9 => char::from_digit(*count, 10).unwrap_or('+'),
            _ => '+',
        });
        format!("{:>5} {}", line * tall, places.collect::<String>())
    });
    text.push_str(&lines.collect::<Vec<_>>().join("\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rasters_have_a_place_for_every_spike() {
        let spike = |tick, channel| InputSpike { tick, channel };
        let small = raster(&[spike(0, 1), spike(3, 0)], 4, 2);
        assert_eq!(small, "    0 ...|\n    1 |...");
        let large = raster(&[spike(0, 0), spike(1, 1), spike(199, 63)], 200, 64);
        let lines: Vec<&str> = large.lines().collect();
        assert_eq!(lines.len(), 33);
        assert_eq!(lines[0], "each place: 2 channels, 2 ticks");
        assert_eq!(lines[1], format!("    0 2{}", ".".repeat(99)));
        assert_eq!(lines[32], format!("   62 {}|", ".".repeat(99)));
    }
}

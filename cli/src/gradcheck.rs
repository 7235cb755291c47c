//! `nirc gradcheck`

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use nirc_ir::Diagnostics;
use nirc_runtime::gradcheck::{Bias, Settings};
use nirc_runtime::jobs::{self, Gradchecked};

use crate::args::Gradcheck;
use crate::show;

/// Compares gradients with differences.
pub(crate) fn gradcheck(args: &Gradcheck, json: bool) -> Result<(), Diagnostics> {
    let config = args.config.read()?;
    let job = jobs::Gradcheck {
        model: args.file.clone(),
        init: args.init,
        settings: Settings {
            samples: args.samples,
            entries: args.entries,
            seed: args.seed,
        },
        bias_samples: args.bias_samples,
        tolerance: jobs::Tolerance {
            median: args.median,
            most: args.most,
        },
        out: args.output.clone(),
    };
    let bar = bar(json);
    let checked = jobs::gradcheck(&job, &config, &mut |done, of| {
        bar.set_length(of as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    let checked = checked?;
    show::diagnostics(&checked.notes, json);
    if json {
        show::json(&checked);
    } else {
        show::line(text(&checked));
        if let Some(out) = &args.output {
            show::line(format!("report: {}", out.join("gradcheck.html").display()));
        }
    }
    checked.verdict()
}

fn bar(json: bool) -> ProgressBar {
    let shown = !json && std::io::stderr().is_terminal();
    let target = match shown {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    };
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} steps, {eta} left");
    ProgressBar::with_draw_target(Some(0), target)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn text(checked: &Gradchecked) -> String {
    let found = &checked.gradients;
    let head = [
        "tensor",
        "compared",
        "0 in both",
        "left out",
        "in doubt",
        "median",
        "99 %",
        "largest",
        "cosine",
    ];
    let rows: Vec<Vec<String>> = found
        .tensors
        .iter()
        .map(|tensor| {
            let tally = &tensor.tally;
            let errors = [tally.median, tally.most, tally.largest];
            let mut row = vec![
                tensor.name.clone(),
                tally.compared.to_string(),
                tally.zero.to_string(),
                tally.changed.to_string(),
                tally.doubtful.to_string(),
            ];
            row.extend(errors.map(|error| format!("{error:.1e}")));
            row.push(format!("{:.9}", tally.cosine));
            row
        })
        .collect();
    let mut parts = vec![
        format!(
            "{} in f64, {}: {} of neurons, {} with several, {} grazing",
            show::count(found.samples, "sample"),
            if found.exact {
                "exact spike times"
            } else {
                "ticks"
            },
            show::count(found.spikes, "spike"),
            found.several,
            found.grazing,
        ),
        show::table(&head, &rows),
    ];
    parts.extend(
        found
            .left_out
            .iter()
            .map(|reason| format!("not compared: {reason}")),
    );
    parts.extend(checked.bias.as_ref().map(ticks));
    let reasons = checked.no_bias.iter();
    parts.extend(reasons.map(|reason| format!("not compared with ticks: {reason}")));
    parts.join("\n\n")
}

/// Cosine, and distance over length, tick by tick.
fn ticks(bias: &Bias) -> String {
    let mut head = vec!["tick, ms".to_owned(), "spikes".to_owned()];
    head.extend(bias.tensors.iter().cloned());
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut rows = vec![vec!["exact".to_owned(), format!("{:.1}", bias.spikes)]];
    rows[0].extend(bias.tensors.iter().map(|_| "1.000, 0.000".to_owned()));
    for refined in &bias.refined {
        let mut row = vec![
            format!("{}", refined.dt * 1e3),
            format!("{:.1}", refined.spikes),
        ];
        let figures = refined.cosine.iter().zip(&refined.distance);
        row.extend(figures.map(|(cosine, distance)| format!("{cosine:.3}, {distance:.3}")));
        rows.push(row);
    }
    format!(
        "gradients in ticks beside those at exact times ({}): cosine, distance over length\n{}",
        show::count(bias.samples, "sample"),
        show::table(&head, &rows)
    )
}

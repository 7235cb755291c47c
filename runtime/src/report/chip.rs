//! The chip: which PE runs what, and what its SRAM holds.

use std::collections::BTreeMap;

use nirc_ir::Diagnostic;
use nirc_ir::event::{Program, Role};
use nirc_spinnaker2::bundle::{Bundle, Firmware};
use nirc_spinnaker2::mapping::quads;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use serde::Serialize;

use super::svg::Svg;
use crate::emulated::{Stats, Totals};

const CELL: f64 = 17.0;
const QUAD: f64 = 2.0 * CELL + 9.0;
const MARGIN: f64 = 26.0;

/// The chip with a program on it, or why it does not fit.
#[derive(Serialize)]
pub(super) enum ChipPart {
    /// It fits.
    Fits {
        map: String,
        legend: Vec<Kind>,
        ledgers: Vec<Ledger>,
        /// Steps that a process may be ahead of a neighbour.
        window: u32,
        /// Bins that run at a time.
        segment: u32,
    },
    /// It does not: the diagnostics.
    Refused(String),
}

impl ChipPart {
    /// Builds the program's bundle and shows it, with what its PEs did if they ran.
    pub(super) fn of(
        program: &Program,
        target: &Target,
        balance: Balance,
        stats: Option<&Stats>,
    ) -> Self {
        match Bundle::build_balanced(program, target, balance) {
            Ok(bundle) => Self::built(&bundle, program, target, stats),
            Err(problems) => Self::Refused(problems.to_string()),
        }
    }

    /// Shows a bundle of a program.
    pub(super) fn built(
        bundle: &Bundle,
        program: &Program,
        target: &Target,
        stats: Option<&Stats>,
    ) -> Self {
        match bundle.slice(program) {
            Ok(sliced) => Self::Fits {
                map: map(bundle, &sliced.program, target).to_string(),
                legend: legend(bundle, &sliced.program, target, stats),
                ledgers: ledgers(bundle, target),
                window: bundle.mapping.pacing.window,
                segment: bundle.mapping.pacing.segment,
            },
            Err(problem) => Self::Refused(Diagnostic::from(problem).to_string()),
        }
    }
}

/// Draws every PE in its place of the mesh, coloured by what it runs.
fn map(bundle: &Bundle, program: &Program, target: &Target) -> Svg {
    let quads = quads(target);
    let all = || quads.iter().flatten();
    let right = all().map(|pe| pe.quad().0).max().unwrap_or(0);
    let top = all().map(|pe| pe.quad().1).max().unwrap_or(0);
    let left = all().map(|pe| pe.quad().0).min().unwrap_or(0);
    let bottom = all().map(|pe| pe.quad().1).min().unwrap_or(0);
    let width = MARGIN + f64::from(right - left + 1) * QUAD;
    let height = MARGIN + f64::from(top - bottom + 1) * QUAD;
    let mut svg = Svg::new(width, height, "map of the chip");
    let corner = |x: u8, y: u8| {
        (
            MARGIN + f64::from(x - left) * QUAD,
            f64::from(top - y) * QUAD,
        )
    };
    for x in left..=right {
        let (at, _) = corner(x, bottom);
        svg.text("small", (at + CELL, height - 8.0), "middle", &x.to_string());
    }
    for y in bottom..=top {
        let (_, at) = corner(left, y);
        svg.text(
            "small",
            (MARGIN - 10.0, at + CELL + 4.0),
            "end",
            &y.to_string(),
        );
    }
    for quad in &quads {
        if let Some(pe) = quad.first() {
            let (x, y) = corner(pe.quad().0, pe.quad().1);
            let size = (2.0 * CELL + 4.0, 2.0 * CELL + 4.0);
            svg.rect("quad", (x - 2.0, y - 2.0), size, 4.0, "");
        }
        for pe in quad {
            let (x, y) = corner(pe.quad().0, pe.quad().1);
            let at = (
                x + f64::from(pe.place() & 1) * CELL + 1.0,
                y + f64::from(1 - (pe.place() >> 1)) * CELL + 1.0,
            );
            let placement = bundle.mapping.placements.iter().position(|p| p.pe == *pe);
            let (class, hint) = match placement {
                None => ("free", format!("PE {pe}: free")),
                Some(k) => {
                    let placement = &bundle.mapping.placements[k];
                    let firmware = &bundle.images[bundle.loads[k].image];
                    let proc = placement.procs[0];
                    (
                        class(program, program.processes[proc].role, proc),
                        format!(
                            "PE {pe}: {}, {}, {:.1} KiB of SRAM",
                            firmware.name,
                            placement.instance,
                            f64::from(used(firmware)) / 1024.0
                        ),
                    )
                }
            };
            svg.rect(class, at, (CELL - 2.0, CELL - 2.0), 2.5, &hint);
        }
    }
    svg
}

/// A kind of PE in the legend.
#[derive(Serialize)]
pub(super) struct Kind {
    class: &'static str,
    name: String,
    count: usize,
    /// What its PEs did on an emulated chip, testing included.
    work: Option<Work>,
}

/// What the PEs of a kind did, for people.
#[derive(Serialize)]
struct Work {
    instructions: String,
    awake: String,
    sent: String,
    received: String,
}

/// What the colours mean, with the number of PEs of each and what they did.
fn legend(bundle: &Bundle, program: &Program, target: &Target, stats: Option<&Stats>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::new();
    for (placement, load) in bundle.mapping.placements.iter().zip(&bundle.loads) {
        let proc = placement.procs[0];
        let class = class(program, program.processes[proc].role, proc);
        let name = &bundle.images[load.image].name;
        match kinds.iter_mut().find(|kind| kind.name == *name) {
            Some(kind) => kind.count += 1,
            None => kinds.push(Kind {
                class,
                name: name.clone(),
                count: 1,
                work: stats.map(|stats| Work::new(&stats.of(&placement.procs))),
            }),
        }
    }
    let all: usize = quads(target).iter().map(Vec::len).sum();
    kinds.push(Kind {
        class: "free",
        name: "free".to_owned(),
        work: None,
        count: all.saturating_sub(bundle.mapping.placements.len()),
    });
    kinds
}

impl Work {
    fn new(totals: &Totals) -> Self {
        let cycles = (totals.busy_cycles + totals.sleep_cycles).max(1);
        let share = totals.busy_cycles as f64 / cycles as f64;
        Self {
            instructions: counted(totals.instructions),
            awake: format!("{:.1} %", 100.0 * share),
            sent: counted(totals.packets_sent),
            received: counted(totals.packets_received),
        }
    }
}

/// A large number in three digits.
fn counted(number: u64) -> String {
    let (unit, scale) = match number {
        0..1_000 => ("", 1.0),
        1_000..1_000_000 => (" k", 1e3),
        1_000_000..1_000_000_000 => (" M", 1e6),
        _ => (" G", 1e9),
    };
    let value = number as f64 / scale;
    let decimals = usize::from(scale > 1.0 && value < 100.0);
    format!("{value:.decimals$}{unit}")
}

fn class(program: &Program, role: Role, proc: nirc_ir::event::Proc) -> &'static str {
    let feeds_loss = program
        .outgoing(proc)
        .any(|(_, c)| program.processes[c.to].role == Role::Loss);
    match role {
        Role::Source => "source",
        Role::Neurons if feeds_loss => "output",
        Role::Neurons => "hidden",
        Role::Loss => "loss",
        Role::Optimiser(_) => "optimiser",
    }
}

/// The SRAM of one image.
#[derive(Serialize)]
pub(super) struct Ledger {
    name: String,
    used: u32,
    size: u32,
    share: String,
    bar: String,
    /// Purpose, class of its colour, bytes; the largest first.
    entries: Vec<(String, &'static str, u32)>,
}

/// The ledger of each image.
fn ledgers(bundle: &Bundle, target: &Target) -> Vec<Ledger> {
    let size = target.memory.sram.size;
    bundle
        .images
        .values()
        .map(|image| ledger(image, size))
        .collect()
}

fn ledger(firmware: &Firmware, size: u32) -> Ledger {
    let mut purposes: BTreeMap<&str, u32> = BTreeMap::new();
    for region in &firmware.memory {
        *purposes.entry(&region.purpose).or_default() += region.size;
    }
    let mut entries: Vec<(String, &'static str, u32)> = purposes
        .into_iter()
        .map(|(purpose, bytes)| (purpose.to_owned(), group(purpose), bytes))
        .collect();
    entries.sort_by(|a, b| b.2.cmp(&a.2).then_with(|| a.0.cmp(&b.0)));
    let used = used(firmware);
    let share = 100.0 * f64::from(used) / f64::from(size);
    Ledger {
        name: firmware.name.clone(),
        used,
        size,
        share: format!("{share:.1} %"),
        bar: bar(&entries, size).to_string(),
        entries,
    }
}

fn used(firmware: &Firmware) -> u32 {
    firmware.memory.iter().map(|region| region.size).sum()
}

fn bar(entries: &[(String, &'static str, u32)], size: u32) -> Svg {
    const WIDTH: f64 = 560.0;
    const HEIGHT: f64 = 18.0;
    let mut svg = Svg::new(WIDTH, HEIGHT, "use of SRAM");
    svg.rect("free", (0.0, 0.0), (WIDTH, HEIGHT), 4.0, "free");
    let mut left = 0.0;
    for (purpose, class, bytes) in entries {
        let width = f64::from(*bytes) / f64::from(size) * WIDTH;
        let hint = format!("{purpose}: {bytes} bytes");
        svg.rect(class, (left, 0.0), (width, HEIGHT), 0.0, &hint);
        left += width;
    }
    svg
}

/// Colours by kind of use, told from the purpose's words.
fn group(purpose: &str) -> &'static str {
    const GROUPS: [(&str, &str); 8] = [
        ("code", "m-code"),
        ("vector", "m-code"),
        ("parameters", "m-param"),
        ("gradient", "m-gradient"),
        ("moment", "m-moment"),
        ("ring", "m-ring"),
        ("spikes", "m-tape"),
        ("stack", "m-stack"),
    ];
    GROUPS
        .iter()
        .find(|(word, _)| purpose.contains(word))
        .map_or("m-state", |(_, class)| class)
}

//! The mapping as text: placement, keys, routes.

use std::fmt::{self, Display, Formatter, Write};

use nirc_ir::event::Program;

use super::traffic::{Flow, Packet, flows};
use super::{Mapping, Placement};

impl Mapping {
    /// The whole mapping for people to read; the same mapping gives the same text.
    pub fn text<'a>(&'a self, program: &'a Program) -> impl Display + 'a {
        Text {
            mapping: self,
            program,
        }
    }
}

struct Text<'a> {
    mapping: &'a Mapping,
    program: &'a Program,
}

impl Display for Text<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { mapping, program } = self;
        writeln!(
            f,
            "mapping @{}  style = paper  replicas = {}  pes = {}  window = {}  segment = {} of {} bins",
            program.name,
            program.replicas,
            mapping.placements.len(),
            mapping.pacing.window,
            mapping.pacing.segment,
            program.ticks
        )?;
        writeln!(f, "\nplacement")?;
        for placement in &mapping.placements {
            writeln!(f, "  {}", placement_line(program, placement))?;
        }
        writeln!(f, "\nkeys")?;
        for flow in flows(program, &mapping.placements) {
            writeln!(f, "  {}", flow_line(program, &flow))?;
        }
        writeln!(f, "\nroutes  {} entries", mapping.routes.len())?;
        for route in &mapping.routes {
            writeln!(f, "  {} -> {}", route.keys, route.to)?;
        }
        Ok(())
    }
}

fn placement_line(program: &Program, placement: &Placement) -> String {
    let Placement {
        pe,
        instance,
        procs,
    } = placement;
    let mut line = format!("{pe} peid {:02x}  {:<11}", pe.raw(), instance.to_string());
    for &proc in procs {
        let _ = write!(line, "  {proc} @{}", program.processes[proc].name);
    }
    line
}

fn flow_line(program: &Program, flow: &Flow) -> String {
    let name = match flow.packet {
        Packet::Spike(p) | Packet::Marker(p) | Packet::Ready(p) => {
            format!("@{}", program.processes[p].name)
        }
        Packet::Error(c) => {
            let channel = &program.channels[c];
            let name = |p| &program.processes[p].name;
            format!("@{} -> @{}", name(channel.to), name(channel.from))
        }
        Packet::Command => String::new(),
    };
    let what = format!("{} {name}", flow.packet);
    format!(
        "{}  {:<11}  {:<32} {:>5} used -> {}",
        flow.keys,
        flow.instance.to_string(),
        what.trim_end(),
        flow.used,
        flow.to
    )
}

//! Who sends what to whom: the packets of a program that has been placed.

use std::fmt;

use nirc_ir::entity::Entity;
use nirc_ir::event::{ArrayKind, Chan, Proc, Program, Role};

use super::pe::PeSet;
use super::place::{Instance, Placement};
use super::table::Keys;
use crate::abi::{self, Kind};
use crate::codegen::carries_errors;

/// What a packet says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// A spike or value of a process.
    Spike(Proc),
    /// A process has finished a step.
    Marker(Proc),
    /// The error of a spike, back over a channel.
    Error(Chan),
    /// The host's command to an instance.
    Command,
    /// A worker's gradients are complete.
    Ready(Proc),
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spike(p) => write!(f, "spike {p}"),
            Self::Marker(p) => write!(f, "marker {p}"),
            Self::Error(c) => write!(f, "error {c}"),
            Self::Command => f.write_str("command"),
            Self::Ready(p) => write!(f, "ready {p}"),
        }
    }
}

/// All packets of one kind from one sender, and who has to get them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// Whose packets.
    pub instance: Instance,
    /// What they say.
    pub packet: Packet,
    /// The keys set aside for them; no other flow has any of these.
    pub keys: Keys,
    /// How many of these are in use, from the first.
    pub used: u32,
    /// The PEs that have to get them, and no others.
    pub to: PeSet,
}

impl Flow {
    fn new(instance: Instance, packet: Packet, lanes: usize, to: PeSet) -> Self {
        let key = |number: usize, kind, index| {
            abi::key(instance.raw().into(), number as u32, kind, index)
        };
        let keys = match packet {
            Packet::Spike(p) => Keys::new(key(p.index(), Kind::Spike, 0), abi::INDEX_FREE),
            Packet::Marker(p) => Keys::new(key(p.index(), Kind::Marker, 0), abi::INDEX_FREE),
            Packet::Error(c) => Keys::new(key(c.index(), Kind::Error, 0), abi::INDEX_FREE),
            Packet::Command => Keys::one(key(0, Kind::Command, 0)),
            Packet::Ready(p) => Keys::one(key(p.index(), Kind::Command, abi::READY)),
        };
        Self {
            instance,
            packet,
            keys,
            used: u32::try_from(lanes).unwrap_or(u32::MAX),
            to,
        }
    }

    /// Every key that a PE or the host can send.
    pub fn sent(&self) -> impl Iterator<Item = u32> + use<> {
        let first = self.keys.key();
        first..first + self.used
    }
}

/// Processes whose gradients the optimisers wait for.
pub fn workers(program: &Program) -> impl Iterator<Item = Proc> + '_ {
    program
        .processes
        .iter()
        .filter(|(_, process)| {
            let mut arrays = process.arrays.values();
            arrays.any(|a| matches!(a.kind, ArrayKind::Gradient(_)))
        })
        .map(|(proc, _)| proc)
}

/// Every flow that somebody listens to, by instance and then as the contract lists them.
pub fn flows(program: &Program, placements: &[Placement]) -> Vec<Flow> {
    let mut flows = Vec::new();
    let optimiser: PeSet = instance_pes(placements, Instance::OPTIMISER).collect();
    for replica in 0..program.replicas {
        let instance = Instance::replica(replica);
        let at = |proc: Proc| {
            placements
                .iter()
                .filter(move |p| p.instance == instance && p.procs.contains(&proc))
                .map(|p| p.pe)
        };
        let mut add = |packet, lanes, to| flows.push(Flow::new(instance, packet, lanes, to));
        for (proc, process) in program.processes.iter() {
            if matches!(process.role, Role::Optimiser(_)) {
                continue;
            }
            let consumers = || program.outgoing(proc).map(|(_, c)| c.to);
            let producers = || program.incoming(proc).map(|(_, c)| c.from);
            let spikes = consumers().flat_map(at).collect();
            let markers = consumers().chain(producers()).flat_map(at).collect();
            add(Packet::Spike(proc), process.lanes, spikes);
            add(Packet::Marker(proc), 1, markers);
        }
        for (chan, channel) in program.channels.iter() {
            if carries_errors(program, chan) {
                // Of exact event times, an error names an entry of the tape.
                let lanes = match program.window {
                    Some(_) => abi::INDICES,
                    None => program.processes[channel.from].lanes,
                };
                add(Packet::Error(chan), lanes, at(channel.from).collect());
            }
        }
        let pes = instance_pes(placements, instance).collect();
        add(Packet::Command, 1, pes);
        for worker in workers(program) {
            add(Packet::Ready(worker), 1, optimiser);
        }
    }
    flows.push(Flow::new(
        Instance::OPTIMISER,
        Packet::Command,
        1,
        optimiser,
    ));
    flows.retain(|flow| !flow.to.is_empty());
    flows
}

fn instance_pes(
    placements: &[Placement],
    instance: Instance,
) -> impl Iterator<Item = super::pe::PeId> + '_ {
    let of_instance = placements.iter().filter(move |p| p.instance == instance);
    of_instance.map(|p| p.pe)
}

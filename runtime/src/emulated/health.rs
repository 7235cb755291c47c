//! Whether a PE is well and idle, from the control words at the head of its data.

use nirc_ir::Diagnostic;
use nirc_ir::codes::{BUNDLE, DEVICE_FAULT};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::Program;
use nirc_spinnaker2::abi::PROGRESS;
use nirc_spinnaker2::bundle::{Bundle, Firmware, ImageId};
use nirc_spinnaker2::mapping::{Instance, PeId};

use super::device::Device;
use super::trouble;

/// The control words of all PEs.
#[derive(Debug)]
pub(super) struct Health {
    images: PrimaryMap<ImageId, Control>,
    pes: Vec<(Instance, PeId, ImageId)>,
}

/// Where a chip stands when it is quiet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Quiet {
    /// No work is left.
    Idle,
    /// The first replicas have finished so many steps of a sample.
    At {
        /// How many replicas.
        replicas: usize,
        /// Steps of each process.
        steps: u32,
    },
}

impl Quiet {
    /// Steps that the processes of an instance have finished.
    fn steps(self, instance: Instance) -> u32 {
        match self {
            Self::At { replicas, steps } if usize::from(instance.raw()) < replicas => steps,
            _ => 0,
        }
    }
}

/// The span of words that tells of an image's health.
#[derive(Debug)]
struct Control {
    address: u32,
    words: usize,
    /// Which of them is the status.
    status: usize,
    /// The one with the command, 0 once it is obeyed.
    command: usize,
    /// Those that count steps of neighbours, with their symbols.
    progress: Vec<(usize, String)>,
}

impl Health {
    pub(super) fn new(bundle: &Bundle) -> Result<Self, Diagnostic> {
        let placed = bundle.mapping.placements.iter().zip(&bundle.loads);
        Ok(Self {
            images: bundle
                .images
                .values()
                .map(Control::new)
                .collect::<Result<_, _>>()?,
            pes: placed
                .map(|(p, load)| (p.instance, p.pe, load.image))
                .collect(),
        })
    }

    /// Complaints of PEs, then lost packets, then PEs that still wait for something.
    pub(super) fn check(
        &self,
        program: &Program,
        device: &impl Device,
        words: &mut Vec<u32>,
        quiet: Quiet,
    ) -> Result<(), Diagnostic> {
        let mut stalled = None;
        for &(instance, pe, image) in &self.pes {
            let control = &self.images[image];
            words.resize(control.words, 0);
            device.read(pe, control.address, words)?;
            if words[control.status] != 0 {
                return Err(trouble::status(program, pe, words[control.status]));
            }
            stalled = stalled.or(control
                .stalled(words, quiet.steps(instance))
                .map(|s| (pe, s)));
        }
        trouble::lost(device.lost()?)?;
        match stalled {
            None => Ok(()),
            Some((pe, (symbol, value, expected))) => {
                let message = format!(
                    "waits for packets that nobody sends: {symbol} = {value}, expected {expected}"
                );
                Err(Diagnostic::error(DEVICE_FAULT, format!("PE {pe}"), message))
            }
        }
    }
}

impl Control {
    fn new(firmware: &Firmware) -> Result<Self, Diagnostic> {
        let word = |name: &str| {
            firmware.data(name).map(|s| s.addr).ok_or_else(|| {
                let message = format!("the image has no symbol {name}");
                Diagnostic::error(BUNDLE, &firmware.name, message)
            })
        };
        let status = word("status")?;
        let command = word("command")?;
        // Told by their purpose: symbols carry names of the user's.
        let progress = firmware.memory.iter().filter(|r| r.purpose == PROGRESS);
        let all = || progress.clone().map(|r| r.address).chain([status, command]);
        let first = all().min().unwrap_or(status);
        let last = all().max().unwrap_or(status);
        let index = |address: u32| ((address - first) / 4) as usize;
        Ok(Self {
            address: first,
            words: index(last) + 1,
            status: index(status),
            command: index(command),
            progress: progress
                .clone()
                .map(|r| (index(r.address), r.symbol.clone()))
                .collect(),
        })
    }

    /// A word that is not what it is in a quiet PE whose neighbours have finished so many steps: its symbol, its
    /// value and that.
    fn stalled(&self, words: &[u32], steps: u32) -> Option<(&str, u32, u32)> {
        let command = Some(("command", words[self.command], 0));
        let progress = self.progress.iter();
        let progress = progress.map(|(word, symbol)| (symbol.as_str(), words[*word], steps));
        let mut all = command.into_iter().chain(progress);
        all.find(|(_, found, expected)| found != expected)
    }
}

//! Whether a PE is well and idle, from the control words at the head of its data.

use nirc_ir::Diagnostic;
use nirc_ir::codes::{BUNDLE, DEVICE_FAULT};
use nirc_ir::entity::PrimaryMap;
use nirc_ir::event::Program;
use nirc_spinnaker2::abi::PROGRESS;
use nirc_spinnaker2::bundle::{Bundle, Firmware, ImageId};
use nirc_spinnaker2::mapping::PeId;

use super::device::Device;
use super::trouble;

/// The control words of all PEs.
#[derive(Debug)]
pub(super) struct Health {
    images: PrimaryMap<ImageId, Control>,
    pes: Vec<(PeId, ImageId)>,
}

/// The span of words that tells of an image's health.
#[derive(Debug)]
struct Control {
    address: u32,
    words: usize,
    /// Which of them is the status.
    status: usize,
    /// Those that are 0 when no work is left, with their symbols.
    idle: Vec<(usize, String)>,
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
            pes: placed.map(|(p, load)| (p.pe, load.image)).collect(),
        })
    }

    /// Complaints of PEs, then lost packets, then PEs that still wait for something.
    pub(super) fn check(
        &self,
        program: &Program,
        device: &impl Device,
        words: &mut Vec<u32>,
    ) -> Result<(), Diagnostic> {
        let mut stalled = None;
        for &(pe, image) in &self.pes {
            let control = &self.images[image];
            words.resize(control.words, 0);
            device.read(pe, control.address, words)?;
            if words[control.status] != 0 {
                return Err(trouble::status(program, pe, words[control.status]));
            }
            let busy = control.idle.iter().find(|(word, _)| words[*word] != 0);
            stalled = stalled.or(busy.map(|(word, symbol)| (pe, words[*word], symbol)));
        }
        trouble::lost(device.lost()?)?;
        match stalled {
            None => Ok(()),
            Some((pe, value, symbol)) => {
                let message = format!("waits for packets that nobody sends: {symbol} = {value}");
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
        let mut idle = vec![(word("command")?, "command".to_owned())];
        // Told by their purpose: symbols carry names of the user's.
        let progress = firmware.memory.iter().filter(|r| r.purpose == PROGRESS);
        idle.extend(progress.map(|r| (r.address, r.symbol.clone())));
        let all = || idle.iter().map(|(address, _)| *address).chain([status]);
        let first = all().min().unwrap_or(status);
        let last = all().max().unwrap_or(status);
        let index = |address: u32| ((address - first) / 4) as usize;
        Ok(Self {
            address: first,
            words: index(last) + 1,
            status: index(status),
            idle: idle
                .iter()
                .map(|(a, name)| (index(*a), name.clone()))
                .collect(),
        })
    }
}

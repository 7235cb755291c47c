//! What a routine runs on: memory, weights and the list that its spikes go to.

use nirc_ir::connection::Tap;

use crate::code::Offsets;
use crate::isa::Isa;
use crate::space::Shape;

/// Slot of the current bin as a number.
pub(crate) const TICK: u32 = 0;
/// Slot of what arrived with an event.
pub(crate) const PAYLOAD: u32 = 1;
/// Slot of what a message or measure handler sends.
pub(crate) const SENT: u32 = 2;
/// Slot of the exact time of an event.
pub(crate) const TIME: u32 = 3;
/// Slots of the ends of an interval that is searched for spikes.
pub(crate) const SINCE: u32 = 4;
pub(crate) const UNTIL: u32 = 5;
/// First slot of the fields of an own spike.
pub(crate) const FIELDS: u32 = 16;

/// Spikes in order, with their fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spikes {
    /// Lane of each.
    pub(crate) lanes: Vec<u32>,
    /// Fields of each, one after the other.
    pub(crate) fields: Vec<f32>,
}

/// What routines leave beside memory; kept, so that nothing is allocated twice.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Where spikes go.
    pub(crate) spikes: Spikes,
    /// Part of the synapses of a source.
    pub(crate) taps: Vec<Tap>,
}

/// What a routine may touch.
pub(crate) struct Frame<'a> {
    /// The arena of a replica or of an optimiser.
    pub(crate) mem: &'a mut [f32],
    /// Read-only memory: weights, or a replica's gradient.
    pub(crate) weights: &'a [f32],
    /// What is neither.
    pub(crate) scratch: &'a mut Scratch,
    /// Fields of a spike.
    pub(crate) fields: usize,
    /// Lanes of the process.
    pub(crate) shape: Shape,
    /// Which instructions the vector machine may use.
    pub(crate) isa: Isa,
}

/// Which event a routine runs for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Event {
    /// Source of a received spike, or lane of an own one.
    pub(crate) source: u32,
    /// Current bin.
    pub(crate) tick: u32,
}

/// Events of one bin, in order.
pub(crate) struct Events<'a> {
    /// Their sources.
    pub(crate) sources: &'a [u32],
    /// What arrives with each of them; empty if nothing does.
    pub(crate) values: &'a [f32],
    /// The bin.
    pub(crate) tick: u32,
    /// Where what they send goes: that of event `k` to element `k * step`; empty if they send nothing.
    pub(crate) sent: &'a mut [f32],
    /// Elements from one to the next.
    pub(crate) step: usize,
}

impl Event {
    /// An event of `source` in bin `tick`.
    pub(crate) fn at(source: u32, tick: u32) -> Self {
        Self { source, tick }
    }
}

impl Events<'_> {
    /// No events of a bin, which send nothing.
    pub(crate) fn in_bin(tick: u32) -> Self {
        Self {
            sources: &[],
            values: &[],
            tick,
            sent: &mut [],
            step: 1,
        }
    }
}

impl Frame<'_> {
    /// Sets the current bin as a number.
    #[expect(clippy::cast_precision_loss, reason = "bins are below 2^24")]
    #[inline(always)]
    pub(crate) fn set_tick(&mut self, bin: u32) {
        self.mem[TICK as usize] = bin as f32;
    }

    /// Sets the fields of an own spike.
    pub(crate) fn set_fields(&mut self, fields: &[f32]) {
        self.mem[FIELDS as usize..FIELDS as usize + fields.len()].copy_from_slice(fields);
    }

    /// Keeps the fields of a spike, which stand in their slots.
    #[inline(always)]
    pub(crate) fn keep_fields(&mut self) {
        let fields = &self.mem[FIELDS as usize..FIELDS as usize + self.fields];
        self.scratch.spikes.fields.extend_from_slice(fields);
    }

    /// Offsets for the scalar machine on a lane.
    #[inline(always)]
    pub(crate) fn offsets_at(&self, event: Event, lane: u32) -> Offsets {
        let stride = narrow(self.shape.stride);
        let position = narrow(self.shape.position(lane as usize));
        [
            0,
            position,
            // These wrap only where there is no such row, and nobody looks.
            event.source.wrapping_mul(stride).wrapping_add(position),
            event.tick.wrapping_mul(stride).wrapping_add(position),
        ]
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "arenas have fewer than 2^32 elements"
)]
fn narrow(offset: usize) -> u32 {
    offset as u32
}

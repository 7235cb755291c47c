//! Running a routine for events.

use crate::code::Routine;
use crate::frame::{Event, Events, Frame, PAYLOAD, SENT};
use crate::space::Width;

impl Routine {
    /// Runs it for one event.
    #[inline(always)]
    pub(crate) fn run(&self, event: Event, frame: &mut Frame<'_>) {
        let mut events = Events {
            sources: &[event.source],
            tick: event.tick,
            sent: &mut [],
            step: 1,
        };
        self.run_all(&mut events, frame);
    }

    /// Runs it for some events of a bin, with what arrives with each, in order.
    #[inline(never)]
    pub(crate) fn run_values(
        &self,
        sources: &[u32],
        values: &[f32],
        tick: u32,
        frame: &mut Frame<'_>,
    ) {
        if let Self::Synapses(code) = self {
            return frame.isa.synapses(code, sources, values, frame);
        }
        for (source, value) in sources.iter().zip(values) {
            frame.mem[PAYLOAD as usize] = *value;
            self.run(Event::at(*source, tick), frame);
        }
    }

    /// Runs it for some events of a bin, in order.
    #[inline(always)]
    pub(crate) fn run_all(&self, events: &mut Events<'_>, frame: &mut Frame<'_>) {
        let isa = frame.isa;
        match self {
            Self::Vector(code) => match frame.shape.width {
                Width::Narrow => isa.vector::<{ Width::Narrow as usize }>(code, events, frame),
                Width::Wide => isa.vector::<{ Width::Wide as usize }>(code, events, frame),
            },
            Self::Synapses(code) => isa.synapses(code, events.sources, &[], frame),
            Self::Lane(steps) => {
                for (k, source) in events.sources.iter().enumerate() {
                    let event = Event::at(*source, events.tick);
                    isa.scalar(steps, &frame.offsets_at(event, *source), frame);
                    if let Some(sent) = events.sent.get_mut(k * events.step) {
                        *sent = frame.mem[SENT as usize];
                    }
                }
            }
        }
    }
}

//! Running a routine for events.

use crate::code::{Routine, VectorCode};
use crate::frame::{Event, Events, Frame, PAYLOAD, SENT};
use crate::space::{Shape, Width};

impl Routine {
    /// Runs it for one event.
    #[inline(always)]
    pub(crate) fn run(&self, event: Event, frame: &mut Frame<'_>) {
        let mut events = Events {
            sources: &[event.source],
            ..Events::in_bin(event.tick)
        };
        self.run_all(&mut events, frame);
    }

    /// Runs it once, over the first lanes of something that has the shape `whole`.
    #[inline(always)]
    pub(crate) fn run_over(&self, lanes: usize, whole: Shape, frame: &mut Frame<'_>) {
        let padded = lanes.next_multiple_of(whole.width as usize);
        let part = Shape {
            lanes,
            stride: padded,
            padded,
            ..whole
        };
        let shape = std::mem::replace(&mut frame.shape, part);
        self.run(Event::default(), frame);
        frame.shape = shape;
    }

    /// Runs it for spikes that were emitted in `bin`, in order.
    #[inline(always)]
    pub(crate) fn run_spikes(&self, sources: &[u32], bin: u32, frame: &mut Frame<'_>) {
        if sources.is_empty() {
            return;
        }
        frame.set_tick(bin);
        let mut events = Events {
            sources,
            ..Events::in_bin(bin)
        };
        self.run_all(&mut events, frame);
    }

    /// Runs it for values that were emitted in `bin`, in order.
    #[inline(never)]
    pub(crate) fn run_values(
        &self,
        sources: &[u32],
        values: &[f32],
        bin: u32,
        frame: &mut Frame<'_>,
    ) {
        frame.set_tick(bin);
        if let Self::Synapses(_) = self {
            let mut events = Events {
                sources,
                values,
                ..Events::in_bin(bin)
            };
            return self.run_all(&mut events, frame);
        }
        for (source, value) in sources.iter().zip(values) {
            frame.mem[PAYLOAD as usize] = *value;
            self.run(Event::at(*source, bin), frame);
        }
    }

    /// Runs it for some events of a bin, in order; only code for synapses takes a value with each.
    #[inline(always)]
    pub(crate) fn run_all(&self, events: &mut Events<'_>, frame: &mut Frame<'_>) {
        let isa = frame.isa;
        match self {
            Self::Vector(code) => vector(code, events, frame),
            Self::Synapses(code) => {
                if let Some(before) = &code.before {
                    let mut once = Events {
                        sources: &[0],
                        ..Events::in_bin(events.tick)
                    };
                    vector(before, &mut once, frame);
                }
                isa.synapses(code, events, frame);
            }
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

#[inline(always)]
fn vector(code: &VectorCode, events: &mut Events<'_>, frame: &mut Frame<'_>) {
    let isa = frame.isa;
    match frame.shape.width {
        Width::Narrow => isa.vector::<{ Width::Narrow as usize }>(code, events, frame),
        Width::Wide => isa.vector::<{ Width::Wide as usize }>(code, events, frame),
    }
}

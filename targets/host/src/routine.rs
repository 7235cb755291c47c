//! Running a routine for an event.

use crate::code::Routine;
use crate::frame::{Event, Frame};
use crate::space::Width;

impl Routine {
    /// Runs it once.
    pub(crate) fn run(&self, event: Event, frame: &mut Frame<'_>) {
        match self {
            Self::Vector(code) => match frame.shape.width {
                Width::Narrow => {
                    frame
                        .isa
                        .vector::<{ Width::Narrow as usize }>(code, event, frame);
                }
                Width::Wide => frame
                    .isa
                    .vector::<{ Width::Wide as usize }>(code, event, frame),
            },
            Self::Lane(steps) => {
                let offsets = frame.offsets_at(event, event.source);
                frame.isa.scalar(steps, &offsets, event.source, frame);
            }
            Self::Loop { start, each } => {
                let offsets = frame.offsets(event);
                frame.isa.scalar(start, &offsets, 0, frame);
                for lane in (0..).take(frame.shape.count()) {
                    let offsets = frame.offsets_at(event, lane);
                    frame.isa.scalar(each, &offsets, lane, frame);
                }
            }
        }
    }
}

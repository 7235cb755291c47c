//! Optimiser processes: they exist once and run between batches.

use crate::arena::Arena;
use crate::frame::{Event, Frame, PAYLOAD, SENT, Scratch};
use crate::isa::Isa;
use crate::plan::OptimiserPlan;

/// The memory of an optimiser process.
pub(crate) struct Optimiser {
    pub(crate) arena: Arena,
    scratch: Scratch,
}

impl Optimiser {
    /// Before the first batch.
    pub(crate) fn new(plan: &OptimiserPlan) -> Self {
        Self {
            arena: Arena::new(&plan.image),
            scratch: Scratch::default(),
        }
    }

    /// Starts the sum over replicas.
    pub(crate) fn clear(&mut self, plan: &OptimiserPlan) {
        if let Some(base) = plan.gathered {
            self.arena[base..base + plan.shape.padded].fill(0.0);
        }
    }

    /// Adds the gradient in the memory of a replica.
    pub(crate) fn gather(&mut self, plan: &OptimiserPlan, isa: Isa, replica: &[f32]) {
        if let Some(gather) = &plan.gather {
            let gradient = match plan.gradient {
                Some(base) => &replica[base..base + plan.shape.padded],
                None => &[],
            };
            gather.run(Event::default(), &mut self.frame(plan, isa, gradient));
        }
    }

    /// What the process tells all others of its gradient, if it does.
    pub(crate) fn measure(&mut self, plan: &OptimiserPlan, isa: Isa) -> Option<f32> {
        let measure = plan.measure.as_ref()?;
        measure.run(Event::default(), &mut self.frame(plan, isa, &[]));
        Some(self.arena[SENT as usize])
    }

    /// Makes the step, with the sum of all measures, and writes the new weights, if there are any.
    pub(crate) fn update(
        &mut self,
        plan: &OptimiserPlan,
        isa: Isa,
        measured: f32,
        weights: &mut [f32],
    ) {
        self.arena[PAYLOAD as usize] = measured;
        for routine in [&plan.schedule, &plan.update].into_iter().flatten() {
            routine.run(Event::default(), &mut self.frame(plan, isa, &[]));
        }
        if let Some(base) = plan.parameter {
            let parameter = &self.arena[base..base + plan.shape.padded];
            weights[plan.weights.clone()].copy_from_slice(parameter);
        }
    }

    fn frame<'a>(&'a mut self, plan: &OptimiserPlan, isa: Isa, gradient: &'a [f32]) -> Frame<'a> {
        Frame {
            mem: &mut self.arena,
            weights: gradient,
            scratch: &mut self.scratch,
            fields: 0,
            shape: plan.shape,
            isa,
        }
    }
}

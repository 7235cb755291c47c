//! Clipping of gradients, after their sum over the replicas and before anything else looks at them.
//!
//! By value it is `torch.nn.utils.clip_grad_value_`, element by element. By norm it is `clip_grad_norm_`:
//! every process measures the sum of the squares of its elements, and all of them scale by the same
//! `max / (|g| + 1e-6)`, if that is below 1. PyTorch sums squares in an order of its own; here they are
//! added one after the other, tensor by tensor, so the norm may differ in its last places.

use nirc_ir::event::{Array, ArrayKind, Cmp, Domain, Fold, HandlerKind, Outgoing, Value};

use super::Builder;
use crate::lower::body::BodyBuilder;
use crate::options::Clip;

/// Keeps the denominator from zero.
const GUARD: f32 = 1e-6;

/// How the elements of a gradient are clipped.
#[derive(Clone, Copy)]
pub(super) enum Clipping {
    /// Not at all.
    None,
    /// To this distance from zero.
    Value(f64),
    /// By the factor in this scalar.
    Scale(Array),
}

impl Builder {
    /// Measures what clipping has to know of the whole gradient, and reserves room for what follows from it.
    pub(super) fn measure(&mut self, clip: Option<Clip>, gradient: Array) -> Clipping {
        match clip {
            None => Clipping::None,
            Some(Clip::Value(limit)) => Clipping::Value(limit),
            Some(Clip::Norm(_)) => {
                let mut b = BodyBuilder::new();
                let g = b.load(gradient);
                b.send(Outgoing::Fold(Fold::Fma(g, g)));
                self.handler(HandlerKind::Measure, Domain::Lanes, b);
                Clipping::Scale(self.array("clip", ArrayKind::Counter { init: 1.0 }))
            }
        }
    }

    /// The factor of this batch, from the sum of all squares.
    pub(super) fn scale(&mut self, b: &mut BodyBuilder, clip: Option<Clip>, clipping: Clipping) {
        let (Some(Clip::Norm(most)), Clipping::Scale(array)) = (clip, clipping) else {
            return;
        };
        let squares = b.payload();
        let norm = b.sqrt(squares);
        let guard = b.constant(GUARD);
        let divisor = b.add(norm, guard);
        let one = b.constant(1.0);
        // Twice rounded, as PyTorch divides a number by a tensor.
        let inverse = b.div(one, divisor);
        let most = self.coef("max_norm", "largest norm of all gradients", most);
        let most = b.coef(most);
        let scale = b.mul(inverse, most);
        let above = b.cmp(Cmp::Gt, scale, one);
        let scale = b.select(above, one, scale);
        b.store(array, scale);
    }

    /// The clipped element.
    pub(super) fn clipped(&mut self, b: &mut BodyBuilder, clipping: Clipping, g: Value) -> Value {
        match clipping {
            Clipping::None => g,
            Clipping::Value(limit) => {
                let limit = self.coef("limit", "largest element of a gradient", limit);
                let most = b.coef(limit);
                let least = b.neg(most);
                let above = b.cmp(Cmp::Gt, g, most);
                let g = b.select(above, most, g);
                let below = b.cmp(Cmp::Lt, g, least);
                b.select(below, least, g)
            }
            Clipping::Scale(array) => {
                let scale = b.load(array);
                b.mul(g, scale)
            }
        }
    }
}

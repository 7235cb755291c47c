//! Numbers of spikes: the mean square of their distance from targets.
//!
//! With `c_n` the spikes of output `n`, and a target of `hit` for the label and `miss` for the others, the loss
//! is `sum_n (c_n - y_n)^2 / N`. Nothing is sent back: what changes a number of spikes stands with the output's
//! neurons ([`crate::adjoint`]). The score is the number of spikes.

use nirc_ir::event::{ArrayKind, Domain, Fold, HandlerKind};

use super::{Builder, is_label};
use crate::lower::body::BodyBuilder;

impl Builder {
    pub(super) fn spike_count(&mut self, hit: f64, miss: f64) {
        let label = self.array("label", ArrayKind::Label);
        let count = self.state("score", 0.0);
        let mut b = BodyBuilder::new();
        let (old, one) = (b.load(count), b.constant(1.0));
        let new = b.add(old, one);
        b.store(count, new);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);

        let loss = self.scalar("loss");
        let share = 1.0 / self.process.lanes as f64;
        let share = self.coef("1/N", "mean over the outputs", share);
        let hit = self.coef("hit", "spikes of the label", hit);
        let miss = self.coef("miss", "spikes of the others", miss);
        let mut b = BodyBuilder::new();
        let count = b.load(count);
        let is_label_lane = is_label(&mut b, label);
        let (hit, miss) = (b.coef(hit), b.coef(miss));
        let target = b.select(is_label_lane, hit, miss);
        let over = b.sub(count, target);
        let share = b.coef(share);
        let part = b.mul(over, share);
        b.reduce(loss, Fold::Fma(over, part));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
    }
}

//! The mean square of the voltage's distance from a target, over outputs and ticks.
//!
//! The target of the label is `hit`, that of the others `miss`: the loss is
//! `sum_t sum_n (v_n(t) - y_n)^2 / (N T)`, and the error of `v_n(t)` is `2 (v_n(t) - y_n) / (N T B)`. The score
//! is the sum of the voltage.

use nirc_ir::event::{ArrayKind, Domain, Fold, HandlerKind, Outgoing, Row};

use super::{Builder, is_label, mean_over};
use crate::lower::body::BodyBuilder;
use crate::options::Options;

impl Builder {
    pub(super) fn voltage_error(&mut self, options: &Options, hit: f64, miss: f64) {
        let label = self.array("label", ArrayKind::Label);
        let scores = self.state("score", 0.0);
        let squares = self.state("squares", 0.0);
        let distance = self.array("distance", ArrayKind::Trace);
        let hit = self.coef("hit", "target of the label", hit);
        let miss = self.coef("miss", "target of the others", miss);
        let mut b = BodyBuilder::new();
        let v = b.payload();
        let score = b.load(scores);
        let score = b.add(score, v);
        b.store(scores, score);
        let is_label_lane = is_label(&mut b, label);
        let (hit, miss) = (b.coef(hit), b.coef(miss));
        let target = b.select(is_label_lane, hit, miss);
        let d = b.sub(v, target);
        let sum = b.load(squares);
        let sum = b.fma(d, d, sum);
        b.store(squares, sum);
        b.probe(distance, d);
        self.handler(HandlerKind::Event(self.chan), Domain::Lane, b);

        let count = self.process.lanes as f64 * f64::from(options.ticks);
        let loss = self.scalar("loss");
        let share = self.coef("1/(N T)", "mean over outputs and ticks", 1.0 / count);
        let mut b = BodyBuilder::new();
        let (sum, share) = (b.load(squares), b.coef(share));
        b.reduce(loss, Fold::Fma(sum, share));
        self.handler(HandlerKind::Turn, Domain::Lanes, b);
        if !options.adjoint {
            return;
        }
        let rate = 2.0 * mean_over(options) / count;
        let rate = self.coef("2/(N T B)", "slope of the mean square", rate);
        let mut b = BodyBuilder::new();
        let (d, rate) = (b.load_row(distance, Row::Tick), b.coef(rate));
        let e = b.mul(d, rate);
        b.send(Outgoing::Value(e));
        self.handler(HandlerKind::Message(self.chan), Domain::Lane, b);
    }
}

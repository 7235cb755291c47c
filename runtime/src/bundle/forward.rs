//! Bundles that run forward only.

use nirc_ir::Diagnostics;
use nirc_ir::event::Program;
use nirc_spinnaker2::bundle::Bundle;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use serde::{Deserialize, Serialize};

use super::{MODEL, convention};
use crate::jobs::stack;
use crate::model::Model;
use crate::reading::Reading;
use crate::simulation;

/// Where a bundle says how its model is read and what its program records.
pub const FORWARD: &str = "forward.json";

/// How the model of a bundle is read, and what its program records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// How the model is read.
    pub reading: Reading,
    /// What to record, as `population.quantity`; empty for what leaves the network.
    pub record: Vec<String>,
}

impl Forward {
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The forward program of a model that is read like this, for samples of so many ticks, `replicas` at a time.
    ///
    /// # Errors
    /// When there is nothing of that to record, or the network cannot be lowered.
    pub fn program(
        &self,
        model: &Model,
        ticks: u32,
        replicas: usize,
        target: &Target,
    ) -> Result<Program, Diagnostics> {
        let record = stack::recorded(&self.record, &model.network)?;
        let program = simulation::forward(
            &model.network,
            self.reading.time,
            (ticks, replicas),
            &record,
            Some(replicas),
            target,
        )?;
        stack::check(&record, &program)?;
        Ok(program)
    }

    /// The bundle of that program, with the model in it.
    ///
    /// # Errors
    /// When the program does not fit the chip.
    pub fn build(
        &self,
        model: &Model,
        program: &Program,
        target: &Target,
        balance: Balance,
    ) -> Result<Bundle, Diagnostics> {
        let mut bundle = Bundle::build_balanced(program, target, balance)?;
        let mut text = serde_json::to_vec_pretty(self).expect("plain data");
        text.push(b'\n');
        bundle.attachments.insert(FORWARD.to_owned(), text);
        let bytes = nirc_compiler::nir::to_bytes(model.file().tree())?;
        bundle.attachments.insert(MODEL.to_owned(), bytes);
        bundle.origin.convention = convention(model);
        Ok(bundle)
    }
}

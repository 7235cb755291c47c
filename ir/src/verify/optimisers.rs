//! Optimisers: each trains a tensor of its own, that one process of the network holds.

use std::collections::BTreeSet;

use super::Verifier;
use crate::event::{ArrayKind, Process, Role, Tensor};

impl Verifier<'_> {
    pub(super) fn optimisers(&mut self) {
        let mut optimised = BTreeSet::new();
        for (id, process) in self.program.processes.iter() {
            let Role::Optimiser(tensor) = process.role else {
                continue;
            };
            let place = format!("{id} {}", process.name);
            if !optimised.insert(tensor) {
                self.problem(&place, format!("a second optimiser of {tensor}"));
            }
            self.optimiser(&place, process, tensor);
        }
    }

    fn optimiser(&mut self, place: &str, process: &Process, id: Tensor) {
        let Some(tensor) = self.program.tensors.get(id) else {
            self.problem(place, format!("there is no {id} to optimise"));
            return;
        };
        if !tensor.trainable {
            self.problem(place, format!("{id} is constant, and cannot be optimised"));
        }
        let weights = tensor.values.len();
        if process.lanes != weights {
            let message = format!(
                "{} lanes for the {weights} weights of {id}; one a weight",
                process.lanes
            );
            self.problem(place, message);
        }
        for (what, kind) in [
            ("parameter", ArrayKind::Param(id)),
            ("gradient", ArrayKind::Gradient(id)),
        ] {
            let holders = self.holders(kind);
            if holders != 1 {
                let message = format!(
                    "{holders} processes of the network hold the {what} of {id}; exactly one has to"
                );
                self.problem(place, message);
            }
        }
    }

    /// Processes of the network that have an array of this kind.
    fn holders(&self, kind: ArrayKind) -> usize {
        let mut processes: Vec<&Process> = self.program.processes.values().collect();
        processes.retain(|p| !matches!(p.role, Role::Optimiser(_)));
        processes.retain(|p| p.array_of(kind).is_some());
        processes.len()
    }
}

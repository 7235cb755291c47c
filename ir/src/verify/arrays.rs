//! What a process holds: arrays that its role has, of tensors that fit it.

use std::collections::BTreeSet;

use super::{LIMIT, Verifier};
use crate::event::{Array, ArrayKind, CoefficientValue, Op, Process, Role, Row, Stmt, Tensor};

impl Verifier<'_> {
    /// Coefficients and arrays.
    pub(super) fn declarations(&mut self, place: &str, process: &Process) {
        self.coefficients(place, process);
        self.arrays(place, process);
        self.tape(place, process);
        if process.role == Role::Loss {
            self.outcomes(place, process);
        }
    }

    fn coefficients(&mut self, place: &str, process: &Process) {
        let mut names = BTreeSet::new();
        for coef in process.coefs.values() {
            if !names.insert(&coef.name) {
                self.problem(
                    place,
                    format!("two coefficients are called `{}`", coef.name),
                );
            }
            let (count, finite) = match &coef.value {
                CoefficientValue::Uniform(v) => (process.lanes, v.is_finite()),
                CoefficientValue::PerLane(v) => (v.len(), v.iter().all(|v| v.is_finite())),
            };
            if count != process.lanes || !finite {
                let message = format!(
                    "coefficient `{}` has {count} values for {} lanes, all of which must be finite",
                    coef.name, process.lanes
                );
                self.problem(place, message);
            }
        }
    }

    fn arrays(&mut self, place: &str, process: &Process) {
        let mut names = BTreeSet::new();
        let mut alone: Vec<ArrayKind> = Vec::new();
        for (id, array) in process.arrays.iter() {
            let kind = array.kind;
            if !names.insert(&array.name) {
                self.problem(place, format!("two arrays are called `{}`", array.name));
            }
            if !role_holds(process.role, kind) {
                let message = format!(
                    "`{}` is {kind:?}, a process of role {:?} holds no such array",
                    array.name, process.role
                );
                self.problem(place, message);
            }
            if alone.contains(&kind) {
                let message = format!("`{}` is a second array of {kind:?}, one is all", array.name);
                self.problem(place, message);
            }
            match kind {
                ArrayKind::Param(t) | ArrayKind::Gradient(t) => {
                    alone.push(kind);
                    if !named_by_synapses(process, id) && !self.delays_sources(process, id) {
                        self.tensor_fits(place, process, t);
                    }
                }
                ArrayKind::Gathered => alone.push(kind),
                ArrayKind::GivenError | ArrayKind::Trace => {
                    if self.program.window.is_some() {
                        let message =
                            format!("`{}` has a row a bin, of which there are none", array.name);
                        self.problem(place, message);
                    }
                    self.size(place, self.program.ticks as usize, process.lanes);
                }
                _ => {}
            }
        }
    }

    /// Whether it holds delays of a channel's sources; channels are checked for what fits.
    fn delays_sources(&self, process: &Process, array: Array) -> bool {
        let mut channels = self.program.channels.values();
        channels.any(|channel| {
            let to = self.program.processes.get(channel.to);
            let into = to.is_some_and(|to| std::ptr::eq(to, process));
            let delays = channel.delays.filter(|_| into);
            delays.is_some_and(|d| d.values == array || d.gradient == Some(array))
        })
    }

    /// Only neurons have spikes of their own to record.
    fn tape(&mut self, place: &str, process: &Process) {
        let Some(tape) = &process.tape else { return };
        if process.role != Role::Neurons {
            let message = format!("a process of role {:?} has no tape", process.role);
            self.problem(place, message);
        }
        let backwards = self.program.has_adjoint();
        if tape.bound.is_some() != backwards {
            self.bound(place, backwards);
        }
    }

    /// What the loss leaves behind is found by its name.
    fn outcomes(&mut self, place: &str, process: &Process) {
        for array in process.arrays.values() {
            let expected = match array.name.as_str() {
                "first_spike" | "score" => matches!(array.kind, ArrayKind::State { .. }),
                "loss" | "cross_entropy" => matches!(array.kind, ArrayKind::Scalar { .. }),
                _ => true,
            };
            if !expected {
                let message = format!(
                    "`{}` is {:?}; of an outcome, `first_spike` and `score` are states, \
                     `loss` and `cross_entropy` are scalars",
                    array.name, array.kind
                );
                self.problem(place, message);
            }
        }
    }

    fn tensor_fits(&mut self, place: &str, process: &Process, id: Tensor) {
        let Some(tensor) = self.program.tensors.get(id) else {
            self.problem(place, format!("{id} does not exist"));
            return;
        };
        let lanes = match process.role {
            // Checked with the tensor itself.
            Role::Optimiser(_) => tensor.rows.saturating_mul(tensor.lanes),
            _ => tensor.lanes,
        };
        if lanes != process.lanes {
            let message = format!(
                "{id} needs {lanes} lanes, the process has {}",
                process.lanes
            );
            self.problem(place, message);
        }
    }

    /// So many rows of lanes are something, and not too much.
    pub(super) fn size(&mut self, place: &str, rows: usize, lanes: usize) {
        if !(1..=LIMIT).contains(&rows.saturating_mul(lanes)) {
            let message =
                format!("{rows} rows of {lanes} lanes; 1 to {LIMIT} elements are possible");
            self.problem(place, message);
        }
    }
}

/// Whether handlers take single elements of an array, synapse by synapse; it need not have the lanes of the
/// process then, and bodies are checked for it.
fn named_by_synapses(process: &Process, array: Array) -> bool {
    let mut stmts = process.handlers.iter().flat_map(|h| &h.body.stmts);
    stmts.any(|stmt| match stmt {
        Stmt::Let(_, Op::LoadRow(a, Row::Synapse)) | Stmt::StoreRow(a, Row::Synapse, _) => {
            *a == array
        }
        _ => false,
    })
}

/// The table of roles and kinds. State and scalars live as long as a sample, moments and counters from
/// batch to batch; labels and given errors come with a sample, for the loss.
fn role_holds(role: Role, kind: ArrayKind) -> bool {
    use ArrayKind as K;
    match role {
        Role::Source => false,
        Role::Neurons => matches!(
            kind,
            K::State { .. } | K::Scalar { .. } | K::Param(_) | K::Gradient(_) | K::Label | K::Trace
        ),
        Role::Loss => matches!(
            kind,
            K::State { .. } | K::Scalar { .. } | K::Label | K::GivenError | K::Trace
        ),
        Role::Optimiser(own) => match kind {
            K::Param(tensor) => tensor == own,
            K::Moment | K::Counter { .. } | K::Gathered => true,
            _ => false,
        },
    }
}

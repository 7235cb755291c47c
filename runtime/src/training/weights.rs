//! Weights and optimiser state as an executor holds them.

use std::collections::BTreeMap;

use nirc_ir::Diagnostic;
use nirc_ir::event::{Array, ArrayKind, Proc, Program, Role, Tensor};
use nirc_ir::executor::Executor;
use sha2::{Digest, Sha256};

/// Trained tensors by name, each in NIR's layout: (outputs, inputs), or (outputs,) of a bias.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights(pub BTreeMap<String, Vec<f32>>);

/// The optimiser's arrays by `process.array`: parameters, moments and counters.
pub type OptimiserArrays = BTreeMap<String, Vec<f32>>;

impl Weights {
    /// SHA-256 over the values, `f32` little endian, tensors in the order of their names.
    pub fn sha256(&self) -> String {
        let mut hash = Sha256::new();
        for value in self.0.values().flatten() {
            hash.update(value.to_le_bytes());
        }
        hex(&hash.finalize())
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The weights as they are now in the executor.
///
/// # Errors
/// When the device cannot be read.
pub fn weights(executor: &dyn Executor) -> Result<Weights, Diagnostic> {
    let program = executor.program();
    optimisers(program)
        .map(|(proc, tensor)| {
            let decl = &program.tensors[tensor];
            let rows = match program.processes[proc].array_of(ArrayKind::Param(tensor)) {
                Some(array) => executor.read(0, proc, array)?,
                None => decl.values.clone(),
            };
            Ok((decl.name.clone(), by_output(&rows, decl.lanes)))
        })
        .collect::<Result<_, _>>()
        .map(Weights)
}

/// Rows per source to rows per target.
pub(crate) fn by_output(by_source: &[f32], lanes: usize) -> Vec<f32> {
    (0..lanes)
        .flat_map(|lane| by_source.iter().skip(lane).step_by(lanes.max(1)).copied())
        .collect()
}

fn optimisers(program: &Program) -> impl Iterator<Item = (Proc, Tensor)> {
    program
        .processes
        .iter()
        .filter_map(|(id, process)| match process.role {
            Role::Optimiser(tensor) => Some((id, tensor)),
            _ => None,
        })
}

/// Arrays that outlive a batch, with their names.
fn lasting(program: &Program) -> impl Iterator<Item = (String, Proc, Array)> {
    optimisers(program).flat_map(move |(proc, _)| {
        let process = &program.processes[proc];
        process.arrays.iter().filter_map(move |(id, array)| {
            let lasts = matches!(
                array.kind,
                ArrayKind::Param(_) | ArrayKind::Moment | ArrayKind::Counter { .. }
            );
            lasts.then(|| (format!("{}.{}", process.name, array.name), proc, id))
        })
    })
}

/// Reads everything that a resumed run needs of the optimiser.
///
/// # Errors
/// When the device cannot be read.
pub(super) fn save(executor: &dyn Executor) -> Result<OptimiserArrays, Diagnostic> {
    lasting(executor.program())
        .map(|(name, proc, array)| Ok((name, executor.read(0, proc, array)?)))
        .collect()
}

/// Puts saved arrays back; names and lengths were checked by [`fits`].
///
/// # Errors
/// When the device cannot be written.
pub(super) fn restore(
    executor: &mut dyn Executor,
    saved: &OptimiserArrays,
) -> Result<(), Diagnostic> {
    let targets: Vec<_> = lasting(executor.program()).collect();
    for (name, proc, array) in targets {
        if let Some(values) = saved.get(&name) {
            executor.write(proc, array, values)?;
        }
    }
    Ok(())
}

/// Says in what the saved arrays differ from those of the program.
pub(super) fn fits(program: &Program, saved: &OptimiserArrays) -> Result<(), String> {
    let expected: BTreeMap<String, usize> = lasting(program)
        .map(|(name, proc, array)| (name, program.array_len(proc, array)))
        .collect();
    for (name, len) in &expected {
        match saved.get(name) {
            None => return Err(format!("lacks the array `{name}`")),
            Some(values) if values.len() != *len => {
                return Err(format!(
                    "array `{name}` has {} elements, the model needs {len}",
                    values.len()
                ));
            }
            Some(_) => {}
        }
    }
    match saved.keys().find(|name| !expected.contains_key(*name)) {
        Some(name) => Err(format!("has an array `{name}` that the model lacks")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_turns_from_sources_to_outputs() {
        // Two sources, three targets.
        assert_eq!(
            by_output(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3),
            [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]
        );
    }

    #[test]
    fn the_hash_is_that_of_the_bytes_in_name_order() {
        let weights = Weights(BTreeMap::from([
            ("b".to_owned(), vec![2.0]),
            ("a".to_owned(), vec![1.0]),
        ]));
        // printf '\0\0\x80\x3f\0\0\0\x40' | sha256sum
        let expected = hex(&Sha256::digest([0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]));
        assert_eq!(weights.sha256(), expected);
    }
}

//! Random networks that train: from the bytes of a file to the last bit of every gradient and trained weight, on every
//! executor, in ticks and at exact event times.
//!
//! `NIRC_TRAINABLE` and `NIRC_TRAINABLE_SEED` say how many networks, and from which seed on.

use std::collections::BTreeMap;

use nirc_compiler::lower::lower;
use nirc_ir::codes;
use nirc_ir::event::{ArrayKind, Role};
use nirc_ir::executor::{Executor, Outcome, Pass, Sample};
use nirc_ir::interpreter::Interpreter;
use nirc_runtime::emulated::Emulated;
use nirc_spinnaker2::mapping::slice::Balance;
use nirc_spinnaker2::target::Target;
use nirc_tests::rng::Rng;

use drawn::{DT, Data, network, options};

mod drawn;
mod gradcheck;

fn variable(name: &str, default: u64) -> u64 {
    let value = std::env::var(name).ok();
    value.map_or(default, |value| value.parse().expect("a number"))
}

/// What two batches of training leave behind, as bits by name; `Err` if the executor stops with a diagnostic.
fn trained(
    executor: &mut dyn Executor,
    batches: &[Vec<Data>],
) -> Result<BTreeMap<String, Vec<u32>>, String> {
    let program = executor.program().clone();
    let mut all = BTreeMap::new();
    for (k, batch) in batches.iter().enumerate() {
        let samples: Vec<Sample<'_>> = batch.iter().map(Data::sample).collect();
        let mut outcomes: Vec<Outcome> = Vec::new();
        executor
            .run(Pass::Train, &samples, &mut outcomes)
            .map_err(|e| e.code.to_owned())?;
        for (i, outcome) in outcomes.iter().enumerate() {
            let mut values = [&outcome.first_spike[..], &outcome.score].concat();
            values.extend([outcome.loss, outcome.cross_entropy]);
            all.insert(format!("batch {k} outcome {i}"), bits(&values));
        }
        for (id, process) in program.processes.iter() {
            for (array, decl) in process.arrays.iter() {
                if matches!(decl.kind, ArrayKind::Param(_) | ArrayKind::Gradient(_)) {
                    let values = executor.read(0, id, array).map_err(|e| e.to_string())?;
                    let name = format!("batch {k} {}.{}", process.name, decl.name);
                    all.insert(name, bits(&values));
                }
            }
            if process.role == Role::Neurons && process.tape.is_some() {
                let spikes = executor.spikes(0, id).map_err(|e| e.to_string())?;
                let mut places: Vec<u32> = spikes.iter().flat_map(|s| [s.tick, s.lane]).collect();
                if program.window.is_some() {
                    let times = executor.spike_times(0, id).map_err(|e| e.to_string())?;
                    places.extend(bits(&times));
                }
                all.insert(format!("batch {k} {} spikes", process.name), places);
            }
        }
    }
    Ok(all)
}

/// IEEE 754 leaves open which NaN an operation gives, and processors differ.
fn bits(values: &[f32]) -> Vec<u32> {
    let bits = |v: &f32| if v.is_nan() { u32::MAX } else { v.to_bits() };
    values.iter().map(bits).collect()
}

/// How a seed went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Went {
    /// Refused by name before anything ran.
    Refused,
    /// Trained on interpreter and host; too large for the chip, as it said.
    TooLarge,
    /// Trained on all three.
    Everywhere,
}

fn check(seed: u64) -> Result<Went, String> {
    let exact = seed % 2 == 1;
    let mut rng = Rng::new(seed ^ 0x7a1e);
    let network = network(seed, exact, DT).map_err(|e| format!("import: {e}"))?;
    let options = options(&network, exact, &mut rng);
    let program = match lower(&network, &options) {
        Ok(program) => program,
        Err(problems) => {
            let allowed = [
                codes::LOWER_UNSUPPORTED,
                codes::ADJOINT_UNSUPPORTED,
                codes::CONFIG_CONTRADICTION,
            ];
            let other = problems.0.iter().find(|p| !allowed.contains(&p.code));
            return other.map_or(Ok(Went::Refused), |p| Err(format!("lower: {p}")));
        }
    };
    let batch = options.batch;
    let mut batch = || (0..batch).map(|_| Data::new(&program, &mut rng)).collect();
    let batches: Vec<Vec<Data>> = vec![batch(), batch()];
    let expected = trained(&mut Interpreter::new(&program), &batches);
    let mut host = nirc_host::HostSimulator::new(&program, 1).map_err(|e| format!("host: {e}"))?;
    same("host", &trained(&mut host, &batches), &expected)?;
    let target = Target::spinnaker2();
    let bundle =
        nirc_spinnaker2::bundle::Bundle::build_balanced(&program, &target, Balance::Memory);
    let bundle = match bundle {
        Ok(bundle) => bundle,
        Err(problems) => {
            let full = |p: &nirc_ir::Diagnostic| {
                [codes::MAP_SRAM, codes::MAP_TOO_MANY_PES].contains(&p.code)
            };
            return match problems.0.iter().find(|p| !full(p)) {
                None => Ok(Went::TooLarge),
                Some(problem) => Err(format!("bundle: {problem}")),
            };
        }
    };
    let mut chip = Emulated::load(&program, &bundle, &target, Default::default())
        .map_err(|e| format!("emulator: {e}"))?;
    same("emulator", &trained(&mut chip, &batches), &expected)?;
    Ok(Went::Everywhere)
}

type Trained = Result<BTreeMap<String, Vec<u32>>, String>;

fn same(executor: &str, found: &Trained, expected: &Trained) -> Result<(), String> {
    match (found, expected) {
        (Ok(found), Ok(expected)) => {
            let differs = expected
                .iter()
                .find(|(name, bits)| found.get(*name) != Some(bits));
            differs.map_or(Ok(()), |(name, _)| {
                Err(format!(
                    "{executor}: {name} has other bits than in the interpreter"
                ))
            })
        }
        (Err(found), Err(expected)) if found == expected => Ok(()),
        (found, expected) => Err(format!(
            "{executor}: {:?}, interpreter: {:?}",
            found.as_ref().err(),
            expected.as_ref().err()
        )),
    }
}

#[test]
fn random_networks_train_alike_everywhere() {
    let first = variable("NIRC_TRAINABLE_SEED", 0);
    let count = variable("NIRC_TRAINABLE", 500);
    let mut went: BTreeMap<(bool, Went), u64> = BTreeMap::new();
    for seed in first..first + count {
        let how = check(seed).unwrap_or_else(|problem| panic!("seed {seed}: {problem}"));
        *went.entry((seed % 2 == 1, how)).or_default() += 1;
    }
    println!("(exact times, how): {went:?}");
    for exact in [false, true] {
        let everywhere = went.get(&(exact, Went::Everywhere)).copied();
        assert!(everywhere.unwrap_or(0) * 4 >= count / 2, "{went:?}");
    }
}
